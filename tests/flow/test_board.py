"""A board of 2,000 posts in 150 threads over 10 pages, read while people write, edit and delete
there: every version once.
"""

from __future__ import annotations

import json
import random
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from harness.reach.boards import Board, boards
from harness.reach.content import Content, Post, Thread
from harness.reach.shape import page_of, serve
from harness.reach.shapes import said
from tests.crawlers.conftest import Station
from tests.crawlers.support import Answers, serving

POSTS, THREADS, PAGES = 2_000, 150, 10
FIRST_THREADS, FIRST_POSTS = 135, 1_700
EDITS, DELETIONS, DATED_BACK = 60, 30, 34
MOST_VISITS = 25
DEEP = (
    "deep_every = 2\ndeep_pages = 240\nrevisit_seconds = 1\nrevisit_min_seconds = 1\nmax_pages ="
    " 2000\nrobots = false"
)
SEED = 20_261_127

pytestmark = pytest.mark.flow


@dataclass(frozen=True)
class RecordingBoard(Board):
    """A board that notes which versions of its posts were shown, in their order."""

    versions: dict[int, list[str]] = field(default_factory=dict)

    def _thread(self, thread: Thread, page: int) -> str:
        for post in page_of(thread.posts, page, self.posts):
            versions = self.versions.setdefault(post.id, [])
            if post.text not in versions:
                versions.append(post.text)
        return super()._thread(thread, page)


@dataclass
class ChangingBoard:
    """A board on which people do something behind every answer, always the same, until all is
    done: while it is first read.
    """

    board: RecordingBoard
    answers: Answers
    content: Content = field(default_factory=Content)
    deleted: set[int] = field(default_factory=set)
    pending: list[str] = field(default_factory=list)
    rng: random.Random = field(default_factory=lambda: random.Random(SEED))
    written: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        for number in range(FIRST_THREADS):
            self.write(f"主题 {number}")
        while self.written < FIRST_POSTS:
            self.write(self.rng.choice(list(self.content.threads)))
        new = ["thread"] * (THREADS - FIRST_THREADS)
        replies = ["reply"] * (POSTS - FIRST_POSTS - len(new) - DATED_BACK)
        self.pending = [
            *new,
            *replies,
            *["edit"] * EDITS,
            *["delete"] * DELETIONS,
            *["dated back"] * DATED_BACK,
        ]
        self.rng.shuffle(self.pending)
        self.serve()

    def write(self, title: str, *, dated_back: bool = False) -> None:
        """Add a post; one that is dated back leaves its thread in its place in the list."""
        self.written += 1
        thread = self.content.threads.setdefault(
            title, Thread(7 + len(self.content.threads), title)
        )
        at = (
            thread.last.at
            if dated_back
            else self.content.started + timedelta(milliseconds=self.written)
        )
        thread.posts.append(
            Post(3000 + self.written, len(thread.posts), f"第{self.written}楼 出售", "li", at)
        )

    def serve(self) -> None:
        serve(self.board, self.content, self.answers)
        self.answers.pages = {
            path: self._then_acts(answer) for path, answer in self.answers.pages.items()
        }

    def _then_acts(
        self, answer: Callable[[BaseHTTPRequestHandler], None]
    ) -> Callable[[BaseHTTPRequestHandler], None]:
        def answer_and_act(handler: BaseHTTPRequestHandler) -> None:
            with self._lock:
                answer(handler)
                if self.pending:
                    self.act(self.pending.pop())
                    self.serve()

        return answer_and_act if answer.__name__ != "answer_and_act" else answer

    def act(self, what: str) -> None:
        rng, listed = self.rng, self.content.listed()
        if what == "thread":
            self.write(f"新主题 {self.written}")
        elif what == "reply":
            self.write(rng.choice(listed).title)
        elif what == "dated back":
            self.write(
                rng.choice(
                    page_of(listed, 7, self.board.entries) + page_of(listed, 8, self.board.entries)
                ).title,
                dated_back=True,
            )
        else:
            posts = rng.choice([thread for thread in listed if len(thread.posts) > 3]).posts
            place = rng.randrange(1, len(posts))
            if what == "edit":
                posts[place] = replace(
                    posts[place], text=f"{posts[place].text} 已改 {len(self.pending)}"
                )
            else:
                self.deleted.add(posts.pop(place).id)

    @property
    def is_told(self) -> bool:
        """Whether nobody does anything any more, and the last version of every post that is
        there was shown.
        """
        return not self.pending and all(
            self.board.versions.get(post.id, [""])[-1] == post.text for post in self.content.posts()
        )

    @property
    def missed(self) -> int:
        """Posts that were shown and are deleted."""
        return len(self.deleted & self.board.versions.keys())


def visits(process: subprocess.Popen[str]) -> Iterator[dict[str, int]]:
    """Yield the log line of each visit."""
    for line in process.stderr:
        event = json.loads(line)
        assert event["level"] not in {"error", "critical"}, event
        if event["event"] == "visited":
            assert event["status"] == "ok", event
            yield event


@pytest.fixture
def board() -> Iterator[ChangingBoard]:
    with serving() as answers:
        discuz = next(each for each in boards() if each.preset == "discuz")
        values = {field_.name: getattr(discuz, field_.name) for field_ in fields(discuz)}
        changing = ChangingBoard(
            RecordingBoard(**{**values, "entries": THREADS // PAGES, "posts": 15}), answers
        )
        changing.begin()
        yield changing


def test_every_post_version_is_captured_once_and_each_deletion_reported(
    data: Path, board: ChangingBoard
) -> None:
    station = Station(data)
    station.site("board", board.answers.url + board.board.start, board.board.preset, DEEP)
    totals = Counter[str]()
    with station.start("crawl", metrics="false", log_level="info") as process:
        for number, visit in enumerate(visits(process), 1):
            totals.update({name: visit[name] for name in ("pages", "captures", "edited", "gone")})
            if board.is_told and totals["gone"] >= board.missed:
                break
            assert number < MOST_VISITS, (totals, board.missed, len(board.pending))
        process.terminate()
        assert process.wait(60) == 0
    assert (board.written, len(board.content.threads), len(board.deleted)) == (
        POSTS,
        THREADS,
        DELETIONS,
    )
    versions: dict[int, list[tuple[str, bool]]] = {}
    gone = 0
    for capture in station.captures():
        gone += capture.deleted
        if not capture.deleted:
            versions.setdefault(int(capture.post_id), []).append((said(capture), capture.edited))
    assert gone == board.missed
    assert versions == {
        number: [(text, bool(place)) for place, text in enumerate(texts)]
        for number, texts in board.board.versions.items()
    }
    assert POSTS - DELETIONS <= len(versions) <= POSTS
    edited = sum(len(texts) - 1 for texts in board.board.versions.values())
    (site,) = [json.loads(line) for line in station.run("sites", "--json").splitlines()]
    assert (site["state"], site["posts"], site["edited"], site["gone"]) == (
        "ok",
        len(versions),
        edited,
        board.missed,
    )
    assert min(edited, board.missed) > 10
