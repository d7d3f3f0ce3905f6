"""Customer references of an incident: asked for, approved by others, resolved by match,
downloaded by who asked alone.
"""

import csv
import io
import re
import socket
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from alerts.accounts.accounts import Accounts
from alerts.records import Exposure, incident_id
from alerts.store import DocumentFilter
from alerts.web.app import create_app
from matcher.cli.assess_service import listening
from matcher.watchlist import subjects
from tests import factories
from tests.alerts.browser import CHEAP, HOST, Browser, add_account
from tests.alerts.builders import finding, fold_all, handle
from tests.matcher.bank import customer, enrol
from ullage import audit
from ullage.runtime import assessing
from ullage.settings import Context

CUSTOMERS = [customer(n) for n in range(4)]
INCIDENT = incident_id("f")
PATH = f"/incidents/{INCIDENT}"
TOKENS = (f"{n:016x}" for n in range(10**6))


@pytest.fixture
def approvals() -> int:
    return 1


@pytest.fixture
def context(data, approvals: int) -> Context:
    """Return a context by the real clock, as the process that resolves has it."""
    (data / "ullage.toml").write_text(
        f"[tenants.bank]\nreference_approvals = {approvals}\n", encoding="utf-8"
    )
    return Context(data)


@pytest.fixture
def pseudonyms(desk: Browser, context: Context, store, clock) -> list[str]:
    """List the pseudonyms of three enrolled customers of an incident."""
    enrol(context, "bank", CUSTOMERS, "none")
    (context.data / "building").mkdir(mode=0o700)
    (context.data / "bank.subjects").rename(context.data / "building" / "bank.subjects")
    people = all_handles(context)[:3]
    matches = tuple(
        factories.match(subject=person, index_tag=handle(person), row=row)
        for row, person in enumerate(people)
    )
    fold_all(
        store,
        clock,
        [finding("f", range(10)).model_copy(update={"matches": matches, "alarm": False})],
    )
    return people


def all_handles(context: Context) -> list[str]:
    handles = []
    for _, plain in subjects._decrypt(
        context.data / "building" / "bank.subjects", context.keys, "bank"
    ):
        handles += [line.partition(",")[0] for line in plain.decode().split("\n") if line]
    return handles


@pytest.fixture
def match(pseudonyms: list[str], context: Context) -> Iterator[None]:
    """Run match's real service."""
    with listening(
        context,
        Counter("outcomes", "What became of files.", ["outcome"], registry=CollectorRegistry()),
    ):
        yield


@pytest.fixture
def people(desk: Browser, accounts: Accounts) -> Callable[[str], Browser]:
    """Return a function that logs in somebody of a role and name."""

    def someone(name: str, role: str) -> Browser:
        add_account(accounts, name, [role], ["bank"])
        opened = Browser(desk.app)
        assert opened.log_in(name).status_code == 303
        return opened

    return someone


def ask(who: Browser, **more: str):
    form = {"case": "2026-17", "note": "warn the customers", "token": next(TOKENS), **more}
    return who.post(f"{PATH}/references", form)


def entry_in(who: Browser) -> str:
    entry = re.search(r'name="entry" value="([^"]+)"', who.get(PATH).text)
    return entry[1] if entry else ""


def answer(who: Browser, entry: str, answer: str = "approve", note: str = ""):
    return who.post(
        f"{PATH}/references/answer",
        {"entry": entry, "answer": answer, "note": note, "token": next(TOKENS)},
    )


def take(who: Browser, entry: str):
    return who.post(f"{PATH}/references.csv", {"entry": entry})


def trail(context: Context) -> list[tuple[str, str, str]]:
    entries = [record for _, record in audit.read_entries(context.data / "audit")]
    return [
        (record.action, record.actor, record.reason)
        for record in entries
        if re.search("references|subjects", record.action)
    ]


def test_request_is_approved_by_another_person_and_resolved_by_match(
    match, pseudonyms, people, context, store
):
    asker, approver = people("Wang Fang", "fraud"), people("Zhao Min", "resolver")
    assert "Approvers: Zhao Min" in asker.get(PATH).text
    assert ask(asker).status_code == 303
    entry = entry_in(approver)
    assert "0 of 1 approvals" in asker.get(PATH).text
    refused = take(asker, entry)
    assert refused.status_code == 400
    assert "This request is not approved, or has expired" in refused.text
    assert answer(approver, entry).status_code == 303
    download = take(asker, entry)
    assert (
        download.headers["content-disposition"]
        == f'attachment; filename="{INCIDENT}-references.csv"'
    )
    assert download.headers["cache-control"] == "no-store"
    rows = {
        row["handle"]: row["customer_ref"] for row in csv.DictReader(io.StringIO(download.text))
    }
    assert rows.keys() == {*pseudonyms}
    assert {*rows.values()} < {record["customer_ref"] for record in CUSTOMERS}
    assert len({*rows.values()}) == 3
    why = "warn the customers"
    assert sorted(trail(context)) == sorted([
        ("incident.references_asked", "Wang Fang", why),
        ("incident.references_approved", "Zhao Min", ""),
        ("subjects.resolve", "Wang Fang", why),
        ("incident.references_taken", "Wang Fang", why),
    ])  # fmt: skip
    [resolved] = [
        customer
        for _, customer in audit.read_entries(context.data / "audit")
        if customer.action == "subjects.resolve"
    ]
    assert (
        resolved.object
        == f"case 2026-17, incident {INCIDENT}: 3 pseudonyms requested, 3 found, approved by"
        " Zhao Min"
    )
    written = b"".join(path.read_bytes() for path in context.data.rglob("*") if path.is_file())
    assert not [ref for ref in rows.values() if ref.encode() in written], "they are nowhere at rest"
    assert not [
        ref for ref in rows.values() if ref in asker.log.getvalue() + approver.log.getvalue()
    ]


def test_request_cannot_be_approved_by_its_author_or_used_by_others(match, people):
    asker, colleague, approver = (
        people("Wang Fang", "fraud"),
        people("Chen Jie", "lead"),
        people("Zhao Min", "resolver"),
    )
    ask(asker)
    entry = entry_in(approver)
    assert answer(asker, entry).status_code == 403, "who asks has not the permission"
    assert ask(approver).status_code == 403, "nor has who approves the other"
    answer(approver, entry)
    assert (
        "only the person who made this request may download" in take(colleague, entry).text.lower()
    )
    assert take(approver, entry).status_code == 403


@pytest.mark.parametrize("approvals", [2])
def test_two_approvals_are_needed_where_configured(match, people, context):
    asker, first, second = (
        people("Wang Fang", "dpo"),
        people("Zhao Min", "resolver"),
        people("Sun Li", "resolver"),
    )
    ask(asker)
    entry = entry_in(first)
    assert answer(first, entry).status_code == 303
    assert "ask somebody else to approve it too" in answer(first, entry).text
    assert take(asker, entry).status_code == 400
    assert answer(second, entry).status_code == 303
    assert take(asker, entry).status_code == 200


def test_rejection_needs_a_reason_and_ends_the_request(match, people):
    asker, approver = people("Wang Fang", "fraud"), people("Zhao Min", "resolver")
    ask(asker)
    entry = entry_in(approver)
    assert answer(approver, entry, "refuse").status_code == 400
    assert answer(approver, entry, "refuse", "not our case").status_code == 303
    assert "refused by Zhao Min: not our case" in asker.get(PATH).text
    assert take(asker, entry).status_code == 400
    assert answer(approver, entry).status_code == 400, "it waits no longer"


def test_approval_expires_after_a_day(match, people, context, monkeypatch):
    asker, approver = people("Wang Fang", "fraud"), people("Zhao Min", "resolver")
    ask(asker)
    entry = entry_in(approver)
    answer(approver, entry)
    monkeypatch.setattr(
        "alerts.cases.references.ReferenceRequest.until", lambda self, _: self.request.at
    )
    assert "expired" in asker.get(PATH).text
    assert take(asker, entry).status_code == 400


def test_customers_added_after_the_request_are_not_resolved(
    match, people, store, context, pseudonyms
):
    """As many are in it as were approved, but another in the place of one: only those in both
    are handed out.
    """
    asker, approver = people("Wang Fang", "fraud"), people("Zhao Min", "resolver")
    ask(asker)
    entry = entry_in(approver)
    answer(approver, entry)
    [exposure, *_] = store.scroll(Exposure, DocumentFilter({"incident": (INCIDENT,)}))
    store.put(
        [exposure.model_copy(update={"id": f"{INCIDENT}:new", "subject": all_handles(context)[3]})]
    )
    store.delete(Exposure, [exposure.id])
    download = take(asker, entry)
    rows = {
        row["handle"] for row in csv.DictReader(io.StringIO(download.text)) if row["customer_ref"]
    }
    assert rows == {*pseudonyms} - {exposure.subject}
    store.delete(
        Exposure,
        [
            each.id
            for each in store.scroll(Exposure, DocumentFilter())
            if each.subject in pseudonyms
        ],
    )
    refused = take(asker, entry)
    assert refused.status_code == 400
    assert "none of the approved customers is still in this incident" in refused.text.lower()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"case": "13800138000"}, "the case number must have"),
        ({"note": ""}, "give the grounds"),
        ({"token": "x"}, "invalid form"),
    ],
)
def test_request_needs_a_case_and_a_reason(match, people, typed, said):
    refused = ask(people("Wang Fang", "fraud"), **typed)
    assert refused.status_code == 400
    assert said in refused.text.lower()


@pytest.mark.parametrize("approvals", [0])
def test_page_explains_the_command_where_requests_are_disabled(match, people, context):
    asker = people("Wang Fang", "fraud")
    text = asker.get(PATH).text
    assert "<code>ullage subjects resolve FILE --case NO --reason TEXT</code>" in text
    assert "Request customer references" not in text
    assert ask(asker).status_code == 400
    assert trail(context) == []


def test_requests_are_not_offered_without_match_or_resolver_key(pseudonyms, people, context):
    asker = people("Wang Fang", "fraud")
    assert "Request customer references" not in asker.get(PATH).text
    assert ask(asker).status_code == 400
    with listening(
        context,
        Counter("outcomes", "What became of files.", ["outcome"], registry=CollectorRegistry()),
    ):
        assert "Request customer references" in asker.get(PATH).text
        (context.data / "building" / "bank.subjects").unlink()
        assert "Request customer references" not in asker.get(PATH).text


@pytest.mark.parametrize("approvals", ['0\nreference_help = "Open CRM, menu Leaks."'])
def test_configured_help_text_is_shown(pseudonyms, people):
    text = people("Wang Fang", "fraud").get(PATH).text
    assert "Open CRM, menu Leaks." in text
    assert "ullage subjects resolve" not in text


def test_roles_without_customer_access_do_not_see_references(match, people):
    assert "ustomer references" not in people("Li Na", "analyst").get(PATH).text


def test_unresponsive_match_does_not_delay_pages(pseudonyms, people, context, monkeypatch):
    monkeypatch.setattr("alerts.web.dropped_files.STATUS_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(context.data / assessing.NAME))
        deaf.listen(8)
        assert "Request customer references" not in people("Wang Fang", "fraud").get(PATH).text


def test_disabling_requests_invalidates_approvals(match, people, desk, store, accounts, context):
    asker, approver = people("Wang Fang", "fraud"), people("Zhao Min", "resolver")
    ask(asker)
    entry = entry_in(approver)
    (context.data / "ullage.toml").write_text(
        "[tenants.bank]\nreference_approvals = 0\n", encoding="utf-8"
    )
    app = create_app(
        Context(context.data), store, accounts, CollectorRegistry(), frozenset({HOST}), hasher=CHEAP
    )
    for who in (asker, approver):
        who.app = app
        who.log_in("Wang Fang" if who is asker else "Zhao Min")
        shown = who.get(PATH)
        assert (shown.status_code, "expired" in shown.text) == (200, True)
    assert answer(approver, entry).status_code == 400
    assert take(asker, entry).status_code == 400
    assert "subjects.resolve" not in [action for action, _, _ in trail(context)]
