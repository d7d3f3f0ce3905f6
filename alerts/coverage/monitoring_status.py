"""Tell whether an empty incident list can be trusted.

It depends on whether anything was collected, since when, and what could not be read. Crawl's
heartbeats pass through match to alert, each after the findings of what was collected before it.
Alert stores the first and the latest heartbeat of every crawl host, and every reader of the
incident list uses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from alerts.coverage.judgement import CoverageEvidence, Level, has_only_imports, is_trusted, judge
from alerts.records import Background, CollectorHeartbeat, Incident, Sighting
from alerts.store import DocumentFilter, IncidentStore
from ullage.clock import Clock
from ullage.phrase import Phrase
from ullage.records.heartbeat import UNHEARD, WHY, Coverage, Heartbeat

MIN_WRITE_INTERVAL = timedelta(minutes=1)
"""The default interval of heartbeats; more writes would add nothing."""
MAX_SILENCE = timedelta(hours=1)
"""Time without a heartbeat after which an empty list cannot be trusted."""
READABLE_STATES = ("ok", "quiet")
Worth = Literal["monitored", "imported", "partly", "silent", "nothing"]
"""A level as the API names it."""
WORTH: Mapping[Level, Worth] = {
    "covered": "monitored",
    "imported": "imported",
    "partly": "partly",
    "pending": "silent",
    "uncovered": "nothing",
    "nothing": "nothing",
}


@dataclass(slots=True)
class HeartbeatRecorder:
    """Stores the first and the latest heartbeat of each crawl host."""

    store: IncidentStore
    clock: Clock
    _stored: dict[str, CollectorHeartbeat] = field(default_factory=dict)
    _latest: dict[str, dict[str, tuple[int, int, str]]] = field(default_factory=dict)
    """Hour, slot and letter of the latest report, by host and site."""

    def __call__(self, beat: Heartbeat) -> None:
        """Store a heartbeat if its content changed or the stored one is a minute old.

        A time in the future is stored as the present. The time of the host's first heartbeat is
        kept. Raises UnavailableError while the store is down.
        """
        # a host's clock that is ahead must not promise a time to come
        at = min(beat.inserted_at, self.clock.now())
        stored = self._stored.get(beat.origin) or self.store.get(CollectorHeartbeat, beat.origin)
        coverage = beat.coverage or Coverage()
        latest = CollectorHeartbeat(
            id=beat.origin,
            first=min(stored.first, at) if stored else at,
            last=at,
            sites={str(state): count for state, count in coverage.sites.items()},
            unseen=coverage.unseen,
            missed=self._count_missed(beat),
            egress_up=coverage.egress_up,
            enrolled=beat.enrolled,
            customers=beat.customers,
        )
        is_recent = stored is not None and at - stored.last < MIN_WRITE_INTERVAL
        if (
            stored is not None
            and is_recent
            and latest == stored.model_copy(update={"first": latest.first, "last": at})
        ):
            return
        self.store.put([latest])
        self._stored[beat.origin] = latest

    def _count_missed(self, beat: Heartbeat) -> int:
        """Count the sites of the host that were not read according to their latest report.

        One heartbeat reports only some of many sites.
        """
        latest = self._latest.setdefault(beat.origin, {})
        for hour in beat.hours:
            slots = hour.slots.rstrip(UNHEARD)
            if slots and "/" not in hour.site:
                latest[hour.site] = max(
                    latest.get(hour.site, (0, 0, "")), (hour.hour, len(slots), slots[-1])
                )
        for site in beat.gone:
            latest.pop(site, None)
        return sum(letter in WHY for _, _, letter in latest.values())


@dataclass(frozen=True, slots=True)
class MonitoringStatus:
    """How complete monitoring is at present; `said` gives the reason in words.

    `since` is the first heartbeat of any crawl host, and `last` the latest; both are None if there
    was none. Where it `is_trusted`, an empty list means that nothing was found.
    """

    level: Level
    said: Phrase
    since: datetime | None = None
    last: datetime | None = None

    @property
    def worth(self) -> Worth:
        """The level of coverage, under the name that the API uses."""
        return WORTH[self.level]

    @property
    def is_trusted(self) -> bool:
        """Whether an empty list means that the examined content has no incident."""
        return is_trusted(self.level)

    @property
    def is_imported_only(self) -> bool:
        """Whether all content was imported, so that no site is monitored."""
        return has_only_imports(self.level)

    @property
    def has_collected(self) -> bool:
        """Whether anything was collected or imported that an incident could come from.

        Also True if the last heartbeat is too old; False if no site can be read.
        """
        return WORTH[self.level] is not WORTH["nothing"]


def monitoring_status(store: IncidentStore, now: datetime) -> MonitoringStatus:
    """Return how complete the monitoring is at `now`, and why, from the stored heartbeats.

    It is `pending` if the last heartbeat is over an hour old, `uncovered` if no site is read,
    `partly` if some are not or another fault is known, and `covered` otherwise. Without a known
    site or a fault it is `nothing`. Without any heartbeat it is `imported` if there are incidents
    or findings, else `nothing`. Raises UnavailableError while the store is down.
    """
    hosts = list(store.scroll(CollectorHeartbeat, DocumentFilter()))
    if not hosts:
        return _without_heartbeat(store)
    since, last = min(host.first for host in hosts), max(host.last for host in hosts)
    heard = Phrase("monitoring since %(since)s; last heartbeat %(last)s", since=since, last=last)
    if now - last > MAX_SILENCE:
        silent = Phrase(
            "nothing was collected since %(last)s: no heartbeat from crawl since then", last=last
        )
        return MonitoringStatus(judge(CoverageEvidence(pending=1)), silent, since, last)
    sites = sum(sum(host.sites.values()) + host.unseen for host in hosts)
    by_state = sum(host.sites.get(state, 0) for host in hosts for state in READABLE_STATES)
    read = max(0, min(by_state, sites - sum(host.missed for host in hosts)))
    faults = tuple(_find_faults(hosts, now, sites - read, sites))
    level = judge(CoverageEvidence(covered=read, missed=sites - read + len(faults)))
    if not read:
        why = (
            Phrase("none of %(sites)s sites can be read", sites=sites)
            if sites
            else Phrase("no site has been visited yet")
        )
        nothing = Phrase(
            "nothing was collected: %(heard)s, but %(why)s; see `ullage sites`",
            heard=heard,
            why=why,
        )
        return MonitoringStatus(level, nothing, since, last)
    if faults:
        return MonitoringStatus(
            level, Phrase("%(heard)s, but %(faults)s", heard=heard, faults=faults), since, last
        )
    all_read = (
        Phrase("all %(sites)s sites are being read", sites=sites)
        if sites > 1
        else Phrase("the only site is being read")
    )
    return MonitoringStatus(
        level, Phrase("%(heard)s, and %(read)s", heard=heard, read=all_read), since, last
    )


def _without_heartbeat(store: IncidentStore) -> MonitoringStatus:
    """Return the status where no crawler has reported.

    Findings may have come from imported files.
    """
    if any(store.count(kind, DocumentFilter()) for kind in (Incident, Sighting, Background)):
        reason = Phrase("only imported files were examined; no crawler has reported yet")
        return MonitoringStatus(judge(CoverageEvidence(imported=1)), reason)
    reason = Phrase(
        "nothing was collected: alert has received no heartbeat from crawl and no finding"
    )
    return MonitoringStatus(judge(CoverageEvidence()), reason)


def _find_faults(
    hosts: list[CollectorHeartbeat], now: datetime, unread: int, sites: int
) -> Iterator[Phrase]:
    """Yield the reasons why monitoring is not complete; none if it is.

    These are hosts without a heartbeat for MAX_SILENCE, then hosts without a network, a missing
    customer list, and `unread` of `sites`.
    """
    for host in hosts:
        if now - host.last > MAX_SILENCE:
            yield Phrase(
                "no heartbeat from crawl host %(host)s since %(last)s", host=host.id, last=host.last
            )
    for host in hosts:
        if not host.egress_up:
            yield Phrase("crawl host %(host)s has no network access", host=host.id)
    if any(host.enrolled == 0 for host in hosts):
        yield Phrase("match has no customer list, so no customer can be found")
    if unread:
        yield Phrase(
            "%(unread)s of %(sites)s sites cannot be read; see `ullage sites`",
            unread=unread,
            sites=sites,
        )
