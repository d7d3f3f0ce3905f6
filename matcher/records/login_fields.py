"""The login and the password in one piece with an address: in a line that signs part into fields, a tuple or an array.

    lines      https://bank.example/login:USER:PASSWORD     USER:PASSWORD:https://bank.example/     bank.example|USER|PASSWORD
    tables     CSV with quotes, tabs, pipes, Markdown, tuples of SQL, arrays of JSON; by the header, else by their order

An address holds `:` itself, and so may a password: of several readings the one counts whose login is a mail address or a phone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from matcher.records.login_page import LoginPage, bare, split
from matcher.records.own_sites import Host, OwnSite, looks_named
from matcher.records.values import is_secret

LONGEST_GROUP = 512
"""Bytes of an array or a tuple around an address."""
MOST_SPACED = 5
"""Fields of a line that is parted by spaces: prose has more words."""
PORT = re.compile(rb":[0-9]{1,5}(?=[/?#|;,\t \"']|-{3}|:[^:\n]*:|$)")
"""A port is one where a path or two more fields follow, else it is a login of digits."""
LOGIN = re.compile(rb"[!#$%&()*+,\-./0-9=?@A-Z\[\]^_a-z|~]{3,128}")
PASSWORD = re.compile(rb"[!-~]{3,128}")
NO_LOGIN = re.compile(rb"(?i)(?:19|20)[0-9]{2}[-/.][0-9]{1,2}[-/.].*|unknown|\[?not[_ ]saved\]?|null|none|n/a|true|false")
"""Dates, and what stealers write where there is no login."""
STATUS = re.compile(rb"[0-9]{3}")
"""What a server answered, in a table of pages."""
PERSON = re.compile(rb"(?:\+?86[ \-]?)?1[3-9][0-9]{9}|[^\s@:|;,]{1,64}@[^\s@:|;,]{3,128}")
"""A login by which it is told from a password."""
PATH = re.compile(rb"(?::[0-9]{1,5})?(?:[/?#][^\s\"'<>]*)?")
NO_PATH = re.compile(rb"[\s\"'<>]")
USUAL = re.compile(
    rb"(?:[/?#][!$%&(-+\-./0-9=?@A-Z\[-`a-z~#]{0,256})?:"
    rb"((?!19|20)[A-Za-z0-9.\-]{1,64}@[A-Za-z0-9.\-]{3,63}):(?!(?:\+?86-?)?1[3-9][0-9]{9}\n)[!#$%&(-*=0-9A-Z?\[-`a-z{}~./\-]{3,128}\n"
)
"""Behind a host, a mail address and a password in a line of colons alone, as nearly all of a list are, and no other reading."""
WORDS = re.compile(
    rb"(?<![ \t])(?: ++[A-Za-z0-9]{1,64} ++"
    rb"(?:(?!root|admin)[A-Za-z0-9]{1,5}(?: ++[A-Za-z0-9]{1,64}){0,2} *+\n|(?:[A-Za-z0-9]{1,64} ++){4}[!-~])"
    rb"|[ \t]++(?:TRUE|FALSE)[ \t]++/[^\s@]{0,256}[ \t]++(?:TRUE|FALSE)[ \t])"
)
"""Behind a host, words of which none can be a password, since they are too short or too many, and what is a cookie."""
SEPARATOR = re.compile(rb"[\t|;,]|----| - ")
QUOTES = b"\"'`*"


class Login(NamedTuple):
    """A login beside an address, and where its line or record ends.

    `other` is what it may be instead, "" where nothing may: the password, of two that stand in no certain order. `order` is 1
    where the login, by its form, stands before the password, -1 where it stands behind it, and 0 where nothing tells.
    """

    login: bytes
    end: int
    other: bytes = b""
    order: int = 0


def login_of_line(page: LoginPage, host: Host, site: OwnSite) -> Login | None:
    """The login in one piece with the address of `host`; None where there is none."""
    raw = page.raw
    if site.begin == host.line and (usual := USUAL.match(raw, host.end)) and b"--" not in usual[0]:
        return Login(usual[1], host.line_end, b"", 1)
    return (_of_group(page, host, site) if raw[site.begin - 1] in b"\"'" else None) or _of_fields(page, host, site)


def _of_group(page: LoginPage, host: Host, site: OwnSite) -> Login | None:
    """The login of an array or a tuple, which may go on over several lines."""
    raw = page.raw
    low, high = max(page.start, site.begin - LONGEST_GROUP), min(page.end, host.end + LONGEST_GROUP)
    first = max(raw.rfind(b"[", low, site.begin), raw.rfind(b"(", low, site.begin))
    ends = [end for end in (raw.find(b"]", host.end, high), raw.find(b")", host.end, high)) if end >= 0]
    if first < 0 or not ends or b"{" in raw[first : site.begin]:
        return None
    text = raw[first + 1 : min(ends)]
    return _of_row(page, text, b",", site, host, first + 1, min(ends))


def _of_fields(page: LoginPage, host: Host, site: OwnSite) -> Login | None:
    """The login of a line that a sign or spaces part into fields, or colons."""
    raw = page.raw
    if SEPARATOR.search(raw, max(host.line, site.begin - 8), host.line_end):
        text = raw[host.line : host.line_end]
        for separator in _separators(raw, host, site):
            if found := _of_row(page, text, separator, site, host, host.line, host.line_end):
                return found
    if raw.find(b" ", host.line, host.line_end) >= 0 and (found := _of_spaced(raw, host, site)):
        return found
    return _of_colons(raw, host, site)


def _of_spaced(raw: bytes, host: Host, site: OwnSite) -> Login | None:
    """The login of a line of a few words."""
    before, text = raw[host.line : site.begin], raw[host.line : host.line_end]
    words = text.split(None, MOST_SPACED)
    if not 1 < len(words) <= MOST_SPACED or b" " not in text.strip():
        return None
    own = before.split()
    piece = own.pop() if before and not before[-1:].isspace() else b""
    address = words[len(own)][len(piece) :].strip(b"\"'`")
    return _among([word.strip(QUOTES) for word in words], len(own), address, site, host, is_sure=False)


def _separators(raw: bytes, host: Host, site: OwnSite) -> Iterator[bytes]:
    """The signs that may part an address from what stands beside it."""
    address = raw[host.end : host.line_end].split(None, 1)[:1]
    rest = raw[host.end + len(address[0] if address else b"") : host.line_end][:4]
    before = raw[max(host.line, site.begin - 8) : site.begin]
    beside = b"".join((before, *address, rest))
    return (separator for separator in (b"\t", b"|", b"----", b";", b",", b" - ") if separator in beside)


def _of_row(page: LoginPage, text: bytes, separator: bytes, site: OwnSite, host: Host, begin: int, end: int) -> Login | None:
    """The login of `text`, which begins at `begin`, in fields."""
    fields = split(text, separator)
    if len(fields) < 2:
        return None
    columns = page.columns(begin, separator)
    if columns and len(fields) > max(columns):
        if not fields[columns.url][0] <= host.begin - begin < fields[columns.url][1]:
            return None
        login, password = (bare(text[slice(*fields[n])]) for n in (columns.login, columns.password))
        return Login(login, end) if login and password and not NO_LOGIN.fullmatch(login) else None
    is_sure = separator in (b"|", b"----", b";") or (separator != b" - " and (site.has_scheme or b'"' in text or b"'" in text))
    found = _beside(text, fields, site, host, begin, is_sure=is_sure)
    if found is None or (separator in (b"\t", b",") and STATUS.fullmatch(found.login)):
        return None
    return found._replace(end=end)


def _beside(text: bytes, fields: list[tuple[int, int]], site: OwnSite, host: Host, begin: int, *, is_sure: bool) -> Login | None:
    """The login in the two fields behind that of the address, or before it, or with its password in one."""
    place = host.begin - begin
    own = next((n for n, (first, last) in enumerate(fields) if first <= place < last), -1)
    if own < 0:
        return None
    address = text[site.begin - begin : fields[own][1]].strip(b" \t\"'`")
    return _among([bare(text[first:last]) for first, last in fields], own, address, site, host, is_sure=is_sure)


def _among(cells: list[bytes], own: int, address: bytes, site: OwnSite, host: Host, *, is_sure: bool) -> Login | None:
    """The login in the two cells behind the `own` of an address, or before it, or with its password in one."""
    path = address[host.end - site.begin :]
    if path and (not PATH.fullmatch(path) or (b":" in path and not PORT.match(path))):
        return None
    if not cells[own].endswith(address) or (own and any(b"://" in cell[:24] for cell in cells[:own])):
        return None
    behind = own + 1
    while behind < len(cells) and b"://" in cells[behind][:24]:
        if not site.has_scheme:
            return None  # a name before its address
        behind += 1
    end = host.line_end
    if behind + 1 < len(cells) and (found := plain(cells[behind], cells[behind + 1], end, is_sure=is_sure)):
        return found
    if own > 1 and (found := plain(cells[own - 2], cells[own - 1], end, is_sure=is_sure)):
        return found
    for cell in (*cells[behind : behind + 1], *cells[max(0, own - 1) : own]):
        login, colon, password = cell.partition(b":")
        if colon and (found := plain(login, password, end, is_sure=is_sure)):
            return found
    return None


def _of_colons(raw: bytes, host: Host, site: OwnSite) -> Login | None:
    """The login of `address:login:password` or `login:password:address`, with whatever colons they hold."""
    rest = raw[host.end : host.line_end].rstrip()
    port = PORT.match(rest)
    rest = rest[port.end() :] if port else rest
    if site.before:
        parts = site.before[:-1].split(b":")
        is_last = len(parts) > 1 and not looks_named(parts[0]) and not (b":" in rest and NO_PATH.search(rest))
        return _of_parts(parts, host.line_end, is_sure=site.has_scheme) if is_last else None
    path, colon, behind = rest.partition(b":")
    while colon and behind[:2] == b"//":
        more, colon, behind = behind.partition(b":")
        path += b":" + more
    if not colon or (path and (path[:1] not in b"/?#" or NO_PATH.search(path))):
        return None
    parts = behind.split(b":")
    if len(parts) > 2 and (b"?" in path or b"#" in path) and not any(map(PERSON.fullmatch, parts)):
        parts = parts[-2:]
    return _of_parts(parts, host.line_end, is_sure=True)


def _of_parts(parts: list[bytes], end: int, *, is_sure: bool) -> Login | None:
    """The login of what colons part, of which the address may hold the first and the password any."""
    if len(parts) == 2:
        return plain(parts[0], parts[1], end, is_sure=is_sure)
    if len(parts) < 2:
        return None
    for number, part in enumerate(parts[:-1]):
        if PERSON.fullmatch(part):
            return plain(part, b":".join(parts[number + 1 :]), end, is_sure=is_sure)
    if PERSON.fullmatch(parts[-1]):
        return plain(b":".join(parts[:-1]), parts[-1], end, is_sure=is_sure)
    return plain(parts[0], b":".join(parts[1:]), end, is_sure=is_sure)


def plain(first: bytes, second: bytes, end: int, *, is_sure: bool) -> Login | None:
    """A login and a password in either order; where `is_sure` is false, they must look like some."""
    if not PASSWORD.fullmatch(first) or not PASSWORD.fullmatch(second):  # as every login is
        return None
    persons = PERSON.fullmatch(first) is not None, PERSON.fullmatch(second) is not None
    order = persons[0] - persons[1]
    login, password = (second, first) if order < 0 else (first, second)
    if not (is_sure or any(persons) or is_secret(password.decode("ascii"))) or b"://" in password[:24]:
        return None
    if not LOGIN.fullmatch(login) or NO_LOGIN.fullmatch(login) or (b"." in login and looks_named(login)):
        return None
    may_be_other = order == 0 and LOGIN.fullmatch(password) and not NO_LOGIN.fullmatch(password)
    return Login(login, end, password if may_be_other else b"", order)
