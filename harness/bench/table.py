"""How the benchmarks measure, and the one table that they print."""

from __future__ import annotations

import time
from collections.abc import Callable

ROUNDS = 3


def best(
    act: Callable[[], object], clock: Callable[[], float] = time.process_time, rounds: int = ROUNDS
) -> float:
    """Seconds of the fastest of some rounds: CPU time of this process unless `clock` says
    otherwise.
    """
    times = []
    for _ in range(rounds):
        start = clock()
        act()
        times.append(clock() - start)
    return min(times)


def head() -> None:
    """Return the head of the table."""
    print(
        f"{'':<42} {'ours':>16} {'bare':>22} {'ratio':>8}   (above 1: faster than the bare library)"
    )


def row(what: str, ours: str, bare: str = "", ratio: float | None = None) -> None:
    """Return one line of the table; without a ratio it only states."""
    print(
        f"{what:<42} {ours:>16} {bare:>22} {'' if ratio is None else f'{ratio:.2f}':>8}", flush=True
    )
