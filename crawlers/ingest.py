"""`ullage ingest FILE|-`: captures from other collectors, as JSON Lines, sealed and appended like the crawler's own.

    {"site": "…", "url": "…", "text": "…", "title"?: "…", "author"?: "…", "published_at"?: "…", "category"?: "…"}

`site` is the name of a file in `sites.d/`, which may be of platform `ingest`; what has no file is `other`, and the collector's
own name of it stays within the seal. `category` is the site file's, else one of `ullage.records.Category`, else `other`.

A bad line is reported by its number and field, never by its content, and the others go on. A post is named by the keyed digest of
its URL, or of its text where it has none, so that the same file given twice makes the same posts, which match folds into one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crawlers.bus.outbox import BATCH, Outbox, new_id
from crawlers.frontier.cipher import FrontierCipher
from crawlers.sites.site import Site, SiteFolder
from ullage import setup
from ullage.bus import CAPTURES
from ullage.errors import ConfigError, RecordError
from ullage.exits import Exit
from ullage.records import ELSEWHERE, INGEST, MAX_BODY_BYTES, Capture, category_of
from ullage.security import keys
from ullage.settings import Context

MAX_LINE_BYTES = 6 * MAX_BODY_BYTES
"""JSON may write one character in six."""


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
    outbox = Outbox(publisher, keys.sealer(context.keys), keys.signer(context.keys, "ingest"))
    cipher = FrontierCipher(context.keys.read("frontier.key"))
    sites, faults = SiteFolder(context.data / context.settings.crawl.sites, lambda _: None).read()
    for fault in faults:
        typer.echo(f"{fault}; its lines are taken as of {ELSEWHERE}", err=True)
    accepted = refused = 0
    batch: list[Capture] = []
    for number, line in lines(source):
        try:
            capture = to_capture(line, sites, cipher, context.clock.now())
            capture.encode()
        except RecordError as error:
            typer.echo(f"line {number}: {error}", err=True)
            refused += 1
            continue
        if len(batch) == BATCH:
            outbox.append(batch)
            batch.clear()
        batch.append(capture)
        accepted += 1
    if batch:
        outbox.append(batch)
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


def to_capture(line: bytes, sites: Mapping[str, Site], cipher: FrontierCipher, now: datetime) -> Capture:
    """The capture of one line, told by `sites` what is configured.

    RecordError `malformed`, whose message names the field and never holds a value.
    """
    try:
        read = Line.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "json_invalid" or not field:
            raise RecordError("malformed", "is no JSON object") from None
        known = field if field in Line.model_fields else "a field of another name"
        raise RecordError("malformed", f"{known}: {first['type'].replace('_', ' ')}") from None
    published = read.published_at
    if published is not None and published.tzinfo is None:
        published = published.replace(tzinfo=UTC)
    site = sites.get(read.site)
    return Capture(
        id=new_id(),
        site=site.name if site else ELSEWHERE,
        source="" if site else read.site,
        platform=INGEST,
        post_id=cipher.name(read.site, read.url or f"\x1f{read.text}").hex(),
        url=read.url,
        section=site.section_of(read.url) if site else "",
        title=read.title,
        author=read.author,
        published_at=published,
        fetched_at=now,
        category=(site and site.category) or category_of(read.category),
        media_type="text/plain",
        charset="utf-8",
        body=read.text.encode(),
    )
