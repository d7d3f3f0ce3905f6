"""`ullage incidents acknowledge`, `reported`, `duty` and `regimes`: what people did and decided.

A report that was sent stops its clock; what is confirmed, or a rule that applies, starts one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from alerts.clocks.duties import Duties
from alerts.clocks.duties import ruled as decided
from alerts.clocks.regimes import check_regimes, regimes
from alerts.clocks.render import SINCE, limit
from alerts.decisions.decide import Decisions, needed_for, said
from alerts.decisions.options import By, deciding
from alerts.read.query import incident_named
from alerts.records import Decision, Incident
from alerts.store import IncidentStore, Where
from ullage.clock import in_range
from ullage.errors import ConfigError
from ullage.settings import Context

Note = Annotated[str, typer.Option(help="A remark, without an identifier.")]


def duties_of(context: Context, store: IncidentStore) -> Duties:
    """Duties under the settings; ConfigError when a tenant names a regime that is not known."""
    check_regimes(context.settings.tenants)
    return Duties(store, context.tenant, context.clock)


def reported(
    ctx: typer.Context,
    incident: str,
    by: By = "",
    regime: Annotated[
        str, typer.Option(help="Under which rule, as `incidents show` names it; without one, under all of them.")
    ] = "",
    stage: Annotated[str, typer.Option(help="brief, first, written or final.")] = "first",
    reference: Annotated[str, typer.Option(help="The authority's number for it.")] = "",
    sent_at: Annotated[str, typer.Option(help="When it was sent, in the tenant's zone, 2026-11-25T14:30; now by default.")] = "",
    note: Annotated[str, typer.Option(help="A remark, such as why it is late.")] = "",
) -> None:
    """Record that an incident was reported; this stops the clock of that report. Nothing is sent."""
    context: Context = ctx.obj
    chosen = f"reported {regime} {stage}" if regime else "reported"
    with deciding(context, by, "incident.decide") as (store, who):
        found = incident_named(store, incident)
        sent = _sent(context, found, sent_at)
        desk = Decisions(duties_of(context, store), context.trail())
        made = desk.make(found, chosen, by=who.name, note=note, reference=reference, sent_at=sent)
    typer.echo(f"recorded: {incident} {said(made)}")


def acknowledge(
    ctx: typer.Context, incident: str, by: By = "", note: Annotated[str, typer.Option(help="A remark.")] = ""
) -> None:
    """Say that you know of an incident and deal with it: it is told to nobody else, and repeated no more."""
    record(ctx.obj, incident, "acknowledged", by, note)


def record(context: Context, incident: str, chosen: str, by: str, note: str) -> None:
    """Record a decision in the name of `by`, and say so."""
    with deciding(context, by, needed_for(chosen)) as (store, who):
        desk = Decisions(duties_of(context, store), context.trail())
        made = desk.make(incident_named(store, incident), chosen, by=who.name, note=note)
    typer.echo(f"recorded: {incident} {said(made)} by {made.by}")


def ruled(
    ctx: typer.Context,
    incident: str,
    regime: Annotated[str, typer.Option(help="Of which rule, as `incidents regimes` names it.")],
    applies: Annotated[bool, typer.Option("--applies/--waived", help="It asks for a report here, or it does not.")],
    note: Annotated[str, typer.Option(help="On what ground.")],
    by: By = "",
    as_: Annotated[str, typer.Option("--as", help="To waive takes two people: one as lead, one as dpo.")] = "",
) -> None:
    """Decide that a rule applies to an incident which its numbers do not tell, or that it asks for nothing here."""
    context: Context = ctx.obj
    chosen = f"{'applies' if applies else 'waived'} {regime}"
    with deciding(context, by, needed_for(chosen)) as (store, who):
        if as_ and who.roles and as_ not in who.roles:
            raise ConfigError(f"account {who.name} is no {as_}: --as is one of its roles")
        found, desk = incident_named(store, incident), Decisions(duties_of(context, store), context.trail())
        made = desk.make(found, chosen, by=who.name, note=note, roles=(as_,) if as_ else who.roles)
        _, half = decided(regimes()[made.regime], store.scroll(Decision, Where({"incident": (found.id,)})))
    waits = f"; it takes the decision of a {'dpo' if half.value == 'lead' else 'lead'} as well" if half else ""
    typer.echo(f"recorded: {incident} {said(made)}{waits}")


def regimes_listed(ctx: typer.Context) -> None:
    """The rules of notification that are known, and which of them each tenant is under."""
    tenants = ctx.obj.settings.tenants
    for regime in regimes().values():
        under = ", ".join(name for name, tenant in tenants.items() if regime.id in tenant.regimes) or "no tenant"
        typer.echo(f"{regime.id}  {regime.title} {regime.title_zh}: {under}")
        for stage in regime.stages:
            typer.echo(f"  {stage.id}: {limit(stage)[0]}, from when {SINCE[stage.since][0]}")
        typer.echo(f"  to {regime.to}\n  {'verified' if regime.verified else 'NOT VERIFIED'}: {regime.source}")


def _sent(context: Context, incident: Incident, typed: str) -> datetime | None:
    """The moment that was typed, as UTC; a report cannot have been sent after now."""
    if not typed:
        return None
    try:
        local = datetime.fromisoformat(typed)
        aware = in_range(local if local.tzinfo else local.replace(tzinfo=ZoneInfo(context.tenant(incident.tenant).zone)))
    except ValueError:
        aware = None
    if aware is None:
        raise ConfigError("--sent-at is no time: use 2026-11-25T14:30")
    now = context.clock.now()
    if aware > now:
        raise ConfigError("--sent-at is in the future: record a report when it is sent")
    return aware.astimezone(now.tzinfo)
