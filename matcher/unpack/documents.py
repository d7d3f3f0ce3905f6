"""The text of a PDF, its forms, notes and attachments."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from matcher.unpack.budget import Halt
from matcher.unpack.frames import SEPARATOR
from matcher.unpack.pdfium import Document
from matcher.unpack.streams import slices

if TYPE_CHECKING:
    from matcher.unpack.walk import Walk

END, NEAR_END = b"%%EOF", 4096


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
    if body.rfind(END, max(0, len(body) - NEAR_END)) < 0:  # PDFium makes do with what there is
        raise EOFError("the document ends early")


def _pages(document: Document, scanned: list[int]) -> Iterator[bytes]:
    """Each page's text with a line end; the numbers of those that are pictures go to `scanned`."""
    for number, (text, is_picture) in enumerate(document.pages(), 1):
        if is_picture:
            scanned.append(number)
        if text:
            yield f"{text}\n".encode("utf-8", "replace")
