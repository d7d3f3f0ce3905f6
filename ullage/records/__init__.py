"""The two records that cross stages: `Capture` (sealed, crawl to match) and `Finding` (match to alert).

Both carry a schema version and have a size limit; both are final in shape, so that a later version adds and never moves.
"""

from ullage.records.capture import (
    CAPTURE_SCHEMA,
    ELSEWHERE,
    INGEST,
    MAX_BODY_BYTES,
    SIGNED_SINCE,
    Capture,
    Category,
    category_of,
)
from ullage.records.finding import (
    FINDING_SCHEMA,
    MAX_MATCHES,
    Bait,
    CaptureFacts,
    Claims,
    Cohort,
    Finding,
    Match,
    RowGroup,
    Statistics,
    Term,
    reduced,
)

__all__ = [
    "CAPTURE_SCHEMA",
    "ELSEWHERE",
    "FINDING_SCHEMA",
    "INGEST",
    "MAX_BODY_BYTES",
    "MAX_MATCHES",
    "SIGNED_SINCE",
    "Bait",
    "Capture",
    "CaptureFacts",
    "Category",
    "Claims",
    "Cohort",
    "Finding",
    "Match",
    "RowGroup",
    "Statistics",
    "Term",
    "category_of",
    "reduced",
]
