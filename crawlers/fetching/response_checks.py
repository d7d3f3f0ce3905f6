"""What a page says of the site beside its posts: a challenge, a login that has run out, a list that
no longer reads.

XPath could say all this in a line, and would look at every element above every link: a page of half
a megabyte would take hours.

`marks.toml` has the marks. What anybody may post on a site never decides: see there.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import islice
from typing import Any
from urllib.parse import SplitResult, urlsplit

from parsel import Selector
from scrapy.http import Response, TextResponse
from scrapy.utils.response import get_meta_refresh

from crawlers.fetching.outcomes import FATES, Fate, of_status
from crawlers.frontier.database import PageLease
from crawlers.sites import nesting
from crawlers.sites.elements import get_names, is_menu
from crawlers.sites.pages import PARENT, PageAddress, PageContent, Withheld
from crawlers.sites.selectors import detect_kind, parse_content_type
from crawlers.sites.site import Site

ABOVE_A_FORM = 3
"""So many elements above a form may name it."""


def outside_menus(page: Selector) -> Iterator[Any]:
    """Every element that stands in no menu, in the page's order."""
    within: set[Any] = set()
    for element in page.root.iter("*"):
        above = element.getparent()
        if above is not None and (above in within or is_menu(above)):
            within.add(element)
        else:
            yield element


def has_login_form(page: Selector, box: re.Pattern[str]) -> bool:
    """Whether there is a field for a password that stands in no menu and in no form that `box`
    finds named as a small one.
    """
    forms, known = dict[Any, Any](), set[Any]()
    for element in outside_menus(page):
        above = element.getparent()
        forms[element] = element if element.tag == "form" else forms.get(above)
        form = forms[element]
        around = above if form is None else form
        if hides_input(element) and around not in known:
            known.add(around)
            if not any(box.search(name) for name in _names(around, is_form=form is not None)):
                return True
    return False


def hides_input(element: Any) -> bool:
    """Whether it is a field for a password."""
    return bool(element.tag == "input" and element.get("type", "").lower() == "password")


def _names(around: Any, *, is_form: bool) -> Iterator[str]:
    """What a form is called, or what holds a field without one: its own name, those of parts
    with fields, and those above it.
    """
    if not is_form:
        yield get_names(around)
        return
    marked: set[Any] = set()
    for field in around.iter("input"):
        element = field
        while element is not around and element not in marked:
            marked.add(element)
            yield get_names(element)
            element = element.getparent()
    yield get_names(around)
    above = (element for element in around.iterancestors() if element.tag not in {"body", "html"})
    yield from map(get_names, islice(above, ABOVE_A_FORM))


LOOKED_AT = 64 * 1024
"""Bytes of a page in which marks are looked for: whoever challenges does so at its head."""
LARGE_BYTES = 512
SHARE_OF_FORMER = 0.25
"""A list without entries is a list that cannot be read, not an empty one, when so much is left of
what it was.

That its first page is empty is believed only where the site's file says that it may be.
"""
PAGES = frozenset({"text/html", "application/xhtml+xml"})
PAGE_ENDINGS = frozenset({"htm", "html", "xhtml", "mht", "mhtml", "shtml"})
WITHHELD: dict[str, Withheld] = {
    "login": "login", "forbidden": "login", "page": "page", "robots": "robots", "host": "host",
    "address": "address", "too_large": "too_large", "gone": "gone",
}  # fmt: skip
"""Outcomes that say of a file that it is not to be had, and nothing of its site."""
AT_ONCE_SECONDS = 10.0
LEAST_ALIKE = 3
"""So many addresses of one kind are a list of something."""
_VARIES = re.compile(r"\d")
_NAMES = re.compile(r"[\w.~%-]+")
_NO_MARKUP = Selector("<html></html>", type="html")
LACKS = "script lacks "
"""Begins a flag of a page whose scripts did not get all that they asked for; the outcome of what
they lack follows.
"""
GATES = frozenset({"forbidden", "busy", "unavailable"})
"""Outcomes of a status that a challenge comes with."""


@dataclass(frozen=True, slots=True)
class ResponseMarks:
    """`marks.toml`, ready to be asked."""

    headers: dict[str, str]
    challenge: tuple[str, ...]
    login_path: re.Pattern[str]
    login_query: re.Pattern[str]
    login: tuple[str, ...]
    writing: re.Pattern[str]
    box: re.Pattern[str]


@functools.cache
def marks() -> ResponseMarks:
    """The marks that ship."""
    read: dict[str, Any] = tomllib.loads(
        (resources.files(__package__) / "marks.toml").read_text(encoding="utf-8")
    )
    challenge, login = read["challenge"], read["login"]
    path, query = re.compile(login["path"]), re.compile(login["query"])
    writing, box = re.compile(login["writing"]), re.compile(login["box"])
    return ResponseMarks(
        challenge["headers"],
        tuple(challenge["text"]),
        path,
        query,
        tuple(login["text"]),
        writing,
        box,
    )


def is_challenge(response: Response, *, body: bool) -> bool:
    """Whether somebody before the site asks for a proof; `body` where the text may be trusted to
    be the site's own.
    """
    known = marks()
    for name, begins in known.headers.items():
        value = response.headers.get(name)
        if value is not None and value.decode("latin-1").lower().startswith(begins):
            return True
    return body and _holds(response, known.challenge)


def of_answer(asked: str, response: Response) -> str:
    """The outcome of an answer to a request for `asked`, as far as status, headers and place
    tell: `ok` when it may be parsed.
    """
    outcome = of_status(response.status)
    if is_challenge(response, body=outcome in GATES):
        return "blocked"
    return "login" if outcome == "ok" and leads_to_login(asked, response) else outcome


def leads_to_login(asked: str, response: Response) -> bool:
    """Whether a redirect led from `asked` to a page to log in at."""
    redirected = response.request is not None and bool(response.request.meta.get("redirect_urls"))
    return redirected and is_login(response.url) and not is_login(asked)


def is_wall(response: Response) -> bool:
    """Whether a page, in which nothing that we know to read was found, asks to log in instead of
    showing what it has.

    Many boards show guests a small form to log in with, or ask them to log in before they write, on
    every page: neither is a wall, and nothing is where the page leads to what it lists.
    """
    if not isinstance(response, TextResponse) or is_listing(response):
        return False
    return _asks_to_log_in(response) or has_login_form(_marked(response), marks().box)


def is_listing(response: Response) -> bool:
    """Whether a page leads to several things of one kind, such as threads or posters, its menus
    apart: so it is no gate.
    """
    if not isinstance(response, TextResponse):
        return False
    return is_huge(response) or any(
        count >= LEAST_ALIKE for count in kinds_of_links(response).values()
    )


def is_huge(response: TextResponse) -> bool:
    """Whether a page has more tags than are read: no gate has."""
    return response.text.count("<") > nesting.MOST_TAGS


def kinds_of_links(response: TextResponse) -> Counter[str]:
    """How many things of each kind a page leads to, its menus apart; a kind is an address with
    `*` for what tells them apart.
    """
    found: dict[str, set[str]] = {}
    for element in outside_menus(_marked(response)):
        if element.tag != "a" or not (href := element.get("href", "").strip()):
            continue
        try:
            parts = urlsplit(href)
        except ValueError:
            continue
        if parts.scheme in {"", "http", "https"} and (parts.path or parts.query):
            found.setdefault(_shape(parts), set()).add(f"{parts.path}?{parts.query}")
    return Counter({shape: len(alike) for shape, alike in found.items() if "*" in shape})


def _marked(response: TextResponse) -> Selector:
    """A page as marked-up text; JSON, which cannot be asked for elements, has none."""
    if is_huge(response):
        return nesting.parse_html(nesting.limit_tags(response.text))
    return response.selector if response.selector.type in {"html", "xml"} else _NO_MARKUP


def _shape(parts: SplitResult) -> str:
    """An address without what tells one thing from another of its kind: numbers, and names with
    a digit in them.
    """
    path = "/".join("*" if _VARIES.search(step) else step for step in parts.path.split("/"))
    return f"{parts.netloc}{path}{'?' if parts.query else ''}{_NAMES.sub(_without_digits, parts.query)}"  # noqa: E501


def _without_digits(found: re.Match[str]) -> str:
    return "*" if _VARIES.search(found[0]) else found[0]


def _asks_to_log_in(response: TextResponse) -> bool:
    known, text = marks(), _head(response)
    return any(mark in known.writing.sub(" ", text) for mark in known.login)


def asks_for_password(response: Response) -> bool:
    """Whether there is a field for a password anywhere on a page."""
    return isinstance(response, TextResponse) and any(
        map(hides_input, _marked(response).root.iter("input"))
    )


def lacks_session(response: Response, site: Site) -> bool:
    """Whether the mark of a visitor who is logged in, if the site's file names one, is not on a
    page.
    """
    return bool(site.session) and not (
        isinstance(response, TextResponse) and _marked(response).css(site.session)
    )


UNREAD_LISTS = frozenset({"layout", "empty"})
"""Outcomes with which a list is done all the same: what it leads to otherwise, other lists, is
followed.
"""


def entries(parsed: PageContent) -> int:
    """How much a page leads to or holds, other lists apart."""
    return len(parsed.posts) + sum(page.role != "list" for page in parsed.pages)


def of_page(leased: PageLease, response: Response, parsed: PageContent, site: Site) -> str:
    """The outcome of a page that answered 2xx and was parsed: `ok`, `blocked`, `login`, or of a
    list that leads to nothing.

    That is `layout` where it once did, and `empty` where it never did: a site whose file describes
    it wrongly, or that shows guests an empty list, is blind from the first day. Only a site's own
    file can say that an empty list is an answer. A blank answer is what a program leaves that
    broke: no list and no text is so empty. A page that leads on by a meta refresh is `redirects`
    and not followed: in a paste anybody may write one.
    """
    role, is_blank = leased.page.role, not response.body.strip()
    if parsed.gone or PARENT in leased.page.facts:
        return "gone" if parsed.gone else of_file(leased.page.facts.get("title", ""), response)
    if role == "list" and lacks_session(response, site):
        return "login"
    if role == "item":
        return "empty" if is_blank else "ok"
    if entries(parsed):
        return "ok"
    if gate := "" if parsed.pages else _gate(response, leased.page):
        return gate
    if role == "thread":  # a page beyond the end may well be empty
        return "layout" if leased.page.number == 1 else "ok"
    return _of_empty_list(leased, response, parsed, site)


def _lacks(response: Response, page: PageAddress) -> str:
    """The outcome of an empty page whose scripts did not get all that they asked for; "" where they
    did.

    What would give a page up or call it gone says so of what is lacking, and not of the page: such
    as the counter of visitors on another host that most pages have, behind whose last page one may
    well be empty.
    """
    found = [flag.removeprefix(LACKS) for flag in response.flags if flag.startswith(LACKS)]
    known = [
        outcome
        for outcome in found
        if FATES[outcome] not in {Fate.GONE, Fate.GIVE_UP} and outcome != "script"
    ]
    return known[0] if known else "script" if found and page.number == 1 else ""


def is_for_programs(response: Response) -> bool:
    """Whether a page is JSON, RSS or Atom."""
    return isinstance(response, TextResponse) and detect_kind(response.text) != "html"


def _gate(response: Response, page: PageAddress) -> str:
    """What stands in the place of a page that leads nowhere, as an outcome; "" for nothing."""
    if is_challenge(response, body=not is_listing(response)):
        return "blocked"
    if is_wall(response):
        return "login"
    if page.number == 1 and refreshes(response):  # behind the last page some lead back to it
        return "redirects"
    return _lacks(response, page)


def letters(response: TextResponse) -> int:
    """How many letters of a page are shown to whoever has scripts."""
    shown = response.selector.xpath(
        "//body//text()[not(ancestor::script or ancestor::style or ancestor::noscript)]"
    ).getall()
    return sum(len("".join(text.split())) for text in shown)


def refreshes(response: Response) -> bool:
    """Whether a page leads on by itself: to another, or to itself at once."""
    if not isinstance(response, TextResponse):
        return False
    seconds, url = get_meta_refresh(response)
    return url is not None and (url != response.url or (seconds or 0.0) < AT_ONCE_SECONDS)


def of_file(name: str, response: Response) -> str:
    """The outcome of an answer to the request for a file: `login` or `page` where a page came
    that is no file of that name.
    """
    sent_as_file = b"attachment" in (response.headers.get("Content-Disposition") or b"").lower()
    if (
        sent_as_file
        or parse_content_type(response)[0] not in PAGES
        or name.lower().rpartition(".")[2] in PAGE_ENDINGS
    ):
        return "ok"
    return "login" if asks_for_password(response) or is_wall(response) else "page"


def _of_empty_list(leased: PageLease, response: Response, parsed: PageContent, site: Site) -> str:
    """The outcome of a list that leads to nothing, or to other lists alone.

    One for programs has no menu or footer by whose size it could be told; some answer guests so.
    """
    is_head = leased.page.number == 1
    if not leased.entries and is_head:
        return "ok" if parsed.pages or (site.may_be_empty and response.body.strip()) else "empty"
    size = len(response.body) if response.body.strip() else 0
    emptied = is_head and not parsed.pages and is_for_programs(response)
    may_be_empty = site.may_be_empty or not is_head
    if may_be_empty and not emptied and 0 < size < max(LARGE_BYTES, SHARE_OF_FORMER * leased.size):
        return "ok"
    if leased.entries:
        return "layout"
    return "ok" if parsed.pages else "empty"


def is_login(url: str) -> bool:
    """Whether an address is one to log in at, by its path or query."""
    parts, known = urlsplit(url), marks()
    return bool(known.login_path.search(parts.path) or known.login_query.search(parts.query))


def _holds(response: Response, texts: tuple[str, ...]) -> bool:
    if not isinstance(response, TextResponse):
        return False
    head = _head(response)
    return any(text in head for text in texts)


def _head(response: TextResponse) -> str:
    return response.replace(body=response.body[:LOOKED_AT]).text.lower()
