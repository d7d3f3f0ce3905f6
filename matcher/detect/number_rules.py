"""Decide which numbers are mobile numbers, resident IDs, cards or company identifiers.

    phones        eleven digits, in one piece or in groups, with or without 86, 0086 or 0 before
    resident IDs  18 digits, or 17 and an X, in one piece or in groups; also 15 digits (until 1999)
    cards         13 to 19 digits in a scheme's range; cards that fail Luhn are reported as invalid
    company IDs   unified social credit codes: 18 letters and digits that pass MOD 31

The rules and tables are those of the same kind in `ullage/identifiers`. A plus sign or brackets
before 86 need no handling, because characters before the digits do not change them.

Everything is computed in columns. Check sums take eight digits at a time, as the bytes of one
integer that never carry into each other. (A matrix product is no slower, but its library starts
threads, which wait for one another.)
"""

from __future__ import annotations

import re
from functools import cache
from itertools import product

import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags, Places, is_date
from matcher.columns.bitset import (
    CASE,
    DOT,
    ONE,
    Classes,
    below,
    is_digit,
    is_one_of,
    places,
    shift_back,
    windows,
)
from matcher.detect.candidates import Segment, cut
from matcher.detect.numbers import (
    WIDTH,
    NumberColumns,
    NumberRuns,
    NumberShape,
    X,
    all_digits,
    is_space_or_dash,
    pair,
    pair_table,
    two,
)
from ullage.identifiers import card, phone, resident_id, uscc

EIGHT = 8
ID_LENGTH, OLD_ID_LENGTH, CODE_LENGTH = 18, 15, 18
SCHEME_DIGITS = 4
"""First digits that determine a card scheme's range."""
LOW_HALVES, EVERY_SECOND = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x00FF00FF00FF00FF)
"""Masks: the digits of eight characters; the first, third, fifth and seventh byte."""
FIRST_YEAR, LAST_YEAR = resident_id.YEARS
UPPER = 0xDF
DECIMALS, LONGEST_DECIMALS = re.compile(phone.DECIMALS.encode()), 8
NO_VALUE = 255
USUAL = b"159"
"""First digits of codes that are all digits: companies, associations, public bodies.

Resident IDs mostly begin otherwise.
"""


@cache
def _digits_of_letters() -> Bytes:
    """Return a table that turns letters into the digits they look like: u8[256].

    Every other byte maps to itself.
    """
    table = np.arange(256, dtype=np.uint8)
    for letter, digit in phone.LETTERS.items():
        table[ord(letter)] = ord(digit)
    return table


@cache
def _mobile_beginnings() -> Flags:
    """Return a table of the digit pairs that begin a mobile number: bool[65536]."""
    return pair_table(
        two
        for two in map("{:02}".format, range(100))
        if phone.SHAPE.fullmatch(two.ljust(phone.LENGTH, "0"))
    )


def is_mobile(text: Bytes) -> Flags:
    """Return which rows begin like a mobile number: bool[n].

    `text` holds digits, u8[n, w] with an even w.
    """
    return _mobile_beginnings().take(pair(text, 0))


def are_normal_phones(text: Bytes, length: Places) -> Flags:
    """Return which cells are mobile numbers in the form that customer lists contain: bool[n].

    A cell is the first `length` (i64[n]) bytes of its row in `text` (u8[n, w]).
    """
    normal: Flags = (length == phone.LENGTH) & all_digits(text, phone.LENGTH) & is_mobile(text)
    return normal


def _accepts_phones(batch: Batch, _classes: Classes, shape: NumberShape, start: Places) -> Flags:
    return _has_prefix(batch.windows(start, 8), shape.prefix) & ~_is_fraction(batch.data, start)


PHONE_SHAPES = tuple(
    NumberShape("phone", (first + len(prefix), *next_groups), _accepts_phones, prefix.encode())
    for prefix in phone.PREFIXES
    for first, *next_groups in phone.GROUPS
)


def find_phones(batch: Batch, runs: NumberRuns) -> list[Segment]:
    """Return the mobile numbers of China in a batch, as segments, one for each way of writing.

    They are in pieces, in groups, or with letters that look like digits, and all valid. `runs` are
    the batch's runs of digits. The decimals of a fraction, and a number with decimals, are left
    out.
    """
    phones = list[NumberColumns]()
    for prefix in phone.PREFIXES:
        plain = runs.digits.take_length(phone.LENGTH + len(prefix))
        if not len(plain.start):
            continue
        if prefix:
            plain = plain.select(_has_prefix(plain.text, prefix.encode()))
            plain = plain._replace(text=batch.windows(plain.end - phone.LENGTH, WIDTH))
        chosen = is_mobile(plain.text) & ~_is_fraction(batch.data, plain.start)
        phones.append(plain.select(chosen & ~_has_decimals(batch, plain.end)))
    phones += [numbers.select(is_mobile(numbers.text)) for _, numbers in runs.select_kind("phone")]
    phones.append(_with_letters(batch, batch.classes))
    return [numbers.segment("phone", phone.LENGTH) for numbers in phones if len(numbers.start)]


def _has_decimals(batch: Batch, end: Places) -> Flags:
    """Return behind which numbers stand decimals that end with a quote or markup."""
    has_dot: Flags = batch.data.take(end) == DOT
    for number in np.flatnonzero(has_dot).tolist():
        behind = batch.data[end[number] : end[number] + LONGEST_DECIMALS].tobytes()
        has_dot[number] = DECIMALS.match(behind) is not None
    return has_dot


def _with_letters(batch: Batch, classes: Classes) -> NumberColumns:
    """Find eleven-character words that are a mobile number with letters in place of digits.

    The letters are replaced by the digits they look like.
    """
    whole = (
        classes.words.find_starts(phone.LENGTH)
        & classes.free
        & ~shift_back(classes.word, phone.LENGTH)
    )
    start = places(whole & shift_back(classes.digit, 1) & ~classes.digits.find_starts(phone.LENGTH))
    text = batch.windows(start, WIDTH)
    enough = is_digit(text[:, : phone.LENGTH]).sum(1) >= phone.FEWEST_DIGITS
    text = _digits_of_letters().take(text)
    numbers = NumberColumns(start, start + phone.LENGTH, text)
    return numbers.select(
        enough & all_digits(text, phone.LENGTH) & is_mobile(text) & ~_is_fraction(batch.data, start)
    )


def _has_prefix(text: Bytes, prefix: bytes) -> Flags:
    """Return which rows begin with `prefix`, which may be empty."""
    return np.asarray((text[:, : len(prefix)] == np.frombuffer(prefix, np.uint8)).all(1))


def _is_fraction(data: Bytes, start: Places) -> Flags:
    """Return which numbers follow a digit and a dot."""
    fraction: Flags = data.take(start - 1) == DOT
    dotted = np.flatnonzero(fraction)
    fraction[dotted] = is_digit(data.take(start.take(dotted) - 2))
    return fraction


@cache
def _schemes() -> Bytes:
    """Return the card scheme of every first four digits: u8[10000].

    Schemes are counted from 1; 0 means none.
    """
    table = np.zeros(10_000, np.uint8)
    # one text with all numbers: ten times faster than one search for each
    numbers = " ".join(f"{first:04}" for first in range(len(table)))
    for scheme, (first, _) in enumerate(card.SCHEMES.values(), 1):
        table[
            [
                match.start() // (SCHEME_DIGITS + 1)
                for match in re.finditer(rf"\b(?:{first})", numbers)
            ]
        ] = scheme
    return table


@cache
def _ranges(length: int) -> Flags:
    """Return which first four digits a scheme uses for cards of that length: bool[10000]."""
    return np.array([False, *(length in lengths for _, lengths in card.SCHEMES.values())]).take(
        _schemes()
    )


def in_range(text: Bytes, length: int) -> Flags:
    """Return which rows begin with four digits that a scheme uses at that length: bool[n]."""
    if not len(text):
        return np.zeros(0, bool)
    in_use: Flags = _ranges(length).take(two(text, 0) * 100 + two(text, 2), mode="clip")
    return in_use


@cache
def _eight(places: range, value: int = 0xFF) -> np.uint64:
    """Return an integer of eight bytes with `value` in the bytes at these places.

    Places beyond the eighth byte are ignored.
    """
    return np.uint64(sum(value << 8 * place for place in places if place < EIGHT))


def luhn(text: Bytes, length: int) -> Flags:
    """Return which rows pass Luhn over their first `length` digits: bool[n].

    That these bytes are digits is not checked. A doubled digit above 4 counts nine less, as 2 · 7
    counts 1 + 4. Eight digits are summed at a time, each in its own byte, the first digit in the
    lowest. Three of them make 27 at most, and all bytes together less than 256.
    """
    total = np.zeros(len(text), np.uint64)
    for first in range(0, length, EIGHT):
        digits = text.view("<u8")[:, first // EIGHT] & _eight(range(length - first), 0x0F)
        doubled = digits & _eight(range((length - first) % 2, EIGHT, 2))
        above = doubled + _eight(range(EIGHT), 3)  # 5 and 3 make 8
        above >>= np.uint64(3)
        above &= _eight(range(EIGHT), 1)
        above *= np.uint64(9)
        total += digits
        total += doubled
        total -= above
    total *= _eight(range(EIGHT), 1)  # the highest byte becomes the sum of all
    total >>= np.uint64(56)
    holds: Flags = _tens().take(total.view(np.int64))
    return holds


@cache
def _tens() -> Flags:
    """Return which numbers are multiples of ten: bool[256]; a look-up beats a division."""
    are: Flags = np.arange(256) % 10 == 0
    return are


def are_valid_cards(text: Bytes, length: int) -> Flags:
    """Return which numbers of `length` digits are in a scheme's range and pass Luhn."""
    return in_range(text, length) & luhn(text, length)


def are_normal_cards(text: Bytes, length: Places) -> Flags:
    """Return which cells are card numbers in the form that customer lists contain: bool[n].

    The check digit may be wrong. A cell is the first `length` (i64[n]) bytes of its row in `text`
    (u8[n, w]).
    """
    normal = np.zeros(len(length), bool)
    for size in card.LENGTHS:
        rows = np.flatnonzero(length == size)
        normal[rows] = all_digits(text[rows], size) & in_range(text[rows], size)
    return normal


def _accepts_cards(batch: Batch, classes: Classes, shape: NumberShape, start: Places) -> Flags:
    """Return which grouped cards are not part of a longer grouped number.

    A group of one to four digits behind, or of four before, makes it longer. A dot between only
    two groups makes it a decimal fraction.
    """
    data, digit, end = batch.data, classes.digit, start + shape.length
    alone: Flags = np.ones(len(start), bool)
    if len(shape.groups) == 2:
        alone = data[start + shape.groups[0]] != DOT
    may = np.flatnonzero(is_space_or_dash(data.take(end)))
    following = windows(digit, end.take(may) + 1)
    alone[may[(following & ONE > 0) & (~following & below(5) > 0)]] = False
    may = np.flatnonzero(is_space_or_dash(data.take(start - 1)))
    alone[may[windows(digit, start.take(may) - 6) & below(5) == np.uint64(0b11110)]] = False
    return alone


CARD_SHAPES = tuple(NumberShape("card", groups, _accepts_cards) for groups in card.GROUPS)


def find_cards(runs: NumberRuns) -> list[Segment]:
    """Find cards that begin as a scheme's numbers of their length do; `valid` says who passes Luhn.

    A run of 18 digits that may be a resident ID counts as a card only where it passes Luhn.
    """
    pieces = [(length, runs.digits.take_length(length)) for length in card.LENGTHS]
    pieces = [
        (length, numbers.select(in_range(numbers.text, length)))
        for length, numbers in pieces
        if len(numbers.start)
    ]
    grouped = [
        (shape.size, numbers.select(in_range(numbers.text, shape.size)))
        for shape, numbers in runs.select_kind("card")
    ]
    segments = list[Segment]()
    for length, numbers in pieces:
        holds = luhn(numbers.text, length)
        may_be = holds | ~is_id(numbers.text) if length == ID_LENGTH else np.ones(len(holds), bool)
        segments.append(numbers.select(may_be).segment("card", length, holds[may_be]))
    segments += [
        numbers.segment("card", length, luhn(numbers.text, length)) for length, numbers in grouped
    ]
    return [segment for segment in segments if len(segment)]


@cache
def _regions() -> Flags:
    """Return a table of the pairs of digits that may begin an ID: bool[65536]."""
    return pair_table(resident_id.REGIONS)


def is_id(text: Bytes) -> Flags:
    """Return which rows of 18 characters have a possible region and birth date: bool[n].

    The check character is not tested.
    """
    year = two(text, 6) * 100 + two(text, 8)
    possible: Flags = _regions().take(pair(text, 0)) & (year >= FIRST_YEAR) & (year <= LAST_YEAR)
    possible &= is_date(year, two(text, 10), two(text, 12))
    return possible


@cache
def _checks() -> Bytes:
    """Return the check character for each weighted sum of the first 17 digits."""
    return np.resize(
        np.frombuffer(resident_id.CHECKS.encode(), np.uint8), 9 * sum(resident_id.WEIGHTS) + 1
    )


@cache
def _weights(first: int) -> np.uint64:
    """Pack every second of eight weights, from `first` on, into two bytes each.

    The first weight is in the highest bytes.
    """
    weights = resident_id.WEIGHTS[first : first - first % 2 + EIGHT : 2]
    return np.uint64(sum(weight << 16 * (3 - place) for place, weight in enumerate(weights)))


def check_characters(text: Bytes) -> Bytes:
    """Compute the last character of IDs from their first 17 digits: u8[n], ASCII.

    Every second byte of eight has room for two bytes. Multiplied by the weights in reverse order,
    the highest two bytes become the weighted sum, at most 4 · 9 · 10.
    """
    total = np.zeros(len(text), np.uint64)
    for first in (0, EIGHT):
        digits = text.view("<u8")[:, first // EIGHT] & LOW_HALVES
        for odd in (0, 1):
            alternate = (digits >> np.uint64(8 * odd)) & EVERY_SECOND
            alternate *= _weights(first + odd)
            total += alternate >> np.uint64(48)
    total += (text[:, 16] & 0x0F) * np.uint64(resident_id.WEIGHTS[16])
    return _checks().take(total.view(np.int64), mode="clip")


def are_normal_ids(text: Bytes, length: Places) -> Flags:
    """Return which cells are valid resident IDs in the form that customer lists contain: bool[n].

    A cell is the first `length` (i64[n]) bytes of its row in `text` (u8[n, w]).
    """
    shaped: Flags = (length == ID_LENGTH) & all_digits(text, ID_LENGTH - 1) & is_id(text)
    rows = np.flatnonzero(shaped)
    shaped[rows] = check_characters(text[rows]) == text[rows, ID_LENGTH - 1]
    return shaped


def _accepts_ids(batch: Batch, _classes: Classes, shape: NumberShape, start: Places) -> Flags:
    """Return which grouped IDs end as their shape says: bool[n].

    A shape with an X must end with one. An X in a group of its own must follow the same separator
    as the other groups. Shapes without an X accept everything.
    """
    end = start + shape.length
    alone: Flags = np.ones(len(start), bool)
    if shape.with_x:
        alone &= (batch.data[end - 1] | CASE) == (X | CASE)
        alone &= (shape.groups[-1] > 1) | (
            batch.data[end - 2] == batch.data[start + shape.groups[0]]
        )
    return alone


ID_SHAPES = tuple(
    NumberShape("resident_id", groups, _accepts_ids, with_x=with_x)
    for groups in resident_id.GROUPS
    for with_x in (False, True)
)


def find_resident_ids(runs: NumberRuns) -> list[Segment]:
    """Return the resident IDs among the runs of digits; `valid` says whose check holds.

    All have a possible region and birth date. IDs of 15 digits are expanded to 18 characters and
    have no check.
    """
    digits = runs.digits
    segments = [
        _ids_among(digits.before_x),
        _expand_old_ids(digits.take_length(OLD_ID_LENGTH)),
        _ids_in_runs(digits.take_length(ID_LENGTH)),
    ]
    segments += [_ids_among(numbers) for _, numbers in runs.select_kind("resident_id")]
    return [segment for segment in segments if len(segment)]


def _ids_among(numbers: NumberColumns) -> Segment:
    """Select the IDs of 18 characters, valid or not.

    The last character is a digit or an X of either case.
    """
    numbers = numbers.select(is_id(numbers.text))
    last = numbers.text[:, ID_LENGTH - 1]
    last &= np.where(last > X, ~np.uint8(CASE), 0xFF).astype(np.uint8)
    return numbers.segment("resident_id", ID_LENGTH, check_characters(numbers.text) == last)


def _ids_in_runs(numbers: NumberColumns) -> Segment:
    """Select the IDs among runs of 18 digits, valid or not."""
    numbers = numbers.select(is_id(numbers.text))
    return numbers.segment(
        "resident_id", ID_LENGTH, check_characters(numbers.text) == numbers.text[:, ID_LENGTH - 1]
    )


def _expand_old_ids(numbers: NumberColumns) -> Segment:
    """Select the IDs of 15 digits, expanded to 18 digits.

    The century is 19, or 18 for the order codes of people born before 1900.
    """
    text = np.zeros_like(numbers.text)
    text[:, :6], text[:, 8:17] = numbers.text[:, :6], numbers.text[:, 6:15]
    order = two(numbers.text, 12) * 10 + (numbers.text[:, 14] & 0x0F)
    text[:, 6], text[:, 7] = ord("1"), np.where(order >= resident_id.OLDEST, ord("8"), ord("9"))
    numbers = numbers._replace(text=text)
    numbers = numbers.select(is_id(text))
    numbers.text[:, ID_LENGTH - 1] = check_characters(numbers.text)
    return numbers.segment("resident_id", ID_LENGTH)


FIXED_WIDTH = phone.LENGTH + ID_LENGTH


def find_fixed_width(batch: Batch, runs: NumberRuns) -> list[Segment]:
    """Find phones and IDs in rows of fixed-width fields without separators, in either order.

    An example is `1380013800011010519491231002…`. A run of 29 digits is read as both where one end
    is a mobile number and the rest is an ID, whose date and check leave little to chance.
    """
    start, size = runs.digits.long
    start, segments = start[size == FIXED_WIDTH], list[Segment]()
    for phone_at, id_at in ((0, phone.LENGTH), (ID_LENGTH, 0)):
        numbers, ids = (
            NumberColumns(start + at, start + at + length, batch.windows(start + at, WIDTH))
            for at, length in ((phone_at, phone.LENGTH), (id_at, ID_LENGTH))
        )
        are_both = is_mobile(numbers.text) & is_id(ids.text)
        are_both &= check_characters(ids.text) == ids.text[:, ID_LENGTH - 1]
        if are_both.any():
            segments.append(numbers.select(are_both).segment("phone", phone.LENGTH))
            segments.append(ids.select(are_both).segment("resident_id", ID_LENGTH))
        start = start[~are_both]
    return segments


@cache
def _code_values() -> Bytes:
    """Return the value of each character of the alphabet of company codes: u8[256].

    Any other byte has NO_VALUE.
    """
    table = np.full(256, NO_VALUE, np.uint8)
    table[np.frombuffer(uscc.ALPHABET.encode(), np.uint8)] = np.arange(len(uscc.ALPHABET))
    return table


@cache
def _code_beginnings() -> Flags:
    """Return a table of the character pairs that are a department and a category: bool[65536].

    Letters of either case are accepted.
    """
    either = (set(may + may.lower()) for may in (uscc.DEPARTMENTS, uscc.CATEGORIES))
    return pair_table(map("".join, product(*either)))


@cache
def _code_provinces() -> Flags:
    """Return a table of the digit pairs that may begin a region: bool[65536]."""
    return pair_table(uscc.PROVINCES)


def find_company_ids(batch: Batch, runs: NumberRuns) -> list[Segment]:
    """Return the company codes of a batch in one segment, [] if there are none.

    A code with letters that fails its check is included as invalid. A run of digits is included
    only if it begins with 1, 5 or 9 and passes its check.
    """
    plain, mixed = runs.digits.take_length(CODE_LENGTH), runs.words.find_length(CODE_LENGTH)
    if not len(plain.start) and not len(mixed):
        return []
    plain = plain.select(is_one_of(plain.text[:, 0], USUAL))
    start, text, shaped = _select_codes(plain.start, plain.text)
    holds = _codes_hold(shaped)
    more, mixed_text, mixed_values = _select_codes(mixed, batch.windows(mixed, WIDTH))
    start = np.concatenate((start[holds], more))
    text = np.concatenate((text[holds], mixed_text))
    valid = np.concatenate((holds[holds], _codes_hold(mixed_values)))
    length = np.full(len(start), CODE_LENGTH, np.int64)
    return (
        [
            Segment(
                "uscc", "plain", start, start + CODE_LENGTH, cut(text, CODE_LENGTH), length, valid
            )
        ]
        if len(start)
        else []
    )


def _select_codes(start: Places, text: Bytes) -> tuple[Places, Bytes, Bytes]:
    """Select the rows of `text` u8[n, 24] that have the shape of a company code.

    Returns where they begin, the rows in upper case, and the value of each character.
    """
    regional = np.flatnonzero(
        _code_beginnings().take(pair(text, 0)) & _code_provinces().take(pair(text, 2))
    )
    start, text = start.take(regional), text.take(regional, axis=0)
    text &= np.where(text > ord("Z"), UPPER, NO_VALUE).astype(np.uint8)
    values = _code_values().take(text[:, :CODE_LENGTH])
    shaped = (values != NO_VALUE).all(1) & (values[:, 2:8] < 10).all(1)
    return start[shaped], text[shaped], values[shaped]


def _codes_hold(values: Bytes) -> Flags:
    """Return which codes pass MOD 31, from their 18 values: bool[n]."""
    total = values[:, :17].astype(np.int64) @ np.array(uscc.WEIGHTS)
    holds: Flags = values[:, 17] == -total % 31
    return holds


SHAPES = (*PHONE_SHAPES, *ID_SHAPES, *CARD_SHAPES)
"""How numbers are grouped."""
