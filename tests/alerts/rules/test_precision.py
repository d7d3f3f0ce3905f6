"""Each rule's precision is what analysts said of its incidents."""

import re
import threading
from contextlib import ExitStack
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from alerts.noise.background import shipped
from alerts.records import Background, Decision, Incident, incident_id
from alerts.rules.kept import SECONDS
from alerts.rules.precision import Precision, fired, marks, precisions, said
from alerts.rules.told import CLOCKS_APART
from alerts.search.app import create_app
from alerts.store import Where
from tests.alerts.browser import ASKER, CHEAP, HOST, Browser
from tests.alerts.builders import finding, fold_all
from tests.alerts.noise.posts import post, term
from ullage.security import keys
from ullage.verdict import own_rules

LOAN = ("NAME", "PHONE", "LOAN")


@pytest.fixture
def told(store, clock):
    """Four incidents: three of loans, of which two are with trade terms, and one of names."""
    sold = {"statistics": {"terms": (term("QUAL", 4),)}}
    fold_all(
        store,
        clock,
        [
            finding("a", range(10), people="ab", fields=LOAN, **sold),
            finding("b", range(20, 30), people="cd", fields=LOAN, **sold),
            finding("c", range(40, 50), people="ef", fields=LOAN),
            finding("d", range(60, 70), people="gh"),
            post().model_copy(update={"id": "own"}),
        ],
    )

    def mark(name: str, *statuses: str) -> None:
        for minute, status in enumerate(statuses):
            when = clock.as_clock().now() + timedelta(minutes=minute)
            id_ = f"{name}{minute}"
            store.create([Decision(id=id_, tenant="bank", incident=incident_id(name), at=when, by="Li", status=status)])

    return mark


def told_of(store, tenant: str = "", rules=None) -> list[Precision]:
    return precisions(fired(store, tenant), marks(said(store)), rules or own_rules(), shipped())


def of(store, id_: str, kind: str = "", tenant: str = "") -> Precision:
    found = [p for p in told_of(store, tenant) if p.id == id_ and kind in ("", p.kind)]
    (one,) = found
    return one


def test_without_marks_a_rule_has_incidents_and_no_precision(store, told):
    assert of(store, "X9")[4:7] == (3, 0, 0)
    assert of(store, "X9").share is None
    assert of(store, "X2")[4:7] == (0, 0, 0), "a rule that never fired is there too"


def test_a_rule_says_when_it_fired_last(store, told):
    opened = {one.id: one.opened_at for one in store.scroll(Incident, Where())}
    assert of(store, "X9").last == max(opened[incident_id(name)] for name in "abc")
    assert of(store, "QUAL", "theme").last is not None
    assert of(store, "X2").last is None, "it never did"


def test_precision_is_the_share_of_the_marked_that_were_real(store, told):
    told("a", "acknowledged", "confirmed", "resolved")
    told("b", "false_positive")
    told("c", "confirmed", "reported")
    told("d", "acknowledged")
    assert of(store, "X9")[4:7] == (3, 2, 1)
    assert of(store, "X9").share == pytest.approx(2 / 3)
    assert of(store, "QUAL", "theme")[4:7] == (2, 1, 1)
    assert of(store, "L1")[4:7] == (2, 1, 1)
    assert of(store, "X17").share is None


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        (("confirmed", "false_positive"), (0, 1)),
        (("false_positive", "confirmed"), (1, 0)),
        (("false_positive", "resolved"), (0, 1)),
        (("note", "acknowledged"), (0, 0)),
    ],
)
def test_the_last_word_on_whether_it_was_real_counts(store, told, said, counts):
    told("a", *said)
    assert of(store, "X9")[5:7] == counts


def test_background_rules_count_posts(store, told):
    assert of(store, "B1")[4:7] == (1, 0, 0)
    assert {p.id for p in told_of(store) if p.kind == "background"} == {r.id for r in shipped().rule}


def test_every_scenario_adder_and_modifier_is_listed_once_with_a_title(store, told):
    found = told_of(store)
    ids = [(p.kind, p.id) for p in found]
    assert len(ids) == len(set(ids))
    assert {s.id for s in own_rules().scenario} | {m.code for m in own_rules().modifier} <= {p.id for p in found}
    assert all(p.title for p in found)


def test_another_tenants_incidents_are_left_out_when_one_is_asked_for(store, told):
    assert of(store, "X9", tenant="bank").incidents == 3
    assert of(store, "X9", tenant="shop").incidents == 0


def test_a_reason_that_the_rules_no_longer_have_is_still_counted(store, told):
    fewer = own_rules().model_copy(update={"scenario": own_rules().scenario[:1]})
    (gone,) = [p for p in told_of(store, rules=fewer) if p.id == "X9"]
    assert (gone.incidents, "earlier version" in gone.title) == (3, True)


def fired_in(page: str, rule: str) -> tuple[int, int, int]:
    """How often a rule fired, and was marked real and false, as the page says it."""
    row = page[page.index(f"<code>{rule}</code>") :]
    return tuple(int(text) for text in re.findall(r'class="number">(\d+)<', row)[:3])


def test_on_the_page_what_people_say_counts_at_once_and_what_fired_after_some_minutes(store, told, browser, clock):
    assert fired_in(browser.get("/rules").text, "X9") == (3, 0, 0)
    told("a", "confirmed")
    fold_all(store, clock, [finding("z", range(80, 90), people="yz", fields=LOAN)])
    assert fired_in(browser.get("/rules").text, "X9") == (3, 1, 0)
    clock.advance(SECONDS)
    assert fired_in(browser.get("/rules").text, "X9") == (4, 1, 0)


def test_the_page_reads_of_what_people_said_only_what_came_since(store, told, browser, clock, monkeypatch):
    read, excerpts = [], store.excerpts

    def noted(kind, where, shape):
        read.append((kind, where.since))
        return excerpts(kind, where, shape)

    monkeypatch.setattr(store, "excerpts", noted)
    told("a", "confirmed")
    told("b", "confirmed")
    assert fired_in(browser.get("/rules").text, "X9") == (3, 2, 0)
    at = clock.as_clock().now()
    clock.advance(60)
    told("b", "confirmed", "false_positive")
    assert fired_in(browser.get("/rules").text, "X9") == (3, 1, 1)
    assert [since for kind, since in read if kind is Decision] == [None, at - CLOCKS_APART, at - CLOCKS_APART]


def test_before_somebody_asks_it_has_been_read(store, told, accounts, context, monkeypatch):
    """As the role serves it; whoever comes first would wait for a pass over everything."""
    read, counted = [], threading.Event()
    excerpts, tally = store.excerpts, store.tally
    monkeypatch.setattr(store, "excerpts", lambda kind, *rest: [read.append(kind), excerpts(kind, *rest)][1])
    monkeypatch.setattr(store, "tally", lambda *rest: [counted.set(), tally(*rest)][1])
    keys.make_tenant(context.keys, "bank")
    with ExitStack() as upkeep:
        app = create_app(context, store, accounts, CollectorRegistry(), frozenset({HOST}), hasher=CHEAP, upkeep=upkeep)
        assert counted.wait(60)
        assert Incident in read
        browser = Browser(app)
        browser.log_in(ASKER)
        assert fired_in(browser.get("/rules").text, "X9") == (3, 0, 0)
        assert read.count(Incident) == 1


def test_what_is_kept_of_all_tenants_is_shown_to_nobody_who_may_not_see_them(store, told, browser, log_in, context):
    keys.make_tenant(context.keys, "zetalend")
    assert fired_in(browser.get("/rules").text, "X9") == (3, 0, 0)
    assert "over 5 posts" in browser.get("/rules").text
    other = log_in("lead", tenants=["zetalend"]).get("/rules").text
    assert fired_in(other, "X9") == (0, 0, 0)
    assert "over 0 posts" in other


def test_background_rules_are_counted_by_tenant_with_their_newest_post(store, told):
    at = {fact.id: fact.at for fact in store.scroll(Background, Where())}
    assert of(store, "B1").last == max(at.values())
    assert of(store, "B1", tenant="shop")[4:8] == (0, 0, 0, None)
