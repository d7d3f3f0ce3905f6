"""`ullage ingest FILE|-`: captures from other collectors, as JSON Lines, sealed and appended like the crawler's own.

A bad line is reported by its number and field, never by its content, and the others go on; a field of another name is named once.
A line that stands on standard input is durable within two seconds, whatever comes after it.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from crawlers.intake.feed import FLUSH_SECONDS, Feed
from crawlers.intake.line import Line, read_line
from ullage import setup
from ullage.errors import ConfigError, RecordError
from ullage.exits import Exit
from ullage.records import ELSEWHERE, MAX_BODY_BYTES
from ullage.settings import Context

MAX_LINE_BYTES = 6 * MAX_BODY_BYTES
"""JSON may write one character in six."""
BLOCK_BYTES = 2**18
MOST_NAMED = 20
"""Fields of other names that are told of in one run."""


def ingest(
    ctx: typer.Context, file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON Lines; - reads standard input.")]
) -> None:
    """Take captures from another collector; a line that is refused is named by its number."""
    context: Context = ctx.obj
    setup.require(context)
    if file == "-":
        accepted, refused = take(context, sys.stdin.buffer)
    else:
        try:
            with Path(file).open("rb") as source:
                accepted, refused = take(context, source)
        except OSError as error:
            raise ConfigError(f"{file}: cannot be read ({error.strerror})") from None
    typer.echo(f"{accepted} accepted, {refused} refused")
    if refused:
        raise typer.Exit(Exit.FAILED)


def take(context: Context, source: BinaryIO) -> tuple[int, int]:
    """Append the captures of `source`; returns how many lines were accepted and how many refused."""
    feed = Feed.of(context)
    for fault in feed.faults:
        typer.echo(f"{fault}; its lines are taken as of {ELSEWHERE}", err=True)
    counted = take_lines(feed, source)
    feed.end()
    return counted


def take_lines(feed: Feed, source: BinaryIO) -> tuple[int, int]:
    """The lines of `source` into `feed`, which is flushed by time while nothing comes; how many were accepted and refused."""
    accepted = refused = 0
    named = Named()
    for number, line in lines(source):
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
    return accepted, refused


class Named:
    """Tells of fields of other names, each once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, number: int, line: Line) -> None:
        """Name those of `line` that were in none before it."""
        for name in line.unknown:
            if name not in self._told and len(self._told) < MOST_NAMED:
                self._told.add(name)
                typer.echo(f"line {number}: unknown field, which is left out: {name}", err=True)


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
