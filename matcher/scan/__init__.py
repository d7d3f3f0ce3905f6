"""Candidates in a folded text: every kind's shapes, digests of values, and who wins where two claim one place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ullage.identifiers import Candidate, kinds

DIGEST = "digest"
HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{32})(?![0-9A-Za-z])")
FORM_OF_LENGTH = {32: "md5", 40: "sha1", 64: "sha256"}
DIGESTED = ("phone", "resident_id", "email")
"""Kinds whose digests are enrolled: dumps carry md5(phone) and think it is anonymous."""


class Question(NamedTuple):
    """One tag to look up: candidate number `candidate`, read as `kind` in `form`."""

    candidate: int
    kind: str
    form: str
    normal: str


def find(text: str) -> list[Candidate]:
    """Candidates of folded `text` in order of place, without overlaps but for what an address holds (a phone before @qq.com).

    A stretch that two kinds claim goes to a valid candidate before an invalid one, then to the kind of lower rank: a resident ID
    that also passes Luhn is no card.
    """
    found = [c for kind in kinds().values() for c in kind.find(text)]
    found += [
        Candidate(DIGEST, m.start(), m.end(), m.group().lower(), True) for m in HEX.finditer(text) if not m.group().isdigit()
    ]
    emails = [c for c in found if c.kind == "email"]
    return sorted([*emails, *_without_overlaps(c for c in found if c.kind != "email")], key=lambda c: (c.start, c.end))


def _without_overlaps(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Resolve overlaps cluster by cluster; clusters are small, so this stays linear in practice and n log n at worst."""
    ranks = {name: kind.rank for name, kind in kinds().items()}
    cluster: list[Candidate] = []
    end = -1
    for candidate in sorted(candidates, key=lambda c: c.start):
        if candidate.start >= end and cluster:
            yield from _winners(cluster, ranks)
            cluster = []
        cluster.append(candidate)
        end = max(end, candidate.end)
    yield from _winners(cluster, ranks)


def _winners(cluster: list[Candidate], ranks: dict[str, int]) -> list[Candidate]:
    if len(cluster) < 2:
        return cluster
    kept: list[Candidate] = []
    for c in sorted(cluster, key=lambda c: (not c.valid, ranks.get(c.kind, 9), c.start)):
        if all(c.end <= k.start or c.start >= k.end for k in kept):
            kept.append(c)
    return kept


def questions(candidates: Iterable[Candidate]) -> Iterator[Question]:
    """What to look up for `candidates`: a valid value as it is, a digest as that of each kind that is enrolled so."""
    for number, candidate in enumerate(candidates):
        if candidate.kind == DIGEST:
            form = FORM_OF_LENGTH[candidate.end - candidate.start]
            for kind in DIGESTED:
                yield Question(number, kind, form, candidate.normal)
        elif candidate.valid:
            yield Question(number, candidate.kind, "plain", candidate.normal)
