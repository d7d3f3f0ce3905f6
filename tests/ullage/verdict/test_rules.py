"""Rules as data: what is in them must be said, be within bounds, and name fields that exist."""

import pytest

from ullage.errors import ConfigError
from ullage.verdict import VERDICT, load_verdict_rules

TEXT = VERDICT.load_shipped().text


def test_shipped_rules_are_complete_with_version_and_sources() -> None:
    rules = VERDICT.read(TEXT, "rules.toml")
    assert rules == load_verdict_rules()
    assert rules.version >= 3
    assert [points for points, _ in [(way.points, s) for way, s in rules.list_ways()]] == sorted(
        (way.points for s in rules.scenario for way in s.ways), reverse=True
    )
    assert all(scenario.source and scenario.ways for scenario in rules.scenario)
    assert sum(line.count("# ") > 0 for line in TEXT.splitlines()) > 30


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("version = 5", "version = 'x'", "version: "),
        ("version = 5", "version = ", "Invalid value"),
        ('all = ["PHONE", "LOAN"]', 'all = ["PHONE", "LOANS"]', r"scenario\.8\.ways\.0\.all"),
        ("share = 0.3", "share = 1.3", r"corroboration\.share: .*less than or equal to 1"),
        ("unmatched_cap = 45", "unmatched = 45", r"exposure\.unmatched_cap: Field required"),
        ("free = 1", "free = 1\nother = 2", r"spread\.other: unknown setting"),
        ('severity = "noise"', 'severity = "grave"', r"severity\.row\.0\.severity"),
    ],
)
def test_invalid_rule_file_is_a_one_line_error(old: str, new: str, told: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError, match=rf"^tried\.toml: .*{told}") as caught:
        VERDICT.read(TEXT.replace(old, new, 1), "tried.toml")
    assert "\n" not in str(caught.value)
