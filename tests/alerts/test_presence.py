"""Posts that are gone, by deletion or edit, and back: what is told of them, in every order."""

import io
import itertools
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from alerts.cases.actions import Cases
from alerts.cases.exports import chosen
from alerts.cases.incident_list import Filters, load_details
from alerts.cases.incident_view import details
from alerts.cli.tables import incident_in_full
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.grouping.sightings import MOST_GONE, merge_presences, read_presence
from alerts.records import Incident, PostRemoval, Presence, Sighting
from alerts.service.upkeep import WAITING_DAYS, expire
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.sqlite import SqliteStore
from tests.alerts.builders import everything, finding, fold_all, record, stage
from tests.alerts.test_alert import CrashingStore
from tests.factories import WHEN, clocks_at
from ullage.errors import UnavailableError
from ullage.records import Finding
from ullage.settings import StoreSettings, Tenant


def at(minutes: float) -> datetime:
    return WHEN + timedelta(minutes=minutes)


def make_post(
    name: str = "f", minutes: float = 0, post: str = "p", people: str = "ab", **where: object
) -> Finding:
    """Return a finding from a post with customers, fetched at that minute."""
    return finding(
        name,
        [f"{name} {n}" for n in range(12)],
        people,
        capture={"post": post, "fetched_at": at(minutes), **where},
    )


def withdrawn(minutes: float, post: str = "p", *, edited: bool = False) -> Finding:
    """Return a finding that a post holds nothing any more."""
    where = {"post": post, "fetched_at": at(minutes), "edited": edited, "deleted": not edited}
    return finding(f"w{post}{minutes}", capture=where, alarm=False, withdrawn=True)


def map_presence(store: IncidentStore) -> dict[str, tuple[datetime | None, str, datetime | None]]:
    store.refresh()
    return {
        s.id: (s.gone_at, s.gone_how, s.back_at) for s in store.scroll(Sighting, DocumentFilter())
    }


def read_only_incident(store: IncidentStore) -> Incident:
    store.refresh()
    (incident,) = store.scroll(Incident, DocumentFilter())
    return incident


def test_deleted_post_is_gone_and_nothing_else_changes(store, clock):
    fold_all(store, clock, [make_post()])
    before = read_only_incident(store)
    fold_all(store, clock, [withdrawn(30)])
    after = read_only_incident(store)
    assert map_presence(store) == {"f": (at(30), "deleted", None)}
    assert (after.gone, after.gone_at, after.back) == (1, at(30), 0)
    assert after.model_copy(update={"gone": 0, "gone_at": None}) == before, (
        "severity, clocks and counts do not fall"
    )


def test_only_an_edit_that_removes_the_leak_counts_as_gone(store, clock):
    fold_all(store, clock, [make_post(), make_post("g", 10, edited=True)])
    assert set(map_presence(store).values()) == {(None, "", None)}
    fold_all(store, clock, [withdrawn(20, edited=True), withdrawn(25, edited=True), withdrawn(40)])
    assert map_presence(store) == dict.fromkeys("fg", (at(20), "edited", None))


def test_message_deleted_before_its_fetch_is_gone_from_the_start(store, clock):
    fold_all(store, clock, [make_post(deleted=True)])
    assert map_presence(store) == {"f": (at(0), "deleted", None)}
    assert read_only_incident(store).customers == 2


def test_reposted_post_is_back(store, clock):
    fold_all(store, clock, [make_post(), withdrawn(10), make_post(minutes=20)])
    assert map_presence(store) == {"f": (None, "", at(20))}
    assert (
        read_only_incident(store).gone,
        read_only_incident(store).gone_at,
        read_only_incident(store).back,
    ) == (0, None, 1)
    fold_all(store, clock, [withdrawn(30)])
    assert map_presence(store) == {"f": (at(30), "deleted", None)}


def test_post_without_a_leak_before_its_edit_is_not_back(store, clock):
    fold_all(store, clock, [withdrawn(5, edited=True), make_post(minutes=10, edited=True)])
    assert map_presence(store) == {"f": (None, "", None)}


def test_order_of_arrival_does_not_change_presence(store, clock, tmp_path):
    news = [
        make_post(),
        withdrawn(10),
        make_post("g", 20, edited=True),
        withdrawn(30, edited=True),
        withdrawn(40),
    ]
    for number, order in enumerate(itertools.permutations(range(5))):
        post = f"p{number}"
        named = [item.model_copy(update={"id": f"{item.id}-{number}"}) for item in news]
        named = [
            item.model_copy(update={"capture": item.capture.model_copy(update={"post": post})})
            for item in named
        ]
        fold_all(store, clock, [named[place] for place in order], batch=1 + number % 3)
    stands = map_presence(store)
    assert len(stands) == 2 * 120
    assert set(stands.values()) == {(at(30), "edited", None)}


def test_repeated_record_changes_nothing_and_other_posts_stay(store, clock):
    of_another = withdrawn(10).model_copy(update={"tenant": "rival"})
    news = [make_post(), make_post("g", post="q", people="cd"), of_another, withdrawn(10)]
    fold_all(store, clock, news)
    before = everything(store)
    fold_all(store, clock, news[::-1], batch=1)
    assert everything(store) == before
    assert map_presence(store) == {"f": (at(10), "deleted", None), "g": (None, "", None)}


def test_incident_is_gone_when_all_its_posts_are(store, clock):
    fold_all(store, clock, [make_post(), make_post("g", 1, post="q"), withdrawn(10)])
    assert (
        read_only_incident(store).sightings,
        read_only_incident(store).gone,
        read_only_incident(store).gone_at,
    ) == (2, 1, None)
    fold_all(store, clock, [withdrawn(20, post="q")])
    assert (read_only_incident(store).gone, read_only_incident(store).gone_at) == (2, at(20))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_crash_is_repaired_by_the_same_record(clock, tmp_path, after):
    path, step, crashed = tmp_path / "incidents.sqlite", 0, True
    with closing(SqliteStore(path)) as store:
        fold_all(store, clock, [make_post()])
    while crashed:
        step, crashed, news = step + 1, False, [record(withdrawn(10 + step))]
        with closing(CrashingStore(path, step, after)) as store:
            try:
                stage(store, clock).handle(news)
            except UnavailableError:
                crashed = True
        with closing(SqliteStore(path)) as store:
            stage(store, clock).handle(news)
            assert map_presence(store) == {"f": (at(10), "deleted", None)}
            assert read_only_incident(store).gone == 1
    assert step > 3


def test_endless_edits_take_bounded_space():
    news = [read_presence(withdrawn(minute, edited=True)) for minute in range(1, 100)]
    presence = read_presence(make_post())
    for change in news:
        presence = merge_presences(presence, change)
    assert [gone.at for gone in presence.gone] == [*map(at, range(1, MOST_GONE)), at(99)]
    assert presence == merge_presences(merge_presences(news[98], presence), news[3])


def test_presence_is_shown_exported_and_proves_a_takedown(store, clock, context):
    fold_all(store, clock, [make_post(), make_post("g", 1, post="q"), withdrawn(10)])
    (exported,) = chosen(store, [read_only_incident(store).id], Filters())
    assert [sighting.gone for sighting in exported.sightings] == [at(10), None]
    assert exported.modified >= at(10)
    incident_view = load_details(store, read_only_incident(store).id)
    out = Console(width=200, file=io.StringIO())
    out.print(incident_in_full(incident_view, UTC))
    assert "1 of 2 posts have been removed." in out.file.getvalue()
    assert "removed 2026-09-21 12:10" in out.file.getvalue()
    cases = Cases(Work(Duties(store, lambda _: Tenant(), clock.as_clock())), context.trail())
    assert (
        "1 of 2 posts have been removed"
        in cases.takedown(read_only_incident(store).id, "sent", by="Li").words()
    )
    assert [
        sighting["gone_how"] for sighting in details(incident_view)["seen"] if sighting["id"] == "f"
    ] == ["deleted"]


def test_deletion_without_a_finding_expires(store, clock):
    fold_all(store, clock, [withdrawn(0), make_post("g", post="q"), withdrawn(1, post="q")])
    expire(store, StoreSettings(), clocks_at(at(0) + timedelta(days=WAITING_DAYS, minutes=1)))
    store.refresh()
    assert [presence.sightings for presence in store.scroll(Presence, DocumentFilter())] == [("g",)]
    assert [presence.gone for presence in store.scroll(Presence, DocumentFilter())] == [
        (PostRemoval(at=at(1), how="deleted"),)
    ]
