"""The chart: Kubernetes takes what it becomes, nothing goes in or out that is not named, the
roles understand what they get.
"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml
from prometheus_client import CollectorRegistry, Gauge

from deploy.grafana.generate import CONSOLE, RUNBOOKS
from deploy.helm import BOARDS, RULES
from deploy.helm.__main__ import ROOT, lay_out
from deploy.local.certificates import Authority, Certificates, make_certificates
from deploy.local.server import HOST, free_ports, running
from tests.deploy import helm
from tests.deploy.tools import run as tool
from tests.deploy.units import need, unable
from ullage import __version__
from ullage.errors import ConfigError
from ullage.monitoring.metrics import metrics_server
from ullage.runtime.service import port_of
from ullage.security.keys import KeyStore, make_seal_pair
from ullage.settings import load

pytestmark = pytest.mark.deploy

OPERATOR = "monitoring.coreos.com/v1"
ROLES = {
    "outer": {"crawl", "collect", "intake"},
    "inner": {"match", "alert", "search"},
    "crawl": {"crawl"},
}
Manifest = helm.Manifest


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("chart"))


@pytest.fixture(
    scope="module", params=helm.SETS, ids=lambda path: path.stem.removesuffix("-values")
)
def values(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(scope="module")
def made(chart: Path, values: Path) -> list[Manifest]:
    return helm.render_chart(chart, values)


def values_of(name: str) -> Path:
    return helm.CHART / "ci" / f"{name}-values.yaml"


def select_kind(made: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in made if one["kind"] == kind}


def pods(made: list[Manifest]) -> dict[str, Manifest]:
    """Role to pod."""
    sets = select_kind(made, "StatefulSet").values()
    return {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["template"]["spec"]
        for one in sets
    }


def containers(pod: Manifest) -> Iterator[Manifest]:
    yield from (*pod["initContainers"], *pod["containers"])


def test_chart_passes_lint(chart: Path, values: Path) -> None:
    done = helm.run("lint", "--strict", "--kube-version", helm.NEWEST, chart, "--values", values)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", [helm.OLDEST, helm.NEWEST])
def test_kubernetes_accepts_the_rendered_objects(made: list[Manifest], version: str) -> None:
    assert [
        fault
        for one in made
        if one["apiVersion"] != OPERATOR
        for fault in helm.faults(one, version)
    ] == []


@pytest.mark.parametrize("version", [helm.OLDEST, helm.NEWEST])
def test_kubeconform_accepts_the_rendered_objects(
    made: list[Manifest], version: str, tmp_path: Path
) -> None:
    done = helm.conform(made, version, tmp_path, "ServiceMonitor", "PrometheusRule")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        f"Valid: {sum(one['apiVersion'] != OPERATOR for one in made)}, Invalid: 0, Errors: 0"
        in done.stdout
    )


def test_kubeconform_detects_an_unknown_field(made: list[Manifest], tmp_path: Path) -> None:
    one = next(iter(select_kind(made, "StatefulSet").values()))
    wrong = json.loads(json.dumps(one).replace("readOnlyRootFilesystem", "readOnlyRootFileSystem"))
    done = helm.conform([wrong], helm.NEWEST, tmp_path)
    assert done.returncode == 1
    assert "Invalid: 1, Errors: 0" in done.stdout


def test_unknown_field_is_detected(made: list[Manifest]) -> None:
    one = next(iter(select_kind(made, "StatefulSet").values()))
    wrong = json.loads(json.dumps(one).replace("readOnlyRootFilesystem", "readOnlyRootFileSystem"))
    assert "readOnlyRootFileSystem" in "".join(helm.faults(wrong, helm.NEWEST))


def test_chart_has_this_version_and_the_oldest_tested_kubernetes(
    chart: Path,
) -> None:
    about = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
    assert (about["version"], about["appVersion"]) == (__version__, __version__)
    assert about["kubeVersion"] == f">={helm.OLDEST}-0"


def test_each_service_is_a_pod_with_user_volume_secret_and_budget(
    made: list[Manifest], values: Path
) -> None:
    roles = pods(made)
    assert set(roles) == ROLES[values.stem.removesuffix("-values")]
    users = {pod["securityContext"]["runAsUser"] for pod in roles.values()}
    secrets = {
        volume["secret"]["secretName"]
        for pod in roles.values()
        for volume in pod["volumes"]
        if volume["name"] == "secret"
    }
    assert len(users) == len(secrets) == len(roles)
    for name, one in select_kind(made, "StatefulSet").items():
        assert [claim["metadata"]["name"] for claim in one["spec"]["volumeClaimTemplates"]] == [
            "data"
        ]
        chosen = one["spec"]["selector"]["matchLabels"]
        assert chosen.items() <= one["spec"]["template"]["metadata"]["labels"].items()
        for kind, path in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
            assert select_kind(made, kind)[name]["spec"][path]["matchLabels"] == chosen
        assert (
            select_kind(made, "Service")[one["spec"]["serviceName"]]["spec"]["selector"] == chosen
        )


def test_containers_have_minimal_privileges(made: list[Manifest]) -> None:
    for pod in pods(made).values():
        assert pod["automountServiceAccountToken"] is False
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume]
        for one in containers(pod):
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert "memory" in one["resources"]["limits"]
            assert not one["image"].endswith(":latest")


def test_pod_settings_appear_in_the_pod(chart: Path) -> None:
    made = helm.render_chart(chart, values_of("inner"))
    alert = select_kind(made, "StatefulSet")["leaks-alert"]["spec"]["template"]
    assert (
        alert["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"]
        == "false"
    )
    [term] = alert["spec"]["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "zone", "operator": "In", "values": ["inner"]}]
    assert {"name": "ULLAGE_LOG_LEVEL", "value": "warning"} in pods(made)["match"]["containers"][0][
        "env"
    ]
    assert "affinity" not in pods(made)["match"]


def test_ingress_leads_to_the_console_over_tls(chart: Path) -> None:
    made = helm.render_chart(chart, values_of("inner"))
    [ingress] = select_kind(made, "Ingress").values()
    [rule] = ingress["spec"]["rules"]
    [path] = rule["http"]["paths"]
    service = select_kind(made, "Service")[path["backend"]["service"]["name"]]
    assert {port["name"]: port["targetPort"] for port in service["spec"]["ports"]} == {
        "https": 8443
    }
    assert service["spec"]["selector"]["app.kubernetes.io/component"] == "search"
    assert ingress["spec"]["tls"] == [{"hosts": [rule["host"]], "secretName": "console-tls"}]
    assert (
        f'public = ["https://{rule["host"]}"]'
        in select_kind(made, "ConfigMap")["leaks-search"]["data"]["ullage.toml"]
    )
    alone = ("--set", "roles.search.enabled=false,assess.enabled=false")
    done = helm.run(
        "template",
        "x",
        chart,
        "--kube-version",
        helm.NEWEST,
        "--values",
        values_of("inner"),
        *alone,
    )
    assert done.returncode != 0
    assert "enable roles.search" in done.stderr


def test_shipped_boards_are_included_and_link_to_this_console(chart: Path) -> None:
    made = select_kind(helm.render_chart(chart, values_of("inner")), "ConfigMap")
    shipped = {
        path.stem: path.read_text(encoding="utf-8") for path in (ROOT / BOARDS).glob("*.json")
    }
    assert len(shipped) == 4
    for name, text in shipped.items():
        one = made[f"leaks-board-{name}"]
        here = text.replace(RUNBOOKS, "https://wiki.bank.example/ullage").replace(
            CONSOLE, "https://ullage.bank.example"
        )
        assert one["data"] == {f"ullage-{name}.json": here}
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"] == {"grafana_folder": "Ullage"}


def test_secrets_are_referenced_and_never_created(made: list[Manifest]) -> None:
    assert not select_kind(made, "Secret")
    for pod in pods(made).values():
        for one in pod["containers"]:
            assert "secret" not in {mount["name"] for mount in one["volumeMounts"]}, (
                "what is mounted there is refused"
            )
            assert not [
                entry
                for entry in one.get("env", ())
                if "PASSWORD" in entry["name"] or "valueFrom" in entry
            ]


def test_probes_match_the_listeners_and_configuration_is_valid(
    made: list[Manifest], tmp_path: Path
) -> None:
    texts = {
        one["data"]["ullage.toml"]
        for one in select_kind(made, "ConfigMap").values()
        if "ullage.toml" in one["data"]
    }
    (tmp_path / "ullage.toml").write_text(texts.pop(), encoding="utf-8")
    settings = load(tmp_path)
    assert not texts, "all roles read the same"
    for role, pod in pods(made).items():
        one = next(one for one in pod["containers"] if one["name"] == role)
        words = " ".join(one["args"][2:])
        assert words.split()[0] == role
        for probe, path in (
            ("startupProbe", "healthz"),
            ("livenessProbe", "healthz"),
            ("readinessProbe", "readyz"),
        ):
            assert (
                f"'http://127.0.0.1:{port_of(settings, words)}/{path}'"
                in one[probe]["exec"]["command"][-1]
            )


PRIVATE = {
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
}


def list_peers(made: list[Manifest], role: str) -> tuple[set[str], set[str]]:
    """Return who reaches the role, and whom it reaches, as peers in JSON with their ports."""
    spec = select_kind(made, "NetworkPolicy")[f"leaks-{role}"]["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}

    def flat(rules: list[Any] | None, side: str) -> set[str]:
        return {
            f"{json.dumps(peer, sort_keys=True)} {sorted(port['port'] for port in rule['ports'])}"
            for rule in rules or ()
            for peer in rule[side]
        }

    return flat(spec["ingress"], "from"), flat(spec["egress"], "to")


def test_network_policy_denies_everything_not_named(made: list[Manifest]) -> None:
    nothing = select_kind(made, "NetworkPolicy")["leaks-nothing"]["spec"]
    assert set(nothing) == {"podSelector", "policyTypes"}
    assert set(nothing["policyTypes"]) == {"Ingress", "Egress"}
    for one in select_kind(made, "StatefulSet").values():
        assert (
            nothing["podSelector"]["matchLabels"].items()
            <= one["spec"]["template"]["metadata"]["labels"].items()
        )


def test_only_crawl_and_collectors_reach_the_public_internet(
    chart: Path,
) -> None:
    made = helm.render_chart(chart, values_of("outer"))
    for role in ROLES["outer"]:
        _, out = list_peers(made, role)
        open_ = [
            json.loads(peer.rpartition(" [")[0])
            for peer in out
            if "0.0.0.0/0" in peer or "::/0" in peer
        ]
        assert bool(open_) == (role != "intake"), role
        for peer in open_:
            assert set(peer["ipBlock"]["except"]) >= (
                PRIVATE if "." in peer["ipBlock"]["cidr"] else {"fc00::/7", "fe80::/10"}
            )
    assert list_peers(made, "crawl")[0] == list_peers(made, "collect")[0] == set()


def test_match_reaches_only_the_bus_and_people_only_the_console(chart: Path) -> None:
    made = helm.render_chart(chart, values_of("inner"))
    name = "kubernetes.io/metadata.name"
    dns = {
        "namespaceSelector": {"matchLabels": {name: "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    bus, channel = ({"ipBlock": {"cidr": cidr}} for cidr in ("192.0.2.0/28", "203.0.113.9/32"))
    store, people = (
        {"namespaceSelector": {"matchLabels": {name: space}}} for space in ("elastic", "ingress")
    )

    def describe_peer(peer: object, *ports: int) -> str:
        return f"{json.dumps(peer, sort_keys=True)} {list(ports)}"

    def pods_of(role: str) -> object:
        chosen = {"name": "ullage", "instance": "leaks", "component": role}
        return {
            "podSelector": {
                "matchLabels": {f"app.kubernetes.io/{key}": value for key, value in chosen.items()}
            }
        }

    asked = describe_peer(dns, 53, 53)
    out = {
        "match": {asked, describe_peer(bus, 9093)},
        "alert": {
            asked,
            describe_peer(bus, 9093),
            describe_peer(store, 9200),
            describe_peer(channel, 443),
        },
        "search": {asked, describe_peer(store, 9200), describe_peer(pods_of("match"), 9444)},
    }
    assert {role: list_peers(made, role)[1] for role in out} == out
    [prometheus] = list_peers(made, "match")[0] - {describe_peer(pods_of("search"), 9444)}
    assert prometheus.endswith("[9443]")
    assert list_peers(made, "alert")[0] == {prometheus}
    assert list_peers(made, "search")[0] == {prometheus, describe_peer(people, 8443)}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("roles.crawl.enable=true", "enable"),
        ("roles.crawl.secret=", "secret"),
        ("roles.match.replicas=2", "replicas"),
        ("roles.alert.replicas=7", "replicas"),
        ("roles.crawl.enabled=false", "roles"),
        ("roles.crawl.storage.size=much", "size"),
        ("roles.crawl.resources.limits.memory=null", "limits"),
        ("roles.search.enabled=true,roles.search.secret=s", "proxy/secret"),
        ("config=", "config"),
        ("image.tag=latest", "tag"),
        ("image.digest=sha256:abc", "digest"),
        ("image.repository=registry.example.com/ullage", "digest"),
        ("proxy.image=nginx", "proxy/image"),
        ("network.bus.ports[0]=0", "ports"),
        ("network.readers.peers[0].cidr=0.0.0.0/0", "peers"),
        ("monitoring.enabled=true", "monitoring/secret"),
        ("networks.bus=x", "networks"),
        ("ingress.enabled=true", "ingress/host"),
        ("roles.crawl.env[0].name=CREDENTIALS_DIRECTORY,roles.crawl.env[0].value=x", "env"),
        ("roles.crawl.affinity=here", "affinity"),
        ("dashboards.enabled=yes", "dashboards"),
    ],
)
def test_invalid_values_are_rejected_by_name(chart: Path, wrong: str, said: str) -> None:
    done = helm.run(
        "template",
        "leaks",
        chart,
        "--kube-version",
        helm.NEWEST,
        "--values",
        values_of("crawl"),
        "--set",
        wrong,
    )
    assert done.returncode != 0
    assert "schema" in done.stderr
    assert said in done.stderr


def test_nothing_is_installed_without_values(chart: Path) -> None:
    done = helm.run("template", "leaks", chart, "--kube-version", helm.NEWEST)
    assert done.returncode != 0
    assert "'/config'" in done.stderr


def test_shipped_rules_are_included_with_local_runbook_links(chart: Path, tmp_path: Path) -> None:
    made = select_kind(helm.render_chart(chart, values_of("inner")), "PrometheusRule")
    shipped = {
        f"leaks-{path.stem}": path.read_text(encoding="utf-8")
        for path in (ROOT / RULES).glob("*.yaml")
    }
    here = {
        name: text.replace(
            "https://runbooks.example.com/ullage", "https://wiki.bank.example/ullage"
        )
        for name, text in shipped.items()
    }
    assert {name: one["spec"] for name, one in made.items()} == {
        name: yaml.safe_load(text) for name, text in here.items()
    }
    assert all(one["metadata"]["labels"]["release"] == "monitoring" for one in made.values())
    for name, one in made.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(one["spec"]), encoding="utf-8")
    done = tool("promtool", "check", "rules", *tmp_path.glob("*.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    unlaid = helm.run(
        "template", "x", helm.CHART, "--kube-version", helm.NEWEST, "--values", values_of("inner")
    )
    assert unlaid.returncode != 0
    assert "python -m deploy.helm" in unlaid.stderr


def test_prometheus_labels_services_as_the_rules_expect(chart: Path) -> None:
    made = helm.render_chart(chart, values_of("inner"))
    [monitor] = select_kind(made, "ServiceMonitor").values()
    seen = {}
    for service in select_kind(made, "Service").values():
        labels = service["metadata"]["labels"]
        if monitor["spec"]["selector"]["matchLabels"].items() <= labels.items():
            assert monitor["spec"]["endpoints"][0]["port"] in {
                port["name"] for port in service["spec"]["ports"]
            }
            seen[labels["app.kubernetes.io/component"]] = labels[monitor["spec"]["jobLabel"]]
    assert seen == dict.fromkeys(ROLES["inner"], "ullage")
    labels = {
        one["targetLabel"]: one["sourceLabels"]
        for one in monitor["spec"]["endpoints"][0]["relabelings"]
    }
    assert labels["role"] == ["__meta_kubernetes_service_label_app_kubernetes_io_component"]


def test_metrics_require_a_client_certificate(chart: Path, tmp_path: Path) -> None:
    made, ours, others = (
        helm.render_chart(chart, values_of("inner")),
        make_certificates(),
        make_certificates(),
    )
    (tmp_path / "theirs.pem").write_bytes(others.certificate + others.key)
    registry = CollectorRegistry()
    Gauge("ullage_seen", "x", registry=registry).set(1)
    watched, desk, far = free_ports(3)
    folder = tmp_path / "search"
    with metrics_server(registry, 0, lambda: True) as served:
        program = nginx_of(
            made, "search", folder, ours, served.port, _9443=watched, _8443=desk, _9444=far
        )

        def asked(port: int, path: str, *shown: Path) -> tuple[int, str]:
            context = ssl.create_default_context(cadata=ours.authority.decode("ascii"))
            if shown:
                context.load_cert_chain(*shown)
            try:
                with urllib.request.urlopen(
                    f"https://127.0.0.1:{port}{path}", context=context, timeout=30
                ) as answer:
                    return answer.status, answer.read().decode("utf-8")
            except HTTPError as error:
                error.close()
                return error.code, ""

        with running("nginx", program, folder / "nginx.log", {}, watched):
            shown = (folder / "tls.crt", folder / "tls.key")
            status, body = asked(watched, "/metrics", *shown)
            assert (status, "ullage_seen 1.0" in body) == (200, True)
            assert asked(watched, "/readyz", *shown)[0] == 404
            assert asked(watched, "/metrics")[0] == 400
            assert asked(watched, "/metrics", tmp_path / "theirs.pem")[0] == 400
            assert asked(desk, "/metrics", *shown)[0] == 404


def nginx_of(
    made: list[Manifest],
    role: str,
    folder: Path,
    held: Certificates,
    served: int = 8600,
    **ports: int,
) -> list[str]:
    """Return the command that starts nginx of a role here.

    It has a folder of its own, runs as root, and loads the module that its image has built in.
    """
    folder.mkdir()
    for name, content in (
        ("tls.crt", held.certificate),
        ("tls.key", held.key),
        ("ca.crt", held.authority),
    ):
        (folder / name).write_bytes(content)
    text = select_kind(made, "ConfigMap")[f"leaks-{role}"]["data"]["nginx.conf"]
    changes = {
        "/tmp/": f"{folder}/",
        "127.0.0.1:8600": f"{HOST}:{served}",
        "leaks-match-assess:9444": f"{HOST}:{ports['_9444']}",
    }
    changes |= dict.fromkeys(
        ("/etc/ullage-tls", "/etc/ullage-assess", "/run/ullage-assess"), str(folder)
    )
    changes |= {f"listen {old[1:]}": f"listen {HOST}:{new}" for old, new in ports.items()}
    for old, new in changes.items():
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(f"user root;\n{text}", encoding="utf-8")
    module = "/usr/lib/nginx/modules/ngx_stream_module.so"
    if not Path(module).exists():
        unable("nginx has no streams: apt install libnginx-mod-stream")
    return [
        need("nginx", "nginx-light"),
        "-c",
        str(folder / "nginx.conf"),
        "-g",
        f"daemon off; load_module {module};",
    ]


def test_files_pass_from_search_to_match_with_both_certificates(
    chart: Path, tmp_path: Path
) -> None:
    made, authority = helm.render_chart(chart, values_of("inner")), Authority()
    ports = dict(zip(("_9443", "_9444", "_8443", "far"), free_ports(4), strict=True))
    served = nginx_of(made, "match", tmp_path / "match", authority.server("ullage-assess"), **ports)
    asks = {**ports, "_9443": ports["far"]}
    ours = nginx_of(made, "search", tmp_path / "search", authority.client("ullage-assess"), **asks)
    with (
        socket.socket(socket.AF_UNIX) as match,
        running("match", served, tmp_path / "match" / "log", {}, ports["_9444"]),
    ):
        match.bind(str(tmp_path / "match" / "assess.sock"))
        match.listen()
        match.settimeout(20)
        with (
            running("search", ours, tmp_path / "search" / "log", {}, ports["far"]),
            socket.socket(socket.AF_UNIX) as client,
        ):
            client.settimeout(20)
            client.connect(str(tmp_path / "search" / "assess.sock"))
            client.sendall(b"a file")
            connection, _ = match.accept()
            with connection:
                connection.settimeout(20)
                assert connection.recv(100) == b"a file"
                connection.sendall(b"its verdict")
                assert client.recv(100) == b"its verdict"
                client.close()
                assert connection.recv(1) == b"", "who hangs up has ended the work"
        bare = ssl.create_default_context(cadata=authority.server().authority.decode("ascii"))
        bare.check_hostname = False
        with (
            socket.create_connection((HOST, ports["_9444"]), timeout=20) as far,
            bare.wrap_socket(far) as stranger,
        ):
            assert is_closed(stranger), "without a certificate nobody has a file assessed"


def is_closed(connection: ssl.SSLSocket) -> bool:
    """Return whether the other side ends a connection; with TLS 1.3 only reading shows it."""
    try:
        connection.sendall(b"a file")
        return connection.recv(1) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_assessing_needs_match_and_search_in_one_release(chart: Path) -> None:
    wrong = ("--set", "roles.match.enabled=false")
    done = helm.run(
        "template",
        "x",
        chart,
        "--kube-version",
        helm.NEWEST,
        "--values",
        values_of("inner"),
        *wrong,
    )
    assert done.returncode != 0
    assert "between match and search" in done.stderr


def mount_files(folder: Path, files: dict[str, bytes]) -> None:
    """Mount files as kubelet mounts a Secret or ConfigMap.

    They are links in a folder that is open to all, changed by turning one link.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o1777)
    real = folder / f"..{len(list(folder.iterdir()))}"
    real.mkdir()
    for name, content in files.items():
        (real / name).write_bytes(content)
        (real / name).chmod(0o440)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data", name))
    (folder / "..new").symlink_to(real.name)
    (folder / "..new").rename(folder / "..data")
    for link in folder.iterdir():
        if link.is_symlink() and not link.exists():
            link.unlink()


def give(step: str, home: Path) -> subprocess.CompletedProcess[str]:
    places = {
        "GIVEN": str(home / "given"),
        "DATA": str(home / "data"),
        "RUN": str(home / "run" / "given"),
    }
    words = [shutil.which("sh") or "sh", str(helm.CHART / "files" / "give.sh"), step]
    return subprocess.run(
        words, env={"PATH": os.defpath, **places}, capture_output=True, text=True, check=False
    )


def test_only_given_mounted_files_are_copied_and_read(
    tmp_path: Path,
) -> None:
    made = KeyStore(tmp_path / "made")
    make_seal_pair(made, "20261127")
    public = {
        f"seal.{name}": (tmp_path / "made" / "seal" / name).read_bytes()
        for name in ("20261127.pub",)
    }
    given = tmp_path / "given"
    mount_files(given / "secret", {"store.password": b"synthetic\n", "frontier.key": b"f" * 32})
    mount_files(given / "config", {"ullage.toml": b'log_level = "warning"\n'})
    mount_files(given / "public", public)
    mount_files(given / "sites", {"one.toml": b"1", "two.toml": b"2"})
    with pytest.raises(ConfigError, match=r"symbolic link|mode"):
        KeyStore(tmp_path / "none", credentials=given / "secret").read("frontier.key")

    done = give("once", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    keys = KeyStore(tmp_path / "data" / "keys", credentials=tmp_path / "run" / "given")
    assert keys.read_lines("store.password") == ["synthetic"]
    assert keys.read("frontier.key") == b"f" * 32
    assert keys.read("seal/20261127.pub") == made.read("seal/20261127.pub")
    assert load(tmp_path / "data").log_level == "warning"

    make_seal_pair(made, "20261128")
    public |= {
        f"seal.{name}": (tmp_path / "made" / "seal" / name).read_bytes()
        for name in ("20261128.pub",)
    }
    before = (tmp_path / "data" / "sites.d" / "two.toml").stat()
    mount_files(given / "public", public)
    mount_files(given / "sites", {"two.toml": b"2", "three.toml": b"3"})
    assert give("change", tmp_path).returncode == 0
    assert keys.list_names("seal", ".pub") == ["seal/20261127.pub", "seal/20261128.pub"]
    assert {path.name for path in (tmp_path / "data" / "sites.d").iterdir()} == {
        "two.toml",
        "three.toml",
    }
    after = (tmp_path / "data" / "sites.d" / "two.toml").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_withdrawn_public_key_is_removed_and_own_ones_stay(tmp_path: Path) -> None:
    keys, given = tmp_path / "data" / "keys", tmp_path / "given"
    mount_files(given / "config", {"ullage.toml": b""})
    names = (
        "signers.captures.aa.pub",
        "signers.captures.aab.pub",
        "signers.findings.bb.pub",
        "seal.1.pub",
        "seal.2.pub",
    )
    mount_files(given / "public", dict.fromkeys(names, b"x" * 32))
    assert give("once", tmp_path).returncode == 0
    (keys / "signers" / "captures" / "own.pub").write_bytes(b"o" * 32)
    # its own pair, whose public half was carried outward
    (keys / "seal" / "2.key").write_bytes(b"k" * 32)
    shutil.rmtree(given / "public")
    mount_files(given / "public", {"signers.captures.aab.pub": b"x" * 32})
    assert give("change", tmp_path).returncode == 0
    left = {str(path.relative_to(keys)) for path in keys.rglob("*.pub*")}
    assert left == {"signers/captures/aab.pub", "signers/captures/own.pub", "seal/2.pub"}
    shutil.rmtree(given / "public")
    mount_files(given / "public", {})
    assert give("change", tmp_path).returncode == 0
    assert not (keys / "signers" / "captures" / "aab.pub").exists()


def test_private_key_among_the_public_ones_is_rejected(tmp_path: Path) -> None:
    mount_files(tmp_path / "given" / "config", {"ullage.toml": b""})
    mount_files(tmp_path / "given" / "public", {"seal.20261127.key": b"k" * 32})
    done = give("once", tmp_path)
    assert done.returncode == 1
    assert "seal.20261127.key" in done.stderr
    assert not (tmp_path / "data" / "keys").exists()
