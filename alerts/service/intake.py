"""Check signatures, and hand over findings, heartbeats and canary posts.

The decision is made on a store of its own that lives for one post, so that a canary is in no list,
no number and no export. The real store is asked something too: while it is down nobody would hear
of an incident, so a canary waits for it as well.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from alerts.deadlines.outstanding import Duties
from alerts.grouping.stage import Alert, decode
from alerts.notify import Message
from alerts.notify.metrics import NotifyMetrics
from alerts.notify.plan import Muted
from alerts.notify.sender import Notifier, Sender, Setup
from alerts.records import Incident
from alerts.service.metrics import AlertMetrics
from alerts.store.sqlite import SqliteStore
from ullage import log
from ullage.bus import FINDINGS, Record
from ullage.errors import RecordError
from ullage.monitoring.canary import TENANT
from ullage.monitoring.heartbeat import HeartbeatMetrics
from ullage.monitoring.metrics import CanaryMetrics
from ullage.records import FINDING_SCHEMA
from ullage.records.heartbeat import HEARTBEAT_SCHEMA, PURPOSE, Heartbeat, is_heartbeat
from ullage.security.signing import SIGNATURE, SIGNER, Verifier, record_parts
from ullage.settings import ChannelSettings, NotifySettings, RouteSettings, Tenant

CHANNEL = "nowhere"
ROUTES = NotifySettings(
    group_seconds=0.0,
    channels={CHANNEL: ChannelSettings()},
    routes={CHANNEL: RouteSettings(channels=(CHANNEL,), severity="notice", repeat_hours=0.0)},
)

Silencer = Callable[[Duties], Muted]
"""Makes of a store the rule which of its incidents nobody is told of."""


def is_canary(record: Record) -> bool:
    """Whether a record of topic `findings` is of a canary post."""
    return record.headers.get("tenant") == TENANT


@dataclass(slots=True)
class NullChannel:
    """A channel whose messages nobody gets; it counts them."""

    sent: int = 0

    def send(self, message: Message) -> None:
        """Count it."""
        self.sent += len(message.entries)

    def reach(self) -> str:
        """Always there."""
        return CHANNEL


@dataclass(frozen=True, slots=True)
class Canaries:
    """The handler of canary findings.

    `stage` is that of real findings, `muted` as alert has it for real incidents.
    """

    stage: Alert
    metrics: CanaryMetrics
    muted: Silencer
    told: Callable[[datetime], None] = lambda _: None
    """Told when the post was published of each that led to a notification."""

    def __call__(self, records: Sequence[Record]) -> None:
        """Decide on each, and note when it came to a notification; RecordError for one that is
        damaged.
        """
        for record in records:
            finding = decode(record)
            self.stage.store.get(Incident, finding.id)
            told = notifications(record, self.stage, self.muted)
            if told and finding.capture.published_at is not None:
                self.metrics.record_notification(finding.capture.published_at.timestamp())
                self.told(finding.capture.published_at)
            else:
                log.get("alert").warning(
                    "canary_not_notified", reason="decided otherwise" if not told else "no date"
                )


def notifications(record: Record, stage: Alert, muted: Silencer) -> int:
    """How many notifications a finding alone would lead to by the rules of `stage`, if every
    incident above `noise` were told.
    """
    clock = stage.clock
    with (
        tempfile.TemporaryDirectory(prefix="canary-") as folder,
        contextlib.closing(SqliteStore(Path(folder) / "incidents.sqlite")) as store,
    ):
        channel, apart = NullChannel(), CollectorRegistry()
        metrics, duties = (
            NotifyMetrics(apart, ROUTES.channels, ()),
            Duties(store, lambda _: Tenant(), clock),
        )
        setup = Setup(ROUTES, "", store, clock, metrics, muted(duties), duties)
        notifier = Notifier(setup, [Sender(CHANNEL, channel, setup)])
        counted = AlertMetrics(apart, (), clock)
        alone = replace(  # whatever writes to the store of real incidents is left out
            stage,
            store=store,
            tenant=lambda _: Tenant(),
            metrics=counted,
            tell=notifier.plan,
            filed=lambda *_: None,
        )
        alone.handle([record])
        notifier.flush()
        return channel.sent


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The handler of alert's worker: findings go to `handle`, those of canaries to `canaries`;
    then heartbeats are noted.
    """

    handle: Callable[[Sequence[Record]], None]
    canaries: Callable[[Sequence[Record]], None]
    pulse: HeartbeatMetrics
    check: Callable[[Record], None]
    """RecordError for a record that nobody of ours signed."""
    heard: Sequence[Callable[[Heartbeat], None]] = ()
    """Told of each heartbeat that is news, in this order."""

    def __call__(self, records: Sequence[Record]) -> None:
        """Deal with a batch; RecordError for one that is damaged."""
        for record in records:
            self.check(record)
        beats = [
            Heartbeat.decode(r.value, r.headers.get("schema", ""))
            for r in records
            if is_heartbeat(r.headers)
        ]
        rest = [record for record in records if not is_heartbeat(record.headers)]
        if findings := [record for record in rest if not is_canary(record)]:
            self.handle(findings)
        if canaries := [record for record in rest if is_canary(record)]:
            self.canaries(canaries)
        for beat in beats:
            if self.pulse.is_news(beat):
                for tell in self.heard:
                    tell(beat)
            self.pulse.record(beat)


@dataclass(frozen=True, slots=True)
class Authentic:
    """Looks at records of topic `findings`."""

    verifier: Verifier

    def check(self, record: Record) -> None:
        """RecordError `schema` for a record of another version, `unknown_signer` or
        `not_authentic` for one of somebody else.
        """
        headers = record.headers
        purpose, schema = (
            (PURPOSE, HEARTBEAT_SCHEMA) if is_heartbeat(headers) else ("finding", FINDING_SCHEMA)
        )
        if headers.get("schema") != str(schema):
            raise RecordError("schema")
        parts = record_parts(FINDINGS, headers, record.value)
        self.verifier.verify(headers.get(SIGNER, ""), headers.get(SIGNATURE, ""), purpose, *parts)
