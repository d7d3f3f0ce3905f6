"""Helm and Kubernetes' schemas, kept in ULLAGE_DEPLOY_CACHE, and what the chart becomes by some
values.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from deploy import helm as chart_of
from tests.deploy.units import unable
from ullage.files.atomic_write import wait_for_lock

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

CACHE = Path(os.environ.get("ULLAGE_DEPLOY_CACHE") or Path.home() / ".cache" / "ullage-deploy")
MODULES = {
    "helm": "helm.sh/helm/v3/cmd/helm@v3.22.0",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0",
}
REQUIREMENTS = Path(__file__).with_name("requirements-helm.txt")
OLDEST, NEWEST = "1.29.0", "1.37.0"
"""The versions of Kubernetes that the chart is held against; the first is what its Chart.yaml
asks for.
"""
CHART = Path(__file__).parents[2] / chart_of.CHART
SETS = sorted((CHART / "ci").glob("*.yaml"))
Manifest = dict[str, Any]


@contextlib.contextmanager
def once(what: str) -> Iterator[None]:
    """Let a single run of the tests at a time make `what`.

    On a new machine there is no cache yet.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with wait_for_lock(CACHE / f"{what}.lock"):
        yield


@cache
def built(name: str) -> str:
    """Return a program: the system's, or one built by Go, which takes some minutes."""
    if system_program := shutil.which(name):
        return system_program
    made = CACHE / "bin" / name
    with once(name):
        if not made.exists():
            go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
            if go is None:
                unable(f"{name} is not there: install it, or Go, which builds it")
            done = subprocess.run(
                [str(go), "install", MODULES[name]],
                env={**os.environ, "GOBIN": str(made.parent), "GOFLAGS": ""}, capture_output=True,
                text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                unable(f"{name} could not be built: {done.stderr.strip().splitlines()[-1]}")
    return str(made)


def run(*words: object) -> subprocess.CompletedProcess[str]:
    """Helm, without what anybody has configured for it."""
    home = {"PATH": os.environ["PATH"], "HOME": str(CACHE)}
    return subprocess.run(
        [built("helm"), *map(str, words)], capture_output=True, text=True, check=False, env=home
    )


def render_chart(chart: Path, values: Path, *more: str) -> list[Manifest]:
    """Return the manifests that these values install."""
    done = run(
        "template",
        "leaks",
        chart,
        "--namespace",
        "leaks",
        "--kube-version",
        NEWEST,
        "--values",
        values,
        *more,
    )
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


@cache
def schemas() -> Path:
    """Return the folder with Kubernetes' schemas, installed by pip as their hash says."""
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    folder = CACHE / "kubernetes-schemas"
    with once("schemas"):
        stamp = folder / "installed.txt"
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            words = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
            ]
            words += [
                "--no-compile",
                "--require-hashes",
                "--target",
                str(folder),
                "--requirement",
                str(REQUIREMENTS),
            ]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                unable(f"Kubernetes' schemas cannot be had: {done.stderr.strip().splitlines()[-1]}")
            stamp.write_text(wanted, encoding="utf-8")
    return folder / "kubernetes_validate" / "kubernetes-json-schema"


@cache
def validator(version: str, kind: str, group: str) -> Validator:
    """Return a validator by the strict schema, which knows no field that Kubernetes does not."""
    # two seconds to load, which every worker would spend to collect
    from jsonschema import Draft7Validator

    folder = schemas() / f"v{version}-local-strict"
    schema = json.loads((folder / f"{name_of(kind, group)}.json").read_text(encoding="utf-8"))
    schema.pop("$id", None)
    shared = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))
    shared.pop("$id", None)
    registry = Registry().with_resource(
        "/api/_definitions.json", Resource.from_contents(shared, default_specification=DRAFT7)
    )
    return Draft7Validator(schema, registry=registry)


def conform(
    manifests: list[Manifest], version: str, folder: Path, *skip: str
) -> subprocess.CompletedProcess[str]:
    """Return what kubeconform says of objects, by the strict schemas of this version.

    Kinds to `skip` have none. The schemas are put into `folder` under names of files, as
    kubeconform looks for what one says of another.
    """
    of_version = schemas() / f"v{version}-local-strict"
    wanted = {
        f"{name_of(one['kind'], one['apiVersion'])}.json"
        for one in manifests
        if one["kind"] not in skip
    }
    for name in ("_definitions.json", *wanted):
        schema = json.loads((of_version / name).read_text(encoding="utf-8"))
        schema.pop("$id", None)
        (folder / name).write_text(
            json.dumps(schema).replace('"/api/_definitions.json', '"_definitions.json'),
            encoding="utf-8",
        )
    words = [
        built("kubeconform"),
        "-strict",
        "-summary",
        "-kubernetes-version",
        version,
        "-skip",
        ",".join(skip),
    ]
    words += ["-schema-location", f"{folder}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"]
    return subprocess.run(
        words, input=yaml.safe_dump_all(manifests), capture_output=True, text=True, check=False
    )


def name_of(kind: str, group: str) -> str:
    """Return the name of a kind's schema."""
    api, _, release = group.rpartition("/")
    return "-".join(part for part in (kind.lower(), api.partition(".")[0], release) if part)


def faults(manifest: Manifest, version: str) -> Iterator[str]:
    """Yield what Kubernetes of this version would refuse."""
    for error in validator(version, manifest["kind"], manifest["apiVersion"]).iter_errors(manifest):
        yield (
            f"{manifest['kind']} {manifest['metadata']['name']}: {error.json_path}:"
            f" {error.message[:300]}"
        )
