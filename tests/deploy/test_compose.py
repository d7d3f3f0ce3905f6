"""The compose file: every container is locked in, looked after, reads files that are there, and says what roles understand."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.certificates import make_certificates
from tests.deploy.units import need
from ullage.runtime.service import ROLES
from ullage.settings import load

pytestmark = pytest.mark.deploy

FOLDER = Path(__file__).parents[2] / "deploy" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}")
GIVEN = {
    "ullage.toml", "crawl", "match", "alert", "search", "tls/ca.crt", "tls/console.crt", "tls/elasticsearch.crt",
    "alertmanager.yml",
}  # fmt: skip
"""What lies in ULLAGE_HOME, as docs/deploy.md has it made."""
OURS = {name for name, service in SERVICES.items() if service.get("command", [None])[0] in ROLES}


def faults(service: dict[str, Any]) -> list[str]:
    """What a container may do that it should not, or lacks."""
    user = service.get("user", "0").partition(":")[0]
    kept = {
        "capabilities": service.get("cap_drop") == ["ALL"] and "cap_add" not in service,
        "new privileges": service.get("security_opt") == ["no-new-privileges:true"],
        "writes": service.get("read_only") is True,
        "root": user.isdecimal() and int(user) >= 400,
        "memory": "mem_limit" in service,
        "processes": "pids_limit" in service,
        "health": "healthcheck" in service,
        "version": re.search(r":v?\d+\.\d+\.\d+@?$", VARIABLE.sub(r"\2", service.get("image", ""))) is not None,
        "digest": re.search(r"^\$\{ULLAGE_IMAGE:-localhost/|@\$\{[A-Z]+_DIGEST:\?", service.get("image", "")) is not None,
        "ports": all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])),
        "privileged": not service.keys() & {"privileged", "pid", "ipc", "devices"} and service.get("network_mode") != "host",
        "socket": not any("docker.sock" in volume for volume in service.get("volumes", [])),
        "secrets": not any("PASSWORD" in key and "FILE" not in key for key in service.get("environment", {})),
    }
    return [what for what, is_kept in kept.items() if not is_kept]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_locked_in(name: str) -> None:
    assert faults(SERVICES[name]) == []


def test_what_is_not_locked_in_is_seen() -> None:
    open_ = {"image": "debian:latest", "ports": ["8600:8600"], "privileged": True, "environment": {"ELASTIC_PASSWORD": "x"}}
    assert set(faults(open_)) >= {
        "capabilities", "writes", "root", "memory", "health", "version", "digest", "ports", "privileged", "secrets",
    }  # fmt: skip


def test_every_role_that_the_desk_needs_runs_as_a_user_of_its_own_with_a_folder_of_its_own() -> None:
    assert {"crawl", "match", "alert", "search"} == OURS
    assert len({service["user"] for service in SERVICES.values() if "ullage" in service["image"]}) == len(OURS) + 1
    for name in OURS:
        assert SERVICES[name]["volumes"][0].endswith(f"/{name}:/var/lib/ullage")
        assert SERVICES[name]["healthcheck"]["test"][1:] == ["/opt/ullage/bin/ullage", "status", name]


def test_all_is_within_one_network_and_only_its_owner_is_reached() -> None:
    (owner,) = {name for name, service in SERVICES.items() if "ports" in service}
    assert {service["network_mode"] for name, service in SERVICES.items() if name != owner} == {f"service:{owner}"}


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_container_reads_is_there(name: str) -> None:
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


def test_no_secret_or_volume_is_for_nobody() -> None:
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == COMPOSE["secrets"].keys()
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert COMPOSE["volumes"].keys() <= mounted


def test_the_roles_understand_their_configuration(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "ullage.toml", tmp_path)
    tmp_path.chmod(0o700)
    (tmp_path / "ullage.toml").chmod(0o644)
    settings = load(tmp_path)
    kafka = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].removeprefix("PLAINTEXT://")
    assert settings.bus.url == f"kafka://{kafka}?create=1"
    assert settings.store.url.startswith("elasticsearch://127.0.0.1:9200?")
    assert f"proxy_pass http://{settings.search.host}:{settings.search.port};" in nginx()
    assert set(settings.notify.routes["desk"].channels) == {"desk"}


def nginx() -> str:
    return (FOLDER / "nginx.conf").read_text(encoding="utf-8")


def test_monitoring_is_asked_where_it_listens() -> None:
    """The files of deploy/prometheus and deploy/grafana are mounted as they are: containers listen where these ask."""
    root = FOLDER.parent
    prometheus = yaml.safe_load((root / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (alertmanager,) = prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert f"--web.listen-address={alertmanager}" in SERVICES["alertmanager"]["command"]
    source = yaml.safe_load((root / "grafana" / "provisioning" / "datasources" / "prometheus.yaml").read_text(encoding="utf-8"))
    listens = source["datasources"][0]["url"].removeprefix("http://")
    assert f"--web.listen-address={listens}" in SERVICES["prometheus"]["command"]
    boards = yaml.safe_load((root / "grafana" / "provisioning" / "dashboards" / "ullage.yaml").read_text(encoding="utf-8"))
    assert any(v.endswith(f":{boards['providers'][0]['options']['path']}:ro") for v in SERVICES["grafana"]["volumes"])
    ports = [target.rpartition(":")[2] for one in prometheus["scrape_configs"][0]["static_configs"] for target in one["targets"]]
    taken = re.findall(r"127\.0\.0\.1:(\d+)", str({n: SERVICES[n] for n in ("kafka", "prometheus", "alertmanager")}))
    assert not {*ports} & {*taken}, "two would listen on one port"


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    made = make_certificates()
    (tmp_path / "console.crt").write_bytes(made.certificate)
    (tmp_path / "console.key").write_bytes(made.key)
    text = nginx()
    for folder in ("/tmp/", "/etc/nginx/", "/run/secrets/"):
        text = text.replace(folder, f"{tmp_path}/")
    (tmp_path / "nginx.conf").write_text(text, encoding="utf-8")
    words = [need("nginx", "nginx-light"), "-t", "-q", "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
