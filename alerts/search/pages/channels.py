"""Channels: who is told by which, whether that arrives, and what was said last; of tenants that whoever asks may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from alerts.language import named
from alerts.records import Notification
from alerts.search.language import READER
from alerts.search.may import may
from alerts.search.menu import Entry
from alerts.search.sheets import Cell, Section, Sheet, Tone
from alerts.search.site import Site
from alerts.store import Where
from ullage.phrase import Phrase
from ullage.settings.notify import RouteSettings

MENU = Entry("/channels", Phrase("Channels"), "channel.read", "state", 1)
SHOWN = 50
OUTCOMES: dict[str, tuple[Phrase, Tone]] = {
    "pending": (Phrase("waiting"), "unsure"),
    "sent": (Phrase("sent"), "good"),
    "failed": (Phrase("given up"), "bad"),
    "suppressed": (Phrase("silenced"), ""),
}


def routes() -> APIRouter:
    """The route of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/channels")
    def shown(site: Annotated[Site, may("channel.read")]) -> HTMLResponse:
        routes = _routes_of(site)
        lines = [_line(site, name) for name in _channels_of(site, routes)]
        bad = sum(line[2].tone == "bad" for line in lines)
        verdict = (
            Phrase("Nobody is told of any incident: no channel is configured.")
            if not lines
            else Phrase("%(bad)s of %(all)s channels do not arrive.", bad=bad, all=len(lines))
            if bad
            else Phrase("Nothing is overdue on %(all)s channels.", all=len(lines))
        )
        sheet = Sheet(
            MENU.name, (_channels(lines), _routes(site, routes), _log(site)), verdict, "bad" if bad or not lines else "good"
        )
        return site.page("state.html", sheet=sheet)

    return router


def _routes_of(site: Site) -> dict[str, RouteSettings]:
    """The routes that incidents of tenants take that may be seen."""
    every = site.context.settings.notify.routes
    return {name: one for name, one in every.items() if not one.tenants or any(map(site.principal.sees, one.tenants))}


def _channels_of(site: Site, routes: Mapping[str, RouteSettings]) -> list[str]:
    """The channels that these routes lead to; to whoever sees all tenants those as well that no route leads to."""
    used = {name for one in routes.values() for name in (*one.channels, *one.escalate_to)}
    return [name for name in site.context.settings.notify.channels if name in used or site.principal.sees_all]


def _line(site: Site, name: str) -> list[Cell]:
    """A channel: what it is, whether it arrives by what was sent last, and what waits."""

    def count(outcome: str) -> int:
        return site.store.count(Notification, Where({"channel": (name,), "outcome": (outcome,)}))

    overdue = Where({"channel": (name,), "outcome": ("pending",)}, before=site.clock.now())
    waiting, failed = site.store.count(Notification, overdue), count("failed")
    last = site.store.search(Notification, Where({"channel": (name,), "outcome": ("sent",)}), 1).items
    state = (
        Cell(Phrase("overdue: %(count)s", count=waiting), tone="bad")
        if waiting
        else Cell(Phrase("arrives"), tone="good")
        if last
        else Cell(Phrase("nothing was sent yet"), tone="unsure")
    )
    sent = (last[0].sent_at or last[0].due) if last else "–"
    return [
        Cell(name, code=True),
        Cell(site.context.settings.notify.channels[name].kind),
        state,
        Cell(sent),
        Cell(count("sent")),
        Cell(failed),
    ]


def _channels(lines: list[list[Cell]]) -> Section:
    heads = (
        Phrase("Channel"),
        Phrase("Kind of channel"),
        Phrase("State"),
        Phrase("Last sent"),
        Phrase("Sent"),
        Phrase("Given up"),
    )
    empty = Phrase("None: ullage.toml has no [notify.channels.…]. `ullage check` says what is missing.")
    return Section(MENU.name, heads, lines, empty)


def _routes(site: Site, routes: Mapping[str, RouteSettings]) -> Section:
    anything = Phrase("all")
    rows = [
        [
            Cell(name, code=True),
            Cell(", ".join(filter(site.principal.sees, route.tenants)) or anything),
            Cell(named(route.severity, "severity", READER.get().language)),
            Cell(", ".join(route.channels)),
            Cell(", ".join(route.escalate_to) or "–"),
        ]
        for name, route in routes.items()
    ]
    heads = (Phrase("Route"), Phrase("Tenants"), Phrase("From severity"), Phrase("To channels"), Phrase("Then to"))
    return Section(Phrase("Routes"), heads, rows, Phrase("None: no incident goes to any channel."))


def _log(site: Site) -> Section:
    found = site.store.search(Notification, Where(), SHOWN).items
    rows = [
        [
            Cell(one.due),
            Cell(OUTCOMES[one.outcome][0], tone=OUTCOMES[one.outcome][1]),
            Cell(one.channel, code=True),
            Cell(one.incident, f"/incidents/{one.incident}" if site.principal.may("incident.read") else ""),
            Cell(one.attempts),
        ]
        for one in found
    ]
    heads = (Phrase("Due"), Phrase("State"), Phrase("Channel"), Phrase("Incident"), Phrase("Attempts"))
    return Section(Phrase("What was said last"), heads, rows, Phrase("Nothing was said yet."))
