"""Check passwords, keep sessions, know devices, and slow down guessing.

**Passwords.** Which are taken follows NIST SP 800-63B-4, 3.1.1.2, for a password that is the only
factor: long, whatever it is made of, and nothing that whoever knows the account would try first.
Before it is digested (Argon2id, RFC 9106) a text is brought to NFKC, so that it is the same from
every keyboard.

**Devices.** A browser that has logged in by password keeps a cookie: a random name, and that name
authenticated under what is kept of the password (Argon2id's digest, which nobody has but search).
It opens nothing, ends with the password, and nothing of it is stored.

**Guessing.** Nobody locks anybody else out. What is counted is an account as tried from one source,
each source over all names, and, slowly, an account as tried from everywhere. A device on which the
person has logged in before is counted by itself and waits for none of these; nor does a password
that an operator has made wait for what is tried from everywhere. A name that there is not is
treated as one that there is, so that what is locked says nothing of who is known. An attempt counts
before it is judged: many at once are no way around. What is in memory is bounded, and forgotten
after an hour without attempts.

**Sessions.** One is over when it is not used for a while, after some hours however much it is used,
when its person logs out, and as soon as the account changes: it holds the account's number of
changes at which it began. One for whose person an identity provider vouches is over much sooner,
and the provider is asked again: what it says may have changed. All are over when search ends.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from alerts.accounts import digest
from alerts.accounts.accounts import User, key_of
from ullage.clock import Clock
from ullage.errors import ConfigError, UllageError
from ullage.phrase import Phrase
from ullage.runtime.rate_limit import LimitedError

SHORTEST, LONGEST = 15, 256
DISTINCT = 5
"""Characters that a password has at least of different kinds."""
AT_ONCE = 2
"""Digests computed side by side: each takes 64 MiB, whoever asks."""
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Of passwords that are made here: nothing that is read as something else."""


class PasswordError(UllageError):
    """A password that is not taken; the message says why and repeats nothing of it."""

    exit_code = ConfigError.exit_code


class Passwords:
    """Digests and verifies. Threads share it; `hasher` sets what one costs."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._nobody = _of_nobody(self._hasher)

    def digest(self, password: str) -> str:
        """What is kept of it, with its own salt."""
        with self._turns:
            return self._hasher.hash(_normal(password))

    def fits(self, digest: str | None, password: str) -> bool:
        """Whether `password` is that of `digest`; for None it takes as long, and is not."""
        with self._turns:
            try:
                return (
                    self._hasher.verify(digest or self._nobody, _normal(password))
                    and digest is not None
                )
            except (VerificationError, InvalidHashError):
                return False

    def is_old(self, digest: str) -> bool:
        """Whether it was digested at another cost than that of now."""
        return self._hasher.check_needs_rehash(digest)


def checked(password: str, name: str) -> str:
    """The password of account `name`, if it is fit to be one; PasswordError says what is wrong."""
    text = _normal(password)
    if not SHORTEST <= len(text) <= LONGEST:
        raise PasswordError(
            Phrase(
                "a password must have %(least)s to %(most)s characters; a sentence is easiest to"
                " remember",
                least=SHORTEST,
                most=LONGEST,
            )
        )
    if len({*text}) < DISTINCT:
        raise PasswordError(
            Phrase("a password must have at least %(count)s different characters", count=DISTINCT)
        )
    if _normal(name).casefold() in text.casefold():
        raise PasswordError(Phrase("a password must not contain the account name"))
    return password


def made() -> str:
    """A new one of 24 characters, in groups that can be read out: 118 bits."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(6)) for _ in range(4))


def _of_nobody(hasher: PasswordHasher) -> str:
    """A digest that costs as much to verify as any of `hasher`'s and fits no password: it is
    drawn, which costs nothing.
    """
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")
        for length in (hasher.salt_len, hasher.hash_len)
    )
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2{hasher.type.name.lower()}$v={ARGON2_VERSION}${cost}${salt}${digest}"


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


COOKIE, SECURE_COOKIE = "ullage_device", "__Host-ullage_device"
SECONDS = 400 * 86_400
"""So long a browser keeps it at most (RFC 6265bis)."""
LONGEST_DEVICE = 200


def new_device(user: User) -> str:
    """What a browser keeps of a login of `user`."""
    name = secrets.token_urlsafe(16)
    return f"{name}.{_mac(user, name)}"


def device_in(user: User | None, kept: str) -> str:
    """The name of the device that keeps this of a login of `user`; "" for anything else."""
    name, _, mac = kept[:LONGEST_DEVICE].partition(".")
    if (
        user is None
        or not user.digest
        or not hmac.compare_digest(mac.encode(), _mac(user, name).encode())
    ):
        return ""
    return name


def _mac(user: User, name: str) -> str:
    assert user.digest is not None
    return hmac.digest(
        user.digest.encode(),
        f"ullage device\x1f{key_of(user.name)}\x1f{name}".encode(),
        hashlib.sha256,
    ).hex()


OF_ACCOUNT, OF_SOURCE, OF_ALL = 5, 20, 100
"""Wrong ones in a row before the first wait: of an account from a source or device, of a source,
of an account from anywhere.
"""
FIRST_WAIT, LONGEST_WAIT = 15.0, 900.0
FORGOTTEN_AFTER = 3600.0
MOST = 10_000
"""Of each of these."""
MESSAGE = "too many attempts to log in"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody tries a password of `account` from `source`; on a `device` that the account's person
    was on before, "" for none.

    `is_made` says that the password is one that an operator has made, which nobody guesses.
    """

    account: str
    source: str
    device: str = ""
    is_made: bool = False

    def counted(self) -> Iterator[tuple[str, str, int]]:
        """By what it is counted: what that is, its name, and how many are free."""
        if self.device:
            yield "device", f"{self.account}\n{self.device}", OF_ACCOUNT
            return
        yield "source", self.source, OF_SOURCE
        yield "account from a source", f"{self.account}\n{self.source}", OF_ACCOUNT
        if not self.is_made:
            yield "account", self.account, OF_ALL


@dataclass(slots=True)
class _Tries:
    count: int = 0
    until: float = 0.0
    last: float = 0.0
    was_told: bool = False


class Attempts:
    """Counts them. Threads share it."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._tries: dict[str, dict[str, _Tries]] = {}

    def begin(self, attempt: Attempt) -> None:
        """Count an attempt; LimitedError, `is_first` once, while it has to wait: what waits
        makes nothing else be counted.
        """
        now = self._clock.monotonic()
        with self._lock:
            counted = [*attempt.counted()]
            waits = [
                tries
                for kind, name, _ in counted
                if (tries := self._tries.get(kind, {}).get(name)) and tries.until > now
            ]
            if waits:
                is_first = not all(tries.was_told for tries in waits)
                for tries in waits:
                    tries.was_told = True
                raise LimitedError(
                    MESSAGE, max(tries.until for tries in waits) - now, is_first=is_first
                )
            for kind, name, free in counted:
                tries = self._of(kind, name, now)
                tries.count, tries.last = tries.count + 1, now
                if tries.count >= free:
                    tries.until = now + min(
                        LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries.count - free, 16)
                    )
                    tries.was_told = False

    def right(self, attempt: Attempt) -> None:
        """Take an attempt back that was right: the account begins anew there, and the source has
        one fewer.
        """
        with self._lock:
            for kind, name, free in attempt.counted():
                known = self._tries.get(kind, {})
                if kind != "source":
                    known.pop(name, None)
                elif tries := known.get(name):
                    tries.count = max(0, tries.count - 1)
                    tries.until = tries.until if tries.count >= free else 0.0

    def _of(self, kind: str, name: str, now: float) -> _Tries:
        """The tries of something; those heard of longest ago are forgotten where there are too
        many of its kind.
        """
        known = self._tries.setdefault(kind, {})
        tries = known.pop(name, None)
        if tries is None or now - tries.last > FORGOTTEN_AFTER:
            tries = _Tries(last=now)
        known[name] = tries
        if len(known) > MOST:
            del known[next(iter(known))]
        return tries


MOST_SESSIONS, MOST_OF_ONE = 1_000, 20
"""Of all, and of one account: whoever logs in over and over ends sessions of their own."""


@dataclass(slots=True)
class Session:
    """Of account `user`, after its change number `change`. `name` tells it apart and opens
    nothing.
    """

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
            among = (
                own
                if len(own) >= MOST_OF_ONE
                else self._sessions
                if len(self._sessions) >= MOST_SESSIONS
                else ()
            )
            if among:
                del self._sessions[min(among, key=lambda one: self._sessions[one].used)]
            longest = (
                self._longest if vouched_seconds is None else min(self._longest, vouched_seconds)
            )
            self._sessions[name] = Session(
                name, user, change, now, now, longest, vouched_seconds is not None
            )
        return id_

    def find(self, id_: str) -> Session | None:
        """The session of that id, which is used by that; None for one that there is not, or not
        any more.
        """
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
        """Whether a session of that id was in use when what a provider said of its person grew
        old; told once.
        """
        with self._lock:
            return self._to_vouch.pop(digest(id_), True) is None

    def end(self, name: str) -> None:
        """End the session of that name."""
        with self._lock:
            self._sessions.pop(name, None)
