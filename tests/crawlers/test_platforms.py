"""Each platform on small pages of its own shape, and the rules that hold for all of them."""

from datetime import UTC, datetime

import pytest
from scrapy.http import Request, Response

from crawlers.platforms import find_platform, list_platforms
from crawlers.sites.pages import PageAddress
from crawlers.sites.selectors import parse_content_type
from tests.crawlers.support import load_page, make_site
from ullage.errors import ConfigError, RecordError

PASTE = "http://paste.example"
BOARD = "http://board.example"
GBK = "王小明----13800138000\n".encode("gbk")


def parse(site, page: PageAddress, file: str, content_type: str | None = None):
    return find_platform(site).parse(page, load_page(file, page.url, content_type), site)


def test_platforms_register_themselves() -> None:
    assert list_platforms() == ("board", "canary", "feed")


def test_unknown_platform_error_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'quite-another' must be one of"):
        find_platform(make_site(platform="quite-another"))


@pytest.mark.parametrize("name", ["bepasty", "canary", "spirit", "board", "feed"])
def test_unknown_platform_option_is_rejected(name: str) -> None:
    with pytest.raises(ConfigError, match=r"options\.colour"):
        find_platform(make_site(platform=name, options={"colour": "x"}))


@pytest.mark.parametrize(
    ("start", "file", "kind"),
    [
        (f"{PASTE}/", "bepasty/items.json", f"{PASTE}/apis/rest/items"),
        (f"{PASTE}/+list", "bepasty/list.html", f"{PASTE}/+list"),
    ],
)
def test_bepasty_lists_its_items_newest_first(start: str, file: str, kind: str) -> None:
    site = make_site(platform="bepasty", start=[start])
    (head,) = find_platform(site).start(site)
    assert head.url == kind
    pages = parse(site, head, file).pages
    assert [page.url for page in pages] == [
        f"{PASTE}/UWrcAWFg/+inline",
        f"{PASTE}/RditHhxz/+inline",
    ]
    assert pages[0].facts == {"id": "UWrcAWFg", "title": "f3.txt", "time": "1795537060"}
    assert pages[0].role == "item"


def test_bepasty_item_is_captured_as_served() -> None:
    site = make_site(platform="bepasty", start=[PASTE])
    facts = {"id": "RditHhxz", "title": "f2.txt", "time": "1795537000"}
    page = PageAddress(
        f"{PASTE}/RditHhxz/+inline", "item", identity=f"{PASTE}/RditHhxz", facts=facts
    )
    (post,) = parse(site, page, "bepasty/inline.txt", "text/plain; charset=GBK").posts
    assert post.body == GBK
    assert (post.post_id, post.url, post.title, post.kind) == (
        "RditHhxz",
        f"{PASTE}/RditHhxz",
        "f2.txt",
        "paste",
    )
    assert (post.media_type, post.charset) == ("text/plain", "gbk")
    assert post.published_at == datetime(2026, 11, 24, 16, 16, 40, tzinfo=UTC)


def test_canary_list_leads_only_to_posts_with_their_time() -> None:
    site = make_site(platform="canary", start=[f"{PASTE}/"])
    (head,) = find_platform(site).start(site)
    (page,) = parse(site, head, "canary/list.json").pages
    assert (page.url, page.role, page.facts) == (
        f"{PASTE}/raw/abcdefghijkl",
        "item",
        {"id": "abcdefghijkl", "published": "1790000000.5"},
    )
    with pytest.raises(RecordError):
        find_platform(site).parse(
            head, Response(head.url, body=b"\0", request=Request(head.url)), site
        )


def test_binary_bepasty_list_is_an_error() -> None:
    site = make_site(platform="bepasty", start=[PASTE])
    (head,) = find_platform(site).start(site)
    with pytest.raises(RecordError, match="not_a_list"):
        find_platform(site).parse(head, Response(head.url, body=b"\x00\x01"), site)


def test_spirit_list_leads_to_topics_and_the_next_page() -> None:
    head = PageAddress(f"{BOARD}/category/3/general/", "list")
    first, second, older = parse(make_site(), head, "spirit/list.html").pages
    assert first.url == f"{BOARD}/topic/7/ke-hu-ming-dan-%E5%90%8D/"
    assert first.identity == first.series == f"{BOARD}/topic/7/"
    assert (first.stamp, second.stamp) == ("46 Nov. 24, 2026, 4:18 p.m.", "1 March 2, 2026, noon")
    assert first.facts == {"id": "7", "title": "客户名单 出售", "channel": "General", "posts": "46"}
    assert (older.url, older.role, older.number, older.series) == (
        f"{head.url}?page=2",
        "list",
        2,
        head.url,
    )


def test_spirit_board_leads_to_categories_and_latest_list_to_topics() -> None:
    pages = parse(make_site(), PageAddress(f"{BOARD}/", "list"), "spirit/board.html").pages
    assert [page.url for page in pages] == [
        f"{BOARD}/category/3/general/",
        f"{BOARD}/category/4/%E4%B8%AD/",
    ]
    assert [page.identity for page in pages] == [f"{BOARD}/category/3/", f"{BOARD}/category/4/"]
    assert (
        parse(make_site(), PageAddress(f"{BOARD}/topic/active/", "list"), "spirit/board.html").pages
        == ()
    )


def test_spirit_topic_gives_comments_and_the_next_page() -> None:
    facts = {"title": "客户名单 出售", "channel": "General"}
    series = f"{BOARD}/topic/7/"
    page = PageAddress(
        f"{series}slug/?page=2", "thread", f"{series}?page=2", series, 2, "46", facts
    )
    parsed = parse(make_site(), page, "spirit/topic.html")
    first, second = parsed.posts
    assert first.body.decode() == '<p>王小明 13800138000 &lt;b&gt;</p><p data-id="2">第二行</p>'
    assert (first.post_id, first.url, first.thread) == ("121", f"{BOARD}/comment/121/find/", "7")
    assert (first.author, first.title, first.channel) == ("admin", "客户名单 出售", "General")
    assert (first.media_type, first.charset, first.kind) == ("text/html", "utf-8", "post")
    assert first.published_at == datetime(2026, 11, 24, 0, 18, tzinfo=UTC)
    assert second.published_at == datetime(2026, 11, 24, tzinfo=UTC)
    assert parsed.pages == (
        PageAddress(f"{series}slug/?page=3", "thread", f"{series}?page=3", series, 3, "46", facts),
    )


def test_raw_paste_finds_pastes_with_the_options_of_the_site() -> None:
    options = {
        "links": "table.list a",
        "pattern": r"^/(?P<id>\w{8})$",
        "raw": "/raw/{id}.txt",
        "page": "/{id}",
        "next": "a.older",
    }
    site = make_site(platform="raw_paste", start=[f"{PASTE}/archive"], options=options)
    first, second, older = parse(
        site, PageAddress(f"{PASTE}/archive", "list"), "raw_paste/archive.html"
    ).pages
    assert (first.url, first.identity, first.role) == (
        f"{PASTE}/raw/abcd1234.txt",
        f"{PASTE}/abcd1234",
        "item",
    )
    assert first.facts == {"id": "abcd1234", "title": "First paste"}
    assert (second.identity, second.facts["title"]) == (f"{PASTE}/efgh5678", "第二")
    assert (older.url, older.number) == (f"{PASTE}/archive?before=efgh5678", 2)


def test_raw_paste_is_captured_as_served() -> None:
    site = make_site(platform="raw_paste")
    page = PageAddress(
        f"{PASTE}/raw/abcd1234",
        "item",
        identity=f"{PASTE}/abcd1234",
        facts={"id": "abcd1234", "title": "t"},
    )
    (post,) = parse(site, page, "raw_paste/raw.txt").posts
    assert (post.body, post.post_id, post.url, post.charset) == (
        GBK,
        "abcd1234",
        f"{PASTE}/abcd1234",
        "",
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"colour": "red"}, r"options\.colour: must be one of"),
        ({"pattern": "^/([a-z]+)$"}, r"options\.pattern: has no group"),
        ({"pattern": "(?P<id>"}, r"options\.pattern: is not a valid regular expression"),
        ({"pattern": "^/(?P<id>(a+)+)$"}, r"options\.pattern: has nested repetition, such as"),
        (
            {"lists_pattern": "(?:/(?:x|y*))*/b"},
            r"options\.lists_pattern: has nested repetition, such as",
        ),
        ({"raw": "/raw/"}, r"options\.raw: has no \{id\}"),
        ({"links": "a[[["}, r"options\.links: is not a valid CSS selector"),
    ],
)
def test_raw_paste_rejects_invalid_options(options: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        find_platform(make_site(platform="raw_paste", options=options))


@pytest.mark.parametrize(
    ("header", "media_type", "charset"),
    [
        ("text/html; charset=GB18030", "text/html", "gb18030"),
        ("", "text/plain", ""),
        ("nonsense", "text/plain", ""),
    ],
)
def test_declared_type_and_charset_are_read(header: str, media_type: str, charset: str) -> None:
    response = Response(
        PASTE, headers={"Content-Type": header} if header else {}, request=Request(PASTE)
    )
    assert parse_content_type(response) == (media_type, charset)
