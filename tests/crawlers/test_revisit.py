"""What a revisit costs and when it comes: unchanged lists, new posts, walks into the past, pages
that are forgotten.
"""

import json
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from scrapy.http import Response

from crawlers.fetching.conditional_requests import build_conditions, extract_validators
from crawlers.frontier.database import Frontier
from crawlers.frontier.forgetting import ROWS
from crawlers.sites.pages import PageAddress, PageContent
from crawlers.sites.posting_rhythm import HOUR
from crawlers.visiting.visit import reading_seconds, revisit_seconds
from tests.conftest import NOON, HeldClock
from tests.crawlers.conftest import Station
from tests.crawlers.support import KEY, Answers, item, make_site, post

LIST = PageAddress("http://board.example/list", "list")
SITE = "board"
DAY = 86400.0


def read_all(
    frontier: Frontier, parsed: Callable[[PageAddress], PageContent], walk: int = 0
) -> list[str]:
    """Visit to the end and return what was read, in order."""
    began, read = frontier.begin_visit(SITE, [LIST], walk), []
    while leased := frontier.lease(SITE):
        read.append(leased.page.url)
        frontier.finish(leased, parsed(leased.page), began)
    frontier.end_visit(SITE, 0.0, succeeded=True)
    return read


def board(pages: int, new: int) -> Callable[[PageAddress], PageContent]:
    """Return a board of list pages of 5 threads, with `new` more threads than before."""

    def parse_page(page: PageAddress) -> PageContent:
        if page.role != "list":
            return PageContent((post(int(page.url.split("/")[-2])),))
        first = pages * 5 + new - (page.number - 1) * 5
        older = PageAddress(
            f"{LIST.url}?page={page.number + 1}", "list", series=LIST.url, number=page.number + 1
        )
        threads = [item(number) for number in range(first, max(0, first - 5), -1)]
        return PageContent(pages=(*threads, older) if page.number < pages else tuple(threads))

    return parse_page


def test_large_board_with_few_new_threads_is_revisited_in_a_minute(
    frontier: Frontier, clock: HeldClock
) -> None:
    assert len(read_all(frontier, board(508, 0))) == 508 * 6
    clock.advance(300)
    assert read_all(frontier, board(508, 0)) == [LIST.url], "an unchanged board costs a page a list"
    clock.advance(300)
    read = read_all(frontier, board(508, 20))
    assert (len(read), reading_seconds(make_site(), len(read))) == (25, 48.0)


def test_thread_inserted_on_an_older_page_is_found_by_a_walk(
    frontier: Frontier, clock: HeldClock
) -> None:
    read_all(frontier, board(30, 0))
    late = item(99_999)

    def parse_backdated(page: PageAddress) -> PageContent:
        shown = board(30, 0)(page)
        return PageContent(shown.posts, (late, *shown.pages)) if page.number == 8 else shown

    clock.advance(300)
    assert read_all(frontier, parse_backdated) == [LIST.url]
    clock.advance(300)
    assert late.url in read_all(frontier, parse_backdated, walk=10)


@pytest.mark.parametrize(
    ("posts", "seconds"),
    [
        ({}, 300.0),
        ({0: 1}, 300.0),
        ({0: 100, 1: 200, 2: 250}, 180.0),
        ({0: 5000}, 60.0),
        ({6: 5000}, 300.0),
    ],
)
def test_busier_site_is_visited_sooner(posts: dict[int, int], seconds: float) -> None:
    this = int(NOON // HOUR)
    arrivals = {this - ago: count for ago, count in posts.items()}
    now = this * HOUR + HOUR / 2
    wait_seconds = revisit_seconds(make_site(), arrivals, now)
    assert wait_seconds == pytest.approx(seconds)
    assert revisit_seconds(make_site(revisit_min_seconds=200), arrivals, now) == max(
        200, wait_seconds
    )


def answer(**headers: str) -> Response:
    return Response(
        LIST.url, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def test_validators_are_sent_while_the_reading_is_unchanged() -> None:
    site = make_site()
    validators_ = extract_validators(
        answer(
            ETag='W/"7"', Last_Modified=formatdate(NOON, usegmt=True), Date=formatdate(NOON + 60)
        ),
        site,
    )
    sent = {"If-None-Match": 'W/"7"', "If-Modified-Since": formatdate(NOON, usegmt=True)}
    assert build_conditions(validators_, site) == sent
    assert build_conditions(validators_, make_site(delay_seconds=9)) == sent
    for changed_site in (
        make_site(platform="raw_paste"),
        make_site(options={"links": "b"}),
        make_site(session="#mine"),
    ):
        assert build_conditions(validators_, changed_site) == {}
    assert build_conditions(b"", site) == {}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ETag": "x" * 501},
        {"Last_Modified": formatdate(NOON)},
        # it may change again within this second
        {"Last_Modified": formatdate(NOON), "Date": formatdate(NOON + 1)},
        {"Last_Modified": "soon", "Date": "Thu, 99 Zed 999999999 99:99:99"},
    ],
)
def test_useless_validators_are_not_kept(headers: dict[str, str]) -> None:
    assert extract_validators(answer(**headers), make_site()) == b""


def test_unchanged_list_is_not_sent_again_except_for_a_walk(
    station: Station, server: Answers
) -> None:
    state = {"tag": '"1"', "body": '<a href="/paste0">x</a>', "sent": 0}

    def archive(handler: BaseHTTPRequestHandler) -> None:
        is_current = handler.headers.get("If-None-Match") == state["tag"]
        body = b"" if is_current else str(state["body"]).encode()
        state["sent"] = int(state["sent"]) + (not is_current)
        handler.send_response(304 if is_current else 200)
        for name, value in (
            ("ETag", state["tag"]),
            ("Content-Type", "text/html"),
            ("Content-Length", str(len(body))),
        ):
            handler.send_header(name, str(value))
        handler.end_headers()
        handler.wfile.write(body)

    server.pages["/archive"] = archive
    for name in ("paste0", "paste1"):
        server.says(f"/raw/{name}", "text", **{"Content-Type": "text/plain"})
    station.site("paste", f"{server.url}/archive", more="deep_every = 4")
    sent = []
    for visit in range(4):
        if visit == 2:
            state.update(tag='"2"', body='<a href="/paste0">x</a><a href="/paste1">x</a>')
        station.run("crawl", "--once")
        sent.append(state["sent"])
    assert sent == [1, 1, 2, 3]
    assert server.requested_paths.count("/archive") == 4
    assert {capture.post_id for capture in station.captures()} == {"paste0", "paste1"}
    assert json.loads(station.run("sites", "--json"))["state"] == "ok"


def test_first_reading_shows_its_remaining_time(station: Station, server: Answers) -> None:
    server.says("/archive", "".join(f'<a href="/paste{number}">x</a>' for number in range(9)))
    for number in range(9):
        server.says(f"/raw/paste{number}", "text", **{"Content-Type": "text/plain"})
    station.site("paste", f"{server.url}/archive", more="max_pages = 4\nrevisit_seconds = 600")
    lines = [
        json.loads(line)
        for line in station.run("crawl", "--once").splitlines()
        if '"first_reading"' in line
    ]
    assert [(line["pages"], line["seconds"]) for line in lines] == [(9, 1200), (6, 600)]
    assert "paste: first reading, 6 known pages left: at least 10 min" in station.run("sites")
    for _ in range(2):
        station.run("crawl", "--once")
    assert "first reading" not in station.run("sites")


def test_pages_no_longer_listed_are_forgotten_with_their_posts(
    tmp_path: Path, clock: HeldClock
) -> None:
    frontier = Frontier(tmp_path, KEY, clock.as_clock(), keep_days=90)
    old = [item(number) for number in range(ROWS + 10)]
    kept_page = item(999_999)

    def show_pages(*pages: PageAddress) -> Callable[[PageAddress], PageContent]:
        return lambda page: (
            PageContent(pages=pages)
            if page == LIST
            else PageContent((post(int(page.url.split("/")[-2])),))
        )

    read_all(frontier, show_pages(*old, kept_page))
    clock.advance(60 * DAY)
    read_all(frontier, show_pages(kept_page))
    clock.advance(31 * DAY)
    assert frontier.forgetting.forget_all() == 2 * len(old)
    assert frontier.count_pages(SITE) == {"due": 0, "leased": 0, "done": 2, "parked": 0}
    assert frontier.unseen(SITE, [post(999_999), post(1)]) == (post(1),)
    assert frontier.forgetting.turn() == 0, "once a day"
    assert read_all(frontier, show_pages(kept_page, old[0])) == [LIST.url, old[0].url]
    frontier.close()
