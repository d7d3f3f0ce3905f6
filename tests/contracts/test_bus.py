"""The suite that any bus must pass: each test is one promise of `ullage/bus/__init__.py`.

What only an embedded bus promises (one consumer a group, expiry when told to, our own clock) is
asked of `EMBEDDED` buses; what a broker promises in their place is in `tests/servers/`. Any
sequence of calls: `tests/state/test_bus_model.py`.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import EMBEDDED, KEEP, Backend, HeldClock
from tests.factories import outgoing
from ullage.bus import CAPTURES, Bus, Retention, open_bus
from ullage.clock import Clock
from ullage.errors import ConfigError

OpenAgain = Callable[..., Bus]
Values = Callable[..., list[str]]
embedded = pytest.mark.parametrize("backend", EMBEDDED, indirect=True)


def put(bus: Bus, *values: str | bytes) -> None:
    publisher = bus.publisher(CAPTURES)
    publisher.append([outgoing(value) for value in values])
    publisher.close()


@pytest.fixture
def values(backend: Backend) -> Callable[..., list[str]]:
    """Return the values that the next poll hands out."""
    return lambda subscription, most=100: [
        record.value.decode() for record in backend.take(subscription, most)
    ]


def test_appended_records_survive_reopening_the_bus(
    bus: Bus, open_again: OpenAgain, values: Values
) -> None:
    put(bus, "a", "b")
    bus.close()
    assert values(open_again().subscribe(CAPTURES, "match")) == ["a", "b"]


def test_spread_record_is_once_in_every_partition(bus: Bus, backend: Backend) -> None:
    publisher = bus.publisher(CAPTURES)
    publisher.spread(outgoing("beat"))
    subscription = bus.subscribe(CAPTURES, "match")
    partitions = sorted(bus.places(CAPTURES, "match"))
    records = [record for _ in range(len(partitions)) for record in backend.take(subscription, 100)]
    assert [record.value for record in records] == [b"beat"] * len(partitions)
    assert sorted(record.partition for record in records) == partitions
    publisher.close()


def test_records_arrive_in_the_order_of_appending(bus: Bus, values: Values) -> None:
    for start in range(0, 300, 100):
        put(bus, *(str(n) for n in range(start, start + 100)))
    subscription = bus.subscribe(CAPTURES, "match")
    assert [v for _ in range(6) for v in values(subscription, 50)] == [str(n) for n in range(300)]


def test_uncommitted_records_are_returned_again_after_a_crash(
    bus: Bus, open_again: OpenAgain, values: Values, backend: Backend
) -> None:
    put(bus, "a", "b", "c")
    subscription = bus.subscribe(CAPTURES, "match")
    first, *_ = backend.take(subscription, 10)
    subscription.commit(first)
    subscription.close()
    assert values(open_again().subscribe(CAPTURES, "match")) == ["b", "c"]


def test_poll_continues_after_returned_records_without_a_commit(bus: Bus, values: Values) -> None:
    put(bus, "a", "b")
    subscription = bus.subscribe(CAPTURES, "match")
    assert [values(subscription, 1) for _ in range(3)] == [["a"], ["b"], []]


def test_committing_an_older_record_does_not_move_the_group_back(
    bus: Bus, open_again: OpenAgain, values: Values, backend: Backend
) -> None:
    put(bus, "a", "b", "c")
    subscription = bus.subscribe(CAPTURES, "match")
    older, newer, _ = backend.take(subscription, 10)
    subscription.commit(newer)
    subscription.commit(older)
    subscription.close()
    assert values(open_again().subscribe(CAPTURES, "match")) == ["c"]


def test_two_groups_read_and_commit_independently(
    bus: Bus, values: Values, backend: Backend
) -> None:
    put(bus, "a", "b")
    match, second = bus.subscribe(CAPTURES, "match"), bus.subscribe(CAPTURES, "other")
    match.commit(backend.take(match, 10)[-1])
    assert values(second) == ["a", "b"]
    assert (bus.lag(CAPTURES, "match").records, bus.lag(CAPTURES, "other").records) == (0, 2)


@embedded
def test_records_over_their_age_expire_unread_and_are_counted(
    bus: Bus, clock: HeldClock, values: Values
) -> None:
    subscription = bus.subscribe(CAPTURES, "match")
    put(bus, "old", "old too")
    clock.advance(3000.0)
    put(bus, "new")
    clock.advance(1000.0)
    assert bus.expire() == 2
    assert values(subscription) == ["new"]
    assert subscription.expired == 2


@embedded
def test_records_over_the_size_expire_oldest_first(open_again: OpenAgain, values: Values) -> None:
    bus = open_again({CAPTURES: Retention(3600.0, 250)})
    subscription = bus.subscribe(CAPTURES, "match")
    put(bus, *(f"{n:0100d}" for n in range(5)))
    assert bus.expire() == 3
    assert [int(value) for value in values(subscription)] == [3, 4]
    assert subscription.expired == 3


@embedded
def test_records_read_before_they_expired_are_not_counted(
    bus: Bus, clock: HeldClock, values: Values
) -> None:
    put(bus, "a", "b")
    subscription = bus.subscribe(CAPTURES, "match")
    values(subscription, 1)
    clock.advance(4000.0)
    bus.expire()
    assert values(subscription) == []
    assert subscription.expired == 1


@embedded
def test_offsets_are_not_reused_after_everything_expired(
    bus: Bus, clock: HeldClock, open_again: OpenAgain, values: Values, backend: Backend
) -> None:
    put(bus, "a", "b")
    subscription = bus.subscribe(CAPTURES, "match")
    subscription.commit(backend.take(subscription, 10)[-1])
    subscription.close()
    clock.advance(4000.0)
    bus.expire()
    put(bus, "c")
    assert values(open_again().subscribe(CAPTURES, "match")) == ["c"]


@embedded
def test_second_live_consumer_of_a_group_is_rejected_with_the_holder(
    bus: Bus, open_again: OpenAgain
) -> None:
    subscription = bus.subscribe(CAPTURES, "match")
    with pytest.raises(ConfigError, match=rf"process \({os.getpid()}\)"):
        open_again().subscribe(CAPTURES, "match")
    subscription.close()
    open_again().subscribe(CAPTURES, "match").close()


HOLD = """
import sys, pathlib
from ullage.bus import CAPTURES, open_bus
from ullage.clock import Clock
held = open_bus(sys.argv[1], pathlib.Path(sys.argv[2]), {}, Clock()).subscribe(CAPTURES, "match")
print(len(held.poll(10, 0.0)), flush=True)
sys.stdin.read()
"""


@embedded
def test_killed_consumer_frees_its_place_and_its_records_return(
    tmp_path: Path, backend: Backend, values: Values
) -> None:
    bus = open_bus(backend.url, tmp_path, KEEP, Clock())
    put(bus, "a")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, backend.url, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "1\n"
        with pytest.raises(ConfigError, match=rf"process \({holder.pid}\)"):
            bus.subscribe(CAPTURES, "match")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert values(bus.subscribe(CAPTURES, "match")) == ["a"]


def test_poll_without_records_waits_and_returns_nothing(bus: Bus) -> None:
    before = time.monotonic()
    assert bus.subscribe(CAPTURES, "match").poll(10, 0.2) == []
    assert 0.2 <= time.monotonic() - before < 60.0


APPEND = """
import sys, pathlib
from ullage.bus import CAPTURES, Outgoing, open_bus
from ullage.clock import Clock
url, folder, first, count = sys.argv[1:]
publisher = open_bus(url, pathlib.Path(folder), {}, Clock()).publisher(CAPTURES)
for number in range(int(first), int(first) + int(count)):
    publisher.append([Outgoing(first, str(number).encode(), {})])
"""


def appender(url: str, folder: Path, first: int, count: int) -> subprocess.Popen[bytes]:
    """Another process that appends `count` numbers from `first`, under the key `first`."""
    return subprocess.Popen(
        [sys.executable, "-c", APPEND, url, str(folder), str(first), str(count)]
    )


def test_waiting_poll_is_woken_by_a_record_of_another_process(
    tmp_path: Path, backend: Backend, open_again: OpenAgain
) -> None:
    subscription = open_again().subscribe(CAPTURES, "match")
    with appender(backend.url, tmp_path, 7, 1):
        assert [record.value for record in subscription.poll(10, 30.0)] == [b"7"]


def test_publishers_in_two_processes_lose_nothing_and_keep_their_order(
    tmp_path: Path, backend: Backend, open_again: OpenAgain
) -> None:
    with appender(backend.url, tmp_path, 0, 200), appender(backend.url, tmp_path, 1000, 200):
        pass
    subscription = open_again().subscribe(CAPTURES, "match")
    records = backend.take(subscription, 1000)
    while more := backend.take(subscription, 1000):
        records += more
    for first in (0, 1000):
        assert [int(r.value) for r in records if r.key == str(first)] == list(
            range(first, first + 200)
        )
    assert len(records) == 400


def test_many_threads_can_open_a_new_bus_at_once(open_again: OpenAgain, values: Values) -> None:
    failed: list[BaseException] = []
    gate = threading.Barrier(6)

    def begin(number: int) -> None:
        try:
            gate.wait()
            put(open_again(), str(number))
        except Exception as error:  # noqa: BLE001  carried to the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=begin, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(values(open_again().subscribe(CAPTURES, "match"))) == list("012345")


def test_record_of_33_mib_passes_unchanged(bus: Bus, backend: Backend) -> None:
    large = os.urandom(1024) * (33 * 1024)
    put(bus, large)
    (record,) = backend.take(bus.subscribe(CAPTURES, "match"))
    assert record.value == large


def test_poll_returns_about_64_mib_at_most(bus: Bus, backend: Backend) -> None:
    for _ in range(4):
        put(bus, bytes(30 * 2**20))
    subscription = bus.subscribe(CAPTURES, "match")
    counts = [len(backend.take(subscription, 10))]
    while sum(counts) < 4 and counts[-1]:
        counts.append(len(backend.take(subscription, 10)))
    assert (sum(counts), max(counts) <= 3) == (4, True)


def test_key_headers_value_and_time_are_preserved(
    bus: Bus, clock: HeldClock, backend: Backend
) -> None:
    publisher = bus.publisher(CAPTURES)
    publisher.append([outgoing(b"\x00\xff", key="论坛", schema="1", site="某某论坛 ✓")])
    (record,) = backend.take(bus.subscribe(CAPTURES, "match"), 1)
    append_time = clock.wall() if backend.embedded else pytest.approx(time.time(), abs=60)
    assert (record.topic, record.key, record.value, record.timestamp) == (
        CAPTURES,
        "论坛",
        b"\x00\xff",
        append_time,
    )
    assert dict(record.headers) == {"schema": "1", "site": "某某论坛 ✓"}


@embedded
def test_lag_counts_uncommitted_records_and_the_age_of_the_oldest(
    bus: Bus, clock: HeldClock, backend: Backend
) -> None:
    assert (bus.lag(CAPTURES, "match").records, bus.lag(CAPTURES, "match").seconds) == (0, 0.0)
    put(bus, "a")
    clock.advance(60.0)
    put(bus, "b")
    clock.advance(10.0)
    subscription = bus.subscribe(CAPTURES, "match")
    assert (subscription.lag().records, subscription.lag().seconds) == (2, 70.0)
    first, _ = backend.take(subscription, 10)
    subscription.commit(first)
    assert (bus.lag(CAPTURES, "match").records, bus.lag(CAPTURES, "match").seconds) == (1, 10.0)


@embedded
def test_lag_does_not_count_expired_records(bus: Bus, clock: HeldClock) -> None:
    put(bus, "a", "b")
    clock.advance(4000.0)
    put(bus, "c")
    bus.expire()
    assert bus.lag(CAPTURES, "match").records == 1


def test_places_show_position_and_backlog_of_a_group(bus: Bus, backend: Backend) -> None:
    put(bus, "a", "b", "c")
    before = list(bus.places(CAPTURES, "match").values())
    assert (
        sum(place.waiting for place in before),
        sum(place.oldest is not None for place in before),
    ) == (3, 1)
    subscription = bus.subscribe(CAPTURES, "match")
    subscription.commit(backend.take(subscription, 100)[1])
    after = list(bus.places(CAPTURES, "match").values())
    assert sum(place.waiting for place in after) == 1
    assert sum(place.position for place in after) >= sum(place.position for place in before) + 1
    assert sum(place.end for place in after) == sum(place.end for place in before)


@embedded
def test_position_before_the_first_remaining_record_means_expired_unread(
    bus: Bus, clock: HeldClock
) -> None:
    put(bus, "a", "b")
    places = bus.places(CAPTURES, "match")
    clock.advance(4000.0)
    put(bus, "c")
    bus.expire()
    ((partition, place),) = bus.places(CAPTURES, "match").items()
    assert place.first - places[partition].position == 2
    assert (place.waiting, place.oldest) == (1, clock.wall())


def test_appending_nothing_is_allowed(bus: Bus, values: Values) -> None:
    put(bus)
    assert values(bus.subscribe(CAPTURES, "match")) == []


def test_unknown_scheme_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="carrier-pigeon"):
        open_bus("carrier-pigeon://loft", tmp_path, {}, Clock())
