"""The file format of a lexicon, and when its terms make a post an offer: what match goes by, and what is tried on stored facts.

A line is `term, other forms (;), language, category, meaning, weight 1-5, ambiguity, source`, parted by tabs; `#` begins a
remark, and `# version N` among them says which version it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ullage.errors import ConfigError

COLUMNS = 8
VERSION = re.compile(r"^# version (\d+)", re.MULTILINE)
SELLING = frozenset(("DATA", "TRADE", "QUAL", "CARD", "CRED", "SERV", "LOAN", "ID"))
"""Categories of terms that a post uses which offers data."""
OFFER_WEIGHT = 5
"""Of such terms together, from which a post that names a brand offers its data."""
REPORTING_WORDS = 2
"""Different words of reports from which a post without a sample reports on the trade."""
SAMPLE_ROWS = 3
"""Rows from which a post shows a sample."""


class Row(NamedTuple):
    """One term."""

    term: str
    forms: tuple[str, ...]
    """The term and its other forms."""
    category: str
    meaning: str
    weight: int
    ambiguity: str


def rows(text: str, name: str) -> Iterator[Row]:
    """The terms in a file of that name; ConfigError names the line that is none."""
    for number, line in enumerate(text.splitlines(), 1):
        if line and not line.startswith("#"):
            cells = line.split("\t")
            if len(cells) != COLUMNS or not cells[0] or cells[5] not in tuple("012345") or cells[6] not in tuple("LMH"):
                raise ConfigError(f"{name}:{number} is no term: {COLUMNS} columns, weight 0 to 5, ambiguity L, M or H")
            term, also, _, category, meaning, weight, ambiguity, _ = cells
            yield Row(term, (term, *filter(None, also.split(";"))), category, meaning, int(weight), ambiguity)


def version_of(text: str) -> int:
    """The version that a file names, 0 for none."""
    found = VERSION.search(text)
    return int(found[1]) if found else 0


def is_report(words: int, sample: int) -> bool:
    """Whether a post with so many different words of reports, and so many rows, reports on the trade."""
    return words >= REPORTING_WORDS and sample < SAMPLE_ROWS


def is_offer(terms: Iterable[tuple[str, int]], words: int, sample: int) -> bool:
    """Whether a post that names a brand offers its data: terms as (category, weight), each once; words of reports; rows."""
    return not is_report(words, sample) and sum(weight for category, weight in terms if category in SELLING) >= OFFER_WEIGHT
