"""Show an incident and its history, as JSON for programs and as text for people.

Pages, the API, the terminal and messages all take an incident's heading and its facts from here, so
that it has the same name wherever it is shown. No leaked value, and no keyed hash, is in any of
them: customers appear as pseudonyms, titles as known words. Texts are `Phrase`s, or are rendered by
a `translate` function that the caller passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from alerts.cases.actions import REASONS, STATES, WORDS
from alerts.cases.decisions import TELLING
from alerts.cases.incident_list import IncidentDetails
from alerts.cases.undoing import find_undoable
from alerts.deadlines import CHANNELS
from alerts.deadlines.outstanding import RULINGS
from alerts.deadlines.render import name_regime, name_report
from alerts.records import (
    Decision,
    Exposure,
    Incident,
    Notification,
    PendingDecision,
    Sighting,
    Status,
    Suppression,
)
from alerts.store import DocumentFilter, IncidentStore
from alerts.translation import catalogue, named, translated
from ullage.display import safe
from ullage.phrase import Phrase
from ullage.records import Claims
from ullage.records.incomplete import INCOMPLETE
from ullage.settings import Language
from ullage.verdict.words import FIELDS
from ullage.vocabulary.known_words import GAP


def link(url: str) -> str:
    """Return `url` if a browser can follow it (http or https with a host, displayable), else "".

    A final mark for text that was not stored is removed first.
    """
    url = url.removesuffix(GAP)
    try:
        parts = urlsplit(url)
        return (
            url if parts.scheme in ("http", "https") and parts.hostname and safe(url) == url else ""
        )
    except ValueError:
        return ""


def brief(values: Sequence[str], shown: int, between: str = ", ") -> str:
    """Return the first `shown` of `values` on one line, followed by ` +N` if N more are left out.

    The line is safe to display; `between` stands between two values.
    """
    more = f" +{len(values) - shown}" if len(values) > shown else ""
    return safe(between.join(values[:shown])) + more


def summarize_claims(claims: Claims, translate: Callable[[str], str] = str) -> str:
    """Return in one line what a post claims about the data it offers; "" if it claims nothing.

    The line is translated by `translate`.

    >>> claims = Claims(volume=300_000, price=500.0, currency="USDT", contacts=("telegram",))
    >>> summarize_claims(claims.model_copy(update={"files": ("csv",), "size": 3_400_000_000}))
    '300,000 records, 500 USDT, by telegram, csv, 3.4 GB'
    """
    return translated(tuple(_claims(claims)), translate)


def _claims(claims: Claims) -> Iterator[str | Phrase]:
    if claims.volume is not None:
        yield Phrase("%(volume)s records", volume=format(claims.volume, ","))
    if claims.price is not None:
        yield f"{claims.price:,.10g} {claims.currency}".rstrip()
    if claims.contacts:
        yield Phrase("by %(contacts)s", contacts=tuple(claims.contacts))
    yield from claims.files
    if claims.size is not None:
        unit, name = next((size for size in SIZES if claims.size >= size[0]), SIZES[-1])
        yield f"{claims.size / unit:.3g} {name}"


SHOWN_TERMS = 4
SHOWN_FIELDS = 5
SIZES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def offer(incident: Incident, translate: Callable[[str], str] = str) -> str:
    """Return in one line what an incident's posts offer, for a person to judge by.

    It has the stored words of the title or else of the trade, the claims, and the newest date in
    the data; "" if none of these is stored.
    """
    # a single term may be a coincidence
    trade = incident.written[:SHOWN_TERMS] if len(incident.written) > 1 else ()
    words = next((title for title in incident.titles if title != GAP), " ".join(trade))
    newest = (
        Phrase("newest %(date)s", date=incident.newest_date).render(translate)
        if incident.newest_date
        else ""
    )
    return " · ".join(
        filter(None, (safe(words), summarize_claims(incident.claims, translate), newest))
    )


def heading(incident: Incident, language: Language = "en") -> str:
    """Return the heading of an incident: how many customers, which data, and which site.

    Lists, pages and messages all use this heading.
    """
    return " · ".join(heading_parts(incident, language))


def heading_parts(incident: Incident, language: Language = "en") -> tuple[str, str]:
    """Return the two parts of a heading: whose data leaked, and on which site."""
    leaked = _describe_customers(incident, _name_data(incident, language))
    return translated(leaked, catalogue(language).gettext), brief(incident.sites, 1)


def summarize(incident: Incident) -> str:
    """Return what leaked, what its posts offer and by whom, for a row that has all else."""
    data = ", ".join(_name_data(incident, "en")) if incident.customers else ""
    seller = f"by {brief(incident.authors, 1)}" if incident.authors else ""
    parts = (data or str(_describe_customers(incident, ())), offer(incident), seller)
    return " · ".join(filter(None, parts))


def _name_data(incident: Incident, language: Language) -> tuple[str, ...]:
    """Return the names of the leaked fields, or of the kinds, and how many more there are."""
    fields = [field for field in FIELDS if field in incident.fields]
    words = [(f, "field") for f in fields] or [(k, "kind") for k in incident.kinds]
    names = [named(word, category, language) for word, category in words]
    more = [f"+{len(names) - SHOWN_FIELDS}"] if len(names) > SHOWN_FIELDS else []
    return (*names[:SHOWN_FIELDS], *more)


def _describe_customers(incident: Incident, what: tuple[str, ...]) -> Phrase:
    """Return how many customers are affected, followed by the leaked data in `what`."""
    if not incident.customers:
        return (
            Phrase("Customer data offered, no match yet")
            if incident.alarm
            else Phrase("No customer matched")
        )
    is_single = incident.customers == 1 and not incident.incomplete
    count = Phrase("1 customer") if is_single else Phrase("%(n)s customers", n=incident.counted)
    return Phrase("%(count)s: %(what)s", count=count, what=what) if what else count


def incompleteness(incident: Incident) -> str:
    """Return a warning if not all of an incident was searched or judged, else ""."""
    reasons = "; ".join(str(reason) for reason in list_unsearched_reasons(incident))
    return f"incomplete: at least {incident.customers:,} customers ({reasons})" if reasons else ""


def list_unsearched_reasons(incident: Incident) -> tuple[Phrase, ...]:
    """Return the reasons why not all of an incident was searched or judged."""
    return tuple(Phrase(INCOMPLETE.get(reason, reason)) for reason in incident.incomplete)


def describe_grouping(incident: Incident) -> str:
    """Return in English which incident this one is part of, or how many messages it joins.

    Returns "" if it is neither part of another incident nor joined from messages of one seller.
    """
    if incident.part_of:
        return f"part of {incident.part_of}, which is judged with all that is in it"
    parts = f", {', '.join(incident.parts)} among them" if incident.parts else ""
    return (
        f"joined from {incident.joined:,} messages of one seller{parts}" if incident.joined else ""
    )


def summary(
    incident: Incident, status: Status, silence: Suppression | None = None
) -> dict[str, Any]:
    """Return an incident as a JSON object for lists: its facts, its status, and what to do next.

    `silence` is the suppression that applies to the incident, None if there is none.
    """
    shown = incident.model_dump(mode="json", include=SUMMARY)
    return {**shown, **_next(incident), "status": status, "suppressed": _silence(silence)}


def _next(incident: Incident) -> dict[str, str]:
    """Return the next step for an incident, in both languages."""
    return {"next_step": incident.next_step.text, "next_step_zh": incident.next_step.text_zh}


def _silence(silence: Suppression | None) -> dict[str, Any] | None:
    """Return who suppressed an incident, why and until when; None if nobody did."""
    return (
        silence.model_dump(mode="json", include={"id", "by", "reason", "at", "expires"})
        if silence
        else None
    )


def customer(exposure: Exposure) -> dict[str, Any]:
    """Return a customer of an incident as a JSON object, under a pseudonym.

    The object has kinds and names of the leaked fields, never their values.
    """
    shown = exposure.model_dump(mode="json", exclude=HIDDEN["customer"])
    return {**shown, "pseudonym": exposure.subject}


def sighting(document: Sighting) -> dict[str, Any]:
    """Return a sighting, one post in which the data appeared, as a JSON object.

    Fields that only machines use, such as keyed hashes, are left out.
    """
    return document.model_dump(mode="json", exclude=HIDDEN["sighting"])


def details(
    found: IncidentDetails,
    clocks: Sequence[dict[str, Any]] = (),
    silence: Suppression | None = None,
    decide: Mapping[str, Any] | None = None,
    pending: Sequence[tuple[PendingDecision, Phrase]] = (),
) -> dict[str, Any]:
    """Return an incident as a JSON object with its sightings, customers, decisions and sellers.

    `clocks` are its deadlines, `silence` the suppression that applies to it, `decide` the decisions
    open to the reader, and `pending` the acts that wait for a second person. Sketches and keyed
    hashes are left out, because only machines use them.
    """
    return {
        **found.incident.model_dump(mode="json", exclude=HIDDEN["incident"]),
        **_next(found.incident),
        "status": found.status,
        "suppressed": _silence(silence),
        "deadlines": list(clocks),
        "decide": decide,
        "waiting_for_second_person": pending_as_json(pending),
        "sellers": [
            {**asdict(seller), "since": seller.since.isoformat(), "last": seller.last.isoformat()}
            for seller in found.sellers
        ],
        "seen": [sighting(document) for document in found.sightings],
        "seen_after": found.more_sightings,
        "exposures": [customer(exposure) for exposure in found.exposures],
        "exposures_after": found.more,
        "decisions": [
            decision.model_dump(mode="json", exclude=HIDDEN["decision"])
            for decision in found.decisions
        ],
    }


SUMMARY = set(
    "id tenant severity exposure scenario scenario_title scenario_title_zh origin origin_label"
    " sites customers rows sightings kinds titles publish_seconds published_at opened_at updated_at"
    " alarm linked incomplete sections authors claims fields newest_date joined series gone gone_at"
    " back".split()
)


HIDDEN: Mapping[str, set[str]] = {
    "incident": {"sketch", "sketch_of", "subjects"},
    "sighting": {"subjects", "traits", "author_tag", "sketch", "sketch_of"},
    "customer": {"index_tags", "subject"},
    "decision": {"covers"},
}
"""Members of documents that are never shown; a customer's pseudonym is shown under another name."""
OURSELVES = "ullage"
RETURNED: Mapping[str, Phrase] = {
    "expired": Phrase("false positive period over: reopened"),
    "grown": Phrase("new findings: reopened"),
}
BETWEEN: Mapping[str, Phrase] = {
    "linked": Phrase("linked with %(to)s"),
    "unlinked": Phrase("no longer linked with %(to)s"),
    "merged": Phrase("%(to)s merged into this incident"),
    "merged_into": Phrase("merged into %(to)s"),
    "split": Phrase("%(to)s split off"),
    "split_from": Phrase("split from %(to)s"),
}
"""Acts that concern two incidents."""
REQUESTED: Mapping[str, Phrase] = {
    "references_asked": Phrase("customer references requested"),
    "references_approved": Phrase("request for customer references approved"),
    "references_refused": Phrase("request for customer references refused"),
    "second_confirmed": Phrase("confirmed as second person"),
    "second_refused": Phrase("refused as second person"),
}
TOLD: Mapping[str, Phrase] = {
    "new": Phrase("notified on %(channel)s"),
    "raised": Phrase("notified on %(channel)s: severity raised"),
    "grown": Phrase("notified on %(channel)s: more customers"),
    "unacknowledged": Phrase("notified on %(channel)s again: unacknowledged"),
    "escalated": Phrase("escalated to %(channel)s"),
    "second_person": Phrase("notified on %(channel)s: waiting for a second person"),
    "unconfirmed": Phrase("escalated to %(channel)s: still waiting for a second person"),
}


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One event in an incident's history; `note` is a person's remark on it."""

    at: datetime
    who: str
    what: Phrase
    note: str = ""
    until: datetime | None = None
    entry: str = ""
    """The id of the decision, if it can be undone."""
    ends: tuple[Phrase | str, ...] = ()
    """Reporting deadlines that it ended."""
    confirmed_by: str = ""
    """The second person who confirmed that, or "" if one person decided it."""


def pending_as_json(pending: Sequence[tuple[PendingDecision, Phrase]]) -> list[dict[str, Any]]:
    """Return one JSON object for each act of an incident that waits for a second person.

    `ends` has the deadlines that it would end, and `waits` says in words who can confirm it.
    """
    return [
        {
            "id": decision.id,
            "at": decision.at.isoformat(),
            "by": decision.by,
            "what": str(describe_pending(decision)),
            "ends": [*decision.ends],
            "due": decision.due.isoformat() if decision.due else None,
            "waits": str(waits),
        }
        for decision, waits in pending
    ]


def describe_pending(pending: PendingDecision) -> Phrase:
    """Return an English phrase for the act that waits for a second person."""
    return describe(pending.decisions[0]) if pending.decisions else Phrase("suppressed")


def history(
    store: IncidentStore, incident: Incident, decisions: Sequence[Decision]
) -> list[HistoryEntry]:
    """Return the history of an incident, newest first: its opening, decisions and notifications.

    Only notifications that were sent or that failed are included. The entry of a decision says
    whether the decision can be undone.
    """
    sent = store.scroll(
        Notification, DocumentFilter({"incident": incident.family, "outcome": ("sent", "failed")})
    )
    by_id, open_ = {decision.id: decision for decision in decisions}, find_undoable(decisions)
    decision_entries = (
        _build_decision_entry(decision, by_id, is_undoable=decision.id in open_)
        for decision in decisions
    )
    entries = [
        *decision_entries,
        *_list_notifications(sent),
        HistoryEntry(incident.opened_at, OURSELVES, Phrase("opened")),
    ]
    return sorted(entries, key=lambda event: event.at, reverse=True)


def _list_notifications(sent: Iterable[Notification]) -> Iterable[HistoryEntry]:
    for notification in sent:
        message = Phrase(TOLD[notification.why].id, channel=notification.channel)
        what = (
            message
            if notification.outcome == "sent"
            else Phrase("not delivered: %(what)s", what=message)
        )
        yield HistoryEntry(notification.sent_at or notification.due, OURSELVES, what)


def _build_decision_entry(
    decision: Decision, by_id: Mapping[str, Decision], *, is_undoable: bool
) -> HistoryEntry:
    until = decision.until if decision.act in ("due", "excused") else None
    if decision.act == "undone" and decision.about in by_id:
        return HistoryEntry(
            decision.at,
            decision.by,
            Phrase("undone: %(what)s", what=describe(by_id[decision.about])),
            decision.note,
        )
    ended = tuple(map(name_report, decision.ends)), decision.confirmed_by
    return HistoryEntry(
        decision.at,
        decision.by,
        describe(decision),
        decision.note,
        until,
        decision.id if is_undoable else "",
        *ended,
    )


def describe(decision: Decision) -> Phrase:
    """Return an English phrase for a decision as the console's history shows it."""
    if decision.act:
        return _describe_act(decision)
    if decision.stage in TELLING:
        approved = (
            Phrase("customers may be notified"),
            Phrase("customers may no longer be notified"),
        )
        return approved[not TELLING[decision.stage]]
    if decision.stage in RULINGS:
        rule = name_regime(decision.regime)
        applies = (
            Phrase("%(rule)s applies", rule=rule),
            Phrase("%(rule)s requires no report here", rule=rule),
        )
        return applies[decision.stage != "applies"]
    if decision.regime:
        what = name_report(f"{decision.regime} {decision.stage}")
        if decision.value in CHANNELS:
            return Phrase(
                "report sent, %(how)s: %(what)s", how=Phrase(CHANNELS[decision.value][0]), what=what
            )
        return Phrase("report sent: %(what)s", what=what)
    return WORDS.get(decision.status.replace("_", " "), Phrase("reopened"))


def _describe_act(decision: Decision) -> Phrase:
    if decision.act == "assigned":
        return Phrase("assigned to %(to)s", to=decision.value or Phrase("nobody"))
    if decision.act == "due":
        return Phrase("due date set") if decision.until else Phrase("due date removed")
    if decision.act == "takedown":
        return Phrase("takedown %(state)s", state=STATES[decision.value])
    if decision.act == "excused":
        return Phrase(
            "false positive: %(why)s",
            why=REASONS.get(decision.value, Phrase("another reason, see the note")),
        )
    if decision.act == "returned":
        return RETURNED.get(decision.value, Phrase("reopened"))
    if decision.act == "detached":
        return Phrase("sighting %(id)s split off", id=decision.about)
    return (
        Phrase(BETWEEN[decision.act].id, to=decision.about)
        if decision.act in BETWEEN
        else REQUESTED.get(decision.act, Phrase("undone"))
    )
