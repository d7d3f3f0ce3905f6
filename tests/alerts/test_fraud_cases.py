"""What came of fraud cases: reported by handle, shown as a loss rate on page and API."""

from datetime import timedelta

import pytest

from alerts.cases.fraud_cases import list_scams, tally
from alerts.records import FraudCase, Incident
from alerts.service.upkeep import erase, expire
from alerts.store import DocumentFilter
from alerts.store.queries import set_tombstone
from tests.alerts.browser import Browser
from tests.alerts.builders import finding, fold_all, handle
from tests.factories import clocks_at
from tests.stores import on_server_too
from ullage import audit
from ullage.settings import StoreSettings

DAY = "2020-01-05"


@pytest.fixture
def leak(desk, store, clock) -> str:
    """Store an incident of four customers and return its id."""
    fold_all(store, clock, [finding("four", range(10), people="abcd", kinds=("phone", "card"))])
    (incident,) = store.scroll(Incident, DocumentFilter())
    return incident.id


@pytest.fixture
def report(desk, accounts, leak):
    """Return a function that reports an outcome as the case system does."""
    secret = accounts.add_token(
        "cases", ["outcome.report"], ["bank"], purpose="fraud cases", days=1, by="test"
    )[1]

    def post_outcome(who: str = "a", outcome: str = "loss", **more):
        body = {
            "incident": leak,
            "pseudonym": handle(who),
            "outcome": outcome,
            "first_contact": DAY,
            **more,
        }
        return Browser(desk.app).ask(
            "POST", "/v1/fraud-cases", json=body, headers={"authorization": f"Bearer {secret}"}
        )

    return post_outcome


@on_server_too
def test_incident_shows_how_many_customers_were_defrauded(leak, report, browser, store) -> None:
    assert browser.get(f"/v1/incidents/{leak}").json()["fraud"]["loss_rate"] is None
    assert 'id="fraud"' not in browser.get(f"/incidents/{leak}").text
    assert report("a", amount=1_250_000, currency="CNY").json()["recorded"] is True
    assert report("b", "prevented", band="from_500000").status_code == 200
    assert report("c", band="3000_to_30000").status_code == 200
    fraud = browser.get(f"/v1/incidents/{leak}").json()["fraud"]
    assert fraud == {
        "customers": 4, "reported": 3, "loss": 2, "prevented": 1, "none": 0, "loss_rate": 0.5,
        "lost_minor_units": {"CNY": 1_250_000}, "lost_bands": {"3000_to_30000": 1},
    }  # fmt: skip
    page = browser.get(f"/incidents/{leak}").text
    for shown in ("2 of 4 customers lost money: 50 %", "12,500.00 CNY", "1 × 3,000–30,000 CNY"):
        assert shown in page


@on_server_too
def test_last_report_of_a_customer_counts(leak, report, store) -> None:
    recorded = [
        report("a", **more).json()["recorded"] for more in ({}, {}, {"outcome": "none"}, {}, {})
    ]
    assert recorded == [True, False, True, True, False]
    (incident,) = store.scroll(Incident, DocumentFilter())
    assert tally(store, incident).outcomes == {"loss": 1}


@pytest.mark.parametrize(
    "more",
    [
        {"who": "z"},
        {"first_contact": "2999-01-01"},
        {"first_contact": "yesterday"},
        {"outcome": "theft"},
        {"amount": 5},
        {"currency": "CNY"},
        {"amount": 5, "currency": "CNY", "band": "under_3000"},
        {"outcome": "none", "band": "under_3000"},
        {"amount": -1, "currency": "CNY"},
        {"amount": 5, "currency": "yuan"},
        {"pseudonym": "13800138000"},
        {"note": "13800138000"},
    ],
)
def test_invalid_outcome_is_rejected_and_not_echoed(leak, report, store, more) -> None:
    answer = report(**more)
    assert answer.status_code == 400
    assert "13800138000" not in answer.text
    assert list(store.scroll(FraudCase, DocumentFilter())) == []


@pytest.mark.parametrize(
    ("more", "members"),
    [
        ({"who": "z"}, ["pseudonym"]),
        ({"first_contact": "2999-01-01"}, ["first_contact"]),
        ({"amount": 5}, ["amount", "currency", "band"]),
        ({"outcome": "none", "band": "under_3000"}, ["band"]),
    ],
)
def test_rejection_names_the_invalid_members(leak, report, more, members) -> None:
    assert [error["member"] for error in report(**more).json()["errors"]] == members


def test_rejection_names_customers_outside_the_incident(leak, report, store) -> None:
    assert "no customer with that pseudonym is in this incident" in report("z").text
    store.put([store.get(Incident, leak).model_copy(update={"part_of": "INC-HEAD"})])
    assert "this incident is part of INC-HEAD: report on that one instead" in report().text


def test_outcome_of_another_tenants_incident_is_rejected(leak, desk, accounts, report) -> None:
    assert report(incident="INC-AAAAAAAAAA").status_code == 404
    secret = accounts.add_token(
        "theirs", ["outcome.report"], ["zetalend"], purpose="fraud cases", days=1, by="test"
    )[1]
    body = {"incident": leak, "pseudonym": handle("a"), "outcome": "loss", "first_contact": DAY}
    answer = Browser(desk.app).ask(
        "POST", "/v1/fraud-cases", json=body, headers={"authorization": f"Bearer {secret}"}
    )
    assert answer.status_code == 404


def test_outcome_is_audited_without_the_pseudonym(leak, report, context) -> None:
    report()
    (entry,) = [
        logged_entry
        for _, logged_entry in audit.read_entries(context.data / "audit")
        if logged_entry.action == "outcome.report"
    ]
    assert (entry.actor, entry.tenant, entry.object) == ("cases", "bank", f"incident {leak}: loss")


def test_case_without_an_incident_is_stored_for_the_tenant_of_the_token(leak, report, store):
    known_fields = ["PHONE", "NAME", "LOAN", "NAME"]
    more = {"incident": "", "scam": list_scams()[0], "known_fields": known_fields}
    assert report(**more).json() == {"recorded": True, "fraud": None}
    (case,) = store.scroll(FraudCase, DocumentFilter())
    assert (case.tenant, case.incident, case.subject) == ("bank", "", handle("a"))
    assert case.known_fields == ("LOAN", "NAME", "PHONE")
    assert case.first_contact.isoformat() == DAY
    assert report(**more).json() == {"recorded": False, "fraud": None}


@pytest.mark.parametrize(
    ("more", "member"),
    [
        ({"scam": "unheard_of"}, "scam"),
        ({"known_fields": ["13800138000"]}, "known_fields.0"),
        ({"tenant": "zetalend"}, "tenant"),
        ({"first_contact": "2999-01-01", "incident": ""}, "first_contact"),
    ],
)
def test_invalid_case_names_its_member_and_stores_nothing(leak, report, store, more, member):
    answer = report(**more)
    assert [error["member"] for error in answer.json()["errors"]] == [member]
    assert "13800138000" not in answer.text
    assert store.count(FraudCase, DocumentFilter()) == 0


def test_token_of_several_tenants_must_name_one_without_an_incident(leak, desk, accounts, store):
    secret = accounts.add_token(
        "all", ["outcome.report"], ["bank", "zetalend"], purpose="fraud cases", days=1, by="test"
    )[1]
    headers = {"authorization": f"Bearer {secret}"}

    def ask(**more):
        body = {"pseudonym": handle("a"), "outcome": "loss", "first_contact": DAY, **more}
        return Browser(desk.app).ask("POST", "/v1/fraud-cases", json=body, headers=headers)

    assert [error["member"] for error in ask().json()["errors"]] == ["incident", "tenant"]
    assert ask(tenant="nobody").status_code in (400, 404)
    assert store.count(FraudCase, DocumentFilter()) == 0
    assert ask(tenant="bank").json()["recorded"] is True


def test_case_of_an_erased_customer_is_rejected(leak, report, store, clock):
    set_tombstone(store, "bank", handle("a"), clock.as_clock().now())
    assert report(incident="").status_code == 400
    assert report("b", incident="").json()["recorded"] is True
    assert [case.subject for case in store.scroll(FraudCase, DocumentFilter())] == [handle("b")]


@on_server_too
def test_expired_cases_keep_the_numbers_of_an_incident_without_customers(
    leak, report, store, clock
):
    report("a"), report("a", "none"), report("b", band="under_3000"), report("c", incident="")
    (incident,) = store.scroll(Incident, DocumentFilter())
    numbers = tally(store, incident).as_json()
    for days in (200, 201):
        expire(store, StoreSettings(), clocks_at(clock.as_clock().now() + timedelta(days=days)))
        cases = list(store.scroll(FraudCase, DocumentFilter()))
        assert [(case.subject, case.incident) for case in cases] == [("", leak)] * 2
        assert tally(store, incident).as_json() == numbers


@on_server_too
def test_erased_customer_leaves_no_outcome(leak, report, store) -> None:
    report("a"), report("b")
    erase(store, "bank", handle("a"))
    assert [outcome.subject for outcome in store.scroll(FraudCase, DocumentFilter())] == [
        handle("b")
    ]
