"""The steps of the vectorised search, each against plain Python."""

import random
import re
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.columns.bitset import Classes, is_one_of
from matcher.detect.candidates import Segment, anywhere, cut, every, lower
from matcher.detect.kinds import card as cards
from matcher.detect.kinds import email as mail
from matcher.detect.kinds import resident_id as ids
from matcher.detect.kinds import uscc
from matcher.detect.numbers import DigitRuns, NumberShape, WordRuns, find_digests, find_words
from matcher.detect.search import SHAPES, find_by_pattern, search
from tests.matcher.bank import resident_id
from ullage.identifiers import card, email, kinds
from ullage.identifiers import resident_id as plain_id

TEXTS = st.lists(st.text("0123456789aFgX -.@张\n", max_size=90), max_size=4)
RUNS = st.lists(
    st.tuples(st.sampled_from(["1", "20", "a", "F", "g", "9x"]), st.integers(1, 40), st.sampled_from(["", "-", "张"])),
    max_size=12,
)
EIGHT = st.integers(1, 4).map(lambda n: n * 8)


def rows(texts: list[str], width: int = 24) -> np.ndarray:
    return np.frombuffer(b"".join(t.encode().ljust(width, b"\0") for t in texts), np.uint8).reshape(-1, width)


def words_of(batch: Batch) -> tuple[DigitRuns, WordRuns]:
    seen = Classes.of(batch.data)
    runs = DigitRuns(batch, seen)
    return runs, find_words(seen, runs.led)


@given(EIGHT, st.lists(st.lists(st.booleans(), min_size=32, max_size=32), max_size=6))
def test_rows_that_are_true_throughout_or_somewhere(width: int, flags: list[list[bool]]) -> None:
    table = np.array(flags, bool).reshape(-1, 32)[:, :width].copy()
    table[::3], table[1::3] = True, False
    assert every(table).tolist() == [all(row) for row in table.tolist()]
    assert anywhere(table).tolist() == [any(row) for row in table.tolist()]


@given(EIGHT, st.integers(0, 32))
def test_what_stands_behind_a_length_is_wiped(width: int, length: int) -> None:
    text = cut(np.full((3, width), 7, np.uint8), length)
    assert text.tolist() == [[7] * min(length, width) + [0] * (width - min(length, width))] * 3


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=5))
def test_letters_become_lower_case_and_nothing_else_does(texts: list[bytes]) -> None:
    table = np.frombuffer(b"".join(texts), np.uint8).reshape(-1, 16).copy()
    assert [bytes(row) for row in lower(table)] == [text.lower() for text in texts]


@given(st.binary(max_size=40), st.binary(max_size=5))
def test_bytes_are_among_signs(data: bytes, signs: bytes) -> None:
    assert is_one_of(np.frombuffer(data, np.uint8), signs).tolist() == [byte in signs for byte in data]


@given(st.lists(st.booleans(), min_size=3, max_size=3))
def test_a_segment_gives_those_that_are_chosen(chosen: list[bool]) -> None:
    places = np.arange(3)
    some = Segment("phone", "plain", places, places + 11, rows(["a", "b", "c"]), places, places > 0).where(np.array(chosen))
    assert some.start.tolist() == [i for i in range(3) if chosen[i]]
    assert [bytes(row).rstrip(b"\0").decode() for row in some.normal] == ["abc"[i] for i in range(3) if chosen[i]]


@pytest.mark.parametrize("length", card.LENGTHS)
def test_luhn_and_range_are_those_of_the_kind(length: int) -> None:
    rng = random.Random(length)
    numbers = [f"{rng.randrange(10**length):0{length}}" for _ in range(300)]
    assert cards.luhn(rows(numbers), length).tolist() == [card.luhn(number) for number in numbers]
    assert cards.in_range(rows(numbers), length).tolist() == [bool(card.issuer(number)) for number in numbers]


def test_a_resident_id_is_shaped_and_checked_as_its_kind_says() -> None:
    numbers = [resident_id(n) for n in range(200)]
    assert ids.is_id(rows(numbers)).all()
    assert [chr(last) for last in ids.check_characters(rows(numbers))] == [number[-1] for number in numbers]


@given(st.integers(1790, 2110), st.integers(0, 14), st.integers(0, 33))
def test_a_birthday_is_a_day_of_the_calendar(year: int, month: int, day: int) -> None:
    try:
        real = 1800 <= date(year, month, day).year <= 2099
    except ValueError:
        real = False
    assert ids.is_id(rows([f"110105{year}{month:02}{day:02}0021"])).tolist() == [real]


@pytest.mark.parametrize("region", ["00", "11", "16", "44", "83", "99"])
def test_a_region_is_one_of_the_kinds(region: str) -> None:
    assert ids.is_id(rows([f"{region}010519900101002X"])).tolist() == [region in plain_id.REGIONS]


@given(RUNS)
def test_words_are_runs_of_letters_and_digits_that_are_not_all_digits(parts: list[tuple[str, int, str]]) -> None:
    text = "".join(piece * count + end for piece, count, end in parts).encode()
    batch = Batch.of([text])
    found = words_of(batch)[1]
    wanted = [(m.start(), min(len(m.group()), 129)) for m in re.finditer(rb"[0-9A-Za-z]{16,}", text) if not m.group().isdigit()]
    begin = int(batch.starts[0])
    assert sorted(zip((found.start - begin).tolist(), found.length.tolist(), strict=True)) == wanted


@given(RUNS)
def test_whole_numbers_are_runs_of_digits_that_nothing_is_glued_to(parts: list[tuple[str, int, str]]) -> None:
    text = "".join(piece * count + end for piece, count, end in parts).encode()
    batch = Batch.of([text])
    runs, begin = words_of(batch)[0], int(batch.starts[0])
    found = list(re.finditer(rb"(?<![0-9A-Za-z])[0-9]{11,19}(?![0-9A-Za-z])", text))
    for length in range(11, 20):
        own = runs.of(length)
        assert (own.start - begin).tolist() == [m.start() for m in found if len(m.group()) == length]
        assert [bytes(row[:length]) for row in own.text] == [m.group() for m in found if len(m.group()) == length]


@given(TEXTS)
def test_digests_and_codes_are_among_the_words(texts: list[str]) -> None:
    batch = Batch.of([text.encode() for text in texts])
    runs, words = words_of(batch)
    for segment in find_digests(batch, words):
        for start, end in zip(segment.start.tolist(), segment.end.tolist(), strict=True):
            assert re.fullmatch(rb"[0-9a-fA-F]+", batch.text(start, end))
            assert not batch.text(start, end).isdigit()
    assert all(set((segment.end - segment.start).tolist()) == {18} for segment in uscc.find(batch, runs, words))


def number_of(shape: NumberShape) -> str:
    """A number that has such a shape."""
    if shape.kind == "card":
        return next(n for n in (f"{first}{0:0{shape.size - 2}}" for first in range(30, 70)) if card.issuer(n))
    return {"phone": "13800138000", "resident_id": "11010519491231002X" if shape.with_x else "110105194912310021"}[shape.kind]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.kind}{shape.groups}")
@pytest.mark.parametrize("separator", " -")
def test_every_shape_is_found_and_brought_together(shape: NumberShape, separator: str) -> None:
    number = number_of(shape)
    borders = np.cumsum([0, *shape.groups]).tolist()
    parts = [(shape.prefix.decode() + number)[first:last] for first, last in pairwise(borders)]
    batch = Batch.of([f"a,{separator.join(parts)},1".encode()])
    [found] = search(batch).segments
    assert (found.kind, bytes(found.normal[0, : found.length[0]]).decode()) == (shape.kind, number)
    assert batch.text(found.start[0], found.end[0]).decode() == separator.join(parts)


@pytest.mark.parametrize(
    "text",
    [
        "138-0013 8000", "138--0013--8000", "1380013-800", "6200 0000 0000 0005 12 3", "1234-6200-0000-0000-0005",
        "a138-0013-8000", "138-0013-8000x",
    ],
)  # fmt: skip
def test_other_groups_are_no_number(text: str) -> None:
    batch = Batch.of([text.encode()])
    assert search(batch) == ([], [])


LOCAL, DOMAIN = "a" * 40, "b." * 20 + "com"


@pytest.mark.parametrize("before", ["", "--", "!", "张"])
@pytest.mark.parametrize("local", ["a", "a.b_c%d+e-f", LOCAL[:31], LOCAL[:32], LOCAL, "a" * 64])
@pytest.mark.parametrize("domain", ["b.cn", "x-y.example.com", "b" * 28 + ".com", "b" * 29 + ".com", DOMAIN, "b" * 60 + ".cn"])
def test_an_address_of_any_length_is_found_whole(before: str, local: str, domain: str) -> None:
    batch = Batch.of([f"{before}{local}@{domain} ".encode()])
    [found], strange = mail.find(batch, np.flatnonzero(batch.data == ord("@")))
    assert bytes(found.normal[0, : found.length[0]]).decode() == f"{local}@{domain}"
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
def test_a_domain_in_another_script_is_told(text: str, *, is_strange: bool) -> None:
    batch = Batch.of([text.encode()])
    at = np.flatnonzero(batch.data == ord("@"))
    assert mail.find(batch, at)[1].tolist() == (at.tolist() if is_strange else [])


@pytest.mark.parametrize(
    "text", ["@b.cn", "a@", "a@b", ".@b.cn", "a.@b.cn", "a" * 65 + "@b.cn", "a@b.c", "a@.cn", "a@b..cn", "a@b.1234"]
)
def test_other_at_signs_make_no_address(text: str) -> None:
    batch = Batch.of([text.encode()])
    segments, strange = mail.find(batch, np.flatnonzero(batch.data == ord("@")))
    assert (segments, strange.tolist()) == ([], [])


@pytest.mark.parametrize("label", ["例子", "中国", "网", "一丁丂七"])
def test_a_chinese_label_has_the_ascii_form_that_the_standard_library_gives(label: str) -> None:
    assert email.normalise(f"A@{label}.中国") == f"a@{f'{label}.中国'.encode('idna').decode()}"


@pytest.mark.parametrize("domain", ["例" * 60 + ".cn", ".中国", "例..cn"])
def test_a_domain_without_an_ascii_form_is_no_domain(domain: str) -> None:
    assert email.normalise(f"a@{domain}") == ""


@given(
    st.lists(
        st.sampled_from(
            ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "张", "é", " ", "x", "+852 6123 4567", "\ud83d"]
        ),
        max_size=9,
    )
)
def test_rare_kinds_stand_where_their_pattern_says(parts: list[str]) -> None:
    text = " ".join(parts)
    batch = Batch.of([text.encode("utf-8", "surrogatepass")])
    for segment in find_by_pattern(batch, Classes.of(batch.data), np.empty(0, np.int64)):
        plain = [c for c in kinds()[segment.kind].find(text) if c.normal.startswith("+") or segment.kind == "iban"]
        lengths = [len(text[: c.start].encode("utf-8", "surrogatepass")) for c in plain]
        assert (segment.start - batch.starts[0]).tolist() == lengths
        assert [bytes(row).rstrip(b"\0").decode() for row in segment.normal] == [c.normal for c in plain]


def test_more_at_signs_than_a_step_takes_are_each_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "PIECE", 3)
    batch = Batch.of(["".join(f"u{n}@b.cn,@," for n in range(10)).encode(), "x@例子.中国".encode() * 2])
    found, strange = mail.find(batch, np.flatnonzero(batch.data == ord("@")))
    assert [bytes(row).rstrip(b"\0").decode() for row in found[0].normal] == [f"u{n}@b.cn" for n in range(10)]
    assert len(strange) == 2
