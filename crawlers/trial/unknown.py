"""Find options that read a site of unknown software, by looking behind its links.

A page may list threads, or boards that list threads, or both; or it may hold posts itself. The
targets of each group of links are requested, the likeliest group first. Monthly archives of a blog
are read as lists too.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from scrapy.http import Response, TextResponse

from crawlers.platforms.board import PLATFORM
from crawlers.sites.pages import PageAddress
from crawlers.sites.site import Site
from crawlers.trial import guess
from crawlers.trial.answer import Asks, ProbedPage, ProbeResponse, parse_page
from ullage.errors import RecordError
from ullage.guard import FaultGuard

MOST_GROUPS = 4
"""The most groups of links on a page whose targets are requested."""
MOST_GUESSED = 3
"""The most threads to open in search of one with several posts."""
MOST_ABOVE = 2
"""The most levels of lists above that of threads: categories and boards."""
LEAST_BOARDS, TIMES = 2, 2
"""The fewest links of a group of boards, and the factor by which a later group must be larger."""
LEAST_POSTS = 3
"""The fewest posts on a list that leads to no threads."""
NUMBER = re.compile(r"(?<![\d:.-])\d{1,5}(?![\d:.-])")
MONTH = re.compile(
    r"^(?P<before>https?://[^?#]*/)(?P<year>(?:19|20)\d\d)/(?P<month>0?[1-9]|1[0-2])/?$"
)
UNREAD = "older posts are in monthly archives, which are not read"
NO_POST: guess.Options = {"post": "no-post", "body": "no-post"}
Seen = Sequence[tuple[PageAddress, ProbeResponse]]
Value = TypeVar("Value")
Above = Mapping[str, list[str]]
"""The options that lead to a page: `lists` and `lists_pattern`, those of the nearest list first."""
NOTHING: Above = {"lists": [], "lists_pattern": []}


@dataclass(frozen=True, slots=True)
class Guess:
    """Options of `board`, and the threads that they were guessed from."""

    options: guess.Options
    threads: Seen = ()
    doubt: str = ""
    """A known shortcoming of the guess, as a sentence."""


@dataclass(frozen=True, slots=True)
class _LinkGroup:
    """A group of links, the pages behind a few of them, and a few more of its entries."""

    options: guess.Options
    behind: Seen
    few: Sequence[PageAddress]
    listing: Response


def attempt(guard: FaultGuard, part: str, make: Callable[[], Value]) -> Value | None:
    """Return the result of `make`; None if it fails, or if the page cannot be read."""
    try:
        return guard.run(part, make, None)
    except RecordError:
        return None


async def guess_site(
    site: Site, response: Response, pages: Asks, guard: FaultGuard, above: Above = NOTHING
) -> AsyncIterator[Guess]:
    """Yield guesses that may read a site from one of its pages on, the likeliest first.

    `above` leads to the page itself. A fault is reported to `guard` and costs only its own guesses.
    """
    threads, boards = list[_LinkGroup](), None
    with guard.step("links"):
        threads, boards = await _find_threads(site, response, pages, guard, above)
    shared = list[_LinkGroup]()
    if boards is not None:
        patterns = [(group, str(group.options["pattern"])) for group in threads]
        shared = [
            group
            for group, pattern in patterns
            if guess.find_names(boards[0], pattern) - guess.find_names(response, pattern)
        ]
        if shared or not threads:
            async for candidate in _guess_boards(site, boards, shared, pages, guard, above):
                yield candidate
    for group in threads:
        with guard.step("threads"):
            async for candidate in _guess_threads(site, group, pages, guard, above):
                yield (
                    replace(candidate, doubt="the boards that it links to are not read")
                    if group in shared
                    else candidate
                )
    if not threads and not above["lists"]:
        with guard.step("guestbook"):
            async for candidate in _guess_guestbook(site, response, pages, guard):
                yield candidate


async def _guess_boards(
    site: Site,
    boards: tuple[Response, guess.Options],
    shared: Sequence[_LinkGroup],
    pages: Asks,
    guard: FaultGuard,
    above: Above,
) -> AsyncIterator[Guess]:
    """Yield guesses for a board.

    It is read as `shared` reads the page that leads to it, which has some of its threads; then in
    its own way. `boards` are the page of one board and the options of the list that leads there.
    """
    inner, listed = boards
    lists = {
        "lists": [str(listed["links"]), *above["lists"]],
        "lists_pattern": [str(listed["pattern"]), *above["lists_pattern"]],
    }
    for group in shared:
        with guard.step("threads"):
            if list_entries(site, group.options, inner, guard):
                async for candidate in _guess_threads(site, group, pages, guard, lists):
                    yield candidate
    async for candidate in guess_site(site, inner, pages, guard, lists):
        yield candidate


async def _find_threads(
    site: Site, response: Response, pages: Asks, guard: FaultGuard, above: Above
) -> tuple[list[_LinkGroup], tuple[Response, guess.Options] | None]:
    """Return the groups of links that lead to threads, and the first that leads to a list.

    The list is returned with its page, or None. Up to MOST_GROUPS (4) groups are tried, and about
    MOST_GUESSED (3) pages requested. Lists are followed only MOST_ABOVE (2) deep.
    """
    threads, boards, requests_left, longest = list[_LinkGroup](), None, MOST_GUESSED, 0
    listed_pattern = "|".join(
        f"(?:{pattern.replace('?P<id>', '?:').replace('?P<slug>', '?:')})"
        for pattern in above["lists_pattern"]
    )
    least = guess.LEAST if above["lists"] else LEAST_BOARDS
    for listed in (
        attempt(guard, "lists", lambda: guess.guess_lists(response, listed_pattern, least)) or []
    )[:MOST_GROUPS]:
        entries, behind = (
            list_entries(site, listed, response, guard),
            list[tuple[PageAddress, ProbeResponse]](),
        )
        inner = None
        for entry in entries[: requests_left if threads else MOST_GUESSED]:
            requests_left -= bool(threads)
            answer = await pages.get(entry.url)
            if answer.response is None or answer.word:
                continue
            behind.append((entry, answer))
            is_list = attempt(
                guard, "lists", partial(guess.is_list, answer.response, str(listed["pattern"]))
            )
            if is_list is None:  # the targets of the links are unknown
                behind = []
                break
            if is_list:
                inner = answer.response
                break
        if inner is None and behind:
            group = _LinkGroup(listed, behind, entries[MOST_GUESSED:][-MOST_GUESSED:], response)
            # A few links beside a longer list lead to parts of the site, as categories do.
            threads.insert(
                0 if threads and len(entries) >= TIMES * longest else len(threads), group
            )
            longest = max(longest, len(entries))
        elif inner is not None and len(above["lists"]) < MOST_ABOVE:
            boards = inner, listed
            break
    return threads, boards


async def _guess_threads(
    site: Site, listed: _LinkGroup, pages: Asks, guard: FaultGuard, above: Above
) -> AsyncIterator[Guess]:
    """Yield guesses for the threads or pastes behind a group of links."""
    options = listed.options
    lists: guess.Options = {name: value for name, value in above.items() if value}
    behind = [answer.response for _, answer in listed.behind if answer.response]
    if raw := guess.guess_raw(behind[0], listed.behind[0][0].facts.get("id", "")):
        yield Guess(
            {
                **{
                    name: value
                    for name, value in options.items()
                    if name in {"links", "pattern", "next"}
                },
                **lists,
                **raw,
            },
            listed.behind,
        )
    elif len(behind) < MOST_GUESSED and listed.few:
        entries = list_entries(site, options, listed.listing, guard)[:MOST_GUESSED]
        more = [(entry, await pages.get(entry.url)) for entry in entries]
        answered = [
            (entry, answer) for entry, answer in more if answer.response and not answer.word
        ]
        async for candidate in _guess_posts(
            site, _LinkGroup(options, answered, listed.few, listed.listing), pages, guard, lists
        ):
            yield candidate
    else:
        async for candidate in _guess_posts(site, listed, pages, guard, lists):
            yield candidate


async def _guess_posts(
    site: Site, listed: _LinkGroup, pages: Asks, guard: FaultGuard, lists: guess.Options
) -> AsyncIterator[Guess]:
    """Yield a guess for the posts of the threads behind a group of links; nothing if it fails.

    It fails where no posts are found, or where the search for post counts does: missing posts would
    go unnoticed.
    """
    more = [(entry, await pages.get(entry.url)) for entry in listed.few]
    threads = [
        *listed.behind,
        *((entry, answer) for entry, answer in more if answer.response and not answer.word),
    ]
    pattern = str(listed.options["pattern"])
    responses = [answer.response for _, answer in threads if answer.response]
    if posts := attempt(guard, "posts", lambda: guess.guess_posts(responses, pattern)):
        options = {**listed.options, **lists, **posts}
        counts = attempt(
            guard,
            "counts",
            lambda: _guess_post_count(site, options, listed.listing, threads, guard),
        )
        if counts is not None:  # otherwise missing posts would go unnoticed
            yield Guess({**options, **counts}, threads)


async def _guess_guestbook(
    site: Site, response: Response, pages: Asks, guard: FaultGuard
) -> AsyncIterator[Guess]:
    """Yield a guess for posts on the page itself, as in a guestbook; nothing if it has none.

    Such posts lead to no other page of the site. The page must have a next page, and at least
    LEAST_POSTS (3) dated posts without links.
    """
    first = _parse_guestbook(site, guess.guess_posts([response]), response, guard)
    if first is None or first.older is None:
        return
    second = (await pages.get(first.older.url)).response
    options = guess.guess_posts([response, *([second] if second is not None else [])])
    page_read = _parse_guestbook(site, options, response, guard)
    bodies = (
        [
            post.body.decode("utf-8", "replace")
            for post in page_read.parsed.posts
            if post.published_at
        ]
        if page_read
        else []
    )
    if len(bodies) >= LEAST_POSTS and not any("<a " in body for body in bodies):
        yield Guess(_to_list_options(options))


def _parse_guestbook(
    site: Site, options: guess.Options, response: Response, guard: FaultGuard
) -> ProbedPage | None:
    """Return the page as these options read it; None without options."""
    if not options:
        return None
    page, answer = PageAddress(response.url, "list"), ProbeResponse(response.url, "ok", response)
    return parse_page(page, answer, PLATFORM, as_board(site, _to_list_options(options)), guard)


def _to_list_options(options: guess.Options) -> guess.Options:
    """Return options of a thread as those of a list that holds posts."""
    return {
        ("next" if name == "thread_next" else name): value
        for name, value in {**options, "numbered": True}.items()
    }


def list_entries(
    site: Site, listed: guess.Options, response: Response, guard: FaultGuard
) -> Sequence[PageAddress]:
    """Return the entries of a list, those with more posts or larger numbers first."""
    page, answer = PageAddress(response.url, "list"), ProbeResponse(response.url, "ok", response)
    read = parse_page(page, answer, PLATFORM, as_board(site, {**listed, **NO_POST}), guard)
    numbers = [
        (int(page.facts.get("posts", "0")), max(map(int, NUMBER.findall(page.stamp)), default=0))
        for page in read.entries
    ]
    return [
        page
        for _, page in sorted(
            zip(numbers, read.entries, strict=True), key=lambda item: item[0], reverse=True
        )
    ]


def as_board(site: Site, options: Mapping[str, str | list[str] | bool]) -> Site:
    """Return the site with its own options for platform `board`."""
    return site.model_copy(update={"platform": "board", "options": options})


def _guess_post_count(
    site: Site, options: guess.Options, listing: Response, answers: Seen, guard: FaultGuard
) -> guess.Options:
    """Return options that find, in the list, the number of posts of a thread."""
    reads = [
        parse_page(page, answer, PLATFORM, as_board(site, options), guard)
        for page, answer in answers
        if answer.response
    ]
    lengths = {
        read.page.url: len(read.parsed.posts)
        for read in reads
        if read.parsed.posts and not read.older
    }
    return guess.guess_post_count(listing, str(options.get("rows", "")), lengths)


async def add_archives(
    listing: ProbedPage, site: Site, pages: Asks, guard: FaultGuard
) -> tuple[Site, str]:
    """Return the site with its monthly archives as lists, and a sentence if some are not read.

    The sentence is "" if there is nothing to say. Only the oldest archive is requested; the site is
    returned unchanged if that has nothing new or is not read completely. A list with a next page
    needs no archives.
    """
    response, pattern = listing.answer.response, str(site.options.get("pattern", ""))
    if response is None or listing.older is not None or not pattern:
        return site, ""
    oldest = _find_oldest(response)
    answer = await pages.get(oldest) if oldest else None
    if answer is None or answer.response is None or answer.word:
        return site, ""
    listed_names = {guess.to_name(pattern, page.url) for page in listing.entries}
    older = guess.find_names(answer.response, pattern) - listed_names
    if not older:
        return site, ""
    match = MONTH.match(oldest)
    before = re.escape(urlsplit(match["before"]).path).replace(r"\-", "-") if match else "/"
    months = rf"^https?://[^/]+{before}(?P<id>(?:19|20)\d\d/(?:0?[1-9]|1[0-2]))/?$"
    known_lists = site.options.get("lists_pattern")
    patterns = [*(known_lists if isinstance(known_lists, list) else []), months]
    wider = site.model_copy(
        update={"options": {**site.options, "lists": ["a"], "lists_pattern": patterns}}
    )
    archive = parse_page(PageAddress(oldest, "list"), answer, PLATFORM, wider, guard)
    read = {guess.to_name(pattern, page.url) for page in archive.entries}
    return (wider, archive.parsed.shortfall) if older <= read else (site, UNREAD)


def _find_oldest(response: Response) -> str:
    """Return the address of the oldest archive that a page links to; "" for none."""
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return ""
    host = urlsplit(response.url).netloc
    urls = [
        url
        for url in map(response.urljoin, response.css("a::attr(href)").getall())
        if urlsplit(url).netloc == host
    ]
    months = {
        (match["before"], int(match["year"]), int(match["month"])): url
        for url in urls
        if (match := MONTH.match(url))
    }
    return months[min(months, key=lambda month: month[1:])] if months else ""
