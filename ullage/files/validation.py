"""Parse JSON and TOML, and describe faults without repeating a value of the file.

A value may be a password or a customer's number, so messages contain names of settings only, and
each word of the file passes `redact_word` or `quote_word` first, which show only short, plain words
without many digits. `describe_faults` turns pydantic's errors into lines such as `search.prot: did
you mean port?`. `read_json` and `read_toml` also convert what the standard parsers raise
unexpectedly: RecursionError for deep nesting, and a bare ValueError for a TOML number with too many
digits.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

QUOTED = re.compile(r"'([^']*)'")
NEAR = 0.7
"""Similarity, of 1, from which a word is taken for a misspelling."""
MOST_DIGITS = 6
"""No identifier that this product looks for has so few digits."""
LONGEST = 64
"""Characters of a name; anything longer may be a key or a text."""
LIBRARY = re.compile(
    r"(?P<what>[^('\"]*)(?P<words>.*?)(?P<place> \(at (?:line \d+, column \d+|end of document)\))?",
    re.DOTALL,
)


def describe_faults(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one line `setting: problem` per fault, in the order of the model.

    Equal lines are listed one time. An unknown setting or word gets a suggestion if a similar one
    exists.
    """
    descriptions = dict[str, None]()
    for fault in error.errors(include_url=False, include_context=True):
        place = [str(part) for part in fault["loc"]]
        at = ".".join(map(redact_word, place))
        problem = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            problem = _describe_unknown(place, model)
        elif fault["type"] in {"literal_error", "enum"} and isinstance(fault["input"], str):
            problem += suggest(
                fault["input"], QUOTED.findall(str(fault.get("ctx", {}).get("expected", "")))
            )
        descriptions[": ".join(filter(None, (at, problem)))] = None
    return list(descriptions)


def redact_word(word: str) -> str:
    """Return `word` if a message may repeat it, else only its length in brackets.

    At most 64 printable characters, 6 digits and no `@` may be shown: anything else may be a value,
    a key or a text.

    >>> redact_word("colour"), redact_word("15400000001")
    ('colour', '(11 characters)')
    """
    return word if _is_plain(word) else f"({len(word)} characters)"


def quote_word(word: str) -> str:
    """Return `word` in quotation marks if a message may repeat it, else only its length."""
    return repr(word) if _is_plain(word) else redact_word(word)


def redact_message(message: str) -> str:
    """Return a parser's message with the words that it quotes from the file redacted.

    The place behind them stays, as in `Cannot declare ('a',) twice (at line 1, column 4)`.
    """
    parts = LIBRARY.fullmatch(message)
    return (
        f"{parts['what']}{redact_word(parts['words'])}{parts['place'] or ''}"
        if parts
        else redact_word(message)
    )


def _is_plain(word: str) -> bool:
    return (
        len(word) <= LONGEST
        and sum(map(str.isdigit, word)) <= MOST_DIGITS
        and "@" not in word
        and word.isprintable()
    )


WORD = re.compile(r"[a-z]+")


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `: did you mean …?` with the most similar known word; "" if none is similar."""
    near = difflib.get_close_matches(word, list(known), 1, NEAR)
    return f": did you mean {near[0]}?" if near else ""


def _describe_unknown(place: Sequence[str], model: type[BaseModel]) -> str:
    """Describe an unknown setting, with the one that may be meant.

    That is one with a similar name in its table, one there whose reason has the word, or one of the
    same name elsewhere; without any it is "unknown setting". A setting with a message of its own
    (`not_here`) gets that.
    """
    *outer, name = place
    table = _find_table(model, outer)
    if not_here := getattr(table, "not_here", {}).get(name):
        return str(not_here)
    if table and (suggestion := suggest(name, table.model_fields)):
        return suggestion.removeprefix(": ")
    fields = table.model_fields.items() if table else ()
    described = (
        setting for setting, field in fields if name in WORD.findall(field.description or "")
    )
    if meant := next(described, ""):
        return f"did you mean {meant}?"
    elsewhere = [path for path in _list_settings(model, ()) if path[-1] == name]
    return (
        f"is not a setting here: did you mean {'.'.join(elsewhere[0])}?"
        if elsewhere
        else "unknown setting"
    )


def _find_table(model: type[BaseModel], place: Sequence[str]) -> type[BaseModel] | None:
    """Return the model of the table at `place`; None if there is none.

    The name of an entry, as in `tenants.NAME`, is passed over.
    """
    table: type[BaseModel] | None = model
    inside = iter(place)
    for name in inside:
        field = table.model_fields.get(name) if table else None
        if field is None:
            return None
        table, is_many = _find_model(field.annotation)
        if is_many:
            next(inside, None)
    return table


def _find_model(annotation: object) -> tuple[type[BaseModel] | None, bool]:
    """Return the model in a field's type, and whether the field holds many, by name or number."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for inner in typing.get_args(annotation):
        if (model := _find_model(inner)[0]) is not None:
            return model, typing.get_origin(annotation) in {dict, list, tuple}
    return None, False


def _list_settings(model: type[BaseModel], before: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the path of every setting below `model`."""
    for name, field in model.model_fields.items():
        inner, is_many = _find_model(field.annotation)
        if inner is None:
            yield (*before, name)
        else:
            yield from _list_settings(inner, (*before, name, *(("NAME",) if is_many else ())))


def read_json(text: str | bytes) -> Any:
    """Return the parsed JSON.

    Raises ValueError if the text is invalid or nests too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def read_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text; a byte order mark at its beginning is ignored.

    Raises `tomllib.TOMLDecodeError`, which repeats no value, if the text is invalid, nests too
    deeply or has a number with too many digits.
    """
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise tomllib.TOMLDecodeError(redact_message(str(error))) from None
    except RecursionError:
        raise tomllib.TOMLDecodeError("it nests too deeply") from None
    except ValueError:
        raise tomllib.TOMLDecodeError("it has a number of too many digits") from None


def read_claimed_version(content: bytes) -> int | None:
    """Return the `version` that a JSON object claims, before any validation.

    None if the content is no JSON object, or the version no whole number from 0 to 999.

    >>> read_claimed_version(b'{"version": 2}'), read_claimed_version(b'{"version": true}')
    (2, None)
    """
    try:
        claimed = json.loads(content)
    except (ValueError, RecursionError):
        return None
    version = claimed.get("version") if isinstance(claimed, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        return None
    return version if 0 <= version < MOST_VERSIONS else None


MOST_VERSIONS = 1000
"""No version of ours has a larger number."""
