"""A real Kubernetes API server, without a node: etcd of Debian, and kube-apiserver, which Go builds
once.

python -m tests.deploy.api_server      builds it, for tests that are skipped without it (eight
                                       minutes on a free machine)
"""

import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from deploy.local.certificates import make_certificates
from deploy.local.server import HOST, free_ports, running
from tests.deploy.helm import CACHE, Manifest, once
from tests.deploy.units import need

VERSION, STAGING = "v1.34.4", "v0.34.4"
"""Of Kubernetes, and of the modules that its own go.mod takes from folders beside it."""
PROGRAM = CACHE / "bin" / f"kube-apiserver-{VERSION}"
PACKAGE = "k8s.io/kubernetes/cmd/kube-apiserver"
STAGED = re.compile(r"^\t(k8s\.io/[a-z-]+) => \./staging/", re.MULTILINE)
READY_SECONDS = 60.0
ADMIN, NOBODY = "admin-token", "nobody-token"


def program() -> str:
    """Return the program's path.

    The test is skipped without it, in CI too, whose hour has no room for the build.
    """
    with once("kube-apiserver"):  # it may be under way
        if not PROGRAM.exists():
            pytest.skip(
                "kube-apiserver is not there: python -m tests.deploy.api_server builds it (8"
                " minutes on a free machine)"
            )
    return str(PROGRAM)


def build() -> None:
    """Build it as its modules are on the module proxy, with the staging modules by their own
    versions.
    """
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise SystemExit("kube-apiserver is built by Go, which is not there: install it")
    folder = CACHE / "kube-apiserver"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def run(*words: str) -> str:
        environment = {**os.environ, "GOFLAGS": "-mod=mod"}
        done = subprocess.run(
            ["nice", str(go), *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(
                f"kube-apiserver could not be built: {done.stderr.strip().splitlines()[-1]}"
            )
        return done.stdout

    told = json.loads(run("mod", "download", "-json", f"k8s.io/kubernetes@{VERSION}"))
    replaced = "\n".join(
        f"\t{name} => {name} {STAGING}"
        for name in STAGED.findall(Path(told["GoMod"]).read_text("utf-8"))
    )
    module = (
        "module apiserver.test\n\ngo 1.24.0\n\ngodebug default=go1.24\n\nrequire k8s.io/kubernetes"
        f" {VERSION}\n"
    )
    (folder / "go.mod").write_text(f"{module}\nreplace (\n{replaced}\n)\n", encoding="utf-8")
    run("get", f"{PACKAGE}@{VERSION}")
    major, minor, _ = VERSION.removeprefix("v").split(".")
    said = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(
        [
            "-s",
            "-w",
            *(f"-X k8s.io/component-base/version.{name}={value}" for name, value in said.items()),
        ]
    )
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    run("build", "-trimpath", "-ldflags", flags, "-o", str(PROGRAM), PACKAGE)


@dataclass(frozen=True)
class Cluster:
    """A server that answers; `kubeconfig` is that of who may everything, `stranger` that of whom
    no role is bound to.
    """

    port: int
    context: ssl.SSLContext
    kubeconfig: Path
    stranger: Path

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Send a request of the administrator, and return status and answer."""
        connection = http.client.HTTPSConnection(HOST, self.port, context=self.context, timeout=30)
        told = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json", **headers}
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body is not None else None, told)
            answer = connection.getresponse()
            text = answer.read().decode()
        return answer.status, json.loads(text) if text.startswith("{") else text

    def kinds(self, group: str) -> dict[str, str]:
        """Kind to the name in addresses, of a group and version such as `apps/v1`."""
        _, answer = self.ask("GET", root_of(group))
        return {one["kind"]: one["name"] for one in answer["resources"] if "/" not in one["name"]}

    def place(self, made: Manifest, namespace: str) -> str:
        """Return the address of an object in a namespace."""
        name = self.kinds(made["apiVersion"])[made["kind"]]
        folder = f"{root_of(made['apiVersion'])}/namespaces/{namespace}/{name}"
        return f"{folder}/{made['metadata']['name']}"


def root_of(group: str) -> str:
    """Return the path below which a group and version are served."""
    return f"/apis/{group}" if "/" in group else f"/api/{group}"


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Run both programs over an empty `folder` until the block ends."""
    etcd, server = need("etcd", "etcd-server"), program()
    client, peer, port = free_ports(3)
    store, other = f"http://{HOST}:{client}", f"http://{HOST}:{peer}"
    made = make_certificates()
    signing = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    tokens = f'{ADMIN},admin,1,"system:masters"\n{NOBODY},nobody,2\n'.encode()
    for name, content in (
        ("tls.crt", made.certificate),
        ("tls.key", made.key),
        ("sa.key", signing),
        ("tokens.csv", tokens),
    ):
        (folder / name).write_bytes(content)
    keep = [
        etcd, f"--data-dir={folder}/etcd", f"--listen-client-urls={store}",
        f"--advertise-client-urls={store}",
        f"--listen-peer-urls={other}", f"--initial-advertise-peer-urls={other}",
        f"--initial-cluster=default={other}",
    ]  # fmt: skip
    serve = [
        server, f"--etcd-servers={store}", f"--bind-address={HOST}", f"--secure-port={port}",
        "--authorization-mode=RBAC",
        f"--tls-cert-file={folder}/tls.crt", f"--tls-private-key-file={folder}/tls.key",
        f"--token-auth-file={folder}/tokens.csv", f"--service-account-key-file={folder}/sa.key",
        f"--service-account-signing-key-file={folder}/sa.key",
        "--service-account-issuer=https://cluster.test",
        "--service-cluster-ip-range=10.0.0.0/24",
    ]  # fmt: skip
    context = ssl.create_default_context(cadata=made.authority.decode("ascii"))
    found = Cluster(port, context, folder / "admin.yaml", folder / "nobody.yaml")
    for path, token in ((found.kubeconfig, ADMIN), (found.stranger, NOBODY)):
        path.write_text(_kubeconfig(port, made.authority, token), encoding="utf-8")
        path.chmod(0o600)
    with (
        running("etcd", keep, folder / "etcd.log", {}, client),
        running("kube-apiserver", serve, folder / "server.log", {}, port),
    ):
        deadline = time.monotonic() + READY_SECONDS
        while found.ask("GET", "/readyz")[0] != 200:
            assert time.monotonic() < deadline, (folder / "server.log").read_text(encoding="utf-8")[
                -2000:
            ]
        yield found


def _kubeconfig(port: int, authority: bytes, token: str) -> str:
    """Return the file that Helm reads."""
    server = {
        "server": f"https://{HOST}:{port}",
        "certificate-authority-data": base64.b64encode(authority).decode(),
    }
    one = {
        "clusters": [{"name": "c", "cluster": server}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    chosen = {
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **one, **chosen})


if __name__ == "__main__":
    with once("kube-apiserver"):
        build()
