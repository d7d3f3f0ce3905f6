"""Choose the incident that a finding belongs to, by grouping keys and shared content.

The refresh shows every write that has returned, of this process or another, as reading by id would:
what the batch before this one wrote a millisecond ago is found.

A sketch is the 256 lowest of a set's keyed tags. With fewer than 256 it is the whole set. A full
one says nothing about values above its highest, so two sketches are compared only up to the lower
of their limits; beyond it a missing value is not evidence.

    talk       one author in one channel, or on one site of a chat that names none, within the same or neighbouring stretches of
               15 minutes (`APART`)
    thread     one author in one thread
    template   one author with the same words of the trade, two or more; in channels, on the same day

A tie follows from one post alone: its author's, channel's and thread's keyed tokens, its words and
its time. So posts are tied or not whatever the order in which they come, and what is joined is what
is connected by ties. Each is of a stretch of time and holds to the next: 15 minutes of talk, four
weeks of a thread or a template. Talk that never pauses, as of a relay, would have no end: with the
day it ends, at an hour when little is posted. Who has no name is tied to nobody. Time is the post's
own, else that of the fetch.

A finding goes first to the incident that a tie names: what the same seller says in the same talk,
thread or template. Else it joins an incident when at least 0.6 of the smaller side is contained in
the other (8 or more values compared), or when a finding of that incident had the very same set of
customers. Of several the oldest takes it and the others are linked. An exact re-post therefore
shares its incident, and a finding that comes again goes where it went.

Incidents never merge. Where a late post ties several, the oldest becomes their head: from then on
it is judged with all that is in the others, its parts, and takes what comes. A part keeps its id,
its posts and what was decided of it, and says whose part it is. What a head and its parts hold
together is what the ties connect, in whatever order it came.

Candidates are found by what incidents hold (`alerts.grouping.placement`): sketch values, sets of
customers and ties, each held by the incident that had it first. It is looked up after a refresh,
for the finding before this one may be a millisecond old.
"""  # noqa: E501

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from alerts.records import Holding, Incident, Sketched, claim_id, incident_id
from alerts.store import DocumentFilter, IncidentStore
from ullage.records import INGEST, Finding
from ullage.records.finding import SKETCH_SIZE


def held(store: IncidentStore, values: Collection[str]) -> dict[str, Holding]:
    """By value, of those that any incident has, what holds it."""
    if not values:
        return {}
    store.refresh(Holding)
    wanted = frozenset(values)
    found = list(store.scroll(Holding, DocumentFilter({"values": wanted})))
    # the last of a value is the one that counts
    found.sort(key=lambda one: (-one.turn, one.at, one.id), reverse=True)
    return {value: one for one in found for value in one.values if value in wanted}


class Overlap(NamedTuple):
    """`share` of the smaller side that the other contains, and on how many of its values that
    rests.
    """

    share: float
    compared: int


def overlap(one: Sequence[str], other: Sequence[str]) -> Overlap:
    """Compare two sketches of the same kind of value (hex of equal length, so text order is
    number order).
    """
    limits = [max(sketch) for sketch in (one, other) if len(sketch) >= SKETCH_SIZE]
    a, b = (
        {value for value in sketch if not limits or value <= min(limits)} for sketch in (one, other)
    )
    compared = min(len(a), len(b))
    return Overlap(len(a & b) / compared if compared else 0.0, compared)


def merge(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """The sketch of the union: in any order and as often as one likes, the result is the same."""
    return tuple(sorted({*one, *other})[:SKETCH_SIZE])


def known_share(new: Sequence[str], old: Sequence[str]) -> Overlap:
    """Which share of what `new` stands for is in `old` as well; unlike `overlap`, a larger `new`
    has more that is unknown.
    """
    limit = max(old) if len(old) >= SKETCH_SIZE else None
    told = {value for value in new if limit is None or value <= limit}
    return Overlap(len(told & set(old)) / len(told) if told else 0.0, len(told))


APART = timedelta(minutes=15)
DAY = 86_400
WEEKS = 28 * DAY
TURN = 21 * 3600
"""Second of the UTC day at which a day of talk begins: five in the morning in China."""
MOST = 2**63
TEMPLATE_TERMS = 2
"""Different words of the trade from which they are a template; one word is everybody's."""


class Ties(NamedTuple):
    """`own` are claims that a post leaves, `near` those of its neighbours in time, which it
    looks for as well.
    """

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
        near.extend(
            _tie(tenant, of, *named, next_)
            for next_ in (stretch - 1, stretch + 1)
            if 0 <= next_ <= last
        )

    def talk() -> None:
        length = max(1, int(apart.total_seconds()))
        tie(
            "talk",
            at % DAY // length,
            where.site,
            channel,
            where.author,
            at // DAY,
            length,
            last=(DAY - 1) // length,
        )

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
    """Whether a post is a line of a chat, or of what hands in no address and no channel, and so
    may well be one.
    """
    where = finding.capture
    return where.category == "chat" or (where.platform == INGEST and not where.url)


def _template(finding: Finding) -> tuple[str, ...]:
    """What of an offer stays the same while its rows and prices change; () for what offers nothing
    in particular.

    Its rows do not count: whether a word in them is a name is seen in one and not in the next.
    """
    terms = sorted(term.id for term in finding.statistics.terms)
    return tuple(terms) if len(terms) >= TEMPLATE_TERMS else ()


def _tie(tenant: str, of: str, *parts: object) -> str:
    """The id of a tie's claim.

    It is made of keyed tokens and words of closed lists, so nothing can be guessed from it.
    """
    return claim_id(
        tenant, of, hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]
    )


CONTAINED = 0.6
COMPARED = 8


class KnownIncident(NamedTuple):
    """What fold needs to know of an incident. A frozen one takes nothing more: its numbers
    stand.
    """

    id: str
    tenant: str
    opened_at: datetime
    sketch: tuple[str, ...]
    sketch_of: Sketched
    frozen: bool = False
    fields: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()
    part_of: str = ""
    parts: frozenset[str] = frozenset()
    closed_at: datetime | None = None
    """When a person closed it: what is posted later is news, even of the same seller."""
    apart: frozenset[str] = frozenset()
    """Incidents out of which a person took what is in this one."""

    @classmethod
    def of(cls, incident: Incident) -> KnownIncident:
        """From the stored incident."""
        own = (
            incident.id,
            incident.tenant,
            incident.opened_at,
            incident.sketch,
            incident.sketch_of,
        )
        whose = (frozenset(incident.authors), incident.part_of, frozenset(incident.parts))
        is_frozen = incident.frozen_at is not None
        return cls(
            *own, is_frozen, frozenset(incident.fields), *whose, apart=frozenset(incident.apart)
        )

    def grown(self, finding: Finding) -> KnownIncident:
        """With the finding's author, and its sketch merged in if it is of the same kind."""
        known = self._replace(authors=self.authors | {finding.capture.author})
        if finding.statistics.sketch_of != self.sketch_of:
            return known
        return known._replace(sketch=merge(self.sketch, finding.statistics.sketch))

    def holds(self, finding: Finding) -> bool:
        """Whether a tie to it holds: not to what is frozen, nor to what was closed before that
        was posted.
        """
        return not self.frozen and (self.closed_at is None or time_of(finding) <= self.closed_at)

    def with_part(self, part: KnownIncident) -> KnownIncident:
        """With another incident as its part."""
        same = part.sketch_of == self.sketch_of
        sketch = merge(self.sketch, part.sketch) if same else self.sketch
        return self._replace(
            sketch=sketch,
            authors=self.authors | part.authors,
            parts=self.parts | {part.id} | part.parts,
        )


class Placement(NamedTuple):
    """Where a finding goes: `incident`, whether it `opens` it, and which others it fits as well.

    `parts` are heads that it ties to `incident`, whose parts they become. It is `tied` unless it is
    here for what it holds alone.
    """

    incident: str
    opens: bool
    linked: tuple[str, ...]
    parts: tuple[str, ...] = ()
    tied: bool = False


def head_of(id_: str, incidents: Mapping[str, KnownIncident]) -> str:
    """The incident whose part `id_` is, itself where it is none."""
    while (known := incidents.get(id_)) is not None and known.part_of in incidents:
        id_ = known.part_of
    return id_


def subjects_digest(finding: Finding) -> str:
    """Digest of the set of handles (keyed tags themselves); "" where the record at hand cannot
    show the whole set.
    """
    if finding.parts != 1 or not finding.matches:
        return ""
    handles = sorted({match.subject for match in finding.matches})
    return hashlib.sha256("\x1f".join(handles).encode()).hexdigest()[:32]


def claims_of(finding: Finding) -> tuple[str, ...]:
    """Ids of the claims that tie this finding to its incident."""
    of = finding.statistics.sketch_of
    values = [claim_id(finding.tenant, of, value) for value in finding.statistics.sketch]
    digest = subjects_digest(finding)
    return (*values, claim_id(finding.tenant, "subjects", digest)) if digest else tuple(values)


def place(
    finding: Finding,
    holders: Mapping[str, Holding],
    incidents: Mapping[str, KnownIncident],
    tied_by: Ties = NONE,
) -> Placement:
    """Where `finding` goes. `holders` are what holds its claims, `incidents` those that exist."""
    digest = subjects_digest(finding)

    def heads(ids: Iterable[str]) -> list[KnownIncident]:
        """Those who answer for the holders of these claims, the oldest first."""
        held = {head_of(holders[id_].incident, incidents) for id_ in ids if id_ in holders}
        known = (
            incidents[id_]
            for id_ in held
            if id_ in incidents and incidents[id_].tenant == finding.tenant
        )
        return sorted(known, key=lambda one: (one.opened_at, one.id))

    alike = heads([claim_id(finding.tenant, "subjects", digest)] if digest else [])
    same_people, apart = {one.id for one in alike}, {id_ for one in alike for id_ in one.apart}
    fitting = [
        one for one in heads(claims_of(finding)) if one.id in same_people or _contains(one, finding)
    ]
    fitting = [one for one in fitting if one.id not in apart]
    tying = heads(tied_by.all)
    tied, fitting_open = (
        [one for one in tying if one.holds(finding)],
        [one for one in fitting if not one.frozen],
    )
    known = next(iter((*tied, *fitting_open)), None)
    chosen, parts = (
        known.id if known else incident_id(finding.id),
        tuple(one.id for one in tied[1:]),
    )
    # What another seller's incident takes for what it holds says nothing of whom else this seller
    # sells.
    leaves_ties = bool(tied_by.own) and (
        known is None or bool(tied) or finding.capture.author in known.authors
    )
    linked = _others((chosen, *parts), (*fitting, *tying))
    return Placement(chosen, known is None, linked, parts, leaves_ties)


def _contains(known: KnownIncident, finding: Finding) -> bool:
    if known.sketch_of != finding.statistics.sketch_of:
        return False
    found = overlap(known.sketch, finding.statistics.sketch)
    return found.compared >= COMPARED and found.share >= CONTAINED


def _others(chosen: Collection[str], fitting: Iterable[KnownIncident]) -> tuple[str, ...]:
    return tuple(sorted({known.id for known in fitting if known.id not in chosen}))
