"""Which incident a finding belongs to."""

from datetime import timedelta

import pytest

from alerts.grouping.placement import KnownIncident, list_content_claims, place, subjects_digest
from alerts.records import Holding, holding_of, incident_id
from tests.alerts.builders import finding, sketch
from tests.factories import WHEN


def known(name: str, values=(), minutes: int = 0, **changes) -> KnownIncident:
    return KnownIncident(
        name, "bank", WHEN + timedelta(minutes=minutes), sketch(values), "candidates"
    )._replace(**changes)


def holds(incident: str) -> Holding:
    return holding_of("bank", incident, (), WHEN)


def held(
    found, *incidents: KnownIncident, subjects: str = ""
) -> tuple[dict[str, Holding], dict[str, KnownIncident]]:
    """Claims as the incidents' own findings left them: each value belongs to the first that had
    it.
    """
    claims: dict[str, Holding] = {}
    for one in incidents:
        for value in one.sketch:
            claims.setdefault(f"bank:{one.sketch_of}:{value}", holds(one.id))
    if subjects:
        claims[f"bank:subjects:{subjects_digest(found)}"] = holds(subjects)
    return claims, {one.id: one for one in incidents}


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
def test_a_finding_joins_when_enough_of_the_smaller_side_is_contained(
    values, incident_values, joins
):
    new, old = finding("new", values, people="x"), known("INC-OLD", incident_values)
    found = place(new, *held(new, old))
    assert found[:3] == (("INC-OLD", False, ()) if joins else (OWN, True, ()))


def test_the_same_people_join_whatever_the_text_was():
    new = finding("new", (), people="ab")
    assert place(new, *held(new, known("INC-OLD"), subjects="INC-OLD")).incident == "INC-OLD"
    assert subjects_digest(finding("a", people="ab")) == subjects_digest(finding("b", people="ba"))
    assert subjects_digest(finding("a", people="ab")) != subjects_digest(finding("b", people="abc"))


def test_of_several_the_oldest_takes_it_and_the_others_are_linked():
    new = finding("new", range(30), people="x")
    old, older, oldest = (
        known("INC-A", range(10), 2),
        known("INC-B", range(10, 20), 1),
        known("INC-C", range(20, 30), 0),
    )
    assert place(new, *held(new, old, older, oldest)) == (
        "INC-C",
        False,
        ("INC-A", "INC-B"),
        (),
        False,
    )


def test_equal_ages_are_decided_by_id():
    new = finding("new", range(20), people="x")
    assert (
        place(new, *held(new, known("INC-B", range(10)), known("INC-A", range(10, 20)))).incident
        == "INC-A"
    )


def test_candidates_and_shingles_are_never_compared():
    new, old = (
        finding("new", range(20), people="x"),
        known("INC-OLD", range(20), sketch_of="shingles"),
    )
    claims, incidents = held(new, old)
    claims |= {f"bank:candidates:{v}": holds("INC-OLD") for v in old.sketch}
    assert place(new, claims, incidents)[:3] == (OWN, True, ())


def test_another_tenants_incident_is_never_joined():
    new, foreign = finding("new", range(20), people="x"), known("INC-OLD", range(20), tenant="shop")
    assert place(new, *held(new, foreign))[:3] == (OWN, True, ())
    assert not set(list_content_claims(new)) & set(
        list_content_claims(finding("new", range(20), people="x", tenant="shop"))
    )


def test_a_frozen_incident_takes_nothing_more_and_is_linked():
    new, frozen = finding("new", range(20), people="x"), known("INC-OLD", range(20), frozen=True)
    assert place(new, *held(new, frozen))[:3] == (OWN, True, ("INC-OLD",))


def test_a_claim_without_its_incident_is_of_a_crash_and_ends_in_the_same_incident():
    new = finding("new", range(20), people="x")
    assert place(new, dict.fromkeys(list_content_claims(new), holds(OWN)), {})[:3] == (
        OWN,
        True,
        (),
    )


def test_a_finding_in_parts_makes_no_claim_on_its_people():
    whole, part = (
        finding("new", range(20), people="ab"),
        finding("new", range(20), people="ab", parts=2),
    )
    assert [c for c in list_content_claims(whole) if ":subjects:" in c]
    assert not [c for c in list_content_claims(part) if ":subjects:" in c]


def test_nobody_is_not_the_same_set_of_people_as_nobody():
    """Two alarms without a customer are two incidents, unless their texts are alike."""
    alarm = finding("new", ())
    assert list_content_claims(alarm) == ()
    assert place(alarm, {}, {})[:3] == (OWN, True, ())


def test_the_id_of_an_incident_follows_from_its_first_finding():
    assert incident_id("new") == OWN
    assert len(OWN) == 14
    assert OWN.startswith("INC-")
    assert incident_id("other") != OWN


def test_an_incident_grows_by_what_joins_it():
    old = known("INC-OLD", range(20)).with_finding(finding("new", range(10, 40), people="x"))
    assert old.sketch == sketch(range(40))
    unlike = finding("new", range(90, 99), people="x", statistics={"sketch_of": "shingles"})
    assert old.with_finding(unlike) == old
