"""Invented customers of many countries: each has a phone there and a mail address, those of China
an ID, a card and a QQ.

Phones stand in ranges that regulators keep for fiction (+1, +49), are not given out (China's 154,
Vietnam's 095, Russia's 945) or are round numbers that manuals print.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from harness.bench.corpus.people import Person

SPREAD = 22_695_477
"""Odd and no multiple of five: multiplying by it goes once through a power of ten before it
repeats.
"""
FIRST = 3_000_000
"""Number of the first person, who is none of another bench."""
CHINA, CHINA_BY_QQ = "CN", "QQ"
"""Those of the second are enrolled with a mail address that begins with their QQ."""


class Country(NamedTuple):
    """How numbers of a country are made: its calling code and trunk, the first digits, how many
    follow, and names.
    """

    code: str
    trunk: str
    prefix: str
    digits: int
    names: tuple[str, ...]


THAI_NAMES = ("สมชาย ใจดี", "สุดา แสงทอง", "อนันต์ ศรีสุข", "มาลี บุญมา")
COUNTRIES = {
    "CN": Country("86", "", "154", 8, ()),
    "QQ": Country("86", "", "154", 8, ()),
    "VN": Country(
        "84", "0", "95", 7, ("Nguyễn Văn An", "Trần Thị Bình", "Lê Hoàng Minh", "Phạm Thu Hà")
    ),
    "TW": Country("886", "0", "944", 6, ("陳怡君", "林志豪", "黃淑芬", "張家銘")),
    "RU": Country(
        "7", "8", "945", 7, ("Иванов Пётр", "Смирнова Анна", "Кузнецов Олег", "Попова Мария")
    ),
    "IN": Country(
        "91", "0", "98765", 5, ("Rahul Sharma", "Priya Nair", "Amit Patel", "Sunita Rao")
    ),
    "TH": Country("66", "0", "890", 6, THAI_NAMES),
    "US": Country(
        "1", "", "", 10, ("James Miller", "Mary Johnson", "Robert Davis", "Linda Wilson")
    ),
    "ES": Country(
        "34", "", "600", 6, ("Carmen García", "José Martínez", "Lucía López", "Antonio Ruiz")
    ),
    "DE": Country(
        "49", "0", "3023125", 3, ("Anna Schmidt", "Jürgen Weber", "Petra Koch", "Lars Vogel")
    ),
    "JP": Country("81", "0", "801", 7, ("佐藤 花子", "鈴木 一郎", "高橋 健", "田中 美咲")),
    "KR": Country("82", "0", "1000", 6, ("김민수", "이서연", "박지훈", "최유진")),
    "BR": Country("55", "0", "119000", 5, ("João Silva", "Ana Souza", "Pedro Lima", "Maria Costa")),
    "ID": Country(
        "62", "0", "8110", 6, ("Budi Santoso", "Siti Rahayu", "Agus Wijaya", "Dewi Lestari")
    ),
    "UA": Country(
        "380", "0", "50", 7, ("Шевченко Олена", "Коваль Іван", "Бондар Юлія", "Ткач Андрій")
    ),
    "TR": Country("90", "0", "500", 7, ("Ayşe Yılmaz", "Mehmet Kaya", "Elif Demir", "Can Şahin")),
    "PH": Country("63", "0", "917", 7, ("Maria Santos", "Juan Reyes", "Ana Cruz", "Jose Garcia")),
}
FICTION = "202 212 312 415 503 617 713 305 404 206".split()
"""Areas of North America, each with a hundred numbers kept for fiction, 555-01xx."""


@dataclass(frozen=True)
class Customer:
    """One invented customer: the number-th of all, of a country."""

    number: int
    country: str

    @cached_property
    def _chinese(self) -> Person:
        return Person(FIRST + self.number)

    @cached_property
    def fields(self) -> dict[str, str]:
        """What a file may hold of the customer, by the name of its placeholder."""
        plan, n = COUNTRIES[self.country], self.number
        if self.country == "US":
            national = f"{FICTION[n // 100 % 10]}55501{n % 100:02d}"
        else:
            national = f"{plan.prefix}{n * SPREAD % 10**plan.digits:0{plan.digits}d}"
        values = {
            "n": f"{n:03d}",
            "ref": f"M{n:06d}",
            "cc": plan.code,
            "phone": plan.code + national,
            "plus": f"+{plan.code}{national}",
            "zeros": f"00{plan.code}{national}",
            "national": national,
            "trunk": plan.trunk + national,
            "name": plan.names[n % 4] if plan.names else self._chinese.name,
            "mail": (
                f"{('lena', 'oscar', 'alice', 'boris')[n % 4]}."
                f"{('cope', 'sax', 'peace')[n % 3]}{n}@example.com"
            ),
        }
        if self.country in (CHINA, CHINA_BY_QQ):
            person = self._chinese
            national = person.phone
            values |= {
                "national": national,
                "trunk": national,
                "phone": f"86{national}",
                "plus": f"+86{national}",
            }
            values |= {"zeros": f"0086{national}", "id": person.resident_id, "card": person.card}
            values["qq"] = f"1{n:03d}{n * SPREAD % 10**6:06d}"
        if self.country == CHINA_BY_QQ:
            values["mail"] = f"{values['qq']}@qq.com"
        return values

    def row(self) -> list[str]:
        """Return the customer's row of the enrolled list."""
        values = self.fields
        phone = values["national"] if values["cc"] == "86" else values["plus"]
        return [
            values["ref"],
            values["name"],
            phone,
            values["mail"],
            values.get("id", ""),
            values.get("card", ""),
        ]


HEADER = ("customer_ref", "name", "phone", "email", "resident_id", "card")
