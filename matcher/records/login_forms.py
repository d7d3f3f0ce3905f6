"""The login and the password that stand beside an address with labels, or on lines of their own above or below it.

    labels     `URL: … ¶ USER: … ¶ PASS: …`, also on one line, in Chinese, in objects of JSON and in XML
    lines      an address, a login and a password, one below the other

A label behind an address is that of a record: it ends with its object, its element, an empty line or a ruler, or where the next
address begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from matcher.records.login_fields import NO_LOGIN, PATH, WORDS, Login, login_of_line, plain
from matcher.records.login_labels import ADDRESS_LABEL, JOIN_ENDS, LOGIN_LABEL, NEXT_ADDRESS, PASSWORD_LABEL
from matcher.records.login_page import ELEMENT, LONGEST_OBJECT, LoginPage
from matcher.records.own_sites import Host, OwnSite

LONGEST_BLOCK, BLOCK_LINES = 512, 8
"""Bytes and lines of a block above and below an address that are looked at."""
LONGEST_LABEL, LONGEST_NAME = 96, 48
"""Bytes before an address in which its label stands, and in which one stands that is no tag."""
LABEL_ALONE = re.compile(rb"[A-Za-z\-]{1,32}: ")
"""Before an address, of which nothing but a label says something: `Host: bank.example`."""
LINE_END = 10
DEEPEST = 3
"""Objects, one in the other, that are looked at."""
MOST_BRACES = 256
"""Braces on each side of an address that are looked at."""
RULER = re.compile(rb"[-=_*#~+.]{3}.*|</?[\w:.\-]{1,64}>|[{}\[\](), \t]{0,16}|\[.*\]")
"""A line between two records."""
BRACE, NESTED = re.compile(rb"[{}]"), re.compile(rb"\{[^{}]{0,2048}\}")


def login_beside(page: LoginPage, host: Host, site: OwnSite) -> Login | None:
    """The login beside `host`, whose address is `site`; None where no password stands there."""
    raw, has_passwords = page.raw, page.has_passwords(host)
    if has_passwords:
        label = _address_label(raw, max(page.start, site.begin - LONGEST_LABEL), site.begin)
        if label or _labels_behind(raw, host, site):
            return _of_labels(page, host, label.start() if label else site.begin, is_labelled=label is not None)
    if not has_passwords and raw[host.end] == LINE_END and LABEL_ALONE.fullmatch(raw, host.line, site.begin):
        return None
    if site.before[-1:] == b"=" or (raw[host.end] in b" \t" and site.begin == host.line and WORDS.match(raw, host.end)):
        return None
    return login_of_line(page, host, site) or _of_block(page, host, site.begin, has_labels=has_passwords)


def _address_label(raw: bytes, low: int, begin: int) -> re.Match[bytes] | None:
    """The label of the address that begins at `begin`; it may stand on the line above."""
    end = raw[begin - 1] if raw[begin - 1] != LINE_END else raw[begin - 2]
    if end not in JOIN_ENDS:
        return None
    if b">" not in raw[begin - LONGEST_NAME : begin]:
        low = max(low, begin - LONGEST_NAME)
    return ADDRESS_LABEL.search(raw, low, begin)


def _labels_behind(raw: bytes, host: Host, site: OwnSite) -> bool:
    """Whether labels follow upon an address without one of any sort, on its line."""
    if raw[host.line : site.begin].rstrip(b" \t\"'")[-1:] in (b":", b"="):
        return False
    behind = raw[host.end : host.line_end]
    login = LOGIN_LABEL.search(behind)
    return login is not None and PASSWORD_LABEL.search(behind) is not None and b"://" not in behind[: login.start()]


# Labels


def _of_labels(page: LoginPage, host: Host, begin: int, *, is_labelled: bool) -> Login | None:
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


def _of_object(page: LoginPage, host: Host, begin: int) -> tuple[Login | None] | None:
    """What the object around an address says, or one of those around that; None where there is no object."""
    raw, low, high = page.raw, max(page.start, begin - LONGEST_OBJECT), min(page.end, host.end + LONGEST_OBJECT)
    first, last = raw.rfind(b"{", low, begin), raw.find(b"}", host.end, high)
    if first < 0 or last < 0:
        return None
    is_flat = raw.find(b"}", first, begin) < 0 and raw.find(b"{", host.end, last) < 0  # as nearly all are
    if is_flat and (login := _labelled(raw[first + 1 : last])):
        return (Login(login, last),)
    inner_left, inner_right = begin, host.end
    pairs = zip(opened(raw, low, begin), closed(raw, host.end, high), strict=False)
    for first, last in islice(pairs, DEEPEST):
        text = raw[first + 1 : inner_left] + b" " + raw[inner_right:last]
        if login := _labelled(NESTED.sub(b"", text) if b"{" in text else text):
            return (Login(login, last),)
        inner_left, inner_right = first, last + 1
    return None if inner_left == begin else (None,)


def opened(raw: bytes, low: int, place: int) -> Iterator[int]:
    """Where the objects begin that are open at `place`, the innermost first."""
    depth = 0
    for _ in range(MOST_BRACES):
        opened, closed = raw.rfind(b"{", low, place), raw.rfind(b"}", low, place)
        if opened < 0:
            return
        place = max(opened, closed)
        depth += 1 if closed > opened else -1
        if depth < 0:
            yield place
            depth = 0


def closed(raw: bytes, place: int, high: int) -> Iterator[int]:
    """Where the objects end that are open at `place`, the innermost first."""
    depth = 0
    for brace in islice(BRACE.finditer(raw, place, high), MOST_BRACES):
        depth += 1 if brace[0] == b"{" else -1
        if depth < 0:
            yield brace.start()
            depth = 0


def _of_element(page: LoginPage, host: Host, begin: int) -> tuple[Login | None] | None:
    """What the element of XML around an address says; None where there is none."""
    raw, low, high = page.raw, max(page.start, begin - LONGEST_OBJECT), min(page.end, host.end + LONGEST_OBJECT)
    if raw.rfind(b"<", low, begin) < 0 or raw.find(b"</", host.end, high) < 0:
        return None
    right = raw[host.end : high]
    ended = right.lower()
    for opened in reversed([*ELEMENT.finditer(raw, low, begin)]):
        close = b"</" + opened[1].lower() + b">"
        end, left = ended.find(close), raw[opened.end() : begin]
        if end >= 0 and close not in left.lower():
            login = _labelled(left + b" " + right[:end])
            return (Login(login, host.end + end) if login else None,)
    return None


# Blocks


def _of_block(page: LoginPage, host: Host, begin: int, *, has_labels: bool = True) -> Login | None:
    """The login on a line below or above an address that has a line of its own."""
    raw = page.raw
    behind = raw[host.end : host.line_end].rstrip(b" \t\"'*`,>|")
    if (not has_labels and begin != host.line) or not PATH.fullmatch(behind):
        return None
    if host.line_end >= page.end and host.line <= page.start:
        return None
    below = raw[host.line_end + 1 : min(host.line_end + LONGEST_BLOCK, page.end)]
    near, rest = _near(below.split(b"\n", BLOCK_LINES)[:BLOCK_LINES])
    if has_labels:
        under, is_last = _labelled(b"\n".join(near)), page.begins_with_login(host.line)
        if under and not is_last:
            return Login(under, host.line_end + _length(near))
        if login := _above(page, host, near, under, is_last=is_last):
            return login
        if rest is not None and (found := _labelled(_until_address(below))):
            return None if is_last else Login(found, host.line_end)
    return _of_lines(host, begin, near)


def _above(page: LoginPage, host: Host, near: list[bytes], under: bytes | None, *, is_last: bool) -> Login | None:
    """The login of labels above an address that `is_last` of its record, else `under` it, else partly above and partly below."""
    above = page.raw[max(page.start, host.line - LONGEST_BLOCK) : max(page.start, host.line - 1)]
    over, cut = _near(above.split(b"\n")[: -BLOCK_LINES - 1 : -1]) if above else ([], b"")
    is_first = not (cut and NEXT_ADDRESS.search(cut))
    if (is_first or is_last) and (login := _labelled(b"\n".join(over))):
        return Login(login, host.line_end)
    login = under or (_labelled(b"\n".join((*over, *near))) if is_first else None)
    return Login(login, host.line_end + _length(near)) if login else None


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
    return plain(login, password, host.line_end + _length(near), is_sure=False)
