"""`make naming` finds names and docstrings that are no plain English."""

from __future__ import annotations

import pytest

from harness.naming import __main__ as naming
from harness.naming.count import DOCSTRING, ERRORS, FUNCTION, VARIABLE, find_faults

DIALECT = '''
class Store:
    @property
    def held(self): "Of what there is."

    def said(self):
        """What was said."""
        found, left_over = 1, 2

    def _ask_barely(self): "Ask."

def test_of_nothing(): "The tests name themselves."
def seed_words(): "Return `words`."
def of_status(): "`of` it."
'''


def test_faults_are_found_with_their_lines() -> None:
    faults = sorted((fault.kind, fault.name, fault.line) for fault in find_faults(DIALECT))
    assert faults == [
        (DOCSTRING, "of_status", 14),
        (DOCSTRING, "said", 6),
        (FUNCTION, "_ask_barely", 10),
        (FUNCTION, "of_status", 14),
        (FUNCTION, "said", 6),
        (VARIABLE, "found", 8),
    ]


@pytest.mark.parametrize(("limit", "line"), [(0, ":6 said"), (1, None), (2, "write this limit")])
def test_count_must_equal_its_limit(
    limit: int, line: str | None, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store.py").write_text("\n" * 5 + "def said(): pass\n")
    monkeypatch.setitem(naming.PARTS, "product", (str(tmp_path),))
    monkeypatch.setitem(naming.LIMITS, "product", {FUNCTION: limit})
    report = naming.judge("product")
    assert not report if line is None else any(line in each for each in report)


RAISING = '''
def read(path):
    """Read a file; raises ConfigError if it is missing."""
    raise ConfigError(path)

def write(path):
    """Write a file."""
    def check(): raise ValueError
    if path:
        raise errors.RecordError("malformed") from None

@app.command()
def show():
    """Show a file."""
    raise ConfigError("its docstring is the help of a command")
'''


def test_docstring_must_name_each_error_that_its_function_raises() -> None:
    assert [(fault.kind, fault.line) for fault in find_faults(RAISING)] == [(ERRORS, 6)]
