"""Daily looks at victims for 120 days: how often does the e-process name anybody?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.bench.source.victims import call
from harness.bench.source.world import World
from matcher.leak_source.excess import EProcess, find_threshold

DAYS, CASES_A_DAY = 120, 3
LEAK_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """One run of daily looks: the first named candidate and the day, None if nobody was named."""

    kind: str
    named: int | None
    day: int | None
    source: int | None


def run_looks(
    world: World,
    rng: np.random.Generator,
    kind: str,
    exposure: npt.NDArray[np.float64],
) -> Run:
    """Look once a day.

    Kinds: "no leak", with a background by stratum alone; "no leak, hidden" confounding; and "leak".
    """
    members = world.members
    counts = rng.poisson(CASES_A_DAY, DAYS)
    total = int(counts.sum())
    source = None
    if kind == "no leak":
        rate = np.cumsum(world.base_rate[members.strata])
        victims = np.searchsorted(rate, rng.random(total) * rate[-1]).astype(np.int64)
    else:
        victims = world.draw_victims(rng, total)
    if kind == "leak":
        source = int(rng.choice(world.examinable))
        called = rng.random(total) < LEAK_SHARE
        victims[called] = call(world, rng, world.list_of(source), int(called.sum()))
    process = EProcess.run(
        members.rows(victims), exposure[members.strata[victims]], np.cumsum(counts)
    )
    threshold = find_threshold(len(members.candidates))
    reached = process.log_e[:, world.examinable] >= threshold
    days = np.flatnonzero(reached.any(axis=1))
    if not len(days):
        return Run(kind, None, None, source)
    best = int(np.argmax(process.log_e[days[0], world.examinable]))
    return Run(kind, int(world.examinable[best]), int(days[0]) + 1, source)
