"""Each kind's own examples and near-misses, and its checksum against independent
implementations.
"""

import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn as stdnum_luhn
from stdnum.cn import ric
from stdnum.iso7064 import mod_11_2

from ullage import identifiers
from ullage.identifiers import Kind, card, email, kinds, resident_id

EXAMPLES = [(kind, text, normal) for kind in kinds().values() for text, normal in kind.examples]
NEAR_MISSES = [(kind, text) for kind in kinds().values() for text in kind.near_misses]
KINDS = st.sampled_from(list(kinds().values()))


@pytest.mark.parametrize(
    ("kind", "text", "normal"), EXAMPLES, ids=[f"{k.name}-{t}" for k, t, _ in EXAMPLES]
)
def test_example_is_found_valid_in_its_normal_form(kind: Kind, text: str, normal: str) -> None:
    valid = [c for c in kind.find(text) if c.valid]
    assert normal in {c.normal for c in valid}
    for candidate in valid:
        assert kind.normalise(text[candidate.start : candidate.end]) == candidate.normal


@pytest.mark.parametrize(
    ("kind", "text"), NEAR_MISSES, ids=[f"{k.name}-{t}" for k, t in NEAR_MISSES]
)
def test_near_miss_is_not_valid(kind: Kind, text: str) -> None:
    assert [c for c in kind.find(text) if c.valid] == []


@given(KINDS, st.lists(st.sampled_from([text for _, text, _ in EXAMPLES]), max_size=6))
def test_columns_agree_with_find(kind: Kind, texts: list[str]) -> None:
    text = "\n".join(texts * 2)
    normals = list[str]()
    spans = [
        (start, end, normals[number])
        for start, end, number in zip(*kind.columns(text, {}, normals), strict=True)
    ]
    assert spans == [(c.start, c.end, c.normal) for c in kind.find(text)]


def test_candidate_in_a_message_shows_its_place_but_not_its_value() -> None:
    (candidate,) = kinds()["phone"].find("手机13800138000")
    assert candidate.normal == "13800138000"
    assert "13800138000" not in f"{candidate} {candidate!r} {[candidate]} {KeyError(candidate)}"


def test_kinds_register_themselves_and_are_sorted_by_rank() -> None:
    files = {file.stem for file in Path(identifiers.__path__[0]).glob("*.py")}
    assert set(kinds()) <= files
    ranks = [kind.rank for kind in kinds().values()]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.name)
def test_kind_defines_every_required_attribute(kind: Kind) -> None:
    assert kind.examples
    assert kind.near_misses
    assert kind.noun.startswith(("a ", "an "))
    assert not kind.noun_zh.isascii()
    assert all(word == word.lower() for word in kind.headers)


@given(kind=KINDS, text=st.text(max_size=60))
def test_normal_form_is_ascii_and_idempotent(kind: Kind, text: str) -> None:
    normal = kind.normalise(text)
    assert normal.isascii()
    assert not normal or kind.normalise(normal) == normal


@given(kind=KINDS, data=st.data())
def test_matches_of_the_pattern_are_inside_the_text_and_normal(
    kind: Kind, data: st.DataObject
) -> None:
    pattern = re.compile(kind.pattern.pattern, kind.pattern.flags)
    text = data.draw(
        st.lists(st.from_regex(pattern, fullmatch=True) | st.text(max_size=5), max_size=4).map(
            " ，".join
        )
    )
    for c in kind.find(text):
        assert 0 <= c.start < c.end <= len(text)
        assert c.kind == kind.name
        assert kind.normalise(c.normal) == c.normal
        assert c.valid == kind.check(c.normal)


@pytest.mark.parametrize("text", ["1३800138000", "1٣8٠٠13٨٠٠٠", "138٠0138000"])
def test_digits_of_other_scripts_are_not_a_phone(text: str) -> None:
    phone = kinds()["phone"]
    assert phone.normalise(text) == ""
    assert phone.find(text) == []


@given(st.text("0123456789", min_size=1, max_size=25))
def test_luhn_agrees_with_the_oracle(number: str) -> None:
    assert card.luhn(number) == stdnum_luhn.is_valid(number)


@given(st.text("0123456789", min_size=17, max_size=17))
def test_check_character_agrees_with_the_oracle(first17: str) -> None:
    assert (
        resident_id.check_character(first17)
        == ric.calc_check_digit(first17 + "0")
        == mod_11_2.calc_check_digit(first17)
    )


@given(
    region=st.sampled_from(["110105", "440524", "310101"]),
    day=st.dates(min_value=date(1900, 1, 1), max_value=date(2024, 12, 31)),
    order=st.integers(0, 999),
)
def test_generated_resident_id_is_valid_until_a_digit_changes(
    region: str, day: date, order: int
) -> None:
    first17 = f"{region}{day:%Y%m%d}{order:03d}"
    number = first17 + resident_id.check_character(first17)
    assert mod_11_2.is_valid(number)
    assert resident_id.normalise(number) == number
    assert resident_id.check(number)
    changed = f"{number[:16]}{(int(number[16]) + 1) % 10}{number[17]}"
    assert not resident_id.check(changed)


@pytest.mark.parametrize(
    ("short", "long"),
    [("110105491231002", "11010519491231002X"), ("440524010101998", None), ("440524000230001", "")],
)
def test_old_15_digit_resident_id_is_expanded_with_the_right_century(
    short: str, long: str | None
) -> None:
    expanded = resident_id.normalise(short)
    if long is None:
        assert expanded[6:10] == "1801"
        assert resident_id.check(expanded)
    else:
        assert expanded == long


@pytest.mark.parametrize(
    ("number", "scheme"),
    [
        ("6200000000000005", "unionpay"),
        ("4111111111111111", "visa"),
        ("5555555555554444", "mastercard"),
        ("2223003122003222", "mastercard"),
        ("378282246310005", "amex"),
        ("3530111333300000", "jcb"),
        ("6011111111111117", "discover"),
        ("30569309025904", "diners"),
        ("38520000023237", "diners"),
        ("36227206271667", "diners"),
        ("3056930009020004", "diners"),
        ("6759649826438453", "maestro"),
        ("6759560045005727054", "maestro"),
        ("6304000000000000", "maestro"),
        ("6771798021000008", "maestro"),
        ("5641821111166669", "maestro"),
        ("3056930902590", ""),
        ("3065930902590400", ""),
        ("411111111111111", ""),
        ("2220999999999999", ""),
        ("9999000000000005", ""),
    ],
)
def test_range_and_length_name_the_issuer(number: str, scheme: str) -> None:
    assert card.issuer(number) == scheme


@pytest.mark.parametrize("mark", ["[at]", "(AT)", " [at] ", "@"])
def test_hidden_at_signs_give_the_same_address(mark: str) -> None:
    assert kinds()["email"].normalise(f"Li.Si{mark}Example.com") == "li.si@example.com"


def test_long_run_of_address_characters_is_searched_once() -> None:
    pattern: re.Pattern[str] = kinds()["email"].pattern
    assert pattern.search("a" * 200_000 + "@") is None


@pytest.mark.parametrize(
    ("given_as", "stripped"),
    [("a+x@example.com", "a@example.com"), ("a@example.com", "a@example.com")],
)
def test_plus_tag_is_stripped_from_an_address(given_as: str, stripped: str) -> None:
    assert email.strip_plus(given_as) == stripped


@pytest.mark.parametrize(
    "signs",
    [
        "_" * 200_000,
        "-" * 200_000,
        "a@b." * 50_000,
        "a@b.例" * 40_000,
        "例." * 60_000,
        "a@" + "例" * 100_000,
    ],
)
@pytest.mark.timeout(60)
def test_near_address_costs_one_pass(signs: str) -> None:
    kinds()["email"].find(signs)


def test_card_failing_luhn_can_be_enrolled() -> None:
    assert card.normalise("6200 0000 0000 0006") == "6200000000000006"
    assert not card.luhn("6200000000000006")


def test_labelled_kind_locates_its_value_and_marks_weak_ones() -> None:
    (passport,) = kinds()["passport"].find("护照:E12345678")
    assert (passport.start, passport.end, passport.weak) == (3, 12, False)
    beside, alone = kinds()["home_return_permit"].find("回乡证:H12345678,M12345678")
    assert (beside.weak, alone.weak) == (False, True)
    assert all(
        not c.weak
        for kind in kinds().values()
        if not kind.alone
        for t, _ in kind.examples
        for c in kind.find(t)
    )


@pytest.mark.parametrize("kind", [k for k in kinds().values() if k.labels], ids=lambda k: k.name)
def test_every_label_of_a_kind_leads_to_its_value_in_any_case(kind: Kind) -> None:
    value = kind.examples[0][1]
    for label in kind.labels:
        for written in (
            f"{label}:{value}",
            f'"{label.upper()}" : "{value}"',
            f"({label}) {value}",
            f"甲{label}是{value}",
        ):
            assert [(c.normal, c.weak) for c in kind.find(written)] == [(value, False)], written
