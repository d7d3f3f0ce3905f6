"""Read lexicons: their file format, which are in force, and when their terms make an offer.

Match uses the lexicons in force; others are tried on stored facts. A theme is one file in
`lexicons`, which is registered by being there. A line is `term, other forms (;), language,
category, meaning, weight 1-5, ambiguity, source`, separated by tabs; `#` begins a remark, and the
remark `# version N` states the version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from ullage.errors import ConfigError
from ullage.files.rule_files import RuleKind

FOLDER, SUFFIX = "lexicons", ".tsv"
COLUMNS = 8
VERSION = re.compile(r"^# version (\d+)", re.MULTILINE)
SELLING = frozenset(("DATA", "TRADE", "SALE", "QUAL", "CARD", "CRED", "SERV", "LOAN", "ID"))
"""Categories of terms that posts use to offer data."""
OFFER_WEIGHT, SALE_WEIGHT = 5, 2
"""Total weight of such terms from which a post that names a brand offers its data.

SALE_WEIGHT is what plain words of a sale add to it.
"""
REPORTING, COMPLAINT, WANTED, SALE = "reporting", "complaint", "wanted", "sale"
"""Themes of context words.

They tell whether a post with terms of the trade takes part in it, and on which side.
"""
SIDES = frozenset((WANTED.upper(), SALE.upper()))
"""Categories of terms that mean the same as words of these themes."""
COMPLAINT_WORDS = 2
"""Distinct words of complaints from which a post is a complaint.

It takes twice as many if the post has a word of a sale, which it may quote.
"""
REPORTING_WORDS = 2
"""Distinct words of reports from which a post without a sample is a report."""
CHANNEL, CHANNEL_WEIGHT = "CHAN", 2
"""Terms for a place of the trade, of at least this weight.

Beside a claim they count as much as a word of a sale.
"""
CLAIMED_ROWS = 1000
"""People or rows from which a claim is an offer, without any jargon.

A brand and a word of a sale must be beside it.
"""
SAMPLE_ROWS = 3
"""Rows from which a post contains a sample."""


class LexiconTerm(NamedTuple):
    """One term."""

    term: str
    forms: tuple[str, ...]
    """The term and its other forms."""
    category: str
    meaning: str
    weight: int
    ambiguity: str


class Vocabulary(NamedTuple):
    """The terms of a file."""

    version: int
    rows: tuple[LexiconTerm, ...]


def parse(text: str, name: str) -> Vocabulary:
    """Parse a lexicon file of that name.

    Raises ConfigError, which names an invalid line, or if the file has no terms.
    """
    terms = tuple(parse_rows(text, name))
    if not terms:
        raise ConfigError(
            f"{name} has no terms and would find nothing: restore it, or remove it to use"
            " this version's"
        )
    return Vocabulary(read_version(text), terms)


@cache
def list_themes() -> dict[str, RuleKind[Vocabulary]]:
    """Return the lexicons of this version, by name."""
    files = sorted(
        file.name
        for file in resources.files(__package__).joinpath(FOLDER).iterdir()
        if file.name.endswith(SUFFIX)
    )
    return {
        Path(file).stem: RuleKind(Path(file).stem, f"{__package__}.{FOLDER}", file, parse)
        for file in files
    }


def parse_rows(text: str, name: str) -> Iterator[LexiconTerm]:
    """Yield the terms of a file of that name; raises ConfigError, which names an invalid line."""
    for number, line in enumerate(text.splitlines(), 1):
        if line and not line.startswith("#"):
            cells = line.split("\t")
            if (
                len(cells) != COLUMNS
                or not cells[0]
                or cells[5] not in tuple("012345")
                or cells[6] not in tuple("LMH")
            ):
                raise ConfigError(
                    f"{name}:{number} is not a term: it must have {COLUMNS} columns,"
                    " weight 0 to 5, ambiguity L, M or H"
                )
            term, also, _, category, meaning, weight, ambiguity, _ = cells
            yield LexiconTerm(
                term,
                (term, *filter(None, also.split(";"))),
                category,
                meaning,
                int(weight),
                ambiguity,
            )


def read_version(text: str) -> int:
    """Return the version that a file names, 0 for none."""
    match = VERSION.search(text)
    return int(match[1]) if match else 0


def is_report(words: int, sample: int) -> bool:
    """Return whether a post reports on the trade.

    `words` are its distinct words of reports, `sample` its rows.
    """
    return words >= REPORTING_WORDS and sample < SAMPLE_ROWS


def is_complaint(context: Mapping[str, int], sample: int) -> bool:
    """Return whether a post is a customer's complaint, by its context words and rows."""
    required = COMPLAINT_WORDS * (2 if context.get(SALE, 0) else 1)
    return context.get(COMPLAINT, 0) >= required and sample < SAMPLE_ROWS


SUSPICION = "suspicion"
"""The theme of reports on suspicious transactions, which must not be disclosed to anybody."""


def is_suspicion(context: Mapping[str, int], sample: int) -> bool:
    """Return whether a post contains reports on suspicious transactions.

    News, and complaints of a person or two, use the same words and are no such report.
    """
    is_news = bool(context.get(REPORTING, 0) or context.get(COMPLAINT, 0))
    return context.get(SUSPICION, 0) > 0 and (sample >= SAMPLE_ROWS or not is_news)


def is_wanted(context: Mapping[str, int], sample: int) -> bool:
    """Return whether a post asks for data: it is of the trade, and no sale."""
    return context.get(WANTED, 0) > 0 and not context.get(SALE, 0) and sample < SAMPLE_ROWS


def is_traded(terms: Iterable[tuple[str, int]], context: Mapping[str, int]) -> bool:
    """Return whether a post has a word of a sale or a place of the trade.

    Terms are (category, weight), `context` counts context words.
    """
    is_channel = any(category == CHANNEL and weight >= CHANNEL_WEIGHT for category, weight in terms)
    return is_channel or context.get(SALE, 0) > 0


def is_offer(
    terms: Iterable[tuple[str, int]], context: Mapping[str, int], sample: int, claimed: int = 0
) -> bool:
    """Return whether a post that names a brand trades in its data.

    `terms` are (category, weight), each once, `context` counts distinct context words, `sample` is
    the number of rows, and `claimed` how many people or rows the post claims to have, 0 for none.
    """
    if is_report(context.get(REPORTING, 0), sample) or is_complaint(context, sample):
        return False
    term_list = list(terms)
    weights = [weight for category, weight in term_list if category in SELLING]
    weight = sum(weights) + (SALE_WEIGHT if weights and context.get(SALE, 0) else 0)
    return weight >= OFFER_WEIGHT or (claimed >= CLAIMED_ROWS and is_traded(term_list, context))
