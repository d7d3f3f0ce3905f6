"""Parse JSON and TOML, and list every fault without repeating a value.

A message never holds what the file says, beyond the names of its knobs: it may be what nobody else
should read. A word of the file that is repeated goes through `shown` or `quoted`: a value that was
pasted into the wrong place is not repeated.

The standard library's parsers end with RecursionError where a text nests too deeply, and that of
TOML with a ValueError which is none of its own kind for a number of more digits than Python
converts.
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
"""How alike a word must be, of 1, to be taken for a slip of the hand."""
MOST_DIGITS = 6
"""No identifier that this product looks for has so few."""
LONGEST = 64
"""Characters of a name; what is longer may be a key or a text."""
LIBRARY = re.compile(
    r"(?P<what>[^('\"]*)(?P<words>.*?)(?P<place> \(at (?:line \d+, column \d+|end of document)\))?",
    re.DOTALL,
)


def faults_of(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Each fault as `knob: what is wrong`, in the order of the model; of a knob that is not
    known, the one that was meant.
    """
    found = dict[str, None]()
    for fault in error.errors(include_url=False, include_context=True):
        place = [str(part) for part in fault["loc"]]
        at = ".".join(map(shown, place))
        said = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            said = _unknown(place, model)
        elif fault["type"] in {"literal_error", "enum"} and isinstance(fault["input"], str):
            said += meant(
                fault["input"], QUOTED.findall(str(fault.get("ctx", {}).get("expected", "")))
            )
        found[": ".join(filter(None, (at, said)))] = None
    return list(found)


def shown(word: str) -> str:
    """`word` of a file as a message may repeat it; how long it is where it may be a value, a key or
    a text.

    >>> shown("colour"), shown("15400000001")
    ('colour', '(11 characters)')
    """
    return word if _is_plain(word) else f"({len(word)} characters)"


def quoted(word: str) -> str:
    """As `shown`, a word in quotation marks."""
    return repr(word) if _is_plain(word) else shown(word)


def cleared(said: str) -> str:
    """What a library says of a text, such as `Cannot declare ('a',) twice (at line 1, column
    4)`; the text's words as `shown`.
    """
    parts = LIBRARY.fullmatch(said)
    return f"{parts['what']}{shown(parts['words'])}{parts['place'] or ''}" if parts else shown(said)


def _is_plain(word: str) -> bool:
    return (
        len(word) <= LONGEST
        and sum(map(str.isdigit, word)) <= MOST_DIGITS
        and "@" not in word
        and word.isprintable()
    )


def meant(word: str, known: Iterable[str]) -> str:
    """`: did you mean …?`, or "" where nothing known is like `word`."""
    near = difflib.get_close_matches(word, list(known), 1, NEAR)
    return f": did you mean {near[0]}?" if near else ""


def _unknown(place: Sequence[str], model: type[BaseModel]) -> str:
    """What is said of a knob that does not exist: one that is spelt nearly so there, or so
    elsewhere.
    """
    *outer, name = place
    table = _at(model, outer)
    if not_here := getattr(table, "not_here", {}).get(name):
        return str(not_here)
    if table and (said := meant(name, table.model_fields)):
        return said.removeprefix(": ")
    elsewhere = [path for path in _paths(model, ()) if path[-1] == name]
    return (
        f"is not a setting here: did you mean {'.'.join(elsewhere[0])}?"
        if elsewhere
        else "unknown setting"
    )


def _at(model: type[BaseModel], place: Sequence[str]) -> type[BaseModel] | None:
    """The model of the table at `place`; None where there is none."""
    found: type[BaseModel] | None = model
    inside = iter(place)
    for name in inside:
        field = found.model_fields.get(name) if found else None
        if field is None:
            return None
        found, is_many = _model_in(field.annotation)
        if is_many:
            next(inside, None)
    return found


def _model_in(annotation: object) -> tuple[type[BaseModel] | None, bool]:
    """The model that a field holds, and whether it holds many, by name or number."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for inner in typing.get_args(annotation):
        if (found := _model_in(inner)[0]) is not None:
            return found, typing.get_origin(annotation) in {dict, list, tuple}
    return None, False


def _paths(model: type[BaseModel], before: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every knob below `model`, with the tables on the way to it."""
    for name, field in model.model_fields.items():
        inner, is_many = _model_in(field.annotation)
        if inner is None:
            yield (*before, name)
        else:
            yield from _paths(inner, (*before, name, *(("NAME",) if is_many else ())))


def read_json(text: str | bytes) -> Any:
    """What `text` says; ValueError where it is no JSON, or nests too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def read_toml(text: str) -> dict[str, Any]:
    """What `text` says; `tomllib.TOMLDecodeError` where it is no TOML, nests too deeply or has too
    long a number.

    A byte order mark at its beginning, as some editors write it, says nothing.
    """
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise tomllib.TOMLDecodeError(cleared(str(error))) from None
    except RecursionError:
        raise tomllib.TOMLDecodeError("it nests too deeply") from None
    except ValueError:
        raise tomllib.TOMLDecodeError("it has a number of too many digits") from None


def claimed_version(content: bytes) -> int | None:
    """Return the `version` that JSON claims before anything of it is believed; None where it
    claims none.
    """
    try:
        claimed = json.loads(content)
    except (ValueError, RecursionError):
        return None
    version = claimed.get("version") if isinstance(claimed, dict) else None
    return version if isinstance(version, int) and 0 <= version < MOST_VERSIONS else None


MOST_VERSIONS = 1000
"""A larger number is none of a version of ours."""
