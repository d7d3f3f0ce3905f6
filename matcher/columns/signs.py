"""Signs that prose is full of, in both spellings: a text that has no other form to fold is searched as it came (`silence`)."""

from __future__ import annotations

import re

SIGNS = {"，": ",", "：": ":", "；": ";", "！": "!", "？": "?", "％": "%", "～": "~", "（": "(", "）": ")", "　": " ", "—": "-"}
"""Each sign and the plain one that folding makes of it."""
JOINING = "() -"
"""Plain signs that may stand within a value (`+1（212）555…`, 138—0013, 一三八　零零一三): they touch ASCII or a Han digit."""
NOT_ASCII = 0x80
CLASS = re.compile(r"\[(?!\^)(?:\\.|[^\\\]])+\]")
"""A class of characters in a pattern, none that is left out."""


def in_classes(pattern: str) -> str:
    """`pattern` that takes a sign of either spelling where a class of characters in it has the plain one.

    >>> in_classes("[:=](?:[,|])?")
    '[：:=](?:[，,|])?'
    """
    return CLASS.sub(lambda found: f"[{_wide_of(found[0])}{found[0][1:]}", pattern)


def in_word(word: bytes) -> bytes:
    """A pattern of a word in UTF-8, its signs in either spelling; one that is JOINING and touches ASCII only as it is."""
    made = []
    for place, byte in enumerate(word):
        wide = _wide_of(chr(byte))
        beside = word[:place][-1:] + word[place + 1 : place + 2]
        joins = chr(byte) in JOINING and min(beside, default=NOT_ASCII) < NOT_ASCII
        made.append(
            b"(?:%s|%s)" % (escaped(byte), b"".join(map(escaped, wide.encode()))) if wide and not joins else escaped(byte)
        )
    return b"".join(made)


def escaped(byte: int) -> bytes:
    """A pattern of one byte."""
    return bytes((byte,)) if chr(byte).isalnum() and byte < NOT_ASCII else b"\\x%02x" % byte


def _wide_of(plain: str) -> str:
    """The wide spellings of all signs that are among `plain`."""
    return "".join(wide for wide, sign in SIGNS.items() if sign in plain)
