"""`ullage incidents export`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from alerts.decisions.command import duties_of
from alerts.decisions.options import Severity, Status, Tenant, Words
from alerts.export.facts import Exported, chosen
from alerts.export.formats import format_named, names
from alerts.read.heard import BELIEVED, looked
from alerts.read.query import Filters
from alerts.read.tenants import require_known
from alerts.store import configured_store
from ullage.audit import current_user
from ullage.exits import Exit
from ullage.files.atomic_write import write_out
from ullage.settings import Context


def export(
    ctx: typer.Context,
    *,
    form: Annotated[str, typer.Option("--format", help=f"{', '.join(names())}.")],
    incidents: Annotated[list[str] | None, typer.Argument(help="These; without any, all that pass the filters.")] = None,
    tenant: Tenant = "",
    severity: Severity = "",
    status: Status = "",
    text: Words = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; standard output without it.")] = None,
) -> None:
    """Export incidents for another system; nobody who is in them goes along."""
    context: Context = ctx.obj
    wanted = format_named(form)
    with contextlib.closing(configured_store(context)) as store:
        filters = Filters(tenant=tenant, severity=severity, status=status, text=text)
        filters.where()  # what cannot be asked is said first
        require_known(context, store, tenant)
        counted = _Counted(chosen(store, incidents or [], filters, duties_of(context, store).statuses))
        content = "".join(wanted.write(counted))
        behind = looked(store, context.clock.now())
    what = f"{counted.count} incidents as {form}"
    context.trail().append("incident.export", what, actor=current_user(), tenant=tenant)
    write_out(content.encode(), output)
    typer.echo(f"{counted.count} incidents" + ("" if counted.count else f"; {behind.said}"), err=True)
    if not counted.count and behind.worth not in BELIEVED:
        raise typer.Exit(Exit.NO_VERDICT)


class _Counted:
    """Incidents that are counted as they go by."""

    def __init__(self, incidents: Iterable[Exported]) -> None:
        self._incidents, self.count = incidents, 0

    def __iter__(self) -> Iterator[Exported]:
        for one in self._incidents:
            self.count += 1
            yield one
