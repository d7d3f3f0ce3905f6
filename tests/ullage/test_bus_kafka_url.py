"""What a Kafka bus's URL may say; no broker is needed."""

import gc
import socket
import ssl
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import kafka
from deploy.local.certificates import make_certificates
from tests.conftest import KEEP
from ullage.bus import CAPTURES, Retention, open_bus
from ullage.bus.kafka.address import parse
from ullage.bus.kafka.client import greet
from ullage.bus.kafka.topics import deviations, plan, topic_settings
from ullage.clock import Clock
from ullage.errors import ConfigError, UnavailableError

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
SASL = "b:9093?security=SASL_SSL&mechanism=SCRAM-SHA-512&cafile=ca.pem&credentials=kafka.user"


@pytest.fixture(autouse=True)
def sockets_collected() -> Iterator[None]:
    """kafka-python leaves sockets that were refused to the collector: they go here, and not in
    somebody else's test.
    """
    yield
    gc.collect()


def test_url_gives_brokers_prefix_and_defaults(tmp_path: Path) -> None:
    address = parse("a:9092,b:9092?prefix=ullage.", tmp_path)
    assert (address.servers, address.topic(CAPTURES)) == (("a:9092", "b:9092"), "ullage.captures")
    assert (address.create, address.partitions, address.client) == (
        False,
        6,
        {"security_protocol": "PLAINTEXT"},
    )


@pytest.fixture(autouse=True)
def authority(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(make_certificates().authority)


def test_user_and_password_are_read_from_a_separate_file(tmp_path: Path) -> None:
    (tmp_path / "kafka.user").write_text("ullage\nsecret\n")
    (tmp_path / "kafka.user").chmod(0o600)
    client = parse(SASL, tmp_path).client
    assert (client["sasl_plain_username"], client["sasl_plain_password"]) == ("ullage", "secret")
    assert (client["sasl_mechanism"], client["ssl_context"].verify_mode) == (
        "SCRAM-SHA-512",
        ssl.CERT_REQUIRED,
    )


def test_user_and_password_may_be_a_systemd_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "given"
    credentials.mkdir()
    (credentials / "kafka.user").write_text("handed\nover\n")
    (credentials / "kafka.user").chmod(0o440)  # as systemd has it
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert parse(SASL, tmp_path).client["sasl_plain_username"] == "handed"


@pytest.mark.parametrize(
    ("mode", "text", "says"),
    [
        (0o644, "ullage\nsecret\n", "make it 0600"),
        (0o600, "ullage\n", "two lines"),
        (None, "", "cannot be read"),
    ],
)
def test_invalid_credentials_file_is_named(
    tmp_path: Path, mode: int | None, text: str, says: str
) -> None:
    if mode is not None:
        (tmp_path / "kafka.user").write_text(text)
        (tmp_path / "kafka.user").chmod(mode)
    with pytest.raises(ConfigError, match=says):
        parse(SASL, tmp_path)


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        (
            "user:secret@b:9092",
            (
                "bus.url contains a user: put user and password, one per line, into a 0600 file"
                " and set credentials=FILE"
            ),
        ),
        ("", "names no broker"),
        ("b:9092?partitions=none", "partitions"),
        ("b:9092?password=secret", "password"),
        ("b:9092?security=SASL_SSL", "needs a mechanism"),
        ("b:9092?security=SASL_PLAINTEXT&mechanism=PLAIN&credentials=x", "in clear"),
        ("b:9092?security=SASL_SSL&mechanism=PLAIN", "needs a login"),
        (
            "b:9092?certificate=secret.pem",
            "use SSL or SASL_SSL instead of security=PLAINTEXT",
        ),
    ],
)
def test_invalid_url_is_explained_without_the_secret(tmp_path: Path, rest: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        parse(rest, tmp_path)
    assert "secret" not in str(refused.value)


def test_missing_kerberos_module_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    with pytest.raises(
        ConfigError,
        match=r"mechanism=GSSAPI needs the module gssapi .*: install ullage\[kerberos\]",
    ):
        parse("b:9092?security=SASL_SSL&mechanism=GSSAPI", tmp_path)


def test_kerberos_takes_the_service_from_the_url_and_no_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", types.ModuleType("gssapi"))
    for option, service in (("", "kafka"), ("&service=bus", "bus")):
        client = parse(f"b:9092?security=SASL_SSL&mechanism=GSSAPI{option}", tmp_path).client
        assert client.pop("ssl_context").check_hostname
        assert client == {
            "security_protocol": "SASL_SSL", "sasl_mechanism": "GSSAPI",
            "sasl_kerberos_service_name": service,
        }  # fmt: skip


@pytest.mark.parametrize("server", ["127.0.0.1:port", "::1", ":9092", "127.0.0.1:99999"])
def test_broker_that_is_not_host_and_port_is_named(tmp_path: Path, server: str) -> None:
    with pytest.raises(ConfigError, match=r"bus.url: broker .* must be HOST:PORT"):
        open_bus(f"kafka://{server}", tmp_path, KEEP, Clock()).publisher(CAPTURES)


@pytest.mark.parametrize(
    "said",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\0\0\4\0\0\0\1\0\0\0\4\0\0\0\1"],
    ids=["ssh", "too short"],
)
def test_server_that_is_not_a_broker_is_named_at_once(tmp_path: Path, said: bytes) -> None:
    (tmp_path / "kafka.user").touch(mode=0o600)
    (tmp_path / "kafka.user").write_text("ullage\nsecret\n")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(said)
                connection.recv(1024)

        thread = threading.Thread(target=answer)
        thread.start()
        query = "security=SASL_PLAINTEXT&mechanism=SCRAM-SHA-512&credentials=kafka.user"
        with pytest.raises(
            ConfigError, match=r"this is not a Kafka broker: see host and port in bus.url"
        ):
            greet(parse(f"127.0.0.1:{server.getsockname()[1]}?{query}", tmp_path))
        thread.join(60.0)


def test_topic_retention_is_as_configured_and_segments_roll_hourly() -> None:
    day = topic_settings(Retention(86_400.0, 8 * 2**30), 6)
    assert (day["retention.ms"], day["segment.ms"]) == ("86400000", "3600000")
    assert int(day["retention.bytes"]) * 6 <= 8 * 2**30
    assert int(topic_settings(Retention(60.0, 2**30), 6)["segment.ms"]) == 15_000


PLANNED = topic_settings(Retention(3600.0, 2**30), 6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, []),
        ({"retention.ms": "60000", "segment.ms": "1000", "max.message.bytes": "99999999"}, []),
        ({"retention.bytes": "-1", "segment.bytes": "1048576", "min.insync.replicas": "2"}, []),
        ({"retention.ms": "3600001"}, ["retention.ms is 3600001 and must be 3600000 or less"]),
        ({"retention.ms": "-1"}, ["retention.ms is -1 and must be 3600000 or less"]),
        ({"segment.ms": "3600000"}, ["segment.ms is 3600000 and must be 900000 or less"]),
        (
            {"max.message.bytes": "1048588"},
            ["max.message.bytes is 1048588 and must be 35651584 or more"],
        ),
        (
            {"cleanup.policy": "compact,delete"},
            ["cleanup.policy is compact,delete and must be delete"],
        ),
        (
            {"message.timestamp.type": "CreateTime", "retention.ms": "-1"},
            [
                "message.timestamp.type is CreateTime and must be LogAppendTime",
                "retention.ms is -1 and must be 3600000 or less",
            ],
        ),
    ],
)
def test_harmless_differences_of_topic_settings_are_accepted(
    change: dict[str, str], says: list[str]
) -> None:
    assert list(deviations({**PLANNED, **change}, PLANNED)) == says


def test_unreachable_brokers_are_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="Kafka does not respond"):
        open_bus("kafka://127.0.0.1:1,127.0.0.1:2", tmp_path, KEEP, Clock()).publisher(CAPTURES)


def test_missing_maven_or_java_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        UnavailableError, match=r"needs Maven: install Maven .* pytest -m 'not servers'"
    ):
        kafka.ensure_libraries()


def test_plan_for_certificate_users_explains_the_principal_mapping() -> None:
    lines = list(plan("b:9093?security=SSL&certificate=keys/kafka.pem", KEEP, ("list",)))
    assert "# ssl.principal.mapping.rules=RULE:^CN=([A-Za-z0-9-]+).*$/$1/,DEFAULT" in lines
    assert any("--allow-principal User:ullage-match" in line for line in lines)
    assert not any("mapping.rules" in line for line in plan("b:9093?security=SSL", KEEP, ("list",)))
