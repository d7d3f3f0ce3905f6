"""Texts with placeholders, as the files of this bench are stored.

{FIELD}            the customer's value: a name of `people.Customer.fields`
{FIELD:PICTURE}    each `#` takes the next character, `~` skips one, `*` takes the rest:
                   `{national:####.###.###}`
{FIELD|FORM|FORM}  written otherwise: a name of `forms.FORMS`
{2.FIELD}          of the second customer; otherwise the row's, or the first where the line is no
                   row
{,}                a comma, but behind the last row
%%                 at the beginning of lines: these lines are repeated for each customer
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

from harness.bench.missed.forms import FORMS
from harness.bench.missed.people import Customer

FIELDS = "n|ref|cc|phone|plus|zeros|national|trunk|name|mail|id|card|qq"
PLACEHOLDER = re.compile(
    rf"\{{(?:(?P<who>[1-9])\.)?(?P<field>{FIELDS})"
    r"(?::(?P<picture>[^{}|]*))?(?P<forms>(?:\|[a-z0-9_]+)*)\}"
)
COMMA, ROW = "{,}", "%%"
KINDS = {
    "phone": "phone",
    "plus": "phone",
    "zeros": "phone",
    "national": "phone",
    "trunk": "phone",
    "mail": "email",
    "id": "resident_id",
    "card": "card",
    "qq": "email",
}
"""Kind of value by field."""


def render(text: str, people: Sequence[Customer]) -> str:
    """Return `text` filled in, the lines of rows repeated for each of `people`."""
    rendered = list[str]()
    for is_row, group in groupby(text.splitlines(keepends=True), lambda line: line.startswith(ROW)):
        block = "".join(line.removeprefix(ROW) for line in group)
        for person in people if is_row else people[:1]:
            filled = block.replace(COMMA, "," if person is not people[-1] else "")
            rendered.append(PLACEHOLDER.sub(partial(_value, person=person, people=people), filled))
    return "".join(rendered)


def list_planted(text: str, people: Sequence[Customer]) -> set[tuple[str, str]]:
    """Return (reference, kind) of the values that stand in the rendered `text`."""
    return set(_find_planted(text, people))


def _find_planted(text: str, people: Sequence[Customer]) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        for match in PLACEHOLDER.finditer(line):
            if kind := KINDS.get(match["field"]):
                owners = (
                    [people[int(match["who"]) - 1]]
                    if match["who"]
                    else people
                    if line.startswith(ROW)
                    else people[:1]
                )
                yield from ((person.fields["ref"], kind) for person in owners)


def _value(match: re.Match[str], person: Customer, people: Sequence[Customer]) -> str:
    owner = people[int(match["who"]) - 1] if match["who"] else person
    value = owner.fields[match["field"]]
    if match["picture"] is not None:
        value = format_value(value, match["picture"])
    for form in match["forms"].split("|")[1:]:
        value = FORMS[form](value)
    return value


def format_value(value: str, picture: str) -> str:
    """Return `value` as `picture` shows it.

    >>> drawn('951234567', '0###.~##-*')
    '0951.34-567'
    """
    characters, formatted = list(value), list[str]()
    for sign in picture:
        if sign == "#":
            formatted.append(characters.pop(0) if characters else "")
        elif sign == "~":
            del characters[:1]
        elif sign == "*":
            formatted += characters
            characters.clear()
        else:
            formatted.append(sign)
    return "".join(formatted)
