"""Copy the audit log to a syslog receiver, entry by entry, while services run.

    DATA/audit/syslog.json   the last delivered entry of each chain, and the current fault

One process of a data folder at a time does it, in a thread of its own: an audited action never
waits for the receiver. Entries are read from the chains after the last delivered one, so none is
left out while the receiver is away; after a broken connection or a restart the last ones may be
sent again, which number and digest reveal. If a chain does not contain the last delivered entry, it
is sent again from its beginning.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from ullage.audit.entry import HEAD, ORIGIN, AuditEntry, list_segments, read_head, read_line
from ullage.audit.syslog import Receiver, SyslogConnection, to_message
from ullage.clock import Backoff, Clock
from ullage.errors import CorruptError, UllageError, UnavailableError
from ullage.files.atomic_write import HeldError, take_lock, write_whole
from ullage.files.validation import read_claimed_version
from ullage.records.base import STRICT

FILE, VERSION = "syslog.json", 1
TURN_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
ACKNOWLEDGE_SECONDS = 15.0
MOST_ENTRIES = 500
"""Entries of one batch; the next batch is sent when it is delivered."""


class ForwardingState(BaseModel):
    """The content of the file.

    `delivered` holds number and digest of the last delivered entry of each chain.
    """

    model_config = STRICT

    version: int = VERSION
    fault: str = ""
    delivered: dict[str, tuple[int, str]] = Field(default_factory=dict)


def read_state(root: Path) -> ForwardingState:
    """Return how far the chains below `root` were delivered to the receiver.

    Nothing, if there is no record or it cannot be read: all entries are sent again then. Raises
    CorruptError if another version of ullage wrote it.
    """
    try:
        content = (root / FILE).read_bytes()
    except FileNotFoundError:
        return ForwardingState()
    if (version := read_claimed_version(content)) not in (None, VERSION):
        raise CorruptError(
            f"{root / FILE} has version {version}, and this ullage reads {VERSION}: use that"
            " version"
        )
    try:
        return ForwardingState.model_validate_json(content)
    except ValidationError:
        return ForwardingState()


def find_chains(root: Path) -> list[str]:
    """Return the names of the local chains, including those that this user may not read."""
    return sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def count_waiting(root: Path) -> int:
    """Count undelivered entries, over all chains that this user may read.

    A chain whose head is missing or damaged counts as 0. Raises CorruptError if another version
    wrote the file of what was delivered.
    """
    delivered, waiting = read_state(root).delivered, 0
    for chain in find_chains(root):
        with contextlib.suppress(OSError):
            if head := read_head(root / chain / HEAD):
                waiting += max(
                    0, head.seq - max(head.begins - 1, delivered.get(chain, (0, ORIGIN))[0])
                )
    return waiting


def find_fault(root: Path) -> str:
    """Return what keeps entries from being delivered, and how many wait; "" if nothing does."""
    try:
        fault = read_state(root).fault
        return f"{fault}; {count_waiting(root)} audit entries wait" if fault else ""
    except (UllageError, OSError) as error:
        return str(error)


@dataclass(slots=True)
class ChainReader:
    """A reader of the entries of one chain, in order.

    It begins after the entry with number `seq` and digest `last`.
    """

    folder: Path
    seq: int = 0
    last: str = ORIGIN
    _file: Path | None = None
    _offset: int = 0

    def read(self) -> list[AuditEntry]:
        """Return the next durable entries, at most `MOST_ENTRIES` (500).

        Raises CorruptError if the first of them is damaged, OSError if this user may not read the
        chain. Returns [] if nothing is new, or while the first entry is being written. A chain that
        was replaced (its last entry has another digest or its end is before the last one read) is
        read again from its beginning.
        """
        try:
            head = read_head(self.folder / HEAD)
        except FileNotFoundError:
            return []  # its first entry is being written
        if head is None:
            raise CorruptError(f"{self.folder / HEAD} is damaged: run `ullage audit verify`")
        if head.seq < self.seq:
            self._begin_again()
        entries = list[AuditEntry]()
        try:
            for entry in self._lines(head.seq):
                if entry.seq == self.seq and entry.digest != self.last:
                    self._begin_again()
                    return self.read()
                if entry.seq > self.seq:
                    self.seq, self.last = entry.seq, entry.digest
                    entries.append(entry)
                if len(entries) == MOST_ENTRIES:
                    break
        except CorruptError:
            if not entries:
                raise
        return entries

    def _begin_again(self) -> None:
        self.seq, self.last, self._file, self._offset = 0, ORIGIN, None, 0

    def _lines(self, until: int) -> Iterator[AuditEntry]:
        """Yield entries up to number `until`, continuing the last call.

        Later entries are not durable yet. Raises CorruptError behind a damaged entry.
        """
        files = list_segments(self.folder)
        if self._file not in files:
            before = [file for file in files if int(file.stem) <= self.seq]
            self._file, self._offset = (before or files)[-1 if before else 0], 0
        for path in files[files.index(self._file) :]:
            if path != self._file:
                self._file, self._offset = path, 0
            with path.open("rb") as file:
                file.seek(self._offset)
                for line in file:
                    entry = read_line(line)
                    if entry is None and line.endswith(b"\n"):
                        raise CorruptError(
                            f"{path} is damaged behind entry {self.seq}: run `ullage audit verify`"
                        )
                    if entry is None or entry.seq > until:
                        return
                    self._offset += len(line)
                    yield entry


@dataclass(slots=True)
class AuditForwarder:
    """Delivers the chains below `root` to a receiver."""

    root: Path
    receiver: Receiver
    clock: Clock
    _connection: SyslogConnection | None = None
    _readers: dict[str, ChainReader] = field(default_factory=dict)
    _in_flight: dict[str, tuple[int, str]] = field(default_factory=dict)
    _sent_at: float = 0.0

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set, and connect again after each failure.

        While another process of the folder holds the lock, it tries again every
        LONGEST_PAUSE_SECONDS (30 s). Errors of ullage and OSError are recorded and end nothing.
        """
        backoff, wait, lock = Backoff(cap=LONGEST_PAUSE_SECONDS), 0.0, -1
        path = self.root.parent / "locks" / "audit-syslog.lock"
        while not stop.wait(wait):
            try:
                lock = take_lock(path, "the audit log is being sent") if lock < 0 else lock
                self.turn()
                wait = TURN_SECONDS
                backoff.reset()
            except HeldError:
                wait = LONGEST_PAUSE_SECONDS
            except (UllageError, OSError) as error:
                wait = backoff.next()
                self.fail(error)
        self._disconnect()
        if lock >= 0:
            os.close(lock)

    def turn(self) -> None:
        """Record what the last call delivered, and send new entries, one batch at a time.

        Connects if necessary. Returns without sending while a batch is in transit. Raises
        UnavailableError if the receiver accepts none of it for ACKNOWLEDGE_SECONDS (15 s) or cannot
        be reached. A chain that cannot be read does not raise: it is recorded as a fault.
        """
        if self._connection is None:
            self._connection = self.receiver.connect()
        is_acknowledged = self._connection.is_acknowledged()
        if self._in_flight and not is_acknowledged:
            if self.clock.monotonic() - self._sent_at > ACKNOWLEDGE_SECONDS:
                raise UnavailableError(
                    f"{self.receiver.where} accepts nothing: check that it runs and has room"
                )
            return
        state = read_state(self.root)
        delivered, self._in_flight = {**state.delivered, **self._in_flight}, {}
        faults = self._send(self._connection, delivered)
        self._write(state, ForwardingState(fault="; ".join(faults), delivered=delivered))

    def fail(self, error: Exception) -> None:
        """Record why nothing is delivered; the batch in flight is sent again."""
        self._disconnect()
        with contextlib.suppress(UllageError, OSError):
            state = read_state(self.root)
            self._write(state, state.model_copy(update={"fault": str(error)}))

    def _send(
        self, connection: SyslogConnection, delivered: dict[str, tuple[int, str]]
    ) -> list[str]:
        """Send the next entries of each chain; return the faults of chains that cannot be read."""
        faults, host = list[str](), socket.gethostname()
        for chain in find_chains(self.root):
            reader = self._readers.setdefault(
                chain, ChainReader(self.root / chain, *delivered.get(chain, (0, ORIGIN)))
            )
            try:
                entries = reader.read()
            except (CorruptError, OSError) as error:
                faults.append(str(error))
                continue
            if entries:
                connection.send(to_message(chain, entry, host) for entry in entries)
                self._in_flight[chain] = reader.seq, reader.last
                self._sent_at = self.clock.monotonic()
        return faults

    def _write(self, before: ForwardingState, state: ForwardingState) -> None:
        if state != before:
            write_whole(state.model_dump_json().encode() + b"\n", self.root / FILE)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._readers, self._in_flight = None, {}, {}
