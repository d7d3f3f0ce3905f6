"""Translate phrases, words of closed lists and moments into Chinese or English.

The English text of a message is its id; `locale/zh/LC_MESSAGES/desk.po` has the Chinese for each.
`catalogue` reads it once per process, so nothing has to be compiled; `translated` renders a phrase
with it, and `named` gives the display name of a word such as `false_positive`. A text that the
catalogue lacks stays English; nothing here raises for one. The language is chosen where a text is
shown: by the browser on a page, by the tenant in messages and reports.
"""

from __future__ import annotations

import io
import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import tzinfo
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib import resources
from typing import Any

from ullage.identifiers import kinds
from ullage.lookup.values import NUMBER
from ullage.phrase import Phrase
from ullage.settings import Language, Settings
from ullage.verdict.severity import IN_CHINESE
from ullage.verdict.words import FIELDS

SEVERITY = IN_CHINESE
STATUS = {
    "open": "待处理",
    "acknowledged": "已受理",
    "confirmed": "已确认",
    "reported": "已上报",
    "resolved": "已处置",
    "false_positive": "误报",
    "note": "备注",
}
ORIGIN = {
    "ours": "与我方记录相符",
    "partner": "含仅提供给一家合作方的诱饵数据",
    "devices": "终端窃取",
    "elsewhere": "系他处数据",
    "recycled": "旧料翻炒",
    "fabricated": "编造",
    "unknown": "来源不明",
}
"""The words never say who leaked: in a draft for an authority that would be an admission."""
KIND = {kind.name: kind.noun_zh for kind in kinds().values()} | {"name": "姓名", NUMBER: "长数字"}
FIELD = {**{str(label): chinese for label, (_, chinese) in FIELDS.items()}, "OTHER": "其他字段"}
LABEL = re.compile(r"<([A-Z]+)>")
"""A field label in the skeleton of a row."""
ROLE = {
    "operator": "系统运维",
    "agent": "客服坐席",
    "fraud": "反欺诈",
    "analyst": "分析员",
    "lead": "负责人",
    "dpo": "个保负责人",
    "resolver": "客户身份还原",
    "evidence": "取证员",
    "auditor": "审计员",
}
ENGLISH = {
    "field": {
        **{str(label): english for label, (english, _) in FIELDS.items()},
        "OTHER": "other fields",
    },
    "kind": {
        "resident_id": "resident ID",
        "iban": "IBAN",
        "qq": "QQ",
        "uscc": "company code",
        "wechat": "WeChat",
    },
    "role": {"dpo": "DPO", "evidence": "evidence officer"},
}
"""English words that differ from the code name."""


def spaced(word: str) -> str:
    """Return a code name with spaces for its underscores, for people to read.

    >>> spaced('false_positive')
    'false positive'
    """
    return word.replace("_", " ")


LANGUAGES: Mapping[Language, str] = {"zh": "中文", "en": "English"}
TAGS = {"zh": "zh-Hans", "en": "en"}
"""Language tags for HTML."""


@cache
def catalogue(language: Language) -> NullTranslations:
    """Return the translations of all messages into a language, loaded once per process.

    They include the nouns of identifier kinds and the titles of reporting rules. English messages
    stay as they are.
    """
    if language == "en":
        return NullTranslations()
    from babel.messages.mofile import write_mo  # noqa: PLC0415 - for Chinese alone, once
    from babel.messages.pofile import read_po  # noqa: PLC0415

    with (
        resources.files("alerts")
        .joinpath("locale", language, "LC_MESSAGES", "desk.po")
        .open("rb") as file
    ):
        read, made = read_po(file, locale=language), io.BytesIO()
    for kind in kinds().values():
        read.add(kind.noun, kind.noun_zh)
    rules = (
        resources.files("alerts").joinpath("deadlines", "regimes.toml").read_text(encoding="utf-8")
    )
    for regime in tomllib.loads(rules)["regime"]:
        read.add(regime["title"], regime["title_zh"])
    write_mo(made, read)
    made.seek(0)
    return GNUTranslations(made)


def house_language(settings: Settings) -> Language:
    """Return the language of texts that concern no single tenant.

    It is the language of all tenants if they agree, else Chinese.
    """
    spoken = {tenant.language for tenant in settings.tenants.values()}
    return spoken.pop() if len(spoken) == 1 else "zh"


def translated(text: object, translate: Callable[[str], str], zone: tzinfo | None = None) -> str:
    """Return `text` translated: a phrase, an error, a message, or a list or tuple of these.

    `translate` is the `gettext` of a catalogue. Moments in a phrase are shown in `zone`. An error
    is shown by its first argument. The items of a list are joined with commas. Any other object is
    shown as `str` shows it.
    """
    if isinstance(text, Phrase):
        return text.render(translate, zone)
    if isinstance(text, Exception):
        return translated(text.args[0], translate, zone) if text.args else str(text)
    if isinstance(text, tuple | list):
        return translate(", ").join(translated(one, translate, zone) for one in text)
    return translate(text) if isinstance(text, str) and text else str(text)


def named(name: str, of: str, language: Language) -> str:
    """Return the display name, in a language, of the code word `name`.

    `of` names the closed list that it is from, a key of `NAMES`. A word without a Chinese name is
    returned as it is. A word without an English one is returned with spaces for its underscores.
    """
    if language == "zh":
        return NAMES[of].get(name, name)
    return ENGLISH.get(of, {}).get(name) or spaced(name)


def name_labels(skeleton: str, language: Language) -> str:
    """Return the skeleton of a row with its field labels named in a language.

    >>> name_labels("<NAME>----<LOAN>", "zh"), name_labels("<NAME>----<LOAN>", "en")
    ('<姓名>----<贷款>', '<NAME>----<LOAN>')
    """
    if language == "en":
        return skeleton
    return LABEL.sub(lambda label: f"<{FIELD.get(label[1], label[1])}>", skeleton)


def sentence(text: str, stop: str) -> str:
    """Return `text` as a sentence, with a capital first letter and `stop` at its end.

    `stop` is not added if the text already ends with a full stop, `!` or `?`.

    >>> sentence("it is lifted already", ".")
    'It is lifted already.'
    """
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "。", "!", "?")) else stop)


NAMES: Mapping[str, Mapping[Any, str]] = {
    "severity": SEVERITY,
    "status": STATUS,
    "origin": ORIGIN,
    "kind": KIND,
    "field": FIELD,
    "role": ROLE,
}
"""Closed lists of words, in Chinese."""
