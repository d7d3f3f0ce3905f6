"""The pages of a site that are leased next, read ahead with one query for many leases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MOST_AHEAD = 64


@dataclass(slots=True)
class NextPages:
    """The rows of the next pages of a site, the last one first: while nothing else becomes due,
    one query serves many leases.
    """

    rows: list[Any] = field(default_factory=list)
    count: int = 1

    def grow(self) -> None:
        """Read twice as many the next time, since all were leased before anything else became
        due.
        """
        self.count = min(MOST_AHEAD, 2 * self.count)

    def clear(self) -> None:
        """Forget them: something else is due, or one of these is not."""
        if self.rows:
            self.rows, self.count = [], 1
