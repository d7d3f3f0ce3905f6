"""Define the documents about what people did: decisions, suppressions, holds, notifications.

Except for notifications, none of them is ever changed: a later document takes an earlier one back,
and the last one counts. An incident's status, for example, follows from its `Decision`s. The
functions that begin with `validate_` check what people type into them, strip it and return it, and
raise QueryError, which does not repeat it: no text that is stored may contain a phone number, an ID
or a card. `Notification` and `Audit` are logs: who was notified of what, and who looked at what and
why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
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
from ullage.vocabulary.fields import FieldLabel

NAME = re.compile(
    r"[^\W\d_][\w .·'\-]{0,63}(@[a-z0-9-]{1,32})?( via [\w .·'\-]{1,32}(@[a-z0-9-]{1,32})?)?"
)
"""A person's name, optionally followed by the program that acts for them."""
MAX_NOTE = 500
CASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_.\-]{0,31}")


def validate_name(who: str, *members: str) -> str:
    """Return a person's name, stripped.

    Raises QueryError about the fields `members` if it is empty, malformed or looks like an
    identifier. A number of nine or more digits counts as one.
    """
    if not NAME.fullmatch(who.strip()) or identifier_in(who):
        raise QueryError("your name is missing or invalid: enter it for the record", *members)
    return who.strip()


def validate_note(note: str) -> str:
    """Return a note without surrounding spaces; an empty note is valid.

    Raises QueryError if the note has more than 500 characters, or contains an identifier of a
    person or a number of nine or more digits.
    """
    if len(note) > MAX_NOTE:
        raise QueryError(
            Phrase("a note must have at most %(most)s characters", most=MAX_NOTE), "note"
        )
    if kind := identifier_in(note):
        message = Phrase(
            "the note seems to contain %(what)s: use the customer pseudonym instead",
            what=Phrase(kind),
        )
        raise QueryError(message, "note")
    return note.strip()


def validate_grounds(note: str) -> str:
    """Return a note, stripped, for a decision that a law requires to be explained.

    Raises QueryError if it is empty, too long or contains an identifier.
    """
    if not note.strip():
        raise QueryError(
            "give the grounds in the note: the decision may have to be explained", "note"
        )
    return validate_note(note)


def validate_case(case: str) -> str:
    """Return a case number, stripped.

    Raises QueryError if it is empty, malformed or looks like an identifier.
    """
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
    """A person's decision on an incident. The last one sets the status; a note sets none.

    With a `regime`, it records a report: its stage, its time, the channel (`value`), and the
    authority's reference, or why there is none (`no_reference`). If its `stage` is `waived`, no
    report is due, because of the `facts`. With an `act`, it records another action. Then `value` is
    the new owner, the state of a takedown, the reason for a false positive or the undone act;
    `about` is another incident, a sighting of this one, or the decision that is undone, approved,
    confirmed or refused; `until` is when it is due, when a false positive reopens, or when a
    request ends. A request has its case as `reference` and its number of customers as `value`.

    `ends` are the reporting deadlines that it ended, as `REGIME STAGE`, and `confirmed_by` is the
    second person. If the tenant requires none, this is empty: one person decided alone.
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
    """For a request for customer references: short digests of its pseudonyms
    (`alerts.cases.references`).
    """
    facts: WaiverFacts | None = None
    ends: tuple[str, ...] = ()
    confirmed_by: str = ""

    @property
    def is_by_one_person(self) -> bool:
        """Whether this decision ended a deadline without a second person's confirmation."""
        return bool(self.ends) and not self.confirmed_by


def in_force(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the decisions that nobody has undone, in the given order.

    The acts `undone` are among them, unless they were undone too. Undoing such an act does not
    bring back the decision that it undid.
    """
    all_decisions = list(decisions)
    undone = {decision.about for decision in all_decisions if decision.act == "undone"}
    return [decision for decision in all_decisions if decision.id not in undone]


class Suppression(Document):
    """A rule that suppresses notifications until `expires`.

    It applies to findings of `tenant` that meet all conditions that are set ("" is any). `rule`
    is a reason code or scenario of the incident. `sketch` is a copy of the sketch of `incident`,
    so re-posts of it are covered.
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
    """Running deadlines of `incident` without further notifications, as `REGIME STAGE`.

    Notifications of other deadlines are never suppressed.
    """
    confirmed_by: str = ""
    """The second person who confirmed that."""
    lifts: str = ""
    """The suppression that this document ends; stored documents are never changed."""


class PendingDecision(Document):
    """An act that would end a reporting deadline.

    It has no effect until a second person confirms it. `decisions` and `suppression` are what is
    written then, and `ends` are the deadlines, as `REGIME STAGE`. `proposers` are all names of the
    proposer: the account, the maker of a token, the user of the machine. The answer is a decision
    on the same incident under the id `answer_id`, which is created only one time.
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
        """The id of the future decision that confirms or refuses this act."""
        return f"{self.id}:answer"


class Hold(Document):
    """A hold: the data of an incident does not expire, because a case needs it.

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


class ShiftHandover(Document):
    """What one shift hands over to the person who takes over: a note, and what was open.

    With `accepts`, the receiver accepted the handover with that id. Only `by` and `receiver` are
    shown a handover.
    """

    columns = ("receiver",)
    seen_at_once = True

    at: datetime
    by: str
    receiver: str
    note: str = ""
    undecided: int = 0
    """Number of undecided incidents."""
    due: int = 0
    """Number of incidents that were due within a day, or overdue."""
    incidents: tuple[str, ...] = ()
    """The most urgent of both."""
    accepts: str = ""


class FraudCase(Document):
    """A fraud case of one customer, by pseudonym: when it began, what the caller knew, its outcome.

    `incident` is the leak that it came from, "" where none is known. Per customer and incident the
    last report counts. The loss, actual or prevented, is an `amount` in minor units of `currency`
    (ISO 4217), a `band`, or unknown. When the retention of customers ends, the case is replaced by
    one without `subject` that only counts for its incident.
    """

    columns = ("tenant", "incident", "subject", "outcome", "scam")
    seen_at_once = True

    tenant: str
    incident: str = ""
    subject: str
    at: datetime
    by: str
    outcome: Fraud
    first_contact: date
    """The day on which the caller first reached the customer, as the reporter dates it."""
    scam: str = ""
    """The scenario of `ullage/verdict/rules.toml`, "" where it is not known."""
    known_fields: tuple[FieldLabel, ...] = ()
    """What the caller knew, as labels of fields, never as values."""
    amount: int | None = None
    currency: str = ""
    band: Band | Literal[""] = ""


class Notification(Document):
    """One notification about one incident on one channel, and its outcome.

    These documents are the notification log, from which a restarted service continues. `what` is
    the severity, `repeat-N`, `grown-N` or `escalation-SEVERITY`; `why` is the reason. A
    notification is pending at least until `due`. Those that are sent together share one `message`
    id, which is written before the first attempt. While it is unknown whether the message
    arrived, it is sent again under the same id.
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
    """In a first message: when the post that opened the incident was published."""
    outcome: Literal["pending", "sent", "failed", "suppressed"] = "pending"
    message: str = ""
    attempts: int = 0
    sent_at: MaybeMoment = None


class Audit(Document):
    """A record of who looked at what, and why; it never has the value that was looked up."""

    columns = ("tenant", "who", "action")

    tenant: str
    at: datetime
    who: str
    action: str
    purpose: str
    case: str
    kinds: tuple[str, ...] = ()
    found: int = 0
