"""Words of somebody's record: looked for only in a text that something was found in, since they stand on every line of a dump."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matcher.columns.literals import Literals, once


class Records:
    """The search for `words`, which are folded, in lower case, as UTF-8."""

    def __init__(self, words: Sequence[bytes]) -> None:
        self._literals = Literals.of(once(words))

    def count(self, text: bytes) -> int:
        """How many different ones stand in folded `text`, which is UTF-8."""
        number, _ = self._literals.find(np.frombuffer(text, np.uint8))
        return len(np.unique(number))
