"""Formats of exports, one file each. A file registers by being here; its name is the format's.

It has `MEDIA`, the media type of an answer over HTTP, `ENDING`, that of a file, and `write`. Its libraries are imported when the
format is asked for and not before. What every format must do is in `tests/alerts/test_export.py`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Protocol, cast

from alerts.export.facts import ExportedIncident
from alerts.store import QueryError
from ullage.errors import ConfigError
from ullage.phrase import Phrase


class ExportFormat(Protocol):
    """What the module of a format offers."""

    MEDIA: str
    ENDING: str

    def write(self, incidents: Iterable[ExportedIncident]) -> Iterator[str]:
        """The export in pieces."""


def names() -> tuple[str, ...]:
    """The formats that there are, in alphabetical order; none is imported."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def format_named(name: str) -> ExportFormat:
    """The format of that name; QueryError lists them, ConfigError says what to install where a library is missing."""
    if name not in names():
        raise QueryError(Phrase("unknown format: use %(known)s", known=", ".join(names())))
    try:
        return cast("ExportFormat", import_module(f"{__name__}.{name}"))
    except ModuleNotFoundError as error:
        raise ConfigError(f"this format needs {error.name}: install ullage[export]") from None
