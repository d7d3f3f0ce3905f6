"""Addresses whose signs are spelt out: `a[at]b[dot]com`, `a (at) b.com`, `a.b at c dot com`; made plain in place.

`at` without brackets is a word, so the domain behind it must end like one, and either its dots are spelt out as well or the word
before holds what prose has not: a digit, dot, underscore, plus or hyphen.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from matcher.text.codes import FILL, codes_of, fit

BRACKETS = ("[]", "()", "{}", "（）", "【】", "［］")
WORDS = r"(?:at|AT|At|dot|DOT|Dot|@|＠)"
GATES = tuple((b[0], re.compile(rf"{re.escape(b[0])} ?{WORDS} ?{re.escape(b[1])}")) for b in BRACKETS)
"""An opening bracket, which finds itself fast, and what it may begin."""
BRACKETED = re.compile(
    rf"(?<=[A-Za-z0-9_+\-{FILL}]) ?(?:{'|'.join(rf'{re.escape(b[0])} ?{WORDS} ?{re.escape(b[1])}' for b in BRACKETS)}) ?(?=\w)"
)
AT = " at "
DOMAIN = re.compile(
    r"[A-Za-z0-9\-]{1,63}+(?:(?:[.．]| dot )[A-Za-z0-9\-]{1,63}+){0,4}(?:[.．]| dot )[A-Za-z]{2,24}(?![A-Za-z0-9\-])"
)
LOCAL = re.compile(r"[A-Za-z0-9._%+\-]{1,64}\Z")
NO_WORD = re.compile(r"[0-9._+\-]")
SPELT_DOT = re.compile(" dot ")
LONGEST_LOCAL = 64


def reveal(text: str) -> str:
    """`text` with such signs made plain, exactly as long as before."""
    if any(opening in text and gate.search(text) for opening, gate in GATES):
        text = BRACKETED.sub(lambda match: fit("." if "o" in match.group().lower() else "@", len(match.group())), text)
    return _words(text)


def _words(text: str) -> str:
    made, copied = [], 0
    for place in _places(text).tolist():
        domain = DOMAIN.match(text, place + len(AT))
        if domain is None or place < copied:
            continue
        local = LOCAL.search(text[max(0, place - LONGEST_LOCAL) : place])
        if local and (" " in domain.group() or NO_WORD.search(local.group())):
            made += [text[copied:place], fit("@", len(AT)), SPELT_DOT.sub(fit(".", 5), domain.group())]
            copied = domain.end()
    return "".join([*made, text[copied:]]) if made else text


def _places(text: str) -> npt.NDArray[np.int64]:
    """Where ` at ` stands: four characters are one word of the text's columns, in four alignments."""
    codes = codes_of(text)
    if codes.itemsize == 4:
        return np.fromiter((match.start() for match in re.finditer(AT, text)), np.int64)
    word = {1: np.uint32, 2: np.uint64}[codes.itemsize]
    wanted = np.array([ord(char) for char in AT], codes.dtype).view(word)[0]
    found = []
    for first in range(len(AT)):
        whole = (len(codes) - first) // len(AT) * len(AT)
        if whole > 0:
            found.append(np.flatnonzero(codes[first : first + whole].view(word) == wanted) * len(AT) + first)
    return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)
