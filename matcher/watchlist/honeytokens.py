"""Count and make honeytokens: invented customers that only one partner receives.

Their identifiers are valid in every checksum and reach nobody:

    phone        154 and eight digits; no carrier of China holds 154; or numbers of the bank itself
    resident ID  region 710000; China issues no resident ID there (permits of Taiwan's residents
                 begin with 83, see `ullage.identifiers.resident_id`)
    email        only with a domain of the bank, so that each mailbox is its own
    card, IBAN   none: an unused range must come from the bank's own issuer

A buyer who knows these ranges can filter them, so the share that survives is a parameter.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

from matcher.watchlist.source import CANARY, REFERENCE
from ullage.errors import ConfigError
from ullage.identifiers.resident_id import check_character

MOST = 100_000
"""More honeytokens than this are no plan: a list has rarely more customers to hide them among."""
UNASSIGNED_PHONES, UNASSIGNED_REGION = "154", "710000"
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹"
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂文华建国玉兰凤英志红春梅海燕鹏飞晓东雪莹佳欣子涵"
)
OLDEST, BIRTH_DAYS = date(1960, 1, 1), 16_000
"""The first date of birth, and the number of days from which dates are drawn."""
LETTERS = "abcdefghijkmnpqrstuvwxyz"
DIGIT = "#"


class InventedCustomer(NamedTuple):
    """One invented customer; `email` is "" without a domain."""

    reference: str
    name: str
    phone: str
    resident_id: str
    email: str = ""


def count_needed(confidence: float, sample: float, surviving: float = 1.0) -> int:
    """Return how many honeytokens a partner needs: ⌈ln(1 − γ) ÷ ln(1 − s·v)⌉.

    With that many, at least one is in a sample of the share `sample` of the rows with probability
    `confidence`, if each survives a filter with probability `surviving`. Each is missing with
    probability 1 − s·v, all of them with its power (binomial distribution), which must be at most
    1 − γ. It is the size of a survey that must detect at least one case (Cannon and Roe, Livestock
    Disease Surveys, 1982, named from secondary knowledge). Raises ConfigError for a share out of
    range, or if more than `MOST` are needed.

    >>> count_needed(0.95, 0.01)
    299
    """
    for name, share, is_open in (
        ("--confidence", confidence, True),
        ("--sample", sample, False),
        ("--surviving", surviving, False),
    ):
        if not 0 < share <= 1 or (is_open and share == 1):
            bound = "below 1" if is_open else "at most 1"
            raise ConfigError(f"{name} {share}: must be a share above 0 and {bound}, such as 0.5")
    chance = sample * surviving
    number = 1 if chance == 1 else math.ceil(math.log1p(-confidence) / math.log1p(-chance))
    if number > MOST:
        raise ConfigError(
            f"--sample {sample}: needs more than {MOST:,} honeytokens: name a larger sample"
        )
    return max(1, number)


def make_honeytokens(
    number: int, random: Random, reference: str, domain: str = "", phones: Sequence[str] = ()
) -> list[InventedCustomer]:
    """Return `number` distinct honeytokens, drawn from `random`.

    Each `#` of `reference` becomes a digit. `domain` is one of the bank, "" for no addresses.
    `phones` are numbers of the bank, used instead of the unassigned range. Raises ConfigError if
    the pattern or the phones do not suffice.
    """
    if phones and len(phones) < number:
        raise ConfigError(
            f"--phones: has {len(phones)} different numbers, and {number} are needed: add some"
        )
    space = 10 ** reference.count(DIGIT)
    if space < 10 * number:
        raise ConfigError(
            f"--reference {reference}: gives only {space:,} references: write more {DIGIT} signs"
        )
    tails = random.sample(range(10**8), number)
    chosen = (
        random.sample(list(phones), number)
        if phones
        else [f"{UNASSIGNED_PHONES}{tail:08d}" for tail in tails]
    )
    width = reference.count(DIGIT)
    return [
        InventedCustomer(
            _fill(reference, f"{counter:0{width}d}"),
            random.choice(SURNAMES) + "".join(random.choices(GIVEN, k=random.choice((1, 2)))),
            phone,
            _make_resident_id(random),
            f"{''.join(random.choices(LETTERS, k=7))}{tail % 10_000:04d}@{domain}"
            if domain
            else "",
        )
        for counter, phone, tail in zip(
            random.sample(range(space), number), chosen, tails, strict=True
        )
    ]


def _fill(pattern: str, digits: str) -> str:
    """Return `pattern` with its `#` signs replaced by `digits`, in order."""
    remaining = iter(digits)
    return "".join(next(remaining) if sign == DIGIT else sign for sign in pattern)


def _make_resident_id(random: Random) -> str:
    born = OLDEST + timedelta(days=random.randrange(BIRTH_DAYS))
    first17 = f"{UNASSIGNED_REGION}{born:%Y%m%d}{random.randrange(1000):03d}"
    return first17 + check_character(first17)


def format_rows(honeytokens: Sequence[InventedCustomer], partner: str = "") -> bytes:
    """Return the honeytokens as CSV; with `partner`, a last column has that label for the list."""
    has_email = any(token.email for token in honeytokens)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(_iterate_rows(honeytokens, partner, has_email=has_email))
    return text.getvalue().encode()


def _iterate_rows(
    honeytokens: Sequence[InventedCustomer], partner: str, *, has_email: bool
) -> Iterator[list[str]]:
    """Yield the header and a row for each honeytoken."""
    ends = [CANARY] if partner else []
    yield [REFERENCE, "name", "phone", "resident_id", *(["email"] if has_email else []), *ends]
    for token in honeytokens:
        values = list(token) if has_email else list(token[:-1])
        yield [*values, *([partner] if partner else [])]
