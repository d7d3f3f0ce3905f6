"""What is counted of the customers who were found, each once: verified ones, minors, and the
gravest class of each.
"""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.match.counts import (
    CLASSES,
    MINOR,
    VERIFIED,
    Customers,
    birth_dates,
    latest_adult_birthday,
)
from tests.factories import capture
from tests.matcher.bank import customer, enrol, matcher_of
from ullage.identifiers.resident_id import check_character
from ullage.settings import Context

SEEN = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from("ABC"), st.booleans(), st.booleans()), max_size=30
)


@given(st.lists(SEEN, max_size=4), st.integers(0, 20))
def test_each_customer_counts_once_with_all_observed_flags(
    parts: list[list[tuple[int, str, bool, bool]]], pending: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Customers, "least_pending", pending)
        customers, classes, verified, minors = Customers(), dict[int, str](), set[int](), set[int]()
        for part in parts:
            flags = [
                CLASSES[name] | sure * VERIFIED | young * MINOR for _, name, sure, young in part
            ]
            customers.add_flags(
                np.array([subject for subject, *_ in part], np.int64), np.array(flags, np.int64)
            )
            for subject, name, sure, young in part:
                classes[subject] = min(name, classes.get(subject, "C"))
                verified |= {subject} if sure else set()
                minors |= {subject} if young else set()
    assert (len(customers), customers.subjects.tolist()) == (len(classes), sorted(classes))
    assert (customers.with_flag(VERIFIED).tolist(), customers.with_flag(MINOR).tolist()) == (
        sorted(verified),
        sorted(minors),
    )
    for flag, subjects in ((0, {*classes}), (VERIFIED, verified)):
        names = [classes[subject] for subject in subjects]
        assert dict(customers.count_classes(flag)) == {
            name: names.count(name) for name in CLASSES if name in names
        }


def test_many_customers_take_a_few_bytes_each() -> None:
    customers = Customers()
    for first in range(0, 1_000_000, 50_000):
        customers.add_flags(np.arange(first, first + 60_000), np.full(60_000, CLASSES["C"]))
    assert len(customers) == 1_010_000
    assert customers.subjects.nbytes == 8 * 1_010_000


def resident_id_of(day: str) -> str:
    """Return a resident ID of somebody born that day."""
    first17 = f"110105{day}002"
    return first17 + check_character(first17)


@pytest.mark.parametrize(
    ("birth", "expected"),
    [
        ("20120922", True),
        ("20120921", False),
        ("20120920", False),
        ("18991231", False),
        ("20260101", True),
    ],
)
def test_age_under_fourteen_is_computed_for_the_day(birth: str, expected: bool) -> None:
    table = np.frombuffer(resident_id_of(birth).encode().ljust(24, b"\0"), np.uint8).reshape(1, 24)
    assert birth_dates(table).tolist() == [int(birth)]
    assert bool(birth_dates(table)[0] > latest_adult_birthday(date(2026, 9, 21))) is expected


def find_customers(context: Context, body: str):
    at = datetime(2026, 9, 21, tzinfo=UTC)
    [reading] = matcher_of(context).read([capture(body=body.encode(), fetched_at=at)])
    best = reading.find_best_matches("bank")
    assert best
    return best


def test_customer_has_the_most_severe_class_of_its_rows(bank: Context) -> None:
    first, second, third = (customer(n) for n in range(3))
    body = (
        "姓名,手机,余额\n"
        + "\n".join(f"{p['name']},{p['phone']},100.00" for p in (first, second))
        + "\n\n"
    )
    best = find_customers(bank, body + f"电话 {first['phone']}\n{third['phone']}")
    people = best.people()
    assert (people.customers, people.classes) == (3, {"A": 2, "C": 1})
    assert frozenset(("NAME", "PHONE", "BALANCE")) in people.groups


def test_customer_is_verified_by_two_fields_or_a_non_phone_match(bank: Context) -> None:
    first, second, third = (customer(n) for n in range(3))
    best = find_customers(
        bank, f"{first['name']}----{first['phone']}\n{second['phone']}\n{third['email']}\n"
    )
    assert (best.people().customers, best.people_verified().customers) == (3, 2)
    assert sum(best.people_verified().groups.values()) == 2


def test_minors_are_recognised_by_resident_id(context: Context) -> None:
    enrol(
        context,
        "bank",
        [
            customer(0, resident_id=resident_id_of("20150101")),
            customer(1, resident_id=resident_id_of("19700101")),
        ],
    )
    assert (
        len(
            find_customers(
                context, f"{resident_id_of('20150101')}\n{resident_id_of('19700101')}"
            ).minors
        )
        == 1
    )
