"""`ullage scan` and `ullage assess`: files on this machine, no bus and no store, nothing kept."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from matcher import files, screen
from matcher.assess import verdicts
from matcher.authentic import outgoing
from matcher.batches import Searched, batches
from matcher.evidence import look_up
from matcher.findings import findings_of
from matcher.match import Matcher
from matcher.matches import matches
from matcher.memory import keep_freed_memory
from matcher.originals import desks, with_original
from matcher.parts import Piece
from matcher.readings import Reading
from matcher.stage import build_matcher
from matcher.unpack.outcome import Outcome, Unread
from matcher.unpack.spawn import ForkServer
from ullage import keys
from ullage.bus import FINDINGS
from ullage.errors import ConfigError
from ullage.exits import Exit
from ullage.settings import Context

PROGRESS_FILES = 100
MOST_TOLD = 10_000
"""Parts of a file of which `assess --json` says each that it was not read; all are counted."""


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

    def told(outcome: Outcome) -> None:
        unread.add(outcome, current or outcome.path)
        typer.echo(str(outcome), err=True)
        if not_read:
            _write(_row(outcome.path, None, ("unread", outcome.reason), (None, None), None))

    def pieces() -> Iterator[Piece]:
        nonlocal count, current
        with ForkServer() as server:
            for path in files.files_under(paths, told):
                current = files.shown(path)
                yield from files.pieces_in(path, 0, told, server)
                count, current = count + 1, ""
                if sys.stderr.isatty() and count % PROGRESS_FILES == 0:
                    typer.echo(f"{count} files", err=True)

    for searched in batches(pieces(), matcher.lexicon, matcher.public):
        for row in _rows(matcher, searched, alarms=alarms):
            exposed = exposed or row["subject"] is not None
            _write(row)
    typer.echo(f"{count} files scanned, {unread}", err=True)
    raise typer.Exit(_code(exposed=exposed, is_whole=not unread.matters, fail=fail))


def _code(*, exposed: bool, is_whole: bool, fail: bool) -> Exit:
    """What `scan` and `assess` end with."""
    if exposed:
        return Exit.EXPOSED if fail else Exit.DONE
    return Exit.DONE if is_whole else Exit.NO_VERDICT


def _write(row: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


def _rows(matcher: Matcher, searched: Searched, *, alarms: bool) -> Iterator[dict[str, object]]:
    """What `scan` prints of a batch: of each tenant the epoch that found most."""
    for lists in matcher.lists:
        by_epoch = [(look_up(epoch, searched), epoch) for epoch in lists.epochs]
        found, best = max(by_epoch, key=lambda pair: (len(pair[0]), pair[1].number))
        held = matches(lists, best, searched, found)
        for path, m in zip(held.paths, held, strict=True):
            yield _row(path, (m.start, m.end), (m.kind, m.form), (lists.tenant, m.subject), m.confidence)
    for part, terms in zip(searched.parts, searched.terms, strict=True) if alarms else ():
        for hit in terms.hits:
            start, end = part.text.span(*part.text.chars([hit.start, hit.end]).tolist())
            place = (part.piece.offset + start, part.piece.offset + end)
            yield _row(part.piece.path, place, ("lexicon", "plain"), (None, None), hit.entry.weight * 20)


def _row(
    path: str,
    place: tuple[int, int] | None,
    what: tuple[str, str],
    who: tuple[str | None, str | None],
    confidence: int | None,
) -> dict[str, object]:
    """One line of `scan`, its fields in the order that is promised."""
    start, end = place or (None, None)
    named = {"kind": what[0], "form": what[1], "tenant": who[0], "subject": who[1]}
    return {"path": path, "start": start, "end": end, **named, "confidence": confidence}


def assess(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file that somebody sent; - for standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as JSON.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Make it an incident.")] = False,
    fail: Fail = False,
) -> None:
    """The verdict on a file, on one screen: real? ours? who? which scam? Nothing of it is kept.

    Where something of it was not read and nobody is in the rest, there is no verdict.
    """
    context: Context = ctx.obj
    files.check_file(file)
    matcher = _matcher(context, detailed=open_)
    outcomes = list[Outcome]()
    reading = _read(context, matcher, file, outcomes)
    whole, found = verdicts(context, matcher, reading)
    exposed = any(verdict.customers for verdict in found)
    code = _code(exposed=exposed, is_whole=not outcomes, fail=fail)
    if as_json:
        told: dict[str, object] = whole.model_dump(include={"rows", "candidates", "failures", "skeleton", "unread", "estimated"})
        told["verdict"] = "exposed" if exposed else "no verdict" if outcomes else "nobody"
        told["not_read"] = [{"path": outcome.path, "reason": outcome.reason} for outcome in outcomes[:MOST_TOLD]]
        told |= {"fields": whole.field_map, "tenants": [verdict.as_dict() for verdict in found]}
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    else:
        screen.show(Console(width=None if sys.stdout.isatty() else 100), files.shown(Path(file.name)), whole, found, outcomes)
    if open_:
        findings = list(findings_of(matcher, reading, context.clock.now()))
        if findings:
            signer, sealers = keys.signer(context.keys, "assess"), desks(context, {finding.tenant for finding in findings})
            sealed = [with_original(finding, reading, sealers.get(finding.tenant)) for finding in findings]
            context.bus().publisher(FINDINGS).append([outgoing(finding, signer) for finding in sealed])
        typer.echo(f"{len(findings)} finding(s) sent to alert", err=True)
    raise typer.Exit(code)


def _read(context: Context, matcher: Matcher, file: Path, outcomes: list[Outcome]) -> Reading:
    """The file as one capture of a site of its own; what is not read of it goes to `outcomes`."""
    capture = files.capture_of(file, b"", context.clock.now()).model_copy(
        update={"id": secrets.token_hex(16), "site": "assess", "post_id": secrets.token_hex(8)}
    )
    reading = Reading(capture, matcher.key, matcher.lexicon.records)

    def told(outcome: Outcome) -> None:
        reading.told(outcome)
        outcomes.append(outcome)

    [read] = matcher.gather(files.pieces_in(file, 0, told), [reading])
    return read


def _matcher(context: Context, *, detailed: bool = True) -> Matcher:
    keep_freed_memory()
    matcher = build_matcher(context, detailed=detailed)
    if not matcher.lists:
        raise ConfigError(f"no watchlist in {context.data}: load one with `ullage watchlist load FILE --tenant NAME`")
    return matcher
