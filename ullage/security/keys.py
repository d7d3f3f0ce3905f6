"""Keys, one file each, and which role may read which.

A flipped bit of a key makes another key, whose tags and seals are as good as any and fit nothing.
So a key's file has its check value behind the key, wherever the file is copied; the inventory
(`ullage.inventory`) lists the values of the keys that were made here; and what was made under a key
carries it: watchlist, frontier, incident store.

The value is the leftmost 40 bits of AES-256-CMAC (NIST SP 800-38B) over a block of zeros, as ANSI
X9.24-1-2017 has it for AES, but under a key derived for this alone (HKDF) that names the key: so it
is no tag of anything, and keys that were exchanged for one another are seen too. Who knows it can
tell a guessed key from another, which of 256 random bits helps nobody; an accident passes once in
10^12. Secrets that people choose (addresses, passwords) have none: of these it would let others
test guesses.

    seal/<id>.pub       crawl, every sealer         frontier.key            crawl
    seal/<id>.key       match                       capture.key             match (identity and sketch of a capture)
    T/match-<n>.key     match, build                T/index-<n>.key         match, search
    T/verify.pub        match (watchlist load)   T/sign.key              building host
    T/console.pub          match (seals originals)     T/console.key              desk (reveals them)
    T/handle.key        building host               T/resolver.pub, .key    building host, resolver
    sign/<role>.key     crawl, ingest, match, assess, alert, search: the one that it signs its records with; erase: its proofs
    signers/captures/<fingerprint>.pub  match: who may sign captures        signers/findings/<fingerprint>.pub  alert
    audit/<chain>.key   whoever writes that chain of the audit log, and who verifies it
    inventory/<service>.key     that service: signs the list of the parts that it made
    collect/<account>   collect (text: server, user and session of a chat account, one a line)
    intake.token        intake (text: what collectors hand in with)
    notify/<channel>    alert (text: an address, then what signs, one a line)
    oidc.secret         search (text: what the identity provider knows the desk by)

Each epoch has its own random key, so that destroying the file is real. A secret file must be 0600
and is refused if it is wider, foreign or a link (`ullage.files.ownership`). Where `keys.command` is
set it is run with the key's name and must print the key in hex, with or without its check value
(KMS, Vault); where systemd's `CREDENTIALS_DIRECTORY` has the name (with `/` as `.`) that is read
first. A key never comes from the environment itself.
"""  # noqa: E501

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from ullage import log
from ullage.errors import ConfigError
from ullage.files.atomic_write import write_new, write_through
from ullage.files.ownership import read_trusted
from ullage.inventory import COMMANDS, FOLDER, KEYS, Inventory, Snapshot
from ullage.security.cmac import BLOCK, Cmac, derive_key
from ullage.security.sealing import Sealer, SealOpener
from ullage.security.signing import Signer, Verifier, fingerprint

CHECK_BYTES = 5
KEY_BYTES = 32
FILE_BYTES = KEY_BYTES + CHECK_BYTES
"""Bytes of a key's file: the key, and its check value behind it."""


def check_value(key: bytes, name: str) -> str:
    """Return 10 hex digits for the 32-byte key called `name` (its path in the key folder); see
    the module.
    """
    return Cmac(derive_key(key, "check", name)).one(bytes(BLOCK))[:CHECK_BYTES].hex()


def with_check_value(key: bytes, name: str) -> bytes:
    """Return the content of the file of key `name`: the key, then its check value."""
    return key + bytes.fromhex(check_value(key, name))


def split_key_file(content: bytes, name: str, shown: Path) -> tuple[bytes, bool]:
    """Return the key in the content of its file, and whether its check value is behind it.

    ConfigError names the file `shown` where the check value is another key's or the length is
    wrong.
    """
    key, value = content[:KEY_BYTES], content[KEY_BYTES:]
    if len(key) != KEY_BYTES or len(value) not in (0, CHECK_BYTES):
        raise ConfigError(
            f"key {shown} has {len(content)} bytes instead of {FILE_BYTES}: restore it from its"
            " copy"
        )
    if value and value.hex() != check_value(key, name):
        raise ConfigError(f"key {shown} is not the one whose check value is in it: {RESTORE}")
    return key, bool(value)


RESTORE = "restore it from its copy"
COMMAND_SECONDS = 30


def credentials_folder() -> Path | None:
    """Where systemd has put this process's credentials, if it has."""
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(given) if given else None


@dataclass(frozen=True, slots=True)
class KeyStore:
    """Reads and writes keys by name under one folder. `credentials` is systemd's folder, if any."""

    root: Path
    command: Sequence[str] = ()
    credentials: Path | None = field(default=None)
    service: str = COMMANDS
    """In whose inventory the keys are entered that this store makes."""
    is_draft: bool = False
    """Keys are being made that another store enters once they are in their place."""
    _cache: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)
    """The keys of inventories that a command or a credential gives: each look at a key needs
    them.
    """
    _parts: dict[Snapshot, dict[str, str]] = field(default_factory=dict, compare=False, repr=False)
    """The parts that the inventories list, as they were read last."""

    @property
    def has_command(self) -> bool:
        """Return whether private keys come from a command."""
        return bool(self.command)

    @property
    def inventory(self) -> Inventory:
        """Return the inventory of the data folder in which the keys lie.

        Services whose keys come from a command create none, so they share the one of the commands.
        """
        return Inventory(
            self.root.parent, COMMANDS if self.command else self.service, self, self._parts
        )

    def read(self, name: str) -> bytes:
        """Return the 32 bytes of key `name`, which is the one that the inventory lists if it lists
        one.

        ConfigError says where the key was looked for, or that it is another one, never what it
        holds.
        """
        key, has_value = self._read(name)
        listed = None if self.is_draft else self.inventory.parts().get(f"{KEYS}{name}")
        if listed is None and not has_value:
            raise ConfigError(
                f"key {self.root / name} has no check value and is not in the inventory: copy it"
                " again with its check value, or enter it with `ullage init`"
            )
        is_stand_in = self._given(name) is not None and self.exists(name)
        if listed and not is_stand_in and listed != check_value(key, name):
            raise ConfigError(
                f"key {self.root / name} is not the one whose check value the inventory has:"
                f" {RESTORE}"
            )
        return key

    def _read(self, name: str) -> tuple[bytes, bool]:
        """Return a key, and whether a check value or its keeper vouches for it; the inventory is
        not asked.
        """
        if (given := self._given(name)) is not None:
            return split_key_file(given, name, self.root / name)[0], True
        if self.command and not name.endswith(".pub"):
            return split_key_file(self._ask(name), name, self.root / name)[0], True
        missing = f"key {name} is not in {self.root}: run `ullage init`, or give this role its key"
        return split_key_file(self._file(name, missing), name, self.root / name)

    def own_key(self, name: str, *, make: bool = False) -> bytes:
        """Return an inventory's own key, which no inventory lists; with `make`, create it where
        it is nowhere.
        """
        if self.exists(name):  # before the command, which runs a process
            return split_key_file(self._file(name, f"key {name} is gone"), name, self.root / name)[
                0
            ]
        if make and not self.command and self._given(name) is None:
            self._put(name, secrets.token_bytes(KEY_BYTES))
            return self.own_key(name)
        if name not in self._cache:
            self._cache[name] = self._read(name)[0]
        return self._cache[name]

    def check_value_of(self, name: str) -> str:
        """Return the check value of a key as it is now, whatever the inventory lists."""
        return check_value(self._read(name)[0], name)

    def enter(self, names: Collection[str]) -> None:
        """Enter keys in the inventory that were just put in their place."""
        self.inventory.enter_all({f"{KEYS}{name}": self.check_value_of(name) for name in names})

    def lines(self, name: str) -> list[str]:
        """The lines of the text secret `name` (an address, a password), found where keys are; a
        command prints it as it is.

        ConfigError says where it was looked for, never what it holds.
        """
        if (given := self._given(name)) is not None:
            return self._text(name, given)
        if self.command:
            return self._text(name, self._run(name))
        return self._text(
            name,
            self._file(name, f"secret {name} is not in {self.root}: write it there, mode 0600"),
        )

    def lines_if_there(self, name: str) -> list[str] | None:
        """The same of a secret that need not be there, from a credential or a file; a command is
        not asked.
        """
        if self._given(name) is None and not self.exists(name):
            return None
        return replace(self, command=()).lines(name)

    def _given(self, name: str) -> bytes | None:
        """What systemd's folder has under that name."""
        if self.credentials is None:
            return None
        try:
            return read_trusted(self.credentials / name.replace("/", "."))
        except FileNotFoundError:
            return None

    def _file(self, name: str, missing: str) -> bytes:
        try:
            return read_trusted(self.root / name, self.root, secret=not name.endswith(".pub"))
        except FileNotFoundError:
            raise ConfigError(missing) from None

    def write(self, name: str, key: bytes) -> None:
        """Create key `name` (0600, or 0644 for a public half), durably, and enter it in the
        inventory.

        `key` may have its check value behind it, as in a file that was copied here. An existing key
        is never overwritten. ConfigError where the inventory lists one that is gone.
        """
        key = split_key_file(key, name, self.root / name)[0]
        if not self.is_draft and not self.exists(name):
            self.inventory.begin()
            # else this is its copy
            if self.inventory.parts().get(f"{KEYS}{name}") != check_value(key, name):
                self.inventory.refuse_lost(f"{KEYS}{name}")
        self._put(name, key)
        if not self.is_draft:
            self.inventory.enter(f"{KEYS}{name}", check_value(key, name))

    def _put(self, name: str, key: bytes) -> None:
        path = self.root / name
        for folder in (self.root, path.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_new(with_check_value(key, name), path, 0o644 if name.endswith(".pub") else 0o600)

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

    def is_here(self, name: str) -> bool:
        """Whether the key is a file or a credential here; a command is not asked."""
        return self.exists(name) or self._given(name) is not None

    def are_given(self, folder: str) -> bool:
        """Whether the private keys in `folder` come from a command or as credentials, and not
        from files here.
        """
        return bool(self.command) or (
            self.credentials is not None and any(self.credentials.glob(f"{folder}.*.key"))
        )

    def names(self, folder: str, suffix: str) -> list[str]:
        """Sorted names of the keys in `folder` that end in `suffix`, credentials included.

        A command cannot list what it has: of it those are known that the inventory lists.
        """
        found = {f"{folder}/{p.name}" for p in (self.root / folder).glob(f"*{suffix}")}
        if self.command and folder != FOLDER:
            listed = (
                part.removeprefix(KEYS)
                for part in self.inventory.parts()
                if part.startswith(f"{KEYS}{folder}/")
            )
            found |= {name for name in listed if name.endswith(suffix)}
        if self.credentials:
            found |= {
                f"{folder}/{p.name.removeprefix(f'{folder}.')}"
                for p in self.credentials.glob(f"{folder}.*{suffix}")
            }
        return sorted(found)

    def destroy(self, name: str) -> None:
        """Overwrite and remove key `name`; what was hashed or sealed under it is then out of
        reach.
        """
        path = self.root / name
        self.inventory.strike(f"{KEYS}{name}")
        with path.open("r+b") as file:
            write_through(file, secrets.token_bytes(FILE_BYTES))
        path.unlink()

    def _ask(self, name: str) -> bytes:
        try:
            return bytes.fromhex(self._run(name).decode("ascii").strip())
        except ValueError as error:
            raise ConfigError(
                f"keys.command gave no key {name} ({type(error).__name__}): run it by hand"
            ) from None

    def _run(self, name: str) -> bytes:
        try:
            return subprocess.run(
                [*self.command, name], capture_output=True, check=True, timeout=COMMAND_SECONDS
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise ConfigError(
                f"keys.command gave no key {name} ({type(error).__name__}): run it by hand"
            ) from None

    @staticmethod
    def _text(name: str, text: bytes) -> list[str]:
        try:
            lines = [line.strip() for line in text.decode("utf-8-sig").strip().splitlines()]
        except UnicodeDecodeError:
            raise ConfigError(f"secret {name} is no text in UTF-8") from None
        if not lines:
            raise ConfigError(f"secret {name} is empty: write it there again")
        return lines


def make_seal_pair(keys: KeyStore, key_id: str) -> None:
    """Create the seal key pair `key_id`; the private half is written first, so that nothing is
    sealed to a lost key.
    """
    _make_pair(keys, f"seal/{key_id}.key", f"seal/{key_id}.pub")


def _make_pair(keys: KeyStore, private: str, public: str) -> None:
    """A pair; a half that a crash left alone gets its other half, and halves that do not belong
    together are refused.
    """
    keys.make(private)
    if not keys.exists(public):
        keys.write(public, _public_of(keys, private))
    match_halves(keys, private, public)


def _public_of(keys: KeyStore, private: str) -> bytes:
    """The public half of a private key, which signs where it is called so and seals otherwise
    (Ed25519, X25519).
    """
    kind = Ed25519PrivateKey if Path(private).stem == "sign" else X25519PrivateKey
    return kind.from_private_bytes(keys.read(private)).public_key().public_bytes_raw()


def match_halves(keys: KeyStore, private: str, public: str) -> None:
    """Raise ConfigError unless the public half is that of the private one."""
    if keys.read(public) != _public_of(keys, private):
        raise ConfigError(
            f"key {keys.root / public} is not the public half of {private}: restore both from their"
            " copy"
        )


def sealer(keys: KeyStore) -> Sealer:
    """Return what seals to the newest public key.

    Key ids are UTC dates, so the newest is the last by name.
    """
    names = keys.names("seal", ".pub")
    if not names:
        raise ConfigError(
            f"no encryption key in {keys.root / 'seal'}: run `ullage init`, or copy the public half"
            " here"
        )
    return Sealer(Path(names[-1]).stem, X25519PublicKey.from_public_bytes(keys.read(names[-1])))


def opener(keys: KeyStore) -> SealOpener:
    """Opens with every private seal key that still exists; a command is asked for the other half of
    each public one.

    ConfigError names a half that is not what it was, or not the other's.
    """
    names = keys.names("seal", ".key")
    if keys.command:
        names = sorted(
            {*names, *(f"{n.removesuffix('.pub')}.key" for n in keys.names("seal", ".pub"))}
        )
    for name in names:
        if keys.exists(public := _other_half(name)):
            match_halves(keys, name, public)
    return SealOpener(
        {Path(n).stem: X25519PrivateKey.from_private_bytes(keys.read(n)) for n in names}
    )


SIGNERS = {
    "crawl": "captures", "ingest": "captures", "match": "findings", "assess": "findings",
    "alert": "sheets", "erase": "erasures",
    "search": "events",
}  # fmt: skip
"""Who signs records, and of which topic; proofs of erasures and events are on none."""


def signer(keys: KeyStore, role: str) -> Signer:
    """What `role` signs its records with.

    Where keys are files it is made at its first use, and its public half put among the signers of
    this machine; another machine's readers need a copy of that half. ConfigError where a command or
    credentials should have the key and have not.
    """
    name = f"sign/{role}.key"
    own = not keys.command and not (
        keys.credentials and (keys.credentials / name.replace("/", ".")).is_file()
    )
    made = Signer(Ed25519PrivateKey.from_private_bytes(keys.make(name) if own else keys.read(name)))
    public = f"signers/{SIGNERS[role]}/{made.name}.pub"
    if own and not keys.exists(public):
        keys.write(public, made.private.public_key().public_bytes_raw())
    return made


def verifier(keys: KeyStore, topic: str) -> Verifier:
    """Return what tells who signed records of `topic`; public halves that come or go later count
    within a minute.

    ConfigError for a damaged public half. One that is damaged later is logged, and its signer not
    believed.
    """
    for name in keys.names(f"signers/{topic}", ".pub"):
        _signer_key(keys, name)
    return Verifier(partial(_signers, keys, topic))


def _signers(keys: KeyStore, topic: str) -> dict[str, Ed25519PublicKey]:
    """Return the public keys of a topic's signers by fingerprint, without damaged ones."""
    known = {}
    for name in keys.names(f"signers/{topic}", ".pub"):
        try:
            known[Path(name).stem] = _signer_key(keys, name)
        except ConfigError as error:  # removed or replaced at this moment, or damaged
            log.get("keys").error("signer_not_read", error=str(error))
    return known


def _signer_key(keys: KeyStore, name: str) -> Ed25519PublicKey:
    """Return the public key in file `name`; ConfigError if it is not the one that the file is
    named after.
    """
    public = keys.read(name)
    if fingerprint(public) != Path(name).stem:
        raise ConfigError(
            f"key {keys.root / name} is damaged: copy it again from the machine that signs with it"
        )
    return Ed25519PublicKey.from_public_bytes(public)


def desk_sealer(keys: KeyStore, tenant: str) -> Sealer | None:
    """Seals originals to the desk of `tenant`; None where match was given no key of a desk's, so
    that none are kept.
    """
    name = f"{tenant}/console.pub"
    if not keys.exists(name):
        return None
    public = keys.read(name)
    return Sealer(fingerprint(public), X25519PublicKey.from_public_bytes(public))


def desk_opener(keys: KeyStore, tenant: str) -> SealOpener:
    """Opens originals of `tenant`; ConfigError where this machine is not the desk's."""
    private = X25519PrivateKey.from_private_bytes(keys.read(f"{tenant}/console.key"))
    return SealOpener({fingerprint(private.public_key().public_bytes_raw()): private})


def make_desk(keys: KeyStore, tenant: str) -> None:
    """Create the key pair of a tenant's desk."""
    _make_pair(keys, f"{tenant}/console.key", f"{tenant}/console.pub")


def tenants(keys: KeyStore) -> list[str]:
    """Tenants whose watchlists can be verified here."""
    return sorted(path.parent.name for path in keys.root.glob("*/verify.pub"))


def signing_key(keys: KeyStore, tenant: str) -> Ed25519PrivateKey:
    """The building host's watchlist signing key of `tenant`."""
    return Ed25519PrivateKey.from_private_bytes(keys.read(f"{tenant}/sign.key"))


def verify_key(keys: KeyStore, tenant: str) -> Ed25519PublicKey:
    """The key that a watchlist of `tenant` must be signed with to be installed."""
    return Ed25519PublicKey.from_public_bytes(keys.read(f"{tenant}/verify.pub"))


def epochs(keys: KeyStore, tenant: str, purpose: str) -> list[int]:
    """Epoch numbers of `tenant` for `purpose` (match or index), oldest first; two during a dual
    window.
    """
    numbers = (Path(n).stem.removeprefix(f"{purpose}-") for n in keys.names(tenant, ".key"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def make_tenant(keys: KeyStore, tenant: str) -> None:
    """Create every key that a tenant lacks on one machine: tags, handles, signing and resolving;
    no epoch that was retired.
    """
    for purpose in ("match", "index"):
        if not epochs(keys, tenant, purpose):
            keys.make(f"{tenant}/{purpose}-1.key")
    keys.make(f"{tenant}/handle.key")
    _make_pair(keys, f"{tenant}/sign.key", f"{tenant}/verify.pub")
    _make_pair(keys, f"{tenant}/resolver.key", f"{tenant}/resolver.pub")
    make_desk(keys, tenant)


def faults(keys: KeyStore) -> list[str]:
    """What is wrong with the keys in the folder, a line each: unreadable, another one than was
    noted, halves of two pairs.
    """
    found = []
    for name in all_names(keys):
        try:
            keys.read(name)
            if name.endswith(".key") and keys.exists(public := _other_half(name)):
                match_halves(keys, name, public)
        except ConfigError as error:
            found.append(str(error))
    return list(dict.fromkeys(found))


def missing(keys: KeyStore) -> list[str]:
    """Describe each key that every machine needs, or that the key command should give, and that
    nothing gives.

    Files that the inventory lists and that are gone are told by `Inventory.faults`.
    """
    listed = {part.removeprefix(KEYS) for part in keys.inventory.parts() if part.startswith(KEYS)}
    needed = {"capture.key", "frontier.key", *(f"sign/{role}.key" for role in SIGNERS)}
    found = []
    for name in sorted((needed | listed if keys.command else needed - listed) - {*all_names(keys)}):
        try:
            keys.read(name)
        except ConfigError as error:
            found.append(str(error))
    return found


def all_names(keys: KeyStore) -> list[str]:
    """Every key that lies in the folder, sorted; text secrets are none, nor what was killed
    while it was made (`.new-…`).
    """
    found = (
        path.relative_to(keys.root)
        for path in keys.root.rglob("*")
        if path.suffix in (".key", ".pub")
    )
    return sorted(str(path) for path in found if not path.parts[0].startswith("."))


def _other_half(private: str) -> str:
    """Where the public half of a key lies that has one."""
    name = private.removesuffix(".key")
    return f"{name.removesuffix('sign')}verify.pub" if name.endswith("/sign") else f"{name}.pub"
