"""A match whose customer list is moved away or replaced by a small one says so, and loses no
post by it.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.error
from pathlib import Path

import pytest

from deploy.demo.drive import write_customers
from deploy.demo.people import people
from deploy.local.server import free_ports
from tests.flow.daemon import Daemon, page, samples, until
from ullage.runtime.supervisor import command

pytestmark = pytest.mark.flow
CUSTOMERS = 'ullage_match_watchlist_customers{tenant="bank"}'
RELOADED = "ullage_match_watchlist_last_reload_success"


class Match:
    """One process of match, on a port that stays the same."""

    def __init__(self, data: Path, log: Path) -> None:
        self.data, self.log = data, log
        (self.port,) = free_ports(1)
        settings = data / "ullage.toml"
        settings.write_text(
            re.sub(r"^match = 0$", f"match = {self.port}", settings.read_text(), flags=re.MULTILINE)
        )
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command(self.data, "match"), stdout=output, stderr=output
            )

    def ready(self) -> int:
        """Return the status of `/readyz`, 0 where nobody answers."""
        try:
            page(f"http://127.0.0.1:{self.port}/readyz")
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0
        return 200

    def says(self, ready: int, **values: float) -> None:
        """Wait until it says this of itself."""
        until(lambda: self.ready() == ready, f"/readyz answers {ready}")
        until(
            lambda: {name: samples(self.port).get(globals()[name]) for name in values} == values,
            f"it says {values}",
        )

    def end(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(60)


def test_removed_list_stays_in_memory_and_is_missed_after_a_restart(
    tmp_path: Path,
) -> None:
    customers = list(people(30, 5))
    daemon = Daemon.create_for_bank(tmp_path / "data", tmp_path, customers)
    lists, away = daemon.data / "watchlists", tmp_path / "away"
    match = Match(daemon.data, tmp_path / "match.log")
    try:
        match.says(200, CUSTOMERS=30, RELOADED=1)
        lists.rename(away)
        match.says(503, CUSTOMERS=30, RELOADED=0)
        match.end()
        match.start()
        match.says(503, CUSTOMERS=0, RELOADED=0)
        post = {
            "site": "x",
            "url": "http://x.example/1",
            "text": f"{customers[0].name},{customers[0].phone}",
        }
        daemon.ask("ingest", "-", text=json.dumps(post))
        write_customers(tmp_path / "few.csv", customers[:3])
        process = subprocess.run(
            command(
                daemon.data, "watchlist", "load", str(tmp_path / "few.csv"), "--tenant", "bank"
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (process.returncode, "instead of 30" in process.stderr) == (2, True)
        assert match.ready() == 503
        away.rename(lists)
        match.says(200, CUSTOMERS=30, RELOADED=1)
    finally:
        match.end()
    daemon.ask("match", "--once")
    daemon.ask("alert", "--once")
    assert len(daemon.exposures()) == 1
