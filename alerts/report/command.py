"""`ullage report`: the draft of a breach notification."""

from __future__ import annotations

import contextlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from alerts.decisions.command import duties_of
from alerts.read.query import decisions_of, incident_named
from alerts.records import Sighting
from alerts.report.draft import Language, ReportDraft, page
from alerts.report.facts import Case
from alerts.store import DocumentFilter, IncidentStore, configured_store
from ullage.audit import current_user
from ullage.audit.bait import stamps
from ullage.audit.trail import FOLDER
from ullage.errors import ConfigError
from ullage.files.atomic_write import is_standard_output, write_out
from ullage.settings import Context


class Form(StrEnum):
    """What the draft is written as."""

    MARKDOWN = "md"
    WORD = "docx"


def report(
    ctx: typer.Context,
    incident: str,
    lang: Annotated[
        Language | None, typer.Option(help="Chinese, English, or both side by side; without it as the tenant's `language` says.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="Markdown, or a document for a word processor.")] = Form.MARKDOWN,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; standard output without it.")] = None,
) -> None:
    """Draft the breach notification of an incident. It names no customer, is sent nowhere, and is for counsel to review."""
    context: Context = ctx.obj
    if form is Form.WORD and is_standard_output(output) and sys.stdout.isatty():
        raise ConfigError("a document is no text: name a file with -o")
    with contextlib.closing(configured_store(context)) as store:
        case = case_of(context, store, incident)
    lang = lang or Language(case.tenant.language)
    drafted = page(case, lang)
    content = rendered(drafted, form, case)
    what = f"incident {incident}: notification draft, {form}, {lang}"
    context.trail().append("incident.draft", what, actor=current_user(), tenant=case.incident.tenant)
    write_out(content, output)
    typer.echo(f"{drafted.open} fields are left for a person to fill in.", err=True)


def case_of(context: Context, store: IncidentStore, incident: str) -> Case:
    """Everything that the draft of an incident is made from; ConfigError when there is none of that id."""
    found, decisions = incident_named(store, incident), decisions_of(store, incident)
    duties, tenant = duties_of(context, store), context.tenant(found.tenant)
    moments = duties.moments(found, decisions)
    return Case(
        incident=found,
        sightings=sorted(store.scroll(Sighting, DocumentFilter({"incident": found.family})), key=lambda s: (s.fetched_at, s.id)),
        moments=moments,
        duties=duties.since(found, decisions, moments),
        tenant=tenant,
        zone=ZoneInfo(tenant.zone),
        now=context.clock.now(),
        decide=duties.decides([found]).get(incident),
        stamps=tuple(stamps(context.data / FOLDER, found.tenant, found.origin_label)) if found.origin_label else (),
    )


def rendered(drafted: ReportDraft, form: Form, case: Case) -> bytes:
    """The page in its form; a library is loaded only for the form that needs it."""
    if form is Form.WORD:
        from alerts.report.word import word  # noqa: PLC0415  python-docx takes a while to load

        return word(drafted, case.now)
    from alerts.report.markdown import markdown  # noqa: PLC0415  as above

    return markdown(drafted).encode()
