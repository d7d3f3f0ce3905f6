"""The desk over synthetic data on a free port of loopback, at a held time: what browser tests
open.
"""

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, cycle, islice
from pathlib import Path

from prometheus_client import CollectorRegistry

from alerts.accounts.accounts import Accounts
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.records import Incident, Sighting
from alerts.store import DocumentFilter, IncidentStore, open_store
from alerts.web.app import create_app
from tests.alerts.browser import ASKER, CHEAP, PASSWORD, add_account
from tests.alerts.builders import finding, fold_all, handle
from tests.alerts.coverage.heartbeats import Alert
from tests.conftest import HeldClock
from tests.matcher.bank import command, enrol
from ullage import setup
from ullage.monitoring.canary import SITE as CANARY
from ullage.runtime import assessing
from ullage.runtime.http_server import listening, serve
from ullage.security import keys
from ullage.settings import Context

CHROMIUM = shutil.which("chromium")
SWITCHES = (
    "--no-sandbox --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync".split()
)
"""With which it asks nobody on the network for anything."""
MORNING = datetime(2026, 9, 22, 1, 30, tzinfo=UTC)
"""Half past nine in Shanghai."""
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}",
    "\u202egnp.exe",
    "javascript:alert(1)",
    "=cmd|' /C calc'!A0",
)


SECOND = "Zhou Li"
"""Who confirms what another has proposed; with the password of the first."""


@dataclass(frozen=True)
class Desk:
    """Where it is, what one logs in with, and what lies beneath."""

    url: str
    name: str
    password: str
    store: IncidentStore
    context: Context
    clock: HeldClock


@contextlib.contextmanager
def desk(
    data: Path,
    *,
    incidents: int = 40,
    nights: bool = True,
    configure: Callable[[], None] = lambda: None,
) -> Iterator[Desk]:
    """Serve it; without `incidents` and `nights` it is as on the first day.

    `configure` writes into its folder first.
    """
    clock = HeldClock()
    list(setup.initialise(Context(data)))
    configure()
    context = Context(data, clock.as_clock())
    store = open_store("sqlite:///incidents.sqlite", data)
    keys.make_tenant(context.keys, "bank")
    keys.load_signer(context.keys, "alert")
    if nights:
        coverage(store, clock)
    clock.seconds = MORNING.timestamp()
    leaks(store, clock, incidents)
    accounts, stop = Accounts(data, context.clock), threading.Event()
    add_account(accounts, ASKER, ["lead", "dpo", "fraud", "auditor"])
    add_account(accounts, SECOND, ["dpo"])
    with (
        contextlib.closing(store),
        contextlib.closing(accounts),
        listening("search", "127.0.0.1", 0) as (listener, port),
    ):
        app = create_app(
            context,
            store,
            accounts,
            CollectorRegistry(),
            frozenset({f"127.0.0.1:{port}"}),
            hasher=CHEAP,
        )
        thread = threading.Thread(target=serve, args=(app, listener, stop), daemon=True)
        thread.start()
        try:
            yield Desk(f"http://127.0.0.1:{port}", ASKER, PASSWORD, store, context, clock)
        finally:
            stop.set()
            thread.join(20)


@contextlib.contextmanager
def assessing_desk(data: Path, customers: Sequence[dict[str, str]]) -> Iterator[Desk]:
    """Run the console without incidents, beside the processes of match and alert.

    Match knows `customers`.
    """
    with desk(data, incidents=0, nights=False) as console, contextlib.ExitStack() as running:
        enrol(Context(data), "bank", customers, "none")
        (data / "ullage.toml").write_text("[metrics_ports]\nmatch = 0\nalert = 0\n")
        words = [sys.executable, "-m", "ullage"]
        roles = [
            subprocess.Popen([*words, *command(data, role)], stderr=subprocess.DEVNULL)
            for role in ("match", "alert")
        ]
        for role in roles:
            running.callback(role.wait)
            running.callback(role.terminate)
        while not (data / assessing.NAME).exists():
            assert [role.poll() for role in roles] == [None, None]
            time.sleep(0.05)
        yield console


def coverage(store: IncidentStore, clock: HeldClock) -> None:
    """Store a night of four sites.

    One refuses us from midnight to four, all have an hour without a heartbeat, and canaries are
    found.
    """
    alert = Alert(store, clock)
    since, lost = MORNING - timedelta(hours=30), MORNING - timedelta(hours=5)
    alert.hears(since, MORNING - timedelta(hours=9), f"board pastes tieba xss.example {CANARY}")
    alert.hears(MORNING - timedelta(hours=9), lost, f"pastes tieba {CANARY}")
    alert.hears(MORNING - timedelta(hours=9), lost, "board", "b")
    alert.hears(
        lost + timedelta(hours=1), MORNING - timedelta(minutes=5), f"board pastes tieba {CANARY}"
    )


def leaks(store: IncidentStore, clock: HeldClock, count: int) -> None:
    """Incidents of different sizes, sites and kinds, some of them hostile in what they are
    called.
    """
    ids_ = []
    for n in range(count):
        people = [handle(f"{n}-{p}") for p in range((n * 7) % 23)]
        when = MORNING - timedelta(hours=n * 1.5)
        capture = {
            "title": HOSTILE[n % len(HOSTILE)] if n % 5 == 0 else "一手料 四件套",
            "author": "@" + handle(n % 6)[:12],
            "published_at": when - timedelta(minutes=n + 1),
            "fetched_at": when,
        }
        kinds = ("phone", "resident_id") if n % 2 else ("phone",)
        site = ("board", "pastes", "tieba")[n % 3]
        ids_.append(
            finding(
                f"f{n}", range(n * 100, n * 100 + 30), people, kinds, site=site, capture=capture
            )
        )
    fold_all(store, clock, ids_)
    hostile = [
        incident.model_copy(update={"sites": (*HOSTILE[:3], "board")})
        for incident in list(store.scroll(Incident, DocumentFilter()))[1::7]
    ]
    # a site of ours has a name of few signs; what was written before that, or by a feed, has any
    store.put(hostile)
    opened = {incident.id for incident in hostile}
    store.put(
        [
            incident.model_copy(update={"site": HOSTILE[n % len(HOSTILE)]})
            for n, incident in enumerate(store.scroll(Sighting, DocumentFilter()))
            if incident.incident in opened
        ]
    )


def more(made: Desk, count: int) -> None:
    """Copy the incidents under other ids until there are `count` more, and index them all."""
    work = Work(Duties(made.store, made.context.tenant, made.context.clock))
    originals = list(made.store.scroll(Incident, DocumentFilter()))
    copies = (
        incident.model_copy(
            update={
                "id": f"INC-{number:010X}",
                "opened_at": incident.opened_at - timedelta(minutes=7 * number),
            }
        )
        for number, incident in zip(range(count), cycle(originals), strict=False)
    )
    for batch in split_batches(chain(originals, copies), 500):
        made.store.put(batch)
        work.write(batch)


def split_batches(items: Iterable[Incident], size: int) -> Iterator[list[Incident]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
