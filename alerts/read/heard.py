"""What an empty list is worth: whether anything was collected at all, since when, and what could not be seen.

Heartbeats of crawl come through match to alert, each behind the findings of what was collected before it. Alert notes the first
and the last of each crawl host in the store, where every reader of the list finds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from alerts.records import Background, Heard, Incident, Sighting
from alerts.store import IncidentStore, Where
from ullage.clock import Clock
from ullage.display.render import moment
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
        )
        if known is None or at - known.last >= EVERY or told != known.model_copy(update={"first": told.first, "last": at}):
            self.store.put([told])
            self._noted[beat.origin] = told


@dataclass(frozen=True, slots=True)
class Looked:
    """What stands behind a list: `worth`, and why in words. In `BELIEVED` an empty list means that there was nothing."""

    worth: Worth
    said: str
    since: datetime | None = None
    last: datetime | None = None


def looked(store: IncidentStore, now: datetime) -> Looked:
    """How far a list can be believed now."""
    hosts = list(store.scroll(Heard, Where()))
    if not hosts:
        return _unheard(store)
    since, last = min(host.first for host in hosts), max(host.last for host in hosts)
    heard = f"crawl was first heard at {moment(since)}, last at {moment(last)}"
    if now - last > SILENT:
        return Looked("silent", f"nothing was collected since {moment(last)}: no heartbeat of crawl came after that", since, last)
    sites = sum(sum(host.sites.values()) + host.unseen for host in hosts)
    read = sum(host.sites.get(state, 0) for host in hosts for state in SEEN)
    if not read:
        why = f"none of {sites} sites can be read" if sites else "no site has been visited yet"
        return Looked("nothing", f"nothing was collected: {heard}, but {why}; `ullage sites` says why", since, last)
    if faults := _faults(hosts, now, sites - read, sites):
        return Looked("partly", f"{heard}, but {'; '.join(faults)}", since, last)
    return Looked("looked", f"{heard}, and {f'all {sites} sites are' if sites > 1 else 'the one site is'} read", since, last)


def _unheard(store: IncidentStore) -> Looked:
    """Without any heartbeat: findings may have come from what was handed over."""
    if any(store.count(kind, Where()) for kind in (Incident, Sighting, Background)):
        return Looked("handed", "only what was handed over was looked at: no heartbeat of crawl has ever reached alert")
    return Looked("nothing", "nothing was collected: no heartbeat of crawl and no finding has ever reached alert")


def _faults(hosts: list[Heard], now: datetime, unread: int, sites: int) -> list[str]:
    """What keeps the list from being whole."""
    faults = [f"crawl host {host.id} is silent since {moment(host.last)}" for host in hosts if now - host.last > SILENT]
    faults += [f"crawl host {host.id} reaches nothing outside" for host in hosts if not host.egress_up]
    if any(host.enrolled == 0 for host in hosts):
        faults.append("match has no watchlist, so that it finds nobody")
    if unread:
        faults.append(f"{unread} of {sites} sites cannot be read; `ullage sites` says why")
    return faults
