"""The metrics server answers three paths on loopback, and a fault in it is no traceback."""

import http.client
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from ullage import __version__
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.monitoring.loopback import LoopbackServer
from ullage.monitoring.metrics import (
    BUS,
    STORE,
    LoopMetrics,
    limit_label,
    metrics_server,
    new_registry,
)
from ullage.runtime import service as readiness_of_role
from ullage.settings import Context, Settings


class Readiness:
    ready = True

    def __call__(self) -> bool:
        if self.ready is None:
            raise RuntimeError("13800138000")
        return self.ready


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
def server(readiness: Readiness) -> Iterator[LoopbackServer]:
    registry = new_registry("match")
    Counter("ullage_match_captures_total", "Captures.", ["site"], registry=registry).labels(
        "paste"
    ).inc(3)
    with metrics_server(registry, 0, readiness) as server:
        yield server


def get(server: LoopbackServer, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name=x"])
def test_metrics_are_parseable_and_hold_counters_and_build(
    server: LoopbackServer, path: str
) -> None:
    status, body = get(server, path)
    samples = {s.name: s for family in text_string_to_metric_families(body) for s in family.samples}
    assert status == 200
    assert samples["ullage_match_captures_total"].value == 3
    assert samples["ullage_build_info"].labels == {"version": __version__, "role": "match"}
    assert "process_resident_memory_bytes" in samples


def test_health_is_always_served_and_readiness_follows_the_service(
    server: LoopbackServer, readiness: Readiness
) -> None:
    assert get(server, "/healthz") == (200, "alive\n")
    assert get(server, "/readyz") == (200, "ready\n")
    readiness.ready = False
    assert get(server, "/readyz") == (503, "not ready\n")
    assert get(server, "/healthz")[0] == 200


def test_other_paths_are_not_found(server: LoopbackServer) -> None:
    assert [get(server, path)[0] for path in ("/", "/metrics/", "/../etc/passwd")] == [404] * 3


def test_only_loopback_is_listened_on(server: LoopbackServer) -> None:
    assert server._server.server_address[0] == "127.0.0.1"


def test_readiness_fault_is_reported_without_traceback_or_value(
    server: LoopbackServer, readiness: Readiness, capfd: pytest.CaptureFixture[str]
) -> None:
    readiness.ready = None  # type: ignore[assignment]
    with pytest.raises(http.client.RemoteDisconnected):
        get(server, "/readyz")
    readiness.ready = True
    assert get(server, "/readyz")[0] == 200
    written = "".join(capfd.readouterr())
    assert "Traceback" not in written
    assert "13800138000" not in written


def test_port_is_released_afterwards(readiness: Readiness) -> None:
    with metrics_server(new_registry("match"), 0, readiness) as server:
        port = server.port
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_loop_metrics_exist_from_the_start() -> None:
    now, registry = [100.0], CollectorRegistry()
    loop = LoopMetrics(registry, Clock(wall=lambda: now[0]), (BUS, STORE))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"ullage_{name}", labels)

    assert value("loop_turned_timestamp_seconds") == 100.0
    assert (
        value("dependency_up", dependency="bus"),
        value("dependency_up", dependency="store"),
    ) == (1, 1)
    now[0] = 160.0
    loop.record_turn()
    loop.record_reachability(STORE, False)
    assert value("loop_turned_timestamp_seconds") == 160.0
    assert (
        value("dependency_up", dependency="bus"),
        value("dependency_up", dependency="store"),
    ) == (1, 0)


def test_unconfigured_label_value_becomes_other() -> None:
    assert [limit_label(name, ("bank", "lender")) for name in ("bank", "13800138000")] == [
        "bank",
        "other",
    ]


@pytest.mark.parametrize("words", ["crwal", "bus", "collect", "collect telepathy", "match now"])
def test_unknown_service_is_distinguished_from_an_unresponsive_one(words: str) -> None:
    with pytest.raises(ConfigError, match="is not a service"):
        readiness_of_role.read_state(Settings(), words)


def test_state_of_one_service_can_be_requested(
    server: LoopbackServer, readiness: Readiness
) -> None:
    settings = Settings(metrics_ports={"match": server.port})
    assert readiness_of_role.read_state(settings, "match") == readiness_of_role.READY
    readiness.ready = False
    assert readiness_of_role.read_state(settings, "match").startswith("not ready")


def test_faults_make_a_service_unready_and_are_named_by_status() -> None:
    faults = [lambda: "", lambda: "cannot reach the bus"]
    with metrics_server(new_registry("match"), 0, lambda: True, faults) as server:
        assert get(server, "/readyz") == (503, "not ready: cannot reach the bus\n")
        settings = Settings(metrics_ports={"match": server.port})
        assert readiness_of_role.read_state(settings, "match") == "not ready: cannot reach the bus"
        faults.pop()
        assert get(server, "/readyz")[0] == 200


def test_dependency_that_does_not_answer_is_a_fault() -> None:
    loop = LoopMetrics(CollectorRegistry(), Clock(), (BUS, STORE))
    assert loop.fault() == ""
    loop.record_reachability(BUS, False)
    loop.record_reachability(STORE, False)
    assert loop.fault() == "cannot reach the bus and the store"
    loop.record_reachability(BUS, True)
    loop.record_reachability(STORE, True)
    assert loop.fault() == ""


@pytest.mark.parametrize(
    ("free", "inodes", "status"), [(0, 9, 503), (15, 9, 503), (16, 9, 200), (9999, 0, 503)]
)
def test_service_on_a_full_disk_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, inodes: int, status: int
) -> None:
    room = os.statvfs_result((4096, 1 << 20, 9999, 9999, free, 99, inodes, inodes, 0, 255))
    monkeypatch.setattr(readiness_of_role, "stop_on_signals", lambda _stop: None)
    port = socket.create_server(("127.0.0.1", 0))
    number = port.getsockname()[1]
    port.close()
    with readiness_of_role.running(
        "match", new_registry("match"), number, Context(tmp_path)
    ) as stop:
        monkeypatch.setattr(os, "statvfs", lambda _: room)
        readiness = readiness_of_role.read_state(Settings(metrics_ports={"match": number}), "match")
        stop.set()
    assert (readiness == readiness_of_role.READY) == (status == 200), readiness
    if status != 200:
        assert str(free) in readiness or "inode" in readiness
