"""A post that kills match, under the real `ullage run`: it is set aside, and what waits behind
it goes on.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.demo.people import people
from tests.flow.daemon import Daemon, until

pytestmark = pytest.mark.flow
POISON = """
import os, signal, sys
if "match" in sys.orig_argv:
    from matcher.match.pipeline import Matcher
    read = Matcher.read
    def deadly(self, captures, budget=None, trace=None):
        if any(b"deadly" in capture.body for capture in captures):
            os.kill(os.getpid(), signal.SIGSEGV)
        return read(self, captures, budget, trace)
    Matcher.read = deadly
"""
"""A crash of a library in match, at one post."""
SOON = 60.0


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """Run a daemon whose match dies at one post of twelve.

    Each post gives one customer away.
    """
    customers = list(people(12, 5))
    bank_daemon = Daemon.create_for_bank(tmp_path / "data", tmp_path, customers)
    posts = [
        {"site": "x", "url": f"http://x.example/{n}", "text": f"{customer.name},{customer.phone}"}
        for n, customer in enumerate(customers)
    ]
    posts[6]["text"] += " deadly"
    bank_daemon.ask("ingest", "-", text="\n".join(map(json.dumps, posts)))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(POISON)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return bank_daemon


def count_exposed_customers(daemon: Daemon) -> int:
    return len(daemon.exposures())


def letters(daemon: Daemon) -> list[str]:
    return [line for line in daemon.ask("dead-letters").splitlines() if "quarantined" in line]


def test_daemon_continues_within_seconds(daemon: Daemon) -> None:
    with daemon:
        daemon.start()
        until(
            lambda: b"record_dropped" in daemon.log.read_bytes(),
            "the post that kills is set aside",
            SOON,
        )
        daemon.stop()
    daemon.ask("match", "--once")
    daemon.ask("alert", "--once")
    assert (count_exposed_customers(daemon), len(letters(daemon))) == (11, 1)
    died = [line for line in daemon.log.read_text().splitlines() if '"role_died"' in line]
    assert len(died) == 3
    assert all('"exit_code": -11' in line for line in died)
