"""What an incident had first of all: the sketch values, sets of subjects and ties by which a finding's incidents are found.

All that a finding brought it first is one document, where a document a value would be most of what alert writes. Documents are
only added: a value whose incident is gone, frozen or closed is held again, at the next turn, and the last turn counts. Of two
that took a value at the same turn, each not knowing of the other, it is the first's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime

from alerts.records.document import Document


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


def holding_of(tenant: str, incident: str, values: Iterable[str], at: datetime, before: Collection[Holding] = ()) -> Holding:
    """What holds these values after those that did `before`. Its id follows from all that, so done again it is the same."""
    own = tuple(sorted(values))
    told = "\x1f".join((*own, *sorted(one.id for one in before)))
    turn = 1 + max((one.turn for one in before), default=-1)
    id_ = f"{tenant}:{incident}:{hashlib.sha256(told.encode()).hexdigest()[:32]}"
    return Holding(id=id_, tenant=tenant, incident=incident, at=at, turn=turn, values=own)
