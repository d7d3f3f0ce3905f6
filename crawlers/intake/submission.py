"""One line of a collector: what it may say, and the captures that it becomes.

    {"site": "…", "text": "…", "url"?, "title"?, "author"?, "published_at"?, "category"?,
     "channel"?, "thread"?, "message_id"?, "reply_to"?, "forwarded_from"?, "edited"?, "deleted"?, "attachments"?}

`text` may be a list: messages that one author sent one right after the other, handed over as one,
with the id and time of the first. A record that is split over them is then read whole: pieces of
one short line, a name and a number, make one line together.

`site` is the name of a file in `sites.d/`, which may be of platform `ingest`; what has no file is
`other`, and the collector's own name of it stays within the seal. `category` is the site file's,
else one of `ullage.records.Category`, else `other`.

A message is known by its site, channel and id, any other post by its URL, and what has neither by
its text: each as a keyed digest, so that the same line given twice makes the same post, which match
folds into one, and an edit is one of the same message. An attachment is its name, or `{"name",
"media_type"?, "data"}` with its bytes in base64, which are a capture of their own.
"""  # noqa: E501

from __future__ import annotations

import base64
import binascii
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from crawlers.frontier.cipher import FrontierCipher
from crawlers.publishing.outbox import new_id
from crawlers.sites.site import Site
from ullage.clock import in_range
from ullage.errors import RecordError
from ullage.lookup.values import identifier_in
from ullage.records import ELSEWHERE, INGEST, Capture, parse_category

MAX_TEXT, MAX_ID, MAX_ATTACHMENTS = 8000, 1000, 100
SHOWN = 20
"""Fields of other names that are told of at most; to find what may have been meant takes longest
of all.
"""
MAX_FIELD = 40
"""Characters of a message that may be a field of a record that was sent in pieces."""
FIELD = re.compile(r"[A-Za-z][A-Za-z_\-]{1,31}")
"""A name of a field that may be shown: what a program calls a column, and no sentence or number
of somebody's.
"""


class Attachment(BaseModel):
    """A file that came with a message."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(default="", max_length=MAX_ID)
    media_type: str = Field(
        default="application/octet-stream", pattern=r"^[a-z0-9.+\-]{1,60}/[a-z0-9.+\-]{1,100}$"
    )
    data: str = ""
    """Its bytes in base64."""

    def body(self) -> bytes:
        """Its bytes; RecordError `malformed` where that is no base64."""
        try:
            return base64.b64decode(self.data, validate=True)
        except binascii.Error:
            raise RecordError("malformed", "attachments: data is no base64") from None


class CaptureLine(BaseModel):
    """One object of the input.

    A field that is null is one that is not given; of other names it is told which there are.
    """

    model_config = ConfigDict(
        frozen=True, extra="allow", coerce_numbers_to_str=True, hide_input_in_errors=True
    )

    site: str = Field(min_length=1, max_length=200)
    url: str = Field(default="", max_length=MAX_TEXT)
    text: str
    title: str = Field(default="", max_length=MAX_TEXT)
    author: str = Field(default="", max_length=MAX_TEXT)
    published_at: Annotated[datetime | None, AfterValidator(in_range)] = None
    category: str = Field(default="", max_length=200)
    channel: str = Field(default="", max_length=MAX_ID)
    thread: str = Field(default="", max_length=MAX_ID)
    message_id: str = Field(default="", max_length=MAX_ID)
    reply_to: str = Field(default="", max_length=MAX_ID)
    forwarded_from: str = Field(default="", max_length=MAX_ID)
    edited: bool = False
    deleted: bool = False
    attachments: tuple[str | Attachment, ...] = Field(default=(), max_length=MAX_ATTACHMENTS)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        return (
            {name: value for name, value in given.items() if value is not None}
            if isinstance(given, dict)
            else given
        )

    @field_validator("text", mode="before")
    @classmethod
    def _as_one(cls, given: Any) -> Any:
        return (
            joined(given)
            if isinstance(given, list) and given and all(isinstance(one, str) for one in given)
            else given
        )

    @property
    def unknown(self) -> Iterable[str]:
        """Fields of other names, as they came: `shown` makes of them what may be told."""
        return self.model_extra or ()


def missing(line: CaptureLine) -> list[str]:
    """What would tell a line from others, or join it with them, and is not in it; nothing of a
    post that has an address.
    """
    if line.url:
        return []
    needed = {
        "author": line.author,
        "channel": line.channel or line.thread,
        "message_id": line.message_id,
        "published_at": line.published_at,
    }
    return [name for name, value in needed.items() if not value]


def shown(names: Iterable[str]) -> list[str]:
    """The first `SHOWN` of these names of fields, as they may be shown."""
    return sorted({_shown(name) for name in islice(dict.fromkeys(names), SHOWN)})


def joined(pieces: Sequence[str]) -> str:
    """Consecutive messages as one text: fields of a row stand in a line, whatever is longer begins
    one.

    >>> joined(["张三", "13800138000", "一手 " * 20]).splitlines()[0]
    '张三 13800138000'
    """
    text, before = list[str](), False
    for piece in pieces:
        is_field = len(piece) <= MAX_FIELD and len(piece.splitlines()) <= 1
        text += [" " if is_field and before else "\n", piece.strip("\n")]
        before = is_field
    return "".join(text[1:])


def _shown(name: str) -> str:
    """A field's name, with the one that may have been meant; without the name where that may be
    somebody's value.
    """
    if not FIELD.fullmatch(name) or identifier_in(name):
        return "one that is no plain name"
    near = difflib.get_close_matches(name.lower(), CaptureLine.model_fields, 1)
    return f"{name} (did you mean {near[0]}?)" if near else name


def read_line(line: bytes) -> CaptureLine:
    """What a line says.

    RecordError `malformed`, whose message names the field and never holds a value.
    """
    try:
        return CaptureLine.model_validate_json(line)
    except ValidationError as error:
        raise RecordError("malformed", fault_of(error)) from None


def fault_of(error: ValidationError) -> str:
    """The first fault of a line, by its field."""
    first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "json_invalid" or not field:
        return "is no JSON object"
    known = field if field in CaptureLine.model_fields else "a field of another name"
    return f"{known}: {first['type'].replace('_', ' ')}"


def captures_of(
    line: CaptureLine, sites: Mapping[str, Site], cipher: FrontierCipher, now: datetime
) -> Iterator[Capture]:
    """The captures of one line, told by `sites` what is configured: the post, then each file
    that came with it.
    """
    post = _post(line, sites.get(line.site), cipher, now)
    yield post
    for number, file in enumerate(line.attachments, 1):
        if isinstance(file, Attachment) and file.data:
            yield post.model_copy(
                update={
                    "id": new_id(),
                    "post_id": f"{post.post_id}-{number}",
                    "kind": "attachment",
                    "parent": post.post_id,
                    "title": file.name,
                    "attachments": (),
                    "media_type": file.media_type,
                    "charset": "",
                    "body": file.body(),
                }
            )


def _post(line: CaptureLine, site: Site | None, cipher: FrontierCipher, now: datetime) -> Capture:
    name = cipher.name(line.site, _identity(line)).hex()
    return Capture(
        id=new_id(),
        site=site.name if site else ELSEWHERE,
        source="" if site else line.site,
        platform=INGEST,
        post_id=name,
        post_name=name if line.message_id or line.url else "",
        url=line.url,
        section=site.find_section(line.url) if site else "",
        title=line.title,
        author=line.author,
        published_at=line.published_at,
        fetched_at=now,
        kind="message" if line.channel or line.message_id else "post",
        category=(site and site.category) or parse_category(line.category),
        media_type="text/plain",
        charset="utf-8",
        channel=line.channel,
        thread=line.thread,
        message_id=line.message_id,
        reply_to=line.reply_to,
        forwarded_from=line.forwarded_from,
        edited=line.edited,
        deleted=line.deleted,
        attachments=tuple(
            file if isinstance(file, str) else file.name for file in line.attachments
        ),
        body=line.text.encode(),
    )


def _identity(line: CaptureLine) -> str:
    """What is the same of a post however often and in whatever state it is handed in."""
    if line.message_id:
        return f"\x1d{line.channel}\x1f{line.message_id}"
    return line.url or f"\x1f{line.text}"
