"""The closed list of labels, and what the law makes of them."""

import pytest

from ullage.vocabulary.fields import CLASS, SERIOUS_AT, FieldLabel, classify


def test_a_label_is_written_as_it_is_named() -> None:
    assert all(label.name == label.value == str(label) for label in FieldLabel)


def test_graver_classes_are_serious_sooner() -> None:
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
def test_a_row_is_of_the_highest_class_among_its_fields(fields: list[str], law: str) -> None:
    assert classify(frozenset(fields)) == law
