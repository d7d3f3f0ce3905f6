"""The exit codes of every command: what each says, and what it says of a command where that needs saying.

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
    Exit.DONE: "done: all that was asked for was done, and what it says is so",
    Exit.FAILED: "failed: it was not done, or not all of it; a message says what",
    Exit.USAGE: "usage or configuration: change the command line, a file or a key, then try again",
    Exit.NO_VERDICT: "no verdict: something that matters was not read, and nobody was found in the rest",
    Exit.EXPOSED: "exposed: with --fail, a customer was found, or a login at a tenant's own site; with --fail-on, a verdict is as"
    " severe or more",
    Exit.GAP: "gap: a time in which nothing was seen, and which nobody has explained",
}

COMMANDS: Mapping[str, Mapping[Exit, str]] = {
    "scan": {
        Exit.NO_VERDICT: "a file could not be read whole, or there was nothing to read, and no customer is in what was read",
        Exit.EXPOSED: "with --fail, a customer is in what was read",
    },
    "assess": {
        Exit.FAILED: "with --open, no incident came of it; a message says why",
        Exit.NO_VERDICT: "the file could not be read whole, or a tenant has no watchlist here, and no customer is in what was"
        " read; with --fail-on also where one is, and what was read is less severe",
        Exit.EXPOSED: "with --fail, a customer or a login at a tenant's own site is in what was read; with --fail-on, a verdict"
        " is as severe or more",
    },
    "crawl": {
        Exit.FAILED: "with --once, a site was not read; the others were",
        Exit.USAGE: "a site file is wrong, or none is right; with --once, the other sites were visited",
    },
    "ingest": {Exit.FAILED: "a line was refused; the others were taken"},
    "coverage": {
        Exit.FAILED: "a day is not as it was signed",
        Exit.NO_VERDICT: "there is no gap so far, but a site was not seen of late, which cannot be judged yet",
        Exit.GAP: "a site that was to be read was not, for longer than a gap may be, and nobody explained why",
    },
    "collect": {Exit.GAP: "a channel is not seen, or not wholly; its line says why"},
    "status": {Exit.FAILED: "a role is not ready, does not answer, or could not be asked"},
    "check": {Exit.FAILED: "a line says FAULT"},
    "restore": {Exit.FAILED: "what was restored has a line that says FAULT, or the backup is damaged and nothing was restored"},
    "sites": {Exit.USAGE: "a site file is wrong; the others are listed"},
    "sites try": {
        Exit.FAILED: "no post could be read there, or not all of what its pages show, or something speaks against a site that has"
        " a file; a line says what, and no file was written",
        Exit.USAGE: "a file of that name is there, or nobody said on what ground it is read and who answers for it; none was"
        " written",
    },
    "incidents list": {Exit.NO_VERDICT: "the list is empty, and not all that matters was looked at; a line says what was not"},
    "incidents acknowledge": {Exit.USAGE: "one was refused, which is named with why; the others were acknowledged"},
    "incidents assign": {Exit.USAGE: "one was refused, which is named with why; the others were assigned"},
    "incidents resolve": {Exit.USAGE: "one was refused, which is named with why; the others were resolved"},
    "incidents handover": {Exit.NO_VERDICT: "not all was looked at, or a gap is not explained; a line says which"},
    "incidents export": {Exit.NO_VERDICT: "nothing is in it, and not all that matters was looked at; a line says what was not"},
    "audit verify": {
        Exit.FAILED: "a line is not as it was written, or one is missing; of a file: it is not as it was signed, or by nobody who"
        " is known here"
    },
    "subjects resolve": {Exit.FAILED: "a handle is in no list here; the others were resolved"},
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
