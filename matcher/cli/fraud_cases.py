"""`ullage fraud-cases import`: report fraud cases by customer reference, on the list's host."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import typer

from matcher.cli.transfers import require_reference_key, say_refused
from matcher.cli.watchlist_options import Files, TenantName, require_enrolled_tenant, source_of
from matcher.watchlist import installation
from matcher.watchlist.named_rows import NamedRows, parse_fields, read_named_rows
from matcher.watchlist.tagging import HandleKey
from ullage.display.screen import By
from ullage.errors import Exit, RecordError
from ullage.incidents import ReportedCase, connect_fraud_cases
from ullage.settings import Context
from ullage.vocabulary.fields import FieldLabel

REQUIRED = ("first_contact",)
OPTIONAL = ("scam", "knew", "amount_band", "outcome")
Line = tuple[Path, int]
fraud_cases = typer.Typer(
    no_args_is_help=True, help="Report fraud cases by customer reference, on the list's host."
)


@fraud_cases.callback()
def _fraud_cases() -> None:
    """Report fraud cases by customer reference, on the list's host."""


@fraud_cases.command("import")
def import_(ctx: typer.Context, *, file: Files, tenant: TenantName, by: By = "") -> None:
    """Report fraud cases of which no leak is known; references become pseudonyms on this host, and
    only these are stored. A second import of a file changes nothing.
    """
    context: Context = ctx.obj
    require_enrolled_tenant(context, tenant)
    require_reference_key(context, tenant)
    reader = _CaseReader(context, tenant)
    cases = dict[str, tuple[Line, ReportedCase]]()
    for source in source_of(file).paths:
        for line, case in reader.read(source):
            cases[case.subject] = (line, case)
    stored_customers = new = 0
    with connect_fraud_cases(context, to_record=True, by=by) as stored:
        for (path, number), case in cases.values():
            try:
                new += stored.record(tenant, case)
            except RecordError as error:
                reader.refused.append((path, number, str(error)))
            else:
                stored_customers += 1
    reader.refused.sort()
    say_refused(reader.refused)
    typer.echo(f"{tenant}: {stored_customers} customers with fraud cases, {new} new or changed")
    if reader.refused:
        raise typer.Exit(Exit.FAILED)


class _CaseReader:
    """Reads lists of fraud cases, and keeps the lines that it refused."""

    def __init__(self, context: Context, tenant: str) -> None:
        self._handles = HandleKey(context.keys, tenant)
        installed = installation.load(context, tenant)
        self._list = installed[0].epochs[-1].list if installed else None
        self.refused: list[tuple[Path, int, str]] = []
        """File, line and reason of each row that was left out."""

    def read(self, path: Path) -> Iterator[tuple[Line, ReportedCase]]:
        """Yield each readable case with its line.

        Raises ConfigError if the file cannot be read, or its columns are not those of fraud cases.
        """
        for rows in read_named_rows(path, REQUIRED, OPTIONAL):
            subjects = self._handles.tags(rows.references)
            are_listed = self._list.find_subjects(subjects) >= 0 if self._list else None
            for row, line in enumerate(rows.lines):
                case, fault = _read_case(rows, row, subjects[row].tobytes().hex())
                if are_listed is not None and not are_listed[row]:
                    fault = fault or "is in no customer list here"
                if case and not fault:
                    yield (path, line), case
                else:
                    self.refused.append((path, line, fault))


def _read_case(rows: NamedRows, row: int, subject: str) -> tuple[ReportedCase | None, str]:
    """Return the case in a row, and what is wrong with it, "" if nothing is."""
    day, scam, knew, band, outcome = (rows.cells[name][row] for name in (*REQUIRED, *OPTIONAL))
    if fault := rows.faults.get(row):
        return None, f"customer_ref {fault}"
    try:
        first_contact = date.fromisoformat(day)
    except ValueError:
        return None, "first_contact must be a day such as 2026-01-31"
    fields = parse_fields(knew)
    if fields is None:
        return None, f"knew must be labels such as {FieldLabel.NAME} {FieldLabel.LOAN}, or empty"
    return ReportedCase(subject, first_contact, outcome or "loss", scam, fields, band), ""
