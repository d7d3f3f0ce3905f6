r"""Numbers in pieces, written so that a filter does not see them: what stands between the digits, and what they are together.

    chains      digits one by one or in groups, the same between all: `1 3 8 0 0 …`, `一、三、八、…`, `1380x0138x000`
    brackets    `(138)0013-8000`, `【138】0013 8000`
    words       `138号段：0013-8000`
    formulas    `="1380"&"0138000"`, `CONCATENATE("138","0013","8000")`
    plus signs  `(+49)170…`, `00 49 170…`, `+49(0)170/…`
    glued       a literal `\n` before a value, `IBANDE89…`

Digits are read where they are a mobile number, or a resident ID or card whose check holds. What parts the cells of a table is
read behind a label alone; dates, decimal numbers, network addresses and paths stay what they are.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from string import ascii_lowercase, digits
from typing import NamedTuple

import numpy as np

from matcher.columns.bitset import (
    LINE_END,
    SPACE,
    Bytes,
    Classes,
    Flags,
    Places,
    ahead,
    behind,
    is_digit,
    is_one_of,
    is_word,
    lowest,
    places,
    windows,
)
from matcher.columns.literals import spell_out
from matcher.text.chain_numbers import LABELS, X_SIGNS, iban_starts, is_valid, near_x
from matcher.text.chains import HAN_SEPARATORS
from matcher.text.fold import HAN, PLAIN_DIGITS
from ullage.identifiers import iban, phone
from ullage.identifiers.base import BEFORE, GAP
from ullage.regex import compile_later

BEHIND_LABEL = GAP.replace("[:=]", "[:=：＝]")


class SpellingRule(NamedTuple):
    """One form: where it may stand, its exact pattern, and what replaces a match.

    `gates` are patterns for hyperscan, in any case, of characters or of bytes, each with a literal of three bytes or more. Those
    without cost as much as a thousand words: such `near_gates`, of bytes, are looked for only where `near` tells in columns that
    they may match, in the stretches [begin, end) of a buffer.
    A gate leaves what stands around it open. If the pattern has a group `value`, that alone is replaced. What replaces it is no
    longer than it; "" where it stays.
    """

    gates: tuple[str | bytes, ...]
    pattern: re.Pattern[str]
    plain: Callable[[re.Match[str]], str]
    near: Callable[[Classes], tuple[Places, Places]] | None = None
    starts: Callable[[Classes], Places] | None = None
    """What else tells where it may begin, in columns."""
    near_gates: tuple[bytes, ...] = ()
    needs: re.Pattern[str] | None = None
    """What each match has: a stretch without it is passed over."""
    looks_around: bool = False
    """Whether what replaces a match depends on more than what it takes."""


def rules() -> tuple[SpellingRule, ...]:
    """Every rule, in the order in which they run."""
    return (*_brackets(), *_segments(), *_formulas(), *_plus_signs(), *_glued())


DIGIT = f"[0-9{HAN}]"
LONGEST_BETWEEN = 8
NOT_GLUED = rf"(?<![0-9A-Za-z{HAN}])"
LAST_X = r"[xX](?![0-9A-Za-z])"
LOOSE = r"[ \-./·_*]{1,3}"
MIXED = compile_later(rf"{NOT_GLUED}(?P<value>{DIGIT}(?:{LOOSE}{DIGIT}){{10,18}}(?:{LOOSE}?{LAST_X})?)(?!{LOOSE}{DIGIT})")
"""Single digits with one sign or another between."""
NO_DIGIT = re.compile(r"[^0-9Xx]+")
LABELLED = f"(?:{'|'.join(map(re.escape, LABELS))}){BEHIND_LABEL}[0-9]{{1,10}} ?[,;|\\t]"
"""The first sign of a chain behind a label, which may be one that parts cells; for hyperscan."""


def mixed_number(text: str, start: int) -> tuple[int, str]:
    """Where single digits from `start` on with one sign or another between end, and the number that they are; "" for none."""
    match = MIXED.match(text, start)
    bare = NO_DIGIT.sub("", match["value"].translate(PLAIN_DIGITS)).upper() if match else ""
    return (match.end("value"), bare) if match and is_valid(bare) else (start, "")


OPEN, CLOSE = r"[(\[{【（〔［｛「『<《〈]", r"[)\]}】）〕］｝」』>》〉]"
LINK = rf"{CLOSE}?[ \-.·:：/]{{0,2}}{OPEN}?"
BRACKETED = compile_later(
    rf"{NOT_GLUED}(?P<value>{OPEN}?(?:1{LINK}[3-9](?:{LINK}\d){{9}}(?!\d)|[1-8](?:{LINK}\d){{12,18}}(?:{LINK}{LAST_X})?){CLOSE}?)"
    r"(?![0-9A-Za-z])"
)
BRACKETS = re.compile(rf"{OPEN}|{CLOSE}")
CODE_OF_CHINA = re.compile(rf"{OPEN}?86{CLOSE}?")
"""Before a number; one with no bracket of its own is read by the search."""


def _brackets() -> Iterable[SpellingRule]:
    """A group in brackets, or several."""
    opening, closing = rb"(?:[(\[{<]|\xe3\x80[\x8a\x88\x8c\x8e\x90\x94])", rb"(?:[)\]}>]|\xe3\x80[\x8b\x89\x8d\x8f\x91\x95])"
    gates = (
        b"[0-9]%s[ \\-.:/]?%s?[0-9]{2}" % (closing, opening),
        b"[0-9][ \\-.:/]?%s[0-9]{3,4}%s" % (opening, closing),
        b"%s ?%s[0-9]%s" % (closing, opening, closing),
    )
    yield SpellingRule((), BRACKETED, _bracketed_plain, find_brackets, near_gates=gates)


WIDE_BRACKET = 0xE3
"""With which Chinese brackets begin in UTF-8."""
AROUND, IN_PIECES = 64, 8
"""Bytes on either side of a sign, and digits that a number in pieces has there at least."""


def _amid_digits(classes: Classes, place: Places) -> Places:
    """Return those of the places around which stand as many digits as of a number in pieces."""
    count = np.bitwise_count(windows(classes.digit, place - AROUND)) + np.bitwise_count(windows(classes.digit, place))
    return place[count >= IN_PIECES]


def find_brackets(classes: Classes) -> tuple[Places, Places]:
    """Return where the gates of `_brackets` may match: around a digit before a closing bracket.

    Chinese brackets are told by one of their bytes.
    """
    data = classes.data
    own = np.flatnonzero(is_one_of(data.take(classes.last_digits + 1), b")]}>\xe3"))
    if not len(own):
        return own, own
    first, last = classes.first_digits[own], classes.last_digits[own]
    behind_it = last + 2
    behind_it = behind_it + is_one_of(data.take(behind_it), b" -.:/")
    behind_it = behind_it + is_one_of(data.take(behind_it), b"([{<")
    goes_on = is_digit(data.take(behind_it)) & is_digit(data.take(behind_it + 1)) | (data.take(behind_it) == WIDE_BRACKET)
    goes_on |= (data.take(last + 1) == WIDE_BRACKET) | is_one_of(data.take(first - 1), b"([{<\x8a\x88\x8c\x8e\x90\x94")
    place = _amid_digits(classes, last[goes_on])
    return place - 16, place + 16


def _bracketed_plain(match: re.Match[str]) -> str:
    value = match["value"]
    bare = NO_DIGIT.sub("", value).upper()
    code = CODE_OF_CHINA.match(value)
    if code and BRACKETS.search(value, code.end()) and phone.SHAPE.fullmatch(bare.removeprefix("86")):
        return bare
    return bare if BRACKETS.search(value) and is_valid(bare) else ""


SEGMENT = r"(?:号段|號段|开头|開頭|打头|打頭|字头|字頭|前缀|前綴)"
REST = r"(?:的|手机|号码?|后面|後面|后八位|後八位|尾号|尾號|接着?|是|为|為|[^\w\n\x1c]){0,6}"


def _segments() -> Iterable[SpellingRule]:
    """The first three digits as those of a carrier, and the rest: `138号段：0013-8000`, `号段138，尾号00138000`."""
    rest = r"(?P<rest>\d{4}[ \-.]?\d{4})(?!\d)"
    yield SpellingRule(
        (rf"1[3-9][0-9].?{SEGMENT}", rf"{SEGMENT}[^0-9]{{0,3}}1[3-9][0-9][^0-9]"),
        re.compile(
            rf"(?<![0-9A-Za-z])(?P<value>(?:{SEGMENT}[:： 为是]{{0,2}})?(?P<first>1[3-9]\d)(?!\d)"
            rf"[^\w\x1c]?(?:{SEGMENT})?{REST}{rest})"
        ),
        lambda m: m["first"] + NO_DIGIT.sub("", m["rest"]) if re.search(SEGMENT, m["value"]) else "",
    )


QUOTE = "[\"'“”‘’]"


def _formulas() -> Iterable[SpellingRule]:
    """Strings that a spreadsheet or a program joins."""
    joined, more = rf"[ ]?(?:&|\+|\|\||\.)[ ]?{QUOTE}", rf"\d{{1,17}}[xX]?{QUOTE}"
    listed = rf"(?:[ ]?[,;][ ]?{QUOTE}?\d{{1,17}}[xX]?{QUOTE}?){{1,17}}"
    sign = "(?:[\"']|\\xe2\\x80[\\x98\\x99\\x9c\\x9d])"
    yield SpellingRule(
        (rf"concat\([ ]?{QUOTE}?[0-9]", rf"concatenate\([ ]?{QUOTE}?[0-9]"),
        compile_later(
            rf"(?i){BEFORE}(?P<value>=?(?:{QUOTE}?\d{{1,17}}{QUOTE}?(?:{joined}{more}){{1,17}}"
            rf"|concat(?:enate)?\([ ]?{QUOTE}?\d{{1,17}}{QUOTE}?{listed}[ ]?\)))"
        ),
        lambda m: bare if is_valid(bare := NO_DIGIT.sub("", m["value"]).upper()) else "",
        find_joined_strings,
        near_gates=(rf"[0-9]{sign}?[ ]?(?:&|\+|\|\||\.)[ ]?{sign}[0-9]".encode(),),
    )


JOINERS = b"&+|."


def find_joined_strings(classes: Classes) -> tuple[Places, Places]:
    """Return where strings of digits may be joined: around a digit behind a quotation mark behind one of JOINERS."""
    data, place = classes.data, classes.first_digits
    quote = data.take(place - 1)
    is_short = is_one_of(quote, b"\"'")
    own = is_short | is_one_of(quote, b"\x98\x99\x9c\x9d")
    if not own.any():
        return place[own], place[own]
    place, size = place[own], np.where(is_short[own], 2, 4)
    sign = data.take(place - size)
    sign = np.where(sign == SPACE, data.take(place - size - 1), sign)
    place = _amid_digits(classes, place[is_one_of(sign, JOINERS)])
    return place - 14, place + 4


ABROAD = re.compile(
    r"(?<![0-9A-Za-z+])(?P<value>(?:[(\[]?\+[ ]?[(\[]?|(?<![0-9][ .\-/·_])[(\[]?00[ .\-]?)"
    r"[1-9](?:[ .\-/·_()\[\]]{0,3}[0-9]){6,16})(?![0-9A-Za-z])"
)
CHINA = re.compile(r"\(?\+86|\(?0086")
TRUNK = re.compile(r"\([ ]?0[ ]?\)")
SHORTEST_ABROAD = 7


def _plus_signs() -> Iterable[SpellingRule]:
    """Numbers with a calling code that is bracketed or parted in another way than it is dialled, as E.164."""
    slash = rb"(?:[/_]|\xc2\xb7)"
    gates = (
        rb"[(\[](?:\+|00)(?:[1-79]|8[^6])",
        rb"\+[ (\[]{1,2}[0-9]",
        rb"[^0-9]00[ .\-][1-9](?:[0-9]{0,2}[ .\-(/]|[0-9]{8})",
        rb"\+[0-9]{1,3}(?:%s|[ ][\-/][ ]|[)\]][ .\-/]{0,2})[0-9]" % slash,
        rb"\+[0-9]{1,3}[ .\-/]?\([ ]?0",
        rb"(?:\+|00)[0-9]{1,3}[ .\-/][0-9]{1,6}%s[0-9]" % slash,
        rb"\+[0-9]{1,3}[ .\-]0[0-9]",
        rb"\+[0-9][ .\-][0-9][ .\-][0-9][ .\-][0-9]",
    )
    yield SpellingRule((), ABROAD, _abroad_plain, find_plus_signs, near_gates=gates)


LONGEST_CODE, CHINA_CODE = 3, (ord("8"), ord("6"))


def find_plus_signs(classes: Classes) -> tuple[Places, Places]:
    """Return where the gates of `_plus_signs` may match: around a plus sign or 00 with digits in pieces behind.

    A code in one piece with its number is read by the search, as is that of China.
    """
    data, digit, zero = classes.data, classes.digit, classes.zero
    place, zeros = places(classes.plus), places(zero & ahead(zero, 1) & ~behind(digit, 1))
    first = np.concatenate((place + 1, zeros + 2))
    place = np.concatenate((place, zeros))
    if not len(place):
        return place, place
    size = lowest(~windows(digit, first))
    is_china = (data.take(first) == CHINA_CODE[0]) & (data.take(first + 1) == CHINA_CODE[1])
    own = is_one_of(data.take(place - 1), b"([") | ((size <= LONGEST_CODE) & ~is_word_or_end(data.take(first + size)))
    own &= ~is_china & (np.bitwise_count(windows(digit, first)) >= SHORTEST_ABROAD)
    place = place[own][_go_on(data, first[own])]
    return place - 4, place + 28


def _go_on(data: Bytes, first: Places) -> Flags:
    """Return at which places digits of a number from abroad go on, with nothing between them that parts no groups: bool[n]."""
    text = data.take(first[:, None] + np.arange(AROUND))
    ends = ~(is_digit(text) | is_one_of(text, b" .-/_()[]\xc2\xb7"))
    inside = np.arange(AROUND) < np.where(ends.any(1), ends.argmax(1), AROUND)[:, None]
    return np.asarray((is_digit(text) & inside).sum(1) >= SHORTEST_ABROAD)


def is_word_or_end(data: Bytes) -> Flags:
    """Return which bytes are letters or digits, or end a line."""
    return np.asarray(is_word(data) | (data == LINE_END))


def _abroad_plain(match: re.Match[str]) -> str:
    """The number and what stands behind it, which may be another."""
    value = match["value"]
    if CHINA.match(value):  # which the search reads
        return ""
    for end in (len(value), *(place for place in range(len(value) - 1, SHORTEST_ABROAD, -1) if not value[place].isdecimal())):
        bare = NO_DIGIT.sub("", TRUNK.sub(" ", value[:end])).removeprefix("00")
        if made := _dialled(bare):
            return made + value[end:]
    return ""


def _dialled(digits: str) -> str:
    """A calling code and a national number, before which its trunk 0 may stand, as E.164; "" for what is none."""
    if digits.startswith("86"):
        return digits[2:] if phone.SHAPE.fullmatch(digits[2:]) else ""
    forms = (digits, *(digits[:code] + digits[code + 1 :] for code in (1, 2, 3) if digits[code : code + 1] == "0"))
    return next((f"+{form}" for form in forms if len(form) >= SHORTEST_ABROAD and phone.is_number(form)), "")


_WORDS = "|".join(word for word in HAN_SEPARATORS if len(word) > 1)
_SIGNS = rf"(?![0-9A-Za-z\s\x1c])[^\w]|[_xX{''.join(word for word in HAN_SEPARATORS if len(word) == 1)}]|{_WORDS}"
IBAN_APART = rf"(?:(?![0-9A-WYZa-wyz])(?: ?(?:{_SIGNS}){{1,2}} ?| {{1,3}}|\t))"
"""Its first look passes over the digits and letters of an IBAN in one piece without trying a word each."""


def _glued() -> Iterable[SpellingRule]:
    """What is glued to a value: a line end or tab that was never undone, and the word IBAN."""
    yield SpellingRule(
        (
            *spell_out(("\\\\",), "nrt", digits),
            *spell_out(("\\\\",), "nrt", (r"\+[0-9]",)),
            *spell_out(("\\\\",), "nrt", ascii_lowercase, (r"[a-z][0-9]{2}",)),
            *spell_out(("\\\\",), "nrt", (*ascii_lowercase, *digits, r"\.", "_", "%", r"\+", r"\-"), (r"[0-9a-z._%+\-]*@",)),
        ),
        re.compile(r"(?<!\\)(?P<value>\\{1,4}[nrt])(?=\+?\d|[A-Z]{2}\d{2}|[0-9A-Za-z._%+\-]{1,64}@)", re.ASCII),
        lambda m: "\t" if m["value"][-1] == "t" else "\n",
    )
    yield SpellingRule(
        (r"iban[a-z]{2}[0-9]{2}",), re.compile(rf"(?i){BEFORE}(?P<value>iban)(?=[a-z]{{2}}[0-9]{{2}})"), lambda _: " "
    )
    yield SpellingRule(
        (),
        compile_later(
            rf"(?i){BEFORE}(?P<value>[A-Z]{IBAN_APART}?[A-Z](?:{IBAN_APART}?[0-9]){{2}}(?:{IBAN_APART}?[0-9A-Z]){{11,70}})"
            r"(?![0-9A-Za-z])"
        ),
        _iban_plain,
        near_x,
        iban_starts,
        X_SIGNS,
    )


PLAIN_CHARACTER, NO_X = re.compile("[0-9A-Za-z]"), re.compile("[0-9A-WYZa-wyz]")
LONGEST_IBAN = max(iban.LENGTHS.values())


def _iban_plain(match: re.Match[str]) -> str:
    """The number and what stands behind it."""
    value = match["value"]
    for character in (PLAIN_CHARACTER, NO_X) if "x" in value.lower() else (PLAIN_CHARACTER,):  # whether an x is a sign
        ends = [found.end() for found in itertools.islice(character.finditer(value), LONGEST_IBAN)]
        bare = "".join(value[end - 1] for end in ends).upper()
        length = iban.LENGTHS.get(bare[:2], LONGEST_IBAN + 1)
        if len(bare) >= length and iban.check(bare[:length]) and sum(map(str.isdigit, bare[:length])) >= iban.FEWEST_DIGITS:
            rest = value[ends[length - 1] :]
            return "" if NO_X.match(rest) else bare[:length] + rest
    return ""
