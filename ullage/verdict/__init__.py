"""Two answers about leaked customers, never one number: how they can be cheated (exposure), and whose leak it is (origin).

Both are pure functions over counted facts and both list their reasons, because a person may ask for an explanation
(PIPL 24, Anti-Telecom and Online Fraud Law 32). `match` uses them for `ullage assess`, `alert` for incidents.
"""

from ullage.verdict.exposure import Exposure, judge_exposure
from ullage.verdict.facts import Facts, Reason, chance_matches, in_words
from ullage.verdict.origin import Origin, judge_origin

__all__ = ["Exposure", "Facts", "Origin", "Reason", "chance_matches", "in_words", "judge_exposure", "judge_origin"]
