"""The mutants of a file: one small change each, inside a function.

The changes are mutmut's, without those of strings, which mostly are words for people; and two that
it lacks: a statement that is left out, and a `with` that is entered without what it holds.
Annotations, decorators, assertions and what is said in logs are no behaviour that a test is asked
to hold; nor is a `refresh` of the store, which does nothing on the embedded one: the contracts on
servers and the tests that are `on_server_too` hold it.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from harness.mutants.areas import ROOT

WORDS = (cst.Is, cst.IsNot, cst.In, cst.NotIn, cst.Break, cst.Continue)
"""What is mutated without being an expression or a statement: all else is spared mutmut's
matchers, which are slow.
"""
SKIPPED = (cst.Annotation, cst.Decorator, cst.Assert, cst.Import, cst.ImportFrom, cst.Parameters)


def leave_out(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Yield a statement that does something, replaced by one that does not."""
    if isinstance(node, cst.SimpleStatementLine):
        [first, *more] = node.body
        calls = isinstance(first, cst.Expr) and isinstance(first.value, cst.Call)
        ends = isinstance(
            first,
            cst.Raise
            | cst.Return
            | cst.Break
            | cst.Continue
            | cst.Assign
            | cst.AugAssign
            | cst.Del,
        )
        if not more and (calls or ends):
            yield node.with_changes(body=[cst.Pass()])


def without_context(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Yield a `with` that lacks one of its contexts whose value has no name."""
    if isinstance(node, cst.With):
        for place, item in enumerate(node.items):
            if item.asname is None:
                remaining = [mutant for at, mutant in enumerate(node.items) if at != place]
                nothing = cst.WithItem(
                    cst.parse_expression("__import__('contextlib').nullcontext()")
                )
                items_ = [
                    mutant.with_changes(comma=cst.MaybeSentinel.DEFAULT) for mutant in remaining
                ]
                yield node.with_changes(items=items_ or [nothing])


@dataclass(frozen=True, slots=True, eq=False)
class Mutant:
    """One change of one file.

    `lines` are those that it changes, `statement` those of the statement around it.
    """

    path: Path
    module: cst.Module
    node: cst.CSTNode
    new: cst.CSTNode
    lines: range
    statement: range

    def source(self) -> str:
        """Return the file with the change."""
        changed = self.module.deep_replace(self.node, self.new)
        assert isinstance(changed, cst.Module)
        return changed.code

    def diff(self) -> list[str]:
        """Return what is removed and what is inserted, line by line."""
        lines = difflib.unified_diff(
            self.module.code.splitlines(), self.source().splitlines(), lineterm="", n=0
        )
        return [
            line[0] + " " + line[1:].strip()
            for line in lines
            if line[:1] in "+-" and line[:3] not in {"+++", "---"}
        ]


def mutants_of(path: Path) -> list[Mutant]:
    """Return every mutant of a file, in its order."""
    wrapper = MetadataWrapper(
        cst.parse_module(path.read_text(encoding="utf-8")), unsafe_skip_copy=True
    )
    positions = wrapper.resolve(PositionProvider)
    mutants: list[Mutant] = []

    def look(node: cst.CSTNode, statement: range, in_function: bool) -> None:
        if isinstance(node, SKIPPED) or _is_left_alone(node):
            return
        is_code = isinstance(
            node,
            (
                cst.BaseExpression,
                cst.BaseSmallStatement,
                cst.BaseStatement,
                cst.ComparisonTarget,
                *WORDS,
            ),
        )
        position = positions.get(node)
        lines = (
            range(position.start.line, position.end.line + 1)
            if isinstance(position, CodeRange)
            else statement
        )
        if isinstance(node, cst.SimpleStatementLine | cst.BaseCompoundStatement):
            statement = lines
        if in_function and is_code and not _is_docstring(node):
            mutants.extend(
                Mutant(path, wrapper.module, node, new, lines, statement) for new in changes(node)
            )
        for child in node.children:
            look(child, statement, in_function or isinstance(node, cst.FunctionDef))

    look(wrapper.module, range(0), False)
    return mutants


def changes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Yield what may replace `node`."""
    yield from leave_out(node)
    yield from without_context(node)
    # half a second, of which collecting tests has none
    from mutmut.mutation.mutators import mutation_operators, operator_string

    for kind, operator in mutation_operators:
        if operator is not operator_string and isinstance(node, kind):
            yield from operator(node)


def _is_left_alone(node: cst.CSTNode) -> bool:
    """Return whether it calls `log.get(…)`, or a store's `refresh`."""
    if isinstance(node, cst.SimpleStatementLine) and isinstance(node.body[0], cst.Expr):
        return _is_left_alone(node.body[0].value)
    called = cst.Module([]).code_for_node(node.func) if isinstance(node, cst.Call) else ""
    return called.startswith("log.get(") or called.endswith("store.refresh")


def _is_docstring(node: cst.CSTNode) -> bool:
    return (
        isinstance(node, cst.SimpleStatementLine)
        and isinstance(node.body[0], cst.Expr)
        and isinstance(node.body[0].value, cst.SimpleString)
    )


def sample(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return `count` of the mutants in their order; 0 or more than there are: all of them.

    A mutant is drawn by its own text and the seed, so a change of the code elsewhere leaves it in
    the sample or out of it.
    """
    if not 0 < count < len(mutants):
        return list(mutants)
    numbers = Counter[str]()
    draws = list[str]()
    for mutant in mutants:
        old, new = (mutant.module.code_for_node(node) for node in (mutant.node, mutant.new))
        text = "\x1f".join((str(seed), mutant.path.relative_to(ROOT).as_posix(), old, new))
        numbers[text] += 1
        draws.append(hashlib.sha256(f"{text}\x1f{numbers[text]}".encode()).hexdigest())
    last = sorted(draws)[count - 1]
    return [mutant for mutant, draw in zip(mutants, draws, strict=True) if draw <= last]


def without(mutants: Iterable[Mutant], known: Iterable[tuple[str, ...]]) -> list[Mutant]:
    """Return the mutants that are not known to change nothing.

    A known one is given as file, the line before and the line after.
    """
    same = set(known)
    named = {name for name, *_ in same}
    return [
        mutant
        for mutant in mutants
        if mutant.path.name not in named or (mutant.path.name, *mutant.diff()) not in same
    ]
