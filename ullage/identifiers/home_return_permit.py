"""Recognise permits of Hong Kong and Macau residents to travel to the mainland (回乡证).

H or M and 8 digits stay for life. Cards from before 2013 add two digits that count renewals,
which are cut off. There is no checksum: a number is found beside a label, and weakly without one.
"""

from __future__ import annotations

import re

from ullage.identifiers.base import AFTER, BEFORE, Kind, compile_labelled
from ullage.vocabulary.fields import FieldLabel

LABELS = (
    *(
        "回乡证",
        "回鄉證",
        "回乡证号",
        "来往内地通行证",
        "來往內地通行證",
        "通行证",
        "通行证号",
        "通行证号码",
    ),
    *("home return permit", "hrp"),
)
SHAPE = r"[HM][0-9]{8}(?:[0-9]{2})?"
NORMAL = re.compile(SHAPE)
HEADERS = ("回乡证", "回乡证号", "港澳通行证", "通行证号码", "home_return_permit")


def normalise(text: str) -> str:
    """Return the letter and the eight lifelong digits, or "".

    >>> normalise('h1234567801')
    'H12345678'
    """
    bare = text.strip().upper()
    return bare[:9] if NORMAL.fullmatch(bare) else ""


KIND = Kind(
    name="home_return_permit",
    field=FieldLabel.PERMIT,
    noun="a permit number",
    noun_zh="回乡证号",
    rank=6,
    pattern=compile_labelled(LABELS, rf"{BEFORE}{SHAPE}{AFTER}", required=False),
    normalise=normalise,
    labels=LABELS,
    headers=HEADERS,
    alone=SHAPE,
    examples=(
        ("回乡证:H1234567801", "H12345678"),
        ("港澳居民来往内地通行证 m12345678", "M12345678"),
        ("H12345678", "H12345678"),
    ),
    near_misses=("H1234567", "H123456789", "H123456780123", "xH12345678", "K12345678"),
)
