"""Sites that do what hostile and broken ones do, and what is to be said of each (`tests/faults.md`,
rows C1 to C13).

A site is a list of two pastes; a fault stands in place of the list, of a paste or of robots.txt, or
before HTTP is spoken at all.
"""

from __future__ import annotations

import contextlib
import gzip
import socketserver
import ssl
import threading
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.crawlers.resolving import PUBLIC

LIMIT = 100_000
"""Bytes that a page may have."""
HANGING = frozenset({
    "no answer", "a dripping header", "a dripping list", "a dripping paste", "robots.txt hangs",
    "a hanging handshake",
})  # fmt: skip
"""Faults that last as long as they are let."""
SECRET = "13800138000"
TEXT = f"客户 王小明 {SECRET}".encode()
LIST, BAD, GOOD, ROBOTS = "/archive", "/raw/bad0", "/raw/good0", "/robots.txt"


class ClientConnection:
    """One connection of a client: what it asked for, how often that was asked for `before`, and
    the means to answer.
    """

    def __init__(self, handler: _Handler, path: str) -> None:
        self._handler, self.path, self.released = handler, path, handler.server.released
        self.before = handler.server.asked[path]
        handler.server.asked[path] += 1

    def send(self, data: bytes) -> None:
        """Write."""
        self._handler.wfile.write(data)

    def drip(self, byte: bytes) -> None:
        """Write one byte after another until the test is over."""
        while not self.released.wait(0.1):
            self.send(byte)

    def hang(self) -> None:
        """Say nothing."""
        self.released.wait(120)

    def endless(self, data: bytes) -> None:
        """Write for ever."""
        while not self.released.is_set():
            self.send(data)


Answer = bytes | Callable[[ClientConnection], None]


def page(body: bytes | str, kind: str = "text/html", status: str = "200 OK", **more: str) -> bytes:
    """Return a whole HTTP response."""
    body = body.encode() if isinstance(body, str) else body
    headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    return b"".join(
        [
            f"HTTP/1.1 {status}\r\n".encode(),
            *(f"{n}: {v}\r\n".encode() for n, v in headers.items()),
            b"\r\n",
            body,
        ]
    )


def text(body: bytes, **more: str) -> bytes:
    """Return the response with a paste."""
    return page(body, "text/plain", **more)


def redirect(where: str) -> bytes:
    """Return a redirect."""
    return page("", status="302 Found", Location=where)


def lists(*names: str) -> str:
    """Return a list of pastes, with more text around it than an empty list has."""
    return f"<p>{'about ' * 100}</p>" + "".join(
        f'<a href="/{name}">{name} {SECRET}</a> ' for name in names
    )


NORMAL: dict[str, Answer] = {LIST: page(lists("bad0", "good0")), BAD: text(TEXT), GOOD: text(TEXT)}


@dataclass(frozen=True)
class Fault:
    """What a site does, and what is expected of its visit.

    That is its `state` and `reason`, the pastes that are `read`, how many pages stay `unread`.

    `read` has a paste's bytes by its name, and None for those of `GOOD`; a beginning that was cut
    has `cut`.
    """

    row: str
    answers: Mapping[str, Answer] = field(default_factory=dict)
    state: str = "ok"
    reason: str | None = None
    read: Mapping[str, bytes | None] = field(default_factory=lambda: {"good0": None})
    cut: bool = False
    unread: int = 1
    more: str = ""
    tls: Callable[[Tls], ssl.SSLContext | Callable[[ClientConnection], None]] | None = None
    """Of faults of TLS: the means to speak it, or what is said instead."""
    revisit: tuple[float, float] | None = None
    """Seconds until the next visit, at least and at most."""


def list_fault(row: str, answer: Answer, state: str, reason: str, **more: object) -> Fault:
    """Return a fault of the list: nothing is lost, since the list is requested again."""
    return Fault(row, {LIST: answer}, state, reason, {}, **more)  # type: ignore[arg-type]


def paste_fault(row: str, answer: Answer, **more: object) -> Fault:
    """Return a fault of one paste.

    The paste stays unread, which is reported for the site, and the other one is read.
    """
    expected = {"state": "incomplete", "reason": "waiting", **more}
    return Fault(row, {BAD: answer}, **expected)  # type: ignore[arg-type]


def expect_captured(row: str, *bodies: bytes, **more: object) -> Fault:
    """Return a fault whose pastes are captured byte for byte as they were served."""
    names = [f"bad{number}" for number in range(len(bodies))]
    answers: dict[str, Answer] = {LIST: page(lists(*names, "good0"))}
    answers |= {f"/raw/{name}": text(body) for name, body in zip(names, bodies, strict=True)}
    return Fault(
        row,
        answers,
        read={**dict(zip(names, bodies, strict=True)), "good0": None},
        unread=0,
        **more,
    )  # type: ignore[arg-type]


def cut(row: str, answer: Answer, body: bytes) -> Fault:
    """Return a fault of a paste whose beginning is captured and marked as truncated."""
    return Fault(row, {BAD: answer}, read={"bad0": body, "good0": None}, cut=True, unread=0)


def then(*answers: bytes) -> Callable[[ClientConnection], None]:
    """Return an answer that sends these one per request, and then the last for ever."""
    return lambda talk: talk.send(answers[min(talk.before, len(answers) - 1)])


def begun(
    head: bytes, go_on: Callable[[ClientConnection], None]
) -> Callable[[ClientConnection], None]:
    """Begins like an answer."""

    def answer(talk: ClientConnection) -> None:
        talk.send(head)
        go_on(talk)

    return answer


OPEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
HUGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000000000\r\n\r\n"
PACKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: %b\r\nContent-Length:"
    b" %d\r\n\r\n%b"
)
ZEROS = zlib.compress(bytes(50_000_000), 9)
NESTED = gzip.compress(gzip.compress(gzip.compress(bytes(10**6))))
REFRESH = '<meta http-equiv="refresh" content="0; url={}">'
RULES = "User-agent: *\nDisallow: /raw/\n"


def compress_response(encoding: bytes, body: bytes) -> bytes:
    """Return a response that declares this content encoding."""
    return PACKED % (encoding, len(body), body)


BOMB = compress_response(b"gzip", gzip.compress(bytes(50_000_000)))


def chain(talk: ClientConnection) -> None:
    """Fifty hops to the list."""
    number = int(talk.path.rpartition("/")[2] or "0") if "hop" in talk.path else 0
    hop = redirect(f"/hop/{number + 1}")
    talk.send(hop if number < 50 else NORMAL[LIST])  # type: ignore[arg-type]


ELSEWHERE = {
    "a private address": ("http://10.0.0.1/", "unreachable", "address"),
    "cloud metadata": ("http://169.254.169.254/", "unreachable", "address"),
    "an IPv6 address": ("http://[::1]/", "unreachable", "address"),
    "an integer address": ("http://2130706433/", "unreachable", "address"),
    "an unlisted host": ("http://elsewhere.example/", "unreachable", "host"),
    "a file URL": ("file:///etc/passwd", "unreachable", "redirects"),
}
HOSTS = 'hosts = ["10.0.0.1", "169.254.169.254", "[::1]", "2130706433"]'
STORM = ("a" + "\u0301" * 40_000).encode()
SPELLED = (
    "客户 １３８００１３８０００ ١٣٨٠٠١٣٨٠٠٠ 138\u200b0013\u202e8000 \x00 王小明".encode()
    + b" \xed\xa0\x80 \xc0\xaf"
)
LISTED = "客户名单 王小明 13800138000"
ENCODED = (
    *(LISTED.encode(name) for name in ("gb18030", "utf-16-le", "utf-16", "utf-8-sig")),
    "客戶 王小明 13800138000".encode("big5"),
    "顧客 山田 13800138000".encode("euc-jp"),
)
MARKUP = (
    b"<div>" * 15_000 + TEXT,
    b"<p " + b" ".join(b"a%d=1" % number for number in range(9_000)) + b">" + TEXT,
    b"&lt;&#49;&#x33;&amp;" * 4_000 + TEXT,
    b"<!-- " + TEXT + b" --><input value='" + TEXT + b"'><script>" + TEXT,
)

FAULTS: dict[str, Fault] = {
    "an endless paste": cut("C1", begun(OPEN, lambda talk: talk.endless(b"y" * 65536)),
    b"y" * LIMIT),
    "a length of 100 GB": cut("C1", begun(HUGE, lambda talk: talk.endless(b"y" * 65536)),
    b"y" * LIMIT),
    "one line longer than the limit": cut("C2", text(b"z" * 300_000), b"z" * LIMIT),
    "a gzip bomb": cut("C3", BOMB, bytes(LIMIT)),
    "a deflate bomb": cut("C3", compress_response(b"deflate", ZEROS), bytes(LIMIT)),
    "a gzip bomb as a list": list_fault("C3", BOMB, "layout_changed", "empty", unread=0),
    "invalid gzip": Fault(
        "C3", {BAD: compress_response(b"gzip", b"\x1f\x8bnone")}, read={"bad0": b"\x1f\x8bnone",
        "good0": None}, unread=0
    ),
    "archives in archives": expect_captured("C3", NESTED),
    "no answer": list_fault("C4", lambda talk: talk.hang(), "unreachable", "timeout"),
    "a dripping header": list_fault(
        "C4", begun(b"HTTP/1.1 200 OK\r\nX: ", lambda t: t.drip(b"a")),
        "unreachable", "timeout"
    ),
    "a dripping list": list_fault("C4", begun(OPEN, lambda talk: talk.drip(b".")), "unreachable",
    "timeout"),
    "a dripping paste": paste_fault("C4", begun(OPEN, lambda talk: talk.drip(b"."))),
    "a redirect loop": list_fault("C5", redirect(LIST), "unreachable", "redirects"),
    "fifty redirects": Fault(
        "C5", {LIST: chain, **{f"/hop/{n}": chain for n in range(51)}}, "unreachable", "redirects",
        {}
    ),
    "a meta refresh loop": list_fault("C5", page(REFRESH.format(LIST)), "unreachable",
    "redirects"),
    "a meta refresh to another host": list_fault(
        "C5", page(REFRESH.format("http://10.0.0.1/")), "unreachable", "redirects"
    ),
    "a paste with a meta refresh": expect_captured("C5", REFRESH.format("/raw/good0").encode()),
    **{
        f"a redirect to {what}": list_fault("C5", redirect(where), state, reason, more=HOSTS)
        for what, (where, state, reason) in ELSEWHERE.items()
    },
    "robots.txt starts to forbid": Fault(
        "C6", {ROBOTS: then(text(b""), text(b"User-agent: *\nDisallow: /\n"))},
        "robots_denied", "robots", {"bad0": None, "good0": None},
    ),
    "robots.txt 503": Fault("C6", {ROBOTS: page("", status="503 No")}, "unreachable",
    "robots_error", {}),
    "robots.txt 404": Fault("C6", {ROBOTS: page("", status="404 No")},
    read={"bad0": None, "good0": None}, unread=0),
    "robots.txt hangs": Fault("C6", {ROBOTS: lambda talk: talk.hang()}, "unreachable", "timeout",
    {}),
    "robots.txt in a redirect loop": Fault(
        "C6", {ROBOTS: redirect(ROBOTS)}, "unreachable", "redirects", {}
    ),
    "robots.txt of 5 MB": Fault("C6", {ROBOTS: text(RULES.encode() + b"# more\n" * 700_000)},
    read={}, unread=2),
    "robots.txt with a byte order mark": Fault("C6",
    {ROBOTS: text(b"\xef\xbb\xbf" + RULES.encode())}, read={}, unread=2),
    "429 for an hour": list_fault(
        "C7", page("", status="429 No", Retry_After="3600"), "blocked", "busy", revisit=(3500, 3700)
    ),
    "429 with an absurd delay": list_fault(
        "C7", page("", status="429 No", Retry_After="9" * 30), "blocked", "busy",
        revisit=(86000, 86400)
    ),
    "429 until a date": list_fault(
        "C7", page("", status="429 No", Retry_After="Fri, 31 Dec 2100 23:59:59 GMT"), "blocked",
        "busy", revisit=(86000, 86400)
    ),
    "503 for an hour": list_fault(
        "C7", page("", status="503 No", Retry_After="3600"), "unreachable", "unavailable",
        revisit=(3500, 3700)
    ),
    "429 for one paste": paste_fault(
        "C7", page("", status="429 No"), unread=1, read={"good0": None}
    ),
    "503 for one paste": paste_fault("C7", page("", status="503 No", Retry_After="3600"),
    revisit=(0, 300)),
    "500 for one paste": paste_fault("C7", page("", status="500 No")),
    "an untrusted certificate": Fault("C8", {}, "unreachable", "tls", {},
    tls=lambda tls: tls.make_context("stranger")),
    "an expired certificate": Fault("C8", {}, "unreachable", "tls", {},
    tls=lambda tls: tls.make_context("over")),
    "a certificate for another name": Fault("C8", {}, "unreachable", "tls", {},
    tls=lambda tls: tls.make_context("other")),
    "TLS 1.0 only": Fault("C8", {}, "unreachable", "tls", {},
    tls=lambda tls: tls.make_context("good", old=True)),
    "no TLS": Fault("C8", {}, "unreachable", "tls", {},
    tls=lambda _: lambda talk: talk.send(b"HTTP/1.1 400 No\r\n\r\n")),
    "a hanging handshake": Fault("C4", {}, "unreachable", "timeout", {},
    tls=lambda _: lambda talk: talk.hang()),
    "a broken handshake": Fault("C8", {}, "unreachable", "network", {},
    tls=lambda _: lambda _: None),
    "no HTTP": list_fault("C8", b"what do you want\r\n\r\n", "unreachable", "network"),
    "HTTP 0.9": list_fault("C8", lists("bad0").encode(), "unreachable", "network"),
    "an invalid status": list_fault("C8", b"HTTP/1.1 abc OK\r\n\r\n", "unreachable", "network"),
    "a header without a colon": Fault(
        "C8",
        {BAD: (
            b"HTTP/1.1 200 OK\r\nbroken header line\r\nContent-Type: text/plain\r\n"
            b"Content-Length: 1\r\n\r\nx"
        )},
        read={"bad0": b"x", "good0": None}, unread=0,
    ),
    "invalid chunks": paste_fault("C8",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"),
    "a negative length": paste_fault("C8", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc"),
    "two content lengths": paste_fault("C8",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "a truncated body": paste_fault("C8", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nabc"),
    "a closed connection": list_fault("C8", b"", "unreachable", "network"),
    "a header of a megabyte": list_fault(
        "C8", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**20 + b"\r\n\r\n",
        "unreachable", "network"
    ),
    "a blank list": list_fault("C8", page(" \n"), "layout_changed", "empty", unread=0),
    "a blank paste": Fault("C8", {BAD: text(b"")}),
    "undeclared encodings": expect_captured("C9", *ENCODED),
    "a list in an undeclared encoding": Fault(
        "C9", {LIST: page(lists("bad0", "good0").encode() + "客户名单".encode("gb18030") * 50)},
        read={"bad0": None, "good0": None}, unread=0,
    ),
    "a wrongly declared encoding": Fault(
        "C9", {BAD: page("客户 13800138000".encode("gb18030"), "text/plain; charset=utf-8")},
        read={"bad0": "客户 13800138000".encode("gb18030"), "good0": None}, unread=0,
    ),
    "unusual characters": expect_captured("C10", SPELLED, STORM),
    "unusual characters in titles": Fault(
        "C10", {LIST: page(lists("bad0", "good0").encode().replace(b"bad0 ", SPELLED + STORM))},
        read={"bad0": None, "good0": None}, unread=0,
    ),
    "excessive mark-up": expect_captured("C11", *MARKUP),
    "a list within 10,000 elements": Fault(
        "C11", {LIST: page(b"<div>" * 10_000 + lists("bad0", "good0").encode())},
        read={"bad0": None, "good0": None}, unread=0,
    ),
    "too many links": Fault(
        "C13", {LIST: page(lists("bad0", "good0", *(f"x{number:04}" for number in range(2_000))))},
        "incomplete", "first reading", read={"bad0": None, "good0": None}, unread=2_000,
        more="max_pages = 3",
    ),
    "a paste of numbers": expect_captured(
        "C13", b"\n".join(b"138%08d" % number for number in range(8_000))
    ),
}  # fmt: skip
"""By what is the matter."""


class Tls:
    """Certificates for the names of all sites here: `good`, and those that must not be believed.

    `bundle` has the authorities.
    """

    def __init__(
        self, folder: Path, made: Mapping[str, tuple[bytes, bytes]], trusted: bytes
    ) -> None:
        self._folder = folder
        self.bundle = folder / "authorities.pem"
        self.bundle.write_bytes(trusted)
        for name, (certificate, key) in made.items():
            (folder / f"{name}.pem").write_bytes(certificate + key)

    def make_context(self, name: str, *, old: bool = False) -> ssl.SSLContext:
        """Return a server's TLS context; `old` allows only the oldest version."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if old:
            context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
                context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
        context.load_cert_chain(self._folder / f"{name}.pem")
        return context


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads, block_on_close, allow_reuse_address = True, False, True

    def __init__(
        self,
        fault: Fault,
        tls: ssl.SSLContext | Callable[[ClientConnection], None] | None,
        released: threading.Event,
    ) -> None:
        self.answers, self.tls, self.released = {**NORMAL, **fault.answers}, tls, released
        self.asked = Counter[str]()
        super().__init__((PUBLIC, 0), _Handler)

    def handle_error(self, *_: object) -> None:
        """Ignore the error: clients that hang up are what is tested."""


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def setup(self) -> None:
        if isinstance(self.server.tls, ssl.SSLContext):
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.request.close()

    def handle(self) -> None:
        if callable(self.server.tls):
            self.server.tls(ClientConnection(self, ""))
            return
        line, *_ = [*self.rfile.readline().split(b" ")[1:2], b""]
        while self.rfile.readline().strip():
            pass
        path = line.decode()
        answer = self.server.answers.get(path, page("", status="404 Not Found"))
        if callable(answer):
            answer(ClientConnection(self, path))
        else:
            self.wfile.write(answer)


@contextlib.contextmanager
def serving(faults: Mapping[str, Fault], tls: Tls, *, secure: bool) -> Iterator[dict[str, int]]:
    """Serve each fault, and yield the ports by fault name.

    A server speaks TLS where it is `secure` or the fault is one of TLS.
    """
    released = threading.Event()
    with contextlib.ExitStack() as stack:
        ports = {}
        for name, fault in faults.items():
            means = fault.tls(tls) if fault.tls else tls.make_context("good") if secure else None
            server = stack.enter_context(_Server(fault, means, released))
            thread = threading.Thread(
                target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
            )
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            ports[name] = int(server.server_address[1])
        stack.callback(released.set)
        yield ports


def label(name: str) -> str:
    """Return a fault's name in a form that fits a site and a host."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")
