"""Load what the installed stages register under an entry-point group, such as their checks or
erasures.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import Any

from ullage.errors import ConfigError

OWN = ("ullage", "crawlers", "matcher", "alerts", "deploy")


def registered(group: str) -> Iterator[tuple[str, Any]]:
    """Name and object of each entry of `group`, by name; without stages whose extra is not
    installed.

    ConfigError where a module of ullage itself is missing: then the installation is older than the
    code, and what it would have looked at was not looked at.
    """
    for entry in sorted(importlib.metadata.entry_points(group=group), key=lambda entry: entry.name):
        try:
            loaded = entry.load()
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] in OWN:
                raise _damaged(entry) from None
        except AttributeError:
            raise _damaged(entry) from None
        else:
            yield entry.name, loaded


def _damaged(entry: importlib.metadata.EntryPoint) -> ConfigError:
    return ConfigError(
        f"{entry.value} ({entry.group}) is not part of this version: install ullage again"
    )
