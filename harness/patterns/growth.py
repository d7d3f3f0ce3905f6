"""How the time of a pattern grows on the worst texts that are made from it: what is linear takes
as long as its text is long.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator

from harness.patterns.ambiguity import Ambiguity
from harness.patterns.automaton import Automaton
from harness.patterns.collection import PatternUse
from harness.patterns.exempt import BOUNDED

SHORT, LONG = 2 << 10, 32 << 10
QUICK = 0.02
"""CPU seconds for LONG in which no growth is looked for: more than 1.5 MB/s."""
MOST_GROWTH = 64
"""Between 16, in which what is linear grows, and 256, in which the square does."""
MOST_WORDS, TRIES = 12, 3


def growth(use: PatternUse) -> Iterator[str]:
    """Return a line for each text that takes too long, with its beginning."""
    if use.name in BOUNDED:
        module, _, _ = use.name.rpartition(".")
        bound = getattr(importlib.import_module(module), BOUNDED[use.name])
        for (text,) in worst(use, bound):
            if all(seconds(use, text) >= QUICK for _ in range(TRIES)):
                yield f"the longest text that it is given takes more than {QUICK} s: {text[:80]!r}"
        return
    for short, long in worst(use, SHORT, LONG):
        spent = seconds(use, long)
        if spent < QUICK or spent / max(seconds(use, short), 1e-9) < MOST_GROWTH:
            continue
        # a busy machine is no fault of the pattern
        spent = min(seconds(use, long) for _ in range(TRIES))
        grown = spent / max(min(seconds(use, short) for _ in range(TRIES)), 1e-9)
        if spent >= QUICK and grown >= MOST_GROWTH:
            yield f"{LONG // SHORT} times the text takes {grown:.0f} times as long: {long[:80]!r}"


def worst(one: PatternUse, *lengths: int) -> Iterator[tuple[str | bytes, ...]]:
    """Texts of about those lengths: what leads to a repetition, then that over and over; and
    both over and over.
    """
    automaton = Automaton(one.pattern, one.is_searched, one.is_whole)
    empty = automaton.letters[0][:0]
    ends = [empty, *automaton.letters[:3]]
    for led, turned in Ambiguity(automaton).words[:MOST_WORDS]:
        yield tuple(
            led + turned * (length // len(turned)) + ends[len(turned) % len(ends)]
            for length in lengths
        )
        yield tuple((led + turned) * (length // len(led + turned)) for length in lengths)
        yield tuple(
            (led + turned * 30) * (length // len(led + turned * 30) + 1) for length in lengths
        )


def seconds(one: PatternUse, text: str | bytes) -> float:
    """CPU seconds that it takes for the text, used as it is in the program."""
    began = time.thread_time()
    if one.is_searched:
        for _ in one.pattern.finditer(text):
            pass
    elif one.is_whole:
        one.pattern.fullmatch(text)
    else:
        one.pattern.match(text)
    return time.thread_time() - began
