"""Whole boards in the shape of programs that cannot be run here: lists and threads in pages, a row and a post as each writes
them. Names, titles and texts are made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from math import ceil

from tests.crawlers.support import Answers

ROWS, POSTS = 10, 5
"""Entries and posts a page."""


@dataclass(frozen=True)
class Shape:
    """`row`, `post` and `next` are templates; `listed` and `read` give the addresses of a page of the list, and of a thread."""

    preset: str
    head: str
    row: str
    post: str
    next: str
    listed: Callable[[int], str]
    read: Callable[[int, int], str]
    charset: str = "utf-8"


SHAPES = (
    Shape(
        "phpbb",
        '<body id="phpbb"><div id="page-body"><h2 class="forum-title">T</h2><ul class="topiclist topics">{}</ul></div>',
        '<li class="row"><dl><dt><a href=".{}" class="topictitle">{title}</a></dt>'
        '<dd class="posts">{replies} <dfn>Replies</dfn></dd>'
        '<dd class="views">{views}</dd><dd class="lastpost"><a href="./viewtopic.php?p={last}#p{last}">x</a></dd></dl></li>',
        '<div id="p{id}" class="post bg1"><p class="author"><a class="username" href="#">li</a> &raquo; '
        '<time datetime="2026-11-24T16:02:00+00:00">Tue</time></p><div class="content">{text}</div></div>',
        '<div class="pagination"><ul><li class="arrow next"><a rel="next" href=".{}">&gt;</a></li></ul></div>',
        lambda page: f"/viewforum.php?f=2&start={ROWS * (page - 1)}",
        lambda thread, page: f"/viewtopic.php?f=2&t={thread}" + (f"&start={POSTS * (page - 1)}" if page > 1 else ""),
    ),
    Shape(
        "mybb",
        '<script src="/jscripts/general.js?ver=1827"></script><table>{}</table>',
        '<tr class="inline_row"><td></td><td><span id="tid_{thread}"><a href="{}">{title}</a></span></td><td>'
        '<a href="javascript:void(0)" onclick="MyBB.whoPosted({thread});">{replies}</a></td><td>{views}</td>'
        '<td><span class="lastpost smalltext">11-24-2026, 04:18 PM<br /></span></td></tr>',
        '<div class="post" id="post_{id}"><div class="author_information"><span class="largetext">li</span></div>'
        '<span class="post_date">11-24-2026, 04:02 PM</span><div class="post_body" id="pid_{id}">{text}</div></div>',
        '<a href="{}" class="pagination_next">Next</a>',
        lambda page: f"/forumdisplay.php?fid=2&page={page}",
        lambda thread, page: f"/showthread.php?tid={thread}" + (f"&page={page}" if page > 1 else ""),
    ),
    Shape(
        "xenforo",
        '<html id="XF"><body><h1 class="p-title-value">T</h1>{}',
        '<div class="structItem structItem--thread"><div class="structItem-title">'
        '<a href="{}" data-tp-primary="on">{title}</a></div>'
        '<div class="structItem-cell--meta"><dl><dt>Replies</dt><dd>{replies}</dd></dl>'
        "<dl><dt>Views</dt><dd>{views}</dd></dl></div>"
        '<time class="structItem-latestDate u-dt" data-time="17955{last}">x</time></div>',
        '<article class="message message--post" data-author="li" data-content="post-{id}" id="js-post-{id}"><header '
        'class="message-attribution"><time class="u-dt" datetime="2026-11-24T16:02:00+0000">x</time></header><article '
        'class="message-body"><div class="bbWrapper">{text}</div></article></article>',
        '<a href="{}" class="pageNav-jump pageNav-jump--next">Next</a>',
        lambda page: f"/forums/trade.2/page-{page}",
        lambda thread, page: f"/threads/ke-hu-{thread}x.{thread}/" + (f"page-{page}" if page > 1 else ""),
    ),
    Shape(
        "vbulletin4",
        '<meta name="generator" content="vBulletin 4.2.5" /><ol id="threads">{}</ol>',
        '<li class="threadbit">'
        '<a class="title" href="{}" id="thread_title_{thread}">{title}</a><ul class="threadstats"><li>Replies: '
        '{replies}</li><li>Views: {views}</li></ul><dl class="threadlastpost"><dd>li</dd><dd>11-24-2026, 04:18 PM</dd></dl></li>',
        '<ol id="posts"><li class="postbit" id="post_{id}"><span class="postdate">'
        '<span class="date">11-24-2026, 04:02 PM</span></span>'
        '<a class="username"><strong>li</strong></a><blockquote class="postcontent restore">{text}</blockquote></li></ol>',
        '<span class="prev_next"><a rel="next" href="{}">x</a></span>',
        lambda page: f"/forumdisplay.php?2-Trade/page{page}",
        lambda thread, page: f"/showthread.php?{thread}-Ke-hu" + (f"/page{page}" if page > 1 else ""),
    ),
    Shape(
        "discuz",
        '<meta charset="gbk"><title>交易区 - Powered by Discuz!</title><h1 class="xs2"><a>交易区</a></h1><table>{}</table>',
        '<tbody id="normalthread_{thread}"><tr><th><a href="{}" class="s xst">{title}'
        '</a></th><td class="by"></td><td class="num">'
        '<a class="xi2">{replies}</a><em>{views}</em></td><td class="by"><em>'
        "<a>2026-11-24 16:{last:02}</a></em></td></tr></tbody>",
        '<div id="postlist"><div id="post_{id}"><a class="xw1"></a><div class="authi"><a class="xw1">李</a></div><em '
        'id="authorposton{id}">发表于 2026-11-24 16:02:00</em><table><tr>'
        '<td class="t_f" id="postmessage_{id}">{text}</td></tr></table>'
        "</div></div>",
        '<div class="pg"><a href="{}" class="nxt">下一页</a></div>',
        lambda page: f"/forum-2-{page}.html",
        lambda thread, page: f"/thread-{thread}-{page}-1.html",
        "gbk",
    ),
)


@dataclass
class Made:
    """A board of `shape`: texts by thread. It is written anew at every answer, with other counts of views."""

    shape: Shape
    threads: dict[int, list[str]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    views: int = 0

    def write(self, thread: int, *texts: str) -> None:
        """Add to a thread, which is then the first of the list."""
        self.threads.setdefault(thread, []).extend(texts)
        self.order = [thread, *(other for other in self.order if other != thread)]

    def serve(self, answers: Answers) -> None:
        """Put every page up."""
        for page in range(1, ceil(len(self.order) / ROWS) + 1):
            self._page(answers, self.shape.listed(page), lambda page=page: self._list(page))
        for thread, texts in self.threads.items():
            for page in range(1, ceil(len(texts) / POSTS) + 1):
                self._page(answers, self.shape.read(thread, page), lambda thread=thread, page=page: self._thread(thread, page))

    def _page(self, answers: Answers, path: str, made: Callable[[], str]) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            body = made().encode(self.shape.charset)
            handler.send_response(200)
            handler.send_header("Content-Type", f"text/html; charset={self.shape.charset}")
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        answers.pages[path] = answer

    def _list(self, page: int) -> str:
        shown = self.order[ROWS * (page - 1) : ROWS * page]
        self.views += 1
        rows = [
            self.shape.row.format(
                self.shape.read(thread, 1), thread=thread, title=f"主题 {thread}", replies=len(self.threads[thread]) - 1,
                views=self.views, last=len(self.threads[thread]),
            )
            for thread in shown
        ]  # fmt: skip
        return self.shape.head.format("".join(rows)) + self._next(self.shape.listed(page + 1), ROWS * page < len(self.order))

    def _thread(self, thread: int, page: int) -> str:
        texts: Sequence[str] = self.threads[thread]
        shown = list(enumerate(texts))[POSTS * (page - 1) : POSTS * page]
        posts = "".join(self.shape.post.format(id=1000 * thread + number, text=text) for number, text in shown)
        return self.shape.head.format("") + posts + self._next(self.shape.read(thread, page + 1), POSTS * page < len(texts))

    def _next(self, path: str, there: bool) -> str:
        return self.shape.next.format(path) if there else ""
