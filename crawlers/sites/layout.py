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
from re import _parser  # type: ignore[attr-defined]  # the only one who reads a pattern as Python does
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
"""The group of a pattern that holds what is no part of a page's name, such as a title that may
change.
"""
LONGEST_SEARCHED = 2048
PLACE = re.compile(r"\{(\w+)\}")
PLACES = frozenset({"id", "thread", "page", "page0", "offset", "root", "site"})
"""Of `site` is the link's host, of `root` the page's own address up to where it is a list's."""
SAFE = "/%:@!$&'()*+,;=~-._?"


def _to_selections(value: object, info: ValidationInfo) -> Selections:
    """Compile one selector or a list of selectors, in the language of the context."""
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
    """Compile a regular expression; ValueError if it is invalid or too slow on some texts."""
    if not isinstance(value, str):
        raise ValueError("is no regular expression")  # noqa: TRY004 - pydantic's way to say so
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression ({redact_message(error.msg)})") from None
    if _nests_repetition(_parser.parse(value)):
        raise ValueError(
            "repeats what repeats itself, such as (a+)+: on some addresses it would never end"
        )
    return pattern


def _nests_repetition(parsed: Any, within: bool = False) -> bool:
    """Return whether an endless repetition holds another one.

    Such a pattern may take exponential time on an address that an attacker writes.
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
        """Return the match of the first pattern that matches."""
        return next(
            (match for pattern in self.each if (match := pattern.search(text, start, end))), None
        )


def _to_id_patterns(value: object) -> IdPatterns:
    """Compile patterns that each have a group `id`."""
    each = tuple(map(_to_pattern, value if isinstance(value, list | tuple) else (value,)))
    if not each or any("id" not in pattern.groupindex for pattern in each):
        raise ValueError("has no group (?P<id>…)")
    return IdPatterns(each)


def _to_template(value: object) -> str:
    """Check that a template holds known placeholders only."""
    if not isinstance(value, str):
        raise ValueError("is no text")  # noqa: TRY004
    if unknown := sorted(set(PLACE.findall(value)) - PLACES):
        raise ValueError(f"{{{redact_word(unknown[0])}}} is none of {', '.join(sorted(PLACES))}")
    return value


def _to_id_template(value: object) -> str:
    """Check a template that must contain `{id}`."""
    template = _to_template(value)
    if "{id}" not in template:
        raise ValueError("has no {id}")
    return template


def _to_zone(value: object) -> ZoneInfo:
    """Return the time zone of that name; ValueError if there is none."""
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("is no time zone, such as Asia/Shanghai") from None


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
    """Where the list is, from a start address that is none (`list_is`)."""
    list_is: Pattern | None = None
    """How an address of a list looks; `{root}` is an address up to there."""
    embedded: Selector = NONE
    """On a page that a script fills, what has its data as JSON, such as
    `css:script#__NEXT_DATA__`: it is read in its place.
    """
    rows: Selector = NONE
    """The entries of a list; the `links` themselves by default."""
    where: Selector = NONE
    """What an entry must have to count."""
    links: Selector = NONE
    """In an entry, the link to its thread or paste."""
    pattern: Naming | None = None
    """How the whole address of a thread or paste looks, query included: `id` is its id, `slug` no
    part of its name.

    Where it fits no link of an entry, and `row_id` tells its id, the first link counts: addresses
    may be rewritten.
    """
    match: Literal["address", "path"] = "address"
    """What `pattern` is looked for in."""
    row_id: Selector = NONE
    """In an entry, the id, where no link's address has it."""
    title: Selector = NONE
    """In an entry, the title; the link's text by default."""
    channel: Selector = NONE
    """In an entry or on its page, the board that it stands on."""
    row_author: Selector = NONE
    row_time: Selector = NONE
    """In an entry, what the paste itself does not tell."""
    stamp: Selector = NONE
    """In an entry, all that changes when a post comes, and nothing that changes by reading; its
    whole text by default.
    """
    counted: Selector = NONE
    """In an entry, how many posts its thread has; a thread that gives fewer is noted."""
    counts_replies: bool = True
    """Whether that counts replies alone, without what they reply to."""
    thread: Template = ""
    """The address of a thread, where it is not the link."""
    raw: OfOne = ""
    """The address of a paste's bytes: entries are then pastes, and not threads."""
    page: OfOne = ""
    """Where a person reads a paste; the link by default."""
    first: int | None = Field(default=None, ge=0)
    """The first id of a paste site that counts its pastes up and lists none: `raw` is asked for it,
    and for the `ahead` ids behind each paste that is there, at every visit again until they come.
    """
    ahead: int = Field(default=10, ge=1, le=100)
    lists: Selector = NONE
    """Links to other lists."""
    lists_pattern: Naming | None = None
    lists_not_on: Pattern | None = None
    """Addresses of lists whose `lists` are not followed."""
    next: Selector = NONE
    """The link to the next page of a list, and of a thread where nothing is said of its own."""
    numbered: bool = False
    """Whether a link to the next number is followed, of lists and threads, where no other leads
    on.
    """
    next_page: Template = ""
    """The address of the next page, where a link does not tell it; of one that begins with `&`
    the parameters alone.
    """
    count: Selector = NONE
    """How many entries all pages have, where there is no link."""
    per_page: int = Field(default=20, ge=1)
    incomplete: Selector = NONE
    """On a list, that it says itself that it does not show all, such as `incomplete_results` of
    a search: found and not false.
    """

    post: Selector = NONE
    """The posts of a page."""
    id: Selector = NONE
    """In a post, its id; the element's own by default."""
    id_pattern: Pattern = re.compile(r"(?<!\d)\d++$")
    """The part of it that is the id."""
    thread_id: Selector = NONE
    """On a thread's page, its id, where lists do not tell one that lasts."""
    post_id: OfOne = "{id}"
    author: Selector = NONE
    time: Selector = NONE
    body: Selector = NONE
    volatile: Selector = NONE
    """In a post, what changes without anybody editing it: counters of downloads, what others
    think of it.
    """
    gone: Selector = NONE
    """On the page of a thread, that it is no more, where the program says so with a status of
    200.
    """
    body_encoding: Literal["", "base64"] = ""
    """In what a text stands, as the contents of files do in JSON."""
    body_type: Literal["text/html", "text/plain"] = "text/html"
    post_title: Selector = NONE
    """In a post, its own title; the thread's by default."""
    reply_to: Selector = NONE
    post_url: Template = ""
    """Where a person reads a post; its page with the element's id by default."""
    post_link: Selector = NONE
    files: Selector = NONE
    """On a thread's page, links to texts and files that are read for themselves."""
    files_pattern: Naming | None = None
    attached: Selector = NONE
    """In a post, links to the files that are attached to it, and pictures."""
    attached_id: Naming | None = None
    """Where the id of one stands in its address, or in the element's own id."""
    attached_name: Selector = NONE
    """From a link, the file's name; the link's text by default."""
    attached_hidden: Selector = NONE
    """In a post, what tells that there are files which a guest does not get."""
    pictures: bool = False
    """Whether pictures that are attached are read as well, as `match.ocr` may."""
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
        """Raise ValueError if options are missing that others need."""
        if not self.post and not self.raw and not self.files:
            raise ValueError(
                "options.post: is missing: say what holds a post, or with options.raw where a"
                " paste's text is"
            )
        if self.first is not None and not self.raw:
            raise ValueError("options.raw: is missing: options.first needs an address with {id}")
        if self.post and not self.body:
            raise ValueError("options.body: is missing: say what of a post is its text")
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
        why = f"is no option{near}" if near else f"is none of {', '.join(options)}"
    return f"{f'options.{redact_word(knob)}: ' if knob else ''}{why}"


@functools.lru_cache(maxsize=512)
def _build_layout(options: str, language: Language) -> SiteLayout:
    """Build a layout; sites of one software share theirs, so selectors are compiled once."""
    return SiteLayout.model_validate(json.loads(options), context={"language": language})


def search(pattern: re.Pattern[str] | IdPatterns, address: str) -> re.Match[str] | None:
    """Search a site's pattern in the first `LONGEST_SEARCHED` characters of an address."""
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
