"""Presets read boards whose addresses were rewritten for search engines: pages after the
programs' templates, in many schemes.
"""

import pytest

from crawlers.platforms import find_platform
from crawlers.sites.pages import PageAddress, PageContent
from crawlers.sites.presets import Presets, recognise
from tests.crawlers.support import make_site
from tests.crawlers.test_trial import response

HOST = "https://board.example"
ROWS = {
    "vbulletin3": (
        """<tr><td class="alt1" id="td_threadtitle_{n}"><div>\
<a href="{url}" id="thread_title_{n}">A list {n}</a>
 <span>(<a href="{page}">2</a>)</span></div></td><td class="alt2"
title="Replies: 12, Views: 345"><div style="text-align:right">
11-26-2026 10:18 AM by <a href="/members/wang.html">wang</a></div></td>\
<td><a href="#" onclick="who({n})">12</a></td></tr>"""
    ),
    "vbulletin4": (
        """<li class="threadbit" id="thread_{n}"><h3><a class="title" href="{url}"
id="thread_title_{n}">A list {n}</a></h3>
<dl class="pagination"><dd><a href="{page}">2</a></dd></dl>
<ul class="threadstats"><li>Replies: <a>12</a></li></ul></li>"""
    ),
    "vbulletin5": (
        """<tr class="topic-item js-topic-item" data-node-id="{n}">
<td class="cell-topic"><a class="topic-title"
href="{url}">A list {n}</a> <a href="{page}">2</a></td>
<td class="cell-count"><div class="posts-count">12 responses</div></td></tr>"""
    ),
    "mybb": (
        """<tr class="inline_row">
<td class="trow1"><span class="subject_old" id="tid_{n}"><a href="{url}">A list {n}</a></span>
<a href="{page}">2</a></td>\
<td><a href="#" onclick="MyBB.whoPosted({n}); return false;">12</a></td></tr>"""
    ),
    "phpbb": (
        """<li class="row bg1"><dl><dt><a href="{url}"
class="topictitle">A list {n}</a>
<span class="pagination"><a href="{page}">2</a></span></dt>\
<dd class="posts">12 <dfn>Replies</dfn></dd></dl></li>"""
    ),
    "xenforo1": (
        """<li id="thread-{n}" class="discussionListItem">
<h3 class="title"><a href="{url}" class="PreviewTooltip">A list {n}</a>
</h3><a href="{page}">2</a><dl class="major"><dt>Replies:</dt> <dd>12</dd></dl></li>"""
    ),
}
AROUND = {
    "phpbb": '<ul class="topiclist topics">{}</ul>',
    "xenforo1": "<ol>{}</ol>",
    "vbulletin4": "<ol>{}</ol>",
}
SCHEMES = [
    ("/f12/a-list-of-{word}-{n}.html", "-2"),
    ("/trade/{n}-a-list-of-{word}.html", "-2"),
    ("/trade/a-list-of-{word}-{n}/", "index2.html"),
    ("/forum/threads/{n}-a-list-of-{word}", "/page2"),
    ("/showthread.php/{n}-a-list-of-{word}", "/page2"),
    ("/t{n}-a-list-of-{word}.html", "-p2"),
    ("/trade-f2/a-list-of-{word}-t{n}.html", "-10"),
    ("/thread-{n}.html", "-page-2"),
    ("/a-list-of-{word}-vt{n}.html", "-start10"),
    ("/community/topic/{n}-a-list-of-{word}/", "?page=2"),
]
NAMELESS = [
    ("/Thread-a-list-of-{word}", "?page=2"),
    ("/trade/a-list-of-{word}.html", "-2"),
    ("/thread/a-list-of-{word}/", "page-2"),
]
WORDS = {31: "banks", 32: "cards", 45: "phones"}


def render_list(name: str, scheme: str, more: str) -> PageContent:
    """Return a list page with three threads."""
    rows = ""
    for n, word in WORDS.items():
        url = scheme.format(n=n, word=word)
        head, dot, tail = url.rpartition(".html")
        page = f"{head}{more}{dot}{tail}" if dot and not more.startswith(("/", "?")) else url + more
        rows += ROWS[name].format(n=n, url=HOST + url, page=HOST + page)
    site, url = make_site(platform=name, start=[f"{HOST}/trade/"]), f"{HOST}/trade/"
    return find_platform(site).parse(
        PageAddress(url, "list"), response(url, page_of(name, rows)), site
    )


def page_of(name: str, rows: str) -> str:
    return f"<html><body>{AROUND.get(name, '<table>{}</table>').format(rows)}</body></html>"


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda one: one[0])
@pytest.mark.parametrize("name", sorted(ROWS))
def test_threads_are_read_under_any_rewritten_address(name: str, scheme: tuple[str, str]) -> None:
    entries = [page for page in render_list(name, *scheme).pages if page.role == "thread"]
    assert [page.url for page in entries] == [
        HOST + scheme[0].format(n=n, word=word) for n, word in WORDS.items()
    ]
    assert [page.facts["title"] for page in entries] == [f"A list {n}" for n in WORDS]
    assert len({page.name for page in entries}) == 3


@pytest.mark.parametrize("scheme", NAMELESS, ids=lambda one: one[0])
@pytest.mark.parametrize("name", sorted(ROWS))
def test_threads_with_addresses_without_numbers_are_read(
    name: str, scheme: tuple[str, str]
) -> None:
    entries = [page for page in render_list(name, *scheme).pages if page.role == "thread"]
    assert [page.url for page in entries] == [
        HOST + scheme[0].format(n=n, word=word) for n, word in WORDS.items()
    ]
    assert len({page.name for page in entries}) == 3


@pytest.mark.parametrize("name", sorted(ROWS))
def test_software_is_recognised_by_its_rows(name: str) -> None:
    body = page_of(name, ROWS[name].format(n=31, url="/a", page="/b"))
    assert name in {preset.name for preset in recognise(response(f"{HOST}/", body), Presets())}
