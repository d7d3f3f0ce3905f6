"""Whom the crawler refuses to ask, what robots.txt means, and where a body is cut."""

import asyncio
import gzip
import ipaddress
import socket
import tracemalloc
import zlib
from types import SimpleNamespace

import pytest
from scrapy import Request
from scrapy.exceptions import DownloadTimeoutError, StopDownload
from scrapy.http import HtmlResponse, Response
from scrapy.robotstxt import ProtegoRobotParser
from scrapy.utils.test import get_crawler

from crawlers.fetching import RequestRefusal
from crawlers.fetching.address_guard import AddressGuard
from crawlers.fetching.address_pin import can_be_site, is_public
from crawlers.fetching.body_limit import SizeLimit
from crawlers.fetching.robots import (
    DISALLOW_ALL,
    FAILURE_SECONDS,
    MAX_BYTES,
    NO_ANSWER_SECONDS,
    RobotsCache,
    TimedRobots,
    read_rules,
)
from tests.conftest import HeldClock
from tests.crawlers.support import make_site

URL = "http://board.example/page"


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
        ),
        *(
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
        ),
        *("2002:7f00:1::", "ff02::1"),
        *("fec0::1", "feff::1", "3fff::1", "192.0.0.8", "192.88.99.1"),
        *("100.100.100.200", "fd00:ec2::254", "fd20:ce::254", "192.0.0.192", "168.63.129.16"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110", "2002:a83f:8110::1", "::ffff:168.63.129.16"),
    ],
)
def test_private_address_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "168.63.129.16",
        "::ffff:a83f:8110",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fd20:ce::254",
    ],
)
def test_cloud_metadata_is_blocked_for_private_sites_too(address: str) -> None:
    assert not can_be_site(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_internet_address_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def guard(
    url: str,
    resolves_to: str | None = None,
    monkeypatch: pytest.MonkeyPatch | None = None,
    **fields: object,
) -> str:
    """Return what the guard does with a request for `url` on a site that starts there.

    It is `pass`, or the reason of the refusal.
    """

    async def ask() -> str:
        if resolves_to:
            answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (resolves_to, 0))]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
        try:
            await AddressGuard(make_site(**{"start": [url], **fields})).process_request(
                Request(url)
            )
        except RequestRefusal as refused:
            return refused.reason
        return "pass"

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_loopback_is_blocked_in_every_spelling(host: str) -> None:
    assert guard(f"http://{host}:8080/") == "address"


def test_name_resolving_to_a_private_address_is_blocked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert guard("http://board.example/", "10.0.0.7", monkeypatch) == "address"
    assert guard("http://board.example/", "93.184.216.34", monkeypatch) == "pass"


def test_site_file_may_allow_private_addresses_but_not_foreign_hosts() -> None:
    assert guard("http://127.0.0.1/", allow_private=True) == "pass"
    assert guard("http://127.0.0.1/", start=["http://board.example/"], allow_private=True) == "host"


def test_answer_of_a_private_peer_is_discarded() -> None:
    request = Request(URL)
    private = Response(URL, ip_address=ipaddress.ip_address("10.0.0.1"))
    public = Response(URL, ip_address=ipaddress.ip_address("93.184.216.34"))
    assert AddressGuard(make_site()).process_response(request, public) is public
    with pytest.raises(RequestRefusal, match="address"):
        AddressGuard(make_site()).process_response(request, private)
    assert AddressGuard(make_site(allow_private=True)).process_response(request, private) is private


@pytest.mark.parametrize(
    ("status", "text", "refusal"),
    [
        (200, b"User-agent: *\nDisallow: /page", "robots"),
        (200, b"User-agent: *\nDisallow: /other", None),
        (200, b"\xef\xbb\xbfUser-agent: *\nDisallow: /", "robots"),
        (404, b"User-agent: *\nDisallow: /", None),
        (403, b"", None),
        (429, b"", "robots_unavailable"),
        (500, b"", "robots_unavailable"),
        (503, b"User-agent: *\nAllow: /", "robots_unavailable"),
        (503, b"<html><script src=/cdn-cgi/challenge-platform/x></script>", "robots_blocked"),
        (302, b"", "robots_unavailable"),
    ],
)
def test_robots_answer_decides_access(status: int, text: bytes, refusal: str | None) -> None:
    rules, why = read_rules(HtmlResponse(URL, status=status, body=text))
    assert (None if ProtegoRobotParser(rules, None).allowed(URL, "ullage") else why) == refusal


def test_only_the_beginning_of_an_endless_robots_file_is_read() -> None:
    assert len(read_rules(Response(URL, body=b"#" * (MAX_BYTES * 10)))[0]) == MAX_BYTES


class _Robots:
    """The middleware on an engine that answers what the test says."""

    def __init__(self, clock: HeldClock) -> None:
        self.answer: Response | Exception = Response(URL, body=b"User-agent: *\nDisallow: /page")
        self.asked = 0
        crawler = get_crawler(settings_dict={"ROBOTSTXT_OBEY": True, "USER_AGENT": "ullage"})
        self.throttle = SimpleNamespace(mindelay=1.0, maxdelay=60.0)
        self.slot = SimpleNamespace(delay=1.0)
        crawler.get_extension = lambda _: self.throttle
        crawler.engine = SimpleNamespace(
            download_async=self._download, downloader=SimpleNamespace(slots={"x": self.slot})
        )
        crawler.spider = SimpleNamespace(visit=SimpleNamespace(robots=RobotsCache(clock.wall)))
        self.middleware = TimedRobots(crawler)

    async def _download(self, request: Request) -> Response:
        assert request.url == "http://board.example/robots.txt"
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def allows(self, url: str = URL, times: int = 1) -> bool:
        async def ask() -> bool:
            pending = [self.middleware.process_request(Request(url)) for _ in range(times)]
            return not any(
                isinstance(r, RequestRefusal)
                for r in await asyncio.gather(*pending, return_exceptions=True)
            )

        return asyncio.run(ask())


def test_robots_are_requested_hourly_and_then_obeyed(clock: HeldClock) -> None:
    robots = _Robots(clock)
    assert not robots.allows(times=3)
    robots.answer = Response(URL, body=b"")
    clock.advance(3599)
    assert (robots.allows(), robots.asked) == (False, 1)
    clock.advance(2)
    assert (robots.allows(), robots.asked) == (True, 2)
    robots.answer = Response(URL, body=b"User-agent: *\nDisallow: /")
    clock.advance(3601)
    assert (robots.allows(), robots.asked) == (False, 3)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (DownloadTimeoutError("slow"), NO_ANSWER_SECONDS),
        (OSError("down"), NO_ANSWER_SECONDS),
        (RequestRefusal("redirects"), NO_ANSWER_SECONDS),
        (Response(URL, status=500), FAILURE_SECONDS),
    ],
)
def test_site_with_unavailable_robots_is_not_read(
    clock: HeldClock, answer: Response | Exception, seconds: float
) -> None:
    robots = _Robots(clock)
    robots.answer = answer
    assert not robots.allows()
    robots.answer = Response(URL, body=b"")
    clock.advance(seconds - 1)
    assert not robots.allows()
    clock.advance(2)
    assert robots.allows()


def test_robots_request_itself_is_not_checked(clock: HeldClock) -> None:
    robots = _Robots(clock)
    asyncio.run(robots.middleware.process_request(Request(URL, meta={"dont_obey_robotstxt": True})))
    assert robots.asked == 0


@pytest.mark.parametrize(("wanted", "kept"), [("7", 7.0), ("86400", 60.0), ("0.1", 1.0)])
def test_crawl_delay_is_respected_up_to_the_maximum(
    clock: HeldClock, wanted: str, kept: float
) -> None:
    robots = _Robots(clock)
    robots.answer = Response(URL, body=f"User-agent: *\nCrawl-delay: {wanted}\n".encode())
    robots.allows()
    assert (robots.throttle.mindelay, robots.slot.delay) == (kept, kept)


def test_disallow_all_blocks_everything() -> None:
    assert not ProtegoRobotParser(DISALLOW_ALL, None).allowed(URL, "ullage")


def test_plain_body_is_cut_and_unsupported_encoding_rejected_at_the_limit() -> None:
    limit, request = SizeLimit(10), Request(URL)
    limit.process_request(request)
    assert request.meta["download_maxsize"] == 0
    limit.count_bytes(b"x" * 10, request)
    with pytest.raises(StopDownload) as stopped:
        limit.count_bytes(b"x", request)
    assert stopped.value.fail is False
    cut = limit.process_response(request, Response(URL, body=b"x" * 11, flags=["download_stopped"]))
    assert (cut.body, "download_maxsize" in request.meta) == (b"x" * 10, False)
    packed = Response(
        URL, body=b"x" * 11, flags=["download_stopped"], headers={"Content-Encoding": "br"}
    )
    with pytest.raises(RequestRefusal, match="too_large"):
        limit.process_response(request, packed)


TEXT = "".join(f"张某,{n}\n" for n in range(15400000000, 15400009000)).encode()
RAW_DEFLATE = zlib.compressobj(wbits=-15)
PACKED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT[:999])
    + bytes(9)
    + gzip.compress(b"") * 50
    + gzip.compress(TEXT[999:])
    + bytes(20),
    "deflate": zlib.compress(TEXT),
    "Deflate": RAW_DEFLATE.compress(TEXT) + RAW_DEFLATE.flush(),
}


def decompress(encoding: str, body: bytes, limit: int, *flags: str) -> Response:
    """Return what the middleware makes of a compressed response."""
    headers = {"Content-Encoding": encoding, "Content-Type": "text/plain; charset=utf-8"}
    return SizeLimit(limit).process_response(
        Request(URL), Response(URL, body=body, flags=list(flags), headers=headers)
    )


@pytest.mark.parametrize("encoding", PACKED)
def test_compressed_body_over_the_limit_keeps_its_beginning(
    encoding: str,
) -> None:
    whole = decompress(encoding, PACKED[encoding], len(TEXT))
    assert (whole.body, whole.flags, whole.headers.get("Content-Encoding")) == (TEXT, [], None)
    assert whole.text == TEXT.decode()
    cut = decompress(encoding, PACKED[encoding], 1000)
    assert (cut.body, cut.flags) == (TEXT[:1000], ["download_stopped"])
    stopped = decompress(encoding, PACKED[encoding][:3000], len(TEXT), "download_stopped")
    assert TEXT.startswith(stopped.body)
    assert len(stopped.body) > 3000
    assert stopped.flags == ["download_stopped"]


def test_damaged_compressed_body_is_read_partly_and_marked_as_cut() -> None:
    body = bytearray(PACKED["gzip"])
    body[-4000:-3000] = bytes(1000)
    damaged = decompress("gzip", bytes(body), len(TEXT))
    assert damaged.flags == ["download_stopped"]
    assert len(damaged.body) > 1000
    for broken in (b"no gzip at all", b""):
        result = decompress("gzip", broken, 100)
        assert (result.body, result.headers.get("Content-Encoding")) == (broken, None)
    cut = decompress("gzip", b"no gzip at all", 10, "download_stopped")
    assert (cut.body, cut.flags) == (b"no gzip at", ["download_stopped"])


def test_compression_bomb_costs_no_more_than_the_limit() -> None:
    bomb = gzip.compress(bytes(64 << 20))
    tracemalloc.start()
    cut = decompress("gzip", bomb, 1 << 20)
    assert (len(cut.body), cut.flags) == (1 << 20, ["download_stopped"])
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_only_supported_encodings_are_requested() -> None:
    request = Request(URL, headers={"Accept-Encoding": "gzip, br"})
    SizeLimit(10).process_request(request)
    assert request.headers["Accept-Encoding"] == b"gzip, deflate"


def test_redirected_request_has_a_new_byte_count() -> None:
    limit, request = SizeLimit(10), Request(URL)
    limit.count_bytes(b"x" * 9, request)
    limit.process_request(request)
    limit.count_bytes(b"x" * 9, request)
