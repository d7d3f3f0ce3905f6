"""Who may use the page: whoever shows the token, a secret that is made at the first start, has all that there is.

    DIR/keys/search.token   0600, one line; whoever may read it may ask. Replace it and start search again to end all sessions

A person types it once and has a session then: a random id in a cookie, of which only a digest is kept here, in memory. A program
sends it with each request (`Authorization: Bearer`). Attempts are limited, whoever makes them: while too many were wrong, no
token logs in, right or wrong, and both take the same time.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import Counter

from alerts.accounts.roles import ALL, NOBODY, PERMISSIONS, Principal
from ullage.clock import Clock
from ullage.runtime.allowance import Allowance, LimitedError
from ullage.security import tokens
from ullage.security.keys import KeyStore

TOKEN = "search.token"  # noqa: S105 - its name, not the token
COOKIE = "ullage_session"
BEARER = "bearer"
EVERYTHING = frozenset(PERMISSIONS)
LONGEST_SECONDS = 12 * 3600.0
MOST_SESSIONS = 1_000
ATTEMPTS, ATTEMPT_SECONDS = 10, 60.0


def token_of(keys: KeyStore) -> str:
    """The token; made when there is none. ConfigError when what is there is none."""
    return tokens.token_of(keys, TOKEN, "search")


@dataclass(slots=True)
class _Session:
    began: float
    used: float


class Door:
    """Sessions and attempts. Threads share it."""

    def __init__(self, token: str, idle_seconds: float, clock: Clock, logins: Counter) -> None:
        self._token, self._idle, self._clock, self._logins = _digest(token), idle_seconds, clock, logins
        self._sessions: dict[str, _Session] = {}
        self._attempts = Allowance(ATTEMPTS, ATTEMPT_SECONDS, clock, "too many attempts to log in")
        self._lock = threading.Lock()

    def enter(self, typed: str) -> str | None:
        """A new session's id, None for a token that is not ours; LimitedError after too many attempts, right or wrong."""
        is_right = self._is_right(typed)
        self._attempt(is_right=is_right)
        if not is_right:
            return None
        self._logins.labels("in").inc()
        session, now = secrets.token_urlsafe(32), self._clock.monotonic()
        with self._lock:
            if len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[min(self._sessions, key=lambda one: self._sessions[one].used)]
            self._sessions[_digest(session)] = _Session(now, now)
        return session

    def leave(self, headers: Mapping[str, str]) -> None:
        """End the session of a request, if it has one."""
        with self._lock:
            self._sessions.pop(_digest(_cookie(headers)), None)

    def principal(self, headers: Mapping[str, str]) -> Principal:
        """Who sent a request; NOBODY for somebody who is not known.

        LimitedError for a wrong token of a program after too many attempts.
        """
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == BEARER:
            if self._is_right(given.strip()):
                return Principal(BEARER, tenants=frozenset({ALL}), permissions=EVERYTHING, is_program=True)
            self._attempt(is_right=False)
            return NOBODY
        name, now = _digest(_cookie(headers)), self._clock.monotonic()
        with self._lock:
            session = self._sessions.get(name)
            if session is None:
                return NOBODY
            if now - session.used > self._idle or now - session.began > LONGEST_SECONDS:
                del self._sessions[name]
                return NOBODY
            session.used = now
        return Principal("desk", tenants=frozenset({ALL}), permissions=EVERYTHING, session=name)

    def _is_right(self, typed: str) -> bool:
        return hmac.compare_digest(_digest(typed), self._token)

    def _attempt(self, *, is_right: bool) -> None:
        """Count an attempt; only wrong ones use the allowance up."""
        try:
            self._attempts.check() if is_right else self._attempts.take()
        except LimitedError:
            self._logins.labels("limited").inc()
            raise
        if not is_right:
            self._logins.labels("refused").inc()


def _digest(text: str) -> str:
    """Of one length whatever the text, so that comparing tells nothing; what it is made of has 128 bits or more."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _cookie(headers: Mapping[str, str]) -> str:
    pairs = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
    return next((value for name, _, value in pairs if name == COOKIE), "")
