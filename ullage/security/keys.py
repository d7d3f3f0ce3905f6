"""Read and write the keys of a machine, one file each, and find out when a file was damaged.

A service asks its `KeyStore` for a key by name and may read only the keys that it needs. A flipped
bit turns a key into another one, whose hashes and encrypted records look valid and match nothing.
So each file has a *check value* behind the key, the inventory (`ullage.inventory`) lists the values
of the keys made here, and data made under a key carry it: customer list, frontier, incident store.

    0                                32      37 bytes
    ├───── key, 32 random bytes ──────┼─ check ┤

The check value is the leftmost 40 bits of AES-256-CMAC (NIST SP 800-38B) over a block of zeros, as
ANSI X9.24-1-2017 has it for AES, but under a key derived (HKDF) from key and name: so exchanged
keys are detected, and the value is the hash of nothing else. A damaged file passes by accident once
in 10^12. A guess can be tested with it, which is useless with 256 random bits; secrets that people
choose (addresses, passwords) therefore have no check value.

    seal/<id>.pub         crawl, everything that seals
    seal/<id>.key         match
    frontier.key          crawl
    capture.key           match (identity and sketch of a capture)
    T/match-<n>.key       match, build
    T/index-<n>.key       match, search
    T/verify.pub          match (loading customer lists)
    T/sign.key            building host
    T/console.pub         match (seals originals)
    T/console.key         console (opens them)
    T/handle.key          building host
    T/resolver.pub, .key  building host, resolver
    sign/<role>.key       crawl, ingest, match, assess, alert, search: signs their records;
                          erase: its proofs
    signers/captures/<fingerprint>.pub   match: who may sign captures
    signers/findings/<fingerprint>.pub   alert: who may sign findings
    audit/<chain>.key     writers and verifiers of that chain of the audit log
    inventory/<service>.key   that service: signs the list of the parts that it made
    collect/<account>     collect (text: server, user and session of a chat account, one per line)
    intake.token          intake (text: the token of collectors)
    notify/<channel>      alert (text: an address, then the signing secret, one per line)
    oidc.secret           search (text: the console's secret at the identity provider)

T is a tenant and <n> a key generation; each generation has its own random key, so destroying its
file destroys the key. A secret file must have mode 0600 and is refused if it is wider, foreign or a
link (`ullage.files.ownership`). If `keys.command` is set, it is run with the key's name and must
print the key in hex, with or without its check value (KMS, Vault); if systemd's
`CREDENTIALS_DIRECTORY` has the name (with `/` as `.`), that is read first. A key never comes from
the environment itself. A key that is missing, damaged or another one raises ConfigError, which
names the file and never shows the key.
"""

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
from ullage.security.signing import Signer, Verifier, to_fingerprint

CHECK_BYTES = 5
KEY_BYTES = 32
FILE_BYTES = KEY_BYTES + CHECK_BYTES
"""Bytes of a key's file: the key, then its check value."""


def compute_check_value(key: bytes, name: str) -> str:
    """Return the check value, 10 hex digits, of the 32-byte key `name`.

    The name is its path in the key folder.
    """
    return Cmac(derive_key(key, "check", name)).tag_one(bytes(BLOCK))[:CHECK_BYTES].hex()


def with_check_value(key: bytes, name: str) -> bytes:
    """Return the 37 bytes of the file of key `name`: the key, then its check value."""
    return key + bytes.fromhex(compute_check_value(key, name))


def split_key_file(content: bytes, name: str, shown: Path) -> tuple[bytes, bool]:
    """Return the key in a file's `content`, and whether a check value follows it.

    Raises ConfigError, which names the file `shown`, if the value is that of another key or name,
    or the length is wrong.
    """
    key, value = content[:KEY_BYTES], content[KEY_BYTES:]
    if len(key) != KEY_BYTES or len(value) not in (0, CHECK_BYTES):
        raise ConfigError(
            f"key {shown} has {len(content)} bytes instead of {FILE_BYTES}: restore it from its"
            " copy"
        )
    if value and value.hex() != compute_check_value(key, name):
        raise ConfigError(f"key {shown} does not match its own check value: {RESTORE}")
    return key, bool(value)


RESTORE = "restore it from its copy"
COMMAND_SECONDS = 30


def find_credentials_folder() -> Path | None:
    """Return the folder of this process's systemd credentials, or None."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) if folder else None


@dataclass(frozen=True, slots=True)
class KeyStore:
    """Reads and writes keys by name, such as `T/match-1.key`, in the folder `root`.

    `command` is the program that prints private keys, () for none; `credentials` is systemd's
    folder, if any.
    """

    root: Path
    command: Sequence[str] = ()
    credentials: Path | None = field(default=None)
    service: str = COMMANDS
    """The service whose inventory lists the keys that this store creates."""
    is_draft: bool = False
    """The keys are being created, and another store enters them once they are in place."""
    _cache: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)
    """Keys of inventories from a command or a credential; each look at a key needs them."""
    _parts: dict[Snapshot, dict[str, str]] = field(default_factory=dict, compare=False, repr=False)
    """The parts listed by the inventories, as last read."""

    @property
    def has_command(self) -> bool:
        """Return whether private keys come from a command."""
        return bool(self.command)

    @property
    def inventory(self) -> Inventory:
        """The inventory of the data folder that contains the keys.

        Services whose keys come from a command share the inventory of the commands.
        """
        return Inventory(
            self.root.parent, COMMANDS if self.command else self.service, self, self._parts
        )

    def read(self, name: str) -> bytes:
        """Return the 32 bytes of key `name`.

        It must match its check value and the one in the inventory. Raises ConfigError, which says
        where the key was looked for but never shows it, if it is missing, damaged or another key.
        """
        key, has_value = self._read(name)
        listed = None if self.is_draft else self.inventory.parts().get(f"{KEYS}{name}")
        if listed is None and not has_value:
            raise ConfigError(
                f"key {self.root / name} has no check value and is not in the inventory: copy it"
                " again with its check value, or enter it with `ullage init`"
            )
        is_stand_in = self._read_credential(name) is not None and self.exists(name)
        if listed and not is_stand_in and listed != compute_check_value(key, name):
            raise ConfigError(
                f"key {self.root / name} does not match its check value in the inventory: {RESTORE}"
            )
        return key

    def _read(self, name: str) -> tuple[bytes, bool]:
        """Return a key, and whether a check value or its source vouches for it.

        The inventory is ignored.
        """
        if (credential := self._read_credential(name)) is not None:
            return split_key_file(credential, name, self.root / name)[0], True
        if self.command and not name.endswith(".pub"):
            return split_key_file(self._read_from_command(name), name, self.root / name)[0], True
        missing = f"key {name} is not in {self.root}: run `ullage init`, or give this role its key"
        return split_key_file(self._read_file(name, missing), name, self.root / name)

    def inventory_key(self, name: str, *, make: bool = False) -> bytes:
        """Return the key that signs an inventory; no inventory lists it.

        With `make`, creates it if it exists nowhere. Raises ConfigError if it is missing or
        damaged.
        """
        if self.exists(name):  # before the command, which runs a process
            return split_key_file(
                self._read_file(name, f"key {name} is missing"), name, self.root / name
            )[0]
        if make and not self.command and self._read_credential(name) is None:
            self._put(name, secrets.token_bytes(KEY_BYTES))
            return self.inventory_key(name)
        if name not in self._cache:
            self._cache[name] = self._read(name)[0]
        return self._cache[name]

    def read_check_value(self, name: str) -> str:
        """Return the check value (10 hex digits) of the current key `name`.

        It may differ from the one that the inventory lists. Raises ConfigError if the key is
        missing or damaged.
        """
        return compute_check_value(self._read(name)[0], name)

    def enter(self, names: Collection[str]) -> None:
        """Enter keys, which were just put in place, in the inventory.

        Raises ConfigError if one is missing or damaged.
        """
        self.inventory.enter_all({f"{KEYS}{name}": self.read_check_value(name) for name in names})

    def read_lines(self, name: str) -> list[str]:
        """Return the lines of the text secret `name` (an address, a password).

        Blanks around each line are removed. A command prints the text as it is. Raises ConfigError,
        which says where it was looked for but never shows it, if it is missing, empty or not UTF-8.
        """
        if (credential := self._read_credential(name)) is not None:
            return self._split_lines(name, credential)
        if self.command:
            return self._split_lines(name, self._run_command(name))
        return self._split_lines(
            name,
            self._read_file(name, f"secret {name} is not in {self.root}: put it there, mode 0600"),
        )

    def read_optional_lines(self, name: str) -> list[str] | None:
        """Return the lines of a text secret that may be absent, or None; the command is not asked.

        Raises ConfigError if it exists and cannot be read.
        """
        if self._read_credential(name) is None and not self.exists(name):
            return None
        return replace(self, command=()).read_lines(name)

    def _read_credential(self, name: str) -> bytes | None:
        """Return the content of the systemd credential of that name, if any."""
        if self.credentials is None:
            return None
        try:
            return read_trusted(self.credentials / name.replace("/", "."))
        except FileNotFoundError:
            return None

    def _read_file(self, name: str, missing: str) -> bytes:
        try:
            return read_trusted(self.root / name, self.root, secret=not name.endswith(".pub"))
        except FileNotFoundError:
            raise ConfigError(missing) from None

    def write(self, name: str, key: bytes) -> None:
        """Create key `name` durably (0600; a public half 0644), and list it in the inventory.

        `key` may be followed by its check value, as in a copied file. Raises FileExistsError rather
        than overwrite a key, and ConfigError if the key is damaged or the inventory lists a lost
        key of that name.
        """
        key = split_key_file(key, name, self.root / name)[0]
        if not self.is_draft and not self.exists(name):
            self.inventory.begin()
            # else this is its copy
            if self.inventory.parts().get(f"{KEYS}{name}") != compute_check_value(key, name):
                self.inventory.refuse_lost(f"{KEYS}{name}")
        self._put(name, key)
        if not self.is_draft:
            self.inventory.enter(f"{KEYS}{name}", compute_check_value(key, name))

    def _put(self, name: str, key: bytes) -> None:
        path = self.root / name
        for folder in (self.root, path.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_new(with_check_value(key, name), path, 0o644 if name.endswith(".pub") else 0o600)

    def make(self, name: str) -> bytes:
        """Return key `name`; creates it at random if there is no file.

        Raises ConfigError if the file is damaged, or the inventory lists a lost key of that name.
        """
        if self.exists(name):
            return self.read(name)
        key = secrets.token_bytes(KEY_BYTES)
        self.write(name, key)
        return key

    def exists(self, name: str) -> bool:
        """Return whether a file of that name exists; credentials and the command are not asked."""
        return (self.root / name).is_file()

    def is_available(self, name: str) -> bool:
        """Return whether the key is a file or a credential; a command is not asked."""
        return self.exists(name) or self._read_credential(name) is not None

    def are_external(self, folder: str) -> bool:
        """Return whether the private keys in `folder` come from the command or from credentials.

        False if they are files.
        """
        return bool(self.command) or (
            self.credentials is not None and any(self.credentials.glob(f"{folder}.*.key"))
        )

    def list_names(self, folder: str, suffix: str) -> list[str]:
        """List the names of the keys in `folder` that end in `suffix`, sorted.

        Names begin with the folder, as in `T/match-1.key`. Credentials are included. A command
        cannot list its keys, so those in the inventory are listed instead.
        """
        names = {f"{folder}/{p.name}" for p in (self.root / folder).glob(f"*{suffix}")}
        if self.command and folder != FOLDER:
            listed = (
                part.removeprefix(KEYS)
                for part in self.inventory.parts()
                if part.startswith(f"{KEYS}{folder}/")
            )
            names |= {name for name in listed if name.endswith(suffix)}
        if self.credentials:
            names |= {
                f"{folder}/{p.name.removeprefix(f'{folder}.')}"
                for p in self.credentials.glob(f"{folder}.*{suffix}")
            }
        return sorted(names)

    def destroy(self, name: str) -> None:
        """Overwrite and remove the file of key `name`, and strike it from the inventory.

        What was hashed or encrypted under it becomes unreadable for good. Raises FileNotFoundError
        if the key is no file.
        """
        path = self.root / name
        self.inventory.strike(f"{KEYS}{name}")
        with path.open("r+b") as file:
            write_through(file, secrets.token_bytes(FILE_BYTES))
        path.unlink()

    def _read_from_command(self, name: str) -> bytes:
        try:
            return bytes.fromhex(self._run_command(name).decode("ascii").strip())
        except ValueError as error:
            raise ConfigError(
                f"keys.command gave no key {name} ({type(error).__name__}): run it by hand"
            ) from None

    def _run_command(self, name: str) -> bytes:
        try:
            return subprocess.run(
                [*self.command, name], capture_output=True, check=True, timeout=COMMAND_SECONDS
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise ConfigError(
                f"keys.command gave no key {name} ({type(error).__name__}): run it by hand"
            ) from None

    @staticmethod
    def _split_lines(name: str, text: bytes) -> list[str]:
        try:
            lines = [line.strip() for line in text.decode("utf-8-sig").strip().splitlines()]
        except UnicodeDecodeError:
            raise ConfigError(f"secret {name} must be text in UTF-8") from None
        if not lines:
            raise ConfigError(f"secret {name} is empty: enter it again")
        return lines


def make_seal_pair(keys: KeyStore, key_id: str) -> None:
    """Create the key pair `key_id` (a UTC date) that encrypts captures, or complete half a pair.

    The private half is written first, so that nothing is encrypted to a lost key. Raises
    ConfigError if both halves exist and do not match.
    """
    _make_pair(keys, f"seal/{key_id}.key", f"seal/{key_id}.pub")


def _make_pair(keys: KeyStore, private: str, public: str) -> None:
    """Create a key pair, or complete one that a crash interrupted.

    Refuses halves that do not match.
    """
    keys.make(private)
    if not keys.exists(public):
        keys.write(public, _derive_public(keys, private))
    match_halves(keys, private, public)


def _derive_public(keys: KeyStore, private: str) -> bytes:
    """Return the public half of a private key: Ed25519 if it is named `sign`, else X25519."""
    kind = Ed25519PrivateKey if Path(private).stem == "sign" else X25519PrivateKey
    return kind.from_private_bytes(keys.read(private)).public_key().public_bytes_raw()


def match_halves(keys: KeyStore, private: str, public: str) -> None:
    """Raise ConfigError unless the public half is that of the private one."""
    if keys.read(public) != _derive_public(keys, private):
        raise ConfigError(
            f"key {keys.root / public} is not the public half of {private}: restore both from their"
            " copy"
        )


def load_sealer(keys: KeyStore) -> Sealer:
    """Return a sealer, which encrypts, for the newest public key.

    Key ids are UTC dates, so the newest is the last by name. Raises ConfigError if there is no
    public key here.
    """
    names = keys.list_names("seal", ".pub")
    if not names:
        raise ConfigError(
            f"no encryption key in {keys.root / 'seal'}: run `ullage init`, or copy the public half"
            " here"
        )
    return Sealer(Path(names[-1]).stem, X25519PublicKey.from_public_bytes(keys.read(names[-1])))


def load_opener(keys: KeyStore) -> SealOpener:
    """Return an opener, which decrypts, for every private seal key that still exists.

    A command is asked for the private half of each public key. Raises ConfigError, which names the
    file, if a half was changed or does not match the other.
    """
    names = keys.list_names("seal", ".key")
    if keys.command:
        names = sorted(
            {*names, *(f"{n.removesuffix('.pub')}.key" for n in keys.list_names("seal", ".pub"))}
        )
    for name in names:
        if keys.exists(public := _public_name(name)):
            match_halves(keys, name, public)
    return SealOpener(
        {Path(n).stem: X25519PrivateKey.from_private_bytes(keys.read(n)) for n in names}
    )


SIGNERS = {
    "crawl": "captures", "ingest": "captures", "match": "findings", "assess": "findings",
    "alert": "sheets", "erase": "erasures",
    "search": "events",
}  # fmt: skip
"""Services that sign records, and the topic; erasure proofs and events are on none."""


def load_signer(keys: KeyStore, role: str) -> Signer:
    """Return the signer of a service's records.

    If keys are files, creates the key at its first use and puts its public half among the
    signers of this machine; readers on other machines need a copy of that half. Raises
    ConfigError if a command or credentials should have the key but do not.
    """
    name = f"sign/{role}.key"
    is_file = not keys.command and not (
        keys.credentials and (keys.credentials / name.replace("/", ".")).is_file()
    )
    loaded = Signer(
        Ed25519PrivateKey.from_private_bytes(keys.make(name) if is_file else keys.read(name))
    )
    public = f"signers/{SIGNERS[role]}/{loaded.name}.pub"
    if is_file and not keys.exists(public):
        keys.write(public, loaded.private.public_key().public_bytes_raw())
    return loaded


def load_verifier(keys: KeyStore, topic: str) -> Verifier:
    """Return a verifier of the records of `topic`, signed by anybody whose public key is here.

    Added and removed keys count within a minute. Raises ConfigError for a damaged public key; one
    that is damaged later is logged, and its signer no longer trusted.
    """
    for name in keys.list_names(f"signers/{topic}", ".pub"):
        _load_signer_key(keys, name)
    return Verifier(partial(_load_signers, keys, topic))


def _load_signers(keys: KeyStore, topic: str) -> dict[str, Ed25519PublicKey]:
    """Return the undamaged public keys of a topic's signers, by fingerprint."""
    loaded = {}
    for name in keys.list_names(f"signers/{topic}", ".pub"):
        try:
            loaded[Path(name).stem] = _load_signer_key(keys, name)
        except ConfigError as error:  # removed or replaced at this moment, or damaged
            log.get("keys").error("signer_not_read", error=str(error))
    return loaded


def _load_signer_key(keys: KeyStore, name: str) -> Ed25519PublicKey:
    """Return the public key in file `name`.

    Raises ConfigError if its fingerprint is not the file's name.
    """
    public = keys.read(name)
    if to_fingerprint(public) != Path(name).stem:
        raise ConfigError(
            f"key {keys.root / name} is damaged: copy it again from the machine that signs with it"
        )
    return Ed25519PublicKey.from_public_bytes(public)


def load_console_sealer(keys: KeyStore, tenant: str) -> Sealer | None:
    """Return what encrypts originals to the console of `tenant`, or None.

    None means that its public key is not here, so that no originals are stored.
    """
    name = f"{tenant}/console.pub"
    if not keys.exists(name):
        return None
    public = keys.read(name)
    return Sealer(to_fingerprint(public), X25519PublicKey.from_public_bytes(public))


def load_console_opener(keys: KeyStore, tenant: str) -> SealOpener:
    """Return what decrypts originals of `tenant`.

    Raises ConfigError if the private key is not here, as on every machine but the console's.
    """
    private = X25519PrivateKey.from_private_bytes(keys.read(f"{tenant}/console.key"))
    return SealOpener({to_fingerprint(private.public_key().public_bytes_raw()): private})


def make_console_pair(keys: KeyStore, tenant: str) -> None:
    """Create the key pair of a tenant's console, or complete half a pair."""
    _make_pair(keys, f"{tenant}/console.key", f"{tenant}/console.pub")


def list_tenants(keys: KeyStore) -> list[str]:
    """List the tenants whose customer lists can be verified here, by name."""
    return sorted(path.parent.name for path in keys.root.glob("*/verify.pub"))


def load_signing_key(keys: KeyStore, tenant: str) -> Ed25519PrivateKey:
    """Return the key of the building host that signs customer lists of `tenant`.

    Raises ConfigError on other machines, which lack it.
    """
    return Ed25519PrivateKey.from_private_bytes(keys.read(f"{tenant}/sign.key"))


def load_verify_key(keys: KeyStore, tenant: str) -> Ed25519PublicKey:
    """Return the key that verifies customer lists of `tenant` before they are installed.

    Raises ConfigError if it is missing or damaged.
    """
    return Ed25519PublicKey.from_public_bytes(keys.read(f"{tenant}/verify.pub"))


def list_generations(keys: KeyStore, tenant: str, purpose: str) -> list[int]:
    """List the key generations of `tenant` for `purpose` (match or index) that exist, oldest first.

    There are two while keys are being rotated, and none if this machine has no such key.
    """
    numbers = (Path(n).stem.removeprefix(f"{purpose}-") for n in keys.list_names(tenant, ".key"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def make_tenant(keys: KeyStore, tenant: str) -> None:
    """Create every missing key of a tenant on one machine: tags, pseudonyms, signing, resolving.

    A retired key generation is not created again.
    """
    for purpose in ("match", "index"):
        if not list_generations(keys, tenant, purpose):
            keys.make(f"{tenant}/{purpose}-1.key")
    keys.make(f"{tenant}/handle.key")
    _make_pair(keys, f"{tenant}/sign.key", f"{tenant}/verify.pub")
    _make_pair(keys, f"{tenant}/resolver.key", f"{tenant}/resolver.pub")
    make_console_pair(keys, tenant)


def list_faults(keys: KeyStore) -> list[str]:
    """List the faults of the key files, one message each; [] if there is none.

    A file may be unreadable, changed, or one half of another pair.
    """
    faults = []
    for name in list_files(keys):
        try:
            keys.read(name)
            if name.endswith(".key") and keys.exists(public := _public_name(name)):
                match_halves(keys, name, public)
        except ConfigError as error:
            faults.append(str(error))
    return list(dict.fromkeys(faults))


def list_missing(keys: KeyStore) -> list[str]:
    """List the missing keys, one message each; [] if there is none.

    Expected are the keys that every machine needs and, if there is a key command, the listed ones.
    Lost files that the inventory lists are reported by `Inventory.faults`.
    """
    listed = {part.removeprefix(KEYS) for part in keys.inventory.parts() if part.startswith(KEYS)}
    needed = {"capture.key", "frontier.key", *(f"sign/{role}.key" for role in SIGNERS)}
    descriptions = []
    for name in sorted(
        (needed | listed if keys.command else needed - listed) - {*list_files(keys)}
    ):
        try:
            keys.read(name)
        except ConfigError as error:
            descriptions.append(str(error))
    return descriptions


def list_files(keys: KeyStore) -> list[str]:
    """List every key file, sorted; text secrets and unfinished files (`.new-…`) are left out."""
    paths = (
        path.relative_to(keys.root)
        for path in keys.root.rglob("*")
        if path.suffix in (".key", ".pub")
    )
    return sorted(str(path) for path in paths if not path.parts[0].startswith("."))


def _public_name(private: str) -> str:
    """Return the name of the public half of a private key."""
    name = private.removesuffix(".key")
    return f"{name.removesuffix('sign')}verify.pub" if name.endswith("/sign") else f"{name}.pub"
