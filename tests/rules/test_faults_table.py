"""`tests/faults.md` has a row for every fault of the list, and every row a test that tries it."""

from __future__ import annotations

import re

import pytest

from tests.crawlers.faults import FAULTS
from tests.rules.test_documents import ROOT, TEST

LIST = {"R": range(1, 21), "C": range(1, 14), "S": range(1, 10)}
"""Faults by what they befall: the product, a site's reader, whatever somebody attacks."""
TEXT = (ROOT / "tests" / "faults.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TEXT.splitlines()
    if line.startswith("| ")
]


def rows(letter: str) -> dict[str, list[str]]:
    """Return, by id, the rows of the faults that begin with that letter."""
    return {row[0]: row for row in ROWS if re.fullmatch(rf"{letter}\d+", row[0])}


@pytest.mark.parametrize("letter", LIST)
def test_every_fault_is_listed_once(letter: str) -> None:
    named = [row[0] for row in ROWS if re.fullmatch(rf"{letter}\d+", row[0])]
    assert named == [f"{letter}{number}" for number in LIST[letter]]


@pytest.mark.parametrize("row", [*rows("R").values(), *rows("S").values()], ids=lambda row: row[0])
def test_row_states_expected_measured_and_tests(row: list[str]) -> None:
    assert len(row) == 5, "fault, expected, measured, tests"
    assert all(row[1:4])
    tests = re.findall(r"`([^`]+)`", row[4])
    assert tests
    assert [name for name in tests if not TEST.match(name) and not name.startswith("make ")] == []


def test_site_faults_are_named_like_their_tests() -> None:
    table = TEXT.partition("## What sites do")[2].partition("\n\nWhere a site's file")[0]
    last = [
        line.strip("|").split(" | ")[-1] for line in table.splitlines() if line.startswith("| ")
    ][2:]
    named = [name for cell in last for name in re.findall(r"`([^`]+)`", cell) if "…" not in name]
    assert len(named) > 30
    assert [name for name in named if name not in FAULTS and not (ROOT / name).is_file()] == []
