"""Addresses whose signs are spelt out: `a[at]b[dot]com`, `a (at) b.com`, `a.b at c dot com`; made plain in place.

`at` without brackets is a word, so the domain behind it must end like one, and either its dots are spelt out as well or the word
before holds what prose has not: a digit, dot, underscore, plus or hyphen.
"""

from __future__ import annotations

import re
from functools import cache

from matcher.text.fold import FILL, fit

OPENING, CLOSING = "[({（【［", "])}）】］"
JOINED = rf"[\w+\-{FILL}]"
"""What may stand beside a sign of an address."""
SIGN = re.compile(
    rf"([{re.escape(OPENING)}](?:(?<={JOINED}.)|(?<={JOINED} .))"
    rf" ?(?:dot|Dot|DOT|at|At|AT|[@＠]) ?[{re.escape(CLOSING)}] ?(?={JOINED}))"
)
"""A sign in brackets between two words, with a space on either side or none. What stands before it is looked at from behind the
opening bracket, since a pattern that begins with a class of characters is found faster."""
AT = re.compile(" at ")
DOMAIN = re.compile(
    r"[A-Za-z0-9\-]{1,63}+(?:(?:[.．]| dot )[A-Za-z0-9\-]{1,63}+){0,4}(?:[.．]| dot )[A-Za-z]{2,24}(?![A-Za-z0-9\-])"
)
LOCAL = re.compile(r"[A-Za-z0-9._%+\-]{1,64}\Z")
NO_WORD = re.compile(r"[0-9._+\-]")
SPELT_DOT = re.compile(" dot ")
LONGEST_LOCAL = 64


def reveal(text: str) -> str:
    """`text` with such signs made plain, exactly as long as before."""
    return _words(_bracketed(text))


def _bracketed(text: str) -> str:
    """`text` with the signs in brackets made plain, and FILL behind each, up to its end."""
    parts = SIGN.split(text)  # which costs less than half of a match each
    for number, before in enumerate(parts[:-1:2]):
        if before[-1:] == " ":
            parts[2 * number : 2 * number + 2] = before[:-1], f" {parts[2 * number + 1]}"
    parts[1::2] = map(_plain, parts[1::2])
    return "".join(parts)


@cache
def _plain(sign: str) -> str:
    return fit("." if "dot" in sign.lower() else "@", len(sign))


def _words(text: str) -> str:
    """`text` with the words `at` and `dot` made plain where they stand in an address."""
    made, copied = [], 0
    for place in (match.start() for match in AT.finditer(text)):
        domain = DOMAIN.match(text, place + 4)
        if domain is None or place < copied:
            continue
        local = LOCAL.search(text[max(0, place - LONGEST_LOCAL) : place])
        if local and (" " in domain.group() or NO_WORD.search(local.group())):
            made += [text[copied:place], fit("@", 4), SPELT_DOT.sub(fit(".", 5), domain.group())]
            copied = domain.end()
    return "".join([*made, text[copied:]]) if made else text
