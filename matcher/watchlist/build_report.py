"""What became of a list: what was read, what was left out and why, and whether that is what its sender counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from matcher.watchlist.source import REFERENCE, ColumnBatch
from ullage.errors import ConfigError

KEPT_REJECTS = 1000
MAX_REJECTED_SHARE = 0.05
FEWEST_CHOSEN = 10
"""Chosen rows of which none can be read, from which the columns must be others."""
_LINE = re.compile(r"\s*+([^\s=:,;]+)(?:\s*[=:,;]\s*|\s+)(\d+)\s*")


class Reject(NamedTuple):
    """A cell that was left out: where and why, never what."""

    path: Path
    line: int
    column: str
    reason: str


@dataclass(slots=True)
class Report:
    """What became of the list. Of the rejects the first thousand are kept and all are counted, by column and reason."""

    customers: int = 0
    identifiers: int = 0
    """Those that can be looked for; names only corroborate."""
    entries: int = 0
    chosen: int = 0
    """Rows of customers who are to be witnesses (`witness.py`), with something in both cells."""
    witnesses: int = 0
    """Those of them whose pair is enrolled."""
    rejects: list[Reject] = field(default_factory=list)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """How many cells and rows were left out."""
        return self.reasons.total()

    def reject(self, batch: ColumnBatch, column: str, faults: Mapping[int, str]) -> None:
        """Note what is wrong with rows of a batch."""
        self.reasons.update((column, reason) for reason in faults.values())
        for row in sorted(faults)[: max(0, KEPT_REJECTS - len(self.rejects))]:
            self.rejects.append(Reject(batch.path, batch.lines[row], column, faults[row]))

    def refuse_a_poor_list(self, source: object) -> None:
        """ConfigError when nothing, or too little, could be read."""
        if self.chosen >= FEWEST_CHOSEN and not self.witnesses:
            raise ConfigError(
                f"{source}: in {self.chosen} rows --witness finds no amount and date: name the columns that hold them"
            )
        if not self.identifiers:
            raise ConfigError(f"{source}: holds no identifier that can be read: an empty watchlist would see nothing")
        read = self.identifiers + self.rejected
        if self.rejected > read * MAX_REJECTED_SHARE:
            first = "; ".join(f"line {r.line}, {r.column}: {r.reason}" for r in self.rejects[:3])
            raise ConfigError(f"{source}: {self.rejected} of {read} values cannot be read ({first}): check the column mapping")


class Control:
    """The totals that a sender gives with a list, which must be what was read.

    Lines of `NAME VALUE`, with `=`, `:`, `,` or space between: `rows`, a column (its cells that are not empty), or
    `COLUMN.sum` (its cells that are whole numbers, added up). A column may be called by its kind, as it must be with `--long`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._expected: dict[str, int] = {}
        self._seen: Counter[str] = Counter()
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} cannot be read ({type(error).__name__}): --control names a file of totals") from None
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if not (found := _LINE.fullmatch(line)):
                raise ConfigError(f"{path}: line {number}: write NAME VALUE, such as `rows 1000`")
            self._expected[found[1]] = int(found[2])
        if not self._expected:
            raise ConfigError(f"{path}: holds no totals: write at least `rows` and their number")

    def add(self, batch: ColumnBatch) -> None:
        """Count a batch, whether or not its values are of use."""
        self._seen["rows"] += len(batch.lines)
        columns = [*batch.columns, *(batch.witness or ())]
        for name, cells in ((REFERENCE, batch.references), *((c.name, c.cells) for c in columns)):
            kind = next((c.kind for c in columns if c.name == name), name)
            for called in {name, kind}:
                if called in self._expected:
                    self._seen[called] += sum(1 for text in cells.strings() if text.strip())
                if f"{called}.sum" in self._expected:
                    self._seen[f"{called}.sum"] += sum(int(text) for text in cells.strings() if text.strip().isdecimal())

    def reconcile(self, source: object) -> None:
        """ConfigError unless every total is what was read."""
        wrong = [(name, total) for name, total in self._expected.items() if self._seen[name] != total]
        if wrong:
            name, total = wrong[0]
            raise ConfigError(
                f"{source}: {self._path} says {name} {total}, but {self._seen[name]} were read"
                f" ({len(wrong)} of {len(self._expected)} totals differ): ask for the list again"
            )
