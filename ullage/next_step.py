"""What to do next, in one line: the same for the verdict on a file, the terminal, the page, a message and a report."""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ullage.rulefiles import shipped
from ullage.verdict.rules import Severity

Action = Literal["reset", "block", "call", "confirm", "takedown", "ask", "again", "nothing"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Data):
    """What a person does first, and the line that says so in both languages; and when it fits, see `next_steps.toml`."""

    action: Action
    text: str
    text_zh: str
    origins: frozenset[str] = frozenset()
    severities: frozenset[Severity] = frozenset()
    scenarios: frozenset[str] = frozenset()
    people: bool | None = None
    unread: bool | None = None

    def fits(self, origin: str, severity: str, scenario: str, *, people: bool, unread: bool) -> bool:
        """Whether it is for this."""
        named = ((self.origins, origin), (self.severities, severity), (self.scenarios, scenario))
        asked = ((self.people, people), (self.unread, unread))
        return all(not some or one in some for some, one in named) and all(wanted in (None, one) for wanted, one in asked)


class _Steps(_Data):
    step: tuple[Step, ...]


@cache
def _steps() -> tuple[Step, ...]:
    return shipped(_Steps, "ullage", "next_steps.toml").step


def next_step(origin: str, severity: str, scenario: str = "", *, people: bool, unread: bool) -> Step:
    """The first step that fits: there is one for every origin, severity and scenario ("" for none).

    `people` is whether customers were found, `unread` whether something was not read.
    """
    return next(step for step in _steps() if step.fits(origin, severity, scenario, people=people, unread=unread))
