"""Choose the incident that a finding belongs to, by grouping keys and shared content.

A finding joins an incident for one of two reasons. A *tie* says that one seller wrote both posts;
*shared content* says that both posts leak the same data. If neither applies, the finding opens an
incident of its own.

A tie follows from one post alone: the keyed tokens of its author, channel and thread, its words and
its time. So the order of arrival does not matter, and an incident is what ties connect. There are
three kinds of tie:

    talk       one author in one channel (or on one site of a chat without channels), within the
               same or neighbouring stretches of 15 minutes (`APART`)
    thread     one author in one thread
    template   one author with the same trade terms, two or more; in channels, on the same day

Each tie covers a stretch of time and also connects to the neighbouring stretches: 15 minutes of
talk, four weeks of a thread or a template. Talk that never pauses, such as that of a relay bot, is
cut once a day at an hour when little is posted. A post without an author has no ties. The time is
that of the post; if it is unknown, that of the fetch.

Shared content is compared by sketches. A sketch is the 256 lowest keyed tags of a set; a set of
fewer tags is stored whole. A full sketch says nothing about values above its highest, so two
sketches are compared only up to the lower of their limits. A finding joins an incident if at least
0.6 of the smaller side is contained in the other (8 or more values compared), or if a finding of
that incident had exactly the same set of customers. The oldest matching incident takes the finding
and the others are linked to it. So an exact re-post shares the incident of its original.

Incidents never merge. If a late post ties several, the oldest becomes their head: from then on it
is judged together with its parts and takes all further findings. A part keeps its id, its posts and
its decisions, and names its head.

Candidates are looked up by what incidents hold: sketch values, sets of customers, and ties. Each
belongs to the incident that had it first. The lookup refreshes the store first, because the batch
before this one may have been written a millisecond ago.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from alerts.records import Holding, Incident, Sketched, claim_id, incident_id
from alerts.store import DocumentFilter, IncidentStore
from ullage.records import INGEST, Finding
from ullage.records.finding import SKETCH_SIZE


def find_holdings(store: IncidentStore, values: Collection[str]) -> dict[str, Holding]:
    """Return, for each of `values`, the latest record of which incident has the value.

    A value that no incident has is missing from the result. The store is refreshed first, so that
    new records count.
    """
    if not values:
        return {}
    store.refresh(Holding)
    requested = frozenset(values)
    holdings = list(store.scroll(Holding, DocumentFilter({"values": requested})))
    # the latest holding of a value overwrites the earlier ones
    holdings.sort(key=lambda holding: (-holding.turn, holding.at, holding.id), reverse=True)
    return {
        value: holding for holding in holdings for value in holding.values if value in requested
    }


class Overlap(NamedTuple):
    """How much two sketches have in common.

    `share` is the part of the smaller side that the other contains; `compared` is how many values
    of the smaller side were compared.
    """

    share: float
    compared: int


def overlap(first: Sequence[str], second: Sequence[str]) -> Overlap:
    """Return how much two sketches of the same kind of value have in common.

    A sketch has the lowest values of a set, as hex strings of equal length, so only values below
    the lower of the two limits can be compared. The share is of the smaller compared side, from 0
    to 1; the share and the number of compared values are 0 if nothing can be compared.
    """
    limits = [max(sketch) for sketch in (first, second) if len(sketch) >= SKETCH_SIZE]
    a, b = (
        {value for value in sketch if not limits or value <= min(limits)}
        for sketch in (first, second)
    )
    compared = min(len(a), len(b))
    return Overlap(len(a & b) / compared if compared else 0.0, compared)


def merge(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    """Return the sketch of the union of the sets behind two sketches."""
    return tuple(sorted({*first, *second})[:SKETCH_SIZE])


def measure_known_share(new: Sequence[str], old: Sequence[str]) -> Overlap:
    """Estimate which share of the values behind the sketch `new` the sketch `old` contains too.

    A sketch holds the smallest hashes of a set. Where `old` is full, hashes above its largest are
    not compared. The result is the share from 0 to 1 and the number of compared hashes; both are 0
    if nothing can be compared.
    """
    limit = max(old) if len(old) >= SKETCH_SIZE else None
    comparable = {value for value in new if limit is None or value <= limit}
    return Overlap(
        len(comparable & set(old)) / len(comparable) if comparable else 0.0, len(comparable)
    )


APART = timedelta(minutes=15)
DAY = 86_400
WEEKS = 28 * DAY
TURN = 21 * 3600
"""Second of the UTC day at which a day of talk begins: five in the morning in China."""
MOST = 2**63
TEMPLATE_TERMS = 2
"""Number of different trade terms that make a template; everybody uses a single one."""


class Ties(NamedTuple):
    """The ties of one post.

    `own` are the claims that the post leaves; `near` are those of its neighbours in time, which it
    looks up as well.
    """

    own: tuple[str, ...] = ()
    near: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """All claims that the post looks up."""
        return (*self.own, *self.near)


NONE = Ties()


def time_of(finding: Finding) -> datetime:
    """Return when the post was published or, if that is unknown, fetched."""
    return finding.capture.published_at or finding.capture.fetched_at


def build_ties(finding: Finding, apart: timedelta = APART) -> Ties:
    """Return the ids by which later posts of the same author are tied to this post.

    Posts are tied by one conversation (periods of the length `apart`), one thread, or one
    advertising text; ids of the neighbouring periods are returned separately. A post without an
    author has none.
    """
    capture, tenant = finding.capture, finding.tenant
    if not capture.author:
        return NONE
    at = int(time_of(finding).timestamp()) - TURN
    channel = capture.channel.partition(" ")[0]  # behind the token stand words of its name
    claims, near = list[str](), list[str]()

    def add_tie(of: str, stretch: int, *named: object, last: int = MOST) -> None:
        claims.append(_tie_id(tenant, of, *named, stretch))
        near.extend(
            _tie_id(tenant, of, *named, next_)
            for next_ in (stretch - 1, stretch + 1)
            if 0 <= next_ <= last
        )

    def add_talk() -> None:
        length = max(1, int(apart.total_seconds()))
        add_tie(
            "talk",
            at % DAY // length,
            capture.site,
            channel,
            capture.author,
            at // DAY,
            length,
            last=(DAY - 1) // length,
        )

    if channel:
        add_talk()
    elif capture.thread:
        add_tie("thread", at // WEEKS, capture.site, capture.thread, capture.author)
    elif _is_chat(finding):
        add_talk()
    terms = _template_terms(finding)
    if terms and channel:
        add_tie("advert", 0, capture.author, at // DAY, *terms, last=0)
    elif terms:
        add_tie("template", at // WEEKS, capture.author, *terms)
    return Ties(tuple(claims), tuple(near))


def _is_chat(finding: Finding) -> bool:
    """Return whether a post is, or may be, one line of a chat.

    Imported text without an address and a channel may be one.
    """
    capture = finding.capture
    return capture.category == "chat" or (capture.platform == INGEST and not capture.url)


def _template_terms(finding: Finding) -> tuple[str, ...]:
    """Return the trade terms that identify an offer; () if it has too few.

    Its rows do not count: a word in them may look like a name in one post and not in the next.
    """
    terms = sorted(term.id for term in finding.statistics.terms)
    return tuple(terms) if len(terms) >= TEMPLATE_TERMS else ()


def _tie_id(tenant: str, of: str, *parts: object) -> str:
    """Return the id of a tie's claim.

    It is made of keyed tokens and words of closed lists, so nothing can be guessed from it.
    """
    return claim_id(
        tenant, of, hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]
    )


CONTAINED = 0.6
COMPARED = 8


class KnownIncident(NamedTuple):
    """What grouping needs to know about an incident.

    A frozen incident takes no more findings: its numbers are final.
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
    """When a person closed it: a later post is news, even from the same seller."""
    apart: frozenset[str] = frozenset()
    """Incidents from which a person took the content of this one."""

    @classmethod
    def from_incident(cls, incident: Incident) -> KnownIncident:
        """Return the facts of a stored incident that grouping compares findings with."""
        content = (
            incident.id,
            incident.tenant,
            incident.opened_at,
            incident.sketch,
            incident.sketch_of,
        )
        relations = (frozenset(incident.authors), incident.part_of, frozenset(incident.parts))
        is_frozen = incident.frozen_at is not None
        return cls(
            *content,
            is_frozen,
            frozenset(incident.fields),
            *relations,
            apart=frozenset(incident.apart),
        )

    def with_finding(self, finding: Finding) -> KnownIncident:
        """Return a copy of the incident that includes the finding's author.

        The finding's sketch is merged in if it samples the same kind of value as the incident's.
        """
        updated = self._replace(authors=self.authors | {finding.capture.author})
        if finding.statistics.sketch_of != self.sketch_of:
            return updated
        return updated._replace(sketch=merge(self.sketch, finding.statistics.sketch))

    def accepts_tie(self, finding: Finding) -> bool:
        """Return whether a tie may add `finding` to this incident.

        False if the incident is frozen, or was closed before the post was published.
        """
        return not self.frozen and (self.closed_at is None or time_of(finding) <= self.closed_at)

    def with_part(self, part: KnownIncident) -> KnownIncident:
        """Return a copy of the incident that includes `part` and all parts of `part`.

        The sketch of `part` is merged in if it samples the same kind of value.
        """
        is_comparable = part.sketch_of == self.sketch_of
        sketch = merge(self.sketch, part.sketch) if is_comparable else self.sketch
        return self._replace(
            sketch=sketch,
            authors=self.authors | part.authors,
            parts=self.parts | {part.id} | part.parts,
        )


class Placement(NamedTuple):
    """The incident that a finding goes to.

    `opens` says whether the finding opens it; `linked` are other incidents that the finding fits.
    `parts` are heads that the finding ties to `incident`, and which become its parts. `tied` is
    False if the finding is there only for its content, as a copy.
    """

    incident: str
    opens: bool
    linked: tuple[str, ...]
    parts: tuple[str, ...] = ()
    tied: bool = False


def find_head(id_: str, incidents: Mapping[str, KnownIncident]) -> str:
    """Return the id of the incident that `id_` was merged into, or `id_` if it was not merged.

    An id that is not among `incidents` is returned as it is.
    """
    while (incident := incidents.get(id_)) is not None and incident.part_of in incidents:
        id_ = incident.part_of
    return id_


def subjects_digest(finding: Finding) -> str:
    """Return a digest of the finding's set of customer pseudonyms.

    It is "" if the finding came in parts or has no matches, because then the set is not known
    whole.
    """
    if finding.parts != 1 or not finding.matches:
        return ""
    pseudonyms = sorted({match.subject for match in finding.matches})
    return hashlib.sha256("\x1f".join(pseudonyms).encode()).hexdigest()[:32]


def list_content_claims(finding: Finding) -> tuple[str, ...]:
    """Return the ids under which a finding's content is looked up in the store.

    There is one for each value of its sketch, and one for its set of customers if the finding came
    whole and has any.
    """
    kind = finding.statistics.sketch_of
    values = [claim_id(finding.tenant, kind, value) for value in finding.statistics.sketch]
    digest = subjects_digest(finding)
    return (*values, claim_id(finding.tenant, "subjects", digest)) if digest else tuple(values)


def place(
    finding: Finding,
    holders: Mapping[str, Holding],
    incidents: Mapping[str, KnownIncident],
    tied_by: Ties = NONE,
) -> Placement:
    """Return the incident that `finding` belongs to: an existing one, or a new one that it opens.

    `holders` map ids of shared values to the incidents that have them, `incidents` are the existing
    ones by id, and `tied_by` are the ids that tie the post to others of its author. An incident
    with a tie is preferred to one with similar content, an existing one to a new one, and then the
    oldest. A frozen incident takes no finding, nor does one that people set apart from these
    customers. Other incidents that fit are linked.
    """
    digest = subjects_digest(finding)

    def find_heads(ids: Iterable[str]) -> list[KnownIncident]:
        """Return the heads of the incidents that hold these claims, oldest first."""
        head_ids = {find_head(holders[id_].incident, incidents) for id_ in ids if id_ in holders}
        candidates = (
            incidents[id_]
            for id_ in head_ids
            if id_ in incidents and incidents[id_].tenant == finding.tenant
        )
        return sorted(candidates, key=lambda incident: (incident.opened_at, incident.id))

    same_set = find_heads([claim_id(finding.tenant, "subjects", digest)] if digest else [])
    same_people, apart = (
        {incident.id for incident in same_set},
        {id_ for incident in same_set for id_ in incident.apart},
    )
    fitting = [
        incident
        for incident in find_heads(list_content_claims(finding))
        if incident.id in same_people or _contains(incident, finding)
    ]
    fitting = [incident for incident in fitting if incident.id not in apart]
    tying = find_heads(tied_by.all)
    accepting, fitting_open = (
        [incident for incident in tying if incident.accepts_tie(finding)],
        [incident for incident in fitting if not incident.frozen],
    )
    target = next(iter((*accepting, *fitting_open)), None)
    target_id, parts = (
        target.id if target else incident_id(finding.id),
        tuple(incident.id for incident in accepting[1:]),
    )
    # A copy in another seller's incident says nothing about this seller's other posts.
    is_tied = bool(tied_by.own) and (
        target is None or bool(accepting) or finding.capture.author in target.authors
    )
    linked = _others((target_id, *parts), (*fitting, *tying))
    return Placement(target_id, target is None, linked, parts, is_tied)


def _contains(known: KnownIncident, finding: Finding) -> bool:
    if known.sketch_of != finding.statistics.sketch_of:
        return False
    common = overlap(known.sketch, finding.statistics.sketch)
    return common.compared >= COMPARED and common.share >= CONTAINED


def _others(chosen: Collection[str], fitting: Iterable[KnownIncident]) -> tuple[str, ...]:
    return tuple(sorted({incident.id for incident in fitting if incident.id not in chosen}))
