"""What was seen of a site or channel within an hour, by five minutes: crawl tells it with its heartbeats, and alert keeps it.

A slot of five minutes has one letter: `o` where the site was being read, another where it was not, for the reason in `WHY`, and
`.` where nobody said anything. Told twice, or by two, a slot has the letter that says more (`better`), so it does not matter in
which order, how late or how often a heartbeat comes. What lasts less than a slot is not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, Field

from ullage.phrase import marked
from ullage.records.base import STRICT

HOUR_SECONDS, SLOT_SECONDS, DAY_HOURS = 3600, 300, 24
SLOTS = HOUR_SECONDS // SLOT_SECONDS
UNHEARD, ELSEWHERE, SEEN = ".", "-", "o"
UNWATCHED: Mapping[str, str] = {
    "d": marked("switched off in its file"),
    "i": marked("imported by another program, which does not report when it reads"),
    "g": marked("its file has no legal basis, so it is not read"),
}
"""What is known and is not to be watched: no gap, but said."""
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
    "x": marked("the expiry date in its file has passed"),
    "w": marked("match had no customer list"),
}
"""Reasons for which a slot is blind, in the order in which one goes before another."""
_RANK = {letter: rank for rank, letter in enumerate((UNHEARD, ELSEWHERE, *UNWATCHED, NIGHT, *list(WHY)[1:], SEEN))}
LETTERS = "".join(_RANK)
MOST_TOLD = 1_000
"""Hours that one heartbeat tells: a bus of many partitions carries it many times."""
PLACE = r"[a-z0-9][a-z0-9._-]{0,63}(?:/[#@][0-9a-f]{8,16})?"
"""A site, or a site and the token of a channel of it."""


class SiteHour(BaseModel):
    """What was seen of one site in one hour (since 1970), as far as is known yet. `posts` were new in it."""

    model_config = STRICT

    site: Annotated[str, Field(pattern=f"^{PLACE}$")]
    hour: Annotated[int, Field(ge=0, le=10_000_000)]
    slots: Annotated[str, Field(pattern=rf"^[.\-{LETTERS.replace('.', '').replace('-', '')}]{{{SLOTS}}}$")]
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
