"""Posts with one customer's number, in few words."""

from typing import Any

from tests.alerts.builders import finding
from ullage.records import Finding, RowGroup, Term


def post(
    *,
    fields: tuple[str, ...] = ("PHONE",),
    category: str = "",
    terms: tuple[Term, ...] = (),
    **statistics: Any,
) -> Finding:
    """Return a post with the phone number of one customer."""
    groups = (RowGroup(fields=fields, rows=1, matched=1),)
    post_statistics = {
        "candidates": {"phone": 1},
        "groups": groups,
        "field_map": dict.fromkeys(fields, 1),
        "terms": terms,
        **statistics,
    }
    return finding(
        "f",
        (),
        people="a",
        fields=fields,
        capture={"category": category},
        statistics=post_statistics,
    )


def term(category: str, weight: int) -> Term:
    return Term(id=f"{category}{weight}", category=category, weight=weight, count=1)
