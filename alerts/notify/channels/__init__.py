"""Kinds of channel. A file registers its kinds by being here and naming them in `KINDS`.

A kind turns the lines of a channel's secret file into a `Channel`. A channel sends one message or
raises `UndeliveredError`; it keeps nothing, groups nothing and tries nothing twice.
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
        """Deliver; UndeliveredError unless the other side said that it took it."""

    def reach(self) -> str:
        """Connect without sending anything; says what was seen, UndeliveredError when nobody
        answers.
        """


@dataclass(frozen=True, slots=True)
class Opening:
    """What a kind makes a channel of: the lines of its secret file, seconds an attempt may take,
    the clock.
    """

    lines: Sequence[str]
    timeout: float
    clock: Clock

    @property
    def address(self) -> str:
        """The first line."""
        return self.lines[0] if self.lines else ""

    @property
    def secret(self) -> str:
        """The second line, "" where there is none."""
        return self.lines[1] if len(self.lines) > 1 else ""


@dataclass(frozen=True, slots=True)
class ChannelKind:
    """A kind of channel: `holds` says what its secret file holds, `open` checks that and makes
    the channel (or ConfigError).
    """

    holds: str
    open: Callable[[Opening], Channel]


@cache
def kinds() -> Mapping[str, ChannelKind]:
    """The kinds that there are, by name."""
    found = dict[str, ChannelKind]()
    for module in pkgutil.iter_modules(__path__):
        found |= importlib.import_module(f"{__name__}.{module.name}").KINDS
    return {name: found[name] for name in sorted(found)}


def open_channel(name: str, settings: NotifySettings, keys: KeyStore, clock: Clock) -> Channel:
    """The channel `name` of the settings; ConfigError says which file or knob is wrong, never
    what it holds.
    """
    kind_name = settings.channels[name].kind
    kind = kinds().get(kind_name)
    if kind is None:
        raise ConfigError(
            f"notify.channels.{name}: kind {quote_word(kind_name)} is none of {', '.join(kinds())}"
        )
    secret = f"{FOLDER}/{name}"
    lines = keys.read_lines(secret)
    try:
        return kind.open(Opening(lines, TIMEOUT_SECONDS, clock))
    except ConfigError as error:
        raise ConfigError(
            f"{secret} in the key folder: {error} ({kind_name} wants {kind.holds})"
        ) from None
