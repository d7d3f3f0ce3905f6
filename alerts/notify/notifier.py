"""Notifications as a part of the alert process: planning within the batch, a thread a channel for sending.

The loop that folds is never held up: it writes to the log and wakes the senders. A sender that fails over something that does
not pass (a right, a setting) hands its error to the loop, which is where a role decides to stop.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from prometheus_client import CollectorRegistry

from alerts.clocks.duties import Duties
from alerts.desk.work import Work
from alerts.notify.channels import TIMEOUT_SECONDS, open_channel
from alerts.notify.lease import Lease
from alerts.notify.metrics import NotifyMetrics
from alerts.notify.plan import Muted, channels_for, plan
from alerts.notify.sender import Sender, Setup
from alerts.records import Incident, Notification
from alerts.store import IncidentStore
from ullage import log
from ullage.errors import Action, UllageError
from ullage.settings import Context, Settings

CLOSE_SECONDS = 15.0
FLUSH_TRIES = 3
STEPS = 3
"""An attempt connects, sends and reads, each within the timeout."""


def page_of(settings: Settings) -> str:
    """The page's address as a message shows it."""
    return settings.notify.page.rstrip("/") or f"http://{settings.search.host}:{settings.search.port}"


@dataclass(slots=True)
class _Running:
    sender: Sender
    wake: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


@dataclass(slots=True)
class Notifier:
    """Owns the senders. `plan` and `turn` are the loop's, the rest is the threads'."""

    setup: Setup
    senders: Sequence[Sender]
    release: Callable[[], None] = lambda: None
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[_Running] = field(default_factory=list)
    _failed: list[UllageError] = field(default_factory=list)

    def plan(self, incidents: Sequence[Incident]) -> None:
        """Write down what is to be said of incidents that were just stored."""
        setup = self.setup
        made: list[Notification] = []
        if setup.notify.channels:
            made = plan(setup.store, setup.notify, incidents, setup.clock.now(), setup.muted, setup.duties.time_left)
        for sender in self.senders if made else ():
            sender.hear(made)
        for running in self._running if made else ():
            running.wake.set()

    def start(self) -> None:
        """Begin to send."""
        self._running = [_Running(sender) for sender in self.senders]
        self.turn()

    def turn(self) -> None:
        """Raise what a sender could not go on from; start again a thread that a fault of ours has ended."""
        if self._failed:
            raise self._failed[0]
        for running in self._running:
            if running.thread is None or not running.thread.is_alive():
                if running.thread is not None:
                    log.get("alert").error("sender_died", part=running.sender.name)
                running.thread = threading.Thread(target=self._send, args=(running,), name="notify", daemon=True)
                running.thread.start()

    def flush(self) -> None:
        """Without threads: send what is due now, and do not wait for a channel that is down; it is tried the next time."""
        for sender in self.senders:
            for _ in range(FLUSH_TRIES):
                wait = sender.turn(flush=True)
                if not sender.owes() or self._stop.wait(wait):
                    break
            else:
                log.get("alert").warning("notifications_left", part=sender.name)

    def close(self) -> None:
        """Stop; an attempt that is under way is waited for a little."""
        self._stop.set()
        for running in self._running:
            running.wake.set()
        deadline = time.monotonic() + CLOSE_SECONDS
        for running in self._running:
            if running.thread is not None:
                running.thread.join(max(0.0, deadline - time.monotonic()))
        self.release()

    def _send(self, running: _Running) -> None:
        while not self._stop.is_set():
            running.wake.clear()
            try:
                wait = running.sender.turn()
            except UllageError as error:
                if error.action is not Action.RETRY:
                    self._failed.append(error)
                    return
                log.get("alert").warning("waiting", part=running.sender.name, error=str(error))
                wait = running.sender.backoff.next()
            running.wake.wait(wait)


def configured(
    context: Context,
    store: IncidentStore,
    registry: CollectorRegistry,
    muted: Muted,
    told: Callable[[Collection[str]], None] = lambda _: None,
) -> Notifier:
    """What the settings want; ConfigError when a channel's secret file is missing or not as its kind needs it.

    `told` is handed the ids of the incidents that somebody was just told of.
    """
    settings, clock = context.settings, context.clock
    metrics = NotifyMetrics(registry, settings.notify.channels, settings.tenants)
    metrics.reached(partial(channels_for, settings.notify))
    duties = Duties(store, context.tenant, clock)
    work = Work(duties)

    def was_told(ids: Collection[str]) -> None:
        told(ids)
        work.renew(ids)

    setup = Setup(
        settings.notify, page_of(settings), store, clock, metrics, muted, duties, was_told, context.running_time.believed()
    )
    leases: list[Lease] = []
    senders = []
    for name in settings.notify.channels:
        sender = Sender(name, open_channel(name, settings.notify, context.keys, clock), setup)
        if not settings.bus.url.startswith("sqlite:"):
            leases.append(Lease(name, secrets.token_hex(8), store, clock, STEPS * TIMEOUT_SECONDS))
            sender.holds = leases[-1].holds
        senders.append(sender)

    def release() -> None:
        for lease in leases:
            lease.release()

    return Notifier(setup, senders, release)
