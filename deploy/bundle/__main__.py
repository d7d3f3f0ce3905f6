"""Write the release of the last commit into `dist/`, as `make bundle` does.

`python -m deploy.bundle --key RELEASE.key`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.bundle.build import build, git
from deploy.bundle.pack import pack, signing_key
from ullage.errors import ConfigError, UllageError

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".wheels_cache"


def main() -> None:
    """Build wheel, sdist and, if a key is given, the archive; print their paths.

    Reads the command line. Raises ConfigError if changes of tracked files are not committed, or
    building fails.
    """
    parser = argparse.ArgumentParser(
        description="Wheel, sdist and signed archive of the last commit."
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="the folder (dist)")
    parser.add_argument(
        "--key", type=Path, help="the private key of releases; without it there is no archive"
    )
    words = parser.parse_args()
    if git(ROOT, "status", "--porcelain", "--untracked-files=no").strip():
        raise ConfigError(
            f"{ROOT}: commit all changes first, because a release is built from a commit"
        )
    built = build(ROOT, words.out)
    artefacts = [built.wheel, built.sdist]
    if words.key:
        artefacts.append(pack(ROOT, words.out, CACHE, signing_key(words.key)))
    for path in artefacts:
        print(path)  # noqa: T201 - it is a command


if __name__ == "__main__":
    try:
        main()
    except UllageError as error:
        sys.exit(f"bundle: {error}")
