"""Show the state of customer lists: how many customers match searches for, by its last report.

The lists of enrolled customers on this host are shown too; no customer ever is.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from alerts.records import CollectorHeartbeat
from alerts.store import DocumentFilter
from alerts.web.dependencies import Console, require_permission
from alerts.web.pages.audit import describe_action, show_target
from alerts.web.templating import MenuEntry, StatePage, TableCell, TableSection, Tone
from ullage.audit.trail import FOLDER
from ullage.audit.verify import list_watchlist_changes
from ullage.phrase import Phrase

SHOWN = 50
MENU = MenuEntry("/watchlists", Phrase("Customer lists"), "watchlist.read", "state", 3)


def routes() -> APIRouter:
    """Return the route of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/watchlists")
    def show_lists(site: Annotated[Console, require_permission("watchlist.read")]) -> HTMLResponse:
        hosts = sorted(
            site.store.scroll(CollectorHeartbeat, DocumentFilter()), key=lambda host: host.id
        )
        counts = [host.enrolled for host in hosts if host.enrolled is not None]
        verdict: Phrase
        tone: Tone
        verdict, tone = (
            (Phrase("Match has not yet reported how many customers it searches for."), "unsure")
            if not counts
            else (
                (
                    Phrase(
                        "Match had no customer list at its last heartbeat, so no customer can be"
                        " found."
                    ),
                    "bad",
                )
                if not min(counts)
                else (
                    Phrase(
                        "Match searches for %(count)s customers.", count=format(min(counts), ",")
                    ),
                    "good",
                )
            )
        )
        sheet = StatePage(
            MENU.name,
            (_build_host_table(hosts), _build_registry_table(site), _build_history(site)),
            verdict,
            tone,
        )
        return site.page("state.html", sheet=sheet)

    return router


def _build_host_table(hosts: list[CollectorHeartbeat]) -> TableSection:
    heads = (
        Phrase("Crawl host"),
        Phrase("First heartbeat"),
        Phrase("Last heartbeat"),
        Phrase("Customers searched for"),
    )
    rows = [
        [
            TableCell(host.id, code=True),
            TableCell(host.first),
            TableCell(host.last),
            TableCell(host.enrolled if host.enrolled is not None else Phrase("not reported")),
        ]
        for host in hosts
    ]
    empty = Phrase("No heartbeat from match yet. Run `ullage watchlist show` on its host.")
    note = Phrase(
        "match reports it with every heartbeat; sizes by kind, and age: `ullage watchlist show` on"
        " its host"
    )
    return TableSection(Phrase("What match searches for"), heads, rows, empty, note)


def _build_history(site: Console) -> TableSection:
    """Build the table of list operations on this machine, for visible tenants.

    Only the newest SHOWN (50) are in it, and it says if there are more.
    """
    list_entries = [
        entry
        for entry in list_watchlist_changes(site.context.data / FOLDER)
        if site.principal.sees(entry.tenant)
    ]
    heads = (
        Phrase("When"),
        Phrase("Tenant"),
        Phrase("Action"),
        Phrase("Target"),
        Phrase("Who"),
        Phrase("Entry"),
    )
    rows = [
        [
            TableCell(entry.at),
            TableCell(entry.tenant, code=True),
            describe_action(entry.action),
            TableCell(show_target(entry)),
            TableCell(entry.actor),
            TableCell(entry.digest[:16], code=True),
        ]
        for entry in list_entries[:SHOWN]
    ]
    more = (
        Phrase("Only the newest %(shown)s are shown; search for older ones.", shown=SHOWN)
        if len(list_entries) > SHOWN
        else None
    )
    empty = Phrase(
        "No customer list operations on this machine. If lists are built elsewhere, see the audit"
        " log of that machine."
    )
    note = Phrase("loads with their sizes, from the audit log of this machine")
    return TableSection(Phrase("History"), heads, rows, empty, note, more=more)


def _build_registry_table(site: Console) -> TableSection:
    """Build the table of customer registries used by checks of a person, for visible tenants.

    An expired registry is shown as not in use.
    """
    now, lists = site.clock.now(), site.lookup.lists
    rows = []
    for tenant in (
        name for name in (lists.tenants() if lists else ()) if site.principal.sees(name)
    ):
        enrolled = lists.of(tenant, now) if lists else None
        state = (
            TableCell(Phrase("in use"), tone="good")
            if enrolled
            else TableCell(Phrase("expired: checks answer “no record” instead"), tone="bad")
        )
        rows.append(
            [
                TableCell(tenant, code=True),
                state,
                TableCell(enrolled.header.expires[:10] if enrolled else "–"),
            ]
        )
    heads = (Phrase("Tenant"), Phrase("State"), Phrase("Until"))
    empty = Phrase(
        "None here: a check of a person cannot answer “registered, not found in any leak”."
    )
    return TableSection(Phrase("Customer registry"), heads, rows, empty)
