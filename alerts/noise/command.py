"""`ullage incidents suppress` and `suppressions`."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from alerts.decisions.command import duties_of
from alerts.decisions.options import By, Tenant, deciding
from alerts.noise import render
from alerts.noise.background import BACKGROUND
from alerts.noise.counts import BenignCount, background_counts
from alerts.noise.suppressions import MOST_DAYS, SuppressionConditions, Suppressions, said, suppressions
from alerts.read.tenants import require_known
from alerts.store import configured_store
from ullage.display.screen import AsJson, print_list
from ullage.errors import ConfigError
from ullage.settings import Context


def suppress(
    ctx: typer.Context,
    *,
    reason: Annotated[str, typer.Option(help="Reason for the suppression, or for its end; no identifier.")],
    tenant: Annotated[str, typer.Option(help="The tenant that it is for.")] = "",
    days: Annotated[int, typer.Option(min=0, max=MOST_DAYS, help="After so many days it ends by itself.")] = 0,
    site: Annotated[str, typer.Option(help="Posts of this site.")] = "",
    channel: Annotated[str, typer.Option(help="Posts of this channel.")] = "",
    author: Annotated[str, typer.Option(help="Posts of this author, as an incident shows them.")] = "",
    rule: Annotated[str, typer.Option(help="Incidents of this scenario or with this reason code, such as X18.")] = "",
    incident: Annotated[str, typer.Option(help="This incident and what is like it, until there is more in it.")] = "",
    end: Annotated[str, typer.Option("--end", metavar="SUPPRESSION", help="End this suppression now instead.")] = "",
    by: By = "",
) -> None:
    """Suppress notifications that match, until a date; never those of `statutory` incidents and honeytokens."""
    context: Context = ctx.obj
    if end:
        with deciding(context, by, "noise.change") as (store, who):
            Suppressions(duties_of(context, store), context.trail()).lift(end, by=who.name, reason=reason)
        typer.echo(f"{end} is lifted")
        return
    if not (tenant and days):
        raise ConfigError("--tenant and --days are required: whose incidents to suppress, and for how long")
    with deciding(context, by, "noise.change") as (store, who):
        require_known(context, store, tenant)
        conditions = SuppressionConditions(site, channel, author, rule, incident)
        desk = Suppressions(duties_of(context, store), context.trail())
        made = desk.suppress(tenant, conditions, days=days, by=who.name, reason=reason)
    typer.echo(f"{made.id}: {said(made)} of {tenant} is silent until {made.expires:%Y-%m-%d %H:%M} UTC")


def suppressions_list(
    ctx: typer.Context,
    as_json: AsJson = False,
    tenant: Tenant = "",
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended or were lifted too.")] = False,
    background: Annotated[bool, typer.Option("--background", help="Count the posts instead that rules call no leak.")] = False,
) -> None:
    """List suppressions: by whom, why and until when; or count benign posts by site and rule."""
    context: Context = ctx.obj
    if background:
        _background(context, tenant, as_json=as_json)
        return
    now = context.clock.now()
    with contextlib.closing(configured_store(context)) as store:
        require_known(context, store, tenant)
        found = [pair for pair in suppressions(store, tenant) if ended or render.state(*pair, now) == render.IN_FORCE]
    print_list(
        found,
        as_json=as_json,
        row=lambda pair: render.as_json(*pair, now),
        table=lambda found: render.suppressions_table(found, now),
        none="Nothing is suppressed.",
    )


def _background(context: Context, tenant: str, *, as_json: bool) -> None:
    """Count the posts that are no leak, by site and by the rule that said so."""
    with contextlib.closing(configured_store(context)) as store:
        require_known(context, store, tenant)
        counts = background_counts(store, tenant)
    rules = BACKGROUND.in_force(context.data).rules
    print_list(
        counts,
        as_json=as_json,
        row=BenignCount._asdict,
        table=lambda counts: render.background_table(counts, rules),
        none="No benign posts.",
    )
