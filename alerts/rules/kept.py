"""What takes a pass over all incidents and posts: worked out beside the answers, so that nobody waits but for the first."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from ullage import log
from ullage.clock import Clock
from ullage.errors import UllageError, UnavailableError

SECONDS = 300.0
SHARE = 1 / 200
"""Of the time, what the work may take: what grows with the history is then done less often."""
EARLY = 0.9
"""Of its time, after which it is worked out anew where somebody sees to it, so that nobody waits for it."""
END_SECONDS = 5.0
"""How long its end is waited for: it may stand in a request that a server does not answer."""
T = TypeVar("T")
S = TypeVar("S")


class AsOf(NamedTuple, Generic[T]):
    """What was worked out, and of when it is; after so many `seconds` on the steady clock from `since` on it is again."""

    value: T
    at: datetime
    since: float
    seconds: float


@dataclass(slots=True)
class Kept(Generic[T]):
    """What `make` makes, which may read by way of `unless` the event that it is given. Threads share it, and one makes it."""

    clock: Clock
    make: Callable[[threading.Event], T]
    _standing: AsOf[T] | None = None
    _working: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)

    def read(self) -> AsOf[T]:
        """What stands; what is too old is given only to whoever asks while it is being made anew."""
        if (standing := self._standing) and not self._is_due(standing):
            return standing
        if not self._working.acquire(blocking=standing is None):
            assert standing
            return standing
        try:
            standing = self._standing
            return self._renewed() if standing is None or self._is_due(standing) else standing
        finally:
            self._working.release()

    @contextlib.contextmanager
    def kept_up(self) -> Iterator[None]:
        """A thread makes it at once, and anew before it is too old, until the block ends."""
        thread = threading.Thread(target=self._keep_up, name="kept", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(END_SECONDS)

    def _keep_up(self) -> None:
        wait = 0.0
        while not self._ended.wait(wait):
            wait = SECONDS
            try:
                with self._working:
                    standing = self._standing
                    if standing is None or self._left(standing) <= 0:
                        standing = self._renewed()
                wait = max(0.0, self._left(standing))
            except UllageError as error:  # whoever asks is told of it
                if not self._ended.is_set():
                    log.get("search").warning("upkeep_skipped", error=str(error))

    def _renewed(self) -> AsOf[T]:
        since, at = self.clock.monotonic(), self.clock.now()
        value = self.make(self._ended)
        self._standing = AsOf(value, at, since, max(SECONDS, (self.clock.monotonic() - since) / SHARE))
        return self._standing

    def _left(self, standing: AsOf[T]) -> float:
        """Seconds until whoever sees to it makes it anew."""
        return standing.since + EARLY * standing.seconds - self.clock.monotonic()

    def _is_due(self, standing: AsOf[T]) -> bool:
        return self.clock.monotonic() >= standing.since + standing.seconds


def unless(ended: threading.Event | None, some: Iterable[S]) -> Iterator[S]:
    """`some`, one after the other; UnavailableError once that is `ended` for which they are read."""
    for one in some:
        if ended and ended.is_set():
            raise UnavailableError("this role ends")
        yield one
