"""An incident store that accepts connections and answers nothing: what waits for it goes on in
bounded time.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from alerts.cases.lookups.lookup import Lookup
from alerts.records import Claim
from alerts.store import PAGE_PATIENCE, DocumentFilter, open_store
from alerts.web.app import create_app
from tests.alerts.browser import ASKER, CHEAP, HOST, Browser
from tests.alerts.conftest import give_keys
from ullage.errors import UnavailableError

PAGE_SECONDS = 3.0
PATHS = (
    "/",
    "/incidents/INC-1",
    "/sites",
    "/coverage",
    "/handover",
    "/noise",
    "/channels",
    "/watchlists",
    "/readyz",
)


@pytest.fixture
def silent() -> Iterator[str]:
    """Yield the URL of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        yield f"elasticsearch://127.0.0.1:{listener.getsockname()[1]}?plain=1"


@pytest.fixture
def desk_over_silence(
    silent, accounts, context, registry, bank_keys, monkeypatch
) -> Iterator[Browser]:
    # the store fell silent after the start
    monkeypatch.setattr(Lookup, "check_keys", lambda _: None)
    give_keys(context, bank_keys)
    with closing(open_store(silent, context.data, patience=PAGE_PATIENCE)) as store:
        opened = Browser(
            create_app(context, store, accounts, registry, frozenset({HOST}), hasher=CHEAP)
        )
        assert opened.log_in(ASKER).status_code == 303
        yield opened


def get_timed(browser: Browser, path: str) -> tuple[httpx.Response, float]:
    started = time.monotonic()
    return browser.get(path), time.monotonic() - started


@pytest.mark.parametrize("path", PATHS)
def test_page_over_a_silent_store_answers_in_time(desk_over_silence, path):
    answer, seconds = get_timed(desk_over_silence, path)
    assert seconds < PAGE_SECONDS
    assert answer.status_code == 503
    assert "the incident store cannot be reached" in answer.text or path == "/readyz"


def test_silent_store_is_not_waited_for_by_each_request(silent, tmp_path):
    with closing(open_store(silent, tmp_path, patience=0.5)) as store:
        for _ in range(2):
            with pytest.raises(UnavailableError, match="cannot be reached"):
                store.count(Claim, DocumentFilter())
        started = time.monotonic()
        for _ in range(20):
            with pytest.raises(UnavailableError, match="cannot be reached"):
                store.count(Claim, DocumentFilter())
        assert time.monotonic() - started < 2


class SlowServer(BaseHTTPRequestHandler):
    """Answers a count only after it was asked twice whether it is alive, and no longer says so
    once `silent` is set.
    """

    protocol_version = "HTTP/1.1"
    probes = threading.Semaphore(0)
    silent, back = threading.Event(), threading.Event()

    def do_HEAD(self) -> None:
        if self.silent.is_set():
            self.back.wait(60)
        self.probes.release()
        self._send(b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.silent.is_set():
            self.back.wait(60)
        else:
            assert self.probes.acquire(timeout=60)
            assert self.probes.acquire(timeout=60)
        self._send(b'{"count":7,"_shards":{"failed":0}}')

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        for name, value in {
            "x-elastic-product": "Elasticsearch",
            "content-type": "application/vnd.elasticsearch+json;compatible-with=8",
            "content-length": str(len(body)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_slow_server_is_waited_for_and_a_recovered_one_is_used_again(tmp_path, monkeypatch):
    monkeypatch.setattr("alerts.store.watched_node.PAUSE_SECONDS", 0.0)
    with ThreadingHTTPServer(("127.0.0.1", 0), SlowServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"elasticsearch://127.0.0.1:{server.server_port}?plain=1"
        # a busy machine answers within half of it
        with closing(open_store(url, tmp_path, patience=2.0)) as store:
            assert store.count(Claim, DocumentFilter()) == 7
            SlowServer.silent.set()
            with pytest.raises(UnavailableError, match="cannot be reached"):
                store.count(Claim, DocumentFilter())
            SlowServer.silent.clear()
            SlowServer.back.set()
            assert store.count(Claim, DocumentFilter()) == 7
        server.shutdown()
