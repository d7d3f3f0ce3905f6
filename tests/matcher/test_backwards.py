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
def test_a_column_of_values_written_backwards_is_read(matcher: Matcher, field: str) -> None:
    values = [person[field] for person in BANK if not person[field].endswith("X")]
    assert len(values) > 5
    assert count_customers(
        matcher, "\n".join(f"{number};{value[::-1]};x" for number, value in enumerate(values))
    ) == len(values)


def test_whole_lines_are_read_backwards(matcher: Matcher) -> None:
    lines = [
        f"{person['name']} 手机 {person['phone']} 证件 {person['resident_id']}"[::-1]
        for person in BANK
    ]
    assert count_customers(matcher, "\n".join(lines)) == len(BANK)


@pytest.mark.parametrize("card", ["6200000000000005", "6205500000000000004", "5500005555555559"])
def test_a_card_is_asked_for_as_it_is_forwards(card: str) -> None:
    assert ("card", card) in look_up_keys(card[::-1])


@pytest.mark.parametrize(
    "says", ["手机号倒过来看：{}", "reversed: {}", "{} (rückwärts lesen)", "机手：{}"]
)
def test_one_phone_is_read_where_the_text_says_so(matcher: Matcher, says: str) -> None:
    assert count_customers(matcher, says.format(BANK[0]["phone"][::-1])) == 1


def test_a_number_of_an_order_is_nobody_backwards(matcher: Matcher) -> None:
    assert (
        count_customers(
            matcher, f"order {BANK[0]['phone'][::-1]} of 20240513123, 20240513124, 20240513125"
        )
        == 0
    )
