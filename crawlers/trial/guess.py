"""What the pages of unknown software look like, guessed: options of `board` that a person looks
over before they count.

Numbers alone are read without a selector (`crawlers.sites.completeness`).

A list is links of one make, in rows of their own, to addresses that differ in a number; a post is
an element that a page repeats, with a date in it and most of the text (`crawlers.trial.posts`).
What is guessed is tried like a preset, and said to be a guess.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from urllib.parse import urldefrag, urljoin, urlsplit

from lxml.html import HtmlElement  # type: ignore[import-untyped]  # it has no types
from parsel import Selector
from parsel.csstranslator import HTMLTranslator
from scrapy.http import Response, TextResponse

from crawlers.fetching import response_checks
from crawlers.sites import selectors
from crawlers.sites.completeness import parse_post_count
from crawlers.sites.elements import elements_in
from crawlers.sites.further_pages import LONGEST_WORD, is_next_word, is_page_link
from crawlers.sites.layout import to_identity
from crawlers.sites.next_pages import BEHIND, NO_ENTRY, may_follow, resolve_url
from crawlers.sites.page_reader import read_response_time
from crawlers.trial import posts

RELATION = "a[rel~=next], link[rel~=next]"
CLASSES = (
    "a.next, .next > a, a.nxt, .nxt > a, .pagination-next > a, a.pagination_next, .page-next > a,"
    " a.page-next"
)
ICONS = ("chevron-right", "arrow-right", "angle-right", "icon-next")


def of_pages(pages: Sequence[tuple[str, HtmlElement]], *, of_list: bool = False) -> list[str]:
    """Return selectors of the next page that find it on any of some pages, given with their
    addresses.
    """
    found = dict[str, None]()
    for url, root in pages:
        found.update(dict.fromkeys(_on(url, root, of_list=of_list)))
    return list(found)


def _on(url: str, root: HtmlElement, *, of_list: bool) -> Iterator[str]:
    related = root.cssselect(RELATION)
    if _leads(url, related) or (of_list and any(_is_other(url, link) for link in related)):
        yield RELATION
        return
    if _leads(url, root.cssselect(CLASSES)):
        yield CLASSES
        return
    for icon in ICONS:
        if _leads(url, root.cssselect(f"a:has([class*={icon}])")):
            yield f"a:has([class*={icon}])"
            return
    yield from list(_said(url, root, of_list=of_list))[:1]


def _said(url: str, root: HtmlElement, *, of_list: bool) -> Iterator[str]:
    """Yield a selector by a word, in the text or title of a link."""
    for link in root.iter("a"):
        for of, told in (
            ("normalize-space()", link.text_content()),
            ("@title", link.get("title")),
            ("@aria-label", link.get("aria-label")),
        ):
            text = " ".join((told or "").split())
            is_next = text and len(text) <= LONGEST_WORD and "'" not in text and is_next_word(text)
            is_page = (
                is_next
                and _is_other(url, link)
                and is_page_link(url, resolve_url(url, link.get("href", "")), text, is_list=of_list)
            )
            if is_page or (is_next and _leads(url, [link])):
                yield f"xpath://a[{of}='{text}']"


def _is_other(url: str, link: HtmlElement) -> bool:
    """Whether a link leads to another page of the site."""
    there = urldefrag(urljoin(url, link.get("href", ""))).url
    return bool(there != url and urlsplit(there).netloc == urlsplit(url).netloc)


def _leads(url: str, links: Sequence[HtmlElement]) -> bool:
    """Whether the first of some links leads to another page of the same list or thread."""
    href = links[0].get("href", "") if links else ""
    return bool(href) and may_follow(url, urljoin(url, href))


LEAST = 3
"""Links of one make, and rows."""
LEAST_TITLE = 4
"""Letters of a usual title; page numbers and icons have fewer."""
AGREE = 0.9
MOST_CLASSES = 3
LONGEST_TITLE, LONGEST_NAME = 60, 15
"""Letters of a title that count, and of a word that may be a member's name."""
LIST_SHARE, ROWS_SHARE, TITLE_SHARE = 0.3, 0.5, 0.1
"""So much of a page's text is links to what it lists, if it is a list, or their rows, and of
rows links.
"""
SAME, IN_MENUS, FEW = 0.1, 0.05, 0.5
"""What a group of links is worth that say the same, that stand in menus, or that are fewer than
LEAST.
"""
BY_MAKE_AND_KIND, BY_MAKE, BY_KIND = 1.2, 1.0, 0.9
"""And those that are grouped by how they are made and where they lead, by one of both."""
MOST_GROUPS, MOST_LOOKED_AT = 12, 3
WHOLE = r"/?(?=$|[?#])"
ORIGIN = "https?://[^/]+"
BEHIND_ID = re.compile(r"[-_.,;/~]?[^/?#]*?/?(?:\.\w{2,5})?/?(?:[?&;].*)?", re.DOTALL)
"""What may stand behind an id: a title, in the same step of the path or in one more, an ending,
a query.
"""
ENDING = re.compile(r"\.\w{2,5}$")
WORD = re.compile(r"[A-Za-z]{2,}")
YEAR = re.compile(r"/(?:19|20)\d\d/")
"""What stands behind it is a month, or a title."""
NUMBERED = re.compile(r"\d")
DASHES, LONGEST_STEP = 2, 25
"""A step of an address with so many dashes, or so many letters, is somebody's words."""
COUNT = re.compile(r"\D{0,12}(\d{1,3}(?:,\d{3})+|\d{1,6})\D{0,12}")
SURE = 2
"""So many different lengths must a number tell to be that of posts."""
RAW = re.compile(r"(?i)raw|plain|/txt|/text|\+inline")
Options = posts.Options


def lists_of(response: Response, above: str = "", least: int = LEAST) -> list[Options]:
    """Options for each that may be a list on a page, the likeliest first; none of addresses that
    `above` fits.

    `least` entries are enough for one: a front page may have two boards.
    """
    root, found, known = _root(response), list[Options](), set[str]()
    if root is None:
        return []
    outside = set(response_checks.iter_outside_menus(Selector(root=root, type="html")))
    ranked = sorted(
        (
            (_worth(response.url, links, least, outside) * sure, make, links, sure == BY_KIND)
            for groups, sure in zip(
                _groups(response, root, above), (BY_MAKE_AND_KIND, BY_MAKE, BY_KIND), strict=True
            )
            for make, links in groups.items()
        ),
        key=lambda group: -group[0],
    )
    for worth, make, links, is_whole in ranked[:MOST_GROUPS]:
        urls = {urljoin(response.url, link.get("href", "")) for link in links}
        if (
            worth
            and len(urls - known) >= least
            and (told := _list_of(response, root, make, links, is_whole, least))
        ):
            known |= urls
            found.append(told)
    return found


def _groups(
    response: Response, root: HtmlElement, above: str
) -> Sequence[dict[str, list[HtmlElement]]]:
    """Links by how they are made and where they lead, by how they are made, and by where they
    lead.
    """
    by_make: dict[tuple[str, str], list[HtmlElement]] = defaultdict(list)
    alike: dict[str, list[HtmlElement]] = defaultdict(list)
    by_kind: dict[str, list[HtmlElement]] = defaultdict(list)
    here = urlsplit(response.url)
    for link in root.iter("a"):
        url = urljoin(response.url, link.get("href", ""))
        parts = urlsplit(url)
        is_ours = (
            parts.netloc == here.netloc
            and parts.scheme in {"http", "https"}
            and parts[:4] != here[:4]
        )
        if (
            not is_ours
            or not link.get("href")
            or NO_ENTRY.search(url)
            or response_checks.is_login(url)
        ):
            continue
        if not (
            posts.PROFILE.search(url)
            or (above and re.search(above, url))
            or posts.MOMENT.parse(posts.text(link))
        ):
            by_make[_make(link), _shape(url)].append(link)
            alike[_make(link)].append(link)
            by_kind[_kind(url)].append(link)
    return {f"{make}\n{shape}": links for (make, shape), links in by_make.items()}, alike, by_kind


def _list_of(
    response: Response,
    root: HtmlElement,
    group: str,
    links: Sequence[HtmlElement],
    is_whole: bool,
    least: int,
) -> Options:
    """Options that read a group of links as a list; {} where their addresses have nothing in
    common.
    """
    urls = [urljoin(response.url, link.get("href", "")) for link in links]
    pattern = pattern_of(urls, least)
    if not pattern:
        return {}
    if "[?" not in pattern and all(re.search(pattern + WHOLE, urldefrag(url).url) for url in urls):
        pattern += WHOLE.removeprefix("/?") if pattern.endswith("/") else WHOLE
    found = [link for link, url in zip(links, urls, strict=True) if re.search(pattern, url)]
    rows = _rows(response.url, found)
    make = "a" if is_whole else group.partition("\n")[0]
    # nothing would tell that some are not read
    if make == "a" and not rows and len(found) < len(links):
        return {}
    # what it stands in is around the rows
    if rows and not any(row.cssselect(make) for row in select(root, rows)):
        make = make.rpartition(" ")[2]
    told: Options = {"links": make}
    further = of_pages([(response.url, root)], of_list=True)
    told = {**({"rows": rows} if rows else {}), **told, "pattern": pattern, "numbered": True}
    return {**told, "next": _one_or_all(further)} if further else told


def counted_in(response: Response, rows: str, lengths: Mapping[str, int]) -> Options:
    """Where rows of a list say how many posts a thread has, by some threads of one page and how
    many each of them has.
    """
    root, votes = _root(response), dict[str, list[tuple[int, int]]]()
    for row in select(root, rows) if root is not None and rows else ():
        url = next(
            (
                url
                for link in row.iter("a")
                if (url := urljoin(response.url, link.get("href", ""))) in lengths
            ),
            None,
        )
        found = defaultdict[str, list[int]](list)
        for one in elements_in(row, itself=False) if url else ():
            if one.tag != "a" and (number := COUNT.fullmatch(posts.text(one))):
                found[_place(one)].append(int(re.sub(r"\D", "", number[1])))
        for place, numbers in found.items():
            if len(numbers) == 1 and url:
                votes.setdefault(place, []).append((numbers[0], lengths[url]))
    most = max(lengths.values(), default=0)
    for place, pairs in votes.items():
        for replies in (1, 0):
            told = {length for number, length in pairs if number + replies == length}
            if len(told) >= SURE and all(
                min(number + replies, most) == min(length, most) for number, length in pairs
            ):
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


def of_threads(responses: Sequence[Response], pattern: str = "") -> Options:
    """Options that read the posts of threads of one site, and lead to their next pages; {} where
    nothing looks like a post.

    What leads to other addresses that `pattern` fits, such as to the next message, is no text of a
    thread.
    """
    bodies = {response.body: response for response in responses}
    now = next((now for response in responses if (now := read_response_time(response))), None)
    roots = [
        (response.url, root)
        for response in bodies.values()
        if (root := _root(response)) is not None
    ]
    for url, root in roots if pattern else ():
        for link in root.cssselect(RELATION):
            # the next thread, and no next page
            if is_other_entry(pattern, url, link.get("href") or ""):
                del link.attrib["rel"]
        posts.take_out_rows(root, lambda where, url=url: is_other_entry(pattern, url, where))  # type: ignore[misc]
    further = of_pages(roots)
    told = posts.of_threads([root for _, root in roots], now)
    return {**told, "thread_next": _one_or_all(further)} if told and further else told


def is_other_entry(pattern: str, here: str, where: str) -> bool:
    """Return whether a link of the page at `here` leads to another entry of a list than that
    page is.
    """
    match, own = re.search(pattern, urljoin(here, where)), re.search(pattern, here)
    return bool(
        match
        and (own is None or to_identity(urljoin(here, where), match) != to_identity(here, own))
    )


def _shape(url: str) -> str:
    """An address without what tells one of its kind from another: numbers, and titles."""
    parts = urlsplit(url)
    path = "/".join(
        (
            "*"
            if (step.count("-") >= DASHES or len(step) >= LONGEST_STEP)
            else re.sub(r"\d+", "*", step)
        )
        for step in parts.path.split("/")
    )
    return f"{path}?{re.sub(r'[0-9]+', '*', parts.query)}"


def _worth(
    base: str, links: Sequence[HtmlElement], least: int, outside: AbstractSet[object]
) -> float:
    """How much a group of links looks like titles: letters of different addresses; 0 for too few,
    or no titles.

    What says the same of each, such as "Reply", is worth little, and so is what stands in menus.
    """
    by_url: dict[str, str] = {}
    for link in links:
        url, said = (
            urljoin(base, link.get("href", "")),
            "".join((link.text_content() or "").split()),
        )
        by_url[url] = max(by_url.get(url, ""), said, key=len)
    sizes = sorted(map(len, by_url.values()))
    if len(by_url) < least or sizes[len(sizes) // 2] < LEAST_TITLE:
        return 0.0
    worth = sum(min(size, LONGEST_TITLE) for size in sizes)
    is_same = len({NUMBERED.sub("", said) for said in by_url.values()}) <= len(by_url) / 2
    in_menus = sum(link not in outside for link in links) > len(links) / 2
    return (
        worth
        * (SAME if is_same else 1.0)
        * (IN_MENUS if in_menus else 1.0)
        * (FEW if len(by_url) < LEAST else 1.0)
    )


def _kind(url: str) -> str:
    """Where an address leads, without the last step of its path, and without numbers."""
    parts = urlsplit(url)
    return f"{re.sub(r'[0-9]+', '*', parts.path.rstrip('/').rpartition('/')[0])}?{re.sub(r'=[^&;]*', '', parts.query)}"  # noqa: E501


def _local(url: str) -> str:
    """An address without its host."""
    return urlsplit(url)._replace(scheme="", netloc="", fragment="").geturl()


def pattern_of(urls: Iterable[str], least: int = LEAST) -> str:
    """Return a pattern of whole addresses of one kind, with the number or the name by which they
    differ as `id`; "" for none.

    >>> pattern_of(["http://b/t/a-1/", "http://b/t/b-2/", "http://b/t/c-3/?x=9"])
    '^https?://[^/]+/t/(?P<slug>[^/?&]*?)(?P<id>[0-9]+)(?![0-9A-Za-z])'
    >>> pattern_of(["http://b/2026/10/an-offer/", "http://b/2026/11/a-reply/", "http://b/2026/11/a-sale/"])
    '^https?://[^/]+/[0-9]+/[0-9]+/(?P<id>[^/?#]+)/'
    """
    known = sorted(set(map(_local, urls)))
    if len(known) < least:
        return ""
    for made in (*_by_key(known), *_by_letters(known), *_by_step(known)):
        matches = [
            match
            for url in known
            if (match := re.match(made, url)) and _is_whole(url[match.end() :])
        ]
        names = {to_identity(match.string, match) for match in matches}
        if len(matches) >= AGREE * len(known) and len(names) == len(matches):
            return f"^{ORIGIN}{made}"
    return ""


def _is_whole(rest: str) -> bool:
    """Return whether nothing stands behind what a pattern found but a title, a page, or a query."""
    rest = rest.partition("#")[0]
    return bool(BEHIND_ID.fullmatch(rest) or BEHIND.fullmatch(rest))


def _by_key(known: Sequence[str]) -> Iterator[str]:
    """Yield patterns by a key of the query."""
    keys = Counter(key for url in known for key in re.findall(r"[?&;](\w+)=\d+", url))
    paths = {urlsplit(url).path for url in known}
    # of other scripts the key may mean something else
    path = re.escape(paths.pop()) if len(paths) == 1 else "/[^?#]*"
    yield from (
        rf"{path}\?(?:[^#]*[&;])?{key}=(?P<id>[0-9]+)(?![0-9A-Za-z])"
        for key, _ in keys.most_common()
    )


def _by_letters(known: Sequence[str]) -> Iterator[str]:
    """Yield patterns by what all addresses begin with, and the number or name behind that."""
    same = known[0][: _alike_to(known)].rstrip("0123456789")
    if "?" in same:
        yield re.escape(same).replace(r"\-", "-") + "(?P<id>[0-9]+)(?![0-9A-Za-z])"
    start = _folder(known)
    letters = re.escape(same[len(start) :]).replace(r"\-", "-")
    is_kind = sum(
        bool(re.match(re.escape(start) + letters + "[0-9]", url)) for url in known
    ) >= AGREE * len(known)
    kind = letters if is_kind else ""  # `/t31-a-title`, `/forum-31.html`
    steps = (
        r"[^/]+" if NUMBERED.search(step) else re.escape(step).replace(r"\-", "-")
        for step in start.split("/")
    )
    before = "/".join(steps)
    # a month is no id
    if YEAR.search(start) or all(YEAR.search(url[len(start) - 1 :]) for url in known):
        return
    yield from (
        before + tail
        for tail in (
            rf"{kind}(?P<id>[0-9]+)(?![0-9A-Za-z])",
            r"(?P<slug>[^/?&]*?)(?P<id>[0-9]+)(?![0-9A-Za-z])",
            r"(?P<slug>[^/?&]+/)(?P<id>[0-9]+)(?![0-9A-Za-z])",
            r"(?P<id>[A-Za-z0-9_-]{4,64})(?=/?(?:$|[?#]))",
        )
    )


def _by_step(known: Sequence[str]) -> Iterator[str]:
    """Yield a pattern by the last step of the path in which addresses differ; others may differ
    before it, as dates do.
    """
    paths = [urlsplit(url).path.strip("/").split("/") for url in known]
    size = Counter(map(len, paths)).most_common(1)[0][0]
    columns = [
        set(column)
        for column in zip(*(steps for steps in paths if len(steps) == size), strict=True)
    ]
    last = max((place for place, column in enumerate(columns) if len(column) > 1), default=None)
    if last is None:
        return
    made = list[str]()
    for place, column in enumerate(columns):
        if place == last:
            endings = (
                {match[0] if (match := ENDING.search(step)) else "" for step in column}
                if place == size - 1
                else {""}
            )
            ending = re.escape(endings.pop()) if len(endings) == 1 else ""
            made.append(f"(?P<id>[^/?#]+{'?' if ending else ''}){ending}")
        elif all(step.isdecimal() for step in column):
            made.append("[0-9]+")
        else:
            made.append(
                re.escape(min(column)).replace(r"\-", "-") if len(column) == 1 else "[^/?#]+"
            )
    closes = last == size - 1 and all(urlsplit(url).path.endswith("/") for url in known)
    yield "/" + "/".join(made) + ("/" if closes else "")


def _alike_to(urls: Sequence[str]) -> int:
    """How many letters all of some sorted addresses begin with."""
    first, last = urls[0], urls[-1]  # of sorted texts these differ most
    return next(
        (n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )


def _folder(urls: Sequence[str]) -> str:
    """What all addresses begin with, up to a slash."""
    return urls[0][: urls[0].rfind("/", 0, _alike_to(urls)) + 1]


def _rows(base: str, links: Sequence[HtmlElement]) -> str:
    """The element that holds one of the addresses of `links` and all that is said of it; ""
    where there is none but the link.
    """
    ours, rows = (
        {link: urldefrag(urljoin(base, link.get("href", ""))).url for link in links},
        dict[HtmlElement, None](),
    )
    for link in links:
        row = link
        while (above := row.getparent()) is not None and above.tag != "body":
            if any(ours.get(one, ours[link]) != ours[link] for one in above.iter("a")):
                break
            row = above
        rows[row] = None
    made = Counter(posts.own(row) for row in rows if row.tag != "a")
    usual, count = made.most_common(1)[0] if made else ("", 0)
    if count < AGREE * len(rows):
        return ""
    alike = [row for row in rows if posts.own(row) == usual]
    return _within_lists(alike, _alike(alike))


def _within_lists(rows: Sequence[HtmlElement], selector: str) -> str:
    """Return a selector of rows, in those parents alone that hold one where it finds something
    that leads elsewhere too.
    """
    root, ours, parents = (
        rows[0].getroottree().getroot(),
        set(rows),
        {row.getparent() for row in rows},
    )
    strays = [
        one for one in select(root, selector) if one not in ours and one.find(".//a") is not None
    ]
    hrefs = [one.get("href", "") for row in rows for one in list(row.iter("a"))[:1]]
    words = (
        set.intersection(*({*WORD.findall(ENDING.sub("", href))} for href in hrefs))
        if hrefs
        else set[str]()
    )
    tags = {parent.tag for parent in parents}
    if (
        not strays
        or any(one.getparent() in parents for one in strays)
        or len(tags) > 1
        or not words
    ):
        return selector
    row, word = HTMLTranslator().css_to_xpath(selector, prefix="./"), max(words, key=len)
    scoped = f"xpath://{tags.pop()}[{row}//a[contains(@href, '{word}')]]/{row.removeprefix('./')}"
    return scoped if set(select(root, scoped)) >= ours else selector


def select(root: HtmlElement, selector: str) -> Sequence[HtmlElement]:
    """Return what a selector of an option finds."""
    found: Sequence[HtmlElement] = (
        root.xpath(selector.removeprefix("xpath:"))
        if selector.startswith("xpath:")
        else root.cssselect(selector)
    )
    return found


def _alike(ones: Sequence[HtmlElement]) -> str:
    """Tag and classes that all of them have."""
    shared = set.intersection(*(set((one.get("class") or "").split()) for one in ones))
    named = [
        name
        for name in dict.fromkeys((ones[0].get("class") or "").split())
        if name in shared and posts.is_kind(name)
    ]
    return ".".join([str(ones[0].tag), *named[:MOST_CLASSES]])


def is_list(response: Response, above: str) -> bool:
    """Whether a page is rather a list than a thread, by how much of its text its rows are; what
    `above` fits is none of it.
    """
    root = _root(response)
    if root is None:
        return False
    whole, outside = (
        len(posts.text(posts.body(root))),
        set(response_checks.iter_outside_menus(Selector(root=root, type="html"))),
    )
    for told in lists_of(response, above)[:MOST_LOOKED_AT]:
        links = [link for link in root.cssselect(str(told["links"])) if link in outside]
        titles = [
            link
            for link in links
            if re.search(str(told["pattern"]), urljoin(response.url, link.get("href", "")))
        ]
        said = sum(len(posts.text(link)) for link in titles)
        if said >= LIST_SHARE * max(1, whole):
            return True
        around = {above for link in titles for above in link.iterancestors()}
        rows = (
            [row for row in select(root, str(told["rows"])) if row in around]
            if "rows" in told
            else []
        )
        of_rows = sum(len(posts.text(row)) for row in rows)
        names = sum(
            len(posts.text(link).split()) == 1 and len(posts.text(link)) <= LONGEST_NAME
            for link in titles
        )
        are_titles = said >= TITLE_SHARE * of_rows and names < len(titles) / 2
        if of_rows >= ROWS_SHARE * max(1, whole) and (
            are_titles or any(parse_post_count(" ".join(row.itertext())) for row in rows)
        ):
            return True
    return False


def name_by(pattern: str, url: str) -> str:
    """Return the name that a pattern gives an address; the address itself where it does not fit."""
    match = re.search(pattern, url)
    return to_identity(url, match) if match else url


def names_on(response: Response, pattern: str) -> set[str]:
    """Return the names of the entries to which a page leads by addresses that a pattern fits."""
    root = _root(response)
    urls = {
        urljoin(response.url, link.get("href", ""))
        for link in (root.iter("a") if root is not None else ())
    }
    return {to_identity(url, match) for url in urls if (match := re.search(pattern, url))}


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
    root: HtmlElement = selectors.parse_html(response).root.root
    return root


def _make(link: HtmlElement) -> str:
    """How links of one make are selected: by their own class, else by what they stand in."""
    own, above = posts.own(link), link.getparent()
    while above is not None and "." not in own and above.tag != "body":
        if "." in (step := posts.own(above)):
            return f"{step} {own}"
        above = above.getparent()
    return own
