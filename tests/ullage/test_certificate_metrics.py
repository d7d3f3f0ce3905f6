"""What /metrics says of the certificates that a role shows to its servers, while these cannot be
reached.
"""

import datetime as dt
import json
import re
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from deploy.local.certificates import Authority
from tests.ullage.test_tls import write
from ullage.monitoring.metrics import BUS, CLIENTS, STORE, CertificateMetrics
from ullage.security.tls import ListenerCertificate, Trust
from ullage.settings import Context

NAME = "ullage_certificate_{}_timestamp_seconds"
DAY, WEEK = dt.timedelta(days=1), dt.timedelta(days=7)
NOWHERE = "127.0.0.1:1"
BUS_URL = f"kafka://{NOWHERE}?security=SSL&cafile=ca.pem&certificate=bus.pem"
STORE_URL = f"elasticsearch://{NOWHERE}?cafile=ca.pem&certificate=store.pem"
SHOWN = {
    "crawl": [BUS], "match": [BUS], "alert": [BUS, STORE], "search": [STORE, CLIENTS],
    "intake": [BUS, CLIENTS],
    "collect matrix": [BUS],
}  # fmt: skip


@pytest.fixture
def authority() -> Authority:
    return Authority()


def read_metric(registry: CollectorRegistry, shown_to: str, what: str = "expiry") -> float | None:
    return registry.get_sample_value(NAME.format(what), {"shown_to": shown_to})


def life(path: Path) -> tuple[float, float]:
    begin, end = Trust("bus.url", certificate=path).read_life()
    return begin.timestamp(), end.timestamp()


def test_metric_follows_the_certificate_file_at_each_scrape(
    tmp_path: Path, authority: Authority
) -> None:
    path, registry = (
        write(tmp_path / "own.pem", authority.client("a", DAY).pair),
        CollectorRegistry(),
    )
    CertificateMetrics(
        registry, {BUS: [Trust("bus.url", certificate=path)], STORE: [Trust("store.url"), None]}
    )
    begin, end = life(path)
    assert read_metric(registry, BUS) == end
    assert read_metric(registry, BUS, "renewal") == pytest.approx(end - (end - begin) / 3, abs=1e-3)
    assert read_metric(registry, STORE) is read_metric(registry, STORE, "renewal") is None
    write(path, authority.client("a", 60 * DAY).pair)
    assert read_metric(registry, BUS) == life(path)[1]
    assert read_metric(registry, BUS, "renewal") == life(path)[1] - 2 * WEEK.total_seconds()


def test_listener_metric_shows_the_certificate_in_use(tmp_path: Path, authority: Authority) -> None:
    def put(until: dt.timedelta) -> float:
        certificates = authority.server(until=until)
        (
            write(tmp_path / "a.pem", certificates.certificate),
            write(tmp_path / "a.key", certificates.key),
        )
        return life(tmp_path / "a.pem")[1]

    registry, before = CollectorRegistry(), put(60 * DAY)
    CertificateMetrics(
        registry, {}, ListenerCertificate.from_settings("search", tmp_path, "a.pem", "a.key")
    )
    assert (read_metric(registry, CLIENTS), read_metric(registry, CLIENTS, "renewal")) == (
        before,
        before - 2 * WEEK.total_seconds(),
    )
    assert read_metric(registry, CLIENTS) < put(90 * DAY) == read_metric(registry, CLIENTS)
    (tmp_path / "a.pem").write_text("no certificate")
    assert read_metric(registry, CLIENTS) == pytest.approx(
        before + 30 * DAY.total_seconds(), abs=60
    )


@pytest.mark.parametrize(
    "harm",
    [Path.unlink, lambda path: path.chmod(0o640), lambda path: path.write_text("no certificate")],
)
def test_unreadable_certificate_counts_as_expired(
    tmp_path: Path, authority: Authority, harm
) -> None:
    path, registry = write(tmp_path / "own.pem", authority.client("a").pair), CollectorRegistry()
    CertificateMetrics(registry, {BUS: [Trust("bus.url", certificate=path)]})
    harm(path)
    assert (read_metric(registry, BUS), read_metric(registry, BUS, "renewal")) == (0.0, 0.0)


def test_intermediate_certificate_counts_for_expiry(tmp_path: Path, authority: Authority) -> None:
    leaf, between = authority.client("a", WEEK), authority.client("b", DAY)
    path = write(tmp_path / "own.pem", leaf.pair + between.certificate)
    assert life(path)[1] == life(write(tmp_path / "between.pem", between.pair))[1]


def test_earliest_expiring_certificate_of_two_buses_counts(
    data: Path, authority: Authority
) -> None:
    for name, until in (("bus", WEEK), ("other", DAY)):
        write(data / f"{name}.pem", authority.client("a", until).pair)
    second_url = BUS_URL.replace("bus.pem", "other.pem")
    (data / "ullage.toml").write_text(
        f"[bus]\nurl = {json.dumps(BUS_URL)}\ncaptures = {json.dumps(second_url)}\n"
    )
    registry = CollectorRegistry()
    CertificateMetrics(registry, {BUS: Context(data).list_bus_trusts()})
    assert read_metric(registry, BUS) == life(data / "other.pem")[1]


@pytest.mark.parametrize("role", SHOWN)
def test_each_service_exports_the_metrics_from_its_start(
    data: Path, authority: Authority, role: str
) -> None:
    (data / "ca.pem").write_bytes(authority.client("a").authority)
    for name, until in ((BUS, WEEK), (STORE, DAY)):
        write(data / f"{name}.pem", authority.client("a", until).pair)
    ports = "[metrics_ports]\n" + "".join(
        f"{service} = 0\n" for service in ("crawl", "match", "alert", "intake", "matrix")
    )
    shown = 'certificate = "clients.pem"\nkey = "clients.key"\n'
    ports += f"[search]\nport = 0\n{shown}[intake]\nport = 0\n{shown}"
    certificates = authority.server(until=2 * DAY)
    (
        write(data / "clients.pem", certificates.certificate),
        write(data / "clients.key", certificates.key),
    )
    (data / "ullage.toml").write_text(
        f"{ports}[bus]\nurl = {json.dumps(BUS_URL)}\n[store]\nurl = {json.dumps(STORE_URL)}\n"
    )
    words = [sys.executable, "-m", "ullage", "--data", str(data), *role.split()]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            text = scrape(process, ssl.create_default_context(cafile=data / "ca.pem"))
        finally:
            process.kill()
    samples = dict(re.findall(NAME.format("expiry") + r'\{shown_to="(\w+)"\} (\S+)', text))
    assert {name: float(at) for name, at in samples.items()} == {
        name: life(data / f"{name}.pem")[1] for name in SHOWN[role]
    }


def scrape(process: "subprocess.Popen[str]", trusting: ssl.SSLContext) -> str:
    """Return what /metrics of a process says as soon as it is served."""
    output = ""
    for line in process.stdout if "search" in process.args else process.stderr:
        output += line
        if port := re.search(r'"port": (\d+)|(https://127\.0\.0\.1:\d+)/\n', line):
            plain_url = f"http://127.0.0.1:{port[1]}"
            with urllib.request.urlopen(
                f"{port[2] or plain_url}/metrics", timeout=60, context=trusting
            ) as answer:
                return answer.read().decode()
    pytest.fail(f"it has ended: {output}")
