"""Records that the service writes about a finding.

These are a sighting, or a benign post with its traits; encrypted originals; and grouping values.
All values that a finding brought first are in one document, because one document per value would
dominate what alert writes. Documents are only added: if the incident of a value is gone, frozen or
closed, another incident takes the value at the next turn, and the last turn counts. If two take a
value at the same turn, without knowing of each other, it belongs to the first.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Literal

from pydantic import Field

from alerts.records.document import Document, Frozen, Sketched
from ullage.identifiers import field_by_kind
from ullage.records import Bait, CaptureCounts, Claims, Cohort, Finding, Statistics
from ullage.records.base import MaybeMoment
from ullage.vocabulary.known_words import GAP

CONTACT = "CHAN"
"""Lexicon category of means of contact; of weight 1 (QQ, WeChat) they stand in every small
advertisement and are no jargon.
"""


class Traits(Frozen):
    """Properties of one finding that the rules of benign posts look at.

    `jargon` is the weight of the terms per lexicon category, `context` the number of different
    words
    per context theme. `own_fields` counts the fields known to belong to the one customer,
    `signs` names
    properties that only a leak has.
    """

    subjects: int
    own_fields: int
    candidates: dict[str, int]
    rows: int
    fields: tuple[str, ...]
    jargon: dict[str, int] = Field(default_factory=dict)
    context: dict[str, int] = Field(default_factory=dict)
    category: str = ""
    signs: tuple[str, ...] = ()

    @classmethod
    def from_finding(cls, finding: Finding) -> Traits:
        """Build the traits of `finding`, which must be complete (one part)."""
        statistics, fields_by_subject = finding.statistics, defaultdict[str, set[str]](set)
        for match in finding.matches:
            fields_by_subject[match.subject].update(
                match.own_fields, filter(None, [field_by_kind().get(match.kind)])
            )
        jargon = Counter[str]()
        for term in statistics.terms:
            if term.category != CONTACT or term.weight > 1:
                jargon[term.category] += term.weight
        return cls(
            subjects=finding.total_subjects,
            own_fields=max(map(len, fields_by_subject.values()), default=0),
            candidates=statistics.candidates,
            rows=statistics.rows,
            fields=tuple(
                sorted({*statistics.field_map, *(f for g in statistics.groups for f in g.fields)})
            ),
            jargon=dict(sorted(jargon.items())),
            context=statistics.context,
            category=finding.capture.category,
            signs=tuple(_find_signs(finding, statistics)),
        )


RECORD = re.compile(r"\||----|;|\t|<[A-Z_]+>:<")
"""In a skeleton: what stands between the fields of a record, and not in a sentence; a value
before a colon is a login.
"""


def _find_signs(finding: Finding, statistics: Statistics) -> Iterator[str]:
    """Yield properties that a person's own post never has, or that leave its content in doubt."""
    yield from (name for name, is_so in {
        "offer": finding.alarm,
        "a record": bool(RECORD.search(statistics.skeleton)),
        "canaries": bool(finding.canaries),
        "logins": statistics.logins > 0,
        "own cards": statistics.own_cards > 0,
        "checksum failures": any(statistics.failures.values()),
        "digests or masked values": any(match.form != "plain" for match in finding.matches),
        "parts": finding.parts > 1,
        "estimates": statistics.estimated,
        "unread": bool(statistics.unread) or finding.capture.truncated,
    }.items() if is_so)  # fmt: skip


How = Literal["deleted", "edited"]


class Sighting(Document, CaptureCounts):
    """One finding in an incident: where and when it was seen, and the counts of the whole capture.

    `linked` are other incidents that it fits, `author_tag` is the author's tag under the
    tenant's index
    key.
    """

    columns = ("tenant", "incident", "site")
    sets = ("linked", "seller")
    time = "folded_at"
    brief = ("incident", "fetched_at", "site", "url", "author")

    tenant: str
    incident: str
    folded_at: datetime
    linked: tuple[str, ...] = ()
    site: str
    platform: str
    kind: str
    category: str
    post_id: str
    capture: str
    url: str
    title: str
    author: str
    channel: str
    thread: str
    published_at: MaybeMoment
    fetched_at: datetime
    matched_at: datetime
    truncated: bool
    alarm: bool
    wanted: bool = False
    """The post asks for data and offers none."""
    epoch: int
    index_epoch: int
    watchlist: int
    """Customers that were enrolled when it was matched."""
    parts: int
    matches: int
    customers: int
    subjects: str
    """Digest of the set of handles; "" where the finding came in parts or has none."""
    matched_rows: int
    corroborated_rows: int
    skeleton: str
    terms: dict[str, int]
    written: dict[str, str] = Field(default_factory=dict)
    """The terms as they stand in the post."""
    brands: tuple[str, ...]
    bytes: int
    suspicion: bool = False
    minors: int = 0
    cohorts: tuple[Cohort, ...] = ()
    cohort_labels: int = 0
    canaries: tuple[Bait, ...] = ()
    canaries_enrolled: int = 0
    cards_enrolled: int = 0
    witnesses_comparable: int = 0
    """Customers whose loan could be compared with ours."""
    witnesses_agreeing: int = 0
    replayed: float = 0.0
    """Share of its customers who stood with the same fields in incidents before, when it was
    folded.
    """
    replay_of: str = ""
    """The incident in which most of them stood."""
    incomplete: tuple[str, ...] = ()
    """Why less than the whole capture was searched or judged; () where all of it was."""
    served: str = ""
    """Digest of the bytes as served: the id that an incomplete sighting of the same capture has."""
    traits: Traits | None = None
    """What the background rules saw; of a finding in parts they see nothing."""
    author_tag: str = ""
    claims: Claims = Claims()
    parts_tied: tuple[str, ...] = ()
    """Incidents that became parts of `incident` because this post ties them to it."""
    tied: bool = False
    """It belongs here as one of a seller's posts, so its rows count beside theirs; else for what
    it holds, as a copy does.
    """
    detached_from: str = ""
    """The incident in which it was until a person took it out."""
    gone_at: datetime | None = None
    """Since when its post is known to be gone, and how; None while it is there, as far as
    anybody looked.
    """
    gone_how: How | Literal[""] = ""
    back_at: datetime | None = None
    """When it was last seen, of a post that was gone and is there again."""
    sketch: tuple[str, ...] = ()
    sketch_of: Sketched = "candidates"
    """Of a tied post, as its finding had it: by this a copy among a seller's posts is known."""

    @property
    def seller(self) -> tuple[str, ...]:
        """By what the author is found: the token that is shown, and the tag of the name."""
        return tuple(filter(None, (self.author, self.author_tag)))

    @property
    def section(self) -> str:
        """The configured list under which it was posted, "" where that is not known."""
        return section_of(self.url)


class Exposure(Document):
    """One customer in one incident.

    `fields` are the labels of the rows with the customer, `groups` those that were together in
    one row,
    `own_fields` those whose values are known to belong to this customer; two of them in one row
    make it
    `corroborated`.
    """

    columns = ("tenant", "incident", "subject")
    sets = ("index_tags", "kinds")
    time = "last_seen"

    tenant: str
    incident: str
    subject: str
    kinds: tuple[str, ...]
    forms: tuple[str, ...]
    fields: tuple[str, ...]
    own_fields: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    sites: tuple[str, ...]
    sightings: tuple[str, ...]
    index_tags: tuple[str, ...]
    index_epoch: int
    first_seen: datetime
    last_seen: datetime
    confidence: int
    corroborated: bool


class Original(Document):
    """What is sealed to the desk of one sighting of an incident that is `low` or above; its id
    is the sighting's.
    """

    columns = ("tenant", "incident")

    tenant: str
    incident: str
    at: datetime
    sealed: str
    key_id: str


class Background(Document):
    """A finding that is no leak: one customer's number, by a rule of `alerts.grouping.benign`; kept
    as exposures are.

    It says for "is this person exposed?" where they were seen, and holds the traits by which other
    rules can be tried on it.
    """

    columns = ("tenant", "site", "rule", "subject")
    sets = ("index_tags", "ties")

    tenant: str
    site: str
    rule: str
    version: int
    """Of the rules that decided."""
    at: datetime
    subject: str
    kinds: tuple[str, ...]
    index_tags: tuple[str, ...]
    index_epoch: int
    url: str
    title: str
    published_at: MaybeMoment
    fetched_at: datetime
    traits: Traits
    ties: tuple[str, ...] = ()
    """Those that its post would leave: should the same author sell beside it, it is no
    background.
    """
    finding: str = ""
    """The finding as it came, of a post with ties: what it takes to fold it after all."""


class CollectorHeartbeat(Document):
    """What alert heard of one crawl host, whose name is the id: since when, when last, and what it
    said then of its sites.

    An empty list says something only of the time in between. `sites` are counts by state;
    `enrolled` are the customers that match looked for, `customers` how many of each tenant; None
    until match has said so.
    """

    time = "last"

    first: datetime
    last: datetime
    sites: dict[str, int] = Field(default={})
    unseen: int = 0
    """Sites in no state: not visited yet, in doubt, or with a file that cannot be read."""
    missed: int = 0
    """Sites that were not read by the latest report of their last minutes, whatever their state."""
    egress_up: bool = True
    enrolled: int | None = None
    customers: dict[str, int] | None = None


class PostRemoval(Frozen):
    """When a post was found gone: taken away, or edited so that nothing of the tenant's is in
    it.
    """

    at: datetime
    how: How


class Presence(Document):
    """Whether one post is there, whatever it says; see `alerts.grouping.sightings`.

    Its times are those of the collectors.

    `sightings` are those of its versions; () while only that it is gone is known, which is kept
    until no finding can follow.
    """

    columns = ("tenant", "state")

    tenant: str
    at: datetime
    first_shown: datetime | None = None
    last_shown: datetime | None = None
    gone: tuple[PostRemoval, ...] = ()
    sightings: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """`waiting` as long as no sighting is known of it."""
        return "known" if self.sightings else "waiting"


class Claim(Document):
    """That somebody had something first, or that something was done: read and created by id,
    never searched.
    """

    columns = ("tenant",)

    tenant: str
    incident: str
    at: datetime


class KeyCheck(Document):
    """The check value of a key under which facts in the store were made; its id is the key's
    name, such as `bank/index-1.key`.
    """

    columns = ("tenant",)

    tenant: str
    value: str
    at: datetime


def section_of(url: str) -> str:
    """Return the configured list that a post was in, from a sighting's `url`; "" if unknown."""
    return url.removesuffix(GAP) if url.endswith(GAP) else ""


def exposure_id(incident: str, subject: str) -> str:
    """Return the id of the exposure of `subject` in `incident`."""
    return f"{incident}:{subject}"


def presence_id(tenant: str, post: str) -> str:
    """Return the id of the presence of one post, by its token."""
    return f"{tenant}:{post}"


def claim_id(tenant: str, of: str, value: str) -> str:
    """Return the id of a claim or a grouping value: a sketch value, a set of subjects, a tie."""
    return f"{tenant}:{of}:{value}"


class Holding(Document):
    """The `values` that belong to `incident`; "" if their finding opened none."""

    columns = ("tenant",)
    sets = ("values",)
    looked_up = True

    tenant: str
    incident: str
    at: datetime
    turn: int = 0
    values: tuple[str, ...]


def build_holding(
    tenant: str,
    incident: str,
    values: Iterable[str],
    at: datetime,
    before: Collection[Holding] = (),
) -> Holding:
    """Return the holding of these values that follows those in `before`.

    Its id follows from the arguments, so repeating it gives the same document.
    """
    sorted_values = tuple(sorted(values))
    identity = "\x1f".join((*sorted_values, *sorted(holding.id for holding in before)))
    turn = 1 + max((holding.turn for holding in before), default=-1)
    id_ = f"{tenant}:{incident}:{hashlib.sha256(identity.encode()).hexdigest()[:32]}"
    return Holding(id=id_, tenant=tenant, incident=incident, at=at, turn=turn, values=sorted_values)
