"""`ullage incidents suppress`, `suppressions`, `unsuppress`, `background`."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from alerts.decisions.command import duties_of
from alerts.decisions.options import By, Reason, Tenant, deciding
from alerts.noise import render
from alerts.noise.background import BACKGROUND
from alerts.noise.counts import Count, background_counts
from alerts.noise.suppressions import MOST_DAYS, Conditions, Desk, said, suppressions
from alerts.read.tenants import require_known
from alerts.store import configured_store
from ullage.display.screen import AsJson, print_list
from ullage.settings import Context


def suppress(
    ctx: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="The tenant that it is for.")],
    reason: Annotated[str, typer.Option(help="Why nobody need be told; no identifier.")],
    days: Annotated[int, typer.Option(min=1, max=MOST_DAYS, help="After so many days it ends by itself.")],
    site: Annotated[str, typer.Option(help="Posts of this site.")] = "",
    channel: Annotated[str, typer.Option(help="Posts of this channel.")] = "",
    author: Annotated[str, typer.Option(help="Posts of this author, as an incident shows them.")] = "",
    rule: Annotated[str, typer.Option(help="Incidents of this scenario or with this reason code, such as X18.")] = "",
    incident: Annotated[str, typer.Option(help="This incident and what is like it, until there is more in it.")] = "",
    by: By = "",
) -> None:
    """Silence what fits: no notification until it ends. What is `statutory` and bait that was found are never silenced."""
    context: Context = ctx.obj
    with deciding(context, by, "noise.change") as (store, who):
        require_known(context, store, tenant)
        conditions = Conditions(site, channel, author, rule, incident)
        desk = Desk(duties_of(context, store), context.trail())
        made = desk.suppress(tenant, conditions, days=days, by=who.name, reason=reason)
    typer.echo(f"{made.id}: {said(made)} of {tenant} is silent until {made.expires:%Y-%m-%d %H:%M} UTC")


def unsuppress(
    ctx: typer.Context,
    suppression: str,
    reason: Reason,
    by: By = "",
) -> None:
    """End a suppression now."""
    context: Context = ctx.obj
    with deciding(context, by, "noise.change") as (store, who):
        Desk(duties_of(context, store), context.trail()).lift(suppression, by=who.name, reason=reason)
    typer.echo(f"{suppression} is lifted")


def suppressions_list(
    ctx: typer.Context,
    as_json: AsJson = False,
    tenant: Tenant = "",
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended or were lifted too.")] = False,
) -> None:
    """List what is silenced, by whom, why and until when."""
    context: Context = ctx.obj
    now = context.clock.now()
    with contextlib.closing(configured_store(context)) as store:
        require_known(context, store, tenant)
        found = [pair for pair in suppressions(store, tenant) if ended or render.state(*pair, now) == render.IN_FORCE]
    print_list(
        found,
        as_json=as_json,
        row=lambda pair: render.as_json(*pair, now),
        table=lambda found: render.suppressions_table(found, now),
        none="Nothing is silenced.",
    )


def background_list(ctx: typer.Context, as_json: AsJson = False, tenant: Tenant = "") -> None:
    """Count the posts that are no leak, by site and by the rule that said so."""
    with contextlib.closing(configured_store(ctx.obj)) as store:
        require_known(ctx.obj, store, tenant)
        counts = background_counts(store, tenant)
    rules = BACKGROUND.in_force(ctx.obj.data).rules
    print_list(
        counts,
        as_json=as_json,
        row=Count._asdict,
        table=lambda counts: render.background_table(counts, rules),
        none="No background.",
    )
