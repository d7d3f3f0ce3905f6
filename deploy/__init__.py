"""Start and demonstrate the product, build its release, and generate its documents.

`local` starts real servers on loopback; `demo` drives the product by its command line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ullage.errors import UllageError


def into_a_folder(name: str, usage: str, lay_out: Callable[[Path], object]) -> None:
    """Run a command that takes one folder as its argument and fills it.

    Without a folder it exits with `usage`; an error is printed as one line.
    """
    if len(sys.argv) != 2:
        sys.exit(usage)
    try:
        lay_out(Path(sys.argv[1]).resolve())
    except UllageError as error:
        sys.exit(f"{name}: {error}")
