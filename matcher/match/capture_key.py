"""Match's own key over captures."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, Places
from matcher.detect.candidates import Segment
from matcher.detect.numbers import DIGEST
from ullage.identifiers import kinds, masked
from ullage.records.finding import SKETCH_SIZE
from ullage.security.check_values import check_value
from ullage.security.keys import KeyStore
from ullage.security.tags import Tagger, derive_key

Words = npt.NDArray[np.uint64]
NAME = "capture.key"
WORD = 8
"""Bytes of a 64-bit tag."""
TOKEN = 6
"""Bytes of a token: long enough to tell authors apart, and too short in digits for a card number."""


@cache
def kind_numbers() -> dict[str, int]:
    """A number below 32 for every kind that a value may be counted as."""
    return {kind: number for number, kind in enumerate((*kinds(), DIGEST, masked.FORM))}


class CaptureKey:
    """Match's own key over captures: identity, sketch and tokens.

    It never leaves match, so none of these can be tested.
    """

    def __init__(self, keys: KeyStore) -> None:
        key = keys.read(NAME)
        self.noted = (NAME, check_value(key, NAME))
        """The key's name and check value."""
        self._identity = derive_key(key, "identity")
        self._served = derive_key(key, "served")
        self._tokens = derive_key(key, "tokens")
        self._sketch = Tagger(derive_key(key, "sketch"))

    def identity(self, *parts: str) -> str:
        """Keyed digest (32 hex digits) of what identifies something; HMAC-SHA-256, since texts are long and single."""
        return hmac.digest(self._identity, "\x1f".join(parts).encode("utf-8", "surrogatepass"), "sha256")[:16].hex()

    def identifying(self, *parts: str) -> hmac.HMAC:
        """The same of what has one more, long part: to be updated with that, piece by piece."""
        return hmac.new(self._identity, "".join(f"{part}\x1f" for part in parts).encode("utf-8", "surrogatepass"), "sha256")

    def served(self, site: str, post_id: str, body: bytes) -> str:
        """Keyed digest of a capture's bytes as served, whatever is made of them: 32 hex digits, equal to no `identity`."""
        hashed = hmac.new(self._served, f"{site}\x1f{post_id}\x1f".encode("utf-8", "surrogatepass"), "sha256")
        hashed.update(body)
        return hashed.digest()[:16].hex()

    def token(self, kind: str, *parts: str) -> str:
        """What stands for an author, a channel, a post or a thread: 12 hex digits, in which no identifier can be read.

        Of 100,000 authors two share one in 2 of 100,000 stores.
        """
        named = "\x1f".join((kind, *parts)).encode("utf-8", "surrogatepass")
        return hmac.digest(self._tokens, named, "sha256")[:TOKEN].hex()

    def sketch(self, values: Iterable[str]) -> tuple[str, ...]:
        """The 256 lowest 8-byte tags of the distinct `values`, as hex, ascending."""
        tags = self._sketch.tag([v.encode("utf-8", "surrogatepass") for v in set(values)])
        return in_hex(np.unique(_words(tags))[:SKETCH_SIZE])

    def values(self, normal: Bytes, length: Places) -> Words:
        """64-bit tags of normal forms u8[n, width] that are `length` i64[n] long: to tell them apart without keeping them."""
        return _words(self._sketch.tag_rows(normal, length))

    def words(self, segment: Segment) -> Words:
        """A 64-bit tag of kind and value of each candidate of a segment: u64[n]; equal where both are equal."""
        prefix = np.frombuffer(f"{segment.kind}:".encode(), np.uint8)
        length = len(prefix) + segment.normal.shape[1]
        values = np.empty((len(segment), -(-length // WORD) * WORD), np.uint8)  # rows of whole words are not copied once more
        values[:, : len(prefix)] = prefix
        values[:, len(prefix) : length] = segment.normal
        return _words(self._sketch.tag_rows(values, segment.length + len(prefix)))


def in_hex(words: Words) -> tuple[str, ...]:
    """64-bit tags as 16 hex digits each."""
    return tuple(words.astype(">u8").tobytes().hex(" ", WORD).split())


def _words(tags: npt.NDArray[np.uint8]) -> Words:
    """The first 8 bytes of tags u8[n, 16] as numbers, the first byte the highest."""
    return np.ascontiguousarray(tags[:, :8]).view(">u8").ravel().astype(np.uint64)
