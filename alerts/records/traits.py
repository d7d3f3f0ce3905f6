"""What the background rules look at: labels and counts of one finding, no value and no tag."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from pydantic import Field

from alerts.records.document import Frozen
from ullage.identifiers import field_by_kind
from ullage.records import Finding, Statistics

CONTACT = "CHAN"
"""Lexicon category of means of contact; of weight 1 (QQ, WeChat) they stand in every small advertisement and are no jargon."""


class Traits(Frozen):
    """Of one finding. `jargon` is the weight of the terms a lexicon category, `context` different words a theme of context.

    `own_fields` counts the fields that are known to be of the one customer, `signs` names what only a leak has.
    """

    subjects: int
    own_fields: int
    candidates: dict[str, int]
    rows: int
    fields: tuple[str, ...]
    jargon: dict[str, int] = Field(default_factory=dict)
    context: dict[str, int] = Field(default_factory=dict)
    category: str = ""
    signs: tuple[str, ...] = ()

    @classmethod
    def of(cls, finding: Finding) -> Traits:
        """The traits of `finding`, which is whole (one part)."""
        statistics, own = finding.statistics, defaultdict[str, set[str]](set)
        for match in finding.matches:
            own[match.subject].update(match.own_fields, filter(None, [field_by_kind().get(match.kind)]))
        jargon = Counter[str]()
        for term in statistics.terms:
            if term.category != CONTACT or term.weight > 1:
                jargon[term.category] += term.weight
        return cls(
            subjects=finding.total_subjects,
            own_fields=max(map(len, own.values()), default=0),
            candidates=statistics.candidates,
            rows=statistics.rows,
            fields=tuple(sorted({*statistics.field_map, *(f for g in statistics.groups for f in g.fields)})),
            jargon=dict(sorted(jargon.items())),
            context=statistics.context,
            category=finding.capture.category,
            signs=tuple(_signs(finding, statistics)),
        )


RECORD = re.compile(r"\||----|;|\t|<[A-Z_]+>:<")
"""In a skeleton: what stands between the fields of a record, and not in a sentence; a value before a colon is a login."""


def _signs(finding: Finding, statistics: Statistics) -> Iterator[str]:
    """What no person leaves behind who writes their own number into a post, and what leaves open what else is in it."""
    yield from (name for name, is_so in {
        "offer": finding.alarm,
        "a record": bool(RECORD.search(statistics.skeleton)),
        "canaries": bool(finding.canaries),
        "logins": statistics.logins > 0,
        "own cards": statistics.own_cards > 0,
        "checksum failures": any(statistics.failures.values()),
        "digests or masked values": any(match.form != "plain" for match in finding.matches),
        "parts": finding.parts > 1,
        "estimates": statistics.estimated,
        "unread": bool(statistics.unread) or finding.capture.truncated,
    }.items() if is_so)  # fmt: skip
