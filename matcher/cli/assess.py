"""`ullage assess`: one file that somebody sent is judged, compared with earlier incidents, and on request made one."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from matcher.cli.authentic import outgoing
from matcher.cli.loading import build_matcher, known_here
from matcher.cli.render import show, show_opened
from matcher.cli.scan import Fail, Ocr, capture_of, check_file, limits_here, pieces_in, printable
from matcher.cli.verdict import Assessment, Before, check_severity, verdicts
from matcher.match.capture_result import Reading
from matcher.match.findings import desks, findings_of, with_original
from matcher.match.legible import watched
from matcher.match.listing import records
from matcher.match.pipeline import Matcher
from matcher.unpack.limits import Limits
from matcher.unpack.outcome import Outcome
from matcher.watchlist import installed
from ullage.bus import FINDINGS
from ullage.display.spreadsheet import csv_line
from ullage.errors import ConfigError, UllageError
from ullage.exits import Exit
from ullage.files.atomic_write import is_standard_output, write_whole
from ullage.identifiers import is_verified
from ullage.incidents import Incidents, Opened, incidents
from ullage.monitoring.canary import TENANT as CANARY
from ullage.records import MAX_MATCHES
from ullage.security import keys
from ullage.settings import Context
from ullage.settings.tenants import require_tenant, tenants_here

NOBODY = "no incident: nothing in it concerns a tenant"
COLUMNS = "handle tenant kinds fields rows verified".split()


def assess(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file that somebody sent; - for standard input.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as JSON.")] = False,
    tenant: Annotated[str, typer.Option("--tenant", help="Look for this tenant's customers alone.")] = "",
    customers: Annotated[
        Path | None, typer.Option("--customers", metavar="OUT.csv", help="Write the customers' handles there, never a value.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Make it an incident, wait for it, and print its number.")] = False,
    wait: Annotated[float, typer.Option("--wait", min=0.0, help="With --open: at most so many seconds.")] = 60.0,
    ocr: Ocr = False,
    fail: Fail = False,
    fail_on: Annotated[
        str, typer.Option("--fail-on", metavar="SEVERITY", help="Exit with 4 where a verdict is as severe, or more.")
    ] = "",
) -> None:
    """The verdict on a file, on one screen: real? ours? who? which scam? Nothing of it is kept.

    Where something of it was not read and nobody is in the rest, there is no verdict.
    """
    context: Context = ctx.obj
    check_severity(fail_on)
    check_file(file)
    if customers is not None:
        _check_target(customers, file)
    with ExitStack() as stack:
        desk, why_not = _incidents(context, stack, to_open=open_)
        known = tenants_here(context) | {*installed.tenants(context.data)} - {CANARY}
        if tenant:
            require_tenant(tenant, known)
        is_detailed = open_ or customers is not None or desk is not None
        matcher = build_matcher(context, detailed=is_detailed, known=known_here(context, tenant, canaries=False))
        absent = sorted(({tenant} if tenant else known) - {lists.tenant for lists in matcher.lists})
        outcomes = list[Outcome]()
        room = None if open_ or customers is not None else MAX_MATCHES
        reading = _read(context, matcher, file, outcomes, room, limits_here(ocr=ocr))
        before = _compared(desk, matcher, reading, context) if desk else Before(why_not=why_not)
        judged = Assessment(*verdicts(context, matcher, reading, before), before.why_not, outcomes, absent, file)
        code = judged.code(fail=fail, fail_on=fail_on)
        if customers is not None:
            count = _write_customers(customers, matcher, reading)
            typer.echo(f"{count:,} customer{'s' * (count != 1)} written to {customers}", err=True)
        if not as_json:
            show(Console(width=None if sys.stdout.isatty() else 100, highlight=False), judged)
        opened = _opened(context, desk, why_not, matcher, reading, wait) if open_ else None
    if as_json:
        sys.stdout.write(json.dumps(judged.as_dict(opened), ensure_ascii=False, indent=1) + "\n")
    elif opened is not None:
        show_opened(opened)
    if opened is not None and not (opened and all(one.incident for one in opened.values())):
        typer.echo("; ".join({one.why_not for one in opened.values() if one.why_not}) or NOBODY, err=True)
        code = Exit.FAILED
    raise typer.Exit(code)


def _incidents(context: Context, stack: ExitStack, *, to_open: bool) -> tuple[Incidents | None, str]:
    """The incidents, until `stack` is closed; or None and why they cannot be asked."""
    try:
        return stack.enter_context(incidents(context, to_open=to_open)), ""
    except UllageError as error:
        return None, str(error)


def _read(context: Context, matcher: Matcher, file: Path, outcomes: list[Outcome], room: int | None, limits: Limits) -> Reading:
    """The file as one capture of a site of its own; what is not read of it goes to `outcomes`."""
    capture = capture_of(file, b"", context.clock.now()).model_copy(
        update={"id": secrets.token_hex(16), "site": "assess", "post_id": secrets.token_hex(8)}
    )
    reading = Reading(capture, matcher.key, matcher.lexicon.records, room=room)

    def on_skipped(outcome: Outcome) -> None:
        reading.skip(outcome)
        outcomes.append(outcome)

    pieces = watched(pieces_in(file, 0, on_skipped, limits=limits), printable(file), outcomes, on_skipped)
    [read] = matcher.gather(pieces, [reading])
    return read


def _compared(desk: Incidents, matcher: Matcher, reading: Reading, context: Context) -> Before:
    """What incidents know of each tenant's customers in the file."""
    findings = findings_of(matcher, reading, context.clock.now())
    try:  # the first record of a tenant's finding holds the sketch, and as many customers as are asked for
        return Before({f.tenant: desk.earlier(f) for f in findings if f.part == 1 and f.matches})
    except UllageError as error:
        return Before(why_not=str(error))


def _opened(
    context: Context, desk: Incidents | None, why_not: str, matcher: Matcher, reading: Reading, wait: float
) -> dict[str, Opened]:
    """Hand the findings to alert, signed by `assess`; what became of them within `wait` seconds, a tenant."""
    findings = list(findings_of(matcher, reading, context.clock.now()))
    if not findings:
        return {}
    signer, sealers = keys.signer(context.keys, "assess"), desks(context, {finding.tenant for finding in findings})
    sealed = [with_original(finding, reading, sealers.get(finding.tenant)) for finding in findings]
    with closing(context.bus()) as bus:
        bus.publisher(FINDINGS).append([outgoing(finding, signer) for finding in sealed])
    tenants = {finding.id: finding.tenant for finding in findings}
    if desk is None:
        unseen = Opened(why_not=f"handed over; whether it was folded cannot be seen here: {why_not}")
        return dict.fromkeys(tenants.values(), unseen)
    try:
        folded = desk.folded(tenants.keys(), wait)
    except UllageError as error:
        folded = dict.fromkeys(tenants, Opened(why_not=f"handed over, and not folded yet: {error}"))
    return {tenant: folded[id_] for id_, tenant in tenants.items()}


@dataclass(slots=True)
class _Customer:
    """What was seen of one; the words are of closed lists."""

    kinds: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    rows: set[tuple[int, int]] = field(default_factory=set)
    verified: bool = False

    def add(self, kind: str, labels: Sequence[str], own: Sequence[str], row: tuple[int, int]) -> None:
        """A match."""
        self.kinds.add(kind)
        self.fields.update(labels)
        self.rows.add(row)
        self.verified = self.verified or is_verified([kind], corroborated=len(own) >= 2)


def _check_target(out: Path, file: Path) -> None:
    """ConfigError where `out` cannot be written, or is `file` itself."""
    if is_standard_output(out):
        raise ConfigError("--customers wants a file: standard output has the verdict")
    if not out.parent.is_dir():
        raise ConfigError(f"{out.parent} is no folder: --customers is written there")
    if out.is_dir() or (out.exists() and file.exists() and out.samefile(file)):
        raise ConfigError(f"{out} is {'a folder' if out.is_dir() else 'the file that is assessed'}: name another for --customers")


def _write_customers(out: Path, matcher: Matcher, reading: Reading) -> int:
    """Write `out`, for its owner alone, whole or not at all; how many customers are in it."""
    lines = list(_lines(matcher, reading))
    write_whole("".join([csv_line(COLUMNS), *lines]).encode(), out)
    return len(lines)


def _lines(matcher: Matcher, reading: Reading) -> Iterator[str]:
    for lists in matcher.lists:
        customers: dict[str, _Customer] = {}
        found = reading.best(lists.tenant)
        for some in found.details if found else ():
            for match in records(some):
                row = match.member, match.row
                customers.setdefault(match.subject, _Customer()).add(match.kind, match.fields, match.own_fields, row)
        for handle, seen in sorted(customers.items()):
            words = " ".join(sorted(seen.kinds)), " ".join(sorted(seen.fields))
            yield csv_line((handle, lists.tenant, *words, str(len(seen.rows)), "yes" if seen.verified else "no"))
