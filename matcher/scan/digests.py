"""Digests in hexadecimal, of a dump that calls itself anonymous: 32 digits are MD5, 16 its middle, 40 SHA-1, 64 SHA-256."""

from __future__ import annotations

import numpy as np

from matcher.scan.batch import Batch
from matcher.scan.bits import runs
from matcher.scan.classes import Classes, is_digit, is_word
from matcher.scan.segment import Segment

DIGEST = "digest"
FORMS = {16: "md5", 32: "md5", 40: "sha1", 64: "sha256"}
SHORTEST = min(FORMS)
LOWER = 32
"""The bit that makes a letter lower case; every digit has it."""


def find_digests(batch: Batch, classes: Classes) -> list[Segment]:
    """Runs of exactly so many hexadecimal digits, a letter among them, glued to no letter or digit."""
    start, end = runs(classes.digit | classes.hex_letter, SHORTEST)
    alone = ~is_word(batch.data[start - 1]) & ~is_word(batch.data[end])
    start, end = start[alone], end[alone]
    found = []
    for length, form in FORMS.items():
        some = start[end - start == length]
        text = batch.windows(some, length)
        mixed = ~is_digit(text).all(1)
        some, text = some[mixed], text[mixed] | np.uint8(LOWER)
        size = np.full(len(some), length, np.int64)
        found.append(Segment(DIGEST, form, some, some + length, text, size, np.ones(len(some), bool)))
    return [segment for segment in found if len(segment)]
