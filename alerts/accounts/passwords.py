"""Passwords: which are taken, and the digest that is kept of one (Argon2id, RFC 9106).

The rules are those of NIST SP 800-63B-4, 3.1.1.2, for a password that is the only factor: long, whatever it is made of, and
nothing that whoever knows the account would try first. Before it is digested a text is brought to NFKC, so that it is the same
from every keyboard.
"""

from __future__ import annotations

import base64
import secrets
import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from ullage.errors import ConfigError, UllageError
from ullage.phrase import Phrase

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
                return self._hasher.verify(digest or self._nobody, _normal(password)) and digest is not None
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
                "a password must have %(least)s to %(most)s characters; a sentence is easiest to remember",
                least=SHORTEST,
                most=LONGEST,
            )
        )
    if len({*text}) < DISTINCT:
        raise PasswordError(Phrase("a password must have at least %(count)s different characters", count=DISTINCT))
    if _normal(name).casefold() in text.casefold():
        raise PasswordError(Phrase("a password must not contain the account name"))
    return password


def made() -> str:
    """A new one of 24 characters, in groups that can be read out: 118 bits."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(6)) for _ in range(4))


def _of_nobody(hasher: PasswordHasher) -> str:
    """A digest that costs as much to verify as any of `hasher`'s and fits no password: it is drawn, which costs nothing."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (hasher.salt_len, hasher.hash_len)
    )
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2{hasher.type.name.lower()}$v={ARGON2_VERSION}${cost}${salt}${digest}"


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
