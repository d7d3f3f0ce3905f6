"""Which tenants there are, and one line for a name that is none of them: an empty list would say
that all is well with it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ullage.errors import ConfigError
from ullage.lookup.values import identifier_in
from ullage.monitoring.canary import TENANT as CANARY
from ullage.phrase import Phrase
from ullage.settings import TENANT, Context

SHOWN = 10
KEYS = ("verify.pub", "match-*.key", "index-*.key")


class UnknownTenantError(ConfigError):
    """A tenant that is named and not known."""


def tenants_here(context: Context) -> set[str]:
    """Tenants by the settings, or by a key of theirs, in a file or a credential; not that of
    canary posts.
    """
    found = {path.parent.name for name in KEYS for path in context.keys.root.glob(f"*/{name}")}
    if context.keys.credentials:
        found |= {
            path.name.partition(".")[0]
            for name in KEYS
            for path in context.keys.credentials.glob(f"*.{name}")
        }
    return {*context.settings.tenants, *found} - {CANARY}


def require_tenant(name: str, known: Iterable[str]) -> None:
    """UnknownTenantError, with what is known, unless `name` is."""
    names = sorted({*known})
    if name in names:
        return
    is_name = TENANT.fullmatch(name) and not identifier_in(name)
    called = Phrase("tenant %(tenant)s", tenant=name) if is_name else Phrase("that tenant")
    if not names:
        raise UnknownTenantError(
            Phrase(
                "%(tenant)s is unknown, and so is any other: load its customer list, or add it to"
                " ullage.toml",
                tenant=called,
            )
        )
    near = difflib.get_close_matches(name, names, SHOWN)
    shown = [*near, *(one for one in names if one not in near)]
    some = ", ".join(shown[:SHOWN])
    if more := len(shown) - SHOWN if len(shown) > SHOWN else 0:
        some_more = Phrase(
            "%(tenant)s is unknown; known: %(known)s and %(more)s more",
            tenant=called,
            known=some,
            more=more,
        )
        raise UnknownTenantError(some_more)
    raise UnknownTenantError(
        Phrase("%(tenant)s is unknown; known: %(known)s", tenant=called, known=some)
    )
