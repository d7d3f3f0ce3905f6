r"""Most texts hold nothing to undo: no escape, no base64 block, no sign spelt out. Told from their UTF-8.

Each test is for more than what is undone (a percent sign and two hexadecimal digits, not what they stand for), so a text that
passes is one that `unescape` gives back as it is; what folding makes of it passes as well, and hides nothing, since ASCII stays.
Only of base64 blocks the exact test is asked, since digests and web addresses are as long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.columns.literals import ONCE, TEXT, Literals, Patterns
from matcher.text import base64_blocks as blocks
from matcher.text.codepoints import holding
from matcher.text.deobfuscate_email import CLOSING, OPENING
from matcher.text.han_digits import DIGITS, SEPARATORS, WIDE_PLUS, X_ALIKE

ESCAPES = ("&#", "&[a-z][a-z0-9]{1,24};", "%[0-9a-f]{2}", r"\\u[0-9a-f]{4}")
AT = r" at [a-z0-9\-]+(?:[.．]| dot )[a-z0-9\-]"
"""The word before a domain."""
RUN = rf"[A-Za-z0-9+/_\-]{{{blocks.SHORTEST}}}"
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@cache
def _to_undo() -> tuple[bytes, ...]:
    """Patterns of what `unescape` may undo.

    An opening bracket and the word behind it are one pattern each: what begins with plain characters is found at twice the speed.
    """
    words = [
        re.escape(f"{opening}{space}{word}") for opening in OPENING for space in ("", " ") for word in ("at", "dot", "@", "＠")
    ]
    bracketed = [f"{word} ?[{re.escape(CLOSING)}]" for word in words]
    return tuple(pattern.encode() for pattern in (*bracketed, AT, *ESCAPES))


@cache
def patterns() -> Patterns:
    """What a text that was folded lightly has where that was not enough: escapes, and numbers that are not all plain digits."""
    separator = f"[{re.escape(SEPARATORS)}]"
    han = [form for digit in DIGITS for form in (f"[0-9]{separator}?{digit}", f"{digit}{separator}?[0-9]")]
    alike = [f"{before}{separator}?{x}" for x in X_ALIKE for before in ("[0-9]{5}", f"{separator}[0-9]{{3}}")]
    numbers = (*han, *alike, f"{WIDE_PLUS}[0-9]")
    return Patterns((*_to_undo(), *(pattern.encode() for pattern in numbers)), TEXT | ONCE)


@cache
def _undone() -> Literals:
    return Literals(_to_undo(), TEXT | ONCE)


@cache
def _doubts() -> Literals:
    return Literals.of(patterns())


@cache
def _run() -> Literals:
    """Finds a run as long as the shortest block."""
    return Literals([RUN.encode()], ONCE)


def are_plain(bodies: Sequence[bytes]) -> Flags:
    """Which of `bodies`, strictly valid UTF-8, hold nothing that `unescape` would undo: bool[bodies]. False where unsure.

    FILL, with which `unescape` fills room, may stand within an escape: texts that hold one must be kept out by the caller.
    """
    data, first, last = _joined(bodies)
    own = list(zip(first.tolist(), last.tolist(), strict=True))
    plain = ~holding(_undone().find(data, own)[1] - 1, first)
    long = np.flatnonzero(plain & holding(_run().find(data, own)[1] - 1, first))
    if len(long):
        plain[long] = ~_hold_block([bodies[n] for n in long.tolist()])
    return plain


def doubted(data: Bytes, first: Places, last: Places, *, seen: bool) -> Flags:
    """Which of the texts [first, last) of `data`, folded lightly, are to be read in full: bool[texts].

    `seen` says whether any of `patterns` was seen in `data`.
    """
    held = holding(blocks.starts(data), first)
    if seen:
        own = list(zip(first.tolist(), last.tolist(), strict=True))
        held |= holding(_doubts().find(data, own)[1] - 1, first)
    return held


def _hold_block(bodies: Sequence[bytes]) -> Flags:
    """Which of `bodies` hold what may be a base64 block: bool[bodies]."""
    data, first, _ = _joined(bodies)
    return holding(blocks.starts(data), first)


def _joined(bodies: Sequence[bytes]) -> tuple[Bytes, Places, Places]:
    """`bodies` with a line end behind each: u8[size], and where each begins and ends, i64[bodies]."""
    data = np.frombuffer(b"\n".join((*bodies, b"")), np.uint8)
    length = np.fromiter(map(len, bodies), np.int64, len(bodies))
    last = np.cumsum(length + 1) - 1
    return data, last - length, last
