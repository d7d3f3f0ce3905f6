"""The demo's sites and posts, the four roles as processes of their own, and a real Prometheus
and Alertmanager beside them.
"""

import contextlib
import json
import os
import subprocess
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from deploy.demo import drive, plant, security_team
from deploy.demo.backend import Parts
from deploy.local.posting import Bepasty
from deploy.local.programs import bepasty, spirit
from deploy.local.server import free_ports, takes_connections
from deploy.local.webhook import Receiver, receiving
from harness.live.quick import PORTS, alertmanager_file, prometheus_files
from harness.servers.monitoring import alertmanager, prometheus
from tests.flow.daemon import page, until
from ullage.runtime.supervisor import command

ROLES = tuple(PORTS)
MORE = """\
regimes = ["pipl-57", "gdpr-33"]
{told}
"""
"""The tenant is under two regimes, so that their clocks are there to be seen."""
CANARY = {"ULLAGE_CANARY__INTERVAL_SECONDS": "5"}
"""Often enough to be waited for."""


@dataclass
class Station:
    """Everything that runs, and what can be asked of it."""

    data: Path
    ports: dict[str, int]
    receiver: Receiver
    """Alertmanager's."""
    team: Receiver
    """Of our own notifications."""
    pastes: Bepasty
    plan: plant.Plan
    prometheus: str = ""
    alertmanager: str = ""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, role: str) -> None:
        """Start one role and wait until its metrics are there."""
        ports = {
            f"ULLAGE_METRICS_PORTS__{name.upper()}": str(port)
            for name, port in self.ports.items()
            if name != "search"
        }
        ports["ULLAGE_SEARCH__PORT"] = str(self.ports["search"])
        with (self.data.parent / f"{role}.log").open("ab") as log:
            words = command(self.data, role)
            self.processes[role] = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **CANARY, **ports},
            )
        until(lambda: takes_connections(self.ports[role]), f"{role} listens")

    def kill(self, role: str) -> None:
        """SIGKILL to one role."""
        process = self.processes.pop(role)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """SIGTERM to every role; none may need more."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(60)

    def metrics(self, role: str) -> str:
        """Return the metrics that a role serves."""
        return page(f"http://127.0.0.1:{self.ports[role]}/metrics")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series with which Prometheus answers at this moment."""
        words = urllib.parse.urlencode({"query": expression})
        reply = json.loads(page(f"{self.prometheus}/api/v1/query?{words}"))
        assert reply["status"] == "success", expression
        result: list[dict[str, Any]] = reply["data"]["result"]
        return result

    def is_scraped(self, role: str) -> bool:
        """Return whether Prometheus reads the role's metrics."""
        return bool(self.query(f'up{{role="{role}"}} == 1'))


def prepare_demo(data: Path, ports: dict[str, int], team: Receiver) -> plant.Plan:
    """Prepare a data folder with the demo's tenant, customer list and posts, and its channel."""
    plan, ullage, page = plant.plan(), drive.Ullage(data), f"http://127.0.0.1:{ports['search']}"
    more = MORE.format(told=security_team.configuration(page))
    drive.configure(ullage, plan, Parts("embedded"), ports["search"], more)
    security_team.introduce(data / "keys", team)
    return plan


@contextlib.contextmanager
def running(work: Path, site_programs: Path) -> Iterator[Station]:
    """Sites with the demo's posts, roles, Prometheus and Alertmanager; nothing has been crawled
    yet when it is entered.
    """
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(bepasty(site_programs, work / "bepasty"))
        forum = stack.enter_context(spirit(site_programs, work / "spirit", ("General",)))
        ports = dict(zip(ROLES, free_ports(len(ROLES)), strict=True))
        team, receiver = stack.enter_context(receiving()), stack.enter_context(receiving())
        plan = prepare_demo(work / "data", ports, team)
        drive.add_sites(drive.Ullage(work / "data"), url, forum)
        drive.post(plan, url, forum, lambda: None)
        station = Station(work / "data", ports, receiver, team, Bepasty(url), plan)
        written = alertmanager_file(work / "alertmanager" / "alertmanager.yml", receiver.url)
        station.alertmanager = stack.enter_context(alertmanager(work / "alertmanager", written))
        written = prometheus_files(work / "prometheus", ports, station.alertmanager)
        station.prometheus = stack.enter_context(prometheus(work / "prometheus", written))
        stack.callback(station.stop)
        # crawl last, when Prometheus has seen the others: what they count from 0 on is an increase
        for role in reversed(ROLES):
            station.start(role)
            until(partial(station.is_scraped, role), f"{role} is scraped")
        yield station
