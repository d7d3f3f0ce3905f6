"""How long a test may take, and how its failure is reported when a fixture is to blame."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from types import FrameType

import pytest
import pytest_timeout

STEP_SECONDS = 5.0


def idle_share() -> float:
    """Return the share of a core that one more process gets on this machine now (0 to 1)."""
    return min(1.0, len(os.sched_getaffinity(0)) / max(1.0, os.getloadavg()[0]))


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: pytest_timeout.Settings) -> bool | None:
    """Limit a test by seconds of a core of its own.

    On a busy machine a second counts for less, as less is done in it.
    """
    if settings.method != "signal":
        return None
    remaining, last = settings.timeout, time.monotonic()

    def look(_number: int, _frame: FrameType | None) -> None:
        nonlocal remaining, last
        now = time.monotonic()
        remaining -= (now - last) * idle_share()
        last = now
        if remaining > 0:
            signal.setitimer(signal.ITIMER_REAL, min(STEP_SECONDS, remaining))
        else:
            pytest_timeout.timeout_sigalrm(item, settings)

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    item.cancel_timeout = cancel  # type: ignore[attr-defined]
    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, min(STEP_SECONDS, remaining))
    return True


BLAMED = pytest.StashKey[dict[int, tuple[BaseException, str, str]]]()
"""By the id of an exception: itself (so that the id stays its own), the shared fixture that
raised it, and the first test.
"""


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Iterator[None]:
    """Note which exceptions come from a fixture that several tests share."""
    try:
        return (yield)
    except BaseException as error:
        if fixturedef.scope != "function" and not isinstance(error, pytest.skip.Exception):
            blamed = request.config.stash.setdefault(BLAMED, {})
            blamed.setdefault(id(error), (error, fixturedef.argname, ""))
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Report a shared fixture's failure once: tests that need it afterwards are skipped and name
    the test that failed.
    """
    report: pytest.TestReport = yield
    if report.when == "setup" and call.excinfo is not None:
        blamed = item.config.stash.get(BLAMED, {})
        error, fixture, first = blamed.get(id(call.excinfo.value), (None, "", ""))
        if error is not None and not first:
            blamed[id(error)] = (error, fixture, item.nodeid)
        elif error is not None:
            report.outcome = "skipped"
            report.longrepr = (
                str(item.path),
                (item.location[1] or 0) + 1,
                f"Skipped: fixture {fixture!r} failed: see {first}",
            )
    return report
