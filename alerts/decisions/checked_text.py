"""What people type beside a decision: their name, and a note that is stored for years."""

from __future__ import annotations

import re

from alerts.store import QueryError
from ullage.lookup.free_text_check import identifier_in
from ullage.phrase import Phrase

NAME = re.compile(r"[^\W\d_][\w .·'\-]{0,63}(@[a-z0-9-]{1,32})?( via [\w .·'\-]{1,32}(@[a-z0-9-]{1,32})?)?")
"""With the program behind it that says it, if one does."""
MAX_NOTE = 500


def checked_name(who: str) -> str:
    """The name of the person at the page; QueryError if it is none."""
    if not NAME.fullmatch(who.strip()) or identifier_in(who):
        raise QueryError("your name is missing or invalid: it is needed for the record")
    return who.strip()


def checked_note(note: str) -> str:
    """A note without identifiers: it is stored for years."""
    if len(note) > MAX_NOTE:
        raise QueryError(Phrase("a note has at most %(most)s characters", most=MAX_NOTE))
    if what := identifier_in(note):
        raise QueryError(Phrase("the note seems to contain %(what)s: use the customer pseudonym instead", what=Phrase(what)))
    return note.strip()


def checked_ground(note: str) -> str:
    """A note that says why, for a decision that a law asks to be explained."""
    if not note.strip():
        raise QueryError("give the grounds in the note: the decision may have to be explained")
    return checked_note(note)
