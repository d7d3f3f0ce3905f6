"""What is planted on every site: threads of several pages in which thirty customers of a bank
stand, among strangers and talk.

A third of them is in one long thread, on each of its pages; others in threads on each page of the
list, a pinned and a moved one among them; others come later, in replies to old threads, and in
threads that are put up with an earlier date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.demo.people import Person, people

CUSTOMERS = 30
LONG = 43
"""Posts of the long thread."""
THREADS = 25
SEED = 16
LONG_TITLE, PINNED_TITLE, MOVED_TITLE = "客户名单 出售", "版规 必读", "老料 打包"
IN_LONG = range(0, LONG, 5)
IN_THREADS = (3, 6, 9, 12, 15, 18, 21, 24)
REPLIED = (LONG_TITLE, "主题 24", "主题 13", "主题 7", PINNED_TITLE)
"""Old threads to which somebody replies."""
BACK_DATED = 5
Threads = Sequence[tuple[str, Sequence[str]]]
"""Titles, each with what is written into the thread of that title, which is opened where there
is none.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """The customers, and what is written in three rounds: at first, later, and later with an
    earlier date.
    """

    customers: Sequence[Person]
    first: Threads
    later: Threads
    back_dated: Threads

    @property
    def texts(self) -> set[str]:
        """All that is written; no two posts say the same."""
        return {
            text
            for threads in (self.first, self.later, self.back_dated)
            for _, texts in threads
            for text in texts
        }

    @property
    def posts(self) -> int:
        """How many posts that is."""
        return len(self.texts)


def plan() -> Plan:
    """Return the planted content, the same each time."""
    everybody = list(people(CUSTOMERS + LONG, SEED))
    customers, strangers = everybody[:CUSTOMERS], iter(everybody[CUSTOMERS:])
    ours = iter(customers)
    lines = [
        _row(next(ours)) if n in IN_LONG else _row(next(strangers)) if n % 2 else f"第{n}楼 要的私"
        for n in range(LONG)
    ]
    first = [
        (LONG_TITLE, lines),
        (PINNED_TITLE, ["先看版规", _row(next(ours))]),
        (MOVED_TITLE, [_row(next(ours))]),
    ]
    first += [
        (f"主题 {n}", [_row(next(ours)) if n in IN_THREADS else f"第{n}个主题 多少钱"])
        for n in range(1, THREADS)
    ]
    later = [(title, [f"顶一下 {title}", _row(next(ours))]) for title in REPLIED]
    later.append(("新料 今日", [_row(next(ours))]))
    back_dated = [(f"旧帖 {n}", [_row(next(ours))]) for n in range(BACK_DATED)]
    assert next(ours, None) is None, "every customer is planted"
    return Plan(customers, first, later, back_dated)


def _row(person: Person) -> str:
    return f"{person.name}----{person.phone}----{person.resident_id} 已放款 5万"
