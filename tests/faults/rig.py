"""The product on real Kafka and Elasticsearch, what is planted for it, and what it must have found
in the end.

The oracle is DESIGN's: exposures and sightings equal the planted set; how many incidents they fold
into is not asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from alerts.records import Exposure, Sighting
from alerts.store import DocumentFilter, open_store
from deploy.demo.drive import Ullage, configuration, site, write_customers
from deploy.demo.people import Person, people
from tests.crawlers.support import Answers
from tests.flow.daemon import resolve_handles, samples
from ullage.bus import CAPTURES, FINDINGS, PartitionPosition
from ullage.runtime.service import SUPERVISOR
from ullage.runtime.supervisor import command
from ullage.settings import Context

ROOT = Path(__file__).parents[2]
TENANT = "bank"
CUSTOMERS = 60
BATCH = 16
DRAIN_SECONDS = 120.0
GROUPS = {CAPTURES: "match", FINDINGS: "alert"}
STARTED = re.compile(r'"port": (\d+), "event": "started"')


@dataclass
class Role:
    """A process of one role, with its output in a log that is kept."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def resident(self) -> int:
        """Bytes of memory that it holds now."""
        status = (Path("/proc") / str(self.process.pid) / "status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]

    def port(self) -> int | None:
        """Return the port of the role's metrics, None before it serves them."""
        match = STARTED.search(self.log.read_text())
        return int(match[1]) if match else None

    def value(self, metric: str) -> float:
        """Sum over all labels of one of its metrics, from its own `/metrics`."""
        port = self.port()
        assert port is not None, f"{self.name} serves nothing"
        return sum(
            value for name, value in samples(port).items() if name.partition("{")[0] == metric
        )

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(60)


@dataclass
class Rig:
    """One data folder on the servers.

    `planted` counts, for each customer, the posts that give it away.
    """

    data: Path
    folder: Path
    store_url: str
    server: Answers | None = None
    planted: Counter[str] = field(default_factory=Counter)
    posts: int = 0
    roles: list[Role] = field(default_factory=list)
    customers: list[Person] = field(default_factory=lambda: list(people(CUSTOMERS, 11)))

    def ask(self, *words: str, text: str = "") -> str:
        """Return what an `ullage` command prints."""
        return Ullage(self.data)(*words, text=text)

    def set_up(self, bus_url: str, more: str, heartbeats: float) -> None:
        """Write configuration, keys and watchlist.

        Crawl sends a heartbeat every `heartbeats` seconds, none for 0.
        """
        lines = f'[bus]\nurl = "{bus_url}"\n{more}\n[store]\nurl = "{self.store_url}"\n'
        text = lines + configuration(TENANT).replace("[match]\n", f"[match]\nbatch = {BATCH}\n")
        text = text.replace("[alert]\n", f"[alert]\nbatch = {BATCH}\n")
        text = text.replace("[crawl]\n", f"[crawl]\nheartbeat_seconds = {heartbeats}\n")
        (self.data / "ullage.toml").write_text(text, encoding="utf-8")
        self.ask("init")
        write_customers(self.folder / "customers.csv", self.customers)
        self.ask("watchlist", "load", str(self.folder / "customers.csv"), "--tenant", TENANT)

    def watch(self, server: Answers) -> None:
        """Let crawl visit a local paste site every second."""
        self.server = server
        self._list()
        text = site("raw_paste", f"{server.url}/archive", "paste", revisit=1)
        (self.data / "sites.d" / "pastes.toml").write_text(text, encoding="utf-8")

    def texts(self, count: int) -> Iterator[tuple[int, str]]:
        """Yield the next `count` posts, each with two customers, numbered."""
        for number in range(self.posts, self.posts + count):
            first, second = (
                self.customers[number % CUSTOMERS],
                self.customers[(number * 7 + 1) % CUSTOMERS],
            )
            self.planted.update({first.reference, second.reference})
            yield (
                number,
                (
                    "post"
                    f" {number}\n{first.name},{first.phone},{first.resident_id}\n"
                    f"{second.name},{second.phone}\n"
                ),
            )
        self.posts += count

    def publish(self, count: int) -> None:
        """Put posts up on the paste site."""
        assert self.server is not None
        for number, text in self.texts(count):
            self.server.says(
                f"/raw/paste{number:05}", text, **{"Content-Type": "text/plain; charset=utf-8"}
            )
        self._list()

    def _list(self) -> None:
        assert self.server is not None
        links = (f'<a href="/paste{number:05}">paste</a>' for number in range(self.posts))
        self.server.says("/archive", "".join(links) or "nothing yet")

    def ingest(self, count: int) -> None:
        """Hand posts in by command line; they are on the bus on return."""
        lines = [
            json.dumps({"site": "pastes", "url": f"http://x.example/{n}", "text": text})
            for n, text in self.texts(count)
        ]
        self.ask("ingest", "-", text="\n".join(lines))

    def start(self, *names: str) -> list[Role]:
        """Start roles, each a process of its own."""
        started = []
        for name in names:
            log = self.folder / f"{name}-{len(self.roles)}.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command(self.data, name),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=self._environment(),
                )
            self.roles.append(Role(name, process, log))
            started.append(self.roles[-1])
        return started

    def run_until_it_dies(self, point: str, count: int, *words: str) -> None:
        """Run a command that must die at `point` when it comes there for the `count`th time."""
        dying = [
            sys.executable,
            "-m",
            "tests.faults.dying",
            point,
            str(count),
            "--",
            "--data",
            str(self.data),
            *words,
        ]
        process = subprocess.run(
            dying,
            cwd=ROOT,
            capture_output=True,
            text=True,
            env=self._environment(),
            timeout=120,
            check=False,
        )
        assert process.returncode == -signal.SIGKILL, (
            f"{words} did not come to {point}: {process.stderr[-2000:]}"
        )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, SUPERVISOR: str(os.getpid()), "PYTHONUNBUFFERED": "1"}

    def end(self) -> None:
        """End every role that still runs."""
        for role in self.roles:
            with contextlib.suppress(subprocess.TimeoutExpired):
                role.end()
            if role.process.poll() is None:
                role.end(signal.SIGKILL)

    def drain(self, *names: str) -> None:
        """Let roles work off what is left, one after the other, each in a process that ends."""
        for name in names:
            self.ask(name, "--once")

    def places(self, topic: str) -> list[PartitionPosition]:
        """Return the positions of the reader of `topic`, per partition."""
        with contextlib.closing(Context(self.data).bus()) as bus:
            return list(bus.places(topic, GROUPS[topic]).values())

    def sightings(self) -> int:
        """Count the posts that give customers away, by the store."""
        with contextlib.closing(open_store(self.store_url, self.data)) as store:
            store.refresh()
            return store.count(Sighting, DocumentFilter())

    def is_everything_stored(self) -> bool:
        """Return whether every planted post is in the store, with the customers that it gives away.

        The latter are written after it.
        """
        return (
            self.sightings() >= self.posts
            and self._count_exposures().total() >= self.planted.total()
        )

    def _count_exposures(self) -> Counter[str]:
        """Count, by handle, the posts that give a customer away."""
        with contextlib.closing(open_store(self.store_url, self.data)) as store:
            store.refresh()
            counted: Counter[str] = Counter()
            for exposure in store.scroll(Exposure, DocumentFilter()):
                counted[exposure.subject] += len(set(exposure.sightings))
            return counted

    def assert_found(self) -> None:
        """Check that the store holds what was planted: nothing lost, doubled or false."""
        with contextlib.closing(open_store(self.store_url, self.data)) as store:
            store.refresh()
            sightings = [sighting.id for sighting in store.scroll(Sighting, DocumentFilter())]
            exposing = {
                sighting
                for exposure in store.scroll(Exposure, DocumentFilter())
                for sighting in exposure.sightings
            }
        assert self.ask("dead-letters", "--json") == "", "nothing was set aside"
        assert (len(sightings), len(set(sightings))) == (self.posts, self.posts)
        assert exposing <= set(sightings)
        assert resolve_handles(self.ask, self._count_exposures()) == self.planted


def grown(before: Iterable[int], after: Iterable[int]) -> int:
    """Return the largest growth of one process, in bytes."""
    return max(b - a for a, b in zip(before, after, strict=True))
