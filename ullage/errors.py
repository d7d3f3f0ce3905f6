"""The tree of errors. Each says what the worker must do with the record in hand.

    UllageError
    ├── ConfigError        stop   a setting, key or file is wrong
    │   └── FaultsError    stop   several are, or one in several places
    ├── CorruptError       stop   state on disk cannot be trusted
    ├── ExhaustedError     stop   this process has no memory left for the record in hand
    ├── RecordError        drop   this record can never be processed: sealed dead letter, counted
    └── UnavailableError   retry  something outside is down; try the same record again

A message says what, where and what to do, in one line, and never holds a value from a record. `exit_code` is what a command
ends with that such an error ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import TypeVar

from ullage.exits import Exit

T = TypeVar("T")


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


class FaultsError(ConfigError):
    """All that is wrong, a message a fault; where only one line is to be had, the first and how many more there are."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        more = len(self.faults) - 1
        super().__init__(f"{self.faults[0]}{f' (and {more} more: `ullage check` lists them)' if more else ''}")

    @classmethod
    def of(cls, errors: Iterable[ConfigError]) -> FaultsError:
        """All that `errors`, of which there is one at least, say."""
        return cls(fault for error in errors for fault in faults_of(error))


def faults_of(error: Exception) -> tuple[str, ...]:
    """The messages of an error, which are several only of `FaultsError`."""
    return error.faults if isinstance(error, FaultsError) else (str(error),)


def every(acts: Iterable[Callable[[], T]]) -> list[T]:
    """What each act gives; FaultsError with the faults of all those that were refused, when all were tried."""
    given, refused = [], list[ConfigError]()
    for act in acts:
        try:
            given.append(act())
        except ConfigError as error:
            refused.append(error)
    if refused:
        raise FaultsError.of(refused)
    return given


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
