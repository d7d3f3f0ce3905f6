"""Run the parts of a service so that a fault in one of them costs its own result and nothing else.

A *part* is a detector, a reader or a rule, whose name is a word of `ullage.records.incomplete`, or
a guess of `sites try`. Many documents are searched together, and there a fault ends the whole
batch, because nobody knows whose document it was. Its documents are then searched one at a time,
and now the part that fails is left out: every other part still gives its result, and the fault is
reported.

    batch of documents ── strict guard ──▶ results
              │ a part raises
              ▼
    each document alone ── lenient guard ──▶ results of all other parts, and a DetectorFault

Exhausted memory is a fault like any other. Errors with an answer of their own (`UllageError`) pass
through. What ends the process (a crash of native code, a loop without end) is left to whoever
outlives it: a `SearchTrace` knows which part had begun, and skips it the next time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Protocol, TypeVar

from ullage.errors import UllageError

T = TypeVar("T")
DIED = "the process ended in it"
OUR_PACKAGES = frozenset({"ullage", "crawlers", "matcher", "alerts"})


class DetectorFault(NamedTuple):
    """A part that failed on a document.

    `part` is its name; `cause` is the kind and place of the fault, such as `ValueError at
    phone.py:168`, without any value.
    """

    part: str
    cause: str


class SearchTrace(Protocol):
    """Records which part is at work, for a process that outlives this one."""

    def enters(self, part: str) -> bool:
        """Record that `part` begins, and return whether it may run.

        It must be skipped where an earlier process died in it.
        """


class _NullTrace:
    def enters(self, _part: str) -> bool:
        return True


UNTRACED: SearchTrace = _NullTrace()


@dataclass(frozen=True, slots=True)
class FaultGuard:
    """Runs parts: lenient with `on_fault`, strict without.

    A lenient guard reports a fault there and goes on; a strict one lets it through.
    """

    on_fault: Callable[[DetectorFault], object] | None = None
    trace: SearchTrace = UNTRACED

    def run(self, part: str, act: Callable[[], T], default: T) -> T:
        """Return the result of `act`, or `default` where this guard is lenient and `act` fails.

        `part` names it in the reported fault. Also `default`, without running it, for a part in
        which an earlier process died. A strict guard raises what `act` raises, and any guard raises
        `UllageError`.
        """
        if not self.trace.enters(part):
            if self.on_fault is not None:
                self.on_fault(DetectorFault(part, DIED))
            return default
        with self.step(part):
            return act()
        return default

    def step(self, part: str) -> _GuardedStep:
        """Return a context in which `part` runs.

        A lenient guard reports a fault that leaves the context, and suppresses it.
        """
        return _GuardedStep(part, self.on_fault)


STRICT = FaultGuard()


@dataclass(frozen=True, slots=True)
class _GuardedStep:
    part: str
    on_fault: Callable[[DetectorFault], object] | None

    def __enter__(self) -> None:
        """Begin the part."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if (
            self.on_fault is None
            or not isinstance(error, Exception)
            or isinstance(error, UllageError)
        ):
            return False
        self.on_fault(DetectorFault(self.part, _describe(error)))
        return True


def _describe(error: Exception) -> str:
    """Return the kind of an error and the innermost place in our code where it was raised.

    An example is `ValueError at phone.py:168`; without such a place it is the kind alone.
    """
    frame, place = error.__traceback__, ""
    while frame is not None:
        module = str(frame.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in OUR_PACKAGES:
            place = f" at {module.rpartition('.')[2]}.py:{frame.tb_lineno}"
        frame = frame.tb_next
    return f"{type(error).__name__}{place}"
