"""How much of one capture is read, in units that are the same at every try: no clock, no free memory.

A text is read a window of about 2 MiB at a time. No further window is begun once a budget is used up, so that a capture is cut
at the same place whenever it comes, whatever it shares a batch with. One that ends there is whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from matcher.match.parts import Piece
from matcher.unpack.limits import GIB, Limits
from ullage.settings import MatchSettings

OF_OUTCOME = {"too_large": "bytes", "too_many": "members", "timeout": "time", "memory": "memory"}
"""Outcomes of unpacking that say the same as a budget, by its word; the last two are a watchdog's."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one capture may take; see `ullage.settings.MatchSettings` for units and reasons."""

    bytes: int
    members: int
    candidates: int
    rows: int
    matches: int

    @classmethod
    def of(cls, settings: MatchSettings) -> Budget:
        """As configured."""
        return cls(
            settings.capture_bytes,
            settings.capture_members,
            settings.capture_candidates,
            settings.capture_rows,
            settings.capture_matches,
        )

    def limits(self) -> Limits:
        """What a container may give; processor time grows with the bytes, so that it stays a watchdog."""
        shipped = Limits()
        times = max(1, -(-self.bytes // GIB))
        return shipped._replace(
            total_bytes=self.bytes,
            member_bytes=max(shipped.member_bytes, self.bytes // 2),
            entries=self.members,
            cpu_seconds=shipped.cpu_seconds * times,
            wall_seconds=shipped.wall_seconds * times,
        )


@dataclass(slots=True)
class Spent:
    """What one capture took of its budget so far."""

    budget: Budget
    bytes: int = 0
    candidates: int = 0
    rows: int = 0

    def add(self, piece: Piece, candidates: int, rows: int) -> None:
        """A piece was read."""
        self.bytes += piece.size
        self.candidates += candidates
        self.rows += rows

    def refuses(self, piece: Piece) -> str:
        """Of which budget nothing is left for another piece, "" if there is some of each."""
        if piece.member > self.budget.members:
            return "members"
        return next((name for name in ("bytes", "candidates", "rows") if getattr(self, name) >= getattr(self.budget, name)), "")
