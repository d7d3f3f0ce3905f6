"""The month's labels are right, and the documents say what its page measured."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from harness.bench.month.leaks import LEAKS, RIVALS, leak_posts
from harness.bench.month.report import HEADINGS
from harness.bench.month.truth import ANY, ORIGINS, SEVERITIES
from ullage.verdict import load_verdict_rules
from ullage.verdict.rules import Origin

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "harness" / "bench" / "detection-month.md"


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.name)
def test_labels_are_words_of_the_closed_lists(leak):
    scenarios = {scenario.id for scenario in load_verdict_rules().scenario} | {ANY}
    for answer in leak.truth:
        assert answer.origin in get_args(Origin)
        assert answer.origin in ORIGINS
        assert answer.severity in SEVERITIES[1:]
        assert answer.scam in scenarios


def test_no_label_calls_a_rivals_list_ours():
    assert not [
        leak.name for leak in RIVALS if any(answer.origin == "ours" for answer in leak.truth)
    ]


def test_planted_lists_have_unique_names_and_the_stated_size():
    assert len({leak.name for leak in LEAKS}) == len(LEAKS)
    posts = Counter(post.leak for post in leak_posts(random.Random(1)))
    assert all(posts[leak.name] == leak.again + 1 for leak in LEAKS)
    for leak in RIVALS:
        assert 0.08 <= len(leak.people) / leak.size <= 0.25


def test_page_contains_every_table_and_all_planted_leaks():
    text = PAGE.read_text(encoding="utf-8")
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(HEADINGS)
    planted = text.partition("## What was planted")[2]
    assert [leak.name for leak in LEAKS if f"| {leak.name} |" not in planted] == []


def test_documents_state_the_measured_number_of_right_severities():
    right, planted = map(
        int,
        re.findall(
            r"^\| severity right \|.*, (\d+) of (\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE
        )[0],
    )
    assert f"| severity right | {right} of {planted} |" in (ROOT / "README.md").read_text("utf-8")
    assert f"| 严重等级判断正确 | {right}/{planted} |" in (ROOT / "README.zh.md").read_text("utf-8")
    assert f"{planted - right} of {planted} severities wrong" in (
        ROOT / "docs" / "privacy-impact.md"
    ).read_text("utf-8")
