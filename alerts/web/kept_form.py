"""Keep a form that somebody sent after their login had ended, until they have logged in again.

The login page has the form in a hidden field; nothing is stored on the server. After the login a
page shows what was not sent, and sends it. Only forms of people's own words are kept
(`KEPT_PLACES`), never a password or a checked value, and their identifiers are masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from alerts.web.dependencies import mask_field
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase

KEPT_PLACES = re.compile(
    r"(?P<place>/incidents/[A-Za-z0-9_-]{1,64})"
    r"/(?:decisions|silence|references|references/answer|letter|addresses)"
    r"|(?P<page>/(?:coverage|incidents))/(?:explain|bulk|filters)"
    r"|(?P<list>/suppressions)/[A-Za-z0-9_-]{1,64}/lift"
)
"""Paths of the forms that are kept, and before it the page on which such a form stands."""
PAGES = {"/incidents": "/", "/suppressions": "/noise"}
MAX_FIELDS = 100
MAX_KEPT = 8_000
"""Characters of a kept form; a longer one is not kept."""
WORDS = {
    "note": Phrase("Note"),
    "reason": Phrase("Reason"),
    "why": Phrase("Why"),
    "case": Phrase("Case number"),
    "reference": Phrase("Authority's reference"),
    "no_reference": Phrase("If there is none: why"),
}
"""Fields that people type in their own words; they can be changed before the form is sent."""


@dataclass(frozen=True, slots=True)
class KeptForm:
    """A form that was not sent: its path and its fields, identifiers masked."""

    action: str
    fields: Sequence[tuple[str, str]]

    @property
    def place(self) -> str:
        """The page on which the form stands."""
        match = KEPT_PLACES.fullmatch(self.action)
        place = next(filter(None, match.groups()), "/") if match else "/"
        return PAGES.get(place, place)

    @property
    def typed(self) -> list[tuple[str, Phrase, str]]:
        """The fields in people's own words that are not empty: name, label and text."""
        return [(name, WORDS[name], text) for name, text in self.fields if name in WORDS and text]

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """The remaining fields: name and value."""
        return [(name, text) for name, text in self.fields if name not in WORDS or not text]

    def dump(self) -> str:
        """Return the form as the value of a hidden field."""
        return json.dumps({"action": self.action, "fields": self.fields}, ensure_ascii=False)


def read_request(path: str, body: bytes) -> KeptForm | None:
    """Return the form in the body of a request to `path`, with masked fields.

    Fields whose name contains an identifier are left out. Returns None if it is not to be kept: at
    another path than KEPT_PLACES, with over MAX_FIELDS (100) fields, malformed, or over MAX_KEPT
    (8,000) long.
    """
    if not KEPT_PLACES.fullmatch(path):
        return None
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=MAX_FIELDS
        )
    except ValueError:
        return None
    form = KeptForm(
        path, [(name, mask_field(name, text)) for name, text in pairs if not identifier_in(name)]
    )
    return form if len(form.dump()) <= MAX_KEPT else None


def load(kept: str) -> KeptForm | None:
    """Return the form that a login page carried; None if there is none or it is malformed.

    Its fields are masked again. A form for a path outside of KEPT_PLACES, or with a name that
    contains an identifier, is malformed too.
    """
    try:
        stored = json.loads(kept) if kept else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(stored, dict) or not isinstance(stored.get("action"), str):
        return None
    fields = stored.get("fields")
    if not KEPT_PLACES.fullmatch(stored["action"]) or not isinstance(fields, list):
        return None
    pairs = [
        (pair[0], mask_field(*pair))
        for pair in fields
        if isinstance(pair, list)
        and len(pair) == 2
        and all(map(_is_text, pair))
        and not identifier_in(pair[0])
    ]
    return KeptForm(stored["action"], pairs) if len(pairs) == len(fields) else None


def _is_text(value: object) -> bool:
    """Return whether a value is a text that a page can contain, without lone surrogates."""
    return isinstance(value, str) and value.encode(errors="ignore").decode() == value
