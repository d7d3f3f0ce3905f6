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

import re
import string
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from matcher.text.chains import HAN_SEPARATORS
from matcher.text.fold import HAN, PLAIN_DIGITS
from ullage.identifiers import card, iban, phone, resident_id
from ullage.identifiers.base import BEFORE, GAP

BEHIND_LABEL = GAP.replace("[:=]", "[:=：＝]")


class Rule(NamedTuple):
    """One form: where it may stand, its exact pattern, and what replaces a match.

    `gates` are patterns for hyperscan, in any case, of characters or of bytes.
    A gate leaves what stands around it open. If the pattern has a group `value`, that alone is replaced. What replaces it is no
    longer than it; "" where it stays.
    """

    gates: tuple[str | bytes, ...]
    pattern: re.Pattern[str]
    plain: Callable[[re.Match[str]], str]


def rules() -> tuple[Rule, ...]:
    """Every rule, in the order in which they run."""
    return (*_chains(), *_brackets(), *_segments(), *_formulas(), *_plus_signs(), *_glued())


def words_of(labels: Iterable[str]) -> str:
    """A pattern of any of `labels`, those in Latin letters apart from what precedes them; the longest first."""
    return "|".join(f"{BEFORE if word.isascii() else ''}{re.escape(word)}" for word in sorted(labels, key=len, reverse=True))


def is_valid(bare: str) -> bool:
    """Whether digits are a mobile number, or a resident ID or card whose check holds."""
    if len(bare) == phone.LENGTH:
        return phone.SHAPE.fullmatch(bare) is not None
    some_id = len(bare) == ID_LENGTH and resident_id.normalise(bare)
    return bool(some_id and resident_id.check(some_id)) or bool(card.normalise(bare) and card.luhn(bare))


_WORDS = "|".join(sorted(HAN_SEPARATORS, key=len, reverse=True))
ROUND = "○◯"
"""Digits that are none to Unicode."""
DIGIT = f"[0-9{HAN}]"
SIGN = rf"(?:[^\w\s{ROUND}]|[_xX])"
BETWEEN = rf"(?: {{0,2}}{SIGN}{{1,2}} {{0,2}}| {{1,3}}|\t|(?:{_WORDS}))"
LONGEST_BETWEEN, ID_LENGTH = 8, 18
NOT_GLUED = rf"(?<![0-9A-Za-z{HAN}])"
LAST_X = r"[xX](?![0-9A-Za-z])"
CHAIN = re.compile(
    rf"{NOT_GLUED}(?=(?P<value>{DIGIT}{{1,15}}(?P<gap>{BETWEEN}){DIGIT}{{1,15}}(?:(?P=gap){DIGIT}{{1,15}}){{0,19}}(?:(?P=gap)?{LAST_X})?))\S"
)
LOOSE = r"[ \-./·_*]{1,3}"
MIXED = re.compile(rf"{NOT_GLUED}(?P<value>{DIGIT}(?:{LOOSE}{DIGIT}){{10,18}}(?:{LOOSE}?{LAST_X})?)(?!{LOOSE}{DIGIT})")
"""Single digits with one sign or another between."""
NO_DIGIT = re.compile(r"[^0-9Xx]+")
ANY_DIGIT, ALPHANUMERIC = f"0123456789{HAN}", string.ascii_letters + string.digits
PREFIXES = frozenset(("86", "0086", "0"))
OF_CELLS, OF_SUMS, OF_DATES, OF_PATHS = frozenset(",;|\t"), frozenset(".:~*=+"), frozenset(" -./:"), frozenset("/\\_")
"""Signs that part the cells of a row, that stand between two numbers which are two, in dates, and in paths."""
TWO, FEWEST_OF_TWO = 2, 3
OCTETS, HIGHEST_OCTET = 4, 255
"""Of an address of a network."""
DATES = ((4, 2, 2), (2, 2, 4), (4, 1, 2), (4, 2, 1))
LONGEST_LABEL = 32
"""Characters before a number in which its label stands."""
LABELS = (*phone.HEADERS, *resident_id.HEADERS, *card.HEADERS)
BEHIND_LABELS = " \t\"'`])}】>:=：＝是为為-[({【<"


def _chain_plain(match: re.Match[str]) -> str:
    """The digits of a chain; "" where it is no number, or part of a longer one."""
    value, gap = match["value"], match["gap"]
    groups = (value if value.isascii() else value.translate(PLAIN_DIGITS)).split(gap)
    whole = "".join(groups)
    prefix = groups[0] if groups[0] in PREFIXES and len(whole) == phone.LENGTH + len(groups[0]) else ""
    if prefix:  # which stays: a plus sign may stand before it
        whole, groups = whole.removeprefix(prefix), groups[1:]
    if not is_valid(whole.upper()):
        whole = whole[:-1] if whole[-1] in "xX" and is_valid(whole[:-1]) else ""
    if not whole or _goes_on(match.string, *match.span("value"), gap):
        return ""
    if len(whole) > phone.LENGTH and any(len(group) >= phone.LENGTH and is_valid(group) for group in groups):
        return ""
    may_part = _may_part(gap.strip(" ") or " ", groups, whole) or _is_labelled(match.string, match.start("value"))
    return prefix + whole.upper() if may_part else ""


def _goes_on(text: str, start: int, end: int, gap: str) -> bool:
    """Whether a letter or digit is glued to [start, end), a digit stands beyond another gap, or a path goes on."""
    before, behind = start - len(gap), end + len(gap)
    following = text[end : end + 1]
    if gap in OF_PATHS and (following in OF_PATHS or (start and text[start - 1] in OF_PATHS)):
        return True
    if following in ALPHANUMERIC and following:
        return True
    if text.startswith(gap, end) and text[behind : behind + 1] in ANY_DIGIT and behind < len(text):
        return True
    return before > 0 and text.startswith(gap, before) and text[before - 1] in ANY_DIGIT


def _may_part(sign: str, groups: Sequence[str], bare: str) -> bool:
    """Whether `sign` between these groups is no sign of something else; two hyphens end a field."""
    if sign.startswith("--") or set(sign) <= OF_CELLS:
        return False
    sizes = [len(group) for group in groups]
    if len(bare) == ID_LENGTH and bare[:2] in resident_id.REGIONS:
        return True
    if len(sizes) == TWO and (sign[0] in OF_SUMS or min(sizes) < FEWEST_OF_TWO):
        return False
    if sign not in OF_DATES or max(sizes) == 1:
        return True
    if len(bare) > phone.LENGTH:
        return tuple(sizes) in card.GROUPS or (len({*sizes[:-1]}) == 1 and sizes[-1] <= sizes[0])
    is_time = sign == ":" and min(sizes) < FEWEST_OF_TWO
    is_address = sign == "." and len(groups) == OCTETS and all(int(group) <= HIGHEST_OCTET for group in groups)
    return not (is_time or is_address or any(three in DATES for three in zip(sizes, sizes[1:], sizes[2:], strict=False)))


def _is_labelled(text: str, start: int) -> bool:
    """Whether a label ends before `start`, with no more between than what closes it, a sign, and what opens a value."""
    return text[max(0, start - LONGEST_LABEL) : start].rstrip(BEHIND_LABELS).lower().endswith(LABELS)


def _mixed_plain(match: re.Match[str]) -> str:
    bare = NO_DIGIT.sub("", match["value"].translate(PLAIN_DIGITS)).upper()
    return bare if is_valid(bare) else ""


def chain_plain(text: str, start: int) -> tuple[int, str]:
    """Where the chain of digits that begins at `start` ends, and the number that it is; "" where it is none."""
    for pattern, plain in ((CHAIN, _chain_plain), (MIXED, _mixed_plain)):
        if (match := pattern.match(text, start)) and (made := plain(match)):
            return match.end("value"), made
    return start, ""


def _chains() -> Iterable[Rule]:
    """Digits between which stands what parts cells, behind a label."""
    yield Rule((f"(?:{'|'.join(map(re.escape, LABELS))}){BEHIND_LABEL}[0-9]{{1,9}} ?[,;|\\t]",), CHAIN, _cells_plain)


def _cells_plain(match: re.Match[str]) -> str:
    return _chain_plain(match) if set(match["gap"].strip(" ") or " ") <= OF_CELLS else ""


OPEN, CLOSE = r"[(\[{【（〔［｛「『<《〈]", r"[)\]}】）〕］｝」』>》〉]"
LINK = rf"{CLOSE}?[ \-.·:：/]{{0,2}}{OPEN}?"
BRACKETED = re.compile(
    rf"{NOT_GLUED}(?P<value>{OPEN}?(?:1{LINK}[3-9](?:{LINK}\d){{9}}(?!\d)|[1-8](?:{LINK}\d){{12,18}}(?:{LINK}{LAST_X})?){CLOSE}?)"
    r"(?![0-9A-Za-z])"
)
BRACKETS = re.compile(rf"{OPEN}|{CLOSE}")


def _brackets() -> Iterable[Rule]:
    """A group in brackets, or several."""
    opening, closing = rb"(?:[(\[{<]|\xe3\x80[\x8a\x88\x8c\x8e\x90\x94])", rb"(?:[)\]}>]|\xe3\x80[\x8b\x89\x8d\x8f\x91\x95])"
    gates = (
        b"[^0-9]1[3-9][0-9]{1,5}%s[ \\-.:/]?%s?[0-9]{2}" % (closing, opening),
        b"[^0-9]1[3-9][0-9]{1,2}[ \\-.:/]?%s[0-9]{3,4}%s" % (opening, closing),
        b"[^0-9][1-8](?:[0-9]{3}|[0-9]{5})%s[ \\-.:/]?%s?[0-9]{4}" % (closing, opening),
        b"[^0-9][1-8]%s ?%s[0-9]%s ?%s[0-9]%s" % (closing, opening, closing, opening, closing),
    )
    yield Rule(gates, BRACKETED, _bracketed_plain)


def _bracketed_plain(match: re.Match[str]) -> str:
    value = match["value"]
    bare = NO_DIGIT.sub("", value).upper()
    return bare if BRACKETS.search(value) and is_valid(bare) else ""


SEGMENT = r"(?:号段|號段|开头|開頭|打头|打頭|字头|字頭|前缀|前綴)"
REST = r"(?:的|手机|号码?|后面|後面|后八位|後八位|尾号|尾號|接着?|是|为|為|[^\w\n\x1c]){0,6}"


def _segments() -> Iterable[Rule]:
    """The first three digits as those of a carrier, and the rest: `138号段：0013-8000`, `号段138，尾号00138000`."""
    rest = r"(?P<rest>\d{4}[ \-.]?\d{4})(?!\d)"
    yield Rule(
        (rf"1[3-9][0-9].?{SEGMENT}", rf"{SEGMENT}[^0-9]{{0,3}}1[3-9][0-9][^0-9]"),
        re.compile(
            rf"(?<![0-9A-Za-z])(?P<value>(?:{SEGMENT}[:： 为是]{{0,2}})?(?P<first>1[3-9]\d)(?!\d)"
            rf"[^\w\x1c]?(?:{SEGMENT})?{REST}{rest})"
        ),
        lambda m: m["first"] + NO_DIGIT.sub("", m["rest"]) if re.search(SEGMENT, m["value"]) else "",
    )


QUOTE = "[\"'“”‘’]"


def _formulas() -> Iterable[Rule]:
    """Strings that a spreadsheet or a program joins."""
    joined, more = rf"[ ]?(?:&|\+|\|\||\.)[ ]?{QUOTE}", rf"\d{{1,17}}[xX]?{QUOTE}"
    listed = rf"(?:[ ]?[,;][ ]?{QUOTE}?\d{{1,17}}[xX]?{QUOTE}?){{1,17}}"
    yield Rule(
        (rf"[0-9]{QUOTE}?[ ]?(?:&|\+|\|\||\.)[ ]?{QUOTE}[0-9]", rf"concat(?:enate)?\([ ]?{QUOTE}?[0-9]"),
        re.compile(
            rf"(?i){BEFORE}(?P<value>=?(?:{QUOTE}?\d{{1,17}}{QUOTE}?(?:{joined}{more}){{1,17}}"
            rf"|concat(?:enate)?\([ ]?{QUOTE}?\d{{1,17}}{QUOTE}?{listed}[ ]?\)))"
        ),
        lambda m: bare if is_valid(bare := NO_DIGIT.sub("", m["value"]).upper()) else "",
    )


ABROAD = re.compile(
    r"(?<![0-9A-Za-z+])(?P<value>(?:[(\[]?\+[ ]?[(\[]?|(?<![0-9][ .\-/·_])[(\[]?00[ .\-]?)"
    r"[1-9](?:[ .\-/·_()\[\]]{0,3}[0-9]){6,16})(?![0-9A-Za-z])"
)
CHINA = re.compile(r"\(?\+86|\(?0086")
TRUNK = re.compile(r"\([ ]?0[ ]?\)")
SHORTEST_ABROAD = 7


def _plus_signs() -> Iterable[Rule]:
    """Numbers with a calling code that is bracketed or parted in another way than it is dialled, as E.164."""
    gates = (
        r"[(\[]\+(?:[1-79]|8[^6])",
        r"\+[ (\[]{1,2}[0-9]",
        r"[(\[]00(?:[1-79]|8[^6])",
        r"[^0-9]00[ .\-][1-9](?:[0-9]{0,2}[ .\-(/]|[0-9]{8})",
        r"\+[0-9]{1,3}(?:[/·_]|[ ][\-/][ ]|[)\]][ .\-/]{0,2})[0-9]",
        r"\+[0-9]{1,3}[ .\-/]?\([ ]?0",
        r"(?:\+|00)[0-9]{1,3}[ .\-/][0-9]{1,6}[/·_][0-9]",
        r"\+[0-9]{1,3}[ .\-]0[0-9]",
        r"\+[0-9][ .\-][0-9][ .\-][0-9][ .\-][0-9]",
    )
    yield Rule(gates, ABROAD, _abroad_plain)


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


NO_X = rb"(?:[^0-9a-z\n\xe4-\xe9 ][^0-9a-z\n\xe4-\xe9]{0,3}| [^0-9a-z\n\xe4-\xe9]{1,3})"
"""Between groups of an IBAN: not a single space, with which the search reads it."""
IBAN_APART = r"(?: ?(?:(?![0-9A-Za-z\s\x1c])[^\w]|[_丨丶]){1,2} ?| {1,3})"


def _glued() -> Iterable[Rule]:
    """What is glued to a value: a line end or tab that was never undone, and the word IBAN."""
    yield Rule(
        (r"\\[nrt](?:\+?[0-9]|[a-z]{2}[0-9]{2}|[0-9a-z._%+\-]{1,64}@)",),
        re.compile(r"(?<!\\)(?P<value>\\{1,4}[nrt])(?=\+?\d|[A-Z]{2}\d{2}|[0-9A-Za-z._%+\-]{1,64}@)", re.ASCII),
        lambda m: "\t" if m["value"][-1] == "t" else "\n",
    )
    yield Rule((r"iban[a-z]{2}[0-9]{2}",), re.compile(rf"(?i){BEFORE}(?P<value>iban)(?=[a-z]{{2}}[0-9]{{2}})"), lambda _: " ")
    head, others = b"[^0-9a-z][a-z]{2}[0-9]{2}", b"(?:%s[0-9a-z]{4}){2}" % NO_X
    yield Rule(
        (head + others,),
        re.compile(
            rf"{BEFORE}(?P<value>[A-Z]{IBAN_APART}?[A-Z](?:{IBAN_APART}?\d){{2}}(?:{IBAN_APART}?[0-9A-Z]){{11,30}})(?![0-9A-Za-z])",
            re.ASCII,
        ),
        _iban_plain,
    )


def _iban_plain(match: re.Match[str]) -> str:
    """The number and what stands behind it."""
    value = match["value"]
    bare = "".join(char for char in value if char.isascii() and char.isalnum())
    length = iban.LENGTHS.get(bare[:2], len(bare) + 1)
    if len(bare) < length or not iban.check(number := bare[:length]) or sum(map(str.isdigit, number)) < iban.FEWEST_DIGITS:
        return ""
    rest = value
    for char in number:
        rest = rest[rest.index(char) + 1 :]
    return "" if rest[:1].isalnum() else number + rest
