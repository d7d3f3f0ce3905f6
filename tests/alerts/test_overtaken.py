"""Two alert processes at the same facts: what one read is changed by the other before it writes,
or its write comes too late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from alerts.cases.actions import Cases
from alerts.cases.reopening import Returns
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.grouping.placement import find_holdings, list_content_claims
from alerts.grouping.sightings import NewFacts, read_facts
from alerts.records import Exposure, Holding, Incident, Presence, Sighting, incident_id
from alerts.records.document import D, Document
from alerts.service.upkeep import expire
from alerts.store import (
    TRIES,
    ConflictError,
    DocumentFilter,
    IncidentStore,
    Merge,
    VersionedDocument,
    merge,
)
from tests.alerts.builders import everything, finding, fold_all, handle, record, stage
from tests.conftest import HeldClock
from tests.factories import clocks_at
from tests.stores import InterruptedStore, StallingStore, on_server_too
from ullage.errors import Action, UnavailableError
from ullage.records import Finding
from ullage.settings import Context, StoreSettings, Tenant
from ullage.verdict import own_rules


class ReadRecorder:
    """A store that remembers of which incidents customers were read."""

    def __init__(self, inner: IncidentStore) -> None:
        self._inner = inner
        self.asked = set[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read(self, kind: type[D], ids: Collection[str]) -> dict[str, VersionedDocument[D]]:
        self.asked |= {id_.partition(":")[0] for id_ in ids} if kind is Exposure else set()
        return self._inner.read(kind, ids)

    def scroll(self, kind: type[D], where: DocumentFilter) -> Iterator[D]:
        self.asked |= {*where.equals.get("incident", ())} if kind is Exposure else set()
        return self._inner.scroll(kind, where)


def shown(name: str, people: str = "ab", site: str = "paste") -> Finding:
    """A post of the same leak, and for each name the same post on the site."""
    return finding(name, range(20), people, site=site, capture={"post": f"post on {site}"})


def facts(store: IncidentStore) -> set[tuple[str, str]]:
    store.refresh()
    return {
        (one.subject, sighting)
        for one in store.scroll(Exposure, DocumentFilter())
        for sighting in one.sightings
    }


def agree(store: IncidentStore, findings: Sequence[Finding]) -> None:
    """Nothing of `findings` is lost, and every incident says what its facts say."""
    assert facts(store) == {(match.subject, one.id) for one in findings for match in one.matches}
    assert {one.id for one in store.scroll(Sighting, DocumentFilter())} == {
        one.id for one in findings
    }
    exposures = list(store.scroll(Exposure, DocumentFilter()))
    for incident in store.scroll(Incident, DocumentFilter()):
        assert incident.sightings == store.count(
            Sighting, DocumentFilter({"incident": (incident.id,)})
        )
        assert incident.customers == len(
            {one.subject for one in exposures if one.incident == incident.id}
        )


@on_server_too
@pytest.mark.parametrize("kind", [Sighting, Presence, Exposure, Incident])
def test_what_another_process_wrote_between_reading_and_writing_is_not_lost(
    store: IncidentStore, clock: HeldClock, kind: type[Document]
) -> None:
    first, mine, theirs = shown("f"), shown("g", "abc"), shown("h", "abd")
    fold_all(store, clock, [first])
    between = InterruptedStore(store, kind, lambda: fold_all(store, clock, [theirs]))
    fold_all(between, clock, [mine])  # type: ignore[arg-type]
    agree(store, [first, mine, theirs])
    (presence,) = store.scroll(Presence, DocumentFilter())
    assert presence.sightings == ("f", "g", "h")


def test_customers_are_read_of_incidents_that_were_there_before_and_of_no_other(
    store: IncidentStore, clock: HeldClock
) -> None:
    listened, first = (
        ReadRecorder(store),
        [shown("f"), finding("alone", (), "z"), finding("nobody", alarm=True)],
    )
    fold_all(listened, clock, first)  # type: ignore[arg-type]
    assert listened.asked == set()
    fold_all(listened, clock, [shown("g", "abc"), finding("other", (), "y")])  # type: ignore[arg-type]
    assert listened.asked == {incident_id("f")}
    agree(store, [*first, shown("g", "abc"), finding("other", (), "y")])


def test_an_incident_of_which_a_crash_left_a_sighting_is_read(
    store: IncidentStore, clock: HeldClock
) -> None:
    killed, listened, batch = (
        StallingStore(store, 3),
        ReadRecorder(store),
        [shown("f"), shown("g", "abc", "forum")],
    )
    with pytest.raises(UnavailableError, match="killed"):
        fold_all(killed, clock, batch)  # type: ignore[arg-type]
    fold_all(listened, clock, batch)  # type: ignore[arg-type]
    assert listened.asked == {incident_id("f")}
    agree(store, batch)


@pytest.mark.parametrize("beside", [(), (incident_id("other"),)])
def test_what_came_stands_for_the_customers_only_while_all_posts_came_with_it(
    store: IncidentStore, clock: HeldClock, beside: tuple[str, ...]
) -> None:
    fold_all(store, clock, [shown("f"), shown("g", "abc"), finding("other", (), "y")])
    id_, whole = (
        incident_id("f"),
        list(store.scroll(Exposure, DocumentFilter({"incident": (incident_id("f"),)}))),
    )
    families = {one: (one,) for one in (id_, *beside)}

    def customers(*posts: str) -> int:
        came = NewFacts(posts, {id_: whole[:1]})
        return {
            one: len([*of_it.exposures])
            for one, of_it in read_facts(store, families, dict.fromkeys(families, 3), came)
        }[id_]

    assert (customers("f", "g"), customers("f")) == (1, 3)


@pytest.mark.parametrize("kind", [Sighting, Presence, Exposure, Incident])
def test_two_that_own_the_same_findings_end_as_one_would(
    store: IncidentStore, clock: HeldClock, kind: type[Document], registry: CollectorRegistry
) -> None:
    findings = [shown("f"), shown("g", "abc", "forum")]
    batch = [record(one) for one in findings]
    stage(
        InterruptedStore(store, kind, lambda: fold_all(store, clock, findings)), clock, registry
    ).handle(batch)  # type: ignore[arg-type]
    twice = everything(store)
    agree(store, findings)
    fold_all(store, clock, findings)
    assert everything(store) == twice
    assert registry.get_sample_value("ullage_alert_findings_total", {"tenant": "bank"}) == 2


@on_server_too
@pytest.mark.parametrize("kind", [Sighting, Presence, Exposure, Incident])
def test_two_that_open_the_same_incident_lose_nothing_of_what_one_of_them_adds(
    store: IncidentStore, clock: HeldClock, kind: type[Document]
) -> None:
    """What a batch opens it works out from what it holds itself: not so where another process
    knew more of it.
    """
    mine, theirs = shown("f"), shown("g", "abc", "forum")
    fold_all(
        InterruptedStore(store, kind, lambda: fold_all(store, clock, [mine, theirs])), clock, [mine]
    )  # type: ignore[arg-type]
    agree(store, [mine, theirs])
    (incident,) = store.scroll(Incident, DocumentFilter())
    assert (incident.id, incident.customers, incident.sightings) == (incident_id("f"), 3, 2)


@on_server_too
@pytest.mark.parametrize("at", range(1, 6))
def test_a_write_that_arrives_after_its_process_was_killed_takes_nothing_away(
    store: IncidentStore, clock: HeldClock, at: int
) -> None:
    """Whichever of its writes it was: who took over has folded the batch, and more, in between."""
    first, batch, more = (
        shown("f"),
        [shown("g", "abc"), shown("h", "d", "forum")],
        shown("i", "abcd"),
    )
    fold_all(store, clock, [first])
    stalled = StallingStore(store, at)
    with pytest.raises(UnavailableError, match="killed"):
        fold_all(stalled, clock, batch)  # type: ignore[arg-type]
    fold_all(store, clock, [*batch, more])
    before = everything(store)
    assert stalled.arrive is not None
    stalled.arrive()
    store.refresh()
    assert everything(store) == before
    agree(store, [first, *batch, more])


def test_what_is_always_overtaken_is_tried_so_often_and_then_later(
    store: IncidentStore, clock: HeldClock
) -> None:
    first, others = shown("first"), [shown(f"other {n}") for n in range(TRIES + 1)]
    left = iter(others)
    fold_all(store, clock, [first])
    between = InterruptedStore(
        store, Exposure, lambda: fold_all(store, clock, [next(left)]), times=TRIES
    )
    with pytest.raises(
        ConflictError, match="another process writes the same exposure documents"
    ) as caught:
        fold_all(between, clock, [shown("f")])  # type: ignore[arg-type]
    assert caught.value.action is Action.RETRY
    assert len([*left]) == 1
    fold_all(store, clock, [shown("f")])
    agree(store, [first, shown("f"), *others[:TRIES]])


def test_the_delay_of_an_incident_is_counted_once_however_often_its_batch_is_done(
    store: IncidentStore, clock: HeldClock, registry: CollectorRegistry
) -> None:
    published = finding("f", range(10), "a", capture={"published_at": clock.as_clock().now()})
    between = InterruptedStore(
        store, Exposure, lambda: fold_all(store, clock, [finding("g", range(10), "a")])
    )
    stage(between, clock, registry).handle([record(published)])  # type: ignore[arg-type]
    assert (
        registry.get_sample_value(
            "ullage_alert_publish_to_incident_seconds_count", {"tenant": "bank"}
        )
        == 1
    )


def test_customer_erased_meanwhile_is_not_restored(store: IncidentStore, clock: HeldClock) -> None:
    fold_all(store, clock, [shown("f")])
    gone = [one.id for one in store.scroll(Exposure, DocumentFilter({"subject": (handle("a"),)}))]
    fold_all(
        InterruptedStore(store, Exposure, lambda: store.delete(Exposure, gone)), clock, [shown("g")]
    )  # type: ignore[arg-type]
    assert facts(store) == {(handle("a"), "g"), (handle("b"), "f"), (handle("b"), "g")}


@on_server_too
def test_what_somebody_else_has_taken_over_is_theirs(
    store: IncidentStore, clock: HeldClock
) -> None:
    """Both find its incident gone; who comes second leaves the values where the first has put
    them.
    """
    fold_all(store, clock, [shown("f")])
    store.delete(Incident, [incident_id("f")])
    mine, theirs = finding("g", range(20), "xy"), finding("h", range(20), "uv")
    first = clock.seconds

    def between() -> None:
        clock.seconds = first - 1
        fold_all(store, clock, [theirs])
        clock.seconds = first

    fold_all(InterruptedStore(store, Holding, between), clock, [mine])  # type: ignore[arg-type]
    assert store.count(Holding, DocumentFilter()) == 3
    assert {
        one.incident for one in find_holdings(store, list_content_claims(mine)[:20]).values()
    } == {incident_id("h")}


def test_a_merge_writes_over_what_it_read_first(store: IncidentStore, clock: HeldClock) -> None:
    fold_all(store, clock, [shown("f")])
    one, _ = store.scroll(Exposure, DocumentFilter())
    merging = Merge(store)
    merging.mget(Exposure, [one.id])
    store.put([one.model_copy(update={"confidence": 1})])
    merging.mget(Exposure, [one.id])
    with pytest.raises(ConflictError):
        merging.put([one])
    with pytest.raises(ConflictError):
        merging.delete(Exposure, [one.id])
    assert merge(store, lambda again: again.delete(Exposure, again.mget(Exposure, [one.id]))) == 1


@pytest.mark.parametrize("kind", [Exposure, Sighting, Incident])
def test_what_is_merged_while_a_sighting_is_detached_is_not_lost(
    store: IncidentStore, clock: HeldClock, context: Context, kind: type[Document]
) -> None:
    first, own, later = shown("f", "abc"), shown("g", "bcd", "forum"), shown("h", "abc", "board")
    fold_all(store, clock, [first, own])
    between: Any = InterruptedStore(store, kind, lambda: fold_all(store, clock, [later]))
    here, there = (
        Work(Duties(one, lambda _: Tenant(), clock.as_clock())) for one in (store, between)
    )
    source, new = incident_id("f"), incident_id("g")
    Cases(here, context.trail()).detach(source, "g", by="Li Wei", note="another list")
    Returns(there, context.trail(), own_rules).turn()
    agree(store, [first, own, later])
    assert {one.id: one.incident for one in store.scroll(Sighting, DocumentFilter())} == {
        "f": source,
        "g": new,
        "h": source,
    }
    assert {
        one.sightings for one in store.scroll(Exposure, DocumentFilter({"incident": (new,)}))
    } == {("g",)}
    assert (store.get(Incident, source).sightings, store.get(Incident, new).apart) == (2, (source,))  # type: ignore[union-attr]


def test_an_exposure_into_which_a_finding_is_merged_while_it_expires_stays(
    store: IncidentStore, clock: HeldClock
) -> None:
    fold_all(store, clock, [shown("f", "ab")])
    late = finding(
        "g",
        range(20),
        "a",
        capture={"fetched_at": shown("f").capture.fetched_at + timedelta(days=40)},
    )
    between: Any = InterruptedStore(store, Incident, lambda: fold_all(store, clock, [late]))
    now = shown("f").capture.fetched_at + timedelta(days=41)
    assert expire(between, StoreSettings(exposures_days=30), clocks_at(now)) == {Exposure: 1}
    assert (handle("a"), "g") in facts(store)
    assert handle("b") not in {subject for subject, _ in facts(store)}
