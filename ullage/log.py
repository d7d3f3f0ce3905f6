"""Structured logs: one event name a line, fields from a known set, no value ever.

A field whose name is not declared in `FIELDS` is dropped and counted in `_dropped`, so that a
careless `log.info("x", text=…)` cannot carry a leaked value to disk. URLs, titles and authors are
not in the set on purpose.

Of lines that are equal but for numbers at most `MOST_EQUAL` are written in a minute, so that a
fault that repeats fills no disk; the next one says how many were left out (`repeated`).
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
    event level timestamp role site tenant topic group offset partition reason error wait seconds count captures
    edited gone findings incidents matches pages pid port host version path line column kind kinds key_id epoch action status
    attempts exit_code bytes repeated platform severity state lag records part parts signal year request _dropped
    """.split()  # noqa: E501
)
EVENT = re.compile(r"[a-z][a-z0-9_]{0,63}")


def _only_declared(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep declared fields and count the others; an event that is no plain name may carry a
    value, so it goes too.
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
"""Kinds of line that are counted at once; beyond, counting begins anew."""


@dataclass(slots=True)
class RepetitionLimit:
    """A processor that leaves out lines of which `MOST_EQUAL` were written within `EQUAL_SECONDS`.

    Lines are equal that have the same words: numbers, such as an offset or a wait, may differ.
    """

    monotonic: Callable[[], float] = time.monotonic
    _counts: dict[tuple[str, ...], tuple[float, int]] = field(default_factory=dict)
    """Of each kind of line when it began to be counted, and how many came since."""

    def __call__(
        self, _: Any, __: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Return the line; structlog.DropEvent for one that is left out."""
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
    """Send JSON lines to `stream` (standard error as it then is, by default); called once, by the
    command line.

    It takes effect with the first logger: most commands log nothing, and to import structlog takes
    a tenth of a second.
    """
    _pending[:] = [partial(_configure, level, stream)]
    if "structlog" in sys.modules:
        _pending.pop()()


_pending: list[Callable[[], None]] = []
"""The configuration that the first logger puts into effect."""


def _configure(level: str, stream: TextIO | None) -> None:
    import structlog  # noqa: PLC0415  see `configure`

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            RepetitionLimit(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_declared,
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
    """A logger that names the role on each line."""
    import structlog  # noqa: PLC0415  see `configure`

    if _pending:
        _pending.pop()()
    logger: FilteringBoundLogger = structlog.get_logger(role=role)
    return logger
