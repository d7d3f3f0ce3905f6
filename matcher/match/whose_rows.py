"""Decide whose rows a list holds, by other evidence than customers.

Such evidence is a card of a tenant's own ranges (BINs), or the name of another platform. A range is
public, and a card shop's list that is sorted by range holds nothing else: a card that is not
enrolled shows which bank issued it, and no more. Other platforms are those in a tenant's settings;
their lists name them row by row. A list that names none in its rows may still show its owner: above
the rows, or in a column for the platform (`OtherLists`).

Customers' rows are compared with their private attributes (`watchlist/tagging.py`): the amount and
date of the loan that we know. A row is compared if its customer has a pair and it holds an amount
and a date. The meaning of the result depends on what the two are:

- If a header, or the word before the value, declares them a loan's, agreement means "ours" and
  disagreement "another's".
- Else they may be anything, such as a balance and the day of a sign-up, and disagreement means
  nothing. Such rows count only if half of those customers agree, which does not happen by chance:
  then the columns are the loan's after all.

Each customer is counted one time: a repeated row proves nothing more. The first 8 KiB of a row are
read, with their first 12 amounts and 12 dates; a row of more than four customers is a list, and
proves nothing about any.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, Flags, Places
from matcher.columns.literals import Literals, whole_words
from matcher.lexicon import LexiconEntry, collect_forms, fold_word, literals, lower
from matcher.match.batches import SearchResult
from matcher.match.capture_key import Words as Tags
from matcher.match.corroborate import Owners
from matcher.match.lookup import NONE, RowMatches
from matcher.records.reader import INSERT, HeaderColumns, tuple_in
from matcher.records.table import BLOCK, HIDDEN, LINE, TUPLE, split
from matcher.watchlist.installation import Epoch
from matcher.watchlist.tagging import HOLDER, PAIR, Value, amounts_in, dates_in, holders, pairs
from matcher.watchlist.tagging import WITNESS as KIND

LEADING = 8
"""Digits that a range may have (ISO/IEC 7812: 6, since 2017 8)."""
OTHER = "other"
"""The kind of name that is not the tenant's own."""


@dataclass(slots=True)
class OwnCards:
    """Cards of one tenant in one capture, counted part by part."""

    rows: int = 0
    """Rows that hold one, enrolled or not."""
    _known: list[Tags] = field(default_factory=list)
    _others: list[Tags] = field(default_factory=list)

    def add(self, words: Tags, is_known: Flags, row: Places) -> None:
        """Count the cards of one part, in order of place.

        `words` are their keyed numbers, `is_known` says whether each is enrolled, `row` where it
        is. Of the enrolled cards in one row only the first counts.
        """
        self.rows += len(np.unique(row[row >= 0]))
        self._others.append(words[~is_known])
        known_words, known_rows = words[is_known], row[is_known]
        first = np.unique(known_rows, return_index=True)[1]
        self._known.append(known_words[first[known_rows[first] != NONE]])
        self._known.append(known_words[known_rows == NONE])

    @property
    def known(self) -> int:
        """The number of different cards that are on the customer list, at most one per row.

        Each card outside of rows counts.
        """
        return _count_distinct(self._known)

    @property
    def others(self) -> int:
        """Return how many different cards are not enrolled."""
        return _count_distinct(self._others)


def _count_distinct(parts: list[Tags]) -> int:
    return len(np.unique(np.concatenate(parts))) if parts else 0


def select_own_cards(
    normal: Bytes, length: Places, bins: Mapping[str, Iterable[str]]
) -> dict[str, Flags]:
    """Return, by tenant, which cards belong to its ranges: bool[n].

    `normal` u8[n, width >= 8] holds card numbers as ASCII digits, `length` i64[n] long; `bins` have
    up to 8 digits each.

    >>> normal = np.frombuffer(b"6200000000000005", np.uint8)[None]
    >>> select_own_cards(normal, np.array([16]), {"bank": ["62000000"], "other": ["622848"]})
    {'bank': array([ True]), 'other': array([False])}
    """
    leading = _leading_numbers(normal)
    return {
        tenant: (length >= LEADING) & _begins_with(leading, ranges)
        for tenant, ranges in bins.items()
    }


def _leading_numbers(normal: Bytes) -> Places:
    """Return the number that the first eight digits form: i64[n]."""
    digits = normal[:, :LEADING].astype(np.int64) - ord("0")
    return digits @ 10 ** np.arange(LEADING)[::-1]


def _begins_with(leading: Places, ranges: Iterable[str]) -> Flags:
    """Return whether these eight digits begin with one of `ranges`: bool[n]."""
    begins = np.zeros(len(leading), bool)
    for size, same in groupby(sorted(ranges, key=len), key=len):
        begins |= np.isin(leading // 10 ** (LEADING - size), [int(digits) for digits in same])
    return begins


class OtherNames:
    """A finder of names of other platforms in rows; `others` and `own` are names by tenant.

    A row that also names the tenant is not another platform's, nor is one with only a mail address
    of that platform.
    """

    def __init__(
        self, others: Mapping[str, Iterable[str]], own: Mapping[str, Iterable[str]]
    ) -> None:
        self._tenants = {
            tenant: _Names(names, own.get(tenant, ())) for tenant, names in others.items() if names
        }

    def __bool__(self) -> bool:
        return bool(self._tenants)

    def find_rows(self, searched: SearchResult) -> Iterator[tuple[str, Places]]:
        """Yield each tenant with the rows of a batch that name another platform, ascending."""
        for tenant, names in self._tenants.items():
            start, is_other = names.find(searched)
            if is_other.any():
                row = _find_rows(searched, start)
                yield tenant, np.setdiff1d(row[is_other & (row >= 0)], row[~is_other])


BEHIND = 64
"""Bytes behind a record within which a line with an unknown label belongs to it.

The record is written one field a line.
"""


def _find_rows(searched: SearchResult, places: Places) -> Places:
    """Return the row that holds each place, or the record just above it; −1 for none: i64[n]."""
    rows, row = searched.rows, searched.rows.holding(places)
    if not len(rows):
        return row
    before = np.maximum(np.searchsorted(rows.end, places, "right") - 1, 0)
    follows = (
        (rows.style[before] == BLOCK)
        & (rows.end[before] <= places)
        & (places - rows.end[before] <= BEHIND)
    )
    follows &= rows.document[before] == searched.batch.documents(places)
    return np.where((row < 0) & follows, before, row)


PLATFORM_COLUMNS = frozenset(
    "平台 平台名称 来源平台 所属平台 借款平台 贷款平台 放款平台 放款机构 贷款机构 借款机构"
    " 资金方 资方"
    " platform platformname loanplatform lender lendername loanapp".split()
)
"""Words for a column that names the platform of a row, as `_normalize_label` leaves them."""
NO_PLATFORMS = frozenset(
    "android ios iphone ipad web h5 pc app wap 安卓 苹果 小程序 微信 公众号 支付宝 抖音 快手"
    " 百度 头条"
    " 官网 线上 线下 自营 其他 未知 other unknown none null".split()
)
"""Values of such a column that are devices and channels."""
KEYED = re.compile(r"([^:：=]*)[:：=]\s*[\"'“]?([^\"'”,}]+)")
SAMPLED_ROWS, MOST_PLATFORMS, NAME_CHARACTERS = 64, 3, 24
"""Limits of the platform column: rows read, different platforms, characters of a name.

With more different values than that, they are people.
"""
HEADING_BYTES = 2_048


class OtherLists:
    """A detector of lists that declare themselves to be another platform's.

    `others` and `own` are names in the settings of each tenant. A list declares it if one of
    `others` is in its title or above its first row, or if half of its rows name one in a column for
    the platform, in the settings or not. If such a place also names the tenant, it does not count.
    """

    def __init__(
        self, others: Mapping[str, Iterable[str]], own: Mapping[str, Iterable[str]]
    ) -> None:
        self._others = {tenant: _fold_names(names) for tenant, names in others.items()}
        self._own = {tenant: _fold_names(names) for tenant, names in own.items()}

    def find_tenants(
        self, searched: SearchResult, document: int, title: str, tenants: Iterable[str]
    ) -> Iterator[str]:
        """Yield those of `tenants` for which a document declares to be another platform's list.

        The title, the lines above the first row, or a column of platforms name the other platform,
        and none names the tenant. `document` is its number in the batch.
        """
        rows = searched.rows.find_rows(document)
        if not rows:
            return
        heading = fold_word(title) + "\n" + _heading(searched, document, rows)
        platforms = [
            platform
            for row in rows[:: max(1, len(rows) // SAMPLED_ROWS)]
            for platform in [_find_platform(searched, row)]
            if platform is not None
        ]
        sampled = len(rows[:: max(1, len(rows) // SAMPLED_ROWS)])
        for tenant in tenants:
            own_names, other_names = self._own.get(tenant, ()), self._others.get(tenant, ())
            named = [
                platform
                for platform in platforms
                if not any(name in platform or platform in name for name in own_names)
            ]
            is_column = 0 < len(set(named)) <= MOST_PLATFORMS and 2 * len(named) >= sampled
            is_heading = any(name in heading for name in other_names)
            if (is_column or is_heading) and not any(name in heading for name in own_names):
                yield tenant


def _fold_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return names as they appear in folded text in lower case."""
    return tuple(filter(None, map(fold_word, names)))


def _heading(searched: SearchResult, document: int, rows: range) -> str:
    """Return the text above the first row of a document, in lower case."""
    start = int(searched.batch.starts[document])
    end = min(int(searched.rows.start[rows[0]]), start + HEADING_BYTES)
    return lower(searched.batch.data[start:end].tobytes().decode("utf-8", "ignore"))


def _find_platform(searched: SearchResult, row: int) -> str | None:
    """Return the platform that a row names in its platform column, in lower case, or None."""
    text, style = searched.rows.text(row)[:ROW_BYTES], int(searched.rows.style[row])
    for name, cell in _split_cells(text, style, searched.rows.columns(row)):
        keyed = KEYED.match(cell)
        word, value = (keyed[1], keyed[2]) if keyed and not name else (name, cell)
        if _normalize_label(word) in PLATFORM_COLUMNS:
            platform = lower(value).strip(" \t\"'")
            is_name = (
                2 <= len(platform) <= NAME_CHARACTERS
                and "@" not in platform
                and not platform.isdigit()
            )
            return platform if is_name and platform not in NO_PLATFORMS else None
    return None


class _Names:
    """The names in one tenant's settings."""

    def __init__(self, others: Iterable[str], own: Iterable[str]) -> None:
        meanings_of = collect_forms({OTHER: others, "": own}, {}, ())
        names = {
            form: meanings
            for form, meanings in meanings_of.items()
            if any(entry.kind == "brand" for entry in meanings)
        }
        words = [
            (literal, _is_other(meanings))
            for form, meanings in names.items()
            for literal in literals(form)
        ]
        self._literals = Literals(*whole_words([literal for literal, _ in words]))
        self._length = np.array([len(literal) for literal, _ in words], np.int64)
        self._is_other = np.array([is_other for _, is_other in words], bool)

    def find(self, searched: SearchResult) -> tuple[Places, Flags]:
        """Return where names begin in a batch, and whether each is another platform's.

        Names that are part of a longer one, or of a candidate such as a mail address, are omitted.
        """
        number, end = self._literals.find(searched.batch.data)
        start = end - self._length[number]
        order = np.lexsort((-end, start))
        number, start, end = number[order], start[order], end[order]
        whole = end > np.concatenate(([0], np.maximum.accumulate(end)[:-1]))
        whole &= ~_is_inside_candidate(searched, start)
        return start[whole], self._is_other[number[whole]]


def _is_other(meanings: Iterable[LexiconEntry]) -> bool:
    """Return whether a form is only a name of other platforms."""
    return {entry.brand[0] for entry in meanings if entry.kind == "brand"} == {OTHER}


def _is_inside_candidate(searched: SearchResult, places: Places) -> Flags:
    """Return which places lie in a candidate, such as a mail address."""
    candidates = searched.candidates
    if not len(candidates.start):
        return np.zeros(len(places), bool)
    before = np.searchsorted(candidates.start, places, "right") - 1
    inside: Flags = (before >= 0) & (candidates.end[before] > places)
    return inside


ROW_BYTES = 8_192
MOST_VALUES = 12
MOST_OWNERS = 4
LOAN_AMOUNTS = frozenset(
    "金额 贷款 贷款金额 贷款额 贷款本金 借款 借款金额 借款额 借款本金 放款 放款金额 放款额 发放金额"
    " 到账金额 合同金额 本金 amount amt loan loanamount loanamt principal loanprincipal"
    " disbursedamount disbursementamount disbursed".split()
)
LOAN_DATES = frozenset(
    "日期 贷款日期 贷款时间 贷款日 借款日期 借款时间 借款日 放款日期 放款时间 放款日 发放日期"
    " 发放时间 到账日期 到账时间 起息日 合同日期 date loandate loantime loanedat disbursedat"
    " disbursementdate disburseddate disbursedate disbursementtime".split()
)
"""Words for a loan's amount and its date.

Other days of a loan (applied for, due) and other amounts (limit, due) are not among them: one pair
is enrolled, and an application on the day before must not count as another's list.
"""
NO_WORD = re.compile(r"[\s_\-.\"'`\[\]【】]+|\([^()]{0,8}\)|（[^（）]{0,8}）")
OWNER = re.compile(r"^(?:user|customer|cust|client|客户|用户)")


class RowComparison(NamedTuple):
    """The customers of a batch whose rows were compared; columns [n].

    `document` and `subject` are the place and the customer, `is_sure` is whether the values are
    declared a loan's, `agrees` whether a pair is the customer's.
    """

    document: Places
    subject: Places
    is_sure: npt.NDArray[np.bool_]
    agrees: npt.NDArray[np.bool_]


class AmountPairs(NamedTuple):
    """The pairs of a row that are compared: amounts in cents with days; in memory only."""

    is_sure: bool
    cents: tuple[int, ...]
    days: tuple[int, ...]

    def __repr__(self) -> str:
        """Return the number of pairs, never their values."""
        return f"Pairs({len(self.cents)})"


NOTHING = RowComparison(
    np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool), np.empty(0, bool)
)


@dataclass(slots=True)
class Witnesses:
    """Customers of one capture whose values were compared, and whether any row agrees.

    They are separate by whether the values are labelled as a loan's.
    """

    _sure: dict[int, bool] = field(default_factory=dict)
    _unsure: dict[int, bool] = field(default_factory=dict)

    def add(self, subject: int, *, is_sure: bool, agrees: bool) -> None:
        """Add the comparison of one row."""
        into = self._sure if is_sure else self._unsure
        into[subject] = agrees or into.get(subject, False)

    @property
    def comparable(self) -> int:
        """Return how many customers' amount and date could be compared."""
        return len(self._compare_customers())

    @property
    def agreeing(self) -> int:
        """Return how many of them agree in some row."""
        return sum(self._compare_customers().values())

    def _compare_customers(self) -> dict[int, bool]:
        """Return the comparable customers, and whether each agrees."""
        if not (self._sure or self._unsure):  # in most captures
            return {}
        unsure = self._unsure if 2 * sum(self._unsure.values()) >= len(self._unsure) else {}
        return {
            who: self._sure.get(who, False) or unsure.get(who, False)
            for who in self._sure.keys() | unsure.keys()
        }


def compare_rows(epoch: Epoch, searched: SearchResult, matches: RowMatches) -> RowComparison:
    """Compare the rows of matched customers with the private attributes in this epoch's list.

    The result is empty if the list has no such attributes, or no row has an amount and a date.
    """
    if not {(KIND, HOLDER), (KIND, PAIR)} <= epoch.list.kinds or not len(matches):
        return NOTHING
    row, subject = _select_comparable(epoch, matches)
    read = {number: read_pairs(searched.rows.text(number), int(searched.rows.style[number]),
        searched.rows.columns(number))
            for number in np.unique(row).tolist()}  # fmt: skip
    which = np.array([place for place, number in enumerate(row.tolist()) if read[number]], np.int64)
    if not len(which):
        return NOTHING
    row, subject = row[which], subject[which]
    row_pairs = [read[number] for number in row.tolist()]
    count = np.array([len(pairs_of_row.cents) for pairs_of_row in row_pairs if pairs_of_row])
    handles = np.repeat(epoch.list.raw_handles(subject), count, axis=0)
    queried = pairs(
        handles,
        [c for pairs_of_row in row_pairs if pairs_of_row for c in pairs_of_row.cents],
        [d for pairs_of_row in row_pairs if pairs_of_row for d in pairs_of_row.days],
    )
    agrees = epoch.list.belongs(
        epoch.tags.tagger(KIND, PAIR).tag(queried), np.repeat(subject, count)
    )
    any_agrees = np.logical_or.reduceat(agrees, np.cumsum(count) - count)
    return RowComparison(
        searched.rows.document[row],
        subject,
        np.array([pairs_of_row.is_sure for pairs_of_row in row_pairs if pairs_of_row]),
        any_agrees,
    )


def _select_comparable(epoch: Epoch, found: RowMatches) -> tuple[Places, Places]:
    """Return distinct rows and customers, of customers whose private attributes are listed."""
    in_row = found.row != NONE
    owners = Owners.from_pairs(found.row[in_row], found.subject[in_row])
    subjects = np.unique(owners.subject)
    tags = epoch.tags.tagger(KIND, HOLDER).tag(holders(epoch.list.raw_handles(subjects)))
    holding = subjects[epoch.list.belongs(tags, subjects)]
    _, number, count = np.unique(owners.row, return_inverse=True, return_counts=True)
    chosen = np.isin(owners.subject, holding) & (count[number] <= MOST_OWNERS)
    return owners.row[chosen], owners.subject[chosen]


def read_pairs(text: bytes, style: int, columns: HeaderColumns) -> AmountPairs | None:
    """Return every pair of an amount and a date in a row written in `style`; None without either.

    If one of each is labelled as the loan's, only labelled ones are used. Only the first ROW_BYTES
    (8,192) of the row are read, and of amounts and dates the first MOST_VALUES (12) each.
    """
    amounts, dates = list[Value](), list[Value]()
    for name, cell in _split_cells(text[:ROW_BYTES], style, columns):
        amounts += (Value(value, word or name) for value, word in amounts_in(cell))
        dates += (Value(value, word or name) for value, word in dates_in(cell))
    sure = (
        [value for value, word in amounts if _normalize_label(word) in LOAN_AMOUNTS],
        [v for v, w in dates if _normalize_label(w) in LOAN_DATES],
    )
    is_sure = all(sure)
    cents, days = (
        sure if is_sure else ([value for value, _ in amounts], [value for value, _ in dates])
    )
    amount_dates = [
        (c, d)
        for c in dict.fromkeys(cents[:MOST_VALUES])
        for d in dict.fromkeys(days[:MOST_VALUES])
    ]
    return (
        AmountPairs(is_sure, tuple(c for c, _ in amount_dates), tuple(d for _, d in amount_dates))
        if amount_dates
        else None
    )


def _split_cells(text: bytes, style: int, columns: HeaderColumns) -> Iterator[tuple[str, str]]:
    """Yield the cells of a row, each with its name from the header or statement, or ""."""
    names: Sequence[str] = columns.names if style == LINE else ()
    row_tuple = tuple_in(text) if style == LINE else None
    if row_tuple:
        head = INSERT.match(text.lstrip())
        names = head[2].decode("utf-8", "ignore").split(",") if head and head[2] else ()
        text, style = text[row_tuple.start : row_tuple.end], TUPLE
    separator = columns.separator_in(style)
    cells = split(text, separator, style)
    for name, cell in zip(
        names if len(names) == len(cells) else ("",) * len(cells), cells, strict=True
    ):
        yield name, cell.replace(HIDDEN, separator).decode("utf-8", "ignore")


def _normalize_label(word: str) -> str:
    """Return a column's label without signs, unit and owner."""
    return OWNER.sub("", NO_WORD.sub("", word.lower()))
