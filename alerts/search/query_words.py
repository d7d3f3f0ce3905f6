"""What is asked for in a URL; the page and the API take the same words for a list of incidents, and no word that they ignore."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_origin

from fastapi import Depends, Query, Request

from alerts.read.query import Filters
from alerts.store import QueryError
from ullage.lookup.free_text_check import identifier_in
from ullage.phrase import Phrase

PLACE = re.compile(r"/(?![/\\])[!-~]*")
"""A place of this page: a path, never another host."""
Text = Annotated[str, Query(max_length=1_000)]


def _filters(
    tenant: Text = "", severity: Text = "", status: Text = "", place: Text = "", kind: Text = "", q: Text = "", seller: Text = ""
) -> Filters:
    return Filters(tenant, severity, status, place, kind, q, seller)


Asked = Annotated[Filters, Depends(_filters)]
"""A route's parameter: its filters, as the query of the URL has them."""


def repeatable(typed: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed into a form that is shown again, without texts that hold an identifier: those are not repeated."""
    return {name: "" if isinstance(value, str) and identifier_in(value) else value for name, value in typed.items()}


def any_query() -> None:
    """The dependency of a route whose query is another's to choose: what it does not know is passed over."""


def known_query(request: Request) -> None:
    """QueryError for a parameter that the route does not know, or for two of one: it would be ignored, and the answer be wrong.

    What was asked is not repeated: a name that is not ours may hold anything.
    """
    if any(one.call is any_query for one in request.scope["route"].dependant.dependencies):
        return
    known = dict(_parameters(request.scope["route"].dependant))
    given = [name for name, _ in request.query_params.multi_items()]
    if unknown := [name for name in given if name not in known]:
        taken = (
            Phrase("this page accepts %(known)s", known=", ".join(sorted(known))) if known else Phrase("this page accepts none")
        )
        raise QueryError(Phrase("unknown parameters in the address: %(count)s; %(taken)s", count=len(unknown), taken=taken))
    if twice := sorted({name for name in given if given.count(name) > 1 and not known[name]}):
        raise QueryError(Phrase("%(names)s: given more than once", names=", ".join(twice)))


def _parameters(dependant: Any) -> Iterator[tuple[str, bool]]:
    """What a route and what it depends on take from the query, and whether they take several of it."""
    for field in dependant.query_params:
        yield field.alias, get_origin(field.field_info.annotation) is not None
    for nested in dependant.dependencies:
        yield from _parameters(nested)
