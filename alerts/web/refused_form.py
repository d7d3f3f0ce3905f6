"""Describe a form of the incident page that was refused, so that the page shows it again.

The error stands beside its field, which has the focus. Where the page does not have that field,
the error stands at the top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from alerts.cases.progress import CaseAct
from alerts.records.document import QueryError

FIELD_OF: Mapping[str, str] = {
    "assigned": "to",
    "due": "due",
    "excused": "reason",
    "takedown": "state",
    "linked": "other",
    "merged": "other",
    "split": "other",
    "detached": "sighting",
    "second_confirmed": "entry",
    "second_refused": "entry",
    "silence": "what",
}
"""The field at which a form is refused, unless the error names one; `note` for other forms."""
PART_OF: Mapping[str, str] = {
    "reported": "clocks",
    "reveal": "seen",
    "evidence": "seen",
    "references": "customers",
    "answer": "customers",
    "take": "customers",
}
"""The part of the page in which a form stands, by the first word of its status."""


@dataclass(frozen=True, slots=True)
class RefusedForm:
    """A form that was refused: why, at which field ("" is the top), and what was typed.

    `meanwhile` is what other people did since the form was opened, if that is the reason;
    `resend` then has the fields with which the form may be sent again as it is.
    """

    refused: Exception | None = None
    at: str = ""
    typed: Mapping[str, str] = field(default_factory=lambda: {"status": "", "note": ""})
    meanwhile: Sequence[CaseAct] = ()
    resend: Sequence[tuple[str, str]] = ()

    def value(self, status: str, name: str, default: str = "") -> str:
        """Return what was typed in a field of the form of `status`.

        It is `default` if another form was sent.
        """
        return self.typed.get(name, default) if self.typed.get("status") == status else default


def find_field(status: str, error: QueryError) -> str:
    """Return the field that an error is about.

    A suppression calls its note a reason.
    """
    if error.members:
        return "reason" if (status, error.members[0]) == ("silence", "note") else error.members[0]
    return FIELD_OF.get(status, "note")
