"""An incident, the customers in it, its work item, and the records of its deadlines."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Literal

from pydantic import Field

from alerts.records.document import SEVERITIES, Document, Frozen, Sketched, Status
from ullage.records import Claims
from ullage.records.base import MaybeMoment
from ullage.verdict.next_step import NextStep, StepConditions, next_step
from ullage.verdict.rules import ClockWord, Origin, Recipient, Severity
from ullage.verdict.severity import decide_minutes

PART = "part"
UNREAD = "N"
"""Code of the reason for content that was not readable."""


class IncidentReason(Frozen):
    """One line of an explanation, as `ullage.verdict.Reason`."""

    code: str
    points: int
    evidence: str
    evidence_zh: str
    """The evidence in Chinese."""


class Incident(Document):
    """A group of sightings that people work on together.

    Everything except `sketch` and `frozen_at` follows from its sightings and exposures.
    """

    columns = ("tenant", "severity", "origin", "scenario")
    sets = ("kinds", "sites", "terms", "brands", "series", "folded")
    time = "opened_at"
    searchable = True
    brief = ("publish_seconds", "incomplete")

    tenant: str
    opened_by: str
    opened_at: datetime
    updated_at: datetime
    first_seen: datetime
    last_seen: datetime
    published_at: MaybeMoment
    publish_seconds: float | None
    """Time from the publication of the post that opened it until it was opened."""
    severity: Severity
    row: int
    """The row of the severity table that applied."""
    notify: Recipient
    clock: ClockWord
    minutes: int
    """The consequences in that row: `notify`, `clock` and `minutes`.

    They say who is notified, which deadline starts, and within how many minutes a person must
    decide, if the deadline depends on a confirmation.
    """
    exposure: int
    reasons: tuple[IncidentReason, ...]
    scenario: str
    scenario_title: str
    scenario_title_zh: str
    unit: float
    origin: Origin
    origin_label: str = ""
    """For origin `partner`: the partner, as its honeytokens are labelled."""
    replay_of: str = ""
    """For origin `recycled`: the earlier incident with the same customers."""
    origin_p: float
    origin_reasons: tuple[IncidentReason, ...]
    customers: int
    """Exact number of distinct customers."""
    verified: int = 0
    """Number of these customers whose match cannot be chance."""
    agreeing: int = 0
    """Number of these customers who match in two or more fields of a row."""
    people_by_class: dict[str, int] = Field(default_factory=dict)
    """Customers by the highest class of their fields, A, B or C (法释〔2017〕10 art. 5)."""
    sensitive: int = 0
    """Customers with a field that PIPL 28 calls sensitive."""
    minors: int = 0
    """Customers under 14, as far as resident IDs show."""
    fields: tuple[str, ...] = ()
    rows: int
    sightings: int
    kinds: tuple[str, ...]
    sites: tuple[str, ...]
    terms: tuple[str, ...]
    """Known terms, by their name in the lexicon."""
    written: tuple[str, ...] = ()
    """The same terms as written in the posts."""
    brands: tuple[str, ...]
    titles: tuple[str, ...]
    authors: tuple[str, ...]
    skeleton: str
    alarm: bool
    incomplete: tuple[str, ...] = ()
    """Reasons why a capture was not searched or judged completely.

    If there are any, `customers` is a lower limit.
    """
    linked: tuple[str, ...]
    subjects: str
    sketch: tuple[str, ...]
    sketch_of: Sketched
    sections: tuple[str, ...] = ()
    """Configured lists in which it was posted."""
    claims: Claims = Claims()
    """The claims of its posts about their offer.

    These are the largest volume and size, the first price, and all kinds of contact and file.
    """
    newest_date: date | None = None
    """The newest date in any copy of the data."""
    joined: int = 0
    """Number of grouped posts of one seller; 0 for one post, or copies of one."""
    series: tuple[str, ...] = ()
    """The token of its seller, which links the seller's incidents; () if there is none."""
    part_of: str = ""
    """The incident of which this one is a part, or "".

    It becomes a part if a later post connects both, or if a person merges them.
    """
    part_since: MaybeMoment = None
    """When it became a part; earlier decisions on the other do not apply to it."""
    parts: tuple[str, ...] = ()
    """Its parts: it is judged and counted together with them."""
    apart: tuple[str, ...] = ()
    """Incidents from which a person detached this one.

    Copies of its content no longer join them.
    """
    gone: int = 0
    """Number of its sightings whose posts have been removed."""
    gone_at: datetime | None = None
    """Since when all posts have been removed; None while one is online, as far as known."""
    back: int = 0
    """Number of its sightings whose posts had been removed and are online again."""
    frozen_at: datetime | None = None
    """When its first facts expired; since then its numbers are fixed and nothing joins it."""

    @property
    def folded(self) -> tuple[str, ...]:
        """Keys by which a search finds merged incidents: all, or those of one head.

        () if the incident is not merged into another one.
        """
        return (PART, self.part_of) if self.part_of else ()

    @property
    def family(self) -> tuple[str, ...]:
        """The ids of this incident and of the incidents merged into it, whose facts it counts."""
        return (self.id, *self.parts)

    @property
    def whose(self) -> str:
        """The origin for display: `ours`, `partner:LABEL`."""
        return f"{self.origin}:{self.origin_label}" if self.origin_label else self.origin

    @property
    def decide_minutes(self) -> int:
        """Minutes from the first notification within which a person must decide.

        It is 0 unless the reporting deadline depends on that decision.
        """
        return decide_minutes(self.severity, self.clock, self.minutes)

    @property
    def next_step(self) -> NextStep:
        """The recommended next step for a person, by leak source, severity and scenario."""
        unread = bool(self.incomplete) or any(why.code == UNREAD for why in self.reasons)
        conditions = StepConditions(
            people=self.customers > 0, alone=not self.agreeing, unread=unread
        )
        return next_step(self.origin, self.severity, self.scenario, conditions)

    @property
    def counted(self) -> str:
        """The number of customers for display: `1,234`, or `≥ 1,234` if not all was searched."""
        return f"≥ {self.customers:,}" if self.incomplete else f"{self.customers:,}"

    def words(self) -> Iterable[str]:
        """Return the texts for free-text search.

        They are the id, titles, authors' tokens, sites, lists, terms, brands and names of the
        scenario.
        """
        return (
            self.id,
            *self.titles,
            *self.authors,
            *self.sites,
            *self.sections,
            *self.terms,
            *self.written,
            *self.brands,
            self.scenario_title,
            self.scenario_title_zh,
        )


def incident_id(finding: str) -> str:
    """Return the id of the incident that `finding` opens: INC- and 10 characters.

    `finding` is the finding's id. The result is the same at every replay. A finding's id is already
    a keyed digest.
    """
    digest = hashlib.sha256(b"ullage incident\x1f" + finding.encode()).digest()
    return "INC-" + base64.b32encode(digest).decode()[:10]


TASK = "task"
NEVER = 2**52
"""Stands for no due date when sorting; it is exact in any JSON."""
TIER = 10**11
"""Larger than any Unix time in use."""


class WorkItem(Document):
    """The row of an incident in the queue.

    It follows entirely from the incident, its decisions and its notifications
    (`alerts.deadlines.schedule`). Its id is the incident's. The stage `part` means that another
    incident stands for it, `closed` that it is closed and no deadline runs.
    """

    columns = ("tenant", "stage", "status", "severity", "origin", "scenario", "assignee")
    sets = ("sites", "kinds", "series")
    orders = ("burns", "due", "grave", "exposure", "customers")
    time = "opened_at"
    broad = ("tenant", "stage", "status", "severity", "origin", "scenario", "assignee")
    tallied = (("stage", "severity", "tenant"), ("stage", "assignee", "tenant"))
    narrow = ("stage", "burns")
    searchable = True

    tenant: str
    opened_at: datetime
    stage: Literal["open", "closed", "part"]
    status: Status
    severity: Severity
    origin: Origin
    scenario: str
    sites: tuple[str, ...]
    kinds: tuple[str, ...]
    series: tuple[str, ...]
    exposure: int
    customers: int
    texts: tuple[str, ...] = ()
    """The text for free-text search."""
    assignee: str = ""
    due_at: datetime | None = None
    """When its next task or report is due; None if nothing is."""
    due_for: str = ""
    """What is due: `task` (set by a person), `decide`, or a regime and its stage."""
    is_sure: bool = False
    """Whether it counts as late after that time; not if the rule's text was not verified."""
    running: tuple[str, ...] = ()
    """Regime and stage of each running deadline."""

    @property
    def due(self) -> int:
        """The time at which something is due, in Unix seconds, or `NEVER`."""
        return round(self.due_at.timestamp()) if self.due_at else NEVER

    @property
    def grave(self) -> int:
        """The severity as a number, 0 for the lowest."""
        return SEVERITIES.index(self.severity)

    @property
    def burns(self) -> int:
        """The key by which the most urgent item sorts first.

        Items with a due date come first, soonest first; then the others by severity, oldest first
        among equals; then items that are not open.
        """
        if self.stage != "open":
            return 9 * TIER - round(self.opened_at.timestamp())
        if self.due_at:
            return self.due
        return (len(SEVERITIES) - self.grave) * TIER + round(self.opened_at.timestamp())

    def words(self) -> Iterable[str]:
        """Return the texts of the incident."""
        return self.texts

    def time_left(self, now: datetime) -> timedelta | None:
        """Return the time until something is due, negative if overdue; None without a due date."""
        return self.due_at - now if self.due_at else None


HEARD = "heard"
"""Stands for a stage: the incident must be acknowledged until its `due`.

This deadline follows from no regulation.
"""


def clock_of(tenant: str, which: str) -> str:
    """Return the key of a tenant's deadlines under a regime: `TENANT REGIME`, or `TENANT heard`."""
    return f"{tenant} {which}"


class DutyRecord(Document):
    """The state of one stage of one regime for one incident.

    It follows entirely from other records (`alerts.deadlines.schedule`). `since` and `due` are
    None while no due date is known. `verified` says whether somebody checked the text of the law.
    """

    columns = ("tenant", "incident", "runs", "counts")
    broad = ("tenant",)

    tenant: str
    incident: str
    regime: str
    """It is "" for `HEARD`."""
    stage: str
    state: Literal["running", "waiting", "conditional", "met", "waived"]
    opened_at: datetime
    """When the incident was opened."""
    since: datetime | None = None
    due: datetime | None = None
    verified: bool = False
    met_at: datetime | None = None
    late: bool = False
    """Whether it was met after it was due."""

    @property
    def at(self) -> datetime:
        """When the report is due, or, if no due date is known, when the incident was opened."""
        return self.due or self.opened_at

    @property
    def runs(self) -> str:
        """The key of the running deadline, by tenant and regime; "" if no deadline runs.

        With this key a search finds the next due date of a tenant and regime directly.
        """
        return clock_of(self.tenant, self.regime or self.stage) if self.state == "running" else ""

    @property
    def counts(self) -> Literal["", "kept", "late", "missed"]:
        """Whether the report counts as sent in time (`kept`), `late` or `missed` in statistics.

        A running duty is `missed` even before it is due: queries limit the due date. "" if no due
        date is known, no report is required, or the rule is not verified.
        """
        if self.due is None or not self.verified:
            return ""
        if self.state == "met":
            return "late" if self.late else "kept"
        return "missed" if self.state == "running" else ""


class DutiesKnown(Document):
    """The time up to which the duty records include all notifications and decisions.

    There is only one such document.
    """

    at: datetime
