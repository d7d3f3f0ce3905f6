"""Classify responses: challenges, login pages, and lists that can no longer be read.

XPath could express this in a line, but would look at every element above every link: a page of
half a megabyte would take hours. `marks.toml` holds the marks. Text that anybody may post on a site
never decides; see there.
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

from crawlers.fetching.outcomes import FATES, Fate, to_status_outcome
from crawlers.frontier.leases import PageLease
from crawlers.sites import nesting
from crawlers.sites.elements import get_names, is_menu
from crawlers.sites.pages import PARENT, PageAddress, PageContent, Withheld
from crawlers.sites.selectors import detect_kind, parse_content_type
from crawlers.sites.site import Site

ABOVE_A_FORM = 3
"""So many elements above a form may name it."""


def iter_outside_menus(page: Selector) -> Iterator[Any]:
    """Yield every element that is in no menu, in page order."""
    within: set[Any] = set()
    for element in page.root.iter("*"):
        above = element.getparent()
        if above is not None and (above in within or is_menu(above)):
            within.add(element)
        else:
            yield element


def has_login_form(page: Selector, box: re.Pattern[str]) -> bool:
    """Return whether a page has a password field outside of menus and small login boxes.

    `box` matches the names of such boxes.
    """
    forms, checked = dict[Any, Any](), set[Any]()
    for element in iter_outside_menus(page):
        above = element.getparent()
        forms[element] = element if element.tag == "form" else forms.get(above)
        form = forms[element]
        around = above if form is None else form
        if is_password_field(element) and around not in checked:
            checked.add(around)
            if not any(
                box.search(name) for name in _iter_form_names(around, is_form=form is not None)
            ):
                return True
    return False


def is_password_field(element: Any) -> bool:
    """Return whether an element is a password field."""
    return bool(element.tag == "input" and element.get("type", "").lower() == "password")


def _iter_form_names(around: Any, *, is_form: bool) -> Iterator[str]:
    """Yield the names of the form `around`.

    These are those of parts that hold its fields, its own, and those of up to ABOVE_A_FORM (3)
    elements above. With `is_form` False, `around` is the element that holds a lone field, and only
    its names are yielded.
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
    """The marks of `marks.toml`, compiled."""

    headers: dict[str, str]
    challenge: tuple[str, ...]
    login_path: re.Pattern[str]
    login_query: re.Pattern[str]
    login: tuple[str, ...]
    writing: re.Pattern[str]
    box: re.Pattern[str]


@functools.cache
def load_marks() -> ResponseMarks:
    """Return the shipped marks."""
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
    """Return whether a proof is demanded before the site can be read.

    `body` tells whether the text is the site's own and may be checked too.
    """
    marks = load_marks()
    for name, begins in marks.headers.items():
        value = response.headers.get(name)
        if value is not None and value.decode("latin-1").lower().startswith(begins):
            return True
    return body and _contains_any(response, marks.challenge)


def classify_answer(asked: str, response: Response) -> str:
    """Return the outcome of the response to a request for `asked`; `ok` if it may be parsed.

    Only status, headers and address are considered.
    """
    outcome = to_status_outcome(response.status)
    if is_challenge(response, body=outcome in GATES):
        return "blocked"
    return "login" if outcome == "ok" and leads_to_login(asked, response) else outcome


def leads_to_login(asked: str, response: Response) -> bool:
    """Return whether a redirect led from `asked` to a login page."""
    redirected = response.request is not None and bool(response.request.meta.get("redirect_urls"))
    return redirected and is_login(response.url) and not is_login(asked)


def is_login_wall(response: Response) -> bool:
    """Return whether a page without readable content asks to log in instead of showing it.

    Many boards show guests a small login form on every page, or ask them to log in before they
    write: neither is a wall, and a page that leads to the things it lists is none.
    """
    if not isinstance(response, TextResponse) or is_listing(response):
        return False
    return _asks_to_log_in(response) or has_login_form(_get_selector(response), load_marks().box)


def is_listing(response: Response) -> bool:
    """Return whether a page leads to several things of one kind outside of its menus.

    A page with threads or posters is no login page.
    """
    if not isinstance(response, TextResponse):
        return False
    return is_huge(response) or any(
        count >= LEAST_ALIKE for count in count_link_kinds(response).values()
    )


def is_huge(response: TextResponse) -> bool:
    """Return whether a page has more tags than are read; no login page has."""
    return response.text.count("<") > nesting.MOST_TAGS


def count_link_kinds(response: TextResponse) -> Counter[str]:
    """Return how many different things of each kind a page links to outside of its menus.

    A kind is an address with `*` in place of what differs between the things. Addresses without
    such a part, fragments, and schemes other than HTTP(S) are left out.
    """
    targets: dict[str, set[str]] = {}
    for element in iter_outside_menus(_get_selector(response)):
        if element.tag != "a" or not (href := element.get("href", "").strip()):
            continue
        try:
            parts = urlsplit(href)
        except ValueError:
            continue
        if parts.scheme in {"", "http", "https"} and (parts.path or parts.query):
            targets.setdefault(_generalize(parts), set()).add(f"{parts.path}?{parts.query}")
    return Counter({shape: len(alike) for shape, alike in targets.items() if "*" in shape})


def _get_selector(response: TextResponse) -> Selector:
    """Return the elements of a page; none for JSON."""
    if is_huge(response):
        return nesting.parse_html(nesting.limit_tags(response.text))
    return response.selector if response.selector.type in {"html", "xml"} else _NO_MARKUP


def _generalize(parts: SplitResult) -> str:
    """Return an address with `*` for numbers and names with a digit."""
    path = "/".join("*" if _VARIES.search(step) else step for step in parts.path.split("/"))
    return (
        f"{parts.netloc}{path}{'?' if parts.query else ''}{_NAMES.sub(_mask_digits, parts.query)}"
    )


def _mask_digits(match: re.Match[str]) -> str:
    return "*" if _VARIES.search(match[0]) else match[0]


def _asks_to_log_in(response: TextResponse) -> bool:
    marks, text = load_marks(), _get_beginning(response)
    return any(mark in marks.writing.sub(" ", text) for mark in marks.login)


def asks_for_password(response: Response) -> bool:
    """Return whether a page has a password field anywhere."""
    return isinstance(response, TextResponse) and any(
        map(is_password_field, _get_selector(response).root.iter("input"))
    )


def lacks_session(response: Response, site: Site) -> bool:
    """Return whether a page lacks the mark of a logged-in visitor that the site's file names."""
    return bool(site.session) and not (
        isinstance(response, TextResponse) and _get_selector(response).css(site.session)
    )


UNREAD_LISTS = frozenset({"layout", "empty"})
"""Outcomes with which a list is done all the same: what it leads to otherwise, other lists, is
followed.
"""


def count_entries(parsed: PageContent) -> int:
    """Return how many posts and links a page has, other lists apart."""
    return len(parsed.posts) + sum(page.role != "list" for page in parsed.pages)


def classify_page(leased: PageLease, response: Response, parsed: PageContent, site: Site) -> str:
    """Return the outcome of a parsed page: `ok`, or why it could not be read.

    It is `gone` if the page says so, that of `classify_file` for a file, and `empty` for a blank
    item. A list is `login` if it lacks the mark of the session. A page without entries and links
    may be a gate (`blocked`, `login`, `redirects`) or need scripts. A thread without posts is
    `layout` on its first page and `ok` on a later one. An empty list is `layout` if it had entries
    before, and `empty` if it never had: a site whose file is wrong, or that shows guests an empty
    list, is unreadable from the first day. Only a site's own file can say that an empty list is
    valid. A redirect by a meta refresh is not followed, since anybody may write one in a paste.
    """
    role, is_blank = leased.page.role, not response.body.strip()
    if parsed.gone or PARENT in leased.page.facts:
        return (
            "gone" if parsed.gone else classify_file(leased.page.facts.get("title", ""), response)
        )
    if role == "list" and lacks_session(response, site):
        return "login"
    if role == "item":
        return "empty" if is_blank else "ok"
    if count_entries(parsed):
        return "ok"
    if gate := "" if parsed.pages else _find_gate(response, leased.page):
        return gate
    if role == "thread":  # a page beyond the end may well be empty
        return "layout" if leased.page.number == 1 else "ok"
    return _classify_empty_list(leased, response, parsed, site)


def _find_script_lack(response: Response, page: PageAddress) -> str:
    """Return the outcome of an empty page whose scripts lacked a response; "" if they lacked none.

    An outcome that would abandon the page is ignored, as it applies to the missing resource only:
    most pages have a visitor counter on another host, and a page behind the last one may well be
    empty.
    """
    lacks = [flag.removeprefix(LACKS) for flag in response.flags if flag.startswith(LACKS)]
    decisive = [
        outcome
        for outcome in lacks
        if FATES[outcome] not in {Fate.GONE, Fate.GIVE_UP} and outcome != "script"
    ]
    return decisive[0] if decisive else "script" if lacks and page.number == 1 else ""


def is_data(response: Response) -> bool:
    """Return whether a page is JSON, RSS or Atom."""
    return isinstance(response, TextResponse) and detect_kind(response.text) != "html"


def _find_gate(response: Response, page: PageAddress) -> str:
    """Return the outcome for what stands in place of a page that leads nowhere.

    Returns "" if there is nothing of the kind. `blocked` for a challenge, `login` for a login page,
    `redirects` for a meta refresh on a first page, otherwise what `_find_script_lack` returns.
    """
    if is_challenge(response, body=not is_listing(response)):
        return "blocked"
    if is_login_wall(response):
        return "login"
    if page.number == 1 and refreshes(response):  # behind the last page some lead back to it
        return "redirects"
    return _find_script_lack(response, page)


def count_letters(response: TextResponse) -> int:
    """Return how many characters, without blanks, of a page a visitor with scripts sees.

    Text that only visitors without scripts see does not count.
    """
    shown = response.selector.xpath(
        "//body//text()[not(ancestor::script or ancestor::style or ancestor::noscript)]"
    ).getall()
    return sum(len("".join(text.split())) for text in shown)


def refreshes(response: Response) -> bool:
    """Return whether a page redirects by itself: to another page, or at once to itself."""
    if not isinstance(response, TextResponse):
        return False
    seconds, url = get_meta_refresh(response)
    return url is not None and (url != response.url or (seconds or 0.0) < AT_ONCE_SECONDS)


def classify_file(name: str, response: Response) -> str:
    """Return the outcome of the response to a request for a file.

    It is `login` or `page` if a page arrived in place of the file.
    """
    sent_as_file = b"attachment" in (response.headers.get("Content-Disposition") or b"").lower()
    if (
        sent_as_file
        or parse_content_type(response)[0] not in PAGES
        or name.lower().rpartition(".")[2] in PAGE_ENDINGS
    ):
        return "ok"
    return "login" if asks_for_password(response) or is_login_wall(response) else "page"


def _classify_empty_list(
    leased: PageLease, response: Response, parsed: PageContent, site: Site
) -> str:
    """Return the outcome of a list that leads to nothing, or to other lists only.

    It is `ok`, `empty` or `layout`. A first page that never had entries is `empty`, unless it leads
    to other lists or the site's file allows it to be empty (`may_be_empty`). A list that had
    entries before, or a later page, is `ok` if it may be empty and its body is shorter than
    LARGE_BYTES (512) or than SHARE_OF_FORMER (a quarter) of its former size. Otherwise it is
    `layout` if it had entries, and `empty` if it leads nowhere. JSON and feeds have no menu or
    footer that gives an empty page its size; some sites send guests such lists, so an empty first
    page of them counts as `layout`.
    """
    is_head = leased.page.number == 1
    if not leased.entries and is_head:
        return "ok" if parsed.pages or (site.may_be_empty and response.body.strip()) else "empty"
    size = len(response.body) if response.body.strip() else 0
    emptied = is_head and not parsed.pages and is_data(response)
    may_be_empty = site.may_be_empty or not is_head
    if may_be_empty and not emptied and 0 < size < max(LARGE_BYTES, SHARE_OF_FORMER * leased.size):
        return "ok"
    if leased.entries:
        return "layout"
    return "ok" if parsed.pages else "empty"


def is_login(url: str) -> bool:
    """Return whether the path or query of an address is that of a login page."""
    parts, marks = urlsplit(url), load_marks()
    return bool(marks.login_path.search(parts.path) or marks.login_query.search(parts.query))


def _contains_any(response: Response, texts: tuple[str, ...]) -> bool:
    """Return whether the beginning of a page contains one of the texts."""
    if not isinstance(response, TextResponse):
        return False
    head = _get_beginning(response)
    return any(text in head for text in texts)


def _get_beginning(response: TextResponse) -> str:
    """Return the beginning of a page in lower case."""
    return response.replace(body=response.body[:LOOKED_AT]).text.lower()
