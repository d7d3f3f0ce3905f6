"""What to do next, in one line, and by when a person decides: the same for file, terminal, page, message and report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ullage.display import moment
from ullage.files.rule_files import shipped
from ullage.verdict.rules import Severity

Action = Literal["reset", "block", "call", "confirm", "takedown", "ask", "again", "nothing"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NextStep(_Data):
    """What a person does first, and the line that says so in both languages; and when it fits, see `next_steps.toml`."""

    action: Action
    text: str
    text_zh: str
    origins: frozenset[str] = frozenset()
    severities: frozenset[Severity] = frozenset()
    scenarios: frozenset[str] = frozenset()
    people: bool | None = None
    alone: bool | None = None
    unread: bool | None = None

    def fits(self, origin: str, severity: str, scenario: str, *, people: bool, alone: bool, unread: bool) -> bool:
        """Whether it is for this."""
        named = ((self.origins, origin), (self.severities, severity), (self.scenarios, scenario))
        asked = ((self.people, people), (self.alone, alone), (self.unread, unread))
        return all(not some or one in some for some, one in named) and all(wanted in (None, one) for wanted, one in asked)


@dataclass(frozen=True, slots=True)
class Decide:
    """Within how many minutes a person decides whether an incident is confirmed; by when, None while nobody was told of it."""

    minutes: int
    by: datetime | None = None

    def words(self, now: datetime | None = None, zone: tzinfo | None = None) -> tuple[str, str]:
        """In one line in English and Chinese.

        >>> Decide(60).words()[0]
        'Decide within 60 minutes of notification whether it is confirmed: only then are its reports due.'
        """
        if self.by is None:
            hours, minutes = divmod(self.minutes, 60)
            in_hours = hours > 1 and not minutes
            within, zh = (f"{hours} hours", f"{hours}小时") if in_hours else (f"{self.minutes} minutes", f"{self.minutes}分钟")
            asked, asked_zh = f"Decide within {within} of notification", f"请在获知后{zh}内"
        elif now is not None and now > self.by:
            by = moment(self.by, zone)
            asked, asked_zh = f"Decide now (it was to be by {by})", f"请立即（应于{by}前）"
        else:
            by = moment(self.by, zone)
            asked, asked_zh = f"Decide by {by}", f"请于{by}前"
        return (
            f"{asked} whether it is confirmed: only then are its reports due.",
            f"{asked_zh}判定是否确认：确认后方须按时限报告。",
        )


class _Steps(_Data):
    step: tuple[NextStep, ...]


@cache
def _steps() -> tuple[NextStep, ...]:
    return shipped(_Steps, __package__, "next_steps.toml").step


def next_step(origin: str, severity: str, scenario: str = "", *, people: bool, alone: bool, unread: bool) -> NextStep:
    """The first step that fits: there is one for every origin, severity and scenario ("" for none).

    `people` is whether customers were found, `alone` whether they were by one value each and no row agrees with any of them,
    `unread` whether something was not read.
    """
    asked = {"people": people, "alone": alone, "unread": unread}
    return next(step for step in _steps() if step.fits(origin, severity, scenario, **asked))
