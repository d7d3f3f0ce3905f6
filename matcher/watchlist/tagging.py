"""Define what is enrolled of a column of values: its normal form, and the keys of its hashes.

Cells in the normal form are processed as a column, the remaining ones singly. A cell is clean if
`kinds()[kind].normalise` returns it unchanged and its checksum holds; the detectors of
`matcher.detect` decide that by the rules with which they search texts.

A value is enrolled in the forms of `ullage.lookup.values`, many at a time, and masked:
`138****8000`, `4403**********1234`, `440301********1234`. One of a million customers has almost any
masked phone number, so masks only corroborate. Cards have no masked form: a card's hash must never
be stored beside its first or last digits (PCI DSS 3.5.1).

There is one key per (purpose, tenant, kind, form) under the random key of a key generation; the
purposes `match` and `index` never meet.

Private attributes show whose list a leak is. They are a loan's amount and date, enrolled as keyed
pairs for a random 5 % of customers. Another lender may have our customers, but not the amount and
the day of their loans with us. A chosen customer has two entries of 24 bytes: a hash of the
pseudonym, which shows that there is a pair, and one of pseudonym and pair, so that equal loans of
two customers have nothing in common. A keyed hash of the customer's reference decides who is
chosen, under a key that only the build host has: the same people at every load. An amount is a
number of cents, a date is YYYYMMDD; implausible ones are never compared.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, Places, Texts, concatenate, encode_hex
from matcher.detect.email import are_normal_addresses
from matcher.detect.number_rules import are_normal_cards, are_normal_ids, are_normal_phones
from matcher.detect.numbers import WIDTH
from ullage.identifiers import kinds
from ullage.identifiers.email import strip_plus
from ullage.identifiers.masked_value import FORM as MASKED
from ullage.identifiers.masked_value import KEPT
from ullage.lookup.values import (
    DIGEST_INPUTS,
    DIGESTED,
    DIGESTS,
    DOMESTIC,
    PLAIN,
    WHOLE,
    DigestInput,
)
from ullage.regex import compile_later
from ullage.security.cmac import TAG_BYTES, derive_key
from ullage.security.keys import KeyStore, compute_check_value, list_generations
from ullage.security.tags import Tagger, Tags

CHOICES = {"none": (), "phone": ("phone",), "all": DIGESTED}
"""The values of `--digests`."""
CHECK_VALUE = b"ullage key check"
SELF_TEST = ("self-test", "plain", "ullage self-test")
"""Kind, form and value of the self-test entry; no text holds a value of that kind."""
SELF_TEST_HANDLE = b"\xff" * TAG_BYTES
"""The pseudonym of the self-test entry's customer, who does not exist.

It is the last of all, so that it does not affect the numbers of customers.
"""


class FormValues(NamedTuple):
    """Values of one form; `rows` are the numbers of their values in the column."""

    form: str
    rows: npt.NDArray[np.int64]
    texts: Texts


def normal_name(text: str) -> str:
    """Return a personal name without spaces, in lower case.

    Names alone match nobody; they only corroborate other matches.
    """
    return "".join(text.split()).lower()


def entries_of(kind: str, digested: bool) -> int:
    """Return how many entries one value makes; a plus-tag or a final X makes more."""
    digests = sum(
        len(written.parts(form))
        for written in DIGEST_INPUTS.get(kind, ())
        if digested and not written.is_lower
        for form in DIGESTS
    )
    return 1 + digests + len(KEPT.get(kind, ()))


def list_forms(kind: str, texts: Texts, digested: bool) -> Iterator[FormValues]:
    """Yield the forms in which a column's normal values are enrolled, each with its row numbers.

    These are plain, masked and, with `digested`, digests. Yields nothing without values.
    """
    if not len(texts):
        return
    rows = np.arange(len(texts), dtype=np.int64)
    yield FormValues(PLAIN, rows, texts)
    if kind == "email" and len(tagged := np.flatnonzero((texts.table == ord("+")).any(axis=1))):
        bare = Texts.pack([strip_plus(text).encode() for text in texts.take(tagged).strings()])
        yield FormValues(PLAIN, tagged, bare)
        if digested:
            yield from (FormValues(e.form, tagged[e.rows], e.texts) for e in _digests(kind, bare))
    if digested:
        yield from _digests(kind, texts)
    whole = _domestic(kind, texts)
    if len(whole):
        for head, tail in KEPT.get(kind, ()):
            yield FormValues(MASKED, whole, _mask(texts.take(whole), head, tail))


def _digests(kind: str, texts: Texts) -> Iterator[FormValues]:
    """Yield digests of the values, each as it may be written, and in the parts that are enrolled.

    Forms that no value has are left out.
    """
    for written in DIGEST_INPUTS[kind]:
        rows = _select_rows(kind, texts, written)
        contents = [_write(written, value) for value in texts.take(rows).messages()]
        if not contents:
            continue
        for form in DIGESTS:
            digest = getattr(hashlib, form)
            raw = b"".join([digest(each, usedforsecurity=False).digest() for each in contents])
            text = encode_hex(np.frombuffer(raw, np.uint8).reshape(len(rows), -1))
            for part in written.parts(form):
                yield FormValues(
                    form,
                    rows,
                    Texts.whole(text if part is WHOLE else np.ascontiguousarray(text[:, part])),
                )


def _select_rows(kind: str, texts: Texts, written: DigestInput) -> npt.NDArray[np.int64]:
    """Return the rows whose values are `written` so, as `DigestInput.applies` decides."""
    rows = _domestic(kind, texts) if written.prefix else np.arange(len(texts), dtype=np.int64)
    if not written.is_lower:
        return rows
    ends_in_x = texts.table[rows, texts.lengths[rows] - 1] == ord("X")
    return np.flatnonzero(ends_in_x)


def _write(written: DigestInput, value: bytes) -> bytes:
    return written.write(value.decode()).encode()


def _domestic(kind: str, texts: Texts) -> npt.NDArray[np.int64]:
    """Return which values have the length that is masked and digested with prefixes.

    A foreign number begins with `+`.
    """
    return np.flatnonzero(
        (texts.lengths == DOMESTIC.get(kind, 0)) & (texts.table[:, 0] != ord("+"))
    )


def _mask(texts: Texts, head: int, tail: int) -> Texts:
    """Return the values with stars between the first `head` and the last `tail` characters.

    All values must have the same length.
    """
    length = int(texts.lengths[0])
    table = texts.table[:, :length].copy()
    table[:, head : length - tail] = ord("*")
    return Texts(table, texts.lengths)


class TagKeys:
    """The taggers of one tenant, purpose and key generation, created on demand.

    Raises ConfigError if the key is missing or damaged.
    """

    def __init__(self, keys: KeyStore, tenant: str, purpose: str, epoch: int) -> None:
        name = f"{tenant}/{purpose}-{epoch}.key"
        self._key = keys.read(name)
        self.noted = (name, compute_check_value(self._key, name))
        """The key's name and check value."""
        self._tenant, self._purpose = tenant, purpose
        self._taggers: dict[tuple[str, str], Tagger] = {}

    def tagger(self, kind: str, form: str) -> Tagger:
        """Return the object that computes keyed hashes of values of one kind and form."""
        if (kind, form) not in self._taggers:
            key = derive_key(self._key, self._purpose, self._tenant, kind, form)
            self._taggers[kind, form] = Tagger(key)
        return self._taggers[kind, form]

    def tag(self, kinds: Sequence[str], forms: Sequence[str], values: Sequence[str]) -> Tags:
        """Return the keyed hash of each value, under the key of its kind and form: u8[n, 16].

        `kinds`, `forms` and `values` have equal length.
        """
        out = np.empty((len(values), TAG_BYTES), np.uint8)
        groups: dict[tuple[str, str], list[int]] = {}
        for place, pair in enumerate(zip(kinds, forms, strict=True)):
            groups.setdefault(pair, []).append(place)
        for (kind, form), places in groups.items():
            out[places] = self.tagger(kind, form).tag([values[i].encode() for i in places])
        return out

    def noting_key(self) -> bytes:
        """Return the 32-byte key that authenticates this host's records of erasures.

        It cannot sign a customer list.
        """
        return derive_key(self._key, "amended", self._tenant)

    def self_test(self) -> Tags:
        """Return the keyed hash (1, 16) of the self-test entry."""
        kind, form, value = SELF_TEST
        return self.tagger(kind, form).tag([value.encode()])

    def check_value(self) -> str:
        """Return 16 hex digits that differ for different keys and reveal nothing about the key.

        They are the beginning of a fixed message's keyed hash.
        """
        return self.tagger("check", "plain").tag_one(CHECK_VALUE)[:8].hex()


class HandleKey:
    """Makes handles of customer references, under a key that only the building host has."""

    def __init__(self, keys: KeyStore, tenant: str) -> None:
        key = keys.read(f"{tenant}/handle.key")
        self._tagger = Tagger(derive_key(key, "handle", tenant))
        self._lots = Tagger(derive_key(key, "witness", tenant))

    def tags(self, references: Texts) -> Tags:
        """Return the handles (n, 16) of references."""
        return self._tagger.tag_rows(references.table, references.lengths)

    def chosen(self, references: Texts, share: float) -> npt.NDArray[np.bool_]:
        """Return which customers are of a random `share` of all, 0 to 1: bool[n].

        The key decides, so it is the same at each load.
        """
        lots = (
            self._lots.tag_rows(references.table, references.lengths)[:, :8]
            .copy()
            .view(">u8")
            .ravel()
        )
        below: npt.NDArray[np.bool_] = lots < np.uint64(int(share * (1 << 64)))
        return below


def check_values_of(keys: KeyStore, tenant: str) -> tuple[tuple[str, str], ...]:
    """Return (name, check value) of the tenant's other keys on which the use of a list depends.

    These are the newest key of index hashes, and the key of pseudonyms.
    """
    index = [
        f"{tenant}/index-{number}.key" for number in list_generations(keys, tenant, "index")[-1:]
    ]
    return tuple(
        (name, compute_check_value(keys.read(name), name))
        for name in (*index, f"{tenant}/handle.key")
    )


def handles(keys: KeyStore, tenant: str, references: Iterable[str]) -> Tags:
    """Return the pseudonyms of customer references: (n, 16)."""
    return HandleKey(keys, tenant).tags(
        Texts.pack([reference.encode() for reference in references])
    )


Flags = npt.NDArray[np.bool_]
NO_SHAPE, NO_CHECKSUM, TOO_LONG = "has the wrong format", "fails its checksum", "is too long"
LONGEST = 64
"""Bytes of a cell that may be clean."""


def normalise_column(kind: str, cells: Texts) -> tuple[Places, Texts, dict[int, str]]:
    """Return the rows that hold a valid value, their normal forms, and the faults by row.

    Blank cells are in neither. The rows are not in order: those that were normalised one by one
    come last.
    """
    clean = _clean(kind, cells)
    long = cells.too_long()
    good = np.flatnonzero(clean & ~long)
    irregular = np.flatnonzero(~clean & ~long & (cells.lengths > 0))
    faults = dict.fromkeys(np.flatnonzero(long).tolist(), TOO_LONG)
    if not len(irregular):
        return good, cells.take(good), faults
    rows, normals = [], []
    for row, text in zip(irregular.tolist(), cells.take(irregular).strings(), strict=True):
        if text.strip():
            normal, fault = normalise_value(kind, text)
            if fault:
                faults[row] = fault
            else:
                rows.append(row)
                normals.append(normal.encode())
    if not rows:
        return good, cells.take(good), faults
    return (
        np.concatenate((good, np.array(rows, np.int64))),
        concatenate((cells.take(good), Texts.pack(normals))),
        faults,
    )


def normalise_value(kind: str, text: str) -> tuple[str, str]:
    """Return (normal form, ""), or ("", the fault).

    An ID whose checksum fails is a typing error in the list: it can never be found. A card that
    fails Luhn is enrolled, since some issuers have such cards.
    """
    kind_entry = kinds().get(kind)
    normal = kind_entry.normalise(text) if kind_entry else normal_name(text)
    if not normal:
        return "", NO_SHAPE
    if kind_entry and kind != "card" and not kind_entry.check(normal):
        return "", NO_CHECKSUM
    return normal, ""


def _clean(kind: str, cells: Texts) -> Flags:
    """Return which cells are already in their normal form, as far as `TESTS` shows."""
    test = TESTS.get(kind)
    if test is None or not len(cells):
        return np.zeros(len(cells), bool)
    width = min(cells.table.shape[1], LONGEST)
    text = np.zeros((len(cells), max(WIDTH, -(-width // 8) * 8)), np.uint8)
    text[:, :width] = cells.table[:, :width]
    return test(text, cells.lengths) & (cells.lengths <= LONGEST)


def _are_han(text: Bytes, lengths: Places) -> Flags:
    """Return which texts have only Chinese characters.

    They have three bytes each, the first from E4 to E9 (U+4000 to U+9FFF).
    """
    clean: Flags = (lengths > 0) & (lengths % 3 == 0)
    for place in range(0, text.shape[1], 3):
        clean &= (lengths <= place) | ((text[:, place] - np.uint8(0xE4)) < 6)
    return clean


TESTS: dict[str, Callable[[Bytes, Places], Flags]] = {
    "phone": are_normal_phones,
    "resident_id": are_normal_ids,
    "card": are_normal_cards,
    "email": are_normal_addresses,
    "name": _are_han,
}
"""Tests of which cells, u8[n, width] and their lengths, are in the normal form.

A test may reject too many, never too few.
"""


def clean_references(cells: Texts) -> tuple[Texts, dict[int, str]]:
    """Return customer references without surrounding spaces, and the faults by row.

    A faulty reference (empty, too long, with a control character) stays as it is in the first.
    """
    long = cells.too_long()
    visible = (cells.table > 0x20) & (cells.table < 0x7F)
    doubtful = np.flatnonzero(
        ~(visible | ~cells.mask_contents()).all(axis=1) | (cells.lengths == 0) | long
    )
    if not len(doubtful):
        return cells, {}
    faults, stripped = {}, {}
    for row, text in zip(doubtful.tolist(), cells.take(doubtful).strings(), strict=True):
        reference = text.strip()
        if long[row]:
            faults[row] = TOO_LONG
        elif not reference:
            faults[row] = "is empty"
        elif not reference.isprintable():
            faults[row] = "contains a control character"
        elif reference != text:
            stripped[row] = reference.encode()
    if not stripped:
        return cells, faults
    messages = cells.messages()
    for row, reference_bytes in stripped.items():
        messages[row] = reference_bytes
    return Texts.pack(messages), faults


WITNESS = "witness"
HOLDER, PAIR = "holder", "amount-date"
"""Forms: that a customer has a pair, and the pair."""
CHOSEN_SHARE = 0.05
"""The share of customers who are chosen.

It is a policy: enough for ten among 200 people of a leak, while 95 % have nothing enrolled.
"""
CENTS = range(100_00, 10_000_000_00 + 1)
"""100 to 10,000,000 yuan.

Smaller numbers are fees, ages and months, larger ones counts; a day as YYYYMMDD is above.
"""
YEARS = range(2000, 2050)
LONGEST_VALUE = 64
"""Characters of a cell that is only an amount or a date."""

TIMES = {"": 1, "k": 1_000, "千": 1_000, "w": 10_000, "万": 10_000, "百万": 1_000_000}
_NUMBER = r"(?P<whole>\d{1,3}(?:[, ]\d{3}){1,2}|\d{1,8})(?P<part>\.\d{1,6})?"
_MONEY = (
    rf"(?:(?:¥|rmb|cny|人民币)\s?)?{_NUMBER}"
    r"\s?(?P<times>百万|[kw千万])?\s?(?:元整?|圆整?|块钱?|rmb|cny)?"
)
AMOUNT = re.compile(rf"\+?{_MONEY}")
_ALONE = (
    r"(?<![0-9a-z.,/_@%+$\-])(?<!\d:)",
    r"(?![0-9a-z.,:/_@%\-][0-9a-z]|[0-9a-z_@%万千百亿期岁天个月年日号/\-])",
)
IN_TEXT = re.compile(_MONEY.join(_ALONE))
"""An amount within a text; no part of another number or word, and no count of things."""
_TIME = (
    r"(?:[t ]{0,2}(?:\d{1,2}[:时]\d{1,2}(?:[:分](?:\d{1,2}秒?(?:\.\d{1,9})?)?)?)"
    r"(?:\s?(?:z|[+\-]\d\d:?\d\d))?)?"
)
_DAY = (
    r"(?P<year>\d{4})(?:(?P<sign>[\-/.])(?P<month>\d{1,2})(?P=sign)(?P<day>\d{1,2})"
    r"|年(?P<month_2>\d{1,2})月(?P<day_2>\d{1,2})[日号]|(?P<month_3>\d{2})(?P<day_3>\d{2})(?:\d{6})?)"
)
DATE = re.compile(_DAY + _TIME)
DATE_IN_TEXT = re.compile(rf"(?<![0-9a-z.,/_\-]){_DAY}(?![0-9])(?![\-/.,][0-9])")
WORD = compile_later(
    r"([一-鿿a-z][一-鿿a-z_ ]{0,23})[\s\"'`】\])}]{0,3}[:=是为]?[\s\"'`【(\[{]{0,3}$"
)
BEFORE = 36
"""Characters before a value that may hold the word for it."""


class Value(NamedTuple):
    """An amount in cents or a date as YYYYMMDD, in memory only.

    `word` is the word before it, "" for none.
    """

    value: int
    word: str

    def __repr__(self) -> str:
        """Return the word, never the value."""
        return f"Value({self.word!r})"


def fold_signs(text: str) -> str:
    """Return `text` with ASCII digits and signs, in lower case."""
    return (
        text.lower()
        if text.isascii()
        else unicodedata.normalize("NFKC", text).lower().replace("￥", "¥")
    )


def amount_of(text: str) -> int | None:
    """Return the amount of money in a cell, in cents; None if it is no plausible amount.

    >>> [amount_of(text) for text in ("1,234.50", "￥1234.5", "0.12万", "12期")]
    [123450, 123450, 120000, None]
    """
    match = AMOUNT.fullmatch(fold_signs(text).strip()) if len(text) <= LONGEST_VALUE else None
    return _cents(match) if match else None


def date_of(text: str) -> int | None:
    """Return the date in a cell as the number YYYYMMDD; None if it is no plausible date.

    A time behind the date is ignored.

    >>> [date_of(text) for text in ("2026-01-05", "2026/1/5", "2026年1月5日 10:20", "2026-02-30")]
    [20260105, 20260105, 20260105, None]
    """
    match = DATE.fullmatch(fold_signs(text).strip()) if len(text) <= LONGEST_VALUE else None
    return _day(match) if match else None


def amounts_in(text: str) -> Iterator[Value]:
    """Yield the amounts in a cell or a piece of text, in order; never a date."""
    text_without_dates = DATE_IN_TEXT.sub("\0", fold_signs(text))
    for match in IN_TEXT.finditer(text_without_dates):
        cents = _cents(match)
        if cents is not None:
            yield Value(cents, _word(text_without_dates, match.start()))


def dates_in(text: str) -> Iterator[Value]:
    """Yield the dates in a cell or a piece of text, in order."""
    read = fold_signs(text)
    for match in DATE_IN_TEXT.finditer(read):
        day = _day(match)
        if day is not None:
            yield Value(day, _word(read, match.start()))


def private_entries(
    handles: Tags, cents: Sequence[int], days: Sequence[int]
) -> Iterator[tuple[str, list[bytes]]]:
    """Yield each form of private attributes, with the message to hash for every customer.

    `handles` (u8[n, 16]) are the customers' pseudonyms; each has an amount in `cents` and a date in
    `days`.
    """
    yield HOLDER, holders(handles)
    yield PAIR, pairs(handles, cents, days)


def holders(handles: Tags) -> list[bytes]:
    """Return the messages to hash for customers who have a pair."""
    return [handle.tobytes() for handle in handles]


def pairs(handles: Tags, cents: Sequence[int], days: Sequence[int]) -> list[bytes]:
    """Return the messages to hash for customers with a pair each."""
    return [
        handle.tobytes() + b"%d/%d" % (amount, day)
        for handle, amount, day in zip(handles, cents, days, strict=True)
    ]


def _cents(match: re.Match[str]) -> int | None:
    digits = match["whole"].replace(",", "").replace(" ", "") + (match["part"] or "")
    cents = Decimal(digits) * TIMES[match["times"] or ""] * 100
    return int(cents) if cents == int(cents) and int(cents) in CENTS else None


def _day(match: re.Match[str]) -> int | None:
    month, day = (
        match[name] or match[f"{name}_2"] or match[f"{name}_3"] for name in ("month", "day")
    )
    try:
        parsed = date(int(match["year"]), int(month), int(day))
    except ValueError:
        return None
    return parsed.year * 10_000 + parsed.month * 100 + parsed.day if parsed.year in YEARS else None


def _word(text: str, place: int) -> str:
    match = WORD.search(text[max(0, place - BEFORE) : place])
    return match[1].strip() if match else ""
