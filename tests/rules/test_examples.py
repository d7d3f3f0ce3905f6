"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    path.relative_to(ROOT)
    for part in ("ullage", "crawlers", "matcher", "alerts")
    for path in (ROOT / part).rglob("*.py")
    if ">>> " in path.read_text("utf-8") and path.name != "__main__.py"
)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_examples_of_a_module_give_what_they_show(path: Path) -> None:
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    report: list[str] = []
    runner = doctest.DocTestRunner()
    for examples in doctest.DocTestFinder().find(importlib.import_module(name)):
        runner.run(examples, out=report.append)
    assert not runner.summarize(verbose=False).failed, "".join(report)


def test_modules_have_examples() -> None:
    assert len(MODULES) > 20
