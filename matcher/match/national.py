"""Look up phones as dialled at home, in the countries where a list has customers.

Behind a plain label `0912 345 678` may be of any country. Each calling code of a list gives one
more reading, and a list of a million customers answers one reading in some hundreds by chance. So
a match counts only with evidence:

    the row holds the customer's name or another value of the customer
    the text holds more matches of one calling code than chance explains
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from matcher.columns.batch import Bytes, Flags, KeyedMembers, Places
from matcher.detect.candidates import NATIONAL, Segment, join_segments
from matcher.match.batches import SearchResult
from matcher.match.lookup import FoundMatches, ListQuery, ValueColumns, find_customers
from matcher.watchlist.installation import Epoch
from ullage.identifiers import phone

CHANCE = math.log(1e-5)
"""Logarithm of the chance at which the matches of a text no longer count as coincidence."""
CLUSTERED = 4
"""How much denser customers are among numbers in use than in the whole numbering plan."""

Evidence = Callable[[Places, Places], Flags]
"""Returns which rows hold the name or another value of which subjects: i64[n] each, bool[n]."""


def find_at_home(epoch: Epoch, searched: SearchResult, evidence: Evidence) -> FoundMatches | None:
    """Return the matches of phones as dialled at home for which there is evidence.

    Evidence is what `evidence` accepts for the row and customer, or more matches of one country in
    a text than chance explains. Returns None if there is none, the texts hold no such phone, or the
    list has no customer abroad.
    """
    dialled = join_segments([s for s in searched.segments if s.form == NATIONAL], "phone")
    counts = epoch.list.count_phones_abroad()
    if not (len(dialled) and counts):
        return None
    codes = [*counts]
    queries = [_to_query(dialled, code) for code in codes]
    matches = find_customers(epoch, queries)
    if not len(matches):
        return None
    row = searched.rows.holding(matches.start)
    in_row = np.flatnonzero(row >= 0)
    proven = np.zeros(len(matches), bool)
    proven[in_row] = evidence(row[in_row], matches.subject[in_row])
    document = searched.batch.documents(matches.start)
    looked_up = [searched.batch.documents(query.start) for query in queries]
    for code in np.unique(matches.query).tolist():
        of_code = np.flatnonzero(matches.query == code)
        likely = _estimate_share(codes[code], counts[codes[code]])
        proven[of_code] |= _are_beyond_chance(
            matches.take(of_code), document[of_code], looked_up[code], likely
        )
    return matches.take(proven) if proven.any() else None


def _estimate_share(code: str, enrolled: int) -> float:
    """Estimate the chance that a number of a country is one of its `enrolled` numbers.

    The first digit of a mobile number is taken as given, and the plan as full otherwise.
    """
    lengths = phone.list_lengths(code, ("mobile",))
    plan = 10 ** (min(lengths) - 1) if lengths else 1
    return min(1.0, CLUSTERED * enrolled / plan)


def _are_beyond_chance(
    matches: FoundMatches, document: Places, asked: Places, likely: float
) -> Flags:
    """Return which matches are in a text with more customers than chance explains: bool[n].

    `document` is the text of each match and `asked` that of each number looked up; `likely` is the
    chance that a number matches. A number or a customer that is repeated counts one time.
    """
    texts = KeyedMembers.group(document)
    asked_counts = np.bincount(asked)[texts.keys].tolist()
    distinct = (
        np.bincount(np.unique(np.stack((texts.number, column)), axis=1)[0]).tolist()
        for column in (matches.start, matches.subject)
    )
    beyond = [
        _log_chance(number, min(places, customers), likely) < CHANCE
        for number, places, customers in zip(asked_counts, *distinct, strict=True)
    ]
    return np.array(beyond, bool)[texts.number]


def _log_chance(asked: int, matched: int, likely: float) -> float:
    """Return the logarithm of an upper bound of the chance of `matched` matches of `asked`."""
    ways = math.lgamma(asked + 1) - math.lgamma(matched + 1) - math.lgamma(asked - matched + 1)
    return ways + matched * math.log(likely)


def _to_query(dialled: Segment, code: str) -> ListQuery:
    """Return the query for numbers as dialled, read in the country of a calling code.

    The trunk prefix is removed. Numbers of a length that the country does not have are left out;
    their first digits are not checked, as no list holds a number that does not exist.
    """
    trunk = phone.TRUNKS.get(code, "0").encode()
    has_trunk = (dialled.normal[:, : len(trunk)] == np.frombuffer(trunk, np.uint8)).all(1)
    readings = [(np.flatnonzero(has_trunk), len(trunk)), (np.arange(len(dialled)), 0)]
    parts = [_read(dialled, code, which, skipped) for which, skipped in readings]
    normal, length, start, end = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return ListQuery("phone", "plain", ValueColumns(normal, length), start, end)


def _read(
    dialled: Segment, code: str, which: Places, skipped: int
) -> tuple[Bytes, Places, Places, Places]:
    """Return the E.164 forms of numbers without their first digits, and their places.

    `which` are the numbers, and `skipped` is how many digits are left out.
    """
    lengths = np.array(sorted(phone.list_lengths(code)), np.int64)
    which = which[np.isin(dialled.length[which] - skipped, lengths)]
    normal = np.zeros((len(which), dialled.normal.shape[1]), np.uint8)
    head = np.frombuffer(f"+{code}".encode(), np.uint8)
    normal[:, : len(head)] = head
    width = normal.shape[1] - len(head)
    normal[:, len(head) :] = dialled.normal[which, skipped : skipped + width]
    return (
        normal,
        dialled.length[which] - skipped + len(head),
        dialled.start[which],
        dialled.end[which],
    )
