"""Presets: site software as data, how it is recognised, and samples that test the preset.

about = "Spirit, a Django forum (spirit-project.com)"   # software and versions
platform = "board"                                      # board or feed

[options]            # see crawlers.sites.layout; a site's own options take precedence
…
[recognise]          # marks on a page of the software; each that is found is a reason
any = ["meta[name=generator][content^=phpBB]"]

[[sample]]           # a page in its format, and what must be read in it
role = "thread"
url = "https://board.example/viewtopic.php?t=7"
body = '''…'''
posts = [{ id = "31", author = "li", text = "…" }]
pages = [{ url = "https://board.example/viewtopic.php?t=7&start=10", number = 2 }]
"""

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
from ullage.files.validation import quote_word, read_toml, redact_word

FOLDER = "presets"
"""The folder of the user's own presets, in the data folder."""
SHIPPED = "crawlers.presets"
ENDING = ".toml"
READ_AT = "Thu, 26 Nov 2026 12:00:00 GMT"
"""The time of the responses of samples, by which "yesterday" is resolved."""
LOOKED_AT = 256 * 1024
"""The number of bytes of a page that are searched for marks."""


class PresetSample(BaseModel):
    """A sample page, with all posts and links that must be read in it.

    Of each post and link only the named fields are compared.
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
    """Whether the page shows which software made it."""
    posts: tuple[Mapping[str, str], ...] = ()
    pages: tuple[Mapping[str, Any], ...] = ()
    gone: bool = False
    """Whether it says that a thread is no more."""

    def build_response(self) -> Response:
        """Return the page as a site would send it."""
        charset = self.type.rpartition("charset=")[2] if "charset=" in self.type else "utf-8"
        headers = {"Content-Type": self.type, "Date": READ_AT}
        kind = HtmlResponse if "html" in self.type else TextResponse
        return kind(
            self.url, headers=headers, body=self.body.encode(charset), request=Request(self.url)
        )

    def build_page(self) -> PageAddress:
        """Return the page as the frontier would store it."""
        return PageAddress(
            self.url,
            self.role,
            series=self.series or self.url,
            number=self.number,
            facts=self.facts,
        )


class Recognise(BaseModel):
    """How a page of the software is recognised: selectors, and headers that begin with a text."""

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

    def apply_to(self, site: Site) -> Site:
        """Return `site` with the preset's options as defaults; its own options take precedence.

        It is rendered by a browser if either of both says so.
        """
        return site.model_copy(
            update={
                "options": {**self.options, **site.options},
                "script": site.script or self.script,
            }
        )


class PresetMatch(NamedTuple):
    """A preset that a page may belong to, and the marks that indicate it."""

    name: str
    why: tuple[str, ...]


@dataclass(slots=True)
class Presets:
    """The shipped presets and those of `folder`, if given, which take precedence.

    `refresh` checks for changed files.
    """

    folder: Path | None = None
    own: dict[str, Preset | ConfigError] = field(default_factory=dict)
    _marks: tuple[object, ...] = ()

    def refresh(self) -> tuple[object, ...]:
        """Read the folder again if a file in it has changed.

        Returns a value that differs after each change.
        """
        files = sorted(self.folder.glob(f"*{ENDING}")) if self.folder else []
        marks = tuple((path, *_get_fingerprint(path)) for path in files)
        if marks != self._marks:
            self._marks, self.own = marks, {path.stem: _load_own(path) for path in files}
        return marks

    @property
    def faults(self) -> list[ConfigError]:
        """Return the faults of the folder's files."""
        return [preset for preset in self.own.values() if isinstance(preset, ConfigError)]

    def list_names(self) -> tuple[str, ...]:
        """Return the names of all presets, sorted."""
        return tuple(sorted({*_list_shipped(), *self.own}))

    def get(self, name: str) -> Preset:
        """Return a preset by name.

        Raises ConfigError if its file is faulty, KeyError if there is none.
        """
        if isinstance(preset := self.own.get(name), ConfigError):
            raise preset
        return preset or load_shipped(name)

    def __iter__(self) -> Iterator[Preset]:
        """Yield every preset whose file is valid."""
        for name in self.list_names():
            if not isinstance(self.own.get(name), ConfigError):
                yield self.get(name)


@functools.cache
def _list_shipped() -> tuple[str, ...]:
    """Return the names of the shipped presets."""
    return tuple(
        sorted(
            entry.name.removesuffix(ENDING)
            for entry in resources.files(SHIPPED).iterdir()
            if entry.name.endswith(ENDING)
        )
    )


@functools.cache
def load_shipped(name: str) -> Preset:
    """Return a shipped preset; raises KeyError if there is none of that name."""
    if name not in _list_shipped():
        raise KeyError(name)
    return _parse_preset(
        name,
        (resources.files(SHIPPED) / f"{name}{ENDING}").read_text(encoding="utf-8"),
        f"{SHIPPED}/{name}{ENDING}",
    )


def _load_own(path: Path) -> Preset | ConfigError:
    """Return a user's preset or its fault; others must not be able to write its file."""
    try:
        return _parse_preset(path.stem, read_trusted(path).decode("utf-8"), str(path))
    except ConfigError as error:
        return error
    except (FileNotFoundError, UnicodeDecodeError):
        return ConfigError(f"{path}: cannot be read: check that it exists and is UTF-8")


def _parse_preset(name: str, text: str, where: str) -> Preset:
    """Parse a preset; ConfigError, with `where`, for the first fault."""
    try:
        return Preset.model_validate({"name": name, **read_toml(text)})
    except ValidationError as error:
        first = error.errors()[0]
        knob = ".".join(redact_word(str(part)) for part in first["loc"])
        raise ConfigError(
            f"{where}: {knob}: {first['msg'].removeprefix('Value error, ')}"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: is not valid TOML ({error})") from None


def _get_fingerprint(path: Path) -> tuple[int, ...]:
    """Return what changes with a file; nothing if that is unknown."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def recognise(response: Response, presets: Presets | None = None) -> list[PresetMatch]:
    """Return the presets that a page may belong to, the one with the most marks first; [] for none.

    Only the first LOOKED_AT bytes of the page are examined. Without `presets` the shipped ones are
    tried.
    """
    try:
        page: ParsedPage | None = parse_document(response.replace(body=response.body[:LOOKED_AT]))
    except RecordError:
        page = None
    candidates = (
        (preset, _find_marks(preset.recognise, response, page)) for preset in presets or Presets()
    )
    matches = [PresetMatch(preset.name, why) for preset, why in candidates if why]
    return sorted(matches, key=lambda match: (-len(match.why), match.name))


def _find_marks(marks: Recognise, response: Response, page: ParsedPage | None) -> tuple[str, ...]:
    """Return the marks of a preset that a page has."""
    headers = [
        name
        for name, begins in marks.headers.items()
        if (value := response.headers.get(name)) is not None
        and value.decode("latin-1").lower().startswith(begins)
    ]
    if page is None:
        return tuple(headers)
    return (*headers, *(mark for mark in marks.any if _compile_mark(mark).nodes(page.root)))


@functools.lru_cache(maxsize=1024)
def _compile_mark(text: str) -> Selections:
    """Compile the selector of a mark; raises ConfigError if it is invalid."""
    try:
        return compile_selectors([text], "css")
    except ValueError as why:
        raise ConfigError(f"recognise.any: {quote_word(text)} {why}") from None


Parse = Callable[[PageAddress, Response, Site], PageContent]


def check_samples(preset: Preset, parse: Parse, presets: Presets | None = None) -> list[str]:
    """Return the differences between a preset's samples and what `parse` reads in them.

    There is one line per fault; the list is empty where all samples are read as expected. A preset
    without a sample is a fault. `presets` are those among which a sample must be recognised, None
    the shipped ones.
    """
    faults = [] if preset.sample else ["has no sample"]
    site = preset.apply_to(
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
            PageContent()
            if preset.unreadable
            else parse(sample.build_page(), sample.build_response(), site)
        )
        faults += _compare(
            f"{where}: post", sample.posts, [_post_to_dict(post) for post in parsed.posts]
        )
        faults += _compare(
            f"{where}: page", sample.pages, [_page_to_dict(page) for page in parsed.pages]
        )
        if parsed.gone != sample.gone:
            faults.append(f"{where}: gone is {parsed.gone}, not {sample.gone}")
        if sample.recognised and preset.name not in {
            match.name for match in recognise(sample.build_response(), presets)
        }:
            faults.append(f"{where}: is not recognised")
    return faults


def _post_to_dict(post: Any) -> dict[str, Any]:
    """Return the fields of a post under the names that samples use."""
    fields = {
        name: getattr(post, name)
        for name in ("url", "title", "author", "channel", "thread", "reply_to", "kind")
    }
    fields["attachments"], fields["unread"] = ", ".join(post.attachments), " ".join(post.unread)
    fields["wording"] = post.wording.decode()
    time = post.published_at.isoformat() if post.published_at else ""
    return {
        "id": post.post_id,
        "text": post.body.decode(post.charset or "utf-8", "replace"),
        "time": time,
        **fields,
    }


def _page_to_dict(page: PageAddress) -> dict[str, Any]:
    """Return the fields and facts of a page under the names that samples use."""
    fields = {name: getattr(page, name) for name in ("url", "role", "identity", "number", "stamp")}
    return {**page.facts, **fields}


def _compare(
    where: str, expected: Sequence[Mapping[str, Any]], actual: Sequence[dict[str, Any]]
) -> list[str]:
    """Return how the items read differ from the expected ones, a line per difference."""
    if len(expected) != len(actual):
        return [f"{where}s: {len(actual)} read, not {len(expected)}"]
    return [
        f"{where} {number}: {name} is {has.get(name, '')!r}, not {value!r}"
        for number, (want, has) in enumerate(zip(expected, actual, strict=True), 1)
        for name, value in want.items()
        if has.get(name, "") != value
    ]
