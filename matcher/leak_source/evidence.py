"""Evidence beside the customers: fields, versions of values, honeytokens, and single pieces.

Each function returns log likelihood ratios to a source that is not listed. Probabilities that
nobody measured are stated here as constants, and ratios that rest on them are capped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log, log1p

import numpy as np
import numpy.typing as npt

from matcher.leak_source.candidates import Candidate
from matcher.leak_source.numerics import Array, Floats, damp, log_mean, log_sum
from ullage.errors import ConfigError

HAD_AND_SEEN, NOT_HAD_AND_SEEN = 0.8, 0.03
"""Probability that a field which the candidate had is in the post, and one that it had not."""
ANY_FIELD = 0.5
"""The same, of a source of which nothing is recorded."""
FIELDS_POWER = 0.7
"""Fields travel together, so they count less than separate pieces."""
AGREES = 0.95
"""Probability that a value is the one that was valid on the day of the copy."""
VERSIONS_CORRELATION = 0.02
COPY_DAYS = 30
"""Days between the copies that are compared."""
MOST_COPIES = 120
HANDED_OUT_WRONGLY = 1e-3
"""Share of honeytokens that reach somebody else by error; it caps their ratio (Thompson, Taroni and
Aitken, Journal of Forensic Sciences 48, 2003, on the rate of error).
"""
SURVIVES = 0.5
"""Share of honeytokens that are still in a list after filters and cleaning."""
MOST_OF_ONE_PIECE = 100.0
"""Cap of the ratio of a piece that nobody measured."""


def score_fields(seen: frozenset[str], had: frozenset[str], known: frozenset[str]) -> float:
    """Return the log ratio for a source with the fields `had`, 0 if they are not recorded.

    `known` are the fields that anybody had. Each field is one Bernoulli trial; the sum is damped.

    >>> score_fields(frozenset(), frozenset(), frozenset({"phone"}))
    0.0
    """
    if not had:
        return 0.0
    total = 0.0
    for name in sorted(seen | known | had):
        chance = HAD_AND_SEEN if name in had else NOT_HAD_AND_SEEN
        total += log(chance / ANY_FIELD) if name in seen else log((1 - chance) / (1 - ANY_FIELD))
    return FIELDS_POWER * total


@dataclass(frozen=True)
class Versions:
    """Values that changed, and between which days the value in the post was valid.

    `rows` are places in the post's customers; days are ordinals, both inclusive.
    """

    rows: npt.NDArray[np.int64]
    first_day: npt.NDArray[np.int64]
    last_day: npt.NDArray[np.int64]

    def copy_days(self, candidates: Iterable[Candidate]) -> npt.NDArray[np.int64]:
        """Return the days on which a copy may have been made, about a month apart."""
        days = [
            *(day for candidate in candidates for day in (candidate.first_day, candidate.last_day)),
            *self.first_day[self.first_day > 0].tolist(),
        ]
        first, last = min(days), max(days)
        step = max(COPY_DAYS, (last - first) // MOST_COPIES + 1)
        return np.arange(first, last + step, step, dtype=np.int64)


@dataclass(frozen=True)
class VersionScores:
    """Log ratios, to a value that may be of any day, by copy day: for rows that a source had."""

    days: npt.NDArray[np.int64]
    by_row: Floats
    """f64[days, rows]."""
    power: float

    @classmethod
    def compare(cls, versions: Versions, candidates: Sequence[Candidate]) -> VersionScores:
        """Compare each value with the copies of all days."""
        days = versions.copy_days(candidates)
        valid = (versions.first_day <= days[:, None]) & (days[:, None] <= versions.last_day)
        by_row = np.where(valid, log(AGREES / 0.5), log((1 - AGREES) / 0.5))
        return cls(days, by_row, damp(len(versions.rows), VERSIONS_CORRELATION))

    def _average(self, by_day: Floats, first_day: int, last_day: int) -> float:
        """Average over the copies of a period; of a period between two copies, the nearest."""
        chosen = (self.days >= first_day - COPY_DAYS // 2) & (
            self.days <= last_day + COPY_DAYS // 2
        )
        if not chosen.any():
            chosen[np.argmin(np.abs(self.days - first_day))] = True
        return float(log_mean(by_day[chosen] * self.power))

    def score(self, rows: npt.NDArray[np.bool_], candidates: Sequence[Candidate]) -> Floats:
        """Return the log ratio of each candidate; `rows` is bool[rows, candidates].

        A row that the candidate did not have says nothing about its copy.
        """
        by_day = self.by_row @ rows.astype(np.float64)
        return np.array(
            [
                self._average(by_day[:, number], candidate.first_day, candidate.last_day)
                for number, candidate in enumerate(candidates)
            ]
        )

    def score_pair(self, first: Array, second: Array, pair: tuple[Candidate, Candidate]) -> float:
        """Return the log ratio of two candidates, by the rows that only one of them had."""
        return sum(
            self._average(self.by_row @ rows, candidate.first_day, candidate.last_day)
            for rows, candidate in zip((first & ~second, second & ~first), pair, strict=True)
        )

    def score_unlisted(self) -> float:
        """Return the log ratio of an unlisted source: of any day, or copied on one day."""
        copied = log_mean(self.by_row.sum(axis=1) * self.power)
        return float(log_sum(np.array([0.0, copied])) - log(2))


def score_honeytokens(candidate: Candidate, seen: int, share: float) -> float:
    """Return the log ratio of the honeytokens that only this candidate received.

    One that is in the post cannot count for more than the error rate of handing them out allows,
    and further ones repeat the same error, so they add nothing. `share` is the share of the
    candidate's customers in the post; if none of h is there, the ratio is (1 − share·survival)^h.
    """
    limit = -log(HANDED_OUT_WRONGLY)
    if seen:
        return limit
    absent = candidate.honeytokens * log1p(-min(0.999, max(0.0, share) * SURVIVES))
    return max(-limit, absent)


def count_honeytokens(confidence: float, sample: float, surviving: float = 1.0) -> int:
    """Return how many honeytokens a recipient needs, ⌈ln(1 − γ) / ln(1 − s·v)⌉.

    With that many, a sample of the share `sample` of its list, of which `surviving` passes the
    seller's filters, contains one of them with probability `confidence`. Raises `ConfigError` for a
    probability outside 0 and 1.

    >>> count_honeytokens(0.95, 0.01), count_honeytokens(0.95, 0.01, 0.5)
    (299, 598)
    """
    if not (0 < confidence < 1 and 0 < sample * surviving <= 1):
        raise ConfigError(
            f"confidence {confidence:g} and sample {sample:g} must lie between 0 and 1: give shares"
        )
    if sample * surviving == 1:
        return 1
    return ceil(log(1 - confidence) / log1p(-sample * surviving))


def score_pieces(pieces: Mapping[str, float], of: Candidate) -> float:
    """Return the log ratio of one more piece of evidence about a candidate, capped.

    `pieces` has ratios by candidate id: of row order, of ids, of checksum errors that an earlier
    leak shares, of marks of devices, or of a vendor's watermark.
    """
    ratio = pieces.get(of.id, 1.0)
    return log(min(MOST_OF_ONE_PIECE, max(1 / MOST_OF_ONE_PIECE, ratio)))
