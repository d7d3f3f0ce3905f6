"""Nobody alone ends or hides a running deadline: every act × every role × every channel, taken from
the code.

A change that adds an act has to be tried here (`test_every_act_is_tried`); what it does decides,
not its name.
"""

from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from alerts.accounts import ALL, ROLES
from alerts.accounts.accounts import User
from alerts.accounts.second_person import Actor
from alerts.cases.actions import Cases
from alerts.cases.decisions import PLAIN, TELLING
from alerts.cases.reopening import Returns
from alerts.cases.suppressions import SuppressionConditions, Suppressions, find_suppressed
from alerts.cli.incidents import incidents as terminal
from alerts.deadlines.outstanding import RULINGS, Duties
from alerts.deadlines.schedule import Work
from alerts.records import Decision, Incident, Notification, PendingDecision, Sighting, Suppression
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.queries import find_pending
from alerts.web.incident_changes import CHANGES
from tests.alerts.browser import Browser, add_account
from tests.alerts.builders import finding, fold_all, incident
from ullage.errors import UllageError
from ullage.settings import Tenant
from ullage.verdict import load_verdict_rules

REGIMES = ("pipl-57", "nfra-2024")
A, B = "INC-AAAAAAAAAA", "INC-BBBBBBBBBB"
SENT = {"sent_at": "2026-09-21T22:00", "channel": "fax", "reference": "R-1"}
FORMS: dict[str, dict[str, str]] = {
    "acknowledged": {},
    "confirmed": {},
    "resolved": {},
    "false_positive": {},
    "note": {"note": "seen"},
    "reported pipl-57 first": SENT,
    "reported nfra-2024 written": SENT,
    "applies pipl-57": {"note": "it applies"},
    "waived pipl-57": {"note": "averted"},
    "telling_approved": {"note": "they may know"},
    "telling_withdrawn": {"note": "not yet"},
    "assigned": {"to": "-", "due": "+90d"},
    "due": {"due": "+90d"},
    "excused": {"reason": "chance", "days": "180"},
    "takedown": {"state": "asked"},
    "linked": {"other": B},
    "unlinked": {"other": B},
    "detached": {"sighting": "s1", "note": "another's"},
    "merged": {"other": B, "note": "one seller"},
    "split": {"other": B, "note": "two sellers"},
    "undone": {"entry": "0"},
    "second_confirmed": {"entry": "0"},
    "second_refused": {"entry": "0", "note": "wrong"},
}
"""What each act sends with the form of an incident's page, by its status."""
WANG = User("Wang Fang", "digest", None, ("lead",), (ALL,), False, None, 1, 0.0, "test")
SECOND = Actor(WANG.principal(is_proven=True), (WANG,))
"""A lead who has logged in."""
BULK = {
    "resolved": {"act": "resolved"},
    "excused": {"act": "false_positive", "reason": "chance", "days": "180"},
    "assigned": {"act": "assigned", "to": "-", "due": "+90d"},
}
REPORT = ("--sent-at", SENT["sent_at"], "--channel", "fax", "--reference", "R-1")
WORDS = {
    "acknowledged": (("acknowledge", A),),
    "confirmed": (("resolve", A, "--as", "confirmed"),),
    "resolved": (("resolve", A), ("resolve", A, B)),
    "excused": (("resolve", A, "--as", "false_positive", "--reason", "chance"),),
    "note": (("note", A, "seen"),),
    "reported pipl-57 first": (("deadline", A, "--sent", "--regime", "pipl-57", *REPORT),),
    "reported nfra-2024 written": (
        ("deadline", A, "--sent", "--regime", "nfra-2024", "--stage", "written", *REPORT),
    ),
    "applies pipl-57": (
        ("deadline", A, "--regime", "pipl-57", "--applies", "--note", "it applies"),
    ),
    "waived pipl-57": (("deadline", A, "--regime", "pipl-57", "--waived", "--note", "averted"),),
    "assigned": (("assign", A, "--due", "+90d"),),
    "takedown": (("takedown", A, "asked"),),
    "linked": (("link", A, B),),
    "unlinked": (("link", A, B, "--end"), ("link", B, A, "--end")),
    "detached": (("link", A, "--detach", "s1", "--note", "another's"),),
    "merged": (("link", A, B, "--merge", "--note", "one seller"),),
    "split": tuple(("link", A, B, way, "--note", "said") for way in ("--merge", "--split")),
    "silenced": (
        ("suppress", "--tenant", "bank", "--incident", A, "--reason", "known", "--days", "9"),
    ),
    "second_confirmed": (("deadline", A, "--confirm", "all"),),
}
WAYS = [
    *((act, "page") for act in (*FORMS, "silenced")),
    *((act, "terminal") for act in WORDS),
    *((act, "bulk") for act in BULK),
    *((act, "api") for act in FORMS),
]


def test_every_act_is_tried():
    acts = {*PLAIN, *TELLING, *RULINGS, *CHANGES, "reported"}
    assert acts == {form.partition(" ")[0] for form in FORMS}


@pytest.fixture
def tenant(data):
    """Under two rules, whose first reports and one written report are owed."""
    text = f'metrics = false\n[tenants.bank]\nregimes = ["{REGIMES[0]}", "{REGIMES[1]}"]\n'
    (data / "ullage.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def duties(store, clock) -> Duties:
    return Duties(store, lambda _: Tenant(regimes=REGIMES), clock.as_clock())


def record_notification(store: IncidentStore, at, id_: str = A) -> None:
    store.put([Notification(
        id=f"{id_}:desk:high", tenant="bank", incident=id_, at=at, due=at, channel="desk",
        what="high", why="new",
        severity="high", outcome="sent", sent_at=at,
    )])  # fmt: skip


@pytest.fixture
def running(tenant, store, clock, duties) -> tuple[str, ...]:
    """Start the deadlines of incident A and return their names; B has none.

    Both have sightings of their own.
    """
    fold_all(
        store,
        clock,
        [
            finding("s1", range(20)),
            finding("s2", range(20)),
            finding("s3", range(50, 70), people="c"),
        ],
    )
    sightings = {document.id: document for document in store.scroll(Sighting, DocumentFilter())}
    store.put(
        [
            document.model_copy(update={"incident": B if document.id == "s3" else A})
            for document in sightings.values()
        ]
    )
    store.delete(Incident, {document.incident for document in sightings.values()})
    clocked = {
        "severity": "high",
        "origin": "ours",
        "clock": "run",
        "customers": 100,
        "sightings": 2,
    }
    store.put([incident(A, **clocked), incident(B, clock="none")])
    record_notification(store, clock.as_clock().now())
    store.refresh()
    return deadlines(duties)


def deadlines(duties: Duties, id_: str = A) -> tuple[str, ...]:
    """Return the running deadlines of an incident, or of its head."""
    duties.store.refresh()
    stored = duties.store.get(Incident, id_)
    head = duties.store.get(Incident, stored.part_of) if stored.part_of else stored
    return tuple(
        f"{duty.regime.id} {duty.stage.id}"
        for duty in duties.find_deadlines([head])[head.id].running
    )


def by_page(who: Browser, act: str) -> None:
    if act == "silenced":
        who.post(f"/incidents/{A}/silence", {"what": "incident", "days": "9", "reason": "known"})
    else:
        who.post(f"/incidents/{A}/decisions", {"token": "0" * 16, "status": act, **FORMS[act]})


def by_bulk(who: Browser, act: str) -> None:
    who.post("/incidents/bulk", {"id": [A, B], **BULK[act]})


@pytest.fixture
def by_api(desk, accounts) -> Callable[[str, str], None]:
    """Return a function that acts through the API with a token of a role's permissions."""

    def ask(role: str, act: str) -> None:
        scope = sorted(
            ROLES[role] & {"incident.read", "incident.decide", "incident.assign", "incident.close"}
        )
        if "incident.read" not in scope:
            return
        secret = accounts.add_token(
            f"token {role}", scope, ["bank"], purpose="test", days=1, by="test"
        )[1]
        decision, *of = act.split(" ")
        members = {**FORMS[act], **dict(zip(("regime", "stage"), of, strict=False))}
        decision = {"excused": "false_positive"}.get(decision, decision)
        head = {"authorization": f"Bearer {secret}"}
        version = Browser(desk.app).ask("GET", f"/v1/incidents/{A}", headers=head).headers["etag"]
        sent = {**head, "if-match": version}
        Browser(desk.app).ask(
            "POST",
            f"/v1/incidents/{A}/decisions",
            json={"decision": decision, **members},
            headers=sent,
        )

    return ask


def by_terminal(context, name: str, act: str) -> None:
    for words in WORDS[act]:
        result = CliRunner().invoke(terminal, [*words, "--by", name], obj=context)
        assert result.exception is None or isinstance(result.exception, SystemExit | UllageError), (
            result.exception
        )


@pytest.fixture
def ask(log_in, by_api, accounts, context) -> Callable[[str, str, str], None]:
    """Return a function that tries an act in a role by a channel, whatever comes of it."""

    def attempt(place: str, role: str, act: str) -> None:
        if place == "terminal":
            if accounts.user(f"zhao {role}") is None:
                add_account(accounts, f"zhao {role}", [role])
            by_terminal(context, f"zhao {role}", act)
        elif place == "api":
            by_api(role, act)
        else:
            {"page": by_page, "bulk": by_bulk}[place](log_in(role), act)

    return attempt


@pytest.mark.parametrize(("act", "place"), WAYS)
def test_no_single_person_can_end_or_hide_a_running_deadline(
    running, duties, context, ask, act, place
):
    assert len(running) == 3
    store = duties.store
    for role in ROLES:
        ask(place, role, act)
        Returns(Work(duties), context.trail(), load_verdict_rules).turn()
        assert {*running} <= {*deadlines(duties)}, f"{role} by {place}: {act}"
        assert find_suppressed(duties, [store.get(Incident, A)]) == {}, f"{role} by {place}: {act}"
        assert Work(duties).write([store.get(Incident, A)])[A].stage == "open", (
            f"{role} by {place}: {act}"
        )
        assert len([*store.scroll(Sighting, DocumentFilter({"incident": (A,)}))]) == 2, (
            f"{role} by {place}: {act}"
        )


ENDING = [
    form
    for form in FORMS
    if form.split(" ")[0] in ("resolved", "false_positive", "reported", "waived", "excused")
]


@pytest.mark.parametrize("act", [*ENDING, "silenced"])
def test_act_that_ends_a_deadline_waits_for_a_second_person(running, duties, log_in, store, act):
    by_page(log_in("lead"), act)
    waiting = find_pending(store, [A])
    assert len(waiting) == 1
    assert {*waiting[0].ends} <= {*running}
    dpo = log_in("dpo")
    assert "waiting for a second person" in dpo.get(f"/incidents/{A}").text
    answer = {"status": "second_confirmed", "token": "f" * 16, "entry": [waiting[0].id]}
    assert dpo.post(f"/incidents/{A}/decisions", answer).status_code == 303
    decisions = [
        *store.scroll(Decision, DocumentFilter()),
        *store.scroll(Suppression, DocumentFilter()),
    ]
    confirmed = [decision for decision in decisions if decision.ends]
    assert [decision.confirmed_by for decision in confirmed] == ["dpo of all"]
    visible = (
        {*deadlines(duties)}
        if act not in ("resolved", "silenced")
        else {*running} - {*waiting[0].ends}
    )
    assert visible == {*running} - {*waiting[0].ends}
    assert find_pending(store, [A]) == []
    assert dpo.post(f"/incidents/{A}/decisions", answer).status_code == 303  # the same again
    assert len([*store.scroll(Decision, DocumentFilter())]) == len(
        [decision for decision in decisions if isinstance(decision, Decision)]
    )


def test_rejected_act_changes_nothing_and_says_why(running, duties, log_in, store):
    by_page(log_in("analyst"), "excused")
    (waiting,) = find_pending(store, [A])
    lead = log_in("lead")
    refused = {"status": "second_refused", "token": "f" * 16, "entry": [waiting.id]}
    assert lead.post(f"/incidents/{A}/decisions", refused).status_code == 400
    assert (
        lead.post(f"/incidents/{A}/decisions", {**refused, "note": "it is ours"}).status_code == 303
    )
    assert deadlines(duties) == running
    assert (
        log_in("dpo")
        .post(
            f"/incidents/{A}/decisions",
            {"status": "second_confirmed", "token": "f" * 16, "entry": [waiting.id]},
        )
        .status_code
        == 400
    )
    assert deadlines(duties) == running


def test_acts_of_one_letter_are_confirmed_together(running, duties, log_in, store):
    who = log_in("analyst")
    for number, act in enumerate(
        ("reported pipl-57 first", "reported nfra-2024 first", "reported nfra-2024 written")
    ):
        who.post(
            f"/incidents/{A}/decisions", {"token": f"{number + 1:016x}", "status": act, **SENT}
        )
    waiting = [pending.id for pending in find_pending(store, [A])]
    assert len(waiting) == 3
    assert (
        log_in("lead")
        .post(
            f"/incidents/{A}/decisions",
            {"status": "second_confirmed", "token": "f" * 16, "entry": waiting},
        )
        .status_code
        == 303
    )
    assert deadlines(duties) == ()


@pytest.fixture
def cases(duties, context) -> Cases:
    return Cases(Work(duties), context.trail())


def test_conditional_deadline_is_not_ended_by_an_acknowledgement(store, cases, duties):
    """Nobody was told of it, because no channel took it: whoever looks at it knows."""
    store.put([incident(A, severity="high", origin="ours", clock="run")])
    assert deadlines(duties) == ()
    for end in (
        lambda: cases.excuse(A, "chance", by="Li Wei"),
        lambda: cases.decide(A, "resolved", by="Li Wei"),
    ):
        assert isinstance(end().decision, PendingDecision)
    assert store.count(Decision, DocumentFilter()) == 0


def test_deadline_that_waits_for_a_decision_can_be_waived(store, cases, clock):
    store.put([incident(A, severity="high", origin="unknown", clock="if confirmed")])
    record_notification(store, clock.as_clock().now())
    assert isinstance(cases.excuse(A, "chance", by="Li Wei").decision, Decision)


@pytest.mark.parametrize("chosen", ["reported pipl-57 first", "waived pipl-57"])
def test_deadline_that_has_not_started_needs_a_second_person(store, cases, clock, chosen):
    """Else somebody would confirm the leak later, and find a deadline that was ended before it
    began.
    """
    store.put([incident(A, severity="high", origin="unknown", clock="if confirmed")])
    record_notification(store, clock.as_clock().now())
    members = (
        {"note": "averted", "channel": "fax", "reference": "R-1"}
        if chosen.startswith("reported")
        else {"note": "averted"}
    )
    assert isinstance(cases.decide(A, chosen, by="Li Wei", **members).decision, PendingDecision)


def test_silenced_incident_is_notified_once_its_deadlines_run(store, cases, clock, duties, context):
    fold_all(store, clock, [finding("s1", range(20))])
    store.put(
        [
            sighting.model_copy(update={"incident": A})
            for sighting in store.scroll(Sighting, DocumentFilter())
        ]
    )
    store.put([incident(A, severity="high", origin="unknown", clock="if confirmed")])
    Suppressions(duties, context.trail()).suppress(
        "bank", SuppressionConditions(incident=A), days=9, by="Li Wei", reason="known"
    )
    record_notification(store, clock.as_clock().now())
    assert find_suppressed(duties, [store.get(Incident, A)])
    cases.decide(A, "confirmed", by="Wang Fang")
    assert find_suppressed(duties, [store.get(Incident, A)]) == {}


def test_false_positive_part_keeps_the_deadlines_of_the_whole(store, cases, clock, duties):
    store.put([incident(A, severity="high", origin="ours", clock="run"), incident(B, clock="none")])
    record_notification(store, clock.as_clock().now())
    running = deadlines(duties)
    clock.advance(60)
    cases.excuse(B, "chance", by="Li Wei")
    store.put(
        [
            store.get(Incident, A).model_copy(update={"parts": (B,)}),
            store.get(Incident, B).model_copy(update={"part_of": A}),
        ]
    )
    assert deadlines(duties) == running != ()


def test_false_positive_reopens_when_an_incident_joins_it(store, cases, duties, context, clock):
    store.put(
        [
            before := incident(A, clock="none"),
            incident(B, severity="high", origin="ours", clock="run"),
        ]
    )
    cases.excuse(A, "chance", by="Li Wei")
    clock.advance(60)
    now = before.model_copy(update={"parts": (B,), "clock": "run"})
    store.put([now])
    Returns(Work(duties), context.trail(), load_verdict_rules).handle_written_incidents(
        {A: before}, [now]
    )
    record_notification(store, clock.as_clock().now())
    assert "pipl-57 first" in deadlines(duties)


def test_expired_false_positive_part_blocks_nobody(store, cases, duties, context, clock):
    store.put([incident(A, clock="none"), incident(B, clock="none")])
    for id_ in (A, B):
        cases.excuse(id_, "chance", by="Li Wei", days=1)
    store.put([store.get(Incident, B).model_copy(update={"part_of": A})])
    clock.advance(86400 * 2)
    Returns(Work(duties), context.trail(), load_verdict_rules).turn()
    assert [
        decision.incident
        for decision in store.scroll(Decision, DocumentFilter())
        if decision.act == "returned"
    ] == [A]


def test_early_detachment_request_still_waits_for_a_second_person(
    store, cases, clock, duties, context
):
    fold_all(store, clock, [finding("s1", range(20)), finding("s2", range(20))])
    incident = next(store.scroll(Incident, DocumentFilter()))
    quiet = incident.model_copy(update={"clock": "if confirmed", "severity": "high"})
    store.put([quiet])
    cases.detach(incident.id, "s2", by="Li Wei", note="another's")
    store.put([quiet.model_copy(update={"clock": "run"})])
    for _ in range(2):
        Returns(Work(duties), context.trail(), load_verdict_rules).turn()
    assert {item.incident for item in store.scroll(Sighting, DocumentFilter())} == {incident.id}
    assert [item.decisions[0].about for item in find_pending(store, [incident.id])] == ["s2"]


def test_repeated_request_is_the_same_after_a_deadline_began(store, cases):
    store.put([incident(A, clock="none")])
    first = cases.excuse(A, "chance", by="Li Wei", token="0" * 16)
    store.put([store.get(Incident, A).model_copy(update={"clock": "run"})])
    assert cases.excuse(A, "chance", by="Li Wei", token="0" * 16).decision == first.decision


def test_resolving_again_does_not_move_the_final_report(store, cases, clock, duties):
    """Its deadline counts from the end of the handling: whoever ends it again would have more
    time.
    """
    store.put([incident(A, severity="high", origin="ours", clock="none")])
    cases.decide(A, "applies nfra-2024", by="Li Wei", note="it does")
    record_notification(store, clock.as_clock().now())
    for stage in ("first", "written"):
        waiting = cases.decide(
            A, f"reported nfra-2024 {stage}", by="Li Wei", channel="fax", reference="R-1"
        ).decision
        lead = Cases(cases.work, cases.trail, SECOND)
        lead.answer(A, waiting.id, by="Wang Fang", confirm=True)
    assert isinstance(cases.decide(A, "resolved", by="Li Wei").decision, Decision)
    clock.advance(86400)
    assert isinstance(cases.decide(A, "resolved", by="Li Wei").decision, PendingDecision)
