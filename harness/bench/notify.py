"""From a post on a real site to the message about it: seconds of 500 planted posts, each an
incident of its own.

A post counts as published when the site begins to show it, and as told when a webhook on loopback
has the message that names its incident, with a signature that is right. In between are the whole
product's processes with their defaults, except that the site is visited every five seconds.
Messages of one tenant are grouped for 20 s by default; a second run shows the way without that
wait. `ULLAGE_BENCH_POSTS` makes the load smaller for a try.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from alerts.records import Sighting
from alerts.store import DocumentFilter, open_configured_store
from deploy.demo import security_team
from deploy.demo.drive import Ullage, configuration, site, write_customers
from deploy.demo.people import Person, people
from deploy.local import services
from deploy.local.server import HOST, serving
from deploy.local.webhook import Receiver, receiving
from harness.bench.table import row
from matcher.match import redact
from matcher.match.capture_key import CaptureKey
from ullage.errors import UllageError, UnavailableError
from ullage.runtime.supervisor import command
from ullage.settings import Context

POSTS = int(os.environ.get("ULLAGE_BENCH_POSTS", "500"))
PEOPLE, SHOWN = 8, 100
"""People a post, and posts that the list page shows."""
PAUSE, REVISIT = 0.2, 5
START_SECONDS, WAIT_SECONDS = 90.0, 300.0
TENANT = "bench"


class Pastes:
    """A paste site on loopback; `published` says when each post began to be shown."""

    def __init__(self, posts: Mapping[str, str]) -> None:
        self.posts, self.published = posts, dict[str, float]()

    def page(self, path: str) -> bytes | None:
        """Return the page at `path`."""
        if path == "/archive":
            links = "".join(
                f'<li><a href="/{name}">{name}</a></li>' for name in [*self.published][-SHOWN:]
            )
            return f"<html><body><ul>{links}</ul></body></html>".encode()
        name = path.removeprefix("/raw/")
        return self.posts[name].encode() if name in self.published else None

    def publish(self) -> None:
        """Show one post after the other."""
        pause = threading.Event()
        for name in self.posts:
            self.published[name] = time.time()
            pause.wait(PAUSE)

    def serving(self) -> contextlib.AbstractContextManager[str]:
        """Serve the site while its address is used."""
        return serving(_handler(self))


def _handler(pastes: Pastes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pastes.page(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header(
                "Content-Type",
                "text/html" if self.path == "/archive" else "text/plain; charset=utf-8",
            )
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Log no requests."""

    return Handler


def _posts(customers: list[Person]) -> dict[str, str]:
    """Return posts of eight people each by name, in the form that the trade uses."""
    lines = [f"{p.name}----{p.phone}----{p.resident_id}----{p.balance}" for p in customers]
    head = "贷款客户 一手料 姓名----手机----身份证----贷款金额\n"
    return {
        f"post{n:04}": head + "\n".join(lines[n * PEOPLE : (n + 1) * PEOPLE])
        for n in range(len(lines) // PEOPLE)
    }


def publish_to_notification(folder: Path) -> None:
    """Lines of the table: on embedded parts, and on Kafka and Elasticsearch where they can be
    had.
    """
    for group in (20, 0):
        _measure(folder / f"embedded{group}", "embedded", group, "", "")
    try:
        services.require_tools()
        with services.running(folder / "servers") as servers:
            for group in (20, 0):
                run = f"bench-{secrets.token_hex(3)}"
                services.create_indexes(servers, f"{services.PREFIX}{run}-")
                password = (servers.keys / "store.password").read_text(encoding="utf-8").strip()
                tables = servers.configuration(f"{run}.", f"{services.PREFIX}{run}-")
                _measure(folder / f"servers{group}", "Kafka + ES", group, tables, password)
    except UnavailableError as error:
        print(f"Kafka and Elasticsearch are left out: {error}")


def _measure(data: Path, what: str, group: int, tables: str, password: str) -> None:
    customers = list(people(POSTS * PEOPLE, 11))
    pastes = Pastes(_posts(customers))
    with receiving() as team, pastes.serving() as url:
        key = _set_up(data, customers, url, team, group, tables, password)
        with _running(data):
            _first_visit(data, pastes)
            pastes.publish()
            arrived = team.wait_for(lambda _: len(_first_notices(team, key)) >= POSTS, WAIT_SECONDS)
        told_after, folded_after = _seconds(data, pastes, _first_notices(team, key))
    lost = "" if arrived else f", {POSTS - len(told_after)} lost"
    row(
        f"post → message, {what}, group {group} s",
        f"{len(told_after)} posts{lost}",
        f"{len(team.received)} messages",
    )
    row("  seconds", _quantiles(told_after))
    row("  of these to the incident", _quantiles(folded_after))


QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


def _set_up(
    data: Path,
    customers: list[Person],
    url: str,
    team: Receiver,
    group: int,
    tables: str,
    password: str,
) -> str:
    page = f"http://{HOST}:8600"
    grouped = security_team.configuration(page).replace(
        "[notify]\n", f"[notify]\ngroup_seconds = {group}\n"
    )
    data.mkdir(parents=True)
    (data / "ullage.toml").write_text(
        f"{tables}\n{configuration(TENANT)}\n{grouped}", encoding="utf-8"
    )
    ask = Ullage(data)
    ask("init")
    if password:
        services.write_secret(data / "keys" / "store.password", password)
    key = security_team.introduce(data / "keys", team)
    write_customers(data / "customers.csv", customers)
    ask("watchlist", "load", str(data / "customers.csv"), "--tenant", TENANT)
    text = site("raw_paste", f"{url}/archive", "paste", revisit=REVISIT)
    (data / "sites.d" / "pastes.toml").write_text(text, encoding="utf-8")
    return key


@contextlib.contextmanager
def _running(data: Path) -> Iterator[None]:
    """`ullage run` with all its roles."""
    environment = {**os.environ, "ULLAGE_LOG_LEVEL": "error"}
    process = subprocess.Popen(
        command(data, "run"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _first_visit(data: Path, pastes: Pastes) -> None:
    """Wait until every role runs and the backlog has been read.

    That is so once a post without customers has passed through and is shown.
    """
    name = next(iter(pastes.posts))
    pastes.published[name] = time.time()
    ask, deadline, pause = Ullage(data), time.monotonic() + START_SECONDS, threading.Event()
    while not _has_incidents(ask):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no incident within {START_SECONDS:.0f} s of the start")
        pause.wait(1.0)


def _has_incidents(ask: Ullage) -> bool:
    """Return whether any is listed; the command fails until something was collected."""
    try:
        return bool(ask("incidents", "list", "--json"))
    except UllageError:
        return False


def _first_notices(team: Receiver, key: str) -> dict[str, float]:
    """Return when each incident was first reported by a signed message."""
    first_at: dict[str, float] = {}
    for message in list(team.received):
        if message.signed_with(key):
            for incident in message.json["incidents"]:
                first_at.setdefault(incident["id"], message.at)
    return first_at


def _seconds(
    data: Path, pastes: Pastes, when: Mapping[str, float]
) -> tuple[list[float], list[float]]:
    """Return each reported post's seconds to the message and to the incident, in order.

    The first post is left out: it warmed the path.
    """
    context = Context(data)
    key = CaptureKey(context.keys)
    post_of = {redact.id_token("post", post, "pastes", key): post for post in pastes.posts}
    with contextlib.closing(open_configured_store(context)) as store:
        sightings = {
            post_of[sighting.post_id]: sighting
            for sighting in store.scroll(Sighting, DocumentFilter())
            if sighting.incident in when
        }
    sightings.pop(next(iter(pastes.posts)), None)
    to_message = (
        when[sighting.incident] - pastes.published[post] for post, sighting in sightings.items()
    )
    to_incident = (
        sighting.grouped_at.timestamp() - pastes.published[post]
        for post, sighting in sightings.items()
    )
    return sorted(to_message), sorted(to_incident)


def _quantiles(ordered: list[float]) -> str:
    return " ".join(
        f"{name} {ordered[min(len(ordered) - 1, int(len(ordered) * q))]:.1f}"
        for name, q in QUANTILES.items()
    )
