"""The compose file's Kafka, started for real: each role has the rights of the printed plan and
no others.
"""

import contextlib
import json
import secrets
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka import KafkaConsumer, TopicPartition, errors
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from deploy.local.certificates import Authority
from deploy.local.kafka import Broker, broker
from deploy.local.server import free_ports
from harness.servers.kafka_secured import Tools
from tests.factories import outgoing
from tests.servers.test_kafka_security import take, ullage
from ullage import setup
from ullage.bus import CAPTURES, FINDINGS
from ullage.bus.kafka.address import parse
from ullage.bus.kafka.client import client_settings
from ullage.errors import ConfigError, UllageError
from ullage.settings import Context

pytestmark = [
    pytest.mark.servers,
    pytest.mark.filterwarnings("ignore:unclosed <(socket|ssl):ResourceWarning"),
]
COMPOSE = Path(__file__).parents[2] / "deploy" / "compose"
OF_THE_TEST = {
    "node.id",
    "process.roles",
    "log.dirs",
    "controller.quorum.voters",
    "controller.listener.names",
}
"""Properties of the one node, which the local broker has its own of."""


@dataclass
class ComposeGuard:
    """A guard with the properties of the compose file; ports and files are those of the test."""

    authority: Authority = field(default_factory=Authority)
    local: int = field(default_factory=lambda: free_ports(1)[0])

    def properties(self, host: str, port: int, controller: int, work: Path) -> str:
        variables = yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))[
            "services"
        ]["kafka"]["environment"]
        (work / "ca.crt").write_bytes(self.authority.client("any").authority)
        (work / "kafka.pem").write_bytes(self.authority.server().pair)
        (work / "admin.properties").touch()
        substitutes = {
            "0.0.0.0:9092": f"{host}:{port}",
            "kafka:9092": f"{host}:{port}",
            "127.0.0.1:9094": f"{host}:{self.local}",
            "127.0.0.1:9095": f"{host}:{controller}",
            "/run/secrets/kafka.pem": str(work / "kafka.pem"),
            "/etc/kafka-ca.crt": str(work / "ca.crt"),
            "$$": "$",
        }
        lines = []
        for name, text in variables.items():
            value = str(text)
            for there, replaced in substitutes.items():
                value = value.replace(there, replaced)
            lines.append(f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={value}")
        return "\n".join(line for line in lines if line.partition("=")[0] not in OF_THE_TEST) + "\n"

    def format_words(self) -> list[str]:
        return []

    def java_options(self) -> list[str]:
        return []

    def trust(self) -> ssl.SSLContext | None:
        return None  # asked on its own loopback


@dataclass(frozen=True)
class Cluster:
    """The broker on which the printed plan has been carried out."""

    folder: Path
    broker: Broker
    guard: ComposeGuard

    def context(self, role: str) -> Context:
        """Return the data folder of a role's container."""
        folder = self.folder / f"{role}-{secrets.token_hex(4)}"
        (folder / "keys").mkdir(parents=True, mode=0o700)
        (folder / "ca.crt").write_bytes(self.guard.authority.client("any").authority)
        (folder / "keys" / "kafka.pem").touch(mode=0o600)
        (folder / "keys" / "kafka.pem").write_bytes(
            self.guard.authority.client(f"ullage-{role}").pair
        )
        (line,) = [
            row
            for row in (COMPOSE / "ullage.toml").read_text(encoding="utf-8").splitlines()
            if row.startswith('url = "kafka')
        ]
        url = json.loads(line.removeprefix("url = ")).replace(
            "kafka:9092", f"127.0.0.1:{self.broker.port}"
        )
        (folder / "ullage.toml").write_text(f"[bus]\nurl = {json.dumps(url)}\n")
        return Context(folder)

    def client(self, role: str) -> dict[str, Any]:
        """Return the settings with which kafka-python speaks as a role."""
        context = self.context(role)
        return client_settings(
            parse(context.settings.bus.url.removeprefix("kafka://"), context.data)
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder, guard = tmp_path_factory.mktemp("compose"), ComposeGuard()
    with broker(folder / "kafka", guard) as running:
        cluster_ = Cluster(folder, running, guard)
        context = cluster_.context("operator")
        list(setup.initialise(context))
        printed = ullage(context.data, "check", "--plan")
        assert (printed.returncode, printed.stderr) == (0, "")
        tools = Tools(folder / "kafka", guard.local)
        for line in printed.stdout.splitlines():
            if line.startswith("kafka-"):
                tools.run(line)
        yield cluster_


def test_each_service_does_its_work(cluster: Cluster) -> None:
    with contextlib.ExitStack() as stack:
        crawl, match, alert = (
            stack.enter_context(contextlib.closing(cluster.context(r).bus()))
            for r in ("crawl", "match", "alert")
        )
        crawl.publisher(CAPTURES).append([outgoing("one")])
        for bus, topic, group in ((match, CAPTURES, "match"), (alert, FINDINGS, "alert")):
            with contextlib.closing(bus.subscribe(topic, group)) as subscription:
                (record,) = take(subscription, 1)
                subscription.commit(record)
            if bus is match:
                match.publisher(FINDINGS).append([outgoing("two")])


def delete_topic(admin: Any) -> object:
    return admin.delete_topics([CAPTURES])


def delete_records(admin: Any) -> object:
    return admin.delete_records({TopicPartition(CAPTURES, 0): 1})


def move_offsets(admin: Any) -> object:
    return admin.alter_group_offsets(
        "match", {TopicPartition(CAPTURES, 0): OffsetAndMetadata(1_000, "", -1)}
    )


def delete_group(admin: Any) -> object:
    return admin.delete_groups(["match"])


def is_denied(answer: object) -> bool:
    """Return whether an answer of the broker says that a right is missing."""
    return (
        "AuthorizationFailed" in repr(answer)
        or "error_code': 29" in repr(answer)
        or "error_code': 30" in repr(answer)
    )


@pytest.mark.parametrize("act", [delete_topic, delete_records, move_offsets, delete_group])
def test_compromised_crawl_host_cannot_delete_or_move_offsets(
    cluster: Cluster, act: Callable[[Any], object]
) -> None:
    offset = TopicPartition(CAPTURES, 0)
    observer = KafkaConsumer(**cluster.client("match"), group_id="match", enable_auto_commit=False)
    before = observer.committed(offset)
    admin = KafkaAdminClient(**cluster.client("crawl"))
    try:
        answer: object = act(admin)
    except errors.KafkaError as error:
        answer = error
    admin.close()
    assert is_denied(answer), answer
    assert observer.committed(offset) == before
    assert CAPTURES in observer.topics()
    observer.close(autocommit=False)


@pytest.mark.parametrize(("topic", "group"), [(CAPTURES, "match"), (FINDINGS, "alert")])
def test_crawl_host_cannot_read_as_another_service(
    cluster: Cluster, topic: str, group: str
) -> None:
    with contextlib.closing(cluster.context("crawl").bus()) as bus:
        subscribe = partial(bus.subscribe, topic, group)
        with (
            pytest.raises(ConfigError, match="Kafka"),
            contextlib.closing(subscribe()) as subscription,
        ):
            take(subscription, 1)


def test_crawl_host_cannot_append_a_finding(cluster: Cluster) -> None:
    with (
        contextlib.closing(cluster.context("crawl").bus()) as bus,
        pytest.raises(ConfigError, match="Kafka"),
    ):
        bus.publisher(FINDINGS).append([outgoing("x")])


def test_client_without_a_certificate_is_disconnected(cluster: Cluster) -> None:
    context = cluster.context("crawl")
    url = context.settings.bus.url.replace("&certificate=keys/kafka.pem", "")
    (context.data / "ullage.toml").write_text(f"[bus]\nurl = {json.dumps(url)}\n")
    with pytest.raises(UllageError), contextlib.closing(Context(context.data).bus()) as bus:
        bus.publisher(CAPTURES).append([outgoing("x")])
