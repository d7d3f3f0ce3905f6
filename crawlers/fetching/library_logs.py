"""Keeps what libraries would log off the disk: they write URLs, answers and exceptions' texts into their messages.

All that is left of such a message is who sent it, how bad it is, and the type of the exception with it.
"""

from __future__ import annotations

import logging
from typing import Any, cast

from twisted.logger import LogEvent, LogLevel, globalLogBeginner

from ullage import log


class _TypeOnly(logging.Handler):
    """Reports a record of the standard library's logging without its text, as of `role`."""

    def __init__(self, role: str) -> None:
        super().__init__(logging.WARNING)
        self._role = role

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        log.get(self._role).warning("library_warning", reason=record.name, error=kind.__name__ if kind else record.levelname)


def _twisted(event: LogEvent) -> None:
    """Report an event of Twisted's logging without its text."""
    failure = event.get("log_failure")
    if event.get("log_level", LogLevel.info) >= LogLevel.error:
        kind = getattr(getattr(failure, "type", None), "__name__", "unknown")
        log.get("crawl").warning("library_warning", reason="twisted", error=kind)


def silence_libraries(role: str = "crawl") -> None:
    """Replace every handler of the root logger and of Twisted; called once, by the command."""
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers[:] = [_TypeOnly(role)]
    root.setLevel(logging.WARNING)
    for name in ("scrapy", "twisted"):
        logging.getLogger(name).setLevel(logging.ERROR)
    globalLogBeginner.beginLoggingTo([cast("Any", _twisted)], redirectStandardIO=False, discardBuffer=True)
