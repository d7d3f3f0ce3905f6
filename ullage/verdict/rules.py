"""The rules of a verdict as data: read, checked, frozen.

`rules.toml` says what each is and where it is from.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from ullage.files.rule_files import RuleKind, toml
from ullage.vocabulary.fields import FieldLabel as Label
from ullage.vocabulary.fields import Shows

Share = Annotated[float, Field(ge=0, le=1)]
Severity = Literal["noise", "notice", "low", "medium", "high", "statutory"]
ORDER: tuple[Severity, ...] = get_args(Severity)
"""Severities, the least first."""
Origin = Literal["ours", "partner", "devices", "elsewhere", "recycled", "fabricated", "unknown"]
Told = Literal[
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
"""Who is told: the lead (with DPO and counsel) and anti-fraud by phone; the desk at once or as it
works; anti-fraud through its queue or in the morning; the rest in the day's digest.
"""
ClockWord = Literal["run", "if confirmed", "none"]
"""`run`: deadlines count and escalate.

`if confirmed`: they are shown as due should it be confirmed, and a person decides.
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
    """A login at the tenant's own sites, or a cookie of one that has not expired."""
    brand: bool = False
    suspicion: bool = False
    """The post speaks of reports on suspicious transactions."""

    def allowed_by(self, fields: frozenset[str]) -> bool:
        """Whether a row with `fields` is enough, as far as rows go."""
        return self.every <= fields and (not self.some or bool(self.some & fields))


class Scenario(_Rules):
    """A way to cheat someone, in words, and what allows it."""

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
    """Points by U: of the first step that it is below; by people where they are very many."""

    steps: Steps
    beyond: int
    people: Steps


class Freshness(_Rules):
    """Points by age in days: of the first step that it is within."""

    steps: Steps
    older: int


class Spread(_Rules):
    """Points by sites: of the first step that they reach."""

    steps: Steps
    free: int


class Corroboration(_Rules):
    """Points for what shows that the rows are real."""

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
    """Conditions of which all must hold; one that is not named asks for nothing."""

    origins: frozenset[Origin] = frozenset()
    people: int = 0
    """M at least."""
    people_show: frozenset[Shows] = frozenset()
    """Some row with a customer shows one of these."""
    agreeing: int = 0
    """V at least; with `showing`, V of those whose own rows show one of these."""
    showing: frozenset[Shows] = frozenset()
    alone: bool = False
    """V = 0: nobody agrees in two fields."""
    half: bool = False
    """Half of the rows agree."""
    chance: float | None = None
    """M is at most so many times what chance gives."""
    passwords: bool | None = None
    """Passwords stand beside customers, or logins at own sites are in it."""
    offered: bool | None = None
    """A sale that names the tenant; false where a post does not even ask for its data."""
    named: bool | None = None
    claimed: int = 0
    insider: bool = False
    whole: bool | None = None
    """All of it was read."""
    customer_logins: int = 0
    staff_logins: int = 0
    customer_cookies: int = 0
    """Cookies of own sites that have not expired, at least."""
    staff_cookies: int = 0
    cookies: int = 0
    """Cookies of own sites, expired ones among them, at least."""
    codes: int = 0
    """Customers in rows with a one-time code, at least."""
    days: int | None = None
    """The newest date in it is at most so many days old, or there is none."""
    known: Share = 0.0
    """Share of the customers that stood in an incident before, with the same fields."""
    acknowledged: bool = False
    """A person acknowledged that incident."""


class SeverityRow(_Rules):
    """One line of the severity table: under which conditions, any of `when`, it applies, and
    what follows.
    """

    number: int = Field(ge=1)
    when: tuple[SeverityConditions, ...] = (SeverityConditions(),)
    severity: Severity
    told: Told
    clock: ClockWord
    minutes: int = Field(0, ge=0)
    """Within which a person decides, where the clock is "if confirmed"."""
    yields_to: int = 0
    """A later row that is taken instead where it applies, is as grave, and starts a clock."""
    says: str
    says_zh: str
    source: str


class SeverityRules(_Rules):
    """The severity table and its words."""

    partner: float
    """What U of a partner's leak counts."""
    raised: float
    """U from which a row's severity is raised."""
    few: Share
    """Probability above which chance explains as many as matched, however many times they are of
    what it gives on average.
    """
    images: frozenset[str]
    """Terms of an offer of images for identity checks."""
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
    """All of it."""

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

    def ways(self) -> list[tuple[ScenarioConditions, Scenario]]:
        """Every way of every scenario, the one with most points first."""
        return sorted(
            ((way, s) for s in self.scenario for way in s.ways), key=lambda pair: -pair[0].points
        )


VERDICT = RuleKind("verdict", "ullage.verdict", "rules.toml", toml(VerdictRules))


@cache
def own_rules() -> VerdictRules:
    """The rules that this version comes with."""
    return VERDICT.shipped().rules
