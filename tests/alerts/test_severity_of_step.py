"""Grouping: whatever findings are joined, an incident's severity is never below what its own
next step demands.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.grouping.exposures import Replay, build_exposures
from alerts.grouping.placement import Placement
from alerts.grouping.projection import Setting, build_sighting, project
from alerts.records import SEVERITIES, Incident
from tests.alerts.builders import finding
from tests.factories import WHEN
from ullage.records import Finding, Term
from ullage.settings import Tenant
from ullage.verdict import load_verdict_rules

FIELDS = (
    ("NAME", "PHONE"),
    ("CARD",),
    ("CARD", "CVV"),
    ("PHONE", "OTP"),
    ("NAME", "PHONE", "ID"),
    ("EMAIL", "PASSWORD"),
)
TERMS = ((), ("带磁",), ("手持",), ("initial access",), ("出售",))
CONTEXTS: tuple[dict[str, int], ...] = ({}, {"suspicion": 1}, {"sale": 1})


def post(
    number: int,
    people: int,
    kinds: tuple[str, ...],
    fields: tuple[str, ...],
    terms: tuple[str, ...],
    **more: Any,
) -> Finding:
    """Return what one seller's next message gave: so many customers of his own, found by
    `kinds`, in rows of `fields`.
    """
    where = {
        "author": "@a",
        "channel": "#c",
        "kind": "message",
        "published_at": WHEN + timedelta(minutes=number),
    }
    statistics = {
        "rows": max(people, more.pop("rows")),
        "terms": tuple(Term(id=term, category="CARD", weight=4, count=1) for term in terms),
        "context": more.pop("context"),
        "brands": ("某某银行",) if more.pop("brand") else (),
        "unread": {"encrypted": 1} if more.pop("unread") else {},
    }
    who = [f"{number} {n}" for n in range(people)]
    values = [f"post {number} {n}" for n in range(12)]
    return finding(
        f"f{number}",
        values,
        who,
        kinds=kinds,
        fields=fields,
        site="chat",
        capture=where,
        statistics=statistics,
        **more,
    )


POSTS = st.lists(
    st.fixed_dictionaries(
        {
            "people": st.sampled_from([0, 1, 3, 12, 60]),
            "kinds": st.sampled_from([("phone",), ("card",), ("phone", "resident_id")]),
            "fields": st.sampled_from(FIELDS),
            "terms": st.sampled_from(TERMS),
            "context": st.sampled_from(CONTEXTS),
            "rows": st.sampled_from([0, 500]),
            "brand": st.booleans(),
            "unread": st.booleans(),
            "alarm": st.booleans(),
            "incomplete": st.sampled_from([(), ("budget",)]),
        }
    ),
    min_size=1,
    max_size=3,
)


def incident_of(findings: Sequence[Finding]) -> Incident:
    """Return the incident that these findings of one seller are grouped into."""
    sightings = [
        build_sighting(
            post, Placement("INC-A", opens=not n, linked=(), tied=True), Replay(), None, WHEN
        )
        for n, post in enumerate(findings)
    ]
    people = [exposure for post in findings for exposure in build_exposures(post, "INC-A").values()]
    return project(
        sightings,
        people,
        Setting(WHEN.date(), Tenant(), load_verdict_rules()),
        ((), "candidates"),
        (),
    )


@settings(max_examples=300, deadline=None)
@given(posts=POSTS)
def test_severity_is_at_least_that_of_the_next_step(posts):
    incident = incident_of([post(number, **facts) for number, facts in enumerate(posts)])
    assert SEVERITIES.index(incident.severity) >= SEVERITIES.index(incident.next_step.least), (
        incident.next_step.text
    )


@pytest.mark.parametrize(
    ("fields", "terms", "context", "first", "severity"),
    [
        (("CARD",), ("带磁",), {}, "Block first", "medium"),
        (
            ("NAME", "ID"),
            (),
            {"suspicion": 1},
            "Counsel and the anti-money-laundering officer first",
            "high",
        ),
    ],
)
def test_cards_with_tracks_and_suspicion_reports_have_their_next_step(
    fields, terms, context, first, severity
):
    kinds = ("card",) if "CARD" in fields else ("resident_id",)
    incident = incident_of(
        [
            post(
                1,
                3,
                kinds,
                fields,
                terms,
                context=context,
                rows=0,
                brand=False,
                unread=False,
                alarm=False,
            )
        ]
    )
    assert incident.next_step.text.startswith(first)
    assert incident.severity == severity
    assert incident.notify != "digest"
