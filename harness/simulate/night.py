"""One night from one seed: the whole product in one process, from the sites to the channels, and
what must hold at its end.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import structlog

from harness.simulate import script
from harness.simulate.channels import ScriptedChannel
from harness.simulate.decisions import Decisions, rest_and_return
from harness.simulate.disk import Disk
from harness.simulate.edges import edges
from harness.simulate.faults import ROLES, Faults
from harness.simulate.invariants import PROMISE_SECONDS, VISITS, Night, broken
from harness.simulate.parts import IDLE_SECONDS
from harness.simulate.process import Supervisor
from harness.simulate.roles import Roles
from harness.simulate.script import CHANNELS, CHATS, FAULTY_SECONDS, HOUR, SITES, TENANTS
from harness.simulate.sites import CHAT, REVISIT_SECONDS, SITE, Site, reader
from harness.simulate.timeline import Timeline, VirtualClock
from tests.matcher.bank import customer, enrol
from ullage import setup
from ullage.clock import Clock
from ullage.settings import Context

BEGAN = datetime(2026, 11, 26, 22, tzinfo=UTC).timestamp()
"""So that the day of UTC ends when `DAY_TURNS_SECONDS` have passed."""
LONGEST_SECONDS = 30 * HOUR
"""A site that failed for long is left alone for a day at most."""
SETTLED_SECONDS = 1.5 * PROMISE_SECONDS
CONFIG = """\
metrics = false
[crawl]
user_agent = "ullage (a simulated night; nobody@example.com)"
heartbeat_seconds = 300
[bus]
findings_days = 1.5
[store]
exposures_days = 1.5
[tenants.north]
medium_deadline = "run"
[tenants.south]
[notify]
page = "https://desk.example"
[notify.channels.pager]
[notify.channels.desk]
detail = "facts"
[notify.channels.siem]
[notify.routes.all]
channels = ["desk"]
severity = "notice"
repeat_hours = 2
escalate_to = ["siem"]
[notify.routes.grave]
channels = ["pager", "siem"]
severity = "medium"
"""


@dataclass
class NightReport:
    """What came of a night: a line for each thing that happened, what does not hold, and how
    much was tried.
    """

    seed: int
    trace: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    steps: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    hours: float = 0.0

    def digest(self) -> str:
        """Return the digest of the whole trace."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]


def prepare(folder: Path) -> None:
    """Prepare a data folder, the same each time.

    It has keys, lists of two tenants, sites and settings.
    """
    with mock.patch.object(random, "_urandom", random.Random(0).randbytes):
        folder.mkdir(parents=True)
        (folder / "ullage.toml").write_text(CONFIG, encoding="utf-8")
        context = Context(folder, Clock(lambda: BEGAN, lambda: 0.0, lambda: 0.0, lambda: "night"))
        list(setup.initialise(context))
        for tenant, numbers in TENANTS.items():
            enrol(context, tenant, [customer(number) for number in numbers])
        for name in SITES:
            (folder / "sites.d" / f"{name}.toml").write_text(
                SITE.format(name=name, revisit=REVISIT_SECONDS)
            )
        for name in CHATS:
            (folder / "sites.d" / f"{name}.toml").write_text(CHAT)


def night(seed: int, prepared: Path, folder: Path) -> NightReport:
    """Simulate the night of `seed` in `folder`, which is made from what was `prepared`."""
    shutil.copytree(prepared, folder)
    rng, report = random.Random(seed), NightReport(seed)
    timeline = Timeline(random.Random(rng.random()))

    def tell(who: str, what: str) -> None:
        line = what.replace(str(folder), "DATA").replace(f"process {os.getpid()} ", "this process ")
        report.trace.append(f"{timeline.now:10.3f} {who}: {line}")

    clock = VirtualClock(timeline, BEGAN)
    disk = Disk(folder, random.Random(seed))
    supervisor = Supervisor(timeline, tell)
    faults = Faults(
        random.Random(rng.random()),
        timeline,
        clock,
        supervisor,
        tell,
        disk,
        lambda: tell("operator", setup.accept_clock(context)),
    )
    planned = script.script_of(rng)
    sites = {name: Site(name, timeline, planned.of(name)) for name in SITES}
    channels = {
        name: ScriptedChannel(
            name, timeline, random.Random(rng.random()), tell, faults.sends, faults.notices
        )
        for name in CHANNELS
    }
    script.give_moods(rng, [*sites.values()], [*channels.values()])
    context = Context(
        folder, Clock(clock.wall, clock.monotonic, supervisor.uptime, supervisor.boot)
    )
    decisions = Decisions(context, planned, timeline, tell)
    decisions.plan()
    roles = Roles(context, faults, {name: planned.of(name) for name in CHATS})
    report.steps, report.struck = faults.steps, faults.struck
    hands = UnfinishedVisits()
    with (
        _logs(tell, hands),
        edges(timeline, supervisor, faults, reader(timeline, sites), channels.__getitem__),
    ):
        for role, main in roles.mains().items():
            supervisor.start(role, main)
        faults.plan(FAULTY_SECONDS, rng.randint(4, 16))
        timeline.run(FAULTY_SECONDS)
        tell("night", "faults end")
        faults.end()
        _drain(timeline, supervisor, sites)
        report.hours = timeline.now / HOUR
        supervisor.ending = True
        # one after the other, as records go: each finishes what those before it have left
        for role in ROLES:
            supervisor.running[role].stop.set()
            timeline.run(timeline.now + 2 * IDLE_SECONDS)
        timeline.end()
        for process in (*supervisor.running.values(), *supervisor.doubles):
            process.free()
    report.lives = supervisor.lives
    report.broken = [
        *supervisor.faults,
        *broken(
            Night(
                context,
                planned,
                sites,
                channels,
                faults,
                roles.taken,
                hands.kept,
                roles.offsets,
                decisions,
            )
        ),
    ]
    if not supervisor.faults:
        with (
            _logs(tell, hands),
            edges(timeline, supervisor, faults, reader(timeline, sites), channels.__getitem__),
        ):
            report.broken += rest_and_return(decisions, supervisor, roles)
    report.trace += [f"broken: {problem}" for problem in report.broken]
    return report


def _drain(timeline: Timeline, supervisor: Supervisor, sites: dict[str, Site]) -> None:
    """Until every site was read twice since the faults, and what was found then had its time to
    be told.
    """
    began = timeline.now
    while timeline.now < LONGEST_SECONDS and not supervisor.ending:
        timeline.run(timeline.now + 300.0)
        if all(sum(at > began for at in site.listed) >= VISITS for site in sites.values()):
            break
    timeline.run(timeline.now + SETTLED_SECONDS)


@dataclass
class UnfinishedVisits:
    """Which sites a visit left with pages in hand although it was not broken off, by what crawl
    logs.
    """

    kept: set[str] = field(default_factory=set)
    _broken_off: set[str] = field(default_factory=set)

    def hear(self, name: str, site: str) -> None:
        """Crawl says this of a site."""
        if name == "leased_pages_due_again" and site not in self._broken_off:
            self.kept.add(site)
        if name == "visit_broken_off":
            self._broken_off.add(site)
        if name == "visited":
            self._broken_off.discard(site)


@contextlib.contextmanager
def _logs(tell: Any, hands: UnfinishedVisits) -> Iterator[None]:
    """Record what the product logs in the trace."""

    def told(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        role, name = event.pop("role", "?"), event.pop("event", "?")
        hands.hear(name, event.get("site", ""))
        tell(
            f"log {role}",
            " ".join([str(name), *(f"{key}={value}" for key, value in sorted(event.items()))]),
        )
        raise structlog.DropEvent

    structlog.configure(
        processors=[told],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.reset_defaults()
