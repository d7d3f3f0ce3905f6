"""What may be stored of a title, a channel and a URL: words of closed lists, and `…` for all else.

Allow first: nothing is looked for that would have to go. Of a title stay the lexicon's terms, each
in the lexicon's spelling of the form that stands there, labels of fields, the tenant's own brands
and domains, and the names of the configured site and its host; of a URL the configured section
under which it stands. A name, a password or a number is in none of these lists, however it is
written. Authors, posts and threads become keyed tokens: one seller's posts still belong together,
and nobody can tell a token's name without match's key.
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
from ullage.vocabulary.known_words import GAP, LONGEST, KnownSpelling, kept

READ = 4 * LONGEST
"""Characters of a title that are looked at: escapes take several each."""
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


def words(text: str, lexicon: Lexicon, tenant: str, places: Iterable[str] = ()) -> str:
    """The words in `text` that may be stored, and `…` wherever it says anything else; at most 200
    characters.

    `places` are names of the configured site and host. The brands are those of `tenant` alone.
    """
    if not text:
        return ""
    read = lower(fold(unescape(unquote(text[:READ]))).text)
    found = [
        KnownSpelling(hit.start, hit.end, word)
        for hit in lexicon.words_in(read)
        if (word := _spelt(hit, tenant))
    ]
    for place in filter(None, places):
        whole = rf"(?<![a-z0-9.\-]){re.escape(place)}(?![a-z0-9.\-])"
        found += [KnownSpelling(*match.span(), place) for match in re.finditer(whole, read)]
    return kept(read, found, goes_on=len(text) > READ)


def _spelt(hit: Hit, tenant: str) -> str:
    """How a word is shown, "" for one that is not: the brand of somebody else."""
    if hit.entry.kind != "brand":
        return hit.entry.as_written(hit.form)
    owner, name = hit.entry.brand
    return name if owner == tenant else ""


def author(name: str, key: CaptureKey) -> str:
    """The token of an author's name, `@` and 12 hex digits; "" for none."""
    known = normal(name)
    return f"@{key.token('author', known)}" if known else ""


def channel(name: str, site: str, key: CaptureKey, said: str) -> str:
    """The token of a channel of `site`, `#` and 12 hex digits, and the words of its name that
    may be stored: `said`.
    """
    return f"#{key.token('channel', site, name)} {said}".rstrip() if name else ""


def identifier(kind: str, name: str, site: str, key: CaptureKey) -> str:
    """The token of a post's or a thread's own id at `site`, 12 hex digits; "" for none."""
    return key.token(kind, site, name) if name else ""


@lru_cache(SITES)
def site(name: str) -> str:
    """A configured site's name; `other` for one that an identifier can be read in."""
    return "other" if identifier_in(name) else name


def platform(name: str) -> str:
    """A platform's name, `other` for what is not of a name's shape."""
    return name if PLATFORM.fullmatch(name) else "other" if name else ""


@lru_cache(SITES)
def host(section: str) -> str:
    """The host of a configured section, "" where that is none or has a number in its name."""
    try:
        named = urlsplit(section).hostname or ""
    except ValueError:
        return ""
    try:
        return str(ipaddress.ip_address(named))
    except ValueError:
        pass
    return (
        named if HOST.fullmatch(named) and _few_digits(named) and not identifier_in(named) else ""
    )


def url(address: str, section: str) -> str:
    """The configured section that `address` stands under, then `…`; `…` alone where that is none.

    A section is believed in the shape of one alone: http or https, a host, a path of a few plain
    steps.
    """
    if not address:
        return ""
    known = host(section)
    if not known:
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
        if PATH.fullmatch(parts.path) and _few_digits(parts.path) and not identifier_in(parts.path)
        else ""
    )
    named = f"[{known}]" if ":" in known else known
    return f"{parts.scheme}://{named}{port}{path.rstrip('/')}/{GAP}"


def _few_digits(text: str) -> bool:
    return sum(map(str.isdigit, text)) <= MOST_DIGITS
