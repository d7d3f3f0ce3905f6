"""Of several processes one sends at a time, and a dead one is followed."""

from alerts.notify.sender import MARGIN_SECONDS, SLOT_SECONDS, Lease
from alerts.records import Claim
from alerts.store import DocumentFilter


def leases(store, clock, attempt: float = 20.0) -> tuple[Lease, Lease]:
    return tuple(Lease("soc", holder, store, clock.as_clock(), attempt) for holder in "ab")


def at_slot_start(clock) -> None:
    clock.advance(-clock.seconds % SLOT_SECONDS)


def test_first_process_keeps_the_lease_across_slots(store, clock):
    at_slot_start(clock)
    a, b = leases(store, clock)
    for _ in range(SLOT_SECONDS):
        assert a.acquire()
        assert not b.acquire()
        clock.advance(3)


def test_lease_passes_on_within_two_slots(store, clock):
    at_slot_start(clock)
    a, b = leases(store, clock)
    assert a.acquire()
    waited = 0
    while not b.acquire():
        clock.advance(1)
        waited += 1
    assert 0 < waited <= 2 * SLOT_SECONDS
    assert not a.acquire()


def test_attempt_never_reaches_into_the_slot_of_another(store, clock):
    at_slot_start(clock)
    a, b = leases(store, clock)
    clock.advance(SLOT_SECONDS)
    assert b.acquire()
    clock.advance(-1)
    assert not a.acquire()


def test_attempt_starts_only_if_it_can_end_within_its_slot(store, clock):
    at_slot_start(clock)
    a, b = leases(store, clock, attempt=20.0)
    assert a.acquire()
    clock.advance(SLOT_SECONDS)
    assert b.acquire()
    for seconds, acquired in (
        (20 + MARGIN_SECONDS, False),
        (21, False),
        (MARGIN_SECONDS, False),
        (1 + 20 + MARGIN_SECONDS, True),
    ):
        at_slot_start(clock)
        clock.advance(-seconds)
        assert a.acquire() is acquired, f"{seconds} seconds before another's slot"
        at_slot_start(clock)


def test_released_lease_is_available_at_once(store, clock):
    at_slot_start(clock)
    a, b = leases(store, clock)
    assert a.acquire()
    a.release()
    assert b.acquire()


def test_claims_do_not_accumulate(store, clock):
    at_slot_start(clock)
    a, _ = leases(store, clock)
    for _ in range(50):
        assert a.acquire()
        clock.advance(20)
    assert store.count(Claim, DocumentFilter()) <= 2
