"""Mutual TLS to a real Kafka and a real Elasticsearch: each side shows a certificate, and each
refuses what is not right.

Kafka here knows users by their certificates alone; Elasticsearch wants one beside the password, or
in its place.
"""

import contextlib
import datetime as dt
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alerts.records import CLASSES, Claim
from alerts.store import DocumentFilter, open_store
from alerts.store.elasticsearch import ElasticsearchStore
from deploy.local.certificates import Authority
from deploy.local.elasticsearch import ADMIN, CERTIFIED_USER, Server, elasticsearch
from deploy.local.kafka import Broker, broker, ensure_libraries
from harness.servers.kafka_certified import CertificateGuard
from harness.servers.kafka_secured import OTHER_HOST
from tests.factories import outgoing
from tests.stores import SERVERS, cannot_be_had, keep, require
from ullage import setup
from ullage.bus import CAPTURES, FINDINGS, TOPICS, Bus, Record
from ullage.cli import app
from ullage.errors import ConfigError, UnavailableError
from ullage.settings import Context

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(900),  # a server starts for the first test
    pytest.mark.filterwarnings("ignore:unclosed <(socket|ssl):ResourceWarning"),
]
OPERATOR, CRAWL = "ullage-operator", "ullage-crawl"
OVER = dt.timedelta(minutes=-1)
RELOAD_SECONDS = 120.0


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


@pytest.fixture(scope="module")
def data(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with certificates of all sorts."""
    folder = tmp_path_factory.mktemp("mutual") / "data"
    list(setup.initialise(Context(folder)))
    foreign = Authority()  # which calls itself the same
    pairs = {
        "operator": authority.client(OPERATOR),
        "crawl": authority.client(CRAWL),
        "over": authority.client(OPERATOR, OVER),
        "foreign": foreign.client(OPERATOR),
        "alone": authority.client(CERTIFIED_USER),
        "soon": authority.client(OPERATOR, dt.timedelta(minutes=20)),
    }
    for name, pair in pairs.items():
        write(folder / f"{name}.pem", pair.pair)
    (folder / "ca.pem").write_bytes(pairs["operator"].authority)
    (folder / "other-ca.pem").write_bytes(pairs["foreign"].authority)
    return folder


@dataclass(frozen=True)
class Kafka:
    """A broker that wants a certificate."""

    data: Path
    running: Broker
    guard: CertificateGuard

    def url(
        self, certificate: str = "operator.pem", cafile: str = "ca.pem", server: str = ""
    ) -> str:
        where, shown = (
            server or f"127.0.0.1:{self.running.port}",
            f"&certificate={certificate}" if certificate else "",
        )
        return f"kafka://{where}?security=SSL&create=1&replication=1&cafile={cafile}{shown}"

    def refusal(self, **wrong: str) -> str:
        with open_bus_at(self.data, self.url(**wrong)) as bus:
            return refusal(lambda: bus.publisher(CAPTURES).append([outgoing("x")]))

    def check(self, **wrong: str) -> list[str]:
        return check(self.data, "bus", bus=self.url(**wrong))


@dataclass(frozen=True)
class Node:
    """An Elasticsearch that wants one."""

    data: Path
    running: Server

    def url(self, certificate: str = "operator.pem", cafile: str = "ca.pem") -> str:
        shown = f"&certificate={certificate}" if certificate else ""
        return f"elasticsearch://127.0.0.1:{self.running.port}?cafile={cafile}{shown}"

    def refusal(self, **wrong: str) -> str:
        with contextlib.closing(open_store(self.url(**wrong), self.data)) as store:
            return refusal(lambda: store.count(Claim, DocumentFilter()))

    def check(self, **wrong: str) -> list[str]:
        return check(self.data, "incident store", store=self.url(**wrong))


def refusal(act: Callable[[], object]) -> str:
    """Return why an act was refused for good, "" where it was not."""
    try:
        act()
    except ConfigError as error:
        return str(error)
    return ""


def use(data: Path, bus: str = "sqlite:///bus", store: str = "sqlite:///incidents.sqlite") -> None:
    (data / "ullage.toml").write_text(
        f"metrics = false\n[bus]\nurl = {json.dumps(bus)}\n[store]\nurl = {json.dumps(store)}\n"
    )


def check(data: Path, *what: str, **urls: str) -> list[str]:
    """Return what `ullage check` prints about some parts."""
    use(data, **urls)
    result = CliRunner().invoke(app, ["--data", str(data), "check"])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return [line for line in result.stdout.splitlines() if line[7:].startswith(what)]


@pytest.fixture(scope="module")
def kafka(data: Path, authority: Authority) -> Iterator[Kafka]:
    try:
        ensure_libraries()
    except UnavailableError as error:
        cannot_be_had(error)
    guard = CertificateGuard(authority, (OPERATOR,))
    with broker(data.parent / "kafka", guard) as running:
        yield Kafka(data, running, guard)


@pytest.fixture(scope="module", params=SERVERS)
def node(request: pytest.FixtureRequest, data: Path, authority: Authority) -> Iterator[Node]:
    version = SERVERS[request.param]
    require(version)
    with elasticsearch(data.parent / f"node-{version}", version, certified=authority) as running:
        keep(data / "keys", running.password)
        keep(data / "admin", running.admin_password, ADMIN)
        node_ = Node(data, running)
        with contextlib.closing(open_store(node_.url(), data, data / "admin")) as store:
            assert isinstance(store, ElasticsearchStore)
            store.create_templates(CLASSES)
        yield node_


@contextlib.contextmanager
def open_bus_at(data: Path, bus: str) -> Iterator[Bus]:
    use(data, bus)
    with contextlib.closing(Context(data).bus()) as bus_:
        yield bus_


def test_bus_identifies_users_by_their_certificates(kafka: Kafka) -> None:
    with open_bus_at(kafka.data, kafka.url()) as bus:
        for topic in TOPICS:
            bus.publisher(topic)
        bus.publisher(CAPTURES).append([outgoing("one"), outgoing("two")])
        with contextlib.closing(bus.subscribe(CAPTURES, "match")) as reader:
            got: list[Record] = []
            until(lambda: len(got.extend(reader.poll(10, 1.0)) or got) == 2)
            for record in got:
                reader.commit(record)
        assert bus.lag(CAPTURES, "match").records == 0
    brokers, certificate, *topics = kafka.check()
    assert brokers == "ok     bus brokers: 1 available"
    assert certificate.startswith(
        f"ok     bus certificate: {kafka.data}/operator.pem is good until "
    )
    assert [line.split(":")[0] for line in topics] == [
        f"ok     bus topic {topic}" for topic in TOPICS
    ]
    assert kafka.check(certificate="soon.pem")[1].startswith("WARN   bus certificate: ")


def test_other_certificate_is_another_user_without_rights(kafka: Kafka) -> None:
    with open_bus_at(kafka.data, kafka.url()) as bus:
        bus.publisher(FINDINGS)
    with open_bus_at(kafka.data, kafka.url("crawl.pem").replace("&create=1", "")) as bus:
        assert "Kafka has no topic findings, or hides it" in refusal(
            lambda: bus.publisher(FINDINGS)
        )


REFUSED = {
    "no certificate": (
        {"certificate": ""},
        "it requires a client certificate: set certificate=FILE in {knob}",
    ),
    "a certificate of another authority": (
        {"certificate": "foreign.pem"},
        "it refuses our certificate (",
    ),
    "an expired certificate": ({"certificate": "over.pem"}, "it refuses our certificate ("),
    "a server of another authority": (
        {"cafile": "other-ca.pem"},
        "its certificate is not trusted: cafile= in {knob}",
    ),
}
"""What is wrong, and what the line says."""
EACH = pytest.mark.parametrize(("wrong", "says"), REFUSED.values(), ids=REFUSED)


@EACH
def test_rejected_broker_connection_sends_no_record_and_is_explained(
    kafka: Kafka, wrong: dict[str, str], says: str
) -> None:
    assert says.format(knob="bus.url") in kafka.refusal(**wrong)
    [line] = kafka.check(**wrong)
    assert line.startswith("FAULT  bus brokers: broker 127.0.0.1:")
    assert says.format(knob="bus.url") in line


def test_broker_with_a_wrong_name_or_expired_certificate_is_rejected(kafka: Kafka) -> None:
    misnamed, over = (
        f"{host}:{port}"
        for host, port in zip((OTHER_HOST, "127.0.0.1"), kafka.guard.ports, strict=True)
    )
    for server, says in (
        (misnamed, f"its certificate is for another name than {OTHER_HOST}: name it so in bus.url"),
        (over, "its certificate has expired: have it renewed"),
    ):
        assert says in kafka.refusal(server=server)
        [line] = kafka.check(server=server)
        assert says in line


def test_renewed_bus_certificate_is_used_without_a_restart(
    kafka: Kafka, authority: Authority
) -> None:
    """What is on disk when a connection is made is shown."""
    mine = kafka.data / f"{secrets.token_hex(4)}.pem"
    write(mine, authority.client(OPERATOR, OVER).pair)
    with open_bus_at(kafka.data, kafka.url(mine.name)) as bus:
        assert "it refuses our certificate (" in refusal(lambda: bus.publisher(CAPTURES))
        write(mine, authority.client(OPERATOR).pair)
        bus.publisher(CAPTURES).append([outgoing("renewed")])


def test_store_accepts_a_password_or_a_certificate(node: Node) -> None:
    claim = Claim(
        id="bank:1", tenant="bank", incident="INC-A", at=dt.datetime(2026, 9, 21, tzinfo=dt.UTC)
    )
    nobody = node.data / "no-password"
    with (
        contextlib.closing(open_store(node.url(), node.data)) as store,
        contextlib.closing(open_store(node.url("alone.pem"), node.data, nobody)) as certified,
        contextlib.closing(open_store(node.url(), node.data, nobody)) as unknown,
    ):
        assert store.create([claim]) == [True]
        assert certified.get(Claim, "bank:1") == claim
        assert "refuses the permission" in refusal(lambda: unknown.get(Claim, "bank:1"))
    line, certificate = check(node.data, "incident store", "store certificate", store=node.url())
    assert line.startswith("ok     incident store: 0 incidents")
    assert certificate.startswith(
        f"ok     store certificate: {node.data}/operator.pem is good until "
    )


@EACH
def test_rejected_store_connection_sends_no_document_and_is_explained(
    node: Node, wrong: dict[str, str], says: str
) -> None:
    assert says.format(knob="store.url") in node.refusal(**wrong)
    [line] = node.check(**wrong)
    assert line.startswith("FAULT  incident store: Elasticsearch at https://127.0.0.1:")
    assert says.format(knob="store.url") in line


def test_node_with_an_invalid_certificate_is_rejected_and_ours_reread(
    node: Node, authority: Authority
) -> None:
    mine = node.data / f"{secrets.token_hex(4)}.pem"
    write(mine, authority.client(OPERATOR, OVER).pair)
    with contextlib.closing(open_store(node.url(mine.name), node.data)) as store:
        assert "it refuses our certificate (" in refusal(
            lambda: store.count(Claim, DocumentFilter())
        )
        write(mine, authority.client(OPERATOR).pair)
        assert store.count(Claim, DocumentFilter()) >= 0
    try:
        for certificate, says in (
            (authority.server(until=OVER), "its certificate has expired: have it renewed"),
            (
                authority.server("es.example", loopback=False),
                "its certificate is for another name than 127.0.0.1: name it so in store.url",
            ),
        ):
            node.running.show(certificate)
            until(lambda says=says: says in node.refusal())
            [line] = node.check()
            assert says in line
    finally:
        node.running.show(authority.server())
        until(lambda: node.refusal() == "")


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RELOAD_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)
