"""The kinds of channels.

A module registers its kinds in `KINDS` and is found because it is in this package. A kind turns the
lines of a channel's secret file into a `Channel`. A channel sends one message or raises
`UndeliveredError`; it stores nothing, groups nothing and never retries.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from alerts.notify import Message
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.files.validation import quote_word
from ullage.security.keys import KeyStore
from ullage.settings import NotifySettings

FOLDER = "notify"
TIMEOUT_SECONDS = 10.0
"""Time limit of an attempt."""


class Channel(Protocol):
    """A way to reach people or a program."""

    def send(self, message: Message) -> None:
        """Deliver a message. Raises UndeliveredError unless the receiver confirms it."""

    def reach(self) -> str:
        """Connect without sending anything and describe the connection.

        Raises UndeliveredError if nobody answers.
        """


@dataclass(frozen=True, slots=True)
class Opening:
    """What a kind needs to open a channel.

    `lines` are those of its secret file; `timeout` is in seconds per attempt.
    """

    lines: Sequence[str]
    timeout: float
    clock: Clock

    @property
    def address(self) -> str:
        """Return the first line, or ""."""
        return self.lines[0] if self.lines else ""

    @property
    def secret(self) -> str:
        """Return the second line, or ""."""
        return self.lines[1] if len(self.lines) > 1 else ""


@dataclass(frozen=True, slots=True)
class ChannelKind:
    """A kind of channel.

    `holds` describes its secret file; `open` validates that and makes the channel, or raises
    ConfigError.
    """

    holds: str
    open: Callable[[Opening], Channel]


@cache
def load_kinds() -> Mapping[str, ChannelKind]:
    """Return all kinds of channels by name, sorted by name.

    Imports every module of this package.
    """
    by_name = dict[str, ChannelKind]()
    for module in pkgutil.iter_modules(__path__):
        by_name |= importlib.import_module(f"{__name__}.{module.name}").KINDS
    return {name: by_name[name] for name in sorted(by_name)}


def open_channel(name: str, settings: NotifySettings, keys: KeyStore, clock: Clock) -> Channel:
    """Return the channel `name` of the settings, ready to send; nothing is sent yet.

    Raises ConfigError, which names the wrong setting or secret but not its content.
    """
    kind_name = settings.channels[name].kind
    kind = load_kinds().get(kind_name)
    if kind is None:
        raise ConfigError(
            f"notify.channels.{name}: unknown kind {quote_word(kind_name)}:"
            f" use {', '.join(load_kinds())}"
        )
    secret = f"{FOLDER}/{name}"
    lines = keys.read_lines(secret)
    try:
        return kind.open(Opening(lines, TIMEOUT_SECONDS, clock))
    except ConfigError as error:
        raise ConfigError(f"secret {secret}: {error} ({kind_name} needs {kind.holds})") from None
