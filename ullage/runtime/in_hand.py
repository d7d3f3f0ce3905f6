"""Record which bus records a consumer is handling, so that a poison record can be quarantined.

A record may kill the process that reads it: a crash in a library, lack of memory, an endless
loop. It would be delivered again forever, and block all records behind it. So each process
notes the places of the records that it is about to handle (without fsync, because the note need
not survive the machine). After a death, the next process handles those records one at a time. A
record at which the process died twice *by its own fault*, while it was *alone* in hand, is
poison: the worker quarantines it.

A death counts only if there is evidence that the process itself caused it:

- a crash (SIGSEGV, SIGABRT, …): the process leaves a trace in the note (`record_crashes`), or the
  supervisor saw the signal;
- the watchdog's alarm, which leaves a trace too, while records were being read: a write may wait
  for somebody else;
- an exit without a message, such as a library's `exit(1)`: the supervisor saw the code;
- lack of memory, which the process reports itself. A suspect that is alone may use the free
  memory and no more, so it ends in a MemoryError and not in the kernel's SIGKILL, which looks
  like anybody's.

For a suspect the note also names the piece of its text and the part of matching at work
(`trace`). If a process died there, the next one skips that part for that piece, so that the
record still gives all remaining results.

Other deaths do not count: SIGKILL, which anybody may send, and which the kernel sends when
another process takes the memory; a loss of power; and anything after a request to stop. A record
that is alone in hand at such deaths proves nothing. After `UNEXPLAINED` of them it is
quarantined all the same, so that it does not block the records behind it forever.

The notes of one group on one topic are stored together in the data folder. A process locks its
note while it lives. With several consumers, as with Kafka, the one that receives a dead one's
records finds its note. On another machine the count starts again.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import json
import os
import secrets
import signal
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ullage import log
from ullage.bus import Record
from ullage.errors import ConfigError
from ullage.files.atomic_write import wait_for_lock, write_whole
from ullage.runtime.memory import limit_to_free_memory

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

FOLDER = "in-hand"
DEATHS, UNEXPLAINED, IN_PARTS = 2, 30, 8
"""Deaths alone in hand after which a record is quarantined.

They are by its own fault, for no known reason, and in parts that are skipped.
"""
READING = ""
"""The part of a process that is in no part."""
PART_SECONDS = 300.0
"""Time limit for a suspect's piece, a window of some megabytes.

It detects an endless loop.
"""
NOTE_BYTES = 64 * 1024
"""Space for a note, which is shorter; the trace of a crash follows it in the file."""
FATAL = b"Fatal Python error"
"""How the trace of a crash begins; that of the watchdog's alarm begins differently."""
CRASHES = frozenset(
    -number
    for number in (
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGABRT,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGSYS,
        signal.SIGTRAP,
    )
)
"""Exit codes of a process that was ended by a signal of its own."""
SETTLED_NS = 100_000_000
"""Age at which a folder's time of change is reliable.

File systems keep time in steps of milliseconds, so a later change may not show before.
"""
Span = tuple[int, int, int]
"""A partition, and the first and last offset of a range in it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of a death from outside the process.

    `supervisor` is the pid of the supervisor, 0 for none. `exit_code` is the code with which it saw
    this service's last process end, as `subprocess.Popen.returncode`, 0 for no such process.
    """

    supervisor: int = 0
    exit_code: int = 0

    def to_note(self) -> dict[str, Any]:
        """Return the fields to write into a note."""
        return {"boot": _boot(), "supervisor": _process(self.supervisor)}

    def cause(self, note: dict[str, Any], trace: bytes) -> str:
        """Return why the process died that left `note` and `trace`.

        `itself` is a fault of its own, such as a crash; `outside` is known not to be, such as a
        restart of the machine; `unexplained` may be either.
        """
        supervisor, reading = note["supervisor"], note["phase"] == "reading"
        if note["boot"] != _boot():
            return "outside"
        exit_code = (
            self.exit_code if self.supervisor and supervisor == _process(self.supervisor) else 0
        )
        crashed = trace.startswith(FATAL) or exit_code in CRASHES
        ended = bool(trace) or exit_code > 0 or exit_code == -signal.SIGALRM
        if note["said"] or (crashed and note["phase"] != "stopping") or (ended and reading):
            return "itself"
        is_lone_death = not supervisor or supervisor == _process(supervisor[0])
        return "unexplained" if is_lone_death and reading else "outside"


@dataclass(slots=True)
class InHand:
    """The notes of one group on one topic in `folder`.

    The process is ended if it handles records for more than `watchdog` seconds. `stop` is the event
    that asks this process to stop.
    """

    folder: Path
    name: str
    surroundings: Surroundings = field(default_factory=Surroundings)
    watchdog: float = 0.0
    stop: threading.Event | None = None
    _path: Path = field(init=False)
    _file: int = field(init=False)
    _note: dict[str, Any] = field(init=False)
    _suspects: list[Span] = field(default_factory=list)
    _deaths: dict[str, list[str]] = field(default_factory=dict)
    """Notes of processes that died by their own fault with only one record, by its place."""
    _unexplained: dict[str, list[str]] = field(default_factory=dict)
    """Notes of such processes that died for no known reason."""
    _parts: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """Pieces and parts in which such processes died, by place of the record."""
    _read_at: tuple[int, int] = (0, 0)
    _others: list[Path] = field(default_factory=list)
    """Notes of other processes, as of the time `_changed` of the folder.

    That time changes whenever a note or the list of suspects does.
    """
    _changed: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = self.folder / f"{self.name}.{secrets.token_hex(8)}.note"
        with wait_for_lock(self._lock):
            self._file = os.open(
                self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
            )
            fcntl.flock(self._file, fcntl.LOCK_EX)
        self._note = {
            "at": [],
            "alone": False,
            "phase": "",
            "said": "",
            "piece": 0,
            "part": READING,
            **self.surroundings.to_note(),
        }
        self._adopt()
        if self.stop is not None:
            threading.Thread(target=self._await_stop, args=(self.stop,), daemon=True).start()

    @classmethod
    def of(cls, data: Path, topic: str, group: str, *more: Any) -> InHand:
        """Return the notes of `group` on `topic` in the data folder.

        Raises ConfigError if nothing can be written there.
        """
        folder = data / FOLDER
        try:
            return cls(folder, f"{topic}.{group}", *more)
        except OSError as error:
            raise ConfigError(
                f"{folder} cannot be written ({error.strerror}): give {group} the right to"
            ) from None

    @property
    def _log(self) -> FilteringBoundLogger:
        topic, _, group = self.name.rpartition(".")
        return log.get(group).bind(topic=topic)

    @property
    def _lock(self) -> Path:
        return self.folder / f"{self.name}.lock"

    @property
    def _known(self) -> Path:
        return self.folder / f"{self.name}.suspects"

    # Called by the worker.

    def suspects(self, records: Sequence[Record]) -> bool:
        """Return whether a process died while it handled any of these records.

        If so, each of the records must be handled alone.
        """
        self._adopt()
        return any(
            partition == r.partition and first <= r.offset <= last
            for partition, first, last in self._suspects
            for r in records
        )

    def condemns(self, record: Record) -> bool:
        """Return whether a record must be quarantined.

        That is the case if the process died twice by its own fault with this record alone in hand,
        or many times for no known reason. A death in a part that can be skipped counts less.
        """
        place = _place(record)
        deaths, in_parts = len(self._deaths.get(place, ())), len(self._parts.get(place, ()))
        return (
            deaths - in_parts >= DEATHS
            or in_parts >= IN_PARTS
            or len(self._unexplained.get(place, ())) >= UNEXPLAINED
        )

    def trace(self) -> SuspectTrace | None:
        """Return the trace that notes the parts at work on the record in hand.

        Returns None if the record is no suspect.
        """
        [place] = [_place_of(span) for span in self._note["at"]] if self._note["alone"] else [None]
        if place is None or not any(_covers(span, place) for span in self._suspects):
            return None
        return SuspectTrace(self, frozenset(self._parts.get(place, ())))

    def note_part(self, piece: int, part: str) -> None:
        """Note that `part` begins to work on a piece of the record in hand."""
        if piece != self._note["piece"] or part == READING:
            signal.setitimer(
                signal.ITIMER_REAL,
                self.watchdog if part == READING else min(self.watchdog, PART_SECONDS),
            )
        self._note |= {"piece": piece, "part": part}
        self._say()

    def forget(self, record: Record) -> None:
        """Remove all suspicion of a handled record, on disk too.

        Suspect spans that end with it or earlier in its partition are removed as well.
        """
        with wait_for_lock(self._lock):
            self._reread()
            self._suspects = [
                span
                for span in self._suspects
                if span[0] != record.partition or span[2] > record.offset
            ]
            place = _place(record)
            removed = [
                deaths.pop(place, None) for deaths in (self._deaths, self._unexplained, self._parts)
            ]
            if any(removed) or not self._suspects:
                self._write_known()

    @contextlib.contextmanager
    def holding(self, records: Sequence[Record]) -> Iterator[None]:
        """Record on disk, during the block, that these records are being handled.

        The note is removed when the block ends, but stays after a death of the process or a lack of
        memory. A watchdog's alarm runs meanwhile.
        """
        alone = len(records) == 1
        self._note |= {
            "at": _spans(records),
            "alone": alone,
            "phase": "reading",
            "piece": 0,
            "part": READING,
        }
        self._say()
        signal.setitimer(signal.ITIMER_REAL, self.watchdog)
        try:
            with limit_to_free_memory() if alone and self._suspects else contextlib.nullcontext():
                yield
        except MemoryError:
            self._note["said"] = "memory"
            self._say()
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            if not self._note["said"]:
                self._note |= {"at": [], "phase": ""}
                self._say()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Record on disk, during the block, that results are written and no record is read."""
        self._note["phase"] = "writing"
        self._say()
        yield
        self._note["phase"] = "reading"
        self._say()

    @contextlib.contextmanager
    def record_crashes(self) -> Iterator[InHand]:
        """Yield this object, and close it afterwards; a crash meanwhile leaves a trace on disk.

        An alarm of the watchdog does so too. A trace names files and lines of code, and no value.
        """
        os.lseek(self._file, NOTE_BYTES, os.SEEK_SET)
        faulthandler.enable(self._file, all_threads=False)
        faulthandler.register(signal.SIGALRM, self._file, all_threads=False, chain=True)
        try:
            yield self
        finally:
            faulthandler.unregister(signal.SIGALRM)
            faulthandler.disable()
            self.close()

    def close(self) -> None:
        """Remove the note on disk, unless it reports a death, and close its file."""
        if not self._note["said"]:
            self._path.unlink(missing_ok=True)
        file, self._file = self._file, -1  # the thread that waits for a stop may be too late
        os.close(file)

    def _await_stop(self, stop: threading.Event) -> None:
        stop.wait()
        self._note["phase"] = "stopping"
        with contextlib.suppress(OSError):  # closed already
            self._say()

    def _say(self) -> None:
        """Write the note to the file in one write, which a death cannot split."""
        if self._note["phase"] != "stopping" and self.stop is not None and self.stop.is_set():
            self._note["phase"] = "stopping"
        os.pwrite(self._file, _encode_line(self._note), 0)

    # Notes of dead processes.

    def _adopt(self) -> None:
        """Process the notes of dead processes, and read what other processes recorded."""
        changed = self.folder.stat().st_mtime_ns
        if changed != self._changed:
            self._others = [
                path for path in self.folder.glob(f"{self.name}.*.note") if path != self._path
            ]
            self._reread()
            self._changed = changed if time.time_ns() - changed > SETTLED_NS else 0
        for path in self._others:
            if _is_unlocked(path):
                with wait_for_lock(self._lock):
                    self._bury(path)

    def _bury(self, path: Path) -> None:
        """Record what the note of a dead process says, then delete it.

        Repeating this changes nothing.
        """
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # another process was faster
        try:
            note, trace = (
                _decode_line(os.pread(handle, NOTE_BYTES, 0)),
                os.pread(handle, NOTE_BYTES, NOTE_BYTES),
            )
        finally:
            os.close(handle)
        self._reread()
        if note is None:
            self._log.error("in_hand_unreadable", reason="note")
        elif note["at"]:
            cause = self.surroundings.cause(note, trace)
            self._suspects += [(partition, first, last) for partition, first, last in note["at"]]
            counted = (
                {"itself": self._deaths, "unexplained": self._unexplained}.get(cause)
                if note["alone"]
                else None
            )
            if counted is not None:
                partition, offset, _ = note["at"][0]
                deaths = counted.setdefault(f"{partition}:{offset}", [])
                if path.name not in deaths:
                    deaths.append(path.name)
                    if note["part"] != READING:
                        self._parts.setdefault(f"{partition}:{offset}", []).append(
                            (note["piece"], note["part"])
                        )
            for partition, first, last in note["at"]:
                where = {"partition": partition, "offset": first, "records": last - first + 1}
                self._log.error(
                    "in_hand_at_death",
                    reason=cause if note["alone"] else f"{cause}, not alone",
                    **where,
                )
            self._write_known()
        path.unlink(missing_ok=True)

    def _reread(self) -> None:
        """Read the list of suspects again if it has changed."""
        try:
            status = self._known.stat()
        except FileNotFoundError:
            self._suspects, self._deaths, self._unexplained, self._parts, self._read_at = (
                [],
                {},
                {},
                {},
                (0, 0),
            )
            return
        if (status.st_ino, status.st_mtime_ns) == self._read_at:
            return
        state = _decode_line(self._known.read_bytes())
        if state is None:
            self._log.error("in_hand_unreadable", reason="suspects")
        state = state or {}
        self._suspects = [
            (partition, first, last) for partition, first, last in state.get("suspects", ())
        ]
        self._deaths, self._unexplained = (
            {place: list(names) for place, names in state.get(name, {}).items()}
            for name in ("deaths", "unexplained")
        )
        self._parts = {
            place: [(n, part) for n, part in parts]
            for place, parts in state.get("parts", {}).items()
        }
        self._read_at = (status.st_ino, status.st_mtime_ns)

    def _write_known(self) -> None:
        """Write the list of suspects as a whole; delete it if there are none."""
        counted = {
            name: {
                place: causes
                for place, causes in deaths.items()
                if any(_covers(span, place) for span in self._suspects)
            }
            for name, deaths in (
                ("deaths", self._deaths),
                ("unexplained", self._unexplained),
                ("parts", self._parts),
            )
        }
        if self._suspects:
            write_whole(_encode_line({"suspects": self._suspects, **counted}), self._known)
        else:
            self._known.unlink(missing_ok=True)


@dataclass(slots=True)
class SuspectTrace:
    """The trace of a suspect record: it notes which part works on which piece.

    Each piece is searched alone. `deaths` are the pieces and parts in which processes died.
    """

    in_hand: InHand
    deaths: frozenset[tuple[int, str]]
    _piece: int = 0

    def is_suspect(self, _first: int, _count: int) -> bool:
        """Return True, so that each piece of the record is searched alone."""
        return True

    def of(self, first: int, _count: int) -> SuspectTrace:
        """Remember that the piece with the number `first` is searched next; return this trace."""
        self._piece = first
        return self

    def enters(self, part: str) -> bool:
        """Record that the detector `part` begins, and return whether it may run.

        False if a process died in this detector at this piece before.
        """
        if (self._piece, part) in self.deaths:
            return False
        self.in_hand.note_part(self._piece, part)
        return True

    def rest(self) -> None:
        """Note that the next piece is being read."""
        self.in_hand.note_part(self._piece, READING)


def _place_of(span: Span) -> str:
    return f"{span[0]}:{span[1]}"


def _place(record: Record) -> str:
    return f"{record.partition}:{record.offset}"


def _covers(span: Span, place: str) -> bool:
    partition, offset = map(int, place.split(":"))
    return partition == span[0] and span[1] <= offset <= span[2]


def _spans(records: Iterable[Record]) -> list[Span]:
    """Return the range of offsets in each partition."""
    offsets: dict[int, list[int]] = {}
    for record in records:
        offsets.setdefault(record.partition, []).append(record.offset)
    return [(partition, min(numbers), max(numbers)) for partition, numbers in offsets.items()]


def _encode_line(content: dict[str, Any]) -> bytes:
    """Encode an object as one line with a checksum."""
    text = json.dumps(content, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _decode_line(data: bytes) -> dict[str, Any] | None:
    """Decode a line with its checksum; None if it is damaged.

    An empty file, which was just created, gives {"at": []}.
    """
    if not data:
        return {"at": []}
    line, end, _ = data.partition(b"\n")
    check, _, text = line.partition(b" ")
    if not end or check != b"%08x" % zlib.crc32(text):
        return None
    content: dict[str, Any] = json.loads(text)
    return content


def _is_unlocked(path: Path) -> bool:
    """Return whether the process that made a note is dead."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def _boot() -> str:
    """Return an identifier of this run of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _process(pid: int) -> list[int]:
    """Return the pid and start time of a process, which no later process shares; [] for none."""
    try:
        words = (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()
        )
    except OSError:
        return []
    return [pid, int(words[19])] if words[0] not in ("Z", "X") else []
