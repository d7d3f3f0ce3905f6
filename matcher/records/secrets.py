"""What a password looks like that no label names, and what looks like one and is something else. Never what it is.

Rules of our own, by reading published descriptions of such lists; the commonest ones are data (`values.tsv`).
"""

from __future__ import annotations

import re

from matcher.records.values import common_passwords

SHORTEST_MADE = 6
POSSIBLE = re.compile(r"[!-~]{4,64}")
_LETTER, _DIGIT, _SIGN = "(?=[^A-Za-z]*[A-Za-z])", "(?=[^0-9]*[0-9])", "(?=[^!@#$%^&*?+~]*[!@#$%^&*?+~])"
MADE = re.compile(f"{_LETTER}(?:{_DIGIT}|{_SIGN})|{_DIGIT}{_SIGN}")
"""Letters with digits or signs, or digits with signs."""
SOMETHING_ELSE = re.compile(
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
    return value.lower() in common_passwords() or (POSSIBLE.fullmatch(value) is not None and not SOMETHING_ELSE.fullmatch(value))


def is_made(value: str) -> bool:
    """Whether a possible password is made as passwords are: it speaks for one where it stands behind a login.

    >>> is_made('abc123'), is_made('p@ssword'), is_made('123456'), is_made('beijing'), is_made('50000')
    (True, True, True, False, False)
    """
    return value.lower() in common_passwords() or (len(value) >= SHORTEST_MADE and MADE.match(value) is not None)


def is_secret(value: str) -> bool:
    """Whether a value behind a login is a password even where no other row says so."""
    return is_possible(value) and is_made(value)
