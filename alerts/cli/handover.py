"""`ullage incidents handover`: print what a shift leaves to the next."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from alerts.cases.actions import parse_past_moment
from alerts.cases.incident_view import heading
from alerts.cases.queue import Handover, IncidentQueue, QueueRow, handover
from alerts.cli import PAST, Tenant, name_of
from alerts.coverage.view import (
    begins_as_json,
    describe_beginning,
    format_gaps,
    format_totals,
    gap_as_json,
)
from alerts.deadlines.render import duration
from alerts.deadlines.schedule import work_of
from alerts.store import open_configured_store
from alerts.store.queries import require_known_tenant
from alerts.translation import spaced
from ullage.display import moment
from ullage.display.listing import Listing
from ullage.display.screen import AsJson, By, make_console, print_row
from ullage.errors import Exit
from ullage.phrase import Phrase
from ullage.settings import Context


def hand_over(
    ctx: typer.Context,
    tenant: Tenant = "",
    since: Annotated[
        str, typer.Option(help=f"{PAST}; by default when your last shift ended.")
    ] = "",
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Show what a shift leaves to the next: new, undecided, due within a day, unassigned,
    coverage gaps.
    """
    context: Context = ctx.obj
    with contextlib.closing(open_configured_store(context)) as store:
        require_known_tenant(context, store, tenant)
        queue = IncidentQueue(work_of(context, store), name_of(by))
        start = parse_past_moment(since, context.zone, context.clock.now()) if since else None
        summary = handover(queue, tenant, start)
    if as_json:
        print_row(handover_as_json(summary))
    else:
        _print(summary, context.zone)
    if not summary.is_whole:
        raise typer.Exit(Exit.NO_VERDICT)


def handover_as_json(found: Handover) -> dict[str, Any]:
    """Return a handover as a JSON object.

    `new`, `undecided`, `due` and `unassigned` each have a `count` of all incidents, and some of
    these in `incidents`. Times are ISO 8601. `blind` are the coverage gaps.
    """
    named = {
        "new": found.new,
        "undecided": found.undecided,
        "due": found.due,
        "unassigned": found.unassigned,
    }
    return {
        "since": found.since.isoformat(),
        "until": found.until.isoformat(),
        **{
            name: {"count": part.count, "incidents": [row_as_json(row) for row in part.rows]}
            for name, part in named.items()
        },
        "coverage": {"worth": found.behind.worth, "said": str(found.behind.said)},
        "log_begins": begins_as_json(found.blind),
        "blind": [gap_as_json(gap) for gap in found.blind.gaps()],
    }


def _print(found: Handover, zone: ZoneInfo) -> None:
    typer.echo(f"From {moment(found.since, zone)} to {moment(found.until, zone)}")
    typer.echo("\n".join(f"{title}: {part.count:,}" for title, part in found.parts().items()))
    rows = found.rows()
    if rows:
        make_console().print(_rows_table(rows, found.until))
    if any(part.more for part in found.parts().values()):
        typer.echo("There are more: `ullage incidents list` shows them all.")
    typer.echo(f"\nSeen: {found.behind.said}.")
    typer.echo(f"Since then: {format_totals(found.blind)}.")
    if begins := describe_beginning(found.blind):
        typer.echo(f"  {begins.render(str, zone)}")
    for line in format_gaps(found.blind, zone):
        typer.echo(f"  {line}")


def _rows_table(rows: Sequence[tuple[QueueRow, tuple[Phrase, ...]]], now: datetime) -> Listing:
    shown = Listing(
        ("incident", "severity", "due", "status", "assigned to", "why", "what"),
        whole=("incident", "severity", "due"),
    )
    for row, why in rows:
        item = row.item
        shown.add_row(
            item.id,
            item.severity,
            format_time_left(item.time_left(now)),
            spaced(item.status),
            item.assignee or "–",
            ", ".join(map(str, why)),
            heading(row.incident),
        )
    return shown


def format_time_left(time_left: timedelta | None) -> str:
    """Return the time left, such as `2.0 h`, or `past 2.0 h` if it is negative; `–` for None."""
    if time_left is None:
        return "–"
    seconds = time_left.total_seconds()
    return str(duration(seconds)) if seconds >= 0 else f"past {duration(-seconds)}"


def row_as_json(row: QueueRow) -> dict[str, Any]:
    """Return a row of the queue as a JSON object: incident, owner, and what is due."""
    incident, identity = (
        row.incident,
        {"id": row.incident.id, "tenant": row.incident.tenant, "status": row.item.status},
    )
    return {
        **identity,
        "severity": incident.severity,
        "customers": incident.customers,
        **work_as_json(row),
    }


def work_as_json(row: QueueRow) -> dict[str, Any]:
    """Return an incident's owner, and what is due when, as a JSON object.

    `due` is ISO 8601 or null; `running` are the reports whose deadlines run, each `REGIME STAGE`.
    """
    item = row.item
    due = {
        "due": item.due_at.isoformat() if item.due_at else None,
        "due_for": item.due_for,
        "running": list(item.running),
    }
    return {"assignee": item.assignee, **due}
