"""A board as its TOML file says it: rows of panels, each with queries.

`deploy.grafana.generate` makes JSON of it.
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
"""Grafana's names; `text` is that of any text and says nothing."""
Unit = Literal["short", "s", "bytes", "Bps", "cps", "percentunit"]
"""Grafana's names: plain number, seconds, bytes, bytes a second, counts a second, 0 to 1."""
Variable = Literal["tenant", "site"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Query(_Part):
    """PromQL, and how its series are named below the panel."""

    expr: str
    legend: str


class Panel(_Part):
    """One picture.

    `width` is of 24; `scenarios` shows scenarios by their titles instead of their numbers.

    A number is of `colour`, and of that of the last of `steps` that it reaches; where `words` has
    it, the word stands there instead, in its own colour. Without them no number looks good or bad.
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
    """What is said where there is no series, as that of an hour in which nothing runs."""
    queries: tuple[Query, ...] = Field(min_length=1)


class Row(_Part):
    """Panels below a heading."""

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
        """All of them, in their order."""
        for row in self.rows:
            yield from row.panels


def read_boards() -> dict[str, Board]:
    """Every board by the name of its file."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(BOARDS.glob("*.toml"))}
    return {name: Board.model_validate(tomllib.loads(text)) for name, text in texts.items()}
