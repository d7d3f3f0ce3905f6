"""What the service writes about a finding: a sighting, or a benign post with its features; sealed
originals and grouping values.

All that a finding brought it first is one document, where a document a value would be most of what
alert writes. Documents are only added: a value whose incident is gone, frozen or closed is held
again, at the next turn, and the last turn counts. Of two that took a value at the same turn, each
not knowing of the other, it is the first's.
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
    """Of one finding.

    `jargon` is the weight of the terms a lexicon category, `context` different words a theme of
    context.

    `own_fields` counts the fields that are known to be of the one customer, `signs` names what only
    a leak has.
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
    def of(cls, finding: Finding) -> Traits:
        """The traits of `finding`, which is whole (one part)."""
        statistics, own = finding.statistics, defaultdict[str, set[str]](set)
        for match in finding.matches:
            own[match.subject].update(
                match.own_fields, filter(None, [field_by_kind().get(match.kind)])
            )
        jargon = Counter[str]()
        for term in statistics.terms:
            if term.category != CONTACT or term.weight > 1:
                jargon[term.category] += term.weight
        return cls(
            subjects=finding.total_subjects,
            own_fields=max(map(len, own.values()), default=0),
            candidates=statistics.candidates,
            rows=statistics.rows,
            fields=tuple(
                sorted({*statistics.field_map, *(f for g in statistics.groups for f in g.fields)})
            ),
            jargon=dict(sorted(jargon.items())),
            context=statistics.context,
            category=finding.capture.category,
            signs=tuple(_signs(finding, statistics)),
        )


RECORD = re.compile(r"\||----|;|\t|<[A-Z_]+>:<")
"""In a skeleton: what stands between the fields of a record, and not in a sentence; a value
before a colon is a login.
"""


def _signs(finding: Finding, statistics: Statistics) -> Iterator[str]:
    """What no person leaves behind who writes their own number into a post, and what leaves open
    what else is in it.
    """
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
    """One finding folded into an incident: where, when, and what the whole capture held.

    `linked` are other incidents that it fitted as well, `author_tag` is the author's tag under the
    tenant's index key.
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

    `fields` are the labels of the rows that the customer stands in, `groups` those that stood
    together in one row, `own_fields` those whose values are known to be this very customer's; two
    of them in one row make it `corroborated`.
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
    """The configured list under which a post was, of a sighting's `url`; "" where that is not
    known.
    """
    return url.removesuffix(GAP) if url.endswith(GAP) else ""


def exposure_id(incident: str, subject: str) -> str:
    """The id of `subject`'s exposure in `incident`."""
    return f"{incident}:{subject}"


def presence_id(tenant: str, post: str) -> str:
    """The id of what is known of one post, by its token."""
    return f"{tenant}:{post}"


def claim_id(tenant: str, of: str, value: str) -> str:
    """The id of a claim, or what an incident holds: a sketch value, a set of subjects, a tie."""
    return f"{tenant}:{of}:{value}"


class Holding(Document):
    """`incident` has these `values`; "" where no incident came of what had them."""

    columns = ("tenant",)
    sets = ("values",)
    looked_up = True

    tenant: str
    incident: str
    at: datetime
    turn: int = 0
    values: tuple[str, ...]


def holding_of(
    tenant: str,
    incident: str,
    values: Iterable[str],
    at: datetime,
    before: Collection[Holding] = (),
) -> Holding:
    """What holds these values after those that did `before`.

    Its id follows from all that, so done again it is the same.
    """
    own = tuple(sorted(values))
    told = "\x1f".join((*own, *sorted(one.id for one in before)))
    turn = 1 + max((one.turn for one in before), default=-1)
    id_ = f"{tenant}:{incident}:{hashlib.sha256(told.encode()).hexdigest()[:32]}"
    return Holding(id=id_, tenant=tenant, incident=incident, at=at, turn=turn, values=own)
