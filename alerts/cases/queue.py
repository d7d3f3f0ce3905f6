"""Order the incidents that people work on, and summarize a shift for the next one.

The most urgent comes first: incidents with a deadline by due date, then the others by severity, the
oldest first among equals. Of a seller's incidents only the first in this order is shown and stands
for the others, on whatever page they would be. A page continues after the last row's own position,
so no row is repeated or skipped if incidents are closed meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from alerts.cases.incident_list import Filters, parse_tokens
from alerts.cases.search_query import split_pseudonyms
from alerts.coverage.hours import CoverageWindow, read_coverage
from alerts.coverage.monitoring_status import MonitoringStatus, monitoring_status
from alerts.deadlines.schedule import Work, build_item
from alerts.records import SEVERITIES, Decision, Exposure, Incident, Sighting, WorkItem
from alerts.records.document import Excerpt, QueryError
from alerts.records.incident import PART
from alerts.store import MAX_PAGE, DocumentFilter, First, IncidentStore, query_phrases
from alerts.store.sqlite_queries import page_mark_after
from alerts.store.tenant_view import StoreWithin
from ullage.clock import Clock
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase
from ullage.verdict.rules import Origin

Tab = Literal["open", "mine", "unassigned", "due", "new", "closed", "all"]
TABS: Mapping[Tab, Phrase] = {
    "open": Phrase("Open"),
    "mine": Phrase("Mine"),
    "unassigned": Phrase("Unassigned"),
    "due": Phrase("Due"),
    "new": Phrase("New since last shift"),
    "closed": Phrase("Closed"),
    "all": Phrase("All"),
}
ORIGINS: tuple[str, ...] = get_args(Origin)
ORDERS: Mapping[str, str] = {
    "priority": "burns",
    "severity": "-grave",
    "customers": "-customers",
    "exposure": "-exposure",
    "opened": "-time",
}
"""Orders that people can choose, with the store's name; a leading `-` reverses the order."""
DUE_WITHIN = timedelta(hours=24)
SHIFT = timedelta(hours=8)
"""The length of a shift."""
SHIFTS_BACK = timedelta(days=14)
SHIFT_SECONDS = 300.0
"""Seconds after which the end of the last shift is computed again."""
SPARE = 2
"""Factor by which more rows are read than shown, because a second query costs more."""
ROUNDS = 8
"""Largest number of queries to fill a page whose rows were folded by seller.

After that, the page may be shorter than `limit`.
"""


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """The filters of a queue view; "" is any.

    An `assignee` of "-" stands for unassigned incidents; `flat` shows all incidents of a seller.
    """

    tab: str = "open"
    order: str = "priority"
    tenant: str = ""
    severity: str = ""
    status: str = ""
    origin: str = ""
    scenario: str = ""
    site: str = ""
    kind: str = ""
    assignee: str = ""
    text: str = ""
    seller: str = ""
    opened_from: datetime | None = None
    opened_before: datetime | None = None
    flat: bool = False
    due_before: datetime | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether the view has a filter besides the tab, the order and the grouping by seller."""
        return replace(self, tab="open", order="priority", flat=False) != QueueFilter()

    def to_filter(self, who: str, now: datetime, shift: datetime | None) -> DocumentFilter:
        """Return the filter for the store that selects the incidents of this view.

        It does not filter by seller. `who` is the person who asks; `shift` is when that person's
        last shift ended. Raises QueryError, which does not repeat the value, if the tab or a filter
        is invalid or contains an identifier.
        """
        if self.tab not in TABS:
            raise QueryError(
                Phrase("the tab must be one of %(known)s", known=", ".join(TABS)), "tab"
            )
        if self.origin not in ("", *ORIGINS):
            raise QueryError(
                Phrase("the leak source must be one of %(known)s", known=", ".join(ORIGINS)),
                "origin",
            )
        for name, value in (("scenario", self.scenario), ("assignee", self.assignee)):
            if what := identifier_in(value, numbers=False):
                message = Phrase(
                    "a filter seems to contain %(what)s: look people up under 'Check a person'",
                    what=Phrase(what),
                )
                raise QueryError(message, name)
        where = Filters(
            self.tenant, self.severity, self.status, self.site, self.kind, self.text, self.seller
        ).to_filter()
        tab = self.to_tab_filter(who, now, shift)
        equals = {**where.equals, **self._chosen(), **tab.equals}
        if self.status:
            equals["status"] = (self.status,)
        since = max(filter(None, (self.opened_from, tab.since)), default=None)
        due = {"due": round(self.due_before.timestamp())} if self.due_before else {}
        at_most = {**tab.at_most, **due}
        return replace(
            where, equals=equals, since=since, before=self.opened_before, at_most=at_most
        )

    def to_tab_filter(self, who: str, now: datetime, shift: datetime | None) -> DocumentFilter:
        """Return the store filter of the tab alone."""
        limits = {"burns": round((now + DUE_WITHIN).timestamp())} if self.tab == "due" else {}
        return DocumentFilter(
            self._tab(who), at_most=limits, since=shift if self.tab == "new" else None
        )

    def _chosen(self) -> dict[str, Collection[str]]:
        chosen = {"origin": self.origin, "scenario": self.scenario, "assignee": self.assignee}
        return {name: ("" if value == "-" else value,) for name, value in chosen.items() if value}

    def _tab(self, who: str) -> dict[str, Collection[str]]:
        stage = {"closed": ("closed",), "all": ("open", "closed")}.get(self.tab, ("open",))
        whose = {"mine": (who,), "unassigned": ("",)}.get(self.tab)
        return {"stage": stage, **({"assignee": whose} if whose else {})}


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One row: an incident, its current work item, and how many of its seller's it stands for."""

    incident: Incident
    item: WorkItem
    folded: int = 0


@dataclass(frozen=True, slots=True)
class QueuePage:
    """A page of rows; `after` is the mark of the next page, "" at the end."""

    rows: tuple[QueueRow, ...]
    after: str = ""


def store_order(order: str) -> str:
    """Return the name by which the store sorts for `order`; a leading `-` reverses it.

    Raises QueryError, listing the valid orders, for any other.
    """
    store_name = ORDERS.get(order.removeprefix("-"))
    if store_name is None:
        raise QueryError(Phrase("sort by one of %(known)s", known=", ".join(ORDERS)), "order")
    if not order.startswith("-"):
        return store_name
    return store_name.removeprefix("-") if store_name.startswith("-") else f"-{store_name}"


class _Part(Excerpt):
    """The field of an incident that names the incident it is a part of."""

    part_of: str = ""


@dataclass(slots=True)
class Shifts:
    """When each person's last shift ended.

    Computing it reads all decisions of two weeks, so a result is kept for `SHIFT_SECONDS`.
    Decisions within a shift do not change the end of the previous one.
    """

    clock: Clock
    _cache: dict[tuple[str, frozenset[str] | None], tuple[float, datetime]] = field(
        default_factory=dict
    )

    def find_shift_end(self, store: IncidentStore, who: str, shift: timedelta) -> datetime:
        """Return when the last shift of the person `who` ended.

        The result may be `SHIFT_SECONDS` old. `shift` is the length of a shift; `last_shift` has
        the rule.
        """
        now = self.clock.monotonic()
        key = who, store.tenants if isinstance(store, StoreWithin) else None
        cached = self._cache.get(key)
        if cached is None or now - cached[0] >= SHIFT_SECONDS:
            cached = self._cache[key] = now, last_shift(store, who, self.clock.now(), shift)
        return cached[1]


@dataclass(frozen=True, slots=True)
class IncidentQueue:
    """The queue as one person sees it.

    `shifts` remembers across pages when their last shift ended.
    """

    work: Work
    who: str = ""
    shifts: Shifts | None = None
    _shift: list[datetime] = field(default_factory=list)
    _completed: list[int] = field(default_factory=list)
    """The number of work items that were missing at first use."""

    def page(self, view: QueueFilter, limit: int = 50, after: str = "") -> QueuePage:
        """Return the rows of a view after the cursor `after`, and the cursor of the next page.

        At most `limit` rows are returned; unless the view is flat or limited to a seller, incidents
        of one seller share a row. Raises QueryError for an invalid filter.
        """
        self._complete()
        order, where = store_order(view.order), self._to_filter(view)
        if view.flat or view.seller:
            page = self._store.search(WorkItem, where, limit, after, order)
            return QueuePage(tuple(self._rows([(item, 0) for item in page.items])), page.after)
        items, mark = self._fold_sellers(where, order, limit, after)
        return QueuePage(tuple(self._rows(items)), mark)

    def heads(self, views: Sequence[QueueFilter], limit: int) -> list[tuple[QueueRow, ...]]:
        """Return the first `limit` rows of each view, without folding sellers.

        The facts of all rows are read together.
        """
        self._complete()
        pages = [
            self._store.search(
                WorkItem, self._to_filter(view), limit, order=store_order(view.order)
            ).items
            for view in views
        ]
        items = {item.id: item for page in pages for item in page}
        rows = {row.incident.id: row for row in self._rows([(item, 0) for item in items.values()])}
        return [tuple(rows[item.id] for item in page if item.id in rows) for page in pages]

    def check(self, view: QueueFilter) -> None:
        """Raise QueryError if the view is invalid; nothing is read."""
        store_order(view.order)
        query_phrases(view.to_filter(self.who, self._now, None).text)

    def count(self, view: QueueFilter) -> int:
        """Return the number of incidents in a view; incidents of one seller count separately.

        Raises QueryError for an invalid filter.
        """
        return self._store.count(WorkItem, self._to_filter(view))

    def totals(self, common: QueueFilter, views: Sequence[QueueFilter]) -> list[int]:
        """Return the number of incidents in each of `views`.

        The views narrow `common`, and have no text, seller, site or kind of their own.
        """
        return self._store.counts(
            WorkItem, self._to_filter(common), [self._to_filter(view) for view in views]
        )

    def counts(self, view: QueueFilter) -> dict[str, int]:
        """Return the number of incidents of each tab but `all` under the filters of `view`.

        Sellers are not folded: each incident counts.
        """
        tabs = [tab for tab in TABS if tab != "all"]
        common = self._to_filter(replace(view, tab="all"))
        parts = [
            replace(view, tab=tab).to_tab_filter(
                self.who, self._now, self.shift if tab == "new" else None
            )
            for tab in tabs
        ]
        return dict(zip(tabs, self._store.counts(WorkItem, common, parts), strict=True))

    def open_by_severity(self, view: QueueFilter) -> dict[str, int]:
        """Return the number of open incidents by severity, most severe first.

        Every severity is a key, with 0 where no incident is open. Of the filters in `view` only the
        tenant is applied.
        """
        tallies = self._store.tally(
            WorkItem, self._to_filter(QueueFilter(tenant=view.tenant)), ("severity",)
        )
        counts = {tally.values[0]: tally.count for tally in tallies}
        return {severity: counts.get(severity, 0) for severity in reversed(SEVERITIES)}

    @property
    def shift(self) -> datetime:
        """The time at which the last shift of the asking person ended."""
        if not self._shift:
            shifts = self.shifts or Shifts(self.work.duties.clock)
            self._shift.append(shifts.find_shift_end(self._store, self.who, SHIFT))
        return self._shift[0]

    @property
    def _store(self) -> IncidentStore:
        return self.work.store

    @property
    def _now(self) -> datetime:
        return self.work.duties.clock.now()

    def _complete(self) -> None:
        if not self._completed:
            self._completed.append(self.work.complete())

    def _to_filter(self, view: QueueFilter) -> DocumentFilter:
        where = view.to_filter(self.who, self._now, self.shift if view.tab == "new" else None)
        if view.seller:
            sold = DocumentFilter({"seller": parse_tokens(view.seller)})
            where = where.but(ids=self._find_incidents(Sighting, sold))
        pseudonyms, words = split_pseudonyms(where.text)
        for pseudonym in pseudonyms:
            ids = self._find_incidents(Exposure, DocumentFilter(begins={"subject": pseudonym}))
            if ids:
                where = where.but(ids=ids if where.ids is None else ids & {*where.ids})
            else:
                words.append(pseudonym)
        return replace(where, text=" ".join(words)) if pseudonyms else where

    def _find_incidents(self, kind: type[Sighting | Exposure], where: DocumentFilter) -> set[str]:
        """Return the ids of incidents with such sightings or customers, and of their heads."""
        ids = {tally.values[0] for tally in self._store.tally(kind, where, ("incident",))}
        parts = (
            self._store.excerpts(Incident, DocumentFilter({"folded": (PART,)}, ids=ids), _Part)
            if ids
            else ()
        )
        return ids | {part.part_of for part in parts}

    def _fold_sellers(
        self, where: DocumentFilter, order: str, limit: int, after: str
    ) -> tuple[list[tuple[WorkItem, int]], str]:
        """Return a page of items with their counts, and the next page's mark.

        Of the incidents of one seller, only the first in `order` is listed; its count is the number
        of the others. After ROUNDS (8) searches the page may have fewer than `limit` items; the
        mark is "" at the end.
        """
        leading, series, mark = list[WorkItem](), dict[str, First](), after
        for _ in range(ROUNDS):
            narrowed = replace(where, differs={"series": [*series]}) if series else where
            page = self._store.search(
                WorkItem, narrowed, SPARE * (limit - len(leading)), mark, order
            )
            tokens = {token for item in page.items for token in item.series} - series.keys()
            series |= self._store.firsts(WorkItem, where, "series", tokens, order)
            leading += [item for item in page.items if not item.series or _leads(series, item)]
            mark = page.after
            if not mark or len(leading) >= limit:
                break
        shown = [
            (item, series[item.series[0]].count - 1 if item.series else 0)
            for item in leading[:limit]
        ]
        return shown, page_mark_after(leading[limit - 1], order) if len(leading) > limit else mark

    def _rows(self, items: Sequence[tuple[WorkItem, int]]) -> Iterator[QueueRow]:
        """Yield the rows from the current facts; outdated work items are written anew."""
        incidents = self._store.mget(Incident, [item.id for item, _ in items])
        owed = self.work.duties.find_deadlines([*incidents.values()])
        zone = self.work.duties.zone
        now = {
            id_: build_item(incident, owed[id_], zone(incident.tenant))
            for id_, incident in incidents.items()
        }
        if stale := [now[item.id] for item, _ in items if item.id in now and now[item.id] != item]:
            self._store.put(stale)
        yield from (
            QueueRow(incidents[item.id], now[item.id], folded)
            for item, folded in items
            if item.id in now
        )


def _leads(series: Mapping[str, First], item: WorkItem) -> bool:
    """Return whether an item is the first of its seller's.

    Others may have been added or closed since the page was read.
    """
    first = series.get(item.series[0])
    return first is not None and first.id == item.id


def last_shift(store: IncidentStore, who: str, now: datetime, shift: timedelta) -> datetime:
    """Return when the last shift of the person `who` ended.

    A shift ends with the person's last decision before a pause of at least half the duration
    `shift`. Later decisions belong to the present shift. If there is no such decision within
    `SHIFTS_BACK`, the result is `now` minus `shift`.
    """
    end, after, more = now, "", bool(who)
    while more:
        page = store.search(Decision, DocumentFilter(since=now - SHIFTS_BACK), MAX_PAGE, after)
        for at in (decision.at for decision in page.items if decision.by == who):
            if end - at >= shift / 2:
                return at
            end = at
        after, more = page.after, bool(page.after)
    return now - shift


SHOWN = 50
MOST = timedelta(days=62)
"""Earliest start of a handover, because the coverage log is read hour by hour."""


@dataclass(frozen=True, slots=True)
class HandoverPart:
    """The most urgent incidents of a part, and how many there are in all."""

    rows: tuple[QueueRow, ...]
    count: int

    @property
    def more(self) -> int:
        """Number of incidents that are not among `rows`."""
        return self.count - len(self.rows)


@dataclass(frozen=True, slots=True)
class Handover:
    """The handover of a shift that ended at `until`, after the one before ended at `since`.

    `blind` is the coverage log of that time.
    """

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
        """Whether an empty handover means that nothing was found.

        That needs monitoring that works at present, and since the last shift full coverage or an
        explanation for every gap. If only files were imported, there is no site to cover.
        """
        return self.behind.is_trusted and (
            self.behind.is_imported_only or self.blind.is_accounted_for
        )

    def rows(self) -> list[tuple[QueueRow, tuple[Phrase, ...]]]:
        """Return each incident of the handover one time, most urgent first.

        Each comes with the titles of the parts in which it appears, such as "Undecided".
        """
        rows = {row.incident.id: row for part in self.parts().values() for row in part.rows}
        urgent = sorted(rows.values(), key=lambda row: (row.item.burns, row.incident.id))
        return [(row, tuple(self._list_parts(row))) for row in urgent]

    def _list_parts(self, row: QueueRow) -> Iterator[Phrase]:
        is_open = row.item.stage == "open"
        if row.incident.opened_at >= self.since:
            yield Phrase("new")
        if is_open and row.item.status == "open":
            yield Phrase("undecided")
        if is_open and row.item.burns <= (self.until + DUE_WITHIN).timestamp():
            yield Phrase("due")
        if is_open and not row.item.assignee:
            yield Phrase("unassigned")

    def parts(self) -> Mapping[Phrase, HandoverPart]:
        """Return the parts of the handover by English title, in the order of display."""
        return {
            Phrase("New since then"): self.new,
            Phrase("Undecided"): self.undecided,
            Phrase("Due within a day, or overdue"): self.due,
            Phrase("Assigned to nobody"): self.unassigned,
        }


def handover(
    queue: IncidentQueue, tenant: str = "", since: datetime | None = None, shown: int = SHOWN
) -> Handover:
    """Return what the next shift must know: incidents that are new, undecided, due or unassigned.

    The period begins at `since`, by default when the asking person's last shift ended. With a
    `tenant` only its incidents are included; each part shows at most `shown`. Raises QueryError if
    the period begins in the future or too long ago.
    """
    start, now = since or queue.shift, queue.work.duties.clock.now()
    if not timedelta(0) < now - start <= MOST:
        raise QueryError(
            Phrase("a shift must have begun within the last %(days)s days", days=MOST.days)
        )

    every = QueueFilter(tenant=tenant, flat=True, tab="all")
    since_then, undecided_ones = (
        replace(every, opened_from=start),
        replace(every, tab="open", status="open"),
    )
    views = [
        since_then,
        undecided_ones,
        replace(every, tab="due"),
        replace(every, tab="unassigned"),
    ]
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
        behind=monitoring_status(queue.work.store, now),
        blind=read_coverage(queue.work.store, start, now, now),
    )
