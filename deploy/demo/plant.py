"""Plan what is posted where, and what must be found.

419 people are leaked in the forms that traders use, among ordinary posts. Some of them are
customers of the demo's bank, most of them on its list of 2,000; the others are no customers and
must not be found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from deploy.demo.people import Person, people

CUSTOMERS = 2_000
LEAKED = 419
SAMPLE, CHATTED = 30, 19
"""The number of people in the sample of an offer, and in a sale in a chat.

All of them are customers, as in the bank's own data; elsewhere two of five are.
"""
SEED = 20261124
BRAND = "云杉银行"
PASTES, FORUM, CHAT = "demo-pastes", "demo-forum", "demo-chat"
PRESETS = {PASTES: "bepasty", FORUM: "spirit"}
"""The preset that reads each site."""
MESSAGES = 50
"""The number of messages of the seller in the chat, among those of people who only talk."""
ZERO_WIDTH = "\N{ZERO WIDTH SPACE}"
Take = Callable[[int], list[Person]]
FULL_WIDTH = str.maketrans("0123456789X", "０１２３４５６７８９Ｘ")


@dataclass(frozen=True, slots=True)
class Post:
    """One planned post.

    `thread` is "" for a paste or the first post of a topic, else the title of the topic it replies
    to. A message in a chat has its `author`. `exposed` maps a customer's reference to the kinds of
    data that the post discloses. `alone` is a customer whose number appears without other data, as
    people write their own: this is no leak and counts as benign.
    """

    site: str
    title: str
    body: str
    thread: str = ""
    exposed: dict[str, frozenset[str]] = field(default_factory=dict)
    alone: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the demo posts and expects: the bank's customers and the posts."""

    customers: Sequence[Person]
    posts: Sequence[Post]

    @property
    def expected(self) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
        """The kinds and sites of each exposed customer over all posts, by reference."""
        kinds: dict[str, set[str]] = {}
        sites: dict[str, set[str]] = {}
        for post in self.posts:
            for reference, given in post.exposed.items():
                kinds.setdefault(reference, set()).update(given)
                sites.setdefault(reference, set()).add(post.site)
        return {
            reference: (frozenset(kinds[reference]), frozenset(sites[reference]))
            for reference in kinds
        }

    @property
    def background(self) -> int:
        """The number of posts that hold one customer's number and are no leak."""
        return sum(bool(post.alone) for post in self.posts)

    @property
    def sightings(self) -> int:
        """The number of posts that must yield a finding."""
        return sum(bool(post.exposed) for post in self.posts)


def plan() -> Plan:
    """Return the demo's plan, which is the same each time."""
    customers = list(people(CUSTOMERS, SEED))
    known = {person.reference for person in customers}
    mixed = LEAKED - SAMPLE - CHATTED
    ours = mixed * 2 // 5
    leaked = iter(
        _interleave(customers[SAMPLE : SAMPLE + ours], list(people(mixed - ours, SEED + 1)))
    )

    def take(count: int) -> list[Person]:
        return [next(leaked) for _ in range(count)]

    posts = [*_pastes(take, known), *_topics(take, customers[:SAMPLE], known), *_ordinary()]
    posts += _chat(customers[SAMPLE + ours : SAMPLE + ours + CHATTED], known)
    return Plan(customers, posts)


def _interleave(ours: list[Person], others: list[Person]) -> list[Person]:
    """Return both lists as one: two customers, then three strangers, and so on.

    Strangers are marked by an empty reference.
    """
    strangers = iter(
        Person("", *(getattr(p, name) for name in Person.__slots__[1:])) for p in others
    )
    return [
        ours[n // 5 * 2 + n % 5] if n % 5 < 2 else next(strangers)
        for n in range(len(ours) + len(others))
    ]


def _list_exposed(
    rows: Sequence[Person], known: set[str], *kinds: str
) -> dict[str, frozenset[str]]:
    return {p.reference: frozenset(kinds) for p in rows if p.reference in known}


def _pastes(take: Take, known: set[str]) -> Iterator[Post]:
    rows = take(110)
    dump = "\n".join(f"{p.name}----{p.phone}----{p.resident_id}----{p.balance}" for p in rows)
    text = f"姓名----手机----身份证----余额\n{dump}\n"
    yield Post(
        PASTES,
        "sample-first-hand.txt",
        text,
        exposed=_list_exposed(rows, known, "phone", "resident_id"),
    )
    yield Post(
        PASTES, "repost.txt", text, exposed=_list_exposed(rows, known, "phone", "resident_id")
    )
    rows = take(70)
    noise = [
        f"2026-11-{i % 28 + 1:02d} 10:{i % 60:02d}:00 INFO order service page {i} served in"
        f" {i % 97} ms"
        for i in range(1930)
    ]
    lines = [f'{i},"{p.name}",{p.phone},{p.card},{p.email}' for i, p in enumerate(rows, 1)]
    step = len(noise) // len(lines)
    woven = [
        line for i, row in enumerate(lines) for line in (*noise[i * step : (i + 1) * step], row)
    ]
    woven += noise[len(lines) * step :]
    yield Post(
        PASTES,
        "long.log",
        "\n".join(woven) + "\n",
        exposed=_list_exposed(rows, known, "phone", "card", "email"),
    )
    rows = take(50)
    combo = "\n".join(f"{p.email}:Winter{i}pass!" for i, p in enumerate(rows))
    yield Post(PASTES, "combolist fresh.txt", combo, exposed=_list_exposed(rows, known, "email"))
    rows = take(40)
    values = ",\n".join(
        f"({i},'{p.name}','{p.phone}','{p.address}')" for i, p in enumerate(rows, 1)
    )
    sql = f"INSERT INTO `t_order` (`id`,`name`,`mobile`,`address`) VALUES\n{values};\n"
    yield Post(PASTES, "t_order.sql", sql, exposed=_list_exposed(rows, known, "phone"))
    rows = take(30)
    digests = "\n".join(
        hashlib.md5(p.phone.encode(), usedforsecurity=False).hexdigest() for p in rows
    )
    yield Post(PASTES, "md5.txt", digests, exposed=_list_exposed(rows, known, "phone"))


def _topics(take: Take, sampled: Sequence[Person], known: set[str]) -> Iterator[Post]:
    sample = "\n".join(f"    {p.name}|{p.phone}|{p.resident_id}|{p.card}" for p in sampled)
    offer = (
        f"出售{BRAND}贷款客户数据 一手料 50万条 全格式 可验，长期供货，飞机联系\n\n   "
        f" 姓名|手机|身份证|卡号\n{sample}\n"
    )
    kinds = ("phone", "resident_id", "card")
    yield Post(FORUM, f"{BRAND} 一手料 样例", offer, exposed=_list_exposed(sampled, known, *kinds))
    thread = "Multi-page thread: who called you?"
    yield Post(
        FORUM,
        thread,
        "Somebody called me and knew everything. Post what you know about such calls.",
    )
    victims = take(12)
    for number in range(45):
        person = victims[number] if number < len(victims) else None
        if person is None or number % 2:
            yield Post(
                FORUM,
                "",
                f"Reply {number}: they asked me to share my screen as well, I hung up.",
                thread,
            )
            if person is not None:
                phone = person.phone.translate(FULL_WIDTH)
                body = f"姓名：{person.name}\n\n手机：{phone}\n\n贷款金额：{person.balance}"
                yield Post(FORUM, "", body, thread, _list_exposed([person], known, "phone"))
        else:
            spaced = f"+86 {person.phone[:3]}-{person.phone[3:7]}-{person.phone[7:]}"
            told = f"回复 {number}: 骗子知道我的号码 {spaced} 还有订单"
            yield Post(
                FORUM, "", told, thread, alone=person.reference if person.reference in known else ""
            )
    rows = take(58)
    hidden = "\n\n".join(
        f"{p.name} {ZERO_WIDTH.join(p.phone)} {p.resident_id.translate(FULL_WIDTH)}" for p in rows
    )
    yield Post(
        FORUM,
        "网贷数据 三要素 打包",
        hidden,
        exposed=_list_exposed(rows, known, "phone", "resident_id"),
    )


def _chat(sold: Sequence[Person], known: set[str]) -> Iterator[Post]:
    """Yield a sale in a chat, one row per message, while others talk.

    Each message alone discloses one customer; together they are a breach.
    """
    for number in range(MESSAGES):
        seller = "料商老周"
        if number % 5 == 4:
            yield Post(CHAT, "", f"晚上打不打游戏 {number}", author=f"路人{number % 3}")
        if number % 2 == 0 and number // 2 < len(sold):
            person = sold[number // 2]
            row = f"{person.name} {person.phone} {person.resident_id}"
            row = row if number else f"出{BRAND}贷款客户 20万条 一手料 全格式 可验 飞机联系\n{row}"
            yield Post(
                CHAT,
                "",
                row,
                exposed=_list_exposed([person], known, "phone", "resident_id"),
                author=seller,
            )
        else:
            yield Post(CHAT, "", f"第{number}条 看好了说一声", author=seller)


def _ordinary() -> Iterator[Post]:
    """Yield ordinary posts, as most of any site has; some of them resemble a leak."""
    near = (
        "order 20261124154000001234 shipped, tracking 1540000012, id 110105194912310021, card"
        " 6200000000000006"
    )
    yield Post(PASTES, "shipping.txt", near)
    yield Post(
        PASTES,
        "notes.md",
        "Meeting notes: roadmap, hiring, the new office. Nothing else happened on Tuesday.\n" * 20,
    )
    for number in range(12):
        yield Post(
            PASTES,
            f"snippet{number}.py",
            f"def f{number}(x):\n    return x + {number}  # see RFC {2600 + number}\n",
        )
        yield Post(
            PASTES,
            f"日记{number}.txt",
            f"今天天气很好，去公园散步，看到很多人在放风筝。第{number}篇。\n" * 5,
        )
    for number in range(8):
        yield Post(
            FORUM,
            f"Which phone should I buy? ({number})",
            f"Model {number} or {number + 1}? My budget is {number}000.",
        )
        yield Post(
            FORUM, f"周末去哪里玩 {number}", f"有没有推荐的地方？预算{number}百元，最好能坐地铁。"
        )
    news = (
        "警方提醒：近期有人出售贷款客户数据，冒充客服诈骗。法院判处被告人有期徒刑三年。案例见官网。"
    )
    yield Post(FORUM, "警方提醒 反诈案例", news)
