"""Derive from a probe the file of a new site, or what would repair a known one.

`legal_basis` and `owner` are never made up: a person has to state them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit

from scrapy.http import TextResponse

from crawlers.fetching.address_pin import can_be_site, parse_literal
from crawlers.sites import selectors
from crawlers.sites.dates import DateFormats
from crawlers.sites.elements import elements_in, text_before, text_behind
from crawlers.sites.layout import load_layout
from crawlers.sites.page_reader import read_response_time
from crawlers.sites.pages import PageAddress
from crawlers.sites.presets import Presets
from crawlers.sites.site import SHORTEST_REVISIT_SECONDS, Site, get_port, split_url
from crawlers.sites.visit_verdict import MEANING
from crawlers.trial.answer import ProbedPage
from crawlers.trial.look import LOST, MOST_HOSTS, SiteSurvey
from ullage.errors import ConfigError, RecordError
from ullage.lookup.values import identifier_in

DAY = timedelta(days=1)
REVISIT_SECONDS = 300.0
SOONEST_SECONDS = 30.0
FULL = 10
"""The fewest entries of a list from which a rate may be derived over less than an hour.

A shorter list may hold all entries ever made.
"""
PART = 0.25
"""The share of a list's first page that may be new before the next visit."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many items appear: `an_hour` of `what`.

    With `at_least`, threads with something new were counted, not their posts.
    """

    an_hour: float
    what: str
    at_least: bool
    shown: int
    """Entries on the first page of the list."""

    @property
    def revisit_seconds(self) -> float:
        """Return how soon to visit the list again, so that no entry leaves it unseen."""
        soon = PART * self.shown / self.an_hour * 3600 if self.an_hour else REVISIT_SECONDS
        return max(SOONEST_SECONDS, min(REVISIT_SECONDS, soon // 10 * 10))


def estimate_rate(found: SiteSurvey, now: datetime) -> Rate | None:
    """Return how many items appear per hour, by the times on the list.

    Returns None if there is no list or it shows no times. Times more than a day ahead are ignored;
    without machine-readable times, those in the text of rows count, and the result says so.
    """
    if found.list is None:
        return None
    read, answered_at = found.list, None
    if read.answer.response is not None:
        answered_at = read_response_time(read.answer.response) or now
    times = [
        datetime.fromtimestamp(float(page.facts["time"]), now.tzinfo)
        for page in read.entries
        if page.facts.get("time")
    ]
    times += [post.published_at for post in read.parsed.posts if post.published_at]
    exact = bool(times)
    if not exact:
        dates = (DateFormats().parse(page.stamp, answered_at) for page in read.entries)
        times = [moment for moment in dates if moment] or _find_row_dates(read, answered_at)
    is_paste = any(page.role == "item" for page in read.entries)
    what = (
        "pastes"
        if is_paste
        else (
            "posts" if read.parsed.posts else "new threads" if exact else "threads with new posts"
        )
    )
    shown = len(read.entries) + len(read.parsed.posts)
    least = 1 / 60 if read.older or shown >= FULL else 1.0
    an_hour = _count_per_hour([time for time in times if time <= now + DAY], now, least)
    return Rate(an_hour, what, not exact, shown) if an_hour is not None else None


def _find_row_dates(read: ProbedPage, now: datetime | None) -> list[datetime]:
    """Return the newest date in the row of each entry; entries without one are left out.

    A row is the largest element that holds the link of one entry only. `now` is what relative dates
    refer to.
    """
    response = read.answer.response
    page = (
        selectors.parse_html(response).root
        if isinstance(response, TextResponse) and response.selector.type == "html"
        else None
    )
    links = (
        {response.urljoin(element.attrib["href"]): element.root for element in page.css("a[href]")}
        if page is not None and response
        else {}
    )
    ours = {links[entry.url] for entry in read.entries if entry.url in links}
    dates = []
    for link in ours:
        row = link
        while (above := row.getparent()) is not None and sum(
            element in ours for element in above.iter("a")
        ) == 1:
            row = above
        texts = (
            text
            for element in elements_in(row)
            for text in (
                text_before(element),
                text_behind(element),
                element.get("title"),
                element.get("datetime"),
            )
            if text
        )
        moments = [
            moment for text in texts if (moment := DateFormats().parse(text, now)) is not None
        ]
        dates += [max(moments)] if moments else []
    return dates


def _count_per_hour(times: Sequence[datetime], now: datetime, least: float) -> float | None:
    """Return the items per hour of the last day, if the list goes back so far.

    At least `least` hours are assumed. Returns None for fewer than two times.
    """
    if len(times) < 2:
        return None
    since = max(now - DAY, min(times)) if any(time >= now - DAY for time in times) else min(times)
    hours = max((now - since).total_seconds() / 3600, least)
    return sum(time >= since for time in times) / hours


def render_file(found: SiteSurvey, legal_basis: str, owner: str, now: datetime) -> str:
    """Return the text of the site's file; settings at their defaults are left out.

    Settings that a person has to state appear as comments.
    """
    site, read_as = found.site, found.read_as or found.site
    comes = estimate_rate(found, now)
    settings: dict[str, Any] = {"platform": read_as.platform, "start": list(site.start)}
    if site.hosts:
        settings["hosts"] = list(site.hosts)
    if comes and comes.revisit_seconds < SHORTEST_REVISIT_SECONDS:
        settings["revisit_min_seconds"] = int(comes.revisit_seconds)
    if site.allow_private:
        settings["allow_private"] = True
    if site.script:
        settings["script"] = True
    lines = [f"# Tried on {now:%Y-%m-%d}: {summarize(found)}."]
    lines += [f"{name} = {_to_toml(value)}" for name, value in settings.items()]
    for name, value_given in (("legal_basis", legal_basis), ("owner", owner)):
        lines.append(
            f"{name} = {_to_toml(value_given)}"
            if value_given
            else f'# {name} = ""  # required: without it nothing is read'
        )
    if read_as.options:
        lines += [
            "",
            "[options]",
            *(f"{name} = {_to_toml(value)}" for name, value in read_as.options.items()),
        ]
    return "\n".join(lines) + "\n"


def summarize(found: SiteSurvey) -> str:
    """Return one phrase on what was read of a site, as `20 threads on its first list`.

    Without a list it is `no list could be read`.
    """
    read = found.list
    if read is None:
        return "no list could be read"
    behind = (
        f", {format_count(len(found.posts), 'post')} in one of them"
        if found.thread and read.entries
        else ""
    )
    what = (
        "paste"
        if any(page.role == "item" for page in read.entries)
        else "thread"
        if read.entries
        else "post"
    )
    number = len(read.entries) or len(read.parsed.posts)
    return f"{format_count(number, what)} on its first list{behind}"


def format_count(number: int, what: str) -> str:
    """Format a number with its noun: `1 post`, `2,000 posts`; the plural is `what` with an s."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _to_toml(value: object) -> str:
    """Return a value as TOML writes it."""
    return json.dumps(
        list(value) if isinstance(value, tuple) else value, ensure_ascii=False
    ).replace("\x7f", "\\u007f")


@dataclass(frozen=True, slots=True)
class Mend:
    """How to repair a site that cannot be read: why, and the lines of its file to change.

    Lines to remove begin with `-`, lines to add with `+`.
    """

    why: str
    lines: tuple[str, ...] = ()


def propose_mends(found: SiteSurvey, presets: Presets) -> Iterator[Mend]:
    """Yield repairs of a site, the likeliest first; none if it can be read."""
    site, word = found.site, found.word
    if found.front and found.front.posts:
        yield _propose_front_page(found, found.front)
        return
    if found.is_known and found.by_script:
        yield Mend(
            f"scripts fill its pages; with a browser {summarize(found)} are read",
            ("+ script = true",),
        )
    if found.unrendered == "browser":
        yield ELSE["browser"]
        return
    if found.read_as and found.read_as is not site and found.posts:
        yield _propose_software(found)
    elif word in {"layout", "empty", "parse"}:
        yield from _find_blind_options(found, presets)
    if elsewhere := [*_propose_hosts(found)]:
        yield from elsewhere
    elif (
        found.thread_of
        or found.unreadable
        or (found.lists and found.list is None and not found.own)
    ):
        return
    elif word == "empty" and found.about:
        yield Mend(
            "give the address of one of its lists; if it has none, of a page that links"
            " to its posts (docs/sites.md)"
        )
    elif word in ELSE:
        yield _get_usual_mend(found)


def _get_usual_mend(found: SiteSurvey) -> Mend:
    """Return the usual repair if the pages show nothing more specific."""
    site, word = found.site, found.word
    if found.faults and word in LOST:
        return FAULTY
    if word == "address" and not all(
        map(can_be_site, parse_literal(urlsplit(site.start[0]).hostname or ""))
    ):
        return Mend("that address is not a site: it is a cloud metadata or link-local service")
    return ELSE[word]


def _propose_software(found: SiteSurvey) -> Mend:
    """Return the repair that replaces the site's software and options by those that read it."""
    site, read_as = found.site, found.read_as or found.site
    out = [f"- platform = {_to_toml(site.platform)}"] if site.platform != read_as.platform else []
    into = [f"+ platform = {_to_toml(read_as.platform)}"] if out else []
    if site.options:
        out += [
            "- [options]",
            *(f"- {name} = {_to_toml(value)}" for name, value in site.options.items()),
        ]
    if read_as.options:
        into += [
            "+ [options]",
            *(f"+ {name} = {_to_toml(value)}" for name, value in read_as.options.items()),
        ]
    why = f"its file reads nothing here; as {read_as.platform} it reads {summarize(found)}"
    return Mend(why, (*out, *into))


def _propose_front_page(found: SiteSurvey, front: SiteSurvey) -> Mend:
    """Return the repair of a site whose list is gone: its front page."""
    starts = (
        f"- start = {_to_toml(found.site.start)}",
        f"+ start = {_to_toml((*front.site.start, *found.site.start[1:]))}",
    )
    changed = (
        _propose_software(front).lines if front.read_as and front.read_as is not front.site else ()
    )
    why = f"its list no longer exists; from its front page {summarize(front)} are read"
    return Mend(
        why,
        (
            starts[0],
            *(line for line in changed if line[0] == "-"),
            starts[1],
            *(line for line in changed if line[0] == "+"),
        ),
    )


def _propose_hosts(found: SiteSurvey) -> Iterator[Mend]:
    """Yield at most one repair for other hosts that the site or its list leads to."""
    site, word = found.site, found.word
    if word in {"host", "login", "redirects"} and found.answer and found.answer.led_to:
        yield from _propose_move(site, found.answer.led_to, found.outside)
    elif found.list and (hosts := _find_hosts(site, found.list.entries, found.outside)):
        why = "its list links to a host that its file does not name: if it is the same site, add it"
        before = (f"- hosts = {_to_toml(site.hosts)}",) if site.hosts else ()
        yield Mend(why, (*before, f"+ hosts = {_to_toml((*site.hosts, *hosts))}"))


def _propose_move(site: Site, led_to: str, outside: Collection[str]) -> Iterator[Mend]:
    """Yield the repair of a site that redirects to an address that its file does not name.

    There are three: members-only pages, an address inside the organization (not in `outside`), and
    the changed `start`. Nothing if `led_to` is no address.
    """
    parts = split_url(led_to)
    if parts is None:
        return
    place = _to_host(parts)
    start_parts = urlsplit(site.start[0])
    if site.allows(led_to):
        yield Mend(
            "it redirects guests to a login page: members-only pages need the session of a member"
        )
        return
    if parts.hostname not in outside:
        yield Mend(
            f"it redirects to {place}, inside the organization or this machine, which no"
            " external site does: leave it out"
        )
        return
    start = f"{parts.scheme}://{parts.netloc}{start_parts.path}"
    yield Mend(
        (
            f"it redirects to {place}, which its file does not name: if it is the same site,"
            " add it; otherwise leave it out"
        ),
        (f"- start = {_to_toml(site.start)}", f"+ start = {_to_toml((start, *site.start[1:]))}"),
    )


def _to_host(parts: SplitResult) -> str:
    """Return a host as `hosts` names it, with its port unless that is a default one."""
    return parts.netloc if get_port(parts) not in {80, 443} else parts.hostname or ""


def _find_hosts(site: Site, entries: Sequence[PageAddress], outside: Collection[str]) -> list[str]:
    """Return the unnamed hosts that more than half of a list leads to, the commonest first.

    Only hosts in `outside` count. Hosts whose name reads like an identifier are left out, and
    so are those of addresses with credentials.
    """
    strange = [page.url for page in entries if not site.allows(page.url)]
    if len(strange) * 2 <= len(entries):
        return []
    linked = [
        parts
        for url in strange
        if (parts := split_url(url)) and "@" not in parts.netloc and parts.hostname in outside
    ]
    places = Counter(map(_to_host, linked))
    return [place for place, _ in places.most_common(MOST_HOSTS) if not identifier_in(place)]


def _find_blind_options(found: SiteSurvey, presets: Presets) -> Iterator[Mend]:
    """Yield repairs of the site's options that find nothing on this page.

    They are selectors and the pattern of its own file, not those of the preset. Nothing if the page
    was not fetched or cannot be parsed.
    """
    site, read = found.site, found.own
    response = read.answer.response if read else None
    if response is None:
        return
    try:
        preset = presets.get(site.platform) if site.platform in presets.list_names() else None
        kind = preset.platform if preset else site.platform
        layout = load_layout(
            site.name,
            {**(preset.options if preset else {}), **site.options},
            "json" if kind == "feed" else "css",
        )
        page = (
            selectors.parse_document(response) if kind == "feed" else selectors.parse_html(response)
        )
    except (ConfigError, RecordError):
        return
    for name in SELECTORS:
        if name in site.options and not getattr(layout, name).nodes(page.root):
            yield Mend(
                f"options.{name} no longer matches anything on the list",
                (f"- {name} = {_to_toml(site.options[name])}",),
            )
    if "pattern" in site.options and layout.pattern and page.kind == "html":
        urls = map(response.urljoin, page.root.css("a::attr(href)").getall())
        if not any(
            layout.pattern.search(urlsplit(url).path if layout.match == "path" else url)
            for url in urls
        ):
            yield Mend(
                "options.pattern no longer matches any link of the list",
                (f"- pattern = {_to_toml(site.options['pattern'])}",),
            )


SELECTORS = ("rows", "links", "post")
FAULTY = Mend(
    "a part of `sites try` failed on its pages, so its software is unknown: report the error above"
)
ELSE = {
    "robots": Mend(
        "robots.txt forbids the list: ask the site's owner, or leave the site out",
        ("+ enabled = false",),
    ),
    "address": Mend(
        "its address is not public; if that is intended",
        ("+ allow_private = true",),
    ),
    "tls": Mend(
        "its certificate is not trusted for its name: check that it is still the same"
        " site, and that `https` is correct"
    ),
    "challenge": Mend(
        "a robot check blocks it, which ullage does not solve: ask its owner for access"
        " or for a feed"
    ),
    "forbidden": Mend("it refuses access: ask its owner for access, or leave it out"),
    "busy": Mend(
        "it limits our requests: be slower",
        ("+ delay_seconds = 10.0", "+ revisit_seconds = 1800.0"),
    ),
    "gone": Mend(
        "its list no longer exists: run `ullage sites try` with its front page to find the lists"
    ),
    "login": Mend("it requires a login: members-only pages need the session of a member"),
    "empty": Mend(
        "no known platform reads a list here: describe its pages in [options] (docs/sites.md)"
    ),
    "layout": Mend(
        "no known platform reads posts here: describe its pages in [options] (docs/sites.md)"
    ),
    "browser": Mend("scripts fill its pages: install chromium and bubblewrap, and try again"),
    "parse": Mend("its platform cannot parse its pages: is `start` a list?"),
}
"""The usual repairs, where the pages show nothing more specific."""
assert ELSE.keys() <= MEANING.keys()
