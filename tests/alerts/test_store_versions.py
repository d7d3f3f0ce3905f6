"""What a store indexes, and its version, change together."""

import hashlib
import json

from alerts.records import CLASSES, VERSION

SHAPE = "1 99a18e77"
"""VERSION, and a digest of what is indexed of every class.

When the digest changes after a release raise VERSION; note both.
"""


def test_indexed_columns_change_only_with_the_version() -> None:
    shape = {
        kind.__name__: (
            kind.columns,
            kind.sets,
            kind.time,
            kind.searchable,
            kind.orders,
            kind.brief,
        )
        for kind in CLASSES
    }
    assert (
        f"{VERSION} {hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:8]}"
        == SHAPE
    )
