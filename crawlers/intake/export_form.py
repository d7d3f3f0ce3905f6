"""Describe export forms: how a chat program writes its exports, as data (`crawlers.export_forms`).

    about = "Discord: the JSON of DiscordChatExporter"   # program and kind of export
    files = ["*.json"]        # in a folder: the files of the first pattern that matches any
    zone = "Asia/Shanghai"    # time zone of times without one; UTC by default

    [json]                    # JMESPath; in [html] `css:` or `xpath:` before a selector
    messages = "messages[?author]"
    [json.fields]             # by the fields of a line of `ingest`
    text = "content"

    [[sample]]                # an export written for the test, and the messages expected in it
    file = "room.json"
    body = '''…'''
    messages = [{ message_id = "31", author = "seller", text = "…" }]
    [[near_miss]]             # a file in which no message of the form must be found
    file = "room.json"
    body = '''…'''

A file in JSON is read by `[json]`, one that begins with `<` by `[html]`, any other by `[text]` or
`[csv]`.
"""

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
"""The folder of the organization's own forms, in the data folder."""
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
    """The structure of messages in JSON or HTML. Selectors as in `crawlers.sites.selectors`."""

    chats: Selector = NONE
    """Selects the chats of a file; the file itself by default."""
    channel: Selector = NONE
    """Selects the name of a chat."""
    messages: Selector
    """Selects the messages of a chat."""
    fields: Mapping[Field, Selector]
    """Select the fields of a message; several texts of one field are joined."""
    continued: tuple[Field, ...] = ()
    """Fields that a message takes from the one before it where it lacks them."""


class TextForm(_Table):
    """The structure of messages in a text: each begins with a line of its own, the head."""

    heads: tuple[Pattern, ...]
    """Patterns of a head, with the groups `at` (or `clock` below a `day`), `author` and `text`.

    `text` is the first line of the message. A head without `author` begins a notice.
    """
    day: Pattern | None = None
    """A line that holds the day of the messages below it, as group `day`."""
    channel: Pattern | None = None
    """A line that names the channel, as group `channel`."""
    attachments: tuple[Pattern, ...] = ()
    """Find the names of files in the text of a message, as group `name`."""


class ExportSample(_Table):
    """A file of an export with the messages expected in it.

    All messages are listed; of each, the fields named here are compared.
    """

    file: str
    """The path of the file in the folder of the export."""
    body: str
    messages: tuple[Mapping[str, Any], ...] = ()


class ExportForm(_Table):
    """One export form; see the module."""

    name: str
    about: str
    files: tuple[str, ...] = ()
    """Patterns of files in a folder; without a pattern the export is a single file."""
    channel_is_folder: bool = False
    """Whether the name of a file's folder is the name of its channel."""
    zone: Zone = ZoneInfo("UTC")
    date_order: Order | None = None
    """Which number of a date such as `03-04` is the month.

    By default it is inferred from all dates of the file; where they leave it open, the day is
    first.
    """
    time_formats: tuple[str, ...] = ()
    json_: TreeForm | None = pydantic.Field(default=None, alias="json")
    html: TreeForm | None = None
    text: TextForm | None = None
    csv: Mapping[Field, tuple[str, ...]] | None = None
    """Names of columns in lower case, best first; a table needs a column for `text`."""
    sample: tuple[ExportSample, ...] = ()
    near_miss: tuple[ExportSample, ...] = ()

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if not (self.json_ or self.html or self.text or self.csv):
            raise ValueError(
                "does not say how messages are stored: add [json], [html], [text] or [csv]"
            )
        if self.csv and self.text:
            raise ValueError("has both [text] and [csv]: write one form for each")
        if self.csv and "text" not in self.csv:
            raise ValueError("csv.text: is missing: name the column with the text")
        for table in filter(None, (self.json_, self.html)):
            if "text" not in table.fields:
                raise ValueError("fields.text: is missing: name the field with the text")
        return self


def list_forms(folder: Path | None = None) -> list[str]:
    """Return the names of all forms: the shipped ones, and the organization's in `folder`."""
    files = [*resources.files(SHIPPED).iterdir(), *(folder.glob(f"*{ENDING}") if folder else ())]
    return sorted({file.name.removesuffix(ENDING) for file in files if file.name.endswith(ENDING)})


def load_form(name: str, folder: Path | None = None) -> ExportForm:
    """Return the form with this name; one in `folder` replaces a shipped one.

    Raises ConfigError where its file is invalid, KeyError where there is no such form.
    """
    if name not in list_forms(folder):
        raise KeyError(name)
    own_path = folder / f"{name}{ENDING}" if folder else None
    if own_path and own_path.exists():
        return _parse(name, read_trusted(own_path), str(own_path))
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
        raise ConfigError(f"{where}: must be valid TOML in UTF-8") from None
