"""Sessions from files, and nights: what is sent, what is told, and when a site is left alone."""

import json
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler

import pytest
from prometheus_client import CollectorRegistry

from crawlers.fetching.site_session import load_session
from crawlers.frontier.database import Frontier
from crawlers.metrics import CrawlMetrics
from crawlers.scheduling.egress import Egress
from crawlers.scheduling.site_status import SiteStates
from crawlers.sites.site import find_night_end, list_nights
from tests.conftest import HeldClock
from tests.crawlers.conftest import Station
from tests.crawlers.support import Answers, make_site, serving
from tests.crawlers.test_crawl import find_visit
from ullage.errors import ConfigError
from ullage.records.heartbeat import NIGHT
from ullage.settings import Context


def put(
    station: Station, ends_at: float, name: str = "board", value: str = "s3cret-cookie"
) -> None:
    file = station.data / "keys" / "session" / name
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_text(
        "# Netscape HTTP Cookie"
        f" File\n#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t{int(ends_at)}\tsid\t{value}\n"
        "other.example\tFALSE\t/\tFALSE\t0\tother\tnot-yours\n"
    )
    file.chmod(0o600)


def test_session_is_sent_to_its_host_and_its_expiry_is_announced(
    station: Station, server: Answers
) -> None:
    cookies: list[str] = []

    def archive(handler: BaseHTTPRequestHandler) -> None:
        cookies.append(handler.headers.get("Cookie", ""))
        body = b'<a href="/paste000">x</a>'
        handler.send_response(200)
        for name, value in (
            ("Set-Cookie", "turn=2"),
            ("Content-Type", "text/html"),
            ("Content-Length", str(len(body))),
        ):
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def paste(handler: BaseHTTPRequestHandler) -> None:
        cookies.append(handler.headers.get("Cookie", ""))
        handler.send_response(200)
        handler.send_header("Content-Length", "1")
        handler.end_headers()
        handler.wfile.write(b"x")

    server.pages.update({"/archive": archive, "/raw/paste000": paste})
    put(station, time.time() + 3 * 86400)
    station.site("paste", f"{server.url}/archive", more='robots = false\ncookies = "board"')
    log = station.run("crawl", "--once")
    assert cookies == ["sid=s3cret-cookie", "sid=s3cret-cookie; turn=2"]
    assert '"event": "session_ends"' in log
    assert "paste: its session expires in" in station.run("sites")
    assert "s3cret-cookie" not in log


def test_session_end_is_a_metric_of_watched_sites(clock) -> None:
    registry = CollectorRegistry()
    metrics = CrawlMetrics(registry, clock.as_clock())
    metrics.watch([make_site(name="board", watch=True), make_site(name="many", watch=False)])

    def read_metric() -> dict[str, float]:
        (family,) = [
            metric
            for metric in registry.collect()
            if metric.name == "ullage_crawl_session_ends_timestamp_seconds"
        ]
        return {sample.labels["site"]: sample.value for sample in family.samples}

    metrics.set_session_end("board", 1234.0)
    metrics.set_session_end("many", 1234.0)
    assert read_metric() == {"board": 1234.0}
    metrics.set_session_end("board", 0.0)
    assert read_metric() == {}, "its file names none any more"
    metrics.set_session_end("board", 1234.0)
    metrics.watch([])
    assert read_metric() == {}


@pytest.mark.parametrize("there", [True, False])
def test_site_with_expired_or_missing_session_is_not_requested(
    station: Station, server: Answers, there: bool
) -> None:
    server.says("/archive", '<a href="/paste000">x</a>')
    if there:
        put(station, time.time() - 60)
    station.site("paste", f"{server.url}/archive", more='cookies = "board"')
    station.run("crawl", "--once", exits=1)
    row = json.loads(station.run("sites", "--json"))
    assert (server.requested_paths, row["state"], row["reason"]) == ([], "login_expired", "session")


def test_token_is_sent_only_to_the_start_origin_and_never_logged(
    station: Station, server: Answers
) -> None:
    tokens: dict[str, str] = {}

    def says(body: bytes, status: int = 200, **headers: str):
        def answer(handler: BaseHTTPRequestHandler) -> None:
            tokens[f"{handler.headers['Host']}{handler.path}"] = handler.headers.get(
                "Authorization", ""
            )
            handler.send_response(status)
            for name, value in {
                "Content-Type": "text/html",
                "Content-Length": str(len(body)),
                **headers,
            }.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

        return answer

    with serving() as elsewhere:
        server.pages["/archive"] = says(b'<a href="/paste000">x</a>')
        server.pages["/raw/paste000"] = says(b"", 302, Location=f"{elsewhere.url}/held")
        elsewhere.pages["/held"] = says(b"x")
        put(station, 0)
        (station.data / "keys" / "session" / "board").write_text(
            "# of our account\nAuthorization: Bearer s3cret\n"
        )
        more = f'robots = false\ncookies = "board"\nhosts = ["127.0.0.1:{elsewhere.port}"]'
        station.site("paste", f"{server.url}/archive", more=more)
        log = station.run("crawl", "--once")
    own_host, there = f"127.0.0.1:{server.port}", f"127.0.0.1:{elsewhere.port}"
    assert tokens == {
        f"{own_host}/archive": "Bearer s3cret",
        f"{own_host}/raw/paste000": "Bearer s3cret",
        f"{there}/held": "",
    }
    assert len(station.captures()) == 1
    assert "s3cret" not in log


@pytest.mark.parametrize(
    "text",
    [
        "Authorization:\n",
        "Authorization: a\nAuthorization: b\n",
        "",
        "# nothing\n",
        "a\tb\n",
        "h\tFALSE\t/\tFALSE\tsoon\tn\tv\n",
    ],
)
def test_invalid_session_file_is_reported_without_its_content(station: Station, text: str) -> None:
    put(station, 0)
    (station.data / "keys" / "session" / "board").write_text(text)
    with pytest.raises(ConfigError, match="session/board"):
        load_session(Context(station.data).keys, make_site(cookies="board"))


def test_credentials_in_a_link_are_not_used(station: Station, server: Answers) -> None:
    with_password = server.url.replace("http://", "http://user:word@")
    assert not make_site(start=[server.url]).allows(with_password)
    server.says("/archive", '<a href="/paste000">x</a>')
    server.says("/raw/paste000", status=302, Location=f"{with_password}/inside")
    station.site("paste", f"{server.url}/archive")
    station.run("crawl", "--once")
    assert "/inside" not in server.requested_paths


def at(text: str) -> float:
    return datetime.fromisoformat(f"{text}+08:00").timestamp()


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-26 12:00", "2026-11-26 12:00"),
        ("2026-11-26 23:30", "2026-11-27 06:30"),
        ("2026-11-27 00:10", "2026-11-27 06:30"),
        ("2026-11-27 06:00", "2026-11-27 06:30"),
        ("2026-11-27 06:30", "2026-11-27 06:30"),
    ],
)
def test_night_ends_where_no_other_begins(now: str, opens: str) -> None:
    assert find_night_end(("23:30-06:00", "06:00-06:30"), "Asia/Shanghai", at(now)) == at(opens)


def test_night_is_neither_a_gap_nor_silence(frontier: Frontier, clock: HeldClock) -> None:
    site, states = (
        make_site(night=["22:00-06:00"]),
        SiteStates(frontier, Egress(), clock.as_clock()),
    )
    clock.seconds = datetime(2026, 11, 26, 23, 0, tzinfo=UTC).timestamp()
    assert states.letter(site) == NIGHT
    assert list_nights(site.night, "UTC", clock.seconds, clock.seconds + 86400) == [
        (clock.seconds - 3600, clock.seconds + 7 * 3600),
        (clock.seconds + 23 * 3600, clock.seconds + 31 * 3600),
    ]
    clock.advance(8 * 3600)
    assert states.letter(site) != NIGHT


def test_site_is_not_visited_at_night(station: Station, server: Answers) -> None:
    server.says("/archive", '<a href="/paste000">x</a>')
    hour = datetime.now(UTC).hour
    night = f"{(hour - 1) % 24:02}:00-{(hour + 2) % 24:02}:00"
    station.site("paste", f"{server.url}/archive", more=f'night = ["{night}"]')
    station.run("crawl", "--once", exits=1)
    assert server.requested_paths == []
    row = json.loads(station.run("sites", "--json"))
    assert row["night_until"] == f"{(hour + 2) % 24:02}:00 UTC"
    station.site(
        "paste",
        f"{server.url}/archive",
        more=f'night = ["{(hour + 3) % 24:02}:00-{(hour + 4) % 24:02}:00"]',
    )
    server.says("/raw/paste000", "x", **{"Content-Type": "text/plain"})
    assert find_visit(station.run("crawl", "--once"))["captures"] == 1
