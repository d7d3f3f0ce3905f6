"""What folding changes in texts, told from their UTF-8: characters that become one ASCII byte, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.text.codepoints import holding
from matcher.text.plain import DROPPED, tables
from matcher.text.utf8 import Bytes, Flags, Laid, Places, sizes, special

CODES = 0x110000
STAYS, GONE = 0, 255
"""In the table: a character that stays, and one that is dropped."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Texts laid end to end, and the characters that change there by place: `place` and `size` i64[n], in bytes, `becomes` u8[n].

    `broken` bool[texts]: no valid UTF-8, and nothing is changed.
    """

    laid: Laid
    place: Places
    size: Places
    becomes: Bytes
    broken: Flags

    @classmethod
    def of(cls, bodies: Sequence[bytes]) -> Changes:
        """What changes in `bodies`."""
        laid = Laid.of(bodies)
        seen = special(laid.data)
        becomes = _table().take(seen.code)
        which, broken = np.flatnonzero(becomes != STAYS), holding(seen.broken, laid.start)
        if broken.any():  # where its characters end is not known
            which = which[~broken[np.searchsorted(laid.start, seen.place[which], "right") - 1]]
        return cls(laid, seen.place[which], sizes(seen.code[which]), becomes[which], broken)

    @property
    def gone(self) -> Flags:
        """Which of them are dropped."""
        return np.asarray(self.becomes == GONE)

    @property
    def borders(self) -> Places:
        """For each text the number of its first change, and at last how many changes there are: i64[texts + 1]."""
        return np.append(np.searchsorted(self.place, self.laid.start), len(self.place))


@cache
def _table() -> npt.NDArray[np.uint8]:
    """By code point: STAYS, GONE, or the ASCII byte that it becomes."""
    plain = tables(CODES).plain
    made = np.where(plain == np.arange(CODES), STAYS, plain).astype(np.uint8)
    made[plain == DROPPED] = GONE
    return made
