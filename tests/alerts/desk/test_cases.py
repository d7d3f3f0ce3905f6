"""What people do with incidents: each act says what it did, is in the audit log, and shows in
queue and status.
"""

from datetime import timedelta

import pytest

from alerts.cases.actions import STATES, Cases, find_links, select_refused
from alerts.cases.queue import IncidentQueue, QueueFilter, last_shift
from alerts.cases.reopening import Returns
from alerts.deadlines import regimes
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work, find_takedown_state
from alerts.records import (
    Decision,
    Exposure,
    Incident,
    Notification,
    PendingDecision,
    Sighting,
    WorkItem,
    incident_id,
)
from alerts.records.document import QueryError
from alerts.store import DocumentFilter
from tests.alerts.builders import finding, fold_all, handle, incident
from tests.alerts.test_running_deadlines import SECOND
from ullage import audit
from ullage.settings import Tenant
from ullage.verdict import load_verdict_rules

CLOCKED = {"severity": "high", "origin": "ours", "clock": "run", "customers": 100}


@pytest.fixture
def work(store, clock) -> Work:
    return Work(Duties(store, lambda _: Tenant(regimes=("pboc-2025",)), clock.as_clock()))


@pytest.fixture
def cases(work, context) -> Cases:
    return Cases(work, context.trail())


@pytest.fixture
def returns(work, context) -> Returns:
    return Returns(
        work, context.trail(), load_verdict_rules, believed=context.running_time.deadline_clock()
    )


@pytest.fixture
def queue(work) -> IncidentQueue:
    return IncidentQueue(work, "Li Wei")


def store_notification(store, id_: str, at) -> None:
    store.put([Notification(
        id=f"{id_}:desk:high", tenant="bank", incident=id_, at=at, due=at, channel="desk",
        what="high", why="new",
        severity="high", outcome="sent", sent_at=at,
    )])  # fmt: skip


def ids(queue: IncidentQueue, **view) -> list[str]:
    return [row.incident.id for row in queue.page(QueueFilter(**view)).rows]


def test_acknowledgement_names_the_deadlines_it_starts(store, cases, queue):
    store.put([incident("INC-A", **CLOCKED)])
    outcome = cases.acknowledge("INC-A", by="Li Wei")
    assert outcome.clocks == ("pboc-2025 brief", "pboc-2025 first")
    title = regimes()["pboc-2025"].title
    assert (
        outcome.words()
        == f"INC-A: acknowledged by Li Wei. Deadlines started: {title} (brief report), {title}"
        " (first report)"
    )
    assert queue.page(QueueFilter()).rows[0].item.running == outcome.clocks
    assert cases.acknowledge("INC-A", by="Li Wei").words() == "INC-A: acknowledged by Li Wei"


def test_deadlines_are_previewed_without_a_decision(store, cases):
    store.put([clocked := incident("INC-A", **CLOCKED)])
    assert [
        duty.stage.id for duty in cases.preview_started(clocked, cases.find_deadlines(clocked))
    ] == [
        "brief",
        "first",
    ]
    assert store.count(Decision, DocumentFilter()) == 0


def test_assigned_incident_is_in_the_tab_of_its_owner(store, cases, queue, context):
    store.put([incident("INC-A"), incident("INC-B")])
    assert ids(queue, tab="mine") == []
    outcome = cases.assign("INC-A", "Li Wei", by="Wang Fang", due="+3d")
    assert outcome.words().startswith("INC-A: assigned to Li Wei, due 20")
    assert ids(queue, tab="mine") == ["INC-A"]
    assert ids(queue, tab="unassigned") == ids(queue, assignee="-") == ["INC-B"]
    assert ids(queue)[0] == "INC-A"  # what is due stands first
    cases.assign("INC-A", "-", by="Wang Fang", due="-")
    assert ids(queue, tab="mine") == []
    actions = [entry.action for _, entry in audit.read_entries(context.data / "audit")]
    assert actions == ["incident.assigned", "incident.due", "incident.assigned", "incident.due"]


@pytest.mark.parametrize("due", ["yesterday", "2020-01-01", "+0d", "next week", "13800138000"])
def test_invalid_due_date_is_rejected_and_changes_nothing(store, cases, due):
    store.put([incident("INC-A")])
    with pytest.raises(QueryError) as caught:
        cases.assign("INC-A", "Li Wei", by="Li Wei", due=due)
    assert due not in str(caught.value)
    assert store.count(Decision, DocumentFilter()) == 0


REPORT = {"channel": "fax", "reference": "R-1"}


def confirm(cases, made) -> None:
    """Have another person confirm what waits."""
    Cases(cases.work, cases.trail, SECOND).answer(
        made.decision.incident, made.decision.id, by="Wang Fang", confirm=True
    )


def test_incident_is_resolved_once_its_deadlines_are_met(store, cases, queue, clock):
    store.put([incident("INC-A", **CLOCKED)])
    store_notification(store, "INC-A", clock.as_clock().now())
    assert isinstance(cases.decide("INC-A", "resolved", by="Li Wei").decision, PendingDecision)
    assert ids(queue) == ["INC-A"]
    confirm(cases, cases.decide("INC-A", "reported pboc-2025 first", by="Li Wei", **REPORT))
    assert cases.decide("INC-A", "resolved", by="Li Wei").words() == "INC-A: resolved by Li Wei"
    assert ids(queue, tab="closed") == ["INC-A"]


def test_status_is_not_reported_while_another_report_is_outstanding(store, cases, queue, clock):
    store.put([incident("INC-A", **CLOCKED)])
    store_notification(store, "INC-A", clock.as_clock().now())
    confirm(cases, cases.decide("INC-A", "reported pboc-2025 brief", by="Li Wei", **REPORT))
    assert queue.page(QueueFilter()).rows[0].item.status == "confirmed"
    confirm(cases, cases.decide("INC-A", "reported pboc-2025 first", by="Li Wei", **REPORT))
    assert queue.page(QueueFilter()).rows[0].item.status == "reported"


def test_closing_several_names_those_waiting_for_a_second_person(store, cases, queue, clock):
    store.put([incident("INC-A", **CLOCKED), incident("INC-B"), incident("INC-C")])
    store_notification(store, "INC-A", clock.as_clock().now())
    outcomes = cases.several(
        ["INC-A", "INC-B", "INC-Z"], lambda id_: cases.close(id_, "resolved", by="Li Wei")
    )
    assert [outcome.incident for outcome in select_refused(outcomes)] == ["INC-Z"]
    title = regimes()["pboc-2025"].title
    clocks = f"{title} (brief report), {title} (first report)"
    waits = "waiting for a second person: nobody: add an account with role lead or dpo"
    assert outcomes[0].words() == f"INC-A: {waits}. Until then these deadlines run: {clocks}"
    assert ids(queue) == ["INC-A", "INC-C"]


def test_clock_jump_does_not_end_a_false_positive(store, cases, queue, returns, clock, context):
    store.put([incident("INC-A")])
    cases.excuse("INC-A", "chance", by="Li Wei", days=30)
    context.running_time.read()
    clock.jump(200 * 86_400)
    returns.turn()
    assert ids(queue) == []
    context.running_time.accept(lambda _: None)
    returns.turn()
    assert ids(queue) == ["INC-A"]


def test_false_positive_needs_a_reason_and_reopens_after_its_time(
    store, cases, queue, returns, clock
):
    store.put([incident("INC-A")])
    for reason, days, note in (
        ("", 30, ""),
        ("unknown", 30, ""),
        ("chance", 0, ""),
        ("chance", 181, ""),
        ("other", 30, ""),
    ):
        with pytest.raises(QueryError):
            cases.excuse("INC-A", reason, by="Li Wei", days=days, note=note)
    cases.excuse("INC-A", "chance", by="Li Wei", days=30)
    assert ids(queue) == []
    assert queue.page(QueueFilter(tab="closed")).rows[0].item.status == "false_positive"
    clock.advance(timedelta(days=30).total_seconds() - 1)
    returns.turn()
    assert ids(queue) == []
    clock.advance(1)
    returns.turn()
    returns.turn()
    assert ids(queue) == ["INC-A"]
    back = [
        decision
        for decision in store.scroll(Decision, DocumentFilter())
        if decision.act == "returned"
    ]
    assert [(decision.by, decision.value, decision.status) for decision in back] == [
        ("ullage", "expired", "open")
    ]


def test_false_positive_reopens_when_the_incident_grows(store, cases, queue, returns):
    store.put([filed := incident("INC-A")])
    cases.excuse("INC-A", "chance", by="Li Wei")
    returns.handle_written_incidents({"INC-A": filed}, [filed.model_copy(update={"sightings": 2})])
    assert ids(queue) == []  # the same again is no news
    grown = filed.model_copy(update={"customers": 2})
    store.put([grown])
    returns.handle_written_incidents({"INC-A": filed}, [grown])
    assert ids(queue) == ["INC-A"]


def test_new_incident_appears_in_the_queue_at_once(store, cases, returns):
    store.put([filed := incident("INC-A")])
    returns.handle_written_incidents({}, [filed])
    assert store.get(WorkItem, "INC-A").stage == "open"


def test_takedown_follows_its_states(store, cases):
    store.put([filed := incident("INC-A")])
    with pytest.raises(
        QueryError,
        match="from not requested to removed: record one of these first: requested, sent",
    ):
        cases.takedown("INC-A", "gone", by="Li Wei")
    for state in ("asked", "sent", "gone", "back", "sent"):
        assert (
            cases.takedown("INC-A", state, by="Li Wei").words()
            == f"INC-A: takedown {STATES[state]}"
        )
    assert find_takedown_state(cases.find_deadlines(filed).decisions) == "sent"


def test_incidents_are_linked_and_unlinked_on_both_sides(store, cases):
    pair = incident("INC-A"), incident("INC-B")
    store.put([*pair, incident("INC-C", tenant="shop")])
    cases.link("INC-A", "INC-B", by="Li Wei")
    assert [find_links(linked, cases.find_deadlines(linked).decisions) for linked in pair] == [
        ("INC-B",),
        ("INC-A",),
    ]
    cases.link("INC-B", "INC-A", by="Li Wei", end=True)
    assert [find_links(linked, cases.find_deadlines(linked).decisions) for linked in pair] == [
        (),
        (),
    ]
    for target in ("INC-A", "INC-C", "INC-Z"):
        with pytest.raises(QueryError):
            cases.link("INC-A", target, by="Li Wei")


def test_detached_sighting_becomes_an_incident_that_attracts_similar_ones(
    store, cases, returns, clock
):
    fold_all(
        store,
        clock,
        [
            finding("f", range(20), people="abc"),
            finding("g", range(10), people="bcd", site="forum"),
        ],
    )
    a, b = incident_id("f"), incident_id("g")
    assert store.get(Incident, a).sightings == 2
    assert (
        "incident within a minute" in cases.detach(a, "g", by="Li Wei", note="another list").words()
    )
    returns.turn()
    remaining, new = store.get(Incident, a), store.get(Incident, b)
    assert (remaining.customers, remaining.sightings, remaining.sites) == (3, 1, ("paste",))
    assert (new.customers, new.sightings, new.sites, new.apart) == (3, 1, ("forum",), (a,))
    assert {e.subject for e in store.scroll(Exposure, DocumentFilter({"incident": (a,)}))} == {
        handle(person) for person in "abc"
    }
    before = store.get(Sighting, "g")
    returns.turn()
    assert store.get(Sighting, "g") == before
    fold_all(store, clock, [finding("h", range(10), people="bcd", site="other")])
    assert store.get(Sighting, "h").incident == b


def test_only_sighting_cannot_be_detached(store, cases, clock):
    fold_all(store, clock, [finding("f", range(20), people="abc")])
    with pytest.raises(QueryError, match="this sighting is the only one"):
        cases.detach(incident_id("f"), "f", by="Li Wei", note="x")
    with pytest.raises(QueryError, match="0 of its sightings"):
        cases.detach(incident_id("f"), "zz", by="Li Wei", note="x")


@pytest.mark.parametrize(
    ("chosen", "members"),
    [
        ("note", ("note",)),
        ("sold", ("decision",)),
        ("reported sox first", ("regime",)),
        ("waived sox", ("regime",)),
        ("reported pboc-2025 last", ("stage",)),
    ],
)
def test_rejected_decision_names_the_invalid_member(store, cases, chosen, members):
    store.put([incident("INC-A")])
    with pytest.raises(QueryError) as caught:
        cases.decide("INC-A", chosen, by="Li Wei")
    assert caught.value.members == members


def last(cases, id_: str, act: str) -> str:
    """Return the id of the last entry of that kind."""
    incident_ = cases.incident(id_)
    return max(
        (d for d in cases.find_deadlines(incident_).decisions if d.act == act), key=lambda d: d.at
    ).id


def test_undone_assignment_restores_the_previous_one(store, cases, queue, context, clock):
    store.put([incident("INC-A")])
    cases.assign("INC-A", "Li Wei", by="Wang Fang")
    first = last(cases, "INC-A", "assigned")
    clock.advance(1)
    cases.assign("INC-A", "Zhao Min", by="Wang Fang", due="+3d")
    with pytest.raises(QueryError, match="a later entry replaced this one") as caught:
        cases.undo("INC-A", first, by="Wang Fang")
    assert caught.value.members == ("entry",)
    assert (
        cases.undo("INC-A", last(cases, "INC-A", "assigned"), by="Wang Fang").words()
        == "INC-A: undone"
    )
    assert ids(queue, tab="mine") == ["INC-A"]
    cases.undo("INC-A", last(cases, "INC-A", "due"), by="Wang Fang")
    assert queue.page(QueueFilter()).rows[0].item.due_for != "task"
    with pytest.raises(QueryError, match="already undone"):
        cases.undo("INC-A", last(cases, "INC-A", "due"), by="Wang Fang")
    actions = [entry.action for _, entry in audit.read_entries(context.data / "audit")]
    assert actions[-2:] == ["incident.undone", "incident.undone"]


def test_link_is_undone_on_both_sides(store, cases):
    pair = incident("INC-A"), incident("INC-B")
    store.put(pair)
    cases.link("INC-A", "INC-B", by="Li Wei")
    cases.undo("INC-B", last(cases, "INC-B", "linked"), by="Li Wei")
    assert [find_links(linked, cases.find_deadlines(linked).decisions) for linked in pair] == [
        (),
        (),
    ]
    cases.link("INC-A", "INC-B", by="Li Wei")
    cases.link("INC-A", "INC-B", by="Li Wei", end=True)
    cases.undo("INC-A", last(cases, "INC-A", "unlinked"), by="Li Wei")
    assert [find_links(linked, cases.find_deadlines(linked).decisions) for linked in pair] == [
        ("INC-B",),
        ("INC-A",),
    ]


def test_decision_with_legal_effect_cannot_be_undone(store, cases, clock):
    store.put([incident("INC-A"), clocked := incident("INC-B", **CLOCKED)])
    cases.decide("INC-A", "confirmed", by="Li Wei")
    entry = next(iter(store.scroll(Decision, DocumentFilter()))).id
    for id_ in (entry, "INC-A:nothing"):
        with pytest.raises(QueryError):
            cases.undo("INC-A", id_, by="Li Wei")
    cases.link("INC-A", "INC-B", by="Li Wei")
    store_notification(store, "INC-B", clock.as_clock().now())
    running = cases.find_deadlines(clocked).running
    assert find_links(clocked, cases.find_deadlines(clocked).decisions) == ("INC-A",)
    cases.undo("INC-A", last(cases, "INC-A", "linked"), by="Li Wei")
    assert find_links(clocked, cases.find_deadlines(clocked).decisions) == ()
    assert cases.find_deadlines(clocked).running == running != ()


def fold_two_posts(store, clock) -> tuple[str, str]:
    fold_all(
        store,
        clock,
        [
            finding("f", range(20), people="abc"),
            finding("g", range(30, 40), people="de", site="forum"),
        ],
    )
    return incident_id("f"), incident_id("g")


def test_incidents_are_merged_and_split_with_a_reason(store, cases, returns, queue, clock, context):
    a, b = fold_two_posts(store, clock)
    before = store.get(Incident, a)
    with pytest.raises(QueryError, match="grounds"):
        cases.merge(a, b, by="Li Wei", note=" ")
    assert store.count(Decision, DocumentFilter()) == 0
    assert "within a minute" in cases.merge(a, b, by="Li Wei", note="one seller").words()
    returns.turn()
    returns.turn()
    whole = store.get(Incident, a)
    assert (whole.customers, whole.sightings, whole.sites, whole.parts) == (
        5,
        2,
        ("forum", "paste"),
        (b,),
    )
    assert (store.get(Incident, b).part_of, ids(queue)) == (a, [a])
    clock.advance(60)
    with pytest.raises(QueryError, match="grounds"):
        cases.split(a, b, by="Li Wei", note="")
    assert (
        cases.split(a, b, by="Li Wei", note="another seller after all").words()
        == f"{a}: {b} is split off within a minute"
    )
    returns.turn()
    returns.turn()
    after, merged = store.get(Incident, a), store.get(Incident, b)
    assert after == before
    assert (merged.part_of, merged.customers, merged.sightings, sorted(ids(queue))) == (
        "",
        2,
        1,
        sorted([a, b]),
    )
    actions = [entry.action for _, entry in audit.read_entries(context.data / "audit")]
    assert actions == [
        "incident.merged_into",
        "incident.merged",
        "incident.split",
        "incident.split_from",
    ]


def test_new_posts_join_the_merged_incident_and_return_after_a_split(store, cases, returns, clock):
    a, b = fold_two_posts(store, clock)
    cases.merge(a, b, by="Li Wei", note="one seller")
    returns.turn()
    fold_all(store, clock, [finding("h", range(30, 40), people="de", site="other")])
    assert (store.get(Sighting, "h").incident, store.get(Incident, a).sightings) == (a, 3)
    clock.advance(60)
    cases.split(a, b, by="Li Wei", note="another seller after all")
    returns.turn()
    fold_all(store, clock, [finding("i", range(30, 40), people="de", site="fifth")])
    assert store.get(Sighting, "i").incident == b
    assert [store.get(Incident, part).sightings for part in (a, b)] == [2, 2]


def test_only_open_incidents_of_one_tenant_can_be_merged(store, cases, clock):
    store.put(
        [
            incident("INC-A"),
            incident("INC-B", **CLOCKED),
            incident("INC-C", tenant="shop"),
            incident("INC-D"),
        ]
    )
    store.put(
        [incident("INC-E", part_of="INC-A"), incident("INC-F", frozen_at=clock.as_clock().now())]
    )
    store_notification(store, "INC-B", clock.as_clock().now())
    cases.decide("INC-D", "resolved", by="Li Wei")
    before = store.count(Decision, DocumentFilter())
    for pair in "AA AC DA AE EA AF FA AZ".split():
        head, part = (f"INC-{letter}" for letter in pair)
        with pytest.raises(QueryError):
            cases.merge(head, part, by="Li Wei", note="one seller")
    with pytest.raises(QueryError, match="was not merged"):
        cases.split("INC-A", "INC-E", by="Li Wei", note="x")
    assert store.count(Decision, DocumentFilter()) == before


def test_split_that_would_drop_a_deadline_waits_for_a_second_person(store, cases, returns, clock):
    a, b = fold_two_posts(store, clock)
    cases.merge(a, b, by="Li Wei", note="one seller")
    returns.turn()
    store.put([store.get(Incident, a).model_copy(update=CLOCKED)])
    store_notification(store, a, clock.as_clock().now())
    assert isinstance(cases.split(a, b, by="Li Wei", note="another's").decision, PendingDecision)
    returns.turn()
    assert store.get(Incident, b).part_of == a


def test_sighting_is_split_off_with_a_reason(store, cases, clock):
    fold_all(
        store,
        clock,
        [
            finding("f", range(20), people="abc"),
            finding("g", range(10), people="bcd", site="forum"),
        ],
    )
    with pytest.raises(QueryError, match="grounds"):
        cases.detach(incident_id("f"), "g", by="Li Wei", note="")


def test_shift_ends_at_the_last_decision_before_a_pause(store, clock):
    now, shift = clock.as_clock().now(), timedelta(hours=8)
    for hours in (1, 2, 3, 15, 16):
        at = now - timedelta(hours=hours)
        store.create(
            [
                Decision(
                    id=f"d{hours}",
                    tenant="bank",
                    incident="INC-A",
                    at=at,
                    by="Li Wei",
                    status="note",
                )
            ]
        )
    assert last_shift(store, "Li Wei", now, shift) == now - timedelta(hours=15)
    assert last_shift(store, "Wang Fang", now, shift) == now - shift
