"""Which incident a finding belongs to."""

from datetime import timedelta

import pytest

from alerts.grouping.placement import KnownIncident, list_content_claims, place, subjects_digest
from alerts.records import Holding, build_holding, incident_id
from tests.alerts.builders import finding, sketch
from tests.factories import WHEN


def make_known(name: str, values=(), minutes: int = 0, **changes) -> KnownIncident:
    return KnownIncident(
        name, "bank", WHEN + timedelta(minutes=minutes), sketch(values), "candidates"
    )._replace(**changes)


def holds(incident: str) -> Holding:
    return build_holding("bank", incident, (), WHEN)


def claim(
    found, *incidents: KnownIncident, subjects: str = ""
) -> tuple[dict[str, Holding], dict[str, KnownIncident]]:
    """Return the claims of the incidents: each value belongs to the first one that had it."""
    claims: dict[str, Holding] = {}
    for incident in incidents:
        for value in incident.sketch:
            claims.setdefault(f"bank:{incident.sketch_of}:{value}", holds(incident.id))
    if subjects:
        claims[f"bank:subjects:{subjects_digest(found)}"] = holds(subjects)
    return claims, {incident.id: incident for incident in incidents}


OWN = incident_id("new")


@pytest.mark.parametrize(
    ("values", "incident_values", "joins"),
    [
        (range(10), range(10), True),
        (range(10), range(100), True),
        (range(100), range(10), True),
        (range(10), [*range(6), *range(50, 54)], True),
        (range(10), [*range(5), *range(50, 55)], False),
        (range(8), range(8), True),
        (range(7), range(7), False),
        (range(10), range(50, 60), False),
        ((), (), False),
        (range(3_000), range(1_500), True),
    ],
    ids=[
        "same",
        "within",
        "around",
        "six of ten",
        "five of ten",
        "eight",
        "seven are too few",
        "none",
        "empty",
        "large",
    ],
)
def test_finding_joins_when_enough_of_the_smaller_side_is_contained(values, incident_values, joins):
    new, old = finding("new", values, people="x"), make_known("INC-OLD", incident_values)
    placement = place(new, *claim(new, old))
    assert placement[:3] == (("INC-OLD", False, ()) if joins else (OWN, True, ()))


def test_same_people_join_with_any_text():
    new = finding("new", (), people="ab")
    assert place(new, *claim(new, make_known("INC-OLD"), subjects="INC-OLD")).incident == "INC-OLD"
    assert subjects_digest(finding("a", people="ab")) == subjects_digest(finding("b", people="ba"))
    assert subjects_digest(finding("a", people="ab")) != subjects_digest(finding("b", people="abc"))


def test_oldest_of_several_takes_the_finding_and_links_the_rest():
    new = finding("new", range(30), people="x")
    old, older, oldest = (
        make_known("INC-A", range(10), 2),
        make_known("INC-B", range(10, 20), 1),
        make_known("INC-C", range(20, 30), 0),
    )
    assert place(new, *claim(new, old, older, oldest)) == (
        "INC-C",
        False,
        ("INC-A", "INC-B"),
        (),
        False,
    )


def test_equal_ages_are_decided_by_id():
    new = finding("new", range(20), people="x")
    assert (
        place(
            new, *claim(new, make_known("INC-B", range(10)), make_known("INC-A", range(10, 20)))
        ).incident
        == "INC-A"
    )


def test_candidates_and_shingles_are_never_compared():
    new, old = (
        finding("new", range(20), people="x"),
        make_known("INC-OLD", range(20), sketch_of="shingles"),
    )
    claims, incidents = claim(new, old)
    claims |= {f"bank:candidates:{v}": holds("INC-OLD") for v in old.sketch}
    assert place(new, claims, incidents)[:3] == (OWN, True, ())


def test_incident_of_another_tenant_is_never_joined():
    new, foreign = (
        finding("new", range(20), people="x"),
        make_known("INC-OLD", range(20), tenant="shop"),
    )
    assert place(new, *claim(new, foreign))[:3] == (OWN, True, ())
    assert not set(list_content_claims(new)) & set(
        list_content_claims(finding("new", range(20), people="x", tenant="shop"))
    )


def test_frozen_incident_takes_no_finding_and_is_linked():
    new, frozen = (
        finding("new", range(20), people="x"),
        make_known("INC-OLD", range(20), frozen=True),
    )
    assert place(new, *claim(new, frozen))[:3] == (OWN, True, ("INC-OLD",))


def test_crash_after_a_claim_leads_to_the_same_incident():
    new = finding("new", range(20), people="x")
    assert place(new, dict.fromkeys(list_content_claims(new), holds(OWN)), {})[:3] == (
        OWN,
        True,
        (),
    )


def test_finding_in_parts_claims_no_people():
    whole, part = (
        finding("new", range(20), people="ab"),
        finding("new", range(20), people="ab", parts=2),
    )
    assert [c for c in list_content_claims(whole) if ":subjects:" in c]
    assert not [c for c in list_content_claims(part) if ":subjects:" in c]


def test_empty_sets_of_people_are_not_equal():
    """Two alarms without a customer are two incidents, unless their texts are alike."""
    alarm = finding("new", ())
    assert list_content_claims(alarm) == ()
    assert place(alarm, {}, {})[:3] == (OWN, True, ())


def test_incident_id_follows_from_its_first_finding():
    assert incident_id("new") == OWN
    assert len(OWN) == 14
    assert OWN.startswith("INC-")
    assert incident_id("other") != OWN


def test_incident_grows_with_each_finding():
    old = make_known("INC-OLD", range(20)).with_finding(finding("new", range(10, 40), people="x"))
    assert old.sketch == sketch(range(40))
    unlike = finding("new", range(90, 99), people="x", statistics={"sketch_of": "shingles"})
    assert old.with_finding(unlike) == old
