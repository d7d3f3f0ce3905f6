"""Files that are attached to posts: which of them are read, each as a page of its own, and why the
others are not.

Pictures, sound and films are told by their names and never asked for, unless the layout says so of
pictures. What a site gives instead of a file, such as a page to log in at, is told when it comes
(`crawlers.fetching.response_checks.of_file`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from parsel import Selector

from crawlers.sites.layout import SiteLayout, search
from crawlers.sites.pages import PARENT, PageAddress, Post, Withheld
from crawlers.sites.selectors import LONGEST_TEXT, Node, is_element, link_of, text_of

PICTURES = frozenset("apng avif bmp gif heic ico jfif jpe jpeg jpg png svg tif tiff webp".split())
MEDIA = frozenset(
    "3gp aac amr ape avi flac flv m4a m4v mkv mov mp3 mp4 mpeg mpg ogg ogv rm rmvb swf ts wav webm"
    " wma wmv".split()
)
ENDING = re.compile(r"\.([A-Za-z0-9]{1,8})$")
MOST_FILES = 100
"""Files of one post: beyond it is an attack or a mistake."""


@dataclass(slots=True)
class AttachmentPages:
    """The files of one post. `pages` are read for themselves."""

    pages: list[PageAddress] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    unread: list[Withheld] = field(default_factory=list)
    is_cut: bool = False
    """Whether there are more links than are followed of one post."""


def attached(
    layout: SiteLayout, node: Node, body: str, address: Callable[[str], str]
) -> AttachmentPages:
    """What is attached to the post that `node` is; in data its links stand in `body`.

    `address` makes a link whole, or is "".
    """
    found, known = AttachmentPages(), set()
    if not layout.attached and not layout.attached_hidden:
        return found
    root = node if isinstance(node, Selector) else Selector(text=body or "<p/>", type="html")
    links = layout.attached.nodes(root)
    found.is_cut = len(links) > MOST_FILES
    for link in links[:MOST_FILES]:
        page = _page(layout, link, address)
        if page is None:
            found.unread.append("picture")
        elif page.name not in known:
            known.add(page.name)
            if _is_media(layout, page.facts["title"]):
                found.unread.append("picture")
            else:
                found.pages.append(page)
                found.names.append(page.facts["title"])
    found.unread += ["login"] * len(layout.attached_hidden.nodes(root))
    return found


def of_post(page: PageAddress, post: Post, series: str) -> PageAddress:
    """A file's page with all that its post tells of it.

    It is known by its id in its thread: addresses are signed, and change.
    """
    when = f"{post.published_at.timestamp():.0f}" if post.published_at else ""
    told = {
        PARENT: post.post_id,
        "author": post.author,
        "time": when,
        "thread": post.thread,
        "channel": post.channel,
    }
    facts = {**page.facts, **{name: value for name, value in told.items() if value}}
    return PageAddress(page.url, "item", identity=f"{series}#{page.name}", facts=facts)


def _page(layout: SiteLayout, link: Node, address: Callable[[str], str]) -> PageAddress | None:
    """The page of one file; None for a picture that stands in the post."""
    if is_element(link) and link.root.tag == "img":
        return None
    url = address(link_of(link))
    if not url:
        return None
    own = link.attrib.get("id", "") if is_element(link) else ""
    pattern = layout.attached_id
    told = pattern and (search(pattern, own) or search(pattern, url))
    number = told["id"] if told else url
    name = layout.attached_name.text(link) if layout.attached_name else text_of(link, LONGEST_TEXT)
    return PageAddress(
        url,
        "item",
        identity=f"file-{number}",
        facts={"id": number, "title": name or _last_step(url)},
    )


def _last_step(url: str) -> str:
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])


def _is_media(layout: SiteLayout, name: str) -> bool:
    ending = ENDING.search(name.strip())
    kind = ending[1].lower() if ending else ""
    return kind in MEDIA or (kind in PICTURES and not layout.pictures)
