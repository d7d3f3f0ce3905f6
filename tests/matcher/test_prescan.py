"""What is read quickly gives the buffer that reading in full gives, and one pass sees there what
each search sees alone.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.columns.literals import Literals
from matcher.detect import marked_values
from matcher.detect.search import Hits
from matcher.lexicon import Lexicon
from matcher.match.parts import pieces_of_capture, read
from matcher.text import decode, fold, unescape
from tests.factories import capture

LEXICON = Lexicon({"bank": ["中国(上海)银行", "bank.example"]}, {"bank": ["62000000"]})
PIECES = st.sampled_from(
    (
        *("中国（上海）银行", "中国(上海)银行", "BANK.example", "一手料", "四件套",
        "卡头：６２００００００", "警方，法院"),
        *(
            "姓名，微信，手机\n", "姓名，卡号，手机\n", "微信：abc_def1", "护照　E12345678",
            "QQ:12345678", "13800138000",
            "１３８－００１３－８０００",
        ),
        *("一三八零零一三八零零零", "三", "二零二六年", "&#49;", "%31", "a[at]b.com", "\u200b",
        "\r\n", "×", "＋86"),
        *("，", "。", "：", "（", "）", " ", "\n", "a", "1", "é", "😀", "——"),
    )
)  # fmt: skip
TEXTS = st.lists(st.lists(PIECES, max_size=10).map("".join), max_size=4)
ENCODINGS = st.sampled_from(["utf-8", "utf-8", "gb18030", "utf-16"])


def hits(found: Hits) -> set[tuple[int, int]]:
    return set(zip(found[0].tolist(), found[1].tolist(), strict=True))


@given(TEXTS, ENCODINGS)
def test_prescan_equals_full_reading(texts: list[str], encoding: str) -> None:
    bodies = [text.encode(encoding) for text in texts]
    laid = read(
        [p for body in bodies for p in pieces_of_capture(0, capture(body=body), print)],
        LEXICON.prescan,
    )
    slow = Batch.join([fold(unescape(decode(body), markup=False)).utf8 for body in bodies])
    assert np.array_equal(laid.batch.data, slow.data)
    assert np.array_equal(laid.batch.starts, slow.starts)
    assert hits(laid.seen.labelled) == hits(Literals(*marked_values.patterns()).find(slow.data))
    assert [terms.counts for terms in LEXICON.read_batch(laid.batch, laid.seen)] == [
        LEXICON.read(part.text.text).counts for part in laid.parts
    ]


@given(TEXTS)
def test_prescanned_labels_equal_a_separate_search(texts: list[str]) -> None:
    batch = Batch.join([fold(text).utf8 for text in texts])
    assert hits(LEXICON.prescan.find(batch.data).labelled) == hits(
        Literals(*marked_values.patterns()).find(batch.data)
    )


@given(TEXTS)
def test_prescanned_card_headers_equal_a_separate_search(texts: list[str]) -> None:
    batch = Batch.join([fold(text).utf8 for text in texts])
    assert hits(LEXICON.prescan.find(batch.data).card_headers) == hits(
        Literals(*marked_values.card_headers()).find(batch.data)
    )
