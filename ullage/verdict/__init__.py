"""Two answers about leaked customers, never one number: how they can be cheated (exposure), and whose leak it is (origin).

Both are pure functions over counted facts and both list their reasons, because a person may ask for an explanation
(PIPL 24, Anti-Telecom and Online Fraud Law 32). `match` uses them for `ullage assess`, `alert` for incidents. What they go by
is data (`rules.toml`), so that other rules can be tried on the same facts.

    facts      what is counted                            origin, ours   whose leak it is
    rules      points and thresholds, read and checked    exposure       the score, explained
    tails      exact probabilities                        severity       what a human has to do, and by when
"""

from ullage.verdict.exposure import Exposure, judge_exposure, severity_unit
from ullage.verdict.facts import Crowd, Facts, Reason, chance_matches, in_words
from ullage.verdict.origin import Origin, judge_origin
from ullage.verdict.rules import Rules, own_rules, read_rules

__all__ = [
    "Crowd",
    "Exposure",
    "Facts",
    "Origin",
    "Reason",
    "Rules",
    "chance_matches",
    "in_words",
    "judge",
    "own_rules",
    "read_rules",
    "severity_unit",
]


def judge(facts: Facts, rules: Rules | None = None) -> tuple[Exposure, Origin]:
    """Both answers, by the rules that this version comes with or by others."""
    known = rules or own_rules()
    origin = judge_origin(facts, known.origin)
    return judge_exposure(facts, origin, known), origin
