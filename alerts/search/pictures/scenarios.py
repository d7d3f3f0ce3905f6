"""A bar a scenario, the longest first: whom a month exposed to what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, ROW, THICK, ROOM = 340, 42, 12, 62
"""Pixels: of the picture, of a row, of a bar, and of the number at its end."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A row: its name, how much, and that in words."""

    name: str
    amount: int
    said: str


def scenarios(title: str, said: str, bars: Sequence[Bar]) -> Markup:
    """The picture; a name stands above its bar, so that it fits a phone."""
    most, height = max((bar.amount for bar in bars), default=0), ROW * len(bars)
    head = Markup(
        '<svg class="bars" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-labelledby="scen-t scen-d">'
        '<title id="scen-t">{2}</title><desc id="scen-d">{3}</desc>'
    ).format(WIDTH, height, title, said)
    return Markup("").join((head, *(_row(bar, ROW * number, most) for number, bar in enumerate(bars)), Markup("</svg>")))


def _row(bar: Bar, top: int, most: int) -> Markup:
    long = max(1.0, (WIDTH - ROOM) * bar.amount / most) if bar.amount else 0.0
    return Markup(
        '<g><title>{}</title><text class="name" x="0" y="{}">{}</text>'
        '<rect class="exposed" x="0" y="{}" width="{:.1f}" height="{}" rx="2"/>'
        '<text class="name" x="{:.1f}" y="{}">{:,}</text></g>'
    ).format(bar.said, top + 15, bar.name, top + 22, long, THICK, long + 6, top + 33, bar.amount)
