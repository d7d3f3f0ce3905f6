"""Two answers about leaked customers, never one number: how they can be cheated (exposure), and
whose leak it is (origin).

Both are pure functions over counted facts and both list their reasons, because a person may ask for
an explanation (PIPL 24, Anti-Telecom and Online Fraud Law 32). `match` uses them for `ullage
assess`, `alert` for incidents. What they go by is data (`rules.toml`), so that other rules can be
tried on the same facts.

    facts      what is counted                            origin, ours   whose leak it is
    rules      points and thresholds, read and checked    exposure       the score, explained
    statistics exact probabilities                        severity       what a human has to do, by when, and who is told
                                                          next_step      what to do first, and the least severity it demands
"""  # noqa: E501

from functools import partial

from ullage.guard import FaultGuard
from ullage.verdict.exposure import UNJUDGED_EXPOSURE, ExposureScore, judge_exposure, severity_unit
from ullage.verdict.facts import Crowd, Reason, VerdictFacts, chance_matches, in_words
from ullage.verdict.next_step import UNJUDGED_STEP, NextStep, StepConditions, next_step
from ullage.verdict.origin import UNJUDGED_ORIGIN, Origin, judge_origin
from ullage.verdict.rules import VERDICT, VerdictRules, own_rules

__all__ = [
    "UNJUDGED_EXPOSURE",
    "UNJUDGED_ORIGIN",
    "UNJUDGED_STEP",
    "VERDICT",
    "Crowd",
    "ExposureScore",
    "NextStep",
    "Origin",
    "Reason",
    "StepConditions",
    "VerdictFacts",
    "VerdictRules",
    "chance_matches",
    "in_words",
    "judge",
    "next_step",
    "own_rules",
    "severity_unit",
]


def judge(
    facts: VerdictFacts,
    rules: VerdictRules,
    guard: FaultGuard,
    conditions: StepConditions | None = None,
) -> tuple[ExposureScore, Origin]:
    """Return both answers; where a rule fails behind `guard`, its answer is that a person must
    judge.

    `conditions` are what a reader of the next step is shown, where that is more than `facts`: posts
    of one incident are judged one by one, and shown together.
    """
    origin = guard.run("origin", partial(judge_origin, facts, rules.origin), UNJUDGED_ORIGIN)
    judge_severity = partial(
        judge_exposure, facts, origin, rules, conditions or facts.step_conditions
    )
    return guard.run("severity", judge_severity, UNJUDGED_EXPOSURE), origin
