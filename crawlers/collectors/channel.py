"""Channel files: one TOML file per channel in the data folder's `channels.d/`.

The name of the file is the name of the channel in findings.

    service = "matrix"               # a module in crawlers/collectors
    address = "#loans:example.org"   # the room, in the service's own notation
    account = "reader"               # the account that reads it: DIR/keys/collect/reader
    access = "open"                  # public: anybody may read; open: anybody may join;
                                     # own: a mailbox of the organization
    legal_basis = "PIPL 13(1)(3)"    # required
    owner = "security team"          # who is responsible for the channel
    expires = 2027-06-30             # the last day of reading; then the owner decides again
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from crawlers.sites.site import TAKEN, Site, reject_identifier
from ullage.errors import ConfigError
from ullage.files.ownership import read_trusted
from ullage.files.validation import read_toml, redact_word
from ullage.records import INGEST, Category
from ullage.records.heartbeat import MAX_WATCHED, is_valid_name

FOLDER = "channels.d"
SERVICES = ("matrix", "xmpp", "telegram", "imap")


class ChatChannel(BaseModel):
    """One channel, frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str
    service: Literal["matrix", "xmpp", "telegram", "imap"]
    """Which collector reads it."""
    address: str = Field(min_length=1, max_length=1000)
    """The service's name: `#room:server`, `room@rooms.server`, `@channel`, `INBOX`."""
    account: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """A secret file in `keys/collect`."""
    access: str
    """`public`: anybody may read it; `open`: anybody may join; `own`: a mailbox of ours."""
    legal_basis: str = Field(min_length=1)
    """Legal basis of reading it."""
    owner: str = Field(min_length=1)
    """Who is responsible for it."""
    expires: date
    """The last day of reading; the owner then decides again."""
    category: Category = "chat"
    """What kind of place it is."""
    history: int = Field(default=500, ge=0, le=1_000_000)
    """Earlier messages to read at first."""
    enabled: bool = True
    """False stops reading and keeps the file."""

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if not is_valid_name(name) or name in TAKEN:
            raise ValueError(
                "is not a valid channel name: use a-z, 0-9, '.', '_' and '-', at most 64"
            )
        return reject_identifier(name)

    @field_validator("access")
    @classmethod
    def _access(cls, access: str) -> str:
        if access not in ("public", "open", "own"):
            raise ValueError("must be public or open: a closed channel is not read")
        return access

    @model_validator(mode="after")
    def _is_ours(self) -> Self:
        if self.access == "own" and self.service != "imap":
            raise ValueError("access: own is valid only for a mailbox")
        return self

    def site(self) -> Site:
        """Return a site with this channel's name, so that findings can refer to it."""
        return Site(
            name=self.name,
            platform=INGEST,
            category=self.category,
            legal_basis=self.legal_basis,
            owner=self.owner,
            watch=True,
        )


def read_channel(path: Path) -> ChatChannel:
    """Return the channel that a file describes.

    Raises ConfigError, which names the file, the setting and the fault.
    """
    try:
        return ChatChannel.model_validate(
            {"name": path.stem, **read_toml(read_trusted(path).decode("utf-8"))}
        )
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        knob = ".".join(redact_word(str(part)) for part in first["loc"])
        raise ConfigError(f"{path}: {knob}: {first['msg'].removeprefix('Value error, ')}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML ({error})") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None


def _service_in(path: Path) -> str:
    """Return the service that a faulty file names; "" where it cannot be read."""
    try:
        named = read_toml(read_trusted(path).decode("utf-8")).get("service")
    except (ConfigError, OSError, ValueError):
        return ""
    return named if named in SERVICES else ""


@dataclass(slots=True)
class ChannelFolder:
    """The channel files of the data folder `data`.

    A channel must not have the name of a site: findings could not tell the two apart.
    """

    data: Path
    sites: str
    faults: list[ConfigError] = field(default_factory=list)
    """Faults of the files at the last reading."""
    refused: dict[str, str] = field(default_factory=dict)
    """Names of files without a valid channel, with the service of each; "" where not known."""
    disabled: dict[str, str] = field(default_factory=dict)
    """Names of disabled channels, with their services."""

    def read(self, service: str = "") -> dict[str, ChatChannel]:
        """Read the channel files and return the enabled channels of `service` by name.

        A `service` of "" means all. Replaces the fields of this object: `faults` gets one
        ConfigError for each file that is invalid, has the name of a site or comes after the first
        MAX_WATCHED channels; `refused` gets the service of each such file whose name could be a
        channel's, by name; and `disabled` gets the service of each channel that is switched off, by
        name. Raises nothing for a faulty file.
        """
        self.faults, self.refused, self.disabled, channels = [], {}, {}, dict[str, ChatChannel]()
        for path in sorted((self.data / FOLDER).glob("*.toml")):
            try:
                channel = read_channel(path)
                if (self.data / self.sites / path.name).exists():
                    raise ConfigError(
                        f"{path}: {path.stem} is also the name of a site: choose another name"
                    )
                if len(channels) >= MAX_WATCHED:
                    raise ConfigError(
                        f"{path}: is not read, because {MAX_WATCHED} channels, the"
                        " maximum, come before it: remove some"
                    )
            except ConfigError as error:
                self.faults.append(error)
                if (
                    is_valid_name(path.stem)
                    and path.stem not in TAKEN
                    and not (self.data / self.sites / path.name).exists()
                ):
                    self.refused[path.stem] = _service_in(path)
                continue
            if not channel.enabled:
                self.disabled[channel.name] = channel.service
            elif service in ("", channel.service):
                channels[channel.name] = channel
        return channels
