"""The states of a page, what a crash leaves behind, and what a recrawl reads."""

from dataclasses import replace
from pathlib import Path

import pytest

from crawlers.frontier.database import FILE, MAX_ATTEMPTS, Frontier, VisitResult
from crawlers.frontier.file import LONGEST_SECONDS, MOST_PAGES
from crawlers.frontier.leases import PageLease
from crawlers.frontier.schema import NEXT
from crawlers.sites.pages import PageAddress, PageContent
from tests.conftest import HeldClock
from tests.crawlers.support import KEY, item, post
from tests.state.copies import Disk
from ullage.errors import CorruptError

LIST = PageAddress("http://board.example/list", "list")
SITE = "board"


def thread(
    number: int = 1, stamp: str = "1 comment", topic: str = "http://board.example/topic/7/"
) -> PageAddress:
    return PageAddress(
        f"{topic}slug/?page={number}",
        "thread",
        identity=f"{topic}?page={number}",
        series=topic,
        number=number,
        stamp=stamp,
    )


def lease_all(frontier: Frontier, site: str = SITE) -> list[PageLease]:
    leased = []
    while page := frontier.lease(site):
        leased.append(page)
    return leased


def read_list(frontier: Frontier, clock: HeldClock, *pages: PageAddress) -> list[str]:
    """Begin a visit, read the list, and read everything that becomes due; returns the URLs read
    after the list.
    """
    clock.advance(1)
    began = frontier.begin_visit(SITE, [LIST])
    head = frontier.lease(SITE)
    assert head.page == LIST
    frontier.finish(head, PageContent(pages=pages), began)
    leased = lease_all(frontier)
    for page in leased:
        frontier.finish(page, PageContent(), began)
    return [page.page.url for page in leased]


def test_page_goes_from_due_to_leased_to_done(frontier: Frontier, clock: HeldClock) -> None:
    began = frontier.begin_visit(SITE, [LIST])
    leased = frontier.lease(SITE)
    assert (leased.page, frontier.count_pages(SITE)["leased"], frontier.lease(SITE)) == (
        LIST,
        1,
        None,
    )
    assert frontier.finish(leased, PageContent(pages=(item(1), item(2))), began) == VisitResult(
        new=2
    )
    assert frontier.count_pages(SITE) == {"due": 2, "leased": 0, "done": 1, "parked": 0}
    assert [page.page for page in lease_all(frontier)] == [item(1), item(2)]


def test_pages_are_prefetched_until_another_becomes_due(
    frontier: Frontier, clock: HeldClock
) -> None:
    began = frontier.begin_visit(SITE, [LIST])
    frontier.finish(frontier.lease(SITE), PageContent(pages=[item(n) for n in range(200)]), began)
    queries: list[str] = []
    frontier.connection.exec_trace = lambda _, query, __: queries.append(query) or True
    for _ in range(150):
        frontier.finish(frontier.lease(SITE), PageContent(), began)
    assert sum(query == NEXT for query in queries) < 15
    clock.advance(1)
    frontier.finish(frontier.lease(SITE), PageContent(pages=(item(1_000),)), began)
    assert frontier.lease(SITE).page == item(1_000)
    assert len({leased.page.url for leased in lease_all(frontier)}) == 49


def test_pages_leased_by_a_dead_process_become_due_again(tmp_path: Path, clock: HeldClock) -> None:
    first = Frontier(tmp_path, KEY, clock.as_clock())
    first.begin_visit(SITE, [LIST])
    first.lease(SITE)
    first.close()
    second = Frontier(tmp_path, KEY, clock.as_clock())
    assert second.lease(SITE).page == LIST
    second.close()


def finish_items(frontier: Frontier, count: int) -> None:
    """Read a list of `count` items and each item, which shows one post."""
    began = frontier.begin_visit(SITE, [LIST])
    pages = PageContent(pages=[item(number) for number in range(count)])
    frontier.finish(frontier.lease(SITE), pages, began)
    for number, leased in enumerate(lease_all(frontier)):
        assert frontier.finish(leased, PageContent((post(number),)), began) == VisitResult(new=1)


def test_items_are_written_several_in_one_transaction(frontier: Frontier, clock: HeldClock) -> None:
    commits: list[str] = []
    frontier.connection.exec_trace = lambda _, query, __: (
        commits.append(query) or True if query == "commit" else True
    )
    finish_items(frontier, 200)
    assert len(commits) <= 2 + 200 / MOST_PAGES + 1
    assert frontier.count_pages(SITE) == {"due": 0, "leased": 0, "done": 201, "parked": 0}


def test_killed_crawl_repeats_waiting_items_and_loses_none(
    tmp_path: Path, clock: HeldClock
) -> None:
    disk = Disk()
    frontier = Frontier(disk.folder, KEY, clock.as_clock())
    finish_items(frontier, 3 * MOST_PAGES - 2)
    waiting = frontier.waiting
    assert 0 < waiting < MOST_PAGES
    disk.die()
    frontier.close()
    restarted = Frontier(disk.folder, KEY, clock.as_clock())
    repeated = lease_all(restarted)
    assert len(repeated) == waiting
    assert restarted.count_pages(SITE)["done"] + waiting == 3 * MOST_PAGES - 1
    unseen = restarted.unseen(SITE, [post(number) for number in range(3 * MOST_PAGES - 2)])
    assert len(unseen) == waiting, "exactly the posts of the repeated pages"
    restarted.close()
    disk.clean()


def test_waiting_items_are_written_at_once_after_a_pause(
    frontier: Frontier, clock: HeldClock
) -> None:
    began = frontier.begin_visit(SITE, [LIST])
    frontier.finish(frontier.lease(SITE), PageContent(pages=(item(1), item(2), item(3))), began)
    first, second, third = lease_all(frontier)
    frontier.finish(first, PageContent((post(1),)), began)
    assert frontier.waiting == 1
    clock.advance(LONGEST_SECONDS)
    frontier.finish(second, PageContent((post(2),)), began)
    assert frontier.waiting == 0
    frontier.finish(third, PageContent((post(3),)), began)
    frontier.end_visit(SITE, clock.wall() + 300, succeeded=True)
    assert frontier.waiting == 0


def test_posts_of_waiting_items_are_known(frontier: Frontier, clock: HeldClock) -> None:
    began = frontier.begin_visit(SITE, [LIST])
    frontier.finish(frontier.lease(SITE), PageContent(pages=(item(1), item(2), item(3))), began)
    first, second, third = lease_all(frontier)
    frontier.finish(first, PageContent((post(1),)), began)
    changed = post(1, "edited")
    assert frontier.unseen(SITE, [post(1), changed]) == (replace(changed, edited=True),)
    assert frontier.finish(second, PageContent((post(1),)), began) == VisitResult()
    assert frontier.finish(third, PageContent((changed,)), began) == VisitResult(1, edited=1)
    assert frontier.waiting == 3
    stored = frontier.connection.execute("select distinct page from seen").fetchall()
    assert stored == [(third.name,)], "both versions are on the page that was read last"


def test_pages_of_an_interrupted_visit_become_due_again(
    frontier: Frontier,
) -> None:
    for site in ("one", "two"):
        frontier.begin_visit(site, [LIST])
        frontier.lease(site)
    assert (frontier.lease("one"), frontier.recover("one")) == (None, 1)
    assert frontier.lease("one").page == LIST
    assert frontier.count_pages("two")["leased"] == 1


def test_item_is_read_once_and_list_at_every_visit(frontier: Frontier, clock: HeldClock) -> None:
    assert read_list(frontier, clock, item(1), item(2)) == [item(1).url, item(2).url]
    assert read_list(frontier, clock, item(3), item(1), item(2)) == [item(3).url]


def test_thread_is_read_again_when_its_stamp_changes(frontier: Frontier, clock: HeldClock) -> None:
    assert read_list(frontier, clock, thread(stamp="1 comment")) == [thread().url]
    assert read_list(frontier, clock, thread(stamp="1 comment")) == []
    assert read_list(frontier, clock, thread(stamp="2 comments")) == [thread().url]


def test_only_the_last_page_of_a_changed_thread_is_read_again(
    frontier: Frontier, clock: HeldClock
) -> None:
    read_list(frontier, clock, thread(1), thread(2), thread(3))
    assert read_list(frontier, clock, thread(1, stamp="50 comments")) == [thread(3).url]


def test_thread_without_a_stamp_is_reread_once_at_a_deep_visit(
    frontier: Frontier, clock: HeldClock
) -> None:
    silent = replace(thread(1), stamp="")
    read_list(frontier, clock, silent, thread(2, stamp="same"), item(9))
    assert read_list(frontier, clock, silent, item(9)) == []
    clock.advance(1)
    began = frontier.begin_visit(SITE, [LIST])
    frontier.finish(frontier.lease(SITE), PageContent(pages=(silent, item(9))), began, deep=True)
    again = frontier.lease(SITE)
    assert again.page.url == thread(2).url, "its last page, where replies stand"
    frontier.finish(again, PageContent(pages=(silent,)), began, deep=True)
    assert frontier.lease(SITE) is None


def test_thread_changed_while_it_is_read_is_read_again(
    frontier: Frontier, clock: HeldClock
) -> None:
    began = frontier.begin_visit(SITE, [LIST])
    head = frontier.lease(SITE)
    frontier.finish(head, PageContent(pages=(thread(stamp="1 comment"),)), began)
    reading = frontier.lease(SITE)
    clock.advance(1)
    began = frontier.begin_visit(SITE, [LIST])
    frontier.finish(frontier.lease(SITE), PageContent(pages=(thread(stamp="2 comments"),)), began)
    frontier.finish(reading, PageContent(), began)
    assert frontier.lease(SITE).page.url == thread().url


def test_older_list_pages_are_read_only_after_new_entries(
    frontier: Frontier, clock: HeldClock
) -> None:
    older = PageAddress("http://board.example/list?page=2", "list", series=LIST.url, number=2)
    assert read_list(frontier, clock, item(1), older) == [item(1).url, older.url]
    assert read_list(frontier, clock, item(1), older) == []
    assert read_list(frontier, clock, item(2), item(1), older) == [item(2).url, older.url]


def test_circular_lists_end(frontier: Frontier, clock: HeldClock) -> None:
    began = frontier.begin_visit(SITE, [LIST])
    second_list = PageAddress("http://board.example/other", "list", series="s", number=2)
    read = 0
    while leased := frontier.lease(SITE):
        read += 1
        assert read < 10
        frontier.finish(
            leased,
            PageContent(
                pages=(item(read), LIST, second_list) if leased.page.role == "list" else ()
            ),
            began,
        )
    assert frontier.count_pages(SITE)["due"] == 0


def test_repeated_thread_page_leads_no_further(frontier: Frontier, clock: HeldClock) -> None:
    began = frontier.begin_visit(SITE, [LIST])
    frontier.finish(frontier.lease(SITE), PageContent(pages=(thread(1),)), began)
    for number in (1, 2):  # page 2 answers with page 1 again, and says that there is a page 3
        frontier.finish(
            frontier.lease(SITE), PageContent((post(1), post(2)), (thread(number + 1),)), began
        )
    assert frontier.lease(SITE) is None


def test_list_heads_come_before_items_and_older_lists(frontier: Frontier, clock: HeldClock) -> None:
    began = frontier.begin_visit(SITE, [LIST])
    older = PageAddress("http://board.example/list?page=2", "list", series=LIST.url, number=2)
    frontier.finish(frontier.lease(SITE), PageContent(pages=(older, item(1))), began)
    clock.advance(1)
    frontier.begin_visit(SITE, [LIST])
    assert [leased.page for leased in lease_all(frontier)] == [LIST, item(1), older]


def test_only_new_and_changed_posts_are_unseen(frontier: Frontier, clock: HeldClock) -> None:
    began = frontier.begin_visit(SITE, [LIST])
    leased = frontier.lease(SITE)
    assert frontier.unseen(SITE, [post(1), post(2)]) == (post(1), post(2))
    frontier.finish(leased, PageContent((post(1), post(2))), began)
    assert frontier.unseen(SITE, [post(1), post(2, "edited"), post(3)]) == (
        replace(post(2, "edited"), edited=True),
        post(3),
    )
    assert frontier.unseen("other", [post(1)]) == (post(1),)


def test_failing_page_waits_longer_each_time_and_is_then_parked(
    frontier: Frontier, clock: HeldClock
) -> None:
    frontier.begin_visit(SITE, [item(1)])
    waits = []
    for _ in range(MAX_ATTEMPTS - 1):
        assert frontier.postpone(frontier.lease(SITE)) == "due"
        waited = 0
        while not (again := frontier.lease(SITE)):
            clock.advance(60)
            waited += 60
        waits.append(waited)
        frontier.postpone(again, 0)
    assert waits == [120, 240, 480, 960, 1920]
    assert frontier.postpone(frontier.lease(SITE)) == "parked"
    clock.advance(86400 * 30)
    assert (frontier.lease(SITE), frontier.count_pages(SITE)["parked"]) == (None, 1)


def test_wait_requested_by_the_site_counts_no_attempt(frontier: Frontier, clock: HeldClock) -> None:
    frontier.begin_visit(SITE, [item(1)])
    for _ in range(MAX_ATTEMPTS * 2):
        leased = frontier.lease(SITE)
        assert (leased.attempts, frontier.postpone(leased, 3600)) == (0, "due")
        assert frontier.lease(SITE) is None
        clock.advance(3600)


def test_parked_list_is_retried_at_the_next_visit(frontier: Frontier) -> None:
    frontier.begin_visit(SITE, [LIST])
    frontier.park(frontier.lease(SITE))
    frontier.begin_visit(SITE, [LIST])
    assert frontier.lease(SITE).page == LIST


def test_visits_are_remembered(frontier: Frontier, clock: HeldClock) -> None:
    assert frontier.visits(SITE).success_at == 0
    frontier.end_visit(SITE, clock.wall() + 300, succeeded=True)
    success = clock.wall()
    clock.advance(300)
    for _ in range(2):
        frontier.end_visit(SITE, clock.wall() + 600, succeeded=False)
    visits = frontier.visits(SITE)
    assert (visits.due_at, visits.success_at, visits.failures) == (clock.wall() + 600, success, 2)


def test_clock_that_was_ahead_postpones_nothing_for_years(
    frontier: Frontier, clock: HeldClock
) -> None:
    clock.advance(10 * 365 * 86400)
    read_list(frontier, clock)
    began = frontier.begin_visit(SITE, [LIST])
    frontier.finish(frontier.lease(SITE), PageContent(pages=(item(1), item(2))), began)
    frontier.postpone(frontier.lease(SITE))
    frontier.end_visit(SITE, clock.wall() + 300, succeeded=True)
    clock.advance(-10 * 365 * 86400)
    assert frontier.visits(SITE).seconds_left(clock.wall()) == 0
    frontier.begin_visit(SITE, [LIST])
    assert {leased.page.url for leased in lease_all(frontier)} == {
        LIST.url,
        item(1).url,
        item(2).url,
    }


def test_walk_reads_near_list_pages_each_time_and_the_others_in_turn(
    frontier: Frontier, clock: HeldClock
) -> None:
    older = [
        PageAddress(f"http://board.example/list?page={n}", "list", series=LIST.url, number=n)
        for n in range(2, 10)
    ]
    read_list(frontier, clock, item(1), *older)
    read = []
    for walk in (0, 2, 2, 2):
        clock.advance(1)
        began = frontier.begin_visit(SITE, [LIST], walk)
        pages = lease_all(frontier)
        for page in pages:
            clock.advance(1)
            frontier.finish(page, PageContent(pages=(item(1),)), began)
        read.append(sorted(page.page.number for page in pages))
    assert read == [[1], [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, 6, 7]]


def test_pages_are_complete_until_the_past_of_a_site_is_read(
    frontier: Frontier, clock: HeldClock
) -> None:
    began = frontier.begin_visit(SITE, [LIST])
    frontier.finish(frontier.lease(SITE), PageContent(pages=(item(1),)), began)
    frontier.end_visit(SITE, clock.wall(), succeeded=True)
    assert (frontier.visits(SITE).count, frontier.visits(SITE).whole_at) == (1, 0)
    frontier.finish(frontier.lease(SITE), PageContent(), began)
    frontier.end_visit(SITE, clock.wall(), succeeded=True)
    assert (frontier.visits(SITE).count, frontier.visits(SITE).whole_at) == (2, clock.wall())


def test_nothing_readable_is_on_disk(frontier: Frontier, tmp_path: Path, clock: HeldClock) -> None:
    secret = PageAddress(
        "http://board.example/topic/9/zhang-san-13800138000/",
        "thread",
        stamp="stamp-text",
        facts={"title": "张三的资料"},
    )
    began = frontier.begin_visit(SITE, [LIST])
    frontier.finish(frontier.lease(SITE), PageContent((post(1, "身份证"),), (secret,)), began)
    written = b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))
    assert SITE.encode() in written
    for value in (
        "zhang-san",
        "13800138000",
        "board.example",
        "stamp-text",
        "张三",
        "身份证",
        "hello",
    ):
        assert value.encode() not in written
    assert frontier.lease(SITE).page == secret


def test_wrong_key_is_rejected(frontier: Frontier, tmp_path: Path, clock: HeldClock) -> None:
    frontier.begin_visit(SITE, [LIST])
    second_frontier = Frontier(tmp_path, bytes(32), clock.as_clock())
    with pytest.raises(CorruptError, match=r"frontier\.key"):
        second_frontier.lease(SITE)
    second_frontier.close()


def test_damaged_file_is_rejected(tmp_path: Path, clock: HeldClock) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 1000)
    with pytest.raises(CorruptError, match=FILE):
        Frontier(tmp_path, KEY, clock.as_clock())
