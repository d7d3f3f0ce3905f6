"""A server that refuses our certificate, at every moment at which it can do so, and how it then
goes.
"""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from alerts.records import Claim
from alerts.store import DocumentFilter, open_store
from deploy.local.certificates import Authority
from ullage.bus.kafka.address import parse
from ullage.bus.kafka.client import greet
from ullage.errors import ConfigError
from ullage.security.tls import Trust, _ReadAgain

WAIT_SECONDS = 30.0
OLDER, LATEST = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
RESET = pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])


class Refuser:
    """On loopback: shakes hands, holds its refusal back until `let` is set, and has gone for
    good once `gone` is.
    """

    def __init__(self, folder: Path, version: ssl.TLSVersion, *, reset: bool) -> None:
        self.let, self.gone, self._reset = threading.Event(), threading.Event(), reset
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.pem")
        self._context.load_verify_locations(folder / "ca.pem")
        self._context.verify_mode, self._context.maximum_version = ssl.CERT_REQUIRED, version
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._refuse)
        self.port = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let.set()
        self._thread.join()
        self._socket.close()

    def go(self) -> None:
        """Return when it has refused, and has gone."""
        self.let.set()
        assert self.gone.wait(WAIT_SECONDS)

    def _refuse(self) -> None:
        connection, _ = self._socket.accept()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        secure = self._context.wrap_bio(incoming, outgoing, server_side=True)
        with connection:
            with contextlib.suppress(ssl.SSLError):
                self._shake_hands(secure, connection, incoming, outgoing)
            self.let.wait(WAIT_SECONDS)
            connection.sendall(outgoing.read())
            if self._reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.gone.set()

    @staticmethod
    def _shake_hands(
        secure: ssl.SSLObject,
        connection: socket.socket,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
    ) -> None:
        while True:
            try:
                return secure.do_handshake()
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a server's certificate and a client's that the server rejects.

    `none.pem` is no certificate at all.
    """
    authority = Authority()
    for name, content in {
        "ca.pem": authority.server().authority,
        "server.pem": authority.server().pair,
        "own.pem": Authority().client("x").pair,
    }.items():
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_bytes(content)
    return tmp_path


@RESET
@pytest.mark.parametrize(
    ("version", "certificate", "written"),
    [
        (OLDER, "own.pem", 0),
        *((LATEST, shown, written) for shown in ("own.pem", "") for written in range(4)),
    ],
)
def test_rejected_certificate_is_reported_whenever_it_is_noticed(
    folder: Path, version: ssl.TLSVersion, certificate: str, written: int, *, reset: bool
) -> None:
    """In TLS 1.3 a client has shaken hands, and may have written, before the server has looked
    at what it shows.
    """
    trust = Trust("bus.url", folder / "ca.pem", folder / certificate if certificate else None)
    says = "it refuses our certificate" if certificate else "it requires a client certificate"
    with Refuser(folder, version, reset=reset) as server:
        if version is OLDER:  # the client waits for what the server says of its certificate
            server.let.set()
        with pytest.raises(ConfigError, match=says):
            write_thrice(server, trust, written)


def write_thrice(server: Refuser, own: Trust, written: int) -> None:
    """End the server after so many bytes; whatever fails is raised."""
    try:
        with (
            socket.create_connection(("127.0.0.1", server.port), WAIT_SECONDS) as plain,
            own.context().wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            for number in range(3):
                if number == written:
                    server.go()
                secure.sendall(b"x")
            server.go()
            secure.recv(1)
    except OSError as error:
        own.reject("server", error, "127.0.0.1")


def ask_kafka(port: int, data: Path) -> None:
    greet(parse(f"127.0.0.1:{port}?security=SSL&cafile=ca.pem&certificate=own.pem", data))


def ask_elasticsearch(port: int, data: Path) -> None:
    url = f"elasticsearch://127.0.0.1:{port}?cafile=ca.pem&certificate=own.pem"
    with contextlib.closing(open_store(url, data)) as store:
        store.count(Claim, DocumentFilter())


@RESET
@pytest.mark.parametrize("ask", [ask_kafka, ask_elasticsearch])
def test_both_clients_report_a_rejection_received_before_writing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[int, Path], None], *, reset: bool
) -> None:
    with Refuser(folder, LATEST, reset=reset) as server:
        wrap = _ReadAgain.wrap_socket

        def wrap_and_be_late(*args: Any, **options: Any) -> ssl.SSLSocket:
            connection = wrap(*args, **options)
            server.go()
            return connection

        monkeypatch.setattr(_ReadAgain, "wrap_socket", wrap_and_be_late)
        with pytest.raises(ConfigError, match=r"it refuses our certificate \(unknown ca; "):
            ask(server.port, folder)
