"""Title, author and URL, made fit to be stored.

Everything that could be a leaked value is replaced, before anything leaves match.

Deny first. Of a title, what goes is: every candidate whatever its checksum, digit runs from five on, label-following
values, addresses, words that mix letters with digits or signs (passwords), names that stand alone, and enrolled names.
Of a URL only scheme, host, the words of a closed list, short numbers and the platform's own post id stay. An author's
name that could be a person's or a secret becomes a keyed token, so that one seller's posts still belong together.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from matcher.labels import words
from matcher.rows import SURNAMES
from matcher.text import fold, unescape
from ullage.fields import Field
from ullage.identifiers import kinds

GAP = "…"
HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{32}|[0-9a-fA-F]{16})(?![0-9A-Za-z])")
MAX_TITLE = 200
DIGITS = re.compile(r"\d(?:[ \-.]?\d){4,}|\d(?:[\W_]{0,3}\d){6,}")
"""Five digits as numbers are grouped, seven with any signs between them."""
LONG_NUMBER = re.compile(r"\d(?:[\W_]?\d){6,}")
COUNT = re.compile(r"\d{1,4}(?:\.\d{1,2})?(?:[wWkKmM万亿千百]|万条|条|GB|MB|KB|年|月|日|%|rows|records)?")
MIXED = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])[\x21-\x7e]{5,}|(?=\S*[!@#$%^&*+=~])(?=\S*[A-Za-z0-9])[\x21-\x7e]{6,}")
ADDRESS = re.compile(
    r"[\u4e00-\u9fff]{2,8}(?:省|自治区|市)[\u4e00-\u9fff0-9A-Za-z\-]{2,}|[\u4e00-\u9fff]{1,8}(?:路|街|巷|弄|大道|小区|花园|苑|村|镇|乡)"
    r"[\u4e00-\u9fff]{0,4}\s?\d+[\u4e00-\u9fff0-9A-Za-z\-]*|\d+\s?(?:号|栋|幢|单元|室|楼)[\u4e00-\u9fff0-9A-Za-z\-]*"
)
SECRET_WORD = re.compile(rf"(?i)({'|'.join(w for w, label in words().items() if label is Field.PASSWORD)})(\s+)[\x21-\x7e]+")
"""A password may follow its label without a sign."""
LONGEST_NAME = 12
HAN_CHARACTER = r"[\u4e00-\u9fff·]"
LATIN_WORD = re.compile(r"[A-Za-z]+")
HOST = re.compile(r"[a-z0-9.\-]{1,253}|[0-9a-f:]{2,45}")
LONE_NAME = re.compile(rf"(?<![\u4e00-\u9fff0-9])[{SURNAMES}][\u4e00-\u9fff]{{1,2}}(?![\u4e00-\u9fff])")
PLAIN_AUTHOR = re.compile(r"[A-Za-z_\-.]{2,24}\d{0,4}")
ROUTE = frozenset(
    (
        "",
        "api",
        "archive",
        "category",
        "comment",
        "download",
        "find",
        "forum",
        "forumpost",
        "inline",
        "item",
        "items",
        "member",
        "p",
        "paste",
        "post",
        "posts",
        "publish",
        "raw",
        "rest",
        "show",
        "t",
        "thread",
        "threads",
        "topic",
        "topics",
        "u",
        "user",
        "view",
        "viewtopic.php",
    )
)
QUERY = re.compile(r"(?:^|&)((?:id|tid|pid|fid|t|p|f|page)=\d{1,9})(?=&|$)")
IsEnrolledName = Callable[[list[str]], list[bool]]


def _has_candidate(text: str) -> bool:
    return any(kind.pattern.search(text) for kind in kinds().values()) or HEX.search(text) is not None


def title(text: str, enrolled: IsEnrolledName) -> str:
    """The title without anything that could be a value; at most 200 characters.

    `enrolled` tells which strings are customers' names.
    """
    if not text:
        return ""
    folded = _after_labels(fold(unescape(unquote(text[: MAX_TITLE * 4]), markup=False)).text)
    for kind in kinds().values():
        folded = kind.pattern.sub(GAP, folded)
    folded = HEX.sub(GAP, folded)
    folded = ADDRESS.sub(GAP, folded)
    folded = DIGITS.sub(GAP, folded)
    folded = MIXED.sub(lambda m: m.group() if COUNT.fullmatch(m.group()) else GAP, folded)
    folded = LONE_NAME.sub(GAP, folded)
    folded = _enrolled_names(folded, enrolled)
    shown = "".join(c if c.isprintable() else " " for c in folded)
    return re.sub(rf"(?:{GAP}\s*)+", f"{GAP} ", " ".join(shown.split())).strip()[:MAX_TITLE]


def _after_labels(text: str) -> str:
    """Remove what follows a field's label and a sign, or a password's label alone, up to the next space or separator."""
    longest_first = sorted(map(re.escape, words()), key=len, reverse=True)
    labels = re.compile(rf"(?i)({'|'.join(longest_first)})(\s*[:=]\s*|\s+是\s*)[^\s,;|，。]+")
    return SECRET_WORD.sub(rf"\1\2{GAP}", labels.sub(rf"\1\2{GAP}", text))


def _enrolled_names(text: str, enrolled: IsEnrolledName) -> str:
    """Replace every stretch of Han characters, or of up to three Latin words, that is a customer's name, spaces within or not."""
    asked = sorted({*_han_stretches(text), *_latin_stretches(text)}, key=lambda part: (-len(part), part))
    for part, is_name in zip(asked, enrolled(asked), strict=True):
        if is_name:
            text = text.replace(part, GAP)
    return text


def _han_stretches(text: str) -> set[str]:
    found = set()
    for length in range(2, LONGEST_NAME + 1):
        found |= {m.group(1) for m in re.finditer(rf"(?=({HAN_CHARACTER}(?:\s?{HAN_CHARACTER}){{{length - 1}}}))", text)}
    return found


def _latin_stretches(text: str) -> set[str]:
    places = [m.span() for m in LATIN_WORD.finditer(text)]
    runs = [text[places[i][0] : places[i + n][1]] for n in range(3) for i in range(len(places) - n)]
    return {run for run in runs if re.fullmatch(r"[A-Za-z\s]+", run)}


def author(text: str, token: Callable[[str], str], enrolled: IsEnrolledName) -> str:
    """The author's name if it is a plain screen name, else a keyed token (`@` and 8 hex digits)."""
    name = fold(text.strip()).text
    if not name:
        return ""
    if PLAIN_AUTHOR.fullmatch(name) and not _has_candidate(name) and not any(enrolled([name, re.sub(r"[_.\-]", "", name)])):
        return name
    return f"@{token(name)[:8]}"


def url(text: str, post_id: str) -> str:
    """Scheme, host, known words, numbers of up to nine digits and the post's own id; the rest of the path is `…`."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not _is_plain(host):
        return ""
    kept = [segment if _may_stay(segment, post_id) else GAP for segment in parts.path.split("/")]
    query = "&".join(QUERY.findall(parts.query))
    named = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{named}{port}{'/'.join(kept)}{f'?{query}' if query else ''}"


def _is_plain(host: str) -> bool:
    """Whether a host is an address, or a name in plain letters without a long number or a candidate."""
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return HOST.fullmatch(host) is not None and not LONG_NUMBER.search(host) and not _has_candidate(host)


def _may_stay(segment: str, post_id: str) -> bool:
    plain = unquote(segment).lstrip("+")
    if plain.lower() in ROUTE or (plain.isascii() and plain.isdigit() and len(plain) <= 9):
        return True
    return bool(post_id) and plain == post_id and identifier(post_id) == post_id


def identifier(text: str) -> str:
    """A platform's own id (of a post, thread or channel) as it may be stored: short, plain, no candidate or long number."""
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return text
    is_plain = re.fullmatch(r"[A-Za-z0-9_\-]{1,64}", text) and not LONG_NUMBER.search(text) and not _has_candidate(text)
    return text if is_plain else ""
