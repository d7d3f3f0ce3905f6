"""Recognise payment card numbers (PAN) of 13 to 19 digits.

A number must pass Luhn (ISO/IEC 7812-1 annex B) and be in the range of an issuer: 62 and 81
UnionPay 14–19, 4 Visa 13/16/18/19, 51–55 and 2221–2720 Mastercard 16, 34 and 37 Amex 15,
3528–3589 JCB 16–19, 6011, 644–649 and 65 Discover 16–19, 300–305, 36, 38 and 39 Diners 14, 16
and 19, 5018, 5020, 5038, 56–58, 6304 and 67 Maestro 13–19 (braintree/credit-card-type 2026-06,
facts; of Maestro only the ranges that issuers use).

Numbers are grouped in fours, with a rest of up to 3 alone or joined to the last four; 4-6-5;
4-6-4; or, by a space or dash only because decimals look like that, 4 or 6 and the rest. One
random number in ten passes Luhn. Cards that fail it do exist, so `normalise` accepts them for
the customer list and `check` reports them. Card hashes are never stored beside a BIN or the
last four digits (PCI DSS 3.5.1).
"""

from __future__ import annotations

from ullage.identifiers.base import Kind, digits
from ullage.regex import compile_later
from ullage.vocabulary.fields import FieldLabel

LENGTHS = range(13, 20)
GROUPS = (
    *((4, 4, 4, 4, more) for more in (3, 2, 1)),
    *((4, 4, 4, last) for last in range(7, 0, -1)),
    (4, 6, 5),
    (4, 6, 4),
    *((4, last) for last in range(15, 8, -1)),
    *((6, last) for last in range(13, 6, -1)),
)
"""How a number is grouped; two groups are separated by a space or dash only."""
FIRST = r"(?:[3-6]\d{3}|81\d{2}|2[2-7]\d{2})"
GROUPED = (
    r"(?:([ .\-])\d{4}\1\d{4}\1(?:\d{4}(?:\1?\d{1,3})?|\d{1,3})|([ .\-])\d{6}\2\d{4,5}|["
    r" \-]\d{9,15}|\d{2}[ \-]\d{7,13})"
    r"(?![ \-]\d{1,4}(?!\d))"  # a further short group: a longer number, not a card
)
PATTERN = compile_later(
    rf"(?<![0-9A-Za-z])(?:{FIRST}\d{{9,15}}|(?<!\D\d{{4}}[ \-])(?<!\A\d{{4}}["
    rf" \-]){FIRST}{GROUPED})(?![0-9A-Za-z])"
)
SCHEMES = {
    "unionpay": (r"62\d\d|81\d\d", range(14, 20)),
    "visa": (r"4\d\d\d", (13, 16, 18, 19)),
    "mastercard": (r"5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720", (16,)),
    "amex": (r"3[47]\d\d", (15,)),
    "jcb": (r"35(?:2[89]|[3-8]\d)", range(16, 20)),
    "diners": (r"3(?:0[0-5]|[689]\d)\d", (14, 16, 19)),
    "maestro": (r"5018|5020|5038|5[678]\d\d|6304|67\d\d", LENGTHS),
    "discover": (r"6011|64[4-9]\d|65\d\d", range(16, 20)),
}
"""The first four digits of each scheme's numbers, and their lengths.

No two schemes share first digits.
"""
ISSUER = compile_later("|".join(f"(?P<{name}>{first})" for name, (first, _) in SCHEMES.items()))
DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
SINGLE_VALUES, DOUBLED_VALUES = (
    bytes.maketrans(b"0123456789", bytes(values)) for values in (range(10), DOUBLED)
)
"""The contribution of each digit to a Luhn sum."""
HEADERS = tuple(
    (
        "卡号 银行卡 银行卡号 储蓄卡 信用卡 账号 card cardno card_no card_number pan bankcard"
        " bank_card bankcardno "
        "bank_card_no card_num cardnum cardnumber account_no acct_no acctno 银行账号 借记卡号"
        " 储蓄卡号 信用卡号"
    ).split()
)

GLUED = tuple(
    (
        "yhk yinhangka kahao kh bank icbc ccb abc boc bocom comm psbc cmb cmbc citic ceb spdb cib"
        " pab pingan gdb cgb hxb czb bosc bob unionpay visa mastercard amex jcb"
    ).split()
)
"""Words that may be glued to a number, beside its headers: abbreviations of banks, and schemes."""


def issuer(number: str) -> str:
    """Return the scheme whose range and length a number fits, or ""."""
    match = ISSUER.match(number)
    scheme = str(match.lastgroup) if match else ""
    return (
        scheme
        if scheme and number.isascii() and number.isdigit() and len(number) in SCHEMES[scheme][1]
        else ""
    )


def luhn(number: str) -> bool:
    """Return whether the Luhn sum of a digit string is a multiple of ten."""
    written = number.encode("ascii")[::-1]
    return (
        sum(written[::2].translate(SINGLE_VALUES)) + sum(written[1::2].translate(DOUBLED_VALUES))
    ) % 10 == 0


def normalise(text: str) -> str:
    """Return the digits only, or "" when no scheme has that range and length.

    >>> normalise('6200 0000 0000 0005')
    '6200000000000005'
    """
    bare = digits(text.strip())
    return bare if issuer(bare) else ""


KIND = Kind(
    name="card",
    field=FieldLabel.CARD,
    noun="a card number",
    noun_zh="银行卡号",
    rank=4,
    pattern=PATTERN,
    normalise=normalise,
    check=luhn,
    headers=HEADERS,
    glued=GLUED,
    examples=(
        ("6200 0000 0000 0005", "6200000000000005"),
        ("6200-0000-0000-0005", "6200000000000005"),
        ("6200.0000.0000.0005", "6200000000000005"),
        ("620000 0000000005", "6200000000000005"),
        ("3782 822463 10005", "378282246310005"),
        ("3782 8224 6310 005", "378282246310005"),
        ("3056-9309-0259-04", "30569309025904"),
        ("卡号6205500000000000004余额", "6205500000000000004"),
        ("6205 5000 0000 0000 004", "6205500000000000004"),
        ("4111111111111111", "4111111111111111"),
        ("378282246310005", "378282246310005"),
        ("3056 930902 5904", "30569309025904"),
        ("36227206271667", "36227206271667"),
        ("6759649826438453", "6759649826438453"),
        ("a|6200000000000005|b", "6200000000000005"),
        ("6200000000000005 13800138000", "6200000000000005"),
        ("13800138000 6200000000000005", "6200000000000005"),
        ("6200 0000 0000 0005 13800138000", "6200000000000005"),
    ),
    near_misses=(
        "6200000000000006",
        "62000000000000051234567",
        "9999000000000005",
        "x6200000000000005",
        "4111.11111111111",
    ),
)
