"""A regular expression as an automaton of the characters that it takes, with which repetitions can
take the same text.

`re` tries one way after another: where two repetitions can take the same characters, or one can
begin anew at each place of what it takes itself, it tries as many ways as the square of the text's
length, or more. The theory is that of the degree of ambiguity (Weber and Seidl, 1991): time is more
than linear if a word leads from a repetition to itself, from it to another one, and from that one
to itself. A search begins with a repetition of anything. Possessive repetitions and atomic groups
are left in one way.

What looks ahead or behind by one character is kept; of what looks further nothing is assumed.
Repetitions of up to `SHORT` are taken for few, longer ones for endless.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]  # not in typeshed
from typing import Any, AnyStr, Generic, NamedTuple

SHORT = 64
MOST_STATES = 300_000
"""Of the product of three automata: a pattern that needs more is said to be too large to be
judged.
"""
SPACES = "\t\n\v\f\r \x1c\x85\xa0\u2028\u3000"
SAMPLES = [
    *map(chr, range(256)),
    *SPACES,
    *"一鿿王０９Ａｚ＠一",
    "\u0301",
    "\u200b",
    "İ",
    "ſ",
    "K",
    "𝟏",
    "٣",
]
CHARACTERS = {
    _constants.LITERAL,
    _constants.NOT_LITERAL,
    _constants.ANY,
    _constants.IN,
    _constants.CATEGORY,
    _constants.RANGE,
}
REPEATS = {_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT}

Items = Sequence[tuple[object, Any]]
"""A pattern, or a part of it, as `re` has read it."""


class Step(NamedTuple):
    """A way to the next state: which characters may have stood before and may come. -1 is the end,
    where the pattern matches.

    Whether a possessive repetition goes round on it, and whether it is open to all that the masks
    tell: what looks further than one character may close it.
    """

    target: int
    before: int
    ahead: int
    goes_round: bool = False
    is_sure: bool = True


@dataclass
class Automaton(Generic[AnyStr]):
    """See the module. Sets of characters are bits of `letters`; START and END are two bits more."""

    pattern: re.Pattern[AnyStr]
    is_searched: bool = True
    is_whole: bool = False
    """Whether it must match up to the end of the text."""
    taken: dict[int, int] = field(default_factory=dict)
    """The characters that a state takes."""
    edges: list[list[Step]] = field(default_factory=list)
    atomic: list[frozenset[int]] = field(default_factory=list)
    """The atomic groups that a state stands in."""
    lazy: set[int] = field(default_factory=set)
    """States of repetitions that leave off as soon as they may: what comes behind is tried
    before they go on.
    """
    _groups: tuple[int, ...] = ()
    _lazy: int = 0

    def __post_init__(self) -> None:
        self.parsed = _parser.parse(self.pattern.pattern, self.pattern.flags & ~re.DEBUG)
        self.letters: list[AnyStr] = self._letters()
        self.every = (1 << len(self.letters)) - 1
        self.start_bit, self.end_bit = 1 << len(self.letters), 2 << len(self.letters)
        self.all_before, self.all_ahead = self.every | self.start_bit, self.every | self.end_bit
        self.word = self._mask(
            _constants.IN, [(_constants.CATEGORY, _constants.CATEGORY_WORD)], self.pattern.flags
        )
        self.line_end = self._mask(_constants.LITERAL, 10, 0)
        self.start = self._new()
        at = self.start
        self.anywhere = -1
        if self.is_searched:
            self.anywhere = self._new(self.every)
            at = self._new()
            self._link(self.start, at)
            self._link(self.start, self.anywhere)
            self._link(self.anywhere, self.anywhere)
            self._link(self.anywhere, at)
        at = self._sequence(self.parsed, at, self.pattern.flags)
        self.accepted = self._new()
        self._link(at, self.accepted, ahead=self.end_bit if self.is_whole else None)

    # Characters

    def _letters(self) -> list[AnyStr]:
        """Return one of each kind of characters that the pattern distinguishes."""
        sets = list(
            dict.fromkeys(
                (op, repr(arg), flags)
                for op, arg, flags in _characters(self.parsed, self.pattern.flags)
            )
        )
        arguments = {
            (op, repr(arg), flags): arg
            for op, arg, flags in _characters(self.parsed, self.pattern.flags)
        }
        if isinstance(self.pattern.pattern, bytes):
            samples: list[AnyStr] = [bytes((byte,)) for byte in range(256)]
        else:
            ends = {end for _, arg, _ in _characters(self.parsed, 0) for end in _ends(arg)}
            around = (n for end in ends for n in (end - 1, end, end + 1))
            near: set[int] = {n for n in around if 0 <= n < 0x110000 and not 0xD800 <= n < 0xE000}
            samples = list(dict.fromkeys([*SAMPLES, *map(chr, sorted(near))]))
        tests = [
            _compile_one(op, arguments[op, written, flags], flags) for op, written, flags in sets
        ]
        tests += [
            _compile_one(
                _constants.IN, [(_constants.CATEGORY, _constants.CATEGORY_WORD)], self.pattern.flags
            )
        ]
        tests += [_compile_one(_constants.LITERAL, 10, 0)]
        preferred = sorted(
            samples, key=lambda sample: (not sample.isalnum(), not 32 < ord(sample) < 127)
        )
        kinds: dict[tuple[bool, ...], AnyStr] = {}
        for sample in preferred:
            kinds.setdefault(tuple(test.fullmatch(sample) is not None for test in tests), sample)
        self._masks: dict[tuple[object, str, int], int] = {}
        return list(kinds.values())

    def _mask(self, op: object, arg: object, flags: int) -> int:
        key = (op, repr(arg), flags)
        if key not in self._masks:
            test = _compile_one(op, arg, flags)
            self._masks[key] = sum(
                1 << n for n, letter in enumerate(self.letters) if test.fullmatch(letter)
            )
        return self._masks[key]

    def letter(self, mask: int) -> AnyStr:
        """Return one of the characters of a set."""
        return self.letters[(mask & -mask).bit_length() - 1]

    # Building

    def _new(self, taken: int | None = None) -> int:
        self.edges.append([])
        self.atomic.append(frozenset(self._groups))
        if taken is not None:
            self.taken[len(self.edges) - 1] = taken
            if self._lazy:
                self.lazy.add(len(self.edges) - 1)
        return len(self.edges) - 1

    def _link(
        self,
        one: int,
        other: int,
        before: int | None = None,
        ahead: int | None = None,
        *,
        round_: bool = False,
        sure: bool = True,
    ) -> None:
        before = self.all_before if before is None else before
        ahead = self.all_ahead if ahead is None else ahead
        self.edges[one].append(Step(other, before, ahead, round_, sure))

    def _sequence(self, items: Items, at: int, flags: int) -> int:
        for op, arg in items:
            at = self._item(op, arg, at, flags)
        return at

    def _item(  # noqa: PLR0911  a case for each kind of item
        self, op: object, arg: Any, at: int, flags: int
    ) -> int:
        if op in CHARACTERS:
            taking = self._new(self._mask(op, arg, flags))
            self._link(at, taking)
            return taking
        if op is _constants.BRANCH:
            ends = [self._sequence(branch, at, flags) for branch in arg[1]]
            joined = self._new()
            for end in ends:
                self._link(end, joined)
            return joined
        if op is _constants.SUBPATTERN:
            return self._sequence(arg[3], at, (flags | arg[1]) & ~arg[2])
        if op in REPEATS:
            return self._repeat(op, arg, at, flags)
        if op is _constants.ATOMIC_GROUP:
            if len(arg) == 1 and arg[0][0] is _constants.MAX_REPEAT:
                return self._repeat(_constants.POSSESSIVE_REPEAT, arg[0][1], at, flags)
            return self._in_group(arg, at, flags)
        if op in (_constants.ASSERT, _constants.ASSERT_NOT):
            return self._add_lookaround(arg[0], arg[1], at, flags, positive=op is _constants.ASSERT)
        if op is _constants.AT:
            return self._add_position(arg, at, flags)
        if op is _constants.GROUPREF_EXISTS:
            joined = self._new()
            for branch in (arg[1], arg[2] or []):
                self._link(self._sequence(branch, at, flags), joined)
            return joined
        after = self._new()
        self._link(at, after, sure=False)  # a reference to a group: as if it were empty
        return after

    def _in_group(self, items: Items, at: int, flags: int) -> int:
        outside: tuple[int, ...] = self._groups
        self._groups = (*outside, len(self.edges))
        inner = self._new()
        self._link(at, inner)
        end = self._sequence(items, inner, flags)
        self._groups = outside
        after = self._new()
        self._link(end, after)
        return after

    def _repeat(self, op: object, repeated: tuple[int, int, Items], at: int, flags: int) -> int:
        least, most, items = repeated
        is_kept = op is _constants.POSSESSIVE_REPEAT
        single = self._certain(items, flags) if len(items) == 1 and _width(items) == 1 else 0
        ahead = self.all_ahead & ~single if is_kept and single else None
        outside: tuple[int, ...] = self._groups
        if is_kept:
            self._groups = (*outside, len(self.edges))
        first = self._new()
        self._link(at, first)
        at = first
        for _ in range(min(least, 4 if single else 2)):
            at = self._sequence(items, at, flags)
        self._groups, inside = outside, self._groups
        end = self._new()
        self._groups = inside
        if most > SHORT:
            turn = self._new()
            self._link(at, turn)
            self._lazy += op is _constants.MIN_REPEAT
            self._link(self._sequence(items, turn, flags), turn, round_=is_kept)
            self._lazy -= op is _constants.MIN_REPEAT
            self._link(turn, end, ahead=ahead)
        else:
            for _ in range(min(most - least, 2)):
                self._link(at, end, ahead=ahead)
                at = self._sequence(items, at, flags)
            self._link(at, end)
        self._groups = outside
        return end

    def _add_lookaround(
        self, way: int, items: Items, at: int, flags: int, *, positive: bool
    ) -> int:
        after = self._new()
        if way > 0:
            if _has_endless(items):
                self._in_group(items, at, flags)  # it leads nowhere, and takes its time
            first_letters = (
                self._first(items, flags)
                if positive
                else self.all_ahead & ~self._certain(items, flags)
            )
            self._link(
                at,
                after,
                ahead=first_letters,
                sure=self._is_told(items, first_letters, self.all_ahead, flags, positive=positive),
            )
        else:
            first_letters = (
                self._last(items, flags)
                if positive
                else self.all_before & ~self._certain(items, flags)
            )
            self._link(
                at,
                after,
                before=first_letters,
                sure=self._is_told(items, first_letters, self.all_before, flags, positive=positive),
            )
        return after

    def _is_told(self, items: Items, seen: int, every: int, flags: int, *, positive: bool) -> bool:
        """Return whether a single character decides the whole lookaround."""
        certain = self._certain(items, flags) & every
        may = (
            self._first(items, flags) & every
            if every == self.all_ahead
            else self._last(items, flags) & every
        )
        return certain == seen if positive else certain == may and seen == every & ~certain

    def _add_position(self, where: object, at: int, flags: int) -> int:
        after = self._new()
        if where in (_constants.AT_BEGINNING, _constants.AT_BEGINNING_STRING):
            lines = (
                self.line_end if flags & re.MULTILINE and where is _constants.AT_BEGINNING else 0
            )
            self._link(at, after, before=self.start_bit | lines)
        elif where in (_constants.AT_END, _constants.AT_END_STRING):
            self._link(
                at, after, ahead=self.end_bit | (self.line_end if where is _constants.AT_END else 0)
            )
        else:
            other_before, other_ahead = self.all_before & ~self.word, self.all_ahead & ~self.word
            is_edge = where is _constants.AT_BOUNDARY
            self._link(at, after, before=self.word, ahead=other_ahead if is_edge else self.word)
            self._link(at, after, before=other_before, ahead=self.word if is_edge else other_ahead)
        return after

    def _first(self, items: Items, flags: int) -> int:
        """Characters with which it may begin, END among them."""
        letters = 0
        for op, arg in items:
            if op in CHARACTERS:
                return letters | self._mask(op, arg, flags)
            if op is _constants.BRANCH:
                inner = [self._first(branch, flags) for branch in arg[1]]
                letters |= union(inner)
                if not any(_width(branch) == 0 for branch in arg[1]):
                    return letters
            elif op is _constants.SUBPATTERN:
                letters |= self._first(arg[3], (flags | arg[1]) & ~arg[2])
                if _width(arg[3]):
                    return letters
            elif op in REPEATS:
                letters |= self._first(arg[2], flags)
                if arg[0] and _width(arg[2]):
                    return letters
            elif op is _constants.ATOMIC_GROUP:
                letters |= self._first(arg, flags)
                if _width(arg):
                    return letters
            elif op is _constants.AT and arg in (_constants.AT_END, _constants.AT_END_STRING):
                return letters | self.end_bit | (self.line_end if arg is _constants.AT_END else 0)
        return self.all_ahead

    def _last(self, items: Items, flags: int) -> int:
        """Characters that may stand at its end."""
        parts = list(items)
        if not parts:
            return self.all_before
        op, arg = parts[-1]
        if op in CHARACTERS:
            return self._mask(op, arg, flags)
        if op is _constants.BRANCH and all(map(len, arg[1])):
            return union([self._last(branch, flags) for branch in arg[1]])
        if op is _constants.SUBPATTERN:
            return self._last(arg[3], (flags | arg[1]) & ~arg[2])
        if op in REPEATS and arg[0]:
            return self._last(arg[2], flags)
        return self.all_before

    def _certain(self, items: Items, flags: int) -> int:  # noqa: PLR0911  as above
        """Characters each of which is enough to match it."""
        parts = list(items)
        if not parts:
            return self.all_before | self.all_ahead
        (op, arg), remaining = parts[0], parts[1:]
        if _width(remaining) or any(
            op_ in (_constants.ASSERT, _constants.ASSERT_NOT, _constants.AT) for op_, _ in remaining
        ):
            return 0
        if op in CHARACTERS:
            return self._mask(op, arg, flags)
        if op is _constants.BRANCH:
            return union([self._certain(branch, flags) for branch in arg[1]])
        if op is _constants.SUBPATTERN:
            return self._certain(arg[3], (flags | arg[1]) & ~arg[2])
        if op in REPEATS and arg[0] == 1:
            return self._certain(arg[2], flags)
        if op is _constants.AT and arg in (_constants.AT_END, _constants.AT_END_STRING):
            return self.end_bit
        return 0

    # Ways between characters

    @cached_property
    def steps(self) -> dict[int, list[Step]]:
        """From the start and from each state that takes a character to the next ones; a way that
        exists twice stands twice.
        """
        return {state: list(self._ways(state)) for state in (self.start, *self.taken)}

    def _ways(self, state: int) -> Iterator[Step]:
        waiting = [(Step(state, self.all_before, self.all_ahead), frozenset({state}))]
        while waiting:
            way, passed = waiting.pop()
            if way.target == self.accepted:
                yield way._replace(target=-1)
            for edge in self.edges[way.target]:
                before, ahead = way.before & edge.before, way.ahead & edge.ahead
                to = Step(
                    edge.target,
                    before,
                    ahead,
                    way.goes_round or edge.goes_round,
                    way.is_sure and edge.is_sure,
                )
                if edge.target in self.taken:
                    ahead &= self.taken[edge.target]
                    if before and ahead:
                        yield to._replace(ahead=ahead)
                elif before and ahead and edge.target not in passed:
                    waiting.append((to, passed | {edge.target}))


def union(masks: list[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


def _compile_one(op: object, arg: object, flags: int) -> re.Pattern[Any]:
    """Return the pattern of a single character."""
    state = _parser.State()
    state.flags, state.str = flags, ""
    compiled: re.Pattern[Any] = _compiler.compile(
        _parser.SubPattern(state, [(op, arg)]), flags & ~re.DEBUG
    )
    return compiled


def _inner(arg: object) -> Iterator[Items]:
    """Yield the patterns within an item."""
    for part in arg if isinstance(arg, tuple) else (arg,):
        for element in part if isinstance(part, list) else [part]:
            if isinstance(element, _parser.SubPattern):
                yield element


def _characters(items: Items, flags: int) -> Iterator[tuple[object, object, int]]:
    for op, arg in items:
        if op in CHARACTERS:
            yield op, arg, flags
        within = (flags | arg[1]) & ~arg[2] if op is _constants.SUBPATTERN else flags
        for inner in _inner(arg):
            yield from _characters(inner, within)


def _ends(arg: object) -> Iterator[int]:
    """Codes that stand in a set of characters."""
    if isinstance(arg, int):
        yield int(arg)
    elif isinstance(arg, list | tuple):
        for branch in arg:
            yield from _ends(branch)


def _has_endless(items: Items) -> bool:
    return any(
        (op in REPEATS and arg[1] > SHORT) or any(map(_has_endless, _inner(arg)))
        for op, arg in items
    )


def _width(items: Items) -> int:
    """Return the least number of characters that the items take."""
    if isinstance(items, _parser.SubPattern):
        least: int = items.getwidth()[0]
        return min(least, 1 << 20)
    width = 0
    for op, arg in items:
        if op in CHARACTERS:
            width += 1
        elif op in REPEATS:
            width += arg[0] * _width(arg[2])
        elif op is _constants.BRANCH:
            width += min(map(_width, arg[1]))
        elif op is _constants.SUBPATTERN:
            width += _width(arg[3])
        elif op is _constants.ATOMIC_GROUP:
            width += _width(arg)
    return width
