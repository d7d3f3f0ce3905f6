"""Starts, kills and asks a real `ullage run`, as an operator would."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from alerts.cases.incident_list import load_details
from alerts.cases.incident_view import details
from alerts.records import Incident
from alerts.store import DocumentFilter, open_store
from deploy.demo.drive import Ullage, configuration, site, write_customers
from deploy.demo.people import Person
from deploy.local import services
from tests.warm import every_stage
from ullage.errors import UllageError, UnavailableError
from ullage.runtime.supervisor import command
from ullage.settings import Context

DEADLINE = 120.0


def need_servers() -> None:
    """Skip, saying what to install, where real Kafka and Elasticsearch cannot be had; in CI
    (`CI` is set) that is a failure.
    """
    try:
        services.require_tools()
    except UnavailableError as error:
        pytest.fail(str(error), pytrace=False) if os.environ.get("CI") else pytest.skip(str(error))


def write_site(data: Path, name: str, platform: str, url: str, pace: float = 0.0) -> None:
    """Write one site file.

    With a `pace` there is one request at a time, and that many seconds between two.
    """
    text = site(platform, url, "paste", revisit=1, delay=pace, concurrency=1 if pace else 8)
    (data / "sites.d" / f"{name}.toml").write_text(text, encoding="utf-8")


def children(parent: int) -> list[int]:
    """Return the pids of all descendants of the process `parent`."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent and fields[0] != "Z":
                pids += [int(entry.name), *children(int(entry.name))]
    return pids


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def page(url: str) -> str:
    """Return what a loopback address answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as answer:
        return str(answer.read().decode())


def samples(port: int) -> dict[str, float]:
    """Return the metrics of the role on a port, by name and labels as they are written."""
    lines = (
        line
        for line in page(f"http://127.0.0.1:{port}/metrics").splitlines()
        if not line.startswith("#")
    )
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def resolve_handles(ask: Callable[..., str], counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts by customer reference instead of handle, as an officer would resolve them."""
    table = ask(
        "subjects", "resolve", "-", "--case", "T", "--reason", "test", text="\n".join(counts)
    )
    reference = dict(line.split(",") for line in table.splitlines()[1:])
    return {reference[handle]: count for handle, count in counts.items()}


def until(true: Callable[[], bool], what: str, seconds: float = DEADLINE) -> float:
    """Look again and again until `true`; returns after how many seconds, fails when it takes
    longer than `seconds`.
    """
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)  # between two looks; the deadline decides
    return time.monotonic() - began


class ForkedUllage(Ullage):
    """The command line, each command in a process that is forked from one which has loaded it."""

    def __call__(self, *words: str, text: str = "") -> str:
        """Return the output of `ullage WORDS`; its error is raised when it fails."""
        environment = {**os.environ, "ULLAGE_LOG_LEVEL": "warning"}
        code, output, errors = every_stage().run(
            "ullage", ["--data", str(self.data), *words], environment, text
        )
        if code:
            raise UllageError(
                f"`ullage {words[0]}` ended with {code}: {errors.strip() or output.strip()}"
            )
        return output


class Daemon:
    """One `ullage run` on a data folder, its output in a log that is kept."""

    def __init__(self, data: Path, log: Path) -> None:
        self.data, self.log, self.ask = data, log, ForkedUllage(data)
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def create_for_bank(cls, data: Path, folder: Path, customers: Collection[Person]) -> Self:
        """Create a daemon of a bank with these customers, with the data folder `data`.

        Its log and the customer list are in `folder`.
        """
        data.mkdir()
        (data / "ullage.toml").write_text(configuration("bank"), encoding="utf-8")
        daemon = cls(data, folder / "run.log")
        daemon.ask("init")
        write_customers(folder / "customers.csv", customers)
        daemon.ask("watchlist", "load", str(folder / "customers.csv"), "--tenant", "bank")
        return daemon

    def start(self) -> None:
        """Start the supervisor and its roles."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command(self.data, "run"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ},
            )

    def roles(self) -> list[int]:
        """Pids of what the supervisor has started."""
        assert self.process is not None
        return children(self.process.pid)

    def kill(self) -> list[int]:
        """SIGKILL to the supervisor alone; returns the pids of what it had started."""
        assert self.process is not None
        started = self.roles()
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """End all processes, so that a test that fails leaves nothing running."""
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def stop(self) -> int:
        """SIGTERM, and the exit code after the drain."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def drain(self) -> None:
        """Let each role work off what is left, in order; a page whose reading failed has to wait
        before it is due again.
        """
        until(self._crawl_until_due, "every page is read", 300)
        for role in ("match", "alert"):
            self.ask(role, "--once")

    def _crawl_until_due(self) -> bool:
        self.ask("crawl", "--once")
        return all(
            json.loads(site)["due"] == 0 for site in self.ask("sites", "--json").splitlines()
        )

    def exposures(self) -> Counter[str]:
        """Count the sightings in the store that give each customer away, by reference."""
        counted: Counter[str] = Counter()
        for incident in self.incidents():
            for exposure in incident["exposures"]:
                assert len(set(exposure["sightings"])) == len(exposure["sightings"])
                counted[exposure["pseudonym"]] += len(exposure["sightings"])
        return Counter(resolve_handles(self.ask, counted))

    def incidents(self) -> Iterator[dict[str, Any]]:
        """Yield every incident as `incidents show --json` prints it."""
        with contextlib.closing(
            open_store(Context(self.data).settings.store.url, self.data)
        ) as store:
            for incident in list(store.scroll(Incident, DocumentFilter())):
                incident_details = load_details(store, incident.id)
                assert incident_details is not None
                yield details(incident_details)
