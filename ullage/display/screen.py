"""Print lists: as tables on a terminal, as tab-separated lines in a pipe, as JSON Lines on request.

A command builds its rows and calls `print_list`, which prints one JSON object per line with
`--json` and otherwise a `Listing`, or a sentence if there are no rows. Styled text from outside
must be made by `cell`, which interprets no mark-up and escapes control characters. A terminal's
width decides where text wraps; elsewhere it is 100 columns, so that output is the same in a pipe
everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ullage.display import safe
from ullage.display.listing import Listing
from ullage.verdict.next_step import NextStep

WIDTH = 100
By = Annotated[
    str,
    typer.Option(
        help="The account that acts (`ullage user list`); by default that of this machine's user."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, one object per line.")]
T = TypeVar("T")


def make_console() -> Console:
    """Return a console for standard output, as wide as the terminal; 100 columns elsewhere."""
    detected = Console(highlight=False)
    return detected if detected.is_terminal else Console(highlight=False, width=WIDTH)


def cell(text: str, style: str = "") -> Text:
    """Return untrusted text as a table cell: no mark-up, and control characters as escapes."""
    return Text(safe(text), style)


def print_labelled(lines: Iterable[str], styles: Mapping[str, str]) -> None:
    """Print lines, each of which begins with a word such as OK or FAULT.

    `styles` gives the style of each word. On a terminal the text wraps beside the word; elsewhere
    each line stays one line.
    """
    screen = make_console()
    if not screen.is_terminal:
        for line in lines:
            typer.echo(line)
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    for line in lines:
        mark, _, text = line.partition(" ")
        grid.add_row(cell(mark, styles.get(mark, "")), cell(text.strip()))
    screen.print(grid)


def render_next_step(step: NextStep, decide: tuple[str, str] = ("", "")) -> Text:
    """Return the first line of a verdict: what to do next, in bold, and in Chinese below.

    `decide` is the deadline of a person's decision in both languages; ("", "") for none.
    """
    by = ("\n", (decide[0], "bold"), f"\n{decide[1]}") if decide[0] else ()
    return Text.assemble(("Next: ", "bold"), (step.text, "bold"), f"\n{step.text_zh}", *by)


def print_row(row: Mapping[str, Any]) -> None:
    """Print one object as a line of JSON."""
    typer.echo(json.dumps(row, ensure_ascii=False))


def print_listing(listing: Listing) -> None:
    """Print a listing: as a table on a terminal, elsewhere as tab-separated lines."""
    screen = make_console()
    if screen.is_terminal:
        screen.print(listing)
        return
    for line in listing.to_lines():
        typer.echo(line)


def print_list(
    items: Sequence[T],
    *,
    as_json: bool,
    row: Callable[[T], Mapping[str, Any]],
    table: Callable[[Sequence[T]], Listing],
    none: str,
) -> None:
    """Print `items`: with `as_json` one JSON object per line, made by `row`; else as one listing.

    If there are none, prints nothing as JSON, and for people the sentence `none`.
    """
    if as_json:
        for item in items:
            print_row(row(item))
    elif items:
        print_listing(table(items))
    else:
        make_console().print(none)
