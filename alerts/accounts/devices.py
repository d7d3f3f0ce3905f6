"""Devices on which a person has logged in before, so that whoever guesses elsewhere makes them wait for nothing there.

A browser that has logged in by password keeps a cookie: a random name, and that name authenticated under what is kept of the
password (Argon2id's digest, which nobody has but search). It opens nothing, ends with the password, and nothing of it is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from alerts.accounts.accounts import User, key_of

COOKIE, SECURE_COOKIE = "ullage_device", "__Host-ullage_device"
SECONDS = 400 * 86_400
"""So long a browser keeps it at most (RFC 6265bis)."""
LONGEST = 200


def new_device(user: User) -> str:
    """What a browser keeps of a login of `user`."""
    name = secrets.token_urlsafe(16)
    return f"{name}.{_mac(user, name)}"


def device_in(user: User | None, kept: str) -> str:
    """The name of the device that keeps this of a login of `user`; "" for anything else."""
    name, _, mac = kept[:LONGEST].partition(".")
    if user is None or not user.digest or not hmac.compare_digest(mac.encode(), _mac(user, name).encode()):
        return ""
    return name


def _mac(user: User, name: str) -> str:
    assert user.digest is not None
    return hmac.digest(user.digest.encode(), f"ullage device\x1f{key_of(user.name)}\x1f{name}".encode(), hashlib.sha256).hex()
