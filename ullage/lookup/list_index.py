"""Write and read the list of enrolled customers for search: pairs of index tag and pseudonym.

With it, a look-up can answer "recorded, but found nowhere". It is off by default, because together
with the index key it reveals who is a customer. `watchlist load --enrolled` writes it.

    magic | u32 header length | header (JSON) | Ed25519 signature of magic and header (64) | zeros
                                                                                         to 4096
    tag u8[16], pseudonym u8[16]   of each pair, in order of tag and pseudonym
    per 256 pairs: u8[4], the beginning of the first tag, and the SHA-256 of the pairs

The header contains the SHA-256 of those digests, and the check value of the index key. Each look-up
reads one block, as a rule, and accepts it only if its digest is the signed one: damage is never
taken for an answer.

The host of the list cannot sign. Erased pairs are overwritten, and the digests of these blocks are
written beside the list (`.amended`), under a key derived from the index key.
"""

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
"""Offset of the pairs."""
PAIR = 2 * TAG_BYTES
BLOCK = 256 * PAIR
LEADING = 4
"""Bytes of a block's first tag that are stored with its digest, and remain after erasure."""
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
    """The header of a list.

    `key` is the name of the index key and `check` its check value; the dates are ISO 8601.
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
    """Return the path of a tenant's list on the search host."""
    return data / FOLDER / f"{tenant}{SUFFIX}"


def header_for(keys: KeyStore, tenant: str, created: datetime, expires: str) -> ListHeader:
    """Return the header of a new list under the newest index key of `tenant`.

    `expires` is an ISO date. Raises ConfigError if there is no index key here, or it is damaged.
    """
    generations = list_generations(keys, tenant, "index")
    if not generations:
        raise ConfigError(
            f"no index key of {tenant} is here: restore {tenant}/index-1.key from its copy, or make"
            f" one with `ullage watchlist load --tenant {tenant}`"
        )
    name = f"{tenant}/index-{generations[-1]}.key"
    check = compute_check_value(keys.read(name), name)
    return ListHeader(VERSION, tenant, name, check, created.isoformat(timespec="seconds"), expires)


def write(
    path: Path, header: ListHeader, pairs: Iterable[Tags], key: Ed25519PrivateKey
) -> ListHeader:
    """Write a signed list of enrolled customers, completely or not at all; return its header.

    `pairs` are blocks u8[n, 32] of keyed hash and pseudonym, sorted and unique throughout.
    Amendments of an earlier list at `path` are deleted. Raises OSError if the disk fails; the
    earlier list then stays.
    """
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
    buffer = bytearray()
    for pairs_part in pairs:
        buffer += pairs_part.tobytes()
        while len(buffer) >= BLOCK:
            yield bytes(buffer[:BLOCK])
            del buffer[:BLOCK]
    if buffer:
        yield bytes(buffer)


class VerifiedList:
    """A list whose signature, size and key were verified.

    Raises ConfigError or CorruptError if something is wrong.
    """

    def __init__(self, path: Path, keys: KeyStore, tenant: str) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            # another list that takes its place does not change this one
            weakref.finalize(self, os.close, self._file)
            self.header = _parse_header(path, os.pread(self._file, BODY, 0), keys, tenant)
            body = self.header.pairs * PAIR
            self._count = -(-body // BLOCK)
            if os.fstat(self._file).st_size != BODY + body + self._count * ROW:
                raise self._damage_error()
            self._table = os.pread(self._file, self._count * ROW, BODY + body)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror}): {CURE}") from None
        if hashlib.sha256(self._table).hexdigest() != self.header.digests:
            raise self._damage_error()
        self._noting = derive_key(keys.read(self.header.key), "amended", tenant)
        self._changed = self._read_amendments()

    def has(self, tag: bytes) -> bool:
        """Return whether a value with this keyed hash (16 bytes) belongs to an enrolled customer.

        Raises CorruptError if the list is damaged there.
        """
        return bool(self.find_pseudonyms(tag))

    def find_pseudonyms(self, tag: bytes) -> frozenset[bytes]:
        """Return the pseudonyms (16 bytes) of a value's index tag; empty if it is not enrolled.

        Raises CorruptError if the list is damaged there.
        """
        leading, rows = tag[:LEADING], range(self._count)
        first = max(0, bisect.bisect_left(rows, leading, key=self._leading) - 1)
        beyond = bisect.bisect_right(rows, leading, key=self._leading)
        return frozenset(
            block[at + TAG_BYTES : at + PAIR]
            for block in map(self._read_block, range(first, beyond))
            for at in range(0, len(block), PAIR)
            if block[at : at + TAG_BYTES] == tag
        )

    def pairs(self) -> Iterator[Tags]:
        """Yield all pairs (n, 32), a block at a time."""
        import numpy as np  # noqa: PLC0415  whoever looks somebody up does without

        for number in range(self._count):
            yield np.frombuffer(self._read_block(number), np.uint8).reshape(-1, PAIR)

    def check(self) -> int:
        """Read the whole list, and return its number of pairs of keyed hash and pseudonym.

        Raises CorruptError unless all are as they were signed.
        """
        return sum(len(block) for block in self.pairs())

    def erase(self, handle: bytes) -> int:
        """Overwrite every entry of a pseudonym in the file, and return how many there were.

        0 if there is none. If the call is interrupted, the next one completes it. Raises
        CorruptError if a block was changed.
        """
        count = 0
        for number in range(self._count):
            block = self._read_block(number)
            pairs = [block[at : at + PAIR] for at in range(0, len(block), PAIR)]
            remaining = [pair for pair in pairs if pair[TAG_BYTES:] != handle]
            if len(remaining) < len(pairs):
                count += len(pairs) - len(remaining)
                filled = remaining + remaining[-1:] * (len(pairs) - len(remaining)) or [
                    self._leading(number).ljust(PAIR, b"\0")
                ] * len(pairs)
                self._overwrite(number, block, b"".join(filled))
        return count

    def _overwrite(self, number: int, old: bytes, new: bytes) -> None:
        digests = [hashlib.sha256(block).hexdigest() for block in (new, old)]
        self._write_amendments({**self._changed, number: digests})
        with self.path.open("r+b") as file:
            os.pwrite(file.fileno(), new, BODY + number * BLOCK)
            os.fsync(file.fileno())
        self._changed = {**self._changed, number: digests[:1]}
        self._write_amendments(self._changed)

    def _leading(self, number: int) -> bytes:
        return self._table[number * ROW : number * ROW + LEADING]

    def _read_block(self, number: int) -> bytes:
        """Return a block as it was signed, or as an erasure left it."""
        size = min(BLOCK, self.header.pairs * PAIR - number * BLOCK)
        block = os.pread(self._file, size, BODY + number * BLOCK)
        if not self._is_whole(number, block):
            self._changed = self._read_amendments()  # erased meanwhile
            if not self._is_whole(number, block):
                raise self._damage_error()
        return block

    def _is_whole(self, number: int, block: bytes) -> bool:
        signed = self._table[number * ROW + LEADING : (number + 1) * ROW].hex()
        return hashlib.sha256(block).hexdigest() in self._changed.get(number, (signed,))

    def _read_amendments(self) -> Mapping[int, list[str]]:
        """Return the digests of blocks with erased pairs, by block number.

        Returns {} if there are none, or if they belong to another list. Raises CorruptError if they
        are damaged or not signed with our key.
        """
        beside = self.path.with_name(self.path.name + AMENDED)
        try:
            tag, _, text = beside.read_bytes().partition(b"\n")
            content = read_json(text)
            is_ours, of_this = (
                compare_digest(tag, self._seal(text)),
                content["digests"] == self.header.digests,
            )
            amended = {
                int(number): [str(digest) for digest in digests]
                for number, digests in content["blocks"].items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            is_ours = False
        if not is_ours:
            raise CorruptError(
                f"{beside} is damaged, so what was erased from {self.path} is unknown: {CURE}"
            )
        return amended if of_this else {}

    def _write_amendments(self, blocks: Mapping[int, list[str]]) -> None:
        content = {
            "digests": self.header.digests,
            "blocks": {str(number): digests for number, digests in blocks.items()},
        }
        text = json.dumps(content, sort_keys=True).encode()
        write_whole(self._seal(text) + b"\n" + text, self.path.with_name(self.path.name + AMENDED))

    def _seal(self, text: bytes) -> bytes:
        return Cmac(self._noting).tag_one(text).hex().encode()

    def _damage_error(self) -> CorruptError:
        return CorruptError(f"{self.path} was changed after it was signed: {CURE}")


def _parse_header(path: Path, start: bytes, keys: KeyStore, tenant: str) -> ListHeader:
    """Parse and verify the header at the start of a file.

    Raises ConfigError if it is no customer registry, cut off, or of another version, tenant, key or
    signer, and CorruptError if bytes follow it.
    """
    place = len(MAGIC) + _LENGTH.size
    if len(start) < BODY or not start.startswith(MAGIC):
        raise ConfigError(f"{path} is not a customer registry, or is cut off: {CURE}")
    (length,) = _LENGTH.unpack_from(start, len(MAGIC))
    head, signature = start[place : place + length], start[place + length :][:SIGNATURE]
    if (version := read_claimed_version(head)) not in (None, VERSION):
        raise ConfigError(f"{path} has version {version}, this ullage reads {VERSION}: {CURE}")
    try:
        load_verify_key(keys, tenant).verify(signature, MAGIC + head)
    except InvalidSignature:
        raise ConfigError(
            f"{path} is not signed by the build host of {tenant} (verify.pub), or is"
            f" damaged: {CURE}"
        ) from None
    fields = read_json(head)
    if fields.get("version") != VERSION:
        raise ConfigError(
            f"{path} has version {fields.get('version')}, this ullage reads {VERSION}: {CURE}"
        )
    header = ListHeader(**fields)
    if any(start[place + length + SIGNATURE :]):
        raise CorruptError(f"{path} is damaged behind its header: {CURE}")
    if header.tenant != tenant:
        raise ConfigError(f"{path} is of tenant {header.tenant}, not {tenant}: {CURE}")
    if compute_check_value(keys.read(header.key), header.key) != header.check:
        raise ConfigError(
            f"{path} was built with another key than {keys.root / header.key}: {CURE}"
        )
    return header


@dataclass(slots=True)
class EnrolledLists:
    """The lists on this machine, opened at their first use and whenever they are replaced."""

    data: Path
    keys: KeyStore
    _opened: dict[str, tuple[tuple[int, int, int], VerifiedList]] = field(default_factory=dict)

    def tenants(self) -> list[str]:
        """List the tenants that have a list here."""
        return sorted(
            path.name.removesuffix(SUFFIX) for path in (self.data / FOLDER).glob(f"*{SUFFIX}")
        )

    def of(self, tenant: str, now: datetime) -> VerifiedList | None:
        """Return the list of a tenant's enrolled customers; None if there is none.

        An expired list counts as none, because it lacks customers who came since. The file is
        opened again when it has changed. Raises ConfigError or CorruptError if the list is damaged
        or forged.
        """
        path = path_of(self.data, tenant)
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            identity = status.st_ino, status.st_mtime_ns, status.st_size
            opened = self._opened.get(tenant)
            if opened is None or opened[0] != identity:
                opened = self._opened[tenant] = (identity, VerifiedList(path, self.keys, tenant))
            return opened[1] if datetime.fromisoformat(opened[1].header.expires) > now else None
        return None
