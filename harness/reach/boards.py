"""Boards of HTML pages in the shape of programs that cannot be had from a registry, one file of
`boards.d` each. All is made up.

name = "phpBB"                            # the program, for people; `preset` and `version` as well
# the first page of the list, and any other
list = ["/viewforum.php?f=2", "/viewforum.php?f=2&start={entries}"]
thread = ["/viewtopic.php?t={thread}", "/viewtopic.php?t={thread}&start={posts}"]
# where the entry of a moved thread leads, if that leads on to the thread
moved_from = "/viewtopic.php?f=5&t={thread}"
when = "iso"                              # how moments are written, a function of `content`
# a page of the list, and `reading` one of a thread, with {posts}
listing = "…{title}{entries}{next}…"
# an entry, and `pinned` and `moved` of such threads; `post` a post, `first` the first of a thread
# where that looks otherwise
row = "…"
next = "…{}…"                             # the link to the next page

Entries and posts have what the program's own pages have in them that could be taken for something
else: counts of views, links to last posts and to pages of a thread, signatures, the small form to
log in with that guests see.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from harness.reach import content as moments
from harness.reach.content import Content, Thread, Written
from harness.reach.shape import Head, Made, Redirect, count_of, page_of

FOLDER = Path(__file__).with_name("boards.d")


@dataclass(frozen=True, kw_only=True)
class Board(Head):
    """See the module."""

    list: tuple[str, str]
    thread: tuple[str, str]
    when: Written
    listing: str
    reading: str
    row: str
    post: str
    next: str
    first: str = ""
    """The first post of a thread, where it looks otherwise."""
    pinned: str = ""
    moved: str = ""
    moved_from: str = ""
    entries: int = 10
    posts: int = 5
    """A page."""

    def pages(self, content: Content, url: str) -> Iterator[tuple[str, Made]]:
        """Yield lists, threads, and where a moved thread was."""
        for page in range(
            1, count_of([t for t in content.threads.values() if not t.pinned], self.entries) + 1
        ):
            yield self._format_list_path(page), partial(self._list, content, page)
        for thread in content.threads.values():
            for page in range(1, count_of(thread.posts, self.posts) + 1):
                yield self._read(thread, page), partial(self._thread, thread, page)
            if thread.moved and self.moved_from:
                yield self._format_former_path(thread), partial(self._redirect, thread)

    def _format_list_path(self, page: int) -> str:
        return self.list[page > 1].format(page=page, entries=self.entries * (page - 1))

    def _read(self, thread: Thread, page: int) -> str:
        return self.thread[page > 1].format(
            thread=thread.id, page=page, posts=self.posts * (page - 1)
        )

    def _format_former_path(self, thread: Thread) -> str:
        return self.moved_from.format(thread=thread.id)

    def _redirect(self, thread: Thread) -> Redirect:
        return Redirect(self._read(thread, 1))

    def _list(self, content: Content, page: int) -> str:
        listed = content.listed()
        unpinned = [thread for thread in listed if not thread.pinned]
        shown = [
            *(thread for thread in listed if thread.pinned and page == 1),
            *page_of(unpinned, page, self.entries),
        ]
        following = (
            ""
            if page >= count_of(unpinned, self.entries)
            else self.next.format(self._format_list_path(page + 1))
        )
        return self.listing.format(
            entries="".join(self._row(content, thread) for thread in shown),
            next=following,
            title="交易区",
        )

    def _row(self, content: Content, thread: Thread) -> str:
        template = (thread.pinned and self.pinned) or (thread.moved and self.moved) or self.row
        where = (
            self._format_former_path(thread)
            if thread.moved and self.moved_from
            else self._read(thread, 1)
        )
        return template.format(
            where, thread=thread.id, title=thread.title, replies=len(thread.posts) - 1,
            views=content.views,
            first=thread.posts[0], last=thread.last, when=self.when(thread.last.at,
            datetime.now(UTC)),
            seconds=int(thread.last.at.timestamp()),
        )  # fmt: skip

    def _thread(self, thread: Thread, page: int) -> str:
        now = datetime.now(UTC)
        posts = "".join(
            ((not post.place and self.first) or self.post).format(
                p=post, thread=thread.id, place=post.place + 1, when=self.when(post.at, now)
            )
            for post in page_of(thread.posts, page, self.posts)
        )
        following = (
            ""
            if page >= count_of(thread.posts, self.posts)
            else self.next.format(self._read(thread, page + 1))
        )
        return self.reading.format(posts=posts, next=following, title=thread.title)


def _board(path: Path) -> Board:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    table.update(
        when=getattr(moments, table["when"]),
        list=tuple(table["list"]),
        thread=tuple(table["thread"]),
    )
    return Board(start=table["list"][0], **table)


def boards() -> tuple[Board, ...]:
    """Return all boards."""
    return tuple(_board(path) for path in sorted(FOLDER.glob("*.toml")))
