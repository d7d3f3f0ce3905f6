"""Hand out customer references of an incident, after other people have approved the request.

The request, its approvals and its refusals are decisions on the incident. References are never
stored; match resolves them anew each time (`alerts.web.pages.references`), and the requester can
download them for one day. A request contains short digests of its pseudonyms, salted with its own
id. So customers who join the incident later, for example by a merge, are not handed out, nor are
those who have left it.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from alerts.cases.decisions import TOKEN_BYTES, Decisions
from alerts.cases.incident_list import read_customers
from alerts.records import Decision, Incident
from alerts.records.decision import validate_case
from alerts.records.document import QueryError
from alerts.store import DocumentFilter, IncidentStore
from ullage.clock import Clock

WAITS, LASTS = timedelta(days=7), timedelta(hours=24)
"""How long a request waits for approval, and how long the approval lasts."""
DIGEST_BYTES = 6
"""Length of a pseudonym's digest.

The chance that one of a million others has the same digest is 1 in 300 million.
"""
State = Literal["waiting", "approved", "refused", "expired"]


@dataclass(frozen=True, slots=True)
class ReferenceRequest:
    """A request for customer references and its answers, oldest first."""

    request: Decision
    approvals: tuple[Decision, ...] = ()
    refusal: Decision | None = None

    @property
    def customers(self) -> int:
        """The number of customers in the incident when the request was made."""
        return int(self.request.value)

    def select_covered(self, subjects: Iterable[str]) -> list[str]:
        """Return the subjects that were in the incident when the request was made."""
        salt, digests = self.request.id.rpartition(":")[2], base64.b64decode(self.request.covers)
        covered_digests = {
            digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES)
        }
        return [subject for subject in subjects if _digest(salt, subject) in covered_digests]

    @property
    def approved_by(self) -> tuple[str, ...]:
        """The names of the people who approved the request, oldest approval first."""
        return tuple(approval.by for approval in self.approvals)

    def until(self, needed: int) -> datetime:
        """Return when the request, or the approval by `needed` people, expires.

        Until that many have approved, it is the request's own end.
        """
        last = self.approvals[needed - 1] if 0 < needed <= len(self.approvals) else self.request
        return last.until or last.at

    def state(self, needed: int, now: datetime) -> State:
        """Return the state of the request, given the required approvals."""
        if self.refusal is not None:
            return "refused"
        # if no approval is required, references are no longer handed out
        if not needed or now >= self.until(needed):
            return "expired"
        return "approved" if len(self.approvals) >= needed else "waiting"


def digest_all(salt: str, subjects: Iterable[str]) -> str:
    """Return the digests of pseudonyms in base64, each of DIGEST_BYTES bytes, sorted."""
    return base64.b64encode(
        b"".join(sorted(_digest(salt, subject) for subject in subjects))
    ).decode()


def _digest(salt: str, subject: str) -> bytes:
    return hashlib.sha256(f"ullage references\x1f{salt}\x1f{subject}".encode()).digest()[
        :DIGEST_BYTES
    ]


def find_requests(decisions: Iterable[Decision]) -> list[ReferenceRequest]:
    """Return the requests for customer references among an incident's decisions, newest first.

    Each has its approvals, oldest first, and the first refusal, if there is one.
    """
    ordered = sorted(decisions, key=lambda decision: (decision.at, decision.id))

    def answers(act: str, request: Decision) -> tuple[Decision, ...]:
        return tuple(
            decision for decision in ordered if decision.act == act and decision.about == request.id
        )

    requests = [decision for decision in ordered if decision.act == "references_asked"]
    return [
        ReferenceRequest(
            decision,
            answers("references_approved", decision),
            next(iter(answers("references_refused", decision)), None),
        )
        for decision in reversed(requests)
    ]


@dataclass(frozen=True, slots=True)
class References:
    """The requests for customer references, their approval and their download.

    `needed` is the number of required approvals. QueryErrors say what is missing or wrong.
    """

    decisions: Decisions
    clock: Clock
    needed: int

    @property
    def _store(self) -> IncidentStore:
        return self.decisions.store

    def ask(self, incident: Incident, *, by: str, case: str, reason: str, token: str) -> Decision:
        """Store a request for the references of all present customers of an incident; return it.

        References are the numbers by which the platform knows its customers. It is written to the
        audit log first. Raises QueryError if the tenant does not hand them out, the case number or
        reason is invalid, the person has an open request for this incident, or the incident has no
        customers.
        """
        if not self.needed:
            raise QueryError(
                "customer references of this tenant are not given out here:"
                " set reference_approvals in its table in ullage.toml"
            )
        now, number = self.clock.now(), validate_case(case)
        if any(
            item.request.by == by and item.state(self.needed, now) in ("waiting", "approved")
            for item in self._requests(incident)
        ):
            raise QueryError("you already have a request for this incident: use that one", "case")
        subjects = [item.subject for item in read_customers(self._store, incident)]
        if not subjects:
            raise QueryError("this incident has no customers: choose another one", "case")
        salt = token or secrets.token_hex(TOKEN_BYTES)
        fields = {
            "value": str(len(subjects)),
            "covers": digest_all(salt, subjects),
            "reference": number,
            "until": now + WAITS,
        }
        return self.decisions.note_act(
            incident, "references_asked", by=by, note=reason, token=salt, **fields
        )

    def answer(
        self, incident: Incident, entry: str, *, by: str, approve: bool, note: str, token: str
    ) -> Decision:
        """Approve or refuse another person's request with the id `entry`; return the stored answer.

        Raises QueryError if the request does not exist, is `by`'s own, no longer waits, or was
        approved by the same person before.
        """
        request, now = self.get_request(incident, entry), self.clock.now()
        if request.request.by == by:
            raise QueryError("you cannot decide on your own request: ask somebody else", "note")
        if request.state(self.needed, now) != "waiting":
            raise QueryError(
                "this request was already decided, or has expired: make a new one", "note"
            )
        if by in request.approved_by:
            raise QueryError(
                "you have already approved this request: ask somebody else to approve it too",
                "note",
            )
        if not approve:
            return self.decisions.note_act(
                incident, "references_refused", by=by, about=entry, note=note, token=token
            )
        return self.decisions.note_act(
            incident,
            "references_approved",
            by=by,
            about=entry,
            until=now + LASTS,
            note=note,
            token=token,
        )

    def get_approved(
        self, incident: Incident, entry: str, *, by: str
    ) -> tuple[ReferenceRequest, list[str]]:
        """Return the approved request `entry`, and the pseudonyms that may be resolved for it.

        Only customers who were in the incident at the request and still are. Raises QueryError if
        the request is not `by`'s own, is not approved or has expired, or covers no customer any
        more.
        """
        request = self.get_request(incident, entry)
        if request.request.by != by:
            raise QueryError(
                "only the person who made this request may download the"
                " references: make a request of your own"
            )
        if request.state(self.needed, self.clock.now()) != "approved":
            raise QueryError(
                "this request is not approved, or has expired: wait for approval, or make a new one"
            )
        covered = request.select_covered(
            exposure.subject for exposure in read_customers(self._store, incident)
        )
        if not covered:
            raise QueryError(
                "none of the approved customers is still in this incident: make a new request"
            )
        return request, covered

    def get_request(self, incident: Incident, entry: str) -> ReferenceRequest:
        """Return the request with the id `entry` on an incident.

        Raises QueryError if it does not exist.
        """
        request = next(
            (candidate for candidate in self._requests(incident) if candidate.request.id == entry),
            None,
        )
        if request is None:
            raise QueryError("this request does not exist: see the requests of the incident")
        return request

    def _requests(self, incident: Incident) -> list[ReferenceRequest]:
        return find_requests(
            self._store.scroll(Decision, DocumentFilter({"incident": (incident.id,)}))
        )
