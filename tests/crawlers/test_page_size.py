"""What a page makes of itself is bounded by its size: posts in posts, one text that every post
has, values without end.
"""

import json
import tracemalloc

import pytest

from crawlers.sites.pages import PageAddress, PageContent
from tests.crawlers.test_reading import BOARD, LAID, read

THREAD = PageAddress(BOARD, "thread")
TEXT = "王小明 13800138000 " * 5_000
DEEP = 190


def size_of(parsed: PageContent) -> int:
    """Characters and bytes of all that a page yields."""
    size = sum(
        len(post.body)
        + len(post.wording)
        + len(post.title)
        + len(post.author)
        + len(post.url)
        + sum(map(len, post.attachments))
        for post in parsed.posts
    )
    return size + sum(
        len(page.url) + len(page.stamp) + sum(map(len, page.facts.values()))
        for page in parsed.pages
    )


def nest(open_: str, shut: str, text: str = TEXT, deep: int = DEEP) -> str:
    return "".join(open_.replace("{n}", str(n)) for n in range(deep)) + text + shut * deep


ROW = "<s><a class=t href='?t={n}'>x</a>"
NESTED = {
    "posts": (LAID | {"post": "div[id]"}, nest("<div id=p{n}><b>post {n} ", "</b></div>"),
    THREAD),
    "posts as their own bodies": (LAID | {"post": "div", "body": "xpath:."},
    nest("<div id=p{n}>{n} ", "</div>"), THREAD),
    "names in posts": (LAID | {"post": "div[id]", "author": "u"},
    nest("<div id=p{n}><b>x</b><u>", "</u></div>"), THREAD),
    "rows": (LAID | {"rows": "s", "stamp": []}, nest(ROW, "</s>"), PageAddress(BOARD, "list")),
    "titles of rows": (LAID | {"rows": "s", "title": "xpath:."}, nest(ROW, "</s>"),
    PageAddress(BOARD, "list")),
}  # fmt: skip


@pytest.mark.parametrize("kind", NESTED)
def test_innermost_content_is_not_repeated_by_its_ancestors(kind: str) -> None:
    options, body, page = NESTED[kind]
    tracemalloc.start()
    parsed = read(options, body, page)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = len(body.encode())
    assert len(parsed.posts) + len(parsed.pages) == DEEP
    assert size_of(parsed) < 5 * size
    assert peak < 30 * size


def test_nested_post_has_its_own_text() -> None:
    body = (
        "<p id=h>x</p><div id=p1><u>li</u><b>one</b>"
        "<div id=p2><u>wang</u><b>two</b><a class=f href=/x/9>x</a></div> tail <b>three</b></div>"
    )
    parsed = read(LAID | {"post": "div[id]", "files": "a.f"}, body, THREAD)
    assert [(post.post_id, post.author, post.body) for post in parsed.posts] == [
        ("1", "li", b"onethree"),
        ("2", "wang", b"two"),
    ]
    assert [page.url for page in parsed.pages] == [f"{BOARD}x/9"]
    around, inner = read(LAID | {"post": "div[id]", "body": "xpath:."}, body, THREAD).posts
    assert (b"tail" in around.body, b"two" in around.body, b"two" in inner.body) == (
        True,
        False,
        True,
    )
    assert b"two" not in around.wording


@pytest.mark.parametrize("part", ["body", "author", "post_title"])
def test_text_shared_by_every_post_is_not_repeated_with_each(part: str) -> None:
    """A selector from the root, or an object that all others are related to."""
    posts = "".join(f"<p id=p{n}><b>{n}</b></p>" for n in range(500))
    body = f"<h1>{TEXT}</h1>{posts}"
    parsed = read(LAID | {part: "xpath://h1"}, body, THREAD)
    assert size_of(parsed) < 8 * len(body.encode()) + 500 * 2_048
    assert parsed.posts
    related = {"user": {"data": {"type": "u", "id": 1}}}
    items = [
        {"type": "posts", "id": n, "attributes": {"b": "x"}, "relationships": related}
        for n in range(500)
    ]
    data = {"data": items, "included": [{"type": "u", "id": 1, "attributes": {"name": TEXT}}]}
    options = {"post": "data", "id": "id", "body": "attributes.b", part: '"$related".user.name'}
    text = json.dumps(data, ensure_ascii=False)
    assert size_of(read(options, text, THREAD, "feed")) < 8 * len(text.encode()) + 500 * 2_048


def test_omitted_posts_are_reported() -> None:
    body = f"<h1>{TEXT}</h1>" + "".join(f"<p id=p{n}></p>" for n in range(500))
    parsed = read(LAID | {"body": "xpath://h1"}, body, THREAD)
    assert (0 < len(parsed.posts) < 500, parsed.lacking) == (True, "links")


@pytest.mark.parametrize(
    "text", ["&" * 50_000, "<b>" * 1_000, '"' * 50_000, "<i title='\"'>x</i>" * 5_000]
)
def test_page_that_grows_when_serialised_is_read_whole(text: str) -> None:
    assert read(LAID, f"<p id=p1><b>{text}</b></p><p id=p2><b>last</b></p>", THREAD).lacking == ""
