"""Define what one submitted line may contain, and make captures of it.

    {"site": "…", "text": "…", "url"?, "title"?, "author"?, "published_at"?, "category"?,
     "channel"?, "thread"?, "message_id"?, "reply_to"?, "forwarded_from"?, "edited"?,
     "deleted"?, "attachments"?}

`text` may be a list of messages that one author sent in succession, submitted as one, with the
id and time of the first. A record that is spread over them is then read as one: short pieces,
such as a name and a number, are joined in one line.

`site` is the name of a file in `sites.d/`, which may have the platform `ingest`. A site without
a file becomes `other`, and the collector's name for it is stored only in the encrypted part.
`category` is that of the site file, else one of `ullage.records.Category`, else `other`.

A message is identified by its site, channel and id, any other post by its URL, or by its text
where it has neither. The identity is stored as a keyed digest. The same line submitted twice
is therefore the same post, which match processes once, and an edit belongs to the same message.
An attachment is a name, or `{"name", "media_type"?, "data"}` with its bytes in base64, which
become a capture of their own.
"""

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
"""The most unknown fields to report; searching for a similar name is the slowest step of all."""
MAX_FIELD = 40
"""The most characters of a message that counts as one field of a record sent in pieces."""
FIELD = re.compile(r"[A-Za-z][A-Za-z_\-]{1,31}")
"""A field name that may be displayed: a plain column name, not a sentence or personal data."""


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
        """Return the file's bytes; RecordError `malformed` where `data` is not base64."""
        try:
            return base64.b64decode(self.data, validate=True)
        except binascii.Error:
            raise RecordError("malformed", "attachments: data must be valid base64") from None


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
            join_messages(given)
            if isinstance(given, list) and given and all(isinstance(item, str) for item in given)
            else given
        )

    @property
    def unknown(self) -> Iterable[str]:
        """Unknown fields, unfiltered: `shown` turns them into names that may be displayed."""
        return self.model_extra or ()


def missing(line: CaptureLine) -> list[str]:
    """Return the names of missing fields that would identify a post or relate it to others.

    A post with a URL needs none of them.
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
    """Return the first `SHOWN` of these field names, in a form that may be displayed."""
    return sorted({_suggest_name(name) for name in islice(dict.fromkeys(names), SHOWN)})


def join_messages(pieces: Sequence[str]) -> str:
    """Join consecutive messages into one text: short ones share a line, a long one begins its own.

    >>> join_messages(["张三", "13800138000", "一手 " * 20]).splitlines()[0]
    '张三 13800138000'
    """
    text, before = list[str](), False
    for piece in pieces:
        is_field = len(piece) <= MAX_FIELD and len(piece.splitlines()) <= 1
        text += [" " if is_field and before else "\n", piece.strip("\n")]
        before = is_field
    return "".join(text[1:])


def _suggest_name(name: str) -> str:
    """Return a field name with the known name that is closest to it.

    The name is left out where it could be somebody's personal data.
    """
    if not FIELD.fullmatch(name) or identifier_in(name):
        return "a name with other characters"
    near = difflib.get_close_matches(name.lower(), CaptureLine.model_fields, 1)
    return f"{name} (did you mean {near[0]}?)" if near else name


def read_line(line: bytes) -> CaptureLine:
    """Parse one line.

    RecordError `malformed` names the field and never contains a value.
    """
    try:
        return CaptureLine.model_validate_json(line)
    except ValidationError as error:
        raise RecordError("malformed", fault_of(error)) from None


def fault_of(error: ValidationError) -> str:
    """Describe the first fault of a line, by its field."""
    first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "json_invalid" or not field:
        return "must be a JSON object"
    name = field if field in CaptureLine.model_fields else "an unknown field"
    return f"{name}: {first['type'].replace('_', ' ')}"


def captures_of(
    line: CaptureLine, sites: Mapping[str, Site], cipher: FrontierCipher, now: datetime
) -> Iterator[Capture]:
    """Yield the captures of one line: the post, then each file attached to it.

    `sites` holds the configured sites by name. Raises RecordError `malformed` at a file whose data
    is not base64, after the captures before it.
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
    """Return the part of a post that stays the same each time it is submitted or edited."""
    if line.message_id:
        return f"\x1d{line.channel}\x1f{line.message_id}"
    return line.url or f"\x1f{line.text}"
