"""The list of what is recorded, for search: pairs of index tag and handle, by which the person on
the phone gets a third answer.

Off by default, since it tells who is a customer to whoever has it beside the index key. `watchlist
load --enrolled` writes it.

    magic | u32 header length | header (JSON) | Ed25519 signature of magic and header (64) | zeros to 4096
    tag u8[16], handle u8[16]   of each pair, in order of tag and handle
    of each 256 pairs: u8[4], how the first tag begins, and the SHA-256 of the pairs

The header has the SHA-256 of those digests, and the check value of the index key. Each look-up
reads one block, as a rule, and takes it only if its digest is the one that was signed: damage is
never taken for an answer.

The host that has the list cannot sign. What is erased there is overwritten, and the digests of
these blocks are noted beside the list (`.amended`), under a key that comes from the index key.
"""  # noqa: E501

from __future__ import annotations

import bisect
import contextlib
import hashlib
import json
import os
import struct
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ullage.errors import ConfigError, CorruptError
from ullage.files.atomic_write import put_in_place, write_whole
from ullage.files.validation import read_claimed_version, read_json
from ullage.security.cmac import TAG_BYTES, Cmac, derive_key
from ullage.security.keys import KeyStore, compute_check_value, list_generations, load_verify_key

if TYPE_CHECKING:
    from ullage.security.tags import Tags

FOLDER, SUFFIX, AMENDED = "enrolled", ".enrolled", ".amended"
MAGIC, VERSION = b"ULLAGEEN", 1
BODY = 4096
"""Where the pairs begin."""
PAIR = 2 * TAG_BYTES
BLOCK = 256 * PAIR
LEADING = 4
"""Bytes of a block's first tag that its digest stands beside: so much of it stays when it is
erased.
"""
DIGEST = 32
ROW = LEADING + DIGEST
SIGNATURE = 64
_LENGTH = struct.Struct("<I")
CURE = (
    "load it again with `ullage watchlist load --enrolled`, or remove it: then a look-up has two"
    " answers"
)


@dataclass(frozen=True, slots=True)
class ListHeader:
    """What a list says of itself: `key` is the name of the index key and `check` its check
    value, the dates are ISO.
    """

    version: int
    tenant: str
    key: str
    check: str
    created: str
    expires: str
    pairs: int = 0
    digests: str = ""


def path_of(data: Path, tenant: str) -> Path:
    """Where the list of a tenant lies, on search's host."""
    return data / FOLDER / f"{tenant}{SUFFIX}"


def header_for(keys: KeyStore, tenant: str, created: datetime, expires: str) -> ListHeader:
    """The header of a list under the newest index key."""
    name = f"{tenant}/index-{list_generations(keys, tenant, 'index')[-1]}.key"
    check = compute_check_value(keys.read(name), name)
    return ListHeader(VERSION, tenant, name, check, created.isoformat(timespec="seconds"), expires)


def write(
    path: Path, header: ListHeader, pairs: Iterable[Tags], key: Ed25519PrivateKey
) -> ListHeader:
    """Write a list, signed and whole or not at all; `pairs` (n, 32) come in order, each once."""
    draft = path.with_name(f"{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.seek(BODY)
            table, size = bytearray(), 0
            for block in _blocks(pairs):
                table += block[:LEADING] + hashlib.sha256(block).digest()
                size += file.write(block)
            file.write(table)
            final = replace(header, pairs=size // PAIR, digests=hashlib.sha256(table).hexdigest())
            head = json.dumps(asdict(final), sort_keys=True).encode()
            file.seek(0)
            file.write(
                (MAGIC + _LENGTH.pack(len(head)) + head + key.sign(MAGIC + head)).ljust(BODY, b"\0")
            )
            file.flush()
            os.fsync(file.fileno())
        put_in_place(draft, path)
        path.with_name(path.name + AMENDED).unlink(missing_ok=True)
    finally:
        draft.unlink(missing_ok=True)
    return final


def _blocks(pairs: Iterable[Tags]) -> Iterator[bytes]:
    held = bytearray()
    for some in pairs:
        held += some.tobytes()
        while len(held) >= BLOCK:
            yield bytes(held[:BLOCK])
            del held[:BLOCK]
    if held:
        yield bytes(held)


class VerifiedList:
    """One list, its signature, its size and the key of its tags verified; ConfigError or
    CorruptError say what is wrong.
    """

    def __init__(self, path: Path, keys: KeyStore, tenant: str) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            # another list that takes its place does not change this one
            weakref.finalize(self, os.close, self._file)
            self.header = _header(path, os.pread(self._file, BODY, 0), keys, tenant)
            body = self.header.pairs * PAIR
            self._count = -(-body // BLOCK)
            if os.fstat(self._file).st_size != BODY + body + self._count * ROW:
                raise self._damage()
            self._table = os.pread(self._file, self._count * ROW, BODY + body)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror}): {CURE}") from None
        if hashlib.sha256(self._table).hexdigest() != self.header.digests:
            raise self._damage()
        self._noting = derive_key(keys.read(self.header.key), "amended", tenant)
        self._changed = self._noted()

    def has(self, tag: bytes) -> bool:
        """Return whether a value with this index tag is recorded; CorruptError where that cannot
        be told.
        """
        return bool(self.find_pseudonyms(tag))

    def find_pseudonyms(self, tag: bytes) -> frozenset[bytes]:
        """Return the pseudonyms (16 bytes) recorded with a value's index tag; CorruptError where
        that cannot be told.
        """
        leading, rows = tag[:LEADING], range(self._count)
        first = max(0, bisect.bisect_left(rows, leading, key=self._leading) - 1)
        beyond = bisect.bisect_right(rows, leading, key=self._leading)
        return frozenset(
            block[at + TAG_BYTES : at + PAIR]
            for block in map(self._block, range(first, beyond))
            for at in range(0, len(block), PAIR)
            if block[at : at + TAG_BYTES] == tag
        )

    def pairs(self) -> Iterator[Tags]:
        """All pairs (n, 32), a block at a time."""
        import numpy as np  # noqa: PLC0415  whoever looks somebody up does without

        for number in range(self._count):
            yield np.frombuffer(self._block(number), np.uint8).reshape(-1, PAIR)

    def check(self) -> int:
        """How many pairs there are; CorruptError where one is not what was signed. Reads all of
        it.
        """
        return sum(len(some) for some in self.pairs())

    def erase(self, handle: bytes) -> int:
        """Overwrite every pair of the customer with this handle; how many there were.

        A crash between leaves what the next one finishes.
        """
        count = 0
        for number in range(self._count):
            block = self._block(number)
            pairs = [block[at : at + PAIR] for at in range(0, len(block), PAIR)]
            kept = [pair for pair in pairs if pair[TAG_BYTES:] != handle]
            if len(kept) < len(pairs):
                count += len(pairs) - len(kept)
                filled = kept + kept[-1:] * (len(pairs) - len(kept)) or [
                    self._leading(number).ljust(PAIR, b"\0")
                ] * len(pairs)
                self._overwrite(number, block, b"".join(filled))
        return count

    def _overwrite(self, number: int, old: bytes, new: bytes) -> None:
        digests = [hashlib.sha256(block).hexdigest() for block in (new, old)]
        self._note({**self._changed, number: digests})
        with self.path.open("r+b") as file:
            os.pwrite(file.fileno(), new, BODY + number * BLOCK)
            os.fsync(file.fileno())
        self._changed = {**self._changed, number: digests[:1]}
        self._note(self._changed)

    def _leading(self, number: int) -> bytes:
        return self._table[number * ROW : number * ROW + LEADING]

    def _block(self, number: int) -> bytes:
        """A block, as it was signed, or as it was left when something was erased in it."""
        size = min(BLOCK, self.header.pairs * PAIR - number * BLOCK)
        block = os.pread(self._file, size, BODY + number * BLOCK)
        if not self._is_whole(number, block):
            self._changed = self._noted()  # erased meanwhile
            if not self._is_whole(number, block):
                raise self._damage()
        return block

    def _is_whole(self, number: int, block: bytes) -> bool:
        signed = self._table[number * ROW + LEADING : (number + 1) * ROW].hex()
        return hashlib.sha256(block).hexdigest() in self._changed.get(number, (signed,))

    def _noted(self) -> Mapping[int, list[str]]:
        """The digests of blocks in which something was erased."""
        beside = self.path.with_name(self.path.name + AMENDED)
        try:
            tag, _, text = beside.read_bytes().partition(b"\n")
            said = read_json(text)
            is_ours, of_this = (
                compare_digest(tag, self._seal(text)),
                said["digests"] == self.header.digests,
            )
            found = {
                int(number): [str(one) for one in digests]
                for number, digests in said["blocks"].items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            is_ours = False
        if not is_ours:
            raise CorruptError(
                f"{beside} is damaged, so what was erased from {self.path} cannot be told: {CURE}"
            )
        return found if of_this else {}

    def _note(self, blocks: Mapping[int, list[str]]) -> None:
        said = {
            "digests": self.header.digests,
            "blocks": {str(number): digests for number, digests in blocks.items()},
        }
        text = json.dumps(said, sort_keys=True).encode()
        write_whole(self._seal(text) + b"\n" + text, self.path.with_name(self.path.name + AMENDED))

    def _seal(self, text: bytes) -> bytes:
        return Cmac(self._noting).tag_one(text).hex().encode()

    def _damage(self) -> CorruptError:
        return CorruptError(f"{self.path} is not what was signed: {CURE}")


def _header(path: Path, start: bytes, keys: KeyStore, tenant: str) -> ListHeader:
    """The header of a file that begins so, verified."""
    place = len(MAGIC) + _LENGTH.size
    if len(start) < BODY or not start.startswith(MAGIC):
        raise ConfigError(f"{path} is no list of what is recorded, or cut off: {CURE}")
    (length,) = _LENGTH.unpack_from(start, len(MAGIC))
    head, signature = start[place : place + length], start[place + length :][:SIGNATURE]
    if (version := read_claimed_version(head)) not in (None, VERSION):
        raise ConfigError(f"{path} has version {version}, this ullage reads {VERSION}: {CURE}")
    try:
        load_verify_key(keys, tenant).verify(signature, MAGIC + head)
    except InvalidSignature:
        raise ConfigError(
            f"{path} is not signed by the building host of {tenant} (verify.pub), or damaged:"
            f" {CURE}"
        ) from None
    said = read_json(head)
    if said.get("version") != VERSION:
        raise ConfigError(
            f"{path} has version {said.get('version')}, this ullage reads {VERSION}: {CURE}"
        )
    header = ListHeader(**said)
    if any(start[place + length + SIGNATURE :]):
        raise CorruptError(f"{path} is damaged behind its header: {CURE}")
    if header.tenant != tenant:
        raise ConfigError(f"{path} is of tenant {header.tenant}, not {tenant}: {CURE}")
    if compute_check_value(keys.read(header.key), header.key) != header.check:
        raise ConfigError(
            f"{path} was made under another key than {keys.root / header.key}: {CURE}"
        )
    return header


@dataclass(slots=True)
class EnrolledLists:
    """The lists on this machine, opened when they are first asked for and whenever they were
    replaced.
    """

    data: Path
    keys: KeyStore
    _opened: dict[str, tuple[tuple[int, int, int], VerifiedList]] = field(default_factory=dict)

    def tenants(self) -> list[str]:
        """Whose lists are here."""
        return sorted(
            path.name.removesuffix(SUFFIX) for path in (self.data / FOLDER).glob(f"*{SUFFIX}")
        )

    def of(self, tenant: str, now: datetime) -> VerifiedList | None:
        """The list of a tenant; None where there is none, or it has expired: customers came
        since who are not on it.
        """
        path = path_of(self.data, tenant)
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            identity = status.st_ino, status.st_mtime_ns, status.st_size
            known = self._opened.get(tenant)
            if known is None or known[0] != identity:
                known = self._opened[tenant] = (identity, VerifiedList(path, self.keys, tenant))
            return known[1] if datetime.fromisoformat(known[1].header.expires) > now else None
        return None
