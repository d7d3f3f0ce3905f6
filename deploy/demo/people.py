"""Generate synthetic people: their identifiers are valid in every checksum and belong to nobody.

Phone numbers begin with 154, which no carrier uses; birth years end with 1899; cards are in the
test range 620000; mail addresses are at example.com, .net or .org (RFC 2606). The same seed
yields the same people.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from ullage.identifiers.card import luhn
from ullage.identifiers.resident_id import check_character

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹"
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂文华建国玉兰凤英志红春梅海燕鹏飞晓东雪莹佳欣子涵"
)
REGIONS = ("110105", "310104", "440106", "330106", "510104", "420106", "370202", "320102")
CITIES = (
    "北京市朝阳区建国路",
    "上海市徐汇区漕溪北路",
    "广州市天河区天河路",
    "杭州市西湖区文三路",
    "成都市锦江区红星路",
    "武汉市武昌区中南路",
)
PINYIN = (
    "wei",
    "fang",
    "na",
    "min",
    "jing",
    "li",
    "qiang",
    "lei",
    "jun",
    "yang",
    "yong",
    "jie",
    "tao",
    "ming",
    "chao",
)


@dataclass(frozen=True, slots=True)
class Person:
    """One synthetic person; `reference` is the platform's number for them."""

    reference: str
    name: str
    phone: str
    resident_id: str
    card: str
    email: str
    address: str
    balance: int

    def row(self) -> tuple[str, ...]:
        """Return the row of a customer export: reference, name, phone, resident ID, card, email."""
        return (self.reference, self.name, self.phone, self.resident_id, self.card, self.email)


def people(count: int, seed: int) -> Iterator[Person]:
    """Yield `count` distinct people, the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311  reproducible, not secret
    phones = rng.sample(range(10**8), count)
    for number, tail in enumerate(phones, 1):
        phone = f"154{tail:08d}"
        name = rng.choice(SURNAMES) + "".join(rng.choices(GIVEN, k=rng.choice((1, 2))))
        local = f"{rng.choice(PINYIN)}.{rng.choice(PINYIN)}{number}"
        email = f"{local}@example.{rng.choice(('com', 'net', 'org'))}"
        address = f"{rng.choice(CITIES)}{rng.randint(1, 300)}号{rng.randint(1, 30)}室"
        yield Person(
            f"C{number:07d}",
            name,
            phone,
            _resident_id(rng),
            _card(rng),
            email,
            address,
            rng.randint(1, 900) * 1000,
        )


def _resident_id(rng: random.Random) -> str:
    """Return a resident ID with a birth year from 1880 to 1899 and a valid check character.

    Nobody alive has such a number.
    """
    date = f"{rng.randint(1880, 1899)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
    first17 = f"{rng.choice(REGIONS)}{date}{rng.randint(0, 999):03d}"
    return first17 + check_character(first17)


def _card(rng: random.Random) -> str:
    """Return a card number of 16 or 19 digits in the range 620000 that passes Luhn."""
    body = "620000" + "".join(rng.choices("0123456789", k=rng.choice((9, 12))))
    return next(body + digit for digit in "0123456789" if luhn(body + digit))
