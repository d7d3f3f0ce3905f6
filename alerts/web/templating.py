"""Render the console's pages in the reader's language and time zone.

`InLanguage` wraps the application: it chooses the language of each request by cookie and
Accept-Language header and stores it in `READER`. `speak` prepares a Jinja environment for one
language. Texts in templates are marked `_("…")` or `{% trans %}`; texts made in Python are
`Phrase`s and pass through the filter `|said`. The classes below (`StatePage`, `TableSection`,
`TableCell`, `MenuEntry`) describe pages of tables and the navigation, so that such pages need no
template of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Literal, NamedTuple

from jinja2 import Environment
from jinja2.ext import Extension
from markupsafe import Markup, escape
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from alerts.accounts import Principal
from alerts.cases import incident_view
from alerts.translation import (
    LANGUAGES,
    TAGS,
    catalogue,
    name_labels,
    named,
    sentence,
    translated,
)
from ullage.phrase import Phrase
from ullage.settings import Language

COOKIE = "ullage_language"
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
"""The format of a date field."""
CODE = re.compile(r"`([^`<>]{1,80})`")


@dataclass(frozen=True, slots=True)
class PageReader:
    """The reader of a page: the language, and the place to come back to after changing it."""

    language: Language = "en"
    place: str = "/"
    base: str = ""
    """The path below which the reader sees the console (`RequestSource.base`)."""
    path: str = "/"
    """The requested path, by which the navigation marks the current page."""


_LEADS = re.compile(r'((?:\b(?:href|action|src)="|0;url=)(?=/|\{\{(?![^}]*\|link\b)))')
"""Links of a template to the console: neither fragments nor passed through `link`."""
READER: ContextVar[PageReader] = ContextVar("reader", default=PageReader())  # noqa: B039
"""The reader of the current request."""


def choose_language(cookie: str, accepted: str) -> Language:
    """Return a reader's language: their own choice, else what the browser accepts, else English.

    `cookie` is the value of the language cookie, `accepted` the Accept-Language header; both may be
    "".

    >>> choose_language("", "zh-CN,zh;q=0.9,en;q=0.8"), choose_language("en", "zh-CN")
    ('zh', 'en')
    >>> choose_language("", "de, zh;q=0.2"), choose_language("", "")
    ('zh', 'en')
    """
    for language in LANGUAGES:
        if cookie == language:
            return language
    accepted_tags = [
        (_parse_quality(parameter), tag.strip().lower().partition("-")[0])
        for tag, _, parameter in _parts(accepted)
    ]
    matches = [
        (quality, language)
        for quality, tag in accepted_tags
        for language in LANGUAGES
        if tag == language and quality > 0
    ]
    return max(matches, key=lambda pair: pair[0])[1] if matches else "en"


class PathPrefixer(Extension):
    """Puts the console's path before the links of a template."""

    def preprocess(  # Jinja passes all of them
        self,
        source: str,
        name: str | None,  # noqa: ARG002
        filename: str | None = None,  # noqa: ARG002
    ) -> str:
        """Return the template's source with `base()` before its links."""
        return _LEADS.sub(r"\1{{ base() }}", source)


def base() -> str:
    """Return the path below which the reader sees the console."""
    return READER.get().base


def _parts(accepted: str) -> Iterable[tuple[str, str, str]]:
    return (part.partition(";") for part in accepted.split(","))


def _parse_quality(parameter: str) -> float:
    """Return the number in `q=0.8`; 1 if there is none, 0 if it is malformed."""
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    return (
        float(value)
        if name == "q" and value.replace(".", "", 1).isdecimal() and value.isascii()
        else 0.0
    )


class InLanguage:
    """Wraps the application and sets the reader of each request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose the language by cookie or header, set the reader, and pass the request on.

        The reader is set only while the request is answered.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        language = choose_language(
            cookie_parser(headers.get("cookie", "")).get(COOKIE, ""),
            headers.get("accept-language", ""),
        )
        place = b"?".join(filter(None, (scope["raw_path"], scope["query_string"]))).decode(
            "latin-1"
        )
        path, base = scope["raw_path"].decode("latin-1"), scope.get("state", {}).get("base", "")
        token = READER.set(
            PageReader(language, place if scope["method"] == "GET" else "/", base, path)
        )
        try:
            await self._app(scope, receive, send)
        finally:
            READER.reset(token)


def speaker() -> Callable[[object], str]:
    """Return a function that translates a text for the reader of the current request.

    The text may be a phrase, an error, a message, or a list of these.
    """
    translate = catalogue(READER.get().language).gettext
    return lambda text: translated(text, translate)


def mark_code(text: str) -> Markup:
    """Return `text` as safe HTML: escaped, and with code elements for what is between backticks.

    >>> mark_code("<b> `ullage check` says")
    Markup('&lt;b&gt; <code>ullage check</code> says')
    """
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - it is escaped


def speak(pages: Environment, language: Language, zone: tzinfo | None) -> None:
    """Install the translations, filters and globals of `language` in a Jinja environment.

    Moments are shown in `zone`, or in this machine's zone if it is None.
    """
    translations = catalogue(language)
    pages.add_extension(PathPrefixer)
    pages.add_extension("jinja2.ext.i18n")
    pages.policies["ext.i18n.trimmed"] = True
    pages.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    pages.globals["_"] = pages.globals["gettext"]  # Jinja's own looks `gettext` up at each call
    pages.filters |= {
        "said": lambda text: translated(text, translations.gettext, zone),
        "sentence": lambda text: sentence(
            translated(text, translations.gettext, zone), translations.gettext(".")
        ),
        "brief": lambda values, shown: incident_view.brief(
            values, shown, translations.gettext(", ")
        ),
        "claimed": lambda claims: incident_view.summarize_claims(claims, translations.gettext),
        "heading": lambda incident: incident_view.heading(incident, language),
        "heading_parts": lambda incident: incident_view.heading_parts(incident, language),
        "offer": lambda incident: incident_view.offer(incident, translations.gettext),
        "coded": mark_code,
        "labelled": lambda skeleton: name_labels(skeleton, language),
        "word": lambda name, of: named(name, of, language),
        "words": lambda names, of: [named(name, of, language) for name in names],
    }
    pages.tests["day"] = lambda typed: bool(DAY.fullmatch(str(typed)))
    pages.globals |= {
        "base": base,
        "language": language,
        "languages": LANGUAGES,
        "tags": TAGS,
        "either": lambda en, zh: (zh or en) if language == "zh" else en,
    }


Group = Literal["work", "proof", "state"]
GROUPS: dict[Group, Phrase] = {
    "work": Phrase("Work"),
    "proof": Phrase("Coverage"),
    "state": Phrase("Administration"),
}


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """An entry of the navigation for principals with all permissions in `needs`.

    `needs` is separated by spaces; `order` is ascending within the group; `also` are paths that
    belong to the entry.
    """

    path: str
    name: Phrase
    needs: str
    group: Group
    order: int
    also: tuple[str, ...] = ()

    def contains(self, place: str) -> bool:
        """Return whether a path of the console, with or without query, belongs to this entry."""
        path = place.partition("?")[0]
        return path == self.path or path.startswith(
            tuple(f"{prefix}/" for prefix in (self.path, *self.also) if prefix != "/")
        )


def build_menu(
    entries: tuple[MenuEntry, ...], principal: Principal
) -> list[tuple[Phrase, list[MenuEntry]]]:
    """Return the entries that `principal` may open, as pairs of a group's name and its entries.

    Groups are in the order of `GROUPS`, entries by their `order`. Groups without an entry are left
    out.
    """
    allowed = sorted(
        (entry for entry in entries if all(map(principal.can, entry.needs.split()))),
        key=lambda item: item.order,
    )
    groups = [
        (name, [entry for entry in allowed if entry.group == group])
        for group, name in GROUPS.items()
    ]
    return [(name, members) for name, members in groups if members]


Tone = Literal["", "good", "bad", "unsure"]


@dataclass(frozen=True, slots=True)
class TableCell:
    """The content of a table cell: a text, a phrase, a time or a number.

    `href` makes it a link. `tone` colours it and is never the only sign of what it says.
    """

    value: object
    href: str = ""
    tone: Tone = ""
    code: bool = False
    right: bool = False
    """Whether a text is aligned like a number."""
    below: str = ""
    """The id of `value`, in small print."""

    @property
    def is_plain(self) -> bool:
        """Return whether the value stands alone, without link, tone or small print."""
        return not (self.href or self.tone or self.code or self.below)

    @property
    def is_number(self) -> bool:
        """Return whether the cell is aligned to the right."""
        return self.right or isinstance(self.value, int | float)

    @property
    def is_whole(self) -> bool:
        """Return whether the cell stays on one line."""
        return isinstance(self.value, datetime)


@dataclass(frozen=True, slots=True)
class TableSection:
    """A table under a heading; `empty` is shown instead if it has no rows."""

    title: Phrase
    heads: tuple[Phrase, ...]
    rows: Sequence[Sequence[TableCell]]
    empty: Phrase
    note: Phrase | None = None
    pictures: tuple[Markup, ...] = ()
    more: Phrase | None = None
    """A note below the table about omitted rows."""


class FilterField(NamedTuple):
    """A search field of a page; a choice if it has `options`, by value."""

    name: str
    label: Phrase
    value: str
    options: Mapping[str, Phrase] = {}


@dataclass(frozen=True, slots=True)
class StatePage:
    """A page of tables: heading, a one-line verdict, search fields and sections."""

    title: Phrase
    sections: tuple[TableSection, ...]
    verdict: Phrase | None = None
    tone: Tone = ""
    fields: tuple[FilterField, ...] = ()
    action: str = ""
    links: tuple[tuple[str, Phrase], ...] = ()
    refused: Any = None
