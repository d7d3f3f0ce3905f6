"""The queue: which incidents somebody works on, and in which order, a page at a time.

What burns stands first: what is due, soonest first, then by severity, and of equals the oldest. Of a seller's incidents the first
in that order stands for the others, on whatever page they would be. Pages go on behind a row's own place, so that none is shown
twice or left out because others were closed meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from alerts.desk.work import Work, item_of
from alerts.read.query import Filters
from alerts.read.sellers import tokens_of
from alerts.records import SEVERITIES, Decision, Incident, Sighting, WorkItem
from alerts.store import IncidentStore, QueryError, Where
from ullage.lookup.free_text_check import identifier_in
from ullage.phrase import Phrase
from ullage.verdict.rules import Origin

Tab = Literal["open", "mine", "unassigned", "due", "new", "closed", "all"]
TABS: Mapping[Tab, Phrase] = {
    "open": Phrase("Open"),
    "mine": Phrase("Mine"),
    "unassigned": Phrase("Unassigned"),
    "due": Phrase("Due"),
    "new": Phrase("New since my last shift"),
    "closed": Phrase("Closed"),
    "all": Phrase("All"),
}
ORIGINS: tuple[str, ...] = get_args(Origin)
ORDERS: Mapping[str, str] = {
    "burns": "burns",
    "severity": "-grave",
    "customers": "-customers",
    "exposure": "-exposure",
    "opened": "-time",
}
"""What a person can order by, as a store does it; a `-` before it turns it round."""
DUE_WITHIN = timedelta(hours=24)
SHIFTS_BACK = timedelta(days=14)
ROUNDS = 8
"""Times that a page is filled up where a seller's incidents were folded; then it is shorter than it might be."""


@dataclass(frozen=True, slots=True)
class View:
    """What somebody wants to see; "" is any. `assignee` "-" is nobody's, `flat` folds no series."""

    tab: str = "open"
    order: str = "burns"
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

    @property
    def is_narrowed(self) -> bool:
        """Whether it has a filter besides its tab."""
        return replace(self, tab="open", order="burns", flat=False) != View()

    def where(self, who: str, now: datetime, shift: datetime | None) -> Where:
        """As a condition, without the seller; QueryError says what cannot be asked, never repeating it.

        `who` asks; `shift` is when that person's last shift ended.
        """
        if self.tab not in TABS:
            raise QueryError(Phrase("the tab is one of %(known)s", known=", ".join(TABS)))
        if self.origin not in ("", *ORIGINS):
            raise QueryError(Phrase("origin is one of %(known)s", known=", ".join(ORIGINS)))
        if what := identifier_in(f"{self.scenario} {self.assignee}", numbers=False):
            raise QueryError(
                Phrase("a filter holds what looks like %(what)s: look a person up under 'Check a person'", what=Phrase(what))
            )
        where = Filters(self.tenant, self.severity, self.status, self.site, self.kind, self.text, self.seller).where()
        equals = {**where.equals, **self._chosen(), **self._tab(who)}
        if self.status:
            equals["status"] = (self.status,)
        since = max(filter(None, (self.opened_from, shift if self.tab == "new" else None)), default=None)
        limits = {"burns": round((now + DUE_WITHIN).timestamp())} if self.tab == "due" else {}
        return replace(where, equals=equals, since=since, before=self.opened_before, at_most=limits)

    def _chosen(self) -> dict[str, Collection[str]]:
        chosen = {"origin": self.origin, "scenario": self.scenario, "assignee": self.assignee}
        return {name: ("" if value == "-" else value,) for name, value in chosen.items() if value}

    def _tab(self, who: str) -> dict[str, Collection[str]]:
        stage = {"closed": ("closed",), "all": ("open", "closed")}.get(self.tab, ("open",))
        whose = {"mine": (who,), "unassigned": ("",)}.get(self.tab)
        return {"stage": stage, **({"assignee": whose} if whose else {})}


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the incident, its work item as it stands now, and how many more of its seller's stand behind it."""

    incident: Incident
    item: WorkItem
    folded: int = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """A page; `after` is where it goes on, "" at the end."""

    rows: tuple[Row, ...]
    after: str = ""


def store_order(order: str) -> str:
    """What a store orders by; QueryError for an order that there is none of."""
    known = ORDERS.get(order.removeprefix("-"))
    if known is None:
        raise QueryError(Phrase("order by one of %(known)s", known=", ".join(ORDERS)))
    if not order.startswith("-"):
        return known
    return known.removeprefix("-") if known.startswith("-") else f"-{known}"


@dataclass(frozen=True, slots=True)
class Queue:
    """Reads the queue for one person."""

    work: Work
    who: str = ""
    shift_hours: float = 8.0
    _shift: list[datetime] = field(default_factory=list)

    def page(self, view: View, limit: int = 50, after: str = "") -> Rows:
        """A page of at most `limit` rows; QueryError for what cannot be asked."""
        self.work.complete()
        order, where = store_order(view.order), self._where(view)
        if view.flat or view.seller:
            page = self._store.search(WorkItem, where, limit, after, order)
            return Rows(tuple(self._rows([(item, 0) for item in page.items])), page.after)
        items, mark = self._folded(where, order, limit, after)
        return Rows(tuple(self._rows(items)), mark)

    def count(self, view: View) -> int:
        """How many incidents a view has; series are not folded."""
        return self._store.count(WorkItem, self._where(view))

    def counts(self, view: View) -> dict[str, int]:
        """How many incidents each tab has, under the filters of `view`; series are not folded."""
        tabs = [tab for tab in TABS if tab != "all"]
        return {tab: self.count(replace(view, tab=tab)) for tab in tabs}

    def open_by_severity(self, view: View) -> dict[str, int]:
        """How many open incidents there are of each severity, the gravest first; under the tenant of `view` alone."""
        return {one: self.count(View(tenant=view.tenant, severity=one)) for one in reversed(SEVERITIES)}

    @property
    def shift(self) -> datetime:
        """When this person's last shift ended."""
        if not self._shift:
            self._shift.append(last_shift(self._store, self.who, self._now, timedelta(hours=self.shift_hours)))
        return self._shift[0]

    @property
    def _store(self) -> IncidentStore:
        return self.work.store

    @property
    def _now(self) -> datetime:
        return self.work.duties.clock.now()

    def _where(self, view: View) -> Where:
        where = view.where(self.who, self._now, self.shift if view.tab == "new" else None)
        if not view.seller:
            return where
        seen = self._store.scroll(Sighting, Where({"seller": tokens_of(view.seller)}))
        ids = {sighting.incident for sighting in seen}
        heads = {one.part_of for one in self._store.mget(Incident, ids).values() if one.part_of}
        return where.but(ids=ids | heads)

    def _folded(self, where: Where, order: str, limit: int, after: str) -> tuple[list[tuple[WorkItem, int]], str]:
        """Items with the number of those that each stands for, and where the next page begins."""
        found, series, mark = list[WorkItem](), dict[str, str](), after
        for _ in range(ROUNDS):
            narrowed = replace(where, differs={"series": [*series]}) if series else where
            page = self._store.search(WorkItem, narrowed, limit - len(found), mark, order)
            series |= self._leads(where, order, {token for item in page.items for token in item.series} - series.keys())
            found += [item for item in page.items if not item.series or series.get(item.series[0]) == item.id]
            mark = page.after
            if not mark or len(found) >= limit:
                break
        return [(item, self._of_seller(where, item) - 1 if item.series else 0) for item in found], mark

    def _of_seller(self, where: Where, item: WorkItem) -> int:
        """How many incidents of its seller's there are, itself included."""
        return self._store.count(WorkItem, replace(where, equals={**where.equals, "series": item.series}))

    def _leads(self, where: Where, order: str, tokens: Collection[str]) -> dict[str, str]:
        """By seller the first of their incidents in this order."""
        leads = dict[str, str]()
        for token in tokens:
            theirs = replace(where, equals={**where.equals, "series": (token,)})
            leads.update((token, first.id) for first in self._store.search(WorkItem, theirs, 1, "", order).items)
        return leads

    def _rows(self, items: Sequence[tuple[WorkItem, int]]) -> Iterator[Row]:
        """The rows as their facts stand: an item that lags behind them is written anew."""
        incidents = self._store.mget(Incident, [item.id for item, _ in items])
        owed = self.work.duties.owed([*incidents.values()])
        now = {id_: item_of(incident, owed[id_]) for id_, incident in incidents.items()}
        if stale := [now[item.id] for item, _ in items if item.id in now and now[item.id] != item]:
            self._store.put(stale)
        yield from (Row(incidents[item.id], now[item.id], folded) for item, folded in items if item.id in now)


def last_shift(store: IncidentStore, who: str, now: datetime, shift: timedelta) -> datetime:
    """When the last shift of a person ended: their last decision before a pause of half a shift; else a shift ago.

    The present shift is told by what was decided since that pause.
    """
    own = sorted(one.at for one in store.scroll(Decision, Where(since=now - SHIFTS_BACK)) if who and one.by == who)
    end = now
    for at in reversed(own):
        if end - at >= shift / 2:
            return at
        end = at
    return now - shift
