"""Keys, one file each, and which role may read which.

    seal/<id>.pub       crawl, every sealer         frontier.key            crawl
    seal/<id>.key       match                       capture.key             match (identity and sketch of a capture)
    T/match-<n>.key     match, build                T/index-<n>.key         match, search
    T/verify.pub        match (watchlist install)   T/sign.key              building host
    T/handle.key        building host               T/resolver.pub, .key    building host, resolver
    audit/<chain>.key   whoever writes that chain of the audit log, and who verifies it
    notify/<channel>    alert (text: an address, then what signs, one a line)

Each epoch has its own random key, so that destroying the file is real. A secret file must be 0600 and is refused if it
is wider. Where `keys.command` is set it is run with the key's name and must print the key in hex (KMS, Vault); where systemd's
`CREDENTIALS_DIRECTORY` has the name (with `/` as `.`) that is read first. A key never comes from the environment itself.
"""

from __future__ import annotations

import secrets
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from ullage.errors import ConfigError
from ullage.sealing import Opener, Sealer
from ullage.written import write_new, write_through

KEY_BYTES = 32
COMMAND_SECONDS = 30


@dataclass(frozen=True, slots=True)
class KeyStore:
    """Reads and writes keys by name under one folder. `credentials` is systemd's folder, if any."""

    root: Path
    command: Sequence[str] = ()
    credentials: Path | None = field(default=None)

    def read(self, name: str) -> bytes:
        """The 32 bytes of key `name`; ConfigError says where it was looked for, never what it holds."""
        if self.credentials and (found := self.credentials / name.replace("/", ".")).is_file():
            return self._checked(name, found.read_bytes())
        if self.command and not name.endswith(".pub"):
            return self._checked(name, self._ask(name))
        path = self.root / name
        if not path.is_file():
            raise ConfigError(f"key {name} is not in {self.root}: run `ullage init`, or give this role its key")
        if not name.endswith(".pub") and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            raise ConfigError(f"key {path} has mode {mode:04o}; make it 0600")
        return self._checked(name, path.read_bytes())

    def lines(self, name: str) -> list[str]:
        """The lines of the text secret `name` (an address, a password), found where keys are; a command prints it as it is.

        ConfigError says where it was looked for, never what it holds.
        """
        if self.credentials and (found := self.credentials / name.replace("/", ".")).is_file():
            return self._text(name, found.read_bytes())
        if self.command:
            return self._text(name, self._run(name))
        path = self.root / name
        if not path.is_file():
            raise ConfigError(f"secret {name} is not in {self.root}: write it there, mode 0600")
        if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            raise ConfigError(f"key {path} has mode {mode:04o}; make it 0600")
        return self._text(name, path.read_bytes())

    def write(self, name: str, key: bytes) -> None:
        """Create key `name` (0600, or 0644 for a public half), durably; an existing key is never overwritten."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_new(key, path, 0o644 if name.endswith(".pub") else 0o600)

    def make(self, name: str) -> bytes:
        """Create key `name` at random and return it; an existing one is returned as it is."""
        if self.exists(name):
            return self.read(name)
        key = secrets.token_bytes(KEY_BYTES)
        self.write(name, key)
        return key

    def exists(self, name: str) -> bool:
        """Whether a file of that name is here (credentials and commands are not asked)."""
        return (self.root / name).is_file()

    def names(self, folder: str, suffix: str) -> list[str]:
        """Sorted names of the keys in `folder` that end in `suffix`, credentials included; a command cannot list what it has."""
        found = {f"{folder}/{p.name}" for p in (self.root / folder).glob(f"*{suffix}")}
        if self.credentials:
            found |= {f"{folder}/{p.name.removeprefix(f'{folder}.')}" for p in self.credentials.glob(f"{folder}.*{suffix}")}
        return sorted(found)

    def destroy(self, name: str) -> None:
        """Overwrite and remove key `name`; what was hashed or sealed under it is then out of reach."""
        path = self.root / name
        with path.open("r+b") as file:
            write_through(file, secrets.token_bytes(KEY_BYTES))
        path.unlink()

    def _ask(self, name: str) -> bytes:
        try:
            return bytes.fromhex(self._run(name).decode("ascii").strip())
        except ValueError as error:
            raise ConfigError(f"keys.command gave no key {name} ({type(error).__name__}): run it by hand") from None

    def _run(self, name: str) -> bytes:
        try:
            return subprocess.run([*self.command, name], capture_output=True, check=True, timeout=COMMAND_SECONDS).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise ConfigError(f"keys.command gave no key {name} ({type(error).__name__}): run it by hand") from None

    @staticmethod
    def _text(name: str, text: bytes) -> list[str]:
        try:
            return [line.strip() for line in text.decode("utf-8").strip().splitlines()]
        except UnicodeDecodeError:
            raise ConfigError(f"secret {name} is no text in UTF-8") from None

    @staticmethod
    def _checked(name: str, key: bytes) -> bytes:
        if len(key) != KEY_BYTES:
            raise ConfigError(f"key {name} has {len(key)} bytes instead of {KEY_BYTES}: restore it from its copy")
        return key


def make_seal_pair(keys: KeyStore, key_id: str) -> None:
    """Create the seal key pair `key_id`; the private half is written first, so that nothing is sealed to a lost key."""
    _make_exchange_pair(keys, f"seal/{key_id}")


def _make_exchange_pair(keys: KeyStore, name: str) -> None:
    """An X25519 pair; a half that a crash left alone gets its other half."""
    private = X25519PrivateKey.from_private_bytes(keys.make(f"{name}.key"))
    if not keys.exists(f"{name}.pub"):
        keys.write(f"{name}.pub", private.public_key().public_bytes_raw())


def sealer(keys: KeyStore) -> Sealer:
    """Seals to the newest public key. Key ids are UTC dates, so the newest is the last by name."""
    names = keys.names("seal", ".pub")
    if not names:
        raise ConfigError(f"no seal key in {keys.root / 'seal'}: run `ullage init`, or copy the public half here")
    key_id = Path(names[-1]).stem
    return Sealer(key_id, X25519PublicKey.from_public_bytes(keys.read(names[-1])))


def opener(keys: KeyStore) -> Opener:
    """Opens with every private seal key that still exists; a command is asked for the other half of each public one."""
    names = keys.names("seal", ".key")
    if keys.command:
        names = sorted({*names, *(f"{n.removesuffix('.pub')}.key" for n in keys.names("seal", ".pub"))})
    return Opener({Path(n).stem: X25519PrivateKey.from_private_bytes(keys.read(n)) for n in names})


def signing_key(keys: KeyStore, tenant: str) -> Ed25519PrivateKey:
    """The building host's watchlist signing key of `tenant`."""
    return Ed25519PrivateKey.from_private_bytes(keys.read(f"{tenant}/sign.key"))


def verify_key(keys: KeyStore, tenant: str) -> Ed25519PublicKey:
    """The key that a watchlist of `tenant` must be signed with to be installed."""
    return Ed25519PublicKey.from_public_bytes(keys.read(f"{tenant}/verify.pub"))


def epochs(keys: KeyStore, tenant: str, purpose: str) -> list[int]:
    """Epoch numbers of `tenant` for `purpose` (match or index), oldest first; two during a dual window."""
    numbers = (Path(n).stem.removeprefix(f"{purpose}-") for n in keys.names(tenant, ".key"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def make_tenant(keys: KeyStore, tenant: str) -> None:
    """Create every key of a new tenant on one machine: tags, handles, signing and resolving."""
    for name in ("match-1", "index-1", "handle"):
        keys.make(f"{tenant}/{name}.key")
    sign = Ed25519PrivateKey.from_private_bytes(keys.make(f"{tenant}/sign.key"))
    if not keys.exists(f"{tenant}/verify.pub"):
        keys.write(f"{tenant}/verify.pub", sign.public_key().public_bytes_raw())
    _make_exchange_pair(keys, f"{tenant}/resolver")
