"""Declare what the commands of match need from the incident store; alert implements it.

`assess` asks whether a finding was known before and which incident it became. `fraud-cases import`
reports fraud cases, and `source` reads them. Stages never import one another, so alert's
implementation is found by entry point (`ullage.incidents`, `ullage.fraud_cases`), like commands and
checks: `connect_incidents` and `connect_fraud_cases` return it. A store that cannot be reached
raises UllageError, and a verdict then says that incidents were not compared.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection
from contextlib import AbstractContextManager
from datetime import date
from typing import Any, NamedTuple, Protocol

from ullage.errors import ConfigError
from ullage.records import Finding
from ullage.settings import Context
from ullage.vocabulary.fields import FieldLabel

GROUP, CASES = "ullage.incidents", "ullage.fraud_cases"


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
    opened: AbstractContextManager[Incidents] = _load_part(GROUP)(context, to_open=to_open)
    return opened


class ReportedCase(NamedTuple):
    """A fraud case of one customer, by pseudonym, that names no incident.

    `outcome` is loss, prevented or none; `scam` the id of a scenario, "" if unknown; `known_fields`
    what the caller knew; `band` the id of an amount's range, "" if unknown.
    """

    subject: str
    first_contact: date
    outcome: str = "loss"
    scam: str = ""
    known_fields: tuple[FieldLabel, ...] = ()
    band: str = ""


class ReportedCases(Protocol):
    """The fraud cases of this machine's configuration."""

    def record(self, tenant: str, case: ReportedCase) -> bool:
        """Store a case, and return whether it says anything new.

        Raises RecordError, whose message repeats no cell, if the case is refused.
        """

    def list_cases(self, tenant: str) -> list[ReportedCase]:
        """Return the last report of each customer, in the order of their first reports.

        Cases that turned out to be no fraud, or that name an incident, are left out.
        """


def connect_fraud_cases(
    context: Context, *, to_record: bool = False, by: str = ""
) -> AbstractContextManager[ReportedCases]:
    """Return the fraud cases as a context; entering raises UllageError if they are unreachable.

    `by` is the account that acts; it needs the permission to report fraud cases where some are
    `to_record`, else to view incidents.
    """
    opened: AbstractContextManager[ReportedCases] = _load_part(CASES)(
        context, to_record=to_record, by=by
    )
    return opened


def _load_part(group: str) -> Any:
    """Return what alert registered under an entry-point group.

    Raises ConfigError if alert is not installed, or not completely.
    """
    for entry in importlib.metadata.entry_points(group=group):
        try:
            return entry.load()
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"alert is not completely installed here ({error.name} is missing):"
                " install ullage[alert]"
            ) from None
    raise ConfigError(
        "the part alert is not installed on this machine: pip install 'ullage[alert]'"
    )
