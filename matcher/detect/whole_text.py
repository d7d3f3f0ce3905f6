"""Find numbers that only a whole text proves: written backwards, or split into fragments.

Backwards, the whole line or the digits alone are reversed. A number whose check holds only
backwards is looked up in that order. A mobile number backwards looks like any number, so these
are looked up only where a text has at least FEWEST and nearly all of its numbers of that length
qualify, or where the text says that it is reversed.

Fragments are spellings such as `138 und 0013 und 8000`, `"1","3","8",…`,
`后八位00138000，前三位138`, `{"a":"138","b":"00138000"}`. There is no end of them, so none is
listed here. Groups of digits that together are as long as a mobile number, resident ID or card
make a candidate. Whoever posts a list writes each row in the same way. So candidates count
where at least FEWEST have the same text around groups of the same sizes, and nearly all of these
are valid numbers. They are not looked up; an analyst must read them. Pages and tables are full
of small numbers, so unusual group sizes must meet stricter conditions.

Numbers in one piece count in the same way if they are unreadable because of what is glued to
them: letters (`x13800138000`, `a…b`), or zeros before. Groups are found in columns over the
whole batch. An eighth of a long text, and the first MOST candidates of each text, are examined.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Batch, Flags, KeyedMembers, Places
from matcher.columns.bitset import (
    Bytes,
    Words,
    empty,
    is_letter,
    is_one_of,
    places,
    shift_back,
    shift_forward,
)
from matcher.detect.candidates import Segment
from matcher.detect.number_rules import (
    ID_LENGTH,
    are_valid_cards,
    check_characters,
    is_id,
    is_mobile,
)
from matcher.detect.numbers import DigitRuns, NumberColumns
from matcher.text.digit_groups import signs_at
from matcher.text.group_numbers import is_valid
from ullage.identifiers import card, phone, resident_id

FEWEST, SHARE = 3, 0.8
"""Conditions for counting a spelling.

FEWEST numbers must be written in it, and SHARE of the texts written so must be numbers.
"""
HINT = 4096
"""Bytes at either end of a text where it may say that it is reversed."""
SAYS_SO = re.compile(
    rb"(?i)revers|backward|mirrored|r\xc3\xbcckw\xc3\xa4rts|umgekehrt|invers|envers|al rev"
    + "|".join(
        (
            "",
            *"倒序 倒着 倒过来 反过来 反着 反写 反向 倒写 倒叙 颠倒 逆序 enohp elibom liam 机手"
            " 话电 号卡 证份身".split(),
        )
    ).encode()
)
"""Words that say that something is reversed, and labels that are reversed themselves."""
Holds = Callable[[Bytes], Flags]
MOST = 1 << 11
"""Candidates that are examined in one text; they decide for the rest."""
FACTOR = np.uint64(0x9E3779B97F4A7C15)
INVERSE = np.uint64(pow(int(FACTOR), -1, 1 << 64))
"""An odd number and its inverse modulo 2^64."""
ZERO, ONE, THREE, SIX, NINE = (np.uint8(ord(digit)) for digit in "01369")
TOTALS = (phone.LENGTH, 16, 18, 19)
"""Digits of a phone, a card, a resident ID, and a card of UnionPay."""
LONG, STRIPE, STRIDE = 1 << 17, 128, 1024
"""How a long text is sampled: an eighth of it, in lines that stand together.

A text of more than LONG bytes is sampled. STRIPE and STRIDE count words of 64 bytes.
"""
LONGEST_GAP, LONGEST_GROUP = 40, 8
"""Bytes between two groups; digits of one group."""
ALONE = b" -./:_+*=\\"
"""Signs that, alone between two groups of digits, do not join them into one number.

They occur in dates, times, decimals and sums. Numbers with the same of these signs between all
groups are read elsewhere.
"""
CELLS = re.compile(rb"[ \"']*[,;|\t\n][ \"']*")
"""Separators of the cells of a row."""
MOMENT = re.compile(
    rb"(?<!0)0{1,2}:00(?!0)|0{4}(?:[-/.]0{1,2}[-/.]0{1,2}|\xe5\xb9\xb4)|(?<!0)0{1,2}\xe6\x9c\x88"
)
"""A time or date in a template: `00:00`, `0000-00-00`, `0000年`, `0月`."""
LINE_END, TWO, DIGITS = b"\n", re.compile(rb"[0-9]{2}"), b"0123456789"
NO_DIGITS = bytes(set(range(256)) - set(DIGITS))
DECIMALS = re.compile(rb"[.][0-9]")
GROUP, GAP, ZEROS = (
    re.compile(rb"[0-9]+"),
    re.compile(rb"[^0-9]+"),
    bytes.maketrans(b"123456789", b"0" * 9),
)
YEAR = re.compile(rb"(?:19|20)[0-9]{2}")
USUAL = frozenset((
    *phone.GROUPS, *card.GROUPS, *resident_id.GROUPS, (3, 8), (7, 4), (8, 3), (4, 4, 3), (4, 3, 4),
    (3, 3, 5), (5, 6),
    (1, 2, 2, 2, 2, 2), (3, 2, 2, 2, 2), (4, 8, 6), (4, 4, 4, 6), (2, 3, 3, 3),
))  # fmt: skip
"""Group sizes in which numbers are commonly written, from the front or from the back."""
MOST_ZEROS = 12
"""Zeros that may precede a number."""
DAY = re.compile("1[3-9](?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
"""The beginning of a serial number that contains the day.

It may look like the beginning of a mobile number.
"""


def find_backwards(batch: Batch, runs: DigitRuns) -> list[Segment]:
    """Return the numbers that are written backwards, turned around, as valid candidates.

    Cards and resident IDs count if their check holds. Mobile numbers count only in texts that say
    so or where most numbers of eleven digits are backwards.
    """
    tests: list[tuple[int, str, Holds]] = [
        (size, "card", partial(are_valid_cards, length=size)) for size in card.LENGTHS
    ]
    tests.append((ID_LENGTH, "resident_id", _is_whole_id))
    segments = [
        _backwards(numbers, size, kind, holds)
        for size, kind, holds in tests
        if len((numbers := runs.take_length(size)).start)
    ]
    if len((mobiles := runs.take_length(phone.LENGTH)).start):
        segments.append(_phones(batch, mobiles))
    return [segment for segment in segments if len(segment)]


def _is_whole_id(text: Bytes) -> Flags:
    last = text[:, ID_LENGTH - 1]
    rows = np.flatnonzero(is_id(text))
    valid = np.zeros(len(text), bool)
    valid[rows] = check_characters(text[rows]) == last[rows]
    return valid


def _reverse(text: Bytes, size: int) -> Bytes:
    backwards = np.zeros_like(text)
    backwards[:, :size] = text[:, size - 1 :: -1]
    return backwards


def _backwards(numbers: NumberColumns, size: int, kind: str, holds: Holds) -> Segment:
    """Select the numbers that are valid backwards only, reversed.

    At an odd length Luhn's sum is the same in both directions, so forwards is not excluded there.
    """
    if size % 2 == 0:
        numbers = numbers.select(~holds(numbers.text))
    numbers = numbers._replace(text=_reverse(numbers.text, size))
    return numbers.select(holds(numbers.text)).segment(kind, size)


def _phones(batch: Batch, numbers: NumberColumns) -> Segment:
    """Select the numbers of eleven digits that are mobile numbers backwards, reversed.

    A text must hold at least FEWEST (3) that are 80 % of its numbers of this length, or say that it
    is reversed.
    """
    text = _reverse(numbers.text, phone.LENGTH)
    may_be = is_mobile(text) & ~is_mobile(numbers.text)
    if may_be.any():
        document = batch.documents(numbers.start)
        every, count = np.bincount(document), np.bincount(document, may_be)
        meant = (count >= FEWEST) & (count >= SHARE * every)
        for number in np.flatnonzero((count > 0) & ~meant).tolist():
            meant[number] = _says_so(batch, number)
        may_be &= meant.take(document)
    return numbers._replace(text=text).select(may_be).segment("phone", phone.LENGTH)


def _says_so(batch: Batch, number: int) -> bool:
    """Return whether a text says at its beginning or end that it is reversed."""
    start, end = int(batch.starts[number]), int(batch.ends[number])
    ends = (batch.text(start, min(end, start + HINT)), batch.text(max(start, end - HINT), end))
    return any(SAYS_SO.search(part) is not None for part in ends)


def count_fragments(batch: Batch, are_read: Callable[[Places, Places], Flags]) -> dict[int, int]:
    """Count the numbers in fragments, by number of text; a text without any is missing.

    Numbers are left out where `are_read` says that something in [start, end) was read. A spelling
    counts only if at least FEWEST (3) numbers are written in it. Of a text of more than 128 KiB an
    eighth is read, and the count is multiplied by eight.
    """
    counts: dict[int, int] = defaultdict(int)
    groups = DigitGroups.find(batch)
    if groups.before[-1] < min(TOTALS) + FEWEST - 1:  # too few for three numbers
        return counts
    first, last = groups.candidates()
    chosen = np.flatnonzero(~are_read(groups.start[first], groups.end[last]))
    if len(chosen) >= FEWEST:
        first, last = first[chosen], last[chosen]
        chosen = np.flatnonzero(groups.are_alike(batch, first, last))
        for document, of_how_many, templates in _by_text(
            batch, groups.start[first[chosen]], groups.end[last[chosen]]
        ):
            counts[document] += of_how_many * sum(
                _count(template, written) for template, written in templates.items()
            )
    for document, count in groups.count_glued(batch, are_read):
        counts[document] += count
    is_long = batch.ends - batch.starts > LONG
    return {
        document: count * (STRIDE // STRIPE if is_long[document] else 1)
        for document, count in counts.items()
        if count
    }


def _sample_places(batch: Batch) -> Words:
    """Return the places that are examined, as bits.

    A text is examined as a whole; of one that is LONG, the first STRIPE words of every STRIDE are.
    """
    sampled = ~empty(len(batch.data))
    for number in np.flatnonzero(batch.ends - batch.starts > LONG).tolist():
        words = sampled[int(batch.starts[number]) >> 6 : int(batch.ends[number]) >> 6]
        words[np.arange(len(words)) % STRIDE >= STRIPE] = 0
    return sampled


@dataclass(frozen=True)
class DigitGroups:
    """The groups of digits in `data` in order, i64[n] each.

    `gap` counts the bytes behind a group up to the next. `parts` says whether these may separate
    groups of one number. `before` i64[n + 1] counts the digits in all groups before each, and in
    all.
    """

    data: Bytes
    start: Places
    end: Places
    gap: Places
    parts: Flags
    before: Places

    @classmethod
    def find(cls, batch: Batch) -> DigitGroups:
        """Return the groups of digits in all texts of a batch, with the gaps between them.

        Of a text of more than 128 KiB only an eighth is examined.
        """
        digit = batch.classes.digit & _sample_places(batch)
        start, end = (
            places(digit & ~shift_forward(digit, 1)),
            places(digit & ~shift_back(digit, 1)) + 1,
        )
        gap = np.diff(start, append=len(batch.data)) - (end - start)
        parts: Flags = (
            (gap <= LONGEST_GAP)
            & ~((gap == 1) & is_one_of(batch.data.take(end), ALONE))
            & (end - start <= LONGEST_GROUP)
        )
        return cls(
            batch.data, start, end, gap, parts, np.concatenate(([0], np.cumsum(end - start)))
        )

    def candidates(self) -> tuple[Places, Places]:
        """Return the first and last group of each candidate.

        A candidate is several groups that have one of TOTALS digits together, and only separators
        between.
        """
        apart: Places = np.cumsum(~self.parts)
        begin, size = np.flatnonzero(self.parts), self.end - self.start
        holder = np.repeat(np.arange(len(size)), size)  # the group of each digit
        bounds = []
        for total in TOTALS:
            fits = self.before[begin] + total <= len(holder)
            first = begin[fits]
            last = holder[self.before[first] + total - 1]
            fits = (
                (self.before[last + 1] == self.before[first] + total)
                & (apart[last - 1] == apart[first])
                & (last > first)
            )
            fits &= size[last] <= LONGEST_GROUP
            bounds.append((first[fits], last[fits]))
        firsts, lasts = zip(*bounds, strict=True)
        first, last = np.concatenate(firsts), np.concatenate(lasts)
        order = np.argsort(first, kind="stable")
        return first[order], last[order]

    def count_glued(
        self, batch: Batch, are_read: Callable[[Places, Places], Flags]
    ) -> Iterator[tuple[int, int]]:
        """Yield the number of each text with unread glued groups, and how many numbers they are.

        Glued numbers have letters at the same sides as others, or equally many zeros before. Fewer
        than FEWEST (3) alike count as 0. Numbers that `are_read` accepts (by start and end) are not
        counted. Of more than MOST (2,048) groups in a text, these are examined and the count is
        scaled up.
        """
        size = self.end - self.start
        # there is room
        after_letter, before_letter = (
            is_letter(self.data.take(place)) for place in (self.start - 1, self.end)
        )
        is_whole = (after_letter | before_letter) & _are_totals().take(size, mode="clip")
        first, second = (self.data.take(self.start + place) for place in (0, 1))
        is_padded = (
            (first == ZERO)
            & (second == ZERO)
            & (size > phone.LENGTH)
            & (size <= TOTALS[-1] + MOST_ZEROS)
        )
        glued = np.flatnonzero(is_whole | is_padded)
        glued = glued[~are_read(self.start[glued], self.end[glued])]
        for document, of_document in batch.by_document(self.start[glued]):
            sample = glued[of_document][:MOST]
            rows: dict[tuple[bool, bool, int], list[str]] = defaultdict(list)
            for group in sample.tolist():
                written = batch.text(int(self.start[group]), int(self.end[group])).decode()
                number = written.lstrip("0") if is_padded[group] else written
                rows[
                    bool(after_letter[group]),
                    bool(before_letter[group]),
                    len(written) - len(number),
                ].append(number)
            count = sum(_count_whole(numbers) for numbers in rows.values())
            yield document, count * (of_document.stop - of_document.start) // len(sample)

    def are_alike(self, batch: Batch, first: Places, last: Places) -> Flags:
        """Return which candidates begin like a number, as most of their layout do: bool[n].

        A layout is the text, the group sizes and the separators; one candidate per line is counted.
        `first` and `last` are the indexes of a candidate's groups.
        """
        line, document = batch.lines(self.start[first]), batch.documents(self.start[first])
        total = self.before[last + 1] - self.before[first]
        key = self._keys(first, last)
        key[(last - first + 1 == total) & (batch.lines(self.start[last]) == line)] = 0
        key ^= (document * (TOTALS[-1] + 1) + total).view(np.uint64) * FACTOR
        way = KeyedMembers.group(key.view(np.int64)).number
        rows = KeyedMembers.group(way * len(batch.data) + line)
        way_of_row = rows.keys // len(batch.data)
        most = np.maximum(FEWEST, SHARE * np.bincount(way_of_row))
        alike, is_phone = np.zeros(len(first), bool), total == phone.LENGTH
        for begins in (
            self._begin(first, first + 1, is_phone),
            self._begin(last, last - 1, is_phone),
        ):
            count = np.bincount(way_of_row, np.bincount(rows.number, begins, len(rows.keys)) > 0)
            alike |= begins & (count >= most)[way]
        return alike

    def _begin(self, group: Places, next_one: Places, is_phone: Flags) -> Flags:
        """Return which numbers may begin with this group and go on with the next."""
        start, size = self.start[group], (self.end - self.start)[group]
        first = self.data.take(start)
        second = self.data.take(
            np.where(size > 1, start + 1, self.start.take(next_one, mode="clip"))
        )
        like_phone = (first == ONE) & (second - THREE <= NINE - THREE)
        return np.asarray(np.where(is_phone, like_phone, first - ONE <= SIX - ONE))

    def _keys(self, first: Places, last: Places) -> npt.NDArray[np.uint64]:
        """Return a key for each candidate, equal for equal sizes and separators: u64[n].

        It is a polynomial whose sums over all groups are computed one time (Karp and Rabin 1987).
        """
        size = (self.end - self.start).view(np.uint64)
        sign = signs_at(self.data, self.end, np.minimum(self.gap, 8))
        mixed = ((sign ^ self.gap.view(np.uint64) * FACTOR) ^ size) * FACTOR
        power = np.multiply.accumulate(np.full(len(size) + 1, FACTOR, np.uint64))
        inverse = np.multiply.accumulate(np.full(len(size) + 1, INVERSE, np.uint64))
        sums = np.concatenate(
            (np.zeros(1, np.uint64), np.cumsum(mixed * power[:-1], dtype=np.uint64))
        )
        return np.asarray((sums[last] - sums[first]) * inverse[first] + size[last] * FACTOR)


@cache
def _are_totals() -> Flags:
    """Return a table of whether a number of digits is one of TOTALS: bool[TOTALS[-1] + 2].

    The last entry stands for all larger numbers.
    """
    table = np.zeros(TOTALS[-1] + 2, bool)
    table[list(TOTALS)] = True
    return table


def _by_text(
    batch: Batch, start: Places, end: Places
) -> Iterator[tuple[int, int, dict[bytes, list[bytes]]]]:
    """Yield for each text its number, the sampling factor, and its candidates by template.

    The factor says how many candidates one examined candidate stands for. A template is the text
    with zeros for digits.
    """
    for document, of_document in batch.by_document(start):
        templates: dict[bytes, list[bytes]] = defaultdict(list)
        count = of_document.stop - of_document.start
        of_how_many = -(-count // MOST)
        sample = slice(of_document.start, of_document.start + count // of_how_many)
        for at, to in zip(start[sample].tolist(), end[sample].tolist(), strict=True):
            written = batch.text(at, to)
            if not _goes_on(batch, at, to, written):
                templates[_template(written)].append(written)
        yield document, of_how_many, templates


def _template(written: bytes) -> bytes:
    """Return what all rows that are written like this one have in common.

    For single digits in a line that is only their count, as the rest may be chance.
    """
    if TWO.search(written) or LINE_END in written:
        return written.translate(ZEROS)
    return written.translate(ZEROS, NO_DIGITS)


def _goes_on(batch: Batch, start: int, end: int, written: bytes) -> bool:
    """Return whether a candidate is only a part of something longer.

    The text between the first two groups then also stands before or behind, with more digits; or
    decimals follow.
    """
    if DECIMALS.match(batch.text(end, min(end + 2, len(batch.data)))):
        return True
    sign = written.lstrip(DIGITS)
    size = len(sign) - len(sign.lstrip(NO_DIGITS))
    around = batch.data[start - size - 1 : end + size + 1].tobytes()
    before, after = around[: size + 1], around[len(around) - size - 1 :]
    return (before[1:] == sign[:size] and before[:1].isdigit()) or (
        after[:-1] == sign[:size] and after[-1:].isdigit()
    )


def _count(template: bytes, written: Sequence[bytes]) -> int:
    """Count the numbers among texts written like `template`; 0 where that may be chance."""
    if len(written) < FEWEST or MOMENT.search(template):
        return 0
    rows = [GROUP.findall(text) for text in written]
    numbers = max((_valid(rows), _valid([row[::-1] for row in rows])), key=len)
    if (
        len(numbers) < max(FEWEST, SHARE * len(rows))
        or len(set(numbers)) < FEWEST
        or not _are_written(template, rows)
    ):
        return 0
    return len(numbers)


def _count_whole(numbers: Sequence[str]) -> int:
    """Count the numbers in one piece.

    Returns 0 where that may be chance, or where they are a date with a serial number behind.
    """
    valid = [number for number in numbers if len(number) in TOTALS and is_valid(number)]
    undated = [number for number in valid if len(number) != phone.LENGTH or not DAY.match(number)]
    return len(valid) if len(undated) >= SHARE * len(numbers) and len(set(undated)) >= FEWEST else 0


def _valid(rows: Sequence[Sequence[bytes]]) -> list[str]:
    """Join the groups of each row, and return the rows that are numbers."""
    return [number for row in rows if is_valid(number := b"".join(row).decode())]


def _are_written(template: bytes, rows: Sequence[Sequence[bytes]]) -> bool:
    """Return whether groups written like `template` belong to one number, not several."""
    gaps, sizes = set(GAP.findall(template)), tuple(map(len, rows[0]))
    if not gaps:
        return True
    has_zero = any(group[:1] == b"0" for row in rows for group in row[1:])
    parts_cells = any(map(CELLS.fullmatch, gaps))
    # words go over no line: the end of a row and the beginning of the next are no number
    if parts_cells or LINE_END in template:
        return parts_cells and len(gaps) == 1 and (max(sizes) == 1 or (sizes in USUAL and has_zero))
    is_year = any(all(YEAR.fullmatch(row[place]) for row in rows) for place in range(len(sizes)))
    return has_zero or (not is_year and (sizes in USUAL or sizes[::-1] in USUAL))
