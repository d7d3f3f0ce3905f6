"""Numbers and addresses that are written backwards are looked up as they are forwards."""

import pytest

from matcher.match.pipeline import Matcher
from tests.factories import capture
from tests.matcher.conftest import BANK
from tests.matcher.test_contested import look_up_keys
from tests.matcher.test_encoded_cells import matcher

__all__ = ["matcher"]
FIELDS = ("phone", "resident_id", "email")


def count_customers(matcher: Matcher, text: str) -> int:
    """Return how many customers are found in a text."""
    [reading] = matcher.read([capture(body=text.encode())])
    best = reading.find_best_matches("bank")
    return len(best.subjects) if best else 0


@pytest.mark.parametrize("field", FIELDS)
def test_column_of_reversed_values_is_read(matcher: Matcher, field: str) -> None:
    values = [person[field] for person in BANK if not person[field].endswith("X")]
    assert len(values) > 5
    assert count_customers(
        matcher, "\n".join(f"{number};{value[::-1]};x" for number, value in enumerate(values))
    ) == len(values)


def test_reversed_lines_are_read(matcher: Matcher) -> None:
    lines = [
        f"{person['name']} 手机 {person['phone']} 证件 {person['resident_id']}"[::-1]
        for person in BANK
    ]
    assert count_customers(matcher, "\n".join(lines)) == len(BANK)


@pytest.mark.parametrize("card", ["6200000000000005", "6205500000000000004", "5500005555555559"])
def test_reversed_card_is_looked_up_in_normal_order(card: str) -> None:
    assert ("card", card) in look_up_keys(card[::-1])


@pytest.mark.parametrize(
    "says", ["手机号倒过来看：{}", "reversed: {}", "{} (rückwärts lesen)", "机手：{}"]
)
def test_single_reversed_phone_is_read_where_text_announces_it(matcher: Matcher, says: str) -> None:
    assert count_customers(matcher, says.format(BANK[0]["phone"][::-1])) == 1


def test_reversed_order_number_matches_nobody(matcher: Matcher) -> None:
    assert (
        count_customers(
            matcher, f"order {BANK[0]['phone'][::-1]} of 20240513123, 20240513124, 20240513125"
        )
        == 0
    )
