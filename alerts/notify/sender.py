"""Send pending notifications: one thread per channel, one process at a time.

With the embedded bus only one alert process can run, so no lease is needed. With Kafka there may be
several, and the store's `create` decides which one sends: a lease claims a time slot of a channel.
Near the end of a slot its holder claims the next one before going on, so that no attempt reaches
into a slot of another process; clocks of hosts may differ by the margin. If a holder dies, one slot
is lost.

The loop that groups incidents is never blocked: it writes to the log and wakes the senders. If a
sender meets an error that will not pass (a permission, a setting), the loop raises it, because that
is where a service decides to stop.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry

from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.http_post import UndeliveredError
from alerts.notify import IncidentSummary, Message, MessageEntry, compose_message, message_id
from alerts.notify.channels import TIMEOUT_SECONDS, Channel, open_channel
from alerts.notify.guarded_channel import GuardedChannel
from alerts.notify.metrics import NotifyMetrics
from alerts.notify.plan import (
    UNCONFIRMED,
    Muted,
    find_channels,
    group_by_message,
    name_second_person_news,
    needs_escalation,
    plan,
    plan_repeat,
    plan_second_person,
)
from alerts.records import Claim, Decision, Incident, News, Notification, PendingDecision
from alerts.store import MAX_PAGE, DocumentFilter, IncidentStore
from alerts.store.queries import CLOSED, UNDECIDED, find_pending, last_decisions
from ullage import log
from ullage.clock import Backoff, Clock
from ullage.errors import Action, UllageError
from ullage.settings import Context, NotifySettings, Settings

SLOT_SECONDS = 60
MARGIN_SECONDS = 5


@dataclass(slots=True)
class Lease:
    """One process's claim on one channel.

    `attempt` is the longest duration of one attempt, in seconds.
    """

    channel: str
    holder: str
    store: IncidentStore
    clock: Clock
    attempt: float
    _held: set[int] = field(default_factory=set)

    def acquire(self) -> bool:
        """Claim the channel for one attempt that starts now; return whether this process may send.

        The claim covers every minute that the attempt may take and is stored; past claims are
        deleted. False while another process holds one of these minutes.
        """
        now = self.clock.wall()
        slots = range(
            int(now // SLOT_SECONDS), int((now + self.attempt + MARGIN_SECONDS) // SLOT_SECONDS) + 1
        )
        is_held = all(slot in self._held or self._claim(slot) for slot in slots)
        self._release_slots([slot for slot in self._held if slot < slots[0]])
        return is_held

    def release(self) -> None:
        """Delete this process's claims on the channel, so that another process may send at once."""
        self._release_slots(list(self._held))

    def _claim(self, slot: int) -> bool:
        claim = Claim(id=self._id(slot), tenant="", incident=self.holder, at=self.clock.now())
        if self.store.create([claim])[0]:
            self._held.add(slot)
        return slot in self._held

    def _release_slots(self, slots: list[int]) -> None:
        if slots:
            self.store.delete(Claim, [self._id(slot) for slot in slots])
            self._held.difference_update(slots)

    def _id(self, slot: int) -> str:
        return f"notify:{self.channel}:{slot}"


POLL_SECONDS = 5.0
RETRY = timedelta(hours=24)
"""After so long a message that cannot be delivered is given up."""
AHEAD = timedelta(minutes=1)
"""By which clocks of several hosts may differ, and more."""
AT_MOST = 2_000
"""Notifications of one turn: a digest of more is none that anybody reads, and memory has a
bound.
"""


@dataclass(frozen=True, slots=True)
class Setup:
    """What all senders share.

    `page` is the console's address, `muted` selects incidents without notifications, and `duties`
    knows their deadlines.
    """

    notify: NotifySettings
    page: str
    store: IncidentStore
    clock: Clock
    metrics: NotifyMetrics
    muted: Muted
    duties: Duties
    told: Callable[[Collection[str]], None] = lambda _: None
    """Handed the ids of the incidents that somebody was told of, of which clocks may run now; it
    may hear of one twice.
    """
    believed: Clock | None = None
    """By which a message is given up; `clock` where there is none.

    A clock that was set gives nothing up.
    """


@dataclass(slots=True)
class Sender:
    """Sends the notifications of one channel; one thread calls `send_due`.

    `holds` says whether this process may send on it now; see `alerts.notify.sender`.
    """

    name: str
    channel: Channel
    setup: Setup
    holds: Callable[[], bool] = lambda: True
    report: Callable[[], None] = lambda: None
    """Says in the store whether the channel can be used; called at each turn."""
    backoff: Backoff = field(default_factory=lambda: Backoff(first=2.0, cap=60.0))
    _not_before: float = 0.0
    _heard: set[str] = field(default_factory=set)
    """Ids that were just written: a search may take a second to find them."""
    _unwritten: list[Notification] = field(default_factory=list)
    _untold: set[str] = field(default_factory=set)
    """Incidents of which somebody was told, which is not handed on yet."""
    _last: datetime | None = None
    """The clock at the turn before."""

    def send_due(self, *, flush: bool = False) -> float:
        """Send the notifications that are due; return in how many seconds to call again.

        With `flush`, groups are sent without waiting for more. Each attempt and its outcome are
        written to the log; a failed one is tried again later, for a day. Nothing is sent while
        another process may send. Raises UnavailableError while the store is down; the call can then
        be repeated.
        """
        self.report()
        if self._last is None:
            self._untold |= self._find_sent()
        self._finish_writes()
        now = self.setup.clock.now()
        if self._last is None or now < self._last - AHEAD:
            self._reschedule(now)
        self._last = now
        due = self._drop_stale(self._find_due(now))
        self.setup.metrics.set_oldest(
            self.name, min((notification.due.timestamp() for notification in due), default=0.0)
        )
        if not due:
            return POLL_SECONDS
        if (wait := self._not_before - self.setup.clock.monotonic()) > 0:
            return min(wait, POLL_SECONDS)
        for id_, group in group_by_message(due):
            since = (now - min(notification.due for notification in group)).total_seconds()
            if id_ or flush or since >= self.setup.notify.group_seconds:
                needed = group if id_ else self._drop_moot(group)
                if needed and not self.holds():
                    return POLL_SECONDS
                if needed and not self._deliver(needed):
                    return min(
                        POLL_SECONDS, max(0.1, self._not_before - self.setup.clock.monotonic())
                    )
            else:
                return max(0.1, self.setup.notify.group_seconds - since)
        return 0.0 if len(due) == AT_MOST else POLL_SECONDS

    def _reschedule(self, now: datetime) -> None:
        """Correct notifications that were written while the clock was ahead of `now`.

        They keep their delay, but counted from `now`, instead of being hours late.
        """
        pending = self.setup.store.scroll(
            Notification, DocumentFilter({"channel": (self.name,), "outcome": ("pending",)})
        )
        ids = [notification.id for notification in pending if notification.at > now + AHEAD]
        if not ids or not self.holds():
            return
        ahead = [
            notification
            for notification in self.setup.store.mget(Notification, ids).values()
            if notification.outcome == "pending"
        ]
        self.setup.store.put(
            [
                notification.model_copy(
                    update={"at": now, "due": now + (notification.due - notification.at)}
                )
                for notification in ahead
            ]
        )
        self._heard.update(ids)

    def add_new(self, notifications: Sequence[Notification]) -> None:
        """Remember the ids of notifications that were just written, if they are for this channel.

        A search of the store may not find them yet.
        """
        self._heard.update(
            [notification.id for notification in notifications if notification.channel == self.name]
        )

    def has_due(self) -> bool:
        """Return whether the log has a pending notification of this channel that is due now."""
        return bool(self._find_due(self.setup.clock.now()))

    def _find_due(self, now: datetime) -> list[Notification]:
        """Return what is pending and due.

        Documents are read again by id, because a search may return them as they were a moment ago.
        """
        where = DocumentFilter(
            {"channel": (self.name,), "outcome": ("pending",)},
            before=now + timedelta(microseconds=1),
        )
        ids = [
            notification.id
            for notification, _ in zip(
                self.setup.store.scroll(Notification, where), range(AT_MOST), strict=False
            )
        ]
        heard = self._heard.copy()
        documents = (
            self.setup.store.mget(Notification, heard.union(ids)).values() if ids or heard else ()
        )
        due = [
            notification
            for notification in documents
            if notification.outcome == "pending" and notification.due <= now
        ]
        # what is due later a search will find by then
        self._heard -= heard - {notification.id for notification in due}
        return sorted(due, key=lambda item: (item.due, item.id))

    def _drop_stale(self, due: Sequence[Notification]) -> list[Notification]:
        """Give up notifications that were tried for too long, and return the remaining ones.

        One try is made even after the machine was off for days.
        """
        limit = (self.setup.believed or self.setup.clock).now() - RETRY
        stale = [
            notification
            for notification in due
            if notification.attempts and notification.due < limit
        ]
        if stale:
            self.setup.store.put(
                [notification.model_copy(update={"outcome": "failed"}) for notification in stale]
            )
            self.setup.metrics.count_outcome(self.name, "given_up", len(stale))
            log.get("alert").error("notifications_given_up", part=self.name, count=len(stale))
        given_up = {notification.id for notification in stale}
        return [notification for notification in due if notification.id not in given_up]

    def _drop_moot(self, notifications: Sequence[Notification]) -> list[Notification]:
        """Suppress notifications that are no longer needed; return the remaining ones.

        Moot are those of suppressed incidents, those that `_is_needed` rejects by incident and
        decision, and questions to a second person that were answered. They are stored as suppressed
        and counted.
        """
        ids = {notification.incident for notification in notifications}
        incidents, decided = (
            self.setup.store.mget(Incident, ids),
            last_decisions(self.setup.store, ids),
        )
        for silent in self.setup.muted([*incidents.values()]):
            del incidents[silent]
        waiting = {
            name_second_person_news(notification)
            for notification in self._find_pending(notifications)
        }
        needed = [
            notification
            for notification in notifications
            if (
                notification.what.removeprefix(UNCONFIRMED) in waiting
                if notification.why in ASKING
                else _is_needed(
                    notification,
                    incidents.get(notification.incident),
                    decided.get(notification.incident),
                )
            )
        ]
        needed_ids = {notification.id for notification in needed}
        if moot := [
            notification for notification in notifications if notification.id not in needed_ids
        ]:
            self.setup.store.put(
                [notification.model_copy(update={"outcome": "suppressed"}) for notification in moot]
            )
            self.setup.metrics.count_outcome(self.name, "suppressed", len(moot))
        return needed

    def _find_pending(self, notifications: Sequence[Notification]) -> list[PendingDecision]:
        """Return the decisions that still wait for a second person."""
        return find_pending(
            self.setup.store,
            {notification.incident for notification in notifications if notification.why in ASKING},
        )

    def _deliver(self, notifications: Sequence[Notification]) -> bool:
        """Send one message and return whether it was delivered.

        The attempt is written to the log before, and its outcome after. If it failed and nobody can
        have received it, a first attempt's message id is removed, so that later notifications join
        it.
        """
        now, store = self.setup.clock.now(), self.setup.store
        incidents = store.mget(Incident, {notification.incident for notification in notifications})
        composed = self._compose(notifications, incidents)
        sending = [
            notification.model_copy(
                update={"message": composed.id, "attempts": notification.attempts + 1}
            )
            for notification in notifications
        ]
        store.put(sending)
        try:
            self.channel.send(composed)
        except UndeliveredError as error:
            wait = self.backoff.next(error.retry_after)
            self._not_before = self.setup.clock.monotonic() + wait
            self.setup.metrics.count_outcome(self.name, "failed", len(notifications))
            log.get("alert").warning(
                "notification_failed",
                part=self.name,
                error=str(error),
                count=len(notifications),
                wait=round(wait, 1),
            )
            # nobody can have it: what comes meanwhile goes out together with it
            if not error.maybe and not notifications[0].message:
                self._write(
                    [notification.model_copy(update={"message": ""}) for notification in sending]
                )
            return False
        self.backoff.reset()
        self._record_sent(sending, incidents, now)
        return True

    def _compose(
        self, notifications: Sequence[Notification], incidents: dict[str, Incident]
    ) -> Message:
        """Compose one entry per incident in its current state.

        An incident that was deleted meanwhile appears as in its notification.
        """
        page, entries = self.setup.page, dict[str, MessageEntry]()
        facts = (
            self._summarize(incidents)
            if self.setup.notify.channels[self.name].detail == "facts"
            else {}
        )
        for notification in sorted(notifications, key=lambda item: item.due, reverse=True):
            incident, url = (
                incidents.get(notification.incident),
                f"{page}/incidents/{notification.incident}",
            )
            severity = incident.severity if incident else notification.severity
            whose = (_series_token(incident), incident.sightings) if incident else ("", 1)
            language = self.setup.duties.tenant(notification.tenant).language
            entries[notification.incident] = MessageEntry(
                notification.incident,
                severity,
                notification.why,
                url,
                facts.get(notification.incident),
                *whose,
                language,
            )
        return compose_message(
            notifications[0].message
            or message_id([notification.id for notification in notifications]),
            entries.values(),
            page,
        )

    def _summarize(self, incidents: dict[str, Incident]) -> dict[str, IncidentSummary]:
        """Return a summary of each incident, by id."""
        now, duties = self.setup.clock.now(), self.setup.duties
        by_when = duties.find_decision_deadlines([*incidents.values()], now)
        zones = {
            incident.id: ZoneInfo(duties.tenant(incident.tenant).zone)
            for incident in incidents.values()
        }
        decide = {id_: deadline.words(now, zones[id_]) for id_, deadline in by_when.items()}
        return {
            id_: IncidentSummary.from_incident(incident, decide.get(id_, ("", "")))
            for id_, incident in incidents.items()
        }

    def _record_sent(
        self, sending: Sequence[Notification], incidents: dict[str, Incident], now: datetime
    ) -> None:
        at, notify = self.setup.clock.now(), self.setup.notify
        self._unwritten += [
            notification.model_copy(update={"outcome": "sent", "sent_at": at})
            for notification in sending
        ]
        self.setup.metrics.count_outcome(self.name, "sent", len(sending))
        for notification in sending:
            if notification.published_at is not None:
                self.setup.metrics.observe_delay(
                    notification.tenant, (at - notification.published_at).total_seconds()
                )
        self._untold.update(notification.incident for notification in sending)
        follow = [
            plan_repeat(notify, notification, incidents[notification.incident], now)
            for notification in sending
            if notification.incident in incidents
        ]
        self._unwritten += [notification for notification in follow if notification is not None]
        self._finish_writes()
        log.get("alert").info("notified", part=self.name, count=len(sending))

    def _find_sent(self) -> set[str]:
        """Return the incidents of the last 500 notifications that this channel sent.

        A process may have ended before it reported them.
        """
        self.setup.store.refresh(Notification)
        where = DocumentFilter({"channel": (self.name,), "outcome": ("sent",)})
        return {
            notification.incident
            for notification in self.setup.store.search(Notification, where, MAX_PAGE).items
        }

    def _finish_writes(self) -> None:
        """Complete what could not be stored after sending; nothing is sent before."""
        self._write(())
        if self._untold:
            self.setup.told(frozenset(self._untold))
            self._untold.clear()

    def _write(self, changed: Collection[Notification]) -> None:
        """Write `changed` to the log, and everything that could not be written before.

        Notifications without an attempt are only created; others replace what is stored.
        """
        self._unwritten += changed
        if self._unwritten:
            # what follows, which may be there
            self.setup.store.create(
                [notification for notification in self._unwritten if not notification.attempts]
            )
            self.setup.store.put(
                [notification for notification in self._unwritten if notification.attempts]
            )
            self._unwritten.clear()


def _series_token(incident: Incident) -> str:
    """Return a token that the incidents of one seller share in a message, "" without a seller.

    It does not reveal the seller's internal token.
    """
    named = "\x1f".join(("ullage series", incident.tenant, *incident.series)).encode()
    return f"series_{hashlib.sha256(named).hexdigest()[:12]}" if incident.series else ""


def _is_needed(
    notification: Notification, incident: Incident | None, decided: Decision | None
) -> bool:
    """Return whether a notification still has to be sent.

    `incident` is None if it is gone or muted; `decided` is the latest decision on its status.
    Whoever closed an incident has not seen what happened since, so growth after that is still
    reported.
    """
    if incident is None:
        return False
    closed = decided is not None and decided.status in CLOSED
    if decided is None or decided.status == UNDECIDED or (closed and decided.at < notification.at):
        return notification.why not in ("unacknowledged", "escalated") or needs_escalation(incident)
    return not closed and notification.why in ("new", "raised", "grown")


ASKING: tuple[News, ...] = ("second_person", "unconfirmed")
"""News of an act that waits for a second person: it is needed while that waits, whatever the
incident's status.
"""
CLOSE_SECONDS = 15.0
FLUSH_TRIES = 3
STEPS = 3
"""An attempt connects, sends and reads, each within the timeout."""


def page_address(settings: Settings) -> str:
    """Return the console's address, without a trailing slash, as messages show it.

    It is `notify.page`, or else `http://HOST:PORT` of the search settings.
    """
    return (
        settings.notify.page.rstrip("/") or f"http://{settings.search.host}:{settings.search.port}"
    )


@dataclass(slots=True)
class _Running:
    sender: Sender
    wake: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


@dataclass(slots=True)
class Notifier:
    """Owns the senders. The main loop calls `plan` and `turn`; the rest runs in threads."""

    setup: Setup
    senders: Sequence[Sender]
    release: Callable[[], None] = lambda: None
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[_Running] = field(default_factory=list)
    _failed: list[UllageError] = field(default_factory=list)

    def plan(self, incidents: Sequence[Incident]) -> None:
        """Log the notifications of incidents that were just stored, and wake the senders.

        Without a configured channel nothing is written.
        """
        setup = self.setup
        planned: list[Notification] = []
        if setup.notify.channels:
            planned = plan(
                setup.store,
                setup.notify,
                incidents,
                setup.clock.now(),
                setup.muted,
                setup.duties.time_left,
            )
        self._wake_senders(planned)

    def plan_second_person(self, waiting: Sequence[tuple[Incident, PendingDecision]]) -> None:
        """Write notifications about acts that wait for a second person, and wake the senders.

        Without a configured channel nothing is written.
        """
        if self.setup.notify.channels:
            self._wake_senders(
                plan_second_person(
                    self.setup.store, self.setup.notify, waiting, self.setup.clock.now()
                )
            )

    def _wake_senders(self, notifications: Sequence[Notification]) -> None:
        """Tell the senders about new notifications and wake their threads."""
        for sender in self.senders if notifications else ():
            sender.add_new(notifications)
        for running in self._running if notifications else ():
            running.wake.set()

    def start(self) -> None:
        """Start one thread per channel, which sends what is due until `close` is called."""
        self._running = [_Running(sender) for sender in self.senders]
        self.turn()

    def turn(self) -> None:
        """Start a thread for each channel that has none running, and log one that died as an error.

        Raises the error of a sender that cannot go on.
        """
        if self._failed:
            raise self._failed[0]
        for running in self._running:
            if running.thread is None or not running.thread.is_alive():
                if running.thread is not None:
                    log.get("alert").error("sender_died", part=running.sender.name)
                running.thread = threading.Thread(
                    target=self._send, args=(running,), name="notify", daemon=True
                )
                running.thread.start()

    def flush(self) -> None:
        """Send what is due now, without threads.

        Each channel gets up to three turns, with pauses of at most five seconds. If something is
        still due then, that is logged, and it stays in the log for the next time. Raises
        UnavailableError while the store is down.
        """
        for sender in self.senders:
            for _ in range(FLUSH_TRIES):
                wait = sender.send_due(flush=True)
                if not sender.has_due() or self._stop.wait(wait):
                    break
            else:
                log.get("alert").warning("notifications_left", part=sender.name)

    def close(self) -> None:
        """Stop all threads and give up the claims on channels.

        Waits up to CLOSE_SECONDS (15 s) for attempts in progress; those that take longer are left
        to themselves.
        """
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
                wait = running.sender.send_due()
            except UllageError as error:
                if error.action is not Action.RETRY:
                    self._failed.append(error)
                    return
                log.get("alert").warning("waiting", part=running.sender.name, error=str(error))
                wait = running.sender.backoff.next()
            running.wake.wait(wait)


def open_notifier(
    context: Context,
    store: IncidentStore,
    registry: CollectorRegistry,
    muted: Muted,
    told: Callable[[Collection[str]], None] = lambda _: None,
) -> Notifier:
    """Return the senders of all configured channels; nothing is sent and no thread starts yet.

    A channel with an unusable secret gets a sender too, which reports the fault. Incidents that
    `muted` selects get no notifications. `told` receives the ids of incidents that somebody was
    just notified of. Unless the bus is embedded, the senders of several processes take turns.
    """
    settings, clock = context.settings, context.clock
    metrics = NotifyMetrics(registry, settings.notify.channels, settings.tenants)
    metrics.set_recipients(partial(find_channels, settings.notify))
    duties = Duties(store, context.tenant, clock)
    work = Work(duties)

    def was_told(ids: Collection[str]) -> None:
        told(ids)
        work.renew(ids)

    setup = Setup(
        settings.notify,
        page_address(settings),
        store,
        clock,
        metrics,
        muted,
        duties,
        was_told,
        context.running_time.deadline_clock(),
    )
    leases: list[Lease] = []
    senders = []
    for name in settings.notify.channels:
        opening = partial(open_channel, name, settings.notify, context.keys, clock)
        channel = GuardedChannel(name, opening, store, clock, metrics)
        channel.check()
        sender = Sender(name, channel, setup, report=channel.report)
        if not settings.bus.url.startswith("sqlite:"):
            leases.append(Lease(name, secrets.token_hex(8), store, clock, STEPS * TIMEOUT_SECONDS))
            sender.holds = leases[-1].acquire
        senders.append(sender)

    def release() -> None:
        for lease in leases:
            lease.release()

    return Notifier(setup, senders, release)
