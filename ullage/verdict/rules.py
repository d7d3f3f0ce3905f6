"""Define the rules of a verdict, which are data, and load them.

A verdict says how the customers in a leak can be cheated (`exposure`), how urgent that is
(`severity`) and whose leak it is (`origin`). The points, thresholds and rows by which it is judged
are in `rules.toml`, which explains each rule and its source; the models below mirror that file. An
organization may replace it by its own, so `VERDICT.load_current` reads what applies, and raises
ConfigError if it is invalid. Three numbers occur in many rules (`ullage.verdict.facts`): M, the
customers in the leak; V, those whose row agrees with our records in two or more fields; and U, the
index of 法释〔2017〕10: customers by class, nA/50 + nB/500 + nC/5000.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from ullage.files.rule_files import RuleKind, toml_reader
from ullage.vocabulary.fields import FieldLabel as Label
from ullage.vocabulary.fields import Shows

Share = Annotated[float, Field(ge=0, le=1)]
Severity = Literal["noise", "notice", "low", "medium", "high", "statutory"]
ORDER: tuple[Severity, ...] = get_args(Severity)
"""Severities, least first."""
Origin = Literal["ours", "partner", "devices", "elsewhere", "recycled", "fabricated", "unknown"]
Recipient = Literal[
    "nobody",
    "lead_dpo_counsel",
    "lead",
    "anti_fraud",
    "desk_now",
    "desk",
    "fraud_queue",
    "fraud_morning",
    "digest",
]
"""Who is notified.

The lead (with DPO and counsel) and anti-fraud by phone; the console at once or in its queue;
anti-fraud through its queue or in the morning; everything else in the daily digest.
"""
ClockWord = Literal["run", "if confirmed", "none"]
"""`run`: deadlines count and escalate.

`if confirmed`: they are shown as due if the incident is confirmed, and a person decides.
"""
Steps = tuple[tuple[float, int], ...]


class _Rules(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ScenarioConditions(_Rules):
    """One set of conditions under which a scenario is possible; see `rules.toml`."""

    points: int
    every: frozenset[Label] = Field(frozenset(), alias="all")
    some: frozenset[Label] = Field(frozenset(), alias="any")
    terms: frozenset[str] = frozenset()
    logins: bool = False
    """A login at the tenant's own sites, or an unexpired cookie of one."""
    brand: bool = False
    suspicion: bool = False
    """The post mentions reports on suspicious transactions."""

    def allows_fields(self, fields: frozenset[str]) -> bool:
        """Return whether a row with these field labels has what the scenario needs."""
        return self.every <= fields and (not self.some or bool(self.some & fields))


class Scenario(_Rules):
    """A way to cheat somebody, in words, and the conditions that allow it."""

    id: str
    title: str
    title_zh: str
    source: str
    ways: tuple[ScenarioConditions, ...]


class ExposureRules(_Rules):
    """Base points without a scenario, caps and floors."""

    offer: int
    unmatched_cap: int
    fabricated_cap: int
    grave_floor: int
    canary_floor: int


class Volume(_Rules):
    """Points by U, of the first step above it; by people for very large numbers."""

    steps: Steps
    beyond: int
    people: Steps


class Freshness(_Rules):
    """Points by age in days, of the first step that includes it."""

    steps: Steps
    older: int


class Spread(_Rules):
    """Points by sites, of the first step that they reach."""

    steps: Steps
    free: int


class Corroboration(_Rules):
    """Points for evidence that the rows are real."""

    share: Share
    points: int
    canary: int
    brand: int


class Modifier(_Rules):
    """Points for a kind of data, a term (`*`: any) or the age of people."""

    code: str
    points: int
    text: str
    text_zh: str = ""
    fields: frozenset[Label] = frozenset()
    terms: frozenset[str] = frozenset()
    minors: bool = False


class SeverityConditions(_Rules):
    """Conditions that must all hold; a missing one always holds."""

    origins: frozenset[Origin] = frozenset()
    people: int = 0
    """Minimum of M."""
    people_show: frozenset[Shows] = frozenset()
    """Some row with a customer shows one of these."""
    agreeing: int = 0
    """Minimum of V; with `showing`, of customers whose own rows show one of these."""
    showing: frozenset[Shows] = frozenset()
    alone: bool = False
    """V = 0: nobody agrees in two fields."""
    half: bool = False
    """Half of the rows agree."""
    chance: float | None = None
    """M is at most this multiple of what chance gives."""
    passwords: bool | None = None
    """Passwords stand beside customers, or there are logins at own sites."""
    offered: bool | None = None
    """A sale that names the tenant; false: no post asks for its data either."""
    named: bool | None = None
    claimed: int = 0
    insider: bool = False
    whole: bool | None = None
    """Everything was read."""
    customer_logins: int = 0
    staff_logins: int = 0
    customer_cookies: int = 0
    """Minimum of unexpired cookies of own sites."""
    staff_cookies: int = 0
    cookies: int = 0
    """Minimum of cookies of own sites, including expired ones."""
    codes: int = 0
    """Minimum of customers in rows with a one-time code."""
    days: int | None = None
    """Maximum age of the newest date in days; holds if there is no date."""
    known: Share = 0.0
    """Share of the customers that appeared before in an incident, with the same fields."""
    acknowledged: bool = False
    """A person acknowledged that incident."""


class SeverityRow(_Rules):
    """One row of the severity table: it applies if any of `when` holds."""

    number: int = Field(ge=1)
    when: tuple[SeverityConditions, ...] = (SeverityConditions(),)
    severity: Severity
    notify: Recipient
    clock: ClockWord
    minutes: int = Field(0, ge=0)
    """Time for a person to decide if the deadline is "if confirmed"."""
    yields_to: int = 0
    """A later row that replaces this one if it applies, is as severe, and starts a deadline."""
    says: str
    says_zh: str
    source: str


class SeverityRules(_Rules):
    """The severity table and its words."""

    partner: float
    """Factor of U for a partner's leak."""
    raised: float
    """U from which the severity is raised."""
    few: Share
    """Probability above which chance explains the matches, whatever the average."""
    images: frozenset[str]
    """Terms that offer images for identity checks."""
    insiders: frozenset[str]
    """Terms of an insider."""
    row: tuple[SeverityRow, ...] = Field(min_length=1)


class OriginRules(_Rules):
    """Thresholds of the origin."""

    few: Share
    certain: Share
    alike: float
    enough: int
    rows: int
    few_rows: int
    share: Share
    overlaps: float
    markets: float
    named: Share
    stealer: Share = 0.5
    witnesses: int
    witnesses_agree: Share
    witnesses_differ: Share
    stale: float
    corroborated: Share
    agree: Share
    run: int
    ids: int
    failing: Share
    cards: int
    known_cards: Share
    replayed: Share
    cohort_odds: float
    cohort_people: int


class VerdictRules(_Rules):
    """All rules of a verdict."""

    version: int
    scenario: tuple[Scenario, ...]
    exposure: ExposureRules
    volume: Volume
    freshness: Freshness
    spread: Spread
    corroboration: Corroboration
    modifier: tuple[Modifier, ...]
    severity: SeverityRules
    origin: OriginRules

    def list_ways(self) -> list[tuple[ScenarioConditions, Scenario]]:
        """Return each set of conditions with the scenario it belongs to, most points first."""
        return sorted(
            ((way, s) for s in self.scenario for way in s.ways), key=lambda pair: -pair[0].points
        )


VERDICT = RuleKind("verdict", "ullage.verdict", "rules.toml", toml_reader(VerdictRules))


@cache
def load_verdict_rules() -> VerdictRules:
    """Return the verdict rules of this version; the organization's own rules are ignored."""
    return VERDICT.load_shipped().rules
