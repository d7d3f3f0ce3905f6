"""Show the queue of incidents: tabs, saved filters, actions on several, and a search for a seller.

The name of a seller travels in the body of a POST and is hashed here; it is never shown, logged or
stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from alerts.cases.actions import (
    MOST_DAYS,
    REASONS,
    USUAL_DAYS,
    ActionResult,
    parse_bound,
    require_owner,
    select_refused,
)
from alerts.cases.handovers import ShiftHandovers
from alerts.cases.incident_list import (
    find_history,
    find_tokens,
    parse_tokens,
    require_no_identifier,
)
from alerts.cases.queue import ORIGINS, TABS, IncidentQueue, QueueFilter, QueuePage
from alerts.cases.search_query import parse_query
from alerts.cases.suppressions import find_suppressed
from alerts.coverage.monitoring_status import monitoring_status
from alerts.deadlines.schedule import Work
from alerts.records import SEVERITIES, STATUSES, Incident
from alerts.records.document import QueryError
from alerts.store import IncidentStore
from alerts.store.queries import find_pending
from alerts.web.dependencies import MOST_ROWS, Console, Text, redact_form, require_permission
from alerts.web.incident_changes import open_cases
from alerts.web.templating import MenuEntry
from ullage.errors import ConfigError
from ullage.phrase import Phrase
from ullage.security.masking import Secret
from ullage.settings.tenants import UnknownTenantError
from ullage.verdict import load_verdict_rules

PAGE = 50
MOST_AT_ONCE = 200
SORTED_BY: Mapping[str, Phrase] = {
    "priority": Phrase("Due"),
    "severity": Phrase("Severity"),
    "customers": Phrase("Customers"),
    "exposure": Phrase("Exposure score"),
    "opened": Phrase("Opened"),
}
"""The orders of the queue (`ORDERS`), as people choose them."""
BULK: Mapping[str, tuple[Phrase, str]] = {
    "acknowledged": (Phrase("Acknowledge"), "incident.decide"),
    "assigned": (Phrase("Assign"), "incident.assign"),
    "resolved": (Phrase("Resolve"), "incident.close"),
    "false_positive": (Phrase("False positive"), "incident.close"),
}
"""What can be done with several at once, as it is called, and the permission that it needs."""
TYPED: Mapping[str, Any] = {
    "act": "acknowledged",
    "to": "",
    "due": "",
    "reason": "",
    "days": USUAL_DAYS,
    "note": "",
    "ids": (),
}
Typed = Annotated[str, Form(max_length=2_000)]
Reader = Annotated[Console, require_permission("incident.read")]
MENU = MenuEntry("/", Phrase("Incidents"), "incident.read", "work", 1, ("/incidents",))


@dataclass(frozen=True, slots=True)
class QueueForm:
    """The filters and the order of the incident list, as they were typed."""

    tab: Text = "open"
    order: Text = "priority"
    tenant: Text = ""
    severity: Text = ""
    status: Text = ""
    origin: Text = ""
    scenario: Text = ""
    site: Text = ""
    kind: Text = ""
    assignee: Text = ""
    q: Text = ""
    seller: Text = ""
    since: Text = ""
    until: Text = ""
    flat: Text = ""

    def to_filter(self, site: Console) -> QueueFilter:
        """Return the filter of the queue, with times in the tenant's zone.

        A qualifier in the search box replaces the field of its name. Raises QueryError if a time or
        a qualifier is invalid, or if the search box has an identifier, and UnknownTenantError if
        times are given for an unknown tenant. Other fields are not checked here.
        """
        require_no_identifier(self.q)
        query, now = parse_query(self.q, site.principal.name), site.clock.now()
        since, until = (
            self._moment(site, name) if getattr(self, name) else None for name in ("since", "until")
        )

        def choose(name: str) -> str:
            return query.filters.get(name, str(getattr(self, name)))

        return QueueFilter(
            self.tab,
            self.order,
            choose("tenant"),
            choose("severity"),
            choose("status"),
            choose("origin"),
            choose("scenario"),
            choose("site"),
            choose("kind"),
            choose("assignee"),
            query.text,
            self.seller,
            now - query.opened_within if query.opened_within else since,
            until,
            bool(self.flat),
            now + query.due_within if query.due_within else None,
        )

    def _moment(self, site: Console, name: str) -> datetime:
        site.require_known_tenant(self.tenant)
        return parse_bound(
            getattr(self, name),
            ZoneInfo(site.duties.tenant(self.tenant).zone),
            site.clock.now(),
            name,
        )

    def query(self, **changes: str) -> str:
        """Return the query string, `?…`, with some fields changed; defaults are left out.

        It is "" if no field is left.
        """
        fields = {name: getattr(self, name) for name in self.__slots__} | changes
        non_default = {
            name: value for name, value in fields.items() if value != getattr(PLAIN, name, "")
        }
        return f"?{urlencode(non_default)}" if non_default else ""

    def export_query(self) -> str:
        """Return the query string, `?…`, for an export, which knows fewer filters than the queue.

        It is "" if none of these is set.
        """
        try:
            query = parse_query(self.q, "")
        except QueryError:
            return ""
        names = ("tenant", "severity", "status", "site", "kind")
        fields = {name: query.filters.get(name, getattr(self, name)) for name in names}
        filled = {
            name: value
            for name, value in {**fields, "q": query.text, "seller": self.seller}.items()
            if value
        }
        return f"?{urlencode(filled)}" if filled else ""

    def reverse_query(self, order: str) -> str:
        """Return the query string for `order`, or for the reverse of it if it is the order now."""
        return self.query(order=f"-{order}" if self.order == order else order)


PLAIN = QueueForm()


def routes() -> APIRouter:
    """Return the routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def incidents(
        site: Reader,
        asked: Annotated[QueueForm, Depends()],
        after: Text = "",
        row: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 1,
    ) -> HTMLResponse:
        return show_queue(site, asked, after, first=row if after else 1)

    @router.post("/incidents/bulk")
    def bulk(  # noqa: PLR0917  the fields of a form
        site: Annotated[Console, require_permission("incident.decide")],
        asked: Annotated[QueueForm, Depends()],
        ids: Annotated[Sequence[str], Form(alias="id")] = (),
        act: Typed = "",
        to: Typed = "",
        due: Typed = "",
        reason: Typed = "",
        days: Annotated[int, Form()] = USUAL_DAYS,
        note: Typed = "",
    ) -> HTMLResponse:
        typed = {
            "act": act,
            "to": to,
            "due": due,
            "reason": reason,
            "days": days,
            "note": note,
            "ids": tuple(ids),
        }
        try:
            results = _apply_bulk(site, typed)
        except QueryError as error:
            return show_queue(site, asked, done=Done((), error, redact_form(typed)))
        remaining = {
            **redact_form(typed),
            "ids": tuple(result.incident for result in select_refused(results)),
        }
        return show_queue(
            site,
            asked,
            done=Done(tuple(results), "", remaining if select_refused(results) else TYPED),
        )

    @router.post("/incidents/filters")
    def save(site: Reader, asked: Annotated[QueueForm, Depends()], title: Typed = "") -> Response:
        try:
            IncidentQueue(Work(site.duties), site.principal.name).check(asked.to_filter(site))
            site.door.accounts.save_filter(site.principal.name, title, asked.query())
        except (ConfigError, QueryError) as error:
            return show_queue(site, asked, unsaved=error)
        return RedirectResponse(f"/{asked.query()}", 303)

    @router.post("/incidents/filters/remove")
    def remove(site: Reader, asked: Annotated[QueueForm, Depends()], title: Typed = "") -> Response:
        site.door.accounts.remove_filter(site.principal.name, title)
        return RedirectResponse(f"/{asked.query()}", 303)

    @router.post("/sellers")
    def seller(
        site: Annotated[Console, require_permission("seller.find")],
        name: Annotated[str, Form()] = "",
    ) -> Response:
        try:
            tokens = find_seller_tokens(site, Secret(name))
        except QueryError as error:
            return show_queue(site, QueueForm(), refused_=error)
        if not tokens:
            return show_queue(
                site,
                QueueForm(),
                refused_=Phrase("No posts by this seller are stored."),
                status=200,
            )
        return RedirectResponse(f"/{QueueForm().query(tab='all', seller=','.join(tokens))}", 303)

    return router


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome of a form for several incidents.

    It holds what was done, why the whole form was refused, and what was typed.
    """

    said: tuple[ActionResult, ...] = ()
    refused: str | Exception = ""
    typed: Mapping[str, Any] = field(default_factory=lambda: TYPED)


def _apply_bulk(site: Console, typed: Mapping[str, Any]) -> list[ActionResult]:
    """Apply the chosen action to each incident, and return what became of each.

    A single incident that refuses does not stop the others. Raises QueryError if the action is
    unknown or not 1 to MOST_AT_ONCE (200) incidents are chosen, ForbiddenError if it is not
    allowed.
    """
    act, ids = typed["act"], typed["ids"]
    if act not in BULK:
        raise QueryError("choose an action")
    if not 0 < len(ids) <= MOST_AT_ONCE:
        raise QueryError(Phrase("select 1 to %(most)s incidents", most=MOST_AT_ONCE))
    site.principal.require(BULK[act][1])
    cases, by, note = open_cases(site), site.principal.name, typed["note"]
    if act == "assigned":
        to = by if typed["to"].strip() in ("", "me") else typed["to"]

        def assign(id_: str) -> ActionResult:
            require_owner(site.door.accounts, cases.incident(id_).tenant, to.strip(), by)
            return cases.assign(id_, to, by=by, due=typed["due"], note=note)

        return cases.several(ids, assign)
    if act == "acknowledged":
        return cases.several(ids, lambda id_: cases.acknowledge(id_, by=by, note=note))
    close: Callable[[str], ActionResult] = lambda id_: cases.close(  # noqa: E731
        id_, act, by=by, note=note, reason=typed["reason"], days=typed["days"]
    )
    return cases.several(ids, close)


def show_queue(
    site: Console,
    asked: QueueForm,
    after: str = "",
    refused_: str | Exception | Phrase = "",
    *,
    done: Done | None = None,
    unsaved: Exception | None = None,
    status: int = 400,
    first: int = 1,
) -> HTMLResponse:
    """Return the page of the incident list for the filters `asked`, from the cursor `after` on.

    `first` is the number of its first row. `refused_` replaces the rows by the reason why there are
    none; invalid filters do the same and are dropped. The page has status 200, or `status` if the
    filters, a form (`done`) or a filter to be saved (`unsaved`) were refused.
    """
    queue = IncidentQueue(Work(site.duties), site.principal.name, site.shifts)
    queue_result, view = QueuePage(()), QueueFilter()
    try:
        if not refused_:
            view = asked.to_filter(site)
            queue.check(view)  # what cannot be asked is said first
            site.require_known_tenant(view.tenant)
            queue_result = queue.page(view, PAGE, after)
    except (QueryError, UnknownTenantError) as error:
        refused_, asked = (
            error,
            replace(QueueForm(), tab=asked.tab if asked.tab in TABS else "open"),
        )
        view = QueueFilter(tab=asked.tab)
    now, done = site.clock.now(), done or Done()
    counts, last = queue.counts(replace(view, seller="")), first + len(queue_result.rows) - 1
    is_counted = view.tab in counts and not view.seller
    return site.page(
        "incidents.html",
        status if refused_ or done.refused or unsaved else 200,
        rows=queue_result.rows,
        asked=asked,
        view=view,
        counts=counts,
        first=first,
        last=last,
        total=counts[view.tab] if is_counted else queue.count(view),
        by_severity=queue.open_by_severity(view),
        silent=find_suppressed(site.duties, [row.incident for row in queue_result.rows]),
        handovers=ShiftHandovers(site.store, site.trail).find_waiting(site.principal.name),
        waiting=_find_waiting(site.store, [row.incident for row in queue_result.rows]),
        seller=find_history(site.store, parse_tokens(asked.seller), asked.tenant)
        if asked.seller
        else None,
        refused=refused_,
        done=done,
        saved=site.door.accounts.list_filters(site.principal.name),
        unsaved=unsaved,
        owners=_list_owners(site),
        now=now,
        shift=queue.shift if asked.tab == "new" else None,
        after=after,
        following=asked.query(after=queue_result.after, row=str(last + 1))
        if queue_result.after
        else "",
        behind=monitoring_status(site.store, now),
        empty=not queue_result.rows
        and not view.is_narrowed
        and view.tab == "open"
        and not queue.count(QueueFilter(tab="all")),
        choices={
            "severity": SEVERITIES,
            "status": STATUSES,
            "origin": ORIGINS,
            "scenario": _list_scenarios(),
        },
        orders=SORTED_BY,
        tabs=TABS,
        reasons=REASONS,
        most_days=MOST_DAYS,
        acts={
            act: called
            for act, (called, permission) in BULK.items()
            if site.principal.can(permission)
        },
    )


def _find_waiting(store: IncidentStore, incidents: Iterable[Incident]) -> set[str]:
    """Return the ids of incidents with a decision that waits for a second person."""
    answering = {id_: incident.id for incident in incidents for id_ in incident.family}
    return {answering[pending.incident] for pending in find_pending(store, answering)}


def _list_owners(site: Console) -> list[str]:
    """Return the accounts that may own incidents of the visible tenants, by name."""
    accounts = site.door.accounts
    return sorted(
        {
            name
            for tenant in site.tenants
            for name in accounts.list_names_with("incident.decide", tenant)
        }
    )


def _list_scenarios() -> dict[str, tuple[str, str]]:
    """Return the titles of all scenarios, in English and Chinese, by id."""
    return {
        scenario.id: (scenario.title, scenario.title_zh)
        for scenario in load_verdict_rules().scenario
    }


def find_seller_tokens(site: Console, name: Secret) -> tuple[str, ...]:
    """Return the tokens of the authors with that name; () if there is none.

    The search is written to the audit log without the name. Raises LimitedError after too many
    searches and lookups of the principal, QueryError for an invalid name, and ConfigError if this
    machine has no key to search by.
    """
    site.allowed.take(site.principal)
    tokens = find_tokens(site.store, site.lookup.keys, site.lookup.everyone(), name)
    site.trail.append("lookup.seller", f"{len(tokens)} found", actor=site.actor())
    return tokens
