"""What a platform says about a page: the posts on it and the pages that it leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Role = Literal["list", "thread", "item"]


@dataclass(frozen=True, slots=True)
class Page:
    """A page to fetch. Lists are read at every visit, threads when their `stamp` has changed, items once.

    `identity` is the URL that names the page for good, without session, slug or host name aliases. Pages of one list or thread
    share a `series` and are numbered from 1. `stamp` is whatever the list shows that changes with the page (a count, a date).
    `facts` travel with the page to its own parsing (such as a title that only the list shows).
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
        """What the frontier knows the page by."""
        return self.identity or self.url


@dataclass(frozen=True, slots=True)
class Post:
    """One post, paste or file, as served. `published_at` is aware; `url` leads a person to it."""

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


@dataclass(frozen=True, slots=True)
class Parsed:
    """The posts of one page, and the pages that it leads to."""

    posts: tuple[Post, ...] = ()
    pages: tuple[Page, ...] = ()
