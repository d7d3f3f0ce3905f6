"""Duty records are what is owed, whatever happened in whichever order, and the mark says since
when; over every store.
"""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.coverage.report import summarize_night
from alerts.deadlines import schedule as books
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import (
    LATELY,
    MARGIN,
    Book,
    build_records,
    count_reports,
    read_known_until,
)
from alerts.records import Decision, DutyRecord, Incident, Notification
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.queries import set_tombstone
from alerts.store.tenant_view import StoreWithin
from tests.alerts import builders
from tests.conftest import HeldClock
from tests.stores import ON_SERVERS, InterruptedStore, each_backend, make_shared_store
from ullage.errors import UnavailableError
from ullage.lookup.erased_customers import EVERYBODY
from ullage.settings import Tenant

T0 = datetime(2026, 9, 21, 12, 0, tzinfo=UTC)
SETTINGS = Tenant(regimes=("pipl-57", "pboc-2025", "nfra-2024"))
STATUSES = ("acknowledged", "confirmed", "reported", "resolved", "false_positive", "open", "note")
backend = each_backend("sqlite", *ON_SERVERS)
url = make_shared_store()


@pytest.fixture
def duties(store: IncidentStore, clock: HeldClock) -> Duties:
    return Duties(store, lambda _: SETTINGS, clock.as_clock())


@pytest.fixture
def book(duties: Duties) -> Book:
    return Book(duties)


def incident(id_: str, **changes: Any) -> Incident:
    return builders.incident(
        id_,
        T0,
        **{"severity": "high", "clock": "run", "customers": 100, "first_seen": T0, **changes},
    )


def decision(of: str, at: datetime, status: str = "acknowledged", **said: Any) -> Decision:
    token = f"{at.timestamp()}{status}"
    return Decision(
        id=f"{of}:{token}", tenant="bank", incident=of, at=at, by="Li", status=status, **said
    )


def notification(of: str, at: datetime, outcome: str = "sent") -> Notification:
    return Notification(
        id=f"{of}:desk", tenant="bank", incident=of, at=at, due=at, channel="desk", what="high",
        why="new", severity="high",
        outcome=outcome, sent_at=at if outcome == "sent" else None,
    )  # fmt: skip


def read_stored(store: IncidentStore) -> dict[str, DutyRecord]:
    store.refresh()
    return {record.id: record for record in store.scroll(DutyRecord, DocumentFilter())}


def build_owed(duties: Duties) -> dict[str, DutyRecord]:
    duties.store.refresh()
    return {
        record.id: record
        for record in build_records(duties, list(duties.store.scroll(Incident, DocumentFilter())))
    }


def states(store: IncidentStore) -> dict[str, str]:
    return {id_: record.state for id_, record in read_stored(store).items()}


def drain(book: Book) -> None:
    """Do the work of one minute of alert's loop."""
    book.turn()
    while book._changed:
        book.step()


@pytest.mark.parametrize("seed", range(4))
def test_records_match_outstanding_duties_after_any_order_of_events(
    store, book, duties, clock, seed
):
    """Incidents are folded and joined, people are told and decide, alert is started anew: all of
    it in any order.
    """
    chance = random.Random(seed)
    ids = [f"INC-{n}" for n in range(5)]
    book.complete()
    for turn in range(60):
        clock.advance(chance.randrange(5, 4000))
        id_, now = chance.choice(ids), duties.clock.now()
        match chance.randrange(8):
            case 0 | 1:
                word, severity = (
                    chance.choice(("run", "if confirmed", "none")),
                    chance.choice(("low", "high", "statutory")),
                )
                head = chance.choice(("", "", "", "INC-0")) if id_ != "INC-0" else ""
                store.put([incident(id_, clock=word, severity=severity, part_of=head)])
                book.mark_changed([id_])
            case 2 | 3 | 4:
                status = chance.choice(STATUSES)
                regime, stage = chance.choice(
                    (
                        ("", ""),
                        ("pipl-57", "first"),
                        ("pboc-2025", "waived"),
                        ("nfra-2024", "applies"),
                    )
                )
                # by a host whose clock is behind
                at = now - timedelta(seconds=chance.choice((0, 0, 600)))
                store.create(
                    [decision(id_, at, "note" if regime else status, regime=regime, stage=stage)]
                )
            case 5:
                store.put([notification(id_, now, chance.choice(("sent", "pending", "failed")))])
                book.mark_changed([id_])
            case 6:
                book = Book(duties)  # what the former had still to write is lost
                book.complete()
            case _:
                drain(book)
                assert read_stored(store) == build_owed(duties), turn
    drain(book)
    assert read_stored(store) == build_owed(duties)
    assert read_known_until(store) == duties.clock.now() - MARGIN


def test_completeness_mark_appears_after_all_incidents_and_pauses_at_start(
    store, duties, clock, monkeypatch
):
    monkeypatch.setattr(books, "SLICE", 2)
    store.put([incident(f"INC-{n}") for n in range(5)])
    book = Book(duties)
    book.step()
    book.turn()
    assert read_known_until(store) is None
    assert 0 < len({record.incident for record in read_stored(store).values()}) < 5
    while book._continue_round():
        pass
    drain(book)
    first = read_known_until(store)
    assert first == duties.clock.now() - MARGIN
    clock.advance(120)
    again = Book(duties)
    drain(again)
    assert read_known_until(store) == first, "what the former had still to write is not known"
    again.complete()
    assert read_known_until(store) == duties.clock.now() - MARGIN


def test_mark_waits_for_unwritten_records(store, book, duties, clock, monkeypatch):
    store.put([incident(f"INC-{n}") for n in range(5)])
    book.complete()
    before = read_known_until(store)
    monkeypatch.setattr(books, "SLICE", 2)
    clock.advance(60)
    store.create([decision(f"INC-{n}", duties.clock.now()) for n in range(5)])
    book.turn()
    assert read_known_until(store) == before
    while book._changed:
        book.step()
    assert read_known_until(store) == duties.clock.now() - MARGIN


def test_decision_from_a_host_with_a_wrong_clock_is_found(store, book, duties, clock):
    store.put([incident("INC-0"), incident("INC-1")])
    book.complete()
    clock.advance(7200)
    drain(book)
    late, early = (
        duties.clock.now() - LATELY + timedelta(minutes=1),
        duties.clock.now() + timedelta(minutes=50),
    )
    store.create(
        [decision("INC-0", late, "false_positive"), decision("INC-1", early, "false_positive")]
    )
    drain(book)
    assert states(store) == {}


def test_records_that_fail_to_write_are_written_later(store, book, duties, clock, monkeypatch):
    store.put([incident("INC-0")])
    book.complete()
    before, put = read_known_until(store), type(store).put
    clock.advance(600)
    store.create([decision("INC-0", duties.clock.now(), "confirmed")])

    def down(*_: object) -> None:
        raise UnavailableError("the store is down")

    monkeypatch.setattr(type(store), "put", down)
    with pytest.raises(UnavailableError):
        book.turn()
    monkeypatch.setattr(type(store), "put", put)
    assert read_known_until(store) == before
    drain(book)
    assert read_stored(store) == build_owed(duties)
    assert read_known_until(store) == duties.clock.now() - MARGIN


def test_lease_holder_scans_and_each_process_writes_its_own_changes(store, duties, clock):
    is_held = [False]
    book = Book(duties, lambda: is_held[0])
    store.put([incident("INC-0"), incident("INC-1")])
    book.mark_changed(["INC-0"])
    book.complete()
    assert {record.incident for record in read_stored(store).values()} == {"INC-0"}
    assert read_known_until(store) is None
    is_held[0] = True
    clock.advance(books.ASK_SECONDS)
    while read_known_until(store) is None:
        book.step()
        drain(book)
    assert read_stored(store) == build_owed(duties)


@pytest.mark.parametrize("status", ["confirmed", "false_positive"])
def test_concurrent_update_is_not_lost(store, book, duties, clock, status):
    """One process works out what is owed before somebody decides, the other after, and the one
    writes last.
    """
    store.put([incident("INC-0"), incident("INC-1")])
    second = Book(duties)

    def decide_and_drain() -> None:
        store.create([decision("INC-0", duties.clock.now(), status)])
        store.put([incident("INC-1", severity="statutory")])
        second.mark_changed(["INC-0", "INC-1"])
        drain(second)

    slow = Book(
        Duties(
            InterruptedStore(store, DutyRecord, decide_and_drain),
            lambda _: SETTINGS,
            clock.as_clock(),
        ),
        lambda: False,
    )
    slow.mark_changed(["INC-0", "INC-1"])
    drain(slow)
    assert read_stored(store) == build_owed(duties)


def test_rule_removed_from_a_tenant_disappears_at_the_next_start(store, book, duties):
    store.put([incident("INC-0")])
    book.complete()
    Book(Duties(store, lambda _: Tenant(regimes=("pipl-57",)), duties.clock)).complete()
    assert {record.regime for record in read_stored(store).values()} == {"", "pipl-57"}


def test_records_of_a_deleted_incident_are_removed_in_the_next_round(store, book):
    store.put([incident("INC-0"), incident("INC-1")])
    book.complete()
    store.delete(Incident, ["INC-0"])
    book.complete()
    assert {record.incident for record in read_stored(store).values()} == {"INC-1"}


def test_nothing_is_written_for_a_tenant_deleted_meanwhile(store, book, duties):
    """Its incidents go last, so alert may read one when its records are gone already."""
    store.put([incident("INC-0")])
    set_tombstone(store, "bank", EVERYBODY, duties.clock.now())
    book.mark_changed(["INC-0"])
    drain(book)
    assert read_stored(store) == {}


def test_reports_are_counted_by_due_time_within_the_tenant(store, book, duties, clock):
    store.put([incident("INC-0"), incident("INC-1"), incident("INC-2", tenant="shop")])
    store.put([notification(f"INC-{n}", T0) for n in range(3)])
    sent = T0 + timedelta(hours=1)
    deadline = {"regime": "nfra-2024", "stage": "first"}
    store.create(
        [
            decision("INC-0", sent, "reported", **deadline),
            decision("INC-1", sent + timedelta(hours=2), "reported", **deadline),
        ]
    )
    clock.advance(30 * 3600)
    book.complete()
    store.refresh()
    two_hours = T0 + timedelta(hours=2)
    assert count_reports(store, two_hours, two_hours + timedelta(seconds=1)) == {
        "kept": 1,
        "late": 1,
        "missed": 1,
    }
    assert count_reports(store, T0, two_hours) == {}
    theirs = StoreWithin(store, frozenset({"shop"}))
    assert count_reports(theirs, T0, T0 + timedelta(hours=3)) == {"missed": 1}
    assert read_known_until(theirs) == read_known_until(store)


def test_report_due_later_in_this_hour_is_not_missed(store, book, duties, clock):
    store.put([incident("INC-0")])
    store.put([notification("INC-0", T0)])
    clock.advance(90 * 60)
    book.complete()
    store.refresh()
    now, full_hour = T0 + timedelta(minutes=90), T0 + timedelta(hours=3)
    assert count_reports(store, T0, full_hour) == {"missed": 1}, "it is due after two hours"
    assert summarize_night(store, T0, full_hour, now).missed == 0
    assert summarize_night(store, T0, full_hour, full_hour).missed == 1
