"""Who was found, without what stands beside them: all that is known where the rows of a capture cannot be read.

The lists were asked before anything is made of rows. So this uses nothing of `matcher.records`, `matcher.match.evidence` and
`matcher.match.match_counts.weigh`, in which the fault may lie.
"""

from __future__ import annotations

import numpy as np

from matcher.match.batches import Searched
from matcher.match.customers import CLASSES, VERIFIED
from matcher.match.evidence import NONE, Evidence
from matcher.match.lookup import ask, enrolled
from matcher.match.match_columns import Matches, Place
from matcher.match.match_counts import Weighed
from matcher.match.statistics.distinct import told_apart
from matcher.match.statistics.key import CaptureKey, kind_numbers
from matcher.watchlist.installed import Epoch, TenantLists
from ullage.identifiers import field_by_kind, is_verified
from ullage.tags import TAG_BYTES


def bare(epoch: Epoch, searched: Searched) -> Evidence:
    """Every enrolled value of a batch, in order of place; each is in no row."""
    asked = enrolled(searched.asked, epoch.list.kinds)
    answers = ask(epoch, asked)
    start, end = np.zeros((2, len(answers.place)), np.int64)
    for number, question in enumerate(asked):
        own = answers.question == number
        start[own], end[own] = question.start[answers.place[own]], question.end[answers.place[own]]
    no_row, no_field = np.full(len(start), NONE), np.zeros(len(start), np.int64)
    found = Evidence(asked, answers.question, answers.place, answers.subject, start, end, no_row, no_field)
    return found.take(np.argsort(start, kind="stable"))


def bare_weighed(found: Evidence, key: CaptureKey) -> Weighed:
    """What they prove alone: somebody may have any phone by chance, but not a resident ID."""
    words, flags = np.empty(len(found), np.uint64), np.full(len(found), CLASSES["C"])
    for question, own in found.by_question():
        normal, length = question.normal[found.place[own]], question.length[found.place[own]]
        words[own] = told_apart(key.values(normal, length), kind_numbers()[question.kind])
        flags[own] |= VERIFIED if is_verified([question.kind], corroborated=False) else 0
    return Weighed(found.subject, flags, words, np.empty(0, np.int64), [], [], [], [])


def bare_matches(lists: TenantLists, epoch: Epoch, searched: Searched, found: Evidence) -> Matches:
    """A match for each; where it begins and ends is told of the text as it was searched."""
    tags = np.empty((len(found), TAG_BYTES), np.uint8)
    for question, own in found.by_question():
        normal, length = question.normal[found.place[own]], question.length[found.place[own]]
        tags[own] = lists.index.tagger(question.kind, question.form).tag_rows(normal, length)
    kinds = [(question.kind, question.form) for question in found.asked]
    own_label = [(label.value,) if (label := field_by_kind().get(kind)) else () for kind, _ in kinds]
    parts = searched.batch.documents(found.start)
    begin = searched.batch.starts[parts]
    lines = searched.batch.lines(found.start) - searched.batch.lines(begin)
    columns = (c.tolist() for c in (parts, lines, found.start - begin, found.end - begin))
    places = []
    for part, line, start, end in zip(*columns, strict=True):
        piece, first = searched.parts[part].piece, searched.parts[part].line
        where = (piece.path, piece.member, piece.container, piece.offset + start, piece.offset + end)
        places.append(Place(*where, first + line, ()))
    numbers = found.question.tolist()
    labels = [own_label[number] for number in numbers]
    named = [kinds[number] for number in numbers]
    return Matches(named, epoch.list.handles(found.subject), tags, places, labels, labels, [0.0] * len(found))
