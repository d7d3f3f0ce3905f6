"""Other engines on the same corpora: ripgrep and YARA-X with the same five shapes, Presidio and detect-secrets with their own.

None looks anything up. Presidio and detect-secrets are run by `ULLAGE_BENCH_PEERS`, a Python that has them.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ullage.errors import UnavailableError

SHAPES = {
    "phone": r"\b(?:86[- ]?)?1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4}\b",
    "resident_id": r"\b[1-9][0-9]{5}(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]\b",
    "card": r"\b[3-6][0-9]{3}[- ]?[0-9]{4}[- ]?[0-9]{4}[- ]?[0-9]{4}(?:[- ]?[0-9]{1,3})?\b",
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,24}\b",
    "digest": r"\b(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})\b",
}
PEERS, PEER_PROGRAM = os.environ.get("ULLAGE_BENCH_PEERS", ""), Path(__file__).with_name("peers.py")
RIPGREP = ("--count-matches", "-j1", "--no-unicode", "-a", "--no-config", "--no-filename")


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """This process and those it starts stay on one core."""
    free = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(free)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, free)


def children_seconds() -> float:
    """CPU seconds, user and system, of the processes that have ended so far: a clock for `table.best`."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ripgrep(path: Path) -> Callable[[], int]:
    """Counts the matches of all shapes in a file, or in those of a folder; UnavailableError without `rg`."""
    program = shutil.which("rg")
    if program is None:
        raise UnavailableError("rg is not installed: apt install ripgrep")
    words = [program, *RIPGREP, "-e", "|".join(SHAPES.values()), str(path)]
    return lambda: sum(map(int, subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()))


def peer(name: str, path: Path) -> Callable[[], int]:
    """Counts what `presidio` or `detect-secrets` finds in a file; UnavailableError without a Python that has them."""
    if not PEERS:
        raise UnavailableError(f"{name} is not measured: ULLAGE_BENCH_PEERS=PYTHON names one that has it")
    words = [PEERS, str(PEER_PROGRAM), name, str(path)]
    return lambda: sum(json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout).values())


def yara(documents: Sequence[bytes]) -> Callable[[], int]:
    """Counts the matches of a rule a shape over documents; UnavailableError without the wheel."""
    try:
        import yara_x  # a dependency of the benchmark alone
    except ModuleNotFoundError:
        raise UnavailableError("YARA-X is not installed: pip install yara-x") from None
    rules = yara_x.compile(
        "\n".join(f"rule {name} {{ strings: $a = /{shape}/ condition: $a }}" for name, shape in SHAPES.items())
    )
    scanner = yara_x.Scanner(rules)

    def count() -> int:
        found = (scanner.scan(document).matching_rules for document in documents)
        return sum(len(pattern.matches) for rules in found for rule in rules for pattern in rule.patterns)

    return count
