r"""Numbers and addresses that are written so that no plain search finds them, made plain in place.

Numbers are such as `1.3800138E+10` and `138加0013加8000`; addresses `a[at]b[dot]com`, `a (at) b.com`, `a.b at c dot com`. `at`
without brackets is a word, so the domain behind it must end like one, and either its dots are spelt out as well or the word
before holds what prose has not: a digit, dot, underscore, plus or hyphen.

Spreadsheets, database dumps and people who evade filters write numbers so. Each form is a `SpellingRule`: a gate, which hyperscan
looks for in the one pass over all texts, and a pattern of Python that says exactly what stands there and what it means. A rule
runs only over texts in which its gate was seen. What is rewritten takes the room that it had: the way back to the place stays.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import product

import numpy as np

from matcher.columns.batch import ranges
from matcher.columns.bitset import AT as AT_SIGN
from matcher.columns.bitset import DOT, LINE_END, SPACE, Classes, Places, is_one_of, is_word, lowest, places, windows
from matcher.columns.literals import BYTES, TEXT, Literals, spell_out, stretches
from matcher.text import cells, spellings
from matcher.text.chain_numbers import find_numbers, is_valid
from matcher.text.chains import ROOM
from matcher.text.fold import FILL, fit, fold_all
from matcher.text.spellings import LABELLED, LONGEST_BETWEEN, SpellingRule, mixed_number
from ullage.identifiers import phone
from ullage.identifiers.base import BEFORE
from ullage.regex import compile_later

WORD = "[0-9A-Za-z]"
BEFORE_GATE, BEHIND_GATE = 192, 160
"""Characters around the end of what a gate saw, in which a number stands whole, but for a long text in hexadecimal."""
SHORTEST_TEXT = 11
"""Characters of a text in hexadecimal that is read."""
WIDE_COMMA, LIST_COMMA = "，、"
"""A comma that parts no cells, unlike the plain one that it is folded to; and what is read in its stead."""


def reveal_numbers(text: str) -> str:
    """`text` with such numbers made plain, exactly as long as before.

    They are looked for in the folded text, where every digit is a plain one, and replaced where they stand in this one.
    """
    folded = fold_all([text.replace(WIDE_COMMA, LIST_COMMA).encode("utf-8", "surrogatepass")])[0]
    classes = Classes(np.frombuffer(b"".join((ROOM, folded.utf8, ROOM)), np.uint8))
    gate, end = _found_by_gates().find(classes.data)
    numbers, mixed = find_numbers(classes, end[gate == 0])
    starts, ends = (folded.chars(places - len(ROOM)).tolist() for places in (numbers.start, numbers.end))
    plain, mixed = numbers.plain, folded.chars(mixed - len(ROOM))
    found = [(start, *mixed_number(folded.text, start)) for start in mixed.tolist()]
    numbers_of_gates = np.repeat(np.arange(len(rules())), [len(rule.gates) for rule in rules()])
    seen = [(numbers_of_gates.take(gate[gate > 0] - 1), end[gate > 0]), *seen_in_columns(classes)]
    number, place = (np.concatenate(column) for column in zip(*seen, strict=True))
    place = folded.chars(np.clip(place - len(ROOM), 0, len(folded.utf8)))
    for each in np.unique(number).tolist():
        found += _found(folded.text, rules()[each], place[number == each])
    for start, stop, said in found:
        if said:
            starts.append(start)
            ends.append(stop)
            plain.append(said)
    return text if not starts else _replaced(text, *folded.spans(np.array(starts, np.int64), np.array(ends, np.int64)), plain)


def _replaced(text: str, first: Places, last: Places, plain: Sequence[str]) -> str:
    """`text` with `plain` in the place of the stretches [first, last), of two that overlap the one that begins first."""
    order = np.argsort(first, kind="stable")
    if (first[order[1:]] < last[order[:-1]]).any():
        order = np.array(list(_apart(order.tolist(), first.tolist(), last.tolist())), np.int64)
    first, last, said = first[order], last[order], [plain[number] for number in order.tolist()]
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).copy()
    codes[ranges(first, last - first)] = ord(FILL)
    written = np.frombuffer("".join(said).encode("utf-32-le", "surrogatepass"), np.uint32)
    codes[ranges(first, np.fromiter(map(len, said), np.int64, len(said)))] = written
    return codes.tobytes().decode("utf-32-le", "surrogatepass")


def _apart(order: Iterable[int], first: Sequence[int], last: Sequence[int]) -> Iterator[int]:
    """Those numbers of `order` whose stretches do not overlap one before."""
    end = 0
    for number in order:
        if first[number] >= end:
            yield number
            end = last[number]


def _found(text: str, rule: SpellingRule, seen: Places) -> Iterator[tuple[int, int, str]]:
    """Where what `rule` finds around the characters `seen` begins and ends, and what it is; all the rest is not looked at."""
    pattern, plain_of, group = rule.pattern, rule.plain, rule.pattern.groupindex.get("value", 0)
    done, made = 0, dict[str, str]()
    for first, last in stretches(seen - BEFORE_GATE, seen + BEHIND_GATE, len(text), 0):
        if rule.needs is not None and rule.needs.search(text, first, last) is None:
            continue
        whole = last - LONGEST_BETWEEN * (last < len(text))  # what ends behind it may go on
        for near in pattern.finditer(text, max(first, done), last):
            match = near if near.end(group) <= whole else pattern.match(text, near.start()) or near
            start, end = match.span(group)
            if start < done:
                continue
            plain = made.get(match[0])
            if plain is None:  # a flood repeats itself
                plain = plain_of(match)
                if not rule.looks_around:
                    made[match[0]] = plain
            if plain and plain != match[group]:
                done = end
                yield start, end, plain


@cache
def gates() -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """What stands before a chain behind a label, the gates of rules that are looked for everywhere, and the flags of each."""
    every = [LABELLED, *(gate for rule in rules() for gate in rule.gates)]
    encoded = tuple(gate if isinstance(gate, bytes) else gate.encode() for gate in every)
    return encoded, tuple(BYTES if isinstance(gate, bytes) else TEXT for gate in every)


@cache
def _found_by_gates() -> Literals:
    return Literals(*gates())


SHORT = 1 << 14


def seen_in_columns(classes: Classes, short: int = SHORT) -> Iterator[tuple[Places, Places]]:
    """Where rules may find something that none of `gates` tells: their numbers, i64[n], and places near it, i64[n].

    A buffer of at most `short` bytes is looked through as a whole, which is faster than five tests of its columns.
    """
    for each, rule in enumerate(rules()):
        if rule.starts is not None:
            start = rule.starts(classes)
            yield np.full(len(start), each), start
    if len(classes.data) <= short:
        number, search = _near_gates()
        gate, end = search.find(classes.data)
        yield number.take(gate), end - 1
        return
    for near, number, search in _near():
        first, last = near(classes)
        if len(first):
            gate, end = search.find(classes.data, stretches(first, last, len(classes.data)))
            yield number.take(gate), end - 1


@cache
def _near() -> Sequence[tuple[Callable[[Classes], tuple[Places, Places]], Places, Literals]]:
    """What tells where gates are looked for, the number of the rule that each of these is of, and all of them.

    They are of bytes: a stretch may begin within a character.
    """
    found = []
    for near in dict.fromkeys(rule.near for rule in rules() if rule.near is not None):
        own = [(each, gate) for each, rule in enumerate(rules()) if rule.near is near for gate in rule.near_gates]
        number, wanted = zip(*own, strict=True)
        found.append((near, np.array(number, np.int64), Literals(wanted, BYTES)))
    return found


@cache
def _near_gates() -> tuple[Places, Literals]:
    """Return the number of the rule that each gate is of that is looked for in columns, and all such gates."""
    wanted = [(each, gate) for each, rule in enumerate(rules()) for gate in rule.near_gates]
    return np.array([each for each, _ in wanted], np.int64), Literals([gate for _, gate in wanted], BYTES)


@cache
def rules() -> tuple[SpellingRule, ...]:
    """Every rule, in the order in which they run."""
    return (
        *_spreadsheet(),
        *_hexadecimal(),
        *spellings.rules(),
        *_spelt(),
        *_morse(),
        *cells.rules(),
        *_mails(),
        *_backward_mails(),
    )


def _spreadsheet() -> Iterable[SpellingRule]:
    """A mobile number as a cell that is too narrow shows it, with digits enough to be whole: `1.3800138E+10`, `8.61380013800E12`.

    Of fewer digits than eight some are lost (as of a card or resident ID, since a spreadsheet keeps fifteen).
    """
    yield SpellingRule(
        (*spell_out((r"1\.",), map(str, range(3, 10)), (r"[0-9]{6,9}e\+?10",)), r"8\.61[3-9][0-9]{6,9}e\+?12"),
        re.compile(
            r"(?<![0-9A-Za-z.])(?:(?=1)(1)\.([3-9]\d{6,9})[eE]\+?10|(8)\.(61[3-9]\d{6,9})[eE]\+?12)(?![0-9A-Za-z])", re.ASCII
        ),
        lambda m: m[1] + m[2].ljust(10, "0") if m[1] else m[3] + m[4].ljust(12, "0"),
    )


def _hexadecimal() -> Iterable[SpellingRule]:
    """A mobile number to the base of sixteen; and text as `mysqldump --hex-blob` writes it, `0x3133…` or `X'3133…'`."""
    yield SpellingRule(
        (r"0x0{1,7}[34][0-9a-f]{8}[^0-9a-z]", *spell_out(("0x",), "34", ("[0-9a-f]{8}[^0-9a-z]",))),
        re.compile(rf"{BEFORE}0[xX]0{{0,7}}([34][0-9a-fA-F]{{8}})(?!{WORD})"),
        lambda m: number if phone.SHAPE.fullmatch(number := str(int(m[1], 16))) else "",
    )
    yield SpellingRule(
        tuple(spell_out(("0x", "x'"), "23456789abcde", (rf"[0-9a-f](?:[2-9a-e][0-9a-f]){{{SHORTEST_TEXT - 1}}}",))),
        re.compile(rf"{BEFORE}(?:0[xX]|[xX]')((?:[0-9a-fA-F]{{2}}){{{SHORTEST_TEXT},}}+)(?!{WORD})"),
        _text_of_hex,
    )


def _text_of_hex(match: re.Match[str]) -> str:
    """Each character in the place of its own octets; "" where they are no text that can be printed."""
    try:
        plain = bytes.fromhex(match[1]).decode()
    except UnicodeDecodeError:
        return ""
    if not plain.isprintable():
        return ""
    sign = " '" if match[0][1] == "'" else ""
    first = "" if sign else FILL * 2
    body = FILL.join(plain) + FILL if plain.isascii() else "".join([char + FILL * (2 * len(char.encode()) - 1) for char in plain])
    return sign + body[:1] + first + body[1:]


SPELT = {
    **dict(zip("zero one two three four five six seven eight nine".split(), "0123456789", strict=True)),
    **dict(zip("ling yi er san si wu liu qi ba jiu".split(), "0123456789", strict=True)),
    **dict(zip("dong yao liang guai gou".split(), "01279", strict=True)),
    **dict(zip("null eins zwei zwo drei vier fünf sechs sieben acht neun".split(), "01223456789", strict=True)),
    **dict(zip("zéro un deux trois quatre cinq six sept huit neuf".split(), "0123456789", strict=True)),
    **dict(zip("cero uno dos tres cuatro cinco seis siete ocho nueve".split(), "0123456789", strict=True)),
}
"""Words for digits in English, German, French and Spanish, and in pinyin, as on the radio too.

A mobile number begins with 13 to 19, a year with 19 or 20.
"""
LONGEST_SPELT = 18 * 7
"""Characters of eighteen words and what stands between them."""
SPELT_WORD = re.compile("|".join(sorted(SPELT, key=len, reverse=True)))


def _spelt() -> Iterable[SpellingRule]:
    """Eleven or eighteen words for digits in a row that are a mobile number or a resident ID: `yao san ba ling …`."""
    word = _of_any_case(sorted(SPELT, key=len, reverse=True))
    of = {digits: [spelt for spelt, digit in SPELT.items() if digit in digits] for digits in ("1", "3456789", "2", "0")}
    signs = ("", " ", "-", ",", ", ")
    rest = {digits: (f"(?:{'|'.join(spelt)})",) for digits, spelt in of.items()}
    beginnings = [pair for one, two in (("1", "3456789"), ("2", "0")) for pair in spell_out(of[one], signs, rest[two])]
    yield SpellingRule(
        tuple(beginnings),
        compile_later(rf"{BEFORE}(?:{word})(?:[ ,\-]{{0,2}}(?:{word})){{10,}}+(?![A-WYZa-wyz])(?P<x>[ \-]?[xX](?![A-Za-z]))?"),
        _spelt_plain,
    )


def _of_any_case(words: Sequence[str]) -> str:
    """A pattern of `words`, told by their first letters and without the flag for any case: in a quarter of the time."""
    families = defaultdict[str, list[str]](list)
    for word in words:
        families[word[0]].append("".join(f"[{char}{char.upper()}]" for char in word[1:]))
    return "|".join(f"[{first}{first.upper()}](?:{'|'.join(rests)})" for first, rests in families.items())


def _spelt_plain(match: re.Match[str]) -> str:
    written = match[0].lower()
    bare = "".join(SPELT[word] for word in SPELT_WORD.findall(written)) if len(written) <= LONGEST_SPELT else ""
    behind = match["x"] or ""
    size = len(written) - len(behind) * (len(bare) == phone.LENGTH)
    bare += "X" * (bool(behind) and size == len(written))
    return fit(bare, size) + match[0][size:] if is_valid(bare) else ""


MORSE = dict(zip("----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.".split(), "0123456789", strict=True))
"""Digits in Morse code (ITU-R M.1677-1)."""
MORSE_DIGIT = re.compile(r"[.\-]{5}")


def _morse() -> Iterable[SpellingRule]:
    """A mobile number in Morse code, with a space or a stroke between its digits."""
    yield SpellingRule(
        (r"[^.\-][.]----(?: | ?[/|] ?)(?:[.][.][.]--|[.]{4}[.\-]|-[.]{4}|--[.]{3}|---[.]{2}|----[.])[ /|]",),
        re.compile(r"(?<![.\-])[.]----(?:(?: | ?[/|] ?)[.\-]{5}){10}(?![.\-]| [.\-]{5})"),
        _morse_plain,
    )


def _morse_plain(match: re.Match[str]) -> str:
    bare = "".join(MORSE.get(digit, "-") for digit in MORSE_DIGIT.findall(match[0]))
    return bare if is_valid(bare) else ""


OPENING, CLOSING = "[({（【［", "])}）】］"
JOINED = rf"[\w+\-{FILL}]"
"""What may stand beside a sign of an address."""
SIGN = compile_later(
    rf"([{re.escape(OPENING)}](?:(?<={JOINED}.)|(?<={JOINED} .))"
    rf" ?(?:dot|Dot|DOT|at|At|AT|[@＠]) ?[{re.escape(CLOSING)}] ?(?={JOINED}))"
)
"""A sign in brackets between two words, with a space on either side or none. What stands before it is looked at from behind the
opening bracket, since a pattern that begins with a class of characters is found faster."""
AT = re.compile(" at ")
DOMAIN = re.compile(
    r"[A-Za-z0-9\-]{1,63}+(?:(?:[.．]| dot )[A-Za-z0-9\-]{1,63}+){0,4}(?:[.．]| dot )[A-Za-z]{2,24}(?![A-Za-z0-9\-])"
)
LOCAL = re.compile(r"[A-Za-z0-9._%+\-]{1,64}\Z")
NO_WORD = re.compile(r"[0-9._+\-]")
SPELT_DOT = re.compile(" dot ")
SPELT_LOCAL = re.compile(r"(?a)(?:(?<![\w.%+\-])[A-Za-z0-9_%+\-]{1,30} dot ){1,3}[A-Za-z0-9._%+\-]{1,64}\Z")
LONGEST_LOCAL, LONGEST_SPELT_LOCAL = 64, 64 + 3 * 35


AT_WORDS = "at|at[ -]?sign|at-zeichen|a|ät|arroba|arobase|chiocciola|klammeraffe|собака|圈a|a圈|艾特|爱特|小老鼠|at符号|at号|@"
DOT_WORDS = "dot|punkt|point|punto|ponto|точка|点|小数点|[.]"
"""How the signs of an address are called, between other signs or spaces."""
HAN_AT, SIGNS_OF_AT, SIGNS_OF_DOT = "艾特|爱特|小老鼠|at符号|at号|圈a|a圈|&at;", "#◎㊣⊙", "。点丶·•…｡˙"
"""What is read for an at sign without anything around it; other signs that pass for one, and for a dot."""
COMMON_TOP = (
    "com|cn|net|org|edu|gov|info|biz|me|io|hk|tw|jp|kr|ru|de|fr|uk|us|eu|vip|top|xyz|cc|co|example|at|ch|es|it|nl|pl|pt|be"
)
_LOCAL = r"(?<![0-9A-Za-z._%+\-])(?P<local>[0-9A-Za-z](?:[0-9A-Za-z._%+\-]|[\[(][.][\])]){1,63}?)"
_APART = r"(?: ?[^\w\s\x1c@.]{1,2} ?|_{1,2}| )"
"""Around the name of a sign."""
_NAME_BEGINS = "(?=[aäckс圈艾爱小@])"
"""With which one of AT_WORDS begins: told first, as most places have none."""
_DOT = rf"(?:(?:{_APART}(?:{DOT_WORDS}){_APART})| ?[.．{SIGNS_OF_DOT}] ?|小数点|dot(?=(?:com|cn|net|org|de)\b))"
_DOT_SIGN = rf"[.．{SIGNS_OF_DOT},、]"
HAS_DOT = re.compile(rf"{_DOT_SIGN}|[dD][oO][tT]|[pP][oOuU]|точка")
"""A sign of which every domain has one, or the beginning of a word; no flag for the case, which doubles the time."""
_DOT_AHEAD = (
    rf"(?=[0-9A-Za-z\-]{{1,63}}+(?: ?[^\w\s\x1c@]{{0,2}} ?|_{{1,2}}| )(?:[dpт小]|{_DOT_SIGN})|[0-9A-Za-z\-]{{1,63}}?(?:dot|-p))"
)
"""The first label of a domain, behind which its dot may begin: told first, too."""
_LABEL = r"[0-9A-Za-z\-]{1,63}?(?=[^0-9A-Za-z]|dot)"
"""What follows is told by its first characters: the names of signs are tried at few places."""
_DOMAIN = (
    rf"(?P<domain>{_LABEL}(?:{_DOT}{_LABEL}){{0,3}}{_DOT}(?:{COMMON_TOP})|(?:[0-9A-Za-z\-]{{1,63}}[,、]){{1,3}}(?:{COMMON_TOP}))"
    r"(?![0-9A-Za-z\-]|[.][0-9A-Za-z])"
)
_AT = rf"(?:{_APART}{_NAME_BEGINS}(?:{AT_WORDS}){_APART}| ?(?:{HAN_AT}) ?| ?[@＠] ?|@@| ?[{SIGNS_OF_AT}] ?)"
WRITTEN_MAIL = compile_later(rf"(?ai){_LOCAL}(?=[^0-9a-z]|a[圈t])(?P<at>{_AT}){_DOT_AHEAD}{_DOMAIN}")
WRITTEN_DOT = re.compile(rf"(?i){_DOT}|[,、]")
BRACKETED_DOT = re.compile(r"[\[(][.][\])]")
ENDS_LINE = re.compile("[\n\x1c]")
"""What ends a line, or one of the texts that are read together."""
UNDERSCORED_DOT = re.compile("(?i)_dot_")
PLAIN_DOMAIN = re.compile(rf"(?ai)(?<![0-9a-z.\-])[0-9a-z\-]+(?:[.][0-9a-z\-]+)*[.](?:{COMMON_TOP})(?![0-9a-z\-])")

SPACED_TOP = "|".join(" ".join(top) for top in COMMON_TOP.split("|"))


def _mails() -> Iterable[SpellingRule]:
    """Addresses with another sign than an at sign, or spaces around it, or with another than a dot: `a @ b.c`, `a艾特b点com`."""
    top, short, dotted = f"(?:{COMMON_TOP})", r"[0-9a-z\-]+", r"[\[(][.][\])]"
    dots = "|".join(SIGNS_OF_DOT)
    named_dot = rf"[^0-9a-z\n@.]{{1,4}}(?:{DOT_WORDS.replace('|[.]', '')})"
    opening, closing = (*map(re.escape, "[({<*_~|/=-"), "《", "【"), (*map(re.escape, "])}>*_~|/=-"), "》", "】")
    closes = f"(?:{'|'.join(closing)})"
    names = [name for name in AT_WORDS.split("|") if name not in ("a", "@")]
    behind = (
        rf"{short}(?: ?(?:{dots}|,|，|、|小数点)| [.]|[.] ) ?{top}[^0-9a-z]",
        rf"{short}{named_dot}",
        rf"{short}[^0-9a-z\n ][.][^0-9a-z\n ]",
    )
    dot = rf"[.]{top}| ?(?:{dots}|,|，|、|小数点)| [.]|[.] |[^0-9a-z\n ][.]|{named_dot}|dot(?:com|cn|net|org|de)"
    domain = rf"{short}(?:[.]{short}){{0,3}}(?:{dot})"
    gates = (
        *HAN_AT.split("|"),
        *SIGNS_OF_AT.replace("#", ""),
        *spell_out(opening, ("", " "), names, (f" ?{closes}",)),
        *(f"[0-9a-z]{one}a{two}" + ("[0-9a-z]" if one != two else domain) for one, two in product(opening, closing)),
        *spell_out(" ", names[1:], " "),
        *spell_out((" at ",), behind),
        rf"(?:[0-9._+\-]|{dotted})(?:[0-9a-z._%+\-]|{dotted}){{0,63}} at {short}[.]{top}[^0-9a-z]",
        *spell_out((f"(?:[@#] ?| at ){short}dot",), ("com", "cn", "net", "org", "de"), ("[^0-9a-z]",)),
    )
    near_gates = (
        r"[0-9a-z](?: @|@ |@@)[^\n]",
        rf"[0-9a-z] ?# ?{short}[.]{top}",
        f"(?:{'|'.join(opening)}) ?@ ?{closes}",
        *spell_out(("[@#] ?",), behind),
    )
    yield SpellingRule(
        tuple(gate.encode() for gate in gates),
        WRITTEN_MAIL,
        _mail_plain,
        find_odd_signs,
        near_gates=tuple(gate.encode() for gate in near_gates),
        needs=HAS_DOT,
        looks_around=True,
    )
    yield SpellingRule(
        (r"[0-9a-z] @ [0-9a-z] [0-9a-z.\-] ",),
        re.compile(
            r"(?ai)(?<![0-9a-z._%+\-@])(?<![0-9a-z] )[0-9a-z](?: [0-9a-z._%+\-]){1,63} @(?: [0-9a-z.\-]){2,62}"
            rf" [.] (?:{SPACED_TOP})(?![0-9a-z\-])"
        ),
        lambda match: match[0].replace(" ", ""),
    )


LONGEST_LABEL = 63
OPENS, CLOSES = b"[({<*_~|/=-\x8a\x90", b"])}>*_~|/=-\xe3"
"""Brackets around an at sign, a Chinese one by its last byte or its first."""


def find_odd_signs(classes: Classes) -> tuple[Places, Places]:
    """Return where at and number signs stand otherwise than in an address: in brackets or spaces, or before no plain domain."""
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
    numbered = ~is_at & is_dot & is_glued & (is_word(before) | ((before == SPACE) & is_word(data.take(place - 2))))
    odd = np.where(is_dot, ~is_glued, (sign != LINE_END) & (sign != AT_SIGN))
    odd &= (sign != SPACE) | ~is_glued | is_one_of(second, b"dDpP")
    own = apart | bracketed | ((size > 0) & (size <= LONGEST_LABEL) & (numbered | odd))
    return place[own] - 6, (first + size)[own] + 28


BACKWARDS = tuple(top[::-1] for top in "com cn net org de fr it es uk io".split())
BACKWARD_MAIL = re.compile(
    rf"(?ai)(?<![0-9a-z._%+\-@])(?:{'|'.join(BACKWARDS)})[.][0-9a-z.\-]{{1,60}}@[0-9a-z._%+\-]{{2,64}}(?![0-9a-z@])"
)


def _backward_mails() -> Iterable[SpellingRule]:
    """Addresses that are written backwards: `moc.elpmaxe@iew.il`."""
    yield SpellingRule(
        tuple(spell_out((r"[^0-9a-z.@\-]",), BACKWARDS, (r"[.][0-9a-z.\-]{1,60}@",))),
        BACKWARD_MAIL,
        lambda match: "" if PLAIN_DOMAIN.search(match[0], match[0].index("@") + 1) else match[0][::-1],
    )


def _mail_plain(match: re.Match[str]) -> str:
    """The address; "" where it only looks like one: a mention with a space before, a page's fragment, words of a sentence."""
    local, at, domain = match["local"], match["at"], match["domain"]
    plain = PLAIN_DOMAIN.match(domain)
    if plain and at == "@":  # whatever stands behind it
        return ""
    name = at.strip(" ")
    is_word = (name.isalpha() and name.isascii()) or (at == " @") or (at[0] == at[-1] == " " and name in SIGNS_OF_AT)
    if is_word and plain and not NO_WORD.search(local):
        return ""
    before = ENDS_LINE.split(match.string[max(0, match.start() - LONGEST_LOCAL) : match.end()])[-1]
    if at in "#＃" and "/" in before + match.string[match.end() : match.end() + 1]:
        return ""
    local = UNDERSCORED_DOT.sub(".", local) if "_" in name and not plain else BRACKETED_DOT.sub(".", local)
    return f"{local}@{WRITTEN_DOT.sub('.', domain)}"


def reveal_addresses(text: str) -> str:
    """`text` with such signs made plain, exactly as long as before."""
    return _with_spelt_words(_with_plain_signs(text))


def _with_plain_signs(text: str) -> str:
    """`text` with the signs in brackets made plain, and FILL behind each, up to its end."""
    parts = SIGN.split(text)  # which costs less than half of a match each
    if len(parts) > 1 and any(f" {sign}" in text for sign in OPENING):
        for number, before in enumerate(parts[:-1:2]):
            if before[-1:] == " ":
                parts[2 * number : 2 * number + 2] = before[:-1], f" {parts[2 * number + 1]}"
    parts[1::2] = map(_plain_sign, parts[1::2])
    return "".join(parts)


@cache
def _plain_sign(sign: str) -> str:
    return fit("." if "dot" in sign.lower() else "@", len(sign))


def _with_spelt_words(text: str) -> str:
    """`text` with the words `at` and `dot` made plain where they stand in an address."""
    made, copied = [], 0
    for place in (match.start() for match in AT.finditer(text)):
        domain = DOMAIN.match(text, place + 4)
        if domain is None or place < copied:
            continue
        local = LOCAL.search(text[max(0, place - LONGEST_LOCAL) : place])
        has_words = " " in domain.group()
        if local and (has_words or NO_WORD.search(local.group())):
            before = text[copied:place]
            if has_words and (spelt := SPELT_LOCAL.search(before[-LONGEST_SPELT_LOCAL:])):
                before = before[: len(before) - len(spelt[0])] + SPELT_DOT.sub(fit(".", 5), spelt[0])
            made += [before, fit("@", 4), SPELT_DOT.sub(fit(".", 5), domain.group())]
            copied = domain.end()
    return "".join([*made, text[copied:]]) if made else text
