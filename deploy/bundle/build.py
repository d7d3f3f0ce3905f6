"""Wheel and sdist of a commit, the same bytes wherever and whenever they are built.

What could differ is taken away: the tree comes from git alone, with git's modes; every time is the
commit's (SOURCE_DATE_EPOCH, https://reproducible-builds.org/specs/source-date-epoch/); umask, time
zone, language and hash seed are fixed. setuptools sees to the wheel's order and times by itself; an
sdist it writes as the files lie there, so that is packed again.
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
from typing import NamedTuple

from ullage.errors import ConfigError

BACKEND = (
    "import sys; from setuptools import build_meta as b; _, out = sys.argv; b.build_wheel(out);"
    " b.build_sdist(out)"
)
UMASK = 0o022
"""Of everything that is packed: others may read it."""


class Built(NamedTuple):
    """The two files, and the time of their commit in seconds since 1970."""

    wheel: Path
    sdist: Path
    epoch: int


def git(root: Path, *words: str) -> bytes:
    """What git says; ConfigError with its own last line."""
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=False)  # noqa: S607 - found as make finds it
    if done.returncode:
        raise ConfigError(
            f"{root}: git {words[0]}:"
            f" {done.stderr.decode(errors='replace').strip().splitlines()[-1]}"
        )
    return done.stdout


def tree_as_it_is(root: Path) -> str:
    """A commit of what is in the working tree now, where it differs from the last one; nothing
    of the tree is touched.
    """
    return git(root, "stash", "create").decode().strip() or "HEAD"


def build(root: Path, out: Path, commit: str = "HEAD") -> Built:
    """Write wheel and sdist of `commit` of the repository `root` into `out`; ConfigError where
    the backend fails.
    """
    epoch = int(git(root, "log", "-1", "--format=%ct", commit))
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tree, made = Path(folder, "tree"), Path(folder, "made")
        made.mkdir()
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
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", BACKEND, str(made)],
            cwd=tree,
            env={"PATH": os.defpath, **settings},
            umask=UMASK,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ConfigError(f"setuptools built nothing: {done.stderr.strip().splitlines()[-1]}")
        (wheel,), (sdist,) = made.glob("*.whl"), made.glob("*.tar.gz")
        with tarfile.open(sdist) as unsorted:
            members = [member for member in unsorted.getmembers() if member.isfile()]
            files = {member.name: unsorted.extractfile(member).read() for member in members}  # type: ignore[union-attr]  # a file has one
            runs = {member.name for member in members if member.mode & 0o100}
        (out / wheel.name).write_bytes(wheel.read_bytes())
        (out / sdist.name).write_bytes(packed_tar(files, runs, epoch))
    return Built(out / wheel.name, out / sdist.name, epoch)


def packed_tar(files: dict[str, bytes], runs: set[str], epoch: int) -> bytes:
    """A .tar.gz of `files` by name, those of `runs` executable, which depends on nothing else
    but the time `epoch`.
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
    # most of it are wheels, which are packed already
    return gzip.compress(text.getvalue(), compresslevel=1, mtime=epoch)
