"""A page is read completely or it says that it is not: rows, addresses and further pages are
held against what was read.
"""

import asyncio

import pytest

from crawlers.platforms import find_platform
from crawlers.sites.pages import PageAddress, PageContent, Post
from crawlers.sites.presets import Presets
from crawlers.sites.repeated_text import RepeatedText
from crawlers.sites.visit_verdict import (
    UNKNOWN,
    Evidence,
    UnreadStreak,
    explain_state,
    judge,
    update_streak,
)
from crawlers.trial import checks, unknown
from crawlers.trial.answer import ProbeResponse
from crawlers.trial.guess import _parse_root, build_pattern
from crawlers.trial.look import SiteSurvey, look
from tests.crawlers.support import make_site
from tests.crawlers.test_trial import StaticSite, parts_of, response, survey

HOST = "http://board.example"
OPTIONS = {
    "rows": "li.row",
    "links": "a.t",
    "pattern": "^https?://[^/]+/t/(?P<id>[0-9]+)",
    "post": "div.post",
    "body": ".text",
}
ROWS = "".join(
    f'<li class="row"><a class="t" href="/t/{n}">A title of {n}</a></li>' for n in range(12)
)


def read(body: str, url: str = f"{HOST}/list", **options: str) -> PageContent:
    site = make_site(platform="board", options={**OPTIONS, **options})
    return find_platform(site).parse(
        PageAddress(url, "list"), response(url, f"<body><ul>{body}</ul></body>"), site
    )


@pytest.mark.parametrize(
    ("row", "options", "short"),
    [
        ("", {}, ""),
        (
            '<li class="row"><a class="t" href="/news/5">Elsewhere</a></li>',
            {},
            "1 of 13 rows of the list link to an address",
        ),
        (
            '<li class="row"><b><a href="/t/77">Bold and of no class</a></b></li>',
            {},
            "1 of 13 rows of the list link to an address",
        ),
        ('<li class="row">No link at all</li>', {}, ""),
        ('<li class="row"><a class="t" href="/login">Log in</a></li>', {}, ""),
        (
            '<li class="row"><a class="t" href="/t/3/another-thing">Another</a></li>',
            {},
            "13 addresses of the list have 12 ids",
        ),
        ('<li class="row"><a class="t" href="/t/3?page=4">The same again</a></li>', {}, ""),
        (
            '<li class="row moved"><a class="t" href="/moved/5">Moved</a></li>',
            {"where": "xpath:self::*[not(@class='row moved')]"},
            "",
        ),
    ],
    ids=[
        "whole",
        "refused",
        "not selected",
        "no address",
        "login",
        "one id",
        "a later page",
        "declared exception",
    ],
)
def test_every_list_row_is_read_or_a_declared_exception(
    row: str, options: dict[str, str], short: str
) -> None:
    listing = read(ROWS + row, **options)
    assert listing.shortfall.startswith(short)
    assert listing.lacking == ("fewer" if short else "")


@pytest.mark.parametrize(
    ("pager", "is_short"),
    [
        ('<p><b>1</b> <a href="/?index-2.htm">2</a></p>', True),
        (
            (
                '<ul><li class="active"><a href="/list">1</a></li><li><a'
                ' href="/index/zwei">2</a></li></ul>'
            ),
            True,
        ),
        ('<ul><li class="active"><span>1</span></li><li><a href="/more">›</a></li></ul>', True),
        ('<div class="pg"><strong>1</strong><a href="/x/y">下一页</a></div>', True),
        ('<div class="pg"><strong>1</strong><a href="javascript:go(2)">2</a></div>', True),
        ('<div class="pg"><strong>1</strong><a class="disabled" href="/x">›</a></div>', False),
        ('<div class="pg"><strong>1</strong><a href="/list">›</a></div>', False),
        ('<p>See <a href="/about">next topic</a></p>', False),
        (
            '<table class="calendar"><tr><td>1</td><td><a href="/day/two">2</a></td></tr></table>',
            False,
        ),
        ('<div><a href="http://other.example/2">2</a><b>1</b></div>', False),
    ],
)
def test_unfollowed_next_page_makes_the_list_incomplete(pager: str, is_short: bool) -> None:
    assert read(ROWS + pager).lacking == ("fewer" if is_short else "")
    if is_short and "javascript" not in pager:
        assert read(ROWS + pager, next="p > a, li:not(.active) > a, div.pg > a").lacking == ""


@pytest.mark.parametrize(
    ("above", "short"),
    [
        (
            '<aside><h1><a href="/t/99">A featured article</a></h1></aside>',
            "1 headings link to entries outside the rows",
        ),
        ('<aside><h1><a href="/t/3">An article of the list</a></h1></aside>', ""),
        ('<nav><h2><a href="/t/99">In a menu</a></h2></nav>', ""),
        ('<h2><a href="/about">The board</a></h2>', ""),
    ],
    ids=["featured", "listed", "menu", "no entry"],
)
def test_entry_in_a_heading_outside_the_rows_makes_the_list_incomplete(
    above: str, short: str
) -> None:
    assert read(above + ROWS).shortfall == short


def test_preset_missing_rows_or_pages_makes_the_list_incomplete() -> None:
    site = make_site(platform="phpbb")
    row = '<li class="row"><a class="topictitle" href="./viewtopic.php?f=2&t={n}">A title</a></li>'
    rows = (
        "".join(row.format(n=n) for n in range(5))
        + '<li class="row"><a class="topictitle" href="./viewtopic.php?p=5">B</a></li>'
    )
    url = f"{HOST}/viewforum.php?f=2"
    listing = find_platform(site).parse(
        PageAddress(url, "list"),
        response(url, f'<body><ul class="topiclist topics">{rows}</ul></body>'),
        site,
    )
    assert (listing.lacking, listing.shortfall[:9]) == ("fewer", "1 of 6 ro")


@pytest.mark.parametrize(
    ("urls", "names"),
    [
        (["/2026/09/an-offer/", "/2026/10/a-sale/", "/2026/11/a-reply/"], 3),
        (["/2025/09/x/", "/2026/09/x/", "/2026/10/x/"], 3),
        (
            [
                "/forum.cgi?forum=2&topic=7",
                "/forum.cgi?forum=3&topic=8",
                "/forum.cgi?forum=4&topic=9",
            ],
            3,
        ),
    ],
)
def test_pattern_covers_whole_addresses_and_takes_no_month_for_an_id(
    urls: list[str], names: int
) -> None:
    pattern = build_pattern([HOST + url for url in urls])
    assert pattern.startswith("^https?://[^/]+/")
    rows = "".join(f'<li class="row"><a class="t" href="{url}">A title</a></li>' for url in urls)
    listing = read(rows, pattern=pattern)
    assert (len({page.name for page in listing.pages}), listing.lacking) == (names, "")


def board(thread: str) -> StaticSite:
    """Return a board whose threads look like `thread`, in which `{n}` is the thread's number."""
    rows = "".join(
        f'<li class="row"><a class="t" href="/t/{n}/">An offer with a title of {n}</a></li>'
        for n in range(6)
    )
    pages: dict[str, str | ProbeResponse] = {
        f"{HOST}/": f"<html><body><ul>{rows}</ul></body></html>"
    }
    for n in range(6):
        page = thread.replace("{n}", str(n))
        pages[f"{HOST}/t/{n}/"] = (
            f"<html><head><title>An offer {n}</title></head><body>{page}</body></html>"
        )
    return StaticSite(pages)


REPLY = (
    '<div class="c"><b>reader{k}</b> <time datetime="2026-11-2{k}T10:00:00Z">x</time>'
    " <i>reply {k} to the words of {{n}} here</i></div>"
)
HOLDER = (
    '<a href="/">Home</a><div class="page"><h1>An offer {n}</h1><p>article {n} in words of its'
    ' own</p><form action="/say"><input name="text"></form>'
    + "".join(REPLY.format(k=k) for k in range(3))
    + "</div>"
)


def test_first_post_and_replies_of_different_layout_are_read() -> None:
    result = survey(board(HOLDER.replace("<p>", '<p class="first">')), start=f"{HOST}/")
    assert result.doubts == ()
    assert len(result.posts) == 4


def test_archive_of_everything_is_preferred_to_a_front_page() -> None:
    site = board(HOLDER.replace("<p>", '<p class="first">'))
    row = '<li class="{c}"><a class="t" href="/t/{n}/">An offer with a title of {n}</a></li>'
    rows = {
        name: "".join(row.format(n=n, c=name) for n in range(last))
        for name, last in (("new", 4), ("all", 6))
    }
    front = (
        f'<html><body><ul>{rows["new"]}</ul><p><a href="/archive/">All of'
        " them</a></p></body></html>"
    )
    pages = {
        **site.pages,
        f"{HOST}/": front,
        f"{HOST}/archive/": f"<html><body><ul>{rows['all']}</ul></body></html>",
    }
    result = survey(StaticSite(pages), start=f"{HOST}/")
    assert (result.doubts, result.site.start, len(result.list.entries)) == (
        (),
        (f"{HOST}/archive/",),
        6,
    )


@pytest.mark.parametrize(
    ("entry", "is_read"),
    [
        ('<li class="new"><a class="t" href="/t/{n}/">An offer with a title of {n}</a></li>', True),
        ('<p><a href="/t/{n}/">{n}</a></p>', False),
    ],
    ids=["known markup", "unknown markup"],
)
def test_monthly_archives_are_read_or_reported(entry: str, is_read: bool) -> None:
    site = board(HOLDER.replace("<p>", '<p class="first">'))
    rows = "".join(
        f'<li class="new"><a class="t" href="/t/{n}/">An offer with a title of {n}</a></li>'
        for n in range(4)
    )
    links = '<a href="/archive/2026/11/">November</a> <a href="/archive/2026/10/">October</a>'
    front = f"<html><body><ul>{rows}</ul><p>{links}</p></body></html>"
    old = "".join(entry.format(n=n) for n in (4, 5))
    pages = {
        **site.pages,
        f"{HOST}/": front,
        f"{HOST}/archive/2026/10/": f"<html><body><ul>{old}</ul></body></html>",
    }
    result = survey(StaticSite(pages), start=f"{HOST}/")
    assert result.posts
    assert result.doubts == (() if is_read else (unknown.UNREAD,))
    assert ("lists_pattern" in result.read_as.options) == is_read


@pytest.mark.parametrize("post", ["div.page", "body > div"])
def test_element_with_title_and_several_posts_is_not_a_post(post: str) -> None:
    site = make_site(platform="board", options={**OPTIONS, "post": post, "body": "xpath:."})
    roots = [
        _parse_root(
            response(
                f"{HOST}/t/{n}",
                f"<body>{HOLDER.format(n=n)}{'<p>a footer of many words</p>' * 9}</body>",
            )
        )
        for n in (1, 2)
    ]
    assert list(checks.find_container_doubts(site, roots)) == [
        "the element found as a post contains the title or a form, and several posts"
    ]


def test_element_covering_nearly_the_whole_page_is_not_a_post() -> None:
    site = make_site(platform="board", options={**OPTIONS, "post": "div.all", "body": "xpath:."})
    whole = [
        _parse_root(
            response(
                f"{HOST}/t/{n}", f'<body><div class="all">{"words " * 40}</div><p>x</p></body>'
            )
        )
        for n in (1, 2)
    ]
    part = [
        _parse_root(
            response(
                f"{HOST}/t/{n}", f'<body><div class="all">words</div><p>{"menu " * 9}</p></body>'
            )
        )
        for n in (1, 2)
    ]
    assert list(checks.find_container_doubts(site, whole)) == [
        "the element found as a post is nearly the whole page"
    ]
    assert list(checks.find_container_doubts(site, part)) == []


def test_site_read_incompletely_by_a_preset_gets_no_file() -> None:
    row = '<li class="row"><a class="topictitle" href="./viewtopic.php?f=2&t={n}">A title</a></li>'
    rows = (
        "".join(row.format(n=n) for n in range(5))
        + '<p><strong>1</strong> <a href="/zwei">2</a></p>'
    )
    shown = (
        '<div id="p{n}" class="post"><div class="postbody"><div'
        ' class="content">words</div></div></div>'
    )
    thread = f'<body id="phpbb" class="section-viewtopic">{shown}</body>'
    pages = {f"{HOST}/viewtopic.php?f=2&t={n}": thread.format(n=n) for n in range(5)}
    start = f"{HOST}/viewforum.php?f=2"
    static_site = StaticSite(
        {
            **pages,
            start: (
                '<body id="phpbb" class="section-viewforum"><ul class="topiclist'
                f' topics">{rows}</ul></body>'
            ),
        }
    )
    result = survey(static_site, start=start)
    assert result.read_as is not None
    assert result.read_as.platform == "phpbb"
    assert parts_of(result)["incomplete"] == ("FAULT", "page 2 of a list is not followed")


@pytest.mark.parametrize("left", range(1, 7))
def test_probe_interrupted_by_timeout_is_in_doubt(left: int) -> None:
    """Of a board time is up before its second page, or while a guess is held against its pages."""
    site = board(HOLDER.replace("<p>", '<p class="first">'))

    class SlowSite(StaticSite):
        async def get(self, url: str) -> ProbeResponse:
            if len(self.asked) == left:
                raise asyncio.CancelledError
            return await super().get(url)

    result = SiteSurvey(make_site(platform="board", start=[f"{HOST}/"]))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(look(result, SlowSite(site.pages), Presets()))
    result.end(in_time=False)
    assert not result.posts or result.doubts


def test_next_page_after_the_timeout_leaves_the_preset_in_doubt() -> None:
    thread = (
        "<body id=phpbb><div id=p1 class=post><div class=postbody><div"
        " class=content>words</div></div></div></body>"
    )
    row = '<li class="row"><a class="topictitle" href="./viewtopic.php?f=2&t={n}">A title</a></li>'
    rows = (
        "".join(row.format(n=n) for n in range(5))
        + '<div class="pagination"><a rel="next" href="?f=2&start=5">2</a></div>'
    )
    start = f"{HOST}/viewforum.php?f=2"

    class SlowSite(StaticSite):
        async def get(self, url: str) -> ProbeResponse:
            if "start=5" in url:
                raise asyncio.CancelledError
            return await super().get(url)

    pages = {f"{HOST}/viewtopic.php?f=2&t={n}": thread for n in range(5)}
    listing = (
        '<body id="phpbb" class="section-viewforum"><ul class="topiclist'
        f' topics">{rows}</ul></body>'
    )
    result = SiteSurvey(make_site(platform="board", start=[start]))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(look(result, SlowSite({**pages, start: listing}), Presets()))
    result.end(in_time=False)
    assert result.posts
    assert result.doubts == ("the time limit was reached before everything was examined",)


def post(text: str, thread: str, author: str) -> Post:
    return Post("1", "http://b/", text.encode(), author=author, thread=thread)


WALL = "To see this content you must log in"


@pytest.mark.parametrize(
    ("new", "is_wall"),
    [
        ([(WALL, f"t{n}", f"member{n % 5}") for n in range(18)], True),
        ([(WALL, f"t{n}", "seller") for n in range(9)], False),
        ([*((WALL, f"t{n}", "seller") for n in range(9)), ("another text", "t1", "member")], False),
        ([(WALL, f"t{n % 2}", f"member{n}") for n in range(9)], False),
        ([(f"text {n}", f"t{n}", f"member{n}") for n in range(9)], False),
        ([(WALL, f"t{n}", "") for n in range(9)], False),
    ],
    ids=[
        "a login wall",
        "one seller",
        "a seller and a member",
        "two threads",
        "posts",
        "no authors",
    ],
)
def test_repeated_identical_text_means_an_expired_login(
    new: list[tuple[str, str, str]], is_wall: bool
) -> None:
    evidence = Evidence(texts=RepeatedText())
    evidence.note("ok", head=True)
    for text, thread, author in new:
        evidence.texts.note_read(post(text, thread, author))
        evidence.texts.note_new(post(text, thread, author))
        evidence.note_posts([(True, True, True)])
    state = judge(evidence, UNKNOWN)
    assert (state, explain_state(evidence, state)) == (
        ("login_expired", "login") if is_wall else ("ok", "")
    )
    assert update_streak(evidence, UnreadStreak()).speaks == is_wall


def test_login_wall_persists_until_something_else_is_read() -> None:
    streak = UnreadStreak(3, "login")
    for texts, stays in ([WALL], True), ([WALL, "a post at last"], False):
        evidence = Evidence()
        for number, text in enumerate(texts):
            evidence.texts.note_read(post(text, f"t{number}", "member"))
            evidence.note_posts([(True, True, True)])
        assert (update_streak(evidence, streak) == streak) == stays


def test_site_with_an_unread_past_is_incomplete() -> None:
    evidence = Evidence(unread_past=9040)
    evidence.note("ok", head=True)
    evidence.note_posts([(True, True, True)])
    assert (judge(evidence, UNKNOWN), explain_state(evidence, "incomplete")) == (
        "incomplete",
        "first reading",
    )


def test_page_without_a_cause_leaves_the_cause_of_its_outcome() -> None:
    evidence = Evidence()
    for cause in ("login", ""):
        evidence.note("blocked", head=True, cause=cause)
    assert evidence.causes == {"blocked": "login"}
