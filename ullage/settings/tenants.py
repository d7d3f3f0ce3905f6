"""Find the tenants that this machine knows, and reject an unknown name.

A *tenant* is one financial platform with its own keys, customer list and incidents. A command or
page that is asked about a misspelt tenant would find nothing and look reassuring. So each calls
`require_tenant` first, which raises UnknownTenantError with similar and known names. A name that
looks like a customer's number is never repeated in the message.
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
    """The named tenant is unknown; the message lists the known ones."""


def find_tenants(context: Context) -> set[str]:
    """Return the names of tenants with a table in the settings or a key on this machine.

    The internal tenant of canary posts is left out.
    """
    with_keys = {path.parent.name for name in KEYS for path in context.keys.root.glob(f"*/{name}")}
    if context.keys.credentials:
        with_keys |= {
            path.name.partition(".")[0]
            for name in KEYS
            for path in context.keys.credentials.glob(f"*.{name}")
        }
    return {*context.settings.tenants, *with_keys} - {CANARY}


def require_tenant(name: str, known: Iterable[str]) -> None:
    """Raise UnknownTenantError unless `name` is one of `known`.

    The message lists at most ten known tenants, those with similar names first.
    """
    names = sorted({*known})
    if name in names:
        return
    is_name = TENANT.fullmatch(name) and not identifier_in(name)
    label = Phrase("tenant %(tenant)s", tenant=name) if is_name else Phrase("that tenant")
    if not names:
        raise UnknownTenantError(
            Phrase(
                "%(tenant)s is unknown, and so is any other: load its customer list, or add it to"
                " ullage.toml",
                tenant=label,
            )
        )
    near = difflib.get_close_matches(name, names, SHOWN)
    shown = [*near, *(candidate for candidate in names if candidate not in near)]
    listed = ", ".join(shown[:SHOWN])
    if more := len(shown) - SHOWN if len(shown) > SHOWN else 0:
        text = Phrase(
            "%(tenant)s is unknown: use %(known)s or one of %(more)s others",
            tenant=label,
            known=listed,
            more=more,
        )
        raise UnknownTenantError(text)
    raise UnknownTenantError(
        Phrase("%(tenant)s is unknown: use %(known)s", tenant=label, known=listed)
    )
