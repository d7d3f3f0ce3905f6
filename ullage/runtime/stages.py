"""Load what installed stages register under an entry-point group, such as checks or erasures."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import Any

from ullage.errors import ConfigError

OWN = ("ullage", "crawlers", "matcher", "alerts", "deploy")


def load_entries(group: str) -> Iterator[tuple[str, Any]]:
    """Yield name and object of each entry of `group`; skips stages whose extra is not installed.

    Raises ConfigError if a module of ullage itself is missing: the installation is then older
    than the code, and would skip work silently.
    """
    for entry in sorted(importlib.metadata.entry_points(group=group), key=lambda entry: entry.name):
        try:
            loaded = entry.load()
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] in OWN:
                raise _make_damage_error(entry) from None
        except AttributeError:
            raise _make_damage_error(entry) from None
        else:
            yield entry.name, loaded


def _make_damage_error(entry: importlib.metadata.EntryPoint) -> ConfigError:
    return ConfigError(
        f"{entry.value} ({entry.group}) is not part of this version: install ullage again"
    )
