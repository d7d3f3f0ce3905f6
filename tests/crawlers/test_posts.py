"""Posts that are edited or taken away: what is told of them, and what has to be read for that."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from crawlers.frontier.database import Frontier, VisitResult
from crawlers.frontier.posts import LONGEST_THREAD
from crawlers.sites.pages import PageAddress, PageContent, Post
from tests.conftest import HeldClock
from tests.crawlers.support import KEY

SITE, TOPIC, PER_PAGE = "board", "http://board.example/t/7", 3
LIST = PageAddress("http://board.example/list", "list")


def post(number: int, text: str = "", **more: object) -> Post:
    built = Post(str(number), f"{TOPIC}#{number}", (text or f"text {number}").encode(), thread="7")
    return replace(built, **more)


@dataclass
class Thread:
    """A thread of a board, and a crawl that reads it."""

    frontier: Frontier
    clock: HeldClock
    posts: dict[int, Post] = field(default_factory=dict)
    replies: int = 0
    repeats: bool = False
    """Whether what is beyond the end is answered with page 1, and not with 404."""
    read: list[int] = field(default_factory=list)
    results: list[VisitResult] = field(default_factory=list)
    unseen: list[Post] = field(default_factory=list)
    meanwhile: Mapping[int, Iterable[int]] = field(default_factory=dict)
    """Posts that are deleted right after a page was read."""

    def write(self, *numbers: int) -> None:
        self.posts.update({number: post(number) for number in numbers})
        self.replies += len(numbers)

    def delete(self, *numbers: int, count: bool = False) -> None:
        for number in numbers:
            del self.posts[number]
        self.replies -= len(numbers) if count else 0

    def page(self, number: int) -> PageAddress:
        return PageAddress(
            f"{TOPIC}?p={number}",
            "thread",
            identity=f"{TOPIC}?page={number}" if number > 1 else TOPIC,
            series=TOPIC,
            number=number,
            stamp=str(max(self.posts, default=0)) + f"-{self.replies}",
            facts={"posts": str(self.replies)},
        )

    def show_page(self, number: int) -> PageContent:
        numbers = sorted(self.posts)[PER_PAGE * (number - 1) : PER_PAGE * number]
        if not numbers and self.repeats and number > 1:
            return self.show_page(1)
        more = (self.page(number + 1),) if PER_PAGE * number < len(self.posts) else ()
        return PageContent(tuple(self.posts[number_] for number_ in numbers), more)

    def visit(self, walk: int = 0, skip: int = 0) -> tuple[list[int], int, int]:
        """Read what is due; returns the pages of the thread that were read, and how many posts
        were edited and are gone.
        """
        self.clock.advance(100)
        began, before = self.frontier.begin_visit(SITE, [LIST], walk), len(self.results)
        self.read = []
        while leased := self.frontier.lease(SITE):
            self.clock.advance(1)
            if leased.page.role == "list":
                self.frontier.finish(
                    leased, PageContent(pages=(self.page(1),) if self.posts else ()), began
                )
                continue
            self.read.append(leased.page.number)
            if leased.page.number == skip:
                self.frontier.park(leased)
                continue
            parsed = self.show_page(leased.page.number)
            self.unseen += self.frontier.unseen(SITE, parsed.posts)
            self.results.append(self.frontier.finish(leased, parsed, began))
            self.delete(
                *[
                    number
                    for number in self.meanwhile.get(leased.page.number, ())
                    if number in self.posts
                ]
            )
        results = self.results[before:]
        return (
            self.read,
            sum(number.edited for number in results),
            sum(number.gone for number in results),
        )


@pytest.fixture
def thread(frontier: Frontier, clock: HeldClock) -> Thread:
    new_thread = Thread(frontier, clock)
    new_thread.write(*range(1, 9))
    assert new_thread.visit() == ([1, 2, 3], 0, 0)
    return new_thread


def test_edited_post_is_captured_again_once_and_marked(thread: Thread) -> None:
    thread.posts[8] = post(8, "something else")
    thread.write(9)
    thread.unseen.clear()
    assert thread.visit() == ([3], 1, 0)
    assert thread.unseen == [replace(post(8, "something else"), edited=True), post(9)]
    assert thread.visit(walk=5) == ([3, 2, 1], 0, 0) or thread.read
    assert thread.unseen == [replace(post(8, "something else"), edited=True), post(9)]


def test_automatic_changes_are_not_edits(thread: Thread) -> None:
    thread.posts[8] = post(8, "<b>x</b> 3 downloads", wording=b"text 8")
    thread.write(9)
    thread.visit()
    thread.posts[8] = post(8, "<i>x</i> 4 downloads", wording=b"text 8")
    thread.write(10)
    assert thread.visit() == ([3, 4], 0, 0)


def test_post_identified_by_position_is_never_edited_or_gone(
    frontier: Frontier, clock: HeldClock
) -> None:
    thread = Thread(frontier, clock)
    thread.posts = {number: post(number, lasting=False) for number in (1, 2, 3)}
    thread.visit()
    thread.posts = {number: post(number, f"text {number + 1}", lasting=False) for number in (1, 2)}
    thread.write(4)
    assert thread.visit() == ([1], 0, 0)


def test_edits_on_older_pages_are_found_by_a_walk(thread: Thread) -> None:
    thread.posts[1] = post(1, "something else")
    assert thread.visit() == ([], 0, 0)
    read, edited, _ = thread.visit(walk=5)
    assert (sorted(read), edited) == ([1, 2, 3], 1)


@pytest.mark.parametrize("deleted", [1, 5, 8])
@pytest.mark.parametrize("count", [True, False])
def test_deleted_post_is_reported_once(thread: Thread, deleted: int, count: bool) -> None:
    thread.delete(deleted, count=count)
    thread.write(9)
    _, edited, gone = thread.visit()
    assert (edited, gone) == (0, 1)
    thread.write(10)
    assert thread.visit()[1:] == (0, 0)
    posts = thread.frontier.find_unreported_gone(SITE, 9)
    assert [name.hex() for name, _ in posts] == [thread.frontier.post_name(SITE, post(deleted))]
    thread.frontier.mark_reported_gone(SITE, posts)
    assert thread.frontier.find_unreported_gone(SITE, 9) == []
    assert thread.visit(walk=9)[1:] == (0, 0)


def test_thread_with_a_lower_count_is_reread_whole(frontier: Frontier, clock: HeldClock) -> None:
    thread = Thread(frontier, clock, meanwhile={1: (2,)})
    thread.write(*range(1, 9))
    thread.visit()
    assert "4" not in {result.post_id for result in thread.unseen}, (
        "it stood on page 2 until page 1 had been read"
    )
    thread.replies -= 1
    read, _, gone = thread.visit()
    assert (read[:3], gone) == ([1, 2, 3], 1)
    assert {result.post_id for result in thread.unseen} == {str(number) for number in range(1, 9)}


def test_post_moved_to_a_page_just_read_is_not_gone(thread: Thread) -> None:
    thread.meanwhile = {1: (2,)}
    thread.delete(8)
    thread.write(9)
    assert thread.visit()[2] == 2
    assert {int(result.post_id) for result in thread.unseen} == set(range(1, 10))
    assert thread.visit(walk=9)[1:] == (0, 0), "nothing that was called gone is there again"


def test_posts_of_a_deleted_thread_are_gone_after_two_requests(thread: Thread) -> None:
    thread.delete(*thread.posts)
    thread.posts[99] = post(99)
    stays = thread.page(1)
    thread.posts = {}
    thread.page = lambda _: stays
    began = thread.frontier.begin_visit(SITE, [LIST])
    thread.frontier.finish(thread.frontier.lease(SITE), PageContent(pages=(stays,)), began)
    pages, gone = [], 0
    while leased := thread.frontier.lease(SITE):
        pages.append(leased.page.number)
        gone += thread.frontier.finish(leased, PageContent(), began).gone
    assert (pages, gone) == ([3, 1], 8)


def test_repeated_first_page_beyond_the_end_changes_nothing(thread: Thread) -> None:
    thread.repeats = True
    thread.delete(7, 8)
    thread.write(9)
    thread.delete(9)
    assert thread.visit()[2] == 2
    assert thread.visit(walk=9)[1:] == (0, 0)


def test_nothing_is_gone_while_a_page_could_not_be_read(thread: Thread) -> None:
    thread.delete(5)
    thread.write(9)
    assert thread.visit(skip=1)[2] == 0
    thread.frontier.retry_parked(SITE)
    assert thread.visit()[2] == 1


def test_long_thread_reports_nothing_as_gone(frontier: Frontier, clock: HeldClock) -> None:
    thread = Thread(frontier, clock)
    thread.write(*range(1, PER_PAGE * LONGEST_THREAD + 2))
    thread.visit()
    thread.delete(1)
    thread.write(999)
    assert thread.visit() == ([LONGEST_THREAD + 1], 0, 0)


def test_truncated_page_reports_nothing_as_gone(thread: Thread) -> None:
    thread.delete(8)
    began = thread.frontier.begin_visit(SITE, [LIST], 9)
    while leased := thread.frontier.lease(SITE):
        parsed = (
            thread.show_page(leased.page.number) if leased.page.role == "thread" else PageContent()
        )
        assert not thread.frontier.finish(leased, replace(parsed, whole=False), began).gone


def test_counts_persist(tmp_path: Path, thread: Thread) -> None:
    thread.posts[8] = post(8, "something else")
    thread.delete(7)
    thread.write(9)
    thread.visit()
    thread.frontier.close()
    opened = Frontier(tmp_path, KEY, thread.clock.as_clock())
    assert opened.history.read_counts(SITE) == {"edited": 1, "gone": 1}
    assert opened.history.load(SITE).profile.posts == 9
    opened.close()
