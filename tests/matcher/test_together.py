"""Texts read together come out as each would alone."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from matcher.text import fold, unescape
from matcher.text.batched import read_together

BLOCK = base64.b64encode(b"13800138000,test@example.com".ljust(57)).decode()
PIECES = st.sampled_from(
    [
        *(
            "138",
            "0013",
            "8000",
            "一三八",
            "&#49;",
            "&#4",
            "9;",
            "%31",
            "%",
            "31",
            "\\u0031",
            "\\",
            "u0031",
            "\r",
            "\n",
            "\r\n",
            BLOCK,
        ),
        *(
            BLOCK[:30],
            BLOCK[30:],
            "=",
            "a",
            " at ",
            "b.com",
            "[at]",
            "[a",
            "t]",
            "\u200b",
            "１",
            "😀",
            "张",
            "--",
            " ",
            "×",
            "＋",
        ),
        *("<b>", "<", "<td", "td>", "<!--", "-->", "'", '"', "<a b='"),
    ]
)
TEXT = st.lists(PIECES, max_size=9).map("".join) | st.text(max_size=9)


@given(st.lists(TEXT, max_size=6), st.booleans())
def test_each_text_is_read_as_it_would_be_alone(texts: list[str], markup: bool) -> None:
    together = read_together(texts, markup=markup)
    for text, folded in zip(texts, together, strict=True):
        alone = fold(unescape(text, markup=markup))
        assert (folded.text, folded.original, folded.drops.tolist()) == (alone.text, alone.original, alone.drops.tolist())


def test_many_texts_are_read_in_groups_and_come_back_in_order() -> None:
    texts = [f"{n} 手机１{n}" if n % 3 else f"{n} phone" for n in range(300)] + ["x" * 1_200_000, "张" * 1_200_000, "y"]
    assert [f.text for f in read_together(texts, markup=False)] == [fold(t).text for t in texts]
