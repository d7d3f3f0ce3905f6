"""`ullage incidents reported`: writes down that a report was sent, which stops its clock."""

from __future__ import annotations

import contextlib
import secrets
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from alerts.clocks.duties import Duties, status_with_report
from alerts.clocks.regimes import Regime, check_regimes, regimes
from alerts.clocks.shown import SINCE, limit
from alerts.query import whole
from alerts.records import Decision, Incident
from alerts.status import CLOSED
from alerts.store import IncidentStore, QueryError, configured_store
from alerts.typed import checked_ground, checked_name, checked_note
from ullage.audit import current_user
from ullage.errors import ConfigError
from ullage.settings import Context
from ullage.typed import identifier_in

MAX_REFERENCE = 64


def duties_of(context: Context, store: IncidentStore) -> Duties:
    """Duties under the settings; ConfigError when a tenant names a regime that is not known."""
    check_regimes(context.settings.tenants)
    return Duties(store, context.tenant, context.clock)


def reported(
    ctx: typer.Context,
    incident: str,
    by: Annotated[str, typer.Option(help="Who sent it: your name.")],
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
    with contextlib.closing(configured_store(context)) as store:
        found = whole(store, incident, 1)
        if found is None:
            raise ConfigError("no incident of that id: `ullage incidents list` shows them")
        now = context.clock.now()
        if found.status in CLOSED and not regime:
            raise ConfigError("the incident is closed: say with --regime which report was sent")
        decision = Decision(
            id=f"{incident}:{secrets.token_hex(8)}",
            tenant=found.incident.tenant,
            incident=incident,
            at=now,
            by=checked_name(by),
            status=status_with_report(found.status),
            note=checked_note(note),
            regime=regime,
            stage=_stage(_regime(regime), stage) if regime else "",
            reference=_reference(reference),
            sent_at=_sent(context, found.incident, sent_at, now),
        )
        what = f"incident {incident}: {_named(decision)}, by {decision.by}"
        context.trail().append("incident.reported", what, actor=current_user(), tenant=decision.tenant, reason=decision.note)
        store.create([decision])
    typer.echo(f"recorded: {incident} {_named(decision)}")


def ruled(
    ctx: typer.Context,
    incident: str,
    by: Annotated[str, typer.Option(help="Who decides: your name.")],
    regime: Annotated[str, typer.Option(help="Of which rule, as `incidents regimes` names it.")],
    applies: Annotated[bool, typer.Option("--applies/--waived", help="It asks for a report here, or it does not.")],
    note: Annotated[str, typer.Option(help="On what ground.")],
) -> None:
    """Decide that a rule applies to an incident which its numbers do not tell, or that it asks for nothing here."""
    context: Context = ctx.obj
    with contextlib.closing(configured_store(context)) as store:
        found = store.get(Incident, incident)
        if found is None:
            raise ConfigError("no incident of that id: `ullage incidents list` shows them")
        decision = Decision(
            id=f"{incident}:{secrets.token_hex(8)}",
            tenant=found.tenant,
            incident=incident,
            at=context.clock.now(),
            by=checked_name(by),
            status="note",
            note=checked_ground(note),
            regime=_regime(regime).id,
            stage="applies" if applies else "waived",
        )
        what = f"incident {incident}: {regime} {decision.stage}, by {decision.by}"
        context.trail().append("incident.duty", what, actor=current_user(), tenant=decision.tenant, reason=decision.note)
        store.create([decision])
    typer.echo(f"recorded: {what}")


def regimes_listed(ctx: typer.Context) -> None:
    """The rules of notification that are known, and which of them each tenant is under."""
    tenants = ctx.obj.settings.tenants
    for regime in regimes().values():
        under = ", ".join(name for name, tenant in tenants.items() if regime.id in tenant.regimes) or "no tenant"
        typer.echo(f"{regime.id}  {regime.title} {regime.title_zh}: {under}")
        for stage in regime.stages:
            typer.echo(f"  {stage.id}: {limit(stage)[0]}, from when {SINCE[stage.since][0]}")
        typer.echo(f"  to {regime.to}\n  {'verified' if regime.verified else 'NOT VERIFIED'}: {regime.source}")


def _named(decision: Decision) -> str:
    return f"reported under {decision.regime}, {decision.stage} report" if decision.regime else "reported"


def _regime(id_: str) -> Regime:
    if id_ not in regimes():
        raise ConfigError(f"there is no regime of that id: use {', '.join(regimes())}")
    return regimes()[id_]


def _stage(regime: Regime, stage: str) -> str:
    known = [s.id for s in regime.stages]
    if stage not in known:
        raise ConfigError(f"{regime.id} has no such stage: use {', '.join(known)}")
    return stage


def _reference(reference: str) -> str:
    if len(reference) > MAX_REFERENCE or identifier_in(reference, numbers=False):
        raise QueryError(f"a reference has at most {MAX_REFERENCE} characters and is no one's phone, ID or card")
    return reference.strip()


def _sent(context: Context, incident: Incident, typed: str, now: datetime) -> datetime | None:
    """The moment that was typed, as UTC; a report cannot have been sent after now."""
    if not typed:
        return None
    try:
        local = datetime.fromisoformat(typed)
    except ValueError:
        raise ConfigError("--sent-at is no time: use 2026-11-25T14:30") from None
    aware = local if local.tzinfo else local.replace(tzinfo=ZoneInfo(context.tenant(incident.tenant).zone))
    if aware > now:
        raise ConfigError("--sent-at is in the future: record a report when it is sent")
    return aware.astimezone(now.tzinfo)
