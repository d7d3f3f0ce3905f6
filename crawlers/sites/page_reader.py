"""Read a page by its layout.

A list leads to threads or pastes, a thread holds posts, and both lead to their next page. The code
is the same for every site software; the differences are data (`crawlers.sites.layout`).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urldefrag, urljoin, urlsplit

from lxml import etree  # type: ignore[import-untyped]  # it has no types
from parsel import Selector
from scrapy.http import Response
from w3lib.url import add_or_replace_parameters

from crawlers.sites.attachments import find_attachments, with_post_facts
from crawlers.sites.completeness import (
    RowCount,
    describe_shortfall,
    find_page_post_count,
    find_post_count,
    pick_absent_ids,
)
from crawlers.sites.elements import drop_nested, is_in_menu, iter_detached
from crawlers.sites.layout import NONE, SiteLayout, fill_template, search, to_identity
from crawlers.sites.next_pages import NO_ENTRY, find_numbered_link, is_other_thread
from crawlers.sites.pages import PARENT, Lacking, PageAddress, PageContent, Post
from crawlers.sites.selectors import (
    LONGEST_TEXT,
    MOST_LINKS,
    Node,
    ParsedPage,
    Selections,
    get_link,
    get_text,
    is_element,
    parse_content_type,
)
from ullage.errors import RecordError

COUNTED = "counted"
"""The fact of a page whose id was guessed by counting up: it may not exist yet.

Its value holds the addresses of two ids that do not exist.
"""
CAME_FROM = "came_from"
"""The fact of a thread's page that holds the address of the page that led to it.

Threads may be paged from the newest or from the oldest post.
"""
BARREN, MOST_BARREN = "barren", 5
"""The fact of a list that counts the lists without entries that led to it, and its limit.

Beyond the limit it is a calendar.
"""
GROWTH, FREE = 8, 1024
"""A page yields at most `GROWTH` times its size, and `FREE` bytes more per post and page."""
COUNT = re.compile(
    r"(?P<count>\d{1,3}(?:[,.\s]\d{3})+|\d+)\s*(?P<about>[.,]\d+|[kKmM万]\b|[kKmM万]|)"
)
LAST_STEP = re.compile(r"(?<![^/?&=])(?P<id>[^/?&=]++)/?$")
QUERY = re.compile(r"[?#].*", re.DOTALL)
UNREAD = frozenset({"script", "style"})
TIMES = ("datetime", "data-time", "data-timestamp", "title")
"""Attributes that hold a more precise time than an element's text."""


def list_start_pages(layout: SiteLayout, urls: Sequence[str]) -> list[PageAddress]:
    """Return the first pages of a visit: a list per address, or the first numbered pastes."""
    if layout.first is None:
        return [PageAddress(_resolve_list_url(layout, url), "list") for url in urls]
    return [
        page
        for url in urls
        for page in _enumerate_pastes(layout, url, range(layout.first, layout.first + layout.ahead))
    ]


def _enumerate_pastes(layout: SiteLayout, url: str, numbers: range) -> Iterator[PageAddress]:
    """Yield the paste of each id, for a site that numbers its pastes and lists none."""

    def build_raw_url(number: int) -> str:
        return urljoin(
            url,
            fill_template(layout.raw, id=number, root=urljoin(url, "/"), site=urljoin(url, "/")),
        )

    for number in numbers:
        raw, absent = build_raw_url(number), " ".join(map(build_raw_url, pick_absent_ids(number)))
        shown = urljoin(url, fill_template(layout.page, id=number)) if layout.page else raw
        yield PageAddress(
            raw,
            "item",
            identity=shown,
            series=urljoin(url, "/"),
            number=number,
            facts={"id": str(number), COUNTED: absent},
        )


def _resolve_list_url(layout: SiteLayout, url: str) -> str:
    """Return the address of the list that a start address refers to."""
    is_list = not layout.list_at or (layout.list_is and search(layout.list_is, url))
    return url if is_list else urljoin(url, layout.list_at)


def read_raw_post(layout: SiteLayout, page: PageAddress, response: Response) -> PageContent:
    """Return the content of a paste or an attached file: its whole body as one post.

    Where pastes are numbered (`COUNTED`), the pages of the next `layout.ahead` numbers are returned
    too.
    """
    media_type, charset = parse_content_type(response)
    facts = page.facts
    when = facts.get("time")
    parent = facts.get(PARENT, "")
    post = Post(
        f"{parent}-{facts['id']}" if parent else facts["id"],
        page.url if parent else page.identity,
        response.body,
        facts.get("title", ""),
        facts.get("author", ""),
        published_at=datetime.fromtimestamp(float(when), UTC) if when else None,
        kind="attachment" if layout.post else layout.kind or "paste",
        media_type=media_type,
        charset=charset,
        channel=facts.get("channel", ""),
        thread=facts.get("thread", ""),
        parent=parent,
    )
    if COUNTED not in facts:
        return PageContent(posts=(post,))
    behind = range(page.number + 1, page.number + 1 + layout.ahead)
    return PageContent((post,), tuple(_enumerate_pastes(layout, response.url, behind)))


@dataclass(slots=True)
class PageReading:
    """The reading of one response by its layout.

    `now` is when the site answered by its own clock, None if the response does not tell. Use an
    object for one page only.
    """

    layout: SiteLayout
    page: PageAddress
    response: Response
    document: ParsedPage
    now: datetime | None
    is_own: bool = False
    """Whether the layout is the site's own: then what was read is compared with what pages show."""
    _rows: RowCount = field(default_factory=RowCount)
    """Counts the entries of the page by what became of them."""
    _left_out: bool = False
    """Whether links or posts beyond a limit were skipped."""
    _yielded: int = 0
    """Bytes of posts and pages so far, without the `FREE` bytes of each."""

    def parse(self) -> PageContent:
        """Return the posts and links of the page, and why it is incomplete, if it is.

        Raises RecordError: `nested` if posts or rows are nested too deeply, `not_a_list` if JSON
        has rows and none is an entry.
        """
        content = self._parse_page()
        if self.is_own and self.page.role == "thread":
            content = replace(
                content,
                counted=find_page_post_count(
                    self.layout, self.document.root, self.page.facts.get("title", "")
                ),
            )
        content = replace(content, shortfall=self._describe_shortfall(content))
        return replace(
            content,
            lacking=(
                "links" if self._left_out or self.document.is_cut else self._find_lack(content)
            ),
        )

    def _find_lack(self, content: PageContent) -> Lacking:
        """Return why the page is known to be incomplete; "" if nothing indicates that."""
        says_incomplete = (
            self.page.role == "list"
            and self.layout.incomplete
            and _matches_any(self.layout.incomplete, self.document.root)
        )
        return "partial" if says_incomplete else "fewer" if content.shortfall else ""

    def _describe_shortfall(self, content: PageContent) -> str:
        """Describe in a sentence what the page shows and was not read; "" for nothing."""
        page = describe_shortfall(
            self.layout,
            self.page,
            self.response.url,
            self.document.root,
            content,
            is_own=self.is_own,
        )
        return self._rows.describe_shortfall(self.layout, self.page, content.pages) or page

    def _limit_links(self, links: list[Any]) -> list[Any]:
        """Return the links to follow, and note whether some are skipped."""
        if len(links) > MOST_LINKS:
            self._left_out = True
        return links[:MOST_LINKS]

    def _parse_page(self) -> PageContent:
        """Return the posts and links of the page."""
        layout, root = self.layout, self.document.root
        has_posts = self.page.role != "list" or not layout.leads_on
        posts, files = self._read_posts(root) if has_posts else ((), ())
        if self.page.role != "list":
            next_page = self._find_next_page(len(posts), of_thread=True)
            pages = (*self._find_files(root), *files, *next_page)
            return PageContent(posts, pages, gone=not posts and bool(layout.gone.nodes(root)))
        entries = list(self._find_entries(root)) if layout.leads_on else []
        older = self._find_next_page(len(posts) + len(entries), of_thread=False)
        return PageContent(
            posts,
            (*entries, *files, *self._find_lists(root, is_barren=not (posts or entries)), *older),
        )

    # Lists

    def _find_entries(self, root: Node) -> Iterator[PageAddress]:
        """Yield the threads or pastes of a list, each one time.

        The latest come first where dates allow it. Rows that do not match `layout.where`, and those
        beyond the limits of links and text, are left out. Notes for `completeness` which rows were
        not read. Raises RecordError ("not_a_list") if JSON has rows and none is an entry.
        """
        layout, urls = self.layout, set[str]()
        nodes = self._limit_links(
            layout.rows.nodes(root) if layout.rows else layout.links.nodes(root)
        )
        rows, is_named = dict[int, PageAddress | None](), False
        self._rows = RowCount(
            len(nodes), are_entries=bool(layout.rows) or (self.is_own and not layout.takes_any_link)
        )
        for number, row in iter_detached(nodes):
            if not layout.where or _matches_any(layout.where, row):
                rows[number] = entry = self._read_entry(row)
                self._rows.note(entry, self._leads_to_entry(row) if entry is None else entry.url)
                is_named |= bool(layout.channel.nodes(row))
        pages = [page for number in sorted(rows) if (page := rows[number])]
        # JSON of an unexpected shape, not an empty list
        if rows and not pages and not is_element(nodes[0]):
            raise RecordError("not_a_list")
        # the board of the whole page, if no entry names its own
        channel = "" if is_named else layout.channel.text(root)
        for page in _order_by_time(nodes, pages):
            if page.url not in urls and self._fits_budget(
                page.url, page.stamp, *page.facts.values()
            ):
                urls.add(page.url)
                yield replace(page, facts={**page.facts, "channel": channel}) if channel else page

    def _leads_to_entry(self, row: Node) -> str:
        """Return an address of an unread row that looks like an entry; "" if it has none.

        Links that the layout names come first, then any link that matches its pattern. Rows in
        menus have none.
        """
        layout = self.layout
        if not is_element(row) or is_in_menu(row.root):
            return ""
        links = layout.links.links(row) if layout.rows else [(get_link(row), row)]
        if urls := [
            url
            for where, _ in links
            if (url := self._resolve_link(where)) and not NO_ENTRY.search(url)
        ]:
            return urls[0]
        urls = [
            url
            for where in row.css("a::attr(href)").getall()
            if (url := self._resolve_link(where.strip()))
        ]
        return next(
            (
                url
                for url in urls
                if layout.pattern and search(layout.pattern, self._get_matched_part(url))
            ),
            "",
        )

    def _fits_budget(self, *parts: str | bytes) -> bool:
        """Count a post or page by its parts, and return whether the page may yield it."""
        self._yielded += max(0, sum(map(len, parts)) - FREE)
        is_within = self._yielded <= GROWTH * len(self.response.body)
        self._left_out |= not is_within
        return is_within

    def _read_entry(self, row: Node) -> PageAddress | None:
        """Return the thread or paste of a row; None if the row leads nowhere.

        That is so if it has no id, its link does not match the layout's pattern, or the id belongs
        to another page.
        """
        layout, link = self.layout, self._find_entry_link(row)
        url, match = link or ("", None)
        number = layout.row_id.text(row) or (match["id"] if match else "")
        if not number or (layout.links and layout.pattern and not layout.row_id and not match):
            return None
        facts = {"id": number, **self._collect_facts(row)}
        places = {"id": number, "root": self._get_root_url(), "site": urljoin(url, "/").rstrip("/")}
        if layout.raw:
            shown = (
                urljoin(self.response.url, fill_template(layout.page, **places))
                if layout.page
                else url
            )
            raw = self.response.urljoin(fill_template(layout.raw, **places))
            if layout.row_id and layout.pattern:
                match = search(layout.pattern, self._get_matched_part(shown))
                if not match or match["id"] != number:  # the id leads to another page
                    return None
            return PageAddress(raw, "item", identity=shown or raw, facts=facts)
        if layout.thread:
            url = self.response.urljoin(fill_template(layout.thread, **places))
            match = search(layout.pattern, url) if layout.pattern else None
        name = to_identity(url, match) if match and layout.match == "address" else url
        # the address may change with the title
        if link and not match and layout.pattern and layout.row_id:
            name = urljoin(url, f"/#{number}")
        stamp = " ".join(layout.stamp.texts(row)) or get_text(row)
        return PageAddress(
            url, "thread", identity=name, series=name, stamp=_shorten_stamp(stamp), facts=facts
        )

    def _find_entry_link(self, row: Node) -> tuple[str, re.Match[str] | None] | None:
        """Return the address of an entry and the match of the entry pattern in it.

        Returns None if there is none. Without a pattern, the first link counts, and the match is of
        the last step of its address. The match is None where the pattern matches no link but the
        row has an id of its own.
        """
        layout = self.layout
        links, first = (
            (
                layout.links.links(row)
                if layout.rows
                else [(get_link(row), row)]
                if layout.links
                else []
            ),
            "",
        )
        for where, _ in links:
            if where and (url := self._resolve_link(where.replace("{root}", self._get_root_url()))):
                if layout.pattern is None:
                    return url, search(LAST_STEP, url)
                if match := search(layout.pattern, self._get_matched_part(url)):
                    return url, match
                first = first or url
        return (first, None) if first and layout.row_id and not layout.raw else None

    def _get_matched_part(self, url: str) -> str:
        """Return the part of an address in which the entry pattern is searched."""
        return urlsplit(url).path if self.layout.match == "path" else url

    def _collect_facts(self, row: Node) -> dict[str, str]:
        """Return what only the list shows of an entry, such as its title."""
        layout = self.layout
        link = (layout.links.nodes(row) or [""])[0] if layout.rows else row
        title = (
            layout.title.text(row)
            if layout.title
            else get_text(link, LONGEST_TEXT)
            if is_element(link)
            else ""
        )
        when = self._find_time(layout.row_time, row)
        facts = {
            "title": title,
            "channel": layout.channel.text(row),
            "author": layout.row_author.text(row),
            "time": f"{when.timestamp():.0f}" if when else "",
            "posts": self._read_post_count(row, title),
        }
        return {name: value for name, value in facts.items() if value}

    def _read_post_count(self, row: Node, title: str) -> str:
        """Return how many posts the list counts in a thread.

        Returns "" if it shows no number, or a rounded one (`1.2K`).
        """
        if self.is_own and not self.layout.counted:
            return str(find_post_count(row.root.itertext(), title) or "") if is_element(row) else ""
        posts = _read_count(self.layout.counted.text(row))
        return "" if posts is None else str(posts + self.layout.counts_replies)

    def _find_lists(self, root: Node, *, is_barren: bool) -> Iterator[PageAddress]:
        """Yield links to other lists, each one time.

        `is_barren` says that this list has no entries. A list without entries that stands behind
        MOST_BARREN (5) others without entries yields none: calendars have no end. The same applies
        to addresses that match `layout.lists_not_on`.
        """
        layout = self.layout
        if layout.lists_not_on and search(layout.lists_not_on, self.response.url):
            return
        barren = int(self.page.facts.get(BARREN, "0")) + 1 if is_barren else 0
        if barren > MOST_BARREN:
            return
        facts = {BARREN: str(barren)} if barren else {}
        names = set()
        for where, _ in self._limit_links(layout.lists.links(root)):
            url = self._resolve_link(where)
            match = search(layout.lists_pattern, url) if layout.lists_pattern and url else None
            name = to_identity(url, match) if match else url
            if url and name not in names and (match or not layout.lists_pattern):
                names.add(name)
                yield PageAddress(url, "list", identity=name, facts=facts)

    def _get_root_url(self) -> str:
        """Return the address of the page up to where it becomes that of a list."""
        url = self.response.url
        match = search(self.layout.list_is, url) if self.layout.list_is else None
        return url[: match.start()] if match else urljoin(url, "/")

    # Threads

    def _read_posts(self, root: Node) -> tuple[tuple[Post, ...], tuple[PageAddress, ...]]:
        """Return the posts of the page, and the pages of the files attached to them.

        Posts without a body are skipped. When the limit of text is reached, the remaining posts are
        left out. Raises RecordError if posts are nested too deeply.
        """
        layout, posts, files = self.layout, dict[int, Post](), dict[int, list[PageAddress]]()
        series, thread = self.page.series or self.page.name, self._find_thread_id()
        for number, node in iter_detached(self._limit_links(layout.post.nodes(root))):
            body = _extract_body(layout.body, node)
            if body is None:
                continue
            post, attachments = (
                self._build_post(node, body, number + 1, thread),
                find_attachments(layout, node, body, self._resolve_link),
            )
            texts = (
                post.post_id,
                post.url,
                post.title,
                post.author,
                post.channel,
                post.reply_to,
                *attachments.names,
            )
            if not self._fits_budget(post.body, post.wording, *texts):
                break
            posts[number] = replace(
                post, attachments=tuple(attachments.names), unread=tuple(attachments.unread)
            )
            self._left_out |= attachments.is_cut
            files[number] = [with_post_facts(page, post, series) for page in attachments.pages]
        inner = [page for number in sorted(files) for page in files[number]]
        return tuple(posts[number] for number in sorted(posts)), tuple(self._limit_links(inner))

    def _build_post(self, node: Node, body: str, place: int, thread: str) -> Post:
        """Return the post at `node`, the `place`-th of the page, with this `body`.

        Where the site gives it no number, its id is made of the numbers of page and place, and the
        post is not `lasting`. Fields that are missing are "" or taken from the entry in the list.
        """
        layout, page = self.layout, self.page
        element_id = node.attrib.get("id", "") if is_element(node) else ""
        id_text = layout.id.text(node) if layout.id else element_id
        match = search(layout.id_pattern, id_text)
        site_number = match[match.re.groups and 1] if match else id_text
        number = site_number or f"{page.number}-{place}"
        places = {"id": number, "thread": thread, "root": self._get_root_url()}
        return Post(
            post_id=layout.post_id.replace("{id}", number).replace("{thread}", thread),
            url=self._build_post_url(node, element_id, places),
            body=_decode_body(body, layout.body_encoding),
            title=layout.post_title.text(node) or page.facts.get("title", ""),
            author=layout.author.text(node) if layout.author else page.facts.get("author", ""),
            published_at=self._find_time(layout.time, node),
            kind=layout.kind or "post",
            media_type=layout.body_type,
            charset="" if layout.body_encoding else "utf-8",
            channel=page.facts.get("channel", "") or layout.channel.text(node),
            thread=thread,
            reply_to=layout.reply_to.text(node),
            wording=_extract_wording(layout.body, layout.volatile, node),
            lasting=bool(site_number),
        )

    def _build_post_url(self, node: Node, element_id: str, places: dict[str, str]) -> str:
        """Return the address at which a person reads a post."""
        if self.layout.post_url:
            return urljoin(self.response.url, fill_template(self.layout.post_url, **places))
        if self.layout.post_link and (
            where := next((w for w, _ in self.layout.post_link.links(node)), "")
        ):
            return self.response.urljoin(where)
        url = urldefrag(self.response.url).url
        return f"{url}#{element_id}" if element_id else url

    def _find_files(self, root: Node) -> Iterator[PageAddress]:
        """Yield the files that a thread's page links to and that are read as pages, each one time.

        With `files_pattern`, other addresses are left out. A file without a title gets that of the
        thread.
        """
        pattern, urls = self.layout.files_pattern, set()
        for where, link in self._limit_links(self.layout.files.links(root)):
            url = self._resolve_link(where)
            match = search(pattern, url) if pattern and url else None
            if url and url not in urls and (match or not pattern):
                urls.add(url)
                title = (
                    get_text(link, LONGEST_TEXT) if is_element(link) else ""
                ) or self.page.facts.get("title", "")
                facts = {
                    "id": match["id"] if match else urlsplit(url).path.strip("/"),
                    "title": title,
                }
                yield PageAddress(
                    url, "item", identity=to_identity(url, match) if match else url, facts=facts
                )

    def _find_thread_id(self) -> str:
        """Return the thread's id from the page, from its list, or from its address."""
        if shown := search(self.layout.id_pattern, self.layout.thread_id.text(self.document.root)):
            return shown[shown.re.groups and 1]
        listed = self.page.facts.get("id", "")
        match = (
            search(self.layout.pattern, self.page.series)
            if self.layout.pattern and not listed
            else None
        )
        return match["id"] if match else listed

    def _find_time(self, selections: Selections, node: Node) -> datetime | None:
        """Return the first date that the selectors find in `node`, in attributes or text.

        Returns None if there is none.
        """
        for selection in selections.each:
            for match in selection.select(node):
                attributes = (
                    [match.attrib.get(name, "") for name in TIMES] if is_element(match) else []
                )
                for text in (*attributes, get_text(match)):
                    if text and (moment := self.layout.calendar.parse(text, self.now)):
                        return moment
        return None

    # Next pages

    def _find_next_page(self, held: int, *, of_thread: bool) -> list[PageAddress]:
        """Return the next page of the list or thread in a list of one; [] if there is none.

        `held` is the number of entries or posts on this page. The address comes from a link, a
        template or the number of the page; a stated count of entries ends the list, and if it is no
        number or a rounded one, the first page without entries does. [] also for an empty later
        page of a list without rows, a page of another thread, and this page itself.
        """
        layout, page = self.layout, self.page
        if of_thread and (layout.thread_next or layout.thread_next_page or layout.thread_count):
            links, template, count, per_page = (
                layout.thread_next, layout.thread_next_page, layout.thread_count,
                layout.thread_per_page
            )  # fmt: skip
        else:
            links, template = layout.next, "" if of_thread else layout.next_page
            count, per_page = NONE if of_thread else layout.count, layout.per_page
        nodes = links.nodes(self.document.root)
        came_from = page.facts.get(CAME_FROM, "")
        urls = (self._resolve_link(get_link(node)) for node in nodes)
        url = next((link for link in urls if link and urldefrag(link).url != came_from), "")
        if not url and layout.numbered and not template:
            url = find_numbered_link(layout, page, self.response.url, self.document.root, held)
            links = layout.next or layout.links
        if links and not url and not any(node is True for node in nodes):
            return []
        total = _read_count(count.text(self.document.root) or "0") if count else None
        if total is not None and page.number * per_page >= total:
            return []
        if not links and not (template and (total is not None or held)):
            return []
        if not of_thread and layout.leads_on and page.number > 1 and not (held or self._rows.total):
            return []  # an empty page of a list may be followed by empty pages without end
        number, series = page.number + 1, page.series or page.name
        if template:
            thread = self._find_thread_id()
            numbers = {"page": number, "page0": number - 1, "offset": (number - 1) * per_page}
            where = fill_template(
                template, **numbers, thread=thread, id=thread, root=self._get_root_url()
            )
            url = (
                _replace_parameters(self.response.url, where)
                if where.startswith("&")
                else self.response.urljoin(where)
            )
        if (
            not url
            or url in {self.response.url, page.url}
            or (of_thread and is_other_thread(layout, page, url))
        ):
            return []
        facts = (
            {**page.facts, CAME_FROM: urldefrag(page.url).url}
            if of_thread and layout.thread_next
            else page.facts
        )
        return [
            replace(
                page,
                url=url,
                identity=f"{series}?page={number}",
                series=series,
                number=number,
                facts=facts,
            )
        ]

    def _resolve_link(self, where: str) -> str:
        """Return a link as an absolute HTTP(S) address; "" if it is none."""
        try:
            url = self.response.urljoin(where)
            return url if where and urlsplit(url).scheme in {"http", "https"} else ""
        except ValueError:
            return ""


def read_response_time(response: Response) -> datetime | None:
    """Return when a site answered by its own clock (`Date`); None if it does not say."""
    try:
        read = parsedate_to_datetime((response.headers.get("Date") or b"").decode("latin-1"))
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _order_by_time(rows: Sequence[Node], pages: list[PageAddress]) -> list[PageAddress]:
    """Return the pages in the site's order.

    Entries of a JSON object, which has no order, are sorted by time, newest first.
    """
    if any(isinstance(row, dict) and "$key" in row for row in rows):
        pages.sort(key=lambda page: -float(page.facts.get("time", "0")))
    return pages


def _read_count(text: str) -> int | None:
    """Return the first number in a text; None if there is none or it is rounded (`1.2K`)."""
    match = COUNT.search(text)
    return int(re.sub(r"\D", "", match["count"])) if match and not match["about"] else None


def _shorten_stamp(stamp: str) -> str:
    """Return `stamp`, or its digest if it is long."""
    return (
        stamp
        if len(stamp) <= LONGEST_TEXT
        else hashlib.sha256(stamp.encode("utf-8", "replace")).hexdigest()
    )


def _matches_any(selections: Selections, row: Node) -> bool:
    """Return whether a selector finds anything other than `false`."""
    return any(value is not False for value in selections.nodes(row))


def _extract_body(selections: Selections, node: Node) -> str | None:
    """Return the text of a post, with its markup if it is HTML.

    Returns None if the post has no element that could hold a text.
    """
    nodes = selections.nodes(node)
    if not nodes:
        return None
    return "".join(_extract_inner_html(element) for element in drop_nested(nodes)).strip()


def _decode_body(body: str, encoding: str) -> bytes:
    """Return the bytes of a text in the given encoding.

    Raises RecordError if the text is not in that encoding.
    """
    if encoding != "base64":
        return body.encode("utf-8", "replace")
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except ValueError:
        raise RecordError("not_a_list") from None


def _replace_parameters(url: str, query: str) -> str:
    """Return `url` with the parameters of `query` in place of its own of these names."""
    return add_or_replace_parameters(url, dict(parse_qsl(query)))


def _extract_inner_html(node: Any) -> str:
    """Return the markup inside of an element, or the text of any other node."""
    if is_element(node):
        written = node.type == "xml" and not node.xpath("./*")  # a feed has HTML as a text
        return (
            node.xpath("string()").get("") if written else "".join(node.xpath("./node()").getall())
        )
    return node.get() if isinstance(node, Selector) else node if isinstance(node, str) else ""


def _extract_wording(body: Selections, volatile: Selections, node: Node) -> bytes:
    """Return the words of a post and the targets of its links, without markup and volatile parts.

    Links are cut at their query, which may hold sessions and signatures. Returns b"" if the body
    is no element.
    """
    left_out = {elements.root for elements in volatile.nodes(node) if is_element(elements)}
    elements = [element for element in drop_nested(body.nodes(node)) if is_element(element)]
    return "\x1f".join(
        " ".join("".join(_iter_words(element.root, left_out)).split()) for element in elements
    ).encode("utf-8", "replace")


def _iter_words(root: Any, left_out: set[Any]) -> Iterator[str]:
    """Yield the texts and link targets below `root`, without the elements in `left_out`.

    Elements in `UNREAD` and the queries of links are left out too.
    """
    walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, element in walk:
        if event != "start":
            yield (element.tail or "") if element is not root else ""
        elif element in left_out or element.tag in UNREAD:
            walk.skip_subtree()
        else:
            yield f"{element.text or ''} {QUERY.sub('', element.get('href', ''))} "
