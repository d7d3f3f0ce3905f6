"""Recognise WeChat ids: a letter, then 5 to 19 letters, digits, `-` or `_`, in any case.

Internal ids begin with `wxid_`. Any word has that shape, so a label must precede it.
"""

from __future__ import annotations

import re

from ullage.identifiers.base import Kind, compile_labelled
from ullage.vocabulary.fields import FieldLabel

LABELS = (
    *("微信", "微信号", "微信號", "微信id", "薇信", "威信号", "v信", "wx号"),
    *("wechat", "wechat id", "wechat_id", "weixin", "wx", "vx"),
)
SHAPE = r"[a-z](?:(?!--)[a-z0-9_\-]){5,19}"
NORMAL = re.compile(r"[a-z][a-z0-9_\-]{5,19}")
HEADERS = ("微信", "微信号", "wechat", "wx", "weixin")


def normalise(text: str) -> str:
    """Return the id in lower case, or "".

    >>> normalise('GitHub666')
    'github666'
    """
    bare = text.strip().lower()
    return bare if "--" not in bare and NORMAL.fullmatch(bare) else ""


KIND = Kind(
    name="wechat",
    field=FieldLabel.WECHAT,
    noun="a WeChat id",
    noun_zh="微信号",
    rank=9,
    pattern=compile_labelled(LABELS, rf"(?a:(?<![0-9A-Za-z_@.\-]){SHAPE}(?![0-9A-Za-z_]|-(?!-)))"),
    normalise=normalise,
    labels=LABELS,
    signs="_-",
    headers=HEADERS,
    examples=(
        ("微信:github666", "github666"),
        ("加微信号 Zhang_San-1", "zhang_san-1"),
        ("wx=wxid_abcdefghij1234", "wxid_abcdefghij1234"),
        ('{"wechat":"github666"}', "github666"),
        ("微信github666联系", "github666"),
        ("17----微信:github666----x", "github666"),
    ),
    near_misses=(
        *("github666", "wxid_abcdefghij1234", "微信,github666"),
        *("微信:git66", "微信:666github", "微信:13800138000", f"微信:{'a' * 21}"),
    ),
)
