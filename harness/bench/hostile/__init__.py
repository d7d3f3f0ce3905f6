"""Inputs made to be slow: their speed on one core, and whether time grows with length and no
faster.

A class passes if time grows 2.2-fold at most with each doubling of its length, and each length is
read at 5 MB/s at least, in CPU time of the machine on which this was set: each try is taken for as
much less as this one is slower at the moment. A few characters over and over, which no file holds,
are read at 2.5 MB/s; those that the search by mutation makes of the costliest of them, anew in each
run, at 1.5 MB/s. Growth is told within a regime: among texts of one window, below 2 MiB, where what
is worse than linear within a window shows, and among those of a full batch or more, which are
decoded in parts and counted whole. What costs more in every window but the first looks like growth,
so that a class which grows too fast there is measured at twice these lengths. A round takes all
lengths of a regime one after the other, and the median of the rounds counts: CPU time is dearer
while a neighbour of this machine is busy. Of a container of many tiny members each member costs and
hardly its bytes, so these are measured by the member, up to as many as a capture may have. A file,
or a text in which one is written as letters, goes to a child once, whatever its length: that start
is measured and taken off. What misses is measured again after all others, in turns that lie minutes
apart. A search by mutation, with a fixed seed, looks for worse inputs than those that were thought
of. `make bench ONLY=hostile` fails where a class misses.
"""

from __future__ import annotations

import collections
import math
import os
import random
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from harness.bench import engines
from harness.bench.corpus.customer_list import enrol_people
from harness.bench.corpus.people import Person
from harness.bench.hostile.inputs import DOMAIN, FILES, INPUTS, MEMBERS, OWN, PAGES, TEXTS, repeat
from harness.bench.match_inputs import captures, ours
from harness.bench.table import row
from matcher.cli.loading import build_matcher, keep_freed_memory
from matcher.match.pipeline import Matcher
from matcher.unpack.formats import can_hold_file
from ullage import setup
from ullage.settings import Context

MB, KIB = 10**6, 1024
SHORT = tuple(
    KIB * int(size)
    for size in os.environ.get("ULLAGE_BENCH_HOSTILE_SHORT", "512 1024 2047").split()
)
LONG = tuple(
    KIB * int(size) for size in os.environ.get("ULLAGE_BENCH_HOSTILE_LONG", "4200 8400").split()
)
LONGER = tuple(2 * size for size in LONG)
"""Bytes of inputs of one window, of several, and of twice as many; the environment gives KiB."""
MANY = (12_500, 25_000, 50_000, 100_000)
"""Members of a container; the last is the most that are read of a capture unless another number
is set.
"""
MOST_GROWTH, LEAST_RATE, LEAST_REPEATED, LEAST_FOUND, LEAST_MEMBERS = (
    2.2,
    5.0 * MB,
    2.5 * MB,
    1.5 * MB,
    3_000.0,
)
"""How often as long twice as much may take; bytes a second, of a few characters over and over and
of those found by search too; and members a second: unpacked by a child, read, and counted by the
parent. So the most members that are read of a capture take half a minute.
"""
LEAST_OWN = 1.0 * MB
"""Bytes a second of what is labels or the tenant's own sites over and over: what stands beside
each of them is read.
"""
PATIENCE = 60.0
"""CPU seconds: a class of which one length takes longer is not measured any further."""
ENOUGH, LEAST, MOST, AGAIN, TURNS, STARTS = 1.0, 2, 30, 3, 6, 5
"""CPU seconds for the rounds of a regime, and rounds, at least and at most; how often in a turn
what missed is measured; turns; starts.
"""
YARDSTICK, USUAL, FRESH_SECONDS = b"13912345678 " * 40_000, 60.0, 0.05
"""A text, MB/s at which Python's own search for numbers reads it where the goals were set, and
how long such a look counts.
"""
CUSTOMERS = 1000
DIFFERENCE = 0.1
"""Of what the start of a child costs, by which one differs from another."""
OWN_START = 0.75
"""Of the least that a file ever took, which its start is at most."""
STARTING = (
    b"a line of text that somebody wrote down, and that is read by a child".hex().encode() * 2
)
"""A file written as letters."""


def seconds(matcher: Matcher, context: Context, body: bytes, *, page: bool = False) -> float:
    """CPU seconds for one capture, read as a page of HTML or as plain text."""
    batch = [captures([body], context, "text/html" if page else "text/plain")]
    start = time.process_time() + engines.children_seconds()  # a container is read by a child
    ours(matcher, batch, context)
    return time.process_time() + engines.children_seconds() - start


@dataclass
class Start:
    """What the start of a child costs: the median of all that was measured, in CPU seconds."""

    cost: Callable[[bytes], Cost]
    tries: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Of one start."""
        return statistics.median(self.tries)

    def measure(self) -> None:
        """Measure it some more."""
        self.tries += [self.cost(STARTING).usual for _ in range(STARTS)]

    def less(self, spent: float, least: float = math.inf) -> float:
        """`spent` without the start; at least what starts differ by.

        A file's own start is no more than three quarters of the `least` that such a file ever took:
        some parsers load sooner.
        """
        return max(spent - min(self.seconds, least * OWN_START), self.seconds * DIFFERENCE)


class Cost(NamedTuple):
    """CPU seconds: those that were spent, and those of the machine on which the goals were set."""

    spent: float
    usual: float


@dataclass
class Machine:
    """What something costs in CPU seconds of the machine on which the goals were set, however
    slow this one is at the moment.
    """

    fastest: float = 0.0
    """The most that was measured, as a share of that machine."""
    _speed: float = 0.0
    _looked_at: float = -math.inf

    def time(self, cost: Callable[..., float], *what: bytes, **how: bool) -> Cost:
        """Return what `cost` measures.

        The cost on the usual machine is judged by its speed just before or just after, whichever
        was greater.
        """
        before = self._speed_now()
        spent = cost(*what, **how)
        return Cost(spent, spent * max(before, self._speed_now()))

    def _speed_now(self) -> float:
        """1 at most: a faster machine is held to no more."""
        if time.monotonic() - self._looked_at > FRESH_SECONDS:
            spent = _search_seconds(re.compile(rb"1[3-9]\d{9}(?!\d)"))
            self._speed = min(1.0, len(YARDSTICK) / spent / (USUAL * MB))
            self.fastest, self._looked_at = max(self.fastest, self._speed), time.monotonic()
        return self._speed


def _search_seconds(pattern: re.Pattern[bytes]) -> float:
    start = time.process_time()
    collections.deque(map(re.Match.end, pattern.finditer(YARDSTICK)), 0)
    return time.process_time() - start


def hostile(folder: Path) -> list[str]:
    """Print a line per input, the worst that the search finds among them.

    Return the names of those that miss their target.
    """
    context = Context(folder / "hostile")
    list(setup.initialise(context))
    (context.data / "ullage.toml").write_text(
        f"[tenants.bench]\ndomains = ['{DOMAIN}']\n", encoding="utf-8"
    )
    context = Context(folder / "hostile")
    enrol_people(context, "bench", map(Person, range(CUSTOMERS)))
    matcher = build_matcher(context)
    keep_freed_memory()  # as match does: else growth beyond 2 MiB is that of page faults
    with engines.one_core():
        seconds(matcher, context, repeat("13912345678 ")(MB))  # tables are built on first use
        machine = Machine()
        cost = partial(machine.time, partial(seconds, matcher, context))
        start = Start(cost)
        start.measure()
        row("hostile: start of a child, ms", f"{start.seconds * 1000:.0f}")
        inputs = {**INPUTS, **PAGES}
        costliest = search(
            lambda body: start.less(cost(body).usual) if can_hold_file(body) else cost(body).usual
        )
        units = {
            f"found {number}: {unit[:24]!r}": repeat(unit)
            for number, unit in enumerate(costliest, 1)
        }
        pages = {name: partial(cost, page=name in PAGES) for name in inputs}
        classes = [
            HostileClass(name, make, pages[name], start, least=LEAST_REPEATED)
            for name, make in inputs.items()
        ]
        classes += [
            HostileClass(name, make, cost, start, least=LEAST_FOUND) for name, make in units.items()
        ]
        classes += [
            HostileClass(name, make, cost, start, least=LEAST_OWN) for name, make in OWN.items()
        ]
        classes += [HostileClass(name, make, cost, start, (SHORT,)) for name, make in TEXTS.items()]
        classes += [
            HostileClass(name, make, cost, start, (SHORT,), is_file=True)
            for name, make in FILES.items()
        ]
        classes += [
            HostileClass(name, make, cost, None, (MANY,), LEAST_MEMBERS, "members")
            for name, make in MEMBERS.items()
        ]
        missed = missing(classes, start)
        row(
            "hostile: speed of this machine, as a share of the one of the goals",
            f"{machine.fastest:.2f}",
        )
        return [each.name for each in missed]


@dataclass
class HostileClass:
    """A kind of input, by its length or number of members, and what each length took in each
    round, in CPU seconds.
    """

    name: str
    make: Callable[[int], bytes]
    cost: Callable[[bytes], Cost]
    start: Start | None = None
    """Is taken off where given."""
    regimes: Sequence[Sequence[int]] = (SHORT, LONG)
    least: float = LEAST_RATE
    unit: str = "MB"
    is_file: bool = False
    """Whether a child reads it at every length."""
    rounds: dict[Sequence[int], list[list[Cost]]] = field(default_factory=dict)
    """Of a regime: what its lengths took, one after the other."""
    given: set[int] = field(default_factory=set)
    """Lengths of which a child was given something to read."""

    def measure(self) -> bool:
        """Measure all lengths, then those of the regimes that miss; whether the class passes by
        all that was measured so far.
        """
        for regime in [lengths for lengths in self.regimes if not self._passes(lengths)]:
            bodies = [self.make(length) for length in regime]
            self.given |= {
                n
                for n, body in zip(regime, bodies, strict=True)
                if self.is_file or can_hold_file(body)
            }
            rounds = self.rounds.setdefault(regime, [])
            begun = len(rounds)
            while len(rounds) - begun < LEAST or (
                _to_seconds(rounds[begun:]) < ENOUGH and len(rounds) - begun < MOST
            ):
                rounds.append([self.cost(body) for body in bodies])
                if max(cost.spent for cost in rounds[-1]) > PATIENCE:
                    return False
            if regime == LONG and self._growth(LONG) > MOST_GROWTH:
                self.regimes = [LONGER if lengths == LONG else lengths for lengths in self.regimes]
        return all(map(self._passes, self.regimes))

    def show(self, passed: bool) -> None:
        """Print the class as a line of the table."""
        shown = (
            f"{self._rate / MB:.1f} MB/s"
            if self.unit == "MB"
            else f"{self._rate:,.0f} {self.unit}/s"
        )
        growth = max(self._growth(lengths) for lengths in self.regimes if lengths in self.rounds)
        missed = (
            ""
            if passed
            else (
                " MISS,"
                f" {' '.join(f'{length:,}: {spent:.3f} s' for length, spent in self.spent.items())}"
            )
        )
        row(f"hostile: {self.name}", shown, f"growth {growth:.2f}{missed}")

    @property
    def spent(self) -> dict[int, float]:
        """Seconds by length, without the start of a child: the median of all rounds."""
        return {
            length: self._net(length, statistics.median(cost.usual for cost in tries))
            for regime, rounds in self.rounds.items()
            for length, tries in zip(regime, zip(*rounds, strict=True), strict=True)
        }

    def _net(self, length: int, spent: float) -> float:
        least = min(
            cost.usual for rounds in self.rounds.values() for each in rounds for cost in each
        )
        return self.start.less(spent, least) if self.start and length in self.given else spent

    def _passes(self, regime: Sequence[int]) -> bool:
        if regime not in self.rounds:
            return False
        spent = self.spent
        return self._growth(regime) <= MOST_GROWTH and all(
            length / spent[length] >= self.least for length in regime
        )

    @property
    def _rate(self) -> float:
        return min(length / seconds for length, seconds in self.spent.items())

    def _growth(self, regime: Sequence[int]) -> float:
        """Return the mean of a regime's doublings, each the median of all rounds.

        It is given with its spread, which is what starts differ by. The lengths of a round follow
        each other, so a neighbour of this machine is likely to slow down all of them.
        """
        spare = self.start.seconds * DIFFERENCE if self.start and self.given else 0.0
        ratios = list[float]()
        for each in self.rounds[regime]:
            speed = sum(cost.usual for cost in each) / sum(cost.spent for cost in each)
            net = [
                self._net(length, cost.spent * speed)
                for length, cost in zip(regime, each, strict=True)
            ]
            ratios.append((net[-1] / (net[0] + spare)) ** (1 / (len(regime) - 1)))
        return statistics.median(ratios)


def _to_seconds(rounds: Sequence[Sequence[Cost]]) -> float:
    return sum(cost.spent for each in rounds for cost in each)


def missing(classes: Sequence[HostileClass], start: Start) -> list[HostileClass]:
    """Print a line a class as it is measured, and those that miss again, later, in turns; those
    that miss at every time.
    """
    remaining = list(classes)
    for turn in range(TURNS):
        measured, remaining = remaining, []
        for each in measured:
            passed = any(each.measure() for _ in range(AGAIN if turn else 1))
            each.show(passed)
            remaining += [] if passed else [each]
        start.measure()
    return remaining


FRAGMENTS = (
    *"@aAzZ0179+-./:;,|'\"()[]{}<>&#%\\=*_x \t\n",
    *"13 138 86 +86 0086 25 %31 &#49; \\u0031 u00".split(),
    *"at dot com .cn 6222 0212 deadbeef QUJD ----".split(),
    *"INSERT VALUES http:// QQ wxid_ E12 <b> </td> <!-- GB82 H123".split(),
    *"一 零 壹 幺 １ ① 𝟏 ＠ ： ， 手机 卡号 护照 微信 料 银行".split(),
    "\u200b", "\u202e", "\u0301", "\u3000", "138****", "13912345678", "[at]", " at ", "a@b.cn",
    "42010618890510861",
)  # fmt: skip
PROBE = 64 * 1024
GENERATIONS, CHILDREN, KEPT = 12, 20, 8


def search(cost: Callable[[bytes], float], seed: int = 5) -> Sequence[str]:
    """Return the `KEPT` costliest repeated texts of up to eight fragments.

    They are found by mutating random ones; a seed always gives the same draws.
    """
    rng = random.Random(seed)
    costs: dict[tuple[str, ...], float] = {}
    for _ in range(GENERATIONS):
        parents = _worst(costs)
        for _ in range(CHILDREN):
            mutated = _mutate(rng, rng.choice(parents) if parents and rng.random() < 0.7 else ())
            if mutated not in costs:
                body = repeat("".join(mutated))(PROBE)
                costs[mutated] = min(cost(body), cost(body)) / len(body)
    return ["".join(parts) for parts in _worst(costs)]


def _worst(costs: dict[tuple[str, ...], float]) -> list[tuple[str, ...]]:
    """Return the costliest texts, of which none shares a fragment with a costlier one.

    Otherwise all of them would be forms of one text.
    """
    chosen: list[tuple[str, ...]] = []
    for parts in sorted(costs, key=costs.__getitem__, reverse=True):
        if len(chosen) < KEPT and not any(
            set(parts) & set(chosen_parts) for chosen_parts in chosen
        ):
            chosen.append(parts)
    return chosen


def _mutate(rng: random.Random, parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return `parts` with one or two fragments inserted, and perhaps one removed."""
    fragments = list(parts)
    for _ in range(rng.randint(1, 2)):
        fragments.insert(rng.randint(0, len(fragments)), rng.choice(FRAGMENTS))
    if len(fragments) > 2 and rng.random() < 0.5:
        fragments.pop(rng.randrange(len(fragments)))
    return tuple(fragments[:8])
