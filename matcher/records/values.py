"""What a value says of its field where no header and no label names it: `借款8万`, `已放款`, a name, a password.

Data: `values.tsv`. Only whole cells count, so that prose says nothing by a word in it, and none beside words of an offer
(`最高20万，咨询…`). What passwords look like are rules of our own, by reading published descriptions of such lists.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from matcher.detect.labels import label_of
from matcher.text.fold import written
from ullage.regex import compile_later
from ullage.vocabulary.fields import FieldLabel

LONGEST = 32
"""Characters of a cell that may say so."""
LONGEST_OFFER = 1024
"""Characters of a line that are read for words of an offer."""
AMOUNTS = frozenset((FieldLabel.LOAN, FieldLabel.BALANCE))
"""Fields that are amounts: a word for one of them stands before or behind a number."""
_DIGITS = r"(?:[¥$]?[0-9][0-9,]{0,14}(?:\.[0-9]{1,4})?|[一二两三四五六七八九十百千]{1,5}(?=[十百千万亿元块]))"
AMOUNT = (
    rf"{_DIGITS}\s?(?:[十百千万亿]{{1,2}}|w|k)?\s?"
    r"(?:人民币|港币|元|块|rmb|cny|hkd|usd|天|期|个月|days?)?(?:整|左右)?"
)
_WORD = r"([\u4e00-\u9fff]{1,8}?|[A-Za-z][A-Za-z_ ]{2,24}?)"
BEFORE = compile_later(rf"{_WORD}(?:[为是约共了]|人民币)?[\s:=]{{0,2}}{AMOUNT}([\u4e00-\u9fff]{{0,4}})", re.IGNORECASE)
"""`借款8万`, `申请金额为50000元`, `借8万未还`, `Loan amount 5,000`: word, amount, and perhaps what became of it."""
BEHIND = compile_later(rf"{AMOUNT}(?:的)?([\u4e00-\u9fff]{{2,8}})", re.IGNORECASE)
"""`8万借款`, `3000元未还`."""
_FROM, _TO = r"[0-9][0-9.,]*+\s?[十百千万亿元%期天kw]{0,3}\s?[-~至到]\s?", r"[0-9]"
TERMS = compile_later(rf"(?:最高|最低|up to|{_FROM}{_TO})(?!.*(?:20[0-9]{{2}}|[0-9]:))|[0-9万千元]起", re.IGNORECASE)
"""`1-50万`, `最高20万`, `3-36期`, `1万起`: terms of a product, and nobody's amount. Dates and times with hyphens are none."""
CODE_SENT = compile_later(
    r"(?:验证码|驗證碼|校验码|动态密?码|短信码|(?<![a-z])otp|verification code)[^0-9，。,;；]{0,8}[0-9]{4,8}(?![0-9])"
    r"|(?<![0-9])[0-9]{4,8}\s?(?:\(|是|为|is)?(?:您的|你的|your)?[^0-9，。,;；]{0,12}(?:验证码|驗證碼|校验码|verification code)",
    re.IGNORECASE,
)
"""A one-time code as messages give it, which is prose: `您的验证码是123456,5分钟内有效`."""
LONGEST_MESSAGE = 256
"""Characters of a cell that are read for such a code."""
DATED = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}\s?[\-/.]\s?[0-9]{1,2}(?![0-9])")
"""A day or a month, whose hyphens make no range."""
OTHER, OFFERS, GLUED, PASSWORDS = str(FieldLabel.OTHER), "-", "+", f"*{FieldLabel.PASSWORD}"


@cache
def _data() -> dict[str, frozenset[str]]:
    """Words by the first cell of their line, in both scripts."""
    lines = (resources.files(__package__) / "values.tsv").read_text(encoding="utf-8").splitlines()
    parted = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {first: frozenset(form for word in words for form in written(word)) for first, *words in parted}


@cache
def whole_values() -> dict[str, FieldLabel]:
    """Values that are whole cells, with their field."""
    return {word: FieldLabel(label) for label, words in _data().items() if label in FieldLabel.__members__ for word in words}


@cache
def _offer() -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(_data()[OFFERS]))), re.IGNORECASE)


def is_offer(text: str) -> bool:
    """Whether `text` offers what its amounts are of.

    >>> is_offer('贷款额度最高20万,咨询13800138000'), is_offer('张某,借款8万')
    (True, False)
    """
    return _offer().search(text[:LONGEST_OFFER]) is not None


def is_terms(value: str) -> bool:
    """Whether a value behind a label says what is to be had, and not what somebody has.

    >>> is_terms('1-50万'), is_terms('最高20万'), is_terms('50000'), is_terms('2024-01-02')
    (True, True, False, False)
    """
    return _has_terms(value[:LONGEST]) or is_offer(value)


def field_of(value: str) -> FieldLabel | None:
    """The field that a whole value says it is of; OTHER for a tag, None where it says nothing.

    >>> field_of('借款8万'), field_of('已放款'), field_of('8万'), field_of('高净值')
    (<Field.LOAN: 'LOAN'>, <Field.LOAN: 'LOAN'>, None, <Field.OTHER: 'OTHER'>)
    >>> field_of('【某银行】您的验证码是123456'), field_of('验证码登录')
    (<Field.OTP: 'OTP'>, None)
    """
    if value and CODE_SENT.search(value[:LONGEST_MESSAGE]):
        return FieldLabel.OTP
    if not value or len(value) > LONGEST:
        return None
    known = whole_values().get(value.lower())
    if known:
        return known
    for pattern in (BEFORE,) if value.isascii() else (BEFORE, BEHIND):  # words behind an amount are Chinese
        found = pattern.fullmatch(value)
        if found and not _has_terms(value) and (label := _amount(found[1])):
            return label
    return None


def _has_terms(value: str) -> bool:
    return TERMS.search(value) is not None and not DATED.search(value)


def is_tag(value: str) -> bool:
    """Whether a value sorts customers and names nobody, though it looks like a name.

    >>> is_tag('高净值'), is_tag('白领女性'), is_tag('高某')
    (True, True, False)
    """
    return value.startswith(_tags())


@cache
def _tags() -> tuple[str, ...]:
    return tuple(_data()[OTHER])


def _amount(word: str) -> FieldLabel | None:
    """The field of which a word before or behind an amount speaks."""
    text = word.strip()
    for label in AMOUNTS:
        if text.lower() in _data().get(f"{GLUED}{label}", ()):
            return label
    named = label_of(text)
    return named if named in AMOUNTS else None


SHORTEST_MADE = 6
POSSIBLE = re.compile(r"[!-~]{4,64}")
_LETTER, _DIGIT, _SIGN = "(?=[^A-Za-z]*[A-Za-z])", "(?=[^0-9]*[0-9])", "(?=[^!@#$%^&*?+~]*[!@#$%^&*?+~])"
MADE = re.compile(f"{_LETTER}(?:{_DIGIT}|{_SIGN})|{_DIGIT}{_SIGN}")
"""Letters with digits or signs, or digits with signs."""
SOMETHING_ELSE = compile_later(
    r"[0-9]{1,4}[-/.:xX~][0-9]{1,4}(?:[-/.:~][0-9:.\-/~T]{0,32})?"  # dates, times, ranges, ratios, addresses of machines
    r"|[-+]?[$][0-9.,]{1,16}|[-+]?[0-9][0-9,]{0,15}(?:\.[0-9]{1,4})?"
    r"(?:%|[wkmxhsd]|[kmgt]b|rmb|cny|usdt?|hkd|days?|hours?|min|months?|years?|yuan|km|kg|px|pcs)"  # amounts with their unit
    r"|[Vv]?[0-9]+(?:\.[0-9]+){1,3}\S{0,16}"  # versions
    r"|[A-Z]{1,5}[-_]?[0-9]{8,24}"  # numbers of orders and waybills
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?:[a-z][a-z0-9+.]{1,9}:)?//\S{1,64}|www\.\S{1,64}|/\S{1,64}|[A-Za-z0-9._\-]{1,32}/[A-Za-z0-9._/\-]{1,32}"
    r"|(?:[A-Za-z0-9_\-]{1,32}\.){1,4}(?:com|cn|net|org|io|top|xyz|cc|hk|tw|gov|edu|vip|info|html?|php|jpe?g|png|gif|txt|csv|xlsx?|pdf|zip|rar|sql|apk|exe)(?:[:/?]\S{0,64})?"
    r"|(?i:iphone|ipad|redmi|huawei|honor|oppo|vivo|xiaomi|samsung|galaxy|android|windows|chrome|sm-|ios)\S{0,24}"
    r"|[A-Za-z_]{2,16}=\S{0,48}|wxid_\S{1,32}|@\S{1,32}|[{\[<(].{0,64}"
)
"""What a value of such characters is more likely: it is no password."""


def is_possible(value: str) -> bool:
    """Whether a value may be a password.

    >>> is_possible('abc123'), is_possible('123456'), is_possible('2024-01-02'), is_possible('12:30'), is_possible('张三')
    (True, True, False, False, False)
    """
    return value.lower() in _data()[PASSWORDS] or (POSSIBLE.fullmatch(value) is not None and not SOMETHING_ELSE.fullmatch(value))


def is_made(value: str) -> bool:
    """Whether a possible password is made as passwords are: it speaks for one where it stands behind a login.

    >>> is_made('abc123'), is_made('p@ssword'), is_made('123456'), is_made('beijing'), is_made('50000')
    (True, True, True, False, False)
    """
    return value.lower() in _data()[PASSWORDS] or (len(value) >= SHORTEST_MADE and MADE.match(value) is not None)


def is_secret(value: str) -> bool:
    """Whether a value behind a login is a password even where no other row says so."""
    return is_made(value) and is_possible(value)


SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江"
    "尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤欧阳司徒"
)
NAME = compile_later(rf"[{SURNAMES}][\u4e00-\u9fff某*]{{1,3}}|[A-Z][a-z]+(?: [A-Z][a-z]+){{1,2}}")
NOT_NAMES = re.compile(r"[省市区县路街号村镇银行卡公司数据客户余额]")
HAN_BYTES = 3
"""Bytes of a Han character in it."""


def is_name(text: str) -> bool:
    """Whether a whole cell looks like a name.

    >>> is_name('张某'), is_name('张家口市')
    (True, False)
    """
    return NAME.fullmatch(text) is not None and not NOT_NAMES.search(text)


def names_in(text: str) -> list[str]:
    """The first two names in what is left of a cell when its numbers are taken out."""
    return [m.group() for m in NAME.finditer(text) if not NOT_NAMES.search(m.group())][:2]
