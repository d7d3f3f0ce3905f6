"""The demo's check of its statement of source can tell right from wrong."""

from pathlib import Path
from typing import Any

import pytest

from deploy.demo.victims import PARTNER, describe, faults


def build_statement(verdict: str, *names: str) -> dict[str, Any]:
    candidates = [{"id": "partner-1", "name": name, "probability": 0.99617} for name in names]
    return {"verdict": verdict, "victims": 60, "candidates": candidates}


@pytest.mark.parametrize("verdict", ["named", "indication"])
def test_planted_source_is_accepted(verdict):
    assert list(faults(build_statement(verdict, PARTNER, "Demo Courier"))) == []


@pytest.mark.parametrize(
    ("verdict", "names", "stated"),
    [
        ("named", ("Demo Courier", PARTNER), "named Demo Courier"),
        ("cannot tell", (PARTNER,), f"cannot tell {PARTNER}"),
        ("cannot tell", (), "cannot tell nobody"),
    ],
)
def test_another_source_is_a_fault(verdict, names, stated):
    (line,) = faults(build_statement(verdict, *names))
    assert line == f"differs: 60 victims came from {PARTNER}; stated was {stated}"


def test_statement_is_shown_with_its_command():
    stated, shown_by = describe(build_statement("named", PARTNER), Path("d"))
    assert stated == (
        "from 60 victims of fraud alone, without any post: named: partner-1 (Demo Loan Partner),"
        " probability 0.996"
    )
    assert shown_by.startswith('`ullage --data d source --tenant spruce-bank --purpose "who lost')
    assert shown_by.endswith('" --names --by demo`')
