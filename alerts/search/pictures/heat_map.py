"""Rows of sites, columns of hours: a field an hour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

NAME, WIDTH, HEIGHT, HEAD, CHARACTERS = 176, 27, 24, 40, 22
"""Pixels: of the column with names, of a field, of the heads; and characters of a name, of which a wide one counts as two."""


@dataclass(frozen=True, slots=True)
class Field:
    """One hour: `kind` is its class in the style sheet, `mark` stands in it, `said` is it in words."""

    kind: str
    mark: str
    said: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row: its name, and a field for every head."""

    name: str
    fields: tuple[Field, ...]


def heat_map(title: str, said: str, days: Sequence[tuple[str, int]], heads: Sequence[str], lines: Sequence[Line]) -> Markup:
    """The picture; `days` are names over so many of the heads, in their order."""
    width, height = NAME + WIDTH * len(heads) + 1, HEAD + HEIGHT * len(lines)
    parts = [
        Markup('<svg class="heat" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-labelledby="heat-t heat-d">').format(
            width, height, width, height
        ),
        Markup('<title id="heat-t">{}</title><desc id="heat-d">{}</desc>').format(title, said),
        *_heads(days, heads),
    ]
    for number, line in enumerate(lines):
        parts += _line(line, HEAD + HEIGHT * number)
    return Markup("").join((*parts, Markup("</svg>")))


def _heads(days: Sequence[tuple[str, int]], heads: Sequence[str]) -> Iterator[Markup]:
    first = 0
    for day, hours in days:
        yield Markup('<text class="day" x="{}" y="14">{}</text>').format(NAME + WIDTH * first + 3, day if hours > 2 else "")
        first += hours
    for number, head in enumerate(heads):
        yield Markup('<text class="head" x="{}" y="32">{}</text>').format(NAME + WIDTH * number + WIDTH // 2, head)


def _line(line: Line, top: int) -> Iterator[Markup]:
    middle = top + HEIGHT // 2 + 4
    yield Markup('<text class="name" x="0" y="{}">{}<title>{}</title></text>').format(middle, _cut(line.name), line.name)
    for number, one in enumerate(line.fields):
        left = NAME + WIDTH * number
        yield Markup(
            '<g class="{}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="3"/><text x="{}" y="{}">{}</text></g>'
        ).format(one.kind, one.said, left + 1, top + 1, WIDTH - 2, HEIGHT - 2, left + WIDTH // 2, middle, one.mark)


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
