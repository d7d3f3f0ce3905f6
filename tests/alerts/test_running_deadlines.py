"""Whatever would end or hide a running deadline: every action × every role × every way in. The deadlines run as before.

A report ends one, and a waiver that a lead and the DPO decided, two people; nothing else does.
"""

from collections.abc import Callable
from itertools import product

import pytest
from typer.testing import CliRunner

from alerts.accounts import ROLES
from alerts.cases.actions import Cases
from alerts.cases.reopening import Returns
from alerts.cases.suppressions import SuppressionConditions, Suppressions, suppressed
from alerts.cli.incidents import incidents as terminal
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.records import Decision, Incident, Notification, Sighting
from alerts.records.document import QueryError
from alerts.store import DocumentFilter, IncidentStore
from tests.alerts.browser import Browser, add_account
from tests.alerts.builders import finding, fold_all, incident
from ullage.errors import UllageError
from ullage.settings import Tenant
from ullage.verdict import own_rules

REGIMES = ("pipl-57", "nfra-2024")
A, B = "INC-AAAAAAAAAA", "INC-BBBBBBBBBB"
FORMS = {
    "resolved": {"status": "resolved"},
    "false positive": {"status": "false_positive"},
    "excused": {"status": "excused", "reason": "chance", "days": "180"},
    "unlinked": {"status": "unlinked", "other": B},
    "detached": {"status": "detached", "sighting": "s1", "note": "another's"},
    "waived": {"status": "waived pipl-57", "note": "averted"},
    "assigned": {"status": "assigned", "to": "-", "due": "+90d"},
    "note": {"status": "note", "note": "seen"},
    "takedown": {"status": "takedown", "state": "asked"},
    "linked": {"status": "linked", "other": B},
    "merged": {"status": "merged", "other": B, "note": "one seller"},
    "split": {"status": "split", "other": B, "note": "two sellers"},
    "undone": {"status": "undone", "entry": "0"},
}
"""What each action sends with the form of an incident's page."""
BULK = {
    "resolved": {"act": "resolved"},
    "false positive": {"act": "false_positive", "reason": "chance", "days": "180"},
    "assigned": {"act": "assigned", "to": "-", "due": "+90d"},
}
WORDS = {
    "resolved": (("resolve", A), ("resolve", A, B)),
    "false positive": (
        ("resolve", A, "--as", "false_positive", "--reason", "chance"),
        ("resolve", A, B, "--as", "false_positive", "--reason", "chance"),
    ),
    "unlinked": (("link", A, B, "--end"), ("link", B, A, "--end")),
    "detached": (("link", A, "--detach", "s1", "--note", "another's"),),
    "waived": (("deadline", A, "--regime", "pipl-57", "--waived", "--note", "averted"),),
    "silenced": (("suppress", "--tenant", "bank", "--incident", A, "--reason", "known", "--days", "9"),),
    "assigned": (("assign", A, "--due", "+90d"),),
    "note": (("note", A, "seen"),),
    "takedown": (("takedown", A, "asked"),),
    "linked": (("link", A, B),),
    "merged": tuple(("link", *pair, "--merge", "--note", "one seller") for pair in ((A, B), (B, A))),
    "split": tuple(("link", A, B, way, "--note", "said") for way in ("--merge", "--split")),
}
WAYS = [
    *((action, place) for action in (*FORMS, "silenced") for place in ("page", "terminal") if place == "page" or action in WORDS),
    *((action, "bulk") for action in BULK),
    *((action, "api") for action in FORMS),
]


@pytest.fixture
def tenant(data):
    """Under two rules, whose first reports and one written report are owed."""
    text = f'metrics = false\n[tenants.bank]\nregimes = ["{REGIMES[0]}", "{REGIMES[1]}"]\n'
    (data / "ullage.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def duties(store, clock) -> Duties:
    return Duties(store, lambda _: Tenant(regimes=REGIMES), clock.as_clock())


def told(store: IncidentStore, at, id_: str = A) -> None:
    store.put([Notification(
        id=f"{id_}:desk:high", tenant="bank", incident=id_, at=at, due=at, channel="desk", what="high", why="new",
        severity="high", outcome="sent", sent_at=at,
    )])  # fmt: skip


@pytest.fixture
def running(tenant, store, clock, duties) -> tuple[str, ...]:
    """The names of the deadlines of incident A, which run; B has none. Both have sightings of their own."""
    fold_all(store, clock, [finding("s1", range(20)), finding("s2", range(20)), finding("s3", range(50, 70), people="c")])
    seen = {one.id: one for one in store.scroll(Sighting, DocumentFilter())}
    store.put([one.model_copy(update={"incident": B if one.id == "s3" else A}) for one in seen.values()])
    store.delete(Incident, {one.incident for one in seen.values()})
    clocked = {"severity": "high", "origin": "ours", "clock": "run", "customers": 100, "sightings": 2}
    store.put([incident(A, **clocked), incident(B, clock="none")])
    told(store, clock.as_clock().now())
    store.refresh()
    return deadlines(duties)


def deadlines(duties: Duties) -> tuple[str, ...]:
    duties.store.refresh()
    owed = duties.owed([duties.store.get(Incident, A)])[A]
    return tuple(f"{duty.regime.id} {duty.stage.id}" for duty in owed.running)


def by_page(who: Browser, action: str) -> None:
    if action == "silenced":
        who.post(f"/incidents/{A}/silence", {"what": "incident", "days": "9", "reason": "known"})
    else:
        who.post(f"/incidents/{A}/decisions", {"token": "0" * 16, **FORMS[action]})


def by_bulk(who: Browser, action: str) -> None:
    who.post("/incidents/bulk", {"id": [A, B], **BULK[action]})


@pytest.fixture
def by_api(desk, accounts) -> Callable[[str, str], None]:
    """With a token that may whatever of a role a program may."""

    def ask(role: str, action: str) -> None:
        scope = sorted(ROLES[role] & {"incident.read", "incident.decide", "incident.assign", "incident.close"})
        if "incident.read" not in scope:
            return
        secret = accounts.add_token(f"token {role}", scope, ["bank"], purpose="test", days=1, by="test")[1]
        form = {key: value for key, value in FORMS[action].items() if key != "status"}
        decision = {"excused": "false_positive"}.get(FORMS[action]["status"], FORMS[action]["status"])
        head = {"authorization": f"Bearer {secret}"}
        for asked in (form, {"reason": "chance"}):
            version = Browser(desk.app).ask("GET", f"/v1/incidents/{A}", headers=head).headers["etag"]
            sent = {**head, "if-match": version}
            Browser(desk.app).ask("POST", f"/v1/incidents/{A}/decisions", json={"decision": decision, **asked}, headers=sent)

    return ask


def by_terminal(context, name: str, action: str) -> None:
    for words in WORDS[action]:
        done = CliRunner().invoke(terminal, [*words, "--by", name], obj=context)
        assert done.exception is None or isinstance(done.exception, SystemExit | UllageError), done.exception


@pytest.fixture
def ask(log_in, by_api, accounts, context) -> Callable[[str, str, str], None]:
    """Tries an action in a role by a way in, whatever comes of it."""

    def tried(place: str, role: str, action: str) -> None:
        if place == "terminal":
            add_account(accounts, f"zhao {role}", [role])
            by_terminal(context, f"zhao {role}", action)
        elif place == "api":
            by_api(role, action)
        else:
            {"page": by_page, "bulk": by_bulk}[place](log_in(role), action)

    return tried


@pytest.mark.parametrize(("action", "place"), WAYS)
def test_no_single_person_ends_or_hides_a_running_deadline(running, duties, context, ask, action, place):
    assert len(running) == 3
    store = duties.store
    for role in ROLES:
        ask(place, role, action)
        if action == "waived":
            store.delete(Decision, [one.id for one in store.scroll(Decision, DocumentFilter())])  # half of a waiver ends nothing
        Returns(Work(duties), context.trail(), own_rules).turn()
        assert deadlines(duties) == running, f"{role} by {place}: {action}"
        assert suppressed(duties, [store.get(Incident, A)]) == {}, f"{role} by {place}: {action}"
        assert len([*store.scroll(Sighting, DocumentFilter({"incident": (A,)}))]) == 2, f"{role} by {place}: {action}"


@pytest.mark.parametrize("action", FORMS)
def test_a_person_who_has_both_roles_is_one_person(running, duties, log_in, action):
    who = log_in("lead", "dpo")
    for _ in range(2):
        by_page(who, action)
        who.post(f"/incidents/{A}/decisions", {"token": f"{len(action):016x}", "status": "waived pipl-57", "note": "averted"})
    assert deadlines(duties) == running


def test_once_a_lead_and_the_dpo_have_waived_every_duty_it_can_be_closed(running, duties, log_in, store):
    for number, (role, regime) in enumerate(product(("lead", "dpo"), REGIMES)):
        form = {"status": f"waived {regime}", "note": "averted", "token": f"{number + 1:016x}"}
        assert log_in(role).post(f"/incidents/{A}/decisions", form).status_code == 303
    assert deadlines(duties) == ()
    by_page(log_in("analyst"), "excused")
    assert [one.value for one in store.scroll(Decision, DocumentFilter()) if one.act == "excused"] == ["chance"]


def test_the_refusal_names_the_deadlines_and_says_what_to_do(running, log_in):
    answer = log_in("analyst").post(f"/incidents/{A}/decisions", {"token": "0" * 16, **FORMS["excused"]})
    assert answer.status_code == 400
    assert "PIPL Art. 57 (first report)" in answer.text
    assert "Record the reports, or have a lead and the DPO waive them" in answer.text


@pytest.fixture
def cases(duties, context) -> Cases:
    return Cases(Work(duties), context.trail())


def test_what_only_waits_for_somebody_to_know_is_not_ended_by_whoever_knows_it(store, cases, duties):
    """Nobody was told of it, because no channel took it: whoever looks at it knows."""
    store.put([incident(A, severity="high", origin="ours", clock="run")])
    assert deadlines(duties) == ()
    for end in (lambda: cases.excuse(A, "chance", by="Li Wei"), lambda: cases.decide(A, "resolved", by="Li Wei")):
        with pytest.raises(QueryError, match="reporting deadlines are open"):
            end()
    assert store.count(Decision, DocumentFilter()) == 0


def test_what_waits_for_a_person_who_decides_can_be_called_none(store, cases, clock):
    store.put([incident(A, severity="high", origin="unknown", clock="if confirmed")])
    told(store, clock.as_clock().now())
    assert cases.excuse(A, "chance", by="Li Wei").done


def test_an_incident_that_was_silenced_before_is_heard_once_its_deadlines_run(store, cases, clock, duties, context):
    fold_all(store, clock, [finding("s1", range(20))])
    store.put([one.model_copy(update={"incident": A}) for one in store.scroll(Sighting, DocumentFilter())])
    store.put([incident(A, severity="high", origin="unknown", clock="if confirmed")])
    Suppressions(duties, context.trail()).suppress("bank", SuppressionConditions(incident=A), days=9, by="Li Wei", reason="known")
    told(store, clock.as_clock().now())
    assert suppressed(duties, [store.get(Incident, A)])
    cases.decide(A, "confirmed", by="Wang Fang")
    assert suppressed(duties, [store.get(Incident, A)]) == {}


def test_a_part_that_is_a_false_positive_does_not_end_the_deadlines_of_the_whole(store, cases, clock, duties):
    store.put([incident(A, severity="high", origin="ours", clock="run"), incident(B, clock="none")])
    told(store, clock.as_clock().now())
    running = deadlines(duties)
    clock.advance(60)
    cases.excuse(B, "chance", by="Li Wei")
    store.put(
        [store.get(Incident, A).model_copy(update={"parts": (B,)}), store.get(Incident, B).model_copy(update={"part_of": A})]
    )
    assert deadlines(duties) == running != ()


def test_a_false_positive_that_another_incident_becomes_part_of_comes_back(store, cases, duties, context, clock):
    store.put([before := incident(A, clock="none"), incident(B, severity="high", origin="ours", clock="run")])
    cases.excuse(A, "chance", by="Li Wei")
    clock.advance(60)
    now = before.model_copy(update={"parts": (B,), "clock": "run"})
    store.put([now])
    Returns(Work(duties), context.trail(), own_rules).filed({A: before}, [now])
    told(store, clock.as_clock().now())
    assert "pipl-57 first" in deadlines(duties)


def test_a_part_whose_time_as_false_positive_is_over_hinders_nobody(store, cases, duties, context, clock):
    store.put([incident(A, clock="none"), incident(B, clock="none")])
    for id_ in (A, B):
        cases.excuse(id_, "chance", by="Li Wei", days=1)
    store.put([store.get(Incident, B).model_copy(update={"part_of": A})])
    clock.advance(86400 * 2)
    Returns(Work(duties), context.trail(), own_rules).turn()
    assert [one.incident for one in store.scroll(Decision, DocumentFilter()) if one.act == "returned"] == [A]


def test_a_detachment_asked_for_before_the_deadlines_ran_is_not_carried_out_while_they_do(store, cases, clock, duties, context):
    fold_all(store, clock, [finding("s1", range(20)), finding("s2", range(20))])
    found = next(store.scroll(Incident, DocumentFilter()))
    quiet = found.model_copy(update={"clock": "if confirmed", "severity": "high"})
    store.put([quiet])
    cases.detach(found.id, "s2", by="Li Wei", note="another's")
    store.put([quiet.model_copy(update={"clock": "run"})])
    Returns(Work(duties), context.trail(), own_rules).turn()
    assert {one.incident for one in store.scroll(Sighting, DocumentFilter())} == {found.id}


def test_the_same_sent_again_is_the_same_even_if_a_deadline_began_meanwhile(store, cases):
    store.put([incident(A, clock="none")])
    first = cases.excuse(A, "chance", by="Li Wei", token="0" * 16)
    store.put([store.get(Incident, A).model_copy(update={"clock": "run"})])
    assert cases.excuse(A, "chance", by="Li Wei", token="0" * 16).made == first.made
