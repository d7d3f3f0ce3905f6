"""Mail addresses.

The whole address is lower-cased (the local part too: no large provider tells them apart). `[at]`, `(at)`, `[dot]` and
`(dot)` are read as the signs they stand for. A plus-tag is kept: who enrols `a+x@example.com` is found by it.
"""

from __future__ import annotations

import re

from ullage.identifiers.base import Kind

AT = r"(?:@|[ ]?[\[(](?:at|AT|At)[\])][ ]?)"
DOT = r"(?:\.|[ ]?[\[(](?:dot|DOT|Dot)[\])][ ]?)"
LOCAL = r"[A-Za-z0-9](?:[A-Za-z0-9._%+\-]{0,62}[A-Za-z0-9_+\-])?"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?"
PATTERN = re.compile(
    rf"(?<![A-Za-z0-9._%+\-])({LOCAL}){AT}({LABEL}(?:{DOT}{LABEL}){{0,4}}{DOT}[A-Za-z]{{2,24}})(?![A-Za-z0-9\-])"
)
AT_SIGN = re.compile(AT)
DOT_SIGN = re.compile(DOT)
ADDRESS = re.compile(rf"{LOCAL}@(?:{LABEL}\.){{1,5}}[a-z]{{2,24}}")


def normalise(text: str) -> str:
    """Lower case with plain signs, or "" when it is no address.

    >>> normalise('Test[at]Example[dot]COM')
    'test@example.com'
    """
    address = DOT_SIGN.sub(".", AT_SIGN.sub("@", text.strip())).lower()
    return address if ADDRESS.fullmatch(address) else ""


KIND = Kind(
    name="email",
    rank=0,
    pattern=PATTERN,
    normalise=normalise,
    check=lambda _normal: True,
    random_pass=1.0,
    examples=(
        ("Test@Example.COM", "test@example.com"),
        ("test[at]example[dot]com", "test@example.com"),
        ("test@example.com:Passw0rd!", "test@example.com"),
        ("邮箱test+a@example.com。", "test+a@example.com"),
        ("12345678@qq.com", "12345678@qq.com"),
    ),
    near_misses=("@example.com", "test@", "test@example", "a b"),
)
