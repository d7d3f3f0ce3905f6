"""Read identifiers that people type, and hash values and sellers in every form they are written in.

Two things are looked up by keyed hash, so that the store never sees them: an identifier, such as a
phone number, and the name of an author. Only the page *Check a person* and its command take an
identifier (`alerts.cases.lookups.typed_value`). Everywhere else (a search box whose text lands in a
URL, a note that is stored) `identifier_in` finds one and it is refused, so that none gets into a
history, a log or the store by a slip of the hand.

A dump carries the digest of a number and thinks it is anonymous, so a customer list holds these as
well, and a look-up asks for each:

- `plain`: the normal form. An e-mail address with a plus-tag also without it.
- `md5`, `sha1`, `sha256`: the digest in lower-case hex, of the value as people write it into the
  program that digests it (`DigestInput`): a phone number with 86, +86 or 0086 before it or with
  the line feed that `echo` leaves behind it, a resident ID with a small x. Of an md5 also the
  sixteen characters in the middle, which some programs print, under the same form.

A value with its middle masked is enrolled too, but is nobody's alone
(`ullage.identifiers.masked_value`), so no look-up asks for it.

Match hashes an author under the index key of each tenant that a finding is for; whoever holds that
key (the search page, a terminal of the security team) hashes the name that somebody asks for, and
only the hashes meet the store. The kind is one of its own, so an author's hash is equal to no
identifier's, whatever the author is called.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ullage.identifiers import kinds
from ullage.identifiers.email import strip_plus
from ullage.phrase import mark_for_translation
from ullage.security.cmac import Cmac, derive_key
from ullage.security.keys import KeyStore, list_generations
from ullage.security.masking import Secret

LONG_NUMBER = re.compile(r"\d(?:[ .\-]?\d){8,}")
MAX_TYPED = 320


def plain(text: str) -> str:
    """Return `text` without surrounding blanks, and with full-width characters made ordinary."""
    return unicodedata.normalize("NFKC", text).strip()


def readings(value: Secret) -> list[tuple[str, Secret]]:
    """Return each kind that `value` can be, with the normal form: (name of the kind, form).

    [] if it is too long, or if its shape or checksum fits no kind. Some values have several
    readings.
    """
    text = plain(value.reveal())
    if len(text) > MAX_TYPED:
        return []
    forms = ((kind, kind.normalise(text)) for kind in kinds().values())
    return [(kind.name, Secret(normal)) for kind, normal in forms if normal and kind.check(normal)]


def identifier_in(text: str, *, numbers: bool = True) -> str:
    """Return the kind of identifier that `text` seems to contain, such as `a phone number`.

    "" if it contains none. With `numbers`, any number of nine or more digits counts, as `a long
    number`.
    """
    folded = plain(text)
    for kind in kinds().values():
        if any(candidate.valid for candidate in kind.find(folded)):
            return kind.noun
    return mark_for_translation("a long number") if numbers and LONG_NUMBER.search(folded) else ""


NUMBER = "number"
"""What `mask_identifiers` calls a long number, which is of no kind."""


def mask_identifiers(text: str, name: Callable[[str], str] = str) -> str:
    """Return `text` with each identifier and long number replaced by its kind in brackets.

    `name` returns what is written for a kind, or for `NUMBER`. The result never contains an
    identifier: it is "" where one would remain.

    >>> mask_identifiers("he called from 13800138000 at nine")
    'he called from [phone] at nine'
    """
    pieces = [unicodedata.normalize("NFKC", char) for char in text]
    folded, origins = "".join(pieces), [n for n, piece in enumerate(pieces) for _ in piece]
    places = [
        (candidate.start, candidate.end, kind.name)
        for kind in kinds().values()
        for candidate in kind.find(folded)
        if candidate.valid
    ]
    places += [(*number.span(), NUMBER) for number in LONG_NUMBER.finditer(folded)]
    masked, end = list[str](), 0
    for first, last, kind_name in sorted(places, key=lambda place: (place[0], -place[1])):
        start = origins[first]
        if start >= end:
            masked += [text[end:start], f"[{name(kind_name)}]"]
        end = max(end, origins[last - 1] + 1)
    result = "".join([*masked, text[end:]])
    return "" if identifier_in(result) else result


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


class DigestInput(NamedTuple):
    """How a value is written before it is digested.

    Such a `prefix` stands only before a domestic number; `is_lower` is only for values that end in
    a capital X. Of inputs that are `rare`, no part of a digest is enrolled.
    """

    prefix: str = ""
    suffix: str = ""
    is_lower: bool = False
    is_rare: bool = False

    def applies(self, kind: str, normal: str) -> bool:
        """Return whether the value `normal` of this kind can be written so before a digest."""
        return (not self.prefix or is_domestic(kind, normal)) and (
            not self.is_lower or normal.endswith("X")
        )

    def write(self, normal: str) -> str:
        """Return the text that is digested for the value `normal`, for example with a prefix."""
        return f"{self.prefix}{normal.lower() if self.is_lower else normal}{self.suffix}"

    def parts(self, form: str) -> tuple[slice, ...]:
        """Return the parts of the hex form of a digest that are enrolled."""
        return (WHOLE,) if self.is_rare else DIGESTS[form]


DIGEST_INPUTS = {
    "phone": (
        DigestInput(),
        DigestInput("86"),
        DigestInput("+86"),
        DigestInput("0086", is_rare=True),
        DigestInput(suffix="\n", is_rare=True),
    ),
    "resident_id": (DigestInput(), DigestInput(is_lower=True, is_rare=True)),
    "email": (DigestInput(),),
}
"""How the values of each kind are written before they are digested, the normal form first."""
DOMESTIC = {"phone": 11, "resident_id": 18}
"""Length of values that have prefixes and masks; a foreign phone number begins with `+`."""


def is_domestic(kind: str, normal: str) -> bool:
    """Return whether a normal form of `kind` is a Chinese number, which has prefixes and masks."""
    return len(normal) == DOMESTIC.get(kind, 0) and not normal.startswith("+")


def list_written_forms(kind: str, normal: str) -> Iterator[tuple[str, str]]:
    """Yield every way in which a value may be written, as (form, text), the normal form first.

    `form` is `plain` or the name of a digest; `text` is the value or a digest (hex) of one of its
    spellings, of MD5 also its middle half. Kinds that are never digested, such as cards, have
    `plain` alone. An e-mail address with a plus tag also comes without it.

    >>> len(list(list_written_forms("phone", "13800138000")))
    19
    """
    values = [normal]
    if kind == "email" and (bare := strip_plus(normal)) != normal:
        values.append(bare)
    for value in values:
        yield PLAIN, value
        if kind in DIGESTED:
            yield from _digests(kind, value)


def _digests(kind: str, value: str) -> Iterator[tuple[str, str]]:
    for written in DIGEST_INPUTS[kind]:
        if not written.applies(kind, value):
            continue
        content = written.write(value).encode()
        for form in DIGESTS:
            text = hashlib.new(form, content, usedforsecurity=False).hexdigest()
            yield from ((form, text[part]) for part in written.parts(form))


KIND, FORM = "author", "plain"
MAX_NAME = 320

NOBODY = frozenset(
    "anonymous anon guest unknown unregistered deleted 匿名 匿名用户 匿名网友 匿名者 游客 访客"
    " 路人 网友"
    " 佚名 未知 已注销 已注销用户 账号已注销 该用户已注销".split()
) | {"deleted account", "deleted user", "anonymous user", "group anonymous bot"}


def normal(name: str) -> str:
    r"""Return the canonical form of an author's name; "" for none.

    Case, width, hidden characters and an `@` before it are removed. A site's placeholder for
    unknown or hidden authors, such as `guest` or 匿名, is no name.

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
    """Return the keyed hash (32 hex digits) of an author's name; "" for no name.

    `tagger` has the key for authors that is derived from a tenant's index key.
    """
    canonical = normal(name)
    return tagger.tag_one(canonical.encode("utf-8", "surrogatepass")).hex() if canonical else ""


def tags(keys: KeyStore, tenant: str, name: Secret) -> list[str]:
    """Return an author's keyed hashes under every existing index key of `tenant`, newest last.

    [] if this machine has no index key of the tenant, or if `name` is no name.
    """
    live = [
        keys.read(f"{tenant}/index-{epoch}.key")
        for epoch in list_generations(keys, tenant, "index")
    ]
    name_tags = (
        tag(Cmac(derive_key(key, "index", tenant, KIND, FORM)), name.reveal()) for key in live
    )
    return [name_tag for name_tag in name_tags if name_tag]
