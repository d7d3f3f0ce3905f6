"""What a client shows of itself and whom it believes; the real servers are in
`tests/servers/test_mutual_tls.py`.
"""

import datetime as dt
import os
import select
import socket
import ssl
import struct
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from deploy.local.certificates import Authority
from ullage.errors import ConfigError, UnavailableError
from ullage.security.tls import ListenerCertificate, Trust, find_named_file

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Path:
    client = authority.client("ullage-match")
    (tmp_path / "ca.pem").write_bytes(client.authority)
    write(tmp_path / "own.pem", client.pair)
    return tmp_path


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def trust(folder: Path, certificate: str = "own.pem") -> Trust:
    return Trust("bus.url", folder / "ca.pem", folder / certificate)


def test_invalid_client_files_are_named_with_the_remedy(folder: Path, authority: Authority) -> None:
    certificates, second = authority.client("a"), authority.client("b")
    private = load_pem_private_key(certificates.key, None)
    locked = private.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
    )
    wrong = {
        "absent.pem": (
            None,
            0o600,
            (
                "absent.pem does not exist: certificate= in bus.url must name a file with"
                " certificate and key, in PEM"
            ),
        ),
        "wide.pem": (certificates.pair, 0o640, "has mode 0640; make it 0600"),
        "half.pem": (
            certificates.certificate,
            0o600,
            "half.pem must hold a certificate, .* and its private key, in PEM",
        ),
        "mixed.pem": (
            certificates.certificate + second.key,
            0o600,
            "its key does not belong to its certificate: put a matching pair there",
        ),
        "locked.pem": (
            certificates.certificate + locked,
            0o600,
            "its key has a password: store it without one, mode 0600",
        ),
        "text.pem": (b"no certificate", 0o600, "text.pem must hold a certificate"),
    }
    for name, (content, mode, says) in wrong.items():
        if content is not None:
            write(folder / name, content, mode)
        with pytest.raises(ConfigError, match=says) as refused:
            trust(folder, name).context()
        assert "\n" not in str(refused.value)
    with pytest.raises(
        ConfigError, match=r"text\.pem contains no certificate: cafile= in bus\.url"
    ):
        Trust("bus.url", folder / "text.pem").context()
    with pytest.raises(ConfigError, match=r"text\.pem must hold a certificate"):
        trust(folder, "text.pem").read_life()


def test_invalid_listener_files_are_named_with_the_remedy(
    tmp_path: Path, authority: Authority
) -> None:
    certificates, second = authority.server(), authority.server()
    private = load_pem_private_key(certificates.key, None)
    locked = private.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
    )
    wrong = [
        (None, certificates.key, 0o600, "desk.certificate: .*a.pem does not exist"),
        (certificates.certificate, None, 0o600, "desk.key: .*a.key does not exist"),
        (certificates.certificate, certificates.key, 0o640, "a.key has mode 0640; make it 0600"),
        (
            certificates.certificate,
            second.key,
            0o600,
            "a.key: its key does not belong to its certificate: put a matching pair there",
        ),
        (
            certificates.certificate,
            locked,
            0o600,
            "a.key: its key has a password: store it without one, mode 0600",
        ),
        (
            b"no certificate",
            certificates.key,
            0o600,
            "a.pem must contain a certificate and .*a.key its private key, in PEM",
        ),
        (
            certificates.certificate,
            b"no key",
            0o600,
            "a.pem must contain a certificate and .*a.key its private key, in PEM",
        ),
    ]
    for certificate, key, mode, says in wrong:
        for name, content in (("a.pem", certificate), ("a.key", key)):
            (tmp_path / name).unlink(missing_ok=True)
            if content is not None:
                write(tmp_path / name, content, mode)
        with pytest.raises(ConfigError, match=says) as refused:
            ListenerCertificate.from_settings("desk", tmp_path, "a.pem", "a.key")
        assert "\n" not in str(refused.value)
    assert ListenerCertificate.from_settings("desk", tmp_path, "", "") is None


def test_link_to_a_certificate_is_not_followed(folder: Path) -> None:
    (folder / "link.pem").symlink_to(folder / "own.pem")
    with pytest.raises(ConfigError, match="is a symbolic link"):
        trust(folder, "link.pem").context()


def test_credential_replaces_a_file_of_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = folder / "given"
    credentials.mkdir()
    assert find_named_file("keys/own.pem", folder) == folder / "keys" / "own.pem"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert find_named_file("keys/own.pem", folder) == folder / "keys" / "own.pem"
    handed = write(
        credentials / "own.pem", (folder / "own.pem").read_bytes(), 0o440
    )  # as systemd has it
    assert find_named_file("keys/own.pem", folder) == handed
    assert Trust("bus.url", folder / "ca.pem", handed).context().check_hostname


@pytest.mark.parametrize(
    ("days", "passed", "soon"),
    [
        (365, 0, False),
        (365, 350, False),
        (365, 352, True),
        (30, 15, False),
        (30, 21, True),
        (1, 0, False),
    ],
)
def test_renewal_is_due_with_a_third_left_or_two_weeks(
    folder: Path, authority: Authority, days: int, passed: int, *, soon: bool
) -> None:
    write(folder / "own.pem", authority.client("a", dt.timedelta(days=days)).pair)
    assert (NOW + dt.timedelta(days=passed) > trust(folder).renewal_due()) is soon
    assert Trust("bus.url").renewal_due() is None


class Listener:
    """A server on loopback that wants a certificate and answers one byte, or what OpenSSL says
    of the client.
    """

    def __init__(self, authority: Authority, folder: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(write(folder / "server.pem", authority.server().pair))
        self._context.load_verify_locations(folder / "ca.pem")
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._socket = socket.create_server(("127.0.0.1", 0))

    def ask(self, trust: Trust) -> str:
        """Return the name of the client as the server has it."""
        names: list[str] = []

        def answer() -> None:
            connection, _ = self._socket.accept()
            try:
                with self._context.wrap_socket(connection, server_side=True) as secure:
                    names.append(
                        dict(pair[0] for pair in secure.getpeercert()["subject"])["commonName"]
                    )
                    secure.sendall(b"x")
            except ssl.SSLError:
                connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            context = self.context_of(trust)
            with (
                socket.create_connection(self._socket.getsockname()) as plain,
                context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
            ):
                secure.recv(1)
        except ssl.SSLError as error:
            trust.reject("server", error, "127.0.0.1")
        finally:
            thread.join()
        return names[0]

    def context_of(self, trust: Trust) -> ssl.SSLContext:
        return trust.context()

    def close(self) -> None:
        self._socket.close()


def test_each_tls_rejection_is_one_line_and_a_renewed_file_is_used(
    folder: Path, authority: Authority
) -> None:
    server = Listener(authority, folder)
    own_trust = trust(folder)
    context = own_trust.context()
    server.context_of = (  # type: ignore[method-assign]
        lambda trust: context if trust is own_trust else trust.context()
    )
    try:
        assert server.ask(own_trust) == "ullage-match"
        for pair, says in (
            (
                Authority().client("x").pair,
                r"it refuses our certificate \(unknown ca; .*own\.pem, good until .* UTC\)",
            ),
            (
                authority.client("x", dt.timedelta(minutes=-1)).pair,
                r"it refuses our certificate \(certificate expired; ",
            ),
        ):
            write(folder / "own.pem", pair)
            with pytest.raises(ConfigError, match=says):
                server.ask(own_trust)
        write(folder / "own.pem", authority.client("renewed").pair)
        assert server.ask(own_trust) == "renewed"
        with pytest.raises(
            ConfigError,
            match=r"server: it requires a client certificate: set certificate=FILE in bus\.url",
        ):
            server.ask(Trust("bus.url", folder / "ca.pem"))
        (folder / "other.pem").write_bytes(Authority().server().authority)
        with pytest.raises(
            ConfigError, match=r"server: its certificate is not trusted: cafile= in bus\.url"
        ):
            server.ask(Trust("bus.url", folder / "other.pem", folder / "own.pem"))
    finally:
        server.close()


def test_other_tls_errors_are_transient(folder: Path) -> None:
    with pytest.raises(
        UnavailableError,
        match=r"that it is ready, and that the port speaks TLS, as bus\.url says",
    ):
        trust(folder).reject("server", ssl.SSLEOFError(), "h")


class ResetSocket(socket.socket):
    """As one that is reset right after it was looked at."""

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 1


@pytest.mark.parametrize("kind", [socket.socket, ResetSocket])
def test_reset_connection_leaves_no_socket_open(folder: Path, kind: type[socket.socket]) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as connected,
    ):
        gone, _ = server.accept()
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
        watch = select.poll()
        watch.register(connected, 0)  # an error is always told
        assert watch.poll(10_000)
        with kind(fileno=connected.detach()) as client:
            number, context = client.fileno(), trust(folder).context()
            with pytest.raises(OSError, match=r"not connected|reset by peer") as raised:
                context.wrap_socket(client, server_hostname="localhost")
            assert raised.value.__traceback__, (
                "holds what was lost, so that it is not collected before it is looked for"
            )
            assert (client.fileno() >= 0) == (kind is socket.socket), (
                "of what was not taken over whoever made it closes it"
            )
            if kind is ResetSocket:
                with pytest.raises(OSError, match="Bad file descriptor"):
                    os.fstat(number)
