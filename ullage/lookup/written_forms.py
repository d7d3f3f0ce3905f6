"""In which forms a value is enrolled, found and looked up: one list for all three.

A dump carries the digest of a number and thinks it is anonymous, so a watchlist holds these as well, and a look-up asks for each:

- `plain`: the normal form. An e-mail address with a plus-tag also without it.
- `md5`, `sha1`, `sha256`: the digest in lower-case hex, of a phone number as it is, with 86 and with +86 before it. Of an md5
  also the sixteen characters in the middle, which some programs print, under the same form.

A value with its middle masked is enrolled too, but is nobody's alone (`ullage.identifiers.masked_value`), so no look-up asks for
it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ullage.identifiers.email import strip_plus

PLAIN = "plain"
DIGESTED = ("phone", "resident_id", "email")
"""Kinds whose digests are enrolled."""
WHOLE = slice(None)
MIDDLE = slice(8, 24)
DIGESTS = {"md5": (WHOLE, MIDDLE), "sha1": (WHOLE,), "sha256": (WHOLE,)}
"""The digests, and which characters of their hex stand for them."""
FORM_OF_LENGTH = {
    len(hashlib.new(form, usedforsecurity=False).hexdigest()[part]): form for form, parts in DIGESTS.items() for part in parts
} | {96: "sha384", 128: "sha512"}
"""The digest by how many digits stand for it; the last two are in no list, and are told as unread."""
PREFIXES = {"phone": ("", "86", "+86")}
"""What is written before a value that is digested, where more than nothing is; something only before a domestic number."""
DOMESTIC = {"phone": 11, "resident_id": 18}
"""Characters of the values that have prefixes and masks; a phone number from abroad begins with `+`."""


def prefixes(kind: str) -> tuple[str, ...]:
    """What is written before the digested values of a kind."""
    return PREFIXES.get(kind, ("",))


def is_domestic(kind: str, normal: str) -> bool:
    """Whether a normal form has prefixes and masks."""
    return len(normal) == DOMESTIC.get(kind, 0) and not normal.startswith("+")


def written_forms(kind: str, normal: str) -> Iterator[tuple[str, str]]:
    """Each (form, text) that stands for one value alone, the normal form first.

    >>> len(list(written_forms("phone", "13800138000")))
    13
    """
    values = [normal]
    if kind == "email" and (bare := strip_plus(normal)) != normal:
        values.append(bare)
    for value in values:
        yield PLAIN, value
        if kind in DIGESTED:
            yield from _digests(kind, value)


def _digests(kind: str, value: str) -> Iterator[tuple[str, str]]:
    for prefix in prefixes(kind):
        if prefix and not is_domestic(kind, value):
            continue
        for form, parts in DIGESTS.items():
            text = hashlib.new(form, (prefix + value).encode(), usedforsecurity=False).hexdigest()
            yield from ((form, text[part]) for part in parts)
