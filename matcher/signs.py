"""Signs that prose is full of, in both spellings: a text that has no other form to fold is searched as it came (`silence`)."""

from __future__ import annotations

import re

SIGNS = {"，": ",", "：": ":", "；": ";", "！": "!", "？": "?", "（": "(", "）": ")"}
"""Each sign and the plain one that folding makes of it. None stands within a value but brackets, which then touch ASCII."""
CLASS = re.compile(r"\[(?!\^)(?:\\.|[^\\\]])+\]")
"""A class of characters in a pattern, none that is left out."""


def in_classes(pattern: str) -> str:
    """`pattern` that takes a sign of either spelling where a class of characters in it has the plain one.

    >>> in_classes("[:=](?:[,|])?")
    '[：:=](?:[，,|])?'
    """
    return CLASS.sub(lambda found: f"[{_wide_of(found[0])}{found[0][1:]}", pattern)


def in_word(char: int) -> bytes:
    """A pattern of one byte of a word, in UTF-8; of a sign in either spelling."""
    wide = _wide_of(chr(char))
    plain = b"\\x%02x" % char
    return b"(?:%s|%s)" % (plain, b"".join(b"\\x%02x" % byte for byte in wide.encode())) if wide else plain


def _wide_of(plain: str) -> str:
    """The wide spellings of all signs that are among `plain`."""
    return "".join(wide for wide, sign in SIGNS.items() if sign in plain)
