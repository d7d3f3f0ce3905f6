"""The bus and the store as a process meets them: the embedded ones, behind a network that fails
as the night has it.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from alerts.records import Exposure, Incident, Notification, Presence, Sighting, SiteDay
from alerts.records.document import Document
from alerts.store import IncidentStore, open_configured_store
from harness.simulate.faults import BUS, LATE, STORE, Faults
from harness.simulate.offsets import Offsets
from harness.simulate.process import Process
from ullage.bus import Bus, Lag, Outgoing, PartitionPosition, Publisher, Record, Subscription
from ullage.bus.sqlite import SqliteSubscription
from ullage.records.heartbeat import is_heartbeat
from ullage.settings import Context

IDLE_SECONDS = 60.0
"""A poll that finds nothing looks again after so long, or when something was appended."""
MERGED = (Sighting, Presence, Exposure, Incident)
"""What alert reads and writes over: of these a write may come late."""
WRITES = frozenset(("create", "put", "delete"))
CALLS = frozenset(name for name in vars(IncidentStore) if not name.startswith("_")) - {"close"}
"""Whatever is asked of a store goes over the network."""


@dataclass
class AppendCounter:
    """How much was appended to each topic: what lets those who wait for it go on."""

    count: Counter[str] = field(default_factory=Counter)
    by: Counter[int] = field(default_factory=Counter)
    """How many records each process has appended, by its number."""
    offsets: Offsets = field(default_factory=Offsets)
    """How far those who read have come."""


class SimulatedContext(Context):
    """A process's own context: what it opens is behind the faults."""

    def __init__(
        self, given: Context, process: Process, faults: Faults, appended: AppendCounter
    ) -> None:
        super().__init__(given.data, given.clock, given.settings)
        # `faults` are those of the settings
        self._process, self._faults, self._appended = process, faults, appended

    def bus(self) -> Bus:
        """See `Context.bus`."""
        return _Bus(super().bus(), self._process, self._faults, self._appended)

    def store(self) -> IncidentStore:
        """Return the store that `configured_store` opens."""
        again = Context(self.data, self.clock, self.settings)
        return _Store(
            open_configured_store(self),
            self._process,
            self._faults,
            lambda: open_configured_store(again),
        )


@dataclass
class _Bus:
    inner: Bus
    process: Process
    faults: Faults
    appended: AppendCounter

    def publisher(self, topic: str) -> Publisher:
        self.faults.call(self.process, BUS, "open")
        return _Publisher(self.inner.publisher(topic), topic, self)

    def subscribe(self, topic: str, group: str) -> Subscription:
        self.faults.call(self.process, BUS, "subscribe")
        inner = self.inner.subscribe(topic, group)
        assert isinstance(inner, SqliteSubscription)
        subscription = _Subscription(inner, topic, group, self)
        self.appended.offsets.joined(topic, group, self.process)
        subscription.look()
        return subscription

    def lag(self, topic: str, group: str) -> Lag:
        self.faults.call(self.process, BUS, "lag")
        return self.inner.lag(topic, group)

    def places(self, topic: str, group: str) -> Mapping[int, PartitionPosition]:
        # On crawl's loop this runs within the loop: it must not wait.
        return self.inner.places(topic, group)

    def check(self, topic: str) -> None:
        self.inner.check(topic)

    def expire(self) -> int:
        return self.inner.expire()

    def close(self) -> None:
        self.inner.close()


@dataclass
class _Publisher:
    inner: Publisher
    topic: str
    bus: _Bus

    def append(self, records: Sequence[Outgoing], how: str = "append") -> None:
        process, faults = self.bus.process, self.bus.faults
        faults.call(process, BUS, f"{how} {self.topic}")
        ordered = faults.order(records)
        self.inner.append(ordered)
        self.bus.appended.by[process.life] += len(ordered)
        if faults.is_twice(process, BUS):
            self.inner.append(ordered)
        self.bus.appended.count[self.topic] += 1
        faults.answer(process, BUS, f"{how} {self.topic}")

    def spread(self, record: Outgoing) -> None:
        self.append([record], "spread")

    def close(self) -> None:
        self.inner.close()


@dataclass
class _Subscription:
    inner: SqliteSubscription
    topic: str
    group: str
    bus: _Bus

    def poll(self, max_records: int, timeout: float) -> list[Record]:
        process, faults, count = self.bus.process, self.bus.faults, self.bus.appended.count
        faults.call(process, BUS, f"poll {self.topic}")
        records = self._read(max_records)
        if records or not timeout:
            return records
        before = count[self.topic]
        faults.timeline.wait(
            IDLE_SECONDS, lambda: process.stop.is_set() or count[self.topic] != before
        )
        return self._read(max_records)

    def _read(self, max_records: int) -> list[Record]:
        records = self.inner.poll(max_records, 0.0)
        self.bus.appended.offsets.handed(self.topic, self.group, records)
        return records

    def look(self) -> None:
        """Record where the group stands now."""
        self.bus.appended.offsets.stand(
            self.topic, self.group, self.bus.inner.places(self.topic, self.group)
        )

    def commit(self, record: Record) -> None:
        process, faults, of = self.bus.process, self.bus.faults, f"{self.topic} {self.group}"
        what = f"commit {self.topic}{' at a heartbeat' if is_heartbeat(record.headers) else ''}"
        faults.call(process, BUS, what)
        if faults.is_late(process, BUS):
            faults.hold({of}, partial(self._arrive, record), times=max(LATE))
        self.inner.commit(record)
        faults.written({of})
        self.look()
        faults.answer(process, BUS, what)

    def _arrive(self, record: Record) -> str:
        """Deliver a delayed commit after others.

        The process may have lost the group's place by then.
        """
        late, topic = copy.copy(self.inner), self.inner._topic
        late._topic = type(topic)(topic.path.parent, topic.name)
        with contextlib.closing(late._topic.database):
            late.commit(record)
        self.look()
        return f"commit {self.topic} {record.offset}"

    def lag(self) -> Lag:
        return self.inner.lag()

    def close(self) -> None:
        self.inner.close()
        self.bus.appended.offsets.left(self.topic, self.group, self.bus.process)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class _Store:
    """Any call of the store, out and back."""

    def __init__(
        self,
        inner: IncidentStore,
        process: Process,
        faults: Faults,
        again: Callable[[], IncidentStore],
    ) -> None:
        self._inner, self._process, self._faults, self._again = inner, process, faults, again

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._inner, name)
        if name not in CALLS:
            return act

        def call(*args: Any, **kwargs: Any) -> Any:
            self._faults.call(self._process, STORE, name)
            merged = (
                {document.id for document in args[0] if isinstance(document, MERGED)}
                if name == "put"
                else set[str]()
            )
            if merged and self._faults.is_late(self._process, STORE):
                self._faults.hold(merged, partial(self._arrive, *args))
            result = act(*args, **kwargs)
            if name in WRITES:
                self._look(args)
            if merged:
                self._faults.written(merged)
            if name in WRITES:
                self._faults.answer(self._process, STORE, name)
            return result

        return call

    def _look(self, args: Sequence[Any]) -> None:
        """Compare the logs of notifications and of coverage as they are now with what was
        written before.
        """
        documents = args[0] if isinstance(args[0], Sequence) else ()
        if ids := [notice.id for notice in documents if isinstance(notice, Notification)]:
            self._faults.notices.stand(self._inner.mget(Notification, ids))
        if days := [notice.id for notice in documents if isinstance(notice, SiteDay)]:
            self._faults.coverage.stand(self._inner.mget(SiteDay, days).values())

    def _arrive(self, documents: Sequence[Document], *over: Any) -> str:
        with contextlib.closing(self._again()) as store:
            outcomes = Counter(outcome.value for outcome in store.put(documents, *over))
        return f"{type(documents[0]).__name__} {dict(sorted(outcomes.items()))}"
