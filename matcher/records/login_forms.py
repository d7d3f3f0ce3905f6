"""The login and the password that stand beside the address of a site, in whatever layout they were written.

    lines      https://bank.example/login:USER:PASSWORD     USER:PASSWORD:https://bank.example/     bank.example|USER|PASSWORD
    tables     CSV with quotes, tabs, pipes, Markdown, tuples of SQL, arrays of JSON; by the header, else by their order
    labels     `URL: … ¶ USER: … ¶ PASS: …`, also on one line, in Chinese, in objects of JSON and in XML

An address holds `:` itself, and so may a password: of several readings the one counts whose login is a mail address or a phone.
Which labels there are is taken from the published grammar of lexfo/stealer-parser and from browsers' and password managers'
exports. A label behind an address is that of a record: it ends with its object, its element, an empty line or a ruler, or where
the next address begins.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from matcher.records.own_sites import Host, Site, looks_named
from matcher.records.values import is_secret

LONGEST_BLOCK, BLOCK_LINES = 512, 8
"""Bytes and lines of a block above and below an address that are looked at."""
LONGEST_OBJECT, DEEPEST = 2048, 3
"""Bytes of an object around an address, and how many of them, one in the other."""
CHUNK = 4096
"""Bytes of a text that are searched at once for the label of a password: where there is none, no other is looked for."""
HEAD_LINES = 4
"""Lines at the beginning of a text that may be a table's header."""
LONGEST_HEADER = 1024
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
BETWEEN = re.compile(rb"\n[ \t]{0,8}(?=\n)|\n[-=_*#~+.]{3}")
RULER = re.compile(rb"[-=_*#~+.]{3}.*|</?[\w:.\-]{1,64}>|[{}\[\](), \t]{0,16}|\[.*\]")
"""A line between two records."""


def _words(*words: str) -> bytes:
    return "|".join(words).encode()


_SIGN_IN = "(?:登录|登陆|登錄|登入)"
_ADDRESS = _words(
    "origin[_ ]?url|signon[_ ]?realm|login[_ ]?ur[il]|url address|url|ur1|uri|host ?name|host|origin|server|site|domain|link",
    f"{_SIGN_IN}地址|{_SIGN_IN}网址|网站地址|网站|网址|網站|網址|链接|連結|站点|域名|地址",
)
_LOGIN = _words(
    "user[_ ]?login|login[_ ]?user(?:[_ ]?name)?|login[_ ]?name|user[_ ]?name(?:_?value)?|user[_ ]?id|user|usr|uname|login",
    f"u53rn4m3|account[_ ]?name|account|acc|e-?mail|{_SIGN_IN}名|{_SIGN_IN}账号|用户名|用戶名|用户|用戶",
    "账号|账户|帐号|帐户|帳號|帳戶|賬號|手机号码|手机号|手機號",
)
_PASSWORD = _words(
    "user[_ ]?password|login[_ ]?password|password(?:_?value)?|passwd|passw|pass|p455w0rd|pwd|psw|pw",
    f"{_SIGN_IN}密码|{_SIGN_IN}密碼|密码|密碼|口令",
)
_JOIN = (
    rb"(?:[\"'*`\])]{0,3}[ \t]{0,8}(?:=>|[:=])[ \t]{0,8}[\"'*`<\[(]{0,4}[ \t]{0,4}"
    rb"|(?:[ \t][^<>\n]{0,64})?>[ \t]{0,8}(?:<!\[CDATA\[)?|</[Kk]ey>\s{0,32}<[Vv]alue[^<>]{0,64}>"
    rb"|(?<=[\x80-\xff])[ \t]{1,4})"
)
"""Between a label and its value: a sign, an element of XML, one of KeePass, or spaces behind a Chinese one."""
_ALONE = rb"(?i)(?<![a-z0-9_])"
ADDRESS_LABEL = re.compile(_ALONE + rb"(?:" + _ADDRESS + rb")" + _JOIN + rb"$")
NEXT_ADDRESS = re.compile(_ALONE + rb"(?:" + _ADDRESS + rb")" + _JOIN + rb"|://")
LOGIN_LABEL = re.compile(_ALONE + rb"(?:" + _LOGIN + rb")" + _JOIN + rb"([^\s\"'<>|,;{}]{2,128})")
PASSWORD_LABEL = re.compile(_ALONE + rb"(?:" + _PASSWORD + rb")" + _JOIN + rb"(?!\[?(?i:not[_ ]saved))[^\s\"'<>]")
LABELS = re.compile(_ALONE + rb"(?:" + _ADDRESS + rb"|(" + _LOGIN + rb"|" + _PASSWORD + rb"))" + _JOIN)
HEADINGS = tuple(
    (name, re.compile(_ALONE + rb"(?:" + words + rb")(?![a-z0-9_])"))
    for name, words in (("url", _ADDRESS + rb"|web ?site"), ("login", _LOGIN), ("password", _PASSWORD))
)
ELEMENT = re.compile(rb"(?i)<(entry|login|logins|item|row|record|credential|account|server|site|password)(?:\s[^<>]{0,256})?>")
BRACE, NESTED = re.compile(rb"[{}]"), re.compile(rb"\{[^{}]{0,2048}\}")
INSERT = re.compile(rb"(?i)insert (?:ignore )?into [^()\s]{1,128}\s{0,4}\(([^()]{1,512})\)\s{0,8}values")

DASHES = re.compile(rb"-{3,}")
PLAIN = {sign: re.compile(re.escape(sign)) for sign in (b"\t", b"|", b";", b",", b" - ")}
QUOTED = {
    sign: re.compile(
        rb"(?:^|SIGN)([ \n]*+(?:\"(?:[^\"\\]|\"\"|\\.)*+\"|'(?:[^'\\]|''|\\.)*+')[ \n]*+(?=SIGN|$)|[^SIGN]*+)".replace(
            b"SIGN", re.escape(sign)
        ),
        re.DOTALL,
    )
    for sign in (b"\t", b"|", b";", b",")
}


class Login(NamedTuple):
    """A login beside an address, and where its line or record ends.

    `other` is what it may be instead, "" where nothing may: the password, of two that stand in no certain order. `order` is 1
    where the login, by its form, stands before the password, -1 where it stands behind it, and 0 where nothing tells.
    """

    login: bytes
    end: int
    other: bytes = b""
    order: int = 0


class Columns(NamedTuple):
    """Numbers of the columns of a table."""

    url: int
    login: int
    password: int


class Page:
    """A document [start, end) of the buffer, with what its headers say. In memory only."""

    def __init__(self, raw: bytes, start: int, end: int) -> None:
        self.raw, self.start, self.end = raw, start, end
        self._begins = dict[int, bool]()
        self._labelled = dict[int, bool]()

    def has_passwords(self, host: Host) -> bool:
        """Whether the label of a password stands in the kilobytes around a host."""
        first, last = (max(0, place - self.start) // CHUNK for place in (host.begin - LONGEST_OBJECT, host.end + LONGEST_OBJECT))
        return any(self._has_password(chunk) for chunk in range(first, last + 1))

    def _has_password(self, chunk: int) -> bool:
        if chunk not in self._labelled:
            begin = self.start + chunk * CHUNK
            self._labelled[chunk] = PASSWORD_LABEL.search(self.raw, begin, min(self.end, begin + CHUNK + 128)) is not None
        return self._labelled[chunk]

    def begins_with_login(self, place: int) -> bool:
        """Whether the first label since the last empty line or ruler before `place` is of a login, and its address follows."""
        start = self._stretches[max(0, bisect_right(self._stretches, place) - 1)]
        if start not in self._begins:
            found = LABELS.search(self.raw, start, min(self.end, start + LONGEST_OBJECT))
            self._begins[start] = found is not None and found[1] is not None
        return self._begins[start]

    @cached_property
    def _stretches(self) -> list[int]:
        """Where lines begin that stand below no empty line or ruler."""
        return [self.start, *(found.end() for found in BETWEEN.finditer(self.raw, self.start, self.end))]

    def columns(self, place: int, separator: bytes) -> Columns | None:
        """What the last header before `place` says."""
        known = self._headers
        before = bisect_right(known, place, key=lambda header: header[0])
        return next((columns for _, own, columns in reversed(known[max(0, before - 2) : before]) if own == separator), None)

    @cached_property
    def _headers(self) -> list[tuple[int, bytes, Columns]]:
        """Where headers stand, in order: place, separator, columns."""
        found = list[tuple[int, bytes, Columns]]()
        for begin, text in self._header_lines():
            for separator in (b"\t", b"|", b";", b","):
                if separator in text and (columns := _columns([text[a:b] for a, b in _split(text, separator)])):
                    found.append((begin, separator, columns))
                    break
        for match in INSERT.finditer(self.raw, self.start, self.end):
            if columns := _columns(match[1].split(b",")):
                found.append((match.start(), b",", columns))
        return sorted(found)

    def _header_lines(self) -> Iterator[tuple[int, bytes]]:
        """The first lines, and those above a line of dashes between pipes."""
        begin = self.start
        for _ in range(HEAD_LINES):
            end = self.raw.find(b"\n", begin, self.end)
            yield begin, self.raw[begin : end if end >= 0 else self.end][:LONGEST_HEADER]
            if end < 0:
                break
            begin = end + 1
        rule = self.raw.find(b"\n|", self.start, self.end)
        while rule >= 0:
            if self.raw[rule + 2 : rule + 8].strip(b" :")[:2] == b"--":
                begin = max(self.raw.rfind(b"\n", self.start, rule) + 1, self.start)
                yield begin, self.raw[begin:rule][:LONGEST_HEADER]
            rule = self.raw.find(b"\n|", rule + 1, self.end)


def login_beside(page: Page, host: Host, site: Site) -> Login | None:
    """The login beside `host`, whose address is `site`; None where no password stands there."""
    raw, has_passwords = page.raw, page.has_passwords(host)
    if has_passwords:
        label = ADDRESS_LABEL.search(raw, max(page.start, site.begin - 96), site.begin)
        if label or _labels_behind(raw, host, site):
            return _of_labels(page, host, label.start() if label else site.begin, is_labelled=label is not None)
    if b"=" in site.before[-1:]:
        return None
    found = _of_group(page, host, site) or _of_fields(page, host, site)
    return found or _of_block(page, host, site.begin, has_labels=has_passwords)


def _labels_behind(raw: bytes, host: Host, site: Site) -> bool:
    """Whether labels follow upon an address without one of any sort, on its line."""
    if raw[host.line : site.begin].rstrip(b" \t\"'")[-1:] in (b":", b"="):
        return False
    behind = raw[host.end : host.line_end]
    login = LOGIN_LABEL.search(behind)
    return login is not None and PASSWORD_LABEL.search(behind) is not None and b"://" not in behind[: login.start()]


# Labels


def _of_labels(page: Page, host: Host, begin: int, *, is_labelled: bool) -> Login | None:
    """The login of a record with labels, of which [begin, ...) is the address."""
    raw = page.raw
    if is_labelled and (found := _of_object(page, host, begin)):
        return found[0]
    if is_labelled and (found := _of_element(page, host, begin)):
        return found[0]
    behind, before = raw[host.end : host.line_end], raw[host.line : begin]
    cut = NEXT_ADDRESS.search(behind)
    if login := _labelled(behind[: cut.start()] if cut else behind):
        return Login(login, host.line_end if not cut else host.end + cut.start())
    if not NEXT_ADDRESS.search(before) and (login := _labelled(before)):
        return Login(login, host.line_end)
    return _of_block(page, host, begin)


def _labelled(text: bytes) -> bytes | None:
    """The login of a record's text, if a password stands in it."""
    login = LOGIN_LABEL.search(text) if text else None
    if login is None or NO_LOGIN.fullmatch(login[1]) or not PASSWORD_LABEL.search(text):
        return None
    return login[1]


def _of_object(page: Page, host: Host, begin: int) -> tuple[Login | None] | None:
    """What the object around an address says, or one of those around that; None where there is no object."""
    low, high = max(page.start, begin - LONGEST_OBJECT), min(page.end, host.end + LONGEST_OBJECT)
    left, right = page.raw[low:begin], page.raw[host.end : high]
    opened, closed = _enclosing(reversed([*BRACE.finditer(left)]), b"{"), _enclosing(BRACE.finditer(right), b"}")
    if not opened or not closed:
        return None
    inner_left, inner_right = len(left), 0
    for first, last in zip(opened, closed, strict=False):
        text = NESTED.sub(b"", left[first + 1 : inner_left] + b" " + right[inner_right:last])
        if login := _labelled(text):
            return (Login(login, host.end + last),)
        inner_left, inner_right = first, last + 1
    return (None,)


def _enclosing(braces: Iterator[re.Match[bytes]], opens: bytes) -> list[int]:
    """Places of the braces that enclose where one looks from, the nearest first."""
    found, depth = list[int](), 0
    for brace in braces:
        depth += -1 if brace[0] == opens else 1
        if depth < 0:
            found.append(brace.start())
            depth = 0
            if len(found) == DEEPEST:
                break
    return found


def _of_element(page: Page, host: Host, begin: int) -> tuple[Login | None] | None:
    """What the element of XML around an address says; None where there is none."""
    low, high = max(page.start, begin - LONGEST_OBJECT), min(page.end, host.end + LONGEST_OBJECT)
    right = page.raw[host.end : high]
    ended = right.lower()
    for opened in reversed([*ELEMENT.finditer(page.raw, low, begin)]):
        close = b"</" + opened[1].lower() + b">"
        end, left = ended.find(close), page.raw[opened.end() : begin]
        if end >= 0 and close not in left.lower():
            login = _labelled(left + b" " + right[:end])
            return (Login(login, host.end + end) if login else None,)
    return None


# Blocks


def _of_block(page: Page, host: Host, begin: int, *, has_labels: bool = True) -> Login | None:
    """The login on a line below or above an address that has a line of its own."""
    raw, behind = page.raw, page.raw[host.end : host.line_end]
    if not PATH.fullmatch(behind.rstrip(b" \t\"'*`,>|")) or (host.line_end >= page.end and host.line <= page.start):
        return None
    below = raw[host.line_end + 1 : min(host.line_end + LONGEST_BLOCK, page.end)]
    near, rest = _near(below.split(b"\n", BLOCK_LINES)[:BLOCK_LINES])
    if not has_labels:
        return _of_lines(host, begin, near)
    under = _labelled(b"\n".join(near))
    above = raw[max(page.start, host.line - LONGEST_BLOCK) : max(page.start, host.line - 1)]
    over, cut = _near(above.split(b"\n")[: -BLOCK_LINES - 1 : -1]) if above else ([], b"")
    is_first, is_last = not (cut and NEXT_ADDRESS.search(cut)), page.begins_with_login(host.line)
    login = _labelled(b"\n".join(over)) if is_first or is_last else None
    if login and (is_last or not under):
        return Login(login, host.line_end)
    if under:
        return Login(under, host.line_end + _length(near))
    both = b"\n".join((*over, *near)) if is_first else b""
    if both and (login := _labelled(both)):
        return Login(login, host.line_end + _length(near))
    if rest is not None and (login := _labelled(_until_address(below))):
        return None if is_last else Login(login, host.line_end)
    return _of_lines(host, begin, near)


def _near(lines: list[bytes]) -> tuple[list[bytes], bytes | None]:
    """The lines up to a ruler, an empty one or another address, and that one; None where there is none."""
    for number, line in enumerate(lines):
        if RULER.fullmatch(line.strip()) or NEXT_ADDRESS.search(line):
            return lines[:number], line
    return lines, None


def _length(lines: list[bytes]) -> int:
    return sum(map(len, lines)) + len(lines)


def _until_address(below: bytes) -> bytes:
    """The first lines below, empty ones among them, up to another address."""
    lines = below.split(b"\n", BLOCK_LINES)[: BLOCK_LINES - 2]
    end = next((n for n, line in enumerate(lines) if NEXT_ADDRESS.search(line)), len(lines))
    return b"\n".join(lines[:end])


def _of_lines(host: Host, begin: int, near: list[bytes]) -> Login | None:
    """The login of three lines without labels: address, login, password."""
    if len(near) != 2 or begin != host.line:
        return None
    login, password = (line.strip() for line in near)
    return _plain(login, password, host.line_end + _length(near), is_sure=False)


# Fields


def _of_group(page: Page, host: Host, site: Site) -> Login | None:
    """The login of an array or a tuple, which may go on over several lines."""
    raw = page.raw
    if raw[site.begin - 1 : site.begin] not in (b'"', b"'"):
        return None
    low, high = max(page.start, site.begin - LONGEST_BLOCK), min(page.end, host.end + LONGEST_BLOCK)
    first = max(raw.rfind(b"[", low, site.begin), raw.rfind(b"(", low, site.begin))
    ends = [end for end in (raw.find(b"]", host.end, high), raw.find(b")", host.end, high)) if end >= 0]
    if first < 0 or not ends or b"{" in raw[first : site.begin]:
        return None
    text = raw[first + 1 : min(ends)]
    return _of_row(page, text, b",", site, host, first + 1, min(ends))


def _of_fields(page: Page, host: Host, site: Site) -> Login | None:
    """The login of a line that a sign or spaces part into fields, or colons."""
    raw = page.raw
    text = raw[host.line : host.line_end]
    for separator in _separators(raw, host, site):
        if found := _of_row(page, text, separator, site, host, host.line, host.line_end):
            return found
    if b" " in text.strip():
        spaced = [(m.start(), m.end()) for m in re.finditer(rb"\S+", text)]
        if len(spaced) <= MOST_SPACED and (found := _beside(text, spaced, site, host, host.line, is_sure=False)):
            return found._replace(end=host.line_end)
    return _of_colons(raw, host, site)


def _separators(raw: bytes, host: Host, site: Site) -> Iterator[bytes]:
    """The signs that may part an address from what stands beside it."""
    address = raw[host.end : host.line_end].split(None, 1)[:1]
    rest = raw[host.end + len(address[0] if address else b"") : host.line_end][:4]
    before = raw[max(host.line, site.begin - 8) : site.begin]
    beside = b"".join((before, *address, rest))
    return (separator for separator in (b"\t", b"|", b"----", b";", b",", b" - ") if separator in beside)


def _of_row(page: Page, text: bytes, separator: bytes, site: Site, host: Host, begin: int, end: int) -> Login | None:
    """The login of `text`, which begins at `begin`, in fields."""
    fields = _split(text, separator)
    if len(fields) < 2:
        return None
    columns = page.columns(begin, separator)
    if columns and len(fields) > max(columns):
        if not fields[columns.url][0] <= host.begin - begin < fields[columns.url][1]:
            return None
        login, password = (_bare(text[slice(*fields[n])]) for n in (columns.login, columns.password))
        return Login(login, end) if login and password and not NO_LOGIN.fullmatch(login) else None
    is_sure = separator in (b"|", b"----", b";") or (separator != b" - " and (site.has_scheme or b'"' in text or b"'" in text))
    found = _beside(text, fields, site, host, begin, is_sure=is_sure)
    if found is None or (separator in (b"\t", b",") and STATUS.fullmatch(found.login)):
        return None
    return found._replace(end=end)


def _beside(text: bytes, fields: list[tuple[int, int]], site: Site, host: Host, begin: int, *, is_sure: bool) -> Login | None:
    """The login in the two fields behind that of the address, or before it, or with its password in one."""
    own = next((n for n, (first, last) in enumerate(fields) if first <= host.begin - begin < last), -1)
    cells = [_bare(text[first:last]) for first, last in fields]
    address = text[site.begin - begin : fields[own][1]].strip(b" \t\"'`")
    path = address[host.end - site.begin :]
    if own < 0 or not PATH.fullmatch(path) or not cells[own].endswith(address) or (b":" in path and not PORT.match(path)):
        return None
    if any(b"://" in cell[:24] for cell in cells[:own]):
        return None
    behind, before = cells[own + 1 :], cells[:own]
    while behind and b"://" in behind[0][:24]:
        if not site.has_scheme:
            return None  # a name before its address
        behind = behind[1:]
    for pair in (behind[:2], before[-2:]):
        if len(pair) == 2 and (found := _plain(pair[0], pair[1], host.line_end, is_sure=is_sure)):
            return found
    for one in (behind[:1], before[-1:]):
        login, colon, password = one[0].partition(b":") if one else (b"", b"", b"")
        if colon and (found := _plain(login, password, host.line_end, is_sure=is_sure)):
            return found
    return None


def _of_colons(raw: bytes, host: Host, site: Site) -> Login | None:
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
    if len(parts) < 2:
        return None
    for number, part in enumerate(parts[:-1]):
        if PERSON.fullmatch(part):
            return _plain(part, b":".join(parts[number + 1 :]), end, is_sure=is_sure)
    if PERSON.fullmatch(parts[-1]):
        return _plain(b":".join(parts[:-1]), parts[-1], end, is_sure=is_sure)
    return _plain(parts[0], b":".join(parts[1:]), end, is_sure=is_sure)


def _plain(first: bytes, second: bytes, end: int, *, is_sure: bool) -> Login | None:
    """A login and a password in either order; where `is_sure` is false, they must look like some."""
    persons = PERSON.fullmatch(first) is not None, PERSON.fullmatch(second) is not None
    order = persons[0] - persons[1]
    login, password = (second, first) if order < 0 else (first, second)
    if not LOGIN.fullmatch(login) or not PASSWORD.fullmatch(password) or NO_LOGIN.fullmatch(login) or looks_named(login):
        return None
    if b"://" in password[:24] or not (is_sure or any(persons) or is_secret(password.decode("ascii"))):
        return None
    may_be_other = order == 0 and LOGIN.fullmatch(password) and not NO_LOGIN.fullmatch(password)
    return Login(login, end, password if may_be_other else b"", order)


def _columns(cells: list[bytes]) -> Columns | None:
    """What the cells of a header are, None where one of the three is missing."""
    bare = [_bare(cell) for cell in cells]
    found = {name: [n for n, cell in enumerate(bare) if len(cell) <= 32 and words.search(cell)] for name, words in HEADINGS}
    logins = [n for n in found["login"] if n not in found["url"] and n not in found["password"]]
    logins = [n for n in logins if bare[n].lower() != b"account"] or logins  # KeePass calls a title so
    if not logins or not found["url"] or not found["password"]:
        return None
    return Columns(found["url"][0], logins[0], found["password"][0])


def _split(text: bytes, separator: bytes) -> list[tuple[int, int]]:
    """Where each field of `text` begins and ends; one in quotes may hold the separator."""
    if separator in QUOTED and (b'"' in text or b"'" in text):
        return [(found.start(1), found.end(1)) for found in QUOTED[separator].finditer(text)]
    ends = [(found.start(), found.end()) for found in (DASHES if separator == b"----" else PLAIN[separator]).finditer(text)]
    return list(zip([0, *(end for _, end in ends)], [*(start for start, _ in ends), len(text)], strict=True))


def _bare(cell: bytes) -> bytes:
    """A cell without its quotes."""
    return cell.strip().strip(b"\"'`*").strip()
