"""Steps of matching that may fail without the others: what is known without one is published, and marked incomplete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from ullage import log
from ullage.errors import UllageError


@dataclass(frozen=True, slots=True)
class Step:
    """The context of one step. If it fails, its `name` goes into `failed` and the work goes on; with None it does not.

    What is no fault of the step passes through: an error with an answer of its own, memory that ran out.
    """

    name: str
    failed: set[str] | None = None

    def __enter__(self) -> None:
        """Nothing is held."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        """Whether the fault is borne."""
        if self.failed is None or not isinstance(error, Exception) or isinstance(error, UllageError | MemoryError):
            return False
        self.failed.add(self.name)
        log.get("match").error("step_failed", step=self.name, error=type(error).__name__)
        return True


Steps = Callable[[str], Step]
"""Makes the context of a step, by its name."""
strictly: Steps = Step
"""A fault of a step is a fault of the whole."""
