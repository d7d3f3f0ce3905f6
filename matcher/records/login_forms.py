"""Read the login and the password beside an address.

    lines      https://bank.example/login:USER:PASSWORD     USER:PASSWORD:https://bank.example/
               bank.example|USER|PASSWORD
    tables     CSV with quotes, tabs, pipes, Markdown, tuples of SQL, arrays of JSON; by header,
               else by order
    labels     `URL: … ¶ USER: … ¶ PASS: …`, also on one line, in Chinese, in objects of JSON and
               in XML
    blocks     an address, a login and a password, one below the other

An address may contain `:`, and so may a password: of several readings, the one counts whose login
is a mail address or a phone. A label behind an address belongs to a record, which ends with its
object, its element, an empty line, a ruler, or the next address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from matcher.records.cells import is_secret
from matcher.records.login_page import (
    ADDRESS_LABEL,
    ELEMENT,
    JOIN_ENDS,
    LOGIN_LABEL,
    LONGEST_OBJECT,
    NEXT_ADDRESS,
    PASSWORD_LABEL,
    LoginPage,
    bare,
    split,
)
from matcher.records.own_sites import Host, OwnSite, looks_named

LONGEST_GROUP = 512
"""Bytes of an array or a tuple around an address."""
MOST_SPACED = 5
"""Fields of a line that is separated by spaces: prose has more words."""
PORT = re.compile(rb":[0-9]{1,5}(?=[/?#|;,\t \"']|-{3}|:[^:\n]*:|$)")
"""A port.

A path or two more fields must follow it, else it is a login of digits.
"""
LOGIN = re.compile(rb"[!#$%&()*+,\-./0-9=?@A-Z\[\]^_a-z|~]{3,128}")
PASSWORD = re.compile(rb"[!-~]{3,128}")
NO_LOGIN = re.compile(
    rb"(?i)(?:19|20)[0-9]{2}[-/.][0-9]{1,2}[-/.].*|unknown|\[?not[_"
    rb" ]saved\]?|null|none|n/a|true|false"
)
"""Dates, and the words that stealers write if there is no login."""
STATUS = re.compile(rb"[0-9]{3}")
"""The status of a response, in a table of pages."""
PERSON = re.compile(rb"(?:\+?86[ \-]?)?1[3-9][0-9]{9}|[^\s@:|;,]{1,64}@[^\s@:|;,]{3,128}")
"""A value that must be the login, not the password: a phone or a mail address."""
PATH = re.compile(rb"(?::[0-9]{1,5})?(?:[/?#][^\s\"'<>]*)?")
NO_PATH = re.compile(rb"[\s\"'<>]")
USUAL = re.compile(
    rb"(?:[/?#][!$%&(-+\-./0-9=?@A-Z\[-`a-z~#]{0,256})?:"
    rb"((?!19|20)[A-Za-z0-9.\-]{1,64}@[A-Za-z0-9.\-]{3,63}):"
    rb"(?!(?:\+?86-?)?1[3-9][0-9]{9}\n)[!#$%&(-*=0-9A-Z?\[-`a-z{}~./\-]{3,128}\n"
)
"""A mail address and a password behind a host, in a line with colons only.

Nearly all lines of a list have this form, and it has no other reading.
"""
WORDS = re.compile(
    rb"(?<![ \t])(?: ++[A-Za-z0-9]{1,64} ++"
    rb"(?:(?!root|admin)[A-Za-z0-9]{1,5}(?: ++[A-Za-z0-9]{1,64}){0,2} *+\n|(?:[A-Za-z0-9]{1,64}"
    rb" ++){4}[!-~])"
    rb"|[ \t]++(?:TRUE|FALSE)[ \t]++/[^\s@]{0,256}[ \t]++(?:TRUE|FALSE)[ \t])"
)
"""Words behind a host of which none can be a password, and cookies.

The words are too short or too many.
"""
SEPARATOR = re.compile(rb"[\t|;,]|----| - ")
QUOTES = b"\"'`*"


class Login(NamedTuple):
    """A login beside an address, and where its line or record ends.

    `alternative` is the password if it may be the login instead, since the order of the two is
    uncertain, else "". `order` is 1 if the login, by its form, precedes the password, -1 if it
    follows it, and 0 if its form shows nothing.
    """

    login: bytes
    end: int
    alternative: bytes = b""
    order: int = 0


def login_of_line(page: LoginPage, host: Host, site: OwnSite) -> Login | None:
    """Return the login that is written in one piece with the address of `host`; None if none is."""
    raw = page.raw
    if site.begin == host.line and (usual := USUAL.match(raw, host.end)) and b"--" not in usual[0]:
        return Login(usual[1], host.line_end, b"", 1)
    return (
        _read_group(page, host, site) if raw[site.begin - 1] in b"\"'" else None
    ) or _read_fields(page, host, site)


def _read_group(page: LoginPage, host: Host, site: OwnSite) -> Login | None:
    """Return the login of an array or a tuple, which may extend over several lines.

    None if there is no bracket within LONGEST_GROUP (512) bytes, an object begins in it, or it
    holds no login.
    """
    raw = page.raw
    low, high = max(page.start, site.begin - LONGEST_GROUP), min(page.end, host.end + LONGEST_GROUP)
    first = max(raw.rfind(b"[", low, site.begin), raw.rfind(b"(", low, site.begin))
    ends = [
        end for end in (raw.find(b"]", host.end, high), raw.find(b")", host.end, high)) if end >= 0
    ]
    if first < 0 or not ends or b"{" in raw[first : site.begin]:
        return None
    text = raw[first + 1 : min(ends)]
    return _read_row(page, text, b",", site, host, first + 1, min(ends))


def _read_fields(page: LoginPage, host: Host, site: OwnSite) -> Login | None:
    """Return the login of a line whose fields are separated by a sign, spaces or colons.

    Returns None if there is none. The signs are tried first.
    """
    raw = page.raw
    if SEPARATOR.search(raw, max(host.line, site.begin - 8), host.line_end):
        text = raw[host.line : host.line_end]
        for separator in _find_separators(raw, host, site):
            if login := _read_row(page, text, separator, site, host, host.line, host.line_end):
                return login
    if raw.find(b" ", host.line, host.line_end) >= 0 and (login := _read_words(raw, host, site)):
        return login
    return _read_colons(raw, host, site)


def _read_words(raw: bytes, host: Host, site: OwnSite) -> Login | None:
    """Return the login of a line of 2 to MOST_SPACED (5) words.

    Returns None for any other line, or without a login. Such a login is not sure.
    """
    before, text = raw[host.line : site.begin], raw[host.line : host.line_end]
    words = text.split(None, MOST_SPACED)
    if not 1 < len(words) <= MOST_SPACED or b" " not in text.strip():
        return None
    words_before = before.split()
    piece = words_before.pop() if before and not before[-1:].isspace() else b""
    address = words[len(words_before)][len(piece) :].strip(b"\"'`")
    return _among(
        [word.strip(QUOTES) for word in words],
        len(words_before),
        address,
        site,
        host,
        is_sure=False,
    )


def _find_separators(raw: bytes, host: Host, site: OwnSite) -> Iterator[bytes]:
    """Return the signs that may separate an address from the text beside it."""
    address = raw[host.end : host.line_end].split(None, 1)[:1]
    following = raw[host.end + len(address[0] if address else b"") : host.line_end][:4]
    before = raw[max(host.line, site.begin - 8) : site.begin]
    beside = b"".join((before, *address, following))
    return (
        separator for separator in (b"\t", b"|", b"----", b";", b",", b" - ") if separator in beside
    )


def _read_row(
    page: LoginPage, text: bytes, separator: bytes, site: OwnSite, host: Host, begin: int, end: int
) -> Login | None:
    """Return the login in the fields of `text`.

    It begins at `begin`, and its record ends at `end`. If a header above names the columns, they
    decide; otherwise it is looked for beside the address. None if there is none, or the address is
    not in its column.
    """
    fields = split(text, separator)
    if len(fields) < 2:
        return None
    columns = page.columns(begin, separator)
    if columns and len(fields) > max(columns):
        if not fields[columns.url][0] <= host.begin - begin < fields[columns.url][1]:
            return None
        login, password = (bare(text[slice(*fields[n])]) for n in (columns.login, columns.password))
        return Login(login, end) if login and password and not NO_LOGIN.fullmatch(login) else None
    is_sure = separator in (b"|", b"----", b";") or (
        separator != b" - " and (site.has_scheme or b'"' in text or b"'" in text)
    )
    candidate = _find_beside(text, fields, site, host, begin, is_sure=is_sure)
    if candidate is None or (separator in (b"\t", b",") and STATUS.fullmatch(candidate.login)):
        return None
    return candidate._replace(end=end)


def _find_beside(
    text: bytes,
    fields: list[tuple[int, int]],
    site: OwnSite,
    host: Host,
    begin: int,
    *,
    is_sure: bool,
) -> Login | None:
    """Return the login in the fields beside that of the address.

    It is in the two fields behind the address or before it, or in one with its password.
    """
    place = host.begin - begin
    column = next((n for n, (first, last) in enumerate(fields) if first <= place < last), -1)
    if column < 0:
        return None
    address = text[site.begin - begin : fields[column][1]].strip(b" \t\"'`")
    return _among(
        [bare(text[first:last]) for first, last in fields],
        column,
        address,
        site,
        host,
        is_sure=is_sure,
    )


def _among(
    cells: list[bytes], column: int, address: bytes, site: OwnSite, host: Host, *, is_sure: bool
) -> Login | None:
    """Return the login in the cells beside that of the address, which is number `column`.

    It is in the two cells behind the address or before it, or in one with its password.
    """
    path = address[host.end - site.begin :]
    if path and (not PATH.fullmatch(path) or (b":" in path and not PORT.match(path))):
        return None
    if not cells[column].endswith(address) or (
        column and any(b"://" in cell[:24] for cell in cells[:column])
    ):
        return None
    behind = column + 1
    while behind < len(cells) and b"://" in cells[behind][:24]:
        if not site.has_scheme:
            return None  # a name before its address
        behind += 1
    end = host.line_end
    if behind + 1 < len(cells) and (
        result := read_pair(cells[behind], cells[behind + 1], end, is_sure=is_sure)
    ):
        return result
    if column > 1 and (
        result := read_pair(cells[column - 2], cells[column - 1], end, is_sure=is_sure)
    ):
        return result
    for cell in (*cells[behind : behind + 1], *cells[max(0, column - 1) : column]):
        login, colon, password = cell.partition(b":")
        if colon and (result := read_pair(login, password, end, is_sure=is_sure)):
            return result
    return None


def _read_colons(raw: bytes, host: Host, site: OwnSite) -> Login | None:
    """Return the login of `address:login:password` or `login:password:address`.

    Returns None for other text. Each of the three may hold colons.
    """
    following = raw[host.end : host.line_end].rstrip()
    port = PORT.match(following)
    following = following[port.end() :] if port else following
    if site.before:
        parts = site.before[:-1].split(b":")
        is_last = (
            len(parts) > 1
            and not looks_named(parts[0])
            and not (b":" in following and NO_PATH.search(following))
        )
        return _read_parts(parts, host.line_end, is_sure=site.has_scheme) if is_last else None
    path, colon, behind = following.partition(b":")
    while colon and behind[:2] == b"//":
        more, colon, behind = behind.partition(b":")
        path += b":" + more
    if not colon or (path and (path[:1] not in b"/?#" or NO_PATH.search(path))):
        return None
    parts = behind.split(b":")
    if len(parts) > 2 and (b"?" in path or b"#" in path) and not any(map(PERSON.fullmatch, parts)):
        parts = parts[-2:]
    return _read_parts(parts, host.line_end, is_sure=True)


def _read_parts(parts: list[bytes], end: int, *, is_sure: bool) -> Login | None:
    """Return the login of parts that were separated by colons.

    The first parts may belong to the address, and the password may hold any number of colons.
    """
    if len(parts) == 2:
        return read_pair(parts[0], parts[1], end, is_sure=is_sure)
    if len(parts) < 2:
        return None
    for number, part in enumerate(parts[:-1]):
        if PERSON.fullmatch(part):
            return read_pair(part, b":".join(parts[number + 1 :]), end, is_sure=is_sure)
    if PERSON.fullmatch(parts[-1]):
        return read_pair(b":".join(parts[:-1]), parts[-1], end, is_sure=is_sure)
    return read_pair(parts[0], b":".join(parts[1:]), end, is_sure=is_sure)


def read_pair(first: bytes, second: bytes, end: int, *, is_sure: bool) -> Login | None:
    """Return the login and password that two values are, in either order; None if they are not.

    Unless `is_sure`, one must look like a person's login or the second like a password. `end` is
    the position behind the pair.
    """
    if not PASSWORD.fullmatch(first) or not PASSWORD.fullmatch(second):  # as every login is
        return None
    persons = PERSON.fullmatch(first) is not None, PERSON.fullmatch(second) is not None
    order = persons[0] - persons[1]
    login, password = (second, first) if order < 0 else (first, second)
    if (
        not (is_sure or any(persons) or is_secret(password.decode("ascii")))
        or b"://" in password[:24]
    ):
        return None
    if (
        not LOGIN.fullmatch(login)
        or NO_LOGIN.fullmatch(login)
        or (b"." in login and looks_named(login))
    ):
        return None
    may_be_other = order == 0 and LOGIN.fullmatch(password) and not NO_LOGIN.fullmatch(password)
    return Login(login, end, password if may_be_other else b"", order)


LONGEST_BLOCK, BLOCK_LINES = 512, 8
"""Bytes and lines of a block above and below an address that are read."""
LONGEST_LABEL, LONGEST_NAME = 96, 48
"""Bytes before an address that may hold its label: in all, and without a tag."""
LABEL_ALONE = re.compile(rb"[A-Za-z\-]{1,32}: ")
"""The only label before an address that has nothing else: `Host: bank.example`."""
LINE_END = 10
DEEPEST = 3
"""Nested objects that are read."""
MOST_BRACES = 256
"""Braces on each side of an address that are read."""
RULER = re.compile(rb"[-=_*#~+.]{3}.*|</?[\w:.\-]{1,64}>|[{}\[\](), \t]{0,16}|\[.*\]")
"""A line between two records."""
BRACE, NESTED = re.compile(rb"[{}]"), re.compile(rb"\{[^{}]{0,2048}\}")


def login_beside(page: LoginPage, host: Host, site: OwnSite) -> Login | None:
    """Return the login written beside `host`, whose address is `site`; None without a password.

    It may stand in labelled fields, on the same line, or on neighbouring lines.
    """
    raw, has_passwords = page.raw, page.has_passwords(host)
    if has_passwords:
        label = _address_label(raw, max(page.start, site.begin - LONGEST_LABEL), site.begin)
        if label or _labels_behind(raw, host, site):
            return _read_labels(
                page, host, label.start() if label else site.begin, is_labelled=label is not None
            )
    if (
        not has_passwords
        and raw[host.end] == LINE_END
        and LABEL_ALONE.fullmatch(raw, host.line, site.begin)
    ):
        return None
    if site.before[-1:] == b"=" or (
        raw[host.end] in b" \t" and site.begin == host.line and WORDS.match(raw, host.end)
    ):
        return None
    return login_of_line(page, host, site) or _read_block(
        page, host, site.begin, has_labels=has_passwords
    )


def _address_label(raw: bytes, low: int, begin: int) -> re.Match[bytes] | None:
    """Return the label of the address that begins at `begin`; it may be on the line above."""
    end = raw[begin - 1] if raw[begin - 1] != LINE_END else raw[begin - 2]
    if end not in JOIN_ENDS:
        return None
    if b">" not in raw[begin - LONGEST_NAME : begin]:
        low = max(low, begin - LONGEST_NAME)
    return ADDRESS_LABEL.search(raw, low, begin)


def _labels_behind(raw: bytes, host: Host, site: OwnSite) -> bool:
    """Return whether labels follow an unlabelled address on its line."""
    if raw[host.line : site.begin].rstrip(b" \t\"'")[-1:] in (b":", b"="):
        return False
    behind = raw[host.end : host.line_end]
    login = LOGIN_LABEL.search(behind)
    return (
        login is not None
        and PASSWORD_LABEL.search(behind) is not None
        and b"://" not in behind[: login.start()]
    )


# Labels


def _read_labels(page: LoginPage, host: Host, begin: int, *, is_labelled: bool) -> Login | None:
    """Return the login of a record with labels, whose address begins at `begin`.

    Returns None if there is none. `is_labelled` says that the address has a label; then an object
    or an element around it decides alone. Next come the rest of the line, what is before it, and
    the lines around.
    """
    raw = page.raw
    if is_labelled and (enclosed := _read_object(page, host, begin)):
        return enclosed[0]
    if is_labelled and (enclosed := _read_element(page, host, begin)):
        return enclosed[0]
    behind, before = raw[host.end : host.line_end], raw[host.line : begin]
    cut = NEXT_ADDRESS.search(behind)
    if login := _find_labelled_login(behind[: cut.start()] if cut else behind):
        return Login(login, host.line_end if not cut else host.end + cut.start())
    if not NEXT_ADDRESS.search(before) and (login := _find_labelled_login(before)):
        return Login(login, host.line_end)
    return _read_block(page, host, begin)


def _find_labelled_login(text: bytes) -> bytes | None:
    """Return the login in a record's text, if the text has a password."""
    login = LOGIN_LABEL.search(text) if text else None
    if login is None or NO_LOGIN.fullmatch(login[1]) or not PASSWORD_LABEL.search(text):
        return None
    return login[1]


def _read_object(page: LoginPage, host: Host, begin: int) -> tuple[Login | None] | None:
    """Return the login in the object around an address, or in one of the objects around that.

    The result is in a tuple; None if there is no object.
    """
    raw, low, high = (
        page.raw,
        max(page.start, begin - LONGEST_OBJECT),
        min(page.end, host.end + LONGEST_OBJECT),
    )
    first, last = raw.rfind(b"{", low, begin), raw.find(b"}", host.end, high)
    if first < 0 or last < 0:
        return None
    # nearly all objects are
    is_flat = raw.find(b"}", first, begin) < 0 and raw.find(b"{", host.end, last) < 0
    if is_flat and (login := _find_labelled_login(raw[first + 1 : last])):
        return (Login(login, last),)
    inner_left, inner_right = begin, host.end
    pairs = zip(
        find_object_starts(raw, low, begin), find_object_ends(raw, host.end, high), strict=False
    )
    for first, last in islice(pairs, DEEPEST):
        text = raw[first + 1 : inner_left] + b" " + raw[inner_right:last]
        if login := _find_labelled_login(NESTED.sub(b"", text) if b"{" in text else text):
            return (Login(login, last),)
        inner_left, inner_right = first, last + 1
    return None if inner_left == begin else (None,)


def find_object_starts(raw: bytes, low: int, place: int) -> Iterator[int]:
    """Yield the starts of the objects that are open at `place`, the innermost first.

    Searches back to `low`, over at most MOST_BRACES (256) braces.
    """
    depth = 0
    for _ in range(MOST_BRACES):
        opening, closing = raw.rfind(b"{", low, place), raw.rfind(b"}", low, place)
        if opening < 0:
            return
        place = max(opening, closing)
        depth += 1 if closing > opening else -1
        if depth < 0:
            yield place
            depth = 0


def find_object_ends(raw: bytes, place: int, high: int) -> Iterator[int]:
    """Yield the ends of the objects that are open at `place`, the innermost first.

    Searches on to `high`, over at most MOST_BRACES (256) braces.
    """
    depth = 0
    for brace in islice(BRACE.finditer(raw, place, high), MOST_BRACES):
        depth += 1 if brace[0] == b"{" else -1
        if depth < 0:
            yield brace.start()
            depth = 0


def _read_element(page: LoginPage, host: Host, begin: int) -> tuple[Login | None] | None:
    """Return the login in the XML element around an address.

    The result is in a tuple; None if there is no element.
    """
    raw, low, high = (
        page.raw,
        max(page.start, begin - LONGEST_OBJECT),
        min(page.end, host.end + LONGEST_OBJECT),
    )
    if raw.rfind(b"<", low, begin) < 0 or raw.find(b"</", host.end, high) < 0:
        return None
    text_behind = raw[host.end : high]
    ended = text_behind.lower()
    for tag in reversed([*ELEMENT.finditer(raw, low, begin)]):
        close = b"</" + tag[1].lower() + b">"
        end, text_before = ended.find(close), raw[tag.end() : begin]
        if end >= 0 and close not in text_before.lower():
            login = _find_labelled_login(text_before + b" " + text_behind[:end])
            return (Login(login, host.end + end) if login else None,)
    return None


# Blocks


def _read_block(
    page: LoginPage, host: Host, begin: int, *, has_labels: bool = True
) -> Login | None:
    """Return the login below or above an address that has a line of its own.

    Returns None if it has not, or there is none. Without `has_labels`, lines without labels below
    it count only.
    """
    raw = page.raw
    behind = raw[host.end : host.line_end].rstrip(b" \t\"'*`,>|")
    if (not has_labels and begin != host.line) or not PATH.fullmatch(behind):
        return None
    if host.line_end >= page.end and host.line <= page.start:
        return None
    below = raw[host.line_end + 1 : min(host.line_end + LONGEST_BLOCK, page.end)]
    near, border = _near(below.split(b"\n", BLOCK_LINES)[:BLOCK_LINES])
    if has_labels:
        under, is_last = _find_labelled_login(b"\n".join(near)), page.begins_with_login(host.line)
        if under and not is_last:
            return Login(under, host.line_end + _length(near))
        if login := _above(page, host, near, under, is_last=is_last):
            return login
        if border is not None and (login_below := _find_labelled_login(_until_address(below))):
            return None if is_last else Login(login_below, host.line_end)
    return _read_lines(host, begin, near)


def _above(
    page: LoginPage, host: Host, near: list[bytes], under: bytes | None, *, is_last: bool
) -> Login | None:
    """Return the login of labels above an address, else `under` it, else on both sides of it.

    `is_last` means that the address is the last field of its record.
    """
    above = page.raw[max(page.start, host.line - LONGEST_BLOCK) : max(page.start, host.line - 1)]
    over, cut = _near(above.split(b"\n")[: -BLOCK_LINES - 1 : -1]) if above else ([], b"")
    is_first = not (cut and NEXT_ADDRESS.search(cut))
    if (is_first or is_last) and (login := _find_labelled_login(b"\n".join(over))):
        return Login(login, host.line_end)
    login = under or (_find_labelled_login(b"\n".join((*over, *near))) if is_first else None)
    return Login(login, host.line_end + _length(near)) if login else None


def _near(lines: list[bytes]) -> tuple[list[bytes], bytes | None]:
    """Return the lines up to a ruler, an empty line or another address, and that line.

    The latter is None if there is none.
    """
    for number, line in enumerate(lines):
        if RULER.fullmatch(line.strip()) or NEXT_ADDRESS.search(line):
            return lines[:number], line
    return lines, None


def _length(lines: list[bytes]) -> int:
    return sum(map(len, lines)) + len(lines)


def _until_address(below: bytes) -> bytes:
    """Return the first lines below, with empty ones, up to another address."""
    lines = below.split(b"\n", BLOCK_LINES)[: BLOCK_LINES - 2]
    end = next((n for n, line in enumerate(lines) if NEXT_ADDRESS.search(line)), len(lines))
    return b"\n".join(lines[:end])


def _read_lines(host: Host, begin: int, near: list[bytes]) -> Login | None:
    """Return the login of three lines without labels: address, login, password."""
    if len(near) != 2 or begin != host.line:
        return None
    login, password = (line.strip() for line in near)
    return read_pair(login, password, host.line_end + _length(near), is_sure=False)
