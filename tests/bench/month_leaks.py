"""The leaks that are planted in a month: whose they are, what stands in a row, how large, and where they are posted again.

Customers 0 to 99,999 have all their fields enrolled; each leak takes its own. `recycled` sells people again whose leak was
known before; what is `fabricated` never was; rows from `elsewhere` are true, and of somebody else's customers.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tests.bench.corpus_people import HALF_OF_PHONES, Person
from tests.bench.month_posts import BEGIN, BRAND, SITES, Post, any_name, any_phone, stranger

Row = dict[str, str]
FULL = 100_000
"""Customers with every field."""
CANARIES = {"短信通道甲": FULL - 1, "催收公司乙": FULL - 2, "客服外包丙": FULL - 3}
"""Bait by the partner who alone was given it: number of a customer."""


@dataclass(frozen=True, slots=True)
class Leak:
    """`origin` is the truth; `rows` of its people are written in `form`; `day` and `hour` tell when it appears first.

    `share` of its rows are real ones, the rest strangers'. `again` sites post it once more; with `sliced` each has a part of it.
    """

    name: str
    origin: str
    fields: tuple[str, ...]
    size: int
    form: str
    day: int
    hour: int = 11
    share: float = 1.0
    again: int = 0
    sliced: bool = False
    canary: str = ""
    of: tuple[str, ...] = ()
    head: str = ""
    people: list[int] = field(default_factory=list, compare=False)


PHONE_ID = ("name", "phone", "resident_id")
OLD_POLICIES = ("before: policies", "before: more policies", "before: yet more policies")
OLD_LOANS = ("before: loans", "before: more loans", "before: yet more loans")
OLD_IDENTITIES = ("before: identities", "before: more identities", "before: yet more identities")
OLD = tuple(f"before: list {number}" for number in range(4))
LEAKS: tuple[Leak, ...] = (
    Leak("three rows in a chat", "ours", PHONE_ID, 3, "dashes", 1),
    Leak("eight loans", "ours", ("name", "phone", "loan"), 8, "csv", 2, head="贷款客户 一手料"),
    Leak("fifteen cards", "ours", ("name", "phone", "resident_id", "card"), 15, "dashes", 4, 2),
    Leak("twenty orders", "ours", ("name", "phone", "order"), 20, "json", 5, again=2),
    Leak("forty, half of them", "ours", PHONE_ID, 40, "csv", 6, share=0.5),
    Leak("a hundred policies", "ours", ("name", "phone", "policy"), 100, "csv", 7, again=3),
    Leak("two hundred, a tenth", "ours", PHONE_ID, 200, "dashes", 8, share=0.1),
    Leak("five hundred balances", "ours", ("name", "phone", "balance"), 500, "sql", 10, 3, again=1),
    Leak("in digests", "ours", ("md5",), 400, "lines", 11),
    Leak("in the holiday", "ours", ("name", "phone", "loan"), 600, "dashes", 16, 4, again=1),
    Leak("three thousand, a twentieth", "ours", PHONE_ID, 3000, "csv", 19, share=0.05),
    Leak("mails and phones", "ours", ("email", "phone"), 150, "csv", 21),
    Leak("ten thousand in slices", "ours", ("name", "phone", "resident_id", "card"), 10_000, "dashes", 24, again=4, sliced=True),
    Leak("thirty thousand", "ours", ("name", "phone", "resident_id", "balance"), 30_000, "csv", 28, again=1),
    Leak("through a text message", "partner", ("name", "phone"), 120, "dashes", 3, canary="短信通道甲"),
    Leak("through a collector", "partner", ("name", "phone", "loan"), 900, "csv", 13, canary="催收公司乙", again=1),
    Leak("through a call centre", "partner", ("name", "phone", "order"), 60, "json", 25, canary="客服外包丙"),
    Leak("another lender's", "elsewhere", ("name", "phone", "loan"), 5000, "csv", 2, 5),
    Leak("another lender's, large", "elsewhere", ("name", "phone", "loan"), 60_000, "dashes", 9, again=1),
    Leak("a shop's orders", "elsewhere", ("name", "phone", "order"), 2000, "json", 12),
    Leak("an insurer's", "elsewhere", ("name", "phone", "policy"), 800, "csv", 14),
    Leak("a hospital's", "elsewhere", ("name", "phone", "resident_id", "health"), 300, "dashes", 17, again=2),
    Leak("numbers alone", "elsewhere", ("phone",), 100_000, "lines", 20),
    Leak("a courier's", "elsewhere", ("name", "phone", "address"), 4000, "csv", 22, again=1),
    Leak("investors", "elsewhere", ("name", "phone", "balance"), 1500, "sql", 27),
    Leak("old rows, mixed", "recycled", ("name", "phone", "policy"), 90, "csv", 18, of=OLD_POLICIES),
    Leak("old loans", "recycled", ("name", "phone", "loan"), 300, "dashes", 23, of=OLD_LOANS),
    Leak("old identities", "recycled", PHONE_ID, 200, "csv", 6, 14, of=OLD_IDENTITIES),
    Leak(
        "old again, large",
        "recycled",
        PHONE_ID,
        1500,
        "dashes",
        26,
        of=OLD_IDENTITIES,
        again=1,
    ),
    Leak("a run of numbers", "fabricated", ("name", "phone"), 500, "dashes", 4, 16),
    Leak("a run with identities", "fabricated", PHONE_ID, 2000, "csv", 15),
    Leak("identities that fail", "fabricated", PHONE_ID, 400, "dashes", 21, 3),
    Leak("a long run", "fabricated", ("phone",), 20_000, "lines", 11, 20),
    Leak("cards made up", "fabricated", ("name", "phone", "resident_id", "card"), 300, "csv", 27, 22),
    Leak("an offer without rows", "unknown", (), 0, "offer", 5, 13, head=f"出售{BRAND}贷款客户数据 50万条 一手料"),
    Leak("an offer with a price", "unknown", (), 0, "offer", 14, 23, head=f"{BRAND} 全格式 四要素 内鬼出 可验 收U"),
    Leak("somebody asks for data", "unknown", (), 0, "offer", 19, 21, head=f"收料 {BRAND} 股民数据 长期 担保交易"),
    Leak("an offer in English", "unknown", (), 0, "offer", 26, 9, head=f"[SELLING] {BRAND} fullz full db 2.1M rows escrow"),
    Leak("a score of customers", "ours", ("name", "phone", "resident_id"), 25, "json", 29),
    Leak("one in three", "ours", ("name", "phone", "loan"), 90, "dashes", 23, 1, share=0.34),
)
BEFORE: tuple[Leak, ...] = (
    *(Leak(name, "ours", ("name", "phone", "policy"), 150, "csv", -30 - n) for n, name in enumerate(OLD_POLICIES)),
    *(Leak(name, "ours", ("name", "phone", "loan"), 400, "csv", -40 - n) for n, name in enumerate(OLD_LOANS)),
    *(Leak(name, "ours", PHONE_ID, 1200, "dashes", -50 - n) for n, name in enumerate((*OLD_IDENTITIES, *OLD))),
)
"""Leaks that were known and dealt with before the month begins."""
HEADERS = {
    "name": "姓名", "phone": "手机号", "resident_id": "身份证", "card": "银行卡号", "email": "邮箱", "loan": "贷款金额",
    "order": "订单号", "policy": "保单号", "balance": "账户余额", "health": "诊断", "address": "地址", "md5": "md5",
}  # fmt: skip


def leak_posts(rng: random.Random) -> Iterator[Post]:
    """Every post of every leak; people of a leak are remembered in it for those that sell them again."""
    enrolled = iter(range(FULL - len(CANARIES)))
    known: dict[str, Leak] = {}
    for leak in sorted((*BEFORE, *LEAKS), key=lambda one: (one.day, one.hour)):
        known[leak.name] = leak
        leak.people[:] = _people(rng, leak, known, enrolled)
        yield from _posts(rng, leak, _rows(rng, leak))


def _people(rng: random.Random, leak: Leak, known: dict[str, Leak], enrolled: Iterator[int]) -> list[int]:
    """Numbers of the customers in it."""
    if leak.of:
        before = [number for name in leak.of for number in known[name].people]
        return rng.sample(before, min(leak.size, len(before)))
    if leak.origin not in ("ours", "partner"):
        return []
    return [next(enrolled) for _ in range(round(leak.size * leak.share))] + ([CANARIES[leak.canary]] if leak.canary else [])


def _rows(rng: random.Random, leak: Leak) -> list[Row]:
    """Its rows in some order: real ones, and strangers'."""
    rows = [_row(rng, leak.fields, Person(number)) for number in leak.people]
    first = rng.randrange(HALF_OF_PHONES - leak.size)  # where customers are among them
    rows += [_stranger_row(rng, leak, first + n) for n in range(leak.size - len(rows))]
    if leak.origin != "fabricated":
        rng.shuffle(rows)
    return rows


def _row(rng: random.Random, fields: Sequence[str], person: Person) -> Row:
    """What a platform knows of a customer."""
    return {name: _value(rng, name, person) for name in fields}


def _value(rng: random.Random, name: str, person: Person) -> str:
    made: dict[str, Callable[[], str]] = {
        "loan": lambda: f"{rng.randint(1, 30)}0000",
        "balance": lambda: f"{rng.randint(100, 900_000)}.{rng.randrange(100):02d}",
        "order": lambda: f"DD2026{rng.randrange(10**9):09d}",
        "policy": lambda: f"P{rng.randrange(10**12):012d}",
        "health": lambda: rng.choice(("高血压", "糖尿病", "胃炎")),
        "address": lambda: f"朝阳区建国路{rng.randint(1, 300)}号",
        "md5": lambda: hashlib.md5(person.phone.encode(), usedforsecurity=False).hexdigest(),
    }
    return made[name]() if name in made else str(getattr(person, name))


def _stranger_row(rng: random.Random, leak: Leak, number: int) -> Row:
    """A row of somebody else's customer, whose phone may be one of ours; or one that somebody made up."""
    person = stranger(rng)
    row = _row(rng, leak.fields, person)
    if "name" in row:
        row["name"] = any_name(rng)
    if "phone" in row:
        row["phone"] = f"154{number:08d}" if leak.origin == "fabricated" and "run" in leak.name else any_phone(rng)
    if leak.origin == "fabricated" and "resident_id" in row and rng.random() < 0.6:
        row["resident_id"] = row["resident_id"][:17] + rng.choice("0123456789")
    return row


def _posts(rng: random.Random, leak: Leak, rows: list[Row]) -> Iterator[Post]:
    """The first post and those that repeat it, a few hours to some days later."""
    at = BEGIN + timedelta(days=leak.day, hours=leak.hour, minutes=rng.randrange(60))
    sites = rng.sample([f"site{n:03d}" for n in range(SITES)], leak.again + 1)
    title = leak.head or rng.choice(("客户资料", "数据样例", "sample", "最新数据"))
    for number, site in enumerate(sites):
        part = rows
        if leak.sliced and number:
            part = rows[number * len(rows) // 8 : (number + 5) * len(rows) // 8]
        yield Post(at + timedelta(hours=number * rng.uniform(5, 30)), site, "leak", title, written(leak, part), leak.name)


def written(leak: Leak, rows: Sequence[Row]) -> str:
    """The text of a post."""
    if leak.form == "offer":
        return f"{leak.head}\n长期供货，量大从优，飞机联系，支持担保交易。"
    if leak.form == "lines":
        return "\n".join(next(iter(row.values())) for row in rows)
    if leak.form == "dashes":
        return "\n".join("----".join(row.values()) for row in rows)
    if leak.form == "json":
        return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    if leak.form == "sql":
        columns = ", ".join(f"`{name}`" for name in leak.fields)
        values = ",\n".join(f"({', '.join(map(repr, row.values()))})" for row in rows)
        return f"INSERT INTO `t_customer` ({columns}) VALUES\n{values};"
    return "\n".join((",".join(HEADERS[name] for name in leak.fields), *(",".join(row.values()) for row in rows)))
