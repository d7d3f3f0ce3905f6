"""`ullage scan` and `ullage assess`: files on this machine, no bus and no store, nothing kept."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from matcher.cli import files, screen
from matcher.cli.assess import Assessment, check_severity, verdicts
from matcher.cli.handles import check_target, write_customers
from matcher.cli.memory import keep_freed_memory
from matcher.cli.opening import NOBODY, Before, compared, handed_over, opened
from matcher.cli.stage import build_matcher
from matcher.match.batches import Searched, batches
from matcher.match.capture_result import Reading
from matcher.match.corroborate import look_up
from matcher.match.legible import watched
from matcher.match.listing import confidences, with_places
from matcher.match.parts import Piece
from matcher.match.pipeline import Matcher
from matcher.unpack.outcome import Outcome, Unread
from matcher.unpack.parent import ForkServer
from matcher.watchlist import installed
from matcher.watchlist.installed import TenantLists
from ullage.errors import ConfigError, UllageError
from ullage.exits import Exit
from ullage.incidents import Incidents, Opened, incidents
from ullage.monitoring.canary import TENANT as CANARY
from ullage.records import MAX_MATCHES
from ullage.settings import Context
from ullage.settings.tenants import require_tenant, tenants_here

PROGRESS_FILES = 100

Fail = Annotated[bool, typer.Option("--fail", help="Exit with 4 where a customer was found.")]


def scan(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files, archives and folders; - for standard input.")],
    alarms: Annotated[bool, typer.Option("--alarms", help="Add lexicon terms (kind lexicon, subject null).")] = False,
    not_read: Annotated[bool, typer.Option("--unread", help="Add what was not read (kind unread, the reason as form).")] = False,
    fail: Fail = False,
) -> None:
    """Match local files now: one JSON object a line. No bus, no store, nothing kept.

    Names on stderr what was not read, or not wholly; where that was and nobody was found, there is no verdict.
    """
    matcher = _matcher(ctx.obj)
    count, unread, current, exposed = 0, Unread(), "", False
    outcomes = list[Outcome]()

    def told(outcome: Outcome) -> None:
        outcomes.append(outcome)
        unread.add(outcome, current or outcome.path)
        typer.echo(str(outcome), err=True)
        if not_read:
            _write(_row(outcome.path, None, ("unread", outcome.reason), None))

    def pieces() -> Iterator[Piece]:
        nonlocal count, current
        with ForkServer() as server:
            for path in files.files_under(paths, told):
                current = files.shown(path)
                outcomes.clear()
                yield from watched(files.pieces_in(path, 0, told, server), current, outcomes, told)
                count, current = count + 1, ""
                if sys.stderr.isatty() and count % PROGRESS_FILES == 0:
                    typer.echo(f"{count} files", err=True)

    for searched in batches(pieces(), matcher.lexicon, matcher.public):
        for lists in matcher.lists:
            lines = _found(lists, searched)
            exposed = exposed or bool(lines)
            sys.stdout.write("".join(lines))
        for row in _terms(searched) if alarms else ():
            _write(row)
    typer.echo(f"{count} files scanned, {unread}", err=True)
    code = Exit.DONE if exposed or not unread.matters else Exit.NO_VERDICT
    raise typer.Exit(Exit.EXPOSED if exposed and fail else code)


def _write(row: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


def _found(lists: TenantLists, searched: Searched) -> list[str]:
    """The lines that `scan` prints of a tenant's customers in a batch, from the epoch that found most."""
    by_epoch = [(look_up(epoch, searched), epoch) for epoch in lists.epochs]
    found, best = max(by_epoch, key=lambda pair: (len(pair[0]), pair[1].number))
    found["document"][:] = searched.batch.documents(found["start"])
    with_places(searched, found)
    paths = [json.dumps(part.piece.path, ensure_ascii=False) for part in searched.parts]
    named = [f'"kind": "{kind}", "form": "{form}", "tenant": {json.dumps(lists.tenant)}' for kind, form in found.kinds]
    columns = (found[name].tolist() for name in ("document", "first", "last", "question"))
    return [
        f'{{"path": {paths[document]}, "start": {first}, "end": {last}, {named[question]}, "subject": "{handle}", '
        f'"confidence": {confidence}}}\n'
        for document, first, last, question, handle, confidence in zip(
            *columns, best.list.handles(found["subject"]), confidences(found).tolist(), strict=True
        )
    ]


def _terms(searched: Searched) -> Iterator[dict[str, object]]:
    """What `scan --alarms` prints of a batch's lexicon terms."""
    for part, terms in zip(searched.parts, searched.terms, strict=True):
        for hit in terms.hits:
            start, end = part.text.span(*part.text.chars([hit.start, hit.end]).tolist())
            place = (part.piece.offset + start, part.piece.offset + end)
            yield _row(part.piece.path, place, ("lexicon", "plain"), hit.entry.weight * 20)


def _row(
    path: str,
    place: tuple[int, int] | None,
    what: tuple[str, str],
    confidence: int | None,
) -> dict[str, object]:
    """A line of `scan` that is about no customer, its fields in the order that is promised."""
    start, end = place or (None, None)
    named = {"kind": what[0], "form": what[1], "tenant": None, "subject": None}
    return {"path": path, "start": start, "end": end, **named, "confidence": confidence}


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
    files.check_file(file)
    if customers is not None:
        check_target(customers, file)
    with ExitStack() as stack:
        desk, why_not = _incidents(context, stack, to_open=open_)
        matcher, absent = _matcher_of(context, tenant, detailed=open_ or customers is not None or desk is not None)
        outcomes = list[Outcome]()
        reading = _read(context, matcher, file, outcomes, room=None if open_ or customers is not None else MAX_MATCHES)
        before = compared(desk, matcher, reading, context) if desk else Before(why_not=why_not)
        judged = Assessment(*verdicts(context, matcher, reading, before), before.why_not, outcomes, absent, file)
        code = judged.code(fail=fail, fail_on=fail_on)
        if customers is not None:
            count = write_customers(customers, matcher, reading)
            typer.echo(f"{count:,} customer{'s' * (count != 1)} written to {customers}", err=True)
        if not as_json:
            screen.show(Console(width=None if sys.stdout.isatty() else 100, highlight=False), judged)
        made = _opened(context, desk, why_not, matcher, reading, wait) if open_ else None
    if as_json:
        sys.stdout.write(json.dumps(judged.as_dict(made), ensure_ascii=False, indent=1) + "\n")
    elif made is not None:
        screen.show_opened(made)
    if made is not None and not (made and all(one.incident for one in made.values())):
        typer.echo("; ".join({one.why_not for one in made.values() if one.why_not}) or NOBODY, err=True)
        code = Exit.FAILED
    raise typer.Exit(code)


def _incidents(context: Context, stack: ExitStack, *, to_open: bool) -> tuple[Incidents | None, str]:
    """The incidents, until `stack` is closed; or None and why they cannot be asked."""
    try:
        return stack.enter_context(incidents(context, to_open=to_open)), ""
    except UllageError as error:
        return None, str(error)


def _opened(
    context: Context, desk: Incidents | None, why_not: str, matcher: Matcher, reading: Reading, wait: float
) -> dict[str, Opened]:
    """What became of the file, a tenant that it concerns."""
    handed = handed_over(matcher, reading, context)
    if desk is None:
        unseen = Opened(why_not=f"handed over; whether it was folded cannot be seen here: {why_not}")
        return dict.fromkeys(handed.values(), unseen)
    return opened(desk, handed, wait)


def _read(context: Context, matcher: Matcher, file: Path, outcomes: list[Outcome], room: int | None) -> Reading:
    """The file as one capture of a site of its own; what is not read of it goes to `outcomes`."""
    capture = files.capture_of(file, b"", context.clock.now()).model_copy(
        update={"id": secrets.token_hex(16), "site": "assess", "post_id": secrets.token_hex(8)}
    )
    reading = Reading(capture, matcher.key, matcher.lexicon.records, room=room)

    def told(outcome: Outcome) -> None:
        reading.told(outcome)
        outcomes.append(outcome)

    [read] = matcher.gather(watched(files.pieces_in(file, 0, told), files.shown(file), outcomes, told), [reading])
    return read


def _matcher(context: Context) -> Matcher:
    keep_freed_memory()
    matcher = build_matcher(context)
    if not matcher.lists:
        raise ConfigError(f"no watchlist in {context.data}: load one with `ullage watchlist load FILE --tenant NAME`")
    return matcher


def _matcher_of(context: Context, tenant: str, *, detailed: bool) -> tuple[Matcher, list[str]]:
    """A matcher over the tenants' lists, or one tenant's; and the tenants that are known here and have no list to look in."""
    keep_freed_memory()
    known = tenants_here(context) | {*installed.tenants(context.data)} - {CANARY}
    if tenant:
        require_tenant(tenant, known)
    matcher = build_matcher(context, detailed=detailed, tenant=tenant)
    matcher.lists = [lists for lists in matcher.lists if lists.tenant != CANARY]
    if not matcher.lists:
        whose = f"watchlist of tenant {tenant}" if tenant else "watchlist"
        raise ConfigError(f"no {whose} in {context.data}: load one with `ullage watchlist load FILE --tenant {tenant or 'NAME'}`")
    absent = {tenant} if tenant else known
    return matcher, sorted(absent - {lists.tenant for lists in matcher.lists})
