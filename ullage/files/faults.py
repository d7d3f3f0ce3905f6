"""What is wrong with a file of data, all of it and at once: a message a fault, which names the knob and what was probably meant.

A message never holds what the file says, beyond the names of its knobs: it may be what nobody else should read.
"""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable, Iterator, Sequence

from pydantic import BaseModel, ValidationError

QUOTED = re.compile(r"'([^']*)'")
NEAR = 0.7
"""How alike a word must be, of 1, to be taken for a slip of the hand."""


def faults_of(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Each fault as `knob: what is wrong`, in the order of the model; of a knob that is not known, the one that was meant."""
    found = dict[str, None]()
    for fault in error.errors(include_url=False, include_context=True):
        place = [str(part) for part in fault["loc"]]
        said = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            said = _unknown(place, model)
        elif fault["type"] in {"literal_error", "enum"} and isinstance(fault["input"], str):
            said += meant(fault["input"], QUOTED.findall(str(fault.get("ctx", {}).get("expected", ""))))
        found[": ".join(filter(None, (".".join(place), said)))] = None
    return list(found)


def meant(word: str, known: Iterable[str]) -> str:
    """`: did you mean …?`, or "" where nothing known is like `word`."""
    near = difflib.get_close_matches(word, list(known), 1, NEAR)
    return f": did you mean {near[0]}?" if near else ""


def _unknown(place: Sequence[str], model: type[BaseModel]) -> str:
    """What is said of a knob that does not exist: one that is spelt nearly so there, or so elsewhere."""
    *outer, name = place
    table = _at(model, outer)
    if table and (said := meant(name, table.model_fields)):
        return said.removeprefix(": ")
    elsewhere = [path for path in _paths(model, ()) if path[-1] == name]
    return f"is no knob here: did you mean {'.'.join(elsewhere[0])}?" if elsewhere else "there is no such knob"


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
