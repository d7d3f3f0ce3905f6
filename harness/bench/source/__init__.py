"""Whose leak was it: is what a statement of source says as certain as it claims?

5,000 simulated posts, 16,000 draws of victims alone, and daily looks for 120 days, in worlds that
were used to choose no constant. `SOURCE_SCALE=0.05` makes it smaller, for a try; `SOURCE_PAGE`
names a file to which the tables are written. `docs/leak-source.md` has the last full run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from harness.bench.source.experiment import LOOKS, Plan, Result, measure_cost, run_experiment
from harness.bench.source.looks import Run
from harness.bench.source.tables import (
    Goal,
    check_posts,
    check_victims,
    list_kinds,
    list_power,
    list_reliability,
)
from harness.bench.source.world import Size

MILLION = Size(customers=1_000_000, strata=600)
MOST_SECONDS, MOST_GIB, MOST_MB = 10.0, 1.0, 41.0
FALSE_LOOKS = 0.004


def source() -> list[str]:
    """Print the tables, and return the goals that were missed."""
    scale = float(os.environ.get("SOURCE_SCALE", "1"))
    plan = Plan(
        posts=round(5_000 * scale),
        bursts=round(16_000 * scale),
        power=round(1_800 * scale),
        looks=round(720 * scale),
        worlds=max(2, round(16 * min(1, scale))),
    )
    result = run_experiment(plan)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        cost = pool.submit(measure_cost, 7, MILLION).result()
    goals = [*check_result(result), *check_cost(*cost)]
    text = "\n".join([*render(result), "", *render_goals(goals), ""])
    print(text)
    if path := os.environ.get("SOURCE_PAGE"):
        Path(path).write_text(text, encoding="utf-8")
    return [goal.name for goal in goals if not goal.holds]


def check_result(result: Result) -> list[Goal]:
    """Return the goals of the experiment."""
    hidden = [run for run in result.looks if run.kind == LOOKS[1]]
    false = sum(run.named is not None for run in hidden) / max(1, len(hidden))
    return [
        *check_posts(result.posts),
        *check_victims(result.bursts, result.power),
        Goal("daily looks without a leak: anybody named", false, FALSE_LOOKS, at_least=False),
    ]


def check_cost(seconds: float, gib: float, size: int) -> list[Goal]:
    """Return the goals of 1 million customers and 10,000 cases."""
    return [
        Goal("1 M customers, 10,000 cases: seconds", seconds, MOST_SECONDS, at_least=False),
        Goal("the same: peak memory in GiB", gib, MOST_GIB, at_least=False),
        Goal("the same: memberships in MB", size / 1e6, MOST_MB, at_least=False),
    ]


def render(result: Result) -> Iterator[str]:
    """Yield all tables in Markdown."""
    yield "**Posts**\n"
    yield from list_kinds(result.posts)
    yield "\n**Victims alone**\n"
    yield from list_kinds(result.bursts)
    yield "\n**Reliability, victims alone**\n"
    yield from list_reliability(result.bursts)
    yield "\n**Reliability, posts**\n"
    yield from list_reliability(result.posts)
    yield "\n**Power**\n"
    yield from list_power(result.power)
    yield "\n**Daily looks for 120 days**\n"
    yield from render_looks(result.looks)


def render_looks(runs: list[Run]) -> Iterator[str]:
    """Yield the table of daily looks."""
    yield "| runs | number | anybody named | the true source first | median days |"
    yield "| --- | --- | --- | --- | --- |"
    for kind in LOOKS:
        chosen = [run for run in runs if run.kind == kind]
        if chosen:
            named = [run for run in chosen if run.named is not None]
            right = [run for run in named if run.named == run.source]
            days = f"{median(run.day or 0 for run in named):.0f}" if named else "–"
            rates = f"{len(named) / len(chosen):.4f} | {len(right) / len(chosen):.3f}"
            yield f"| {kind} | {len(chosen)} | {rates} | {days} |"


def render_goals(goals: list[Goal]) -> Iterator[str]:
    """Yield the goals with what was reached."""
    yield "| goal | reached | limit | holds |"
    yield "| --- | --- | --- | --- |"
    for goal in goals:
        sign = "≥" if goal.at_least else "≤"
        answer = "yes" if goal.holds else "**no**"
        yield f"| {goal.name} | {goal.value:.4g} | {sign} {goal.limit:g} | {answer} |"
