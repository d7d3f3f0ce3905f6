"""Sessions: somebody who has logged in, as a random id in a cookie of which only a digest is kept, in memory.

One is over when it is not used for a while, after some hours however much it is used, when its person logs out, and as soon as
the account changes: it holds the account's number of changes at which it began. One for whose person an identity provider vouches
is over much sooner, and the provider is asked again: what it says may have changed. All are over when search ends.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass

from ullage.clock import Clock

MOST_SESSIONS, MOST_OF_ONE = 1_000, 20
"""Of all, and of one account: whoever logs in over and over ends sessions of their own."""


@dataclass(slots=True)
class Session:
    """Of account `user`, after its change number `change`. `name` tells it apart and opens nothing."""

    name: str
    user: str
    change: int
    began: float
    used: float
    longest: float
    is_vouched: bool = False


class Sessions:
    """Threads share it."""

    def __init__(self, idle_seconds: float, longest_seconds: float, clock: Clock) -> None:
        self._idle, self._longest, self._clock = idle_seconds, longest_seconds, clock
        self._sessions: dict[str, Session] = {}
        self._to_vouch: dict[str, None] = {}
        self._lock = threading.Lock()

    def open(self, user: str, change: int, vouched_seconds: float | None = None) -> str:
        """A new session's id; where there are too many, the one that was used longest ago ends.

        `vouched_seconds` is for how long what a provider said of its person is taken to be so.
        """
        id_, now = secrets.token_urlsafe(32), self._clock.monotonic()
        name = digest(id_)
        with self._lock:
            own = [one for one, session in self._sessions.items() if session.user == user]
            among = own if len(own) >= MOST_OF_ONE else self._sessions if len(self._sessions) >= MOST_SESSIONS else ()
            if among:
                del self._sessions[min(among, key=lambda one: self._sessions[one].used)]
            longest = self._longest if vouched_seconds is None else min(self._longest, vouched_seconds)
            self._sessions[name] = Session(name, user, change, now, now, longest, vouched_seconds is not None)
        return id_

    def find(self, id_: str) -> Session | None:
        """The session of that id, which is used by that; None for one that there is not, or not any more."""
        name, now = digest(id_), self._clock.monotonic()
        with self._lock:
            session = self._sessions.get(name)
            if session is None:
                return None
            if now - session.used > self._idle or now - session.began > session.longest:
                del self._sessions[name]
                if session.is_vouched and now - session.used <= self._idle:
                    self._to_vouch[name] = None
                    if len(self._to_vouch) > MOST_SESSIONS:
                        del self._to_vouch[next(iter(self._to_vouch))]
                return None
            session.used = now
        return session

    def is_to_be_vouched(self, id_: str) -> bool:
        """Whether a session of that id was in use when what a provider said of its person grew old; told once."""
        with self._lock:
            return self._to_vouch.pop(digest(id_), True) is None

    def end(self, name: str) -> None:
        """End the session of that name."""
        with self._lock:
            self._sessions.pop(name, None)


def digest(secret: str) -> str:
    """Of one length whatever the text, so that comparing tells nothing; what it is made of has 128 bits or more."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
