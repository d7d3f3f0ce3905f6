"""Accept JSON lines or chat exports from a file, standard input or a watched folder.

    DIR/loans.jsonl           is read when it is complete
    DIR/taken/loans.jsonl     all of it is durable on the bus
    DIR/refused/loans.jsonl   some lines were refused, or the file cannot be read;
                              the other lines are durable

A file is complete when it has not changed for `SETTLED_SECONDS` and ends with a newline;
without the newline the wait is a minute. A finished file that is renamed into the folder needs
no wait. Names that begin with a dot or end in `.part` or `.tmp` are ignored. After a crash
between the bus and the move the file is read again, and its posts are recognised as the same.

With `--format`, FILE is an export of a chat program (`crawlers.intake.chat_exports`); with
`--watch`, a folder is watched.

A bad line is reported by its number and field, never by its content, and reading goes on. An
unknown field is reported one time. A line on standard input is durable within two seconds, even
if no other follows.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import stat
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from crawlers.intake.chat_exports import form_names, read_export
from crawlers.intake.export_form import FOLDER as EXPORT_FORMS
from crawlers.intake.feed import FLUSH_SECONDS, IntakeWriter
from crawlers.intake.submission import CaptureLine, missing, read_line, shown
from ullage import log, setup
from ullage.clock import Clock
from ullage.errors import ConfigError, Exit, RecordError
from ullage.files.atomic_write import take_lock
from ullage.monitoring.metrics import new_registry
from ullage.records import ELSEWHERE, MAX_BODY_BYTES
from ullage.runtime.service import running
from ullage.settings import Context

LOOK_SECONDS, SETTLED_SECONDS, UNENDED_SECONDS = 0.5, 2.0, 60.0
TAKEN, REFUSED = "taken", "refused"
UNFINISHED = (".part", ".tmp", ".crdownload", "~")
Take = Callable[[Path], int]
"""Reads a file and returns how many of its lines were refused; the others are then durable."""


@dataclass(slots=True)
class WatchedFolder:
    """A folder whose complete files are read one time each.

    `remove` deletes accepted files instead of moving them, so that leaked text is not kept in
    clear.
    """

    folder: Path
    clock: Clock
    remove: bool = False
    taken: int = 0
    refused: int = 0
    _seen: dict[Path, tuple[tuple[int, int], float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise ConfigError(f"{self.folder} is not a folder: create it, or name another")

    def run(self, take: Take, stop: threading.Event) -> None:
        """Read the files that appear in the folder until `stop` is set."""
        while not stop.is_set():
            self.turn(take)
            stop.wait(LOOK_SECONDS)

    def turn(self, take: Take) -> None:
        """Read the files that are complete now."""
        there = dict(self._files())
        for gone in self._seen.keys() - there.keys():
            del self._seen[gone]
        for path, mark in sorted(there.items()):
            if self._is_whole(path, mark):
                self._one(path, take)

    def _files(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        for path in self.folder.iterdir():
            if not path.name.startswith(".") and not path.name.endswith(UNFINISHED):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    yield path, (status.st_size, status.st_mtime_ns)

    def _is_whole(self, path: Path, mark: tuple[int, int]) -> bool:
        now = self.clock.monotonic()
        previous = self._seen.get(path)
        if previous is None or previous[0] != mark:
            self._seen[path] = previous = mark, now
        settled = max(
            now - previous[1], self.clock.wall() - mark[1] / 1e9 if previous[1] == now else 0.0
        )
        return settled >= (SETTLED_SECONDS if _ends(path) else UNENDED_SECONDS)

    def _one(self, path: Path, take: Take) -> None:
        """Read one file with `take`, then move it.

        There is a folder for files that were taken and one for refused files. A file of which any
        line was refused counts as refused. With `remove`, a file without a refused line is deleted
        instead. Counts and logs the result.
        """
        refused = take(path)
        self.taken += not refused
        self.refused += bool(refused)
        self._seen.pop(path, None)
        if self.remove and not refused:
            path.unlink()
        else:
            target = self.folder / (REFUSED if refused else TAKEN)
            target.mkdir(exist_ok=True, mode=0o700)
            path.replace(_free(target, path.name))
        log.get("ingest").info("file_taken", status=REFUSED if refused else TAKEN, count=refused)


def _ends(path: Path) -> bool:
    """Return whether the file ends with a newline; an empty one does not."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        if not end:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _free(folder: Path, name: str) -> Path:
    """Return a path in `folder` that does not exist yet, with a number where it must."""
    path, number = folder / name, 1
    while path.exists():
        path, number = folder / f"{name}.{number}", number + 1
    return path


MAX_LINE_BYTES = 6 * MAX_BODY_BYTES
"""JSON may write one character as six."""
BLOCK_BYTES = 2**18
MOST_NAMED = 20
"""The most unknown fields to report in one run."""
WITHOUT = {
    "author": "they cannot be grouped with other posts of the same seller",
    "channel": "they are grouped only by site, author and time",
    "message_id": "they are identified by their text, so edits and deletions are not detected",
    "published_at": "the time of import is used instead",
}
"""The consequence where a line without a URL lacks a field."""
Form = Annotated[
    str,
    typer.Option(
        "--format", metavar="FORM", help="The format of FILE, such as telegram, csv or mail."
    ),
]
File = Annotated[
    str,
    typer.Argument(metavar="[FILE|-]", help="JSON Lines or a chat export; - reads standard input."),
]
Watch = Annotated[
    Path | None,
    typer.Option(
        "--watch",
        metavar="DIR",
        help="Import files that are moved into this folder, until stopped.",
    ),
]
Remove = Annotated[
    bool,
    typer.Option(
        "--remove",
        help="With --watch: delete imported files instead of moving them to DIR/taken.",
    ),
]
OfSite = Annotated[
    str, typer.Option("--site", help="With --format: the site that the posts are from.")
]
OfChannel = Annotated[
    str,
    typer.Option("--channel", help="With --format: the channel, if the export does not name it."),
]


def ingest(
    ctx: typer.Context, file: File = "", watch: Watch = None, remove: Remove = False,
    form: Form = "", site: OfSite = "",
    channel: OfChannel = "",
) -> None:  # fmt: skip
    """Read posts that another collector wrote; a refused line is named by its number."""
    context: Context = ctx.obj
    setup.require(context)
    if bool(file) == bool(watch):
        raise ConfigError("give ingest one of FILE, - and --watch DIR")
    forms = context.data / EXPORT_FORMS
    if form and (form not in (names := form_names(forms)) or not site or file == "-"):
        raise ConfigError(
            f"--format must be one of {', '.join(names)}, with FILE or a folder, and needs --site"
        )
    read = partial(_lines_of, form=form, site=site, channel=channel, forms=forms)
    if watch:
        _watch(context, watch, remove, read)
        return
    if file == "-":
        accepted, refused = take(context, sys.stdin.buffer)
    else:
        feed = _feed(context)
        try:
            accepted, refused = _take_file(feed, Path(file), read)
        except OSError as error:
            raise ConfigError(f"{file}: cannot be read ({error.strerror})") from None
        except ConfigError:  # in one file of an export; the other files are still published
            feed.end()
            raise
        feed.end()
    typer.echo(f"{accepted} accepted, {refused} refused")
    if refused:
        raise typer.Exit(Exit.FAILED)


Lines = Callable[[Path], Iterator[tuple[int, bytes | None]]]


def _lines_of(
    path: Path, form: str, site: str, channel: str, forms: Path
) -> Iterator[tuple[int, bytes | None]]:
    """Yield the numbered lines of a file, or of the messages in an export."""
    if form:
        told = (
            json.dumps(fields, ensure_ascii=True).encode()
            for fields in read_export(path, form, site, channel, forms)
        )
        yield from enumerate(told, 1)
        return
    with path.open("rb") as source:
        yield from lines(source)


def _take_file(feed: IntakeWriter, path: Path, read: Lines) -> tuple[int, int]:
    return _take_numbered(feed, read(path))


def _watch(context: Context, folder: Path, remove: bool, read: Lines) -> None:
    """Read the files that are put into `folder` until the process is told to stop.

    Locks the folder, and serves metrics. A file that cannot be read in that form is logged and
    moved as refused; the others go on. Raises ConfigError if another process watches the folder.
    """
    # unlike a clock that was set ahead, this one never makes a half-written file look complete
    watched = WatchedFolder(folder, context.running_time.deadline_clock(), remove)
    registry = new_registry("ingest")
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(running("ingest", registry, None, context))
        # held until the process ends
        take_lock(folder / ".ullage.lock", f"{folder} is being watched")
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
        typer.echo(f"{fault}; its posts are recorded under {ELSEWHERE}", err=True)
    return feed


def take(context: Context, source: BinaryIO) -> tuple[int, int]:
    """Publish the captures of `source`; return how many lines were accepted and refused."""
    feed = _feed(context)
    counted = _take_numbered(feed, lines(source))
    feed.end()
    return counted


def _take_numbered(
    feed: IntakeWriter, numbered: Iterable[tuple[int, bytes | None]]
) -> tuple[int, int]:
    """Publish lines through `feed`; return how many were accepted and refused.

    Each refused line is printed to standard error with its number and the reason; fields that are
    unknown are printed too. None in place of a line, when no line arrives, flushes waiting captures
    by time. The captures of the last lines are durable only after `feed.end` or `feed.flush`.
    """
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
    """Reports unknown fields, one time each, and finally the fields that lines lack."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._missing: Counter[str] = Counter()
        self._lines = 0

    def tell(self, number: int, line: CaptureLine) -> None:
        """Print the unknown fields of `line` that no earlier line had."""
        self._lines += 1
        self._missing.update(missing(line))
        for name in shown(line.unknown) if len(self._told) < MOST_NAMED else ():
            if name not in self._told and len(self._told) < MOST_NAMED:
                self._told.add(name)
                typer.echo(f"line {number}: unknown field, ignored: {name}", err=True)

    def tell_missing(self) -> None:
        """Print which fields were missing, how often, and the consequence."""
        for name, count in sorted(self._missing.items()):
            typer.echo(f"{count} of {self._lines} lines have no {name}: {WITHOUT[name]}", err=True)


def lines(source: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines that are not blank, with their numbers from 1.

    None in place of a line means that none arrived for a moment. A line beyond MAX_LINE_BYTES is
    truncated, so that it is no valid JSON. Blank lines are counted.
    """
    number, line, left_out = 1, bytearray(), False
    for block in blocks(source):
        if block is None:
            yield number, None
            continue
        for piece in io.BytesIO(block):
            if not left_out:
                line += piece[: MAX_LINE_BYTES - len(line)]
            left_out = len(line) >= MAX_LINE_BYTES
            if piece.endswith(b"\n"):
                if line.strip():
                    yield number, bytes(line)
                line, left_out, number = bytearray(), False, number + 1
    if line.strip():
        yield number, bytes(line)


def blocks(source: BinaryIO) -> Iterator[bytes | None]:
    """Yield the bytes of `source` as they arrive, until its end.

    Yields None each time that nothing arrives for a quarter of FLUSH_SECONDS (1 s). A source
    without a file descriptor, such as io.BytesIO, never yields None.
    """
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
