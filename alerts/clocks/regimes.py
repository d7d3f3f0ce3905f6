"""Rules of notification as data: `regimes.toml`, read into frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from pydantic import Field, field_validator

from alerts.clocks.deadline import Period
from alerts.records import SEVERITIES, Incident, Severity
from alerts.records.document import Frozen
from ullage.errors import ConfigError
from ullage.files.faults import quoted
from ullage.files.rulefiles import shipped
from ullage.settings import Tenant

Since = Literal["first_seen", "alerted", "acknowledged", "learned", "determined", "resolved"]
StageId = Literal["brief", "first", "written", "final"]


class Conditions(Frozen):
    """When a regime applies: all that are named must hold. None that is named holds of every leak whose clock starts."""

    people_from: int = 0
    severity_from: Severity = "noise"
    critical_infrastructure: bool | None = None

    def hold(self, incident: Incident, tenant: Tenant) -> bool:
        """Whether `incident` of `tenant` is large and grave enough; whether its clock starts at all is asked apart."""
        return (
            incident.customers >= self.people_from
            and SEVERITIES.index(incident.severity) >= SEVERITIES.index(self.severity_from)
            and self.critical_infrastructure in (None, tenant.is_cii)
        )


class Stage(Frozen):
    """One report that a regime asks for. Where the period is `ours`, the rule names none and `says` has its words."""

    id: StageId
    since: Since = Field(alias="from")
    due: Period
    ours: bool = False
    says: str = ""
    says_zh: str = ""

    @field_validator("due", mode="before")
    @classmethod
    def _period(cls, text: Any) -> Period:
        return Period.read(text)


class Regime(Frozen):
    """A rule of notification; `verified` is whether its own text was read."""

    id: str
    title: str
    title_zh: str
    to: str
    to_zh: str
    updates: str
    updates_zh: str
    source: str
    verified: bool
    applies_if: Conditions = Conditions()
    stages: tuple[Stage, ...] = Field(alias="stage", min_length=1)


class Grade(Frozen):
    """A grade of CAC's measures by the number of people."""

    people_from: int
    title: str
    title_zh: str


class _File(Frozen):
    regime: tuple[Regime, ...]
    grade: tuple[Grade, ...]


@cache
def _file() -> _File:
    return shipped(_File, "alerts.clocks", "regimes.toml")


def regimes() -> dict[str, Regime]:
    """Every regime by id."""
    return {regime.id: regime for regime in _file().regime}


def grade_of(people: int) -> Grade:
    """The grade of a leak of so many people, by CAC's annex; the other limbs of a grade are a person's to judge."""
    return next(grade for grade in _file().grade if people >= grade.people_from)


def regimes_of(name: str, tenant: Tenant) -> tuple[Regime, ...]:
    """Those that a tenant is under; ConfigError names the one that is not known."""
    known = regimes()
    if unknown := [id_ for id_ in tenant.regimes if id_ not in known]:
        raise ConfigError(f"tenants.{name}.regimes: there is no regime {quoted(unknown[0])}: use {', '.join(known)}")
    return tuple(known[id_] for id_ in tenant.regimes)


def check_regimes(tenants: Mapping[str, Tenant]) -> None:
    """ConfigError when a tenant names a regime that is not known."""
    for name, tenant in tenants.items():
        regimes_of(name, tenant)
