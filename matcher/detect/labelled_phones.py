"""Read phone numbers without a plus sign that stand behind a label or below a header.

A label in the language of a country makes a national number E.164. Behind a plain label the number
keeps its digits as dialled, and each customer list reads it in the countries of its own customers
(`matcher.match.national`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from importlib import resources

import numpy as np

from matcher.columns.batch import Batch, Places
from matcher.detect.marked_values import LabelColumn
from matcher.detect.phone_labels import (
    NO_COUNTRIES,
    LabelCountries,
    find_countries,
    list_column_names,
    list_countries,
)
from ullage.identifiers import phone

NUMBER = r"\(?[0-9](?:[ ./()\-]{0,3}[0-9]){6,14}(?![0-9A-Za-z]|[.,][0-9])"
BEGINS = re.compile(NUMBER.encode())
NO_DIGIT = bytes(set(range(256)) - set(b"0123456789"))
SHORTEST, LONGEST, ONE, THREE = 7, 24, ord("1"), ord("3")
"""Digits of the shortest number; bytes of the longest cell; first digits of a mobile of China."""
WITHOUT_TRUNK = frozenset(("852", "853"))
"""Calling codes of countries whose numbers never begin with 0."""
LONGEST_LABEL = 64
"""Bytes before a number that may hold its label and the gap."""
NO_LABEL = bytes.maketrans(b"0123456789", b"\n" * 10)
"""Translates digits to line ends, to cut off text before a label: no label holds a digit."""
Found = tuple[int, int, str]
"""Start and end of a number, and the number as E.164 or as dialled."""


class PhoneReader:
    """A collection of the numbers behind labels in one buffer.

    `matches` are numbers as E.164. `national` are numbers as dialled, of a length that a country of
    `codes` has: the calling codes of which a list has customers. Their first digits are not
    checked, which takes longer than to look them up.
    """

    def __init__(self, text: memoryview, codes: tuple[str, ...]) -> None:
        self._text, self.codes = text, codes
        self._lengths = frozenset(
            length + trunk
            for code in codes
            for length in phone.list_lengths(code)
            for trunk in (0, len(phone.TRUNKS.get(code, "0")))
        )
        self.matches, self.national = set[Found](), set[Found]()

    def read_behind_labels(self, starts: Places) -> None:
        """Add the numbers at `starts`, each directly behind a label, to `matches` and `national`.

        A number that fits no country, neither the label's nor its own calling code, is not in
        `matches`.
        """
        for start in starts.tolist():
            if match := BEGINS.match(self._text, start):
                before = bytes(self._text[max(0, start - LONGEST_LABEL) : start])
                label = before.translate(NO_LABEL).rpartition(b"\n")[2]
                self._add(start, match.end(), match[0], find_countries(label))

    def read_column(
        self, batch: Batch, column: LabelColumn, country_columns: Sequence[LabelColumn]
    ) -> None:
        """Add the numbers of a phone column to `matches` and `national`.

        A number is read with each country that the `country_columns` have in its row; where they
        have none, as behind a label. Cells that hold more than a number are left out; without
        `country_columns` so are mobile numbers of China, which are read elsewhere.
        """
        rows = np.flatnonzero(
            (column.end - column.start >= SHORTEST) & (column.end - column.start <= LONGEST)
        )
        if not country_columns:  # a mobile number of China is read elsewhere
            rows = rows[
                (batch.data.take(column.start[rows]) != ONE)
                | (batch.data.take(column.start[rows] + 1) < THREE)
            ]
        cells = [(country.start.tolist(), country.end.tolist()) for country in country_columns]
        countries = list_countries().get(column.name, NO_COUNTRIES)
        for row, start, end in zip(
            rows.tolist(), column.start[rows].tolist(), column.end[rows].tolist(), strict=True
        ):
            match = BEGINS.fullmatch(self._text, start, end)
            if match is None:
                continue
            codes = {
                code
                for first, last in cells
                if (code := find_code(bytes(self._text[first[row] : last[row]])))
            }
            if codes:
                digits = match[0].translate(None, NO_DIGIT).decode()
                self._add_formatted(start, end, (format_dialled(code, digits) for code in codes))
            else:
                self._add(start, end, match[0], countries)

    def read_lines_below(self, batch: Batch, line: int) -> None:
        """Add the numbers that follow on a line each, below a `line` that is only a phone header.

        Nothing is added if `line` is none. The first line that holds anything else, or the end of
        the text, ends the numbers.
        """
        starts = batch.line_starts
        head = bytes(self._text[starts[line] : starts[line + 1] - 1]).decode(errors="replace")
        label = list_column_names().get(head.strip(" \t\r\"'`").lower())
        if label is None:
            return
        countries = list_countries().get(label, NO_COUNTRIES)
        document_end = int(batch.ends[batch.documents(batch.line_starts[[line]])[0]])
        for number in range(line + 1, len(starts) - 1):
            start, end = int(starts[number]), min(int(starts[number + 1]) - 1, document_end)
            match = BEGINS.match(self._text, start, end)
            if match is None or bytes(self._text[match.end() : end]).strip():
                return
            self._add(start, match.end(), match[0], countries)

    def _add(self, start: int, end: int, written: bytes, countries: LabelCountries) -> None:
        """Add a number behind a label that implies `countries`."""
        digits = written.translate(None, NO_DIGIT).decode()
        if countries is not NO_COUNTRIES:
            spoken = (code for code in countries.spoken if code in self.codes)
            self._add_formatted(start, end, (format_dialled(code, digits) for code in spoken))
        if normal := _format_at_home(countries.home, digits):
            self.matches.add((start, end, normal))
        if len(digits) in self._lengths:
            self.national.add((start, end, digits))

    def _add_formatted(self, start: int, end: int, normals: Iterable[str]) -> None:
        """Add the readings of one number that are not empty."""
        self.matches.update((start, end, normal) for normal in normals if normal)


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
        format_dialled(code, digits)
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
def format_dialled(code: str, digits: str) -> str:
    """Return as E.164 a number as dialled in the country of a calling code; "" if it does not fit.

    The number may also begin with that calling code.
    """
    national = digits.removeprefix(phone.TRUNKS.get(code, "0"))
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


@lru_cache(maxsize=4096)
def find_code(cell: bytes) -> str:
    """Return the calling code that a cell states as a number or a country; "" if it states none.

    A number of at most LONGEST_CODE digits counts as a code, whether a country has it or not.
    """
    cell = cell.strip(b" \"'`()")
    digits = cell.removeprefix(b"+").removeprefix(b"00").decode("latin-1")
    if digits.isdecimal() and len(digits) <= phone.LONGEST_CODE:
        return digits
    return load_countries().get(cell) or load_countries().get(cell.upper(), "")


@cache
def load_countries() -> Mapping[bytes, str]:
    """Return the calling code of each country in `countries.tsv`, by each of its codes and names.

    Names are there as written, in lower case and in capitals. The file is read one time.
    """
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
