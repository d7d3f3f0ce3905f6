"""Report the results of a probe, a line per part: what was examined, whether it is good, and why.

Text from the pages is masked: of a name or a title only its shape is shown, letters as x and digits
as 0. Dates are shown.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal
from urllib.parse import urlsplit

from rich.table import Table
from scrapy.http import Response

from crawlers.fetching import response_checks
from crawlers.fetching.scripted_pages import DATA
from crawlers.sites import visit_verdict
from crawlers.sites.pages import Post
from crawlers.sites.selectors import parse_content_type
from crawlers.sites.visit_verdict import MEANING
from crawlers.trial.answer import find_data, is_filled_by_script
from crawlers.trial.look import LIST_NAME, SiteSurvey, list_link_kinds
from crawlers.trial.proposal import Mend, estimate_rate, format_count
from ullage.display import moment
from ullage.display.screen import cell

Mark = Literal["ok", "WARN", "FAULT", "-"]
STYLES = {"ok": "green", "WARN": "yellow", "FAULT": "bold red", "-": "dim"}
LONGEST_SHAPE = 24
OFTEN = 0.5
GATES = frozenset({"login", "challenge"})
"""Reasons for which a site shows none of its pages, so that nothing is reported about them."""
LONG_DELAY_SECONDS = 10.0
RENDERING = frozenset({"browser", "script"})
"""Reasons for which a page with scripts could not be rendered."""
MOST_PATHS = 3


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One line of the report.

    The mark `-` means that nothing is known: the part was not reached, or the site has none.
    """

    part: str
    mark: Mark
    said: str


def mask(text: str) -> str:
    """Return the shape of `text`: letters as x, Chinese signs and their like as 中, digits as 0.

    >>> mask("Zhang 138, 张三")
    'Xxxxx 000, 中中'
    """
    return "".join(_mask_sign(sign) for sign in text[:LONGEST_SHAPE]) + (
        "…" if len(text) > LONGEST_SHAPE else ""
    )


def _mask_sign(sign: str) -> str:
    kind = unicodedata.category(sign)
    classes = {"Lu": "X", "Ll": "x", "Nd": "0", "Lo": "中", "Zs": " "}
    return classes.get(kind, sign if sign.isascii() and sign.isprintable() else "·")


def build_lines(found: SiteSurvey, now: datetime, zone: tzinfo | None = None) -> list[ReportLine]:
    """Return the lines of every part, in order, up to the one that ended the probe."""
    return [line for part in PARTS for line in part(found, now, zone)]


def _report_robots(found: SiteSurvey, *_: object) -> Iterator[ReportLine]:
    robots = found.robots
    if found.is_elsewhere:
        name = LIST_NAME.search(found.site.start[0])
        yield ReportLine(
            "address",
            "WARN",
            (
                f"it has no list; it links to {name[0] if name else 'another'}, where"
                " everything below was found"
            ),
        )
    if robots is None:
        yield ReportLine("robots.txt", "WARN", "not fetched: `robots = false` in its file")
    elif not robots.allowed:
        yield ReportLine("robots.txt", "FAULT", MEANING[robots.word or "robots"])
    else:
        answer_text = (
            "allows the list"
            if robots.status // 100 == 2
            else f"none ({robots.status}), so everything is allowed"
        )
        slow = f"; {robots.delay:g} s between requests" if robots.delay else ""
        yield ReportLine(
            "robots.txt", "WARN" if robots.delay > LONG_DELAY_SECONDS else "ok", answer_text + slow
        )


def _report_answer(found: SiteSurvey, *_: object) -> Iterator[ReportLine]:
    answer = found.answer
    if answer is None:
        return
    if answer.response is None:
        yield ReportLine("answer", "FAULT", f"{answer.word}: {MEANING[answer.word]}")
        return
    response, (media_type, charset) = answer.response, parse_content_type(answer.response)
    answer_text = (
        f"{response.status}, {media_type}{f' in {charset}' if charset else ''},"
        f" {_size(len(response.body))}"
    )
    seconds = response.meta.get("download_latency", 0.0) if response.request else 0.0
    yield ReportLine(
        "answer", "ok" if response.status == 200 else "FAULT", f"{answer_text}, {seconds:.1f} s"
    )
    word = answer.word or found.word
    wall = word in {"challenge", "forbidden", "busy", "unavailable"}
    yield ReportLine(
        "wall",
        "FAULT" if wall else "ok",
        f"{word}: {MEANING[word]}" if wall else "none: no challenge, no refusal",
    )
    login = word == "login"
    box = not login and response_checks.asks_for_password(response)
    guest = "none: guests can read it" + ("; it has a small login form" if box else "")
    yield ReportLine("login", "FAULT" if login else "ok", MEANING["login"] if login else guest)
    if word not in {"", "login", "empty", "layout", "parse"} and not wall:
        yield ReportLine("page", "FAULT", f"{word}: {MEANING[word]}")


def _report_script(found: SiteSurvey, *_: object) -> Iterator[ReportLine]:
    response = found.answer.response if found.answer else None
    if found.by_script:
        yield ReportLine(
            "script",
            "WARN",
            "a script fills the page: a browser renders it (`script = true`)"
            f"{_describe_json_requests(response)}",
        )
        return
    if found.list is not None or found.word in GATES or not is_filled_by_script(response):
        return
    if data := find_data(response):
        source = f'from JSON in it: `platform = "feed"` with `embedded = "{data}"` reads that'
        yield ReportLine("script", "WARN", f"a script fills the page, {source}")
    else:
        tried = (
            f"; {found.unrendered}: {MEANING[found.unrendered]}"
            if found.unrendered in RENDERING
            else ""
        )
        advice = (
            "a script fills the page, without JSON in it: give the address of the list that it"
            f" asks for{tried}"
        )
        yield ReportLine("script", "FAULT", advice)


def _describe_json_requests(response: Response | None) -> str:
    """Describe the JSON that a page's scripts requested; "" for none."""
    urls = response.request.meta.get(DATA, ()) if response is not None and response.request else ()
    paths = ", ".join(list(dict.fromkeys(urlsplit(url).path for url in urls))[:MOST_PATHS])
    return (
        f"; it requests JSON at {paths}: if that is the list, reading it as a feed costs less"
        if paths
        else ""
    )


def _report_software(found: SiteSurvey, *_: object) -> Iterator[ReportLine]:
    if found.answer is None or found.answer.word:
        return
    read_as, marked = found.read_as, {match.name: match.why for match in found.recognised}
    if marked and found.word in GATES:
        yield ReportLine("software", "ok", f"{', '.join(marked)}, by its markers")
    elif found.thread_of:
        yield ReportLine(
            "software",
            "ok",
            f"{found.thread_of}: {format_count(len(marked[found.thread_of]), 'mark')} found",
        )
    elif found.unreadable:
        yield ReportLine("software", "FAULT", f"{next(iter(marked))}: {found.unreadable}")
    elif read_as is None:
        likely = f"it looks like {', '.join(marked)}, which finds no list here: {found.about}"
        named = (
            likely
            if marked
            else ("unknown: detection failed" if found.faults else "unknown: no markers found")
        )
        yield ReportLine("software", "FAULT", named)
    elif read_as.platform in marked:
        yield ReportLine(
            "software",
            "ok",
            f"{read_as.platform}: {format_count(len(marked[read_as.platform]), 'mark')} found",
        )
    elif read_as.platform == "board" and read_as is not found.site:
        yield ReportLine(
            "software",
            "WARN",
            "unknown: it is read by its layout, so check that everything below is correct",
        )
    else:
        how = (
            "by its file"
            if found.is_known and read_as is found.site
            else "by what parses its pages: no markers found"
        )
        yield ReportLine(
            "software",
            "ok" if found.is_known and read_as is found.site else "WARN",
            f"{read_as.platform}, {how}",
        )


def _report_list(found: SiteSurvey, *_: object) -> Iterator[ReportLine]:
    if found.answer is None or found.answer.word:
        return
    read = found.list
    if found.thread_of:
        yield ReportLine(
            "list",
            "FAULT",
            "it is a single thread: give the address of its list, or of the front page",
        )
        return
    if found.unreadable or (read is None and found.word in GATES):
        return
    if read is None and found.lists:
        yield ReportLine(
            "list",
            "FAULT",
            (
                f"it links to {format_count(found.lists, 'other list')}; none of those that"
                " were opened links to a post"
            ),
        )
        return
    if read is None:
        kinds = ", ".join(f"{number} to {kind}" for kind, number in _find_kinds(found))
        targets = f"; it links to {kinds}" if kinds else "; it links to no group of similar pages"
        yield ReportLine("list", "FAULT", f"it has no thread, paste or post{targets}")
        return
    if found.lists:
        yield ReportLine("lists", "ok", f"it links to {format_count(found.lists, 'other list')}")
    what = "paste" if any(page.role == "item" for page in read.entries) else "thread"
    entries_text = (
        format_count(len(read.entries), what)
        if read.entries
        else format_count(len(read.parsed.posts), "post") + " on the list itself"
    )
    yield ReportLine("list", "FAULT" if read.word else "ok", entries_text)
    if read.older is None:
        yield ReportLine(
            "next page", "-", "none: everything is on one page, or its link is not read"
        )
    elif found.older is not None:
        names = {page.name for page in read.entries} | {post.post_id for post in read.parsed.posts}
        behind = {page.name for page in found.older.entries} | {
            post.post_id for post in found.older.parsed.posts
        }
        more = len(behind - names)
        yield ReportLine(
            "next page",
            "ok" if more else "WARN",
            f"has {more} more" if more else "has nothing new",
        )
    else:
        yield ReportLine("next page", "-", "there is one, which was not examined")
    if any(page.role == "thread" for page in read.entries):
        stamps = [page.stamp for page in read.entries if page.stamp]
        stamps_text = (
            f"{len(stamps)} of {len(read.entries)}, such as {mask(stamps[0])}"
            if stamps
            else "none: new posts in a thread are not detected"
        )
        yield ReportLine("stamp", "ok" if len(stamps) == len(read.entries) else "WARN", stamps_text)


def _find_kinds(found: SiteSurvey) -> Sequence[tuple[str, int]]:
    response = found.answer.response if found.answer else None
    return (
        [(kind, number) for kind, number in list_link_kinds(response) if number > 1]
        if response
        else ()
    )


def _report_thread(found: SiteSurvey, now: datetime, zone: tzinfo | None) -> Iterator[ReportLine]:
    read, posts = found.thread, found.posts
    if found.list is None:
        return
    if read is not None:
        part = "paste" if read.page.role == "item" else "thread"
        more = ", and a next page" if read.older else ""
        word = visit_verdict.to_post_reason(read.word)
        fault = f"{word}: {MEANING[word]}" if word else "no posts were read in it"
        yield ReportLine(
            part,
            "ok" if posts else "FAULT",
            f"{format_count(len(posts), 'post')}{more}" if posts else fault,
        )
    if not posts:
        return
    yield _report_field("author", posts, lambda post: post.author)
    dated = [post.published_at for post in posts if post.published_at]
    newest = max(dated, default=None)
    dates_text = (
        f"{len(dated)} of {len(posts)}, the newest {moment(newest, zone)}" if newest else "none"
    )
    ahead = newest is not None and (newest - now).total_seconds() > 86400
    yield ReportLine(
        "date",
        "WARN" if ahead or len(dated) < len(posts) else "ok",
        dates_text + (", which is in the future" if ahead else ""),
    )
    sizes = sorted(len(post.body) for post in posts)
    least, most = _size(sizes[0]), _size(sizes[-1])
    span = (
        most
        if least == most
        else f"{least.removesuffix(' bytes') if most.endswith(' bytes') else least} to {most}"
    )
    yield ReportLine(
        "text", "ok" if sizes[-1] else "FAULT", f"{span} a post, {posts[0].media_type}"
    )


def _report_field(part: str, posts: Sequence[Post], of: Callable[[Post], str]) -> ReportLine:
    """Report how many posts have a field; pastes often have no author."""
    having = [of(post) for post in posts if of(post)]
    example = f"{len(having)} of {len(posts)}, such as {mask(having[0])}" if having else "none"
    failing: Mark = "-" if not having and posts[0].kind == "paste" else "WARN"
    return ReportLine(part, "ok" if len(having) == len(posts) else failing, example)


def _report_rate(found: SiteSurvey, now: datetime, _: object) -> Iterator[ReportLine]:
    if found.list is None:
        return
    comes = estimate_rate(found, now)
    if comes is None:
        yield ReportLine("rate", "-", "unknown: the list shows no times")
        return
    often, per = (
        (comes.an_hour, "an hour") if comes.an_hour >= OFTEN else (comes.an_hour * 24, "a day")
    )
    number = f"{often:.2g}" if often < 10 else f"{often:,.0f}"
    rate_text = f"{'at least ' if comes.at_least else 'about '}{number} {comes.what} {per}"
    yield ReportLine("rate", "ok", f"{rate_text}: revisit every {comes.revisit_seconds:g} s")


def _report_lateness(found: SiteSurvey, *_: object) -> Iterator[ReportLine]:
    if found.is_late:
        yield ReportLine("time", "WARN", "limit reached before everything was examined")


def _report_doubts(found: SiteSurvey, *_: object) -> Iterator[ReportLine]:
    for doubt in found.doubts[:1]:
        yield ReportLine("incomplete", "FAULT", doubt)


def _report_faults(found: SiteSurvey, *_: object) -> Iterator[ReportLine]:
    mark: Mark = "WARN" if found.posts and not found.doubts else "FAULT"
    for fault in dict.fromkeys(found.faults):
        yield ReportLine(
            "guess",
            mark,
            f'"{fault.part}" failed ({fault.cause}) and was left out: please report it',
        )


PARTS = (
    _report_robots,
    _report_answer,
    _report_script,
    _report_software,
    _report_list,
    _report_thread,
    _report_faults,
    _report_doubts,
    _report_rate,
    _report_lateness,
)


def build_table(shown: Sequence[ReportLine]) -> Table:
    """Return the lines as a table; the last column wraps."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for line in shown:
        grid.add_row(cell(line.mark, STYLES[line.mark]), cell(line.part), cell(line.said))
    return grid


def as_json(
    found: SiteSurvey, shown: Sequence[ReportLine], mends: Sequence[Mend] = ()
) -> dict[str, Any]:
    """Return the report of a probe as a JSON object for programs."""
    return {
        "site": found.site.name,
        "start": list(found.site.start),
        "platform": found.read_as.platform if found.read_as and found.posts else None,
        "reason": found.word or None,
        "parts": [{"part": line.part, "mark": line.mark, "said": line.said} for line in shown],
        "mends": [{"why": mend.why, "lines": list(mend.lines)} for mend in mends],
    }


def _size(number: int) -> str:
    return f"{number} bytes" if number < 1000 else f"{number / 1000:.0f} kB"


def now_of(seconds: float) -> datetime:
    """Return the time `seconds`, in Unix seconds, as a date in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
