"""Read the coverage log: cells of an hour, gaps, and their explanations.

A gap is a time of `GAP_MINUTES` or more in which a scheduled site was not read, or the hour in
which shorter times add up to that. A time is assessed when its heartbeats have had `GRACE` to
arrive. About the time before its first heartbeat the log makes no claim, neither that we looked nor
that we did not.
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

from alerts.coverage import find_last_days
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
from alerts.records.coverage import DAY_SLOTS, format_day
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
"""Heartbeats arrive each minute, a little later behind a long queue of captures."""
RECOUNT_SECONDS = 900.0
DAYS_AT_ONCE = 4
"""Days of all sites that are read together: one document per site and day."""
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
    """One hour of one site, beginning `at`.

    `seen` is the number of covered minutes, and `why` maps the letter of each reason to the minutes
    that were not covered because of it. `posts` is the number of new posts. `explained` says that
    every gap in the hour has an explanation. A page may have a hundred thousand of these hours.
    """

    at: datetime
    level: Level
    seen: int
    why: Mapping[str, int]
    posts: int = 0
    explained: bool = False

    @property
    def state(self) -> State:
        """The level of coverage in this hour, under the name that pages and JSON use."""
        return STATE[self.level]

    @property
    def has_gap(self) -> bool:
        """Whether a gap reaches into the hour."""
        return has_gap(self.level)

    @property
    def is_uncovered(self) -> bool:
        """Whether the site was to be read in this hour but was not read at any minute."""
        return is_uncovered(self.level)

    @property
    def is_scheduled(self) -> bool:
        """Whether the site was to be read in this hour and the outcome is known."""
        return is_scheduled(self.level)

    @property
    def is_covered(self) -> bool:
        """Whether the site was read and no gap reaches into the hour.

        Single minutes may be missing; `seen` is the number of covered ones.
        """
        return is_covered(self.level)

    @property
    def is_full(self) -> bool:
        """Whether all minutes of the hour were covered."""
        return self.seen == HOUR_MINUTES

    @property
    def blind(self) -> int:
        """The number of minutes that were not covered although the site was scheduled."""
        return sum(self.why.values())


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which `site` was not read; `why` are the letters of the reasons, most common first.

    `explained` is the explanation, if somebody gave one.
    """

    site: str
    since: datetime
    until: datetime
    why: str
    explained: GapReason | None = None

    @property
    def is_first_reading(self) -> bool:
        """Whether the site is new: the first reading took place, and there is no other reason.

        That it was not visited yet does not count as another reason.
        """
        return FIRST_READING in self.why and not set(self.why) - {FIRST_READING, UNVISITED}


@dataclass(frozen=True, slots=True)
class SiteCoverage:
    """The coverage of a site in a window: its hours, oldest first, and its gaps.

    `unwatched` is the reason why it is not read at the end of the window, "" for a site that is.
    `revisit` is the time between two visits and `lives` how long a post stays up, both in seconds,
    or 0 if unknown.
    """

    site: str
    cells: tuple[CoverageHour, ...]
    gaps: tuple[Gap, ...]
    unwatched: str = ""
    revisit: int = 0
    lives: int = 0
    pending: str = ""
    """The letters reported for the time that is not assessed yet."""

    @property
    def level_now(self) -> Level:
        """How the site is covered at the end of the window.

        A site that is not read is `imported` or `nothing`. For others the last letter of `pending`
        decides between `covered` and `uncovered`. Without such a letter it is `pending` if the last
        assessed hour has covered minutes or there is none, and `uncovered` or `nothing` otherwise.
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
        """The latest hour whose coverage is known, scheduled or not; None for none."""
        return next((cell for cell in reversed(self.cells) if not is_pending(cell.level)), None)

    @property
    def is_blind_now(self) -> bool:
        """Whether a report of the time not assessed yet says that the site was not read."""
        return any(letter in WHY for letter in self.pending)

    @property
    def is_short_lived(self) -> bool:
        """Whether posts may appear and disappear between two visits."""
        return 0 < self.lives < self.revisit

    @property
    def was_read(self) -> bool:
        """Whether there is an hour in which the site was to be read and the outcome is known.

        Also True if reading failed. False if the window was read without hours.
        """
        return any(cell.is_scheduled for cell in reversed(self.cells))


@dataclass(frozen=True, slots=True)
class CoverageWindow:
    """The coverage of the time from `since` until before `until`, assessed until `judged`.

    `rows` are the sites by name, and `days` the UTC days of the time (2026-11-25). `begins` is the
    beginning of the log where that is after `since`, `NEVER` where it has not begun, and None where
    it began earlier. `canaries` are hours in which a canary post was reported.
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
        """Return the gaps of all sites, by their beginning and then by site."""
        return sorted(
            (gap for row in self.rows for gap in row.gaps), key=lambda gap: (gap.since, gap.site)
        )

    def find_unexplained(self) -> list[Gap]:
        """Return the gaps without an explanation, by their beginning and then by site."""
        return [gap for gap in self.gaps() if gap.explained is None]

    def pending(self) -> list[SiteCoverage]:
        """Return the sites with reports whose coverage cannot be assessed yet.

        A site is among them if one of these reports says that it was not read, or if no site has an
        assessed hour or a gap.
        """
        has_assessed = any(row.was_read for row in self.rows) or bool(self.gaps())
        return [row for row in self.rows if row.pending and (row.is_blind_now or not has_assessed)]

    @property
    def level(self) -> Level:
        """The level of coverage of the whole period, over all sites.

        An unexplained gap counts as missed, a site in `pending()` as pending. The level is covered
        if there are neither and any site has covered minutes. A window that was read without hours
        has no minutes.
        """
        cells = [cell for row in self.rows for cell in row.cells]
        return judge(
            CoverageEvidence(
                covered=sum([cell.seen for cell in cells]),
                missed=len(self.find_unexplained()),
                pending=len(self.pending()),
                imported=len([row for row in self.rows if row.unwatched == IMPORTED]),
            )
        )

    @property
    def is_accounted_for(self) -> bool:
        """Whether the whole period is covered, or every gap in it is explained.

        False if the log begins after the start of the period, or if a recent report says that a
        site was not read.
        """
        is_known = self.begins is None and not any(row.is_blind_now for row in self.rows)
        return is_known and (
            is_covered(self.level) or (bool(self.gaps()) and not self.find_unexplained())
        )


@dataclass(slots=True)
class _Slots:
    """The letters of a site and the posts of each hour.

    `first` is the slot since 1970 of the first letter, at the beginning of an hour.
    """

    first: int
    letters: str = ""
    posts: list[int] = field(default_factory=list)
    last: SiteDay | None = None

    def is_over(self, at: datetime) -> bool:
        """Return whether the site was not scheduled at the end."""
        return (
            self.letters[min(_to_slot(at), self.first + len(self.letters)) - self.first - 1]
            == ELSEWHERE
        )

    def add(self, day: SiteDay) -> None:
        """Append a day, which must be later than all days appended before.

        Missing days between are added without reports, unless the site had ended.
        """
        while self.last is not None and self.last.at + DAY < day.at and not self.last.is_over():
            self.add(self.last.next_day())
        self.extend_to(_to_slot(day.at) - self.first)
        self.letters += day.fill_letters()
        self.posts += day.posts
        self.last = day

    def extend_to(self, slots: int) -> None:
        """Append slots without reports until there are `slots` of them (five minutes each)."""
        self.letters += ELSEWHERE * (slots - len(self.letters))
        self.posts += [0] * (slots // SLOTS - len(self.posts))


def read_coverage(
    store: IncidentStore,
    since: datetime,
    until: datetime,
    now: datetime,
    site: str = "",
    *,
    cells: bool = True,
) -> CoverageWindow:
    """Return the coverage of one site, or of all sites for "", from `since` until before `until`.

    The time is widened to whole UTC hours and ends with the present hour at the latest. It is
    assessed until 15 minutes before `now`. Rows are sorted by site name; the canary site has none.
    A site that was not scheduled in that time and is not listed as unwatched has no row. If `cells`
    is False, rows contain only gaps and no hours, and none is left out. The store is only read.
    """
    since, until = (
        _to_hour(since),
        min(_to_hour(until - timedelta(microseconds=1)) + HOUR, _to_hour(now) + HOUR),
    )
    judged = min(until, now - GRACE)
    days = [format_day(since - HOUR)]
    while days[-1] < format_day(until + HOUR):
        days.append(format_day(_day_start(days[-1]) + DAY))
    by_site, reasons = (
        _read_slots(store, days, site, format_day(now)),
        list(store.scroll(GapReason, DocumentFilter())),
    )
    canary, rows, hours = (
        by_site.pop(CANARY, None),
        list[SiteCoverage](),
        list(_iterate_hours(since, until)) if cells else [],
    )
    make_cell = cache(_build_cell)  # most sites have the same hours
    for name, slots in sorted(by_site.items()):
        row = _build_row(name, slots, (since, until, judged, hours), reasons, make_cell)
        if not cells or row.unwatched or row.was_read or row.pending or not slots.is_over(judged):
            rows.append(row)
    begins = _find_beginning(
        store, _read_slots(store, days, "", format_day(now)) if site else by_site, since
    )
    return CoverageWindow(
        since, until, judged, tuple(rows),
        begins if begins > since else None,
        _canary_hours(canary) if canary else frozenset(),
        tuple(day for day in days if format_day(since) <= day <= format_day(until - SLOT)),
    )  # fmt: skip


@dataclass(slots=True)
class Recount:
    """Counts regularly how many sites had an unexplained gap in the last day.

    Sites that are read for the first time do not count. `tell` receives the number.
    """

    store: IncidentStore
    clock: Clock
    tell: Callable[[float], object]
    _due: float = float("-inf")

    def __call__(self) -> None:
        """Count if 15 minutes have passed since the last count, and pass the number to `tell`.

        It reads the coverage log of all sites for the last day.
        """
        if self.clock.monotonic() < self._due:
            return
        self._due = self.clock.monotonic() + RECOUNT_SECONDS
        now = self.clock.now()
        window = read_coverage(self.store, now - DAY, now, now, cells=False)
        self.tell(len({gap.site for gap in window.find_unexplained() if not gap.is_first_reading}))


def _find_beginning(
    store: IncidentStore, by_site: Mapping[str, _Slots], since: datetime
) -> datetime:
    """Return the hour in which the log began.

    This is `since` if it began before, `NEVER` if it has not begun.
    """
    if store.count(SiteDay, DocumentFilter(before=_day_start(format_day(since - HOUR)))):
        return since
    reported = ((slots, slots.letters.lstrip(ELSEWHERE)) for slots in by_site.values())
    first_slots = [
        slots.first + len(slots.letters) - len(remaining)
        for slots, remaining in reported
        if remaining
    ]
    return _to_hour(_slot_start(min(first_slots))) if first_slots else NEVER


def _read_slots(
    store: IncidentStore, days: Sequence[str], site: str, today: str
) -> dict[str, _Slots]:
    """Return the slots of each site over `days`.

    Days that were not begun, because alert was down, have no reports. A site that was reported
    before, and has not ended, is expected in them too. With `site`, only that site and the canary
    are read.
    """
    first = _to_slot(_day_start(days[0]))
    by_site = dict[str, _Slots]()
    filter_ = {"site": (site, CANARY)} if site else {}
    for n in range(0, len(days), DAYS_AT_ONCE):
        batch = days[n : n + DAYS_AT_ONCE]
        stored = store.scroll(
            SiteDay,
            DocumentFilter(filter_, since=_day_start(batch[0]), before=_day_start(batch[-1]) + DAY),
        )
        for day in sorted(stored, key=lambda day: day.at):
            by_site.setdefault(day.site, _Slots(first)).add(day)
    newest = store.search(SiteDay, DocumentFilter(filter_, before=_day_start(days[0])), 1).items
    for last in (
        find_last_days(store, newest[0].at, DocumentFilter(filter_, differs={"site": [*by_site]}))
        if newest
        else ()
    ):
        if site and last.site != site:
            continue
        carried = last
        while carried.day < days[0] and not carried.is_over():
            carried = carried.next_day()
        if not carried.is_over():
            by_site.setdefault(carried.site, _Slots(first)).add(carried)
    for slots in by_site.values():
        while (
            slots.last is not None
            and slots.last.day < min(days[-1], today)
            and not slots.last.is_over()
        ):
            slots.add(slots.last.next_day())
        slots.extend_to(len(days) * DAY_SLOTS)
    return by_site


def _build_row(
    name: str,
    slots: _Slots,
    window: tuple[datetime, datetime, datetime, list[datetime]],
    reasons: Sequence[GapReason],
    cell: Callable[[datetime, str, int, bool, bool], CoverageHour],
) -> SiteCoverage:
    """Return a site's coverage in the window (since, until, assessed until, hours).

    Without hours the row has only gaps. `cell` builds an hour.
    """
    since, until, judged, hours = window
    until_slot = _to_slot(judged) - slots.first
    letters = slots.letters[: max(0, until_slot)]
    gap_slots = _find_gap_slots(letters, slots.first)
    gaps = tuple(
        explained
        for gap in _iterate_gaps(name, letters, gap_slots, slots.first)
        if gap.until > since and gap.since < until
        for explained in _split_by_explanation(_clip(gap, since, until), reasons)
    )
    explained_hours = {
        at for gap in gaps if gap.explained for at in _iterate_hours(gap.since, gap.until)
    }
    explained_hours -= {
        at for gap in gaps if not gap.explained for at in _iterate_hours(gap.since, gap.until)
    }
    first_hour, gap_hours = (
        (_to_slot(hours[0]) - slots.first) // SLOTS if hours else 0,
        {n // SLOTS for n in gap_slots},
    )
    numbers = range(first_hour, first_hour + len(hours))
    hour_letters, posts = (
        [letters[n * SLOTS : n * SLOTS + SLOTS] for n in numbers],
        slots.posts[first_hour : first_hour + len(hours)],
    )
    is_blind = [n in gap_hours for n in numbers] if gap_hours else repeat(False)
    explained = [at in explained_hours for at in hours] if explained_hours else repeat(False)
    last = slots.last
    return SiteCoverage(
        name,
        tuple(map(cell, hours, hour_letters, posts, is_blind, explained)),
        gaps,
        UNWATCHED.get(last.lasting_state() if last else "", ""),
        last.revisit if last else 0,
        last.lives if last else 0,
        _pending_reports(slots.letters[max(0, until_slot) : max(0, _to_slot(until) - slots.first)]),
    )


def _pending_reports(letters: str) -> str:
    """Return the letters that somebody reported about a scheduled site."""
    return "".join(
        letter for letter in letters if letter == SEEN or (letter in WHY and letter != UNHEARD)
    )


def _build_cell(
    at: datetime, letters: str, posts: int, is_blind: bool, explained: bool
) -> CoverageHour:
    """Return an hour from its letters; `is_blind` where a gap reaches into it.

    Times too short for a gap only cost minutes.
    """
    covered, minutes = _count_minutes(letters)
    missed = sum(minutes.values()) if is_blind else 0
    level = judge(CoverageEvidence(covered=covered, missed=missed, pending=SLOTS - len(letters)))
    return CoverageHour(at, level, covered, minutes, posts, explained and missed > 0)


@lru_cache(maxsize=1024)
def _count_minutes(letters: str) -> tuple[int, Mapping[str, int]]:
    """Return the covered minutes of an hour, and the uncovered ones by reason, most common first.

    It is cached because most hours have the same letters.
    """
    why = Counter(letter for letter in letters if letter in WHY)
    return letters.count(SEEN) * MINUTES, {
        letter: count * MINUTES for letter, count in why.most_common()
    }


def _find_gap_slots(letters: str, first: int) -> set[int]:
    """Return the indexes of the letters that belong to a gap; `first` is the slot of index 0.

    A gap is a run of uncovered slots of ten minutes or more. If the uncovered slots of one hour add
    up to that, all from the first to the last of them belong to a gap.
    """
    slots, least, hours = set[int](), GAP_MINUTES / MINUTES, dict[int, list[int]]()
    for run in BLIND.finditer(letters):
        if run.end() - run.start() >= least:
            slots.update(range(*run.span()))
        for n in range(*run.span()):
            hours.setdefault((first + n) // SLOTS, []).append(n)
    for in_hour in hours.values():
        if len(in_hour) >= least:
            slots.update(range(in_hour[0], in_hour[-1] + 1))
    return slots


def _iterate_gaps(name: str, letters: str, gap_slots: set[int], first: int) -> Iterator[Gap]:
    """Yield consecutive gap slots as gaps, their reasons most common first.

    `letters` has the reason of each slot; without a known one, the reason is "". `first` is the
    number of the first slot.
    """
    run = list[int]()
    for n in [*sorted(gap_slots), -1]:
        if run and n != run[-1] + 1:
            why = Counter(letters[slot] for slot in run if letters[slot] in WHY).most_common()
            yield Gap(
                name,
                _slot_start(first + run[0]),
                _slot_start(first + run[-1] + 1),
                "".join(letter for letter, _ in why),
            )
            run = []
        run.append(n)


def _split_by_explanation(gap: Gap, reasons: Iterable[GapReason]) -> Iterator[Gap]:
    """Yield `gap` in pieces, by time: those that a reason explains, and the remaining ones.

    Where reasons overlap, the one that begins first explains the time.
    """
    since = gap.since
    applicable = sorted(
        (r for r in reasons if r.site in {EVERYWHERE, gap.site}), key=lambda r: (r.since, r.at)
    )
    for reason in applicable:
        began, ended = max(since, reason.since), min(gap.until, reason.until)
        if began >= ended:
            continue
        if since < began:
            yield Gap(gap.site, since, began, gap.why)
        yield Gap(gap.site, began, ended, gap.why, reason)
        since = ended
    if since < gap.until:
        yield Gap(gap.site, since, gap.until, gap.why)


def _clip(gap: Gap, since: datetime, until: datetime) -> Gap:
    return Gap(gap.site, max(gap.since, since), min(gap.until, until), gap.why)


def _canary_hours(canary: _Slots) -> frozenset[datetime]:
    return frozenset(
        _to_hour(_slot_start(canary.first + n))
        for n, letter in enumerate(canary.letters)
        if letter == SEEN
    )


def _iterate_hours(since: datetime, until: datetime) -> Iterator[datetime]:
    at = _to_hour(since)
    while at < until:
        yield at
        at += HOUR


def _to_hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _day_start(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T00:00:00+00:00")


def _to_slot(at: datetime) -> int:
    return int(at.timestamp()) // SLOT_SECONDS


def _slot_start(slot: int) -> datetime:
    return datetime.fromtimestamp(slot * SLOT_SECONDS, UTC)
