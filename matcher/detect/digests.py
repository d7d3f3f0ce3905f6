"""Digests in hexadecimal, of a dump that calls itself anonymous: 32 digits are MD5, 16 its middle, 40 SHA-1, 64 SHA-256."""

from __future__ import annotations

import numpy as np

from matcher.columns.batch import Batch
from matcher.columns.classes import A, is_digit
from matcher.detect.candidates import Segment, every
from matcher.detect.words import Words

DIGEST = "digest"
FORMS = {16: "md5", 32: "md5", 40: "sha1", 64: "sha256"}
F = 5
"""The last letter, counted from the first."""
LOWER = 32
"""The bit that makes a letter lower case; every digit has it."""


def find_digests(batch: Batch, words: Words) -> list[Segment]:
    """Words of exactly so many hexadecimal digits; since they are words, a letter is among them."""
    found = []
    for length, form in FORMS.items():
        start = words.of(length)
        if not len(start):
            continue
        text = batch.windows(start, length)
        text |= np.uint8(LOWER)
        hexadecimal = every(is_digit(text) | (text - np.uint8(A) <= F))
        filled, valid = np.full(len(start), length, np.int64), np.ones(len(start), bool)
        found.append(Segment(DIGEST, form, start, start + length, text, filled, valid).where(hexadecimal))
    return [segment for segment in found if len(segment)]
