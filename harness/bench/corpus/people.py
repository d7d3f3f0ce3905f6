"""Synthetic people by number: customers and strangers never share a value, so what is planted is
what must be found.

Phones begin with 154, which no carrier holds; birth years are 1880 to 1899; cards are of the test
range 620000; mail is at example.com, .net and .org (RFC 2606). The upper half of each space belongs
to strangers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from ullage.identifiers.resident_id import check_character

HALF_OF_PHONES = 50_000_000
SPREAD = 22_695_477
"""Odd and no multiple of five: multiplying by it goes once through a power of ten before it
repeats.
"""
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹"
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂文华建国玉兰凤英志红春梅海燕鹏飞晓东雪莹佳欣子涵"
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
REGIONS = ("110105", "310104", "440106", "330106", "510104", "420106", "370202", "320102")
DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn_digit(body: str) -> str:
    """Return the digit that makes `body` pass Luhn (ISO/IEC 7812-1 annex B)."""
    values = [ord(c) - 48 for c in reversed(body)]
    return str(-(sum(DOUBLED[v] for v in values[::2]) + sum(values[1::2])) % 10)


@dataclass(frozen=True)
class Person:
    """Number `number` of the customers or of the strangers; each value is made when it is asked
    for.
    """

    number: int
    customer: bool = True

    @cached_property
    def _mixed(self) -> int:
        return self.number * SPREAD % HALF_OF_PHONES

    @cached_property
    def reference(self) -> str:
        """The platform's own number of a customer."""
        return f"C{self.number:09d}"

    @cached_property
    def name(self) -> str:
        """Two or three Han characters."""
        n = self._mixed
        return SURNAMES[n % 30] + GIVEN[n // 30 % 45] + (GIVEN[n // 1350 % 45] if n % 3 else "")

    @cached_property
    def phone(self) -> str:
        """154 and eight digits."""
        return f"154{self._mixed + (0 if self.customer else HALF_OF_PHONES):08d}"

    @cached_property
    def resident_id(self) -> str:
        """Eighteen characters whose check holds."""
        n = self._mixed
        year = (1880 if self.customer else 1890) + n // 8 % 10
        birthday = f"{year}{1 + n // 80 % 12:02d}{1 + n // 960 % 28:02d}"
        first17 = f"{REGIONS[n % 8]}{birthday}{n // 26880 % 990:03d}"
        return first17 + check_character(first17)

    @cached_property
    def card(self) -> str:
        """A number of 16 or, every third, of 19 digits that passes Luhn."""
        body = f"620000{'0' if self.customer else '5'}{self._mixed:08d}"
        body += "" if self.number % 3 else f"{self.number % 1000:03d}"
        return body + luhn_digit(body)

    @cached_property
    def email(self) -> str:
        """An address with a dot in its local part."""
        n = self._mixed
        ending = "com" if self.customer else ("net", "org")[n % 2]
        return f"{PINYIN[n % 15]}.{PINYIN[n // 15 % 15]}{self.number}@example.{ending}"


COLUMNS: dict[str, Callable[[Person], str]] = {
    "customer_ref": lambda p: p.reference,
    "name": lambda p: p.name,
    "phone": lambda p: p.phone,
    "resident_id": lambda p: p.resident_id,
    "card": lambda p: p.card,
    "email": lambda p: p.email,
}
