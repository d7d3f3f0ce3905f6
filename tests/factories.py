"""Valid records with defaults: a test names only what it is about. All people are made up."""

from datetime import UTC, datetime
from typing import Any

from ullage.bus import FINDINGS, Outgoing
from ullage.records import FINDING_SCHEMA, Capture, CaptureFacts, Finding, Match, Statistics
from ullage.running_time import ClockReading
from ullage.security import keys
from ullage.security.keys import KeyStore
from ullage.security.signing import record_parts

WHEN = datetime(2026, 9, 21, 12, 0, tzinfo=UTC)


def clocks_at(moment: datetime) -> ClockReading:
    """Both clocks at a moment, and nothing known of the time before: ages are the wall clock's."""
    return ClockReading.first(moment.timestamp())


def capture(**changes: Any) -> Capture:
    fields: dict[str, Any] = {
        "id": "c0ffee00",
        "site": "paste",
        "post_id": "42",
        "url": "http://127.0.0.1/42",
        "title": "一批客户资料",
        "fetched_at": WHEN,
        "body": "李某----13800138000".encode(),
    }
    return Capture(**{**fields, **changes})


def match(**changes: Any) -> Match:
    fields: dict[str, Any] = {
        "kind": "phone",
        "subject": "5" * 32,
        "index_tag": "7" * 32,
        "start": 6,
        "end": 17,
        "row": 0,
        "fields": ("NAME", "PHONE"),
        "confidence": 80,
    }
    return Match(**{**fields, **changes})


def facts(**changes: Any) -> CaptureFacts:
    fields: dict[str, Any] = {
        "id": "c0ffee00",
        "site": "paste",
        "platform": "raw_paste",
        "post_id": "42",
        "kind": "paste",
        "category": "",
        "url": "http://127.0.0.1/42",
        "title": "一批客户资料",
        "author": "",
        "channel": "",
        "thread": "",
        "published_at": None,
        "fetched_at": WHEN,
        "truncated": False,
    }
    return CaptureFacts(**{**fields, **changes})


def finding(**changes: Any) -> Finding:
    matches = changes.get("matches", (match(),))
    fields: dict[str, Any] = {
        "id": "f1d0",
        "tenant": "bank",
        "part": 1,
        "parts": 1,
        "matched_at": WHEN,
        "epoch": 1,
        "index_epoch": 1,
        "customers": 2_000,
        "total_matches": len(matches),
        "total_subjects": len({m.subject for m in matches}),
        "capture": facts(),
        "statistics": Statistics(rows=1),
        "matches": matches,
    }
    return Finding(**{**fields, **changes})


def outgoing(value: bytes | str, key: str = "paste", **headers: str) -> Outgoing:
    return Outgoing(key, value.encode() if isinstance(value, str) else value, headers)


def sign_finding_record(
    keys_: KeyStore, value: bytes, tenant: str = "bank", id_: str = "f", role: str = "match"
) -> Outgoing:
    """Return a record of topic `findings` as match puts it there, whatever its value."""
    headers = {"tenant": tenant, "id": id_, "schema": str(FINDING_SCHEMA)}
    by = keys.load_signer(keys_, role).headers("finding", *record_parts(FINDINGS, headers, value))
    return Outgoing(tenant, value, headers | by)
