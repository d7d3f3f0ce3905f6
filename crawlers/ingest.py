"""`ullage ingest FILE|-`: captures from other collectors, as JSON Lines, sealed and appended like the crawler's own.

    {"site": "…", "url": "…", "text": "…", "title"?: "…", "author"?: "…", "published_at"?: "…", "category"?: "…"}

A bad line is reported by its number and field, never by its content, and the others go on. A post is named by the keyed digest of
its URL, or of its text where it has none, so that the same file given twice makes the same posts, which match folds into one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crawlers.cipher import FrontierCipher
from crawlers.outbox import BATCH, Outbox, new_id
from ullage import keys, setup
from ullage.bus import CAPTURES
from ullage.errors import ConfigError, RecordError
from ullage.exits import Exit
from ullage.metrics import OTHER
from ullage.records import MAX_BODY_BYTES, Capture
from ullage.settings import Context

MAX_LINE_BYTES = 6 * MAX_BODY_BYTES
"""JSON may write one character in six."""
PLATFORM = "ingest"


class Line(BaseModel):
    """One line of the input."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str = Field(min_length=1, max_length=200)
    url: str = Field(default="", max_length=8000)
    text: str
    title: str = Field(default="", max_length=8000)
    author: str = Field(default="", max_length=8000)
    published_at: datetime | None = None
    category: str = Field(default="", max_length=200)


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
    """Append the captures of `source` in batches; returns how many lines were accepted and how many refused."""
    publisher = context.bus().publisher(CAPTURES)
    outbox = Outbox(publisher, keys.sealer(context.keys))
    cipher = FrontierCipher(context.keys.read("frontier.key"))
    configured = {path.stem for path in (context.data / context.settings.crawl.sites).glob("*.toml")}
    accepted = refused = 0
    batch: list[Capture] = []
    label = ""
    for number, line in lines(source):
        try:
            capture = to_capture(line, cipher, context.clock.now())
            capture.encode()
        except RecordError as error:
            typer.echo(f"line {number}: {error}", err=True)
            refused += 1
            continue
        ours = capture.site if capture.site in configured else OTHER
        if len(batch) == BATCH or (batch and ours != label):
            outbox.append(batch, label)
            batch.clear()
        label = ours
        batch.append(capture)
        accepted += 1
    if batch:
        outbox.append(batch, label)
    publisher.close()
    return accepted, refused


def lines(source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, numbered from 1. Of a line beyond the limit only its beginning is given, which is no JSON."""
    number = 0
    while line := source.readline(MAX_LINE_BYTES):
        number += 1
        ended = line.endswith(b"\n")
        while not ended and (rest := source.readline(MAX_LINE_BYTES)):
            ended = rest.endswith(b"\n")
        if line.strip():
            yield number, line


def to_capture(line: bytes, cipher: FrontierCipher, now: datetime) -> Capture:
    """The capture of one line; RecordError `malformed` whose message names the field and never holds a value."""
    try:
        read = Line.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "json_invalid":
            raise RecordError("malformed", "is no JSON object") from None
        known = field if field in Line.model_fields else "a field of another name"
        raise RecordError("malformed", f"{known}: {first['type'].replace('_', ' ')}") from None
    published = read.published_at
    if published is not None and published.tzinfo is None:
        published = published.replace(tzinfo=UTC)
    return Capture(
        id=new_id(),
        site=read.site,
        platform=PLATFORM,
        post_id=cipher.name(read.site, read.url or f"\x1f{read.text}").hex(),
        url=read.url,
        title=read.title,
        author=read.author,
        published_at=published,
        fetched_at=now,
        category=read.category,
        media_type="text/plain",
        charset="utf-8",
        body=read.text.encode(),
    )
