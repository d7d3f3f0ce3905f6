"""The same as JSON. Its shapes are declared, so that `/api/openapi.json` describes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, SecretStr

from alerts.clocks.render import clocks_as_json, decide_as_json
from alerts.decisions.decide import Decisions, needed_for
from alerts.desk.cases import USUAL_DAYS, Cases
from alerts.desk.work import Work
from alerts.export.facts import chosen
from alerts.export.formats import format_named
from alerts.lookup.person import UNSEEN, Told, reply, told
from alerts.noise.suppressions import suppressed
from alerts.read.heard import Worth, looked
from alerts.read.query import SHOWN, customers_of, listed, whole
from alerts.read.view import customer, details, summary
from alerts.records import Decision, Incident
from alerts.search.asked import Asked, Text
from alerts.search.may import may
from alerts.search.pages.person import asked_of
from alerts.search.site import Site
from alerts.store import MAX_PAGE, QueryError


class LookedAt(BaseModel):
    """What stands behind the list: only `looked` and `handed` let an empty one mean that there was nothing; `said` says why."""

    worth: Worth
    said: str
    since: datetime | None
    last: datetime | None


class IncidentList(BaseModel):
    """A page of incidents, newest first; give `after` back for the next page, "" is the end."""

    items: list[dict[str, Any]]
    after: str
    looked: LookedAt


class CustomerList(BaseModel):
    """A page of the customers in an incident, by handle, newest first; give `after` back for the next page, "" is the end."""

    items: list[dict[str, Any]]
    after: str


class ExposedRequest(BaseModel):
    """Whom to look up, why, under which case number. `who` asks is for programs to say. Unknown members are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    value: SecretStr
    who: str = ""
    purpose: str
    case: str


class DecisionRequest(BaseModel):
    """What is decided of an incident, and on what ground; `by` whom is for programs to say. Unknown members are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    by: str = ""
    decision: Literal["acknowledged", "confirmed", "resolved", "false_positive", "note"]
    note: str = ""
    reason: str = ""
    """Why it is a false positive, which needs one: an id of `alerts.desk.cases.REASONS`."""
    days: int = USUAL_DAYS
    """After which a false positive comes back."""


class Said(BaseModel):
    """The same in English and Chinese."""

    en: str
    zh: str


class ExposedBy(BaseModel):
    """One exposure as the caller may hear of it; `script` is a warning that says nothing of them until telling is `approved`."""

    kinds: list[Said]
    month: str
    scam: Said
    protects: list[Said]
    approved: bool
    script: Said


class Behind(BaseModel):
    """Since when is looked, and when last; `worth` as of a list, `unseen` what no answer speaks of."""

    worth: Worth
    since: datetime | None
    last: datetime | None
    unseen: Said


class ExposedAnswer(BaseModel):
    """`kinds` is what the value was read as; none means that it is no identifier that is known here, and `answer` is `refused`.

    `recorded` says that somebody is recorded with the value and that it was found nowhere; `listed_on` is the day of the list
    that says so, or that nobody is. Without such a list it is null, and `no_record` does not say whether its owner is a customer.
    `script` is what is read to the caller where nothing was found. `seen_alone` says that the value stood somewhere without
    anything that a leak has, which is no exposure by itself.
    """

    kinds: tuple[str, ...]
    answer: Literal["exposed", "recorded", "no_record", "refused"]
    exposed: bool
    found: list[ExposedBy]
    listed_on: datetime | None
    script: Said | None
    seen_alone: bool
    looked: Behind


Reader = Annotated[Site, may("incident.read")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Named = Annotated[Sequence[str], Query(alias="id", max_length=500)]


def routes() -> APIRouter:
    """The routes of this module."""
    router = APIRouter(prefix="/api")

    @router.get("/incidents")
    def incidents(
        site: Reader,
        filters: Asked,
        after: Text = "",
        limit: Limit = 50,
    ) -> IncidentList:
        filters.where()
        site.known(filters.tenant)
        found = listed(site.store, filters, limit, after, site.duties.statuses)
        silent = suppressed(site.store, [incident for incident, _ in found.rows], site.clock.now())
        now = looked(site.store, site.clock.now())
        behind = LookedAt(worth=now.worth, said=str(now.said), since=now.since, last=now.last)
        return IncidentList(items=[summary(*row, silent.get(row[0].id)) for row in found.rows], after=found.after, looked=behind)

    @router.get("/incidents/{id_}")
    def incident(site: Reader, id_: str) -> JSONResponse:
        found = whole(site.store, id_)
        if found is None:
            return JSONResponse({"error": "no such incident"}, 404)
        owed = site.duties.owed([found.incident])[id_]
        now, zone = site.clock.now(), ZoneInfo(site.duties.tenant(found.incident.tenant).zone)
        silence = suppressed(site.store, [found.incident], now).get(id_)
        decide = decide_as_json(owed.decide, now, zone)
        return JSONResponse(details(replace(found, status=owed.status), clocks_as_json(owed.duties, now), silence, decide))

    @router.get("/incidents/{id_}/customers", response_model=CustomerList)
    def customers(site: Reader, id_: str, after: Text = "", limit: Limit = SHOWN) -> CustomerList | JSONResponse:
        incident = site.store.get(Incident, id_)
        if incident is None:
            return JSONResponse({"error": "no such incident"}, 404)
        found = customers_of(site.store, incident, limit, after)
        return CustomerList(items=[customer(one) for one in found.items], after=found.after)

    @router.post("/incidents/{id_}/decisions")
    def decide(site: Annotated[Site, may("incident.decide")], id_: str, asked: DecisionRequest) -> JSONResponse:
        found = site.store.get(Incident, id_)
        if found is None:
            return JSONResponse({"error": "no such incident"}, 404)
        site.principal.require(needed_for(asked.decision))
        made = _decided(site, found, asked)
        return JSONResponse(made.model_dump(mode="json", include={"incident", "at", "by", "status", "note"}))

    @router.get("/export/{form}")
    def export(site: Annotated[Site, may("incident.export")], form: str, filters: Asked, incident: Named = ()) -> Response:
        """The incidents named, or all that pass the filters, without anybody who is in them."""
        wanted = format_named(form)
        filters.where()
        site.known(filters.tenant)
        content = "".join(wanted.write(chosen(site.store, incident, filters, site.duties.statuses)))
        site.trail.append("incident.export", f"incidents as {form}", actor=site.actor(), tenant=filters.tenant)
        name = f'attachment; filename="incidents.{wanted.ENDING}"'
        return Response(content, media_type=wanted.MEDIA, headers={"content-disposition": name})

    @router.post("/exposed")
    def exposed(site: Annotated[Site, may("person.check")], asked: ExposedRequest) -> ExposedAnswer:
        question = site.question(asked.value.get_secret_value(), site.actor(asked.who), asked.purpose, asked.case)
        answer = asked_of(site, question)
        found = [ExposedBy.model_validate(_said(one)) for one in told(answer)]
        now = looked(site.store, site.clock.now())
        behind = Behind(worth=now.worth, since=now.since, last=now.last, unseen=Said(**UNSEEN._asdict()))
        said = reply(answer, now)
        return ExposedAnswer(
            kinds=answer.kinds,
            answer=said.answer,
            exposed=bool(found),
            found=found,
            listed_on=said.listed_on,
            script=Said(**said.script._asdict()) if said.script else None,
            seen_alone=bool(answer.seen),
            looked=behind,
        )

    return router


def _decided(site: Site, found: Incident, asked: DecisionRequest) -> Decision:
    """Record what is asked for; QueryError where a false positive has no reason, or anything else has one."""
    by = site.actor(asked.by)
    if asked.decision == "false_positive":
        said = Cases(Work(site.duties), site.trail).excuse(found.id, asked.reason, by=by, days=asked.days, note=asked.note)
        assert said.made is not None
        return said.made
    if asked.reason:
        raise QueryError("a reason is of a false positive: say in the note why it is anything else")
    return Decisions(site.store, site.trail).make(found, asked.decision, by=by, note=asked.note)


def _said(one: Told) -> dict[str, Any]:
    """An exposure with its texts as members, not as pairs."""
    return {
        "kinds": [text._asdict() for text in one.kinds],
        "month": one.month,
        "scam": one.scam._asdict(),
        "protects": [text._asdict() for text in one.protects],
        "approved": one.approved,
        "script": one.script._asdict(),
    }
