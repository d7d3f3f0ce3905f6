"""The customers in a file, as CSV: handles and what stands beside each, never a value. `subjects resolve` reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matcher.match.capture_result import Reading
from matcher.match.listing import records
from matcher.match.pipeline import Matcher
from ullage.display.spreadsheet import csv_line
from ullage.errors import ConfigError
from ullage.files.atomic_write import is_standard_output, write_whole
from ullage.identifiers import is_verified

COLUMNS = "handle tenant kinds fields rows verified".split()


@dataclass(slots=True)
class _Customer:
    """What was seen of one; the words are of closed lists."""

    kinds: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    rows: set[tuple[int, int]] = field(default_factory=set)
    verified: bool = False

    def add(self, kind: str, labels: Sequence[str], own: Sequence[str], row: tuple[int, int]) -> None:
        """A match."""
        self.kinds.add(kind)
        self.fields.update(labels)
        self.rows.add(row)
        self.verified = self.verified or is_verified([kind], corroborated=len(own) >= 2)


def check_target(out: Path, file: Path) -> None:
    """ConfigError where `out` cannot be written, or is `file` itself."""
    if is_standard_output(out):
        raise ConfigError("--customers wants a file: standard output has the verdict")
    if not out.parent.is_dir():
        raise ConfigError(f"{out.parent} is no folder: --customers is written there")
    if out.is_dir() or (out.exists() and file.exists() and out.samefile(file)):
        raise ConfigError(f"{out} is {'a folder' if out.is_dir() else 'the file that is assessed'}: name another for --customers")


def write_customers(out: Path, matcher: Matcher, reading: Reading) -> int:
    """Write `out`, for its owner alone, whole or not at all; how many customers are in it."""
    lines = list(_lines(matcher, reading))
    write_whole("".join([csv_line(COLUMNS), *lines]).encode(), out)
    return len(lines)


def _lines(matcher: Matcher, reading: Reading) -> Iterator[str]:
    for lists in matcher.lists:
        customers: dict[str, _Customer] = {}
        found = reading.best(lists.tenant)
        for some in found.details if found else ():
            for match in records(some):
                row = match.member, match.row
                customers.setdefault(match.subject, _Customer()).add(match.kind, match.fields, match.own_fields, row)
        for handle, seen in sorted(customers.items()):
            words = " ".join(sorted(seen.kinds)), " ".join(sorted(seen.fields))
            yield csv_line((handle, lists.tenant, *words, str(len(seen.rows)), "yes" if seen.verified else "no"))
