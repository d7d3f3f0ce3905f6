"""Facts of a whole capture: counts, runs, dates, and the sketch by which two captures are told
to be one.
"""

import contextlib
import random
import re
from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.detect.candidates import Candidates
from matcher.match import capture_key as distinct
from matcher.match.capture_key import (
    CaptureKey,
    Distinct,
    Lowest,
    NumberSet,
    format_hex,
    longest_run,
    number_values,
    parse_digits,
)
from matcher.match.statistics import (
    SHINGLE_TEXT,
    StatisticsPart,
    StatisticsTally,
    count_matched_rows,
    groups_of,
    newest_dates,
    shingles,
)
from matcher.match.whose_rows import OwnCards
from matcher.records import rows_of as rows_in
from matcher.reference import find
from tests.matcher.bank import phone, resident_id
from tests.matcher.columns import lay_out
from ullage.records import Statistics
from ullage.records.finding import SKETCH_SIZE
from ullage.settings import Context

TODAY = date(2026, 9, 21)
DATE = re.compile(r"(?<!\d)(20\d\d)[\-/.年](0?[1-9]|1[0-2])[\-/.月](0?[1-9]|[12]\d|3[01])(?!\d)")


def newest_date(text: str) -> date | None:
    """Return the newest date that the regular expression finds."""
    dates = []
    for match in DATE.finditer(text):
        with contextlib.suppress(ValueError):
            dates.append(date(*map(int, match.groups())))
    return max((day for day in dates if day <= TODAY), default=None)


@pytest.fixture
def key(context: Context) -> CaptureKey:
    return CaptureKey(context.keys)


def logins(rows: int, form: str) -> str:
    return "".join(
        form.format(n=n % 7, phone=phone(7919 * n), password=f"Secr3t!{n}x") for n in range(rows)
    )


STEALER = "https://site{n}.example.org/login:{phone}:{password}\n"


def test_stealer_rows_are_counted_over_all_parts(key: CaptureKey) -> None:
    counted = tally_parts(
        key, logins(30, STEALER), logins(20, "{phone}:{password}\n"), logins(10, STEALER)
    )
    assert (counted.rows, counted.stealer_rows, counted.field_map["PASSWORD"]) == (60, 40, 60)


def test_stealer_rows_are_estimated_from_a_sample(key: CaptureKey) -> None:
    by_turns = STEALER + "{password} {phone}\n"
    assert tally_parts(key, logins(5000, STEALER)).stealer_rows == 5000
    assert 0.4 < tally_parts(key, logins(5000, by_turns)).stealer_rows / 10_000 < 0.6


def test_rows_without_passwords_are_not_stealer_rows(key: CaptureKey) -> None:
    assert (
        tally_parts(key, logins(30, "https://site{n}.example.org/?user={phone}\n")).stealer_rows
        == 0
    )


def part_of(key: CaptureKey, *texts: str) -> StatisticsPart:
    batch, segments = lay_out(texts)
    return StatisticsPart(batch, segments, rows_in(batch, Candidates.merge(segments)), key)


def tally_parts(key: CaptureKey, *texts: str, limit: int = 1000) -> Statistics:
    """Return the statistics of one capture that arrives in parts."""
    tally = StatisticsTally(key, TODAY, limit)
    for text in texts:
        tally.add(part_of(key, text), 0)
    return tally.finish()


def sort_numbers(numbers: list[int]) -> np.ndarray:
    return np.unique(np.array([n % 10**18 for n in numbers], np.int64))


@pytest.mark.parametrize(
    ("numbers", "length"),
    [([], 0), ([5], 0), ([5, 5], 0), ([5, 6], 2), ([5, 6, 7, 100, 101], 3), ([1, 1001, 2001], 3),
    ([1, 1002, 2003], 0),
     ([9, 7, 8, 7], 3), ([1, 3, 5, 7, 8, 9, 10, 11], 5), ([10**18 + 1, 10**18 + 2], 2)],
)  # fmt: skip
def test_longest_run_has_one_small_step(numbers: list[int], length: int) -> None:
    assert longest_run(sort_numbers(numbers)) == length


@given(st.sets(st.integers(0, 60), max_size=25))
def test_longest_run_agrees_with_a_naive_search(numbers: set[int]) -> None:
    ordered, best = sorted(numbers), 0
    for start in range(len(ordered) - 1):
        end = start + 1
        while (
            end + 1 < len(ordered)
            and ordered[end + 1] - ordered[end] == ordered[start + 1] - ordered[start]
        ):
            end += 1
        best = max(best, end - start + 1)
    assert longest_run(sort_numbers(list(numbers))) == best


@given(st.lists(st.from_regex(r"\+?[0-9]{0,19}", fullmatch=True), max_size=8))
def test_numbers_are_read_from_byte_rows(texts: list[str]) -> None:
    lengths = np.array([len(text) for text in texts], np.int64)
    table = np.frombuffer(
        b"".join(text.encode().ljust(24, b"\0") for text in texts), np.uint8
    ).reshape(-1, 24)
    assert parse_digits(table, lengths).tolist() == [
        int(text.strip("+") or 0) % 10**18 for text in texts
    ]


@pytest.mark.parametrize(
    ("text", "newest"),
    [("2024-05-01 2023-12-31", "2024-05-01"), ("2024年5月6日", "2024-05-06"),
    ("2024.1.2/2024/01/03", "2024-01-03"),
     ("2027-01-01", None), ("2026-09-21", "2026-09-21"), ("2024-02-30", None),
     ("2024-02-29", "2024-02-29"),
     ("2023-02-29", None), ("12024-05-01", None), ("2024-5-311", None), ("1999-01-01", None),
     ("", None)],
)  # fmt: skip
def test_newest_date_is_not_in_the_future(text: str, newest: str | None) -> None:
    expected = date.fromisoformat(newest) if newest else None
    dates = newest_dates(
        Batch.join([b"x", text.encode(), b"2001-1-1"]), TODAY, lambda places: places >= 0
    )
    assert dates == [None, expected, date(2001, 1, 1)]
    assert newest_date(text) == expected


SCRAPS = st.sampled_from(
    [
        "20",
        "2",
        "0",
        "24",
        "1",
        "12",
        "31",
        "3",
        "-",
        "/",
        ".",
        "年",
        "月",
        "日",
        "2024-",
        "2024年",
        "\n",
        "x",
        "车",
    ]
)


@given(st.lists(st.lists(SCRAPS, max_size=14).map("".join), min_size=1, max_size=4))
def test_dates_agree_with_the_regular_expression(texts: list[str]) -> None:
    newest = newest_dates(
        Batch.join([text.encode() for text in texts]), TODAY, lambda places: places >= 0
    )
    assert newest == [newest_date(text) for text in texts]


def test_tags_in_hex_have_sixteen_digits() -> None:
    words = [0, 1, 2**60, 2**64 - 1]
    assert format_hex(np.array(words, np.uint64)) == tuple(f"{word:016x}" for word in words)


def test_sketch_is_the_256_lowest_in_any_order(key: CaptureKey) -> None:
    values = [f"phone:{phone(n)}" for n in range(1000)]
    everything = sorted(tag for value in values for tag in key.sketch([value]))
    shuffled = random.Random(5).sample(values * 2, 2000)
    assert key.sketch(shuffled) == tuple(everything[:SKETCH_SIZE])
    assert key.sketch([]) == ()
    in_parts = [
        "\n".join(value[6:] for value in shuffled[n : n + 500]) for n in range(0, 2000, 500)
    ]
    assert tally_parts(key, *in_parts).sketch == tuple(everything[:SKETCH_SIZE])


@given(
    st.lists(st.lists(st.integers(0, 60), max_size=80), max_size=6),
    st.integers(1, 5),
    st.integers(0, 30),
)
def test_lowest_numbers_are_kept(parts: list[list[int]], size: int, pending: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distinct.SortedNumbers, "least_pending", pending)
        lowest = Lowest(size)
        for part in parts:
            lowest.add(np.array(part, np.uint64))
    assert (
        lowest.list_sorted().tolist()
        == sorted({number for part in parts for number in part})[:size]
    )


def test_sketches_overlap_as_their_lists_do(key: CaptureKey) -> None:
    everything, half = (
        set(tally_parts(key, "\n".join(map(phone, numbers))).sketch)
        for numbers in (range(200), range(100))
    )
    assert half < everything


def test_short_posts_are_sketched_by_text_and_long_ones_by_values(key: CaptureKey) -> None:
    def sketch(count: int, after: str = "") -> tuple[str, set[str]]:
        counted = tally_parts(key, "\n".join([*map(phone, range(count)), after]))
        return counted.sketch_of, set(counted.sketch)

    assert sketch(7)[0] == "shingles"
    assert sketch(7)[1] != sketch(7, "more")[1]
    assert sketch(8)[0] == "candidates"
    assert sketch(8) == sketch(8, "more")
    assert len(sketch(8)[1]) == 8


def test_shingles_are_taken_from_the_beginning_of_a_capture(key: CaptureKey) -> None:
    text = "".join(chr(0x4E00 + n % 5000) for n in range(SHINGLE_TEXT + 500))
    assert tally_parts(key, text[:70], text[70:], "no more").sketch == key.sketch(shingles(text))


@pytest.mark.parametrize(
    ("text", "parts"),
    [("", 0), (" \n", 0), ("短", 1), ("一二三四五六七八", 1), ("一二三四 五六七\n八九", 2)],
)
def test_shingles_are_eight_characters_without_spaces(text: str, parts: int) -> None:
    assert len(shingles(text)) == parts


CELLS = st.sampled_from(
    "张某 x 5000 2024-05-0{} 1100000000000000{} 11010519491231002{} 6200000000000000{} 1540000000{}"
    " a{}@example.com".split()
)
LINES = st.lists(
    st.tuples(CELLS, st.integers(0, 99)).map(lambda cell: cell[0].format(cell[1])), max_size=4
).map("|".join)


@given(st.lists(st.lists(LINES, max_size=6).map("\n".join), min_size=1, max_size=4))
def test_counts_of_parts_equal_counts_of_the_whole(texts: list[str]) -> None:
    key = CaptureKey(type("Keys", (), {"read": staticmethod(lambda name: bytes(32))})())
    everything = "\n".join(texts)
    candidates = [c for text in texts for c in find(text)]
    distinct = {(c.kind, c.normal) for c in candidates if c.valid}
    in_one_part, several = tally_parts(key, everything), tally_parts(key, *texts)
    for statistics in (in_one_part, several):
        assert statistics.candidates == dict(Counter(kind for kind, _ in distinct))
        assert statistics.failures == dict(Counter(c.kind for c in candidates if not c.valid))
        assert statistics.longest_run == longest_run(
            sort_numbers([int(n) for k, n in distinct if k in ("phone", "card")])
        )
        rows = [line for line in everything.split("\n") if any(c.valid for c in find(line))]
        assert statistics.newest_date == newest_date("\n".join(rows))
        assert statistics.rows == len(rows)
        assert not statistics.estimated
    if len(distinct) >= 8:
        assert (
            in_one_part.sketch
            == several.sketch
            == key.sketch(f"{kind}:{normal}" for kind, normal in distinct)
        )


def test_documents_of_a_batch_are_counted_separately(key: CaptureKey) -> None:
    texts = [
        "",
        f"{phone(1)}\n{phone(2)} 2024-01-02",
        "x",
        f"110105194912310021,{resident_id(3)}",
        phone(1),
    ]
    part = part_of(key, *texts)
    for number, text in enumerate(texts):
        tally = StatisticsTally(key, TODAY)
        tally.add(part, number)
        assert tally.finish() == tally_parts(key, text)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=30), max_size=5)
)
def test_distinct_values_are_counted_by_kind(parts: list[list[tuple[int, int]]]) -> None:
    counter = Distinct()
    for part in parts:
        tags = np.array([value << 32 for value, _ in part], np.uint64)
        counter.add(number_values(tags, np.array([kind for _, kind in part], np.uint8)))
    everything = {item for part in parts for item in part}
    assert counter.counts()[:4] == [sum(kind == k for _, kind in everything) for k in range(4)]
    assert (len(counter), counter.is_exact) == (len(everything), True)


def test_count_beyond_its_limit_is_marked_as_estimated(key: CaptureKey) -> None:
    rng = np.random.default_rng(1)
    tags = rng.integers(0, 2**64, 300_000, np.uint64)
    counter = Distinct(limit=20_000)
    for part in np.array_split(np.concatenate([tags, tags]), 20):
        counter.add(number_values(part, (part % np.uint64(3) == 0).astype(np.uint8)))
    assert not counter.is_exact
    assert len(counter) == pytest.approx(300_000, rel=0.03)
    assert counter.counts()[1] == pytest.approx(100_000, rel=0.05)
    text = "\n".join(map(phone, range(500)))
    assert (
        tally_parts(key, text, limit=500).estimated,
        tally_parts(key, text, limit=499).estimated,
    ) == (
        False,
        True,
    )
    assert tally_parts(key, text, limit=300).candidates["phone"] == pytest.approx(500, rel=0.3)


def test_number_set_stops_at_its_limit() -> None:
    numbers = NumberSet(limit=101)
    for start in (0, 80, 160, 240):
        numbers.add(np.arange(start, start + 100))
        numbers.list_sorted()
    assert numbers.list_sorted().tolist() == list(range(101))
    at_once = NumberSet(limit=10)
    at_once.add(np.arange(2000))
    assert len(at_once.list_sorted()) == 10


def test_groups_are_sorted_by_size_and_limited() -> None:
    counts = {frozenset({"PHONE"}): 3, frozenset({"PHONE", "NAME"}): 1, frozenset[str](): 3}
    assert [(g.fields, g.rows) for g in groups_of(counts)] == [
        ((), 3),
        (("PHONE",), 3),
        (("NAME", "PHONE"), 1),
    ]
    assert len(groups_of({frozenset({f"F{n}"}): 1 for n in range(100)})) == 64


def test_matched_rows_are_counted_by_layout_group(
    key: CaptureKey,
) -> None:
    part = part_of(key, "\n".join([*(f"张某|{phone(n)}" for n in range(3)), phone(9)]))
    tally = StatisticsTally(key, TODAY)
    tally.add(part, 0)
    matched = [(part.rows.group(row), row == 1, 1) for row in (0, 1, 3)]
    groups = count_matched_rows(tally.finish().groups, matched)
    assert [(g.fields, g.rows, g.matched, g.corroborated) for g in groups] == [
        (("NAME", "PHONE"), 3, 2, 1),
        (("PHONE",), 1, 1, 0),
    ]


def test_dates_after_today_do_not_count(key: CaptureKey) -> None:
    text = f"{phone(1)} {TODAY} {TODAY + timedelta(1)}"
    assert tally_parts(key, text).newest_date == TODAY


def test_date_outside_rows_does_not_count(key: CaptureKey) -> None:
    assert tally_parts(key, f"{TODAY}\n{phone(1)},2024-01-02\nprinted {TODAY}").newest_date == date(
        2024, 1, 2
    )
    assert tally_parts(key, f"{TODAY}\n{phone(1)},x").newest_date is None


def test_enrolled_cards_outside_of_rows_are_counted_each() -> None:
    cards = OwnCards()
    words = np.arange(5, dtype=np.uint64)
    cards.add(words, np.ones(5, bool), np.array([-1, -1, 0, 0, -1]))
    assert (cards.known, cards.others, cards.rows) == (4, 0, 1)
