"""The kinds of rules that there are, and which of them a file holds."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeAlias

from alerts.noise.background import BACKGROUND
from alerts.noise.background import BenignRules as Background
from ullage.errors import ConfigError
from ullage.files.parsing import read_toml
from ullage.files.rulefiles import RuleKind, text_of
from ullage.verdict import VERDICT
from ullage.verdict import VerdictRules as Verdict
from ullage.vocabulary.lexicon import SUFFIX, Vocabulary, themes

AnyKind: TypeAlias = RuleKind[Verdict] | RuleKind[Background] | RuleKind[Vocabulary]


def kinds() -> dict[str, AnyKind]:
    """All of them, by name."""
    return {VERDICT.name: VERDICT, BACKGROUND.name: BACKGROUND, **themes()}


def known(name: str) -> AnyKind:
    """The kind of that name; ConfigError lists them."""
    if name not in kinds():
        raise ConfigError(f"there are no rules of that kind: use {', '.join(kinds())}")
    return kinds()[name]


def kind_of(path: Path) -> AnyKind:
    """Of which kind the rules in a file are: a lexicon by its name, others by their tables. ConfigError when it is none."""
    if path.suffix == SUFFIX:
        if path.stem not in themes():
            raise ConfigError(f"{path}: name a lexicon as the one in its place: {', '.join(n + SUFFIX for n in themes())}")
        return themes()[path.stem]
    try:
        tables = read_toml(text_of(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML ({error})") from None
    for table, kind in (("scenario", VERDICT), ("rule", BACKGROUND)):
        if table in tables:
            return kind
    raise ConfigError(f"{path} has neither scenarios nor benign-post rules: `ullage rules show` prints an example")
