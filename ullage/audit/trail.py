"""Append entries to a chain of the audit log (`ullage.audit` explains chains).

`Trail.append` first writes the entry and then the *head*, which says where the chain ends, each
durably. A crash may happen between any two steps: bytes beyond the head are either a complete
entry, which is kept, or the beginning of one, which the next append removes. So an entry is durable
with its file, and a head that a loss of power reverts loses nothing.

    0000000001.jsonl   entry 1 … entry 8 │ entry 9 │ begin of ent
                                         ↑ head: size, number 8
                       kept: entry 9, complete and genuine; removed: the rest

The *mark* is a file beside the chain's key (`keys/audit/CHAIN.mark`), or beside the chain's folder
if the key is no file, and is signed under that key. It is written in place after every entry
without waiting for the disk: the entry it names is already durable, so after a crash the mark may
lag but is never ahead. It is created, durably, before the key, so where the key exists without a
mark, the mark was removed. A damaged chain raises CorruptError, a lost key ConfigError, a failing
disk UnavailableError; then nothing is written, and the caller must not make the change.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Never

from pydantic import ValidationError

from ullage.audit.entry import (
    GAP,
    HEAD,
    ORIGIN,
    AuditEntry,
    ChainHead,
    Seen,
    SignedRecord,
    list_segments,
    read_head,
    read_line,
    refuse_other_version,
    segment_path,
)
from ullage.clock import Clock
from ullage.errors import ConfigError, CorruptError
from ullage.files.atomic_write import disk_errors, wait_for_lock, write_through, write_whole
from ullage.inventory import KEYS
from ullage.lookup.values import identifier_in
from ullage.running_time import DAY_SECONDS, RunningTime
from ullage.security.keys import KEY_BYTES, KeyStore

FOLDER = "audit"
"""Folder of the chains in the data folder, and of their keys among the keys."""
ENDING = ".mark"
SIZE = 512
"""A sector, which a disk writes completely or not at all."""
TRIES = 3
MOST = 10**9
"""No chain has more entries; a larger number is invalid."""


class Mark(SignedRecord):
    """Number and digest of the last entry written."""

    purpose = "mark"

    seq: int = 0
    last: str = ORIGIN


def to_key_name(chain: str) -> str:
    """Return the name of a chain's key in the key store."""
    return f"{FOLDER}/{chain}.key"


def find_mark_path(root: Path, keys: KeyStore, chain: str) -> Path:
    """Return the path of the mark of a chain under `root`."""
    beside = keys.root / FOLDER
    return (beside if beside.is_dir() else root) / f"{chain}{ENDING}"


def read_mark(path: Path, key: bytes) -> Mark | None:
    """Return the mark at `path`.

    Returns None if there is no file, or none that was written under `key`. It is read up to TRIES
    (3) times, because it may be being written.
    """
    for _ in range(TRIES):  # it is written in place, perhaps now
        try:
            mark = Mark.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            continue
        if mark.is_genuine(key):
            return mark
    return None


def write_mark(path: Path, mark: Mark, key: bytes) -> None:
    """Write the mark, signed under `key`.

    An existing file of the right size is overwritten in place, and not synced; a new file (0600,
    with its folder) is durable on return.
    """
    line = (
        mark.model_copy(update={"digest": mark.compute_digest(key)})
        .to_line()
        .rstrip()
        .ljust(SIZE - 1)
        + b"\n"
    )
    if not path.exists() or path.stat().st_size != SIZE:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(line, path)
        return
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(handle, line, 0)
    finally:
        os.close(handle)


def read_heads(root: Path, chain: str) -> Iterator[tuple[str, ChainHead]]:
    """Yield the name and head of each other chain that this user may read.

    They have other keys, so they are not verified.
    """
    for folder in sorted(root.iterdir()):
        try:
            head = read_head(folder / HEAD) if folder.name != chain else None
        except OSError:
            continue
        if head is not None:
            yield folder.name, head


MAX_SEGMENT = 16 * 1024 * 1024
MAX_TEXT = 500
LONGEST_LINE = 8 * 1024


def current_user() -> str:
    """Return the operating system's name of the current user, as in `uid 1000` if it has none.

    The environment has no influence.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the current request, which its entries contain; "" outside a request."""


class PendingEntry(NamedTuple):
    """An entry to record, with the arguments of `Trail.append`.

    `request` is set if several requests are recorded together.
    """

    action: str
    object_: str
    actor: str
    tenant: str = ""
    reason: str = ""
    request: str = ""


@dataclass(frozen=True, slots=True)
class Trail:
    """Appends to one chain under the folder `root`.

    Files older than `keep_days` are deleted when a new one begins.
    """

    root: Path
    chain: str
    keys: KeyStore
    clock: Clock
    keep_days: float = 1095.0
    max_segment: int = MAX_SEGMENT

    def append(
        self, action: str, object_: str, *, actor: str, tenant: str = "", reason: str = ""
    ) -> AuditEntry:
        """Record a change; durable on return, so call it before the change is made.

        `object_` is ours: a kind of thing, ids, counts. The name `actor` and the text `reason`,
        which people typed, must not contain an identifier. Raises ConfigError if one does or the
        key is lost, CorruptError if the chain is damaged, UnavailableError if the disk fails;
        nothing is written then.
        """
        return self.append_all([PendingEntry(action, object_, actor, tenant, reason)])[0]

    def append_all(self, noted: Sequence[PendingEntry]) -> list[AuditEntry]:
        """Record one or more entries at the cost of one, and return them.

        On return either all of them are durable or none is. Errors are those of `append`. Raises
        ConfigError if a text contains what looks like an identifier.
        """
        typed = dict.fromkeys(
            pair for entry in noted for pair in (("name", entry.actor), ("reason", entry.reason))
        )
        for name, text in typed:
            if what := identifier_in(text):
                raise ConfigError(
                    f"the {name} contains what looks like {what}, which the audit log must"
                    " not keep: remove it"
                )
        self.keys.inventory.begin()
        with disk_errors(f"audit chain {self.root / self.chain}"), self._lock_chain() as folder:
            files = list_segments(folder)
            key = self._load_key(is_new=not files)
            head, other_heads = (
                self._find_end(folder, files, key),
                dict(read_heads(self.root, self.chain)),
            )
            is_first = not head.seq
            head, gap = self._skip_gap(head, key, other_heads)
            now = self.clock.now()
            if not gap and head.seq >= head.begins and self._is_full(files[-1], head, now):
                head = self._delete_expired(folder, files, head, key)
            positions = {
                name: (chain_head.seq, chain_head.last) for name, chain_head in other_heads.items()
            }
            news = {name: last for name, last in positions.items() if head.seen.get(name) != last}
            gap_entries = [PendingEntry(GAP, gap, current_user())] if gap else []
            entries = _make_entries(head, [*gap_entries, *noted], news, now, key)
            # a size of 0 asks for a new file
            path = files[-1] if head.size else segment_path(folder, entries[0].seq)
            self._write(
                path, head.model_copy(update={"seen": {**head.seen, **positions}}), entries, key
            )
            self._write_mark(Mark(seq=entries[-1].seq, last=entries[-1].digest), key)
            if is_first:
                self.keys.inventory.enter(self.root / self.chain)
            return entries[len(gap_entries) :]

    def _load_key(self, *, is_new: bool) -> bytes:
        """Return the chain's key, created with its first entry unless it comes from elsewhere.

        The mark is created first: a key without a mark means that the mark was removed. With a key
        from a command or a credential, the mark is created here if the chain `is_new` (has no
        files) and the inventory does not list it. Raises ConfigError if the key is lost.
        """
        name = to_key_name(self.chain)
        if self.keys.has_command or self.keys.is_available(name):
            key = self.keys.read(name)
            is_first = is_new and not self.keys.exists(name)
            if is_first and not self.keys.inventory.lists(self.root / self.chain):
                self._begin_mark(key)
            return key
        self.keys.inventory.refuse_lost(f"{KEYS}{name}")
        key = secrets.token_bytes(KEY_BYTES)
        (self.keys.root / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._write_mark(Mark(), key)
        self.keys.write(name, key)
        return key

    def _begin_mark(self, key: bytes) -> None:
        """Create the mark of a chain without entries, unless there is one."""
        if not find_mark_path(self.root, self.keys, self.chain).exists():
            self._write_mark(Mark(), key)

    def _write_mark(self, mark: Mark, key: bytes) -> None:
        write_mark(find_mark_path(self.root, self.keys, self.chain), mark, key)

    def _skip_gap(
        self, head: ChainHead, key: bytes, others: Mapping[str, ChainHead]
    ) -> tuple[ChainHead, str]:
        """Return the head to continue from, and the text of a gap entry, "" if there is no gap.

        If entries are known to be gone, the chain continues after the last known number:
        numbers are not given twice, so the gap shows in every later verification.
        """
        mark = read_mark(find_mark_path(self.root, self.keys, self.chain), key)
        last_known = max(
            [
                (mark.seq, mark.last) if mark else (0, ORIGIN),
                *_list_reported_ends(self.chain, others),
            ]
        )
        skipped = head.model_copy(update={"seq": last_known[0], "last": last_known[1], "size": 0})
        if last_known[0] > head.seq:
            return (
                skipped,
                (
                    f"chain {self.chain}: entries {head.seq + 1} to {last_known[0]} were written"
                    " before and are gone"
                ),
            )
        if head.seq:
            removed = (
                f"chain {self.chain}: its high-water mark was taken away after entry {head.seq} or"
                " before"
            )
            return head, "" if mark is not None else removed
        if not self.keys.inventory.lists(self.root / self.chain):
            return head, ""
        unknown = (
            f"chain {self.chain}: it is gone with its high-water mark, and how long it was is not"
            " known"
        )
        return skipped.model_copy(update={"seq": 1}), unknown

    @contextlib.contextmanager
    def _lock_chain(self) -> Iterator[Path]:
        """Yield the chain's folder, while nobody else appends to it."""
        folder = self.root / self.chain
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with wait_for_lock(folder / "lock"):
            yield folder

    def _find_end(self, folder: Path, files: Sequence[Path], key: bytes) -> ChainHead:
        """Return the head that matches the files now.

        Complete entries beyond the stored head are included, and an incomplete one is removed.
        Raises ConfigError if the files were written under another key.
        """
        refuse_other_version(folder)
        try:
            head = read_head(folder / HEAD)
        except FileNotFoundError:
            return self._find_end_without_head(files, key)
        if head is None or not head.is_genuine(key):
            if head and files and _has_other_key(files[-1], key):
                name = self.keys.root / to_key_name(self.chain)
                raise ConfigError(
                    f"{folder} was written under another key than {name}: restore that key from its"
                    " copy"
                )
            self._raise_damaged("head.json was changed")
        owned = [file for file in files if int(file.stem) <= head.seq]
        if not owned or owned[-1].stat().st_size < head.size:
            self._raise_damaged("entries are missing at its end")
        last = _read_entry_before(owned[-1], head.size)
        if last is None or last.digest != head.last:
            self._raise_damaged("its last entry was changed")
        for file in files[len(owned) - 1 :]:
            head = _extend_head(head, file, 0 if file != owned[-1] else head.size, key)
        return head

    def _find_end_without_head(self, files: Sequence[Path], key: bytes) -> ChainHead:
        """Return the head of a chain without a stored head.

        The chain is new, or a crash came before its first head; complete entries in its files are
        then included. Raises CorruptError (by `_raise_damaged`) if the head was removed, which the
        mark shows.
        """
        head = ChainHead(seq=0, last=ORIGIN, size=0)
        if not files:
            return head
        mark = read_mark(find_mark_path(self.root, self.keys, self.chain), key)
        if mark is None or int(files[0].stem) <= mark.seq:
            self._raise_damaged("head.json is missing")
        head = head.model_copy(update={"seq": mark.seq, "last": mark.last})
        for file in files:
            head = _extend_head(head, file, 0, key)
        return head

    def _raise_damaged(self, what: str) -> Never:
        raise CorruptError(
            f"audit chain {self.root / self.chain}: {what}; if a newer ullage wrote it, use that"
            " version; else run `ullage audit verify`, then move the folder away as evidence"
        )

    def _is_full(self, path: Path, head: ChainHead, now: datetime) -> bool:
        """Return whether the next entry begins a new file.

        It does in another month, or if the current file is large.
        """
        if head.size >= self.max_segment:
            return True
        with path.open("rb") as file:
            first = read_line(file.readline())
        return first is not None and (first.at.year, first.at.month) != (now.year, now.month)

    def _delete_expired(
        self, folder: Path, files: Sequence[Path], head: ChainHead, key: bytes
    ) -> ChainHead:
        """Delete files older than the retention; return the head for a new file.

        Nothing is deleted while the clocks disagree, and the last file never is. The head is stored
        before the files are deleted.
        """
        head = head.model_copy(update={"size": 0})
        old = (
            RunningTime(self.root.parent, self.clock, self.keys.inventory)
            .read()
            .older(self.keep_days * DAY_SECONDS)
        )
        gone = list[Path]()
        for file, following in zip(files, [*files[1:], None], strict=True):
            end = _read_first_entry(following) if following else None
            if end is None or end.at not in old:
                break
            gone.append(file)
            head = head.model_copy(update={"begins": end.seq, "before": end.previous})
        # the head must say so first: a file that is gone and still expected would look like
        # tampering
        if gone:
            current = head.model_copy(update={"size": files[-1].stat().st_size})
            self._put_head(folder, current, key)
            for file in gone:
                file.unlink()
        return head

    def _write(
        self, path: Path, head: ChainHead, entries: Sequence[AuditEntry], key: bytes
    ) -> None:
        """Write entries, then head, each durable before the next step.

        For a new file, its name and that of the head become durable too. Raises OSError if the disk
        fails; the entries are then removed again as far as possible.
        """
        start = path.stat().st_size if path.exists() else 0
        try:
            with os.fdopen(
                os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "ab"
            ) as file:
                write_through(file, b"".join(entry.to_line() for entry in entries))
                size = file.tell()
        except OSError:
            # after a sync that failed it may be readable and on no disk, for good
            with contextlib.suppress(OSError):
                os.truncate(path, start)
            raise
        last, is_new = entries[-1], start == 0
        head = head.model_copy(update={"seq": last.seq, "last": last.digest, "size": size})
        self._put_head(path.parent, head, key, lasts=is_new)

    @staticmethod
    def _put_head(folder: Path, head: ChainHead, key: bytes, *, lasts: bool = True) -> None:
        write_whole(
            head.model_copy(update={"digest": head.compute_digest(key)}).to_line(),
            folder / HEAD,
            lasts=lasts,
        )


def _list_reported_ends(chain: str, others: Mapping[str, ChainHead]) -> Iterator[tuple[int, str]]:
    """Yield what the other chains say about how far this one has reached."""
    for head in others.values():
        seq, last = head.seen.get(chain, (0, ORIGIN))
        if 0 < seq < MOST:
            yield seq, last


def _make_entries(
    head: ChainHead, noted: Iterable[PendingEntry], news: Seen, now: datetime, key: bytes
) -> list[AuditEntry]:
    """Return one entry for each of `noted`, in order, chained after `head` and signed under `key`.

    Nothing is written. The first entry says how far other chains have reached (`news`), if that has
    changed. Reasons are cut to MAX_TEXT (500) characters.
    """
    entries, seq, last = list[AuditEntry](), head.seq, head.last
    for pending in noted:
        entry = AuditEntry(
            seq=seq + 1, at=now, actor=pending.actor, action=pending.action, object=pending.object_,
            tenant=pending.tenant,
            reason=pending.reason[:MAX_TEXT], request=pending.request or REQUEST.get(),
            previous=last,
            seen={} if entries else news,
        )  # fmt: skip
        entry = entry.model_copy(update={"digest": entry.compute_digest(key)})
        entries.append(entry)
        seq, last = entry.seq, entry.digest
    return entries


def _read_entry_before(path: Path, end: int) -> AuditEntry | None:
    """Return the entry whose line ends at byte `end`."""
    with path.open("rb") as file:
        start = max(0, end - LONGEST_LINE)
        file.seek(start)
        lines = file.read(end - start).splitlines(keepends=True)
    return read_line(lines[-1]) if lines else None


def _extend_head(head: ChainHead, path: Path, start: int, key: bytes) -> ChainHead:
    """Return `head` extended by the complete entries after byte `start` of a file.

    The first line that is cut short, changed or not the next entry is removed from the file with
    everything behind it, durably.
    """
    with path.open("r+b") as file:
        file.seek(start)
        for line in file.read().splitlines(keepends=True):
            entry = read_line(line)
            if (
                entry is None
                or (entry.seq, entry.previous) != (head.seq + 1, head.last)
                or not entry.is_genuine(key)
            ):
                file.truncate(start)
                os.fsync(file.fileno())
                break
            start += len(line)
            head = head.model_copy(update={"seq": entry.seq, "last": entry.digest, "size": start})
    return head


def _has_other_key(path: Path, key: bytes) -> bool:
    """Return whether a file has entries, and none is genuine under `key`."""
    entries = [
        entry for entry in map(read_line, path.read_bytes().splitlines(keepends=True)) if entry
    ]
    return bool(entries) and not any(entry.is_genuine(key) for entry in entries)


def _read_first_entry(path: Path) -> AuditEntry | None:
    with path.open("rb") as file:
        return read_line(file.readline())
