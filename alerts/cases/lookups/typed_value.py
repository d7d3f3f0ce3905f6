"""Read one identifier that a person typed, or say what to check before it is looked up.

"No record" for a mistyped number is a false all-clear. So a value is read only as the kinds that
the field's label names, and a value that is nearly valid (a digit dropped, doubled or swapped, a
letter O for a zero) is asked for again. Other kinds, and unusual but correct values, are looked up
after their kind is chosen. Slips that no format reveals, such as two swapped digits of a phone
number, are read as typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from ullage.identifiers import card, kinds, phone
from ullage.lookup.values import MAX_TYPED, plain
from ullage.phrase import Phrase
from ullage.security.masking import Secret

RECOGNISED = ("phone", "resident_id", "card", "email")
"""Kinds that the field's label names; they are recognised without being chosen."""
LOOKALIKES = str.maketrans({"O": "0", "o": "0", "l": "1", "I": "1", "i": "1"})
SEPARATED = re.compile(r"[\s.\-()+]")
OLD_ID_DIGITS, ID_DIGITS = 15, 18
USUAL_CARD_DIGITS = (16, 19)
SLIPPED_CHINA = re.compile(r"(?:\+|00)[86]1[3-9][0-9]{9}")
"""Matches a Chinese mobile number whose calling code lost a digit.

It may also be a valid number of Japan or Australia.
"""
REFERENCE = re.compile(r"inc-.*|[a-z]0[0-9]{5,}")
"""Matches an incident's id or a zero-padded customer number, which look like WeChat ids."""
COMMON_HOSTS = frozenset(
    "qq.com vip.qq.com foxmail.com 163.com vip.163.com 126.com 188.com yeah.net sina.com sina.cn"
    " vip.sina.com sohu.com 139.com 189.cn wo.cn 21cn.com aliyun.com tom.com gmail.com outlook.com"
    " hotmail.com live.com live.cn yahoo.com icloud.com".split()
)
"""Mail hosts that most customers use.

An address at a host that is one slip away from these is asked for again.
"""
COMMON_TOPS = ("com", "net", "org", "cn")
REAL_TOPS = frozenset("co cm om ne nt et or og rg".split())
"""Valid top-level domains that are one slip away from a common one."""


@dataclass(frozen=True, slots=True)
class TypedValue:
    """The kinds as which a value was read, each with its normal form.

    If there are none, `problem` says what to check.
    """

    readings: tuple[tuple[str, Secret], ...] = ()
    problem: Phrase | None = None


def selectable_kinds() -> tuple[str, ...]:
    """Return the names of the kinds that can be chosen, the common ones first."""
    return tuple(kinds())


def read_typed(value: Secret, kind: str = "") -> TypedValue:
    """Read the identifier in `value`; the result has its readings, or a problem to check first.

    A reading is a kind with the normal form of the value. `kind` is the one that the person chose;
    with "" every kind of `RECOGNISED` is tried. Never raises for an invalid value.
    """
    text = plain(value.reveal())
    if not text or len(text) > MAX_TYPED:
        return TypedValue(problem=_UNKNOWN)
    readings = tuple(_read(text, (kind,) if kind else RECOGNISED))
    problem = _find_doubt(text, kind, dict(readings))
    if readings and problem is None:
        return TypedValue(readings)
    return TypedValue(problem=problem or _explain(text, kind))


def _read(text: str, names: tuple[str, ...]) -> Iterator[tuple[str, Secret]]:
    for name in names:
        kind = kinds()[name]
        normal = kind.normalise(text)
        if normal and kind.check(normal):
            yield name, Secret(normal)


_UNKNOWN = Phrase(
    "This is not a phone number, resident ID, card number or email address. For any other kind,"
    " choose it in the list."
)
_LETTERS = Phrase("There are letters among the digits, such as O for 0: enter digits.")
_CARD_CHECK = Phrase("The check digit of this card number is wrong: compare it digit by digit.")
_ID_CHECK = Phrase(
    "The date or check digit of this resident ID is wrong: compare it digit by digit."
)
_MAIL = Phrase("This email address is incomplete, or its host is misspelt: have it spelled out.")


def _find_doubt(text: str, kind: str, readings: dict[str, Secret]) -> Phrase | None:
    """Return why a readable value is probably a slip, or None if it is not.

    With a chosen `kind`, only a WeChat id is doubted.
    """
    if kind == "wechat":
        return (
            Phrase("This looks like a number or a reference, not like a WeChat id.")
            if _is_no_name(text)
            else None
        )
    if kind:
        return None
    digits = SEPARATED.sub("", text)
    if "card" in readings and not _is_usual_card(digits):
        return Phrase(
            "Card numbers mostly have 16 or 19 digits, this one has %(count)s. If that is right,"
            " choose the kind.",
            count=len(digits),
        )
    if "card" in readings and _is_id_with_extra(digits):
        return _ID_CHECK
    if "resident_id" in readings and len(digits) == OLD_ID_DIGITS:
        return Phrase(
            "A resident ID has 18 characters, this one has 15. If it is an old one, choose the"
            " kind."
        )
    if "phone" in readings and SLIPPED_CHINA.fullmatch(text.replace(" ", "").replace("-", "")):
        return Phrase("The calling code looks incomplete: for China it is +86.")
    return (
        _MAIL
        if "email" in readings and _is_misspelt_host(readings["email"].reveal().rpartition("@")[2])
        else None
    )


def _explain(text: str, kind: str) -> Phrase:
    """Return what to check in a value that cannot be read."""
    if kind not in ("", *RECOGNISED):
        return Phrase(
            "The format or check digit does not fit the chosen kind: compare it character by"
            " character."
        )
    digits = SEPARATED.sub("", text)
    folded = digits.translate(LOOKALIKES)
    if "@" in text or kind == "email":
        return _MAIL
    if folded != digits and folded[:-1].isdigit() and len(folded) >= phone.FEWEST_DIGITS:
        return _LETTERS
    return _explain_number(digits) if digits[:-1].isdigit() else _UNKNOWN


def _explain_number(digits: str) -> Phrase:
    """Return what to check in a number, judged by its count of digits.

    The last digit may be an X.
    """
    if len(digits) in (ID_DIGITS - 1, ID_DIGITS, ID_DIGITS + 1) and not card.issuer(digits):
        return _ID_CHECK
    if len(digits) in card.LENGTHS:
        return _CARD_CHECK
    if phone.LENGTH - 2 <= len(digits) <= phone.LENGTH + 1:
        return Phrase(
            "A mobile number has 11 digits and begins with 13 to 19; this has %(count)s digits.",
            count=len(digits),
        )
    return _UNKNOWN


def _is_no_name(text: str) -> bool:
    """Return whether a WeChat id is rather a mistyped phone, ID or card number, or a reference."""
    folded = text.translate(LOOKALIKES)
    is_number = bool(text[1:2].isdigit() and any(_read(folded, ("phone", "resident_id", "card"))))
    return is_number or REFERENCE.fullmatch(text.lower()) is not None


def _is_usual_card(digits: str) -> bool:
    return len(digits) in USUAL_CARD_DIGITS or card.issuer(digits) == "amex"


def _is_id_with_extra(digits: str) -> bool:
    """Return whether removing one digit leaves a resident ID with a valid check character."""
    if len(digits) != ID_DIGITS + 1:
        return False
    return any(
        any(_read(digits[:n] + digits[n + 1 :], ("resident_id",))) for n in range(len(digits))
    )


def _is_misspelt_host(host: str) -> bool:
    """Return whether a host, or its top-level domain, is one slip away from a common one."""
    top = host.rpartition(".")[2]
    if host in COMMON_HOSTS:
        return False
    return host in _slips_of_hosts() or (
        top not in (*COMMON_TOPS, *REAL_TOPS) and top in _slips_of_tops()
    )


@cache
def _slips_of_hosts() -> frozenset[str]:
    return frozenset(slip for host in COMMON_HOSTS for slip in slips(host)) - COMMON_HOSTS


@cache
def _slips_of_tops() -> frozenset[str]:
    return frozenset(slip for top in COMMON_TOPS for slip in (*slips(top), top[:-1] + "n")) - {
        *COMMON_TOPS
    }


def slips(text: str) -> Iterator[str]:
    """Yield `text` with each single typing slip.

    A slip is a character that is dropped, doubled or swapped with the next, or O and 0 or l and 1
    exchanged.

    >>> sorted(slips("10"))
    ['0', '01', '1', '100', '110', '1o', 'l0']
    """
    exchanged = {"0": "o", "o": "0", "1": "l", "l": "1"}
    for n, character in enumerate(text):
        yield text[:n] + text[n + 1 :]
        yield text[:n] + character + text[n:]
        if text[n + 1 : n + 2] not in ("", character):
            yield text[:n] + text[n + 1] + character + text[n + 2 :]
        if character in exchanged:
            yield text[:n] + exchanged[character] + text[n + 1 :]
