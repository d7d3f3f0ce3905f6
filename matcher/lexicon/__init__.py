"""The trade's jargon, and brands, domains and card ranges of tenants, found in folded text (leftmost, longest, whole words).

L stands alone; M counts once; H counts only within 40 characters of another term or a field label. A page that talks of police,
courts and cases, and shows no rows, reports on the trade and does not take part in it.

    entries   written forms and what they mean: data files, labels, settings
    search    `Lexicon`: finds them in a title or a batch, and tells which of them count
    terms     `Terms`: what comes of it
"""

from matcher.lexicon.entries import Entry, lower
from matcher.lexicon.search import Lexicon, Records
from matcher.lexicon.terms import Hit, Terms

__all__ = ["Entry", "Hit", "Lexicon", "Records", "Terms", "lower"]
