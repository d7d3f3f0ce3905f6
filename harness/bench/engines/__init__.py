"""Other engines: ripgrep with five shapes, Presidio with its own, run by `ULLAGE_BENCH_PEERS`, a
Python that has it.

Neither looks anything up.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from ullage.errors import UnavailableError

SHAPES = {
    "phone": r"\b(?:86[- ]?)?1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4}\b",
    "resident_id": (
        r"\b[1-9][0-9]{5}(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
        r"[0-9]{3}[0-9Xx]\b"
    ),
    "card": r"\b[3-6][0-9]{3}[- ]?[0-9]{4}[- ]?[0-9]{4}[- ]?[0-9]{4}(?:[- ]?[0-9]{1,3})?\b",
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,24}\b",
    "digest": r"\b(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})\b",
}
PEERS, PEER_PROGRAM = os.environ.get("ULLAGE_BENCH_PEERS", ""), Path(__file__).with_name("peers.py")
RIPGREP = ("--count-matches", "-j1", "--no-unicode", "-a", "--no-config", "--no-filename")


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Pin this process, and those it starts, to one core."""
    free = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(free)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, free)


def children_seconds() -> float:
    """CPU seconds, user and system, of the processes that have ended so far: a clock for
    `table.best`.
    """
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ripgrep(path: Path) -> Callable[[], int]:
    """Return a function that counts the matches of all shapes in a file or folder.

    Raise UnavailableError without `rg`.
    """
    program = shutil.which("rg")
    if program is None:
        raise UnavailableError("rg is not installed: apt install ripgrep")
    words = [program, *RIPGREP, "-e", "|".join(SHAPES.values()), str(path)]
    return lambda: sum(
        map(int, subprocess.run(words, capture_output=True, text=True, check=False).stdout.split())
    )
