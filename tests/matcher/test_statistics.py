"""Facts of a whole capture: counts, runs, dates, and the sketch by which two captures are told to be one."""

import random
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.rows import Row
from matcher.statistics import CaptureKey, groups, longest_run, newest_date, shingles
from tests.factories import capture
from tests.matcher.bank import matcher_of, phone
from ullage.records.finding import SKETCH_SIZE
from ullage.settings import Context

TODAY = date(2026, 9, 21)


@pytest.mark.parametrize(
    ("numbers", "length"),
    [([], 0), ([5], 0), ([5, 5], 0), ([5, 6], 2), ([5, 6, 7, 100, 101], 3), ([1, 1001, 2001], 3), ([1, 1002, 2003], 0),
     ([9, 7, 8, 7], 3), ([1, 3, 5, 7, 8, 9, 10, 11], 5), ([10**18 + 1, 10**18 + 2], 2)],
)  # fmt: skip
def test_the_longest_run_with_one_small_step(numbers: list[int], length: int) -> None:
    assert longest_run(numbers) == length


@given(st.sets(st.integers(0, 60), max_size=25))
def test_a_run_is_as_long_as_a_naive_search_says(numbers: set[int]) -> None:
    ordered, best = sorted(numbers), 0
    for start in range(len(ordered) - 1):
        end = start + 1
        while end + 1 < len(ordered) and ordered[end + 1] - ordered[end] == ordered[start + 1] - ordered[start]:
            end += 1
        best = max(best, end - start + 1)
    assert longest_run(numbers) == best


@pytest.mark.parametrize(
    ("text", "newest"),
    [("2024-05-01 2023-12-31", "2024-05-01"), ("2024年5月6日", "2024-05-06"), ("2024.1.2/2024/01/03", "2024-01-03"),
     ("2027-01-01", None), ("2026-09-21", "2026-09-21"), ("2024-02-30", None),
     ("12024-05-01", None), ("1999-01-01", None), ("", None)],
)  # fmt: skip
def test_the_newest_date_that_is_not_to_come(text: str, newest: str | None) -> None:
    assert newest_date(text, TODAY) == (date.fromisoformat(newest) if newest else None)


def test_a_sketch_is_the_256_lowest_whatever_the_order(context: Context) -> None:
    key, values = CaptureKey(context.keys), [f"phone:{phone(n)}" for n in range(1000)]
    everything = sorted(tag for value in values for tag in key.sketch([value]))
    shuffled = random.Random(5).sample(values * 2, 2000)
    assert key.sketch(shuffled) == tuple(everything[:SKETCH_SIZE])
    assert key.sketch([]) == ()


def test_sketches_of_overlapping_lists_share_what_the_lists_share(context: Context) -> None:
    key = CaptureKey(context.keys)
    whole, half = (set(key.sketch(f"phone:{phone(n)}" for n in numbers)) for numbers in (range(200), range(100)))
    assert half < whole


def test_a_short_post_is_known_by_its_text_and_a_long_one_by_its_values(context: Context) -> None:
    matcher = matcher_of(context)

    def sketched(count: int, after: str = "") -> tuple[str, set[str]]:
        whole = matcher.statistics(matcher.open(capture(body="\n".join([*map(phone, range(count)), after]).encode())))
        return whole.sketch_of, set(whole.sketch)

    assert sketched(7)[0] == "shingles"
    assert sketched(7)[1] != sketched(7, "more")[1]
    assert sketched(8)[0] == "candidates"
    assert sketched(8) == sketched(8, "more")
    assert len(sketched(8)[1]) == 8


@pytest.mark.parametrize(
    ("text", "parts"), [("", 0), (" \n", 0), ("短", 1), ("一二三四五六七八", 1), ("一二三四 五六七\n八九", 2)]
)
def test_shingles_are_eight_characters_without_spaces(text: str, parts: int) -> None:
    assert len(shingles(text)) == parts


def test_groups_come_by_size_and_are_few() -> None:
    rows = [Row(n, n, [], {"PHONE"}) for n in range(3)] + [Row(9, 9, [], {"PHONE", "NAME"})]
    assert [(g.fields, g.rows) for g in groups(rows)] == [(("PHONE",), 3), (("NAME", "PHONE"), 1)]
    assert len(groups(Row(n, n, [], {f"F{n}"}) for n in range(100))) == 64
