"""Bytes to text. Order: byte order mark, declared charset, strict UTF-8, UTF-16 by its NULs, strict GB18030, Big5, Latin-1.

Identifiers are ASCII, so a wrong 8-bit guess still finds them; labels and names need the right one. GBK is never searched
as bytes: 126 of its characters end in `|`, and GB18030's four-byte sequences hold ASCII digits.
"""

from __future__ import annotations

import codecs

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
ALIASES = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
}
"""What browsers read such labels as (WHATWG Encoding): GBK pages declare GB2312, and cp1252 bytes come as ISO-8859-1."""
NOT_OF_THE_WEB = frozenset(("utf-7", "unicode-escape", "raw-unicode-escape", "idna", "punycode", "undefined"))
"""Python's own codecs that no browser reads a page by: some give lone surrogates, some take forever."""
LONGEST_CHARACTER = 4
SAMPLE = 4096


def decode(body: bytes, declared: str = "") -> str:
    """The text of `body`. Never raises: Latin-1 reads anything, and what no strict reading fits is read with replacement.

    >>> decode('身份证'.encode('gbk'))
    '身份证'
    """
    for mark, encoding in MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    for encoding in _candidates(body, declared):
        text = _strictly(body, encoding)
        if text is not None:
            return text
    return body.decode("gb18030", "replace") if _looks_chinese(body) else body.decode("latin-1")


def _candidates(body: bytes, declared: str) -> list[str]:
    """Encodings to try strictly. A declared UTF-8 that does not hold is no reason to give up on the others."""
    named = declared.strip().strip("'\"").lower()
    order = [ALIASES.get(named, named)] if named else []
    wide = _wide(body)
    order += [wide] if wide else []
    order += ["utf-8", "gb18030", "big5"]
    if order[0] == "cp1252":  # a label that servers give by default: strict UTF-8 and GB18030 prove themselves first
        order = [*order[1:], "cp1252"]
    return order


def _wide(body: bytes) -> str:
    """UTF-16 without a mark: ASCII-rich text has a NUL in every second byte."""
    sample = body[:SAMPLE]
    if len(sample) < 4 or sample.count(0) < max(2, len(sample) // 8):
        return ""
    return "utf-16-le" if sample[1::2].count(0) >= sample[::2].count(0) else "utf-16-be"


def _strictly(body: bytes, encoding: str) -> str | None:
    """The text, but for a last character that was cut off, if that is all that is wrong and there are others like it."""
    try:
        if codecs.lookup(encoding).name.replace("_", "-") in NOT_OF_THE_WEB:
            return None
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        if error.end < len(body) or len(body) - error.start >= LONGEST_CHARACTER:
            return None
        whole = body[: error.start].decode(encoding)
        return None if whole.isascii() else whole
    except (LookupError, ValueError):
        return None


def _looks_chinese(body: bytes) -> bool:
    """Whether a lossy GB18030 reading loses little: a truncated or slightly damaged Chinese page."""
    text = body.decode("gb18030", "replace")
    return text.count("\N{REPLACEMENT CHARACTER}") * 20 < len(text)
