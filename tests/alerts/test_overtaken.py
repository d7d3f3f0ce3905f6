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
from ullage.verdict import load_verdict_rules


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


def make_post(name: str, people: str = "ab", site: str = "paste") -> Finding:
    """Return a finding from a post of one leak; each name is the same post on `site`."""
    return finding(name, range(20), people, site=site, capture={"post": f"post on {site}"})


def facts(store: IncidentStore) -> set[tuple[str, str]]:
    store.refresh()
    return {
        (exposure.subject, sighting)
        for exposure in store.scroll(Exposure, DocumentFilter())
        for sighting in exposure.sightings
    }


def agree(store: IncidentStore, findings: Sequence[Finding]) -> None:
    """Check that no finding is lost and each incident agrees with its facts."""
    assert facts(store) == {
        (match.subject, document.id) for document in findings for match in document.matches
    }
    assert {document.id for document in store.scroll(Sighting, DocumentFilter())} == {
        document.id for document in findings
    }
    exposures = list(store.scroll(Exposure, DocumentFilter()))
    for incident in store.scroll(Incident, DocumentFilter()):
        assert incident.sightings == store.count(
            Sighting, DocumentFilter({"incident": (incident.id,)})
        )
        assert incident.customers == len(
            {document.subject for document in exposures if document.incident == incident.id}
        )


@on_server_too
@pytest.mark.parametrize("kind", [Sighting, Presence, Exposure, Incident])
def test_concurrent_write_is_not_lost(
    store: IncidentStore, clock: HeldClock, kind: type[Document]
) -> None:
    first, mine, theirs = make_post("f"), make_post("g", "abc"), make_post("h", "abd")
    fold_all(store, clock, [first])
    between = InterruptedStore(store, kind, lambda: fold_all(store, clock, [theirs]))
    fold_all(between, clock, [mine])  # type: ignore[arg-type]
    agree(store, [first, mine, theirs])
    (presence,) = store.scroll(Presence, DocumentFilter())
    assert presence.sightings == ("f", "g", "h")


def test_customers_are_read_only_for_existing_incidents(
    store: IncidentStore, clock: HeldClock
) -> None:
    listened, first = (
        ReadRecorder(store),
        [make_post("f"), finding("alone", (), "z"), finding("nobody", alarm=True)],
    )
    fold_all(listened, clock, first)  # type: ignore[arg-type]
    assert listened.asked == set()
    second = [make_post("g", "abc"), finding("other", (), "y")]
    fold_all(listened, clock, second)  # type: ignore[arg-type]
    assert listened.asked == {incident_id("f")}
    agree(store, [*first, make_post("g", "abc"), finding("other", (), "y")])


def test_incident_with_a_sighting_left_by_a_crash_is_read(
    store: IncidentStore, clock: HeldClock
) -> None:
    killed, listened, batch = (
        StallingStore(store, 3),
        ReadRecorder(store),
        [make_post("f"), make_post("g", "abc", "forum")],
    )
    with pytest.raises(UnavailableError, match="killed"):
        fold_all(killed, clock, batch)  # type: ignore[arg-type]
    fold_all(listened, clock, batch)  # type: ignore[arg-type]
    assert listened.asked == {incident_id("f")}
    agree(store, batch)


@pytest.mark.parametrize("beside", [(), (incident_id("other"),)])
def test_new_facts_replace_stored_customers_only_when_complete(
    store: IncidentStore, clock: HeldClock, beside: tuple[str, ...]
) -> None:
    fold_all(store, clock, [make_post("f"), make_post("g", "abc"), finding("other", (), "y")])
    id_, whole = (
        incident_id("f"),
        list(store.scroll(Exposure, DocumentFilter({"incident": (incident_id("f"),)}))),
    )
    families = {head_id: (head_id,) for head_id in (id_, *beside)}

    def customers(*posts: str) -> int:
        arrived = NewFacts(posts, {id_: whole[:1]})
        return {
            head_id: len([*of_it.exposures])
            for head_id, of_it in read_facts(store, families, dict.fromkeys(families, 3), arrived)
        }[id_]

    assert (customers("f", "g"), customers("f")) == (1, 3)


@pytest.mark.parametrize("kind", [Sighting, Presence, Exposure, Incident])
def test_two_owners_of_the_same_findings_end_like_one(
    store: IncidentStore, clock: HeldClock, kind: type[Document], registry: CollectorRegistry
) -> None:
    findings = [make_post("f"), make_post("g", "abc", "forum")]
    batch = [record(post) for post in findings]
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
def test_concurrent_openings_of_an_incident_lose_nothing(
    store: IncidentStore, clock: HeldClock, kind: type[Document]
) -> None:
    """What a batch opens it works out from what it holds itself: not so where another process
    knew more of it.
    """
    mine, theirs = make_post("f"), make_post("g", "abc", "forum")
    fold_all(
        InterruptedStore(store, kind, lambda: fold_all(store, clock, [mine, theirs])), clock, [mine]
    )  # type: ignore[arg-type]
    agree(store, [mine, theirs])
    (incident,) = store.scroll(Incident, DocumentFilter())
    assert (incident.id, incident.customers, incident.sightings) == (incident_id("f"), 3, 2)


@on_server_too
@pytest.mark.parametrize("at", range(1, 6))
def test_late_write_of_a_killed_process_removes_nothing(
    store: IncidentStore, clock: HeldClock, at: int
) -> None:
    """Whichever of its writes it was: who took over has folded the batch, and more, in between."""
    first, batch, more = (
        make_post("f"),
        [make_post("g", "abc"), make_post("h", "d", "forum")],
        make_post("i", "abcd"),
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


def test_repeated_conflicts_are_retried_a_limited_number_of_times(
    store: IncidentStore, clock: HeldClock
) -> None:
    first, rivals = make_post("first"), [make_post(f"other {n}") for n in range(TRIES + 1)]
    remaining = iter(rivals)
    fold_all(store, clock, [first])
    between = InterruptedStore(
        store, Exposure, lambda: fold_all(store, clock, [next(remaining)]), times=TRIES
    )
    with pytest.raises(
        ConflictError, match="another process writes the same exposure documents"
    ) as caught:
        fold_all(between, clock, [make_post("f")])  # type: ignore[arg-type]
    assert caught.value.action is Action.RETRY
    assert len([*remaining]) == 1
    fold_all(store, clock, [make_post("f")])
    agree(store, [first, make_post("f"), *rivals[:TRIES]])


def test_incident_delay_is_counted_once_across_retries(
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
    fold_all(store, clock, [make_post("f")])
    gone = [
        exposure.id
        for exposure in store.scroll(Exposure, DocumentFilter({"subject": (handle("a"),)}))
    ]
    fold_all(
        InterruptedStore(store, Exposure, lambda: store.delete(Exposure, gone)),
        clock,
        [make_post("g")],
    )  # type: ignore[arg-type]
    assert facts(store) == {(handle("a"), "g"), (handle("b"), "f"), (handle("b"), "g")}


@on_server_too
def test_value_taken_over_by_another_belongs_to_them(
    store: IncidentStore, clock: HeldClock
) -> None:
    """Both find its incident gone; who comes second leaves the values where the first has put
    them.
    """
    fold_all(store, clock, [make_post("f")])
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
        holding.incident
        for holding in find_holdings(store, list_content_claims(mine)[:20]).values()
    } == {incident_id("h")}


def test_merge_overwrites_only_what_it_read(store: IncidentStore, clock: HeldClock) -> None:
    fold_all(store, clock, [make_post("f")])
    exposure, _ = store.scroll(Exposure, DocumentFilter())
    merging = Merge(store)
    merging.mget(Exposure, [exposure.id])
    store.put([exposure.model_copy(update={"confidence": 1})])
    merging.mget(Exposure, [exposure.id])
    with pytest.raises(ConflictError):
        merging.put([exposure])
    with pytest.raises(ConflictError):
        merging.delete(Exposure, [exposure.id])
    assert (
        merge(store, lambda again: again.delete(Exposure, again.mget(Exposure, [exposure.id]))) == 1
    )


@pytest.mark.parametrize("kind", [Exposure, Sighting, Incident])
def test_merge_during_a_detachment_is_not_lost(
    store: IncidentStore, clock: HeldClock, context: Context, kind: type[Document]
) -> None:
    first, detached, later = (
        make_post("f", "abc"),
        make_post("g", "bcd", "forum"),
        make_post("h", "abc", "board"),
    )
    fold_all(store, clock, [first, detached])
    between: Any = InterruptedStore(store, kind, lambda: fold_all(store, clock, [later]))
    racing_store, there = (
        Work(Duties(document, lambda _: Tenant(), clock.as_clock()))
        for document in (store, between)
    )
    source, new = incident_id("f"), incident_id("g")
    Cases(racing_store, context.trail()).detach(source, "g", by="Li Wei", note="another list")
    Returns(there, context.trail(), load_verdict_rules).turn()
    agree(store, [first, detached, later])
    assert {
        document.id: document.incident for document in store.scroll(Sighting, DocumentFilter())
    } == {
        "f": source,
        "g": new,
        "h": source,
    }
    assert {
        document.sightings
        for document in store.scroll(Exposure, DocumentFilter({"incident": (new,)}))
    } == {("g",)}
    assert store.get(Incident, source).sightings == 2  # type: ignore[union-attr]
    assert store.get(Incident, new).apart == (source,)  # type: ignore[union-attr]


def test_exposure_merged_while_it_expires_stays(store: IncidentStore, clock: HeldClock) -> None:
    fold_all(store, clock, [make_post("f", "ab")])
    late = finding(
        "g",
        range(20),
        "a",
        capture={"fetched_at": make_post("f").capture.fetched_at + timedelta(days=40)},
    )
    between: Any = InterruptedStore(store, Incident, lambda: fold_all(store, clock, [late]))
    now = make_post("f").capture.fetched_at + timedelta(days=41)
    assert expire(between, StoreSettings(exposures_days=30), clocks_at(now)) == {Exposure: 1}
    assert (handle("a"), "g") in facts(store)
    assert handle("b") not in {subject for subject, _ in facts(store)}
