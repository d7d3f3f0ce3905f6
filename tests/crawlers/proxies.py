"""Proxies on loopback for tests: SOCKS5 and HTTP, each of which alone knows where its names are."""

import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

Place = tuple[str, int]


@dataclass
class LocalProxy:
    """A proxy that can reach `names` and asks for `secret`.

    `connections` are the places that clients asked it for, as they named them.
    """

    port: int = 0
    names: dict[str, Place] = field(default_factory=dict)
    secret: tuple[bytes, bytes] | None = None
    connections: list[tuple[str, int]] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    silent: threading.Event | None = None
    """Set: it says nothing until the event comes."""
    begun: threading.Event = field(default_factory=threading.Event)


def pipe(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until either side has enough."""
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            (other if ready is one else one).sendall(data)


class Socks(socketserver.BaseRequestHandler):
    """RFC 1928 and 1929, CONNECT alone."""

    def take(self, count: int) -> bytes:
        data = self.request.recv(count, socket.MSG_WAITALL)
        if len(data) < count:
            raise ConnectionError
        return data

    def handle(self) -> None:
        way: LocalProxy = self.server.way
        way.begun.set()
        if way.silent:
            way.silent.wait(60)
            return
        _, count = self.take(2)
        methods = self.take(count)
        method = 2 if way.secret else 0
        self.request.sendall(bytes([5, method if method in methods else 255]))
        if method not in methods:
            return
        if way.secret:
            user = self.take(self.take(2)[1])
            password = self.take(self.take(1)[0])
            good = (user, password) == way.secret
            self.request.sendall(bytes([1, not good]))
            if not good:
                return
        kind = self.take(4)[3]
        host = self.take(self.take(1)[0]).decode() if kind == 3 else socket.inet_ntoa(self.take(4))
        port = int.from_bytes(self.take(2), "big")
        way.connections.append((host, port))
        if host not in way.names:
            self.request.sendall(b"\x05\x04\x00\x01" + bytes(6))
            return
        with socket.create_connection(way.names[host]) as there:
            self.request.sendall(b"\x05\x00\x00\x03\x01x" + bytes(2))
            pipe(self.request, there)


class Http(socketserver.BaseRequestHandler):
    """CONNECT, and pages that are asked for by their whole address."""

    def handle(self) -> None:
        way: LocalProxy = self.server.way
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.request.recv(65536)
            if not data:
                return
            head += data
        way.requests.append(head)
        method, target, _ = head.split(b"\r\n")[0].split(b" ")
        place = target if method == b"CONNECT" else target.split(b"/")[2]
        host, _, port = place.decode().partition(":")
        way.connections.append((host, int(port or 80)))
        if host not in way.names:
            self.request.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(way.names[host]) as there:
            if method == b"CONNECT":
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = b"/" + b"/".join(target.split(b"/")[3:])
                there.sendall(
                    head.replace(target, path, 1).replace(
                        b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"
                    )
                )
            pipe(self.request, there)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads, block_on_close, way = True, False, LocalProxy()

    def handle_error(self, *_: object) -> None:
        """Ignore the error: clients that hang up are what some tests check."""


@contextlib.contextmanager
def proxying(kind: type[socketserver.BaseRequestHandler]) -> Iterator[LocalProxy]:
    """Run a proxy of that kind."""
    with _Server(("127.0.0.1", 0), kind) as server:
        server.way = LocalProxy(port=server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.way
        server.shutdown()
        thread.join()
