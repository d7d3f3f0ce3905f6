"""From a page of software that nobody knows to options that read its threads: what leads where is
found by a few requests.

A page may list threads, or boards that list them, or both; or the posts stand on it themselves.
What each of its groups of links leads to is looked at, the likeliest first.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from scrapy.http import Response

from crawlers.platforms.board import PLATFORM
from crawlers.sites.pages import PageAddress
from crawlers.sites.site import Site
from crawlers.trial import guess
from crawlers.trial.answer import Asks, ProbedPage, ProbeResponse, made_of
from ullage.errors import RecordError
from ullage.guard import FaultGuard

MOST_GROUPS = 4
"""Groups of links of a page whose entries are looked at."""
MOST_GUESSED = 3
"""Threads that are opened to find one with several posts."""
MOST_ABOVE = 2
"""So many lists stand above that of threads: categories and boards."""
LEAST_BOARDS, TIMES = 2, 2
"""Links of a group that may be boards; how many times as many entries make a later group the
likelier one.
"""
LEAST_POSTS = 3
"""So many posts must stand on a list that leads to no threads."""
NUMBER = re.compile(r"(?<![\d:.-])\d{1,5}(?![\d:.-])")
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
    """What is known to be short of it, as a sentence."""


@dataclass(frozen=True, slots=True)
class _LinkGroup:
    """A group of links, the pages behind a few of them, and a few more of its entries."""

    options: guess.Options
    behind: Seen
    few: Sequence[PageAddress]
    listing: Response


def attempt(guard: FaultGuard, part: str, make: Callable[[], Value]) -> Value | None:
    """Return what `make` makes of a page; None where it fails, which costs one guess, or where
    the page cannot be read.
    """
    try:
        return guard.run(part, make, None)
    except RecordError:
        return None


async def guesses(
    site: Site, response: Response, pages: Asks, guard: FaultGuard, above: Above = NOTHING
) -> AsyncIterator[Guess]:
    """Yield what may read a site from a page of it on, the likeliest first; `above` leads to the
    page itself.

    What fails is told to `guard` and costs the guesses that it would have made.
    """
    threads, boards = list[_LinkGroup](), None
    with guard.step("links"):
        threads, boards = await _looked_at(site, response, pages, guard, above)
    shared = list[_LinkGroup]()
    if boards is not None:
        patterns = [(one, str(one.options["pattern"])) for one in threads]
        shared = [
            one
            for one, pattern in patterns
            if guess.names_on(boards[0], pattern) - guess.names_on(response, pattern)
        ]
        if shared or not threads:
            async for found in _of_boards(site, boards, shared, pages, guard, above):
                yield found
    for one in threads:
        with guard.step("threads"):
            async for found in _of_threads(site, one, pages, guard, above):
                yield (
                    replace(found, doubt="the boards that it leads to are not read")
                    if one in shared
                    else found
                )
    if not threads and not above["lists"]:
        with guard.step("guestbook"):
            async for found in _of_book(site, response, pages, guard):
                yield found


async def _of_boards(
    site: Site,
    boards: tuple[Response, guess.Options],
    shared: Sequence[_LinkGroup],
    pages: Asks,
    guard: FaultGuard,
    above: Above,
) -> AsyncIterator[Guess]:
    """What reads a board: as `shared` reads the page that leads to it, which has some of its
    threads; or in its own way.
    """
    inner, listed = boards
    told = {
        "lists": [str(listed["links"]), *above["lists"]],
        "lists_pattern": [str(listed["pattern"]), *above["lists_pattern"]],
    }
    for one in shared:
        with guard.step("threads"):
            if entries_of(site, one.options, inner, guard):
                async for found in _of_threads(site, one, pages, guard, told):
                    yield found
    async for found in guesses(site, inner, pages, guard, told):
        yield found


async def _looked_at(
    site: Site, response: Response, pages: Asks, guard: FaultGuard, above: Above
) -> tuple[list[_LinkGroup], tuple[Response, guess.Options] | None]:
    """Groups of links that lead to what is no list, and the first that leads to a list, with
    that.
    """
    threads, boards, left, longest = list[_LinkGroup](), None, MOST_GUESSED, 0
    known = "|".join(
        f"(?:{pattern.replace('?P<id>', '?:').replace('?P<slug>', '?:')})"
        for pattern in above["lists_pattern"]
    )
    least = guess.LEAST if above["lists"] else LEAST_BOARDS
    for listed in (attempt(guard, "lists", lambda: guess.lists_of(response, known, least)) or [])[
        :MOST_GROUPS
    ]:
        entries, behind = (
            entries_of(site, listed, response, guard),
            list[tuple[PageAddress, ProbeResponse]](),
        )
        inner = None
        for entry in entries[: left if threads else MOST_GUESSED]:
            left -= bool(threads)
            answer = await pages.get(entry.url)
            if answer.response is None or answer.word:
                continue
            behind.append((entry, answer))
            is_list = attempt(
                guard, "lists", partial(guess.is_list, answer.response, str(listed["pattern"]))
            )
            if is_list is None:  # nobody knows what the links lead to
                behind = []
                break
            if is_list:
                inner = answer.response
                break
        if inner is None and behind:
            one = _LinkGroup(listed, behind, entries[MOST_GUESSED:][-MOST_GUESSED:], response)
            # A few links beside a longer list lead to parts of the site, as categories do.
            threads.insert(0 if threads and len(entries) >= TIMES * longest else len(threads), one)
            longest = max(longest, len(entries))
        elif inner is not None and len(above["lists"]) < MOST_ABOVE:
            boards = inner, listed
            break
    return threads, boards


async def _of_threads(
    site: Site, listed: _LinkGroup, pages: Asks, guard: FaultGuard, above: Above
) -> AsyncIterator[Guess]:
    """What reads the threads, or pastes, behind a group of links."""
    options = listed.options
    lists: guess.Options = {name: value for name, value in above.items() if value}
    behind = [answer.response for _, answer in listed.behind if answer.response]
    if raw := guess.raw_of(behind[0], listed.behind[0][0].facts.get("id", "")):
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
        entries = entries_of(site, options, listed.listing, guard)[:MOST_GUESSED]
        rest = [(entry, await pages.get(entry.url)) for entry in entries]
        seen = [(entry, answer) for entry, answer in rest if answer.response and not answer.word]
        async for found in _of_posts(
            site, _LinkGroup(options, seen, listed.few, listed.listing), pages, guard, lists
        ):
            yield found
    else:
        async for found in _of_posts(site, listed, pages, guard, lists):
            yield found


async def _of_posts(
    site: Site, listed: _LinkGroup, pages: Asks, guard: FaultGuard, lists: guess.Options
) -> AsyncIterator[Guess]:
    more = [(entry, await pages.get(entry.url)) for entry in listed.few]
    threads = [
        *listed.behind,
        *((entry, answer) for entry, answer in more if answer.response and not answer.word),
    ]
    pattern = str(listed.options["pattern"])
    responses = [answer.response for _, answer in threads if answer.response]
    if posts := attempt(guard, "posts", lambda: guess.of_threads(responses, pattern)):
        options = {**listed.options, **lists, **posts}
        counts = attempt(
            guard, "counts", lambda: _counted(site, options, listed.listing, threads, guard)
        )
        if counts is not None:  # else nothing would tell that posts are missing
            yield Guess({**options, **counts}, threads)


async def _of_book(
    site: Site, response: Response, pages: Asks, guard: FaultGuard
) -> AsyncIterator[Guess]:
    """What reads posts that stand on the page itself, as in a guestbook: they lead to no other
    page of the site.
    """
    first = _made_of_book(site, guess.of_threads([response]), response, guard)
    if first is None or first.older is None:
        return
    second = (await pages.get(first.older.url)).response
    options = guess.of_threads([response, *([second] if second is not None else [])])
    made = _made_of_book(site, options, response, guard)
    bodies = (
        [post.body.decode("utf-8", "replace") for post in made.parsed.posts if post.published_at]
        if made
        else []
    )
    if len(bodies) >= LEAST_POSTS and not any("<a " in body for body in bodies):
        yield Guess(_book(options))


def _made_of_book(
    site: Site, options: guess.Options, response: Response, guard: FaultGuard
) -> ProbedPage | None:
    if not options:
        return None
    page, answer = PageAddress(response.url, "list"), ProbeResponse(response.url, "ok", response)
    return made_of(page, answer, PLATFORM, board(site, _book(options)), guard)


def _book(options: guess.Options) -> guess.Options:
    return {
        ("next" if name == "thread_next" else name): value
        for name, value in {**options, "numbered": True}.items()
    }


def entries_of(
    site: Site, listed: guess.Options, response: Response, guard: FaultGuard
) -> Sequence[PageAddress]:
    """The entries of a list, those before others of which it counts more posts, or shows a
    larger number.
    """
    page, answer = PageAddress(response.url, "list"), ProbeResponse(response.url, "ok", response)
    read = made_of(page, answer, PLATFORM, board(site, {**listed, **NO_POST}), guard)
    numbers = [
        (int(page.facts.get("posts", "0")), max(map(int, NUMBER.findall(page.stamp)), default=0))
        for page in read.entries
    ]
    return [
        page
        for _, page in sorted(
            zip(numbers, read.entries, strict=True), key=lambda one: one[0], reverse=True
        )
    ]


def board(site: Site, options: Mapping[str, str | list[str] | bool]) -> Site:
    """The site as one whose own options say how its pages look."""
    return site.model_copy(update={"platform": "board", "options": options})


def _counted(
    site: Site, options: guess.Options, listing: Response, answers: Seen, guard: FaultGuard
) -> guess.Options:
    """Return where the list says how many posts its threads have."""
    reads = [
        made_of(page, answer, PLATFORM, board(site, options), guard)
        for page, answer in answers
        if answer.response
    ]
    lengths = {
        read.page.url: len(read.parsed.posts)
        for read in reads
        if read.parsed.posts and not read.older
    }
    return guess.counted_in(listing, str(options.get("rows", "")), lengths)
