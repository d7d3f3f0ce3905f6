"""Watchlists: how many customers match looks for, by what it last told, and the lists of what is
recorded; never who.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from alerts.records import CollectorHeartbeat
from alerts.store import DocumentFilter
from alerts.web.dependencies import Console, require_permission
from alerts.web.pages.audit import did
from alerts.web.templating import MenuEntry, StatePage, TableCell, TableSection, Tone
from ullage.audit.trail import FOLDER
from ullage.audit.verify import list_watchlist_changes
from ullage.phrase import Phrase

SHOWN = 50
MENU = MenuEntry("/watchlists", Phrase("Customer lists"), "watchlist.read", "state", 3)


def routes() -> APIRouter:
    """The route of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/watchlists")
    def shown(site: Annotated[Console, require_permission("watchlist.read")]) -> HTMLResponse:
        hosts = sorted(
            site.store.scroll(CollectorHeartbeat, DocumentFilter()), key=lambda one: one.id
        )
        told = [one.enrolled for one in hosts if one.enrolled is not None]
        verdict: Phrase
        tone: Tone
        verdict, tone = (
            (Phrase("Match has not yet reported how many customers it searches for."), "unsure")
            if not told
            else (
                (
                    Phrase(
                        "Match had no customer list at its last heartbeat, so no customer can be"
                        " found."
                    ),
                    "bad",
                )
                if not min(told)
                else (
                    Phrase("Match searches for %(count)s customers.", count=format(min(told), ",")),
                    "good",
                )
            )
        )
        sheet = StatePage(
            MENU.name, (_by_host(hosts), _recorded(site), _history(site)), verdict, tone
        )
        return site.page("state.html", sheet=sheet)

    return router


def _by_host(hosts: list[CollectorHeartbeat]) -> TableSection:
    heads = (
        Phrase("Crawl host"),
        Phrase("First heartbeat"),
        Phrase("Last heartbeat"),
        Phrase("Customers searched for"),
    )
    rows = [
        [
            TableCell(one.id, code=True),
            TableCell(one.first),
            TableCell(one.last),
            TableCell(one.enrolled if one.enrolled is not None else Phrase("not reported")),
        ]
        for one in hosts
    ]
    empty = Phrase("No heartbeat from match yet. Run `ullage watchlist show` on its host.")
    note = Phrase(
        "match reports it with every heartbeat; sizes by kind, and age: `ullage watchlist show` on"
        " its host"
    )
    return TableSection(Phrase("What match searches for"), heads, rows, empty, note)


def _history(site: Console) -> TableSection:
    """What was done with the lists on this machine, of tenants that may be seen."""
    found = [
        one
        for one in list_watchlist_changes(site.context.data / FOLDER)
        if site.principal.sees(one.tenant)
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
            TableCell(one.at),
            TableCell(one.tenant, code=True),
            did(one.action),
            TableCell(one.object),
            TableCell(one.actor),
            TableCell(one.digest[:16], code=True),
        ]
        for one in found[:SHOWN]
    ]
    more = (
        Phrase("Only the newest %(shown)s are shown; search for older ones.", shown=SHOWN)
        if len(found) > SHOWN
        else None
    )
    empty = Phrase(
        "No customer list operations on this machine. If lists are built elsewhere, see the audit"
        " log of that machine."
    )
    note = Phrase("loads with their sizes, from the audit log of this machine")
    return TableSection(Phrase("History"), heads, rows, empty, note, more=more)


def _recorded(site: Console) -> TableSection:
    """The lists that a person check asks whether somebody is recorded at all."""
    now, lists = site.clock.now(), site.lookup.lists
    rows = []
    for tenant in (one for one in (lists.tenants() if lists else ()) if site.principal.sees(one)):
        found = lists.of(tenant, now) if lists else None
        state = (
            TableCell(Phrase("in use"), tone="good")
            if found
            else TableCell(Phrase("expired: checks answer “no record” instead"), tone="bad")
        )
        rows.append(
            [
                TableCell(tenant, code=True),
                state,
                TableCell(found.header.expires[:10] if found else "–"),
            ]
        )
    heads = (Phrase("Tenant"), Phrase("State"), Phrase("Until"))
    empty = Phrase(
        "None here: a check of a person cannot answer “registered, not found in any leak”."
    )
    return TableSection(Phrase("Customer registry"), heads, rows, empty)
