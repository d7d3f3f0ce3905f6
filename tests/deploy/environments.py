"""Throw-away environments with a wheel in them, and what they have of the locked dependencies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


def environment(folder: Path, parts: Iterable[Distribution], wheel: Path) -> Path:
    """Make an environment with `parts` as they are installed here.

    `wheel` is installed by pip. The folder of programs is returned.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = folder / "lib" / PYTHON / "site-packages"
    for part in parts:
        lend(part, site)
    python = folder / "bin" / "python"
    words = (
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-compile",
        "--disable-pip-version-check",
    )
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), *words, str(wheel)], check=True
    )
    return folder / "bin"


def lend(part: Distribution, site: Path) -> None:
    """Let another environment see what an installed distribution put into its own site-packages."""
    assert part.files, part.name
    for name in {file.parts[0] for file in part.files} - {"..", "__pycache__"}:
        assert not (site / name).exists(), f"{part.name}: another distribution has {name} as well"
        (site / name).symlink_to(Path(str(part.locate_file(name))))
