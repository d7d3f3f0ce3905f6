"""Whether what was decoded is text at all: a file of no known kind may be encrypted, compressed, or a program's own table."""

from __future__ import annotations

CONTROLS = bytes((*range(9), *range(14, 27), *range(28, 32), 127))
"""Control characters but white space and the one that begins a terminal's sequence."""
NO_CONTROLS = bytes(set(range(256)) - set(CONTROLS))
STRETCH = 4096
FEW = 4
"""Different ones from which they are no separators: Hive parts fields, lists and maps by three."""
RARE, MOSTLY = 0.01, 0.9
"""Their share from which a text is none: of several (every ninth byte of what is compressed is one), and of few."""

LOST = 0.1
"""Share of characters that no encoding gave."""


def is_opaque(text: str | bytes) -> bool:
    r"""Whether `text`, which is decoded or UTF-8, is none, by its beginning, its middle and its end.

    >>> is_opaque("姓名\x01手机\n"), is_opaque(bytes(range(256)) * 9), is_opaque(bytes(99))
    (False, True, True)
    """
    size = len(text)
    if size <= 3 * STRETCH:
        return _is_opaque(text)
    return any(_is_opaque(text[at : at + STRETCH]) for at in (0, size // 2, size - STRETCH))


def _is_opaque(text: str | bytes) -> bool:
    """The same of all of it."""
    if isinstance(text, str) and text.count("\N{REPLACEMENT CHARACTER}") > LOST * len(text):
        return True
    found = (text.encode("utf-8", "replace") if isinstance(text, str) else text).translate(None, NO_CONTROLS)
    share = len(found) / max(1, len(text))
    return share > MOSTLY or (share > RARE and len(set(found)) >= FEW)
