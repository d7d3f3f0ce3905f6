"""Compile regular expressions at their first use instead of on import.

Compiling all patterns of the project takes a sixth of a command's start, and most commands use few
of them. `compile_later` returns an object that behaves like `re.Pattern`. A faulty expression
raises `re.error` only when it is first used, so a test compiles all of them.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


def compile_later(expression: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return a stand-in for `re.compile(expression, flags)` that compiles at its first use.

    A faulty expression raises `re.error` only then.

    >>> compile_later("[0-9]+").findall("a1b23")
    ['1', '23']
    """
    return cast("re.Pattern[AnyStr]", _LatePattern(expression, flags))


class _LatePattern:
    """A stand-in for a pattern that is compiled on first use.

    Each of its methods is looked up one time and then stored as an attribute.
    """

    def __init__(self, expression: str | bytes, flags: int) -> None:
        self._expression, self._flags = expression, flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle look these up: the object is copied as it is
            raise AttributeError(name)
        value = getattr(re.compile(self._expression, self._flags), name)
        setattr(self, name, value)
        return value
