"""Logins at a tenant's own sites, whoever's they are, and how many rows have the form of a stealer log.

At others' hosts such a row counts where our customer's phone or mail is the login: its form alone says that it was taken from
somebody's own computer. A combo list has no address, and the address of a picture is none to sign in at.

Domains gate the search; only what stands around them is looked at (`login_forms`). Logins are compared by a keyed hash of host
and login, so that an account is counted once on however many pages; passwords not at all, and neither leaves this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Flags, Places
from matcher.records import RowTable
from matcher.records.cookies import CookieFinder
from matcher.records.login_fields import PERSON, Login
from matcher.records.login_forms import login_beside
from matcher.records.login_page import LoginPage
from matcher.records.own_sites import FAILURES, Host, Hosts, OwnSite, OwnSites, Sites, is_for_administrators, looks_named, site_of
from ullage.vocabulary.fields import FieldLabel

ATTEMPTS = 4
"""Addresses of a row that are looked at."""
LOOKED_AT = 512
"""Rows of a document, spread over it, whose form is looked at; of more it is what these say, as it is of their fields."""
LONGEST_ROW = 4096
"""Bytes of a row that are looked at."""
ADDRESS = re.compile(
    rb"(?i)(?<![a-z0-9@.\-])(?P<scheme>[a-z]{2,12}://(?:[^\s/@|;,]{1,128}@)?)?"
    rb"(?P<host>(?:[a-z0-9_\-]{1,63}\.){1,8}[a-z][a-z0-9_\-]{1,62}|[0-9]{1,3}(?:\.[0-9]{1,3}){3}|localhost)(?![a-z0-9@.\-])"
)
"""An address of any site, app (`android://KEY@com.example.app/`) or device."""
PICTURE = re.compile(rb"(?i)[^\s:|;,]{0,256}\.(?:jpe?g|png|gif|webp|bmp|svg|mp4|pdf|docx?)(?![a-z0-9])")


class LoginLines(NamedTuple):
    """Lines or records with a login at a tenant, in order of place: document, and tenant (number in `tenants`), each i64[n].

    `key` i64[n] is the same for equal logins at one host in one process, and for others very likely not (SipHash under the
    process's own key): parts of a capture can be counted as one. `staff` bool[n] is whether it is of the tenant's own people.
    """

    tenants: tuple[str, ...]
    document: Places
    tenant: Places
    key: Places
    staff: Flags


class LoginFinder:
    """Finds logins at the sites of tenants; see `OwnSites` for what it is given."""

    def __init__(self, domains: Mapping[str, str], staff: Mapping[str, Sequence[str]] | None = None) -> None:
        self.sites = OwnSites(domains, staff)
        """Finds the hosts beside which logins and cookies are looked for."""
        self.cookies = CookieFinder(self.sites)
        """Finds cookies of the same sites."""

    def find(self, hosts: Hosts) -> LoginLines:
        """Every record with a login beside `hosts`, in order of place."""
        raw, records, sites = hosts.raw, list[tuple[int, ...]](), Sites(self.sites, hosts.raw)
        page, taken, line, failed = LoginPage(raw, 0, 0), 0, -1, 0
        for host in hosts.each:
            if host.end <= taken:
                continue
            line, failed = host.number, failed if host.number == line else 0
            if failed >= FAILURES:
                continue
            if page.end != host.document_end:
                page = LoginPage(raw, host.document_start, host.document_end)
            site = sites.of(host)
            login = login_beside(page, host, site) if site else None
            failed = 0 if login else failed + 1
            if site and login:
                taken = login.end
                is_staff = site.is_staff or is_for_administrators(raw, host)
                key = self._key(host, site, login.login, is_staff=is_staff)
                other = self._key(host, site, login.other, is_staff=is_staff) if login.other else key
                records.append((host.document, host.tenant, *key, *other, login.order))
        return _decided(self.sites.tenants, records)

    def _key(self, host: Host, site: OwnSite, login: bytes, *, is_staff: bool) -> tuple[int, int]:
        """What tells a login from others, and whether it is of the tenant's people, as all are at a site that `is_staff`."""
        small = login.lower()
        return hash((site.name, small)), is_staff or self.sites.is_login_of_staff(host.tenant, small)


def _decided(tenants: tuple[str, ...], records: list[tuple[int, ...]]) -> LoginLines:
    """Logins of which the order is known; where a record says nothing of it, the others of its document do."""
    document, tenant, key, staff, other, other_staff, order = np.array(records, np.int64).reshape(-1, 7).T
    votes = np.bincount(document, np.asarray(order, np.float64)) if len(document) else np.zeros(0)
    swapped = (order == 0) & (votes[document] < 0)
    key, staff = np.where(swapped, other, key), np.where(swapped, other_staff, staff)
    return LoginLines(tenants, document, tenant, key, staff > 0)


def stealer_rows(rows: RowTable, document: int) -> int:
    """How many rows of a document are in the form of a stealer log, told from some of them where there are many."""
    layouts = rows.layouts(document)
    if not any(FieldLabel.PASSWORD in layout.fields for layout, _ in layouts.counted()):
        return 0
    own = rows.of_document(document)
    looked = own[:: len(own) // LOOKED_AT | 1]  # odd, so that rows of two kinds by turns are both looked at
    number, groups = rows.groups(np.array(looked))
    has_password = [FieldLabel.PASSWORD in groups[own] for own in number.tolist()]
    found = sum(has and _is_of_stealer(rows.text(row)[:LONGEST_ROW]) for row, has in zip(looked, has_password, strict=True))
    return round(found * len(own) / len(looked))


def _is_of_stealer(row: bytes) -> bool:
    """Whether a row is an address with a login and a password beside it."""
    raw = b"\n" + row + b"\n"
    page = LoginPage(raw, 1, len(raw) - 1)
    for found in islice(ADDRESS.finditer(raw), ATTEMPTS):
        line, (begin, end) = raw.rfind(b"\n", 0, found.start()) + 1, found.span("host")
        host = Host(0, 1, len(raw) - 1, line, begin, end, raw.find(b"\n", end))
        site = site_of(raw, host)
        if site is None or PICTURE.match(raw, end) or not (site.has_scheme or looks_named(raw[begin:end])):
            continue
        login = login_beside(page, host, site)
        if login and (site.has_scheme or _is_person(login)):
            return True
    return False


def _is_person(login: Login) -> bool:
    return PERSON.fullmatch(login.login) is not None
