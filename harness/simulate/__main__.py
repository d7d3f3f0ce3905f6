"""`make simulate SEEDS=1-200`: nights from seeds; how many a minute, and which seed found what.

python -m harness.simulate 17                         the night of one seed, with its trace
python -m harness.simulate 1-200                      many: a line for each that fails, then exit 1
python -m harness.simulate 1-20 --bug commit-first    until one of them finds a planted bug
                                                      (`harness.simulate.bugs`)
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.simulate.bugs import BUGS, planted
from harness.simulate.night import NightReport, night, prepare
from ullage.display.progress import progress_bar

MEMORY = Path("/dev/shm")  # what is synced there is synced at once


def seeds(text: str) -> list[int]:
    """`17`, `1-200`, or several of these with commas."""
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def bugs(text: str) -> list[str]:
    """Names of bugs, with commas between."""
    names = text.split(",")
    if unknown := [name for name in names if name not in BUGS]:
        raise argparse.ArgumentTypeError(
            f"there is no bug {unknown[0]!r}; there are {', '.join(sorted(BUGS))}"
        )
    return names


def nights(wanted: list[int], bugs: Sequence[str] = ()) -> Iterator[NightReport]:
    """Run one night after the other, each in a folder of its own that is removed afterwards."""
    with tempfile.TemporaryDirectory(
        prefix="night-", dir=MEMORY if MEMORY.is_dir() else None
    ) as folder:
        root = Path(folder)
        prepare(root / "prepared")
        for seed in wanted:
            with planted(bugs):
                yield night(seed, root / "prepared", root / "night")
            shutil.rmtree(root / "night")


def main(words: list[str]) -> int:
    """Run the nights; 1 where something does not hold, or where a planted bug is not found."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.simulate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("seeds", type=seeds, help="17, 1-200 or 3,5,7")
    parser.add_argument(
        "--bug",
        type=bugs,
        default=(),
        help="plant bugs, with commas between, and stop where one is found",
    )
    options = parser.parse_args(words)
    count, failed, steps, struck = 0, list[int](), Counter[str](), Counter[str]()
    began = time.monotonic()
    with progress_bar(len(options.seeds), "nights") as progress:
        for report in nights(options.seeds, options.bug):
            count, steps, struck = count + 1, steps + report.steps, struck + report.struck
            if len(options.seeds) == 1:
                print("\n".join(report.trace))
            if report.broken or len(options.seeds) == 1:
                print(
                    f"seed {report.seed}: {'; '.join(report.broken) or 'all holds'} (trace"
                    f" {report.digest()})",
                    flush=True,
                )
            if report.broken:
                failed.append(report.seed)
                if options.bug:
                    break
            progress.add(text=f"{len(failed)} failed")
    a_minute = 60 * count / (time.monotonic() - began)
    print(
        f"{count} nights, {a_minute:.1f} a minute; {steps.total():,} durable steps at {len(steps)}"
        " places"
    )
    print(f"faults: {', '.join(f'{number} {kind}' for kind, number in sorted(struck.items()))}")
    if failed:
        print(f"failed: SEEDS={','.join(map(str, failed))}")
    return int(bool(failed) is not bool(options.bug))


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of words have one order then
        os.execve(
            sys.executable,
            [sys.executable, "-m", "harness.simulate", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    sys.exit(main(sys.argv[1:]))
