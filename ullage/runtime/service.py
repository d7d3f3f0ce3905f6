"""Start, drain and end the process of a service, and ask whether it is ready.

`PR_SET_PDEATHSIG` makes the kernel end a child when `ullage run` dies, even by SIGKILL, so no
orphan is left behind.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import gc
import os
import resource
import signal
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.error import HTTPError

from prometheus_client import CollectorRegistry

from ullage import log
from ullage.audit.forwarding import AuditForwarder
from ullage.audit.syslog import read_url
from ullage.audit.trail import FOLDER as AUDIT
from ullage.audit.witness import AuditWitness
from ullage.errors import ConfigError, Exit
from ullage.files import output
from ullage.files.disk_room import find_shortage
from ullage.inventory import Inventory
from ullage.monitoring.loopback import HOST
from ullage.monitoring.metrics import metrics_server, show_suspension
from ullage.running_time import TURN_SECONDS, RunningTime
from ullage.runtime.in_hand import Surroundings
from ullage.settings import Context, Settings

READY, NOT_READY = "ready", "not ready"
ANSWER_SECONDS = 5.0
MOST_REASON = 2_000
"""Bytes of what a service says against its readiness."""
ROLES = ("crawl", "match", "alert", "search", "intake", "collect")
SERVICES = ("matrix", "xmpp", "telegram", "imap")


def port_of(settings: Settings, words: str) -> int:
    """Where the role with this command serves its metrics; 0 where nobody can know.

    ConfigError where there is no such role.
    """
    role, _, service = words.partition(" ")
    if role not in ROLES or (service not in SERVICES if role == "collect" else service):
        raise ConfigError(
            f"there is no role {words}: say one of {', '.join(ROLES)}, the last with one of"
            f" {', '.join(SERVICES)}"
        )
    return settings.search.port if role == "search" else settings.metrics_port(service or role) or 0


def of(settings: Settings, words: str) -> str:
    """`READY`, or what speaks against it."""
    port = port_of(settings, words)
    if not port:
        return "not asked: its port is 0, or no metrics are served"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{port}/readyz", timeout=ANSWER_SECONDS) as answer:
            return str(answer.read(MOST_REASON).decode("utf-8", "replace").strip())
    except HTTPError as error:
        with error:
            text = error.read(MOST_REASON).decode("utf-8", "replace").strip()
        return (
            text
            if text.startswith(f"{NOT_READY}: ")
            else f"{NOT_READY}: it waits for what it works on"
        )
    except OSError:
        return "does not answer"


SUPERVISOR = "ULLAGE_SUPERVISOR"
"""The variable with the pid of the supervisor that started this process."""
EXIT_CODE = "ULLAGE_EXIT_CODE"
"""The variable with the code with which this role's last process ended, negative where a signal
ended it.
"""
PR_SET_PDEATHSIG = 1


def die_with_supervisor() -> None:
    """If a supervisor started this process, ask the kernel to end it together with that one."""
    parent = os.environ.get(SUPERVISOR)
    if parent is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        raise ConfigError("the supervisor is gone already")


def surroundings() -> Surroundings:
    """What this process knows of its supervisor and of the process before it."""
    return Surroundings(int(os.environ.get(SUPERVISOR) or 0), int(os.environ.get(EXIT_CODE) or 0))


def no_core_dumps() -> None:
    """A core file would hold what is in memory: leaked values and keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def stop_on_signals(stop: threading.Event) -> None:
    """The first SIGTERM or SIGINT asks for a drain, the second ends at once (work in hand comes
    again).

    The handler runs between two steps of the main thread, which may be within `stop.wait()` and
    hold the event's lock: to set the event right here would wait for that lock for ever. So a
    thread of its own does it.
    """
    asked_before = False

    def asked(_number: int, _frame: object) -> None:
        nonlocal asked_before
        if asked_before:
            os._exit(Exit.FAILED)
        asked_before = True
        _thread.start_new_thread(stop.set, ())

    signal.signal(signal.SIGTERM, asked)
    signal.signal(signal.SIGINT, asked)


@contextlib.contextmanager
def running(
    name: str,
    registry: CollectorRegistry,
    port: int | None,
    context: Context,
    ready: Callable[[], bool] = lambda: True,
    faults: Iterable[Callable[[], str]] = (),
) -> Iterator[threading.Event]:
    """Wrap a role's work: yields the event that says stop. `port` None serves no metrics.

    The service is ready if `ready` says so, none of `faults` returns a reason, and the data
    folder's disk has room. Nothing that is printed or logged meanwhile ends the role, whatever
    becomes of it.
    """
    no_core_dumps()
    context.inventory.require()
    stop = threading.Event()
    stop_on_signals(stop)
    logger = log.get(name)
    with contextlib.ExitStack() as stack:
        stack.enter_context(output.protect_output())
        show_suspension(registry, context.running_time)
        registry.register(
            AuditWitness(context.inventory, is_forwarded=bool(context.settings.audit.syslog))
        )
        context.running_time.turn()
        threading.Thread(
            target=_count, args=(context.running_time, stop), name="running time", daemon=True
        ).start()
        _forward_audit_log(context, stop)
        served = None
        if port is not None:
            try:
                reasons = ServiceFaults(context.data, context.inventory, faults)
                served = stack.enter_context(
                    metrics_server(registry, port, ready, reasons, context.find_audit_fault)
                ).port
            except OSError as error:
                raise ConfigError(
                    f"port {port} of {name} is taken ({error.strerror}): set another in"
                    " metrics_ports, 0 for any"
                ) from None
        logger.info("started", pid=os.getpid(), port=served)
        yield stop
        logger.info("stopped", pid=os.getpid())


def _forward_audit_log(context: Context, stop: threading.Event) -> None:
    """Copy the audit log to its receiver until `stop`, where one is configured; the work of the
    service never waits for it.
    """
    if receiver := read_url(context.settings.audit.syslog, context.data):
        forwarder = AuditForwarder(context.data / AUDIT, receiver, context.clock)
        threading.Thread(target=forwarder.run, args=(stop,), name="audit log", daemon=True).start()


@dataclass(frozen=True, slots=True)
class ServiceFaults:
    """Say what speaks against readiness: `more`, to which a service adds, parts that are gone, a
    full disk.
    """

    data: Path
    inventory: Inventory
    more: Iterable[Callable[[], str]] = ()

    def __iter__(self) -> Iterator[Callable[[], str]]:
        yield from self.more
        yield lambda: "; ".join(self.inventory.faults())
        yield partial(find_shortage, self.data)


def _count(running_time: RunningTime, stop: threading.Event) -> None:
    """Read both clocks each minute, whatever the role waits for."""
    while not stop.wait(TURN_SECONDS):
        running_time.turn()


def spare_what_stands(young: int = 0) -> None:
    """Called once a process, when all is set up: what is there by now is no longer looked through
    for garbage.

    A full collection that passed over all of it held up an answer of the desk for 0.1 s. Where
    `young` is given, that many objects are made before the new ones are looked through, Python's
    own number otherwise.
    """
    gc.collect()
    gc.freeze()
    if young:
        gc.set_threshold(young)
