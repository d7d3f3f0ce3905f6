r"""Most texts hold nothing to undo: no escape, no base64 block, no sign spelt out. Told from their UTF-8.

Each test is for more than what is undone (a percent sign and two hexadecimal digits, not what they stand for), so a text that
passes is one that `unescape` gives back as it is. Only of base64 blocks the exact test is asked, since digests and web addresses
are as long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import hyperscan
import numpy as np
import numpy.typing as npt

from matcher.scan.literals import Literals
from matcher.text import blocks
from matcher.text.spelt import CLOSING, OPENING

ONCE = hyperscan.HS_FLAG_UTF8 | hyperscan.HS_FLAG_SINGLEMATCH
"""One hit a text is enough."""
ESCAPES = (
    (b"&", re.compile(rb"&(?:#|[A-Za-z][A-Za-z0-9]{1,24};)")),
    (b"%", re.compile(rb"%[0-9A-Fa-f]{2}")),
    (b"\\", re.compile(rb"\\u[0-9A-Fa-f]{4}")),
)
"""What each sign begins. Within may stand what `unescape` fills room with: that is for folding to see, which drops it."""
RUN = f"[A-Za-z0-9+/_\\-]{{{blocks.SHORTEST}}}"
Flags = npt.NDArray[np.bool_]


@cache
def _signs() -> Literals:
    """An opening bracket before the word or sign of an address, and the word `at` between spaces before a domain."""
    opening, closing = (re.escape(signs) for signs in (OPENING, CLOSING))
    bracketed = f"[{opening}] ?(?:at|AT|At|dot|DOT|Dot|@|＠) ?[{closing}]"
    return Literals([bracketed.encode(), r" at [A-Za-z0-9\-]+(?:[.．]| dot )[A-Za-z0-9\-]".encode()], ONCE)


@cache
def _runs() -> Literals:
    """A run as long as the shortest block."""
    return Literals([RUN.encode()], ONCE)


def are_plain(bodies: Sequence[bytes]) -> Flags:
    """Which of `bodies`, strictly valid UTF-8, hold nothing that `unescape` would undo: bool[bodies]. False where unsure.

    Texts with a character that folding drops must be kept out by the caller: such a one may stand within an escape.
    """
    plain = np.array([not _holds_escape(body) for body in bodies], bool)
    kept = np.flatnonzero(plain)
    found = kept[_hit(_signs(), [bodies[n] for n in kept.tolist()])]
    plain[found] = False
    kept = np.flatnonzero(plain)
    long = kept[_hit(_runs(), [bodies[n] for n in kept.tolist()])]
    plain[long[_hold_block([bodies[n] for n in long.tolist()])]] = False
    return plain


def _holds_escape(body: bytes) -> bool:
    return any(sign in body and pattern.search(body) is not None for sign, pattern in ESCAPES)


def _hit(wanted: Literals, bodies: Sequence[bytes]) -> Flags:
    """Which of `bodies` hold any of `wanted`: bool[bodies]."""
    data, first, last = _joined(bodies)
    _, end = wanted.find(data, zip(first.tolist(), last.tolist(), strict=True))
    return _holding(end - 1, first)


def _hold_block(bodies: Sequence[bytes]) -> Flags:
    """Which of `bodies` hold what may be a base64 block: bool[bodies]."""
    data, first, _ = _joined(bodies)
    return _holding(blocks.starts(data), first)


def _joined(bodies: Sequence[bytes]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """`bodies` with a line end behind each: u8[size], and where each begins and ends, i64[bodies]."""
    data = np.frombuffer(b"\n".join((*bodies, b"")), np.uint8)
    length = np.fromiter(map(len, bodies), np.int64, len(bodies))
    last = np.cumsum(length + 1) - 1
    return data, last - length, last


def _holding(places: npt.NDArray[np.int64], first: npt.NDArray[np.int64]) -> Flags:
    """Which of the bodies that begin at `first` hold one of `places`: bool[bodies]."""
    holding = np.zeros(len(first), bool)
    holding[np.searchsorted(first, places, "right") - 1] = True
    return holding
