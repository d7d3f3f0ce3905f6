"""A board is drawn from what a Prometheus answers, in its own words, units and colours."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from deploy.grafana.board import Panel, Query, read_boards
from harness.live.board_sheet import (
    COLOURS,
    Series,
    Window,
    draw,
    format_value,
    in_unit,
    query_panel,
)

WINDOW = Window(1000.0, 1180.0, 60.0)
STATE = Panel(
    title="Way out",
    description="D.",
    unit="short",
    kind="stat",
    words={"0": ("down", "red"), "1": ("up", "green")},
    queries=(Query(expr='x{site=~"$site"}[$__rate_interval]', legend="{{site}}: up"),),
)


@pytest.fixture
def prometheus() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """Yield the address of a Prometheus with three points of one series, and the queries it got.

    One of the points is no number.
    """
    questions: list[dict[str, list[str]]] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            questions.append(parse_qs(urlsplit(self.path).query))
            series = [
                {"metric": {"site": "a"}, "values": [[1000, "1"], [1060, "NaN"], [1120, "0"]]}
            ]
            series.append({"metric": {"site": "b"}, "values": [[1000, "NaN"]]})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"status": "success", "data": {"result": series}}).encode())

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", questions
        server.shutdown()
        thread.join()


def test_query_covers_all_tenants_and_sites_and_skips_non_numbers(
    prometheus,
) -> None:
    url, questions = prometheus
    assert query_panel(url, STATE, WINDOW) == [Series("a: up", (1000.0, 1120.0), (1.0, 0.0))]
    assert questions == [
        {"query": ['x{site=~".*"}[1m]'], "start": ["1000.0"], "end": ["1180.0"], "step": ["60.0"]}
    ]


def test_values_are_shown_in_the_words_and_colours_of_the_board() -> None:
    assert format_value(0, STATE) == ("down", COLOURS["red"])
    assert format_value(1, STATE) == ("up", COLOURS["green"])
    assert format_value(
        7, STATE.model_copy(update={"colour": "red", "steps": ((5, "green"),)})
    ) == (
        "7",
        COLOURS["green"],
    )


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.25, "percentunit", "25 %"),
        (0.0, "s", "0 s"),
        (0.0125, "s", "12.5 ms"),
        (90, "s", "1.5 min"),
        (172_800, "s", "2 d"),
        (1_500, "bytes", "1.5 kB"),
        (2_000_000, "short", "2 M"),
        (12, "cps", "12 /s"),
        (3, "short", "3"),
    ],
)
def test_numbers_are_short_and_have_their_unit(value: float, unit: str, said: str) -> None:
    assert in_unit(value, unit) == said


def test_board_is_drawn_with_and_without_series(tmp_path: Path) -> None:
    board = read_boards()["pipeline"]
    full = [
        [Series(f"s{n}", (1000.0, 1060.0), (n, n + 1.0)) for n in range(10)] for _ in board.panels()
    ]
    draw(board, full, WINDOW, tmp_path / "full.png")
    draw(board, [[] for _ in board.panels()], WINDOW, tmp_path / "empty.png")
    full_bytes, empty_bytes = (
        (tmp_path / "full.png").read_bytes(),
        (tmp_path / "empty.png").read_bytes(),
    )
    assert full_bytes.startswith(b"\x89PNG")
    assert len(full_bytes) > len(empty_bytes) > 10_000
