"""Tokens by which a service knows who may use it: a text secret of one line, made at its first start."""

from __future__ import annotations

import contextlib
import re
import secrets

from ullage.errors import ConfigError
from ullage.files.atomic_write import write_new
from ullage.security.keys import KeyStore

SHORTEST = 32
"""Characters of a token that somebody made himself."""


def token_of(keys: KeyStore, name: str, service: str) -> str:
    """The token `name` of `service`; made when there is none. ConfigError when what is there is none."""
    given = keys.command or (keys.credentials and (keys.credentials / name).is_file())
    if not given and not keys.exists(name):
        keys.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):  # by another process that starts as well
            write_new(f"{secrets.token_urlsafe(32)}\n".encode(), keys.root / name)
    lines = keys.lines(name)
    if len(lines) != 1 or not re.fullmatch(rf"[!-~]{{{SHORTEST},}}", lines[0]):
        raise ConfigError(
            f"{keys.root / name} is no token: one line of {SHORTEST} or more ASCII characters without a space; "
            f"remove the file and {service} makes one"
        )
    return lines[0]
