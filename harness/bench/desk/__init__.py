"""The desk at the size of a bank: what each page costs through the real application, and how fast
alert folds beside it.

Requests go over loopback to the application as it is served, one after the other, as a person's
browser sends them; a page's first request of each is not counted. Wall times are of a machine that
may have other work; `CPU` is this process's, what a server of the store took stands beside it.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

import httpx
from prometheus_client import CollectorRegistry

from alerts.accounts.accounts import Accounts
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Book, Work, read_known_until
from alerts.records import VERSION, Incident, Sighting
from alerts.store import DocumentFilter, IncidentStore, open_store
from alerts.web.app import create_app
from harness.bench.desk.data import CACHE, CONFIGURATION, INCIDENTS, NOW, StoreFiller, large
from harness.bench.table import row
from tests.alerts.browser import ASKER, CHEAP, OURS, PASSWORD, PHONE, add_account
from tests.conftest import HeldClock
from ullage import setup
from ullage.runtime.http_server import listening, serve
from ullage.runtime.service import spare_what_stands
from ullage.security import keys
from ullage.settings import Context

REQUESTS = int(os.environ.get("ULLAGE_BENCH_REQUESTS", "40"))
GOAL_MILLISECONDS = 100.0
ROLES = ("lead", "dpo", "fraud", "auditor")


@dataclass(frozen=True, slots=True)
class FilledStore:
    """A filled store with the data folder that it is served from."""

    context: Context
    store: IncidentStore
    clock: HeldClock


@contextlib.contextmanager
def open_filled_store(count: int = INCIDENTS) -> Iterator[FilledStore]:
    """Yield the embedded store that is reused; it is filled where it is empty."""
    data, clock = CACHE / f"desk-{count}-v{VERSION}", HeldClock()
    if not (data / "ullage.toml").exists():
        list(setup.initialise(Context(data)))
        (data / "ullage.toml").write_text(CONFIGURATION, encoding="utf-8")
    clock.seconds = NOW.timestamp()
    context = Context(data, clock.as_clock())
    for tenant in ("bank", "shop"):
        keys.make_tenant(context.keys, tenant)
    with contextlib.closing(open_store("sqlite:///incidents.sqlite", data)) as store:
        duties = Duties(store, context.tenant, context.clock)
        if store.count(Incident, DocumentFilter()) < count:
            start = time.process_time()
            StoreFiller(store, Work(duties)).fill(count, clock)
            row("filled, s (CPU)", f"{time.process_time() - start:.0f}")
        clock.seconds = NOW.timestamp()
        if read_known_until(store) is None:
            start = time.process_time()
            Book(duties).complete()
            row("duties worked out, s (CPU)", f"{time.process_time() - start:.0f}")
        yield FilledStore(context, store, clock)


@contextlib.contextmanager
def client(made: FilledStore) -> Iterator[httpx.Client]:
    """Yield a client that is logged in to the application, which is served on loopback."""
    accounts, stop = Accounts(made.context.data, made.context.clock), threading.Event()
    with contextlib.closing(accounts), listening("search", "127.0.0.1", 0) as (listener, port):
        if accounts.user(ASKER) is None:
            add_account(accounts, ASKER, ROLES)
        registry, hosts = CollectorRegistry(), frozenset({f"127.0.0.1:{port}"})
        app = create_app(made.context, made.store, accounts, registry, hosts, hasher=CHEAP)
        spare_what_stands()
        thread = threading.Thread(target=serve, args=(app, listener, stop), daemon=True)
        thread.start()
        try:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers=OURS, timeout=120
            ) as http:
                http.post("/login", data={"name": ASKER, "password": PASSWORD})
                yield http
        finally:
            stop.set()
            thread.join(20)


def paths(store: IncidentStore) -> dict[str, str]:
    """Return the measured paths by their name in the table."""
    words, scenario = quote("客户"), "?scenario=loan_fraud"
    sightings = store.search(Sighting, DocumentFilter(), 200).items
    seller = next(sighting.author for sighting in sightings if sighting.author)
    small = next(sighting.incident for sighting in sightings)
    queue = {
        "queue": "/", "queue, mine": "/?tab=mine", "queue, unassigned": "/?tab=unassigned",
        "queue, due": "/?tab=due",
        "queue, new": "/?tab=new", "queue, closed": "/?tab=closed", "queue, all": "/?tab=all",
        "queue, flat": "/?flat=1",
        "by severity": "/?order=severity", "by customers": "/?order=customers",
        "oldest first": "/?order=-opened&tab=all",
        "severity": "/?severity=high",
        "severity and status": "/?severity=medium&status=acknowledged",
        "status": "/?status=acknowledged&tab=all", "status, none": "/?status=reported&tab=all",
        "origin": "/?origin=unknown", "scenario": scenario, "site": "/?site=site007&tab=all",
        "kind, most": "/?kind=phone",
        "kind, none": "/?kind=iban", "assignee": "/?assignee=analyst03", "tenant": "/?tenant=shop",
        "words, all": f"/?q={words}&tab=all", "words, some": f"/?q={quote('银行')}",
        "words, rare": "/?q=INC-00000000A1&tab=all",
        "since": "/?since=3d", "seller": f"/?seller={quote(seller)}&tab=all",
        "words, kind, status, since":
            f"/?q={words}&kind=phone&status=acknowledged&since=30d&tab=all",
        "words, site, severity": f"/?q={words}&site=site007&severity=low&tab=all",
    }  # fmt: skip
    incident_paths = {
        "incident": f"/incidents/{small}", "incident of 5,000": f"/incidents/{large()}",
        "incident of 5,000, kind": f"/incidents/{large()}?kind=phone",
        "handover": "/handover", "handover, 3 days": "/handover?since=3d",
        "handover, tenant": "/handover?tenant=shop",
        "coverage": "/coverage", "sites": "/sites", "noise": "/noise", "channels": "/channels",
        "watchlists": "/watchlists", "accounts": "/accounts", "audit": "/audit",
        "assess": "/assess",
        "API, incidents": "/v1/incidents", "API, status": "/v1/incidents?status=acknowledged",
        "API, open, severity": "/v1/incidents?status=open&severity=low",
        "API, incident": f"/v1/incidents/{small}",
        "ready": "/readyz",
    }  # fmt: skip
    return queue | incident_paths


def pages(
    filled_store: FilledStore, what: str, server: Callable[[], float] = lambda: 0.0
) -> list[str]:
    """Print a line per page and return the pages that take longer than they may.

    `server` tells the CPU-seconds of a server so far.
    """
    missed = []
    only = os.environ.get("ULLAGE_BENCH_PAGES", "")
    with client(filled_store) as http:
        path_of = paths(filled_store.store)
        for name, path in path_of.items():
            if only in name and not _page(http, server, f"{what}: {name}", "GET", path):
                missed.append(f"{what} {name}")
        form = {"value": PHONE, "purpose": "fraud_case", "case": "C-2026-1"}
        if only in "check a person" and not _page(
            http, server, f"{what}: check a person", "POST", "/exposed", form
        ):
            missed.append(f"{what} check a person")
        following = _next(http.get("/?flat=1&tab=all").text)
        if only in "queue, next" and not _page(
            http, server, f"{what}: queue, next page", "GET", following
        ):
            missed.append(f"{what} next page")
    return missed


def _next(text: str) -> str:
    """Return the address of the page that follows this one."""
    mark = text.index("after=")
    start = text.rindex('"', 0, mark) + 1
    return "/" + text[start : text.index('"', mark)].replace("&amp;", "&").lstrip("/")


def _page(
    http: httpx.Client,
    server: Callable[[], float],
    what: str,
    method: str,
    path: str,
    form: dict[str, str] | None = None,
) -> bool:
    """Ask so often, print the line, and say whether the goal holds."""
    walls, before = list[float](), (0.0, 0.0)
    for turn in range(REQUESTS + 1):
        start = time.monotonic()
        answer = http.request(method, path, data=form)
        if answer.status_code != 200:
            raise RuntimeError(f"{what}: {answer.status_code}")
        if turn:
            walls.append((time.monotonic() - start) * 1000)
        else:
            before = time.process_time(), server()
    cpu, its = (
        (end - start) / REQUESTS * 1000
        for start, end in zip(before, (time.process_time(), server()), strict=True)
    )
    p95 = statistics.quantiles(walls, n=20, method="inclusive")[-1]
    row(
        what,
        f"p50 {statistics.median(walls):.0f} p95 {p95:.0f} ms",
        f"CPU {cpu:.0f} ms{f', server {its:.0f}' if its else ''}, {len(answer.content) >> 10} KiB",
        GOAL_MILLISECONDS / p95,
    )
    return p95 <= GOAL_MILLISECONDS


def measure_embedded() -> list[str]:
    """Measure the pages over SQLite."""
    with open_filled_store() as filled_store:
        return pages(filled_store, "SQLite")


if __name__ == "__main__":
    measure_embedded()
