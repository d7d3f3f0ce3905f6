"""What columns tell is what a pass of hyperscan over everything tells: octets, an x in an IBAN,
letters for digits, capitals.
"""

import re

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.columns.literals import BYTES, Literals
from matcher.detect import abroad, unread
from matcher.detect.labelled_phones import load_countries
from matcher.text.events import find_in_columns
from matcher.text.spellings import list_spellings

OCTETS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "31",
                "38",
                "40",
                "64",
                "49",
                "56",
                "061",
                "62",
                "100",
                "6c",
                "2e",
                "U+0031",
                "0x33",
                r"\x40",
                "3",
                "12:30",
            )
        ),
        st.sampled_from((" ", ",", "h ", ", ", "-", "|", "", "\n", "é")),
    ),
    max_size=24,
).map(lambda pairs: "".join(octet + sign for octet, sign in pairs))
WITH_X = st.lists(
    st.sampled_from(("DE", "D", "E", "89", "8", "9", "x", "X", " x ", " ", "3704", "ab12", ",")),
    max_size=14,
).map("".join)
ALIKE = st.lists(
    st.sampled_from(
        ("l38", "138", "|38", "the", "OO13", "8000", "0|13", "word", " ", ".", "-", "\t", "a")
    ),
    max_size=12,
).map("".join)
WORDS = (
    "DE",
    "XX",
    "of",
    "USA",
    ",",
    ";",
    " ",
    "(",
    ")",
    "\n",
    '"',
    "0170",
    "01709625982",
    "49",
    "+",
    "name",
    "é",
)
CELLS = st.lists(st.sampled_from(WORDS), max_size=14).map("".join)


@given(st.lists(st.one_of(OCTETS, WITH_X), max_size=3))
@example(["1 " * 60 + "U+0031 " * 9])
@example(["31 33 38 30 30 31 33 38 30 30 30", "a@b", "0x61 0x62 0x40 0x63 0x64 0x65"])
@example([r"U+0061, U+0062, U+0040, U+0066, U+0067, U+0068, "])
@example([r"\\x61h, \\x62h, \\x40h, \\x63h, \\x64h, \\x65h"])
@example(["DE89 x 3704 x 0044"])
def test_every_matching_gate_is_found(texts: list[str]) -> None:
    batch = Batch.join([text.encode() for text in texts])
    matched = {
        (rule, place)
        for rules, places in find_in_columns(batch.classes, short=0)
        for rule, place in zip(rules, places, strict=True)
    }
    for number, rule in enumerate(list_spellings()):
        if rule.near is not None:
            everywhere = Literals(rule.near_gate, BYTES).find(batch.data)[1] - 1
            assert {place for matched_rule, place in matched if matched_rule == number} >= set(
                everywhere.tolist()
            )


@given(st.lists(ALIKE, max_size=3))
@example(["l38 OO13 8000", "138-0013-8000,|38.00|3.8000"])
def test_letters_used_as_digits_are_found(texts: list[str]) -> None:
    batch = Batch.join([text.encode() for text in texts])
    places = set(unread._find_lookalike_numbers(batch).tolist())
    digit = "[0-9OoIl|SBZ]"
    number = re.compile(rf"(?=([1Il|]{digit}{{2}}[ .-]{digit}{{4}}[ .-]{digit}{{4}}))".encode())
    assert places == {
        match.end(1)
        for match in number.finditer(batch.data.tobytes())
        if re.search(b"[^0-9 .-]", match[1])
    }


@given(st.lists(CELLS, max_size=3))
@example(["DE,01709625982", "name;DE\n0170 9625982;XX"])
def test_countries_are_found_in_rows_with_numbers(texts: list[str]) -> None:
    batch = Batch.join([text.encode() for text in texts])
    at_once, cells = abroad._with_letters(batch)
    number, end = abroad._compile_letter_patterns().find(batch.data)
    assert set(at_once.tolist()) == set((end[number == abroad.BEHIND_LETTERS] - 2).tolist())
    before, behind = abroad.EDGE_BEFORE, abroad.EDGE_BEHIND
    country = re.compile(rf"(?<={before})(?: )?(?=([A-Z]{{2}}){behind})".encode())
    lines = batch.lines(end[number != abroad.BEHIND_LETTERS] - 2)
    written = [
        match for match in country.finditer(batch.data.tobytes()) if match[1] in load_countries()
    ]
    expected = np.array(sorted({match.start(1) for match in written}), np.int64)
    assert sorted(cells.tolist()) == expected[np.isin(batch.lines(expected), lines)].tolist()
