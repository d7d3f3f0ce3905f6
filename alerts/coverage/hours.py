"""The ledger read back: cells of an hour, gaps, and what of them somebody explained.

A gap is a time of `GAP_MINUTES` or more in which a site that was to be read was not, or the hour in
which shorter times add up to that. A time is judged when its heartbeats have had `GRACE` to arrive.
Of the time before its first heartbeat the ledger claims nothing, neither that we looked nor that we
did not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import repeat
from typing import Literal, NamedTuple

from alerts.coverage import last_days
from alerts.coverage.judgement import (
    CoverageEvidence,
    Level,
    has_gap,
    is_covered,
    is_pending,
    is_scheduled,
    is_uncovered,
    judge,
)
from alerts.records import GapReason, SiteDay
from alerts.records.coverage import DAY_SLOTS, day_of
from alerts.store import DocumentFilter, IncidentStore
from ullage.clock import Clock
from ullage.monitoring.canary import SITE as CANARY
from ullage.records.heartbeat import (
    ELSEWHERE,
    FIRST_READING,
    SEEN,
    SLOT_SECONDS,
    SLOTS,
    UNHEARD,
    UNVISITED,
    UNWATCHED,
    WHY,
)

GRACE = timedelta(minutes=15)
"""Heartbeats come each minute, and behind a long queue of captures a little later."""
RECOUNT_SECONDS = 900.0
DAYS_AT_ONCE = 4
"""So many days of all sites are read together: a document a site and day."""
BLIND = re.compile(f"[{re.escape(''.join(WHY))}]+")
EVERYWHERE = ""
NEVER = datetime.max.replace(tzinfo=UTC)
MINUTES, HOUR_MINUTES = SLOT_SECONDS // 60, 60
GAP_MINUTES = 10
DAY, HOUR, SLOT = timedelta(days=1), timedelta(hours=1), timedelta(seconds=SLOT_SECONDS)
State = Literal["seen", "blind", "partly", "off", "open"]
"""A level as pages and JSON name it: `off` is not scheduled, `open` not assessed yet."""
STATE: Mapping[Level, State] = {
    "covered": "seen",
    "uncovered": "blind",
    "partly": "partly",
    "pending": "open",
    "imported": "off",
    "nothing": "off",
}
IMPORTED = UNWATCHED["i"]


class CoverageHour(NamedTuple):
    """One hour of one site; `why` are minutes that were not covered, by reason.

    A page may have a hundred thousand of them.
    """

    at: datetime
    level: Level
    seen: int
    why: Mapping[str, int]
    posts: int = 0
    explained: bool = False

    @property
    def state(self) -> State:
        """The level as pages and JSON name it."""
        return STATE[self.level]

    @property
    def has_gap(self) -> bool:
        """Whether a gap reaches into it."""
        return has_gap(self.level)

    @property
    def is_uncovered(self) -> bool:
        """Whether none of it was covered although it was scheduled."""
        return is_uncovered(self.level)

    @property
    def is_scheduled(self) -> bool:
        """Whether the site was to be read in it, and it is known whether it was."""
        return is_scheduled(self.level)

    @property
    def is_covered(self) -> bool:
        """Whether the site was read in it, without a gap that counts; how many minutes is
        `seen`.
        """
        return is_covered(self.level)

    @property
    def is_full(self) -> bool:
        """Whether all its minutes were covered."""
        return self.seen == HOUR_MINUTES

    @property
    def blind(self) -> int:
        """Minutes that were not covered."""
        return sum(self.why.values())


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nothing was seen of `site`, for reasons by letter; `explained` where
    somebody did so.
    """

    site: str
    since: datetime
    until: datetime
    why: str
    explained: GapReason | None = None

    @property
    def is_first_reading(self) -> bool:
        """Whether the site was being read for the first time, and nothing else kept it from
        being covered.
        """
        return FIRST_READING in self.why and not set(self.why) - {FIRST_READING, UNVISITED}


@dataclass(frozen=True, slots=True)
class SiteCoverage:
    """A site in the window; `unwatched` says why it is not read at its end, "" of one that is."""

    site: str
    cells: tuple[CoverageHour, ...]
    gaps: tuple[Gap, ...]
    unwatched: str = ""
    revisit: int = 0
    lives: int = 0
    pending: str = ""
    """What was heard of the time that is not judged yet, as letters."""

    @property
    def level_now(self) -> Level:
        """Whether the site is read at present: by the latest report of the last minutes, else by
        the last hour assessed.
        """
        if self.unwatched:
            return judge(CoverageEvidence(imported=int(self.unwatched == IMPORTED)))
        if self.pending:
            return judge(
                CoverageEvidence(covered=1)
                if self.pending[-1] == SEEN
                else CoverageEvidence(missed=1)
            )
        last = self.last_assessed
        if last is None or last.seen:
            return judge(CoverageEvidence(pending=1))
        return judge(CoverageEvidence(missed=last.blind))

    @property
    def last_assessed(self) -> CoverageHour | None:
        """The latest hour of which it is known whether it was covered."""
        return next((cell for cell in reversed(self.cells) if not is_pending(cell.level)), None)

    @property
    def is_blind_now(self) -> bool:
        """Whether somebody reported that it was not read, in the time that is not assessed yet."""
        return any(letter in WHY for letter in self.pending)

    @property
    def is_short_lived(self) -> bool:
        """Whether posts may come and go between two visits."""
        return 0 < self.lives < self.revisit

    @property
    def was_read(self) -> bool:
        """Whether it was to be read in any hour; mostly it was in the last ones."""
        return any(cell.is_scheduled for cell in reversed(self.cells))


@dataclass(frozen=True, slots=True)
class CoverageWindow:
    """What the ledger says of a time: `judged` so far, and `begins` where it begins after `since`,
    `NEVER` where it has not.

    `canaries` are hours in which a canary post was told.
    """

    since: datetime
    until: datetime
    judged: datetime
    rows: tuple[SiteCoverage, ...]
    begins: datetime | None = None
    canaries: frozenset[datetime] = frozenset()
    days: tuple[str, ...] = ()

    @property
    def has_begun(self) -> bool:
        """Whether the log had begun by the end of the time."""
        return self.begins is None or self.begins < self.until

    def gaps(self) -> list[Gap]:
        """All gaps, in order of time."""
        return sorted(
            (gap for row in self.rows for gap in row.gaps), key=lambda gap: (gap.since, gap.site)
        )

    def unexplained(self) -> list[Gap]:
        """Those that nobody explained."""
        return [gap for gap in self.gaps() if gap.explained is None]

    def pending(self) -> list[SiteCoverage]:
        """Sites of which it cannot be said yet whether they are seen: they were not of late, or
        nothing of any is judged.
        """
        judged = any(row.was_read for row in self.rows) or bool(self.gaps())
        return [row for row in self.rows if row.pending and (row.is_blind_now or not judged)]

    @property
    def level(self) -> Level:
        """Whether everything in it was covered, by minutes; gaps that somebody explained are not
        missed.
        """
        cells = [cell for row in self.rows for cell in row.cells]
        return judge(
            CoverageEvidence(
                covered=sum([cell.seen for cell in cells]),
                missed=len(self.unexplained()),
                pending=len(self.pending()),
                imported=len([row for row in self.rows if row.unwatched == IMPORTED]),
            )
        )

    @property
    def is_accounted_for(self) -> bool:
        """Whether all of it is known to be covered, or somebody explained why not."""
        is_known = self.begins is None and not any(row.is_blind_now for row in self.rows)
        return is_known and (
            is_covered(self.level) or (bool(self.gaps()) and not self.unexplained())
        )


@dataclass(slots=True)
class _Slots:
    """Letters of a site from `first`, a slot since 1970 with which an hour begins, and the posts
    of each hour.
    """

    first: int
    letters: str = ""
    posts: list[int] = field(default_factory=list)
    last: SiteDay | None = None

    def is_over(self, at: datetime) -> bool:
        """Whether the site was not to be read at the end."""
        return (
            self.letters[min(_slot(at), self.first + len(self.letters)) - self.first - 1]
            == ELSEWHERE
        )

    def add(self, day: SiteDay) -> None:
        """A day, which comes behind all that are there already."""
        while self.last is not None and self.last.at + DAY < day.at and not self.last.is_over():
            self.add(self.last.next_day())
        self.reach(_slot(day.at) - self.first)
        self.letters += day.told()
        self.posts += day.posts
        self.last = day

    def reach(self, slots: int) -> None:
        """So many slots, the last of which are of no time that anybody speaks of."""
        self.letters += ELSEWHERE * (slots - len(self.letters))
        self.posts += [0] * (slots // SLOTS - len(self.posts))


def coverage(
    store: IncidentStore,
    since: datetime,
    until: datetime,
    now: datetime,
    site: str = "",
    *,
    cells: bool = True,
) -> CoverageWindow:
    """What was seen from `since` until `until`, of one site or of all; rows without cells where
    only gaps are asked for.
    """
    since, until = (
        _hour(since),
        min(_hour(until - timedelta(microseconds=1)) + HOUR, _hour(now) + HOUR),
    )
    judged = min(until, now - GRACE)
    days = [day_of(since - HOUR)]
    while days[-1] < day_of(until + HOUR):
        days.append(day_of(_start(days[-1]) + DAY))
    found, reasons = (
        _letters(store, days, site, day_of(now)),
        list(store.scroll(GapReason, DocumentFilter())),
    )
    canary, rows, hours = (
        found.pop(CANARY, None),
        list[SiteCoverage](),
        list(_hours(since, until)) if cells else [],
    )
    cell = cache(_cell)  # most sites have seen the same hours alike
    for name, slots in sorted(found.items()):
        row = _row(name, slots, (since, until, judged, hours), reasons, cell)
        if not cells or row.unwatched or row.was_read or row.pending or not slots.is_over(judged):
            rows.append(row)
    begins = _begins(store, _letters(store, days, "", day_of(now)) if site else found, since)
    return CoverageWindow(
        since, until, judged, tuple(rows),
        begins if begins > since else None,
        _told(canary) if canary else frozenset(),
        tuple(day for day in days if day_of(since) <= day <= day_of(until - SLOT)),
    )  # fmt: skip


@dataclass(slots=True)
class Recount:
    """Counts, now and then, the sites with a gap in the last day that nobody explained, first
    readings apart.
    """

    store: IncidentStore
    clock: Clock
    tell: Callable[[float], object]
    _due: float = float("-inf")

    def __call__(self) -> None:
        """Count if it is due: that reads two days of every site."""
        if self.clock.monotonic() < self._due:
            return
        self._due = self.clock.monotonic() + RECOUNT_SECONDS
        now = self.clock.now()
        seen = coverage(self.store, now - DAY, now, now, cells=False)
        self.tell(len({gap.site for gap in seen.unexplained() if not gap.is_first_reading}))


def _begins(store: IncidentStore, found: Mapping[str, _Slots], since: datetime) -> datetime:
    """When the ledger began, to the hour, `since` if that was before, `NEVER` if it has not
    begun.
    """
    if store.count(SiteDay, DocumentFilter(before=_start(day_of(since - HOUR)))):
        return since
    told = ((slots, slots.letters.lstrip(ELSEWHERE)) for slots in found.values())
    heard = [slots.first + len(slots.letters) - len(rest) for slots, rest in told if rest]
    return _hour(_moment(min(heard))) if heard else NEVER


def _letters(store: IncidentStore, days: Sequence[str], site: str, today: str) -> dict[str, _Slots]:
    """The letters of each site over `days`; of days that nobody has begun, because alert was
    away, nothing was heard.
    """
    first = _slot(_start(days[0]))
    found = dict[str, _Slots]()
    only = {"site": (site, CANARY)} if site else {}
    for n in range(0, len(days), DAYS_AT_ONCE):
        some = days[n : n + DAYS_AT_ONCE]
        told = store.scroll(
            SiteDay, DocumentFilter(only, since=_start(some[0]), before=_start(some[-1]) + DAY)
        )
        for one in sorted(told, key=lambda one: one.at):
            found.setdefault(one.site, _Slots(first)).add(one)
    newest = store.search(SiteDay, DocumentFilter(only, before=_start(days[0])), 1).items
    for last in (
        last_days(store, newest[0].at, DocumentFilter(only, differs={"site": [*found]}))
        if newest
        else ()
    ):
        if site and last.site != site:
            continue
        carried = last
        while carried.day < days[0] and not carried.is_over():
            carried = carried.next_day()
        if not carried.is_over():
            found.setdefault(carried.site, _Slots(first)).add(carried)
    for slots in found.values():
        while (
            slots.last is not None
            and slots.last.day < min(days[-1], today)
            and not slots.last.is_over()
        ):
            slots.add(slots.last.next_day())
        slots.reach(len(days) * DAY_SLOTS)
    return found


def _row(
    name: str,
    slots: _Slots,
    window: tuple[datetime, datetime, datetime, list[datetime]],
    reasons: Sequence[GapReason],
    cell: Callable[[datetime, str, int, bool, bool], CoverageHour],
) -> SiteCoverage:
    since, until, judged, hours = window
    until_slot = _slot(judged) - slots.first
    letters = slots.letters[: max(0, until_slot)]
    marked = _marked(letters, slots.first)
    gaps = tuple(
        explained
        for gap in _gaps(name, letters, marked, slots.first)
        if gap.until > since and gap.since < until
        for explained in _explained(_clipped(gap, since, until), reasons)
    )
    dark = {at for gap in gaps if gap.explained for at in _hours(gap.since, gap.until)}
    dark -= {at for gap in gaps if not gap.explained for at in _hours(gap.since, gap.until)}
    began, blind = (
        (_slot(hours[0]) - slots.first) // SLOTS if hours else 0,
        {n // SLOTS for n in marked},
    )
    numbers = range(began, began + len(hours))
    told, posts = (
        [letters[n * SLOTS : n * SLOTS + SLOTS] for n in numbers],
        slots.posts[began : began + len(hours)],
    )
    is_blind = [n in blind for n in numbers] if blind else repeat(False)
    explained = [at in dark for at in hours] if dark else repeat(False)
    last = slots.last
    return SiteCoverage(
        name,
        tuple(map(cell, hours, told, posts, is_blind, explained)),
        gaps,
        UNWATCHED.get(last.stays() if last else "", ""),
        last.revisit if last else 0,
        last.lives if last else 0,
        _heard(slots.letters[max(0, until_slot) : max(0, _slot(until) - slots.first)]),
    )


def _heard(letters: str) -> str:
    """Of letters, those that somebody told of a site that is to be read."""
    return "".join(
        letter for letter in letters if letter == SEEN or (letter in WHY and letter != UNHEARD)
    )


def _cell(at: datetime, told: str, posts: int, is_blind: bool, explained: bool) -> CoverageHour:
    """Return an hour by its letters, `is_blind` where a gap reaches into it; times too short for
    a gap only cost minutes.
    """
    seen, minutes = _minutes(told)
    missed = sum(minutes.values()) if is_blind else 0
    level = judge(CoverageEvidence(covered=seen, missed=missed, pending=SLOTS - len(told)))
    return CoverageHour(at, level, seen, minutes, posts, explained and missed > 0)


@lru_cache(maxsize=1024)
def _minutes(told: str) -> tuple[int, Mapping[str, int]]:
    """Minutes seen in an hour, and blind ones by reason, the commonest first; most hours are
    told alike.
    """
    why = Counter(letter for letter in told if letter in WHY)
    return told.count(SEEN) * MINUTES, {
        letter: count * MINUTES for letter, count in why.most_common()
    }


def _marked(letters: str, first: int) -> set[int]:
    """The slots that belong to a gap."""
    marked, least, hours = set[int](), GAP_MINUTES / MINUTES, dict[int, list[int]]()
    for run in BLIND.finditer(letters):
        if run.end() - run.start() >= least:
            marked.update(range(*run.span()))
        for n in range(*run.span()):
            hours.setdefault((first + n) // SLOTS, []).append(n)
    for some in hours.values():
        if len(some) >= least:
            marked.update(range(some[0], some[-1] + 1))
    return marked


def _gaps(name: str, letters: str, marked: set[int], first: int) -> Iterator[Gap]:
    """Marked slots that follow one another, as gaps, with their reasons, the most common first."""
    run = list[int]()
    for n in [*sorted(marked), -1]:
        if run and n != run[-1] + 1:
            why = Counter(letters[one] for one in run if letters[one] in WHY).most_common()
            yield Gap(
                name,
                _moment(first + run[0]),
                _moment(first + run[-1] + 1),
                "".join(letter for letter, _ in why),
            )
            run = []
        run.append(n)


def _explained(gap: Gap, reasons: Iterable[GapReason]) -> Iterator[Gap]:
    """`gap` in pieces: those that somebody explained, and what is left of it."""
    since = gap.since
    theirs = sorted(
        (r for r in reasons if r.site in {EVERYWHERE, gap.site}), key=lambda r: (r.since, r.at)
    )
    for reason in theirs:
        began, ended = max(since, reason.since), min(gap.until, reason.until)
        if began >= ended:
            continue
        if since < began:
            yield Gap(gap.site, since, began, gap.why)
        yield Gap(gap.site, began, ended, gap.why, reason)
        since = ended
    if since < gap.until:
        yield Gap(gap.site, since, gap.until, gap.why)


def _clipped(gap: Gap, since: datetime, until: datetime) -> Gap:
    return Gap(gap.site, max(gap.since, since), min(gap.until, until), gap.why)


def _told(canary: _Slots) -> frozenset[datetime]:
    return frozenset(
        _hour(_moment(canary.first + n))
        for n, letter in enumerate(canary.letters)
        if letter == SEEN
    )


def _hours(since: datetime, until: datetime) -> Iterator[datetime]:
    at = _hour(since)
    while at < until:
        yield at
        at += HOUR


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _start(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T00:00:00+00:00")


def _slot(at: datetime) -> int:
    return int(at.timestamp()) // SLOT_SECONDS


def _moment(slot: int) -> datetime:
    return datetime.fromtimestamp(slot * SLOT_SECONDS, UTC)
