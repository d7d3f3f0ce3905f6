"""Generate references from the code: every setting, and every field of the records.

In a page that people write, the generated text is between a line `<!-- generated: NAME -->` and
the next `<!-- end -->`; NAME says which text it is.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from alerts.web.problems import CODES, MEMBER_CODES
from crawlers.collectors.channel import ChatChannel
from crawlers.sites.site import Site
from deploy.documents.metrics import with_metrics
from ullage.records import Capture
from ullage.settings import Settings

METRICS = "metrics.md"
"""A page whose rows are generated; people write its tables and the text between them."""
DOCS = Path(__file__).parents[2] / "docs"
PART = re.compile(r"(<!-- generated: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
RANGES = {"minimum": "≥", "maximum": "≤", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}
LENGTHS = {"maxLength": "characters", "maxItems": "of them"}
NAMED = {
    "boolean": "true or false",
    "integer": "integer",
    "number": "number",
    "string": "text",
    "null": "null",
}
FORMATS = {
    "date-time": "time with zone (ISO 8601)",
    "date": "day (ISO 8601)",
    "binary": "bytes",
    "path": "path",
}
Schema = Mapping[str, Any]
MANY = 10
"""From this number of values on, they are listed only in the text of the page."""


def renewed(name: str, text: str) -> str:
    """Return the text of the page `name` with its generated parts made anew from the code."""
    if name == METRICS:
        return with_metrics(text)
    return PART.sub(lambda part: f"{part[1]}\n{PAGES[name][part[2]]()}\n{part[3]}", text)


def settings() -> str:
    """Return every table of `ullage.toml` with its settings."""
    whole = Settings.model_json_schema()
    return "\n\n".join(_tables(whole["properties"], whole["$defs"], "", ""))


def site_file() -> str:
    """Return the settings of a site file."""
    return _knobs(Site, without={"name"})


def problems() -> str:
    """Return every problem code with its status, and every code of a member."""
    codes = ", ".join(f"`{code}` ({kind.status})" for code, kind in CODES.items())
    return f"Codes: {codes}. Codes of members: {', '.join(f'`{code}`' for code in MEMBER_CODES)}."


def channel_file() -> str:
    """Return the settings of a channel file."""
    return _knobs(ChatChannel, without={"name"})


def records() -> str:
    """Return the record that other programs may write, and the records in it."""
    return "\n\n".join(_record(model) for model in _with_parts(Capture))


PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "configuration.md": {
        "settings": settings,
        "site file": site_file,
        "channel file": channel_file,
    },
    "data-formats.md": {"records": records},
    "api.md": {"problems": problems},
}


def _tables(properties: Schema, models: Schema, path: str, says: str) -> Iterator[str]:
    """Yield the table at `path`, then the tables within it."""
    inner = {name: _table_of(field) for name, field in properties.items()}
    rows = [
        _row(name, field, str(field.get("description", "")))
        for name, field in properties.items()
        if not inner[name]
    ]
    heading = f"### `[{path}]`" if path else "### At the top"
    yield (
        _list([heading, "", *([says, ""] if says else [])], rows)
        if rows
        else f"{heading}\n\n{says}"
    )
    for name, entry in inner.items():
        if entry:
            model, is_table = entry
            below = ".".join(filter(None, (path, name, "NAME" if is_table else "")))
            yield from _tables(
                models[model]["properties"],
                models,
                below,
                _sentence(models[model].get("description", "")),
            )


def _table_of(field: Schema) -> tuple[str, bool] | None:
    """Return the model of a field that is a table, and whether it is a table of tables.

    None for any other field.
    """
    for schema, is_table in ((field, False), (field.get("additionalProperties"), True)):
        if (
            isinstance(schema, dict)
            and "$ref" in schema
            and schema["$ref"].rpartition("/")[2] != "Option"
        ):
            return schema["$ref"].rpartition("/")[2], is_table
    return None


def _knobs(model: type[BaseModel], without: set[str]) -> str:
    schema, docstrings = model.model_json_schema(), _docstrings(model)
    fields = {name: field for name, field in schema["properties"].items() if name not in without}
    needed = schema.get("required", [])
    return _list(
        [],
        [
            _row(name, field, docstrings.get(name, ""), needed=name in needed)
            for name, field in fields.items()
        ],
    )


def _record(model: type[BaseModel]) -> str:
    """Return a record: fields with a description in a table, the others in one line."""
    schema, docstrings = model.model_json_schema(), _docstrings(model)
    fields = {
        name: f"{_kind(field)}{', required' if name in schema.get('required', ()) else ''}"
        for name, field in schema["properties"].items()
    }
    rows = [
        f"| `{name}` | {kind} | {_cell(docstrings[name])} |"
        for name, kind in fields.items()
        if docstrings.get(name)
    ]
    plain = ", ".join(
        f"`{name}` ({kind})" for name, kind in fields.items() if not docstrings.get(name)
    )
    table = ["", "| field | is | meaning |", "| --- | --- | --- |", *rows] if rows else []
    return "\n".join(
        (
            f"### {model.__name__}",
            "",
            _sentence(inspect.getdoc(model) or ""),
            "",
            f"Fields: {plain}.",
            *table,
        )
    )


def _with_parts(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return `model` and the models in it, without repeats and the outermost first."""
    models = {submodel.__name__: submodel for submodel in _below(model)}
    return [model, *(models[name] for name in model.model_json_schema().get("$defs", {}))]


def _below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for field in model.model_fields.values():
        waiting = [field.annotation]
        while waiting:
            kind = waiting.pop()
            waiting.extend(getattr(kind, "__args__", ()))
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield kind
                yield from _below(kind)


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring below each field in the code, by field.

    A field without one is left out.
    """
    [node] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(node, ast.ClassDef)
    docstrings = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
        ):
            assert isinstance(below.value, ast.Constant)
            docstrings[field.target.id] = str(below.value.value)
    return docstrings


def _list(before: list[str], rows: list[str]) -> str:
    return "\n".join((*before, *rows))


def _row(name: str, field: Schema, says: str, *, needed: bool = False) -> str:
    default = "required" if needed else f"`{json.dumps(field.get('default'), ensure_ascii=False)}`"
    shown = "" if field.get("default", needed) in ("", [], {}, ()) else f" ({default})"
    return f"- `{name}`{shown}: {' '.join(says.split())}{_describe_valid_values(field, says)}"


def _describe_valid_values(field: Schema, says: str) -> str:
    """Return the valid values of a setting, where neither its name nor its default shows them."""
    trivial = {"minimum": {0, 1}, "exclusiveMinimum": {0}, "maximum": {65535}}
    constraints = {
        name: value
        for name, value in field.items()
        if name not in trivial or value not in trivial[name]
    }
    constraint_text = (
        _kind(field)
        if "enum" in field and len(field["enum"]) < MANY
        else _limits(constraints).removeprefix(", ")
    )
    return (
        f" ({constraint_text})"
        if constraint_text
        and not all(str(option) in says for option in field.get("enum", [says + "."]))
        else ""
    )


def _kind(field: Schema) -> str:
    """Describe the type of a field's values in Markdown, with its limits.

    "any" if the type is not known.
    """
    if "anyOf" in field:
        return " or ".join(_kind(choice) for choice in field["anyOf"])
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    if "const" in field or "enum" in field:
        return ", ".join(
            f"`{json.dumps(choice)}`" for choice in field.get("enum", [field.get("const")])
        )
    if field.get("type") == "array":
        return (
            f"list of {_kind(field['items'])}{_limits(field)}"
            if "items" in field
            else f"pair of {_pair(field)}"
        )
    if field.get("type") == "object":
        return f"table of {_kind(field['additionalProperties'])}"
    return FORMATS.get(field.get("format", ""), NAMED.get(field.get("type", ""), "any")) + _limits(
        field
    )


def _pair(field: Schema) -> str:
    return ", ".join(_kind(one) for one in field["prefixItems"])


def _limits(field: Schema) -> str:
    """Return the range of a value or its longest length; "" for no limit."""
    ranges = [f"{sign} {field[name]:g}" for name, sign in RANGES.items() if name in field]
    lengths = [f"at most {field[name]:,} {what}" for name, what in LENGTHS.items() if name in field]
    fits = [f"as `{field['pattern']}`".replace("|", "\\|")] if "pattern" in field else []
    return "".join(f", {limit}" for limit in (*ranges, *lengths, *fits))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _sentence(text: str) -> str:
    """Return a docstring as one line of text.

    It is empty where the docstring only refers to its module.
    """
    return _cell(text.replace("See the module.", ""))
