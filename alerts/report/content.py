"""The draft's fixed content: data files in both languages, read once into records."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict


class Text(NamedTuple):
    """The same in English and Chinese."""

    en: str
    zh: str


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Field(_Row):
    """A field of the draft: what asks for it, and what a person has to write where the store knows nothing."""

    id: str
    title: str
    title_zh: str
    law: str
    law_zh: str
    ask: str
    ask_zh: str


class Section(_Row):
    """Fields that belong together."""

    title: str
    title_zh: str
    field: tuple[Field, ...]


class Category(_Row):
    """What a field label of a leaked row means."""

    title: str
    title_zh: str


class Advice(_Row):
    """Possible harm, and what the people concerned can do about it."""

    harm: str
    harm_zh: str
    advice: tuple[str, ...]
    advice_zh: tuple[str, ...]

    def lines(self) -> tuple[Text, ...]:
        """The advice, a line each."""
        return tuple(Text(*pair) for pair in zip(self.advice, self.advice_zh, strict=True))


class _Advice(_Row):
    general: Advice
    scenario: dict[str, Advice]


def _read(name: str) -> dict[str, object]:
    return tomllib.loads((resources.files(__package__) / name).read_text(encoding="utf-8"))


class _Draft(_Row):
    section: tuple[Section, ...]


@cache
def sections() -> tuple[Section, ...]:
    """The sections of the draft, in order."""
    return _Draft.model_validate(_read("draft.toml")).section


@cache
def categories() -> dict[str, Category]:
    """Each field label's meaning."""
    return {label: Category.model_validate(row) for label, row in _read("categories.toml").items()}


@cache
def _advice() -> _Advice:
    return _Advice.model_validate(_read("advice.toml"))


def advice_for(scenario: str) -> tuple[Advice, ...]:
    """The advice of a scenario ("" for none) and the general one."""
    known = _advice().scenario.get(scenario)
    return (*([known] if known else []), _advice().general)


def advised() -> frozenset[str]:
    """The scenarios that there is advice for."""
    return frozenset(_advice().scenario)
