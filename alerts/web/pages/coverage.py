"""Show what was monitored: each site hour by hour, the reasons for gaps, and the signed report."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup, escape

from alerts.coverage import view
from alerts.coverage.hours import CoverageHour, CoverageWindow, SiteCoverage
from alerts.coverage.report import LAST_NIGHT, CoverageReader, summarize_night, to_typed, verdict
from alerts.records.document import QueryError
from alerts.web.dependencies import Console, Text, require_permission
from alerts.web.templating import READER, MenuEntry, speaker
from ullage.display import safe
from ullage.errors import ConfigError
from ullage.phrase import Phrase
from ullage.records.heartbeat import WHY

NAME, WIDTH, HEIGHT, HEAD, CHARACTERS = 176, 27, 24, 40, 22
"""Pixels: of the column with names, of a field, of the heads; and characters of a name, of which
a wide one counts as two.
"""


class HeatMapCell(NamedTuple):
    """One hour of a heat map.

    `kind` is its class in the style sheet, `mark` the character in it, `said` its description.
    """

    kind: str
    mark: str
    said: str


@dataclass(frozen=True, slots=True)
class HeatMapRow:
    """A row of a heat map: its name, and one cell for each column."""

    name: str
    fields: tuple[HeatMapCell, ...]


def draw_heat_map(
    title: str,
    said: str,
    days: Sequence[tuple[str, int]],
    heads: Sequence[str],
    lines: Sequence[HeatMapRow],
) -> Markup:
    """Return a heat map as SVG, with a row per element of `lines` and a column per head.

    `title` and `said` describe it to screen readers. `days` are names, each with the number of
    columns it spans, in their order. Texts are escaped here.
    """
    width, height = NAME + WIDTH * len(heads) + 1, HEAD + HEIGHT * len(lines)
    parts = [
        Markup(
            '<svg class="heat" viewBox="0 0 {} {}" width="{}" height="{}" role="img"'
            ' aria-labelledby="heat-t heat-d">'
        ).format(width, height, width, height),
        Markup('<title id="heat-t">{}</title><desc id="heat-d">{}</desc>').format(title, said),
        *_draw_heads(days, heads),
    ]
    drawn = (_draw_row(line, HEAD + HEIGHT * number) for number, line in enumerate(lines))
    return Markup("").join((*parts, *drawn, Markup("</svg>")))


def _draw_heads(days: Sequence[tuple[str, int]], heads: Sequence[str]) -> Iterator[Markup]:
    first = 0
    for day, hours in days:
        yield Markup('<text class="day" x="{}" y="14">{}</text>').format(
            NAME + WIDTH * first + 3, day if hours > 2 else ""
        )
        first += hours
    for number, head in enumerate(heads):
        yield Markup('<text class="head" x="{}" y="32">{}</text>').format(
            NAME + WIDTH * number + WIDTH // 2, head
        )


def _draw_row(line: HeatMapRow, top: int) -> Markup:
    """Draw a row; it is assembled as text, because there may be tens of thousands of cells."""
    middle, name = top + HEIGHT // 2 + 4, escape(line.name)
    parts = [
        (
            '<text class="name" x="0"'
            f' y="{middle}">{escape(_shorten(line.name))}<title>{name}</title></text>'
        )
    ]
    for number, cell in enumerate(line.fields):
        x, (before, after) = NAME + WIDTH * number, _render_cell(cell)
        parts.append(
            f'{before}<rect x="{x + 1}" y="{top + 1}" width="{WIDTH - 2}" height="{HEIGHT - 2}"'
            f' rx="3"/><text x="{x + WIDTH // 2}" y="{middle}">{after}'
        )
    return Markup("".join(parts))  # noqa: S704 - escaped


@lru_cache(maxsize=1024)
def _render_cell(field: HeatMapCell) -> tuple[str, str]:
    """Return the SVG before and after a cell's position; most cells are alike."""
    return (
        f'<g class="{escape(field.kind)}"><title>{escape(field.said)}</title>',
        f"{escape(field.mark)}</text></g>",
    )


def _shorten(name: str) -> str:
    """Cut a name to the width of its column.

    >>> _shorten("a" * 30), _shorten("short")
    ('aaaaaaaaaaaaaaaaaaaaa…', 'short')
    """
    room = CHARACTERS
    for number, letter in enumerate(name):
        room -= 1 if letter.isascii() else 2
        if room < 0:
            return name[: number - 1] + "…"
    return name


MENU = MenuEntry("/coverage", Phrase("Coverage"), "coverage.read", "proof", 1)
WINDOWS = {
    LAST_NIGHT: Phrase("Last night"),
    "24h": Phrase("24 hours"),
    "3d": Phrase("3 days"),
    "7d": Phrase("7 days"),
}
STATES = {"off": Phrase("not scheduled"), "open": Phrase("not assessed yet")}
STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
Reader = Annotated[Console, require_permission("coverage.read")]
Explainer = Annotated[Console, require_permission("coverage.explain")]
Typed = Annotated[str, Form(max_length=2_000)]


def routes() -> APIRouter:
    """Return the routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/coverage")
    def show_coverage(
        console: Reader,
        since: Text = LAST_NIGHT,
        until: Text = "",
        site: Text = "",
        everything: Text = "",
    ) -> HTMLResponse:
        try:
            return _show_page(console, since, until, site, everything=bool(everything))
        except (ConfigError, QueryError) as error:
            return _refuse_window(console, error, since=since, until=until, site=site)

    @router.get("/coverage/sheet")
    def sheet(
        console: Reader,
        since: Text = LAST_NIGHT,
        until: Text = "",
        site: Text = "",
        save: Text = "",
    ) -> Response:
        ledger = CoverageReader(console.context, console.store)
        try:
            window_coverage = ledger.read_window(since, until, site)
        except ConfigError as error:
            return _refuse_window(console, error, since=since, until=until, site=site)
        text, _ = ledger.render(
            window_coverage,
            ledger.check_days(window_coverage),
            console.principal.name,
            READER.get().language,
            console.tenants,
        )
        return _send_unchanged(
            text,
            f"coverage-{window_coverage.since.astimezone(ledger.zone):%Y%m%dT%H%M}.html"
            if save
            else "",
        )

    @router.post("/coverage/explain")
    def explain(
        console: Explainer,
        site: Annotated[list[str], Form()],
        since: Typed = "",
        until: Typed = "",
        reason: Typed = "",
        window: Typed = LAST_NIGHT,
    ) -> Response:
        ledger = CoverageReader(console.context, console.store)
        whose = () if console.principal.sees_all else console.principal.tenants
        try:
            for site_name in site:
                ledger.explain(
                    console.trail,
                    since,
                    until,
                    site=site_name,
                    reason=reason,
                    by=console.principal.name,
                    tenants=whose,
                )
        except (ConfigError, QueryError) as error:
            typed_values = {"since": since, "until": until, "site_names": site, "reason": reason}
            return _show_page(
                console, window, "", "", refused={"reason": error}, explaining=typed_values
            )
        return RedirectResponse(f"/coverage?{urlencode({'since': window})}#gaps", 303)

    return router


def _refuse_window(console: Console, error: Exception, **typed: str) -> HTMLResponse:
    """Show last night with the error, and what was typed in the form."""
    return _show_page(console, LAST_NIGHT, "", "", refused={"window": error}, typed=typed)


def _send_unchanged(text: str, save_as: str) -> Response:
    """Send the signed report byte for byte; its style is allowed by its digest.

    `save_as` is the name under which a browser saves it, "" to show it.
    """
    style = STYLE.search(text)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    headers = {
        "content-security-policy": (
            f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'; base-uri"
            " 'none'"
        )
    }
    if save_as:
        headers["content-disposition"] = f'attachment; filename="{save_as}"'
    return Response(text.encode(), media_type="text/html; charset=utf-8", headers=headers)


def _show_page(
    console: Console,
    since: str,
    until: str,
    site: str,
    *,
    everything: bool = False,
    refused: dict[str, Exception] | None = None,
    typed: dict[str, str] | None = None,
    explaining: dict[str, Any] | None = None,
) -> HTMLResponse:
    ledger = CoverageReader(console.context, console.store)
    coverage = ledger.read_window(since, until, site)
    sheets, zone = ledger.check_days(coverage), ledger.zone
    rows = view.select_rows(coverage, everything)
    say = speaker()
    query = {
        name: value for name, value in (("since", since), ("until", until), ("site", site)) if value
    }
    shown = {
        "verdict": verdict(coverage, sheets),
        "has_begun": coverage.has_begun,
        "totals": view.compute_totals(coverage),
        "night": summarize_night(
            console.store, coverage.since, coverage.until, console.context.clock.now()
        ),
        "canaries": len([at for at in coverage.canaries if coverage.since <= at < coverage.until]),
        "judged_hours": len(
            [
                1
                for at in _list_hours(coverage)
                if (coverage.begins or coverage.since) <= at < coverage.judged
            ]
        ),
        "pictures": [*_draw_heat_maps(coverage, rows, say, ledger)],
        "letters": [(letter.replace(".", "×"), WHY[letter]) for letter in _list_letters(rows)],
        "gaps": [
            describe_gap(gap, coverage, ledger)
            for gap in reversed(view.merge_gaps(coverage.gaps(), zone))
        ],
        "unwatched": sorted((row.unwatched, row.site) for row in coverage.rows if row.unwatched),
        "short_lived": [row for row in coverage.rows if row.is_short_lived],
        "sheets": sheets,
        "left_out": len(coverage.rows) - len(rows),
        "windows": WINDOWS,
        "since": since,
        "typed": (
            typed
            or {
                "since": to_typed(coverage.since, zone).replace("T", " "),
                "until": until,
                "site": site,
            }
        ),
        "explaining": explaining,
        "from_": to_typed(coverage.since, zone).replace("T", " "),
        "to": to_typed(coverage.until, zone).replace("T", " "),
        "zone": zone.key,
        "query": urlencode(query),
    }
    faults = {"window": None, "reason": None, **(refused or {})}
    return console.page("coverage.html", 400 if refused else 200, **shown, refused=faults)


def _list_hours(seen: CoverageWindow) -> list[Any]:
    return [cell.at for cell in seen.rows[0].cells] if seen.rows else []


def _list_letters(rows: Sequence[SiteCoverage]) -> dict[str, None]:
    return dict.fromkeys(x for row in rows for cell in row.cells if cell.has_gap for x in cell.why)


def describe_gap(
    gap: view.SharedGap, seen: CoverageWindow, ledger: CoverageReader
) -> dict[str, Any]:
    """Return what a page shows of a gap, by name, and what the form to explain it needs.

    `many` says that it is a gap of several sites and all in the window. `since` and `until` are as
    people type them, in the zone of the coverage log; `site_names` are for the form and `sites` for
    display.
    """
    return {
        "when": view.format_span(gap.since, gap.until, ledger.zone),
        "sites": [safe(name) for name in gap.sites],
        "many": len(gap.sites) > 1 and len(gap.sites) == len(seen.rows),
        "why": view.list_reasons(gap),
        "explained": gap.explained,
        "since": to_typed(gap.since, ledger.zone),
        "until": to_typed(gap.until, ledger.zone),
        "site_names": gap.sites,
    }


def _draw_heat_maps(
    seen: CoverageWindow,
    rows: Sequence[SiteCoverage],
    say: Callable[[object], str],
    ledger: CoverageReader,
) -> Iterator[Any]:
    """Draw a heat map for every `view.COLUMNS` hours, latest first; nothing without rows.

    Where canary posts were expected, a last row shows which hours reported them.
    """
    hours, field = [cell.at for cell in rows[0].cells] if rows else [], _cache_cells(say)
    for first in reversed(range(0, len(hours), view.COLUMNS)):
        times = [at.astimezone(ledger.zone) for at in hours[first : first + view.COLUMNS]]
        days = [(day, len(list(group))) for day, group in groupby(f"{at:%m-%d}" for at in times)]
        lines = [
            HeatMapRow(
                safe(row.site),
                tuple([field(hour) for hour in row.cells[first : first + view.COLUMNS]]),
            )
            for row in rows
        ]
        if seen.canaries:
            reported = [at in seen.canaries for at in hours[first : first + view.COLUMNS]]
            reported_cells = [
                HeatMapCell(
                    "told" if yes else "off",
                    "✓" if yes else "",
                    say(Phrase("reported in time")) if yes else "",
                )
                for yes in reported
            ]
            lines.append(HeatMapRow(say(Phrase("canary posts reported")), tuple(reported_cells)))
        between = f"{times[0]:%Y-%m-%d %H:%M} – {times[-1]:%Y-%m-%d %H:%M}"
        title = say(Phrase("Hourly coverage of each site, %(between)s", between=between))
        yield draw_heat_map(
            title,
            say(Phrase("The gaps are listed below.")),
            days,
            [f"{at:%H}" for at in times],
            lines,
        )


def _cache_cells(say: Callable[[object], str]) -> Callable[[CoverageHour], HeatMapCell]:
    """Return a function that makes cells; equal hours are described only once."""
    cells = dict[tuple[object, ...], HeatMapCell]()

    def field(cell: CoverageHour) -> HeatMapCell:
        alike = (cell.state, cell.seen, cell.posts, cell.explained, *cell.why.items())
        result = cells.get(alike)
        if result is None:
            result = cells[alike] = _make_cell(cell, say)
        return result

    return field


def _make_cell(cell: CoverageHour, say: Callable[[object], str]) -> HeatMapCell:
    letter = next(iter(cell.why), "").replace(".", "×")
    if cell.has_gap:
        why = say(tuple(WHY[reason] for reason in cell.why))
        description = say(
            Phrase("not covered for %(minutes)s minutes: %(why)s", minutes=cell.blind, why=why)
        )
        mark = letter if cell.is_uncovered or letter != "×" else "~"
        return HeatMapCell("explained" if cell.explained else cell.state, mark, description)
    mark = {
        "seen": str(cell.posts) if cell.posts < view.MANY else f">{view.MANY - 1}",
        "off": "",
        "open": "…",
    }[cell.state]
    if not cell.is_covered:
        words = STATES[cell.state]
    elif cell.is_full:
        words = Phrase("covered, %(posts)s new posts", posts=cell.posts)
    else:
        words = Phrase(
            "covered for %(minutes)s minutes, %(posts)s new posts",
            minutes=cell.seen,
            posts=cell.posts,
        )
    return HeatMapCell(cell.state, mark, say(words))
