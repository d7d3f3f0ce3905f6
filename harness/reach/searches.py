"""Searches of public code and lists of complaints, in the documented shape of their answers;
each post is a hit.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from harness.reach.content import CHINA, Content, Post, Thread
from harness.reach.shape import WITH_TOKEN, Head, Made, count_of, given, page_of

HITS = 100
"""A page, as the searches are asked."""
GISTS = 'hosts = ["gist.githubusercontent.com"]'
GITHUB = f"?q=%22bank.example%22&sort=created&order=desc&per_page={HITS}"


@dataclass(frozen=True, kw_only=True)
class _Search(Head):
    """Hits in pages, the newest first: `start` and a parameter for the page."""

    paged: bool = False
    page: str = "page"
    size: int = HITS

    def pages(self, content: Content, url: str) -> Iterator[tuple[str, Made]]:
        """Return every page of hits, and an empty one after them."""
        for number in range(1, count_of([*content.posts()], self.size) + 2):
            for path in (
                {self.start, f"{self.start}&{self.page}=1"} if number == 1 else {self._at(number)}
            ):
                yield path, partial(self._page, number, content, url)

    def _at(self, number: int) -> str:
        first = f"{self.page}=1"
        return (
            self.start.replace(first, f"{self.page}={number}")
            if first in self.start
            else f"{self.start}&{self.page}={number}"
        )

    def _page(self, number: int, content: Content, url: str) -> object:
        return self.hits([*content.posts()], number, content, url)

    def hits(self, posts: list[Post], number: int, content: Content, url: str) -> object:
        """Return one page of hits."""
        raise NotImplementedError


class GithubIssues(_Search):
    """`/search/issues`."""

    def hits(self, posts: list[Post], number: int, content: Content, url: str) -> object:
        """Issues, each with its text."""
        items = [
            {
                "id": p.id,
                "number": p.place + 1,
                "title": content.thread_of(p).title,
                "body": p.text,
                "user": {"login": p.author},
                "created_at": f"{p.at:%Y-%m-%dT%H:%M:%SZ}",
                "html_url": f"{url}/li/made-up/issues/{p.id}",
                "comments": content.views,
                "repository_url": f"{url}/repos/li/made-up",
                "comments_url": f"{url}/repos/li/made-up/issues/{p.id}/comments",
            }
            for p in page_of(posts, number, self.size)
        ]
        return {"total_count": len(posts), "incomplete_results": False, "items": items}


class GiteeIssues(_Search):
    """`/api/v5/search/issues`."""

    def hits(self, posts: list[Post], number: int, content: Content, url: str) -> object:
        """Issues, each with its text."""
        return [
            {
                "id": p.id,
                "number": f"I{p.id}",
                "title": content.thread_of(p).title,
                "body": p.text,
                "user": {"login": p.author},
                "created_at": p.at.astimezone(CHINA).isoformat(),
                "html_url": f"{url}/li/made-up/issues/I{p.id}",
                "issue_type": "任务",
                "repository": {"full_name": "li/made-up", "human_name": "L/made-up"},
            }
            for p in page_of(posts, number, self.size)
        ]


class Jutousu(_Search):
    """A list of complaints with their texts."""

    def hits(self, posts: list[Post], number: int, content: Content, url: str) -> object:
        """Complaints."""
        listed = [
            {
                "id": p.id,
                "title": content.thread_of(p).title,
                "shortTopic": p.text,
                "shuqiu": "道歉",
                "merchantname": "某某贷款",
                "username": p.author,
                "ctime": int(p.at.timestamp()),
            }
            for p in page_of(posts, number, self.size)
        ]
        return {"result": 0, "pageNo": number, "postList": listed}


class GithubGists(_Search):
    """`/gists/public`, and the files of each."""

    def pages(self, content: Content, url: str) -> Iterator[tuple[str, Made]]:
        """Pages of gists, and the texts."""
        yield from super().pages(content, url)
        for post in content.posts():
            yield self._raw(post), given(post.text)

    def hits(self, posts: list[Post], number: int, content: Content, url: str) -> object:
        """Gists of one file."""
        return [
            {
                "id": f"{p.id:x}",
                "git_pull_url": "x",
                "owner": {"login": p.author},
                "files": {
                    "a.txt": {
                        "filename": content.thread_of(p).title,
                        "raw_url": url + self._raw(p),
                        "size": len(p.text),
                    }
                },
            }
            for p in page_of(posts, number, self.size)
        ]

    @staticmethod
    def _raw(post: Post) -> str:
        return f"/li/{post.id:x}/raw/{_sha(post)}/a.txt"


class GithubCode(_Search):
    """`/search/code`, and the contents of each file."""

    def pages(self, content: Content, url: str) -> Iterator[tuple[str, Made]]:
        """Pages of hits, and the contents."""
        yield from super().pages(content, url)
        for post in content.posts():
            content_ = base64.encodebytes(post.text.encode()).decode()
            item = {
                "sha": _sha(post),
                "size": len(post.text),
                "content": content_,
                "encoding": "base64",
            }
            yield f"/repositories/7/git/blobs/{_sha(post)}", given(item)

    def hits(self, posts: list[Post], number: int, content: Content, url: str) -> object:
        """Files."""
        items = [
            {
                "name": "a.txt",
                "path": f"{content.thread_of(p).title}/{p.place}.txt",
                "sha": _sha(p),
                "score": 1.0,
                "git_url": f"{url}/repositories/7/git/blobs/{_sha(p)}",
                "html_url": f"{url}/li/made-up/blob/0b/{p.id}.txt",
                "repository": {"full_name": "li/made-up", "owner": {"login": p.author}},
            }
            for p in page_of(posts, number, self.size)
        ]
        return {"total_count": len(posts), "incomplete_results": False, "items": items}


class Heimao(Head):
    """A list of complaints, and a page for each with what was said since, the newest first."""

    def pages(self, content: Content, url: str) -> Iterator[tuple[str, Made]]:
        """Yield lists and complaints."""
        for number in range(1, count_of([*content.threads], 10) + 2):
            yield (
                self.start.replace("&page=1", f"&page={number}"),
                partial(self._list, content, number, url),
            )
        for thread in content.threads.values():
            yield f"/complaint/view/{17300000000 + thread.id}/", partial(self._complaint, thread)

    def _list(self, content: Content, number: int, url: str) -> object:
        host = url.partition(":")[2]
        listed = [
            {
                "main": {
                    "sn": str(17300000000 + t.id),
                    "title": t.title,
                    "cotitle": "某某贷款",
                    "summary": "x",
                    "status": len(t.posts),
                    "timestamp": str(int(t.last.at.timestamp())),
                    "upvote_amount": content.views,
                    "url": f"{host}/complaint/view/{17300000000 + t.id}/",
                },
                "author": {"title": t.posts[0].author},
            }
            for t in page_of(content.listed(), number, 10)
        ]
        return {
            "result": {
                "status": {"code": 0},
                "data": {"lists": listed, "pager": {"current": number}},
            }
        }

    def _complaint(self, thread: Thread) -> str:
        steps = "".join(
            '<div class="ts-d-item"><div class="ts-d-user"><span'
            f' class="u-name">{p.author}</span><span class="u-status">补充投诉</span><span'
            f' class="u-date">{p.at.astimezone(CHINA):%Y-%m-%d %H:%M}:{p.place % 60:02}</span>'
            f'</div><div class="ts-d-cont"><div class="ts-reply">{p.text}</div></div></div>'
            for p in reversed(thread.posts)
        )
        return (
            f'<html><body><div class="ts-d-question"><h1 class="article">{thread.title}</h1><div'
            ' class="ts-q-user"><span class="u-date">x</span></div></div><div'
            f' class="ts-d-steplist">{steps}</div></body></html>'
        )


def _sha(post: Post) -> str:
    """Return the name of a content, forty digits."""
    return hashlib.sha256(post.text.encode()).hexdigest()[:40]


SEARCHES = (
    GithubCode(
        "GitHub code",
        "github_code",
        "REST 2022",
        f"/search/code{GITHUB}",
        paged=True,
        more=(WITH_TOKEN,),
    ),
    GithubIssues("GitHub issues", "github_issues", "REST 2022", f"/search/issues{GITHUB}"),
    GithubGists(
        "GitHub gists", "github_gists", "REST 2022", f"/gists/public?per_page={HITS}", more=(GISTS,)
    ),
    GiteeIssues(
        "Gitee issues",
        "gitee_issues",
        "v5",
        f"/api/v5/search/issues?q=bank.example&per_page={HITS}",
        more=(WITH_TOKEN,),
    ),
    Heimao("Heimao", "heimao", "2021", "/api/grp_comp/feed?type=1&page_size=10&page=1"),
    Jutousu(
        "Jutousu",
        "jutousu",
        "2019",
        "/front/api/search/searchPostList.do?pageNo=1&listType=1",
        page="pageNo",
        size=20,
    ),
)
