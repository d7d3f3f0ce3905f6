"""Watchlists that match uses: installed files, one a live epoch, swapped whole and noticed without a restart."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from matcher.watchlist.file import Watchlist, read_header
from matcher.watchlist.tagging import TagKeys
from ullage.errors import ConfigError
from ullage.keys import KeyStore, epochs, verify_key
from ullage.settings import Context

FOLDER = "watchlists"
SUFFIX = ".watchlist"


@dataclass(frozen=True, slots=True)
class Epoch:
    """One installed watchlist with the keys that tag for it."""

    number: int
    list: Watchlist
    tags: TagKeys


@dataclass(frozen=True, slots=True)
class TenantLists:
    """A tenant's live epochs, oldest first, and the keys for index tags."""

    tenant: str
    epochs: tuple[Epoch, ...]
    index: TagKeys
    index_epoch: int

    @property
    def customers(self) -> int:
        """Customers enrolled in the newest epoch."""
        return self.epochs[-1].list.header.subjects

    @property
    def expires(self) -> datetime:
        """When the newest epoch's watchlist is used no more."""
        return datetime.fromisoformat(self.epochs[-1].list.header.expires)


def path_of(data: Path, tenant: str, epoch: int) -> Path:
    """Where the installed watchlist of an epoch lies."""
    return data / FOLDER / tenant / f"{epoch}{SUFFIX}"


def install(data: Path, keys: KeyStore, tenant: str, source: Path, now: datetime) -> Watchlist:
    """Check `source` whole, then swap it in by a rename; what was installed stays in use until then.

    Refuses what is unsigned, another tenant's, expired, of an epoch without a key here, or built under another key.
    """
    header, _ = read_header(source, verify_key(keys, tenant))
    if header.tenant != tenant:
        raise ConfigError(f"{source} is of tenant {header.tenant}, not {tenant}")
    if datetime.fromisoformat(header.expires) <= now:
        raise ConfigError(f"{source} expired on {header.expires[:10]}: build a new one")
    if header.epoch not in epochs(keys, tenant, "match"):
        raise ConfigError(f"{source} is of epoch {header.epoch}, whose key is not here")
    if TagKeys(keys, tenant, "match", header.epoch).check_value() != header.key_check:
        raise ConfigError(f"{source} was built under another key than epoch {header.epoch} has here")
    target = path_of(data, tenant, header.epoch)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_suffix(".partial")
    try:
        shutil.copyfile(source, draft)
        draft.chmod(0o600)
        Watchlist(draft, verify_key(keys, tenant)).verify_body()
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return Watchlist(target, verify_key(keys, tenant))


def tenants(data: Path) -> list[str]:
    """Tenants with an installed watchlist."""
    return sorted({p.parent.name for p in (data / FOLDER).glob(f"*/*{SUFFIX}")})


def load(context: Context) -> list[TenantLists]:
    """Open every installed watchlist whose key still exists and that has not expired; each is read through and checked."""
    found = []
    for tenant in tenants(context.data):
        live = []
        for number in epochs(context.keys, tenant, "match"):
            path = path_of(context.data, tenant, number)
            if not path.is_file():
                continue
            opened = Watchlist(path, verify_key(context.keys, tenant))
            opened.verify_body()
            if datetime.fromisoformat(opened.header.expires) > context.clock.now():
                live.append(Epoch(number, opened, TagKeys(context.keys, tenant, "match", number)))
        if live:
            newest = max(epochs(context.keys, tenant, "index"), default=0)
            found.append(TenantLists(tenant, tuple(live), TagKeys(context.keys, tenant, "index", newest), newest))
    return found


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """What `ullage check` looks at here: every installed watchlist, its signature and its date."""

    def look() -> str:
        live = load(context)
        if not live:
            raise ConfigError("none is live: load one with `ullage watchlist load FILE --tenant NAME`")
        return ", ".join(f"{t.tenant} {t.customers:,} customers until {t.expires:%Y-%m-%d}" for t in live)

    yield "watchlists", look


def stamp(data: Path) -> tuple[tuple[str, int, int], ...]:
    """Changes whenever an installed file does: name, size, time of change."""
    found = []
    for path in sorted((data / FOLDER).glob(f"*/*{SUFFIX}")):
        with contextlib.suppress(FileNotFoundError):  # retired between the listing and the look
            status = path.stat()
            found.append((str(path), status.st_ino, status.st_mtime_ns))
    return tuple(found)
