"""Lays out what the image is built from: the wheel of this checkout and of all that it needs, as the lock has them.

    python -m deploy.container FOLDER
    docker build --file deploy/container/Dockerfile FOLDER      # or: buildah bud, podman build

The build itself needs no package index, and is given no more than it needs: neither the checkout nor its history.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path

from packaging.utils import canonicalize_name

from deploy.bundle.parts import PRODUCT, SHIPPED, closure

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "dev.txt"
PINNED = re.compile(r"^(?P<name>[\w.-]+)(\[[\w,.-]+\])?==(.*\\\n)(\s+--hash=\S+( \\)?\n)+", re.MULTILINE)


def locked(parts: Iterable[str], lock: str) -> str:
    """The lines of a lock for these distributions, with their hashes. ValueError names what the lock does not have."""
    pins = {canonicalize_name(found["name"]): found[0] for found in PINNED.finditer(lock)}
    wanted = [canonicalize_name(name) for name in parts if name != PRODUCT]
    if missing := sorted(set(wanted) - pins.keys()):
        raise ValueError(f"{LOCK.name} does not lock {', '.join(missing)}: `make lock`")
    return "".join(pins[name] for name in wanted)


def lay_out(folder: Path, parts: dict[str, Distribution]) -> None:
    """Fill `folder/wheels`, each wheel checked by its hash; CalledProcessError when pip cannot."""
    wheels = folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.txt").write_text(locked(parts, LOCK.read_text(encoding="ascii")), encoding="ascii")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", "--no-deps", "--no-build-isolation"]
    chosen = ["--require-hashes", "--requirement", str(folder / "requirements.txt")]
    subprocess.run([*pip, "--wheel-dir", str(wheels), *chosen], check=True)
    subprocess.run([*pip, "--wheel-dir", str(wheels), str(ROOT)], check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    lay_out(Path(sys.argv[1]).resolve(), closure(SHIPPED))
