"""`ullage incidents export`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from alerts.decisions.command import duties_of
from alerts.decisions.options import By, Severity, Status, Tenant, Words, deciding
from alerts.desk.people import handles
from alerts.export.facts import ExportedIncident, chosen
from alerts.export.formats import format_named, names
from alerts.read.monitoring import BELIEVED, looked
from alerts.read.query import Filters, incident_named
from alerts.read.tenants import require_known
from alerts.store import configured_store
from ullage.audit import current_user
from ullage.errors import ConfigError
from ullage.exits import Exit
from ullage.files.atomic_write import write_out
from ullage.settings import Context

CUSTOMERS = "customers"


def export(
    ctx: typer.Context,
    *,
    form: Annotated[str, typer.Option("--format", help=f"{', '.join(names())}; or {CUSTOMERS}, the pseudonyms in one incident.")],
    incidents: Annotated[list[str] | None, typer.Argument(help="These; without any, all that pass the filters.")] = None,
    tenant: Tenant = "",
    severity: Severity = "",
    status: Status = "",
    text: Words = "",
    kind: Annotated[str, typer.Option(help="Those customers alone of whom an identifier of this kind stood there.")] = "",
    by: By = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; standard output without it.")] = None,
) -> None:
    """Export incidents to another system, without the people in them; `--format customers` exports their pseudonyms."""
    context: Context = ctx.obj
    if form == CUSTOMERS:
        _export_customers(context, incidents or [], kind, by, output)
        return
    wanted = format_named(form)
    with contextlib.closing(configured_store(context)) as store:
        filters = Filters(tenant=tenant, severity=severity, status=status, text=text)
        filters.where()  # what cannot be asked is said first
        require_known(context, store, tenant)
        counted = _CountingIterator(chosen(store, incidents or [], filters, duties_of(context, store).statuses))
        content = "".join(wanted.write(counted))
        behind = looked(store, context.clock.now())
    what = f"{counted.count} incidents as {form}"
    context.trail().append("incident.export", what, actor=current_user(), tenant=tenant)
    write_out(content.encode(), output)
    typer.echo(f"{counted.count} incidents" + ("" if counted.count else f"; {behind.said}"), err=True)
    if not counted.count and behind.worth not in BELIEVED:
        raise typer.Exit(Exit.NO_VERDICT)


def _export_customers(context: Context, incidents: Sequence[str], kind: str, by: str, output: Path | None) -> None:
    """Write the handles of one incident's customers as CSV; no value of theirs is in it. The audit log has it."""
    if len(incidents) != 1:
        raise ConfigError(f"--format {CUSTOMERS} is of one incident: name it")
    with deciding(context, by, "customers.export") as (store, who):
        found = incident_named(store, incidents[0])
        text, count = handles(store, found, kind)
    what = f"incident {found.id}: {count} handles"
    context.trail().append("customers.export", what, actor=who.name, tenant=found.tenant)
    write_out(text.encode(), output)
    typer.echo(f"{count:,} handles", err=True)


class _CountingIterator:
    """Incidents that are counted as they go by."""

    def __init__(self, incidents: Iterable[ExportedIncident]) -> None:
        self._incidents, self.count = incidents, 0

    def __iter__(self) -> Iterator[ExportedIncident]:
        for one in self._incidents:
            self.count += 1
            yield one
