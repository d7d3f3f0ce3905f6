"""Lays out what the image is built from: the wheel of this checkout, as git has it, and of all it
needs, as the lock has them.

    python -m deploy.container FOLDER
    docker build --file deploy/container/Dockerfile FOLDER      # or: buildah bud, podman build

The build itself needs no package index, and is given no more than it needs: neither the checkout
nor its history.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from deploy import into_a_folder
from deploy.bundle.build import build, tree_as_it_is
from deploy.bundle.pack import fetch

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".wheels_cache"


def lay_out(folder: Path) -> None:
    """Fill `folder/wheels`; each wheel of a dependency matches its hash in the lock.

    ConfigError where one is not available.
    """
    wheels = folder / "wheels"
    build(ROOT, wheels, tree_as_it_is(ROOT)).sdist.unlink()
    for wheel in fetch(ROOT, CACHE):
        shutil.copyfile(wheel, wheels / wheel.name)


if __name__ == "__main__":
    into_a_folder("container", __doc__, lay_out)
