"""Read settings from the environment: `ULLAGE_MATCH__BATCH=100` is `batch` in the table `[match]`.

Lists and tables are written as JSON: `ULLAGE_TENANTS__BANK__DOMAINS='["bank.example"]'`. A variable
whose first word is no setting belongs to another program.
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


def to_variable(place: str) -> str:
    """Return the environment variable of a setting.

    >>> to_variable("match.batch")
    'ULLAGE_MATCH__BATCH'
    """
    return PREFIX + place.replace(".", WITHIN).upper()


def read_environment(model: type[BaseModel], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of `model` that `variables` set, as nested tables.

    A variable that belongs to no setting is ignored. Raises ConfigError, which names the variable,
    if a value cannot be read or two variables contradict.
    """
    settings = dict[str, Any]()
    for variable in sorted(variables):
        path = variable.lower().removeprefix(PREFIX.lower()).split(WITHIN)
        if not variable.upper().startswith(PREFIX) or path[0] not in model.model_fields:
            continue
        *outer, name = path
        place = settings
        for table in outer:
            place = place.setdefault(table, {})
            if not isinstance(place, dict):
                raise ConfigError(
                    f"{variable}: another variable sets the whole of {table}: unset one of the two"
                )
        place[name] = _parse_value(variable, variables[variable], _find_type(model, path))
    return settings


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return a new table with the values of `below`, overridden by those of `above`.

    Tables that are in both are merged in turn.

    >>> merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    common = {
        name: merge(below[name], value)
        for name, value in above.items()
        if isinstance(value, dict) and isinstance(below.get(name), dict)
    }
    return {**below, **above, **common}


def _parse_value(variable: str, text: str, annotation: object) -> Any:
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    if not is_model and typing.get_origin(annotation) not in MANY:
        return text
    try:
        return read_json(text)
    except ValueError:
        raise ConfigError(f"{variable}: write a list or a table as JSON") from None


def _find_type(model: type[BaseModel], path: Sequence[str]) -> object:
    """Return the type of the setting at `path` below `model`.

    Returns str if there is no such setting, which the model then rejects.
    """
    annotation: object = model
    for name in path:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(name)
            annotation = _strip_type(field.annotation) if field else str
        else:
            annotation = (
                _strip_type(typing.get_args(annotation)[-1])
                if typing.get_origin(annotation) is dict
                else str
            )
    return annotation


def _strip_type(annotation: object) -> object:
    """Return a type without its bounds and without None."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _strip_type(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return _strip_type(
            next(part for part in typing.get_args(annotation) if part is not types.NoneType)
        )
    return annotation
