"""Send audit entries to a syslog receiver: RFC 5424 messages over TLS (RFC 5425).

Libraries for syslog send log records and hide whether they arrive; here each entry must arrive. A
message contains the entry exactly as in the chain, so that a copy can be compared byte by byte.
Syslog has no acknowledgements: an entry counts as delivered when the receiver's machine has
acknowledged its bytes on a connection that is still open.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from ullage import __version__
from ullage.audit.entry import AuditEntry
from ullage.errors import ConfigError, UnavailableError
from ullage.security.tls import Trust, find_named_file

KNOB, SCHEME, PORT = "audit.syslog", "syslog", 6514
FORM = f"{SCHEME}://HOST:{PORT}?cafile=ca.crt"
OPTIONS = {"cafile", "certificate"}
PRIORITY = 13 * 8 + 5
"""Facility "log audit", severity "notice"."""
NIL, LONGEST_NAME, LONGEST_ID = "-", 255, 32
SECONDS = 5.0
"""Time limit for connecting, for the handshake and for one write."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where entries are sent, and the trusted authority of its certificate."""

    host: str
    port: int
    trust: Trust

    @property
    def where(self) -> str:
        """Its name in messages."""
        return f"audit log receiver {self.host}:{self.port}"

    def connect(self) -> SyslogConnection:
        """Connect with TLS, and verify certificate and name.

        Raises ConfigError if a file or a certificate is wrong, UnavailableError if the receiver
        cannot be reached.
        """
        context = self.trust.load_context()
        with self.errors(), contextlib.ExitStack() as undo:
            plain = socket.create_connection((self.host, self.port), SECONDS)
            undo.callback(plain.close)
            connection = SyslogConnection(
                self, context.wrap_socket(plain, server_hostname=self.host)
            )
            undo.pop_all()
        return connection

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Convert the errors of a connection.

        They become ConfigError if waiting does not help, else UnavailableError.
        """
        try:
            yield
        except ssl.SSLError as error:
            self.trust.reject(self.where, error, self.host)
        except OSError as error:
            raise UnavailableError(
                f"{self.where} does not respond ({error.strerror or error}): check that it runs"
            ) from None


def read_url(url: str, data: Path) -> Receiver | None:
    """Return the receiver that the setting names, None for "".

    Raises ConfigError, which says which part is wrong, but does not repeat it.
    """
    if not url:
        return None
    try:
        parts = urlsplit(url)
        options, host, port = (
            dict(parse_qsl(parts.query, strict_parsing=bool(parts.query))),
            parts.hostname,
            parts.port,
        )
    except ValueError:
        raise ConfigError(f"{KNOB} cannot be read: use {FORM}") from None
    if (
        parts.scheme != SCHEME
        or not host
        or "@" in parts.netloc
        or parts.path.strip("/")
        or options.keys() - OPTIONS
    ):
        raise ConfigError(f"{KNOB} has an unknown part: use {FORM}")
    cafile = data / options["cafile"] if "cafile" in options else None
    certificate = (
        find_named_file(options["certificate"], data) if "certificate" in options else None
    )
    return Receiver(host, port or PORT, Trust(KNOB, cafile, certificate))


def to_message(chain: str, entry: AuditEntry, host: str) -> bytes:
    """Render an entry of a chain of the machine `host` (RFC 5424, 6).

    A byte order mark announces UTF-8 beyond ASCII.
    """
    at = entry.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    names = (
        f"{_name(host, LONGEST_NAME)} ullage {_name(chain, LONGEST_ID)}"
        f" {_name(entry.action, LONGEST_ID)}"
    )
    facts = f'[origin software="ullage" swVersion="{__version__}"][meta sequenceId="{entry.seq}"]'
    text = entry.to_line().rstrip(b"\n")
    return (
        f"<{PRIORITY}>1 {at} {names} {facts} ".encode()
        + (b"" if text.isascii() else b"\xef\xbb\xbf")
        + text
    )


def _name(text: str, longest: int) -> str:
    """Return a header field: printable ASCII without spaces, or the sign for no value."""
    return "".join(sign for sign in text if "!" <= sign <= "~")[:longest] or NIL


class SyslogConnection:
    """One connection, whose waits are all bounded.

    Errors are those of `Receiver.errors`; the caller then closes it.
    """

    def __init__(self, receiver: Receiver, connected: ssl.SSLSocket) -> None:
        self._receiver, self._socket = receiver, connected

    def send(self, messages: Iterable[bytes]) -> None:
        """Write messages, each after its length in octets.

        Raises UnavailableError if the connection fails or stalls, ConfigError for a fault of TLS
        that waiting does not mend.
        """
        with self._receiver.errors():
            self._socket.settimeout(SECONDS)
            self._socket.sendall(
                b"".join(b"%d %b" % (len(message), message) for message in messages)
            )

    def is_acknowledged(self) -> bool:
        """Return whether the receiver's machine has every byte that was sent.

        Does not wait, and leaves the socket non-blocking. Raises UnavailableError if the receiver
        has closed the connection (its ConnectionResetError is converted) or it is broken, and
        ConfigError if TLS fails.
        """
        with self._receiver.errors():
            self._socket.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):  # nothing came, as it should be
                if not self._socket.recv(1):
                    raise ConnectionResetError("it closed the connection")
            (waiting,) = struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)))
        return bool(waiting == 0)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
