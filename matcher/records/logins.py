"""Find logins at a tenant's own sites, and count the rows that have the form of a stealer log.

At other hosts, a login counts if our customer's phone or mail address is the login: the form alone
shows that it was taken from a person's own computer. A combo list has no address, and a picture's
address is not a page to sign in at. Domains gate the search; only the text around them is read
(`login_forms`). Logins are compared by a keyed hash of host and login, so that an account on
several pages is counted one time. Passwords are not compared, and neither leaves this module.

Matches in a stealer's log of one device come from that device, not from us. Malware families copy
each other and resellers put their own marks on logs, so a log is recognised by its files: a system
file with the labels of one, filled-in forms, or files of two sorts in one folder. Documents and
tables that were stolen with it belong to people of whom the log shows nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Flags, Places
from matcher.records import RowTable
from matcher.records.cookies import CookieFinder
from matcher.records.login_forms import PERSON, login_beside
from matcher.records.login_page import LoginPage
from matcher.records.own_sites import (
    FAILURES,
    Host,
    Hosts,
    OwnSite,
    OwnSites,
    Sites,
    is_for_administrators,
    looks_named,
    site_of,
)
from ullage.vocabulary.fields import FieldLabel

ATTEMPTS = 4
"""Addresses of a row that are read."""
LOOKED_AT = 512
"""Rows of a document, spread over it, whose form is examined.

The result is scaled up to longer documents, as that of their fields is.
"""
LONGEST_ROW = 4096
"""Bytes of a row that are read."""
ADDRESS = re.compile(
    rb"(?i)(?<![a-z0-9@.\-])(?P<scheme>[a-z]{2,12}://(?:[^\s/@|;,]{1,128}@)?)?"
    rb"(?P<host>(?:[a-z0-9_\-]{1,63}\.){1,8}[a-z][a-z0-9_\-]{1,62}"
    rb"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}|localhost)(?![a-z0-9@.\-])"
)
"""An address of any site, app (`android://KEY@com.example.app/`) or device."""
PICTURE = re.compile(
    rb"(?i)[^\s:|;,]{0,256}\.(?:jpe?g|png|gif|webp|bmp|svg|mp4|pdf|docx?)(?![a-z0-9])"
)


class LoginLines(NamedTuple):
    """Lines or records with a login at a tenant, in order of place.

    `document` and `tenant` (number in `tenants`) are i64[n]. `key` (i64[n]) is equal for equal
    logins at one host in one process, and very likely different for others (SipHash under the
    process's own key), so that the parts of a capture are counted as one. `staff` (bool[n]) is
    whether it belongs to the tenant's staff.
    """

    tenants: tuple[str, ...]
    document: Places
    tenant: Places
    key: Places
    staff: Flags


class LoginFinder:
    """A finder of logins at the sites of tenants; its arguments are those of `OwnSites`."""

    def __init__(
        self, domains: Mapping[str, str], staff: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.sites = OwnSites(domains, staff)
        """Finds the hosts beside which logins and cookies are looked for."""
        self.cookies = CookieFinder(self.sites)
        """Finds cookies of the same sites."""

    def find(self, hosts: Hosts) -> LoginLines:
        """Return every login that is written beside one of `hosts`, in order of place.

        `hosts` are a tenant's own sites. Logins are keyed numbers; no login or password is kept.
        After many hosts in a row without a login, the rest of a line is skipped.
        """
        raw, records, sites = hosts.raw, list[tuple[int, ...]](), Sites(self.sites, hosts.raw)
        page, used_end, line, failed = LoginPage(raw, 0, 0), 0, -1, 0
        for host in hosts.each:
            if host.end <= used_end:
                continue
            line, failed = host.number, failed if host.number == line else 0
            if failed >= FAILURES:
                continue
            if page.end != host.document_end:
                page = LoginPage(raw, host.document_start, host.document_end)
            site = sites.find(host)
            login = login_beside(page, host, site) if site else None
            failed = 0 if login else failed + 1
            if site and login:
                used_end = login.end
                is_staff = site.is_staff or is_for_administrators(raw, host)
                key = self._key(host, site, login.login, is_staff=is_staff)
                alternative = (
                    self._key(host, site, login.alternative, is_staff=is_staff)
                    if login.alternative
                    else key
                )
                records.append((host.document, host.tenant, *key, *alternative, login.order))
        return _resolve_order(self.sites.tenants, records)

    def _key(self, host: Host, site: OwnSite, login: bytes, *, is_staff: bool) -> tuple[int, int]:
        """Return the hash of a login, and whether it belongs to the tenant's staff.

        At a host with `is_staff`, all logins do.
        """
        small = login.lower()
        return hash((site.name, small)), is_staff or self.sites.is_login_of_staff(
            host.tenant, small
        )


def _resolve_order(tenants: tuple[str, ...], records: list[tuple[int, ...]]) -> LoginLines:
    """Return the logins with the order of login and password resolved.

    Where a record does not show the order, that of the remaining records of its document is used.
    """
    document, tenant, key, staff, alternative, alternative_staff, order = (
        np.array(records, np.int64).reshape(-1, 7).T
    )
    votes = np.bincount(document, np.asarray(order, np.float64)) if len(document) else np.zeros(0)
    swapped = (order == 0) & (votes[document] < 0)
    key, staff = np.where(swapped, alternative, key), np.where(swapped, alternative_staff, staff)
    return LoginLines(tenants, document, tenant, key, staff > 0)


def count_stealer_rows(rows: RowTable, document: int) -> int:
    """Count the rows of a document that have the form of a stealer log.

    In a long document the number is estimated from some of the rows.
    """
    layouts = rows.layouts(document)
    if not any(FieldLabel.PASSWORD in layout.fields for layout, _ in layouts.iter_counts()):
        return 0
    numbers = rows.find_rows(document)
    # odd, so that rows of two alternating kinds are both read
    sampled = numbers[:: len(numbers) // LOOKED_AT | 1]
    number, groups = rows.groups(np.array(sampled))
    has_password = [FieldLabel.PASSWORD in groups[group] for group in number.tolist()]
    count = sum(
        has and _is_of_stealer(rows.text(row)[:LONGEST_ROW])
        for row, has in zip(sampled, has_password, strict=True)
    )
    return round(count * len(numbers) / len(sampled))


def _is_of_stealer(row: bytes) -> bool:
    """Return whether a row is an address with a login and a password beside it.

    An address without a scheme counts only with a login that looks like a person's. At most
    ATTEMPTS (4) addresses of the row are tried.
    """
    raw = b"\n" + row + b"\n"
    page = LoginPage(raw, 1, len(raw) - 1)
    for match in islice(ADDRESS.finditer(raw), ATTEMPTS):
        line, (begin, end) = raw.rfind(b"\n", 0, match.start()) + 1, match.span("host")
        host = Host(0, 1, len(raw) - 1, line, begin, end, raw.find(b"\n", end))
        site = site_of(raw, host)
        if (
            site is None
            or PICTURE.match(raw, end)
            or not (site.has_scheme or looks_named(raw[begin:end]))
        ):
            continue
        login = login_beside(page, host, site)
        if login and (site.has_scheme or PERSON.fullmatch(login.login)):
            return True
    return False


HEAD = 8192
"""Bytes at the beginning and at the end of a file that show what it is."""
FEW_LABELS, ENOUGH_LABELS = 2, 4
"""Labels that make a file a system file.

Few are enough if the file has such a name, and for a log if also one label is of a device.
"""
_FILE = r"(?:[_ \[].{0,64})?(?:\.txt)?$"
SORTS = {
    sort: re.compile(rf"(?i)(?:^|[_ ])(?:{names}){_FILE}")
    for sort, names in {
        "passwords": "(?:all|unique)?_?passwords?(?:_list)?|logins|keychain",
        "cookies": "cookies?|cookie_list",
        "autofill": "(?:important)?auto_?fills?|all_?forms",
        "cards": "credit_?cards?|cards|cc|credits",
        "rest": (
            "domaindetects|installedbrowsers|installedsoftware|processlist|wallets|restore"
            "|googleaccounts|google_?tokens"
            "|filegrabber|accounttokens|steam_tokens|useragents|history|downloads|telegram|discord"
        ),
    }.items()
}
"""Names of files and folders in a log, by sort."""
SYSTEM_FILE = re.compile(
    r"(?i)(?:^|/)(?:bot-[^/]{0,64}-)?_?(?:user_?info(?:rmation)?|system(?:[_"
    r" ]?info(?:rmation)?)?|information(?: ?\[[^/]{0,8}\])?"
    r"|info|pc_info|identification)\.(?:txt|json)$"
)
WITHIN = re.compile(
    r"(?i)(?:(?:web )?browsers?|credentials|system|user ?data|default|profile ?[0-9]*|google(?:"
    r" ?chrome)?|chrom(?:e|ium)|edge"
    r"|microsoft edge|firefox|mozilla(?: firefox)?|opera(?: gx)?(?:"
    r" stable)?|brave|vivaldi|yandex|gecko|safari|important|data)"
    r"(?:[_ \[-].{0,64})?$"
)
"""Folders of one device's log, whose files belong to the folder around them."""
LABEL = re.compile(rb"(?m)^[ \t\-*|>\"]{0,6}([A-Za-z][A-Za-z _&/]{1,24}?)[\"']?[ \t]{0,32}[:=]")
"""The text before a colon at the beginning of a line.

Looking up the results costs a fiftieth of searching for the labels themselves.
"""
SYSTEM_LABEL = re.compile(
    rb"(?i)hwid|hardware ?id|machine ?id|machine ?name|machine ?uuid"
    rb"|hardware ?uuid|guid|lid|bot[_ ]?id"
    rb"|build ?(?:id|name|date|tag|compile date)?"
    rb"|log ?date|local (?:date|time)|system (?:date|time)|user time|save ?time"
    rb"|last seen|launched at|launch time|computer ?name|computer|pc ?name|netbios|user ?name|work"
    rb" ?dir|file ?location"
    rb"|execut(?:ion|e) ?path|screen ?(?:size|resolution)|display resolution|time ?zone|keyboard"
    rb" ?(?:layout"
    rb"|languages?)?|anti ?virus(?:es)?|cpu(?: name)?"
    rb"|processors?|gpu|ram|memory|operation ?system|os(?: version)?|windows|ip(?: ?address|"
    rb" info)?|country|traffic name"
    rb"|install date|hardwares?|uac|active window|lan ?ip|monitors?|location|zip ?code"
    rb"|(?:public|external|internal|gateway) ip(?: address)?|mac(?: address)?|bssid|current time|up"
    rb" ?time|disk devices"
    rb"|current jarfile path|language(?: & country)?|amount of kernels|allowed"
    rb" extensions|clipboard|operation id|wallpaper hash"
    rb"|domain name|internet provider|started as admin|host ?name|os name|system (?:boot"
    rb" time|manufacturer|model|type)|uuid"
    rb"|client name|graphics/displays|jabber|worker"
)
OF_DEVICE = re.compile(
    rb"(?i)hwid|hardware ?id|machine ?(?:id|uuid)|hardware ?uuid|bot[_ ]?id|build"
    rb" ?(?:id|name|date|tag|compile ?date)"
    rb"|file ?location"
    rb"|work ?dir|execut(?:ion|e) ?path|log ?date|lid|traffic ?name|pc ?name|machine ?name|save"
    rb" ?time|current ?jarfile ?path"
    rb"|bssid|operation ?id|wallpaper ?hash|amount ?of ?kernels|allowed ?extensions|started ?as"
    rb" ?admin"
)
"""A label that no form and no list has."""
FORMS = re.compile(
    rb"(?im)^[ \t]{0,4}form[ \t]{0,4}:[^\n]{0,256}\n[ \t]{0,4}value[ \t]{0,4}:|^[ \t]{0,4}field:"
    rb" [^\n|]{1,128}\| ?value: "
)
NAMED_FORMS = re.compile(rb"(?im)^[ \t]{0,4}name: [^\n]{1,128}\n[ \t]{0,4}value: ")
MOST_FORMS = 3
"""Fields of a form that make a text a browser's memory of forms."""
DOCUMENT = re.compile(
    r"(?i)\.(?:csv|tsv|xlsx?|ods|docx?|pdf|sql|db|sqlite|eml|pst|mdb|dbf|parquet)(?:/|$)"
    r"|(?:^|/)(?:filegrabber|files|grabber)/"
)


class DeviceLogs:
    """The evidence that the files of one capture are a device's log, and its rows with a customer.

    The rows are counted per folder.
    """

    def __init__(self) -> None:
        self._sorts: dict[str, set[str]] = defaultdict(set)
        self._rows: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)

    def see(self, path: str, text: bytes) -> None:
        """Record which part of a stolen device's log a file is, such as its passwords or cookies.

        The file is recognised by its path in a container ("" for the capture itself), and by the
        labels at its beginning and end.
        """
        folder, _, name = path.rpartition("/")
        sorts = {sort for sort, pattern in SORTS.items() if path and pattern.search(name)}
        sorts |= _sorts_by_labels(path, text[:HEAD] + b"\n" + text[max(HEAD, len(text) - HEAD) :])
        around, _, within = folder.rpartition("/")
        inside = {sort for sort, pattern in SORTS.items() if folder and pattern.search(within)}
        self._sorts[folder] |= sorts | inside
        if inside:
            folder = around
            self._sorts[folder] |= sorts | inside
        while folder and WITHIN.match(folder.rpartition("/")[2]):
            folder = folder.rpartition("/")[0]
            self._sorts[folder] |= sorts | inside

    def add(self, tenant: str, epoch: int, path: str, rows: int) -> None:
        """Count rows with a customer."""
        if not DOCUMENT.search(path):
            self._rows[tenant, epoch][path.rpartition("/")[0]] += rows

    def rows(self, tenant: str, epoch: int) -> int:
        """Return how many rows with a customer are in files of a log."""
        return sum(
            rows for folder, rows in self._rows[tenant, epoch].items() if self._is_log(folder)
        )

    def _is_log(self, folder: str) -> bool:
        """Return whether a folder, or one around it, is a log.

        It is if it holds a file that only logs have, or files of several sorts.
        """
        while True:
            sorts = self._sorts.get(folder, set())
            if "log" in sorts or len(sorts) > 1:
                return True
            if "/" not in folder:
                return False
            folder = folder.rpartition("/")[0]


def _sorts_by_labels(path: str, shown: bytes) -> set[str]:
    """Return the sorts of a file, by the labels in it: `system`, `autofill` and `log`.

    The set is empty for a file without enough labels. `shown` is the beginning of the file.
    """
    sorts = set[str]()
    labels = {
        label.lower().replace(b" ", b"")
        for label in {*LABEL.findall(shown)}
        if SYSTEM_LABEL.fullmatch(label)
    }
    is_named = SYSTEM_FILE.search(path) is not None
    if is_named and len(labels) >= FEW_LABELS:
        sorts.add("system")
    is_device = any(map(OF_DEVICE.fullmatch, labels))
    if (is_device or is_named) and len(labels) >= (
        FEW_LABELS if is_device and is_named else ENOUGH_LABELS
    ):
        sorts |= {"system", "log"}
    if (
        b"value" in shown.lower()
        and len(FORMS.findall(shown)) + len(NAMED_FORMS.findall(shown)) >= MOST_FORMS
    ):
        sorts |= {"autofill", "log"}
    return sorts
