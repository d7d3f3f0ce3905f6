"""A further page that a page shows is followed or makes it short, however it is shown; what
looks alike makes nothing short.
"""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlers.platforms import find_platform
from crawlers.sites.pages import PageAddress
from tests.crawlers.support import make_site
from tests.crawlers.test_trial import response

HOST = "http://board.example"
OPTIONS = {
    "rows": "li.row",
    "links": "a.t",
    "pattern": "^https?://[^/]+/t/(?P<id>[0-9]+)",
    "post": "div.post",
    "body": ".text",
}
DAYS = "".join(f'<td><a href="/2026/12/{n}">{n}</a></td>' for n in range(2, 32))

MARKS_OF_BOTH = [
    '<p><b>1</b> <a href="/?index-2.htm">2</a></p>',
    '<ul><li class="active"><span>1</span></li><li><a href="/mehr">›</a></li></ul>',
    '<div class="pg"><strong>1</strong><a href="/x/y">下一页</a></div>',
    '<div><span class="current">1</span> <a href="/weiter-b">2</a></div>',
    '<nav><ul><li>Page 1 / 4</li><li><a href="./other2.html">&rang;</a></li></ul></nav>',
    "<div>Page <b>1</b> of <b>3</b></div>",
    '<div><span aria-current="page">Page 1</span> <a href="/x/other-b">Page 2</a></div>',
    (
        '<div><span aria-current="page">Page 1</span> <a class="next" href="/x/other-b">Newer'
        " comments</a></div>"
    ),
    "<div>第 1 页 / 共 12 页</div>",
    "<p>Seite 1 von 2</p>",
    '<div class="pg"><b>1</b> <a href="#" onclick="go(2)">2</a></div>',
    '<p><a href="/elsewhere">Next page</a></p>',
    '<p><a href="?start=10">Next »</a></p>',
    '<p><a href="?before=77">Load more</a></p>',
]
MARKS_OF_A_LIST = [
    (
        '<ul class="pager"><li class="next"><a href="index-3.html" rel="next">Older'
        " posts</a></li></ul>"
    ),
    '<link rel="next" href="/archive-of-older">',
    '<p><a href="/earlier/b">Older entries</a></p>',
    '<p><b>1</b> <a href="/t/2">2</a></p>',
]
NO_MARKS_OF_BOTH = [
    '<p>See <a href="/about">next topic</a></p>',
    (
        f'<table class="cal"><tr><td>1</td>{DAYS}</tr><tr><td><a'
        ' href="/2026/13">»</a></td></tr></table>'
    ),
    '<div id="wp-calendar"><b>1</b><a href="/day/two">2</a><a href="/2027/01">Next »</a></div>',
    '<p><a href="?month=12">Next</a></p>',
    '<p><a href="?year=2027&month=1">next »</a></p>',
    '<div class="carousel"><b>1</b><a href="/slide/2">2</a><a href="/slide/2">Next</a></div>',
    '<div class="slider"><ol><li class="active">1</li><li><a href="#s2">2</a></li></ol></div>',
    (
        '<p><a href="/articles/long">Read more</a> <a href="/category/7">More</a> <a'
        ' href="?cat=5">more »</a></p>'
    ),
    '<p id="p1"></p><p id="p2"></p><p><a href="#p1">1</a> <a href="#p2">2</a></p>',
    '<div><b>1</b> <a href="http://other.example/2">2</a></div>',
    '<div><b>1</b> <a class="disabled" href="/x">›</a></div>',
    "<p>Page 4 of 4</p><p>Page 1 of 1</p>",
    '<p><a href="/next-post-of-a-blog">A post that is next</a></p>',
    "<p>1 / 4</p>",
    '<p><a href="/login?next=/list">2</a></p>',
]
NO_MARKS_OF_A_THREAD = [
    '<p><a href="/t/8" rel="next">Next »</a> <a href="/t/6" rel="prev">« Previous</a></p>',
    '<p><a href="/t/7?prev_next=next#new">next »</a></p>',
    '<p><a href="/t/7?goto=nextnewest">Next</a></p>',
    '<link rel="next" href="/2026/another-title">',
    '<p><a href="/2026/another-title" rel="next">Next</a></p>',
]
WRITTEN = [
    '<a href="/x">next page</a>',
    "Page 1 of 9",
    '<b>1</b> <a href="/y">2</a>',
    '<a href="/t/7?page=2">2</a>',
    '<a href="?start=10">Next »</a>',
]


def lacking(
    role: str, marks: Sequence[str], written: Sequence[str] = ("", "", ""), **options: str
) -> str:
    """Return what a page with these marks is said to lack, whose entries or posts hold
    `written`.
    """
    if role == "list":
        rows = "".join(
            f'<li class="row"><a class="t" href="/t/{n}">A title of {n}</a> {text}</li>'
            for n, text in enumerate(written, 40)
        )
        page, rows = PageAddress(f"{HOST}/list", "list"), f"<ul>{rows}</ul>"
    else:
        rows = "".join(
            f'<div class="post" id="x{n}">li <div class="text">a text of {n} {text}</div></div>'
            for n, text in enumerate(written)
        )
        page = PageAddress(f"{HOST}/t/7", "thread", series=f"{HOST}/t/7", facts={"id": "7"})
    site = make_site(platform="board", options={**OPTIONS, **options})
    body = f"<html><body>{rows}{''.join(marks)}</body></html>"
    return find_platform(site).parse(page, response(page.url, body), site).lacking


@pytest.mark.parametrize("mark", MARKS_OF_BOTH + MARKS_OF_A_LIST)
def test_list_showing_a_next_page_is_incomplete(mark: str) -> None:
    assert lacking("list", [mark]) == "fewer"


@pytest.mark.parametrize("mark", MARKS_OF_BOTH)
def test_thread_showing_a_next_page_is_incomplete(mark: str) -> None:
    assert lacking("thread", [mark]) == "fewer"


@pytest.mark.parametrize("mark", [*NO_MARKS_OF_BOTH, '<div><b>1</b> <a href="/list">›</a></div>'])
def test_lookalike_pager_does_not_make_a_list_incomplete(mark: str) -> None:
    assert lacking("list", [mark]) == ""


@pytest.mark.parametrize("mark", NO_MARKS_OF_BOTH + NO_MARKS_OF_A_THREAD)
def test_lookalike_pager_does_not_make_a_thread_incomplete(mark: str) -> None:
    assert lacking("thread", [mark]) == ""


@pytest.mark.parametrize("role", ["list", "thread"])
@pytest.mark.parametrize("text", WRITTEN)
def test_text_of_a_poster_cannot_make_a_page_incomplete(role: str, text: str) -> None:
    assert lacking(role, [], ["", text, "", text]) == ""
    assert lacking("thread", [], [text]) == ""


@pytest.mark.parametrize("link", ["/t/7?comment=2", "/t/7/2", "#x1", "/posts/2"])
def test_numbered_link_to_a_post_is_not_a_next_page(link: str) -> None:
    posts = "".join(
        f'<div class="post" id="x{n}"><b>li</b> <i>{n}</i><a href="{link}">{n + 1}</a> <p'
        ' class="text">words</p></div>'
        for n in (0, 1)
    )
    assert lacking("thread", [posts], [], author="b") == ""


def test_post_containing_the_pager_does_not_hide_it() -> None:
    assert lacking("thread", [], [MARKS_OF_BOTH[0]], body="xpath:.") == "fewer"


@given(
    role=st.sampled_from(["list", "thread"]),
    others=st.lists(st.sampled_from(NO_MARKS_OF_BOTH), max_size=4),
    mark=st.sampled_from(["", *MARKS_OF_BOTH]),
    written=st.lists(st.sampled_from(["", *WRITTEN]), min_size=2, max_size=4),
    place=st.integers(0, 4),
)
def test_page_is_incomplete_exactly_where_a_next_page_is_marked(
    role: str, others: list[str], mark: str, written: list[str], place: int
) -> None:
    marks = [*others[:place], mark, *others[place:]]
    assert lacking(role, marks, written) == ("fewer" if mark else "")


COMMENTS = 5
"""Pages of comments of an article."""


def comment_page(number: int, *, newest_first: bool) -> str:
    """Return a page of comments as WordPress writes it; the page at the article's own address is
    the newest or the oldest.
    """
    first_page = COMMENTS if newest_first else 1

    def link(to: int, name: str) -> str:
        where = "" if to == first_page else f"comment-page-{to}/"
        return (
            f'<div class="nav-{name}"><a href="{HOST}/2026/11/a/{where}#comments">{name}</a></div>'
            if 0 < to <= COMMENTS
            else ""
        )

    comment = (
        f'<li id="comment-{number}" class="comment"><div class="comment-content"><p>words of'
        f" {number}</p></div></li>"
    )
    nav = (
        "<nav"
        f' class="comment-navigation">{link(number - 1, "previous")}'
        f"{link(number + 1, 'next')}</nav>"
    )
    article = (
        '<article id="post-7" class="hentry"><div class="entry-content"><p>the'
        " article</p></div></article>"
    )
    return (
        f'<html><body class="single">{article}<div'
        f' id="comments"><ol>{comment}</ol>{nav}</div></body></html>'
    )


@pytest.mark.parametrize("newest_first", [True, False])
def test_comment_pages_are_read_from_either_end(newest_first: bool) -> None:
    site, first = make_site(platform="wordpress"), f"{HOST}/2026/11/a/"
    pages, read = [PageAddress(first, "thread", series=first, facts={"id": "7"})], set[str]()
    for page in pages:
        suffix = page.url.partition("#")[0].removeprefix(first).strip("/")
        number = (
            int(suffix.removeprefix("comment-page-")) if suffix else COMMENTS if newest_first else 1
        )
        parsed = find_platform(site).parse(
            page, response(page.url, comment_page(number, newest_first=newest_first)), site
        )
        read |= {post.body.decode() for post in parsed.posts}
        pages += parsed.pages
    assert len(pages) == COMMENTS
    assert read == {
        "<p>the article</p>",
        *(f"<p>words of {number}</p>" for number in range(1, COMMENTS + 1)),
    }
