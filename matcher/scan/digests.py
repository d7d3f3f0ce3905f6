"""Digests in hexadecimal, of a dump that calls itself anonymous: 32 digits are MD5, 16 its middle, 40 SHA-1, 64 SHA-256."""

from __future__ import annotations

import numpy as np

from matcher.scan.batch import Batch
from matcher.scan.bits import inner, places, whole
from matcher.scan.classes import Classes
from matcher.scan.segment import Segment

DIGEST = "digest"
FORMS = {16: "md5", 32: "md5", 40: "sha1", 64: "sha256"}
LOWER = 32
"""The bit that makes a letter lower case; every digit has it."""


def find_digests(batch: Batch, classes: Classes) -> list[Segment]:
    """Runs of exactly so many hexadecimal digits, a letter among them, glued to no letter or digit."""
    hexadecimal, word = classes.digit | classes.hex_letter, classes.word
    found = []
    for length, form in FORMS.items():
        start = places(whole(hexadecimal, length, word) & ~inner(classes.digit, length))
        text = batch.windows(start, length) | np.uint8(LOWER)
        filled = np.full(len(start), length, np.int64)
        found.append(Segment(DIGEST, form, start, start + length, text, filled, np.ones(len(start), bool)))
    return [segment for segment in found if len(segment)]
