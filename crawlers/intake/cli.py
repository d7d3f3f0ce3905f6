"""Take in JSON lines or chat exports from a file, standard input or a watched folder.

    DIR/loans.jsonl           is taken when it is whole
    DIR/taken/loans.jsonl     all of it is durable on the bus
    DIR/refused/loans.jsonl   a line of it was refused, or it cannot be read; the other lines are durable

A file is whole when it has not changed for `SETTLED_SECONDS` and ends with a newline; without one
it waits for a minute. Whoever renames a finished file into the folder waits for neither. Names that
begin with a dot or end in `.part` or `.tmp` are nobody's yet. Killed between the bus and the move,
a file is taken again, and its posts are the same posts.

With `--as` FILE is an export that people make themselves (`crawlers.intake.chat_exports`); with
`--watch` a folder is watched.

A bad line is reported by its number and field, never by its content, and the others go on; a field
of another name is named once. A line that stands on standard input is durable within two seconds,
whatever comes after it.
"""  # noqa: E501

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
"""Takes a file in; returns how many of its lines were refused when the others are durable."""


@dataclass(slots=True)
class WatchedFolder:
    """One folder.

    `remove` deletes what was taken instead of keeping it: leaked text does not stay in clear.
    """

    folder: Path
    clock: Clock
    remove: bool = False
    taken: int = 0
    refused: int = 0
    _seen: dict[Path, tuple[tuple[int, int], float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise ConfigError(f"{self.folder} is no folder: make it, or name the right one")

    def run(self, take: Take, stop: threading.Event) -> None:
        """Look at the folder until `stop`."""
        while not stop.is_set():
            self.turn(take)
            stop.wait(LOOK_SECONDS)

    def turn(self, take: Take) -> None:
        """Take what is whole now."""
        there = dict(self._files())
        for gone in self._seen.keys() - there.keys():
            del self._seen[gone]
        for path, mark in sorted(there.items()):
            if self._is_whole(path, mark):
                self._one(path, take)

    def _files(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        for path in self.folder.iterdir():
            if not path.name.startswith(".") and not path.name.endswith(UNFINISHED):
                found = path.lstat()
                if stat.S_ISREG(found.st_mode):
                    yield path, (found.st_size, found.st_mtime_ns)

    def _is_whole(self, path: Path, mark: tuple[int, int]) -> bool:
        now = self.clock.monotonic()
        known = self._seen.get(path)
        if known is None or known[0] != mark:
            self._seen[path] = known = mark, now
        settled = max(now - known[1], self.clock.wall() - mark[1] / 1e9 if known[1] == now else 0.0)
        return settled >= (SETTLED_SECONDS if _ends(path) else UNENDED_SECONDS)

    def _one(self, path: Path, take: Take) -> None:
        """Take one file and move it away."""
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
    """Whether the file ends with a newline, or is empty."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        if not end:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _free(folder: Path, name: str) -> Path:
    """A name in `folder` that nobody has."""
    path, number = folder / name, 1
    while path.exists():
        path, number = folder / f"{name}.{number}", number + 1
    return path


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
Form = Annotated[
    str,
    typer.Option(
        "--as", metavar="FORM", help="FILE is an export in this form, such as telegram, csv, mail."
    ),
]
File = Annotated[
    str,
    typer.Argument(metavar="[FILE|-]", help="JSON Lines, or an export; - reads standard input."),
]
Watch = Annotated[
    Path | None,
    typer.Option(
        "--watch", metavar="DIR", help="Take files that are put into this folder, for ever."
    ),
]
Remove = Annotated[
    bool,
    typer.Option(
        "--remove", help="With --watch: delete what was taken, instead of moving it to DIR/taken."
    ),
]
OfSite = Annotated[str, typer.Option("--site", help="With --as: the site that it is of.")]
OfChannel = Annotated[
    str, typer.Option("--channel", help="With --as: the channel, where the export does not say it.")
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
        raise ConfigError("ingest takes FILE, - or --watch DIR: one of them")
    forms = context.data / EXPORT_FORMS
    if form and (form not in (names := form_names(forms)) or not site or file == "-"):
        raise ConfigError(
            f"--as takes {', '.join(names)}, with FILE or a folder, and --site says of which site"
            " it is"
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
        except ConfigError:  # a file of an export; what was read of the others is taken
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
    """The numbered lines of a file, or of what an export says."""
    if form:
        told = (
            json.dumps(said, ensure_ascii=True).encode()
            for said in read_export(path, form, site, channel, forms)
        )
        yield from enumerate(told, 1)
        return
    with path.open("rb") as source:
        yield from lines(source)


def _take_file(feed: IntakeWriter, path: Path, read: Lines) -> tuple[int, int]:
    return _take_numbered(feed, read(path))


def _watch(context: Context, folder: Path, remove: bool, read: Lines) -> None:
    """Take what is put into `folder` until the process is told to stop."""
    # one that was set ahead takes no half file
    watched = WatchedFolder(folder, context.running_time.believed(), remove)
    registry = new_registry("ingest")
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(running("ingest", registry, None, context))
        take_lock(folder / ".ullage.lock", f"{folder} is being watched")  # until the process ends
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
    """Append the captures of `source`; returns how many lines were accepted and how many
    refused.
    """
    feed = _feed(context)
    counted = _take_numbered(feed, lines(source))
    feed.end()
    return counted


def _take_numbered(
    feed: IntakeWriter, numbered: Iterable[tuple[int, bytes | None]]
) -> tuple[int, int]:
    """Lines into `feed`, which is flushed by time while nothing comes; how many were accepted
    and refused.
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
