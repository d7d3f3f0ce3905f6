"""Each row of the table of spellings keeps its promise through `ullage scan`, and a row that
fails costs its own line alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matcher.lexicon import Lexicon
from matcher.match.parts import Piece, read
from matcher.reference import find
from matcher.text import events, fold, splice, unescape
from matcher.text.spellings import Spelling, list_spellings
from tests.matcher.bank import customer
from ullage.errors import Exit, UnavailableError
from ullage.guard import DetectorFault, FaultGuard
from ullage.records.incomplete import FAULTS

ROWS = {row.name: row for row in list_spellings()}
VALUES = sorted({value for row in ROWS.values() for _, value in row.examples})
PRESCAN = Lexicon({}).prescan


def list_customers() -> list[dict[str, str]]:
    """Return a customer for each value of the table."""
    kinds = [
        next(each.kind for each in find(value) if each.valid and each.normal == value)
        for value in VALUES
    ]
    return [
        customer(n, **{kind: value})
        for n, (kind, value) in enumerate(zip(kinds, VALUES, strict=True))
        if kind != "iban"
    ]


@pytest.fixture
def scan(
    data: Path, enrol_once: Callable[..., None], ullage: Any, tmp_path: Path
) -> Callable[[str], set[str]]:
    """Scan one document; return the written values of its customers."""
    enrol_once(data, list_customers())

    def run(text: str) -> set[str]:
        path = tmp_path / "document.txt"
        path.write_bytes(text.encode())
        result = ullage("scan", path)
        assert result.exit_code == Exit.DONE, result.output
        return {
            text[row["start"] : row["end"]] for row in map(json.loads, result.stdout.splitlines())
        }

    return run


def find_values(text: str) -> set[str]:
    """Return the valid values of a document that is read alone."""
    (part,) = read([Piece(0, "", text.encode(), len(text.encode()))], PRESCAN).parts
    return {each.normal for each in find(part.text.text) if each.valid}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_complete(name: str) -> None:
    row = ROWS[name]
    assert len(ROWS) == len(list_spellings())
    assert len(row.examples) >= 2
    assert len(row.near_misses) >= 2
    assert sum((row.rewrite is not None, row.pattern is not None, row.find is not None)) == 1
    assert (row.pattern is None) == (row.plain is None)
    assert bool(row.gate or row.near_gate or row.starts) or row.scope == "block"
    assert (row.near is None) == (row.near_gate == ())


@pytest.mark.parametrize(
    ("name", "text", "value"), [(row.name, *pair) for row in ROWS.values() for pair in row.examples]
)
def test_example_alone_in_a_document_is_read(
    scan: Callable[[str], set[str]], name: str, text: str, value: str
) -> None:
    assert value not in {each.normal for each in find(text) if each.valid}
    assert value in find_values(text)
    if not value.startswith("DE"):  # no list has IBANs
        assert len(scan(text)) == 1


@pytest.mark.parametrize(
    ("name", "text"), [(row.name, text) for row in ROWS.values() for text in row.near_misses]
)
def test_near_miss_is_not_read(scan: Callable[[str], set[str]], name: str, text: str) -> None:
    assert find_values(text) & {*VALUES} == set()
    assert scan(text) == set()


class RowError(Exception):
    """A fault of a row; its text is a value, which must not be shown."""


def fail_row(
    monkeypatch: pytest.MonkeyPatch, row: Spelling, error: type[Exception] = RowError
) -> None:
    """Make a row raise wherever it reads its first example."""

    def fail(*_: object) -> Any:
        raise error(row.examples[0][1])

    example = fold(row.examples[0][0]).text

    def rewrite(text: str) -> str:
        assert row.rewrite is not None
        return fail() if row.examples[0][0] in text else row.rewrite(text)

    def plain(match: re.Match[str]) -> str:
        assert row.plain is not None
        return fail() if match[0] in example else row.plain(match)

    changes = (
        {"rewrite": rewrite} if row.rewrite else {"find": fail} if row.find else {"plain": plain}
    )
    rows = tuple(each._replace(**changes) if each is row else each for each in list_spellings())
    for module in (events, splice):
        monkeypatch.setattr(module, "list_spellings", lambda: rows)


@pytest.mark.parametrize("name", ROWS)
def test_failing_rule_loses_only_its_own_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    row = ROWS[name]
    other_lines = [
        r"\u0031\u0033700137001",
        "(137)0013-7002",
        "MTM3MDAxMzcwMDM=",
        "a艾特example点com",
        "0x137",
    ]
    text = "\n".join((*other_lines, row.examples[0][0], "", *other_lines))
    whole, faults = find_values(text), list[DetectorFault]()
    assert row.examples[0][1] in whole
    fail_row(monkeypatch, row)
    (part,) = read(
        [Piece(0, "", text.encode(), len(text.encode()))], PRESCAN, guard=FaultGuard(faults.append)
    ).parts
    assert {fault.part for fault in faults} == {"spellings"}
    assert row.examples[0][1] not in str(faults)
    values = {each.normal for each in find(part.text.text) if each.valid}
    assert whole - values <= {row.examples[0][1]}  # some are read by another row as well


@pytest.mark.parametrize("name", ["backslash escape", "digit groups", "groups in brackets"])
def test_rule_failure_is_contained_but_expected_errors_propagate(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    text = ROWS[name].examples[0][0]
    fail_row(monkeypatch, ROWS[name])
    with pytest.raises(RowError):
        unescape(text, markup=False)
    fail_row(monkeypatch, ROWS[name], UnavailableError)
    with pytest.raises(UnavailableError):
        read(
            [Piece(0, "", text.encode(), len(text.encode()))],
            PRESCAN,
            guard=FaultGuard(lambda _fault: None),
        )


def test_scan_names_the_file_in_which_a_rule_failed(
    data: Path,
    enrol_once: Callable[..., None],
    ullage: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enrol_once(data, list_customers())
    row = ROWS["backslash escape"]
    fail_row(monkeypatch, row)
    (tmp_path / "a.txt").write_text(f"{row.examples[0][0]}\nli.wei8[at]example.com\n")
    (tmp_path / "b.txt").write_text("13800138000\n")
    result = ullage("scan", tmp_path)
    assert result.exit_code == Exit.NO_VERDICT
    assert [Path(json.loads(line)["path"]).name for line in result.stdout.splitlines()] == [
        "a.txt",
        "b.txt",
    ]
    assert FAULTS["spellings"] in result.stderr
    assert "a.txt" in result.stderr
    assert "13800138000" not in result.stderr
