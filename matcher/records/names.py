"""Names of people by their shape."""

from __future__ import annotations

import re

SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江"
    "尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤欧阳司徒"
)
NAME = re.compile(rf"[{SURNAMES}][\u4e00-\u9fff某*]{{1,3}}|[A-Z][a-z]+(?: [A-Z][a-z]+){{1,2}}")
NOT_NAMES = re.compile(r"[省市区县路街号村镇银行卡公司数据客户余额]")
FIRST = frozenset(char.encode() for char in (*SURNAMES, *map(chr, range(ord("A"), ord("Z") + 1))))
"""What a name begins with, as UTF-8: most cells need no expression."""
HAN_BYTES = 3
"""Bytes of a Han character in it."""


def is_name(text: str) -> bool:
    """Whether a whole cell looks like a name.

    >>> is_name('张某'), is_name('张家口市')
    (True, False)
    """
    return NAME.fullmatch(text) is not None and not NOT_NAMES.search(text)


def has_name(text: str) -> bool:
    """Whether `names_in` finds any."""
    return any(not NOT_NAMES.search(m.group()) for m in NAME.finditer(text))


def names_in(text: str) -> list[str]:
    """The first two names in what is left of a cell when its numbers are taken out."""
    return [m.group() for m in NAME.finditer(text) if not NOT_NAMES.search(m.group())][:2]
