"""A text as columns: its code points, a number a character, and the characters that stand for nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[Any]
"""Code points of a text, a character each: u8 for ASCII, u16, or u32 where some lie above U+FFFF."""
FILL = "\N{WORD JOINER}"
"""Takes up the room that an escape leaves; folding drops it, and a stretch that ends in an escape ends behind it."""
GONE = "\N{FUNCTION APPLICATION}"
"""Takes up the room of a tag or of a block; folding drops it."""
BETWEEN = "\x1c"
"""FILE SEPARATOR, between texts that are read as one: folding keeps it, and but for a tag nothing that is read goes across it."""


def fit(plain: str, room: int, filling: str = FILL) -> str:
    """`plain` and filling, `room` characters in all."""
    return plain + filling * (room - len(plain))


def codes_of(text: str) -> Codes:
    """Code points of `text`: u16 where all fit, half a surrogate pair not among them; u8 for ASCII."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    narrow = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), np.uint16)
    if len(narrow) == len(text) and not ((narrow & 0xF800) == 0xD800).any():
        return narrow
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def utf8_of(text: str) -> bytes | None:
    """The UTF-8 of `text`; None where it holds half a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


def text_of(codes: Codes) -> str:
    """The text of code points, u16 or u32."""
    return str(codes.data, "utf-16-le" if codes.itemsize == 2 else "utf-32-le", "surrogatepass")


def holding(places: npt.NDArray[np.int64], first: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of the texts that begin at `first`, ascending, hold one of `places`: bool[texts]."""
    found = np.zeros(len(first), bool)
    found[np.searchsorted(first, places, "right") - 1] = True
    return found
