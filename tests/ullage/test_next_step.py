"""What to do next: a line for everything that a verdict can say, and one that fits."""

import itertools
import re
from typing import get_args

import pytest

from ullage.display.next_step import _steps, next_step
from ullage.verdict.rules import Severity, own_rules

ORIGINS = ("ours", "partner", "devices", "elsewhere", "recycled", "fabricated", "unknown")
SEVERITIES = get_args(Severity)
SCENARIOS = ("", *(scenario.id for scenario in own_rules().scenario))
EVERYTHING = list(itertools.product(ORIGINS, SEVERITIES, SCENARIOS, (False, True), (False, True), (False, True)))
WORST = ("statutory", "high", "medium")

FITTING = {
    "fabricated": {"nothing"},
    "recycled": {"again"},
    "devices": {"reset", "again"},
    "partner": {"ask"},
    "ours": {"reset", "block", "call", "confirm", "takedown", "again"},
    "elsewhere": {"reset", "block", "call", "takedown", "again"},
    "unknown": {"reset", "block", "call", "confirm", "takedown", "again"},
}


def step(origin, severity, scenario="", *, people=True, alone=False, unread=False):
    return next_step(origin, severity, scenario, people=people, alone=alone, unread=unread)


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_each_origin_and_severity_has_a_line_that_fits(origin, severity):
    for scenario, people, alone, unread in itertools.product(SCENARIOS, *[(False, True)] * 3):
        assert step(origin, severity, scenario, people=people, alone=alone, unread=unread).action in FITTING[origin]


@pytest.mark.parametrize(
    ("origin", "severity", "scenario", "people", "action"),
    [
        ("devices", "high", "X4", True, "reset"),
        ("devices", "medium", "", False, "reset"),
        ("ours", "high", "X9", True, "call"),
        ("ours", "statutory", "X15", True, "call"),
        ("ours", "high", "X7", True, "block"),
        ("ours", "high", "X4", True, "reset"),
        ("ours", "high", "X1", False, "reset"),
        ("ours", "medium", "X18", True, "confirm"),
        ("partner", "high", "X4", True, "ask"),
        ("partner", "statutory", "", False, "ask"),
        ("elsewhere", "medium", "X9", True, "call"),
        ("elsewhere", "medium", "X4", True, "reset"),
        ("elsewhere", "notice", "X17", True, "again"),
        ("unknown", "high", "X9", True, "takedown"),
        ("unknown", "high", "", False, "takedown"),
        ("unknown", "medium", "", False, "takedown"),
        ("unknown", "medium", "X17", True, "confirm"),
        ("unknown", "notice", "", False, "again"),
        ("unknown", "low", "X20", True, "block"),
        ("unknown", "high", "X21", True, "block"),
        ("ours", "high", "X22", True, "takedown"),
        ("recycled", "high", "X9", True, "again"),
        ("fabricated", "noise", "X18", False, "nothing"),
    ],
)
def test_what_a_duty_officer_does_first(origin, severity, scenario, people, action):
    assert step(origin, severity, scenario, people=people).action == action


def test_nobody_is_called_where_nobody_was_found_and_nothing_is_noise_that_was_not_read():
    for origin, severity, scenario, people, alone, unread in EVERYTHING:
        found = step(origin, severity, scenario, people=people, alone=alone, unread=unread)
        if not people:
            assert found.action not in ("call", "block", "confirm")
            assert "call list" not in found.text.lower(), found.text
        if origin in ("unknown", "elsewhere") and severity in ("low", "notice", "noise") and unread and not people:
            assert "not read" in found.text
            assert "未读取" in found.text_zh


def test_probing_of_sign_up_is_looked_for_only_where_nothing_agrees_and_a_scam_is_named_only_where_there_is_one():
    for origin, severity, scenario, people, alone, unread in EVERYTHING:
        found = step(origin, severity, scenario, people=people, alone=alone, unread=unread)
        assert alone or "筛号" not in found.text + found.text_zh, found.text
        assert scenario or severity != "low" or "scam named here" not in found.text, found.text
    assert "筛号" in step("ours", "medium", "X18", alone=True).text
    assert "筛号" in step("unknown", "low", "X18", alone=True).text


def test_every_line_is_used_and_says_the_same_in_both_languages():
    used = {step(o, s, c, people=p, alone=a, unread=u) for o, s, c, p, a, u in EVERYTHING}
    assert used == set(_steps())
    for one in used:
        for pair in (
            ("60", "60"),
            ("sample", "样本"),
            ("call list", "提醒名单"),
            ("takedown", "下架"),
            ("PIPL 57", "第五十七条"),
        ):
            assert (pair[0] in one.text.lower() or pair[0] in one.text) == (pair[1] in one.text_zh), (pair, one.text)


def test_no_line_says_what_nobody_may_say():
    for one in _steps():
        assert "\n" not in one.text + one.text_zh
        assert re.search("[\u4e00-\u9fff]", one.text_zh)
        assert not re.search(r"leaked by|we leaked|\bsafe\b|ask for a (larger )?sample|泄露者", one.text + one.text_zh)
        assert not re.search(r"(?<!勿)(购买|索要)样本", one.text_zh.replace("购买、索要", "索要"))


def test_steps_name_only_what_there_is():
    for one in _steps():
        assert one.origins <= set(ORIGINS)
        assert one.scenarios <= set(SCENARIOS)
