"""Find a tenant's own sites: host names at or below its domains, and its app packages.

A site is named by a host that stands alone: `mybank.example`, `bank.example.com` and the domain of
a mail address belong to others. Inside another site's address, behind its host or before its `@`,
our name names nothing: `https://other.example/?to=bank.example`. An app is named by its package
behind the certificate's digest, `android://DIGEST@com.bank.app/`: the package is one of the
configured domains, or begins with one of them reversed. Of each site it is also decided whether the
tenant's staff sign in there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags, Places
from matcher.columns.bitset import is_word
from matcher.columns.literals import Literals

LONGEST = 1024
"""Bytes of a line before and behind a host that are read."""
FAILURES = 256
"""Consecutive hosts of one line without a result, after which the rest of the line is left out."""
LONGEST_PATH = 64
"""Bytes behind a host that show whether an address is for administrators."""
LONGEST_HOST = 253
"""Characters of a host name (RFC 1035)."""
LONGEST_SCHEME = 160
MOST_NAMES = 1024
"""Cached hosts, and cached beginnings of lines with a host."""
LONGEST_KEPT = 96
"""Bytes of such a beginning."""
AT, DOT, HYPHEN, COLON = b"@.-:"
IN_HOST = np.isin(
    np.arange(256),
    np.frombuffer(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.", np.uint8),
)
"""Whether a byte may be part of a host name."""
SCHEME = re.compile(rb"(?:[A-Za-z][A-Za-z0-9+]{1,15}:)?//(?:[!-.0-9:-?A-~]{1,128}@)?$")
"""The beginning of an address, with its user information."""
IN_ADDRESS = bytes(set(range(33, 127)) - set(b"\"'<>`"))
"""The bytes of an address, and of a line without spaces."""
USER_INFORMATION = re.compile(
    rb"(?::[^\s/?#@]{0,128})?@[A-Za-z0-9.\-]{1,253}(?::[0-9]{1,5})?[/?#]|:[0-9]{1,5}@"
)
"""Text behind a name that looks like a host and is a user name at another host."""
NO_NAME = re.compile(rb"[/?#:@&=]")
PARTS = re.compile(rb"[|,;(\[{]|-{3,}")
NAMED = re.compile(
    rb"(?i)(?:[a-z0-9_\-]{1,63}\.){1,8}(?:com|cn|net|org|io|top|xyz|cc|hk|tw|mo|sg|my"
    rb"|jp|kr|us|uk|eu|de|fr|ru|in|br|au|ca|ch|at|nl|it|es|pl|se"
    rb"|gov|edu|mil|info|biz|vip|app|dev|me|tv|co|example|test)(?![a-z0-9.\-@])"
    rb"|(?:[a-z0-9_\-]{1,63}\.){1,8}[a-z]{2,24}(?::[0-9]{1,5})?/"
)
"""The beginning of a site's name, recognised by its top-level domain or a path behind it.

`li.na` is a login.
"""
PACKAGE = re.compile(rb"(?:\.[A-Za-z0-9_]{1,63}){1,8}")
OF_STAFF = re.compile(
    rb"(?:admin|administrator|console|oa|vpn|sslvpn|erp|crm|scm|hr|ehr|mail|webmail|owa|exchange"
    rb"|jump|jumpserver|bastion|git|gitlab|jenkins|jira|confluence|wiki|zabbix|grafana|citrix|rdp"
    rb"|remote|intranet|inner|internal|ops|devops|manage|manager|mgmt|backend"
    rb"|backoffice|boss|cms|callcenter|supplier|vendor)[0-9]*"
)
"""Words in host names below a tenant's domain where its staff and suppliers sign in.

No customer signs in there.
"""
ADMIN_PATH = re.compile(
    rb"(?i)(?::[0-9]{1,5})?/(?:[a-z0-9_\-]{1,24}/)?"
    rb"(?:wp-admin|admin|administrator|console|backend)(?![a-z0-9])"
)
"""The beginning of an address for administrators."""
ADMINISTRATORS = frozenset((b"root", b"admin", b"administrator", b"sysadmin", b"superadmin"))


class Host(NamedTuple):
    """A host name of a tenant, and where it is.

    It has the document, the line [line, line_end), the name [begin, end) and the tenant's number.
    If the line is long, [line, line_end) is the part around the host; `number` is that of the whole
    line.
    """

    document: int
    document_start: int
    document_end: int
    line: int
    begin: int
    end: int
    line_end: int
    tenant: int = 0
    number: int = 0


class Hosts(NamedTuple):
    """Every host of a batch that is a tenant's, in order of place.

    `raw` are the bytes of the batch; empty if there is no host.
    """

    raw: bytes
    each: tuple[Host, ...]


class OwnSite(NamedTuple):
    """The address of a host, which begins at `begin`.

    `before` is the text in one piece before it, such as `login:password:`. `name` is the host in
    lower case, without www; `is_staff` is whether a tenant's staff sign in there.
    """

    begin: int
    before: bytes
    has_scheme: bool
    is_app: bool
    name: bytes = b""
    is_staff: bool = False


class OwnSites:
    """A finder of the sites of tenants.

    `domains` maps a domain, without www, or an app's package to its tenant. `staff` lists each
    tenant's hosts where its staff sign in and, with an @ before it, mail domains of its staff. Mail
    addresses at the tenant's own domains belong to staff too, as do hosts and paths with certain
    names, such as `vpn` and `/admin`.
    """

    def __init__(
        self, domains: Mapping[str, str], staff: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._domains = [_normalize(domain) for domain in domains]
        self._hosts_of_staff: dict[str, list[bytes]] = {}
        self._mails_of_staff: dict[str, list[bytes]] = {}
        for domain, tenant in domains.items():
            self._mails_of_staff.setdefault(tenant, []).append(_normalize(domain))
        for tenant, named in (staff or {}).items():
            for name in named:
                names_by_tenant = (
                    self._mails_of_staff if name.startswith("@") else self._hosts_of_staff
                )
                names_by_tenant.setdefault(tenant, []).append(_normalize(name))
            domains = {name: tenant for name in named if not name.startswith("@")} | dict(domains)
        self.tenants = tuple(sorted(set(domains.values())))
        tenant_by_name = {_normalize(domain): tenant for domain, tenant in domains.items()}
        words = {
            _reverse_labels(word): tenant for word, tenant in tenant_by_name.items()
        } | tenant_by_name
        self._names = tuple(tenant_by_name)
        self._domains_of_packages = tuple(map(_reverse_labels, words))
        self._length = np.array([len(word) for word in words], np.int64)
        self._tenant = np.array([self.tenants.index(tenant) for tenant in words.values()], np.int64)
        self._literals = Literals(list(words))
        # a list of logins has few hosts
        self._is_host_of_staff = lru_cache(MOST_NAMES)(self._names_staff)
        self._is_mail_of_staff = lru_cache(MOST_NAMES)(self._names_people)

    def hosts(self, batch: Batch) -> Hosts:
        """Return the host names and app packages in a batch that belong to a tenant, by position.

        Of two domains that match at the same place, the longer one counts.
        """
        number, end = self._literals.find(batch.data)
        if not len(end):
            return Hosts(b"", ())
        raw = batch.data.tobytes()
        start = end - self._length[number]
        order = np.lexsort((start, end))
        order = order[_stands_alone(batch.data, start[order], end[order])]
        # of two domains with the same end, the longer one counts
        order = order[np.diff(end[order], prepend=-1) > 0]
        start, end, tenant = start[order], end[order], self._tenant[number[order]]
        lines, documents = batch.lines(start), batch.documents(start)
        line = np.maximum(batch.line_starts[lines], start - LONGEST)
        line_end = np.minimum(batch.line_starts[lines + 1] - 1, end + LONGEST)
        begin, end = _whole(batch.data, raw, start, end, line_end)
        columns = (
            documents,
            batch.starts[documents],
            batch.ends[documents],
            line,
            begin,
            end,
            line_end,
            tenant,
            lines,
        )
        return Hosts(raw, tuple(map(Host._make, zip(*(c.tolist() for c in columns), strict=True))))

    def site(self, before: bytes, name: bytes, tenant: int) -> OwnSite | None:
        """Return the address whose host is `name`, preceded by the text `before`.

        Its `begin` is counted back from the host. None if the host is part of another site's
        address or of a mail address.
        """
        site = _find_beginning(before)
        if site is None or not self._names_site(name.lower(), is_app=site.is_app):
            return None
        return site._replace(
            name=name.lower().removeprefix(b"www."), is_staff=self.is_of_staff(tenant, name)
        )

    def is_of_staff(self, tenant: int, name: bytes) -> bool:
        """Return whether the host `name` is one that the tenant's employees use."""
        return self._is_host_of_staff(tenant, name.lower())

    def is_login_of_staff(self, tenant: int, login: bytes) -> bool:
        """Return whether a login, in lower case, belongs to the tenant's staff."""
        _, at, mail = login.rpartition(b"@")
        return login in ADMINISTRATORS or (at != b"" and self._is_mail_of_staff(tenant, mail))

    def _names_people(self, tenant: int, domain: bytes) -> bool:
        """Return whether a mail domain belongs to the tenant's staff."""
        return any(
            _is_below(domain, staff_domain)
            for staff_domain in self._mails_of_staff.get(self.tenants[tenant], ())
        )

    def _names_site(self, name: bytes, *, is_app: bool) -> bool:
        """Return whether a host name or an app's package is a tenant's site."""
        if is_app:
            name, domains = _reverse_labels(name), self._domains_of_packages
        else:
            domains = self._names
        return any(_is_below(name, domain) for domain in domains)

    def _names_staff(self, tenant: int, name: bytes) -> bool:
        """Return whether a host is one of the tenant's staff, by its name."""
        if any(
            _is_below(name, staff_host)
            for staff_host in self._hosts_of_staff.get(self.tenants[tenant], ())
        ):
            return True
        domain = max(
            (domain for domain in self._domains if _is_below(name, domain)), key=len, default=name
        )
        return any(map(OF_STAFF.fullmatch, re.split(rb"[.\-]", name[: -len(domain)])))


class Sites:
    """The addresses of one batch's hosts.

    Most hosts of a list follow the same text, so recent results are cached.
    """

    def __init__(self, sites: OwnSites, raw: bytes) -> None:
        self._sites, self._raw = sites, raw
        self._caches: list[dict[bytes, OwnSite | None]] = [{} for _ in sites.tenants]

    def find(self, host: Host) -> OwnSite | None:
        """Return the address of `host`; None if it is part of another site's or a mail address.

        Results are cached by the text of the line up to the host.
        """
        raw, cache = self._raw, self._caches[host.tenant]
        text = raw[host.line - 1 : host.end]
        if text in cache:
            return _locate(raw, host, cache[text])
        site = self._sites.site(
            raw[host.line - 1 : host.begin], raw[host.begin : host.end], host.tenant
        )
        if len(text) <= LONGEST_KEPT:
            if len(cache) >= MOST_NAMES:
                cache.clear()
            cache[text] = site
        return _locate(raw, host, site)


def site_of(raw: bytes, host: Host) -> OwnSite | None:
    """Return the address whose host is `host`, a tenant's or not.

    Returns None if the host is part of another address or of a mail address.
    """
    return _locate(raw, host, _find_beginning(raw[host.line - 1 : host.begin]))


def is_for_administrators(raw: bytes, host: Host) -> bool:
    """Return whether the path behind `host` leads to pages for administrators, such as `/admin`."""
    return (
        raw[host.end] in b":/"
        and ADMIN_PATH.match(raw, host.end, min(host.end + LONGEST_PATH, host.line_end)) is not None
    )


def _locate(raw: bytes, host: Host, site: OwnSite | None) -> OwnSite | None:
    """Return `site` with `begin` in the buffer instead of counted back from the host.

    Returns None if the text behind the host shows that it is a user name at another host.
    """
    if site is None or raw[host.end] == AT:
        return None
    may_be_user = site.has_scheme and raw[host.end] == COLON
    if may_be_user and USER_INFORMATION.match(
        raw, host.end, min(host.end + LONGEST_SCHEME, host.line_end)
    ):
        return None
    return OwnSite(host.begin + site.begin, *site[1:])


def _find_beginning(before: bytes) -> OwnSite | None:
    """Return the address that begins in `before`, the text before its host, or None.

    `before` starts with the byte before the line. `begin` is counted back from the host. The result
    is None if the address is another site's.
    """
    scheme = SCHEME.search(before, max(1, len(before) - LONGEST_SCHEME))
    begin = scheme.start() if scheme else len(before)
    if scheme and NAMED.match(scheme[0].partition(b"//")[2]):
        # `https://other.example:li.na@bank.example:…` is a mail address at another's site
        return None
    line = before[1:begin]
    piece = line[len(line.rstrip(IN_ADDRESS)) :]
    if before[begin - 1] == AT or not _can_precede(piece, has_scheme=scheme is not None):
        return None
    is_app = scheme is not None and scheme[0][:8].lower() == b"android:"
    return OwnSite(begin - len(before), PARTS.split(piece)[-1], scheme is not None, is_app)


def _can_precede(piece: bytes, *, has_scheme: bool) -> bool:
    """Return whether an address may begin behind `piece`, the text before it without a space.

    It must not continue another site's address. Directly before an address with a scheme, a site's
    name may be a cell of its own.
    """
    *parts, last = PARTS.split(piece[-LONGEST_SCHEME:])
    name = parts.pop() if parts and has_scheme and not NO_NAME.search(parts[-1]) else b""
    first = piece if parts else b""
    if b"://" in piece or NAMED.match(last) or NAMED.match(first):
        return False
    if last[-1:] == b"=":
        return not any(sign in last for sign in (b"/", b"?", b"&"))
    return bool(name) or not last or last[-1:] in b":*-" or piece[-1:] in b")]}|"


def looks_named(text: bytes) -> bool:
    """Return whether a text is an address or a site's name.

    >>> looks_named(b"https://a.b/"), looks_named(b"shop.com")
    (True, True)
    >>> looks_named(b"li.na"), looks_named(b"li.na@shop.com")
    (False, False)
    """
    return b"://" in text[:24] or NAMED.match(text) is not None


def _normalize(domain: str) -> bytes:
    """Return a domain in the form in which it is searched."""
    return domain.strip("@. ").lower().encode()


def _reverse_labels(name: bytes) -> bytes:
    """Return the beginning of the packages of a domain's owner, or the domain of a package."""
    return b".".join(reversed(name.split(b".")))


def _is_below(name: bytes, domain: bytes) -> bool:
    """Return whether a host name is that domain or below it."""
    return name == domain or name.endswith(b"." + domain)


def _stands_alone(data: Bytes, start: Places, end: Places) -> Flags:
    """Return whether each [start, end) is a whole name.

    It is not in `mybank.example` and `bank.example.com`. Hyphens in a row are no part of a label,
    and an app's package continues behind its owner's name.
    """
    before, behind = data[start - 1], data[end]
    hyphen = (before == HYPHEN) & (data[start - 2] != HYPHEN) | (behind == HYPHEN) & (
        data[end + 1] != HYPHEN
    )
    longer = is_word(before) | is_word(behind) | hyphen
    alone: Flags = ~(longer | (behind == DOT) & is_word(data[end + 1]) & (before != AT))
    return alone


def _whole(
    data: Bytes, raw: bytes, start: Places, end: Places, line_end: Places
) -> tuple[Places, Places]:
    """Return where names that extend to the left of `start` begin, and where app packages end.

    Names are followed for at most LONGEST_HOST (253) characters.
    """
    begin, end = start.copy(), end.copy()
    longer = np.flatnonzero(data[start - 1] == DOT)
    for _ in range(LONGEST_HOST):
        longer = longer[IN_HOST[data[begin[longer] - 1]]]
        if not len(longer):
            break
        begin[longer] -= 1
    for number in np.flatnonzero((data[start - 1] == AT) & (data[end] == DOT)).tolist():
        if behind := PACKAGE.match(raw, int(end[number]), int(line_end[number])):
            end[number] = behind.end()
    return begin, end
