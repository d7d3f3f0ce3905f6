"""Hold the facts of a verdict: counts, labels and dates; no value, no tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from pydantic import Field

from ullage.records import CaptureCounts, Cohort, Honeytoken
from ullage.verdict.next_step import StepConditions
from ullage.verdict.rules import ClockWord
from ullage.vocabulary.fields import FieldLabel, Shows


class Reason(NamedTuple):
    """One line of an explanation, in English and in Chinese for the regulator.

    `points` is what it added to the score (0 if it only informs); `evidence` contains counts
    and labels.
    """

    code: str
    points: int
    evidence: str
    evidence_zh: str


@dataclass(frozen=True, slots=True)
class Crowd:
    """Some customers: their number, their classes, and their rows by set of field labels.

    `classes` counts each customer once, in the highest class (A, B, C). `shown` counts them by all
    that their rows show (`ullage.vocabulary.fields.shows`), each once; only for
    `VerdictFacts.agreeing`.
    """

    customers: int = 0
    classes: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[frozenset[str], int] = field(default_factory=dict)
    shown: Mapping[frozenset[str], int] = field(default_factory=dict)

    @property
    def fields(self) -> frozenset[str]:
        """Every label in any of their rows."""
        return frozenset().union(*self.groups)

    def count_showing(self, any_of: frozenset[Shows]) -> int:
        """Return how many customers have rows that show any of the field classes `any_of`."""
        return sum(number for shown, number in self.shown.items() if any_of & shown)


class VerdictFacts(CaptureCounts):
    """Facts of one incident or one file, for one tenant.

    Rows, cohorts and honeytokens are of one capture. `people` are all matched customers, M;
    `verified` those that chance cannot have matched; `agreeing` those who agree in two or more
    fields of a row, V. `circulation` is how many numbers are in use in the tenant's market,
    `watchlist` how many customers are enrolled. `own_fields` are fields that only this tenant has,
    as its settings say.
    """

    today: date
    people: Crowd
    verified: Crowd
    matched_rows: int
    corroborated_rows: int
    watchlist: int
    circulation: float
    agreeing: Crowd = Crowd()
    matched: int = 0
    """Customers in that one capture."""
    matched_kinds: dict[str, int] = Field(default_factory=dict)
    sites: int = 1
    free: bool = False
    """Published on a paste site, which is free to read."""
    brand: bool = False
    terms: tuple[str, ...] = ()
    written: dict[str, str] = Field(default_factory=dict)
    """The terms as they appear in the post, for display."""
    alarm: bool = False
    """A post trades in the tenant's data, judging by its words."""
    wanted: bool = False
    """Every such post asks for data and none sells."""
    incomplete: bool = False
    """Whether a capture was cut off, or searched or judged only in part."""
    claimed: int = 0
    """The largest number of people, rows or records that a post claims; 0 for none."""
    suspicion: bool = False
    """The post mentions reports on suspicious transactions."""
    minors: int = 0
    cards_enrolled: int = 0
    private_attributes_comparable: int = 0
    """Customers whose private attributes (amount, date) are enrolled, and whose row shows a pair.
    """
    private_attributes_agreeing: int = 0
    """Comparable customers whose pair is the same."""
    overlap: float = 0.0
    """Measured share of other platforms' customers that are the tenant's too; 0 if not measured."""
    market_share: float = 0.0
    """The tenant's share of the market's borrowers; 0 if not configured."""
    cohorts: tuple[Cohort, ...] = ()
    cohort_labels: int = 0
    honeytokens: tuple[Honeytoken, ...] = ()
    honeytokens_enrolled: int = 0
    replayed: float = 0.0
    replay_of: str = ""
    replay_told: bool = False
    """Whether a person acknowledged the earlier incident."""
    own_fields: frozenset[str] = frozenset()
    medium_deadline: ClockWord = "if confirmed"
    """The deadline that a medium incident starts, by the tenant's setting."""

    @property
    def is_whole(self) -> bool:
        """Whether everything was read, searched and judged."""
        return not self.unread and not self.incomplete

    @property
    def step_conditions(self) -> StepConditions:
        """Conditions of the next step, besides origin, severity and scenario."""
        return StepConditions(
            people=self.people.customers > 0,
            alone=not self.agreeing.customers,
            unread=not self.is_whole,
        )

    @property
    def is_offered(self) -> bool:
        """Whether a post offers the tenant's data."""
        return self.alarm and not self.wanted

    @property
    def crowded(self) -> tuple[int, int] | None:
        """Return people, and people that agree, if rows hold several people.

        Rows of chat messages do. Otherwise the result is None.
        """
        people = max(self.candidates.get("phone", 0), self.candidates.get("resident_id", 0))
        agreeing = min(self.agreeing.customers, self.matched)
        return (
            (people, min(agreeing, people))
            if agreeing > self.corroborated_rows and people > self.rows
            else None
        )

    @property
    def agreeing_share(self) -> float:
        """The share of rows that agree with a customer in two or more fields, from 0 to 1.

        If rows list several people each, it is the share of people.
        """
        listed, agreeing = self.crowded or (self.rows, self.corroborated_rows)
        return agreeing / listed if listed else 0.0

    @property
    def password_rows(self) -> tuple[int, int]:
        """The number of rows with a password, and how many of these match a customer."""
        groups = [group for group in self.groups if FieldLabel.PASSWORD in group.fields]
        return sum(group.rows for group in groups), sum(group.matched for group in groups)

    @property
    def chance(self) -> float:
        """Probability that any number in use is a customer's."""
        return min(1.0, self.watchlist / self.circulation)


def expect_by_chance(facts: VerdictFacts) -> float:
    """Return how many phone numbers a random list with as many phones would match.

    That is the valid phones × the enrolled customers ÷ the numbers in circulation.
    """
    return facts.candidates.get("phone", 0) * facts.chance


def format_number(number: float) -> str:
    """Format a small number for a person: `fewer than 0.01`, `0.32`, `12`."""
    return (
        "fewer than 0.01" if number < 0.01 else f"{number:.2g}" if number < 10 else f"{number:,.0f}"
    )


def format_number_zh(number: float) -> str:
    """Format a small number for a Chinese reader."""
    return "不足0.01" if number < 0.01 else format_number(number)


def format_probability(p: float) -> str:
    """Format a probability for a person: `p < 1e-12`, `p = 0.32`."""
    return "p < 1e-12" if p < 1e-12 else f"p = {p:.2g}"
