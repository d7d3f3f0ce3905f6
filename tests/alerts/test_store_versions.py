"""What a store indexes, and its version, change together."""

import hashlib
import json

from alerts.records import CLASSES, VERSION

SHAPE = "1 1e58b68d"
"""VERSION, and a digest of what is indexed of every class.

When the digest changes after a release raise VERSION; note both.
"""


def test_what_is_indexed_changes_with_the_version_alone() -> None:
    shape = {
        one.__name__: (one.columns, one.sets, one.time, one.searchable, one.orders, one.brief)
        for one in CLASSES
    }
    assert (
        f"{VERSION} {hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:8]}"
        == SHAPE
    )
