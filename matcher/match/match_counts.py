"""What one list gave in one capture, counted while its parts go by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cache

import numpy as np

from matcher.columns.batch import Bytes, Places
from matcher.match.batches import Searched
from matcher.match.customers import AGREES, CLASSES, MINOR, SHOWN, VERIFIED, Customers
from matcher.match.evidence import NONE, Evidence, labels_of
from matcher.match.match_columns import Matches
from matcher.match.statistics.distinct import Distinct, told_apart
from matcher.match.statistics.key import CaptureKey, Words, kind_numbers
from matcher.match.witnesses import Witnesses
from ullage.fields import class_of, shows
from ullage.identifiers import is_verified
from ullage.records import Match
from ullage.verdict import Crowd

ADULT_AT = 14
"""PIPL 28 calls all data of those who are younger sensitive."""
BORN = slice(6, 14)
"""Of a resident ID of 18 digits, the day of birth."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What evidence says of customers; columns i64[n], and a column each row with a customer, i64[m].

    `flags` are those of `Customers`, `words` tell values apart. Of each of `rows`, `fields` are those of its group, and `held`
    those and its customers' own: a digest without a label is a phone's if it is that of a customer's phone. It is `together`
    where two or more fields are one customer's, and `sure` where chance cannot have matched.
    """

    subject: Places
    flags: Places
    words: Words
    rows: Places
    fields: list[frozenset[str]]
    held: list[frozenset[str]]
    together: list[bool]
    sure: list[bool]


def weigh(searched: Searched, found: Evidence, key: CaptureKey, adults: Places) -> Weighed:
    """What `found` says; of each piece, `adults` has the last day of birth, as YYYYMMDD, that makes no minor."""
    words = np.empty(len(found), np.uint64)
    is_sure = np.bitwise_count(found.own) >= 2
    agrees, flags = is_sure.copy(), np.full(len(found), CLASSES["C"])
    for question, own in found.by_question():
        normal, length = question.normal[found.place[own]], question.length[found.place[own]]
        words[own] = told_apart(key.values(normal, length), kind_numbers()[question.kind])
        is_sure[own] |= is_verified([question.kind], corroborated=False)
        if question.kind == "resident_id" and question.form == "plain":
            flags[own] |= np.where(born(normal) > adults[own], MINOR, 0)
    rows, number = np.unique(found.row, return_inverse=True)
    outside = int(len(rows) > 0 and rows[0] == NONE)
    fields = [searched.rows.group(row) for row in rows[outside:].tolist()]
    bits = np.zeros(len(rows), np.int64)
    np.bitwise_or.at(bits, number, found.own)
    held = [_with_own(group, own) for group, own in zip(fields, bits[outside:].tolist(), strict=True)]
    flags |= np.array([CLASSES["C"]] * outside + [CLASSES[class_of(own)] for own in held])[number]
    flags[is_sure] |= VERIFIED
    shown = np.array([0] * outside + [sum(SHOWN[name] for name in shows(own)) for own in held])[number]
    flags[agrees] |= AGREES | shown[agrees]
    together, sure = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    together[number[agrees]], sure[number[is_sure]] = True, True
    of_rows = (column[outside:].tolist() for column in (together, sure))
    return Weighed(found.subject, flags, words, rows[outside:], fields, held, *of_rows)


@cache
def _with_own(group: frozenset[str], own: int) -> frozenset[str]:
    """The fields of a row: those of its group, and its customers' own by their bits."""
    return group.union(labels_of(own))


@dataclass
class Found:
    """What one epoch of one tenant's list gave; `groups` counts rows with a customer by fields and what they prove.

    At most `room` matches are listed, None for all; everything is counted. Rows are counted by what they hold too.
    """

    epoch: int
    room: int | None = None
    details: list[Matches] = field(default_factory=list)
    count: int = 0
    subjects: Customers = field(default_factory=Customers)
    values: Distinct = field(default_factory=Distinct)
    """Different values."""
    groups: Counter[tuple[frozenset[str], frozenset[str], bool, bool]] = field(default_factory=Counter)
    """Rows by fields of their group, fields that they hold, whether corroborated, and whether of a verified customer."""
    witnesses: Witnesses = field(default_factory=Witnesses)

    def add(self, weighed: Weighed, own: slice, rows: slice) -> None:
        """Count what was weighed of one part: some of the evidence, and of the rows."""
        self.count += own.stop - own.start
        self.subjects.add(weighed.subject[own], weighed.flags[own])
        self.values.add(weighed.words[own])
        columns = (weighed.fields, weighed.held, weighed.together, weighed.sure)
        self.groups.update(zip(*(column[rows] for column in columns), strict=True))

    @property
    def is_full(self) -> bool:
        """Whether no further match is listed."""
        return self.room is not None and sum(map(len, self.details)) >= self.room

    def listed(self, matches: Matches | None) -> bool:
        """List `matches`, None for some that nobody made since there is no room; whether all of them are."""
        left = None if self.room is None else self.room - sum(map(len, self.details))
        if matches is None or (left is not None and left < len(matches)):
            if matches is not None and left:
                self.details.append(matches.take(slice(left)))
            return False
        self.details.append(matches)
        return True

    def matches(self) -> Iterator[Match]:
        """All matches, made as they are asked for."""
        return (match for some in self.details for match in some)

    @property
    def verified(self) -> Places:
        """Those whom chance cannot have matched, ascending."""
        return self.subjects.having(VERIFIED)

    @property
    def minors(self) -> Places:
        """Those under 14, ascending."""
        return self.subjects.having(MINOR)

    @property
    def kinds(self) -> Counter[str]:
        """How many different values there are, a kind."""
        counts = self.values.counts()
        return Counter({kind: counts[number] for kind, number in kind_numbers().items() if counts[number]})

    @property
    def rows(self) -> int:
        """Rows that hold a customer."""
        return sum(self.groups.values())

    @property
    def corroborated(self) -> int:
        """Rows in which two or more fields are the same customer's."""
        return sum(count for (*_, is_together, _), count in self.groups.items() if is_together)

    def matched(self) -> Iterator[tuple[frozenset[str], bool, int]]:
        """The fields of a group, whether corroborated, and how many rows with a customer are so."""
        return ((fields, is_together, count) for (fields, _, is_together, _), count in self.groups.items())

    def people(self) -> Crowd:
        """All customers."""
        return Crowd(len(self.subjects), self.subjects.classes(), self._rows())

    def people_verified(self) -> Crowd:
        """Those whom chance cannot have matched."""
        return Crowd(len(self.verified), self.subjects.classes(VERIFIED), self._rows(sure=True))

    def people_agreeing(self) -> Crowd:
        """Those who agree in two or more fields of a row."""
        agreeing = len(self.subjects.having(AGREES))
        return Crowd(agreeing, self.subjects.classes(AGREES), self._rows(together=True), self.subjects.shown())

    def _rows(self, *, sure: bool = False, together: bool = False) -> Counter[frozenset[str]]:
        """Rows by fields: all, those of verified customers, or those that agree."""
        groups: Counter[frozenset[str]] = Counter()
        for (_, fields, is_together, is_sure), rows in self.groups.items():
            if (is_sure or not sure) and (is_together or not together):
                groups[fields] += rows
        return groups


def born(resident_ids: Bytes) -> Places:
    """The day of birth in each 18-digit resident ID u8[n, 18 or more], as YYYYMMDD: i64[n]."""
    digits = resident_ids[:, BORN].astype(np.int64) - ord("0")
    days: Places = digits @ 10 ** np.arange(BORN.stop - BORN.start)[::-1]
    return days


def adult_until(day: date) -> int:
    """The last day of birth, as YYYYMMDD, of somebody who is no minor on that day."""
    return (day.year - ADULT_AT) * 10_000 + day.month * 100 + day.day
