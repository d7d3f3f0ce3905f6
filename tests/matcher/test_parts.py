"""Captures opened: what came as UTF-8 keeps its bytes, and whatever it came as, it is read as it
would be alone.
"""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.lexicon import Lexicon
from matcher.match.parts import Piece, TextPart, pieces_of_capture, pieces_of_member
from matcher.match.parts import read as read_with
from matcher.text import decode, fold, unescape
from matcher.text.decode import WINDOW
from matcher.unpack.protocol import Member, UnreadPart
from tests.factories import capture

PRESCAN = Lexicon({}).prescan
PHONE = "13800138000"
BODIES = {
    "ascii": b"name,phone\nwang," + PHONE.encode(),
    "utf-8": f"姓名、手机\n王某,{PHONE}".encode(),
    "full-width signs": f"姓名，手机：{PHONE}。".encode(),
    "escapes": "姓名 &#49;3800138000 %31".encode(),
    "Windows lines": f"a\r\n{PHONE}\r\n".encode(),
    "Windows lines, Chinese": f"姓名\r\n王某，{PHONE}\r\n".encode(),
    "Han digits": "手机一三八零零一三八零零零".encode(),
    "invisible": f"手机\u200b{PHONE[:3]}\u2060{PHONE[3:]}".encode(),
    "an escape that is split": "手机&\u2060#49;3800138000".encode(),
    "with a mark": f"\ufeff手机{PHONE}".encode(),
    "GBK": f"姓名，手机：{PHONE}。".encode("gbk"),
    "UTF-16": f"\ufeff手机{PHONE}".encode("utf-16-le"),
    "cut off": f"手机{PHONE}身份".encode()[:-1],
    "empty": b"",
}


def read(pieces: list[Piece]) -> list[TextPart]:
    return read_with(pieces, PRESCAN).parts


def pieces(body: bytes, media_type: str = "text/plain") -> list[Piece]:
    return list(pieces_of_capture(0, capture(body=body, media_type=media_type), print))


@pytest.mark.parametrize("name", BODIES)
def test_reading_equals_decode_unescape_and_fold(name: str) -> None:
    text = decode(BODIES[name])
    (part,) = read(pieces(BODIES[name]))
    alone = fold(unescape(text, markup=False))
    assert (part.text.text, part.text.original, part.text.utf8) == (
        alone.text,
        alone.original,
        alone.utf8,
    )


def test_bodies_of_all_kinds_are_read_together() -> None:
    read_pieces = [piece for body in BODIES.values() for piece in pieces(body)]
    alone = [read([piece])[0] for piece in read_pieces]
    assert [(p.piece, p.text.text, p.text.utf8) for p in read(read_pieces)] == [
        (p.piece, p.text.text, p.text.utf8) for p in alone
    ]


@pytest.mark.parametrize("name", ["ascii", "utf-8"])
def test_plain_body_is_searched_without_copying(name: str) -> None:
    (part,) = read(pieces(BODIES[name]))
    assert part.text.utf8 is BODIES[name]


@pytest.mark.parametrize("name", ["with a mark", "GBK", "UTF-16", "cut off"])
def test_converted_body_is_searched_as_a_copy(name: str) -> None:
    (part,) = read(pieces(BODIES[name]))
    assert part.text.utf8 not in (b"", BODIES[name])


def test_html_tags_are_removed() -> None:
    (part,) = read(pieces(b"<p>138<b>0013</b>8000</p>", "text/html"))
    assert part.text.text.split() == [PHONE]


def test_plain_member_of_a_container_is_searched_without_copying() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("b.csv", BODIES["utf-8"])
    (part,) = (
        part
        for part in read(pieces(packed.getvalue(), "application/zip"))
        if part.piece.path.endswith("b.csv")
    )
    assert part.text.utf8 == BODIES["utf-8"] == part.piece.body


def test_windows_of_a_long_text_are_its_own_bytes() -> None:
    body = f"王某,{PHONE}\n".encode() * (WINDOW // 12)
    read_pieces = pieces(body)
    assert len(read_pieces) > 1
    assert b"".join(part.text.utf8 for part in read(read_pieces)) == body


WHOLE = [text.encode() for text in ("姓名，", "\n", "a", "１３８，", "😀", "é")]
BROKEN = st.lists(
    st.sampled_from([*WHOLE, b"\xef\xbc", b"\xe5", b"\xf0\x9f", b"\xbc\x8c"]), max_size=8
).map(b"".join)


@given(st.lists(BROKEN, max_size=4))
def test_invalid_utf_8_does_not_affect_other_texts(bodies: list[bytes]) -> None:
    parts = read([piece for body in bodies for piece in pieces(body)])
    assert [part.text.text for part in parts] == [
        fold(unescape(decode(body), markup=False)).text for body in bodies
    ]


def test_utf_16_text_with_ascii_bytes_is_decoded() -> None:
    # U+5101 to U+5108: each byte of UTF-16 is below 128, and every second a control character
    text = "儁儂儃億儅儆儇儈" * 8
    chunks, unread = iter([text.encode("utf-16-le")]), list[UnreadPart]()
    [piece] = pieces_of_member(
        0, Member("a.txt", "text/plain", "utf-16-le", lambda: next(chunks, b"")), unread.append
    )
    assert (piece.decoded, unread) == (text, [])
