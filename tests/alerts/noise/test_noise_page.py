"""The page on which people silence incidents and see what was set aside."""

import pytest
from typer.testing import CliRunner

from alerts.cases.lookups.lookup import index_tags
from alerts.cases.suppressions import find_active, list_suppressions
from alerts.cli.incidents import incidents
from alerts.grouping.benign import BACKGROUND
from alerts.records import Incident, incident_id
from tests.alerts.builders import finding, fold_all, handle
from tests.alerts.noise.posts import post
from tests.factories import match
from ullage.security.masking import Secret

A, PHONE = incident_id("f"), "13800138000"
SILENCE = {"reason": "招聘帖", "days": "30", "what": "incident"}


@pytest.fixture(autouse=True)
def paste_incident(store, clock) -> None:
    fold_all(store, clock, [finding("f", range(20), people="ab")])


@pytest.mark.parametrize("what", ["incident", "site paste", "rule X17"])
def test_incident_is_suppressed_from_its_page_with_author_and_reason(browser, what):
    page = browser.get(f"/incidents/{A}").text
    assert f'action="/incidents/{A}/silence"' in page
    assert f'value="{what}"' in page
    answer = browser.post(f"/incidents/{A}/silence", {**SILENCE, "what": what})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/incidents/{A}")
    page = browser.get(f"/incidents/{A}").text
    assert "Suppressed" in page
    assert "by Li Wei until 2026-10-21" in page
    assert "/silence" not in page
    assert '<span class="chip">suppressed</span>' in browser.get("/").text


@pytest.mark.parametrize(
    "change",
    [
        {"reason": ""},
        {"reason": f"call {PHONE}"},
        {"days": "0"},
        {"days": "181"},
        {"days": "many"},
        {"what": ""},
        {"what": "site elsewhere"},
        {"what": "rule X2"},
        {"what": "rule "},
    ],
)
def test_invalid_form_suppresses_nothing_and_is_not_echoed(browser, store, change):
    answer = browser.post(f"/incidents/{A}/silence", {**SILENCE, **change})
    assert answer.status_code == 400
    assert PHONE not in answer.text
    assert list_suppressions(store) == []


def test_missing_incident_cannot_be_suppressed(browser):
    assert browser.post("/incidents/INC-NOBODY/silence", SILENCE).status_code == 404


def test_statutory_incident_offers_no_suppression(browser, store):
    store.put([store.get(Incident, A).model_copy(update={"severity": "statutory"})])
    assert "/silence" not in browser.get(f"/incidents/{A}").text


def test_suppression_is_lifted_on_the_overview_page(browser, store, clock):
    browser.post(f"/incidents/{A}/silence", SILENCE)
    (suppression,) = find_active(store, clock.as_clock().now())
    page = browser.get("/noise").text
    assert all(
        word in page
        for word in (suppression.id, "Li Wei", "招聘帖", f"/suppressions/{suppression.id}/lift")
    )
    assert browser.post(f"/suppressions/{suppression.id}/lift", {"reason": ""}).status_code == 400
    assert (
        browser.post(f"/suppressions/{suppression.id}/lift", {"reason": "over"}).status_code == 303
    )
    assert "Nothing is suppressed" in browser.get("/noise").text
    assert (
        browser.post(f"/suppressions/{suppression.id}/lift", {"reason": "over"}).status_code == 400
    )


@pytest.fixture
def lone_phone(browser, store, clock, context) -> None:
    """Store one post in which PHONE stands alone."""
    tag = index_tags(context.keys.read("bank/index-1.key"), "bank", "phone", Secret(PHONE))[0]
    phone_post = post().model_copy(
        update={
            "id": "b",
            "matches": (match(subject=handle("z"), index_tag=tag, fields=("PHONE",)),),
        }
    )
    fold_all(store, clock, [phone_post])


def test_benign_posts_are_counted_by_site_and_rule(browser, lone_phone):
    page = browser.get("/noise").text
    assert "One person's own number" in page.replace("&#39;", "'")
    assert "本人自留号码" in browser.get("/noise", headers={"accept-language": "zh"}).text


def test_benign_rule_titles_come_from_the_rules_in_force(browser, lone_phone, context):
    rules = (
        BACKGROUND.load_shipped()
        .text.replace("One person's own number", "Of the house")
        .replace("version = 1", "version = 2", 1)
    )
    BACKGROUND.install(context.data, rules)
    assert "Of the house" in browser.get("/noise").text
    assert (
        "Of the house"
        in CliRunner().invoke(incidents, ["suppressions", "--background"], obj=context).stdout
    )


def test_person_seen_only_in_benign_posts_is_not_exposed(browser, lone_phone):
    request = {"value": PHONE, "by": "Li Wei", "purpose": "fraud_case", "case": "C-2026-1"}
    page = browser.post("/exposed", request).text
    assert "No record of this value" in page
    assert "Found on its own" in page
    assert PHONE not in page
    answer = browser.post("/v1/exposed", json=request).json()
    assert (answer["exposed"], answer["found"]) == (False, [])
    assert answer["seen_alone"] is True
