"""A listener shows a renewed certificate without a restart: real handshakes before and after."""

import datetime as dt
import errno
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from deploy.local.certificates import Authority, Certificates
from tests.ullage.test_tls import write
from ullage.monitoring.metrics import CLIENTS, CertificateMetrics
from ullage.runtime.http_server import serve
from ullage.security.tls import Life, ListenerCertificate

DAY = dt.timedelta(days=1)
SOON = 20.0
"""Seconds that a busy machine may take for what is immediate."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers everything with nothing."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def put(folder: Path, made: Certificates, key: bytes = b"") -> Certificates:
    """Put a certificate and its key, or another one, where the listener has them."""
    write(folder / "a.pem", made.certificate), write(folder / "a.key", key or made.key)
    return made


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def first(tmp_path: Path, authority: Authority) -> Certificates:
    return put(tmp_path, authority.server())


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def listener_certificate(
    tmp_path: Path, first: Certificates, registry: CollectorRegistry
) -> ListenerCertificate:
    certificate = ListenerCertificate.from_settings("search", tmp_path, "a.pem", "a.key")
    assert certificate is not None
    CertificateMetrics(registry, {}, certificate)
    return certificate


@pytest.fixture
def connect(
    listener_certificate: ListenerCertificate, authority: Authority, tmp_path: Path
) -> Iterator[Callable[[], ssl.SSLSocket]]:
    """Yield a function that connects to a listener and trusts only its authority."""
    write(tmp_path / "ca.pem", authority.client("any").authority)
    listener, stop = socket.create_server(("127.0.0.1", 0)), threading.Event()
    thread = threading.Thread(
        target=serve, args=(app, listener, stop), kwargs={"tls": listener_certificate}, daemon=True
    )
    thread.start()
    trusting, opened = ssl.create_default_context(cafile=tmp_path / "ca.pem"), list[ssl.SSLSocket]()

    def open_connection() -> ssl.SSLSocket:
        peer = socket.create_connection(listener.getsockname(), timeout=SOON)
        opened.append(trusting.wrap_socket(peer, server_hostname="127.0.0.1"))
        return opened[-1]

    yield open_connection
    for connection in opened:
        connection.close()
    stop.set()
    thread.join()
    listener.close()


def read_certificate(peer: ssl.SSLSocket) -> bytes:
    """Return the PEM certificate shown in the handshake."""
    return ssl.DER_cert_to_PEM_cert(peer.getpeercert(binary_form=True) or b"").encode()


def request_line(peer: ssl.SSLSocket) -> bytes:
    """Return the first line of an answer."""
    peer.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    got = b""
    while b"\r\n\r\n" not in got:
        got += peer.recv(65_536)
    return got.partition(b"\r\n")[0]


def read_expiry(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value(
        "ullage_certificate_expiry_timestamp_seconds", {"shown_to": CLIENTS}
    )


def end(made: Certificates) -> float:
    return Life.from_pem(made.certificate).end.timestamp()


def test_renewed_certificate_is_used_without_closing_connections(
    tmp_path: Path,
    authority: Authority,
    first: Certificates,
    connect: Callable[[], ssl.SSLSocket],
    registry: CollectorRegistry,
) -> None:
    old = connect()
    assert (read_certificate(old), read_expiry(registry)) == (first.certificate, end(first))
    second = put(tmp_path, authority.server(until=90 * DAY))
    with capture_logs() as logs:
        new = connect()
        assert (read_certificate(new), read_expiry(registry)) == (second.certificate, end(second))
    assert [(event["event"], event["log_level"]) for event in logs] == [
        ("certificate_renewed", "info")
    ]
    assert (request_line(old), request_line(new)) == (b"HTTP/1.1 204 No Content",) * 2


def test_unusable_certificate_is_reported_once_and_not_used(
    tmp_path: Path,
    authority: Authority,
    first: Certificates,
    connect: Callable[[], ssl.SSLSocket],
    registry: CollectorRegistry,
) -> None:
    second = authority.server(until=90 * DAY)
    with capture_logs() as logs:
        put(tmp_path, second, key=first.key)
        assert [read_certificate(connect()) for _ in range(2)] == [first.certificate] * 2
        assert read_expiry(registry) == end(first)
    assert [(event["event"], event["log_level"]) for event in logs] == [
        ("certificate_refused", "warning")
    ]
    assert logs[0]["error"].endswith(
        "its key does not belong to its certificate: put a matching pair there"
    )
    put(tmp_path, second)
    assert (read_certificate(connect()), read_expiry(registry)) == (second.certificate, end(second))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda folder: (folder / "a.key").unlink(), "search.key: .*a.key does not exist"),
        (lambda folder: (folder / "a.key").chmod(0o640), "a.key has mode 0640; make it 0600"),
        (
            lambda folder: (folder / "a.pem").write_text("no certificate"),
            "a.pem must contain a certificate",
        ),
        (lambda folder: (folder / "a.pem").write_text(""), "a.pem must contain a certificate"),
    ],
)
def test_damaged_files_do_not_affect_the_certificate_in_use(
    tmp_path: Path,
    first: Certificates,
    listener_certificate: ListenerCertificate,
    harm: Callable[[Path], object],
    says: str,
    registry: CollectorRegistry,
) -> None:
    harm(tmp_path)
    with capture_logs() as logs:
        assert (read_expiry(registry), read_expiry(registry)) == (end(first),) * 2
    (line,) = logs
    assert (
        x509.load_pem_x509_certificate(first.certificate).not_valid_after_utc
        == listener_certificate.life.end
    )
    assert re.search(says, line["error"])


def test_failing_disk_does_not_affect_the_certificate_and_is_retried(
    tmp_path: Path,
    authority: Authority,
    first: Certificates,
    listener_certificate: ListenerCertificate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    second = put(tmp_path, authority.server(until=90 * DAY))
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr("ullage.security.tls.read_trusted", broken)
        assert listener_certificate.life == Life.from_pem(first.certificate)
    assert [(event["event"], event["error"]) for event in logs] == [
        ("certificate_refused", "Input/output error")
    ]
    assert listener_certificate.life == Life.from_pem(second.certificate)
