"""Run the model on simulated worlds, one world after the other in each process.

No constant was chosen on the worlds from `FIRST_SEED` on; those below are for choosing.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing import get_context

import numpy as np

from harness.bench.source.looks import Run, run_looks
from harness.bench.source.posts import DRAW, draw_leak
from harness.bench.source.tables import POWER, Outcome
from harness.bench.source.victims import KINDS, Burst, call, draw_burst
from harness.bench.source.world import Size, World
from matcher.leak_source.background import estimate_excess, weigh_exposure
from matcher.leak_source.excess import find_tail
from matcher.leak_source.hypotheses import Scores, find_posterior
from matcher.leak_source.post import PostModel
from matcher.leak_source.statement import (
    POST_PRIOR,
    VICTIMS_PRIOR,
    Verdict,
    state_source,
)
from matcher.leak_source.victims import VictimModel, Victims

FIRST_SEED = 2_001
EARLIER_CASES = 5_000
ONE_LOOK = 0.05
"""Probability of an accusation by chance in one look."""
POWER_COUNTS = (20, 30, 40, 60, 80, 120)
POWER_SHARE = 0.5
POWER_SIZES = 0.08, 0.12
MOST_SIMILAR = 0.5
"""Largest overlap (Jaccard) that a partner may have with another, where power is measured."""
LOOKS = ("no leak", "no leak, hidden", "leak")
COST_CASES = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is simulated."""

    posts: int = 5_000
    bursts: int = 16_000
    power: int = 1_800
    looks: int = 720
    """Runs of each kind of `LOOKS`."""
    worlds: int = 16
    processes: int = 2
    size: Size = field(default_factory=Size)
    first_seed: int = FIRST_SEED


@dataclass(frozen=True, slots=True)
class Result:
    """All outcomes."""

    posts: list[Outcome]
    bursts: list[Outcome]
    power: list[Outcome]
    looks: list[Run]


def run_experiment(plan: Plan) -> Result:
    """Run all worlds; the result depends on the plan alone."""
    seeds = range(plan.first_seed, plan.first_seed + plan.worlds)
    if plan.processes == 1:
        results = [run_world(seed, plan) for seed in seeds]
    else:
        with ProcessPoolExecutor(plan.processes, get_context("spawn")) as pool:
            results = list(pool.map(run_world, seeds, [plan] * plan.worlds))
    return Result(
        list(chain.from_iterable(result.posts for result in results)),
        list(chain.from_iterable(result.bursts for result in results)),
        list(chain.from_iterable(result.power for result in results)),
        list(chain.from_iterable(result.looks for result in results)),
    )


def run_world(seed: int, plan: Plan) -> Result:
    """Run one world's part of the plan."""
    world = World.make(seed, plan.size)
    rng = np.random.default_rng([seed, 1])
    model = PostModel(world.members)
    posts = [
        _judge(leak.kind, leak.sources, 1.0, model.score(leak.post), world, POST_PRIOR)
        for leak in (
            draw_leak(world, rng, kind) for kind in _spread(list(DRAW), plan.posts, seed, plan)
        )
    ]
    rng = np.random.default_rng([seed, 2])
    beta = estimate_excess(world.members, world.draw_victims(rng, EARLIER_CASES))
    victims = VictimModel.from_exposure(world.members, weigh_exposure(world.members, beta))
    kinds = rng.choice(list(KINDS), _part(plan.bursts, seed, plan), p=list(KINDS.values()))
    bursts = [_judge_burst(draw_burst(world, rng, str(kind)), victims, world) for kind in kinds]
    power = [
        _judge_burst(burst, victims, world)
        for burst in _draw_for_power(world, rng, _part(plan.power, seed, plan))
    ]
    looks = []
    for kind in LOOKS:
        # A bank without hidden confounding has no excess to learn.
        exposure = world.members.exposure if kind == "no leak" else victims.density.exposure
        for _ in range(_part(plan.looks, seed, plan)):
            looks.append(run_looks(world, rng, kind, exposure))
    return Result(posts, bursts, power, looks)


def _part(total: int, seed: int, plan: Plan) -> int:
    """Return how many of `total` are this world's."""
    number = seed - plan.first_seed
    return total * (number + 1) // plan.worlds - total * number // plan.worlds


def _spread(kinds: list[str], total: int, seed: int, plan: Plan) -> Iterator[str]:
    first = total * (seed - plan.first_seed) // plan.worlds
    for number in range(first, first + _part(total, seed, plan)):
        yield kinds[number % len(kinds)]


def _judge(
    kind: str, sources: tuple[int, ...], share: float, scores: Scores, world: World, prior: float
) -> Outcome:
    """Compare what is stated with the truth."""
    candidates = world.members.candidates
    statement = state_source(scores, candidates, prior, world.members.unexaminable)
    posterior = find_posterior(scores, candidates, prior)
    truth = tuple(sorted(sources))
    chosen = posterior.credible_set()
    probability = dict(zip(posterior.hypotheses, posterior.probability.tolist(), strict=True))
    inclusion = posterior.include(len(candidates))
    best = int(np.argmax(inclusion))
    return Outcome(
        kind=kind,
        rows=scores.rows,
        share=share,
        in_set=truth in chosen or scores.rows < 20,
        size=len(chosen),
        best=float(inclusion[best]),
        is_right=best in truth,
        is_indicated=statement.verdict in {Verdict.INDICATION, Verdict.NAMED},
        is_named=statement.verdict is Verdict.NAMED,
        beats_chance=False,
        stated=sum(probability[members] for members in chosen),
    )


def _judge_burst(burst: Burst, model: VictimModel, world: World) -> Outcome:
    scores = model.score(Victims(burst.victims))
    outcome = _judge(burst.kind, burst.sources, burst.share, scores, world, VICTIMS_PRIOR)
    if not burst.kind.startswith(POWER):
        return outcome
    source = burst.sources[0]
    chance = model.density.exposure[world.members.strata[burst.victims], source]
    exposed = int(world.members.has(source)[burst.victims].sum())
    tail = find_tail(exposed, chance)
    return Outcome(
        burst.kind,
        int(burst.kind.split()[-1]),
        burst.share,
        outcome.in_set,
        outcome.size,
        outcome.best,
        outcome.is_right,
        outcome.is_indicated,
        outcome.is_named,
        tail <= ONE_LOOK / len(world.members.candidates),
        outcome.stated,
    )


def _draw_for_power(world: World, rng: np.random.Generator, count: int) -> Iterator[Burst]:
    """Draw bursts of partners with about a tenth of the customers and half of the cases."""
    totals = world.members.sizes.sum(axis=0)
    low, high = POWER_SIZES
    sources = list[int]()
    near = (totals > low * len(world.members)) & (totals < high * len(world.members))
    for candidate in np.flatnonzero(near).tolist():
        shared = world.members.count_shared(candidate).sum(axis=0)
        jaccard = shared / np.maximum(1, totals + totals[candidate] - shared)
        jaccard[candidate] = 0
        if world.members.candidates[candidate].kind != "own" and jaccard.max() <= MOST_SIMILAR:
            sources.append(candidate)
    for number in range(count if sources else 0):
        victims = POWER_COUNTS[number % len(POWER_COUNTS)]
        source = int(rng.choice(sources))
        base = world.draw_victims(rng, victims)
        called = rng.random(victims) < POWER_SHARE
        base[called] = call(world, rng, world.list_of(source), int(called.sum()))
        yield Burst(f"{POWER}{victims}", (source,), POWER_SHARE, np.unique(base))


def measure_cost(seed: int, size: Size) -> tuple[float, float, int]:
    """Measure 10,000 cases: CPU seconds, peak memory in GiB, bytes of the table.

    Making the world is left out of the time, not of the memory. Run it in a process of its own.
    """
    world = World.make(seed, size)
    rng = np.random.default_rng([seed, 3])
    earlier = world.draw_victims(rng, EARLIER_CASES)
    burst = np.unique(world.draw_victims(rng, COST_CASES))
    start = time.process_time()
    chance = weigh_exposure(world.members, estimate_excess(world.members, earlier))
    scores = VictimModel.from_exposure(world.members, chance).score(Victims(burst))
    state_source(scores, world.members.candidates, VICTIMS_PRIOR, world.members.unexaminable)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    return seconds, peak, world.members.nbytes
