"""Who acknowledges, where: command, page and API; and what is said where nobody can be told."""

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from alerts.notify.sender import open_notifier
from alerts.records import Decision
from alerts.store import DocumentFilter
from alerts.web.app import create_app
from tests.alerts.browser import ASKER, CHEAP, HOST, Browser
from tests.alerts.builders import handle
from ullage import audit
from ullage.cli import app
from ullage.security import keys
from ullage.settings import Context

SOC = "[notify.channels.soc]\n"
TWO = '[notify.channels.two]\n[notify.routes.all]\nchannels = ["two"]\n'
BANNER = "No recipient for incidents"


def read_decisions(store, incident: str) -> list[tuple[str, str, str]]:
    store.refresh()
    return [
        (decision.status, decision.by, decision.note)
        for decision in store.scroll(Decision, DocumentFilter({"incident": (incident,)}))
    ]


def last(data) -> tuple[str, str]:
    _, entry = list(audit.read_entries(data / "audit"))[-1]
    return entry.action, entry.actor


@pytest.fixture
def run(data):
    def ran(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["--data", str(data), "incidents", *words])
        assert result.exit_code == code, result.output
        return str(result.exception) if code else result.output

    return ran


def test_acknowledging_on_the_terminal_is_audited(phone_incident, store, data, run) -> None:
    assert run("acknowledge", phone_incident, "--by", "Li Wei").startswith(
        f"{phone_incident}: acknowledged by Li Wei"
    )
    assert read_decisions(store, phone_incident) == [("acknowledged", "Li Wei", "")]
    assert last(data) == ("incident.decide", "Li Wei")
    assert json.loads(run("list", "--json"))["status"] == "acknowledged"


def test_resolution_is_set_on_the_terminal(phone_incident, store, run) -> None:
    output = run(
        "resolve", phone_incident, "--as", "confirmed", "--by", "Li Wei", "--note", "our file"
    )
    assert output.startswith(f"{phone_incident}: confirmed by Li Wei")
    assert read_decisions(store, phone_incident) == [("confirmed", "Li Wei", "our file")]
    run("resolve", phone_incident, "--as", "reported", "--by", "Li Wei", code=2)


def test_false_positive_needs_a_reason_on_the_terminal(phone_incident, store, run) -> None:
    run("resolve", phone_incident, "--as", "false_positive", "--by", "Li Wei", code=1)
    run(
        "resolve",
        phone_incident,
        "--as",
        "false_positive",
        "--reason",
        "other",
        "--by",
        "Li Wei",
        code=1,
    )
    assert "applies only to --as false_positive" in run(
        "resolve", phone_incident, "--reason", "chance", "--by", "Li Wei", code=1
    )
    assert read_decisions(store, phone_incident) == []
    assert "reopens on" in run(
        "resolve", phone_incident, "--as", "false_positive", "--reason", "chance", "--by", "Li Wei"
    )
    (decision,) = store.scroll(Decision, DocumentFilter({"incident": (phone_incident,)}))
    assert (decision.status, decision.act, decision.value) == (
        "false_positive",
        "excused",
        "chance",
    )


def test_false_positive_needs_a_reason_in_the_api(phone_incident, desk, store, program) -> None:
    def ask(**more: object):
        body = {"by": "Li Wei", "decision": "false_positive", **more}
        who, path = Browser(desk.app), f"/v1/incidents/{phone_incident}"
        read = {"if-match": who.get(path, headers=program).headers["etag"]}
        return who.ask("POST", f"{path}/decisions", json=body, headers={**program, **read})

    for refused in (
        {},
        {"reason": "other"},
        {"reason": "chance", "days": 0},
        {"decision": "resolved", "reason": "chance"},
    ):
        assert ask(**refused).status_code == 400, refused
    assert read_decisions(store, phone_incident) == []
    answer = ask(reason="chance", days=30)
    assert (answer.status_code, answer.json()["status"]) == (200, "false_positive")
    (stored_decision,) = store.scroll(Decision, DocumentFilter({"incident": (phone_incident,)}))
    assert (
        stored_decision.act,
        stored_decision.value,
        stored_decision.until - stored_decision.at,
    ) == ("excused", "chance", timedelta(days=30))


def test_customers_are_exported_as_pseudonyms_like_on_the_page(
    phone_incident, browser, data, run, tmp_path
) -> None:
    file = tmp_path / "out.csv"
    assert "1 pseudonyms" in run(
        "export", phone_incident, "--format", "customers", "-o", str(file), "--by", "Li Wei"
    )
    assert last(data) == ("customers.export", "Li Wei")
    assert (
        file.read_text(encoding="utf-8").splitlines()
        == browser.post(f"/incidents/{phone_incident}/customers.csv").text.splitlines()
    )
    assert handle("a") in file.read_text(encoding="utf-8")
    assert (
        run("export", phone_incident, "--format", "customers", "--kind", "card", "--by", "Li Wei")
        .splitlines()[0]
        .startswith("handle,kinds")
    )
    assert "no incident with that id" in run(
        "export", "INC-AAAAAAAAAA", "--format", "customers", "--by", "Li Wei", code=1
    )


@pytest.mark.parametrize("by", ["13800138000", " ", "x" * 500])
def test_acknowledging_needs_a_person_by_name(phone_incident, store, data, run, by) -> None:
    entries = len(list(audit.read_entries(data / "audit")))
    run("acknowledge", phone_incident, "--by", by, code=1)
    assert read_decisions(store, phone_incident) == []
    assert len(list(audit.read_entries(data / "audit"))) == entries


def test_partly_refused_action_exits_with_1(phone_incident, store, run) -> None:
    both = phone_incident, "INC-AAAAAAAAAA"
    run("acknowledge", *both, "--by", "Li Wei", code=1)
    assert read_decisions(store, phone_incident) == [("acknowledged", "Li Wei", "")]


def test_unknown_incident_cannot_be_acknowledged(run) -> None:
    run("acknowledge", "INC-AAAAAAAAAA", "--by", "Li Wei", code=1)


@pytest.fixture
def program(accounts) -> dict[str, str]:
    """Return the headers of a program that may decide."""
    token = accounts.add_token(
        "soar",
        ["incident.read", "incident.decide", "incident.close"],
        ["*"],
        purpose="a test",
        days=1,
        by="test",
    )[1]
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("said", "name"), [({"by": "Wang Fang"}, "Wang Fang via soar"), ({}, "soar")]
)
def test_program_acknowledges_in_its_own_and_a_persons_name(
    phone_incident, store, data, browser, program, said, name
) -> None:
    path = f"/v1/incidents/{phone_incident}/decisions"
    read = {"if-match": browser.get(f"/v1/incidents/{phone_incident}").headers["etag"]}
    answer = browser.ask(
        "POST", path, json={**said, "decision": "acknowledged"}, headers={**program, **read}
    )
    assert (answer.status_code, answer.json()["by"], answer.json()["status"]) == (
        200,
        name,
        "acknowledged",
    )
    assert read_decisions(store, phone_incident) == [("acknowledged", name, "")]
    assert last(data) == ("incident.decide", name)


@pytest.mark.parametrize(
    "asked",
    [
        {"by": "13800138000", "decision": "acknowledged"},
        {"by": "Li Wei", "decision": "reported"},
        {"by": "Li Wei", "decision": "acknowledged", "more": 1},
    ],
)
def test_forbidden_program_input_is_rejected_and_not_echoed(
    phone_incident, store, browser, program, asked
) -> None:
    read = {"if-match": browser.get(f"/v1/incidents/{phone_incident}").headers["etag"]}
    answer = browser.ask(
        "POST", f"/v1/incidents/{phone_incident}/decisions", json=asked, headers={**program, **read}
    )
    assert answer.status_code == 400
    assert "13800138000" not in answer.text
    assert read_decisions(store, phone_incident) == []
    assert (
        browser.ask(
            "POST", "/v1/incidents/INC-A/decisions", json={"by": "Li", "decision": "confirmed"}
        ).status_code
        == 404
    )


def test_cross_site_request_acknowledges_nothing(phone_incident, store, browser) -> None:
    body = {"by": "Li Wei", "decision": "acknowledged"}
    theirs = {"sec-fetch-site": "cross-site"}
    assert (
        browser.ask(
            "POST", f"/v1/incidents/{phone_incident}/decisions", json=body, headers=theirs
        ).status_code
        == 403
    )
    assert read_decisions(store, phone_incident) == []


def page(data, store, accounts, registry, text: str) -> Browser:
    (data / "ullage.toml").write_text(text)
    context = Context(data)
    keys.make_tenant(context.keys, "bank")
    return Browser(create_app(context, store, accounts, registry, frozenset({HOST}), hasher=CHEAP))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[notify]\n", f"<b>{BANNER} of bank:</b>"),
        (SOC, ""),
        (SOC + '[notify.routes.all]\nchannels = ["soc"]\n', ""),
        (
            SOC + 'detail = "facts"\n[notify.routes.all]\nchannels = ["soc"]\ntenants = ["shop"]\n',
            f"<b>{BANNER} of bank:</b>",
        ),
    ],
)
def test_every_page_but_the_login_names_tenants_without_recipients(
    data, store, accounts, registry, text, said
) -> None:
    browser = page(data, store, accounts, registry, text)
    assert BANNER not in browser.get("/login").text
    browser.log_in(ASKER)
    for path in ("/", "/exposed", "/noise"):
        shown = browser.get(path).text
        assert said in shown
        assert (BANNER in shown) == bool(said)


@pytest.mark.parametrize(
    ("text", "tenant", "channels"),
    [
        ("[notify]\n", "other", 0.0),
        ("[tenants.bank]\n", "bank", 0.0),
        ("[tenants.bank]\n", "other", None),
        (SOC + "[tenants.bank]\n", "bank", 1.0),
        (
            SOC + '[notify.channels.two]\n[notify.routes.all]\nchannels = ["two"]\ntenants ='
            ' ["bank"]\n[tenants.bank]\n',
            "bank",
            1.0,
        ),
    ],
)
def test_metric_counts_notification_channels_per_tenant(
    data, store, registry, text, tenant, channels
) -> None:
    (data / "ullage.toml").write_text(text)
    context = Context(data)
    for name in context.settings.notify.channels:
        secret = context.keys.root / "notify" / name
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_text(
            "http://127.0.0.1:9/hook\nwhsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"
        )
        secret.chmod(0o600)
    open_notifier(context, store, registry, lambda _: ())
    assert registry.get_sample_value("ullage_notification_channels", {"tenant": tenant}) == channels
