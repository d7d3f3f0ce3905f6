"""Customers as columns against the same in dictionaries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.match.counts import CLASSES, MINOR, VERIFIED, Customers

SEEN = st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ABC"), st.booleans(), st.booleans()), max_size=30)


@given(st.lists(SEEN, max_size=4), st.integers(0, 20))
def test_each_customer_counts_once_with_all_that_was_seen(parts: list[list[tuple[int, str, bool, bool]]], pending: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Customers, "least_pending", pending)
        found, classes, verified, minors = Customers(), dict[int, str](), set[int](), set[int]()
        for part in parts:
            flags = [CLASSES[name] | sure * VERIFIED | young * MINOR for _, name, sure, young in part]
            found.add_flags(np.array([subject for subject, *_ in part], np.int64), np.array(flags, np.int64))
            for subject, name, sure, young in part:
                classes[subject] = min(name, classes.get(subject, "C"))
                verified |= {subject} if sure else set()
                minors |= {subject} if young else set()
    assert (len(found), found.subjects.tolist()) == (len(classes), sorted(classes))
    assert (found.having(VERIFIED).tolist(), found.having(MINOR).tolist()) == (sorted(verified), sorted(minors))
    for flag, own in ((0, {*classes}), (VERIFIED, verified)):
        names = [classes[subject] for subject in own]
        assert dict(found.classes(flag)) == {name: names.count(name) for name in CLASSES if name in names}


def test_many_customers_take_a_few_bytes_each() -> None:
    found = Customers()
    for first in range(0, 1_000_000, 50_000):
        found.add_flags(np.arange(first, first + 60_000), np.full(60_000, CLASSES["C"]))
    assert len(found) == 1_010_000
    assert found.subjects.nbytes == 8 * 1_010_000
