"""How the product is started and shown: real programs on loopback (`local`), and the demo that
drives it by its command line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ullage.errors import UllageError


def into_a_folder(name: str, usage: str, lay_out: Callable[[Path], object]) -> None:
    """A command that takes one folder and fills it; a fault is one line."""
    if len(sys.argv) != 2:
        sys.exit(usage)
    try:
        lay_out(Path(sys.argv[1]).resolve())
    except UllageError as error:
        sys.exit(f"{name}: {error}")
