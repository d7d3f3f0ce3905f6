"""Input that was slow once: what it costs is counted in CPU time, at one length and at sixteen
times that.
"""

import contextlib
import random
import time
from collections.abc import Callable
from email.message import Message
from email.parser import BytesParser

import pytest

from matcher.match.parts import DECLARED
from matcher.records.reader import statements_of
from matcher.unpack.readers import pdf
from matcher.unpack.readers.mail import DEEPEST, FROM_LINE, Parser
from matcher.unpack.readers.pdf import has_damage
from matcher.unpack.walk import slices

SHORT, MOST_GROWTH, QUICK = 8 << 10, 64, 0.02
PDF = b"%PDF-1.4\n"
DEFLATED = b"1 0 obj<</Filter/FlateDecode>>stream\n\x78\x9c\x03\x00\x00\x00\x00\x01"
"""A stream of zlib's that holds nothing and ends, but for the word that says so."""


def parse(body: bytes) -> Parser:
    parser = Parser()
    for piece in slices(body):
        parser.feed(piece)
    return parser


def open_pdf(body: bytes) -> None:
    with contextlib.suppress(ValueError):
        pdf.open_document(body)


SLOW: dict[str, tuple[Callable[[bytes], object], Callable[[int], bytes]]] = {
    "line breaks in a table": (statements_of,
    lambda size: b"create table a (" + b"\n" * size + b"insert into a values (1)"),
    "padded inserts": (statements_of,
    lambda size: (b"insert into a" + b" " * 500 + b";") * (size // 500)),
    "unclosed declarations": (lambda body: DECLARED.sub("", body.decode()),
    lambda size: b"<?" * (size // 2)),
    "unclosed streams": (has_damage, lambda size: DEFLATED * (size // len(DEFLATED))),
    "a document of unclosed streams": (open_pdf,
    lambda size: PDF + DEFLATED * (size // len(DEFLATED)) + b"%%EOF"),
    "streams closed together": (
        open_pdf,
        lambda size: (
            PDF + (half := size // 2 // len(DEFLATED)) * DEFLATED + half * b"endstream\n" + b"%%EOF"
        ),
    ),
    "streams with a single end": (has_damage,
    lambda size: DEFLATED * (size // len(DEFLATED)) + b"endstream"),
    "times in one line": (FROM_LINE.findall, lambda size: b"From a " + b"00:00" * (size // 5)),
    "nested parts": (
        parse,
        lambda size: b"".join(b"Content-Type: multipart/mixed; boundary=b%dx\n\n--b%dx\n" % (n,
        n) for n in range(size // 60)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SLOW)
def test_sixteenfold_input_takes_at_most_fourfold_growth(kind: str) -> None:
    read, make = SLOW[kind]
    spent = []
    for length in (SHORT, 16 * SHORT):
        body, least = make(length), float("inf")
        for _ in range(3):
            began = time.thread_time()
            read(body)
            least = min(least, time.thread_time() - began)
        spent.append(least)
    assert spent[1] < QUICK or spent[1] / spent[0] < MOST_GROWTH


PIECES = (
    b"From: a@example.com\n", b"\n", b"\n", b"--b0\n", b"--b1\n", b"--b0--\n", b"--b1--\n",
    b"text\n", b"-- \n", b"--\n", b"x\r",
    b"Content-Type: multipart/mixed; boundary=b0\n",
    b"Content-Type: multipart/mixed; boundary=b1\n", b"\r\n", b"a: b\n", b"end",
    b"Content-Type: message/rfc822\n", b"Content-Type: multipart/digest; boundary=b1\n",
    b"no field\n",
    b"Content-Type: message/delivery-status\n", b"Content-Transfer-Encoding: base64\n",
    b"\x0bA\x1c\x85b\n", b" goes on\n",
    b" goes on\n\tand on\n --b0\n",
)  # fmt: skip


def tree(part: Message | str) -> object:
    if isinstance(part, str):
        return part
    payload = part.get_payload()
    return [
        part.items(),
        part.preamble,
        part.epilogue,
        *map(tree, payload if isinstance(payload, list) else [payload]),
    ]


def test_mail_splitting_agrees_with_the_standard_library() -> None:
    """Of 60,000 such mails none differed."""
    rng = random.Random(1)
    for _ in range(1_000):
        body = b"".join(rng.choice(PIECES) for _ in range(rng.randint(1, 30)))
        body = b"Content-Type: multipart/mixed; boundary=b0\n\n" * rng.randint(0, 1) + body
        assert tree(parse(body).close()) == tree(BytesParser().parsebytes(body)), body


def test_too_deeply_nested_parts_are_one_text() -> None:
    body = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%dx\n\n--b%dx\n" % (n, n) for n in range(100)
    )
    part, depth = parse(body + b"\n13912345678\n").close(), 0
    while part.is_multipart():
        (part,), depth = part.get_payload(), depth + 1
    assert (depth, part.get_content_type()) == (DEEPEST, "text/plain")
    assert "13912345678" in part.get_payload()
