"""Find cookies of a tenant's own sites: an unexpired one signs its holder in without a password.

In the forms below, ¶ is a tab:

    lines      #HttpOnly_.bank.example ¶TRUE¶/¶TRUE¶1767225600¶NAME¶VALUE, with a header or without
    objects    {"domain": ".bank.example", "expirationDate": 1767225600.5, "name": …, "value": …}
               of extensions and DevTools
    headers    Cookie: NAME=VALUE; … beside Host: bank.example,
               and Set-Cookie: NAME=VALUE; Domain=bank.example

Cookies are compared by a hash under the process's own key; their names and values stay here. An
expiry is in seconds, milliseconds or microseconds, in Chrome's or Windows' time since 1601, or a
date. 0 and -1 mean that the cookie ends with the browser's session; nobody outside can tell whether
the site still accepts it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from matcher.detect.search import COOKIE_SIGNS
from matcher.records.login_forms import find_object_ends, find_object_starts
from matcher.records.login_page import bare, split
from matcher.records.own_sites import AT, MOST_NAMES, Host, Hosts, OwnSites, is_for_administrators

CookieEntry = tuple[tuple[bytes, bytes], int]
"""Name and value of a cookie, and its expiry."""
LONGEST, LONGEST_REQUEST, LONGEST_LABEL = 2048, 8192, 64
"""Bytes that are read around a host.

Those of an object or a request, of a request that is an object, and of a label before a host.
"""
SIGNS = (b"TRUE", b"true", b"ookie", b"xpir", b"OOKIE", b"session", b" -b ")
"""One of these occurs beside every cookie."""
_NEXT, _FLAG = rb"(?:[ \t]+|[,;|])", rb"(?:TRUE|FALSE|True|False|true|false)"
LINE = re.compile(
    rb"(?<=[^ \t])"
    + _NEXT
    + _FLAG
    + _NEXT
    + rb"(/[^\s,;|]{0,256})"
    + _NEXT
    + _FLAG
    + _NEXT
    + rb"(-?[0-9]{1,20})(?:\.[0-9]{1,9})?"
    + _NEXT
    + rb"([!-+\--:<-{}~]{1,256})([^\n]*)"
)
HEADER_SIGNS = (b"ookie", b"OOKIE")
"""One of these occurs in every header."""
BEFORE_LINE = re.compile(rb"[ \t]*(?:#HttpOnly_)?\.?", re.IGNORECASE)
_Q, _IS = rb"\\{0,7}[\"']", rb"\s{0,4}:\s{0,4}"
"""A quote, also an escaped one, and what follows a label."""
DOMAIN_LABEL = re.compile(
    rb"(?i)" + _Q + rb"(?:domain|host|host_?key|hostname)" + _Q + _IS + _Q + rb"\.?(?:https?://)?$"
)
IN_LABEL = re.compile(_Q + _IS + _Q + rb"(?:https?://)?$")
NAME = re.compile(rb"(?i)" + _Q + rb"name(?:_raw)?" + _Q + _IS + _Q + rb"([^\"'\\]{1,256})" + _Q)
VALUE = re.compile(
    rb"(?i)"
    + _Q
    + rb"(?:value|encrypted_value|content)(?:_raw)?"
    + _Q
    + _IS
    + rb"(?:"
    + _Q
    + rb")?([^\"'\\,}\s]{0,512})"
)
EXPIRY = re.compile(
    rb"(?i)"
    + _Q
    + rb"(?:expirationDate|expires(?:_utc|_raw|_at)?|expiry)"
    + _Q
    + _IS
    + rb"(?:"
    + _Q
    + rb"([^\"'\\]{1,64})"
    + _Q
    + rb"|(-?[0-9]{1,20}))"
)
HEADER = re.compile(
    rb"(?:[CScs](?:(?<=[Ss])([Ee][Tt]-)[Cc]|(?<=[Cc]))(?i:ookie)[s2-3]?(?:\\{0,7}[\"'])?"
    rb"(?:[ \t]{0,4}[:=][ \t]{0,4}|,\s{0,64}"
    + _Q
    + rb"value"
    + _Q
    + _IS
    + rb"|[ \t](?=[\"'])|(?<=:authority\ncookie)\n)"
    rb"|(?<=[ \t])-b[ \t])\^?(?:\\{0,7}[\"'])?([^\n\"'\\]{1,4096})"
)
"""A header, or the form in which a tool is given one.

`Cookie: …`, `-b '…'`, `"name":"Cookie","value":"…"`, `"cookies":"…"`.
"""
MONTH = re.compile(r"-([A-Za-z]{3})-")
"""The month in a date with hyphens; other hyphens are the sign of a zone."""
JAR = re.compile(rb"(?i)cookies?(?:\\{0,7}[\"'])?\s{0,4}[:=]\s{0,4}([\[{])")
"""The beginning of an array or an object of cookies beside a request."""
MEMBER = re.compile(
    _Q + rb"([!#$%&*+.0-9A-Z^_`a-z|~\-]{1,256})" + _Q + _IS + _Q + rb"([^\"'\\\n]{1,4096})" + _Q
)
CALL = re.compile(
    rb"(?i)cookie\([\"']([^\"'\n]{1,256})[\"'],\s{0,4}[\"']([^\"'\n]{0,4096})[\"'],"
    rb"\s{0,4}[\"'][^\"'\n]{0,256}[\"'],\s{0,4}[\"']\.?$"
)
"""A cookie in a PowerShell call, up to its domain."""
PAIR = re.compile(rb"(?:^|;)[ \t]{0,4}([!#$%&*+.0-9A-Z^_`a-z|~\-]{1,256})=([^;\s]{0,4096})")
ATTRIBUTE = re.compile(rb"(?i)(domain|path|expires|max-age|samesite|priority|version|comment)$")
SET_EXPIRES = re.compile(rb"(?i);[ \t]{0,4}(?:expires=([^;\n\"']{1,64})|max-age=(-?[0-9]{1,12}))")
REQUEST = re.compile(rb"\n(?:(?:GET|POST|PUT|HEAD|PATCH|DELETE|OPTIONS|curl) |[Hh]ost:)")
COOKIES = "cookies"
"""The form of cookies that name no site."""
NO_SITE_SIGNS = (*COOKIE_SIGNS, b"OOKIE")
OF_EXTENSION = re.compile(rb"[\"'](?:httpOnly|hostOnly|sameSite|expirationDate)[\"']")
SITE = re.compile(
    rb"(?i)://|(?:host|domain|site|url|origin|authority)[\"']?["
    rb" \t]{0,4}[:=]|[a-z0-9]\.(?:com|cn|net|org|io|example)(?![a-z])"
)
"""A name of a site, or a word that announces one."""
OF_NOBODY = re.compile(
    rb"(?i)_g(?:a|id|at|cl|ac)(?:_.*)?|_fb[pc]|_hj.*|_clck|_clsk|_uet.*|__utm.*|hm_l[vp][vt]t?_.*"
    rb"|_pk_.*|ajs_.*|amplitude.*|mp_.*"
    rb"|optanon.*|cookie_?consent.*|euconsent.*|bigipserver.*|awsalb.*|__cf.*|cf_clearance"
    rb"|incap_.*|visid_incap.*|nlbi_.*"
    rb"|lang(?:uage)?|locale|theme|i18n.*|sensorsdata.*|cnzz.*|um_distinctid"
)
"""Names of cookies that sign nobody in.

They are of analytics, consent, load balancers, languages and forms.
"""
OF_FORMS = re.compile(rb"(?i)csrf|xsrf")
SESSION = 0
LAST = datetime(9999, 1, 1, tzinfo=UTC)
FROM_1601 = 11_644_473_600
"""Seconds between the epochs of Windows and Unix."""

SCALES = ((10**11, 1, 0), (10**14, 10**3, 0), (10**16, 10**6, 0), (10**17, 10**6, FROM_1601))
"""Largest number, units a second, and epoch of each time scale.

Seconds, milliseconds, microseconds, Chrome's; larger numbers are Windows'.
"""


COLUMNS = (
    (b"domain", b"host_key", b"host", b"hostname", b"host key"),
    (b"name", b"cookie_name", b"cookie name"),
    (b"value", b"cookie_value", b"encrypted_value", b"content"),
    (b"expires", b"expires_utc", b"expirationdate", b"expiration", b"expiry", b"expires_at"),
)
"""Headings of a table of cookies: site, name, value and expiry."""


class CookieTable(NamedTuple):
    """A table of cookies: the separator of its cells, and the numbers of its columns.

    The number is -1 if it has no expiry.
    """

    separator: bytes
    domain: int
    name: int
    value: int
    expires: int


class Cookie(NamedTuple):
    """A cookie of a tenant's own site.

    It has its document, the tenant's number, and a key by which it is counted one time. `expires`
    is in seconds since 1970, SESSION if it ends with the session; `opens` is false if it signs
    nobody in.
    """

    document: int
    tenant: int
    key: int
    is_staff: bool
    expires: int
    opens: bool


class _Opening(dict[bytes, bool]):
    """A cache, by name, of whether a cookie signs somebody in."""

    def __missing__(self, name: bytes) -> bool:
        """Compute and cache whether a cookie of that name signs somebody in."""
        opens = not (OF_NOBODY.fullmatch(name) or OF_FORMS.search(name))
        if len(self) < MOST_NAMES:
            self[name] = opens
        return opens


class CookieFinder:
    """A finder of cookies beside the given hosts."""

    def __init__(self, sites: OwnSites) -> None:
        self._sites = sites
        self.tenants = sites.tenants

    def find(self, hosts: Hosts) -> list[Cookie]:
        """Return every cookie that is written beside one of `hosts`, in order of place.

        `hosts` are a tenant's own. Text that was used for one host is not used for another. `opens`
        of a cookie says whether it signs somebody in. Returns [] at once for a text without a word
        such as "cookie".
        """
        raw = hosts.raw
        if not any(sign in raw for sign in SIGNS):
            return []
        results, used_end, opening, begin, table = list[Cookie](), 0, _Opening(), -1, None
        for host in hosts.each:
            if host.begin < used_end or raw[host.begin - 1] == AT:
                continue
            if host.document_start != begin:
                begin, table = host.document_start, _find_table(raw, host)
            start = max(begin, used_end)  # text that was used for a host belongs to no other
            cookies, used_end = (table and _read_row(raw, host, table)) or _find_beside(
                raw, host, start
            )
            if not cookies:
                continue
            name = raw[host.begin : host.end].lower()
            is_staff = self._sites.is_of_staff(host.tenant, name) or is_for_administrators(
                raw, host
            )
            for key, expires in cookies:
                results.append(
                    Cookie(
                        host.document,
                        host.tenant,
                        hash((name, *key)),
                        is_staff,
                        expires,
                        opening[key[0]],
                    )
                )
        return results


def count_siteless_cookies(text: bytes) -> int:
    """Count the cookies in a text that names no site, so that their owner is unknown."""
    if not any(sign in text for sign in NO_SITE_SIGNS) or SITE.search(text):
        return 0
    headers = [len(_pairs(header[2])) for header in HEADER.finditer(text)]
    return sum(headers) + (len(NAME.findall(text)) if OF_EXTENSION.search(text) else 0)


def _find_table(raw: bytes, host: Host) -> CookieTable | None:
    """Return the table of cookies that the first line of a host's document declares, or None."""
    end = raw.find(b"\n", host.document_start, host.document_start + LONGEST)
    text = raw[host.document_start : end].lower() if end >= 0 else b""
    separator = next((sign for sign in (b"\t", b"|", b";", b",") if sign in text), b"")
    cells = [bare(cell) for cell in text.split(separator)] if separator else []
    numbers = [
        next((cells.index(word) for word in words if word in cells), -1) for words in COLUMNS
    ]
    return CookieTable(separator, *numbers) if min(numbers[:3]) >= 0 else None


def _read_row(raw: bytes, host: Host, table: CookieTable) -> tuple[list[CookieEntry], int] | None:
    """Return the cookie in a row of `table`, and where the row ends.

    None if the row is too short or the host is not in the column of domains. A cookie without a
    name gives an empty list.
    """
    text = raw[host.line : host.line_end]
    fields = split(text, table.separator)
    cells = [bare(text[first:last]) for first, last in fields]
    if (
        len(cells) <= max(table[1:])
        or not fields[table.domain][0] <= host.begin - host.line < fields[table.domain][1]
    ):
        return None
    expires = parse_expiry(cells[table.expires]) if table.expires >= 0 else SESSION
    return (
        [((cells[table.name], cells[table.value]), expires)] if cells[table.name] else []
    ), host.line_end


def _find_beside(raw: bytes, host: Host, start: int) -> tuple[list[CookieEntry], int]:
    """Return name, value and expiry of each cookie beside `host`, and where they end.

    Tried in this order: a line of a log, an object, a call, a request with labels, headers. The
    list is empty if there is none.
    """
    before = raw[host.begin - 1]
    if raw[host.end] in b" \t,;|":
        line_match = LINE.match(raw, host.end, host.line_end)
        if line_match and BEFORE_LINE.fullmatch(raw, host.line, host.begin):
            return [
                ((line_match[3], line_match[4].strip(b" \t\r,;|")), parse_expiry(line_match[2]))
            ], line_match.end()
    if before in b"\"'/":
        low = max(start, host.begin - LONGEST_LABEL)
        if (
            DOMAIN_LABEL.search(raw, low, host.begin)
            and (entry := _read_object(raw, host, start))[0]
        ):
            return entry
        if before in b"\"'" and (call := CALL.search(raw, max(start, host.line), host.begin)):
            return [((call[1], call[2]), SESSION)], host.end
        if IN_LABEL.search(raw, low, host.begin) and (request := _read_request(raw, host, start)):
            return request
    return _read_headers(raw, host, start)


def _read_object(raw: bytes, host: Host, start: int) -> tuple[list[CookieEntry], int]:
    """Return the cookie of the JSON object around `host`, and where it ends."""
    low, high = max(start, host.begin - LONGEST), min(host.document_end, host.end + LONGEST)
    first, last = raw.rfind(b"{", low, host.begin), raw.find(b"}", host.end, high)
    if first < 0:
        return [], host.end
    text = raw[first : last if last >= 0 else high]
    return [*_read_members(text)], first + len(text)


def _read_members(text: bytes) -> Iterator[CookieEntry]:
    """Yield the cookie of an object, by its labels."""
    name, value = NAME.search(text), VALUE.search(text)
    if name and value:
        expiry = EXPIRY.search(text)
        yield (name[1], value[1]), parse_expiry(expiry[1] or expiry[2]) if expiry else SESSION


def _read_request(raw: bytes, host: Host, start: int) -> tuple[list[CookieEntry], int] | None:
    """Return the cookies of a request to `host` that is written as an object, and where it ends.

    They are in a header, an array or an object. Returns None if no object surrounds the host.
    """
    low, high = (
        max(start, host.begin - LONGEST_REQUEST),
        min(host.document_end, host.end + LONGEST_REQUEST),
    )
    if not any(raw.find(sign, low, high) >= 0 for sign in HEADER_SIGNS):
        return [], host.end
    begin, end = (
        next(find_object_starts(raw, low, host.begin), -1),
        next(find_object_ends(raw, host.end, high), -1),
    )
    if begin < 0 or end < 0:
        return None
    text, cookies = raw[begin:end], list[CookieEntry]()
    for header in HEADER.finditer(text):
        cookies += (
            _read_set_cookie(header[2])
            if header[1]
            else [(pair, SESSION) for pair in _pairs(header[2])]
        )
    for jar in JAR.finditer(text):
        if jar[1] == b"[":
            cookies += [
                cookie
                for part in text[jar.end() : _close(text, b"]", jar.end())].split(b"}")
                for cookie in _read_members(part)
            ]
        else:
            cookies += [
                ((pair[1], pair[2]), SESSION)
                for pair in MEMBER.finditer(text, jar.end(), _close(text, b"}", jar.end()))
            ]
    return cookies, end


def _close(text: bytes, sign: bytes, place: int) -> int:
    """Return the end of an array or object that holds no nested one."""
    end = text.find(sign, place)
    return end if end >= 0 else len(text)


def _read_headers(raw: bytes, host: Host, start: int) -> tuple[list[CookieEntry], int]:
    """Return the cookies in the headers beside `host`, and where they end.

    The headers are of a request to it, of its response, or name it themselves.
    """
    first, high = max(start, host.begin - LONGEST), min(host.document_end, host.end + LONGEST)
    if (
        not any(raw.find(sign, min(first, host.line), high) >= 0 for sign in HEADER_SIGNS)
        and raw.find(b" -b ", first, high) < 0
    ):
        return [], host.end
    set_header = HEADER.search(raw, host.line, host.line_end)
    if set_header and set_header[1]:
        return [*_read_set_cookie(set_header[2])], host.line_end
    before = raw[host.line : host.begin].lower()
    if not (
        before.strip(b" \t[").startswith((b"host:", b":authority"))
        or b"://" in before[-9:]
        or before == b"["
        or set_header
    ):
        return [], host.end
    begin = _begin_of_request(raw, host, max(first, raw.rfind(b"\n\n", first, host.begin)))
    behind = REQUEST.search(raw, host.line_end, high)
    end = behind.start() if behind else high
    cookies = list[CookieEntry]()
    for header in HEADER.finditer(raw, begin, end):
        cookies += (
            _read_set_cookie(header[2])
            if header[1]
            else [(pair, SESSION) for pair in _pairs(header[2])]
        )
    return cookies, end if cookies else host.end


def _begin_of_request(raw: bytes, host: Host, begin: int) -> int:
    """Return where the request to `host` begins.

    That is not before `begin`, nor before the end of another request.
    """
    for request in REQUEST.finditer(raw, begin, host.line + len("OPTIONS ")):
        names_host = request[0][-1:] == b":"
        if names_host and request.start() == host.line - 1:
            break
        begin = host.line if names_host else request.start()
    return begin


def _read_set_cookie(header: bytes) -> Iterator[CookieEntry]:
    """Yield the cookie that a response sets."""
    pair = next(iter(_pairs(header)), None)
    until = SET_EXPIRES.search(header)
    if pair:
        yield pair, (parse_expiry(until[1]) if until[1] else SESSION) if until else SESSION


def _pairs(header: bytes) -> list[tuple[bytes, bytes]]:
    """Return the names and values in a header, without attributes."""
    return [(name, value) for name, value in PAIR.findall(header) if not ATTRIBUTE.match(name)]


def parse_expiry(written: bytes) -> int:
    """Return the expiry of a cookie in seconds since 1970, at most LAST; SESSION for none.

    >>> parse_expiry(b"1767225600"), parse_expiry(b"1767225600000")
    (1767225600, 1767225600)
    >>> parse_expiry(b"13411699200000000"), parse_expiry(b"-1")
    (1767225600, 0)
    """
    try:
        number = int(float(written))
        unit, since = next(
            ((unit, since) for limit, unit, since in SCALES if number < limit), (10**7, FROM_1601)
        )
        expires = number // unit - since
    except (ValueError, OverflowError):
        expires = _parse_date(written.decode("utf-8", "replace").strip())
    return min(max(SESSION, expires), int(LAST.timestamp()))


def _parse_date(text: str) -> int:
    """Return an ISO 8601 or RFC 5322 date in seconds since 1970; SESSION for any other text.

    A date of RFC 5322 may have hyphens, as Netscape writes it; a date without a zone is in UTC.

    >>> [_parse_date(f"Wed, 09 Jun 2021 10:18:14 {zone}") for zone in ("+0700", "-0700")]
    [1623208694, 1623259094]
    >>> _parse_date("Wed, 09-Jun-2021 10:18:14 GMT")
    1623233894
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            at = parsedate_to_datetime(MONTH.sub(r" \1 ", text))
        except (ValueError, TypeError, IndexError, OverflowError):
            return SESSION
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
