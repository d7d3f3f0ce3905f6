"""What alert's folding costs: CPU-seconds for a thousand findings, on an empty store and beside
what the desk's bench has filled.

The stage is alert's own with all that follows from an incident: work items, what is to be told, and
which false positives come back. Findings come in alert's batches of 64, each of a post of its own
with so many customers in rows of name, phone and ID; every fourth is posted by a seller who posts
others in the same channel, every tenth is a copy of one before it.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from alerts.cases.reopening import Returns
from alerts.cases.suppressions import mute_filter
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.grouping.benign import BACKGROUND
from alerts.grouping.stage import YOUNG, Alert
from alerts.notify.plan import plan
from alerts.records import Incident
from alerts.service.metrics import AlertMetrics
from alerts.store import IncidentStore, open_store
from harness.bench.desk.data import NOW, make_finding, tag
from harness.bench.table import row
from tests.alerts.builders import record
from tests.conftest import HeldClock
from ullage import setup
from ullage.files.rule_files import Live
from ullage.records import Finding
from ullage.runtime.service import spare_what_stands
from ullage.settings import Context
from ullage.verdict import VERDICT

BATCH, WARM = 64, 1
MEASURED = 8
GOAL_A_SECOND = 200.0
PEOPLE = (1, 20)
CONFIGURATION = """\
[tenants.bank]

[tenants.shop]

[notify.channels.team]
kind = "webhook"

[notify.routes.all]
channels = ["team"]
severity = "notice"
"""
Seconds = Callable[[], float]
Cost = tuple[float, float, float]


def stage_of(context: Context, store: IncidentStore) -> Alert:
    """Alert's stage as `ullage alert` builds it, but for the bus and the senders of messages."""
    duties = Duties(store, context.tenant, context.clock)
    metrics = AlertMetrics(CollectorRegistry(), ["bank", "shop"], context.clock)
    silent, verdict = mute_filter(duties), Live(VERDICT, context.data)

    def tell(incidents: Sequence[Incident]) -> None:
        plan(
            store, context.settings.notify, incidents, context.clock.now(), silent, duties.time_left
        )

    returns = Returns(Work(duties), context.trail(), verdict, tell)
    background = Live(BACKGROUND, context.data)
    return Alert(
        store,
        context.clock,
        context.tenant,
        metrics,
        background,
        verdict,
        tell,
        returns.handle_written_incidents,
    )


def findings(people: int, run: str) -> Iterator[Finding]:
    """Yield findings without end."""
    for n in itertools.count():
        name = f"{run}-{n - 1 if n % 10 == 9 else n}"
        finding_ = make_finding(n, people, name)
        seller = (
            {"author": "@" + tag(run, n // 40)[:12]}
            if n % 4 == 0
            else {"author": "", "channel": ""}
        )
        capture = finding_.capture.model_copy(update={**seller, "post_id": f"{n}"})
        yield finding_.model_copy(update={"id": f"{run}-{n}", "capture": capture})


def fold(
    context: Context, store: IncidentStore, people: int, run: str, others: Seconds = lambda: 0.0
) -> Cost:
    """CPU-seconds of ours, wall seconds, and seconds by `others` (a server's CPU), for a
    thousand findings.
    """
    alert, remaining = stage_of(context, store), findings(people, run)
    spare_what_stands(YOUNG)
    spent = [0.0, 0.0, 0.0]
    for turn in range(WARM + MEASURED):
        records = [record(finding) for finding in itertools.islice(remaining, BATCH)]
        before = time.process_time(), time.monotonic(), others()
        alert.handle(records)
        after = time.process_time(), time.monotonic(), others()
        if turn >= WARM:
            spent = [
                sum_ + end - start for sum_, start, end in zip(spent, before, after, strict=True)
            ]
    cpu, wall, server_seconds = (seconds * 1000 / (BATCH * MEASURED) for seconds in spent)
    return cpu, wall, server_seconds


def line(what: str, cost: Cost) -> None:
    """Return a line of the table.

    Findings per second are counted by CPU time, as the machine may be busy with something else.
    """
    cpu, wall, server_milliseconds = cost
    beside = f", server {server_milliseconds:.1f}" if server_milliseconds else ""
    rate = 1000 / (cpu + server_milliseconds)
    row(
        what,
        f"{rate:.0f}/s of CPU",
        f"CPU {cpu:.2f}{beside}, wall {wall:.1f} s",
        rate / GOAL_A_SECOND,
    )


@contextlib.contextmanager
def small() -> Iterator[tuple[Context, IncidentStore]]:
    """Yield an empty embedded store."""
    with tempfile.TemporaryDirectory() as name:
        clock, data = HeldClock(), Path(name)
        clock.seconds = NOW.timestamp()
        list(setup.initialise(Context(data)))
        (data / "ullage.toml").write_text(CONFIGURATION, encoding="utf-8")
        context = Context(data, clock.as_clock())
        with contextlib.closing(open_store("sqlite:///incidents.sqlite", data)) as store:
            yield context, store


def measure_embedded() -> None:
    """Measure grouping on an empty store."""
    for people in PEOPLE:
        with small() as (context, store):
            line(f"fold, SQLite, {people} customers", fold(context, store, people, "few"))


if __name__ == "__main__":
    measure_embedded()
