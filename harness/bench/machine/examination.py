"""Examine files as `ullage assess` does, in a process of its own: a file that makes the matcher
fail costs no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from harness.isolated_process import IsolatedProcess
from matcher.cli.loading import build_matcher, keep_freed_memory
from matcher.cli.scan import capture_of, pieces_in, printable
from matcher.match.capture_result import CaptureReading
from matcher.match.parts import Piece, report_unread
from matcher.match.pipeline import Matcher
from matcher.unpack.parent import ForkServer
from matcher.unpack.protocol import UnreadPart
from ullage.settings import Context

AT_ONCE = 64
"""Files: the search works on several texts side by side."""
MATCHES_LISTED, FULL = 100, "matches"
"""Matches of a file that are listed, and the reason that is given where there are more: no
fault.
"""


@dataclass(frozen=True)
class FileOutcome:
    """What the matcher said of a file: how many customers are in it, what was not read, and
    which of its own parts failed.
    """

    path: Path
    customers: int = 0
    unread: list[UnreadPart] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def examine_files(data: Path, paths: Sequence[Path]) -> Iterator[FileOutcome]:
    """Yield the outcome of every file, against the customer lists of the data folder."""
    with IsolatedProcess[Path, FileOutcome](partial(_load_matcher, data)) as process:
        for path, outcome, fault in process.answer_each(paths, AT_ONCE):
            yield outcome or FileOutcome(path, faults=[fault])


def _load_matcher(data: Path) -> Callable[[Sequence[Path]], list[FileOutcome]]:
    keep_freed_memory()
    return partial(read_files, build_matcher(Context(data)))


def read_files(matcher: Matcher, paths: Sequence[Path]) -> list[FileOutcome]:
    """Return the outcome of each file."""
    readings, outcomes = list[CaptureReading](), [FileOutcome(path) for path in paths]

    def pieces() -> Iterator[Piece]:
        with ForkServer() as server:
            for number, outcome in enumerate(outcomes):
                capture = capture_of(outcome.path, b"", datetime.now(UTC))
                reading = CaptureReading(
                    capture, matcher.key, matcher.lexicon.records, room=MATCHES_LISTED
                )
                readings.append(reading)
                skip = partial(_skip, reading, outcome)
                inside = pieces_in(outcome.path, number, skip, server)
                yield from report_unread(inside, printable(outcome.path), outcome.unread, skip)

    read = zip(matcher.gather(pieces(), readings), outcomes, strict=True)
    return [_finish(matcher, reading, outcome) for reading, outcome in read]


def _skip(reading: CaptureReading, outcome: FileOutcome, unread: UnreadPart) -> None:
    reading.skip(unread)
    outcome.unread.append(unread)


def _finish(matcher: Matcher, reading: CaptureReading, outcome: FileOutcome) -> FileOutcome:
    """Return the outcome of a file that was read to its end; statistics and claims are worked
    out as for a finding.
    """
    reading.statistics()
    _ = reading.claims
    matches = [reading.find_best_matches(lists.tenant) for lists in matcher.lists]
    customers = sum(len(best.subjects) for best in matches if best)
    failed = {fault.part: f"{fault.part} ({fault.cause})" for fault in reading.faults}
    faults = [failed.get(reason, reason) for reason in reading.reasons if reason != FULL]
    faults += [f"reader of {unread.path}" for unread in outcome.unread if unread.reason == "fault"]
    return replace(outcome, customers=customers, faults=faults)
