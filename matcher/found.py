"""What one list gave in one capture, counted while its parts go by."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

from matcher.batches import Searched
from matcher.evidence import NONE, Evidence
from ullage.fields import BY_CHANCE, class_of
from ullage.records import Match
from ullage.verdict import Crowd

ADULT_AT = 14
"""PIPL 28 calls all data of those who are younger sensitive."""
Value = tuple[bytes, bytes]
"""A normal form, and a keyed tag that tells it from others."""


@dataclass
class Found:
    """What one epoch of one tenant's list gave; `groups` counts rows with a customer by fields and what they prove."""

    epoch: int
    matches: list[Match] = field(default_factory=list)
    count: int = 0
    subjects: dict[int, str] = field(default_factory=dict)
    """Each customer, by the row in the list, with the highest class of the rows that they stand in."""
    verified: set[int] = field(default_factory=set)
    """Those whom chance cannot have matched."""
    minors: set[int] = field(default_factory=set)
    values: set[tuple[str, bytes]] = field(default_factory=set)
    """Different values, as kind and keyed tag."""
    groups: Counter[tuple[frozenset[str], bool, bool]] = field(default_factory=Counter)
    """Rows by fields, whether corroborated, and whether of a verified customer."""

    def add(self, searched: Searched, found: Sequence[Evidence], values: Sequence[Value], day: date) -> None:
        """Count evidence of one part with its `values`, fetched on `day`."""
        self.count += len(found)
        together: dict[int, bool] = defaultdict(bool)
        sure: dict[int, bool] = defaultdict(bool)
        for one, (normal, tag) in zip(found, values, strict=True):
            kind = one.question.kind
            self.values.add((kind, tag))
            is_sure = len(one.own) >= 2 or kind not in BY_CHANCE
            if is_sure:
                self.verified.add(one.subject)
            if kind == "resident_id" and one.question.form == "plain" and is_minor(normal, day):
                self.minors.add(one.subject)
            highest = "C"
            if one.row != NONE:
                together[one.row] |= len(one.own) >= 2
                sure[one.row] |= is_sure
                highest = class_of(searched.rows.group(one.row))
            self.subjects[one.subject] = min(highest, self.subjects.get(one.subject, "C"))
        for row, is_together in together.items():
            self.groups[searched.rows.group(row), is_together, sure[row]] += 1

    @property
    def kinds(self) -> Counter[str]:
        """How many different values there are, a kind."""
        return Counter(kind for kind, _ in self.values)

    @property
    def rows(self) -> int:
        """Rows that hold a customer."""
        return sum(self.groups.values())

    @property
    def corroborated(self) -> int:
        """Rows in which two or more fields are the same customer's."""
        return sum(count for (_, is_together, _), count in self.groups.items() if is_together)

    def matched(self) -> Iterator[tuple[frozenset[str], bool]]:
        """For each row with a customer, the fields of its group and whether it is corroborated."""
        for (fields, is_together, _), count in self.groups.items():
            yield from [(fields, is_together)] * count

    def people(self) -> Crowd:
        """All customers."""
        return self._crowd(self.subjects, sure=False)

    def people_verified(self) -> Crowd:
        """Those whom chance cannot have matched."""
        return self._crowd({subject: self.subjects[subject] for subject in self.verified}, sure=True)

    def _crowd(self, subjects: dict[int, str], *, sure: bool) -> Crowd:
        groups: Counter[frozenset[str]] = Counter()
        for (fields, _, is_sure), rows in self.groups.items():
            if is_sure or not sure:
                groups[fields] += rows
        return Crowd(len(subjects), Counter(subjects.values()), groups)


def is_minor(resident_id: bytes, day: date) -> bool:
    """Whether the owner of an 18-digit resident ID is under 14 on that day."""
    born = int(resident_id[6:14])
    return born > (day.year - ADULT_AT) * 10_000 + day.month * 100 + day.day
