"""`make simulate SEEDS=1-200`: nights from seeds; how many a minute, and which seed found what.

python -m harness.simulate 17                         the night of one seed, with its trace
python -m harness.simulate 1-200                      many: a line for each that fails, and 1 in the end
python -m harness.simulate 1-20 --bug commit-first    until one of them finds a bug that is planted (`harness.simulate.bugs`)
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from harness.simulate.bugs import BUGS, planted
from harness.simulate.night import Told, night, prepare

MEMORY = Path("/dev/shm")  # what is synced there is synced at once
TOLD_SECONDS, TOLD_NIGHTS = 10.0, 50
"""How often it is told how far the nights are: to a person by time, to a log by nights."""


@dataclass
class Progress:
    """Tells how far so many nights are: of many, a line at a time, and none of the last, which the summary follows."""

    nights: int
    to: TextIO
    now: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._began = self._told = self.now()

    def a_minute(self, count: int) -> float:
        """Nights a minute, of `count` since the beginning."""
        return 60 * count / (self.now() - self._began)

    def after(self, count: int, failed: int) -> None:
        """After `count` nights, of which so many failed: a line where one is due."""
        due = self.now() - self._told >= TOLD_SECONDS if self.to.isatty() else count % TOLD_NIGHTS == 0
        if due and count < self.nights:
            self._told = self.now()
            said = f"{count} of {self.nights} nights, {self.a_minute(count):.1f} a minute, {failed} failed"
            print(said, file=self.to, flush=True)


def seeds(text: str) -> list[int]:
    """`17`, `1-200`, or several of these with commas."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def bugs(text: str) -> list[str]:
    """Names of bugs, with commas between."""
    names = text.split(",")
    if unknown := [name for name in names if name not in BUGS]:
        raise argparse.ArgumentTypeError(f"there is no bug {unknown[0]!r}; there are {', '.join(sorted(BUGS))}")
    return names


def nights(wanted: list[int], bugs: Sequence[str] = ()) -> Iterator[Told]:
    """One night after the other, each in a folder of its own that goes with it."""
    with tempfile.TemporaryDirectory(prefix="night-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        root = Path(folder)
        prepare(root / "prepared")
        for seed in wanted:
            with planted(bugs):
                yield night(seed, root / "prepared", root / "night")
            shutil.rmtree(root / "night")


def main(words: list[str]) -> int:
    """Run the nights; 1 where something does not hold, or where a planted bug is not found."""
    parser = argparse.ArgumentParser(prog="python -m harness.simulate", description=__doc__.splitlines()[0])
    parser.add_argument("seeds", type=seeds, help="17, 1-200 or 3,5,7")
    parser.add_argument("--bug", type=bugs, default=(), help="plant bugs, with commas between, and stop where one is found")
    asked = parser.parse_args(words)
    count, failed, steps, struck = 0, list[int](), Counter[str](), Counter[str]()
    progress = Progress(len(asked.seeds), sys.stderr)
    for told in nights(asked.seeds, asked.bug):
        count, steps, struck = count + 1, steps + told.steps, struck + told.struck
        if len(asked.seeds) == 1:
            print("\n".join(told.trace))
        if told.broken or len(asked.seeds) == 1:
            print(f"seed {told.seed}: {'; '.join(told.broken) or 'all holds'} (trace {told.digest()})", flush=True)
        if told.broken:
            failed.append(told.seed)
            if asked.bug:
                break
        progress.after(count, len(failed))
    print(f"{count} nights, {progress.a_minute(count):.1f} a minute; {steps.total():,} durable steps at {len(steps)} places")
    print(f"faults: {', '.join(f'{number} {kind}' for kind, number in sorted(struck.items()))}")
    if failed:
        print(f"failed: SEEDS={','.join(map(str, failed))}")
    return int(bool(failed) is not bool(asked.bug))


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of words have one order then
        os.execve(sys.executable, [sys.executable, "-m", "harness.simulate", *sys.argv[1:]], os.environ | {"PYTHONHASHSEED": "0"})
    sys.exit(main(sys.argv[1:]))
