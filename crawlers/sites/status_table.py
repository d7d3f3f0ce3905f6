"""Render `ullage sites` for people: the state, rhythm and next visit of each site."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from crawlers.sites.site import Site
from crawlers.sites.visit_verdict import MEANING
from ullage.display.listing import Listing
from ullage.records import INGEST
from ullage.records.heartbeat import SiteReport

COLOURS = {
    None: "dim",
    "ok": "green",
    "quiet": "yellow",
    "robots_denied": "dark_orange",
    "layout_changed": "bold red",
    "login_expired": "bold red",
    "blocked": "bold red",
    "unreachable": "bold red",
    "incomplete": "dark_orange",
}
NOT_VISITED = "not visited"
FILE_AT_FAULT = "file"
"""The reason of a file without a valid site."""
FILE = "file_"
READ = ("read", "cut")
"""Outcomes of an attached file that was read, completely or in part."""
NOT_SEEN = "not seen yet"
FED = "by ingest"
SEEN = ("ok", "quiet")
"""States that need no explanation; a site in doubt keeps them for another visit."""


@dataclass(frozen=True, slots=True)
class SiteRow:
    """The status of one site.

    `rhythm` is in words; `pages` are counted by state; times are in Unix seconds, 0 for never.
    """

    site: Site
    report: SiteReport
    rhythm: str
    pages: Mapping[str, int]
    next_visit: float
    failures: int
    posts: int = 0
    """All posts ever collected from the site."""
    reason: str = ""
    """Why the last visit could not read the site, as a word of `crawlers.sites.visit_verdict`."""
    night_until: str = ""
    """When the current night of the site ends, in its own time; "" outside of the night."""
    left_seconds: float = 0.0
    """The least time that the remaining pages take while the site's past is being read."""
    tallies: Mapping[str, int] = field(default_factory=dict)
    """What was ever counted of it: posts that were `edited` or are `gone`, and `file_…` by what
    came of each attached file.
    """

    @property
    def files(self) -> dict[str, int]:
        """Return the number of attached files by outcome."""
        return {
            word.removeprefix(FILE): count
            for word, count in self.tallies.items()
            if word.startswith(FILE)
        }

    def as_json(self) -> dict[str, Any]:
        """Return everything for programs; times in ISO 8601, null for never."""
        report = self.report
        return {
            "site": self.site.name,
            "platform": self.site.platform,
            "enabled": self.site.enabled,
            "watch": self.site.watch,
            "state": report.state,
            "reason": self.reason or None,
            "since": _to_iso(report.since),
            "last_new": _to_iso(report.last_new),
            "expected_by": _to_iso(report.expected_by),
            "rhythm": self.rhythm,
            "next_visit": _to_iso(self.next_visit if self.site.is_crawled else 0.0),
            **self.pages,
            "posts": self.posts,
            "edited": self.tallies.get("edited", 0),
            "gone": self.tallies.get("gone", 0),
            "files": self.files,
            "last_success": _to_iso(report.last_success),
            "failures": self.failures,
            "night_until": self.night_until or None,
            "left_seconds": round(self.left_seconds),
        }


def build_table(rows: Iterable[SiteRow], now: float, refused: Iterable[str] = ()) -> Listing:
    """Return a listing with a row per site, and per file without a valid site (`refused`).

    Times are distances from `now`.
    """
    listing = Listing(
        ("site", "state", "since", "last new", "overdue", "next visit", "pages", "new comes"),
        whole=("since", "last new", "overdue"),
    )
    for row in rows:
        report = row.report
        is_due = row.next_visit <= now
        next_visit = "now" if is_due else f"in {_format_duration(row.next_visit - now)}"
        listing.add_row(
            row.site.name,
            Text(_describe_state(row), COLOURS[report.state]),
            _format_distance(report.since, now),
            _format_distance(report.last_new, now),
            _format_distance(report.expected_by, now),
            next_visit if row.site.is_crawled else "-",
            f"{row.pages['due']} due, {row.pages['parked']} given up",
            row.rhythm,
        )
    for name in refused:
        state = Text(f"{NOT_VISITED}: {FILE_AT_FAULT}", COLOURS["unreachable"])
        listing.add_row(name, state, *("-" * 6))
    return listing


def _describe_state(row: SiteRow) -> str:
    """Return the state in words and its reason.

    Sites without one give "off" if disabled, that they are fed by ingest, until when they are left
    alone, or that they were not visited.
    """
    if not row.site.enabled:
        return "off"
    if row.site.platform == INGEST:
        return FED
    if row.night_until:
        return f"left alone until {row.night_until}"
    state = (row.report.state or (NOT_SEEN if row.reason else f"{NOT_VISITED} yet")).replace(
        "_", " "
    )
    return f"{state}: {row.reason}" if row.reason and row.report.state not in SEEN else state


def explain_reasons(rows: Iterable[SiteRow], refused: Collection[str] = ()) -> list[str]:
    """Return `REASON: MEANING`, one line for each reason in the table, in the order of `MEANING`.

    Rows in a state of `SEEN` and sites that are not crawled are left out. If there are `refused`
    files, the reason `file` is explained too.
    """
    reasons = {
        row.reason
        for row in rows
        if row.reason in MEANING and row.report.state not in SEEN and row.site.is_crawled
    }
    if refused:
        reasons.add(FILE_AT_FAULT)
    return [f"{word}: {MEANING[word]}" for word in MEANING if word in reasons]


def describe_session_ends(ends: Mapping[str, float], now: float) -> list[str]:
    """Return a line for each site in `ends` with the time left, or that its session has expired.

    `ends` maps names to Unix seconds. The caller chooses which sites to list.
    """
    return [
        (
            f"{name}: its session"
            f" {'has expired' if at <= now else f'expires in {_format_duration(at - now)}'}:"
            " a person must log in again"
        )
        for name, at in ends.items()
    ]


def describe_first_readings(rows: Iterable[SiteRow]) -> list[str]:
    """Return a line for each row with `left_seconds`: its due pages and the time they take."""
    return [
        f"{row.site.name}: first reading, {row.pages['due']} known pages left:"
        f" at least {_format_duration(row.left_seconds)}"
        for row in rows
        if row.left_seconds
    ]


def describe_changes(rows: Iterable[SiteRow]) -> list[str]:
    """Return a line for each site with posts that changed after reading, or with unread files.

    Changed posts were edited or deleted. Other sites give no line.
    """
    lines = []
    for row in rows:
        words = {word: row.tallies.get(word, 0) for word in ("edited", "gone")}
        parts = [
            f"{count} posts {word} since they were read" for word, count in words.items() if count
        ]
        unread = {why: count for why, count in sorted(row.files.items()) if why not in READ}
        if unread:
            reasons = ", ".join(f"{count} {why}" for why, count in unread.items())
            parts.append(f"{sum(unread.values())} attached files not read ({reasons})")
        if parts:
            lines.append(f"{row.site.name}: {'; '.join(parts)}")
    return lines


def _to_iso(at: float) -> str | None:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at else None


def _format_distance(at: float, now: float) -> str:
    """Format a time as `3 h ago` or `in 3 h`; `-` for never."""
    if not at:
        return "-"
    return f"in {_format_duration(at - now)}" if at > now else f"{_format_duration(now - at)} ago"


def _format_duration(seconds: float) -> str:
    """Format a duration with two digits and a unit: `41 s`, `5 min`, `30 h`, `12 d`."""
    for unit, size, below in (("s", 1, 100), ("min", 60, 100 * 60), ("h", 3600, 48 * 3600)):
        if seconds < below:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
