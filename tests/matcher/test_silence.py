"""A text that is told to hold nothing holds nothing once it is folded, and whoever asks gets it folded all the same."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.columns.signs import SIGNS, in_classes
from matcher.detect.labelled import find_labelled, header_lines, labelled_kinds
from matcher.detect.search import search
from matcher.lexicon import Lexicon
from matcher.match.parts import Part, pieces_of_capture, read
from matcher.text import fold, unescape
from tests.factories import capture

LEXICON = Lexicon({"bank": ["中国(上海)银行", "开户:快", "银行 卡-包", "a b", "bank.example"]}, {"bank": ["62000000"]})
PROSE = "　　今天，我们讨论了两本小说；结果有些意外！味道不错？只用了八成时间（梧桐树、石桥）——增长了百分之五～六％。"
WORDS = st.sampled_from(
    (
        *("中国", "上海", "银行", "开户", "快", "护照", "微信", "卡头", "号码", "为", "姓名", "料", "银行", "卡", "包"),
        *("E12345678", "abc_def1", "H12345678", "62000000", "13800138000", "138", "0013", "8000", "+1", "00", "415", "at", "dot"),
        *("bank.example", "com", "&#49;", "&lt", "%31", "三", "一三八零零", "é", "😀", "x", "MTM4MDAxMzgwMDAs5byg5p-Q"),
        *(" ", "-", ".", "\n", "一", "八", "零", "\r\n", ",", ":", "|", '"', "="),
    )
)
TEXTS = st.lists(WORDS | st.sampled_from(sorted(SIGNS)), max_size=14).map("".join)


def parts(texts: list[str], *, wanted: bool = False) -> list[Part]:
    """`texts` read in one go."""
    pieces = [piece for text in texts for piece in pieces_of_capture(0, capture(body=text.encode()), print, wanted=wanted)]
    return read(pieces, LEXICON.sieve).parts


def holds_anything(text: str) -> bool:
    """Whether anything is found in `text` when it is folded first."""
    batch = Batch.of([fold(unescape(text, markup=False)).utf8])
    seen, kinds = LEXICON.sieve.find(batch.data), len(labelled_kinds())
    said = [number for number in seen.labelled[0].tolist() if not kinds <= number < 2 * kinds]  # those of headers only may be one
    return bool(search(batch, find_labelled(batch)) or len(seen.words[0]) or said or len(header_lines(batch, seen.labelled[0])))


@settings(max_examples=300)
@example(["护照—", "一护照—"])
@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_what_is_silent_holds_nothing_when_it_is_folded(texts: list[str]) -> None:
    for text, part in zip(texts, parts(texts), strict=True):
        assert not (part.text.silent and holds_anything(text))
        assert part.text.text == fold(unescape(text, markup=False)).text
        assert part.text.drops.tolist() == fold(unescape(text, markup=False)).drops.tolist()


def test_prose_is_silent() -> None:
    assert [part.text.silent for part in parts([PROSE, f"{PROSE}\r\n{PROSE}", "（2026年），完"])] == [True, True, False]


@pytest.mark.parametrize(
    "said",
    [
        *(
            "13800138000",
            "138 0013 8000",
            "护照：E12345678",
            "（护照）：E12345678",
            "，护照，姓名",
            "中国（上海）银行",
            "开户：快",
        ),
        *(
            "卡头：62000000",
            "a@b.com",
            "+1（415）555-2671",
            "+1 （415） 555 2671",
            "一三八零零一三八零零零",
            "12345×",
            "&lt;",
            "a（at）b.com",
        ),
        *(
            "１３８００１３８０００",
            "\u200b",
            "银行　卡—包",
            "1380　0138",
            "三　三",
            "MTM4MDAxMzgwMDAs5byg5p-QMTM4MDAxMzgwMDAs5byg5p-Q",
            "a　b",
        ),
    ],
)
def test_prose_that_holds_something_is_not_silent(said: str) -> None:
    (part,) = parts([f"{PROSE}\n{said}\n{PROSE}"])
    assert not part.text.silent


def test_what_somebody_asks_for_is_laid_out_whatever_it_holds() -> None:
    (part,) = parts([PROSE], wanted=True)
    assert not part.text.silent


def test_a_silent_text_takes_no_room_and_can_still_be_read() -> None:
    pieces = [piece for text in (PROSE, "13800138000") for piece in pieces_of_capture(0, capture(body=text.encode()), print)]
    laid = read(pieces, LEXICON.sieve)
    assert (laid.batch.ends - laid.batch.starts).tolist() == [0, 11]
    assert laid.parts[0].text.utf8 == fold(PROSE).utf8
    assert laid.parts[0].text.span(2, 4) == (2, 4)


def test_signs_are_those_that_folding_makes_plain() -> None:
    assert {sign: fold(sign).text for sign in SIGNS} == SIGNS


@pytest.mark.parametrize(
    ("pattern", "made"),
    [
        ("[:=](?:[,|])?", "[：:=](?:[，,|])?"),
        (r"[\])}]x", r"[）\])}]x"),
        ("[,-]", "[，—,-]"),
        ("[^:]a", "[^:]a"),
        ("a:b", "a:b"),
        ("[a]", "[a]"),
    ],
)
def test_a_class_of_characters_takes_in_the_wide_spelling(pattern: str, made: str) -> None:
    assert in_classes(pattern) == made
