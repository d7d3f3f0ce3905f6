"""Chinese or English, one at a time, for whoever reads: a page, a message, a report.

A message is its own English; `locale/zh/LC_MESSAGES/desk.po` has the Chinese of each and is read once, so that there is nothing
to compile. Who reads is known where the text is shown: on a page by the browser, in messages and reports by the tenant.
"""

from __future__ import annotations

import io
import tomllib
from collections.abc import Callable, Mapping
from datetime import tzinfo
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib import resources
from typing import Any

from alerts import words
from ullage.identifiers import kinds
from ullage.phrase import Phrase
from ullage.settings import Language, Settings

LANGUAGES: Mapping[Language, str] = {"zh": "中文", "en": "English"}
TAGS = {"zh": "zh-Hans", "en": "en"}
"""As HTML names them."""


@cache
def catalogue(language: Language) -> NullTranslations:
    """What the messages are in a language, with nouns of identifier kinds and titles of rules; in English they are themselves."""
    if language == "en":
        return NullTranslations()
    from babel.messages.mofile import write_mo  # noqa: PLC0415 - for Chinese alone, once
    from babel.messages.pofile import read_po  # noqa: PLC0415

    with resources.files("alerts").joinpath("locale", language, "LC_MESSAGES", "desk.po").open("rb") as file:
        read, made = read_po(file, locale=language), io.BytesIO()
    for kind in kinds().values():
        read.add(kind.noun, kind.noun_zh)
    rules = resources.files("alerts").joinpath("clocks", "regimes.toml").read_text(encoding="utf-8")
    for regime in tomllib.loads(rules)["regime"]:
        read.add(regime["title"], regime["title_zh"])
    write_mo(made, read)
    made.seek(0)
    return GNUTranslations(made)


def house_language(settings: Settings) -> Language:
    """The language of what is of no tenant, or of all of them: theirs where they have one; Chinese where they differ."""
    spoken = {tenant.language for tenant in settings.tenants.values()}
    return spoken.pop() if len(spoken) == 1 else "zh"


def translated(text: object, translate: Callable[[str], str], zone: tzinfo | None = None) -> str:
    """What Python made, in a language, moments in `zone`: a phrase, an error, a message, or several of them."""
    if isinstance(text, Phrase):
        return text.said(translate, zone)
    if isinstance(text, Exception):
        return translated(text.args[0], translate, zone) if text.args else str(text)
    if isinstance(text, tuple | list):
        return translate(", ").join(translated(one, translate, zone) for one in text)
    return translate(text) if isinstance(text, str) and text else str(text)


def named(name: str, of: str, language: Language) -> str:
    """A word of a closed list (`NAMES`) in a language."""
    if language == "zh":
        return NAMES[of].get(name, name)
    return words.ENGLISH.get(of, {}).get(name) or words.spaced(name)


def sentence(text: str, stop: str) -> str:
    """`text` with a large first letter and `stop` behind it.

    >>> sentence("it is lifted already", ".")
    'It is lifted already.'
    """
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "。", "!", "?")) else stop)


NAMES: Mapping[str, Mapping[Any, str]] = {
    "severity": words.SEVERITY,
    "status": words.STATUS,
    "origin": words.ORIGIN,
    "kind": words.KIND,
    "field": words.FIELD,
    "role": words.ROLE,
}
"""Closed lists of words, in Chinese."""
