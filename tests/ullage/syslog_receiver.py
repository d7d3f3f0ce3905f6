"""A syslog receiver (RFC 5425) that reads messages strictly (RFC 5424, 6), on loopback."""

import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server, socket
from typing import Any

from deploy.local.certificates import Authority

NAME = r"[\x21-\x7e]{1,%d}"
SD_NAME = r"[\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32}"
PARAMETER = rf' {SD_NAME}="(?:[^"\\\]]|\\["\\\]])*"'
MESSAGE = re.compile(
    r"<(?P<priority>[1-9]\d{0,2})>1 (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z)"
    rf" (?P<host>{NAME % 255})"
    rf" (?P<program>{NAME % 48}) (?P<process>{NAME % 128}) (?P<kind>{NAME % 32})"
    rf" (?P<facts>(?:\[{SD_NAME}(?:{PARAMETER})*\])+) (?P<text>.*)",
    re.DOTALL,
)


@dataclass
class Message:
    """A message by its parts; `entry` is its text as JSON."""

    parts: dict[str, str]
    text: bytes

    @property
    def entry(self) -> Any:
        return json.loads(self.text)


def parse(message: bytes) -> Message:
    """Return the parts of a message; AssertionError where it is none."""
    match = MESSAGE.fullmatch(message.decode("utf-8"))
    assert match, message
    text = match["text"].encode()
    if not text.isascii():
        assert text.startswith(b"\xef\xbb\xbf")
        text = text.removeprefix(b"\xef\xbb\xbf")
    return Message(match.groupdict(), text)


@dataclass
class SyslogReceiver:
    """Takes connections one after the other; `most` frames of each, and then it breaks the
    connection off.
    """

    folder: Path
    authority: Authority = field(default_factory=Authority)
    port: int = 0
    most: int = 10**9
    more: int = 0
    """By so many `most` grows with each connection."""
    messages: list[Message] = field(default_factory=list)
    connections: int = 0
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def url(self) -> str:
        """Return what `audit.syslog` holds for it."""
        return f"syslog://127.0.0.1:{self.port}?cafile=syslog-ca.pem"

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen, on the same port each time."""
        certificates = self.authority.server()
        (self.folder / "syslog-ca.pem").write_bytes(certificates.authority)
        (self.folder / "syslog.pem").write_bytes(certificates.pair)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "syslog.pem")
        with create_server(("127.0.0.1", self.port)) as listener:
            self.port = listener.getsockname()[1]
            ended = threading.Event()
            thread = threading.Thread(
                target=self._serve, args=(listener, context, ended), daemon=True
            )
            thread.start()
            try:
                yield
            finally:
                ended.set()
                with suppress(OSError), create_connection_to(self.port):
                    pass
                thread.join(60)
                assert not thread.is_alive()

    def wait_for(self, count: int) -> list[Message]:
        """Return the messages once there are `count`."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.messages) >= count, 60), (
                f"{len(self.messages)} of {count}"
            )
            return list(self.messages)

    def _serve(self, listener: socket, context: ssl.SSLContext, ended: threading.Event) -> None:
        while not ended.is_set():
            plain, _ = listener.accept()
            with plain:
                plain.settimeout(0.2)
                if ended.is_set():
                    return
                with suppress(OSError), context.wrap_socket(plain, server_side=True) as secure:
                    self.connections += 1
                    self._take(secure, ended)
                    self.most += self.more

    def _take(self, secure: ssl.SSLSocket, ended: threading.Event) -> None:
        content, count = b"", 0
        while not ended.is_set() and count < self.most:
            length, space, remainder = content.partition(b" ")
            if space and len(remainder) >= int(length):
                assert length == b"%d" % int(length)
                with self.arrived:
                    self.messages.append(parse(remainder[: int(length)]))
                    self.arrived.notify_all()
                content, count = remainder[int(length) :], count + 1
                continue
            with suppress(TimeoutError):
                if not (more := secure.recv(65536)):
                    return
                content += more


def create_connection_to(port: int) -> socket:
    """Connect, so that whoever accepts goes on."""
    from socket import create_connection

    return create_connection(("127.0.0.1", port), 5)
