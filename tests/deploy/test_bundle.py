"""The archive of a release: signed, whole, the same bytes each time, and it does the main job
where there is no network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.bundle.__main__ import CACHE
from deploy.bundle.build import tree_as_it_is
from deploy.bundle.pack import INSTALLER, PLATFORM, SETS, SIGNATURE, SUMS, pack, signing_key
from deploy.bundle.parts import PRODUCT, SHIPPED, closure, licences
from ullage import __version__
from ullage.errors import ConfigError

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "deploy" / "demo" / "sample"
NO_NETWORK = ("unshare", "--net")
"""A network namespace of its own, in which not even loopback is up."""
ASK = (
    "import socket, sys; s = socket.socket(); s.settimeout(3); sys.exit(s.connect_ex(('192.0.2.1',"
    " 9)))"
)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a pair of keys by openssl, as the document says; the public one lies beside it."""
    folder = tmp_path_factory.mktemp("keys")
    private, public = folder / "release.key", folder / "release.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    private.chmod(0o600)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private


@pytest.fixture(scope="module")
def commit() -> str:
    """Return an id of the tree as it is now, committed or not."""
    return tree_as_it_is(ROOT)


@pytest.fixture(scope="module")
def archive(commit: str, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(ROOT, tmp_path_factory.mktemp("archive"), CACHE, signing_key(key), commit)


@pytest.fixture(scope="module")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    return folder / f"{PRODUCT}-{__version__}"


@pytest.fixture
def copy(unpacked: Path, tmp_path: Path) -> Path:
    """Return a copy to spoil; its files are links, so that they are replaced and not written."""
    made = tmp_path / "copy"
    shutil.copytree(unpacked, made, copy_function=os.link)
    return made


def installed(
    folder: Path, key: Path, to: Path, *more: str, under: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    words = [
        "sh",
        folder / INSTALLER,
        "--key",
        key.with_suffix(".pub"),
        "--to",
        to,
        "--python",
        sys.executable,
        *more,
    ]
    env = {"PATH": os.environ["PATH"], "HOME": str(to.parent)}
    return subprocess.run([*under, *words], capture_output=True, text=True, env=env, check=False)


def replace_file(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def test_bundle_is_verified_and_installed_without_a_network(
    unpacked: Path, key: Path, tmp_path: Path
) -> None:
    without = subprocess.run(
        [*NO_NETWORK, sys.executable, "-c", ASK], capture_output=True, text=True, check=False
    )
    if "unshare" in without.stderr:
        reason = f"a network namespace needs root: {without.stderr.strip()}"
        pytest.fail(reason) if "CI" in os.environ else pytest.skip(reason)
    assert without.returncode, "there is a network in there"

    to, data = tmp_path / "opt" / "ullage", tmp_path / "data"
    done = installed(unpacked, key, to, under=NO_NETWORK)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout == f"ullage {__version__} is in {to}; next: {to}/bin/ullage --data DIR init\n"
    )

    def ullage(*words: str | Path) -> str:
        whole = [*NO_NETWORK, to / "bin" / "ullage", "--data", data, *words]
        ran = subprocess.run(
            whole,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"]},
            cwd=tmp_path,
            check=False,
        )
        assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
        return ran.stdout

    ullage("init")
    ullage("watchlist", "load", SAMPLE / "customers.csv", "--tenant", "sample-bank")
    [verdict] = json.loads(ullage("assess", SAMPLE / "leak.txt", "--json"))["tenants"]
    assert (verdict["tenant"], verdict["exposure"]["severity"], verdict["customers"]) == (
        "sample-bank",
        "high",
        48,
    )
    assert {part.name for part in to.iterdir()} >= {"bin", "lib"}
    again = installed(unpacked, key, to)
    assert (again.returncode, again.stdout) == (1, "")
    assert "is there already" in again.stderr


def test_openssl_alone_verifies_the_bundle(unpacked: Path, key: Path) -> None:
    words = (
        f"openssl pkeyutl -verify -pubin -inkey {key.with_suffix('.pub')} -rawin -in {SUMS}"
        f" -sigfile {SIGNATURE}"
    )
    assert (
        words.replace(str(key.with_suffix(".pub")), "/path/of/release.pub")
        in (ROOT / "docs" / "release.md").read_text()
    )
    done = subprocess.run(words.split(), cwd=unpacked, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully")
    assert (
        subprocess.run(
            ["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=unpacked, check=False
        ).returncode
        == 0
    )


def add(folder: Path) -> None:
    (folder / "wheels" / "more-1-py3-none-any.whl").write_bytes(b"")


def change_a_wheel(folder: Path) -> None:
    wheel = next((folder / "wheels").glob("ullage-*.whl"))
    replace_file(wheel, wheel.read_bytes() + b"\0")


def change_the_installer_and_the_sums(folder: Path) -> None:
    replace_file(folder / SUMS, (folder / SUMS).read_bytes().replace(b"0", b"1", 1))


def lose(folder: Path) -> None:
    (folder / "NOTICE").unlink()


def sign_by_another(folder: Path) -> None:
    replace_file(
        folder / SIGNATURE, Ed25519PrivateKey.generate().sign((folder / SUMS).read_bytes())
    )


def lead_elsewhere(folder: Path) -> None:
    (folder / "wheels" / "linked.whl").symlink_to("/etc/hostname")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (add, "not signed"),
        (lead_elsewhere, "not signed"),
        (change_a_wheel, "not as it was signed"),
        (lose, "not as it was signed"),
        (change_the_installer_and_the_sums, "is not signed by"),
        (sign_by_another, "is not signed by"),
    ],
)
def test_altered_bundle_is_not_installed(
    copy: Path, key: Path, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(copy)
    done = installed(copy, key, tmp_path / "opt")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "nothing was installed" in done.stderr
    assert not (tmp_path / "opt").exists()


def test_invalid_request_is_a_one_line_error(unpacked: Path, key: Path, tmp_path: Path) -> None:
    to = tmp_path / "opt"
    done = installed(unpacked, key, to, "--set", "everything")
    assert (done.returncode, done.stderr) == (1, "install.sh: there is no set everything\n")
    for words in ((), ("--key",), ("--fly", "x")):
        done = subprocess.run(
            ["sh", unpacked / INSTALLER, *words], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "usage: sh install.sh --key" in done.stderr


def test_two_archives_of_one_commit_are_identical(
    commit: str, archive: Path, key: Path, tmp_path: Path
) -> None:
    again = pack(ROOT, tmp_path, CACHE, signing_key(key), commit)
    assert again.name == archive.name
    assert again.read_bytes() == archive.read_bytes()


def test_sbom_is_valid_and_names_every_wheel_with_hash_and_licence(unpacked: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator  # builds 39 grammars: 0.8 s of a core

    text = (unpacked / "sbom.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    everything = [bom["metadata"]["component"], *bom["components"]]
    sums = dict(reversed(line.split("  ")) for line in (unpacked / SUMS).read_text().splitlines())
    wheels = {digest for name, digest in sums.items() if name.startswith("wheels/")}
    assert {one["hashes"][0]["content"] for one in everything} == wheels
    assert {one["name"] for one in everything} == set(closure(SHIPPED))
    assert all(one["licenses"] for one in everything)
    needed = {
        one["ref"].partition("@")[0].rpartition("/")[2]: one.get("dependsOn", [])
        for one in bom["dependencies"]
    }
    assert any(ref.startswith("pkg:pypi/cryptography@") for ref in needed[PRODUCT])


def test_archive_contains_documents_boards_rules_and_licences(archive: Path) -> None:
    with tarfile.open(archive) as packed:
        members = packed.getmembers()
    names = {member.name.partition("/")[2] for member in members}
    assert {
        SUMS,
        SIGNATURE,
        INSTALLER,
        PLATFORM,
        "NOTICE",
        "LICENSE",
        "sbom.cdx.json",
        "docs/monitoring.md",
    } <= names
    assert {f"requirements/{which}.txt" for which in SETS} <= names
    assert {"deploy/prometheus/prometheus.yml", "deploy/grafana/dashboards/coverage.json"} <= names
    assert {
        "deploy/helm/ullage/values.yaml",
        "deploy/helm/ullage/rules/roles.yaml",
    } <= names, "the chart is ready to install"
    assert not [
        name
        for name in names
        if name.startswith(("harness/", "tests/", "deploy/demo", "deploy/bundle", "."))
    ]
    texts = {
        name.split("/")[1].rpartition("-")[0] for name in names if name.startswith("licences/")
    }
    silent = {"antlr4-python3-runtime", "pydispatcher"}
    """Their wheels hold no licence: NOTICE names them."""
    assert set(closure(SHIPPED)) - texts == silent
    assert licences().read.keys() >= silent
    assert {(m.uid, m.gid, m.mode) for m in members} == {(0, 0, 0o644), (0, 0, 0o755)}


@pytest.mark.parametrize("made", ["rsa", "none", "open"])
def test_invalid_signing_key_is_a_one_line_error(key: Path, tmp_path: Path, made: str) -> None:
    path = tmp_path / "release.key"
    if made == "rsa":
        subprocess.run(
            ["openssl", "genpkey", "-algorithm", "rsa", "-out", path],
            check=True,
            capture_output=True,
        )
        path.chmod(0o600)
    elif made == "open":
        shutil.copyfile(key, path)
        path.chmod(0o644)
    with pytest.raises(ConfigError, match=r"release\.key") as refused:
        signing_key(path)
    assert "PRIVATE" not in str(refused.value)
