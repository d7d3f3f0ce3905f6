"""Quoted-printable without a mail around it (RFC 2045): a part that was saved, a vCard 2.1 of an old phone.

A text that holds it holds other things too, where `=13` is no control character but the beginning of `key=13800138000`. So only
what quoted-printable alone has is undone: several octets beyond ASCII in a row, an equals sign, a blank, and lines that go on.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator

from matcher.unpack.registry import Format
from matcher.unpack.walk import Walk

OCTETS = re.compile(rb"=[89A-Fa-f][0-9A-Fa-f](?:=[89A-Fa-f][0-9A-Fa-f]){2}")
"""Three in a row; the first stands by itself, since what begins with a plain character is found forty times as fast."""
ENOUGH = 3
"""Characters of Chinese, or as much, in a head that is taken for quoted-printable."""
SOFT = re.compile(rb"=[ \t]*\r?\n")
UNDONE = re.compile(rb"(?:=[89A-Fa-f][0-9A-Fa-f]){2,}+|=3[Dd]|=20|=09|=0[Dd]=0[Aa]|=0[Aa]")
LONGEST = 1 << 16
"""Bytes of lines that go on that are waited for."""


def quoted(walk: Walk, chunks: Iterable[bytes], path: str, _depth: int) -> None:
    """The text, undone."""
    walk.text(path, _lines(chunks))


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text in pieces that end where a line does."""
    held = b""
    for chunk in chunks:
        held += chunk
        end = held.rfind(b"\n") + 1
        while end and held[max(0, end - 4) : end].rstrip(b"\r\n \t").endswith(b"=") and len(held) < LONGEST:
            end = held.rfind(b"\n", 0, end - 1) + 1
        if end:
            yield undone(held[:end])
            held = held[end:]
    if held:
        yield undone(held)


def undone(text: bytes) -> bytes:
    r"""A text without quoted-printable.

    >>> undone(b"N:=E5=BC=A0=\r\n=E6=9F=90=3D13800138000").decode()
    'N:张某=13800138000'
    """
    return UNDONE.sub(lambda found: binascii.a2b_qp(found[0]), SOFT.sub(b"", text))


def is_quoted(head: bytes, _name: str) -> bool:
    """Whether a text has several characters in quoted-printable."""
    return b"=" in head and len(OCTETS.findall(head)) >= ENOUGH


FORMATS = (Format("quoted", quoted, is_text=is_quoted, containers=("other",), streams=True),)
