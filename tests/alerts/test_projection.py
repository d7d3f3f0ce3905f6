"""The incident's numbers and labels, as reports and routes read them."""

import io
from datetime import UTC

import pytest
from rich.console import Console

from alerts.cases.incident_list import load_details
from alerts.cli.tables import incident_in_full
from alerts.grouping.exposures import (
    MAX_GROUPS,
    build_exposures,
    merge_by_customer,
    merge_exposures,
)
from alerts.records import Incident, Sighting, incident_id
from tests.alerts.builders import finding, fold_all, handle
from ullage.records import Cohort, Honeytoken, Statistics, Term


def incident_of(store, name="f"):
    return store.get(Incident, incident_id(name))


def test_people_are_counted_once_by_class_sensitivity_and_proof(store, clock):
    fold_all(
        store,
        clock,
        [
            finding(
                "f",
                range(40),
                "abc",
                fields=("NAME", "PHONE", "BALANCE"),
                kinds=("phone", "resident_id"),
                minors=1,
            ),
            finding("g", range(40), "cde", fields=("NAME", "PHONE", "ORDER"), minors=2),
        ],
    )
    incident = incident_of(store)
    assert (incident.customers, incident.verified, incident.sensitive, incident.minors) == (
        5,
        3,
        3,
        2,
    )
    assert incident.people_by_class == {"A": 3, "B": 2}
    assert incident.fields == ("BALANCE", "ID", "NAME", "ORDER", "PHONE")


def test_customer_of_combined_incidents_is_counted_once():
    named = build_exposures(finding("f", people="ab", fields=("NAME", "PHONE")), "INC-A")
    paid = build_exposures(
        finding("g", people="a", kinds=("resident_id",), fields=("BALANCE",), site="forum"), "INC-B"
    )
    first, second = sorted(
        merge_by_customer([*named.values(), *paid.values()]),
        key=lambda one: one.subject != handle("a"),
    )
    assert (first.kinds, first.fields, first.sites) == (
        ("phone", "resident_id"),
        ("BALANCE", "ID", "NAME", "PHONE"),
        ("forum", "paste"),
    )
    assert (second.subject, second.fields) == (handle("b"), ("NAME", "PHONE"))


def test_largest_field_sets_of_a_customer_are_kept_in_any_order():
    [exposure] = build_exposures(
        finding("f", people="a", fields=("NAME", "PHONE", "BALANCE")), "INC-A"
    ).values()
    [largest] = exposure.groups
    small = exposure.model_copy(
        update={"groups": tuple((f"A{number:02}",) for number in range(MAX_GROUPS + 8))}
    )
    for two in (merge_exposures(exposure, small), merge_exposures(small, exposure)):
        assert two.groups == (largest, *small.groups[: MAX_GROUPS - 1])


NUMBERS = sorted(
    name
    for name in Statistics.model_fields.keys() & Sighting.model_fields.keys()
    if Statistics.model_fields[name].annotation is int
)


def test_sighting_has_every_number_of_its_finding(store, clock):
    numbers = {name: 100 + place for place, name in enumerate(NUMBERS)}
    fold_all(store, clock, [finding("f", range(10), people="a", statistics=numbers)])
    sighting = store.get(Sighting, "f")
    assert {name: getattr(sighting, name) for name in NUMBERS} == numbers
    assert {"own_card_rows", "own_cards", "rows_of_others"} <= numbers.keys()


def test_honeytoken_in_any_sighting_names_the_partner(store, clock):
    first = finding(
        "f", range(40), range(40), kinds=("phone", "resident_id"), honeytokens_enrolled=3
    )
    bait = (Honeytoken(label="sms A", customers=1, verified=1),)
    weaker = (Honeytoken(label="sms A", customers=1),)
    plain_findings = [
        finding(name, range(38), range(30), honeytokens=c, honeytokens_enrolled=3)
        for name, c in (("g", bait), ("h", weaker))
    ]
    fold_all(store, clock, [first])
    assert incident_of(store).origin_label == ""
    fold_all(store, clock, plain_findings)
    incident = incident_of(store)
    assert (incident.origin, incident.origin_label, incident.severity) == (
        "partner",
        "sms A",
        "high",
    )
    assert incident.unit == 0.016


def test_customers_logins_at_other_sites_are_an_endpoint_incident(store, clock):
    listed = finding(
        "f", range(60), range(60), fields=("PASSWORD", "PHONE"), statistics={"stealer_rows": 60}
    )
    fold_all(store, clock, [listed])
    incident = incident_of(store)
    assert (incident.origin, incident.severity, incident.row) == ("devices", "medium", 6)
    assert store.get(Sighting, "f").stealer_rows == 60
    [reason] = [reason for reason in incident.origin_reasons if reason.code == "O17"]
    assert reason.evidence == "60 rows in the form of a stealer log, logins at others' sites"


def test_unread_part_beside_a_brand_is_an_incident_that_says_so(store, clock):
    read = {"brands": ("某某银行",), "unread": {"encrypted": 1}}
    fold_all(store, clock, [finding("f", alarm=False, statistics=read)])
    incident = incident_of(store)
    assert (incident.severity, incident.customers, incident.alarm) == ("notice", 0, False)
    [reason] = [reason for reason in incident.reasons if reason.code == "N"]
    assert reason.evidence == "posted beside the brand, could not be fully read: 1 encrypted"
    shown = io.StringIO()
    Console(file=shown, width=200).print(incident_in_full(load_details(store, incident.id), UTC))
    assert "could not be fully read" in shown.getvalue()
    assert store.get(Sighting, "f").unread == {"encrypted": 1}


def test_terms_are_shown_as_in_the_posts(store, clock):
    def term(id_: str, written: str = "") -> Term:
        return Term(id=id_, category="ID", weight=4, count=1, written=written)

    older = {"terms": (term("走样"),)}
    fold_all(
        store,
        clock,
        [
            finding(
                "f",
                range(40),
                "abc",
                statistics={"terms": (term("手持", "手持身份證"), term("内料", "內料"))},
            ),
            finding("g", range(40), "abc", statistics={"terms": (term("内料", "内料"),)}),
            finding("h", range(40), "abc", statistics=older),
        ],
    )
    incident = incident_of(store)
    assert incident.terms == ("内料", "手持", "走样")  # by these it is found and judged
    assert incident.written == ("內料", "手持身份證", "走样")
    shown = io.StringIO()
    Console(file=shown, width=200).print(incident_in_full(load_details(store, incident.id), UTC))
    assert all(word in shown.getvalue() for word in incident.written)
    assert "内料" not in shown.getvalue()
    assert "PHONE 手持身份證" in next(why.evidence for why in incident.reasons if why.code == "X5")


def test_request_for_our_data_is_not_an_offer(store, clock):
    terms_found = {
        "brands": ("某某银行",),
        "terms": (Term(id="内鬼", category="SRC", weight=3, count=1),),
    }
    fold_all(
        store,
        clock,
        [finding("f", alarm=True, statistics={**terms_found, "context": {"wanted": 1}})],
    )
    request = incident_of(store)
    assert (request.severity, request.row) == ("notice", 15)
    assert "asks for data of this brand" in request.reasons[0].evidence
    fold_all(store, clock, [finding("g", alarm=True, statistics=terms_found)])
    assert (incident_of(store, "g").severity, incident_of(store, "g").row) == ("medium", 15)


def test_cohorts_are_those_of_the_largest_sighting(store, clock):
    small = Cohort(dimension="branch", label="B1", matched=25, enrolled=30)
    large = Cohort(dimension="branch", label="B2", matched=38, enrolled=40)
    fold_all(
        store,
        clock,
        [
            finding("f", range(40), range(30), cohorts=(small,), cohort_labels=9),
            finding("g", range(40), range(40), cohorts=(large,), cohort_labels=9),
        ],
    )
    evidence = " ".join(why.evidence for why in incident_of(store).origin_reasons)
    assert "38 of 40 customers are of branch B2" in evidence
    assert "B1" not in evidence


@pytest.mark.parametrize(("agreeing", "origin"), [(20, "ours"), (1, "elsewhere")])
def test_private_attributes_decide_the_origin(store, clock, agreeing, origin):
    folded = finding(
        "f",
        range(40),
        range(40),
        private_attributes_comparable=20,
        private_attributes_agreeing=agreeing,
    )
    fold_all(store, clock, [folded])
    incident = incident_of(store)
    assert incident.origin == origin
    assert f"for {agreeing} of 20" in " ".join(why.evidence for why in incident.origin_reasons)


def test_documents_of_the_previous_version_are_read(store, clock):
    fold_all(store, clock, [finding("f", range(40), "ab")])
    later = {
        Incident: (
            incident_id("f"),
            "origin_label replay_of verified people_by_class sensitive minors fields",
        ),
        Sighting: (
            "f",
            (
                "groups minors cohorts cohort_labels honeytokens cards_enrolled replayed replay_of"
                " private_attributes_comparable"
            ),
        ),
    }
    for kind, (id_, new) in later.items():
        stored = store.get(kind, id_).model_dump()
        old = {name: value for name, value in stored.items() if name not in new.split()}
        assert kind.model_validate(old).id == id_


def test_terminal_names_the_partner_as_origin(store, clock):
    bait = (Honeytoken(label="sms A", customers=1, verified=1),)
    fold_all(
        store, clock, [finding("f", range(40), "ab", honeytokens=bait, honeytokens_enrolled=3)]
    )
    incident = incident_of(store)
    assert incident.whose == "partner:sms A"
    console = Console(width=100, file=io.StringIO())
    console.print(incident_in_full(load_details(store, incident.id), UTC))
    shown = console.file.getvalue()
    assert "Origin: partner:sms A" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert incident.model_copy(update={"origin": "ours", "origin_label": ""}).whose == "ours"
