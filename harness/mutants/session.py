"""The session of pytest in which mutants are tried: all is imported and collected once, and each
mutant lives in a fork of it.

First the tests run once in a fork, with coverage: which of them run which line, and how long each
takes. Then, for a mutant, a fork puts the changed code into the function that is there, runs the
tests that come by its lines, the quickest first, and ends with the first that fails. Nothing of it
is left: files of tests lie in a folder that goes with the fork.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import coverage
import pytest

from harness.mutants.areas import ROOT
from harness.mutants.change import Mutant

OUTCOMES = ("killed", "timeout", "survived", "untested", "invalid")
FAILED, PASSED, INVALID = 1, 0, 3
SLOW_SECONDS = 5
CPU_SECONDS, WALL_SECONDS, MEMORY = 20, 90, 8 * 2**30
"""What a mutant may take beyond ten times what its tests take without it."""


@dataclass(slots=True)
class Trial:
    """A mutant in a process of its own."""

    mutant: Mutant
    pid: int
    handle: int
    until: float
    folder: Path


@dataclass(eq=False)
class Session:
    """A plugin: instead of running the tests once, tries `mutants` with them, and leaves in
    `outcomes` what became of each.
    """

    mutants: Sequence[Mutant]
    paths: Sequence[Path]
    jobs: int
    tell: Callable[[str], None]
    outcomes: dict[Mutant, str] = field(default_factory=dict)
    by_line: dict[tuple[Path, int], set[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running each test once."""
        if session.testsfailed:
            raise session.Interrupted("not all tests could be collected")
        self._measure(session.items)
        items = {item.nodeid: item for item in session.items}
        waiting, running = list(self.mutants)[::-1], list[Trial]()
        while waiting or running:
            while waiting and len(running) < self.jobs:
                mutant = waiting.pop()
                tests = sorted(self._tests(mutant), key=lambda id_: self.seconds[id_])
                if tests:
                    running.append(self._begin(mutant, [items[id_] for id_ in tests]))
                else:
                    self.outcomes[mutant] = "untested"
            for trial in self._collect_ended(running):
                running.remove(trial)
                if len(self.outcomes) % 20 == 0:
                    self.tell(f"mutants: {len(self.outcomes)} of {len(self.mutants)}")
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Say what could not be collected: nobody else does."""
        if report.failed:
            self.tell(report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what failed."""
        if report.failed:
            self.failed.add(report.nodeid)

    def _measure(self, items: Sequence[pytest.Item]) -> None:
        """Measure which tests run which line, and how long each takes."""
        began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="mutants-"))
        try:
            pids = []
            for number in range(self.jobs):
                part = folder / str(number)
                part.mkdir()
                if (pid := os.fork()) == 0:
                    share = items[
                        len(items) * number // self.jobs : len(items) * (number + 1) // self.jobs
                    ]
                    self._alone(part, functools.partial(self._cover, share, part))
                pids.append(pid)
            codes = [os.waitpid(pid, 0)[1] for pid in pids]
            if any(codes):
                raise pytest.UsageError("the tests could not be run without a mutant")
            reports = [
                json.loads((folder / str(number) / "told").read_text())
                for number in range(self.jobs)
            ]
            if failed := [id_ for report in reports for id_ in report["failed"]]:
                raise pytest.UsageError(f"without a mutant these fail: {', '.join(failed)}")
            self.seconds = {
                id_: seconds for report in reports for id_, seconds in report["seconds"].items()
            }
            for number in range(self.jobs):
                data = coverage.CoverageData(str(folder / str(number) / "lines"))
                data.read()
                for path in self.paths:
                    for line, ids in data.contexts_by_lineno(str(path)).items():
                        self.by_line.setdefault((path, line), set()).update(
                            self.seconds.keys() & set(ids)
                        )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.tell(f"mutants: {len(items)} tests in {time.monotonic() - began:.0f} s without one")

    def _cover(self, items: Sequence[pytest.Item], folder: Path) -> int:
        seconds = dict[str, float]()
        measuring = coverage.Coverage(
            str(folder / "lines"), include=[str(path) for path in self.paths], config_file=False
        )
        measuring.start()
        for item, following in zip(items, [*items[1:], None], strict=True):
            measuring.switch_context(item.nodeid)
            before = time.monotonic()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            seconds[item.nodeid] = time.monotonic() - before
            if seconds[item.nodeid] > SLOW_SECONDS:
                self.tell(f"mutants: slow: {seconds[item.nodeid]:.0f} s: {item.nodeid}")
        measuring.stop()
        measuring.save()
        (folder / "told").write_text(
            json.dumps({"seconds": seconds, "failed": sorted(self.failed)})
        )
        return PASSED

    def _tests(self, mutant: Mutant) -> set[str]:
        def over(lines: range) -> set[str]:
            return set().union(*(self.by_line.get((mutant.path, line), ()) for line in lines))

        return over(mutant.lines) or over(mutant.statement)

    def _begin(self, mutant: Mutant, items: Sequence[pytest.Item]) -> Trial:
        usual = sum(self.seconds[item.nodeid] for item in items)
        folder = Path(tempfile.mkdtemp(prefix="mutant-"))
        if (pid := os.fork()) == 0:
            cpu = int(10 * usual) + CPU_SECONDS
            resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            self._alone(folder, lambda: self._try(mutant, items))
        return Trial(
            mutant, pid, os.pidfd_open(pid), time.monotonic() + 10 * usual + WALL_SECONDS, folder
        )

    @staticmethod
    def _alone(folder: Path, act: Callable[[], int]) -> None:
        """Fork, run `act` with temporary files in `folder`, and exit with its result."""
        code = FAILED
        try:
            os.setsid()
            os.chdir(folder)  # a path that has lost its folder leads here
            os.environ["PYTEST_DEBUG_TEMPROOT"] = os.environ["TMPDIR"] = tempfile.tempdir = str(
                folder
            )
            code = act()
        finally:
            os._exit(code)

    def _try(self, mutant: Mutant, items: Sequence[pytest.Item]) -> int:
        try:
            plant(mutant)
        except (SyntaxError, ValueError):
            return INVALID
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return FAILED
        return PASSED

    def _collect_ended(self, running: Sequence[Trial]) -> Iterator[Trial]:
        """Return the trials that have ended, and record their outcome."""
        if not running:
            return
        wait = max(0.0, min(trial.until for trial in running) - time.monotonic())
        over, _, _ = select.select([trial.handle for trial in running], [], [], wait)
        for trial in [*running]:
            late = time.monotonic() >= trial.until
            if trial.handle not in over and not late:
                continue
            if trial.handle not in over:
                os.kill(trial.pid, signal.SIGKILL)
            status = os.waitpid(trial.pid, 0)[1]
            with contextlib.suppress(ProcessLookupError):
                os.killpg(trial.pid, signal.SIGKILL)  # what its tests have started
            os.close(trial.handle)
            shutil.rmtree(trial.folder, ignore_errors=True)
            codes: Mapping[int, str] = {PASSED: "survived", INVALID: "invalid"}
            timed_out = late or (
                os.WIFSIGNALED(status) and os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGKILL}
            )
            self.outcomes[trial.mutant] = (
                "timeout" if timed_out else codes.get(os.waitstatus_to_exitcode(status), "killed")
            )
            yield trial


def plant(mutant: Mutant) -> None:
    """Put the mutant's code into the function that is there; ValueError where that cannot be."""
    before = _codes(compile(mutant.module.code, str(mutant.path), "exec", dont_inherit=True))
    after = _codes(compile(mutant.source(), str(mutant.path), "exec", dont_inherit=True))
    changed = [key for key in before if before[key] != after[key]]
    there = {
        (code.co_qualname, code.co_firstlineno): function
        for function in _functions(mutant.path)
        if (code := function.__code__)
    }
    if not changed:
        raise ValueError("the compiler makes the same of it")
    first = changed[0]  # functions below it have moved by some lines alone
    place = before[first].co_qualname, before[first].co_firstlineno
    if place not in there:
        raise ValueError(f"there is no function {place[0]} to be found")
    there[place].__code__ = after[first]


def _codes(code: CodeType) -> dict[tuple[str, int], CodeType]:
    """Return the code of each function in a module or class.

    The key is its name and which of that name it is.
    """
    codes: dict[tuple[str, int], CodeType] = {}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_flags & inspect.CO_OPTIMIZED:
                number = sum(name == inner.co_qualname for name, _ in codes)
                codes[inner.co_qualname, number] = inner
            else:
                codes |= _codes(inner)
    return codes


def _functions(path: Path) -> Iterator[FunctionType]:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    visited = set[int]()

    def look(thing: Any) -> Iterator[FunctionType]:
        if id(thing) in visited:
            return
        visited.add(id(thing))
        if isinstance(thing, FunctionType):
            yield thing
        for part in ("__wrapped__", "__func__", "fget", "fset", "func"):
            if (inner := inspect.getattr_static(thing, part, None)) is not None and not isinstance(
                thing, type
            ):
                yield from look(
                    getattr(thing, part)
                    if isinstance(thing, property | functools.partial)
                    else inner
                )
        if isinstance(thing, type) and thing.__module__ == name:
            for inner in vars(thing).values():
                yield from look(inner)

    for thing in [*vars(sys.modules[name]).values()]:
        yield from look(thing)
