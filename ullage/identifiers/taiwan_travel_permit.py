"""Recognise permits of Taiwan residents to travel to the mainland (台胞证).

The National Immigration Administration issues them. Eight digits stay for life, and stand alone
since 2008-09-25. Older permits add two digits that count issues, which are cut off, and the
office in brackets (中新社 2008-09-11). There is no checksum, so a label must precede the number.
"""

from __future__ import annotations

import re

from ullage.identifiers.base import AFTER, Kind, compile_labelled
from ullage.vocabulary.fields import FieldLabel

LABELS = (
    *(
        "台胞证",
        "台胞证号",
        "台胞证号码",
        "台胞證",
        "台胞證號",
        "臺胞證",
        "臺胞證號",
        "台湾通行证",
        "台湾居民来往大陆通行证",
    ),
    *("台灣居民來往大陸通行證", "臺灣居民來往大陸通行證", "taiwan permit", "taiwan_permit"),
)
HEADERS = ("台胞证", "台胞证号", "台胞证号码", "台湾通行证", "taiwan_permit")
SHAPE = r"[0-9]{8}(?:[0-9]{2})?"
NORMAL = re.compile(SHAPE)


def normalise(text: str) -> str:
    """Return the eight lifelong digits, or "".

    >>> normalise('0012345601')
    '00123456'
    """
    bare = text.strip()
    return bare[:8] if NORMAL.fullmatch(bare) else ""


KIND = Kind(
    name="taiwan_travel_permit",
    field=FieldLabel.PERMIT,
    noun="a permit number",
    noun_zh="台胞证号",
    rank=10,
    pattern=compile_labelled(LABELS, SHAPE + AFTER),
    normalise=normalise,
    by_chance=True,
    labels=LABELS,
    headers=HEADERS,
    examples=(
        ("台胞证:00123456", "00123456"),
        ("台胞证号 0012345601(B)", "00123456"),
    ),
    near_misses=(
        "00123456",
        "台胞证:0012345",
        "台胞证:001234567",
        "台胞证,00123456",
        "台胞证:x0123456",
    ),
)
