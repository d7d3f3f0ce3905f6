"""Recognise mail addresses.

The whole address is lower-cased, including the local part, because no large provider
distinguishes case. A domain in another script becomes its ASCII form (RFC 3492, `例子.中国` is
`xn--fsqu00a.xn--fiqs8s`). `[at]`, `(at)`, `[dot]` and `(dot)` are read as the signs they stand
for. A plus-tag is kept: a customer who enrols `a+x@example.com` is found by it, and `strip_plus`
returns the address without it.

Two hyphens end a field, so they also end a local part: `李某----a@example.com`. A domain ends
with its last label that is all letters. A domain in Chinese needs a top-level domain that is in
use, because prose may follow an address directly.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ullage.identifiers.base import Kind
from ullage.regex import compile_later
from ullage.vocabulary.fields import FieldLabel

AT = r"(?:@|[ ]?[\[(](?:at|AT|At)[\])][ ]?)"
DOT = r"(?:\.|[ ]?[\[(](?:dot|DOT|Dot)[\])][ ]?)"
SIGNS = "._%+-"
"""Characters of a local part beside letters and digits."""
SHORTEST_TOP, LONGEST_TOP = 2, 24
"""Letters of a top-level domain in ASCII."""
_SIGN = re.escape(SIGNS)
START = rf"(?:(?<![A-Za-z0-9{_SIGN}])|(?<=--))(?:(?!--)[{_SIGN}])*+"
"""Where a local part may begin, including signs that cannot be its first character."""
LOCAL = rf"[A-Za-z0-9](?:(?!--)[A-Za-z0-9{_SIGN}]){{0,63}}(?<!\.)"
LABEL = r"[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*+"
END = r"(?![A-Za-z0-9]|-[A-Za-z0-9])"
PLAIN = (
    rf"{LOCAL}{AT}{LABEL}(?:{DOT}{LABEL})*{DOT}"
    rf"(?!xn--)[A-Za-z]{{{SHORTEST_TOP},{LONGEST_TOP}}}{END}"
)
"""An address in ASCII."""
TOP_LEVEL = (
    "中国 中國 香港 台湾 台灣 澳门 澳門 新加坡 公司 网络 網絡 网址 网店 网站 中文网 政务 公益 机构"
    " 组织机构 集团 企业 商城 商店 "
    "商标 测试 測試 信息 在线 手机 移动 游戏 娱乐 时尚 世界 健康 慈善 购物 餐厅 食品 书籍 招聘 珠宝"
    " 我爱你 佛山 广东 大众汽车 "
    "嘉里 八卦 москва рф рус сайт онлайн орг укр бг қаз 한국 닷컴 みんな"
)
"""Top-level domains in other scripts that the root zone holds (IANA, facts)."""
OTHER = r"\u00c0-\u024f\u0400-\u04ff\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3"
WIDE = rf"[A-Za-z0-9\-{OTHER}]{{1,63}}"
NOT_ASCII = (
    rf"(?:xn--[A-Za-z0-9\-]{{1,59}}|[A-Za-z0-9\-]{{0,31}}[{OTHER}][A-Za-z0-9\-{OTHER}]{{0,31}})"
)
TOP = rf"(?:{'|'.join(TOP_LEVEL.split())}|xn--[A-Za-z0-9\-]{{2,59}}(?!\.?[A-Za-z0-9\-]))"
MAY_BE_FOREIGN = (
    rf"(?=[A-Za-z0-9.\-]*+(?:(?<=\.)[{OTHER}]|[{OTHER}][A-Za-z0-9\-{OTHER}]{{0,62}}+\.)"
    r"|[A-Za-z0-9.\-]*?xn--)"
)
"""A condition that every domain in another script meets.

Its first letter of another script stands behind a dot, or in a label with a dot behind it.
"""
FOREIGN = (
    rf"{LOCAL}@{MAY_BE_FOREIGN}(?:(?:{WIDE}\.){{1,4}}{TOP}"
    rf"|(?:{WIDE}\.){{0,2}}?{NOT_ASCII}\.(?:{WIDE}\.){{0,2}}[A-Za-z]{{2,24}}{END})"
)
"""An address whose domain holds other scripts, or their ASCII form."""
PATTERN = compile_later(rf"{START}(?P<value>{PLAIN}|{FOREIGN})")
AT_SIGN = re.compile(AT)
DOT_SIGN = re.compile(DOT)
ADDRESS = compile_later(
    r"[a-z0-9][a-z0-9._%+\-]{0,63}(?<!\.)@"
    r"(?:[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?\.)+"
    r"(?:[a-z]{2,24}|xn--[a-z0-9\-]{1,58}[a-z0-9])"
)
HAN = re.compile("[\u4e00-\u9fff]+")
LONGEST_LABEL = 63
LONGEST = 64 + 1 + 253
"""A local part and a domain, by RFC 5321."""
HEADERS = tuple(
    "邮箱 电子邮箱 邮件 email mail e-mail email_address mail_address e_mail 电邮".split()
)


def normalise(text: str) -> str:
    """Return an address in lower case with plain signs and an ASCII domain, or "" if it is none.

    >>> normalise('Test[at]Example[dot]COM')
    'test@example.com'
    >>> normalise('test@例子.中国')
    'test@xn--fsqu00a.xn--fiqs8s'
    """
    address = text.strip().lower()
    if "(" in address or "[" in address:
        address = DOT_SIGN.sub(".", AT_SIGN.sub("@", address))
    if not address.isascii():
        local, _, domain = address.rpartition("@")
        address = f"{local}@{_ascii(domain)}"
    return address if len(address) <= LONGEST and ADDRESS.fullmatch(address) else ""


@lru_cache(4096)
def _ascii(domain: str) -> str:
    """Convert a domain to ASCII by IDNA 2003; "" where that fails. Cached as domains repeat."""
    labels = [_ascii_label(label) for label in domain.split(".")]
    return ".".join(labels) if all(labels) else ""


@lru_cache(4096)
def _ascii_label(label: str) -> str:
    """Convert a label to ASCII; "" where that fails.

    The result is cached because labels repeat. Chinese labels need no nameprep (RFC 3491), which is
    slow.
    """
    try:
        if HAN.fullmatch(label):
            encoded = f"xn--{label.encode('punycode').decode('ascii')}"
            return encoded if len(encoded) <= LONGEST_LABEL else ""
        return label.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def strip_plus(normal: str) -> str:
    """Return a normal address without its plus-tag, if it has one.

    >>> strip_plus('li.si+shop@example.com')
    'li.si@example.com'
    """
    local, _, domain = normal.partition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


KIND = Kind(
    name="email",
    field=FieldLabel.EMAIL,
    noun="a mail address",
    noun_zh="邮箱",
    rank=0,
    pattern=PATTERN,
    normalise=normalise,
    headers=HEADERS,
    examples=(
        ("Test@Example.COM", "test@example.com"),
        ("test[at]example[dot]com", "test@example.com"),
        ("test@example.com:Passw0rd!", "test@example.com"),
        ("邮箱test+a@example.com。", "test+a@example.com"),
        ("12345678@qq.com", "12345678@qq.com"),
        ("李某----a@example.com----13800138000", "a@example.com"),
        ("test@example.com.13800138000", "test@example.com"),
        ("_test@example.com_", "test@example.com"),
        ("-test@example.com-", "test@example.com"),
        ("邮箱test@例子.中国的", "test@xn--fsqu00a.xn--fiqs8s"),
        ("test@例子.com", "test@xn--fsqu00a.com"),
        ("test@xn--fsqu00a.xn--fiqs8s", "test@xn--fsqu00a.xn--fiqs8s"),
        ("test@mail.xn--fsqu00a.com,", "test@mail.xn--fsqu00a.com"),
    ),
    near_misses=(
        "@example.com",
        "test@",
        "test@example",
        "a b",
        "test@例子.住址",
        "test.@example.com",
        "test@example.c0m",
    ),
)
