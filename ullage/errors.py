"""Define the errors of this project, what happens to a record after each, and the exit codes.

The services read *records* (a captured post, a finding) from a message bus, one after the other.
Code that cannot process a record raises one of the errors below, and the loop of the service
(`ullage.runtime.worker`) reads the `action` of its class: try the same record again, drop it, or
stop the process. A command that ends with such an error exits with its `exit_code`: 2 for
ConfigError, 1 for all others. No command defines codes of its own; `--help` and
`docs/exit-codes.md` print the tables of this module.

    UllageError
    ├── ConfigError        stop   a setting, key or file is wrong
    │   └── FaultsError    stop   several faults, or one in several places
    ├── CorruptError       stop   state on disk cannot be trusted
    ├── ExhaustedError     stop   the process ran out of memory on the current record
    ├── RecordError        drop   this record can never be processed: sealed dead letter, counted
    └── UnavailableError   retry  a dependency is down; try the same record again

A message is one line that says what is wrong, where, and what to do. It never contains a value from
a record.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, IntEnum
from typing import TypeVar


class Exit(IntEnum):
    """Exit codes of all commands; `MEANING` explains each."""

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
        Exit.FAILED: (
            "with --once, a site could not be read or its file is invalid; the others were read"
        ),
        Exit.USAGE: "no site file is valid",
    },
    "ingest": {Exit.FAILED: "a line was refused; the others were accepted"},
    "evidence verify": {
        Exit.FAILED: (
            "the package or a time stamp was changed, or another key signed it; a message says"
            " which"
        )
    },
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
    "sites": {Exit.FAILED: "a site file is invalid; the others are listed"},
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
        Exit.FAILED: "an incident was refused, with the reason; the others were acknowledged"
    },
    "incidents assign": {
        Exit.FAILED: "an incident was refused, with the reason; the others were assigned"
    },
    "incidents resolve": {
        Exit.FAILED: "an incident was refused, with the reason; the others were resolved"
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
    "fraud-cases import": {Exit.FAILED: "a line was refused; the others were reported"},
    "source": {Exit.NO_VERDICT: "the source cannot be stated, or fewer than 20 victims are known"},
    "subjects resolve": {Exit.FAILED: "a pseudonym is in no list here; the others were resolved"},
}
"""Exit codes with a special meaning, by command.

Any other code means what `MEANING` says.
"""


def render_exit_codes() -> str:
    """Render the exit codes of all commands for the end of `ullage --help`.

    Returns one text: a heading, then the number and meaning of each code, wrapped at 74 columns.
    """
    return _render_codes(MEANING)


def render_command_exit_codes(command: str) -> str:
    """Render the codes that have a special meaning for `command`, for the end of its help.

    Returns "" for a command without any, and for an unknown command.
    """
    return _render_codes(COMMANDS.get(command, {}))


def _render_codes(codes: Mapping[Exit, str]) -> str:
    """Render one line per code.

    The backspace tells click to keep the line breaks of the paragraph.
    """
    lines = [
        textwrap.fill(f"{code:d}  {says}", 74, subsequent_indent="   ")
        for code, says in codes.items()
    ]
    return "\n".join(["\b", "Exit codes:", *lines]) if codes else ""


T = TypeVar("T")


class Action(Enum):
    """What the loop of a service does after an error.

    RETRY repeats the same record after a pause, DROP makes it a dead letter and goes on, STOP ends
    the process.
    """

    RETRY = "retry"
    DROP = "drop"
    STOP = "stop"


class UllageError(Exception):
    """Base class of all errors that this project raises on purpose.

    A subclass states what happens to the current record (`action`) and how a command exits
    (`exit_code`).
    """

    action = Action.STOP
    exit_code = Exit.FAILED


class ConfigError(UllageError):
    """A setting, a key or an input file is wrong, and a person must change it."""

    exit_code = Exit.USAGE


class FaultsError(ConfigError):
    """Several faults, one message each in `faults`.

    Where there is room for one line, `str()` shows the first fault and the number of the others.
    """

    def __init__(self, faults: Iterable[str], *, is_partly_done: bool = False) -> None:
        self.faults = tuple(faults)
        self.exit_code = Exit.FAILED if is_partly_done else Exit.USAGE
        more = len(self.faults) - 1
        super().__init__(
            f"{self.faults[0]}{f' (and {more} more: `ullage check` lists them)' if more else ''}"
        )

    @classmethod
    def from_errors(
        cls, errors: Iterable[ConfigError], *, is_partly_done: bool = False
    ) -> FaultsError:
        """Return one error with the faults of all `errors`, of which there is at least one.

        With `is_partly_done`, a command did the rest and exits with 1 instead of 2.
        """
        faults = (fault for error in errors for fault in list_faults(error))
        return cls(faults, is_partly_done=is_partly_done)


def list_faults(error: Exception) -> tuple[str, ...]:
    """Return the messages of an error: each fault of a `FaultsError`, else its one message."""
    return error.faults if isinstance(error, FaultsError) else (str(error),)


def run_all(actions: Iterable[Callable[[], T]]) -> list[T]:
    """Run every action, even after one fails, and return their results in order.

    A ConfigError does not stop the others: its faults are collected, and one FaultsError with all
    of them is raised at the end. Any other error is raised at once.
    """
    results, errors = [], list[ConfigError]()
    for action in actions:
        try:
            results.append(action())
        except ConfigError as error:
            errors.append(error)
    if errors:
        raise FaultsError.from_errors(errors)
    return results


class CorruptError(UllageError):
    """State on disk is damaged or foreign; it is never reset silently."""


class ExhaustedError(UllageError):
    """The process ran out of memory while it processed a record.

    The process ends; a fresh process tries the record once more and decides what happens to it.
    """


class RecordError(UllageError):
    """The record can never be processed; it becomes a dead letter.

    `reason` is one short word from a closed set, because it becomes the label of a metric; it is
    also the message unless one is given.
    """

    action = Action.DROP

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason


class UnavailableError(UllageError):
    """A dependency is down or busy, and the same call may succeed later.

    `retry_after` is how many seconds the dependency asked to wait, or None.
    """

    action = Action.RETRY

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
