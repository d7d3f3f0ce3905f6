"""Who is a second person: every role × every channel, and whoever may be the first person in
another name.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from alerts.accounts import ALL, PEOPLE_ALONE, PERMISSIONS, ROLES, ForbiddenError
from alerts.accounts.accounts import User, parts
from alerts.accounts.second_person import Actor
from alerts.cases.actions import Cases
from alerts.cases.reopening import Returns
from alerts.cases.report import case_of, values
from alerts.cases.second_person import SecondPersons
from alerts.cli.incidents import incidents as terminal
from alerts.deadlines.comparison import EndedDuty
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.records import Decision, Incident, PendingDecision
from alerts.records.document import QueryError
from alerts.store import DocumentFilter
from alerts.store.queries import find_pending
from tests.alerts.browser import Browser, add_account
from tests.alerts.builders import finding, fold_all, incident
from tests.alerts.test_running_deadlines import SECOND, WANG, A, deadlines, record_notification
from ullage import audit
from ullage.audit import current_user
from ullage.errors import UllageError
from ullage.settings import Tenant
from ullage.verdict import load_verdict_rules

REGIMES = ("pipl-57",)
CHANNELS = ("page", "api session", "api token", "terminal --by", "terminal user")
SECONDS = {
    (role, channel)
    for role in ("lead", "dpo")
    for channel in ("page", "api session", "terminal user")
}
"""Of all roles and channels those by which what another has proposed is confirmed."""


def account(
    name: str,
    *roles: str,
    made_by: str = "test",
    login: str | None = None,
    changed_by: tuple[str, ...] = (),
) -> User:
    return User(
        name,
        "digest",
        None,
        roles or ("lead",),
        (ALL,),
        False,
        None,
        1,
        0.0,
        made_by,
        False,
        login,
        changed_by,
    )


@pytest.fixture
def duties(store, clock) -> Duties:
    return Duties(store, lambda _: Tenant(regimes=REGIMES), clock.as_clock())


@pytest.fixture
def tenant(data):
    """Under one rule."""
    (data / "ullage.toml").write_text(
        'metrics = false\n[tenants.bank]\nregimes = ["pipl-57"]\n', encoding="utf-8"
    )


@pytest.fixture
def alone(data):
    """Configure a team of one person."""
    text = 'metrics = false\n[tenants.bank]\nregimes = ["pipl-57"]\nsecond_person = false\n'
    (data / "ullage.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def waiting(tenant, store, clock, duties, context) -> PendingDecision:
    """Return a false positive that waits for a second person, as its deadline runs."""
    store.put([incident(A, severity="high", origin="ours", clock="run")])
    record_notification(store, clock.as_clock().now())
    return Cases(Work(duties), context.trail()).excuse(A, "chance", by="Li Na").decision


@pytest.fixture
def confirm(desk, log_in, accounts, context) -> Callable[[str, str, str], None]:
    """Return a function that confirms a pending decision in a role through a channel."""

    def by_page(role: str, entry: str) -> None:
        log_in(role).post(
            f"/incidents/{A}/decisions",
            {"status": "second_confirmed", "token": "f" * 16, "entry": [entry]},
        )

    def by_api(role: str, entry: str, *, token: bool) -> None:
        head, who = dict[str, str](), Browser(desk.app)
        if token:
            scope = sorted(ROLES[role] & {*PERMISSIONS} - PEOPLE_ALONE - {"exposure.ask"})
            secret = accounts.add_token(
                f"token {role}", scope, ["bank"], purpose="test", days=1, by="test"
            )[1]
            head = {"authorization": f"Bearer {secret}"}
        else:
            who, head = log_in(role), {"sec-fetch-site": "same-origin"}
        answer = who.ask("GET", f"/v1/incidents/{A}", headers=head)
        sent = {**head, "if-match": answer.headers.get("etag", "none")}
        body = {"decision": "second_confirmed", "entry": entry}
        who.ask("POST", f"/v1/incidents/{A}/decisions", json=body, headers=sent)

    def by_terminal(role: str, entry: str, *, is_typed: bool) -> None:
        add_account(accounts, f"zhao {role}", [role])
        if not is_typed:
            accounts.set_login(f"zhao {role}", current_user())
        words = ["deadline", A, "--confirm", entry, *(["--by", f"zhao {role}"] if is_typed else [])]
        result = CliRunner().invoke(terminal, words, obj=context)
        assert result.exception is None or isinstance(result.exception, SystemExit | UllageError), (
            result.exception
        )

    def attempt(channel: str, role: str, entry: str) -> None:
        if channel == "page":
            by_page(role, entry)
        elif channel.startswith("api"):
            by_api(role, entry, token=channel.endswith("token"))
        else:
            by_terminal(role, entry, is_typed=channel.endswith("--by"))

    return attempt


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("role", ROLES)
def test_only_an_identified_lead_or_dpo_confirms(waiting, duties, confirm, role, channel):
    running = deadlines(duties)
    confirm(channel, role, waiting.id)
    is_confirmed = (role, channel) in SECONDS
    assert deadlines(duties) == (() if is_confirmed else running)
    assert (find_pending(duties.store, [A]) == []) == is_confirmed


LEAD = account("Wang Fang")
NOT_SECOND = {
    "the proposer": ("Wang Fang", frozenset(), [LEAD]),
    "the proposer's name in capitals": ("WANG FANG", frozenset(), [LEAD]),
    "the person a program proposed for": ("Wang Fang via crm", frozenset(), [LEAD]),
    "the creator of the program's token": ("crm", frozenset({"Wang Fang"}), [LEAD]),
    "the system user under another name": ("Li Na", frozenset({"wang"}),
    [account("Wang Fang", login="wang")]),
    "an account made by the proposer": ("Li Na", frozenset(),
    [account("Wang Fang", made_by="Li Na")]),
    "an account made through another account": (
        "Li Na", frozenset(), [account("Wang Fang", made_by="op"), account("op", "operator",
        made_by="Li Na")],
    ),
    "an account whose password the proposer set": ("Li Na", frozenset(),
    [account("Wang Fang", changed_by=("Li Na",))]),
    "the creator of the proposer's account": (
        "Li Na", frozenset(), [LEAD, account("Li Na", made_by="Wang Fang")],
    ),
    "no account": ("Li Na", frozenset(), []),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_SECOND)
def test_first_person_in_another_role_is_not_a_second(case):
    by, behind, users = NOT_SECOND[case]
    proposer = Actor(
        replace(WANG.principal(), name=by.split(" via ")[-1], behind=behind), tuple(users)
    )
    proposers = proposer.proposers(by)
    second = Actor(WANG.principal(is_proven=True), tuple(users))
    assert second.second_persons("bank", by, proposers) == ()
    with pytest.raises(ForbiddenError):
        second.require_second("bank", by, proposers)


def test_accounts_made_by_one_operator_are_different_people():
    """An operator makes both; the operator alone is no second person."""
    users = (account("op", "operator", "lead"), account("Wang Fang", made_by="op"))
    program = Actor(replace(WANG.principal(), name="crm", behind=frozenset({"op"})), users)
    assert program.second_persons("bank", "Li Na via crm", program.proposers("Li Na via crm")) == (
        "Wang Fang",
    )


def test_another_lead_is_named_as_second_person():
    users = (
        LEAD,
        account("Zhou Li", "dpo"),
        account("Li Na", "analyst"),
        account("Closed", "lead", changed_by=("x",)),
    )
    assert Actor(users=users).second_persons("bank", "Li Na", ["Li Na"]) == (
        "Wang Fang",
        "Zhou Li",
        "Closed",
    )
    assert Actor(users=users).second_persons("bank", "Wang Fang", ["Wang Fang"]) == (
        "Zhou Li",
        "Closed",
    )


def test_changes_made_to_an_account_by_others_are_recorded(accounts):
    add_account(accounts, "Zhou Li", ["lead"])
    accounts.set_password("Zhou Li", "digest", is_own=True, by="Zhou Li")
    assert accounts.get_user("Zhou Li").changed_by == ()
    accounts.set_roles("Zhou Li", ["dpo"], [ALL], by="op")
    accounts.set_password("Zhou Li", "digest", is_own=False, by="root")
    accounts.set_login("Zhou Li", "zhou", by="root")
    assert accounts.get_user("Zhou Li").changed_by == ("op", "root")


def test_repeated_proposal_returns_the_stored_one(waiting, duties, context, clock, store):
    clock.advance(60)
    whose = {"id": waiting.id, "incident": A, "tenant": "bank", "by": "Li Na"}
    proposed = Cases(Work(duties), context.trail())._decisions.propose(
        whose, "resolved", [EndedDuty("pipl-57 first", None)], ""
    )
    assert proposed == waiting
    assert find_pending(store, [A]) == [waiting]


def test_only_one_of_two_concurrent_answers_counts(waiting, duties, context):
    seconds = [
        SecondPersons(Cases(Work(duties), context.trail(), SECOND)._decisions) for _ in range(2)
    ]
    incident = duties.store.get(Incident, A)
    seconds[0].answer(incident, waiting.id, by="Wang Fang", confirm=False, note="it is ours")
    with pytest.raises(QueryError, match="answered"):
        seconds[1].answer(incident, waiting.id, by="Wang Fang", confirm=True)
    assert deadlines(duties) == ("pipl-57 first",)


def test_decision_lost_in_a_crash_after_its_answer_is_written(waiting, duties, context, store):
    cases = Cases(Work(duties), context.trail(), SECOND)
    cases.answer(A, waiting.id, by="Wang Fang", confirm=True)
    store.delete(Decision, [waiting.id])
    assert deadlines(duties) == ("pipl-57 first",)
    Returns(Work(duties), context.trail(), load_verdict_rules).turn()
    assert deadlines(duties) == ()


def test_act_that_would_end_more_than_proposed_is_not_confirmed(
    waiting, duties, context, clock, store
):
    more = replace(duties, tenant=lambda _: Tenant(regimes=("pipl-57", "pboc-2025")))
    with pytest.raises(QueryError, match="has changed"):
        Cases(Work(more), context.trail(), SECOND).answer(
            A, waiting.id, by="Wang Fang", confirm=True
        )
    assert find_pending(store, [A]) == [waiting]


def test_proposer_may_withdraw(waiting, duties, context, store):
    proposer = Actor(replace(WANG.principal(), name="Li Na"), ())
    Cases(Work(duties), context.trail(), proposer).answer(
        A, waiting.id, by="Li Na", confirm=False, note="a mistake"
    )
    assert find_pending(store, [A]) == []
    assert deadlines(duties) == ("pipl-57 first",)


def test_every_channel_names_the_second_person(waiting, log_in, accounts, context, desk):
    add_account(accounts, "zhou", ["lead"])
    reader = log_in("auditor")
    expected = "waiting for a second person: Li Wei, zhou"
    assert (
        expected.replace("w", "W", 1) in reader.get(f"/incidents/{A}").text
        or expected in reader.get(f"/incidents/{A}").text
    )
    (shown,) = reader.get(f"/v1/incidents/{A}").json()["waiting_for_second_person"]
    assert (shown["id"], shown["by"], shown["ends"], shown["waits"]) == (
        waiting.id,
        "Li Na",
        ["pipl-57 first"],
        expected,
    )
    result = CliRunner().invoke(terminal, ["show", A], obj=context)
    assert expected in " ".join(result.stdout.split())


def test_decision_by_one_person_is_shown_everywhere(alone, store, clock, context, log_in):
    store.put([incident(A, severity="high", origin="ours", clock="run")])
    record_notification(store, clock.as_clock().now())
    duties = Duties(store, lambda _: Tenant(regimes=REGIMES, second_person=False), clock.as_clock())
    decision = Cases(Work(duties), context.trail()).decide(
        A, "waived pipl-57", by="Li Na", note="averted"
    )
    assert "decided by one person" in decision.words()
    assert deadlines(duties) == ()
    assert "decided by one person" in log_in("auditor").get(f"/incidents/{A}").text
    assert "decided by one person" in " ".join(
        CliRunner().invoke(terminal, ["show", A], obj=context).stdout.split()
    )
    assert [
        entry.object
        for _, entry in audit.read_entries(context.data / "audit")
        if "decided by one person" in entry.object
    ]
    drafted = values(case_of(context, store, A))["reports"]
    assert [
        (line.en.count("decided by one person"), line.zh.count("由一人决定")) for line in drafted
    ] == [(1, 1)]
    checks = dict(parts(context))
    assert str(checks["second person"]()) == "bank: decided by one person (second_person = false)"


CHANGES = {
    "one more customer": {"customers": 2},
    "a new kind": {"kinds": ("card", "phone")},
    "a higher severity": {"severity": "statutory"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_waiver_ends_when_the_incident_exceeds_its_facts(store, clock, context, change):
    duties = Duties(store, lambda _: Tenant(regimes=REGIMES, second_person=False), clock.as_clock())
    store.put([waived := incident(A, severity="high", origin="ours", clock="run", customers=1)])
    record_notification(store, clock.as_clock().now())
    Cases(Work(duties), context.trail()).decide(A, "waived pipl-57", by="Li Na", note="averted")
    assert [duty.state for duty in duties.find_deadlines([waived])[A].duties] == ["waived"]
    (duty,) = duties.find_deadlines([waived.model_copy(update=CHANGES[change])])[A].duties
    assert (duty.state, duty.is_waiver_over) == ("running", True)
    fewer = waived.model_copy(update={"customers": 0, "severity": "medium"})
    assert [duty.state for duty in duties.find_deadlines([fewer])[A].duties] == ["waived"]


@pytest.fixture
def pair(store, clock, duties) -> tuple[Incident, Incident]:
    """Two high incidents of one seller; somebody was notified of B an hour before A."""
    fold_all(
        store,
        clock,
        [
            finding("f", range(20), people="abc"),
            finding("g", range(30, 40), people="de", site="forum"),
        ],
    )
    incidents_by_size = sorted(
        store.scroll(Incident, DocumentFilter()), key=lambda one: one.sightings
    )
    clocked = [
        incident_.model_copy(update={"clock": "run", "severity": "high", "origin": "ours"})
        for incident_ in incidents_by_size
    ]
    store.put(clocked)
    return clocked[0], clocked[1]


@pytest.fixture
def merging(store, duties, context, monkeypatch) -> tuple[Cases, Returns]:
    from alerts.cases import regrouping

    project = regrouping.projection.project

    def project_severe(*args, **more):
        return project(*args, **more).model_copy(
            update={"clock": "run", "severity": "high", "origin": "ours"}
        )

    monkeypatch.setattr(regrouping.projection, "project", project_severe)
    return Cases(Work(duties), context.trail()), Returns(
        Work(duties), context.trail(), load_verdict_rules
    )


def dues(duties: Duties, id_: str) -> dict[str, object]:
    return {
        duty.stage.id: duty.due
        for duty in duties.find_deadlines([duties.store.get(Incident, id_)])[id_].running
    }


def test_merged_incidents_keep_the_earliest_deadline(store, clock, duties, pair, merging):
    (a, b), (cases, returns) = (member.id for member in pair), merging
    record_notification(store, clock.as_clock().now(), b)
    clock.advance(3 * 86_400)
    record_notification(store, clock.as_clock().now(), a)
    before = {member: dues(duties, member) for member in (a, b)}
    assert isinstance(cases.merge(a, b, by="Li Na", note="one seller").decision, Decision)
    returns.turn()
    assert store.get(Incident, b).part_of == a
    assert dues(duties, a)["first"] == min(before[a]["first"], before[b]["first"])
    clock.advance(60)
    assert isinstance(cases.split(a, b, by="Li Na", note="two sellers").decision, Decision)
    returns.turn()
    assert {member: dues(duties, member) for member in (a, b)} == before


@pytest.mark.parametrize("is_of_part", [True, False])
def test_report_before_a_merge_does_not_meet_the_others_deadline(
    store, clock, duties, pair, merging, is_of_part
):
    (a, b), (cases, returns) = (member.id for member in pair), merging
    for member in (a, b):
        record_notification(store, clock.as_clock().now(), member)
    second = Cases(cases.work, cases.trail, SECOND)

    def report(id_: str) -> None:
        waiting = cases.decide(
            id_, "reported pipl-57 first", by="Li Na", channel="fax", reference="R-1"
        ).decision
        second.answer(id_, waiting.id, by="Wang Fang", confirm=True)

    report(b if is_of_part else a)
    clock.advance(60)
    cases.merge(a, b, by="Li Na", note="one seller")
    returns.turn()
    assert [*dues(duties, a)] == ["first"]
    clock.advance(60)
    report(a)
    assert dues(duties, a) == {}
    clock.advance(60)
    cases.split(a, b, by="Li Na", note="two sellers")
    returns.turn()
    assert [*dues(duties, b)] == ([] if is_of_part else ["first"])


def test_merge_that_would_end_a_deadline_waits_for_a_second_person(
    store, clock, duties, pair, context
):
    """Judged by the shipped rules both together start no clock."""
    a, b = (member.id for member in pair)
    store.put([pair[1].model_copy(update={"clock": "none"})])
    record_notification(store, clock.as_clock().now(), a)
    assert deadlines(duties, a) == ("pipl-57 first",)
    cases = Cases(Work(duties), context.trail())
    assert isinstance(cases.merge(a, b, by="Li Na", note="one seller").decision, PendingDecision)
    Returns(Work(duties), context.trail(), load_verdict_rules).turn()
    assert store.get(Incident, b).part_of == ""
