"""Write heartbeats into the coverage log.

    judgement           the one function that decides whether something is covered
    monitoring_status   whether an empty list can be trusted, by the latest heartbeats
    hours, view         the log read back, as hours, gaps and text
    report, signed_days the log as a signed page

An hour of a site counts as monitored where crawl reported so in a heartbeat that came through match
to alert. While crawl, match, the bus or alert stood still there is none, and the hour is a gap. A
heartbeat that arrives late, from a spool or after an outage of alert, fills the hours that it
covers, because it was sent at the time.

The same heartbeat twice changes nothing, and of two heartbeats about the same five minutes the more
informative one wins. So it does not matter how often, how late and in which order they are handled.
Impossible reports are ignored: future hours, hours long before the heartbeat, and a heartbeat older
than a previous one, as of a clock that was set back.

A day is written only if it is unchanged since it was read (`alerts.store`): another process may
write the same day, and a write that a process sent before it was killed may arrive late.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby, islice

from alerts.records import CollectorHeartbeat, SiteDay
from alerts.records.coverage import format_day, new_day, site_day_id
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
"""Hours before a heartbeat that it may report on: even many sites are reported within minutes."""
BATCH = 500
NOBODY = "w"
"""The letter of a slot that was read while match had no customer list."""
DAY = timedelta(days=1)
EVERY_SITE = DocumentFilter()


@dataclass(slots=True)
class CoverageLog:
    """Writes the coverage log.

    Raises UnavailableError while the store is down, after which the heartbeat is repeated, and
    RecordError where the store can never take a day.
    """

    store: IncidentStore
    clock: Clock
    reopen: Callable[[Collection[str]], None] = lambda _: None
    """Called with days that are over, before they are written again."""
    _last: dict[str, datetime] = field(default_factory=dict)
    _day: str = ""

    def __call__(self, beat: Heartbeat) -> None:
        """Record the hours that a heartbeat reports, and the end of removed sites.

        A heartbeat from the future is logged and ignored. One that is older than a previous one of
        the same host is ignored. Hours that are not credible are left out.
        """
        now, at = self.clock.now(), beat.inserted_at
        ahead = now + timedelta(seconds=AHEAD_SECONDS)
        if at > ahead:
            log.get("alert").warning(
                "heartbeat_ahead", origin=beat.origin, seconds=round((at - now).total_seconds())
            )
            return
        self.begin_day()
        if (
            beat.origin not in self._last
            and (stored := self.store.get(CollectorHeartbeat, beat.origin)) is not None
        ):
            self._last[beat.origin] = stored.last
        last = self._last.get(beat.origin)
        if last is not None and at < last <= ahead:
            return
        merge(self.store, partial(self._write_hours, beat))
        merge(self.store, partial(self._end_sites, beat))
        self._last[beat.origin] = at

    def begin_day(self) -> None:
        """Write an empty day for every monitored site, if a UTC day has begun since the last call.

        So a site that nobody reports on has a day without reports. Missing days since the last
        recorded one are written too; existing days stay as they are. Sites that have ended get
        none, nor does the canary site.
        """
        today = format_day(self.clock.now())
        if today == self._day:
            return
        self.store.refresh()
        newest = self.store.search(SiteDay, DocumentFilter(), 1).items
        if newest:
            days = (
                day
                for last in find_last_days(self.store, newest[0].at)
                for day in _begin_days(last, today)
            )
            while batch := list(islice(days, BATCH)):
                self.store.create(batch)
        self._day = today

    def record_canary(self, published: datetime) -> None:
        """Record that the canary post published at `published` was reported by the system.

        The five minutes in which it was published are marked. A time in the future is ignored.
        """
        if published <= self.clock.now() + timedelta(seconds=AHEAD_SECONDS):
            merge(self.store, partial(self._write_canary, published))

    def _write_canary(self, published: datetime, merging: Merge) -> None:
        day = _find_day(merging, site_day_id(format_day(published), CANARY)) or new_day(
            CANARY, published, ELSEWHERE
        )
        slot = to_slot(published.timestamp())
        slots = _single_slot(SEEN, slot % SLOTS)
        self._put(merging, [(day, _with_slots(day, slot // SLOTS % DAY_HOURS, slots, 0))])

    def _write_hours(self, beat: Heartbeat, merging: Merge) -> None:
        """Write the hours of a heartbeat, by site and day.

        Hours that cannot be accepted (such as from the future) are left out. Other slots of a day
        stay.
        """
        accepted = [
            (hour, slots) for hour in beat.hours if (slots := _accept_slots(hour, beat)) is not None
        ]
        ids = {site_day_id(_day_of(hour), hour.site): hour for hour, _ in accepted}
        before = {site_day_id(format_day(_start_of(hour) - DAY), hour.site) for hour, _ in accepted}
        stored = merging.mget(SiteDay, ids.keys() | before)
        days = {id_: stored.get(id_) or _new_day_of(hour, stored) for id_, hour in ids.items()}
        changed = dict(days)
        for hour, slots in accepted:
            id_ = site_day_id(_day_of(hour), hour.site)
            new = _with_slots(changed[id_], hour.hour % DAY_HOURS, slots, hour.posts)
            updates = {
                "origin": beat.origin,
                "revisit": hour.revisit or new.revisit,
                "lives": hour.lives,
            }
            changed[id_] = new.model_copy(update=updates)
        self._put(merging, [(stored.get(id_), day) for id_, day in changed.items()])

    def _end_sites(self, beat: Heartbeat, merging: Merge) -> None:
        """End sites whose files were removed.

        From the next slot on nothing is expected of them. A site that another host reports, that is
        unknown or has ended already, is left alone.
        """
        at = (to_slot(beat.inserted_at.timestamp()) + 1) * (HOUR_SECONDS // SLOTS)
        moment = datetime.fromtimestamp(at, UTC)
        today, end_day = format_day(beat.inserted_at), format_day(moment)
        stored = merging.mget(
            SiteDay, {site_day_id(day, site) for site in beat.gone for day in (today, end_day)}
        )
        for site in beat.gone:
            day = stored.get(site_day_id(end_day, site)) or stored.get(site_day_id(today, site))
            if day is None or day.origin != beat.origin or day.is_over():
                continue
            ended = day if day.day == end_day else day.next_day()
            slot = at // (HOUR_SECONDS // SLOTS)
            self._put(
                merging,
                [
                    (
                        stored.get(ended.id),
                        _with_slots(
                            ended,
                            slot // SLOTS % DAY_HOURS,
                            _single_slot(ELSEWHERE, slot % SLOTS),
                            0,
                        ),
                    )
                ],
            )

    def _put(self, merging: Merge, pairs: Iterable[tuple[SiteDay | None, SiteDay]]) -> None:
        """Write the changes, and their consequences for days that have begun since.

        The last day is written first: wherever writing is interrupted, the repetition finds
        the first day unchanged and continues.
        """
        new = sorted(
            ((before, day) for before, day in pairs if day != before), key=lambda pair: pair[1].day
        )
        today, changed = format_day(self.clock.now()), {day.id: day for _, day in new}
        for before, day in new:
            last = changed[day.id].lasting_state()
            if (
                day.day < today
                and day.site != CANARY
                and (before is None or before.lasting_state() != last)
            ):
                changed |= {
                    late.id: late
                    for late in self._carry_over(merging, changed, changed[day.id], today)
                }
        days = sorted(changed.values(), key=_date_of, reverse=True)
        if past := {day.day for day in days if day.day < today}:
            self.reopen(past)
        for _, of_a_day in groupby(days, key=_date_of):
            for batch in _batches([*of_a_day]):
                merging.put(batch)

    def _carry_over(
        self, merging: Merge, changed: Mapping[str, SiteDay], day: SiteDay, today: str
    ) -> Iterator[SiteDay]:
        """Yield the days after `day` with its last status carried over.

        `changed` holds the days that are changed already.
        """
        while day.day < today:
            follows = day.next_day()
            existing = changed.get(follows.id) or _find_day(merging, follows.id)
            if existing is not None and existing.before == follows.before:
                return
            if existing is None and day.is_over():
                return
            day = existing.model_copy(update={"before": follows.before}) if existing else follows
            yield day


def find_last_days(
    store: IncidentStore, newest: datetime, among: DocumentFilter = EVERY_SITE
) -> Iterator[SiteDay]:
    """Yield the last known day of each site that `among` selects.

    `newest` is the beginning of the newest UTC day in the log. A site without a document for that
    day is yielded with the day before. A site that has neither is left out.
    """
    days = list(store.scroll(SiteDay, replace(among, since=newest - DAY, before=newest + DAY)))
    begun = {day.site for day in days if day.at == newest}
    yield from (day for day in days if day.at == newest or day.site not in begun)


def _find_day(merging: Merge, id_: str) -> SiteDay | None:
    return merging.mget(SiteDay, [id_]).get(id_)


def _date_of(day: SiteDay) -> str:
    return day.day


def _begin_days(last: SiteDay, today: str) -> Iterator[SiteDay]:
    """Yield the empty days of a site, from the one after `last` to today.

    Yields none for a site that has ended.
    """
    day = last
    while day.day < today and not day.is_over() and day.site != CANARY:
        day = day.next_day()
        yield day


def _accept_slots(hour: SiteHour, beat: Heartbeat) -> str | None:
    """Return the credible letters of an hour, one per slot; None if the hour is not credible.

    Hours in the future, or over three hours before the heartbeat, are not. Slots after the
    heartbeat have no report. If match has no customer list, nothing counts as covered.
    """
    at = beat.inserted_at.timestamp()
    until = to_slot(at) - hour.hour * SLOTS
    if until < 0 or at - hour.hour * HOUR_SECONDS > BACK_HOURS * HOUR_SECONDS:
        return None
    slots = hour.slots[: until + 1].ljust(SLOTS, UNHEARD)
    return slots.replace(SEEN, NOBODY) if beat.enrolled == 0 else slots


def _new_day_of(hour: SiteHour, stored: dict[str, SiteDay]) -> SiteDay:
    """Return a day that is not stored yet, of a site that existed the day before or is new."""
    former = stored.get(site_day_id(format_day(_start_of(hour) - DAY), hour.site))
    return former.next_day() if former else new_day(hour.site, _start_of(hour), ELSEWHERE)


def _with_slots(day: SiteDay, hour: int, slots: str, posts: int) -> SiteDay:
    """Return the day with a further report on an hour (0 to 23).

    Of two letters for a slot the more informative one is kept, and of two numbers of posts the
    higher.
    """
    return day.with_hour(hour, merge_slots(day.slots(hour), slots), max(posts, day.posts[hour]))


def _single_slot(letter: str, slot: int) -> str:
    """Return the slots of an hour of which only one is reported."""
    return "".join(letter if n == slot else UNHEARD for n in range(SLOTS))


def _start_of(hour: SiteHour) -> datetime:
    return datetime.fromtimestamp(hour.hour * HOUR_SECONDS, UTC)


def _day_of(hour: SiteHour) -> str:
    return format_day(_start_of(hour))


def _batches(days: Sequence[SiteDay]) -> Iterator[Sequence[SiteDay]]:
    return (days[n : n + BATCH] for n in range(0, len(days), BATCH))
