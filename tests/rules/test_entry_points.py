"""Every entry point that `pyproject.toml` declares can be loaded."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))[
    "project"
]
GROUPS = {"console_scripts": PROJECT["scripts"], **PROJECT["entry-points"]}


@pytest.mark.parametrize(
    "entry",
    [
        EntryPoint(name, value, group)
        for group, entries in GROUPS.items()
        for name, value in entries.items()
    ],
    ids=lambda entry: f"{entry.group}:{entry.name}",
)
def test_entry_point_can_be_loaded(entry: EntryPoint) -> None:
    assert entry.load() is not None
