"""Open the evidence of an incident by two people in the console.

One person asks, with a case and a reason. Another person approves with their officer's key, which
stays in memory for `LASTS` and for this request alone. The first person then opens the evidence one
time, with their own key. Requests are kept in memory, so a restart of search ends them; the audit
log has every step, as for the commands (`alerts.cases.evidence`).
"""

from __future__ import annotations

import io
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from alerts.accounts.accounts import normalize_name
from alerts.cases.evidence import (
    EvidenceRequest,
    find_findings,
    find_last_holds,
    open_with_keys,
    write_tar,
)
from alerts.cases.incident_view import heading
from alerts.records import Incident
from alerts.records.decision import validate_case, validate_grounds
from alerts.records.document import QueryError
from alerts.store import IncidentStore
from ullage.audit import Trail
from ullage.custody import PACK, key_id, parse_private_key
from ullage.custody.vault import Vault, VaultItem
from ullage.errors import ConfigError, CorruptError
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase
from ullage.settings import Language

WAITS, LASTS = timedelta(hours=24), timedelta(minutes=15)
"""How long a request waits for approval, and how long the approval lasts."""
MAX_REQUESTS = 100
MAX_BYTES = 64 << 20
"""Most encrypted bytes that are opened in memory at a time."""
ENTRY_BYTES = 8


@dataclass(frozen=True, slots=True)
class OpeningRequest:
    """A person's request to open the evidence of an incident; `key` is the approver's."""

    id: str
    incident: str
    by: str
    case: str
    reason: str
    at: datetime
    until: datetime
    approved_by: str = ""
    key: X25519PrivateKey | None = None

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return f"OpeningRequest({self.id})"


@dataclass(frozen=True, slots=True)
class OfficerKey:
    """An officer's private key file, as it was sent, and its passphrase."""

    pem: bytes
    passphrase: str

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "OfficerKey(…)"

    def decrypt(self) -> X25519PrivateKey:
        """Return the key; raises QueryError about `key` if the file or the passphrase is wrong."""
        try:
            return parse_private_key(self.pem, self.passphrase, "the file")
        except ConfigError:
            raise QueryError(
                "this file cannot be decrypted: check the passphrase, and that it is your"
                " officer's key",
                "key",
            ) from None


class OpeningRequests:
    """The requests of all incidents, in memory. Threads share it."""

    def __init__(self) -> None:
        self._requests: dict[str, OpeningRequest] = {}
        self._lock = threading.Lock()

    def list_current(self, incident: str, now: datetime) -> list[OpeningRequest]:
        """Return the requests for an incident that have not expired, oldest first."""
        with self._lock:
            self._expire(now)
            return [item for item in self._requests.values() if item.incident == incident]

    def get(self, incident: str, entry: str, now: datetime) -> OpeningRequest:
        """Return a request for an incident; raises QueryError if it does not exist any more."""
        with self._lock:
            return self._get(incident, entry, now)

    def add(self, request: OpeningRequest) -> None:
        """Keep a request; raises QueryError if that person has one for the incident, or too many
        wait.
        """
        with self._lock:
            self._expire(request.at)
            if any(
                (item.incident, item.by) == (request.incident, request.by)
                for item in self._requests.values()
            ):
                raise QueryError("you already have a request for this incident: use that one")
            if len(self._requests) >= MAX_REQUESTS:
                raise QueryError("too many requests wait: try again when some have expired")
            self._requests[request.id] = request

    def approve(self, approved: OpeningRequest, now: datetime) -> None:
        """Replace a request by its approved form; raises QueryError if it waits no longer."""
        with self._lock:
            if self._get(approved.incident, approved.id, now).approved_by:
                raise QueryError("somebody else has already approved it: read the incident again")
            self._requests[approved.id] = approved

    def take(self, request: OpeningRequest, now: datetime) -> None:
        """Remove a request, because it is opened now; raises QueryError if it is gone."""
        with self._lock:
            self._get(request.incident, request.id, now)
            del self._requests[request.id]

    def _get(self, incident: str, entry: str, now: datetime) -> OpeningRequest:
        self._expire(now)
        request = self._requests.get(entry)
        if request is None or request.incident != incident:
            raise QueryError("this request has expired or was used: make a new one")
        return request

    def _expire(self, now: datetime) -> None:
        for item in [item for item in self._requests.values() if now >= item.until]:
            del self._requests[item.id]


@dataclass(frozen=True, slots=True)
class TwoOfficers:
    """The asking, approving and opening. QueryErrors say what is missing or wrong."""

    store: IncidentStore
    vault: Vault
    trail: Trail
    requests: OpeningRequests

    def find_items(self, incident: Incident) -> list[VaultItem]:
        """Return the intact evidence of an incident that is on this machine, oldest first."""
        findings = find_findings(self.store, [incident.id])
        return [
            item
            for item in self.vault.scan()[0]
            if item.head.finding in findings and item.head.tenant == incident.tenant
        ]

    def suggest_grounds(self, incident: Incident, language: Language) -> tuple[str, str]:
        """Return the case and reason of the incident's hold; without one, its id and heading.

        Each is "" if it contains what looks like an identifier, which a form refuses.
        """
        hold = find_last_holds(self.store).get(incident.id)
        if hold is not None and not hold.released:
            return hold.case, hold.reason
        case, reason = (
            "" if identifier_in(text) else text
            for text in (incident.id, heading(incident, language))
        )
        return case, reason

    def ask(self, incident: Incident, *, by: str, case: str, reason: str) -> None:
        """Keep a request for the evidence of an incident, after an entry in the audit log.

        Raises QueryError if none is here, or case or reason is missing.
        """
        items, number = self._require_items(incident), validate_case(case)
        reason, now = validate_grounds(reason), self.trail.clock.now()
        request = OpeningRequest(
            secrets.token_hex(ENTRY_BYTES), incident.id, by, number, reason, now, now + WAITS
        )
        self.requests.add(request)
        self._log("evidence.ask", incident, by, request, len(items))

    def approve(self, incident: Incident, entry: str, *, by: str, officer: OfficerKey) -> None:
        """Approve another person's request with an officer's key.

        Raises QueryError if the request is `by`'s own or no longer waits, or the key opens none of
        the evidence.
        """
        request = self.requests.get(incident.id, entry, self.trail.clock.now())
        if normalize_name(request.by) == normalize_name(by):
            raise QueryError("you cannot approve your own request: ask another officer")
        items, key = self._require_items(incident), officer.decrypt()
        _require_officer(items, key)
        now = self.trail.clock.now()
        approved = replace(request, approved_by=by, key=key, until=now + LASTS)
        self.requests.approve(approved, now)
        self._log("evidence.approve", incident, by, request, len(items))

    def open(self, incident: Incident, entry: str, *, by: str, officer: OfficerKey) -> bytes:
        """Return a tar of the evidence, in clear, one time; the audit log names each finding first.

        Raises QueryError if the request is not `by`'s own or not approved, or the two keys do not
        open the evidence; the request stays then. Nothing is written to a disk.
        """
        now = self.trail.clock.now()
        request = self.requests.get(incident.id, entry, now)
        if request.by != by or request.key is None:
            raise QueryError(
                "this request is not yours, or nobody has approved it yet: wait for another officer"
            )
        items, key = self._require_items(incident), officer.decrypt()
        _require_officer(items, key)
        if key_id("", key.public_key()) == key_id("", request.key.public_key()):
            raise QueryError("both people used the same key: use your own officer's key", "key")
        reason = f"case {request.case}: {request.reason}"
        self.requests.take(request, now)
        opened = open_with_keys(
            self.vault,
            items,
            (request.key, key),
            self.trail,
            EvidenceRequest(PACK, by, reason),
        )
        tar = io.BytesIO()
        try:
            write_tar(tar, opened)
        except (ConfigError, CorruptError):
            raise QueryError(
                Phrase(
                    "the evidence of %(incident)s is damaged, so nothing was opened: keep it, and"
                    " look for a copy",
                    incident=incident.id,
                )
            ) from None
        return tar.getvalue()

    def _require_items(self, incident: Incident) -> list[VaultItem]:
        items = self.find_items(incident)
        if not items:
            raise QueryError(
                "no encrypted post of this incident is on this machine: use `ullage evidence list`"
                " where match runs"
            )
        if sum(item.bytes for item in items) > MAX_BYTES:
            raise QueryError(
                "this evidence is too large for the console: use `ullage evidence open`"
            )
        return items

    def _log(
        self, action: str, incident: Incident, by: str, request: OpeningRequest, count: int
    ) -> None:
        self.trail.append(
            action,
            f"incident {incident.id}: {count} finding{'s' * (count != 1)}",
            actor=by,
            tenant=incident.tenant,
            reason=f"case {request.case}: {request.reason}",
        )


def _require_officer(items: Sequence[VaultItem], key: X25519PrivateKey) -> None:
    """Raise QueryError unless the key is one of the two of each item."""
    digest = key_id("", key.public_key())
    if not all(any(id_.endswith(digest) for id_ in item.head.officers) for item in items):
        raise QueryError(
            "this evidence is not encrypted for that key: use another officer's", "key"
        )
