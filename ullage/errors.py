"""Say of each error what becomes of the record in hand, and which exit code it has.

`docs/exit-codes.md` and `--help` print these tables. No command has a number of its own.

    UllageError
    ├── ConfigError        stop   a setting, key or file is wrong
    │   └── FaultsError    stop   several are, or one in several places
    ├── CorruptError       stop   state on disk cannot be trusted
    ├── ExhaustedError     stop   this process has no memory left for the record in hand
    ├── RecordError        drop   this record can never be processed: sealed dead letter, counted
    └── UnavailableError   retry  something outside is down; try the same record again

A message says what, where and what to do, in one line, and never holds a value from a record.
`exit_code` is what a command ends with that such an error ended.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, IntEnum
from typing import TypeVar


class Exit(IntEnum):
    """What a command ends with."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_VERDICT = 3
    EXPOSED = 4
    GAP = 5


MEANING: Mapping[Exit, str] = {
    Exit.DONE: "done: everything that was requested was done",
    Exit.FAILED: "failed: not done, or only in part; a message explains why",
    Exit.USAGE: "usage or configuration: correct the command line, a file or a key, then try again",
    Exit.NO_VERDICT: (
        "no verdict on the whole: relevant content could not be examined, whether or not customers"
        " were found in the rest"
    ),
    Exit.EXPOSED: (
        "exposed: with --fail, a customer or a login at a tenant's own site was found; with"
        " --fail-on, a verdict of at least that severity"
    ),
    Exit.GAP: "gap: an unexplained coverage gap",
}
COMMANDS: Mapping[str, Mapping[Exit, str]] = {
    "scan": {
        Exit.NO_VERDICT: (
            "a file could not be examined whole or had no content; messages name it and the reason"
        ),
        Exit.EXPOSED: (
            "with --fail, a customer was found, even if a file could not be examined whole"
        ),
    },
    "assess": {
        Exit.FAILED: "with --open, no incident was opened; a message explains why",
        Exit.NO_VERDICT: (
            "the file could not be examined whole, or a tenant has no customer list here"
        ),
        Exit.EXPOSED: (
            "with --fail, a customer or a login at a tenant's own site was found; with --fail-on, a"
            " verdict of at least that severity"
        ),
    },
    "crawl": {
        Exit.FAILED: "with --once, a site could not be read; the others were read",
        Exit.USAGE: (
            "a site file is invalid, or there is no valid one; with --once, the other sites were"
            " visited"
        ),
    },
    "ingest": {Exit.FAILED: "a line was refused; the others were accepted"},
    "coverage": {
        Exit.FAILED: "a day was changed after it was signed",
        Exit.NO_VERDICT: (
            "no gap, but a site was not read recently, the log begins later, or no site was read"
            " at all"
        ),
        Exit.GAP: "a site has an unexplained coverage gap",
    },
    "collect": {Exit.GAP: "a channel is not fully read; its line explains why"},
    "status": {Exit.FAILED: "a service is not ready or does not respond"},
    "check": {Exit.FAILED: "a line says FAULT"},
    "restore": {
        Exit.FAILED: (
            "a restored part has a line that says FAULT, or the backup is damaged and nothing was"
            " restored"
        )
    },
    "sites": {Exit.USAGE: "a site file is invalid; the others are listed"},
    "sites try": {
        Exit.FAILED: (
            "posts could not be read, or not all of them, or an existing site has a problem; a line"
            " explains it, and no file was written"
        ),
        Exit.USAGE: (
            "the file already exists, or legal basis or owner is missing; no file was written"
        ),
    },
    "incidents list": {
        Exit.NO_VERDICT: (
            "the list is empty, but coverage is incomplete; a line says what is missing"
        )
    },
    "incidents acknowledge": {
        Exit.USAGE: "an incident was refused, with the reason; the others were acknowledged"
    },
    "incidents assign": {
        Exit.USAGE: "an incident was refused, with the reason; the others were assigned"
    },
    "incidents resolve": {
        Exit.USAGE: "an incident was refused, with the reason; the others were resolved"
    },
    "incidents handover": {
        Exit.NO_VERDICT: "coverage is incomplete or a gap is unexplained; a line says which"
    },
    "incidents export": {
        Exit.NO_VERDICT: (
            "the export is empty, but coverage is incomplete; a line says what is missing"
        )
    },
    "audit verify": {
        Exit.FAILED: (
            "a line was changed or is missing; of a file: it was changed after it was signed, or"
            " the signer is unknown"
        )
    },
    "subjects resolve": {Exit.FAILED: "a pseudonym is in no list here; the others were resolved"},
}
"""By command: codes that say something of their own about it.

Any other code means what `MEANING` says.
"""


def table() -> str:
    """The codes, for the end of the help of `ullage`."""
    return _lines(MEANING)


def table_of(command: str) -> str:
    """What codes say of `command`, for the end of its help; "" where the table of all commands
    says everything.
    """
    return _lines(COMMANDS.get(command, {}))


def _lines(codes: Mapping[Exit, str]) -> str:
    """Lines as they are to be printed, which the backspace says (click's mark of such a
    paragraph).
    """
    lines = [
        textwrap.fill(f"{code:d}  {says}", 74, subsequent_indent="   ")
        for code, says in codes.items()
    ]
    return "\n".join(["\b", "Exit codes:", *lines]) if codes else ""


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
    """All that is wrong, a message a fault; where only one line is to be had, the first and how
    many more there are.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        more = len(self.faults) - 1
        super().__init__(
            f"{self.faults[0]}{f' (and {more} more: `ullage check` lists them)' if more else ''}"
        )

    @classmethod
    def of(cls, errors: Iterable[ConfigError]) -> FaultsError:
        """All that `errors`, of which there is one at least, say."""
        return cls(fault for error in errors for fault in faults_of(error))


def faults_of(error: Exception) -> tuple[str, ...]:
    """The messages of an error, which are several only of `FaultsError`."""
    return error.faults if isinstance(error, FaultsError) else (str(error),)


def every(acts: Iterable[Callable[[], T]]) -> list[T]:
    """What each act gives; FaultsError with the faults of all those that were refused, when all
    were tried.
    """
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
    """Memory ran out at the record in hand.

    The process ends: what the record does to a fresh one decides what becomes of it.
    """


class RecordError(UllageError):
    """This record can never be processed.

    `reason` is from a closed set of short words: it becomes a metric label.
    """

    action = Action.DROP

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason


class UnavailableError(UllageError):
    """Something outside this process is down or busy; `retry_after` is in seconds, if it said
    so.
    """

    action = Action.RETRY

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
