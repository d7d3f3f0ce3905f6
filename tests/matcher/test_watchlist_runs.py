"""Sorting on disk gives what sorting in memory gives."""

from pathlib import Path

import numpy as np
import pytest

from matcher.watchlist import runs as module
from matcher.watchlist.file import join_halves
from matcher.watchlist.runs import Runs, _sort_records, fresh
from ullage.errors import ConfigError


def some(count: int, distinct: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    tags = rng.integers(0, 256, (count, 16), np.uint8)
    if distinct:
        tags = tags[rng.integers(0, distinct, count)]
    return tags, rng.permutation(count).astype(np.uint32)


def sort_pairs(tags: np.ndarray, numbers: np.ndarray) -> list[tuple[bytes, int]]:
    return sorted(zip([tag.tobytes() for tag in tags], numbers.tolist(), strict=True))


def read(runs: Runs, renumbered: np.ndarray | None = None) -> list[tuple[bytes, int]]:
    records, beyond = [], 0
    for part in runs.ranges(renumbered):
        assert part.first == beyond
        beyond = part.beyond
        tags = join_halves(part.high, part.low)
        assert ((tags[:, 0] >= part.first) & (tags[:, 0] < beyond)).all()
        records += zip([tag.tobytes() for tag in tags], part.number.tolist(), strict=True)
    assert beyond == module.RANGES
    return records


@pytest.mark.parametrize(
    ("run", "at_once"), [(10**9, 10**9), (700, 10**9), (700, 100), (10**9, 1), (1, 1)]
)
@pytest.mark.parametrize("distinct", [0, 3])
def test_runs_of_any_length_are_sorted(
    tmp_path: Path, monkeypatch, run: int, at_once: int, distinct: int
) -> None:
    monkeypatch.setattr(module, "RUN", run)
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    tags, numbers = some(3000, distinct)
    runs = Runs(tmp_path)
    for start in range(0, 3000, 500):
        runs.add(tags[start : start + 500], numbers[start : start + 500])
    assert runs.count == 3000
    assert read(runs) == sort_pairs(tags, numbers)
    assert read(runs) == sort_pairs(tags, numbers), "reading takes nothing away"
    runs.add(tags[:500], numbers[:500])
    again = (np.concatenate([part, part[:500]]) for part in (tags, numbers))
    assert read(runs) == sort_pairs(*again)
    assert list(tmp_path.iterdir()) == []
    runs.close()


def test_numbers_are_replaced_before_sorting(tmp_path: Path) -> None:
    tags, numbers = some(1000, 10)
    runs = Runs(tmp_path)
    runs.add(tags, numbers)
    exchanged = np.arange(1000, dtype=np.uint32)[::-1].copy()
    assert read(runs, exchanged) == sort_pairs(tags, exchanged[numbers])


def test_empty_runs_give_nothing(tmp_path: Path) -> None:
    assert read(Runs(tmp_path)) == []


@pytest.mark.parametrize("bits", [2, 24])
def test_range_larger_than_its_buffer_is_sorted(monkeypatch, bits: int) -> None:
    monkeypatch.setattr(module, "PLACE_BITS", bits)
    rng = np.random.default_rng(1)
    high = rng.integers(0, 1 << 63, 500, np.uint64) >> np.uint64(40)  # many tie in their top bits
    low, number = rng.integers(0, 3, 500, np.uint64), rng.integers(0, 9, 500).astype(np.uint32)
    records = list(
        zip(*(column.tolist() for column in _sort_records(high, low, number)), strict=True)
    )
    assert records == sorted(zip(high.tolist(), low.tolist(), number.tolist(), strict=True))


def test_fresh_marks_rows_that_differ_from_the_previous() -> None:
    first, second = np.array([1, 1, 1, 2]), np.array([1, 1, 2, 2])
    assert fresh(first).tolist() == [True, False, False, True]
    assert fresh(first, second).tolist() == [True, False, True, True]
    assert fresh(np.empty(0)).tolist() == []


def test_too_many_records_for_a_list_are_rejected(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST", 1000)
    runs, (tags, numbers) = Runs(tmp_path), some(1001)
    runs.add(tags[:1000], numbers[:1000])
    with pytest.raises(ConfigError, match="at most 1,000 entries"):
        runs.add(tags[1000:], numbers[1000:])
    runs.close()
