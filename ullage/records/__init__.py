"""Define the records that travel between services: `Capture` and `Finding`.

    crawl ── Capture, encrypted ──▶ match ── Finding, signed ──▶ alert

A `Capture` is one post, paste or attachment as it was served, with where and when. A `Finding` is
what match says about one capture for one tenant: which customers are in it, by pseudonym, and what
was counted, but no value and no text of the post. Both are frozen pydantic models; `encode` and
`decode` turn them into bytes and back. Both carry a schema version and have a size limit: a reader
raises RecordError for another version, for damaged bytes and for values that are out of range.
"""

from ullage.records.capture import (
    CAPTURE_SCHEMA,
    ELSEWHERE,
    INGEST,
    MAX_BODY_BYTES,
    Capture,
    Category,
    parse_category,
)
from ullage.records.counts import CaptureCounts, RowGroup
from ullage.records.finding import (
    FINDING_SCHEMA,
    MAX_MATCHES,
    CaptureFacts,
    Claims,
    Cohort,
    Finding,
    Honeytoken,
    Match,
    Statistics,
    Term,
)

__all__ = [
    "CAPTURE_SCHEMA",
    "ELSEWHERE",
    "FINDING_SCHEMA",
    "INGEST",
    "MAX_BODY_BYTES",
    "MAX_MATCHES",
    "Capture",
    "CaptureCounts",
    "CaptureFacts",
    "Category",
    "Claims",
    "Cohort",
    "Finding",
    "Honeytoken",
    "Match",
    "RowGroup",
    "Statistics",
    "Term",
    "parse_category",
]
