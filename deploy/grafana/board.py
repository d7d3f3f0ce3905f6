"""Define a board as its TOML file describes it: rows of panels, each with queries.

`deploy.grafana.generate` makes the JSON.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

BOARDS = Path(__file__).parent / "boards"
Kind = Literal["timeseries", "stat", "bars", "states"]
Colour = Literal["text", "blue", "green", "yellow", "orange", "red", "purple"]
"""Grafana's names; `text` is the neutral colour of ordinary text."""
Unit = Literal["short", "s", "bytes", "Bps", "cps", "percentunit"]
"""Grafana's names: plain number, seconds, bytes, bytes a second, counts a second, 0 to 1."""
Variable = Literal["tenant", "site"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Query(_Part):
    """A query in PromQL, and the name of its series below the panel."""

    expr: str
    legend: str


class Panel(_Part):
    """One panel of a board.

    `width` is in columns, of which there are 24; `scenarios` shows scenarios by title instead of
    number. A number has the colour of the last of `steps` that it reaches, else `colour`. If
    `words` contains the number, the word is shown instead, in the word's colour. Without steps and
    words no number looks good or bad.
    """

    title: str = Field(min_length=1)
    description: str = Field(min_length=1)
    unit: Unit
    kind: Kind = "timeseries"
    width: int = Field(default=8, ge=3, le=24)
    scenarios: bool = False
    colour: Colour = "text"
    steps: tuple[tuple[float, Colour], ...] = ()
    words: dict[str, tuple[str, Colour]] = {}
    empty: str = ""
    """The text to show where there is no series, for example while nothing runs."""
    queries: tuple[Query, ...] = Field(min_length=1)


class Row(_Part):
    """A heading with its panels."""

    title: str
    panels: tuple[Panel, ...] = Field(min_length=1)


class Board(_Part):
    """One board; `uid` is the last part of its address."""

    uid: str = Field(pattern=r"^ullage-[a-z]+$")
    title: str
    description: str
    variables: tuple[Variable, ...] = ()
    rows: tuple[Row, ...] = Field(min_length=1)

    def panels(self) -> Iterator[Panel]:
        """Yield all panels, in order."""
        for row in self.rows:
            yield from row.panels


def read_boards() -> dict[str, Board]:
    """Return every board, by the name of its file."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(BOARDS.glob("*.toml"))}
    return {name: Board.model_validate(tomllib.loads(text)) for name, text in texts.items()}
