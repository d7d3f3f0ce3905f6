"""Which posts of one seller belong together, whatever they say: ties, names that two posts share exactly if they do.

    talk       one author in one channel, or on one site of a chat that names none, within the same or neighbouring stretches of
               15 minutes (`alert.together_minutes`)
    thread     one author in one thread
    template   one author with the same words of the trade, two or more; in channels, on the same day

A tie follows from one post alone: its author's, channel's and thread's keyed tokens, its words and its time. So posts are tied
or not whatever the order in which they come, and what is joined is what is connected by ties. Each is of a stretch of time and
holds to the next: 15 minutes of talk, four weeks of a thread or a template. Talk that never pauses, as of a relay, would have
no end: with the day it ends, at an hour when little is posted. Who has no name is tied to nobody. Time is the post's own, else
that of the fetch.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import NamedTuple

from alerts.records import claim_id
from ullage.records import INGEST, Finding

APART = timedelta(minutes=15)
DAY = 86_400
WEEKS = 28 * DAY
TURN = 21 * 3600
"""Second of the UTC day at which a day of talk begins: five in the morning in China."""
MOST = 2**63
TEMPLATE_TERMS = 2
"""Different words of the trade from which they are a template; one word is everybody's."""


class Ties(NamedTuple):
    """`own` are claims that a post leaves, `near` those of its neighbours in time, which it looks for as well."""

    own: tuple[str, ...] = ()
    near: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """All that it looks for."""
        return (*self.own, *self.near)


NONE = Ties()


def time_of(finding: Finding) -> datetime:
    """When it was posted, as far as that is known."""
    return finding.capture.published_at or finding.capture.fetched_at


def ties_of(finding: Finding, apart: timedelta = APART) -> Ties:
    """The ties of a post; `apart` is how long a stretch of talk is."""
    where, tenant = finding.capture, finding.tenant
    if not where.author:
        return NONE
    at = int(time_of(finding).timestamp()) - TURN
    channel = where.channel.partition(" ")[0]  # behind the token stand words of its name
    own, near = list[str](), list[str]()

    def tie(of: str, stretch: int, *named: object, last: int = MOST) -> None:
        own.append(_tie(tenant, of, *named, stretch))
        near.extend(_tie(tenant, of, *named, next_) for next_ in (stretch - 1, stretch + 1) if 0 <= next_ <= last)

    def talk() -> None:
        length = max(1, int(apart.total_seconds()))
        tie("talk", at % DAY // length, where.site, channel, where.author, at // DAY, length, last=(DAY - 1) // length)

    if channel:
        talk()
    elif where.thread:
        tie("thread", at // WEEKS, where.site, where.thread, where.author)
    elif _is_chat(finding):
        talk()
    terms = _template(finding)
    if terms and channel:
        tie("advert", 0, where.author, at // DAY, *terms, last=0)
    elif terms:
        tie("template", at // WEEKS, where.author, *terms)
    return Ties(tuple(own), tuple(near))


def _is_chat(finding: Finding) -> bool:
    """Whether a post is a line of a chat, or of what hands in no address and no channel, and so may well be one."""
    where = finding.capture
    return where.category == "chat" or (where.platform == INGEST and not where.url)


def _template(finding: Finding) -> tuple[str, ...]:
    """What of an offer stays the same while its rows and prices change; () for what offers nothing in particular.

    Its rows do not count: whether a word in them is a name is seen in one and not in the next.
    """
    terms = sorted(term.id for term in finding.statistics.terms)
    return tuple(terms) if len(terms) >= TEMPLATE_TERMS else ()


def _tie(tenant: str, of: str, *parts: object) -> str:
    """The id of a tie's claim. It is made of keyed tokens and words of closed lists, so nothing can be guessed from it."""
    return claim_id(tenant, of, hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32])
