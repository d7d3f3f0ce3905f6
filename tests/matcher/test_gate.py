"""What is read quickly is read as it is slowly: the same text, the same way back, the same bytes
to search.
"""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.corpus import corpus
from harness.bench.corpus.disguise import IN_TEXT, disguises
from matcher.lexicon import Lexicon
from matcher.match.parts import Piece, read
from matcher.text import FoldedText, fold, unescape
from matcher.text.fold import X_ALIKE
from matcher.text.splice import unescape_all
from tests.matcher.test_fold import DROPPED, SCRIPTS, write_in_script

PRESCAN = Lexicon({}).prescan
PHONE = "13800138000"
VALUES = {
    "phone": PHONE,
    "resident_id": "33010618811009835X",
    "card": "6200000000000000005",
    "email": "li.wei@example.com",
    "iban": "GB29NWBK60161331926819",
    "uscc": "91110108MA00000000",
    "passport": "E12345678",
    "home_return_permit": "H12345678",
    "qq": "1380013800",
    "wechat": "liwei_2026",
}
DISGUISED = tuple(
    dict.fromkeys(
        text for kind, value in VALUES.items() for _, text in disguises(kind, value, IN_TEXT)
    )
)
PROSE = (
    *(
        "过了一会儿，园丁演奏了七篇山路（钟表、苹果）！",
        "二〇二四年三月，四五个老房子：",
        "问题并不复杂……",
        "第一百二十三天",
    ),
    *(
        "The gardener — at half past seven — improved 15 books. Then ",
        "we met at noon. The",
        "see example.com/a?b=1&c=2; ",
        "100%, ",
    ),
    *(
        "张三,13800138000,a@example.com\n",
        "李五----13800138001----x1y2z3\n",
        "id|md5\n1|0cc175b9c0f1b6a831c399e269772661\n",
        "姓名，手机\n",
    ),
    *(
        "李五 13800138000\n",
        "user_of_this_very_long_snake_case_name=1 ",
        "https://example.com/Some/Path/ThatIs/LongEnough/ToBeABlock ",
    ),
)
PIECES = (
    *(
        "一", "三", "零", "〇", "○", "幺", "壹", "七", "９", "１", "③", "٣", "𝟖", "0", "1", "138",
        " ", "-", ".", "　", "—",
        "－", "．", "\t",
    ),
    *(
        "，", "：", "；", "｜", "＋", "+", "＠", "@", "（", "）", "[", "]", "【", "】", " at ",
        "at", "dot", " dot ", "com",
        "Ａ", "ｚ", "x",
    ),
    *(
        "&", "#49;", "&#49;", "&amp;", "&am", ";", "%", "31", "%31", "%E8", "\\", "u0031",
        "\\u0031", "\x1c", "\n", "\r",
        "\r\n", "\0",
    ),
    *(
        "MTM4MDAxMzgwMDAs",
        "5byg5p",
        "-Q",
        "--",
        "=",
        "😀",
        "é",
        "Ж",
        "あ",
        "ー",
        *DROPPED,
        *X_ALIKE,
        "11010519491231002",
        "110105 ",
    ),
)  # fmt: skip
TEXTS = st.lists(
    st.sampled_from((*DISGUISED, *PROSE)) | st.sampled_from(PIECES) | st.text(max_size=4),
    max_size=30,
).map("".join)
HAN_SOUP = st.text(st.sampled_from("一三零○1８ -.—　，＋×√张"), max_size=40)


def quickly(texts: Sequence[str]) -> list[FoldedText]:
    pieces = [Piece(n, "", text.encode(), len(text.encode())) for n, text in enumerate(texts)]
    return [part.text for part in read(pieces, PRESCAN).parts]


def slowly(text: str) -> FoldedText:
    return fold(unescape(text, markup=False))


def same(quick: FoldedText, slow: FoldedText) -> bool:
    return (
        (quick.text, quick.original, quick.utf8) == (slow.text, slow.original, slow.utf8)
        and np.array_equal(quick.drops, slow.drops)
        and quick.drops.dtype == slow.drops.dtype
    )


@given(st.lists(TEXTS | HAN_SOUP, max_size=4))
def test_fast_unescaping_equals_slow_unescaping(texts: list[str]) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    assert all(same(quick, slowly(text)) for quick, text in zip(quickly(texts), texts, strict=True))


@pytest.mark.parametrize("first", range(8))
def test_every_disguise_is_unescaped_alike_by_both_paths(first: int) -> None:
    """Between two texts of prose, as in a batch."""
    texts = [PROSE[0], *(f"登记 {text} 已核对。" for text in DISGUISED[first::8]), PROSE[1]]
    assert [
        text
        for quick, text in zip(quickly(texts), texts, strict=True)
        if not same(quick, slowly(text))
    ] == []


BESIDE = ("１", "①", "𝟏", "Ａ", "Ⅹ", "．", "：")


@pytest.mark.parametrize("beside", BESIDE)
def test_folded_signs_beside_a_disguise_are_read_alike(
    beside: str,
) -> None:
    """Each sign beside every seventh disguise, and each disguise beside a sign."""
    hexadecimal = ("0x3368f4a20", "0x3133383030313338303030", "X'3133383030313338303030'")
    disguises = DISGUISED[BESIDE.index(beside) :: len(BESIDE)]
    texts = [
        text
        for disguised in (*disguises, *hexadecimal)
        for text in (beside + disguised, disguised + beside)
    ]
    assert [
        text
        for quick, text in zip(quickly(texts), texts, strict=True)
        if not same(quick, slowly(text))
    ] == []


IN_PIECES = (
    *("138号段：0013-8000", "号段138，尾号：0013 8000", "(138)0013-8000", "【138】【0013】【8000】",
    '="1380"&"0138000"'),
    *(
        "1 3 8 0 0 1 3 8 0 0 0", "1380x0138x000", "138 - 0013 - 8000", "+49(0)170/1234567",
        "(+49) 170 1234567",
        "00 49 170 1234567",
    ),
    *("GB29.NWBK.6016.1331.9268.19", "GB 29 - NWBK - 60161331926819", "li.wei @ example.com",
    "li.wei艾特example点com"),
)  # fmt: skip


@pytest.mark.parametrize("text", IN_PIECES)
def test_nothing_is_read_across_two_texts(text: str) -> None:
    halves = [half for cut in range(1, len(text)) for half in (text[:cut], text[cut:])]
    together = unescape_all(halves, markup=False)
    assert [
        half
        for half, read in zip(halves, together, strict=True)
        if read != unescape(half, markup=False)
    ] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_digits_of_every_script_are_unescaped(script: str) -> None:
    assert quickly([f"手机：{write_in_script(PHONE, script)}。"])[0].text == f"手机:{PHONE}。"


@pytest.mark.parametrize(
    ("name", "untouched"), [("SPARSE", 0.0), ("DENSE", 0.95), ("DIGEST", 0.95)]
)
def test_corpora_are_read_alike_and_dumps_stay_unchanged(name: str, untouched: float) -> None:
    texts = [body.decode() for body in corpus(name, 0.3).documents]
    quick_ones = quickly(texts)
    assert sum(folded.is_unchanged for folded in quick_ones) >= untouched * len(texts)
    assert all(same(quick, slowly(text)) for quick, text in zip(quick_ones, texts, strict=True))
