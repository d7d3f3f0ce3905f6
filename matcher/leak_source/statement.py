"""The statement of source: what may be said of the candidates, with its certainty.

A statement gives likelihood ratios, which are about the evidence, and posterior probabilities,
which need a prior. "The evidence is 1,000 times more probable if P leaked" does not mean "P leaked
with 99.9 %" (prosecutor's fallacy: Thompson and Schumann, Law and Human Behavior 11, 1987). So the
ratio, the prior, and the posterior under three priors always stand together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from matcher.leak_source.candidates import FEW, Candidate, Reason
from matcher.leak_source.excess import find_threshold
from matcher.leak_source.hypotheses import (
    LEVEL,
    NONE_PRIORS,
    Posterior,
    Scores,
    find_posterior,
    score_none,
    weigh,
)
from matcher.leak_source.numerics import Floats

METHOD = "1"
"""Version of model and constants; raise it with either."""
POST_PRIOR, VICTIMS_PRIOR = 0.2, 0.4
"""Prior probability of "none of these" for a post, and for victims alone."""
INDICATION, NAMED = 0.95, 0.99
MOST_IN_SET = 5
MORE_CASES = 10
"""A new count is published after so many more cases, because differences show single people."""
WORDS = (
    (2.0, "no support either way"),
    (10.0, "weak support"),
    (100.0, "moderate support"),
    (1e3, "moderately strong support"),
    (1e4, "strong support"),
    (1e6, "very strong support"),
)
STRONGEST = "extremely strong support"


class Verdict(StrEnum):
    """What a statement says."""

    NAMED = "named"
    INDICATION = "indication"
    SEVERAL = "several explain it"
    NONE = "none of these"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is stated about one candidate. Logarithms are natural."""

    candidate: Candidate
    log_ratio: float
    """Log likelihood ratio to "none of these"."""
    log_to_rival: float
    """Log likelihood ratio to the best other candidate."""
    log_e: float
    inclusion: float
    """Posterior probability that it leaked, alone or with another."""
    inclusions: Mapping[float, float]
    """The same for each prior of `NONE_PRIORS`."""
    parts: Mapping[str, float]
    """What each piece of evidence adds to the log ratio; the sum is `log_ratio`."""

    @property
    def words(self) -> str:
        """Return the ratio in the words of ENFSI's scale."""
        return describe_ratio(self.log_ratio)


@dataclass(frozen=True, slots=True)
class SourceStatement:
    """A statement of source. It holds no customer and no count below 20."""

    verdict: Verdict
    reason: str
    """Why it cannot be told, in one word; else ""."""
    rows: int | None
    """Matched customers or victims; None below 20."""
    prior_none: float
    probability_none: float
    credible_set: tuple[tuple[str, ...], ...] = ()
    """Candidate ids of each hypothesis in the 95 % set; () is "none of these"."""
    assessments: tuple[Assessment, ...] = ()
    """Most probable candidate first."""
    unexamined: Mapping[str, Reason] | None = None
    """Candidates that could not be examined, which excludes none of them."""
    method: str = METHOD


def describe_ratio(log_ratio: float) -> str:
    """Return the verbal equivalent of a likelihood ratio.

    The scale is that of ENFSI's Guideline for Evaluative Reporting in Forensic Science (2015). A
    ratio below 1 supports the alternative.

    >>> describe_ratio(float(np.log(250)))
    'moderately strong support'
    >>> describe_ratio(float(np.log(1 / 50)))
    'moderate support for the alternative'
    """
    size = abs(log_ratio)
    words = next((text for limit, text in WORDS if size < np.log(limit) - 1e-9), STRONGEST)
    alternative = log_ratio < 0 and words != WORDS[0][1]
    return f"{words} for the alternative" if alternative else words


def to_public_count(count: int) -> int | None:
    """Return a count of customers that may leave the list's host, None below 20.

    >>> to_public_count(19), to_public_count(20)
    (None, 20)
    """
    return count if count >= FEW else None


def is_publishable(count: int, published: int | None) -> bool:
    """Return whether a new count may be published after an earlier one.

    >>> is_publishable(25, None), is_publishable(30, 25), is_publishable(35, 25)
    (True, False, True)
    """
    return count >= FEW and (published is None or abs(count - published) >= MORE_CASES)


def state_source(
    scores: Scores,
    candidates: Sequence[Candidate],
    prior_none: float,
    unexamined: Mapping[int, Reason] | None = None,
) -> SourceStatement:
    """State the source of a post or of victims from their scores.

    Below FEW (20) customers, or without a candidate to examine, nothing is stated: no ratio, no
    set, and only a public count. `unexamined` are candidates by number that are named as not
    examined, with the reason.
    """
    left_out = {candidates[number].id: why for number, why in (unexamined or {}).items()}
    if scores.rows < FEW or not np.isfinite(scores.singles).any():
        reason = "too_few" if scores.rows < FEW else "no_candidate"
        return SourceStatement(
            Verdict.CANNOT_TELL,
            reason,
            to_public_count(scores.rows),
            prior_none,
            prior_none,
            unexamined=left_out,
        )
    posterior = find_posterior(scores, candidates, prior_none)
    by_prior = [find_posterior(scores, candidates, prior) for prior in NONE_PRIORS]
    inclusion = posterior.include(len(candidates))
    verdict, reason = _decide(posterior, by_prior, inclusion, scores.log_e)
    return SourceStatement(
        verdict,
        reason,
        scores.rows,
        prior_none,
        posterior.none,
        tuple(
            tuple(candidates[number].id for number in members)
            for members in posterior.credible_set()
        ),
        _assess(scores, candidates, inclusion, by_prior),
        left_out,
    )


def _decide(
    posterior: Posterior, by_prior: Sequence[Posterior], inclusion: Floats, log_e: Floats
) -> tuple[Verdict, str]:
    """Return the verdict, and why it cannot be told; "" where it can.

    NAMED needs a probability of 0.99 and an e-value above the threshold, INDICATION 0.95; in both,
    every prior must have the same best candidate. Otherwise the set of probability LEVEL (0.95)
    decides: SEVERAL for up to MOST_IN_SET (5), NONE for none alone.
    """
    best = int(np.argmax(inclusion))
    if inclusion[best] >= INDICATION:
        if any(int(np.argmax(varied.include(len(inclusion)))) != best for varied in by_prior):
            return Verdict.CANNOT_TELL, "priors_disagree"
        proven = inclusion[best] >= NAMED and log_e[best] >= find_threshold(len(inclusion))
        return (Verdict.NAMED if proven else Verdict.INDICATION), ""
    likely = posterior.credible_set()
    if () in likely and len(likely) > 1:
        return Verdict.CANNOT_TELL, "perhaps_none"
    if len(likely) > MOST_IN_SET:
        return Verdict.CANNOT_TELL, "too_many"
    if by_prior[1].none < LEVEL <= posterior.none:
        return Verdict.CANNOT_TELL, "priors_disagree"
    return (Verdict.NONE if () in likely else Verdict.SEVERAL), ""


def _assess(
    scores: Scores,
    candidates: Sequence[Candidate],
    inclusion: Floats,
    by_prior: Sequence[Posterior],
) -> tuple[Assessment, ...]:
    none = score_none(scores, weigh(candidates, scores.singles))
    inclusions = [posterior.include(len(candidates)) for posterior in by_prior]
    order = np.argsort(-scores.singles, kind="stable")
    examined = [number for number in order.tolist() if np.isfinite(scores.singles[number])]
    assessments = []
    for number in sorted(examined, key=lambda number: -inclusion[number]):
        rival = next((rival for rival in examined if rival != number), None)
        to_rival = np.inf if rival is None else scores.singles[number] - scores.singles[rival]
        parts = {name: float(values[number]) for name, values in scores.parts.items()}
        assessments.append(
            Assessment(
                candidate=candidates[number],
                log_ratio=float(scores.singles[number] - none),
                log_to_rival=float(to_rival),
                log_e=float(scores.log_e[number]),
                inclusion=float(inclusion[number]),
                inclusions={
                    prior: float(values[number])
                    for prior, values in zip(NONE_PRIORS, inclusions, strict=True)
                },
                parts={**parts, "none of these": -none},
            )
        )
    return tuple(assessments)
