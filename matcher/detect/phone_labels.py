"""Tell what the label of a phone number says about its country.

A label in the language of a country stands for it: a number behind `SĐT` is read as dialled in
Vietnam. A language of many countries stands only for those in which a list has customers, and a
plain label such as `phone` for none (`ullage.identifiers.phone`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from itertools import product
from typing import NamedTuple

from matcher.text.fold import list_scripts
from matcher.text.group_numbers import BEHIND_LABELS
from ullage.identifiers import phone
from ullage.identifiers.base import GAP

LATIN_WORDS, HAN_WORDS = ("no", "nr", "number", "num", "is", "es", "est", "ist"), ("号", "号码")
"""Words for "number" and "is" that may stand between a label and its number."""
LAST_WORD = re.compile(rf" ?(?:{'|'.join((*LATIN_WORDS, *HAN_WORDS))})\Z")
TAIL = rf"(?:\.|(?: ?(?:{'|'.join(LATIN_WORDS)})\.?)|{'|'.join(HAN_WORDS)})?{GAP}"
COLUMN_NAME_END = r"(?:\.|[ _](?:no\.?|number))?"
"""What may stand behind a label in the header of a column."""
VCARD = "tel;[^:\n]{1,80}:"
"""The name of a phone in a vCard, with its parameters."""


class LabelCountries(NamedTuple):
    """Calling codes that a label implies, the likeliest first.

    A number is always read in the first country of `home` that it fits, and in each country of
    `spoken` in which a list has customers.
    """

    home: tuple[str, ...] = ()
    spoken: tuple[str, ...] = ()


NO_COUNTRIES = LabelCountries()


@cache
def list_countries() -> Mapping[str, LabelCountries]:
    """Return the countries of each label that implies any, by label in lower case.

    Traditional characters stand for Taiwan, Hong Kong or Macau.
    """
    home = {label: codes for codes, labels in phone.HOME_LABELS.items() for label in labels}
    spoken = {label: codes for codes, labels in phone.SHARED_LABELS.items() for label in labels}
    traditional = (
        form for label in phone.HEADERS if label not in home for form in list_scripts(label)[1:]
    )
    home = dict.fromkeys(traditional, tuple(phone.TRADITIONAL.split())) | home
    return {
        label: LabelCountries(home.get(label, ()), spoken.get(label, home.get(label, ())))
        for label in home | spoken
    }


@cache
def list_column_names() -> Mapping[str, str]:
    """Return the label in each header of a phone column, by header in lower case."""
    labels = dict.fromkeys(form for label in phone.HEADERS for form in list_scripts(label))
    ends = (".", *map("".join, product(" _", ("no", "no.", "number"))))
    composed = {f"{label}{end}": label for label in labels for end in ends}
    return composed | {label: label for label in labels}


@cache
def _list_sizes() -> tuple[int, ...]:
    """Return the lengths of labels that imply a country, longest first."""
    return tuple(sorted({len(label) for label in list_countries()}, reverse=True))


@lru_cache(maxsize=4096)
def find_countries(text: bytes) -> LabelCountries:
    """Return the countries of the label at the end of a text; none if it implies none.

    Words and signs that may stand behind the label are skipped.
    """
    shown = text.decode(errors="replace").lower().rstrip(f"{BEHIND_LABELS}.")
    for label_end in (shown, LAST_WORD.sub("", shown)):
        for size in _list_sizes():
            label = label_end[-size:]
            is_apart = not (
                label[:1].isascii()
                and label_end[-size - 1 : -size].isascii()
                and label_end[-size - 1 : -size].isalnum()
            )
            if is_apart and (countries := list_countries().get(label)):
                return countries
    return NO_COUNTRIES
