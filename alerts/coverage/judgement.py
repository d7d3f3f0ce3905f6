"""Decide whether something is covered: the only place that does, for pages, commands, API, metrics.

The caller counts the known facts in one unit (minutes of a site, or sites) and passes them as
`CoverageEvidence`. "Covered" takes proof of reading in the requested interval and no known gap in
it; imported, silent or not yet assessed time is not covered.
`tests/alerts/coverage/test_one_judgement.py` fails where another module compares these words.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["covered", "partly", "uncovered", "pending", "imported", "nothing"]
"""`pending`: cannot be told yet; `imported`: only content that others collected; `nothing`:
nothing was to be read.
"""


class CoverageEvidence(NamedTuple):
    """The known facts about a place and interval, as counts.

    Only whether a count is 0 matters to `judge`.
    """

    covered: int = 0
    """Read, as a heartbeat of that time reported."""
    missed: int = 0
    """Scheduled and not read, or nobody reported."""
    pending: int = 0
    imported: int = 0


def judge(evidence: CoverageEvidence) -> Level:
    """Return the level of coverage that `evidence` proves, such as `covered`.

    Anything missed gives `partly` or `uncovered`, even if something is pending. Otherwise anything
    pending gives `pending`, then anything covered gives `covered`. Imports count only without all
    of these.

    >>> judge(CoverageEvidence(covered=57, missed=3)), judge(CoverageEvidence(imported=9))
    ('partly', 'imported')
    >>> judge(CoverageEvidence())
    'nothing'
    """
    if evidence.missed:
        return "partly" if evidence.covered else "uncovered"
    if evidence.pending:
        return "pending"
    if evidence.covered:
        return "covered"
    return "imported" if evidence.imported else "nothing"


def is_pending(level: Level) -> bool:
    """Return whether the level is not known yet."""
    return level == "pending"


def is_covered(level: Level) -> bool:
    """Return whether everything that was scheduled was read."""
    return level == "covered"


def has_gap(level: Level) -> bool:
    """Return whether something that was scheduled was not read."""
    return level in ("partly", "uncovered")


def is_scheduled(level: Level) -> bool:
    """Return whether something was to be read and the outcome is known."""
    return level in ("covered", "partly", "uncovered")


def is_uncovered(level: Level) -> bool:
    """Return whether `level` means that nothing was read although reading was scheduled."""
    return level == "uncovered"


def has_only_imports(level: Level) -> bool:
    """Return whether `level` means that there is only imported content, which cannot have gaps."""
    return level == "imported"


def is_trusted(level: Level) -> bool:
    """Return whether an empty list means that the examined content has no incident."""
    return level in ("covered", "imported")
