"""Start, stop and supervise the process of a service, and ask whether it is ready.

A service (crawl, match, alert, …) wraps its work in `running`, which disables core dumps, checks
that no part of the data folder is missing, serves metrics, and yields an event; the work stops when
the event is set, at the first SIGTERM or SIGINT. A second signal ends the process at once, and the
current batch is repeated after the next start. `read_state` asks a service on this machine for its
readiness. `ullage run` starts all services; `PR_SET_PDEATHSIG` makes the kernel end each of them
when `ullage run` dies, even by SIGKILL, so that no orphan remains. What keeps a service from
starting raises ConfigError.
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
"""Bytes of a service's reason for not being ready."""
ROLES = ("crawl", "match", "alert", "search", "intake", "collect")
SERVICES = ("matrix", "xmpp", "telegram", "imap")


def port_of(settings: Settings, words: str) -> int:
    """Return the metrics port of the service with the command `words`, such as `collect matrix`.

    0 if the service has none or takes any free one. Raises ConfigError if there is no such service.
    """
    role, _, service = words.partition(" ")
    if role not in ROLES or (service not in SERVICES if role == "collect" else service):
        raise ConfigError(
            f"{words} is not a service: use one of {', '.join(ROLES)}, the last with one"
            f" of {', '.join(SERVICES)}"
        )
    return settings.search.port if role == "search" else settings.metrics_port(service or role) or 0


def read_state(settings: Settings, words: str) -> str:
    """Return `READY`, or a sentence that says why the service is not ready.

    Asks the service with the command `words` on this machine. Raises ConfigError if there is no
    such service; one that does not answer is no error.
    """
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
"""The variable with the exit code of the service's last process, negative for a signal."""
PR_SET_PDEATHSIG = 1


def die_with_supervisor() -> None:
    """Have the kernel kill this process when the supervisor that started it ends.

    Does nothing without a supervisor. Raises ConfigError if the supervisor has already ended.
    """
    parent = os.environ.get(SUPERVISOR)
    if parent is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        raise ConfigError(f"the supervisor ({SUPERVISOR}) has already exited: start it again")


def surroundings() -> Surroundings:
    """Return the supervisor's process id, and the exit code of the process before; 0 if none."""
    return Surroundings(int(os.environ.get(SUPERVISOR) or 0), int(os.environ.get(EXIT_CODE) or 0))


def no_core_dumps() -> None:
    """Prevent the kernel from writing core files, which would contain leaked values and keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def stop_on_signals(stop: threading.Event) -> None:
    """Set `stop` on the first SIGTERM or SIGINT; exit at once on the second (the batch is retried).

    The handler runs between two steps of the main thread, which may be within `stop.wait()` and
    hold the event's lock: setting the event right here would wait for that lock for ever. So a
    separate thread does it.
    """
    asked_before = False

    def handle_signal(_number: int, _frame: object) -> None:
        nonlocal asked_before
        if asked_before:
            os._exit(Exit.FAILED)
        asked_before = True
        _thread.start_new_thread(stop.set, ())

    signal.signal(signal.SIGTERM, handle_signal)
    signal.signal(signal.SIGINT, handle_signal)


@contextlib.contextmanager
def running(
    name: str,
    registry: CollectorRegistry,
    port: int | None,
    context: Context,
    ready: Callable[[], bool] = lambda: True,
    faults: Iterable[Callable[[], str]] = (),
) -> Iterator[threading.Event]:
    """Return a context in which a service runs; it yields the event that stops the service.

    `port` None serves no metrics. The service is ready if `ready` says so, none of `faults` returns
    a reason, and the data folder's disk has room. Failing output or logs never end the service.
    Raises ConfigError if a part of the data folder is missing or the port is in use.
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
                    f"port {port} of {name} is in use ({error.strerror}): set another in"
                    " metrics_ports; 0 takes a free port"
                ) from None
        logger.info("started", pid=os.getpid(), port=served)
        yield stop
        logger.info("stopped", pid=os.getpid())


def _forward_audit_log(context: Context, stop: threading.Event) -> None:
    """Copy the audit log to its receiver, if configured, until `stop`; nothing waits for it."""
    if receiver := read_url(context.settings.audit.syslog, context.data):
        forwarder = AuditForwarder(context.data / AUDIT, receiver, context.clock)
        threading.Thread(target=forwarder.run, args=(stop,), name="audit log", daemon=True).start()


@dataclass(frozen=True, slots=True)
class ServiceFaults:
    """Reasons against readiness: those of the service (`more`), lost parts, a full disk."""

    data: Path
    inventory: Inventory
    more: Iterable[Callable[[], str]] = ()

    def __iter__(self) -> Iterator[Callable[[], str]]:
        yield from self.more
        yield lambda: "; ".join(self.inventory.faults())
        yield partial(find_shortage, self.data)


def _count(running_time: RunningTime, stop: threading.Event) -> None:
    """Read both clocks every minute, whatever the service waits for."""
    while not stop.wait(TURN_SECONDS):
        running_time.turn()


def spare_what_stands(young: int = 0) -> None:
    """Exclude all existing objects from garbage collection; call it one time, after set-up.

    A full collection of all objects delayed a response of the console by 0.1 s. With `young`, that
    many new objects trigger a collection; 0 leaves Python's own number.
    """
    gc.collect()
    gc.freeze()
    if young:
        gc.set_threshold(young)
