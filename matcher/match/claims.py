"""Read what a post claims to offer: how many people, at what price, which contacts and files.

Only facts are kept, never the post's words. They are read from the title and from the text around
the trade's jargon, and in a sale around brands and its plain words, up to 16 KiB in all. The rules
are our own, from reading public posts of the trade. A number is a volume by its unit or its
multiplier (`10万条`, `500k rows`, `20W+`, `三千万`), unless it is a date, a price or somebody's
number: one behind `QQ`, `电话` or `ID`, or of more than eight digits in one piece, is no volume.
The largest volume and size win, and the first price, with the title before the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from matcher.lexicon import TextTerms, lower
from matcher.text import fold
from ullage.records import Claims

NEAR = 240
"""Bytes on each side of a term that are read for claims."""
HEAD = 2_048
"""Bytes of a text's beginning that are read if the title has jargon."""
MOST = 16_384
"""Bytes of a capture that are read for claims."""
TERMS = 64
"""Terms of a part whose surroundings are read for claims."""
TITLE = 800
LARGEST = 100_000_000_000
"""A larger volume is not believed: there are fewer people, and fewer rows about them."""

HAN_DIGITS = {char: number for number, char in enumerate("零一二三四五六七八九")} | {
    "两": 2,
    "〇": 0,
}
HAN_UNITS = {"十": 10, "百": 100, "千": 1_000}
MULTIPLIERS = {
    "百": 100, "千": 1_000, "k": 1_000, "thousand": 1_000, "w": 10_000, "万": 10_000,
    "lakh": 100_000, "十万": 100_000,
    "百万": 1_000_000, "m": 1_000_000, "mln": 1_000_000, "mil": 1_000_000, "million": 1_000_000,
    "millions": 1_000_000,
    "千万": 10_000_000, "crore": 10_000_000, "亿": 100_000_000, "b": 1_000_000_000,
    "bn": 1_000_000_000,
    "billion": 1_000_000_000,
}  # fmt: skip
ALONE = frozenset(
    (
        "k",
        "w",
        "万",
        "十万",
        "百万",
        "千万",
        "亿",
        "million",
        "millions",
        "billion",
        "mln",
        "lakh",
        "crore",
    )
)
"""Multipliers that make a volume without a unit."""
_MULTIPLIER = "|".join(sorted(MULTIPLIERS, key=len, reverse=True))
NUMBER = (
    r"(?<![a-z\d.,/])(?<!\d["
    r" \-])(\d{1,3}(?:[,'’]\d{3})+|\d{1,3}(?:\.\d{3}){2,}|\d{1,8}(?:\.\d{1,4})?)(?![\d])"
)
UNITS = (
    r"条(?![件款码纹])|人(?![工民事才脸肉间家])|户(?![口籍名型])|行(?![业长程])"
    r"|个(?!月|小时|半)|份|组(?![织长])|笔|名(?![字下单称])|位(?![置于])"
    r"|张(?=卡|银行卡|信用卡|身份证|证|照|图|[^\u4e00-\u9fff]|$)"
    r"|套|例|车主|客户|用户|股民|会员|数据|信息|资料|账号|手机号|记录|名单"
    r"|(?:[a-z]{2,12} ){0,2}(?:records?|rows?|lines?|users?|customers?|clients?|accounts?"
    r"|people|persons?|entries|leads?|members?"
    r"|profiles?|contacts?|cards?|fullz|logs?|phones?|numbers?|emails?|ids?|data|victims?|combos?)"
    r"(?![a-z])"
)
_GAP = r"[^\S\n]?"
VOLUME = re.compile(
    rf"{NUMBER}{_GAP}({_MULTIPLIER})?(?![a-z]){_GAP}(?:\+|多|余|级|左右)?{_GAP}(?:的)?({UNITS})?"
)
HAN_VOLUME = re.compile(
    rf"(?<![第每])([零〇一二两三四五六七八九十百千万亿几数]{{2,12}})(?:\+|多|余)?(级)?({UNITS})?"
)
NO_VOLUME = re.compile(
    r"\s?(?:元|块|圆|rmb|cny|usdt?|u(?![a-z])|美|刀|港币|欧|英镑|btc|xmr|eth|\$|¥|€|£"
    r"|年|月|天|日|号|时|分|秒|公里|km|mb|gb|ma|次|步|赞|粉|阅读|%)"
)
"""The text behind a number that counts no people: money, time, size."""
SOMEBODYS = re.compile(
    r"(?:(?<![a-z])(?:qq|vx?|wx|wechat|tel|phone|mobile|id|no\.?|pwd|pass(?:word)?|pin)"
    r"|扣扣|企鹅|微信|薇信|电话|手机|编号|证号|密码|卡号|尾号|群号?)[\s:#=是为号]{0,4}$"
)
"""The text before a number that identifies a person."""
KIND_SOLD = re.compile(r"(?:手机|电话|卡|账|证|qq|微信|扣扣)(?:号码?)?[\s:]{0,2}$")
LARGE = frozenset(("w", "万", "十万", "百万", "千万", "亿"))
"""Multipliers that follow the goods: `手机号 10万条`. No person's number ends so."""
MONEY = re.compile(
    r"(?:价格?|售|卖|仅|余额|额度|资产|存款|贷款?|逾期|收入|[月年]入|薪|工资|保额|欠款?|转账|金额|流水|币|[$¥￥€£]|usdt?|rmb"
    r"|balance|limit|income|loan|amount|deposit)[\s:=]{0,3}$"
)
"""The text before an amount of money, which counts no people or is no price."""
BALANCE = re.compile(
    r"(?:余额|额度|资产|存款|贷款?|逾期|收入|[月年]入|薪|工资|保额|欠款?|转账|金额|流水"
    r"|balance|limit|income|loan|amount|deposit)[\s:=]{0,3}$"
)

CURRENCIES = {
    "CNY": "元|块钱?|圆|人民币|rmb|cny|¥|￥", "USDT": "usdt|u(?![a-z0-9])|泰达",
    "USD": r"usd|us\$|美元|美金|刀|\$|dollars?|bucks?", "HKD": r"hkd|hk\$|港币|港元",
    "EUR": "eur(?:os?)?|欧元|€",
    "GBP": "gbp|英镑|£", "TWD": "twd|台币", "JPY": "jpy|日元", "BTC": "btc|比特币",
    "XMR": "xmr|门罗币?", "ETH": "eth|以太币?",
}  # fmt: skip
_BEFORE = r"us\$|hk\$|[$¥￥€£]|usdt|usd|rmb|cny|eur|gbp|人民币"
_AMOUNT = r"(\d{1,3}(?:,\d{3})++(?:\.\d{1,2})?|\d{1,7}(?:\.\d{1,8})?)"
PRICE = re.compile(
    rf"(?<![a-z])({_BEFORE})\s?{_AMOUNT}(?![\d.,]*\d)\s?([kw万千百亿])?(?![a-z])"
    r"|(?<![a-z\d.,/])(?<!\d["
    rf" \-]){_AMOUNT}\s?([kw万千百亿])?\s?(?:个|枚)?({'|'.join(CURRENCIES.values())})(?![a-z])"
    rf"|([一二两三四五六七八九十百千万零〇]{{1,8}})(元|块钱?|u(?![a-z0-9])|美金|刀)"
)
_CURRENCY = {name: re.compile(pattern) for name, pattern in CURRENCIES.items()}

FILES = re.compile(
    r"(?:(?<![a-z0-9])(xlsx|xls|csv|tsv|txt|sql|json|xml|pdf|docx|doc|mdb|accdb|dbf|bak|dmp"
    r"|parquet|sqlite|zip|rar|7z)"
    r"|\.(db|gz|tar|html|log))(?![a-z0-9])|(excel|表格)|(文本文[件档])"
)
SIZE = re.compile(
    r"(?<![a-z0-9.,/])(\d{1,6}(?:\.\d{1,3})?)\s?(tib|gib|mib|kib|tb|gb|mb|kb|t|g)(?![a-z0-9])"
)
BYTES = {
    "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30,
    "tib": 2**40,
}  # fmt: skip
NETWORKS = re.compile("[2-6]g")
"""2G to 6G are networks, not sizes."""

_ASKING = (
    r"(?:联系|咨询|洽谈|私聊?|加|找|contact|reach|dm|pm|add|write|message|call|text|hit me|on)"
)
_MAIL = r"[a-z0-9][a-z0-9._%+\-]{0,40}@[a-z0-9\-]{1,40}\.[a-z]"
CONTACTS = {
    "telegram": r"telegram|(?<![a-z])tg(?![a-z])|(?<![a-z])t\.me/|电报|纸?飞机",
    "potato": r"potato(?! ?chat leak)|土豆",
    "whatsapp": r"whats ?app|(?<![a-z])wa\.me/",
    "signal": r"(?<![a-z])signal(?![a-z])",
    "wickr": r"(?<![a-z])wickr",
    "session": rf"{_ASKING} ?(?:me )?(?:on |via )?session(?![a-z])|session ?(?:id|messenger)",
    "tox": r"(?<![a-z])(?:q?tox)(?: ?id)?(?![a-z])",
    "jabber": r"jabber|(?<![a-z])xmpp(?![a-z])",
    "icq": r"(?<![a-z])icq(?![a-z])",
    "discord": r"discord",
    "skype": r"skype",
    "line": rf"{_ASKING} ?line(?![a-z])|(?<![a-z])line ?(?:id)? ?:",
    "threema": r"threema",
    "batchat": r"batchat|蝙蝠",
    "letstalk": r"letstalk",
    "wechat": (
        r"(?:微信|薇信|威信|v信|微x|(?<![a-z])(?:wechat|weixin|vx|wx|wxid))"
        r"(?=[\s:_号+]{0,3}[a-z0-9][a-z0-9_\-]{4})"
        rf"|{_ASKING}\s?(?:我)?\s?(?:微信|薇信|威信|v信|微x|(?:wechat|vx|wx|v)(?![a-z]))|薇信|威信|v信|微x"
    ),
    "qq": (
        r"(?<![a-z])(?:qq|扣扣|企鹅|q群|扣)(?=[\s:群号+]{0,3}\d{5,11}(?!\d))"
        rf"|{_ASKING}\s?(?:我)?\s?(?:qq|扣扣|企鹅|扣|q(?![a-z]))|qq群|扣扣|企鹅"
    ),
    "mail": (
        rf"{_ASKING}[^a-z0-9@]{{0,8}}(?:邮箱|邮件|e-?mail|mail)?[\s:]{{0,3}}{_MAIL}"
        rf"|{_ASKING} ?(?:me )?(?:by |via |an? )?(?:邮箱|邮件|e-?mail)|e-?mail"
        r" (?:me|us|to|at)(?![a-z])|proton ?mail|tutanota"
    ),
    "phone": (
        r"(?:致电|来电|拨打|电联|电话联系|手机联系)|(?:联系|咨询|call|tel)(?:电话|手机)?[\s:]{0,3}\+?(?:86)?[\s\-]?1[3-9]\d"
    ),
}
"""Kinds of contact by how posts name them.

What is a column of many files too (QQ, WeChat, mail, phone) counts only as a contact: asked for, or
with the account behind it.
"""
_CONTACT = {kind: re.compile(pattern) for kind, pattern in CONTACTS.items()}


@dataclass(slots=True)
class Excerpts:
    """Parts of a capture's text that are read for claims; kept in memory only."""

    texts: list[str] = field(default_factory=list)
    _left: int = MOST
    _begun: bool = False

    def add(self, utf8: bytes, terms: TextTerms, *, under_jargon: bool) -> None:
        """Add the text within NEAR (240) bytes of the terms in the next part.

        If the title has jargon, the first 2 KiB of the first part are added too. At most TERMS (64)
        terms of a part count, and all excerpts have at most MOST (16,384) bytes together; the rest
        is dropped.
        """
        spans = [(0, HEAD)] if under_jargon and not self._begun else []
        self._begun = True
        hits = [
            *terms.hits[:TERMS],
            *(terms.sale_hits[:TERMS] if under_jargon or terms.is_traded else ()),
        ]
        if self._left <= 0 or not (spans or hits):
            return
        spans += [(max(0, hit.start - NEAR), hit.end + NEAR) for hit in hits]
        for start, end in _merge_spans(spans):
            excerpt = utf8[start : min(end, start + self._left)]
            self._left -= len(excerpt)
            self.texts.append(excerpt.decode("utf-8", "ignore"))
            if self._left <= 0:
                return


def _merge_spans(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return `spans` in order, with touching spans merged."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def read_claims(title: str, texts: Sequence[str]) -> Claims:
    """Return what a post claims to offer: volume, price, contacts, files and size.

    `texts` are excerpts of its text in folded form. Of several volumes or sizes the largest counts,
    of several prices the first, in the title or else the texts. Without a claim of some sort, its
    field is empty.
    """
    if not (title or texts):
        return Claims()
    read = [lower(text) for text in (fold(title[:TITLE]).text, *texts) if text]
    prices = [price for text in read for price in _prices(text)]
    price, currency = prices[0] if prices else (None, "")
    return Claims(
        volume=max((number for text in read for number in _volumes(text)), default=None),
        price=price,
        currency=currency,
        contacts=tuple(
            sorted(kind for kind, pattern in _CONTACT.items() if any(map(pattern.search, read)))
        ),
        files=tuple(sorted({name for text in read for name in _files(text)})),
        size=max((size for text in read for size in _sizes(text)), default=None),
    )


def _volumes(text: str) -> Iterator[int]:
    """Yield numbers that count people, rows or records, in order of the two ways of writing.

    Prices, dates, and numbers that others claim are left out.
    """
    for match in VOLUME.finditer(text):
        digits, multiplier, unit = match.groups()
        before = text[max(0, match.start() - 12) : match.start()]
        is_sold = multiplier in LARGE and KIND_SOLD.search(before)
        if (SOMEBODYS.search(before) and not is_sold) or NO_VOLUME.match(
            text, match.end(2) if multiplier else match.end(1)
        ):
            continue
        if not unit and (
            multiplier not in ALONE or MONEY.search(before) or NO_VOLUME.match(text, match.end())
        ):
            continue
        if not multiplier and _is_date(digits):
            continue
        yield from _keep_plausible(_parse_number(digits) * MULTIPLIERS.get(multiplier or "", 1))
    for match in HAN_VOLUME.finditer(text):
        han, level, unit = match.groups()
        is_whole = han[-1] in "万亿" and han[0] not in "百千万亿"
        before = text[max(0, match.start() - 12) : match.start()]
        if (
            (unit or level or is_whole)
            and not NO_VOLUME.match(text, match.end(1))
            and not MONEY.search(before)
        ):
            yield from _keep_plausible(parse_han_number(han))


def _keep_plausible(number: float) -> Iterator[int]:
    if 0 < number <= LARGEST:
        yield round(number)


def _parse_number(digits: str) -> float:
    """Return the value of a number, with or without thousands separators."""
    return float(digits.replace(".", "") if digits.count(".") > 1 else re.sub("[,'’]", "", digits))


def _is_date(digits: str) -> bool:
    """Return whether a number in one piece is most likely a year or a day."""
    if not digits.isdigit():
        return False
    if len(digits) == 4:
        return "1990" <= digits <= "2039"
    return (
        len(digits) == 8
        and "1940" <= digits[:4] <= "2039"
        and "01" <= digits[4:6] <= "12"
        and "01" <= digits[6:] <= "31"
    )


def parse_han_number(text: str) -> int:
    """Return the integer that a Chinese numeral stands for; a word such as `几` counts as 1.

    Any other character is skipped, and a text without a numeral is 0.

    >>> [parse_han_number(text) for text in ("三千万", "一亿两千万", "十五万", "几十万", "百万")]
    [30000000, 120000000, 150000, 100000, 1000000]
    """
    whole = part = digit = 0
    for char in text:
        if char in HAN_DIGITS:
            digit = HAN_DIGITS[char]
        elif char in HAN_UNITS:
            part, digit = part + (digit or 1) * HAN_UNITS[char], 0
        elif char == "万":
            whole, part, digit = whole + (part + digit or 1) * 10_000, 0, 0
        elif char == "亿":
            whole, part, digit = (whole + part + digit or 1) * 100_000_000, 0, 0
    return whole + part + digit


def _prices(text: str) -> Iterator[tuple[float, str]]:
    """Yield amounts with their currency, in order."""
    for match in PRICE.finditer(text):
        before, amount, times, amount_2, times_2, behind, han, behind_han = match.groups()
        if BALANCE.search(text[max(0, match.start() - 12) : match.start()]):
            continue
        number = parse_han_number(han) if han else float((amount or amount_2).replace(",", ""))
        yield (
            number * MULTIPLIERS.get(times or times_2 or "", 1),
            _currency(before or behind or behind_han),
        )


def _currency(written: str) -> str:
    return next((name for name, pattern in _CURRENCY.items() if pattern.fullmatch(written)), "")


def _files(text: str) -> Iterator[str]:
    for match in FILES.finditer(text):
        named, dotted, sheet, _ = match.groups()
        yield named or dotted or ("xlsx" if sheet else "txt")


def _sizes(text: str) -> Iterator[int]:
    for match in SIZE.finditer(text):
        number, unit = match.groups()
        if not NETWORKS.fullmatch(f"{number}{unit}"):
            yield round(float(number) * BYTES[unit if unit.endswith("ib") else unit[0]])
