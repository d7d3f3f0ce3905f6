"""What the person on the phone may hear: kinds, month, scam and what protects, and nothing that
tells where or whose.
"""

import json
import re
from datetime import timedelta
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from alerts.cases.decisions import Decisions, is_notice_approved
from alerts.cases.lookups.lookup import LookupResult, index_tags, reply, script_of, scripts
from alerts.cases.outgoing import Text
from alerts.cases.report import advice_for
from alerts.coverage.monitoring_status import MonitoringStatus
from alerts.deadlines.schedule import duties_of
from alerts.records import Decision, Incident, Notification
from alerts.records.document import QueryError
from alerts.store import DocumentFilter
from alerts.web.app import create_app
from tests.alerts.browser import ASKED, PHONE
from tests.alerts.builders import finding, fold_all, handle
from tests.factories import WHEN, match
from ullage.errors import ConfigError
from ullage.lookup import list_index
from ullage.security.keys import load_signing_key, make_tenant
from ullage.security.masking import Secret
from ullage.verdict.rules import load_verdict_rules

SCENARIOS = [scenario.id for scenario in load_verdict_rules().scenario]
FORBIDDEN = re.compile(
    r"\bsafe\b|\bsecure\b|leaked by|we (have )?leaked|our (data )?leak|partner|supplier"
    r"|安全(?!账户)|我们泄露|我方泄露|我行泄露|合作方|供应商|INC-",
    re.IGNORECASE,
)


@pytest.mark.parametrize("scenario", ["", *SCENARIOS])
@pytest.mark.parametrize("approved", [False, True])
def test_every_scenario_has_both_scripts_in_both_languages(scenario, approved):
    assert set(scripts().scenario) == set(SCENARIOS)
    protects = [line for advice in advice_for(scenario) for line in advice.lines()]
    script = script_of(scenario, [Text("loan", "贷款信息")], "2026-11", protects, approved=approved)
    assert not re.search(
        "[\u4e00-\u9fff]", script.en.replace("云闪付“一键查卡”", "").replace("国家反诈中心", "")
    )
    assert re.search("[\u4e00-\u9fff]{10}", script.zh)
    assert not re.search(r"[{}]", script.en + script.zh)
    assert (
        "2026" in script.en,
        "2026年11月" in script.zh,
        "loan" in script.en.split(":")[1][:6],
    ) == (approved,) * 3
    assert "96110" in script.en
    assert "96110" in script.zh


def test_no_script_says_a_forbidden_word():
    text = (
        resources.files("alerts.cases.lookups").joinpath("scripts.toml").read_text(encoding="utf-8")
    )
    script_text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert not FORBIDDEN.search(script_text)
    advice = [
        line
        for scenario in ["", *SCENARIOS]
        for answer_advice in advice_for(scenario)
        for line in answer_advice.lines()
    ]
    assert not FORBIDDEN.search(
        "\n".join(f"{line.en} {line.zh}" for line in advice).replace("safe account", "")
    )
    for words in (scripts().general, *scripts().scenario.values()):
        assert "data" not in words.about
        assert "信息" not in words.about_zh.replace("卡片信息", "").replace("卡号信息", "")
    assert len({words.harm for words in scripts().scenario.values()}) == len(SCENARIOS)


def leak(store, clock, context, name: str, fields=("NAME", "PHONE", "LOAN"), **changes):
    tag = index_tags(context.keys.read("bank/index-1.key"), "bank", "phone", Secret(PHONE))[0]
    leak_finding = finding(name, [f"{name}{n}" for n in range(10)], site="hiddensite", **changes)
    leak_match = match(subject=handle(name), index_tag=tag, fields=fields)
    fold_all(
        store, clock, [leak_finding.model_copy(update={"matches": (leak_match,), "alarm": False})]
    )
    store.refresh()


def both(browser):
    page = browser.post("/exposed", ASKED)
    api = browser.ask("POST", "/v1/exposed", json=ASKED)
    assert (page.status_code, api.status_code) == (200, 200)
    return page.text, api.json()


def test_answer_has_kinds_month_scam_and_protection_only(store, browser, clock, context):
    leak(store, clock, context, "f")
    page, api = both(browser)
    incident = next(iter(store.scroll(Incident, DocumentFilter())))
    [group] = api["found"]
    assert (api["answer"], group["scam"]["en"], group["approved"]) == (
        "exposed",
        "False loan, or 'cancel your campus loan'",
        False,
    )
    assert {"en": "loan", "zh": "贷款信息"} in group["kinds"]
    assert re.fullmatch(r"\d{4}-\d\d", group["month"])
    assert group["protects"]
    api_text = json.dumps(api, ensure_ascii=False)
    for text in (page, api_text):
        for never in (
            incident.id,
            "hiddensite",
            handle("f"),
            PHONE,
            f">{incident.origin}<",
            "severity",
        ):
            assert never not in text
    members = {
        "kinds",
        "answer",
        "exposed",
        "found",
        "listed_on",
        "script",
        "seen_alone",
        "coverage",
    }
    assert set(api) == members | {"about", "value_found", "check"}
    assert (api["listed_on"], api["script"]) == (None, None)
    assert set(group) == {"kinds", "month", "scam", "protects", "approved", "script"}


def test_notice_is_read_only_after_the_dpo_approved_it(store, browser, clock, context):
    leak(store, clock, context, "f")
    incident, desk = (
        next(iter(store.scroll(Incident, DocumentFilter()))),
        Decisions(duties_of(context, store), context.trail("search")),
    )
    assert "indication" not in both(browser)[0]
    assert "Not approved yet" in both(browser)[0]
    with pytest.raises(QueryError):
        desk.make(incident, "telling_approved", by="DPO")
    clock.advance(1)
    desk.make(incident, "telling_approved", by="DPO", note="approved in meeting 7")
    store.refresh()
    page, api = both(browser)
    assert "We have an indication" in page
    assert "我们发现线索" in api["found"][0]["script"]["zh"]
    assert api["found"][0]["approved"]
    assert "customers may be notified" in browser.get(f"/incidents/{incident.id}").text
    clock.advance(1)
    desk.make(incident, "telling_withdrawn", by="DPO", note="police asked")
    store.refresh()
    assert "indication" not in both(browser)[0]
    assert not is_notice_approved(store.scroll(Decision, DocumentFilter()))
    assert store.count(Notification, DocumentFilter()) == 0


def test_equal_incidents_give_one_answer_and_false_positives_none(store, browser, clock, context):
    leak(store, clock, context, "f")
    leak(store, clock, context, "g")
    assert store.count(Incident, DocumentFilter()) == 2
    assert len(both(browser)[1]["found"]) == 1
    for incident in list(store.scroll(Incident, DocumentFilter())):
        Decisions(duties_of(context, store), context.trail("search")).make(
            incident, "false_positive", by="Li"
        )
    store.refresh()
    page, api = both(browser)
    assert (api["answer"], api["found"]) == ("no_record", [])
    assert "No record of this value" in page


def test_scam_is_that_of_the_persons_own_rows(store, browser, clock, context):
    leak(store, clock, context, "f", fields=("NAME", "PHONE"))
    assert both(browser)[1]["found"][0]["scam"]["en"] == "Broad calling"


def test_no_record_states_what_is_not_monitored(browser):
    page, api = both(browser)
    assert api["answer"] == "no_record"
    assert "closed groups" in page
    assert "封闭群组" in api["coverage"]["unseen"]["zh"]
    assert not FORBIDDEN.search(json.dumps(api, ensure_ascii=False))


def record(
    context, *values: str, tenant: str = "bank", days: float = 30, subject: str = "00" * 16
) -> Path:
    """Put the list of what is recorded of a tenant on search's host."""
    make_tenant(context.keys, tenant)
    key = context.keys.read(f"{tenant}/index-1.key")
    tags = sorted(
        bytes.fromhex(index_tags(key, tenant, "phone", Secret(value))[0]) for value in values
    )
    pairs = np.frombuffer(b"".join(tag + bytes.fromhex(subject) for tag in tags), np.uint8).reshape(
        -1, 32
    )
    expires = (context.clock.now() + timedelta(days=days)).isoformat()
    head = list_index.header_for(context.keys, tenant, context.clock.now(), expires)
    path = list_index.path_of(context.data, tenant)
    list_index.write(path, head, [pairs], load_signing_key(context.keys, tenant))
    return path


def test_registry_gives_three_answers_instead_of_two(store, browser, clock, context, registry):
    assert both(browser)[1]["answer"] == "no_record"
    assert "does not say whether its owner is a customer" in both(browser)[0]
    record(context, PHONE, "13900139000")
    page, api = both(browser)
    assert (api["answer"], api["exposed"], api["found"]) == ("recorded", False, [])
    assert api["listed_on"].startswith(f"{context.clock.now():%Y-%m-%d}")
    assert "closed groups" in api["coverage"]["unseen"]["en"]
    for words in ("Registered, not found anywhere", "closed groups", "No result does not mean"):
        assert words in page
    assert registry.get_sample_value("ullage_search_lookups_total", {"outcome": "recorded"}) == 2
    record(context, "13900139000")
    page, api = both(browser)
    assert (api["answer"], api["script"]["en"][:29]) == (
        "no_record",
        "We find no record of what you",
    )
    assert "Not in the customer registry of" in page
    record(context, PHONE)
    leak(store, clock, context, "f")
    assert both(browser)[1]["answer"] == "exposed"
    for incident in list(store.scroll(Incident, DocumentFilter())):
        Decisions(duties_of(context, store), context.trail("search")).make(
            incident, "false_positive", by="Li"
        )
    store.refresh()
    assert both(browser)[1]["answer"] == "recorded"


def test_nobody_is_unlisted_where_a_tenant_has_no_registry(browser, context):
    record(context, "13900139000")
    assert both(browser)[1]["listed_on"]
    make_tenant(context.keys, "ullage-canary")  # of posts of our own, which has no customers
    assert both(browser)[1]["listed_on"]
    make_tenant(context.keys, "other")
    page, api = both(browser)
    assert (api["answer"], api["listed_on"]) == ("no_record", None)
    assert "does not say whether its owner is a customer" in page
    record(context, PHONE, tenant="other")
    assert both(browser)[1]["answer"] == "recorded"


def test_expired_registry_counts_as_missing(browser, context, clock):
    record(context, PHONE, days=0.001)
    assert both(browser)[1]["answer"] == "recorded"
    clock.advance(100)
    assert (both(browser)[1]["answer"], both(browser)[1]["listed_on"]) == ("no_record", None)


@pytest.mark.parametrize("forged", [False, True])
def test_damaged_or_forged_registry_is_an_error_and_never_no_record(
    store, browser, accounts, clock, context, registry, forged, log_stream
):
    path = record(context, PHONE)
    if forged:
        make_tenant(context.keys, "evil")
        expires = (context.clock.now() + timedelta(days=1)).isoformat()
        head = list_index.header_for(context.keys, "bank", context.clock.now(), expires)
        list_index.write(path, head, [], load_signing_key(context.keys, "evil"))
        (context.keys.root / "evil").rename(context.data / "evil")
    else:
        content = bytearray(path.read_bytes())
        content[list_index.BODY + 3] ^= 1
        path.write_bytes(content)
    page, api = browser.post("/exposed", ASKED), browser.ask("POST", "/v1/exposed", json=ASKED)
    assert (page.status_code, api.status_code) == (500, 500)
    assert api.json()["code"] == "internal_error"
    assert "bank.enrolled" in api.json()["detail"]
    assert "\n" not in api.json()["detail"]
    assert "record of this value" not in page.text
    assert "not answered" in "".join(
        p.read_text() for p in (context.data / "audit").rglob("*.jsonl")
    )
    leak(store, clock, context, "f")  # whoever is exposed hears of it all the same
    assert both(browser)[1]["answer"] == "exposed"
    if forged:
        with pytest.raises(ConfigError, match=r"bank\.enrolled"):
            create_app(context, store, accounts, CollectorRegistry(), frozenset())


def test_script_without_a_result_states_what_was_searched():
    answer = LookupResult(("phone",), (), recorded=True, listed_on=WHEN)
    unlisted_script = reply(answer, MonitoringStatus("covered", "", WHEN, WHEN)).script
    assert f"outside since {WHEN:%Y-%m}, and did not" in unlisted_script.en
    assert f"自{WHEN:%Y}年" in unlisted_script.zh
    assert "outside, and did not" in reply(answer, MonitoringStatus("imported", "")).script.en
    for worth in ("partly", "silent", "nothing"):
        unsure = reply(answer, MonitoringStatus(worth, "", WHEN, WHEN))
        assert (
            unsure.answer,
            "we cannot tell" in unsure.script.en,
            "looked" in unsure.script.en,
        ) == ("recorded", True, False)
        assert (
            "cannot tell"
            in reply(LookupResult(("phone",), ()), MonitoringStatus(worth, "")).script.en
        )  # nor that there is no record
        not_on_it = LookupResult(("phone",), (), recorded=False, listed_on=WHEN)
        assert "no record" in reply(not_on_it, MonitoringStatus(worth, "")).script.en
    none = reply(LookupResult(("phone",), ()), MonitoringStatus("covered", "")).script
    for script in (unlisted_script, unsure.script, none):
        assert not FORBIDDEN.search(script.en + script.zh)
        assert "96110" in script.en
        assert re.search("[\u4e00-\u9fff]{10}", script.zh)
        assert not re.search("[{}]", script.en + script.zh)
