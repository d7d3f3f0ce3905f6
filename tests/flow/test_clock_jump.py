"""The clock of the machine is wrong, as services of the embedded bus and store see it: each is a
process of its own.

Only what Python calls the time is shifted, so the kernel's uptime is the real one; the machine's
clock is left alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from alerts.records import Exposure
from alerts.store import DocumentFilter, open_configured_store
from deploy.demo.people import people
from tests.flow.daemon import Daemon
from ullage.settings import Context

POSTS = 90
DAY = 86_400
SHIFTED = """
import sys, time
real, by = time.time, float(sys.argv.pop(1))
time.time = lambda: real() + by
from ullage.cli import main
main()
"""


def run_in_the_future(daemon: Daemon, days: float, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `ullage` with these words while the wall clock is `days` days ahead."""
    line = [sys.executable, "-c", SHIFTED, str(days * DAY), "--data", str(daemon.data), *words]
    return subprocess.run(line, env={**os.environ}, capture_output=True, text=True, check=False)


def count_exposed_customers(daemon: Daemon) -> int:
    """Count the customers in the store."""
    with contextlib.closing(open_configured_store(Context(daemon.data))) as store:
        return store.count(Exposure, DocumentFilter())


@pytest.mark.timeout(600)
def test_accepted_posts_are_kept_whatever_the_clock_says(tmp_path: Path) -> None:
    days = 200  # other jumps: tests/contracts/test_clock_jump.py, tests/alerts/test_clock_jump.py
    customers = list(people(POSTS, 23))
    daemon = Daemon.create_for_bank(tmp_path / "data", tmp_path, customers)
    texts = [f"{customer.name},{customer.phone}" for customer in customers]
    lines = [
        {"site": "x", "url": f"http://x.example/{n}", "text": text} for n, text in enumerate(texts)
    ]
    daemon.ask("ingest", "-", text="\n".join(map(json.dumps, lines)))
    match = run_in_the_future(daemon, days, "match", "--once")
    assert (match.returncode, match.stderr.count("retention_suspended")) == (0, 1), match.stderr
    assert daemon.ask("dead-letters", "--json") == ""
    daemon.ask("alert", "--once")
    assert count_exposed_customers(daemon) == POSTS
    assert run_in_the_future(daemon, days, "alert", "--once").returncode == 0
    assert count_exposed_customers(daemon) == POSTS
    assert "clock: the wall clock says" in run_in_the_future(daemon, days, "check").stdout
    accepted = run_in_the_future(daemon, days, "check", "--accept-clock")
    assert "FAULT  clock" not in accepted.stdout
    assert run_in_the_future(daemon, days, "alert", "--once").returncode == 0
    assert count_exposed_customers(daemon) == POSTS
