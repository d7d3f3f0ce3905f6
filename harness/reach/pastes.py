"""Paste sites in the shape of their pages: each post of what is planted is a paste."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from harness.reach.content import Content, Post, ago
from harness.reach.shape import Head, Made, given

NEWEST = 250


def _key(post: Post) -> str:
    """Eight letters, as Pastebin has them."""
    return f"Ab{post.id:06d}"


class PastebinApi(Head):
    """The list of the newest pastes for programs, and each by itself."""

    def pages(self, content: Content, url: str) -> Iterator[tuple[str, Made]]:
        """Return the list and the pastes."""
        yield f"/api_scraping.php?limit={NEWEST}", lambda: self._list(content, url)
        for post in content.posts():
            yield f"/api_scrape_item.php?i={_key(post)}", given(post.text)

    def _list(self, content: Content, url: str) -> object:
        return [
            {
                "scrape_url": f"{url}/api_scrape_item.php?i={_key(post)}",
                "full_url": f"https://pastebin.com/{_key(post)}",
                "date": f"{post.at.timestamp():.0f}", "key": _key(post),
                "size": str(len(post.text)), "expire": "0",
                "title": content.thread_of(post).title, "syntax": "text", "user": post.author,
            }
            for post in [*content.posts()][:NEWEST]
        ]  # fmt: skip


class PastebinArchive(Head):
    """The page of the newest pastes, with their age in words."""

    def pages(self, content: Content, url: str) -> Iterator[tuple[str, Made]]:
        """Return the list and the pastes."""
        yield "/archive", lambda: self._list(content)
        for post in content.posts():
            yield f"/raw/{_key(post)}", given(post.text)

    def _list(self, content: Content) -> str:
        now = datetime.now(UTC)
        rows = "".join(
            '<tr><td><span class="status -public"></span><a'
            f' href="/{_key(post)}">{content.thread_of(post).title}</a></td><td class="td_smaller'
            f' h_800 td_right">{ago(post.at, now)}</td><td class="td_smaller h_800 td_right"><a'
            ' href="/archive/text">Text</a></td></tr>'
            for post in content.posts()
        )
        return (
            '<html><head><link rel="canonical" href="https://pastebin.com/archive"></head><body><ul'
            ' class="sidebar__menu"><li><a '
            'href="/Zz999999">a public paste</a></li></ul><div class="archive-table"><table'
            ' class="maintable"><tr '
            'class="top"><th>Name</th><th>Posted</th><th>Syntax</th></tr>'
            f"{rows}</table></div></body></html>"
        )


class RawPaste(Head):
    """Any paste site with a list in pages and an address that gives a text."""

    def pages(self, content: Content, url: str) -> Iterator[tuple[str, Made]]:
        """Return the list and the pastes."""
        yield (
            "/archive",
            lambda: "<ul>{}</ul>".format(
                "".join(f'<li><a href="/{_key(post)}">x</a></li>' for post in content.posts())
            ),
        )
        for post in content.posts():
            yield f"/raw/{_key(post)}", given(post.text)


PASTES = (
    PastebinApi("Pastebin API", "pastebin", "2026", paged=False),
    PastebinArchive(
        "Pastebin archive",
        "pastebin_archive",
        "2026",
        "/archive",
        precision=timedelta(days=30),
        paged=False,
    ),
    RawPaste("raw_paste", "raw_paste", "any", "/archive", paged=False),
)
