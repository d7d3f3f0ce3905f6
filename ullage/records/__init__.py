"""Define the two records that cross stages: `Capture` and `Finding`.

Crawl seals a `Capture` for match; match publishes a `Finding` for alert. Both carry a schema
version, which a reader of another version refuses, and have a size limit.
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
    Bait,
    CaptureFacts,
    Claims,
    Cohort,
    Finding,
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
    "Bait",
    "Capture",
    "CaptureCounts",
    "CaptureFacts",
    "Category",
    "Claims",
    "Cohort",
    "Finding",
    "Match",
    "RowGroup",
    "Statistics",
    "Term",
    "parse_category",
]
