"""`kill -9` of the whole daemon, again and again, while it works: nothing lost, nothing double,
no orphan.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.drive import configuration, write_customers
from deploy.demo.people import Person, people
from deploy.local.posting import Bepasty
from deploy.local.programs import bepasty
from tests.flow.daemon import Daemon, is_alive, until, write_site

CUSTOMERS = 200
LENGTHS = [
    pytest.param(200, 8, marks=pytest.mark.flow),
    pytest.param(2_000, 50, marks=pytest.mark.faults),
]
"""Pages and kills: a short form for every run, the whole for `make test-faults`."""
SEED = 20_260_703
PACE = 0.05
"""Seconds a page, so that the work lasts as long as the kills do."""


@pytest.fixture
def site(tmp_path: Path, site_programs: Path) -> Iterator[str]:
    with bepasty(site_programs, tmp_path / "bepasty") as url:
        yield url


def plant(url: str, customers: list[Person], pages: int) -> dict[str, int]:
    """Publish pastes of one or two customers, and count the pastes of each reference."""
    board, counts = Bepasty(url), dict.fromkeys((p.reference for p in customers), 0)
    for number in range(pages):
        first, second = customers[number % CUSTOMERS], customers[(number * 7 + 1) % CUSTOMERS]
        board.paste(
            f"page {number}\n{first.name},{first.phone},{first.resident_id}\n"
            f"{second.name},{second.phone}\n",
            f"p{number}.txt",
        )
        for person in {first.reference, second.reference}:
            counts[person] += 1
    return counts


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("pages", "kills"), LENGTHS)
def test_kills_lose_and_duplicate_nothing(
    tmp_path: Path, site: str, pages: int, kills: int
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "ullage.toml").write_text(configuration("bank"), encoding="utf-8")
    with Daemon(data, tmp_path / "run.log") as daemon:
        planted = work(daemon, tmp_path, site, pages)
        kill_again_and_again(daemon, kills)
        daemon.drain()
        assert daemon.exposures() == planted
        sightings = [
            sighting["id"] for incident in daemon.incidents() for sighting in incident["seen"]
        ]
        assert len(sightings) == len(set(sightings)) == pages, "one sighting in one incident"


def work(daemon: Daemon, tmp_path: Path, site: str, pages: int) -> dict[str, int]:
    """Set the daemon up for a site of `pages` pastes, and return the count of each reference."""
    daemon.ask("init")
    customers = list(people(CUSTOMERS, 3))
    write_customers(tmp_path / "customers.csv", customers)
    daemon.ask("watchlist", "load", str(tmp_path / "customers.csv"), "--tenant", "bank")
    planted = plant(site, customers, pages)
    write_site(daemon.data, "pastes", "bepasty", site, PACE)
    return planted


def kill_again_and_again(daemon: Daemon, kills: int) -> None:
    """SIGKILL to the supervisor at random moments after its first role has started; its roles
    must go with it.
    """
    rng = random.Random(SEED)
    for _ in range(kills):
        daemon.start()
        until(lambda: bool(daemon.roles()), "a role has started")
        # the moment of the kill is the subject, not a wait for something
        time.sleep(rng.uniform(0.0, 3.5))
        orphans = daemon.kill()
        until(
            lambda left=orphans: not any(map(is_alive, left)), "roles outlive their supervisor", 30
        )
