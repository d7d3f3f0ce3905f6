"""What the pages of unknown software look like, guessed: options of `board` that a person looks over before they count.

A list is links of one make, in rows of their own, to addresses that differ in a number; a post is an element that a page repeats,
with a date in it and most of the text (`crawlers.trial.posts`). What is guessed is tried like a preset, and said to be a guess.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urljoin, urlsplit

from lxml.html import HtmlElement  # type: ignore[import-untyped]  # it has no types
from scrapy.http import Response, TextResponse

from crawlers.fetching import response_checks
from crawlers.sites import selecting
from crawlers.sites.reading import answered_at
from crawlers.trial import next_page, posts

LEAST = 3
"""Links of one make, and rows."""
MOST_LETTERS = 3
"""Of a kind of page, before its number in an address; more are words of titles."""
LEAST_TITLE = 4
"""Letters of a usual title; page numbers and icons have fewer."""
AGREE = 0.9
MOST_CLASSES = 3
LIST_SHARE = 0.3
"""So much of a page's text is links to what it lists, if it is a list."""
NUMBERED = re.compile(r"\d")
DASHES, LONGEST_STEP = 2, 25
"""A step of an address with so many dashes, or so many letters, is somebody's words."""
NO_BOARD = re.compile(r"(?i)[/?=](register|sign-?up|log-?in|log-?out|sign-?in|search|help|faq|rss|feed|contact|privacy|terms)\b")
"""Addresses that are no thread and no board."""
COUNT = re.compile(r"\D{0,12}(\d{1,3}(?:,\d{3})+|\d{1,6})\D{0,12}")
SURE = 2
"""So many different lengths must a number tell to be that of posts."""
RAW = re.compile(r"(?i)raw|plain|/txt|/text|\+inline")
Options = posts.Options


def of_list(response: Response) -> Options:
    """Options that read the entries of a list; {} where nothing on the page looks like one."""
    root = _root(response)
    if root is None:
        return {}
    groups: dict[tuple[str, str], list[HtmlElement]] = defaultdict(list)
    alike: dict[tuple[str, str], list[HtmlElement]] = defaultdict(list)
    here = urlsplit(response.url).netloc
    for link in root.iter("a"):
        url = urljoin(response.url, link.get("href", ""))
        is_ours = urlsplit(url).netloc == here and urlsplit(url).scheme in {"http", "https"}
        if link.get("href") and is_ours and not NO_BOARD.search(url) and not response_checks.is_login(url):
            groups[_make(link), _shape(url)].append(link)
            alike[_make(link), ""].append(link)

    def ranked(some: dict[tuple[str, str], list[HtmlElement]]) -> list[tuple[tuple[str, str], list[HtmlElement]]]:
        return sorted(some.items(), key=lambda group: -_worth(response.url, group[1]))[:5]

    for (make, _), links in (*ranked(groups), *ranked(alike)):  # boards have names that have nothing in common
        urls = [urljoin(response.url, link.get("href", "")) for link in links]
        pattern = pattern_of(urls)
        if pattern and _worth(response.url, links):
            found = [link for link, url in zip(links, urls, strict=True) if re.search(pattern, url)]
            rows = _rows(found)
            told = {"rows": rows, "links": make} if rows else {"links": make}
            further = next_page.of_pages([(response.url, root)])
            return {**told, "pattern": pattern, "numbered": True, **({"next": _one_or_all(further)} if further else {})}
    return {}


def counted_in(response: Response, rows: str, lengths: Mapping[str, int]) -> Options:
    """Where rows of a list say how many posts a thread has, by some threads of one page and how many each of them has."""
    root, votes = _root(response), dict[str, list[tuple[int, int]]]()
    for row in root.cssselect(rows) if root is not None and rows else ():
        url = next((url for link in row.iter("a") if (url := urljoin(response.url, link.get("href", ""))) in lengths), None)
        found = defaultdict[str, list[int]](list)
        for one in row.iterdescendants() if url else ():
            if isinstance(one.tag, str) and one.tag != "a" and (number := COUNT.fullmatch(posts.text(one))):
                found[_place(one)].append(int(re.sub(r"\D", "", number[1])))
        for place, numbers in found.items():
            if len(numbers) == 1 and url:
                votes.setdefault(place, []).append((numbers[0], lengths[url]))
    most = max(lengths.values(), default=0)
    for place, pairs in votes.items():
        for replies in (1, 0):
            told = {length for number, length in pairs if number + replies == length}
            if len(told) >= SURE and all(min(number + replies, most) == min(length, most) for number, length in pairs):
                return {"counted": place, **({} if replies else {"counts_replies": False})}
    return {}


def _place(one: HtmlElement) -> str:
    """A cell by its number in a row, another element by its class."""
    above = one.getparent()
    if one.tag == "td" and above is not None:
        return f"xpath:./td[{[child for child in above if child.tag == 'td'].index(one) + 1}]"
    return posts.own(one)


def _one_or_all(selectors: Sequence[str]) -> str | list[str]:
    return selectors[0] if len(selectors) == 1 else list(selectors)


def of_threads(responses: Sequence[Response]) -> Options:
    """Options that read the posts of threads of one site, and lead to their next pages; {} where nothing looks like a post."""
    bodies = {response.body: response for response in responses}
    now = next((now for response in responses if (now := answered_at(response))), None)
    roots = [(response.url, root) for response in bodies.values() if (root := _root(response)) is not None]
    told = posts.of_threads([root for _, root in roots], now)
    further = next_page.of_pages(roots) if told else []
    return {**told, "thread_next": _one_or_all(further)} if further else told


def _shape(url: str) -> str:
    """An address without what tells one of its kind from another: numbers, and titles."""
    parts = urlsplit(url)
    path = "/".join(
        "*" if (step.count("-") >= DASHES or len(step) >= LONGEST_STEP) else re.sub(r"\d+", "*", step)
        for step in parts.path.split("/")
    )
    return f"{path}?{re.sub(r'[0-9]+', '*', parts.query)}"


def _worth(base: str, links: Sequence[HtmlElement]) -> int:
    """How much a group of links looks like titles of threads: letters of different addresses; 0 for too few, or no titles."""
    by_url: dict[str, int] = {}
    for link in links:
        url = urljoin(base, link.get("href", ""))
        by_url[url] = max(by_url.get(url, 0), len("".join((link.text_content() or "").split())))
    usual = sorted(by_url.values())[len(by_url) // 2] if by_url else 0
    return sum(min(size, 60) for size in by_url.values()) if len(by_url) >= LEAST and usual >= LEAST_TITLE else 0


def pattern_of(urls: Iterable[str]) -> str:
    """A pattern that fits addresses of one kind, with the number (or the name) by which they differ as `id`; "" for none.

    >>> pattern_of(["http://b/t/a-1/", "http://b/t/b-2/", "http://b/t/c-3/?x=9"])
    '/t/(?P<slug>[^/?&]*?)(?P<id>[0-9]+)(?![0-9A-Za-z])'
    """
    known = sorted({urlsplit(url)._replace(scheme="", netloc="", fragment="").geturl() for url in urls})
    if len(known) < LEAST:
        return ""
    keys = Counter(key for url in known for key in re.findall(r"[?&;](\w+)=\d+", url))
    for key, count in keys.most_common():
        ids = {number[1] for url in known if (number := re.search(rf"[?&;]{key}=(\d+)", url))}
        if count >= AGREE * len(known) and len(ids) >= AGREE * len(known):
            return rf"[?&;]{key}=(?P<id>[0-9]+)"
    same = known[0][: _alike_to(known)].rstrip("0123456789")
    if "?" in same and sum(bool(re.match(re.escape(same) + r"[0-9]+$", url)) for url in known) >= AGREE * len(known):
        return re.escape(same).replace(r"\-", "-") + "(?P<id>[0-9]+)"
    start = _folder(known)
    letters = same[len(start) :]
    kind = letters if letters.isalpha() and len(letters) <= MOST_LETTERS else ""  # `/t31-a-title`
    for tail in (
        rf"{kind}(?P<id>[0-9]+)(?![0-9A-Za-z])",
        r"(?P<slug>[^/?&]*?)(?P<id>[0-9]+)(?![0-9A-Za-z])",
        r"(?P<slug>[^/?&]+/)(?P<id>[0-9]+)(?![0-9A-Za-z])",
        r"(?P<id>[A-Za-z0-9_-]{4,64})/?(?=$|[?#])",
        r"(?P<id>[^/?#.]{2,200})(?=(?:\.\w{2,5}|/)?(?:$|[?#]))",
    ):
        found = [match["id"] for url in known if (match := re.match(re.escape(start) + tail, url))]
        if len(set(found)) >= AGREE * len(known):
            steps = (r"[^/]+" if NUMBERED.search(step) else re.escape(step).replace(r"\-", "-") for step in start.split("/"))
            return "/".join(steps) + tail
    return ""


def _alike_to(urls: Sequence[str]) -> int:
    """How many letters all of some sorted addresses begin with."""
    first, last = urls[0], urls[-1]  # of sorted texts these differ most
    return next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def _folder(urls: Sequence[str]) -> str:
    """What all addresses begin with, up to a slash."""
    return urls[0][: urls[0].rfind("/", 0, _alike_to(urls)) + 1]


def _rows(links: Sequence[HtmlElement]) -> str:
    """The element that holds one of `links` and all that is said of it; "" where there is none but the link."""
    ours, rows = set(links), []
    for link in links:
        row = link
        while (above := row.getparent()) is not None and above.tag != "body" and sum(one in ours for one in above.iter("a")) == 1:
            row = above
        rows.append(row)
    made = Counter(posts.own(row) for row in rows if row.tag != "a")
    usual, count = made.most_common(1)[0] if made else ("", 0)
    return _alike([row for row in rows if posts.own(row) == usual]) if count >= AGREE * len(links) else ""


def _alike(ones: Sequence[HtmlElement]) -> str:
    """Tag and classes that all of them have."""
    shared = set.intersection(*(set((one.get("class") or "").split()) for one in ones))
    named = [name for name in dict.fromkeys((ones[0].get("class") or "").split()) if name in shared and posts.is_kind(name)]
    return ".".join([str(ones[0].tag), *named[:MOST_CLASSES]])


def is_list(response: Response) -> bool:
    """Whether a page is rather a list than a thread, by how much of its text is links to what it lists."""
    root = _root(response)
    told = of_list(response)
    if root is None or not told:
        return False
    links = sum(len(posts.text(link)) for link in root.cssselect(str(told["links"])))
    return links >= LIST_SHARE * max(1, len(posts.text(root.find("body") if root.find("body") is not None else root)))


def raw_of(response: Response, number: str) -> Options:
    """Where the text of a paste is, by a link on its page; {} where none looks so."""
    root = _root(response)
    for link in root.iter("a") if root is not None else ():
        path = urlsplit(urljoin(response.url, link.get("href", ""))).path
        if number in path.split("/") and RAW.search(path.replace(number, "")):
            return {"raw": "/".join("{id}" if step == number else step for step in path.split("/"))}
    return {}


def _root(response: Response) -> HtmlElement | None:
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return None
    root: HtmlElement = selecting.html(response).root.root
    return root


def _make(link: HtmlElement) -> str:
    """How links of one make are selected: by their own class, else by what they stand in."""
    own, above = posts.own(link), link.getparent()
    while above is not None and "." not in own and above.tag != "body":
        if "." in (step := posts.own(above)):
            return f"{step} {own}"
        above = above.getparent()
    return own
