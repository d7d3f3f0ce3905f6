"""A file that somebody sent: dropped here, judged by match, and opened as an incident where that is
wanted.

The file streams through to match and is never held here or written. What it is called is told to
whoever dropped it alone, for a name may hold anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import PurePath
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import ClientDisconnect

from alerts.cases.decisions import Decisions
from alerts.cases.incident_list import wait_for
from alerts.cases.lookups.lookup import PURPOSES
from alerts.records import Incident
from alerts.records.decision import validate_note
from alerts.records.document import QueryError
from alerts.web.dependencies import Console, Text, require_permission
from alerts.web.dropped_files import (
    FINDINGS_BYTES,
    MOST_FIELDS,
    BusyError,
    DroppedFile,
    FileAssessment,
    Judge,
    NotJudgedError,
    Upload,
)
from alerts.web.middleware import HEADERS, stream_body
from alerts.web.templating import MenuEntry
from ullage.incidents import IncidentReference
from ullage.phrase import Phrase
from ullage.runtime.assessing import MOST_BYTES, AssessmentRequest, folder_of

Analyst = Annotated[Console, require_permission("file.assess")]
MENU = MenuEntry("/assess", Phrase("Assess a file"), "file.assess", "work", 4)
HOW: Mapping[str, Phrase] = {
    "customer": Phrase("A customer sent it"),
    "colleague": Phrase("A colleague found it and sent it"),
    "authority": Phrase("The police or an authority provided it"),
    "partner": Phrase("A partner or supplier sent it"),
    "public": Phrase("Found in a public place"),
    "unasked": Phrase("A stranger sent it unsolicited"),
    "bought": Phrase("Bought, exchanged, or requested as a sample"),
}
"""Who gave a file, and how it was obtained."""
BOUGHT = Phrase(
    "Buying, exchanging or requesting personal information is an offence whatever the purpose"
    " (Criminal Law 253-1, 法释〔2017〕10 art. 4). It is not processed here: leave it where it is"
    " and ask counsel."
)
KINDS = frozenset("txt csv tsv log json sql xlsx xls docx pdf zip rar 7z gz tar eml html".split())
"""Endings that the audit log may name."""
MOST_GIVER = 200
OPEN_SECONDS = 60.0
UPLOADING = f"{HEADERS['content-security-policy']}; connect-src 'self'"
"""The script that shows how much was sent sends it."""
BODY = stream_body(MOST_BYTES + MOST_FIELDS)
NOTHING: Mapping[str, str] = {"how": "", "giver": "", "purpose": "incident_response", "open": ""}
CUSTOMERS = "customers"
"""What the page of a result may be asked to download."""
NOT_FOLDED = "submitted, but not processed yet: alert is not running or is busy"


def routes() -> APIRouter:
    """The routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/assess")
    async def form(site: Analyst) -> HTMLResponse:
        try:
            return _form(
                site, waiting=await Judge(folder_of(site.context)).count_waiting(_tenants(site))
            )
        except NotJudgedError as error:
            return _form(site, away=error)

    @router.post("/assess", dependencies=[BODY])
    async def drop(request: Request, site: Analyst) -> Response:
        return await _drop(site, request)

    @router.get("/assess/{name}")
    def result(name: str, site: Analyst, take: Text = "") -> HTMLResponse:
        dropped = site.held.get(name, site.principal)
        return _result(site, name, dropped, take=take == CUSTOMERS) if dropped else _gone(site)

    @router.get(
        "/assess/{name}/customers.csv", dependencies=[require_permission("customers.export")]
    )
    def customers(name: str, site: Analyst) -> Response:
        dropped = site.held.get(name, site.principal)
        return _customers(site, dropped) if dropped else _gone(site)

    @router.post("/assess/{name}/open")
    async def open_(name: str, site: Analyst, take: Annotated[str, Form()] = "") -> Response:
        dropped = site.held.get(name, site.principal)
        return (
            await _open_held(site, name, dropped, take=take == CUSTOMERS)
            if dropped
            else _gone(site)
        )

    return router


async def _open_held(site: Console, name: str, dropped: DroppedFile, *, take: bool) -> Response:
    """Make an incident of what was judged before, unless that was done; the page that follows
    downloads what to `take`.
    """
    if dropped.judged.findings and not dropped.opened:
        try:
            await _open(
                site,
                dropped,
                await Judge(folder_of(site.context)).open(dropped.judged.findings, _tenants(site)),
            )
        except (BusyError, NotJudgedError) as error:
            return _result(site, name, dropped, error, 503)
    return RedirectResponse(f"/assess/{name}{f'?take={CUSTOMERS}' if take else ''}#incidents", 303)


async def _drop(site: Console, request: Request) -> Response:
    """Take a form with a file, and have that judged."""
    try:
        name, asked, refused = await taken(site, request)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it
    if not refused:
        return RedirectResponse(f"/assess/{name}", 303)
    status, headers = refusal_of(refused)
    page = _form(site, status, asked=asked, refused=refused)
    page.headers.update(headers)
    return page


async def taken(
    site: Console, request: Request, *, to_open: bool | None = None
) -> tuple[str, Mapping[str, str], dict[str, object]]:
    """The name under which the result of a form is held, or what is wrong with it, a field; and
    what was typed.

    Incidents are opened `to_open`; None where the form says whether.
    """
    upload = Upload(request, "file")
    asked = {**NOTHING, **await upload.fields()}
    if refused := _refusals(asked, upload):
        await upload.drain()
        return "", asked, refused
    to_open = bool(asked["open"]) if to_open is None else to_open
    try:
        return (
            await _unless_gone(request, upload, _judged(site, upload, asked, to_open=to_open)),
            asked,
            {},
        )
    except (BusyError, NotJudgedError, QueryError) as error:
        await upload.drain()
        return "", asked, {"file": error}


def refusal_of(refused: Mapping[str, object]) -> tuple[int, dict[str, str]]:
    """Status and headers of a refusal: a fault of the form, or match that is away or busy."""
    error = refused.get("file")
    headers = {"retry-after": str(error.retry_after)} if isinstance(error, BusyError) else {}
    return 503 if isinstance(error, BusyError | NotJudgedError) else 400, headers


async def _unless_gone(request: Request, upload: Upload, work: Coroutine[Any, Any, str]) -> str:
    """What `work` gives; ClientDisconnect, and the end of it, where whoever sent the file goes
    before.
    """

    async def gone() -> None:
        await upload.taken.wait()
        await request.receive()  # nothing comes after a body but the news that nobody is there

    working, going = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((working, going), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, going):
            task.cancel()


def _tenants(site: Console) -> tuple[str, ...] | None:
    """Those of whoever asks, None for all."""
    return None if site.principal.sees_all else tuple(sorted(site.principal.tenants))


def _customers(site: Console, dropped: DroppedFile) -> Response:
    """The handles as a file, which the audit log notes."""
    note_customers(site, dropped)
    how = {"content-disposition": 'attachment; filename="customers.csv"'}
    return Response(
        dropped.judged.customers.encode(), media_type="text/csv; charset=utf-8", headers=how
    )


def note_customers(site: Console, dropped: DroppedFile) -> None:
    """Record in the audit log that the customers in a file are told."""
    count = dropped.judged.customers.count("\n") - 1
    site.trail.append(
        "customers.export",
        f"{count} pseudonyms of an uploaded file",
        actor=site.principal.name,
        reason=_why(dropped),
    )


async def _judged(site: Console, upload: Upload, asked: Mapping[str, str], *, to_open: bool) -> str:
    """Have the file judged; the name under which the result is held.

    What came of it is in the audit log, however it ended.
    """
    size, said = 0, "no verdict"

    async def counted() -> AsyncIterator[bytes]:
        nonlocal size
        async for some in upload.chunks():
            size += len(some)
            yield some

    question = AssessmentRequest(
        verb="assess",
        name=PurePath(upload.name.replace("\\", "/")).name[-255:],
        tenants=_tenants(site),
        to_open=to_open,
        hold_bytes=FINDINGS_BYTES,
    )
    dropped = DroppedFile(question.name, asked["how"], asked["giver"].strip(), FileAssessment())
    try:
        dropped.judged = await Judge(folder_of(site.context)).judge(question, counted())
        said = dropped.judged.verdict["verdict"]
    finally:
        kind = PurePath(question.name).suffix.lower().lstrip(".")
        what = f"{size} bytes, {kind if kind in KINDS else 'other'}: {said}"
        site.trail.append(
            "file.assess",
            what,
            actor=site.principal.name,
            reason=f"{asked['purpose']}; {_why(dropped)}",
        )
    if question.to_open:
        await _open(site, dropped, dropped.judged.handed)
    return site.held.keep(dropped, site.principal)


async def _open(site: Console, dropped: DroppedFile, handed: Mapping[str, str]) -> None:
    """Wait for the incidents of findings that are on the bus, and note in those that are new
    where the file came from.
    """
    count = f"{len(handed)} finding{'s' * (len(handed) != 1)}"
    site.trail.append(
        "file.open", f"{count} of a dropped file", actor=site.principal.name, reason=_why(dropped)
    )
    folded = await run_in_threadpool(wait_for, site.store, site.clock, handed.keys(), OPEN_SECONDS)
    for id_, tenant in handed.items():
        dropped.opened[tenant] = opened = folded.get(id_) or IncidentReference(why_not=NOT_FOLDED)
        incident = site.store.get(Incident, opened.incident) if opened.incident else None
        if incident is not None and not incident.part_of:
            note = f"A file that was handed in: {_why(dropped)}"
            Decisions(site.duties, site.trail).make(
                incident, "note", by=site.principal.name, note=note, token=id_[:16]
            )


def _why(dropped: DroppedFile) -> str:
    """Who gave the file and how it was obtained, as the audit log and the incident have it."""
    how = str(HOW[dropped.how]).lower()
    return f"{how} ({dropped.giver})" if dropped.giver else how


def _refusals(asked: Mapping[str, str], upload: Upload) -> dict[str, object]:
    """What is wrong with the form, a field."""
    found = dict[str, object]()
    if not upload.name:
        found["file"] = Phrase("choose the file")
    if asked["how"] not in HOW:
        found["how"] = Phrase("say who provided it and how it was obtained")
    elif asked["how"] == "bought":
        found["how"] = BOUGHT
    if asked["purpose"] not in PURPOSES:
        found["purpose"] = Phrase("enter a purpose")
    try:
        if len(asked["giver"]) > MOST_GIVER:
            raise QueryError(Phrase("at most %(most)s characters", most=MOST_GIVER))
        validate_note(asked["giver"])
    except QueryError as error:
        found["giver"] = error
    return found


def _form(
    site: Console,
    status: int = 200,
    *,
    asked: Mapping[str, str] = NOTHING,
    refused: Mapping[str, object] | None = None,
    waiting: int = 0,
    away: Exception | None = None,
) -> HTMLResponse:
    """The form; of what was typed nothing is shown again that may hold an identifier."""
    refused = refused or {}
    kept = {name: "" if name in refused else asked[name] for name in NOTHING}
    shown = {
        "how": HOW,
        "waiting": waiting,
        "away": away,
        "most": MOST_GIVER,
        "most_bytes": MOST_BYTES,
    }
    page = site.page("assess.html", status, asked=kept, refused=refused, **shown)
    page.headers["content-security-policy"] = UPLOADING
    return page


def _result(
    site: Console,
    name: str,
    dropped: DroppedFile,
    refused: Exception | None = None,
    status: int = 200,
    *,
    take: bool = False,
) -> HTMLResponse:
    judged, verdict = dropped.judged, dropped.judged.verdict
    found: list[dict[str, Any]] = verdict["tenants"]
    shown = {"found": [one for one in found if one["customers"] or one["exposure"]["score"]]}
    shown["clear"] = [one for one in found if one not in shown["found"]]
    can_open = bool(judged.findings) and not dropped.opened
    return site.page(
        "assessed.html", status, held=name, take=take, dropped=dropped, verdict=verdict, **shown,
        can_open=can_open,
        refused=refused, opened=dropped.opened, how=HOW[dropped.how],
        count=max(0, judged.customers.count("\n") - 1),
    )  # fmt: skip


def _gone(site: Console) -> HTMLResponse:
    return site.missing(
        Phrase(
            "Results expire after 30 minutes and are visible only to whoever uploaded the file."
            " The file is not stored: upload it again."
        )
    )
