"""Build wheel and sdist of a commit: the same bytes wherever and whenever they are built.

Every source of difference is removed. The tree comes from git only, with git's file modes. Every
time is the commit's (SOURCE_DATE_EPOCH,
https://reproducible-builds.org/specs/source-date-epoch/). Umask, time zone, language and hash
seed are fixed. setuptools already fixes order and times in the wheel; its sdist keeps the order
of the file system, so it is packed again.
"""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO, NamedTuple, cast

from ullage.errors import ConfigError

BACKEND = (
    "import sys; from setuptools import build_meta as b; _, out = sys.argv; b.build_wheel(out);"
    " b.build_sdist(out)"
)
UMASK = 0o022
"""The umask for all packed files: others may read them."""


class Built(NamedTuple):
    """The built wheel and sdist, and the time of their commit in Unix seconds."""

    wheel: Path
    sdist: Path
    epoch: int


def git(root: Path, *words: str) -> bytes:
    """Return the output of a git command; ConfigError with git's last line if it fails."""
    command = ["git", "-C", str(root), *words]  # found as make finds it
    process = subprocess.run(command, capture_output=True, check=False)
    if process.returncode:
        raise ConfigError(
            f"{root}: git {words[0]}:"
            f" {process.stderr.decode(errors='replace').strip().splitlines()[-1]}"
        )
    return process.stdout


def tree_as_it_is(root: Path) -> str:
    """Return a commit of the working tree as it is now.

    This is HEAD where nothing differs from it. The working tree is not changed.
    """
    return git(root, "stash", "create").decode().strip() or "HEAD"


def build(root: Path, out: Path, commit: str = "HEAD") -> Built:
    """Write wheel and sdist of `commit` of the repository `root` into `out`.

    Returns their paths and the time of the commit; both depend only on the commit. Existing files
    of that name are replaced. Raises ConfigError where the build backend fails.
    """
    epoch = int(git(root, "log", "-1", "--format=%ct", commit))
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tree, output = Path(folder, "tree"), Path(folder, "made")
        output.mkdir()
        with tarfile.open(
            fileobj=io.BytesIO(git(root, "-c", "tar.umask=0022", "archive", "--format=tar", commit))
        ) as packed:
            packed.extractall(tree, filter="tar")
        settings = {
            "SOURCE_DATE_EPOCH": str(epoch),
            "PYTHONHASHSEED": "0",
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
        }
        process = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", BACKEND, str(output)],
            cwd=tree,
            env={"PATH": os.defpath, **settings},
            umask=UMASK,
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            raise ConfigError(
                f"setuptools built nothing: {process.stderr.strip().splitlines()[-1]}"
            )
        (wheel,), (sdist,) = output.glob("*.whl"), output.glob("*.tar.gz")
        with tarfile.open(sdist) as unsorted:
            members = [member for member in unsorted.getmembers() if member.isfile()]
            files = {
                member.name: cast("IO[bytes]", unsorted.extractfile(member)).read()
                for member in members
            }
            runs = {member.name for member in members if member.mode & 0o100}
        (out / wheel.name).write_bytes(wheel.read_bytes())
        (out / sdist.name).write_bytes(packed_tar(files, runs, epoch))
    return Built(out / wheel.name, out / sdist.name, epoch)


def packed_tar(files: dict[str, bytes], runs: set[str], epoch: int) -> bytes:
    """Return a .tar.gz of `files`, by name; those named in `runs` are executable.

    The bytes depend only on the files and on the time `epoch`.
    """
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = (
                len(files[name]),
                epoch,
                0o755 if name in runs else 0o644,
            )
            packed.addfile(member, io.BytesIO(files[name]))
    # most of the files are wheels, which are already compressed
    return gzip.compress(text.getvalue(), compresslevel=1, mtime=epoch)
