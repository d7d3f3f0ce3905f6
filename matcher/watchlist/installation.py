"""Install customer lists for match, and open the lists that it uses.

A *customer list* (watchlist) holds a keyed hash of each identifier of a tenant's customers. It is
built and signed elsewhere (`matcher.watchlist.build`). There is one file per tenant and live key
generation, and a *delta* beside it may amend it; `install` checks a file and replaces the old one
by a rename, which match notices without a restart.

    watchlists/T/1.watchlist   the list of tenant T under key generation 1
    watchlists/T/1.delta       additions and removals since then
    watchlist-sizes/T.size     "12345 <tag>": customers of the list that was installed last

A list that is missing, or has lost more than a tenth of its customers, is refused, both on loading
and when match reads it again, unless it was installed with `--shrink`: match keeps the list that it
has. After a start it has none and reads no post until the list is back. An erased customer is
subtracted from the number; an erased tenant has none. The number is authenticated with
`capture.key`, which every host that installs lists has, so a damaged or edited file is refused.
Refusals raise ConfigError, damage CorruptError; both say which file and what to do.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from matcher.watchlist import subjects
from matcher.watchlist.file import ERASED_SUFFIX, WatchlistHeader, erasure_path, read_header
from matcher.watchlist.index import Index, Watchlist
from matcher.watchlist.tagging import TagKeys
from ullage.errors import ConfigError, CorruptError, FaultsError, UllageError
from ullage.files.atomic_write import put_in_place, write_whole
from ullage.monitoring.canary import TENANT as CANARY
from ullage.security.cmac import Cmac, derive_key
from ullage.security.keys import KeyStore, compute_check_value, list_generations, load_verify_key
from ullage.settings import Context
from ullage.settings.tenants import find_tenants

SIZES, SIZE_SUFFIX = "watchlist-sizes", ".size"
LINE = re.compile(rb"(\d{1,12}) ([0-9a-f]{32})\n")
KEY = "capture.key"
TENTHS = 9
"""Tenths of the former customers that a list must still have."""


def is_shrunken(customers: int, before: int) -> bool:
    """Return whether a list of `customers` has lost over a tenth of the `before` it had."""
    return customers * 10 < before * TENTHS


def require(what: object, customers: int, before: int, *, shrink: bool) -> None:
    """Raise ConfigError if a list has lost more than a tenth of its customers.

    `customers` is the new number, `before` the former; `what` names the list in the message. With
    `shrink` any loss is allowed.
    """
    if is_shrunken(customers, before) and not shrink:
        raise ConfigError(
            f"{what} would have {customers:,} customers instead of {before:,}, and the"
            " others would no longer be found: use --shrink if this is intended"
        )


@dataclass(frozen=True, slots=True)
class Sizes:
    """The stored numbers of customers in the data folder.

    The tenant of canary posts has none: its list is renewed automatically.
    """

    data: Path
    keys: KeyStore

    def count_customers(self, tenant: str) -> int | None:
        """Return the number of customers in the list of `tenant` that was installed last.

        None if none ever was. Raises CorruptError if the file is damaged.
        """
        path = self.path(tenant)
        try:
            fields = LINE.fullmatch(path.read_bytes())
        except FileNotFoundError:
            return None
        if not fields or not hmac.compare_digest(
            fields[2], self._seal(tenant, customers := int(fields[1])).encode()
        ):
            raise CorruptError(
                f"{path} is damaged, or was written by a newer ullage: use that version,"
                f" or install the list of {tenant} again with --shrink, which rewrites it"
            )
        return customers

    def tenants(self) -> set[str]:
        """Return the tenants for whom a list was installed here."""
        return {path.stem for path in (self.data / SIZES).glob(f"*{SIZE_SUFFIX}")}

    def write(self, tenant: str, customers: int) -> None:
        """Store the number of customers, durably; none is stored for the tenant of canary posts."""
        if tenant == CANARY:
            return
        path = self.path(tenant)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        write_whole(f"{customers} {self._seal(tenant, customers)}\n".encode(), path)
        self.keys.inventory.enter(path)

    def subtract_one(self, tenant: str) -> None:
        """Subtract one erased customer from a tenant's recorded number, unless 0 or unknown."""
        if before := self.count_customers(tenant):
            self.write(tenant, before - 1)

    def forget(self, tenant: str) -> None:
        """Delete the number of an erased tenant, so that no list is expected."""
        self.keys.inventory.strike(self.path(tenant))
        self.path(tenant).unlink(missing_ok=True)

    def shortfalls(self, found: Iterable[tuple[str, int]]) -> dict[str, str]:
        """Return, by tenant, why its list must not be used: it is missing, or far too small.

        `found` are the tenants with a list, each with its number of customers. A sound list has no
        entry; a recorded number that is damaged has its error.
        """
        present, short = dict(found), {}
        for tenant in sorted(self.tenants() | present.keys()):
            try:
                before = self.count_customers(tenant) or 0
            except CorruptError as error:
                short[tenant] = str(error)
                continue
            if tenant not in present:
                short[tenant] = (
                    f"the list of {tenant} with {before:,} customers is missing: restore"
                    " it, or load it again"
                )
            elif is_shrunken(present[tenant], before):
                short[tenant] = (
                    f"the list of {tenant} has {present[tenant]:,} customers instead of {before:,},"
                    " so it is not used: restore it, or install it with --shrink if this"
                    " is intended"
                )
        return short

    def path(self, tenant: str) -> Path:
        """Return the path of a tenant's number."""
        return self.data / SIZES / f"{tenant}{SIZE_SUFFIX}"

    def _seal(self, tenant: str, customers: int) -> str:
        return (
            Cmac(derive_key(self.keys.read(KEY), "watchlist size", tenant))
            .tag_one(str(customers).encode())
            .hex()
        )


FOLDER, BUILDING = "watchlists", "building"
SUFFIX = ".watchlist"
DELTA = ".delta"
TRIES = 10
INDEX, HANDLE = "index-", "handle"
"""How the names of keys begin."""
LOAD = "load one with `ullage watchlist load FILE --tenant NAME`"
CURE = "restore that key from its copy, or build the list again"


@dataclass(frozen=True, slots=True)
class Epoch:
    """An installed watchlist with the keys of its hashes."""

    number: int
    list: Watchlist
    tags: TagKeys


@dataclass(frozen=True, slots=True)
class TenantLists:
    """A tenant's live key generations, oldest first, and the keys for index hashes."""

    tenant: str
    epochs: tuple[Epoch, ...]
    index: TagKeys
    index_epoch: int

    @property
    def customers(self) -> int:
        """Return the number of customers in the newest key generation."""
        return self.epochs[-1].list.customers

    @property
    def cards(self) -> int:
        """The number of card numbers in the list of the newest key generation, as built."""
        return self.epochs[-1].list.counts().get("card", 0)

    @property
    def expires(self) -> datetime:
        """Return when the newest key generation's watchlist expires."""
        return datetime.fromisoformat(self.epochs[-1].list.header.expires)


def folder_of(data: Path, tenant: str) -> Path:
    """Return the folder of a tenant's installed watchlists."""
    return data / FOLDER / tenant


def path_of(data: Path, tenant: str, epoch: int) -> Path:
    """Return the path of the customer list of a key generation.

    The delta of the list has the same path with the suffix `DELTA`.
    """
    return folder_of(data, tenant) / f"{epoch}{SUFFIX}"


def install(
    data: Path,
    keys: KeyStore,
    tenant: str,
    source: Path,
    now: datetime,
    *,
    move: bool = False,
    shrink: bool = False,
) -> WatchlistHeader:
    """Check the list or delta in `source`, install it by a rename, and return its header.

    Until the rename the installed list stays in use. `source` is copied or, with `move`, moved from
    a folder of the same file system.

    Raises ConfigError for a list that is unsigned, another tenant's, expired, of a key generation
    without a key here, or built under another key; for a delta of another list than the installed
    one; and, without `shrink`, for a list that lacks more than a tenth of the customers. Raises
    CorruptError for a damaged one.
    """
    key, sizes = load_verify_key(keys, tenant), Sizes(data, keys)
    header = read_header(source, key)
    customers = check_source(data, keys, tenant, source, now, shrink=shrink)
    target = path_of(data, tenant, header.epoch)
    if header.base:
        target = target.with_suffix(DELTA)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_name(f"{target.name}.partial")
    keys.inventory.begin()
    try:
        if move:
            source.replace(draft)
        else:
            shutil.copyfile(source, draft)
        draft.chmod(0o600)
        Index(draft, key).chunks.check_all()
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        if shrink:  # before match sees the list, which it would refuse otherwise
            sizes.write(tenant, customers)
        put_in_place(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    former = [target] if header.base else [target, target.with_suffix(DELTA)]
    # what was noted of the files that lay here; a delta of another list is not read anyway
    for path in former:
        erasure_path(path).unlink(missing_ok=True)
    if not header.base:
        target.with_suffix(DELTA).unlink(missing_ok=True)
        keys.inventory.enter(target)
    sizes.write(tenant, customers)
    return header


def check_source(
    data: Path, keys: KeyStore, tenant: str, source: Path, now: datetime, *, shrink: bool
) -> int:
    """Return how many customers would be enrolled after an installation of `source`.

    Raises ConfigError if `install` would refuse it by its header.
    """
    key = load_verify_key(keys, tenant)
    header = read_header(source, key)
    _refuse(header, source, keys, tenant, now)
    target = path_of(data, tenant, header.epoch)
    if header.base and (not target.is_file() or read_header(target, key).build != header.base):
        raise ConfigError(
            f"{source} changes another list than the one of key generation {header.epoch}"
            " here: install that list first"
        )
    customers = customers_of(target, source, key) if header.base else header.customers
    check_size(data, keys, tenant, customers, shrink=shrink)
    return customers


def check_size(data: Path, keys: KeyStore, tenant: str, customers: int, *, shrink: bool) -> None:
    """Raise ConfigError if a list of `customers` lacks over a tenth of the tenant's former ones.

    With `shrink` any loss is allowed.
    """
    before = 0 if shrink else Sizes(data, keys).count_customers(tenant)
    require(f"the list of {tenant}", customers, before or 0, shrink=shrink)


def customers_of(main: Path, delta: Path, key: Ed25519PublicKey) -> int:
    """Return the number of customers of the list at `main`, delta included.

    A delta that is missing or for another list is ignored. Raises ConfigError or CorruptError for a
    file that cannot be used.
    """
    opened = Watchlist(main, key)
    if delta.is_file():
        opened.amend(delta)
    return opened.customers


def _refuse(
    header: WatchlistHeader, source: Path, keys: KeyStore, tenant: str, now: datetime
) -> None:
    """Raise `ConfigError` for a list that this host must not use.

    That is one of another tenant, an expired one, one whose key generation is not here, or one that
    was built with another key.
    """
    if header.tenant != tenant:
        raise ConfigError(
            f"{source} belongs to tenant {header.tenant}, not {tenant}: use"
            f" --tenant {header.tenant}, or another file"
        )
    if header.is_over(now):
        raise ConfigError(f"{source} expired on {header.expires[:10]}: build a new one")
    if header.epoch not in list_generations(keys, tenant, "match"):
        raise ConfigError(
            f"{source} needs key generation {header.epoch}, which is not on"
            " this host: copy its key here, or build the list again"
        )
    tag_keys(header, source, keys, tenant)


def remove(data: Path, keys: KeyStore, tenant: str, epoch: int) -> None:
    """Remove the list of a key generation and its delta; do nothing if there is none."""
    main = path_of(data, tenant, epoch)
    keys.inventory.strike(main)
    for path in (main, main.with_suffix(DELTA)):
        erasure_path(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def tenants(data: Path) -> list[str]:
    """Return the tenants with an installed watchlist."""
    return sorted({p.parent.name for p in (data / FOLDER).glob(f"*/*{SUFFIX}")})


def tag_keys(header: WatchlistHeader, path: Path, keys: KeyStore, tenant: str) -> TagKeys:
    """Return the keys that compute keyed hashes for the list at `path`.

    Raises ConfigError, which names the key, if this host has another key than the list was built
    with.
    """
    name = f"{tenant}/match-{header.epoch}.key"
    tags = TagKeys(keys, tenant, "match", header.epoch)
    if tags.check_value() != header.key_check:
        epoch = f"key generation {header.epoch} of this host, {keys.root / name}"
        raise ConfigError(f"{path} was built with another key than {epoch}: {CURE}")
    check_keys(header, path, keys, INDEX)
    return tags


def check_keys(header: WatchlistHeader, path: Path, keys: KeyStore, kind: str) -> None:
    """Raise ConfigError if the list at `path` was built with another key than this host has.

    Only keys of the given kind (`INDEX` or `HANDLE`) that exist here are compared.
    """
    for name, value in header.checks:
        if (
            Path(name).name.startswith(kind)
            and keys.is_available(name)
            and compute_check_value(keys.read(name), name) != value
        ):
            raise ConfigError(f"{path} was built with another key than {keys.root / name}: {CURE}")


def check_handle_key(data: Path, keys: KeyStore, tenant: str) -> None:
    """Raise ConfigError if the key of pseudonyms is not that of the installed lists.

    Customers would get other pseudonyms.
    """
    for path in sorted((data / FOLDER / tenant).glob(f"*{SUFFIX}")):
        check_keys(read_header(path, load_verify_key(keys, tenant)), path, keys, HANDLE)


def open_installed(data: Path, keys: KeyStore, tenant: str, epoch: int) -> Epoch:
    """Return the list of a key generation, opened; its keys and self-test were checked.

    Raises ConfigError if the list is missing, foreign or under another key, CorruptError if it is
    damaged.
    """
    path, key = path_of(data, tenant, epoch), load_verify_key(keys, tenant)
    tags = tag_keys(read_header(path, key), path, keys, tenant)
    opened = Epoch(epoch, _open_list(path, key, tags), tags)
    _test(opened)
    return opened


def _test(opened: Epoch) -> None:
    """Look up the self-test entry as a customer is: keyed hash, index, pseudonym.

    A delta has an entry of its own, which is looked up too. Raises CorruptError if one of them is
    not found.
    """
    for index in filter(None, (opened.list.main, opened.list.delta)):
        _, rows = index.look_up(opened.tags.self_test())
        if index.header.self_test not in [handle.tobytes().hex() for handle in index.handles(rows)]:
            raise CorruptError(
                f"{index.path} does not find its own self-test entry: install it again, or build it"
                " again"
            )


def _open_list(path: Path, key: Ed25519PublicKey, tags: TagKeys) -> Watchlist:
    """Open the list at `path` with its delta, both as of the same moment.

    Raises ConfigError if the list keeps changing meanwhile.
    """
    for _ in range(TRIES):
        before = _identity(path)
        opened = Watchlist(path, key, tags.noting_key())
        delta = path.with_suffix(DELTA)
        try:
            if delta.is_file():
                opened.amend(delta)
        except ConfigError:
            if delta.is_file():
                raise
        # else a new list was installed, and the delta may be its own
        if _identity(path) == before:
            return opened
    raise ConfigError(f"{path} keeps changing: install one list after the other")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def load(context: Context, only: str = "") -> list[TenantLists]:
    """Return every tenant's installed lists that have not expired and whose keys are here.

    With `only`, those of that tenant. A tenant without such a list is left out. Raises ConfigError
    or CorruptError for a list that cannot be used; `matcher.watchlist.file` says what is checked
    when.
    """
    lists = []
    for tenant in tenants(context.data):
        if only and tenant != only:
            continue
        live = []
        for number in list_generations(context.keys, tenant, "match"):
            if path_of(context.data, tenant, number).is_file():
                opened = open_installed(context.data, context.keys, tenant, number)
                if (
                    datetime.fromisoformat(opened.list.header.expires)
                    > context.running_time.look().now()
                ):
                    live.append(opened)
        if live:
            newest = max(list_generations(context.keys, tenant, "index"), default=0)
            lists.append(
                TenantLists(
                    tenant, tuple(live), TagKeys(context.keys, tenant, "index", newest), newest
                )
            )
    return lists


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield name and function of each part that `ullage check` examines here.

    The function reads all of its files, and returns their state in words or raises ConfigError. The
    parts are the installed lists and the encrypted customer references.
    """

    def look() -> str:
        live, sizes = load(context), Sizes(context.data, context.keys)
        expected = (find_tenants(context) | {*tenants(context.data)} | sizes.tenants()) - {CANARY}
        if not live and not expected:
            raise ConfigError(f"no customer list is valid: {LOAD}")
        enrolled = {lists.tenant: lists.customers for lists in live}
        faults = [
            fault
            for tenant, fault in sizes.shortfalls(enrolled.items()).items()
            if tenant in enrolled
        ]
        if empty := [tenant for tenant, customers in enrolled.items() if not customers]:
            faults.append(
                f"tenants with an empty list: {', '.join(empty)}; none of their customers"
                f" is found: {LOAD}"
            )
        if absent := sorted(expected - enrolled.keys()):
            faults.append(
                f"tenants without a valid list: {', '.join(absent)}; none of their"
                f" customers is found: {LOAD}"
            )
        if faults:
            raise FaultsError(faults)
        for lists in live:
            for epoch in lists.epochs:
                epoch.list.check()
        return ", ".join(
            f"{t.tenant} {t.customers:,} customers until {t.expires:%Y-%m-%d}" for t in live
        )

    def way_back() -> str:
        homes = sorted((context.data / BUILDING).glob("*.subjects"))
        for home in homes:
            subjects.resolve(home, context.keys, home.stem, ())
        return (
            f"readable for {', '.join(home.stem for home in homes)}"
            if homes
            else "not on this machine"
        )

    yield "watchlists", look
    yield "subjects", way_back


def stamp(data: Path, keys: KeyStore) -> tuple[tuple[str, int, int], ...]:
    """Return a value that changes when an installed list, or a key used with it, changes.

    It consists of the path, inode and time of change of each file.
    """
    files = [
        path
        for path in (data / FOLDER).glob("*/*")
        if path.suffix in (SUFFIX, DELTA, ERASED_SUFFIX)
    ]
    files += (data / SIZES).glob("*")
    for pattern in ("*/match-*.key", f"*/{INDEX}*.key", "*/verify.pub"):
        files += keys.root.glob(pattern)
    identities = []
    for path in sorted(files):
        # retired between the listing and the look, or not to be read
        with contextlib.suppress(OSError):
            identities.append((str(path), *_identity(path)))
    return tuple(identities)


@dataclass(frozen=True, slots=True)
class InUse:
    """The lists in use.

    `refused` and `lacking` say by tenant what is wrong. A refused list is replaced by the former
    one, if there is one. A tenant is `missing` if it had a list that has not expired and now has
    none: no post may be read then.
    """

    lists: list[TenantLists]
    refused: Mapping[str, str]
    lacking: Mapping[str, str]
    missing: frozenset[str]

    @property
    def faults(self) -> list[str]:
        """Return everything that is wrong, a line each."""
        return [
            *self.refused.values(),
            *(said for tenant, said in self.lacking.items() if tenant not in self.refused),
        ]


def in_use(context: Context, former: Sequence[TenantLists] = ()) -> InUse:
    """Return the lists to use now, with the faults of those that cannot be used.

    A list that is far too small is replaced by that in `former`, the lists used until now, if that
    has not expired. Raises ConfigError or CorruptError for a list that cannot be read.
    """
    now = context.running_time.look().now()
    loaded = {lists.tenant: lists for lists in load(context)}
    sizes = Sizes(context.data, context.keys)
    refused = sizes.shortfalls((tenant, lists.customers) for tenant, lists in loaded.items())
    still_valid = {lists.tenant: lists for lists in former if lists.expires > now}
    expired = {
        tenant for tenant in refused.keys() - loaded.keys() if _is_expired(context, tenant, now)
    }
    used = {**{tenant: still_valid[tenant] for tenant in refused.keys() & still_valid.keys()}}
    used |= {tenant: lists for tenant, lists in loaded.items() if tenant not in refused}
    lacking = {}
    for tenant in sorted((find_tenants(context) | sizes.tenants() | loaded.keys()) - {CANARY}):
        if tenant not in used:
            why = "has expired" if tenant in expired else "is missing"
            lacking[tenant] = (
                f"the list of {tenant} {why}, so none of its customers is found: {LOAD}"
            )
        elif not used[tenant].customers:
            lacking[tenant] = (
                f"the list of {tenant} is empty, so none of its customers is found: {LOAD}"
            )
    return InUse(
        [used[tenant] for tenant in sorted(used)],
        {tenant: fault for tenant, fault in refused.items() if tenant not in expired},
        lacking,
        frozenset(refused.keys() - used.keys() - expired),
    )


def _is_expired(context: Context, tenant: str, now: datetime) -> bool:
    """Return whether there is a signed list here that has expired."""
    for path in folder_of(context.data, tenant).glob(f"*{SUFFIX}"):
        try:
            if read_header(path, load_verify_key(context.keys, tenant)).is_over(now):
                return True
        except (UllageError, OSError):
            continue
    return False
