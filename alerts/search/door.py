"""Who sent a request: a person with a session, or a program with a token (`Authorization: Bearer`).

A person logs in with name and password. That a name is none, a password wrong, an account closed: all get one answer, after as
long a time, and who has to wait waits whatever the name. Every login and every refusal is in the audit log, refusals of unknown
names without the name: people type passwords there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import Counter

from alerts.accounts.accounts import Accounts, User, key_of
from alerts.accounts.attempts import Attempt, Attempts
from alerts.accounts.devices import device_in, new_device
from alerts.accounts.passwords import PasswordError, Passwords, checked
from alerts.accounts.roles import NOBODY, Principal
from alerts.accounts.sessions import Sessions
from alerts.search.address import RequestSource
from ullage.audit import Trail
from ullage.clock import Clock
from ullage.phrase import Phrase
from ullage.runtime.allowance import Allowance, LimitedError

COOKIE, SECURE_COOKIE = "ullage_session", "__Host-ullage_session"
BEARER = "bearer"
PAGE = "page"
"""Who stands in the audit log for somebody who is not known."""
LONGEST_NAME = 100
"""Of a name that is typed, what is remembered of it at most."""
WRONG_TOKENS, WRONG_SECONDS = 10, 60.0


@dataclass(slots=True)
class Authenticator:
    """Lets people and programs in. Threads share it."""

    accounts: Accounts
    passwords: Passwords
    sessions: Sessions
    clock: Clock
    trail: Trail
    logins: Counter
    vouched_seconds: float = 900.0
    """After which a provider has to vouch again for whom it vouches."""
    attempts: Attempts = field(init=False)
    _wrong_tokens: Allowance = field(init=False)

    def __post_init__(self) -> None:
        self.attempts = Attempts(self.clock)
        self._wrong_tokens = Allowance(WRONG_TOKENS, WRONG_SECONDS, self.clock, "too many wrong tokens")

    def enter(self, name: str, password: str, source: str, device: str = "") -> str | None:
        """A new session's id, None for somebody who is not let in; LimitedError after too many attempts, right or wrong.

        `device` is what the browser keeps of an earlier login.
        """
        user = self.accounts.user(name)
        is_made = user is not None and user.until is not None
        attempt = Attempt(key_of(name)[:LONGEST_NAME], source, device_in(user, device), is_made)
        self._begin(user, attempt)
        if not self._is_right(user, password):
            self._refused(user)
            return None
        assert user is not None
        self.attempts.right(attempt)
        if user.digest and self.passwords.is_old(user.digest):
            self.accounts.renew(user.name, self.passwords.digest(password))
        return self.open(user, "password")

    def open(self, user: User, by: str) -> str:
        """A session of somebody who has shown who they are, `by` what."""
        self.trail.append("account.login", f"account {user.name} by {by}", actor=user.name)
        self.logins.labels("in").inc()
        return self.sessions.open(user.name, user.changes, None if user.subject is None else self.vouched_seconds)

    def is_to_be_vouched(self, headers: Mapping[str, str], asked: RequestSource) -> bool:
        """Whether who sent a request is to be led to the identity provider, that it may vouch for them again."""
        return self.sessions.is_to_be_vouched(_cookie(headers, SECURE_COOKIE if asked.is_secure else COOKIE))

    def device(self, name: str) -> str:
        """What the browser of somebody keeps who has just logged in by password."""
        return new_device(self.accounts.named(name))

    def change(self, principal: Principal, old: str, new: str, source: str) -> str | None:
        """Change the asker's own password, which ends their sessions, and open one; None where the old one is wrong.

        PasswordError for a new one that is not taken.
        """
        user = self.accounts.named(principal.name)
        if user.digest is None:
            raise PasswordError(Phrase("you have no password here: you are verified by an identity provider"))
        checked(new, user.name)
        if old == new:
            raise PasswordError(Phrase("this is the previous password: choose another one"))
        attempt = Attempt(key_of(user.name), source, f"session {principal.session}")
        self._begin(user, attempt)
        if not self._is_right(user, old):
            self._refused(user)
            return None
        self.attempts.right(attempt)
        self.trail.append("account.password", f"account {user.name}: changed by its person", actor=user.name)
        self.accounts.set_password(user.name, self.passwords.digest(new), is_own=True)
        self.sessions.end(principal.session)
        return self.sessions.open(user.name, self.accounts.named(user.name).changes)

    def leave(self, principal: Principal) -> None:
        """End the asker's session."""
        self.trail.append("account.logout", f"account {principal.name}", actor=principal.name)
        self.sessions.end(principal.session)

    def principal(self, headers: Mapping[str, str], asked: RequestSource) -> Principal:
        """Who sent a request; NOBODY for somebody who is not known.

        LimitedError for a wrong token of a program after too many of them.
        """
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == BEARER:
            return self._program(given.strip(), asked.source)
        session = self.sessions.find(_cookie(headers, SECURE_COOKIE if asked.is_secure else COOKIE))
        if session is None:
            return NOBODY
        user = self.accounts.user(session.user)
        if user is None or user.is_disabled or user.changes != session.change:
            self.sessions.end(session.name)
            return NOBODY
        return user.principal(session.name)

    def _program(self, given: str, source: str) -> Principal:
        if token := self.accounts.program(given):
            return token.principal()
        try:
            self._wrong_tokens.take(source)
        except LimitedError:
            self.logins.labels("limited").inc()
            raise
        self.logins.labels("refused").inc()
        self.trail.append("token.refused", "a token that is none, expired or was revoked", actor=PAGE)
        return NOBODY

    def _begin(self, user: User | None, attempt: Attempt) -> None:
        try:
            self.attempts.begin(attempt)
        except LimitedError as error:
            self.logins.labels("limited").inc()
            if error.is_first:
                self.trail.append("account.locked", f"{_said(user)}: too many attempts", actor=PAGE)
            raise

    def _is_right(self, user: User | None, password: str) -> bool:
        """Whether they are let in; the password is looked at whatever else is wrong, so that all takes as long."""
        fits = self.passwords.fits(user.digest if user else None, password)
        return fits and user is not None and not user.is_disabled and (user.until is None or self.clock.wall() < user.until)

    def _refused(self, user: User | None) -> None:
        self.logins.labels("refused").inc()
        why = "is closed" if user and user.is_disabled else "wrong password, or one that ran out unused"
        self.trail.append("account.refused", f"{_said(user)}{': ' + why if user else ''}", actor=PAGE)


def _said(user: User | None) -> str:
    return f"account {user.name}" if user else "a name that is none"


def _cookie(headers: Mapping[str, str], wanted: str) -> str:
    pairs = (pair.strip().partition("=") for pair in headers.get("cookie", "").replace(",", ";").split(";"))
    return next((value for name, _, value in pairs if name == wanted), "")
