"""The closed list of labels, and what the law makes of them."""

import pytest

from ullage.vocabulary.fields import CLASS, SERIOUS_AT, FieldLabel, classify


def test_label_name_equals_its_value() -> None:
    assert all(label.name == label.value == str(label) for label in FieldLabel)


def test_more_severe_classes_need_fewer_customers() -> None:
    assert SERIOUS_AT == {"A": 50, "B": 500, "C": 5000}
    assert set(CLASS.values()) == {"A", "B"}


@pytest.mark.parametrize(
    ("fields", "law"),
    [
        (["PHONE", "NAME", "ID", "CARD"], "B"),
        (["PHONE", "NAME", "CARD"], "C"),
        (["PHONE", "ORDER"], "B"),
        (["LOAN", "CREDIT"], "A"),
        (["PASSWORD"], "A"),
        (["BALANCE"], "A"),
        (["HEALTH", "TRAVEL"], "B"),
        (["<digest>"], "C"),
        ([], "C"),
    ],
)
def test_row_has_the_most_severe_class_of_its_fields(fields: list[str], law: str) -> None:
    assert classify(frozenset(fields)) == law
