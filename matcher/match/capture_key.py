"""Compute keyed numbers of a capture's values, and count distinct values in limited memory.

`CaptureKey` is match's own key: it gives a capture its identity, its sketch and the tokens of
authors, none of which can be tested without it. The other classes keep distinct numbers sorted, to
get how many values each kind has (`Distinct`), the lowest numbers (`Lowest`), and sequences of
phone numbers (`NumberSet`). The number of a value is 59 bits of its keyed tag with its kind below:

    bit   63                                  5 4      0
          │ upper 59 bits of a 64-bit tag      │ kind  │        `number_values`

Counts are exact, and memory is limited for any capture. New numbers are merged only when they have
grown to a share of the whole, so adding costs n log n in all. Among a million values, two share a
number with a chance of 1 in a million. Beyond LIMIT, the upper half of the numbers is dropped,
repeatedly, and the rest represents its share of all (adaptive sampling, by Wegman; Flajolet, On
adaptive sampling, Computing 43, 1990): the count is then an estimate, off by less than 0.1 %.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from functools import cache
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, Places
from matcher.detect.candidates import Segment
from matcher.detect.numbers import DIGEST
from ullage.identifiers import kinds, masked_value
from ullage.records.finding import SKETCH_SIZE
from ullage.security.cmac import derive_key
from ullage.security.keys import KeyStore, compute_check_value
from ullage.security.tags import Tagger

Words = npt.NDArray[np.uint64]
NAME = "capture.key"
WORD = 8
"""Bytes of a 64-bit tag."""
TOKEN = 6
"""Bytes of a token.

It is long enough to distinguish authors, and has too few digits for a card number.
"""


@cache
def kind_numbers() -> dict[str, int]:
    """Return, by kind of value, a number below 32 that stands for the kind in numbers of values."""
    return {kind: number for number, kind in enumerate((*kinds(), DIGEST, masked_value.FORM))}


class CaptureKey:
    """Match's own key over captures: identity, sketch and tokens.

    It never leaves match, so none of these can be tested.
    """

    def __init__(self, keys: KeyStore) -> None:
        key = keys.read(NAME)
        self.noted = (NAME, compute_check_value(key, NAME))
        """The key's name and check value."""
        self._identity = derive_key(key, "identity")
        self._served = derive_key(key, "served")
        self._tokens = derive_key(key, "tokens")
        self._sketch = Tagger(derive_key(key, "sketch"))

    def identity(self, *parts: str) -> str:
        """Return the keyed digest (32 hex digits) of an identity.

        It is HMAC-SHA-256, because the texts are long and single.
        """
        return hmac.digest(
            self._identity, "\x1f".join(parts).encode("utf-8", "surrogatepass"), "sha256"
        )[:16].hex()

    def start_identity(self, *parts: str) -> hmac.HMAC:
        """Return an HMAC object that has read `parts`; the caller adds the last, long part."""
        return hmac.new(
            self._identity,
            "".join(f"{part}\x1f" for part in parts).encode("utf-8", "surrogatepass"),
            "sha256",
        )

    def digest_served(self, site: str, post_id: str, body: bytes) -> str:
        """Return a keyed digest (32 hex digits) of a capture's bytes as the site served them.

        It does not depend on how the bytes are decoded, and equals no digest from `identity`.
        """
        digest = hmac.new(
            self._served, f"{site}\x1f{post_id}\x1f".encode("utf-8", "surrogatepass"), "sha256"
        )
        digest.update(body)
        return digest.digest()[:16].hex()

    def token(self, kind: str, *parts: str) -> str:
        """Return the token of an author, channel, post or thread: 12 hex digits.

        No identifier can be read in it. Of 100,000 authors two share one in 2 of 100,000 stores.
        """
        named = "\x1f".join((kind, *parts)).encode("utf-8", "surrogatepass")
        return hmac.digest(self._tokens, named, "sha256")[:TOKEN].hex()

    def sketch(self, values: Iterable[str]) -> tuple[str, ...]:
        """Return the 256 lowest keyed hashes of the distinct `values`, ascending, as 16 hex digits.

        Sketches of two captures show how many values they share.
        """
        tags = self._sketch.tag([v.encode("utf-8", "surrogatepass") for v in set(values)])
        return format_hex(np.unique(_to_words(tags))[:SKETCH_SIZE])

    def values(self, normal: Bytes, length: Places) -> Words:
        """Return the 64-bit tags of normal forms u8[n, width] with lengths i64[n].

        They distinguish values without storing them.
        """
        return _to_words(self._sketch.tag_rows(normal, length))

    def tag_segment(self, segment: Segment) -> Words:
        """Return a 64-bit tag of each candidate of a segment: u64[n].

        Tags are equal if kind and value are equal.
        """
        prefix = np.frombuffer(f"{segment.kind}:".encode(), np.uint8)
        length = len(prefix) + segment.normal.shape[1]
        # rows of whole words are not copied once more
        values = np.empty((len(segment), -(-length // WORD) * WORD), np.uint8)
        values[:, : len(prefix)] = prefix
        values[:, len(prefix) : length] = segment.normal
        return _to_words(self._sketch.tag_rows(values, segment.length + len(prefix)))


def format_hex(words: Words) -> tuple[str, ...]:
    """Return each 64-bit number as a string of 16 hex digits."""
    return tuple(words.astype(">u8").tobytes().hex(" ", WORD).split())


def _to_words(tags: npt.NDArray[np.uint8]) -> Words:
    """Return the first 8 bytes of tags u8[n, 16] as big-endian numbers."""
    return np.ascontiguousarray(tags[:, :8]).view(">u8").ravel().astype(np.uint64)


LIMIT = 1 << 21
"""Numbers kept: 16 MiB, and three times as much while they are sorted.

A capture of 32 MiB rarely has more.
"""
KIND_BITS = 5
LEAST_PENDING = 1 << 16
SEVERAL = 16
"""Factor from which the lowest numbers are selected before sorting.

It is the ratio of all numbers to those wanted.
"""
T = TypeVar("T", np.uint64, np.int64)
LARGEST_STEP = 1000
MODULUS = 10**18
"""Of longer numbers the last 18 digits count: a run shows in the last ones."""


class SortedNumbers(Generic[T]):
    """Distinct numbers in ascending order.

    Added numbers are buffered until they are a share of the whole, so adding costs n log n in all.
    """

    least_pending = LEAST_PENDING

    def __init__(self, dtype: type[T]) -> None:
        self._sorted: npt.NDArray[T] = np.empty(0, dtype)
        self._pending: list[npt.NDArray[T]] = []
        self._waiting = 0

    def add(self, numbers: npt.NDArray[T]) -> None:
        """Add numbers; they are sorted in once more than a quarter of the sorted ones wait."""
        self._pending.append(numbers)
        self._waiting += len(numbers)
        if self._waiting > max(self.least_pending, len(self._sorted) // 4):
            self.list_sorted()

    def list_sorted(self) -> npt.NDArray[T]:
        """Return all numbers, ascending and distinct, after those that wait are sorted in.

        The array is the internal one: do not change it.
        """
        if self._waiting:
            new = np.concatenate(self._pending)
            self._pending, self._waiting = [], 0
            self._sorted = self._merge(new)
        return self._sorted

    def _merge(self, new: npt.NDArray[T]) -> npt.NDArray[T]:
        return merge_distinct(self._sorted, new)


class Distinct(SortedNumbers[np.uint64]):
    """Counts different values by their numbers (`number_values`), up to `limit` exactly."""

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__(np.uint64)
        self._limit, self._halvings = limit, 0

    @property
    def is_exact(self) -> bool:
        """Return whether no number was dropped."""
        self.list_sorted()
        return not self._halvings

    def add(self, numbers: Words) -> None:
        """Count values."""
        super().add(numbers[numbers <= self._highest()] if self._halvings else numbers)

    def counts(self) -> list[int]:
        """Return how many different values each kind has, by the kind's number."""
        kinds = (self.list_sorted() & np.uint64((1 << KIND_BITS) - 1)).astype(np.int64)
        return [
            count << self._halvings
            for count in np.bincount(kinds, minlength=1 << KIND_BITS).tolist()
        ]

    def __len__(self) -> int:
        """Different values of all kinds."""
        return sum(self.counts())

    def _highest(self) -> np.uint64:
        """Return the highest number that is kept."""
        return np.uint64((1 << (64 - self._halvings)) - 1)

    def _merge(self, new: Words) -> Words:
        """Merge `new`, and drop the upper half while there are more than `limit` numbers."""
        numbers = super()._merge(new)
        while len(numbers) > self._limit:
            self._halvings += 1
            numbers = numbers[: np.searchsorted(numbers, self._highest(), "right")].copy()
        return numbers


def number_values(tags: Words, kinds: npt.NDArray[np.uint8] | int) -> Words:
    """Return a number for each value, from its 64-bit keyed hash and its kind: u64[n].

    `tags` is u64[n]; `kinds` are below 32, one for each hash or one for all. Equal values of one
    kind have equal numbers.
    """
    return tags >> np.uint64(KIND_BITS) << np.uint64(KIND_BITS) | np.asarray(kinds, np.uint64)


class Lowest(SortedNumbers[np.uint64]):
    """The lowest different numbers, `size` of them at most."""

    def __init__(self, size: int) -> None:
        super().__init__(np.uint64)
        self._size = size

    def add(self, numbers: Words) -> None:
        """Add numbers to the set, which keeps only the lowest; higher ones are ignored."""
        is_full = len(self._sorted) == self._size and len(numbers) > self._size
        super().add(numbers[numbers < self._sorted[-1]] if is_full else numbers)

    def _merge(self, new: Words) -> Words:
        several = SEVERAL * self._size
        if len(new) > several:  # few are so often repeated that it is not enough
            low = new[new <= np.partition(new, several)[several]]
            new = low if len(np.unique(low)) >= self._size else new
        return super()._merge(new)[: self._size]


class NumberSet(SortedNumbers[np.int64]):
    """Different numbers below 10^18, of phones and cards, to detect sequences.

    Numbers are ignored once there are `limit`; of numbers that are merged together, the lowest
    remain.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__(np.int64)
        self._limit = limit

    def add(self, numbers: npt.NDArray[np.int64]) -> None:
        """Add numbers to the set, unless it already has its limit; then they are ignored."""
        if len(self._sorted) < self._limit:
            super().add(numbers)

    def _merge(self, new: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        merged = super()._merge(new)
        if len(merged) <= self._limit:
            return merged
        fresh = np.setdiff1d(new, self._sorted)
        return super()._merge(fresh[: self._limit - len(self._sorted)])


def merge_distinct(ascending: npt.NDArray[T], new: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return all values, ascending and distinct; `ascending` already is.

    The new values are sorted first. A merge sort then finds two runs and only has to merge them,
    which is twenty times faster than sorting everything.
    """
    values = np.sort(new)
    if len(ascending):
        values = np.concatenate([ascending, values])
        values.sort(kind="stable")
    is_new = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=is_new[1:])
    return values[is_new]


def longest_run(numbers: npt.NDArray[np.int64]) -> int:
    """Return the length of the longest run with one constant step of at most 1,000; 0 for none.

    The length counts numbers, at least two. `numbers` ascend and are distinct.

    >>> longest_run(np.array([13800000001, 13800000002, 13800000003, 15900000000]))
    3
    """
    steps = np.diff(numbers)
    small = steps <= LARGEST_STEP
    if not small.any():
        return 0
    # whether a small step is followed by the same: seldom, so little is made of it
    goes_on = np.zeros(len(steps) + 1, bool)
    np.equal(steps[1:], steps[:-1], out=goes_on[1:-1])
    goes_on[1:-1] &= small[1:]
    edges = np.flatnonzero(goes_on[1:] != goes_on[:-1])
    return int(np.diff(edges)[::2].max(initial=0)) + 2


def parse_digits(
    normal: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the digits of each row as one integer, modulo 10^18: i64[n].

    `normal` (u8[n, width]) has ASCII digits, of which the first `lengths` (at most 19) count.
    """
    values = np.zeros(len(normal), np.uint64)
    for length in np.flatnonzero(np.bincount(lengths)).tolist():
        rows = np.flatnonzero(lengths == length)
        texts = normal if len(rows) == len(normal) else normal.take(rows, axis=0)
        values[rows] = _join_digits(np.ascontiguousarray(texts[:, :length].T) - np.uint8(ord("0")))
    return (values % np.uint64(MODULUS)).astype(np.int64)


def _join_digits(digits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return the number that each column of `digits` u8[length, n] spells: u64[n].

    Entries of ten or more are skipped.
    """
    values = np.zeros(digits.shape[1], np.uint64)
    is_plain = bool((digits < 10).all())
    for row in digits:
        if is_plain:
            values *= np.uint64(10)
            values += row
        else:
            values = np.where(row < 10, values * np.uint64(10) + row, values)
    return values
