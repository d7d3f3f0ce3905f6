"""Limit how often a caller may do something, with one token bucket per caller.

An `Allowance` lets each caller do something `most` times at once, and as often in every `seconds`:
the bucket refills evenly. `take` counts a call and raises LimitedError if none is left, with the
seconds to wait. It lives in the memory of one process; of the callers beyond MOST_CALLERS the least
recent one is forgotten, so its bucket is full again.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from ullage.clock import Clock
from ullage.errors import UllageError

MOST_CALLERS = 2_000


class LimitedError(UllageError):
    """The error for asking too often.

    `retry_after` is when the next call is allowed, in whole seconds from now, at least 1.
    `is_first` is True for the first refusal since the caller was last allowed a call.
    """

    def __init__(self, message: str, retry_after: float, *, is_first: bool = False) -> None:
        self.retry_after, self.is_first = max(1, math.ceil(retry_after)), is_first
        super().__init__(f"{message}; try again in {self.retry_after} s")


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float
    refused: bool = False


class Allowance:
    """Limits each caller to `most` calls at once; used calls return, `most` per `seconds`.

    They return evenly. `message` begins the text of LimitedError. Threads may share it.
    """

    def __init__(self, most: int, seconds: float, clock: Clock, message: str) -> None:
        self._most, self._seconds, self._clock, self._message = most, seconds, clock, message
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, caller: str = "") -> None:
        """Count one call of `caller`; raises LimitedError, and counts nothing, if none is left."""
        self._ask(caller, 1)

    def check(self, caller: str = "") -> None:
        """Raise LimitedError if `caller` has no call left; uses up no call.

        If a call is left, the next refusal counts as the first (`is_first`).
        """
        self._ask(caller, 0)

    def _ask(self, caller: str, count: int) -> None:
        with self._lock:
            bucket = self._fill_bucket(caller)
            if bucket.left < 1:
                is_first, bucket.refused = not bucket.refused, True
                raise LimitedError(
                    self._message, (1 - bucket.left) * self._seconds / self._most, is_first=is_first
                )
            bucket.left, bucket.refused = bucket.left - count, False

    def _fill_bucket(self, caller: str) -> _Bucket:
        """Return the caller's bucket, filled up to now.

        If there are too many buckets, that of the least recent caller is dropped.
        """
        now = self._clock.monotonic()
        bucket = self._buckets.pop(caller, None) or _Bucket(self._most, now)
        bucket.left = min(self._most, bucket.left + (now - bucket.at) * self._most / self._seconds)
        bucket.at = now
        self._buckets[caller] = bucket
        if len(self._buckets) > MOST_CALLERS:
            del self._buckets[next(iter(self._buckets))]
        return bucket
