"""A guarded Kafka: what `ullage check --plan` prints is enough for every role, and no role can do another's work."""

import contextlib
import gc
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.local.kafka import Broker, broker
from deploy.local.kafka_secured import Secured, Tools
from tests.factories import outgoing
from ullage import dead_letters, keys, setup
from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS, Bus, Record, Subscription
from ullage.errors import ConfigError
from ullage.settings import Context

pytestmark = [
    pytest.mark.servers,
    pytest.mark.filterwarnings("ignore:unclosed <(socket|ssl):ResourceWarning"),
]
ROLES = ("crawl", "match", "alert", "operator")
PREFIX = "ullage."
PATIENCE = 30.0


@pytest.fixture(autouse=True)
def sockets_collected() -> Iterator[None]:
    """kafka-python leaves sockets that were refused to the collector: they go here, and not in somebody else's test."""
    yield
    gc.collect()


@dataclass(frozen=True)
class Cluster:
    """A guarded broker on which the printed plan has been carried out, and a data folder for each role's host."""

    folder: Path
    broker: Broker
    guard: Secured
    tools: Tools

    def data(self, role: str, password: str = "", url: str = "") -> Path:
        """A data folder as that role's host has it; all of them share the keys, as this is one machine."""
        folder = self.folder / f"{role}-{secrets.token_hex(4)}"
        folder.mkdir()
        (folder / "keys").symlink_to(self.folder / "keys")
        (folder / "ca.pem").write_bytes(self.guard.certificates.authority)
        (folder / "kafka.user").touch(mode=0o600)
        (folder / "kafka.user").write_text(f"ullage-{role}\n{password or self.guard.users[f'ullage-{role}']}\n")
        (folder / "ullage.toml").write_text(f"[bus]\nurl = {json.dumps(url or self.url())}\n")
        return folder

    def url(self, **other: str) -> str:
        said = {"security": "SASL_SSL", "mechanism": "SCRAM-SHA-512", "cafile": "ca.pem", "credentials": "kafka.user"}
        server = other.pop("server", f"127.0.0.1:{self.broker.port}")
        query = {"prefix": PREFIX, "replication": "1", **said, **other}
        return f"kafka://{server}?{'&'.join(f'{name}={value}' for name, value in query.items())}"


def ullage(data: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """The command line, as a person calls it."""
    command = [sys.executable, "-m", "ullage", "--data", str(data), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("guarded")
    guard = Secured({f"ullage-{role}": secrets.token_hex(8) for role in ROLES})
    list(setup.initialise(Context(folder)))
    with broker(folder / "kafka", guard) as running:
        found = Cluster(folder, running, guard, Tools(folder / "kafka", running.port))
        printed = ullage(found.data("operator"), "check", "--plan")
        assert (printed.returncode, printed.stderr) == (0, "")
        for line in printed.stdout.splitlines():
            if line.startswith("kafka-"):
                found.tools.run(line)
        yield found


@dataclass
class Opened:
    """Opens buses as a role, and closes them with the test."""

    cluster: Cluster
    buses: list[Bus] = field(default_factory=list)

    def context(self, role: str) -> Context:
        return Context(self.cluster.data(role))

    def bus(self, role: str) -> Bus:
        self.buses.append(self.context(role).bus())
        return self.buses[-1]


@pytest.fixture
def opened(cluster: Cluster) -> Iterator[Opened]:
    made = Opened(cluster)
    yield made
    for bus in made.buses:
        bus.close()


def take(subscription: Subscription, count: int) -> list[Record]:
    """Poll until `count` records came."""
    got: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(got) < count and time.monotonic() < deadline:
        got += subscription.poll(100, 1.0)
    return got


def work_off(bus: Bus, topic: str, group: str, count: int) -> Record:
    """Read and commit `count` records as `group`, with its lag before and after; returns the last."""
    with contextlib.closing(bus.subscribe(topic, group)) as subscription:
        assert subscription.lag().records == count
        records = take(subscription, count)
        for record in records:
            subscription.commit(record)
        assert bus.lag(topic, group).records == 0
        return records[-1]


def test_each_role_does_its_whole_work_with_the_rights_of_the_plan(opened: Opened) -> None:
    sealer = keys.sealer(opened.context("crawl").keys)
    crawl = opened.bus("crawl")
    crawl.publisher(CAPTURES).append([outgoing("one"), outgoing("two")])
    assert sum(place.waiting for place in crawl.places(CAPTURES, "match").values()) == 2
    assert crawl.lag(CAPTURES, "match").seconds > 0

    match = opened.bus("match")
    bad = work_off(match, CAPTURES, "match", 2)
    match.publisher(FINDINGS).append([outgoing("three")])
    dead_letters.DeadLetters(match, sealer, "match").put(bad, "malformed")

    alert = opened.bus("alert")
    bad = work_off(alert, FINDINGS, "alert", 1)
    dead_letters.DeadLetters(alert, sealer, "alert").put(bad, "internal")

    operator = opened.bus("operator")
    with contextlib.closing(operator.subscribe(DEAD_LETTERS, dead_letters.LIST_GROUP)) as subscription:
        letters = take(subscription, 2)
    assert {dead_letters.read(letter).stage for letter in letters} == {"match", "alert"}
    opener = keys.opener(opened.context("operator").keys)
    for letter in letters:
        operator.publisher(dead_letters.read(letter).topic).append([dead_letters.unseal(letter, opener)])
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
def test_no_role_does_anothers_work(opened: Opened, role: str, act: Callable[[Bus], None]) -> None:
    bus = opened.bus(role)
    with pytest.raises(ConfigError, match=r"Kafka (refuses|has no topic)") as refused:
        act(bus)
    assert "\n" not in str(refused.value)
    assert f"ullage-{role}" not in str(refused.value)
