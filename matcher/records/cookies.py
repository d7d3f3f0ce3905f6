"""Cookies of a tenant's own sites: whoever has one that has not expired is signed in without a password.

    lines      #HttpOnly_.bank.example ¶TRUE¶/¶TRUE¶1767225600¶NAME¶VALUE, with a header or without
    objects    {"domain": ".bank.example", "expirationDate": 1767225600.5, "name": …, "value": …} of extensions and DevTools
    headers    Cookie: NAME=VALUE; … beside Host: bank.example, and Set-Cookie: NAME=VALUE; Domain=bank.example

A cookie is told from others by a hash under the process's own key; its name and its value stay here. Expiry stands in seconds,
milliseconds, microseconds, in Chrome's or Windows' time since 1601, or as a date; 0 and -1 are of cookies that end
with the browser's session, of which nobody outside can tell whether the site still takes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from matcher.records.own_sites import AT, MOST_NAMES, Host, Hosts, OwnSites

LONGEST = 2048
"""Bytes of an object or a request around a host."""
SIGNS = (b"TRUE", b"true", b"ookie", b"xpir", b"OOKIE", b"session")
"""One of these stands beside every cookie."""
LINE = re.compile(
    rb"(?<=[^ \t])[ \t]+(?:TRUE|FALSE|True|False|true|false)[ \t]+(/[^\s]{0,256})[ \t]+(?:TRUE|FALSE|True|False|true|false)[ \t]+"
    rb"(-?[0-9]{1,20})(?:\.[0-9]{1,9})?[ \t]+([!-~]{1,256})([^\n]*)"
)
HEADER_SIGNS = (b"ookie", b"OOKIE")
"""One of these is in every header."""
BEFORE_LINE = re.compile(rb"[ \t]*(?:#HttpOnly_)?\.?", re.IGNORECASE)
DOMAIN_LABEL = re.compile(rb"(?i)[\"'](?:domain|host|host_?key|hostname)[\"']\s{0,4}:\s{0,4}[\"']\.?(?:https?://)?$")
NAME = re.compile(rb"(?i)[\"']name(?:_raw)?[\"']\s{0,4}:\s{0,4}[\"']([^\"']{1,256})[\"']")
VALUE = re.compile(rb"(?i)[\"'](?:value|encrypted_value|content)(?:_raw)?[\"']\s{0,4}:\s{0,4}[\"']?([^\"',}\s]{0,512})")
EXPIRY = re.compile(
    rb"(?i)[\"'](?:expirationDate|expires(?:_utc|_raw|_at)?|expiry)[\"']\s{0,4}:\s{0,4}(?:[\"']([^\"']{1,64})[\"']|(-?[0-9]{1,20}))"
)
HEADER = re.compile(
    rb"[CScs](?:(?<=[Ss])([Ee][Tt]-)[Cc]|(?<=[Cc]))(?i:ookie)[\"']?[ \t]{0,4}[:=][ \t]{0,4}[\"']?([^\n\"']{1,4096})"
)
PAIR = re.compile(rb"(?:^|;)[ \t]{0,4}([!#$%&*+.0-9A-Z^_`a-z|~\-]{1,256})=([^;\s]{0,4096})")
ATTRIBUTE = re.compile(rb"(?i)(domain|path|expires|max-age|samesite|priority|version|comment)$")
SET_EXPIRES = re.compile(rb"(?i);[ \t]{0,4}(?:expires=([^;\n\"']{1,64})|max-age=(-?[0-9]{1,12}))")
REQUEST = re.compile(rb"\n(?:(?:GET|POST|PUT|HEAD|PATCH|DELETE|OPTIONS|curl) |[Hh]ost:)")
OF_NOBODY = re.compile(
    rb"(?i)_g(?:a|id|at|cl|ac)(?:_.*)?|_fb[pc]|_hj.*|_clck|_clsk|_uet.*|__utm.*|hm_l[vp][vt]t?_.*|_pk_.*|ajs_.*|amplitude.*|mp_.*"
    rb"|optanon.*|cookie_?consent.*|euconsent.*|bigipserver.*|awsalb.*|__cf.*|cf_clearance|incap_.*|visid_incap.*|nlbi_.*"
    rb"|lang(?:uage)?|locale|theme|i18n.*|sensorsdata.*|cnzz.*|um_distinctid"
)
"""Names of cookies that sign nobody in: of analytics, consent, load balancers, languages and forms."""
OF_FORMS = re.compile(rb"(?i)csrf|xsrf")
SESSION = 0
LAST = datetime(9999, 1, 1, tzinfo=UTC)
FROM_1601 = 11_644_473_600
"""Seconds between the beginnings of Windows' and Unix' time."""

SCALES = ((10**11, 1, 0), (10**14, 10**3, 0), (10**16, 10**6, 0), (10**17, 10**6, FROM_1601))
"""Up to which number, of how many a second, since when: seconds, milliseconds, microseconds, Chrome's; else Windows'."""


class Cookie(NamedTuple):
    """A cookie of a tenant's own site: document, number of the tenant, and a key by which it is counted once.

    `expires` is in seconds since 1970, SESSION where it ends with the session; `opens` is false where it signs nobody in.
    """

    document: int
    tenant: int
    key: int
    is_staff: bool
    expires: int
    opens: bool


class _Opening(dict[bytes, bool]):
    """Whether cookies sign somebody in, by their names."""

    def __missing__(self, name: bytes) -> bool:
        """Whether that one does."""
        opens = not (OF_NOBODY.fullmatch(name) or OF_FORMS.search(name))
        if len(self) < MOST_NAMES:
            self[name] = opens
        return opens


class CookieFinder:
    """Finds cookies of the sites that it is given."""

    def __init__(self, sites: OwnSites) -> None:
        self._sites = sites
        self.tenants = sites.tenants

    def find(self, hosts: Hosts) -> list[Cookie]:
        """Every cookie beside `hosts`, in order of place."""
        raw = hosts.raw
        if not any(sign in raw for sign in SIGNS):
            return []
        found, taken, opening = list[Cookie](), 0, _Opening()
        for host in hosts.each:
            if host.begin < taken or raw[host.begin - 1] == AT:
                continue
            start = max(host.document_start, taken)  # what was taken for a host is no other's
            cookies, taken = _beside(raw, host, start)
            if not cookies:
                continue
            name = raw[host.begin : host.end].lower()
            is_staff = self._sites.is_of_staff(host.tenant, name) or self._sites.signs_in_staff(raw, host)
            for key, expires in cookies:
                found.append(Cookie(host.document, host.tenant, hash((name, *key)), is_staff, expires, opening[key[0]]))
        return found


def _beside(raw: bytes, host: Host, start: int) -> tuple[list[tuple[tuple[bytes, bytes], int]], int]:
    """Name and value of each cookie beside `host`, with when it expires; and where they end."""
    if raw[host.end] in b" \t":
        of_line = LINE.match(raw, host.end, host.line_end)
        if of_line and BEFORE_LINE.fullmatch(raw, host.line, host.begin):
            return [((of_line[3], of_line[4].strip()), seconds(of_line[2]))], of_line.end()
    elif raw[host.begin - 1] in b"\"'/" and DOMAIN_LABEL.search(raw, max(start, host.begin - 48), host.begin):
        return _of_object(raw, host, start)
    return _of_headers(raw, host, start)


def _of_object(raw: bytes, host: Host, start: int) -> tuple[list[tuple[tuple[bytes, bytes], int]], int]:
    """The cookie of an object."""
    low, high = max(start, host.begin - LONGEST), min(host.document_end, host.end + LONGEST)
    first, last = raw.rfind(b"{", low, host.begin), raw.find(b"}", host.end, high)
    if first < 0:
        return [], host.end
    text = raw[first : last if last >= 0 else high]
    name, value = NAME.search(text), VALUE.search(text)
    if name is None or value is None:
        return [], host.end
    expiry = EXPIRY.search(text)
    return [((name[1], value[1]), seconds(expiry[1] or expiry[2]) if expiry else SESSION)], first + len(text)


def _of_headers(raw: bytes, host: Host, start: int) -> tuple[list[tuple[tuple[bytes, bytes], int]], int]:
    """The cookies of a request to `host`, of its answer, or of a header that names it."""
    first, high = max(start, host.begin - LONGEST), min(host.document_end, host.end + LONGEST)
    if not any(raw.find(sign, min(first, host.line), high) >= 0 for sign in HEADER_SIGNS):
        return [], host.end
    set_here = HEADER.search(raw, host.line, host.line_end)
    if set_here and set_here[1]:
        return [*_set(set_here[2])], host.line_end
    before = raw[host.line : host.begin].lower()
    if not (before.strip().startswith(b"host:") or b"://" in before[-9:] or set_here):
        return [], host.end
    begin = max(first, raw.rfind(b"\n\n", first, host.begin))
    behind = REQUEST.search(raw, host.line_end, high)
    end = behind.start() if behind else high
    found = list[tuple[tuple[bytes, bytes], int]]()
    for header in HEADER.finditer(raw, begin, end):
        found += _set(header[2]) if header[1] else [(pair, SESSION) for pair in _pairs(header[2])]
    return found, end if found else host.end


def _set(header: bytes) -> Iterator[tuple[tuple[bytes, bytes], int]]:
    """The cookie that an answer sets."""
    pair = next(_pairs(header), None)
    until = SET_EXPIRES.search(header)
    if pair:
        yield pair, (seconds(until[1]) if until[1] else SESSION) if until else SESSION


def _pairs(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and values, without attributes."""
    return ((name, value) for name, value in PAIR.findall(header) if not ATTRIBUTE.match(name))


def seconds(written: bytes) -> int:
    """When a cookie expires, in seconds since 1970; SESSION where it says no time.

    >>> seconds(b"1767225600"), seconds(b"1767225600000"), seconds(b"13411699200000000"), seconds(b"-1")
    (1767225600, 1767225600, 1767225600, 0)
    """
    try:
        number = int(float(written))
    except (ValueError, OverflowError):
        return _of_date(written.decode("utf-8", "replace").strip())
    unit, since = next(((unit, since) for limit, unit, since in SCALES if number < limit), (10**7, FROM_1601))
    return min(max(SESSION, number // unit - since), int(LAST.timestamp()))


def _of_date(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            at = parsedate_to_datetime(text.replace("-", " "))
        except (ValueError, TypeError, IndexError):
            return SESSION
    return max(SESSION, int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()))
