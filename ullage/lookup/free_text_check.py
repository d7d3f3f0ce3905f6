"""What people type: an identifier to look up, or words that must not hold one.

The look-up page reads a value as every kind that it can be. Everywhere else (a search box whose text lands in a URL, a note
that is stored) an identifier is refused, so that none gets into a history, a log or the store by a slip of the hand.
"""

from __future__ import annotations

import re
import unicodedata

from ullage.identifiers import kinds
from ullage.phrase import marked
from ullage.security.masking import Secret

LONG_NUMBER = re.compile(r"\d(?:[ .\-]?\d){8,}")
MAX_TYPED = 320


def _plain(text: str) -> str:
    """Full-width characters folded, blanks around removed."""
    return unicodedata.normalize("NFKC", text).strip()


def readings(value: Secret) -> list[tuple[str, Secret]]:
    """Each kind that `value` can be, with its normal form; [] when its shape or checksum fits none."""
    plain = _plain(value.reveal())
    if len(plain) > MAX_TYPED:
        return []
    forms = ((kind, kind.normalise(plain)) for kind in kinds().values())
    return [(kind.name, Secret(normal)) for kind, normal in forms if normal and kind.check(normal)]


def identifier_in(text: str, *, numbers: bool = True) -> str:
    """What kind of identifier `text` seems to hold, in words; "" for none. Any long number counts, unless `numbers` is off."""
    plain = _plain(text)
    for kind in kinds().values():
        if any(candidate.valid for candidate in kind.find(plain)):
            return kind.noun
    return marked("a long number") if numbers and LONG_NUMBER.search(plain) else ""
