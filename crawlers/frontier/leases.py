"""Define the lease of a page, and read ahead the pages that are leased next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crawlers.sites.pages import PageAddress

MOST_AHEAD = 64


@dataclass(frozen=True, slots=True)
class PageLease:
    """A page that one visit may fetch now.

    `name` is the keyed digest under which the frontier stores the page, `stamp` the digest of its
    stamp when it was leased, and `attempts` the number of failures that are stored since the page
    was last read.
    """

    site: str
    name: bytes
    page: PageAddress
    stamp: bytes
    attempts: int
    entries: int = 0
    """Entries of the page when it last had any (`signs.entries`); `size` is its bytes then."""
    size: int = 0
    validators: bytes = b""
    """The site's validators of its last answer (`crawlers.fetching.conditional_requests`)."""


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
