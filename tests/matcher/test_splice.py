"""A spelling is read alone in its document and in one line of many, and reading lines is reading
the whole text.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.lexicon import Lexicon
from matcher.match.parts import Piece, read
from matcher.reference import find
from matcher.text import FoldedText, fold, unescape
from tests.matcher.test_encoded_cells import WAYS, customer
from tests.matcher.test_gate import DISGUISED, IN_PIECES, same
from tests.matcher.test_unescape_numbers import WRITTEN

PRESCAN = Lexicon({}).prescan
PHONE, ADDRESS = "13800138000", "li.wei8@example.com"
CLEAN = [
    "张三,13700137000,a@example.com",
    "今天天气很好，去公园散步。",
    "See example.com/a?b=1; 100%",
    "",
    "user----a1b2",
] * 8
ENCODED = [how(customer(3)) for how in WAYS.values()]
SAMPLES = tuple(dict.fromkeys((*DISGUISED, *IN_PIECES, *(text for _, text in WRITTEN), *ENCODED)))
ALONE = (
    *(
        (PHONE, text)
        for text in (
            "+86 (138) 0013 8000",
            "+86(138)0013-8000",
            "电话：+86（138）0013-8000",
            "0086-(138)0013-8000",
        )
    ),
    *(
        (PHONE, text)
        for text in ("+86【138】0013 8000", "(+86) 138 0013 8000", "86 (138) 0013-8000")
    ),
    *(
        (ADDRESS, text)
        for text in (
            "li.wei8 at example，com",
            "li.wei8 at example dot com",
            "li.wei8 (at) example.com",
        )
    ),
    *(
        ("11010519491231002X", form)
        for octets in ("{:02x}", "0x{:02x}", "U+{:04X}", "{:d}", "{:o}")
        for form in (" ".join(map(octets.format, b"11010519491231002X")),)
    ),
    ("11010519491231002X", " ".join(map("{:08b}".format, b"11010519491231002x"))),
)


def quickly(text: str) -> FoldedText:
    (part,) = read([Piece(0, "", text.encode(), len(text.encode()))], PRESCAN).parts
    return part.text


@pytest.mark.parametrize(("value", "text"), ALONE)
def test_spelling_alone_in_a_document_is_read(value: str, text: str) -> None:
    folded = quickly(text)
    assert value in {candidate.normal for candidate in find(folded.text) if candidate.valid}
    assert same(folded, fold(unescape(text, markup=False)))


@pytest.mark.parametrize(
    "text",
    [
        "(86) 2024",
        "+86 (138) 0013 800",
        "86 (238) 0013 8000",
        "meet me at example.com",
        "C:\\users",
    ],
)
def test_near_miss_stays_unchanged(text: str) -> None:
    assert quickly(text).text == text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("first", range(6))
def test_spliced_line_equals_rewriting_the_whole_text(end: str, first: int) -> None:
    """Each sample behind clean lines and before them, where it is spliced in."""
    texts = [
        end.join((*CLEAN, f"x {text} y", *CLEAN, text, *CLEAN[:9])) for text in SAMPLES[first::6]
    ]
    assert [
        text for text in texts if not same(quickly(text), fold(unescape(text, markup=False)))
    ] == []


@given(
    st.lists(st.sampled_from((*SAMPLES, *CLEAN)), max_size=6),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.integers(0, 40),
)
def test_spliced_lines_in_any_order_equal_rewriting_the_whole_text(
    lines: list[str], end: str, between: int
) -> None:
    text = end.join(part for line in lines for part in (line, *CLEAN[:between]))
    assert same(quickly(text), fold(unescape(text, markup=False)))
