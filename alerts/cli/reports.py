"""The commands `report`, `incidents export` and `incidents deadline`.

Recording a sent report ends its deadline; confirming an incident, or ruling that a regulation
applies, starts one.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from alerts.accounts.second_person import CONFIRM
from alerts.cases.actions import Cases
from alerts.cases.decisions import describe, permission_for
from alerts.cases.exports import ExportedIncident, chosen, format_named, names
from alerts.cases.incident_list import Filters, build_filter, customers_csv, get_incident
from alerts.cases.report import ReportForm, ReportLanguage, case_of, page, render_draft
from alerts.cli import PAST, Severity, Status, Tenant, Words, actor_of, deciding
from alerts.coverage.monitoring_status import monitoring_status
from alerts.deadlines import CHANNELS, parse_sent_at, regimes
from alerts.deadlines.render import SINCE, limit
from alerts.deadlines.schedule import duties_of, work_of
from alerts.records import Decision, Incident
from alerts.store import open_configured_store
from alerts.store.queries import require_known_tenant
from ullage.audit import current_user
from ullage.display.progress import ProgressBar, progress_bar
from ullage.display.screen import By
from ullage.errors import ConfigError, Exit
from ullage.files.atomic_write import is_standard_output, write_out
from ullage.settings import Context

Regime = Annotated[
    str,
    typer.Option(
        help="Of which rule, as `incidents show` names it; of all of them for --sent without one."
    ),
]
SentAt = Annotated[
    str,
    typer.Option(help=f"When it was sent: {PAST}; now by default."),
]
Confirmed = Annotated[
    str,
    typer.Option(
        metavar="ENTRY",
        help="Confirm, as a second person, what waits under this id; `all` for everything.",
    ),
]


def deadline(
    ctx: typer.Context,
    incident: Annotated[
        str, typer.Argument(metavar="[INCIDENT]", help="Without it, the rules that are known.")
    ] = "",
    *,
    sent: Annotated[
        bool, typer.Option("--sent", help="It was reported, which stops the clock of that report.")
    ] = False,
    applies: Annotated[
        bool | None,
        typer.Option("--applies/--waived", help="The rule asks for a report here, or it does not."),
    ] = None,
    regime: Regime = "",
    stage: Annotated[
        str, typer.Option(help="Which report was sent: brief, first, written or final.")
    ] = "first",
    reference: Annotated[str, typer.Option(help="The authority's number for it.")] = "",
    sent_at: SentAt = "",
    channel: Annotated[str, typer.Option(help=f"How it was sent: {', '.join(CHANNELS)}.")] = "",
    no_reference: Annotated[str, typer.Option(help="Why the authority gave no number.")] = "",
    confirm: Confirmed = "",
    refuse: Annotated[
        str, typer.Option(metavar="ENTRY", help="Refuse it, with the reason in --note.")
    ] = "",
    note: Annotated[
        str,
        typer.Option(
            help="A remark, such as why it is late; on what ground a rule applies or is waived."
        ),
    ] = "",
    by: By = "",
) -> None:
    """Record that a report was sent, or that a regulation applies or is waived; confirm that of
    others; or list regulations.

    What ends a running deadline waits for a second person.
    """
    context: Context = ctx.obj
    if not incident:
        _list_regimes(context)
        return
    if sum((sent, applies is not None, bool(confirm), bool(refuse))) != 1:
        raise ConfigError("give one of --sent, --applies, --waived, --confirm and --refuse")
    if confirm or refuse:
        _answer(context, incident, confirm or refuse, by, note, is_confirmed=bool(confirm))
        return
    if sent:
        chosen = f"reported {regime} {stage}" if regime else "reported"
        _record(
            context,
            incident,
            chosen,
            by,
            sent_at,
            note=note,
            reference=reference,
            channel=channel,
            no_reference=no_reference,
        )
        return
    if not (regime and note):
        raise ConfigError("give --regime and --note: which rule, and the reason")
    _record(context, incident, f"{'applies' if applies else 'waived'} {regime}", by, note=note)


def _record(
    context: Context, incident: str, chosen: str, by: str, sent_at: str = "", **details: str
) -> None:
    """Record a report or a ruling, and print the result, or for whom it waits.

    `chosen` is what the form of an incident sends, such as `reported pipl first`; `sent_at` is when
    the report was sent, "" for now. The account `by` needs the permission for it.
    """
    with deciding(context, by, permission_for(chosen)) as (store, who):
        when = parse_sent_at(sent_at, context.zone, context.clock.now())
        cases = Cases(work_of(context, store), context.trail(), actor_of(context, who))
        result = cases.decide(incident, chosen, by=who.name, sent_at=when, **details)
    if isinstance(result.decision, Decision):
        alone = ", decided by one person" if result.decision.is_by_one_person else ""
        typer.echo(f"recorded: {incident} {describe(result.decision)}{alone}")
    else:
        typer.echo(result.words())


def _answer(
    context: Context, incident: str, entry: str, by: str, note: str, *, is_confirmed: bool
) -> None:
    """Confirm or refuse one act that waits for a second person, or with "all" every such act.

    Prints the result of each. Raises ConfigError if "all" is asked for and nothing of the incident
    is waiting.
    """
    with deciding(context, by, CONFIRM if is_confirmed else "incident.decide") as (store, who):
        cases = Cases(work_of(context, store), context.trail(), actor_of(context, who))
        waiting = [pending.id for pending, _ in cases.pending(cases.incident(incident))]
        for id_ in waiting if entry == "all" else [entry]:
            typer.echo(
                cases.answer(incident, id_, by=who.name, confirm=is_confirmed, note=note).words()
            )
    if entry == "all" and not waiting:
        raise ConfigError("nothing of this incident is waiting for a second person: check its id")


def _list_regimes(context: Context) -> None:
    """Print the known reporting rules, and which tenants each applies to."""
    tenants = context.settings.tenants
    for regime in regimes().values():
        under = (
            ", ".join(name for name, tenant in tenants.items() if regime.id in tenant.regimes)
            or "no tenant"
        )
        typer.echo(f"{regime.id}  {regime.title} {regime.title_zh}: {under}")
        for stage in regime.stages:
            typer.echo(f"  {stage.id}: {limit(stage)[0]}, from when {SINCE[stage.since][0]}")
        typer.echo(
            f"  to {regime.to}\n  {'verified' if regime.verified else 'NOT VERIFIED'}:"
            f" {regime.source}"
        )


def report(
    ctx: typer.Context,
    incident: str,
    lang: Annotated[
        ReportLanguage | None,
        typer.Option(
            help=(
                "Chinese, English, or both side by side; without it as the tenant's `language`"
                " says."
            )
        ),
    ] = None,
    form: Annotated[
        ReportForm, typer.Option("--format", help="Markdown, or a document for a word processor.")
    ] = ReportForm.MARKDOWN,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write; standard output without it."),
    ] = None,
) -> None:
    """Draft the breach notification of an incident.
    It names no customer, is sent nowhere, and is for counsel to review.
    """
    context: Context = ctx.obj
    if form is ReportForm.WORD and is_standard_output(output) and sys.stdout.isatty():
        raise ConfigError(
            "a Word document cannot be shown in a terminal: name a file with --output"
        )
    with contextlib.closing(open_configured_store(context)) as store:
        case = case_of(context, store, incident)
    lang = lang or ReportLanguage(case.tenant.language)
    drafted = page(case, lang)
    content = render_draft(drafted, form, case)
    what = f"incident {incident}: notification draft, {form}, {lang}"
    context.trail().append("incident.draft", what, actor=current_user(), tenant=case.tenant_name)
    write_out(content, output)
    typer.echo(f"{drafted.open} fields are left for a person to fill in.", err=True)


CUSTOMERS = "customers"


def export(
    ctx: typer.Context,
    *,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help=f"{', '.join(names())}; or {CUSTOMERS}, the pseudonyms in one incident.",
        ),
    ],
    incidents: Annotated[
        list[str] | None, typer.Argument(help="These; without any, all that pass the filters.")
    ] = None,
    tenant: Tenant = "",
    severity: Severity = "",
    status: Status = "",
    text: Words = "",
    kind: Annotated[
        str,
        typer.Option(help="Those customers alone of whom an identifier of this kind stood there."),
    ] = "",
    by: By = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write; standard output without it."),
    ] = None,
) -> None:
    """Export incidents to another system, without the people in them; `--format customers`
    exports their pseudonyms.
    """
    context: Context = ctx.obj
    if form == CUSTOMERS:
        _export_customers(context, incidents or [], kind, by, output)
        return
    export_format = format_named(form)
    with contextlib.closing(open_configured_store(context)) as store:
        filters = Filters(tenant=tenant, severity=severity, status=status, text=text)
        filters.to_filter()  # reject an invalid filter first
        require_known_tenant(context, store, tenant)
        statuses = duties_of(context, store).statuses
        total = (
            len(incidents)
            if incidents
            else store.count(Incident, build_filter(store, filters, statuses))
        )
        with progress_bar(total, "incidents") as progress:
            counted = _CountingIterator(chosen(store, incidents or [], filters, statuses), progress)
            content = "".join(export_format.write(counted))
        behind = monitoring_status(store, context.clock.now())
    what = f"{counted.count} incidents as {form}"
    context.trail().append("incident.export", what, actor=current_user(), tenant=tenant)
    write_out(content.encode(), output)
    typer.echo(
        f"{counted.count} incidents" + ("" if counted.count else f"; {behind.said}"), err=True
    )
    if not counted.count and not behind.is_trusted:
        raise typer.Exit(Exit.NO_VERDICT)


def _export_customers(
    context: Context, incidents: Sequence[str], kind: str, by: str, output: Path | None
) -> None:
    """Write the pseudonyms of one incident's customers as CSV, without any value of theirs.

    `kind`, unless "", leaves only those with an identifier of that kind; without `output` the text
    goes to standard output. The number goes to standard error. The export is written to the audit
    log before the text is. Raises ConfigError unless exactly one incident is named.
    """
    if len(incidents) != 1:
        raise ConfigError(f"--format {CUSTOMERS} exports one incident: name it")
    with deciding(context, by, "customers.export") as (store, who):
        incident = get_incident(store, incidents[0])
        text, count = customers_csv(store, incident, kind)
    what = f"incident {incident.id}: {count} pseudonyms"
    context.trail().append("customers.export", what, actor=who.name, tenant=incident.tenant)
    write_out(text.encode(), output)
    typer.echo(f"{count:,} pseudonyms", err=True)


class _CountingIterator:
    """An iterator over incidents that counts them."""

    def __init__(self, incidents: Iterable[ExportedIncident], progress: ProgressBar) -> None:
        self._incidents, self._progress, self.count = incidents, progress, 0

    def __iter__(self) -> Iterator[ExportedIncident]:
        for incident in self._incidents:
            self.count += 1
            self._progress.add()
            yield incident
