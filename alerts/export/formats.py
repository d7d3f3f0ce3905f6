"""The formats by name. Each is a module whose libraries are loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from alerts.export.facts import Exported
from alerts.store import QueryError
from ullage.errors import ConfigError


class Writer(Protocol):
    """What the module of a format offers."""

    def write(self, incidents: Iterable[Exported]) -> Iterator[str]:
        """The export in pieces."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format: where it is written, what its answer is called, what a file of it ends in."""

    module: str
    media: str
    ending: str

    def write(self, incidents: Iterable[Exported]) -> Iterator[str]:
        """The export in pieces; ConfigError says what to install where a library is missing."""
        try:
            writer = cast("Writer", import_module(self.module))
        except ModuleNotFoundError as error:
            raise ConfigError(f"this format needs {error.name}: install ullage[export]") from None
        yield from writer.write(incidents)


FORMATS = {
    "csv": Format("alerts.export.spreadsheet", "text/csv; charset=utf-8", "csv"),
    "ecs": Format("alerts.export.ecs", "application/x-ndjson", "jsonl"),
    "misp": Format("alerts.export.misp", "application/json", "json"),
    "stix": Format("alerts.export.stix", "application/stix+json;version=2.1", "json"),
}


def format_named(name: str) -> Format:
    """The format of that name; QueryError lists them."""
    if name not in FORMATS:
        raise QueryError(f"there is no such format: use {', '.join(FORMATS)}")
    return FORMATS[name]
