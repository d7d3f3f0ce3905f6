"""Apply CSS, XPath and JMESPath selectors to HTML, XML and JSON.

A selector is a text. `//…`, `./…` and `(…)` are XPath, all else CSS, or JMESPath where a platform
reads JSON; `css:`, `xpath:` and `json:` before it say so outright. Where a list of selectors is
given, the first that finds something counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING, Any, Literal

import jmespath  # type: ignore[import-untyped]  # it has no types
from cssselect import SelectorError
from jmespath.exceptions import JMESPathError  # type: ignore[import-untyped]
from parsel import Selector, csstranslator

from crawlers.sites import nesting
from ullage.errors import RecordError
from ullage.files.validation import read_json

if TYPE_CHECKING:
    from scrapy.http import Response


def declared(response: Response, default: str = "text/plain") -> tuple[str, str]:
    """Media type and charset (lower case, "" if none is named) of the Content-Type header."""
    header = Message()
    header["Content-Type"] = (response.headers.get("Content-Type") or b"").decode(
        "latin-1"
    ) or default
    return header.get_content_type(), str(header.get_param("charset", "") or "").lower()


Language = Literal["css", "json"]
Kind = Literal["html", "xml", "json"]
Node = Any
"""A `Selector`, or what JSON holds."""
XPATH = ("/", "./", "../", "(")
HTML = re.compile(r"(?i)<(!doctype )?html")
BEGINS = re.compile(r"""[{\[]|(?<=JSON\.parse\()\"""")
"""Where data begins in a script: `window.__STATE__ = {`, `JSON.parse("`."""
BLANK = "\ufeff \r\n\t"
MOST_LINKS = 10_000
"""So many entries, lists, files and posts are followed of one page."""
MOST_FOUND = MOST_LINKS + 1
LONGEST_TEXT = 2048
"""Characters of a name, an id or a title that are read."""
MOST_BLANK = 8192
"""Characters of white space before and within them."""
RELATED = "$related"
KEY = "$key"
"""Where the rows of a JSON object, which have names and no order, keep their names."""


@dataclass(frozen=True, slots=True)
class Selection:
    """One selector, ready to be asked in the languages in which it may be read; of what it finds
    the first `MOST_FOUND` count.
    """

    xpath: str = ""
    of_xml: str = ""
    """What CSS is in XML, whose names have capitals."""
    path: Any = None

    def of(self, node: Node) -> list[Node]:
        """All that it finds in `node`; nothing in a document of another language."""
        if isinstance(node, Selector):
            xpath = self.of_xml if node.type == "xml" and self.of_xml else self.xpath
            return list(node.xpath(xpath)) if xpath else []
        try:
            found = self.path.search(node) if self.path is not None else None
        except JMESPathError:  # a function that was given what the document does not have
            return []
        if isinstance(found, dict):
            return [
                {**value, KEY: name} for name, value in found.items() if isinstance(value, dict)
            ]
        return found if isinstance(found, list) else [] if found is None else [found]


def compiled(text: str, language: Language) -> Selection:
    """ValueError, which says why, where `text` is no selector."""
    named, _, rest = text.partition(":")
    if named == "xpath" or text.startswith(XPATH):
        return Selection(xpath=_xpath(rest if named == "xpath" else text))
    if named == "css":
        return _css(rest)
    if named == "json":
        return Selection(path=_path(rest))
    if language == "css":
        return _css(text)
    try:
        return Selection(path=_path(text))
    except ValueError:
        raise ValueError(
            "is no JMESPath: write `css:` or `xpath:` before what is for HTML or XML"
        ) from None


def _css(text: str) -> Selection:
    try:
        xml = csstranslator.GenericTranslator().css_to_xpath(text)
        return Selection(xpath=_first(csstranslator.css2xpath(text)), of_xml=_first(xml))
    except SelectorError:
        raise ValueError("is no CSS selector") from None


def _xpath(text: str) -> str:
    try:
        Selector(text="<a/>", type="html").xpath(text)
    except ValueError:
        raise ValueError("is no XPath") from None
    try:
        Selector(text="<a/>", type="html").xpath(_first(text))
    except ValueError:  # a text or a number, which is one
        return text
    return _first(text)


def _first(xpath: str) -> str:
    """What finds no more than is followed: each thing that is found costs, and a page may hold a
    million.
    """
    return f"({xpath})[position() <= {MOST_FOUND}]"


def _path(text: str) -> Any:
    try:
        return jmespath.compile(text)
    except JMESPathError:
        raise ValueError("is no JMESPath") from None


@dataclass(frozen=True, slots=True)
class Selections:
    """Alternatives: the first that finds something counts."""

    each: tuple[Selection, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.each)

    def nodes(self, node: Node) -> list[Node]:
        """All that the first finds which finds any."""
        return next((found for one in self.each if (found := one.of(node))), [])

    def text(self, node: Node) -> str:
        """The first text that is not blank, its white space made single; "" where there is none."""
        return next(
            (
                text
                for one in self.each
                for found in one.of(node)
                if (text := text_of(found, LONGEST_TEXT))
            ),
            "",
        )

    def texts(self, node: Node) -> list[str]:
        """Every text that any of them finds."""
        return [text for one in self.each for found in one.of(node) if (text := text_of(found))]

    def links(self, node: Node) -> list[tuple[str, Node]]:
        """Where each that is found leads to, as it is written, and what was found."""
        return [(where, found) for found in self.nodes(node) if (where := link_of(found))]


def text_of(found: Node, most: int | None = None) -> str:
    """What a person reads of it, `most` characters where that is given; "" for what is no text."""
    if isinstance(found, Selector):
        found = found.xpath("string()").get("") if is_element(found) else found.get()
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return ""
    # one text may be every post's
    read = str(found) if most is None else str(found)[: MOST_BLANK + most]
    return " ".join(read.split())[:most]


def link_of(found: Node) -> str:
    """The address that an element leads to, or that is written in what is none, or in an element
    of a feed.
    """
    if not is_element(found):
        return text_of(found)
    return found.attrib.get("href", "").strip() or (text_of(found) if found.type == "xml" else "")


def is_element(found: Node) -> bool:
    """Whether it is a part of a page, and not a text or an attribute."""
    return isinstance(found, Selector) and hasattr(found.root, "tag")


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """A page, ready to be asked."""

    kind: Kind
    root: Node
    is_cut: bool = False
    """Whether it has more tags than are read."""


def html(response: Response) -> ParsedPage:
    """A page as a browser reads it, whatever it says it is; RecordError for what is no text."""
    return _html(_text(response))


def _html(text: str) -> ParsedPage:
    read = nesting.within(text)
    return ParsedPage("html", nesting.selector(read), len(read) < len(text))


def kind_of(text: str) -> Kind:
    """What a page is, by how it begins."""
    text = text[:1000].lstrip(BLANK)
    if text[:1] in {"{", "["}:
        return "json"
    return (
        "xml"
        if text.startswith(("<?xml", "<rss", "<feed", "<rdf:RDF")) and not HTML.search(text)
        else "html"
    )


def document(response: Response) -> ParsedPage:
    """A page as JSON, XML or HTML, by how it begins; RecordError for what is none of them."""
    text = _text(response).lstrip(BLANK)
    kind = kind_of(text)
    if kind == "json":
        try:
            return ParsedPage("json", _related(read_json(text)))
        except ValueError:
            raise RecordError("not_a_list") from None
    if kind == "xml":
        made = Selector(text=text, type="xml")
        made.remove_namespaces()
        return ParsedPage("xml", made)
    return _html(text)


def embedded(page: ParsedPage, selections: Selections) -> ParsedPage:
    """What stands as JSON in a page that a script fills; RecordError where there is none.

    An answer in JSON is left as it is.
    """
    if page.kind == "json":
        return page
    for found in selections.nodes(page.root):
        text = (
            (found.xpath("string()").get("") if is_element(found) else found.get())
            if isinstance(found, Selector)
            else ""
        )
        begins = BEGINS.search(text)
        try:
            data, _ = json.JSONDecoder().raw_decode(text, begins.start()) if begins else (None, 0)
            data = json.loads(data) if isinstance(data, str) else data
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict | list):
            return ParsedPage("json", _related(data), page.is_cut)
    raise RecordError("not_a_list")


def _related(found: Any) -> Any:
    """Of JSON:API, what each object is related to, as its attributes and by the relation's name,
    stands in it as `RELATED`.
    """
    if not isinstance(found, dict) or not isinstance(found.get("data"), list):
        return found
    objects = [
        one for one in (*found["data"], *(found.get("included") or ())) if isinstance(one, dict)
    ]
    known = {(one.get("type"), one.get("id")): one.get("attributes") for one in objects}
    for one in objects:
        relations = one.get("relationships")
        if isinstance(relations, dict):
            ends = {
                name: end["data"]
                for name, end in relations.items()
                if isinstance(end, dict) and isinstance(end.get("data"), dict)
            }
            one[RELATED] = {
                name: known.get((end.get("type"), end.get("id"))) for name, end in ends.items()
            }
    return found


def _text(response: Response) -> str:
    from scrapy.http import TextResponse  # noqa: PLC0415 - exports of chats are read without Scrapy

    if not isinstance(response, TextResponse):
        raise RecordError("not_a_list")
    return response.text


def languages(texts: Sequence[str], language: Language) -> Selections:
    """The selectors of one knob; ValueError as `compiled`."""
    return Selections(tuple(compiled(text, language) for text in texts if text))
