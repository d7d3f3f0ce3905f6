"""What can be known of a planted post, what the product said of it, and the two against each other.

A label is what a careful analyst can say who has the post, the list of customers and the rules of
severity and origin. It is not what really happened: where a post honestly leaves it open, a label
has several answers, each an origin with its severity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

NO_INCIDENT = "no incident"
URGENT = ("high", "statutory")
UNSEEN = ("noise", NO_INCIDENT)
"""What nobody is shown."""
SEVERITIES = (NO_INCIDENT, "noise", "notice", "low", "medium", "high", "statutory")
ORIGINS = (
    NO_INCIDENT,
    "ours",
    "partner",
    "devices",
    "elsewhere",
    "recycled",
    "fabricated",
    "unknown",
)
ANY = "*"
"""A scam that the post does not tell."""
NO_SCAM = "-"


class Verdict(NamedTuple):
    """An origin, a severity and a scenario (`X1` …; `-` for none); `row` of the severity table
    that a label goes by.
    """

    origin: str
    severity: str
    scam: str
    row: str = ""


def read(text: str) -> tuple[Verdict, ...]:
    """Parse a label written as `ROW ORIGIN SEVERITY SCAM`, several with `|` between.

    >>> read("14 unknown low X9 | 10 ours medium X9")[1].severity
    'medium'
    """
    rows = [alternative.split() for alternative in text.split("|")]
    return tuple(Verdict(origin, severity, scam, row) for row, origin, severity, scam in rows)


@dataclass(frozen=True, slots=True)
class LeakOutcome:
    """One planted leak: its label, what it got, and in how many seconds from its first post
    somebody was paged.
    """

    name: str
    kind: str
    label: tuple[Verdict, ...]
    got: Verdict
    paged: float | None
    detail: str = ""

    @property
    def must_page(self) -> bool:
        """Whether every answer pages."""
        return all(answer.severity in URGENT for answer in self.label)

    @property
    def may_page(self) -> bool:
        """Whether some answer does."""
        return any(answer.severity in URGENT for answer in self.label)

    @property
    def is_missed(self) -> bool:
        """Whether nobody is shown what somebody has to be."""
        return self.got.severity in UNSEEN and not any(
            answer.severity in UNSEEN for answer in self.label
        )

    @property
    def origin_holds(self) -> bool:
        """Whether the origin is one of the label's.

        What made no incident says none, rightly where it is noise.
        """
        if self.got.severity == NO_INCIDENT:
            return not self.is_missed
        return self.got.origin in {answer.origin for answer in self.label}

    @property
    def severity_holds(self) -> bool:
        """Whether the severity is one that goes with the origin it got; with any of the label's
        where that is wrong.
        """
        if self.got.severity in UNSEEN:
            return any(answer.severity in UNSEEN for answer in self.label)
        fitting = [
            answer for answer in self.label if answer.origin == self.got.origin
        ] or self.label
        return self.got.severity in {answer.severity for answer in fitting}

    @property
    def scam_holds(self) -> bool:
        """Whether it is the scam that the fields allow; what nobody is shown needs none."""
        scams = {answer.scam for answer in self.label}
        return (
            ANY in scams
            or self.got.scam in scams
            or (self.got.severity in UNSEEN and self.severity_holds)
        )

    def nearest(self) -> Verdict:
        """Return the labelled answer that agrees with ours in most respects."""
        return max(
            self.label,
            key=lambda one: sum(a == b for a, b in zip(one[:3], self.got[:3], strict=True)),
        )


def confusion(pairs: Sequence[tuple[str, str]], order: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Return a table with a row per label and a column per answer, in `order`, if they occur."""
    counts = Counter(pairs)
    rows, columns = (
        [word for word in order if word in {pair[side] for pair in pairs}] for side in (0, 1)
    )
    yield ("should be ↓, is →", *columns)
    for row in rows:
        yield (row, *(str(counts[row, column] or "·") for column in columns))


def tables(judged: Sequence[LeakOutcome]) -> Mapping[str, list[tuple[str, ...]]]:
    """Return the tables of confusion by what is confused."""
    scams = sorted(
        {outcome.got.scam for outcome in judged} | {outcome.nearest().scam for outcome in judged},
        key=_by_number,
    )
    return {
        "Severity": list(
            confusion(
                [(_like(outcome, "severity"), outcome.got.severity) for outcome in judged],
                SEVERITIES,
            )
        ),
        "Origin": list(
            confusion(
                [(_like(outcome, "origin"), outcome.got.origin) for outcome in judged], ORIGINS
            )
        ),
        "Scam": list(
            confusion([(_like(outcome, "scam"), outcome.got.scam) for outcome in judged], scams)
        ),
    }


def _like(judged: LeakOutcome, what: str) -> str:
    """Return the answer that a table compares with.

    It is our own answer where the label allows that, otherwise the label's nearest.
    """
    holds = {
        "severity": judged.severity_holds,
        "origin": judged.origin_holds,
        "scam": judged.scam_holds,
    }[what]
    return str(getattr(judged.got if holds else judged.nearest(), what))


def _by_number(scam: str) -> tuple[int, str]:
    return int(scam[1:]) if scam[1:].isdigit() else 0, scam
