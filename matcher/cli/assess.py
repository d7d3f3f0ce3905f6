"""`ullage assess`: assess one submitted file, compare it with incidents, open one on request.

The verdict takes one screen of a terminal: the answer first, every reason below.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from matcher.cli.examine import (
    Examination,
    ExaminationRequest,
    desk_of,
    examine,
    open_incidents,
    serve_one,
)
from matcher.cli.scan import Fail, Ocr, check_file, limits_here, printable, size_of
from matcher.cli.supervision import supervise
from matcher.cli.verdict import ASK, IN_PARTS, Assessment, TenantVerdict, check_severity
from ullage.display.progress import read_progress
from ullage.display.screen import render_next_step
from ullage.errors import ConfigError, Exit
from ullage.files.atomic_write import is_standard_output, write_whole
from ullage.incidents import IncidentReference
from ullage.settings import Context
from ullage.verdict import Reason, format_number
from ullage.verdict.words import describe_cookies, format_count

NOBODY = "no incident: the file contains nothing about a tenant"
FailOn = Annotated[
    str,
    typer.Option(
        "--fail-on",
        metavar="SEVERITY",
        help="Exit with code 4 if a verdict has at least this severity.",
    ),
]


def assess(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to assess; - reads standard input.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
    tenant: Annotated[
        str, typer.Option("--tenant", help="Search only for this tenant's customers.")
    ] = "",
    customers: Annotated[
        Path | None,
        typer.Option(
            "--customers",
            metavar="OUT.csv",
            help="Write the customers' pseudonyms to this file, never their identifiers.",
        ),
    ] = None,
    open_: Annotated[
        bool,
        typer.Option(
            "--open", help="Open an incident from the file, wait for it, and print its number."
        ),
    ] = False,
    wait: Annotated[
        float, typer.Option("--wait", min=0.0, help="With --open: the longest wait, in seconds.")
    ] = 60.0,
    ocr: Ocr = False,
    fail: Fail = False,
    fail_on: FailOn = "",
    served: Annotated[
        int | None,
        typer.Option("--socket", hidden=True, help="Internal: the socket to answer on."),
    ] = None,
    received: Annotated[
        int, typer.Option("--file", hidden=True, help="Internal: the received file.")
    ] = 0,
) -> None:
    """Assess a file: is it real, is it ours, who is in it, which scam is likely.
    Nothing of it is kept.

    Where something of it was not read and nobody is in the rest, there is no verdict.
    """
    context: Context = ctx.obj
    if served is not None:
        return serve_one(context, served, received)
    check_severity(fail_on)
    check_file(file)
    if customers is not None:
        _check_target(customers, file)
    given = sys.stdin.buffer.read() if str(file) == "-" else None
    note = supervise()
    with ExitStack() as stack:
        desk = desk_of(context, stack, to_open=open_)
        with read_progress([size_of(file)]) as progress:
            progress.begin()
            wanted = ExaminationRequest(
                limits_here(ocr=ocr),
                tenant,
                customers=customers is not None,
                to_open=open_,
                heard=progress.read,
                note=note,
                given=given,
            )
            examined = examine(context, file, file, desk, wanted)
        judged = examined.judged
        code = judged.code(fail=fail, fail_on=fail_on)
        if customers is not None:
            count = _write_customers(customers, examined)
            typer.echo(f"{count:,} customer{'s' * (count != 1)} written to {customers}", err=True)
        if not as_json:
            show(Console(width=None if sys.stdout.isatty() else 100, highlight=False), judged)
        opened = open_incidents(context, desk, examined.signed(), wait) if open_ else None
    if as_json:
        sys.stdout.write(json.dumps(judged.as_dict(opened), ensure_ascii=False, indent=1) + "\n")
    elif opened is not None:
        show_opened(opened)
    raise typer.Exit(code if opened is None or _is_opened(opened) else Exit.FAILED)


def _is_opened(opened: Mapping[str, IncidentReference]) -> bool:
    """Return whether every tenant concerned has its incident; print why one has none."""
    if opened and all(reference.incident for reference in opened.values()):
        return True
    reasons = {reference.why_not for reference in opened.values() if reference.why_not}
    typer.echo("; ".join(reasons) or NOBODY, err=True)
    return False


def _check_target(out: Path, file: Path) -> None:
    """Raise `ConfigError` if `out` cannot be written, or is `file` itself."""
    if is_standard_output(out):
        raise ConfigError(
            "--customers: must be a file, because the verdict goes to standard output"
        )
    if not out.parent.is_dir():
        raise ConfigError(
            f"--customers: {out.parent} is not a folder: create it, or name another file"
        )
    if out.is_dir() or (out.exists() and file.exists() and out.samefile(file)):
        raise ConfigError(
            f"--customers: {out} is {'a folder' if out.is_dir() else 'the assessed file'}:"
            " name another file"
        )


def _write_customers(out: Path, examined: Examination) -> int:
    """Write `out`, for its owner alone; return the number of customers in it.

    The file is written as a whole or not at all.
    """
    lines = list(examined.customers())
    write_whole("".join(lines).encode(), out)
    return len(lines) - 1


COLOUR = {
    "statutory": "bold white on red",
    "high": "bold red",
    "medium": "bold yellow",
    "low": "yellow",
    "notice": "cyan",
    "noise": "dim",
}
ORIGIN = {
    "ours": "bold red",
    "partner": "red",
    "devices": "magenta",
    "elsewhere": "green",
    "recycled": "green",
    "fabricated": "cyan",
    "unknown": "yellow",
}
SHOWN_UNREAD = 20
"""Parts of a file that were not read and are named; more are only counted."""
ABSENT = "load a customer list for {}"


def show(console: Console, judged: Assessment) -> None:
    """Print the assessment of a file, the answer first.

    Each tenant with customers gets its verdict, each other one a line that nothing of it was found,
    and each tenant without a valid list a line that it was not searched. Where nobody was found and
    part of the file was not read, a line says that there is no verdict.
    """
    name = printable(Path(judged.file.name))
    console.print(_file(name, judged))
    if not judged.is_exposed and not judged.is_whole:
        console.print(_no_verdict(judged))
    for verdict in judged.tenants:
        if verdict.customers or verdict.exposure.score:
            console.print(_tenant(verdict, judged))
        else:
            console.print(_nothing(verdict, judged))
    for tenant in judged.absent:
        console.print(
            Text(
                f"tenant {tenant}: not searched, because it has no valid customer list here",
                style="yellow",
            )
        )


def show_opened(opened: Mapping[str, IncidentReference]) -> None:
    """Print the incident that was opened from a file, for each tenant."""
    for tenant, one in opened.items():
        if one.incident:
            how = "opened" if one.is_new else "already existed"
            typer.echo(
                f"incident {one.incident} of tenant {tenant}: {how}, {one.severity}; `ullage"
                f" incidents show {one.incident}`"
            )


def _no_verdict(judged: Assessment) -> Text:
    """Return the line that there is no verdict, and what would allow one."""
    asked = [
        ASK.get(reason, IN_PARTS)
        for reason in dict.fromkeys(outcome.reason for outcome in judged.outcomes)
    ]
    steps = [f"ask {'; '.join(dict.fromkeys(asked))}"] if asked else []
    steps += [ABSENT.format(", ".join(judged.absent))] if judged.absent else []
    why = (
        "Not all of the file was read"
        if asked
        else "Not every tenant's customers were searched for"
    )
    said = f"{why}, so it may contain customers that were not found: {'; '.join(steps)}."
    return Text.assemble(("NO VERDICT  ", "bold yellow"), (said, "yellow"))


def _file(name: str, judged: Assessment) -> Table:
    whole, outcomes = judged.whole, judged.outcomes
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right")
    grid.add_column()
    valid = ", ".join(f"{count} {kind}" for kind, count in whole.candidates.items()) or "none"
    failed = ", ".join(f"{count} {kind}" for kind, count in whole.failures.items()) or "none"
    grid.add_row("file", Text(name, style="bold"))
    grid.add_row(
        "rows",
        f"{whole.rows}" + (f"   newest date {whole.newest_date}" if whole.newest_date else ""),
    )
    grid.add_row("identifiers", f"{valid}   (checksum fails: {failed})")
    grid.add_row(
        "fields",
        " ".join(f"{label} {count}" for label, count in whole.field_map.items())
        or "none recognised",
    )
    if whole.skeleton:
        grid.add_row("row", Text(whole.skeleton))
    if whole.terms:
        grid.add_row(
            "jargon", ", ".join(f"{t.shown} ({t.category.lower()})" for t in whole.terms[:8])
        )
    if whole.estimated:
        grid.add_row(
            "counts",
            (
                "of distinct identifiers are estimates (within 0.1 %), because there are too"
                " many to store"
            ),
        )
    if outcomes:
        given = printable(judged.file)
        lines = [
            f"{name}{outcome}".replace(f"{name}{given}", name, 1)
            for outcome in outcomes[:SHOWN_UNREAD]
        ]
        lines += [f"and {len(outcomes) - SHOWN_UNREAD} more"] if outcomes[SHOWN_UNREAD:] else []
        grid.add_row("not read", Text("\n".join(lines), style="yellow"))
    return grid


def _tenant(verdict: TenantVerdict, judged: Assessment) -> Panel:
    exposure, origin = verdict.exposure, verdict.origin
    head = Text.assemble(
        (f"{exposure.severity.upper()}  ", COLOUR[exposure.severity]),
        (f"exposure {exposure.score}/100   ", "bold"),
        (verdict.whose, ORIGIN[origin.verdict]),
    )
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right")
    grid.add_column()
    grid.add_row("who", _describe_customers(verdict, judged))
    grid.add_row(
        "rows",
        (
            f"{verdict.matched_rows} contain a customer, {verdict.corroborated_rows} match two"
            " or more fields of one customer"
        ),
    )
    if verdict.logins:
        of_staff = f", {verdict.staff_logins} of them by staff" * bool(verdict.staff_logins)
        grid.add_row(
            "logins",
            f"{format_count(verdict.logins, 'different login')} at the tenant's own"
            f" sites{of_staff}",
        )
    if verdict.cookies:
        lasting = (
            verdict.staff_cookies,
            verdict.live_cookies,
            verdict.session_cookies,
            verdict.cookies_until,
        )
        grid.add_row(
            "cookies",
            f"{verdict.cookies:,} of the tenant's own sites: {describe_cookies(*lasting)[0]}",
        )
    if verdict.own_cards:
        grid.add_row(
            "own cards",
            (
                f"{verdict.own_cards} valid cards in the tenant's ranges that are not in its"
                " customer list"
            ),
        )
    grid.add_row("by chance", f"{format_number(verdict.expected_by_chance)} phones would match")
    if exposure.scenario:
        grid.add_row("likely scam", f"{exposure.title}  {exposure.title_zh}")
    *points, why = exposure.reasons
    grid.add_row(
        "exposure", _points(points) if points else "no known scam works with so little data"
    )
    grid.add_row("severity", Text(why.evidence))
    grid.add_row("origin", _points(origin.reasons))
    if verdict.customers:
        grid.add_row("before", _before(verdict, judged))
    return Panel(
        Group(head, render_next_step(verdict.next_step, verdict.decide), Text(), grid),
        title=f"tenant {verdict.tenant}",
        title_align="left",
        border_style=ORIGIN[origin.verdict],
    )


def _describe_customers(verdict: TenantVerdict, judged: Assessment) -> str:
    """Return how many customers were found, by which kinds of value.

    The number is a minimum if some of the file was not read.
    """
    if not verdict.customers:
        return f"none of {verdict.watchlist:,} customers" + " in the part that was read" * bool(
            judged.outcomes
        )
    kinds = ", ".join(f"{count} {kind}" for kind, count in verdict.kinds.items())
    at_least = "at least " * bool(judged.outcomes)
    return f"{at_least}{verdict.customers} of {verdict.watchlist:,} customers   ({kinds})"


def _points(reasons: Sequence[Reason]) -> Table:
    """Return the reasons of an answer as a table.

    A long line continues below its text, not below its points, of which the origin has none.
    """
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right")
    grid.add_column()
    for reason in reasons:
        grid.add_row(
            "·" if reason.code.startswith("O") else f"{reason.points:+d}", Text(reason.evidence)
        )
    return grid


def _before(verdict: TenantVerdict, judged: Assessment) -> Text:
    """Return what earlier incidents show about these customers, as a line of text.

    Without access to incidents it says why they were not compared.
    """
    earlier = verdict.earlier
    if earlier is None:
        return Text(f"not compared with earlier incidents: {judged.not_compared}", style="yellow")
    known = (
        f"{earlier.share:.0%} of these customers appeared with the same fields in"
        f" {earlier.incident} or other incidents"
    )
    new = (
        f"in none of {earlier.compared:,} earlier incidents with the same fields"
        if earlier.compared
        else "the first incident"
    )
    said = known if earlier.incident else new
    return Text(f"{said}; --open would add it to {earlier.joins}" if earlier.joins else said)


def _nothing(verdict: TenantVerdict, judged: Assessment) -> Text:
    """Return the line that none of a tenant's customers is in the part that was read."""
    searched = "the part that was read" if judged.outcomes else "it"
    said = f"tenant {verdict.tenant}: none of {verdict.watchlist:,} customers is in {searched}"
    return Text(said, style="yellow" if judged.outcomes else "green")
