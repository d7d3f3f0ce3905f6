"""Decide whether something is covered: the one place that does, for pages, commands, the API and
metrics.

Whoever asks counts what is known in one unit (minutes of a site, or sites) and hands it over as
`CoverageEvidence`. "Covered" takes proof of reading in the interval asked for and no known gap in
it; what is imported, silent or not assessed yet is not.
`tests/alerts/coverage/test_one_judgement.py` fails where another module compares these words.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["covered", "partly", "uncovered", "pending", "imported", "nothing"]
"""`pending`: cannot be told yet; `imported`: only content that others collected; `nothing`:
nothing was to be read.
"""


class CoverageEvidence(NamedTuple):
    """What is known of a place and interval, all in the same unit."""

    covered: int = 0
    """Read, as a heartbeat of that time reported."""
    missed: int = 0
    """Scheduled and not read, or nobody reported."""
    pending: int = 0
    imported: int = 0


def judge(evidence: CoverageEvidence) -> Level:
    """Return the level that `evidence` proves; what was missed weighs more than what is not known
    yet.

    >>> judge(CoverageEvidence(covered=57, missed=3)), judge(CoverageEvidence(imported=9)), judge(CoverageEvidence())
    ('partly', 'imported', 'nothing')
    """  # noqa: E501
    if evidence.missed:
        return "partly" if evidence.covered else "uncovered"
    if evidence.pending:
        return "pending"
    if evidence.covered:
        return "covered"
    return "imported" if evidence.imported else "nothing"


def is_pending(level: Level) -> bool:
    """Return whether it is not known yet."""
    return level == "pending"


def is_covered(level: Level) -> bool:
    """Return whether everything that was scheduled was read."""
    return level == "covered"


def has_gap(level: Level) -> bool:
    """Return whether something that was scheduled was not read."""
    return level in ("partly", "uncovered")


def is_scheduled(level: Level) -> bool:
    """Return whether something was to be read, and it is known whether it was."""
    return level in ("covered", "partly", "uncovered")


def is_uncovered(level: Level) -> bool:
    """Return whether nothing was read although it was scheduled."""
    return level == "uncovered"


def is_imported_only(level: Level) -> bool:
    """Return whether there is only what others collected, so that there is no site to have gaps
    on.
    """
    return level == "imported"


def is_trusted(level: Level) -> bool:
    """Return whether an empty list means that nothing was found in what there was to examine."""
    return level in ("covered", "imported")
