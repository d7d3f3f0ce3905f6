"""What folding changes in texts, told from their UTF-8: characters that become one ASCII byte, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.columns.signs import JOINING, NOT_ASCII, SIGNS
from matcher.text.codepoints import holding
from matcher.text.plain import DROPPED, tables
from matcher.text.runs import begins_digit
from matcher.text.utf8 import Bytes, Flags, Laid, Places, sizes, special

CODES = 0x110000
STAYS, GONE, SIGN = 0, 255, 0x80
"""In the table: a character that stays, one that is dropped, and a bit beside the ASCII byte that one of SIGNS becomes."""
LINE_END, SIGN_SIZE = 10, 3


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
    def plain(self) -> Bytes:
        """The ASCII byte that each becomes; of one that is gone it says nothing."""
        return self.becomes & np.uint8(~SIGN & 0xFF)

    @property
    def borders(self) -> Places:
        """For each text the number of its first change, and at last how many changes there are: i64[texts + 1]."""
        return np.append(np.searchsorted(self.place, self.laid.start), len(self.place))

    def in_signs_alone(self) -> Flags:
        """Which texts change, and in SIGNS alone, with none that may join the parts of a value: bool[texts]."""
        other = (self.becomes < SIGN) | self.gone
        joining = np.flatnonzero(np.isin(self.becomes, [ord(sign) | SIGN for sign in JOINING]))
        other[joining] = self._joins(self.place[joining])
        alone: Flags = (np.diff(self.borders) > 0) & ~self.broken & ~holding(self.place[other], self.laid.start)
        return alone

    def _joins(self, place: Places) -> Flags:
        """Which of the signs at `place` stand beside an ASCII character but a line end, or beside a Han digit."""
        data, joins = self.laid.data, np.zeros(len(place), bool)
        for beside in (place - 1, place + SIGN_SIZE):
            joins |= (data[beside] < NOT_ASCII) & (data[beside] != LINE_END)
        for beside in (place - SIGN_SIZE, place + SIGN_SIZE):
            joins |= begins_digit(data, beside)
        return joins

    def where(self, kept: Flags, bodies: Sequence[bytes]) -> Changes:
        """Those in the texts that are `kept`, bool[texts]; `bodies` are all texts."""
        numbers = np.flatnonzero(kept)
        laid = Laid.of([bodies[n] for n in numbers.tolist()])
        moved = np.zeros(len(kept), np.int64)
        moved[numbers] = laid.start - self.laid.start[numbers]
        text = np.repeat(np.arange(len(kept)), np.diff(self.borders))
        own = np.flatnonzero(kept[text])
        place = self.place[own] + moved[text[own]]
        return Changes(laid, place, self.size[own], self.becomes[own], self.broken[numbers])


@cache
def _table() -> npt.NDArray[np.uint8]:
    """By code point: STAYS, GONE, or the ASCII byte that it becomes."""
    plain = tables(CODES).plain
    made = np.where(plain == np.arange(CODES), STAYS, plain).astype(np.uint8)
    made[[ord(sign) for sign in SIGNS]] |= SIGN
    made[plain == DROPPED] = GONE
    return made
