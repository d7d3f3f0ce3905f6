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
        """A line for each fault, with the text that is to be repeated; nothing where time is
        linear.
        """
        made = self.automaton
        told = set[str]()
        of_search = self._uncovered(made.steps)
        for word in self._words_of_two(
            of_search, [part for part in _loops(of_search) if made.anywhere in part]
        ):
            told.add(f"a search begins anew at each {word!r}")
        whole = self._uncovered(made.steps, made.lazy | {made.anywhere})
        whole.pop(made.anywhere, None)
        broken = {
            state: [step for step in steps if not step.goes_round] for state, steps in whole.items()
        }
        for graph in (whole, broken):
            for word in self._words_of_two(graph, _loops(graph), within=frozenset(of_search)):
                told.add(f"two repetitions take each {word!r}")
        for part in _loops(broken):
            told |= {
                f"one repetition takes {word!r} in two ways" for word in self._doubled(broken, part)
            }
        yield from sorted(told)

    def _words_of_two(
        self, graph: Graph, firsts: Sequence[frozenset[int]], within: frozenset[int] | None = None
    ) -> Iterator[AnyStr]:
        made, parts = (
            self.automaton,
            [part for part in _loops(graph) if within is None or part <= within],
        )
        for first in firsts:
            reached = _reached(graph, first)
            for second in parts:
                is_kept = _common(made, first) - _common(made, second)
                if first is not second and first != second and not is_kept and second & reached:
                    yield from self._shared(graph, first, second)

    def _uncovered(self, graph: Graph, kept: AbstractSet[int] = frozenset()) -> Graph:
        """Without the states from which the pattern matches whatever comes: to come there ends
        all search.
        """
        made = self.automaton
        parts = {state: part for part in _loops(graph) for state in part}
        covering, grown = set[int](), True
        while grown:
            more = {
                state
                for state in made.taken
                if state not in covering
                and state not in kept
                and state != made.anywhere
                and self._covers(state, parts, covering)
            }
            grown = bool(more)
            covering |= more
        left = Graph()
        for state, steps in graph.items():
            if state not in covering:
                ended = 0 if state in kept else self._ended(state)
                narrow = [step._replace(ahead=step.ahead & ~ended) for step in steps]
                left[state] = [
                    step
                    for step in narrow
                    if step.ahead and step.target >= 0 and step.target not in covering
                ]
        return left

    def _ended(self, state: int) -> int:
        """The characters before which it matches as it stands: whatever fails behind them, this
        is left.
        """
        made = self.automaton
        if state not in made.taken or made.atomic[state]:
            return 0
        return union(
            [
                s.ahead
                for s in made.steps[state]
                if s.target < 0 and s.is_sure and not made.taken[state] & ~s.before
            ]
        )

    def _covers(
        self, state: int, parts: dict[int, frozenset[int]], covering: AbstractSet[int]
    ) -> bool:
        """Whether from here, whatever stands next, it matches, or goes on to where it does."""
        made = self.automaton
        letters = [1 << n for n in range(len(made.letters)) if made.taken[state] >> n & 1]
        for letter in letters:
            ahead, is_ended = 0, False
            for step in made.steps[state]:
                goes_on = step.target in covering or (
                    step.target in parts and parts.get(state) is parts[step.target]
                )
                if step.is_sure and step.before & letter and (step.target < 0 or goes_on):
                    ahead |= step.ahead
                    is_ended |= step.target < 0 or step.target in covering
            if not is_ended or ahead != made.all_ahead:
                return False
        return bool(letters)

    def _shared(
        self, graph: Graph, first: frozenset[int], second: frozenset[int]
    ) -> Iterator[AnyStr]:
        """A word that leads around in both and from the first to the second; the first that is
        found.
        """
        taken = self.automaton.taken
        for one in sorted(first):
            for other in sorted(second):
                both = taken[one] & taken[other]
                while both:
                    letter = both & -both
                    both ^= letter
                    word = self._word(
                        graph, (one, one, other), (one, other, other), letter, first, second
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
        known: dict[Place, Place | None] = {(*start, letter): None}
        waiting = deque[Place]([(*start, letter)])
        while waiting:
            state = waiting.popleft()
            one, between, other, before = state
            for a in graph.get(one, ()):
                if a.target not in first or not a.before & before:
                    continue
                for b in graph.get(between, ()):
                    shared = a.ahead & b.ahead
                    if not shared or not b.before & before:
                        continue
                    for c in graph.get(other, ()):
                        letters = shared & c.ahead
                        if not letters or not c.before & before or c.target not in second:
                            continue
                        while letters:
                            taken = letters & -letters
                            letters ^= taken
                            nxt = (a.target, b.target, c.target, taken)
                            if nxt[:3] == goal and taken == letter:
                                return self._spelt(known, state, taken)
                            if nxt not in known:
                                known[nxt] = state
                                waiting.append(nxt)
            if len(known) > MOST_STATES:
                return self.automaton.letters[0][:0] + (
                    b"?" if isinstance(self.automaton.letters[0], bytes) else "?"
                )
        return None

    def _doubled(self, graph: Graph, part: frozenset[int]) -> Iterator[AnyStr]:
        """A word that leads around from a state to itself in two ways."""
        for one in sorted(part):
            letters = self.automaton.taken[one]
            while letters:
                letter = letters & -letters
                letters ^= letter
                word = self._twice(graph, one, letter, part)
                if word:
                    yield word
                    return

    def _twice(self, graph: Graph, start: int, letter: int, part: frozenset[int]) -> AnyStr | None:
        begun: Place = (start, start, False, letter)
        known: dict[Place, Place | None] = {begun: None}
        waiting = deque[Place]([begun])
        while waiting:
            state = waiting.popleft()
            one, other, is_apart, before = state
            for i, a in enumerate(graph.get(one, ())):
                if a.target not in part or not a.before & before:
                    continue
                for j, b in enumerate(graph.get(other, ())):
                    shared = a.ahead & b.ahead
                    if not shared or b.target not in part or not b.before & before:
                        continue
                    apart = is_apart or one != other or i != j
                    while shared:
                        taken = shared & -shared
                        shared ^= taken
                        nxt = (a.target, b.target, apart, taken)
                        if nxt == (start, start, True, letter):
                            return self._spelt(known, state, taken)
                        if nxt not in known:
                            known[nxt] = state
                            waiting.append(nxt)
            if len(known) > MOST_STATES:
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
        made, found = self.automaton, list[tuple[AnyStr, AnyStr]]()
        for part in _loops(made.steps):
            if made.anywhere in part:
                continue
            for state in sorted(part)[:4]:
                letters = made.taken[state]
                while letters:
                    letter = letters & -letters
                    letters ^= letter
                    led = self._path(made.start, made.start_bit, state, letter, None)
                    turned = self._path(state, letter, state, letter, part)
                    if led is not None and turned:
                        found.append((led, turned))
        return list(dict.fromkeys(found))

    def _path(
        self, start: int, before: int, goal: int, letter: int, part: frozenset[int] | None
    ) -> AnyStr | None:
        begun: Place = (start, before)
        known: dict[Place, Place | None] = {begun: None}
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
                    taken = letters & -letters
                    letters ^= taken
                    nxt = (step.target, taken)
                    if nxt == (goal, letter):
                        return self._spelt(known, state, taken)
                    if nxt not in known:
                        known[nxt] = state
                        waiting.append(nxt)
        return None


def _common(made: Automaton[Any], part: frozenset[int]) -> frozenset[int]:
    return frozenset.intersection(*(made.atomic[state] for state in part))


def _reached(graph: Graph, part: frozenset[int]) -> set[int]:
    seen, waiting = set(part), list(part)
    while waiting:
        for step in graph.get(waiting.pop(), ()):
            if step.target >= 0 and step.target not in seen:
                seen.add(step.target)
                waiting.append(step.target)
    return seen


def _loops(graph: Graph) -> list[frozenset[int]]:
    """Groups of states each of which leads to all others of its group and to itself (Tarjan)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    held: set[int] = set()
    found: list[frozenset[int]] = []
    for root in graph:
        if root in index:
            continue
        work = [(root, iter(graph[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        held.add(root)
        while work:
            at, steps = work[-1]
            for step in steps:
                to = step.target
                if to < 0 or to not in graph:
                    continue
                if to not in index:
                    index[to] = low[to] = len(index)
                    stack.append(to)
                    held.add(to)
                    work.append((to, iter(graph[to])))
                    break
                if to in held:
                    low[at] = min(low[at], index[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[at])
                if low[at] == index[at]:
                    part = set()
                    while True:
                        one = stack.pop()
                        held.discard(one)
                        part.add(one)
                        if one == at:
                            break
                    if len(part) > 1 or any(step.target == at for step in graph[at]):
                        found.append(frozenset(part))
    return found


def faults(
    pattern: re.Pattern[Any], *, is_searched: bool = True, is_whole: bool = False
) -> list[str]:
    """Where its time is not linear."""
    return list(Ambiguity(Automaton(pattern, is_searched, is_whole)).found())
