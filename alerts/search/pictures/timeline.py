"""Days from left to right: incidents as bars stacked by severity, the gravest at the foot, and sightings below them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

LEFT, WIDTH, TOP, TALL, GAP, SHORT, FOOT = 4, 21, 34, 92, 34, 30, 20
"""Pixels: left edge, a day, name and number above bars, the bars of incidents, between both, the bars of sightings, dates."""
FULL = 100
"""Of so many incidents a day's number is wider than its bar."""
DATED = 5
"""A date stands under every so many days, counted from the last."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day: what stands below it, incidents by severity with the gravest first, sightings, and all of it in words."""

    name: str
    incidents: Mapping[str, int]
    sightings: int
    said: str


def timeline(title: str, said: str, names: tuple[str, str], days: Sequence[Day]) -> Markup:
    """The picture; `names` are those of both rows of bars."""
    width, height = LEFT * 2 + WIDTH * len(days), TOP + TALL + GAP + SHORT + FOOT
    most = max((sum(day.incidents.values()) for day in days), default=0)
    most_seen = max((day.sightings for day in days), default=0)
    head = Markup(
        '<svg class="bars" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-labelledby="time-t time-d">'
        '<title id="time-t">{2}</title><desc id="time-d">{3}</desc>'
        '<text class="name" x="{4}" y="11">{5}</text><text class="name" x="{4}" y="{6}">{7}</text>'
    ).format(width, height, title, said, LEFT, names[0], TOP + TALL + 17, names[1])
    numbered = _numbered([sum(day.incidents.values()) for day in days])
    drawn = [_day(day, number, most, most_seen, number in numbered) for number, day in enumerate(days)]
    feet = [_line(width, TOP + TALL), _line(width, TOP + TALL + GAP + SHORT)]
    dates = [
        Markup('<text x="{}" y="{}">{}</text>').format(_middle(number), height - 5, day.name)
        for number, day in enumerate(days)
        if (len(days) - 1 - number) % DATED == 0
    ]
    return Markup("").join((head, *drawn, *feet, *dates, Markup("</svg>")))


def _numbered(totals: Sequence[int]) -> set[int]:
    """The days over which a number stands: all where two digits do, else the one of most, and the last if it is not beside it."""
    there = [number for number, total in enumerate(totals) if total]
    if max(totals, default=0) < FULL or not there:
        return set(there)
    most, last = totals.index(max(totals)), there[-1]
    return {most, last} if last - most > 1 else {most}


def _day(day: Day, number: int, most: int, most_seen: int, is_numbered: bool) -> Markup:
    """Its bars; the ground behind them takes the pointer, so that a day without any says so as well."""
    tall = TOP + TALL + GAP + SHORT
    ground = f'<rect class="ground" x="{LEFT + WIDTH * number}" y="0" width="{WIDTH}" height="{tall}"/>'
    bars = "".join((*_stack(day, number, most, is_numbered), *_seen(day, number, most_seen)))
    return Markup(f"<g><title>{escape(day.said)}</title>{ground}{bars}</g>")  # noqa: S704 - what is from outside is escaped


def _stack(day: Day, number: int, most: int, is_numbered: bool) -> Iterator[str]:
    foot = float(TOP + TALL)
    for severity, count in day.incidents.items():
        if count:
            tall = TALL * count / most
            foot -= tall
            yield _bar(severity, number, foot, tall)
    if is_numbered:
        yield f'<text x="{_middle(number)}" y="{foot - 4:.1f}">{sum(day.incidents.values())}</text>'


def _seen(day: Day, number: int, most: int) -> Iterator[str]:
    if day.sightings:
        tall = SHORT * day.sightings / most
        yield _bar("sightings", number, TOP + TALL + GAP + SHORT - tall, tall)


def _bar(kind: str, number: int, top: float, tall: float) -> str:
    """At least a pixel: what is there is seen."""
    place = f'x="{LEFT + WIDTH * number + 2}" y="{top:.1f}" width="{WIDTH - 4}" height="{max(1.0, tall):.1f}"'
    return f'<rect class="{escape(kind)}" {place}/>'


def _line(width: int, y: int) -> Markup:
    return Markup('<line x1="0" y1="{0}" x2="{1}" y2="{0}"/>').format(y, width)


def _middle(number: int) -> int:
    return LEFT + WIDTH * number + WIDTH // 2
