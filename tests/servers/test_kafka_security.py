"""A guarded Kafka: what `ullage check --plan` prints is enough for every role, and no role can do
another's work.

And `ullage check` says what is wrong with a cluster, or with how it is reached, in one line and
within seconds.
"""

import contextlib
import importlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.demo import security_team
from deploy.local.certificates import make_certificates
from deploy.local.kafka import Broker, broker
from deploy.local.server import free_ports
from deploy.local.webhook import receiving
from harness.servers.kafka_kerberos import Realm, find_programs, realm
from harness.servers.kafka_secured import OTHER_HOST, SERVICE, ScramGuard, Tools
from tests.factories import outgoing
from ullage import setup
from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS, TOPICS, Bus, Record, Subscription
from ullage.bus.kafka.client import SEE_PLAN
from ullage.errors import ConfigError, UnavailableError
from ullage.runtime import dead_letters
from ullage.security import keys
from ullage.settings import Context

pytestmark = [
    pytest.mark.servers,
    pytest.mark.filterwarnings("ignore:unclosed <(socket|ssl):ResourceWarning"),
]
ROLES = ("crawl", "match", "alert", "operator")
PREFIX = "ullage."
PATIENCE, SOON = 30.0, 20.0


@dataclass(frozen=True)
class Cluster:
    """A guarded broker on which the printed plan has been carried out, and a data folder for
    each role's host.
    """

    folder: Path
    broker: Broker
    guard: ScramGuard
    tools: Tools

    def data(self, role: str, password: str = "", url: str = "") -> Path:
        """Make a data folder as that role's host has it; all but configuration and inventory are
        shared, on this one machine.
        """
        folder = self.folder.with_name(f"{role}-{secrets.token_hex(4)}")
        folder.mkdir()
        for shared in self.folder.iterdir():
            if shared.name == "inventory":
                shutil.copytree(shared, folder / shared.name)
            elif shared.name != "ullage.toml":
                (folder / shared.name).symlink_to(shared)
        (folder / "ca.pem").write_bytes(self.guard.certificates.authority)
        (folder / "foreign.pem").write_bytes(make_certificates().authority)
        (folder / "empty.pem").touch()
        (folder / "kafka.user").touch(mode=0o600)
        (folder / "kafka.user").write_text(
            f"ullage-{role}\n{password or self.guard.users[f'ullage-{role}']}\n"
        )
        (folder / "ullage.toml").write_text(
            f"[bus]\nurl = {json.dumps(url or self.url())}\n{security_team.configuration('')}"
        )
        return folder

    def url(self, **other: str) -> str:
        """Return the cluster's address for `bus.url`, with `other` in place of what is right."""
        settings = {
            "security": "SASL_SSL",
            "mechanism": "SCRAM-SHA-512",
            "cafile": "ca.pem",
            "credentials": "kafka.user",
        }
        server = other.pop("server", f"127.0.0.1:{self.broker.port}")
        query = {"prefix": PREFIX, "replication": "1", **settings, **other}
        return f"kafka://{server}?{'&'.join(f'{name}={value}' for name, value in query.items())}"


def python(
    *words: str, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    variables = {**os.environ, **(environment or {})}
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=variables,
    )


def ullage(
    data: Path, *words: str, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the command line as a person does."""
    return python("-m", "ullage", "--data", str(data), *words, environment=environment)


@pytest.fixture(scope="module")
def running_realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm | str]:
    """Yield a Kerberos realm, or the reason why there is none."""
    try:
        find_programs()
        importlib.import_module("gssapi")
    except (ImportError, UnavailableError) as error:
        yield f"no Kerberos here ({error}): needs its server, and ullage[kerberos]"
    else:
        with realm(tmp_path_factory.mktemp("realm")) as running:
            yield running


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, running_realm: Realm | str
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("guarded")
    users = {f"ullage-{role}": secrets.token_hex(8) for role in ROLES}
    guard = ScramGuard(users, realm=running_realm if isinstance(running_realm, Realm) else None)
    list(setup.initialise(Context(folder)))
    (folder / "customers.csv").write_text("customer_ref,phone\nA1,13800138000\n")
    assert (
        ullage(
            folder, "watchlist", "load", str(folder / "customers.csv"), "--tenant", "bank"
        ).returncode
        == 0
    )
    with broker(folder / "kafka", guard) as running, receiving() as team:
        # that nobody is told would be a fault as well
        security_team.introduce(folder / "keys", team)
        cluster_ = Cluster(folder, running, guard, Tools(folder / "kafka", running.port))
        printed = ullage(cluster_.data("operator"), "check", "--plan")
        assert (printed.returncode, printed.stderr) == (0, "")
        for line in printed.stdout.splitlines():
            if line.startswith("kafka-"):
                cluster_.tools.run(line)
        yield cluster_


@dataclass
class BusFactory:
    """Opens buses as a role, and closes them with the test."""

    cluster: Cluster
    buses: list[Bus] = field(default_factory=list)

    def bus(self, role: str) -> Bus:
        self.buses.append(Context(self.cluster.data(role)).bus())
        return self.buses[-1]


@pytest.fixture
def bus_factory(cluster: Cluster) -> Iterator[BusFactory]:
    factory = BusFactory(cluster)
    yield factory
    for bus in factory.buses:
        bus.close()


def take(subscription: Subscription, count: int) -> list[Record]:
    """Poll until `count` records came."""
    got: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(got) < count and time.monotonic() < deadline:
        got += subscription.poll(100, 1.0)
    return got


def work_off(bus: Bus, topic: str, group: str, count: int) -> Record:
    """Read and commit `count` records as `group`, with its lag before and after; returns the
    last.
    """
    with contextlib.closing(bus.subscribe(topic, group)) as subscription:
        assert subscription.lag().records == count
        records = take(subscription, count)
        for record in records:
            subscription.commit(record)
        assert bus.lag(topic, group).records == 0
        return records[-1]


def test_each_service_works_with_the_planned_rights(bus_factory: BusFactory) -> None:
    store = Context(bus_factory.cluster.folder).keys
    sealer, opener = keys.load_sealer(store), keys.load_opener(store)
    crawl = bus_factory.bus("crawl")
    crawl.publisher(CAPTURES).append([outgoing("one"), outgoing("two")])
    assert sum(place.waiting for place in crawl.places(CAPTURES, "match").values()) == 2
    assert crawl.lag(CAPTURES, "match").seconds > 0

    match = bus_factory.bus("match")
    bad = work_off(match, CAPTURES, "match", 2)
    match.publisher(FINDINGS).append([outgoing("three")])
    dead_letters.DeadLetters(match, sealer, "match").put(bad, "malformed")

    alert = bus_factory.bus("alert")
    bad = work_off(alert, FINDINGS, "alert", 1)
    dead_letters.DeadLetters(alert, sealer, "alert").put(bad, "internal")

    operator = bus_factory.bus("operator")
    with contextlib.closing(
        operator.subscribe(DEAD_LETTERS, dead_letters.LIST_GROUP)
    ) as subscription:
        letters = take(subscription, 2)
    assert {dead_letters.read(letter).stage for letter in letters} == {"match", "alert"}
    for letter in letters:
        operator.publisher(dead_letters.read(letter).topic).append(
            [dead_letters.unseal(letter, opener)]
        )
    work_off(operator, DEAD_LETTERS, dead_letters.REPLAY_GROUP, 2)
    work_off(match, CAPTURES, "match", 1)
    work_off(alert, FINDINGS, "alert", 1)


def append(topic: str) -> Callable[[Bus], None]:
    return lambda bus: bus.publisher(topic).append([outgoing("x")])


def read(topic: str, group: str) -> Callable[[Bus], None]:
    def act(bus: Bus) -> None:
        with contextlib.closing(bus.subscribe(topic, group)) as subscription:
            take(subscription, 1)

    return act


FOREIGN = {
    "crawl appends findings": ("crawl", append(FINDINGS)),
    "crawl appends dead letters": ("crawl", append(DEAD_LETTERS)),
    "crawl reads as match": ("crawl", read(CAPTURES, "match")),
    "crawl reads findings": ("crawl", read(FINDINGS, "alert")),
    "match appends captures": ("match", append(CAPTURES)),
    "match reads findings": ("match", read(FINDINGS, "alert")),
    "match reads dead letters": ("match", read(DEAD_LETTERS, "list")),
    "alert appends findings": ("alert", append(FINDINGS)),
    "alert reads captures": ("alert", read(CAPTURES, "match")),
    "alert reads dead letters": ("alert", read(DEAD_LETTERS, "list")),
    "the operator reads captures": ("operator", read(CAPTURES, "list")),
    "the operator reads as match": ("operator", read(CAPTURES, "match")),
    "the operator appends dead letters": ("operator", append(DEAD_LETTERS)),
}


@pytest.mark.parametrize(("role", "act"), FOREIGN.values(), ids=FOREIGN)
def test_no_service_can_do_the_work_of_another(
    bus_factory: BusFactory, role: str, act: Callable[[Bus], None]
) -> None:
    bus = bus_factory.bus(role)
    with pytest.raises(ConfigError, match=r"Kafka (denies|has no topic)") as refused:
        act(bus)
    assert "\n" not in str(refused.value)
    assert f"ullage-{role}" not in str(refused.value)


def check(data: Path, environment: dict[str, str] | None = None) -> tuple[int, list[str]]:
    """Exit code of `ullage check`, and what it says about the bus; the rest is sound, so that
    the code is the bus's.
    """
    began = time.monotonic()
    result = ullage(data, "check", environment=environment)
    assert time.monotonic() - began < SOON
    assert result.stderr == ""
    bus = [line for line in result.stdout.splitlines() if line.split()[1] == "bus"]
    assert [
        line for line in result.stdout.splitlines() if line.startswith("FAULT") and line not in bus
    ] == []
    return result.returncode, bus


def test_check_of_a_valid_cluster_has_no_fault(cluster: Cluster) -> None:
    code, lines = check(cluster.data("operator"))
    assert [line for line in lines if line.startswith("FAULT")] == []
    assert code == 0
    assert lines[0] == "ok     bus brokers: 1 available"
    assert [line.split(":")[0] for line in lines[1:]] == [
        f"ok     bus topic {topic}" for topic in TOPICS
    ]
    assert "waiting for match" in lines[1]
    assert "waiting for alert" in lines[2]


UNREACHABLE = {
    "nothing listens": (
        {"server": "127.0.0.1:{free}"},
        "Kafka does not respond (Connection refused)",
    ),
    "no such host": (
        {"server": "no-such-host.invalid:9093"},
        "this machine cannot resolve the host's name",
    ),
    "authority not trusted": ({"cafile": "foreign.pem"}, "its certificate is not trusted: cafile="),
    "another host's certificate": (
        {"server": f"{OTHER_HOST}:{{other}}"},
        f"its certificate is for another name than {OTHER_HOST}",
    ),
    "no authority": ({"cafile": "not.there"}, "not.there cannot be read"),
    "an empty authority": ({"cafile": "empty.pem"}, "empty.pem contains no certificate"),
    "no TLS on a TLS port": (
        {"security": "PLAINTEXT"},
        "this port speaks TLS: set security=SASL_SSL",
    ),
    "no TLS on a TLS port, with login": (
        {"security": "SASL_PLAINTEXT"},
        "this port speaks TLS: set security=SASL_SSL",
    ),
    "TLS on a plain port": (
        {"server": "127.0.0.1:{plain}"},
        "check that it is ready, and that the port speaks TLS, as bus.url says",
    ),
    "login on a port without login": (
        {"server": "127.0.0.1:{plain}", "security": "SASL_PLAINTEXT"},
        "this port takes no login: set security=SSL or PLAINTEXT",
    ),
    "no login": (
        {"security": "SSL"},
        "this port requires a login: set security=SASL_",
    ),
    "another mechanism": ({"mechanism": "PLAIN"}, "PLAIN is not supported: set mechanism="),
    "no credentials": ({"credentials": "not.there"}, "not.there cannot be read"),
}


@pytest.mark.parametrize(("wrong", "says"), UNREACHABLE.values(), ids=UNREACHABLE)
def test_check_explains_why_brokers_cannot_be_used(
    cluster: Cluster, kafka_broker: Broker, wrong: dict[str, str], says: str
) -> None:
    ports = {
        "free": free_ports(1)[0],
        "other": cluster.guard.other_port,
        "plain": kafka_broker.port,
    }
    url = cluster.url(**{name: value.format(**ports) for name, value in wrong.items()})
    code, lines = check(cluster.data("operator", url=url))
    assert (code, len(lines)) == (1, 1)
    assert lines[0].startswith("FAULT  bus brokers: ")
    assert says in lines[0]


def test_check_reports_a_wrong_password_without_showing_it(cluster: Cluster) -> None:
    code, lines = check(cluster.data("operator", password="not-the-password"))
    assert (code, len(lines)) == (1, 1)
    assert lines[0].startswith("FAULT  bus brokers: ")
    assert (
        "Kafka rejects user or password: see the file that credentials= in bus.url names"
        in lines[0]
    )
    assert "not-the-password" not in lines[0]


def test_check_does_not_wait_for_a_frozen_broker(cluster: Cluster) -> None:
    cluster.broker.freeze()
    try:
        code, lines = check(cluster.data("operator"))
    finally:
        cluster.broker.thaw()
    assert (code, len(lines)) == (1, 1)
    assert "Kafka does not respond within 5 s" in lines[0]


def test_check_names_a_hidden_topic_and_a_missing_right(cluster: Cluster) -> None:
    code, lines = check(cluster.data("crawl"))
    assert (code, [line.split()[0] for line in lines]) == (1, ["ok", "FAULT", "FAULT", "FAULT"])
    assert "Kafka denies this user the settings of ullage.captures (DescribeConfigs)" in lines[1]
    assert (
        "Kafka denies this user access to topic ullage.findings (TopicAuthorizationFailedError)"
        in lines[2]
    )


@pytest.fixture(scope="module")
def odd(cluster: Cluster) -> str:
    """Return a prefix under which much is wrong.

    One topic's settings and one group's rights are, and one topic is missing.
    """
    say = '--bootstrap-server "$BOOTSTRAP" --command-config "$ADMIN"'
    settings = (
        "cleanup.policy=compact message.timestamp.type=CreateTime max.message.bytes=1048576"
        " retention.ms=-1".split()
    )
    configs = " ".join(f"--config {setting}" for setting in settings)
    cluster.tools.run(f"kafka-topics.sh {say} --create --topic odd.captures {configs}")
    operator = cluster.data("operator", url=cluster.url(prefix="odd."))
    (findings,) = [
        line
        for line in ullage(operator, "check", "--plan").stdout.splitlines()
        if " --topic odd.findings --part" in line
    ]
    cluster.tools.run(findings)
    rights = (
        "--operation Read --operation DescribeConfigs --topic odd. --resource-pattern-type prefixed"
    )
    cluster.tools.run(f"kafka-acls.sh {say} --add --allow-principal User:ullage-operator {rights}")
    return "odd."


def test_check_names_wrong_settings_group_and_topic(cluster: Cluster, odd: str) -> None:
    code, (brokers, captures, findings, letters) = check(
        cluster.data("operator", url=cluster.url(prefix=odd))
    )
    assert (code, brokers) == (1, "ok     bus brokers: 1 available")
    for wrong in (
        "cleanup.policy is compact and must be delete",
        "message.timestamp.type is CreateTime and must be LogAppendTime",
        "max.message.bytes is 1048576 and must be 35651584 or more",
        "retention.ms is -1 and must be 86400000 or less",
        "segment.ms is 604800000 and must be 3600000 or less",
    ):
        assert wrong in captures
    assert findings.endswith(
        "Kafka denies this user the group that reads topic odd.findings: " + SEE_PLAN
    )
    assert (
        letters
        == "FAULT  bus topic dead-letters: topic odd.dead-letters does not exist: have it created;"
        " `ullage check --plan` prints how"
    )


def test_check_creates_no_topic(cluster: Cluster, odd: str) -> None:
    operator = cluster.data("operator", url=cluster.url(prefix=odd, create="1"))
    for _ in range(2):
        assert check(operator)[1][-1].startswith(
            "ok     bus topic dead-letters: does not exist yet: it is created on first use"
        )


@dataclass(frozen=True)
class Ticket:
    """The operator's host with a Kerberos login in place of a password."""

    cluster: Cluster
    realm: Realm
    keytab: Path

    def data(self, **other: str) -> Path:
        kerberos = {"mechanism": "GSSAPI", "service": SERVICE, "credentials": "unused", **other}
        return self.cluster.data("operator", url=self.cluster.url(**kerberos))


@pytest.fixture(scope="module")
def ticket(cluster: Cluster, running_realm: Realm | str) -> Ticket:
    if isinstance(running_realm, str):
        pytest.skip(running_realm)
    return Ticket(cluster, running_realm, running_realm.keytab("ullage-operator"))


APPEND = """
import sys, pathlib
from tests.factories import outgoing
from ullage.bus import FINDINGS
from ullage.settings import Context
bus = Context(pathlib.Path(sys.argv[1])).bus()
bus.publisher(FINDINGS).append([outgoing("by ticket")])
bus.close()
"""


def test_user_with_a_kerberos_ticket_has_the_rights_of_its_name(ticket: Ticket) -> None:
    data, environment = ticket.data(), ticket.realm.environment(ticket.keytab)
    before = check(data, environment)
    appended = python("-c", APPEND, str(data), environment=environment)
    assert (appended.returncode, appended.stderr) == (0, "")
    code, lines = check(data, environment)
    assert (before[0], code, lines != before[1]) == (0, 0, True)
    assert [line.replace(" 1 unread", " 0 unread") for line in lines] == before[1]


def test_missing_kerberos_ticket_or_wrong_service_is_a_one_line_error(ticket: Ticket) -> None:
    for data, keytab, says in (
        (ticket.data(), None, "no Kerberos login"),
        (ticket.data(service="kafka"), ticket.keytab, "not found in Kerberos database"),
    ):
        code, lines = check(data, ticket.realm.environment(keytab))
        assert (code, len(lines)) == (1, 1)
        assert lines[0].startswith("FAULT  bus brokers: ")
        assert says in lines[0]
        assert "KRB5_CLIENT_KTNAME" in lines[0]
