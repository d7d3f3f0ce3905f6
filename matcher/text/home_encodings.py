"""Recognise the encodings in which single languages were written before UTF-8.

A number is read as dialled at home only behind a label, so the encoding of a text without one
changes nothing that is found. So a text is in such an encoding if the bytes of a phone label
in its language stand there as a word. Single bytes and pairs of bytes of these encodings are also
GB18030, mostly of characters that nobody writes.
"""

from __future__ import annotations

import re
from functools import cache

import hyperscan
import numpy as np

from matcher.columns.literals import ONCE, Literals
from matcher.text.fold import list_scripts
from ullage.identifiers import phone

DOTALL_ONCE = hyperscan.HS_FLAG_DOTALL | ONCE
ENCODINGS_OF_CODE = {
    "7": ("cp1251", "koi8-r", "cp866"),
    "66": ("cp874",),
    "81": ("cp932", "euc-jp"),
    "82": ("cp949",),
    "966": ("cp1256",),
}
"""Encodings of a language, the likeliest first, by a calling code whose labels are in it."""
LONG_LABEL = 5
"""Bytes from which a label proves its language whatever stands behind it."""
WIDE_SIGNS = "：（　"
"""Signs as wide as a character that may stand behind a label."""
SAMPLE = 1 << 14
"""Bytes at the beginning of a text that are searched for a label."""


@cache
def _compile_labels() -> tuple[Literals, tuple[str, ...]]:
    """Return a search for labels in each encoding, and the encoding of each of its patterns."""
    labels = {codes[0]: words for codes, words in phone.HOME_LABELS.items()}
    patterns = {
        (pattern, encoding)
        for code, encodings in ENCODINGS_OF_CODE.items()
        for encoding in encodings
        for label in labels[code]
        for form in list_scripts(label)
        for case in (form, form.upper(), form.capitalize())
        if (pattern := _spell_label(case, encoding))
    }
    # the likeliest encoding of a language first
    order = [encoding for encodings in ENCODINGS_OF_CODE.values() for encoding in encodings]
    listed = sorted(patterns, key=lambda each: (order.index(each[1]), each[0]))
    return (
        Literals([pattern for pattern, _ in listed], DOTALL_ONCE),
        tuple(encoding for _, encoding in listed),
    )


def _spell_label(label: str, encoding: str) -> bytes:
    """Return a pattern of a label in an encoding, or b"" where it has none or proves nothing."""
    try:
        word = label.encode(encoding)
    except UnicodeEncodeError:
        return b""
    if word.isascii():
        return b""
    signs = (sign.encode(encoding, "ignore") for sign in WIDE_SIGNS)
    behind = (
        b""
        if len(word) >= LONG_LABEL
        else b"(?:%s)"
        % b"|".join((rb"[\x00-\x7f]", *(re.escape(sign) for sign in signs if len(sign) > 1)))
    )
    return rb"[\x00-\x7f]%s%s" % (re.escape(word), behind)


def find_home_encoding(body: bytes) -> str:
    """Return the encoding of a language in which `body` has a phone label, "" for none.

    >>> find_home_encoding('Телефон;Почта'.encode('cp1251'))
    'cp1251'
    >>> find_home_encoding('电话;邮箱'.encode('gbk'))
    ''
    """
    labels, encodings = _compile_labels()
    sample = np.frombuffer(b"\n%s\n" % body[:SAMPLE], np.uint8)
    number, _ = labels.find(sample)
    return encodings[int(number.min())] if len(number) else ""
