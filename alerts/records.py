"""What the store holds, one class of document each, in its final shape.

A document says itself how a store must index it: `columns` hold one value, `sets` several, `time` orders and expires,
`words()` is what free text finds. So a new backend needs no knowledge of any class.

    class          id                          written by
    Sighting       the finding's id            alert
    Exposure       incident:subject            alert
    Background     the finding's id            alert
    Claim          tenant:of:value             alert
    Incident       INC-…, of its first finding alert (a projection)
    Decision       incident:form token         search, append-only
    Suppression    SUP-…; SUP-…:lifted         search, append-only
    Hold           incident:time               a command, append-only
    Audit          random                      search, append-only
    Notification   incident:channel:what       alert
    Account        the account's name          search
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

from pydantic import Field

from alerts.document import Document, Frozen
from alerts.noise.traits import Traits
from ullage.records import Canary, Cohort, RowGroup

Severity = Literal["noise", "notice", "low", "medium", "high", "statutory"]
SEVERITIES: tuple[Severity, ...] = ("noise", "notice", "low", "medium", "high", "statutory")
Origin = Literal["ours", "partner", "elsewhere", "recycled", "fabricated", "unknown"]
Status = Literal["open", "acknowledged", "confirmed", "reported", "resolved", "false_positive"]
STATUSES: tuple[Status, ...] = ("open", "acknowledged", "confirmed", "reported", "resolved", "false_positive")
News = Literal["new", "raised", "unacknowledged", "escalated"]
Sketched = Literal["candidates", "shingles"]


class Why(Frozen):
    """One line of an explanation, as `ullage.verdict.Reason`."""

    code: str
    points: int
    evidence: str


class Sighting(Document):
    """One finding folded into an incident: where, when, and what the whole capture held.

    `linked` are other incidents that it fitted as well.
    """

    columns = ("tenant", "incident", "site")
    sets = ("linked",)
    time = "folded_at"

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
    published_at: datetime | None
    fetched_at: datetime
    matched_at: datetime
    truncated: bool
    alarm: bool
    epoch: int
    index_epoch: int
    watchlist: int
    """Customers that were enrolled when it was matched."""
    parts: int
    matches: int
    customers: int
    subjects: str
    """Digest of the set of handles; "" where the finding came in parts or has none."""
    rows: int
    matched_rows: int
    corroborated_rows: int
    candidates: dict[str, int]
    failures: dict[str, int]
    longest_run: int
    newest_date: date | None
    skeleton: str
    terms: dict[str, int]
    brands: tuple[str, ...]
    bytes: int
    logins: int = 0
    own_cards: int = 0
    groups: tuple[RowGroup, ...] = ()
    minors: int = 0
    cohorts: tuple[Cohort, ...] = ()
    cohort_labels: int = 0
    canaries: tuple[Canary, ...] = ()
    canaries_enrolled: int = 0
    cards_enrolled: int = 0
    replayed: float = 0.0
    """Share of its customers who stood with the same fields in incidents before, when it was folded."""
    replay_of: str = ""
    """The incident in which most of them stood."""
    traits: Traits | None = None
    """What the background rules saw; of a finding in parts they see nothing."""


class Exposure(Document):
    """One customer in one incident.

    `fields` are the labels of the rows that the customer stands in, `groups` those that stood together in one row, `own_fields`
    those whose values are known to be this very customer's; two of them in one row make it `corroborated`.
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


class Background(Document):
    """A finding that is no leak: one customer's number, by a rule of `alerts.noise`; kept as exposures are.

    It says for "is this person exposed?" where they were seen, and holds the traits by which other rules can be tried on it.
    """

    columns = ("tenant", "site", "rule", "subject")
    sets = ("index_tags",)

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
    published_at: datetime | None
    fetched_at: datetime
    traits: Traits


class Claim(Document):
    """Which incident first had this sketch value, or this set of subjects. Read and created by id, never searched."""

    columns = ("tenant",)

    tenant: str
    incident: str
    at: datetime


class Incident(Document):
    """What people work on. Everything but `sketch` and `frozen_at` follows from its sightings and exposures."""

    columns = ("tenant", "severity", "origin", "scenario")
    sets = ("kinds", "sites", "terms", "brands")
    time = "opened_at"
    searchable = True

    tenant: str
    opened_by: str
    opened_at: datetime
    updated_at: datetime
    first_seen: datetime
    last_seen: datetime
    published_at: datetime | None
    publish_seconds: float | None
    """From the publication of the post that opened it to this incident."""
    severity: Severity
    exposure: int
    reasons: tuple[Why, ...]
    scenario: str
    scenario_title: str
    scenario_title_zh: str
    unit: float
    origin: Origin
    origin_label: str = ""
    """Of origin `partner`: which one, as the canaries are labelled."""
    replay_of: str = ""
    """Of origin `recycled`: the incident whose customers these are."""
    origin_p: float
    origin_reasons: tuple[Why, ...]
    customers: int
    """Distinct customers in it, exactly."""
    verified: int = 0
    """Those of them whom chance cannot have matched."""
    people_by_class: dict[str, int] = Field(default_factory=dict)
    """Customers by the highest class of their fields, A, B or C (法释〔2017〕10 art. 5)."""
    sensitive: int = 0
    """Customers with a field that PIPL 28 calls sensitive."""
    minors: int = 0
    """Customers under 14, as far as a resident ID tells."""
    fields: tuple[str, ...] = ()
    rows: int
    sightings: int
    kinds: tuple[str, ...]
    sites: tuple[str, ...]
    terms: tuple[str, ...]
    brands: tuple[str, ...]
    titles: tuple[str, ...]
    authors: tuple[str, ...]
    skeleton: str
    alarm: bool
    linked: tuple[str, ...]
    subjects: str
    sketch: tuple[str, ...]
    sketch_of: Sketched
    frozen_at: datetime | None = None
    """When its first facts expired: from then on the numbers stand and nothing joins it."""

    @property
    def whose(self) -> str:
        """The origin as a person reads it: `ours`, `partner:LABEL`."""
        return f"{self.origin}:{self.origin_label}" if self.origin_label else self.origin

    def words(self) -> Iterable[str]:
        """Titles, authors, places and terms."""
        return (
            self.id,
            *self.titles,
            *self.authors,
            *self.sites,
            *self.terms,
            *self.brands,
            self.scenario_title,
            self.scenario_title_zh,
        )


class Decision(Document):
    """What an analyst decided. The last one gives the status; a note changes none.

    With a `regime` it says that a report was sent under it: which stage of it, when, and the authority's reference.
    """

    columns = ("tenant", "incident", "status")

    tenant: str
    incident: str
    at: datetime
    by: str
    status: Status | Literal["note"]
    note: str = ""
    regime: str = ""
    stage: str = ""
    reference: str = ""
    sent_at: datetime | None = None


class Suppression(Document):
    """What raises no notification until `expires`: findings of `tenant` that fit all the conditions that are set ("" is any).

    `rule` is a reason code or scenario of the incident; `sketch` is a copy of that of `incident`, so re-posts of it are meant.
    """

    columns = ("tenant",)

    tenant: str
    at: datetime
    by: str
    reason: str
    expires: datetime
    site: str = ""
    channel: str = ""
    author: str = ""
    rule: str = ""
    incident: str = ""
    sketch: tuple[str, ...] = ()
    sketch_of: Sketched = "candidates"
    lifts: str = ""
    """Set in the document that ends another one; what is written is never changed."""


class Hold(Document):
    """That what belongs to an incident does not expire, for a case; or, `released`, that it does again. The last one counts."""

    columns = ("tenant", "incident")

    tenant: str
    incident: str
    at: datetime
    by: str
    case: str
    reason: str
    released: bool = False


class Audit(Document):
    """Who looked at what, and why; never the value that was looked up."""

    columns = ("tenant", "who", "action")

    tenant: str
    at: datetime
    who: str
    action: str
    purpose: str
    case: str
    kinds: tuple[str, ...] = ()
    found: int = 0


class Notification(Document):
    """What one channel is to hear of one incident, and what became of it: the notification log, which a restart goes on from.

    `what` is the severity that it tells of, `repeat-N` or `escalation-SEVERITY`; `why` says so in a word. It is pending until
    `due` at least. Those that go out together have one `message`, written before the first attempt: while nobody knows whether
    that arrived, it is tried again under the same id.
    """

    columns = ("tenant", "incident", "channel", "outcome")
    time = "due"

    tenant: str
    incident: str
    at: datetime
    due: datetime
    channel: str
    what: str
    why: News
    severity: Severity
    published_at: datetime | None = None
    """Of a first message: when the post was published that opened the incident."""
    outcome: Literal["pending", "sent", "failed", "suppressed"] = "pending"
    message: str = ""
    attempts: int = 0
    sent_at: datetime | None = None


class Account(Document):
    """Someone who may use the page. The id is the name; the password is kept as a slow, salted hash."""

    columns = ("role",)

    at: datetime
    role: Literal["viewer", "analyst", "admin"]
    tenants: tuple[str, ...] = ()
    password_hash: str
    changed_at: datetime
    disabled: bool = False


CLASSES: tuple[type[Document], ...] = (
    Sighting, Exposure, Background, Claim, Incident, Decision,
    Suppression, Hold, Audit, Notification, Account,
)  # fmt: skip


def incident_id(finding: str) -> str:
    """The id of the incident that `finding` opens: the same at every replay. A finding's id is a keyed digest already."""
    digest = hashlib.sha256(b"ullage incident\x1f" + finding.encode()).digest()
    return "INC-" + base64.b32encode(digest).decode()[:10]


def exposure_id(incident: str, subject: str) -> str:
    """The id of `subject`'s exposure in `incident`."""
    return f"{incident}:{subject}"


def claim_id(tenant: str, of: str, value: str) -> str:
    """The id of the claim on one sketch value, or on one set of subjects."""
    return f"{tenant}:{of}:{value}"
