"""Read the labels and headers that apply to all logins of a text.

They are labels of passwords, headers of tables, and the first labels of records. The labels are
those of the published grammar of lexfo/stealer-parser and of the exports of browsers and password
managers. Their expressions begin with a set of bytes, so that a search skips text without a label,
four times as fast as with an expression that ignores case.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from matcher.records.own_sites import Host
from ullage.regex import compile_later

_SIGN_IN = ("登录", "登陆", "登錄", "登入")
ADDRESS = (
    *"origin[_ ]?url,signon[_ ]?realm,login[_ ]?ur[il],url address,url,ur1,uri,host"
    " ?name,host,origin,server,site".split(","),
    *"domain,link".split(","),
    *(word + of for of in ("地址", "网址") for word in _SIGN_IN),
    *"网站地址,网站,网址,網站,網址,链接,連結,站点,域名,地址".split(","),
)
LOGIN = (
    *"user[_ ]?login,login[_ ]?user(?:[_ ]?name)?,login[_ ]?name,user[_ ]?name(?:_?value)?,user[_"
    " ]?id,user,usr".split(","),
    *"uname,login,u53rn4m3,account[_ ]?name,account,acc,e-?mail".split(","),
    *(word + of for of in ("名", "账号") for word in _SIGN_IN),
    *"用户名,用戶名,用户,用戶,账号,账户,帐号,帐户,帳號,帳戶,賬號,手机号码,手机号,手機號".split(","),
)
PASSWORD = (
    *"user[_ ]?password,login[_"
    " ]?password,password(?:_?value)?,passwd,passw,pass,p455w0rd,pwd,psw,pw".split(","),
    *(word + of for of in ("密码", "密碼") for word in _SIGN_IN),
    *"密码,密碼,口令".split(","),
)
PASSWORD_SIGNS = tuple(
    sign.encode() for sign in ("pass", "pw", "psw", "p455", "密码", "密碼", "口令")
)
"""One of these, in lower case, is part of each password label."""
JOIN = (
    rb"(?:[\"'*`\])]{0,3}[ \t]{0,8}(?:=>|[:=])[ \t]{0,8}[\"'*`<\[(]{0,4}[ \t]{0,4}"
    rb"|(?:[ \t][^<>\n]{0,64})?>["
    rb" \t]{0,8}(?:<!\[(?i:CDATA)\[)?|</(?i:key)>\s{0,32}<(?i:value)[^<>]{0,64}>"
    rb"|(?<=[\x80-\xff])[ \t]{1,4})"
)
"""The text between a label and its value.

It is a sign, an element of XML, one of KeePass, or spaces behind a Chinese label.
"""
JOIN_ENDS = b" \t\"'*`<[(:=>"
"""The last characters of such a text."""
NOT_SAVED = rb"\[?(?i:not[_ ]saved)"


def _both_cases(text: str) -> bytes:
    """Return an expression that matches small letters and capitals."""
    each = re.compile(r"\[[^\[\]]*\]|[a-z]")
    return each.sub(
        lambda m: m[0][:-1] + m[0][1:].upper() if m[0][0] == "[" else f"[{m[0]}{m[0].upper()}]",
        text,
    ).encode()


def _first(words: Iterable[str]) -> bytes:
    """Return the first bytes of words, for a set, with capitals."""
    firsts = {word[0].encode()[:1] for word in words}
    return b"".join(
        b"\\x%02x" % byte for byte in sorted({*b"".join(firsts), *b"".join(firsts).upper()})
    )


def _match_after_first(words: Iterable[str]) -> bytes:
    """Build an expression for what follows the first byte of each of `words`.

    Longer words come before words that are their beginnings.
    """
    endings = dict[bytes, list[bytes]]()
    for word in words:
        ending = word[0].encode()[1:]
        endings.setdefault(_first([word]), []).append(ending + _both_cases(word[1:]))
    return (
        b"(?:"
        + b"|".join(
            b"(?<=[%b])(?:%b)" % (first, b"|".join(alternatives))
            for first, alternatives in endings.items()
        )
        + b")"
    )


def _label(words: Iterable[str]) -> bytes:
    """Return an expression for one of `words` that is not continued by a letter."""
    words = tuple(words)
    return b"[%b]%b%b" % (_first(words), ALONE, _match_after_first(words))


def any_label(words: Iterable[str]) -> bytes:
    """Return a regular expression that finds any of `words` as a label, ignoring case.

    It is slow: use it on short texts.
    """
    return rb"(?i)(?<![a-z0-9_])(?:" + "|".join(words).encode() + rb")"


ALONE = rb"(?<![A-Za-z0-9_].)"
ADDRESS_LABEL = compile_later(_label(ADDRESS) + JOIN + rb"$")
NEXT_ADDRESS = compile_later(
    rb"[:%b](?:(?<=:)//|%b%b%b)" % (_first(ADDRESS), ALONE, _match_after_first(ADDRESS), JOIN)
)
"""The beginning of an address, or its label."""
LOGIN_LABEL = compile_later(_label(LOGIN) + JOIN + rb"([^\s\"'<>|,;{}]{2,128})")
PASSWORD_LABEL = compile_later(_label(PASSWORD) + JOIN + rb"(?!" + NOT_SAVED + rb")[^\s\"'<>]")
LABELS = compile_later(
    b"[%b]%b(?:%b|(%b))%b"
    % (
        _first((*ADDRESS, *LOGIN, *PASSWORD)),
        ALONE,
        _match_after_first(ADDRESS),
        _match_after_first((*LOGIN, *PASSWORD)),
        JOIN,
    )
)
"""Any of the three labels; the group matches that of a login or password."""


LONGEST_OBJECT = 2048
"""Bytes of an object around an address."""
CHUNK = 4096
"""Bytes of a text that are searched at a time for a password label.

Without one, no other label is searched.
"""
HEAD_LINES = 4
"""Lines at the beginning of a text that may be a table's header."""
LONGEST_HEADER = 1024
BETWEEN = re.compile(rb"\n[ \t]{0,8}(?=\n)|\n[-=_*#~+.]{3}")
ELEMENT = re.compile(
    rb"<(?i:(entry|login|logins|item|row|record|credential|account|server|site|password))"
    rb"(?:\s[^<>]{0,256})?>"
)
INSERT = re.compile(
    rb"(?i)insert (?:ignore )?into [^()\s]{1,128}\s{0,4}\(([^()]{1,512})\)\s{0,8}values"
)
HEADINGS = tuple(
    (name, compile_later(any_label(words) + rb"(?![a-z0-9_])"))
    for name, words in (("url", (*ADDRESS, "web ?site")), ("login", LOGIN), ("password", PASSWORD))
)
DASHES = re.compile(rb"-{3,}")
QUOTED = {
    sign: compile_later(
        rb"(?:^|SIGN)([ \n]*+(?:\"(?:[^\"\\]|\"\"|\\.)*+\"|'(?:[^'\\]|''|\\.)*+')["
        rb" \n]*+(?=SIGN|$)|[^SIGN]*+)".replace(b"SIGN", re.escape(sign)),
        re.DOTALL,
    )
    for sign in (b"\t", b"|", b";", b",")
}


class LoginColumns(NamedTuple):
    """Numbers of the columns of a table."""

    url: int
    login: int
    password: int


class LoginPage:
    """A document [start, end) of the buffer, with its labels and headers; in memory only."""

    def __init__(self, raw: bytes, start: int, end: int) -> None:
        self.raw, self.start, self.end = raw, start, end
        self._begins = dict[int, bool]()
        self._labelled = dict[int, bool]()

    def has_passwords(self, host: Host) -> bool:
        """Return whether a label of a password occurs within a few kilobytes of `host`."""
        if not self._has_some:
            return False
        first = max(0, host.begin - LONGEST_OBJECT - self.start) // CHUNK
        last = max(0, host.end + LONGEST_OBJECT - self.start) // CHUNK
        return self._has_password(first) or (
            last > first and any(map(self._has_password, range(first + 1, last + 1)))
        )

    @cached_property
    def _has_some(self) -> bool:
        """Return whether a password label occurs anywhere."""
        small = self.raw[self.start : self.end].lower()
        may_have = any(sign in small for sign in PASSWORD_SIGNS)
        return may_have and PASSWORD_LABEL.search(self.raw, self.start, self.end) is not None

    def _has_password(self, chunk: int) -> bool:
        if chunk not in self._labelled:
            begin = self.start + chunk * CHUNK
            self._labelled[chunk] = (
                PASSWORD_LABEL.search(self.raw, begin, min(self.end, begin + CHUNK + 128))
                is not None
            )
        return self._labelled[chunk]

    def begins_with_login(self, place: int) -> bool:
        """Return whether the record around `place` starts with the login, followed by the address.

        If not, the address is first. `place` is a position in the buffer.
        """
        start = self._stretches[max(0, bisect_right(self._stretches, place) - 1)]
        if start not in self._begins:
            label = LABELS.search(self.raw, start, min(self.end, start + LONGEST_OBJECT))
            self._begins[start] = label is not None and label[1] is not None
        return self._begins[start]

    @cached_property
    def _stretches(self) -> list[int]:
        """Return the starts of the stretches between empty lines or rulers."""
        return [
            self.start,
            *(border.end() for border in BETWEEN.finditer(self.raw, self.start, self.end)),
        ]

    def columns(self, place: int, separator: bytes) -> LoginColumns | None:
        """Return the columns named by the last header with this separator before `place`.

        None if neither of the last two headers has this separator.
        """
        headers = self._headers
        if not headers:
            return None
        before = bisect_right(headers, place, key=lambda header: header[0])
        return next(
            (
                columns
                for _, header_separator, columns in reversed(headers[max(0, before - 2) : before])
                if header_separator == separator
            ),
            None,
        )

    @cached_property
    def _headers(self) -> list[tuple[int, bytes, LoginColumns]]:
        """Return place, separator and columns of each header, in order."""
        headers = list[tuple[int, bytes, LoginColumns]]()
        for begin, text in self._header_lines():
            for separator in (b"\t", b"|", b";", b","):
                if separator in text and (
                    columns := _columns([text[a:b] for a, b in split(text, separator)])
                ):
                    headers.append((begin, separator, columns))
                    break
        for match in INSERT.finditer(self.raw, self.start, self.end):
            if columns := _columns(match[1].split(b",")):
                headers.append((match.start(), b",", columns))
        return sorted(headers)

    def _header_lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield the first HEAD_LINES (4) lines, and those above a line of dashes between pipes.

        Each has its place, and is cut to LONGEST_HEADER (1,024) bytes.
        """
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


def _columns(cells: list[bytes]) -> LoginColumns | None:
    """Return the columns that a header names, None if one of the three is missing."""
    named = [bare(cell) for cell in cells]
    by_heading = {
        name: [n for n, cell in enumerate(named) if len(cell) <= 32 and words.search(cell)]
        for name, words in HEADINGS
    }
    logins = [
        n
        for n in by_heading["login"]
        if n not in by_heading["url"] and n not in by_heading["password"]
    ]
    # KeePass uses this name for a title
    logins = [n for n in logins if named[n].lower() != b"account"] or logins
    if not logins or not by_heading["url"] or not by_heading["password"]:
        return None
    return LoginColumns(by_heading["url"][0], logins[0], by_heading["password"][0])


def split(text: bytes, separator: bytes) -> list[tuple[int, int]]:
    """Return the start and end of each field of `text`; a quoted field may hold the separator."""
    if separator in QUOTED and (b'"' in text or b"'" in text):
        return [(match.start(1), match.end(1)) for match in QUOTED[separator].finditer(text)]
    if separator == b"----":
        ends = [match.span() for match in DASHES.finditer(text)]
        return list(
            zip(
                [0, *(end for _, end in ends)],
                [*(start for start, _ in ends), len(text)],
                strict=True,
            )
        )
    fields, begin = [], 0
    while (end := text.find(separator, begin)) >= 0:
        fields.append((begin, end))
        begin = end + len(separator)
    return [*fields, (begin, len(text))]


def bare(cell: bytes) -> bytes:
    """Return a cell without surrounding spaces and quotes."""
    return cell.strip().strip(b"\"'`*").strip()
