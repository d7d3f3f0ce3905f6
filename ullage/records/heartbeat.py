"""Define the heartbeat: a record that travels with the captures, so that silence means something.

Crawl appends one every `crawl.heartbeat_seconds` to each partition of topic `captures`, encrypted
like a capture. Once match has processed and published what came before it, it passes the heartbeat
on to each partition of topic `findings`; alert records its arrival. Whoever reads a partition thus
knows that the stages before it work, and how long they take. A consumer that stands still in one
partition shows as lag of its group, not here.

The heartbeat also carries what crawl knows of its sites, because across an air gap this is the only
way in. A `SiteHour` has one letter for each five minutes (a *slot*): `o` if the site was read,
another letter for the reason why not (`WHY`), `.` if nothing was reported.

    slots      o o o p p o o o o o . .         hour 489123, site forum-a
    minute     0 5 10 …            50 55       p: not visited in time

If a slot is reported repeatedly or by two hosts, the more informative letter wins (`pick_letter`),
so the order, delay and number of heartbeats do not matter. Anything shorter than a slot is not
reported. A heartbeat is signed: inside the encryption on `captures`, in its headers on `findings`.
A repeated heartbeat is older than the newest one, so readers compare times and need not remember
ids. One that is damaged or of another schema raises RecordError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field, ValidationError

from ullage.errors import RecordError
from ullage.phrase import mark_for_translation
from ullage.records.base import STRICT, Moment

HOUR_SECONDS, SLOT_SECONDS, DAY_HOURS = 3600, 300, 24
SLOTS = HOUR_SECONDS // SLOT_SECONDS
UNHEARD, ELSEWHERE, SEEN = ".", "-", "o"
UNWATCHED: Mapping[str, str] = {
    "d": mark_for_translation("switched off in its file"),
    "i": mark_for_translation("imported by another program, which does not report when it reads"),
    "g": mark_for_translation("its file has no legal basis, so it is not read"),
}
"""Sites that are known but not watched on purpose: reported, but no gap."""
FIRST_READING, UNVISITED = "a", "n"
"""A new site: its older posts are being read, or it has not been visited yet.

A gap, but no fault.
"""
NIGHT = "z"
"""The site's file excludes this time of day: no gap."""
WHY: Mapping[str, str] = {
    UNHEARD: mark_for_translation("no heartbeat"),
    "f": mark_for_translation("its file cannot be read"),
    "n": mark_for_translation("not visited yet"),
    "e": mark_for_translation("no network access (egress)"),
    "p": mark_for_translation("not visited in time"),
    "u": mark_for_translation("unreachable"),
    "b": mark_for_translation("blocked"),
    "r": mark_for_translation("forbidden by robots.txt"),
    "l": mark_for_translation("login expired"),
    "y": mark_for_translation("its pages cannot be parsed"),
    "m": mark_for_translation("posts or messages were skipped, are waiting, or cannot be read"),
    "a": mark_for_translation("read for the first time; not all older posts are read yet"),
    "x": mark_for_translation("the expiry date in its file has passed"),
    "w": mark_for_translation("match had no customer list"),
}
"""Reasons for a coverage gap in a slot, most important first."""
_RANK = {
    letter: rank
    for rank, letter in enumerate((UNHEARD, ELSEWHERE, *UNWATCHED, NIGHT, *list(WHY)[1:], SEEN))
}
LETTERS = "".join(_RANK)
MOST_TOLD = 1_000
"""Hours in one heartbeat; a bus with many partitions carries each heartbeat many times."""
PLACE = r"[a-z0-9][a-z0-9._-]{0,63}(?:/[#@][0-9a-f]{8,16})?"
"""A site, or a site and the token of one of its channels."""


class SiteHour(BaseModel):
    """Coverage of one site in one hour (hours since 1970), as far as it is known yet.

    `posts` is the number of new posts.
    """

    model_config = STRICT

    site: Annotated[str, Field(pattern=f"^{PLACE}$")]
    hour: Annotated[int, Field(ge=0, le=10_000_000)]
    slots: Annotated[
        str, Field(pattern=rf"^[.\-{LETTERS.replace('.', '').replace('-', '')}]{{{SLOTS}}}$")
    ]
    posts: Annotated[int, Field(ge=0)] = 0
    revisit: Annotated[int, Field(ge=0)] = 0
    """Seconds between two visits; 0 if unknown."""
    lives: Annotated[int, Field(ge=0)] = 0
    """Seconds for which a post can be found on a busy day; 0 if unknown."""


def pick_letter(first: str, second: str) -> str:
    """Return the more informative of two letters for a slot.

    Raises KeyError for a letter that is not in `LETTERS`.
    """
    return first if _RANK[first] >= _RANK[second] else second


def merge_slots(first: str, second: str) -> str:
    """Return, for each slot of five minutes, the more informative letter of two reports.

    The two strings have one letter per slot and equal length.
    """
    return first if first == second else "".join(map(pick_letter, first, second))


def to_slot(seconds: float) -> int:
    """Return the number of the slot since 1970 in which a moment (Unix seconds) lies."""
    return int(seconds // SLOT_SECONDS)


HEARTBEAT_SCHEMA = 1
PURPOSE = "heartbeat"
RECORD = "record"
"""The header that marks a heartbeat; other records of a topic have no such header."""
State = Literal[
    "ok",
    "blocked",
    "login_expired",
    "layout_changed",
    "robots_denied",
    "unreachable",
    "quiet",
    "incomplete",
]
STATES: tuple[State, ...] = get_args(State)
MAX_WATCHED = 200
"""Sites with metric series of their own; more would make monitoring expensive."""
NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
"""Name of a site or a crawl host; safe in a file name, a label and a message."""


def is_valid_name(text: str) -> bool:
    """Return whether `text` is a valid name of a site or a crawl host."""
    return re.fullmatch(NAME, text) is not None


class _HeartbeatRecord(BaseModel):
    model_config = STRICT


class SiteReport(_HeartbeatRecord):
    """What crawl knows about one watched site.

    Times are Unix seconds; 0 for never or unknown.
    """

    site: Name
    state: State | None = None
    """None before the first visit."""
    since: float = 0.0
    last_new: float = 0.0
    """When the site last had something new."""
    last_success: float = 0.0
    expected_by: float = 0.0
    """When a new post is overdue, by the site's own rhythm."""


class Coverage(_HeartbeatRecord):
    """A crawl host's watched sites, the number of sites in each state, and its network access."""

    watched: tuple[SiteReport, ...] = Field(default=(), max_length=MAX_WATCHED)
    sites: dict[State, int] = {}
    unseen: Annotated[int, Field(ge=0)] = 0
    """Sites without a state: not visited, unclear since the first visit, or with an unreadable
    file.
    """
    egress_up: bool = True


class SiteCounter(_HeartbeatRecord):
    """Value of one of crawl's counters, summed over its sites; `labels` exclude the site."""

    name: Annotated[str, Field(pattern=r"^ullage_crawl_[a-z_]{1,60}$")]
    labels: dict[str, str] = {}
    value: float


class Heartbeat(_HeartbeatRecord):
    """One heartbeat; see the module.

    `id` is random, `origin` the crawl host's name from its settings, `inserted_at` when it was
    made.
    """

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    origin: Name
    inserted_at: Moment
    coverage: Coverage | None = None
    counts: tuple[SiteCounter, ...] = Field(default=(), max_length=200)
    hours: tuple[SiteHour, ...] = Field(default=(), max_length=MOST_TOLD)
    """Recent coverage; with many sites each heartbeat reports some of them."""
    gone: tuple[Name, ...] = Field(default=(), max_length=MOST_TOLD)
    """Sites whose files were removed: nothing more is expected of them."""
    enrolled: Annotated[int, Field(ge=0)] | None = None
    """Customers that match searched for when the heartbeat passed; None before match."""
    customers: dict[str, Annotated[int, Field(ge=0)]] | None = None
    """The same by tenant, so that no tenant learns about another."""

    def without_crawl_details(self, customers: Mapping[str, int] | None = None) -> Heartbeat:
        """Return the heartbeat for `findings`: of site states only totals remain.

        `customers` are the numbers of customers that match searches for, by tenant.
        """
        coverage = self.coverage and self.coverage.model_copy(update={"watched": ()})
        enrolment = (
            {}
            if customers is None
            else {"enrolled": sum(customers.values()), "customers": dict(customers)}
        )
        return self.model_copy(
            update={
                "coverage": coverage,
                "counts": (),
                "enrolled": None,
                "customers": None,
                **enrolment,
            }
        )

    def headers(self) -> dict[str, str]:
        """Return the headers of the record, which are readable without the key."""
        return {RECORD: PURPOSE, "id": self.id, "schema": str(HEARTBEAT_SCHEMA)}

    def encode(self) -> bytes:
        """Return the heartbeat as JSON in UTF-8; fields with their default value are left out."""
        return self.model_dump_json(exclude_defaults=True).encode()

    @classmethod
    def decode(cls, data: bytes, schema: str) -> Heartbeat:
        """Return the heartbeat in `data`.

        Raises RecordError: `schema` if `schema` is not the current one, `malformed` if it is
        invalid.
        """
        if schema != str(HEARTBEAT_SCHEMA):
            raise RecordError("schema")
        try:
            return cls.model_validate_json(data)
        except ValidationError:
            raise RecordError("malformed") from None


def is_heartbeat(headers: Mapping[str, str]) -> bool:
    """Return whether the headers of a record mark it as a heartbeat."""
    return headers.get(RECORD) == PURPOSE
