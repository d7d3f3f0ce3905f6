"""What a page says of the site beside its posts: a challenge, a login that has run out, a list that no longer reads.

`marks.toml` has the marks. What anybody may post on a site never decides: see there.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from scrapy.http import Response, TextResponse

from crawlers.fetching.outcomes import of_status
from crawlers.frontier.database import Leased
from crawlers.sites.pages import Parsed
from crawlers.sites.site import Site

LOOKED_AT = 64 * 1024
"""Bytes of a page in which marks are looked for: whoever challenges does so at its head."""
LARGE_BYTES = 512
SHARE_OF_FORMER = 0.25
"""A list without entries is a list that cannot be read, not an empty one, when so much is left of what it was."""
GATES = frozenset({"forbidden", "busy", "unavailable"})
"""Outcomes of a status that a challenge comes with."""


@dataclass(frozen=True, slots=True)
class Marks:
    """`marks.toml`, ready to be asked."""

    headers: dict[str, str]
    challenge: tuple[str, ...]
    login_path: re.Pattern[str]
    login_query: re.Pattern[str]
    login: tuple[str, ...]


@functools.cache
def marks() -> Marks:
    """The marks that ship."""
    read: dict[str, Any] = tomllib.loads((resources.files(__package__) / "marks.toml").read_text(encoding="utf-8"))
    challenge, login = read["challenge"], read["login"]
    path, query = re.compile(login["path"]), re.compile(login["query"])
    return Marks(challenge["headers"], tuple(challenge["text"]), path, query, tuple(login["text"]))


def is_challenge(response: Response, *, body: bool) -> bool:
    """Whether somebody before the site asks for a proof; `body` where the text may be trusted to be the site's own."""
    known = marks()
    for name, begins in known.headers.items():
        value = response.headers.get(name)
        if value is not None and value.decode("latin-1").lower().startswith(begins):
            return True
    return body and _holds(response, known.challenge)


def of_answer(asked: str, response: Response) -> str:
    """The outcome of an answer to a request for `asked`, as far as status, headers and place tell: `ok` when it may be parsed."""
    outcome = of_status(response.status)
    if is_challenge(response, body=outcome in GATES):
        return "blocked"
    return "login" if outcome == "ok" and leads_to_login(asked, response) else outcome


def leads_to_login(asked: str, response: Response) -> bool:
    """Whether a redirect led from `asked` to a page to log in at."""
    redirected = response.request is not None and bool(response.request.meta.get("redirect_urls"))
    return redirected and is_login(response.url) and not is_login(asked)


def is_wall(response: Response) -> bool:
    """Whether a page without anything to read is one that asks to log in."""
    if not isinstance(response, TextResponse):
        return False
    return _holds(response, marks().login) or bool(response.css("input[type=password]"))


def lacks_session(response: Response, site: Site) -> bool:
    """Whether the mark of a visitor who is logged in, if the site's file names one, is not on a page."""
    return bool(site.session) and not (isinstance(response, TextResponse) and response.css(site.session))


UNREAD_LISTS = frozenset({"layout", "empty"})
"""Outcomes with which a list is done all the same: what it leads to otherwise, other lists, is followed."""


def entries(parsed: Parsed) -> int:
    """How much a page leads to or holds, other lists apart."""
    return len(parsed.posts) + sum(page.role != "list" for page in parsed.pages)


def of_page(leased: Leased, response: Response, parsed: Parsed, site: Site) -> str:
    """The outcome of a page that answered 2xx and was parsed: `ok`, `blocked`, `login`, or of a list that leads to nothing.

    That is `layout` where it once did, and `empty` where it never did: a site whose file describes it wrongly is blind from the
    first day.
    """
    role = leased.page.role
    if role == "list" and lacks_session(response, site):
        return "login"
    if role == "item" or entries(parsed):
        return "ok"
    if not parsed.pages and is_challenge(response, body=True):
        return "blocked"
    if not parsed.pages and is_wall(response):
        return "login"
    if role == "thread":  # a page beyond the end may well be empty
        return "layout" if leased.page.number == 1 else "ok"
    return _of_empty_list(leased, len(response.body), parsed)


def _of_empty_list(leased: Leased, size: int, parsed: Parsed) -> str:
    """The outcome of a list of `size` bytes that leads to nothing, or to other lists alone."""
    if size < max(LARGE_BYTES, SHARE_OF_FORMER * leased.size):
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
    head = response.replace(body=response.body[:LOOKED_AT]).text.lower()
    return any(text in head for text in texts)
