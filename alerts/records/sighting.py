"""Records that the alert service writes about a finding.

These are sightings, benign posts with their traits, encrypted originals, and grouping values. All
values that a finding is the first to bring are in one document, because one document per value
would dominate the writes. Documents are only added. If the incident of a value no longer exists, is
frozen or is closed, another incident takes the value in the next turn, and the last turn counts. If
two incidents take a value in the same turn, it belongs to the first.
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
from ullage.records import CaptureCounts, Claims, Cohort, Finding, Honeytoken, Statistics
from ullage.records.base import MaybeMoment
from ullage.vocabulary.known_words import GAP

CONTACT = "CHAN"
"""Lexicon category of means of contact.

Those of weight 1 (QQ, WeChat) appear in every small advertisement and do not count as jargon.
"""


class Traits(Frozen):
    """Properties of one finding that the rules of benign posts look at.

    `jargon` is the weight of the terms per lexicon category, `context` the number of different
    words per context theme. `own_fields` counts the fields known to belong to the one customer;
    `signs` names properties that only a leak has.
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
        """Return the traits of a finding that show whether it is benign, such as its row count.

        The finding must be complete, in one part; this is not checked.
        """
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
"""Matches separators of record fields in a skeleton, which do not appear in sentences.

A value before a colon is a login.
"""


def _find_signs(finding: Finding, statistics: Statistics) -> Iterator[str]:
    """Yield properties that a person's own post never has, or that leave its content in doubt."""
    yield from (name for name, is_so in {
        "offer": finding.alarm,
        "a record": bool(RECORD.search(statistics.skeleton)),
        "honeytokens": bool(finding.honeytokens),
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

    `linked` are other incidents that it fits. `author_tag` is the author's keyed hash under the
    tenant's index key.
    """

    columns = ("tenant", "incident", "site")
    sets = ("linked", "seller")
    time = "grouped_at"
    brief = ("incident", "fetched_at", "site", "url", "author")

    tenant: str
    incident: str
    grouped_at: datetime
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
    """Whether the post asks for data and offers none."""
    epoch: int
    index_epoch: int
    watchlist: int
    """Number of customers who were enrolled when it was matched."""
    parts: int
    matches: int
    customers: int
    subjects: str
    """Digest of its set of pseudonyms; "" if the finding came in parts or has none."""
    matched_rows: int
    corroborated_rows: int
    skeleton: str
    terms: dict[str, int]
    written: dict[str, str] = Field(default_factory=dict)
    """The terms as written in the post."""
    brands: tuple[str, ...]
    bytes: int
    suspicion: bool = False
    minors: int = 0
    cohorts: tuple[Cohort, ...] = ()
    cohort_labels: int = 0
    honeytokens: tuple[Honeytoken, ...] = ()
    honeytokens_enrolled: int = 0
    cards_enrolled: int = 0
    private_attributes_comparable: int = 0
    """Number of customers whose loan could be compared with our records."""
    private_attributes_agreeing: int = 0
    replayed: float = 0.0
    """Share of its customers who were in earlier incidents with the same fields.

    It is measured when the sighting is grouped.
    """
    replay_of: str = ""
    """The incident with most of these customers."""
    incomplete: tuple[str, ...] = ()
    """Reasons why not the whole capture was searched or judged; () if all of it was."""
    served: str = ""
    """Digest of the served bytes: the id of an incomplete sighting of the same capture."""
    traits: Traits | None = None
    """The input of the rules for benign posts; None for a finding in parts."""
    author_tag: str = ""
    claims: Claims = Claims()
    parts_tied: tuple[str, ...] = ()
    """Incidents that became parts of `incident` because of this post."""
    tied: bool = False
    """Whether it belongs to the incident as another post of the seller.

    Then its rows are added to the others; otherwise it is here for its content, like a copy.
    """
    detached_from: str = ""
    """The incident from which a person detached it."""
    gone_at: datetime | None = None
    """Since when its post is known to be removed; None while it is online, as far as known."""
    gone_how: How | Literal[""] = ""
    back_at: datetime | None = None
    """When a post that had been removed was last seen online again."""
    sketch: tuple[str, ...] = ()
    sketch_of: Sketched = "candidates"
    """For a tied post, as in its finding: copies among a seller's posts are recognised by it."""

    @property
    def seller(self) -> tuple[str, ...]:
        """The values by which the author is found: the displayed token and the name's hash."""
        return tuple(filter(None, (self.author, self.author_tag)))

    @property
    def section(self) -> str:
        """The configured list under which the post appeared, or "" if unknown."""
        return section_of(self.url)


class Exposure(Document):
    """One customer in one incident.

    `fields` are the labels of the rows with the customer, `groups` those that were together in
    one row. `own_fields` are those whose values are known to belong to this customer; two of them
    in one row make it `corroborated`.
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
    """The encrypted original of one sighting, for the console of its tenant.

    It exists for incidents of severity `low` and above. Its id is the sighting's.
    """

    columns = ("tenant", "incident")

    tenant: str
    incident: str
    at: datetime
    sealed: str
    key_id: str


class Background(Document):
    """A benign finding: one customer's number, by a rule of `alerts.grouping.benign`.

    It is stored for as long as exposures are. It answers "is this person exposed?" with where the
    number was seen, and holds the traits on which other rules can be tried.
    """

    columns = ("tenant", "site", "rule", "subject")
    sets = ("index_tags", "ties")

    tenant: str
    site: str
    rule: str
    version: int
    """Version of the rules that decided."""
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
    """Grouping keys of its post.

    If the same author also sells data, the post is no longer benign.
    """
    finding: str = ""
    """For a post with grouping keys: the finding as received, to group it later."""


class CollectorHeartbeat(Document):
    """The heartbeats of one crawl host, whose name is the id: the first, the last, and its content.

    An empty list says something only about the time in between. `sites` are counts by state.
    `enrolled` is the number of customers that match searches for, and `customers` their number by
    tenant; both are None until match has reported them.
    """

    time = "last"

    first: datetime
    last: datetime
    sites: dict[str, int] = Field(default={})
    unseen: int = 0
    """Number of sites without a state: not visited yet, in doubt, or with an unreadable file."""
    missed: int = 0
    """Number of sites that were not read in the latest reported minutes, in any state."""
    egress_up: bool = True
    enrolled: int | None = None
    customers: dict[str, int] | None = None


class PostRemoval(Frozen):
    """When a post was found to be removed, or edited so that nothing of the tenant's is left."""

    at: datetime
    how: How


class Presence(Document):
    """Whether one post is still online, whatever its content; see `alerts.grouping.sightings`.

    Its times are those of the collectors. `sightings` are those of its versions. They are () if
    only the removal of the post is known; that is stored until no finding can follow.
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
        """`known` if a sighting of the post is stored, else `waiting`."""
        return "known" if self.sightings else "waiting"


class Claim(Document):
    """A marker that an incident was the first to bring a value, or that something was done.

    It is read and created by id, never searched.
    """

    columns = ("tenant",)

    tenant: str
    incident: str
    at: datetime


class KeyCheck(Document):
    """The check value of a key under which stored facts were made.

    Its id is the key's name, such as `bank/index-1.key`.
    """

    columns = ("tenant",)

    tenant: str
    value: str
    at: datetime


def section_of(url: str) -> str:
    """Return the configured list that a post was in, from a sighting's `url`; "" if unknown.

    Only a `url` that ends in `…` names a list; the result is what stands before it.
    """
    return url.removesuffix(GAP) if url.endswith(GAP) else ""


def exposure_id(incident: str, subject: str) -> str:
    """Return the id of the exposure of a customer in an incident, `INCIDENT:SUBJECT`."""
    return f"{incident}:{subject}"


def presence_id(tenant: str, post: str) -> str:
    """Return the id of the presence of one post, `TENANT:POST`; `post` is the post's token."""
    return f"{tenant}:{post}"


def claim_id(tenant: str, of: str, value: str) -> str:
    """Return the id of a claim or a grouping value, `TENANT:OF:VALUE`.

    `of` says what the value is, such as a sketch value, a set of subjects or a tie.
    """
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
    """Return a new record that `incident` has these shared values; nothing is stored.

    Its `turn` is one more than the highest of `before`, the records that it follows, or 0 without
    any. Values are sorted. Equal arguments (apart from `at`) give the same id.
    """
    sorted_values = tuple(sorted(values))
    identity = "\x1f".join((*sorted_values, *sorted(holding.id for holding in before)))
    turn = 1 + max((holding.turn for holding in before), default=-1)
    id_ = f"{tenant}:{incident}:{hashlib.sha256(identity.encode()).hexdigest()[:32]}"
    return Holding(id=id_, tenant=tenant, incident=incident, at=at, turn=turn, values=sorted_values)
