"""Assemble and run `ullage alert`, and check what it needs."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial

from prometheus_client import CollectorRegistry

from alerts.cases.evidence import REVEALS_ALLOWED, vault_of, watching
from alerts.cases.reopening import Returns
from alerts.cases.suppressions import mute_filter, silent_clocks
from alerts.coverage import CoverageLog
from alerts.coverage.hours import Recount
from alerts.coverage.monitoring_status import HeartbeatRecorder
from alerts.coverage.signed_days import open_sheets
from alerts.deadlines import check_regimes
from alerts.deadlines.schedule import (
    Book,
    Work,
    count_unacknowledged,
    duties_of,
    find_earliest,
    read_known_until,
)
from alerts.grouping.benign import BACKGROUND
from alerts.grouping.replay import AnyKind, rule_kinds
from alerts.grouping.stage import YOUNG, Alert
from alerts.notify.channels import open_channel
from alerts.notify.sender import Lease, open_notifier
from alerts.records import Incident, Notification
from alerts.service.intake import Authentic, Canaries, Dispatch
from alerts.service.metrics import AlertMetrics, DutyMetrics
from alerts.service.upkeep import Maintenance, remove_late
from alerts.store import (
    DocumentFilter,
    IncidentStore,
    open_configured_store,
    store_plan,
    store_trust,
)
from ullage.bus import FINDINGS, Bus, Subscription
from ullage.calendar import load_china
from ullage.errors import ConfigError, run_all
from ullage.files.rule_files import Live
from ullage.lookup.list_index import EnrolledLists, VerifiedList, path_of
from ullage.monitoring.metrics import BUS, STORE, CertificateMetrics, new_registry
from ullage.runtime.dead_letters import DeadLetters
from ullage.runtime.in_hand import InHand
from ullage.runtime.service import running, spare_what_stands, surroundings
from ullage.runtime.worker import Worker, WorkerMetrics, reach
from ullage.security import keys
from ullage.settings import Context
from ullage.settings.tenants import find_tenants
from ullage.setup import own_certificate
from ullage.verdict import VERDICT


def channel_parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield named checks of the notification routes and of each channel, for `ullage check`.

    A channel's check reads its secret and connects to the receiver; nothing is sent.
    """
    yield "notifications", partial(_check_routes, context)
    for name in context.settings.notify.channels:
        yield f"channel {name}", partial(_check_channel, context, name)


def _check_routes(context: Context) -> str:
    """Return who is notified of which tenants, and which channels no route leads to.

    Raises ConfigError where there is no channel or route, or a tenant has none.
    """
    settings = context.settings.notify
    if not settings.channels and not settings.routes:
        raise ConfigError(
            "no recipient for any incident: add [notify.channels.…] and [notify.routes.…]"
            " to ullage.toml"
        )
    if not settings.routes:
        names = ", ".join(settings.channels)
        raise ConfigError(
            f"no recipient for any incident: add a [notify.routes.…] that leads to {names}"
        )
    routes = settings.routes.values()
    without_route = sorted(
        t
        for t in find_tenants(context)
        if not any(t in route.tenants or not route.tenants for route in routes)
    )
    if without_route:
        raise ConfigError(
            f"no recipient for incidents of {', '.join(without_route)}: add a"
            " [notify.routes.…] that matches"
        )
    used = {channel for route in routes for channel in (*route.channels, *route.escalate_to)}
    spare = [name for name in settings.channels if name not in used]
    summary = (
        f"{len(settings.routes)} route{'s' * (len(settings.routes) != 1)} to"
        f" {', '.join(sorted(used))}"
    )
    return summary + (f"; no route leads to {', '.join(spare)}" if spare else "")


def _check_channel(context: Context, name: str) -> str:
    channel = open_channel(name, context.settings.notify, context.keys, context.clock)
    with contextlib.closing(open_configured_store(context)) as store:
        owed = count_undelivered(store, name, context)
    return f"{channel.reach()}{f', {owed} not delivered yet' if owed else ''}"


def count_undelivered(store: IncidentStore, channel: str, context: Context) -> int:
    """Return how many notifications of `channel` are due now and not delivered yet."""
    return store.count(
        Notification,
        DocumentFilter(
            {"channel": (channel,), "outcome": ("pending",)}, before=context.clock.now()
        ),
    )


GROUP = "alert"
WATCHDOG_SECONDS = 900.0
"""A batch that takes longer ends the process."""
DUTIES, DUTIES_SECONDS = "-duties", 90.0
"""Of several alert processes one goes through what is owed; a turn of it comes at least so
often.
"""


def run_alert(context: Context, *, once: bool) -> None:
    """Run the alert service until a signal ends it, with `once` until nothing is left to do.

    Raises HeldError where another process runs it, and ConfigError for a wrong setting, key or
    rule.
    """
    settings, registry = context.settings, new_registry("alert")
    metrics = _create_metrics(context, registry)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(open_configured_store(context)))
        bus = stack.enter_context(contextlib.closing(context.bus()))
        port = None if once else settings.metrics_port("alert")
        turning: list[Maintenance] = []  # none while the bus is waited for
        faults = [metrics.loop.fault]

        def is_ready() -> bool:
            return bool(turning) and turning[0].ready()

        stop = stack.enter_context(running("alert", registry, port, context, is_ready, faults))
        if (opened := _open_bus(context, bus, stop, once, metrics)) is None:
            return
        letters, subscription = opened
        stack.callback(letters.close)
        stack.callback(subscription.close)
        book, release = open_book(context, store)
        stack.callback(release)
        recount_due = make_due_recount(context, book, registry)
        recounts = (recount_due, watching(context, metrics.revealed.set))
        believed = context.running_time.deadline_clock()
        mutes = mute_filter(replace(book.duties, clock=believed))
        notifier = open_notifier(context, store, registry, mutes, book.mark_changed)
        stack.callback(notifier.close)
        maintenance = Maintenance(
            store,
            settings.store,
            context.running_time,
            metrics,
            subscription.lag,
            lambda: [recount() for recount in recounts],
            notifier.turn,
            settings.originals,
            vault_of(context),
        )
        turning.append(maintenance)
        background, verdict = Live(BACKGROUND, context.data), Live(VERDICT, context.data)
        background(), verdict()  # what is wrong with them is said at the start
        notes = InHand.of(context.data, FINDINGS, GROUP, surroundings(), WATCHDOG_SECONDS, stop)
        in_hand = stack.enter_context(notes.record_crashes())
        _record_single_persons(context)
        work, trail = Work(duties_of(context, store)), context.trail()
        plan_second = notifier.plan_second_person
        returns = Returns(
            work, trail, verdict, notifier.plan, book.mark_changed, plan_second, believed
        )
        if not once:
            notifier.start()
        maintenance.step = book.step
        stage = Alert(
            store,
            context.clock,
            context.tenant,
            metrics,
            background,
            verdict,
            notifier.plan,
            returns.handle_written_incidents,
            writing=in_hand.writing,
        )
        authentic = Authentic(keys.load_verifier(context.keys, FINDINGS))
        handle = _build_dispatch(context, stage, metrics, authentic, maintenance, returns)
        spare_what_stands(YOUNG)
        worker = _build_worker(
            context, subscription, handle, letters, stop, in_hand, metrics, maintenance
        )
        faults += [authentic.verifier.fault, worker.fault]
        worker.run(once)
        if once:
            store.refresh()  # whoever waited for the end may ask at once what came of it
            notifier.flush()
            book.complete()


def _build_dispatch(
    context: Context,
    stage: Alert,
    metrics: AlertMetrics,
    authentic: Authentic,
    maintenance: Maintenance,
    returns: Returns,
) -> Dispatch:
    """Return the handler of batches: findings go to `stage`, canary posts and heartbeats beside it.

    Work on the coverage log and on returned incidents is added to `maintenance`.
    """
    store = stage.store
    sheets, listener = open_sheets(context, store), HeartbeatRecorder(store, context.clock)
    ledger = CoverageLog(store, context.clock, sheets.reopen if sheets else lambda _: None)
    gaps = Recount(store, context.clock, metrics.unexplained.set)
    maintenance.late = lambda: remove_late(store, context.trail(), context.running_time.read())
    signing = [sheets.sign_due] if sheets else []
    maintenance.ledger = (ledger.begin_day, *signing, gaps, returns.turn)
    canaries = Canaries(stage, metrics.canary, mute_filter, ledger.record_canary)
    return Dispatch(stage.handle, canaries, metrics.pulse, authentic.check, (ledger, listener))


def _build_worker(
    context: Context,
    subscription: Subscription,
    handle: Dispatch,
    letters: DeadLetters,
    stop: threading.Event,
    in_hand: InHand,
    metrics: AlertMetrics,
    maintenance: Maintenance,
) -> Worker:
    """Return the worker that reads findings and does the maintenance at every turn."""
    worker_metrics = WorkerMetrics(
        dropped=metrics.count_dropped,
        alive=maintenance.turn,
        reached=metrics.loop.record_reachability,
    )
    return Worker(
        "alert",
        subscription,
        handle,
        letters,
        stop,
        context.settings.alert.batch,
        metrics=worker_metrics,
        sink=STORE,
        in_hand=in_hand,
    )


def _create_metrics(context: Context, registry: CollectorRegistry) -> AlertMetrics:
    """Create the metrics of this process, and set those that stay the same while it runs.

    These are the interval of the canary and, a constant, how many reveals are allowed. The expiry
    of certificates is registered, too, and read at each scrape; it is not part of the result.
    """
    metrics = AlertMetrics(registry, context.settings.tenants, context.clock)
    metrics.canary.interval.set(context.settings.canary.interval_seconds)
    metrics.reveals_allowed.set(REVEALS_ALLOWED)
    CertificateMetrics(registry, {BUS: context.list_bus_trusts(), STORE: [store_trust(context)]})
    return metrics


def _record_single_persons(context: Context) -> None:
    """Record in the audit log for which tenants one person ends a deadline."""
    if tenants := [
        name for name in context.settings.tenants if not context.tenant(name).second_person
    ]:
        what = (
            f"reporting deadlines of {', '.join(tenants)} are decided by one person"
            " (second_person = false)"
        )
        context.trail().append("settings.second_person", what, actor="alert")


def _open_bus(
    context: Context, bus: Bus, stop: threading.Event, once: bool, metrics: AlertMetrics
) -> tuple[DeadLetters, Subscription] | None:
    """Open the subscription to findings and the dead letters.

    Returns None when stopped before the bus answered.
    """

    def ask() -> tuple[DeadLetters, Subscription]:
        return _letters(context, bus), bus.subscribe(FINDINGS, GROUP)

    return reach("alert", ask, stop, once, partial(metrics.loop.record_reachability, BUS))


def open_book(context: Context, store: IncidentStore) -> tuple[Book, Callable[[], None]]:
    """Return the writer of duty records, and a function that gives up its lease.

    Of several alert processes only the one with the lease goes through all incidents. Raises
    ConfigError if a tenant names an unknown regime.
    """
    duties = duties_of(context, store)
    if context.settings.bus.url.startswith("sqlite:"):
        return Book(duties), lambda: None
    lease = Lease(DUTIES, secrets.token_hex(8), store, context.clock, DUTIES_SECONDS)
    return Book(duties, lease.acquire), lease.release


def make_due_recount(
    context: Context, book: Book, registry: CollectorRegistry
) -> Callable[[], None]:
    """Return a function that updates due duty records and the deadline metrics in `registry`.

    The metrics stay as they are until alert has gone through all incidents one time.
    """
    store, tenants = book.store, context.settings.tenants
    metrics = DutyMetrics(registry, {name: tenant.regimes for name, tenant in tenants.items()})

    def recount() -> None:
        book.turn()
        until = read_known_until(store)
        if until is None:
            return
        now = context.clock.now()
        silent = silent_clocks(book.duties)
        for name, tenant in tenants.items():
            metrics.set_tenant(
                name,
                find_earliest(store, name, tenant.regimes, now),
                count_unacknowledged(store, name, silent, now),
            )
        metrics.set_known_until(until)

    return recount


def _letters(context: Context, bus: Bus) -> DeadLetters:
    return DeadLetters(bus, keys.load_sealer(context.keys), "alert")


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the checks of `ullage check` for this service: a name, and a function that checks.

    The function returns what was found, as text, and raises an error for a fault. The first check
    is of the incident store.
    """

    def check_store() -> str:
        with contextlib.closing(open_configured_store(context)) as store:
            rights = store.check()
            return ", ".join(
                filter(None, (f"{store.count(Incident, DocumentFilter())} incidents", rights))
            )

    def check_notification_rules() -> str:
        check_regimes(context.settings.tenants)
        year = context.clock.now().year
        unknown = [str(y) for y in (year, year + 1) if y not in load_china().years]
        return (
            f"no calendar of working days of {' and '.join(unknown)}: every day counts as worked"
            if unknown
            else "known"
        )

    def list_versions() -> str:
        def version(kind: AnyKind) -> str:
            return f"{kind.name} {kind.load_current(context.data).rules.version}"

        return ", ".join(run_all(partial(version, kind) for kind in rule_kinds().values()))

    def check_lists() -> str:
        lists, descriptions = EnrolledLists(context.data, context.keys), []
        for tenant in lists.tenants():
            verified = VerifiedList(path_of(context.data, tenant), context.keys, tenant)
            expires = datetime.fromisoformat(verified.header.expires)
            if expires <= context.clock.now():
                raise ConfigError(
                    f"{verified.path} expired on {expires:%Y-%m-%d} and is not used: load it again,"
                    " or remove it"
                )
            descriptions.append(
                f"{tenant} {verified.check():,} values of {verified.header.created[:10]} until"
                f" {expires:%Y-%m-%d}"
            )
        return ", ".join(descriptions) or "no list here, so a look-up has two answers"

    yield "incident store", check_store
    if "certificate=" in context.settings.store.url:
        yield "store certificate", lambda: own_certificate(context, store_trust(context))
    yield "what is recorded", check_lists
    yield "rules", list_versions
    yield "rules of notification", check_notification_rules
    yield from channel_parts(context)


def plan(context: Context) -> Iterator[str]:
    """Yield the part of `ullage check --plan` for the owner of the incident store."""
    return store_plan(context)
