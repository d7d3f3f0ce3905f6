"""The search in plain Python over one folded text: readable, slow, and what the search in columns
is held to.

One loop over the kinds (`ullage.identifiers`) finds shapes, and overlaps are settled by rank. Tests
compare both on any text.
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
    r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{128}|[0-9a-fA-F]{96}|[0-9a-fA-F]{64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{32}|[0-9a-fA-F]{16})(?![0-9A-Za-z])"
)

LOOK_ALIKE = re.compile(
    r"(?<![0-9A-Za-z])(?<![0-9]\.)(?![0-9]{11})[1lI][3-9][0-9OolI]{9}(?![0-9A-Za-z])"
)
TWO_FIELDS = re.compile(r"(?<![0-9A-Za-z])[0-9]{29}(?![0-9A-Za-z])")
APART = ("email", "wechat", DIGEST)
"""Kinds that may overlap with others, as an address with the number in it does."""


class ReferenceMatch(NamedTuple):
    """A candidate; `start` and `end` are character offsets in the folded text.

    A weak one only corroborates a row.
    """

    kind: str
    form: str
    start: int
    end: int
    normal: str
    valid: bool
    weak: bool


def find(text: str) -> list[ReferenceMatch]:
    """Candidates of folded `text` by place, without overlaps but for kinds that are APART."""
    mainland = replace(
        kinds()["phone"], pattern=re.compile(phone.MAINLAND, re.ASCII)
    )  # also within what looks like one from abroad
    bare = without_glued_words(text)
    candidates = [
        c
        for kind in (*kinds().values(), mainland, iban.SPACED)
        for c in of_kind(kind, bare if kind.glued else text)
    ]
    candidates += with_letters(text) + fixed_width(bare)
    candidates += digests(text) + masked_value.find(text)
    apart = [c for c in candidates if c.kind in APART]
    kept = [*apart, *_without_overlaps(c for c in candidates if c.kind not in APART)]
    return sorted(map(_found, kept), key=lambda f: (f.start, f.end, f.kind))


def digests(text: str) -> list[Candidate]:
    """Hexadecimal of a digest's length, a letter among its digits."""
    return [
        Candidate(
            DIGEST, m.start(), m.end(), m.group().lower(), True, FORM_OF_LENGTH[len(m.group())]
        )
        for m in HEX.finditer(text)
        if not m.group().isdigit()
    ]


def with_letters(text: str) -> list[Candidate]:
    """Mobile numbers with letters that look like digits."""
    found = []
    for match in LOOK_ALIKE.finditer(text):
        if sum(map(str.isdigit, match[0])) >= phone.FEWEST_DIGITS:
            normal = "".join(phone.LETTERS.get(char, char) for char in match[0])
            found.append(Candidate("phone", *match.span(), normal, True))
    return found


def fixed_width(text: str) -> list[Candidate]:
    """A mobile number and a resident ID, or the other way round, with nothing between."""
    found = []
    for match in TWO_FIELDS.finditer(text):
        for first in (11, 18):
            cells = ((match.start(), match.start() + first), (match.start() + first, match.end()))
            (a, b), (c, d) = cells if first == 11 else cells[::-1]
            normal = resident_id.normalise(text[c:d])
            if phone.SHAPE.fullmatch(text[a:b]) and normal and resident_id.check(normal):
                found += [
                    Candidate("phone", a, b, text[a:b], True),
                    Candidate("resident_id", c, d, normal, True),
                ]
                break
    return found


def of_kind(kind: Kind, text: str) -> list[Candidate]:
    """Candidates of one kind; within a shape that is none one may begin that is
    (`2671.6200.0000.0000.0005`).
    """
    found, at, behind = list[Candidate](), 0, 0
    while shape := kind.search(text, at):
        begin, end, candidate = shape
        is_valid = candidate is not None and candidate.valid
        if candidate is not None and (is_valid or begin >= behind):
            found.append(candidate)
        at, behind = max(end if is_valid else begin + 1, at + 1), max(behind, end)
    return found


def _found(c: Candidate) -> ReferenceMatch:
    return ReferenceMatch(c.kind, c.form, c.start, c.end, c.normal, c.valid, c.weak)


def _without_overlaps(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Of each cluster of overlapping candidates the valid before the invalid, then the kind of
    lower rank, then the first.
    """
    cluster: list[Candidate] = []
    end = -1
    for candidate in sorted(candidates, key=lambda c: c.start):
        if candidate.start >= end and cluster:
            yield from _winners(cluster)
            cluster = []
        cluster.append(candidate)
        end = max(end, candidate.end)
    yield from _winners(cluster)


def _winners(cluster: list[Candidate]) -> list[Candidate]:
    kept: list[Candidate] = []
    for c in sorted(cluster, key=_claim):
        if all(c.end <= k.start or c.start >= k.end for k in kept):
            kept.append(c)
    return kept


def _claim(c: Candidate) -> tuple[bool, bool, int, int]:
    """The lower, the stronger: a digest is weaker than every kind, and what is weak than what is
    not.
    """
    plain, abroad = claims(c.kind)
    return not c.valid, c.weak, abroad if c.normal[:1] == "+" else plain, c.start
