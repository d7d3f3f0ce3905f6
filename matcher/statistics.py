"""Facts of the whole capture, for every tenant the same: counts, dates, field map, skeleton, sketch."""

from __future__ import annotations

import hmac
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal

import numpy as np

from matcher.lexicon import Terms
from matcher.rows import Row
from ullage.identifiers import Candidate
from ullage.keys import KeyStore
from ullage.records import RowGroup, Statistics
from ullage.records.finding import SKETCH_SIZE
from ullage.tags import Tagger, derive_key

DATE = re.compile(r"(?<!\d)(20\d\d)[\-/.年](0?[1-9]|1[0-2])[\-/.月](0?[1-9]|[12]\d|3[01])(?!\d)")
FEW_CANDIDATES = 8
SHINGLE = 8
SHINGLE_TEXT = 64 * 1024


class CaptureKey:
    """Match's own key over captures: identity, sketch and author tokens.

    It never leaves match, so none of these can be tested.
    """

    def __init__(self, keys: KeyStore) -> None:
        key = keys.read("capture.key")
        self._identity = derive_key(key, "identity")
        self._author = derive_key(key, "author")
        self._sketch = Tagger(derive_key(key, "sketch"))

    def identity(self, *parts: str) -> str:
        """Keyed digest (32 hex digits) of what identifies something; HMAC-SHA-256, since texts are long and single."""
        return hmac.digest(self._identity, "\x1f".join(parts).encode("utf-8", "surrogatepass"), "sha256")[:16].hex()

    def author(self, name: str) -> str:
        """Token of an author's name."""
        return hmac.digest(self._author, name.encode("utf-8", "surrogatepass"), "sha256")[:8].hex()

    def sketch(self, values: Iterable[str]) -> tuple[str, ...]:
        """The 256 lowest 8-byte tags of the distinct `values`, as hex, ascending."""
        tags = self._sketch.tag([v.encode("utf-8", "surrogatepass") for v in set(values)])
        lowest = np.unique(np.ascontiguousarray(tags[:, :8]).view(">u8").ravel())[:SKETCH_SIZE]
        return tuple(f"{int(value):016x}" for value in lowest)


def statistics(
    text: str, candidates: Sequence[Candidate], rows: Sequence[Row], terms: Terms, key: CaptureKey, today: date
) -> Statistics:
    """The statistics of a folded text."""
    distinct = {(c.kind, c.normal) for c in candidates if c.valid}
    failures = Counter(c.kind for c in candidates if not c.valid)
    sketch_of: Literal["candidates", "shingles"] = "candidates" if len(distinct) >= FEW_CANDIDATES else "shingles"
    values = (f"{kind}:{normal}" for kind, normal in distinct) if sketch_of == "candidates" else shingles(text)
    return Statistics(
        rows=len(rows),
        candidates=dict(sorted(Counter(kind for kind, _ in distinct).items())),
        failures=dict(sorted(failures.items())),
        longest_run=longest_run(int(n) for k, n in distinct if k in ("phone", "card")),
        newest_date=newest_date(text, today),
        field_map=dict(sorted(Counter(str(f) for row in rows for f in row.fields).items())),
        groups=groups(rows),
        skeleton=Counter(row.skeleton for row in rows if row.skeleton).most_common(1)[0][0]
        if any(r.skeleton for r in rows)
        else "",
        terms=terms.terms,
        sketch=key.sketch(values),
        sketch_of=sketch_of,
        bytes=len(text),
    )


def groups(rows: Iterable[Row]) -> tuple[RowGroup, ...]:
    """Rows by their set of fields, the commonest first."""
    counts = Counter(tuple(sorted(map(str, row.fields))) for row in rows)
    return tuple(
        RowGroup(fields=fields, rows=count) for fields, count in sorted(counts.items(), key=lambda i: (-i[1], i[0]))[:64]
    )


def shingles(text: str) -> set[str]:
    """Stretches of 8 characters, spaces left out, of the first 64 Ki characters: what a short post is recognised by."""
    dense = "".join(text[:SHINGLE_TEXT].split()).lower()
    return {dense[i : i + SHINGLE] for i in range(max(1, len(dense) - SHINGLE + 1))} if dense else set()


def longest_run(numbers: Iterable[int]) -> int:
    """Length of the longest run, in sorted order, with one constant step of at most 1,000: a generated list has long ones.

    >>> longest_run([13800000001, 13800000002, 13800000003, 15900000000])
    3
    """
    steps = np.diff(np.unique(np.fromiter((n % 10**18 for n in numbers), np.int64)))
    if not len(steps):
        return 0
    ends = np.flatnonzero(np.append(np.diff(steps) != 0, True))
    lengths = np.diff(ends, prepend=-1)
    small = steps[ends] <= 1000
    return int(lengths[small].max()) + 1 if small.any() else 0


def newest_date(text: str, today: date) -> date | None:
    """The newest date in the text that is not in the future."""
    newest = None
    for match in DATE.finditer(text):
        try:
            found = date(*map(int, match.groups()))
        except ValueError:
            continue
        if found <= today and (newest is None or found > newest):
            newest = found
    return newest
