"""Define the layout of a kind of site software: the options of `board` and `feed`.

They are in a preset or a site's file. Every selector, and every pattern with an `id`, may be a
list, of which the first that finds something counts. `{id}`, `{thread}`, `{page}` and the like in
a template are replaced by `fill_template`.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from re import _parser  # type: ignore[attr-defined]  # reads a pattern as Python does
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from crawlers.sites.dates import DateFormats, Order
from crawlers.sites.selectors import Language, Selections, compile_selectors
from ullage.errors import FaultsError
from ullage.files.validation import redact_message, redact_word, suggest

SLUG = "slug"
"""The group of a pattern that does not identify the page, such as a title that may change."""
LONGEST_SEARCHED = 2048
PLACE = re.compile(r"\{(\w+)\}")
PLACES = frozenset({"id", "thread", "page", "page0", "offset", "root", "site"})
"""Placeholders; `site` is the link's host, `root` the page's address up to that of a list."""
SAFE = "/%:@!$&'()*+,;=~-._?"


def _to_selections(value: object, info: ValidationInfo) -> Selections:
    """Compile one selector or a list of selectors, in the language of the context.

    Raises ValueError if `value` is neither.
    """
    texts = (
        (value,)
        if isinstance(value, str)
        else tuple(value)
        if isinstance(value, list | tuple)
        else ()
    )
    if not all(isinstance(text, str) for text in texts) or (not texts and value not in ((), [])):
        raise ValueError("is neither a selector nor a list of selectors")
    return compile_selectors(
        [str(text) for text in texts], (info.context or {}).get("language", "css")
    )


def _to_pattern(value: object) -> re.Pattern[str]:
    """Compile a regular expression.

    Raises ValueError if it is no text, is invalid, or nests endless repetitions, which would be too
    slow on some texts.
    """
    if not isinstance(value, str):
        raise ValueError("is not a valid regular expression")  # noqa: TRY004 - pydantic's way
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise ValueError(
            f"is not a valid regular expression ({redact_message(error.msg)})"
        ) from None
    if _nests_repetition(_parser.parse(value)):
        raise ValueError(
            "has nested repetition, such as (a+)+: on some addresses it would run for ever"
        )
    return pattern


def _nests_repetition(parsed: Any, within: bool = False) -> bool:
    """Return whether an endless repetition holds another one.

    Such a pattern may take exponential time on an address that an attacker writes. `within` says
    that `parsed`, a tree of `re`, already lies in one.
    """
    for _, argument in parsed:
        parts = argument if isinstance(argument, tuple) else (argument,)
        endless = len(parts) == 3 and parts[1] is _parser.MAXREPEAT
        if endless and within:
            return True
        for part in parts:
            inner = part if isinstance(part, list) else [part]
            if any(
                isinstance(item, _parser.SubPattern) and _nests_repetition(item, within or endless)
                for item in inner
            ):
                return True
    return False


@dataclass(frozen=True, slots=True)
class IdPatterns:
    """Alternative patterns, each with a group `id`: the first that matches counts."""

    each: tuple[re.Pattern[str], ...]

    def search(self, text: str, start: int = 0, end: int = sys.maxsize) -> re.Match[str] | None:
        """Return the match of the first pattern that matches; None if none does."""
        return next(
            (match for pattern in self.each if (match := pattern.search(text, start, end))), None
        )


def _to_id_patterns(value: object) -> IdPatterns:
    """Compile patterns that each have a group `id`.

    Raises ValueError if one has none.
    """
    each = tuple(map(_to_pattern, value if isinstance(value, list | tuple) else (value,)))
    if not each or any("id" not in pattern.groupindex for pattern in each):
        raise ValueError("has no group (?P<id>…)")
    return IdPatterns(each)


def _to_template(value: object) -> str:
    """Check that a template holds known placeholders only.

    Raises ValueError if it has others, or is no text.
    """
    if not isinstance(value, str):
        raise ValueError("is not text")  # noqa: TRY004
    if unknown := sorted(set(PLACE.findall(value)) - PLACES):
        raise ValueError(
            f"{{{redact_word(unknown[0])}}} must be one of {', '.join(sorted(PLACES))}"
        )
    return value


def _to_id_template(value: object) -> str:
    """Check a template that must contain `{id}`.

    Raises ValueError if it does not.
    """
    template = _to_template(value)
    if "{id}" not in template:
        raise ValueError("has no {id}")
    return template


def _to_zone(value: object) -> ZoneInfo:
    """Return the time zone of that name; raises ValueError if there is none."""
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("is not a time zone such as Asia/Shanghai") from None


Zone = Annotated[ZoneInfo, BeforeValidator(_to_zone)]
Selector = Annotated[Selections, BeforeValidator(_to_selections)]
Pattern = Annotated[re.Pattern[str], BeforeValidator(_to_pattern)]
Naming = Annotated[IdPatterns, BeforeValidator(_to_id_patterns)]
Template = Annotated[str, BeforeValidator(_to_template)]
OfOne = Annotated[str, BeforeValidator(_to_id_template)]
NONE = Selections()
ANY_LINK = compile_selectors(["a", "a[href]"], "css")


class SiteLayout(BaseModel):
    """The layout of a site's pages; an omitted option means that pages have no such part."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, defer_build=True
    )

    list_at: Template = ""
    """The address of the list, for a start address that is no list (`list_is`)."""
    list_is: Pattern | None = None
    """The form of a list's address; `{root}` is an address up to the match."""
    embedded: Selector = NONE
    """On a page that a script fills, the element with its data as JSON, which is read instead.

    An example is `css:script#__NEXT_DATA__`.
    """
    rows: Selector = NONE
    """The entries of a list; the `links` themselves by default."""
    where: Selector = NONE
    """What an entry must contain to count."""
    links: Selector = NONE
    """In an entry, the link to its thread or paste."""
    pattern: Naming | None = None
    """The form of the whole address of a thread or paste, including its query.

    The group `id` is its id; `slug` is ignored for its identity. If no link of an entry matches
    and `row_id` finds its id, the first link is used, because addresses may be rewritten.
    """
    match: Literal["address", "path"] = "address"
    """The part of a link in which `pattern` is searched."""
    row_id: Selector = NONE
    """In an entry, the id, if no link's address contains it."""
    title: Selector = NONE
    """In an entry, the title; the link's text by default."""
    channel: Selector = NONE
    """In an entry or on its page, the board that it belongs to."""
    row_author: Selector = NONE
    row_time: Selector = NONE
    """In an entry, the time, if the paste itself does not show it."""
    stamp: Selector = NONE
    """In an entry, everything that changes with a new post and not by reading.

    By default this is the whole text of the entry.
    """
    counted: Selector = NONE
    """In an entry, how many posts its thread has; a thread with fewer posts is reported."""
    counts_replies: bool = True
    """Whether that number counts replies only, without the first post."""
    thread: Template = ""
    """The address of a thread, if it is not the link."""
    raw: OfOne = ""
    """The address of a paste's bytes; entries are then pastes and not threads."""
    page: OfOne = ""
    """The address at which a person reads a paste; the link by default."""
    first: int | None = Field(default=None, ge=0)
    """The first id of a paste site that numbers its pastes and has no list of them.

    `raw` is requested for this id and for the `ahead` ids after each existing paste, at every
    visit until they exist.
    """
    ahead: int = Field(default=10, ge=1, le=100)
    lists: Selector = NONE
    """Links to other lists."""
    lists_pattern: Naming | None = None
    lists_not_on: Pattern | None = None
    """Addresses of lists whose `lists` are not followed."""
    next: Selector = NONE
    """The link to the next page of a list, and of a thread without options of its own."""
    numbered: bool = False
    """Whether a link to the next number is followed, on lists and threads without a next link."""
    next_page: Template = ""
    """The address of the next page, if no link shows it.

    A template that begins with `&` holds only the parameters.
    """
    count: Selector = NONE
    """The number of entries on all pages, if there is no link."""
    per_page: int = Field(default=20, ge=1)
    incomplete: Selector = NONE
    """On a list, the statement that it does not show everything.

    It applies if it is found and not false, such as `incomplete_results` of a search.
    """

    post: Selector = NONE
    """The posts of a page."""
    id: Selector = NONE
    """In a post, its id; the element's own by default."""
    id_pattern: Pattern = re.compile(r"(?<!\d)\d++$")
    """The part of that text that is the id."""
    thread_id: Selector = NONE
    """On a thread's page, its id, if lists do not show a permanent one."""
    post_id: OfOne = "{id}"
    author: Selector = NONE
    time: Selector = NONE
    body: Selector = NONE
    volatile: Selector = NONE
    """In a post, parts that change without an edit, such as counters of downloads and votes."""
    gone: Selector = NONE
    """On a thread's page, the statement that it was deleted, if its status is 200 nevertheless."""
    body_encoding: Literal["", "base64"] = ""
    """The encoding of a text, as used for the contents of files in JSON."""
    body_type: Literal["text/html", "text/plain"] = "text/html"
    post_title: Selector = NONE
    """In a post, its own title; the thread's by default."""
    reply_to: Selector = NONE
    post_url: Template = ""
    """The address at which a person reads a post; its page with the element's id by default."""
    post_link: Selector = NONE
    files: Selector = NONE
    """On a thread's page, links to texts and files that are read as pages of their own."""
    files_pattern: Naming | None = None
    attached: Selector = NONE
    """In a post, links to the files that are attached to it, and pictures."""
    attached_id: Naming | None = None
    """The part of a file's address, or of the element's id, that is the file's id."""
    attached_name: Selector = NONE
    """From a link, the file's name; the link's text by default."""
    attached_hidden: Selector = NONE
    """In a post, a sign of files that guests cannot download."""
    pictures: bool = False
    """Whether attached pictures are downloaded too, for `match.ocr`."""
    thread_next: Selector = NONE
    thread_next_page: Template = ""
    thread_count: Selector = NONE
    thread_per_page: int = Field(default=20, ge=1)

    kind: Literal["post", "paste", "message"] | None = None
    time_formats: tuple[str, ...] = ()
    date_order: Order = "MDY"
    timezone: Zone = ZoneInfo("UTC")

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        """Return the layout if its options fit together.

        Raises ValueError, which names the missing option: a post, a paste or files to read; the
        text of a post; `raw` for `first`; an id for `thread`.
        """
        if not self.post and not self.raw and not self.files:
            raise ValueError(
                "options.post: is missing: name the element of a post, or use options.raw"
                " for the text of a paste"
            )
        if self.first is not None and not self.raw:
            raise ValueError("options.raw: is missing: options.first needs an address with {id}")
        if self.post and not self.body:
            raise ValueError("options.body: is missing: name the element with the text of a post")
        if self.thread and not self.row_id and not self.pattern:
            raise ValueError("options.row_id: is missing: options.thread needs an id")
        return self

    @functools.cached_property
    def calendar(self) -> DateFormats:
        """Return how the site writes dates."""
        return DateFormats(self.timezone, self.date_order, self.time_formats)

    @property
    def takes_any_link(self) -> bool:
        """Return whether `links` finds every link, so only `pattern` selects entries."""
        return self.links.each[:1] in {ANY_LINK.each[:1], ANY_LINK.each[1:]}

    @property
    def leads_on(self) -> bool:
        """Return whether lists lead to threads or pastes; if not, lists hold the posts."""
        return bool(self.raw or self.thread or self.links)


def load_layout(name: str, options: Mapping[str, Any], language: Language) -> SiteLayout:
    """Return the layout that a site's options describe.

    Raises FaultsError, which names the site and each faulty option with the reason.
    """
    try:
        return _build_layout(json.dumps(options), language)
    except ValidationError as error:
        raise FaultsError(
            f"site {name}: {_describe_fault(fault)}" for fault in error.errors()
        ) from None


def _describe_fault(error: Mapping[str, Any]) -> str:
    """Describe what is wrong with one option, or with the layout as a whole."""
    knob, why = (
        ".".join(str(part) for part in error["loc"][:1]),
        error["msg"].removeprefix("Value error, "),
    )
    if error["type"] == "extra_forbidden":
        options = sorted(SiteLayout.model_fields)
        near = suggest(knob, options)
        why = f"is not an option{near}" if near else f"must be one of {', '.join(options)}"
    return f"{f'options.{redact_word(knob)}: ' if knob else ''}{why}"


@functools.lru_cache(maxsize=512)
def _build_layout(options: str, language: Language) -> SiteLayout:
    """Build a layout; sites of one software share theirs, so selectors are compiled once."""
    return SiteLayout.model_validate(json.loads(options), context={"language": language})


def search(pattern: re.Pattern[str] | IdPatterns, address: str) -> re.Match[str] | None:
    """Return the match of a site's pattern in an address; None if there is none.

    Only the first `LONGEST_SEARCHED` characters are searched.
    """
    return pattern.search(address, 0, LONGEST_SEARCHED)


def fill_template(template: str, **places: str | int) -> str:
    """Return `template` with each placeholder replaced by its value, quoted for a URL."""
    return PLACE.sub(lambda found: quote(str(places.get(found[1], "")), safe=SAFE), template)


def to_identity(url: str, match: re.Match[str]) -> str:
    """Return the part of an address that identifies its page, without the group `slug`.

    Anything after the match of the pattern is cut off too.
    """
    if SLUG not in match.re.groupindex or match.start(SLUG) < 0:
        return url[: match.end()]
    return url[: match.start(SLUG)] + url[match.end(SLUG) : match.end()]
