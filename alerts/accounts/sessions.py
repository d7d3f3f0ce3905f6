"""Check passwords, manage sessions, recognise devices, and slow down guessing.

**Passwords.** The rules follow NIST SP 800-63B-4, 3.1.1.2, for a password that is the only factor:
long, of any characters, and nothing that somebody who knows the account would try first. A password
is normalised to NFKC before it is digested (Argon2id, RFC 9106), so that every keyboard gives the
same text.

**Devices.** A browser that has logged in with a password keeps a cookie: a random name and its MAC
under the stored password digest. The cookie opens nothing, expires with the password, and is not
stored here.

**Guessing.** Nobody can lock out somebody else. Attempts are counted for an account from one
source, for a source over all names, and, with a high limit, for an account from everywhere. A
device on which the person has logged in before has a counter of its own and ignores the others. A
password made by an operator is not delayed by attempts from everywhere. Unknown names are treated
like known ones, so that a delay does not reveal who has an account. An attempt counts before it is
checked, so that parallel attempts gain nothing. The memory is bounded, and counters expire after an
hour without attempts.

**Sessions.** A session ends when it is unused for a while, after a maximum lifetime, at logout, and
as soon as the account changes: it stores the account's change counter. A session that an identity
provider vouches for has a shorter lifetime, after which the provider is asked again. All sessions
end when search stops.
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
from alerts.accounts.accounts import User, normalize_name
from ullage.clock import Clock
from ullage.errors import ConfigError, UllageError
from ullage.phrase import Phrase
from ullage.runtime.rate_limit import LimitedError

SHORTEST, LONGEST = 15, 256
DISTINCT = 5
"""Minimum number of different characters in a password."""
AT_ONCE = 2
"""Digests computed in parallel; each takes 64 MiB."""
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Characters of generated passwords, without those that look alike."""


class PasswordError(UllageError):
    """A password was rejected. The message gives the reason without repeating the password."""

    exit_code = ConfigError.exit_code


class Passwords:
    """Digests and verifies passwords with `hasher`, which sets the cost.

    Thread-safe.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._nobody = _make_dummy_digest(self._hasher)

    def digest(self, password: str) -> str:
        """Return the Argon2id digest to store, with a salt of its own."""
        with self._turns:
            return self._hasher.hash(_normal(password))

    def verify(self, digest: str | None, password: str) -> bool:
        """Return whether `password` matches `digest`.

        For None, an account without a password, it takes as long and returns False.
        """
        with self._turns:
            try:
                return (
                    self._hasher.verify(digest or self._nobody, _normal(password))
                    and digest is not None
                )
            except (VerificationError, InvalidHashError):
                return False

    def needs_rehash(self, digest: str) -> bool:
        """Return whether `digest` was computed with other cost parameters than today's."""
        return self._hasher.check_needs_rehash(digest)


def validate_password(password: str, name: str) -> str:
    """Return `password` unchanged if the account `name` may use it.

    It must have 15 to 256 characters, 5 different ones, and must not contain the account's name in
    any case. Raises PasswordError with the reason otherwise.
    """
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


def generate_password() -> str:
    """Return a random password: four groups of six characters, joined by hyphens (118 bits)."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(6)) for _ in range(4))


def _make_dummy_digest(hasher: PasswordHasher) -> str:
    """Return a digest that no password matches.

    Verifying it costs as much as verifying a digest of `hasher`; making it costs nothing, because
    it is random.
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
"""Lifetime of the device cookie, the longest that browsers allow (RFC 6265bis)."""
LONGEST_DEVICE = 200


def new_device(user: User) -> str:
    """Return a new device cookie, `NAME.MAC`, for `user`, who must have a password here."""
    name = secrets.token_urlsafe(16)
    return f"{name}.{_mac(user, name)}"


def verify_device(user: User | None, cookie: str) -> str:
    """Return the device name in a cookie of `user`; "" if the cookie is not valid for this account.

    It is not valid after the password was changed, nor for None or an account without a password.
    """
    name, _, mac = cookie[:LONGEST_DEVICE].partition(".")
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
        f"ullage device\x1f{normalize_name(user.name)}\x1f{name}".encode(),
        hashlib.sha256,
    ).hex()


OF_ACCOUNT, OF_SOURCE, OF_ALL = 5, 20, 100
"""Wrong passwords in a row before the first wait.

Of an account from one source or device, of a source, and of an account from anywhere.
"""
FIRST_WAIT, LONGEST_WAIT = 15.0, 900.0
FORGOTTEN_AFTER = 3600.0
MOST = 10_000
"""Maximum number of counters of each kind."""
MESSAGE = "too many attempts to log in"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to log in to `account` from `source`.

    `device` is one on which the account's owner has logged in before, or "". `is_made` says that an
    operator generated the password, so that it cannot be guessed.
    """

    account: str
    source: str
    device: str = ""
    is_made: bool = False

    def counters(self) -> Iterator[tuple[str, str, int]]:
        """Yield the kind, the key and the free attempts of each counter that applies.

        An attempt from a known device has only the device's counter.
        """
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
    """Counts attempts to log in. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._tries: dict[str, dict[str, _Tries]] = {}

    def begin(self, attempt: Attempt) -> None:
        """Count an attempt, before the password is checked.

        From the last free attempt of a counter on, each attempt makes it wait: 15 s, then twice as
        long each time, up to 15 minutes. Raises LimitedError if one of the attempt's counters has
        to wait; no counter is increased then. Its `is_first` is true one time for each wait.
        """
        now = self._clock.monotonic()
        with self._lock:
            counters = [*attempt.counters()]
            waits = [
                tries
                for kind, name, _ in counters
                if (tries := self._tries.get(kind, {}).get(name)) and tries.until > now
            ]
            if waits:
                is_first = not all(tries.was_told for tries in waits)
                for tries in waits:
                    tries.was_told = True
                raise LimitedError(
                    MESSAGE, max(tries.until for tries in waits) - now, is_first=is_first
                )
            for kind, name, free in counters:
                tries = self._get_counter(kind, name, now)
                tries.count, tries.last = tries.count + 1, now
                if tries.count >= free:
                    tries.until = now + min(
                        LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries.count - free, 16)
                    )
                    tries.was_told = False

    def forgive(self, attempt: Attempt) -> None:
        """Take back an attempt whose password was right.

        The counters of its account, or of its device, are reset. That of its source is decreased by
        one, and its wait ends if the count is then below the limit.
        """
        with self._lock:
            for kind, name, free in attempt.counters():
                by_key = self._tries.get(kind, {})
                if kind != "source":
                    by_key.pop(name, None)
                elif tries := by_key.get(name):
                    tries.count = max(0, tries.count - 1)
                    tries.until = tries.until if tries.count >= free else 0.0

    def _get_counter(self, kind: str, name: str, now: float) -> _Tries:
        """Return the counter of a key, a new one if it has expired.

        The least recently used counter of the kind is dropped if there are too many. It has expired
        FORGOTTEN_AFTER (3600) seconds after its last use; too many are more than MOST (10,000). The
        counter counts as used now.
        """
        by_key = self._tries.setdefault(kind, {})
        tries = by_key.pop(name, None)
        if tries is None or now - tries.last > FORGOTTEN_AFTER:
            tries = _Tries(last=now)
        by_key[name] = tries
        if len(by_key) > MOST:
            del by_key[next(iter(by_key))]
        return tries


MOST_SESSIONS, MOST_OF_ONE = 1_000, 20
"""Maximum number of sessions, in all and of one account.

Somebody who logs in repeatedly ends their own sessions.
"""


@dataclass(slots=True)
class Session:
    """A session of account `user`, begun at its change counter `change`.

    `name` identifies the session and cannot be used to log in. Times are monotonic seconds;
    `longest` is the greatest lifetime in seconds.
    """

    name: str
    user: str
    change: int
    began: float
    used: float
    longest: float
    is_vouched: bool = False


class Sessions:
    """The sessions in memory. Thread-safe."""

    def __init__(self, idle_seconds: float, longest_seconds: float, clock: Clock) -> None:
        self._idle, self._longest, self._clock = idle_seconds, longest_seconds, clock
        self._sessions: dict[str, Session] = {}
        self._to_vouch: dict[str, None] = {}
        self._lock = threading.Lock()

    def open(self, user: str, change: int, vouched_seconds: float | None = None) -> str:
        """Start a session of the account `user` and return its id, the cookie's secret.

        `change` is the account's change counter. `vouched_seconds` is how long an identity
        provider's statement is believed, None for a password. If the account has 20 sessions, or
        there are 1,000, the least recently used one of these ends.
        """
        id_, now = secrets.token_urlsafe(32), self._clock.monotonic()
        name = digest(id_)
        with self._lock:
            own_names = [
                session_name
                for session_name, session in self._sessions.items()
                if session.user == user
            ]
            among = (
                own_names
                if len(own_names) >= MOST_OF_ONE
                else self._sessions
                if len(self._sessions) >= MOST_SESSIONS
                else ()
            )
            if among:
                del self._sessions[min(among, key=lambda key: self._sessions[key].used)]
            longest = (
                self._longest if vouched_seconds is None else min(self._longest, vouched_seconds)
            )
            self._sessions[name] = Session(
                name, user, change, now, now, longest, vouched_seconds is not None
            )
        return id_

    def find(self, id_: str) -> Session | None:
        """Return the session with that id and mark it used; None if there is none or it is over.

        A session that is over is removed. Whether the account has changed is not checked here.
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

    def needs_vouching(self, id_: str) -> bool:
        """Return whether a session in use ended because the identity provider must be asked again.

        True is returned one time for each such session.
        """
        with self._lock:
            return self._to_vouch.pop(digest(id_), True) is None

    def end(self, name: str) -> None:
        """End the session with that `Session.name`, not id; do nothing if there is none."""
        with self._lock:
            self._sessions.pop(name, None)
