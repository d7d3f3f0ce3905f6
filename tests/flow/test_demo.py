"""The demo, as a newcomer runs it: it plants, finds, and checks itself, on embedded parts and on
real servers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from deploy.demo import plant
from deploy.local import services
from tests.flow.daemon import need_servers, until
from ullage.runtime.supervisor import command

MARK = "DEMO_RUN"
SECONDS = 560
"""For a machine on which much else runs; alone it takes half a minute."""


def demo(tmp_path: Path, site_programs: Path, *words: str) -> str:
    """Run the demo, check that it found its leaks and left no process, and return its output."""
    (tmp_path / "sites-venv").symlink_to(site_programs.parent)
    marked = {**os.environ, MARK: str(tmp_path)}
    process = subprocess.run(
        command(tmp_path, "demo", "--once", *words),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env=marked,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    check_output(process.stdout)
    assert "Traceback" not in process.stderr
    until(lambda: list_marked_processes(tmp_path) == [], "every process of the demo has ended", 60)
    return process.stdout


def check_output(printed: str) -> None:
    """Check that everything that was planted was found, once, that somebody was notified, and that
    a source was stated from victims alone.
    """
    assert printed.startswith("This takes about half a minute."), printed
    assert "none lost, none double, none false" in printed, printed
    assert re.search(
        r"notified: +\d signed messages? to a webhook on loopback about [1-9]\d* incidents", printed
    ), printed
    assert re.search(
        r"source: from 60 victims of fraud alone, without any post: (named|indication):"
        r" partner-1 \(Demo Loan Partner\), probability 0\.9\d\d\n"
        r" +`ullage --data \S+ source --tenant spruce-bank --purpose .+ --names --by demo`\n",
        printed,
    ), printed
    assert "Traceback" not in printed, printed


def list_marked_processes(tmp_path: Path) -> list[str]:
    """List the pids of the processes that inherited the mark.

    A process keeps its environment, whatever it calls itself.
    """
    mark = f"{MARK}={tmp_path}".encode()
    return [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/environ")
        if mark in _read(path).split(b"\0")
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.timeout(SECONDS + 40)
@pytest.mark.flow
@pytest.mark.full
def test_demo_ends_by_itself(tmp_path: Path, site_programs: Path) -> None:
    assert "on the embedded bus and store (SQLite 3." in demo(tmp_path, site_programs)


@pytest.mark.timeout(SECONDS + 40)
@pytest.mark.flow
def test_demo_finds_what_it_planted_and_leaves_no_process(
    tmp_path: Path, site_programs: Path
) -> None:
    """While its console is open it crawls on: else sites, coverage and canaries would stand
    still when somebody looks.
    """
    (tmp_path / "sites-venv").symlink_to(site_programs.parent)
    marked = {**os.environ, MARK: str(tmp_path)}
    data, requests = tmp_path / "state" / "data", tmp_path / "sites" / "bepasty" / "server.log"
    words, printed = command(tmp_path, "demo"), list[str]()
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=marked
    ) as running:
        try:
            assert running.stdout is not None
            for line in running.stdout:
                printed.append(line)
                if line.startswith("search page: http"):
                    break
            check_output("".join(printed))
            before = requests.stat().st_size
            until(lambda: requests.stat().st_size > before, "a site is visited again", 120)
            process = subprocess.run(
                command(data, "coverage", "--json"), capture_output=True, text=True, check=False
            )
            assert json.loads(process.stdout.splitlines()[-1])["log_begins"]
        finally:
            running.terminate()
    until(lambda: list_marked_processes(tmp_path) == [], "every process of the demo has ended", 60)


@pytest.mark.timeout(SECONDS + 40)
@pytest.mark.servers
def test_demo_finds_the_same_on_real_servers(tmp_path: Path, site_programs: Path) -> None:
    need_servers()
    assert f"on {services.VERSIONS}" in demo(tmp_path, site_programs, "--backend", "distributed")
    assert not (tmp_path / "demo-servers").exists()


@pytest.mark.flow
def test_marked_process_is_found(tmp_path: Path) -> None:
    with subprocess.Popen(
        ["cat"], stdin=subprocess.PIPE, env={**os.environ, MARK: str(tmp_path)}
    ) as child:
        until(lambda: list_marked_processes(tmp_path) == [str(child.pid)], "the child is seen", 60)


@pytest.mark.flow
def test_plan_contains_the_required_posts() -> None:
    plan = plant.plan()
    assert len(plan.customers) == plant.CUSTOMERS == 2_000
    assert max(post.body.count("\n") for post in plan.posts) == 2_000
    assert sum(bool(post.thread) for post in plan.posts) > 45
    assert 0 < len(plan.expected) < plant.LEAKED == 419
    assert 0 < plan.background < 10
