"""Generate Grafana's JSON of a board with Grafana's own SDK; the bytes are the same each time."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_uppercase

from grafana_foundation_sdk.builders import (
    bargauge,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DynamicConfigValue,
    GridPos,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableOption,
    VariableRefresh,
)

from deploy.grafana.board import Board, Kind, Panel, Query
from ullage.verdict import load_verdict_rules

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH = 24
HEIGHTS: dict[Kind, int] = {"timeseries": 8, "stat": 5, "bars": 8, "states": 12}
NOW: tuple[Kind, ...] = ("stat", "bars")
"""Kinds of panels that show only the present moment."""
VALUES = {
    "tenant": 'label_values(ullage_alert_findings_total{job="ullage"}, tenant)',
    "site": 'label_values(ullage_crawl_captures_total{job="ullage"}, site)',
}
CONSOLE, RUNBOOKS = "https://localhost:8443", "https://runbooks.example.com/ullage"
"""The addresses of both; whoever deploys the boards replaces them."""
LINKS = {"Incidents": f"{CONSOLE}/", "Runbooks": f"{RUNBOOKS}/runbooks.html"}
STARTED = 'time() - max by (role, instance) (process_start_time_seconds{job="ullage"}) < 60'
Builder = timeseries.Panel | stat.Panel | bargauge.Panel | statetimeline.Panel


def generate(board: Board) -> str:
    """Return the board as JSON text, with sorted keys and a final newline."""
    builder = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["ullage"])
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
    )
    for name in board.variables:
        builder.with_variable(_variable(name))
    for title, url in LINKS.items():
        builder.link(
            dashboard.DashboardLink(title).type(DashboardLinkType.LINK).url(url).target_blank(True)
        )
    builder.link(
        dashboard.DashboardLink("Boards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags(["ullage"])
        .keep_time(True)
    )
    builder.annotation(_starts())
    top, number = 0, 0
    for row in board.rows:
        number += 1
        builder.with_row(dashboard.Row(row.title).id(number).grid_pos(GridPos(1, WIDTH, 0, top)))
        top += 1
        for panel, place in laid_out(row.panels, top):
            number += 1
            builder.with_panel(_panel(panel, number).grid_pos(place))
            top = max(top, place.y + place.h)
    return JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(builder.build()) + "\n"


def _starts() -> dashboard.AnnotationQuery:
    """Return an annotation that marks each start of a process, as in a deployment."""
    return (
        dashboard.AnnotationQuery()
        .name("Deployments")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("blue")
        .expr(STARTED)
    )


def _variable(name: str) -> dashboard.QueryVariable:
    """Return a selector of label values; at first all are selected."""
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .datasource(DATASOURCE)
        .query(VALUES[name])
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def laid_out(panels: tuple[Panel, ...], top: int) -> Iterator[tuple[Panel, GridPos]]:
    """Yield panels from left to right with their places, from line `top` on.

    A panel that does not fit begins a new line; a line is as high as its highest panel.
    """
    x, high = 0, 0
    for panel in panels:
        height = HEIGHTS[panel.kind]
        if x + panel.width > WIDTH:
            x, top, high = 0, top + high, 0
        yield panel, GridPos(height, panel.width, x, top)
        x, high = x + panel.width, max(high, height)


def _panel(panel: Panel, number: int) -> Builder:
    builder = _empty(panel.kind)
    builder.id(number).title(panel.title).description(panel.description).unit(
        panel.unit
    ).datasource(DATASOURCE)
    for letter, query in zip(ascii_uppercase, panel.queries, strict=False):
        builder.with_target(_target(query, letter, now=panel.kind in NOW))
    steps = [
        Threshold(None, panel.colour),
        *(Threshold(value, colour) for value, colour in panel.steps),
    ]
    builder.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.words:
        mappings = enumerate(panel.words.items())
        builder.mappings(
            [
                ValueMap(
                    {
                        value: ValueMappingResult(word, colour, None, n)
                        for n, (value, (word, colour)) in mappings
                    }
                )
            ]
        )
    if panel.empty:
        builder.no_value(panel.empty)
    if panel.scenarios:
        for scenario in load_verdict_rules().scenario:
            builder.override_by_name(
                scenario.id,
                [DynamicConfigValue("displayName", f"{scenario.title_zh} · {scenario.id}")],
            )
    return builder


def _target(query: Query, letter: str, *, now: bool) -> prometheus.Dataquery:
    target = (
        prometheus.Dataquery()
        .ref_id(letter)
        .datasource(DATASOURCE)
        .expr(query.expr)
        .legend_format(query.legend)
    )
    return target.instant() if now else target.range()


def _empty(kind: Kind) -> Builder:
    """Return a panel of that kind without content.

    It shows lines or states over time, or numbers and bars of the present moment.
    """
    last = ReduceDataOptions().calcs(["lastNotNull"])
    if kind == "stat":  # a number without a name would not show what it belongs to
        return (
            stat.Panel()
            .reduce_options(last)
            .graph_mode(BigValueGraphMode.NONE)
            .text_mode(BigValueTextMode.VALUE_AND_NAME)
        )
    if kind == "bars":
        return bargauge.Panel().min(0).reduce_options(last)
    if kind == "states":
        hidden = VizLegendOptions().show_legend(False).calcs([])
        return (
            statetimeline.Panel().merge_values(True).show_value(VisibilityMode.AUTO).legend(hidden)
        )
    legend = (
        VizLegendOptions()
        .show_legend(True)
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .calcs([])
    )
    tooltip = VizTooltipOptions().mode(TooltipDisplayMode.MULTI)
    return timeseries.Panel().axis_soft_min(0).fill_opacity(8).legend(legend).tooltip(tooltip)
