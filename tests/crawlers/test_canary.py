"""The canary site: posts at an interval, found by the platform like any site's, in nobody's way."""

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from scrapy.http import Request, TextResponse

from crawlers.platforms import find_platform
from crawlers.scheduling.canary_site import KEPT, CanarySite, make_canary_site
from crawlers.sites.pages import PageAddress
from crawlers.sites.site import read_site
from deploy.local.server import free_ports
from tests.conftest import NOON, HeldClock
from tests.crawlers.conftest import Station
from tests.crawlers.support import Answers
from ullage.bus import CAPTURES
from ullage.errors import ConfigError
from ullage.monitoring.canary import CUSTOMERS, SITE, is_authentic, make_proof, render_post
from ullage.security import keys
from ullage.settings import CanarySettings, Context


@pytest.fixture
def canary(clock: HeldClock, context: Context) -> Iterator[CanarySite]:
    (port,) = free_ports(1)
    running = CanarySite(
        CanarySettings(interval_seconds=300, port=port),
        clock.as_clock(),
        keys.load_signer(context.keys, "crawl"),
    )
    running.open()
    yield running
    running.close()


def get(canary: CanarySite, path: str) -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{canary.settings.port}{path}", timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, b""


def test_one_post_is_made_each_interval_and_old_ones_are_dropped(
    canary: CanarySite, clock: HeldClock
) -> None:
    waits = []
    for _ in range(KEPT + 5):
        waits.append((canary.turn(), canary.turn()))
        clock.advance(300)
    assert set(waits) == {(300.0, 300.0)}
    listed = json.loads(get(canary, "/")[1])
    assert len({post["id"] for post in listed}) == KEPT
    assert [post["published"] for post in listed] == [
        NOON + 300 * n for n in range(KEPT + 4, 4, -1)
    ]
    assert get(canary, "/robots.txt")[0] == get(canary, "/raw/nothing")[0] == 404


def test_platform_reads_what_the_canary_site_serves(canary: CanarySite, context: Context) -> None:
    canary.turn()
    site = make_canary_site(canary.settings)
    platform = find_platform(site)
    (start,) = platform.start(site)
    body = get(canary, "/")[1]
    (page,) = platform.parse(
        start, TextResponse(start.url, body=body, request=Request(start.url)), site
    ).pages
    body = get(canary, page.url.partition(str(canary.settings.port))[2])[1]
    (post,) = platform.parse(
        page, TextResponse(page.url, body=body, request=Request(page.url)), site
    ).posts
    assert is_authentic(post.body, post.published_at, keys.load_verifier(context.keys, CAPTURES))
    assert post.published_at.timestamp() == NOON
    assert (
        platform.parse(
            PageAddress(start.url, "list"), TextResponse(start.url, body=b'[{"id": "../x"}]'), site
        ).pages
        == ()
    )


def test_post_contains_only_its_fictional_people(context: Context) -> None:
    signed = make_proof(keys.load_signer(context.keys, "crawl"), "abcdefghijkl", NOON)
    post = render_post("abcdefghijkl", signed)
    assert all(name in post and email in post for _, name, email in CUSTOMERS)
    assert all(email.endswith(".example") for _, _, email in CUSTOMERS)
    assert max(map(len, "".join(c if c.isdigit() else " " for c in post).split())) < 6
    assert render_post("b" * 12, signed) != post


def test_port_in_use_is_a_one_line_error(clock: HeldClock, context: Context) -> None:
    signer = keys.load_signer(context.keys, "crawl")
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"port {port} of the canary site is in use .*: set canary\.port"
        ):
            CanarySite(
                CanarySettings(interval_seconds=1, port=port), clock.as_clock(), signer
            ).open()


def test_no_other_site_may_use_the_canary_name(tmp_path: Path) -> None:
    (tmp_path / f"{SITE}.toml").write_text(
        'platform = "ingest"\nlegal_basis = "test"\nowner = "test"\n'
    )
    with pytest.raises(ConfigError, match="is the name of the canary site"):
        read_site(tmp_path / f"{SITE}.toml")


def test_canary_is_visited_at_least_twice_an_interval() -> None:
    assert make_canary_site(CanarySettings(interval_seconds=10)).revisit_seconds == 5
    assert make_canary_site(CanarySettings(interval_seconds=3600)).revisit_seconds == 60


def test_crawl_visits_the_canary_without_listing_it_as_a_site(
    station: Station, server: Answers
) -> None:
    server.says("/archive", "")
    station.site("paste", f"{server.url}/archive")
    (port,) = free_ports(1)
    settings = {"canary__interval_seconds": "60", "canary__port": str(port)}
    station.run("crawl", "--once", **settings)
    (capture,) = station.captures()
    assert (capture.site, capture.platform) == (SITE, "canary")
    assert 0 <= (capture.fetched_at - capture.published_at).total_seconds() < 60
    assert SITE not in station.run("sites")
    station.run("crawl", "paste", "--once", **settings)
    assert station.captures() == []
