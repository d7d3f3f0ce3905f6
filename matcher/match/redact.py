"""Redact titles, channels, authors and URLs: keep words of closed lists, replace the rest by `…`.

This is an allow list, not a search for what must go. A title keeps the lexicon's terms (in the
lexicon's spelling of the form that occurs), field labels, the tenant's own brands and domains, and
the names of the configured site and its host; a URL keeps the configured section that it belongs
to. A name, a password or a number is in none of these lists, however it is written. Authors, posts
and threads become keyed tokens, so that the posts of one seller stay linked although nobody can
reverse a token without match's key.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from html import unescape
from urllib.parse import unquote, urlsplit

from matcher.lexicon import Hit, Lexicon, lower
from matcher.match.capture_key import CaptureKey
from matcher.text import fold
from ullage.lookup.values import identifier_in, normal
from ullage.vocabulary.known_words import GAP, LONGEST, KnownSpelling, redact

READ = 4 * LONGEST
"""Characters of a title that are read: escapes take several each."""
PLATFORM = re.compile(r"[a-z][a-z_]{0,23}")
HOST = re.compile(r"[a-z0-9](?:[a-z0-9.\-]{0,251}[a-z0-9])?")
PATH = re.compile(r"(?:/[A-Za-z0-9._\-]{0,40}){0,8}")
SITES = 1024
"""Names of sites and sections whose answer is remembered: they are configured, and the same for
each capture.
"""
MOST_DIGITS = 6
"""Digits that a host's name or a path may have in all: whatever stands between them, no phone
number has so few.
"""


def redact_text(text: str, lexicon: Lexicon, tenant: str, places: Iterable[str] = ()) -> str:
    """Return the words of `text` that may be stored, with `…` for all else; at most 200 characters.

    `places` are names of the configured site and host. Brands are shown only if they are
    `tenant`'s.
    """
    if not text:
        return ""
    read = lower(fold(unescape(unquote(text[:READ]))).text)
    spellings = [
        KnownSpelling(hit.start, hit.end, word)
        for hit in lexicon.find_words(read)
        if (word := _spell_hit(hit, tenant))
    ]
    for place in filter(None, places):
        whole = rf"(?<![a-z0-9.\-]){re.escape(place)}(?![a-z0-9.\-])"
        spellings += [KnownSpelling(*match.span(), place) for match in re.finditer(whole, read)]
    return redact(read, spellings, is_truncated=len(text) > READ)


def _spell_hit(hit: Hit, tenant: str) -> str:
    """Return how to show a word; "" for another tenant's brand, which is not shown."""
    if hit.entry.kind != "brand":
        return hit.entry.spell(hit.form)
    owner, name = hit.entry.brand
    return name if owner == tenant else ""


def author_token(name: str, key: CaptureKey) -> str:
    """Return the token of an author's name, `@` and 12 hex digits; "" for an empty name."""
    normal_name = normal(name)
    return f"@{key.token('author', normal_name)}" if normal_name else ""


def channel_token(name: str, site: str, key: CaptureKey, words: str) -> str:
    """Return the token of a channel of `site`, `#` and 12 hex digits, followed by `words`.

    `words` are the words of its name that may be stored. "" for an empty name.
    """
    return f"#{key.token('channel', site, name)} {words}".rstrip() if name else ""


def id_token(kind: str, name: str, site: str, key: CaptureKey) -> str:
    """Return the token of the id of a post or thread at `site`, 12 hex digits; "" for no id."""
    return key.token(kind, site, name) if name else ""


@lru_cache(SITES)
def redact_site(name: str) -> str:
    """Return a configured site's name, or `other` if the name contains an identifier."""
    return "other" if identifier_in(name) else name


def redact_platform(name: str) -> str:
    """Return the name of a platform, `other` if `name` does not look like one, "" for ""."""
    return name if PLATFORM.fullmatch(name) else "other" if name else ""


@lru_cache(SITES)
def section_host(section: str) -> str:
    """Return the host in a section's URL; "" if there is none or its name may identify a person.

    An IP address is returned in standard form.
    """
    try:
        named = urlsplit(section).hostname or ""
    except ValueError:
        return ""
    try:
        return str(ipaddress.ip_address(named))
    except ValueError:
        pass
    return (
        named
        if HOST.fullmatch(named) and _has_few_digits(named) and not identifier_in(named)
        else ""
    )


def redact_url(address: str, section: str) -> str:
    """Return the section that is configured for the site of `address`, then `…`; "" for no address.

    Nothing of `address` is used, not even its host, so it cannot give a value away. The result is
    only `…` if the section has no scheme http or https, no host that may be shown, or an invalid
    port. A path that is long, or that may name a person, is left out.
    """
    if not address:
        return ""
    section_name = section_host(section)
    if not section_name:
        return GAP
    parts = urlsplit(section)
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return GAP
    if parts.scheme not in ("http", "https"):
        return GAP
    path = (
        parts.path
        if PATH.fullmatch(parts.path)
        and _has_few_digits(parts.path)
        and not identifier_in(parts.path)
        else ""
    )
    named = f"[{section_name}]" if ":" in section_name else section_name
    return f"{parts.scheme}://{named}{port}{path.rstrip('/')}/{GAP}"


def _has_few_digits(text: str) -> bool:
    return sum(map(str.isdigit, text)) <= MOST_DIGITS
