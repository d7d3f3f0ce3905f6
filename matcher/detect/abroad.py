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
from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple

import hyperscan
import numpy as np

from matcher.columns.batch import Batch, Flags, Places
from matcher.columns.bitset import CASE, SPACE, is_one_of, is_one_pair_of, places, shift_back
from matcher.columns.literals import BYTES, TEXT, Literals, SearchPatterns, spell_out, stretches
from matcher.detect.candidates import Segment
from matcher.detect.marked_values import (
    LabelColumn,
    any_label,
    columns,
    header_pattern,
    headers_of,
    keep_first_lines,
)
from matcher.text.fold import list_scripts
from matcher.text.group_numbers import BEHIND_LABELS, split_labels
from ullage.identifiers import kinds, phone
from ullage.identifiers.base import GAP
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
WITHOUT_TRUNK = frozenset(("852", "853"))
"""Calling codes of countries whose numbers never begin with 0."""
LONGEST_LABEL = 64
"""Bytes before a number that may hold its label and the gap."""
NO_LABEL = bytes.maketrans(b"0123456789", b"\n" * 10)
"""Translates digits to line ends, to cut off text before a label: no label holds a digit."""
GLUED = re.compile(r"[0-9A-Za-z][a-z]")
"""A letter or digit before the first letter of a Latin label."""
NEAR, MOST_LINES = 160, 3
"""Distance of a number from its country.

NEAR is in bytes, within one row. MOST_LINES is in lines, within a record of one field per line.
"""
LATIN_WORDS, HAN_WORDS = ("no", "nr", "number", "num"), ("号", "号码")
"""Words for "number" that may stand between a label and its number."""
LAST_WORD = re.compile(rf" ?(?:{'|'.join((*LATIN_WORDS, *HAN_WORDS))})\Z")
TAIL = rf"(?:\.|(?: ?(?:{'|'.join(LATIN_WORDS)})\.?)|{'|'.join(HAN_WORDS)})?{GAP}"
SHOWN = 7
"""Bytes of a number that the pattern of a label includes."""
SIGN = r"[0-9 ()./\-]"
FIRST = rf"(?:[2-9]{SIGN}|0[1-9 ()./\-]|1[02 ().\-])"
"""First characters of a number that is not a mobile number of China.

Numbers with 00 are found by `search`.
"""
NUMBER = r"\(?[0-9](?:[ ./()\-]{0,2}[0-9]){6,14}(?![0-9A-Za-z]|[.,][0-9])"
BEGINS = re.compile(NUMBER.encode())
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
NO_DIGIT = bytes(set(range(256)) - set(b"0123456789"))
LONGEST_CODE, SHORTEST = 3, 7
WIDTH, LONGEST, ONE, THREE, PLUS = 24, 24, ord("1"), ord("3"), ord("+")
FIRST_OF_NUMBERS = frozenset(b"0123456789(+")
TRUNKS = {"7": "8", "36": "06"}
"""Digits that stand for the trunk prefix 0 in other countries, by calling code."""


@cache
def _countries() -> Mapping[bytes, str]:
    """Return the calling code of each country, by its code or name as written."""
    lines = (
        (resources.files(__package__) / "countries.tsv").read_text(encoding="utf-8").splitlines()
    )
    code_of_name = dict[bytes, str]()
    for code, codes, *names in (
        line.split("\t") for line in lines if line and not line.startswith("#")
    ):
        written = (
            *codes.split(),
            *(form for name in names for form in (name, name.lower(), name.upper())),
        )
        code_of_name.update((word.encode(), code) for word in written)
    return code_of_name


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
def _home_codes() -> Mapping[str, tuple[str, ...]]:
    """Return the calling codes, likeliest first, that a phone label implies by its language.

    Labels are in lower case. Traditional characters stand for Taiwan, Hong Kong or Macau.
    """
    by_label = {label: codes for codes, labels in phone.HOME_LABELS.items() for label in labels}
    traditional = (
        form for label in phone.HEADERS if label not in by_label for form in list_scripts(label)[1:]
    )
    return dict.fromkeys(traditional, tuple(phone.TRADITIONAL.split())) | by_label


@cache
def _home_sizes() -> tuple[int, ...]:
    """Return the lengths of labels that imply a country, longest first."""
    return tuple(sorted({len(label) for label in _home_codes()}, reverse=True))


@lru_cache(maxsize=4096)
def _codes_before(text: bytes) -> tuple[str, ...]:
    """Return the calling codes that the label at the end of a text implies; () for none.

    Words and signs that may stand behind the label are skipped.
    """
    shown = text.decode(errors="replace").lower().rstrip(f"{BEHIND_LABELS}.")
    for label_end in (shown, LAST_WORD.sub("", shown)):
        for size in _home_sizes():
            label = label_end[-size:]
            is_apart = not (
                label[:1].isascii()
                and label_end[-size - 1 : -size].isascii()
                and label_end[-size - 1 : -size].isalnum()
            )
            if is_apart and (codes := _home_codes().get(label)):
                return codes
    return ()


@cache
def _phone_headers() -> list[list[str]]:
    """Return the labels of phone numbers, in groups that fit into one pattern each."""
    return split_labels(headers_of(kinds()[PHONE]))


@cache
def patterns() -> SearchPatterns:
    """Return the prescan patterns for numbers of other countries.

    The first patterns find a country or calling code behind a label, as a cell, or before a number.
    Then come numbers behind a phone label, and last the headers of phone columns.
    """
    names = sorted({name.lower() for name in _countries() if len(name) > LONGEST_CODE})
    labels = "|".join(map(re.escape, (*COUNTRY_HEADERS, *CODE_HEADERS)))
    behind = ("[0-9]{0,2}[\"'`]? ?[,;|\\t]",)
    codes = spell_out(map(re.escape, "\n,;|\t\"'`"), ("", " "), (r"\+", "00"), "123456789", behind)
    headers = _phone_headers()
    return SearchPatterns(
        (
            f"[^0-9A-Za-z](?:{labels})[\"'`)\\]]{{0,2}} ?[:=] ?[^ ]".encode(),
            b"%s ?(?:%s)%s" % (EDGE_BEFORE.encode(), LETTERS, EDGE_BEHIND.encode()),
            *(code.encode() for code in codes),
            *map(re.escape, names),
            *(
                f"{any_label(group)}{TAIL}{FIRST}{SIGN}{{{SHOWN - 2}}}".encode()
                for group in headers
            ),
            *(header_pattern(group).encode() for group in headers),
        ),
        (
            BYTES,
            hyperscan.HS_FLAG_DOTALL,
            *(BYTES for _ in (*codes, *names)),
            *(TEXT for _ in (*headers, *headers)),
        ),
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
Found = tuple[int, int, str]
"""Start and end of a number, and the number as E.164."""


def find_abroad(batch: Batch, hits: tuple[Places, Places]) -> list[Segment]:
    """Find numbers of other countries without a plus sign, each one time.

    `hits` are the prescan's hits of `patterns` in the batch: pattern number and end, each i64[n].
    """
    number, end = hits
    with_letters = _with_letters(batch)
    if not len(number) and not any(map(len, with_letters)):
        return []
    text = batch.data.data
    columns_from = len(patterns().wanted) - len(_phone_headers())
    labels_from = columns_from - len(_phone_headers())
    behind_label = (number >= labels_from) & (number < columns_from)
    matches = set(_read_behind_labels(text, end[behind_label] - SHOWN))
    heads, read_lines = (
        np.unique(batch.lines(end[number >= columns_from] - 2)),
        [np.empty(0, np.int64)],
    )
    names = {label: label for label in _labels()}
    for line in keep_first_lines(batch, heads).tolist():
        below = columns(batch, np.array([line]), names, _home_codes().keys())
        country_columns = [column for column in below if _labels()[column.name] != PHONE]
        read_lines += [batch.lines(column.start) for column in country_columns[:1]]
        phone_columns = [column for column in below if _labels()[column.name] == PHONE]
        matches.update(
            match
            for column in phone_columns
            for match in _read_column(batch, text, column, country_columns)
        )
    country_places = np.concatenate((end[number < labels_from] - 2, *with_letters))
    matches.update(
        _read_records(
            batch, text, country_places, end[number == LABELLED] - 2, np.concatenate(read_lines)
        )
    )
    return [_segment(sorted(matches))] if matches else []


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
    return frozenset(word for word in _countries() if len(word) == 2 and word.isupper())


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


def _read_behind_labels(text: memoryview, starts: Places) -> Iterator[Found]:
    """Yield the numbers that stand behind a label.

    They are read as dialled in a country of the label's language, or with their calling code.
    """
    for start in starts.tolist():
        if match := BEGINS.match(text, start):
            before = (
                bytes(text[max(0, start - LONGEST_LABEL) : start])
                .translate(NO_LABEL)
                .rpartition(b"\n")[2]
            )
            codes, digits = _codes_before(before), match[0].translate(None, NO_DIGIT).decode()
            if normal := _format_at_home(codes, digits) if codes else _format_with_code(digits):
                yield start, match.end(), normal


@lru_cache(maxsize=4096)
def _format_at_home(codes: tuple[str, ...], digits: str) -> str:
    """Return the number as E.164, or "" if it fits nothing.

    It is read in the first of these countries that it fits, else with its own calling code.
    """
    if any(
        digits.startswith(code) and phone.is_national(code, digits.removeprefix(code))
        for code in codes
    ):
        return f"+{digits}"
    dialled = (
        _format_dialled(code, digits)
        for code in codes
        if not (digits[0] == "0" and code in WITHOUT_TRUNK)
    )
    return next(filter(None, dialled), "") or _format_with_code(digits)


@lru_cache(maxsize=4096)
def _format_with_code(digits: str) -> str:
    """Return a calling code and national number as E.164, or "" if they are none.

    A mobile number of China gives "" too.
    """
    if phone.SHAPE.fullmatch(digits) and digits[1] != "0":
        return ""
    return f"+{digits}" if phone.is_number(digits) else ""


@lru_cache(maxsize=4096)
def _format_dialled(code: str, digits: str) -> str:
    """Return as E.164 a number as dialled in the country of a calling code; "" if it does not fit.

    The number may also begin with that calling code.
    """
    national = digits.removeprefix(TRUNKS.get(code, "0"))
    if phone.is_national(code, national):
        return f"+{code}{national}"
    if national != digits and phone.is_national(code, digits):
        return f"+{code}{digits}"
    bare = digits.removeprefix("00")
    return (
        f"+{bare}"
        if bare.startswith(code) and phone.is_national(code, bare.removeprefix(code))
        else ""
    )


def _read_column(
    batch: Batch, text: memoryview, column: LabelColumn, country_columns: Sequence[LabelColumn]
) -> Iterator[Found]:
    """Yield the numbers of a phone column.

    A number is read with the country that the `country_columns` have in its row. Without one it is
    read as in the country of the header's language, or with its own calling code.
    """
    rows = np.flatnonzero(
        (column.end - column.start >= SHORTEST) & (column.end - column.start <= LONGEST)
    )
    home = _home_codes().get(column.name, ())
    if not country_columns:  # a mobile number of China is read elsewhere
        rows = rows[
            (batch.data.take(column.start[rows]) != ONE)
            | (batch.data.take(column.start[rows] + 1) < THREE)
        ]
    cells = [(country.start.tolist(), country.end.tolist()) for country in country_columns]
    for row, start, end in zip(
        rows.tolist(), column.start[rows].tolist(), column.end[rows].tolist(), strict=True
    ):
        match = BEGINS.fullmatch(text, start, end)
        if match is None:
            continue
        digits = match[0].translate(None, NO_DIGIT).decode()
        codes = {
            code for first, last in cells if (code := _code(bytes(text[first[row] : last[row]])))
        }
        for normal in (
            [_format_dialled(code, digits) for code in codes]
            if codes
            else [_format_at_home(home, digits)]
        ):
            if normal:
                yield start, end, normal


@lru_cache(maxsize=4096)
def _code(cell: bytes) -> str:
    """Return the calling code that a cell states as a number or a country, or ""."""
    cell = cell.strip(b" \"'`()")
    digits = cell.removeprefix(b"+").removeprefix(b"00").decode("latin-1")
    if digits.isdecimal() and len(digits) <= LONGEST_CODE:
        return digits
    return _countries().get(cell) or _countries().get(cell.upper(), "")


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

    Lines in `read_lines` are skipped.
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

    Their places must show that both belong together: the same row, or fields of one record.
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
            if normal := _format_dialled(codes[neighbour[row]], digits[row]):
                yield int(start[row]), int(end[row]), normal


def _split_tokens(tokens: Sequence[bytes]) -> tuple[Tokens, Tokens]:
    """Split tokens into the numbers and the countries among them."""
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
    if code := _countries().get(token):
        return COUNTRY_TOKEN, code
    code = _countries().get(token.upper(), "")
    return (LOWER, code) if code else (WORD, "")
