"""The check of regular expressions (`make patterns`) tells what takes longer than its text from
what does not.
"""

import re

import pytest

from crawlers.sites import dates
from harness.patterns.ambiguity import faults
from harness.patterns.collection import PatternUse
from harness.patterns.growth import growth

SLOW = (
    r"(a+)+b", r"a*a*b", r"\s*foo", r"A.*?B", r"<\?[^>]*>", r"(?:a|ab|b)*c", r"x[ab]*[bc]*y",
    r"\s+$", r"a++b", r"a*+b",
    r"(?:a(?=[ab]*c))*+", r"(?m)^[\s,]*[a-z]+\s+[A-Z]", r"(?=.*x)a",
    r"[a-z]{1,300}@", r"(?:[a-z]+\.)+com", r"^x(.*?)(\(\d\))?\s*$",
    r"\n\s*(?:\)|KEY)", r"(?:x\s*)?(?:\([^()]*\))?\s*\s*y", r"(?i)content-type:.*\d\d:.*\n",
    r"a++(?!bc)", r"(?>a+)c|b",
)  # fmt: skip
LINEAR = (
    r"a+", r"<[^<>]*>", r"(?<![a-z])[a-z]++@", r"^\s*foo", r"\s+", r"[a-z]{1,24}:", r"(?:ab)*",
    r'"(?:[^"\\]|\\.)*+("?)', r"a*b*",
    r"(?:a|b)*", r"\Aa*b", r"(?<!\w)\w++:", r"<\?[^>]*+(>?)", r"\n[ \t]*(?:\)|KEY)", r"x.*$",
    r"(?<!\\)\\++u", r"(?<!\d)\d++$",
)  # fmt: skip


@pytest.mark.parametrize("pattern", SLOW)
def test_superlinear_pattern_is_reported(pattern: str) -> None:
    assert faults(re.compile(pattern))


@pytest.mark.parametrize("pattern", LINEAR)
def test_linear_pattern_is_not_reported(pattern: str) -> None:
    assert not faults(re.compile(pattern))


def test_quadratic_growth_is_measured() -> None:
    assert next(growth(PatternUse(re.compile(r"<\?[^>]*>"), "quadratic")), "")


@pytest.mark.parametrize("pattern", [r"<[^<>]*>", rb"(?<![a-z])[a-z]++@", r"(?:ab)*"])
def test_linear_pattern_is_not_measured(pattern: str | bytes) -> None:
    assert [*growth(PatternUse(re.compile(pattern), "linear"))] == []


def test_bounded_pattern_is_tested_at_its_longest_text() -> None:
    """Its name says where the bound is; a pattern in its place that is slow within it is told."""
    name = "crawlers.sites.dates.AGO"
    assert [*growth(PatternUse(dates.AGO, name))] == []
    assert next(growth(PatternUse(re.compile(r"a*a*a*b"), name)), "")
