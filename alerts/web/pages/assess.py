"""Assess a file that somebody drops on the page, and open an incident of it on request.

The file streams through to match; nothing of it is kept here or written to disk. Its name is shown
to the person who dropped it and to nobody else, because a name may hold anything.
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
    """Return the routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/assess")
    async def form(site: Analyst) -> HTMLResponse:
        try:
            return _show_form(
                site,
                waiting=await Judge(folder_of(site.context)).count_waiting(_visible_tenants(site)),
            )
        except NotJudgedError as error:
            return _show_form(site, away=error)

    @router.post("/assess", dependencies=[BODY])
    async def drop(request: Request, site: Analyst) -> Response:
        return await _drop(site, request)

    @router.get("/assess/{name}")
    def result(name: str, site: Analyst, take: Text = "") -> HTMLResponse:
        dropped = site.held.get(name, site.principal)
        return (
            _show_result(site, name, dropped, take=take == CUSTOMERS)
            if dropped
            else _show_expired(site)
        )

    @router.get(
        "/assess/{name}/customers.csv", dependencies=[require_permission("customers.export")]
    )
    def customers(name: str, site: Analyst) -> Response:
        dropped = site.held.get(name, site.principal)
        return _export_customers(site, dropped) if dropped else _show_expired(site)

    @router.post("/assess/{name}/open")
    async def open_(name: str, site: Analyst, take: Annotated[str, Form()] = "") -> Response:
        dropped = site.held.get(name, site.principal)
        return (
            await _open_assessed(site, name, dropped, take=take == CUSTOMERS)
            if dropped
            else _show_expired(site)
        )

    return router


async def _open_assessed(site: Console, name: str, dropped: DroppedFile, *, take: bool) -> Response:
    """Open incidents for a file that was assessed before, unless that was done.

    With `take`, the page that follows downloads the customers.
    """
    if dropped.judged.findings and not dropped.opened:
        try:
            await _record_incidents(
                site,
                dropped,
                await Judge(folder_of(site.context)).open(
                    dropped.judged.findings, _visible_tenants(site)
                ),
            )
        except (BusyError, NotJudgedError) as error:
            return _show_result(site, name, dropped, error, 503)
    return RedirectResponse(f"/assess/{name}{f'?take={CUSTOMERS}' if take else ''}#incidents", 303)


async def _drop(site: Console, request: Request) -> Response:
    """Receive a form with a file and have the file assessed.

    Redirects to the result; a refused form is shown again with its status. Status 400 without a
    page if the sender disconnects.
    """
    try:
        name, values, refused = await receive_file(site, request)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it
    if not refused:
        return RedirectResponse(f"/assess/{name}", 303)
    status, headers = describe_refusal(refused)
    page = _show_form(site, status, asked=values, refused=refused)
    page.headers.update(headers)
    return page


async def receive_file(
    site: Console, request: Request, *, to_open: bool | None = None
) -> tuple[str, Mapping[str, str], dict[str, object]]:
    """Read a form with a file and have the file assessed.

    Returns the name of the cached result, the form's values, and the errors by field. If there are
    errors, the name is "" and the rest of the form was read and discarded. `to_open` says whether
    to open incidents; None leaves that to the form. The assessment is recorded in the audit log.
    Raises QueryError if the form is malformed before its file, and ClientDisconnect if the sender
    leaves.
    """
    upload = Upload(request, "file")
    values = {**NOTHING, **await upload.fields()}
    if refused := _check_form(values, upload):
        await upload.drain()
        return "", values, refused
    to_open = bool(values["open"]) if to_open is None else to_open
    try:
        return (
            await _cancel_on_disconnect(
                request, upload, _assess(site, upload, values, to_open=to_open)
            ),
            values,
            {},
        )
    except (BusyError, NotJudgedError, QueryError) as error:
        await upload.drain()
        return "", values, {"file": error}


def describe_refusal(refused: Mapping[str, object]) -> tuple[int, dict[str, str]]:
    """Return the status and headers of the answer to a form with the errors `refused`, by field.

    The status is 503 if match is busy (then with Retry-After) or gives no verdict, and 400 if the
    form is wrong.
    """
    error = refused.get("file")
    headers = {"retry-after": str(error.retry_after)} if isinstance(error, BusyError) else {}
    return 503 if isinstance(error, BusyError | NotJudgedError) else 400, headers


async def _cancel_on_disconnect(
    request: Request, upload: Upload, work: Coroutine[Any, Any, str]
) -> str:
    """Return the result of `work`.

    If the sender disconnects first, `work` is cancelled and ClientDisconnect is raised.
    """

    async def wait_for_disconnect() -> None:
        await upload.taken.wait()
        await request.receive()  # nothing comes after a body but the news that nobody is there

    working, going = asyncio.ensure_future(work), asyncio.ensure_future(wait_for_disconnect())
    try:
        await asyncio.wait((working, going), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, going):
            task.cancel()


def _visible_tenants(site: Console) -> tuple[str, ...] | None:
    """Return the principal's tenants, sorted; None for all."""
    return None if site.principal.sees_all else tuple(sorted(site.principal.tenants))


def _export_customers(site: Console, dropped: DroppedFile) -> Response:
    """Return the customer pseudonyms as a file; the export is logged."""
    record_export(site, dropped)
    how = {"content-disposition": 'attachment; filename="customers.csv"'}
    return Response(
        dropped.judged.customers.encode(), media_type="text/csv; charset=utf-8", headers=how
    )


def record_export(site: Console, dropped: DroppedFile) -> None:
    """Record in the audit log that the customers in a file are exported, with their number."""
    count = dropped.judged.customers.count("\n") - 1
    site.trail.append(
        "customers.export",
        f"{count} pseudonyms of an uploaded file",
        actor=site.principal.name,
        reason=_describe_origin(dropped),
    )


async def _assess(
    site: Console, upload: Upload, values: Mapping[str, str], *, to_open: bool
) -> str:
    """Have the file assessed and return the name of the cached result.

    The outcome is recorded in the audit log, even after an error; of the file's name only a known
    ending is recorded. With `to_open` it waits for the incidents. Raises BusyError, NotJudgedError
    and QueryError of `Judge.judge` and `Upload`.
    """
    size, outcome = 0, "no verdict"

    async def count_bytes() -> AsyncIterator[bytes]:
        nonlocal size
        async for chunk in upload.chunks():
            size += len(chunk)
            yield chunk

    question = AssessmentRequest(
        verb="assess",
        name=PurePath(upload.name.replace("\\", "/")).name[-255:],
        tenants=_visible_tenants(site),
        to_open=to_open,
        hold_bytes=FINDINGS_BYTES,
    )
    dropped = DroppedFile(question.name, values["how"], values["giver"].strip(), FileAssessment())
    try:
        dropped.judged = await Judge(folder_of(site.context)).judge(question, count_bytes())
        outcome = dropped.judged.verdict["verdict"]
    finally:
        kind = PurePath(question.name).suffix.lower().lstrip(".")
        what = f"{size} bytes, {kind if kind in KINDS else 'other'}: {outcome}"
        site.trail.append(
            "file.assess",
            what,
            actor=site.principal.name,
            reason=f"{values['purpose']}; {_describe_origin(dropped)}",
        )
    if question.to_open:
        await _record_incidents(site, dropped, dropped.judged.handed)
    return site.held.keep(dropped, site.principal)


async def _record_incidents(site: Console, dropped: DroppedFile, handed: Mapping[str, str]) -> None:
    """Wait for the incidents of findings that are on the bus, at most OPEN_SECONDS (60 s).

    `handed` are their ids with their tenants. The audit log records it first. Stores in
    `dropped.opened` the incident of each tenant, or that there is none yet. Incidents get a note
    that says where the file came from, unless they are part of another.
    """
    count = f"{len(handed)} finding{'s' * (len(handed) != 1)}"
    site.trail.append(
        "file.open",
        f"{count} of a dropped file",
        actor=site.principal.name,
        reason=_describe_origin(dropped),
    )
    folded = await run_in_threadpool(wait_for, site.store, site.clock, handed.keys(), OPEN_SECONDS)
    for id_, tenant in handed.items():
        dropped.opened[tenant] = opened = folded.get(id_) or IncidentReference(why_not=NOT_FOLDED)
        incident = site.store.get(Incident, opened.incident) if opened.incident else None
        if incident is not None and not incident.part_of:
            note = f"A file that was handed in: {_describe_origin(dropped)}"
            Decisions(site.duties, site.trail).make(
                incident, "note", by=site.principal.name, note=note, token=id_[:16]
            )


def _describe_origin(dropped: DroppedFile) -> str:
    """Describe who provided the file and how, for the audit log and the incident."""
    how = str(HOW[dropped.how]).lower()
    return f"{how} ({dropped.giver})" if dropped.giver else how


def _check_form(values: Mapping[str, str], upload: Upload) -> dict[str, object]:
    """Return what is wrong with the form, by field.

    Raises QueryError if the giver's name is longer than `MOST_GIVER` (200) characters. Such an
    error is caught and returned as that of the field `giver`.
    """
    errors = dict[str, object]()
    if not upload.name:
        errors["file"] = Phrase("choose the file")
    if values["how"] not in HOW:
        errors["how"] = Phrase("say who provided it and how it was obtained")
    elif values["how"] == "bought":
        errors["how"] = BOUGHT
    if values["purpose"] not in PURPOSES:
        errors["purpose"] = Phrase("enter a purpose")
    try:
        if len(values["giver"]) > MOST_GIVER:
            raise QueryError(
                Phrase(
                    "use at most %(most)s characters to name who provided the file",
                    most=MOST_GIVER,
                )
            )
        validate_note(values["giver"])
    except QueryError as error:
        errors["giver"] = error
    return errors


def _show_form(
    site: Console,
    status: int = 200,
    *,
    asked: Mapping[str, str] = NOTHING,
    refused: Mapping[str, object] | None = None,
    waiting: int = 0,
    away: Exception | None = None,
) -> HTMLResponse:
    """Show the form; a refused field is emptied, because it may contain an identifier."""
    refused = refused or {}
    shown_values = {name: "" if name in refused else asked[name] for name in NOTHING}
    shown = {
        "how": HOW,
        "waiting": waiting,
        "away": away,
        "most": MOST_GIVER,
        "most_bytes": MOST_BYTES,
    }
    page = site.page("assess.html", status, asked=shown_values, refused=refused, **shown)
    page.headers["content-security-policy"] = UPLOADING
    return page


def _show_result(
    site: Console,
    name: str,
    dropped: DroppedFile,
    refused: Exception | None = None,
    status: int = 200,
    *,
    take: bool = False,
) -> HTMLResponse:
    judged, verdict = dropped.judged, dropped.judged.verdict
    tenants: list[dict[str, Any]] = verdict["tenants"]
    shown = {
        "found": [
            tenant for tenant in tenants if tenant["customers"] or tenant["exposure"]["score"]
        ]
    }
    shown["clear"] = [tenant for tenant in tenants if tenant not in shown["found"]]
    can_open = bool(judged.findings) and not dropped.opened
    return site.page(
        "assessed.html", status, held=name, take=take, dropped=dropped, verdict=verdict, **shown,
        can_open=can_open,
        refused=refused, opened=dropped.opened, how=HOW[dropped.how],
        count=max(0, judged.customers.count("\n") - 1),
    )  # fmt: skip


def _show_expired(site: Console) -> HTMLResponse:
    return site.missing(
        Phrase(
            "Results expire after 30 minutes and are visible only to whoever uploaded the file."
            " The file is not stored: upload it again."
        )
    )
