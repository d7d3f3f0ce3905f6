"""The tree of errors. Each says what the worker must do with the record in hand.

    UllageError
    ├── ConfigError        stop   a setting, key or file is wrong
    ├── CorruptError       stop   state on disk cannot be trusted
    ├── ExhaustedError     stop   this process has no memory left for the record in hand
    ├── RecordError        drop   this record can never be processed: sealed dead letter, counted
    └── UnavailableError   retry  something outside is down; try the same record again

A message says what, where and what to do, in one line, and never holds a value from a record. `exit_code` is what a command
ends with that such an error ended.
"""

from __future__ import annotations

from enum import Enum

from ullage.exits import Exit


class Action(Enum):
    """What the worker does with the record in hand."""

    RETRY = "retry"
    DROP = "drop"
    STOP = "stop"


class UllageError(Exception):
    """Base of every error that this project raises on purpose."""

    action = Action.STOP
    exit_code = Exit.FAILED


class ConfigError(UllageError):
    """A setting, a key or an input file is wrong; the person must change something."""

    exit_code = Exit.USAGE


class CorruptError(UllageError):
    """State on disk is damaged or foreign; never reset silently."""


class ExhaustedError(UllageError):
    """Memory ran out at the record in hand. The process ends: what the record does to a fresh one decides what becomes of it."""


class RecordError(UllageError):
    """This record can never be processed.

    `reason` is from a closed set of short words: it becomes a metric label.
    """

    action = Action.DROP

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason


class UnavailableError(UllageError):
    """Something outside this process is down or busy; `retry_after` is in seconds, if it said so."""

    action = Action.RETRY

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
