"""Select the facts that may leave the organization in letters, drafts and exchange formats.

Documents for outsiders are made only from these objects. Scores, internal next steps, partners'
names and the grounds of rulings are not in them, so no document can reveal them. Each assertion of
a document, such as "an original is sealed", is a field that was looked up.
`tests/alerts/test_outgoing.py` renders every document in states in which an assertion is false.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from alerts.records import Decision, Incident, Sighting
from alerts.records.decision import in_force
from alerts.store.queries import CLOSED
from ullage.custody.vault import Vault
from ullage.records import Claims
from ullage.verdict.rules import Origin


class Text(NamedTuple):
    """A text in English and Chinese."""

    en: str
    zh: str


ORIGIN_WORDS: Mapping[Origin, Text] = {
    "ours": Text("matches our own records", "与我方记录相符"),
    "partner": Text(
        "holds honeytokens that only one partner received", "含仅提供给一家合作方的诱饵数据"
    ),
    "devices": Text("taken from devices", "终端窃取"),
    "elsewhere": Text("data of another source", "系他处数据"),
    "recycled": Text("known from an earlier leak", "旧料翻炒"),
    "fabricated": Text("invented", "编造"),
    "unknown": Text("unknown", "来源不明"),
}
"""The words never say who leaked: to an authority, that would be an admission."""


@dataclass(frozen=True, slots=True)
class OutgoingIncident:
    """The facts of an incident that outsiders may read.

    Scores, severity, reason codes and titles of posts are not among them.
    """

    id: str
    opened_at: datetime
    first_seen: datetime
    last_seen: datetime
    published_at: datetime | None
    origin_words: Text
    origin_evidence: tuple[Text, ...]
    has_partner_honeytoken: bool
    scenario: str
    scenario_title: str
    scenario_title_zh: str
    customers: int
    counted: str
    verified: int
    is_incomplete: bool
    rows: int
    sightings: int
    gone: int
    people_by_class: Mapping[str, int]
    sensitive: int
    minors: int
    kinds: tuple[str, ...]
    fields: tuple[str, ...]
    sites: tuple[str, ...]
    is_offer: bool
    claims: Claims

    @classmethod
    def from_incident(cls, incident: Incident) -> OutgoingIncident:
        """Return the facts of `incident` that outsiders may read."""
        return cls(
            id=incident.id,
            opened_at=incident.opened_at,
            first_seen=incident.first_seen,
            last_seen=incident.last_seen,
            published_at=incident.published_at,
            origin_words=ORIGIN_WORDS[incident.origin],
            origin_evidence=tuple(
                Text(reason.evidence, reason.evidence_zh) for reason in incident.origin_reasons
            ),
            has_partner_honeytoken=incident.origin == "partner",
            scenario=incident.scenario,
            scenario_title=incident.scenario_title,
            scenario_title_zh=incident.scenario_title_zh,
            customers=incident.customers,
            counted=incident.counted,
            verified=incident.verified,
            is_incomplete=bool(incident.incomplete),
            rows=incident.rows,
            sightings=incident.sightings,
            gone=incident.gone,
            people_by_class=incident.people_by_class,
            sensitive=incident.sensitive,
            minors=incident.minors,
            kinds=incident.kinds,
            fields=incident.fields,
            sites=incident.sites,
            is_offer=incident.alarm,
            claims=incident.claims,
        )


@dataclass(frozen=True, slots=True)
class OutgoingSighting:
    """One sighted post: our own id of it, where and when.

    `is_sealed` says whether its original is in the vault now.
    """

    id: str
    site: str
    at: datetime
    newest_date: date | None
    is_gone: bool
    is_sealed: bool
    has_customers: bool
    has_rows: bool
    is_offer: bool


def outgoing_sightings(
    sightings: Iterable[Sighting], vault: Vault | None
) -> tuple[OutgoingSighting, ...]:
    """Return the facts of each sighting that outsiders may read, in the order of `sightings`.

    `vault` tells whether the sealed original of a sighting is intact; if it is None, no sighting is
    marked as sealed.
    """
    chosen = list(sightings)
    sealed = (
        vault.find_intact((sighting.tenant, sighting.id) for sighting in chosen)
        if vault
        else frozenset()
    )
    return tuple(
        OutgoingSighting(
            id=sighting.id,
            site=sighting.site,
            at=sighting.fetched_at,
            newest_date=sighting.newest_date,
            is_gone=sighting.gone_at is not None,
            is_sealed=(sighting.tenant, sighting.id) in sealed,
            has_customers=sighting.customers > 0,
            has_rows=sighting.matched_rows > 0 or bool(sighting.skeleton),
            is_offer=sighting.alarm,
        )
        for sighting in chosen
    )


@dataclass(frozen=True, slots=True)
class Measure:
    """A recorded measure.

    `what` is the state of a takedown, an approval of telling people or its withdrawal, or "note".
    """

    at: datetime
    what: str
    note: str = ""


def list_measures(decisions: Sequence[Decision]) -> tuple[Measure, ...]:
    """List the recorded measures in order of time.

    Notes written during the work on an incident count. The grounds of waivers, suppressions and
    closures are internal and left out.
    """
    measures = list[Measure]()
    for decision in sorted(in_force(decisions), key=lambda decision: (decision.at, decision.id)):
        if decision.act == "takedown":
            measures.append(Measure(decision.at, f"takedown {decision.value}"))
        elif decision.stage in ("telling_approved", "telling_withdrawn"):
            measures.append(Measure(decision.at, decision.stage))
        is_work = (
            not decision.regime
            and decision.stage == ""
            and decision.act in ("", "takedown")
            and decision.status not in CLOSED
        )
        if decision.note and is_work:
            measures.append(Measure(decision.at, "note", decision.note))
    return tuple(measures)
