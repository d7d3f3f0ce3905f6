"""`ullage crawl` as a process against a local server: limits, refusals, stops and crashes, and
what comes of them.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from crawlers.frontier.database import Frontier, open_frontier
from crawlers.frontier.file import MOST_PAGES
from tests.crawlers.conftest import Station
from tests.crawlers.support import Answers, serving
from ullage.files.atomic_write import take_lock
from ullage.settings import Context

Pastes = Callable[[int], dict[str, str]]


def find_visit(log: str) -> dict[str, object]:
    """Return the log line of the one visit."""
    logged = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    (line,) = [line for line in logged if line["event"] == "visited"]
    return line


def states(station: Station, site: str = "paste") -> dict[str, int]:
    context = Context(station.data)
    frontier = Frontier(station.data, context.keys.read("frontier.key"), context.clock)
    counts = dict(frontier.count_pages(site))
    frontier.close()
    return counts


def listeners(pid: int) -> list[tuple[str, int]]:
    """Address and port of every TCP socket on which process `pid` listens."""
    inodes = subprocess.run(
        ["ls", "-l", f"/proc/{pid}/fd"], capture_output=True, text=True, check=True
    ).stdout
    ports = []
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for fields in map(str.split, Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]):
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                address, port = fields[1].split(":")
                raw = b"".join(
                    int(address[i : i + 8], 16).to_bytes(4, "little")
                    for i in range(0, len(address), 8)
                )
                ports.append((socket.inet_ntop(family, raw), int(port, 16)))
    return ports


def wait_for(process: subprocess.Popen[str], event: str) -> dict[str, object]:
    """Read the process's log up to the line of that event."""
    for line in process.stderr:
        if json.loads(line)["event"] == event:
            return json.loads(line)
    pytest.fail(f"the process ended without {event}")


def test_every_paste_is_captured_once_and_a_recrawl_reads_only_new_ones(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    texts = pastes(12)
    station.site("paste", f"{server.url}/archive", more='category = "paste"')
    assert find_visit(station.run("crawl", "--once"))["captures"] == 12
    captures = station.captures()
    assert {capture.post_id: capture.body.decode() for capture in captures} == texts
    truncated = next(capture for capture in captures if capture.post_id == "paste003")
    assert (truncated.site, truncated.platform, truncated.category, truncated.kind) == (
        "paste",
        "raw_paste",
        "paste",
        "paste",
    )
    assert (truncated.url, truncated.title, truncated.charset) == (
        f"{server.url}/paste003",
        "title paste003",
        "utf-8",
    )
    assert find_visit(station.run("crawl", "--once"))["captures"] == 0
    pastes(14)
    assert find_visit(station.run("crawl", "--once"))["captures"] == 2
    assert {capture.post_id for capture in station.captures()} == {"paste012", "paste013"}
    assert server.agents == {"ullage (leak monitor; contact: security@example.com)"}


def test_only_the_metrics_port_opens_and_stop_is_immediate(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(2)
    reached, release = threading.Event(), threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        reached.set()
        release.wait(120)
        handler.send_response(410)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server.pages["/raw/paste001"] = wait
    station.site("paste", f"{server.url}/archive")
    with station.start("crawl", metrics_ports__crawl="0") as process:
        port = wait_for(process, "started")["port"]
        assert reached.wait(60)
        # Scrapy's own would be open while a spider runs
        assert listeners(process.pid) == [("127.0.0.1", port)]
        release.set()
        wait_for(process, "visited")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://127.0.0.1:{port}/metrics"
        ) as page:
            metrics = page.read().decode()
        assert 'ullage_crawl_pages_total{outcome="ok"} 2.0' in metrics
        assert 'ullage_crawl_pages_total{outcome="gone"} 1.0' in metrics
        assert 'ullage_crawl_site_pages_total{result="read",site="paste"} 3.0' in metrics
        assert 'ullage_crawl_frontier_pages{state="done"} 3.0' in metrics
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_stop_does_not_wait_for_a_slow_page_and_loses_nothing(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    texts = pastes(3)
    reached, release = threading.Event(), threading.Event()
    slow = server.pages["/raw/paste001"]

    def hang(_: BaseHTTPRequestHandler) -> None:
        reached.set()
        release.wait(120)

    server.pages["/raw/paste001"] = hang
    station.site("paste", f"{server.url}/archive")
    with station.start("crawl", metrics="false") as process:
        assert reached.wait(60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    release.set()
    server.pages["/raw/paste001"] = slow
    station.run("crawl", "--once")
    assert {capture.post_id for capture in station.captures()} == set(texts)


def test_kill_9_loses_nothing(station: Station, server: Answers, pastes: Pastes) -> None:
    texts = pastes(60)
    station.site("paste", f"{server.url}/archive", more="concurrency = 4\nrevisit_seconds = 1")
    for number in (1, 20, 50):
        reached, answer = threading.Event(), server.pages[f"/raw/paste{number:03}"]

        def hang(handler: BaseHTTPRequestHandler, reached: threading.Event = reached) -> None:
            reached.set()
            handler.close_connection = True

        server.pages[f"/raw/paste{number:03}"] = hang
        with station.start("crawl", metrics="false") as process:
            assert reached.wait(60)
            process.kill()
        server.pages[f"/raw/paste{number:03}"] = answer
        assert sum(states(station).values()) == 61
    station.run("crawl", "--once")
    captured = [capture.post_id for capture in station.captures()]
    waiting = 61 - states(station)["done"]
    # a page whose connection broke just before a kill waits a minute for its next try
    assert waiting <= 3
    assert len(set(captured)) == len(texts) - waiting
    # at most what was in hand at each kill, or waited to be written, is captured twice
    assert len(captured) - len(set(captured)) <= (4 + MOST_PAGES - 1) * 3


def test_two_processes_cannot_visit_the_same_site(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(1)
    station.site("paste", f"{server.url}/archive")
    with station.start("crawl", metrics="false") as first:
        wait_for(first, "visited")
        log = station.run("crawl", "--once", exits=2)
        assert f"site paste is being crawled by another process ({first.pid})" in log
        first.terminate()
        assert first.wait(timeout=60) == 0
    station.run("crawl", "--once")


def test_crawl_once_without_sites_is_an_error(station: Station) -> None:
    assert "no sites yet: add NAME.toml to" in station.run("crawl", "--once", exits=2)


def test_body_over_the_limit_is_cut_and_marked(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(3)
    server.says("/raw/paste000", "x" * 300_000, **{"Content-Type": "text/plain"})

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b"y" * 65536)

    server.pages["/raw/paste001"] = endless
    station.site("paste", f"{server.url}/archive")
    station.run("crawl", "--once", crawl__download_bytes="100000")
    sizes = {
        capture.post_id: (len(capture.body), capture.truncated) for capture in station.captures()
    }
    assert sizes == {
        "paste000": (100_000, True),
        "paste001": (100_000, True),
        "paste002": (len("text of paste 2 内容".encode()), False),
    }


def test_dripping_page_is_aborted_and_the_others_are_read(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(3)
    released = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not released.wait(0.1):
            handler.wfile.write(b".")

    server.pages["/raw/paste000"] = drip
    station.site("paste", f"{server.url}/archive")
    station.run("crawl", "--once", crawl__download_seconds="4")
    released.set()
    assert {capture.post_id for capture in station.captures()} == {"paste001", "paste002"}
    assert states(station)["due"] == 1


@pytest.mark.parametrize(
    ("location", "hops"),
    [
        ("/loop", 5),
        ("file:///etc/passwd", 0),
        ("http://localhost:1/", 0),
        ("data:text/plain,hello", 0),
        ("ftp://127.0.0.1/", 0),
    ],
)
def test_redirects_are_limited_and_stay_on_the_site(
    station: Station, server: Answers, pastes: Pastes, location: str, hops: int
) -> None:
    pastes(1)
    server.says("/raw/paste000", status=302, Location=location)
    server.says("/loop", status=302, Location="/loop")
    station.site("paste", f"{server.url}/archive")
    log = station.run("crawl", "--once")
    assert (find_visit(log)["captures"], server.requested_paths.count("/loop")) == (0, hops)
    assert states(station)["done"] == 1


def test_redirect_within_the_site_is_followed(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(1)
    server.pages["/elsewhere"] = server.pages["/raw/paste000"]
    server.says("/raw/paste000", status=301, Location="/elsewhere")
    station.site("paste", f"{server.url}/archive")
    station.run("crawl", "--once")
    (capture,) = station.captures()
    assert (capture.body.decode(), capture.url) == (
        "text of paste 0 内容",
        f"{server.url}/paste000",
    )


def test_private_address_is_requested_only_if_the_file_allows_it(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(1)
    station.site("paste", f"{server.url}/archive", more="allow_private = false")
    log = station.run("crawl", "--once", exits=1)
    assert find_visit(log)["status"] == "failed"
    assert "not read: paste" in log
    assert server.requested_paths == []
    log = station.run("sites")
    assert "no posts collected yet" in log
    assert "unreachable: address" in log
    assert "allow_private = true" in log


def test_unreachable_site_has_a_reason(station: Station, server: Answers) -> None:
    """One site at a time: of three that answer nothing it would be the way out."""
    with serving() as gone:
        closed = gone.url
    server.says("/broken", status=500)
    for url, reason in (
        (closed, "refused"),
        (f"{server.url}/broken", "http_5xx"),
        (server.url.replace("http", "https"), "tls"),
    ):
        station.site("paste", url)
        station.run("crawl", "--once", exits=1)
        (row,) = [json.loads(line) for line in station.run("sites", "--json").splitlines()]
        assert (row["state"], row["reason"]) == ("unreachable", reason)


def test_robots_are_obeyed_unless_the_file_says_otherwise(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(2)
    server.says("/robots.txt", "User-agent: *\nDisallow: /raw/paste000\n")
    station.site("paste", f"{server.url}/archive")
    station.run("crawl", "--once")
    assert {capture.post_id for capture in station.captures()} == {"paste001"}
    server.says("/robots.txt", status=503)
    station.site("strict", f"{server.url}/archive")
    assert find_visit(station.run("crawl", "strict", "--once", exits=1))["pages"] == 0
    station.site("strict", f"{server.url}/archive", more="robots = false")
    assert find_visit(station.run("crawl", "strict", "--once"))["captures"] == 2


def test_site_that_asks_for_a_pause_gets_it(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(4)
    server.says("/raw/paste001", status=429, Retry_After="7200")
    station.site("paste", f"{server.url}/archive")
    assert find_visit(station.run("crawl", "--once", exits=1))["status"] == "failed"
    assert server.requested_paths.count("/raw/paste002") == 0
    context = Context(station.data)
    frontier = Frontier(station.data, context.keys.read("frontier.key"), context.clock)
    assert frontier.visits("paste").due_at - context.clock.wall() > 7000
    frontier.close()


def row_of(station: Station, site: str = "paste") -> dict[str, object]:
    """Return what `ullage sites --json` reports for a site."""
    return next(
        row
        for row in map(json.loads, station.run("sites", "--json").splitlines())
        if row["site"] == site
    )


@pytest.mark.parametrize("status", [500, 503])
def test_failing_page_keeps_the_site_incomplete_until_it_is_read(
    station: Station, server: Answers, pastes: Pastes, status: int
) -> None:
    texts = pastes(20)
    server.says("/raw/paste007", status=status, Retry_After="2")
    station.site("paste", f"{server.url}/archive")
    assert find_visit(station.run("crawl", "--once"))["captures"] == 19
    row = row_of(station)
    assert (row["state"], row["reason"], row["due"]) == ("incomplete", "waiting", 1)
    station.run("crawl", "--once")
    assert row_of(station)["state"] == "incomplete", "it waits, and is not asked for yet"
    context = Context(station.data)
    with contextlib.closing(open_frontier(context)) as frontier:
        assert (
            0
            < frontier.connection.execute("select max(due_at) from pages").get
            - context.clock.wall()
            < 300
        )
        assert frontier.visits("paste").due_at - context.clock.wall() < 310, (
            "the site itself does not wait"
        )
        frontier.connection.execute("update pages set due_at = 0")
    server.says("/raw/paste007", texts["paste007"])
    station.run("crawl", "--once")
    row = row_of(station)
    assert (row["state"], row["reason"], row["due"]) == ("ok", None, 0)
    assert {capture.post_id: capture.body.decode() for capture in station.captures()} == texts


def test_site_failing_on_its_pages_rests_and_is_incomplete(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    texts = pastes(20)
    for name in sorted(texts)[:12]:
        server.says(f"/raw/{name}", status=503, Retry_After="7200")
    station.site("paste", f"{server.url}/archive")
    station.run("crawl", "--once", exits=1)
    assert len([path for path in server.requested_paths if path.startswith("/raw/")]) < 20
    row = row_of(station)
    assert row["state"] != "ok"
    assert row["due"] >= 12
    context = Context(station.data)
    with contextlib.closing(open_frontier(context)) as frontier:
        assert frontier.visits("paste").due_at - context.clock.wall() > 7000


def test_five_failures_in_a_row_end_a_visit(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    texts = pastes(20)
    for name in texts:
        server.says(f"/raw/{name}", status=500)
    station.site("paste", f"{server.url}/archive")
    station.run("crawl", "--once", exits=1)
    assert len([path for path in server.requested_paths if path.startswith("/raw/")]) == 5
    assert states(station) == {"due": 20, "leased": 0, "done": 1, "parked": 0}


def test_missing_paste_is_not_requested_again(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(1)
    del server.pages["/raw/paste000"]
    station.site("paste", f"{server.url}/archive")
    station.run("crawl", "--once")
    station.run("crawl", "--once")
    assert server.requested_paths.count("/raw/paste000") == 1


def test_unreadable_page_is_retried_later(station: Station, server: Answers) -> None:
    server.says(
        "/apis/rest/items", '["not", "what", "it", "was"]', **{"Content-Type": "application/json"}
    )
    station.site("paste", f"{server.url}/", platform="bepasty")
    assert '"event": "page_failed"' in station.run("crawl", "--once", exits=1)
    assert states(station)["due"] == 1


def test_invalid_address_does_not_end_the_visit(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(2)
    status, body, headers = server.pages["/archive"]
    server.pages["/archive"] = (
        status,
        body + b'<a class="next" href="javascript:void(0)">older</a>',
        headers,
    )
    station.site("paste", f"{server.url}/archive", more='[options]\nnext = "a.next"')
    assert find_visit(station.run("crawl", "--once"))["captures"] == 2
    assert states(station) == {"due": 0, "leased": 0, "done": 3, "parked": 0}


def test_changed_site_file_is_reread_and_a_bad_one_is_skipped(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(1)
    station.site("first", f"{server.url}/archive", more="revisit_seconds = 1")
    with station.start("crawl", metrics="false") as process:
        assert wait_for(process, "visited")["site"] == "first"
        (station.data / "sites.d" / "bad.toml").write_text("platform =")
        assert "bad.toml" in wait_for(process, "site_refused")["error"]
        (station.data / "sites.d" / "bad.toml").unlink()
        station.site("second", f"{server.url}/archive")
        while wait_for(process, "visited")["site"] != "second":
            pass
        process.terminate()
        assert process.wait(timeout=60) == 0


def test_site_locked_by_a_manual_visit_is_resumed_afterwards(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(1)
    station.site("first", f"{server.url}/archive")
    tried = take_lock(
        station.data / "locks" / "second.lock",
        "site second is being crawled",
    )
    with station.start("crawl", metrics="false") as process:
        assert wait_for(process, "visited")["site"] == "first"
        station.site("second", f"{server.url}/archive")
        assert "site second is being crawled" in wait_for(process, "site_refused")["error"]
        os.close(tried)
        assert wait_for(process, "visited")["site"] == "second"
        process.terminate()
        assert process.wait(timeout=60) == 0


def test_visit_reads_at_most_the_configured_number_of_pages(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(10)
    station.site("paste", f"{server.url}/archive", more="max_pages = 4")
    assert [find_visit(station.run("crawl", "--once"))["captures"] for _ in range(4)] == [
        3,
        3,
        3,
        1,
    ]


def test_crawl_pauses_while_match_is_too_far_behind(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(2)
    station.site("paste", f"{server.url}/archive")
    station.run("crawl", "--once")
    requests_before = len(server.requested_paths)
    log = station.run("crawl", "--once", exits=1, bus__captures_hours="0.0000004")
    assert '"event": "paused"' in log
    assert len(server.requested_paths) == requests_before


def test_page_content_is_neither_logged_nor_stored(station: Station, server: Answers) -> None:
    secret = "zhang-san-13800138000"
    server.says(
        "/archive",
        f'<a href="/{secret}">{secret}</a> <a href="/gone-{secret}">x</a> <a'
        f' href="/huge-{secret}">x</a>',
    )
    server.says(f"/raw/{secret}", secret)
    server.says(f"/raw/gone-{secret}", status=302, Location=f"http://127.0.0.1:1/{secret}")
    server.pages[f"/raw/huge-{secret}"] = lambda handler: handler.wfile.write(
        b"not http at all " + secret.encode()
    )
    status, body, headers = server.pages["/archive"]
    server.pages["/archive"] = (
        status,
        body + f'<a class="next" href="/older/{secret}">x</a>'.encode(),
        headers,
    )
    # no list: the platform fails on it
    server.says(f"/older/{secret}", b"\x00\x01\x02", Content_Type="application/octet-stream")
    station.site("paste", f"{server.url}/archive", more='[options]\nnext = "a.next"')
    log = station.run("crawl", "--once", log_level="debug", crawl__download_seconds="2")
    assert '"event": "page_failed"' in log
    assert len(station.captures()) == 1
    assert secret not in log
    for path in station.data.rglob("*"):
        assert not path.is_file() or b"13800138000" not in path.read_bytes(), path


def test_mistakes_are_one_line_errors_with_exit_2(station: Station, server: Answers) -> None:
    assert "no site absent in" in station.run("crawl", "absent", "--once", exits=2)
    station.site("paste", f"{server.url}/archive", platform="absent")
    log = station.run("crawl", "--once", exits=2)
    assert "platform 'absent' must be one of" in log
    assert "Traceback" not in log


def test_faulty_site_file_is_reported_and_stops_no_other(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(2)
    station.site("paste", f"{server.url}/archive")
    station.site("bad", f"{server.url}/archive", more="revisit_second = 5\nhost = []")
    log = station.run("crawl", "--once", exits=1)
    assert find_visit(log)["captures"] == 2
    assert "not read" not in log
    for fault in ("revisit_second: did you mean revisit_seconds?", "host: did you mean hosts?"):
        assert f"ullage: {station.data}/sites.d/bad.toml: {fault}" in log
    assert find_visit(station.run("crawl", "paste", "--once"))["site"] == "paste", (
        "who is not asked for is not told of"
    )
    assert "bad.toml: revisit_second" in station.run("crawl", "bad", "--once", exits=2)
    rows = [
        json.loads(line)
        for line in station.run("sites", "--json", exits=1).splitlines()
        if line.startswith("{")
    ]
    assert [(row["site"], row["state"], row["reason"]) for row in rows] == [
        ("paste", "ok", None),
        ("bad", None, "file"),
    ]
    assert "not visited: file" in station.run("sites", exits=1)
    lines = [line for line in station.run("check", exits=1).splitlines() if " sites: " in line]
    assert [line[:6].strip() for line in lines] == ["FAULT", "FAULT"]


def test_sites_command_lists_each_site_with_its_pages(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(3)
    station.site("paste", f"{server.url}/archive")
    before = json.loads(station.run("sites", "--json"))
    assert (before["site"], before["done"], before["last_success"], before["posts"]) == (
        "paste",
        0,
        None,
        0,
    )
    station.run("crawl", "--once")
    after = json.loads(station.run("sites", "--json"))
    assert (after["done"], after["due"], after["failures"], after["posts"]) == (4, 0, 0, 3)
    assert "nothing was collected" not in station.run("sites")
    assert after["last_success"].startswith("20")
    (station.data / "sites.d" / "bad.toml").write_text("platform =")
    assert "bad.toml: is not valid TOML" in station.run("sites", exits=1)


def test_site_is_blamed_only_if_the_egress_probe_succeeds(
    station: Station,
) -> None:
    def state() -> str | None:
        return json.loads(station.run("sites", "--json"))["state"]

    station.site("paste", "http://127.0.0.1:1/archive")
    log = station.run("crawl", "--once", exits=1, crawl__egress_probe="127.0.0.1:2")
    assert '"event": "egress_down"' in log
    assert state() is None
    station.run("crawl", "--once", exits=1)
    assert state() == "unreachable"


def test_endless_address_is_cut_and_ends_nothing(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(2)
    status, body, headers = server.pages["/archive"]
    long = "x" * 300_000
    server.pages["/archive"] = (
        status,
        body + f'<a href="/paste9?{long}">long</a>'.encode(),
        headers,
    )
    server.says("/raw/paste9", "text", **{"Content-Type": "text/plain"})
    station.site("paste", f"{server.url}/archive")
    assert find_visit(station.run("crawl", "--once"))["captures"] == 3
    (cut,) = [capture for capture in station.captures() if capture.post_id == "paste9"]
    assert cut.url.startswith(f"{server.url}/paste9?xxx")
    assert len(cut.url) == 8000


def test_long_address_is_requested_and_does_not_stall_the_visit(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    """Scrapy leaves out what is longer than 2,083 characters, and says so to nobody who waits
    for it.
    """
    pastes(2)
    status, body, headers = server.pages["/archive"]
    long = f"/older/archive?after={'x' * 3000}"
    server.pages["/archive"] = (
        status,
        body + f'<a class="next" href="{long}">older</a>'.encode(),
        headers,
    )
    server.says(long, '<a href="/paste9">older</a>')
    server.says("/raw/paste9", "text", **{"Content-Type": "text/plain"})
    station.site("paste", f"{server.url}/archive", more='[options]\nnext = "a.next"')
    assert find_visit(station.run("crawl", "--once"))["captures"] == 3
    assert states(station) == {"due": 0, "leased": 0, "done": 5, "parked": 0}


def test_site_fed_by_ingest_is_never_visited(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(1)
    station.feed("chat", f'start = ["{server.url}/archive"]\nallow_private = true')
    assert "visited" not in station.run("crawl", "--once")
    assert server.requested_paths == []
    assert "site chat is not crawled: import its posts with `ullage ingest`" in station.run(
        "crawl", "chat", "--once", exits=2
    )
    assert "1 read, 0 crawled, 1 by ingest" in station.run("check", exits=1)  # no watchlist is live
    assert "no posts collected yet: crawl has not read a post of any site" in station.run("sites")


def test_unlisted_pastes_are_found_by_counting_up(station: Station, server: Answers) -> None:
    for number in (100, 101, 103):  # 102 is private
        server.says(f"/raw/{number}", f"text {number}", **{"Content-Type": "text/plain"})
    options = '[options]\nraw = "/raw/{id}"\nfirst = 100\nahead = 3'
    station.site("paste", f"{server.url}/", platform="board", more=options)
    visit_ = find_visit(station.run("crawl", "--once"))
    assert (visit_["captures"], visit_["status"]) == (3, "ok")
    assert sorted(capture.post_id for capture in station.captures()) == ["100", "101", "103"]
    pages = states(station)  # 102 is passed, if it was asked for after 103 came
    assert (pages["due"] + pages["done"], pages["parked"]) == (7, 0)


MISSING = (
    "<html><title>Paste {id}</title><body>Paste {id} was not found. Made at {at}. Token"
    " {token}</body></html>"
)


def test_counting_up_ends_where_missing_pastes_answer_200(
    station: Station, server: Answers
) -> None:
    for number in (*range(100, 140), *range(1_000_000, 1_000_200), *range(2_000_000, 2_000_300)):
        server.says(
            f"/raw/{number}",
            MISSING.format(id=number, at=f"12:00:{number % 60:02}", token=f"{number * 7919:08x}"),
        )
    server.says("/raw/104", "")
    texts = {
        100: "text",
        101: "<title>Paste 101</title>13800138000",
        103: MISSING.format(id=103, at="now", token="") + " no",
    }
    for number, text in texts.items():
        server.says(f"/raw/{number}", text)
    station.site(
        "paste",
        f"{server.url}/",
        platform="board",
        more='[options]\nraw = "/raw/{id}"\nfirst = 100\nahead = 3',
    )
    visit_ = find_visit(station.run("crawl", "--once"))
    assert (visit_["captures"], visit_["status"]) == (3, "ok")
    assert sorted(capture.post_id for capture in station.captures()) == ["100", "101", "103"]
    assert len(server.requested_paths) < 12, (
        "the pastes, those ahead of them, two that are surely missing, robots.txt"
    )


def test_endless_empty_lists_do_not_block_posts(station: Station, server: Answers) -> None:
    for number in range(900, 1100):
        body = (
            f'<a href="/calendar/{number + 1}">next month</a> <a href="/calendar/{number - 1}">last'
            " month</a>"
        )
        server.says(f"/calendar/{number}", body)
    server.says(
        "/", '<ul><li><a href="/t/1">thread</a></li></ul><a href="/calendar/1000">calendar</a>'
    )
    server.says("/t/1", "<p id=p1><b>text</b></p>")
    lists = "\nlists = \"a[href*=calendar]\"\nlists_pattern = '/calendar/(?P<id>[0-9]+)'\n"
    station.site("paste", f"{server.url}/", platform="board", more=BOARD + lists)
    visit_ = find_visit(station.run("crawl", "--once"))
    assert (visit_["captures"], visit_["status"], read_state(station)) == (1, "ok", ("ok", None))
    assert len([path for path in server.requested_paths if "calendar" in path]) < 20
    station.site(
        "paste", f"{server.url}/", platform="board", more=BOARD + 'next = "a[href*=calendar]"\n'
    )
    requests_before = len(server.requested_paths)
    assert find_visit(station.run("crawl", "--once"))["status"] == "ok"
    assert len(server.requested_paths) - requests_before < 60, (
        "behind an empty page of a list nothing comes"
    )


def test_truncated_or_suddenly_empty_list_makes_the_site_unread(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    pastes(3)
    station.site("paste", f"{server.url}/archive")
    station.run("crawl", "--once")
    assert read_state(station) == ("ok", None)
    full = server.pages["/archive"]
    server.says("/archive", full[1] + b"<p>more</p>" * 40_000)
    for _ in range(2):
        station.run("crawl", "--once", crawl__download_bytes="100000")
        assert read_state(station) == ("incomplete", "too_large")
    server.says("/archive", "<html><body></body></html>")
    station.run("crawl", "--once")
    assert read_state(station) == ("layout_changed", "layout")
    server.pages["/archive"] = full
    station.run("crawl", "--once")
    assert read_state(station) == ("ok", None)


BOARD = """
[options]
rows = "li"
links = "a"
pattern = '/t/(?P<id>[0-9]+)'
counted = "i"
post = "p[id]"
body = "b"
stamp = "i"
"""


def test_known_software_without_threads_is_not_ok(station: Station, server: Answers) -> None:
    head = '<html><head><meta name="generator" content="vBulletin 3.8.7"></head><body>'
    boards = (
        f'<td id="f{n}"><a href="/forumdisplay.php?f={n}"><strong>A board</strong></a></td>'
        for n in (2, 3)
    )
    server.says("/", head + "".join(boards))

    def list_states(row: str) -> tuple[str, str | None]:
        for n in (2, 3):
            rows = "".join(row.format(n=f"{n}{k}") for k in range(5))
            server.says(f"/forumdisplay.php?f={n}", f"{head}<table>{rows}</table>")
        station.run("crawl", "--once")
        return read_state(station)

    for n in (f"{board}{k}" for board in (2, 3) for k in range(5)):
        server.says(
            f"/{n}.html",
            f'{head}<table id="post{n}"><tr><td><div id="post_message_{n}">text'
            f" {n}</div></td></tr></table>",
        )
    station.site("paste", f"{server.url}/", platform="vbulletin3")
    assert list_states('<tr><td><h4><a href="/{n}.html">A thread {n}</a></h4></td></tr>') == (
        "layout_changed",
        "empty",
    )
    assert list_states(
        '<tr><td id="td_threadtitle_{n}"><a id="thread_title_{n}" href="/{n}.html">A'
        " thread</a></td></tr>"
    ) == (
        "ok",
        None,
    )


@pytest.mark.parametrize("by", ["row", "thread"])
def test_thread_with_fewer_posts_than_counted_is_incomplete(
    station: Station, server: Answers, by: str
) -> None:
    """No option says where the count stands."""

    def crawl_thread(replies: int) -> tuple[str, str | None]:
        count_text = f"{replies} replies"
        rows = (
            f"<li><a href=/t/{n}>thread</a> <i>{replies * 31} hits</i>"
            f" {count_text if by == 'row' else ''}</li>"
            for n in range(4)
        )
        server.says("/", "".join(rows))
        for number in range(4):
            posts = "".join(
                f"<p id=p{number}{post}><b>text {number}.{post}</b></p>" for post in range(5)
            )
            server.says(f"/t/{number}", f"<h3>{count_text if by == 'thread' else ''}</h3>{posts}")
        station.run("crawl", "--once")
        row = json.loads(station.run("sites", "--json"))
        return row["state"], row["reason"]

    station.site(
        "paste", f"{server.url}/", platform="board", more=BOARD.replace('counted = "i"\n', "")
    )
    assert crawl_thread(replies=4) == ("ok", None)
    assert crawl_thread(replies=9) == ("incomplete", "fewer")


def test_board_is_incomplete_until_its_threads_are_read_whole(
    station: Station, server: Answers
) -> None:
    def thread(number: int, page: int, more: str) -> None:
        posts = "".join(
            f"<p id=p{number}{page}{post}><b>text {number}.{page}.{post}</b></p>"
            for post in range(5)
        )
        server.says(f"/t/{number}{'' if page == 1 else f'?page={page}'}", posts + more)

    server.says(
        "/",
        "".join(f"<li><a href=/t/{number}>thread</a> <i>9 replies</i></li>" for number in range(4)),
    )
    for number in range(4):
        thread(number, 1, f'<a class=older href="/t/{number}?page=2">on</a>')
        thread(number, 2, "")

    def read_state() -> tuple[str, str | None]:
        row = json.loads(station.run("sites", "--json"))
        return row["state"], row["reason"]

    station.site("paste", f"{server.url}/", platform="board", more=BOARD)
    assert find_visit(station.run("crawl", "--once"))["captures"] == 20
    assert read_state() == ("incomplete", "fewer")
    station.run("crawl", "--once")
    assert read_state() == ("incomplete", "fewer")
    station.site("paste", f"{server.url}/", platform="board", more=BOARD + 'next = "a.older"\n')
    server.says(
        "/",
        "".join(
            f"<li><a href=/t/{number}>thread</a> <i>9 replies, one of them new</i></li>"
            for number in range(4)
        ),
    )
    assert find_visit(station.run("crawl", "--once"))["captures"] == 20
    assert read_state() == ("ok", None)


def read_state(station: Station) -> tuple[str, str | None]:
    row = json.loads(station.run("sites", "--json"))
    return row["state"], row["reason"]


def test_moved_raw_address_is_reported_until_the_file_is_corrected(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    texts = pastes(5)
    for name, text in texts.items():
        del server.pages[f"/raw/{name}"]
        server.says(f"/plain/{name}", text, **{"Content-Type": "text/plain"})
    station.site("paste", f"{server.url}/archive")
    assert find_visit(station.run("crawl", "--once"))["captures"] == 0
    assert read_state(station) == ("layout_changed", "posts_gone")
    station.run("crawl", "--once")
    assert read_state(station) == ("layout_changed", "posts_gone")
    station.site(
        "paste",
        f"{server.url}/archive",
        more='[options]\npattern = "^/(?P<id>[a-z0-9]+)$"\nraw = "/plain/{id}"',
    )
    station.run("crawl", "--once")
    station.run("crawl", "--once")
    assert read_state(station) == ("ok", None)
    assert sorted(capture.post_id for capture in station.captures()) == sorted(texts)


def test_links_to_unlisted_hosts_are_reported_until_the_file_names_them(
    station: Station, server: Answers
) -> None:
    with serving("127.0.0.2") as elsewhere:
        links = "".join(
            f"<li><a href={elsewhere.url}/t/{number}>thread</a> <i>0</i></li>"
            for number in range(5)
        )
        server.says("/", links)
        for number in range(5):
            elsewhere.says(f"/t/{number}", f"<p id=p{number}><b>text {number}</b></p>")
        station.site("board", f"{server.url}/", platform="board", more=BOARD)
        for _ in range(2):
            station.run("crawl", "--once")
            assert read_state(station) == ("unreachable", "posts_host")
        assert elsewhere.requested_paths == []
        assert "posts_host" in station.run("sites", "try", "board", exits=1)
        station.site(
            "board",
            f"{server.url}/",
            platform="board",
            more=f'hosts = ["{elsewhere.url.split("//")[1]}"]' + BOARD,
        )
        station.run("crawl", "--once")
        station.run("crawl", "--once")
        assert read_state(station) == ("ok", None)
    assert len(station.captures()) == 5


def test_truncated_or_empty_search_is_reported(station: Station, server: Answers) -> None:
    def answers(cut: bool, *posts: str) -> None:
        server.says(
            "/",
            json.dumps(
                {"cut": cut, "items": [{"id": post, "body": f"text {post}"} for post in posts]}
            ),
        )

    station.site(
        "search",
        f"{server.url}/",
        "feed",
        '[options]\npost = "items"\nid = "id"\nbody = "body"\nincomplete = "cut"',
    )
    for answer, state in (
        ((True, "1"), ("incomplete", "partial")),
        ((True, "1"), ("incomplete", "partial")),
        ((False, "1", "2"), ("ok", None)),
        ((False,), ("layout_changed", "layout")),
        ((False,), ("layout_changed", "layout")),
        ((False, "3"), ("ok", None)),
    ):
        answers(*answer)
        station.run("crawl", "--once")
        assert read_state(station) == state
    assert len(station.captures()) == 3
