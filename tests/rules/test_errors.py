"""Every error names what is wrong and where, and says what to do.

The messages of all errors that the code can raise are produced and read here; see
`tests/error_messages.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import typer

from tests.error_messages import CLOSE, OPEN, PACKAGES, Raised, list_errors
from tests.rules.test_glossary import BANNED, find_rejected_words
from ullage import cli
from ullage.errors import Action, ConfigError
from ullage.settings import Settings

MAX_LENGTH = 250
CODED = {"RecordError", "BlindError", "MatrixError", "Halt", "ProblemError"}
"""Errors whose message may be a word of a closed list, which other text explains."""
CODE = re.compile(r"[a-z]+(_[a-z]+)*")
CURED = ("crawlers/", "deploy/", "matcher/", "ullage/")
"""Packages whose errors say what to do even if the work is tried again."""
UNSEEN: Mapping[str, str] = {
    "DamagedFileError": "the spool sets the file aside and goes on",
    "FullError": "the client is told when to come again",
    "_GoneError": "the client has gone",
}
"""Errors that no command ends with; they name the place."""
PLACED_BY_CALLER = {"UndeliveredError"}
"""Errors whose caller puts the name of the channel before the message."""
SENTENCES = {"LoginRefusedError", "NotJudgedError", "NotResolvedError"}
"""Errors that a page shows alone, as whole sentences."""
FIELD = re.compile(rf"{OPEN}[^{CLOSE}]*{CLOSE}")
OPAQUE = re.compile(rf"{OPEN}[^{CLOSE}]*{CLOSE}")
"""A message that is wholly made elsewhere: most are those of an error that was caught."""
MAX_OPAQUE = 35
PASSED_ON = re.compile(
    rf"{OPEN}error{CLOSE}.*|.*: {OPEN}error{CLOSE}.*|.*{OPEN}[^{CLOSE}]*"
    r"(?:'type'|\b(?:detail|phrase|error\.\w+|fault|faults|msg|stderr|unreadable|why|reading"
    rf"|problem|error)\b(?!\)\.__name__))[^{CLOSE}]*{CLOSE}\)?"
)
"""A message that begins or ends with that of another error, or of another program."""
THINGS = (
    "account action approvals case condition date end entry field file filter form group "
    "identity incident line name note passphrase password period provider pseudonym purpose "
    "reason references report request role rules search seller shift sighting start subject "
    "suppression tenant time token "
).split()
PLACE = re.compile(
    rf"{OPEN}|--[a-z]|\bullage\[|^/|\b[a-z_]+\.[a-z_]+\b|`|\b[A-Z_]{{3,}}\b"
    rf"|\b(?:{'|'.join(THINGS)})s?\b"
)
"""A value, an option, a setting, a file, a command, a variable, or a field of a form in words."""
VERBS = (
    "add allow approve ask build change check choose commit confirm convert copy correct "
    "create decide decrypt delete destroy disable download drop enable end enter export "
    "find fix free generate get give go grant have import increase install keep leave lift "
    "link load log look make map mark merge move name narrow open pass pick propose put "
    "raise read rebuild record refuse reload remove rename renew repeat replace report "
    "request resend resolve restart restore review revoke rotate run save search see select "
    "send set shorten sign sort split start stop store sync take try turn type undo unpack unset "
    "upgrade upload use wait withdraw work write "
).split()
CURE = re.compile(
    rf"(?:^|[:;,.(`] |\b(?:or|and|then|first|please|pip|--) |`)"
    rf"(?:then |first |either |do not |only )?(?:{'|'.join(VERBS)})\b"
    rf"|\bmust\b|\bdid you mean\b|`ullage |\bpip install\b",
    re.IGNORECASE,
)
"""An imperative that begins a clause, a requirement, or a command."""
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
COMMAND = re.compile(r"`(ullage [^`]+)`")
FILE_NAMES = {"toml", "sqlite", "key", "pub", "sock", "user", "password"}
"""Endings of files that are named like a table of settings, such as the key `store.user`."""
EXEMPT: Mapping[str, str] = {
    r"^unknown kind of rules": "`background` is the name of a kind",
    r"^give the reason for the false positive": "it lists all reasons",
    r"has no (?:filter|full-text search)": "our own query is wrong: pages and API declare theirs",
}
"""Patterns of messages that keep no rule, with the reason."""


@cache
def list_all() -> list[Raised]:
    """Return all errors once."""
    return list_errors()


def is_exempt(error: Raised) -> bool:
    """Return whether a message is in `EXEMPT`."""
    return any(re.search(pattern, error.message) for pattern in EXEMPT)


def find_faults(error: Raised) -> Iterator[str]:
    """Yield what is wrong with a message."""
    text = error.message
    if OPAQUE.fullmatch(text):
        return
    if error.kind.__name__ in CODED and CODE.fullmatch(text):
        return
    if re.search(r"\{\w*\}|%\(", FIELD.sub("", text)):
        yield "shows a field that was not filled in"
    if "\n" in text or text != text.strip():
        yield "is not one line"
    if len(FIELD.sub("N" * 20, text)) > MAX_LENGTH:
        yield f"is longer than {MAX_LENGTH} characters"
    if text.endswith(".") and error.kind.__name__ not in SENTENCES:
        yield "ends in a full stop"
    for phrase in BANNED:
        if phrase in text:
            yield f"has a banned phrase: {phrase}"
    for words in find_rejected_words(OPTION.sub(" ", FIELD.sub("N", text))):
        yield f"has a word that the glossary rejects: {words}"
    if not PLACE.search(text) and not error.members and error.kind.__name__ not in PLACED_BY_CALLER:
        yield "names neither value nor place"
    if (
        (error.kind.action is not Action.RETRY or error.place.startswith(CURED))
        and error.kind.__name__ not in UNSEEN
        and not CURE.search(FIELD.sub("it", text))
        and not PASSED_ON.fullmatch(text)
    ):
        yield "does not say what to do"
    for option in OPTION.findall(FIELD.sub("", text)):
        if option not in list_options():
            yield f"names {option}, an option of no command"
    for command in COMMAND.findall(text):
        if fault := find_command_fault(FIELD.sub("NAME", command)):
            yield f"names `{command}`: {fault}"
    if re.search(r"(?<!there )\b(?:is|are) (?:no|none)\b (?!longer)", text):
        yield "says that something is no such thing, which is no plain English"
    for table, key in re.findall(r"\b([a-z_]+)\.([a-z_]+)\b", FIELD.sub("", text)):
        if (fault := find_setting_fault(table, key)) is not None:
            yield fault


@cache
def list_commands() -> Mapping[str, frozenset[str]]:
    """Return the options of each command, by its words."""
    commands = dict[str, frozenset[str]]()

    def visit(words: str, command: Any) -> None:
        commands[words] = frozenset(
            option
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
        )
        for name, subcommand in getattr(command, "commands", {}).items():
            visit(f"{words} {name}", subcommand)

    top = typer.main.get_group(cli.app)
    context = typer.Context(top)
    commands["ullage"] = frozenset(option for each in top.params for option in each.opts)
    for name in top.list_commands(context):
        visit(f"ullage {name}", top.get_command(context, name))
    return commands


@cache
def list_options() -> frozenset[str]:
    """Return the options of all commands."""
    return frozenset(option for options in list_commands().values() for option in options)


def find_command_fault(text: str) -> str | None:
    """Return what is wrong with a command that a message shows."""
    words = re.sub(r"^ullage --data \S+", "ullage", text).split()
    commands = list_commands()
    length = max(size for size in range(1, len(words) + 1) if " ".join(words[:size]) in commands)
    name = " ".join(words[:length])
    if words[1:2] == ["NAME"]:
        return None
    if length == 1 and len(words) > 1 and not words[1].startswith("-"):
        return "no such command"
    if (
        any(each.startswith(f"{name} ") for each in commands)
        and words[length : length + 1]
        and (words[length].isalpha() and words[length].islower())
    ):
        return f"`{name}` has no command {words[length]}"
    strange = [word for word in words if word.startswith("--") and word not in commands[name]]
    return f"`{name}` has no {strange[0]}" if strange else None


def find_setting_fault(table: str, key: str) -> str | None:
    """Return what is wrong with a setting that a message names; None if it exists, or is none."""
    field = Settings.model_fields.get(table)
    if field is None or key in FILE_NAMES:
        return None
    keys = getattr(field.annotation, "model_fields", None)
    return f"names {table}.{key}, which is no setting" if keys and key not in keys else None


@pytest.mark.parametrize("package", PACKAGES)
def test_every_error_names_the_place_and_the_cure(package: str) -> None:
    faults = [
        f"{error.place} {error.kind.__name__}: {error.message!r} {fault}"
        for error in list_all()
        if error.package == package
        if not is_exempt(error)
        for fault in find_faults(error)
    ]
    assert faults == []


def test_few_messages_are_made_where_this_test_does_not_look() -> None:
    messages = list_all()
    assert len(messages) > 900, "too few: this looks at nothing"
    assert sum(OPAQUE.fullmatch(error.message) is not None for error in messages) <= MAX_OPAQUE


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("the file is damaged", "does not say what to do"),
        ("broken: run it again", "names neither value nor place"),
        ("--wrong: use --rihgt", "names --rihgt, an option of no command"),
        ("the file is damaged: run `ullage rapair`", "names `ullage rapair`: no such command"),
        ("the file is damaged: run `ullage init --all`", "`ullage init` has no --all"),
        ("the file is damaged: set store.ulr", "names store.ulr, which is no setting"),
        ("the file is damaged: set {name}", "shows a field that was not filled in"),
        ("the file is damaged: repair it.", "ends in a full stop"),
        ("the file is no key: remove it", "no such thing"),
    ],
)
def test_a_bad_message_is_found(message: str, fault: str) -> None:
    error = Raised("the place:1", ConfigError, message, ())
    assert any(fault in each for each in find_faults(error))


@pytest.mark.parametrize(
    "message",
    [
        "the file is damaged: restore it from a copy",
        "--tenant must have at most 32 characters",
        "secret bank is empty: run `ullage user change NAME --login USER`",
        "store.url cannot be read: use sqlite:///FILE",
    ],
)
def test_a_good_message_has_no_fault(message: str) -> None:
    assert list(find_faults(Raised("the place:1", ConfigError, message, ()))) == []
