"""Each regular expression on the worst texts that are made from it: sixteen times the text takes some sixteen times as long."""

import importlib
import re
import time
from collections.abc import Iterator

import pytest

from harness.patterns.ambiguity import Ambiguity, faults
from harness.patterns.automaton import Automaton
from harness.patterns.collection import Found, collected
from harness.patterns.exempt import BOUNDED, OURS

SHORT, LONG = 2 << 10, 32 << 10
QUICK = 0.02
"""CPU seconds for LONG in which no growth is looked for: more than 1.5 MB/s."""
MOST_GROWTH = 64
"""Between 16, in which what is linear grows, and 256, in which the square does."""
MOST_WORDS = 12
EVERY = [one for one in collected() if one.name not in OURS]

SLOW = (
    r"(a+)+b", r"a*a*b", r"\s*foo", r"A.*?B", r"<\?[^>]*>", r"(?:a|ab|b)*c", r"x[ab]*[bc]*y", r"\s+$", r"a++b", r"a*+b",
    r"(?:a(?=[ab]*c))*+", r"(?m)^[\s,]*[a-z]+\s+[A-Z]", r"(?=.*x)a",
    r"[a-z]{1,300}@", r"(?:[a-z]+\.)+com", r"^x(.*?)(\(\d\))?\s*$",
    r"\n\s*(?:\)|KEY)", r"(?:x\s*)?(?:\([^()]*\))?\s*\s*y", r"(?i)content-type:.*\d\d:.*\n", r"a++(?!bc)", r"(?>a+)c|b",
)  # fmt: skip
LINEAR = (
    r"a+", r"<[^<>]*>", r"(?<![a-z])[a-z]++@", r"^\s*foo", r"\s+", r"[a-z]{1,24}:", r"(?:ab)*", r'"(?:[^"\\]|\\.)*+("?)', r"a*b*",
    r"(?:a|b)*", r"\Aa*b", r"(?<!\w)\w++:", r"<\?[^>]*+(>?)", r"\n[ \t]*(?:\)|KEY)", r"x.*$", r"(?<!\\)\\++u", r"(?<!\d)\d++$",
)  # fmt: skip


@pytest.mark.parametrize("pattern", SLOW)
def test_what_takes_longer_than_its_text_is_told(pattern: str) -> None:
    assert faults(re.compile(pattern))


@pytest.mark.parametrize("pattern", LINEAR)
def test_of_what_takes_as_long_as_its_text_nothing_is_told(pattern: str) -> None:
    assert not faults(re.compile(pattern))


def worst(one: Found, length: int) -> Iterator[str | bytes]:
    """Texts of about that length: what leads to a repetition, then that over and over; and both over and over."""
    made = Automaton(one.pattern, one.is_searched, one.is_whole)
    empty = made.letters[0][:0]
    ends = [empty, *made.letters[:3]]
    for led, turned in Ambiguity(made).words[:MOST_WORDS]:
        yield led + turned * (length // len(turned)) + ends[len(turned) % len(ends)]
        yield (led + turned) * (length // len(led + turned))
        yield (led + turned * 30) * (length // len(led + turned * 30) + 1)


def seconds(one: Found, text: str | bytes) -> float:
    """CPU seconds, the least of three."""
    spent = []
    for _ in range(3):
        began = time.thread_time()
        if one.is_searched:
            for _found in one.pattern.finditer(text):
                pass
        elif one.is_whole:
            one.pattern.fullmatch(text)
        else:
            one.pattern.match(text)
        spent.append(time.thread_time() - began)
        if spent[-1] < QUICK:
            break
    return min(spent)


@pytest.mark.parametrize("one", EVERY, ids=[one.name for one in EVERY])
def test_its_worst_text_takes_as_long_as_it_is_long(one: Found) -> None:
    if one.name in BOUNDED:
        module, _, _ = one.name.rpartition(".")
        bound = getattr(importlib.import_module(module), BOUNDED[one.name])
        assert all(seconds(one, text[:bound]) < QUICK for text in worst(one, bound))
        return
    for number, text in enumerate(worst(one, LONG)):
        spent = seconds(one, text)
        if spent >= QUICK:
            short = next(short for at, short in enumerate(worst(one, SHORT)) if at == number)
            assert spent / max(seconds(one, short), 1e-9) < MOST_GROWTH, text[:80]


def test_the_measurement_itself_tells_the_square() -> None:
    one = Found(re.compile(r"<\?[^>]*>"), "quadratic")
    texts = [[*worst(one, length)] for length in (SHORT, LONG)]
    assert any(seconds(one, long) / seconds(one, short) > MOST_GROWTH for short, long in zip(*texts, strict=True))
