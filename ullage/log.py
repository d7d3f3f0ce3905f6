"""Write structured logs: one JSON object per line, with fields from a closed set.

    log.get("match").warning("waiting", error=str(error), wait=1.5)
    {"role": "match", "event": "waiting", "error": "…", "wait": 1.5, "level": "warning", …}

The first argument is the name of an event, not a sentence. A field that is not in `FIELDS` is
removed and counted in `_dropped`, so that a careless `log.info("x", text=…)` cannot carry a leaked
value to disk; URLs, titles and authors are not in it on purpose. Of lines that differ only in
numbers, at most `MOST_EQUAL` are written per minute, so that a repeating fault does not fill the
disk; the next line says how many were left out (`repeated`).
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

FIELDS = frozenset(
    """
    event level timestamp role site tenant topic group offset partition reason error wait seconds
    count captures edited gone findings incidents matches pages pid port host version path line
    column kind kinds key_id epoch action status attempts exit_code bytes repeated platform severity
    state lag records part parts signal day year origin request _dropped
    """.split()
)
EVENT = re.compile(r"[a-z][a-z0-9_]{0,63}")


def _drop_undeclared(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop undeclared fields and count them in `_dropped`.

    An event that is no plain name may carry a value, so it becomes "unnamed". Changes and returns
    `event`.
    """
    if not EVENT.fullmatch(str(event.get("event"))):
        event["event"] = "unnamed"
    unknown = [name for name in event if name not in FIELDS]
    for name in unknown:
        del event[name]
    if unknown:
        event["_dropped"] = len(unknown)
    return event


MOST_EQUAL, EQUAL_SECONDS = 100, 60.0
MOST_KINDS = 1000
"""Kinds of line that are counted at the same time; beyond it, counting starts anew."""


@dataclass(slots=True)
class RepetitionLimit:
    """Drops lines after `MOST_EQUAL` equal ones within `EQUAL_SECONDS`.

    Lines are equal if they have the same words; numbers, such as an offset or a wait, may differ.
    """

    monotonic: Callable[[], float] = time.monotonic
    _counts: dict[tuple[str, ...], tuple[float, int]] = field(default_factory=dict)
    """By kind of line: when counting began, and the number of lines since."""

    def __call__(
        self, _: Any, __: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Return the event, or raise structlog.DropEvent to leave it out.

        It is left out after MOST_EQUAL (100) events with the same texts within EQUAL_SECONDS (60
        s); numbers and the request id are not compared. The first event after that time gets the
        number of those left out as `repeated`.
        """
        from structlog import DropEvent  # noqa: PLC0415  see `configure`

        words = [
            f"{name}={value}"
            for name, value in event.items()
            if name != "request" and isinstance(value, str)
        ]
        kind, now = tuple(sorted(words)), self.monotonic()
        began, count = self._counts.get(kind, (now, 0))
        if now - began >= EQUAL_SECONDS:
            if count > MOST_EQUAL:
                event["repeated"] = count - MOST_EQUAL
            began, count = now, 0
        if len(self._counts) >= MOST_KINDS and kind not in self._counts:
            self._counts.clear()
        self._counts[kind] = began, count + 1
        if count >= MOST_EQUAL:
            raise DropEvent
        return event


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Send JSON lines of at least `level` to `stream`, by default standard error.

    The command line calls this once. An unknown level counts as `info`. It takes effect with the
    first logger: most commands log nothing, and importing structlog takes a tenth of a second.
    """
    _pending[:] = [partial(_configure, level, stream)]
    if "structlog" in sys.modules:
        _pending.pop()()


_pending: list[Callable[[], None]] = []
"""The configuration that the first logger applies."""


def _configure(level: str, stream: TextIO | None) -> None:
    import structlog  # noqa: PLC0415  see `configure`

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            RepetitionLimit(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _drop_undeclared,
            structlog.processors.JSONRenderer(
                ensure_ascii=False, default=lambda value: type(value).__name__
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            getattr(logging, level.upper(), logging.INFO)
        ),
        logger_factory=lambda *_: structlog.PrintLogger(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )


def get(role: str) -> FilteringBoundLogger:
    """Return a logger whose lines name the service `role`, such as `match`."""
    import structlog  # noqa: PLC0415  see `configure`

    if _pending:
        _pending.pop()()
    logger: FilteringBoundLogger = structlog.get_logger(role=role)
    return logger
