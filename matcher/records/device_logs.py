"""Which files of a capture are a stealer's log of one device: what matches in them comes from that device, and not from us.

Families copy each other and resellers put their own marks on them, so a log is known by what its files are and say, whatever its
name: a file of the system with the labels of one, forms that were filled in, or files of two sorts in one folder. Files that were
taken along, and tables, are somebody's documents: whose they are, the log does not say.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

HEAD = 8192
"""Bytes at the beginning and at the end of a file that say what it is."""
FEW_LABELS, ENOUGH_LABELS = 2, 4
"""Labels of a system, from which on a file so named is of one, and one that only devices have, or enough of them, of a log."""
_FILE = r"(?:[_ \[].{0,64})?(?:\.txt)?$"
SORTS = {
    sort: re.compile(rf"(?i)(?:^|[_ ])(?:{names}){_FILE}")
    for sort, names in {
        "passwords": "(?:all|unique)?_?passwords?(?:_list)?|logins|keychain",
        "cookies": "cookies?|cookie_list",
        "autofill": "(?:important)?auto_?fills?|all_?forms",
        "cards": "credit_?cards?|cards|cc|credits",
        "rest": "domaindetects|installedbrowsers|installedsoftware|processlist|wallets|restore|googleaccounts|google_?tokens"
        "|filegrabber|accounttokens|steam_tokens|useragents|history|downloads|telegram|discord",
    }.items()
}
"""Names of files and folders in a log, a sort."""
SYSTEM_FILE = re.compile(
    r"(?i)(?:^|/)(?:bot-[^/]{0,64}-)?_?(?:user_?info(?:rmation)?|system(?:[_ ]?info(?:rmation)?)?|information(?: ?\[[^/]{0,8}\])?"
    r"|info|pc_info|identification)\.(?:txt|json)$"
)
WITHIN = re.compile(
    r"(?i)(?:(?:web )?browsers?|credentials|system|user ?data|default|profile ?[0-9]*|google(?: ?chrome)?|chrom(?:e|ium)|edge"
    r"|microsoft edge|firefox|mozilla(?: firefox)?|opera(?: gx)?(?: stable)?|brave|vivaldi|yandex|gecko|safari|important|data)"
    r"(?:[_ \[-].{0,64})?$"
)
"""Folders of one device's log: what is in them is of the folder around them."""
LABEL = re.compile(rb"(?m)^[ \t\-*|>\"]{0,6}([A-Za-z][A-Za-z _&/]{1,24}?)[\"']?[ \t]{0,32}[:=]")
"""Whatever stands before a colon at the beginning of a line. To look up what is found so costs a fiftieth of a search for the
labels themselves."""
SYSTEM_LABEL = re.compile(
    rb"(?i)hwid|hardware ?id|machine ?id|machine ?name|machine ?uuid"
    rb"|hardware ?uuid|guid|lid|bot[_ ]?id"
    rb"|build ?(?:id|name|date|tag|compile date)?"
    rb"|log ?date|local (?:date|time)|system (?:date|time)|user time|save ?time"
    rb"|last seen|launched at|launch time|computer ?name|computer|pc ?name|netbios|user ?name|work ?dir|file ?location"
    rb"|execut(?:ion|e) ?path|screen ?(?:size|resolution)|display resolution|time ?zone|keyboard ?(?:layout"
    rb"|languages?)?|anti ?virus(?:es)?|cpu(?: name)?"
    rb"|processors?|gpu|ram|memory|operation ?system|os(?: version)?|windows|ip(?: ?address| info)?|country|traffic name"
    rb"|install date|hardwares?|uac|active window|lan ?ip|monitors?|location|zip ?code"
    rb"|(?:public|external|internal|gateway) ip(?: address)?|mac(?: address)?|bssid|current time|up ?time|disk devices"
    rb"|current jarfile path|language(?: & country)?|amount of kernels|allowed extensions|clipboard|operation id|wallpaper hash"
    rb"|domain name|internet provider|started as admin|host ?name|os name|system (?:boot time|manufacturer|model|type)|uuid"
    rb"|client name|graphics/displays|jabber|worker"
)
OF_DEVICE = re.compile(
    rb"(?i)hwid|hardware ?id|machine ?(?:id|uuid)|hardware ?uuid|bot[_ ]?id|build ?(?:id|name|date|tag|compile ?date)"
    rb"|file ?location"
    rb"|work ?dir|execut(?:ion|e) ?path|log ?date|lid|traffic ?name|pc ?name|machine ?name|save ?time|current ?jarfile ?path"
    rb"|bssid|operation ?id|wallpaper ?hash|amount ?of ?kernels|allowed ?extensions|started ?as ?admin"
)
"""A label that no form and no list has."""
FORMS = re.compile(
    rb"(?im)^[ \t]{0,4}form[ \t]{0,4}:[^\n]{0,256}\n[ \t]{0,4}value[ \t]{0,4}:|^[ \t]{0,4}field: [^\n|]{1,128}\| ?value: "
)
NAMED_FORMS = re.compile(rb"(?im)^[ \t]{0,4}name: [^\n]{1,128}\n[ \t]{0,4}value: ")
MOST_FORMS = 3
"""Fields of a form from which on a text is a browser's memory of forms."""
DOCUMENT = re.compile(
    r"(?i)\.(?:csv|tsv|xlsx?|ods|docx?|pdf|sql|db|sqlite|eml|pst|mdb|dbf|parquet)(?:/|$)|(?:^|/)(?:filegrabber|files|grabber)/"
)


class DeviceLogs:
    """What the files of one capture say of being a device's log, and how many rows with a customer each folder has."""

    def __init__(self) -> None:
        self._sorts: dict[str, set[str]] = defaultdict(set)
        self._rows: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)

    def see(self, path: str, text: bytes) -> None:
        """Take note of what a file is, by its path in a container ("" for the capture itself), its beginning and its end."""
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
        """How many rows with a customer stand in files of a log."""
        return sum(rows for folder, rows in self._rows[tenant, epoch].items() if self._is_log(folder))

    def _is_log(self, folder: str) -> bool:
        """Whether a folder, or one around it, is of a log."""
        while True:
            sorts = self._sorts.get(folder, set())
            if "log" in sorts or len(sorts) > 1:
                return True
            if "/" not in folder:
                return False
            folder = folder.rpartition("/")[0]


def _sorts_by_labels(path: str, shown: bytes) -> set[str]:
    """What a file is by what it says."""
    sorts = set[str]()
    labels = {found.lower().replace(b" ", b"") for found in {*LABEL.findall(shown)} if SYSTEM_LABEL.fullmatch(found)}
    is_named = SYSTEM_FILE.search(path) is not None
    if is_named and len(labels) >= FEW_LABELS:
        sorts.add("system")
    is_device = any(map(OF_DEVICE.fullmatch, labels))
    if (is_device or is_named) and len(labels) >= (FEW_LABELS if is_device and is_named else ENOUGH_LABELS):
        sorts |= {"system", "log"}
    if b"value" in shown.lower() and len(FORMS.findall(shown)) + len(NAMED_FORMS.findall(shown)) >= MOST_FORMS:
        sorts |= {"autofill", "log"}
    return sorts
