"""What is sealed: the body as served, and a manifest that says where it came from, what was done to it and when, with digests.

The digests are plain SHA-256, because a court has no key of ours. They stand inside the seal alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ValidationError

from ullage import __version__
from ullage.errors import RecordError
from ullage.records import INGEST, Capture, Finding
from ullage.records.base import STRICT, framed, unframed

SCHEMA = 1
"""The platform of captures that a collector of somebody else's handed in."""


class _ManifestRecord(BaseModel):
    model_config = STRICT


class CustodyStep(_ManifestRecord):
    """One thing that was done, by which role, when."""

    at: AwareDatetime
    role: str
    what: str


class Manifest(_ManifestRecord):
    """Everything about one capture; `capture` holds its fields as crawl wrote them, title, author, URL and headers included."""

    version: str
    tenant: str
    finding: str
    severity: str
    capture: dict[str, object]
    bytes: int
    sha256: dict[str, str]
    """Of `body`, of `capture` as JSON with sorted keys, of the published `finding` as JSON."""
    process: tuple[CustodyStep, ...]


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def canonical(fields: Mapping[str, object]) -> bytes:
    """JSON that comes out the same for the same fields: keys sorted, no spaces, UTF-8."""
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def manifest(capture: Capture, finding: Finding, severity: str, sealed_at: datetime) -> Manifest:
    """The manifest of `capture`, in which `finding` was found."""
    fields = capture.model_dump(mode="json", exclude={"body"})
    taken = CustodyStep(at=capture.fetched_at, role="crawl", what=f"fetched from site {capture.site} and sealed to match")
    if capture.platform == INGEST:
        taken = CustodyStep(at=capture.fetched_at, role=INGEST, what=f"handed in as of site {capture.site} and sealed to match")
    steps = [
        taken,
        CustodyStep(
            at=finding.matched_at,
            role="match",
            what=f"opened, matched against epoch {finding.epoch}, list of {finding.customers}",
        ),
        CustodyStep(at=sealed_at, role="match", what=f"judged {severity} and sealed to two officers"),
    ]
    digests = {"body": digest(capture.body), "capture": digest(canonical(fields)), "finding": digest(finding.encode())}
    return Manifest(
        version=__version__, tenant=finding.tenant, finding=finding.id, severity=severity, capture=fields,
        bytes=len(capture.body), sha256=digests, process=tuple(steps),
    )  # fmt: skip


def encode(made: Manifest, body: bytes) -> bytes:
    """Manifest and body as what is sealed."""
    head = made.model_dump_json().encode()
    return framed(head, body)


def decode(data: bytes) -> tuple[Manifest, bytes]:
    """Manifest and body; RecordError `malformed` when it is none of ours, `digest` when a digest is not that of what is there."""
    head, body = unframed(data)
    try:
        made = Manifest.model_validate_json(head)
    except ValidationError:
        raise RecordError("malformed") from None
    if made.sha256["body"] != digest(body) or made.sha256["capture"] != digest(canonical(made.capture)):
        raise RecordError("digest")
    return made, body
