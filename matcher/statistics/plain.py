"""Facts of the whole capture, for every tenant the same: counts, dates, field map, skeleton, sketch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal

import numpy as np

from matcher.lexicon import Terms
from matcher.rows import Row
from matcher.statistics.key import CaptureKey
from matcher.statistics.runs import longest_run
from matcher.statistics.shingles import shingles
from ullage.identifiers import Candidate
from ullage.records import RowGroup, Statistics

DATE = re.compile(r"(?<!\d)(20\d\d)[\-/.年](0?[1-9]|1[0-2])[\-/.月](0?[1-9]|[12]\d|3[01])(?!\d)")
FEW_CANDIDATES = 8


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
        longest_run=longest_run(np.unique(np.array([int(n) % 10**18 for k, n in distinct if k in ("phone", "card")], np.int64))),
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
