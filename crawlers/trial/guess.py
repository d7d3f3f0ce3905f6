"""Guess the options of `board` that read a site of unknown software; a person reviews them.

A list is a group of similar links, in rows of their own, to addresses that differ in a number. A
post is an element that a page repeats, with a date in it and most of the text
(`crawlers.trial.posts`). Post counts are read without a selector (`crawlers.sites.completeness`).
A guess is tried like a preset, and reported as a guess.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
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


def guess_next_page(
    pages: Sequence[tuple[str, HtmlElement]], *, of_list: bool = False
) -> list[str]:
    """Return selectors that find the link to the next page on any of these pages; [] if none does.

    `pages` are (address, root element). `of_list` says whether they are lists, and not threads.
    """
    selectors_found = dict[str, None]()
    for url, root in pages:
        selectors_found.update(dict.fromkeys(_guess_on_page(url, root, of_list=of_list)))
    return list(selectors_found)


def _guess_on_page(url: str, root: HtmlElement, *, of_list: bool) -> Iterator[str]:
    """Yield the likeliest selector of the next page on one page; nothing if there is none.

    Marked relations come first, then classes, icons, and words.
    """
    related = root.cssselect(RELATION)
    if _leads_to_page(url, related) or (of_list and any(_is_other(url, link) for link in related)):
        yield RELATION
        return
    if _leads_to_page(url, root.cssselect(CLASSES)):
        yield CLASSES
        return
    for icon in ICONS:
        if _leads_to_page(url, root.cssselect(f"a:has([class*={icon}])")):
            yield f"a:has([class*={icon}])"
            return
    yield from list(_guess_by_words(url, root, of_list=of_list))[:1]


def _guess_by_words(url: str, root: HtmlElement, *, of_list: bool) -> Iterator[str]:
    """Yield selectors of links that lead to the next page by a word in their text, title or label.

    Such texts have at most LONGEST_WORD characters and no apostrophe.
    """
    for link in root.iter("a"):
        for expression, label in (
            ("normalize-space()", link.text_content()),
            ("@title", link.get("title")),
            ("@aria-label", link.get("aria-label")),
        ):
            text = " ".join((label or "").split())
            is_next = text and len(text) <= LONGEST_WORD and "'" not in text and is_next_word(text)
            is_page = (
                is_next
                and _is_other(url, link)
                and is_page_link(url, resolve_url(url, link.get("href", "")), text, is_list=of_list)
            )
            if is_page or (is_next and _leads_to_page(url, [link])):
                yield f"xpath://a[{expression}='{text}']"


def _is_other(url: str, link: HtmlElement) -> bool:
    """Return whether a link leads to another page of the site."""
    there = urldefrag(urljoin(url, link.get("href", ""))).url
    return bool(there != url and urlsplit(there).netloc == urlsplit(url).netloc)


def _leads_to_page(url: str, links: Sequence[HtmlElement]) -> bool:
    """Return whether the first of the links leads to another page of the list or thread."""
    href = links[0].get("href", "") if links else ""
    return bool(href) and may_follow(url, urljoin(url, href))


LEAST = 3
"""The fewest links of one form, and the fewest rows, of a list."""
LEAST_TITLE = 4
"""The fewest letters of a usual title; page numbers and icons have fewer."""
AGREE = 0.9
MOST_CLASSES = 3
LONGEST_TITLE, LONGEST_NAME = 60, 15
"""The letters of a title that are counted, and the longest word that may be a member's name."""
LIST_SHARE, ROWS_SHARE, TITLE_SHARE = 0.3, 0.5, 0.1
"""Least shares on a list: of its links in the text, of their rows in the text, of links in rows."""
SAME, IN_MENUS, FEW = 0.1, 0.05, 0.5
"""Factors for a group of links with equal texts, in menus, or with fewer links than LEAST."""
BY_MAKE_AND_KIND, BY_MAKE, BY_KIND = 1.2, 1.0, 0.9
"""Factors for groups by form and target, by form only, and by target only."""
MOST_GROUPS, MOST_LOOKED_AT = 12, 3
WHOLE = r"/?(?=$|[?#])"
ORIGIN = "https?://[^/]+"
BEHIND_ID = re.compile(r"[-_.,;/~]?[^/?#]*?/?(?:\.\w{2,5})?/?(?:[?&;].*)?", re.DOTALL)
"""What may follow an id: a title (in the same step of the path or the next), an ending, a query."""
ENDING = re.compile(r"\.\w{2,5}$")
WORD = re.compile(r"[A-Za-z]{2,}")
YEAR = re.compile(r"/(?:19|20)\d\d/")
"""A year in an address; it is followed by a month or a title."""
NUMBERED = re.compile(r"\d")
DASHES, LONGEST_STEP = 2, 25
"""From so many dashes or letters on, a step of an address consists of somebody's words."""
COUNT = re.compile(r"\D{0,12}(\d{1,3}(?:,\d{3})+|\d{1,6})\D{0,12}")
SURE = 2
"""The least number of different thread lengths for which a number must be right."""
RAW = re.compile(r"(?i)raw|plain|/txt|/text|\+inline")
Options = posts.Options


def guess_lists(response: Response, above: str = "", least: int = LEAST) -> list[Options]:
    """Return the options of each possible list on a page, the likeliest first.

    Addresses that match `above` are ignored. `least` different addresses are enough for a list: a
    front page may have two boards. At most MOST_GROUPS (12) groups of links are tried. Returns []
    for a page that is no HTML or has no list.
    """
    root, guessed, listed_urls = _parse_root(response), list[Options](), set[str]()
    if root is None:
        return []
    outside = set(response_checks.iter_outside_menus(Selector(root=root, type="html")))
    ranked = sorted(
        (
            (_rate_links(response.url, links, least, outside) * sure, make, links, sure == BY_KIND)
            for groups, sure in zip(
                _group_links(response, root, above),
                (BY_MAKE_AND_KIND, BY_MAKE, BY_KIND),
                strict=True,
            )
            for make, links in groups.items()
        ),
        key=lambda group: -group[0],
    )
    for worth, make, links, is_whole in ranked[:MOST_GROUPS]:
        urls = {urljoin(response.url, link.get("href", "")) for link in links}
        if (
            worth
            and len(urls - listed_urls) >= least
            and (options := _build_list_options(response, root, make, links, is_whole, least))
        ):
            listed_urls |= urls
            guessed.append(options)
    return guessed


def _group_links(
    response: Response, root: HtmlElement, above: str
) -> Sequence[dict[str, list[HtmlElement]]]:
    """Return links grouped by form and target, by form alone, and by target alone.

    Left out are links to other hosts or to the page itself, and those to login pages, profiles,
    dates, and addresses that match `above`.
    """
    by_make: dict[tuple[str, str], list[HtmlElement]] = defaultdict(list)
    alike: dict[str, list[HtmlElement]] = defaultdict(list)
    by_kind: dict[str, list[HtmlElement]] = defaultdict(list)
    address = urlsplit(response.url)
    for link in root.iter("a"):
        url = urljoin(response.url, link.get("href", ""))
        parts = urlsplit(url)
        is_ours = (
            parts.netloc == address.netloc
            and parts.scheme in {"http", "https"}
            and parts[:4] != address[:4]
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
            or posts.MOMENT.parse(posts.get_text(link))
        ):
            by_make[_select_link(link), _generalize(url)].append(link)
            alike[_select_link(link)].append(link)
            by_kind[_generalize_folder(url)].append(link)
    return {f"{make}\n{shape}": links for (make, shape), links in by_make.items()}, alike, by_kind


def _build_list_options(
    response: Response,
    root: HtmlElement,
    group: str,
    links: Sequence[HtmlElement],
    is_whole: bool,
    least: int,
) -> Options:
    """Return options that read a group of links as a list.

    `group` is its selector, `is_whole` whether all links of the page are meant. Returns {} if fewer
    than `least` addresses have something in common, or if entries would go unread unnoticed.
    """
    urls = [urljoin(response.url, link.get("href", "")) for link in links]
    pattern = build_pattern(urls, least)
    if not pattern:
        return {}
    if "[?" not in pattern and all(re.search(pattern + WHOLE, urldefrag(url).url) for url in urls):
        pattern += WHOLE.removeprefix("/?") if pattern.endswith("/") else WHOLE
    matching = [link for link, url in zip(links, urls, strict=True) if re.search(pattern, url)]
    rows = _guess_rows(response.url, matching)
    make = "a" if is_whole else group.partition("\n")[0]
    # entries that are not read would go unnoticed
    if make == "a" and not rows and len(matching) < len(links):
        return {}
    # the parent that the selector names is outside of the rows
    if rows and not any(row.cssselect(make) for row in select(root, rows)):
        make = make.rpartition(" ")[2]
    options: Options = {"links": make}
    further = guess_next_page([(response.url, root)], of_list=True)
    options = {**({"rows": rows} if rows else {}), **options, "pattern": pattern, "numbered": True}
    return {**options, "next": _simplify(further)} if further else options


def guess_post_count(response: Response, rows: str, lengths: Mapping[str, int]) -> Options:
    """Return options that find, in a list's rows, the number of posts of a thread.

    `lengths` holds the number of posts of some threads of a single page, by address; at least SURE
    (2) different numbers must agree with it, and none may contradict. Returns {} where no element
    does so.
    """
    root, votes = _parse_root(response), dict[str, list[tuple[int, int]]]()
    for row in select(root, rows) if root is not None and rows else ():
        url = next(
            (
                url
                for link in row.iter("a")
                if (url := urljoin(response.url, link.get("href", ""))) in lengths
            ),
            None,
        )
        numbers_by_place = defaultdict[str, list[int]](list)
        for cell in elements_in(row, itself=False) if url else ():
            if cell.tag != "a" and (number := COUNT.fullmatch(posts.get_text(cell))):
                numbers_by_place[_select_in_row(cell)].append(int(re.sub(r"\D", "", number[1])))
        for place, numbers in numbers_by_place.items():
            if len(numbers) == 1 and url:
                votes.setdefault(place, []).append((numbers[0], lengths[url]))
    most = max(lengths.values(), default=0)
    for place, pairs in votes.items():
        for replies in (1, 0):
            confirmed = {length for number, length in pairs if number + replies == length}
            if len(confirmed) >= SURE and all(
                min(number + replies, most) == min(length, most) for number, length in pairs
            ):
                return {"counted": place, **({} if replies else {"counts_replies": False})}
    return {}


def _select_in_row(element: HtmlElement) -> str:
    """Return a selector of an element in a row.

    A cell is selected by its number, other elements by class.
    """
    above = element.getparent()
    if element.tag == "td" and above is not None:
        return f"xpath:./td[{[child for child in above if child.tag == 'td'].index(element) + 1}]"
    return posts.select_by_kind(element)


def _simplify(selectors: Sequence[str]) -> str | list[str]:
    """Return a single selector as a text, and several as a list."""
    return selectors[0] if len(selectors) == 1 else list(selectors)


def guess_posts(responses: Sequence[Response], pattern: str = "") -> Options:
    """Return options that read the posts of a site's threads, and find their next pages.

    Returns {} if nothing looks like a post. Small rows that link to other entries (addresses
    that match `pattern`), such as the next message, are not counted as text of a thread.
    """
    bodies = {response.body: response for response in responses}
    now = next((now for response in responses if (now := read_response_time(response))), None)
    roots = [
        (response.url, root)
        for response in bodies.values()
        if (root := _parse_root(response)) is not None
    ]
    for url, root in roots if pattern else ():
        for link in root.cssselect(RELATION):
            # the next thread, not the next page
            if is_other_entry(pattern, url, link.get("href") or ""):
                del link.attrib["rel"]
        posts.take_out_rows(root, partial(is_other_entry, pattern, url))
    further = guess_next_page(roots)
    options = posts.guess_options([root for _, root in roots], now)
    return {**options, "thread_next": _simplify(further)} if options and further else options


def is_other_entry(pattern: str, here: str, where: str) -> bool:
    """Return whether a link to `where`, on the page at `here`, leads to another entry of a list.

    `where` may be relative. An entry's address matches the regular expression `pattern`. False if
    the link does not match; True if it does and `here` does not; else whether the identities
    differ.
    """
    match, own_match = re.search(pattern, urljoin(here, where)), re.search(pattern, here)
    return bool(
        match
        and (
            own_match is None
            or to_identity(urljoin(here, where), match) != to_identity(here, own_match)
        )
    )


def _generalize(url: str) -> str:
    """Return an address with `*` for numbers and titles."""
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


def _rate_links(
    base: str, links: Sequence[HtmlElement], least: int, outside: AbstractSet[object]
) -> float:
    """Return how much a group of links resembles titles, in letters of all different addresses.

    It is 0 for fewer than `least` addresses, or for texts that are no titles. Repeated texts, such
    as "Reply", and links in menus (not in `outside`) count little.
    """
    by_url: dict[str, str] = {}
    for link in links:
        url, text = (
            urljoin(base, link.get("href", "")),
            "".join((link.text_content() or "").split()),
        )
        by_url[url] = max(by_url.get(url, ""), text, key=len)
    sizes = sorted(map(len, by_url.values()))
    if len(by_url) < least or sizes[len(sizes) // 2] < LEAST_TITLE:
        return 0.0
    worth = sum(min(size, LONGEST_TITLE) for size in sizes)
    is_same = len({NUMBERED.sub("", text) for text in by_url.values()}) <= len(by_url) / 2
    in_menus = sum(link not in outside for link in links) > len(links) / 2
    return (
        worth
        * (SAME if is_same else 1.0)
        * (IN_MENUS if in_menus else 1.0)
        * (FEW if len(by_url) < LEAST else 1.0)
    )


def _generalize_folder(url: str) -> str:
    """Return an address without the last step of its path, and without numbers."""
    parts = urlsplit(url)
    folder = parts.path.rstrip("/").rpartition("/")[0]
    return f"{re.sub('[0-9]+', '*', folder)}?{re.sub('=[^&;]*', '', parts.query)}"


def _strip_host(url: str) -> str:
    """Return an address without its host."""
    return urlsplit(url)._replace(scheme="", netloc="", fragment="").geturl()


def build_pattern(urls: Iterable[str], least: int = LEAST) -> str:
    """Return a pattern that matches whole addresses of one kind; "" for none.

    Its group `id` is the number or the name in which the addresses differ. There must be at least
    `least` different addresses, and the share AGREE (0.9) of them must match, each with an id of
    its own.

    >>> build_pattern(["http://b/t/a-1/", "http://b/t/b-2/", "http://b/t/c-3/?x=9"])
    '^https?://[^/]+/t/(?P<slug>[^/?&]*?)(?P<id>[0-9]+)(?![0-9A-Za-z])'
    >>> build_pattern(
    ...     ["http://b/2026/10/an-offer/", "http://b/2026/11/a-reply/", "http://b/2026/11/a-sale/"]
    ... )
    '^https?://[^/]+/[0-9]+/[0-9]+/(?P<id>[^/?#]+)/'
    """
    paths = sorted(set(map(_strip_host, urls)))
    if len(paths) < least:
        return ""
    for guess in (*_by_key(paths), *_guess_by_prefix(paths), *_guess_by_step(paths)):
        matches = [
            match
            for url in paths
            if (match := re.match(guess, url)) and _is_whole(url[match.end() :])
        ]
        names = {to_identity(match.string, match) for match in matches}
        if len(matches) >= AGREE * len(paths) and len(names) == len(matches):
            return f"^{ORIGIN}{guess}"
    return ""


def _is_whole(suffix: str) -> bool:
    """Return whether only a title, a page or a query follows the match of a pattern."""
    suffix = suffix.partition("#")[0]
    return bool(BEHIND_ID.fullmatch(suffix) or BEHIND.fullmatch(suffix))


def _by_key(known: Sequence[str]) -> Iterator[str]:
    """Yield patterns by a key of the query."""
    keys = Counter(key for url in known for key in re.findall(r"[?&;](\w+)=\d+", url))
    paths = {urlsplit(url).path for url in known}
    # in other scripts the key may have another meaning
    path = re.escape(paths.pop()) if len(paths) == 1 else "/[^?#]*"
    yield from (
        rf"{path}\?(?:[^#]*[&;])?{key}=(?P<id>[0-9]+)(?![0-9A-Za-z])"
        for key, _ in keys.most_common()
    )


def _guess_by_prefix(urls: Sequence[str]) -> Iterator[str]:
    """Yield patterns by the common prefix of all addresses and the id after it.

    Yields nothing further where the id would be a year or month.
    """
    same = urls[0][: _count_common_letters(urls)].rstrip("0123456789")
    if "?" in same:
        yield re.escape(same).replace(r"\-", "-") + "(?P<id>[0-9]+)(?![0-9A-Za-z])"
    start = _find_common_folder(urls)
    letters = re.escape(same[len(start) :]).replace(r"\-", "-")
    is_kind = sum(
        bool(re.match(re.escape(start) + letters + "[0-9]", url)) for url in urls
    ) >= AGREE * len(urls)
    kind = letters if is_kind else ""  # `/t31-a-title`, `/forum-31.html`
    steps = (
        r"[^/]+" if NUMBERED.search(step) else re.escape(step).replace(r"\-", "-")
        for step in start.split("/")
    )
    before = "/".join(steps)
    # a month is no id
    if YEAR.search(start) or all(YEAR.search(url[len(start) - 1 :]) for url in urls):
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


def _guess_by_step(urls: Sequence[str]) -> Iterator[str]:
    """Yield a pattern by the last step of the path in which addresses differ; nothing if none does.

    Only paths of the commonest length are compared. Earlier steps may differ too, as dates do.
    """
    paths = [urlsplit(url).path.strip("/").split("/") for url in urls]
    size = Counter(map(len, paths)).most_common(1)[0][0]
    columns = [
        set(column)
        for column in zip(*(steps for steps in paths if len(steps) == size), strict=True)
    ]
    last = max((place for place, column in enumerate(columns) if len(column) > 1), default=None)
    if last is None:
        return
    parts = list[str]()
    for place, column in enumerate(columns):
        if place == last:
            endings = (
                {match[0] if (match := ENDING.search(step)) else "" for step in column}
                if place == size - 1
                else {""}
            )
            ending = re.escape(endings.pop()) if len(endings) == 1 else ""
            parts.append(f"(?P<id>[^/?#]+{'?' if ending else ''}){ending}")
        elif all(step.isdecimal() for step in column):
            parts.append("[0-9]+")
        else:
            parts.append(
                re.escape(min(column)).replace(r"\-", "-") if len(column) == 1 else "[^/?#]+"
            )
    closes = last == size - 1 and all(urlsplit(url).path.endswith("/") for url in urls)
    yield "/" + "/".join(parts) + ("/" if closes else "")


def _count_common_letters(urls: Sequence[str]) -> int:
    """Return how many letters all of the sorted addresses begin with."""
    first, last = urls[0], urls[-1]  # of sorted texts, the first and the last differ most
    return next(
        (n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )


def _find_common_folder(urls: Sequence[str]) -> str:
    """Return what all addresses begin with, up to a slash."""
    return urls[0][: urls[0].rfind("/", 0, _count_common_letters(urls)) + 1]


def _guess_rows(base: str, links: Sequence[HtmlElement]) -> str:
    """Return a selector of the elements that each hold one link and everything that belongs to it.

    Returns "" if the links stand alone, or if fewer than the share AGREE (0.9) of the elements are
    of one kind.
    """
    ours, rows = (
        {link: urldefrag(urljoin(base, link.get("href", ""))).url for link in links},
        dict[HtmlElement, None](),
    )
    for link in links:
        row = link
        while (above := row.getparent()) is not None and above.tag != "body":
            if any(
                ours.get(link_in_row, ours[link]) != ours[link] for link_in_row in above.iter("a")
            ):
                break
            row = above
        rows[row] = None
    names = Counter(posts.select_by_kind(row) for row in rows if row.tag != "a")
    usual, count = names.most_common(1)[0] if names else ("", 0)
    if count < AGREE * len(rows):
        return ""
    alike = [row for row in rows if posts.select_by_kind(row) == usual]
    return _limit_to_lists(alike, _select_common(alike))


def _limit_to_lists(rows: Sequence[HtmlElement], selector: str) -> str:
    """Return a selector of rows, limited to their parents.

    The limit is left out (and `selector` returned) if the selector finds no other elements with
    links, or if no limit would keep all rows.
    """
    root, ours, parents = (
        rows[0].getroottree().getroot(),
        set(rows),
        {row.getparent() for row in rows},
    )
    strays = [
        element
        for element in select(root, selector)
        if element not in ours and element.find(".//a") is not None
    ]
    hrefs = [element.get("href", "") for row in rows for element in list(row.iter("a"))[:1]]
    words = (
        set.intersection(*({*WORD.findall(ENDING.sub("", href))} for href in hrefs))
        if hrefs
        else set[str]()
    )
    tags = {parent.tag for parent in parents}
    if (
        not strays
        or any(element.getparent() in parents for element in strays)
        or len(tags) > 1
        or not words
    ):
        return selector
    row, word = HTMLTranslator().css_to_xpath(selector, prefix="./"), max(words, key=len)
    scoped = f"xpath://{tags.pop()}[{row}//a[contains(@href, '{word}')]]/{row.removeprefix('./')}"
    return scoped if set(select(root, scoped)) >= ours else selector


def select(root: HtmlElement, selector: str) -> Sequence[HtmlElement]:
    """Return the elements below `root` that `selector` finds, in document order.

    `selector` is CSS, or XPath after the prefix `xpath:`. An invalid one raises the error of lxml
    or cssselect.
    """
    elements: Sequence[HtmlElement] = (
        root.xpath(selector.removeprefix("xpath:"))
        if selector.startswith("xpath:")
        else root.cssselect(selector)
    )
    return elements


def _select_common(elements: Sequence[HtmlElement]) -> str:
    """Return a selector of the tag and the classes that all elements share."""
    shared = set.intersection(*(set((element.get("class") or "").split()) for element in elements))
    named = [
        name
        for name in dict.fromkeys((elements[0].get("class") or "").split())
        if name in shared and posts.is_generic(name)
    ]
    return ".".join([str(elements[0].tag), *named[:MOST_CLASSES]])


def is_list(response: Response, above: str) -> bool:
    """Return whether a page is a list and not a thread, by the share of its rows in its text.

    Links that match `above` do not count. The titles must be LIST_SHARE (0.3) of the text, or their
    rows ROWS_SHARE (0.5) and either mostly titles or with numbers of posts. Returns False for a
    page that is no HTML.
    """
    root = _parse_root(response)
    if root is None:
        return False
    whole, outside = (
        len(posts.get_text(posts.get_body(root))),
        set(response_checks.iter_outside_menus(Selector(root=root, type="html"))),
    )
    for options in guess_lists(response, above)[:MOST_LOOKED_AT]:
        links = [link for link in root.cssselect(str(options["links"])) if link in outside]
        titles = [
            link
            for link in links
            if re.search(str(options["pattern"]), urljoin(response.url, link.get("href", "")))
        ]
        title_size = sum(len(posts.get_text(link)) for link in titles)
        if title_size >= LIST_SHARE * max(1, whole):
            return True
        around = {above for link in titles for above in link.iterancestors()}
        rows = (
            [row for row in select(root, str(options["rows"])) if row in around]
            if "rows" in options
            else []
        )
        of_rows = sum(len(posts.get_text(row)) for row in rows)
        names = sum(
            len(posts.get_text(link).split()) == 1 and len(posts.get_text(link)) <= LONGEST_NAME
            for link in titles
        )
        are_titles = title_size >= TITLE_SHARE * of_rows and names < len(titles) / 2
        if of_rows >= ROWS_SHARE * max(1, whole) and (
            are_titles or any(parse_post_count(" ".join(row.itertext())) for row in rows)
        ):
            return True
    return False


def to_name(pattern: str, url: str) -> str:
    """Return the identity that `pattern` gives the address `url`; `url` if it does not match."""
    match = re.search(pattern, url)
    return to_identity(url, match) if match else url


def find_names(response: Response, pattern: str) -> set[str]:
    """Return the identities of the entries that a page links to: addresses that match `pattern`.

    An empty set for a page that is no HTML. Relative links are resolved first.
    """
    root = _parse_root(response)
    urls = {
        urljoin(response.url, link.get("href", ""))
        for link in (root.iter("a") if root is not None else ())
    }
    return {to_identity(url, match) for url in urls if (match := re.search(pattern, url))}


def guess_raw(response: Response, number: str) -> Options:
    """Return the option `raw`, the path of a paste's text with `{id}`; {} without such a link.

    `number` is the paste's id. The first link counts whose path has `number` as a whole step and
    looks like that of a plain text.
    """
    root = _parse_root(response)
    for link in root.iter("a") if root is not None else ():
        path = urlsplit(urljoin(response.url, link.get("href", ""))).path
        if number in path.split("/") and RAW.search(path.replace(number, "")):
            return {"raw": "/".join("{id}" if step == number else step for step in path.split("/"))}
    return {}


def _parse_root(response: Response) -> HtmlElement | None:
    """Return the tree of an HTML page; None for anything else."""
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return None
    root: HtmlElement = selectors.parse_html(response).root.root
    return root


def _select_link(link: HtmlElement) -> str:
    """Return a selector of similar links: by their own class, or by that of a parent."""
    selector, above = posts.select_by_kind(link), link.getparent()
    while above is not None and "." not in selector and above.tag != "body":
        if "." in (step := posts.select_by_kind(above)):
            return f"{step} {selector}"
        above = above.getparent()
    return selector
