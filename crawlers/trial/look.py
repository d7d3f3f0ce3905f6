"""From an address to a list, to a thread, to its posts: what a visit would make of each, and what
the site's software is.

What software a site runs is told by its marks; where there are none, by what reads its pages. A
board's front page leads to lists, of which a few are opened until one leads to threads.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from urllib.parse import urldefrag, urljoin, urlsplit

from scrapy.http import Response, TextResponse

from crawlers.fetching import response_checks
from crawlers.platforms import Platform, find_platform
from crawlers.platforms.board import PLATFORM
from crawlers.sites.pages import PageAddress, Post
from crawlers.sites.presets import Preset, PresetMatch, Presets, recognise
from crawlers.sites.selectors import parse_content_type
from crawlers.sites.site import Site, split_url
from crawlers.trial import archives, checks, unknown
from crawlers.trial.answer import (
    Asks,
    ProbeCache,
    ProbedPage,
    ProbeResponse,
    Robots,
    data_in,
    is_filled_by_script,
    made_of,
)
from ullage.errors import ConfigError, RecordError
from ullage.guard import DetectorFault, FaultGuard

MOST_HOSTS = 4
MOST_LISTS = 4
"""Lists that are opened to find one that leads to threads."""
MOST_THREADS = 2
LEAST_ENTRIES = 3
"""Fewer are no sign that a page is read by what it was not made for."""
LAST = ("feed", "raw_paste")
"""What reads much that it was not made for is tried last."""
LOST = frozenset({"gone", "empty", "layout", "parse"})
"""What speaks against an address, and not against its site."""
MOST_CALLED = 2
LIST_NAME = re.compile(
    r"(?i)/(forums?|boards?|bbs|community|discussions?|topics|threads|archives?|latest|recent|pastes|\+list)(\.\w+)?/?$|"
    r"/(forums?|boards?|cat|categor(y|ies)|sections?|[cfrb])/[^/]+/?$"
)
MOST_TRIED = 3
"""Guesses that are tried, one after the other."""


@dataclass(slots=True)
class SiteSurvey:
    """What a look found, as far as it got: a part that is None was not looked at."""

    site: Site
    is_known: bool = False
    """Whether the site has a file, by which it is read first."""
    robots: Robots | None = None
    answer: ProbeResponse | None = None
    """To the first address of `start`."""
    recognised: list[PresetMatch] = field(default_factory=list)
    faults: list[DetectorFault] = field(default_factory=list)
    """Guesses and platforms that failed: faults of this program, without which it might have
    read the site.
    """
    read_as: Site | None = None
    """The site as it was read in the end."""
    own: ProbedPage | None = None
    """What its own file makes of the list, where it makes nothing of it."""
    lists: int = 0
    list: ProbedPage | None = None
    older: ProbedPage | None = None
    thread: ProbedPage | None = None
    about: str = ""
    """What the software is that the page has most marks of, in its preset's words."""
    unreadable: str = ""
    """Why nothing of its software can be read, where that is so."""
    thread_of: str = ""
    """The software of which the address is a thread, and no list."""
    front: SiteSurvey | None = None
    """What was found from the front page of a site whose list is gone."""
    is_elsewhere: bool = False
    """Whether `start` is not the address that was given, but one that it leads to."""
    is_examined: bool = False
    """Whether what was read was followed to its end, and held against its pages where it was
    guessed.
    """
    is_late: bool = False
    doubts: tuple[str, ...] = ()
    """What is short of what was guessed, a sentence each: no file is written then."""
    by_script: bool = False
    """Whether all was found with scripts run that the site's file does not have run."""
    outside: frozenset[str] = frozenset()
    """Hosts that it leads to and that may be proposed: of the open Internet, unless the site
    itself is of this house.
    """
    unrendered: str = ""
    """Why nothing was found so, where a script fills the page: a word of
    `crawlers.sites.visit_verdict`.
    """

    def end(self, *, in_time: bool) -> None:
        """Note whether the look came to its end; what was read is in doubt where it was not
        examined by then.
        """
        self.is_late = not in_time
        if self.is_late and self.posts and not self.is_examined:
            self.doubts = (*self.doubts, "time was up before everything was examined")

    @property
    def guard(self) -> FaultGuard:
        """Return what runs a guess so that its fault costs that guess and is noted."""
        return FaultGuard(self.faults.append)

    @property
    def posts(self) -> tuple[Post, ...]:
        """The posts that were read: of a thread, or of a list that holds them itself."""
        of = self.thread or self.list
        return of.parsed.posts if of else ()

    @property
    def word(self) -> str:
        """What speaks against the site, the first that was met; "" where it is read."""
        if self.robots and not self.robots.allowed:
            return self.robots.word or "robots"
        if self.answer and self.answer.word:
            return self.answer.word
        if self.list is None:
            return (self.own.word if self.own else "") or (
                "timeout" if self.is_late else self._wall() or "empty"
            )
        return (
            ""
            if self.posts
            else (self.thread.word if self.thread and self.thread.word else "layout")
        )

    def _wall(self) -> str:
        if (
            self.answer
            and self.answer.response
            and not response_checks.is_listing(self.answer.response)
        ):
            if response_checks.is_challenge(self.answer.response, body=True):
                return "challenge"
            return "login" if response_checks.is_login_wall(self.answer.response) else ""
        return ""


async def look(found: SiteSurvey, pages: Asks, presets: Presets) -> None:
    """Fill in `found`, and tell which of the hosts that it leads to may be proposed; see
    `_looked`.
    """
    pages = ProbeCache(pages)
    await _looked(found, pages, presets)
    found.outside = frozenset(
        [one for one in _hosts(found) if found.site.allow_private or await pages.is_outside(one)]
    )


def _hosts(found: SiteSurvey) -> list[str]:
    """The hosts that may be proposed for a site's file, the commonest first."""
    led_to = [found.answer.led_to] if found.answer and found.answer.led_to else []
    listed = (
        [page.url for page in found.list.entries if not found.site.allows(page.url)]
        if found.list
        else []
    )
    hosts = Counter(
        parts.hostname for url in (*led_to, *listed) if (parts := split_url(url)) and parts.hostname
    )
    return [host for host, _ in hosts.most_common(MOST_HOSTS)]


async def _looked(found: SiteSurvey, pages: Asks, presets: Presets) -> None:
    """Fill in `found`, and stop where the site refuses.

    Where the list of a known site is gone, its front page is asked too.

    Where a new site's page has no list, or a guessed one, those are looked at that it leads to and
    that are called as lists are.
    """
    await _look(found, pages.by_script() if found.site.script else pages, presets)
    is_unsure = found.word == "empty" or bool(found.doubts)
    is_guess = bool(found.posts) and found.read_as is not None and found.read_as.platform == "board"
    if (
        not found.is_known
        and (is_unsure or is_guess)
        and not (found.lists or found.thread_of or found.unreadable)
    ):
        for url in _called_lists(found.answer.response if found.answer else None)[:MOST_CALLED]:
            other = SiteSurvey(
                found.site.model_copy(update={"start": (url,)}),
                is_elsewhere=True,
                faults=found.faults,
            )
            await _look(other, pages, presets)
            is_known = other.read_as is not None and other.read_as.platform != "board"
            if other.posts and (
                is_known or (not other.doubts and (is_unsure or _lists_all_of(other, found)))
            ):
                _take(found, other)
                return
    await _rendered(found, pages, presets)
    front = urljoin(found.site.start[0], "/")
    if found.is_known and found.word in LOST and front not in found.site.start:
        found.front = SiteSurvey(
            found.site.model_copy(update={"start": (front,)}), is_known=True, faults=found.faults
        )
        await _look(found.front, pages, presets)


def _lists_all_of(other: SiteSurvey, found: SiteSurvey) -> bool:
    """Return whether another list has all entries of one that has no next page, and more: an
    archive, and its newest posts.
    """
    if other.list is None or found.list is None or found.list.older is not None:
        return False
    return {page.url for page in found.list.entries} < {page.url for page in other.list.entries}


async def _rendered(found: SiteSurvey, pages: Asks, presets: Presets) -> None:
    """Look once more with scripts run, where one fills the page and what it makes of it does not
    stand in it.
    """
    response = found.answer.response if found.answer else None
    if (
        found.posts
        or found.site.script
        or found.word not in LOST
        or not is_filled_by_script(response)
        or data_in(response)
    ):
        return
    site = found.site.model_copy(update={"script": True})
    other = SiteSurvey(site, is_known=found.is_known, by_script=True, faults=found.faults)
    await _look(other, pages.by_script(), presets)
    found.unrendered = "" if other.posts else other.word
    if other.posts:
        _take(found, other)


def _called_lists(response: Response | None) -> list[str]:
    """Addresses of the same host that a page leads to, menus included, whose last step is the
    name of a list.
    """
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return []
    urls = dict.fromkeys(
        urldefrag(response.urljoin(href.strip())).url
        for href in response.css("a::attr(href)").getall()
    )
    here, path = urlsplit(response.url).netloc, urlsplit(response.url).path
    return [
        url
        for url in urls
        if urlsplit(url).netloc == here
        and LIST_NAME.search(urlsplit(url).path)
        and urlsplit(url).path != path
    ]


async def _look(found: SiteSurvey, pages: Asks, presets: Presets) -> None:
    url = found.site.start[0]
    if found.site.robots:
        found.robots = await pages.robots(url)
        if not found.robots.allowed:
            return
    found.answer = await pages.get(url)
    response = found.answer.response
    if found.answer.word or response is None:
        return
    found.recognised = recognise(response, presets)
    marked = [presets.get(one.name) for one in found.recognised]
    found.about, found.unreadable = (marked[0].about, marked[0].unreadable) if marked else ("", "")
    if found.unreadable:
        return
    for site in _readings(found, response, presets):
        if await _read(found, site, pages, presets):
            return
    reads_no_post = not found.is_known and found.thread is not None and found.thread.word in LOST
    if (found.list is None and (found.is_known or not found.lists)) or reads_no_post:
        await _guessed(found, pages, presets)
    if found.list is None:
        found.thread_of = next(
            (
                one.name
                for one in found.recognised
                if _is_thread(found, one.name, response, presets)
            ),
            "",
        )


def _readings(found: SiteSurvey, response: Response, presets: Presets) -> Iterator[Site]:
    """The site as each software would have it, the likeliest first: its own file, its marks,
    what reads the page.
    """
    marked = [one.name for one in found.recognised]
    if found.is_known:
        yield found.site
        marked = [
            *marked,
            *(
                [found.site.platform]
                if found.site.options and found.site.platform not in marked
                else []
            ),
        ]
    for name in marked:
        yield _as(found.site, name)
    by_entries = Counter[str]()
    for name in (
        *(one.name for one in presets if one.name not in marked and not reads_much(one)),
        *LAST,
    ):
        read = _tried(_as(found.site, name), response, presets, found.guard)
        if read and len(read.entries) + len(read.parsed.posts) >= LEAST_ENTRIES:
            by_entries[name] = len(read.entries) + len(read.parsed.posts)
    best = sorted(by_entries, key=lambda name: (name in LAST, -by_entries[name], name))
    yield from (_as(found.site, name) for name in best[:2])


def reads_much(preset: Preset) -> bool:
    """Whether a preset reads pages of other software as well, and so tells of none what it is
    of.
    """
    return bool(preset.unreadable) or any(not sample.recognised for sample in preset.sample)


def _as(site: Site, platform: str) -> Site:
    return site.model_copy(update={"platform": platform, "options": {}})


def _tried(
    site: Site, response: Response, presets: Presets, guard: FaultGuard
) -> ProbedPage | None:
    """What a software makes of the page in hand, without asking for another; None where it would
    ask for one.
    """
    try:
        platform = find_platform(site, presets)
        head = platform.start(site)[0]
    except ConfigError:
        return None
    if head.url not in {site.start[0], response.url}:
        return None
    return made_of(head, ProbeResponse(head.url, "ok", response), platform, site, guard)


async def _guessed(found: SiteSurvey, pages: Asks, presets: Presets) -> None:
    """Read a site of unknown software by what its pages look like; of several guesses the first
    that leaves no doubt counts.
    """
    response, best, tried = found.answer.response if found.answer else None, None, 0
    if response is None:
        return
    async for one in unknown.guesses(found.site, response, pages, found.guard):
        if (
            best is not None
            and best.read_as is not None
            and one.options.get("pattern") != best.read_as.options.get("pattern")
        ):
            continue  # what reads other pages leaves no doubt about those that are not read
        other = replace(found, doubts=(one.doubt,) if one.doubt else ())
        site = unknown.board(found.site, one.options)
        if await _is_guessed_well(other, site, one, pages, presets):
            best = other if best is None or not other.doubts else best
        tried += 1
        if (best is not None and not best.doubts) or tried == MOST_TRIED:
            break
    # what is known of its software helps more
    if best is not None and not (best.doubts and found.recognised):
        _take(found, best)


async def _is_guessed_well(
    other: SiteSurvey, site: Site, one: unknown.Guess, pages: Asks, presets: Presets
) -> bool:
    """Read a site by one guess, and hold it against its pages; False where no post is read, or
    where the guess fails on them.
    """
    with contextlib.suppress(RecordError), other.guard.step("check"):
        is_read = await _read(other, site, pages, presets)
        if is_read:
            await _check(other, site, one.threads, pages)
        return is_read
    return False


def _take(found: SiteSurvey, other: SiteSurvey) -> None:
    """Make all that was found of another that of this one."""
    for one in fields(other):
        setattr(found, one.name, getattr(other, one.name))


async def _goes_on(
    site: Site, threads: Sequence[tuple[PageAddress, ProbeResponse]], pages: Asks, guard: FaultGuard
) -> bool:
    """Whether the next page of a thread leads to other posts, where it is not known that there
    are none.
    """
    asked = 0
    for page, answer in threads:
        first = made_of(page, answer, PLATFORM, site, guard)
        says = page.facts.get("posts", "") or str(first.parsed.counted or "")
        if (
            first.older is None
            or asked == MOST_THREADS
            or (says.isdecimal() and int(says) <= len(first.parsed.posts))
        ):
            continue
        second = made_of(first.older, await pages.get(first.older.url), PLATFORM, site, guard)
        known, asked = {post.body for post in first.parsed.posts}, asked + 1
        if any(post.body not in known for post in second.parsed.posts):
            return True
    return not asked


async def _check(
    found: SiteSurvey, site: Site, answers: Sequence[tuple[PageAddress, ProbeResponse]], pages: Asks
) -> None:
    """Hold what was guessed against what the list and a few threads show, the next page of each
    among it.
    """
    listed = {page.name: page for page in found.list.entries} if found.list else {}
    if found.thread is not None and found.thread.page.role == "item":
        found.doubts = (
            *found.doubts,
            *checks.raw_doubts(found.thread, [answer for _, answer in answers]),
        )
        return
    if found.list is not None:
        site, short = await archives.with_archives(found.list, site, pages, found.guard)
        found.read_as, found.doubts = site, (*found.doubts, *([short] if short else []))
    told = [(listed.get(page.name, page), answer) for page, answer in answers]
    told += [(read.page, read.answer) for read in (found.list, found.older) if read is not None]
    if not await _goes_on(
        site,
        [(listed.get(page.name, page), answer) for page, answer in answers],
        pages,
        found.guard,
    ):
        found.doubts = (*found.doubts, "the next page of a thread leads to no other post")
    found.doubts = tuple(dict.fromkeys((*found.doubts, *checks.doubts(site, told))))


def _is_thread(found: SiteSurvey, name: str, response: Response, presets: Presets) -> bool:
    site = _as(found.site, name)
    url = response.url
    page, answer = PageAddress(url, "thread", series=url), ProbeResponse(url, "ok", response)
    return bool(made_of(page, answer, find_platform(site, presets), site, found.guard).parsed.posts)


async def _read(found: SiteSurvey, site: Site, pages: Asks, presets: Presets) -> bool:
    """Go from the site's list to posts; whether any were read."""
    try:
        platform = find_platform(site, presets)
    except ConfigError:
        return False
    best = await _list(found, site, platform, pages)
    if best is None:
        if found.lists and found.read_as is None:  # a board on which nobody has posted yet
            found.read_as = site
        return False
    thread = None
    for entry in _longest_first(best.entries):
        thread = made_of(entry, await pages.get(entry.url), platform, site, found.guard)
        if thread.entries and not thread.parsed.posts:  # a paste of several files
            part = thread.entries[0]
            thread = made_of(part, await pages.get(part.url), platform, site, found.guard)
        if thread.parsed.posts:
            break
    is_read = any(post.body for post in (thread or best).parsed.posts) and not (
        thread and _is_page_of_ours(thread, site)
    )
    is_guess = site is not found.site and site.platform not in {
        one.name for one in found.recognised
    }
    if is_read or (found.list is None and not is_guess):
        found.read_as, found.list, found.thread = site, best, thread
    if is_read and best.older:
        found.older = made_of(
            best.older, await pages.get(best.older.url), platform, site, found.guard
        )
    if is_read:
        reads = [
            one for one in (best, thread, found.older) if one is not None and one.parsed.shortfall
        ]
        found.doubts = tuple(
            dict.fromkeys((*found.doubts, *(one.parsed.shortfall for one in reads)))
        )
        found.is_examined = True
    return is_read


def _longest_first(entries: Sequence[PageAddress]) -> Sequence[PageAddress]:
    """Return the threads to open: that of which the list counts the most posts, if it counts
    any, and then the first.
    """
    counted = [page for page in entries if page.facts.get("posts", "").isdecimal()]
    longest = sorted(counted, key=lambda page: -int(page.facts["posts"]))[:1]
    return [*longest, *(page for page in entries if page not in longest)][
        : MOST_THREADS + len(longest)
    ]


def _is_page_of_ours(thread: ProbedPage, site: Site) -> bool:
    """Whether what was to be a paste is a page of the site, as behind any link where `raw_paste`
    is only guessed.
    """
    response = thread.answer.response
    return bool(
        site.platform in LAST
        and thread.page.role == "item"
        and response
        and parse_content_type(response)[0] == "text/html"
    )


async def _list(
    found: SiteSurvey, site: Site, platform: Platform, pages: Asks
) -> ProbedPage | None:
    """The first list that leads to threads or pastes, or holds posts."""
    waiting: list[PageAddress] = list(platform.start(site)[:1])
    for _ in range(MOST_LISTS):
        if not waiting:
            break
        head = waiting.pop(0)
        first = found.answer
        known = first and first.response and head.url in {first.url, first.response.url}
        read = made_of(
            head,
            first if known and first else await pages.get(head.url),
            platform,
            site,
            found.guard,
        )
        if read.entries or read.parsed.posts:
            return read
        if found.is_known and site is found.site and found.own is None:
            found.own = read
        found.lists = max(found.lists, len(read.lists))
        waiting = [*waiting, *read.lists]
    return None


def kinds_of_links(response: Response, most: int = 5) -> Sequence[tuple[str, int]]:
    """The commonest kinds of addresses that a page leads to, numbers and names as `*`, and how
    many of each.
    """
    return (
        response_checks.count_link_kinds(response).most_common(most)
        if isinstance(response, TextResponse)
        else ()
    )
