"""Where a pattern's time grows faster than its text, and texts that are the worst for it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Any, AnyStr, Generic

from harness.patterns.automaton import MOST_STATES, Automaton, Step, union

Graph = dict[int, list[Step]]
Place = tuple[int, ...]
"""Where a search for a word stands: states, and the character that was taken last."""


@dataclass
class Ambiguity(Generic[AnyStr]):
    """What is ambiguous in one pattern."""

    automaton: Automaton[AnyStr]

    def found(self) -> Iterator[str]:
        """Yield a line for each fault, with the text to repeat.

        Nothing is yielded for an expression that takes linear time.
        """
        automaton = self.automaton
        reported = set[str]()
        of_search = self._drop_trivial_states(automaton.steps)
        for word in self._words_of_two(
            of_search, [part for part in _loops(of_search) if automaton.anywhere in part]
        ):
            reported.add(f"a search begins anew at each {word!r}")
        whole = self._drop_trivial_states(automaton.steps, automaton.lazy | {automaton.anywhere})
        whole.pop(automaton.anywhere, None)
        broken = {
            state: [step for step in steps if not step.goes_round] for state, steps in whole.items()
        }
        for graph in (whole, broken):
            for word in self._words_of_two(graph, _loops(graph), within=frozenset(of_search)):
                reported.add(f"two repetitions take each {word!r}")
        for part in _loops(broken):
            reported |= {
                f"one repetition takes {word!r} in two ways"
                for word in self._find_doubled_words(broken, part)
            }
        yield from sorted(reported)

    def _words_of_two(
        self, graph: Graph, firsts: Sequence[frozenset[int]], within: frozenset[int] | None = None
    ) -> Iterator[AnyStr]:
        automaton, parts = (
            self.automaton,
            [part for part in _loops(graph) if within is None or part <= within],
        )
        for first in firsts:
            reached = _find_reached(graph, first)
            for second in parts:
                is_kept = _common(automaton, first) - _common(automaton, second)
                if first is not second and first != second and not is_kept and second & reached:
                    yield from self._find_shared_words(graph, first, second)

    def _drop_trivial_states(self, graph: Graph, kept: AbstractSet[int] = frozenset()) -> Graph:
        """Without the states from which the pattern matches whatever comes: to come there ends
        all search.
        """
        automaton = self.automaton
        parts = {state: part for part in _loops(graph) for state in part}
        covering, grown = set[int](), True
        while grown:
            more = {
                state
                for state in automaton.taken
                if state not in covering
                and state not in kept
                and state != automaton.anywhere
                and self._covers(state, parts, covering)
            }
            grown = bool(more)
            covering |= more
        remaining = Graph()
        for state, steps in graph.items():
            if state not in covering:
                ended = 0 if state in kept else self._find_trivial_ends(state)
                narrow = [step._replace(ahead=step.ahead & ~ended) for step in steps]
                remaining[state] = [
                    step
                    for step in narrow
                    if step.ahead and step.target >= 0 and step.target not in covering
                ]
        return remaining

    def _find_trivial_ends(self, state: int) -> int:
        """Return the characters before which the expression matches, whatever fails behind."""
        automaton = self.automaton
        if state not in automaton.taken or automaton.atomic[state]:
            return 0
        return union(
            [
                s.ahead
                for s in automaton.steps[state]
                if s.target < 0 and s.is_sure and not automaton.taken[state] & ~s.before
            ]
        )

    def _covers(
        self, state: int, parts: dict[int, frozenset[int]], covering: AbstractSet[int]
    ) -> bool:
        """Return whether everything from here on matches, or continues to where it does."""
        automaton = self.automaton
        letters = [1 << n for n in range(len(automaton.letters)) if automaton.taken[state] >> n & 1]
        for letter in letters:
            ahead, is_ended = 0, False
            for step in automaton.steps[state]:
                goes_on = step.target in covering or (
                    step.target in parts and parts.get(state) is parts[step.target]
                )
                if step.is_sure and step.before & letter and (step.target < 0 or goes_on):
                    ahead |= step.ahead
                    is_ended |= step.target < 0 or step.target in covering
            if not is_ended or ahead != automaton.all_ahead:
                return False
        return bool(letters)

    def _find_shared_words(
        self, graph: Graph, first: frozenset[int], second: frozenset[int]
    ) -> Iterator[AnyStr]:
        """Yield the first word that loops in both parts and leads from one to the other."""
        taken_by = self.automaton.taken
        for first_state in sorted(first):
            for second_state in sorted(second):
                common = taken_by[first_state] & taken_by[second_state]
                while common:
                    letter = common & -common
                    common ^= letter
                    word = self._word(
                        graph,
                        (first_state, first_state, second_state),
                        (first_state, second_state, second_state),
                        letter,
                        first,
                        second,
                    )
                    if word:
                        yield word
                        return

    def _word(
        self,
        graph: Graph,
        start: tuple[int, int, int],
        goal: tuple[int, int, int],
        letter: int,
        first: frozenset[int],
        second: frozenset[int],
    ) -> AnyStr | None:
        previous: dict[Place, Place | None] = {(*start, letter): None}
        waiting = deque[Place]([(*start, letter)])
        while waiting:
            state = waiting.popleft()
            first_state, between, second_state, before = state
            for a in graph.get(first_state, ()):
                if a.target not in first or not a.before & before:
                    continue
                for b in graph.get(between, ()):
                    shared = a.ahead & b.ahead
                    if not shared or not b.before & before:
                        continue
                    for c in graph.get(second_state, ()):
                        letters = shared & c.ahead
                        if not letters or not c.before & before or c.target not in second:
                            continue
                        while letters:
                            letter_ = letters & -letters
                            letters ^= letter_
                            nxt = (a.target, b.target, c.target, letter_)
                            if nxt[:3] == goal and letter_ == letter:
                                return self._spelt(previous, state, letter_)
                            if nxt not in previous:
                                previous[nxt] = state
                                waiting.append(nxt)
            if len(previous) > MOST_STATES:
                return self.automaton.letters[0][:0] + (
                    b"?" if isinstance(self.automaton.letters[0], bytes) else "?"
                )
        return None

    def _find_doubled_words(self, graph: Graph, part: frozenset[int]) -> Iterator[AnyStr]:
        """Yield a word that leads from a state back to itself in two ways."""
        for state in sorted(part):
            letters = self.automaton.taken[state]
            while letters:
                letter = letters & -letters
                letters ^= letter
                word = self._twice(graph, state, letter, part)
                if word:
                    yield word
                    return

    def _twice(self, graph: Graph, start: int, letter: int, part: frozenset[int]) -> AnyStr | None:
        begun: Place = (start, start, False, letter)
        previous: dict[Place, Place | None] = {begun: None}
        waiting = deque[Place]([begun])
        while waiting:
            state = waiting.popleft()
            first_state, second_state, is_apart, before = state
            for i, a in enumerate(graph.get(first_state, ())):
                if a.target not in part or not a.before & before:
                    continue
                for j, b in enumerate(graph.get(second_state, ())):
                    shared = a.ahead & b.ahead
                    if not shared or b.target not in part or not b.before & before:
                        continue
                    apart = is_apart or first_state != second_state or i != j
                    while shared:
                        letter_ = shared & -shared
                        shared ^= letter_
                        nxt = (a.target, b.target, apart, letter_)
                        if nxt == (start, start, True, letter):
                            return self._spelt(previous, state, letter_)
                        if nxt not in previous:
                            previous[nxt] = state
                            waiting.append(nxt)
            if len(previous) > MOST_STATES:
                return self.automaton.letters[0][:0] + (
                    b"?" if isinstance(self.automaton.letters[0], bytes) else "?"
                )
        return None

    def _spelt(self, known: dict[Place, Place | None], state: Place | None, last: int) -> AnyStr:
        letters = [last]
        while state is not None and known[state] is not None:
            letters.append(state[-1])
            state = known[state]
        empty = self.automaton.letters[0][:0]
        return empty.join(self.automaton.letter(letter) for letter in reversed(letters))

    # The worst texts

    @cached_property
    def words(self) -> list[tuple[AnyStr, AnyStr]]:
        """For each repetition what leads to it, and what goes round in it."""
        automaton, pairs = self.automaton, list[tuple[AnyStr, AnyStr]]()
        for part in _loops(automaton.steps):
            if automaton.anywhere in part:
                continue
            for state in sorted(part)[:4]:
                letters = automaton.taken[state]
                while letters:
                    letter = letters & -letters
                    letters ^= letter
                    led = self._path(automaton.start, automaton.start_bit, state, letter, None)
                    turned = self._path(state, letter, state, letter, part)
                    if led is not None and turned:
                        pairs.append((led, turned))
        return list(dict.fromkeys(pairs))

    def _path(
        self, start: int, before: int, goal: int, letter: int, part: frozenset[int] | None
    ) -> AnyStr | None:
        begun: Place = (start, before)
        previous: dict[Place, Place | None] = {begun: None}
        waiting = deque[Place]([begun])
        while waiting:
            state = waiting.popleft()
            for step in self.automaton.steps.get(state[0], ()):
                if (
                    step.target < 0
                    or step.target == self.automaton.anywhere
                    or not step.before & state[1]
                ):
                    continue
                if part is not None and step.target not in part:
                    continue
                letters = step.ahead
                while letters:
                    letter_ = letters & -letters
                    letters ^= letter_
                    nxt = (step.target, letter_)
                    if nxt == (goal, letter):
                        return self._spelt(previous, state, letter_)
                    if nxt not in previous:
                        previous[nxt] = state
                        waiting.append(nxt)
        return None


def _common(made: Automaton[Any], part: frozenset[int]) -> frozenset[int]:
    return frozenset.intersection(*(made.atomic[state] for state in part))


def _find_reached(graph: Graph, part: frozenset[int]) -> set[int]:
    visited, waiting = set(part), list(part)
    while waiting:
        for step in graph.get(waiting.pop(), ()):
            if step.target >= 0 and step.target not in visited:
                visited.add(step.target)
                waiting.append(step.target)
    return visited


def _loops(graph: Graph) -> list[frozenset[int]]:
    """Return groups of states each of which leads to all others of its group and to itself.

    Tarjan's algorithm finds them.
    """
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    loops: list[frozenset[int]] = []
    for root in graph:
        if root in index:
            continue
        work = [(root, iter(graph[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            at, steps = work[-1]
            for step in steps:
                to = step.target
                if to < 0 or to not in graph:
                    continue
                if to not in index:
                    index[to] = low[to] = len(index)
                    stack.append(to)
                    on_stack.add(to)
                    work.append((to, iter(graph[to])))
                    break
                if to in on_stack:
                    low[at] = min(low[at], index[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[at])
                if low[at] == index[at]:
                    part = set()
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        part.add(member)
                        if member == at:
                            break
                    if len(part) > 1 or any(step.target == at for step in graph[at]):
                        loops.append(frozenset(part))
    return loops


def faults(
    pattern: re.Pattern[Any], *, is_searched: bool = True, is_whole: bool = False
) -> list[str]:
    """Return where a pattern's time is not linear."""
    return list(Ambiguity(Automaton(pattern, is_searched, is_whole)).found())
