"""The built wheel and sdist: what they hold, the same bytes each time; and each extra alone runs
what it is for.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from deploy.bundle.build import Built, build, git, tree_as_it_is
from deploy.bundle.parts import PRODUCT, closure, in_wheels
from tests.deploy import every_command
from tests.deploy.environments import environment
from ullage import __version__
from ullage.cli import EXTRAS, HELP, OWN

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).parents[2]
PACKAGES = re.compile(
    r"(ullage|crawlers|matcher|alerts|deploy/demo|deploy/local)/|deploy/__init__\.py$"
)
NOT_RELEASED = re.compile(
    r"(harness|tests|\.ci|\.github)/|\.[\w.-]+$|Makefile$|README\.zh\.md$|mkdocs\.yml$"
)
BY_SETUPTOOLS = re.compile(r"PKG-INFO$|setup\.cfg$|ullage\.egg-info/")
SAMPLE = ROOT / "deploy" / "demo" / "sample"
ALONE = {*OWN, "alert", "audit", "evidence", "incidents", "notify", "report", "rules"}
"""Commands that need no extra."""
WITH: Mapping[str, set[str]] = {
    "crawl": {"collect", "crawl", "frontier", "ingest", "sites"},
    "match": {
        *("assess", "fraud-cases", "honeytoken", "match", "scan", "source", "subjects"),
        "watchlist",
    },
    "alert": {"coverage"},
    "search": {"search", "token", "user", "coverage"},
    "intake": {"ingest", "intake"},
}
"""Those that an extra brings; the others bring a format, a service or a server to what these do."""
LACKS = re.compile(r"ullage: [\w-]+ needs [\w.]+: install (?:ullage\[(\w+)\] or )?ullage\[all\]\n")
KAFKA, STORE = (
    {"ULLAGE_BUS__URL": "kafka://127.0.0.1:9"},
    {"ULLAGE_STORE__URL": "elasticsearch://127.0.0.1:9"},
)
"""Where nobody answers."""
Job = tuple[Mapping[str, str], Sequence[str], int, str]
"""Environment, words of a command, its exit code, and what it says."""
JOBS: Mapping[str, Sequence[Job]] = {
    "": (
        ({}, ["incidents", "list"], 3, "nothing was collected"),
        ({}, ["status"], 1, "crawl"),
        ({}, ["incidents", "export", "--format", "misp"], 2, "ullage[export]"),
        (KAFKA, ["dead-letters"], 2, "ullage[kafka]"),
        (STORE, ["incidents", "list"], 2, "elasticsearch"),
    ),
    "crawl": (
        ({}, ["ingest", "{captures}"], 0, "1"),
        ({}, ["collect", "xmpp"], 2, "ullage[crawl,xmpp]"),
    ),
    "match": (
        (
            {},
            ["watchlist", "load", str(SAMPLE / "customers.csv"), "--tenant", "sample-bank"],
            0,
            "300",
        ),
        ({}, ["assess", str(SAMPLE / "leak.txt")], 0, "HIGH"),
        ({}, ["watchlist", "load", "{parquet}", "--tenant", "sample-bank"], 2, "ullage[parquet]"),
    ),
    "alert": (({}, ["alert", "--once"], 0, ""), ({}, ["coverage"], 3, "")),
    "search": (({}, ["user", "list"], 0, ""),),
    "export": (({}, ["incidents", "export", "--format", "misp"], 3, "nothing was collected"),),
    "kafka": ((KAFKA, ["check"], 1, "127.0.0.1:9"),),
    "elasticsearch": ((STORE, ["check"], 1, "password is missing"),),
}
Ullage = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build the wheel of the tree as it is now, committed or not."""
    return build(ROOT, tmp_path_factory.mktemp("dist"), tree_as_it_is(ROOT))


@pytest.fixture(scope="module")
def repository_files() -> set[str]:
    return set(git(ROOT, "ls-files", "-z").decode().rstrip("\0").split("\0"))


def test_wheel_contains_exactly_the_files_of_the_packages(
    built: Built, repository_files: set[str]
) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        inside = {
            name
            for name in wheel.namelist()
            if not name.startswith(f"ullage-{__version__}.dist-info/")
        }
    assert inside == {name for name in repository_files if PACKAGES.match(name)}
    endings = {name.rpartition(".")[2] for name in inside}
    assert endings >= {"html", "css", "js", "j2", "po", "toml", "tsv", "txt", "csv", "typed", "py"}


def test_sdist_contains_tracked_files_without_tests_and_machinery(
    built: Built, repository_files: set[str]
) -> None:
    top = f"ullage-{__version__}/"
    with tarfile.open(built.sdist) as sdist:
        members = sdist.getmembers()
    assert all(member.isfile() and member.name.startswith(top) for member in members)
    inside = {member.name.removeprefix(top) for member in members}
    assert {n for n in inside if not BY_SETUPTOOLS.match(n)} == {
        n for n in repository_files if not NOT_RELEASED.match(n)
    }


def test_metadata_describe_the_product(built: Built) -> None:
    [part] = in_wheels([built.wheel]).values()
    said = part.metadata
    assert (said["Name"], said["Version"], said["License-Expression"]) == (
        "ullage",
        __version__,
        "Apache-2.0",
    )
    assert set(said.get_all("License-File") or ()) == {"LICENSE", "NOTICE"}
    assert said["Requires-Python"] == ">=3.11"
    assert "Topic :: Security" in (said.get_all("Classifier") or ())
    assert {point.group for point in part.entry_points} >= {
        "console_scripts",
        "ullage.commands",
        "ullage.checks",
    }


def test_builds_in_other_folders_at_other_times_are_identical(built: Built, tmp_path: Path) -> None:
    commit = tree_as_it_is(ROOT)
    subprocess.run(
        ["git", "clone", "--quiet", "--no-checkout", ROOT, tmp_path / "elsewhere"], check=True
    )
    if commit != "HEAD":  # a stash is in no branch: it is brought by its name
        git(ROOT, "update-ref", "refs/ullage-test/tree", commit)
        try:
            git(tmp_path / "elsewhere", "fetch", "--quiet", str(ROOT), "refs/ullage-test/tree")
        finally:
            git(ROOT, "update-ref", "-d", "refs/ullage-test/tree")
    first = build(tmp_path / "elsewhere", tmp_path / "first", commit)
    old = os.umask(0o077)
    try:
        second = build(tmp_path / "elsewhere", tmp_path / "second", commit)
    finally:
        os.umask(old)
    assert first.epoch == second.epoch
    for one, other in zip(first[:2], second[:2], strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def list_locked(*extras: str) -> Mapping[str, Distribution]:
    return {name: part for name, part in closure(extras).items() if name != PRODUCT}


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_each_extra_runs_its_commands_and_names_other_missing_ones(
    extra: str, built: Built, tmp_path: Path
) -> None:
    programs = environment(
        tmp_path / "venv", list_locked(*filter(None, [extra])).values(), built.wheel
    )
    runs = ALONE | WITH.get(extra, set())

    def ullage(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        whole = [programs / "ullage", "--data", tmp_path / "data", *words]
        env = {"PATH": os.defpath, **more}
        return subprocess.run(
            whole, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=200, check=False
        )

    asked = [[name, "--help"] for name in sorted(HELP)] + [
        [name] for name in sorted(HELP.keys() - runs)
    ]
    script = [programs / "python", "-I", every_command.__file__]
    text = "\n".join(map(json.dumps, asked))
    done = subprocess.run(
        script, input=text, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    answers = list(zip(asked, map(json.loads, done.stdout.splitlines()), strict=True))
    helped = answers[: len(HELP)]
    assert {
        name for (name, _), (code, out, _) in helped if code == 0 and "not installed" not in out
    } == runs
    for (name,), (code, out, err) in answers[len(HELP) :]:
        lacking = LACKS.fullmatch(err)
        assert (code, out) == (2, ""), name
        assert lacking, err
        wanted = lacking[1]
        assert wanted is None or name in WITH.get(wanted, ()), err
        assert wanted != extra, err

    assert ullage("--version").stdout == f"{__version__}\n"
    assert (first := ullage("init")).returncode == 0, first.stderr
    (tmp_path / "captures.jsonl").write_text(
        json.dumps({"site": "other", "text": "synthetic"}) + "\n", encoding="utf-8"
    )
    (tmp_path / "list.parquet").write_bytes(b"PAR1")
    for more, words, code, said in JOBS.get(extra, ()):
        given = {"captures": tmp_path / "captures.jsonl", "parquet": tmp_path / "list.parquet"}
        done = ullage(*(word.format(**given) for word in words), **more)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        assert said in done.stdout + done.stderr, (words, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        assert code != 2 or done.stderr.count("\n") == 1
