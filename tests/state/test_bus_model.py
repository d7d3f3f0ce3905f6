"""Any sequence of append, poll, commit, death, return and expiry, by two groups, agrees with a
list in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.conftest import BACKENDS, EMBEDDED, HeldClock
from tests.factories import outgoing
from tests.state.copies import Disk
from ullage.bus import CAPTURES, PartitionPosition, Record, Retention, Subscription, open_bus
from ullage.errors import ConfigError

KEPT_SECONDS = 100.0
GROUPS = ("match", "audit")
GROUP = st.sampled_from(GROUPS)


@dataclass
class Group:
    """Where a group stands: numbers of records from 0, and what it has in hand."""

    committed: int = 0
    read: int = 0
    expired: int = 0
    handed: list[tuple[int, Record]] = field(default_factory=list)
    subscription: Subscription | None = None


class BusModel(RuleBasedStateMachine):
    """`log` is everything that was ever appended, `first` the oldest that is kept."""

    url: str
    kept_bytes = 60

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[float, bytes]] = []
        self.first = 0
        self.groups = {name: Group() for name in GROUPS}
        self.held = HeldClock()
        self.disk = Disk()

    @initialize()
    def begin(self) -> None:
        keep = {CAPTURES: Retention(KEPT_SECONDS, self.kept_bytes)}
        self.bus = open_bus(self.url, self.disk.folder, keep, self.held.as_clock())
        self.publisher = self.bus.publisher(CAPTURES)
        for name in GROUPS:
            self._join(name)

    def _join(self, name: str) -> None:
        group = self.groups[name]
        group.subscription = self.bus.subscribe(CAPTURES, name)
        group.handed, group.expired, group.read = [], 0, group.committed

    def _close(self) -> None:
        for group in self.groups.values():
            if group.subscription:
                group.subscription.close()
        self.publisher.close()
        self.bus.close()

    @rule(batch=st.lists(st.binary(max_size=20), max_size=5))
    def append(self, batch: list[bytes]) -> None:
        self.publisher.append([outgoing(value) for value in batch])
        self.log += [(self.held.seconds, value) for value in batch]

    @rule(name=GROUP, most=st.integers(1, 6))
    def poll(self, name: str, most: int) -> None:
        group = self.groups[name]
        group.expired += max(0, self.first - group.read)
        group.read = max(group.read, self.first)
        got = group.subscription.poll(most, 0.0)
        assert [(record.timestamp, record.value) for record in got] == self.log[
            group.read : group.read + most
        ]
        assert [record.offset for record in got] == sorted({record.offset for record in got})
        group.handed += [(group.read + n, record) for n, record in enumerate(got)]
        group.read += len(got)

    @precondition(lambda self: any(group.handed for group in self.groups.values()))
    @rule(name=GROUP, pick=st.integers(0, 100))
    def commit(self, name: str, pick: int) -> None:
        group = self.groups[name]
        if group.handed:
            position, record = group.handed[pick % len(group.handed)]
            group.subscription.commit(record)
            group.committed = max(group.committed, position + 1)

    @rule(name=GROUP)
    def leave_and_join(self, name: str) -> None:
        self.groups[name].subscription.close()
        self._join(name)

    @rule(name=GROUP)
    def join_twice(self, name: str) -> None:
        with pytest.raises(ConfigError, match="is being consumed"):
            self.bus.subscribe(CAPTURES, name)

    @rule()
    def die(self) -> None:
        self.disk.die()
        self._close()
        self.begin()

    @rule(seconds=st.sampled_from([0.0, 10.0, 60.0, 150.0]))
    def expire(self, seconds: float) -> None:
        self.held.advance(seconds)
        first_kept, size = self.first, 0
        while (
            first_kept < len(self.log)
            and self.log[first_kept][0] < self.held.seconds - KEPT_SECONDS
        ):
            first_kept += 1
        for number in range(len(self.log) - 1, first_kept - 1, -1):
            size += len(self.log[number][1])
            if size > self.kept_bytes:
                first_kept = number + 1
                break
        assert self.bus.expire() == first_kept - self.first
        self.first = first_kept

    @invariant()
    def all_that_is_asked_agrees(self) -> None:
        if not hasattr(self, "publisher"):
            return
        for name, group in self.groups.items():
            waiting = self.log[max(group.committed, self.first) :]
            age = self.held.seconds - waiting[0][0] if waiting else 0.0
            assert group.subscription.expired == group.expired
            for lag in (group.subscription.lag(), self.bus.lag(CAPTURES, name)):
                assert (lag.records, lag.seconds) == (len(waiting), age)
            self.stands(group, len(waiting), list(self.bus.places(CAPTURES, name).values()))

    def stands(self, group: Group, waiting: int, places: list[PartitionPosition]) -> None:
        """Check that a group's positions agree with its part of the list.

        Records of the one partition are numbered from 1.
        """
        (place,) = places
        assert (place.position - group.committed, place.end - len(self.log)) == (1, 1)
        assert place.waiting == waiting
        assert place.first == self.first + 1

    def teardown(self) -> None:
        if hasattr(self, "publisher"):
            self._close()
            self.bus.check(CAPTURES)
        self.disk.clean()


def _models() -> Iterator[type]:
    for name in EMBEDDED:
        case = type(
            f"Test{name.capitalize()}BusModel", (BusModel,), {"url": BACKENDS[name].url}
        ).TestCase
        case.settings = settings(max_examples=25, stateful_step_count=30)
        yield case


globals().update({case.__name__.replace(".", ""): case for case in _models()})
