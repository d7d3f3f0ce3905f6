"""Apply CSS, XPath and JMESPath selectors to pages in HTML, XML and JSON.

A preset says with selectors where a site's posts, authors and links are. `compile_selectors` turns
the texts of one option into `Selections`, and `parse_document` a response into a `ParsedPage`, to
whose `root` they are applied. `//…`, `./…` and `(…)` are XPath, everything else CSS, or JMESPath
where a platform reads JSON; a prefix `css:`, `xpath:` or `json:` states the language. Of several
selectors, the first that finds something counts. An invalid selector raises ValueError when it is
compiled; one that finds nothing returns [] or ""; a page that cannot be parsed raises RecordError
`not_a_list`. Pages may be hostile, so matches, tags and lengths of texts are limited.
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


def parse_content_type(response: Response, default: str = "text/plain") -> tuple[str, str]:
    """Return the media type and the charset of a response's Content-Type header, in lower case.

    The media type is `default` if there is no header, the charset "" if the header names none.
    """
    header = Message()
    header["Content-Type"] = (response.headers.get("Content-Type") or b"").decode(
        "latin-1"
    ) or default
    return header.get_content_type(), str(header.get_param("charset", "") or "").lower()


Language = Literal["css", "json"]
Kind = Literal["html", "xml", "json"]
Node = Any
"""A `Selector`, or a value of JSON."""
XPATH = ("/", "./", "../", "(")
HTML = re.compile(r"(?i)<(!doctype )?html")
BEGINS = re.compile(r"""[{\[]|(?<=JSON\.parse\()\"""")
"""The beginning of data in a script: `window.__STATE__ = {`, `JSON.parse("`."""
BLANK = "\ufeff \r\n\t"
MOST_LINKS = 10_000
"""Limit of entries, lists, files and posts of one page."""
MOST_FOUND = MOST_LINKS + 1
LONGEST_TEXT = 2048
"""Longest name, id or title in characters; the rest is cut."""
MOST_BLANK = 8192
"""The most characters of white space that are read before and within such a text."""
RELATED = "$related"
KEY = "$key"
"""The key under which a row of a JSON object keeps its name in that object."""


@dataclass(frozen=True, slots=True)
class Selection:
    """One selector, compiled for each language in which it can be applied.

    Only the first `MOST_FOUND` matches are returned.
    """

    xpath: str = ""
    of_xml: str = ""
    """The same CSS for XML, whose names are case-sensitive."""
    path: Any = None

    def select(self, node: Node) -> list[Node]:
        """Return all matches in `node`, as nodes; [] for a document of another language.

        In JSON, a result that is an object gives its values that are objects, each with its name
        under KEY; a single value gives a list of one.
        """
        if isinstance(node, Selector):
            xpath = self.of_xml if node.type == "xml" and self.of_xml else self.xpath
            return list(node.xpath(xpath)) if xpath else []
        try:
            result = self.path.search(node) if self.path is not None else None
        except JMESPathError:  # a function whose argument is missing in the document
            return []
        if isinstance(result, dict):
            return [
                {**value, KEY: name} for name, value in result.items() if isinstance(value, dict)
            ]
        return result if isinstance(result, list) else [] if result is None else [result]


def compile_selector(text: str, language: Language) -> Selection:
    """Compile one selector for documents of `language`.

    A prefix `css:`, `xpath:` or `json:`, or a text that begins as an XPath, overrides `language`.
    Raises ValueError, whose text gives the reason, if it is invalid.
    """
    named, _, expression = text.partition(":")
    if named == "xpath" or text.startswith(XPATH):
        return Selection(xpath=_check_xpath(expression if named == "xpath" else text))
    if named == "css":
        return _compile_css(expression)
    if named == "json":
        return Selection(path=_compile_jmespath(expression))
    if language == "css":
        return _compile_css(text)
    try:
        return Selection(path=_compile_jmespath(text))
    except ValueError:
        raise ValueError(
            "is not valid JMESPath: for HTML or XML begin with `css:` or `xpath:`"
        ) from None


def _compile_css(text: str) -> Selection:
    """Compile a CSS selector for HTML and for XML.

    Raises ValueError if it is invalid.
    """
    try:
        xml = csstranslator.GenericTranslator().css_to_xpath(text)
        return Selection(
            xpath=_limit_matches(csstranslator.css2xpath(text)), of_xml=_limit_matches(xml)
        )
    except SelectorError:
        raise ValueError("is not a valid CSS selector") from None


def _check_xpath(text: str) -> str:
    """Return a valid XPath, limited in its matches if it selects nodes.

    One that selects a single text or number is returned unchanged. Raises ValueError if it is
    invalid.
    """
    try:
        Selector(text="<a/>", type="html").xpath(text)
    except ValueError:
        raise ValueError("is not valid XPath") from None
    try:
        Selector(text="<a/>", type="html").xpath(_limit_matches(text))
    except ValueError:  # it selects a single text or number
        return text
    return _limit_matches(text)


def _limit_matches(xpath: str) -> str:
    """Return an XPath that finds no more than is followed.

    Each match costs time, and a page may have a million.
    """
    return f"({xpath})[position() <= {MOST_FOUND}]"


def _compile_jmespath(text: str) -> Any:
    """Compile a JMESPath; raises ValueError if it is invalid."""
    try:
        return jmespath.compile(text)
    except JMESPathError:
        raise ValueError("is not valid JMESPath") from None


@dataclass(frozen=True, slots=True)
class Selections:
    """Alternative selectors: the first that finds something counts."""

    each: tuple[Selection, ...] = ()

    def __bool__(self) -> bool:
        """Return whether there are any selectors."""
        return bool(self.each)

    def nodes(self, node: Node) -> list[Node]:
        """Return all matches of the first selector that finds any; [] if none does."""
        return next((matches for selection in self.each if (matches := selection.select(node))), [])

    def text(self, node: Node) -> str:
        """Return the first text that is not blank, with single spaces; "" if there is none."""
        return next(
            (
                text
                for selection in self.each
                for match in selection.select(node)
                if (text := get_text(match, LONGEST_TEXT))
            ),
            "",
        )

    def texts(self, node: Node) -> list[str]:
        """Return every text, except blank ones, that any of the selectors finds."""
        return [
            text
            for selection in self.each
            for match in selection.select(node)
            if (text := get_text(match))
        ]

    def links(self, node: Node) -> list[tuple[str, Node]]:
        """Return each matched link as it is written, not resolved, with its node."""
        return [(where, match) for match in self.nodes(node) if (where := get_link(match))]


def get_text(node: Node, most: int | None = None) -> str:
    """Return the readable text of a node with single spaces; "" if it is no text.

    At most `most` characters are returned, if that is given.
    """
    if isinstance(node, Selector):
        node = node.xpath("string()").get("") if is_element(node) else node.get()
    if isinstance(node, bool) or not isinstance(node, str | int | float):
        return ""
    # a huge text may be shared by every post
    read = str(node) if most is None else str(node)[: MOST_BLANK + most]
    return " ".join(read.split())[:most]


def get_link(node: Node) -> str:
    """Return the address that an element links to, as written; "" if it has none.

    A node that is no element, and an element of a feed, holds the address as its text.
    """
    if not is_element(node):
        return get_text(node)
    return node.attrib.get("href", "").strip() or (get_text(node) if node.type == "xml" else "")


def is_element(node: Node) -> bool:
    """Return whether a node is an element, and not a text or an attribute."""
    return isinstance(node, Selector) and hasattr(node.root, "tag")


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """A parsed page. `root` is a `Selector` for HTML and XML, parsed data for JSON."""

    kind: Kind
    root: Node
    is_cut: bool = False
    """Whether the page has more tags than are read."""


def parse_html(response: Response) -> ParsedPage:
    """Return a response parsed as HTML, as a browser would, whatever it says it is.

    Raises RecordError `not_a_list` if the response is no text.
    """
    return _build_html(_get_response_text(response))


def _build_html(text: str) -> ParsedPage:
    """Parse a text as HTML, up to the limit of tags."""
    read = nesting.limit_tags(text)
    return ParsedPage("html", nesting.parse_html(read), len(read) < len(text))


def detect_kind(text: str) -> Kind:
    """Return `json`, `xml` or `html`, judged by the first thousand characters of a page."""
    text = text[:1000].lstrip(BLANK)
    if text[:1] in {"{", "["}:
        return "json"
    return (
        "xml"
        if text.startswith(("<?xml", "<rss", "<feed", "<rdf:RDF")) and not HTML.search(text)
        else "html"
    )


def parse_document(response: Response) -> ParsedPage:
    """Return a response as a parsed page: JSON, XML or HTML, judged by its beginning.

    XML loses its namespaces, and JSON:API gets its relations inlined. Raises RecordError
    `not_a_list` if it is no text, or is JSON that cannot be parsed.
    """
    text = _get_response_text(response).lstrip(BLANK)
    kind = detect_kind(text)
    if kind == "json":
        try:
            return ParsedPage("json", _inline_relations(read_json(text)))
        except ValueError:
            raise RecordError("not_a_list") from None
    if kind == "xml":
        selector = Selector(text=text, type="xml")
        selector.remove_namespaces()
        return ParsedPage("xml", selector)
    return _build_html(text)


def extract_json(page: ParsedPage, selections: Selections) -> ParsedPage:
    """Return the JSON that an HTML page carries for its scripts, as a page of its own.

    A JSON page is returned as it is. Of several scripts that `selections` find, the first with JSON
    counts. Raises RecordError `not_a_list` if the page carries none.
    """
    if page.kind == "json":
        return page
    for node in selections.nodes(page.root):
        text = (
            (node.xpath("string()").get("") if is_element(node) else node.get())
            if isinstance(node, Selector)
            else ""
        )
        begins = BEGINS.search(text)
        try:
            data, _ = json.JSONDecoder().raw_decode(text, begins.start()) if begins else (None, 0)
            data = json.loads(data) if isinstance(data, str) else data
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict | list):
            return ParsedPage("json", _inline_relations(data), page.is_cut)
    raise RecordError("not_a_list")


def _inline_relations(document: Any) -> Any:
    """Add to each object of a JSON:API document the attributes of the objects it is related to.

    They are stored by relation name under `RELATED`, None for an object that the document lacks.
    The document is changed and returned; others are returned unchanged.
    """
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        return document
    objects = [
        item
        for item in (*document["data"], *(document.get("included") or ()))
        if isinstance(item, dict)
    ]
    attributes = {(item.get("type"), item.get("id")): item.get("attributes") for item in objects}
    for item in objects:
        relations = item.get("relationships")
        if isinstance(relations, dict):
            ends = {
                name: end["data"]
                for name, end in relations.items()
                if isinstance(end, dict) and isinstance(end.get("data"), dict)
            }
            item[RELATED] = {
                name: attributes.get((end.get("type"), end.get("id"))) for name, end in ends.items()
            }
    return document


def _get_response_text(response: Response) -> str:
    """Return the text of a response; raises RecordError if it is no text."""
    from scrapy.http import TextResponse  # noqa: PLC0415 - exports of chats are read without Scrapy

    if not isinstance(response, TextResponse):
        raise RecordError("not_a_list")
    return response.text


def compile_selectors(texts: Sequence[str], language: Language) -> Selections:
    """Compile the selectors of one option; empty ones are left out.

    Raises ValueError, whose text gives the reason, if one is invalid.
    """
    return Selections(tuple(compile_selector(text, language) for text in texts if text))
