"""Identifiers that are public: a tenant's service numbers and addresses, which stand in posts and are nobody's leak.

They are taken out before rows, statistics and look-ups see them, so that none is a second person beside a customer. Hotlines of
the form 400…, 800… and 95… need no entry: they are no mobile numbers, and no kind finds them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from matcher.detect.candidates import Segment
from ullage.lookup.free_text_check import readings
from ullage.security.masking import Secret


@dataclass(frozen=True, slots=True)
class Public:
    """Normal forms of public identifiers, a kind."""

    values: Mapping[str, frozenset[bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, written: Iterable[str]) -> Public:
        """From numbers and addresses as people write them; each is taken as every kind that it can be."""
        found: dict[str, set[bytes]] = defaultdict(set)
        for value in written:
            for kind, normal in readings(Secret(value)):
                found[kind].add(normal.reveal().encode())
        return cls({kind: frozenset(values) for kind, values in found.items()})

    def left_out(self, segments: Sequence[Segment]) -> Sequence[Segment]:
        """`segments` without what is public."""
        return [self._without(s) if s.kind in self.values and s.form == "plain" else s for s in segments]

    def _without(self, segment: Segment) -> Segment:
        kept = np.ones(len(segment), bool)
        for value in self.values[segment.kind]:
            if len(value) <= segment.normal.shape[1]:
                same = (segment.normal[:, : len(value)] == np.frombuffer(value, np.uint8)).all(axis=1)
                kept &= ~(same & (segment.length == len(value)))
        return segment if kept.all() else segment.where(kept)
