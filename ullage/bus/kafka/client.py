"""Configure the Kafka client, test the connection, and translate its errors.

Three defaults of the client are changed. It would commit on its own, so a record could be lost
between commit and output. It would start a new group at the end, so older records would be lost.
It would ask the broker to create missing topics.

The client retries for a long time and then reports a timeout, whatever the reason was: an
untrusted certificate, a port without TLS, a wrong password. Here each reason has its own
message.
"""

from __future__ import annotations

import contextlib
import importlib
import socket
import ssl
import struct
from collections.abc import Iterator
from typing import Any

from kafka import errors
from kafka.net.sasl import get_sasl_mechanism

from ullage.bus.kafka.address import KafkaAddress
from ullage.errors import ConfigError, RecordError, UnavailableError
from ullage.security.tls import Trust

MIB = 1024 * 1024
RECORD_BYTES = 34 * MIB
POLL_BYTES = 64 * MIB
DELIVERY_SECONDS, REQUEST_SECONDS, CONNECT_SECONDS = 30, 20, 15
"""Time limits of the client.

It spins on a processor while a broker that stands still accepts its connection (seen in 3.0.12),
so a delivery is given up soon after the request. The caller repeats it with a new client, which
waits.
"""
SESSION_SECONDS, HEARTBEAT_SECONDS = 10, 3
HANDLING_SECONDS = 24 * 3600
"""Time limit for handling a batch, including waiting for a service that is down.

A member that was removed from its group during a batch would write beside its successor when the
service returns. A dead member is noticed by its heartbeat.
"""
LOGIN_REFUSED = "Kafka rejects user or password: see the file that credentials= in bus.url names"
NO_BROKER = "this is not a Kafka broker: see host and port in bus.url"
SEE_BROKERS = "check that its brokers run, and that bus.url names them"
SEE_PLAN = "`ullage check --plan` prints the rules that it needs"


@contextlib.contextmanager
def kafka_errors(what: str) -> Iterator[None]:
    """Return a context that converts errors of the Kafka client into errors of this project.

    A record that is too large becomes RecordError, a refused login or right and an unusable setting
    ConfigError, all others UnavailableError. `what` names the topic in the messages.
    """
    try:
        yield
    except (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError):
        raise RecordError(
            "oversize", f"{what}: a record must be at most {RECORD_BYTES // MIB} MiB"
        ) from None
    except errors.SaslAuthenticationFailedError:
        raise ConfigError(f"{what}: {LOGIN_REFUSED}") from None
    except errors.GroupAuthorizationFailedError:
        raise ConfigError(
            f"Kafka denies this user the group that reads {what}: {SEE_PLAN}"
        ) from None
    except errors.AuthorizationError as error:
        raise ConfigError(
            f"Kafka denies this user access to {what} ({type(error).__name__}): {SEE_PLAN}"
        ) from None
    except errors.KafkaConfigurationError as error:
        raise ConfigError(f"bus.url: the Kafka client cannot use it: {error}") from None
    except (errors.KafkaError, OSError) as error:
        raise UnavailableError(
            f"{what}: Kafka does not respond ({type(error).__name__}): {SEE_BROKERS}"
        ) from None


def client_settings(address: KafkaAddress) -> dict[str, Any]:
    """Return the settings that every connection shares."""
    return {
        "bootstrap_servers": list(address.servers),
        "client_id": "ullage",
        "request_timeout_ms": REQUEST_SECONDS * 1000,
        "bootstrap_timeout_ms": CONNECT_SECONDS * 1000,
        "reconnect_backoff_max_ms": 1000,
        **address.client,
    }


def consumer_settings(address: KafkaAddress, group: str) -> dict[str, Any]:
    """Return the client's settings for a consumer in `group`, which commits only on request."""
    return {
        **client_settings(address),
        "group_id": address.group(group),
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "session_timeout_ms": SESSION_SECONDS * 1000,
        "heartbeat_interval_ms": HEARTBEAT_SECONDS * 1000,
        "max_poll_interval_ms": HANDLING_SECONDS * 1000,
        "max_partition_fetch_bytes": RECORD_BYTES,
    }


REACH_SECONDS = 5.0
KERBEROS_REFUSED = (
    "Kafka refuses this Kerberos login: check that service= in bus.url is the broker's,"
    " and its clock"
)
SEE_TICKET = (
    "set KRB5_CLIENT_KTNAME to the user's keytab, or use kinit; service= in bus.url is the broker's"
)
USUAL_PORT = "9092"
API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
"""Numbers of Kafka's protocol: the requests up to the login."""
UNSUPPORTED_MECHANISM, TLS_ALERT, LARGEST_ANSWER = 33, 0x15, MIB


def greet(address: KafkaAddress) -> None:
    """Connect to the brokers of `address` until one has accepted this user.

    Each has `REACH_SECONDS` to answer. Raises ConfigError for a fault that does not pass by
    waiting, UnavailableError for one that may. If all brokers fail, the error of the first is
    raised.
    """
    failed: ConfigError | UnavailableError | None = None
    for server in address.servers:
        try:
            _greet(server, address.client, address.trust)
        except (ConfigError, UnavailableError) as error:
            failed = failed or error
        else:
            return
    if failed is not None:
        raise failed


def _greet(server: str, client: dict[str, Any], trust: Trust | None) -> None:
    what = f"broker {server}"
    host, port = _host_and_port(server)
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection((host, port), REACH_SECONDS))
            if trust:
                connection = stack.enter_context(
                    _start_tls(connection, client["ssl_context"], host, what)
                )
            _ask(connection, API_VERSIONS, b"", what)
            if client["security_protocol"].startswith("SASL"):
                _choose_mechanism(connection, client["sasl_mechanism"], what)
                _log_in(connection, client, host, what)
            else:
                _go_on_without_login(connection, what)
    except struct.error:
        raise ConfigError(f"{what}: {NO_BROKER}") from None
    except TimeoutError:
        raise UnavailableError(
            f"{what}: Kafka does not respond within {REACH_SECONDS:.0f} s: {SEE_BROKERS}"
        ) from None
    except ssl.SSLError as error:
        assert trust is not None
        trust.reject(what, error, host)
    except socket.gaierror:
        raise UnavailableError(
            f"{what}: Kafka does not respond (this machine cannot resolve the host's name):"
            " correct it in bus.url, or see the name server"
        ) from None
    except OSError as error:
        raise UnavailableError(
            f"{what}: Kafka does not respond ({error.strerror or type(error).__name__}):"
            f" {SEE_BROKERS}"
        ) from None


def _host_and_port(server: str) -> tuple[str, int]:
    """Split an address as the client does.

    An IPv6 address is in `[…]`; the default port applies if none is given. Raises ConfigError if it
    is no HOST:PORT.
    """
    host, colon, port = server.rpartition(":") if not server.endswith("]") else (server, "", "")
    if not colon:
        host, port = server, USUAL_PORT
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare and bare == host) or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"bus.url: broker {server} must be HOST:PORT")
    return bare, int(port)


def _start_tls(
    connection: socket.socket, context: ssl.SSLContext, host: str, what: str
) -> ssl.SSLSocket:
    """Return the connection wrapped in TLS.

    Raises UnavailableError if the handshake fails.
    """
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except ConnectionError as error:
        why = f"it aborts the TLS handshake ({type(error).__name__})"
        raise UnavailableError(
            f"{what}: {why}: check that it is ready, and that security= in bus.url fits this port"
        ) from None


def _ask(connection: socket.socket, number: int, words: bytes, what: str) -> bytes:
    """Send request `number` with the body `words`, and return the answer without its header.

    Raises ConfigError if the port speaks TLS or no Kafka, and UnavailableError or OSError if the
    connection ends.
    """
    head = struct.pack(">hhih", number, int(number == SASL_HANDSHAKE), 1, -1)
    connection.sendall(struct.pack(">i", len(head) + len(words)) + head + words)
    start = _receive(connection, 4, what)
    if start[0] == TLS_ALERT:
        raise ConfigError(
            f"{what}: this port speaks TLS: set security=SASL_SSL (or SSL) in bus.url"
        )
    (size,) = struct.unpack(">i", start)
    if not 4 <= size <= LARGEST_ANSWER:
        raise ConfigError(f"{what}: {NO_BROKER}")
    return _receive(connection, size, what)[4:]


def _receive(connection: socket.socket, size: int, what: str) -> bytes:
    got = b""
    while len(got) < size:
        part = connection.recv(size - len(got))
        if not part:
            raise UnavailableError(
                f"{what}: it closes the connection: check that it is ready, and that"
                " security= in bus.url fits this port"
            )
        got += part
    return got


def _go_on_without_login(connection: socket.socket, what: str) -> None:
    """Check that the broker accepts a client without a login.

    A broker that requires one hangs up on the second request, whatever it is. That is a
    ConfigError.
    """
    try:
        _ask(connection, API_VERSIONS, b"", what)
    except (UnavailableError, ConnectionError):
        raise ConfigError(
            f"{what}: this port requires a login: set security=SASL_… in bus.url"
        ) from None


def _choose_mechanism(connection: socket.socket, mechanism: str, what: str) -> None:
    name = mechanism.encode("ascii")
    answer = _ask(connection, SASL_HANDSHAKE, struct.pack(">h", len(name)) + name, what)
    (fault,) = struct.unpack_from(">h", answer)
    if fault == UNSUPPORTED_MECHANISM:
        raise ConfigError(
            f"{what}: {mechanism} is not supported: set mechanism={' or '.join(_names(answer[2:]))}"
            " in bus.url"
        )
    if fault:
        raise ConfigError(
            f"{what}: this port takes no login: set security=SSL or PLAINTEXT in bus.url,"
            " as configured for the port"
        )


def _log_in(connection: socket.socket, client: dict[str, Any], host: str, what: str) -> None:
    """Log in with the client's own implementation of the mechanism.

    So what is tested here is what is used later. Raises ConfigError if the broker refuses the
    login, or does not know the password either.
    """
    kerberos = client["sasl_mechanism"] == "GSSAPI"
    refused = f"{what}: {KERBEROS_REFUSED if kerberos else LOGIN_REFUSED}"
    with _kerberos_errors(what) if kerberos else contextlib.nullcontext():
        mechanism = get_sasl_mechanism(client["sasl_mechanism"])(host=host, **client)
        while not mechanism.is_done():
            token = mechanism.auth_bytes()
            answer = _ask(
                connection, SASL_AUTHENTICATE, struct.pack(">i", len(token)) + token, what
            )
            fault, length = struct.unpack_from(">hh", answer)
            if fault:
                raise ConfigError(refused)
            try:
                mechanism.receive(answer[4 + max(0, length) + 4 :])
            except ValueError:  # the broker does not know the password either
                raise ConfigError(refused) from None


@contextlib.contextmanager
def _kerberos_errors(what: str) -> Iterator[None]:
    """Translate a Kerberos error, with its reason, into UnavailableError.

    A ticket may arrive, and its server return, so the login is tried again.
    """
    faults: Any = importlib.import_module("gssapi").exceptions.GSSError
    try:
        yield
    except faults as error:
        why = "; ".join(error.get_all_statuses(error.min_code, False))
        raise UnavailableError(f"{what}: no Kerberos login ({why}): {SEE_TICKET}") from None


def _names(packed: bytes) -> list[str]:
    (count,) = struct.unpack_from(">i", packed)
    names, place = [], 4
    for _ in range(count):
        (length,) = struct.unpack_from(">h", packed, place)
        names.append(packed[place + 2 : place + 2 + length].decode("ascii", "replace"))
        place += 2 + length
    return names
