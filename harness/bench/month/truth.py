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
    """The label written as `ROW ORIGIN SEVERITY SCAM`, several with `|` between.

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
        return all(one.severity in URGENT for one in self.label)

    @property
    def may_page(self) -> bool:
        """Whether some answer does."""
        return any(one.severity in URGENT for one in self.label)

    @property
    def is_missed(self) -> bool:
        """Whether nobody is shown what somebody has to be."""
        return self.got.severity in UNSEEN and not any(one.severity in UNSEEN for one in self.label)

    @property
    def origin_holds(self) -> bool:
        """Whether the origin is one of the label's.

        What made no incident says none, rightly where it is noise.
        """
        if self.got.severity == NO_INCIDENT:
            return not self.is_missed
        return self.got.origin in {one.origin for one in self.label}

    @property
    def severity_holds(self) -> bool:
        """Whether the severity is one that goes with the origin it got; with any of the label's
        where that is wrong.
        """
        if self.got.severity in UNSEEN:
            return any(one.severity in UNSEEN for one in self.label)
        fitting = [one for one in self.label if one.origin == self.got.origin] or self.label
        return self.got.severity in {one.severity for one in fitting}

    @property
    def scam_holds(self) -> bool:
        """Whether it is the scam that the fields allow; what nobody is shown needs none."""
        scams = {one.scam for one in self.label}
        return (
            ANY in scams
            or self.got.scam in scams
            or (self.got.severity in UNSEEN and self.severity_holds)
        )

    def nearest(self) -> Verdict:
        """The answer of the label that is compared in a table: the one that agrees in most."""
        return max(
            self.label,
            key=lambda one: sum(a == b for a, b in zip(one[:3], self.got[:3], strict=True)),
        )


def confusion(pairs: Sequence[tuple[str, str]], order: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """A table: a row a label, a column an answer, in `order` and only those that occur."""
    counts = Counter(pairs)
    rows, columns = (
        [word for word in order if word in {pair[side] for pair in pairs}] for side in (0, 1)
    )
    yield ("should be ↓, is →", *columns)
    for row in rows:
        yield (row, *(str(counts[row, column] or "·") for column in columns))


def tables(judged: Sequence[LeakOutcome]) -> Mapping[str, list[tuple[str, ...]]]:
    """The tables of confusion by what is confused."""
    scams = sorted(
        {one.got.scam for one in judged} | {one.nearest().scam for one in judged}, key=_by_number
    )
    return {
        "Severity": list(
            confusion([(_like(one, "severity"), one.got.severity) for one in judged], SEVERITIES)
        ),
        "Origin": list(
            confusion([(_like(one, "origin"), one.got.origin) for one in judged], ORIGINS)
        ),
        "Scam": list(confusion([(_like(one, "scam"), one.got.scam) for one in judged], scams)),
    }


def _like(judged: LeakOutcome, what: str) -> str:
    """What a table compares with: the same as it got where the label allows that, else the
    label's nearest.
    """
    holds = {
        "severity": judged.severity_holds,
        "origin": judged.origin_holds,
        "scam": judged.scam_holds,
    }[what]
    return str(getattr(judged.got if holds else judged.nearest(), what))


def _by_number(scam: str) -> tuple[int, str]:
    return int(scam[1:]) if scam[1:].isdigit() else 0, scam
