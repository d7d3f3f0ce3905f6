"""Declare what `assess` needs from the incident store; alert implements it.

`assess` asks whether a finding was known before and which incident it became. Stages never import
one another, so alert's implementation is found by entry point (`ullage.incidents`), like commands
and checks: `connect_incidents` returns it. A store that cannot be reached raises UllageError, and
the verdict then says that incidents were not compared.
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
    """What the store knows about a finding that is not in it yet.

    `share`, 0 to 1, of its customers appeared with the same fields before, in `incident` among
    others ("" if none did). `joins` is the open incident that the finding would be grouped into, ""
    for a new one. It was compared with `compared` incidents. `acknowledged` tells whether a person
    acknowledged `incident`.
    """

    share: float = 0.0
    incident: str = ""
    joins: str = ""
    compared: int = 0
    acknowledged: bool = False


class IncidentReference(NamedTuple):
    """The incident of a finding; `is_new` if the finding opened it.

    Where there is none, `why_not` says why.
    """

    incident: str = ""
    is_new: bool = False
    severity: str = ""
    why_not: str = ""


class Incidents(Protocol):
    """The incidents of this machine's configuration."""

    def find_history(self, finding: Finding) -> IncidentHistory:
        """Return the history of a finding without writing anything.

        The first part of a long finding is enough.
        """

    def wait_until_grouped(
        self, findings: Collection[str], seconds: float
    ) -> dict[str, IncidentReference]:
        """Return the incident of each finding id, after at most `seconds`.

        The findings are on the bus. Waits for the process that groups them; on a machine
        where no such process runs, groups them itself. Every id is answered, even where no
        incident exists yet.
        """


def connect_incidents(
    context: Context, *, to_open: bool = False
) -> AbstractContextManager[Incidents]:
    """Return the incidents as a context; entering raises UllageError if they are unreachable.

    A missing store is created only if something is `to_open`. Raises ConfigError if alert is not
    installed.
    """
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            part = entry.load()
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"alert is not completely installed here ({error.name} is missing):"
                " install ullage[alert]"
            ) from None
        opened: AbstractContextManager[Incidents] = part(context, to_open=to_open)
        return opened
    raise ConfigError(
        "the part alert is not installed on this machine: pip install 'ullage[alert]'"
    )
