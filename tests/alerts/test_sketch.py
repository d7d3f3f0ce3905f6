"""How much of one text another contains, from 256 numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.grouping.placement import merge, overlap
from tests.alerts.builders import sketch

numbers = st.sets(st.integers(0, 2_000), max_size=600)


@pytest.mark.parametrize(
    ("one", "other", "share", "compared"),
    [
        (range(20), range(20), 1.0, 20),
        (range(20), range(100), 1.0, 20),
        (range(20), range(10, 30), 0.5, 20),
        (range(20), range(20, 40), 0.0, 20),
        (range(7), range(7), 1.0, 7),
        ([], range(20), 0.0, 0),
        ([], [], 0.0, 0),
    ],
)
def test_complete_sketches_are_compared_value_by_value(one, other, share, compared):
    assert overlap(sketch(one), sketch(other)) == (share, compared)
    assert overlap(sketch(other), sketch(one)) == (share, compared)


def test_values_above_the_limit_of_a_full_sketch_are_not_evidence():
    """Half of a list of 2,000 is contained in it, although most of its lowest 256 are above the
    list's 256th.
    """
    whole, half = sketch(range(2_000)), sketch(range(1_000))
    compared_sketches = overlap(whole, half)
    assert compared_sketches.share == 1.0
    assert 80 < compared_sketches.compared < 200
    assert len(set(whole) & set(half)) < 200, "comparing all 256 would have said otherwise"


def test_full_and_small_sketches_are_compared_at_their_low_values():
    assert overlap(sketch(range(2_000)), sketch(range(40))).share == 1.0
    assert overlap(sketch(range(2_000)), sketch(range(5_000, 5_200))).share == 0.0


@given(numbers, numbers)
def test_containment_is_exact_where_visible(a, b):
    compared_sketches = overlap(sketch(a), sketch(a | b))
    assert compared_sketches.share == (1.0 if compared_sketches.compared else 0.0)


@given(numbers, numbers, numbers)
def test_merging_is_a_union_in_any_order(a, b, c):
    assert (
        merge(merge(sketch(a), sketch(b)), sketch(c))
        == merge(sketch(c), merge(sketch(b), sketch(a)))
        == sketch(a | b | c)
    )
    assert merge(sketch(a), sketch(a)) == sketch(a)
