"""What match seals of a post for the desk: see `ullage.custody.originals`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np

from matcher.match.capture_result import Reading
from ullage.custody import originals
from ullage.custody.originals import MAX_MEMBERS, MAX_NAME, MAX_TEXT, MAX_URL, Original
from ullage.records import Finding
from ullage.security import keys
from ullage.security.sealing import Sealer
from ullage.settings import Context


def desks(context: Context, tenants: Iterable[str]) -> dict[str, Sealer]:
    """What seals to each tenant's desk; without those that have no key here, and none where originals are not kept."""
    if not context.settings.originals.keep:
        return {}
    return {tenant: sealer for tenant in tenants if (sealer := keys.desk_sealer(context.keys, tenant))}


def with_original(finding: Finding, reading: Reading, sealer: Sealer | None) -> Finding:
    """`finding` with address, title, author and members' names of its capture, sealed; of several parts the first has them."""
    if sealer is None or finding.part != 1:
        return finding
    sealed = originals.seal(_original(reading, finding.tenant), sealer, finding.tenant, finding.id)
    return finding.model_copy(update={"original": sealed, "original_key": sealer.key_id})


def _original(reading: Reading, tenant: str) -> Original:
    capture, found = reading.capture, reading.best(tenant)
    documents = [
        held.members[number] for held in (found.details if found else ()) for number in np.unique(held["document"]).tolist()
    ]
    names = {number: path for path, number, _ in documents if number}
    return Original(
        url=capture.url[:MAX_URL],
        title=capture.title[:MAX_TEXT],
        author=capture.author[:MAX_TEXT],
        channel=capture.channel[:MAX_TEXT],
        source=capture.source[:MAX_TEXT],
        members={number: path[:MAX_NAME] for number, path in islice(sorted(names.items()), MAX_MEMBERS)},
    )
