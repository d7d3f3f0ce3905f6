"""Programs that no preset knows: read whole by what `sites try` guesses, or said not to be; and what visits hold that against."""

import re
from collections.abc import Mapping
from urllib.parse import urldefrag

import pytest

from crawlers.platforms import platform_of
from crawlers.sites.pages import Page, Parsed
from crawlers.trial import checks
from crawlers.trial.look import Found
from tests.crawlers.support import make_site
from tests.crawlers.test_trial import Told, looked, response, said
from tests.reach.unknown import PEOPLE, Program, programs, told

HOST = "http://board.example"
PROGRAMS = programs()
MOST_ASKED = 15
"""Requests of a trial: it has twenty seconds, and waits a second before each."""


def walked(found: Found, pages: Mapping[str, str]) -> list[Parsed]:
    """All that visits read of a site by what was guessed."""
    site, read, seen = found.read_as, [], set()
    platform = platform_of(site)
    due = list(platform.start(site))
    while due:
        page = due.pop()
        body = pages.get(urldefrag(page.url).url)
        if body is not None and page.name not in seen:
            seen.add(page.name)
            read.append(platform.parse(page, response(page.url, body), site))
            due += read[-1].pages
    return read


@pytest.mark.parametrize("program", [one for one in PROGRAMS if not one.short], ids=lambda one: one.name)
def test_an_unknown_program_is_read_whole(program: Program) -> None:
    pages = {HOST + path: page for path, page in program.site().items()}
    asks = Told(pages)
    found = looked(asks, start=HOST + program.start)
    assert found.doubts == ()
    assert len(asks.asked) < MOST_ASKED
    read = walked(found, pages)
    texts = [re.sub(r"<[^>]*>", " ", post.body.decode()) for parsed in read for post in parsed.posts]
    assert [person for person in PEOPLE if not any(person in text for text in texts)] == []
    assert {parsed.lacking for parsed in read} == {""}
    planted = sum(map(len, told()))
    assert planted <= len(texts) <= planted * 1.25, "a heading may be taken for a post, and no post for two"


@pytest.mark.parametrize("program", [one for one in PROGRAMS if one.short], ids=lambda one: one.name)
def test_an_unknown_program_of_which_only_first_pages_can_be_read_is_said_to_be_incomplete(program: Program) -> None:
    pages = {HOST + path: page for path, page in program.site().items()}
    found = looked(Told(pages), start=HOST + program.start)
    assert found.doubts
    assert found.doubts[0].startswith(program.short)
    assert said(found)["incomplete"] == ("FAULT", found.doubts[0])


OPTIONS = {"links": "a.t", "pattern": "/t/(?P<id>[0-9]+)", "post": "div.post", "body": ".text"}
POSTS = "".join(f'<div class="post" id="p{n}"><b>li</b><div class="text">a text of number {n}</div></div>' for n in range(4))


def lacking(body: str, role: str = "thread", **options: object) -> str:
    """What a visit says of a page."""
    site = make_site(platform="board", options={**OPTIONS, **options})
    url = f"{HOST}/t/7" if role == "thread" else f"{HOST}/list"
    return (
        platform_of(site)
        .parse(Page(url, role, series=url, facts={"id": "7"}), response(url, f"<body>{body}</body>"), site)
        .lacking
    )


@pytest.mark.parametrize(
    ("body", "options", "short"),
    [
        (POSTS, {}, ""),
        (f'{POSTS}<section><div class="text">another</div></section>', {}, "fewer"),
        (POSTS.replace("<b>li</b>", f"<p>{'signature ' * 40}</p>").replace("a text of number ", ""), {}, "fewer"),
        (POSTS, {"id": "b", "id_pattern": "^.+$"}, "fewer"),
        (f'{POSTS}<a href="/t/7?page=2">2</a>', {}, "fewer"),
        (f'{POSTS}<a href="/t/7?page=2"><img></a>', {}, "fewer"),
        (f'{POSTS}<a href="/t/7?page=2">2</a>', {"numbered": True}, ""),
        (f'{POSTS}<a class="on" href="/t/7?page=2">2</a>', {"next": "a.on"}, ""),
        (f'{POSTS}<a href="/t/8">2</a><a href="/u/2">2</a><a href="/t/7#p2">2</a>', {}, ""),
    ],
    ids=["whole", "a text elsewhere", "headers", "one id", "a number", "an arrow", "followed", "next", "other things"],
)
def test_each_visit_holds_what_was_read_against_what_a_page_shows(body: str, options: dict[str, object], short: str) -> None:
    assert lacking(body, **options) == short


def test_a_list_of_which_only_the_first_page_is_read_is_short() -> None:
    rows = "".join(f'<li><a class="t" href="/t/{n}">{n}</a></li>' for n in range(5))
    assert lacking(rows, "list") == ""
    assert lacking(f'{rows}<a href="/list?page=2">2</a>', "list") == "fewer"
    assert lacking(f'{rows}<a href="/list?page=2">2</a>', "list", numbered=True) == ""


@pytest.mark.parametrize(
    ("row", "posts"),
    [("12 replies", 13), ("An offer 1,204 Posts", 1204), ("回复 5 条回复", 6), ("3 replies, 4 comments", None), ("x 12 y", None)],
)
def test_how_many_posts_a_row_says_that_a_thread_has(row: str, posts: int | None) -> None:
    assert checks.counted(row) == posts
