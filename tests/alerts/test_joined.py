"""What belongs together is one incident, whatever the order in which it comes."""

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.cases.decisions import Decisions
from alerts.cases.incident_list import Filters, page_of, whole
from alerts.cases.suppressions import muted
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Book, duties_of, earliest
from alerts.grouping.placement import build_ties
from alerts.records import (
    SEVERITIES,
    Background,
    Decision,
    DutyRecord,
    Exposure,
    Incident,
    Notification,
    Sighting,
    incident_id,
)
from alerts.records.document import QueryError
from alerts.store import DocumentFilter, IncidentStore, open_store
from tests.alerts.builders import everything, finding, fold_all, handle, record, stage
from tests.alerts.test_alert import CrashingStore
from tests.conftest import HeldClock
from tests.factories import WHEN
from ullage.errors import UnavailableError
from ullage.records import Finding, Term
from ullage.settings import Tenant


def said(name: str, minutes: float = 0, people: Sequence[object] = (), **changes) -> Finding:
    """What an author says in a channel, so many minutes after WHEN; nothing in its text is in
    another's.
    """
    where = {
        "author": "@a",
        "channel": "#c",
        "kind": "message",
        "published_at": WHEN + timedelta(minutes=minutes),
    }
    where |= changes.pop("where", {})
    values = changes.pop("values", [f"{name} {n}" for n in range(12)])
    return finding(
        name,
        values,
        people or (f"who {name}",),
        capture=where,
        site="chat",
        kinds=changes.pop("kinds", ("phone", "resident_id")),
        **changes,
    )


def shown(store: IncidentStore) -> list[Incident]:
    return list(page_of(store, Filters(), 500).items)


def facts(store: IncidentStore) -> set[tuple[object, ...]]:
    """The incidents that people see, by what is in them; not by the id, which is that of whoever
    came first.
    """
    found = set()
    for incident in shown(store):
        sightings = frozenset(
            s.id for s in store.scroll(Sighting, DocumentFilter({"incident": incident.family}))
        )
        people = frozenset(
            e.subject for e in store.scroll(Exposure, DocumentFilter({"incident": incident.family}))
        )
        judged = (
            incident.severity,
            incident.exposure,
            incident.origin,
            incident.row,
            incident.rows,
            incident.joined,
        )
        found.add(
            (sightings, people, incident.customers, incident.verified, incident.series, *judged)
        )
    return found


def test_what_one_author_says_in_a_channel_within_a_quarter_of_an_hour_is_one_incident(
    store, clock
):
    fold_all(store, clock, [said("f"), said("g", 10), said("h", 24)])
    (incident,) = shown(store)
    assert (incident.customers, incident.sightings, incident.joined, incident.series) == (
        3,
        3,
        3,
        ("@a",),
    )
    assert incident.rows == 3


@pytest.mark.parametrize(
    "where",
    [
        {"author": "@b"},
        {"channel": "#d"},
        {"author": ""},
        {"published_at": WHEN + timedelta(minutes=31)},
        {"channel": ""},
    ],
    ids=["another author", "another channel", "nobody", "half an hour later", "no channel"],
)
def test_what_is_not_tied_stays_apart(store, clock, where):
    fold_all(store, clock, [said("f"), said("g", 1, where=where)])
    assert len(shown(store)) == 2
    assert {incident.joined for incident in shown(store)} == {0}


@pytest.mark.parametrize(
    "where", [{"category": "chat"}, {"platform": "ingest", "url": ""}], ids=["a chat", "handed in"]
)
def test_lines_of_a_chat_that_names_no_channel_are_joined_by_site_author_and_time(
    store, clock, where
):
    where = {"channel": "", "thread": "", "kind": "post", "category": "other", **where}
    fold_all(store, clock, [said(f"line {n}", n, where=where) for n in range(15)])
    assert [(incident.customers, incident.joined) for incident in shown(store)] == [(15, 15)]
    apart = [
        said("another", 1, where={**where, "author": "@b"}),
        said("nobody", 1, where={**where, "author": ""}),
        said("later", 60, where=where),
    ]
    fold_all(store, clock, apart)
    assert sorted(incident.customers for incident in shown(store)) == [1, 1, 1, 15]


def test_posts_elsewhere_that_name_no_channel_are_not_joined_by_time(store, clock):
    where = {
        "channel": "",
        "thread": "",
        "kind": "paste",
        "category": "paste",
        "platform": "bepasty",
    }
    fold_all(store, clock, [said("f", where=where), said("g", 1, where=where)])
    assert len(shown(store)) == 2


def test_the_words_behind_a_channels_token_do_not_part_it(store, clock):
    fold_all(store, clock, [said("f"), said("g", 1, where={"channel": "#c 内料"})])
    assert len(shown(store)) == 1


def test_how_long_belongs_together_is_a_setting():
    early, late = said("f"), said("g", 40)
    assert not set(build_ties(early).all) & set(build_ties(late).own)
    longer = timedelta(hours=1)
    assert set(build_ties(early, longer).all) & set(build_ties(late, longer).own)


def test_without_a_time_of_its_own_a_post_has_that_of_the_fetch(store, clock):
    fold_all(
        store,
        clock,
        [
            said("f", where={"published_at": None, "fetched_at": WHEN + timedelta(hours=5)}),
            said("g", 300),
        ],
    )
    assert len(shown(store)) == 1


def test_talk_without_a_pause_ends_with_the_day():
    """The day begins at 21:00 UTC, five in the morning in China."""
    evening = 9 * 60
    assert not set(build_ties(said("f", evening - 1)).all) & set(build_ties(said("g", evening)).own)
    assert set(build_ties(said("f", evening)).all) & set(build_ties(said("g", evening + 14)).own)


@pytest.mark.parametrize("kind", ["thread", "talk"])
def test_same_author_on_two_sites_is_two_incidents(store, clock, kind: str) -> None:
    """Threads and channels are numbered by each site for itself, so the same number on another
    site is another one.
    """
    where = {"channel": "", "thread": "ab12", "kind": "post"} if kind == "thread" else {}
    here = [said(name, minutes, where=where) for name, minutes in (("f", 0), ("g", 1))]
    there = [
        post.model_copy(update={"capture": post.capture.model_copy(update={"site": "elsewhere"})})
        for post in (said(name, minutes, where=where) for name, minutes in (("h", 2), ("i", 3)))
    ]
    fold_all(store, clock, [here[0], there[0], here[1], there[1]])
    assert {frozenset(sightings) for sightings, *_ in facts(store)} == {
        frozenset("fg"),
        frozenset("hi"),
    }


TIED = {
    "thread": ({"channel": "", "thread": "ab12", "kind": "post"}, ()),
    "talk": ({}, ()),
    "advert": ({}, ("offer", "dump")),
    "template": ({"channel": ""}, ("offer", "dump")),
}
"""Where a post stands, and the words of the trade in it, for each kind of grouping key."""


@pytest.mark.parametrize("kind", TIED)
def test_posts_of_two_tenants_share_no_grouping_key(store, clock, kind: str) -> None:
    """Each tenant's posts of one author are one incident, however the two tenants' posts
    alternate.
    """
    where, words = TIED[kind]
    terms = tuple(Term(id=word, category="sale", weight=1, count=1) for word in words)
    posts = {
        tenant: [
            said(f"{tenant}{n}", n, where=where, tenant=tenant,
            statistics={"terms": terms}) for n in (1, 2)
        ]
        for tenant in ("bank", "shop")
    }  # fmt: skip
    keys = {
        tenant: {key for post in posts[tenant] for key in build_ties(post).all} for tenant in posts
    }
    assert all(keys.values())
    assert keys["bank"].isdisjoint(keys["shop"])
    fold_all(store, clock, [post for pair in zip(*posts.values(), strict=True) for post in pair])
    incidents = {frozenset(sightings) for sightings, *_ in facts(store)}
    assert incidents == {frozenset({"bank1", "bank2"}), frozenset({"shop1", "shop2"})}


def test_posts_of_an_author_in_a_thread_are_one_incident_days_apart(store, clock):
    thread = {"channel": "", "thread": "ab12", "kind": "post"}
    others = (
        said("h", 9, where={**thread, "author": "@b"}),
        said("i", 9, where={**thread, "thread": "cd34"}),
    )
    fold_all(store, clock, [said("f", where=thread), said("g", 60 * 24 * 5, where=thread), *others])
    assert sorted(incident.sightings for incident in shown(store)) == [1, 1, 2]


def offer(
    name: str, minutes: float = 0, terms: Sequence[str] = ("出售", "一手"), **where
) -> Finding:
    told = tuple(Term(id=term, category="TRADE", weight=2, count=1) for term in terms)
    place = {"channel": "", "thread": name, "kind": "post", **where}
    return said(
        name, minutes, where=place, statistics={"terms": told, "skeleton": "<NAME>----<PHONE>"}
    )


def test_template_posts_of_one_seller_are_one_incident_wherever_they_stand(store, clock):
    fold_all(
        store,
        clock,
        [
            offer("f"),
            offer("g", 3000),
            offer("h", 10, author="@b"),
            offer("i", 20, terms=("出售", "四件套")),
        ],
    )
    assert sorted(incident.sightings for incident in shown(store)) == [1, 1, 2]


def test_a_bridge_makes_the_oldest_the_head_of_what_it_ties_and_merges_nothing(store, clock):
    fold_all(store, clock, [said("f")])
    clock.advance(60)
    fold_all(store, clock, [said("g", 30)])
    assert len(shown(store)) == 2
    clock.advance(60)
    fold_all(store, clock, [said("h", 15)])
    (head,) = shown(store)
    assert (head.id, head.parts, head.customers, head.sightings) == (
        incident_id("f"),
        (incident_id("g"),),
        3,
        3,
    )
    part = store.get(Incident, incident_id("g"))
    assert muted(Duties(store, lambda _: Tenant(), clock.as_clock()))([head, part]) == {part.id}, (
        "nobody is told of a part"
    )
    assert (part.part_of, part.customers, part.sightings) == (head.id, 1, 1)
    assert (store.get(Sighting, "g").incident, store.get(Sighting, "h").incident) == (
        part.id,
        head.id,
    )
    found = whole(store, head.id)
    assert ({s.id for s in found.sightings}, {e.subject for e in found.exposures}) == (
        {"f", "g", "h"}, {handle(f"who {name}") for name in "fgh"},
    )  # fmt: skip
    fold_all(store, clock, [said("i", 31)])
    assert store.get(Sighting, "i").incident == head.id, "what comes later comes to the head"


def test_a_head_answers_for_its_parts_to_whoever_decides_and_to_the_clock(store, clock, context):
    """Somebody was told of the part, and confirmed it, before a post tied it to an older
    incident.
    """
    fold_all(store, clock, [said("f")])
    clock.advance(60)
    fold_all(store, clock, [said("g", 30)])
    part, at = store.get(Incident, incident_id("g")), clock.as_clock().now()
    told = {
        "tenant": "bank",
        "incident": part.id,
        "channel": "soc",
        "what": "medium",
        "why": "new",
        "severity": "medium",
    }
    store.put([Notification(id="n", at=at, due=at, outcome="sent", sent_at=at, **told)])
    Decisions(duties_of(context, store), context.trail()).make(part, "confirmed", by="Li")
    clock.advance(3600)
    fold_all(store, clock, [said("h", 15)])
    head, part = (store.get(Incident, incident_id(name)) for name in "fg")
    with pytest.raises(QueryError, match=f"it is part of {head.id}"):
        Decisions(duties_of(context, store), context.trail()).make(part, "resolved", by="Li")
    book = Duties(store, lambda _: Tenant(regimes=("nfra-2024",)), clock.as_clock())
    running = {duty.regime.id: duty.since for duty in book.of(head, ()) if duty.state == "running"}
    assert running
    Book(book).complete()
    assert set(earliest(store, "bank", ("nfra-2024",), book.clock.now())) == set(running)
    assert {one.incident for one in store.scroll(DutyRecord, DocumentFilter())} == {head.id}
    assert min(since for since in running.values() if since) <= at + timedelta(seconds=1)


def test_the_page_says_of_how_many_messages_it_is_and_whose_part_another_is(store, clock, browser):
    for minutes, name in ((0, "f"), (30, "g"), (15, "h")):
        fold_all(store, clock, [said(name, minutes)])
        clock.advance(60)
    page = browser.get(f"/incidents/{incident_id('f')}").text
    assert "Combined from 3 messages by one seller and assessed together." in page
    assert f'<a href="/incidents/{incident_id("g")}">' in page
    part = browser.get(f"/incidents/{incident_id('g')}").text
    assert f'Part of another incident: <a href="/incidents/{incident_id("f")}">' in part
    assert incident_id("g") not in browser.get("/").text


def test_a_frozen_incident_is_nobodys_part(store, clock):
    fold_all(store, clock, [said("f")])
    frozen = store.get(Incident, incident_id("f")).model_copy(update={"frozen_at": WHEN})
    store.put([frozen])
    fold_all(store, clock, [said("g", 5), said("h", 6)])
    assert store.get(Incident, frozen.id) == frozen.model_copy(
        update={"linked": (incident_id("g"),)}
    )
    assert store.get(Incident, incident_id("g")).joined == 2


def test_what_a_seller_posts_after_the_incident_was_closed_is_news(store, clock):
    fold_all(store, clock, [said("f")])
    closed = {"tenant": "bank", "incident": incident_id("f"), "by": "a", "status": "resolved"}
    store.create([Decision(id="d", at=WHEN + timedelta(minutes=5), **closed)])
    fold_all(store, clock, [said("g", 10), said("h", 11), said("late", 4)])
    assert {i.id: i.sightings for i in shown(store)} == {incident_id("f"): 1, incident_id("g"): 3}
    assert store.get(Incident, incident_id("g")).linked == (incident_id("f"),)
    fold_all(store, clock, [said("g", 10), said("h", 11)])
    assert store.get(Incident, incident_id("g")).sightings == 3


def test_a_post_of_before_the_incident_was_closed_still_belongs_to_it(store, clock):
    fold_all(store, clock, [said("f")])
    closed = {"tenant": "bank", "incident": incident_id("f"), "by": "a", "status": "resolved"}
    store.create([Decision(id="d", at=WHEN + timedelta(minutes=5), **closed)])
    fold_all(store, clock, [said("late", 4)])
    assert shown(store)[0].sightings == 2


def test_an_edited_message_is_the_same_message(store, clock):
    """Both versions were seen, so who is in either is exposed; rows are those of the larger."""
    first, edited = said("f"), said("g", people=("who f", "another"))
    edited = edited.model_copy(
        update={"capture": edited.capture.model_copy(update={"post_id": "f"})}
    )
    fold_all(store, clock, [first, said("h", 3)])
    before = shown(store)[0]
    fold_all(store, clock, [edited])
    (incident,) = shown(store)
    assert (incident.id, incident.joined, before.joined) == (before.id, 2, 2)
    assert (incident.customers, incident.rows) == (3, 3)


def test_a_copy_among_a_sellers_posts_is_counted_once(store, clock):
    fold_all(
        store,
        clock,
        [
            said("f", values=range(30), people="abc"),
            said("g", 5, values=range(20), people="ab"),
            said("h", 9),
        ],
    )
    (incident,) = shown(store)
    assert (incident.customers, incident.rows, incident.joined) == (4, 4, 3)


def test_judged_apart_and_together_the_worse_stands(store, clock):
    """One message alone is of nine of ours in ten rows; beside it 900 rows of strangers make it
    nobody's in particular.
    """
    rows = {"rows": 10, "candidates": {"phone": 10}}
    grave = said("f", people=range(9), statistics=rows)
    strangers = said(
        "g", 3, people=(), statistics={"rows": 900, "candidates": {"phone": 900}}, alarm=True
    )
    strangers = strangers.model_copy(
        update={"matches": (), "total_matches": 0, "total_subjects": 0}
    )
    fold_all(store, clock, [grave])
    (alone,) = shown(store)
    fold_all(store, clock, [strangers])
    (both,) = shown(store)
    assert SEVERITIES.index(both.severity) >= SEVERITIES.index(alone.severity)
    assert (both.rows, both.joined) == (910, 2)
    [why] = [why for why in both.reasons if why.code == "J2"]
    assert (
        why.evidence
        == "joined from 2 posts of one seller, judged together and apart: one of them alone is"
        " worse"
    )


def test_many_small_posts_are_graver_together_than_apart(store, clock):
    fold_all(store, clock, [said(f"f{n}", n / 2) for n in range(60)])
    (incident,) = shown(store)
    assert (incident.customers, incident.agreeing, incident.severity, incident.row) == (
        60,
        60,
        "high",
        9,
    )


def own_number(name: str, minutes: float, **changes) -> Finding:
    """A single number and nothing else, as anybody writes it who wants to be called."""
    return said(
        name,
        minutes,
        kinds=("phone",),
        fields=("PHONE",),
        statistics={"rows": 1, "candidates": {"phone": 1}},
        **changes,
    )


def test_a_lone_number_is_background_until_its_author_sells_beside_it(store, clock):
    alone = [own_number("f", 0), own_number("g", 14), own_number("z", 0, where={"author": "@b"})]
    fold_all(store, clock, alone)
    assert (store.count(Background, DocumentFilter()), shown(store)) == (3, [])
    fold_all(store, clock, [said("h", 27)])
    (incident,) = shown(store)
    assert (incident.customers, incident.sightings) == (3, 3)
    assert [fact.id for fact in store.scroll(Background, DocumentFilter())] == ["z"]
    fold_all(store, clock, [own_number("i", 41)])
    assert shown(store)[0].customers == 4
    before = everything(store)
    fold_all(store, clock, [*alone, said("h", 27), own_number("i", 41)], batch=2)
    assert everything(store) == before


def test_a_background_fact_that_is_damaged_costs_nothing_beside_it(store, clock, logged):
    fold_all(store, clock, [own_number("f", 0)])
    (fact,) = store.scroll(Background, DocumentFilter())
    store.put([fact.model_copy(update={"finding": fact.finding[:-9]})])
    fold_all(store, clock, [said("h", 5)])
    assert shown(store)[0].customers == 1
    assert [one.id for one in store.scroll(Background, DocumentFilter())] == ["f"]
    assert "background_unreadable" in logged.getvalue()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 11))
def test_a_crash_around_any_write_ends_in_the_same_incidents(tmp_path, store, clock, at, after):
    """A lone number, two incidents, and the post that ties all three: two batches, the second
    comes again.
    """
    batches = [[own_number("a", 0), said("f"), said("g", 40)], [own_number("b", 45), said("h", 20)]]
    fold_all(store, clock, batches[0])
    fold_all(store, clock, batches[1])
    with closing(CrashingStore(tmp_path / "crashing.sqlite", at, after)) as crashing:
        for batch in batches:
            records = [record(one) for one in batch]
            try:
                stage(crashing, clock).handle(records)
            except UnavailableError:
                stage(crashing, clock).handle(records)
        assert everything(crashing) == everything(store)
        assert crashing.left <= 0
        assert facts(crashing) == facts(store)
    (incident,) = shown(store)
    assert (incident.customers, len(incident.parts)) == (5, 1)


@dataclass(frozen=True)
class ModelPost:
    """A post of the model: who, where, when, in a channel or a thread, with which words of the
    trade; or a lone number.
    """

    author: int
    place: int
    in_channel: bool
    minute: int
    words: int
    lone: bool

    def finding(self, name: str) -> Finding:
        """As match would tell of it."""
        where = {"author": f"@{self.author}", "channel": "", "thread": f"t{self.place}"}
        where |= {"channel": f"#{self.place}", "thread": ""} if self.in_channel else {}
        if self.lone:
            return own_number(name, self.minute, where=where)
        terms = (("出售", "一手"), ("出售", "四件套"))[self.words - 1] if self.words else ()
        return offer(name, self.minute, terms, **where)


posts = st.lists(
    st.builds(
        ModelPost, st.integers(0, 1), st.integers(0, 1), st.booleans(),
        st.sampled_from([*range(0, 100, 7), 50_000, 90_000]),
        st.integers(0, 2), st.booleans(),
    ),
    min_size=1, max_size=9, unique=True,
)  # fmt: skip


@settings(
    max_examples=20, derandomize=True, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    posts=posts,
    seed=st.integers(0, 2**16),
    batches=st.lists(st.integers(1, 4), min_size=9, max_size=9),
)
def test_any_order_and_any_partitioning_give_the_same_incidents(
    tmp_path_factory, posts, seed, batches
):
    findings = [post.finding(f"p{number}") for number, post in enumerate(posts)]
    with (
        closing(open_store("sqlite:///a.sqlite", tmp_path_factory.mktemp("a"))) as one,
        closing(open_store("sqlite:///b.sqlite", tmp_path_factory.mktemp("b"))) as other,
    ):
        fold_all(one, HeldClock(), findings)
        shuffled, clock = random.Random(seed).sample(findings, len(findings)), HeldClock()
        handler = stage(other, clock)
        for size in batches:
            if shuffled[:size]:
                handler.handle([record(f) for f in shuffled[:size]])
            shuffled = shuffled[size:]
            clock.advance(60)
        assert facts(one) == facts(other)
        backgrounds = [
            {fact.id for fact in store.scroll(Background, DocumentFilter())}
            for store in (one, other)
        ]
        assert backgrounds[0] == backgrounds[1]
        before = everything(other)
        fold_all(other, clock, findings, 2)
        assert everything(other) == before, "what comes again changes nothing"
