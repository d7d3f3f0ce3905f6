"""What happens in a night: who is leaked where and when, which sites and channels fail meanwhile.

All of it from the seed.
"""

from __future__ import annotations

import random
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.simulate.channels import ScriptedChannel
from harness.simulate.sites import Post, Site
from tests.matcher.bank import customer

HOUR = 3600.0
FAULTY_SECONDS = 4 * HOUR
"""So long things go wrong; then the night goes on until everything is drained."""
DAY_TURNS_SECONDS = 2 * HOUR
"""Then the day of UTC ends, and with it a seal key."""
OWN = {"north": range(200), "south": range(1000, 1200)}
SHARED = range(2000, 2100)
"""These are customers of both tenants."""
TENANTS = {name: (*customers, *SHARED) for name, customers in OWN.items()}
SITES = ("alpha", "beta", "gamma")
CHATS = ("delta", "epsilon")
CHANNELS = ("pager", "desk", "siem")
LEAKS, HARMLESS = 12, 16
SHAPES = ("once", "once", "again", "shortened", "talk")
BOTH = tuple(
    (whose, shape)
    for shape in ("once", "again", "shortened", "talk")
    for whose in (tuple(OWN), ("both",))
)
"""Leaks that every night has: whatever holds for one tenant, in each shape, must not reach the
other.
"""
SITE_MOODS = ("down", "hangs", "wall", "slow", "layout", "error")
CHANNEL_MOODS = ("down", "refuses", "slow", "loses answers")


@dataclass
class Leak:
    """What one seller offers, and so one incident for each tenant of whom there are customers in
    it.

    `posts` are on sites or in chats; of customers, by number, each post says which it shows.
    """

    posts: list[tuple[str, Post]] = field(default_factory=list)

    @property
    def tenants(self) -> list[str]:
        """Whose customers there are."""
        return [tenant for tenant in TENANTS if self.customers(tenant)]

    def customers(
        self, tenant: str, *, always: bool = False, taken: Container[str] = ()
    ) -> set[int]:
        """Return the leak's customers of `tenant`.

        `always` gives those that any reading must show that is made when all is well, or that was
        of what was `taken`.
        """
        shown = {
            customer
            for _, post in self.posts
            if not always or post.stays or post.id in taken
            for customer in post.people
        }
        return shown.intersection(TENANTS[tenant])


@dataclass
class Script:
    """A night as it is planned."""

    leaks: list[Leak]
    harmless: list[tuple[str, Post]]

    def of(self, place: str) -> list[Post]:
        """List what is posted at a place, in order of time."""
        every = [
            *((where, post) for leak in self.leaks for where, post in leak.posts),
            *self.harmless,
        ]
        return sorted(
            (post for where, post in every if where == place), key=lambda post: (post.at, post.id)
        )


def script_of(rng: random.Random) -> Script:
    """Leaks of people who are in no other, and posts that are none."""
    numbers = iter(range(10_000))
    unused = {
        whose: rng.sample(range_, len(range_)) for whose, range_ in (*OWN.items(), ("both", SHARED))
    }
    leaks = [_leak(rng, unused, numbers, *kind) for kind in (*BOTH, *[()] * (LEAKS - len(BOTH)))]
    harmless = [
        (
            rng.choice((*SITES, *CHATS)),
            _post(rng, numbers, f"今天天气不错 {rng.random()} 有人一起拼车吗", 0.3),
        )
        for _ in range(HARMLESS)
    ]
    return Script(leaks, harmless)


def _leak(
    rng: random.Random, left: dict[str, list[int]], numbers: Iterator[int], *kind: Any
) -> Leak:
    """People of one tenant, of two, or who are customers of both: in posts of the same words,
    shortened, or in one talk.
    """
    whose, shape = kind or (
        rng.choice((("north",), ("south",), ("both",), tuple(OWN), tuple(OWN))),
        rng.choice(SHAPES),
    )
    words = rng.choice(("一手料 全格式 可走样", "出一批资料 精准 带身份证", ""))

    def people(count: int) -> tuple[int, ...]:
        return tuple(left[pool].pop() for pool in whose for _ in range(count))

    if shape == "talk":
        return _talk(rng, numbers, words, [people(9), people(9)])
    whole = people(12 if shape == "shortened" else rng.choice((9, 10, 12)))
    shown = [whole] * (1 if shape == "once" else rng.choice((2, 3)))
    if shape == "shortened":
        shown[1:] = [tuple(group for number, group in enumerate(whole) if number % 4)] * (
            len(shown) - 1
        )
        rng.shuffle(shown)
    return Leak(
        [
            (
                rng.choice((*SITES, *CHATS)),
                _post(rng, numbers, text_of(group_, words), 0.15, group_),
            )
            for group_ in shown
        ]
    )


def _talk(
    rng: random.Random, numbers: Iterator[int], words: str, shown: list[tuple[int, ...]]
) -> Leak:
    """Different people in the messages of one author.

    They come at once: with a clock that jumps in between nobody could tell.
    """
    chat, at, author = rng.choice(CHATS), rng.uniform(0.0, FAULTY_SECONDS), f"author{next(numbers)}"
    names = (f"post{next(numbers):04}" for _ in shown)
    return Leak(
        [
            (chat, Post(name, text_of(group, words), at, author=author, people=group))
            for name, group in zip(names, shown, strict=True)
        ]
    )


def text_of(customers: tuple[int, ...], words: str) -> str:
    """Return a list of people in the form in which it is offered."""
    rows = (customer(number) for number in customers)
    return f"{words}\n姓名,手机号,身份证\n" + "".join(
        f"{r['name']},{r['phone']},{r['resident_id']}\n" for r in rows
    )


def _post(
    rng: random.Random, numbers: Iterator[int], text: str, goes: float, people: tuple[int, ...] = ()
) -> Post:
    at, number = rng.uniform(0.0, FAULTY_SECONDS), next(numbers)
    gone = at + rng.uniform(600.0, 3 * HOUR) if rng.random() < goes else float("inf")
    return Post(f"post{number:04}", text, at, gone, f"author{number}", people)


def give_moods(rng: random.Random, sites: list[Site], channels: list[ScriptedChannel]) -> None:
    """Choose times at which sites and channels are not as they should be."""
    for sites_, moods, kinds in (
        (sites, (0, 1, 2, 3), SITE_MOODS),
        (channels, (0, 1, 2, 3), CHANNEL_MOODS),
    ):
        for site in sites_:
            for _ in range(rng.choice(moods)):
                since = rng.uniform(0.0, FAULTY_SECONDS - 60.0)
                until = min(FAULTY_SECONDS, since + rng.choice((300.0, 1800.0, 1.5 * HOUR)))
                site.moods.append((since, until, mood := rng.choice(kinds)))
                if mood == "loses answers":  # what has arrived is tried again, and refused
                    site.moods.append((until, min(FAULTY_SECONDS, until + 300.0), "refuses"))
