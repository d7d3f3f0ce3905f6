"""Masked values: one canonical form, however they are masked, and nothing that is not one."""

import pytest

from ullage.identifiers import masked_value


@pytest.mark.parametrize(
    ("text", "kind", "normal"),
    [
        ("手机138****8000", "phone", "138****8000"),
        ("138xxxx8000", "phone", "138****8000"),
        ("138XXXX8000,", "phone", "138****8000"),
        ("138●●●●8000", "phone", "138****8000"),
        ("4403**********1234", "resident_id", "4403**********1234"),
        ("440301********1234", "resident_id", "440301********1234"),
        ("身份证440301xxxxxxxx123x", "resident_id", "440301********123X"),
        ("4403**********123X", "resident_id", "4403**********123X"),
    ],
)
def test_masked_value_has_one_form_and_is_weak(text: str, kind: str, normal: str) -> None:
    (masked,) = masked_value.find(text)
    assert (masked.kind, masked.form, masked.normal, masked.weak) == (kind, "masked", normal, True)


@pytest.mark.parametrize(
    "text",
    ["138***8000", "138*****8000", "138*x*x8000", "1138****8000", "138****80001", "128****8000",
    "4403********1234",
     "440301**********1234", "6222********1234", "*138****8000", "138****8000*", "13800138000",
     "138--**8000"],
)  # fmt: skip
def test_wrong_number_of_masked_characters_is_not_a_mask(text: str) -> None:
    assert masked_value.find(text) == []


def test_masked_resident_id_keeps_four_or_six_leading_characters() -> None:
    for mask in ("1101**********002X", "110105********002X"):
        assert [(c.kind, c.normal) for c in masked_value.find(mask)] == [("resident_id", mask)]
