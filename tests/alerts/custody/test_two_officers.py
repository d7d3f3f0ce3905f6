"""Two officers open the evidence of an incident in the console, and nothing of it stays."""

import html
import io
import re
import tarfile

import pytest

from alerts.records import incident_id
from alerts.records.decision import Hold
from tests.alerts.browser import OURS, Browser, add_account
from tests.alerts.builders import finding, fold_all
from tests.ullage.custody.support import BODY, PASSPHRASES, officers, seal
from ullage.audit import read_entries
from ullage.custody import make_officer
from ullage.custody.vault import Vault

A = incident_id("f1d0")
REASON = "police report"
LI, WANG = "Li Officer", "Wang Officer"


@pytest.fixture
def folder(data, tmp_path, context, store, clock):
    """Seal two findings of one incident; return the folder of the officers' keys."""
    fold_all(store, clock, [finding(n, range(10), people="ab") for n in ("f1d0", "f1d1")])
    pair, vault = officers(tmp_path, context.keys), Vault(data / "evidence")
    for name in ("f1d0", "f1d1"):
        seal(vault, pair, name)
    make_officer(tmp_path, "zhao", PASSPHRASES["zhao.pem"])
    return tmp_path


@pytest.fixture
def people(desk, accounts, folder) -> tuple[Browser, Browser]:
    """Return the browsers of two people who may open evidence."""
    browsers = []
    for name in (LI, WANG):
        add_account(accounts, name, ["evidence"])
        browsers.append(Browser(desk.app))
        assert browsers[-1].log_in(name).status_code == 303
    return browsers[0], browsers[1]


def ask(who: Browser, case: str = "2026-7", note: str = REASON):
    return who.post(f"/incidents/{A}/evidence", {"case": case, "note": note})


def entry_of(who: Browser) -> str:
    match = re.search(r'name="entry" value="([0-9a-f]{16})"', who.get(f"/incidents/{A}").text)
    return match[1] if match else ""


def send(who: Browser, action: str, entry: str, folder, officer: str, passphrase: str = ""):
    return who.ask(
        "POST",
        f"/incidents/{A}/{action}",
        data={"entry": entry, "passphrase": passphrase or PASSPHRASES[f"{officer}.pem"]},
        files={"key": (f"{officer}.pem", (folder / f"{officer}.pem").read_bytes())},
        headers=OURS,
    )


def approve(who: Browser, folder, officer: str, passphrase: str = ""):
    return send(who, "evidence/approve", entry_of(who), folder, officer, passphrase)


@pytest.mark.parametrize("keys", [("li", "wang"), ("wang", "li")])
def test_two_officers_open_evidence_once_after_audit_entries(people, folder, context, keys):
    first, second = people
    assert ask(first).status_code == 303
    assert approve(second, folder, keys[1]).status_code == 303
    entry = entry_of(first)
    answer = send(first, "evidence.tar", entry, folder, keys[0])
    assert answer.status_code == 200, answer.text[:300]
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        names, body = tar.getnames(), tar.extractfile("f1d0/body")
        assert body is not None
        assert body.read() == BODY
    assert sorted(names) == [
        "SHA256SUMS", "f1d0/body", "f1d0/manifest.json", "f1d1/body", "f1d1/manifest.json",
    ]  # fmt: skip
    assert answer.headers["cache-control"] == "no-store"
    assert send(first, "evidence.tar", entry, folder, keys[0]).status_code == 400, "once"
    steps = [
        (entry.action, entry.object, entry.actor, entry.reason)
        for _, entry in read_entries(context.data / "audit")
        if entry.action.startswith("evidence")
    ]
    why = f"case 2026-7: {REASON}"
    assert steps == [
        ("evidence.ask", f"incident {A}: 2 findings", LI, why),
        ("evidence.approve", f"incident {A}: 2 findings", WANG, why),
        ("evidence.pack", "finding f1d0, keys of li and wang", LI, why),
        ("evidence.pack", "finding f1d1, keys of li and wang", LI, why),
    ]


def test_nothing_of_evidence_or_keys_is_stored_or_logged(people, folder, context, log_stream):
    first, second = people
    ask(first)
    approve(second, folder, "wang")
    assert send(first, "evidence.tar", entry_of(first), folder, "li").status_code == 200
    hidden = [BODY.strip(), b"PRIVATE KEY", *(text.encode() for text in PASSPHRASES.values())]
    files = [path for path in context.data.rglob("*") if path.is_file()]
    assert not [path for path in files if any(text in path.read_bytes() for text in hidden)]
    logged = log_stream.getvalue() + first.log.getvalue() + second.log.getvalue()
    assert not any(text.decode() in logged for text in hidden)


def test_one_person_alone_opens_nothing(people, folder):
    first, second = people
    ask(first)
    entry = entry_of(second)
    assert send(first, "evidence/approve", entry, folder, "wang").status_code == 400
    assert send(first, "evidence.tar", entry, folder, "li").status_code == 400
    assert approve(second, folder, "wang").status_code == 303
    assert send(second, "evidence.tar", entry, folder, "li").status_code == 400, "not theirs"
    assert send(first, "evidence.tar", entry, folder, "wang").status_code == 400, "the same key"
    assert send(first, "evidence.tar", entry, folder, "li").status_code == 200


@pytest.mark.parametrize(
    ("officer", "passphrase", "message"),
    [("wang", "wrong words", "check the passphrase"), ("zhao", "", "not encrypted for that key")],
)
def test_invalid_key_is_refused_at_its_field(people, folder, officer, passphrase, message):
    first, second = people
    ask(first)
    answer = approve(second, folder, officer, passphrase)
    assert answer.status_code == 400
    assert message in html.unescape(answer.text)
    assert re.findall(r'name="(\w+)"[^>]*aria-invalid="true"', answer.text) == ["key"]
    assert "wrong words" not in answer.text


def test_approval_expires_with_its_request(people, folder, clock):
    first, second = people
    ask(first)
    approve(second, folder, "wang")
    entry = entry_of(first)
    clock.seconds += 15 * 60
    assert send(first, "evidence.tar", entry, folder, "li").status_code == 400
    assert entry_of(first) == ""


def test_request_needs_case_reason_and_permission(people, folder, log_in):
    first, _ = people
    assert ask(first, case="").status_code == 400
    assert ask(first, note="").status_code == 400
    assert ask(first, note="call 13800138000").status_code == 400
    assert ask(log_in("lead")).status_code == 403
    assert ask(first).status_code == 303
    assert ask(first).status_code == 400, "one request of a person at a time"


def test_form_proposes_case_and_reason_of_the_hold_else_the_incident(people, store, clock):
    def read_proposal() -> list[str]:
        form = people[0].get(f"/incidents/{A}").text.partition('action="/incidents/')[2]
        form = form[form.index('/evidence"') :]
        texts = re.findall(r'name="(?:case|note)"[^>]* value="([^"]*)"', form)
        return [html.unescape(text) for text in texts[:2]]

    case, reason = read_proposal()
    assert case == A
    assert reason.startswith("2 customers")
    hold = Hold(
        id="hold-1", tenant="bank", incident=A, at=clock.as_clock().now(), by=LI, case="P-7",
        reason=REASON,
    )  # fmt: skip
    store.put([hold])
    assert read_proposal() == ["P-7", REASON]


def test_own_request_has_its_form_before_the_approval(people, folder):
    """So the first person need not load the page again."""
    first, second = people
    ask(first)
    entry = entry_of(first)
    answer = send(first, "evidence.tar", entry, folder, "li")
    assert "wait for another officer" in html.unescape(answer.text)
    assert approve(second, folder, "wang").status_code == 303
    assert send(first, "evidence.tar", entry, folder, "li").status_code == 200


def test_no_export_is_offered_to_who_may_export_nothing(people):
    assert "<h2>Export</h2>" not in people[0].get(f"/incidents/{A}").text


def test_incident_without_evidence_names_the_command(people, folder, context):
    for path in (context.data / "evidence").glob("*/*.evidence"):
        path.unlink()
    page = people[0].get(f"/incidents/{A}").text
    assert "No encrypted post of this incident is on this machine" in page
    assert ask(people[0]).status_code == 400


def test_opening_is_translated_to_chinese(people, folder):
    first, second = people
    ask(first)
    page = html.unescape(second.get(f"/incidents/{A}", headers={"accept-language": "zh"}).text)
    assert f"{LI} 申请解密" in page
    assert "密钥文件" in page
