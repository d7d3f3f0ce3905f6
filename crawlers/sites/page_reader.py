"""Reads a page by its layout: a list leads to threads or pastes, a thread is its posts, each to its
next page.

The same for every site software: what differs between them is data (`crawlers.sites.layout`).
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

from crawlers.sites.attachments import attached, of_post
from crawlers.sites.completeness import RowCount, counted_in, counted_on, far_ids, shortfall
from crawlers.sites.elements import apart, outermost, stands_in_menu
from crawlers.sites.layout import NONE, SiteLayout, filled, named, search
from crawlers.sites.next_pages import NO_ENTRY, leads_to_other, numbered
from crawlers.sites.pages import PARENT, Lacking, PageAddress, PageContent, Post
from crawlers.sites.selectors import (
    LONGEST_TEXT,
    MOST_LINKS,
    Node,
    ParsedPage,
    Selections,
    declared,
    is_element,
    link_of,
    text_of,
)
from ullage.errors import RecordError

COUNTED = "counted"
"""The fact of a page that its id was counted up to, and seen nowhere: it may not be there yet.

Its value is where two ids would be that nobody has.
"""
CAME_FROM = "came_from"
"""The fact of a page of a thread: the address of the page that led to it.

Its pages may begin at the newest or at the oldest.
"""
BARREN, MOST_BARREN = "barren", 5
"""The fact of a list that so many before it, each of which led to the next, listed nothing;
beyond that it is a calendar.
"""
GROWTH, FREE = 8, 1024
"""A page yields at most so many times its own size, and so many bytes more for each post and
each page that it leads to.
"""
COUNT = re.compile(
    r"(?P<count>\d{1,3}(?:[,.\s]\d{3})+|\d+)\s*(?P<about>[.,]\d+|[kKmM万]\b|[kKmM万]|)"
)
LAST_STEP = re.compile(r"(?<![^/?&=])(?P<id>[^/?&=]++)/?$")
QUERY = re.compile(r"[?#].*", re.DOTALL)
UNREAD = frozenset({"script", "style"})
TIMES = ("datetime", "data-time", "data-timestamp", "title")
"""Attributes in which an element has its moment more exactly than in its text."""


def starts(layout: SiteLayout, urls: Sequence[str]) -> list[PageAddress]:
    """One list a start address, or the first pastes where they are counted."""
    if layout.first is None:
        return [PageAddress(_list_of(layout, url), "list") for url in urls]
    return [
        page
        for url in urls
        for page in _counted(layout, url, range(layout.first, layout.first + layout.ahead))
    ]


def _counted(layout: SiteLayout, url: str, numbers: range) -> Iterator[PageAddress]:
    """The pastes of some ids, of a site that lists none."""

    def raw_of(number: int) -> str:
        return urljoin(
            url, filled(layout.raw, id=number, root=urljoin(url, "/"), site=urljoin(url, "/"))
        )

    for number in numbers:
        raw, absent = raw_of(number), " ".join(map(raw_of, far_ids(number)))
        shown = urljoin(url, filled(layout.page, id=number)) if layout.page else raw
        yield PageAddress(
            raw,
            "item",
            identity=shown,
            series=urljoin(url, "/"),
            number=number,
            facts={"id": str(number), COUNTED: absent},
        )


def _list_of(layout: SiteLayout, url: str) -> str:
    is_list = not layout.list_at or (layout.list_is and search(layout.list_is, url))
    return url if is_list else urljoin(url, layout.list_at)


def raw_post(layout: SiteLayout, page: PageAddress, response: Response) -> PageContent:
    """A paste, or a file that is attached to a post: the whole body."""
    media_type, charset = declared(response)
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
    return PageContent((post,), tuple(_counted(layout, response.url, behind)))


@dataclass(slots=True)
class PageReading:
    """One page in hand, read once.

    `now` is when it was answered by the site's clock, None where the answer does not tell.
    """

    layout: SiteLayout
    page: PageAddress
    response: Response
    document: ParsedPage
    now: datetime | None
    is_own: bool = False
    """Whether the site's own file says how its pages are laid out: then what is read is held
    against what they show.
    """
    _rows: RowCount = field(default_factory=RowCount)
    """Entries on the page, and what became of them."""
    _left_out: bool = False
    """Whether there is more of something than is followed."""
    _yielded: int = 0
    """Bytes of posts and of what is told of pages so far, without the FREE of each."""

    def parsed(self) -> PageContent:
        """All that is on it."""
        parsed = self._parsed()
        if self.is_own and self.page.role == "thread":
            parsed = replace(
                parsed,
                counted=counted_on(
                    self.layout, self.document.root, self.page.facts.get("title", "")
                ),
            )
        parsed = replace(parsed, shortfall=self._shortfall(parsed))
        return replace(
            parsed,
            lacking=(
                "links" if self._left_out or self.document.is_cut else self._said_lacking(parsed)
            ),
        )

    def _said_lacking(self, parsed: PageContent) -> Lacking:
        is_told = (
            self.page.role == "list"
            and self.layout.incomplete
            and _holds(self.layout.incomplete, self.document.root)
        )
        return "partial" if is_told else "fewer" if parsed.shortfall else ""

    def _shortfall(self, parsed: PageContent) -> str:
        """Return what the page shows beside what was read of it, as a sentence; "" for nothing."""
        page = shortfall(
            self.layout,
            self.page,
            self.response.url,
            self.document.root,
            parsed,
            is_own=self.is_own,
        )
        return self._rows.shortfall(self.layout, self.page, parsed.pages) or page

    def _first(self, links: list[Any]) -> list[Any]:
        """As many as are followed."""
        if len(links) > MOST_LINKS:
            self._left_out = True
        return links[:MOST_LINKS]

    def _parsed(self) -> PageContent:
        layout, root = self.layout, self.document.root
        posts, attached = (
            self._posts(root) if self.page.role != "list" or not layout.leads_on else ((), ())
        )
        if self.page.role != "list":
            pages = (*self._files(root), *attached, *self._next(len(posts), of_thread=True))
            return PageContent(posts, pages, gone=not posts and bool(layout.gone.nodes(root)))
        entries = list(self._entries(root)) if layout.leads_on else []
        older = self._next(len(posts) + len(entries), of_thread=False)
        return PageContent(
            posts,
            (*entries, *attached, *self._lists(root, is_barren=not (posts or entries)), *older),
        )

    # Lists

    def _entries(self, root: Node) -> Iterator[PageAddress]:
        """The threads or pastes of a list, each once."""
        layout, known = self.layout, set[str]()
        found = self._first(layout.rows.nodes(root) if layout.rows else layout.links.nodes(root))
        rows, is_named = dict[int, PageAddress | None](), False
        self._rows = RowCount(
            len(found), are_entries=bool(layout.rows) or (self.is_own and not layout.takes_any_link)
        )
        for number, row in apart(found):
            if not layout.where or _holds(layout.where, row):
                rows[number] = entry = self._entry(row)
                self._rows.note(entry, self._leads_to_entry(row) if entry is None else entry.url)
                is_named |= bool(layout.channel.nodes(row))
        pages = [page for number in sorted(rows) if (page := rows[number])]
        # data of another shape: not an empty list
        if rows and not pages and not is_element(found[0]):
            raise RecordError("not_a_list")
        # the board of a whole page, where no entry names its own
        channel = "" if is_named else layout.channel.text(root)
        for page in _in_time(found, pages):
            if page.url not in known and self._may_yield(
                page.url, page.stamp, *page.facts.values()
            ):
                known.add(page.url)
                yield replace(page, facts={**page.facts, "channel": channel}) if channel else page

    def _leads_to_entry(self, row: Node) -> str:
        """Return an address of a row that was not read, by which it ought to be an entry; ""
        where it has none.
        """
        layout = self.layout
        if not is_element(row) or stands_in_menu(row.root):
            return ""
        links = layout.links.links(row) if layout.rows else [(link_of(row), row)]
        if urls := [
            url for where, _ in links if (url := self._address(where)) and not NO_ENTRY.search(url)
        ]:
            return urls[0]
        urls = [
            url
            for where in row.css("a::attr(href)").getall()
            if (url := self._address(where.strip()))
        ]
        return next(
            (url for url in urls if layout.pattern and search(layout.pattern, self._matched(url))),
            "",
        )

    def _may_yield(self, *parts: str | bytes) -> bool:
        """Whether a post or page of these parts is within what the page may yield; it is
        counted.
        """
        self._yielded += max(0, sum(map(len, parts)) - FREE)
        is_within = self._yielded <= GROWTH * len(self.response.body)
        self._left_out |= not is_within
        return is_within

    def _entry(self, row: Node) -> PageAddress | None:
        """The thread or paste of one entry; None for one that leads nowhere."""
        layout, link = self.layout, self._link(row)
        url, found = link or ("", None)
        number = layout.row_id.text(row) or (found["id"] if found else "")
        if not number or (layout.links and layout.pattern and not layout.row_id and not found):
            return None
        facts = {"id": number, **self._facts(row)}
        places = {"id": number, "root": self._root(), "site": urljoin(url, "/").rstrip("/")}
        if layout.raw:
            shown = (
                urljoin(self.response.url, filled(layout.page, **places)) if layout.page else url
            )
            raw = self.response.urljoin(filled(layout.raw, **places))
            if layout.row_id and layout.pattern:
                found = search(layout.pattern, self._matched(shown))
                if not found or found["id"] != number:  # an id that would lead elsewhere
                    return None
            return PageAddress(raw, "item", identity=shown or raw, facts=facts)
        if layout.thread:
            url = self.response.urljoin(filled(layout.thread, **places))
            found = search(layout.pattern, url) if layout.pattern else None
        name = named(url, found) if found and layout.match == "address" else url
        # the address may change with the title
        if link and not found and layout.pattern and layout.row_id:
            name = urljoin(url, f"/#{number}")
        stamp = " ".join(layout.stamp.texts(row)) or text_of(row)
        return PageAddress(
            url, "thread", identity=name, series=name, stamp=_short(stamp), facts=facts
        )

    def _link(self, row: Node) -> tuple[str, re.Match[str] | None] | None:
        """The address of an entry, and what its pattern finds in it."""
        layout = self.layout
        links, first = (
            (
                layout.links.links(row)
                if layout.rows
                else [(link_of(row), row)]
                if layout.links
                else []
            ),
            "",
        )
        for where, _ in links:
            if where and (url := self._address(where.replace("{root}", self._root()))):
                if layout.pattern is None:
                    return url, search(LAST_STEP, url)
                if found := search(layout.pattern, self._matched(url)):
                    return url, found
                first = first or url
        return (first, None) if first and layout.row_id and not layout.raw else None

    def _matched(self, url: str) -> str:
        return urlsplit(url).path if self.layout.match == "path" else url

    def _facts(self, row: Node) -> dict[str, str]:
        """What the list alone tells, for the page behind it."""
        layout = self.layout
        link = (layout.links.nodes(row) or [""])[0] if layout.rows else row
        title = (
            layout.title.text(row)
            if layout.title
            else text_of(link, LONGEST_TEXT)
            if is_element(link)
            else ""
        )
        when = self._moment(layout.row_time, row)
        told = {
            "title": title,
            "channel": layout.channel.text(row),
            "author": layout.row_author.text(row),
            "time": f"{when.timestamp():.0f}" if when else "",
            "posts": self._counted(row, title),
        }
        return {name: value for name, value in told.items() if value}

    def _counted(self, row: Node, title: str) -> str:
        """How many posts a list says that a thread has; "" where it does not, or only about
        (`1.2K`).
        """
        if self.is_own and not self.layout.counted:
            return str(counted_in(row.root.itertext(), title) or "") if is_element(row) else ""
        found = COUNT.search(self.layout.counted.text(row))
        if not found or found["about"]:
            return ""
        return str(int(re.sub(r"\D", "", found["count"])) + self.layout.counts_replies)

    def _lists(self, root: Node, *, is_barren: bool) -> Iterator[PageAddress]:
        """Other lists; of one that lists nothing itself and stands behind others which do not,
        none: calendars have no end.
        """
        layout = self.layout
        if layout.lists_not_on and search(layout.lists_not_on, self.response.url):
            return
        barren = int(self.page.facts.get(BARREN, "0")) + 1 if is_barren else 0
        if barren > MOST_BARREN:
            return
        facts = {BARREN: str(barren)} if barren else {}
        known = set()
        for where, _ in self._first(layout.lists.links(root)):
            url = self._address(where)
            found = search(layout.lists_pattern, url) if layout.lists_pattern and url else None
            name = named(url, found) if found else url
            if url and name not in known and (found or not layout.lists_pattern):
                known.add(name)
                yield PageAddress(url, "list", identity=name, facts=facts)

    def _root(self) -> str:
        """The address of this page up to where it is a list's."""
        url = self.response.url
        found = search(self.layout.list_is, url) if self.layout.list_is else None
        return url[: found.start()] if found else urljoin(url, "/")

    # Threads

    def _posts(self, root: Node) -> tuple[tuple[Post, ...], tuple[PageAddress, ...]]:
        """The posts of a page, one without a text is none; and the files that are attached to
        them.
        """
        layout, posts, files = self.layout, dict[int, Post](), dict[int, list[PageAddress]]()
        series, thread = self.page.series or self.page.name, self._thread()
        for number, node in apart(self._first(layout.post.nodes(root))):
            body = _body(layout.body, node)
            if body is None:
                continue
            post, found = (
                self._post(node, body, number + 1, thread),
                attached(layout, node, body, self._address),
            )
            told = (
                post.post_id,
                post.url,
                post.title,
                post.author,
                post.channel,
                post.reply_to,
                *found.names,
            )
            if not self._may_yield(post.body, post.wording, *told):
                break
            posts[number] = replace(
                post, attachments=tuple(found.names), unread=tuple(found.unread)
            )
            self._left_out |= found.is_cut
            files[number] = [of_post(page, post, series) for page in found.pages]
        inner = [page for number in sorted(files) for page in files[number]]
        return tuple(posts[number] for number in sorted(posts)), tuple(self._first(inner))

    def _post(self, node: Node, body: str, place: int, thread: str) -> Post:
        layout, page = self.layout, self.page
        own = node.attrib.get("id", "") if is_element(node) else ""
        told = layout.id.text(node) if layout.id else own
        found = search(layout.id_pattern, told)
        own_number = found[found.re.groups and 1] if found else told
        number = own_number or f"{page.number}-{place}"
        places = {"id": number, "thread": thread, "root": self._root()}
        return Post(
            post_id=layout.post_id.replace("{id}", number).replace("{thread}", thread),
            url=self._where(node, own, places),
            body=_decoded(body, layout.body_encoding),
            title=layout.post_title.text(node) or page.facts.get("title", ""),
            author=layout.author.text(node) if layout.author else page.facts.get("author", ""),
            published_at=self._moment(layout.time, node),
            kind=layout.kind or "post",
            media_type=layout.body_type,
            charset="" if layout.body_encoding else "utf-8",
            channel=page.facts.get("channel", "") or layout.channel.text(node),
            thread=thread,
            reply_to=layout.reply_to.text(node),
            wording=_wording(layout.body, layout.volatile, node),
            lasting=bool(own_number),
        )

    def _where(self, node: Node, own: str, places: dict[str, str]) -> str:
        """Where a person reads a post."""
        if self.layout.post_url:
            return urljoin(self.response.url, filled(self.layout.post_url, **places))
        if self.layout.post_link and (
            where := next((w for w, _ in self.layout.post_link.links(node)), "")
        ):
            return self.response.urljoin(where)
        url = urldefrag(self.response.url).url
        return f"{url}#{own}" if own else url

    def _files(self, root: Node) -> Iterator[PageAddress]:
        """What a thread's page links to that is read for itself."""
        pattern, known = self.layout.files_pattern, set()
        for where, link in self._first(self.layout.files.links(root)):
            url = self._address(where)
            found = search(pattern, url) if pattern and url else None
            if url and url not in known and (found or not pattern):
                known.add(url)
                title = (
                    text_of(link, LONGEST_TEXT) if is_element(link) else ""
                ) or self.page.facts.get("title", "")
                facts = {
                    "id": found["id"] if found else urlsplit(url).path.strip("/"),
                    "title": title,
                }
                yield PageAddress(
                    url, "item", identity=named(url, found) if found else url, facts=facts
                )

    def _thread(self) -> str:
        """The thread's id: as the page says it, as the list did, or as it stands in the address."""
        if told := search(self.layout.id_pattern, self.layout.thread_id.text(self.document.root)):
            return told[told.re.groups and 1]
        known = self.page.facts.get("id", "")
        found = (
            search(self.layout.pattern, self.page.series)
            if self.layout.pattern and not known
            else None
        )
        return found["id"] if found else known

    def _moment(self, selections: Selections, node: Node) -> datetime | None:
        """The first moment that any of the selectors finds."""
        for one in selections.each:
            for found in one.of(node):
                told = [found.attrib.get(name, "") for name in TIMES] if is_element(found) else []
                for text in (*told, text_of(found)):
                    if text and (moment := self.layout.calendar.moment(text, self.now)):
                        return moment
        return None

    # Next pages

    def _next(self, held: int, *, of_thread: bool) -> list[PageAddress]:
        """The page behind this one, where there is one."""
        layout, page = self.layout, self.page
        if of_thread and (layout.thread_next or layout.thread_next_page or layout.thread_count):
            links, template, count, per_page = (
                layout.thread_next, layout.thread_next_page, layout.thread_count,
                layout.thread_per_page
            )  # fmt: skip
        else:
            links, template = layout.next, "" if of_thread else layout.next_page
            count, per_page = NONE if of_thread else layout.count, layout.per_page
        found = links.nodes(self.document.root)
        came_from = page.facts.get(CAME_FROM, "")
        urls = (self._address(link_of(node)) for node in found)
        url = next((link for link in urls if link and urldefrag(link).url != came_from), "")
        if not url and layout.numbered and not template:
            url = numbered(layout, page, self.response.url, self.document.root, held)
            links = layout.next or layout.links
        if links and not url and not any(node is True for node in found):
            return []
        if count and page.number * per_page >= int(count.text(self.document.root) or 0):
            return []
        if not links and not (template and (count or held)):
            return []
        if not of_thread and layout.leads_on and page.number > 1 and not (held or self._rows.found):
            return []  # behind an empty page of a list come more of them, without end
        number, series = page.number + 1, page.series or page.name
        if template:
            thread = self._thread()
            numbers = {"page": number, "page0": number - 1, "offset": (number - 1) * per_page}
            where = filled(template, **numbers, thread=thread, id=thread, root=self._root())
            url = (
                _with_parameters(self.response.url, where)
                if where.startswith("&")
                else self.response.urljoin(where)
            )
        if (
            not url
            or url in {self.response.url, page.url}
            or (of_thread and leads_to_other(layout, page, url))
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

    def _address(self, where: str) -> str:
        """A link as an address of the Web, "" for one that is none."""
        try:
            url = self.response.urljoin(where)
            return url if where and urlsplit(url).scheme in {"http", "https"} else ""
        except ValueError:
            return ""


def answered_at(response: Response) -> datetime | None:
    """When a site answered, by its own clock; None where it does not say."""
    try:
        read = parsedate_to_datetime((response.headers.get("Date") or b"").decode("latin-1"))
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _in_time(rows: Sequence[Node], pages: list[PageAddress]) -> list[PageAddress]:
    """As the site has them; those of a JSON object, which has no order, the newest first."""
    if any(isinstance(row, dict) and "$key" in row for row in rows):
        pages.sort(key=lambda page: -float(page.facts.get("time", "0")))
    return pages


def _short(stamp: str) -> str:
    """What changes with `stamp`: its digest, where it is long."""
    return (
        stamp
        if len(stamp) <= LONGEST_TEXT
        else hashlib.sha256(stamp.encode("utf-8", "replace")).hexdigest()
    )


def _holds(selections: Selections, row: Node) -> bool:
    """Whether a selector finds something, or something true."""
    return any(found is not False for found in selections.nodes(row))


def _body(selections: Selections, node: Node) -> str | None:
    """What a post says: the inside of elements, or a text as it stands; None where there is
    nothing that could say it.
    """
    nodes = selections.nodes(node)
    if not nodes:
        return None
    return "".join(_inside(found) for found in outermost(nodes)).strip()


def _decoded(body: str, encoding: str) -> bytes:
    """The bytes of a text; RecordError where it is not in the encoding that it should be in."""
    if encoding != "base64":
        return body.encode("utf-8", "replace")
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except ValueError:
        raise RecordError("not_a_list") from None


def _with_parameters(url: str, query: str) -> str:
    """An address with these parameters in the place of its own of their names."""
    return add_or_replace_parameters(url, dict(parse_qsl(query)))


def _inside(found: Any) -> str:
    if is_element(found):
        written = found.type == "xml" and not found.xpath("./*")  # a feed has HTML as a text
        return (
            found.xpath("string()").get("")
            if written
            else "".join(found.xpath("./node()").getall())
        )
    return found.get() if isinstance(found, Selector) else found if isinstance(found, str) else ""


def _wording(body: Selections, volatile: Selections, node: Node) -> bytes:
    """What a person reads in a post and where its links lead, without what is volatile and without
    markup; b"" of no element.

    Of links up to their query: sessions and signatures stand there.
    """
    left_out = {found.root for found in volatile.nodes(node) if is_element(found)}
    found = [one for one in outermost(body.nodes(node)) if is_element(one)]
    return "\x1f".join(
        " ".join("".join(_said(one.root, left_out)).split()) for one in found
    ).encode("utf-8", "replace")


def _said(root: Any, left_out: set[Any]) -> Iterator[str]:
    walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, element in walk:
        if event != "start":
            yield (element.tail or "") if element is not root else ""
        elif element in left_out or element.tag in UNREAD:
            walk.skip_subtree()
        else:
            yield f"{element.text or ''} {QUERY.sub('', element.get('href', ''))} "
