"""Choose what may leave the house in letters, drafts for authorities and exchange formats.

A document for outsiders is made from these objects and from nothing else, so that a score, an
internal next step, a partner's name or a ruling's grounds cannot come in: they are not there. What
a sentence asserts, such as that an original is sealed, is a field that was looked up.
`tests/alerts/test_outgoing.py` tries every document in states where each assertion is false.
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
    """The same in English and Chinese."""

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
"""Never who leaked: a document for an authority that says so is an admission."""


@dataclass(frozen=True, slots=True)
class OutgoingIncident:
    """The facts of an incident that outsiders may read; scores, severity, codes and titles of
    posts are not among them.
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
    def of(cls, incident: Incident) -> OutgoingIncident:
        """Return what outsiders may read of `incident`."""
        return cls(
            id=incident.id,
            opened_at=incident.opened_at,
            first_seen=incident.first_seen,
            last_seen=incident.last_seen,
            published_at=incident.published_at,
            origin_words=ORIGIN_WORDS[incident.origin],
            origin_evidence=tuple(
                Text(one.evidence, one.evidence_zh) for one in incident.origin_reasons
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
    """One post that was seen: our own id of it, where and when; `is_sealed` says whether its
    original is in the vault now.
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
    """Return what outsiders may read of `sightings`, in the same order; without a vault no
    original counts as sealed.
    """
    chosen = list(sightings)
    sealed = vault.find_intact((one.tenant, one.id) for one in chosen) if vault else frozenset()
    return tuple(
        OutgoingSighting(
            id=one.id,
            site=one.site,
            at=one.fetched_at,
            newest_date=one.newest_date,
            is_gone=one.gone_at is not None,
            is_sealed=(one.tenant, one.id) in sealed,
            has_customers=one.customers > 0,
            has_rows=one.matched_rows > 0 or bool(one.skeleton),
            is_offer=one.alarm,
        )
        for one in chosen
    )


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that was done, as it was recorded: `what` is a takedown's state, "told",
    "untold" or "note" with its text.
    """

    at: datetime
    what: str
    note: str = ""


def list_measures(decisions: Sequence[Decision]) -> tuple[Measure, ...]:
    """List recorded measures in order of time.

    Notes count where an incident is worked on; the grounds of waivers, suppressions and closings
    stay in the house.
    """
    measures = list[Measure]()
    for one in sorted(in_force(decisions), key=lambda decision: (decision.at, decision.id)):
        if one.act == "takedown":
            measures.append(Measure(one.at, f"takedown {one.value}"))
        elif one.stage in ("telling_approved", "telling_withdrawn"):
            measures.append(Measure(one.at, one.stage))
        is_work = (
            not one.regime
            and one.stage == ""
            and one.act in ("", "takedown")
            and one.status not in CLOSED
        )
        if one.note and is_work:
            measures.append(Measure(one.at, "note", one.note))
    return tuple(measures)
