"""Show what a shift hands over to the next, with charts of the last month."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from markupsafe import Markup, escape

from alerts.cases.actions import parse_past_moment
from alerts.cases.queue import Handover, HandoverPart, IncidentQueue, handover
from alerts.coverage import view
from alerts.coverage.report import CoverageReader, to_typed, verdict
from alerts.deadlines.schedule import Work
from alerts.records import SEVERITIES
from alerts.records.document import QueryError
from alerts.store.queries import NO_SCENARIO, Recent, count_recent, count_sightings, list_days
from alerts.translation import named
from alerts.web.dependencies import Console, Text, redact_form, require_permission
from alerts.web.pages.coverage import describe_gap
from alerts.web.templating import READER, MenuEntry, speaker
from ullage.phrase import Phrase
from ullage.settings.tenants import UnknownTenantError
from ullage.verdict import load_verdict_rules

CHART_WIDTH, ROW, THICK, ROOM = 340, 42, 12, 62
"""Pixels: of the picture, of a row, of a bar, and of the number at its end."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the chart: its name, its amount, and a description."""

    name: str
    amount: int
    said: str


def draw_scenarios(title: str, said: str, bars: Sequence[Bar]) -> Markup:
    """Return a bar chart as SVG, with a bar per element of `bars`, from top to bottom.

    `title` and `said` describe it to screen readers. A name is above its bar, so that the chart
    fits a phone.
    """
    most, height = max((bar.amount for bar in bars), default=0), ROW * len(bars)
    head = Markup(
        '<svg class="bars" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img"'
        ' aria-labelledby="scen-t scen-d"><title id="scen-t">{2}</title><desc'
        ' id="scen-d">{3}</desc>'
    ).format(CHART_WIDTH, height, title, said)
    return Markup("").join(
        (
            head,
            *(_draw_bar(bar, ROW * number, most) for number, bar in enumerate(bars)),
            Markup("</svg>"),
        )
    )


def _draw_bar(bar: Bar, top: int, most: int) -> Markup:
    long = max(1.0, (CHART_WIDTH - ROOM) * bar.amount / most) if bar.amount else 0.0
    return Markup(
        '<g><title>{}</title><text class="name" x="0" y="{}">{}</text>'
        '<rect class="exposed" x="0" y="{}" width="{:.1f}" height="{}" rx="2"/>'
        '<text class="name" x="{:.1f}" y="{}">{:,}</text></g>'
    ).format(bar.said, top + 15, bar.name, top + 22, long, THICK, long + 6, top + 33, bar.amount)


LEFT, DAY_WIDTH, TOP, TALL, GAP, SHORT, FOOT = 4, 21, 34, 92, 34, 30, 20
"""Pixels: left edge, a day, name and number above bars, the bars of incidents, between both, the
bars of sightings, dates.
"""
FULL = 100
"""Of so many incidents a day's number is wider than its bar."""
DATED = 5
"""A date stands under every so many days, counted from the last."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the timeline: its label, sightings, and incidents by severity, most severe first.

    `said` describes all of it.
    """

    name: str
    incidents: Mapping[str, int]
    sightings: int
    said: str


def draw_timeline(title: str, said: str, names: tuple[str, str], days: Sequence[Day]) -> Markup:
    """Return the timeline as SVG: bars of incidents by severity, and below them bars of sightings.

    `names` are the titles of these two rows. `days` are from left to right.
    """
    width, height = LEFT * 2 + DAY_WIDTH * len(days), TOP + TALL + GAP + SHORT + FOOT
    most = max((sum(day.incidents.values()) for day in days), default=0)
    most_seen = max((day.sightings for day in days), default=0)
    head = Markup(
        '<svg class="bars" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img"'
        ' aria-labelledby="time-t time-d"><title id="time-t">{2}</title><desc'
        ' id="time-d">{3}</desc><text class="name" x="{4}" y="11">{5}</text><text class="name"'
        ' x="{4}" y="{6}">{7}</text>'
    ).format(width, height, title, said, LEFT, names[0], TOP + TALL + 17, names[1])
    numbered = _choose_labelled_days([sum(day.incidents.values()) for day in days])
    drawn = [
        _draw_day(day, number, most, most_seen, number in numbered)
        for number, day in enumerate(days)
    ]
    feet = [_draw_line(width, TOP + TALL), _draw_line(width, TOP + TALL + GAP + SHORT)]
    dates = [
        Markup('<text x="{}" y="{}">{}</text>').format(_middle(number), height - 5, day.name)
        for number, day in enumerate(days)
        if (len(days) - 1 - number) % DATED == 0
    ]
    return Markup("").join((head, *drawn, *feet, *dates, Markup("</svg>")))


def _choose_labelled_days(totals: Sequence[int]) -> set[int]:
    """Return the days whose total is printed.

    These are all days while two digits suffice; otherwise the day with the highest total, and the
    last one unless it is next to that.
    """
    days_with_incidents = [number for number, total in enumerate(totals) if total]
    if max(totals, default=0) < FULL or not days_with_incidents:
        return set(days_with_incidents)
    most, last = totals.index(max(totals)), days_with_incidents[-1]
    return {most, last} if last - most > 1 else {most}


def _draw_day(day: Day, number: int, most: int, most_seen: int, is_numbered: bool) -> Markup:
    """Draw the bars of a day, with a background so that an empty day has a tooltip too."""
    tall = TOP + TALL + GAP + SHORT
    ground = (
        f'<rect class="ground" x="{LEFT + DAY_WIDTH * number}" y="0" width="{DAY_WIDTH}"'
        f' height="{tall}"/>'
    )
    bars = "".join(
        (*_draw_incidents(day, number, most, is_numbered), *_draw_sightings(day, number, most_seen))
    )
    return Markup(f"<g><title>{escape(day.said)}</title>{ground}{bars}</g>")  # noqa: S704 - escaped


def _draw_incidents(day: Day, number: int, most: int, is_numbered: bool) -> Iterator[str]:
    foot = float(TOP + TALL)
    for severity, count in day.incidents.items():
        if count:
            tall = TALL * count / most
            foot -= tall
            yield _draw_day_bar(severity, number, foot, tall)
    if is_numbered:
        yield f'<text x="{_middle(number)}" y="{foot - 4:.1f}">{sum(day.incidents.values())}</text>'


def _draw_sightings(day: Day, number: int, most: int) -> Iterator[str]:
    if day.sightings:
        tall = SHORT * day.sightings / most
        yield _draw_day_bar("sightings", number, TOP + TALL + GAP + SHORT - tall, tall)


def _draw_day_bar(kind: str, number: int, top: float, tall: float) -> str:
    """Draw a bar, at least one pixel high, so that it is visible."""
    place = (
        f'x="{LEFT + DAY_WIDTH * number + 2}" y="{top:.1f}" width="{DAY_WIDTH - 4}"'
        f' height="{max(1.0, tall):.1f}"'
    )
    return f'<rect class="{escape(kind)}" {place}/>'


def _draw_line(width: int, y: int) -> Markup:
    return Markup('<line x1="0" y1="{0}" x2="{1}" y2="{0}"/>').format(y, width)


def _middle(number: int) -> int:
    return LEFT + DAY_WIDTH * number + DAY_WIDTH // 2


GRAVEST_FIRST = tuple(reversed(SEVERITIES))
SCENARIOS_SHOWN = 6
"""Scenarios; what is beyond stands in the last of them."""


@dataclass(frozen=True, slots=True)
class Month:
    """Both charts and their data as text; `scenarios` is "" without affected customers."""

    days: tuple[Day, ...]
    severities: tuple[str, ...]
    """Those that there are, the gravest first."""
    timeline: Markup
    scenarios: Markup


def summarize_month(site: Console, tenant: str = "") -> Month:
    """Return charts and data of the last 30 days of a tenant, or of all visible tenants for "".

    Texts are in the reader's language. False positives are left out.
    """
    say = speaker()
    recent_incidents = count_recent(site.store, site.clock.now(), site.zone or UTC, tenant)
    days = tuple(_list_days(site, recent_incidents, tenant, say))
    severities = tuple(
        severity for severity in GRAVEST_FIRST if any(day.incidents[severity] for day in days)
    )
    title, description = (
        say(Phrase("Incidents and sightings of 30 days")),
        say(Phrase("The same data is in the table below.")),
    )
    names = say(Phrase("Incidents opened, by severity")), say(Phrase("Sightings"))
    bars = [*_list_bars(recent_incidents, say)]
    who = (
        say(Phrase("Affected customers in 30 days, by scenario")),
        say(Phrase("A customer in two incidents is counted twice.")),
    )
    return Month(
        days,
        severities,
        draw_timeline(title, description, names, days),
        draw_scenarios(*who, bars) if bars else Markup(""),
    )


def _list_days(
    site: Console, recent_incidents: Recent, tenant: str, say: Callable[[object], str]
) -> Iterator[Day]:
    language = READER.get().language
    days = list_days(site.clock.now(), site.zone or UTC)
    for day, sightings in zip(
        days, count_sightings(site.store, days, site.zone or UTC, tenant), strict=True
    ):
        counts: dict[str, int] = {
            severity: recent_incidents.opened[day, severity] for severity in GRAVEST_FIRST
        }
        totals = say(
            Phrase(
                "%(incidents)s incidents, %(sightings)s sightings",
                incidents=sum(counts.values()),
                sightings=sightings,
            )
        )
        by_severity = ", ".join(
            f"{count} {named(severity, 'severity', language)}"
            for severity, count in counts.items()
            if count
        )
        yield Day(
            f"{day:%m-%d}",
            counts,
            sightings,
            f"{day:%Y-%m-%d}: {totals}{f' ({by_severity})' if by_severity else ''}",
        )


def _list_bars(recent_incidents: Recent, say: Callable[[object], str]) -> Iterator[Bar]:
    amounts = dict[str, int]()
    for (_, scenario, _), customers in recent_incidents.customers.items():
        amounts[scenario] = amounts.get(scenario, 0) + customers
    ranked = sorted(
        ((amount, name) for name, amount in amounts.items() if amount),
        key=lambda pair: (-pair[0], pair[1]),
    )
    titles = _list_titles(say)
    for amount, scenario in (
        ranked[: SCENARIOS_SHOWN - 1] if len(ranked) > SCENARIOS_SHOWN else ranked
    ):
        yield _bar(titles.get(scenario, scenario), amount, say)
    if len(ranked) > SCENARIOS_SHOWN:
        yield _bar(say(Phrase("All others")), _sum(ranked[SCENARIOS_SHOWN - 1 :]), say)


def _sum(ranked: Iterable[tuple[int, str]]) -> int:
    return sum(amount for amount, _ in ranked)


def _bar(name: str, amount: int, say: Callable[[object], str]) -> Bar:
    return Bar(
        name,
        amount,
        say(
            Phrase(
                "%(scenario)s: %(customers)s customers",
                scenario=name,
                customers=format(amount, ","),
            )
        ),
    )


def _list_titles(say: Callable[[object], str]) -> Mapping[str, str]:
    is_chinese = READER.get().language == "zh"
    titles = {
        scenario.id: scenario.title_zh if is_chinese else scenario.title
        for scenario in load_verdict_rules().scenario
    }
    return {**titles, NO_SCENARIO: say(Phrase("No known scenario"))}


MENU = MenuEntry("/handover", Phrase("Handover"), "incident.read coverage.read", "work", 2)
INCIDENTS_SHOWN = 5
"""Incidents of a part; the queue has all."""


def routes() -> APIRouter:
    """Return the route of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/handover", dependencies=[require_permission("coverage.read")])
    def show_handover(
        site: Annotated[Console, require_permission("incident.read")],
        since: Text = "",
        tenant: Text = "",
    ) -> HTMLResponse:
        typed = {"since": since, "tenant": tenant}
        try:
            site.require_known_tenant(tenant)
            zone, now = ZoneInfo(site.duties.tenant(tenant).zone), site.clock.now()
            return _show_page(
                site, typed, tenant, parse_past_moment(since, zone, now) if since else None
            )
        except (QueryError, UnknownTenantError) as error:
            return _show_page(site, typed, "", None, refused=error)

    return router


def _show_page(
    site: Console,
    typed: dict[str, str],
    tenant: str,
    since: datetime | None,
    refused: Exception | None = None,
) -> HTMLResponse:
    ledger = CoverageReader(site.context, site.store)
    queue = IncidentQueue(Work(site.duties), site.principal.name, site.shifts)
    details = handover(queue, tenant, since, INCIDENTS_SHOWN)
    gaps = view.merge_gaps(details.blind.gaps(), ledger.zone)
    return site.page(
        "handover.html",
        400 if refused else 200,
        found=details,
        parts_shown=[*_list_parts(details, tenant)],
        rows=details.rows(),
        verdict=verdict(details.blind, ()),
        unexplained=len(details.blind.find_unexplained()),
        gaps=[describe_gap(gap, details.blind, ledger) for gap in reversed(gaps)],
        coverage_query=urlencode({"since": to_typed(details.since, ledger.zone)}),
        month=summarize_month(site, tenant),
        typed=redact_form(typed),
        refused=refused,
    )


def _list_parts(details: Handover, tenant: str) -> Iterator[tuple[Phrase, HandoverPart, str]]:
    """Yield each part with its title and its address in the incident list."""
    new = {"tab": "all", "since": details.since.isoformat(timespec="seconds")}
    places = (new, {"status": "open"}, {"tab": "due"}, {"tab": "unassigned"})
    for (title, part), place in zip(details.parts().items(), places, strict=True):
        query = urlencode({**place, "flat": "1", **({"tenant": tenant} if tenant else {})})
        yield title, part, f"/?{query}"
