"""Declare the options of commands that read a customer list, and find out what its columns hold.

Columns with unknown names are proposed by name and values; a person confirms them.
"""

from __future__ import annotations

import glob
import itertools
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from matcher.watchlist import installation
from matcher.watchlist.build import Report
from matcher.watchlist.source import (
    CANARY,
    COHORT,
    REFERENCE,
    Source,
    is_showable,
    kind_named,
    suggestion,
    tables,
)
from matcher.watchlist.tagging import CHOSEN_SHARE
from ullage.display.listing import Listing
from ullage.display.screen import cell, print_listing
from ullage.errors import ConfigError
from ullage.identifiers import kinds
from ullage.lookup.values import readings
from ullage.security.masking import Secret
from ullage.settings import TENANT, Context
from ullage.settings.tenants import find_tenants, require_tenant

BARE_REFERENCES = frozenset("id uid no ref reference".split())
"""Names of a reference column that count only if its values are no identifiers.

A column `id` may hold resident IDs too.
"""
BY_VALUE = ("resident_id", "card", "phone", "email")
"""Kinds that values show by themselves, the most certain first."""
LOOKED_AT, SHARE, SHOWN = 200, 0.8, 3
"""Rows that are read, the share of a column's values that must have a kind, and values shown.

The values are shown masked.
"""
EDGE = 3


class ColumnMapping(NamedTuple):
    """A column and its kind, "" if it is not read.

    It also has whether the kind is only proposed, and some of its values, masked.
    """

    name: str
    kind: str
    is_proposed: bool
    examples: Sequence[str]


def mappings(source: Source) -> list[ColumnMapping]:
    """Return the kind, certain or proposed, of each column of the first file.

    The first rows are read. It is [] for a list with one identifier a row, and for standard input.
    """
    if source.long or str(source.paths[0]) == "-":
        return []
    names, columns = _sample(source)
    known = {name: source.mapping.get(name) or kind_named(name) for name in names}
    found = {
        name: _propose_kind(name, cells)
        for name, cells in zip(names, columns, strict=True)
        if not known[name] and is_showable(name)
    }
    taken = REFERENCE in known.values()
    for name, kind in found.items():  # the first of several reference columns
        if kind == REFERENCE:
            found[name], taken = "" if taken else kind, True
    return [
        ColumnMapping(
            name,
            known[name] or found.get(name, ""),
            bool(found.get(name)),
            [mask_value(cell) for cell in cells if cell][:SHOWN],
        )
        for name, cells in zip(names, columns, strict=True)
    ]


def list_proposed_kinds(columns: Sequence[ColumnMapping]) -> dict[str, str]:
    """Return the kinds of the columns that are only proposed."""
    return {column.name: column.kind for column in columns if column.is_proposed}


def is_evident(columns: Sequence[ColumnMapping]) -> bool:
    """Return whether the proposals need no confirmation.

    That is so if the only one is a column of references with a bare name such as `id`.
    """
    return all(
        column.kind == REFERENCE and column.name.strip().lower() in BARE_REFERENCES
        for column in columns
        if column.is_proposed
    )


def with_mapping(source: Source, more: dict[str, str]) -> Source:
    """Return `source` with more columns mapped to kinds."""
    return replace(source, mapping={**source.mapping, **more})


def list_doubtful(columns: Sequence[ColumnMapping]) -> dict[str, str]:
    """Return the columns that are not read, with the kinds that their names alone suggest."""
    return {
        column.name: kind
        for column in columns
        if not column.kind and (kind := suggestion(column.name)) and kind != REFERENCE
    }


def require_columns(source: Source, columns: Sequence[ColumnMapping], words: Sequence[str]) -> None:
    """Check that each column is read for certain, left out on purpose, or of an unknown kind.

    If not, raises `ConfigError` with `words` and the mapping that completes them. Without any
    column of references nothing is proposed: reading the list says so.
    """
    read = {column.kind for column in columns if column.kind and not column.is_proposed}
    more, doubtful = list_proposed_kinds(columns), list_doubtful(columns)
    if REFERENCE in {*read, *more.values()} and (more or doubtful):
        notes = "".join(
            f"; values in {name} do not look like a {kind}: --map {name}=- leaves it out"
            for name, kind in doubtful.items()
        )
        more = {**more, **doubtful}
        command = shlex.join(
            [
                *words,
                *itertools.chain.from_iterable(
                    ("--map", f"{name}={kind}") for name, kind in more.items()
                ),
            ]
        )
        raise ConfigError(
            f"{source.paths[0]}: line 1: some column names are unknown: if this mapping is"
            f" correct{notes}, use: {command}"
        )


def mask_value(value: str) -> str:
    """Return the beginning and the end of `value`, at most half of it, and stars between.

    >>> mask_value("13912345678"), mask_value("C-1"), mask_value("李娜")
    ('13*******78', '***', '**')
    """
    edge = min(EDGE, len(value) // 4)
    return f"{value[:edge]}{'*' * (len(value) - 2 * edge)}{value[len(value) - edge :]}"


def _sample(source: Source) -> tuple[list[str], list[list[str]]]:
    """Return the names of all columns of the first file, and the cells of its first rows.

    At most LOOKED_AT (200) rows are read. A file without rows gives an empty list for each column.
    """
    header = list[str]()

    def all_of(path: Path, names: Sequence[str]) -> list[int]:
        source.require_header(path, names)
        header.extend(names)
        return [*range(len(names))]

    first = next(iter(tables(source.paths[0], source.columns, source.delimiter, all_of)), None)
    cells = (
        [[text.strip() for text in column.strings()[:LOOKED_AT]] for column in first.columns]
        if first
        else []
    )
    return header, cells or [[] for _ in header]


def _propose_kind(name: str, cells: Sequence[str]) -> str:
    """Return the likely kind of a column whose name alone does not show it; "" for none.

    A kind in BY_VALUE needs SHARE (0.8) of the filled cells; one that only the name suggests must
    not be contradicted by them.
    """
    filled = [_kinds(cell) for cell in cells if cell]
    by_value = next(
        (
            kind
            for kind in BY_VALUE
            if filled and sum(kind in each for each in filled) >= SHARE * len(filled)
        ),
        "",
    )
    if by_value:
        return by_value
    if name.strip().lower() in BARE_REFERENCES:
        return REFERENCE
    kind = suggestion(name)
    is_contradicted = kind in BY_VALUE and bool(filled)
    return "" if is_contradicted else kind


def _kinds(cell: str) -> set[str]:
    return {kind for kind, _ in readings(Secret(cell))}


Files = Annotated[
    list[Path],
    typer.Argument(
        help=(
            "CSV (also GB18030, .gz, any delimiter) or Parquet: files, quoted patterns,"
            " or - for standard input."
        )
    ),
]
TenantName = Annotated[str, typer.Option("--tenant", help="The tenant whose customers they are.")]
Map = Annotated[
    list[str],
    typer.Option(
        "--map",
        help=(
            "COLUMN=KIND: what a column contains: a kind, cohort:NAME, canary or - (leave"
            " it out). With --long: what a kind of the list means."
        ),
    ),
]
Digests = Annotated[
    str, typer.Option(help="Also enrol md5, sha1 and sha256 digests of: none, phone, all.")
]
Columns = Annotated[
    str,
    typer.Option(help="Comma-separated names of the columns, if the files have no header line."),
]
Long = Annotated[
    str,
    typer.Option(help=("REF,KIND,VALUE: the three columns of a list with one identifier per row.")),
]
Delimiter = Annotated[
    str, typer.Option(help="The delimiter of columns, if it is not recognised; \\t for a tab.")
]
ControlFile = Annotated[
    Path | None,
    typer.Option(
        "--control",
        help=(
            "A file of totals that the list must have, in lines such as `rows 1000`,"
            " `phone 998`, `phone.sum 123456`."
        ),
    ),
]
WitnessColumns = Annotated[
    str,
    typer.Option(
        "--witness",
        help=(
            "AMOUNT,DATE: the columns of a loan's amount and date, stored as keyed pairs"
            " for a random 5 % of the customers."
        ),
    ),
]
Enrol = Annotated[
    bool,
    typer.Option(
        "--enrolled",
        help=(
            "Also write TENANT.enrolled, the customer registry of search: look-ups then"
            " say whether a value is recorded."
        ),
    ),
]
Shrink = Annotated[
    bool,
    typer.Option(
        "--shrink",
        help="Allow the list to shrink by more than 10 %.",
    ),
]
SHOWN_REJECTS = 10


def valid_name(tenant: str) -> str:
    """Return the tenant's name; raise `ConfigError` if it is invalid."""
    if not TENANT.fullmatch(tenant):
        raise ConfigError(
            f"--tenant {tenant!r}: use a-z, 0-9 and -, at most 32 characters, a letter first"
        )
    return tenant


def require_enrolled_tenant(context: Context, tenant: str) -> None:
    """Raise `UnknownTenantError` for a tenant without keys, settings or a list here."""
    context.require_data()
    require_tenant(
        valid_name(tenant), find_tenants(context) | set(installation.tenants(context.data))
    )


def source_of(
    files: Sequence[Path],
    mapping: Sequence[str] = (),
    columns: str = "",
    long: str = "",
    delimiter: str = "",
    witness: str = "",
) -> Source:
    """Return the customer file that the options describe; reads none of it.

    `mapping` are `COLUMN=KIND` pairs, `long` names three columns of a file with one value per line.
    Raises ConfigError for an invalid option.
    """
    if bad := [pair for pair in mapping if "=" not in pair]:
        raise ConfigError(f"--map {bad[0]}: must be COLUMN=KIND")
    parts = [part.strip() for part in long.split(",")] if long else []
    if long and len(parts) != 3:
        raise ConfigError(
            f"--long {long}: must name three columns: customer reference, kind and value"
        )
    return Source(
        [path for file in files for path in _files_of(file)],
        dict(pair.rsplit("=", 1) for pair in mapping),
        [name.strip() for name in columns.split(",")] if columns else [],
        parts,
        delimiter.replace("\\t", "\t"),
        witness=_witness(witness, long),
    )


def confirmed(source: Source) -> Source:
    """Return `source` with its unknown columns mapped, after asking at the terminal.

    Nobody is asked if nothing is unknown or everything is evident. Raises `ConfigError` with the
    command to use if nobody can be asked and the list cannot be read without an answer, or if the
    person does not agree.
    """
    columns = mappings(source)
    more, doubtful = list_proposed_kinds(columns), list_doubtful(columns)
    if not more and not doubtful:
        return source
    if is_evident(columns) and not doubtful:
        return with_mapping(source, more)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        require_columns(source, columns, [Path(sys.argv[0]).name, *sys.argv[1:]])
        return source
    return with_mapping(source, list_proposed_kinds(_ask(columns)))


def _ask(columns: Sequence[ColumnMapping]) -> list[ColumnMapping]:
    """Show how the columns are read, and correct them until a person at the terminal agrees.

    Raises ConfigError if the person does not.
    """
    chosen = list(columns)
    while True:
        shown = Listing(("column", "read as", "examples"))
        for column in chosen:
            kind = cell(column.kind or "not read", "bold" if column.is_proposed else "dim")
            name = column.name if is_showable(column.name) else "…"
            shown.add_row(name, kind, "  ".join(column.examples))
        print_listing(shown)
        answer = typer.prompt(
            "Read the columns like this? [y/N, or COLUMN=KIND to correct one]",
            default="n",
            show_default=False,
        ).strip()
        if answer.lower() in {"y", "yes"}:
            return chosen
        if "=" not in answer:
            raise ConfigError(
                "nothing was read: use --map COLUMN=KIND to say what a column contains, or"
                " --map COLUMN=- to leave it out"
            )
        name, kind = (part.strip() for part in answer.rsplit("=", 1))
        valid = (*kinds(), "name", REFERENCE, "-")
        if name not in {column.name for column in chosen} or kind not in valid:
            typer.echo(f"No such column, or no such kind; kinds are {', '.join(valid)}.", err=True)
            continue
        chosen = [
            column._replace(kind=kind, is_proposed=True) if column.name == name else column
            for column in chosen
        ]


def _witness(option: str, long: str) -> list[str]:
    """Return the names of the two columns of private attributes; [] for "".

    Raises ConfigError unless `option` names two different columns, if one has the name of a kind,
    or for a list with one identifier a row (`long`).
    """
    names = [name.strip() for name in option.split(",")] if option else []
    if option and (len(names) != 2 or not all(names) or names[0] == names[1]):
        raise ConfigError(
            f"--witness {option}: must name two columns, the loan's amount and its date"
        )
    if taken := [
        name
        for name in names
        if name in {*kinds(), "name", REFERENCE, CANARY} or COHORT.fullmatch(name)
    ]:
        raise ConfigError(
            f"--witness {option}: {taken[0]} is not an amount or a date: name the columns"
            " of the loan's amount and date"
        )
    if names and long:
        raise ConfigError(
            "--witness cannot be used with --long: each row must have the customer, the"
            " amount and the date"
        )
    return names


def _files_of(file: Path) -> list[Path]:
    """Return the file, or those that match its pattern, in order of name.

    Raises ConfigError if none does.
    """
    if file.exists() or not glob.has_magic(str(file)):
        return [file]
    # the pattern may begin at the root
    found = sorted(map(Path, glob.glob(str(file), recursive=True)))  # noqa: PTH207
    if not found:
        raise ConfigError(f"{file} matches no file: correct the pattern")
    return found


def print_report(report: Report, source: Source | None, tenant: str) -> None:
    """Print the result of reading a list.

    On standard error it has columns to map, the first SHOWN_REJECTS (10) rejects by line, and if
    there are more, all by reason; on standard output totals, and private attributes if wanted. A
    `source` of None has no columns to map.
    """
    for name, kind in source.suggestions.items() if source else ():
        typer.echo(
            (
                f"column {name} was not read: use --map {name}={kind} to read it as {kind}, or"
                f" --map {name}=- to leave it out"
            ),
            err=True,
        )
    if source and source.unread:
        names = (name if is_showable(name) else "…" for name in source.unread)
        typer.echo(
            f"not read, as their names are unknown: {', '.join(names)}; --map COLUMN=KIND reads"
            " one, --map COLUMN=- leaves it out",
            err=True,
        )
    several = len({reject.path for reject in report.rejects}) > 1
    for reject in report.rejects[:SHOWN_REJECTS]:
        where = f"{reject.path}: " if several else ""
        typer.echo(
            f"{where}line {reject.line}, column {reject.column}: {reject.reason}; left out",
            err=True,
        )
    if report.rejected > SHOWN_REJECTS:
        typer.echo(f"… and {report.rejected - SHOWN_REJECTS} more left out", err=True)
        for (column, reason), count in report.reasons.most_common():
            typer.echo(f"  {count} of column {column}: {reason}", err=True)
    typer.echo(
        f"{tenant}: {report.customers} customers, {report.identifiers} identifiers,"
        f" {report.entries} entries"
    )
    if source and source.witness:
        typer.echo(
            f"{tenant}: {report.witnesses} private attributes: pairs of amount and date,"
            f" of a random {CHOSEN_SHARE:.0%} of the customers"
        )
        if unread := report.chosen - report.witnesses:
            typer.echo(
                f"  {unread} more have an amount or a date that cannot be read or is not plausible;"
                " left out",
                err=True,
            )
