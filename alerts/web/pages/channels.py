"""Show the notification channels: who is notified by which, and whether that works.

The latest notifications are listed too. Only those of tenants that the reader may see are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from alerts.notify.guarded_channel import find_unusable
from alerts.records import Notification
from alerts.store import DocumentFilter
from alerts.translation import named
from alerts.web.dependencies import Console, require_permission
from alerts.web.templating import READER, MenuEntry, StatePage, TableCell, TableSection, Tone
from ullage.phrase import Phrase
from ullage.settings.storage import RouteSettings

MENU = MenuEntry("/channels", Phrase("Channels"), "channel.read", "state", 1)
SHOWN = 50
OUTCOMES: dict[str, tuple[Phrase, Tone]] = {
    "pending": (Phrase("waiting"), "unsure"),
    "sent": (Phrase("sent"), "good"),
    "failed": (Phrase("given up"), "bad"),
    "suppressed": (Phrase("suppressed"), ""),
}


def routes() -> APIRouter:
    """Return the route of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/channels")
    def show_channels(site: Annotated[Console, require_permission("channel.read")]) -> HTMLResponse:
        routes = _find_routes(site)
        names = _find_channels(site, routes)
        unusable = find_unusable(site.store, names)
        lines = [_build_row(site, name, unusable.get(name, "")) for name in names]
        bad = sum(line[2].tone == "bad" for line in lines)
        verdict = (
            Phrase("No recipient for any incident: no channel is configured.")
            if not lines
            else Phrase("%(bad)s of %(all)s channels fail to deliver.", bad=bad, all=len(lines))
            if bad
            else Phrase("No notifications are overdue on %(all)s channels.", all=len(lines))
        )
        sheet = StatePage(
            MENU.name,
            (
                _build_channel_table(lines),
                _build_log_table(site),
                _build_schedule_table(site),
                _build_route_table(site, routes),
            ),
            verdict,
            "bad" if bad or not lines else "good",
        )
        return site.page("state.html", sheet=sheet)

    return router


def _find_routes(site: Console) -> dict[str, RouteSettings]:
    """Return the routes that apply to visible tenants, by name."""
    every = site.context.settings.notify.routes
    return {
        name: route
        for name, route in every.items()
        if not route.tenants or any(map(site.principal.sees, route.tenants))
    }


def _find_channels(site: Console, routes: Mapping[str, RouteSettings]) -> list[str]:
    """Return the channels of these routes.

    A principal who sees all tenants also gets channels without a route.
    """
    used = {name for route in routes.values() for name in (*route.channels, *route.escalate_to)}
    return [
        name
        for name in site.context.settings.notify.channels
        if name in used or site.principal.sees_all
    ]


def _build_row(site: Console, name: str, fault: str) -> list[TableCell]:
    """Return the row of a channel; `fault` says why alert cannot open it, "" if it can.

    Its state is, in this order: not usable, overdue messages, arrives, nothing sent yet.
    """

    def count(outcome: str) -> int:
        return site.store.count(
            Notification, DocumentFilter({"channel": (name,), "outcome": (outcome,)})
        )

    overdue = DocumentFilter({"channel": (name,), "outcome": ("pending",)}, before=site.clock.now())
    waiting, failed = site.store.count(Notification, overdue), count("failed")
    last = site.store.search(
        Notification, DocumentFilter({"channel": (name,), "outcome": ("sent",)}), 1
    ).items
    state = (
        TableCell(Phrase("not usable: %(fault)s", fault=fault), tone="bad")
        if fault
        else TableCell(Phrase("overdue: %(count)s", count=waiting), tone="bad")
        if waiting
        else TableCell(Phrase("arrives"), tone="good")
        if last
        else TableCell(Phrase("nothing sent yet"), tone="unsure")
    )
    sent = (last[0].sent_at or last[0].due) if last else "–"
    return [
        TableCell(name, code=True),
        TableCell(site.context.settings.notify.channels[name].kind),
        state,
        TableCell(sent),
        TableCell(count("sent")),
        TableCell(failed),
    ]


def _build_channel_table(lines: list[list[TableCell]]) -> TableSection:
    heads = (
        Phrase("Channel"),
        Phrase("Kind of channel"),
        Phrase("State"),
        Phrase("Last sent"),
        Phrase("Sent"),
        Phrase("Given up"),
    )
    empty = Phrase("None: ullage.toml has no [notify.channels.…]. See `ullage check`.")
    return TableSection(MENU.name, heads, lines, empty)


def _build_route_table(site: Console, routes: Mapping[str, RouteSettings]) -> TableSection:
    anything = Phrase("all")
    rows = [
        [
            TableCell(name, code=True),
            TableCell(", ".join(filter(site.principal.sees, route.tenants)) or anything),
            TableCell(named(route.severity, "severity", READER.get().language)),
            TableCell(", ".join(route.channels)),
            TableCell(", ".join(route.escalate_to) or "–"),
        ]
        for name, route in routes.items()
    ]
    heads = (
        Phrase("Route"),
        Phrase("Tenants"),
        Phrase("From severity"),
        Phrase("To channels"),
        Phrase("Then to"),
    )
    return TableSection(
        Phrase("Routes"), heads, rows, Phrase("None: incidents are not sent to any channel.")
    )


def _build_log_table(site: Console) -> TableSection:
    """Return the latest notifications that are no longer waiting, latest first."""
    ended = DocumentFilter({"outcome": tuple(OUTCOMES.keys() - {"pending"})})
    notifications = site.store.search(Notification, ended, SHOWN).items
    latest = sorted(
        notifications, key=lambda sent: (sent.outcome != "suppressed", sent.sent_at or sent.due)
    )
    heads = (
        Phrase("Sent, or given up"),
        Phrase("State"),
        Phrase("Channel"),
        Phrase("Incident"),
        Phrase("Attempts"),
    )
    return TableSection(
        Phrase("Latest notifications"),
        heads,
        _build_notification_rows(site, latest[::-1]),
        Phrase("No notifications yet."),
    )


def _build_schedule_table(site: Console) -> TableSection:
    """Return the notifications that are still to be sent, soonest first."""
    waiting = site.store.search(
        Notification, DocumentFilter({"outcome": ("pending",)}), SHOWN, order="time"
    ).items
    heads = (
        Phrase("Due"),
        Phrase("State"),
        Phrase("Channel"),
        Phrase("Incident"),
        Phrase("Attempts"),
    )
    return TableSection(
        Phrase("Scheduled notifications"),
        heads,
        _build_notification_rows(site, waiting),
        Phrase("None: nothing is waiting to be sent."),
    )


def _build_notification_rows(
    site: Console, notifications: Iterable[Notification]
) -> list[list[TableCell]]:
    return [
        [
            TableCell(notification.sent_at or notification.due),
            TableCell(OUTCOMES[notification.outcome][0], tone=OUTCOMES[notification.outcome][1]),
            TableCell(notification.channel, code=True),
            TableCell(
                notification.incident,
                f"/incidents/{notification.incident}"
                if site.principal.can("incident.read")
                else "",
            ),
            TableCell(notification.attempts),
        ]
        for notification in notifications
    ]
