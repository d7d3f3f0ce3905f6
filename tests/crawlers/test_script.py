"""Pages that scripts fill: what they ask for goes by every rule of a visit, and what cannot be
rendered is said.

Most of it stands here without a browser, which is a function that asks; how real ones behave is in
`harness/live/test_script.py`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from scrapy import Request
from scrapy.http import HtmlResponse, Response

from crawlers.fetching import RequestRefusal
from crawlers.fetching.body_limit import STOPPED
from crawlers.fetching.conditional_requests import build_conditions
from crawlers.fetching.outcomes import FATES, Fate
from crawlers.fetching.rendering import (
    Ask,
    BrowserError,
    BrowserResponse,
    RenderedPage,
    ScriptError,
)
from crawlers.fetching.response_checks import LACKS, classify_page
from crawlers.fetching.scripted_pages import DATA, RENDER, ScriptPages, is_own_page
from crawlers.frontier.leases import PageLease
from crawlers.platforms import resolve_site
from crawlers.sites.pages import PageAddress, PageContent
from crawlers.sites.presets import Presets
from tests.crawlers.chromium import OPTIONS, ROUTED, SHELL, board, require_browser
from tests.crawlers.conftest import Station
from tests.crawlers.proxies import Socks, proxying
from tests.crawlers.support import Answers, make_site

URL = "http://board.example/"
Show = Callable[[Ask], Awaitable[RenderedPage]]
Answer = Response | BaseException


class FakeBrowsers:
    """Stands for the browsers: a page's script is `show`, a function that asks."""

    def __init__(self, show: Show) -> None:
        self.show, self.given, self.urls = show, list[BrowserResponse](), list[str]()

    async def render(self, url: str, page: BrowserResponse, agent: str, ask: Ask) -> RenderedPage:
        self.given.append(page)
        self.urls.append(url)
        return await self.show(ask)


class Crawler:
    """What the middleware needs of Scrapy's."""

    def __init__(self, show: Show, answers: dict[str, Answer], limit: int = 10_000) -> None:
        self.spider = self.engine = self.visit = self
        self.browsers, self.answers, self.asked = FakeBrowsers(show), answers, list[Request]()
        self.limit = limit
        self.settings = self

    def __getitem__(self, name: str) -> str:
        return "honest"

    def getint(self, name: str) -> int:
        return self.limit

    async def download_async(self, request: Request) -> Response:
        self.asked.append(request)
        answer = self.answers[request.url]
        if isinstance(answer, BaseException):
            raise answer
        return answer


def response(
    url: str,
    body: str = "x",
    kind: str = "text/html; charset=utf-8",
    status: int = 200,
    **headers: str,
) -> Response:
    return HtmlResponse(
        url,
        status,
        headers={"Content-Type": kind, **headers},
        body=body.encode(),
        request=Request(url),
    )


def render(
    show: Show,
    answers: dict[str, Answer] | None = None,
    page: Response | None = None,
    limit: int = 10_000,
):
    """Return the page as the middleware passes it on, the crawler, and the request."""
    crawler = Crawler(show, answers or {}, limit)
    request = Request(URL, meta={RENDER: True})
    page_ = asyncio.run(
        ScriptPages(crawler).process_response(request, page or response(URL, SHELL))
    )
    return page_, crawler, request


async def done(_: Ask) -> RenderedPage:
    return RenderedPage("<p>一</p>")


def test_rendered_page_is_utf_8_html() -> None:
    gbk = HtmlResponse(
        URL, headers={"Content-Type": "text/html; charset=gbk"}, body="空".encode("gbk")
    )
    page, crawler, _ = render(done, page=gbk)
    assert (page.text, page.encoding) == ("<p>一</p>", "utf-8")
    assert page.headers["Content-Type"] == b"text/html; charset=utf-8"
    (shown_request,) = crawler.browsers.given
    assert (shown_request.body, dict(shown_request.headers)) == (
        "空".encode("gbk"),
        {"Content-Type": "text/html; charset=gbk"},
    )


def test_script_requests_are_made_by_us_with_only_their_own_headers() -> None:
    async def show(ask: Ask) -> RenderedPage:
        headers = {
            "Accept": "application/json", "X-Page": "2", "Cookie": "a=b",
            "User-Agent": "HeadlessChrome", "Referer": URL,
            "Authorization": "Bearer x", "X-Forwarded-For": "127.0.0.1", "Origin": "null",
        }  # fmt: skip
        answer_ = await ask(f"{URL}api", "data", headers)
        return RenderedPage(answer_.body.decode())

    answer = response(
        f"{URL}api", json.dumps(["x" * 300]), "application/json", Set_Cookie="a=b", X_Total="7"
    )
    page, crawler, request = render(show, {f"{URL}api": answer})
    (request_,) = crawler.asked
    assert dict(request_.headers.to_unicode_dict()) == {"Accept": "application/json", "X-Page": "2"}
    assert not request_.meta.get(RENDER)
    assert page.text == answer.text
    assert request.meta[DATA] == [f"{URL}api"]


def test_script_answer_sets_no_cookie_and_is_not_redirected() -> None:
    headers = []

    async def show(ask: Ask) -> RenderedPage:
        headers.append(await ask(f"{URL}a.js", "script", {}))
        return RenderedPage("")

    answer = response(
        f"{URL}a.js",
        "1",
        "text/javascript",
        **{"Set-Cookie": "a=b", "Refresh": "0", "X-Total": "7"},
    )
    render(show, {f"{URL}a.js": answer})
    assert {name for name, _ in headers[0].headers} == {"Content-Type", "X-Total"}


@pytest.mark.parametrize("kind", ["host", "address", "robots", "dns"])
def test_blocked_script_request_explains_an_empty_page(kind: str) -> None:
    async def show(ask: Ask) -> RenderedPage:
        assert await ask("http://elsewhere.example/", "data", {}) is None
        return RenderedPage("<html></html>")

    page, _, _ = render(show, {"http://elsewhere.example/": RequestRefusal(kind)})
    outcome = classify_page(
        PageLease("board", b"", PageAddress(URL, "list"), b"", 0), page, PageContent(), make_site()
    )
    assert outcome == ("script" if FATES[kind] is Fate.GIVE_UP else kind)
    content = PageContent(pages=(PageAddress(f"{URL}t/1", "thread"),))
    assert (
        classify_page(
            PageLease("board", b"", PageAddress(URL, "list"), b"", 0), page, content, make_site()
        )
        == "ok"
    )


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(401, "login"), (429, "busy"), (500, "status"), (404, "script"), (403, "forbidden")],
)
def test_list_with_failed_data_requests_is_not_empty(status: int, outcome: str) -> None:
    async def show(ask: Ask) -> RenderedPage:
        answer_ = await ask(f"{URL}api", "data", {})
        assert answer_.status == status
        return RenderedPage("<html></html>")

    page, _, _ = render(
        show, {f"{URL}api": response(f"{URL}api", "{}", "application/json", status)}
    )
    assert (
        classify_page(
            PageLease("board", b"", PageAddress(URL, "list"), b"", 0),
            page,
            PageContent(),
            make_site(),
        )
        == outcome
    )


@pytest.mark.parametrize("would", ["leads_on", "would_write"])
def test_script_that_redirects_or_writes_explains_an_empty_page(
    would: str,
) -> None:
    async def show(_: Ask) -> RenderedPage:
        return RenderedPage("<html></html>", **{would: True})

    page, _, _ = render(show)
    outcome = classify_page(
        PageLease("board", b"", PageAddress(URL, "list"), b"", 0), page, PageContent(), make_site()
    )
    assert outcome == {"leads_on": "redirects", "would_write": "script"}[would]


def test_page_showing_nothing_is_not_an_empty_list() -> None:
    async def show(_: Ask) -> RenderedPage:
        return RenderedPage(
            "<html><body><script>throw 1</script><noscript>Scripts, please</noscript></body></html>"
        )

    page, _, _ = render(show)
    assert (
        classify_page(
            PageLease("board", b"", PageAddress(URL, "list"), b"", 0),
            page,
            PageContent(),
            make_site(),
        )
        == "script"
    )


def test_failed_request_after_the_last_thread_page_is_ignored() -> None:
    page = response(URL).replace(flags=[f"{LACKS}host"])
    last = PageAddress(URL, "thread", series=URL, number=3)
    assert (
        classify_page(PageLease("board", b"", last, b"", 0), page, PageContent(), make_site())
        == "ok"
    )


def test_script_requests_share_the_byte_limit_of_a_page() -> None:
    async def show(ask: Ask) -> RenderedPage:
        for number in range(5):
            await ask(f"{URL}{number}", "data", {})
        return RenderedPage("")

    answers = {f"{URL}{number}": response(f"{URL}{number}", "x" * 300) for number in range(5)}
    with pytest.raises(RequestRefusal, match="script"):
        render(show, answers, limit=1000)
    render(show, answers, limit=1500)
    answers[f"{URL}0"] = answers[f"{URL}0"].replace(flags=[STOPPED])
    with pytest.raises(RequestRefusal, match="script"):
        render(show, answers, limit=10_000)


def test_script_is_requested_once_a_visit_and_data_for_every_page() -> None:
    async def show(ask: Ask) -> RenderedPage:
        await ask(f"{URL}a.js", "script", {})
        await ask(f"{URL}api", "data", {})
        return RenderedPage("")

    crawler = Crawler(
        show, {f"{URL}a.js": response(f"{URL}a.js"), f"{URL}api": response(f"{URL}api")}
    )
    pages = ScriptPages(crawler)
    for _ in range(3):
        asyncio.run(pages.process_response(Request(URL, meta={RENDER: True}), response(URL, SHELL)))
    assert [request.url for request in crawler.asked].count(f"{URL}a.js") == 1
    assert [request.url for request in crawler.asked].count(f"{URL}api") == 3


@pytest.mark.parametrize(
    ("page", "rendering"),
    [
        (response(URL, SHELL), True),
        (response(URL, SHELL, status=403), False),
        (response(URL, "{}", "application/json"), False),
        (response(URL, SHELL, **{"cf-mitigated": "challenge"}), False),
        (
            response(
                URL,
                "<title>Just a moment...</title><script"
                " src=/cdn-cgi/challenge-platform/x></script>",
            ),
            False,
        ),
        (Response(URL, headers={"Content-Type": "text/html"}, body=b"\x00"), False),
    ],
)
def test_errors_challenges_and_non_pages_are_not_rendered(page: Response, rendering: bool) -> None:
    assert is_own_page(URL, page) is rendering


@pytest.mark.parametrize(
    ("error", "word"), [(BrowserError("gone"), "browser"), (ScriptError(), "script")]
)
def test_rendering_failure_has_its_own_outcome(error: Exception, word: str) -> None:
    async def show(_: Ask) -> RenderedPage:
        raise error

    with pytest.raises(RequestRefusal, match=word):
        render(show)


def test_too_long_rendered_page_is_marked_as_cut() -> None:
    async def show(_: Ask) -> RenderedPage:
        return RenderedPage("<p>", is_cut=True)

    assert STOPPED in render(show)[0].flags


def test_script_page_is_never_requested_conditionally() -> None:
    validators = json.dumps({"If-None-Match": "x", "reading": "any"}).encode()
    assert build_conditions(validators, make_site(script=True)) == {}


def test_preset_may_require_scripts(tmp_path: Path) -> None:
    (tmp_path / "spa.toml").write_text(
        'about = "x"\nplatform = "board"\nscript = true\n[options]\n' + OPTIONS.partition("]")[2]
    )
    presets = Presets(tmp_path)
    presets.refresh()
    assert resolve_site(make_site(platform="spa"), presets).script
    assert not resolve_site(make_site(), presets).script


@pytest.mark.parametrize(
    ("browser", "cage", "words"),
    [
        ("/nowhere/chromium", "exit 0", "/nowhere/chromium does not exist: install chromium"),
        ("/bin/true", "", "bwrap does not exist: install bubblewrap"),
        ("/bin/true", "exit 1", "does not start"),
    ],
)
def test_missing_browser_is_reported_by_check_and_the_site_is_unread(
    station: Station,
    server: Answers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    browser: str,
    cage: str,
    words: str,
) -> None:
    # instead of the machine's: it may have a browser, a cage, both or neither
    programs = tmp_path / "programs"
    programs.mkdir()
    if cage:
        (programs / "bwrap").write_text(f"#!/bin/sh\n{cage}\n")
        (programs / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    board(server, {1: ["text"]})
    station.site("spa", f"{server.url}/", "board", OPTIONS)
    assert "not read: spa" in station.run("crawl", "--once", exits=1, crawl__browser=browser)
    (row,) = map(json.loads, station.run("sites", "--json").splitlines())
    assert (row["state"], row["reason"]) == ("unreachable", "browser")
    assert not station.captures()
    (entry,) = [
        line
        for line in station.run("check", exits=1, crawl__browser=browser).splitlines()
        if " browser" in line
    ]
    assert entry.startswith("FAULT")
    assert words in entry


def test_only_one_page_is_requested_without_a_browser(station: Station, server: Answers) -> None:
    board(server, {1: ["text"]})
    station.site(
        "spa",
        f"{server.url}/",
        "board",
        OPTIONS.replace("script", f'start = ["{server.url}/", "{server.url}/2"]\nscript', 1),
    )
    path = station.data / "sites.d" / "spa.toml"
    path.write_text(
        "\n".join(
            line for line in path.read_text().splitlines() if line != f'start = ["{server.url}/"]'
        )
    )
    station.run("crawl", "--once", exits=1, crawl__browser="/nowhere/chromium")
    assert server.requested_paths == ["/robots.txt", "/"]


def test_script_requests_use_only_the_proxy_of_the_site(station: Station, server: Answers) -> None:
    require_browser()
    board(server, {1: ["text"]})
    with proxying(Socks) as way:
        way.names = {"ullagetestullagetest.onion": ("127.0.0.1", server.port)}
        config = station.data / "ullage.toml"
        config.write_text(
            f"{config.read_text()}\n[crawl.proxies.out]\naddress ="
            f' "socks5h://127.0.0.1:{way.port}"\n'
        )
        more = f'allow_private = false\nproxy = "out"\n{OPTIONS}'
        station.site("spa", "http://ullagetestullagetest.onion/", "board", more)
        station.names = ["ullagetestullagetest.onion=127.0.0.1"]
        station.run("crawl", "--once")
    assert [capture.body for capture in station.captures()] == [b"text"]
    assert {"/app.js", "/api/list", "/api/t/1"} <= {*server.requested_paths}
    assert {*way.connections} == {("ullagetestullagetest.onion", 80)}
    assert server.hosts == {"ullagetestullagetest.onion"}


def test_threads_behind_fragment_routes_are_read(station: Station, server: Answers) -> None:
    require_browser()
    threads = {number: [f"第{number}个主题", f"回复 {number}"] for number in (1, 2)}
    board(server, threads, ROUTED)
    station.site("spa", f"{server.url}/#/list", "board", OPTIONS)
    station.run("crawl", "--once")
    texts = sorted(capture.body.decode() for capture in station.captures())
    assert texts == sorted(text for texts_of in threads.values() for text in texts_of)
    assert "/t/1" not in server.requested_paths
    (row,) = map(json.loads, station.run("sites", "--json").splitlines())
    assert row["state"] == "ok"


def test_fragment_is_sent_to_the_browser_but_not_to_the_site() -> None:
    async def show(_: Ask) -> RenderedPage:
        return RenderedPage("<html></html>")

    crawler = Crawler(show, {})
    for route in ("#/t/1", ""):
        request = Request(f"{URL}{route}", meta={RENDER: True})
        asyncio.run(ScriptPages(crawler).process_response(request, response(URL, SHELL)))
    assert crawler.browsers.urls == [f"{URL}#/t/1", URL]


def test_lists_and_threads_filled_by_a_script_are_read(station: Station, server: Answers) -> None:
    require_browser()
    threads = {number: [f"第{number}个主题", f"回复 {number}"] for number in (1, 2, 3)}
    board(server, threads)
    server.says("/robots.txt", "User-agent: *\nDisallow: /t/3")
    station.site("spa", f"{server.url}/", "board", OPTIONS)
    station.run("crawl", "--once")
    texts = sorted(capture.body.decode() for capture in station.captures())
    assert texts == sorted(text for number in (1, 2) for text in threads[number])
    assert {"/app.css", "/logo.png", "/t/3", "/api/t/3"}.isdisjoint(server.requested_paths)
    assert server.requested_paths.count("/app.js") == 1
    assert len(server.agents) == 1
    (row,) = map(json.loads, station.run("sites", "--json").splitlines())
    assert row["state"] == "ok"
    server.says("/api/list", "{}", status=503, Content_Type="application/json")
    station.run("crawl", "--once", exits=1)
    (row,) = map(json.loads, station.run("sites", "--json").splitlines())
    assert (row["state"], row["reason"]) == ("unreachable", "unavailable")
