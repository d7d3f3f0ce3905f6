"""What is printed on a terminal: lists as tables for people or as JSON Lines for programs, and
cells of untrusted text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ullage.display import safe
from ullage.verdict.next_step import NextStep

WIDTH = 100
AsJson = Annotated[bool, typer.Option("--json", help="JSON, one object a line.")]
T = TypeVar("T")


def console() -> Console:
    """A terminal as wide as it is; 100 columns elsewhere."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=WIDTH)


def table(*columns: str, right: Collection[str] = (), whole: Collection[str] = ()) -> Table:
    """A table with these columns, which fold where they must; numbers stand `right`, what is
    `whole` never folds.
    """
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in columns:
        made.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=name in whole,
            overflow="fold",
        )
    return made


def cell(text: str, style: str = "") -> Text:
    """Text that came from outside, as a cell: no mark-up, and no character that moves the
    cursor.
    """
    return Text(safe(text), style)


def print_marked(lines: Iterable[str], styles: Mapping[str, str]) -> None:
    """Lines that begin with a word of `styles`: on a terminal what follows folds beside the
    word, elsewhere a line stays one.
    """
    on = console()
    if not on.is_terminal:
        for line in lines:
            typer.echo(line)
        return
    made = Table.grid(padding=(0, 2, 0, 0))
    for line in lines:
        mark, _, said = line.partition(" ")
        made.add_row(cell(mark, styles.get(mark, "")), cell(said.strip()))
    on.print(made)


def next_line(step: NextStep, decide: tuple[str, str] = ("", "")) -> Text:
    """What to do next, the first line of a verdict; and by when a person decides, in English and
    Chinese, where one has to.
    """
    by = ("\n", (decide[0], "bold"), f"\n{decide[1]}") if decide[0] else ()
    return Text.assemble(("Next: ", "bold"), (step.text, "bold"), f"\n{step.text_zh}", *by)


def print_row(row: Mapping[str, Any]) -> None:
    """One object of JSON Lines."""
    typer.echo(json.dumps(row, ensure_ascii=False))


def print_list(
    found: Sequence[T],
    *,
    as_json: bool,
    row: Callable[[T], Mapping[str, Any]],
    table: Callable[[Sequence[T]], RenderableType],
    none: str,
) -> None:
    """Print a list: an object a line, or a table, and for people the words `none` where there is
    nothing.
    """
    if as_json:
        for one in found:
            print_row(row(one))
    else:
        console().print(table(found) if found else none)
