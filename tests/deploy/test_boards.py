"""The boards that are committed are what is generated, every panel is complete, and asks only
for what the roles expose.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from pydantic import ValidationError

from deploy.grafana.__main__ import DASHBOARDS, write
from deploy.grafana.board import BOARDS, Board, read_boards
from deploy.grafana.generate import CONSOLE, RUNBOOKS, STARTED, generate
from tests.deploy.test_rules import list_series, metrics_of
from tests.deploy.tools import run as tool
from ullage.records.heartbeat import STATES
from ullage.verdict import load_verdict_rules

COMMITTED = sorted(DASHBOARDS.glob("*.json"))
MINIMAL = {
    "uid": "ullage-x",
    "title": "X",
    "description": "X.",
    "rows": [{"title": "R", "panels": []}],
}
OF_STORE = re.compile(
    r"(max by \([^)]*\)"
    r" \()?ullage_alert_(?:incidents|exposed_customers|recent_incidents|exposures|sightings)\{"
)
PANEL = {"title": "P", "description": "D.", "unit": "s", "queries": [{"expr": "up", "legend": ""}]}


def load_board(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def pictures(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def test_generated_boards_are_current(tmp_path: Path) -> None:
    (tmp_path / "gone.json").write_text("{}", encoding="utf-8")
    write(tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in COMMITTED}, (
        "run: python -m deploy.grafana"
    )
    assert len(COMMITTED) == len(list(BOARDS.glob("*.toml"))) == 4


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_every_panel_has_title_description_unit_and_data_source(
    path: Path,
) -> None:
    board = load_board(path)
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert board["uid"] == f"ullage-{path.stem}"
    assert board["title"]
    assert board["description"]
    for panel in pictures(board):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            assert target["legendFormat"], panel["title"]
    titles = [panel["title"] for panel in pictures(board)]
    assert len(titles) == len(set(titles))
    for name in set(
        re.findall(r"\$([a-z]+)\b", json.dumps([p["targets"] for p in pictures(board)]))
    ):
        assert name in variables, name


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_panels_have_unique_ids_and_places_within_the_page(path: Path) -> None:
    panels = load_board(path)["panels"]
    ids = [panel["id"] for panel in panels]
    assert sorted(ids) == list(range(1, len(panels) + 1))
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_panels_use_only_exposed_metrics(path: Path) -> None:
    for panel in pictures(load_board(path)):
        for target in panel["targets"]:
            assert metrics_of(target["expr"]) <= list_series(), panel["title"]
            letters = [target["refId"] for target in panel["targets"]]
            assert letters == list("ABCDEF"[: len(letters)])


def select_known_parts(board: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a board that Grafana's schema knows.

    Its SDK is made from that; it adds how a state timeline is drawn.
    """
    known: dict[str, Any] = json.loads(
        JSONEncoder(sort_keys=True).encode(Dashboard.from_json(board))
    )
    for panel in known["panels"]:
        if panel["type"] == "state-timeline":
            del panel["fieldConfig"]["defaults"]["custom"]
    return known


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_every_board_field_exists_in_the_grafana_schema(path: Path) -> None:
    register_default_plugins()
    board = load_board(path)
    assert select_known_parts(board) == board
    pictures(board)[0]["titel"] = "misspelt"
    assert select_known_parts(board) != board


def test_number_of_panels_is_limited() -> None:
    assert sum(len(pictures(load_board(path))) for path in COMMITTED) <= 30


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_board_links_to_incidents_and_runbooks_and_marks_deployments(path: Path) -> None:
    board = load_board(path)
    links = {link["title"]: link.get("url", "") for link in board["links"]}
    assert links == {
        "Incidents": f"{CONSOLE}/",
        "Runbooks": f"{RUNBOOKS}/runbooks.html",
        "Boards": "",
    }
    [mark] = board["annotations"]["list"]
    assert metrics_of(mark["expr"]) <= list_series()
    assert (mark["name"], mark["enable"], mark["datasource"]["uid"]) == (
        "Deployments",
        True,
        "${datasource}",
    )


def test_prometheus_accepts_the_deployment_query(tmp_path: Path) -> None:
    rule = {"groups": [{"name": "x", "rules": [{"record": "x:y:z", "expr": STARTED}]}]}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(rule), encoding="utf-8")
    done = tool("promtool", "check", "rules", tmp_path / "x.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def panel(board: str, title: str) -> dict[str, Any]:
    [found] = [
        panel
        for panel in pictures(load_board(DASHBOARDS / f"{board}.json"))
        if panel["title"] == title
    ]
    return found


def words(panel: dict[str, Any]) -> dict[str, str]:
    [mapping] = panel["fieldConfig"]["defaults"]["mappings"]
    return {value: told["text"] for value, told in mapping["options"].items()}


def test_each_site_state_has_its_number_and_word() -> None:
    shown = panel("coverage", "State of each")
    [expression] = [target["expr"] for target in shown["targets"]]
    numbers = {
        state: factor or "1"
        for factor, state in re.findall(
            r'(?:(\d) \* )?max by \(site\) \(\w+\{.*state="(\w+)"\}\)', expression
        )
    }
    assert sorted(numbers) == sorted(STATES)
    assert {number: state.replace("_", " ") for state, number in numbers.items()} | {
        "0": "not visited yet"
    } == words(shown)


@pytest.mark.parametrize(
    ("board", "title"),
    [("coverage", "Egress"), ("overview", "Dependencies"), ("coverage", "Paused")],
)
def test_binary_states_are_shown_in_words_and_colours(board: str, title: str) -> None:
    shown = panel(board, title)
    colours = {
        told["text"]: told["color"]
        for told in shown["fieldConfig"]["defaults"]["mappings"][0]["options"].values()
    }
    assert set(words(shown)) == {"0", "1"}
    assert colours in ({"up": "green", "down": "red"}, {"no": "green", "paused": "red"})


def test_no_number_is_coloured_by_a_default_threshold() -> None:
    """Grafana's own limit is 80, beyond which anything is red."""
    for path in COMMITTED:
        for shown in pictures(load_board(path)):
            assert shown["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None, (
                shown["title"]
            )


def test_board_without_a_running_deadline_says_so() -> None:
    shown = panel("overview", "Next reporting deadline")
    assert shown["fieldConfig"]["defaults"]["noValue"] == "no open deadline"
    assert "> 0) - time()" in shown["targets"][0]["expr"]


def test_metrics_shared_by_alert_processes_are_not_summed() -> None:
    for shown in pictures(load_board(DASHBOARDS / "exposure.json")):
        for target in shown["targets"]:
            assert all(OF_STORE.findall(target["expr"])), shown["title"]


def test_scenarios_are_shown_by_their_titles() -> None:
    board = load_board(DASHBOARDS / "exposure.json")
    [bars] = [panel for panel in pictures(board) if panel["type"] == "bargauge"]
    shown = {
        o["matcher"]["options"]: o["properties"][0]["value"]
        for o in bars["fieldConfig"]["overrides"]
    }
    assert shown == {s.id: f"{s.title_zh} · {s.id}" for s in load_verdict_rules().scenario}


@pytest.mark.parametrize("lacking", ["title", "description", "unit", "queries"])
def test_incomplete_panel_is_rejected(lacking: str) -> None:
    panel = {name: value for name, value in PANEL.items() if name != lacking}
    with pytest.raises(ValidationError, match=lacking):
        Board.model_validate({**MINIMAL, "rows": [{"title": "R", "panels": [panel]}]})


def test_panels_wrap_to_the_next_line() -> None:
    panels = [{**PANEL, "title": str(n), "width": width} for n, width in enumerate((12, 8, 8, 24))]
    board = json.loads(
        generate(Board.model_validate({**MINIMAL, "rows": [{"title": "R", "panels": panels}]}))
    )
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in pictures(board)]
    assert places == [(0, 1), (12, 1), (0, 9), (0, 17)]


def test_provisioning_names_data_source_and_board_folder() -> None:
    folder = DASHBOARDS.parent / "provisioning"
    [source] = yaml.safe_load(
        (folder / "datasources" / "prometheus.yaml").read_text(encoding="utf-8")
    )["datasources"]
    [provider] = yaml.safe_load(
        (folder / "dashboards" / "ullage.yaml").read_text(encoding="utf-8")
    )["providers"]
    assert source["type"] == "prometheus"
    assert provider["type"] == "file"
    assert provider["options"]["path"]


def test_every_board_has_a_unique_name() -> None:
    boards = read_boards().values()
    assert (
        len({board.uid for board in boards})
        == len({board.title for board in boards})
        == len(list(boards))
    )
