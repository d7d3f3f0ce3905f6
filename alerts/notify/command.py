"""`ullage notify`, and what `ullage check` looks at of channels."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Table

from alerts.language import house_language
from alerts.notify.channels import UndeliveredError, open_channel
from alerts.notify.message import Message, MessageEntry
from alerts.notify.notifier import page_of
from alerts.records import Notification
from alerts.store import DocumentFilter, IncidentStore, configured_store
from ullage.display.render import moment
from ullage.display.screen import AsJson, cell, print_list, table
from ullage.errors import ConfigError
from ullage.settings import Context
from ullage.settings.tenants import tenants_here

KEY_BYTES = 32
TRIAL = "INC-TEST"
notify = typer.Typer(no_args_is_help=True, help="Test a notification channel, and show what was sent.")


@notify.command("test")
def test(ctx: typer.Context, channel: str) -> None:
    """Send a test message to CHANNEL."""
    context: Context = ctx.obj
    settings = context.settings.notify
    if channel not in settings.channels:
        raise ConfigError(f"no channel of that name: ullage.toml has {', '.join(settings.channels) or 'none'}")
    page = page_of(context.settings)
    entry = MessageEntry(TRIAL, "notice", "new", f"{page}/", language=house_language(context.settings))
    trial = Message(f"msg_test_{secrets.token_hex(8)}", (entry,), page)
    try:
        open_channel(channel, settings, context.keys, context.clock).send(trial)
    except UndeliveredError as error:
        raise UndeliveredError(f"channel {channel}: {error}") from None
    typer.echo(f"delivered to {channel}: {trial.subject()}")


@notify.command("log")
def log_(
    ctx: typer.Context,
    as_json: AsJson = False,
    outcome: Annotated[str, typer.Option(help="pending, sent, failed or suppressed.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many, the latest first.")] = 50,
) -> None:
    """Show which messages were sent, are pending, or were given up."""
    where = DocumentFilter({"outcome": (outcome,)} if outcome else {})
    with contextlib.closing(configured_store(ctx.obj)) as store:
        items = store.search(Notification, where, limit).items
    print_list(items, as_json=as_json, row=_row, table=_table, none="Nothing in the log.")


def _row(one: Notification) -> dict[str, Any]:
    return one.model_dump(mode="json", exclude={"id", "at", "published_at"})


def _table(items: Sequence[Notification]) -> Table:
    made = table("due", "outcome", "channel", "incident", "what", "attempts", right=("attempts",), whole=("due", "incident"))
    for one in items:
        made.add_row(moment(one.due), one.outcome, cell(one.channel), one.incident, one.what, str(one.attempts))
    return made


def channel_parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """A look at who is told, and at each channel: its secret file, and whether the other side answers. Nothing is sent."""
    yield "notifications", partial(_routes, context)
    for name in context.settings.notify.channels:
        yield f"channel {name}", partial(_look, context, name)


def _routes(context: Context) -> str:
    """Who is told of which tenants; ConfigError where something is configured that tells nobody."""
    settings = context.settings.notify
    if not settings.channels and not settings.routes:
        raise ConfigError("no recipient for any incident: ullage.toml has no [notify.channels.…] and no [notify.routes.…]")
    if not settings.routes:
        names = ", ".join(settings.channels)
        raise ConfigError(f"no recipient for any incident: no [notify.routes.…] leads to {names}")
    routes = settings.routes.values()
    untold = sorted(t for t in tenants_here(context) if not any(t in route.tenants or not route.tenants for route in routes))
    if untold:
        raise ConfigError(f"no recipient for incidents of {', '.join(untold)}: no route matches")
    used = {channel for route in routes for channel in (*route.channels, *route.escalate_to)}
    spare = [name for name in settings.channels if name not in used]
    told = f"{len(settings.routes)} route{'s' * (len(settings.routes) != 1)} to {', '.join(sorted(used))}"
    return told + (f"; no route leads to {', '.join(spare)}" if spare else "")


def _look(context: Context, name: str) -> str:
    channel = open_channel(name, context.settings.notify, context.keys, context.clock)
    with contextlib.closing(configured_store(context)) as store:
        owed = waiting(store, name, context)
    return f"{channel.reach()}{f', {owed} not delivered yet' if owed else ''}"


def waiting(store: IncidentStore, channel: str, context: Context) -> int:
    """Notifications of `channel` that are due and pending."""
    return store.count(Notification, DocumentFilter({"channel": (channel,), "outcome": ("pending",)}, before=context.clock.now()))
