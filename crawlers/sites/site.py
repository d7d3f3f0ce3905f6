"""Read the settings of sites: one TOML file each in the data folder's `sites.d/`.

A *site* is one place that is watched, such as a forum or a paste site. The file is named after it:

    platform = "bepasty"                     # a preset, or a file in crawlers/platforms
    start = ["https://paste.example.com/"]   # where a visit begins
    legal_basis = "PIPL 13(1)(3)"            # legal ground of reading it; required
    owner = "security team"                  # who is responsible for it; required

`read_site` returns one `Site`, a frozen model with a default for everything else, or raises
FaultsError with every fault of the file. `SiteFolder.read` returns all sites and the faults of the
other files, so that one bad file stops no other site; it reads only files that have changed. A site
of platform `ingest` is never visited: another program collects its posts and hands them to `ullage
ingest` under the site's name. Its `start` only tells its lists apart.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cssselect import SelectorError
from parsel import csstranslator
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ullage.errors import ConfigError, FaultsError, list_faults
from ullage.files.ownership import read_trusted
from ullage.files.validation import describe_faults as list_model_faults
from ullage.files.validation import read_toml, redact_word
from ullage.lookup.values import identifier_in
from ullage.monitoring.canary import SITE as CANARY
from ullage.records import ELSEWHERE, INGEST, Category
from ullage.records.heartbeat import MAX_WATCHED, is_valid_name

WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
DAY = timedelta(days=1)
Window = tuple[time, time]


@cache
def parse_windows(texts: tuple[str, ...]) -> tuple[Window, ...]:
    """Return the begin and end of each `HH:MM-HH:MM`; an end may lie after midnight.

    Raises ValueError for a text in any other form, and for one that ends when it begins.
    """
    windows = []
    for text in texts:
        match = WINDOW.fullmatch(text)
        if not match or match[1] + match[2] == match[3] + match[4]:
            raise ValueError("has an entry that is not HH:MM-HH:MM")
        windows.append((time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))))
    return tuple(windows)


def list_nights(
    texts: tuple[str, ...], zone: str, since: float, until: float
) -> list[tuple[float, float]]:
    """Return the hours without visits that overlap a period, as (begin, end), ordered by begin.

    `texts` are windows as `HH:MM-HH:MM` in the time zone `zone`. All times are Unix seconds. Raises
    ValueError for an invalid window.
    """
    return sorted(
        span
        for span in _expand_windows(parse_windows(texts), zone, since, until)
        if span[1] > since and span[0] < until
    )


def find_night_end(texts: tuple[str, ...], zone: str, at: float) -> float:
    """Return when a site may be visited next, at or after `at` (Unix seconds).

    That is `at` itself outside of its night hours. `texts` and `zone` are as in `list_nights`.
    """
    if not texts:
        return at
    end = at
    day = DAY.total_seconds()
    for began, ended in list_nights(texts, zone, at - day, at + 2 * day):
        if began <= end < ended:  # a window may begin where another ends
            end = ended
    return end


def _expand_windows(
    windows: Sequence[Window], zone: str, since: float, until: float
) -> Iterator[tuple[float, float]]:
    """Yield each window of each day as begin and end in Unix seconds.

    The days are those from the day before `since` to that of `until`, in the time zone `zone`.
    Windows that begin outside of that time are yielded too.
    """
    local = ZoneInfo(zone)
    day = datetime.fromtimestamp(since, UTC).astimezone(local).date() - DAY
    last = datetime.fromtimestamp(until, UTC).astimezone(local).date()
    while day <= last:
        for begin, end in windows:
            ends_on = day if begin < end else day + DAY
            yield (
                datetime.combine(day, begin, local).timestamp(),
                datetime.combine(ends_on, end, local).timestamp(),
            )
        day += DAY


PORTS = {"http": 80, "https": 443}
SHORTEST_REVISIT_SECONDS = 60.0
SOON_SECONDS = 7 * 86400.0
"""How long before its end a site's session is reported."""
TAKEN = {CANARY: "the canary site", ELSEWHERE: "every site without a file"}
"""Reserved names, which mean something else in every report."""

Option = bool | int | str | tuple[str, ...]


class Site(BaseModel):
    """The settings of one site; frozen. Durations are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    platform: str
    """The site's software, as a preset is called; `board` or `feed` with `options`; `ingest` if
    it is not crawled.
    """
    start: tuple[str, ...] = ()
    """Addresses of lists; required except for `ingest`."""
    hosts: tuple[str, ...] = ()
    """Further hosts that links and redirects may lead to, with `:PORT` unless 80 or 443."""
    revisit_seconds: float = Field(default=300.0, gt=0)
    """Longest time between visits."""
    revisit_min_seconds: float | None = Field(default=None, gt=0)
    """Shortest time between visits; by default a fifth of `revisit_seconds`, at least a minute."""
    delay_seconds: float = Field(default=2.0, ge=0)
    """Shortest pause between requests; longer when the site is slow."""
    concurrency: int = Field(default=1, ge=1, le=16)
    """Concurrent requests."""
    max_pages: int = Field(default=500, ge=1)
    """Pages a visit; others stay due."""
    deep_every: int = Field(default=12, ge=0)
    """How many visits until older pages are read too, for edits and deletions; 0 never."""
    deep_pages: int = Field(default=20, ge=1)
    """How many older pages, half of them the most recent, half those read longest ago."""
    allow_private: bool = False
    """Whether its hosts may have private addresses, such as 10.0.0.1 or loopback."""
    proxy: str = ""
    """A name in `crawl.proxies`; required for .onion names."""
    may_be_empty: bool = False
    """Whether an empty list is an answer, as of a search."""
    robots: bool = True
    """Whether robots.txt is obeyed; false only for a site of your own."""
    script: bool = False
    """Whether its pages are rendered in a browser (`crawl.browser`)."""
    verify_certificates: bool = True
    """Whether its certificate must be valid."""
    session: str = ""
    """CSS of what only a logged-in visitor sees; a list without it means that the session ended."""
    cookies: str = ""
    """A session file in `keys/session`: a browser's cookies, or a token."""
    night: tuple[str, ...] = ()
    """Hours without visits, as HH:MM-HH:MM in `time_zone`."""
    time_zone: str = "UTC"
    """The zone of `night`."""
    category: Category = ""
    """What kind of place it is."""
    legal_basis: str = Field(min_length=1)
    """Legal basis of reading it."""
    owner: str = Field(min_length=1)
    """Who is responsible for it."""
    watch: bool = False
    """Whether it has its own metrics and alerts; at most 200 sites."""
    enabled: bool = True
    """False stops visits and keeps the file."""
    options: dict[str, Option] = {}
    """Settings of the platform."""

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if not is_valid_name(name):
            raise ValueError("is not a valid site name: use a-z, 0-9, '.', '_' and '-', at most 64")
        return reject_identifier(name)

    @field_validator("night")
    @classmethod
    def _night(cls, night: tuple[str, ...]) -> tuple[str, ...]:
        parse_windows(night)
        return night

    @field_validator("time_zone")
    @classmethod
    def _time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is not a time zone such as Asia/Shanghai") from None
        return name

    @field_validator("cookies")
    @classmethod
    def _cookies(cls, name: str) -> str:
        if name and not is_valid_name(name):
            raise ValueError("is not the name of a file in keys/session")
        return name

    @field_validator("session")
    @classmethod
    def _session(cls, session: str) -> str:
        try:
            csstranslator.css2xpath(session or "*")
        except SelectorError:
            raise ValueError("is not a valid CSS selector") from None
        return session

    @field_validator("start")
    @classmethod
    def _start(cls, start: tuple[str, ...]) -> tuple[str, ...]:
        for url in start:
            parts = split_url(url)
            if parts is None or parts.scheme not in {"http", "https"}:
                raise ValueError("has an entry that is not an http:// or https:// address")
            if parts.username or parts.password:
                raise ValueError(
                    "contains a user name or password: sites are read without a login in"
                    " the address"
                )
        return start

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            parts = split_url(f"http://{host}")
            if parts is None or parts.netloc != host or "@" in host:
                raise ValueError("has an entry that is neither HOST nor HOST:PORT")
        return hosts

    @model_validator(mode="after")
    def _fits_platform(self) -> Self:
        if not self.start and self.platform != INGEST:
            raise ValueError("start: is missing: name the address where a visit begins")
        if not self.script and any(map(is_route, self.start)):
            raise ValueError(
                "start: has a route after #, which browsers do not send: set script ="
                " true, or start at its JSON"
            )
        if self.options and self.platform == INGEST:
            raise ValueError(
                f"options.{redact_word(min(self.options))}: platform {INGEST} has no options"
            )
        return self

    def find_next_allowed(self, at: float) -> float:
        """Return the earliest time, from `at` on, that is outside of the site's night hours.

        Both are Unix seconds. The result is `at` if no night is going on then.
        """
        return find_night_end(self.night, self.time_zone, at)

    def list_nights(self, since: float, until: float) -> list[tuple[float, float]]:
        """Return the nights of the site that overlap a period, as (begin, end), ordered by begin.

        All times are Unix seconds. The nights are not cut to the period; the list is empty for a
        site without night hours.
        """
        return list_nights(self.night, self.time_zone, since, until) if self.night else []

    @property
    def shortest_revisit(self) -> float:
        """Return the seconds between two visits while many posts arrive."""
        default = max(SHORTEST_REVISIT_SECONDS, self.revisit_seconds / 5)
        return min(
            self.revisit_seconds,
            default if self.revisit_min_seconds is None else self.revisit_min_seconds,
        )

    @property
    def is_crawled(self) -> bool:
        """Return whether the crawler visits the site."""
        return self.enabled and self.platform != INGEST

    def find_section(self, url: str) -> str:
        """Return scheme, host and path of the start address that the post at `url` belongs to.

        Of the start addresses on the post's host it is the one whose path is the longest prefix
        of the post's path, or else the first; "" if none is on that host. The result comes from
        the site's file, so it may be shown.
        """
        post = split_url(url)
        lists = [
            parts for parts in map(urlsplit, self.start) if post and parts.hostname == post.hostname
        ]
        if not post or not lists:
            return ""
        best = max(
            lists,
            key=lambda parts: (
                len(_to_folder(parts)) if _to_folder(post).startswith(_to_folder(parts)) else 0
            ),
        )
        return f"{best.scheme}://{best.netloc.lower()}{best.path or '/'}"

    def allows(self, url: str) -> bool:
        """Return whether a link may lead to `url`: to a host and port of `start` or `hosts`.

        A host that is listed with one of the two default ports is allowed on both, since sites move
        from HTTP to HTTPS. False for an address with a user name or password, and for one without a
        valid host.
        """
        parts = split_url(url)
        # a link never logs us in
        if parts is not None and (parts.username or parts.password):
            return False
        named = (
            split_url(allowed)
            for allowed in (*self.start, *(f"http://{host}" for host in self.hosts))
        )
        ports = {
            get_port(allowed)
            for allowed in named
            if parts and allowed and allowed.hostname == parts.hostname
        }
        return parts is not None and get_port(parts) in ports | (
            set(PORTS.values()) if ports & set(PORTS.values()) else set()
        )


def split_url(url: str) -> SplitResult | None:
    """Return the parts of `url`; None if it has no host, or if its host or port is invalid."""
    try:
        parts = urlsplit(url)
        is_valid = parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if is_valid else None


def is_route(url: str) -> bool:
    """Return whether the part behind `#` names a page that a script renders.

    Browsers do not send that part to the site.
    """
    return urlsplit(url).fragment.startswith(("/", "!"))


def get_port(parts: SplitResult) -> int | None:
    """Return the port, by default that of the scheme; None for schemes other than HTTP(S)."""
    return parts.port or PORTS.get(parts.scheme)


def _to_folder(parts: SplitResult) -> str:
    """Return the path with a slash at its end, so that prefixes end at whole steps."""
    return f"{parts.path.rstrip('/')}/"


Check = Callable[[Site], object]
"""Raises ConfigError where a site is not what its platform needs."""


def reject_identifier(name: str) -> str:
    """Return the name of a site or channel, if findings can show it.

    Raises ValueError for a name that reads like an identifier, since findings would show `other`.
    """
    if what := identifier_in(name):
        raise ValueError(
            f"looks like {what}, so findings would show it as `other`: choose another name"
        )
    return name


def read_site(path: Path, check: Check = lambda _: None) -> Site:
    """Return the site that the file at `path` describes.

    `check` raises ConfigError where the site is not what its platform needs. Raises FaultsError,
    which names the file and every faulty setting with its fault, and ConfigError if the file is
    missing, is no TOML, or may be written by others.
    """
    try:
        settings = {"name": path.stem, **read_toml(_read_text(path))}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML ({error})") from None
    site, faults = _validate_site(settings)
    if site.name in TAKEN:
        faults.append(f"name: {site.name} is the name of {TAKEN[site.name]}: choose another")
    if site.platform and site.platform != INGEST:  # `ingest` has no pages to crawl
        try:
            check(site)
        except ConfigError as error:
            faults += list_faults(error)
    if faults:
        raise FaultsError(f"{path}: {fault}" for fault in faults)
    return site


def _validate_site(settings: dict[str, Any]) -> tuple[Site, list[str]]:
    """Return the site that a file describes, and its faults, one sentence each.

    Faulty settings are removed, or replaced by those of `STAND_INS`, so that the remaining ones can
    be checked too; without faults the site is as described.
    """
    faults = list[str]()
    while True:
        try:
            return Site.model_validate(settings), faults
        except ValidationError as error:
            errors = list_model_faults(error, Site)
            faults += errors
            # A fault of the whole model names its setting only in its text; the name of an
            # unknown setting may hold any character.
            wrong = {fault.partition(":")[0].partition(".")[0] for fault in errors}
            wrong |= {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
            corrected = {k: v for k, v in settings.items() if k not in wrong} | {
                k: v for k, v in STAND_INS.items() if k in wrong
            }
            settings = corrected if corrected != settings else STAND_INS


def _read_text(path: Path) -> str:
    """Return the text of a site's file; others must not be able to write it or its folder.

    See `ullage.files.ownership`. Raises ConfigError if the file was removed meanwhile.
    """
    try:
        return read_trusted(path).decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: was removed while it was read: run the command again") from None


STAND_INS = {
    "name": "unnamed",
    "platform": "",
    "start": ("http://unknown.invalid/",),
    "legal_basis": "-",
    "owner": "-",
}
"""Values that replace faulty required settings while the remaining ones are checked."""
Mark = tuple[int, ...]
"""A file's fingerprint, which differs after a change."""


@dataclass(slots=True)
class SiteFolder:
    """The site files of `folder`; an unchanged file is not read again.

    `check` raises ConfigError. When the result of `beside` changes, every file is checked again.
    """

    folder: Path
    check: Check
    beside: Callable[[], object] = tuple
    refused: dict[str, ConfigError] = field(default_factory=dict)
    """The fault of each file that held no valid site when it was last read, by file name."""
    _read: dict[Path, tuple[Mark | None, Site | ConfigError]] = field(default_factory=dict)
    _beside: object = None

    def read(self) -> tuple[dict[str, Site], list[ConfigError]]:
        """Read the site files; return every valid site by name, and one fault for each other file.

        A watched site beyond the limit is reported as a fault too; it is returned unwatched. Of
        files that describe the same site, those that `_find_duplicates` names are refused. Stores
        the faults of refused files by name in `refused`. Unchanged files are not parsed again.
        """
        if (beside := self.beside()) != self._beside:
            self._beside, self._read = beside, {}
        self._read = {path: self._read_file(path) for path in sorted(self.folder.glob("*.toml"))}
        files = {path: site for path, (_, site) in self._read.items() if isinstance(site, Site)}
        doubles = _find_duplicates(files)
        self.refused = {
            path.stem: fault
            for path, (_, fault) in self._read.items()
            if isinstance(fault, ConfigError)
        }
        self.refused |= {path.stem: fault for path, fault in doubles.items()}
        sites = {site.name: site for path, site in files.items() if path not in doubles}
        return sites, [
            *(self.refused[stem] for stem in sorted(self.refused)),
            *_limit_watched(sites, self.folder),
        ]

    def _read_file(self, path: Path) -> tuple[Mark | None, Site | ConfigError]:
        """Return the fingerprint of a file, with its site or its fault."""
        mark, cached = _get_fingerprint(path), self._read.get(path)
        if mark and cached and cached[0] == mark:
            return cached
        try:
            return mark, read_site(path, self.check)
        except ConfigError as error:
            return mark, error


def _get_fingerprint(path: Path) -> Mark | None:
    """Return what changes with a file; None if that is unknown, as for a broken link."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def _find_duplicates(files: Mapping[Path, Site]) -> dict[Path, ConfigError]:
    """Return a fault for each file whose site has the name of another file's site.

    Only the file that is itself called so may use the name.
    """
    named: dict[str, list[Path]] = {}
    for path, site in files.items():
        named.setdefault(site.name, []).append(path)
    return {
        path: ConfigError(
            f"{path}: name: {name} is also used in {other_names}: site names must differ"
        )
        for name, paths in named.items()
        for path in paths
        if path.stem != name
        and (other_names := ", ".join(file.name for file in paths if file != path))
    }


def _limit_watched(sites: dict[str, Site], folder: Path) -> list[ConfigError]:
    """Unwatch the sites beyond the limit, and return a fault for each."""
    faults = []
    for name in [name for name, site in sites.items() if site.watch and site.enabled][MAX_WATCHED:]:
        sites[name] = sites[name].model_copy(update={"watch": False})
        faults.append(
            ConfigError(
                f"{folder / name}.toml: watch: {MAX_WATCHED} sites, the maximum, are already"
                " watched: set it to false here or in another file"
            )
        )
    return faults
