"""`ullage watchlist transfers`: enrol which customers were given to whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from matcher.cli.watchlist_options import Files, TenantName, require_enrolled_tenant, source_of
from matcher.watchlist.transfers import (
    TransferReader,
    TransferTable,
    path_of,
    read_transfers,
    write_transfers,
)
from ullage.audit import current_user
from ullage.errors import ConfigError, Exit
from ullage.settings import Context

SHOWN = 10
"""Refused lines that are printed one by one."""


def transfers(ctx: typer.Context, *, file: Files, tenant: TenantName) -> None:
    """Enrol which customers were given to which partner or system, with fields and days, so that a
    leak's source can be stated; the files replace the former ones.
    """
    context: Context = ctx.obj
    require_enrolled_tenant(context, tenant)
    require_reference_key(context, tenant)
    path = path_of(context.data, tenant)
    reader = TransferReader(context.keys, tenant)
    for source in source_of(file).paths:
        reader.read(source)
    say_refused(reader.refused)
    if not reader.rows:
        raise ConfigError(
            f"{file[0]}: has no readable transfer, so nothing was changed: correct the lines above"
        )
    table = reader.build(read_transfers(path, context.keys, tenant))
    what = (
        f"transfers: {len(table.recipients)} recipients, {len(table.pseudonyms)} customers,"
        f" {len(reader.refused)} lines refused"
    )
    context.trail().append("watchlist.transfers", what, actor=current_user(), tenant=tenant)
    write_transfers(path, context.keys, tenant, table)
    context.inventory.enter(path)
    _print_recipients(tenant, table)
    if reader.refused:
        raise typer.Exit(Exit.FAILED)


def require_reference_key(context: Context, tenant: str) -> None:
    """Raise ConfigError unless this host turns references of the tenant into pseudonyms."""
    if not context.keys.command and not context.keys.is_available(f"{tenant}/handle.key"):
        raise ConfigError(
            f"only the build host of {tenant} turns references into pseudonyms: run this there"
        )


def say_refused(refused: Sequence[tuple[Path, int, str]]) -> None:
    """Print the refused lines of files by number and reason, without any cell."""
    several = len({path for path, _, _ in refused}) > 1
    for path, line, reason in refused[:SHOWN]:
        typer.echo(f"{f'{path}: ' if several else ''}line {line}: {reason}; left out", err=True)
    if len(refused) > SHOWN:
        typer.echo(f"… and {len(refused) - SHOWN} more left out", err=True)


def _print_recipients(tenant: str, table: TransferTable) -> None:
    for recipient, rows in zip(table.recipients, table.customers, strict=True):
        first = recipient.first_day.isoformat() if recipient.first_day else "unknown day"
        last = recipient.last_day.isoformat() if recipient.last_day else "today"
        fields = f": {' '.join(sorted(recipient.fields))}" if recipient.fields else ""
        typer.echo(
            f"{recipient.id} {recipient.name}: {len(rows)} customers, {first} to {last}{fields}"
        )
    typer.echo(f"{tenant}: {len(table.recipients)} recipients, {len(table.pseudonyms)} customers")
