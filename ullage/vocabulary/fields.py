"""List the labels of leaked fields, and say how the law weighs each of them.

A leaked row is never stored; what is stored is which fields it had, by label, as in NAME, PHONE,
LOAN. Three questions are answered from a set of labels alone: `classify` gives its class in
法释〔2017〕10 art. 5, `shows` what somebody could do to the person, and `SENSITIVE` which labels
PIPL 28 calls sensitive. Classes are A (tracks, communication, credit, property), B (lodging, call
records, health, transactions) and C (all other). JR/T 0171-2020 puts the fields of `C3` in its
highest class. Unknown labels count as class C and never raise.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache


class FieldLabel(StrEnum):
    """The label of a column in leaked rows; it is stored, values never are."""

    NAME = "NAME"
    PHONE = "PHONE"
    ID = "ID"
    CARD = "CARD"
    EMAIL = "EMAIL"
    ADDRESS = "ADDRESS"
    PASSWORD = "PASSWORD"  # noqa: S105  a label, not a secret
    CVV = "CVV"
    EXPIRY = "EXPIRY"
    OTP = "OTP"
    BALANCE = "BALANCE"
    LOAN = "LOAN"
    CREDIT = "CREDIT"
    ORDER = "ORDER"
    POLICY = "POLICY"
    HEALTH = "HEALTH"
    EMPLOYER = "EMPLOYER"
    BRANCH = "BRANCH"
    TRAVEL = "TRAVEL"
    DATE = "DATE"
    AGE = "AGE"
    GENDER = "GENDER"
    IBAN = "IBAN"
    USCC = "USCC"
    PASSPORT = "PASSPORT"
    PERMIT = "PERMIT"
    QQ = "QQ"
    WECHAT = "WECHAT"
    OTHER = "OTHER"


SERIOUS_AT = {"A": 50, "B": 500, "C": 5000}
"""Items from which 法释〔2017〕10 art. 5(1) calls a case serious, by class."""

CLASS = {
    **dict.fromkeys(
        (
            FieldLabel.PASSWORD,
            FieldLabel.CVV,
            FieldLabel.EXPIRY,
            FieldLabel.OTP,
            FieldLabel.BALANCE,
            FieldLabel.CREDIT,
        ),
        "A",
    ),
    **dict.fromkeys(
        (
            FieldLabel.LOAN,
            FieldLabel.ORDER,
            FieldLabel.POLICY,
            FieldLabel.HEALTH,
            FieldLabel.TRAVEL,
        ),
        "B",
    ),
}
"""Fields of classes A and B; every other field is of class C."""

HIGHEST = frozenset((FieldLabel.PASSWORD, FieldLabel.CVV, FieldLabel.OTP))
"""Fields that let one act in a customer's name at once."""
C3 = HIGHEST | {FieldLabel.EXPIRY}
"""Fields of the highest class of JR/T 0171-2020, C3: information that authenticates a customer.

A card's expiry date is named there; for one-time codes, which are C3 when combined with a login,
this is unverified.
"""

SENSITIVE = frozenset(
    (
        FieldLabel.CARD,
        FieldLabel.ID,
        FieldLabel.PASSWORD,
        FieldLabel.CVV,
        FieldLabel.EXPIRY,
        FieldLabel.OTP,
        FieldLabel.BALANCE,
        FieldLabel.CREDIT,
        FieldLabel.HEALTH,
        FieldLabel.IBAN,
    )
)
"""Fields that PIPL 28 calls sensitive, in our reading.

They are financial accounts and what opens them, specific identity, and health.
"""


@cache
def classify(fields: frozenset[str]) -> str:
    """Return the highest class ("A", "B" or "C") among these labels; "C" for none.

    CARD with ID counts as B. That a customer has one class is our proposal, based on the law's
    text.
    """
    classes = {CLASS.get(FieldLabel(f), "C") for f in fields if f in FieldLabel.__members__}
    if {FieldLabel.CARD, FieldLabel.ID} <= fields:
        # with name and phone these open an account or bind a card: property is within reach
        classes.add("B")
    return min(classes, default="C")


class Shows(StrEnum):
    """What a row allows somebody to do to its subject, for the severity table; our proposal."""

    GRAVE = "K"
    """Act in their name: card code, one-time code, password, or the four elements (name, phone,
    ID, card).
    """
    PRIVATE = "P"
    """Cheat them with what only their platform should know: phone or ID with loan, balance,
    credit, policy, order or health.
    """
    IDENTITY = "I"
    """Pass for them: name and ID."""
    LENT = "L"
    """Collect from them: ID and phone with loan, balance or credit."""


_MONEY = frozenset((FieldLabel.LOAN, FieldLabel.BALANCE, FieldLabel.CREDIT))
_AFFAIRS = _MONEY | {FieldLabel.POLICY, FieldLabel.ORDER, FieldLabel.HEALTH}
_FOUR_ELEMENTS = frozenset((FieldLabel.NAME, FieldLabel.PHONE, FieldLabel.ID, FieldLabel.CARD))


@cache
def shows(fields: frozenset[str]) -> frozenset[Shows]:
    """Return everything that a row with these labels allows somebody to do to its subject.

    May be empty, as for a phone number alone.
    """
    conditions = {
        Shows.GRAVE: bool(HIGHEST & fields) or fields >= _FOUR_ELEMENTS,
        Shows.PRIVATE: bool({FieldLabel.PHONE, FieldLabel.ID} & fields) and bool(_AFFAIRS & fields),
        Shows.IDENTITY: fields >= {FieldLabel.NAME, FieldLabel.ID},
        Shows.LENT: fields >= {FieldLabel.PHONE, FieldLabel.ID} and bool(_MONEY & fields),
    }
    return frozenset(shown for shown, is_so in conditions.items() if is_so)


SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江"
    "尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤欧阳司徒"
)
"""Characters that begin most Chinese names; of surnames with two characters, both."""
