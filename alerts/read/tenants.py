"""Tenants as alert knows them: what is configured or keyed on this machine, and whoever the store has something of."""

from __future__ import annotations

from itertools import islice

from alerts.records import Background, Incident, Suppression
from alerts.store import DocumentFilter, IncidentStore
from ullage.settings import Context
from ullage.settings.tenants import require_tenant, tenants_here

LOOKED_AT = 1_000
"""Incidents that are asked for more names, where the one that was given is not known."""


def require_known(context: Context, store: IncidentStore, tenant: str) -> None:
    """UnknownTenantError for a tenant of whom neither this machine nor the store knows; "" is any."""
    here = tenants_here(context)
    if not tenant or tenant in here or any(store.count(kind, _of(tenant)) for kind in (Incident, Background, Suppression)):
        return
    require_tenant(tenant, here | {incident.tenant for incident in islice(store.scroll(Incident, DocumentFilter()), LOOKED_AT)})


def _of(tenant: str) -> DocumentFilter:
    return DocumentFilter({"tenant": (tenant,)})
