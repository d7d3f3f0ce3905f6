"""Texts that are unescaped in one go come out as each would alone."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from matcher.text import unescape, unescape_all

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
def test_each_text_is_unescaped_as_it_would_be_alone(texts: list[str], markup: bool) -> None:
    assert unescape_all(texts, markup=markup) == [unescape(text, markup=markup) for text in texts]
