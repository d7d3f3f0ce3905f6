"""TLS to Kafka and Elasticsearch: whom a client believes, and what it shows of itself.

And what our own listeners show.

A server is believed whose certificate was signed by an authority of `cafile` (or, without it, one
that the system knows), is good today and names the host of the URL. With `certificate` the client
shows one in turn (mutual TLS, RFC 8446 4.4.2): a PEM file with this role's certificate, those
between it and its authority, and its private key without a password, mode 0600. A URL names files
and never holds what is in them; a systemd credential of the file's name stands in for it.
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
from ullage.security.keys import credentials_folder

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
"""OpenSSL's names of the alerts by which a server says no to a client's certificate, or to a
client that has none.
"""
SHORT_OF_IT, SOON = 3, timedelta(days=14)
"""A certificate ends soon when a third of its time, at most two weeks, is left."""


class Life(NamedTuple):
    """From when to when what is shown is good, in UTC: a certificate, and those between it and
    its authority.
    """

    begin: datetime
    end: datetime

    @classmethod
    def of(cls, pem: bytes) -> Life:
        """Of all certificates in `pem`; ValueError where there is none."""
        from cryptography import x509  # noqa: PLC0415  most commands look at none

        shown = x509.load_pem_x509_certificates(pem)
        return cls(
            max(one.not_valid_before_utc for one in shown),
            min(one.not_valid_after_utc for one in shown),
        )

    @property
    def renewal_due(self) -> datetime:
        """From when on somebody should renew it."""
        return self.end - min(SOON, (self.end - self.begin) / SHORT_OF_IT)


class _CertificateFiles(NamedTuple):
    """What one reading of a listener's files gave."""

    context: ssl.SSLContext
    life: Life


class ListenerCertificate:
    """What a listener of ours shows: a certificate and its key, files of PEM, which are read again
    when they have changed.

    While what lies there is no pair that can be shown, what was read before stays. Several threads
    may ask.
    """

    def __init__(self, table: str, certificate: Path, key: Path) -> None:
        self.certificate, self.key = certificate, key
        self._table, self._lock = table, threading.Lock()
        self._looked = self._marks()
        self._format_time = self._read()

    @classmethod
    def of(cls, table: str, data: Path, certificate: str, key: str) -> ListenerCertificate | None:
        """The files that a table of the settings names; None where it names none.

        ConfigError says which is wrong, and how.
        """
        return cls(table, data / certificate, data / key) if certificate else None

    @property
    def life(self) -> Life:
        """Of what the next client is shown."""
        return self.shown().life

    def context(self) -> ssl.SSLContext:
        """For a server of asyncio: each handshake shows what is to be shown then."""
        return _ShownAnew(self)

    def shown(self) -> _CertificateFiles:
        """What is to be shown now."""
        with self._lock:
            if (marks := self._marks()) != self._looked:
                self._renew(marks)
            return self._format_time

    def _renew(self, marks: tuple[object, ...]) -> None:
        try:
            shown = self._read()
        except ConfigError as error:
            log.get(self._table).warning("certificate_refused", error=str(error))
        except OSError as error:  # of the disk: it is asked again
            log.get(self._table).warning("certificate_refused", error=error.strerror)
            return
        else:
            # it is being written: what was read of one file may not be of the other
            if self._marks() != marks:
                return
            self._format_time = shown
            log.get(self._table).info("certificate_renewed")
        self._looked = marks

    def _read(self) -> _CertificateFiles:
        pem = _file(f"{self._table}.certificate", self.certificate, secret=False)
        _file(f"{self._table}.key", self.key, secret=True)
        unreadable = ConfigError(
            f"{self._table}: {self.certificate} must hold a certificate, {self.key} its private"
            " key, in PEM"
        )
        try:
            life = Life.of(pem)
        except ValueError:
            raise unreadable from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _load(context, self.certificate, self.key, unreadable)
        return _CertificateFiles(context, life)

    def _marks(self) -> tuple[object, ...]:
        """By which it is known that a file is another one, has other content, or other rights."""
        return tuple(_mark(path) for path in (self.certificate, self.key))


@dataclass(frozen=True, slots=True)
class Trust:
    """What one URL says of TLS; `knob` is what the person changes, such as `bus.url`."""

    knob: str
    cafile: Path | None = None
    certificate: Path | None = None

    def context(self) -> ssl.SSLContext:
        """For a client; ConfigError says which file is wrong.

        The files are read again for each connection.
        """
        self.fresh()
        return _ReadAgain(self)

    def fresh(self) -> ssl.SSLContext:
        """A context of the files as they are now; ConfigError says which is wrong."""
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
                f"{self.cafile} holds no certificate: cafile= in {self.knob} wants the authority's,"
                " in PEM"
            ) from None
        except OSError as error:
            raise ConfigError(
                f"{self.cafile} cannot be read ({error.strerror}): see cafile= in {self.knob}"
            ) from None
        if self.certificate is not None:
            self._show(context, self.certificate)
        return context

    def life(self) -> Life | None:
        """From when to when the client's certificate is good; None where it shows none.

        Errors are those of `fresh`.
        """
        if self.certificate is None:
            return None
        try:
            return Life.of(self._read(self.certificate))
        except ValueError:
            raise self._not_a_pair(self.certificate) from None

    def expires(self) -> datetime | None:
        """When the client's certificate does, in UTC; as `life`."""
        life = self.life()
        return None if life is None else life.end

    def renewal_due(self) -> datetime | None:
        """From when on somebody should renew the client's certificate, in UTC; as `life`."""
        life = self.life()
        return None if life is None else life.renewal_due

    def reject(self, where: str, error: Exception, host: str) -> NoReturn:
        """Raise what a failure of TLS, by whatever it is wrapped, means to a person; `where` is
        the server, `host` its name.
        """
        for cause in _causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise ConfigError(f"{where}: {self._unbelieved(cause.verify_code, host)}") from None
            if (
                isinstance(cause, ssl.SSLError)
                and (reason := getattr(cause, "reason", None)) in REFUSALS
            ):
                raise ConfigError(f"{where}: {self._refused(reason)}") from None
            if isinstance(cause, ConfigError):  # of a file that has changed since
                raise ConfigError(str(cause)) from None
        why = f"it breaks off the TLS handshake ({type(error).__name__})"
        raise UnavailableError(
            f"{where}: {why}: is it ready, and does that port speak TLS, as {self.knob} says?"
        ) from None

    def _unbelieved(self, code: int, host: str) -> str:
        if code in WRONG_NAME:
            return f"its certificate is for another name than {host}: name it so in {self.knob}"
        if code == EXPIRED:
            return "its certificate has expired: have it renewed"
        if code == NOT_YET:
            return "its certificate is not good yet: is this machine's clock right?"
        return (
            f"its certificate is not trusted: cafile= in {self.knob} wants the authority that"
            " signed it"
        )

    def _refused(self, reason: str) -> str:
        life = self.life()
        if life is None:
            return (
                f"it wants a client's certificate: say certificate=FILE in {self.knob}, with"
                " certificate and key in PEM"
            )
        why = reason.rpartition("ALERT_")[2].replace("_", " ").lower()
        good = f"{self.certificate}, good until {life.end:%Y-%m-%d %H:%M} UTC"
        return (
            f"it refuses our certificate ({why}; {good}): have it renewed, by an authority that the"
            " server believes"
        )

    def _show(self, context: ssl.SSLContext, path: Path) -> None:
        self._read(path)
        _load(context, path, path, self._not_a_pair(path))

    def _read(self, path: Path) -> bytes:
        try:
            return read_trusted(path, secret=path.parent != credentials_folder())
        except FileNotFoundError:
            raise ConfigError(
                f"{path} cannot be read: certificate= in {self.knob} wants certificate and key,"
                " in PEM"
            ) from None

    def _not_a_pair(self, path: Path) -> ConfigError:
        return ConfigError(
            f"{path} must hold a certificate, those between it and its authority, and its private"
            " key, in PEM"
        )


def named_file(name: str, data: Path) -> Path:
    """The file that a URL names: systemd's credential of that file's name if there is one, else
    relative to the data folder.
    """
    given = credentials_folder()
    if given is not None and (handed := given / Path(name).name).is_file():
        return handed
    return data / name


def _file(knob: str, path: Path, *, secret: bool) -> bytes:
    try:
        return read_trusted(path, secret=secret)
    except FileNotFoundError:
        raise ConfigError(f"{knob}: {path} is not there") from None


def _load(context: ssl.SSLContext, certificate: Path, key: Path, unreadable: ConfigError) -> None:
    """Let `context` show a certificate with its key; ConfigError says what is wrong,
    `unreadable` if all of it is.
    """

    def password() -> NoReturn:
        raise ConfigError(
            f"{key}: its key wants a password: store it without one, mode 0600 (`openssl pkey`)"
        )

    try:
        context.load_cert_chain(certificate, key, password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"{key}: its key is not that of its certificate: put a pair there"
            ) from None
        raise unreadable from None
    except OSError:  # it was taken away since it was looked at
        raise unreadable from None


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class _ShownAnew(ssl.SSLContext):
    """Hands each handshake to the context of that moment, so that connections that stand keep
    theirs.
    """

    _served: ListenerCertificate

    def __new__(cls, served: ListenerCertificate) -> Self:
        made = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        made._served = served
        return made

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As that of the standard library."""
        return self._served.shown().context.wrap_bio(
            incoming, outgoing, server_side, server_hostname, session
        )


class _ReadAgain(ssl.SSLContext):
    """What was renewed counts without a restart, and authorities that a library adds of its own
    accord do not count.
    """

    _trust: Trust

    def __new__(cls, trust: Trust) -> Self:
        made = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        made._trust = trust
        return made

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        """As that of the standard library, by a context of its own; OSError where the other end
        has gone already.
        """
        if do_handshake_on_connect:
            sock.getpeername()
        context = self._trust.fresh()
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
    """One that says why it was refused, also where the other end went before what is written could
    reach it.

    In TLS 1.3 a client has shaken hands before the server looks at its certificate. What it writes
    then may find the connection closed, while the alert that says why lies there unread.
    """

    def send(self, data: Any, flags: int = 0) -> int:
        """As that of the standard library."""
        try:
            return super().send(data, flags)
        except (ssl.SSLEOFError, ConnectionError):
            self._raise_alert()
            raise

    def _raise_alert(self) -> None:
        try:
            self.read(1)  # waits for nothing: nothing more can come
        except ssl.SSLError as error:
            if error.reason in REFUSALS:
                raise
        except OSError:
            pass


def _close_lost(error: OSError) -> None:
    """Python 3.11 loses a socket whose other end resets it while it is wrapped: it would stay
    open until it is collected.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        lost = frame.f_locals.get("self")
        if isinstance(lost, ssl.SSLSocket):
            lost.close()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it wraps, as libraries do it: as an argument, in `errors`, as
    cause or context.
    """
    seen, todo = set[int](), [error]
    while todo:
        one = todo.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            held = (*one.args, *getattr(one, "errors", ()), one.__cause__, one.__context__)
            todo += [other for other in held if isinstance(other, BaseException)]
