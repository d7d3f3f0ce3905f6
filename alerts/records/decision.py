"""What people decide about incidents, the text they type, and who was notified."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from alerts.records.document import (
    Act,
    Band,
    Document,
    Fraud,
    Frozen,
    News,
    QueryError,
    Sketched,
    Status,
)
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase
from ullage.records.base import MaybeMoment
from ullage.verdict.rules import Severity

NAME = re.compile(
    r"[^\W\d_][\w .·'\-]{0,63}(@[a-z0-9-]{1,32})?( via [\w .·'\-]{1,32}(@[a-z0-9-]{1,32})?)?"
)
"""With the program behind it that says it, if one does."""
MAX_NOTE = 500
CASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_.\-]{0,31}")


def validate_name(who: str, *members: str) -> str:
    """Return a person's name, stripped. Raises QueryError about `members` if it is invalid."""
    if not NAME.fullmatch(who.strip()) or identifier_in(who):
        raise QueryError("your name is missing or invalid: it is needed for the record", *members)
    return who.strip()


def validate_note(note: str) -> str:
    """Return a note, stripped. Raises QueryError if it is too long or contains an identifier."""
    if len(note) > MAX_NOTE:
        raise QueryError(Phrase("a note has at most %(most)s characters", most=MAX_NOTE), "note")
    if kind := identifier_in(note):
        message = Phrase(
            "the note seems to contain %(what)s: use the customer pseudonym instead",
            what=Phrase(kind),
        )
        raise QueryError(message, "note")
    return note.strip()


def validate_grounds(note: str) -> str:
    """Return a note that must not be empty, for a decision that a law requires to be explained."""
    if not note.strip():
        raise QueryError(
            "give the grounds in the note: the decision may have to be explained", "note"
        )
    return validate_note(note)


def validate_case(case: str) -> str:
    """Return a case number. Raises QueryError if it is invalid or looks like an identifier."""
    if not CASE.fullmatch(case.strip()) or identifier_in(case, numbers=False):
        raise QueryError(
            "the case number must have 1 to 32 letters, digits and / _ . -, and must not be a phone"
            " number, ID or card",
            "case",
        )
    return case.strip()


class WaiverFacts(Frozen):
    """The facts that a waiver rests on; once the incident goes beyond them, the waiver ends.

    `customers` is the largest number it is for, `conditions` are the names of the rule's conditions
    that were met.
    """

    customers: int
    kinds: tuple[str, ...]
    severity: Severity
    conditions: tuple[str, ...]


class Decision(Document):
    """What an analyst decided. The last one gives the status; a note changes none.

    With a `regime` it says that a report was sent under it: which stage of it, when, by which
    channel (`value`), and the authority's reference, or why there is none (`no_reference`); or
    (`stage` waived) that none is owed, on which `facts`. With an `act` it says what else was done:
    `value` is to whom it is assigned, which state a takedown has reached, why it is a false
    positive, which act is undone; `about` another incident, a sighting of this one, or the decision
    that is undone, approved, confirmed or refused; `until` when it is due, when a false positive
    comes back, or when a request ends. A request has its case as `reference`, and as `value` how
    many customers it is about.

    `ends` are the reporting deadlines that do not run any more after it, as `REGIME STAGE`, and
    `confirmed_by` is the second person; where the tenant asks for none, this is empty and the
    decision was that of one person.
    """

    columns = ("tenant", "incident", "status")
    seen_at_once = True

    tenant: str
    incident: str
    at: datetime
    by: str
    status: Status | Literal["note"]
    note: str = ""
    regime: str = ""
    stage: str = ""
    reference: str = ""
    sent_at: MaybeMoment = None
    act: Act = ""
    value: str = ""
    about: str = ""
    until: MaybeMoment = None
    no_reference: str = ""
    covers: str = ""
    """Of a request for customer references: short digests of the pseudonyms that it is for
    (`alerts.cases.references`).
    """
    facts: WaiverFacts | None = None
    ends: tuple[str, ...] = ()
    confirmed_by: str = ""

    @property
    def is_by_one_person(self) -> bool:
        """Whether one person ended a deadline with it."""
        return bool(self.ends) and not self.confirmed_by


def in_force(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the decisions that nobody has undone, in the same order."""
    all_decisions = list(decisions)
    undone = {decision.about for decision in all_decisions if decision.act == "undone"}
    return [decision for decision in all_decisions if decision.id not in undone]


class Suppression(Document):
    """A rule that raises no notification until `expires`.

    It applies to findings of `tenant` that meet all conditions that are set ("" is any). `rule`
    is a
    reason code or scenario of the incident. `sketch` is a copy of that of `incident`, so
    re-posts of it
    are covered.
    """

    columns = ("tenant",)
    seen_at_once = True

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
    ends: tuple[str, ...] = ()
    """Running deadlines of `incident` of which nobody is notified any more, as `REGIME STAGE`;
    others are never silenced.
    """
    confirmed_by: str = ""
    """The second person who agreed to that."""
    lifts: str = ""
    """Set in the document that ends another one; what is written is never changed."""


class PendingDecision(Document):
    """An act after which a reporting deadline would not run any more.

    It has no effect until a second person confirms it.

    `decisions` and `suppression` are what is written then, `ends` the deadlines as `REGIME STAGE`.
    `proposers` are all names by which whoever proposed it may be known: their account, the maker of
    a token, the user of the machine. The answer is a decision of the same incident under the id
    `answer_id`, which is created one time.
    """

    columns = ("tenant", "incident")
    seen_at_once = True

    tenant: str
    incident: str
    at: datetime
    by: str
    proposers: tuple[str, ...]
    ends: tuple[str, ...]
    decisions: tuple[Decision, ...] = ()
    suppression: Suppression | None = None
    due: MaybeMoment = None
    """When the first of these deadlines is due."""

    @property
    def answer_id(self) -> str:
        """The id of the decision that confirms or refuses it."""
        return f"{self.id}:answer"


class Hold(Document):
    """A hold: what belongs to an incident does not expire, because a case needs it.

    With `released`, it ends an earlier hold. The last one counts.
    """

    columns = ("tenant", "incident")
    seen_at_once = True

    tenant: str
    incident: str
    at: datetime
    by: str
    case: str
    reason: str
    released: bool = False


class FraudOutcome(Document):
    """The outcome of a fraud case of one customer in an incident, by pseudonym.

    The last one per customer counts. The loss, actual or prevented, is an `amount` in minor
    units of
    `currency` (ISO 4217), a `band`, or unknown.
    """

    columns = ("tenant", "incident", "subject", "outcome")
    seen_at_once = True

    tenant: str
    incident: str
    subject: str
    at: datetime
    by: str
    outcome: Fraud
    happened_at: datetime
    amount: int | None = None
    currency: str = ""
    band: Band | Literal[""] = ""


class Notification(Document):
    """What one channel is to hear of one incident, and what became of it: the notification log,
    which a restart goes on from.

    `what` is the severity that it tells of, `repeat-N`, `grown-N` or `escalation-SEVERITY`; `why`
    says so in a word. It is pending until `due` at least. Those that go out together have one
    `message`, written before the first attempt: while nobody knows whether that arrived, it is
    tried again under the same id.
    """

    columns = ("tenant", "incident", "channel", "outcome")
    broad = ("channel", "outcome")
    time = "due"

    tenant: str
    incident: str
    at: datetime
    due: datetime
    channel: str
    what: str
    why: News
    severity: Severity
    published_at: MaybeMoment = None
    """Of a first message: when the post was published that opened the incident."""
    outcome: Literal["pending", "sent", "failed", "suppressed"] = "pending"
    message: str = ""
    attempts: int = 0
    sent_at: MaybeMoment = None


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
