"""One visit: what is leased, what each outcome does to a page, and when the visit ends."""

import asyncio
import gc
import threading
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from OpenSSL import SSL
from prometheus_client import CollectorRegistry
from scrapy import Request
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
)
from scrapy.http import HtmlResponse, Response
from service_identity import VerificationError
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.web._newclient import ResponseNeverReceived

from crawlers.fetching import RequestRefusal
from crawlers.fetching.outcomes import FATES, get_retry_after, to_error_outcome, to_status_outcome
from crawlers.fetching.robots import RobotsCache
from crawlers.frontier.database import Frontier
from crawlers.metrics import CrawlMetrics
from crawlers.platforms import find_platform
from crawlers.publishing.batching import Appends
from crawlers.publishing.outbox import BATCH, CaptureOutbox
from crawlers.sites.page_reader import COUNTED
from crawlers.sites.pages import PageAddress, PageContent, Post
from crawlers.visiting.publish import (
    MAX_TEXT,
    MAX_URL,
    PublishPipeline,
    SeenPipeline,
    publish_deletions,
)
from crawlers.visiting.spider import CONDITIONAL, LARGE_BYTES, LEASED, PageRead, PageSpider
from crawlers.visiting.visit import MAX_FAILURES_IN_A_ROW, Visit
from tests.conftest import HeldClock
from tests.crawlers.support import at_once, item, make_site, post
from ullage import clock as clocks
from ullage.bus import Outgoing
from ullage.errors import CorruptError, ExhaustedError, RecordError, UnavailableError
from ullage.records import CAPTURE_SCHEMA, MAX_BODY_BYTES, Capture
from ullage.records.capture import MAX_HEADER_BYTES
from ullage.security.capture_seal import CaptureOpener
from ullage.security.sealing import Sealer, SealOpener
from ullage.security.signing import Signer, Verifier
from ullage.settings import Context


@dataclass
class Publisher:
    """A bus that keeps what it is given, and is down for as many calls as the test says."""

    records: list[Outgoing] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    down: int = 0

    def append(self, records: Sequence[Outgoing]) -> None:
        self.calls.append(len(records))
        if self.down:
            self.down -= 1
            raise UnavailableError("the bus is down", retry_after=None)
        self.records += records

    def close(self) -> None:
        pass


SIGNER = Signer(Ed25519PrivateKey.generate())
PRIVATE = X25519PrivateKey.generate()
SEALER = Sealer("20260101", PRIVATE.public_key())
OPENER = CaptureOpener(
    SealOpener({SEALER.key_id: PRIVATE}),
    Verifier(lambda: {SIGNER.name: SIGNER.private.public_key()}),
)


def broken(why: Exception) -> Exception:
    """Return the error by which Scrapy reports a connection that ended before its response."""
    return chain_errors(DownloadFailedError(), ResponseNeverReceived([Failure(why)]))


def chain_errors(error: Exception, by: Exception) -> Exception:
    """Return an error that was raised from another."""
    error.__cause__ = by
    return error


@pytest.fixture
def publisher() -> Publisher:
    return Publisher()


@pytest.fixture
def visit(frontier: Frontier, clock: HeldClock, publisher: Publisher) -> Visit:
    site = make_site(concurrency=2, max_pages=50, revisit_seconds=100, category="forum")
    outbox, robots = CaptureOutbox(publisher, SEALER, SIGNER), RobotsCache(clock.wall)
    metrics = CrawlMetrics(CollectorRegistry(), clock.as_clock())
    metrics.watch([site])
    parts = site, find_platform(site), frontier, outbox, robots, metrics, clock.as_clock()
    new_visit = Visit(
        *parts, asyncio.Semaphore(3), may_lease=lambda: True, appends=Appends(at_once)
    )
    new_visit.begin()
    return new_visit


def lead_to(visit: Visit, *pages: PageAddress) -> None:
    """Read the list, which leads to `pages`."""
    head = asyncio.run(visit.next_page())
    visit.finished(head, PageContent(pages=pages), 0)


def pages_total(visit: Visit, outcome: str) -> float:
    return visit.metrics.pages.labels(outcome)._value.get()


def test_large_page_is_parsed_while_other_sites_continue(visit: Visit) -> None:
    others_done = threading.Event()
    overlaps = list[bool]()

    class Slow:
        def parse(self, page: PageAddress, response: HtmlResponse, site: object) -> PageContent:
            overlaps.append(others_done.wait(60))
            return PageContent(pages=(item(1),))

    visit.platform = Slow()

    async def read() -> list[PageRead]:
        leased = await visit.next_page()
        request = Request(leased.page.url, meta={LEASED: leased, CONDITIONAL: False})
        response = HtmlResponse(
            leased.page.url, body=b"<a>" + b"x" * LARGE_BYTES, encoding="utf-8", request=request
        )
        task = asyncio.ensure_future(PageSpider(name="board", visit=visit).read(response))
        await asyncio.sleep(0)
        others_done.set()
        return await task

    [content] = asyncio.run(read())
    assert overlaps == [True]
    assert content.parsed.pages == (item(1),)


def test_pages_in_hand_are_limited_by_the_site(visit: Visit) -> None:
    async def lease() -> None:
        head = await visit.next_page()
        visit.finished(head, PageContent(pages=(item(1), item(2), item(3))), 0)
        first, second = await visit.next_page(), await visit.next_page()
        third = asyncio.ensure_future(visit.next_page())
        await asyncio.sleep(0)
        assert not third.done()
        visit.finished(first, PageContent(), 0)
        assert (await third).page == item(3)
        visit.finished(second, PageContent(), 0)

    asyncio.run(lease())


def test_visit_waits_for_pages_in_hand(visit: Visit) -> None:
    async def lease() -> None:
        head = await visit.next_page()
        waiting = asyncio.ensure_future(visit.next_page())
        await asyncio.sleep(0)
        assert not waiting.done()
        visit.finished(head, PageContent(pages=(item(1),)), 0)
        page = await waiting
        visit.finished(page, PageContent(), 0)
        assert await visit.next_page() is None

    asyncio.run(lease())


def test_requests_over_all_sites_are_limited(visit: Visit) -> None:
    lead_to(visit, item(1))
    visit.permits = asyncio.Semaphore(0)

    async def lease() -> None:
        waiting = asyncio.ensure_future(visit.next_page())
        await asyncio.sleep(0)
        assert not waiting.done()
        visit.permits.release()
        assert (await waiting).page == item(1)

    asyncio.run(lease())


@pytest.mark.parametrize(
    ("outcome", "state", "again_after"),
    [
        ("gone", "done", None),
        ("robots", "due", 100),
        ("host", "parked", None),
        ("address", "parked", None),
        ("too_large", "parked", None),
        ("timeout", "due", 60),
        ("parse", "due", 60),
        ("status", "due", 60),
    ],
)
def test_outcome_decides_what_happens_to_a_page(
    visit: Visit, clock: HeldClock, outcome: str, state: str, again_after: float | None
) -> None:
    lead_to(visit, item(1))
    visit.failed(asyncio.run(visit.next_page()), outcome)
    counts = visit.frontier.count_pages("board")
    assert (counts[state], pages_total(visit, outcome)) == (1 + (state == "done"), 1)
    if again_after:
        clock.advance(again_after - 1)
        assert visit.frontier.lease("board") is None
        clock.advance(again_after + 1)
        assert visit.frontier.lease("board").page == item(1)


def test_failures_in_a_row_end_a_visit(visit: Visit) -> None:
    lead_to(visit, *(item(number) for number in range(20)))
    for number in range(12):
        leased = asyncio.run(visit.next_page())
        if number == MAX_FAILURES_IN_A_ROW - 1:
            visit.finished(leased, PageContent(), 0)
        else:
            visit.failed(leased, "network")
        if number == 2 * MAX_FAILURES_IN_A_ROW - 1:
            break
    assert asyncio.run(visit.next_page()) is None
    assert pages_total(visit, "network") == 2 * MAX_FAILURES_IN_A_ROW - 1
    assert visit.end() is False


def test_page_is_released_once(visit: Visit) -> None:
    lead_to(visit, item(1))
    leased = asyncio.run(visit.next_page())
    visit.failed(leased, "parse")
    visit.failed(leased, "parse")
    assert pages_total(visit, "parse") == 1
    assert visit.permits._value == 3


def test_failing_site_is_visited_less_and_less_often(visit: Visit, clock: HeldClock) -> None:
    waits = []
    for _ in range(4):
        visit.failed(asyncio.run(visit.next_page()), "network")
        visit.end()
        waits.append(visit.frontier.visits("board").due_at - clock.wall())
        clock.advance(86400)
        visit.begin()
    assert waits == [100, 200, 400, 800]
    lead_to(visit)
    assert visit.end()
    assert visit.frontier.visits("board").due_at - clock.wall() == 100


def test_damaged_frontier_ends_the_visit(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_damaged(_: str) -> None:
        raise CorruptError("damaged")

    monkeypatch.setattr(Frontier, "lease", lambda self, site: raise_damaged(site))

    async def run() -> list[Request]:
        return [request async for request in PageSpider(name="board", visit=visit).start()]

    assert asyncio.run(run()) == []
    assert isinstance(visit.fault, CorruptError)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "ok"),
        (206, "ok"),
        (302, "redirects"),
        (404, "gone"),
        (410, "gone"),
        (403, "forbidden"),
        (500, "status"),
    ],
)
def test_status_maps_to_an_outcome(status: int, outcome: str) -> None:
    assert to_status_outcome(status) == outcome
    assert outcome in FATES


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RequestRefusal("robots"), "robots"),
        (IgnoreRequest("max redirections reached"), "redirects"),
        (chain_errors(IgnoreRequest("body exceeded"), ValueError()), "too_large"),
        (CannotResolveHostError(), "dns"),
        (DownloadTimeoutError(), "timeout"),
        (DownloadConnectionRefusedError(), "refused"),
        (broken(SSL.Error([])), "tls"),
        (broken(VerificationError([])), "tls"),
        (broken(ConnectionLost()), "network"),
        (DownloadFailedError(), "network"),
        (None, "network"),
    ],
)
def test_error_maps_to_an_outcome(error: Exception | None, outcome: str) -> None:
    assert to_error_outcome(error) == outcome
    assert outcome in FATES


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("0", 1),
        ("99999999999999999999", 86400),
        (formatdate(1_000_090, usegmt=True), 90),
        ("soon", 300),
        ("-5", 300),
        ("", 300),
    ],
)
def test_retry_after_is_read_in_every_format(text: str, seconds: float) -> None:
    response = Response("http://board.example/", headers={"Retry-After": text} if text else {})
    assert get_retry_after(response, 1_000_000) == seconds


def publish(visit: Visit, *posts: Post, truncated: bool = False) -> None:
    """Let a page with `posts` go through both pipelines."""
    leased = asyncio.run(visit.next_page())
    page = PageRead(leased, PageContent(posts), posts, truncated)
    asyncio.run(PublishPipeline(visit).process_item(SeenPipeline(visit).process_item(page)))


def captures(publisher: Publisher) -> list[Capture]:
    opened = (OPENER.open(record.value, record.headers["key_id"]) for record in publisher.records)
    return [Capture.decode(plain, CAPTURE_SCHEMA) for plain, is_trusted in opened if is_trusted]


def test_post_becomes_a_capture_and_its_page_is_done(
    visit: Visit, publisher: Publisher, clock: HeldClock
) -> None:
    full = Post(
        "7",
        "http://board.example/7",
        b"body",
        "title",
        "author",
        clock.as_clock().now(),
        "attachment",
        "text/html",
        "gbk",
        "c",
        "t",
        "r",
    )
    publish(visit, full)
    (capture,) = captures(publisher)
    for name in (
        "post_id",
        "url",
        "body",
        "title",
        "author",
        "published_at",
        "kind",
        "media_type",
        "charset",
        "channel",
        "thread",
        "reply_to",
    ):
        assert getattr(capture, name) == getattr(full, name), name
    assert (capture.site, capture.platform, capture.category, capture.truncated) == (
        "board",
        "spirit",
        "forum",
        False,
    )
    assert capture.section == "http://board.example/"
    assert publisher.records[0].headers == {
        "site": "board",
        "id": capture.id,
        "schema": str(CAPTURE_SCHEMA),
        "key_id": "20260101",
    }
    assert visit.frontier.count_pages("board")["done"] == 1
    assert capture.post_name == visit.frontier.post_name("board", full)


def test_deletion_is_published_under_the_name_of_the_post(
    visit: Visit, publisher: Publisher
) -> None:
    publish(visit, post(1))
    visit.frontier.connection.execute(
        "insert into taken select site, named, 1790000000.5 from seen"
    )
    publisher.down = 1
    asyncio.run(publish_deletions(visit))
    assert len(captures(publisher)) == 1
    asyncio.run(publish_deletions(visit))
    asyncio.run(publish_deletions(visit))
    shown, gone = captures(publisher)
    assert (gone.deleted, gone.body, gone.url, gone.site) == (True, b"", "", "board")
    assert gone.post_name == shown.post_name != ""
    assert gone.fetched_at.timestamp() == 1790000000.5


def test_page_is_done_only_when_the_bus_has_its_captures(
    visit: Visit, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.down = 3
    states = []
    monkeypatch.setattr(
        clocks.Backoff,
        "next",
        lambda *_: states.append(visit.frontier.count_pages("board")["leased"]) or 0.0,
    )
    publish(visit, post(1))
    assert states == [1, 1, 1]
    assert (len(publisher.records), visit.frontier.count_pages("board")["done"]) == (1, 1)


def test_known_posts_are_skipped_and_counted(visit: Visit, publisher: Publisher) -> None:
    publish(visit, post(1), post(1), post(2))
    visit.end()
    visit.clock.wall.__self__.advance(1)
    visit.begin()
    publish(visit, post(1), post(2, "edited"))
    assert [capture.body for capture in captures(publisher)] == [b"hello", b"hello", b"edited"]
    assert visit.metrics.seen._value.get() == 2


def test_page_of_many_posts_is_published_in_batches(visit: Visit, publisher: Publisher) -> None:
    publish(visit, *(post(number) for number in range(BATCH * 2 + 50)))
    assert publisher.calls == [BATCH, BATCH, 50]


def test_pages_read_concurrently_are_appended_together(
    publisher: Publisher, clock: HeldClock
) -> None:
    outbox, appends = CaptureOutbox(publisher, SEALER, SIGNER), Appends(at_once)
    now = clock.as_clock().now()
    captures = [
        Capture(id=f"{n}", site="s", post_id=f"{n}", url="u", fetched_at=now, body=b"x")
        for n in range(5)
    ]

    async def both() -> list[object]:
        publisher.down = 1
        failed = await asyncio.gather(
            *(appends.append(outbox, [captured]) for captured in captures), return_exceptions=True
        )
        await asyncio.gather(*(appends.append(outbox, [captured]) for captured in captures))
        return failed

    assert {type(error) for error in asyncio.run(both())} == {UnavailableError}
    assert publisher.calls == [5, 5]


def test_invalid_record_fails_only_its_own_page(publisher: Publisher, clock: HeldClock) -> None:
    outbox, appends = CaptureOutbox(publisher, SEALER, SIGNER), Appends(at_once)
    whole = Capture(
        id="1", site="s", post_id="1", url="u", fetched_at=clock.as_clock().now(), body=b"x"
    )
    broken_one = Capture.model_construct(**{**dict(whole), "body": b"x" * (MAX_BODY_BYTES + 1)})

    async def three() -> list[object]:
        pages = ([whole], [broken_one], [whole])
        return await asyncio.gather(
            *(appends.append(outbox, page) for page in pages), return_exceptions=True
        )

    first, second, third = asyncio.run(three())
    assert (first, third) == (None, None)
    assert isinstance(second, RecordError)
    assert len(publisher.records) == 2


def test_failing_append_leaves_nobody_waiting(
    publisher: Publisher, clock: HeldClock, monkeypatch
) -> None:
    outbox, appends = CaptureOutbox(publisher, SEALER, SIGNER), Appends(at_once)
    whole = Capture(
        id="1", site="s", post_id="1", url="u", fetched_at=clock.as_clock().now(), body=b"x"
    )
    broken_one = Capture.model_construct(**{**dict(whole), "title": "x" * MAX_HEADER_BYTES})

    def raise_error(records: object) -> None:
        raise ExhaustedError("no memory left")

    monkeypatch.setattr(publisher, "append", raise_error)

    async def all_of_them() -> list[object]:
        async with asyncio.timeout(10):
            pages = ([whole], [broken_one], [whole])
            return await asyncio.gather(
                *(appends.append(outbox, page) for page in pages), return_exceptions=True
            )

    assert [type(error) for error in asyncio.run(all_of_them())] == [
        ExhaustedError,
        RecordError,
        ExhaustedError,
    ]


def test_too_long_fields_are_cut_so_that_no_post_is_rejected(
    visit: Visit, publisher: Publisher
) -> None:
    long = "x" * 999_999
    publish(
        visit,
        Post(
            "1",
            long,
            b"x" * (MAX_BODY_BYTES + 1),
            long,
            long,
            channel=long,
            thread=long,
            reply_to=long,
        ),
    )
    (capture,) = captures(publisher)
    assert (len(capture.body), capture.truncated, len(capture.url)) == (
        MAX_BODY_BYTES,
        True,
        MAX_URL,
    )
    texts = (capture.title, capture.author, capture.channel, capture.thread, capture.reply_to)
    assert {len(text) for text in texts} == {MAX_TEXT}
    assert visit.metrics.truncated._value.get() == 1


def test_invalid_unicode_in_a_title_does_not_lose_the_post(
    visit: Visit, publisher: Publisher
) -> None:
    publish(visit, Post("1", "http://board.example/1", b"x", "half \ud83d a pair", "\udcff"))
    (capture,) = captures(publisher)
    assert (capture.title, capture.author) == ("half ? a pair", "?")


def test_sealed_capture_opens_only_with_the_private_key(
    context: Context, publisher: Publisher
) -> None:
    from ullage.security import keys

    capture = Capture(
        id="1", site="s", post_id="1", url="u", fetched_at=context.clock.now(), body=b"13800138000"
    )
    CaptureOutbox(
        publisher, keys.load_sealer(context.keys), keys.load_signer(context.keys, "crawl")
    ).append([capture])
    (record,) = publisher.records
    assert b"13800138000" not in record.value
    opener = CaptureOpener(
        keys.load_opener(context.keys), keys.load_verifier(context.keys, "captures")
    )
    plain, is_trusted = opener.open(record.value, record.headers["key_id"])
    assert Capture.decode(plain, CAPTURE_SCHEMA) == capture
    assert is_trusted


def test_counted_page_is_retried_until_it_or_a_later_one_exists(
    visit: Visit, clock: HeldClock
) -> None:
    def make_page(number: int) -> PageAddress:
        return PageAddress(
            f"http://board.example/{number}",
            "item",
            series="counted",
            number=number,
            facts={COUNTED: "1"},
        )

    def ask() -> list[int]:
        requested = []
        while (leased := asyncio.run(visit.next_page())) and leased.page.role == "item":
            requested.append(leased.page.number)
            if leased.page.number in there:
                visit.finished(leased, PageContent((post(leased.page.number),)), 1)
            else:
                visit.failed(leased, "gone")
        return sorted(requested)

    there = {1, 2}
    lead_to(visit, *map(make_page, range(1, 5)))
    assert ask() == [1, 2, 3, 4]
    assert visit.end()
    assert ask() == []
    clock.advance(100)
    there.add(4)
    assert ask() == [3, 4]
    clock.advance(100)
    assert ask() in ([], [3])  # by whether it was asked for before the later one came
    clock.advance(100)
    assert ask() == []


def test_finished_pages_leave_nothing_in_memory(visit: Visit) -> None:
    visit.site = visit.site.model_copy(update={"max_pages": 10_000})

    def make_page(number: int) -> PageAddress:
        return PageAddress(f"http://board.example/{number}", "item", series="s", number=number)

    async def read(pages: int) -> int:
        """Read so many pages; returns the bytes that are in use afterwards."""
        for _ in range(pages):
            leased = await visit.next_page()
            await asyncio.sleep(0)
            number = leased.page.number
            visit.finished(leased, PageContent((post(number),), (make_page(number + 1),)), 1)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async def read_all() -> tuple[int, int]:
        visit.finished(await visit.next_page(), PageContent(pages=(make_page(1),)), 0)
        return await read(300), await read(600)

    tracemalloc.start()
    before, after = asyncio.run(read_all())
    tracemalloc.stop()
    assert (after - before) / 600 < 16, "bytes a page"
