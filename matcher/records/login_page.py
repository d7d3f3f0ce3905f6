"""What a text says of all logins in it: where labels of passwords stand, what headers name, and with what records begin."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from matcher.records.login_labels import ADDRESS, LABELS, LOGIN, PASSWORD, PASSWORD_LABEL, PASSWORD_SIGNS, any_label
from matcher.records.own_sites import Host
from ullage.regex import compile_later

LONGEST_OBJECT = 2048
"""Bytes of an object around an address."""
CHUNK = 4096
"""Bytes of a text that are searched at once for the label of a password: where there is none, no other is looked for."""
HEAD_LINES = 4
"""Lines at the beginning of a text that may be a table's header."""
LONGEST_HEADER = 1024
BETWEEN = re.compile(rb"\n[ \t]{0,8}(?=\n)|\n[-=_*#~+.]{3}")
ELEMENT = re.compile(rb"<(?i:(entry|login|logins|item|row|record|credential|account|server|site|password))(?:\s[^<>]{0,256})?>")
INSERT = re.compile(rb"(?i)insert (?:ignore )?into [^()\s]{1,128}\s{0,4}\(([^()]{1,512})\)\s{0,8}values")
HEADINGS = tuple(
    (name, compile_later(any_label(words) + rb"(?![a-z0-9_])"))
    for name, words in (("url", (*ADDRESS, "web ?site")), ("login", LOGIN), ("password", PASSWORD))
)
DASHES = re.compile(rb"-{3,}")
QUOTED = {
    sign: compile_later(
        rb"(?:^|SIGN)([ \n]*+(?:\"(?:[^\"\\]|\"\"|\\.)*+\"|'(?:[^'\\]|''|\\.)*+')[ \n]*+(?=SIGN|$)|[^SIGN]*+)".replace(
            b"SIGN", re.escape(sign)
        ),
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
    """A document [start, end) of the buffer, with what its headers say. In memory only."""

    def __init__(self, raw: bytes, start: int, end: int) -> None:
        self.raw, self.start, self.end = raw, start, end
        self._begins = dict[int, bool]()
        self._labelled = dict[int, bool]()

    def has_passwords(self, host: Host) -> bool:
        """Whether the label of a password stands in the kilobytes around a host."""
        if not self._has_some:
            return False
        first = max(0, host.begin - LONGEST_OBJECT - self.start) // CHUNK
        last = max(0, host.end + LONGEST_OBJECT - self.start) // CHUNK
        return self._has_password(first) or (last > first and any(map(self._has_password, range(first + 1, last + 1))))

    @cached_property
    def _has_some(self) -> bool:
        """Whether the label of a password stands anywhere."""
        small = self.raw[self.start : self.end].lower()
        may_have = any(sign in small for sign in PASSWORD_SIGNS)
        return may_have and PASSWORD_LABEL.search(self.raw, self.start, self.end) is not None

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

    def columns(self, place: int, separator: bytes) -> LoginColumns | None:
        """What the last header before `place` says."""
        known = self._headers
        if not known:
            return None
        before = bisect_right(known, place, key=lambda header: header[0])
        return next((columns for _, own, columns in reversed(known[max(0, before - 2) : before]) if own == separator), None)

    @cached_property
    def _headers(self) -> list[tuple[int, bytes, LoginColumns]]:
        """Where headers stand, in order: place, separator, columns."""
        found = list[tuple[int, bytes, LoginColumns]]()
        for begin, text in self._header_lines():
            for separator in (b"\t", b"|", b";", b","):
                if separator in text and (columns := _columns([text[a:b] for a, b in split(text, separator)])):
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


def _columns(cells: list[bytes]) -> LoginColumns | None:
    """What the cells of a header are, None where one of the three is missing."""
    named = [bare(cell) for cell in cells]
    found = {name: [n for n, cell in enumerate(named) if len(cell) <= 32 and words.search(cell)] for name, words in HEADINGS}
    logins = [n for n in found["login"] if n not in found["url"] and n not in found["password"]]
    logins = [n for n in logins if named[n].lower() != b"account"] or logins  # KeePass calls a title so
    if not logins or not found["url"] or not found["password"]:
        return None
    return LoginColumns(found["url"][0], logins[0], found["password"][0])


def split(text: bytes, separator: bytes) -> list[tuple[int, int]]:
    """Where each field of `text` begins and ends; one in quotes may hold the separator."""
    if separator in QUOTED and (b'"' in text or b"'" in text):
        return [(found.start(1), found.end(1)) for found in QUOTED[separator].finditer(text)]
    if separator == b"----":
        ends = [found.span() for found in DASHES.finditer(text)]
        return list(zip([0, *(end for _, end in ends)], [*(start for start, _ in ends), len(text)], strict=True))
    fields, begin = [], 0
    while (end := text.find(separator, begin)) >= 0:
        fields.append((begin, end))
        begin = end + len(separator)
    return [*fields, (begin, len(text))]


def bare(cell: bytes) -> bytes:
    """A cell without its quotes."""
    return cell.strip().strip(b"\"'`*").strip()
