"""How many customers a tenant's list is known to have, kept apart from the lists, so that a list that shrinks or is gone is seen.

`watchlists` holds what match uses; `watchlist-sizes/T.size` says how large it was when somebody last installed it. A list with
fewer than nine tenths of that is refused, when it is loaded and when match reads it again, unless whoever installs it says that
it is meant to shrink (`--shrink`). A customer who is erased is taken off the number, a tenant that is erased has none any more.

The number is authenticated with `capture.key`, which every host that installs lists has: a file that was changed by hand, or is
damaged, is refused and not believed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ullage.errors import ConfigError, CorruptError
from ullage.files.atomic_write import write_whole
from ullage.monitoring.canary import TENANT as CANARY
from ullage.security.cmac import Cmac, derive_key
from ullage.security.keys import KeyStore

FOLDER, SUFFIX = "watchlist-sizes", ".size"
LINE = re.compile(rb"(\d{1,12}) ([0-9a-f]{32})\n")
KEY = "capture.key"
TENTHS = 9
"""So many tenths of the customers must still be there."""


def is_shrunken(customers: int, before: int) -> bool:
    """Whether a list of so many customers has lost more than a tenth of those that were there before."""
    return customers * 10 < before * TENTHS


def require(what: object, customers: int, before: int, *, shrink: bool) -> None:
    """ConfigError where a list would lose more than a tenth of its customers and nobody said that this is meant."""
    if is_shrunken(customers, before) and not shrink:
        raise ConfigError(
            f"{what} would have {customers:,} customers instead of {before:,}, and the others would be found nowhere:"
            " say --shrink if that is meant"
        )


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of customers in the data folder. Canary posts' own tenant has none: its list is made anew by itself."""

    data: Path
    keys: KeyStore

    def of(self, tenant: str) -> int | None:
        """How many customers the list of `tenant` has; None where none was ever installed. CorruptError for a damaged file."""
        path = self.path(tenant)
        try:
            found = LINE.fullmatch(path.read_bytes())
        except FileNotFoundError:
            return None
        if not found or not hmac.compare_digest(found[2], self._seal(tenant, customers := int(found[1])).encode()):
            raise CorruptError(
                f"{path} is damaged, or was written by a newer ullage: use that version, or install the list of {tenant} again"
                " with --shrink, which writes it anew"
            )
        return customers

    def tenants(self) -> set[str]:
        """Tenants of which a list was installed here."""
        return {path.stem for path in (self.data / FOLDER).glob(f"*{SUFFIX}")}

    def write(self, tenant: str, customers: int) -> None:
        """Note it, durably."""
        if tenant == CANARY:
            return
        path = self.path(tenant)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        write_whole(f"{customers} {self._seal(tenant, customers)}\n".encode(), path)
        self.keys.inventory.enter(path)

    def erased(self, tenant: str) -> None:
        """One customer was erased from the list."""
        if before := self.of(tenant):
            self.write(tenant, before - 1)

    def forget(self, tenant: str) -> None:
        """The tenant was erased: no list of it is missed."""
        self.keys.inventory.strike(self.path(tenant))
        self.path(tenant).unlink(missing_ok=True)

    def shortfalls(self, found: Iterable[tuple[str, int]]) -> dict[str, str]:
        """Of lists by tenant and number of customers: what is missing, by tenant; of tenants without a list, too."""
        here, short = dict(found), {}
        for tenant in sorted(self.tenants() | here.keys()):
            try:
                before = self.of(tenant) or 0
            except CorruptError as error:
                short[tenant] = str(error)
                continue
            if tenant not in here:
                short[tenant] = f"the list of {tenant} with its {before:,} customers is not here: restore it, or load it again"
            elif is_shrunken(here[tenant], before):
                short[tenant] = (
                    f"the list of {tenant} has {here[tenant]:,} customers instead of {before:,}: it is not used; restore it, or"
                    " install it with --shrink if that is meant"
                )
        return short

    def path(self, tenant: str) -> Path:
        """Where the number of a tenant lies."""
        return self.data / FOLDER / f"{tenant}{SUFFIX}"

    def _seal(self, tenant: str, customers: int) -> str:
        return Cmac(derive_key(self.keys.read(KEY), "watchlist size", tenant)).one(str(customers).encode()).hex()
