"""Work on a terminal: `ullage incidents acknowledge`, `assign`, `note`, `resolve`, `takedown`, `link` and so on.

Each names one incident or several and says of each exactly what it did; 2 where one of them was refused, and why.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from alerts.clocks.duties import Duties
from alerts.clocks.regimes import check_regimes
from alerts.decisions.decide import needed_for
from alerts.decisions.options import By, deciding
from alerts.desk.cases import MOST_DAYS, REASONS, TAKEDOWN, USUAL_DAYS, ActionResult, Cases
from alerts.desk.letter import letter
from alerts.desk.queue import QueueRow
from alerts.desk.work import Work
from alerts.read.view import duration
from alerts.store import IncidentStore
from ullage.errors import ConfigError
from ullage.exits import Exit
from ullage.files.atomic_write import write_out
from ullage.settings import Context

Incidents = Annotated[list[str], typer.Argument(metavar="INCIDENT…", help="One or several.")]
Remark = Annotated[str, typer.Option("--note", help="A remark, without an identifier.")]


def work_of(context: Context, store: IncidentStore) -> Work:
    """Work items under the settings; ConfigError when a tenant names a regime that is not known."""
    check_regimes(context.settings.tenants)
    return Work(Duties(store, context.tenant, context.clock))


@contextlib.contextmanager
def _cases(context: Context, by: str, permission: str) -> Iterator[tuple[Cases, str]]:
    """What can be done with incidents, and in whose name, if they may."""
    with deciding(context, by, permission) as (store, who):
        yield Cases(work_of(context, store), context.trail()), who.name


def _each(
    context: Context,
    incidents: list[str],
    by: str,
    act: Callable[[Cases, str, str], ActionResult],
    permission: str = "incident.decide",
) -> None:
    """Do something with each incident in somebody's name and say so; exit code 2 if one of them was refused."""
    with _cases(context, by, permission) as (cases, who):
        said = cases.several(incidents, lambda id_: act(cases, id_, who))
    for one in said:
        typer.echo(one.words(), err=not one.done)
    if not all(one.done for one in said):
        raise typer.Exit(Exit.USAGE)


def acknowledge(ctx: typer.Context, incidents: Incidents, by: By = "", note: Remark = "") -> None:
    """Acknowledge incidents, and show the deadlines that this starts."""
    _each(ctx.obj, incidents, by, lambda cases, id_, who: cases.acknowledge(id_, by=who, note=note))


def assign(
    ctx: typer.Context,
    incidents: Incidents,
    to: Annotated[str, typer.Option(help="To whom: a name, `me`, or - for nobody.")] = "me",
    due: Annotated[str, typer.Option(help="By when: 2026-11-25 or 2026-11-25T14:30 there, +4h, +3d, - for none.")] = "",
    by: By = "",
    note: Remark = "",
) -> None:
    """Assign incidents to somebody, by default to yourself, with a due date."""

    def act(cases: Cases, id_: str, who: str) -> ActionResult:
        return cases.assign(id_, who if to == "me" else to, by=who, due=due, note=note)

    _each(ctx.obj, incidents, by, act, "incident.assign")


def note(
    ctx: typer.Context,
    incident: str,
    text: Annotated[str, typer.Argument(help="What is to be remembered; no identifier.")],
    by: By = "",
) -> None:
    """Add a note to an incident."""
    _each(ctx.obj, [incident], by, lambda cases, id_, who: cases.decide(id_, "note", by=who, note=text))


def resolve(
    ctx: typer.Context,
    incidents: Incidents,
    as_: Annotated[
        Literal["resolved", "confirmed", "false_positive"],
        typer.Option("--as", help="Done with; ours after all, which starts its clocks; or no leak."),
    ] = "resolved",
    reason: Annotated[str, typer.Option(help=f"Why it is a false positive: {', '.join(REASONS)}.")] = "",
    days: Annotated[int, typer.Option(min=1, max=MOST_DAYS, help="After which a false positive comes back.")] = USUAL_DAYS,
    by: By = "",
    note: Remark = "",
) -> None:
    """Resolve incidents, or mark them as confirmed or false positive. Those with a running deadline are refused.

    A false positive comes back when its time is over, or when something new arrives.
    """
    if reason and as_ != "false_positive":
        raise ConfigError("--reason is of a false positive: say with --note why it is anything else")

    def act(cases: Cases, id_: str, who: str) -> ActionResult:
        if as_ == "false_positive":
            return cases.excuse(id_, reason, by=who, days=days, note=note)
        return cases.decide(id_, as_, by=who, note=note)

    _each(ctx.obj, incidents, by, act, needed_for(as_))


def takedown(
    ctx: typer.Context,
    incident: str,
    state: Annotated[str, typer.Argument(metavar="STATE", help=f"{', '.join(TAKEDOWN)}; or letter, which writes the letter.")],
    lang: Annotated[
        Literal["zh", "en"] | None, typer.Option(help="Of the letter; without it as the tenant's `language` says.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The letter's file; standard output without it.")] = None,
    by: By = "",
    note: Remark = "",
) -> None:
    """Record the state of a takedown, or write its letter; `evidence open` shows the addresses for it."""
    if state != "letter":
        _each(ctx.obj, [incident], by, lambda cases, id_, who: cases.takedown(id_, state, by=who, note=note))
        return
    with _cases(ctx.obj, by, "incident.export") as (cases, who):
        found = cases.incident(incident)
        context: Context = ctx.obj
        tenant = context.tenant(found.tenant)
        written = lang or tenant.language
        text = letter(found, cases.sightings(found), tenant, written, context.clock.now())
        context.trail().append("incident.letter", f"incident {incident}: {written}", actor=who, tenant=found.tenant)
    write_out(text.encode(), output)


def link(
    ctx: typer.Context,
    incident: str,
    other: Annotated[str, typer.Argument(metavar="[OTHER]", help="The incident that it belongs together with.")] = "",
    *,
    end: Annotated[bool, typer.Option("--end", help="They do not belong together.")] = False,
    detach: Annotated[
        str,
        typer.Option(
            metavar="SIGHTING",
            help="Make this sighting an incident of its own: how its id begins, as `incidents show --json` has it.",
        ),
    ] = "",
    by: By = "",
    note: Remark = "",
) -> None:
    """Link two incidents, or detach a sighting, with the reason in --note; both show it."""
    if bool(other) == bool(detach) or (end and detach):
        raise ConfigError("name the other incident, or a sighting with --detach")
    if detach and not note.strip():
        raise ConfigError("--note is needed: why the sighting does not belong here")

    def act(cases: Cases, id_: str, who: str) -> ActionResult:
        if detach:
            return cases.detach(id_, detach, by=who, note=note)
        return cases.link(id_, other, by=who, note=note, end=end)

    _each(ctx.obj, [incident], by, act)


def left_words(left: timedelta | None) -> str:
    """Time left, or by how much it has passed; "–" where nothing is due."""
    if left is None:
        return "–"
    seconds = left.total_seconds()
    return str(duration(seconds)) if seconds >= 0 else f"past {duration(-seconds)}"


def row_as_json(row: QueueRow) -> dict[str, Any]:
    """What a queue shows of an incident, as a JSON object."""
    incident, told = row.incident, {"id": row.incident.id, "tenant": row.incident.tenant, "status": row.item.status}
    return {**told, "severity": incident.severity, "customers": incident.customers, **work_as_json(row)}


def work_as_json(row: QueueRow) -> dict[str, Any]:
    """Whose it is, and what is due of it when."""
    item = row.item
    due = {"due": item.due_at.isoformat() if item.due_at else None, "due_for": item.due_for, "running": list(item.running)}
    return {"assignee": item.assignee, **due}
