"""What the experiment counted, as tables, and which goals it missed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

ONE_SOURCE = ("one source", "one source, skewed calling")
WITHOUT_SOURCE = ("no leak", "no leak, families", "unlisted source")
OVERLAPPING = ("unlisted, overlapping",)
POWER = "power, "
"""Begins the kind of draws that measure power."""
BINS = (0.0, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999, 1.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One simulated leak, and what was stated about it."""

    kind: str
    rows: int
    share: float
    in_set: bool
    """Whether the 95 % set contains the truth: all sources together, or none of these."""
    size: int
    """Hypotheses in the set."""
    best: float
    """Inclusion of the most probable candidate."""
    is_right: bool
    """Whether that candidate leaked."""
    is_indicated: bool
    is_named: bool
    beats_chance: bool
    """Whether chance alone would have exposed so many victims with at most 0.05 / candidates."""
    stated: float
    """Probability that the set was stated to have."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A measure, its value, and the limit that it must keep."""

    name: str
    value: float
    limit: float
    at_least: bool = True

    @property
    def holds(self) -> bool:
        """Return whether the goal was reached."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def share(flags: Iterable[bool]) -> float:
    """Return the share of true flags, 1 if there are none."""
    values = list(flags)
    return sum(values) / len(values) if values else 1.0


def list_kinds(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the table of kinds in Markdown."""
    yield "| kind | draws | truth in set | of one | indicated | named | wrongly indicated | named |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    kinds = [*dict.fromkeys(outcome.kind for outcome in outcomes), ""]
    for kind in kinds:
        chosen = [outcome for outcome in outcomes if kind in {"", outcome.kind}]
        right = [outcome for outcome in chosen if outcome.is_right]
        wrong = [outcome for outcome in chosen if not outcome.is_right]
        cells = (
            kind or "**all**",
            f"{len(chosen):,}",
            f"{100 * share(outcome.in_set for outcome in chosen):.1f} %",
            f"{100 * share(outcome.size == 1 for outcome in chosen):.0f} %",
            f"{100 * sum(outcome.is_indicated for outcome in right) / len(chosen):.0f} %",
            f"{100 * sum(outcome.is_named for outcome in right) / len(chosen):.0f} %",
            str(sum(outcome.is_indicated for outcome in wrong)),
            str(sum(outcome.is_named for outcome in wrong)),
        )
        yield f"| {' | '.join(cells)} |"


def list_reliability(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the reliability diagram: how often the most probable candidate had leaked."""
    yield "| probability of the most probable candidate | draws | stated | had leaked |"
    yield "| --- | --- | --- | --- |"
    for low, high in pairwise(BINS):
        chosen = [o for o in outcomes if low <= o.best < high or (high == 1.0 and o.best >= 1.0)]
        if chosen:
            stated = sum(outcome.best for outcome in chosen) / len(chosen)
            right = share(outcome.is_right for outcome in chosen)
            yield f"| {low:g}–{high:g} | {len(chosen):,} | {stated:.3f} | {right:.3f} |"


def list_power(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield power by number of victims: a partner with about 10 %, and half of the cases."""
    yield "| victims | draws | better than chance | indicated | named |"
    yield "| --- | --- | --- | --- | --- |"
    for kind in sorted({o.kind for o in outcomes}, key=lambda kind: int(kind.split()[-1])):
        chosen = [outcome for outcome in outcomes if outcome.kind == kind]
        rates = (
            share(outcome.beats_chance for outcome in chosen),
            share(outcome.is_indicated and outcome.is_right for outcome in chosen),
            share(outcome.is_named and outcome.is_right for outcome in chosen),
        )
        cells = " | ".join(f"{rate:.2f}" for rate in rates)
        yield f"| {kind.split()[-1]} | {len(chosen):,} | {cells} |"


def check_posts(outcomes: Sequence[Outcome]) -> list[Goal]:
    """Return the goals of posts."""
    kinds = sorted({outcome.kind for outcome in outcomes} - {"mixed"})
    worst = min(
        share(outcome.in_set for outcome in outcomes if outcome.kind == kind) for kind in kinds
    )
    wrong = sum(outcome.is_named and not outcome.is_right for outcome in outcomes)
    return [
        Goal("posts: truth in the set", share(o.in_set for o in outcomes), 0.95),
        Goal("posts: the worst kind with at most one source", worst, 0.93),
        Goal("posts: wrongly named", wrong / max(1, len(outcomes)), 0.001, at_least=False),
    ]


def check_victims(outcomes: Sequence[Outcome], power: Sequence[Outcome]) -> list[Goal]:
    """Return the goals of victims alone."""
    pairs = [outcome for outcome in outcomes if outcome.kind == "two sources"]
    apart = [outcome for outcome in outcomes if outcome.kind not in OVERLAPPING]
    wrong = sum(outcome.is_named and not outcome.is_right for outcome in apart)
    chance = [outcome for outcome in power if outcome.rows == 30]
    indicated = [outcome for outcome in power if outcome.rows == 120]
    return [
        Goal("victims: truth in the set", share(o.in_set for o in outcomes), 0.95),
        Goal("victims: both of two sources", share(o.in_set for o in pairs), 0.75),
        Goal("victims: wrongly named", wrong / max(1, len(apart)), 0.001, at_least=False),
        Goal("30 victims: better than chance", share(o.beats_chance for o in chance), 0.9),
        Goal(
            "120 victims: indication",
            share(o.is_indicated and o.is_right for o in indicated),
            0.88,
        ),
    ]
