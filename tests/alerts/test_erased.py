"""Findings of erased customers are not stored, whenever the erasure comes."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from alerts.records import CLASSES, Audit, Background, Claim, Exposure, Original, Sighting
from alerts.service.upkeep import _erase_customer, _erase_tenant, erase, remove_late
from alerts.store import DocumentFilter
from alerts.store.queries import (
    LATE,
    Tombstone,
    expect_late_writes,
    find_erased_meanwhile,
    find_expected,
    find_last_erasures,
    set_tombstone,
    tombstone_id,
)
from tests.alerts.builders import everything, finding, fold_all, handle, record, stage
from tests.factories import WHEN, clocks_at
from tests.stores import StallingStore, on_server_too
from tests.ullage.custody.support import OFFICERS, officers, seal
from ullage.audit import read_entries
from ullage.audit.trail import FOLDER as AUDIT
from ullage.custody import pair_of
from ullage.custody.vault import FOLDER, Vault
from ullage.erasure import Order
from ullage.errors import UnavailableError
from ullage.lookup.erased_customers import EVERYBODY, SETTLED, Tombstones, tombstone


def people(store) -> set[str]:
    return {exposure.subject for exposure in store.scroll(Exposure, DocumentFilter())}


def test_erased_customer_is_left_out_of_earlier_captures_for_a_day(store, clock) -> None:
    set_tombstone(store, "bank", handle("a"), WHEN)
    late = finding("late", range(20, 30), people="a", capture={"fetched_at": WHEN + SETTLED})
    fold_all(
        store,
        clock,
        [finding("f", range(10), people="ab"), finding("alone", range(40, 50), people="a"), late],
    )
    assert people(store) == {handle("b")}
    [sighting] = store.scroll(Sighting, DocumentFilter())
    assert (sighting.id, sighting.customers, sighting.matches) == ("f", 1, 1)
    back = finding(
        "back",
        range(60, 70),
        people="a",
        capture={"fetched_at": WHEN + SETTLED + timedelta(seconds=1)},
    )
    fold_all(store, clock, [back])
    assert people(store) == {handle("a"), handle("b")}


def test_offer_naming_the_tenant_stays_without_its_erased_customer(store, clock) -> None:
    set_tombstone(store, "bank", handle("a"), WHEN)
    fold_all(
        store,
        clock,
        [finding("f", range(10), people="a", alarm=True, original="sealed", original_key="k")],
    )
    assert (
        people(store),
        store.count(Sighting, DocumentFilter()),
        store.count(Original, DocumentFilter()),
    ) == (set(), 1, 0)
    assert handle("a") not in "".join(everything(store).values())


def test_same_pseudonym_of_another_tenant_is_kept(store, clock) -> None:
    set_tombstone(store, "shop", handle("a"), WHEN)
    fold_all(store, clock, [finding("f", range(10), people="a")])
    assert people(store) == {handle("a")}


def test_erasure_mark_of_an_earlier_version_still_applies(store, clock) -> None:
    """It is found by its id, which no version may change."""
    ids = ("bank:erased:last", f"bank:erased:{tombstone('bank', handle('a'))}")
    store.put([Claim(id=id_, tenant="bank", incident="", at=WHEN) for id_ in ids])
    fold_all(store, clock, [finding("f", range(10), people="ab")])
    assert people(store) == {handle("b")}


def test_pending_erasures_are_per_tenant_with_removed_counts_and_last_time(
    store,
) -> None:
    later, same = WHEN + timedelta(hours=1), tombstone("bank", handle("a"))
    expect_late_writes(store, "bank", handle("a"), later, ["o:1", "o:2"])
    expect_late_writes(store, "bank", handle("a"), WHEN)
    expect_late_writes(store, "bank", EVERYBODY, WHEN)
    # of one tenant nothing is another's
    store.put([Claim(id=f"{LATE}:shop:{same}0a0a:", tenant=LATE, incident="", at=WHEN)])
    store.refresh()

    def summarise(tombstone: Tombstone) -> tuple[object, ...]:
        return (
            tombstone.tenant,
            tombstone.mark,
            tombstone.beginning,
            tombstone.at,
            sorted(tombstone.originals),
            len(tombstone.claims),
        )

    assert {
        summarise(tombstone)[:3]: summarise(tombstone)[3:] for tombstone in find_expected(store)
    } == {
        ("bank", same, handle("a")[:4]): (later, ["o:1", "o:2"], 3),
        ("bank", tombstone("bank", EVERYBODY), ""): (WHEN, [], 1),
        ("shop", same, "0a0a"): (WHEN, [], 1),
    }


def test_erasure_reports_what_it_removed_or_that_nothing_matched(store, clock, context) -> None:
    fold_all(store, clock, [finding("f", range(10), people="ab")])

    def list_removals(whom: str) -> list[tuple[str, int, str]]:
        order = Order("bank", handle(whom), WHEN)
        return [
            (part.place, part.removed, part.stays)
            for part in _erase_customer(context, store, order)
        ][:-1]

    assert list_removals("nobody") == [("incident store", 0, "nothing there named this customer")]
    assert list_removals("a") == [("incident store, Exposure", 1, "")]
    assert people(store) == {handle("b")}


def test_erasure_says_which_sealed_evidence_stays_and_until_when(
    store, clock, context, tmp_path
) -> None:
    fold_all(store, clock, [finding("f", range(10), people="ab")])
    head = seal(Vault(context.data / FOLDER), officers(tmp_path, context.keys), "f")
    seal(Vault(context.data / FOLDER), pair_of(context.keys, OFFICERS), "other")
    *_, late, report = _erase_customer(context, store, Order("bank", handle("a"), WHEN))
    assert late.place == "incident store, what comes late"
    assert "when alert looks for it, every hour" in late.stays
    assert (report.place, report.removed) == ("evidence", 0)
    assert report.stays.startswith("1 files of posts with many people stay")
    whole = [part.place for part in _erase_tenant(store, Order("bank", "", WHEN)) if part.removed]
    assert whole
    assert all(place.startswith("incident store, ") for place in whole)
    assert report.until == (head.sealed_at + timedelta(days=context.settings.evidence.days)).date()


@pytest.mark.parametrize("whom", [handle("a"), EVERYBODY])
@pytest.mark.parametrize("kind", [Exposure, Background])
def test_erasure_during_a_write_is_applied(store, clock, whom: str, kind: type) -> None:
    """The batch has already read the erasure marks: it checks again after writing."""

    @contextlib.contextmanager
    def erase_now() -> Iterator[None]:
        set_tombstone(store, "bank", whom, WHEN)
        erase(store, "bank", handle("a"))
        yield

    plain = (
        finding("f", people="a", fields=("PHONE",))
        if kind is Background
        else finding("f", range(10), people="ab")
    )
    fold_all(store, clock, [plain.model_copy(update={"id": "before"})])
    assert store.count(kind, DocumentFilter({"subject": (handle("a"),)}))
    replace(stage(store, clock), writing=erase_now).handle([record(plain)])
    assert not store.count(kind, DocumentFilter({"subject": (handle("a"),)}))


def run_erasure(context, store, whom: str, now) -> None:
    """Erase a customer or the tenant from the store, as `ullage erase` does."""
    order = Order("bank", whom, now)
    list(_erase_customer(context, store, order) if whom else _erase_tenant(store, order))


def list_remaining(store, whom: str) -> list[str]:
    """Return what the store still holds of a customer or, if `whom` is empty, of the tenant."""
    store.refresh()
    if whom:
        return [f"{kind}" for kind, text in everything(store).items() if whom in text]
    kinds = [kind for kind in CLASSES if "tenant" in kind.columns and kind is not Audit]
    return [
        document.id
        for kind in kinds
        for document in store.scroll(kind, DocumentFilter({"tenant": ("bank",)}))
        if ":erased:" not in document.id
    ]


SEALED = {"original": "sealed", "original_key": "k", "capture": {"post": "p"}, "verified": 12}
GRAVE = finding("grave", range(10), "abcdefghijkl", ("phone", "card"), **SEALED)
LOOKED_FOR = DocumentFilter({"tenant": (LATE,)})
PLAIN = finding("plain", people="a", fields=("PHONE",))
LATE_WRITES = [*((GRAVE, at) for at in range(1, 6)), (PLAIN, 1)]


def stall_write(store, clock, late, at):
    """Return the store with one write of `late` still pending after its process was killed."""
    stalled = StallingStore(store, at)
    with pytest.raises(UnavailableError, match="killed"):
        fold_all(stalled, clock, [late])
    return stalled


@on_server_too
@pytest.mark.parametrize("whom", [handle("a"), EVERYBODY])
@pytest.mark.parametrize(("late", "at"), LATE_WRITES)
def test_write_arriving_after_the_erasure_is_removed_within_the_hour(
    store, clock, context, whom, late, at
) -> None:
    """Whichever write of a killed process it was: a document that was not there is refused by no
    version.
    """
    stalled, now = stall_write(store, clock, late, at), clock.as_clock().now()
    run_erasure(context, store, whom, now)
    fold_all(store, clock, [late])
    assert (list_remaining(store, whom), store.count(Original, DocumentFilter())) == ([], 0)
    stalled.arrive()
    clock.advance(3600)
    remove_late(store, context.trail(), clocks_at(clock.as_clock().now()))
    assert (list_remaining(store, whom), store.count(Original, DocumentFilter())) == ([], 0)


@on_server_too
@pytest.mark.parametrize("whom", [handle("a"), EVERYBODY])
@pytest.mark.parametrize(("late", "at"), LATE_WRITES)
def test_alert_checks_erasures_again_after_days_of_downtime(
    store, clock, context, whom, late, at
) -> None:
    """What was killed was the only one.

    What was seen since is of who is a customer, or a tenant, again: it stays.
    """
    stalled, now = stall_write(store, clock, late, at), clock.as_clock().now()
    run_erasure(context, store, whom, now)
    stalled.arrive()
    clock.advance(3 * 86400)
    days_after = clock.as_clock().now()
    since = finding("since", range(100, 110), people="a", capture={"fetched_at": days_after})
    fold_all(store, clock, [since])
    remove_late(store, context.trail(), clocks_at(days_after))
    store.refresh()
    theirs = DocumentFilter({"subject": (whom,)} if whom else {})
    assert [exposure.sightings for exposure in store.scroll(Exposure, theirs)] == [("since",)]
    counted = [
        store.count(kind, where)
        for kind, where in ((Background, theirs), (Original, DocumentFilter()), (Claim, LOOKED_FOR))
    ]
    assert counted == [0, 0, 0]


@on_server_too
def test_late_removal_is_audited_without_a_pseudonym(store, clock, context) -> None:
    stalled, now = StallingStore(store, 3), clock.as_clock().now()
    fold_all(store, clock, [finding("f", range(10), "bc")])
    with pytest.raises(UnavailableError, match="killed"):
        fold_all(stalled, clock, [finding("g", range(30, 50), "abd")])
    run_erasure(context, store, handle("a"), now)
    assert stalled.arrive is not None
    assert remove_late(store, context.trail(), clocks_at(now)) == set()
    stalled.arrive()
    store.refresh()
    assert people(store) == {handle(name) for name in "abcd"}
    assert remove_late(store, context.trail(), clocks_at(now)) == {Exposure}
    store.refresh()
    assert people(store) == {handle(name) for name in "bcd"}
    (entry,) = [entry for _, entry in read_entries(context.data / AUDIT)]
    assert (entry.action, entry.actor, entry.tenant) == ("subject.erased", "alert", "bank")
    assert entry.object.endswith(": 1 that came after it are removed")
    assert handle("a") not in entry.model_dump_json()


def test_returning_customer_stays_after_the_day_of_checks(store, clock, context) -> None:
    run_erasure(context, store, handle("a"), WHEN)
    back = finding(
        "back", range(10), people="a", capture={"fetched_at": WHEN + SETTLED + timedelta(seconds=1)}
    )
    fold_all(store, clock, [back])
    assert (
        remove_late(store, context.trail(), clocks_at(WHEN + SETTLED + timedelta(seconds=1)))
        == set()
    )
    assert (people(store), store.count(Claim, LOOKED_FOR)) == ({handle("a")}, 0)


def test_clock_set_back_moves_no_erasure_mark_back(store, tmp_path) -> None:
    earlier = WHEN - timedelta(days=30)
    for now in (WHEN, earlier):
        set_tombstone(store, "bank", handle("a"), now)
        Tombstones(tmp_path, "bank").add("ab" * 16, now)
    assert find_last_erasures(store, ["bank"]) == {"bank": WHEN}
    assert store.get(Claim, tombstone_id("bank", handle("a"))).at == WHEN
    assert Tombstones(tmp_path, "bank").all() == {"ab" * 16: WHEN}


def test_customer_and_tenant_erased_meanwhile_is_listed_once(store, clock) -> None:
    fold_all(store, clock, [finding("f", range(10), people="a")])
    for whom in (handle("a"), EVERYBODY):
        set_tombstone(store, "bank", whom, WHEN)
    written = list(store.scroll(Exposure, DocumentFilter()))
    assert find_erased_meanwhile(store, written) == [exposure.id for exposure in written]
