"""Read identifiers that people type, and hash values and sellers in every form they are written in.

What a clerk types is read by `alerts.cases.lookups.typed_value`. Everywhere else (a search box
whose text lands in a URL, a note that is stored) an identifier is refused, so that none gets into a
history, a log or the store by a slip of the hand.

A dump carries the digest of a number and thinks it is anonymous, so a watchlist holds these as
well, and a look-up asks for each:

- `plain`: the normal form. An e-mail address with a plus-tag also without it.
- `md5`, `sha1`, `sha256`: the digest in lower-case hex, of a phone number as it is, with 86 and
  with +86 before it. Of an md5 also the sixteen characters in the middle, which some programs
  print, under the same form.

A value with its middle masked is enrolled too, but is nobody's alone
(`ullage.identifiers.masked_value`), so no look-up asks for it.

Match tags an author under the index key of each tenant that a finding is for; whoever holds that
key (the search page, a terminal of the desk) tags the name that somebody asks for, and only the
tags meet the store. The kind is one of its own, so an author's tag is equal to no identifier's,
whatever the author is called.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator

from ullage.identifiers import kinds
from ullage.identifiers.email import strip_plus
from ullage.phrase import mark_for_translation
from ullage.security.cmac import Cmac, derive_key
from ullage.security.keys import KeyStore, list_generations
from ullage.security.masking import Secret

LONG_NUMBER = re.compile(r"\d(?:[ .\-]?\d){8,}")
MAX_TYPED = 320


def plain(text: str) -> str:
    """Return `text` with full-width characters folded and blanks around it removed."""
    return unicodedata.normalize("NFKC", text).strip()


def readings(value: Secret) -> list[tuple[str, Secret]]:
    """List the kinds that `value` can be, with normal forms.

    Returns [] if its shape or checksum fits none.
    """
    text = plain(value.reveal())
    if len(text) > MAX_TYPED:
        return []
    forms = ((kind, kind.normalise(text)) for kind in kinds().values())
    return [(kind.name, Secret(normal)) for kind, normal in forms if normal and kind.check(normal)]


def identifier_in(text: str, *, numbers: bool = True) -> str:
    """Return the kind of identifier that `text` seems to contain, in words; "" for none.

    Any long number counts, unless `numbers` is off.
    """
    folded = plain(text)
    for kind in kinds().values():
        if any(candidate.valid for candidate in kind.find(folded)):
            return kind.noun
    return mark_for_translation("a long number") if numbers and LONG_NUMBER.search(folded) else ""


PLAIN = "plain"
DIGESTED = ("phone", "resident_id", "email")
"""Kinds whose digests are enrolled."""
WHOLE = slice(None)
MIDDLE = slice(8, 24)
DIGESTS = {"md5": (WHOLE, MIDDLE), "sha1": (WHOLE,), "sha256": (WHOLE,)}
"""The digests, and the parts of their hex form that are accepted."""
FORM_OF_LENGTH = {
    len(hashlib.new(form, usedforsecurity=False).hexdigest()[part]): form
    for form, parts in DIGESTS.items()
    for part in parts
} | {96: "sha384", 128: "sha512"}
"""The digest by number of hex digits; the last two are in no list, and are reported as unread."""
PREFIXES = {"phone": ("", "86", "+86")}
"""Prefixes of a value before it is digested; non-empty only before a domestic number."""
DOMESTIC = {"phone": 11, "resident_id": 18}
"""Length of values that have prefixes and masks; a foreign phone number begins with `+`."""


def prefixes(kind: str) -> tuple[str, ...]:
    """Return the prefixes of a kind's values before they are digested."""
    return PREFIXES.get(kind, ("",))


def is_domestic(kind: str, normal: str) -> bool:
    """Return whether a normal form has prefixes and masks."""
    return len(normal) == DOMESTIC.get(kind, 0) and not normal.startswith("+")


def list_written_forms(kind: str, normal: str) -> Iterator[tuple[str, str]]:
    """Yield each (form, text) that identifies this value alone, the normal form first.

    >>> len(list(list_written_forms("phone", "13800138000")))
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


KIND, FORM = "author", "plain"
MAX_NAME = 320

NOBODY = frozenset(
    "anonymous anon guest unknown unregistered deleted 匿名 匿名用户 匿名网友 匿名者 游客 访客"
    " 路人 网友"
    " 佚名 未知 已注销 已注销用户 账号已注销 该用户已注销".split()
) | {"deleted account", "deleted user", "anonymous user", "group anonymous bot"}


def normal(name: str) -> str:
    r"""Return the canonical form of an author's name.

    Case, width, hidden characters and a sign are removed. A site's placeholder for unknown or
    hidden
    authors is no name, and gives "".

    >>> normal(' @Dark\u200bSeller '), normal('ＤＡＲＫＳＥＬＬＥＲ')
    ('darkseller', 'darkseller')
    """
    plain = unicodedata.normalize("NFKC", name).casefold()
    shown = "".join(
        char
        for char in plain
        if unicodedata.category(char) not in ("Cc", "Cf", "Cs") or char.isspace()
    )
    name_form = " ".join(shown.split()).removeprefix("@").strip()
    return "" if name_form.strip("[]()<>【】（） ") in NOBODY else name_form


def tag(tagger: Cmac, name: str) -> str:
    """Return the tag (hex) of an author's name under a tenant's index key; "" for no name."""
    canonical = normal(name)
    return tagger.tag_one(canonical.encode("utf-8", "surrogatepass")).hex() if canonical else ""


def tags(keys: KeyStore, tenant: str, name: Secret) -> list[str]:
    """Return an author's tags under every existing index key of `tenant`, newest last."""
    live = [
        keys.read(f"{tenant}/index-{epoch}.key")
        for epoch in list_generations(keys, tenant, "index")
    ]
    name_tags = (
        tag(Cmac(derive_key(key, "index", tenant, KIND, FORM)), name.reveal()) for key in live
    )
    return [name_tag for name_tag in name_tags if name_tag]
