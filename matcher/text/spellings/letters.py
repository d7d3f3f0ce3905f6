"""Undo numbers in letters: words for digits, Morse code, and IBANs in pieces.

Words of one, two and four letters are in every text, so the first two letters must be a country
that has IBANs, and two digits and the like between must follow.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from matcher.columns.bitset import (
    BITS,
    CASE,
    SPACE,
    Classes,
    Flags,
    Places,
    Words,
    is_digit,
    is_letter,
    is_one_pair_of,
    is_word,
    lowest,
    places,
    shift_back,
    shift_forward,
    under,
    windows,
)
from matcher.columns.literals import spell_out
from matcher.text.digit_groups import HAN_SEPARATORS, SMALL_X
from matcher.text.fold import fit
from matcher.text.group_numbers import is_valid, split_labels
from matcher.text.spellings import Spelling
from ullage.identifiers import iban, phone
from ullage.identifiers.base import BEFORE, GAP
from ullage.regex import compile_later

SPELT = {
    **dict(
        zip("zero one two three four five six seven eight nine".split(), "0123456789", strict=True)
    ),
    **dict(zip("ling yi er san si wu liu qi ba jiu".split(), "0123456789", strict=True)),
    **dict(zip("dong yao liang guai gou".split(), "01279", strict=True)),
    **dict(
        zip(
            "null eins zwei zwo drei vier fünf sechs sieben acht neun".split(),
            "01223456789",
            strict=True,
        )
    ),
    **dict(
        zip("zéro un deux trois quatre cinq six sept huit neuf".split(), "0123456789", strict=True)
    ),
    **dict(
        zip(
            "cero uno dos tres cuatro cinco seis siete ocho nueve".split(),
            "0123456789",
            strict=True,
        )
    ),
}
"""Words for digits in English, German, French and Spanish, and in pinyin, as on the radio too.

A mobile number begins with 13 to 19, a year with 19 or 20.
"""
SPOKEN = SPELT | {
    word: digit
    for words in (
        "ноль один два три четыре пять шесть семь восемь девять",
        "không một hai ba bốn năm sáu bảy tám chín",
    )
    for word, digit in zip(words.split(), "0123456789", strict=True)
}
"""Words for digits behind the label of a phone, in Russian and Vietnamese too."""
SPOKEN_WORD = re.compile("|".join(sorted(SPOKEN, key=len, reverse=True)))
BEHIND_SPOKEN = rf"(?: (?:is|es|est|ist))?{GAP}"
"""Text between a label and a number that is spoken."""
LONGEST_SPELT = 18 * 7
"""Characters of eighteen words and what stands between them."""
SPELT_WORD = re.compile("|".join(sorted(SPELT, key=len, reverse=True)))
MORSE = dict(
    zip(
        "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.".split(),
        "0123456789",
        strict=True,
    )
)
"""Digits in Morse code (ITU-R M.1677-1)."""
MORSE_DIGIT = re.compile(r"[.\-]{5}")
LONGEST_GAP = 8
"""Bytes between two pieces."""
PAIR, GROUP = 2, 4
SHORTEST_IBAN = min(iban.LENGTHS.values())
COUNTRIES = frozenset(country.encode() for country in iban.LENGTHS)
UPPER = np.uint8(0xDF)
"""The bits of a letter without that of its case."""
X_SIGNS = (
    b"[^0-9a-z][a-z] ?x ?[a-z] ?x ?[0-9] ?x ?[0-9] ?x",
    b"[^0-9a-z][a-z]{2}[0-9]{2} ?x ?[0-9a-z]{4} ?x ?[0-9a-z]{4}",
    b"[^0-9a-z][a-z]{2} ?x ?[0-9]{2} ?x ?[0-9a-z]{4}",
)
"""With an x for a sign, which is a letter itself; for hyperscan."""
LONGEST_X = 20
"""Bytes that they take on either side of a digit."""
_WORDS = "|".join(word for word in HAN_SEPARATORS if len(word) > 1)
_SIGNS = (
    r"(?![0-9A-Za-z\s\x1c])[^\w]"
    rf"|[_xX{''.join(word for word in HAN_SEPARATORS if len(word) == 1)}]|{_WORDS}"
)
IBAN_APART = rf"(?:(?![0-9A-WYZa-wyz])(?: ?(?:{_SIGNS}){{1,2}} ?| {{1,3}}|\t))"
"""Its first look passes over the digits and letters of an IBAN in one piece without trying a
word each.
"""
PLAIN_CHARACTER, NO_X = re.compile("[0-9A-Za-z]"), re.compile("[0-9A-WYZa-wyz]")
LONGEST_IBAN = max(iban.LENGTHS.values())
PHONE, RESIDENT_ID, IBAN = "13800138000", "11010519491231002X", "DE89370400440532013000"


def rows() -> Iterator[Spelling]:
    """Yield the ways of writing numbers with letters, such as words and Morse code."""
    word = _match_any_case(sorted(SPELT, key=len, reverse=True))
    of = {
        digits: [spelt for spelt, digit in SPELT.items() if digit in digits]
        for digits in ("1", "3456789", "2", "0")
    }
    signs = ("", " ", "-", ",", ", ")
    spoken = "|".join(sorted(SPOKEN, key=len, reverse=True))
    following = {digits: (f"(?:{'|'.join(spelt)})",) for digits, spelt in of.items()}
    yield Spelling(
        "word IBAN glued to its number",
        "stretch",
        examples=((f"IBAN{IBAN}", IBAN), (f"iban{IBAN.lower()}", IBAN)),
        near_misses=(f"IBAN{IBAN}1", "IBANDE8937040044053201300"),
        gate=(r"iban[a-z]{2}[0-9]{2}",),
        pattern=re.compile(rf"(?i){BEFORE}(?P<value>iban)(?=[a-z]{{2}}[0-9]{{2}})"),
        plain=lambda _: " ",
    )
    yield Spelling(
        "IBAN in pieces",
        "stretch",
        examples=(
            ("DE·89·3704·0044·0532·0130·00", IBAN),
            ("DE89 x 3704 x 0044 x 0532 x 0130 x 00", IBAN),
        ),
        near_misses=("DE·89·3704·0044·0532·0130·01", "ming.li68@DE-89-3704"),
        near=find_x_signs,
        near_gate=X_SIGNS,
        starts=find_iban_starts,
        pattern=compile_later(
            rf"(?i){BEFORE}(?P<value>[A-Z]{IBAN_APART}?[A-Z](?:{IBAN_APART}?[0-9]){{2}}"
            rf"(?:{IBAN_APART}?[0-9A-Z]){{11,70}})"
            r"(?![0-9A-Za-z])"
        ),
        plain=_read_iban,
    )
    yield Spelling(
        "words for digits",
        "stretch",
        examples=(
            ("yao san ba ling ling yao san ba ling ling ling", PHONE),
            ("yao yao ling yao ling wu yao jiu si jiu yao er san yao ling ling er x", RESIDENT_ID),
            ("un trois huit zéro zéro un trois huit zéro zéro zéro", PHONE),
        ),
        near_misses=("one two three", "one three eight zero zero one three eight zero zero"),
        languages=("en", "zh", "de", "fr", "es"),
        gate=tuple(
            pair
            for first, second in (("1", "3456789"), ("2", "0"))
            for pair in spell_out(of[first], signs, following[second])
        ),
        pattern=compile_later(
            rf"{BEFORE}(?:{word})(?:[ ,\-]{{0,2}}(?:{word})){{10,}}+(?![A-WYZa-wyz])(?P<x>["
            r" \-]?[xX](?![A-Za-z]))?"
        ),
        plain=_read_spelt,
    )
    yield Spelling(
        "spoken phone behind its label",
        "stretch",
        examples=(
            ("телефон: один три восемь ноль ноль один три восемь ноль ноль ноль", PHONE),
            ("SĐT một ba tám không không một ba tám không không không", PHONE),
        ),
        near_misses=("телефон: один три восемь", "один три восемь ноль ноль один три восемь"),
        languages=("en", "es", "de", "fr", "ru", "vi"),
        gate=tuple(
            f"(?:{'|'.join(map(re.escape, labels))}){BEHIND_SPOKEN}(?:{spoken})[ ,.\\-]"
            for labels in split_labels(phone.HEADERS)
        ),
        pattern=compile_later(
            rf"(?i)(?:{'|'.join(map(re.escape, sorted(phone.HEADERS, key=len, reverse=True)))})"
            rf"{BEHIND_SPOKEN}(?P<value>(?:{spoken})(?:[ ,.\-]{{1,2}}(?:{spoken})){{6,14}})"
            rf"(?![ ,.\-]{{1,2}}(?:{spoken})|\w)"
        ),
        plain=lambda m: "".join(SPOKEN[word] for word in SPOKEN_WORD.findall(m["value"].lower())),
    )
    yield Spelling(
        "Morse code",
        "stretch",
        examples=tuple(
            ("tel " + between.join(list(MORSE)[int(digit)] for digit in PHONE), PHONE)
            for between in (" ", " / ")
        ),
        near_misses=(f"tel {' '.join(['-----'] * 11)}", f"tel {' '.join(['.----'] * 12)}"),
        gate=(
            (
                r"[^.\-][.]----(?: | ?[/|]"
                r" ?)(?:[.][.][.]--|[.]{4}[.\-]|-[.]{4}|--[.]{3}|---[.]{2}|----[.])[ /|]"
            ),
        ),
        pattern=re.compile(r"(?<![.\-])[.]----(?:(?: | ?[/|] ?)[.\-]{5}){10}(?![.\-]| [.\-]{5})"),
        plain=_read_morse,
    )


def _match_any_case(words: Sequence[str]) -> str:
    """Return a pattern of `words` in any case.

    It branches on the first letter and needs no flag, which takes a quarter of the time.
    """
    families = defaultdict[str, list[str]](list)
    for word in words:
        families[word[0]].append("".join(f"[{char}{char.upper()}]" for char in word[1:]))
    return "|".join(
        f"[{first}{first.upper()}](?:{'|'.join(rests)})" for first, rests in families.items()
    )


def _read_spelt(match: re.Match[str]) -> str:
    """Return the number that words for digits are; "" for none."""
    written = match[0].lower()
    bare = (
        "".join(SPELT[word] for word in SPELT_WORD.findall(written))
        if len(written) <= LONGEST_SPELT
        else ""
    )
    behind = match["x"] or ""
    size = len(written) - len(behind) * (len(bare) == phone.LENGTH)
    bare += "X" * (bool(behind) and size == len(written))
    return fit(bare, size) + match[0][size:] if is_valid(bare) else ""


def _read_morse(match: re.Match[str]) -> str:
    bare = "".join(MORSE.get(digit, "-") for digit in MORSE_DIGIT.findall(match[0]))
    return bare if is_valid(bare) else ""


def find_iban_starts(classes: Classes) -> Places:
    """Return where IBANs in pieces may begin in folded texts, UTF-8 with room around: i64[n]."""
    word = classes.word
    begin, second, third = word & ~shift_forward(word, 1), shift_back(word, 1), shift_back(word, 2)
    sizes = (
        (1, ~second),
        (PAIR, second & ~third),
        (GROUP, second & third & shift_back(word, 3) & ~shift_back(word, GROUP)),
    )
    return np.concatenate([_find_starts(classes, begin & pieces, size) for size, pieces in sizes])


def find_x_signs(classes: Classes) -> tuple[Places, Places]:
    """Return the starts and ends of the stretches where X_SIGNS may match: i64[n], i64[n].

    They lie around one or two digits that an x follows, directly or behind a space.
    """
    data, digit, letter = classes.data, classes.digit, classes.letter
    last: Words = (
        digit & ~shift_back(digit, 1) & ~(shift_forward(digit, 1) & shift_forward(digit, 2))
    )
    last &= shift_back(letter, 1) | (shift_back(letter, 2) & ~shift_back(classes.word, 1))
    place = places(last)
    sign = place + 1 + (data.take(place + 1) == SPACE)
    place = place[data.take(sign) | CASE == SMALL_X]
    return place - LONGEST_X, place + LONGEST_X


def _find_starts(classes: Classes, pieces: Words, size: int) -> Places:
    """Return those of the pieces of `size` letters and digits that may begin an IBAN: i64[n].

    Two letters of a country and two digits begin it, and enough must follow.
    """
    data, word = classes.data, classes.word
    start = places(pieces)
    start = start[is_letter(data.take(start))]
    gap = lowest(windows(word, start + size))
    near = gap <= LONGEST_GAP
    start, gap = start[near], gap[near]
    second = start + 1 if size > 1 else start + 1 + gap
    digits = start + PAIR if size == GROUP else second + 1 + gap
    last = digits + 1 if size > 1 else digits + 1 + gap
    fits = is_one_pair_of(data.take(start) & UPPER, data.take(second) & UPPER, COUNTRIES)
    fits &= is_digit(data.take(digits)) & is_digit(data.take(last)) & is_letter(data.take(second))
    behind_last = last + 1 + gap
    fits &= is_word(data.take(behind_last)) & ~is_word(data.take(last + 1))
    if size == GROUP:  # the search reads those with a space between
        fits &= (gap > 1) | (data.take(start + size) != SPACE)
    start = start[fits]
    return start[_are_long_enough(classes, start, size)] if len(start) else start


def _are_long_enough(classes: Classes, start: Places, size: int) -> Flags:
    """Return behind which starts the line holds as many letters and digits as the shortest IBAN.

    This excludes `li18@a.cn`. The result is bool[n].
    """
    line = under(lowest(windows(classes.line_end, start)))
    fewest = min(SHORTEST_IBAN, BITS // (size + LONGEST_GAP) * size)
    return np.asarray(np.bitwise_count(windows(classes.word, start) & line) >= fewest)


def _read_iban(match: re.Match[str]) -> str:
    """Return the number and what stands behind it; "" if no prefix of the value is a valid IBAN."""
    value = match["value"]
    # whether an x is a sign
    for character in (PLAIN_CHARACTER, NO_X) if "x" in value.lower() else (PLAIN_CHARACTER,):
        ends = [
            letter.end() for letter in itertools.islice(character.finditer(value), LONGEST_IBAN)
        ]
        bare = "".join(value[end - 1] for end in ends).upper()
        length = iban.LENGTHS.get(bare[:2], LONGEST_IBAN + 1)
        if (
            len(bare) >= length
            and iban.check(bare[:length])
            and sum(map(str.isdigit, bare[:length])) >= iban.FEWEST_DIGITS
        ):
            tail = value[ends[length - 1] :]
            return "" if NO_X.match(tail) else bare[:length] + tail
    return ""
