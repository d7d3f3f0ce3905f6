"""Write heartbeats into the coverage log.

    judgement           the one function that decides whether something is covered
    monitoring_status   what an empty list is worth at present, by the latest heartbeat of each crawl host
    hours, view         the log read back, as hours, gaps and text; report, signed_days: as a signed page

An hour of a site counts as monitored where crawl said so in a heartbeat that came through match to
alert. Where crawl, match, the bus or alert stood still there is none, and the hour is a gap. A
heartbeat that comes late, over a spool or after an outage of alert, fills the hours that it is
about, because it was sent at the time.

The same heartbeat twice changes nothing, and of two heartbeats about the same five minutes the one
that says more stays. So it does not matter how often, how late and in which order they are handled.
What cannot be is not believed: hours to come, hours long before the heartbeat, and a heartbeat
older than one that came before it, as of a clock that was set back.

A day is written with a check that it is still what was read (`alerts.store`): another process may
write the same day, and what a process sent before it was killed may arrive late.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby, islice

from alerts.records import CollectorHeartbeat, SiteDay
from alerts.records.coverage import day_id, day_of, new_day
from alerts.store import DocumentFilter, IncidentStore, Merge, merge
from ullage import log
from ullage.clock import Clock
from ullage.monitoring.canary import SITE as CANARY
from ullage.monitoring.heartbeat import AHEAD_SECONDS
from ullage.records.heartbeat import (
    DAY_HOURS,
    ELSEWHERE,
    HOUR_SECONDS,
    SEEN,
    SLOTS,
    UNHEARD,
    Heartbeat,
    SiteHour,
    merge_slots,
    to_slot,
)

BACK_HOURS = 3
"""A heartbeat tells of hours at most so long before it: more sites than that are told of within
minutes.
"""
BATCH = 500
NOBODY = "w"
"""Seen, by a match that looked for nobody."""
DAY = timedelta(days=1)
EVERY_SITE = DocumentFilter()


@dataclass(slots=True)
class CoverageLog:
    """Writes the ledger; UnavailableError while the store is down, and then it is told again.

    RecordError where the store can never take a day.
    """

    store: IncidentStore
    clock: Clock
    reopen: Callable[[Collection[str]], None] = lambda _: None
    """Told of days that are over before more is written of them."""
    _last: dict[str, datetime] = field(default_factory=dict)
    _day: str = ""

    def __call__(self, beat: Heartbeat) -> None:
        """Take in what a heartbeat tells."""
        now, at = self.clock.now(), beat.inserted_at
        ahead = now + timedelta(seconds=AHEAD_SECONDS)
        if at > ahead:
            log.get("alert").warning(
                "heartbeat_ahead", origin=beat.origin, seconds=round((at - now).total_seconds())
            )
            return
        self.turn()
        if (
            beat.origin not in self._last
            and (known := self.store.get(CollectorHeartbeat, beat.origin)) is not None
        ):
            self._last[beat.origin] = known.last
        last = self._last.get(beat.origin)
        if last is not None and at < last <= ahead:
            return
        merge(self.store, partial(self._tell, beat))
        merge(self.store, partial(self._leave, beat))
        self._last[beat.origin] = at

    def turn(self) -> None:
        """When a day has begun, begin it for every site: of one that nobody speaks of, nothing
        was heard.
        """
        today = day_of(self.clock.now())
        if today == self._day:
            return
        self.store.refresh()
        newest = self.store.search(SiteDay, DocumentFilter(), 1).items
        if newest:
            days = (
                day for last in last_days(self.store, newest[0].at) for day in _until(last, today)
            )
            while some := list(islice(days, BATCH)):
                self.store.create(some)
        self._day = today

    def canary(self, published: datetime) -> None:
        """A canary post of that time was told."""
        if published <= self.clock.now() + timedelta(seconds=AHEAD_SECONDS):
            merge(self.store, partial(self._tell_canary, published))

    def _tell_canary(self, published: datetime, merging: Merge) -> None:
        day = _stored(merging, day_id(day_of(published), CANARY)) or new_day(
            CANARY, published, ELSEWHERE
        )
        slot = to_slot(published.timestamp())
        slots = _only(SEEN, slot % SLOTS)
        self._put(merging, [(day, _told(day, slot // SLOTS % DAY_HOURS, slots, 0))])

    def _tell(self, beat: Heartbeat, merging: Merge) -> None:
        """The hours of a heartbeat."""
        told = [
            (hour, slots) for hour in beat.hours if (slots := _believed(hour, beat)) is not None
        ]
        ids = {day_id(_day_of(hour), hour.site): hour for hour, _ in told}
        before = {day_id(day_of(_start(hour) - DAY), hour.site) for hour, _ in told}
        stored = merging.mget(SiteDay, ids.keys() | before)
        days = {id_: stored.get(id_) or _first(hour, stored) for id_, hour in ids.items()}
        changed = dict(days)
        for hour, slots in told:
            id_ = day_id(_day_of(hour), hour.site)
            new = _told(changed[id_], hour.hour % DAY_HOURS, slots, hour.posts)
            kept = {
                "origin": beat.origin,
                "revisit": hour.revisit or new.revisit,
                "lives": hour.lives,
            }
            changed[id_] = new.model_copy(update=kept)
        self._put(merging, [(stored.get(id_), day) for id_, day in changed.items()])

    def _leave(self, beat: Heartbeat, merging: Merge) -> None:
        """Sites whose files were taken away: from the next slot on nothing is to be expected of
        them.
        """
        at = (to_slot(beat.inserted_at.timestamp()) + 1) * (HOUR_SECONDS // SLOTS)
        moment = datetime.fromtimestamp(at, UTC)
        today, spoken = day_of(beat.inserted_at), day_of(moment)
        stored = merging.mget(
            SiteDay, {day_id(day, site) for site in beat.gone for day in (today, spoken)}
        )
        for site in beat.gone:
            day = stored.get(day_id(spoken, site)) or stored.get(day_id(today, site))
            if day is None or day.origin != beat.origin or day.is_over():
                continue
            left = day if day.day == spoken else day.next_day()
            slot = at // (HOUR_SECONDS // SLOTS)
            self._put(
                merging,
                [
                    (
                        stored.get(left.id),
                        _told(left, slot // SLOTS % DAY_HOURS, _only(ELSEWHERE, slot % SLOTS), 0),
                    )
                ],
            )

    def _put(self, merging: Merge, pairs: Iterable[tuple[SiteDay | None, SiteDay]]) -> None:
        """Write what changed, and what follows from it for days that have begun since.

        The last day is written first: wherever it is cut short, doing it again finds the first day
        as it was and goes on.
        """
        new = sorted(
            ((before, day) for before, day in pairs if day != before), key=lambda pair: pair[1].day
        )
        today, changed = day_of(self.clock.now()), {day.id: day for _, day in new}
        for before, day in new:
            last = changed[day.id].stays()
            if (
                day.day < today
                and day.site != CANARY
                and (before is None or before.stays() != last)
            ):
                changed |= {
                    late.id: late for late in self._after(merging, changed, changed[day.id], today)
                }
        days = sorted(changed.values(), key=_date, reverse=True)
        if past := {day.day for day in days if day.day < today}:
            self.reopen(past)
        for _, of_a_day in groupby(days, key=_date):
            for some in _batches([*of_a_day]):
                merging.put(some)

    def _after(
        self, merging: Merge, changed: Mapping[str, SiteDay], day: SiteDay, today: str
    ) -> Iterator[SiteDay]:
        """The days after `day` as they are now that it is as it is, with what else is `changed`
        of them.
        """
        while day.day < today:
            follows = day.next_day()
            known = changed.get(follows.id) or _stored(merging, follows.id)
            if known is not None and known.before == follows.before:
                return
            if known is None and day.is_over():
                return
            day = known.model_copy(update={"before": follows.before}) if known else follows
            yield day


def last_days(
    store: IncidentStore, newest: datetime, among: DocumentFilter = EVERY_SITE
) -> Iterator[SiteDay]:
    """What is known last of each site `among` some when `newest` is the last day that was begun,
    if only for some of them.
    """
    found = list(store.scroll(SiteDay, replace(among, since=newest - DAY, before=newest + DAY)))
    begun = {one.site for one in found if one.at == newest}
    yield from (one for one in found if one.at == newest or one.site not in begun)


def _stored(merging: Merge, id_: str) -> SiteDay | None:
    return merging.mget(SiteDay, [id_]).get(id_)


def _date(day: SiteDay) -> str:
    return day.day


def _until(last: SiteDay, today: str) -> Iterator[SiteDay]:
    """The days of a site from the one after `last` to today, of which nothing is told; none of a
    site that is gone.
    """
    day = last
    while day.day < today and not day.is_over() and day.site != CANARY:
        day = day.next_day()
        yield day


def _believed(hour: SiteHour, beat: Heartbeat) -> str | None:
    """What is taken of an hour: nothing that is long past or to come; of a match without a
    watchlist no seeing.
    """
    at = beat.inserted_at.timestamp()
    until = to_slot(at) - hour.hour * SLOTS
    if until < 0 or at - hour.hour * HOUR_SECONDS > BACK_HOURS * HOUR_SECONDS:
        return None
    slots = hour.slots[: until + 1].ljust(SLOTS, UNHEARD)
    return slots.replace(SEEN, NOBODY) if beat.enrolled == 0 else slots


def _first(hour: SiteHour, stored: dict[str, SiteDay]) -> SiteDay:
    """A day that is not there yet: of a site that was there the day before, or is new."""
    former = stored.get(day_id(day_of(_start(hour) - DAY), hour.site))
    return former.next_day() if former else new_day(hour.site, _start(hour), ELSEWHERE)


def _told(day: SiteDay, hour: int, slots: str, posts: int) -> SiteDay:
    """The day with more told of an hour of it."""
    return day.changed(hour, merge_slots(day.slots(hour), slots), max(posts, day.posts[hour]))


def _only(letter: str, slot: int) -> str:
    """An hour of which one slot is told."""
    return "".join(letter if n == slot else UNHEARD for n in range(SLOTS))


def _start(hour: SiteHour) -> datetime:
    return datetime.fromtimestamp(hour.hour * HOUR_SECONDS, UTC)


def _day_of(hour: SiteHour) -> str:
    return day_of(_start(hour))


def _batches(days: Sequence[SiteDay]) -> Iterator[Sequence[SiteDay]]:
    return (days[n : n + BATCH] for n in range(0, len(days), BATCH))
