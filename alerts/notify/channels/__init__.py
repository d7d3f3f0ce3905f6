"""Kinds of channel, one file each. A file registers by being here and naming a `KIND`.

A kind turns the lines of a channel's secret file into a `Channel`. A channel sends one message or raises `UndeliveredError`; it
keeps nothing, groups nothing and tries nothing twice.

apprise speaks to DingTalk and WeCom as well, but looks at the status alone (2.3.0, measured), so a revoked token or a missing
keyword would count as delivered. These are the few lines that look.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from alerts.http_post import UndeliveredError, accepted, post, reach
from alerts.notify import Message
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.files.validation import quoted
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
        """Connect without sending anything; says what was seen, UndeliveredError when nobody answers."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a kind makes a channel of: the lines of its secret file, seconds an attempt may take, the clock."""

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
    """A kind of channel: `holds` says what its secret file holds, `open` checks that and makes the channel (or ConfigError)."""

    holds: str
    open: Callable[[Opening], Channel]


def names() -> list[str]:
    """The kinds that there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def open_channel(name: str, settings: NotifySettings, keys: KeyStore, clock: Clock) -> Channel:
    """The channel `name` of the settings; ConfigError says which file or knob is wrong, never what it holds."""
    kind_name = settings.channels[name].kind
    if kind_name not in names():
        raise ConfigError(f"notify.channels.{name}: kind {quoted(kind_name)} is none of {', '.join(names())}")
    kind: ChannelKind = importlib.import_module(f"{__name__}.{kind_name}").KIND
    secret = f"{FOLDER}/{name}"
    lines = keys.lines(secret)
    try:
        return kind.open(Opening(lines, TIMEOUT_SECONDS, clock))
    except ConfigError as error:
        raise ConfigError(f"{secret} in the key folder: {error} ({kind_name} wants {kind.holds})") from None


MOST_TEXT_BYTES = 2048
"""Of a text: WeCom refuses more."""


@dataclass(frozen=True, slots=True)
class Robot:
    """A robot at `url`; `signed` gives the address of one attempt."""

    url: str
    timeout: float
    signed: Callable[[str], str] = lambda url: url

    def send(self, message: Message) -> None:
        """See `Channel.send`."""
        head = message.subject()
        words = f"{head}\n{message.text(MOST_TEXT_BYTES - len(head.encode()) - 1)}"
        body: dict[str, Any] = {"msgtype": "text", "text": {"content": words}}
        sent = json.dumps(body, ensure_ascii=False).encode()
        answer = accepted(post(self.signed(self.url), sent, {"Content-Type": "application/json; charset=utf-8"}, self.timeout))
        code = answer.field("errcode")
        if code != 0:
            shown = f"errcode {code}" if isinstance(code, int) else "no errcode"
            raise UndeliveredError(f"answers {answer.status} with {shown}")

    def reach(self) -> str:
        """See `Channel.reach`."""
        return reach(self.url, self.timeout)
