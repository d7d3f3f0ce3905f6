"""Configure TLS of clients (Kafka, Elasticsearch, syslog) and of our own listeners.

A `Trust` makes contexts for a client: a server is trusted if its certificate was signed by an
authority of `cafile` (or, without it, one that the system knows), is valid today and names the host
of the URL. With `certificate` the client presents one in turn (mutual TLS, RFC 8446 4.4.2): a PEM
file with this service's certificate, the intermediates, and its private key without a password,
mode 0600. A URL contains names of files, never their content; a systemd credential of the file's
name replaces the file. A `ListenerCertificate` serves our own listeners. A client reads its files
for each connection, a listener when they change, so a renewed certificate needs no restart. A wrong
file or an untrusted server raises ConfigError, which says what to mend.
"""

from __future__ import annotations

import socket
import ssl
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Self

from ullage import log
from ullage.errors import ConfigError, UnavailableError
from ullage.files.ownership import read_trusted
from ullage.security.keys import find_credentials_folder

WRONG_NAME = (62, 64)
"""OpenSSL's codes of a certificate for another host name, and for another address."""
NOT_YET, EXPIRED = 9, 10
REFUSALS = {
    "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED", "SSLV3_ALERT_CERTIFICATE_UNKNOWN", "TLSV1_ALERT_UNKNOWN_CA",
    "TLSV1_ALERT_ACCESS_DENIED",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED",
}  # fmt: skip
"""OpenSSL's names of the alerts by which a server rejects a client's certificate, or a client
without one.
"""
SHORT_OF_IT, SOON = 3, timedelta(days=14)
"""A certificate expires soon when a third of its lifetime, at most two weeks, is left."""


class Life(NamedTuple):
    """Validity of a certificate and its intermediates, in UTC."""

    begin: datetime
    end: datetime

    @classmethod
    def from_pem(cls, pem: bytes) -> Life:
        """Return the time in which all certificates in `pem` are valid.

        Raises ValueError if there is none.
        """
        from cryptography import x509  # noqa: PLC0415  most commands look at none

        certificates = x509.load_pem_x509_certificates(pem)
        return cls(
            max(certificate.not_valid_before_utc for certificate in certificates),
            min(certificate.not_valid_after_utc for certificate in certificates),
        )

    @property
    def renewal_due(self) -> datetime:
        """Return when somebody should renew the certificate, in UTC."""
        return self.end - min(SOON, (self.end - self.begin) / SHORT_OF_IT)


class _CertificateFiles(NamedTuple):
    """The result of reading a listener's files."""

    context: ssl.SSLContext
    life: Life


class ListenerCertificate:
    """Certificate and key of a listener of ours: PEM files, read again when they change.

    While the files are no valid pair, the previous pair stays in use. Thread-safe.
    """

    def __init__(self, table: str, certificate: Path, key: Path) -> None:
        self.certificate, self.key = certificate, key
        self._table, self._lock = table, threading.Lock()
        self._looked = self._stat_files()
        self._shown = self._read()

    @classmethod
    def from_settings(
        cls, table: str, data: Path, certificate: str, key: str
    ) -> ListenerCertificate | None:
        """Return the certificate that a settings table names; None if it names none.

        Raises ConfigError, which says which file is wrong, and how.
        """
        return cls(table, data / certificate, data / key) if certificate else None

    @property
    def life(self) -> Life:
        """The validity of the certificate in use."""
        return self.current().life

    def context(self) -> ssl.SSLContext:
        """Return a context for an asyncio server; each handshake uses the current certificate."""
        return _ShownAnew(self)

    def current(self) -> _CertificateFiles:
        """Return the context and validity in use, read again if the files have changed.

        Files that are no valid pair are logged, and the previous pair stays in use.
        """
        with self._lock:
            if (marks := self._stat_files()) != self._looked:
                self._renew(marks)
            return self._shown

    def _renew(self, marks: tuple[object, ...]) -> None:
        try:
            shown = self._read()
        except ConfigError as error:
            log.get(self._table).warning("certificate_refused", error=str(error))
        except OSError as error:  # of the disk: it is asked again
            log.get(self._table).warning("certificate_refused", error=error.strerror)
            return
        else:
            # it is being written: the two files may not belong together
            if self._stat_files() != marks:
                return
            self._shown = shown
            log.get(self._table).info("certificate_renewed")
        self._looked = marks

    def _read(self) -> _CertificateFiles:
        pem = _read_file(f"{self._table}.certificate", self.certificate, secret=False)
        _read_file(f"{self._table}.key", self.key, secret=True)
        unreadable = ConfigError(
            f"{self._table}: {self.certificate} must contain a certificate and {self.key}"
            " its private key, in PEM"
        )
        try:
            life = Life.from_pem(pem)
        except ValueError:
            raise unreadable from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _load_pair(context, self.certificate, self.key, unreadable)
        return _CertificateFiles(context, life)

    def _stat_files(self) -> tuple[object, ...]:
        """Return what identifies the files' content and permissions."""
        return tuple(_stat(path) for path in (self.certificate, self.key))


@dataclass(frozen=True, slots=True)
class Trust:
    """TLS settings of one URL; `knob` is the setting for messages, such as `bus.url`."""

    knob: str
    cafile: Path | None = None
    certificate: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return a client context that reads the files again for each connection.

        Raises ConfigError, which says which file is wrong.
        """
        self.load_context()
        return _ReadAgain(self)

    def load_context(self) -> ssl.SSLContext:
        """Return a client context from the files as they are now.

        It requires TLS 1.2 or newer and checks host names. Raises ConfigError, which says which
        file is wrong. Without a CA file, the machine's authorities are trusted.
        """
        # since Python 3.10: TLS 1.2 or newer, and names are checked
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.sslsocket_class = _ClientSocket
        try:
            if self.cafile is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(self.cafile)
        except ssl.SSLError:
            raise ConfigError(
                f"{self.cafile} contains no certificate: cafile= in {self.knob} must name"
                " the authority's, in PEM"
            ) from None
        except OSError as error:
            raise ConfigError(
                f"{self.cafile} cannot be read ({error.strerror}): see cafile= in {self.knob}"
            ) from None
        if self.certificate is not None:
            self._load_client_certificate(context, self.certificate)
        return context

    def read_life(self) -> Life | None:
        """Return the validity of the client's certificate; None if there is none.

        Errors are those of `load_context`.
        """
        if self.certificate is None:
            return None
        try:
            return Life.from_pem(self._read(self.certificate))
        except ValueError:
            raise self._not_a_pair_error(self.certificate) from None

    def read_expiry(self) -> datetime | None:
        """Return when the client's certificate expires, in UTC; see `read_life`."""
        life = self.read_life()
        return None if life is None else life.end

    def renewal_due(self) -> datetime | None:
        """Return when somebody should renew the client's certificate, in UTC; see `read_life`."""
        life = self.read_life()
        return None if life is None else life.renewal_due

    def reject(self, where: str, error: Exception, host: str) -> NoReturn:
        """Raise the error that explains why TLS with the server `where` failed.

        Raises ConfigError if a certificate or a file is wrong, UnavailableError if the server broke
        off. `host` is the server's name in the URL.
        """
        for cause in _iterate_causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise ConfigError(
                    f"{where}: {self._explain_distrust(cause.verify_code, host)}"
                ) from None
            if (
                isinstance(cause, ssl.SSLError)
                and (reason := getattr(cause, "reason", None)) in REFUSALS
            ):
                raise ConfigError(f"{where}: {self._explain_refusal(reason)}") from None
            if isinstance(cause, ConfigError):  # of a file that has changed since
                raise ConfigError(str(cause)) from None
        why = f"it aborts the TLS handshake ({type(error).__name__})"
        raise UnavailableError(
            f"{where}: {why}: check that it is ready, and that the port speaks TLS,"
            f" as {self.knob} says"
        ) from None

    def _explain_distrust(self, code: int, host: str) -> str:
        if code in WRONG_NAME:
            return f"its certificate is for another name than {host}: name it so in {self.knob}"
        if code == EXPIRED:
            return "its certificate has expired: have it renewed"
        if code == NOT_YET:
            return "its certificate is not valid yet: check this machine's clock"
        return (
            f"its certificate is not trusted: cafile= in {self.knob} must name the"
            " authority that signed it"
        )

    def _explain_refusal(self, reason: str) -> str:
        life = self.read_life()
        if life is None:
            return (
                f"it requires a client certificate: set certificate=FILE in {self.knob},"
                " with certificate and key in PEM"
            )
        why = reason.rpartition("ALERT_")[2].replace("_", " ").lower()
        good = f"{self.certificate}, good until {life.end:%Y-%m-%d %H:%M} UTC"
        return (
            f"it refuses our certificate ({why}; {good}): have it renewed, by an authority that the"
            " server believes"
        )

    def _load_client_certificate(self, context: ssl.SSLContext, path: Path) -> None:
        self._read(path)
        _load_pair(context, path, path, self._not_a_pair_error(path))

    def _read(self, path: Path) -> bytes:
        try:
            return read_trusted(path, secret=path.parent != find_credentials_folder())
        except FileNotFoundError:
            raise ConfigError(
                f"{path} does not exist: certificate= in {self.knob} must name a file with"
                " certificate and key, in PEM"
            ) from None

    def _not_a_pair_error(self, path: Path) -> ConfigError:
        return ConfigError(
            f"{path} must hold a certificate, those between it and its authority, and its private"
            " key, in PEM"
        )


def find_named_file(name: str, data: Path) -> Path:
    """Return the path of the file that a URL names, whether it exists or not.

    It is systemd's credential of that name if there is one, else it is relative to the data folder.
    """
    folder = find_credentials_folder()
    if folder is not None and (credential := folder / Path(name).name).is_file():
        return credential
    return data / name


def _read_file(knob: str, path: Path, *, secret: bool) -> bytes:
    try:
        return read_trusted(path, secret=secret)
    except FileNotFoundError:
        raise ConfigError(
            f"{knob}: {path} does not exist: put the file there, or correct the setting"
        ) from None


def _load_pair(
    context: ssl.SSLContext, certificate: Path, key: Path, unreadable: ConfigError
) -> None:
    """Load a certificate and its key into `context`.

    Raises ConfigError if the key has a password or does not belong to the certificate, and
    `unreadable` for any other fault, such as a file that is gone.
    """

    def password() -> NoReturn:
        raise ConfigError(
            f"{key}: its key has a password: store it without one, mode 0600 (`openssl pkey`)"
        )

    try:
        context.load_cert_chain(certificate, key, password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"{key}: its key does not belong to its certificate: put a matching pair there"
            ) from None
        raise unreadable from None
    except OSError:  # it was taken away since it was looked at
        raise unreadable from None


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class _ShownAnew(ssl.SSLContext):
    """Delegates each handshake to the current context; existing connections keep theirs."""

    _served: ListenerCertificate

    def __new__(cls, served: ListenerCertificate) -> Self:
        context = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        context._served = served
        return context

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Wrap as the standard library does, with the current certificate."""
        return self._served.current().context.wrap_bio(
            incoming, outgoing, server_side, server_hostname, session
        )


class _ReadAgain(ssl.SSLContext):
    """Reads the files for each connection; ignores authorities that a library adds by itself."""

    _trust: Trust

    def __new__(cls, trust: Trust) -> Self:
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context._trust = trust
        return context

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        """Wrap as the standard library does, with a context that is loaded anew from the files.

        Raises ConfigError if a file is wrong now, OSError if the peer has already gone or the
        handshake fails; the socket is closed then.
        """
        if do_handshake_on_connect:
            sock.getpeername()
        context = self._trust.load_context()
        try:
            return context.wrap_socket(
                sock,
                server_side,
                do_handshake_on_connect,
                suppress_ragged_eofs,
                server_hostname,
                session,
            )
        except OSError as error:
            _close_lost(error)
            raise


class _ClientSocket(ssl.SSLSocket):
    """Reports why a server refused the client, even if the server disconnected first.

    In TLS 1.3 a client completes its handshake before the server checks its certificate. The
    client's next write may find the connection closed while the alert with the reason is still
    unread.
    """

    def send(self, data: Any, flags: int = 0) -> int:
        """Send as the standard library does; raise the server's alert if there is one."""
        try:
            return super().send(data, flags)
        except (ssl.SSLEOFError, ConnectionError):
            self._raise_alert()
            raise

    def _raise_alert(self) -> None:
        try:
            self.read(1)  # does not wait: nothing more can arrive
        except ssl.SSLError as error:
            if error.reason in REFUSALS:
                raise
        except OSError:
            pass


def _close_lost(error: OSError) -> None:
    """Close the socket that Python 3.11 loses when the peer resets it during the handshake.

    It would otherwise stay open until it is collected.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        lost = frame.f_locals.get("self")
        if isinstance(lost, ssl.SSLSocket):
            lost.close()


def _iterate_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all errors that it wraps.

    Libraries wrap them as an argument, in `errors`, as cause or as context.
    """
    visited, todo = set[int](), [error]
    while todo:
        current = todo.pop()
        if id(current) not in visited:
            visited.add(id(current))
            yield current
            wrapped = (
                *current.args,
                *getattr(current, "errors", ()),
                current.__cause__,
                current.__context__,
            )
            todo += [candidate for candidate in wrapped if isinstance(candidate, BaseException)]
