"""Numbers in fragments are counted, however they are written, and small numbers that belong
together are not.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.bench.corpus.people import Person
from matcher.columns.batch import Batch
from matcher.detect.whole_text import FEWEST, LONG, count_fragments
from matcher.match.pipeline import Matcher
from tests.factories import capture
from tests.matcher.bank import matcher_of
from ullage.settings import Context

COUNT = 30
PEOPLE = [Person(number) for number in range(100)]
PHONES = [person.phone for person in PEOPLE][:COUNT]
IDS = [person.resident_id for person in PEOPLE if person.resident_id.isdigit()][:COUNT]
CARDS = [person.card for person in PEOPLE if len(person.card) == 16][:COUNT]
CHANCE = random.Random(29)


def in_pieces(value: str, *sizes: int) -> list[str]:
    places = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    return [
        value[first:last] for first, last in zip(places, [*places[1:-1], len(value)], strict=False)
    ]


def split_phone(between: str, *sizes: int) -> Callable[[str], str]:
    return lambda value: between.join(in_pieces(value, *(sizes or (3, 4, 4))))


WAYS: dict[str, tuple[Sequence[str], Callable[[str], str]]] = {
    **{
        f"phone {sign!r}": (PHONES, split_phone(sign))
        for sign in (" und ", "（空格）", "[dash]", "|", "||", "----", ";", ",", "\t")
    },
    "quoted": (PHONES, split_phone('","')),
    "quoted at the back": (PHONES, split_phone('","', 3, 8)),
    **{
        f"digits {sign!r}": (PHONES, sign.join)
        for sign in (",", '","', ";", "|", "\t", "\n", "</i><i>", "a")
    },
    "any sign": (
        PHONES,
        lambda value: "".join(digit + CHANCE.choice("!@#$%^&") for digit in value),
    ),
    "any word": (
        PHONES,
        lambda value: "".join(digit + CHANCE.choice("我你他她") for digit in value),
    ),
    "last first": (PHONES, lambda value: f"后八位{value[3:]}，前三位{value[:3]}"),
    "named": (PHONES, lambda value: f"first {value[:3]} then {value[3:7]} last four {value[7:]}"),
    "fields": (
        PHONES,
        lambda value: f'{{"prefix":{value[:3]},"middle":{value[3:7]},"last":{value[7:]}}}',
    ),
    "ID": (IDS, lambda value: f"后四位{value[14:]}，生日{value[6:14]}，前六位{value[:6]}"),
    "digits of an ID": (IDS, '","'.join),
    "card": (CARDS, split_phone(" und ", 4, 4, 4, 4)),
    "thousands": (PHONES, lambda value: f"{int(value):,}"),
    "a letter before": (PHONES, "x{}".format),
    "letters around": (PHONES, "a{}b".format),
    "a letter behind a card": (CARDS, "{}z".format),
    "zeros before": (PHONES, "0000{}".format),
    "card over lines": (CARDS, split_phone("\n", 4, 4, 4, 4)),
}
ROWS = ("{}\n", "{number} 客户 {} 男", "{}")
NO_WAYS: dict[str, Callable[[int], str]] = {
    "dates": lambda n: f"Nov {13 + n % 7}, 2015 12:{n:02d} views {20_000 + n}",
    "years": lambda n: (
        f"born {1900 + n}, {CHANCE.randrange(1000, 9999)} and {CHANCE.randrange(100, 999)}"
    ),
    "cells": lambda n: (
        f"{CHANCE.randrange(100, 999)},{CHANCE.randrange(1000, 9999)},"
        f"{CHANCE.randrange(1000, 9999)}"
    ),
    "answers": lambda _: ",".join(str(CHANCE.randrange(1, 6)) for _ in range(11)),
    "prose": lambda n: (
        f"in {CHANCE.randrange(10, 99)} of {CHANCE.randrange(10**3, 10**4)}"
        f" {CHANCE.randrange(10**4, 10**5)} paid"
    ),
    "hex": lambda _: f"{CHANCE.randrange(16**40):040x}",
    "thousands": lambda _: f"{CHANCE.randrange(10**10, 2 * 10**10):,}",
    "serial numbers with a letter": lambda n: f"X{CHANCE.randrange(10**10, 2 * 10**10)}",
    "dates with a letter": lambda n: (
        f"B15{n % 12 + 1:02d}{n % 28 + 1:02d}{CHANCE.randrange(10**5):05d}"
    ),
    "digests": lambda _: f"{CHANCE.randrange(16**64):064x}",
    "zero-padded numbers": lambda n: f"{n + 1_000_000:014d}",
    "decimals": lambda n: f"13.{CHANCE.randrange(10**4):04d}, 52.{CHANCE.randrange(10**3):03d}",
}


@pytest.fixture(scope="module")
def matcher(enrolment_folder: Path) -> Matcher:
    return matcher_of(Context(enrolment_folder))


def nothing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    return np.zeros(len(start), bool)


@pytest.mark.parametrize(
    ("way", "row"),
    [
        (way, row)
        for way, (values, write) in WAYS.items()
        for row in ROWS
        if row == ROWS[0] or "\n" not in write(values[0])
    ],
)
def test_list_of_split_phones_is_counted(matcher: Matcher, way: str, row: str) -> None:
    values, write = WAYS[way]
    body = "\n".join(row.format(write(value), number=number) for number, value in enumerate(values))
    [reading] = matcher.read([capture(body=body.encode())])
    assert 0.9 * COUNT <= reading.unread["spelt"] <= COUNT


@pytest.mark.parametrize("way", NO_WAYS)
def test_small_numbers_are_not_fragments(matcher: Matcher, way: str) -> None:
    body = "\n".join(map(NO_WAYS[way], range(80)))
    [reading] = matcher.read([capture(body=body.encode())])
    assert "spelt" not in reading.unread


def test_few_fragments_are_chance() -> None:
    rows = [split_phone(" und ")(value) for value in PHONES[:FEWEST]]
    assert count_fragments(Batch.join(["\n".join(rows).encode()]), nothing) == {0: FEWEST}
    assert count_fragments(Batch.join([row.encode() for row in rows]), nothing) == {}


def test_each_text_is_counted_separately() -> None:
    first, second = (
        "\n".join(map(split_phone(sign), PHONES)).encode() for sign in (" und ", " – ")
    )
    assert count_fragments(Batch.join([first, b"nothing", second]), nothing) == {0: COUNT, 2: COUNT}


def test_long_text_is_estimated_from_a_part() -> None:
    line = " und ".join(in_pieces(PHONES[0], 3, 4, 4))
    rows = [line.replace("4", str(number % 7 + 3)) for number in range(3 * LONG // len(line))]
    count = count_fragments(Batch.join(["\n".join(rows).encode()]), nothing)[0]
    assert 0.8 < count / len(rows) < 1.25
