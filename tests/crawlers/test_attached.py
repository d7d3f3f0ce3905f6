"""Files that are attached to posts: which are read and tied to their post, and what is said of
those that are not.
"""

import io
import json
import zipfile

import pytest
from scrapy.http import HtmlResponse, Request, Response

from crawlers.fetching.response_checks import classify_file
from crawlers.platforms import find_platform
from crawlers.sites.attachments import MOST_FILES
from crawlers.sites.pages import PageAddress, PageContent
from tests.crawlers.conftest import Station
from tests.crawlers.support import Answers, make_site

BOARD = "https://board.example/"
OPTIONS = {
    "rows": "li",
    "links": "a.t",
    "pattern": r"/t/(?P<id>\d+)",
    "stamp": "i",
    "channel": "h1",
    "post": "p[id]",
    "body": "b",
    "author": "u",
    "time": "time",
    "attached": "a.f, img.f",
    "attached_id": r"[?&]file=(?P<id>\d+)",
    "attached_hidden": "em.hidden",
}
POST = "<p id=p31><u>li</u><time>2026-11-24 16:02</time><b>list</b>{}</p>"


def read(files: str, **more: object) -> PageContent:
    site = make_site(platform="board", start=[BOARD], options={**OPTIONS, **more})
    page = PageAddress(
        f"{BOARD}t/7", "thread", series=f"{BOARD}t/7", facts={"id": "7", "channel": "Trade"}
    )
    response = HtmlResponse(
        page.url, body=POST.format(files).encode(), encoding="utf-8", request=Request(page.url)
    )
    return find_platform(site).parse(page, response, site)


def test_attachment_is_a_page_linked_to_its_post() -> None:
    parsed = read('<a class=f href="/get?file=81&sig=x">list.zip</a>')
    (post,), (page,) = parsed.posts, parsed.pages
    assert (post.attachments, post.unread) == (("list.zip",), ())
    assert (page.url, page.role, page.identity) == (
        f"{BOARD}get?file=81&sig=x",
        "item",
        f"{BOARD}t/7#file-81",
    )
    posting = {
        "id": "81",
        "title": "list.zip",
        "parent": "31",
        "author": "li",
        "thread": "7",
        "channel": "Trade",
        "time": "1795536120",
    }
    assert page.facts == posting
    site = make_site(platform="board", start=[BOARD], options=OPTIONS)
    headers = {"Content-Type": "application/zip"}
    (file,) = (
        find_platform(site)
        .parse(
            page, Response(page.url, body=b"PK", headers=headers, request=Request(page.url)), site
        )
        .posts
    )
    assert (file.post_id, file.parent, file.kind, file.thread, file.author) == (
        "31-81",
        "31",
        "attachment",
        "7",
        "li",
    )
    assert (file.channel, file.title, file.media_type, file.published_at) == (
        "Trade",
        "list.zip",
        "application/zip",
        post.published_at,
    )


def test_resigned_address_is_the_same_file() -> None:
    (first,), (second,) = (
        read(f'<a class=f href="/get?file=81&sig={sig}">list.zip</a>').pages for sig in "xy"
    )
    assert first.name == second.name


@pytest.mark.parametrize(
    ("files", "more", "attachments", "unread"),
    [
        ('<a class=f href="/get?file=1">a.PNG</a>', {}, (), ("picture",)),
        ('<a class=f href="/get?file=1">a.PNG</a>', {"pictures": True}, ("a.PNG",), ()),
        ('<a class=f href="/get?file=1">a.mp4</a>', {"pictures": True}, (), ("picture",)),
        ('<img class=f src="/a">', {}, (), ("picture",)),
        (
            '<a class=f href="/get?file=1">a.csv</a><a class=f href="/get?file=1">a.csv</a>',
            {},
            ("a.csv",),
            (),
        ),
        ('<a class=f href="/f/%E5%90%8D.csv"></a>', {}, ("名.csv",), ()),
        ("<em class=hidden>log in to see files</em>", {}, (), ("login",)),
    ],
)
def test_skipped_attachment_is_reported_with_its_reason(
    files: str, more: dict[str, object], attachments: tuple[str, ...], unread: tuple[str, ...]
) -> None:
    (post,) = read(files, **more).posts
    assert (post.attachments, post.unread) == (attachments, unread)


def test_post_has_at_most_a_hundred_attachments() -> None:
    parsed = read(
        "".join(
            f'<a class=f href="/get?file={number}">{number}.csv</a>'
            for number in range(5 * MOST_FILES)
        )
    )
    assert len(parsed.pages) == MOST_FILES


LOGIN = "<form><input name=user><input type=password name=pass></form>"


@pytest.mark.parametrize(
    ("name", "headers", "body", "outcome"),
    [
        ("a.zip", {"Content-Type": "application/zip"}, "PK", "ok"),
        ("a.zip", {"Content-Type": "text/html"}, LOGIN, "login"),
        ("a.zip", {"Content-Type": "text/html"}, "<p>no such file</p>", "page"),
        ("a.html", {"Content-Type": "text/html"}, "<p>a table</p>", "ok"),
        (
            "a.zip",
            {"Content-Type": "text/html", "Content-Disposition": 'attachment; filename="a.zip"'},
            "PK",
            "ok",
        ),
    ],
)
def test_html_page_in_place_of_a_file_is_not_a_file(
    name: str, headers: dict[str, str], body: str, outcome: str
) -> None:
    assert (
        classify_file(
            name, HtmlResponse(f"{BOARD}get", headers=headers, body=body.encode(), encoding="utf-8")
        )
        == outcome
    )


def zip_text(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("名单.csv", text)
    return buffer.getvalue()


FILES = {
    "list.zip": (zip_text("王小明,13800138000"), 200, "application/zip"),
    "notes.txt": (b"plain", 200, "text/plain"),
    "rows.csv": ("姓名,电话".encode("gbk"), 200, "text/csv; charset=gbk"),
    "large.txt": (b"x" * 60_000, 200, "text/plain"),
    **{f"members{number}.zip": (b"", 403, "text/html") for number in range(6)},
    "guests.zip": (LOGIN.encode(), 200, "text/html"),
    "moved.zip": (b"<p>no such file</p>", 200, "text/html"),
    "lost.zip": (b"", 404, "text/html"),
}


def test_attachments_of_a_board_are_captured_or_reported(station: Station, server: Answers) -> None:
    links = "".join(
        f'<a class=f href="/get?file={number}">{name}</a>' for number, name in enumerate(FILES, 1)
    )
    links += (
        '<a class=f href="http://127.0.0.2:1/get?file=90">far.zip</a><a class=f'
        ' href="/get?file=91">photo.jpg</a>'
    )
    server.says("/list", "<h1>Trade</h1><li><a class=t href='/t/7'>x</a><i>1</i></li>")
    server.says("/t/7", POST.format(links + "<em class=hidden>x</em>"))
    for number, (body, status, kind) in enumerate(FILES.values(), 1):
        server.says(f"/get?file={number}", body, status, **{"Content-Type": kind})
    options = "\n".join(f"{name} = '''{value}'''" for name, value in OPTIONS.items())
    station.site("board", f"{server.url}/list", "board", f"robots = false\n[options]\n{options}")
    station.run("crawl", "--once", crawl__download_bytes="50000")
    captures = {capture.title or capture.post_id: capture for capture in station.captures()}
    files = {name: capture for name, capture in captures.items() if capture.kind == "attachment"}
    assert files.keys() == {"list.zip", "notes.txt", "rows.csv", "large.txt"}
    assert {
        (captured.parent, captured.thread, captured.author, captured.channel)
        for captured in files.values()
    } == {("31", "7", "li", "Trade")}
    assert files["list.zip"].body == FILES["list.zip"][0]
    assert (files["rows.csv"].media_type, files["rows.csv"].charset) == ("text/csv", "gbk")
    assert [name for name, captured in files.items() if captured.truncated] == ["large.txt"]
    assert captures["x"].attachments == (*FILES, "far.zip")
    assert "/get?file=91" not in server.requested_paths, "a picture is not asked for"
    (row,) = [json.loads(line) for line in station.run("sites", "--json").splitlines()]
    assert row["files"] == {
        "cut": 1,
        "gone": 1,
        "host": 1,
        "login": 8,
        "page": 1,
        "picture": 1,
        "read": 3,
    }
    assert (row["state"], row["due"], row["parked"]) == ("ok", 0, 9)
    assert "12 attached files not read (1 gone, 1 host, 8 login, 1 page, 1 picture)" in station.run(
        "sites"
    )
    requests_before = len(server.requested_paths)
    station.run("crawl", "--once")
    assert (len(server.requested_paths) - requests_before, station.captures()) == (1, [])
