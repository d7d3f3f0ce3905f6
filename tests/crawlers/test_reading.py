"""What any layout can say, on small pages: threads over pages, JSON, feeds, and pages that do
not keep to it.
"""

import contextlib
import json
import time

import pytest
from parsel import Selector
from scrapy.http import HtmlResponse, Request, Response, TextResponse, XmlResponse

from crawlers.platforms import find_platform
from crawlers.sites.attachments import MOST_FILES
from crawlers.sites.layout import LONGEST_SEARCHED
from crawlers.sites.nesting import MOST_TAGS
from crawlers.sites.pages import PageAddress, PageContent
from crawlers.sites.selectors import MOST_FOUND, MOST_LINKS, compile_selector
from tests.crawlers.support import make_site
from ullage.errors import ConfigError, RecordError

BOARD = "https://board.example/"
LAID = {
    "rows": "li",
    "links": "a.t",
    "pattern": r"[?&]t=(?P<id>\d+)",
    "stamp": "i",
    "next": "a.next",
    "post": "p[id]",
    "body": "b",
    "author": "u",
    "time": "time",
}


def read(
    options: dict[str, object],
    body: object,
    page: PageAddress | None = None,
    platform: str = "board",
    **headers: str,
) -> PageContent:
    page = page or PageAddress(BOARD, "list")
    kinds = {"<?xm": XmlResponse, "<rss": XmlResponse, "<htm": HtmlResponse}
    text = body if isinstance(body, str) else json.dumps(body)
    kind = HtmlResponse if platform == "board" else kinds.get(text[:4], TextResponse)
    site = make_site(platform=platform, start=[BOARD], options=options)
    response = kind(
        page.url, body=text.encode(), encoding="utf-8", headers=headers, request=Request(page.url)
    )
    return find_platform(site).parse(page, response, site)


def test_thread_identity_includes_the_query_and_its_stamp_ignores_views() -> None:
    row = '<li><a class=t href="?sid=9&t=7&x=1#new">T</a> <i>12</i> <s>{views} views</s></li>'
    (first,), (second,) = (read(LAID, row.format(views=views)).pages for views in (1, 2))
    assert first == second
    assert (first.url, first.identity, first.stamp) == (
        f"{BOARD}?sid=9&t=7&x=1#new",
        f"{BOARD}?sid=9&t=7",
        "12",
    )


def test_row_text_is_the_default_stamp() -> None:
    (page,) = read(
        {**LAID, "stamp": []}, '<li><a class=t href="?t=7">T</a> <i>12</i> by li</li>'
    ).pages
    assert page.stamp == "T 12 by li"


def test_post_without_text_is_skipped_and_one_without_an_id_is_numbered() -> None:
    body = "<p id=p31><u>li</u><b>one</b></p><p id=p32>deleted</p><p id=''><b>two</b></p>"
    page = PageAddress(f"{BOARD}?t=7&p=2", "thread", series=f"{BOARD}?t=7", number=2)
    parsed = read(LAID, body, page)
    assert [(post.post_id, post.thread, post.body) for post in parsed.posts] == [
        ("31", "7", b"one"),
        ("2-3", "7", b"two"),
    ]


def test_nested_matches_are_taken_once() -> None:
    (post,) = read(LAID, "<p id=p1><b>a<b>c</b></b></p>", PageAddress(BOARD, "thread")).posts
    assert post.body == b"a<b>c</b>"


@pytest.mark.parametrize(
    "href", ["javascript:void(0)", "", "#", "http://[bad", "ftp://x/", "mailto:a@b.example"]
)
def test_invalid_next_link_ends_the_list(href: str) -> None:
    assert read(LAID, f'<a class=next href="{href}">more</a>').pages == ()


def test_relative_time_uses_the_clock_of_the_site() -> None:
    body = "<p id=p1><b>x</b><time>2 hours ago</time></p>"
    (post,) = read(
        LAID, body, PageAddress(BOARD, "thread"), Date="Thu, 26 Nov 2026 12:00:00 GMT"
    ).posts
    assert post.published_at.isoformat() == "2026-11-26T10:00:00+00:00"
    (untold,) = read(LAID, body, PageAddress(BOARD, "thread")).posts
    assert untold.published_at is None


def test_xhtml_page_with_a_prolog_is_read() -> None:
    body = (
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body><p'
        ' id="p1"><b>x</b></p></body></html>'
    )
    for platform in ("board", "feed"):
        options: dict[str, object] = {"post": "css:p[id]", "body": "css:b"}
        assert [
            post.body for post in read(options, body, PageAddress(BOARD, "thread"), platform).posts
        ] == [b"x"]


RSS = """<?xml version="1.0"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"
xmlns:content="http://purl.org/rss/1.0/modules/content/">\
<channel><item><title>T</title><link>https://board.example/7</link>
<dc:creator>li</dc:creator><pubDate>Tue, 24 Nov 2026 16:02:00 +0000</pubDate>\
<guid>g7</guid><description>short</description>
<content:encoded>&lt;p&gt;王小明&lt;/p&gt;</content:encoded></item></channel></rss>"""
ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><entry><title>T</title>
<link rel="alternate" href="https://board.example/7"/><id>g7</id><author><name>li</name></author>
<published>2026-11-24T16:02:00Z</published>\
<content type="html">&lt;p&gt;王小明&lt;/p&gt;</content></entry></feed>"""


@pytest.mark.parametrize("feed", [RSS, ATOM])
def test_rss_and_atom_need_no_options(feed: str) -> None:
    (post,) = read({}, feed, platform="feed").posts
    assert (post.post_id, post.url, post.title, post.author) == (
        "g7",
        "https://board.example/7",
        "T",
        "li",
    )
    assert post.body.decode() == "<p>王小明</p>"
    assert post.published_at.isoformat() == "2026-11-24T16:02:00+00:00"


def test_posts_on_a_paginated_json_list_are_read() -> None:
    options = {
        "post": "@",
        "id": "id",
        "author": "account.acct",
        "time": "created_at",
        "body": "content",
        "post_url": "/s/{id}",
    }
    items = [
        {
            "id": "110",
            "created_at": "2026-11-24T16:02:00Z",
            "account": {"acct": "li"},
            "content": "<p>王小明</p>",
        }
    ]
    parsed = read({**options, "next_page": "?page={page}"}, items, platform="feed")
    assert [(post.post_id, post.url, post.author) for post in parsed.posts] == [
        ("110", f"{BOARD}s/110", "li")
    ]
    assert [(page.url, page.role, page.number) for page in parsed.pages] == [
        (f"{BOARD}?page=2", "list", 2)
    ]
    assert read({**options, "next_page": "?page={page}"}, [], platform="feed") == PageContent()


def test_json_thread_has_as_many_pages_as_its_count() -> None:
    lists = {
        "rows": "t",
        "row_id": "id",
        "thread": "/t/{id}",
        "thread_next_page": "/t/{thread}?page={page}",
    }
    options = {
        **lists,
        "post": "p",
        "id": "id",
        "body": "b",
        "thread_count": "n",
        "thread_per_page": 2,
    }
    (page,) = read(options, {"t": [{"id": 7}]}, platform="feed").pages
    urls, pages = [], []
    while page:
        urls.append(page.url)
        parsed = read(options, {"n": 5, "p": [{"id": 10 * page.number, "b": "x"}]}, page, "feed")
        pages += [post.post_id for post in parsed.posts]
        page = parsed.pages[0] if parsed.pages else None
    assert urls == [f"{BOARD}t/7", f"{BOARD}t/7?page=2", f"{BOARD}t/7?page=3"]
    assert pages == ["10", "20", "30"]


@pytest.mark.parametrize(
    ("count", "leads_on"),
    [
        ("1,234", True),
        ("2 posts", False),
        ("", False),
        ("many", True),
        ("1.2K", True),
        (30.0, True),
    ],
)
def test_odd_count_of_a_thread_costs_no_post(count: str | float, leads_on: bool) -> None:
    options = {
        "post": "p",
        "id": "id",
        "body": "b",
        "thread_next_page": "/t/{thread}?page={page}",
        "thread_count": "n",
        "thread_per_page": 2,
    }
    thread = PageAddress(f"{BOARD}t/7", "thread", facts={"thread": "7"})
    parsed = read(options, {"n": count, "p": [{"id": 1, "b": "x"}]}, thread, "feed")
    assert [post.post_id for post in parsed.posts] == ["1"]
    assert bool(parsed.pages) == leads_on


@pytest.mark.parametrize(
    "body",
    ["{", "[" * 100_000, '{"t": 1}', '{"t": [[], 1, null, "x", {"id": {}}]}', "null", "", "[]"],
)
def test_json_of_unexpected_shape_breaks_nothing(body: str) -> None:
    options = {
        "rows": "t",
        "row_id": "id",
        "thread": "/t/{id}",
        "post": "length(@)",
        "body": "join(',', x)",
        "stamp": "a.b",
    }
    try:
        parsed = read(options, body, platform="feed")
    except RecordError:
        return
    assert parsed.pages == ()


def test_binary_content_is_an_error_not_an_empty_list() -> None:
    site = make_site(platform="board", options=LAID)
    with pytest.raises(RecordError):
        find_platform(site).parse(PageAddress(BOARD, "list"), Response(BOARD, body=b"\0\1"), site)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, r"options\.post: is missing"),
        ({"post": "p"}, r"options\.body: is missing"),
        ({**LAID, "rows": "//li[["}, r"options\.rows: is not valid XPath"),
        (
            {**LAID, "rows": "json:a["},
            r"options\.rows: is not valid JMESPath",
        ),
        ({**LAID, "rows": 5}, r"options\.rows: is neither a selector"),
        ({**LAID, "post_url": "/{name}"}, r"options\.post_url: \{name\} must be one of"),
        (
            {**LAID, "timezone": "Mars"},
            r"options\.timezone: is not a time zone such as Asia/Shanghai",
        ),
        ({**LAID, "pst": "x"}, r"options\.pst: .*did you mean post"),
        ({"first": 1, "post": "p", "body": "b"}, r"options\.raw: is missing"),
    ],
)
def test_invalid_options_are_reported(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        find_platform(make_site(platform="board", options=options))


@pytest.mark.parametrize(
    ("open_", "shut"),
    [("<p id=p1><b>x", ""), ("<li><a class=t href='?t=7'>x</a>", "</li>"), ("<b>", "</b>")],
)
def test_deeply_nested_posts_take_little_time(open_: str, shut: str) -> None:
    body = f"<div><p id=p0>{open_ * 3_000}{shut * 3_000}</p></div>"
    for page in (PageAddress(BOARD, "list"), PageAddress(BOARD, "thread")):
        began = time.process_time()
        with contextlib.suppress(RecordError):
            read({**LAID, "post": "p[id], i", "rows": "li, s"}, body, page)
        assert time.process_time() - began < 5


def test_endlessly_nested_rows_are_rejected() -> None:
    def nest(depth: int) -> str:
        return (
            "".join(f"<s><a class=t href='?t={number}'>x</a>" for number in range(depth))
            + "</s>" * depth
        )

    assert len(read({**LAID, "rows": "s"}, nest(20)).pages) == 20
    with pytest.raises(RecordError, match="nested"):
        read({**LAID, "rows": "s"}, nest(400))


def test_channel_of_one_entry_is_not_applied_to_another() -> None:
    rows = (
        '<h1>All</h1><li><a class=t href="?t=1">a</a><em>Trade</em></li><li><a class=t'
        ' href="?t=2">b</a></li>'
    )
    first, second = read({**LAID, "channel": ["em", "h1"]}, rows).pages
    assert (first.facts["channel"], second.facts.get("channel", "")) == ("Trade", "")
    (only,) = read(
        {**LAID, "channel": ["em", "h1"]}, '<h1>All</h1><li><a class=t href="?t=1">a</a></li>'
    ).pages
    assert only.facts["channel"] == "All"


@pytest.mark.parametrize(
    "script",
    [
        "<script id=data type='application/json'>{}</script>",
        "<script id=data>window.__STATE__ = {};window.x = {{}}</script>",
        "<script id=data>window.__STATE__ = JSON.parse({!r})</script>",
    ],
)
def test_data_embedded_for_scripts_is_read(script: str) -> None:
    options = {
        "embedded": "css:#data",
        "rows": "t",
        "row_id": "id",
        "title": "title",
        "thread": "/t/{id}",
        "post": "p",
        "id": "id",
        "body": "b",
    }
    data = json.dumps({"t": [{"id": 7, "title": "王"}], "p": [{"id": 31, "b": "<p>王小明</p>"}]})
    shown = script.replace("{!r}", json.dumps(data).replace("{", "{{").replace("}", "}}")).format(
        data
    )
    (page,) = read(
        options, f"<html><body><div id=app></div>{shown}</body></html>", platform="feed"
    ).pages
    assert (page.url, page.facts["title"]) == (f"{BOARD}t/7", "王")
    (post,) = read(
        options, f"<html><body>{shown}</body></html>", PageAddress(f"{BOARD}t/7", "thread"), "feed"
    ).posts
    assert (post.post_id, post.body.decode()) == ("31", "<p>王小明</p>")


@pytest.mark.parametrize(
    "script",
    [
        "",
        "<script id=data>var a = 1</script>",
        "<script id=data>{broken</script>",
        "<p id=data>" + "[" * 100_000,
    ],
)
def test_missing_embedded_data_is_an_error_not_an_empty_list(script: str) -> None:
    options = {
        "embedded": "css:#data",
        "rows": "t",
        "row_id": "id",
        "thread": "/t/{id}",
        "post": "p",
        "body": "b",
    }
    with pytest.raises(RecordError):
        read(options, f"<html><body>{script}</body></html>", platform="feed")


def test_ten_thousand_links_are_followed_and_the_rest_reported() -> None:
    body = "".join(
        f"<li><a class=t href='?t={number}'>T</a></li>" for number in range(MOST_LINKS + 5)
    )
    parsed = read(LAID, body)
    assert (len(parsed.pages), parsed.lacking) == (MOST_LINKS, "links")
    assert read(LAID, body[: len(body) // 2]).lacking == ""


@pytest.mark.parametrize(
    "text",
    ["a", "css:a", "//a", "./descendant::a", "//a/@href", "a::attr(href)", "xpath:(//a | //b)"],
)
def test_selector_is_limited_to_the_first_matches(text: str) -> None:
    page = Selector(
        text="<p>" + "".join(f"<a href=/{number}>x</a>" for number in range(MOST_FOUND + 5)),
        type="html",
    )
    nodes = compile_selector(text, "css").select(page)
    assert len(nodes) == MOST_FOUND
    assert "/0" in nodes[0].get()
    assert f"/{MOST_FOUND - 1}" in nodes[-1].get()


def test_text_count_and_camel_case_selectors_still_work() -> None:
    page = Selector(text="<r><pubDate>now</pubDate></r>", type="xml")
    assert [node.get() for node in compile_selector("pubDate::text", "css").select(page)] == ["now"]
    assert [
        node.get() for node in compile_selector("xpath:string(//pubDate)", "css").select(page)
    ] == ["now"]
    assert [
        node.get() for node in compile_selector("xpath:count(//pubDate)", "css").select(page)
    ] == ["1.0"]


def test_page_with_too_many_tags_is_read_partly_and_reported() -> None:
    row = "<li><a class=t href='?t=1'>T</a></li>"
    parsed = read(LAID, row + "<b>" * MOST_TAGS + row.replace("t=1", "t=2"))
    assert ([page.facts["id"] for page in parsed.pages], parsed.lacking) == (["1"], "links")


@pytest.mark.parametrize("kind", ["lists", "files", "attached"])
def test_other_lists_and_files_are_limited_and_reported(kind: str) -> None:
    links = "".join(
        f"<a class=x href='/x/{number}'>x{number}.zip</a>" for number in range(MOST_LINKS + 5)
    )
    page = PageAddress(BOARD, "list" if kind == "lists" else "thread")
    body = f"<p id=p1><b>text {links}</b></p>" if kind == "attached" else links
    parsed = read({**LAID, kind: "a.x"}, body, page)
    assert (len(parsed.pages), parsed.lacking) == (
        MOST_FILES if kind == "attached" else MOST_LINKS,
        "links",
    )


def test_pattern_examines_only_the_beginning_of_an_address() -> None:
    (page,) = read(
        {**LAID, "pattern": r"t=(?P<id>\d+)a*"},
        f"<li><a class=t href='?t=7{'a' * 9000}'>T</a></li>",
    ).pages
    assert (len(page.identity), len(page.url)) == (LONGEST_SEARCHED, len(BOARD) + 9004)
    assert read(LAID, f"<li><a class=t href='?x={'a' * 9000}&t=7'>T</a></li>").pages == ()


@pytest.mark.parametrize(
    ("told", "lacking"),
    [({"incomplete_results": True}, "partial"), ({"incomplete_results": False}, ""), ({}, "")],
)
def test_list_that_declares_itself_incomplete_is_incomplete(
    told: dict[str, bool], lacking: str
) -> None:
    options = {"post": "items", "id": "id", "body": "body", "incomplete": "incomplete_results"}
    parsed = read(options, {**told, "items": [{"id": "1", "body": "text"}]}, platform="feed")
    assert (len(parsed.posts), parsed.lacking) == (1, lacking)
