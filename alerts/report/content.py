"""The draft's fixed content: data files in both languages, read once into records."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from pydantic import RootModel

from alerts.records.document import Frozen
from ullage.files.rulefiles import shipped


class Text(NamedTuple):
    """The same in English and Chinese."""

    en: str
    zh: str


class ReportField(Frozen):
    """A field of the draft: what asks for it, and what a person has to write where the store knows nothing."""

    id: str
    title: str
    title_zh: str
    law: str
    law_zh: str
    ask: str
    ask_zh: str


class ReportSection(Frozen):
    """Fields that belong together."""

    title: str
    title_zh: str
    field: tuple[ReportField, ...]


class Category(Frozen):
    """What a field label of a leaked row means."""

    title: str
    title_zh: str


class _Categories(RootModel[dict[str, Category]]):
    """By label."""


class Advice(Frozen):
    """Possible harm, and what the people concerned can do about it."""

    harm: str
    harm_zh: str
    advice: tuple[str, ...]
    advice_zh: tuple[str, ...]

    def lines(self) -> tuple[Text, ...]:
        """The advice, a line each."""
        return tuple(Text(*pair) for pair in zip(self.advice, self.advice_zh, strict=True))


class _Advice(Frozen):
    general: Advice
    scenario: dict[str, Advice]


class _Draft(Frozen):
    section: tuple[ReportSection, ...]


@cache
def sections() -> tuple[ReportSection, ...]:
    """The sections of the draft, in order."""
    return shipped(_Draft, "alerts.report", "draft.toml").section


@cache
def categories() -> dict[str, Category]:
    """Each field label's meaning."""
    return shipped(_Categories, "alerts.report", "categories.toml").root


@cache
def _advice() -> _Advice:
    return shipped(_Advice, "alerts.report", "advice.toml")


def advice_for(scenario: str) -> tuple[Advice, ...]:
    """The advice of a scenario ("" for none) and the general one."""
    known = _advice().scenario.get(scenario)
    return (*([known] if known else []), _advice().general)
