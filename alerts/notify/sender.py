"""Send pending notifications: one thread per channel, one process at a time.

The embedded bus lets one alert process live, so it needs none of this. Behind Kafka there may be
many; the store's `create` is the one thing that tells two of them apart. Near the end of a slot its
holder claims the next one before going on, so that an attempt never reaches into somebody else's
slot; clocks of hosts may differ by the margin. A holder that dies costs a slot.

The loop that folds is never held up: it writes to the log and wakes the senders. A sender that
fails over something that does not pass (a right, a setting) hands its error to the loop, which is
where a role decides to stop.
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
from alerts.notify import IncidentSummary, Message, MessageEntry, message, message_id
from alerts.notify.channels import TIMEOUT_SECONDS, Channel, open_channel
from alerts.notify.guarded_channel import GuardedChannel
from alerts.notify.metrics import NotifyMetrics
from alerts.notify.plan import (
    UNCONFIRMED,
    Muted,
    by_message,
    channels_for,
    plan,
    plan_second_person,
    presses,
    repeat,
    second_person_news,
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

    `attempt` is the longest that one attempt may take, in seconds.
    """

    channel: str
    holder: str
    store: IncidentStore
    clock: Clock
    attempt: float
    _held: set[int] = field(default_factory=set)

    def holds(self) -> bool:
        """Claim what an attempt that begins now may reach into; asked before each message."""
        now = self.clock.wall()
        slots = range(
            int(now // SLOT_SECONDS), int((now + self.attempt + MARGIN_SECONDS) // SLOT_SECONDS) + 1
        )
        held = all(slot in self._held or self._claim(slot) for slot in slots)
        self._let_go([slot for slot in self._held if slot < slots[0]])
        return held

    def release(self) -> None:
        """Let another have the rest."""
        self._let_go(list(self._held))

    def _claim(self, slot: int) -> bool:
        claim = Claim(id=self._id(slot), tenant="", incident=self.holder, at=self.clock.now())
        if self.store.create([claim])[0]:
            self._held.add(slot)
        return slot in self._held

    def _let_go(self, slots: list[int]) -> None:
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

    `page` is the search page's address, `muted` says which incidents nobody is told of, `duties`
    what is due of them.
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
    """Owns one channel.

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

    def turn(self, *, flush: bool = False) -> float:
        """Send what is due; returns after how many seconds to look again.

        With `flush` a group is not waited for.

        UnavailableError when the store is down: the turn is simply done again.
        """
        self.report()
        if self._last is None:
            self._untold |= self._sent_last()
        self._settle()
        now = self.setup.clock.now()
        if self._last is None or now < self._last - AHEAD:
            self._set_back(now)
        self._last = now
        due = self._without_stale(self._due(now))
        self.setup.metrics.oldest(self.name, min((one.due.timestamp() for one in due), default=0.0))
        if not due:
            return POLL_SECONDS
        if (wait := self._not_before - self.setup.clock.monotonic()) > 0:
            return min(wait, POLL_SECONDS)
        for id_, some in by_message(due):
            since = (now - min(one.due for one in some)).total_seconds()
            if id_ or flush or since >= self.setup.notify.group_seconds:
                needed = some if id_ else self._needed(some)
                if needed and not self.holds():
                    return POLL_SECONDS
                if needed and not self._deliver(needed):
                    return min(
                        POLL_SECONDS, max(0.1, self._not_before - self.setup.clock.monotonic())
                    )
            else:
                return max(0.1, self.setup.notify.group_seconds - since)
        return 0.0 if len(due) == AT_MOST else POLL_SECONDS

    def _set_back(self, now: datetime) -> None:
        """What was written while the clock was ahead of `now` is due as long after `now` as it
        was to be, not hours later.
        """
        pending = self.setup.store.scroll(
            Notification, DocumentFilter({"channel": (self.name,), "outcome": ("pending",)})
        )
        ids = [one.id for one in pending if one.at > now + AHEAD]
        if not ids or not self.holds():
            return
        ahead = [
            one
            for one in self.setup.store.mget(Notification, ids).values()
            if one.outcome == "pending"
        ]
        self.setup.store.put(
            [one.model_copy(update={"at": now, "due": now + (one.due - one.at)}) for one in ahead]
        )
        self._heard.update(ids)

    def hear(self, made: Sequence[Notification]) -> None:
        """Told by another thread of what was just written to the log."""
        self._heard.update([one.id for one in made if one.channel == self.name])

    def owes(self) -> bool:
        """Whether anything is due now."""
        return bool(self._due(self.setup.clock.now()))

    def _due(self, now: datetime) -> list[Notification]:
        """What is pending and due, as it stands: a search may show what a write a moment ago has
        changed.
        """
        where = DocumentFilter(
            {"channel": (self.name,), "outcome": ("pending",)},
            before=now + timedelta(microseconds=1),
        )
        ids = [
            one.id
            for one, _ in zip(
                self.setup.store.scroll(Notification, where), range(AT_MOST), strict=False
            )
        ]
        heard = self._heard.copy()
        found = (
            self.setup.store.mget(Notification, heard.union(ids)).values() if ids or heard else ()
        )
        due = [one for one in found if one.outcome == "pending" and one.due <= now]
        # what is due later a search will find by then
        self._heard -= heard - {one.id for one in due}
        return sorted(due, key=lambda one: (one.due, one.id))

    def _without_stale(self, due: Sequence[Notification]) -> list[Notification]:
        """`due` without what has been tried for too long, which is given up.

        A machine that was off for days tries once.
        """
        limit = (self.setup.believed or self.setup.clock).now() - RETRY
        stale = [one for one in due if one.attempts and one.due < limit]
        if stale:
            self.setup.store.put([one.model_copy(update={"outcome": "failed"}) for one in stale])
            self.setup.metrics.came(self.name, "given_up", len(stale))
            log.get("alert").error("notifications_given_up", part=self.name, count=len(stale))
        given_up = {one.id for one in stale}
        return [one for one in due if one.id not in given_up]

    def _needed(self, some: Sequence[Notification]) -> list[Notification]:
        """Those of `some` that somebody still has to hear of; the others are marked so."""
        ids = {one.incident for one in some}
        incidents, decided = (
            self.setup.store.mget(Incident, ids),
            last_decisions(self.setup.store, ids),
        )
        for silent in self.setup.muted([*incidents.values()]):
            del incidents[silent]
        waiting = {second_person_news(one) for one in self._waiting(some)}
        needed = [
            one
            for one in some
            if (
                one.what.removeprefix(UNCONFIRMED) in waiting
                if one.why in ASKING
                else _is_needed(one, incidents.get(one.incident), decided.get(one.incident))
            )
        ]
        left = {one.id for one in needed}
        if moot := [one for one in some if one.id not in left]:
            self.setup.store.put([one.model_copy(update={"outcome": "suppressed"}) for one in moot])
            self.setup.metrics.came(self.name, "suppressed", len(moot))
        return needed

    def _waiting(self, some: Sequence[Notification]) -> list[PendingDecision]:
        """Return what still waits for a second person of the incidents of which `some` say so."""
        return find_pending(self.setup.store, {one.incident for one in some if one.why in ASKING})

    def _deliver(self, some: Sequence[Notification]) -> bool:
        """Try one message; what happened is written before and after."""
        now, store = self.setup.clock.now(), self.setup.store
        incidents = store.mget(Incident, {one.incident for one in some})
        made = self._compose(some, incidents)
        sending = [
            one.model_copy(update={"message": made.id, "attempts": one.attempts + 1})
            for one in some
        ]
        store.put(sending)
        try:
            self.channel.send(made)
        except UndeliveredError as error:
            wait = self.backoff.next(error.retry_after)
            self._not_before = self.setup.clock.monotonic() + wait
            self.setup.metrics.came(self.name, "failed", len(some))
            log.get("alert").warning(
                "notification_failed",
                part=self.name,
                error=str(error),
                count=len(some),
                wait=round(wait, 1),
            )
            # nobody can have it: what comes meanwhile goes out together with it
            if not error.maybe and not some[0].message:
                self._write([one.model_copy(update={"message": ""}) for one in sending])
            return False
        self.backoff.reset()
        self._sent(sending, incidents, now)
        return True

    def _compose(self, some: Sequence[Notification], incidents: dict[str, Incident]) -> Message:
        """One entry an incident, as it stands now; one that is gone since the first attempt as
        it stood then.
        """
        page, entries = self.setup.page, dict[str, MessageEntry]()
        facts = (
            self._facts(incidents)
            if self.setup.notify.channels[self.name].detail == "facts"
            else {}
        )
        for one in sorted(some, key=lambda one: one.due, reverse=True):
            incident, url = incidents.get(one.incident), f"{page}/incidents/{one.incident}"
            severity = incident.severity if incident else one.severity
            whose = (_series(incident), incident.sightings) if incident else ("", 1)
            language = self.setup.duties.tenant(one.tenant).language
            entries[one.incident] = MessageEntry(
                one.incident, severity, one.why, url, facts.get(one.incident), *whose, language
            )
        return message(
            some[0].message or message_id([one.id for one in some]), entries.values(), page
        )

    def _facts(self, incidents: dict[str, Incident]) -> dict[str, IncidentSummary]:
        """What is told of each; who is told for the first time is told now."""
        now, duties = self.setup.clock.now(), self.setup.duties
        by_when = duties.find_decision_deadlines([*incidents.values()], now)
        zones = {one.id: ZoneInfo(duties.tenant(one.tenant).zone) for one in incidents.values()}
        decide = {id_: one.words(now, zones[id_]) for id_, one in by_when.items()}
        return {
            id_: IncidentSummary.of(incident, decide.get(id_, ("", "")))
            for id_, incident in incidents.items()
        }

    def _sent(
        self, sending: Sequence[Notification], incidents: dict[str, Incident], now: datetime
    ) -> None:
        at, notify = self.setup.clock.now(), self.setup.notify
        self._unwritten += [
            one.model_copy(update={"outcome": "sent", "sent_at": at}) for one in sending
        ]
        self.setup.metrics.came(self.name, "sent", len(sending))
        for one in sending:
            if one.published_at is not None:
                self.setup.metrics.delivered(one.tenant, (at - one.published_at).total_seconds())
        self._untold.update(one.incident for one in sending)
        follow = [
            repeat(notify, one, incidents[one.incident], now)
            for one in sending
            if one.incident in incidents
        ]
        self._unwritten += [one for one in follow if one is not None]
        self._settle()
        log.get("alert").info("notified", part=self.name, count=len(sending))

    def _sent_last(self) -> set[str]:
        """The incidents that this channel told of last: a process may have ended before it
        handed on that somebody was told.
        """
        self.setup.store.refresh(Notification)
        where = DocumentFilter({"channel": (self.name,), "outcome": ("sent",)})
        return {
            one.incident for one in self.setup.store.search(Notification, where, MAX_PAGE).items
        }

    def _settle(self) -> None:
        """Do what a store that was down did not let be done after sending: until then nothing
        else is sent.
        """
        self._write(())
        if self._untold:
            self.setup.told(frozenset(self._untold))
            self._untold.clear()

    def _write(self, changed: Collection[Notification]) -> None:
        """Write `changed`, and what a store that was down did not take before."""
        self._unwritten += changed
        if self._unwritten:
            # what follows, which may be there
            self.setup.store.create([one for one in self._unwritten if not one.attempts])
            self.setup.store.put([one for one in self._unwritten if one.attempts])
            self._unwritten.clear()


def _series(incident: Incident) -> str:
    """What the incidents of one seller have in common in a message, "" for nobody's: no token of
    a name leaves the house.
    """
    named = "\x1f".join(("ullage series", incident.tenant, *incident.series)).encode()
    return f"series_{hashlib.sha256(named).hexdigest()[:12]}" if incident.series else ""


def _is_needed(one: Notification, incident: Incident | None, decided: Decision | None) -> bool:
    """Whether `one` has still to be said of an incident, None for one that is gone or muted;
    `decided` gives its status.

    Who closed an incident has not seen what came of it since: that it grew worse is news all the
    same.
    """
    if incident is None:
        return False
    closed = decided is not None and decided.status in CLOSED
    if decided is None or decided.status == UNDECIDED or (closed and decided.at < one.at):
        return one.why not in ("unacknowledged", "escalated") or presses(incident)
    return not closed and one.why in ("new", "raised", "grown")


ASKING: tuple[News, ...] = ("second_person", "unconfirmed")
"""News of an act that waits for a second person: it is needed while that waits, whatever the
incident's status.
"""
CLOSE_SECONDS = 15.0
FLUSH_TRIES = 3
STEPS = 3
"""An attempt connects, sends and reads, each within the timeout."""


def page_of(settings: Settings) -> str:
    """The page's address as a message shows it."""
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
            made = plan(
                setup.store,
                setup.notify,
                incidents,
                setup.clock.now(),
                setup.muted,
                setup.duties.time_left,
            )
        self._hear(made)

    def plan_second_person(self, waiting: Sequence[tuple[Incident, PendingDecision]]) -> None:
        """Write down that acts wait for a second person."""
        if self.setup.notify.channels:
            self._hear(
                plan_second_person(
                    self.setup.store, self.setup.notify, waiting, self.setup.clock.now()
                )
            )

    def _hear(self, made: Sequence[Notification]) -> None:
        """Have the senders look at what was just written."""
        for sender in self.senders if made else ():
            sender.hear(made)
        for running in self._running if made else ():
            running.wake.set()

    def start(self) -> None:
        """Begin to send."""
        self._running = [_Running(sender) for sender in self.senders]
        self.turn()

    def turn(self) -> None:
        """Raise what a sender could not go on from; start again a thread that a fault of ours
        has ended.
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
        """Without threads: send what is due now, and do not wait for a channel that is down; it
        is tried the next time.
        """
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
    """Return the senders of the configured channels; one whose secret is unusable starts all the
    same, see `guarded_channel`.

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
        settings.notify,
        page_of(settings),
        store,
        clock,
        metrics,
        muted,
        duties,
        was_told,
        context.running_time.believed(),
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
            sender.holds = leases[-1].holds
        senders.append(sender)

    def release() -> None:
        for lease in leases:
            lease.release()

    return Notifier(setup, senders, release)
