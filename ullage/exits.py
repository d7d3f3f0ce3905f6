"""The exit codes of all commands, and what they mean for a command where that differs.

`docs/exit-codes.md` and `--help` print these tables. No command has a number of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


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
    Exit.NO_VERDICT: "no verdict: relevant content was not readable, and no customer was found in the rest",
    Exit.EXPOSED: "exposed: with --fail, a customer or a login at a tenant's own site was found; with --fail-on, a verdict of at"
    " least that severity",
    Exit.GAP: "gap: an unexplained coverage gap",
}

COMMANDS: Mapping[str, Mapping[Exit, str]] = {
    "scan": {
        Exit.NO_VERDICT: "a file was not fully readable or had no content, and no customer was found",
        Exit.EXPOSED: "with --fail, a customer was found",
    },
    "assess": {
        Exit.FAILED: "with --open, no incident was opened; a message explains why",
        Exit.NO_VERDICT: "the file was not fully readable, or a tenant has no customer list here, and no customer was found; with"
        " --fail-on, also if what was found is less severe",
        Exit.EXPOSED: "with --fail, a customer or a login at a tenant's own site was found; with --fail-on, a verdict of at least"
        " that severity",
    },
    "crawl": {
        Exit.FAILED: "with --once, a site could not be read; the others were read",
        Exit.USAGE: "a site file is invalid, or there is no valid one; with --once, the other sites were visited",
    },
    "ingest": {Exit.FAILED: "a line was refused; the others were accepted"},
    "coverage": {
        Exit.FAILED: "a day was changed after it was signed",
        Exit.NO_VERDICT: "no gap so far, but a site was not read recently and cannot be judged yet",
        Exit.GAP: "a site has an unexplained coverage gap",
    },
    "collect": {Exit.GAP: "a channel is not fully read; its line explains why"},
    "status": {Exit.FAILED: "a service is not ready or does not respond"},
    "check": {Exit.FAILED: "a line says FAULT"},
    "restore": {Exit.FAILED: "a restored part has a line that says FAULT, or the backup is damaged and nothing was restored"},
    "sites": {Exit.USAGE: "a site file is invalid; the others are listed"},
    "sites try": {
        Exit.FAILED: "posts could not be read, or not all of them, or an existing site has a problem; a line explains it, and no"
        " file was written",
        Exit.USAGE: "the file already exists, or legal basis or owner is missing; no file was written",
    },
    "incidents list": {Exit.NO_VERDICT: "the list is empty, but coverage is incomplete; a line says what is missing"},
    "incidents acknowledge": {Exit.USAGE: "an incident was refused, with the reason; the others were acknowledged"},
    "incidents assign": {Exit.USAGE: "an incident was refused, with the reason; the others were assigned"},
    "incidents resolve": {Exit.USAGE: "an incident was refused, with the reason; the others were resolved"},
    "incidents handover": {Exit.NO_VERDICT: "coverage is incomplete or a gap is unexplained; a line says which"},
    "incidents export": {Exit.NO_VERDICT: "the export is empty, but coverage is incomplete; a line says what is missing"},
    "audit verify": {
        Exit.FAILED: "a line was changed or is missing; of a file: it was changed after it was signed, or the signer is unknown"
    },
    "subjects resolve": {Exit.FAILED: "a pseudonym is in no list here; the others were resolved"},
}
"""By command: codes that say something of their own about it. Any other code means what `MEANING` says."""


def table() -> str:
    """The codes, for the end of the help of `ullage`."""
    return _lines(MEANING)


def table_of(command: str) -> str:
    """What codes say of `command`, for the end of its help; "" where the table of all commands says everything."""
    return _lines(COMMANDS.get(command, {}))


def _lines(codes: Mapping[Exit, str]) -> str:
    """A paragraph a code: help text is wrapped by paragraphs."""
    return "\n\n".join(["Exit codes:", *(f"{code:d}  {says}" for code, says in codes.items())]) if codes else ""
