"""What happens in a night: who is leaked where and when, which sites and channels fail meanwhile. All of it from the seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.matcher.bank import customer
from tests.simulate.channels import ScriptedChannel
from tests.simulate.sites import Post, Site

HOUR = 3600.0
FAULTY_SECONDS = 4 * HOUR
"""So long things go wrong; then the night goes on until everything is drained."""
TENANTS = {"north": range(200), "south": range(1000, 1200)}
SITES = ("alpha", "beta", "gamma")
CHATS = ("delta", "epsilon")
CHANNELS = ("pager", "desk", "siem")
LEAKS, HARMLESS = 12, 16
SITE_MOODS = ("down", "hangs", "wall", "slow", "layout", "error")
CHANNEL_MOODS = ("down", "refuses", "slow", "loses answers")


@dataclass
class Leak:
    """Customers of a tenant, by number, and where they are offered: posts on sites, or messages in a chat."""

    tenant: str
    customers: tuple[int, ...]
    posts: list[tuple[str, Post]] = field(default_factory=list)

    def must_be_found(self) -> bool:
        """Whether it can be read when all is well again."""
        return any(post.gone == float("inf") for _, post in self.posts)


@dataclass
class Script:
    """A night as it is planned."""

    leaks: list[Leak]
    harmless: list[tuple[str, Post]]

    def of(self, place: str) -> list[Post]:
        """What is posted at a place, in order of time."""
        every = [*((where, post) for leak in self.leaks for where, post in leak.posts), *self.harmless]
        return sorted((post for where, post in every if where == place), key=lambda post: (post.at, post.id))


def script_of(rng: random.Random) -> Script:
    """Leaks of people who are in no other, each in one post or in several of the same words, and posts that are none."""
    numbers = iter(range(10_000))
    left = {tenant: rng.sample(range_, len(range_)) for tenant, range_ in TENANTS.items()}
    leaks = [_leak(rng, left, numbers) for _ in range(LEAKS)]
    harmless = [
        (rng.choice((*SITES, *CHATS)), _post(rng, numbers, f"今天天气不错 {rng.random()} 有人一起拼车吗", 0.3))
        for _ in range(HARMLESS)
    ]
    return Script(leaks, harmless)


def _leak(rng: random.Random, left: dict[str, list[int]], numbers: Iterator[int]) -> Leak:
    tenant = rng.choice(list(left))
    chosen = tuple(left[tenant].pop() for _ in range(rng.choice((9, 10, 12))))
    text = text_of(chosen, rng.choice(("一手料 全格式 可走样", "出一批资料 精准 带身份证", "")))
    leak = Leak(tenant, chosen)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        leak.posts.append((rng.choice((*SITES, *CHATS)), _post(rng, numbers, text, 0.15)))
    return leak


def text_of(customers: tuple[int, ...], words: str) -> str:
    """A list of people as it is offered."""
    rows = (customer(number) for number in customers)
    return f"{words}\n姓名,手机号,身份证\n" + "".join(f"{r['name']},{r['phone']},{r['resident_id']}\n" for r in rows)


def _post(rng: random.Random, numbers: Iterator[int], text: str, goes: float) -> Post:
    at, number = rng.uniform(0.0, FAULTY_SECONDS), next(numbers)
    gone = at + rng.uniform(600.0, 3 * HOUR) if rng.random() < goes else float("inf")
    return Post(f"post{number:04}", text, at, gone, f"author{number}")


def give_moods(rng: random.Random, sites: list[Site], channels: list[ScriptedChannel]) -> None:
    """Times at which sites and channels are not as they should be."""
    for many, moods, kinds in ((sites, (0, 1, 2, 3), SITE_MOODS), (channels, (0, 1, 2, 3), CHANNEL_MOODS)):
        for one in many:
            for _ in range(rng.choice(moods)):
                since = rng.uniform(0.0, FAULTY_SECONDS - 60.0)
                until = min(FAULTY_SECONDS, since + rng.choice((300.0, 1800.0, 1.5 * HOUR)))
                one.moods.append((since, until, mood := rng.choice(kinds)))
                if mood == "loses answers":  # what has arrived is tried again, and refused
                    one.moods.append((until, min(FAULTY_SECONDS, until + 300.0), "refuses"))
