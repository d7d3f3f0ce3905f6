"""A month of ordinary posts of 200 sites: what a monitor reads all day, and must not wake anybody
for.

Every genre is one function of a random source and a moment. Numbers are drawn from the whole space
of phones, of which customers are as many as 50 million among 1.8 billion, so that chance gives what
it gives a large platform.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from harness.bench.corpus.people import GIVEN, SURNAMES, Person
from harness.bench.corpus.prose import prose

BEGIN = datetime(2026, 1, 31, 16, 0, tzinfo=UTC)
"""Midnight of 2026-02-01 in China: a month with the nine days of the Spring Festival (15 to 23
February).
"""
DAYS = 30
HOLIDAY = range(14, 23)
BURSTS = {3: 2, 9: 3, 12: 4, 26: 1}
"""Nights in which somebody floods the boards: day, and hour of China's night."""
HOURLY = (2, 1, 1, 1, 1, 2, 3, 5, 8, 10, 11, 11, 9, 9, 10, 10, 10, 9, 8, 9, 11, 12, 9, 5)
SITES = 200
PHONES = 100_000_000
"""Phones of the synthetic prefix: all that are in use in this world."""
STRANGERS = 40_000_000
BRAND = "云杉银行"
DOMAIN = "yunshan-bank.example"
CARD_RANGE = "6200000"
"""Cards of customers; strangers' begin otherwise."""


@dataclass(frozen=True, slots=True)
class Post:
    """One post as it stands on a site; `leak` names the planted leak that it belongs to, "" for
    none.
    """

    at: datetime
    site: str
    kind: str
    title: str
    text: str
    leak: str = ""


def any_phone(rng: random.Random) -> str:
    """Any number in use, a customer's or not."""
    return f"154{rng.randrange(PHONES):08d}"


def any_name(rng: random.Random) -> str:
    """Return a common name."""
    return rng.choice(SURNAMES) + "".join(rng.choice(GIVEN) for _ in range(rng.randint(1, 2)))


def stranger(rng: random.Random) -> Person:
    """Somebody who is no customer, but for the phone, which is drawn apart."""
    return Person(rng.randrange(STRANGERS), customer=False)


def _talk(rng: random.Random) -> str:
    lines = prose(2)
    return "\n".join(rng.choice(lines) for _ in range(rng.randint(2, 9)))


def talk(rng: random.Random) -> tuple[str, str]:
    """Return the small talk that fills most boards."""
    text = _talk(rng)
    return text[:18], text


def own_number(rng: random.Random) -> tuple[str, str]:
    """Somebody who wants to be called."""
    what = rng.choice(("自行车", "旧书", "钢琴", "相机", "婴儿车", "书桌"))
    return (
        f"转让{what}",
        f"{_talk(rng)}\n{what}九成新，自提。联系电话 {any_phone(rng)}，微信同号，{any_name(rng)}。",
    )


def shop(rng: random.Random) -> tuple[str, str]:
    """Return the advertisement of a shop with its hotline and its owner's number."""
    name = rng.choice(("宏达装修", "安心搬家", "小满花店", "诚信开锁", "好味外卖", "顺风洗车"))
    text = (
        f"{name}公司 本店营业时间 9:00-21:00 地址 建国路{rng.randint(1, 300)}号\n服务热线"
        f" 400{rng.randrange(10**7):07d}"
    )
    return f"{name} 全城服务", f"{text} 店长手机 {any_phone(rng)} 欢迎光临本店"


def guest_list(rng: random.Random) -> tuple[str, str]:
    """People who signed up for something, with their numbers."""
    rows = [f"{n}. {any_name(rng)} {any_phone(rng)}" for n in range(1, rng.randint(4, 30))]
    return "周末徒步报名接龙", "\n".join(("周末徒步报名接龙，集合时间八点", *rows))


def log_lines(rng: random.Random) -> tuple[str, str]:
    """Make logs and code, with numbers that are nobody's."""
    rows = [
        f"2026-02-{rng.randint(1, 28):02d} 10:{rng.randrange(60):02d}:00 INFO order"
        f" {rng.randrange(10**18):018d} served in {rng.randrange(900)} ms"
        f" trace={rng.getrandbits(128):032x}"
        for _ in range(rng.randint(10, 120))
    ]
    return "service.log", "\n".join(rows)


def news(rng: random.Random) -> tuple[str, str]:
    """Make reports of the trade, in its own words."""
    brand = BRAND if rng.random() < 0.3 else "某银行"
    text = (
        f"警方提醒：近期有人出售{brand}贷款客户数据，一手料、四件套被公开叫卖。"
        f"法院判处被告人有期徒刑{rng.randint(1, 6)}年，"
        "典型案例显示，不法分子冒充客服实施电信诈骗。检察院提醒市民不要出租银行卡。举报电话"
        f" {rng.choice(('110', '96110'))}。"
    )
    return (
        f"{rng.choice(('警方通报', '以案说法', '反诈提醒'))} {rng.randint(1, 999)}",
        f"{text}\n{_talk(rng)}",
    )


def complaint(rng: random.Random) -> tuple[str, str]:
    """Return the complaint of a customer about the bank."""
    text = rng.choice(
        (
            f"{BRAND}的手机银行又登不上去了，客服让我等。",
            f"有没有人知道{BRAND}提前还款怎么办？流水要打多久的？",
            f"{BRAND}今天一直给我打电话推销贷款，怎么取消？",
            f"在{BRAND}查征信被拒了，求助。",
        )
    )
    return text[:14], f"{text}\n{_talk(rng)}"


def trade(rng: random.Random) -> tuple[str, str]:
    """Return an offer of other platforms' data, with a sample of strangers."""
    head = rng.choice(
        (
            "出售股民数据 一手料 全格式",
            "网贷数据 三要素 长期供货 量大从优",
            "保单数据 车险数据 可验 走样",
        )
    )
    rows = []
    for _ in range(rng.randint(4, 20)):
        person = stranger(rng)
        rows.append(f"{any_name(rng)}----{any_phone(rng)}----{person.resident_id}")
    return head, "\n".join((f"{head}，日更，飞机联系，担保交易", *rows))


def combolist(rng: random.Random) -> tuple[str, str]:
    """Logins of other sites."""
    rows = [
        f"{stranger(rng).email}:Pass{rng.randrange(10**6)}" for _ in range(rng.randint(20, 300))
    ]
    return "fresh combolist HQ", "\n".join(rows)


def list_numbers(rng: random.Random) -> tuple[str, str]:
    """Return numbers for mass calling, of people at random."""
    return "精准号码", "\n".join(any_phone(rng) for _ in range(rng.randint(50, 800)))


def stealer_log(rng: random.Random) -> tuple[str, str]:
    """Return what was stolen from one computer, with no login at the tenant."""
    hosts = ("mail.example.org", "shop.example.net", "forum.example.org")
    rows = [
        f"https://{rng.choice(hosts)}/login:{stranger(rng).email}:Pass{rng.randrange(10**6)}"
        for _ in range(rng.randint(10, 90))
    ]
    return "fresh logs free", "\n".join(rows)


def big_claim(rng: random.Random) -> tuple[str, str]:
    """Five rows of strangers under a large claim, of another platform or of none."""
    volume = rng.choice(("10万条", "100w", "1.2亿", "30w", "500k rows"))
    head = f"{rng.choice(('网贷数据', '某行客户', '车险数据', '母婴数据'))} {volume} 出售"
    rows = [f"{any_name(rng)}----{any_phone(rng)}----{stranger(rng).resident_id}" for _ in range(5)]
    return head, "\n".join((f"{head} 先样后量 飞机联系", *rows))


def write_wanted_notice(rng: random.Random) -> tuple[str, str]:
    """Return a police notice about a wanted person."""
    text = (
        f"某县公安局通缉令：犯罪嫌疑人{any_name(rng)}，身份证号{stranger(rng).resident_id}，"
        "现在逃。请知情者向公安机关举报，"
        f"联系民警 {any_phone(rng)}。对提供线索者给予奖励。"
    )
    return f"通缉令 第{rng.randint(1, 999)}号", text


def list_registered(rng: random.Random) -> tuple[str, str]:
    """Return phones that were tried at another platform's sign-up."""
    rows = [
        f"{any_phone(rng)},{rng.choice(('已注册', '未注册'))}" for _ in range(rng.randint(50, 400))
    ]
    return "筛号结果", "\n".join(("手机号,状态", *rows))


Genre = Callable[[random.Random], tuple[str, str]]
GENRES: tuple[tuple[Genre, float], ...] = (
    (talk, 0.684),
    (own_number, 0.100),
    (shop, 0.060),
    (log_lines, 0.080),
    (guest_list, 0.012),
    (news, 0.020),
    (complaint, 0.012),
    (trade, 0.015),
    (combolist, 0.006),
    (list_numbers, 0.005),
    (stealer_log, 0.002),
    (big_claim, 0.002),
    (write_wanted_notice, 0.001),
    (list_registered, 0.001),
)
FLOOD: tuple[Genre, ...] = (shop, trade, own_number)


def ordinary(rng: random.Random, posts: int) -> Iterator[Post]:
    """About `posts` posts of a month in order of time."""
    sites = [f"site{n:03d}" for n in range(SITES)]
    shares = [1.0 / (n + 3) for n in range(SITES)]
    genres, weights = zip(*GENRES, strict=True)
    days = [0.2 if day in HOLIDAY else 1.0 for day in range(DAYS)]
    per_unit = posts / (sum(days) * sum(HOURLY))
    for hour in range(DAYS * 24):
        day = hour // 24
        count = round(per_unit * days[day] * HOURLY[hour % 24] * rng.uniform(0.8, 1.2))
        pairs = list(
            zip(
                rng.choices(genres, weights, k=count),
                rng.choices(sites, shares, k=count),
                strict=True,
            )
        )
        if BURSTS.get(day) == hour % 24:
            flood = rng.choice(FLOOD)
            pairs += [(flood, rng.choice(sites[:12])) for _ in range(600)]
        moments = sorted(rng.random() for _ in pairs)
        for (genre, site), part in zip(pairs, moments, strict=True):
            title, text = genre(rng)
            yield Post(BEGIN + timedelta(hours=hour + part), site, genre.__name__, title, text)
