"""The text of a PDF, its forms, notes and attachments."""

from __future__ import annotations

import base64
import mmap
import re
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from matcher.unpack.budget import Halt
from matcher.unpack.frames import SEPARATOR
from matcher.unpack.pdfium import Document
from matcher.unpack.streams import CHUNK, slices

if TYPE_CHECKING:
    from matcher.unpack.walk import Walk

END, NEAR_END = b"%%EOF", 4096
ENCRYPT = b"/Encrypt"
STREAM = re.compile(rb">>\s{0,4}stream\r?\n")
MOST_SAID = 400
"""Bytes before a stream in which its filters are named."""
OTHERWISE = re.compile(rb"/(?:LZW|ASCIIHex|RunLength|DCT|JPX|JBIG2|CCITTFax)Decode|/Crypt")
"""Other filters: what they give is nothing of zlib's, or a picture."""


def pdf(walk: Walk, body: bytes | mmap.mmap, path: str, depth: int) -> None:
    """One member with the text of all pages; pages that are scans are said once."""
    if walk.pdfium is None:
        raise Halt("unsupported")
    document = walk.pdfium.open(body)
    try:
        scanned: list[int] = []
        place = f"{path}{SEPARATOR}text"
        walk.text(place, walk.budget.measured(_pages(document, scanned), lambda: len(body)))
        for name, attached in document.attachments():
            walk.entry(path + SEPARATOR + (name or "attachment"), slices(attached), lambda: len(body), depth)
        if scanned:
            walk.out.outcome(
                "image", f"{path}{SEPARATOR}page {scanned[0]}" + (f" and {len(scanned) - 1} more" if scanned[1:] else "")
            )
    finally:
        document.close()
    if has_damage(body):
        raise ValueError("damaged stream")
    if body.rfind(END, max(0, len(body) - NEAR_END)) < 0:  # PDFium makes do with what there is
        raise EOFError("the document ends early")


def has_damage(body: bytes | mmap.mmap) -> bool:
    """Whether a compressed stream does not end as it should: PDFium shows what is before the damage, or a blank page.

    Streams of a document with a password for its owner are encrypted as well, and cannot be looked at so.
    """
    if body.find(ENCRYPT) >= 0:
        return False
    for begin in STREAM.finditer(body):
        said = bytes(body[max(0, begin.start() - MOST_SAID) : begin.start()])
        said = said[said.rfind(b"obj") + 1 :]
        if b"/FlateDecode" in said and not OTHERWISE.search(said):
            end = body.find(b"endstream", begin.end())
            if not _is_whole(body, begin.end(), end if end >= 0 else len(body), armoured=b"/ASCII85Decode" in said):
                return True
    return False


def _is_whole(body: bytes | mmap.mmap, start: int, end: int, *, armoured: bool) -> bool:
    """Whether what stands there is one whole stream of zlib's."""
    decoder = zlib.decompressobj()
    try:
        packed = base64.a85decode(body[start:end].partition(b"~>")[0]) if armoured else body[start:end]
        for piece in slices(packed):
            while piece and not decoder.eof:
                decoder.decompress(piece, CHUNK)
                piece = decoder.unconsumed_tail  # noqa: PLW2901
    except (ValueError, zlib.error):
        return False
    return decoder.eof


def _pages(document: Document, scanned: list[int]) -> Iterator[bytes]:
    """Each page's text with a line end; the numbers of those that are pictures go to `scanned`."""
    for number, (text, is_picture) in enumerate(document.pages(), 1):
        if is_picture:
            scanned.append(number)
        if text:
            yield f"{text}\n".encode("utf-8", "replace")
