"""`ullage match`: from encrypted captures on the bus to findings, with lists reloaded on change."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from matcher.cli import assess_service, canary
from matcher.cli.evidence_vault import Keeper, Reception, Relay, is_behind_gap, outgoing
from matcher.cli.loading import build_matcher, keep_freed_memory, load_known
from matcher.cli.metrics import MatchMetrics
from matcher.match.batches import PieceTrace
from matcher.match.capture_result import CaptureBudget, CaptureReading
from matcher.match.findings import attach_original, build_findings, desk_sealers
from matcher.match.pipeline import Matcher
from matcher.unpack.parent import has_ocr
from matcher.watchlist import installation
from matcher.watchlist.installation import InUse, in_use
from ullage import log
from ullage.bus import CAPTURES, FINDINGS, Outgoing, Publisher, Record, Subscription
from ullage.clock import Clock
from ullage.errors import FaultsError, UllageError, UnavailableError
from ullage.guard import DetectorFault
from ullage.monitoring.canary import SITE, is_authentic
from ullage.monitoring.canary import TENANT as CANARY
from ullage.monitoring.metrics import BUS, CertificateMetrics, new_registry
from ullage.records import Capture, Finding
from ullage.records.heartbeat import is_heartbeat
from ullage.records.incomplete import BUDGETS
from ullage.running_time import DAY_SECONDS
from ullage.runtime.dead_letters import DeadLetters
from ullage.runtime.in_hand import InHand
from ullage.runtime.service import running, surroundings
from ullage.runtime.worker import DeadRecord, Worker, WorkerMetrics, reach
from ullage.security import keys
from ullage.security.sealing import Sealer
from ullage.security.signing import Signer
from ullage.settings import Context
from ullage.setup import require
from ullage.vocabulary.lexicon import list_themes

Once = Annotated[bool, typer.Option("--once", help="Process what is waiting, then exit.")]
SECONDS_BETWEEN_EXPIRIES = 300.0
LISTS_SECONDS = 1.0
"""Seconds between checks for missing lists."""
GROUP = "match"
WATCHDOG_SECONDS = 1800.0
"""A batch that takes longer ends the process, and its records are then tried singly."""
OUTBOX_BYTES = 32 * 1024 * 1024
MOST_LETTERS = 50
"""Dead letters for one fault of ours.

They are enough to find it and to test the fix; copies for every post would add nothing.
"""


@dataclass(slots=True)
class FindingOutbox:
    """Findings that wait to be published together.

    Those of one capture may take too much memory, so they are published in several batches.
    """

    publisher: Publisher
    writing: Callable[[], AbstractContextManager[None]]
    held: list[Outgoing] = field(default_factory=list)
    size: int = 0

    def put(self, record: Outgoing) -> None:
        """Publish a record soon."""
        self.held.append(record)
        self.size += len(record.value)
        if self.size > OUTBOX_BYTES:
            self.flush()

    def flush(self) -> None:
        """Publish all waiting records; they are durable on return."""
        if self.held:
            with self.writing():
                self.publisher.append(self.held)
        self.held, self.size = [], 0


@dataclass(slots=True)
class FaultReports:
    """The faults of ours in this process, each with its number of captures."""

    counts: Counter[DetectorFault] = field(default_factory=Counter)

    def add(self, reading: CaptureReading) -> bool:
        """Count the faults of a capture, and return whether it becomes a dead letter.

        As a dead letter it can be matched again. Only captures with a reason do, and of each fault
        only the first MOST_LETTERS (50). The first occurrence of a fault is logged.
        """
        reasons = {*reading.reasons}
        faults = reading.faults or [
            DetectorFault(reason, "reader") for reason in reasons - BUDGETS.keys()
        ]
        for fault in faults:
            self.counts[fault] += 1
            if self.counts[fault] == 1:
                log.get("match").error("detector_failed", part=fault.part, error=fault.cause)
        has_room = any(self.counts[fault] <= MOST_LETTERS for fault in faults)
        return bool(reasons) and (has_room or not faults)


@dataclass(slots=True)
class PublishedCounts:
    """The findings of one capture by tenant, and its matches by tenant and kind."""

    findings: Counter[str] = field(default_factory=Counter)
    matches: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Count one finding."""
        self.findings[finding.tenant] += 1
        self.matches.update((finding.tenant, match.kind) for match in finding.matches)


@dataclass(slots=True)
class MatchStage:
    """The handler of match's worker."""

    context: Context
    subscription: Subscription
    findings: Publisher
    metrics: MatchMetrics
    writing: Callable[[], AbstractContextManager[None]] = nullcontext
    """The context in which findings are published."""
    trace: Callable[[], PieceTrace | None] = lambda: None
    """The trace of the parts at work on a record, if a process died of it."""
    _matcher: Matcher = field(init=False)
    _reception: Reception = field(init=False)
    _signer: Signer = field(init=False)
    _desks: Mapping[str, Sealer] = field(init=False)
    _relay: Relay = field(init=False)
    _keeper: Keeper = field(init=False)
    _budget: CaptureBudget = field(init=False)
    _in_use: InUse = field(init=False)
    _faults: list[str] = field(default_factory=list)
    """Faults of the lists: with any, match is not ready."""
    _fault_reports: FaultReports = field(default_factory=FaultReports)
    _stamp: object = None
    _key_day: str = ""
    _lost: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        self._keeper = Keeper(self.context, self.metrics.evidence)
        self._budget = CaptureBudget.from_settings(self.context.settings.match)
        if self._budget.ocr and not has_ocr():
            log.get("match").warning("ocr_not_installed")
        self._signer = keys.load_signer(self.context.keys, "match")
        self._relay = Relay(
            self.findings,
            self._signer,
            self.metrics.pulse,
            self.metrics.coverage,
            self.metrics.counts,
        )
        self._renew()

    def handle(self, records: Sequence[Record]) -> list[DeadRecord]:
        """Match a batch; findings are durable on return.

        Heartbeats are passed on. Reloads changed lists first. Returns the captures that were not
        read completely, each for a dead letter. If a part of matching fails on a capture, only that
        part's result is lost (`ullage.guard`). Raises RecordError for a record that is no capture,
        UnavailableError if the bus is down.
        """
        self._renew()
        beats = [
            self._reception.heartbeat(record) for record in records if is_heartbeat(record.headers)
        ]
        posts = [record for record in records if not is_heartbeat(record.headers)]
        captures = [self._reception.capture(record) for record in posts]
        asides = self._match(posts, self._matcher.read(captures, self._budget, self.trace()))
        customers = {
            lists.tenant: lists.customers for lists in self._matcher.lists if lists.tenant != CANARY
        }
        with self.writing():
            self._relay.pass_on(beats, customers)
        return asides

    def _match(
        self, records: Sequence[Record], readings: Iterable[CaptureReading]
    ) -> list[DeadRecord]:
        """Publish the findings of the captures in `records`; return those that become dead letters.

        Counters change only when all findings are durable.
        """
        now, seen, asides = self.context.clock.now(), list[Callable[[], None]](), list[DeadRecord]()
        outbox = FindingOutbox(self.findings, self.writing)
        for record, reading in zip(records, readings, strict=True):
            published = PublishedCounts()
            for found in self._without_false_canaries(
                reading, build_findings(self._matcher, reading, now)
            ):
                finding = found
                if found.withdrawn:
                    outbox.put(outgoing(found, self._signer))
                    continue
                with reading.guard.step("redaction"):
                    finding = attach_original(found, reading, self._desks.get(found.tenant))
                self._keeper.keep(self._matcher, reading, finding)
                outbox.put(outgoing(finding, self._signer))
                published.add(finding)
            seen.append(self._counter(reading, published))
            if self._fault_reports.add(reading):
                asides.append(
                    DeadRecord(
                        record,
                        "over_budget" if BUDGETS.keys() >= {*reading.reasons} else "internal",
                    )
                )
        outbox.flush()
        for count in seen:
            count()
        if records:
            self.metrics.last_success.set(self.context.clock.wall())
        return asides

    def _without_false_canaries(
        self, reading: CaptureReading, findings: Iterable[Finding]
    ) -> Iterator[Finding]:
        """Yield `findings` without those of a canary post that crawl did not publish.

        Anybody can post its text. Such a post is counted.
        """
        is_false = False
        for finding in findings:
            if finding.tenant == CANARY and not (is_false or self._is_proved(reading.capture)):
                is_false = True
                self.metrics.false_canaries.inc()
            if finding.tenant != CANARY or not is_false:
                yield finding

    def _is_proved(self, capture: Capture) -> bool:
        """Return whether crawl published this canary post."""
        return capture.site == SITE and is_authentic(
            capture.body, capture.published_at, self._reception.verifier
        )

    def alive(self) -> None:
        """Update the lag, and reload lists and keys if necessary.

        It is called at each turn of the loop, even if no record arrives.
        """
        lag = self.subscription.lag()
        self.metrics.lag_records.set(lag.records)
        self.metrics.lag_seconds.set(lag.seconds)
        self._count_losses()
        self._keeper.upkeep()
        self._renew()

    def _count_losses(self) -> None:
        """Add the records that the bus lost before match to the counters."""
        counters = (self.metrics.expired, self.metrics.missing, self.metrics.damaged)
        lost = (self.subscription.expired, self.subscription.missing, self.subscription.damaged)
        for counter, now, before in zip(counters, lost, self._lost, strict=True):
            counter.inc(now - before)
        self._lost = lost

    def _renew(self) -> None:
        """Reload watchlists and lexicons after a file changed or a list expired.

        The encryption keys are rotated, and the canary enrolled, once a day. A failed reload is
        logged, and the former lists stay in use; at the first load the error is raised.
        """
        today = self.context.clock.now().strftime("%Y%m%d")
        if today != self._key_day:
            rotate_seal_keys(self.context)
            if self.context.settings.canary.interval_seconds:
                canary.enrol(self.context)
            verifier = keys.load_verifier(self.context.keys, CAPTURES)
            self._reception = Reception(
                keys.load_opener(self.context.keys), verifier, self.metrics.unknown_signers.inc
            )
            self._key_day = today
        former = self._matcher.lists if self._stamp else ()
        now = self.context.running_time.look().now()  # a clock that was set must not expire a list
        expired = any(lists.expires <= now for lists in former)
        lexicons = tuple(theme.stamp(self.context.data) for theme in list_themes().values())
        stamp = (installation.stamp(self.context.data, self.context.keys), expired, lexicons)
        if stamp == self._stamp:
            return
        try:
            used = in_use(self.context, former)
            self._matcher = build_matcher(
                self.context, known=load_known(self.context, lists=used.lists)
            )
        except (UllageError, OSError) as error:
            if self._stamp is None:
                raise
            self._faults = [str(error) if isinstance(error, UllageError) else type(error).__name__]
            self.metrics.reload_success.set(0)
        else:
            self._in_use, self._faults = used, used.faults
            self._desks = desk_sealers(
                self.context, [lists.tenant for lists in self._matcher.lists]
            )
            self.metrics.reload_success.set(not used.refused)
            self.metrics.show_lists({lists.tenant: lists for lists in used.lists}, used.lacking)
        for fault in self._faults:
            log.get("match").error("watchlist_not_reloaded", error=fault)
        self._stamp = stamp

    def ready(self) -> bool:
        """Return whether match searches for the customers of every tenant.

        It must use the list that was installed last.
        """
        return not self._faults and bool(self._matcher.lists)

    def fault(self) -> str:
        """Return the fault that no signer is trusted, "" if one is known."""
        return self._reception.verifier.fault()

    def await_lists(self, stop: threading.Event, *, once: bool) -> None:
        """Wait until no installed list is missing, or `stop` is set.

        With `once`, raises `ConfigError` instead of waiting. A post that was read meanwhile would
        be searched for none of that tenant's customers, and would not arrive again. That error is a
        FaultsError, a ConfigError of several lines.
        """
        while self._in_use.missing and not stop.is_set():
            if once:
                raise FaultsError(self._faults)
            self.metrics.loop.record_turn()
            stop.wait(LISTS_SECONDS)
            self._renew()

    def _counter(self, reading: CaptureReading, published: PublishedCounts) -> Callable[[], None]:
        """Return a function that adds a capture to the counters once its findings are durable.

        It holds none of the capture's text.
        """
        metrics, size, valid, unread = (
            self.metrics,
            len(reading.capture.body),
            reading.valid,
            reading.unread,
        )
        incomplete = reading.reasons
        waited = self.context.clock.wall() - reading.capture.fetched_at.timestamp()
        is_jargon_only = (
            bool(reading.terms.terms) and not reading.terms.brands and not published.findings
        )
        is_unread_offer = is_jargon_only and reading.is_unread

        def count() -> None:
            metrics.captures.inc()
            metrics.wait.observe(max(0.0, waited))
            metrics.bytes.inc(size)
            metrics.candidates.inc(valid)
            metrics.jargon_only.inc(is_jargon_only)
            metrics.unread_offers.inc(is_unread_offer)
            for reason, number in unread.items():
                metrics.unread.labels(reason).inc(number)
            for reason in incomplete:
                metrics.incomplete.labels(reason).inc()
            for tenant, number in published.findings.items():
                metrics.findings.labels(tenant).inc(number)
            for (tenant, kind), number in published.matches.items():
                metrics.matches.labels(tenant, kind).inc(number)

        return count


def rotate_seal_keys(context: Context) -> None:
    """Make a key pair a day for encryption, and delete private keys that are no longer needed.

    A private key is kept for the longest retention of the data that it encrypted. Keys that are
    passed as credentials or by a key command are rotated by their keeper instead.
    """
    store, reading = context.keys, context.running_time.read()
    if store.are_external("seal"):
        return
    today = reading.now()
    if not store.exists(f"seal/{today:%Y%m%d}.key"):
        keys.make_seal_pair(store, f"{today:%Y%m%d}")
    bus = context.settings.bus
    kept = DAY_SECONDS + max(bus.captures_hours * 3600, bus.findings_days * DAY_SECONDS)
    old = reading.older(kept, witnessed=True)  # what lies unread on the bus may be as old as that
    names = store.list_names("seal", ".key")
    # a key is in use until the next one is made, which after an outage may be long
    for name, successor in pairwise(names):
        if (made := _day_of(successor)) and made + timedelta(days=1) in old:
            store.destroy(name)
            if store.exists(f"{name.removesuffix('.key')}.pub"):
                store.destroy(f"{name.removesuffix('.key')}.pub")


def _day_of(name: str) -> datetime | None:
    """Return the day on which an encryption key was made, by its name."""
    with contextlib.suppress(ValueError):
        return datetime.strptime(Path(name).stem, "%Y%m%d").replace(tzinfo=UTC)
    return None


def match(ctx: typer.Context, once: Once = False) -> None:
    """Match captured posts against the customer lists, in memory, and publish findings."""
    context: Context = ctx.obj
    require(context)
    keep_freed_memory()
    registry, bus = new_registry("match"), context.bus()
    metrics = MatchMetrics(
        registry,
        context.settings.tenants,
        context.clock,
        behind_gap=is_behind_gap(context.settings),
    )
    CertificateMetrics(registry, {BUS: context.list_bus_trusts()})
    port = None if once else context.settings.metrics_port("match")
    with contextlib.ExitStack() as stack:
        made: list[MatchStage] = []  # empty while waiting for the bus
        faults = [metrics.loop.fault]
        stop = stack.enter_context(
            running(
                "match", registry, port, context, lambda: bool(made) and made[0].ready(), faults
            )
        )
        stack.enter_context(contextlib.closing(bus))
        opened = reach(
            "match",
            lambda: (
                bus.publisher(FINDINGS),
                DeadLetters(bus, keys.load_sealer(context.keys), "match"),
                bus.subscribe(CAPTURES, GROUP),
            ),
            stop,
            once,
            partial(metrics.loop.record_reachability, BUS),
        )
        if opened is None:
            return
        findings, letters, subscription = opened
        stack.callback(letters.close)
        stack.callback(subscription.close)
        in_hand = stack.enter_context(
            InHand.of(
                context.data, CAPTURES, GROUP, surroundings(), WATCHDOG_SECONDS, stop
            ).record_crashes()
        )
        stage = MatchStage(context, subscription, findings, metrics, in_hand.writing, in_hand.trace)
        made.append(stage)
        if not once:
            stack.enter_context(assess_service.listening(context, metrics.assessed))
        expire = _every(context.clock, SECONDS_BETWEEN_EXPIRIES)

        def alive() -> None:
            metrics.loop.record_turn()
            stage.await_lists(stop, once=once)
            try:
                stage.alive()
                if next(expire):
                    bus.expire()
            except UnavailableError as error:  # the loop itself waits for services that are down
                metrics.loop.record_reachability(BUS, False)
                log.get("match").warning("upkeep_skipped", error=str(error))

        worker_metrics = WorkerMetrics(
            dropped=metrics.lost, alive=alive, reached=metrics.loop.record_reachability
        )
        worker = Worker(
            "match",
            subscription,
            stage.handle,
            letters,
            stop,
            context.settings.match.batch,
            metrics=worker_metrics,
            in_hand=in_hand,
        )
        faults += [stage.fault, worker.fault]
        worker.run(once)


def _every(clock: Clock, seconds: float) -> Iterator[bool]:
    """Yield True once in `seconds`, and False in between."""
    due = clock.monotonic()
    while True:
        now = clock.monotonic()
        yield now >= due
        due = now + seconds if now >= due else due
