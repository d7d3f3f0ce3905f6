r"""Undo numbers in pieces: what stands between the digits, and what they are together.

    digit groups  digits one by one or in groups, with the same sign between all:
                  `1 3 8 0 0 …`, `一、三、八、…`, `1380x0138x000`
    brackets      `(138)0013-8000`, `【138】0013 8000`
    words         `138号段：0013-8000`
    formulas      `="1380"&"0138000"`, `CONCATENATE("138","0013","8000")`, `1.3800138E+10`
    plus signs    `(+49)170…`, `00 49 170…`, `+49(0)170/…`
    glued         a literal `\n` before a value

Digits are read where they are a mobile number, or a resident ID or card whose check holds. What
parts the cells of a table is read behind a label alone; dates, decimal numbers, network addresses
and paths stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import ascii_lowercase, digits

import numpy as np

from matcher.columns.bitset import (
    LINE_END,
    SPACE,
    Bytes,
    Classes,
    Flags,
    Places,
    is_digit,
    is_one_of,
    is_word,
    lowest,
    places,
    shift_back,
    shift_forward,
    windows,
)
from matcher.columns.literals import spell_out
from matcher.text.digit_groups import ROOM
from matcher.text.fold import HAN, PLAIN_DIGITS, FoldedText
from matcher.text.group_numbers import LABELS, find_numbers, is_valid, split_labels
from matcher.text.spellings import Replacement, Spelling
from ullage.identifiers import phone
from ullage.identifiers.base import BEFORE, GAP
from ullage.regex import compile_later

PHONE, RESIDENT_ID = "13800138000", "11010519491231002X"
BEHIND_LABEL = GAP.replace("[:=]", "[:=：＝]")
DIGIT = f"[0-9{HAN}]"
NOT_GLUED = rf"(?<![0-9A-Za-z{HAN}])"
LAST_X = r"[xX](?![0-9A-Za-z])"
LOOSE = r"[ \-./·_*]{1,3}"
MIXED = compile_later(
    rf"{NOT_GLUED}(?P<value>{DIGIT}(?:{LOOSE}{DIGIT}){{10,18}}(?:{LOOSE}?{LAST_X})?)"
    rf"(?!{LOOSE}{DIGIT})"
)
"""Single digits with one sign or another between."""
NO_DIGIT = re.compile(r"[^0-9Xx]+")
LABELLED = tuple(
    f"(?:{'|'.join(map(re.escape, labels))}){BEHIND_LABEL}{group}"
    for labels in split_labels(LABELS)
    for group in (r"[0-9]{1,10} ?[,;|\t]", r"\| ?[0-9] ?\|")
)
"""The first sign of a group behind a label, which may be one that parts cells, as between the boxes
of a form (`手机 |1|3|8|…`); for hyperscan.
"""
OPEN, CLOSE = r"[(\[{【（〔［｛「『<《〈]", r"[)\]}】）〕］｝」』>》〉]"
LINK = rf"{CLOSE}?[ \-.·:：/]{{0,2}}{OPEN}?"
BRACKETED = compile_later(
    rf"{NOT_GLUED}(?P<value>{OPEN}?(?:1{LINK}[3-9](?:{LINK}\d){{9}}(?!\d)"
    rf"|[1-8](?:{LINK}\d){{12,18}}(?:{LINK}{LAST_X})?){CLOSE}?)"
    r"(?![0-9A-Za-z])"
)
BRACKETS = re.compile(rf"{OPEN}|{CLOSE}")
CODE_OF_CHINA = re.compile(rf"{OPEN}?86{CLOSE}?")
"""Before a number; one with no bracket of its own is read by the search."""
OPENING, CLOSING = (
    rb"(?:[(\[{<]|\xe3\x80[\x8a\x88\x8c\x8e\x90\x94])",
    rb"(?:[)\]}>]|\xe3\x80[\x8b\x89\x8d\x8f\x91\x95])",
)
WIDE_BRACKET = 0xE3
"""With which Chinese brackets begin in UTF-8."""
AROUND, IN_PIECES = 64, 8
"""Bytes on either side of a sign, and digits that a number in pieces has there at least."""
SEGMENT = r"(?:号段|號段|开头|開頭|打头|打頭|字头|字頭|前缀|前綴)"
REST = r"(?:的|手机|号码?|后面|後面|后八位|後八位|尾号|尾號|接着?|是|为|為|[^\w\n\x1c]){0,6}"
QUOTE = "[\"'“”‘’]"
QUOTE_BYTES = "(?:[\"']|\\xe2\\x80[\\x98\\x99\\x9c\\x9d])"
JOINED, MORE = rf"[ ]?(?:&|\+|\|\||\.)[ ]?{QUOTE}", rf"\d{{1,17}}[xX]?{QUOTE}"
LISTED = rf"(?:[ ]?[,;][ ]?{QUOTE}?\d{{1,17}}[xX]?{QUOTE}?){{1,17}}"
FORMULA = compile_later(
    rf"(?i){BEFORE}(?P<value>=?(?:{QUOTE}?\d{{1,17}}{QUOTE}?(?:{JOINED}{MORE}){{1,17}}"
    rf"|concat(?:enate)?\([ ]?{QUOTE}?\d{{1,17}}{QUOTE}?{LISTED}[ ]?\)))"
)
JOINERS = b"&+|."
ABROAD = re.compile(
    r"(?<![0-9A-Za-z+])(?P<value>(?:[(\[]?\+[ ]?[(\[]?|(?<![0-9][ .\-/·_])[(\[]?00[ .\-]?)"
    r"[1-9](?:[ .\-/·_()\[\]]{0,3}[0-9]){6,16})(?![0-9A-Za-z])"
)
CHINA = re.compile(r"\(?\+86|\(?0086")
TRUNK = re.compile(r"\([ ]?0[ ]?\)")
SHORTEST_ABROAD = 7
LONGEST_CODE, CHINA_CODE = 3, (ord("8"), ord("6"))
SLASH = rb"(?:[/_]|\xc2\xb7)"


def rows() -> Iterator[Spelling]:
    """Yield the ways of writing a number in pieces, in the order in which they are undone."""
    yield from _list_pieces()
    yield from _list_signs()


def _list_pieces() -> Iterator[Spelling]:
    """Yield numbers whose digits stand apart, or are fewer than they seem."""
    yield Spelling(
        "digit groups",
        "stretch",
        examples=(
            ("1，3，8，0，0，1，3，8，0，0，0", PHONE),
            ("110105丨19491231丨002X", RESIDENT_ID),
            ("手机号码 |1 | 3 | 8 | 0 | 0 | 1 | 3 | 8 | 0 | 0 | 0|", PHONE),
        ),
        near_misses=(
            "1,3,8,0,0,1,3,8,0,0,0",
            "138元0013元8000元",
            "2024，12，31",
            "尺寸：138x0013x8000",
            "手机号码|138|0013|8000|",
        ),
        gate=LABELLED,
        find=_find_digit_groups,
    )
    yield Spelling(
        "number of a narrow cell",
        "stretch",
        examples=(("1.3800138E+10", PHONE), ("8.613800138E12", PHONE)),
        near_misses=("1.38E+10", "1.3800138000E+11"),
        gate=(
            *spell_out((r"1\.",), map(str, range(3, 10)), (r"[0-9]{6,9}e\+?10",)),
            r"8\.61[3-9][0-9]{6,9}e\+?12",
        ),
        pattern=re.compile(
            r"(?<![0-9A-Za-z.])(?:(?=1)(1)\.([3-9]\d{6,9})[eE]\+?10"
            r"|(8)\.(61[3-9]\d{6,9})[eE]\+?12)(?![0-9A-Za-z])",
            re.ASCII,
            # of fewer digits than eight some are lost (as of a card or resident ID, since a
            # spreadsheet keeps fifteen)
        ),
        plain=lambda m: m[1] + m[2].ljust(10, "0") if m[1] else m[3] + m[4].ljust(12, "0"),
    )
    yield Spelling(
        "groups in brackets",
        "stretch",
        examples=(("0086-(138)0013-8000", PHONE), ("【138】【0013】【8000】", PHONE)),
        near_misses=("(86) 2024", "[2019] 13800138"),
        near=find_brackets,
        near_gate=(
            b"[0-9]%s[ \\-.:/]?%s?[0-9]{2}" % (CLOSING, OPENING),
            b"[0-9][ \\-.:/]?%s[0-9]{3,4}%s" % (OPENING, CLOSING),
            b"%s ?%s[0-9]%s" % (CLOSING, OPENING, CLOSING),
        ),
        pattern=BRACKETED,
        plain=_read_bracketed,
    )
    yield Spelling(
        "first digits as a carrier's",
        "stretch",
        examples=(("138号段：0013-8000", PHONE), ("号段138，尾号00138000", PHONE)),
        near_misses=("138号段：0013-800", "138号：0013-8000"),
        languages=("zh",),
        gate=(rf"1[3-9][0-9].?{SEGMENT}", rf"{SEGMENT}[^0-9]{{0,3}}1[3-9][0-9][^0-9]"),
        pattern=re.compile(
            rf"(?<![0-9A-Za-z])(?P<value>(?:{SEGMENT}[:： 为是]{{0,2}})?(?P<first>1[3-9]\d)(?!\d)"
            rf"[^\w\x1c]?(?:{SEGMENT})?{REST}(?P<rest>\d{{4}}[ \-.]?\d{{4}})(?!\d))"
        ),
        plain=lambda m: (
            m["first"] + NO_DIGIT.sub("", m["rest"]) if re.search(SEGMENT, m["value"]) else ""
        ),
    )
    yield Spelling(
        "strings that are joined",
        "stretch",
        examples=(('="1380"&"0138000"', PHONE), ('CONCATENATE("138","0013","8000")', PHONE)),
        near_misses=('"1380","0138000"', 'CONCATENATE("138","0013","800")'),
        gate=(rf"concat\([ ]?{QUOTE}?[0-9]", rf"concatenate\([ ]?{QUOTE}?[0-9]"),
        near=find_joined_strings,
        near_gate=(rf"[0-9]{QUOTE_BYTES}?[ ]?(?:&|\+|\|\||\.)[ ]?{QUOTE_BYTES}[0-9]".encode(),),
        pattern=FORMULA,
        plain=lambda m: bare if is_valid(bare := NO_DIGIT.sub("", m["value"]).upper()) else "",
    )


def _list_signs() -> Iterator[Spelling]:
    """Yield numbers before which other signs stand than usually do."""
    yield Spelling(
        "calling code in another form",
        "stretch",
        examples=(("(+49)17096259826", "+4917096259826"), ("+49(0)170/96259826", "+4917096259826")),
        near_misses=("+49-17096259826123456", "(+4) 12"),
        near=find_plus_signs,
        near_gate=(
            rb"[(\[](?:\+|00)(?:[1-79]|8[^6])",
            rb"\+[ (\[]{1,2}[0-9]",
            rb"[^0-9]00[ .\-][1-9](?:[0-9]{0,2}[ .\-(/]|[0-9]{8})",
            rb"\+[0-9]{1,3}(?:%s|[ ][\-/][ ]|[)\]][ .\-/]{0,2})[0-9]" % SLASH,
            rb"\+[0-9]{1,3}[ .\-/]?\([ ]?0",
            rb"(?:\+|00)[0-9]{1,3}[ .\-/][0-9]{1,6}%s[0-9]" % SLASH,
            rb"\+[0-9]{1,3}[ .\-]0[0-9]",
            rb"\+[0-9][ .\-][0-9][ .\-][0-9][ .\-][0-9]",
        ),
        pattern=ABROAD,
        plain=_read_abroad,
    )
    yield Spelling(
        "escape glued to a value",
        "stretch",
        examples=(
            (r"\nli.wei8@example.com", "li.wei8@example.com"),
            (r"name\\n13800138000\\nend", PHONE),
        ),
        near_misses=(r"x\m13800138000", r"\nli.wei8 example.com"),
        gate=(
            *spell_out(("\\\\",), "nrt", digits),
            *spell_out(("\\\\",), "nrt", (r"\+[0-9]",)),
            *spell_out(("\\\\",), "nrt", ascii_lowercase, (r"[a-z][0-9]{2}",)),
            *spell_out(
                ("\\\\",),
                "nrt",
                (*ascii_lowercase, *digits, r"\.", "_", "%", r"\+", r"\-"),
                (r"[0-9a-z._%+\-]*@",),
            ),
        ),
        pattern=re.compile(
            r"(?<!\\)(?P<value>\\{1,4}[nrt])(?=\+?\d|[A-Z]{2}\d{2}|[0-9A-Za-z._%+\-]{1,64}@)",
            re.ASCII,
        ),
        plain=lambda m: "\t" if m["value"][-1] == "t" else "\n",
    )


def _find_digit_groups(
    folded: FoldedText, classes: Classes, labelled: Places
) -> Iterator[Replacement]:
    """Yield the numbers in groups of a folded text with ROOM around.

    `labelled` are the places behind the first sign behind a label.
    """
    numbers, mixed = find_numbers(classes, labelled)
    starts, ends = (
        folded.to_characters(column - len(ROOM)).tolist() for column in (numbers.start, numbers.end)
    )
    yield from map(Replacement, starts, ends, numbers.plain)
    for start in folded.to_characters(mixed - len(ROOM)).tolist():
        if match := MIXED.match(folded.text, start):
            bare = NO_DIGIT.sub("", match["value"].translate(PLAIN_DIGITS)).upper()
            yield Replacement(start, match.end("value"), bare if is_valid(bare) else "")


def _amid_digits(classes: Classes, place: Places) -> Places:
    """Return those of the places around which stand as many digits as of a number in pieces."""
    count = np.bitwise_count(windows(classes.digit, place - AROUND)) + np.bitwise_count(
        windows(classes.digit, place)
    )
    return place[count >= IN_PIECES]


def find_brackets(classes: Classes) -> tuple[Places, Places]:
    """Return where the gates of brackets may match: around a digit before a closing bracket.

    Chinese brackets are told by one of their bytes.
    """
    data = classes.data
    closes = np.flatnonzero(is_one_of(data.take(classes.last_digits + 1), b")]}>\xe3"))
    if not len(closes):
        return closes, closes
    first, last = classes.first_digits[closes], classes.last_digits[closes]
    behind_it = last + 2
    behind_it = behind_it + is_one_of(data.take(behind_it), b" -.:/")
    behind_it = behind_it + is_one_of(data.take(behind_it), b"([{<")
    goes_on = is_digit(data.take(behind_it)) & is_digit(data.take(behind_it + 1)) | (
        data.take(behind_it) == WIDE_BRACKET
    )
    goes_on |= (data.take(last + 1) == WIDE_BRACKET) | is_one_of(
        data.take(first - 1), b"([{<\x8a\x88\x8c\x8e\x90\x94"
    )
    place = _amid_digits(classes, last[goes_on])
    return place - 16, place + 16


def _read_bracketed(match: re.Match[str]) -> str:
    value = match["value"]
    bare = NO_DIGIT.sub("", value).upper()
    code = CODE_OF_CHINA.match(value)
    if (
        code
        and BRACKETS.search(value, code.end())
        and phone.SHAPE.fullmatch(bare.removeprefix("86"))
    ):
        return bare
    return bare if BRACKETS.search(value) and is_valid(bare) else ""


def find_joined_strings(classes: Classes) -> tuple[Places, Places]:
    """Return the starts and ends of the stretches where strings of digits may be joined.

    Both are i64[n]. They lie around a digit behind a quotation mark, which itself is behind one of
    JOINERS.
    """
    data, place = classes.data, classes.first_digits
    quote = data.take(place - 1)
    is_short = is_one_of(quote, b"\"'")
    is_quoted = is_short | is_one_of(quote, b"\x98\x99\x9c\x9d")
    if not is_quoted.any():
        return place[is_quoted], place[is_quoted]
    place, size = place[is_quoted], np.where(is_short[is_quoted], 2, 4)
    sign = data.take(place - size)
    sign = np.where(sign == SPACE, data.take(place - size - 1), sign)
    place = _amid_digits(classes, place[is_one_of(sign, JOINERS)])
    return place - 14, place + 4


def find_plus_signs(classes: Classes) -> tuple[Places, Places]:
    """Return the starts and ends of the stretches where the gates of calling codes may match.

    Both are i64[n]. They lie around a plus sign or 00 with digits in groups behind. The search
    itself reads a code in one piece with its number, and the code of China.
    """
    data, digit, zero = classes.data, classes.digit, classes.zero
    place, zeros = (
        places(classes.plus),
        places(zero & shift_back(zero, 1) & ~shift_forward(digit, 1)),
    )
    first = np.concatenate((place + 1, zeros + 2))
    place = np.concatenate((place, zeros))
    if not len(place):
        return place, place
    size = lowest(~windows(digit, first))
    is_china = (data.take(first) == CHINA_CODE[0]) & (data.take(first + 1) == CHINA_CODE[1])
    is_gate = is_one_of(data.take(place - 1), b"([") | (
        (size <= LONGEST_CODE) & ~_is_word_or_end(data.take(first + size))
    )
    is_gate &= ~is_china & (np.bitwise_count(windows(digit, first)) >= SHORTEST_ABROAD)
    place = place[is_gate][_go_on(data, first[is_gate])]
    return place - 4, place + 28


def _go_on(data: Bytes, first: Places) -> Flags:
    """Return at which places the digits of a number from abroad continue: bool[n].

    Nothing that separates two numbers may stand between them.
    """
    text = data.take(first[:, None] + np.arange(AROUND))
    ends = ~(is_digit(text) | is_one_of(text, b" .-/_()[]\xc2\xb7"))
    inside = np.arange(AROUND) < np.where(ends.any(1), ends.argmax(1), AROUND)[:, None]
    return np.asarray((is_digit(text) & inside).sum(1) >= SHORTEST_ABROAD)


def _is_word_or_end(data: Bytes) -> Flags:
    """Return which bytes are letters or digits, or end a line."""
    return np.asarray(is_word(data) | (data == LINE_END))


def _read_abroad(match: re.Match[str]) -> str:
    """Return the number and what stands behind it, which may be another.

    The longest valid number counts. Returns "" if there is none, or for a number of China, which
    the search reads.
    """
    value = match["value"]
    if CHINA.match(value):  # which the search reads
        return ""
    for end in (
        len(value),
        *(
            place
            for place in range(len(value) - 1, SHORTEST_ABROAD, -1)
            if not value[place].isdecimal()
        ),
    ):
        bare = NO_DIGIT.sub("", TRUNK.sub(" ", value[:end])).removeprefix("00")
        if normal := _to_e164(bare):
            return normal + value[end:]
    return ""


def _to_e164(digits: str) -> str:
    """Return a calling code and national number as E.164, or "" if they fit no numbering plan.

    The trunk prefix 0 may stand before the national number.
    """
    if digits.startswith("86"):
        return digits[2:] if phone.SHAPE.fullmatch(digits[2:]) else ""
    forms = (
        digits,
        *(
            digits[:code] + digits[code + 1 :]
            for code in (1, 2, 3)
            if digits[code : code + 1] == "0"
        ),
    )
    return next(
        (f"+{form}" for form in forms if len(form) >= SHORTEST_ABROAD and phone.is_number(form)), ""
    )
