"""Every table of the command line, with its longest values, on terminals of three widths."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from ullage.display.listing import Listing

ROOT = Path(__file__).parents[2]
PACKAGES = ("ullage", "crawlers", "matcher", "alerts")
WIDTHS = (80, 100, 160)
TIME = "2026-12-02 23:17 +0330"
ID = "INC-ABCDEFGHIJ"
NAME = "a-name-of-thirty-two-characters."
WORDS = "statement, 一手料 全格式 可验, " * 6
LONGEST = {
    "actor": NAME,
    "address": f"https://forum.example/{'thread/' * 20}1",
    "are": "benign by loan-offers",
    "assigned to": NAME,
    "attempts": "100",
    "author": "@e3799c2b3e88",
    "by": NAME,
    "candidate": "partner-12 (a partner with a long name of its own)",
    "channel": NAME,
    "column": "手机号码（本人实名）",
    "confirmed": "1,234,567",
    "customers": "≥ 12,345,678",
    "did": "watchlist.rotate-key.retire",
    "due": TIME,
    "e-value": "10^-12.0",
    "examples": "<PHONE> <PHONE> <PHONE> ..." * 3,
    "exposure": "100 → 100",
    "false": "1,234,567",
    "finding": "f" * 32,
    "for": WORDS,
    "held": "held",
    "id": "0123456789abcdef",
    "incident": ID,
    "incidents": "1,234,567",
    "KiB": "34,816",
    "last new": "100 min ago",
    "left": "100.0 d overdue",
    "limit": WORDS,
    "made": TIME,
    "may": "incident.read, incident.decide, incident.assign, " * 3,
    "name": NAME,
    "new comes": "every 12 min, usually",
    "next visit": "in 100 min",
    "odds ratio": "12.34 (10.01–15.20)",
    "officers": f"{NAME}, {NAME}",
    "origin": "partner:a-partner → fabricated",
    "outcome": "suppressed",
    "overdue": "100 min ago",
    "pages": "12,345 due, 12,345 given up",
    "posts": "1,234,567",
    "precision": "100%",
    "probability": "0.995",
    "ratio": "10^-12.0",
    "read as": "home_return_permit",
    "report": "cn-network-incident-2025 written",
    "roles": "operator, agent, fraud, analyst, lead, dpo",
    "rule": "loan-offers of an earlier version",
    "scenario": "impersonation → refund",
    "sealed": TIME,
    "seen": TIME,
    "severity": "statutory",
    "silences": WORDS,
    "since": "100 min ago",
    "site": "a-forum-with-a-very-long-name.example, pastes.example +12",
    "state": "layout changed: not a list of threads, unreachable: http_503",
    "support": "extremely strong support for the alternative",
    "status": "false positive, suppressed",
    "suppression": "SUP-ABCDEFGHIJ",
    "tenant": NAME,
    "tenants": f"{NAME}, {NAME}",
    "title": WORDS,
    "to best rival": "10^-12.0",
    "to what": WORDS,
    "until": TIME,
    "what": WORDS,
    "what it says": WORDS,
    "when": TIME,
    "who": NAME,
    "why": WORDS,
    "would be": "raised by nothing",
}
"""The longest value of each column, by its heading."""


def find_listings() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where each listing is made, and the arguments of `Listing` there."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(text)) if "Listing(" in text else ():
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "Listing":
                    named = {word.arg: ast.literal_eval(word.value) for word in node.keywords}
                    columns = ast.literal_eval(node.args[0])
                    place = f"{path.relative_to(ROOT)}:{'-'.join(columns[:3])}"
                    yield place, {"columns": columns, **named}


LISTINGS = dict(find_listings())


def draw(listing: Listing, width: int) -> str:
    file = io.StringIO()
    Console(width=width, file=file, highlight=False).print(listing)
    return file.getvalue()


@pytest.mark.parametrize("place", LISTINGS)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_table_crops_a_time_or_heading_or_value(place, width):
    listing = Listing(**LISTINGS[place])
    cells = [LONGEST[name] for name in listing.columns]
    listing.add_row(*cells)
    text = draw(listing, width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "…" not in text
    for name, value in zip(listing.columns, cells, strict=True):
        assert name in text, "a heading is never broken"
        if name in (*listing.whole, *listing.right):
            assert value in text, "what must stay whole is in one line"
    shown = re.sub(r"\s", "", text)
    for value in cells:
        assert all(re.sub(r"\s", "", part)[:8] in shown for part in value.split()), value


@pytest.mark.parametrize("place", LISTINGS)
def test_no_table_becomes_blocks_at_80_columns(place):
    listing = Listing(**LISTINGS[place])
    listing.add_row(*(LONGEST[name] for name in listing.columns))
    assert "─" in draw(listing, 80), "the columns that stay whole fit side by side"


def test_every_table_with_headings_is_a_listing():
    listings = {place.partition(":")[0] for place in LISTINGS}
    assert len(LISTINGS) >= 14
    assert "alerts/cli/tables.py" in listings
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if str(path.relative_to(ROOT)) != "alerts/coverage/view.py":
                assert not re.search(r"(?<![.\w])Table\(", text), path


def test_piped_table_has_one_tab_separated_line_per_row():
    listing = Listing(("when", "what"), whole=("when",))
    listing.add_row(TIME, "one\ttab and\na line")
    assert list(listing.to_lines()) == ["when\twhat", f"{TIME}\tone\\ttab and\\na line"]


def test_very_narrow_terminal_gets_a_line_per_column():
    listing = Listing(("incident", "due", "title"), whole=("incident", "due"))
    listing.add_row(ID, TIME, "name, phone")
    lines = draw(listing, 34).splitlines()
    assert lines[:3] == [f"incident  {ID}", f"due       {TIME}", "title     name, phone"]
