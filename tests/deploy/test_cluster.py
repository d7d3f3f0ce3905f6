"""The chart on a real API server: installed, changed and removed by Helm, each object as it is
stored, and who may not.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.helm.__main__ import lay_out
from tests.deploy import helm
from tests.deploy.api_server import Cluster, cluster
from tests.deploy.test_helm import OPERATOR

pytestmark = pytest.mark.deploy
MADE_BY_OPERATOR = {"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        for kind, name in MADE_BY_OPERATOR.items():
            assert (
                found.ask(
                    "POST",
                    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                    crd(kind, name),
                )[0]
                == 201
            )
        yield found


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("chart"))


def crd(kind: str, name: str) -> dict[str, Any]:
    """Return a kind of Prometheus's operator that takes any content."""
    group, version = OPERATOR.split("/")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    one = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": kind, "plural": name, "singular": kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{name}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [one]},
    }  # fmt: skip


def ask_helm(server: Cluster, *words: object, who: str = "kubeconfig") -> tuple[int, str]:
    done = helm.run(*words, "--kubeconfig", getattr(server, who))
    return done.returncode, done.stdout + done.stderr


def differences(wanted: Any, stored: Any, at: str = "") -> list[str]:
    """List where a stored object differs from the wanted one.

    What the server added by itself is no difference.
    """
    if isinstance(wanted, dict) and isinstance(stored, dict):
        return [
            one
            for key, value in wanted.items()
            for one in differences(value, stored.get(key), f"{at}.{key}")
        ]
    if isinstance(wanted, list) and isinstance(stored, list) and len(wanted) == len(stored):
        return [
            one
            for n, (a, b) in enumerate(zip(wanted, stored, strict=True))
            for one in differences(a, b, f"{at}[{n}]")
        ]
    return (
        []
        if wanted == stored or (wanted in ({}, [], None) and stored is None)
        else [f"{at}: {wanted!r} is {stored!r}"]
    )


def test_field_dropped_by_the_server_is_detected(server: Cluster) -> None:
    made = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "one"},
        "data": {"a": "b"},
        "datum": "c",
    }
    assert server.ask("POST", "/api/v1/namespaces/default/configmaps", made)[0] == 201
    _, stored = server.ask("GET", server.place(made, "default"))
    assert differences(made, stored) == [".datum: 'c' is None"]


def names_of(path: Path) -> str:
    return path.stem.removesuffix("-values")


@pytest.mark.parametrize("values", helm.SETS, ids=names_of)
def test_each_object_is_stored_unchanged_and_removed_with_the_release(
    server: Cluster, chart: Path, values: Path
) -> None:
    space, made = f"space-{names_of(values)}", helm.render_chart(chart, values)
    code, said = ask_helm(
        server,
        "install",
        "leaks",
        chart,
        "--namespace",
        space,
        "--create-namespace",
        "--values",
        values,
    )
    assert code == 0, said
    faults = []
    for one in helm.render_chart(chart, values, "--namespace", space):
        status, stored = server.ask("GET", server.place(one, space))
        assert status == 200, one["metadata"]["name"]
        faults += differences(one, stored, f"{one['kind']} {one['metadata']['name']}")
    assert faults == []

    code, said = ask_helm(
        server,
        "upgrade",
        "leaks",
        chart,
        "--namespace",
        space,
        "--values",
        values,
        "--set",
        "image.tag=9.9.9",
    )
    assert code == 0, said
    for one in (one for one in made if one["kind"] == "StatefulSet"):
        _, stored = server.ask("GET", server.place(one, space))
        annotations = stored["spec"]["template"]["metadata"]["annotations"]
        assert annotations.items() >= one["spec"]["template"]["metadata"]["annotations"].items()
        image = stored["spec"]["template"]["spec"]["containers"][0]["image"]
        assert image.endswith(":9.9.9") or "@sha256:" in image

    code, said = ask_helm(server, "uninstall", "leaks", "--namespace", space)
    assert code == 0, said
    assert [
        one["metadata"]["name"]
        for one in made
        if server.ask("GET", server.place(one, space))[0] != 404
    ] == []


def test_no_service_may_query_the_cluster(server: Cluster, chart: Path) -> None:
    values = helm.CHART / "ci" / "inner-values.yaml"
    code, said = ask_helm(
        server,
        "install",
        "leaks",
        chart,
        "--namespace",
        "denied",
        "--create-namespace",
        "--values",
        values,
    )
    assert code == 0, said
    accounts = [
        one["metadata"]["name"]
        for one in helm.render_chart(chart, values)
        if one["kind"] == "ServiceAccount"
    ]
    assert len(accounts) == 3
    for account in accounts:
        user = {"Impersonate-User": f"system:serviceaccount:denied:{account}"}
        for path in ("secrets", "configmaps", "pods", "secrets/match-keys"):
            status, answer = server.ask("GET", f"/api/v1/namespaces/denied/{path}", **user)
            assert (status, answer["reason"]) == (403, "Forbidden"), (account, path)
        review = {
            "spec": {
                "resourceAttributes": {
                    "namespace": "denied",
                    "verb": "create",
                    "resource": "pods",
                    "subresource": "exec",
                }
            }
        }
        status, answer = server.ask(
            "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review, **user
        )
        assert (status, answer["status"]["allowed"]) == (201, False)


def test_user_without_a_role_installs_nothing(server: Cluster, chart: Path) -> None:
    values = helm.CHART / "ci" / "crawl-values.yaml"
    assert server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "foreign"}})[0] == 201
    code, said = ask_helm(
        server,
        "install",
        "leaks",
        chart,
        "--namespace",
        "foreign",
        "--values",
        values,
        who="stranger",
    )
    assert code != 0
    assert 'User "nobody" cannot' in said
    for one in helm.render_chart(chart, values):
        assert server.ask("GET", server.place(one, "foreign"))[0] == 404
    status, secrets = server.ask("GET", "/api/v1/namespaces/foreign/secrets")
    assert (status, json.dumps(secrets["items"])) == (200, "[]")
