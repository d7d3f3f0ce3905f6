"""`ullage ingest FILE|-`: captures from other collectors, as JSON Lines, sealed and appended like the crawler's own.

With `--as` FILE is an export that people make themselves (`crawlers.intake.exports`); with `--watch` a folder is watched.

A bad line is reported by its number and field, never by its content, and the others go on; a field of another name is named once.
A line that stands on standard input is durable within two seconds, whatever comes after it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from crawlers.intake.exports import FORMS, read_export
from crawlers.intake.feed import FLUSH_SECONDS, IntakeWriter
from crawlers.intake.line import CaptureLine, missing, read_line, shown
from crawlers.intake.watched_folder import WatchedFolder
from ullage import log, setup
from ullage.errors import ConfigError, RecordError
from ullage.exits import Exit
from ullage.files.lock import hold
from ullage.monitoring.metrics import new_registry
from ullage.records import ELSEWHERE, MAX_BODY_BYTES
from ullage.runtime.role import running
from ullage.settings import Context

MAX_LINE_BYTES = 6 * MAX_BODY_BYTES
"""JSON may write one character in six."""
BLOCK_BYTES = 2**18
MOST_NAMED = 20
"""Fields of other names that are told of in one run."""
WITHOUT = {
    "author": "nothing joins them with what the same seller says",
    "channel": "they are joined by site, author and time alone",
    "message_id": "each is known by its text, so edits and deletions are not noticed",
    "published_at": "the time at which they were handed in counts",
}
"""What follows where a line without an address lacks a field."""

Form = Annotated[str, typer.Option("--as", metavar="FORM", help="FILE is an export: telegram, qq, wechat or mail.")]
File = Annotated[str, typer.Argument(metavar="[FILE|-]", help="JSON Lines, or an export; - reads standard input.")]
Watch = Annotated[Path | None, typer.Option("--watch", metavar="DIR", help="Take files that are put into this folder, for ever.")]
Remove = Annotated[bool, typer.Option("--remove", help="With --watch: delete what was taken, instead of moving it to DIR/taken.")]
OfSite = Annotated[str, typer.Option("--site", help="With --as: the site that it is of.")]
OfChannel = Annotated[str, typer.Option("--channel", help="With --as: the channel, where the export does not say it.")]


def ingest(
    ctx: typer.Context, file: File = "", watch: Watch = None, remove: Remove = False, form: Form = "", site: OfSite = "",
    channel: OfChannel = "",
) -> None:  # fmt: skip
    """Read posts that another collector wrote; a refused line is named by its number."""
    context: Context = ctx.obj
    setup.require(context)
    if bool(file) == bool(watch):
        raise ConfigError("ingest takes FILE, - or --watch DIR: one of them")
    if form and (form not in FORMS or not site or file == "-"):
        raise ConfigError(f"--as takes {', '.join(FORMS)}, with FILE or a folder, and --site says of which site it is")
    if watch:
        _watch(context, watch, remove, partial(_lines_of, form=form, site=site, channel=channel))
        return
    if file == "-":
        accepted, refused = take(context, sys.stdin.buffer)
    else:
        feed = _feed(context)
        try:
            accepted, refused = _take_file(feed, Path(file), partial(_lines_of, form=form, site=site, channel=channel))
        except OSError as error:
            raise ConfigError(f"{file}: cannot be read ({error.strerror})") from None
        feed.end()
    typer.echo(f"{accepted} accepted, {refused} refused")
    if refused:
        raise typer.Exit(Exit.FAILED)


Lines = Callable[[Path], Iterator[tuple[int, bytes | None]]]


def _lines_of(path: Path, form: str, site: str, channel: str) -> Iterator[tuple[int, bytes | None]]:
    """The numbered lines of a file, or of what an export says."""
    if form:
        told = (json.dumps(said, ensure_ascii=True).encode() for said in read_export(path, form, site, channel))
        yield from enumerate(told, 1)
        return
    with path.open("rb") as source:
        yield from lines(source)


def _take_file(feed: IntakeWriter, path: Path, read: Lines) -> tuple[int, int]:
    return _take_numbered(feed, read(path))


def _watch(context: Context, folder: Path, remove: bool, read: Lines) -> None:
    """Take what is put into `folder` until the process is told to stop."""
    watched = WatchedFolder(folder, context.running_time.believed(), remove)  # one that was set ahead takes no half file
    registry = new_registry("ingest")
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(running("ingest", registry, None, context.running_time))
        hold(folder / ".ullage.lock", f"{folder} is being watched")  # until the process ends
        feed = _feed(context, stop)

        def take_one(path: Path) -> int:
            try:
                accepted, refused = _take_file(feed, path, read)
            except ConfigError as error:
                log.get("ingest").warning("file_refused", error=type(error).__name__)
                feed.flush()
                return 1
            feed.flush()
            log.get("ingest").info("file_read", captures=accepted)
            return refused

        watched.run(take_one, stop)
        feed.end()


def _feed(context: Context, stop: threading.Event | None = None) -> IntakeWriter:
    feed = IntakeWriter.of(context, stop)
    for fault in feed.faults:
        typer.echo(f"{fault}; its lines are taken as of {ELSEWHERE}", err=True)
    return feed


def take(context: Context, source: BinaryIO) -> tuple[int, int]:
    """Append the captures of `source`; returns how many lines were accepted and how many refused."""
    feed = _feed(context)
    counted = _take_numbered(feed, lines(source))
    feed.end()
    return counted


def _take_numbered(feed: IntakeWriter, numbered: Iterable[tuple[int, bytes | None]]) -> tuple[int, int]:
    """Lines into `feed`, which is flushed by time while nothing comes; how many were accepted and refused."""
    accepted = refused = 0
    named = FieldReport()
    for number, line in numbered:
        if line is None:
            feed.turn()
            continue
        try:
            read = read_line(line)
            captures = feed.captures(read)
        except RecordError as error:
            typer.echo(f"line {number}: {error}", err=True)
            refused += 1
            feed.turn()
            continue
        named.tell(number, read)
        feed.put(captures)
        accepted += 1
    named.tell_missing()
    return accepted, refused


class FieldReport:
    """Tells of fields of other names, each once, and in the end of those that lines lack."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._missing: Counter[str] = Counter()
        self._lines = 0

    def tell(self, number: int, line: CaptureLine) -> None:
        """Name those of `line` that were in none before it."""
        self._lines += 1
        self._missing.update(missing(line))
        for name in shown(line.unknown) if len(self._told) < MOST_NAMED else ():
            if name not in self._told and len(self._told) < MOST_NAMED:
                self._told.add(name)
                typer.echo(f"line {number}: unknown field, which is left out: {name}", err=True)

    def tell_missing(self) -> None:
        """Say what is missing, and what follows from that."""
        for name, count in sorted(self._missing.items()):
            typer.echo(f"{count} of {self._lines} lines have no {name}: {WITHOUT[name]}", err=True)


def lines(source: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Lines that are not blank, numbered from 1; None in the place of one while nothing comes.

    Of a line beyond the limit only its beginning is given, which is no JSON.
    """
    number, held, left_out = 1, bytearray(), False
    for block in blocks(source):
        if block is None:
            yield number, None
            continue
        for piece in io.BytesIO(block):
            if not left_out:
                held += piece[: MAX_LINE_BYTES - len(held)]
            left_out = len(held) >= MAX_LINE_BYTES
            if piece.endswith(b"\n"):
                if held.strip():
                    yield number, bytes(held)
                held, left_out, number = bytearray(), False, number + 1
    if held.strip():
        yield number, bytes(held)


def blocks(source: BinaryIO) -> Iterator[bytes | None]:
    """What stands in `source` as it comes; None while nothing does for a moment."""
    try:
        number = source.fileno()
    except (OSError, io.UnsupportedOperation):
        yield from iter(partial(source.read, BLOCK_BYTES), b"")
        return
    waiting = select.poll()
    waiting.register(number, select.POLLIN)
    while True:
        if not waiting.poll(FLUSH_SECONDS * 1000 / 4):
            yield None
            continue
        with contextlib.suppress(BlockingIOError):
            if not (block := os.read(number, BLOCK_BYTES)):
                return
            yield block
