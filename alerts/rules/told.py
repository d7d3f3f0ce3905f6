"""What the page of rules tells of all that is stored, of every tenant apart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from alerts.noise.background import Rules
from alerts.rules.dry import USUAL_DAYS, Decided, decided
from alerts.rules.kept import AsOf, Kept
from alerts.rules.precision import Fired, Said, fired, marks, said
from alerts.store import IncidentStore
from ullage.clock import Clock

CLOCKS_APART = timedelta(hours=1)
"""A decision has the time of the host that it was made on, which may be behind by as much."""


class Told(NamedTuple):
    """What rules said of it, and what the background `rules` in force then would have hidden in the last `USUAL_DAYS`."""

    fired: Fired
    rules: Rules
    decided: Decided
    said: Mapping[str, Said]
    """The last decision of each incident that somebody judged."""


def told_kept(store: IncidentStore, background: Callable[[], Rules], clock: Clock) -> Kept[Told]:
    """What is told of `store`, to be kept."""
    return Kept(clock, partial(_told, store, background, clock))


def _told(store: IncidentStore, background: Callable[[], Rules], clock: Clock, ended: threading.Event) -> Told:
    rules, since = background(), clock.now() - timedelta(days=USUAL_DAYS)
    return Told(fired(store, ended=ended), rules, decided(store, rules, since, ended=ended), said(store))


def marks_now(store: IncidentStore, kept: AsOf[Told]) -> dict[str, bool]:
    """Whether each incident was real, by what people have said until now; what came after `kept` alone is read."""
    return marks(said(store, kept.value.said, kept.at - CLOCKS_APART))
