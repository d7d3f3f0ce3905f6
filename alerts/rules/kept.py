"""Which rules are in force: those that this version comes with, or the file that was put into `DATA/rules`."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from alerts.noise import background
from ullage.errors import ConfigError
from ullage.settings import RULES
from ullage.verdict import Rules as Verdict
from ullage.verdict import read_rules

Kind = Literal["verdict", "background"]
SHIPPED = {"verdict": ("ullage.verdict", "rules.toml"), "background": ("alerts.noise", "background.toml")}
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of rules: its text, where it is from, and what it says."""

    kind: Kind
    text: str
    name: str
    rules: Verdict | background.Rules


def file_of(data: Path, kind: Kind) -> Path:
    """Where the house's own rules of a kind lie."""
    return data / RULES / f"{kind}.toml"


def in_force(data: Path, kind: Kind) -> Kept:
    """The rules of a kind that are in force; ConfigError when the house's own file is wrong."""
    own = file_of(data, kind)
    if own.exists():
        return read(own, kind)
    package, file = SHIPPED[kind]
    return _parsed((resources.files(package) / file).read_text(encoding="utf-8"), file, kind)


def background_in_force(data: Path) -> background.Rules:
    """The rules of background that are in force."""
    rules = in_force(data, "background").rules
    assert isinstance(rules, background.Rules)
    return rules


def read(path: Path, kind: Kind | None = None) -> Kept:
    """The rules in a file, whose tables say of which kind they are; ConfigError says what is wrong with it."""
    text = text_of(path)
    return _parsed(text, str(path), kind or _kind_of(text, path))


def text_of(path: Path) -> str:
    """The text of a file of rules or terms; ConfigError when it cannot be read."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} is larger than rules are")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({type(error).__name__})") from None


def put(data: Path, kept: Kept) -> Path:
    """Put rules into force, whole or not at all."""
    target = file_of(data, kept.kind)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_suffix(".partial")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(kept.text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)
    return target


def _kind_of(text: str, path: Path) -> Kind:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML ({error})") from None
    if "scenario" in tables:
        return "verdict"
    if "rule" in tables:
        return "background"
    raise ConfigError(
        f"{path} holds neither scenarios nor background rules: `ullage rules show` prints what such a file looks like"
    )


def _parsed(text: str, name: str, kind: Kind) -> Kept:
    return Kept(kind, text, name, read_rules(text, name) if kind == "verdict" else background.parsed(text, name))
