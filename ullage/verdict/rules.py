"""The rules of a verdict as data: read, checked, frozen. `rules.toml` says what each is and where it is from."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ullage.fields import Field as Label
from ullage.rulefiles import Kind, toml

Share = Annotated[float, Field(ge=0, le=1)]
Severity = Literal["noise", "notice", "low", "medium", "high", "statutory"]
Steps = tuple[tuple[float, int], ...]


class _Rules(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Way(_Rules):
    """One set of conditions under which a scenario is possible; see `rules.toml`."""

    points: int
    every: frozenset[Label] = Field(frozenset(), alias="all")
    some: frozenset[Label] = Field(frozenset(), alias="any")
    terms: frozenset[str] = frozenset()
    logins: bool = False
    brand: bool = False

    def allowed_by(self, fields: frozenset[str]) -> bool:
        """Whether a row with `fields` is enough, as far as rows go."""
        return self.every <= fields and (not self.some or bool(self.some & fields))


class Scenario(_Rules):
    """A way to cheat someone, in words, and what allows it."""

    id: str
    title: str
    title_zh: str
    source: str
    ways: tuple[Way, ...]


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


class SeverityRules(_Rules):
    """Thresholds of the severities; the first three in U."""

    low: float
    medium: float
    high: float
    grave: int
    statutory: int
    logins: int
    repeated: Share
    partner: float
    not_ours: Severity


class OriginRules(_Rules):
    """Thresholds of the origin."""

    few: Share
    certain: Share
    alike: float
    enough: int
    rows: int
    share: Share
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


class Rules(_Rules):
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

    def ways(self) -> list[tuple[Way, Scenario]]:
        """Every way of every scenario, the one with most points first."""
        return sorted(((way, s) for s in self.scenario for way in s.ways), key=lambda pair: -pair[0].points)


VERDICT = Kind("verdict", "ullage.verdict", "rules.toml", toml(Rules))


@cache
def own_rules() -> Rules:
    """The rules that this version comes with."""
    return VERDICT.shipped().rules
