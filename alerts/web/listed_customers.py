"""List the customers of an incident: by page, by kind of identifier and by pseudonym."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query

from alerts.cases.incident_list import (
    CUSTOMERS_SHOWN,
    IncidentDetails,
    count_customers,
    find_customers_page,
    require_no_identifier,
)
from alerts.records.document import QueryError
from alerts.store import DocumentPage
from alerts.web.dependencies import MOST_ROWS, Console, Text

HEX = re.compile(r"[0-9a-f]{1,64}")


@dataclass(frozen=True, slots=True)
class CustomersShown:
    """Which customers of an incident are listed, as it was requested.

    They are those after the cursor `after`, the first of which is number `row`; with a `kind`, only
    those with an identifier of that kind, and with a `customer`, only those whose pseudonym begins
    with it.
    """

    after: Text = ""
    kind: Text = ""
    customer: Text = ""
    row: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 1

    def query(self, **changes: str) -> str:
        """Return the query string, `?…`, of another page of the same customers."""
        fields = {"kind": self.kind, "customer": self.customer, **changes}
        return f"?{urlencode({name: value for name, value in fields.items() if value})}"


def list_customers(
    site: Console, details: IncidentDetails, listed: CustomersShown
) -> dict[str, Any]:
    """Return the customers to show, their numbers, and the links to other pages of them.

    Raises QueryError, which does not repeat it, for a pseudonym or a cursor that is invalid.
    """
    incident = details.incident
    pseudonym = listed.customer.strip().casefold()
    if pseudonym and not HEX.fullmatch(pseudonym):
        raise QueryError("enter the beginning of a customer pseudonym (hex digits)", "customer")
    require_no_identifier(pseudonym, "customer")
    is_narrowed = bool(listed.kind or pseudonym)
    page = (
        find_customers_page(
            site.store, incident, CUSTOMERS_SHOWN, listed.after, listed.kind, pseudonym
        )
        if is_narrowed or listed.after
        else DocumentPage(details.exposures, details.more)
    )
    first = listed.row if listed.after else 1
    last = first + len(page.items) - 1
    total = count_customers(site.store, incident, listed.kind, pseudonym) if is_narrowed else None
    return {
        "people": page.items,
        "kind": listed.kind,
        "customer": pseudonym,
        "first_shown": first,
        "last_shown": last,
        "customers_counted": incident.counted if total is None else f"{total:,}",
        "first_page": listed.query() if listed.after else "",
        "more": listed.query(after=page.after, row=str(last + 1)) if page.after else "",
    }
