"""The shape of the code: who may import whom, what belongs into ullage, and that importing does
nothing.
"""

import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

from ullage import setup

ROOT = Path(__file__).parents[2]
STAGES = ("crawlers", "matcher", "alerts", "deploy")
PACKAGES = ("ullage", *STAGES)
ENTRANCES = {"ullage.audit_command", "ullage.commands", "ullage.__main__", "ullage.cli"}
"""What the interpreter and the entry point start; nothing imports them."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def test_import_contracts_hold() -> None:
    """Run the linter in a process of its own, as `make check` does.

    It must not meet what other tests have imported.
    """
    linter = Path(sys.executable).with_name("lint-imports")
    process = subprocess.run(
        [linter, "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert process.returncode == 0, process.stdout
    assert "0 broken" in process.stdout


def users(graph: grimp.ImportGraph, module: str) -> tuple[set[str], set[str]]:
    """Stages that import `module`, and modules of ullage that do."""
    importers = graph.find_modules_that_directly_import(module)
    stages = {i.partition(".")[0] for i in importers} - {"ullage"}
    return stages, {i for i in importers if i.partition(".")[0] == "ullage"}


def test_modules_of_ullage_are_needed_by_two_stages(graph: grimp.ImportGraph) -> None:
    found_by_walking = {m for m in graph.modules if m.startswith("ullage.identifiers.")}
    modules = (
        {m for m in graph.modules if m.partition(".")[0] == "ullage"}
        - ENTRANCES
        - found_by_walking
        - {"ullage"}
    )
    lonely = []
    rooms = {m.rpartition(".")[0] for m in modules}  # a folder is judged by what is in it
    for module in sorted(modules - rooms):
        stages, inside = users(graph, module)
        if len(stages) < 2 and not inside:
            lonely.append((module, stages))
    assert lonely == []


def test_no_stage_imports_another(graph: grimp.ImportGraph) -> None:
    for stage in STAGES:
        imported = {
            m.partition(".")[0]
            for module in graph.modules
            if module.partition(".")[0] == stage
            for m in graph.find_modules_directly_imported_by(module)
        }
        # deploy stands above the stages
        assert imported & set(STAGES) <= ({stage} if stage != "deploy" else set(STAGES))


WATCH = """
import importlib, json, os, socket, sys, threading
seen = []
def watch(event, args):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.fork"):
        seen.append([event, repr(args)[:80]])
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        if "__pycache__" not in str(args[0]):
            seen.append([event, str(args[0])])
modules = sys.argv[1].split(",")
libraries = "scrapy twisted fastapi uvicorn numpy pydantic typer rich apsw ahocorasick"
for name in [*libraries.split(), "elasticsearch", "kafka", "telethon"]:
    try:
        importlib.import_module(name)
    except ImportError:
        pass
sys.addaudithook(watch)
for name in modules:
    importlib.import_module(name)
threads = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
print(json.dumps({"seen": seen, "threads": threads}))
"""


def test_importing_modules_opens_nothing_and_starts_no_process(
    graph: grimp.ImportGraph, tmp_path: Path
) -> None:
    modules = sorted(m for m in graph.modules if not m.endswith("__main__"))
    process = subprocess.run(
        [sys.executable, "-B", "-c", WATCH, ",".join(modules)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == {"seen": [], "threads": []}


@pytest.mark.parametrize("stage", ["matcher.cli.match", "alerts.service.process"])
def test_stage_does_not_load_crawling_libraries(stage: str) -> None:
    if not (ROOT / stage.replace(".", "/")).with_suffix(".py").exists():
        pytest.skip(f"{stage} is not there")
    code = (
        f"import sys, {stage}; print(sorted({{'scrapy', 'twisted.internet', 'fastapi'}} &"
        " set(sys.modules)))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "[]"


WITHOUT = """
import sys

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Lacking())
import importlib.metadata
for group in ("ullage.commands", "ullage.checks", "ullage.erasures", "ullage.incidents"):
    for point in importlib.metadata.entry_points(group=group):
        if point.name in {names}:
            point.load()
"""


@pytest.mark.parametrize(
    ("absent", "names"),
    [
        (
            ("fastapi", "starlette", "uvicorn", "argon2"),
            ("alert", "accounts", "coverage", "evidence", "incidents", "notify", "report", "rules"),
        ),
        (
            ("apprise", "babel", "jinja2", "docx"),
            ("alert", "accounts", "evidence", "incidents", "notify", "report", "rules", "user"),
        ),
        (("numpy",), ("alert", "audit", "crawl", "incidents", "notify", "search", "sites", "user")),
    ],
)
def test_command_loads_without_libraries_of_other_extras(
    absent: tuple[str, ...], names: tuple[str, ...]
) -> None:
    process = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(absent=absent, names=names)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize(
    "words", ["init", "status", "user list", "config show", "dead-letters", "sites"]
)
def test_small_command_loads_neither_structlog_nor_numpy(words: str, data: Path) -> None:
    """Each takes as long as a tenth of such a command."""
    watched = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "ullage",
        "--data",
        str(data),
        *words.split(),
    ]
    process = subprocess.run(watched, capture_output=True, text=True, check=False)
    loaded = {
        line.rpartition("|")[2].strip()
        for line in process.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert "ullage.settings" in loaded
    assert loaded & {"structlog", "numpy"} == set()


def test_example_site_written_by_init_is_readable(tmp_path: Path) -> None:
    (tmp_path / "example.toml").write_text(setup.SITE, encoding="utf-8")
    assert (
        importlib.import_module("crawlers.sites.site").read_site(tmp_path / "example.toml").platform
        == "raw_paste"
    )


def test_every_entry_point_names_an_existing_object() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    missing = []
    groups = [project["scripts"], *project["entry-points"].values()]
    for name, target in (entry for group in groups for entry in group.items()):
        module, _, attribute = target.partition(":")
        try:
            exists = hasattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError:
            exists = False
        if not exists:
            missing.append(name)
    assert missing == []
