"""The product at work on the sites, as an operator starts it, watched from outside."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from alerts.records import Exposure, Sighting
from alerts.store import Where, open_store
from deploy.demo import security_team
from deploy.demo.drive import configuration, site, write_customers
from deploy.local.server import free_ports
from deploy.local.webhook import Answer, Received, Receiver, receiving
from tests.flow.daemon import Daemon, children, resolved
from tests.soak.sites import FAULTY, customers
from tests.soak.slopes import Sample, sample
from ullage.runtime.supervisor import ROLES
from ullage.settings import Context

ROOT = Path(__file__).parents[2]
TENANT = "bank"
REVISIT_SECONDS = 5
MORE = """
[bus]
captures_hours = 0.25
"""
"""What is read expires while the run goes on, as it does in a house that runs for months."""


class Posting:
    """The sites, as a process."""

    def __init__(self, rate: float) -> None:
        words = (sys.executable, "-m", "tests.soak.sites", str(rate))
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.ports: list[int] = self._line()

    def _line(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

    def start(self) -> None:
        """Begin to post."""
        self._turn()

    def stop(self) -> dict[str, Any]:
        """Post no more; what was posted, read and broken, as `Sites.told`. The sites go on answering."""
        return self._turn()

    def _turn(self) -> dict[str, Any]:
        assert self._process.stdin
        print(file=self._process.stdin, flush=True)
        told: dict[str, Any] = self._line()
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.kill()
        self._process.communicate()


class Product(Daemon):
    """`ullage run` with a watchlist, the sites, a channel and a program that asks the API."""

    def __init__(self, folder: Path, ports: list[int], receiver: Receiver) -> None:
        super().__init__(folder / "data", folder / "run.log")
        self.samples: dict[str, list[Sample]] = defaultdict(list)
        self._pids: dict[str, set[int]] = defaultdict(set)
        self.refused = Counter[str]()
        (port,) = free_ports(1)
        self._page = f"http://127.0.0.1:{port}"
        self.data.mkdir()
        text = configuration(TENANT, port) + security_team.configuration(self._page) + MORE
        (self.data / "ullage.toml").write_text(text, encoding="utf-8")
        self.ask("init")
        security_team.introduce(self.data / "keys", receiver)
        self.people = customers()
        write_customers(folder / "customers.csv", self.people)
        self.ask("watchlist", "load", str(folder / "customers.csv"), "--tenant", TENANT)
        may = ("--may", "incident.read", "--tenant", TENANT, "--purpose", "soak")
        self._token = self.ask("token", "add", "soak", *may).strip()
        for number, at in enumerate(ports):
            text = site("raw_paste", f"http://127.0.0.1:{at}/archive", "paste", revisit=REVISIT_SECONDS)
            (self.data / "sites.d" / f"pastes{number}.toml").write_text(text, encoding="utf-8")

    def _started(self) -> list[int | None]:
        """Where each role that has started serves its metrics, as it says itself; None for the desk."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["port"] for line in lines if '"event": "started"' in line]

    def is_up(self) -> bool:
        """Whether all roles serve."""
        return len(self._started()) >= len(ROLES)

    def look(self, at: float) -> None:
        """Take a sample of each role and of what it has started, scrape their metrics, and ask the API for a list."""
        assert self.process
        self._take("run", self.process.pid, at)
        for pid in children(self.process.pid):
            with contextlib.suppress(OSError):  # a child that has done its work
                words = (Path("/proc") / str(pid) / "cmdline").read_bytes().decode().split("\0")
                is_role = "ullage" in words and str(self.data) in words
                name = " ".join(words[words.index(str(self.data)) + 1 :]).strip() if is_role else ""
                if name:
                    self._take(name, pid, at)
        for port in filter(None, self._started()):
            self._ask("metrics", f"http://127.0.0.1:{port}/metrics", {})
        self._ask("API", f"{self._page}/v1/incidents", {"Authorization": f"Bearer {self._token}"})

    def _take(self, name: str, pid: int, at: float) -> None:
        self.samples[name].append(sample(pid, at))
        self._pids[name].add(pid)

    def _ask(self, what: str, url: str, headers: dict[str, str]) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(urllib.request.Request(url, headers=headers), timeout=60) as answer:
                answer.read()
        except OSError as error:
            self.refused[f"{what} {getattr(error, 'code', type(error).__name__)}"] += 1

    def started_again(self) -> list[str]:
        """Roles that died."""
        return sorted(name for name, pids in self._pids.items() if len(pids) > 1)

    def found(self) -> tuple[list[str], Counter[str]]:
        """Ids of all sightings, and by customer reference how many of them give a customer away."""
        counted: Counter[str] = Counter()
        with contextlib.closing(open_store(Context(self.data).settings.store.url, self.data)) as store:
            seen = [one.id for one in store.scroll(Sighting, Where())]
            for exposure in store.scroll(Exposure, Where()):
                counted[exposure.subject] += len(set(exposure.sightings))
        return seen, Counter(resolved(self.ask, counted)) if counted else Counter()

    def sightings(self) -> int:
        """How many there are."""
        with contextlib.closing(open_store(Context(self.data).settings.store.url, self.data)) as store:
            return store.count(Sighting, Where())


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """A channel that refuses one message in a hundred, and keeps none."""
    count = 0

    def answer(_: Received) -> Answer:
        nonlocal count
        count += 1
        got.received.clear()
        return (500, {}, b"") if count % round(1 / FAULTY) == 0 else (200, {}, b'{"ok": true}')

    with receiving() as got:
        got.answer = answer
        yield got
