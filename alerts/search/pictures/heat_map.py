"""Rows of sites, columns of hours: a field an hour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from markupsafe import Markup, escape

NAME, WIDTH, HEIGHT, HEAD, CHARACTERS = 176, 27, 24, 40, 22
"""Pixels: of the column with names, of a field, of the heads; and characters of a name, of which a wide one counts as two."""


class HeatMapCell(NamedTuple):
    """One hour: `kind` is its class in the style sheet, `mark` stands in it, `said` is it in words."""

    kind: str
    mark: str
    said: str


@dataclass(frozen=True, slots=True)
class HeatMapRow:
    """A row: its name, and a field for every head."""

    name: str
    fields: tuple[HeatMapCell, ...]


def heat_map(title: str, said: str, days: Sequence[tuple[str, int]], heads: Sequence[str], lines: Sequence[HeatMapRow]) -> Markup:
    """The picture; `days` are names over so many of the heads, in their order."""
    width, height = NAME + WIDTH * len(heads) + 1, HEAD + HEIGHT * len(lines)
    parts = [
        Markup('<svg class="heat" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-labelledby="heat-t heat-d">').format(
            width, height, width, height
        ),
        Markup('<title id="heat-t">{}</title><desc id="heat-d">{}</desc>').format(title, said),
        *_heads(days, heads),
    ]
    drawn = (_line(line, HEAD + HEIGHT * number) for number, line in enumerate(lines))
    return Markup("").join((*parts, *drawn, Markup("</svg>")))


def _heads(days: Sequence[tuple[str, int]], heads: Sequence[str]) -> Iterator[Markup]:
    first = 0
    for day, hours in days:
        yield Markup('<text class="day" x="{}" y="14">{}</text>').format(NAME + WIDTH * first + 3, day if hours > 2 else "")
        first += hours
    for number, head in enumerate(heads):
        yield Markup('<text class="head" x="{}" y="32">{}</text>').format(NAME + WIDTH * number + WIDTH // 2, head)


def _line(line: HeatMapRow, top: int) -> Markup:
    """A field is put together as text: there may be tens of thousands."""
    middle, name = top + HEIGHT // 2 + 4, escape(line.name)
    parts = [f'<text class="name" x="0" y="{middle}">{escape(_cut(line.name))}<title>{name}</title></text>']
    for number, one in enumerate(line.fields):
        left, (before, after) = NAME + WIDTH * number, _said(one)
        parts.append(
            f'{before}<rect x="{left + 1}" y="{top + 1}" width="{WIDTH - 2}" height="{HEIGHT - 2}" rx="3"/>'
            f'<text x="{left + WIDTH // 2}" y="{middle}">{after}'
        )
    return Markup("".join(parts))  # noqa: S704 - what is from outside is escaped


@lru_cache(maxsize=1024)
def _said(field: HeatMapCell) -> tuple[str, str]:
    """What stands before and behind a field's place; most are alike."""
    return f'<g class="{escape(field.kind)}"><title>{escape(field.said)}</title>', f"{escape(field.mark)}</text></g>"


def _cut(name: str) -> str:
    """As much of a name as there is room for.

    >>> _cut("a" * 30), _cut("short")
    ('aaaaaaaaaaaaaaaaaaaaa…', 'short')
    """
    room = CHARACTERS
    for number, letter in enumerate(name):
        room -= 1 if letter.isascii() else 2
        if room < 0:
            return name[: number - 1] + "…"
    return name
