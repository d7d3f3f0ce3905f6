"""Serve incidents to programs: lists, one incident, its customers, changes, exports and events.

A change names the version that it is based on, as `If-Match`: if the incident has changed since,
nothing is done (412), and a request that is sent twice has one effect.

Changes of incidents are also available as signed events, in order, after a mark that a program
keeps (`alerts.cases.feed`). Whoever handles fraud cases reports them here, with or without an
incident, and an incident then shows how many of its customers were defrauded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from alerts.cases.actions import USUAL_DAYS
from alerts.cases.exports import chosen, format_named
from alerts.cases.feed import MOST
from alerts.cases.fraud_cases import MOST_MINOR, FraudCases, FraudReport, tally
from alerts.cases.incident_list import (
    CUSTOMERS_SHOWN,
    find_customers_page,
    find_decisions,
    find_sightings_page,
    load_details,
)
from alerts.cases.incident_view import customer, details, sighting, summary
from alerts.cases.queue import IncidentQueue
from alerts.cases.second_person import waits_for
from alerts.cases.suppressions import find_suppressed
from alerts.coverage.monitoring_status import Worth, monitoring_status
from alerts.deadlines import parse_sent_at
from alerts.deadlines.render import clocks_as_json, decide_as_json
from alerts.deadlines.schedule import Work
from alerts.records import Band, Decision, Fraud, Incident, PendingDecision
from alerts.records.document import QueryError
from alerts.store import MAX_PAGE, DocumentFilter
from alerts.web.api import PREFIX
from alerts.web.dependencies import Asked, Console, Text, require_permission
from alerts.web.incident_changes import (
    carry_out,
    find_actor,
    find_permission,
    open_cases,
    version_of,
)
from alerts.web.pages.incidents import QueueForm as AskedOfQueue
from alerts.web.problems import MemberProblem, ProblemError, missing
from ullage.phrase import Phrase
from ullage.vocabulary.fields import FieldLabel


class ListCoverage(BaseModel):
    """Whether an empty list can be trusted, and why.

    Only with `worth` `monitored` or `imported` does it mean that nothing was found.
    """

    worth: Worth
    said: str
    since: datetime | None
    last: datetime | None


class IncidentList(BaseModel):
    """A page of incidents, newest first. Send `after` to get the next page; "" is the end."""

    items: list[dict[str, Any]]
    after: str
    coverage: ListCoverage


class CustomerList(BaseModel):
    """A page of the customers in an incident, by pseudonym, newest first.

    Send `after` to get the next page; "" is the end.
    """

    items: list[dict[str, Any]]
    after: str


class SightingList(BaseModel):
    """A page of the sightings of an incident, newest first.

    Send `after` to get the next page; "" is the end.
    """

    items: list[dict[str, Any]]
    after: str


class ChangeRequest(BaseModel):
    """A change of an incident.

    `by` names the person on whose behalf a program acts. Members that do not belong to the decision
    are refused.
    """

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    by: str = ""
    decision: Literal[
        "acknowledged", "confirmed", "resolved", "false_positive", "note",
        "reported", "assigned", "due", "takedown", "linked", "unlinked", "detached", "merged",
        "split", "undone",
        "second_confirmed", "second_refused",
    ]  # fmt: skip
    note: str = ""
    reason: str = ""
    """The reason for a false positive, required: an id of `alerts.cases.actions.REASONS`."""
    days: Annotated[int, Field(ge=0, le=1_000)] = USUAL_DAYS
    """The days after which a false positive reopens."""
    to: str = ""
    """The person to assign it to; "" is the caller, "-" nobody."""
    due: str = ""
    """The due date: 2026-11-25, 2026-11-25T14:30, +4h, +3d, or - for no date."""
    state: str = ""
    """The state of a takedown: asked, sent, gone or back."""
    other: str = ""
    """The other incident: to link or unlink, to merge into it, or to split off again."""
    sighting: str = ""
    """The beginning of the id of the sighting that becomes an incident of its own."""
    entry: str = ""
    """The `id` of the decision (assignment, due date or link) to undo, to confirm or to refuse."""
    regime: str = ""
    stage: str = ""
    reference: str = ""
    """The rule, the report under it (`stage`), and the authority's reference."""
    no_reference: str = ""
    """The reason why there is no reference."""
    channel: str = ""
    """How the report was sent: portal, email, phone, fax, letter or person."""
    sent_at: str = ""
    """When the report was sent, as 2026-11-25T14:30 in the tenant's zone unless it names one.

    The default is now.
    """


OF: Mapping[str, frozenset[str]] = {
    "false_positive": frozenset({"reason", "days"}),
    "reported": frozenset({"regime", "stage", "reference", "no_reference", "channel", "sent_at"}),
    "assigned": frozenset({"to", "due"}),
    "due": frozenset({"due"}),
    "takedown": frozenset({"state"}),
    "linked": frozenset({"other"}),
    "unlinked": frozenset({"other"}),
    "merged": frozenset({"other"}),
    "split": frozenset({"other"}),
    "detached": frozenset({"sighting"}),
    "undone": frozenset({"entry"}),
    "second_confirmed": frozenset({"entry"}),
    "second_refused": frozenset({"entry"}),
}
"""What a decision has besides a note."""
ANSWERS = ("second_confirmed", "second_refused")


class ChangeResult(BaseModel):
    """What was recorded, and the version of the incident after it."""

    incident: str
    at: datetime
    by: str
    status: str
    act: str
    value: str
    note: str
    version: str
    waiting_for_second_person: str = ""
    """The people who can confirm the change, if it ends a reporting deadline and so has no effect
    until a second person confirms it; else empty.
    """


@dataclass(frozen=True, slots=True)
class QueueQuery(AskedOfQueue):
    """The filters of the queue.

    By default all incidents are returned, newest first, each on its own.
    """

    tab: Text = "all"
    order: Text = "opened"
    flat: Text = "1"


EXPORTS = {
    "text/csv": {"schema": {"type": "string"}},
    "application/json": {},
    "application/x-ndjson": {},
    "application/stix+json": {},
}
"""What an export may be, by its format."""
Reader = Annotated[Console, require_permission("incident.read")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Named = Annotated[Sequence[str], Query(alias="id", max_length=500)]
Version = Annotated[str, Header(alias="If-Match", max_length=64)]
UNREAD = "set If-Match to the ETag of the incident as you read it"


def _incidents(router: APIRouter) -> None:
    @router.get("/incidents", operation_id="list_incidents", tags=["incidents"])
    def incidents(
        site: Reader, asked: Annotated[QueueQuery, Depends()], after: Text = "", limit: Limit = 50
    ) -> IncidentList:
        """Return a page of the queue.

        Send `after` to get the next page. The filters are those of the console.
        """
        queue = IncidentQueue(Work(site.duties), site.principal.name)
        view = asked.to_filter(site)
        queue.check(view)  # what cannot be asked is said first
        site.require_known_tenant(view.tenant)
        result, now = queue.page(view, limit, after), site.clock.now()
        silent = find_suppressed(site.duties, [row.incident for row in result.rows])
        status = monitoring_status(site.store, now)
        behind = ListCoverage(
            worth=status.worth, said=str(status.said), since=status.since, last=status.last
        )
        items = [
            summary(row.incident, row.item.status, silent.get(row.incident.id))
            for row in result.rows
        ]
        return IncidentList(items=items, after=result.after, coverage=behind)

    @router.get("/incidents/{id_}", operation_id="get_incident", tags=["incidents"])
    def incident(site: Reader, id_: str) -> JSONResponse:
        """Return an incident with everything that belongs to it.

        Its `ETag` is the version to send with a decision.
        """
        result = load_details(site.store, id_)
        if result is None:
            raise missing("incident")
        owed = site.duties.find_deadlines([result.incident])[id_]
        now, zone = site.clock.now(), ZoneInfo(site.duties.tenant(result.incident.tenant).zone)
        silence = find_suppressed(site.duties, [result.incident]).get(id_)
        decide = decide_as_json(owed.decide, now, zone)
        pending = open_cases(site).pending(result.incident)
        shown = details(
            replace(result, status=owed.status),
            clocks_as_json(owed.duties, now),
            silence,
            decide,
            pending,
        )
        version = _compute_version(site, result.incident)
        fraud = tally(site.store, result.incident).as_json()
        return JSONResponse(
            {**shown, "version": version, "fraud": fraud}, headers={"etag": _etag(version)}
        )

    @router.get("/incidents/{id_}/customers", operation_id="list_customers", tags=["incidents"])
    def customers(
        site: Reader, id_: str, after: Text = "", limit: Limit = CUSTOMERS_SHOWN
    ) -> CustomerList:
        """Return the customers in an incident."""
        result = find_customers_page(site.store, get_incident(site, id_), limit, after)
        return CustomerList(items=[customer(item) for item in result.items], after=result.after)

    @router.get("/incidents/{id_}/sightings", operation_id="list_sightings", tags=["incidents"])
    def sightings(
        site: Reader, id_: str, after: Text = "", limit: Limit = CUSTOMERS_SHOWN
    ) -> SightingList:
        """Return where an incident was seen."""
        result = find_sightings_page(site.store, get_incident(site, id_), limit, after)
        return SightingList(items=[sighting(item) for item in result.items], after=result.after)


def _decisions(router: APIRouter) -> None:
    @router.post("/incidents/{id_}/decisions", operation_id="decide_incident", tags=["incidents"])
    def decide(
        site: Annotated[Console, require_permission("incident.decide")],
        id_: str,
        asked: ChangeRequest,
        if_match: Version = "",
    ) -> ChangeResult:
        """Change an incident, if its version is still `If-Match`, the `ETag` that was read."""
        result = get_incident(site, id_)
        site.principal.require(find_permission(_form_status(asked)))
        if not if_match:
            raise ProblemError(
                "version_required",
                UNREAD,
                [MemberProblem(member="If-Match", code="missing", detail=UNREAD)],
            )
        return _change(site, result, asked, if_match.strip().removeprefix("W/").strip('"'))


def _exports(router: APIRouter) -> None:
    @router.get(
        "/export/{form}",
        operation_id="export_incidents",
        tags=["incidents"],
        response_class=Response,
        responses={200: {"content": EXPORTS}},
    )
    def export(
        site: Annotated[Console, require_permission("incident.export")],
        form: str,
        filters: Asked,
        incident: Named = (),
    ) -> Response:
        """Return the named incidents, or all that pass the filters, as a file.

        No customer is in it.
        """
        export_format = format_named(form)
        filters.to_filter()
        site.require_known_tenant(filters.tenant)
        content = "".join(
            export_format.write(chosen(site.store, incident, filters, site.duties.statuses))
        )
        site.trail.append(
            "incident.export", f"incidents as {form}", actor=site.actor(), tenant=filters.tenant
        )
        name = f'attachment; filename="incidents.{export_format.ENDING}"'
        return Response(
            content, media_type=export_format.MEDIA, headers={"content-disposition": name}
        )


def get_incident(site: Console, id_: str) -> Incident:
    """Return a visible incident; raise ProblemError (404) if there is none with that id."""
    incident = site.store.get(Incident, id_)
    if incident is None:
        raise missing("incident")
    return incident


def _etag(version: str) -> str:
    return f'"{version}"'


def _form_status(asked: ChangeRequest) -> str:
    """Return the requested change as the page's forms name it."""
    if asked.decision == "reported" and (asked.regime or asked.stage):
        return f"reported {asked.regime} {asked.stage}"
    return "excused" if asked.decision == "false_positive" else asked.decision


def _change(site: Console, incident: Incident, asked: ChangeRequest, version: str) -> ChangeResult:
    """Make the requested change of an incident's `version`, unless it was already made.

    Returns the recorded decision and the incident's new version; a change that waits for a second
    person says for whom. Raises ProblemError ("version_mismatch") if the incident has another
    version now and this change is not what made it so. Raises QueryError if the request has fields
    that are no part of the decision, or is otherwise invalid.
    """
    fields = {name for name, value in asked.model_dump(exclude_defaults=True).items() if value} - {
        "by",
        "decision",
        "note",
    }
    if strange := sorted(fields - OF.get(asked.decision, frozenset())):
        message = Phrase(
            "%(names)s: not part of this decision; give the reason in the note",
            names=", ".join(strange),
        )
        raise QueryError(message, *strange)
    by = site.actor(asked.by, "by")
    now = _compute_version(site, incident)
    if version == now:
        typed = {name: str(value) for name, value in asked.model_dump().items()}
        carry_out(site, incident.id, {**typed, "status": _form_status(asked), "token": version}, by)
    decision, pending = _find_recorded(site, incident, asked, version)
    zone = ZoneInfo(site.duties.tenant(incident.tenant).zone)
    sent_at = parse_sent_at(asked.sent_at, zone, site.clock.now())
    if (
        decision is None
        or not _is_same_change(decision, asked, by)
        or (sent_at and decision.sent_at != sent_at)
    ):
        raise ProblemError(
            "version_mismatch",
            "the incident has changed since you read it: read it again, then decide",
            headers={"etag": _etag(now)},
            version=now,
        )
    after = _compute_version(site, site.store.get(Incident, incident.id) or incident, decision)
    recorded = decision.model_dump(
        include={"incident", "at", "by", "status", "act", "value", "note"}
    )
    waits = str(waits_for(find_actor(site), pending)) if pending else ""
    return ChangeResult(**recorded, version=after, waiting_for_second_person=waits)


def _compute_version(site: Console, incident: Incident, *new: Decision) -> str:
    """Return the version of an incident, computed from all its decisions, pending ones included.

    `new` are decisions that a search may not find yet.
    """
    waiting = site.store.scroll(PendingDecision, DocumentFilter({"incident": (incident.id,)}))
    ids = {document.id for document in waiting}
    shown = {document.id for document in (*find_decisions(site.store, incident.id), *new)}
    return version_of(incident, ids | shown)


def _find_recorded(
    site: Console, incident: Incident, asked: ChangeRequest, version: str
) -> tuple[Decision | None, PendingDecision | None]:
    """Return the decision that was recorded for a change of that version.

    Beside it is the pending decision if it waits for a second person.
    """
    id_ = f"{asked.entry}:answer" if asked.decision in ANSWERS else f"{incident.id}:{version}"
    decision, pending = site.store.get(Decision, id_), site.store.get(PendingDecision, id_)
    if decision is None and pending is not None and pending.decisions:
        return pending.decisions[0], pending
    return decision, None


def _is_same_change(recorded: Decision, asked: ChangeRequest, by: str) -> bool:
    """Return whether `recorded` is the change that is `asked` for by `by`.

    It is if the same request was sent before; it is not if somebody else changed that version. When
    a report was sent is not compared.
    """
    to, decision = asked.to.strip(), asked.decision
    act = {"false_positive": "excused"}.get(
        decision, decision if decision in OF and decision != "reported" else ""
    )
    whose = "" if to == "-" else by if to in ("", "me") else to
    values = {
        "assigned": whose,
        "takedown": asked.state,
        "false_positive": asked.reason,
        "reported": asked.channel,
    }
    value = recorded.value if act == "undone" else values.get(decision, "")
    about = (
        recorded.about
        if act == "detached"
        else asked.entry
        if act in ("undone", *ANSWERS)
        else asked.other.strip()
    )
    recorded_fields = (
        recorded.by,
        recorded.note,
        recorded.act,
        recorded.value,
        recorded.about,
        recorded.regime,
        recorded.stage,
        recorded.reference,
    )
    requested_fields = (
        by,
        asked.note.strip(),
        act,
        value,
        about,
        asked.regime,
        asked.stage,
        asked.reference.strip(),
    )
    return recorded_fields == requested_fields and (
        bool(act) or decision in ("reported", recorded.status)
    )


class FraudCaseRequest(BaseModel):
    """One customer's fraud case, by pseudonym.

    `incident` is the leak that it came from; where none is known, leave it out and name the
    `tenant`, unless the token has only one. `first_contact` is the day on which the caller first
    reached the customer, `scam` the id of a scenario, `known_fields` what the caller knew, as
    labels. The amount that was lost, or would have been, is in minor units with its currency, or a
    band.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    incident: Annotated[str, Field(max_length=64)] = ""
    tenant: Annotated[str, Field(max_length=64)] = ""
    pseudonym: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    outcome: Fraud
    first_contact: date
    scam: Annotated[str, Field(max_length=32)] = ""
    known_fields: Annotated[list[FieldLabel], Field(max_length=len(FieldLabel))] = []
    amount: Annotated[int, Field(ge=0, le=MOST_MINOR)] | None = None
    currency: Annotated[str, Field(pattern="^([A-Z]{3})?$")] = ""
    band: Band | None = None


class FraudCaseAnswer(BaseModel):
    """Whether the case was new, and the numbers of its incident's customers now.

    `fraud` is null for a case without an incident.
    """

    recorded: bool
    fraud: dict[str, Any] | None


def _find_tenant(site: Console, asked: FraudCaseRequest, incident: Incident | None) -> str:
    """Return the tenant of a reported case.

    Raises QueryError if it is missing or is not the incident's, and UnknownTenantError if it is
    unknown.
    """
    if incident is not None:
        if asked.tenant not in ("", incident.tenant):
            raise QueryError("the incident is another tenant's: leave the tenant out", "tenant")
        return incident.tenant
    tenants = [*(site.tenants if site.principal.sees_all else site.principal.tenants)]
    tenant = asked.tenant or (tenants[0] if len(tenants) == 1 else "")
    if not tenant:
        raise QueryError("enter the incident or the tenant of this case", "incident", "tenant")
    site.require_known_tenant(tenant)
    return tenant


def _fraud_cases(router: APIRouter) -> None:
    @router.post("/fraud-cases", operation_id="report_fraud_case", tags=["people"])
    def fraud_cases(
        site: Annotated[Console, require_permission("outcome.report")], asked: FraudCaseRequest
    ) -> FraudCaseAnswer:
        """Report a customer's fraud case, with the incident that it came from or without one.

        The last report of a customer and incident counts; sending it again changes nothing.
        """
        incident = get_incident(site, asked.incident) if asked.incident else None
        report = FraudReport(
            _find_tenant(site, asked, incident),
            asked.pseudonym,
            asked.outcome,
            asked.first_contact,
            incident,
            asked.scam,
            asked.known_fields,
            asked.amount,
            asked.currency,
            asked.band,
        )
        recorded = FraudCases(site.store, site.trail).record(report, site.actor())
        fraud = tally(site.store, incident).as_json() if incident else None
        return FraudCaseAnswer(recorded=recorded, fraud=fraud)


class EventPage(BaseModel):
    """A page of events, as JSON Web Signatures.

    Store `after` once the events are processed, and send it to get those that follow.
    """

    items: list[str]
    after: str
    more: bool


class PublicKey(BaseModel):
    """The key that verifies events, as a JSON Web Key (RFC 8037)."""

    kty: str
    crv: str
    kid: str
    x: str


def _events(router: APIRouter) -> None:
    @router.get("/events", operation_id="list_events", tags=["events"])
    def events(
        site: Reader, after: Text = "", limit: Annotated[int, Query(ge=1, le=MOST)] = MOST
    ) -> EventPage:
        """Return the changes of incidents in order, as signed events.

        Types are created, grew, acknowledged, assigned, decided, reported, closed and more.
        """
        tenants = None if site.principal.sees_all else site.principal.tenants
        return EventPage.model_validate(site.feed.page(tenants, after, limit)._asdict())

    @router.get("/events/key", operation_id="get_event_key", tags=["events"])
    def key(site: Reader) -> PublicKey:
        """Return the key that verifies events.

        Fetch it one time, compare its `kid` with `keys/signers/events` on the console's host, and
        keep it.
        """
        return PublicKey(**site.feed.public_key())


def routes() -> APIRouter:
    """Return the routes of this module."""
    router = APIRouter(prefix=PREFIX)
    for add in (_incidents, _decisions, _exports, _fraud_cases, _events):
        add(router)
    return router
