"""What is planted in a month, and what can be known of it: whose it is, how grave, and how its
people can be cheated.

Customers 0 to 99,999 have all their fields enrolled; each list takes its own. A rival lender's list
holds customers of both, who agree in every field that it has. `recycled` sells people again whose
leak was known before. What is `made up` never was.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from harness.bench.corpus.people import HALF_OF_PHONES, Person
from harness.bench.month.posts import BEGIN, BRAND, SITES, Post
from harness.bench.month.rows import RIVAL, Row, customer_row, other_row, write_post
from harness.bench.month.truth import Verdict, read

FULL = 100_000
"""Customers with every field."""
CANARIES = {"短信通道甲": FULL - 1, "催收公司乙": FULL - 2, "客服外包丙": FULL - 3}
"""Bait by the partner who alone was given it: number of a customer."""
ABOUT_US = ("ours", "partner", "devices", "offer", "recycled", "sign-up")
"""Kinds of what concerns the tenant; the others are of somebody else's making."""


@dataclass(frozen=True, slots=True)
class Leak:
    """One list or offer. `label` is `truth.read`, by the severity table's first row that applies.

    `size` rows in `form` with `share` of them customers', the rest as `rest` says
    (`rows.other_row`); `day` and `hour` tell when it appears first. `again` sites post it once
    more; `sliced`: each a part of it; `recut`: a part with other columns order. `text` is what the
    seller writes above the rows.

    An amount without a header and without a word of loans beside it may be anything: both readings
    stand in such a label.
    """

    name: str
    kind: str
    label: str
    fields: tuple[str, ...]
    size: int
    form: str
    day: int
    hour: int = 11
    share: float = 1.0
    rest: str = "anybody"
    again: int = 0
    sliced: bool = False
    recut: bool = False
    canary: str = ""
    of: tuple[str, ...] = ()
    known: float = 1.0
    """With `of`: this share of its people are from there; the others are new."""
    head: str = ""
    text: str = ""
    people: list[int] = field(default_factory=list, compare=False)

    @property
    def truth(self) -> tuple[Verdict, ...]:
        """The label's answers."""
        return read(self.label)


PHONE_ID = ("name", "phone", "resident_id")
LOAN = ("name", "phone", "loan")
ORDER = ("name", "phone", "order")
FOUR = ("name", "phone", "resident_id", "card")
SUPPLY = "长期供货，量大从优，飞机联系，支持担保交易。"
OLD_POLICIES = ("before: policies", "before: more policies", "before: yet more policies")
OLD_LOANS = ("before: loans", "before: more loans", "before: yet more loans")
OLD_IDENTITIES = ("before: identities", "before: more identities", "before: yet more identities")
OLD = tuple(f"before: list {number}" for number in range(4))

OURS: tuple[Leak, ...] = (
    Leak("three rows in a chat", "ours", "10 ours medium X15", PHONE_ID, 3, "dashes", 1),
    Leak("eight loans", "ours", "10 ours medium X9", LOAN, 8, "csv", 2, head="贷款客户 一手料"),
    Leak("fifteen cards", "ours", "7 ours high X7", FOUR, 15, "dashes", 4, 2),
    Leak("twelve cards with their codes", "ours", "7 ours high X3",
    ("name", "card", "expiry", "cvv"), 12, "dashes", 8, 5),
    Leak("six with their passwords", "ours", "7 ours high X4", ("name", "phone", "password"), 6,
    "csv", 12, 4),
    Leak("sixty loans with ID, named", "ours", "7 ours high X9", (*PHONE_ID, "loan"), 60, "csv", 3,
    13, head=f"{BRAND}贷款客户"),
    Leak("fifteen loans with ID", "ours", "10 ours medium X9", (*PHONE_ID, "loan"), 15, "csv", 22,
    9),
    Leak("twenty orders", "ours", "10 ours medium X12", ("name", "phone", "order"), 20, "json", 5,
    again=2),
    Leak("forty, half of them", "ours", "10 ours medium X15", PHONE_ID, 40, "csv", 6, share=0.5),
    Leak("a hundred policies", "ours", "9 ours high X11", ("name", "phone", "policy"), 100, "csv",
    7, again=3, recut=True),
    Leak(
        "eighty loans of 2021", "ours", "10 ours medium X9", (*LOAN, "applied"), 80, "csv", 9, 15
    ),
    Leak(
        "two hundred, a tenth", "ours", "14 unknown notice X15 | 10 ours medium X15", PHONE_ID, 200,
        "dashes", 8, share=0.1
    ),
    Leak("five hundred balances", "ours", "9 ours high X10", ("name", "phone", "balance"), 500,
    "sql", 10, 3, again=1),
    Leak("in digests", "ours", "11 ours medium X18 | 11 unknown medium X18", ("md5",), 400, "lines",
    11),
    Leak("in the holiday", "ours", "9 ours high X9 | 10 ours medium X17", LOAN, 600, "dashes", 16,
    4, again=1, recut=True),
    Leak(
        "three thousand, a twentieth", "ours",
        "14 unknown low X15 | text unknown medium X15 | 9 ours high X15",
        PHONE_ID, 3000, "csv", 19, share=0.05,
    ),
    Leak("mails and phones", "ours", "10 ours medium X18", ("email", "phone"), 150, "csv", 21),
    Leak("ten thousand in slices", "ours", "7 ours high X7", FOUR, 10_000, "dashes", 24, again=4,
    sliced=True),
    Leak("thirty thousand", "ours", "9 ours high X10", (*PHONE_ID, "balance"), 30_000, "csv", 28,
    again=1),
    Leak("a score of customers", "ours", "10 ours medium X15", PHONE_ID, 25, "json", 29),
    Leak("one in three", "ours",
    "14 unknown low X9 | 14 unknown notice X17 | 10 ours medium X9 | 10 ours medium X17", LOAN, 90,
         "dashes", 23, 1, share=0.34),
    Leak("complaints with their own loans", "ours", "10 ours medium X9 | 14 unknown low X9", LOAN,
    20, "petition", 13, 20),
    Leak("through a text message", "partner", "4 partner high X17", ("name", "phone"), 120,
    "dashes", 3, canary="短信通道甲"),
    Leak("through a collector", "partner", "4 partner high X9", LOAN, 900, "csv", 13,
    canary="催收公司乙", again=1),
    Leak("through a call centre", "partner", "4 partner high X12", ORDER, 60, "json", 25,
    canary="客服外包丙"),
)  # fmt: skip
SAMPLES: tuple[Leak, ...] = (
    Leak("five of 10万", "ours", "8 ours high X15", PHONE_ID, 5, "dashes", 2, 22, text=SUPPLY,
         head=f"出售{BRAND}客户 10万条 走样"),
    Leak("five of 100w", "ours", "8 ours high X12", ("name", "phone", "order"), 5, "csv", 10, 19,
    head="一手料 100w 出售 日更"),
    Leak("five of 1.2亿", "ours", "8 ours high X9", LOAN, 5, "dashes", 18, 2,
    head="网贷数据 1.2亿 打包出", text=SUPPLY, again=1),
    Leak(
        "three of five, 500k rows", "ours", "8 ours high X15", PHONE_ID, 5, "csv", 26, 7, share=0.6,
        rest="others",
        head=f"[SELLING] {BRAND} database leak 500k rows",
        text="sample below, escrow accepted, telegram only",
    ),
    Leak(
        "two of five, 30万", "ours", "14 unknown notice X15 | 15 unknown medium X15", PHONE_ID, 5,
        "dashes", 20, 8, share=0.4,
        rest="others", head=f"{BRAND}客户 30万条 出售", text=SUPPLY,
    ),
    Leak(
        "five strangers, 50w, named", "offer", "15 unknown medium *", PHONE_ID, 5, "dashes", 15, 1,
        share=0, rest="others",
        head=f"出售{BRAND}股民数据 50w 一手料", text=SUPPLY,
    ),
    Leak("an offer without rows", "offer", "15 unknown medium *", (), 0, "words", 5, 13,
         head=f"出售{BRAND}贷款客户数据 50万条 一手料", text=SUPPLY),
    Leak("an offer with a price", "offer", "15 unknown medium *", (), 0, "words", 14, 23,
         head=f"{BRAND} 全格式 四要素 内鬼出 可验 收U", text=SUPPLY),
    Leak("somebody asks for data", "offer", "15 unknown notice *", (), 0, "words", 19, 21,
         head=f"收料 {BRAND} 股民数据 长期 担保交易"),
    Leak("an offer in English", "offer", "15 unknown medium *", (), 0, "words", 26, 9,
         head=f"[SELLING] {BRAND} fullz full db 2.1M rows escrow"),
)  # fmt: skip
RIVALS: tuple[Leak, ...] = (
    Leak("a rival's, 8 %", "rival", "14 unknown low X9", LOAN, 500, "csv", 1, 16, share=0.08,
    rest="others"),
    Leak(
        "a rival's, 12 %, large", "rival", "13 unknown medium X9", LOAN, 12_000, "dashes", 7, 2,
        share=0.12, rest="others",
        again=1, recut=True, head="网贷数据 日更 长期供货",
    ),
    Leak("a rival's, 25 %, with ID", "rival", "13 unknown medium X9", (*PHONE_ID, "loan"), 2000,
    "csv", 11, 3, share=0.25,
         rest="others", again=2, recut=True),
    Leak(
        "a rival's, 18 %, it says so", "rival", "13 elsewhere medium X9", (*LOAN, "lender"), 600,
        "csv", 17, 13, share=0.18,
        rest="others", head=f"{RIVAL} 借款客户 全字段",
    ),
    Leak("a rival's, 15 %, name and phone", "rival", "14 unknown medium X17", ("name", "phone"),
    3000, "dashes", 21, 22,
         share=0.15, rest="others"),
    Leak("a rival's, 10 %, identities", "rival", "14 unknown low X15 | text unknown medium X15",
    PHONE_ID, 1000, "json", 24, 6,
         share=0.1, rest="others"),
    Leak(
        "a rival's sample of 10万", "rival", "14 unknown low X9", LOAN, 40, "dashes", 5, 20,
        share=0.2, rest="others",
        head="网贷数据 10万条 走样", text=SUPPLY,
    ),
    Leak("one of a rival's five", "rival", "14 unknown notice X15", PHONE_ID, 5, "dashes", 12, 12,
    share=0.2, rest="others",
         head="三要素 5万条 出售"),
    Leak(
        "a rival's, 10 %, 'yours as well'", "rival", "14 unknown low X9", LOAN, 300, "csv", 28, 3,
        share=0.1, rest="others",
        head=f"网贷数据 出售 {BRAND}客户同样可做",
    ),
    Leak("a rival's four elements", "rival", "13 unknown medium X7", FOUR, 200, "csv", 20, 15,
    share=0.1, rest="others"),
)  # fmt: skip
OTHERS: tuple[Leak, ...] = (
    Leak("another lender's", "other", "1 elsewhere noise X9", LOAN, 5000, "csv", 2, 5, share=0),
    Leak(
        "another lender's, large",
        "other",
        "1 elsewhere noise X9 | 1 elsewhere noise X17",
        LOAN,
        60_000,
        "dashes",
        9,
        share=0,
        again=1,
    ),
    Leak(
        "a shop's orders",
        "other",
        "1 elsewhere noise X12",
        ("name", "phone", "order"),
        2000,
        "json",
        12,
        share=0,
    ),
    Leak(
        "an insurer's",
        "other",
        "1 elsewhere noise X11",
        ("name", "phone", "policy"),
        800,
        "csv",
        14,
        share=0,
    ),
    Leak(
        "a hospital's",
        "other",
        "1 elsewhere noise X11",
        (*PHONE_ID, "health"),
        300,
        "dashes",
        17,
        share=0,
        again=2,
    ),
    Leak(
        "numbers alone", "other", "1 elsewhere noise X18", ("phone",), 100_000, "lines", 20, share=0
    ),
    Leak(
        "a courier's",
        "other",
        "1 elsewhere noise X16",
        ("name", "phone", "address"),
        4000,
        "csv",
        22,
        share=0,
        again=1,
    ),
    Leak(
        "investors",
        "other",
        "1 elsewhere noise X10",
        ("name", "phone", "balance"),
        1500,
        "sql",
        27,
        share=0,
    ),
    Leak(
        "a run of numbers",
        "made up",
        "1 fabricated noise *",
        ("name", "phone"),
        500,
        "dashes",
        4,
        16,
        share=0,
        rest="run",
    ),
    Leak(
        "a run with identities",
        "made up",
        "1 fabricated noise *",
        PHONE_ID,
        2000,
        "csv",
        15,
        share=0,
        rest="run",
    ),
    Leak(
        "identities that fail",
        "made up",
        "1 fabricated noise *",
        PHONE_ID,
        400,
        "dashes",
        21,
        3,
        share=0,
    ),
    Leak(
        "a long run",
        "made up",
        "1 fabricated noise *",
        ("phone",),
        20_000,
        "lines",
        11,
        20,
        share=0,
        rest="run",
    ),
    Leak("cards made up", "made up", "1 fabricated noise *", FOUR, 300, "csv", 27, 22, share=0),
)
AGAIN: tuple[Leak, ...] = (
    Leak("old rows, mixed", "recycled", "2 recycled noise X11", ("name", "phone", "policy"), 90,
    "csv", 18, of=OLD_POLICIES),
    Leak("old loans", "recycled", "2 recycled noise X9", LOAN, 300, "dashes", 23, of=OLD_LOANS,
    head="网贷数据 1.2亿 出售"),
    Leak("old identities", "recycled", "2 recycled noise X15", PHONE_ID, 200, "csv", 6, 14,
    of=OLD_IDENTITIES),
    Leak("old again, large", "recycled", "2 recycled noise X15", PHONE_ID, 1500, "dashes", 26,
    of=OLD_IDENTITIES, again=1),
    Leak("old people, now with loans", "recycled", "7 ours high X9 | 7 recycled high X9",
    (*PHONE_ID, "loan"), 400, "csv", 16, 22,
         of=OLD_IDENTITIES),
    Leak("old people among new ones", "ours", "9 ours high X15", PHONE_ID, 500, "dashes", 25, 4,
    of=OLD, known=0.5),
)  # fmt: skip
LOGINS: tuple[Leak, ...] = (
    Leak("eighty customers' logins", "devices", "6 devices high X4", ("phone", "password"), 80,
    "logins", 6, 1),
    Leak("twelve customers' logins", "devices", "6 devices medium X4", ("phone", "password"), 12,
    "logins", 14, 14),
    Leak("one of the staff", "devices", "5 devices high X1 | 5 devices high X4", (), 0, "staff", 9,
    3),
    Leak("an administrator", "devices", "5 devices high X1 | 5 devices high X4", (), 0,
    "administrator", 19, 5),
    Leak("a combo list, fifteen ours", "combo", "12 elsewhere medium X4 | 12 unknown medium X4",
    ("email", "password"), 2000,
         "colons", 10, 22, share=0.0075, head="fresh combolist HQ"),
    Leak("a combo list, four ours", "combo",
         "12 elsewhere low X4 | 12 elsewhere notice X4 | 12 unknown low X4 | 12 unknown notice X4",
         ("email", "password"), 1000, "colons", 23, 13, share=0.004, head="combolist mixed"),
    Leak("a combo list of phones", "combo", "12 elsewhere medium X4 | 12 unknown medium X4",
    ("phone", "password"), 3000,
         "dashes", 17, 21, share=0, head="combo 手机号 密码"),
    Leak("phones tried at sign-up", "sign-up", "11 ours medium X18 | 11 unknown medium X18",
    ("phone",), 2000, "lines", 8, 18,
         head=f"{BRAND} 筛号 已注册"),
    Leak("phones and whether signed up", "sign-up", "11 ours medium X18 | 11 unknown medium X18",
    ("phone", "signed_up"), 4000,
         "csv", 18, 16, share=0.5, rest="others", head="筛号结果"),
    Leak("thirty phones of ours", "sign-up", "11 ours low X18 | 11 unknown low X18", ("phone",), 30,
    "lines", 27, 8),
    Leak("masked in three fields", "ours",
    "11 ours medium X15 | 11 unknown medium X15 | 9 ours high X15",
         ("name", "masked_phone", "masked_id"), 200, "csv", 22, 20),
)  # fmt: skip
REPORTS: tuple[Leak, ...] = (
    Leak(
        "news that quotes an offer", "report", "1 elsewhere noise * | 15 unknown notice *", (), 0,
        "words", 4, 10,
        head="反诈提醒",
        text=f"警方提醒：有人在境外论坛发帖“出售{BRAND}贷款客户数据 50万条 一手料 飞机联系”，"
        "经查系虚假信息，法院已判处两名被告人有期徒刑三年。检察院提醒市民不要轻信。",
    ),
    Leak(
        "news of five who were sold", "report", "1 elsewhere noise * | 15 unknown notice *", (), 0,
        "words", 13, 9,
        head=f"{BRAND}回应数据泄露传闻",
        text=f"近日有网友称{BRAND}客户数据1.2亿条被叫卖。该行回应称，经核查系旧闻拼凑，已向公安机关报案。案例显示，此类叫卖多为骗局。",
    ),
    Leak("a wanted notice, a customer", "report", "1 elsewhere noise * | 14 unknown notice *",
    PHONE_ID, 1, "wanted", 7, 15),
    Leak("a wanted notice, a stranger", "report", "1 elsewhere noise * | 14 unknown notice *",
    PHONE_ID, 1, "wanted", 21, 15,
         share=0, rest="others"),
    Leak(
        "a complaint about selling", "report", "1 elsewhere noise * | 15 unknown notice *", (), 0,
        "words", 24, 19,
        head=f"{BRAND}是不是把我的资料卖了",
        text="申请贷款之后一天接十几个推销电话，我的信息肯定被出售了，客服说没有内鬼，谁信？要投诉到银保监。",
    ),
)  # fmt: skip
LEAKS: tuple[Leak, ...] = (*OURS, *SAMPLES, *RIVALS, *OTHERS, *AGAIN, *LOGINS, *REPORTS)
BEFORE: tuple[Leak, ...] = (
    *(
        Leak(name, "ours", "9 ours high X11", ("name", "phone", "policy"), 150, "csv", -30 - n)
        for n, name in enumerate(OLD_POLICIES)
    ),
    *(
        Leak(name, "ours", "9 ours high X9", LOAN, 400, "csv", -40 - n)
        for n, name in enumerate(OLD_LOANS)
    ),
    *(
        Leak(name, "ours", "9 ours high X15", PHONE_ID, 1200, "dashes", -50 - n)
        for n, name in enumerate((*OLD_IDENTITIES, *OLD))
    ),
)
"""Leaks that were known, told and acknowledged before the month begins."""


def leak_posts(rng: random.Random) -> Iterator[Post]:
    """Return every post of every leak; a leak remembers its people for those that resell them."""
    enrolled = iter(range(FULL - len(CANARIES)))
    leaks_by_name: dict[str, Leak] = {}
    for leak in sorted((*BEFORE, *LEAKS), key=lambda one: (one.day, one.hour)):
        leaks_by_name[leak.name] = leak
        leak.people[:] = _people(rng, leak, leaks_by_name, enrolled)
        yield from _posts(rng, leak, _rows(rng, leak))


def _people(
    rng: random.Random, leak: Leak, known: dict[str, Leak], enrolled: Iterator[int]
) -> list[int]:
    """Numbers of the customers in it."""
    count = round(leak.size * leak.share)
    before = [number for name in leak.of for number in known[name].people]
    again = rng.sample(before, min(round(count * leak.known), len(before)))
    new = 0 if leak.of and leak.known == 1 else count - len(again)
    return (
        again
        + [next(enrolled) for _ in range(new)]
        + ([CANARIES[leak.canary]] if leak.canary else [])
    )


def _rows(rng: random.Random, leak: Leak) -> list[Row]:
    """Return the leak's rows in some order: customers' and other people's."""
    rows = [customer_row(rng, leak.fields, Person(number)) for number in leak.people]
    first = rng.randrange(HALF_OF_PHONES - leak.size)  # where customers are among them
    rows += [other_row(rng, leak, first + n) for n in range(leak.size - len(rows))]
    if leak.rest != "run":
        rng.shuffle(rows)
    return rows


def _posts(rng: random.Random, leak: Leak, rows: list[Row]) -> Iterator[Post]:
    """Return the first post and those that repeat it hours or days later."""
    at = BEGIN + timedelta(days=leak.day, hours=leak.hour, minutes=rng.randrange(60))
    sites = rng.sample([f"site{n:03d}" for n in range(SITES)], leak.again + 1)
    title = leak.head or rng.choice(("客户资料", "数据样例", "sample", "最新数据"))
    for number, site in enumerate(sites):
        part = rows
        if leak.sliced and number:
            part = rows[number * len(rows) // 8 : (number + 5) * len(rows) // 8]
        if leak.recut and number:
            part = [dict(reversed(row.items())) for row in rows[: len(rows) * 3 // 4]]
        text = write_post(rng, leak, part)
        yield Post(
            at + timedelta(hours=number * rng.uniform(5, 30)), site, "leak", title, text, leak.name
        )
