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
from alerts.cases.incident_list import Filters, find_page, load_details
from alerts.cases.suppressions import mute_filter
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Book, duties_of, find_earliest
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


def make_message(
    name: str, minutes: float = 0, people: Sequence[object] = (), **changes
) -> Finding:
    """Return a finding from an author's message in a channel, `minutes` after WHEN.

    Its text shares nothing with another message.
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


def list_incidents(store: IncidentStore) -> list[Incident]:
    return list(find_page(store, Filters(), 500).items)


def facts(store: IncidentStore) -> set[tuple[object, ...]]:
    """Return the visible incidents by content; ids depend on the order of arrival."""
    incident_facts = set()
    for incident in list_incidents(store):
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
        incident_facts.add(
            (sightings, people, incident.customers, incident.verified, incident.series, *judged)
        )
    return incident_facts


def test_messages_of_an_author_within_a_quarter_hour_are_one_incident(store, clock):
    fold_all(store, clock, [make_message("f"), make_message("g", 10), make_message("h", 24)])
    (incident,) = list_incidents(store)
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
    ids=["another author", "another channel", "no author", "half an hour later", "no channel"],
)
def test_unrelated_posts_stay_apart(store, clock, where):
    fold_all(store, clock, [make_message("f"), make_message("g", 1, where=where)])
    assert len(list_incidents(store)) == 2
    assert {incident.joined for incident in list_incidents(store)} == {0}


@pytest.mark.parametrize(
    "where", [{"category": "chat"}, {"platform": "ingest", "url": ""}], ids=["a chat", "imported"]
)
def test_lines_without_a_channel_are_grouped_by_site_author_and_time(store, clock, where):
    where = {"channel": "", "thread": "", "kind": "post", "category": "other", **where}
    fold_all(store, clock, [make_message(f"line {n}", n, where=where) for n in range(15)])
    assert [(incident.customers, incident.joined) for incident in list_incidents(store)] == [
        (15, 15)
    ]
    apart = [
        make_message("another", 1, where={**where, "author": "@b"}),
        make_message("nobody", 1, where={**where, "author": ""}),
        make_message("later", 60, where=where),
    ]
    fold_all(store, clock, apart)
    assert sorted(incident.customers for incident in list_incidents(store)) == [1, 1, 1, 15]


def test_posts_without_a_channel_elsewhere_are_not_grouped_by_time(store, clock):
    where = {
        "channel": "",
        "thread": "",
        "kind": "paste",
        "category": "paste",
        "platform": "bepasty",
    }
    fold_all(store, clock, [make_message("f", where=where), make_message("g", 1, where=where)])
    assert len(list_incidents(store)) == 2


def test_words_after_a_channel_token_do_not_split_it(store, clock):
    fold_all(store, clock, [make_message("f"), make_message("g", 1, where={"channel": "#c 内料"})])
    assert len(list_incidents(store)) == 1


def test_grouping_window_is_a_setting():
    early, late = make_message("f"), make_message("g", 40)
    assert not set(build_ties(early).all) & set(build_ties(late).own)
    longer = timedelta(hours=1)
    assert set(build_ties(early, longer).all) & set(build_ties(late, longer).own)


def test_post_without_a_time_has_that_of_its_fetch(store, clock):
    fold_all(
        store,
        clock,
        [
            make_message(
                "f", where={"published_at": None, "fetched_at": WHEN + timedelta(hours=5)}
            ),
            make_message("g", 300),
        ],
    )
    assert len(list_incidents(store)) == 1


def test_conversation_without_a_pause_ends_with_the_day():
    """The day begins at 21:00 UTC, five in the morning in China."""
    evening = 9 * 60
    assert not set(build_ties(make_message("f", evening - 1)).all) & set(
        build_ties(make_message("g", evening)).own
    )
    assert set(build_ties(make_message("f", evening)).all) & set(
        build_ties(make_message("g", evening + 14)).own
    )


@pytest.mark.parametrize("kind", ["thread", "talk"])
def test_same_author_on_two_sites_is_two_incidents(store, clock, kind: str) -> None:
    """Threads and channels are numbered by each site for itself, so the same number on another
    site is another one.
    """
    where = {"channel": "", "thread": "ab12", "kind": "post"} if kind == "thread" else {}
    chat_posts = [
        make_message(name, minutes, where=where) for name, minutes in (("f", 0), ("g", 1))
    ]
    there = [
        post.model_copy(update={"capture": post.capture.model_copy(update={"site": "elsewhere"})})
        for post in (
            make_message(name, minutes, where=where) for name, minutes in (("h", 2), ("i", 3))
        )
    ]
    fold_all(store, clock, [chat_posts[0], there[0], chat_posts[1], there[1]])
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
            make_message(f"{tenant}{n}", n, where=where, tenant=tenant,
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
    unrelated = (
        make_message("h", 9, where={**thread, "author": "@b"}),
        make_message("i", 9, where={**thread, "thread": "cd34"}),
    )
    fold_all(
        store,
        clock,
        [make_message("f", where=thread), make_message("g", 60 * 24 * 5, where=thread), *unrelated],
    )
    assert sorted(incident.sightings for incident in list_incidents(store)) == [1, 1, 2]


def offer(
    name: str, minutes: float = 0, terms: Sequence[str] = ("出售", "一手"), **where
) -> Finding:
    terms_of_trade = tuple(Term(id=term, category="TRADE", weight=2, count=1) for term in terms)
    place = {"channel": "", "thread": name, "kind": "post", **where}
    return make_message(
        name,
        minutes,
        where=place,
        statistics={"terms": terms_of_trade, "skeleton": "<NAME>----<PHONE>"},
    )


def test_template_posts_of_one_seller_are_one_incident_on_any_site(store, clock):
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
    assert sorted(incident.sightings for incident in list_incidents(store)) == [1, 1, 2]


def test_bridge_makes_the_oldest_incident_the_head_and_merges_nothing(store, clock):
    fold_all(store, clock, [make_message("f")])
    clock.advance(60)
    fold_all(store, clock, [make_message("g", 30)])
    assert len(list_incidents(store)) == 2
    clock.advance(60)
    fold_all(store, clock, [make_message("h", 15)])
    (head,) = list_incidents(store)
    assert (head.id, head.parts, head.customers, head.sightings) == (
        incident_id("f"),
        (incident_id("g"),),
        3,
        3,
    )
    part = store.get(Incident, incident_id("g"))
    assert mute_filter(Duties(store, lambda _: Tenant(), clock.as_clock()))([head, part]) == {
        part.id
    }, "nobody is told of a part"
    assert (part.part_of, part.customers, part.sightings) == (head.id, 1, 1)
    assert (store.get(Sighting, "g").incident, store.get(Sighting, "h").incident) == (
        part.id,
        head.id,
    )
    incident_view = load_details(store, head.id)
    assert (
        {s.id for s in incident_view.sightings},
        {e.subject for e in incident_view.exposures},
    ) == (
        {"f", "g", "h"},
        {handle(f"who {name}") for name in "fgh"},
    )
    fold_all(store, clock, [make_message("i", 31)])
    assert store.get(Sighting, "i").incident == head.id, "what comes later comes to the head"


def test_head_answers_for_its_parts_to_decisions_and_deadlines(store, clock, context):
    """Somebody was told of the part, and confirmed it, before a post tied it to an older
    incident.
    """
    fold_all(store, clock, [make_message("f")])
    clock.advance(60)
    fold_all(store, clock, [make_message("g", 30)])
    part, at = store.get(Incident, incident_id("g")), clock.as_clock().now()
    notification = {
        "tenant": "bank",
        "incident": part.id,
        "channel": "soc",
        "what": "medium",
        "why": "new",
        "severity": "medium",
    }
    store.put([Notification(id="n", at=at, due=at, outcome="sent", sent_at=at, **notification)])
    Decisions(duties_of(context, store), context.trail()).make(part, "confirmed", by="Li")
    clock.advance(3600)
    fold_all(store, clock, [make_message("h", 15)])
    head, part = (store.get(Incident, incident_id(name)) for name in "fg")
    with pytest.raises(QueryError, match=f"this incident is part of {head.id}"):
        Decisions(duties_of(context, store), context.trail()).make(part, "resolved", by="Li")
    book = Duties(store, lambda _: Tenant(regimes=("nfra-2024",)), clock.as_clock())
    running = {
        duty.regime.id: duty.since for duty in book.find_duties(head, ()) if duty.state == "running"
    }
    assert running
    Book(book).complete()
    assert set(find_earliest(store, "bank", ("nfra-2024",), book.clock.now())) == set(running)
    assert {duty_record.incident for duty_record in store.scroll(DutyRecord, DocumentFilter())} == {
        head.id
    }
    assert min(since for since in running.values() if since) <= at + timedelta(seconds=1)


def test_page_counts_messages_and_names_the_head_of_a_part(store, clock, browser):
    for minutes, name in ((0, "f"), (30, "g"), (15, "h")):
        fold_all(store, clock, [make_message(name, minutes)])
        clock.advance(60)
    page = browser.get(f"/incidents/{incident_id('f')}").text
    assert "Combined from 3 messages by one seller and assessed together." in page
    assert f'<a href="/incidents/{incident_id("g")}">' in page
    part = browser.get(f"/incidents/{incident_id('g')}").text
    assert f'Part of another incident: <a href="/incidents/{incident_id("f")}">' in part
    assert incident_id("g") not in browser.get("/").text


def test_frozen_incident_becomes_no_part(store, clock):
    fold_all(store, clock, [make_message("f")])
    frozen = store.get(Incident, incident_id("f")).model_copy(update={"frozen_at": WHEN})
    store.put([frozen])
    fold_all(store, clock, [make_message("g", 5), make_message("h", 6)])
    assert store.get(Incident, frozen.id) == frozen.model_copy(
        update={"linked": (incident_id("g"),)}
    )
    assert store.get(Incident, incident_id("g")).joined == 2


def test_post_after_closing_is_a_new_incident(store, clock):
    fold_all(store, clock, [make_message("f")])
    closed = {"tenant": "bank", "incident": incident_id("f"), "by": "a", "status": "resolved"}
    store.create([Decision(id="d", at=WHEN + timedelta(minutes=5), **closed)])
    fold_all(store, clock, [make_message("g", 10), make_message("h", 11), make_message("late", 4)])
    assert {i.id: i.sightings for i in list_incidents(store)} == {
        incident_id("f"): 1,
        incident_id("g"): 3,
    }
    assert store.get(Incident, incident_id("g")).linked == (incident_id("f"),)
    fold_all(store, clock, [make_message("g", 10), make_message("h", 11)])
    assert store.get(Incident, incident_id("g")).sightings == 3


def test_post_from_before_closing_joins_the_closed_incident(store, clock):
    fold_all(store, clock, [make_message("f")])
    closed = {"tenant": "bank", "incident": incident_id("f"), "by": "a", "status": "resolved"}
    store.create([Decision(id="d", at=WHEN + timedelta(minutes=5), **closed)])
    fold_all(store, clock, [make_message("late", 4)])
    assert list_incidents(store)[0].sightings == 2


def test_edited_message_is_the_same_message(store, clock):
    """Both versions were seen, so who is in either is exposed; rows are those of the larger."""
    first, edited = make_message("f"), make_message("g", people=("who f", "another"))
    edited = edited.model_copy(
        update={"capture": edited.capture.model_copy(update={"post_id": "f"})}
    )
    fold_all(store, clock, [first, make_message("h", 3)])
    before = list_incidents(store)[0]
    fold_all(store, clock, [edited])
    (incident,) = list_incidents(store)
    assert (incident.id, incident.joined, before.joined) == (before.id, 2, 2)
    assert (incident.customers, incident.rows) == (3, 3)


def test_copy_among_a_sellers_posts_is_counted_once(store, clock):
    fold_all(
        store,
        clock,
        [
            make_message("f", values=range(30), people="abc"),
            make_message("g", 5, values=range(20), people="ab"),
            make_message("h", 9),
        ],
    )
    (incident,) = list_incidents(store)
    assert (incident.customers, incident.rows, incident.joined) == (4, 4, 3)


def test_worse_verdict_of_single_and_combined_wins(store, clock):
    """One message alone is of nine of ours in ten rows; beside it 900 rows of strangers make it
    nobody's in particular.
    """
    rows = {"rows": 10, "candidates": {"phone": 10}}
    grave = make_message("f", people=range(9), statistics=rows)
    strangers = make_message(
        "g", 3, people=(), statistics={"rows": 900, "candidates": {"phone": 900}}, alarm=True
    )
    strangers = strangers.model_copy(
        update={"matches": (), "total_matches": 0, "total_subjects": 0}
    )
    fold_all(store, clock, [grave])
    (alone,) = list_incidents(store)
    fold_all(store, clock, [strangers])
    (combined,) = list_incidents(store)
    assert SEVERITIES.index(combined.severity) >= SEVERITIES.index(alone.severity)
    assert (combined.rows, combined.joined) == (910, 2)
    [why] = [why for why in combined.reasons if why.code == "J2"]
    assert (
        why.evidence
        == "joined from 2 posts of one seller, judged together and apart: one of them alone is"
        " worse"
    )


def test_many_small_posts_are_more_severe_together(store, clock):
    fold_all(store, clock, [make_message(f"f{n}", n / 2) for n in range(60)])
    (incident,) = list_incidents(store)
    assert (incident.customers, incident.agreeing, incident.severity, incident.row) == (
        60,
        60,
        "high",
        9,
    )


def own_number(name: str, minutes: float, **changes) -> Finding:
    """Return a finding of a single number, as anybody writes it who wants a call."""
    return make_message(
        name,
        minutes,
        kinds=("phone",),
        fields=("PHONE",),
        statistics={"rows": 1, "candidates": {"phone": 1}},
        **changes,
    )


def test_single_number_is_benign_until_its_author_sells(store, clock):
    alone = [own_number("f", 0), own_number("g", 14), own_number("z", 0, where={"author": "@b"})]
    fold_all(store, clock, alone)
    assert (store.count(Background, DocumentFilter()), list_incidents(store)) == (3, [])
    fold_all(store, clock, [make_message("h", 27)])
    (incident,) = list_incidents(store)
    assert (incident.customers, incident.sightings) == (3, 3)
    assert [fact.id for fact in store.scroll(Background, DocumentFilter())] == ["z"]
    fold_all(store, clock, [own_number("i", 41)])
    assert list_incidents(store)[0].customers == 4
    before = everything(store)
    fold_all(store, clock, [*alone, make_message("h", 27), own_number("i", 41)], batch=2)
    assert everything(store) == before


def test_damaged_benign_fact_costs_no_other(store, clock, log_stream):
    fold_all(store, clock, [own_number("f", 0)])
    (fact,) = store.scroll(Background, DocumentFilter())
    store.put([fact.model_copy(update={"finding": fact.finding[:-9]})])
    fold_all(store, clock, [make_message("h", 5)])
    assert list_incidents(store)[0].customers == 1
    assert [stored_fact.id for stored_fact in store.scroll(Background, DocumentFilter())] == ["f"]
    assert "background_unreadable" in log_stream.getvalue()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 11))
def test_crash_at_any_write_ends_in_the_same_incidents(tmp_path, store, clock, at, after):
    """A lone number, two incidents, and the post that ties all three: two batches, the second
    comes again.
    """
    batches = [
        [own_number("a", 0), make_message("f"), make_message("g", 40)],
        [own_number("b", 45), make_message("h", 20)],
    ]
    fold_all(store, clock, batches[0])
    fold_all(store, clock, batches[1])
    with closing(CrashingStore(tmp_path / "crashing.sqlite", at, after)) as crashing:
        for batch in batches:
            records = [record(post) for post in batch]
            try:
                stage(crashing, clock).handle(records)
            except UnavailableError:
                stage(crashing, clock).handle(records)
        assert everything(crashing) == everything(store)
        assert crashing.left <= 0
        assert facts(crashing) == facts(store)
    (incident,) = list_incidents(store)
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
        """Return the finding that match would publish about this post."""
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
def test_order_and_partitioning_do_not_change_incidents(tmp_path_factory, posts, seed, batches):
    findings = [post.finding(f"p{number}") for number, post in enumerate(posts)]
    with (
        closing(open_store("sqlite:///a.sqlite", tmp_path_factory.mktemp("a"))) as in_order,
        closing(open_store("sqlite:///b.sqlite", tmp_path_factory.mktemp("b"))) as in_parts,
    ):
        fold_all(in_order, HeldClock(), findings)
        shuffled, clock = random.Random(seed).sample(findings, len(findings)), HeldClock()
        handler = stage(in_parts, clock)
        for size in batches:
            if shuffled[:size]:
                handler.handle([record(f) for f in shuffled[:size]])
            shuffled = shuffled[size:]
            clock.advance(60)
        assert facts(in_order) == facts(in_parts)
        backgrounds = [
            {fact.id for fact in store.scroll(Background, DocumentFilter())}
            for store in (in_order, in_parts)
        ]
        assert backgrounds[0] == backgrounds[1]
        before = everything(in_parts)
        fold_all(in_parts, clock, findings, 2)
        assert everything(in_parts) == before, "what comes again changes nothing"
