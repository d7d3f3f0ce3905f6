"""The page as a server: slow, large and many connections, over sockets."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from alerts.web import middleware
from alerts.web.app import create_app
from alerts.web.pages import incidents
from deploy.local.certificates import make_certificates
from tests.alerts.browser import CHEAP
from ullage.runtime import http_server
from ullage.runtime.http_server import listening, serve
from ullage.security import keys
from ullage.security.tls import ListenerCertificate

SOON = 20.0
"""Seconds that a busy machine may take for what is immediate."""


def over_tls(folder: Path) -> ListenerCertificate:
    """Write a certificate of loopback and its key, and return them as the listener's."""
    certificate = make_certificates()
    for name, content in (("server.pem", certificate.certificate), ("server.key", certificate.key)):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    return ListenerCertificate.from_settings("search", folder, "server.pem", "server.key")


@pytest.fixture
def tls(request, tmp_path) -> ListenerCertificate | None:
    """Return no certificate, unless a test asks for one."""
    return over_tls(tmp_path) if getattr(request, "param", False) else None


@pytest.fixture
def port(context, store, accounts, registry, clock, tls) -> Iterator[int]:
    """Serve the console as `ullage search` serves it and yield its port."""
    keys.make_tenant(context.keys, "bank")
    listener = socket.create_server(("127.0.0.1", 0))
    number = listener.getsockname()[1]
    app = create_app(
        context, store, accounts, registry, frozenset({f"127.0.0.1:{number}"}), hasher=CHEAP
    )
    stop = threading.Event()
    thread = threading.Thread(
        target=serve, args=(app, listener, stop), kwargs={"tls": tls}, daemon=True
    )
    thread.start()
    yield number
    stop.set()
    thread.join()
    listener.close()


@pytest.fixture
def token(accounts) -> str:
    return accounts.add_token("crm", ["incident.read"], ["*"], purpose="a test", days=1, by="test")[
        1
    ]


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SOON)


def request(port: int, head: str, body: bytes = b"", path: str = "/login") -> bytes:
    return (
        f"{head} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nsec-fetch-site: same-origin\r\n"
    ).encode() + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def answer(peer: socket.socket) -> bytes:
    """Read one answer with its body."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = peer.recv(65_536)
        if not more:
            return got
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        ),
        0,
    )
    while len(body) < length:
        body += peer.recv(65_536)
    return head + b"\r\n\r\n" + body


def send_for_ever(peer: socket.socket) -> None:
    while True:
        peer.sendall(b"a" * 65_536)


def chunk_body(size: int) -> bytes:
    return (
        b"content-type: application/x-www-form-urlencoded\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"".join(b"400\r\n" + b"a" * 1024 + b"\r\n" for _ in range(size // 1024))
    )


@pytest.mark.parametrize("path", ["/login", "/healthz", "/nowhere", "/v1/incidents"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_request_with_two_lengths_ends_its_connection(port: int, method: str, path: str) -> None:
    second = request(port, "GET", b"\r\n", "/healthz")
    two_lengths = b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    with connect(port) as peer:
        peer.sendall(request(port, method, two_lengths, path) + second)
        received = b""
        while more := peer.recv(65_536):
            received += more
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in received.lower()


def test_answer_does_not_wait_for_the_acknowledgement_of_its_head() -> None:
    with (
        listening("search", "127.0.0.1", 0) as (listener, port),
        connect(port),
        closing(listener.accept()[0]) as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


class RecordingProtocol(http_server.BoundedProtocol):
    """Notes what is given to the socket, in the pieces in which it is."""

    sent: ClassVar[list[bytes]]

    def connection_made(self, transport) -> None:
        write = transport.write
        transport.write = lambda data: (self.sent.append(data), write(data))
        super().connection_made(transport)


async def two_parts(_scope, _receive, send) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"transfer-encoding", b"chunked")],
        }
    )
    await send({"type": "http.response.body", "body": b"at once", "more_body": True})
    await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"alone", "more_body": True})
    await asyncio.sleep(0)
    await send({"type": "http.response.body"})


def test_head_and_body_are_one_packet(
    monkeypatch,
) -> None:
    monkeypatch.setattr(RecordingProtocol, "sent", [], raising=False)
    stop = threading.Event()
    with listening("search", "127.0.0.1", 0) as (listener, port):
        server = threading.Thread(
            target=serve, args=(two_parts, listener, stop, RecordingProtocol), daemon=True
        )
        server.start()
        with connect(port) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer(peer)
        stop.set()
        server.join()
    head, *later_packets = RecordingProtocol.sent
    assert head.startswith(b"HTTP/1.1 200 ")
    assert head.endswith(b"\r\n\r\n7\r\nat once\r\n")
    assert later_packets == [b"5\r\nalone\r\n", b"0\r\n\r\n"]


def test_limits_are_as_documented() -> None:
    assert http_server.REQUEST_SECONDS <= 10
    assert middleware.MAX_BODY == 16 * 1024


@pytest.mark.parametrize(
    "extra", [b"", b"content-length: 7\r\n"], ids=["chunked", "chunked with a length"]
)
def test_chunked_body_is_cut_at_the_limit(port, extra) -> None:
    """The rest is not waited for: the answer comes before the last chunk."""
    with closing(connect(port)) as peer:
        peer.sendall(request(port, "POST") + extra + chunk_body(32 * 1024))
        assert status(answer(peer)) == 413


@pytest.mark.parametrize(("extra", "expected"), [(b"", 411), (b"content-length: 3\r\n", 400)])
def test_small_chunked_body_is_rejected(port, extra, expected) -> None:
    with closing(connect(port)) as peer:
        peer.sendall(
            request(port, "POST")
            + extra
            + b"transfer-encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n"
        )
        assert status(answer(peer)) == expected


def test_get_with_a_body_is_refused(port) -> None:
    with closing(connect(port)) as peer:
        peer.sendall(request(port, "GET") + chunk_body(32 * 1024))
        assert status(answer(peer)) == 400


REFUSED = b"Invalid HTTP request received."


def read_refusal_while_sending(peer: socket.socket, port: int) -> bytes:
    """Return what a client reads that is rejected and keeps sending, three megabytes in all."""
    peer.sendall(request(port, "GET") + b"transfer-encoding: rubbish\r\n\r\n")
    got = peer.recv(1)  # it is refused by now, and what comes next is not asked for
    for _ in range(3):  # a socket that was reset would say so here, or below
        peer.sendall(b"a" * 1_000_000)
    while not got.endswith(REFUSED):
        more = peer.recv(65_536)
        assert more, "the end comes after the whole of it"
        got += more
    return got


def test_client_that_keeps_sending_reads_the_whole_answer(port, monkeypatch) -> None:
    """What is refused before it was read whole: a socket that is closed with bytes unread is
    reset, and its answer lost.
    """
    monkeypatch.setattr(http_server, "LINGER_SECONDS", SOON)
    with closing(connect(port)) as peer:
        assert status(read_refusal_while_sending(peer, port)) == 400
        assert peer.recv(1) == b"", "our end comes with the answer, and is not waited for"


@pytest.mark.parametrize("tls", [True], indirect=True)
def test_rejection_is_readable_over_tls(port, monkeypatch) -> None:
    monkeypatch.setattr(http_server, "LINGER_SECONDS", SOON)
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with closing(anybody.wrap_socket(connect(port))) as peer:
        assert status(read_refusal_while_sending(peer, port)) == 400


def test_client_that_never_stops_after_a_rejection_is_cut(port, monkeypatch) -> None:
    monkeypatch.setattr(http_server, "LINGER_SECONDS", 0.2)
    with closing(connect(port)) as peer:
        peer.sendall(request(port, "GET") + b"transfer-encoding: rubbish\r\n\r\n")
        assert status(answer(peer)) in (400, 501)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send_for_ever(peer)


def test_excessive_content_length_is_too_large(port) -> None:
    with closing(connect(port)) as peer:
        peer.sendall(request(port, "POST") + b"content-length: " + b"9" * 19 + b"\r\n\r\n")
        assert status(answer(peer)) == 413


def test_endless_head_is_rejected(port) -> None:
    with closing(connect(port)) as peer:
        peer.sendall(request(port, "GET") + b"x: " + b"a" * (http_server.MAX_HEAD + 1))
        assert status(answer(peer)) == 400


BEGINNINGS = {
    "nothing": b"",
    "half a head": b"GET /login HTTP/1.1\r\nhost: x\r\nx-slow: ",
    "half a body": (
        b"POST /login HTTP/1.1\r\nhost: HOST\r\nsec-fetch-site: same-origin\r\ncontent-length:"
        b" 1000\r\n\r\ntoken="
    ),
    "endless chunks": (
        b"POST /login HTTP/1.1\r\nhost: HOST\r\nsec-fetch-site: same-origin\r\ntransfer-encoding:"
        b" chunked\r\n\r\n"
    ),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_slowly_dripping_request_is_cut(port, name, monkeypatch) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.5)
    drip = b"1\r\na\r\n" if name == "endless chunks" else b"a"

    async def drips() -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = asyncio.get_running_loop().time()
        writer.write(BEGINNINGS[name].replace(b"HOST", f"127.0.0.1:{port}".encode()))
        ended = asyncio.ensure_future(reader.read())
        while not ended.done() and asyncio.get_running_loop().time() - began < SOON:
            if name != "nothing":
                writer.write(drip)
            await asyncio.wait([ended], timeout=0.05)
        writer.close()
        # a cut connection may say so as an error
        await asyncio.gather(ended, return_exceptions=True)
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(drips()) < SOON


def test_endless_exchange_is_cut(port, token, monkeypatch) -> None:
    monkeypatch.setattr(http_server, "ANSWER_SECONDS", 0.5)
    release = threading.Event()
    monkeypatch.setattr(
        "alerts.web.pages.incidents.show_queue", lambda *_, **__: release.wait(SOON)
    )
    with closing(connect(port)) as peer:
        session = b"authorization: Bearer " + token.encode() + b"\r\n\r\n"
        peer.sendall(request(port, "GET", session, path="/"))
        assert peer.recv(1) == b""
    release.set()


def test_connection_serves_several_requests_in_time(port) -> None:
    with closing(connect(port)) as peer:
        for _ in range(3):
            peer.sendall(request(port, "GET", b"\r\n"))
            assert status(answer(peer)) == 200


def test_requests_sent_ahead_are_all_answered(port) -> None:
    with closing(connect(port)) as peer:
        peer.sendall(request(port, "GET", b"\r\n", "/healthz") * 5)
        got = b""
        while got.count(b"alive") < 5:
            more = peer.recv(65_536)
            assert more
            got += more


def test_connection_announces_its_last_request(port, monkeypatch) -> None:
    monkeypatch.setattr(middleware, "MOST_REQUESTS", 3)
    with closing(connect(port)) as peer:
        ends = []
        for _ in range(3):
            peer.sendall(request(port, "GET", b"\r\n"))
            ends.append(b"connection: close" in answer(peer).lower())
        assert ends == [False, False, True]
        assert peer.recv(1) == b""


def test_many_slow_connections_lock_nobody_out(port, monkeypatch) -> None:
    monkeypatch.setattr(http_server, "MOST_CONNECTIONS", 10)
    slow = [connect(port) for _ in range(40)]
    for peer in slow:
        peer.sendall(b"GET / HTTP/1.1\r\n")
    with closing(connect(port)) as peer:
        peer.sendall(request(port, "GET", b"\r\n"))
        assert status(answer(peer)) == 200
    cut = 0
    for peer in slow[:31]:  # the oldest
        try:
            cut += peer.recv(1) == b""
        except ConnectionError:
            cut += 1
    assert cut == 31
    for peer in slow:
        peer.close()


def test_running_answer_is_not_cut_for_a_new_connection(port, token, monkeypatch) -> None:
    monkeypatch.setattr(http_server, "MOST_CONNECTIONS", 2)
    release, arrived = threading.Event(), threading.Semaphore(0)
    real = incidents.show_queue

    def slow(*given, **named):
        arrived.release()
        assert release.wait(SOON)
        return real(*given, **named)

    monkeypatch.setattr("alerts.web.pages.incidents.show_queue", slow)
    session = b"authorization: Bearer " + token.encode() + b"\r\n\r\n"
    busy = [connect(port) for _ in range(2)]
    for peer in busy:
        peer.sendall(request(port, "GET", session, path="/"))
        assert arrived.acquire(timeout=SOON)
    with closing(connect(port)) as newcomer:
        assert newcomer.recv(1) == b""
    release.set()
    for peer in busy:
        assert status(answer(peer)) == 200
        peer.close()


def test_upload_route_has_a_longer_timeout(port, accounts, monkeypatch) -> None:
    token = accounts.add_token(
        "files", ["file.assess"], ["*"], purpose="a test", days=1, by="test"
    )[1]
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.5)
    session = f"authorization: Bearer {token}\r\ncontent-type: multipart/form-data; boundary=b\r\n"
    head = f"{session}content-length: 1000\r\n\r\n"
    with closing(connect(port)) as upload:
        upload.sendall(request(port, "POST", head.encode(), path="/assess"))
        with closing(connect(port)) as idle:
            assert idle.recv(1) == b""  # its time is over, and that of the other has begun before
        upload.sendall(b"-" * 1000)  # what is no such form
        assert status(answer(upload)) == 400
