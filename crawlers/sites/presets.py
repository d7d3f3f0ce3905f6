"""Presets: site software as data, what it looks like, how it is recognised, and samples by which a
preset proves itself.

about = "Spirit, a Django forum (spirit-project.com)"   # software and versions, for people
platform = "board"                                       # what reads it: board or feed

[options]                                                # see crawlers.sites.layout; a site's own options overrule them
…
[recognise]                                              # by what a page of it is known; each that is found is a reason
any = ["meta[name=generator][content^=phpBB]"]

[[sample]]                                               # a page in its shape, and what must be read in it
role = "thread"
url = "https://board.example/viewtopic.php?t=7"
body = '''…'''
posts = [{ id = "31", author = "li", text = "…" }]
pages = [{ url = "https://board.example/viewtopic.php?t=7&start=10", number = 2 }]
"""  # noqa: E501

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError
from scrapy.http import HtmlResponse, Request, Response, TextResponse

from crawlers.sites.pages import PageAddress, PageContent, Role
from crawlers.sites.selectors import ParsedPage, Selections, compile_selectors, parse_document
from crawlers.sites.site import Site
from ullage.errors import ConfigError, RecordError
from ullage.files.ownership import read_trusted
from ullage.files.validation import quoted, read_toml, shown

FOLDER = "presets"
"""Where a user's own lie in the data folder."""
SHIPPED = "crawlers.presets"
ENDING = ".toml"
READ_AT = "Thu, 26 Nov 2026 12:00:00 GMT"
"""When the pages of samples were answered, for what they say of yesterday."""
LOOKED_AT = 256 * 1024
"""Bytes of a page in which marks are looked for."""


class PresetSample(BaseModel):
    """A page, and the posts and pages that must be read in it: all of them, and of each what is
    named here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role = "list"
    url: str
    type: str = "text/html; charset=utf-8"
    body: str
    number: int = 1
    series: str = ""
    facts: Mapping[str, str] = {}
    recognised: bool = True
    """Whether the page shows what software made it."""
    posts: tuple[Mapping[str, str], ...] = ()
    pages: tuple[Mapping[str, Any], ...] = ()
    gone: bool = False
    """Whether it says that a thread is no more."""

    def response(self) -> Response:
        """The page as it would come."""
        charset = self.type.rpartition("charset=")[2] if "charset=" in self.type else "utf-8"
        headers = {"Content-Type": self.type, "Date": READ_AT}
        kind = HtmlResponse if "html" in self.type else TextResponse
        return kind(
            self.url, headers=headers, body=self.body.encode(charset), request=Request(self.url)
        )

    def page(self) -> PageAddress:
        """The page as the frontier would know it."""
        return PageAddress(
            self.url,
            self.role,
            series=self.series or self.url,
            number=self.number,
            facts=self.facts,
        )


class Recognise(BaseModel):
    """By what a page of the software is known: selectors, and headers that begin with a text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    any: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}


class Preset(BaseModel):
    """One preset; see the module."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    about: str
    platform: Literal["board", "feed"]
    options: Mapping[str, Any] = {}
    script: bool = False
    """Whether scripts fill its pages, as of a site's file."""
    unreadable: str = ""
    """Why nothing of it can be read, where that is so: it is recognised, and a site cannot be of
    it.
    """
    recognise: Recognise = Recognise()
    sample: tuple[PresetSample, ...] = ()

    def of(self, site: Site) -> Site:
        """`site` with the preset's options under its own."""
        return site.model_copy(
            update={
                "options": {**self.options, **site.options},
                "script": site.script or self.script,
            }
        )


class PresetMatch(NamedTuple):
    """A preset that a page may be of, and the marks that say so."""

    name: str
    why: tuple[str, ...]


@dataclass(slots=True)
class Presets:
    """The presets that ship and those of `folder`, if there is one, which go before them.

    `refresh` looks for changed files.
    """

    folder: Path | None = None
    own: dict[str, Preset | ConfigError] = field(default_factory=dict)
    _marks: tuple[object, ...] = ()

    def refresh(self) -> tuple[object, ...]:
        """Read the folder again where a file in it has changed; returns what differs when one
        has.
        """
        files = sorted(self.folder.glob(f"*{ENDING}")) if self.folder else []
        marks = tuple((path, *_mark(path)) for path in files)
        if marks != self._marks:
            self._marks, self.own = marks, {path.stem: _own(path) for path in files}
        return marks

    @property
    def faults(self) -> list[ConfigError]:
        """What is wrong with files of the folder."""
        return [found for found in self.own.values() if isinstance(found, ConfigError)]

    def names(self) -> tuple[str, ...]:
        """Every preset that there is."""
        return tuple(sorted({*_shipped_names(), *self.own}))

    def get(self, name: str) -> Preset:
        """The preset of that name; ConfigError if its file is wrong, KeyError if there is none."""
        if isinstance(found := self.own.get(name), ConfigError):
            raise found
        return found or shipped(name)

    def __iter__(self) -> Iterator[Preset]:
        """All that can be read."""
        for name in self.names():
            if not isinstance(self.own.get(name), ConfigError):
                yield self.get(name)


@functools.cache
def _shipped_names() -> tuple[str, ...]:
    return tuple(
        sorted(
            entry.name.removesuffix(ENDING)
            for entry in resources.files(SHIPPED).iterdir()
            if entry.name.endswith(ENDING)
        )
    )


@functools.cache
def shipped(name: str) -> Preset:
    """A preset that ships; KeyError if there is none of that name."""
    if name not in _shipped_names():
        raise KeyError(name)
    return _read(
        name,
        (resources.files(SHIPPED) / f"{name}{ENDING}").read_text(encoding="utf-8"),
        f"{SHIPPED}/{name}{ENDING}",
    )


def _own(path: Path) -> Preset | ConfigError:
    """A user's preset, or what is wrong with it; its file must be nobody else's to write."""
    try:
        return _read(path.stem, read_trusted(path).decode("utf-8"), str(path))
    except ConfigError as error:
        return error
    except (FileNotFoundError, UnicodeDecodeError):
        return ConfigError(f"{path}: cannot be read")


def _read(name: str, text: str, where: str) -> Preset:
    try:
        return Preset.model_validate({"name": name, **read_toml(text)})
    except ValidationError as error:
        first = error.errors()[0]
        knob = ".".join(shown(str(part)) for part in first["loc"])
        raise ConfigError(
            f"{where}: {knob}: {first['msg'].removeprefix('Value error, ')}"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: is no TOML ({error})") from None


def _mark(path: Path) -> tuple[int, ...]:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def recognise(response: Response, presets: Presets | None = None) -> list[PresetMatch]:
    """The presets that a page may be of, with why, the one with the most reasons first; none
    where no mark is on it.
    """
    try:
        page: ParsedPage | None = parse_document(response.replace(body=response.body[:LOOKED_AT]))
    except RecordError:
        page = None
    known = ((preset, _marks(preset.recognise, response, page)) for preset in presets or Presets())
    found = [PresetMatch(preset.name, why) for preset, why in known if why]
    return sorted(found, key=lambda one: (-len(one.why), one.name))


def _marks(marks: Recognise, response: Response, page: ParsedPage | None) -> tuple[str, ...]:
    """Which of a preset's marks a page has."""
    headers = [
        name
        for name, begins in marks.headers.items()
        if (value := response.headers.get(name)) is not None
        and value.decode("latin-1").lower().startswith(begins)
    ]
    if page is None:
        return tuple(headers)
    return (*headers, *(mark for mark in marks.any if _mark_of(mark).nodes(page.root)))


@functools.lru_cache(maxsize=1024)
def _mark_of(text: str) -> Selections:
    try:
        return compile_selectors([text], "css")
    except ValueError as why:
        raise ConfigError(f"recognise.any: {quoted(text)} {why}") from None


Parse = Callable[[PageAddress, Response, Site], PageContent]


def unproven(preset: Preset, parse: Parse, presets: Presets | None = None) -> list[str]:
    """What of its samples a preset does not read as it says, a line each; nothing where all is
    well.
    """
    said = [] if preset.sample else ["has no sample"]
    site = preset.of(
        Site(
            name="sample",
            platform=preset.name,
            start=("https://board.example/",),
            legal_basis="-",
            owner="-",
        )
    )
    for number, sample in enumerate(preset.sample, 1):
        where = f"sample {number} ({sample.role})"
        parsed = (
            PageContent() if preset.unreadable else parse(sample.page(), sample.response(), site)
        )
        said += _compared(f"{where}: post", sample.posts, [_as_post(post) for post in parsed.posts])
        said += _compared(f"{where}: page", sample.pages, [_as_page(page) for page in parsed.pages])
        if parsed.gone != sample.gone:
            said.append(f"{where}: gone is {parsed.gone}, not {sample.gone}")
        if sample.recognised and preset.name not in {
            one.name for one in recognise(sample.response(), presets)
        }:
            said.append(f"{where}: is not recognised")
    return said


def _as_post(post: Any) -> dict[str, Any]:
    told = {
        name: getattr(post, name)
        for name in ("url", "title", "author", "channel", "thread", "reply_to", "kind")
    }
    told["attachments"], told["unread"] = ", ".join(post.attachments), " ".join(post.unread)
    told["wording"] = post.wording.decode()
    time = post.published_at.isoformat() if post.published_at else ""
    return {
        "id": post.post_id,
        "text": post.body.decode(post.charset or "utf-8", "replace"),
        "time": time,
        **told,
    }


def _as_page(page: PageAddress) -> dict[str, Any]:
    told = {name: getattr(page, name) for name in ("url", "role", "identity", "number", "stamp")}
    return {**page.facts, **told}


def _compared(
    where: str, wanted: Sequence[Mapping[str, Any]], found: Sequence[dict[str, Any]]
) -> list[str]:
    if len(wanted) != len(found):
        return [f"{where}s: {len(found)} read, not {len(wanted)}"]
    return [
        f"{where} {number}: {name} is {has.get(name, '')!r}, not {value!r}"
        for number, (want, has) in enumerate(zip(wanted, found, strict=True), 1)
        for name, value in want.items()
        if has.get(name, "") != value
    ]
