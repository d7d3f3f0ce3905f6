"""What alert does between batches: gauges counted again, and what has passed its retention removed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from alerts.decisions.holds import mark
from alerts.maintenance.retention import expire
from alerts.metrics import AlertMetrics
from alerts.records.document import Document
from alerts.store import IncidentStore
from ullage import log
from ullage.bus import Lag
from ullage.custody.vault import Vault
from ullage.errors import UnavailableError
from ullage.monitoring.metrics import BUS, STORE
from ullage.running_time import RunningTime
from ullage.settings import OriginalSettings, StoreSettings

RECOUNT_SECONDS = 15.0
RECENT_SECONDS = 60.0
EXPIRE_SECONDS = 3600.0
STALLED_SECONDS = 300.0
SHARE = 0.1
"""Of alert's time, what each work may take that grows with the history."""


@dataclass(slots=True)
class Maintenance:
    """Called at every turn of the loop; a store that is down is the loop's to wait for, so it is only skipped here."""

    store: IncidentStore
    keep: StoreSettings
    running_time: RunningTime
    metrics: AlertMetrics
    lag: Callable[[], Lag]
    recount_more: Callable[[], object] = lambda: None
    """Other gauges that are worked out from the store, once a minute as well: that reads much of what people decided."""
    also: Callable[[], None] = lambda: None
    """What else looks after itself at every turn; it does not wait for anything."""
    originals: OriginalSettings = field(default_factory=OriginalSettings)
    vault: Vault | None = None
    """Where sealed evidence may lie on this machine: what belongs to a held incident is marked."""
    late: Callable[[], Collection[type[Document]]] = tuple
    """Removes what reached the store after it was erased, and says of which classes that was."""
    ledger: Sequence[Callable[[], object]] = ()
    """What looks after the ledger of coverage, once a minute."""
    step: Callable[[], None] = lambda: None
    """One step of a work without end, at every turn."""
    _next: dict[str, float] = field(default_factory=dict)
    _turned: float = 0.0
    _owed: frozenset[type[Document]] = frozenset()

    def turn(self) -> None:
        """Do what is due."""
        self._turned = self.running_time.clock.monotonic()
        self.metrics.loop.turned()
        self.also()
        asked = BUS
        try:
            self.metrics.turned(self.lag())
            asked = STORE
            if self._due("expire", EXPIRE_SECONDS):
                self._expire()
            if self._due("recent", RECENT_SECONDS):
                for look in self.ledger:
                    look()
                self.metrics.recount_recent(self.store)  # behind what sees to it that there is a work item of each incident
            if self._due("recount", RECOUNT_SECONDS):
                self.metrics.recount(self.store)  # as above
                self.metrics.loop.reached(STORE, True)
            if self._due("more", RECENT_SECONDS):
                with self._sparing("more"):
                    self.recount_more()
            if self._due("step", 0.0):
                with self._sparing("step"):
                    self.step()
        except UnavailableError as error:
            self.metrics.loop.reached(asked, False)
            log.get("alert").warning("upkeep_skipped", error=str(error))

    def _expire(self) -> None:
        if self.vault is not None:
            mark(self.store, self.vault)
        removed = expire(self.store, self.keep, self.running_time.read(), self._owed, self.originals)
        self._owed = frozenset(removed)
        self._owed |= {*self.late()}
        if removed:
            log.get("alert").info("expired", count=removed.total())

    def ready(self) -> bool:
        """Whether the loop has turned lately."""
        return self.running_time.clock.monotonic() - self._turned < STALLED_SECONDS

    @contextlib.contextmanager
    def _sparing(self, what: str) -> Iterator[None]:
        """However much there is to count, findings wait for no more than SHARE of the time: it is then done less often."""
        began = self.running_time.clock.monotonic()
        yield
        ended = self.running_time.clock.monotonic()
        self._next[what] = max(self._next[what], ended + (ended - began) * (1 / SHARE - 1))

    def _due(self, what: str, every: float) -> bool:
        now = self.running_time.clock.monotonic()
        if now < self._next.get(what, float("-inf")):
            return False
        self._next[what] = now + every
        return True
