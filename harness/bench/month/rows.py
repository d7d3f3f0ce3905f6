"""How planted posts are written: rows of customers and of anybody else, and the forms that lists
are traded in.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.bench.corpus.people import Person
from harness.bench.month.posts import BRAND, DOMAIN, any_name, any_phone, stranger

if TYPE_CHECKING:
    from harness.bench.month.leaks import Leak

Row = dict[str, str]
HEADERS = {
    "name": "姓名", "phone": "手机号", "resident_id": "身份证", "card": "银行卡号", "email": "邮箱",
    "loan": "贷款金额",
    "order": "订单号", "policy": "保单号", "balance": "账户余额", "health": "诊断",
    "address": "地址", "md5": "md5",
    "password": "密码", "cvv": "cvv", "expiry": "有效期", "applied": "申请时间", "lender": "平台",
    "signed_up": "状态",
    "masked_phone": "手机号", "masked_id": "身份证",
}  # fmt: skip
RIVAL = "易捷贷"
HOSTS = (
    "mail.example.org",
    "shop.example.net",
    "game.example.com",
    "forum.example.org",
    "video.example.net",
)
"""Sites that are nobody's of the tenant, in what is stolen from computers."""


def customer_row(rng: random.Random, fields: Sequence[str], person: Person) -> Row:
    """Return a row with these fields of a customer."""
    return {name: _value(rng, name, person) for name in fields}


def other_row(rng: random.Random, leak: Leak, number: int) -> Row:
    """Return a row of somebody who is no customer, or one that was made up.

    `leak.rest` tells which: people of another platform who are not ours have phones that are not
    ours (`others`); of people or numbers at random (`anybody`) a customer has some; a `run` counts
    up from `number`.
    """
    person = stranger(rng)
    row = customer_row(rng, leak.fields, person)
    if "name" in row:
        row["name"] = any_name(rng)
    if "phone" in row and leak.rest != "others":
        row["phone"] = f"154{number:08d}" if leak.rest == "run" else any_phone(rng)
    if "signed_up" in row:
        row["signed_up"] = "未注册"
    if leak.kind == "made up" and "resident_id" in row and rng.random() < 0.6:
        row["resident_id"] = row["resident_id"][:17] + rng.choice("0123456789")
    return row


def _value(rng: random.Random, name: str, person: Person) -> str:
    makers: dict[str, Callable[[], str]] = {
        "loan": lambda: f"{rng.randint(1, 30)}0000",
        "balance": lambda: f"{rng.randint(100, 900_000)}.{rng.randrange(100):02d}",
        "order": lambda: f"DD2026{rng.randrange(10**9):09d}",
        "policy": lambda: f"P{rng.randrange(10**12):012d}",
        "health": lambda: rng.choice(("高血压", "糖尿病", "胃炎")),
        "address": lambda: f"朝阳区建国路{rng.randint(1, 300)}号",
        "md5": lambda: hashlib.md5(person.phone.encode(), usedforsecurity=False).hexdigest(),
        "password": lambda: f"Pass{rng.randrange(10**6)}",
        "cvv": lambda: f"{rng.randrange(1000):03d}",
        "expiry": lambda: f"{rng.randint(1, 12):02d}/{rng.randint(27, 31)}",
        "applied": lambda: f"2021-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
        "lender": lambda: RIVAL,
        "signed_up": lambda: "已注册",
        "masked_phone": lambda: f"{person.phone[:3]}****{person.phone[-4:]}",
        "masked_id": lambda: f"{person.resident_id[:6]}********{person.resident_id[-4:]}",
    }
    return makers[name]() if name in makers else str(getattr(person, name))


def write_post(rng: random.Random, leak: Leak, rows: Sequence[Row]) -> str:
    """Return a post's text: the seller's words, then the rows in the leak's form."""
    return "\n".join(
        filter(None, (leak.head if leak.text else "", leak.text, FORMS[leak.form](rng, leak, rows)))
    )


def _csv(_: random.Random, leak: Leak, rows: Sequence[Row]) -> str:
    names = list(rows[0]) if rows else list(leak.fields)
    return "\n".join(
        (",".join(HEADERS[name] for name in names), *(",".join(row.values()) for row in rows))
    )


def _join(separator: str) -> Callable[[random.Random, Leak, Sequence[Row]], str]:
    return lambda _rng, _leak, rows: "\n".join(separator.join(row.values()) for row in rows)


def _json(_: random.Random, _leak: Leak, rows: Sequence[Row]) -> str:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def _sql(_: random.Random, leak: Leak, rows: Sequence[Row]) -> str:
    columns = ", ".join(f"`{name}`" for name in leak.fields)
    values = ",\n".join(f"({', '.join(map(repr, row.values()))})" for row in rows)
    return f"INSERT INTO `t_customer` ({columns}) VALUES\n{values};"


def _logins(rng: random.Random, _leak: Leak, rows: Sequence[Row]) -> str:
    """Lines of a stealer's log: those of customers at our site among ten times as many of other
    sites.
    """
    ours = [f"https://www.{DOMAIN}/login:{row['phone']}:{row['password']}" for row in rows]
    return _among_others(rng, ours, 10 * len(ours))


def _staff(rng: random.Random, _leak: Leak, _rows: Sequence[Row]) -> str:
    """Return the log of one computer that belongs to the tenant's staff."""
    mine = f"https://vpn.{DOMAIN}/remote/login:wei.zhang@{DOMAIN}:Pass{rng.randrange(10**6)}"
    return _among_others(rng, [mine], 60)


def _administrator(rng: random.Random, _leak: Leak, _rows: Sequence[Row]) -> str:
    mine = f"URL: https://admin.{DOMAIN}/console\nUSER: root\nPASS: Pass{rng.randrange(10**6)}\n"
    return _among_others(rng, [mine], 30)


def _among_others(rng: random.Random, ours: list[str], count: int) -> str:
    lines = [
        f"https://{rng.choice(HOSTS)}/login:{stranger(rng).email}:Pass{rng.randrange(10**6)}"
        for _ in range(count)
    ] + ours
    rng.shuffle(lines)
    return "\n".join(lines)


def _write_wanted_notice(_: random.Random, _leak: Leak, rows: Sequence[Row]) -> str:
    row = rows[0]
    return (
        f"某市公安局悬赏通告：犯罪嫌疑人{row['name']}，身份证号{row['resident_id']}，"
        "涉嫌出售公民个人信息，现在逃。"
        f"该人曾用手机号{row['phone']}。望知情者向公安机关提供线索，民警24小时接听，举报有奖。"
    )


def _petition(_: random.Random, leak: Leak, rows: Sequence[Row]) -> str:
    """People who complain together, with their own data."""
    people = "\n".join(
        f"{n}. {'，'.join(row[name] for name in leak.fields)}" for n, row in enumerate(rows, 1)
    )
    return f"{BRAND}暴力催收维权登记，请大家按格式接龙：姓名，电话，贷款金额\n{people}"


FORMS: Mapping[str, Callable[[random.Random, Leak, Sequence[Row]], str]] = {
    "words": lambda _rng, _leak, _rows: "",
    "lines": lambda _rng, _leak, rows: "\n".join(next(iter(row.values())) for row in rows),
    "csv": _csv,
    "dashes": _join("----"),
    "colons": _join(":"),
    "tabs": _join("\t"),
    "json": _json,
    "sql": _sql,
    "logins": _logins,
    "staff": _staff,
    "administrator": _administrator,
    "wanted": _write_wanted_notice,
    "petition": _petition,
}
"""By name. `words` are those of the seller alone."""
