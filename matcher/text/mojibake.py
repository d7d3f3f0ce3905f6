"""Telling Chinese text from bytes that only happen to read as it.

Standard characters are sorted: GB 2312 and Big5 put the common ones into a first level, which holds nearly all of a text (GB
2312 level 1: 3,755 characters, over 99% of modern prose), while bytes of another encoding fall anywhere.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.text.codepoints import codes_of

MOJIBAKE = "mojibake"
"""The name of this reading: GBK or UTF-8 that was read as Latin-1 or cp1252, and saved as UTF-8."""
FIRST_BYTES = {"gb18030": ("gb2312", (0xA1, 0xA3), (0xB0, 0xD7)), "big5": ("big5", (0xA1, 0xA3), (0xA4, 0xC6))}
"""For an encoding: the codec of its standard characters, and first bytes of its signs and of its common characters."""
PLAINLY = 0.85
"""Share of common characters from which a text is Chinese beyond doubt."""
FEWEST = 3
"""Characters that are not ASCII, below which a reading proves nothing."""
SAMPLE = 1 << 14
FIRST_WIDE = 0x80
SECOND_BYTES = (*range(0x40, 0x7F), *range(0xA1, 0xFF))
"""Of characters of two bytes."""
CP1252 = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
HIGH_RUN = re.compile(rf"[\x80-\xff{CP1252}]{{4}}")
"""Two characters of two bytes: accented letters of Western languages do not stand so."""
NOT_EIGHT_BITS = re.compile(rf"[^\x00-\xff{CP1252}]")
ASCII = re.compile(r"[\x00-\x7f]+")


def common_share(text: str, encoding: str) -> float:
    """Share of common characters among those of `text` that are not ASCII, 0.0 to 1.0; 1.0 where all are ASCII."""
    codes = codes_of(text[:SAMPLE])
    wide = codes[codes >= FIRST_WIDE]
    if not len(wide):
        return 1.0
    return float(np.count_nonzero(_common(encoding).take(wide.astype(np.intp), mode="clip"))) / len(wide)


@cache
def _common(encoding: str) -> npt.NDArray[np.bool_]:
    """bool[65536]: the signs and common characters of `encoding`, by code point; the last stands for all that lie beyond."""
    codec, signs, common = FIRST_BYTES[encoding]
    made = np.zeros(1 << 16, bool)
    for first in (*range(signs[0], signs[1] + 1), *range(common[0], common[1] + 1)):
        for second in SECOND_BYTES:
            made[codes_of(bytes((first, second)).decode(codec, "ignore"))] = True
    made[:FIRST_WIDE] = False
    return made


def read_back(text: str, *, proven: bool = False) -> str | None:
    """What `text` was before it was read as Latin-1 or cp1252, or None where it proves to be nothing else.

    `proven`: an earlier window of the same file was such text, so that a few characters are enough.

    >>> read_back('姓名张某'.encode('gbk').decode('latin-1'))
    '姓名张某'
    """
    if text.isascii() or NOT_EIGHT_BITS.search(text) or not (proven or HIGH_RUN.search(text)):
        return None
    try:
        body = text.encode("latin-1")
    except UnicodeEncodeError:
        body = text.translate(_bytes()).encode("latin-1")
    for encoding in ("utf-8", "gb18030"):
        try:
            before = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        wide = ASCII.sub("", before[:SAMPLE])
        if (proven or len(wide) >= FEWEST) and common_share(before, "gb18030") >= PLAINLY:
            return before
    return None


@cache
def _bytes() -> dict[int, int]:
    """What cp1252 reads as other characters than Latin-1 does, back to the byte."""
    return {ord(char): char.encode("cp1252")[0] for char in CP1252}
