"""Few lines of everyday files are undone: a gate that asks for more costs every file its speed,
which no other test would see.
"""

from collections import Counter
from functools import cache

import numpy as np
import pytest

from harness.bench.corpus.everyday import everyday
from matcher.columns.batch import Batch
from matcher.columns.literals import Literals
from matcher.text import fold_all
from matcher.text.events import find_events, find_in_columns, patterns
from matcher.text.fold import FoldedText
from matcher.text.spellings import list_spellings

SIZE, STRETCH = 2_000_000, 1 << 16
CLEAN = ("dump", "prose", "log", "source")


@cache
def lay_out(kind: str) -> tuple[Batch, FoldedText]:
    [text] = fold_all([everyday(kind, SIZE)])
    return Batch.join([text.utf8]), text


def events_by_rule(batch: Batch) -> Counter[str]:
    """Count the events of each row; the patterns of escapes and of whole texts count one by one."""
    rows = list_spellings()
    owners = [
        f"{row.name} {gate!r}" if row.rewrite else row.name for row in rows for gate in row.gate
    ]
    counts = Counter(
        owners[number] for number in Literals(*patterns()).find(batch.data)[0].tolist()
    )
    for numbers, _ in find_in_columns(batch.classes):
        counts.update(rows[number].name for number in numbers.tolist())
    return counts


@pytest.mark.parametrize("kind", [*CLEAN, "JSON"])
def test_rules_fire_rarely_on_clean_text(kind: str) -> None:
    batch, _ = lay_out(kind)
    counts = events_by_rule(batch)
    if kind == "JSON":  # whose escapes say what it holds
        of_u = [
            rule
            for rule in counts
            if rule.startswith("backslash escape") and "u" in rule.removeprefix("backslash escape")
        ]
        counts = Counter({rule: count for rule, count in counts.items() if rule not in of_u})
    assert {
        rule: count for rule, count in counts.items() if count > len(batch.data) // STRETCH
    } == {}


@pytest.mark.parametrize("kind", CLEAN)
def test_at_most_one_clean_line_in_a_hundred_is_rewritten(kind: str) -> None:
    batch, text = lay_out(kind)
    hits, none = Literals(*patterns()).find(batch.data), np.zeros(1, bool)
    events = find_events(batch, [text], hits, none, np.array(["，".encode() in text.body]))
    assert not events.whole.any()
    assert len(events.lines) * 100 <= int(batch.lines(batch.ends)[0] - batch.lines(batch.starts)[0])
