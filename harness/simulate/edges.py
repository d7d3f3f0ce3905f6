"""Where the product touches the real world, and what stands there during a night.

Everything else is the product itself.

time, waiting       `threading.Event.wait` and threads take turns on the timeline; clocks are passed
                    in anyway
chance              `random._urandom`, which `secrets` and `SystemRandom` draw from, gives what the
                    seed says
disk                every commit (of any connection), fsync, write in place, rename and removal
                    passes the faults
locks               who holds which `flock` is noted, so that it is free when its process dies
process             signals, timers, metrics ports, the socket for dropped files: none
network             `crawlers.visiting.visitor.by_scrapy` gives way to the scripted sites, channels
                    to scripted ones
pace                loops that look around every few seconds do so every minute, else a night costs
                    minutes
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

import apsw

import alerts.notify.sender
import alerts.service.process
import alerts.service.upkeep
import crawlers.fetching.scrapy_setup
import crawlers.publishing.backlog
import crawlers.scheduling.scheduler
import matcher.cli.assess_service
import matcher.cli.match
import ullage.runtime.in_hand
import ullage.runtime.service
from harness.simulate.faults import FSYNC, Faults
from harness.simulate.process import Supervisor
from harness.simulate.timeline import Loop, Timeline
from ullage.runtime.in_hand import InHand

PACE_SECONDS = 60.0
LOOKS_SECONDS = 300.0
"""How often alert looks at what grows with the history; a minute for others."""
CHECKPOINT_PAGES = 100
CACHE_PAGES = 10
"""Few, as a database is large for SQLite that does not fit: it writes pages before a transaction
ends, and checkpoints often.
"""


@contextlib.contextmanager
def edges(
    timeline: Timeline, supervisor: Supervisor, faults: Faults, read: Any, channel: Any
) -> Iterator[None]:
    """See the module. `read` reads a visit's pages, `channel` makes a channel of a name."""
    with contextlib.ExitStack() as stack:

        def put(owner: object, name: str, value: object) -> None:
            stack.enter_context(mock.patch.object(owner, name, value))

        for name, value in _disk(supervisor, faults):
            put(os, name, value)
        put(fcntl, "flock", partial(_flock, fcntl.flock, supervisor))
        put(random, "_urandom", random.Random(faults.rng.random()).randbytes)
        put(signal, "setitimer", lambda *_: (0.0, 0.0))
        for owner, name, value in _threads(timeline, supervisor):
            put(owner, name, value)
        hook = partial(_opened, supervisor, faults)
        apsw.connection_hooks.append(hook)
        stack.callback(apsw.connection_hooks.remove, hook)
        for owner, name, value in _process(timeline, supervisor):
            put(owner, name, value)
        scheduler = crawlers.scheduling.scheduler
        put(scheduler, "Scheduler", partial(scheduler.Scheduler, on_bus=_at_once, read=read))
        put(alerts.notify.sender, "open_channel", lambda name, *_: channel(name))
        put(alerts.service.process, "open_configured_store", lambda context: context.store())
        put(scheduler, "READ_SECONDS", PACE_SECONDS)
        put(alerts.notify.sender, "POLL_SECONDS", PACE_SECONDS)
        put(crawlers.publishing.backlog, "LOOK_SECONDS", PACE_SECONDS * 2)
        put(alerts.service.upkeep, "RECOUNT_SECONDS", PACE_SECONDS * 2)
        put(alerts.service.upkeep, "RECENT_SECONDS", LOOKS_SECONDS)
        yield


async def _at_once(act: Callable[[], Any]) -> Any:
    return act()


def _disk(supervisor: Supervisor, faults: Faults) -> Iterator[tuple[str, Any]]:
    """Let dead processes write nothing, and pass what must be durable through the faults."""
    fsync, close = os.fsync, os.close

    def synced(handle: int) -> None:
        if (process := supervisor.current) is None:
            fsync(handle)
            return
        faults.before(process, FSYNC)
        faults.disk.synced(handle)
        faults.after(process, FSYNC)

    def closed(handle: int) -> None:
        if (process := supervisor.current) is not None:
            process.locks.discard(handle)
        close(handle)

    def unless_dead(
        act: Callable[..., Any], watch: Callable[..., None], *args: Any, **kwargs: Any
    ) -> Any:
        process = supervisor.current
        if process is not None and process.dead:
            supervisor.die(process)
        if process is not None:
            watch(*args)
        return act(*args, **kwargs)

    yield "fsync", synced
    yield "close", closed
    disk = faults.disk
    for name, watch in (
        ("pwrite", lambda handle, *_: disk.writes(handle)),
        ("unlink", disk.removes),
    ):
        yield name, partial(unless_dead, getattr(os, name), watch)
    for name in ("replace", "rename"):
        yield name, partial(unless_dead, getattr(os, name), disk.moves)


def _flock(
    flock: Callable[[Any, int], None], supervisor: Supervisor, handle: Any, how: int
) -> None:
    flock(handle, how)
    if (process := supervisor.current) is not None and isinstance(handle, int):
        process.locks.add(handle)


def _opened(supervisor: Supervisor, faults: Faults, connection: apsw.Connection) -> None:
    """Make each commit of a process's connection a durable step."""
    if (process := supervisor.current) is None:  # what arrives late, and the operator
        connection.set_wal_hook(partial(_noted, faults))
        return
    process.databases.append(connection)
    name = os.path.basename(connection.filename)  # noqa: PTH119
    step = f"commit {name.strip('.').partition('.')[0]}"

    def before() -> bool:
        faults.before(process, step)
        return False

    def after(database: apsw.Connection, name: str, pages: int) -> int:
        # not sooner: that reads the file, of which it is then too late to say how it is made
        if database not in process.cramped:
            database.pragma("cache_size", CACHE_PAGES)
            process.cramped.add(database)
        faults.disk.committed(database, pages)
        if pages > CHECKPOINT_PAGES:
            database.wal_checkpoint(name)
            faults.disk.checkpointed(database)
        faults.after(process, step)
        return apsw.SQLITE_OK

    connection.set_commit_hook(before)
    connection.set_wal_hook(after)


def _noted(faults: Faults, database: apsw.Connection, _name: str, pages: int) -> int:
    faults.disk.committed(database, pages)
    return apsw.SQLITE_OK


def _threads(timeline: Timeline, supervisor: Supervisor) -> Iterator[tuple[Any, str, Any]]:
    """Threads of a process are tasks of it."""
    wait, start, alive, join = (
        threading.Event.wait, threading.Thread.start, threading.Thread.is_alive,
        threading.Thread.join,
    )  # fmt: skip
    tasks: dict[threading.Thread, Any] = {}

    def waited(event: threading.Event, timeout: float | None = None) -> bool:
        if timeline.current is None:
            return wait(event, timeout)
        if not event.is_set():
            timeline.wait(timeout, event.is_set)
        return event.is_set()

    def started(thread: threading.Thread) -> None:
        if (process := supervisor.current) is None:
            start(thread)
        else:
            tasks[thread] = timeline.spawn(
                f"{process.role} {thread.name}",
                partial(supervisor.attend, process, thread.run),
                process,
            )

    def is_alive(thread: threading.Thread) -> bool:
        return timeline.alive(tasks[thread]) if thread in tasks else alive(thread)

    def joined(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread in tasks:
            timeline.wait(timeout, lambda: not timeline.alive(tasks[thread]))
        else:
            join(thread, timeout)

    yield threading.Event, "wait", waited
    yield threading.Thread, "start", started
    yield threading.Thread, "is_alive", is_alive
    yield threading.Thread, "join", joined


def _process(timeline: Timeline, supervisor: Supervisor) -> Iterator[tuple[Any, str, Any]]:
    """Replace what a role does around its work."""

    @contextlib.contextmanager
    def running(*_: Any, **__: Any) -> Iterator[threading.Event]:
        assert supervisor.current is not None
        yield supervisor.current.stop

    def drive(main: Callable[..., Any], stop: threading.Event) -> None:
        process = supervisor.current
        assert process is not None
        process.loop = loop = Loop(timeline)
        loop.run_until_complete(_until(main, stop))
        loop.close()
        process.loop = None

    close = InHand.close

    def let_go(notes: InHand) -> None:
        process = supervisor.current
        if process is not None and process.dead:
            file, notes._file = notes._file, -1
            os.close(file)
        else:
            close(notes)

    def boot() -> str:
        """Return an id of this start of the machine.

        Each death is a power cut: it is not held against what was in hand, which still comes alone.
        """
        return str(supervisor.current.life if supervisor.current else 0)

    for module in (matcher.cli.match, alerts.service.process, ullage.runtime.service):
        yield module, "running", running
    yield crawlers.fetching.scrapy_setup, "run_on_reactor", drive
    yield crawlers.fetching.scrapy_setup, "silence_libraries", lambda: None
    yield matcher.cli.assess_service, "listening", lambda *_: contextlib.nullcontext()
    yield InHand, "close", let_go
    yield ullage.runtime.in_hand, "_boot", boot


async def _until(main: Callable[..., Any], stop: threading.Event) -> None:
    """Run `main` with an event that is set soon after `stop`."""
    stopped = asyncio.Event()

    async def relay() -> None:
        while not stop.is_set():  # noqa: ASYNC110 - an event of threads
            await asyncio.sleep(PACE_SECONDS)
        stopped.set()

    relaying = asyncio.ensure_future(relay())
    try:
        await main(stopped)
    finally:
        relaying.cancel()
