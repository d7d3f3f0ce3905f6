"""`ullage incidents handover`: what a shift leaves to the next, on a terminal."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import RenderableType

from alerts.coverage.render import gap_as_json, gap_lines, total_line
from alerts.decisions.options import By, Tenant, name_of
from alerts.desk.cases import moment_past
from alerts.desk.command import left_words, row_as_json, work_of
from alerts.desk.queue import IncidentQueue
from alerts.handover.shift import Handover, HandoverPart, handover
from alerts.read.tenants import require_known
from alerts.read.view import brief
from alerts.store import configured_store
from alerts.words import spaced
from ullage.display.render import moment
from ullage.display.screen import AsJson, cell, console, print_row, table
from ullage.exits import Exit
from ullage.settings import Context


def hand_over(
    ctx: typer.Context,
    tenant: Tenant = "",
    since: Annotated[str, typer.Option(help="2026-11-25T06:00; by default when your last shift ended.")] = "",
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Show what a shift leaves to the next: new, undecided, due within a day, unassigned, coverage gaps."""
    context: Context = ctx.obj
    with contextlib.closing(configured_store(context)) as store:
        require_known(context, store, tenant)
        zone = ZoneInfo(context.tenant(tenant).zone)
        queue = IncidentQueue(work_of(context, store), name_of(by))
        start = moment_past(since, zone, context.clock.now()) if since else None
        found = handover(queue, context.settings.coverage.gap_minutes, tenant, start)
    if as_json:
        print_row(handover_as_json(found))
    else:
        _print(found, ZoneInfo(context.settings.coverage.zone))
    if not found.is_whole:
        raise typer.Exit(Exit.NO_VERDICT)


def handover_as_json(found: Handover) -> dict[str, Any]:
    """A handover as a JSON object."""
    named = {"new": found.new, "undecided": found.undecided, "due": found.due, "unassigned": found.unassigned}
    return {
        "since": found.since.isoformat(),
        "until": found.until.isoformat(),
        **{name: {"count": part.count, "incidents": [row_as_json(row) for row in part.rows]} for name, part in named.items()},
        "looked": {"worth": found.behind.worth, "said": str(found.behind.said)},
        "blind": [gap_as_json(gap) for gap in found.blind.gaps()],
    }


def _print(found: Handover, zone: ZoneInfo) -> None:
    typer.echo(f"From {moment(found.since)} to {moment(found.until)}")
    for title, part in found.parts().items():
        typer.echo(f"\n{title}: {part.count:,}")
        if part.rows:
            console().print(_rows_table(part, found.until))
        if part.more:
            typer.echo(f"  and {part.more:,} more")
    typer.echo(f"\nSeen: {found.behind.said}.")
    typer.echo(f"Since then: {total_line(found.blind)}.")
    for line in gap_lines(found.blind, zone):
        typer.echo(f"  {line}")


def _rows_table(part: HandoverPart, now: datetime) -> RenderableType:
    shown = table("incident", "severity", "status", "what", "site", "customers", "assigned to", "due", right=("customers",))
    for row in part.rows:
        item = row.item
        shown.add_row(
            item.id,
            item.severity,
            spaced(item.status),
            cell(row.incident.scenario_title or "no known scenario"),
            cell(brief(item.sites, 1)),
            row.incident.counted,
            cell(item.assignee or "–"),
            left_words(item.left(now)),
        )
    return shown
