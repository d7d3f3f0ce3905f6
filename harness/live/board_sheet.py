"""A board as a picture, drawn from what a Prometheus answers: what Grafana would show, where there
is no Grafana.

Places and sizes are those of the generated board, queries and words its own; lines, numbers, bars
and states are drawn with matplotlib in Grafana's manner. It is for looking whether a board can be
read, and for documents.
"""

from __future__ import annotations

import json
import math
import re
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from deploy.grafana.board import Board, Panel
from deploy.grafana.generate import WIDTH, laid_out
from ullage.verdict import load_verdict_rules

CELL, HEADING = 0.36, 1.1
"""Inches of a row of the grid, and rows that a heading takes."""
COLOURS = {
    "text": "#24292e", "blue": "#3274d9", "green": "#299c46", "yellow": "#b88600",
    "orange": "#e0752d", "red": "#d44a3a",
    "purple": "#8f3bb8",
}  # fmt: skip
LINES = ("#3274d9", "#e0752d", "#299c46", "#8f3bb8", "#d44a3a", "#b88600", "#1f9c9c", "#7a7f87")
GREY, EDGE, GROUND = "#6e7681", "#d8dbe0", "#f4f5f7"
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
)
LABEL = re.compile(r"(\{\{\w+\}\})")
SHOWN = 8
"""Series that a legend names; more are counted."""


class Series(NamedTuple):
    """One answer: its name, seconds since 1970, and values."""

    name: str
    times: Sequence[float]
    values: Sequence[float]


class Window(NamedTuple):
    """The time that is shown, in seconds since 1970, and the step between two points."""

    start: float
    end: float
    step: float = 1.0


def query_panel(prometheus: str, panel: Panel, window: Window) -> list[Series]:
    """Return Prometheus's results for a panel's queries, with every tenant and site chosen."""
    results = []
    for query in panel.queries:
        text = re.sub(r"\$(tenant|site)\b", ".*", query.expr).replace("$__rate_interval", "1m")
        words = urllib.parse.urlencode({"query": text, **window._asdict()})
        with urllib.request.urlopen(
            f"{prometheus}/api/v1/query_range?{words}", timeout=30
        ) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        for series in result:
            labels: dict[str, str] = series["metric"]
            name = "".join(
                labels.get(part[2:-2], "") if part.startswith("{{") else part
                for part in LABEL.split(query.legend)
            )
            points = [(float(t), float(v)) for t, v in series["values"] if math.isfinite(float(v))]
            if points:
                results.append(Series(name, *zip(*points, strict=True)))
    return results


def draw(board: Board, answers: Sequence[Sequence[Series]], window: Window, path: Path) -> None:
    """Write the board as PNG; `answers` are those of its panels, in their order."""
    titles = {
        scenario.id: f"{scenario.title_zh} · {scenario.id}"
        for scenario in load_verdict_rules().scenario
    }
    places, top, headings, remaining = [], 0.0, [], iter(answers)
    for row in board.rows:
        headings.append((row.title, top))
        top += HEADING
        base, high = top, 0.0
        for panel, place in laid_out(row.panels, 0):
            places.append((panel, next(remaining), place.x, base + place.y, place.w, place.h))
            high = max(high, place.y + place.h)
        top = base + high
    there = {font.name for font in fontManager.ttflist}
    with mpl.rc_context(
        {
            "font.family": [font for font in FONTS if font in there],
            "font.size": 8,
            "axes.unicode_minus": False,
        }
    ):
        rows = top + 2.2
        figure = Figure(figsize=(15, rows * CELL), facecolor=GROUND, dpi=100)
        figure.text(
            0.012,
            1 - 0.9 / rows,
            board.title,
            fontsize=15,
            weight="bold",
            color=COLOURS["text"],
            va="center",
        )
        figure.text(0.012, 1 - 1.8 / rows, board.description, fontsize=9, color=GREY, va="center")
        for title, at in headings:
            figure.text(
                0.012,
                1 - (2.2 + at + 0.6) / rows,
                title,
                fontsize=11,
                weight="bold",
                color=COLOURS["text"],
                va="center",
            )
        for panel, series, x, y, w, h in places:
            named = (
                [line._replace(name=titles.get(line.name, line.name)) for line in series]
                if panel.scenarios
                else series
            )
            box = (x / WIDTH * 0.982 + 0.009, 1 - (2.2 + y + h) / rows, w / WIDTH * 0.982, h / rows)
            _panel(figure, panel, named, window, box)
        figure.savefig(path)


def _panel(
    figure: Figure,
    panel: Panel,
    series: Sequence[Series],
    window: Window,
    box: tuple[float, float, float, float],
) -> None:
    """Draw a frame with a title, and in it what the panel's kind shows."""
    width, height = figure.get_size_inches()
    x0, bottom, w, h = box
    gap_x, gap_y = 0.04 / width, 0.04 / height
    frame = Rectangle(
        (x0 + gap_x, bottom + gap_y),
        w - 2 * gap_x,
        h - 2 * gap_y,
        facecolor="white",
        edgecolor=EDGE,
        zorder=-1,
    )
    frame.set_transform(figure.transFigure)
    figure.add_artist(frame)
    head = (x0 + 0.12 / width, bottom + h - 0.2 / height)
    figure.text(*head, panel.title, fontsize=9, weight="bold", color=COLOURS["text"], va="center")
    x, y, w, h = x0 + 0.12 / width, bottom + 0.12 / height, w - 0.24 / width, h - 0.48 / height
    if not series:
        figure.text(
            x + w / 2,
            y + h / 2,
            panel.empty or "no series",
            fontsize=11,
            color=GREY,
            ha="center",
            va="center",
        )
    elif panel.kind == "stat":
        _numbers(figure.add_axes((x, y, w, h)), panel, series)
    elif panel.kind == "bars":
        _bars(figure.add_axes((x + w * 0.45, y, w * 0.45, h)), panel, series)
    elif panel.kind == "states":
        _states(
            figure.add_axes((x + w * 0.1, y + 0.2 / height, w * 0.89, h - 0.2 / height)),
            panel,
            series,
            window,
        )
    else:
        across = max(1, int(w * width / 1.7))
        rows = -(-min(len(series), SHOWN) // across)
        below = (0.18 * rows + 0.22) / height
        axes = figure.add_axes((x + 0.5 / width, y + below, w - 0.6 / width, h - below))
        _lines(axes, panel, series, window)
        style = {
            "frameon": False,
            "fontsize": 7.5,
            "handlelength": 1,
            "borderpad": 0,
            "columnspacing": 1.2,
            "borderaxespad": 0,
        }
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(x, y),
            bbox_transform=figure.transFigure,
            ncols=across,
            **style,
        )


def format_value(value: float, panel: Panel) -> tuple[str, str]:
    """Return a number as the panel writes it, and its colour."""
    key = f"{value:g}"
    if key in panel.words:
        word, colour = panel.words[key]
        return word, COLOURS[colour]
    colour = panel.colour
    for least, reached in panel.steps:
        colour = reached if value >= least else colour
    return in_unit(value, panel.unit), COLOURS[colour]


def in_unit(value: float, unit: str) -> str:
    """Return a number in Grafana's unit, in short form."""
    size = abs(value)
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        for least, word, per in (
            (86_400, "d", 86_400),
            (3_600, "h", 3_600),
            (60, "min", 60),
            (1, "s", 1),
        ):
            if size >= least:
                return f"{value / per:.3g} {word}"
        return f"{value * 1000:.3g} ms" if value else "0 s"
    suffix = {"bytes": "B", "Bps": "B/s", "cps": "/s"}.get(unit, "")
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= scale:
            return f"{value / scale:.3g} {prefix}{suffix}"
    return f"{value:.3g} {suffix}".rstrip() if suffix else f"{value:.4g}"


def _numbers(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    axes.set_axis_off()
    across = min(len(series), max(1, round(panel.width / 2.6)))
    down = -(-len(series) // across)
    for place, line in enumerate(series):
        x, y = (place % across + 0.5) / across, 1 - (place // across + 0.5) / down
        text, colour = format_value(line.values[-1], panel)
        size = min(22.0, 40 / down, panel.width * 34 / across / max(4, len(text)))
        axes.text(
            x,
            y + 0.09 / down,
            text,
            fontsize=size,
            color=colour,
            ha="center",
            va="center",
            weight="bold",
            transform=axes.transAxes,
        )
        if len(series) > 1 or line.name != panel.title:
            axes.text(
                x,
                y - 0.33 / down,
                line.name,
                fontsize=7.5,
                color=GREY,
                ha="center",
                va="center",
                transform=axes.transAxes,
            )


def _bars(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    ordered = sorted(series, key=lambda line: line.values[-1])
    axes.barh(
        [line.name for line in ordered],
        [line.values[-1] for line in ordered],
        color=LINES[0],
        height=0.6,
    )
    for place, line in enumerate(ordered):
        axes.annotate(
            in_unit(line.values[-1], panel.unit),
            (line.values[-1], place),
            (4, 0),
            textcoords="offset points",
            va="center",
        )
    _bare(axes)
    axes.set_xticks([])


def _states(axes: Axes, panel: Panel, series: Sequence[Series], window: Window) -> None:
    names = dict[str, str]()
    for place, line in enumerate(reversed(series)):
        for at, value in zip(line.times, line.values, strict=True):
            word, colour = format_value(value, panel)
            names[word] = colour
            axes.add_patch(
                Rectangle((at, place - 0.36), window.step, 0.72, facecolor=colour, linewidth=0)
            )
        axes.text(
            window.end,
            place,
            format_value(line.values[-1], panel)[0] + " ",
            color="white",
            ha="right",
            va="center",
            weight="bold",
        )
    axes.set_yticks(range(len(series)), [line.name for line in reversed(series)])
    axes.set_ylim(-0.6, len(series) - 0.4)
    _over_time(axes, window)
    _bare(axes)


def _lines(axes: Axes, panel: Panel, series: Sequence[Series], window: Window) -> None:
    for place, line in enumerate(series):
        colour = LINES[place % len(LINES)]
        axes.plot(
            line.times,
            line.values,
            color=colour,
            linewidth=1.3,
            label=line.name if place < SHOWN - 1 or len(series) <= SHOWN else None,
        )
        axes.fill_between(line.times, line.values, color=colour, alpha=0.07)
    if len(series) > SHOWN:
        axes.plot([], [], color="none", label=f"… and {len(series) - SHOWN + 1} more")
    axes.set_ylim(
        0,
        (
            max(max(max(line.values) for line in series) * 1.15, 1e-9)
            if any(any(line.values) for line in series)
            else 1
        ),
    )
    axes.yaxis.set_major_locator(
        MaxNLocator(4, steps=[1, 3, 6, 10] if panel.unit == "s" else [1, 2, 5, 10])
    )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: in_unit(value, panel.unit)))
    axes.grid(axis="y", color=EDGE, linewidth=0.6)
    _over_time(axes, window)
    _bare(axes)


def _over_time(axes: Axes, window: Window) -> None:
    axes.set_xlim(window.start, window.end)
    axes.set_xticks(
        [window.start + 60 * minute for minute in range(int((window.end - window.start) / 60) + 1)]
    )
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda at, _: f"{(at - window.start) / 60:.0f} min")
    )


def _bare(axes: Axes) -> None:
    axes.tick_params(length=0, labelsize=7.5, labelcolor=GREY)
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
