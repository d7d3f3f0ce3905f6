"""Several texts read in one go: on a text of 16 KiB the calls cost more than their work.

They are laid end to end with a character between that no escape, block, number or address goes across, read as one, and parted
again; each comes out as it would alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from matcher.text.codepoints import BETWEEN, FILL, utf8_of
from matcher.text.fold import Folded, fold
from matcher.text.needs_unescape import are_plain
from matcher.text.unescape import unescape, untag

ROOM = 1 << 19
"""Characters read at once: enough that calls cost nothing, and what is made on the way stays small."""


def read_in_full(texts: Sequence[str]) -> list[Folded]:
    """Each of `texts` (decoded, without markup) unescaped and folded, in order; where nothing is to undo that is not tried."""
    bodies = {n: body for n, text in enumerate(texts) if FILL not in text and (body := utf8_of(text)) is not None}
    numbers = list(bodies)
    plain = [numbers[n] for n in np.flatnonzero(are_plain(list(bodies.values()))).tolist()]
    read: dict[int, Folded] = {}
    for group in _groups(texts, plain):
        read.update(zip(group, _parted(fold, [texts[n] for n in group]), strict=True))
    left = [n for n in range(len(texts)) if n not in read]
    read.update(zip(left, read_together([texts[n] for n in left], markup=False), strict=True))
    return [read[n] for n in range(len(texts))]


def read_together(texts: Sequence[str], *, markup: bool) -> list[Folded]:
    """Each of `texts` (decoded) unescaped and folded, in order."""
    texts = [untag(text) for text in texts] if markup else texts
    read: dict[int, Folded] = {}
    for numbers in _groups(texts, range(len(texts))):
        read.update(zip(numbers, _parted(_read, [texts[n] for n in numbers]), strict=True))
    return [read[n] for n in range(len(texts))]


def _groups(texts: Sequence[str], wanted: Sequence[int]) -> list[list[int]]:
    """The numbers `wanted` in groups that are read together, of ROOM characters: those in ASCII, which is cheaper, apart."""
    groups: list[list[int]] = []
    for is_ascii in (True, False):
        room = 0
        for number in wanted:
            if texts[number].isascii() is is_ascii:
                if room <= 0:
                    groups.append([])
                    room = ROOM
                groups[-1].append(number)
                room -= len(texts[number])
    return groups


def _read(text: str) -> Folded:
    return fold(unescape(text, markup=False))


def _parted(read: Callable[[str], Folded], texts: list[str]) -> list[Folded]:
    """What `read` makes of all `texts` laid end to end, parted again."""
    if not texts:
        return []
    whole = read(BETWEEN.join(texts))
    if len(texts) == 1:
        return [whole]
    length = np.fromiter(map(len, texts), np.int64, len(texts))
    end = np.cumsum(length + 1) - 1
    start = end - length
    dropped = whole.drops + np.arange(len(whole.drops))  # where in the original
    first, last = np.searchsorted(dropped, start), np.searchsorted(dropped, end)
    return [
        Folded(whole.text[s - f : e - n], whole.original[s:e], whole.drops[f:n] - (s - f))
        for s, e, f, n in zip(start.tolist(), end.tolist(), first.tolist(), last.tolist(), strict=True)
    ]
