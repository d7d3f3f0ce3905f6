r"""Numbers and addresses that are written so that no plain search finds them, made plain in place.

Numbers are such as `1.3800138E+10` and `138加0013加8000`; addresses `a[at]b[dot]com`, `a (at) b.com`, `a.b at c dot com`. `at`
without brackets is a word, so the domain behind it must end like one, and either its dots are spelt out as well or the word
before holds what prose has not: a digit, dot, underscore, plus or hyphen.

Spreadsheets, database dumps and people who evade filters write numbers so. Each form is a `Rule`: a gate, which hyperscan looks
for in the one pass over all texts, and a pattern of Python that says exactly what stands there and what it means. A rule runs
only over texts in which its gate was seen. What is rewritten takes the room that it had: the way back to the place stays.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np

from matcher.columns.bitset import Places, Ranks, begins_character, where
from matcher.columns.literals import ONCE, TEXT, Literals, Patterns, stretches
from matcher.text.fold import FILL, fit
from ullage.identifiers import card, phone, resident_id
from ullage.identifiers.base import BEFORE, GAP

WORD = "[0-9A-Za-z]"
BEHIND_LABEL = GAP.replace("[:=]", "[:=：＝]")
BEFORE_GATE, BEHIND_GATE = 64, 160
"""Characters around the end of what a gate saw, in which a number stands whole, but for a long text in hexadecimal."""
SHORTEST_TEXT = 11
"""Characters of a text in hexadecimal that is read."""


class Rule(NamedTuple):
    """One form: where it may stand (a pattern for hyperscan, in any case), its exact pattern, and what replaces a match.

    A gate leaves what stands around it open: it sees some texts before they are folded and some after, in which a digit or
    letter beside it may be another. What replaces a match is as long, and the match itself where it is none.
    """

    gate: str
    pattern: re.Pattern[str]
    plain: Callable[[re.Match[str]], str]


def reveal_numbers(text: str) -> str:
    """`text` with such numbers made plain, exactly as long as before."""
    data = np.frombuffer(f"\n{text}\n".encode("utf-8", "replace"), np.uint8)
    number, end = _gates().find(data)
    if not len(number):
        return text
    if len(data) != len(text) + 2:
        end = Ranks(where(data, begins_character)).of(end)
    for each in np.unique(number).tolist():
        text = _rewritten(text, rules()[each], end[number == each] - 1)
    return text


def _rewritten(text: str, rule: Rule, seen: Places) -> str:
    """`text` with what `rule` finds around the characters `seen` made plain; all the rest is not looked at."""
    pattern, plain = rule.pattern, rule.plain
    made, copied = list[str](), 0
    for first, last in stretches(seen - BEFORE_GATE, seen + BEHIND_GATE, len(text), 0):
        for near in pattern.finditer(text, max(first, copied), last):
            start, end = near.span()
            match = pattern.match(text, start) if end == last else near  # it may go on
            if match is not None:
                made.append(text[copied:start])
                made.append(plain(match))
                copied = match.end()
    return "".join([*made, text[copied:]]) if made else text


@cache
def patterns() -> Patterns:
    """The gates of all rules."""
    return Patterns(tuple(rule.gate.encode() for rule in rules()), TEXT | ONCE)


@cache
def _gates() -> Literals:
    return Literals(patterns().wanted, TEXT)


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule, in the order in which they run."""
    return (*_spreadsheet(), *_hexadecimal(), *_grouped(), *_spelt())


def _spreadsheet() -> Iterable[Rule]:
    """A mobile number as a cell that is too narrow shows it, with digits enough to be whole: `1.3800138E+10`, `8.61380013800E12`.

    Of fewer digits than eight some are lost (as of a card or resident ID, since a spreadsheet keeps fifteen).
    """
    yield Rule(
        r"(?:1\.[3-9][0-9]{6,9}|8\.61[3-9][0-9]{6,9})e\+?1[02]",
        re.compile(
            r"(?<![0-9A-Za-z.])(?:(?=1)(1)\.([3-9]\d{6,9})[eE]\+?10|(8)\.(61[3-9]\d{6,9})[eE]\+?12)(?![0-9A-Za-z])", re.ASCII
        ),
        lambda m: fit(m[1] + m[2].ljust(10, "0") if m[1] else m[3] + m[4].ljust(12, "0"), len(m[0])),
    )
    thousands, groups = r"1[3-9],[0-9]{3},[0-9]{3},[0-9]{3}", r"1[3-9][0-9](?P<comma>, ?)[0-9]{4}(?P=comma)[0-9]{4}"
    labels = phone.HEADERS
    yield Rule(  # commas part the cells of a row, so a label must stand before
        rf"(?:{'|'.join(map(re.escape, labels))}){BEHIND_LABEL}1[3-9][0-9]?,",
        re.compile(rf"(?i)((?:{_words(labels)}){BEHIND_LABEL})({thousands}|{groups})(?![0-9A-Za-z]|, ?[0-9])"),
        lambda m: m[1] + fit(m[2].replace(",", "").replace(" ", ""), len(m[2])),
    )


def _words(labels: Iterable[str]) -> str:
    """Any of `labels`, those in Latin letters apart from what precedes them; the longest first."""
    return "|".join(f"{BEFORE if word.isascii() else ''}{re.escape(word)}" for word in sorted(labels, key=len, reverse=True))


def _hexadecimal() -> Iterable[Rule]:
    """A mobile number to the base of sixteen; and text as `mysqldump --hex-blob` writes it, `0x3133…` or `X'3133…'`."""
    yield Rule(
        r"0x0{0,7}[34][0-9a-f]{8}",
        re.compile(rf"{BEFORE}0[xX]0{{0,7}}([34][0-9a-fA-F]{{8}})(?!{WORD})"),
        lambda m: fit(number, len(m[0])) if phone.SHAPE.fullmatch(number := str(int(m[1], 16))) else m[0],
    )
    yield Rule(
        rf"(?:0x|x')(?:[2-9a-e][0-9a-f]){{{SHORTEST_TEXT}}}",
        re.compile(rf"{BEFORE}(?:0[xX]|[xX]')((?:[0-9a-fA-F]{{2}}){{{SHORTEST_TEXT},}}+)(?!{WORD})"),
        _text_of_hex,
    )


def _text_of_hex(match: re.Match[str]) -> str:
    """Each character in the place of its own octets; the match itself where they are no text that can be printed."""
    try:
        plain = bytes.fromhex(match[1]).decode()
    except UnicodeDecodeError:
        return match[0]
    if not plain.isprintable():
        return match[0]
    sign = " '" if match[0][1] == "'" else ""
    first = "" if sign else FILL * 2
    body = FILL.join([*plain, ""]) if plain.isascii() else "".join([char + FILL * (2 * len(char.encode()) - 1) for char in plain])
    return sign + body[:1] + first + body[1:]


LITERAL_SEPARATORS = (" - ", " / ", " . ", "/", " /", "/ ", "**", " ** ")
HAN_SEPARATORS = (
    *"加减乘除杠横转接连再然后下点的呀啊哦喔嗯呢吧爱你我他她是不有在请打拨",
    *("空格", "逗号", "斜线", "斜杠", "横杠", "横线", "减号", "加号", "中间", "然后", "接着"),
)
"""Words that people put between the groups of a number. Units and words that list are none: `150元1000元5000`."""
_SEPARATORS = sorted((*LITERAL_SEPARATORS, *HAN_SEPARATORS), key=len, reverse=True)
SEPARATOR = rf"(?:{'|'.join(map(re.escape, _SEPARATORS))})"
GROUPS = ((r"1[3-9]\d", r"\d{4}", r"\d{4}"), (r"[1-9]\d{5}", r"\d{8}", r"\d{3}[\dXx]"), (r"[3-6]\d{3}", *[r"\d{4}"] * 3))
"""Patterns of the groups of a mobile number, a resident ID and a card."""


def _grouped() -> Iterable[Rule]:
    """Groups with more between them than one space, dash or dot: `138 - 0013 - 8000`, `138/0013/8000`, `138加0013加8000`.

    The same stands between all, and nothing like it around them.
    """
    shapes = []
    for number, (first, *others) in enumerate(GROUPS):
        again = f"(?P=s{number})"
        more = rf"(?:{again}\d{{1,3}})?" if len(others) > 2 else ""  # of a card of seventeen digits and more
        shapes.append(f"{first}(?P<s{number}>{SEPARATOR}){again.join(others)}{more}(?!{again}[0-9])")
    pattern = re.compile(rf"(?<![0-9A-Za-z/_])(?:{'|'.join(shapes)})(?![0-9A-Za-z/_])", re.ASCII)
    gates = [rf"[0-9]{{3}}{re.escape(sign)}[0-9]{{4,8}}{re.escape(sign)}[0-9]{{3}}" for sign in LITERAL_SEPARATORS]
    gates += [rf"[0-9]{{3}}{word}[0-9]{{4}}" for word in HAN_SEPARATORS]
    yield Rule("|".join(gates), pattern, _group_plain)


def _group_plain(match: re.Match[str]) -> str:
    """The digits of a grouped number if they are one that is valid."""
    written, separator, start = match[0], match[match.lastindex or 0], match.start()
    bare = written.replace(separator, "")
    if len(bare) != phone.LENGTH and not _is_valid(bare.upper()):
        return written
    beyond = start - len(separator) - 1
    if beyond >= 0 and match.string.endswith(separator, beyond, start) and match.string[beyond] in string.digits:
        return written
    return fit(bare, len(written))


def _is_valid(bare: str) -> bool:
    """Whether digits are a mobile number, or a resident ID or card whose check holds."""
    if len(bare) == phone.LENGTH:
        return phone.SHAPE.fullmatch(bare) is not None
    some_id = resident_id.normalise(bare)
    return bool(some_id and resident_id.check(some_id)) or bool(card.normalise(bare) and card.luhn(bare))


SPELT = {
    **dict(zip("zero one two three four five six seven eight nine".split(), "0123456789", strict=True)),
    **dict(zip("ling yi er san si wu liu qi ba jiu".split(), "0123456789", strict=True)),
    **dict(zip("dong yao liang guai gou".split(), "01279", strict=True)),
}
"""Words for digits in English and in pinyin, as on the radio too. A mobile number begins with 13 to 19, a year with 19 or 20."""
LONGEST_SPELT = 18 * 7
"""Characters of eighteen words and what stands between them."""
SPELT_WORD = re.compile("|".join(sorted(SPELT, key=len, reverse=True)))


def _spelt() -> Iterable[Rule]:
    """Eleven or eighteen words for digits in a row that are a mobile number or a resident ID: `yao san ba ling …`."""
    word = "|".join(sorted(SPELT, key=len, reverse=True))
    beginnings = [
        f"{first}{sign}{second}"
        for (first, one), (second, two) in product(SPELT.items(), repeat=2)
        for sign in (" ", "-", "", ", ", ",")
        if (one == "1" and two in "3456789") or one + two == "20"
    ]
    yield Rule(
        "|".join(beginnings),
        re.compile(rf"(?i){BEFORE}(?:{word})(?:[ ,\-]{{0,2}}(?:{word})){{10,}}+(?![A-WYZa-wyz])(?:[ \-]?x(?![A-Za-z]))?"),
        _spelt_plain,
    )


def _spelt_plain(match: re.Match[str]) -> str:
    written = match[0].lower()
    bare = "".join(SPELT[word] for word in SPELT_WORD.findall(written)) if len(written) <= LONGEST_SPELT else ""
    last = written.rstrip("x").rstrip(" -") if len(bare) == phone.LENGTH else written
    bare += "X" * (last[-1] == "x")
    return fit(bare, len(last)) + match[0][len(last) :] if _is_valid(bare) else match[0]


OPENING, CLOSING = "[({（【［", "])}）】］"
JOINED = rf"[\w+\-{FILL}]"
"""What may stand beside a sign of an address."""
SIGN = re.compile(
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
LONGEST_LOCAL = 64


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
        if local and (" " in domain.group() or NO_WORD.search(local.group())):
            made += [text[copied:place], fit("@", 4), SPELT_DOT.sub(fit(".", 5), domain.group())]
            copied = domain.end()
    return "".join([*made, text[copied:]]) if made else text
