"""`make fuzz`: every property test with random search, round after round, and parsers led by
coverage, as long as `MINUTES` says.

`make test` tries the same examples on every run; here each round draws others. What fails is
printed with its smallest example, kept in `.hypothesis/examples` (tried first by the next run), and
left out of the rounds that follow; the exit status is pytest's, 1 if anything failed. What is found
becomes an `@example` of its test.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

SELECTED = "hypothesis and not (servers or faults or flow or live)"
"""Property tests that need no servers: hypothesis marks its own."""


class Fuzz:
    """A pytest plugin: the selected tests in random order until `seconds` are over, by `now`.

    Not all of the last round need be done by then, but of the first where it is to be `whole`.
    """

    def __init__(
        self, seconds: float, whole: bool, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._whole, self._now, self._began = seconds, whole, now, now()
        self.rounds, self.examples, self.failed = 0, Counter[str](), set[str]()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running each test once."""
        if session.testsfailed:
            raise session.Interrupted("not all tests could be collected")
        self._began = self._now()  # collecting is no search
        until = self._began + self._seconds
        while (
            remaining := [item for item in session.items if item.nodeid not in self.failed]
        ) and self._now() < until:
            random.SystemRandom().shuffle(remaining)
            self.rounds += 1
            for item, following in zip(remaining, [*remaining[1:], None], strict=True):
                over = self._now() >= until and (self.rounds > 1 or not self._whole)
                item.config.hook.pytest_runtest_protocol(
                    item=item, nextitem=None if over else following
                )
                if over:
                    break
        return True

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Count the examples of a test, inside of what hypothesis puts around it; state machines
        call no function of pytest's.
        """
        from hypothesis.statistics import collector  # pytest's plugin must be loaded before it

        def count(statistics: Any) -> None:
            self.examples[item.nodeid] += sum(
                len(part["test-cases"]) for part in statistics.values() if "test-cases" in part
            )

        # hypothesis types its variable by the first value, None
        with collector.with_value(count):  # type: ignore[arg-type]
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what failed."""
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was run."""
        terminalreporter.write_line(
            f"fuzz: {len(self.examples)} properties, {self.examples.total():,} examples,"
            f" {self.rounds} rounds, {(self._now() - self._began) / 60:.1f} minutes;"
            f" {len(self.failed)} failed"
            + (f": {', '.join(sorted(self.failed))}" if self.failed else "")
        )


def main(minutes: str, *words: str) -> int:
    """Run for `minutes`: half for properties, half for targets (`harness/fuzz`).

    `words` are pytest's: properties alone.
    """
    seconds = float(minutes) * 60 / (1 if words else 2)
    plain = ("-p", "no:schemathesis")  # with its plugin no smallest example is printed
    quiet = ("-q", "-o", "console_output_style=classic", "--timeout", "600")
    options = (*plain, *quiet, "--hypothesis-profile", "fuzz", "-m", SELECTED)
    status = int(pytest.main([*options, *words], plugins=[Fuzz(seconds, whole=bool(words))]))
    if words:
        return status
    from harness.fuzz.search import all_targets

    return all_targets(seconds) or status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
