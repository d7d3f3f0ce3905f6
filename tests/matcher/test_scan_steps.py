"""The steps of the vectorised search, each against plain Python."""

import random
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.detect import email as mail
from matcher.detect.email import find_addresses
from matcher.detect.number_rules import SHAPES, check_characters, in_range, is_id, luhn
from matcher.detect.numbers import NumberShape
from matcher.detect.search import find_by_pattern, search
from tests.matcher.bank import resident_id
from ullage.identifiers import card, email, kinds
from ullage.identifiers import resident_id as plain_id


def rows(texts: list[str], width: int = 24) -> np.ndarray:
    return np.frombuffer(b"".join(t.encode().ljust(width, b"\0") for t in texts), np.uint8).reshape(
        -1, width
    )


@pytest.mark.parametrize("length", card.LENGTHS)
def test_luhn_and_issuer_ranges_agree_with_the_card_kind(length: int) -> None:
    rng = random.Random(length)
    numbers = [f"{rng.randrange(10**length):0{length}}" for _ in range(300)]
    assert luhn(rows(numbers), length).tolist() == [card.luhn(number) for number in numbers]
    assert in_range(rows(numbers), length).tolist() == [
        bool(card.issuer(number)) for number in numbers
    ]


def test_resident_id_check_agrees_with_its_kind() -> None:
    numbers = [resident_id(n) for n in range(200)]
    assert is_id(rows(numbers)).all()
    assert [chr(last) for last in check_characters(rows(numbers))] == [
        number[-1] for number in numbers
    ]


@given(st.integers(1790, 2110), st.integers(0, 14), st.integers(0, 33))
def test_birthday_must_exist_in_the_calendar(year: int, month: int, day: int) -> None:
    try:
        real = 1800 <= date(year, month, day).year <= 2099
    except ValueError:
        real = False
    assert is_id(rows([f"110105{year}{month:02}{day:02}0021"])).tolist() == [real]


@pytest.mark.parametrize("region", ["00", "11", "16", "44", "83", "99"])
def test_region_must_exist(region: str) -> None:
    assert is_id(rows([f"{region}010519900101002X"])).tolist() == [region in plain_id.REGIONS]


def number_of(shape: NumberShape) -> str:
    """Return a number of that shape."""
    if shape.kind == "card":
        return next(
            n
            for n in (f"{first}{0:0{shape.size - 2}}" for first in range(30, 70))
            if card.issuer(n)
        )
    return {
        "phone": "13800138000",
        "resident_id": "11010519491231002X" if shape.with_x else "110105194912310021",
    }[shape.kind]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.kind}{shape.groups}")
@pytest.mark.parametrize("separator", " -")
def test_every_number_shape_is_found_and_merged(shape: NumberShape, separator: str) -> None:
    number = number_of(shape)
    borders = np.cumsum([0, *shape.groups]).tolist()
    parts = [(shape.prefix.decode() + number)[first:last] for first, last in pairwise(borders)]
    batch = Batch.join([f"a,{separator.join(parts)},1".encode()])
    [segment] = search(batch).segments
    assert (segment.kind, bytes(segment.normal[0, : segment.length[0]]).decode()) == (
        shape.kind,
        number,
    )
    assert batch.text(segment.start[0], segment.end[0]).decode() == separator.join(parts)


@pytest.mark.parametrize(
    "text",
    [
        "138-0013 8000", "138--0013--8000", "1380013-800", "6200 0000 0000 0005 12 3",
        "1234-6200-0000-0000-0005",
        "a138-0013-8000", "138-0013-8000x",
    ],
)  # fmt: skip
def test_other_digit_groups_are_not_numbers(text: str) -> None:
    batch = Batch.join([text.encode()])
    assert search(batch) == ([], [])


LOCAL, DOMAIN = "a" * 40, "b." * 20 + "com"


@pytest.mark.parametrize("before", ["", "--", "!", "张"])
@pytest.mark.parametrize("local", ["a", "a.b_c%d+e-f", LOCAL[:31], LOCAL[:32], LOCAL, "a" * 64])
@pytest.mark.parametrize(
    "domain",
    ["b.cn", "x-y.example.com", "b" * 28 + ".com", "b" * 29 + ".com", DOMAIN, "b" * 60 + ".cn"],
)
def test_address_of_any_length_is_found_whole(before: str, local: str, domain: str) -> None:
    batch = Batch.join([f"{before}{local}@{domain} ".encode()])
    [segment], strange = find_addresses(batch, np.flatnonzero(batch.data == ord("@")))
    assert bytes(segment.normal[0, : segment.length[0]]).decode() == f"{local}@{domain}"
    assert not len(strange)


@pytest.mark.parametrize(
    ("text", "is_strange"),
    [
        ("a@例子.中国", True),
        ("a@mail.例子.com", True),
        ("a@mail.xn--fsqu00a.com", True),
        ("a@XN--fsqu00a.com", True),
        ("@例子", False),
        ("a@b.cn例子", False),
        ("a@b.cn----1", False),
    ],
)
def test_non_ascii_domain_is_flagged(text: str, *, is_strange: bool) -> None:
    batch = Batch.join([text.encode()])
    at = np.flatnonzero(batch.data == ord("@"))
    assert find_addresses(batch, at)[1].tolist() == (at.tolist() if is_strange else [])


@pytest.mark.parametrize(
    "text",
    [
        "@b.cn",
        "a@",
        "a@b",
        ".@b.cn",
        "a.@b.cn",
        "a" * 65 + "@b.cn",
        "a@b.c",
        "a@.cn",
        "a@b..cn",
        "a@b.1234",
    ],
)
def test_other_at_signs_are_not_addresses(text: str) -> None:
    batch = Batch.join([text.encode()])
    segments, strange = find_addresses(batch, np.flatnonzero(batch.data == ord("@")))
    assert (segments, strange.tolist()) == ([], [])


@pytest.mark.parametrize("label", ["例子", "中国", "网", "一丁丂七"])
def test_chinese_domain_agrees_with_standard_idna(label: str) -> None:
    assert email.normalise(f"A@{label}.中国") == f"a@{f'{label}.中国'.encode('idna').decode()}"


@pytest.mark.parametrize("domain", ["例" * 60 + ".cn", ".中国", "例..cn"])
def test_domain_without_ascii_form_is_rejected(domain: str) -> None:
    assert email.normalise(f"a@{domain}") == ""


@given(
    st.lists(
        st.sampled_from(
            [
                "GB82 WEST 1234 5698 7654 32",
                "DE89370400440532013000",
                "张",
                "é",
                " ",
                "x",
                "+852 6123 4567",
                "\ud83d",
            ]
        ),
        max_size=9,
    )
)
def test_rare_kinds_agree_with_their_pattern(parts: list[str]) -> None:
    text = " ".join(parts)
    batch = Batch.join([text.encode("utf-8", "surrogatepass")])
    for segment in find_by_pattern(batch, batch.classes, np.empty(0, np.int64)):
        plain = [
            c
            for c in kinds()[segment.kind].find(text)
            if c.normal.startswith("+") or segment.kind == "iban"
        ]
        lengths = [len(text[: c.start].encode("utf-8", "surrogatepass")) for c in plain]
        assert (segment.start - batch.starts[0]).tolist() == lengths
        assert [bytes(row).rstrip(b"\0").decode() for row in segment.normal] == [
            c.normal for c in plain
        ]


def test_at_signs_beyond_one_chunk_are_examined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail, "PIECE", 3)
    batch = Batch.join(
        ["".join(f"u{n}@b.cn,@," for n in range(10)).encode(), "x@例子.中国".encode() * 2]
    )
    segment, strange = find_addresses(batch, np.flatnonzero(batch.data == ord("@")))
    assert [bytes(row).rstrip(b"\0").decode() for row in segment[0].normal] == [
        f"u{n}@b.cn" for n in range(10)
    ]
    assert len(strange) == 2
