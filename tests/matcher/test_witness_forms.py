"""Amounts and dates of witnesses: one form however they are written, and nothing for what cannot
be one.
"""

import time

import pytest

from matcher.watchlist.tagging import amount_of, amounts_in, date_of, dates_in

AMOUNTS = {
    123450: ["1,234.50", "￥1234.5", "¥ 1,234.50", "1234.50元", "１２３４．５０",
    "１，２３４．５０元",
             "人民币1234.5", "RMB 1234.50", "1234.5000", "1 234.50", "CNY1,234.5", "+1234.50",
             "1234.50 元整"],
    120000: ["0.12万", "0.12万元", "1200", "1,200", "1.2k", "1.2千元", "０．１２万", "1200.00"],
    8_000_000: ["8万", "8w", "8W", "80000", "80,000.00", "8万元", "8 万"],
    100_000_000: ["100万", "1百万", "1,000,000", "1000000元"],
}  # fmt: skip
NO_AMOUNTS = [
    "", " ", "-", "0", "0.00", "99", "99.99", "10000000.01", "1001万", "1亿", "-1234.50",
    "15400000001", "12,34", "1.234,50",
    "1234.567", "110101189901010010", "1234.5.6", "12a34", "abc", "万", "元", "1e5", "NaN", "inf",
    "0x1000", "1234%", "12期",
    "20260105", "1,2345",
    "9" * 500, "1234 5678", "$1234.50",
]  # fmt: skip
DATES = {
    20260105: ["2026-01-05", "2026/1/5", "20260105", "2026年1月5日", "2026年01月05日", "2026.01.05",
    "2026-1-5",
               "2026-01-05 10:20:30",
               "2026-01-05T10:20:30Z", "2026-01-05T10:20:30.123+08:00", "2026/1/5 9:05",
               "20260105102030", "20260105 10:20:30",
               "2026年1月5日 10时20分", "２０２６－０１－０５", "2026年1月5号", " 2026-01-05 ",
               "2026-01-05 10:20:30.0",
               "2026年1月5日10:20"],
    20240229: ["2024-02-29", "2024年2月29日"],
}  # fmt: skip
NO_DATES = [
    "", "2026-02-29", "2026-13-01", "2026-00-10", "2026-01-32", "1999-12-31", "2050-01-01",
    "26-01-05", "1/5/2026", "2026-01",
    "2026年1月", "202601", "2026010", "2026-01/05", "1767571200", "15400000001", "x2026-01-05x",
    "2026-01-05-06",
    "20261305", "今天",
]  # fmt: skip


@pytest.mark.parametrize(
    ("cents", "text"), [(cents, text) for cents, texts in AMOUNTS.items() for text in texts]
)
def test_amount_is_normalised_to_cents(cents: int, text: str) -> None:
    assert amount_of(text) == cents


@pytest.mark.parametrize("text", NO_AMOUNTS)
def test_implausible_amount_is_not_compared(text: str) -> None:
    assert amount_of(text) is None


@pytest.mark.parametrize(
    ("day", "text"), [(day, text) for day, texts in DATES.items() for text in texts]
)
def test_date_is_normalised(day: int, text: str) -> None:
    assert date_of(text) == day


@pytest.mark.parametrize("text", NO_DATES)
def test_implausible_date_is_not_compared(text: str) -> None:
    assert date_of(text) is None


def find(text: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    dates = list(dates_in(text))
    return [(a.value, a.word) for a in amounts_in(text)], [(d.value, d.word) for d in dates]


@pytest.mark.parametrize(
    ("text", "amounts", "dates"),
    [
        ("2026年1月5日放款5万元", [(5_000_000, "放款")], [(20260105, "")]),
        ('"loan_amount": "1,234.50"', [(123450, "loan_amount")], []),
        ("贷款金额：12000元", [(1_200_000, "贷款金额")], []),
        ("放款日期=2026/1/5", [], [(20260105, "放款日期")]),
        ("借款8万", [(8_000_000, "借款")], []),
        ("【放款时间】2026-01-05 10:20:30", [], [(20260105, "放款时间")]),
        ("user123456@example.com 10.20.30.40 A123456 123456B v1.2345 15400000001", [], []),
        ("额度 3000-5000 $1200 10:2000", [], []),
    ],
)
def test_amounts_and_dates_are_found_with_their_preceding_word(
    text: str, amounts: list[tuple[int, str]], dates: list[tuple[int, str]]
) -> None:
    assert find(text) == (amounts, dates)


@pytest.mark.parametrize(
    "unit",
    [
        "1",
        "1,",
        "1,234,",
        "2026-",
        "2026-01-05",
        "2026年1月5日",
        "万",
        "1.",
        "¥",
        " 1",
        "贷款",
        "a1 ",
        "12:",
    ],
)
def test_reading_takes_linear_time(unit: str) -> None:
    def cost(length: int) -> float:
        text = (unit * length)[:length]
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            list(amounts_in(text)), list(dates_in(text)), amount_of(text), date_of(text)
            best = min(best, time.process_time() - start)
        return best

    assert cost(80_000) < 12 * cost(20_000) + 0.05
