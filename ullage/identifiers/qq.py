"""Recognise QQ numbers: 5 to 11 digits that do not begin with 0.

The shape is so common that a label before it, or @qq.com behind it, must confirm it. Eleven
digits of a mobile's shape are a phone that names its owner's QQ mailbox, and are left to that
kind.
"""

from __future__ import annotations

import re

from ullage.identifiers.base import AFTER, BEFORE, Kind, compile_labelled
from ullage.vocabulary.fields import FieldLabel

LABELS = (
    "qq",
    "qq号",
    "qq號",
    "qq号码",
    "qq no",
    "qq_no",
    "qqno",
    "扣扣",
    "扣扣号",
    "企鹅",
    "企鹅号",
)
LENGTHS = (5, 11)
HOSTS = ("@qq.com", "@vip.qq.com")
SHAPE = rf"(?!1[3-9][0-9]{{9}}(?![0-9]))[1-9][0-9]{{{LENGTHS[0] - 1},{LENGTHS[1] - 1}}}"
MAIL = rf"(?:{'|'.join(map(re.escape, HOSTS))})(?![0-9A-Za-z\-])"
NORMAL = re.compile(SHAPE)
BEHIND_MAIL = re.compile(f"{MAIL}$")
HEADERS = ("qq", "qq号", "扣扣")


def normalise(text: str) -> str:
    """Return the digits, or "".

    >>> normalise('12345678@qq.com')
    '12345678'
    """
    bare = text.strip()
    if "@" in bare:
        bare = BEHIND_MAIL.sub("", bare.lower())
    return bare if NORMAL.fullmatch(bare) else ""


KIND = Kind(
    name="qq",
    field=FieldLabel.QQ,
    noun="a QQ number",
    noun_zh="QQ号",
    rank=8,
    pattern=compile_labelled(
        LABELS,
        rf"(?(label)(?<![0-9])|{BEFORE}(?<![._%+\-])){SHAPE}(?(label){AFTER}|(?={MAIL}))",
        required=False,
    ),
    normalise=normalise,
    labels=LABELS,
    headers=HEADERS,
    by_chance=True,
    examples=(
        ("QQ:12345678", "12345678"),
        ("qq12345678", "12345678"),
        ('"qq" : "10001"', "10001"),
        ("扣扣号 12345678901", "12345678901"),
        ("12345678@qq.com", "12345678"),
        ("10001@VIP.QQ.com", "10001"),
    ),
    near_misses=(
        *("12345678", "qq:1234", "qq:012345", "qq群12345678", "xqq12345678"),
        *("QQ 13800138000", "13800138000@qq.com", "a12345@qq.com"),
    ),
)
