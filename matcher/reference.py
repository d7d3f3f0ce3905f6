"""Find identifiers in one folded text in plain Python: slow, readable, the search's reference.

One loop over the kinds (`ullage.identifiers`) finds the shapes; overlaps are settled by rank. Tests
compare its results with those of the columnar search (`matcher.detect`) on any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from ullage.identifiers import (
    Candidate,
    Kind,
    claims,
    iban,
    kinds,
    masked_value,
    phone,
    resident_id,
    without_glued_words,
)
from ullage.lookup.values import FORM_OF_LENGTH

DIGEST = "digest"
HEX = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{128}|[0-9a-fA-F]{96}|[0-9a-fA-F]{64}"
    r"|[0-9a-fA-F]{40}|[0-9a-fA-F]{32}|[0-9a-fA-F]{16})(?![0-9A-Za-z])"
)

LOOK_ALIKE = re.compile(
    r"(?<![0-9A-Za-z])(?<![0-9]\.)(?![0-9]{11})[1lI][3-9][0-9OolI]{9}(?![0-9A-Za-z])"
)
TWO_FIELDS = re.compile(r"(?<![0-9A-Za-z])[0-9]{29}(?![0-9A-Za-z])")
APART = ("email", "wechat", DIGEST)
"""Kinds that may overlap with others, as an address with the number in it does."""


class ReferenceMatch(NamedTuple):
    """A candidate; `start` and `end` are character offsets in the folded text.

    A weak candidate only corroborates a row.
    """

    kind: str
    form: str
    start: int
    end: int
    normal: str
    valid: bool
    weak: bool


def find(text: str) -> list[ReferenceMatch]:
    """Return the candidates of folded `text`, ordered by place.

    Candidates do not overlap, except those of the kinds in APART.
    """
    mainland = replace(
        kinds()["phone"], pattern=re.compile(phone.MAINLAND, re.ASCII)
    )  # also within what looks like one from abroad
    bare = without_glued_words(text)
    candidates = [
        c
        for kind in (*kinds().values(), mainland, iban.SPACED)
        for c in find_kind(kind, bare if kind.glued else text)
    ]
    candidates += find_numbers_with_letters(text) + find_adjacent_fields(bare)
    candidates += find_digests(text) + masked_value.find(text)
    apart = [c for c in candidates if c.kind in APART]
    winners = [*apart, *_without_overlaps(c for c in candidates if c.kind not in APART)]
    return sorted(map(_to_match, winners), key=lambda f: (f.start, f.end, f.kind))


def find_digests(text: str) -> list[Candidate]:
    """Return the hexadecimal strings of a digest's length that contain a letter."""
    return [
        Candidate(
            DIGEST, m.start(), m.end(), m.group().lower(), True, FORM_OF_LENGTH[len(m.group())]
        )
        for m in HEX.finditer(text)
        if not m.group().isdigit()
    ]


def find_numbers_with_letters(text: str) -> list[Candidate]:
    """Return the mobile numbers in `text` in which letters stand for similar digits.

    An example is `l38OOl38000`. At least eight characters must be digits.
    """
    candidates = []
    for match in LOOK_ALIKE.finditer(text):
        if sum(map(str.isdigit, match[0])) >= phone.FEWEST_DIGITS:
            normal = "".join(phone.LETTERS.get(char, char) for char in match[0])
            candidates.append(Candidate("phone", *match.span(), normal, True))
    return candidates


def find_adjacent_fields(text: str) -> list[Candidate]:
    """Return each mobile number and resident ID written without a separator, in either order."""
    candidates = []
    for match in TWO_FIELDS.finditer(text):
        for first in (11, 18):
            cells = ((match.start(), match.start() + first), (match.start() + first, match.end()))
            (a, b), (c, d) = cells if first == 11 else cells[::-1]
            normal = resident_id.normalise(text[c:d])
            if phone.SHAPE.fullmatch(text[a:b]) and normal and resident_id.check(normal):
                candidates += [
                    Candidate("phone", a, b, text[a:b], True),
                    Candidate("resident_id", c, d, normal, True),
                ]
                break
    return candidates


def find_kind(kind: Kind, text: str) -> list[Candidate]:
    """Return the candidates of one kind.

    The search continues inside an invalid shape, because a valid one may begin there
    (`2671.6200.0000.0000.0005`).
    """
    candidates, at, behind = list[Candidate](), 0, 0
    while shape := kind.search(text, at):
        begin, end, candidate = shape
        is_valid = candidate is not None and candidate.valid
        if candidate is not None and (is_valid or begin >= behind):
            candidates.append(candidate)
        at, behind = max(end if is_valid else begin + 1, at + 1), max(behind, end)
    return candidates


def _to_match(c: Candidate) -> ReferenceMatch:
    return ReferenceMatch(c.kind, c.form, c.start, c.end, c.normal, c.valid, c.weak)


def _without_overlaps(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Yield candidates of which no two overlap.

    In a cluster of overlapping candidates a valid one wins over an invalid one, then the kind of
    lower rank, then the first.
    """
    cluster: list[Candidate] = []
    end = -1
    for candidate in sorted(candidates, key=lambda c: c.start):
        if candidate.start >= end and cluster:
            yield from _select_winners(cluster)
            cluster = []
        cluster.append(candidate)
        end = max(end, candidate.end)
    yield from _select_winners(cluster)


def _select_winners(cluster: list[Candidate]) -> list[Candidate]:
    winners: list[Candidate] = []
    for c in sorted(cluster, key=_sort_key):
        if all(c.end <= k.start or c.start >= k.end for k in winners):
            winners.append(c)
    return winners


def _sort_key(c: Candidate) -> tuple[bool, bool, int, int]:
    """Return the sort key of a candidate in its cluster: the strongest comes first.

    A digest is weaker than every kind, and a weak candidate weaker than any other.
    """
    plain, abroad = claims(c.kind)
    return not c.valid, c.weak, abroad if c.normal[:1] == "+" else plain, c.start
