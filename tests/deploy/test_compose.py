"""The compose file: every container is locked in, looked after, reads files that are there, and
says what roles understand.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.certificates import make_certificates
from tests.deploy.units import UNITS, need
from ullage.runtime.service import ROLES, port_of
from ullage.settings import Settings, load

pytestmark = pytest.mark.deploy

FOLDER = Path(__file__).parents[2] / "deploy" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}")
GIVEN = {
    "ullage.toml", "crawl", "match", "alert", "search", "assess", "tls/ca.crt", "tls/console.crt",
    "tls/elasticsearch.crt",
    "alertmanager.yml",
}  # fmt: skip
"""What lies in ULLAGE_HOME, as docs/deploy.md has it made."""
OURS = {name for name, service in SERVICES.items() if service.get("command", [None])[0] in ROLES}


def test_units_have_the_memory_limits_of_the_containers() -> None:
    for role in sorted(OURS):
        unit = (UNITS / f"ullage-{role}.service").read_text("utf-8")
        limit = str(SERVICES[role]["mem_limit"]).upper()
        assert f"MemoryMax={limit}\n" in unit, role


def faults(service: dict[str, Any]) -> list[str]:
    """List what a container may do that it should not, or lacks."""
    user = service.get("user", "0").partition(":")[0]
    kept = {
        "capabilities": service.get("cap_drop") == ["ALL"] and "cap_add" not in service,
        "new privileges": service.get("security_opt") == ["no-new-privileges:true"],
        "writes": service.get("read_only") is True,
        "root": user.isdecimal() and int(user) >= 400,
        "memory": "mem_limit" in service,
        "processes": "pids_limit" in service,
        "health": "healthcheck" in service,
        "version": (
            re.search(r":v?\d+\.\d+\.\d+@?$", VARIABLE.sub(r"\2", service.get("image", "")))
            is not None
        ),
        "digest": (
            re.search(
                r"^\$\{ULLAGE_IMAGE:-localhost/|@\$\{[A-Z]+_DIGEST:\?", service.get("image", "")
            )
            is not None
        ),
        "ports": all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])),
        "privileged": (
            not service.keys() & {"privileged", "pid", "ipc", "devices"}
            and service.get("network_mode") != "host"
        ),
        "socket": not any("docker.sock" in volume for volume in service.get("volumes", [])),
        "secrets": not any(
            "PASSWORD" in key and "FILE" not in key for key in service.get("environment", {})
        ),
    }
    return [what for what, is_kept in kept.items() if not is_kept]


@pytest.mark.parametrize("name", SERVICES)
def test_container_is_restricted(name: str) -> None:
    assert faults(SERVICES[name]) == []


def test_missing_restrictions_are_detected() -> None:
    open_ = {
        "image": "debian:latest",
        "ports": ["8600:8600"],
        "privileged": True,
        "environment": {"ELASTIC_PASSWORD": "x"},
    }
    assert set(faults(open_)) >= {
        "capabilities", "writes", "root", "memory", "health", "version", "digest", "ports",
        "privileged", "secrets",
    }  # fmt: skip


def test_each_service_has_its_own_user_and_folder() -> None:
    assert {"crawl", "match", "alert", "search"} == OURS
    assert (
        len({SERVICES[name]["user"] for name in OURS} | {SERVICES["crawl-net"]["user"]})
        == len(OURS) + 1
    )
    for name in OURS:
        assert SERVICES[name]["volumes"][0].endswith(f"/{name}:/var/lib/ullage")
        assert SERVICES[name]["healthcheck"]["test"][1:] == [
            "/opt/ullage/bin/ullage",
            "status",
            name,
        ]


MEETS = {
    "crawl": {"crawl", "kafka", "prometheus"},
    "match": {"match", "kafka", "prometheus"},
    "alert": {"alert", "kafka", "elasticsearch", "prometheus"},
    "search": {"search", "elasticsearch", "prometheus"},
    "monitoring": {"prometheus", "alertmanager", "grafana"},
}
"""Whom each network joins: a role is there with nginx beside it."""


def networks_of(name: str) -> list[str]:
    """Return the networks of a service, or of the one whose network it shares."""
    service = SERVICES[name]
    owner = service.get("network_mode", "").removeprefix("service:")
    return list(SERVICES[owner]["networks"] if owner else service["networks"])


def test_each_service_has_a_network_with_only_its_partners() -> None:
    assert COMPOSE["networks"].keys() == MEETS.keys()
    assert [name for name, told in COMPOSE["networks"].items() if told.get("internal")] == ["match"]
    for network, wanted in MEETS.items():
        found = {name for name in SERVICES if network in networks_of(name)}
        assert found - {f"{network}-net", f"{network}-metrics", "proxy"} == wanted
        assert ("proxy" in found) == (network == "search")
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "search-net": ["127.0.0.1:8443:8443"], "grafana": ["127.0.0.1:3000:3000"],
    }  # fmt: skip


def test_restarted_container_keeps_its_network() -> None:
    """A container whose network another one shares is none that ends: what shares it would be
    cut off.
    """
    shared = {
        service["network_mode"].removeprefix("service:")
        for service in SERVICES.values()
        if "network_mode" in service
    }
    assert shared == {f"{role}-net" for role in OURS}


def test_only_match_and_search_share_the_socket_of_dropped_files() -> None:
    told = load_settings().match
    shared = {
        name
        for name, one in SERVICES.items()
        if f"${{ULLAGE_HOME}}/assess:{told.assess_folder}" in one.get("volumes", ())
    }
    assert shared == {"match", "search"}
    assert (SERVICES["search"]["user"].partition(":")[0],) == told.assess_users
    assert SERVICES["search"]["group_add"] == ["10010"]


@pytest.mark.parametrize("name", SERVICES)
def test_files_and_dependencies_of_a_container_exist(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source = VARIABLE.sub("HOME", volume).split(":")[0]
        if source.startswith("HOME/"):
            assert source.removeprefix("HOME/") in GIVEN
        elif source.startswith("."):
            assert (FOLDER / source).exists()
        else:
            assert source in COMPOSE["volumes"]
    for secret in SERVICES[name].get("secrets", []):
        assert secret in COMPOSE["secrets"]
    for other, when in SERVICES[name].get("depends_on", {}).items():
        assert when["condition"] == "service_started" or "healthcheck" in SERVICES[other]


def test_every_secret_and_volume_is_used() -> None:
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == COMPOSE["secrets"].keys()
    mounted = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    }
    assert COMPOSE["volumes"].keys() <= mounted


def load_settings() -> Settings:
    """Return the settings that the roles read."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(FOLDER / "ullage.toml", folder)
        Path(folder, "ullage.toml").chmod(0o644)
        return load(Path(folder))


def test_services_accept_their_configuration() -> None:
    settings = load_settings()
    kafka = (
        SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
        .partition(",")[0]
        .removeprefix("CLIENTS://")
    )
    assert (
        settings.bus.url
        == f"kafka://{kafka}?security=SSL&cafile=ca.crt&certificate=keys/kafka.pem&replication=1"
    )
    assert all(
        any(
            volume.endswith("ca.crt:/var/lib/ullage/ca.crt:ro")
            for volume in SERVICES[role]["volumes"]
        )
        for role in OURS
    )
    assert settings.store.url.startswith("elasticsearch://elasticsearch:9200?")
    assert f"proxy_pass http://{settings.search.host}:{settings.search.port};" in nginx()
    assert set(settings.notify.routes["desk"].channels) == {"desk"}


def nginx() -> str:
    return (FOLDER / "nginx.conf").read_text(encoding="utf-8")


def test_prometheus_scrapes_each_service_through_its_nginx() -> None:
    prometheus = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    conf, asked = (FOLDER / "metrics.conf").read_text(encoding="utf-8") + nginx(), set()
    for told in prometheus["scrape_configs"][0]["static_configs"]:
        (target,), role = told["targets"], told["labels"]["role"]
        host, port = target.split(":")
        assert host == f"{role}-net"
        assert set(networks_of(host)) & set(networks_of("prometheus"))
        there = port_of(load_settings(), role)
        found = rf"listen {port};\s+location = /metrics {{ proxy_pass http://127\.0\.0\.1:{there}; "
        assert re.search(found, conf), role
        asked.add(role)
    assert asked == OURS


def test_monitoring_is_reached_where_it_listens() -> None:
    prometheus = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    (alertmanager,) = prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    source = yaml.safe_load((FOLDER / "datasource.yaml").read_text(encoding="utf-8"))[
        "datasources"
    ][0]["url"]
    for name, place in (
        ("alertmanager", alertmanager),
        ("prometheus", source.removeprefix("http://")),
    ):
        host, port = place.split(":")
        assert host == name
        assert f"--web.listen-address=0.0.0.0:{port}" in SERVICES[name]["command"]
    provisioning = FOLDER.parent / "grafana" / "provisioning" / "dashboards" / "ullage.yaml"
    boards = yaml.safe_load(provisioning.read_text(encoding="utf-8"))
    assert any(
        v.endswith(f":{boards['providers'][0]['options']['path']}:ro")
        for v in SERVICES["grafana"]["volumes"]
    )


@pytest.mark.parametrize("name", ["nginx.conf", "metrics.conf"])
def test_nginx_accepts_its_configuration(tmp_path: Path, name: str) -> None:
    made = make_certificates()
    (tmp_path / "console.crt").write_bytes(made.certificate)
    (tmp_path / "console.key").write_bytes(made.key)
    text = (FOLDER / name).read_text(encoding="utf-8")
    for folder in ("/tmp/", "/etc/nginx/", "/run/secrets/"):
        text = text.replace(folder, f"{tmp_path}/")
    (tmp_path / "nginx.conf").write_text(text, encoding="utf-8")
    words = [need("nginx", "nginx-light"), "-t", "-q", "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
