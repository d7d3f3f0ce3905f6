"""From a site to the customers who are exposed on it: crawl, spool and match; how many of those
planted come out.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from deploy.demo.people import Person
from tests.crawlers.conftest import Station
from tests.flow.daemon import until
from ullage.bus import FINDINGS
from ullage.records import Capture, Finding
from ullage.settings import Context

TENANT = "bank"
HEADER = ("customer_ref", "name", "phone", "resident_id", "card", "email")
FOR_TESTS = ("allow_private = true", "delay_seconds = 0", "concurrency = 4", "deep_every = 4")
"""Lines of a site's file that only a test needs: the site is on loopback, and nobody waits for
it.
"""


@dataclass(frozen=True, slots=True)
class Reach:
    """One row of the table; `lines` are those of TOML that a user writes."""

    program: str
    version: str
    how: str
    lines: int
    planted: int
    captured: int
    exposed: int

    def __str__(self) -> str:
        return (
            f"{self.program:<20} {self.version:<12} {self.how:<10} {self.lines:>5}"
            f" {self.planted:>8} {self.captured:>9} {self.exposed:>8}"
        )


HEAD = (
    f"{'program':<20} {'version':<12} {'how':<10} {'lines':>5} {'planted':>8} {'captured':>9}"
    f" {'exposed':>8}"
)


@dataclass
class CrawlFolder:
    """A data folder with a list of customers, whose sites are crawled in as many visits as
    somebody asks for.
    """

    station: Station
    customers: Sequence[Person]
    captures: dict[str, list[Capture]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        listed = self.station.data / "customers.csv"
        with listed.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([HEADER, *(person.row() for person in self.customers)])
        self.station.run("watchlist", "load", str(listed), "--tenant", TENANT)

    def site(self, name: str, platform: str, start: str, *more: str) -> None:
        """Write a site's file as a user would, and below it what a test needs."""
        written = [
            f'platform = "{platform}"',
            f'start = ["{start}"]',
            'legal_basis = "test"',
            'owner = "test"',
            *more,
        ]
        self.lines[name] = len(written)
        (self.station.data / "sites.d" / f"{name}.toml").write_text(
            "\n".join([*written, *FOR_TESTS]), encoding="utf-8"
        )
        self.captures[name] = []

    def session(self, name: str, text: str) -> None:
        """Write the file of a session."""
        path = self.station.data / "keys" / "session" / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(text + "\n", encoding="ascii")
        path.chmod(0o600)

    def read(self) -> None:
        """Take what came to the bus since the last time."""
        for capture in self.station.captures("reach"):
            self.captures[capture.site].append(capture)

    def wait(self, name: str, texts: set[str], seconds: float = 90.0) -> None:
        """Read until all of these have come from a collector that runs; fails when that takes
        too long.
        """

        def there() -> bool:
            self.read()
            return texts <= {capture.body.decode() for capture in self.captures[name]}

        until(there, f"{len(texts)} messages of {name} are read", seconds)

    def crawl(self) -> dict[str, dict[str, Any]]:
        """Visit all sites once; what the log says of each."""
        log = self.station.run("crawl", "--once", log_level="info").splitlines()
        self.read()
        return {line["site"]: line for line in map(json.loads, log) if line["event"] == "visited"}

    def exposed(self) -> dict[str, set[str]]:
        """Return by site the references of customers whom match finds in all captures."""
        self.station.run("match", "--once")
        results = self._findings()
        handles = sorted({match.subject for finding in results for match in finding.matches})
        handles_file = self.station.data / "handles.txt"
        handles_file.write_text("\n".join(handles), encoding="ascii")
        words = (
            "subjects",
            "resolve",
            str(handles_file),
            "--case",
            "REACH-1",
            "--reason",
            "the table of what is reached",
        )
        table = csv.DictReader(self.station.run(*words).splitlines())
        reference = {row["handle"]: row["customer_ref"] for row in table if row["customer_ref"]}
        exposed: dict[str, set[str]] = {name: set() for name in self.captures}
        for finding in results:
            exposed[finding.capture.site] |= {reference[match.subject] for match in finding.matches}
        return exposed

    def _findings(self) -> list[Finding]:
        results = []
        with (
            closing(Context(self.station.data).bus()) as bus,
            closing(bus.subscribe(FINDINGS, "reach")) as subscription,
        ):
            while records := subscription.poll(100, 0.0):
                results += [
                    Finding.decode(record.value, int(record.headers["schema"]))
                    for record in records
                ]
                subscription.commit(records[-1])
        return results
