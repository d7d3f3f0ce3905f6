"""What is enrolled of a value, against the plainest way to write it down."""

import hashlib

import pytest

from matcher.columns.batch import Texts
from matcher.watchlist.tagging import entries_of, list_forms
from ullage.identifiers import kinds, masked_value
from ullage.lookup.values import DIGESTED, list_written_forms


def forms(kind: str, *values: str, digested: bool = True) -> list[tuple[str, int, str]]:
    texts = Texts.pack([value.encode() for value in values])
    enrolments = list_forms(kind, texts, digested)
    return [
        (form, int(row), text)
        for form, rows, columns_ in enrolments
        for row, text in zip(rows, columns_.strings(), strict=True)
    ]


def whole_digests(value: str, row: int = 0) -> set[tuple[str, int, str]]:
    return {
        (form, row, hashlib.new(form, value.encode()).hexdigest())
        for form in ("md5", "sha1", "sha256")
    }


def digests(value: str, row: int = 0) -> set[tuple[str, int, str]]:
    middle = hashlib.md5(value.encode()).hexdigest()[8:24]
    return whole_digests(value, row) | {("md5", row, middle)}


def test_phone_has_all_its_forms() -> None:
    enrolments = forms("phone", "13800138000")
    expected = {("plain", 0, "13800138000"), ("masked", 0, "138****8000")}
    for written in ("13800138000", "8613800138000", "+8613800138000"):
        expected |= digests(written)
    expected |= whole_digests("008613800138000") | whole_digests("13800138000\n")
    assert set(enrolments) == expected
    assert len(enrolments) == len(expected) == entries_of("phone", digested=True)
    assert ("md5", 0, "7945bd83237335e5376ff44d62e4f0ae") in enrolments
    assert ("md5", 0, "237335e5376ff44d") in enrolments
    assert ("md5", 0, "709559e9597fadc042d59c664fe27e7e") in enrolments


def test_resident_id_has_all_its_forms() -> None:
    enrolments = forms("resident_id", "11010519491231002X")
    assert set(enrolments) == {
        ("plain", 0, "11010519491231002X"), ("masked", 0, "1101**********002X"),
        ("masked", 0, "110105********002X"),
        *digests("11010519491231002X"), *whole_digests("11010519491231002x"),
    }  # fmt: skip
    without_x = forms("resident_id", "110105194912310011")
    assert len(without_x) == entries_of("resident_id", digested=True)


def test_address_is_enrolled_with_and_without_plus_tag() -> None:
    enrolments = forms("email", "a@example.com", "b+x@example.com")
    assert set(enrolments) == {
        ("plain", 0, "a@example.com"), ("plain", 1, "b+x@example.com"),
        ("plain", 1, "b@example.com"),
        *digests("a@example.com"), *digests("b+x@example.com", 1), *digests("b@example.com", 1),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["card", "iban", "name", "qq"])
def test_other_kinds_are_enrolled_unchanged(kind: str) -> None:
    assert forms(kind, "6200000000000005", digested=False) == [("plain", 0, "6200000000000005")]
    assert entries_of(kind, digested=False) == 1


def test_digests_and_values_can_be_left_out() -> None:
    assert {form for form, *_ in forms("phone", "13800138000", digested=False)} == {
        "plain",
        "masked",
    }
    assert forms("phone") == []


@pytest.mark.parametrize("number", ["+85291234567", "+6591234567"])
def test_foreign_number_has_no_domestic_prefix_or_mask(number: str) -> None:
    enrolments = forms("phone", number, "13800138000")
    assert {entry for entry in enrolments if entry[1] == 0} == {
        ("plain", 0, number),
        *digests(number),
        *whole_digests(f"{number}\n"),
    }
    assert sum(row == 1 for _, row, _ in enrolments) == 20


def test_enrolled_masks_are_those_searched_for() -> None:
    for kind, value, masks in (
        ("phone", "13800138000", {"138****8000"}),
        ("phone", "+14155552671", set()),
        ("resident_id", "11010519491231002X", {"1101**********002X", "110105********002X"}),
        ("card", "6200000000000005", set()),
    ):
        assert {
            text
            for form, _, text in forms(kind, value, digested=False)
            if form == masked_value.FORM
        } == masks
        assert {
            candidate.normal for mask in masks for candidate in masked_value.find(mask)
        } == masks


EACH = sorted({(kind.name, normal) for kind in kinds().values() for _, normal in kind.examples})


@pytest.mark.parametrize(
    ("kind", "value"), [*EACH, ("phone", "+85291234567"), ("email", "b+x@example.com")]
)
def test_look_up_covers_every_enrolled_form_but_masks(kind: str, value: str) -> None:
    enrolments = {
        (form, text)
        for form, _, text in forms(kind, value, digested=kind in DIGESTED)
        if form != masked_value.FORM
    }
    assert set(list_written_forms(kind, value)) == enrolments
