"""Lines and blocks of stealer logs: logins at a tenant's own hosts, whoever's they are, and how many rows have that form.

    https://bank.example/login:USER:PASSWORD        bank.example|USER|PASSWORD        USER:PASSWORD:https://bank.example/
    URL: https://bank.example/ ¶ USER: … ¶ PASS: …  {"url":"https://bank.example/","username":"…","password":"…"}

At others' hosts such a row counts where our customer's phone or mail is the login: its form alone says that it was taken from
somebody's own computer. A combo list has no address, and the address of a picture is none to sign in at.

Shapes: the URL holds `:` itself, so a line is read from its right; labels of blocks are those of the published grammar of
lexfo/stealer-parser. Domains gate the search; only their lines are looked at. Logins are compared by a keyed hash, passwords
not at all, and neither leaves this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags, Places
from matcher.columns.bitset import is_word
from matcher.columns.literals import Literals
from matcher.records import Rows
from ullage.vocabulary.fields import Field

LONGEST = 1024
LONGEST_BLOCK = 512
BLOCK_LINES = 6
"""How many bytes of a line before and behind a host, and how many bytes and lines below it, are looked at."""
ATTEMPTS = 4
"""Hosts a line that are looked at: a URL may hold another."""
LONGEST_PATH = 64
"""Bytes behind a host that say whether an address is for administrators."""
LONGEST_HOST = 253
"""Characters of a host name (RFC 1035)."""
AT, DOT, HYPHEN = b"@.-"
HOST = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."
PORT = re.compile(rb":[0-9]{1,5}(?=[/?#|;,\t]|:[^:\n]*:)")
"""A port is one where a path or two more fields follow, else it is a login of digits."""
LOGIN = re.compile(rb"[!#$%&()*+,\-./0-9=?@A-Z\[\]^_a-z|~]{3,128}")
PASSWORD = re.compile(rb"[!-~]{3,128}")
LOGIN_LABEL = re.compile(
    rb"(?i)(?<![a-z0-9])(?:user[ _]?name|user login|user|login|u53rn4m3|account|e-?mail|"
    rb"\xe7\x94\xa8\xe6\x88\xb7\xe5\x90\x8d|\xe8\xb4\xa6\xe5\x8f\xb7)[\"']?[ \t]*[:=][ \t]*[\"']?([^\s\"']{2,128})"
)
"""Among them 用户名 and 账号, as 密码 among those of passwords."""
PASSWORD_LABEL = re.compile(
    rb"(?i)(?<![a-z0-9])(?:user password|password|passwd|pass|p455w0rd|pwd|"
    rb"\xe5\xaf\x86\xe7\xa0\x81)[\"']?[ \t]*[:=][ \t]*[\"']?[^\s\"']"
)
OF_STAFF = re.compile(
    rb"(?:admin|administrator|console|oa|vpn|sslvpn|erp|crm|scm|hr|ehr|mail|webmail|owa|exchange|jump|jumpserver|bastion|git|gitlab"
    rb"|jenkins|jira|confluence|wiki|zabbix|grafana|citrix|rdp|remote|intranet|inner|internal|ops|devops|manage|manager|mgmt|backend"
    rb"|backoffice|boss|cms|callcenter|supplier|vendor)[0-9]*"
)
"""Words in the names of hosts below a tenant's domain where its people and suppliers sign in, and no customer does."""
ADMIN_PATH = re.compile(
    rb"(?i)(?::[0-9]{1,5})?/(?:[a-z0-9_\-]{1,24}/)?(?:wp-admin|admin|administrator|console|backend)(?![a-z0-9])"
)
"""The beginning of an address for administrators."""
ADMINISTRATORS = frozenset((b"root", b"admin", b"administrator", b"sysadmin", b"superadmin"))
NO_PATH = re.compile(rb"[\s\"'<>]")
SCHEME = re.compile(rb"[A-Za-z]{2,12}://$")

LOOKED_AT = 512
"""Rows of a document, spread over it, whose form is looked at; of more it is what these say, as it is of their fields."""
LONGEST_ROW = 4096
"""Bytes of a row that are looked at."""
ADDRESS = re.compile(
    rb"(?i)(?<![a-z0-9@.\-])(?P<scheme>[a-z]{2,12}://(?:[^\s/@|;,]{1,128}@)?)?"
    rb"(?P<host>(?:[a-z0-9_\-]{1,63}\.){1,8}[a-z][a-z0-9_\-]{1,62}|[0-9]{1,3}(?:\.[0-9]{1,3}){3}|localhost)(?![a-z0-9@.\-])"
)
"""An address of any site, app (`android://KEY@com.example.app/`) or device."""
ADDRESS_LABEL = re.compile(
    rb"(?i)(?<![a-z0-9])(?:url|ur1|host|host ?name|origin[ _]?url|\xe7\xbd\x91\xe5\x9d\x80)[\"']?[ \t]*[:=][ \t]*[\"']?$"
)
"""Among them 网址. The address of a person's own page or picture has another one."""
PICTURE = re.compile(rb"(?i)[^\s:|;,]{0,256}\.(?:jpe?g|png|gif|webp|bmp|svg|mp4|pdf|docx?)(?![a-z0-9])")
PERSON = re.compile(rb"(?:\+?86[ \-]?)?1[3-9][0-9]{9}|[^\s@:|;,]{1,64}@[^\s@:|;,]{3,128}")
"""A login by which an address without a scheme is told from a name with a point in it."""


class LoginLines(NamedTuple):
    """Lines or blocks with a login at a tenant, in order of place: document, and tenant (number in `tenants`), each i64[n].

    `key` i64[n] is the same for equal logins in one process, and for others very likely not (SipHash under the process's own
    key): parts of a capture can be counted as one. `staff` bool[n] is whether it is of the tenant's own people.
    """

    tenants: tuple[str, ...]
    document: Places
    tenant: Places
    key: Places
    staff: Flags


class Host(NamedTuple):
    """A host name that is a tenant's: document, line [line, line_end), name [begin, end), end of the document, tenant number."""

    document: int
    line: int
    begin: int
    end: int
    line_end: int
    document_end: int
    tenant: int


class LoginFinder:
    """Finds logins at the domains of tenants: `domains` maps a domain, without www, to its tenant.

    `staff` are a tenant's hosts where its people sign in, and, with an @ before it, mail domains that are theirs. Addresses of
    the tenant's own domains are its people's too, as are hosts and paths that are named so, such as `vpn` and `/admin`.
    """

    def __init__(self, domains: Mapping[str, str], staff: Mapping[str, Sequence[str]] | None = None) -> None:
        self._domains = [_named(domain) for domain in domains]
        self._hosts_of_staff: dict[str, list[bytes]] = {}
        self._mails_of_staff: dict[str, list[bytes]] = {}
        for domain, tenant in domains.items():
            self._mails_of_staff.setdefault(tenant, []).append(_named(domain))
        for tenant, named in (staff or {}).items():
            for name in named:
                of = self._mails_of_staff if name.startswith("@") else self._hosts_of_staff
                of.setdefault(tenant, []).append(_named(name))
            domains = {name: tenant for name in named if not name.startswith("@")} | dict(domains)
        self._tenants = tuple(sorted(set(domains.values())))
        words = [_named(domain) for domain in domains]
        self._length = np.array([len(word) for word in words], np.int64)
        self._tenant = np.array([self._tenants.index(tenant) for tenant in domains.values()], np.int64)
        self._literals = Literals(words)

    def find(self, batch: Batch) -> LoginLines:
        """Every line or block with a login, one a line, in order of place."""
        records: list[tuple[int, int, int, int]] = []
        taken = 0
        for host, raw in self._hosts(batch):
            found = _login(raw, host) if host.line >= taken else None
            if found:
                login, taken = found
                name, path = raw[host.begin : host.end].lower(), raw[host.end : min(host.end + LONGEST_PATH, host.line_end)]
                is_staff = self._is_staff(self._tenants[host.tenant], name, path, login.lower())
                records.append((host.document, host.tenant, hash(login.lower()), is_staff))
        document, tenant, key, staff = np.array(records, np.int64).reshape(-1, 4).T
        return LoginLines(self._tenants, document, tenant, key, staff > 0)

    def _is_staff(self, tenant: str, host: bytes, path: bytes, login: bytes) -> bool:
        """Whether a login is of the tenant's own people, by where it is and by its address."""
        _, at, mail = login.rpartition(b"@")
        if any(_is_below(host, name) for name in self._hosts_of_staff.get(tenant, ())):
            return True
        domain = max((domain for domain in self._domains if _is_below(host, domain)), key=len, default=host)
        if any(map(OF_STAFF.fullmatch, re.split(rb"[.\-]", host[: -len(domain)]))):
            return True
        if login in ADMINISTRATORS or ADMIN_PATH.match(path):
            return True
        return bool(at) and any(_is_below(mail, name) for name in self._mails_of_staff.get(tenant, ()))

    def _hosts(self, batch: Batch) -> Iterator[tuple[Host, bytes]]:
        """Hosts that are a tenant's domain or below it, the first few of each line, with the buffer's bytes."""
        number, end = self._literals.find(batch.data)
        if not len(end):
            return
        start = end - self._length[number]
        order = np.lexsort((start, end))
        order = order[_stands_alone(batch.data, start[order], end[order])]
        order = order[np.diff(end[order], prepend=-1) > 0]  # of two domains that end together the longer is meant
        start, end, tenant = start[order], end[order], self._tenant[number[order]]
        lines, documents = batch.lines(start), batch.documents(start)
        line_end = batch.line_starts[lines + 1] - 1
        few = line_end - end <= LONGEST
        few[ATTEMPTS:] &= lines[ATTEMPTS:] != lines[:-ATTEMPTS]
        columns = (documents, batch.line_starts[lines], start, end, line_end, batch.ends[documents], tenant)
        raw = batch.data.tobytes()
        for host in map(Host._make, zip(*(c[few].tolist() for c in columns), strict=True)):
            whole = _with_subdomains(raw, host) if raw[host.begin - 1] == DOT else host
            if raw[whole.begin - 1] != AT:
                yield whole, raw


def stealer_rows(rows: Rows, document: int) -> int:
    """How many rows of a document are in the form of a stealer log, told from some of them where there are many."""
    layouts = rows.layouts(document)
    if not any(Field.PASSWORD in layout.fields for layout, _ in layouts.counted()):
        return 0
    own = rows.of_document(document)
    looked = own[:: len(own) // LOOKED_AT | 1]  # odd, so that rows of two kinds by turns are both looked at
    number, groups = rows.groups(np.array(looked))
    has_password = [Field.PASSWORD in groups[own] for own in number.tolist()]
    found = sum(has and _is_of_stealer(rows.text(row)[:LONGEST_ROW]) for row, has in zip(looked, has_password, strict=True))
    return round(found * len(own) / len(looked))


def _is_of_stealer(row: bytes) -> bool:
    """Whether a row is an address with a login and a password beside it."""
    raw = b"\n" + row + b"\n"
    for found in islice(ADDRESS.finditer(raw), ATTEMPTS):
        line, (begin, end) = raw.rfind(b"\n", 0, found.start()) + 1, found.span("host")
        host = Host(0, line, begin, end, raw.find(b"\n", end), len(raw) - 1, 0)
        before = raw[line : found.start()]
        is_first = not before.strip(b" \t\"'") or ADDRESS_LABEL.search(before)
        if PICTURE.match(raw, end) or not (is_first or (found["scheme"] and _ahead(raw[line:begin]))):
            continue
        login = _login(raw, host)
        if login and (found["scheme"] or PERSON.fullmatch(login[0])):
            return True
    return False


def _named(domain: str) -> bytes:
    """A domain as it is looked for."""
    return domain.strip("@. ").lower().encode()


def _is_below(name: bytes, domain: bytes) -> bool:
    """Whether a host name is that domain or below it."""
    return name == domain or name.endswith(b"." + domain)


def _stands_alone(data: Bytes, start: Places, end: Places) -> Flags:
    """Which of [start, end) are no part of a longer label, nor above one: `mybank.example` and `bank.example.com` are others."""
    before, behind = data[start - 1], data[end]
    longer = is_word(before) | (before == HYPHEN) | is_word(behind) | (behind == HYPHEN)
    alone: Flags = ~(longer | (behind == DOT) & is_word(data[end + 1]) | (before == AT))
    return alone


def _with_subdomains(raw: bytes, host: Host) -> Host:
    """`host` from where its name begins."""
    before = raw[max(host.begin - LONGEST_HOST, 0) : host.begin]
    return host._replace(begin=host.begin - len(before) + len(before.rstrip(HOST)))


def _login(raw: bytes, host: Host) -> tuple[bytes, int] | None:
    """The login beside `host`, and where its line or block ends; None where no password stands there."""
    tail = raw[host.end : host.line_end].rstrip()
    port = PORT.match(tail)
    rest = tail[port.end() :] if port else tail
    before = raw[max(host.line, host.begin - LONGEST) : host.begin]
    login = _behind(rest, has_scheme=before.endswith(b"://")) or _ahead(before)
    if login:
        return login, host.line_end
    if b'"' in rest:
        return _of_object(before + rest, host.line_end)
    return _of_block(raw, host) if b" " not in rest else None


def _behind(tail: bytes, *, has_scheme: bool) -> bytes | None:
    """The login in what follows the host on a line: `/path:login:password`, `|login|password` and the like."""
    for separator in (b"|", b";", b"\t", b",") if has_scheme else (b"|", b";"):
        if separator in tail:
            fields = tail.split(separator, 3)
            return _valid(*fields[:3]) if len(fields) > 2 else None
    if tail.count(b":") < 2:
        return None
    return _valid(*tail.rsplit(b":", 2)) or _valid(*tail.split(b":", 2))  # a URL may hold a colon, and so may a password


def _ahead(before: bytes) -> bytes | None:
    """The login in what precedes the URL on a line: `login:password:https://`."""
    if before.count(b":") < 2:
        return None
    fields = SCHEME.sub(b"", before).strip().split(b":")
    return _valid(b"", fields[0], fields[1]) if len(fields) == 3 and not fields[2] else None


def _valid(path: bytes, login: bytes, password: bytes) -> bytes | None:
    """The login, if what stands before and behind it may be the rest of a URL and a password."""
    path_holds = not path or (path[:1] in b"/?#" and not NO_PATH.search(path))
    return login if path_holds and LOGIN.fullmatch(login) and PASSWORD.fullmatch(password.strip()) else None


def _of_object(line: bytes, end: int) -> tuple[bytes, int] | None:
    """The login of an object on one line, by its label, beside a password."""
    login = LOGIN_LABEL.search(line)
    return (login.group(1).rstrip(b",;}"), end) if login and PASSWORD_LABEL.search(line) else None


def _of_block(raw: bytes, host: Host) -> tuple[bytes, int] | None:
    """The login on a line below the URL, by its label, and the end of the password's line below that."""
    below = raw[host.line_end : min(host.line_end + LONGEST_BLOCK, host.document_end)]
    if b":" not in below and b"=" not in below:
        return None
    block = b"\n".join(below.split(b"\n", BLOCK_LINES)[:BLOCK_LINES]).partition(b"://")[0]
    login = LOGIN_LABEL.search(block)
    password = PASSWORD_LABEL.search(block, login.end()) if login else None
    if login is None or password is None:
        return None
    end = below.find(b"\n", password.end())
    return login.group(1), host.line_end + (end if end >= 0 else len(below))
