"""Read the rules that require reports of a leak, and compute until when a report is due.

A *regime* is one such rule, as of a law or a supervisor: when it applies, whom to report to, and
its *stages*, each of which is one report with a period. They are data (`regimes.toml`); `regimes()`
returns them, and a tenant's settings name those that bind it.

    stage first: due "24 h" from "learned"       moment + 24 hours
    stage written: due "5 working days" from …   24:00 of the fifth working day after it

A leak starts several deadlines, each from its own moment: when somebody learned of it, when a
person confirmed it, when the handling ended. A score never starts one: the row of the severity
table must say `run`, or a person must have confirmed the leak. Where the row says `if confirmed`
and nobody has decided, deadlines are shown as conditional, because the time until somebody decides
counts already.

Hours are counted from the moment on, in absolute time: a change to or from daylight saving neither
adds nor takes one. Days are counted from the next day on and end at 24:00 of the last (民法典 201,
203), in the tenant's zone. A last day that is a holiday is not moved, as the code would allow: the
earlier answer is the safe one. All times are returned in UTC.

A report is a legal record: when it was sent, by which channel and under which reference never
changes. A correction is a second entry for the same report, with a note that says what was wrong,
and from then on it counts instead of the first. What people type about a report is checked by
`validate_…` and `parse_sent_at`, which raise QueryError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import cache
from typing import Any, Literal

from pydantic import Field, field_validator

from alerts.records import SEVERITIES, Decision, Incident, Severity
from alerts.records.document import Frozen, QueryError
from alerts.records.typed_time import parse_typed_time
from ullage.calendar import Calendar
from ullage.errors import ConfigError
from ullage.files.rule_files import load_shipped
from ullage.files.validation import quote_word
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase, mark_for_translation
from ullage.settings import Tenant


class Unit(StrEnum):
    """What a rule counts in."""

    MINUTES = "min"
    HOURS = "h"
    DAYS = "days"
    WORKING_DAYS = "working days"
    SAME_DAY = "same day"


RULE = re.compile(
    r"(?:(?P<amount>[1-9][0-9]{0,3}) (?P<unit>min|h|days|working days)|(?P<today>same day))"
)
SOONEST = timedelta(minutes=5)
UNITS_ZH = {
    Unit.MINUTES: "分钟",
    Unit.HOURS: "小时",
    Unit.DAYS: "日",
    Unit.WORKING_DAYS: "个工作日",
}


@dataclass(frozen=True, slots=True)
class Period:
    """A period as a rule states it; `amount` is 0 for the same day."""

    amount: int
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Period:
        """Parse `"30 min"`, `"4 h"`, `"30 days"`, `"5 working days"` or `"same day"`.

        Raises ValueError for anything else.
        """
        match = RULE.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{quote_word(text)} is no period: use '30 min', '4 h', '30 days', '5 working days'"
                " or 'same day'"
            )
        return (
            cls(0, Unit.SAME_DAY)
            if match["today"]
            else cls(int(match["amount"]), Unit(match["unit"]))
        )

    def __str__(self) -> str:
        return "the same day" if self.unit is Unit.SAME_DAY else f"{self.amount} {self.unit}"

    def in_chinese(self) -> str:
        """Return the period in Chinese, such as `4小时` or `5个工作日`; `当日` for the same day."""
        return "当日" if self.unit is Unit.SAME_DAY else f"{self.amount}{UNITS_ZH[self.unit]}"


@dataclass(frozen=True, slots=True)
class Deadline:
    """When something is due, in UTC.

    The years in `unknown_years` had no calendar: all their days were counted as working days.
    """

    at: datetime
    unknown_years: tuple[int, ...] = ()


def acknowledgement_period(time_left: timedelta) -> timedelta:
    """Return how long people have to acknowledge an incident whose next deadline is in `time_left`.

    The result is half of that time, but at least five minutes, even if the deadline has passed.
    """
    return max(SOONEST, time_left / 2)


def compute_deadline(start: datetime, within: Period, zone: tzinfo, calendar: Calendar) -> Deadline:
    """Return when the period `within` ends that begins at the aware moment `start`.

    Minutes and hours are added to `start` as absolute time. Days are counted in `zone` from the day
    after `start`, and the deadline is 23:59:59 of the last one; for "same day" it is 23:59:59 of
    the day of `start`. `calendar` says which days are working days. The result is in UTC. It names
    the years of counted working days that the calendar does not cover.
    """
    if within.unit in (Unit.MINUTES, Unit.HOURS):
        seconds = within.amount * (60 if within.unit is Unit.MINUTES else 3600)
        return Deadline(start.astimezone(UTC) + timedelta(seconds=seconds))
    first = start.astimezone(zone).date()
    if within.unit is not Unit.WORKING_DAYS:
        return Deadline(_end_of(first + timedelta(days=within.amount), zone))
    last = calendar.add_working_days(first, within.amount)
    return Deadline(
        _end_of(last, zone), calendar.list_unknown_years(first + timedelta(days=1), last)
    )


def _end_of(day: date, zone: tzinfo) -> datetime:
    """Return the last second of `day` in UTC; it stands for 24:00 and still has the day's date."""
    following = datetime.combine(day + timedelta(days=1), time(), zone)
    return following.astimezone(UTC) - timedelta(seconds=1)


Since = Literal["first_seen", "alerted", "acknowledged", "learned", "determined", "resolved"]
StageId = Literal["brief", "first", "written", "final"]


class Conditions(Frozen):
    """The conditions under which a regime applies: all of them must be met.

    A regime without conditions applies to every leak whose deadlines start.
    """

    people_from: int = 0
    severity_from: Severity = "noise"
    critical_infrastructure: bool | None = None

    def find_met(self, incident: Incident, tenant: Tenant) -> tuple[str, ...]:
        """Return the names of the conditions that `incident` of `tenant` meets; () for none.

        The names are those of the fields, in their order. A condition that the regime does not set
        is met by every incident.
        """
        holds = {
            "people_from": incident.customers >= self.people_from,
            "severity_from": (
                SEVERITIES.index(incident.severity) >= SEVERITIES.index(self.severity_from)
            ),
            "critical_infrastructure": self.critical_infrastructure in (None, tenant.is_cii),
        }
        return tuple(name for name, is_met in holds.items() if is_met)

    def hold(self, incident: Incident, tenant: Tenant) -> bool:
        """Return whether `incident` of `tenant` meets all conditions.

        Whether the incident starts deadlines at all is a separate question.
        """
        return len(self.find_met(incident, tenant)) == len(type(self).model_fields)


class Stage(Frozen):
    """One report that a regime requires.

    If the period is `ours`, the rule states none, and `says` quotes its words.
    """

    id: StageId
    since: Since = Field(alias="from")
    due: Period
    ours: bool = False
    says: str = ""
    says_zh: str = ""

    @field_validator("due", mode="before")
    @classmethod
    def _period(cls, text: Any) -> Period:
        return Period.parse(text)


class Regime(Frozen):
    """A rule of notification, with the reports that it requires (`stages`) in their order.

    `verified` says whether somebody read the text of the rule itself. `to` is the receiver of the
    reports.
    """

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
    return load_shipped(_File, "alerts.deadlines", "regimes.toml")


def regimes() -> dict[str, Regime]:
    """Return all regimes of the shipped `regimes.toml` by id, in the order of the file."""
    return {regime.id: regime for regime in _file().regime}


def find_grade(people: int) -> Grade:
    """Return the grade of a leak that affects `people` people, by the annex of CAC's measures.

    It is the first grade of `regimes.toml` whose `people_from` is not above `people`; the file
    lists the highest grade first. The other criteria of a grade are for a person to judge.
    """
    return next(grade for grade in _file().grade if people >= grade.people_from)


def get_tenant_regimes(name: str, tenant: Tenant) -> tuple[Regime, ...]:
    """Return the regimes of the tenant `name`, in the order of its settings.

    Raises ConfigError if one does not exist.
    """
    by_id = regimes()
    if unknown := [id_ for id_ in tenant.regimes if id_ not in by_id]:
        raise ConfigError(
            f"tenants.{name}.regimes: unknown regime {quote_word(unknown[0])}:"
            f" use {', '.join(by_id)}"
        )
    return tuple(by_id[id_] for id_ in tenant.regimes)


def check_regimes(tenants: Mapping[str, Tenant]) -> None:
    """Raise ConfigError if a tenant names a regime that does not exist."""
    for name, tenant in tenants.items():
        get_tenant_regimes(name, tenant)


MAX_REFERENCE = 64
CHANNELS: Mapping[str, tuple[str, str]] = {
    "portal": (mark_for_translation("the authority's portal"), "监管报送系统"),
    "email": (mark_for_translation("email"), "电子邮件"),
    "phone": (mark_for_translation("telephone"), "电话"),
    "fax": (mark_for_translation("fax"), "传真"),
    "letter": (mark_for_translation("letter"), "书面函件"),
    "person": (mark_for_translation("in person"), "当面"),
}
"""How a report may have been sent, in English and Chinese."""


def get_sent_at(report: Decision) -> datetime:
    """Return when a report was sent, or, if no such time was recorded, when it was recorded."""
    return report.sent_at or report.at


def parse_sent_at(typed: str, zone: tzinfo, now: datetime) -> datetime | None:
    """Parse the time of a report that somebody typed; return None if nothing was typed.

    For the formats, see `alerts.records.typed_time`; without a zone of its own the time is in
    `zone`. The result has the time zone of `now`. Raises QueryError if the text is not a time or
    the time is later than `now`.
    """
    if not typed.strip():
        return None
    aware = parse_typed_time(typed, now, zone)
    if aware is None:
        raise QueryError("the time of the report is not valid: use 2026-11-25T14:30", "sent_at")
    if aware > now:
        raise QueryError(
            "the time of the report is in the future: record a report when it is sent", "sent_at"
        )
    return aware


def validate_channel(channel: str) -> str:
    """Return `channel` if it is empty or a key of `CHANNELS`; raise QueryError otherwise."""
    if channel and channel not in CHANNELS:
        raise QueryError(
            Phrase("a report's channel must be one of %(known)s", known=", ".join(CHANNELS)),
            "channel",
        )
    return channel


def validate_reference(reference: str, field: str = "reference") -> str:
    """Return the authority's reference of a report without surrounding spaces; it may be empty.

    Raises QueryError if it has more than 64 characters, the surrounding spaces included, or looks
    like a personal identifier. A long number alone is allowed. `field` is named by the error.
    """
    if len(reference) > MAX_REFERENCE or identifier_in(reference, numbers=False):
        raise QueryError(
            Phrase(
                "a reference must have at most %(most)s characters and must not be a phone number,"
                " ID or card",
                most=MAX_REFERENCE,
            ),
            field,
        )
    return reference.strip()


def find_report(regime: Regime, stage: Stage, decisions: Iterable[Decision]) -> Decision | None:
    """Return the report that meets `stage` of `regime`; None if there is none.

    `decisions` are reports and rulings: each has a regime, or the status `reported`. Of several for
    the same incident, regime and stage only the latest counts, because it corrects the earlier
    ones. `stage` is met by a report of this or a later stage of `regime`, and, unless it is
    `final`, by a decision `reported` without a regime. Of those that meet it, the one that was sent
    first is returned.
    """
    recorded = {
        (decision.incident, decision.regime, decision.stage): decision
        for decision in sorted(decisions, key=lambda decision: (decision.at, decision.id))
    }
    order = [decision.id for decision in regime.stages]
    later = set(order[order.index(stage.id) :])
    meeting = [
        decision
        for decision in recorded.values()
        if (decision.regime == regime.id and decision.stage in later)
        or (decision.status == "reported" and not decision.regime and stage.id != "final")
    ]
    return min(
        meeting,
        key=lambda decision: (get_sent_at(decision), decision.stage != stage.id, decision.id),
        default=None,
    )
