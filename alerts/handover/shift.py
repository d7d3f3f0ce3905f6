"""What one shift leaves to the next: what is new, what nobody has decided, what is due within a day, and where we were blind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from alerts.coverage.hours import CoverageWindow, coverage
from alerts.desk.queue import IncidentQueue, QueueFilter, QueueRow
from alerts.read.monitoring import BELIEVED, MonitoringStatus, looked
from alerts.store import QueryError
from ullage.phrase import Phrase

SHOWN = 50
MOST = timedelta(days=62)
"""How far back one goes: the ledger is read hour by hour."""


@dataclass(frozen=True, slots=True)
class HandoverPart:
    """Some of the incidents of a part, the most urgent first, and how many there are."""

    rows: tuple[QueueRow, ...]
    count: int

    @property
    def more(self) -> int:
        """How many are not among `rows`."""
        return self.count - len(self.rows)


@dataclass(frozen=True, slots=True)
class Handover:
    """A shift that ended at `until` and whose predecessor's ended at `since`; `blind` is the ledger of that time."""

    since: datetime
    until: datetime
    new: HandoverPart
    undecided: HandoverPart
    due: HandoverPart
    unassigned: HandoverPart
    behind: MonitoringStatus
    blind: CoverageWindow

    @property
    def is_whole(self) -> bool:
        """Whether all was looked at, all the time, or it is known why not: else what is missing here may be somewhere.

        Where only files were handed over there is no site to be blind on.
        """
        return self.behind.worth in BELIEVED and (self.behind.worth == "handed" or not self.blind.unexplained())

    def parts(self) -> Mapping[Phrase, HandoverPart]:
        """Each part by its title."""
        return {
            Phrase("New since then"): self.new,
            Phrase("Undecided"): self.undecided,
            Phrase("Due within a day, or overdue"): self.due,
            Phrase("Assigned to nobody"): self.unassigned,
        }


def handover(
    queue: IncidentQueue, gap_minutes: float, tenant: str = "", since: datetime | None = None, shown: int = SHOWN
) -> Handover:
    """Of one tenant or all, since `since` or since the last shift of whoever asks ended, `shown` incidents of each part.

    Unread for more than `gap_minutes`, a site is blind. QueryError for a time that is to come or too long ago.
    """
    start, now = since or queue.shift, queue.work.duties.clock.now()
    if not timedelta(0) < now - start <= MOST:
        raise QueryError(Phrase("a shift must have begun within the last %(days)s days", days=MOST.days))

    every = QueueFilter(tenant=tenant, flat=True, tab="all")
    since_then, undecided_ones = replace(every, opened_from=start), replace(every, tab="open", status="open")
    views = [since_then, undecided_ones, replace(every, tab="due"), replace(every, tab="unassigned")]
    new, undecided, due, unassigned = (
        HandoverPart(rows, len(rows) if len(rows) < shown else max(len(rows), total))
        for rows, total in zip(queue.heads(views, shown), queue.totals(every, views), strict=True)
    )
    return Handover(
        start,
        now,
        new=new,
        undecided=undecided,
        due=due,
        unassigned=unassigned,
        behind=looked(queue.work.store, now),
        blind=coverage(queue.work.store, start, now, now, gap_minutes),
    )
