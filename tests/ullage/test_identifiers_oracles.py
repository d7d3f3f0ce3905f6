"""Numbering plans, bank accounts and company codes against independent implementations."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban as stdnum_iban
from stdnum.cn import uscc as stdnum_uscc

from ullage.identifiers import iban, kinds, phone, uscc
from ullage.identifiers.phone import CHINA, is_number

MOBILE = phonenumbers.PhoneNumberType.MOBILE
REGIONS = sorted(region for region in phonenumbers.SUPPORTED_REGIONS if region != "CN")
CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


def example_number(region: str) -> phonenumbers.PhoneNumber:
    number = phonenumbers.example_number_for_type(region, MOBILE) or phonenumbers.example_number(
        region
    )
    assert number is not None
    return number


@pytest.mark.parametrize("region", REGIONS)
def test_mobile_of_every_country_is_found_as_the_library_writes_it(region: str) -> None:
    example = example_number(region)
    normal = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    written = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    for text in (normal, written, f"手机{normal}住址", f"00{normal[1:]}"):
        assert [c.normal for c in kinds()["phone"].find(text)] == [normal], text


@given(st.sampled_from(CODES), st.text("0123456789", min_size=4, max_size=12))
def test_accepted_foreign_number_is_valid_for_the_library(code: int, national: str) -> None:
    digits = f"{code}{national}"
    if is_number(digits):
        parsed = phonenumbers.parse(f"+{digits}")
        assert parsed.country_code != CHINA
        assert phonenumbers.is_possible_number(parsed)


@given(st.sampled_from(REGIONS), st.integers(0, 9999))
def test_numbers_like_the_example_agree_with_the_library(region: str, end: int) -> None:
    example = example_number(region)
    digits = f"{example.country_code}{phonenumbers.national_significant_number(example)}"
    digits = f"{digits[:-4]}{end:04d}"
    parsed = phonenumbers.parse(f"+{digits}")
    kind = phonenumbers.number_type(parsed)
    types = phonenumbers.PhoneNumberType
    of_people = (
        types.MOBILE,
        types.FIXED_LINE,
        types.FIXED_LINE_OR_MOBILE,
        types.PERSONAL_NUMBER,
        types.VOIP,
    )
    if kind in of_people:
        assert is_number(digits)
    if is_number(digits):
        assert phonenumbers.is_valid_number(parsed)


@pytest.mark.parametrize("hostile", ["00", "+", "+1 ", "+1-", "+1 (4) ", "0044 ", "+44.20."])
@pytest.mark.timeout(60)
def test_near_foreign_number_costs_one_pass(hostile: str) -> None:
    phone.KIND.find(hostile * 40_000)


@given(st.sampled_from(sorted(iban.LENGTHS)), st.text("0123456789ABCXYZ", min_size=29, max_size=29))
def test_iban_check_digits_agree_with_the_oracle(country: str, account: str) -> None:
    body = account[: iban.LENGTHS[country] - 4]
    number = f"{country}{stdnum_iban.calc_check_digits(f'{country}00{body}')}{body}"
    assert iban.normalise(number) == number
    assert iban.check(number)
    assert not iban.check(f"{number[:2]}{(int(number[2:4]) + 1) % 100:02d}{number[4:]}")
    spaced = " ".join(number[i : i + 4] for i in range(0, len(number), 4))
    assert [c.normal for c in iban.KIND.find(f"账号{spaced.lower()} 等")] == [number]


@pytest.mark.parametrize(
    "number",
    ["AT611904300234573201", "BE68539007547034", "CH9300762011623852957",
    "FR1420041010050500013M02606",
     "MT84MALT011000012345MTLCAST001S", "NO9386011117947", "SC18SSCB11010000000000001497USD"],
)  # fmt: skip
def test_printed_accounts_are_valid_for_us_and_for_the_oracle(number: str) -> None:
    assert stdnum_iban.is_valid(number, check_country=False)
    assert iban.normalise(number) == number
    assert iban.check(number)


@given(
    st.sampled_from(["91", "92", "12", "51", "N1", "Y1"]),
    st.sampled_from(["110000", "440301", "100000"]),
    st.text(uscc.ALPHABET, min_size=9, max_size=9),
)  # fmt: skip
def test_company_code_check_digit_agrees_with_the_oracle(
    department: str, region: str, code: str
) -> None:
    first17 = f"{department}{region}{code}"
    number = first17 + stdnum_uscc.calc_check_digit(first17)
    assert uscc.normalise(number.lower()) == number
    assert uscc.check(number)
    assert not any(
        uscc.check(first17 + check_sign) for check_sign in uscc.ALPHABET if check_sign != number[17]
    )
