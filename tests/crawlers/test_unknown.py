"""Programs that no preset knows: read whole by what `sites try` guesses, or said not to be; and
what visits hold that against.
"""

import re
from collections.abc import Mapping
from urllib.parse import urldefrag

import pytest
from scrapy.http import HtmlResponse, Request

from crawlers.platforms import find_platform
from crawlers.sites.completeness import parse_post_count
from crawlers.sites.pages import PageAddress, PageContent
from crawlers.trial.answer import ProbeResponse
from crawlers.trial.look import SiteSurvey
from harness.reach.unknown import PEOPLE, Program, programs, told
from tests.crawlers.support import make_site
from tests.crawlers.test_trial import StaticSite, parts_of, response, survey

HOST = "http://board.example"
PROGRAMS = programs()
MOST_ASKED = 18
"""Requests of a trial: it has 24 seconds, and waits a second before each."""


def answer(url: str, body: str, charset: str) -> ProbeResponse:
    """Return a page in the charset that it declares."""
    named = body.replace("<head>", f'<head><meta charset="{charset}">', 1).encode(charset)
    headers = {"Content-Type": "text/html", "Date": "Thu, 26 Nov 2026 12:00:00 GMT"}
    return ProbeResponse(
        url, "ok", HtmlResponse(url, body=named, headers=headers, request=Request(url))
    )


def walk(found: SiteSurvey, pages: Mapping[str, ProbeResponse]) -> list[PageContent]:
    """Return everything that visits read of a site under the guessed options."""
    site, read, visited = found.read_as, [], set()
    platform = find_platform(site)
    due = list(platform.start(site))
    while due:
        page = due.pop()
        found_there = pages.get(urldefrag(page.url).url)
        if (
            found_there is not None
            and found_there.response is not None
            and page.name not in visited
        ):
            visited.add(page.name)
            read.append(platform.parse(page, found_there.response.replace(url=page.url), site))
            due += read[-1].pages
    return read


@pytest.mark.parametrize(
    "program",
    [program for program in PROGRAMS if not program.short],
    ids=lambda program: program.name,
)
def test_unknown_software_is_read_whole(program: Program) -> None:
    pages = {
        HOST + path: answer(HOST + path, page, program.charset)
        for path, page in program.site().items()
    }
    asks = StaticSite(pages)
    survey_ = survey(asks, start=HOST + program.start)
    assert survey_.doubts == ()
    assert len(asks.asked) < MOST_ASKED
    read = walk(survey_, pages)
    texts = [
        re.sub(r"<[^>]*>", " ", post.body.decode()) for parsed in read for post in parsed.posts
    ]
    assert [person for person in PEOPLE if not any(person in text for text in texts)] == []
    assert {parsed.lacking for parsed in read} == {""}
    planted = sum(map(len, told()))
    assert planted <= len(texts) <= planted * 2, (
        "what stands around a post may be taken for one, and no two posts for one"
    )


@pytest.mark.parametrize(
    "program", [program for program in PROGRAMS if program.short], ids=lambda program: program.name
)
def test_unknown_software_with_unread_pages_is_reported_incomplete(
    program: Program,
) -> None:
    pages = {HOST + path: page for path, page in program.site().items()}
    survey_ = survey(StaticSite(pages), start=HOST + program.start)
    assert survey_.doubts
    assert survey_.doubts[0].startswith(program.short)
    assert parts_of(survey_)["incomplete"] == ("FAULT", survey_.doubts[0])


OPTIONS = {"links": "a.t", "pattern": "/t/(?P<id>[0-9]+)", "post": "div.post", "body": ".text"}
POSTS = "".join(
    f'<div class="post" id="p{n}"><b>li</b><div class="text">a text of number {n}</div></div>'
    for n in range(4)
)


def lacking(body: str, role: str = "thread", **options: object) -> str:
    """Return what a visit reports as missing on a page."""
    site = make_site(platform="board", options={**OPTIONS, **options})
    url = f"{HOST}/t/7" if role == "thread" else f"{HOST}/list"
    return (
        find_platform(site)
        .parse(
            PageAddress(url, role, series=url, facts={"id": "7"}),
            response(url, f"<body>{body}</body>"),
            site,
        )
        .lacking
    )


@pytest.mark.parametrize(
    ("body", "options", "short"),
    [
        (POSTS, {}, ""),
        (f'{POSTS}<section><div class="text">another</div></section>', {}, "fewer"),
        (
            POSTS.replace("<b>li</b>", f"<p>{'signature ' * 40}</p>").replace(
                "a text of number ", ""
            ),
            {},
            "fewer",
        ),
        (POSTS, {"id": "b", "id_pattern": "^.+$"}, "fewer"),
        (f'{POSTS}<a href="/t/7?page=2">2</a>', {}, "fewer"),
        (f'{POSTS}<a href="/t/7?page=2"><img></a>', {}, "fewer"),
        (f'{POSTS}<a href="/t/7?page=2">2</a>', {"numbered": True}, ""),
        (f'{POSTS}<a class="on" href="/t/7?page=2">2</a>', {"next": "a.on"}, ""),
        (f'{POSTS}<a href="/t/8">2</a><a href="/u/2">2</a><a href="/t/7#p2">2</a>', {}, ""),
    ],
    ids=[
        "whole",
        "an unread text",
        "headers",
        "one id",
        "a number",
        "an arrow",
        "followed",
        "next",
        "unrelated links",
    ],
)
def test_each_visit_compares_what_was_read_with_what_is_shown(
    body: str, options: dict[str, object], short: str
) -> None:
    assert lacking(body, **options) == short


@pytest.mark.parametrize(
    ("around", "says"),
    [
        ("<p>Replies: 12</p>", 13),
        ("<h2>12 Answers</h2>", 13),
        ("<p>共有 12 条回复</p>", 13),
        ("<div><b>12</b> replies</div>", 13),
        ("<p>46 posts &bull; Page 1 of 5</p>", 46),
        ("<p>The board has 46 posts</p>", None),
        ("<p>3 replies</p><p>More: 5 replies</p>", None),
        ('<div class="post"><div class="text">I have 12 replies</div></div>', None),
    ],
)
def test_stated_thread_length_is_kept_for_comparison(around: str, says: int | None) -> None:
    site = make_site(platform="board", options=OPTIONS)
    page = PageAddress(f"{HOST}/t/7", "thread", series=f"{HOST}/t/7", facts={"id": "7"})
    assert (
        find_platform(site)
        .parse(page, response(page.url, f"<body>{around}{POSTS}</body>"), site)
        .counted
        == says
    )


@pytest.mark.parametrize("date", ["14 November 2026", "Nov 14, 2026", "14.11.2026"])
def test_year_is_not_a_number_of_replies(date: str) -> None:
    site = make_site(platform="board", options=OPTIONS)
    page = PageAddress(
        f"{HOST}/t/7", "thread", series=f"{HOST}/t/7", facts={"id": "7", "title": "An offer"}
    )
    shown = response(page.url, f"<body><p>{date}</p><a>Comments</a>{POSTS}</body>")
    assert find_platform(site).parse(page, shown, site).counted is None


def test_number_in_a_title_is_not_a_number_of_replies() -> None:
    site = make_site(platform="board", options={**OPTIONS, "rows": "li"})
    page = PageAddress(f"{HOST}/list", "list")
    row = '<li><a class="t" href="/t/7">An offer, lot 25</a> <a href="/t/7#c">Comments</a></li>'
    (entry,) = find_platform(site).parse(page, response(page.url, f"<ul>{row}</ul>"), site).pages
    assert "posts" not in entry.facts
    shown = response(entry.url, f"<body><h1>An offer, lot 25</h1><a>Comments</a>{POSTS}</body>")
    assert find_platform(site).parse(entry, shown, site).counted is None


@pytest.mark.parametrize(
    ("row", "says"), [("<b>12</b> replies", "13"), ("回复：12", "13"), ("Posted by 12", None)]
)
def test_reply_count_of_a_row_is_compared_for_custom_sites(row: str, says: str | None) -> None:
    site = make_site(platform="board", options={**OPTIONS, "rows": "li"})
    page = PageAddress(f"{HOST}/list", "list")
    (entry,) = (
        find_platform(site)
        .parse(
            page,
            response(page.url, f'<ul><li><a class="t" href="/t/7">A</a> {row}</li></ul>'),
            site,
        )
        .pages
    )
    assert entry.facts.get("posts") == says


def test_list_read_only_on_its_first_page_is_incomplete() -> None:
    rows = "".join(f'<li><a class="t" href="/t/{n}">{n}</a></li>' for n in range(5))
    assert lacking(rows, "list") == ""
    assert lacking(f'{rows}<a href="/list?page=2">2</a>', "list") == "fewer"
    assert lacking(f'{rows}<a href="/list?page=2">2</a>', "list", numbered=True) == ""


@pytest.mark.parametrize(
    ("row", "posts"),
    [
        ("12 replies", 13),
        ("An offer 1,204 Posts", 1204),
        ("回复 5 条回复", 6),
        ("Replies: 1,204 Views: 9", 1205),
        ("回复：12 查看：300", 13),
        ("查看：300 回复：0", 1),
        ("回帖 7", 8),
        ("12 Antworten", 13),
        ("18+ messages", 18),
        ("1 answer", 2),
        ("3 replies, 4 comments", None),
        ("page 3 Reply", None),
        ("回复 3楼", None),
        ("Replies: 2026-11-02", None),
        ("x 12 y", None),
    ],
)
def test_post_count_is_parsed_from_a_row(row: str, posts: int | None) -> None:
    assert parse_post_count(row) == posts


NOTED = re.compile(r"(?<=>)(?=<(?!/?(?:script|style|title|option|textarea)))")


@pytest.mark.parametrize(
    "program",
    [program for program in PROGRAMS if not program.short],
    ids=lambda program: program.name,
)
def test_comments_and_processing_instructions_do_not_affect_guesses(program: Program) -> None:
    pages = {
        HOST + path: answer(
            HOST + path, NOTED.sub("<!-- a note --><?php echo 1 ?>", page), program.charset
        )
        for path, page in program.site().items()
    }
    survey_ = survey(StaticSite(pages), start=HOST + program.start)
    assert survey_.doubts == ()
    texts = [
        re.sub(r"<[^>]*>", " ", post.body.decode())
        for parsed in walk(survey_, pages)
        for post in parsed.posts
    ]
    assert [person for person in PEOPLE if not any(person in text for text in texts)] == []
