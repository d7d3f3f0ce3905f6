"""Choose the next step of an incident or a file, and the least severity that the step demands.

Both are data of one table (`next_steps.toml`), so no rule elsewhere can give a step with too low a
severity: a verdict takes its severity through `raise_to_step`, the only way from the severity table
to a severity that anybody reads.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ullage.files.rule_files import load_shipped
from ullage.verdict.rules import ORDER, Severity

Action = Literal["reset", "block", "call", "confirm", "takedown", "ask", "again", "nothing"]


class StepConditions(NamedTuple):
    """Conditions shown beside the next step.

    `people`: customers were found; `alone`: each was found by one value that no second field
    confirms; `unread`: some part could not be read.
    """

    people: bool
    alone: bool
    unread: bool


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NextStep(_Data):
    """A first action, its text in both languages, when it applies, and the least severity."""

    action: Action
    least: Severity
    text: str
    text_zh: str
    origins: frozenset[str] = frozenset()
    severities: frozenset[Severity] = frozenset()
    scenarios: frozenset[str] = frozenset()
    people: bool | None = None
    alone: bool | None = None
    unread: bool | None = None

    @model_validator(mode="after")
    def _require_own_severity(self) -> Self:
        """Refuse a step that its own least severity would replace by another.

        Raises ValueError in that case.
        """
        if self.severities and self.least not in self.severities:
            raise ValueError(f"least severity {self.least} is none of its severities: {self.text}")
        return self

    def fits(self, origin: str, severity: str, scenario: str, conditions: StepConditions) -> bool:
        """Return whether the step applies to a leak source, severity, scenario and conditions.

        A criterion that the step does not name is met by everything.
        """
        named = ((self.origins, origin), (self.severities, severity), (self.scenarios, scenario))
        required = zip((self.people, self.alone, self.unread), conditions, strict=True)
        return all(not names or name in names for names, name in named) and all(
            value in (None, condition) for value, condition in required
        )


class _Steps(_Data):
    step: tuple[NextStep, ...] = Field(min_length=1)


@cache
def steps() -> tuple[NextStep, ...]:
    """Return all next steps in the order in which they are tried; the first that applies counts."""
    return load_shipped(_Steps, __package__, "next_steps.toml").step


UNJUDGED_STEP = NextStep(
    action="confirm",
    least="noise",
    text="Have a person judge what to do: the rule that chooses the next step failed.",
    text_zh="选取下一步的规则出错，请由人工研判如何处置。",
)


def next_step(origin: str, severity: str, scenario: str, conditions: StepConditions) -> NextStep:
    """Return the first step that applies.

    There is one for every origin, severity, scenario ("" for none) and condition.
    """
    return next(step for step in steps() if step.fits(origin, severity, scenario, conditions))


def raise_to_step(
    origin: str, severity: Severity, scenario: str, conditions: StepConditions
) -> Severity:
    """Return the severity, raised until it is at least what its next step requires.

    A raised severity may have another step, which may require more. The result is never lower than
    `severity`.
    """
    least = next_step(origin, severity, scenario, conditions).least
    if ORDER.index(least) <= ORDER.index(severity):
        return severity
    return raise_to_step(origin, least, scenario, conditions)
