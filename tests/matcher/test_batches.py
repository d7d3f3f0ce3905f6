"""What a long file takes is one batch, whatever its length: each is gone before the next is
read.
"""

import weakref

import pytest

from matcher.match import batches, parts
from matcher.text.decode import WINDOW
from tests.factories import capture
from tests.matcher.bank import matcher_of
from tests.matcher.conftest import BANK
from ullage.settings import Context

ONE = BANK[1]


LONG = f"{ONE['phone']} {'y' * 8000}\n" * (5 * WINDOW // 16000)
"""Three windows."""


@pytest.mark.parametrize("bodies", [[ONE["phone"]] * 3, [LONG]])
def test_batch_is_freed_before_the_next_is_read(
    bank: Context, monkeypatch: pytest.MonkeyPatch, bodies: list[str]
) -> None:
    results: list[weakref.ref[batches.SearchResult]] = []
    alive, plain, read = [], batches.SearchResult, parts.read

    def record_search(*given) -> batches.SearchResult:
        result = plain(*given)
        results.append(weakref.ref(result))
        return result

    def count_alive(*given) -> parts.PartBatch:
        alive.append(sum(reference() is not None for reference in results))
        return read(*given)

    monkeypatch.setattr(batches, "SearchResult", record_search)
    monkeypatch.setattr(batches, "read", count_alive)
    monkeypatch.setattr(batches, "BATCH", 1)
    readings = matcher_of(bank).read(
        capture(id=f"{n}", body=body.encode()) for n, body in enumerate(bodies)
    )
    assert [len(reading.find_best_matches("bank").subjects) for reading in readings] == [1] * len(
        bodies
    )
    assert alive == [0] * 3
