"""What a list of incidents is asked for in its URL; the page and the API take the same words."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from alerts.query import Filters

Text = Annotated[str, Query(max_length=1_000)]


def _filters(
    tenant: Text = "", severity: Text = "", status: Text = "", place: Text = "", kind: Text = "", q: Text = ""
) -> Filters:
    return Filters(tenant, severity, status, place, kind, q)


Asked = Annotated[Filters, Depends(_filters)]
"""A route's parameter: its filters, as the query of the URL has them."""
