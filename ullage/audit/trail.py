"""Appending to a chain.

The mark lies beside the chain's key (`keys/audit/CHAIN.mark`), or beside the chain's folder where
the key is no file, and is signed under that key. It is written in place after every entry and not
waited for: what it names is durable before, so after a crash it may lag and is never ahead. It is
made, durably, before the key is, so where the key is and no mark it was taken away.

A crash may come between any two steps. The entry is written first and the head after it, so what is
in the file beyond the head is either a whole entry, which stands, or the beginning of one, which
the next append takes away. So an entry is durable with its file, and a head that a loss of power
takes back to an earlier one loses nothing.
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
    read_head,
    read_line,
    refuse_other_version,
    segment,
    segments,
)
from ullage.clock import Clock
from ullage.errors import ConfigError, CorruptError
from ullage.files.atomic_write import disk_errors, turn, write_through, write_whole
from ullage.inventory import KEYS
from ullage.lookup.values import identifier_in
from ullage.running_time import DAY_SECONDS, RunningTime
from ullage.security.keys import KEY_BYTES, KeyStore

FOLDER = "audit"
"""The folder of the chains in the data folder, and of their keys among the keys."""
ENDING = ".mark"
SIZE = 512
"""A sector, which a disk writes whole or not at all."""
TRIES = 3
MOST = 10**9
"""No chain has more entries: whatever says so is no number of one."""


class Mark(SignedRecord):
    """The last entry that was written, by number and digest."""

    purpose = "mark"

    seq: int = 0
    last: str = ORIGIN


def key_name(chain: str) -> str:
    """What the key of a chain is called."""
    return f"{FOLDER}/{chain}.key"


def path_of(root: Path, keys: KeyStore, chain: str) -> Path:
    """Where the mark of a chain under `root` lies."""
    beside = keys.root / FOLDER
    return (beside if beside.is_dir() else root) / f"{chain}{ENDING}"


def read(path: Path, key: bytes) -> Mark | None:
    """Return the mark, None where there is none that was written under `key`."""
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


def write(path: Path, mark: Mark, key: bytes) -> None:
    """Put the mark in its place; one that was not there is durable on return."""
    line = (
        mark.model_copy(update={"digest": mark.signed(key)}).line().rstrip().ljust(SIZE - 1) + b"\n"
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


def heads(root: Path, chain: str) -> Iterator[tuple[str, ChainHead]]:
    """The heads of the other chains, as far as this user may read them; they are another key's,
    so they are not verified.
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
    """The operating system's name of whoever runs this command; its number where it has none.

    Not from the environment.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the request in hand, which its entries carry; "" outside of one."""


class PendingEntry(NamedTuple):
    """What is to be recorded, as `Trail.append` takes it; `request` is given where several
    requests are recorded together.
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

    Files wholly older than `keep_days` go when a new one begins.
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

        `object_` is ours: a kind of thing, ids, counts. What people typed is looked through:
        ConfigError when it holds what looks like an identifier, CorruptError when the chain is
        damaged; nothing is written then. UnavailableError when the disk fails.
        """
        return self.append_all([PendingEntry(action, object_, actor, tenant, reason)])[0]

    def append_all(self, noted: Sequence[PendingEntry]) -> list[AuditEntry]:
        """Record several, at least one, for what one costs: all of them are durable on return,
        or none is.
        """
        typed = dict.fromkeys(
            said for one in noted for said in (("name", one.actor), ("reason", one.reason))
        )
        for name, text in typed:
            if what := identifier_in(text):
                raise ConfigError(
                    f"the {name} holds what looks like {what}: the audit log keeps no such thing"
                )
        self.keys.inventory.begin()
        with disk_errors(f"audit chain {self.root / self.chain}"), self._alone() as folder:
            key, files = self._key(), segments(folder)
            head, others = self._end(folder, files, key), dict(heads(self.root, self.chain))
            is_first = not head.seq
            head, gap = self._beyond(head, key, others)
            now = self.clock.now()
            if not gap and head.seq >= head.begins and self._is_full(files[-1], head, now):
                head = self._pruned(folder, files, head, key)
            seen = {name: (one.seq, one.last) for name, one in others.items()}
            news = {name: last for name, last in seen.items() if head.seen.get(name) != last}
            told = [PendingEntry(GAP, gap, current_user())] if gap else []
            entries = _following(head, [*told, *noted], news, now, key)
            # a size of 0 asks for a new file
            path = files[-1] if head.size else segment(folder, entries[0].seq)
            self._write(path, head.model_copy(update={"seen": {**head.seen, **seen}}), entries, key)
            self._mark(Mark(seq=entries[-1].seq, last=entries[-1].digest), key)
            if is_first:
                self.keys.inventory.enter(self.root / self.chain)
            return entries[len(told) :]

    def _key(self) -> bytes:
        """The chain's key, made with its first entry unless a key command or a credential gives it;
        ConfigError where it is lost.

        The mark is made before it: where there is a key and no mark, there was one.
        """
        name = key_name(self.chain)
        if self.keys.has_command or self.keys.is_here(name):
            return self.keys.read(name)
        self.keys.inventory.refuse_lost(f"{KEYS}{name}")
        key = secrets.token_bytes(KEY_BYTES)
        (self.keys.root / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._mark(Mark(), key)
        self.keys.write(name, key)
        return key

    def _mark(self, mark: Mark, key: bytes) -> None:
        write(path_of(self.root, self.keys, self.chain), mark, key)

    def _beyond(
        self, head: ChainHead, key: bytes, others: Mapping[str, ChainHead]
    ) -> tuple[ChainHead, str]:
        """`head`, or what the next entry follows where entries are known to be gone, and what an
        entry is to tell of that.

        Numbers that were given once are not given again, so the gap shows in every later walk.
        """
        mark = read(path_of(self.root, self.keys, self.chain), key)
        known = max([(mark.seq, mark.last) if mark else (0, ORIGIN), *_told_of(self.chain, others)])
        beyond = head.model_copy(update={"seq": known[0], "last": known[1], "size": 0})
        if known[0] > head.seq:
            return (
                beyond,
                (
                    f"chain {self.chain}: entries {head.seq + 1} to {known[0]} were written before"
                    " and are gone"
                ),
            )
        if head.seq:
            taken = (
                f"chain {self.chain}: its high-water mark was taken away after entry {head.seq} or"
                " before"
            )
            return head, "" if mark is not None else taken
        if not self.keys.inventory.lists(self.root / self.chain):
            return head, ""
        unknown = (
            f"chain {self.chain}: it is gone with its high-water mark, and how long it was is not"
            " known"
        )
        return beyond.model_copy(update={"seq": 1}), unknown

    @contextlib.contextmanager
    def _alone(self) -> Iterator[Path]:
        """The chain's folder, while nobody else appends to it."""
        folder = self.root / self.chain
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with turn(folder / "lock"):
            yield folder

    def _end(self, folder: Path, files: Sequence[Path], key: bytes) -> ChainHead:
        """Where the chain ends now, whole entries beyond the head included and the beginning of
        another taken away.
        """
        refuse_other_version(folder)
        try:
            head = read_head(folder / HEAD)
        except FileNotFoundError:
            return self._unheaded(files, key)
        if head is None or not head.is_genuine(key):
            if head and files and _is_of_another_key(files[-1], key):
                name = self.keys.root / key_name(self.chain)
                raise ConfigError(
                    f"{folder} was written under another key than {name}: restore that key from its"
                    " copy"
                )
            self._damaged("head.json is not what was written")
        owned = [file for file in files if int(file.stem) <= head.seq]
        if not owned or owned[-1].stat().st_size < head.size:
            self._damaged("entries are missing at its end")
        last = _line_before(owned[-1], head.size)
        if last is None or last.digest != head.last:
            self._damaged("its last entry is not what was written")
        for file in files[len(owned) - 1 :]:
            head = _grown(head, file, 0 if file != owned[-1] else head.size, key)
        return head

    def _unheaded(self, files: Sequence[Path], key: bytes) -> ChainHead:
        """Where a chain without a head ends: it is new, or a crash came before its first one, or
        else the head was taken away.
        """
        head = ChainHead(seq=0, last=ORIGIN, size=0)
        if not files:
            return head
        mark = read(path_of(self.root, self.keys, self.chain), key)
        if mark is None or int(files[0].stem) <= mark.seq:
            self._damaged("head.json is gone")
        head = head.model_copy(update={"seq": mark.seq, "last": mark.last})
        for file in files:
            head = _grown(head, file, 0, key)
        return head

    def _damaged(self, what: str) -> Never:
        raise CorruptError(
            f"audit chain {self.root / self.chain}: {what}; if a newer ullage wrote it, use that"
            " version; else run `ullage audit verify`, then move the folder away as evidence"
        )

    def _is_full(self, path: Path, head: ChainHead, now: datetime) -> bool:
        """Whether the next entry begins a new file: another month, or enough in this one."""
        if head.size >= self.max_segment:
            return True
        with path.open("rb") as file:
            first = read_line(file.readline())
        return first is not None and (first.at.year, first.at.month) != (now.year, now.month)

    def _pruned(
        self, folder: Path, files: Sequence[Path], head: ChainHead, key: bytes
    ) -> ChainHead:
        """The head for a new file; files that end before the retention are gone, and the chain
        then begins behind them.
        """
        head = head.model_copy(update={"size": 0})
        old = (
            RunningTime(self.root.parent, self.clock, self.keys.inventory)
            .read()
            .older(self.keep_days * DAY_SECONDS)
        )
        gone = list[Path]()
        for file, following in zip(files, [*files[1:], None], strict=True):
            end = _first_of(following) if following else None
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
        """Entries, then head, each on disk before the next step; of a new file the name too, and
        that there is a head.
        """
        start = path.stat().st_size if path.exists() else 0
        try:
            with os.fdopen(
                os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "ab"
            ) as file:
                write_through(file, b"".join(entry.line() for entry in entries))
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
            head.model_copy(update={"digest": head.signed(key)}).line(), folder / HEAD, lasts=lasts
        )


def _told_of(chain: str, others: Mapping[str, ChainHead]) -> Iterator[tuple[int, str]]:
    """What the other chains say of how far this one had gone."""
    for head in others.values():
        seq, last = head.seen.get(chain, (0, ORIGIN))
        if 0 < seq < MOST:
            yield seq, last


def _following(
    head: ChainHead, noted: Iterable[PendingEntry], news: Seen, now: datetime, key: bytes
) -> list[AuditEntry]:
    """The entries behind `head`; the first says how far other chains have gone, if that is news."""
    entries, seq, last = list[AuditEntry](), head.seq, head.last
    for one in noted:
        entry = AuditEntry(
            seq=seq + 1, at=now, actor=one.actor, action=one.action, object=one.object_,
            tenant=one.tenant,
            reason=one.reason[:MAX_TEXT], request=one.request or REQUEST.get(), previous=last,
            seen={} if entries else news,
        )  # fmt: skip
        entry = entry.model_copy(update={"digest": entry.signed(key)})
        entries.append(entry)
        seq, last = entry.seq, entry.digest
    return entries


def _line_before(path: Path, end: int) -> AuditEntry | None:
    """The entry whose line ends at byte `end`."""
    with path.open("rb") as file:
        start = max(0, end - LONGEST_LINE)
        file.seek(start)
        lines = file.read(end - start).splitlines(keepends=True)
    return read_line(lines[-1]) if lines else None


def _grown(head: ChainHead, path: Path, start: int, key: bytes) -> ChainHead:
    """`head` with the whole entries behind byte `start` of a file; what is cut short by a crash
    is taken away.
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


def _is_of_another_key(path: Path, key: bytes) -> bool:
    """Whether no entry of a file is genuine under `key`, and there are some."""
    entries = [
        entry for entry in map(read_line, path.read_bytes().splitlines(keepends=True)) if entry
    ]
    return bool(entries) and not any(entry.is_genuine(key) for entry in entries)


def _first_of(path: Path) -> AuditEntry | None:
    with path.open("rb") as file:
        return read_line(file.readline())
