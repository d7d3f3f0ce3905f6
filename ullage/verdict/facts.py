"""What a verdict is drawn from: counts, labels and dates; no value, no tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from pydantic import Field

from ullage.records import Bait, CaptureCounts, Cohort
from ullage.verdict.next_step import StepConditions
from ullage.verdict.rules import ClockWord
from ullage.vocabulary.fields import FieldLabel, Shows


class Reason(NamedTuple):
    """One line of an explanation, in English and Chinese: a regulator reads the latter.

    `points` is what it added (0 for what only informs); `evidence` holds counts and labels.
    """

    code: str
    points: int
    evidence: str
    evidence_zh: str


@dataclass(frozen=True, slots=True)
class Crowd:
    """Some customers: how many, how many a class (A, B, C; each once, the highest), and their rows
    by set of field labels.

    `shown` counts them by all that their rows show (`ullage.vocabulary.fields.shows`), each once;
    it is told of `VerdictFacts.agreeing` alone.
    """

    customers: int = 0
    classes: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[frozenset[str], int] = field(default_factory=dict)
    shown: Mapping[frozenset[str], int] = field(default_factory=dict)

    @property
    def fields(self) -> frozenset[str]:
        """Every label in any of their rows."""
        return frozenset().union(*self.groups)

    def showing(self, any_of: frozenset[Shows]) -> int:
        """How many of them stand in rows that show one of these."""
        return sum(number for shown, number in self.shown.items() if any_of & shown)


class VerdictFacts(CaptureCounts):
    """Facts of one incident or one file, for one tenant; what is counted in rows, cohorts and
    canaries is of one capture.

    `people` are all matched customers, M; `verified` those whom chance cannot have matched;
    `agreeing` those who agree in two or more fields of a row, V. `circulation` is how many numbers
    are in use in the tenant's market, `watchlist` how many customers it has enrolled. `own_fields`
    are those that nobody else holds, as the tenant says.
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
    """Seen on a paste, which costs nothing to read."""
    brand: bool = False
    terms: tuple[str, ...] = ()
    written: dict[str, str] = Field(default_factory=dict)
    """The terms as they stand in the post, which is how they are shown."""
    alarm: bool = False
    """A post trades in the tenant's data, by its words."""
    wanted: bool = False
    """Every such post asks for them: no sale."""
    incomplete: bool = False
    """Whether a capture was cut off, or searched or judged only in part."""
    claimed: int = 0
    """The largest number of people, rows or records that a post claims; 0 for none."""
    suspicion: bool = False
    """It speaks of reports on suspicious transactions."""
    minors: int = 0
    cards_enrolled: int = 0
    witnesses_comparable: int = 0
    """Customers in it of whom a pair (amount, date) is enrolled and whose row shows one, so that
    both can be compared.
    """
    witnesses_agreeing: int = 0
    """Those of them whose pair is the same."""
    overlap: float = 0.0
    """Measured share of other platforms' customers that are the tenant's too; 0 where nobody
    measured it.
    """
    market_share: float = 0.0
    """The tenant's share of the market's borrowers; 0 where it does not say."""
    cohorts: tuple[Cohort, ...] = ()
    cohort_labels: int = 0
    canaries: tuple[Bait, ...] = ()
    canaries_enrolled: int = 0
    replayed: float = 0.0
    replay_of: str = ""
    replay_told: bool = False
    """Whether a person acknowledged the incident that it was known from."""
    own_fields: frozenset[str] = frozenset()
    medium_deadline: ClockWord = "if confirmed"
    """Which clock a medium starts that starts one, as the tenant has set."""

    @property
    def is_whole(self) -> bool:
        """Whether all of it was read, searched and judged."""
        return not self.unread and not self.incomplete

    @property
    def step_conditions(self) -> StepConditions:
        """What the next step is chosen by, besides origin, severity and scenario."""
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
        """Where rows hold several people each, as messages of a chat do: how many people, and
        how many of them agree.
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
        """The share of rows, or of people in them, that agree with a customer in two or more
        fields.
        """
        listed, agreeing = self.crowded or (self.rows, self.corroborated_rows)
        return agreeing / listed if listed else 0.0

    @property
    def password_rows(self) -> tuple[int, int]:
        """How many rows hold a password, and how many of those a customer."""
        own = [group for group in self.groups if FieldLabel.PASSWORD in group.fields]
        return sum(group.rows for group in own), sum(group.matched for group in own)

    @property
    def chance(self) -> float:
        """The probability that any number in use is a customer's."""
        return min(1.0, self.watchlist / self.circulation)


def chance_matches(facts: VerdictFacts) -> float:
    """Phones that a random list of this length would match: valid phones × enrolled customers ÷
    numbers in circulation.
    """
    return facts.candidates.get("phone", 0) * facts.chance


def in_words(number: float) -> str:
    """A small number as a person reads it: `fewer than 0.01`, `0.32`, `12`."""
    return (
        "fewer than 0.01" if number < 0.01 else f"{number:.2g}" if number < 10 else f"{number:,.0f}"
    )


def in_chinese(number: float) -> str:
    """The same in Chinese."""
    return "不足0.01" if number < 0.01 else in_words(number)


def p_in_words(p: float) -> str:
    """A probability as a person reads it: `p < 1e-12`, `p = 0.32`."""
    return "p < 1e-12" if p < 1e-12 else f"p = {p:.2g}"
