"""Read settings from the environment: `ULLAGE_MATCH__BATCH=100` is `batch` in the table `[match]`.

What holds many values is written as JSON: `ULLAGE_TENANTS__BANK__DOMAINS='["bank.example"]'`. A
variable whose first word is no setting is somebody else's.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from ullage.errors import ConfigError
from ullage.files.validation import read_json

PREFIX, WITHIN = "ULLAGE_", "__"
MANY = (dict, list, tuple, set, frozenset)


def variable_of(place: str) -> str:
    """The variable of a setting.

    >>> variable_of("match.batch")
    'ULLAGE_MATCH__BATCH'
    """
    return PREFIX + place.replace(".", WITHIN).upper()


def read_environment(model: type[BaseModel], variables: Mapping[str, str]) -> dict[str, Any]:
    """The settings of `model` that `variables` give, as nested tables.

    ConfigError names a variable that cannot be read.
    """
    found = dict[str, Any]()
    for variable in sorted(variables):
        path = variable.lower().removeprefix(PREFIX.lower()).split(WITHIN)
        if not variable.upper().startswith(PREFIX) or path[0] not in model.model_fields:
            continue
        *tables, name = path
        place = found
        for table in tables:
            place = place.setdefault(table, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{variable}: another variable sets the whole of {table}")
        place[name] = _value(variable, variables[variable], _annotation(model, path))
    return found


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with what `above` says in its place; tables that both have are merged.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    both = {
        name: merged(below[name], value)
        for name, value in above.items()
        if isinstance(value, dict) and isinstance(below.get(name), dict)
    }
    return {**below, **above, **both}


def _value(variable: str, text: str, annotation: object) -> Any:
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    if not is_model and typing.get_origin(annotation) not in MANY:
        return text
    try:
        return read_json(text)
    except ValueError:
        raise ConfigError(f"{variable}: a list or a table is written as JSON") from None


def _annotation(model: type[BaseModel], path: Sequence[str]) -> object:
    """The type at `path` below `model`; text where there is none, which the model then refuses
    by name.
    """
    found: object = model
    for name in path:
        if isinstance(found, type) and issubclass(found, BaseModel):
            field = found.model_fields.get(name)
            found = _plain(field.annotation) if field else str
        else:
            found = _plain(typing.get_args(found)[-1]) if typing.get_origin(found) is dict else str
    return found


def _plain(annotation: object) -> object:
    """A type without its bounds, and without None."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _plain(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return _plain(next(one for one in typing.get_args(annotation) if one is not types.NoneType))
    return annotation
