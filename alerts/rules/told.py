"""What the page of rules tells of all that is stored, of every tenant apart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from alerts.noise.background import Rules
from alerts.rules.dry import USUAL_DAYS, Decided, decided
from alerts.rules.kept import Kept
from alerts.rules.precision import Fired, fired
from alerts.store import IncidentStore
from ullage.clock import Clock


class Told(NamedTuple):
    """What rules said of it, and what the background `rules` in force then would have hidden in the last `USUAL_DAYS`."""

    fired: Fired
    rules: Rules
    decided: Decided


def told_kept(store: IncidentStore, background: Callable[[], Rules], clock: Clock) -> Kept[Told]:
    """What is told of `store`, to be kept."""
    return Kept(clock, partial(_told, store, background, clock))


def _told(store: IncidentStore, background: Callable[[], Rules], clock: Clock, ended: threading.Event) -> Told:
    rules, since = background(), clock.now() - timedelta(days=USUAL_DAYS)
    return Told(fired(store, ended=ended), rules, decided(store, rules, since, ended=ended))
