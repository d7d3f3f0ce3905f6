"""Recognise passports of the People's Republic of China.

Ordinary passports have E and 8 digits (since 2012), or E, a letter other than I and O, and 7
digits (since those ran out); older ones G and 8 digits. Diplomatic, service and public affairs
passports have D, S and P, with an E in newer ones. There is no checksum outside the
machine-readable zone, so a label must precede the number.
"""

from __future__ import annotations

import re

from ullage.identifiers.base import AFTER, Kind, compile_labelled
from ullage.vocabulary.fields import FieldLabel

LABELS = (
    *("护照", "护照号", "护照号码", "護照", "護照號碼"),
    *("passport", "passport no", "passport_no", "passportno", "passport number"),
)
SHAPE = r"(?:E(?:[0-9]{8}|[A-HJ-NP-Z][0-9]{7})|G[0-9]{8}|[DSP]E?[0-9]{7,8})"
NORMAL = re.compile(SHAPE)
HEADERS = ("护照", "护照号", "护照号码", "passport", "passport_no")


def normalise(text: str) -> str:
    """Return the number in capitals, or "" for another shape.

    >>> normalise('e12345678')
    'E12345678'
    """
    bare = text.strip().upper()
    return bare if NORMAL.fullmatch(bare) else ""


KIND = Kind(
    name="passport",
    field=FieldLabel.PASSPORT,
    noun="a passport number",
    noun_zh="护照号",
    rank=7,
    pattern=compile_labelled(LABELS, SHAPE + AFTER),
    normalise=normalise,
    labels=LABELS,
    headers=HEADERS,
    examples=(
        ("护照号码:E12345678", "E12345678"),
        ("护照 ea1234567", "EA1234567"),
        ('"passport_no":"G12345678"', "G12345678"),
        ("Passport No: PE1234567", "PE1234567"),
        ("护照号SE1234567", "SE1234567"),
    ),
    near_misses=(
        "E12345678",
        "护照:E1234567",
        "护照:EI1234567",
        "护照:E123456789",
        "护照:A12345678",
        "护照,E12345678",
    ),
)
