"""What the benches of match share: a tenant's customers, documents as captures in match's
batches, and the whole of match.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from harness.bench import corpus
from harness.bench.corpus.customer_list import enrol_people
from harness.bench.corpus.people import Person
from matcher.match.findings import find_all
from matcher.match.pipeline import Matcher
from ullage import setup
from ullage.records import Capture
from ullage.settings import Context

ENTRIES = int(os.environ.get("ULLAGE_BENCH_ENTRIES", "1_000_000"))
ENTRIES_A_CUSTOMER = 13
"""Phone, resident ID and email with three digests each, and a card."""
BATCH = 2 * 2**20


def customers(context: Context, entries: int = ENTRIES) -> Context:
    """`context` initialised, with one tenant of about `entries` entries, all that corpora plant
    among them.
    """
    list(setup.initialise(context))
    enrol_people(
        context, "bench", map(Person, range(max(corpus.CUSTOMERS, entries // ENTRIES_A_CUSTOMER)))
    )
    return context


def captures(
    documents: Sequence[bytes], context: Context, media_type: str = "text/plain"
) -> list[Capture]:
    """Return one capture per document."""
    now = context.clock.now()
    return [
        Capture(
            id=f"{n:x}",
            site="bench",
            post_id=f"{n:x}",
            url="",
            fetched_at=now,
            media_type=media_type,
            body=body,
        )
        for n, body in enumerate(documents)
    ]


def batches(documents: Sequence[bytes], context: Context) -> list[list[Capture]]:
    """Return captures in batches of 2 MiB, as match's worker would hand them over."""
    groups: list[list[Capture]] = [[]]
    length = 0
    for captured in captures(documents, context):
        if length >= BATCH:
            groups.append([])
            length = 0
        groups[-1].append(captured)
        length += len(captured.body)
    return groups


def ours(matcher: Matcher, given: Sequence[Sequence[Capture]], context: Context) -> int:
    """Search captures and make their findings, as match does; return the number of matches."""
    now = context.clock.now()
    results = [finding for batch in given for finding in find_all(matcher, batch, now)]
    return sum(finding.total_matches for finding in results if finding.part == 1)
