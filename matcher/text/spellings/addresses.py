"""Undo addresses that are written with words or other signs.

Examples are `a[at]b[dot]com`, `a (at) b.com`, `a.b at c dot com`, `a艾特b点com` and
`moc.elpmaxe@iew.il`. `at` without brackets is also a word, so the domain behind it must end like a
domain. Also, either its dots are spelt out, or the word before it holds a character that is rare
in prose: a digit, dot, underscore, plus or hyphen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import product

import numpy as np

from matcher.columns.bitset import AT as AT_SIGN
from matcher.columns.bitset import (
    DOT,
    LINE_END,
    SPACE,
    Classes,
    Places,
    is_one_of,
    is_word,
    lowest,
    places,
    windows,
)
from matcher.columns.literals import spell_out
from matcher.text.fold import FILL, fit
from matcher.text.spellings import Spelling
from ullage.regex import compile_later

ADDRESS = "li.wei8@example.com"
OPENING, CLOSING = "[({（【［", "])}）】］"
JOINED = rf"[\w+\-{FILL}]"
"""What may stand beside a sign of an address."""
SIGN = compile_later(
    rf"([{re.escape(OPENING)}](?:(?<={JOINED}.)|(?<={JOINED} .))"
    rf" ?(?:dot|Dot|DOT|at|At|AT|[@＠]) ?[{re.escape(CLOSING)}] ?(?={JOINED}))"
)
"""A sign in brackets between two words, with a space on either side or none.

What stands before it is looked at from behind the opening bracket, since a pattern that begins with
a class of characters is found faster.
"""
AT = re.compile(" at ")
DOMAIN = re.compile(
    r"[A-Za-z0-9\-]{1,63}+(?:(?:[.．]| dot )[A-Za-z0-9\-]{1,63}+){0,4}(?:[.．]| dot"
    r" )[A-Za-z]{2,24}(?![A-Za-z0-9\-])"
)
LOCAL = re.compile(r"[A-Za-z0-9._%+\-]{1,64}\Z")
NO_WORD = re.compile(r"[0-9._+\-]")
SPELT_DOT = re.compile(" dot ")
SPELT_LOCAL = re.compile(
    r"(?a)(?:(?<![\w.%+\-])[A-Za-z0-9_%+\-]{1,30} dot ){1,3}[A-Za-z0-9._%+\-]{1,64}\Z"
)
LONGEST_LOCAL, LONGEST_SPELT_LOCAL = 64, 64 + 3 * 35


AT_WORDS = (
    "at|at[ -]?sign|at-zeichen|a|ät|arroba|arobase|chiocciola|klammeraffe|собака|圈a|a圈|艾特"
    "|爱特|小老鼠|at符号|at号|@"
)
DOT_WORDS = "dot|punkt|point|punto|ponto|точка|点|小数点|[.]"
"""How the signs of an address are called, between other signs or spaces."""
HAN_AT, SIGNS_OF_AT, SIGNS_OF_DOT = (
    "艾特|爱特|小老鼠|at符号|at号|圈a|a圈|&at;",
    "#◎㊣⊙",
    "。点丶·•…｡˙",
)
"""What is read for an at sign without anything around it; other signs that pass for one, and for
a dot.
"""
COMMON_TOP = (
    "com|cn|net|org|edu|gov|info|biz|me|io|hk|tw|jp|kr|ru|de|fr|uk|us|eu|vip|top|xyz|cc|co"
    "|example|at|ch|es|it|nl|pl|pt|be"
)
_LOCAL = r"(?<![0-9A-Za-z._%+\-])(?P<local>[0-9A-Za-z](?:[0-9A-Za-z._%+\-]|[\[(][.][\])]){1,63}?)"
_APART = r"(?: ?[^\w\s\x1c@.]{1,2} ?|_{1,2}| )"
"""Around the name of a sign."""
_NAME_BEGINS = "(?=[aäckс圈艾爱小@])"
"""With which one of AT_WORDS begins: told first, as most places have none."""
_DOT = (
    rf"(?:(?:{_APART}(?:{DOT_WORDS}){_APART})| ?[.．{SIGNS_OF_DOT}]"
    r" ?|小数点|dot(?=(?:com|cn|net|org|de)\b))"
)
_DOT_SIGN = rf"[.．{SIGNS_OF_DOT},、]"
HAS_DOT = re.compile(rf"{_DOT_SIGN}|[dD][oO][tT]|[pP][oOuU]|точка")
"""A sign of which every domain has one, or the beginning of a word; no flag for the case, which
doubles the time.
"""
_DOT_AHEAD = (
    r"(?=[0-9A-Za-z\-]{1,63}+(?: ?[^\w\s\x1c@]{0,2} ?|_{1,2}|"
    rf" )(?:[dpт小]|{_DOT_SIGN})|[0-9A-Za-z\-]{{1,63}}?(?:dot|-p))"
)
"""The first label of a domain, behind which its dot may begin: told first, too."""
_LABEL = r"[0-9A-Za-z\-]{1,63}?(?=[^0-9A-Za-z]|dot)"
"""What follows is told by its first characters: the names of signs are tried at few places."""
_DOMAIN = (
    rf"(?P<domain>{_LABEL}(?:{_DOT}{_LABEL}){{0,3}}{_DOT}(?:{COMMON_TOP})"
    rf"|(?:[0-9A-Za-z\-]{{1,63}}[,、]){{1,3}}(?:{COMMON_TOP}))"
    r"(?![0-9A-Za-z\-]|[.][0-9A-Za-z])"
)
_AT = (
    rf"(?:{_APART}{_NAME_BEGINS}(?:{AT_WORDS}){_APART}| ?(?:{HAN_AT}) ?| ?[@＠] ?|@@|"
    rf" ?[{SIGNS_OF_AT}] ?)"
)
WRITTEN_MAIL = compile_later(
    rf"(?ai){_LOCAL}(?=[^0-9a-z]|a[圈t])(?P<at>{_AT}){_DOT_AHEAD}{_DOMAIN}"
)
WRITTEN_DOT = re.compile(rf"(?i){_DOT}|[,、]")
BRACKETED_DOT = re.compile(r"[\[(][.][\])]")
ENDS_LINE = re.compile("[\n\x1c]")
"""What ends a line, or one of the texts that are read together."""
UNDERSCORED_DOT = re.compile("(?i)_dot_")
PLAIN_DOMAIN = re.compile(
    rf"(?ai)(?<![0-9a-z.\-])[0-9a-z\-]+(?:[.][0-9a-z\-]+)*[.](?:{COMMON_TOP})(?![0-9a-z\-])"
)

SPACED_TOP = "|".join(" ".join(top) for top in COMMON_TOP.split("|"))
LONGEST_LABEL = 63
OPENS, CLOSES = b"[({<*_~|/=-\x8a\x90", b"])}>*_~|/=-\xe3"
"""Brackets around an at sign, a Chinese one by its last byte or its first."""
BACKWARDS = tuple(top[::-1] for top in "com cn net org de fr it es uk io".split())
BACKWARD_MAIL = re.compile(
    rf"(?ai)(?<![0-9a-z._%+\-@])(?:{'|'.join(BACKWARDS)})"
    r"[.][0-9a-z.\-]{1,60}@[0-9a-z._%+\-]{2,64}(?![0-9a-z@])"
)
BRACKETED = tuple(
    f"{opening}{space}{word}"
    for opening in "[({【"
    for space in ("", " ")
    for word in ("at", "dot")
)
"""Signs behind an opening bracket, as they are once folded: what begins with plain characters is
found at twice the speed.
"""


def rows() -> Iterator[Spelling]:
    """Yield the disguises of mail addresses, in the order in which they are undone."""
    yield from _list_signs()
    yield from _list_layouts()


def _list_signs() -> Iterator[Spelling]:
    """Yield addresses with other signs or words in place of the at sign and the dots."""
    yield Spelling(
        "signs of an address in brackets",
        "stretch",
        examples=(
            ("li.wei8 { at } example{dot}com", ADDRESS),
            ("li.wei8（at）example.com", ADDRESS),
        ),
        near_misses=("f(at)", "x[dot]y"),
        gate=tuple(f"{re.escape(word)} ?[{re.escape(CLOSING)}]" for word in BRACKETED),
        rewrite=reveal_bracketed_signs,
    )
    yield Spelling(
        "words for the signs of an address",
        "stretch",
        examples=(("li.wei8 at example.com", ADDRESS), ("li.wei8 at example dot com", ADDRESS)),
        near_misses=("meet me at example.com", "17 at night"),
        languages=("en",),
        gate=(
            r"[0-9._+\-][a-z0-9._%+\-]{0,63} at [a-z0-9\-]+[.][a-z0-9\-]",
            r"[a-z0-9._%+\-] at (?:[a-z0-9\-]+[.]){0,4}[a-z0-9\-]+ dot [a-z0-9\-]",
        ),
        rewrite=reveal_words,
    )
    gates, near_gates = _list_mail_gates()
    yield Spelling(
        "other signs of an address",
        "stretch",
        examples=(
            ("li.wei8艾特example点com", ADDRESS),
            ("li.wei8 at example，com", ADDRESS),
            ("li.wei8 @ example . com", ADDRESS),
        ),
        near_misses=("https://a.example/b#c.example.com", "hi @john.com"),
        languages=("en", "zh", "de", "fr", "es", "it", "ru"),
        gate=tuple(gate.encode() for gate in gates),
        near=find_odd_signs,
        near_gate=tuple(gate.encode() for gate in near_gates),
        pattern=WRITTEN_MAIL,
        plain=_read_mail,
        needs=HAS_DOT,
        looks_around=True,
    )


def _list_layouts() -> Iterator[Spelling]:
    """Yield addresses whose letters stand otherwise, and accounts that look like one."""
    yield Spelling(
        "letters of an address apart",
        "stretch",
        examples=(
            ("l i . w e i 8 @ e x a m p l e . c o m", ADDRESS),
            ("x: l i . w e i 8 @ e x a m p l e . c o m", ADDRESS),
        ),
        near_misses=("l i . w e i 8 @ e x a m p l e . x q z", "a @ b c"),
        gate=(r"[0-9a-z] @ [0-9a-z] [0-9a-z.\-] ",),
        pattern=re.compile(
            r"(?ai)(?<![0-9a-z._%+\-@])(?<![0-9a-z] )[0-9a-z](?: [0-9a-z._%+\-]){1,63} @(?:"
            r" [0-9a-z.\-]){2,62}"
            rf" [.] (?:{SPACED_TOP})(?![0-9a-z\-])"
        ),
        plain=lambda match: match[0].replace(" ", ""),
    )
    yield Spelling(
        "account of WhatsApp",
        "stretch",
        examples=(
            ("12025550143@s.whatsapp.net", "+12025550143"),
            ("jid: 4917096259826@c.us", "+4917096259826"),
        ),
        near_misses=("4917096259826-1400000000@g.us", "a4917096259826@c.us"),
        gate=(r"[0-9]@s[.]whatsapp[.]net", r"[0-9]@c[.]us"),
        pattern=re.compile(
            r"(?<![0-9A-Za-z._%+\-])([1-9][0-9]{6,14})@(?:s\.whatsapp\.net|c\.us)(?![0-9A-Za-z.\-])"
        ),
        plain=lambda match: f"+{match[1]}",
    )
    yield Spelling(
        "address written backwards",
        "stretch",
        examples=(
            ("moc.elpmaxe@8iew.il", ADDRESS),
            ("登记 gro.elpmaxe@iew.il", "li.wei@example.org"),
        ),
        near_misses=("com.example@1.0", "moc.elpmaxe@li.wei.com"),
        gate=tuple(spell_out((r"[^0-9a-z.@\-]",), BACKWARDS, (r"[.][0-9a-z.\-]{1,60}@",))),
        pattern=BACKWARD_MAIL,
        plain=lambda match: (
            "" if PLAIN_DOMAIN.search(match[0], match[0].index("@") + 1) else match[0][::-1]
        ),
    )


def _list_mail_gates() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the patterns of addresses that may be written with other signs.

    The first are searched for everywhere, the second only near a sign.
    """
    top, short, dotted = f"(?:{COMMON_TOP})", r"[0-9a-z\-]+", r"[\[(][.][\])]"
    dots = "|".join(SIGNS_OF_DOT)
    named_dot = rf"[^0-9a-z\n@.]{{1,4}}(?:{DOT_WORDS.replace('|[.]', '')})"
    opening, closing = (
        (*map(re.escape, "[({<*_~|/=-"), "《", "【"),
        (*map(re.escape, "])}>*_~|/=-"), "》", "】"),
    )
    closes = f"(?:{'|'.join(closing)})"
    names = [name for name in AT_WORDS.split("|") if name not in ("a", "@")]
    behind = (
        rf"{short}(?: ?(?:{dots}|,|，|、|小数点)| [.]|[.] ) ?{top}[^0-9a-z]",
        rf"{short}{named_dot}",
        rf"{short}[^0-9a-z\n ][.][^0-9a-z\n ]",
    )
    dot = (
        rf"[.]{top}| ?(?:{dots}|,|，|、|小数点)| [.]|[.] |[^0-9a-z\n"
        rf" ][.]|{named_dot}|dot(?:com|cn|net|org|de)"
    )
    domain = rf"{short}(?:[.]{short}){{0,3}}(?:{dot})"
    gates = (
        *HAN_AT.split("|"),
        *SIGNS_OF_AT.replace("#", ""),
        *spell_out(opening, ("", " "), names, (f" ?{closes}",)),
        *(
            f"[0-9a-z]{opener}a{closer}" + ("[0-9a-z]" if opener != closer else domain)
            for opener, closer in product(opening, closing)
        ),
        *spell_out(" ", names[1:], " "),
        *spell_out((" at ",), behind),
        rf"(?:[0-9._+\-]|{dotted})(?:[0-9a-z._%+\-]|{dotted}){{0,63}} at {short}[.]{top}[^0-9a-z]",
        *spell_out(
            (f"(?:[@#] ?| at ){short}dot",), ("com", "cn", "net", "org", "de"), ("[^0-9a-z]",)
        ),
    )
    near_gates = (
        r"[0-9a-z](?: @|@ |@@)[^\n]",
        rf"[0-9a-z] ?# ?{short}[.]{top}",
        f"(?:{'|'.join(opening)}) ?@ ?{closes}",
        *spell_out(("[@#] ?",), behind),
    )
    return gates, near_gates


def find_odd_signs(classes: Classes) -> tuple[Places, Places]:
    """Return the stretches around at and number signs that are used otherwise than in an address.

    Such a sign stands in brackets, beside a space, or before something that is not a plain domain.
    """
    data = classes.data
    place = places(classes.at | classes.hash)
    if not len(place):
        return place, place
    is_at, before, behind = data.take(place) == AT_SIGN, data.take(place - 1), data.take(place + 1)
    apart = is_at & ((before == SPACE) | (behind == SPACE) | (behind == AT_SIGN))
    first = place + 1 + (behind == SPACE)
    bracketed = is_at & is_one_of(np.where(before == SPACE, data.take(place - 2), before), OPENS)
    bracketed &= is_one_of(data.take(first), CLOSES)
    size = lowest(~windows(classes.word | classes.dash, first))
    sign, second = data.take(first + size), data.take(first + size + 1)
    is_dot, is_glued = sign == DOT, is_word(second)
    numbered = (
        ~is_at
        & is_dot
        & is_glued
        & (is_word(before) | ((before == SPACE) & is_word(data.take(place - 2))))
    )
    odd = np.where(is_dot, ~is_glued, (sign != LINE_END) & (sign != AT_SIGN))
    odd &= (sign != SPACE) | ~is_glued | is_one_of(second, b"dDpP")
    is_odd = apart | bracketed | ((size > 0) & (size <= LONGEST_LABEL) & (numbered | odd))
    return place[is_odd] - 6, (first + size)[is_odd] + 28


def _read_mail(match: re.Match[str]) -> str:
    """Return the address, or "" if the match only looks like one.

    Such are a mention with a space before it, the fragment of a page's address, and a sentence.
    """
    local, at, domain = match["local"], match["at"], match["domain"]
    plain = PLAIN_DOMAIN.match(domain)
    if plain and at == "@":  # whatever stands behind it
        return ""
    name = at.strip(" ")
    is_word = (
        (name.isalpha() and name.isascii())
        or (at == " @")
        or (at[0] == at[-1] == " " and name in SIGNS_OF_AT)
    )
    if is_word and plain and not NO_WORD.search(local):
        return ""
    before = ENDS_LINE.split(match.string[max(0, match.start() - LONGEST_LOCAL) : match.end()])[-1]
    if at in "#＃" and "/" in before + match.string[match.end() : match.end() + 1]:
        return ""
    local = (
        UNDERSCORED_DOT.sub(".", local)
        if "_" in name and not plain
        else BRACKETED_DOT.sub(".", local)
    )
    return f"{local}@{WRITTEN_DOT.sub('.', domain)}"


def reveal_bracketed_signs(text: str) -> str:
    """Return `text` with signs such as `[at]` and `(dot)` replaced by `@` and `.`, equally long.

    The rest of each place is filled with `FILL`.
    """
    parts = SIGN.split(text)  # which costs less than half of a match each
    if len(parts) > 1 and any(f" {sign}" in text for sign in OPENING):
        for number, before in enumerate(parts[:-1:2]):
            if before[-1:] == " ":
                parts[2 * number : 2 * number + 2] = before[:-1], f" {parts[2 * number + 1]}"
    parts[1::2] = map(_read_sign, parts[1::2])
    return "".join(parts)


@cache
def _read_sign(sign: str) -> str:
    return fit("." if "dot" in sign.lower() else "@", len(sign))


def reveal_words(text: str) -> str:
    """Return `text` with the words `at` and `dot` replaced by signs, only within mail addresses.

    The result is as long as `text`.
    """
    parts, copied = [], 0
    for place in (match.start() for match in AT.finditer(text)):
        domain = DOMAIN.match(text, place + 4)
        if domain is None or place < copied:
            continue
        local = LOCAL.search(text[max(0, place - LONGEST_LOCAL) : place])
        has_words = " " in domain.group()
        if local and (has_words or NO_WORD.search(local.group())):
            before = text[copied:place]
            if has_words and (spelt := SPELT_LOCAL.search(before[-LONGEST_SPELT_LOCAL:])):
                before = before[: len(before) - len(spelt[0])] + SPELT_DOT.sub(
                    fit(".", 5), spelt[0]
                )
            parts += [before, fit("@", 4), SPELT_DOT.sub(fit(".", 5), domain.group())]
            copied = domain.end()
    return "".join([*parts, text[copied:]]) if parts else text
