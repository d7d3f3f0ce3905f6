"""Entries of those who wait at the same time, made durable together.

A disk takes a few milliseconds for one entry, and hardly more for ten. Whoever comes while others are being written waits for
these, and is written with all that came meanwhile: each has its own entry, and goes on when that is durable (group commit).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ullage.audit.trail import Noted, Trail
from ullage.errors import UllageError, UnavailableError


@dataclass(slots=True)
class _Waiting:
    noted: Noted
    done: bool = False
    error: UllageError | None = None


@dataclass(slots=True)
class Together:
    """Appends to one chain. Threads share it."""

    trail: Trail
    _waiting: list[_Waiting] = field(default_factory=list)
    _adding: threading.Lock = field(default_factory=threading.Lock)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def append(self, noted: Noted) -> None:
        """Record a change; durable on return. An error of `Trail.append` is that of all that were written with it."""
        mine = _Waiting(noted)
        with self._adding:
            self._waiting.append(mine)
        with self._writing:
            if not mine.done:
                self._write()
        if mine.error:
            raise mine.error

    def _write(self) -> None:
        """Write whatever waits by now."""
        with self._adding:
            some, self._waiting = self._waiting, []
        error: UllageError | None = UnavailableError("the audit log could not be written")
        try:
            self.trail.append_all([one.noted for one in some])
            error = None
        except UllageError as raised:
            error = raised
        finally:
            for one in some:
                one.done, one.error = True, error
