"""Find phone numbers of other countries that are written without a plus sign.

Such a number is as long as a card, an order or a date, so something must say what it is:

    a label, or the header of a column     `Tel. 4917096259826`
    a label in the language of a country   `SĐT: 0912 345 678`
    a country or calling code beside it    `DE | 0170 9625982`, `{"country":"DE",…}`
    a column of countries or codes         `Land;Telefon`

The number must also fit the numbering plan of its country. Where only a country stands in the
same row, the number must begin with 0 or be the next cell. Countries are in `countries.tsv`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import hyperscan
import numpy as np

from matcher.columns.batch import Batch, Flags, Places
from matcher.columns.bitset import CASE, SPACE, is_one_of, is_one_pair_of, places, shift_back
from matcher.columns.literals import BYTES, TEXT, Literals, SearchPatterns, spell_out, stretches
from matcher.detect.candidates import NATIONAL, Segment
from matcher.detect.labelled_phones import (
    NO_DIGIT,
    NUMBER,
    SHORTEST,
    Found,
    PhoneReader,
    format_dialled,
    load_countries,
)
from matcher.detect.marked_values import (
    BEGINS,
    ENDS,
    any_label,
    columns,
    headers_of,
    keep_first_lines,
)
from matcher.detect.phone_labels import (
    COLUMN_NAME_END,
    TAIL,
    VCARD,
    list_column_names,
    list_countries,
)
from matcher.text.fold import list_scripts
from matcher.text.group_numbers import split_labels
from ullage.identifiers import kinds, phone
from ullage.regex import compile_later

COUNTRY_HEADERS = tuple(
    (
        "country nation nationality country_name countryname land nationalität nationalitaet staat"
        " pays nationalité país pais nacionalidad paese region 国家 国籍 国家/地区 国家地区 国别"
        " 所在国家 国 country/region iso iso2 iso3 iso_code"
    ).split()
)
CODE_HEADERS = tuple(
    (
        "country_code countrycode dial_code dialcode dialling_code dialing_code calling_code"
        " callingcode phone_code phonecode area_code areacode vorwahl ländervorwahl laendervorwahl"
        " landesvorwahl indicatif prefijo prefisso cc 国家代码 国家码 国际区号 国际冠码 区号"
        " 国家区号 电话区号 手机区号 phone_country_code mobile_country_code"
    ).split()
)
PHONE, COUNTRY, CODE = "phone", "country", "code"
NEAR, MOST_LINES = 160, 3
"""Distance of a number from its country.

NEAR is in bytes, within one row. MOST_LINES is in lines, within a record of one field per line.
"""
SHOWN = 7
"""Bytes of a number that the pattern of a label includes."""
SIGN = r"[0-9 ()./\-]"
FIRST = rf"(?:[2-9]{SIGN}|0[1-9 ()./\-]|1[02 ().\-])"
"""First characters of a number that is not a mobile number of China.

Numbers with 00 are found by `search`.
"""
ANY_NUMBER = re.compile(rb"[0-9](?:[ ./()\-]{0,2}[0-9]){6}")
TOKEN = compile_later(
    rf"(?=[0-9A-Za-z+(\x80-\xff])(?:((?<![0-9A-Za-z+.])(?:\+|00)[1-9][0-9]{{0,2}}(?![0-9A-Za-z]|"
    rf" ?[0-9(])"
    rf"|(?<![0-9A-Za-z+.]){NUMBER}|(?<![0-9A-Za-z.])\+?[1-9][0-9]{{0,2}}(?![0-9A-Za-z.]))"
    r"|([A-Za-z\x80-\xff][A-Za-z\x80-\xff_]*+(?:[ /\-][A-Za-z\x80-\xff]++)*+))".encode("latin-1")
)
"""The look-ahead at its start skips characters that begin no token."""
EDGE_BEFORE_SIGNS, EDGE_BEHIND_SIGNS = ",;|\t\n:=>(\"'`", " ,;|\t\n\"'`}<)"
EDGE_BEFORE, EDGE_BEHIND = f"[{EDGE_BEFORE_SIGNS}]", f"[{EDGE_BEHIND_SIGNS}]"
LETTERS = b"USA|CAN|DEU|GER|GBR|FRA|ESP|ITA|AUT|CHE|NLD|BEL|UAE|HKG|TWN|SGP|JPN|KOR|AUS|IND|RUS"
LONGEST_CODE, WIDTH, PLUS = 3, 24, ord("+")
FIRST_OF_NUMBERS = frozenset(b"0123456789(+")


@cache
def _labels() -> Mapping[str, str]:
    """Return what stands behind or below each label: a phone, a country or a calling code."""
    phones = dict.fromkeys(phone.HEADERS, PHONE)
    meanings = {
        **phones,
        **dict.fromkeys(COUNTRY_HEADERS, COUNTRY),
        **dict.fromkeys(CODE_HEADERS, CODE),
    }
    return {word: name for label, name in meanings.items() for word in list_scripts(label)}


@cache
def patterns() -> SearchPatterns:
    """Return the prescan patterns for numbers of other countries.

    The first patterns find a country or calling code behind a label, as a cell, or before a number.
    Then come numbers behind a phone label, and last the headers of phone columns.
    """
    names = sorted({name.lower() for name in load_countries() if len(name) > LONGEST_CODE})
    labels = "|".join(map(re.escape, (*COUNTRY_HEADERS, *CODE_HEADERS)))
    behind = ("[0-9]{0,2}[\"'`]? ?[,;|\\t]",)
    codes = spell_out(map(re.escape, "\n,;|\t\"'`"), ("", " "), (r"\+", "00"), "123456789", behind)
    return SearchPatterns(
        (
            f"[^0-9A-Za-z](?:{labels})[\"'`)\\]]{{0,2}} ?[:=] ?[^ ]".encode(),
            b"%s ?(?:%s)%s" % (EDGE_BEFORE.encode(), LETTERS, EDGE_BEHIND.encode()),
            *(code.encode() for code in codes),
            *map(re.escape, names),
            *(pattern.encode() for pattern in (*_label_patterns(), *_column_patterns())),
        ),
        (
            BYTES,
            hyperscan.HS_FLAG_DOTALL,
            *(BYTES for _ in (*codes, *names)),
            *(TEXT for _ in (*_label_patterns(), *_column_patterns())),
        ),
    )


@cache
def _label_patterns() -> tuple[str, ...]:
    """Return the patterns of a phone label and the first SHOWN bytes of a number behind it."""
    first = f"{FIRST}{SIGN}{{{SHOWN - 2}}}"
    groups = split_labels(headers_of(kinds()[PHONE]))
    return (*(f"{any_label(group)}{TAIL}{first}" for group in groups), f"[\n.]{VCARD}{first}")


@cache
def _column_patterns() -> tuple[str, ...]:
    """Return the patterns of a phone label as the header of a column."""
    groups = split_labels(headers_of(kinds()[PHONE]))
    return tuple(
        f"{BEGINS}(?:{'|'.join(map(re.escape, group))}){COLUMN_NAME_END}{ENDS}" for group in groups
    )


@cache
def _compile_letter_patterns() -> Literals:
    """Return patterns for lines that hold two capitals.

    They find a national number directly behind the capitals, a cell of capitals beside a number,
    and a national number.
    """
    return Literals(
        (
            b"[^0-9A-Za-z][A-Z]{2}[)\\]]?[ :/\\-][(]?0[1-9][0-9]{2}",
            f"{EDGE_BEFORE} ?[A-Z]{{2}}[\"'`]? ?[,;|\\t][ \"'`(+]{{0,3}}[0-9]".encode(),
            f"[0-9][\"'`]? ?[,;|\\t][ \"'`(]{{0,3}}[A-Z]{{2}}{EDGE_BEHIND}".encode(),
            f"{EDGE_BEFORE} ?[(]?0[1-9][0-9]{{2}}".encode(),
        ),
        hyperscan.HS_FLAG_DOTALL,
    )


LABELLED = 0
"""Number of the pattern of a country behind its label."""
BEHIND_LETTERS = 0
"""Number of the pattern of `_compile_letter_patterns` for a number directly behind letters."""


def find_abroad(
    batch: Batch, hits: tuple[Places, Places], codes: tuple[str, ...] = ()
) -> list[Segment]:
    """Find numbers of other countries without a plus sign, each one time.

    `hits` are the prescan's hits of `patterns` in the batch: pattern number and end, each i64[n].
    `codes` are the calling codes of which a list has customers. The result has at most two
    segments, in order of place: numbers in E.164 form, then, weak and of form NATIONAL, numbers as
    dialled behind a label, which may be of any country and have a length that a country of `codes`
    has. Without hits, and without capitals that suggest a country, the result is [].
    """
    number, end = hits
    with_letters = _with_letters(batch)
    if not len(number) and not any(map(len, with_letters)):
        return []
    text = batch.data.data
    columns_from = len(patterns().wanted) - len(_column_patterns())
    labels_from = columns_from - len(_label_patterns())
    reader = PhoneReader(text, codes)
    reader.read_behind_labels(end[(number >= labels_from) & (number < columns_from)] - SHOWN)
    read_lines = _read_tables(
        batch, reader, np.unique(batch.lines(end[number >= columns_from] - 2))
    )
    country_places = np.concatenate((end[number < labels_from] - 2, *with_letters))
    reader.matches.update(
        _read_records(batch, text, country_places, end[number == LABELLED] - 2, read_lines)
    )
    segments = []
    if reader.matches:
        segments.append(_segment(sorted(reader.matches)))
    if reader.national:
        segments.append(replace(_segment(sorted(reader.national)), form=NATIONAL, weak=True))
    return segments


def _read_tables(batch: Batch, reader: PhoneReader, heads: Places) -> Places:
    """Read the phone columns below the lines `heads` into `reader`.

    Returns the lines that have a cell of a country column. Of each text only the first HEADERS (4)
    headers are read. Below a header that gives no column, numbers are read that follow on a line
    each.
    """
    read_lines, names = [np.empty(0, np.int64)], _list_header_names()
    # where a list has customers abroad, chance is excluded behind the look-up
    alone = list_column_names() if reader.codes else _home_column_names()
    for line in keep_first_lines(batch, heads).tolist():
        below = columns(batch, np.array([line]), names, alone)
        country_columns = [column for column in below if _labels()[column.name] != PHONE]
        read_lines += [batch.lines(column.start) for column in country_columns[:1]]
        for column in below:
            if _labels()[column.name] == PHONE:
                reader.read_column(batch, column, country_columns)
        if not below:
            reader.read_lines_below(batch, line)
    return np.concatenate(read_lines)


@cache
def _list_header_names() -> Mapping[str, str]:
    """Return the label in each header of a column of phones, countries or calling codes."""
    return {label: label for label in _labels()} | dict(list_column_names())


@cache
def _home_column_names() -> frozenset[str]:
    """Return the headers of phone columns that imply a country by their language."""
    home = {label for label, countries in list_countries().items() if countries.home}
    return frozenset(name for name, label in list_column_names().items() if label in home)


def _with_letters(batch: Batch) -> tuple[Places, Places]:
    """Return the places where two capitals suggest a country.

    The first are capitals with a national number directly behind them. The second are a country's
    capitals that are a cell of a row with a number. Few lines hold two capitals alone, which is
    computed in columns; only these lines are searched for the rest.
    """
    data, letter, word = batch.data, batch.classes.letter, batch.classes.word
    alone = letter & shift_back(letter, 1) & ~shift_back(word, 2) & batch.classes.free
    capitals = places(alone)
    capitals = capitals[(data.take(capitals) | data.take(capitals + 1)) & np.uint8(CASE) == 0]
    if not len(capitals):
        return capitals, capitals
    line, begins = np.unique(batch.lines(capitals)), batch.line_starts
    number, end = _compile_letter_patterns().find(
        data, stretches(begins[line] - 1, begins[line + 1], len(data))
    )
    at_once = number == BEHIND_LETTERS
    return end[at_once] - 2, _countries_beside(batch, capitals, end[~at_once] - 2)


def _countries_beside(batch: Batch, capitals: Places, number_places: Places) -> Places:
    """Select the capitals that are a country and a cell in a line that holds a number.

    Both `capitals` and `number_places` are places in the buffer.
    """
    data = batch.data
    before = data.take(capitals - 1 - (data.take(capitals - 1) == SPACE))
    countries = capitals[
        is_one_of(before, EDGE_BEFORE_SIGNS.encode())
        & is_one_of(data.take(capitals + 2), EDGE_BEHIND_SIGNS.encode())
    ]
    countries = countries[
        is_one_pair_of(data.take(countries), data.take(countries + 1), _list_alpha2_codes())
    ]
    return np.asarray(countries[np.isin(batch.lines(countries), batch.lines(number_places))])


@cache
def _list_alpha2_codes() -> frozenset[bytes]:
    """Return the countries' codes of two letters (ISO 3166-1 alpha-2)."""
    return frozenset(word for word in load_countries() if len(word) == 2 and word.isupper())


def _segment(matches: Sequence[Found]) -> Segment:
    start, end = (np.array([match[at] for match in matches], np.int64) for at in (0, 1))
    normal = np.array([match[2] for match in matches], f"S{WIDTH}")
    size = np.strings.str_len(normal)
    return Segment(
        PHONE,
        "plain",
        start,
        end,
        normal.view(np.uint8).reshape(-1, WIDTH),
        size,
        np.ones(len(matches), bool),
    )


class Tokens(NamedTuple):
    """The countries, or the numbers, in a stretch of the buffer.

    `places` holds the index of each among all tokens of the stretch.
    """

    places: list[int]
    texts: list[str]
    labelled: list[bool]

    def columns(self, batch: Batch, span: Places) -> tuple[Places, Places, Places, Places, Flags]:
        """Return begins, ends, lines, indices, and whether a label stands before each token.

        `span` i64[tokens, 2] holds the spans of all tokens.
        """
        place = np.array(self.places, np.int64)
        start, end = span[place].T
        return start, end, batch.lines(start), place, np.array(self.labelled, bool)


def _read_records(
    batch: Batch, text: memoryview, country_places: Places, labelled: Places, read_lines: Places
) -> Iterator[Found]:
    """Yield national numbers whose country is in the same row or record.

    Only lines that name a country, and those up to MOST_LINES (3) lines around a country's label,
    are read. Lines in `read_lines` are skipped.
    """
    if not len(country_places):
        return
    around = (batch.lines(labelled)[:, None] + np.arange(-MOST_LINES, MOST_LINES + 1)).ravel()
    lines = np.setdiff1d(np.concatenate((batch.lines(country_places), around)), read_lines)
    lines = lines[(lines >= 0) & (lines < len(batch.line_starts) - 1)]
    if not len(lines):
        return
    begins = np.flatnonzero(np.diff(lines, prepend=-2) > 1)
    ends = np.append(begins[1:], len(lines)) - 1
    first = batch.line_starts
    stretches = zip(first[lines[begins]].tolist(), first[lines[ends] + 1].tolist(), strict=True)
    matches = [
        match
        for begin, end in stretches
        if ANY_NUMBER.search(text, begin, end)
        for match in TOKEN.finditer(text, begin, end)
    ]
    numbers, countries = _split_tokens([match[0] for match in matches])
    if countries.texts and numbers.texts:
        span = np.array([match.span() for match in matches], np.int64)
        yield from _pair_neighbours(
            numbers.columns(batch, span),
            countries.columns(batch, span),
            numbers.texts,
            countries.texts,
        )


def _pair_neighbours(
    number: tuple[Places, Places, Places, Places, Flags],
    country: tuple[Places, Places, Places, Places, Flags],
    digits: Sequence[str],
    codes: Sequence[str],
) -> Iterator[Found]:
    """Yield the numbers that fit the country next before or behind them.

    Their places must show that both belong together: the same row, at most NEAR (160) bytes apart,
    or labelled fields of one record, at most MOST_LINES (3) lines apart. A number that fits both
    neighbours is yielded for each.
    """
    start, end, line, place, is_labelled = number
    at = np.searchsorted(country[3], place)
    has_trunk = np.array([text[0] == "0" for text in digits], bool)
    for neighbour in (at - 1, at):
        exists = (neighbour >= 0) & (neighbour < len(codes))
        own_start, own_end, own_line, own_place, own_labelled = (
            column.take(neighbour, mode="clip") for column in country
        )
        near = (own_line == line) & (np.maximum(start - own_end, own_start - end) <= NEAR)
        near &= is_labelled | has_trunk | (np.abs(place - own_place) == 1)
        near |= is_labelled & own_labelled & (np.abs(own_line - line) <= MOST_LINES)
        for row in np.flatnonzero(near & exists).tolist():
            if normal := format_dialled(codes[neighbour[row]], digits[row]):
                yield int(start[row]), int(end[row]), normal


def _split_tokens(tokens: Sequence[bytes]) -> tuple[Tokens, Tokens]:
    """Split tokens into the numbers and the countries among them.

    A short number, or a country in lower case, counts only directly behind a label of a code or
    country. All other tokens are dropped.
    """
    numbers, countries = Tokens([], [], []), Tokens([], [], [])
    readings, before = {token: _classify(token) for token in set(tokens)}, ""
    for place, token in enumerate(tokens):
        kind, text = readings[token]
        label, before = before, ""
        if kind in WHOLE or (kind, label) in BY_LABEL:
            places, texts, labelled = numbers if kind == NUMBER_TOKEN else countries
            places.append(place)
            texts.append(text)
            labelled.append(label != "")
        elif kind == LABEL:
            before = text
    return numbers, countries


NUMBER_TOKEN, COUNTRY_TOKEN, SMALL, LOWER, LABEL, WORD = range(6)
WHOLE, BY_LABEL = (
    frozenset((NUMBER_TOKEN, COUNTRY_TOKEN)),
    frozenset(((SMALL, CODE), (LOWER, COUNTRY))),
)
"""Token kinds that count alone, and those that count only behind a label.

SMALL is a number that may be a calling code. LOWER is a word in lower case that may be a
country.
"""


def _classify(token: bytes) -> tuple[int, str]:
    """Classify a token, and return its kind with the number, code or label that it states."""
    if token[0] in FIRST_OF_NUMBERS:
        digits = token.translate(None, NO_DIGIT).decode()
        if len(digits) >= SHORTEST:
            return NUMBER_TOKEN, digits
        return (
            COUNTRY_TOKEN if token[0] == PLUS or digits[:2] == "00" else SMALL
        ), digits.removeprefix("00")
    if label := _labels().get(token.lower().decode(errors="replace")):
        return LABEL, label
    if code := load_countries().get(token):
        return COUNTRY_TOKEN, code
    code = load_countries().get(token.upper(), "")
    return (LOWER, code) if code else (WORD, "")
