"""Decide which files attached to posts are read, each as a page of its own, and why others are not.

Pictures, sound and films are recognised by their names and never requested, unless the layout
asks for pictures. What a site sends instead of a file, such as a login page, is recognised when it
arrives (`crawlers.fetching.response_checks`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from parsel import Selector

from crawlers.sites.layout import SiteLayout, search
from crawlers.sites.pages import PARENT, PageAddress, Post, Withheld
from crawlers.sites.selectors import LONGEST_TEXT, Node, get_link, get_text, is_element

PICTURES = frozenset("apng avif bmp gif heic ico jfif jpe jpeg jpg png svg tif tiff webp".split())
MEDIA = frozenset(
    "3gp aac amr ape avi flac flv m4a m4v mkv mov mp3 mp4 mpeg mpg ogg ogv rm rmvb swf ts wav webm"
    " wma wmv".split()
)
ENDING = re.compile(r"\.([A-Za-z0-9]{1,8})$")
MOST_FILES = 100
"""The most files of one post; more are an attack or a mistake."""


@dataclass(slots=True)
class AttachmentPages:
    """The files attached to one post. Each of `pages` is read as a page of its own."""

    pages: list[PageAddress] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    unread: list[Withheld] = field(default_factory=list)
    is_cut: bool = False
    """Whether the post has more links than are followed."""


def find_attachments(
    layout: SiteLayout, node: Node, body: str, resolve: Callable[[str], str]
) -> AttachmentPages:
    """Return the files attached to the post at `node`, and why others are not read.

    In JSON their links are in `body`. `resolve` makes a link absolute, or returns "". Of more than
    MOST_FILES (100) links only the first are read, and the result says that it is cut. Pictures,
    other media and links that `resolve` rejects count as unread ("picture"), hidden files as
    "login"; files that occur twice are returned once. The result is empty where the layout names no
    attachments.
    """
    attachments, names = AttachmentPages(), set()
    if not layout.attached and not layout.attached_hidden:
        return attachments
    root = node if isinstance(node, Selector) else Selector(text=body or "<p/>", type="html")
    links = layout.attached.nodes(root)
    attachments.is_cut = len(links) > MOST_FILES
    for link in links[:MOST_FILES]:
        page = _build_page(layout, link, resolve)
        if page is None:
            attachments.unread.append("picture")
        elif page.name not in names:
            names.add(page.name)
            if _is_media(layout, page.facts["title"]):
                attachments.unread.append("picture")
            else:
                attachments.pages.append(page)
                attachments.names.append(page.facts["title"])
    attachments.unread += ["login"] * len(layout.attached_hidden.nodes(root))
    return attachments


def with_post_facts(page: PageAddress, post: Post, series: str) -> PageAddress:
    """Return a file's page with the facts of its post.

    Its identity is its id in the thread, since addresses are signed and change.
    """
    when = f"{post.published_at.timestamp():.0f}" if post.published_at else ""
    post_facts = {
        PARENT: post.post_id,
        "author": post.author,
        "time": when,
        "thread": post.thread,
        "channel": post.channel,
    }
    facts = {**page.facts, **{name: value for name, value in post_facts.items() if value}}
    return PageAddress(page.url, "item", identity=f"{series}#{page.name}", facts=facts)


def _build_page(
    layout: SiteLayout, link: Node, resolve: Callable[[str], str]
) -> PageAddress | None:
    """Return the page of one file.

    Returns None for a picture shown in the post or a link that `resolve` rejects. Its id is what
    `layout.attached_id` finds in the element's id or the address, else the whole address.
    """
    if is_element(link) and link.root.tag == "img":
        return None
    url = resolve(get_link(link))
    if not url:
        return None
    element_id = link.attrib.get("id", "") if is_element(link) else ""
    pattern = layout.attached_id
    match = pattern and (search(pattern, element_id) or search(pattern, url))
    number = match["id"] if match else url
    name = layout.attached_name.text(link) if layout.attached_name else get_text(link, LONGEST_TEXT)
    return PageAddress(
        url,
        "item",
        identity=f"file-{number}",
        facts={"id": number, "title": name or _get_file_name(url)},
    )


def _get_file_name(url: str) -> str:
    """Return the last step of a URL's path."""
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])


def _is_media(layout: SiteLayout, name: str) -> bool:
    """Return whether a file is, by its name, sound, film, or an unwanted picture."""
    ending = ENDING.search(name.strip())
    kind = ending[1].lower() if ending else ""
    return kind in MEDIA or (kind in PICTURES and not layout.pictures)
