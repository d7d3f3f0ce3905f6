"""Few lines of everyday files are undone: a gate that asks for more costs every file its speed, which no other test would see."""

from collections import Counter
from functools import cache

import numpy as np
import pytest

from harness.bench.corpus.everyday import everyday
from matcher.columns.batch import Batch
from matcher.columns.literals import Literals
from matcher.text import deobfuscate, fold_all
from matcher.text.events import find_events, patterns
from matcher.text.fold import FoldedText

SIZE, STRETCH = 2_000_000, 1 << 16
CLEAN = ("dump", "prose", "log", "source")


@cache
def laid(kind: str) -> tuple[Batch, FoldedText]:
    [text] = fold_all([everyday(kind, SIZE)])
    return Batch.of([text.utf8]), text


def events_by_rule(batch: Batch) -> Counter[str]:
    """Count the events of each rule; the prescan's other patterns, as escapes are, count one by one."""
    searched = patterns().wanted
    rules = deobfuscate.rules()
    owners = [f"pattern {pattern!r}" for pattern in searched]
    of_rules = [f"rule {number}" for number, rule in enumerate(rules) for _ in rule.gates]
    owners[len(owners) - len(of_rules) :] = of_rules
    counts = Counter(owners[number] for number in Literals(*patterns()).find(batch.data)[0].tolist())
    for numbers, _ in deobfuscate.seen_in_columns(batch.classes):
        counts.update(f"rule {number}" for number in numbers.tolist())
    return counts


@pytest.mark.parametrize("kind", [*CLEAN, "JSON"])
def test_no_rule_asks_for_more_than_one_line_in_a_stretch(kind: str) -> None:
    batch, _ = laid(kind)
    counts = events_by_rule(batch)
    if kind == "JSON":  # whose escapes say what it holds
        counts = Counter({rule: count for rule, count in counts.items() if "u" not in rule.removeprefix("rule")})
    assert {rule: count for rule, count in counts.items() if count > len(batch.data) // STRETCH} == {}


@pytest.mark.parametrize("kind", CLEAN)
def test_one_line_in_a_hundred_is_undone_at_most(kind: str) -> None:
    batch, text = laid(kind)
    hits, none = Literals(*patterns()).find(batch.data), np.zeros(1, bool)
    events = find_events(batch, [text], hits, none, np.array(["，".encode() in text.body]))
    assert not events.whole.any()
    assert len(events.lines) * 100 <= int(batch.lines(batch.ends)[0] - batch.lines(batch.starts)[0])
