"""From look-up results to matches: who was found, what else of them stands in the row, and how sure that makes it.

A bare phone proves little (one random number in a hundred is somebody's, on a list of ten million). Two fields of one customer in
one row by chance are negligible. So names are looked up, but only in rows where a customer was found already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from matcher.rows import Row
from matcher.scan import Question
from matcher.text import Folded
from matcher.watchlist.build import normal_name
from matcher.watchlist.installed import Epoch, TenantLists
from ullage.fields import OF_KIND, Field
from ullage.identifiers import Candidate
from ullage.records import Match

ALONE = {"email": 85, "card": 90, "resident_id": 95, "phone": 70}
TOGETHER = 99
ROW_FIELDS = 24


@dataclass(frozen=True, slots=True)
class Found:
    """One look-up that hit: question number and subject row of an epoch."""

    question: int
    subject: int


def look_up(epoch: Epoch, asked: Sequence[Question]) -> list[Found]:
    """Every (question, subject) of `asked` that is enrolled; one AES batch a kind, one look-up for all."""
    if not asked:
        return []
    tags = epoch.tags.tag([q.kind for q in asked], [q.form for q in asked], [q.normal for q in asked])
    hits, subjects = epoch.list.look_up(tags)
    return [Found(int(q), int(s)) for q, s in zip(hits, subjects, strict=True)]


def matches(
    lists: TenantLists,
    epoch: Epoch,
    text: Folded,
    candidates: Sequence[Candidate],
    rows: Sequence[Row],
    asked: Sequence[Question],
    found: Sequence[Found],
) -> list[Match]:
    """Matches of one capture, in order of place. `found` holds question numbers into `asked`."""  # fmt: skip
    row_of = {number: index for index, row in enumerate(rows) for number in row.candidates}
    in_row: dict[tuple[int, int], set[str]] = defaultdict(set)
    for hit in found:
        question = asked[hit.question]
        in_row[row_of.get(question.candidate, -1), hit.subject].add(str(OF_KIND.get(question.kind, Field.OTHER)))
    for row, subject in _named(epoch, rows, {row for row, _ in in_row if row >= 0}):
        if (row, subject) in in_row:
            in_row[row, subject].add(str(Field.NAME))
    questions = [asked[hit.question] for hit in found]
    index = lists.index.tag([q.kind for q in questions], [q.form for q in questions], [q.normal for q in questions])
    made = []
    for hit, question, tag in zip(found, questions, index, strict=True):
        candidate = candidates[question.candidate]
        row = row_of.get(question.candidate, -1)
        start, end = text.span(candidate.start, candidate.end)
        own = in_row[row, hit.subject]
        others = rows[row].fields if row >= 0 else set()
        made.append(
            Match(
                kind=question.kind,
                form=question.form,  # type: ignore[arg-type]
                subject=epoch.list.handle(hit.subject),
                index_tag=tag.tobytes().hex(),
                start=start,
                end=end,
                row=rows[row].first if row >= 0 else 0,
                fields=tuple(sorted({*own, *map(str, others)}))[:ROW_FIELDS],
                own_fields=tuple(sorted(own)),
                transforms=_transforms(text, candidate, start, end),
                confidence=TOGETHER if len(own) >= 2 else ALONE.get(question.kind, 60),
            )
        )
    return sorted(made, key=lambda m: (m.start, m.end, m.kind, m.form, m.subject))


def _named(epoch: Epoch, rows: Sequence[Row], wanted: set[int]) -> list[tuple[int, int]]:
    """(row, subject) for each enrolled name that stands in one of the `wanted` rows."""
    pairs = [(row, normal_name(name)) for row in sorted(wanted) for name in rows[row].names]
    if not pairs:
        return []
    hits, subjects = epoch.list.look_up(epoch.tags.tagger("name", "plain").tag([name.encode() for _, name in pairs]))
    return [(pairs[int(hit)][0], int(subject)) for hit, subject in zip(hits, subjects, strict=True)]


def is_enrolled_name(lists: Sequence[TenantLists], names: Sequence[str]) -> list[bool]:
    """Which of `names` are a customer's, of any tenant; used to redact titles."""
    known = [False] * len(names)
    if names:
        for tenant in lists:
            for epoch in tenant.epochs:
                hits, _ = epoch.list.look_up(epoch.tags.tagger("name", "plain").tag([normal_name(n).encode() for n in names]))
                for hit in hits:
                    known[int(hit)] = True
    return known


def _transforms(text: Folded, candidate: Candidate, start: int, end: int) -> tuple[str, ...]:
    """What had to be undone to read it."""
    raw, plain = text.original[start:end], text.text[candidate.start : candidate.end]
    done = []
    if raw != plain:
        done.append("folded")
    if candidate.kind != "digest" and plain.lower() != candidate.normal.lower():
        done.append("normalised")
    return tuple(done)
