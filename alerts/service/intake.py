"""Check signatures, and dispatch findings, heartbeats and canary posts.

A canary is decided on in a store of its own that exists for one post, so that it appears in no
list, number or export. The real store is read too: while it is down nobody would be notified of an
incident, so a canary waits for it too.
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
    """Return whether a record of topic `findings` belongs to a canary post."""
    return record.headers.get("tenant") == TENANT


@dataclass(slots=True)
class NullChannel:
    """A channel that counts messages instead of sending them."""

    sent: int = 0

    def send(self, message: Message) -> None:
        """Count the message's entries."""
        self.sent += len(message.entries)

    def reach(self) -> str:
        """Return the name of the channel, which is always available."""
        return CHANNEL


@dataclass(frozen=True, slots=True)
class Canaries:
    """The handler of canary findings.

    `stage` is that of real findings, `muted` the rule of real incidents.
    """

    stage: Alert
    metrics: CanaryMetrics
    muted: Silencer
    told: Callable[[datetime], None] = lambda _: None
    """Told when the post was published of each that led to a notification."""

    def __call__(self, records: Sequence[Record]) -> None:
        """Decide on each canary, and record whether it led to a notification.

        One that did not is logged; no incident is stored. Raises RecordError for a damaged record,
        UnavailableError if the store is down.
        """
        for record in records:
            finding = decode(record)
            self.stage.store.get(Incident, finding.id)
            count = count_notifications(record, self.stage, self.muted)
            if count and finding.capture.published_at is not None:
                self.metrics.record_notification(finding.capture.published_at.timestamp())
                self.told(finding.capture.published_at)
            else:
                log.get("alert").warning(
                    "canary_not_notified", reason="decided otherwise" if not count else "no date"
                )


def count_notifications(record: Record, stage: Alert, muted: Silencer) -> int:
    """Return how many notifications a finding alone would lead to by the rules of `stage`.

    It is processed in a store of its own that is thrown away, and nothing is sent. Every incident
    above `noise` counts as notified.
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
    """The handler of alert's worker.

    Findings go to `handle`, those of canaries to `canaries`; then heartbeats are recorded.
    """

    handle: Callable[[Sequence[Record]], None]
    canaries: Callable[[Sequence[Record]], None]
    pulse: HeartbeatMetrics
    check: Callable[[Record], None]
    """RecordError for a record that nobody of ours signed."""
    heard: Sequence[Callable[[Heartbeat], None]] = ()
    """Told of each heartbeat that is news, in this order."""

    def __call__(self, records: Sequence[Record]) -> None:
        """Process a batch: findings, then canaries, then heartbeats.

        Repeated heartbeats are ignored. Raises RecordError for a damaged record, before anything is
        processed.
        """
        for record in records:
            self.check(record)
        beats = [
            Heartbeat.decode(r.value, r.headers.get("schema", ""))
            for r in records
            if is_heartbeat(r.headers)
        ]
        remaining = [record for record in records if not is_heartbeat(record.headers)]
        if findings := [record for record in remaining if not is_canary(record)]:
            self.handle(findings)
        if canaries := [record for record in remaining if is_canary(record)]:
            self.canaries(canaries)
        for beat in beats:
            if self.pulse.is_news(beat):
                for tell in self.heard:
                    tell(beat)
            self.pulse.record(beat)


@dataclass(frozen=True, slots=True)
class Authentic:
    """Checks the signatures of records of topic `findings`."""

    verifier: Verifier

    def check(self, record: Record) -> None:
        """Raise RecordError unless the record is signed and of this version.

        The reason is `schema` for another version, `unknown_signer` or `not_authentic` for
        a foreign record.
        """
        headers = record.headers
        purpose, schema = (
            (PURPOSE, HEARTBEAT_SCHEMA) if is_heartbeat(headers) else ("finding", FINDING_SCHEMA)
        )
        if headers.get("schema") != str(schema):
            raise RecordError("schema")
        parts = record_parts(FINDINGS, headers, record.value)
        self.verifier.verify(headers.get(SIGNER, ""), headers.get(SIGNATURE, ""), purpose, *parts)
