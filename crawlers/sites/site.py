"""A site: one TOML file in the data folder's `sites.d/`, named as the site.

What has changed is read again within seconds.

platform = "bepasty"                     # a preset, or a file in crawlers/platforms
start = ["https://paste.example.com/"]   # where a visit begins; the lists are found from there
legal_basis = "PIPL 13(1)(3)"            # on what ground it is read; without one it is not
owner = "security team"                  # who answers for it

Of platform `ingest` is what another program collects and hands to `ullage ingest` under the site's
name: it is never visited, and `start` is needed only to tell its lists apart.
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
from ullage.files.validation import faults_of as wrong_in
from ullage.files.validation import read_toml, shown
from ullage.lookup.values import identifier_in
from ullage.monitoring.canary import SITE as CANARY
from ullage.records import ELSEWHERE, INGEST, Category
from ullage.records.heartbeat import MAX_WATCHED, is_valid_name

WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
DAY = timedelta(days=1)
Window = tuple[time, time]


@cache
def windows_of(texts: tuple[str, ...]) -> tuple[Window, ...]:
    """Beginnings and ends, which may lie after midnight; ValueError for what is none."""
    made = []
    for text in texts:
        found = WINDOW.fullmatch(text)
        if not found or found[1] + found[2] == found[3] + found[4]:
            raise ValueError("holds something that is no HH:MM-HH:MM")
        made.append((time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))))
    return tuple(made)


def nights(
    texts: tuple[str, ...], zone: str, since: float, until: float
) -> list[tuple[float, float]]:
    """The times between two moments at which a site is left alone, all in Unix seconds, in order
    of their beginning.
    """
    return sorted(
        span
        for span in _spans(windows_of(texts), zone, since, until)
        if span[1] > since and span[0] < until
    )


def night_ends(texts: tuple[str, ...], zone: str, at: float) -> float:
    """When a site may be asked that is not to be at `at` (Unix seconds); `at` where it may."""
    if not texts:
        return at
    end = at
    for began, ended in nights(texts, zone, at - DAY.total_seconds(), at + 2 * DAY.total_seconds()):
        if began <= end < ended:  # one may begin as another ends
            end = ended
    return end


def _spans(
    windows: Sequence[Window], zone: str, since: float, until: float
) -> Iterator[tuple[float, float]]:
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
"""So long before it runs out a site's session is told of."""
TAKEN = {CANARY: "the canary site", ELSEWHERE: "all that no site file names"}
"""Names that stand for something else in every report."""

Option = bool | int | str | tuple[str, ...]


class Site(BaseModel):
    """One site, frozen. Durations in seconds."""

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
            raise ValueError("is no site name: use a-z, 0-9, '.', '_' and '-', at most 64")
        return not_an_identifier(name)

    @field_validator("night")
    @classmethod
    def _night(cls, night: tuple[str, ...]) -> tuple[str, ...]:
        windows_of(night)
        return night

    @field_validator("time_zone")
    @classmethod
    def _time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is no time zone, such as Asia/Shanghai") from None
        return name

    @field_validator("cookies")
    @classmethod
    def _cookies(cls, name: str) -> str:
        if name and not is_valid_name(name):
            raise ValueError("is no name of a file in keys/session")
        return name

    @field_validator("session")
    @classmethod
    def _session(cls, session: str) -> str:
        try:
            csstranslator.css2xpath(session or "*")
        except SelectorError:
            raise ValueError("is no CSS selector") from None
        return session

    @field_validator("start")
    @classmethod
    def _start(cls, start: tuple[str, ...]) -> tuple[str, ...]:
        for url in start:
            parts = address(url)
            if parts is None or parts.scheme not in {"http", "https"}:
                raise ValueError("holds something that is no http:// or https:// address")
            if parts.username or parts.password:
                raise ValueError(
                    "holds a user name or password: a site is read as anybody reads it"
                )
        return start

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            parts = address(f"http://{host}")
            if parts is None or parts.netloc != host or "@" in host:
                raise ValueError("holds something that is neither HOST nor HOST:PORT")
        return hosts

    @model_validator(mode="after")
    def _fits_platform(self) -> Self:
        if not self.start and self.platform != INGEST:
            raise ValueError("start: is missing: say where a visit begins")
        if not self.script and any(map(is_route, self.start)):
            raise ValueError(
                "start: leads to a route behind #, which browsers do not send: set script = true,"
                " or start at its JSON"
            )
        if self.options and self.platform == INGEST:
            raise ValueError(
                f"options.{shown(min(self.options))}: platform {INGEST} has no options"
            )
        return self

    def may_be_asked(self, at: float) -> float:
        """When the site may be asked next, from `at` on (Unix seconds): `at` itself but at
        night.
        """
        return night_ends(self.night, self.time_zone, at)

    def nights(self, since: float, until: float) -> list[tuple[float, float]]:
        """The times between two moments at which it is left alone."""
        return nights(self.night, self.time_zone, since, until) if self.night else []

    @property
    def shortest_revisit(self) -> float:
        """Seconds from one visit to the next where many posts come."""
        default = max(SHORTEST_REVISIT_SECONDS, self.revisit_seconds / 5)
        return min(
            self.revisit_seconds,
            default if self.revisit_min_seconds is None else self.revisit_min_seconds,
        )

    @property
    def is_crawled(self) -> bool:
        """Whether crawl visits it."""
        return self.enabled and self.platform != INGEST

    def section_of(self, url: str) -> str:
        """The list of ours under which a post at `url` stands: scheme, host and path of an address
        of `start`.

        Of those on the post's own host it is the one whose path goes furthest along the post's own,
        else the first; "" where none is on that host. What it says stands in the site's file, so it
        may be shown.
        """
        post = address(url)
        lists = [
            parts for parts in map(urlsplit, self.start) if post and parts.hostname == post.hostname
        ]
        if not post or not lists:
            return ""
        best = max(
            lists,
            key=lambda parts: (
                len(_folder(parts)) if _folder(post).startswith(_folder(parts)) else 0
            ),
        )
        return f"{best.scheme}://{best.netloc.lower()}{best.path or '/'}"

    def allows(self, url: str) -> bool:
        """Whether a link or redirect may lead to `url`: to a host and port of `start` or `hosts`.

        A host that is named with one of the two default ports has both, since sites move from HTTP
        to HTTPS.
        """
        parts = address(url)
        # nobody is logged in with what stands in a link
        if parts is not None and (parts.username or parts.password):
            return False
        named = (
            address(known) for known in (*self.start, *(f"http://{host}" for host in self.hosts))
        )
        ports = {
            port_of(known)
            for known in named
            if parts and known and known.hostname == parts.hostname
        }
        return parts is not None and port_of(parts) in ports | (
            set(PORTS.values()) if ports & set(PORTS.values()) else set()
        )


def address(url: str) -> SplitResult | None:
    """The parts of `url`, whose host and port can be read; None of what is no address."""
    try:
        parts = urlsplit(url)
        known = parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if known else None


def is_route(url: str) -> bool:
    """Whether the part of `url` behind `#`, which no site is told, names a page that a script
    makes.
    """
    return urlsplit(url).fragment.startswith(("/", "!"))


def port_of(parts: SplitResult) -> int | None:
    """The port that is named, or else the scheme's own; None of another scheme."""
    return parts.port or PORTS.get(parts.scheme)


def _folder(parts: SplitResult) -> str:
    """A path with a slash at its end, so that one begins another only at the end of a step."""
    return f"{parts.path.rstrip('/')}/"


Check = Callable[[Site], object]
"""Raises ConfigError where a site is not what its platform needs."""


def not_an_identifier(name: str) -> str:
    """The name of a site or channel, ValueError for one that findings could not say: in their
    place stands `other`.
    """
    if what := identifier_in(name):
        raise ValueError(
            f"reads like {what}, so that findings would call it `other`: choose another name"
        )
    return name


def read_site(path: Path, check: Check = lambda _: None) -> Site:
    """The site in one file; FaultsError names the file, and each knob with what is wrong with
    it.
    """
    try:
        given = {"name": path.stem, **read_toml(_text_of(path))}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no TOML ({error})") from None
    site, faults = _site_of(given)
    if site.name in TAKEN:
        faults.append(f"name: {site.name} is the name of {TAKEN[site.name]}: choose another")
    if site.platform and site.platform != INGEST:  # which is no software that a site runs on
        try:
            check(site)
        except ConfigError as error:
            faults += list_faults(error)
    if faults:
        raise FaultsError(f"{path}: {fault}" for fault in faults)
    return site


def _site_of(given: dict[str, Any]) -> tuple[Site, list[str]]:
    """The site that a file describes, and what is wrong with it; what is wrong is left out, so
    that the rest can be looked at.
    """
    faults = list[str]()
    while True:
        try:
            return Site.model_validate(given), faults
        except ValidationError as error:
            found = wrong_in(error, Site)
            faults += found
            # What is wrong with the whole names its knob in its words alone; a knob that nobody
            # knows may hold any sign.
            wrong = {fault.partition(":")[0].partition(".")[0] for fault in found}
            wrong |= {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
            rest = {k: v for k, v in given.items() if k not in wrong} | {
                k: v for k, v in STAND_INS.items() if k in wrong
            }
            given = rest if rest != given else STAND_INS


def _text_of(path: Path) -> str:
    """The text of a site's file, which must be nobody else's to write, nor its folder
    (`ullage.files.ownership`).
    """
    try:
        return read_trusted(path).decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: cannot be read (it is gone)") from None


STAND_INS = {
    "name": "unnamed",
    "platform": "",
    "start": ("http://unknown.invalid/",),
    "legal_basis": "-",
    "owner": "-",
}
"""What stands in a faulty file for what must be there, while the rest of it is looked at."""
Mark = tuple[int, ...]
"""By what it is seen that a file has changed."""


@dataclass(slots=True)
class SiteFolder:
    """The site files of `folder`; one that has not changed since it was read is not read again.

    `check` raises ConfigError.

    When what `beside` returns has changed, what was checked by it is checked again.
    """

    folder: Path
    check: Check
    beside: Callable[[], object] = tuple
    refused: dict[str, ConfigError] = field(default_factory=dict)
    """What was wrong with files that hold no site, by the file's own name, when they were last
    read.
    """
    _read: dict[Path, tuple[Mark | None, Site | ConfigError]] = field(default_factory=dict)
    _beside: object = None

    def read(self) -> tuple[dict[str, Site], list[ConfigError]]:
        """Every site by name, and the faults of those that cannot be read.

        A watched site beyond the limit is a fault too; it is read all the same, without series of
        its own.
        """
        if (beside := self.beside()) != self._beside:
            self._beside, self._read = beside, {}
        self._read = {path: self._one(path) for path in sorted(self.folder.glob("*.toml"))}
        files = {path: site for path, (_, site) in self._read.items() if isinstance(site, Site)}
        doubles = _doubles(files)
        self.refused = {
            path.stem: fault
            for path, (_, fault) in self._read.items()
            if isinstance(fault, ConfigError)
        }
        self.refused |= {path.stem: fault for path, fault in doubles.items()}
        sites = {site.name: site for path, site in files.items() if path not in doubles}
        return sites, [
            *(self.refused[stem] for stem in sorted(self.refused)),
            *_limited(sites, self.folder),
        ]

    def _one(self, path: Path) -> tuple[Mark | None, Site | ConfigError]:
        """What is in a file, or what is wrong with it."""
        mark, known = _mark(path), self._read.get(path)
        if mark and known and known[0] == mark:
            return known
        try:
            return mark, read_site(path, self.check)
        except ConfigError as error:
            return mark, error


def _mark(path: Path) -> Mark | None:
    """None where that cannot be told, such as of a link that leads nowhere."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def _doubles(files: Mapping[Path, Site]) -> dict[Path, ConfigError]:
    """A fault for each file whose site has another's name: none of them is read, but the one
    that is itself named so.
    """
    named: dict[str, list[Path]] = {}
    for path, site in files.items():
        named.setdefault(site.name, []).append(path)
    return {
        path: ConfigError(
            f"{path}: name: {name} is the name in {others} too: no two sites have one"
        )
        for name, paths in named.items()
        for path in paths
        if path.stem != name
        and (others := ", ".join(other.name for other in paths if other != path))
    }


def _limited(sites: dict[str, Site], folder: Path) -> list[ConfigError]:
    """Take the watch off sites beyond the limit; a fault for each."""
    faults = []
    for name in [name for name, site in sites.items() if site.watch and site.enabled][MAX_WATCHED:]:
        sites[name] = sites[name].model_copy(update={"watch": False})
        faults.append(
            ConfigError(
                f"{folder / name}.toml: watch: {MAX_WATCHED} sites before it are watched: say false"
                " here or there"
            )
        )
    return faults
