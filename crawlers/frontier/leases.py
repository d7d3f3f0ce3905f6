"""The pages of a site that are leased next, read ahead with one query for many leases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MOST_AHEAD = 64


@dataclass(slots=True)
class NextPages:
    """The rows of the next pages of a site, in reverse order.

    While nothing else becomes due, one query serves many leases.
    """

    rows: list[Any] = field(default_factory=list)
    count: int = 1

    def grow(self) -> None:
        """Double the number of rows to read, because all were leased before more became due."""
        self.count = min(MOST_AHEAD, 2 * self.count)

    def clear(self) -> None:
        """Forget the rows, because due pages have changed."""
        if self.rows:
            self.rows, self.count = [], 1
