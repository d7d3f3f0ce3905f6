"""Judge a leak by two separate answers: how its customers can be cheated, and whose leak it is.

`judge` takes counted facts (`VerdictFacts`) and rules, and returns an `ExposureScore`, with
severity, and an `Origin`. Both are pure functions, are never one number, and list their reasons,
because a person may ask for an explanation (PIPL 24, Anti-Telecom and Online Fraud Law 32). `match`
uses them for `ullage assess`, `alert` for incidents. The rules are data (`rules.toml`), so that
other rules can be tried on the same facts. A rule that fails costs its own answer: the result then
says that a person must judge.

    facts       what is counted
    rules       points and thresholds, parsed and validated
    statistics  exact probabilities
    origin      whose leak it is
    exposure    the score, explained
    severity    what a person has to do, by when, and who is notified
    next_step   the first action, and the least severity that it demands
"""

from functools import partial

from ullage.guard import FaultGuard
from ullage.verdict.exposure import UNJUDGED_EXPOSURE, ExposureScore, judge_exposure, severity_unit
from ullage.verdict.facts import Crowd, Reason, VerdictFacts, expect_by_chance, format_number
from ullage.verdict.next_step import UNJUDGED_STEP, NextStep, StepConditions, next_step
from ullage.verdict.origin import UNJUDGED_ORIGIN, Origin, judge_origin
from ullage.verdict.rules import VERDICT, VerdictRules, load_verdict_rules

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
    "expect_by_chance",
    "format_number",
    "judge",
    "load_verdict_rules",
    "next_step",
    "severity_unit",
]


def judge(
    facts: VerdictFacts,
    rules: VerdictRules,
    guard: FaultGuard,
    conditions: StepConditions | None = None,
) -> tuple[ExposureScore, Origin]:
    """Return the exposure score and the origin of a leak.

    Where a rule fails, a lenient `guard` reports it, and the answer is that a person must judge; a
    strict one raises the fault. `conditions` are those shown to a reader of the next step, if they
    are more than `facts`: posts of one incident are judged one by one, and shown together.
    """
    origin = guard.run("origin", partial(judge_origin, facts, rules.origin), UNJUDGED_ORIGIN)
    judge_severity = partial(
        judge_exposure, facts, origin, rules, conditions or facts.step_conditions
    )
    return guard.run("severity", judge_severity, UNJUDGED_EXPOSURE), origin
