"""Probe a site from an address to a list, a thread and its posts, and identify its software.

The software is identified by its marks, or else by the preset that reads its pages. A board's front
page leads to lists, of which a few are opened until one leads to threads.
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
from crawlers.trial import checks, unknown
from crawlers.trial.answer import (
    Asks,
    ProbeCache,
    ProbedPage,
    ProbeResponse,
    Robots,
    find_data,
    is_filled_by_script,
    parse_page,
)
from ullage.errors import ConfigError, RecordError
from ullage.guard import DetectorFault, FaultGuard

MOST_HOSTS = 4
MOST_LISTS = 4
"""The most lists to open in search of one that leads to threads."""
MOST_THREADS = 2
LEAST_ENTRIES = 3
"""The fewest entries that show that a preset reads a page of other software."""
LAST = ("feed", "raw_paste")
"""Presets that are tried last, because they read pages of much other software."""
LOST = frozenset({"gone", "empty", "layout", "parse"})
"""Outcomes that indicate a wrong address, not a fault of its site."""
MOST_CALLED = 2
LIST_NAME = re.compile(
    r"(?i)/(forums?|boards?|bbs|community|discussions?|topics|threads|archives?|latest|recent"
    r"|pastes|\+list)(\.\w+)?/?$|"
    r"/(forums?|boards?|cat|categor(y|ies)|sections?|[cfrb])/[^/]+/?$"
)
MOST_TRIED = 3
"""The most guesses to try, one after the other."""


@dataclass(slots=True)
class SiteSurvey:
    """The results of a probe; a part that is None was not examined."""

    site: Site
    is_known: bool = False
    """Whether the site has a file; the site is then read by it first."""
    robots: Robots | None = None
    answer: ProbeResponse | None = None
    """The answer for the first address of `start`."""
    recognised: list[PresetMatch] = field(default_factory=list)
    faults: list[DetectorFault] = field(default_factory=list)
    """Guesses and platforms that failed by a fault of this program; the site may be readable."""
    read_as: Site | None = None
    """The site with the options that finally read it."""
    own: ProbedPage | None = None
    """The list as the site's own file reads it, if that finds nothing on it."""
    lists: int = 0
    list: ProbedPage | None = None
    older: ProbedPage | None = None
    thread: ProbedPage | None = None
    about: str = ""
    """The software with the most marks on the page, as its preset describes it."""
    unreadable: str = ""
    """Why nothing of this software can be read; "" if it can."""
    thread_of: str = ""
    """The software if the address is a thread of it and no list; else ""."""
    front: SiteSurvey | None = None
    """The results from the front page of a site whose list is gone."""
    is_elsewhere: bool = False
    """Whether `start` is an address that the given one leads to."""
    is_examined: bool = False
    """Whether list, threads and posts were all examined; a guess is compared with its pages too."""
    is_late: bool = False
    doubts: tuple[str, ...] = ()
    """The shortcomings of a guess, a sentence each; no file is written if there are any."""
    by_script: bool = False
    """Whether a browser was needed that the site's file does not ask for."""
    outside: frozenset[str] = frozenset()
    """Linked hosts that may be proposed.

    They are outside of the organization, unless the site itself is inside.
    """
    unrendered: str = ""
    """Why a page that a script fills could not be read in a browser either.

    It is a word of `crawlers.sites.visit_verdict`.
    """

    def end(self, *, in_time: bool) -> None:
        """Record whether the probe finished; what was read but not examined is in doubt."""
        self.is_late = not in_time
        if self.is_late and self.posts and not self.is_examined:
            self.doubts = (
                *self.doubts,
                "the time limit was reached before everything was examined",
            )

    @property
    def guard(self) -> FaultGuard:
        """Return a guard that limits a fault to one guess and records it."""
        return FaultGuard(self.faults.append)

    @property
    def posts(self) -> tuple[Post, ...]:
        """Return the posts that were read: of a thread, or of a list that holds them."""
        page = self.thread or self.list
        return page.parsed.posts if page else ()

    @property
    def word(self) -> str:
        """Return the first reason word why the site cannot be read; "" if posts were read.

        `robots` (or its own reason) comes first, then that of the start page, of the list
        (`timeout`, a wall, `empty`), and of the thread (`layout` without one).
        """
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
    """Probe a site, fill in `found`, and decide which linked hosts may be proposed."""
    pages = ProbeCache(pages)
    await _probe(found, pages, presets)
    found.outside = frozenset(
        [
            host
            for host in _rank_hosts(found)
            if found.site.allow_private or await pages.is_outside(host)
        ]
    )


def _rank_hosts(found: SiteSurvey) -> list[str]:
    """Return the hosts that may be proposed for a site's file, the commonest first."""
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


async def _probe(found: SiteSurvey, pages: Asks, presets: Presets) -> None:
    """Fill in `found`; stop if the site refuses.

    If the list of a known site is gone, its front page is probed too (`found.front`). If the page
    of a new site has no list, or a guessed one, up to MOST_CALLED (2) pages are probed that it
    links to under names of lists; the first that is better replaces the results.
    """
    await _probe_start(found, pages.by_script() if found.site.script else pages, presets)
    is_unsure = found.word == "empty" or bool(found.doubts)
    is_guess = bool(found.posts) and found.read_as is not None and found.read_as.platform == "board"
    if (
        not found.is_known
        and (is_unsure or is_guess)
        and not (found.lists or found.thread_of or found.unreadable)
    ):
        for url in _find_named_lists(found.answer.response if found.answer else None)[:MOST_CALLED]:
            survey = SiteSurvey(
                found.site.model_copy(update={"start": (url,)}),
                is_elsewhere=True,
                faults=found.faults,
            )
            await _probe_start(survey, pages, presets)
            is_known = survey.read_as is not None and survey.read_as.platform != "board"
            if survey.posts and (
                is_known or (not survey.doubts and (is_unsure or _contains_list(survey, found)))
            ):
                _copy_results(found, survey)
                return
    await _probe_rendered(found, pages, presets)
    front = urljoin(found.site.start[0], "/")
    if found.is_known and found.word in LOST and front not in found.site.start:
        found.front = SiteSurvey(
            found.site.model_copy(update={"start": (front,)}), is_known=True, faults=found.faults
        )
        await _probe_start(found.front, pages, presets)


def _contains_list(other: SiteSurvey, found: SiteSurvey) -> bool:
    """Return whether another list has all entries of one that has no next page, and more.

    The larger one is an archive, the other its newest posts.
    """
    if other.list is None or found.list is None or found.list.older is not None:
        return False
    return {page.url for page in found.list.entries} < {page.url for page in other.list.entries}


async def _probe_rendered(found: SiteSurvey, pages: Asks, presets: Presets) -> None:
    """Probe one more time in a browser, if a script fills the page and the page holds no JSON.

    If posts are read that way, they replace the results; if not, `found.unrendered` says why.
    """
    response = found.answer.response if found.answer else None
    if (
        found.posts
        or found.site.script
        or found.word not in LOST
        or not is_filled_by_script(response)
        or find_data(response)
    ):
        return
    site = found.site.model_copy(update={"script": True})
    scripted = SiteSurvey(site, is_known=found.is_known, by_script=True, faults=found.faults)
    await _probe_start(scripted, pages.by_script(), presets)
    found.unrendered = "" if scripted.posts else scripted.word
    if scripted.posts:
        _copy_results(found, scripted)


def _find_named_lists(response: Response | None) -> list[str]:
    """Return linked addresses of the same host whose last step is a usual name of a list.

    Links in menus are included.
    """
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return []
    urls = dict.fromkeys(
        urldefrag(response.urljoin(href.strip())).url
        for href in response.css("a::attr(href)").getall()
    )
    host, path = urlsplit(response.url).netloc, urlsplit(response.url).path
    return [
        url
        for url in urls
        if urlsplit(url).netloc == host
        and LIST_NAME.search(urlsplit(url).path)
        and urlsplit(url).path != path
    ]


async def _probe_start(found: SiteSurvey, pages: Asks, presets: Presets) -> None:
    """Probe the first start address, and store all results in `found`.

    Stops if robots.txt forbids the address, the request fails, or the software is known to be
    unreadable.
    """
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
    marked = [presets.get(match.name) for match in found.recognised]
    found.about, found.unreadable = (marked[0].about, marked[0].unreadable) if marked else ("", "")
    if found.unreadable:
        return
    for site in _iter_readings(found, response, presets):
        if await _read_site(found, site, pages, presets):
            return
    reads_no_post = not found.is_known and found.thread is not None and found.thread.word in LOST
    if (found.list is None and (found.is_known or not found.lists)) or reads_no_post:
        await _probe_by_guesses(found, pages, presets)
    if found.list is None:
        found.thread_of = next(
            (
                match.name
                for match in found.recognised
                if _is_thread_of(found, match.name, response, presets)
            ),
            "",
        )


def _iter_readings(found: SiteSurvey, response: Response, presets: Presets) -> Iterator[Site]:
    """Yield the site as each software would read it, the likeliest first.

    First comes its own file if it is known, then the software whose marks were recognised, then the
    two presets that read most of the page.
    """
    marked = [candidate.name for candidate in found.recognised]
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
        yield _with_platform(found.site, name)
    by_entries = Counter[str]()
    for name in (
        *(
            candidate.name
            for candidate in presets
            if candidate.name not in marked and not reads_much(candidate)
        ),
        *LAST,
    ):
        read = _try_platform(_with_platform(found.site, name), response, presets, found.guard)
        if read and len(read.entries) + len(read.parsed.posts) >= LEAST_ENTRIES:
            by_entries[name] = len(read.entries) + len(read.parsed.posts)
    best = sorted(by_entries, key=lambda name: (name in LAST, -by_entries[name], name))
    yield from (_with_platform(found.site, name) for name in best[:2])


def reads_much(preset: Preset) -> bool:
    """Return whether a preset also reads pages of other software, and so identifies none."""
    return bool(preset.unreadable) or any(not sample.recognised for sample in preset.sample)


def _with_platform(site: Site, platform: str) -> Site:
    """Return the site with another platform and no options."""
    return site.model_copy(update={"platform": platform, "options": {}})


def _try_platform(
    site: Site, response: Response, presets: Presets, guard: FaultGuard
) -> ProbedPage | None:
    """Return what a software reads on this page.

    Returns None if it would request another one, or its preset and options are invalid.
    """
    try:
        platform = find_platform(site, presets)
        head = platform.start(site)[0]
    except ConfigError:
        return None
    if head.url not in {site.start[0], response.url}:
        return None
    return parse_page(head, ProbeResponse(head.url, "ok", response), platform, site, guard)


async def _probe_by_guesses(found: SiteSurvey, pages: Asks, presets: Presets) -> None:
    """Read a site of unknown software by guesses, and store the best result in `found`.

    The first guess without doubts counts, else the first that reads posts. At most MOST_TRIED (3)
    guesses are tried. A result with doubts is dropped if the software was recognised.
    """
    response, best, tried = found.answer.response if found.answer else None, None, 0
    if response is None:
        return
    async for candidate in unknown.guess_site(found.site, response, pages, found.guard):
        if (
            best is not None
            and best.read_as is not None
            and candidate.options.get("pattern") != best.read_as.options.get("pattern")
        ):
            continue  # having no doubts about other pages does not settle the earlier ones
        variant = replace(found, doubts=(candidate.doubt,) if candidate.doubt else ())
        site = unknown.as_board(found.site, candidate.options)
        if await _try_guess(variant, site, candidate, pages, presets):
            best = variant if best is None or not variant.doubts else best
        tried += 1
        if (best is not None and not best.doubts) or tried == MOST_TRIED:
            break
    # the options of its software are more reliable
    if best is not None and not (best.doubts and found.recognised):
        _copy_results(found, best)


async def _try_guess(
    other: SiteSurvey, site: Site, candidate: unknown.Guess, pages: Asks, presets: Presets
) -> bool:
    """Read a site by one guess and check it against its pages.

    Returns False if no post is read, or if the guess fails.
    """
    with contextlib.suppress(RecordError), other.guard.step("check"):
        is_read = await _read_site(other, site, pages, presets)
        if is_read:
            await _check_guess(other, site, candidate.threads, pages)
        return is_read
    return False


def _copy_results(found: SiteSurvey, other: SiteSurvey) -> None:
    """Replace the results in `found` by those of another probe."""
    for part in fields(other):
        setattr(found, part.name, getattr(other, part.name))


async def _has_other_posts(
    site: Site, threads: Sequence[tuple[PageAddress, ProbeResponse]], pages: Asks, guard: FaultGuard
) -> bool:
    """Return whether the next page of a thread leads to other posts.

    At most MOST_THREADS (2) next pages are requested. True if no thread has a next page to check.
    """
    requested = 0
    for page, answer in threads:
        first = parse_page(page, answer, PLATFORM, site, guard)
        says = page.facts.get("posts", "") or str(first.parsed.counted or "")
        if (
            first.older is None
            or requested == MOST_THREADS
            or (says.isdecimal() and int(says) <= len(first.parsed.posts))
        ):
            continue
        second = parse_page(first.older, await pages.get(first.older.url), PLATFORM, site, guard)
        bodies, requested = {post.body for post in first.parsed.posts}, requested + 1
        if any(post.body not in bodies for post in second.parsed.posts):
            return True
    return not requested


async def _check_guess(
    found: SiteSurvey, site: Site, answers: Sequence[tuple[PageAddress, ProbeResponse]], pages: Asks
) -> None:
    """Compare a guess with what the list and a few threads with their next pages show.

    Adds what is wrong to `found.doubts`, and archives of the list to `found.read_as`. Requests
    further pages.
    """
    listed = {page.name: page for page in found.list.entries} if found.list else {}
    if found.thread is not None and found.thread.page.role == "item":
        found.doubts = (
            *found.doubts,
            *checks.find_raw_doubts(found.thread, [answer for _, answer in answers]),
        )
        return
    if found.list is not None:
        site, short = await unknown.add_archives(found.list, site, pages, found.guard)
        found.read_as, found.doubts = site, (*found.doubts, *([short] if short else []))
    pages_read = [(listed.get(page.name, page), answer) for page, answer in answers]
    pages_read += [
        (read.page, read.answer) for read in (found.list, found.older) if read is not None
    ]
    if not await _has_other_posts(
        site,
        [(listed.get(page.name, page), answer) for page, answer in answers],
        pages,
        found.guard,
    ):
        found.doubts = (*found.doubts, "the next page of a thread has no further posts")
    found.doubts = tuple(dict.fromkeys((*found.doubts, *checks.find_doubts(site, pages_read))))


def _is_thread_of(found: SiteSurvey, name: str, response: Response, presets: Presets) -> bool:
    """Return whether the address is a thread of this software."""
    site = _with_platform(found.site, name)
    url = response.url
    page, answer = PageAddress(url, "thread", series=url), ProbeResponse(url, "ok", response)
    return bool(
        parse_page(page, answer, find_platform(site, presets), site, found.guard).parsed.posts
    )


async def _read_site(found: SiteSurvey, site: Site, pages: Asks, presets: Presets) -> bool:
    """Read a site from its list to its posts; return whether any post was read.

    If so, list, thread, next page and doubts are stored in `found`; a list without posts is stored
    too if it is the first and not guessed. Returns False if the site's options are invalid.
    """
    try:
        platform = find_platform(site, presets)
    except ConfigError:
        return False
    best = await _find_list(found, site, platform, pages)
    if best is None:
        if found.lists and found.read_as is None:  # a board without any post yet
            found.read_as = site
        return False
    thread = None
    for entry in _choose_threads(best.entries):
        thread = parse_page(entry, await pages.get(entry.url), platform, site, found.guard)
        if thread.entries and not thread.parsed.posts:  # a paste with several files
            part = thread.entries[0]
            thread = parse_page(part, await pages.get(part.url), platform, site, found.guard)
        if thread.parsed.posts:
            break
    is_read = any(post.body for post in (thread or best).parsed.posts) and not (
        thread and _is_own_page(thread, site)
    )
    is_guess = site is not found.site and site.platform not in {
        page.name for page in found.recognised
    }
    if is_read or (found.list is None and not is_guess):
        found.read_as, found.list, found.thread = site, best, thread
    if is_read and best.older:
        found.older = parse_page(
            best.older, await pages.get(best.older.url), platform, site, found.guard
        )
    if is_read:
        reads = [
            page
            for page in (best, thread, found.older)
            if page is not None and page.parsed.shortfall
        ]
        found.doubts = tuple(
            dict.fromkeys((*found.doubts, *(page.parsed.shortfall for page in reads)))
        )
        found.is_examined = True
    return is_read


def _choose_threads(entries: Sequence[PageAddress]) -> Sequence[PageAddress]:
    """Return the threads to open: the one with the most posts, then the first ones."""
    counted = [page for page in entries if page.facts.get("posts", "").isdecimal()]
    longest = sorted(counted, key=lambda page: -int(page.facts["posts"]))[:1]
    return [*longest, *(page for page in entries if page not in longest)][
        : MOST_THREADS + len(longest)
    ]


def _is_own_page(thread: ProbedPage, site: Site) -> bool:
    """Return whether a supposed paste is a page of the site, as any link may be for `raw_paste`."""
    response = thread.answer.response
    return bool(
        site.platform in LAST
        and thread.page.role == "item"
        and response
        and parse_content_type(response)[0] == "text/html"
    )


async def _find_list(
    found: SiteSurvey, site: Site, platform: Platform, pages: Asks
) -> ProbedPage | None:
    """Return the first list that leads to threads or pastes, or holds posts; None if none does.

    At most MOST_LISTS (4) pages are requested. Stores in `found` how many lists there are, and the
    first page of a known site that has no entries.
    """
    waiting: list[PageAddress] = list(platform.start(site)[:1])
    for _ in range(MOST_LISTS):
        if not waiting:
            break
        head = waiting.pop(0)
        first = found.answer
        is_first = first and first.response and head.url in {first.url, first.response.url}
        read = parse_page(
            head,
            first if is_first and first else await pages.get(head.url),
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


def list_link_kinds(response: Response, most: int = 5) -> Sequence[tuple[str, int]]:
    """Return the commonest kinds of addresses that a page links to, with their numbers."""
    return (
        response_checks.count_link_kinds(response).most_common(most)
        if isinstance(response, TextResponse)
        else ()
    )
