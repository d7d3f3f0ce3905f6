"""Render templates in the reader's language.

Templates say `_("…")`, `{% trans %}` and, of what Python made, `…|said`.
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
from alerts.translation import LANGUAGES, TAGS, catalogue, named, sentence, translated
from ullage.phrase import Phrase
from ullage.settings import Language

COOKIE = "ullage_language"
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
"""What a date field holds."""
CODE = re.compile(r"`([^`<>]{1,80})`")


@dataclass(frozen=True, slots=True)
class PageReader:
    """Who is answered: in which language, and the place (path and query) to come back to after
    the language was changed.
    """

    language: Language = "en"
    place: str = "/"
    base: str = ""
    """The path below which they see the desk (`address.Asked.base`)."""
    path: str = "/"
    """What was asked for, a form as well: where the navigation says that they are."""


_LEADS = re.compile(r'((?:\b(?:href|action|src)="|0;url=)(?=/|\{\{(?![^}]*\|link\b)))')
"""Where a template leads to a place of the desk: whatever is no fragment, and not passed through
`link`, which leads outside.
"""
READER: ContextVar[PageReader] = ContextVar("reader", default=PageReader())  # noqa: B039 - it cannot be changed
"""Of the request in hand."""


def chosen(cookie: str, accepted: str) -> Language:
    """The language of a reader, by what was chosen, then by what the browser accepts; English where
    neither is ours.

    >>> chosen("", "zh-CN,zh;q=0.9,en;q=0.8"), chosen("en", "zh-CN"), chosen("", "de, zh;q=0.2"), chosen("", "")
    ('zh', 'en', 'zh', 'en')
    """  # noqa: E501
    for known in LANGUAGES:
        if cookie == known:
            return known
    wanted = [
        (_quality(rest), tag.strip().lower().partition("-")[0]) for tag, _, rest in _parts(accepted)
    ]
    ours = [
        (quality, known)
        for quality, tag in wanted
        for known in LANGUAGES
        if tag == known and quality > 0
    ]
    return max(ours, key=lambda pair: pair[0])[1] if ours else "en"


class PathPrefixer(Extension):
    """Puts the path below which a reader sees the desk before each place of the desk that a
    template leads to.
    """

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:  # noqa: ARG002 - as Jinja calls it
        """The source of a template, with `base()` before its places."""
        return _LEADS.sub(r"\1{{ base() }}", source)


def base() -> str:
    """The path below which whoever is answered sees the desk."""
    return READER.get().base


def _parts(accepted: str) -> Iterable[tuple[str, str, str]]:
    return (part.partition(";") for part in accepted.split(","))


def _quality(rest: str) -> float:
    """Of `q=0.8`; 1 where none is said, 0 for what is no number."""
    name, _, value = rest.strip().partition("=")
    if not name:
        return 1.0
    return (
        float(value)
        if name == "q" and value.replace(".", "", 1).isdecimal() and value.isascii()
        else 0.0
    )


class InLanguage:
    """Wraps the application: notes for whom it answers, and says in which language it does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        language = chosen(
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
    """Says what Python made in the language of whoever asks."""
    translate = catalogue(READER.get().language).gettext
    return lambda text: translated(text, translate)


def coded(text: str) -> Markup:
    """`text`, escaped, with what stands between backticks as code.

    >>> coded("<b> `ullage check` says")
    Markup('&lt;b&gt; <code>ullage check</code> says')
    """
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - it is escaped


def speak(pages: Environment, language: Language, zone: tzinfo | None) -> None:
    """Let templates speak a language, with moments in `zone`."""
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
        "claimed": lambda claims: incident_view.claimed(claims, translations.gettext),
        "heading": lambda incident: incident_view.heading(incident, language),
        "offer": lambda incident: incident_view.offer(incident, translations.gettext),
        "coded": coded,
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
    """A place in the navigation, for whoever has all that `needs` names, with spaces between.

    `order` is ascending within its group, `also` are paths below it.
    """

    path: str
    name: Phrase
    needs: str
    group: Group
    order: int
    also: tuple[str, ...] = ()

    def holds(self, place: str) -> bool:
        """Whether a place of the desk (path and query) lies below this entry."""
        path = place.partition("?")[0]
        return path == self.path or path.startswith(
            tuple(f"{one}/" for one in (self.path, *self.also) if one != "/")
        )


def menu(
    entries: tuple[MenuEntry, ...], principal: Principal
) -> list[tuple[Phrase, list[MenuEntry]]]:
    """What `principal` may go to, by group."""
    mine = sorted(
        (one for one in entries if all(map(principal.can, one.needs.split()))),
        key=lambda one: one.order,
    )
    groups = [(name, [one for one in mine if one.group == group]) for group, name in GROUPS.items()]
    return [(name, ours) for name, ours in groups if ours]


Tone = Literal["", "good", "bad", "unsure"]


@dataclass(frozen=True, slots=True)
class TableCell:
    """What stands in a field: a text, a phrase, a moment or a number; where it leads; `tone` is
    never all that says it.
    """

    value: object
    href: str = ""
    tone: Tone = ""
    code: bool = False
    right: bool = False
    """Of what is said as text and read as a number."""
    below: str = ""
    """The id of what `value` names, in small print."""

    @property
    def is_plain(self) -> bool:
        """Whether nothing is around its value."""
        return not (self.href or self.tone or self.code or self.below)

    @property
    def is_number(self) -> bool:
        """Whether it stands at the right."""
        return self.right or isinstance(self.value, int | float)

    @property
    def is_whole(self) -> bool:
        """Whether it stays on one line."""
        return isinstance(self.value, datetime)


@dataclass(frozen=True, slots=True)
class TableSection:
    """A table under a heading; `empty` is said in its place where it has no row."""

    title: Phrase
    heads: tuple[Phrase, ...]
    rows: Sequence[Sequence[TableCell]]
    empty: Phrase
    note: Phrase | None = None
    pictures: tuple[Markup, ...] = ()
    more: Phrase | None = None
    """Said below the table, of what is left out."""


class FilterField(NamedTuple):
    """What a page is searched by: typed, or chosen where there are `options`, by value."""

    name: str
    label: Phrase
    value: str
    options: Mapping[str, Phrase] = {}


@dataclass(frozen=True, slots=True)
class StatePage:
    """A page: heading, what it comes to in a line, fields to search by, sections."""

    title: Phrase
    sections: tuple[TableSection, ...]
    verdict: Phrase | None = None
    tone: Tone = ""
    fields: tuple[FilterField, ...] = ()
    action: str = ""
    links: tuple[tuple[str, Phrase], ...] = ()
    refused: Any = None
