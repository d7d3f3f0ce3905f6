"""Whoever waits for a file to be read sees how far that is, and nobody else sees anything."""

import io

import pytest

from matcher.cli.progress import BETWEEN_SECONDS, ReadProgress, read_progress

Shown = list[tuple[int, int | None, str]]


def progress(*sizes: int | None) -> tuple[ReadProgress, Shown]:
    """Progress of files of these sizes, a second between two looks at the clock, and what it shows."""
    shown: Shown = []
    seconds = iter(range(1000))
    return ReadProgress(sizes, lambda *what: shown.append(what), lambda: float(next(seconds))), shown


def test_bytes_files_and_customers_are_shown() -> None:
    made, shown = progress(100, 300)
    made.begin()
    made.read(60, lambda: 0)
    made.begin()
    made.read(100, lambda: 1)
    made.read(100, lambda: 1200)
    assert shown == [
        (60, 400, "file 1 of 2, 0 customers so far"),
        (200, 400, "file 2 of 2, 1 customer so far"),
        (300, 400, "file 2 of 2, 1,200 customers so far"),
    ]


def test_where_more_comes_out_of_a_file_than_is_in_it_nothing_is_said_of_what_is_left() -> None:
    made, shown = progress(100)
    made.begin()
    made.read(90, lambda: 0)
    made.read(90, lambda: 0)
    assert [(done, total) for done, total, _ in shown] == [(90, 100), (180, None)]


def test_of_standard_input_the_size_is_not_known() -> None:
    made, shown = progress(None)
    made.begin()
    made.read(90, lambda: 2)
    assert shown == [(90, None, "2 customers so far")]


def test_it_is_shown_now_and_then_and_customers_are_counted_only_then() -> None:
    times = iter([0.0, 0.0, BETWEEN_SECONDS / 2, BETWEEN_SECONDS, BETWEEN_SECONDS])
    shown: Shown = []
    counts = iter(range(9))
    made = ReadProgress([1000], lambda *what: shown.append(what), lambda: next(times))
    made.begin()
    for _ in range(3):
        made.read(10, lambda: next(counts))
    assert [(done, text) for done, _, text in shown] == [(10, "0 customers so far"), (30, "1 customer so far")]


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("shown", [True, False])
def test_nothing_is_written_but_to_a_terminal(monkeypatch: pytest.MonkeyPatch, shown: bool) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", screen := Terminal())
    with read_progress([1000], shown=shown) as made:
        made.begin()
        made.read(400, lambda: 7)
    assert ("7 customers so far" in screen.getvalue()) == shown
