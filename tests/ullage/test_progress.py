"""Whoever waits for a file to be read sees how far that is, and nobody else sees anything."""

import io
import re
import threading
from pathlib import Path

import pytest

from ullage.display.progress import (
    BETWEEN_SECONDS,
    ProgressBar,
    ReadProgress,
    progress_bar,
    read_progress,
)

Shown = list[tuple[int, int | None, str]]


def progress(*sizes: int | None) -> tuple[ReadProgress, Shown]:
    """Return the progress of files of these sizes, and the list of what it shows.

    The clock advances a second at each reading.
    """
    shown: Shown = []
    seconds = iter(range(1000))
    return ReadProgress(
        sizes, ProgressBar(None, lambda *what: shown.append(what), lambda: float(next(seconds)))
    ), shown


def test_bytes_files_and_customers_are_shown() -> None:
    bar, shown = progress(100, 300)
    bar.begin()
    bar.read(60, lambda: 0)
    bar.begin()
    bar.read(100, lambda: 1)
    bar.read(100, lambda: 1200)
    assert shown == [
        (60, 400, "file 1 of 2, 0 customers so far"),
        (200, 400, "file 2 of 2, 1 customer so far"),
        (300, 400, "file 2 of 2, 1,200 customers so far"),
    ]


def test_remaining_time_is_hidden_where_output_exceeds_the_file() -> None:
    bar, shown = progress(100)
    bar.begin()
    bar.read(90, lambda: 0)
    bar.read(90, lambda: 0)
    assert [(position, total) for position, total, _ in shown] == [(90, 100), (180, None)]


def test_size_of_standard_input_is_unknown() -> None:
    bar, shown = progress(None)
    bar.begin()
    bar.read(90, lambda: 2)
    assert shown == [(90, None, "2 customers so far")]


def test_final_step_has_no_known_duration() -> None:
    bar, shown = progress(100)
    bar.begin()
    bar.read(100)
    bar.end("sorting and writing")
    assert shown[-1] == (100, None, "sorting and writing")


def test_updates_are_rate_limited_and_customers_counted_only_then() -> None:
    times = iter([0.0, BETWEEN_SECONDS / 2, BETWEEN_SECONDS])
    shown: Shown = []
    counts = iter(range(9))
    bar = ReadProgress(
        [1000], ProgressBar(None, lambda *what: shown.append(what), lambda: next(times))
    )
    bar.begin()
    for _ in range(3):
        bar.read(10, lambda: next(counts))
    assert [(position, text) for position, _, text in shown] == [
        (10, "0 customers so far"),
        (30, "1 customer so far"),
    ]


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("shown", [True, False])
def test_progress_is_written_only_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch, shown: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", screen := Terminal())
    with read_progress([1000], shown=shown) as bar:
        bar.begin()
        bar.read(400, lambda: 7)
    assert ("7 customers so far" in screen.getvalue()) == shown


def test_more_items_than_expected_make_the_total_unknown() -> None:
    shown: Shown = []
    bar = ProgressBar(2, lambda *what: shown.append(what), iter([0.0, 1.0, 2.0]).__next__)
    for number in range(3):
        bar.add(text=f"{number} failed")
    assert shown == [(1, 2, "0 failed"), (2, 2, "1 failed"), (3, None, "2 failed")]


def test_growing_file_is_shown_while_it_grows(tmp_path: Path) -> None:
    is_shown = threading.Event()
    shown: Shown = []

    def show(count: int, total: int | None, text: str) -> None:
        shown.append((count, total, text))
        if count == 140:
            is_shown.set()

    progress = ProgressBar(300, show)
    progress.add(100)
    with progress.growth(path := tmp_path / "copy", 80):
        path.write_bytes(bytes(40))
        assert is_shown.wait(20)
    progress.monotonic = lambda: float("inf")
    progress.add(20)
    assert [count for count, _, _ in shown][-2:] == [140, 200]


@pytest.mark.parametrize(("done", "said"), [(4, "4 of 9 nights"), (13, "13 of ? nights")])
def test_bar_shows_count_and_total(monkeypatch: pytest.MonkeyPatch, done: int, said: str) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", screen := Terminal())
    with progress_bar(9, "nights") as bar:
        bar.add(done, "1 failed")
    frame = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()).split("━ ")[-1]
    assert frame.startswith(said)
    assert "1 failed" in frame


def test_nothing_is_written_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", screen := io.StringIO())
    with progress_bar(9, "nights") as bar:
        bar.add(4)
    assert screen.getvalue() == ""
