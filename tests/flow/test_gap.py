"""Crawl and match in two network namespaces with nothing between them but a carrier of files,
which is not a careful one.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn

import pytest

from alerts.records import SiteDay
from alerts.store import DocumentFilter, open_configured_store
from deploy.demo.drive import configuration, write_customers
from deploy.demo.people import Person, people
from tests.flow import sweep
from tests.flow.daemon import Daemon, until, write_site
from tests.flow.zones import exchange_keys
from ullage.bus import CAPTURES, FINDINGS
from ullage.runtime.supervisor import command
from ullage.settings import Context

pytestmark = pytest.mark.flow

PASTES = 8
CUSTOMERS = list(people(12, 41))
PLANTED = [
    value for p in CUSTOMERS for value in (p.phone, p.resident_id, p.card, p.email, p.address)
]
SITE_OPTIONS = '\n[options]\nraw = "/raw/{id}.txt"\n'
REACH = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
PORT = 8080
"""Fixed: the namespace has all ports to itself."""


def unable(why: str) -> NoReturn:
    """Skip a test that cannot run, with the reason; fail in CI."""
    reason = f"network namespaces need root and iproute2 (Debian: apt-get install iproute2): {why}"
    pytest.fail(reason) if "CI" in os.environ else pytest.skip(reason)


class Zone:
    """A network namespace without a route, and a data folder that belongs to it."""

    def __init__(self, name: str, data: Path) -> None:
        self.name, self.data = name, data

    def start(self, *words: str, errors: IO[str] | None = None) -> subprocess.Popen[str]:
        whole = ["ip", "netns", "exec", self.name, *words]
        return subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=errors, text=True)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        whole = ["ip", "netns", "exec", self.name, *words]
        return subprocess.run(
            whole,
            capture_output=True,
            text=True,
            env={**os.environ, "ULLAGE_LOG_LEVEL": "info"},
            check=False,
        )

    def ullage(self, *words: str) -> str:
        """Return what `ullage WORDS` logged, and append its output to the zone's log."""
        process = self.run(*command(self.data, *words))
        with (self.data / "said.log").open("a", encoding="utf-8") as log:
            log.write(process.stdout + process.stderr)
        assert process.returncode == 0, process.stderr
        return process.stderr

    def spool(self) -> Path:
        return self.data / "spool" / CAPTURES


@contextlib.contextmanager
def zone(role: str, data: Path, loopback: bool) -> Iterator[Zone]:
    """Create a namespace for the time of a test."""
    name = f"ullage-{role}-{os.getpid()}"
    try:
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        unable("there is no `ip`")
    except subprocess.CalledProcessError as error:
        unable(error.stderr.strip())
    try:
        namespace = Zone(name, data)
        if loopback and (process := namespace.run("ip", "link", "set", "lo", "up")).returncode:
            unable(process.stderr.strip())
        yield namespace
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.fixture
def outer(tmp_path: Path) -> Iterator[Zone]:
    with zone("outer", tmp_path / "outer", loopback=True) as namespace:
        yield namespace


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[Zone]:
    with zone("inner", tmp_path / "inner", loopback=False) as namespace:
        yield namespace


def set_up_inner(inner: Zone, customers: list[Person], export: Path) -> None:
    """Set up the inner zone with all keys and the customer list."""
    inner.data.mkdir(mode=0o700)
    bus = '[bus]\ncaptures = "spool:///spool"\n'
    (inner.data / "ullage.toml").write_text(bus + configuration("bank"), encoding="utf-8")
    inner.ullage("init")
    write_customers(export, customers)
    inner.ullage("watchlist", "load", str(export), "--tenant", "bank")


def set_up_outer(outer: Zone, inner: Zone) -> None:
    """Set up the outer zone.

    Only the public half of the seal key comes out, and only that of crawl's signing key goes in.
    """
    (outer.data / "sites.d").mkdir(parents=True)
    (outer.data / "ullage.toml").write_text('[bus]\nurl = "spool:///spool"\n', encoding="utf-8")
    exchange_keys(outer.data / "keys", inner.data / "keys")
    write_site(outer.data, "pastes", "raw_paste", f"http://127.0.0.1:{PORT}/archive.html")
    with (outer.data / "sites.d" / "pastes.toml").open("a", encoding="utf-8") as file:
        file.write(SITE_OPTIONS)


def plant(site: Path) -> dict[str, int]:
    """Write eight pastes of two customers each, and count the pastes of each reference."""
    (site / "raw").mkdir(parents=True)
    counts: dict[str, int] = {}
    for number in range(PASTES):
        pair = CUSTOMERS[number % 7], CUSTOMERS[(number * 3 + 1) % 7]
        rows = "".join(
            f"{p.name},{p.phone},{p.resident_id},{p.card},{p.email},{p.address}\n" for p in pair
        )
        (site / "raw" / f"paste{number}.txt").write_text(f"page {number}\n{rows}", encoding="utf-8")
        for reference in {p.reference for p in pair}:
            counts[reference] = counts.get(reference, 0) + 1
    links = "".join(f'<a href="/paste{number}">{number}</a>' for number in range(PASTES))
    (site / "archive.html").write_text(f"<html><body>{links}</body></html>", encoding="utf-8")
    return counts


@contextlib.contextmanager
def serving(outer: Zone, site: Path) -> Iterator[None]:
    """Serve the site inside the outer namespace."""
    server = ("-u", "-m", "http.server", str(PORT), "--bind", "127.0.0.1", "--directory", str(site))
    with outer.start(sys.executable, *server) as child:
        assert child.stdout is not None
        assert "Serving HTTP" in child.stdout.readline()
        yield
        child.kill()


def carry_badly(outer: Zone, inner: Zone) -> None:
    """Carry the first file by half and the others whole, the last first."""
    first, *later = sorted(outer.spool().glob("*.spool"))
    for path in reversed(later):
        shutil.copyfile(path, inner.spool() / path.name)
    whole = first.read_bytes()
    (inner.spool() / first.name).write_bytes(whole[: len(whole) // 2])


def carry_again(outer: Zone, inner: Zone) -> None:
    """Carry everything once more, and take it away."""
    for path in sorted(outer.spool().glob("*.spool")):
        shutil.copyfile(path, inner.spool() / path.name)
        path.unlink()


def match_between_rounds(outer: Zone, inner: Zone) -> str:
    """`match --once` that finds the first file half there, and the rest of the round while it
    waits; returns what it logged.
    """
    log = inner.data / "match.log"
    with (
        log.open("w") as errors,
        inner.start(*command(inner.data, "match", "--once"), errors=errors) as match,
    ):
        until(lambda: "started" in log.read_text(), "match has started")
        assert Context(inner.data).bus().lag(FINDINGS, "alert").records == 0
        carry_again(outer, inner)
        assert match.wait(120) == 0, log.read_text()
    return log.read_text()


def exposures(inner: Zone) -> dict[str, int]:
    """Return the number of sightings by reference, from the inner store."""
    daemon = Daemon(inner.data, inner.data / "said.log")
    assert {site for incident in daemon.incidents() for site in incident["sites"]} == {"pastes"}
    return daemon.exposures()


def hours_seen(inner: Zone) -> dict[str, set[str]]:
    """Return what each site's heartbeats say, as alert wrote them into the ledger."""
    with contextlib.closing(open_configured_store(Context(inner.data))) as store:
        return {
            row.site: set(row.fill_letters()) - {".", "-"}
            for row in store.scroll(SiteDay, DocumentFilter())
        }


def check_outer(outer: Zone, inner: Zone, site: Path) -> None:
    """Check that the outer zone has no value and no key that opens anything."""
    paths = [path for path in (outer.data / "keys").rglob("*") if path.is_file()]
    names = {str(path.relative_to(outer.data / "keys")) for path in paths}
    public = {name for name in names if name.endswith(".pub")}
    assert names - public == {
        "inventory/command.key",
        "inventory/crawl.key",
        "frontier.key",
        "sign/crawl.key",
    }
    assert {str(Path(name).parent) for name in public} == {"seal", "signers/captures"}
    assert sweep.files([outer.data], PLANTED) == []
    assert {value for _, value, _ in sweep.files([site], PLANTED)} >= {
        CUSTOMERS[0].phone,
        CUSTOMERS[1].resident_id,
    }
    secrets = [path for path in (inner.data / "keys").rglob("*.key") if path.is_file()]
    assert any(path.parent.name == "seal" for path in secrets)
    for written in (path.read_bytes() for path in outer.data.rglob("*") if path.is_file()):
        for secret in (path.read_bytes() for path in secrets):
            assert not any(
                form in written
                for form in (secret, secret.hex().encode(), base64.b64encode(secret))
            )


def test_posts_crawled_outside_are_matched_inside_through_files_only(
    outer: Zone, inner: Zone, tmp_path: Path
) -> None:
    set_up_inner(inner, CUSTOMERS, tmp_path / "customers.csv")
    set_up_outer(outer, inner)
    planted = plant(tmp_path / "site")
    assert inner.run("ip", "route").stdout == ""
    with serving(outer, tmp_path / "site"):
        assert outer.run(sys.executable, "-c", REACH, "127.0.0.1", str(PORT)).returncode == 0
        for host in ("127.0.0.1", "192.0.2.1"):
            assert inner.run(sys.executable, "-c", REACH, host, str(PORT)).returncode != 0
        outer.ullage("crawl", "--once")
    assert Context(outer.data).bus().lag(CAPTURES, "match").records == PASTES + 1  # and a heartbeat
    inner.spool().mkdir(parents=True, exist_ok=True)
    carry_badly(outer, inner)
    check_outer(outer, inner, tmp_path / "site")
    log = match_between_rounds(outer, inner) + inner.ullage("match", "--once")
    assert "spool_gap" not in log
    inner.ullage("alert", "--once")
    assert exposures(inner) == planted
    assert hours_seen(inner) == {"pastes": {"o"}}, "the heartbeat came the same way"
    assert Context(outer.data).bus().lag(CAPTURES, "match").records == 0
    check_outer(outer, inner, tmp_path / "site")
