"""What people decide: of one incident, of what nobody need be told of, of what is kept for a case. Only ever appended."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from alerts.records.document import Document
from alerts.records.words import Act, Band, Fraud, Sketched, Status
from ullage.records.base import MaybeMoment


class Decision(Document):
    """What an analyst decided. The last one gives the status; a note changes none.

    With a `regime` it says that a report was sent under it: which stage of it, when, and the authority's reference. With an `act`
    it says what else was done: `value` is to whom it is assigned, which state a takedown has reached, why it is a false positive;
    of a waiver (`stage`) as whom, lead or dpo, it was decided;
    `about` another incident, or a sighting of this one; `until` when it is due, or when a false positive comes back.
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


class Suppression(Document):
    """What raises no notification until `expires`: findings of `tenant` that fit all the conditions that are set ("" is any).

    `rule` is a reason code or scenario of the incident; `sketch` is a copy of that of `incident`, so re-posts of it are meant.
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
    lifts: str = ""
    """Set in the document that ends another one; what is written is never changed."""


class Hold(Document):
    """That what belongs to an incident does not expire, for a case; or, `released`, that it does again. The last one counts."""

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
    """What came of a fraud case of one customer in an incident, by the handle; the last one of a customer counts.

    How much was lost, or would have been, is an `amount` in minor units of `currency` (ISO 4217), a `band`, or not known.
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
