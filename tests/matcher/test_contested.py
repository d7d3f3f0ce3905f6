"""Characters that two kinds claim are looked up as both: a claim is only a claim, and the
watchlist decides.
"""

import random
from collections.abc import Iterator

import pytest

from matcher.columns.batch import Batch
from matcher.detect.search import search
from matcher.reference import find
from tests.matcher.bank import customer, enrol, matcher_of
from tests.matcher.test_match import matches
from ullage.identifiers import card, iban, phone, resident_id, uscc
from ullage.settings import Context

PLANS = {
    "49": ("1511", 7), "34": ("612", 6), "43": ("6641", 7), "44": ("7400", 6), "55": ("11961", 6),
    "62": ("8121", 7),
    "420": ("601", 6), "380": ("391", 6), "33": ("612", 6), "1": ("415555", 4), "852": ("5123", 4),
    "886": ("912", 6),
}  # fmt: skip
"""How mobile numbers begin in some countries, and how many digits follow."""


def mobiles(code: str, count: int) -> list[str]:
    """Return `count` distinct valid phone numbers of a country."""
    rng, (begin, digits) = random.Random(code), PLANS[code]
    numbers = (f"{code}{begin}{rng.randrange(10**digits):0{digits}d}" for _ in range(20 * count))
    return [number for number in numbers if phone.is_number(number)][:count]


def luhn(body: str) -> str:
    return next(f"{body}{d}" for d in "0123456789" if card.luhn(f"{body}{d}"))


def as_cards(codes: tuple[str, ...]) -> Iterator[str]:
    """Yield valid mobile numbers that are valid cards as well."""
    for code in codes:
        yield from [n for n in mobiles(code, 300) if card.normalise(n) and card.luhn(n)][:10]


def look_up_keys(text: str) -> set[tuple[str, str]]:
    """Return kind and normal form of all that would be looked up in a customer list."""
    return {
        (segment.kind, row[:length].tobytes().decode())
        for segments in search(Batch.join([text.encode()]))
        for segment in segments
        for row, length in zip(
            segment.normal[segment.valid], segment.length[segment.valid], strict=True
        )
    }


@pytest.mark.parametrize("code", PLANS)
@pytest.mark.parametrize("written", ["+{}", "00{}", "电话:+{}", "tel +{}", "a,+{},b"])
def test_number_with_plus_sign_is_a_phone(code: str, written: str) -> None:
    numbers = mobiles(code, 60)
    assert len(numbers) > 50
    text = "\n".join(map(written.format, numbers))
    assert {("phone", f"+{n}") for n in numbers} - look_up_keys(text) == set()
    assert [c.normal for c in find(text) if c.valid] == [f"+{n}" for n in numbers]


def test_phone_that_passes_luhn_is_also_looked_up_as_card() -> None:
    numbers = list(as_cards(("49",)))
    assert numbers
    expected = {claim for n in numbers for claim in (("phone", f"+{n}"), ("card", n))}
    assert look_up_keys("\n".join(f"+{n}" for n in numbers)) == expected


def normalise_old_id(old: str) -> str:
    return resident_id.normalise(old)


BOTH_ID_AND_CARD = next(
    n
    for day in range(1, 28)
    for order in range(100, 999)
    if resident_id.check(
        n := (b := f"622301199001{day:02d}{order:03d}") + resident_id.check_character(b)
    )
    and n[-1] != "X"
    and card.luhn(n)
)
OLD_ID_AND_AMEX = luhn("34010149123100")


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        (BOTH_ID_AND_CARD, {("resident_id", BOTH_ID_AND_CARD), ("card", BOTH_ID_AND_CARD)}),
        (
            OLD_ID_AND_AMEX,
            {("resident_id", normalise_old_id(OLD_ID_AND_AMEX)), ("card", OLD_ID_AND_AMEX)},
        ),
    ],
)
def test_every_reading_of_a_number_is_looked_up(text: str, claims: set[tuple[str, str]]) -> None:
    assert look_up_keys(text) == claims
    assert look_up_keys(f"张某,{text},x") == claims


@pytest.mark.parametrize("kind", ["resident_id", "card"])
def test_only_the_enrolled_reading_matches(context: Context, kind: str) -> None:
    enrol(
        context, "bank", [customer(1), {**customer(2), "resident_id": "", kind: BOTH_ID_AND_CARD}]
    )
    assert [match[:2] for match in matches(matcher_of(context), f"x {BOTH_ID_AND_CARD} y")] == [
        (kind, "plain")
    ]


def test_german_mobile_that_passes_luhn_is_found(context: Context) -> None:
    number = next(as_cards(("49",)))
    enrol(context, "bank", [customer(1, phone=f"+{number}")])
    assert [match[:2] for match in matches(matcher_of(context), f"Anna, +{number}")] == [
        ("phone", "plain")
    ]


@pytest.mark.parametrize("seed", range(20))
def test_no_valid_reading_is_displaced_by_another(seed: int) -> None:
    """Of random numbers of all lengths, in one piece and in groups, each valid reading by its
    kind's own rule is asked for.
    """
    rng = random.Random(seed)
    firsts = ("62", "34", "37", "41", "11010519", "91110", "4", "5", "36", "139")
    numbers = [
        "".join(
            (
                first := rng.choice(firsts),
                *rng.choices("0123456789", k=rng.randint(13, 19) - len(first)),
            )
        )
        for _ in range(300)
    ]
    keys = look_up_keys("\n".join(numbers))
    for number in numbers:
        for kind, rule in (
            ("card", card),
            ("resident_id", resident_id),
            ("uscc", uscc),
            ("iban", iban),
        ):
            normal = rule.normalise(number)
            holds = {"card": card.luhn}.get(kind, getattr(rule, "check", None))
            if normal and holds(normal) and not (kind == "uscc" and normal[0] != "9"):
                assert (kind, normal) in keys, (kind, number)
