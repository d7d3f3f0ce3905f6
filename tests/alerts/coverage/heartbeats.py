"""Heartbeats for the ledger, and alert as far as they go."""

from datetime import UTC, datetime, timedelta

from alerts.coverage import CoverageLog
from alerts.coverage.hours import CoverageWindow, read_coverage
from alerts.coverage.monitoring_status import HeartbeatRecorder
from tests.conftest import HeldClock
from ullage.records.heartbeat import SLOTS, Heartbeat, SiteHour, to_slot

NINE = datetime(2026, 9, 21, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def beat(at: datetime, sites: str = "board", letter: str = "o", **more: object) -> Heartbeat:
    """Return a heartbeat that reports the five minutes in which it was sent."""
    slot = to_slot(at.timestamp())
    slots = "." * (slot % SLOTS) + letter + "." * (SLOTS - 1 - slot % SLOTS)
    hours = tuple(
        SiteHour(site=site, hour=slot // SLOTS, slots=slots, posts=3, revisit=300)
        for site in sites.split()
    )
    return Heartbeat(
        id="0" * 32, origin="crawl", inserted_at=at, hours=hours, **{"enrolled": 5, **more}
    )


class Alert:
    """Alert as far as heartbeats go; `hears` each five minutes, as long as it lives."""

    def __init__(self, store, clock: HeldClock) -> None:
        self.store, self.clock = store, clock
        clock.seconds = NINE.timestamp()
        self.start()

    def start(self) -> None:
        self.ledger, self.listener = (
            CoverageLog(self.store, self.clock.as_clock()),
            HeartbeatRecorder(self.store, self.clock.as_clock()),
        )

    def hear(self, one: Heartbeat) -> None:
        self.ledger(one)
        self.listener(one)

    def hears(self, since: datetime, until: datetime, *words: str, **more: object) -> None:
        while since < until:
            self.clock.seconds = max(self.clock.seconds, since.timestamp())
            self.hear(beat(since, *words, **more))
            since += timedelta(minutes=5)

    def report(self, since: datetime = NINE, site: str = "") -> CoverageWindow:
        now = self.clock.as_clock().now()
        return read_coverage(self.store, since, now, now, site)

    def at(self, when: datetime) -> None:
        self.clock.seconds = when.timestamp()
