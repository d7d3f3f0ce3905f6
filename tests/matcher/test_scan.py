"""Candidates: found in every composition, never inside something longer, one winner a place."""

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.scan import DIGEST, DIGESTED, find, questions
from matcher.text import fold
from tests.matcher.bank import resident_id
from tests.matcher.test_fold import SCRIPTS, written
from ullage.identifiers.card import issuer, luhn

PHONE, ID, CARD = "13800138000", "11010519491231002X", "6200000000000005"
EITHER = "440524188001010014"
PREFIXES = ["", "+86", "+86 ", "+86-", "0086", "0086-", "86", "86 ", "(86)", "(+86) ", "0"]
GROUPS = ["{0}{1}{2}", "{0}-{1}-{2}", "{0} {1} {2}", "{0}.{1}.{2}", "{0}-{1}{2}", "{0}{1}-{2}", "{0} {1}{2}"]
AROUND = ["", " ", ",", "|", "----", "\t", "手机", ":", '"', "'", "(", "<", "=", ";", "。", "\n"]


def found(text: str) -> list[tuple[str, str]]:
    return [(c.kind, c.normal) for c in find(fold(text).text) if c.valid]


@given(
    st.sampled_from(PREFIXES), st.sampled_from(GROUPS), st.sampled_from(sorted(SCRIPTS)), st.sampled_from(AROUND),
    st.sampled_from(AROUND),
)  # fmt: skip
def test_a_phone_is_found_however_it_is_written(prefix: str, groups: str, script: str, before: str, after: str) -> None:
    number = groups.format(*(written(part, script) for part in ("138", "0013", "8000")))
    assert found(f"{before}{prefix}{number}{after}") == [("phone", PHONE)]


@given(st.text("0123456789", min_size=20, max_size=60))
def test_nothing_is_found_inside_a_longer_run_of_digits(digits: str) -> None:
    assert found(digits) == []


@pytest.mark.parametrize("inside", ["1{}", "{}1", "a{}", "{}z", "9.{}"])
def test_a_number_glued_to_a_letter_or_digit_is_another_number(inside: str) -> None:
    assert found(inside.format(PHONE)) == []


def test_a_resident_id_that_passes_luhn_too_is_no_card() -> None:
    passing = next(i for i in map(resident_id, range(3000)) if i.isdigit() and luhn(i))
    twin = next(
        f"62{n:015d}{d}" for n in range(100_000) for d in range(10) if luhn(f"62{n:015d}{d}") and issuer(f"62{n:015d}{d}")
    )
    assert found(passing) == [("resident_id", passing)]
    assert found(twin) == [("card", twin)]


def test_a_valid_candidate_wins_over_an_invalid_one_of_a_stronger_kind() -> None:
    number = next(n for n in (f"620105189901010{i:03d}" for i in range(1000)) if luhn(n) and issuer(n) and not _is_resident_id(n))
    assert found(number) == [("card", number)]


def _is_resident_id(number: str) -> bool:
    return any(c.kind == "resident_id" and c.valid for c in find(number))


@pytest.mark.parametrize("row", [f"{PHONE},{ID},{CARD}", f"{CARD}|{PHONE}|{ID}", f"{ID}----{CARD}----{PHONE}"])
def test_neighbours_do_not_hide_one_another(row: str) -> None:
    assert sorted(found(row)) == [("card", CARD), ("phone", PHONE), ("resident_id", ID)]


def test_a_phone_before_an_at_sign_is_a_phone_and_an_address() -> None:
    assert sorted(found(f"{PHONE}@qq.com")) == [("email", f"{PHONE}@qq.com"), ("phone", PHONE)]


def test_failures_are_returned_and_marked() -> None:
    assert [(c.kind, c.valid) for c in find("110105194912310021,6200000000000006")] == [("resident_id", False), ("card", False)]


@pytest.mark.parametrize(("form", "length"), [("md5", 32), ("sha1", 40), ("sha256", 64)])
@pytest.mark.parametrize("upper", [False, True])
def test_a_digest_is_asked_for_as_each_kind_that_is_enrolled_so(form: str, length: int, upper: bool) -> None:
    digest = hashlib.new(form, PHONE.encode()).hexdigest()
    shown = digest.upper() if upper else digest
    candidates = find(f"张某,{shown},x")
    assert [(c.kind, c.normal, c.end - c.start) for c in candidates] == [(DIGEST, digest, length)]
    assert [(q.kind, q.form, q.normal) for q in questions(candidates)] == [(kind, form, digest) for kind in DIGESTED]


@given(st.text("0123456789abcdef", min_size=31, max_size=70).filter(lambda s: len(s) not in (32, 40, 64) and not s.isdigit()))
def test_hex_of_another_length_is_no_digest(text: str) -> None:
    assert [c for c in find(text) if c.kind == DIGEST] == []


def test_what_fails_its_checksum_is_not_asked_for() -> None:
    assert list(questions(find("110105194912310021"))) == []


@given(st.lists(st.sampled_from([PHONE, ID, CARD, EITHER, "a@example.com", "-", " ", "9", "x", "\n", "62"]), max_size=30))
def test_candidates_come_in_order_and_only_addresses_overlap(parts: list[str]) -> None:
    candidates = find("".join(parts))
    assert [c.start for c in candidates] == sorted(c.start for c in candidates)
    others = [c for c in candidates if c.kind != "email"]
    assert all(a.end <= b.start for a, b in pairwise(others))
