"""Tokens that are nobody's identifier, though most hold a customer's value where it does not count.

Each class is a function of a random source and a customer; a decoy that a matcher reports is a
false positive.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator

from harness.bench.corpus.disguise import split_groups
from harness.bench.corpus.people import Person
from harness.bench.recall.cases import VALUES, iban, uscc

Decoy = Callable[[random.Random, Person], str]
HAN = str.maketrans("0123456789", "零一二三四五六七八九")
SPELT = "zero one two three four five six seven eight nine".split()
HEXADECIMAL = "0123456789abcdef"


def _random(pattern: str) -> Decoy:
    """Random digits for `#`, capitals for `A`, hex digits for `h`."""

    def make(rng: random.Random, _: Person) -> str:
        draw = {"#": "0123456789", "A": "ABCDEFGHJKLMNPQRSTUVWXYZ", "h": HEXADECIMAL}
        return "".join(rng.choice(draw[c]) if c in draw else c for c in pattern)

    return make


def _date(rng: random.Random) -> str:
    return f"20{rng.randrange(10, 27)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"


def _wrong(value: str) -> str:
    """`value` with another last character."""
    return value[:-1] + ("1" if value[-1] != "1" else "2")


def _hex(value: str, form: str = "md5") -> str:
    return hashlib.new(form, value.encode(), usedforsecurity=False).hexdigest()


def _letters(rng: random.Random, count: int) -> str:
    return "".join(rng.choices("abcdef", k=count))


DECOYS: dict[str, Decoy] = {
    "phone in an order number": lambda rng, p: _date(rng) + p.phone,
    "phone with digits behind": lambda rng, p: (
        f"{p.phone}{rng.randrange(10 ** rng.randint(1, 6)):01d}"
    ),
    "phone with a digit before": lambda rng, p: f"{rng.randint(1, 9)}{p.phone}",
    "phone with two dashes": lambda _, p: split_groups(p.phone, (3, 4, 4), "--"),
    "phone behind a decimal point": lambda rng, p: f"{rng.randrange(90)}.{p.phone}",
    "phone in hex": lambda rng, p: f"{_letters(rng, 3)}{p.phone}{_letters(rng, 18)}",
    "phone in a version": lambda rng, p: (
        f"{rng.randint(1, 9)}.{split_groups(p.phone, (3, 4, 4), '.')}"
    ),
    "phone in a UUID": lambda rng, p: (
        f"{_random('hhhhhhhh-hhhh-4hhh-8hhh-')(rng, p)}{rng.randint(1, 7)}{p.phone}"
    ),
    "phone in a web address": lambda rng, p: f"/item/{p.phone}{rng.randrange(100, 999)}.html",
    "phone in Han digits, longer": lambda rng, p: (
        f"第{p.phone.translate(HAN)}{'一二三'[rng.randrange(3)]}"
    ),
    "resident ID in a longer number": lambda rng, p: (
        f"{rng.randint(1, 9)}{p.resident_id[:17]}{rng.randint(0, 9)}"
    ),
    "resident ID with a bad check": lambda _, p: _wrong(p.resident_id),
    "card in a longer number": lambda rng, p: f"{p.card}{rng.randrange(10_000):04d}",
    "card with a digit before": lambda rng, p: f"{rng.randint(1, 9)}{p.card.ljust(19, '0')}",
    "card in five groups": lambda rng, p: (
        split_groups(p.card[:16], (4, 4, 4, 4), " ") + f" {rng.randrange(10_000):04d}"
    ),
    "card with a bad check": lambda _, p: _wrong(p.card),
    "mail with more before": lambda rng, p: f"{_letters(rng, 1)}{p.email}",
    "mail with more behind": lambda rng, p: f"{p.email}.{_letters(rng, 3)}",
    "mail with a longer ending": lambda rng, p: f"{p.email}{_letters(rng, 2)}",
    "md5 in longer hex": lambda rng, p: _hex(p.phone) + _letters(rng, rng.randint(1, 7)),
    "md5 behind hex": lambda rng, p: _letters(rng, rng.randint(1, 40)) + _hex(p.email),
    "sha1 in longer hex": lambda rng, p: _hex(p.phone, "sha1") + _letters(rng, 24),
    "short md5 in longer hex": lambda rng, p: (
        _hex(p.phone)[8:24] + _letters(rng, rng.randint(1, 15))
    ),
    "masked phone": lambda rng, p: (
        f"{p.phone[:3]}{rng.choice(('****', 'xxxx', '××××'))}{p.phone[7:]}"
    ),
    "masked resident ID": lambda _, p: f"{p.resident_id[:4]}**********{p.resident_id[14:]}",
    "masked card": lambda _, p: f"{p.card[:4]} **** **** {p.card[-4:]}",
    "passport without a label": lambda _, p: VALUES["passport"](p),
    "QQ without a label": lambda _, p: VALUES["qq"](p),
    "WeChat name without a label": lambda _, p: VALUES["wechat"](p).removeprefix("wxid_"),
    "IBAN with a bad check": lambda _, p: _wrong(iban(p)),
    "company code with a bad check": lambda _, p: _wrong(uscc(p)),
    "order number": lambda rng, p: _date(rng) + _random("##########")(rng, p),
    "date and time": lambda rng, p: (
        f"{_date(rng)}{rng.randrange(24):02d}{rng.randrange(60):02d}{rng.randrange(60):02d}"
    ),
    "time in milliseconds": _random("17###########"),
    "IP address": lambda rng, _: ".".join(str(rng.randrange(256)) for _ in range(4)),
    "UUID": _random("hhhhhhhh-hhhh-4hhh-8hhh-hhhhhhhhhhhh"),
    "digest of something": _random("h" * 32),
    "price": lambda rng, _: f"¥{rng.randrange(10**9):,}.{rng.randrange(100):02d}",
    "product code": _random("AA-####-###"),
    "twelve digits": _random("2###########"),
    "thirteen digits": _random("69###########"),
    "sixteen digits": _random("6###############"),
    "nineteen digits": _random("62#################"),
    "three numbers of a row": lambda _, p: split_groups(p.phone, (3, 4, 4), ","),
    "prices of three tiers": lambda _, p: split_groups(p.phone, (3, 4, 4), "元") + "元",
    "numbers in a path": lambda rng, p: f"/a/{split_groups(p.phone, (3, 4, 4), '/')}/b",
    "measured value": lambda rng, p: f"{p.phone[0]}.{p.phone[1 : rng.randint(3, 7)]}E+10",
    "phone glued to another word": lambda rng, p: (
        f"{rng.choice(('SKU', 'order', 'A', 'xtel', 'telA'))}{p.phone}"
    ),
    "phone before another word": lambda rng, p: f"{p.phone}{rng.choice(('mm', 'kg', 'telx', 'A'))}",
    "amount": lambda _, p: f"金额：{int(p.phone):,}",
    "words for digits, longer": lambda rng, p: " ".join(
        SPELT[int(d)] for d in f"{p.phone}{rng.randrange(10)}"
    ),
    "letters for more digits than is read": lambda _, p: f"{p.phone[:5]}OlOlOl",
    "letters for digits in a longer word": lambda rng, p: f"{p.phone[:9]}Ol{rng.choice('0Ox')}",
    "IBAN in groups with a bad check": lambda _, p: split_groups(
        _wrong(iban(p)), (2, 2, 5, 1), " "
    ),
    "twenty-nine digits": lambda _, p: f"{p.phone}{_wrong(p.resident_id)}",
    "coordinates": lambda rng, _: f"{rng.uniform(18, 53):.6f},{rng.uniform(73, 135):.6f}",
}
SEPARATORS = ("\n", "\n", ", ", " | ", "；", "\t")


def decoys(name: str, count: int, seed: int, first: int, people: int) -> Iterator[str]:
    """`count` tokens of class `name`, each with what parts it from the next; of customers
    `first` to `first + people`.
    """
    rng, make = random.Random(f"{name} {seed}"), DECOYS[name]
    for _ in range(count):
        yield make(rng, Person(first + rng.randrange(people))) + rng.choice(SEPARATORS)
