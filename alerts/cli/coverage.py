"""`ullage coverage` and `ullage coverage explain`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Literal

import typer

from alerts.cli import PAST, decider
from alerts.coverage import view
from alerts.coverage.hours import EVERYWHERE, CoverageWindow
from alerts.coverage.report import LAST_NIGHT, CoverageReader
from alerts.coverage.signed_days import DayCheck
from alerts.store import open_configured_store
from alerts.translation import house_language
from ullage.audit import current_user
from ullage.display.screen import AsJson, By, make_console, print_row
from ullage.errors import Exit
from ullage.files.atomic_write import write_whole
from ullage.settings import Context, Language

coverage_app = typer.Typer(help="Show what was seen of each site, hour by hour, and explain gaps.")
Site = Annotated[str, typer.Option(help="Only this site.")]
Until = Annotated[str, typer.Option(help="To when, in the same forms; now by default.")]


@coverage_app.callback(invoke_without_command=True)
def show(
    ctx: typer.Context,
    since: Annotated[str, typer.Option(help=f"From when: {PAST}.")] = LAST_NIGHT,
    until: Until = "",
    site: Site = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Every site in the table, not only the first 40.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option(help="Also write it as a signed, printable HTML file.")
    ] = None,
    lang: Annotated[
        Literal["zh", "en"] | None,
        typer.Option(help="Of that page; without it the tenants' `language`."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what was seen of each site, hour by hour, and why the rest was not.

    Ends with 5 where nobody explained a gap.

    It ends with 3 where there is none, and some sites were not read of late, the log begins later,
    or no site was read at all.
    """
    if ctx.invoked_subcommand is not None:
        return
    context: Context = ctx.obj
    with contextlib.closing(open_configured_store(context)) as store:
        ledger = CoverageReader(context, store)
        window = ledger.read_window(since, until, site)
        sheets = ledger.check_days(window)
    if sheet is not None:
        _write(ledger, window, sheets, sheet, lang or house_language(context.settings))
    if as_json:
        for line in view.as_json(window, sheets):
            print_row(line)
    else:
        _print(context, window, sheets, everything)
    if not all(check.holds for check in sheets):
        raise typer.Exit(Exit.FAILED)
    raise typer.Exit(
        Exit.GAP
        if window.find_unexplained()
        else Exit.DONE
        if window.is_accounted_for
        else Exit.NO_VERDICT
    )


@coverage_app.command()
def explain(
    ctx: typer.Context,
    since: Annotated[str, typer.Option(help="From when, as `coverage` prints it.")],
    until: Annotated[str, typer.Option(help="To when.")],
    reason: Annotated[str, typer.Option(help="Why nothing was seen, without any identifier.")],
    site: Annotated[str, typer.Option(help="Only this site; by default all.")] = EVERYWHERE,
    by: By = "",
) -> None:
    """Explain a coverage gap.

    The gap stays visible, with who explained it; the audit log has it first.
    """
    context: Context = ctx.obj
    who = decider(context, by, "coverage.explain").name
    with contextlib.closing(open_configured_store(context)) as store:
        ledger = CoverageReader(context, store)
        explanation = ledger.explain(
            context.trail(), since, until, site=site, reason=reason, by=who
        )
    typer.echo(
        f"recorded: {explanation.id}, {site or 'all sites'},"
        f" {view.format_span(explanation.since, explanation.until, ledger.zone)}, by {who}"
    )


def _write(
    ledger: CoverageReader,
    seen: CoverageWindow,
    sheets: list[DayCheck],
    path: Path,
    language: Language,
) -> None:
    """Write the report to print; it is signed if the alert service's key is on this machine."""
    text, signed = ledger.render(
        seen, sheets, current_user(), language, ledger.context.settings.tenants
    )
    write_whole(text.encode(), path)
    typer.echo(
        f"written: {path}{'' if signed else ', NOT SIGNED: the key of alert is not here'}", err=True
    )


def _print(
    context: Context, window: CoverageWindow, sheets: list[DayCheck], everything: bool
) -> None:
    """Print the coverage of each site for people to read.

    `everything` prints all sites; without it, only the first are in the table, and a line says how
    many are missing. If a gap is not explained, the last line is the command that explains the
    first one.
    """
    zone, out = context.zone, make_console()
    typer.echo(
        f"Coverage {view.format_span(window.since, window.until, zone)}, hours of {zone.key}"
    )
    rows = view.select_rows(window, everything)
    for table in view.build_tables(window, zone, rows, out.width):
        out.print(table)
    if rows:
        typer.echo(view.build_legend(rows))
    if len(rows) < len(window.rows):
        typer.echo(f"{len(window.rows) - len(rows)} more sites: --all prints them")
    for line in (*view.describe_exceptions(window), *view.format_gaps(window, zone)):
        typer.echo(str(line))
    for sheet in sheets:
        typer.echo(f"report of {sheet.day} (UTC): {sheet.said}")
    if beginning := view.describe_beginning(window):
        typer.echo(beginning.render(str, zone))
    typer.echo(view.format_totals(window))
    if bare := window.find_unexplained():
        first = bare[0]
        when = [at.astimezone(zone).strftime("%Y-%m-%dT%H:%M") for at in (first.since, first.until)]
        what = (
            f"{f' --site {first.site}' if first.site else ''} --since {when[0]} --until {when[1]}"
        )
        typer.echo(f'Next: ullage coverage explain{what} --reason "…"')
