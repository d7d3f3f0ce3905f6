"""What a page says of its site, and that no poster can make it say so."""

import pytest
from scrapy.http import HtmlResponse, Request, Response, TextResponse

from crawlers.fetching.outcomes import FATES
from crawlers.fetching.response_checks import classify_answer, classify_page, is_login, load_marks
from crawlers.frontier.leases import PageLease
from crawlers.sites.pages import PageAddress, PageContent, Post
from tests.crawlers.support import item, make_site, post

URL = "http://board.example/list"
CHALLENGE = (
    "<title>Just a moment...</title><script"
    " src='/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1'></script>"
)
LIST, THREAD = PageAddress(URL, "list"), PageAddress("http://board.example/thread/1", "thread")
FILLER = "<p>menu and footer of a page of the usual size</p>" * 40


def answer(
    body: str = "",
    status: int = 200,
    headers: dict[str, str] | None = None,
    url: str = URL,
    via: str = "",
) -> HtmlResponse:
    request = Request(url, meta={"redirect_urls": [via]} if via else {})
    return HtmlResponse(
        url,
        status=status,
        headers=headers or {},
        body=body.encode(),
        request=request,
        encoding="utf-8",
    )


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "ok"),
        (401, "login"),
        (403, "forbidden"),
        (404, "gone"),
        (410, "gone"),
        (429, "busy"),
        (503, "unavailable"),
        (500, "status"),
    ],
)
def test_status_alone_decides_the_outcome(status: int, outcome: str) -> None:
    assert classify_answer(URL, answer(FILLER, status)) == outcome
    assert outcome in FATES


@pytest.mark.parametrize("status", [403, 429, 503])
@pytest.mark.parametrize("text", load_marks().challenge)
def test_error_page_with_a_mark_is_a_challenge(status: int, text: str) -> None:
    assert classify_answer(URL, answer(f"<html>{text.upper()}</html>", status)) == "blocked"


@pytest.mark.parametrize(
    ("name", "value"), [("cf-mitigated", "challenge"), ("x-amzn-waf-action", "captcha")]
)
@pytest.mark.parametrize("status", [200, 202, 403, 405])
def test_challenge_header_counts_on_any_status(name: str, value: str, status: int) -> None:
    assert classify_answer(URL, answer("", status, {name: value})) == "blocked"
    assert classify_answer(URL, answer("", 200, {"cf-mitigated": "none"})) == "ok"


def test_protection_header_on_a_normal_page_is_not_a_challenge() -> None:
    """DataDome names itself on every answer."""
    assert classify_answer(URL, answer(FILLER, 200, {"X-DataDome": "protected"})) == "ok"
    assert (
        classify_answer(
            URL,
            answer(
                "<script src='https://ct.captcha-delivery.com/c.js'>",
                403,
                {"X-DataDome": "protected"},
            ),
        )
        == "blocked"
    )


@pytest.mark.parametrize("status", [200, 404, 500])
def test_mark_written_by_a_poster_decides_nothing(status: int) -> None:
    assert classify_answer(URL, answer(CHALLENGE, status)) != "blocked"
    leased = PageLease("board", b"", item(1), b"", 0)
    assert (
        classify_page(leased, answer(CHALLENGE), PageContent((post(1, CHALLENGE),)), make_site())
        == "ok"
    )
    thread = PageLease("board", b"", THREAD, b"", 0)
    assert (
        classify_page(
            thread,
            answer(CHALLENGE + "<input type=password>"),
            PageContent((post(1, CHALLENGE),)),
            make_site(),
        )
        == "ok"
    )
    listing = PageLease("board", b"", LIST, b"", 0, 5, 100)
    assert (
        classify_page(
            listing,
            answer(f"<a href=/1>{CHALLENGE} 请先登录</a>"),
            PageContent(pages=(item(1),)),
            make_site(),
        )
        == "ok"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://b.example/login",
        "http://b.example/user/login/",
        "http://b.example/member.php?mod=logging&action=login",
        "http://b.example/ucp.php?mode=login",
        "http://b.example/Account/Login.aspx",
        "http://sso.example/sso",
        "http://b.example/index.php?action=login",
        "http://b.example/signin?next=/x",
    ],
)
def test_login_addresses_are_recognised(url: str) -> None:
    assert is_login(url)
    assert classify_answer(URL, answer("", url=url, via=URL)) == "login"
    assert classify_answer(url, answer("", url=url, via=url)) == "ok"  # it is what was asked for
    assert classify_answer(URL, answer("", url=url)) == "ok"  # nobody was sent there


@pytest.mark.parametrize(
    "url",
    [
        "http://b.example/",
        "http://b.example/topic/4/how-to-login",
        "http://b.example/blogin",
        "http://b.example/authors/",
    ],
)
def test_lookalike_addresses_are_not_logins(url: str) -> None:
    assert not is_login(url)
    assert classify_answer(URL, answer("", url=url, via=URL)) == "ok"


def page_outcome(
    page: PageAddress,
    body: str,
    parsed: PageContent,
    entries: int = 0,
    size: int = 0,
    **site: object,
) -> str:
    return classify_page(
        PageLease("board", b"", page, b"", 0, entries, size),
        answer(body),
        parsed,
        make_site(**site),
    )


REFRESH = '<meta http-equiv="refresh" content="{}"><p>you are led on</p>'


@pytest.mark.parametrize(
    ("page", "body", "parsed", "former", "outcome"),
    [
        (LIST, FILLER, PageContent(pages=(item(1),)), (0, 0), "ok"),
        (LIST, FILLER, PageContent(), (0, 0), "empty"),
        (LIST, "<p>no pastes yet</p>", PageContent(), (0, 0), "empty"),
        (
            PageAddress("http://board.example/list?p=2", "list", number=2),
            "<p>no more</p>",
            PageContent(),
            (0, 0),
            "ok",
        ),
        (
            LIST,
            FILLER,
            PageContent(pages=(PageAddress("http://board.example/other", "list"),)),
            (0, 0),
            "ok",
        ),
        (LIST, FILLER, PageContent(), (20, 5_000), "layout"),
        (
            LIST,
            FILLER,
            PageContent(pages=(PageAddress("http://board.example/other", "list"),)),
            (20, 5_000),
            "layout",
        ),
        (LIST, "{}", PageContent(), (20, 5_000), "layout"),
        (LIST, "<p>no pastes</p>", PageContent(), (20, 5_000), "layout"),
        (LIST, FILLER, PageContent(), (20, 50_000), "layout"),
        (
            PageAddress("http://board.example/list?p=2", "list", number=2),
            "<p>no more</p>",
            PageContent(),
            (20, 5_000),
            "ok",
        ),
        (LIST, CHALLENGE, PageContent(), (20, 50_000), "blocked"),
        (LIST, f"{FILLER}<form><input type='password'></form>", PageContent(), (0, 0), "login"),
        (LIST, "抱歉，您需要登录后才可以继续浏览", PageContent(), (0, 0), "login"),
        (LIST, " \n", PageContent(), (0, 0), "empty"),
        (LIST, "", PageContent(), (20, 50_000), "layout"),
        (item(1), "\n", PageContent((post(),)), (0, 0), "empty"),
        (LIST, REFRESH.format("0; url=/forum"), PageContent(), (0, 0), "redirects"),
        (LIST, REFRESH.format("0; url=/list"), PageContent(), (20, 5_000), "redirects"),
        (LIST, REFRESH.format("300; url=/list"), PageContent(), (20, 500), "layout"),
        (LIST, REFRESH.format("0; url=/forum"), PageContent(pages=(item(1),)), (0, 0), "ok"),
        (THREAD, REFRESH.format("0; url=/forum"), PageContent(), (0, 0), "redirects"),
        (item(1), REFRESH.format("0; url=/forum"), PageContent((post(),)), (0, 0), "ok"),
        (THREAD, FILLER, PageContent((Post("1", "u", b""),)), (0, 0), "ok"),
        (THREAD, FILLER, PageContent(), (0, 0), "layout"),
        (
            PageAddress("http://board.example/thread/1?page=9", "thread", number=9),
            FILLER,
            PageContent(),
            (0, 0),
            "ok",
        ),
        (THREAD, "您需要登录后才可以查看", PageContent(), (0, 0), "login"),
    ],
)
def test_page_without_expected_content_is_classified(
    page: PageAddress, body: str, parsed: PageContent, former: tuple[int, int], outcome: str
) -> None:
    assert page_outcome(page, body, parsed, *former) == outcome


def test_empty_list_is_valid_only_where_the_file_allows_it() -> None:
    assert (
        page_outcome(LIST, "<p>no pastes</p>", PageContent(), 20, 5_000, may_be_empty=True) == "ok"
    )
    assert page_outcome(LIST, FILLER, PageContent(), 20, 5_000, may_be_empty=True) == "layout", (
        "as large as ever"
    )


DISCUZ = (
    '<div id="um"><form id="lsform" action="member.php?mod=logging"><input type="password"'
    ' class="px"></form></div>'
)
PHPBB = (
    '<form action="./ucp.php?mode=login"><fieldset class="quick-login"><input'
    ' type="password"></fieldset></form>'
)
SMF = '<form id="guest_form" action="index.php?action=login2"><input type="password"></form>'
VBULLETIN = (
    '<form action="login.php?do=login"><table><tr><td><input type="password"'
    ' name="vb_login_password"></td></tr></table></form>'
)
THREADS = "".join(
    f'<tr><td><a href="thread-{n}-1-1.html">offer {n}</a></td></tr>' for n in range(5)
)
QUERIES = "".join(f'<li><a href="viewtopic.php?f=2&amp;t={n}">offer {n}</a></li>' for n in range(5))
MENU = (
    '<div id="nv"><ul>'
    + "".join(f'<li><a href="forum-{n}-1.html">board {n}</a></li>' for n in range(9))
    + "</ul></div>"
)


@pytest.mark.parametrize(
    "box", [DISCUZ, PHPBB, SMF, VBULLETIN, '<aside><form><input type="PASSWORD"></form></aside>']
)
@pytest.mark.parametrize("listed", [THREADS, QUERIES])
def test_login_form_beside_threads_is_not_an_expired_login(box: str, listed: str) -> None:
    """The threads are not read, as by a platform that does not know them: that is the site's
    file, or a new layout.
    """
    assert page_outcome(LIST, MENU + box + listed + FILLER, PageContent()) == "empty"
    assert page_outcome(LIST, MENU + box + listed + FILLER, PageContent(), 20, 5_000) == "layout"
    assert (
        page_outcome(THREAD, MENU + box + listed + FILLER + "您需要登录后才可以回帖", PageContent())
        == "layout"
    )
    captcha = (
        '<script src="https://www.google.com/recaptcha/api.js"></script><div'
        ' class="g-recaptcha"></div>'
    )
    assert page_outcome(LIST, MENU + box + captcha + listed + FILLER, PageContent()) == "empty"


@pytest.mark.parametrize("box", [DISCUZ, PHPBB, SMF])
def test_small_login_form_is_not_a_wall(box: str) -> None:
    for words in (
        "您需要登录后才可以回帖 登录 | 注册",
        "请登录后发表评论",
        "Please log in to reply",
        "You must be logged in to post",
    ):
        assert page_outcome(LIST, f"{MENU}{box}{words}{FILLER}", PageContent()) == "empty"


@pytest.mark.parametrize(
    "wall", ["抱歉，您需要登录后才可以继续浏览", "<form id=login><input type=password></form>"]
)
def test_login_wall_is_recognised_beside_menus_and_a_small_form(wall: str) -> None:
    assert (
        page_outcome(
            LIST,
            f"{MENU}{DISCUZ}{FILLER}<div id=messagetext>{wall}</div>",
            PageContent(),
            20,
            5_000,
        )
        == "login"
    )


@pytest.mark.parametrize("body", ["{}", "[]", '{"items": []}'])
def test_empty_json_list_is_invalid_unless_the_file_allows_it(
    body: str,
) -> None:
    response = TextResponse(
        URL, body=body.encode(), headers={"Content-Type": "application/json"}, request=Request(URL)
    )
    assert (
        classify_page(PageLease("board", b"", LIST, b"", 0), response, PageContent(), make_site())
        == "empty"
    )
    assert (
        classify_page(
            PageLease("board", b"", LIST, b"", 0),
            response,
            PageContent(),
            make_site(may_be_empty=True),
        )
        == "ok"
    )
    assert (
        classify_page(
            PageLease("board", b"", LIST, b"", 0),
            response,
            PageContent(),
            make_site(session="a.me"),
        )
        == "login"
    )


def test_list_without_the_session_mark_is_an_expired_login() -> None:
    full = PageContent(pages=(item(1),))
    assert page_outcome(LIST, "<a href=/logout>me</a>", full, session="a[href='/logout']") == "ok"
    assert (
        page_outcome(LIST, "<a href=/login>guest</a>", full, session="a[href='/logout']") == "login"
    )
    assert page_outcome(item(1), "raw", PageContent((post(),)), session="a[href='/logout']") == "ok"
    with pytest.raises(ValueError, match="is not a valid CSS selector"):
        make_site(session="a[[")


def test_binary_bytes_contain_no_marks() -> None:
    response = Response(URL, status=403, body=b"\x00\xff" * 100, request=Request(URL))
    assert classify_answer(URL, response) == "forbidden"


def test_deleted_thread_is_gone_even_with_a_login_form() -> None:
    leased = PageLease("board", b"", THREAD, b"", 0)
    beside = answer(
        "<p>The specified thread does not exist.</p><form><input type=password></form>",
        url=THREAD.url,
    )
    assert classify_page(leased, beside, PageContent(gone=True), make_site()) == "gone"
    assert classify_page(leased, beside, PageContent(), make_site()) == "login"


def test_deeply_nested_links_and_fields_take_linear_time() -> None:
    """With a look at every element above every link this would take hours."""
    deep, query = "<div>" * 1_500, "/list?" + "x" * 200_000
    links = "".join(f'<a href="/x{number:05}">t</a>' for number in range(20_000))
    assert page_outcome(LIST, f'{deep}{links}<a href="{query}">t</a>', PageContent()) == "empty"
    assert (
        page_outcome(
            LIST,
            deep + '<form class="quick-login">' + "<input type=password>" * 20_000,
            PageContent(),
        )
        == "empty"
    )


@pytest.mark.parametrize(
    "body", ["[]", ' {"items": []}', "<?xml version='1.0'?><rss><channel/></rss>"]
)
@pytest.mark.parametrize(
    ("before", "number", "outcome"), [(9, 1, "layout"), (0, 1, "empty"), (9, 2, "ok")]
)
def test_json_list_that_became_empty_is_a_changed_layout(
    body: str, before: int, number: int, outcome: str
) -> None:
    page = PageAddress(URL, "list", series=URL, number=number)
    response = TextResponse(URL, body=body.encode(), encoding="utf-8", request=Request(URL))
    assert (
        classify_page(
            PageLease("board", b"", page, b"", 0, before, 200), response, PageContent(), make_site()
        )
        == outcome
    )
