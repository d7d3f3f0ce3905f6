"""Heartbeat: a record without content that goes the way of the captures, so that its absence means
something.

A slot of five minutes has one letter: `o` where the site was being read, another where it was not,
for the reason in `WHY`, and `.` where nobody said anything. Told twice, or by two, a slot has the
letter that says more (`better`), so it does not matter in which order, how late or how often a
heartbeat comes. What lasts less than a slot is not told.

Crawl appends one every `crawl.heartbeat_seconds` to each partition of topic `captures`, sealed like
a capture; match, when what came before it is matched and published, passes it on to each partition
of topic `findings`; alert notes that it came. Whoever reads a partition has evidence that the
stages before it work and how long the way takes. A copy that stands still in one partition while
another's moves is seen as that group's lag, not here. What crawl knows of its sites goes with it,
because across a gap this is the only way in: the inner zone's /metrics shows the outer zone's
sites.

It is signed: within the seal on `captures`, in its headers on `findings`.

A heartbeat that comes again is older than the newest that came: whoever counts them compares times
and needs no memory of ids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field, ValidationError

from ullage.errors import RecordError
from ullage.phrase import marked
from ullage.records.base import STRICT, Moment

HOUR_SECONDS, SLOT_SECONDS, DAY_HOURS = 3600, 300, 24
SLOTS = HOUR_SECONDS // SLOT_SECONDS
UNHEARD, ELSEWHERE, SEEN = ".", "-", "o"
UNWATCHED: Mapping[str, str] = {
    "d": marked("switched off in its file"),
    "i": marked("imported by another program, which does not report when it reads"),
    "g": marked("its file has no legal basis, so it is not read"),
}
"""What is known and is not to be watched: no gap, but said."""
FIRST_READING, UNVISITED = "a", "n"
"""A site that is new to us: its older posts are being read, or not even a visit was made.

A gap, and no fault.
"""
NIGHT = "z"
"""The site's file keeps it alone at this time of day: no gap."""
WHY: Mapping[str, str] = {
    UNHEARD: marked("no heartbeat"),
    "f": marked("its file cannot be read"),
    "n": marked("not visited yet"),
    "e": marked("no network access (egress)"),
    "p": marked("not visited in time"),
    "u": marked("unreachable"),
    "b": marked("blocked"),
    "r": marked("forbidden by robots.txt"),
    "l": marked("login expired"),
    "y": marked("its pages cannot be parsed"),
    "m": marked("posts or messages were skipped, are waiting, or cannot be read"),
    "a": marked("read for the first time; not all older posts are read yet"),
    "x": marked("the expiry date in its file has passed"),
    "w": marked("match had no customer list"),
}
"""Reasons for which a slot is blind, in the order in which one goes before another."""
_RANK = {
    letter: rank
    for rank, letter in enumerate((UNHEARD, ELSEWHERE, *UNWATCHED, NIGHT, *list(WHY)[1:], SEEN))
}
LETTERS = "".join(_RANK)
MOST_TOLD = 1_000
"""Hours that one heartbeat tells: a bus of many partitions carries it many times."""
PLACE = r"[a-z0-9][a-z0-9._-]{0,63}(?:/[#@][0-9a-f]{8,16})?"
"""A site, or a site and the token of a channel of it."""


class SiteHour(BaseModel):
    """What was seen of one site in one hour (since 1970), as far as is known yet.

    `posts` were new in it.
    """

    model_config = STRICT

    site: Annotated[str, Field(pattern=f"^{PLACE}$")]
    hour: Annotated[int, Field(ge=0, le=10_000_000)]
    slots: Annotated[
        str, Field(pattern=rf"^[.\-{LETTERS.replace('.', '').replace('-', '')}]{{{SLOTS}}}$")
    ]
    posts: Annotated[int, Field(ge=0)] = 0
    revisit: Annotated[int, Field(ge=0)] = 0
    """Seconds between two visits; 0 for not known."""
    lives: Annotated[int, Field(ge=0)] = 0
    """Seconds for which a post could be found on a busy day; 0 for not known."""


def better(one: str, other: str) -> str:
    """Of two letters for a slot, the one that says more."""
    return one if _RANK[one] >= _RANK[other] else other


def merged(one: str, other: str) -> str:
    """Two tellings of the same slots as one."""
    return one if one == other else "".join(map(better, one, other))


def slot_of(seconds: float) -> int:
    """The slot (since 1970) that a moment lies in."""
    return int(seconds // SLOT_SECONDS)


HEARTBEAT_SCHEMA = 1
PURPOSE = "heartbeat"
RECORD = "record"
"""The header that tells a heartbeat from what a topic is for; other records have none of that
name.
"""
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
"""Sites with series of their own: beyond it monitoring costs more than it tells."""
NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
"""Of a site or a crawl host: fit for a file, a label and a message."""


def is_name(text: str) -> bool:
    """Whether `text` is one."""
    return re.fullmatch(NAME, text) is not None


class _HeartbeatRecord(BaseModel):
    model_config = STRICT


class SiteReport(_HeartbeatRecord):
    """What crawl knows of one watched site.

    Times are Unix seconds, 0 for never and for not known yet.
    """

    site: Name
    state: State | None = None
    """None before the first visit."""
    since: float = 0.0
    last_new: float = 0.0
    """When something new last came."""
    last_success: float = 0.0
    expected_by: float = 0.0
    """When, by the site's own rhythm, something new is overdue."""


class Coverage(_HeartbeatRecord):
    """What a crawl host sees: its watched sites, how many of all its sites are in each state,
    and whether its way out works.
    """

    watched: tuple[SiteReport, ...] = Field(default=(), max_length=MAX_WATCHED)
    sites: dict[State, int] = {}
    unseen: Annotated[int, Field(ge=0)] = 0
    """Sites that are in none yet: not visited, in doubt since the first visit, or with a file
    that cannot be read.
    """
    egress_up: bool = True


class SiteCounter(_HeartbeatRecord):
    """A counter of crawl's, summed over its sites, as it stood. `labels` without the site."""

    name: Annotated[str, Field(pattern=r"^ullage_crawl_[a-z_]{1,60}$")]
    labels: dict[str, str] = {}
    value: float


class Heartbeat(_HeartbeatRecord):
    """See the module. `id` is random, `origin` the crawl host's name from its settings."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    origin: Name
    inserted_at: Moment
    coverage: Coverage | None = None
    counts: tuple[SiteCounter, ...] = Field(default=(), max_length=200)
    hours: tuple[SiteHour, ...] = Field(default=(), max_length=MOST_TOLD)
    """What was seen of sites lately; with many sites each heartbeat tells of some of them."""
    gone: tuple[Name, ...] = Field(default=(), max_length=MOST_TOLD)
    """Sites whose files were taken away: nothing of them is to be expected."""
    enrolled: Annotated[int, Field(ge=0)] | None = None
    """Customers that match looked for when it came by; None until match says so."""
    customers: dict[str, Annotated[int, Field(ge=0)]] | None = None
    """The same of each tenant, so that none is told of another's."""

    def bare(self, customers: Mapping[str, int] | None = None) -> Heartbeat:
        """As it goes on to `findings`, without what only match is told: of states there is left how
        many sites are in each.

        `customers` are those that match looks for, by tenant.
        """
        coverage = self.coverage and self.coverage.model_copy(update={"watched": ()})
        told = (
            {}
            if customers is None
            else {"enrolled": sum(customers.values()), "customers": dict(customers)}
        )
        return self.model_copy(
            update={"coverage": coverage, "counts": (), "enrolled": None, "customers": None, **told}
        )

    def headers(self) -> dict[str, str]:
        """What stands in clear beside it."""
        return {RECORD: PURPOSE, "id": self.id, "schema": str(HEARTBEAT_SCHEMA)}

    def encode(self) -> bytes:
        """The record's bytes."""
        return self.model_dump_json(exclude_defaults=True).encode()

    @classmethod
    def decode(cls, data: bytes, schema: str) -> Heartbeat:
        """The heartbeat in `data`; RecordError `schema` or `malformed`."""
        if schema != str(HEARTBEAT_SCHEMA):
            raise RecordError("schema")
        try:
            return cls.model_validate_json(data)
        except ValidationError:
            raise RecordError("malformed") from None


def is_heartbeat(headers: Mapping[str, str]) -> bool:
    """Whether a record with these headers is one."""
    return headers.get(RECORD) == PURPOSE
