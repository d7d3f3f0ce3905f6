"""What `assess` asks of incidents, and alert answers: was this known before, and which incident
came of it?

Stages never import one another, so alert's part is found by entry point (`ullage.incidents`), as
commands and checks are.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ullage.errors import ConfigError
from ullage.records import Finding
from ullage.settings import Context

GROUP = "ullage.incidents"


class IncidentHistory(NamedTuple):
    """What the store knows of a finding that is not in it.

    `share`, 0 to 1, of its customers stood with the same fields in `incident` or others before, ""
    where none did; `joins` is the open incident that it would be folded into, "" for a new one. It
    was compared with `compared` incidents. `acknowledged` is whether a person acknowledged
    `incident`.
    """

    share: float = 0.0
    incident: str = ""
    joins: str = ""
    compared: int = 0
    acknowledged: bool = False


class IncidentReference(NamedTuple):
    """What became of a finding: the incident it is in, `is_new` if it opened that; or why there
    is none, in words.
    """

    incident: str = ""
    is_new: bool = False
    severity: str = ""
    why_not: str = ""


class Incidents(Protocol):
    """The incidents of this machine's configuration."""

    def earlier(self, finding: Finding) -> IncidentHistory:
        """What is known of it; nothing is written. The first part of a long finding is enough."""

    def folded(self, findings: Collection[str], seconds: float) -> dict[str, IncidentReference]:
        """What became of the findings with these ids, which are on the bus: waits at most `seconds`
        for whoever folds them.

        On one machine where nobody does, it folds itself. Each id is answered, also where nothing
        came of it yet.
        """


def incidents(context: Context, *, to_open: bool = False) -> AbstractContextManager[Incidents]:
    """The incidents; entering raises UllageError where they cannot be reached, which says why.

    A store that is not there yet is made only where something is `to_open`.
    """
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            part = entry.load()
        except ModuleNotFoundError as error:
            raise ConfigError(f"alert's part is not whole here: it lacks {error.name}") from None
        found: AbstractContextManager[Incidents] = part(context, to_open=to_open)
        return found
    raise ConfigError("alert is not installed here (no entry point `ullage.incidents`)")
