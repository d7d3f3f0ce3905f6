"""Examine files in a process of their own, so that one that makes the matcher raise, crash or hang costs no other.

Many files go to the process at once, since the search works on several texts side by side. Where it does not come back with an
answer, each of these files is examined again alone.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from matcher.cli.loading import build_matcher, keep_freed_memory
from matcher.cli.scan import capture_of, pieces_in, printable
from matcher.match.capture_result import CaptureReading
from matcher.match.parts import Piece, watched
from matcher.match.pipeline import Matcher
from matcher.unpack.parent import ForkServer
from matcher.unpack.protocol import UnreadPart
from ullage.settings import Context

AT_ONCE = 64
PATIENCE_SECONDS = 900.0
"""How long one request may take; a large archive takes a minute."""
MATCHES_LISTED, FULL = 100, "matches"
"""Matches of a file that are listed, and the reason that is given where there are more: no fault."""


@dataclass(frozen=True)
class FileOutcome:
    """What the matcher said of a file: how many customers are in it, what was not read, and which of its own parts failed."""

    path: Path
    customers: int = 0
    unread: list[UnreadPart] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def examine_files(data: Path, paths: Sequence[Path]) -> Iterator[FileOutcome]:
    """Yield the outcome of every file, against the customer lists of the data folder."""
    with MatcherProcess(data) as process:
        for chunk in _chunks(paths):
            answer = process.examine(chunk)
            if isinstance(answer, str):
                for path in chunk:
                    again = process.examine([path])
                    yield from [FileOutcome(path, faults=[again])] if isinstance(again, str) else again
            else:
                yield from answer


def _chunks(paths: Sequence[Path]) -> Iterator[list[Path]]:
    for first in range(0, len(paths), AT_ONCE):
        yield list(paths[first : first + AT_ONCE])


class MatcherProcess:
    """A process with a matcher; it is started anew after each that died or took too long."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def examine(self, paths: Sequence[Path]) -> list[FileOutcome] | str:
        """Return the outcome of each of `paths`, or what the process died of."""
        self._connection.send(list(paths))
        with suppress(EOFError, ConnectionResetError):
            if self._connection.poll(PATIENCE_SECONDS):
                answer: list[FileOutcome] | str = self._connection.recv()
                if isinstance(answer, str):
                    self._restart()
                return answer
        reason = f"no answer in {PATIENCE_SECONDS:.0f} s" if self._process.is_alive() else "the process died"
        self._restart()
        return reason

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._data, other))
        self._process.start()
        other.close()

    def _stop(self) -> None:
        self._connection.close()  # ends a process that waits for work
        self._process.join(5.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _restart(self) -> None:
        self._stop()
        self._start()


class _FaultReport:
    """Sends the last line of an exception to the other side, and lets it end the process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        """Hold nothing."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Exception) and not isinstance(error, EOFError):
            place = traceback.extract_tb(trace)[-1]
            self._connection.send(f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}")


def _serve(data: Path, connection: Connection) -> None:
    """Answer requests until the other side closes the connection."""
    keep_freed_memory()
    matcher = build_matcher(Context(data))
    with suppress(EOFError), _FaultReport(connection):
        while True:
            connection.send(read_files(matcher, connection.recv()))


def read_files(matcher: Matcher, paths: Sequence[Path]) -> list[FileOutcome]:
    """Return the outcome of each file, all of them read as `ullage assess` reads one."""
    readings, outcomes = list[CaptureReading](), [FileOutcome(path) for path in paths]

    def pieces() -> Iterator[Piece]:
        with ForkServer() as server:
            for number, outcome in enumerate(outcomes):
                capture = capture_of(outcome.path, b"", datetime.now(UTC))
                reading = CaptureReading(capture, matcher.key, matcher.lexicon.records, room=MATCHES_LISTED)
                readings.append(reading)
                skip = partial(_skip, reading, outcome)
                inside = pieces_in(outcome.path, number, skip, server)
                yield from watched(inside, printable(outcome.path), outcome.unread, skip)

    return [
        _finish(matcher, reading, outcome) for reading, outcome in zip(matcher.gather(pieces(), readings), outcomes, strict=True)
    ]


def _skip(reading: CaptureReading, outcome: FileOutcome, unread: UnreadPart) -> None:
    reading.skip(unread)
    outcome.unread.append(unread)


def _finish(matcher: Matcher, reading: CaptureReading, outcome: FileOutcome) -> FileOutcome:
    """Return the outcome of a file that was read to its end; statistics and claims are worked out as for a finding."""
    reading.statistics()
    _ = reading.claims
    matches = [reading.best(lists.tenant) for lists in matcher.lists]
    customers = sum(len(best.subjects) for best in matches if best)
    return replace(outcome, customers=customers, faults=[reason for reason in reading.reasons if reason != FULL])
