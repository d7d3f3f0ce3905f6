"""`ullage incidents duty`: reports that were sent, and rules that apply.

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
from alerts.store import DocumentFilter, IncidentStore
from ullage.clock import in_range
from ullage.errors import ConfigError
from ullage.settings import Context


def duties_of(context: Context, store: IncidentStore) -> Duties:
    """Duties under the settings; ConfigError when a tenant names a regime that is not known."""
    check_regimes(context.settings.tenants)
    return Duties(store, context.tenant, context.clock)


def duty(
    ctx: typer.Context,
    incident: Annotated[str, typer.Argument(metavar="[INCIDENT]", help="Without it, the rules that are known.")] = "",
    *,
    sent: Annotated[bool, typer.Option("--sent", help="It was reported, which stops the clock of that report.")] = False,
    applies: Annotated[
        bool | None, typer.Option("--applies/--waived", help="The rule asks for a report here, or it does not.")
    ] = None,
    regime: Annotated[
        str, typer.Option(help="Of which rule, as `incidents show` names it; of all of them for --sent without one.")
    ] = "",
    stage: Annotated[str, typer.Option(help="Which report was sent: brief, first, written or final.")] = "first",
    reference: Annotated[str, typer.Option(help="The authority's number for it.")] = "",
    sent_at: Annotated[str, typer.Option(help="When it was sent, in the tenant's zone, 2026-11-25T14:30; now by default.")] = "",
    note: Annotated[str, typer.Option(help="A remark, such as why it is late; on what ground a rule applies or is waived.")] = "",
    by: By = "",
    as_: Annotated[str, typer.Option("--as", help="To waive takes two people: one as lead, one as dpo.")] = "",
) -> None:
    """Record that a report was sent, or that a regulation applies or is waived; or list the regulations."""
    context: Context = ctx.obj
    if not incident:
        _list_regimes(context)
        return
    if sent == (applies is not None):
        raise ConfigError("say one of --sent, --applies and --waived")
    if sent:
        _record_sent(context, incident, f"reported {regime} {stage}" if regime else "reported", sent_at, by, note, reference)
        return
    if not (regime and note):
        raise ConfigError("--regime and --note are needed: which rule, and on what ground")
    _record_ruling(context, incident, f"{'applies' if applies else 'waived'} {regime}", by, note, as_)


def _record_sent(context: Context, incident: str, chosen: str, sent_at: str, by: str, note: str, reference: str) -> None:
    with deciding(context, by, "incident.decide") as (store, who):
        found = incident_named(store, incident)
        sent = _sent(context, found, sent_at)
        desk = Decisions(duties_of(context, store), context.trail())
        made = desk.make(found, chosen, by=who.name, note=note, reference=reference, sent_at=sent)
    typer.echo(f"recorded: {incident} {said(made)}")


def _record_ruling(context: Context, incident: str, chosen: str, by: str, note: str, as_: str) -> None:
    with deciding(context, by, needed_for(chosen)) as (store, who):
        if as_ and who.roles and as_ not in who.roles:
            raise ConfigError(f"account {who.name} is no {as_}: --as is one of its roles")
        found, desk = incident_named(store, incident), Decisions(duties_of(context, store), context.trail())
        made = desk.make(found, chosen, by=who.name, note=note, roles=(as_,) if as_ else who.roles)
        _, half = decided(regimes()[made.regime], store.scroll(Decision, DocumentFilter({"incident": (found.id,)})))
    waits = f"; it takes the decision of a {'dpo' if half.value == 'lead' else 'lead'} as well" if half else ""
    typer.echo(f"recorded: {incident} {said(made)}{waits}")


def _list_regimes(context: Context) -> None:
    """The rules of notification that are known, and which of them each tenant is under."""
    tenants = context.settings.tenants
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
