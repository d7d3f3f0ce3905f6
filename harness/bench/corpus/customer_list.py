"""Customer lists for the benchmark, loaded by the product's own command."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from typer.testing import CliRunner, Result

from harness.bench.corpus.people import COLUMNS, Person
from ullage.cli import app
from ullage.errors import Exit
from ullage.settings import Context


def ullage(data: Path, *words: object) -> Result:
    """Run the command line in this process; what it raised is raised again, but that there is no
    verdict.
    """
    result = CliRunner().invoke(app, ["--data", str(data), *map(str, words)])
    if result.exception is not None and result.exit_code != Exit.NO_VERDICT:
        raise result.exception
    return result


def enrol(
    context: Context, tenant: str, header: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """Build and install a tenant's watchlist, every digest among it; `header` names the columns
    of `rows`.
    """
    source = context.data / f"{tenant}.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    ullage(context.data, "watchlist", "load", source, "--tenant", tenant)
    source.unlink()


def enrol_people(context: Context, tenant: str, people: Iterable[Person]) -> None:
    """Enrol people with every value that corpora plant."""
    enrol(context, tenant, tuple(COLUMNS), ([cell(p) for cell in COLUMNS.values()] for p in people))
