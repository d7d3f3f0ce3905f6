"""Compare what was read of a page with what the page itself states.

One sentence describes what is missing. A page with missing posts makes its site `incomplete`
(`fewer`), as do threads with fewer posts than their list or their own page counts. A probe and
every visit use the same checks.

A missing id is recognised by the words that the answers for two ids have in common that certainly
do not exist yet. What differs between these two answers, such as the time, is ignored, and so is
the requested id.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from crawlers.sites.elements import drop_nested, texts_outside
from crawlers.sites.further_pages import shows_further_page
from crawlers.sites.layout import SiteLayout, search, to_identity
from crawlers.sites.next_pages import BEHIND, is_page_of, match_entry, resolve_url
from crawlers.sites.pages import PageAddress, PageContent, Post
from crawlers.sites.selectors import MOST_LINKS, Node, get_link, get_text, is_element

FAR = 1_000_000
"""The distance from an existing id at which no id exists yet."""
WORDS = re.compile(rb"\w+|\W+")
LONGEST = 256 * 1024
"""The longest answer, in bytes, that is compared: a message about a missing page is shorter."""


def pick_absent_ids(number: int) -> tuple[int, int]:
    """Return two ids that do not exist on the site, both at least `FAR` above `number`.

    `number` must be about the latest id of the site.
    """
    return number + FAR, number + 2 * FAR + 7


@dataclass(frozen=True, slots=True)
class Absent:
    """How a site answers for a missing id: the words of two answers, None where they differ."""

    words: tuple[bytes | None, ...]

    def is_like(self, body: bytes, number: str) -> bool:
        """Return whether the answer `body` for the id `number` looks like that for a missing id.

        It must have as many words and separators, and the same ones wherever the two answers
        agreed. An empty body, or one longer than `LONGEST` bytes, never does.
        """
        words = _split_words(body, number)
        return (
            bool(words)
            and len(words) == len(self.words)
            and all(a is None or a == b for a, b in zip(self.words, words, strict=True))
        )


def learn_absent(answers: Sequence[tuple[bytes, str]]) -> Absent | None:
    """Return the words and separators that a site's answers for two missing ids share, by place.

    Each of `answers` is (body, id); the id is left out of its body. Returns None for fewer than
    two, for a body longer than `LONGEST` bytes, or if the numbers of words differ. Raises
    ValueError for more than two.
    """
    if len(answers) < 2 or any(len(body) > LONGEST for body, _ in answers):
        return None
    first, second = (_split_words(body, number) for body, number in answers)
    if len(first) != len(second):
        return None
    return Absent(tuple(a if a == b else None for a, b in zip(first, second, strict=True)))


def _split_words(body: bytes, number: str) -> list[bytes]:
    """Return the words of an answer, without the id that was requested."""
    if len(body) > LONGEST:
        return []
    return WORDS.findall(re.sub(rb"(?<!\w)%b(?!\w)" % re.escape(number.encode()), b"", body))


LEAST_SHARE = 0.05
"""The least share of the bodies in the text of the posts; if it is less, headers were read."""
LEAST_TEXT = 200
"""The fewest letters of a post for which that share is meaningful."""
OUTSIDE = 4
"""At most one text in this number may be where no post was read."""
LONGEST_TOLD = 20_000
"""Letters around the posts of a thread in which its count is looked for: it stands above or
right below them.
"""
_NUMBER = r"(?<![\d.,:/#-])(?P<{}>\d{{1,3}}(?:,\d{{3}})+|\d{{1,6}})"
_REPLIES = (
    r"replies|comments|answers|responses|antworten|kommentare|réponses|commentaires|respuestas|"
    r"comentarios|risposte|respostas|"
    r"ответ\w{0,3}|комментари\w{0,2}|yanıt|cevap|回复|回覆|回帖|回應|评论|評論|跟帖|コメント|댓글|답글"
)
_COUNTS = re.compile(
    rf"(?i){_NUMBER.format('replies')}\s?\+?\s?"
    rf"(?:個|个|條|条|則|则|篇|件の)?\s?(?:{_REPLIES})(?!\s?[:：(（]\s?\d)"
    rf"|(?<![\d.,:/#-])(?P<one>1) (?:reply|comment|answer|response)\b"
    rf"|(?:{_REPLIES})(?:数|數)?\s?[:：(（]?\s?"
    rf"(?P<behind>\d{{1,3}}(?:,\d{{3}})+|\d{{1,6}})(?![\d:/.年月-]|\s?(?:楼|樓|#))"
    rf"|{_NUMBER.format('posts')}\s?\+?\s?"
    rf"(?:posts?|messages?|beiträge|сообщени\w{{0,2}})\b(?P<of>\s?[•·|–-]\s?page)?"
)
"""How a list, or a thread's own page, states the number of posts of a thread."""
NO_COUNT = "¦"
"""A placeholder for the title of a thread, and for a date, among other texts."""
DATE = re.compile(r"\w\W{1,3}(?:19|20)\d\d\W*$")
"""A text that ends in a year after another part of a date."""


@dataclass(slots=True)
class RowCount:
    """The rows of a list: each is an entry, an exception that the layout declares, or missing.

    `are_entries` is whether the layout names rows and does not just examine all links.
    """

    total: int = 0
    are_entries: bool = False
    refused: list[str] = field(default_factory=list)
    """The addresses of rows that gave no entry."""
    addresses: dict[str, set[str]] = field(default_factory=dict)
    """By the identity of an entry, what follows it in addresses."""

    def note(self, entry: PageAddress | None, url: str) -> None:
        """Record a row that is no exception: its entry, and its address or ""."""
        if entry is None:
            self.refused += [url] if url else []
        elif entry.role == "thread" and url.startswith(entry.name):
            suffix = url[len(entry.name) :].partition("#")[0]
            self.addresses.setdefault(entry.name, set()).add(
                "" if BEHIND.fullmatch(suffix) else suffix
            )

    def describe_shortfall(
        self, layout: SiteLayout, page: PageAddress, pages: Sequence[PageAddress]
    ) -> str:
        """Describe in a sentence which rows were not read, or that several were taken for one.

        Returns "" if all rows were read, or if the rows need not be entries (`are_entries`). A row
        that leads to another list, or to another page of this one, is no entry.
        """
        if not self.are_entries:
            return ""
        merged = sum(len(rests) - 1 for rests in self.addresses.values())
        urls = {linked.url for linked in pages}
        refused = [
            url for url in self.refused if url not in urls and not _is_list(layout, page, url)
        ]
        if refused:
            return (
                f"{len(refused)} of {self.total} rows of the list link to an address that"
                " is not read"
            )
        return (
            f"{len(self.addresses) + merged} addresses of the list have {len(self.addresses)} ids"
            if merged
            else ""
        )


def _is_list(layout: SiteLayout, page: PageAddress, url: str) -> bool:
    """Return whether an address is that of another list, or of a page of this list."""
    is_other = bool(layout.lists_pattern and search(layout.lists_pattern, url))
    return is_other or is_page_of(page.series or page.url, url) or is_page_of(page.url, url)


def describe_shortfall(
    layout: SiteLayout, page: PageAddress, url: str, root: Node, read: PageContent, *, is_own: bool
) -> str:
    """Describe in a sentence what of a list or thread page was not read; "" if nothing is missing.

    Posts are compared with what the page shows only if `is_own`, that is, if the layout is the
    site's own and no preset.
    """
    if not is_element(root):
        return ""
    beside = is_own and (
        _check_headings(layout, page, url, root, read.pages)
        or _check_posts(layout, root, read.posts)
    )
    return beside or _check_next_page(layout, page, url, root, read.pages)


def parse_post_count(text: str, *, by_thread: bool = False) -> int | None:
    """Return how many posts a text counts in a thread; None for no number or several.

    A number of replies counts as one post more, the first. The text is that of the thread's row or,
    `by_thread`, of its own page. There, a number of posts alone is ignored, since it is that of a
    member or of the whole board.

    >>> parse_post_count("An offer, 12 replies, 300 views"), parse_post_count("回复：12")
    (13, 13)
    >>> parse_post_count("3 replies 4 comments")
    """
    counts = set[int]()
    for match in _COUNTS.finditer(" ".join(text.split())):
        replies = match["replies"] or match["one"] or match["behind"]
        if replies or not by_thread or match["of"]:
            counts.add(int((replies or match["posts"]).replace(",", "")) + bool(replies))
    return counts.pop() if len(counts) == 1 else None


def find_post_count(texts: Iterable[str], title: str, *, by_thread: bool = False) -> int | None:
    """Return how many posts these texts of a page state for a thread; None for no count or several.

    The texts are joined and read by `parse_post_count`, with the same `by_thread`. Texts that equal
    `title` or end in a date are left out: in "Lot 25", "Comments" the number is no count.
    """
    plain = (" ".join(text.split()) for text in texts)
    return parse_post_count(
        " ".join(NO_COUNT if text == title or DATE.search(text) else text for text in plain),
        by_thread=by_thread,
    )


def find_page_post_count(layout: SiteLayout, root: Node, title: str) -> int | None:
    """Return how many posts a thread's page states, in texts outside of its posts.

    Returns None for no count or several, or if `root` is no HTML. About the first `LONGEST_TOLD`
    characters are searched.
    """
    if not is_element(root):
        return None
    texts, size = list[str](), 0
    for text in texts_outside(
        {node.root for node in layout.post.nodes(root) if is_element(node)}, root.root
    ):
        texts.append(text)
        size += len(text)
        if size > LONGEST_TOLD:
            break
    return find_post_count(texts, title, by_thread=True)


def _check_headings(
    layout: SiteLayout, page: PageAddress, url: str, root: Node, pages: Sequence[PageAddress]
) -> str:
    """Describe in a sentence how many headings outside of a list's rows lead to entries.

    Returns "" for none. Featured articles are shown so. Only lists with `rows` are checked, and at
    most MOST_LINKS headings.
    """
    if page.role != "list" or not layout.rows:
        return ""
    names = {name for linked in pages for name in (linked.url, linked.name)}
    links = root.xpath(
        "//*[(self::h1 or self::h2) and not(ancestor::nav or ancestor::footer)]//a[@href]"
    )[:MOST_LINKS]
    urls = {resolve_url(url, get_link(link)) for link in links}
    entries = {
        to_identity(there, match): there for there in urls if (match := match_entry(layout, there))
    }
    missed = [name for name, there in entries.items() if not names & {name, there}]
    return f"{len(missed)} headings link to entries outside the rows" if missed else ""


def _check_posts(layout: SiteLayout, root: Node, posts: Sequence[Post]) -> str:
    """Describe in a sentence what is wrong with the posts that were read; "" for nothing.

    Checked in this order: several posts share an id; bodies lie outside of posts, at least one for
    OUTSIDE (4) bodies inside; the bodies are less than LEAST_SHARE (0.05) of the posts' text.
    Nested posts are not checked.
    """
    nodes = (
        drop_nested([node for node in layout.post.nodes(root) if is_element(node)]) if posts else []
    )
    if not nodes or len(nodes) < len(posts):  # nested: one post contains another
        return ""
    ids = Counter(post.post_id for post in posts)
    if len(ids) < len(posts):
        return f"{len(posts)} posts have {len(ids)} ids"
    inside = sum(len(layout.body.nodes(node)) for node in nodes)
    outside = sum(is_element(element) for element in layout.body.nodes(root)) - inside
    if outside > 0 and outside * OUTSIDE >= inside:
        return f"reads {len(posts)} of {len(posts) + outside} posts"
    whole = sum(len(get_text(node)) for node in nodes)
    body_size = sum(
        len(get_text(element)) for node in nodes for element in drop_nested(layout.body.nodes(node))
    )
    if body_size < LEAST_SHARE * whole and whole > LEAST_TEXT * len(nodes):
        return (
            f"the texts are {body_size * 100 // whole} percent of the posts: probably"
            " headers were read"
        )
    return ""


def _check_next_page(
    layout: SiteLayout, page: PageAddress, url: str, root: Node, pages: Sequence[PageAddress]
) -> str:
    """Describe in a sentence that a further page is shown and not followed; "" otherwise."""
    series = page.series or page.name
    if any(
        linked.number == page.number + 1 and (linked.series or linked.name) == series
        for linked in pages
    ):
        return ""
    urls = {address.partition("#")[0] for linked in pages for address in (linked.url, linked.name)}
    return (
        f"page {page.number + 1} of a {page.role} is not followed"
        if shows_further_page(layout, page, url, root, urls)
        else ""
    )
