"""Logins that were begun here and are finished at an identity provider: each good once, in the browser that began it."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass

from alerts.accounts.sessions import digest
from ullage.clock import Clock
from ullage.errors import UllageError
from ullage.phrase import Phrase

JOURNEY_SECONDS, MOST_JOURNEYS = 600.0, 2_000


class LoginRefusedError(UllageError):
    """Somebody is not let in. The message is for them; `why` is for the audit log and holds nothing of what was sent."""

    def __init__(self, message: Phrase, why: str) -> None:
        self.why = why
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Journey:
    """A login that was begun: what is sent and must come back, and where its person wanted to go."""

    state: str
    nonce: str
    verifier: str
    browser: str
    redirect: str
    then: str
    until: float


class Journeys:
    """Those under way, in memory, each good once and for `JOURNEY_SECONDS`. Threads share it."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._journeys: dict[str, Journey] = {}

    def begin(self, redirect: str, then: str) -> tuple[Journey, str]:
        """A new one, and the secret by which the browser that began it is known again."""
        browser, until = secrets.token_urlsafe(32), self._clock.monotonic() + JOURNEY_SECONDS
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        journey = Journey(state, nonce, verifier, digest(browser), redirect, then, until)
        with self._lock:
            self._journeys[state] = journey
            if len(self._journeys) > MOST_JOURNEYS:
                del self._journeys[next(iter(self._journeys))]
        return journey, browser

    def end(self, state: str, browser: str) -> Journey:
        """The one of that state, which is over by that; RefusedError where this browser began none, or not now."""
        with self._lock:
            journey = self._journeys.pop(state, None)
        if journey is None or journey.until <= self._clock.monotonic():
            raise LoginRefusedError(AGAIN, "state: none of ours, used before, or too old")
        if not secrets.compare_digest(journey.browser, digest(browser)):
            raise LoginRefusedError(AGAIN, "state: begun in another browser")
        return journey


AGAIN = Phrase("This login was started elsewhere, took too long or was already used. Please log in again.")
NOT_BELIEVED = Phrase(
    "The identity provider's answer is not trustworthy. Please log in again; an operator can find the reason in the audit log."
)
