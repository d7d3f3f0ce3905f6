"""The lists that match works with: those that are installed, but for what would have it look for fewer customers unnoticed.

A list that is gone, or has shrunk by more than a tenth of what was installed (`sizes.py`), is refused: match goes on with the one
that it has. After a start it has none, and then reads no post until the list is back, for it would look for nobody in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from matcher.watchlist import installation
from matcher.watchlist.file import read_header
from matcher.watchlist.installation import LOAD, SUFFIX, TenantLists, folder_of
from matcher.watchlist.sizes import Sizes
from ullage.errors import UllageError
from ullage.monitoring.canary import TENANT as CANARY
from ullage.security.keys import verify_key
from ullage.settings import Context
from ullage.settings.tenants import tenants_here


@dataclass(frozen=True, slots=True)
class InUse:
    """`lists` of tenants; `refused` and `lacking` say by tenant what is wrong.

    What was refused was replaced by the list of before, where there is one. Of a tenant that is `missing` there is none, and its
    list is neither expired nor was it never there: no post may be read.
    """

    lists: list[TenantLists]
    refused: Mapping[str, str]
    lacking: Mapping[str, str]
    missing: frozenset[str]

    @property
    def faults(self) -> list[str]:
        """All that is wrong, a line each."""
        return [*self.refused.values(), *(said for tenant, said in self.lacking.items() if tenant not in self.refused)]


def in_use(context: Context, former: Sequence[TenantLists] = ()) -> InUse:
    """What is to be used now, where the lists `former` were until now."""
    now = context.running_time.look().now()
    found = {lists.tenant: lists for lists in installation.load(context)}
    sizes = Sizes(context.data, context.keys)
    refused = sizes.shortfalls((tenant, lists.customers) for tenant, lists in found.items())
    kept = {lists.tenant: lists for lists in former if lists.expires > now}
    expired = {tenant for tenant in refused.keys() - found.keys() if _is_expired(context, tenant, now)}
    used = {**{tenant: kept[tenant] for tenant in refused.keys() & kept.keys()}}
    used |= {tenant: lists for tenant, lists in found.items() if tenant not in refused}
    lacking = {}
    for tenant in sorted((tenants_here(context) | sizes.tenants() | found.keys()) - {CANARY}):
        if tenant not in used:
            why = "has expired" if tenant in expired else "is not here"
            lacking[tenant] = f"the list of {tenant} {why}, so none of its customers is found: {LOAD}"
        elif not used[tenant].customers:
            lacking[tenant] = f"the list of {tenant} is empty, so none of its customers is found: {LOAD}"
    return InUse(
        [used[tenant] for tenant in sorted(used)],
        {tenant: said for tenant, said in refused.items() if tenant not in expired},
        lacking,
        frozenset(refused.keys() - used.keys() - expired),
    )


def _is_expired(context: Context, tenant: str, now: datetime) -> bool:
    """Whether a list lies here that is signed, and over."""
    for path in folder_of(context.data, tenant).glob(f"*{SUFFIX}"):
        try:
            if read_header(path, verify_key(context.keys, tenant)).is_over(now):
                return True
        except (UllageError, OSError):
            continue
    return False
