"""Describe export forms: how a chat program writes its exports, as data (`crawlers.export_forms`).

about = "Discord: the JSON of DiscordChatExporter"      # program and kind of export, for people
files = ["*.json"]                                       # of a folder: the files of the first pattern that finds any
zone = "Asia/Shanghai"                                   # of times that name none; UTC by default

[json]                                                   # JMESPath; `css:` or `xpath:` before a selector of [html]
messages = "messages[?author]"
[json.fields]                                            # by the fields of a line of `ingest`
text = "content"

[[sample]]                                               # an export that we wrote, and the messages that must be read in it
file = "room.json"
body = '''…'''
messages = [{ message_id = "31", author = "seller", text = "…" }]
[[near_miss]]                                            # a file in which no message of the form may be found
file = "room.json"
body = '''…'''

A file in JSON is read by `[json]`, one that begins with `<` by `[html]`, any other by `[text]` or
`[csv]`.
"""  # noqa: E501

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

import pydantic
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from crawlers.sites.dates import Order
from crawlers.sites.layout import NONE, Pattern, Selector, Zone
from ullage.errors import ConfigError
from ullage.files.ownership import read_trusted
from ullage.files.validation import describe_faults, read_toml

FOLDER = "export_forms"
"""Where an organization's own forms lie in the data folder."""
SHIPPED = "crawlers.export_forms"
ENDING = ".toml"
Field = Literal[
    "channel", "thread", "message_id", "author", "published_at", "title", "text", "reply_to",
    "forwarded_from", "edited",
    "attachments",
]  # fmt: skip


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class TreeForm(_Table):
    """How messages stand in JSON or HTML. Selectors as in `crawlers.sites.selectors`."""

    chats: Selector = NONE
    """The chats of a file; the file itself by default."""
    channel: Selector = NONE
    """In a chat, its name."""
    messages: Selector
    """In a chat, its messages."""
    fields: Mapping[Field, Selector]
    """In a message, its fields; several texts of one field are joined."""
    continued: tuple[Field, ...] = ()
    """Fields that a message takes from the one before it where it has none."""


class TextForm(_Table):
    """How messages stand in a text: each begins with a line of its own, the head."""

    heads: tuple[Pattern, ...]
    """Groups: `at`, or `clock` below a `day`; `author`, without which it is a notice and no
    message; `text`, the first line.
    """
    day: Pattern | None = None
    """A line that tells the day of the messages below it, as group `day`."""
    channel: Pattern | None = None
    """A line that names the channel, as group `channel`."""
    attachments: tuple[Pattern, ...] = ()
    """In a message's text, the name of a file, as group `name`."""


class ExportSample(_Table):
    """A file of an export, and the messages that must be read in it: all of them, and of each
    the fields named here.
    """

    file: str
    """Its path below the folder of the export."""
    body: str
    messages: tuple[Mapping[str, Any], ...] = ()


class ExportForm(_Table):
    """One form; see the module."""

    name: str
    about: str
    files: tuple[str, ...] = ()
    """Patterns of files in a folder; without one the export is a single file."""
    channel_is_folder: bool = False
    """Whether the folder in which a file lies is named as its channel."""
    zone: Zone = ZoneInfo("UTC")
    date_order: Order | None = None
    """Which of `03-04` is the month; what the dates of the whole file allow by default, then the
    day first.
    """
    time_formats: tuple[str, ...] = ()
    json_: TreeForm | None = pydantic.Field(default=None, alias="json")
    html: TreeForm | None = None
    text: TextForm | None = None
    csv: Mapping[Field, tuple[str, ...]] | None = None
    """Names of columns in small letters, the best first; a table is read where `text` has one."""
    sample: tuple[ExportSample, ...] = ()
    near_miss: tuple[ExportSample, ...] = ()

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if not (self.json_ or self.html or self.text or self.csv):
            raise ValueError(
                "says nothing of how messages stand: write [json], [html], [text] or [csv]"
            )
        if self.csv and self.text:
            raise ValueError("says [text] and [csv]: write a form for each")
        if self.csv and "text" not in self.csv:
            raise ValueError("csv.text: is missing: name the column of the texts")
        for table in filter(None, (self.json_, self.html)):
            if "text" not in table.fields:
                raise ValueError("fields.text: is missing: say what of a message is its text")
        return self


def list_forms(folder: Path | None = None) -> list[str]:
    """Return the names of all forms: those that ship, and those in `folder` of an organization."""
    files = [*resources.files(SHIPPED).iterdir(), *(folder.glob(f"*{ENDING}") if folder else ())]
    return sorted({file.name.removesuffix(ENDING) for file in files if file.name.endswith(ENDING)})


def load_form(name: str, folder: Path | None = None) -> ExportForm:
    """Return a form, that of `folder` first; ConfigError where its file is wrong, KeyError where
    there is none.
    """
    if name not in list_forms(folder):
        raise KeyError(name)
    own = folder / f"{name}{ENDING}" if folder else None
    if own and own.exists():
        return _parse(name, read_trusted(own), str(own))
    shipped = resources.files(SHIPPED) / f"{name}{ENDING}"
    return _parse(name, shipped.read_bytes(), f"{SHIPPED}/{name}{ENDING}")


def _parse(name: str, content: bytes, where: str) -> ExportForm:
    try:
        return ExportForm.model_validate(
            {"name": name, **read_toml(content.decode())}, context={"language": "json"}
        )
    except ValidationError as error:
        raise ConfigError(f"{where}: {describe_faults(error, ExportForm)[0]}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise ConfigError(f"{where}: is no TOML in UTF-8") from None
