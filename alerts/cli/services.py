"""The commands `alert`, `notify` and `rules`."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Any

import typer

from alerts.cli import Reason, Tenant, decider, tables
from alerts.grouping.benign import BACKGROUND
from alerts.grouping.replay import detect_kind, get_kind, read_judgements, replay
from alerts.http_post import UndeliveredError
from alerts.notify import Message, MessageEntry
from alerts.notify.channels import open_channel
from alerts.notify.sender import page_address
from alerts.records import Notification
from alerts.records.decision import validate_note
from alerts.service.process import run_alert
from alerts.store import DocumentFilter, open_configured_store
from alerts.store.queries import require_known_tenant
from alerts.translation import house_language
from ullage.display import moment
from ullage.display.listing import Listing
from ullage.display.screen import AsJson, By, make_console, print_list, print_row
from ullage.errors import ConfigError
from ullage.settings import Context

KEY_BYTES = 32
TRIAL = "INC-TEST"
notify = typer.Typer(
    no_args_is_help=True, help="Test a notification channel, and show what was sent."
)


@notify.command("test")
def test(ctx: typer.Context, channel: str) -> None:
    """Send a test message to CHANNEL."""
    context: Context = ctx.obj
    settings = context.settings.notify
    if channel not in settings.channels:
        raise ConfigError(
            f"unknown channel: use {', '.join(settings.channels)}"
            if settings.channels
            else "no channel is configured: add [notify.channels.NAME] to ullage.toml"
        )
    page = page_address(context.settings)
    entry = MessageEntry(
        TRIAL, "notice", "new", f"{page}/", language=house_language(context.settings)
    )
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
    limit: Annotated[
        int, typer.Option(min=1, max=500, help="The largest number to show, newest first.")
    ] = 50,
) -> None:
    """Show which messages were sent, are pending, or were given up."""
    where = DocumentFilter({"outcome": (outcome,)} if outcome else {})
    context: Context = ctx.obj
    with contextlib.closing(open_configured_store(context)) as store:
        items = store.search(Notification, where, limit).items
    print_list(
        items,
        as_json=as_json,
        row=_row,
        table=lambda items: _table(items, context.zone),
        none="Nothing in the log.",
    )


def _row(one: Notification) -> dict[str, Any]:
    return one.model_dump(mode="json", exclude={"id", "at", "published_at"})


def _table(items: Sequence[Notification], zone: tzinfo) -> Listing:
    table = Listing(
        ("due", "outcome", "incident", "attempts", "channel", "what"),
        right=("attempts",),
        whole=("due", "outcome", "incident"),
    )
    for notification in items:
        table.add_row(
            moment(notification.due, zone),
            notification.outcome,
            notification.incident,
            str(notification.attempts),
            notification.channel,
            notification.what,
        )
    return table


rules_app = typer.Typer(
    no_args_is_help=True, help="Show, replay and change the rules that judge incidents."
)


@rules_app.command()
def show(
    ctx: typer.Context,
    kind: Annotated[str, typer.Argument(help="`verdict`, `background`, `jargon` or `context`.")],
) -> None:
    """Print the rules or lexicon of a kind that are in force, as a file to edit."""
    typer.echo(get_kind(kind).load_current(ctx.obj.data).text, nl=False)


@rules_app.command("replay")
def replay_(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="Rules or a lexicon (.tsv); without it the rules in force."),
    ] = None,
    as_json: AsJson = False,
    tenant: Tenant = "",
) -> None:
    """Judge stored incidents by rules, and count each rule's confirmed and false ones.

    Nothing is written.
    """
    context: Context = ctx.obj
    in_force = (context.rules, lambda: BACKGROUND.load_current(context.data).rules)
    chosen = [detect_kind(file).load(file).rules] if file else [rules() for rules in in_force]
    with contextlib.closing(open_configured_store(context)) as store:
        require_known_tenant(context, store, tenant)
        judged = read_judgements(store)
        for rules in chosen:
            outcome = replay(store, rules, context.tenant, tenant)
            if as_json:
                print_row(tables.replay_as_json(outcome, outcome.count_by_rule(judged)))
            else:
                make_console().print(tables.replay_in_full(outcome, outcome.count_by_rule(judged)))


@rules_app.command()
def use(
    ctx: typer.Context,
    file: Path,
    reason: Reason,
    by: By = "",
) -> None:
    """Activate a file of rules or a lexicon for new findings.

    Its version must be higher than before.

    Alert goes by rules, match by lexicons and rules: where they run on several machines, do it on
    each.
    """
    context: Context = ctx.obj
    kind = detect_kind(file)
    loaded, former = kind.load(file), kind.load_current(context.data).rules.version
    if loaded.rules.version <= former:
        raise ConfigError(
            f"{file} has version {loaded.rules.version}, and version {former} is in force:"
            " increase it"
        )
    who, why = decider(context, by, "rules.change").name, validate_note(reason)
    digest = hashlib.sha256(loaded.text.encode()).hexdigest()
    what = (
        f"rules {kind.name} version {loaded.rules.version} instead of {former},"
        f" SHA-256 {digest[:16]}"
    )
    context.trail().append("rules.use", what, actor=who, reason=why)
    typer.echo(
        f"{kind.name} of version {loaded.rules.version} is in"
        f" {kind.install(context.data, loaded.text)}"
    )
    typer.echo(
        "what comes from now on is judged by it; what was judged keeps its reasons until something"
        " joins it"
    )


def alert(
    ctx: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Process what is waiting, then exit.")
    ] = False,
) -> None:
    """Group findings into incidents, score and store them, and notify people."""
    run_alert(ctx.obj, once=once)
