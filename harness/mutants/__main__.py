"""`make mutants`: how many small changes of what must not lose or double anything some test
notices; 1 where it is under 0.90.

SAMPLE=n of them (0: all, which takes hours), chosen by SEED=s; ONLY=area alone. harness/README.md
has the score.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from harness.mutants.areas import AREAS, ROOT
from harness.mutants.change import mutants_of, sample, without
from harness.mutants.equivalent import EQUIVALENT
from harness.mutants.session import OUTCOMES, Session

GOAL = 0.90
QUICK = "not servers and not faults and not live and not deploy and not image and not flow"


def main(words: list[str]) -> int:
    """Try the mutants and print what became of them."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--only", choices=AREAS, nargs="*", default=[])
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args(words)
    areas = {name: area for name, area in AREAS.items() if name in (arguments.only or AREAS)}
    area_of = {path: name for name, area in areas.items() for path in area.paths()}
    chosen = without(
        sample(
            [mutant for path in area_of for mutant in mutants_of(path)],
            arguments.sample,
            arguments.seed,
        ),
        EQUIVALENT,
    )
    say = partial(print, file=os.fdopen(os.dup(2), "w"), flush=True)
    session = Session(chosen, [*area_of], arguments.jobs, say)
    tests = list(dict.fromkeys(test for area in areas.values() for test in area.tests))
    options = ["-x", "-p", "no:terminal", "--timeout=0", "-m", QUICK, *tests]
    if code := pytest.main(options, plugins=[session]):
        return int(code)
    return report(session, area_of, say)


def report(session: Session, area_of: Mapping[Path, str], say: Callable[[str], None]) -> int:
    """Say what survived, and the score of each area."""
    for mutant, outcome in session.outcomes.items():
        if outcome in {"survived", "untested"}:
            place = f"{mutant.path.relative_to(ROOT)}:{mutant.lines.start}"
            say(
                "\n".join(
                    [
                        f"{area_of[mutant.path]}: {outcome}: {place}",
                        *(f"    {line}" for line in mutant.diff()),
                    ]
                )
            )
    counts = Counter(
        (area_of[mutant.path], outcome) for mutant, outcome in session.outcomes.items()
    )
    say(f"{'area':14}" + "".join(f"{outcome:>10}" for outcome in OUTCOMES) + f"{'score':>10}")
    for area in [*dict.fromkeys(area_of.values()), "all"]:
        row = {
            outcome: sum(
                n for (of, what), n in counts.items() if what == outcome and area in {of, "all"}
            )
            for outcome in OUTCOMES
        }
        say(
            f"{area:14}"
            + "".join(f"{row[outcome]:10}" for outcome in OUTCOMES)
            + f"{score(row):10.2f}"
        )
    return int(score(row) < GOAL)


def score(counts: Mapping[str, int]) -> float:
    """Return the share of mutants that was noticed.

    Those that the compiler makes equal, or makes nothing of, do not count.
    """
    noticed = counts["killed"] + counts["timeout"]
    tried = noticed + counts["survived"] + counts["untested"]
    return noticed / tried if tried else 1.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
