"""Posts that are gone, by deletion or edit, and back: what is told of them, in every order."""

import io
import itertools
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from alerts.cases.actions import Cases
from alerts.cases.exports import chosen
from alerts.cases.incident_list import Filters, whole
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


def shown(
    name: str = "f", minutes: float = 0, post: str = "p", people: str = "ab", **where: object
) -> Finding:
    """A post with customers in it, as it was seen at that minute."""
    return finding(
        name,
        [f"{name} {n}" for n in range(12)],
        people,
        capture={"post": post, "fetched_at": at(minutes), **where},
    )


def withdrawn(minutes: float, post: str = "p", *, edited: bool = False) -> Finding:
    """That nothing is in a post any more."""
    where = {"post": post, "fetched_at": at(minutes), "edited": edited, "deleted": not edited}
    return finding(f"w{post}{minutes}", capture=where, alarm=False, withdrawn=True)


def told(store: IncidentStore) -> dict[str, tuple[datetime | None, str, datetime | None]]:
    store.refresh()
    return {
        s.id: (s.gone_at, s.gone_how, s.back_at) for s in store.scroll(Sighting, DocumentFilter())
    }


def only(store: IncidentStore) -> Incident:
    store.refresh()
    (incident,) = store.scroll(Incident, DocumentFilter())
    return incident


def test_a_post_that_was_deleted_is_gone_since_then_and_nothing_else_changes(store, clock):
    fold_all(store, clock, [shown()])
    before = only(store)
    fold_all(store, clock, [withdrawn(30)])
    after = only(store)
    assert told(store) == {"f": (at(30), "deleted", None)}
    assert (after.gone, after.gone_at, after.back) == (1, at(30), 0)
    assert after.model_copy(update={"gone": 0, "gone_at": None}) == before, (
        "severity, clocks and counts do not fall"
    )


def test_an_edit_that_takes_the_leak_out_is_told_as_such_and_one_that_keeps_it_is_not(store, clock):
    fold_all(store, clock, [shown(), shown("g", 10, edited=True)])
    assert set(told(store).values()) == {(None, "", None)}
    fold_all(store, clock, [withdrawn(20, edited=True), withdrawn(25, edited=True), withdrawn(40)])
    assert told(store) == dict.fromkeys("fg", (at(20), "edited", None))


def test_a_deleted_message_whose_text_came_along_is_gone_from_the_first(store, clock):
    fold_all(store, clock, [shown(deleted=True)])
    assert told(store) == {"f": (at(0), "deleted", None)}
    assert only(store).customers == 2


def test_a_post_that_comes_again_is_back(store, clock):
    fold_all(store, clock, [shown(), withdrawn(10), shown(minutes=20)])
    assert told(store) == {"f": (None, "", at(20))}
    assert (only(store).gone, only(store).gone_at, only(store).back) == (0, None, 1)
    fold_all(store, clock, [withdrawn(30)])
    assert told(store) == {"f": (at(30), "deleted", None)}


def test_what_held_nothing_before_its_leak_was_written_into_it_is_not_back(store, clock):
    fold_all(store, clock, [withdrawn(5, edited=True), shown(minutes=10, edited=True)])
    assert told(store) == {"f": (None, "", None)}


def test_the_order_in_which_it_comes_does_not_matter(store, clock, tmp_path):
    news = [
        shown(),
        withdrawn(10),
        shown("g", 20, edited=True),
        withdrawn(30, edited=True),
        withdrawn(40),
    ]
    for number, order in enumerate(itertools.permutations(range(5))):
        post = f"p{number}"
        named = [one.model_copy(update={"id": f"{one.id}-{number}"}) for one in news]
        named = [
            one.model_copy(update={"capture": one.capture.model_copy(update={"post": post})})
            for one in named
        ]
        fold_all(store, clock, [named[place] for place in order], batch=1 + number % 3)
    stands = told(store)
    assert len(stands) == 2 * 120
    assert set(stands.values()) == {(at(30), "edited", None)}


def test_once_more_changes_nothing_and_other_posts_and_tenants_are_not_touched(store, clock):
    of_another = withdrawn(10).model_copy(update={"tenant": "rival"})
    news = [shown(), shown("g", post="q", people="cd"), of_another, withdrawn(10)]
    fold_all(store, clock, news)
    before = everything(store)
    fold_all(store, clock, news[::-1], batch=1)
    assert everything(store) == before
    assert told(store) == {"f": (at(10), "deleted", None), "g": (None, "", None)}


def test_an_incident_is_gone_when_all_its_posts_are(store, clock):
    fold_all(store, clock, [shown(), shown("g", 1, post="q"), withdrawn(10)])
    assert (only(store).sightings, only(store).gone, only(store).gone_at) == (2, 1, None)
    fold_all(store, clock, [withdrawn(20, post="q")])
    assert (only(store).gone, only(store).gone_at) == (2, at(20))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_in_the_middle_is_made_good_by_the_same_record(clock, tmp_path, after):
    path, step, crashed = tmp_path / "incidents.sqlite", 0, True
    with closing(SqliteStore(path)) as store:
        fold_all(store, clock, [shown()])
    while crashed:
        step, crashed, news = step + 1, False, [record(withdrawn(10 + step))]
        with closing(CrashingStore(path, step, after)) as store:
            try:
                stage(store, clock).handle(news)
            except UnavailableError:
                crashed = True
        with closing(SqliteStore(path)) as store:
            stage(store, clock).handle(news)
            assert told(store) == {"f": (at(10), "deleted", None)}
            assert only(store).gone == 1
    assert step > 3


def test_somebody_who_edits_without_end_costs_no_more_and_the_state_stays_right():
    news = [read_presence(withdrawn(minute, edited=True)) for minute in range(1, 100)]
    one = read_presence(shown())
    for other in news:
        one = merge_presences(one, other)
    assert [gone.at for gone in one.gone] == [*map(at, range(1, MOST_GONE)), at(99)]
    assert one == merge_presences(merge_presences(news[98], one), news[3])


def test_people_and_exports_are_told_and_a_takedown_has_it_as_evidence(store, clock, context):
    fold_all(store, clock, [shown(), shown("g", 1, post="q"), withdrawn(10)])
    (exported,) = chosen(store, [only(store).id], Filters())
    assert [seen.gone for seen in exported.seen] == [at(10), None]
    assert exported.modified >= at(10)
    found = whole(store, only(store).id)
    out = Console(width=200, file=io.StringIO())
    out.print(incident_in_full(found, UTC))
    assert "1 of 2 posts have been removed." in out.file.getvalue()
    assert "removed 2026-09-21 12:10" in out.file.getvalue()
    cases = Cases(Work(Duties(store, lambda _: Tenant(), clock.as_clock())), context.trail())
    assert (
        "1 of 2 posts have been removed" in cases.takedown(only(store).id, "sent", by="Li").words()
    )
    assert [seen["gone_how"] for seen in details(found)["seen"] if seen["id"] == "f"] == ["deleted"]


def test_a_deletion_without_a_finding_waits_no_longer_than_one_can_come(store, clock):
    fold_all(store, clock, [withdrawn(0), shown("g", post="q"), withdrawn(1, post="q")])
    expire(store, StoreSettings(), clocks_at(at(0) + timedelta(days=WAITING_DAYS, minutes=1)))
    store.refresh()
    assert [one.sightings for one in store.scroll(Presence, DocumentFilter())] == [("g",)]
    assert [one.gone for one in store.scroll(Presence, DocumentFilter())] == [
        (PostRemoval(at=at(1), how="deleted"),)
    ]
