"""What the pages of unknown software look like, guessed: options of `board` that a person looks over before they count.

A list is links of one make, in rows of their own, to addresses that differ in a number; a post is an element that a page repeats,
with a date in it and most of the text. What is guessed is tried like a preset, and said to be a guess.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from urllib.parse import urljoin, urlsplit

from lxml.html import HtmlElement  # type: ignore[import-untyped]  # it has no types
from scrapy.http import Response, TextResponse

from crawlers.sites import selecting
from crawlers.sites.dates import Calendar
from crawlers.sites.reading import answered_at

LEAST = 3
"""Links of one make, and rows."""
LEAST_TITLE = 4
"""Letters of a usual title; page numbers and icons have fewer."""
AGREE = 0.9
MOST_CLASSES = 3
LONGEST_DATE, LONGEST_NAME = 60, 40
NO_POSTS = frozenset({"a", "span", "script", "style", "body", "html", "form", "time"})
NUMBERED_BONUS = 4.0
"""What has a number of its own is a post rather than what stands around posts."""
NO_BODIES = frozenset({"a", "span", "h1", "h2", "h3", "h4", "h5", "h6", "li", "button", "footer", "header"})
LIST_SHARE = 0.3
"""So much of a page's text is links to what it lists, if it is a list."""
IDENT = re.compile(r"-?[_a-zA-Z][\w-]*")
NUMBERED = re.compile(r"\d")
NEXT_WORDS = (
    "next",
    "older",
    "下一页",
    "下一頁",
    "下页",
    "后页",
    "次へ",
    "›",
    "»",
    "→",
    "suivant",
    "weiter",
    "siguiente",
    "далее",
)
BODY = re.compile(r"(?i)content|body|text|message|cooked")
BODY_BONUS = 3
AUTHOR = re.compile(r"(?i)author|user|poster|nick|member|by-?line")
PROFILE = re.compile(r"(?i)/(u|user|users|member|members|profile|author|people|space)[/.?-]|[?&](uid|u|user|mod=space)=?")
RAW = re.compile(r"(?i)raw|plain|/txt|/text|\+inline")
MOMENT = Calendar()
Options = dict[str, str]


def of_list(response: Response) -> Options:
    """Options that read the entries of a list; {} where nothing on the page looks like one."""
    root = _root(response)
    if root is None:
        return {}
    groups: dict[str, list[HtmlElement]] = defaultdict(list)
    here = urlsplit(response.url).netloc
    for link in root.iter("a"):
        url = urljoin(response.url, link.get("href", ""))
        if link.get("href") and urlsplit(url).netloc == here and urlsplit(url).scheme in {"http", "https"}:
            groups[_make(link)].append(link)
    ranked = sorted(groups.items(), key=lambda group: -_worth(response.url, group[1]))
    for make, links in ranked[:5]:
        urls = [urljoin(response.url, link.get("href", "")) for link in links]
        pattern = pattern_of(urls)
        if pattern and _worth(response.url, links):
            found = [link for link, url in zip(links, urls, strict=True) if re.search(pattern, url)]
            rows = _rows(found)
            told = {"rows": rows, "links": make} if rows else {"links": make}
            return {**told, "pattern": pattern, **_next(root)}
    return {}


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
    keys = Counter(key for url in known for key in re.findall(r"[?&](\w+)=\d+", url))
    for key, count in keys.most_common():
        ids = {number[1] for url in known if (number := re.search(rf"[?&]{key}=(\d+)", url))}
        if count >= AGREE * len(known) and len(ids) >= AGREE * len(known):
            return rf"[?&]{key}=(?P<id>[0-9]+)"
    start = _folder(known)
    for tail in (
        r"(?P<id>[0-9]+)(?![0-9A-Za-z])",
        r"(?P<slug>[^/?&]*?)(?P<id>[0-9]+)(?![0-9A-Za-z])",
        r"(?P<id>[A-Za-z0-9_-]{4,64})/?(?=$|[?#])",
    ):
        found = [match["id"] for url in known if (match := re.match(re.escape(start) + tail, url))]
        if len(set(found)) >= AGREE * len(known):
            steps = (r"[^/]+" if NUMBERED.search(step) else re.escape(step).replace(r"\-", "-") for step in start.split("/"))
            return "/".join(steps) + tail
    return ""


def _folder(urls: Sequence[str]) -> str:
    """What all addresses begin with, up to a slash."""
    first, last = urls[0], urls[-1]  # of sorted texts these differ most
    same = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[: first.rfind("/", 0, same) + 1]


def _rows(links: Sequence[HtmlElement]) -> str:
    """The element that holds one of `links` and all that is said of it; "" where there is none but the link."""
    ours, rows = set(links), []
    for link in links:
        row = link
        while (above := row.getparent()) is not None and above.tag != "body" and sum(one in ours for one in above.iter("a")) == 1:
            row = above
        rows.append(row)
    made = Counter(_own(row) for row in rows if row.tag != "a")
    usual, count = made.most_common(1)[0] if made else ("", 0)
    return _alike([row for row in rows if _own(row) == usual]) if count >= AGREE * len(links) else ""


def _alike(ones: Sequence[HtmlElement]) -> str:
    """Tag and classes that all of them have."""
    shared = set.intersection(*(set((one.get("class") or "").split()) for one in ones))
    named = [name for name in dict.fromkeys((ones[0].get("class") or "").split()) if name in shared and _is_kind(name)]
    return ".".join([str(ones[0].tag), *named[:MOST_CLASSES]])


def _next(root: HtmlElement) -> Options:
    """The link to the next page."""
    if root.cssselect("a[rel~=next], link[rel~=next]"):
        return {"next": "a[rel~=next], link[rel~=next]"}
    for link in root.iter("a"):
        names = f"{link.get('class', '')} {(link.getparent().get('class', '') if link.getparent() is not None else '')}".split()
        if any(name in {"next", "nxt", "pagination-next", "pagination_next"} for name in names):
            return {"next": "a.next, .next > a, a.nxt, .nxt > a, .pagination-next > a, a.pagination_next"}
    for icon in ("chevron-right", "arrow-right", "angle-right", "icon-next"):
        if root.cssselect(f"a [class*={icon}]"):
            return {"next": f"a:has([class*={icon}])"}
    for link in root.iter("a"):
        said = " ".join((link.text_content() or "").split()).casefold()
        for word in NEXT_WORDS:
            if said and len(said) <= 20 and (said == word or said.strip("›»→> ") == word or said.startswith(f"{word} ")):
                return (
                    {"next": f"xpath://a[normalize-space()='{' '.join((link.text_content() or '').split())}']"}
                    if "'" not in said
                    else {}
                )
    return {}


def of_threads(responses: Sequence[Response]) -> Options:
    """Options that read the posts of threads of one site; {} where nothing in them looks like one.

    A post is what all of them have, has a date in it, and holds most of what differs between them.
    """
    bodies = {response.body: response for response in responses}
    now = next((now for response in responses if (now := answered_at(response))), None)
    roots = [root for response in bodies.values() if (root := _root(response)) is not None]
    texts = [Counter(text for one in root.itertext() if (text := one.strip())) for root in roots]
    same = set.intersection(*map(set, texts)) if len(roots) > 1 else set[str]()
    groups: dict[str, list[list[HtmlElement]]] = defaultdict(lambda: [[] for _ in roots])
    for place, root in enumerate(roots):
        for one in root.iter():
            if isinstance(one.tag, str) and one.get("class") and one.tag not in NO_POSTS:
                groups[_own(one)][place].append(one)
    best, most, number = list[HtmlElement](), 0.0, ""
    for found in groups.values():
        nodes = _outermost([node for page in found for node in page])
        if not all(found) or len(nodes) < 2 or any(_moment(node, now) is None for node in nodes):
            continue
        whole, fresh, named = sum(len(_text(node)) for node in nodes), sum(_fresh(node, same) for node in nodes), _numbered(nodes)
        sure = (NUMBERED_BONUS if named else 1.0) * (1.1 if len(nodes) > len(roots) else 1.0)
        worth = fresh * min(1.0, fresh / max(1, whole)) ** 2 * sure
        if worth >= most * 0.98:
            best, most, number = nodes, max(most, worth), named
    if not best:
        return {}
    told = {"post": _alike(best), **_in_posts(best, same, now)}
    return {**told, "id": f"xpath:@{number}"} if number not in {"", "id"} else told


def _fresh(one: HtmlElement, same: AbstractSet[str]) -> int:
    """How much of its text not all threads have."""
    return sum(len(text.strip()) for text in one.itertext() if text.strip() not in same)


def _numbered(nodes: Sequence[HtmlElement]) -> str:
    """The attribute that numbers each of them, its own `id` before others; "" where there is none."""
    for name in ("id", *(name for name in nodes[0].attrib if name.startswith("data-"))):
        values = [str(node.get(name, "")) for node in nodes]
        if len(set(values)) == len(values) and all(re.search(r"\d$", value) for value in values):
            return str(name)
    return ""


def _outermost(nodes: Sequence[HtmlElement]) -> list[HtmlElement]:
    """Without those that stand in another."""
    ours = set(nodes)
    return [node for node in nodes if not any(above in ours for above in node.iterancestors())]


def is_list(response: Response) -> bool:
    """Whether a page is rather a list than a thread, by how much of its text is links to what it lists."""
    root = _root(response)
    told = of_list(response)
    if root is None or not told:
        return False
    links = sum(len(_text(link)) for link in root.cssselect(told["links"]))
    return links >= LIST_SHARE * max(1, len(_text(root.find("body") if root.find("body") is not None else root)))


def raw_of(response: Response, number: str) -> Options:
    """Where the text of a paste is, by a link on its page; {} where none looks so."""
    root = _root(response)
    for link in root.iter("a") if root is not None else ():
        path = urlsplit(urljoin(response.url, link.get("href", ""))).path
        if number in path.split("/") and RAW.search(path.replace(number, "")):
            return {"raw": "/".join("{id}" if step == number else step for step in path.split("/"))}
    return {}


def _in_posts(posts: Sequence[HtmlElement], same: AbstractSet[str], now: datetime | None) -> Options:
    """What a post holds: its text, its author, its time."""
    sizes, dated, named = Counter[str](), Counter[str](), Counter[str]()
    for post in posts:
        for one in (inner for inner in post.iterdescendants() if isinstance(inner.tag, str)):
            size, moment = len(_text(one)), _moment(one, now)
            if one.get("class") and one.tag not in NO_BODIES and moment is None:
                sizes[_own(one)] += _fresh(one, same) * (BODY_BONUS if BODY.search(one.get("class")) else 1)
            if moment is not None and (one.tag == "time" or size < LONGEST_DATE):
                dated[_own(one)] += 1
            profile = PROFILE.search(one.get("href", "")) if one.tag == "a" else None
            if 0 < size < LONGEST_NAME and (profile or AUTHOR.search(one.get("class", ""))):
                named[_own(one) if "." in _own(one) or not profile else f"a[href*='{profile[0].strip('?&')}']"] += 1
    told = {"body": sizes.most_common(1)[0][0] if sizes else "xpath:."}
    for name, found in (("time", dated), ("author", named)):
        if found:  # what each post has once
            told[name] = min(found, key=lambda made, found=found: abs(found[made] - len(posts)))  # type: ignore[misc]
    return told


def _root(response: Response) -> HtmlElement | None:
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return None
    root: HtmlElement = selecting.html(response).root.root
    return root


def _make(link: HtmlElement) -> str:
    """How links of one make are selected: by their own class, else by what they stand in."""
    own, above = _own(link), link.getparent()
    while above is not None and "." not in own and above.tag != "body":
        if "." in (step := _own(above)):
            return f"{step} {own}"
        above = above.getparent()
    return own


def _own(one: HtmlElement) -> str:
    """Tag and first class that is a name of a kind, and not of one thing."""
    return next((f"{one.tag}.{name}" for name in (one.get("class") or "").split() if _is_kind(name)), str(one.tag))


def _is_kind(name: str) -> bool:
    return bool(IDENT.fullmatch(name)) and not NUMBERED.search(name)


def _text(one: HtmlElement) -> str:
    return " ".join((one.text_content() or "").split())


def _moment(one: HtmlElement, now: datetime | None) -> datetime | None:
    """A date in it, in a text of its own or an attribute."""
    for inner in one.iter():
        if isinstance(inner.tag, str):
            for text in (inner.get("datetime"), inner.get("title"), inner.text, inner.tail if inner is not one else None):
                if text and len(text) < 80 and (found := MOMENT.moment(text, now)):
                    return found
    return None
