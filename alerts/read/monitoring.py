"""What an empty list is worth: whether anything was collected at all, since when, and what could not be seen.

Heartbeats of crawl come through match to alert, each behind the findings of what was collected before it. Alert notes the first
and the last of each crawl host in the store, where every reader of the list finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from alerts.records import Background, Heard, Incident, Sighting
from alerts.store import DocumentFilter, IncidentStore
from ullage.clock import Clock
from ullage.phrase import Phrase
from ullage.records.heartbeat import Coverage, Heartbeat

EVERY = timedelta(minutes=1)
"""Between two notes of one host; a heartbeat comes as often by default."""
SILENT = timedelta(hours=1)
"""Without a heartbeat for so long nobody may say that he looked."""
SEEN = ("ok", "quiet")
"""States of a site that is read."""
Worth = Literal["looked", "handed", "partly", "silent", "nothing"]
BELIEVED: tuple[Worth, ...] = ("looked", "handed")
"""Where all was looked at that there was to look at."""


@dataclass(slots=True)
class Listener:
    """Notes heartbeats in the store."""

    store: IncidentStore
    clock: Clock
    _noted: dict[str, Heard] = field(default_factory=dict)

    def __call__(self, beat: Heartbeat) -> None:
        """Note one that is news, if it says something new or the last note is old; UnavailableError while the store is down."""
        at = min(beat.inserted_at, self.clock.now())  # a host's clock that is ahead must not promise a time to come
        known = self._noted.get(beat.origin) or self.store.get(Heard, beat.origin)
        coverage = beat.coverage or Coverage()
        told = Heard(
            id=beat.origin,
            first=min(known.first, at) if known else at,
            last=at,
            sites={str(state): count for state, count in coverage.sites.items()},
            unseen=coverage.unseen,
            egress_up=coverage.egress_up,
            enrolled=beat.enrolled,
            customers=beat.customers,
        )
        if known is None or at - known.last >= EVERY or told != known.model_copy(update={"first": told.first, "last": at}):
            self.store.put([told])
            self._noted[beat.origin] = told


@dataclass(frozen=True, slots=True)
class MonitoringStatus:
    """What stands behind a list: `worth`, and why in words. In `BELIEVED` an empty list means that there was nothing."""

    worth: Worth
    said: Phrase
    since: datetime | None = None
    last: datetime | None = None


def looked(store: IncidentStore, now: datetime) -> MonitoringStatus:
    """How far a list can be believed now."""
    hosts = list(store.scroll(Heard, DocumentFilter()))
    if not hosts:
        return _unheard(store)
    since, last = min(host.first for host in hosts), max(host.last for host in hosts)
    heard = Phrase("monitoring since %(since)s; last heartbeat %(last)s", since=since, last=last)
    if now - last > SILENT:
        silent = Phrase("nothing was collected since %(last)s: no heartbeat from crawl since then", last=last)
        return MonitoringStatus("silent", silent, since, last)
    sites = sum(sum(host.sites.values()) + host.unseen for host in hosts)
    read = sum(host.sites.get(state, 0) for host in hosts for state in SEEN)
    if not read:
        why = Phrase("none of %(sites)s sites can be read", sites=sites) if sites else Phrase("no site has been visited yet")
        nothing = Phrase("nothing was collected: %(heard)s, but %(why)s; see `ullage sites`", heard=heard, why=why)
        return MonitoringStatus("nothing", nothing, since, last)
    if faults := tuple(_faults(hosts, now, sites - read, sites)):
        return MonitoringStatus("partly", Phrase("%(heard)s, but %(faults)s", heard=heard, faults=faults), since, last)
    all_read = Phrase("all %(sites)s sites are being read", sites=sites) if sites > 1 else Phrase("the only site is being read")
    return MonitoringStatus("looked", Phrase("%(heard)s, and %(read)s", heard=heard, read=all_read), since, last)


def _unheard(store: IncidentStore) -> MonitoringStatus:
    """Without any heartbeat: findings may have come from what was handed over."""
    if any(store.count(kind, DocumentFilter()) for kind in (Incident, Sighting, Background)):
        return MonitoringStatus("handed", Phrase("only imported files were examined; no crawler has reported yet"))
    return MonitoringStatus("nothing", Phrase("nothing was collected: alert has received no heartbeat from crawl and no finding"))


def _faults(hosts: list[Heard], now: datetime, unread: int, sites: int) -> Iterator[Phrase]:
    """What keeps the list from being whole."""
    for host in hosts:
        if now - host.last > SILENT:
            yield Phrase("no heartbeat from crawl host %(host)s since %(last)s", host=host.id, last=host.last)
    for host in hosts:
        if not host.egress_up:
            yield Phrase("crawl host %(host)s has no network access", host=host.id)
    if any(host.enrolled == 0 for host in hosts):
        yield Phrase("match has no customer list, so no customer can be found")
    if unread:
        yield Phrase("%(unread)s of %(sites)s sites cannot be read; see `ullage sites`", unread=unread, sites=sites)
