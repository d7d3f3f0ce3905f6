"""Hold what was read from one page of a site: its posts, and the pages that it leads to.

Sites of all kinds are read alike. A *list* names threads or pastes and is read at every visit; a
*thread* has posts and is read when its list shows a change; an *item* is a single paste or file and
is read once. Each platform (`crawlers.platforms`) parses a response into one `PageContent`; its
`posts` are published and its `pages` go to the frontier, the queue of pages to fetch.

    list ── PageAddress(role="thread", stamp="12 replies") ──▶ thread ──▶ Post, Post, …
      └──── PageAddress(role="item") ────────────────────────▶ item ────▶ Post

Nothing here fetches or raises; a page that is incomplete says so in `whole` and `lacking`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Role = Literal["list", "thread", "item"]
Withheld = Literal[
    "picture", "login", "page", "robots", "host", "address", "too_large", "gone", "failed"
]
"""Why a file that is attached to a post is not read; see `docs/sites.md`."""
Lacking = Literal["", "partial", "links", "too_large", "fewer"]
"""Why a page is known to be incomplete.

It states so itself, has more links than are followed, was truncated, or shows more than was read.
"""
PARENT = "parent"
"""The fact that marks a page as a file; it holds the id of the post with the file."""


@dataclass(frozen=True, slots=True)
class PageAddress:
    """The address of a page to fetch.

    Lists are read at every visit, threads when their `stamp` has changed, items once.

    `identity` is the URL that names the page for good, without session, slug or host name aliases.
    Pages of one list or thread share a `series` and are numbered from 1. `stamp` is whatever the
    list shows that changes with the page (a count, a date). `facts` travel with the page to its own
    parsing (such as a title that only the list shows).
    """

    url: str
    role: Role
    identity: str = ""
    series: str = ""
    number: int = 1
    stamp: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name under which the frontier stores the page."""
        return self.identity or self.url


@dataclass(frozen=True, slots=True)
class Post:
    """One post, paste or file, as served and not yet decoded.

    `post_id` is the site's own id. `published_at` has a time zone; `url` is where a person reads
    the post.
    """

    post_id: str
    url: str
    body: bytes
    title: str = ""
    author: str = ""
    published_at: datetime | None = None
    kind: Literal["post", "paste", "attachment", "message"] = "post"
    media_type: str = "text/plain"
    charset: str = ""
    channel: str = ""
    thread: str = ""
    reply_to: str = ""
    wording: bytes = b""
    """The text by which an edit is noticed, without markup and counters; the body by default."""
    lasting: bool = True
    """Whether `post_id` is permanent, and not the current position of the post on its page."""
    edited: bool = False
    """Whether an earlier reading found another content."""
    parent: str = ""
    """For a file, the id of the post that it is attached to."""
    attachments: tuple[str, ...] = ()
    """Names of the attached files that are read as pages of their own."""
    unread: tuple[Withheld, ...] = ()
    """The reason for each attached file that is not read."""


@dataclass(frozen=True, slots=True)
class PageContent:
    """The posts of one page, and the pages that it leads to.

    `whole` is whether the complete page arrived, `gone` whether it states that the requested thread
    or paste no longer exists.
    """

    posts: tuple[Post, ...] = ()
    pages: tuple[PageAddress, ...] = ()
    whole: bool = True
    gone: bool = False
    lacking: Lacking = ""
    shortfall: str = ""
    """A sentence about what the page shows and was not read; `lacking` is then `fewer`."""
    counted: int | None = None
    """The number of posts that a thread's page states, if that is to be compared."""
