"""Several texts read in one go: on a text of 16 KiB the calls cost more than their work.

They are laid end to end with a character between that no escape, block, number or address goes across, read as one, and parted
again; each comes out as it would alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from matcher.text.codes import BETWEEN, FILL
from matcher.text.fold import Folded, fold
from matcher.text.gate import are_plain
from matcher.text.light import fold_lightly
from matcher.text.unescape import unescape, untag

ROOM = 1 << 19
"""Characters read at once: enough that calls cost nothing, and what is made on the way stays small."""


def read_utf8(texts: Sequence[str], bodies: Sequence[bytes]) -> list[Folded]:
    """Each of `texts` unescaped and folded, in order: as `read_together`, faster by far where there is little to do.

    `bodies` are their UTF-8, strictly valid and without markup.
    """
    read: dict[int, Folded] = {}
    for numbers in _groups(texts):
        plain = [numbers[n] for n in np.flatnonzero(are_plain([bodies[n] for n in numbers])).tolist()]
        light = fold_lightly([texts[n] for n in plain], [bodies[n] for n in plain])
        read.update((n, folded) for n, folded in zip(plain, light, strict=True) if folded is not None)
        left = [n for n in plain if n not in read and FILL not in texts[n]]
        read.update(zip(left, _parted(fold, [texts[n] for n in left]), strict=True))
    left = [n for n in range(len(texts)) if n not in read]
    read.update(zip(left, read_together([texts[n] for n in left], markup=False), strict=True))
    return [read[n] for n in range(len(texts))]


def read_together(texts: Sequence[str], *, markup: bool) -> list[Folded]:
    """Each of `texts` (decoded) unescaped and folded, in order."""
    texts = [untag(text) for text in texts] if markup else texts
    read: dict[int, Folded] = {}
    for numbers in _groups(texts):
        read.update(zip(numbers, _parted(_read, [texts[n] for n in numbers]), strict=True))
    return [read[n] for n in range(len(texts))]


def _groups(texts: Sequence[str]) -> list[list[int]]:
    """Numbers of texts that are read together: those in ASCII and the others apart, since ASCII is cheaper, ROOM at a time."""
    groups: list[list[int]] = []
    for is_ascii in (True, False):
        room = 0
        for number, text in enumerate(texts):
            if text.isascii() is is_ascii:
                if room <= 0:
                    groups.append([])
                    room = ROOM
                groups[-1].append(number)
                room -= len(text)
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
