"""Count things in a capture, and combine the counts of several captures.

A new count needs a field of `CaptureCounts`, its combination rule, and the code in match that
counts it; findings, sightings and the facts of a verdict inherit the field.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel

from ullage.records.base import STRICT


class Combination(NamedTuple):
    """How a count is combined, of `copies` of a post and of different `posts` of a seller.

    See `docs/joined-posts.md`.
    """

    copies: Literal["largest", "most"]
    """The count of the largest copy, or the maximum over all copies."""
    posts: Literal["sum", "most"]


IN_ROWS, IN_ALL = Combination("largest", "sum"), Combination("most", "sum")
"""Counts in rows come from one document, which a person can check; others from any copy."""


class RowGroup(BaseModel):
    """The number of rows with exactly this set of fields, and of those with enrolled customers."""

    model_config = STRICT

    fields: tuple[str, ...]
    rows: int
    matched: int = 0
    corroborated: int = 0
    """Rows in which two or more fields belong to the same customer."""


class CaptureCounts(BaseModel):
    """Counts of a whole capture for one tenant, valid or not, ours or not, each with its rule."""

    model_config = STRICT

    rows: Annotated[int, IN_ROWS] = 0
    candidates: Annotated[dict[str, int], IN_ROWS] = {}
    """Distinct valid candidates by kind."""
    failures: Annotated[dict[str, int], IN_ROWS] = {}
    """Candidates whose checksum fails, by kind."""
    longest_run: Annotated[int, Combination("largest", "most")] = 0
    """Length of the longest arithmetic run in the sorted numbers; reveals generated lists."""
    newest_date: Annotated[date | None, Combination("most", "most")] = None
    groups: Annotated[tuple[RowGroup, ...], IN_ROWS] = ()
    logins: Annotated[int, IN_ALL] = 0
    """Different logins at the tenant's own domains, the customers' and the staff's."""
    staff_logins: Annotated[int, IN_ALL] = 0
    """Logins of staff, administrators or suppliers, as far as the tenant's settings tell them
    apart.
    """
    stealer_rows: Annotated[int, IN_ROWS] = 0
    """Rows in the form of a stealer log: an address with a login and a password, for any site."""
    cookies: Annotated[int, IN_ALL] = 0
    """Different cookies of the tenant's own sites."""
    staff_cookies: Annotated[int, IN_ALL] = 0
    """Cookies of hosts where the tenant's staff sign in."""
    live_cookies: Annotated[int, IN_ALL] = 0
    """Cookies that may sign somebody in and have not expired, or end with the browser session."""
    live_staff_cookies: Annotated[int, IN_ALL] = 0
    session_cookies: Annotated[int, IN_ALL] = 0
    """Live cookies that end with the browser session.

    Only the site knows whether they are still accepted.
    """
    cookies_until: Annotated[date | None, Combination("most", "most")] = None
    """The latest expiry date of the live cookies; None if none has a date."""
    device_rows: Annotated[int, IN_ROWS] = 0
    """Rows with a customer in files of a stealer log."""
    own_cards: Annotated[int, IN_ROWS] = 0
    """Different valid cards of the tenant's own ranges that are not enrolled."""
    known_cards: Annotated[int, IN_ROWS] = 0
    """Different cards of the tenant's own ranges that are enrolled, at most one a row."""
    own_card_rows: Annotated[int, IN_ROWS] = 0
    """Rows with a card of the tenant's own ranges, enrolled or not."""
    rows_of_others: Annotated[int, IN_ROWS] = 0
    """Rows that name another platform, as listed in the tenant's settings."""
    unread: Annotated[dict[str, int], IN_ALL] = {}
    """Content that was not read completely, by reason."""

    def get_counts(self) -> dict[str, Any]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in combination_rules()}


@cache
def combination_rules() -> Mapping[str, Combination]:
    """Return the combination rule of every count, by name."""
    fields = CaptureCounts.model_fields.items()
    return {
        name: next(rule for rule in field.metadata if isinstance(rule, Combination))
        for name, field in fields
    }


def combine_posts(posts: Sequence[CaptureCounts]) -> dict[str, Any]:
    """Combine the counts of different posts of one seller, by name; upper bounds."""
    add = {"sum": _sum, "most": _maximum}
    return {
        name: add[rule.posts]([getattr(post, name) for post in posts])
        for name, rule in combination_rules().items()
    }


def combine_copies(
    copies: Sequence[CaptureCounts], largest: CaptureCounts, joint: CaptureCounts | None
) -> dict[str, Any]:
    """Combine the counts of copies of one post, by name.

    `largest` is the copy that is judged. If several posts are joined, `joint` has their sums
    and is also `largest`.
    """
    maxima = {
        name: _maximum([getattr(copy, name) for copy in copies])
        for name, rule in combination_rules().items()
        if rule.copies == "most"
    }
    summed = (
        {name: getattr(joint, name) for name in maxima if combination_rules()[name].posts == "sum"}
        if joint
        else {}
    )
    return largest.get_counts() | maxima | summed


def _sum(values: Sequence[Any]) -> Any:
    if isinstance(values[0], int):
        return sum(values)
    if isinstance(values[0], tuple):
        return _merge_groups([group for groups in values for group in groups])
    total = Counter[str]()
    for counts in values:
        total.update(counts)
    return dict(sorted(total.items()))


def _maximum(values: Sequence[Any]) -> Any:
    if not isinstance(values[0], dict):
        return max((value for value in values if value is not None), default=None)
    maximum = Counter[str]()
    for counts in values:
        maximum |= Counter(counts)
    return dict(sorted(maximum.items()))


def _merge_groups(groups: Sequence[RowGroup]) -> tuple[RowGroup, ...]:
    """Add up groups with the same fields; largest first."""
    merged: dict[tuple[str, ...], RowGroup] = {}
    for group in groups:
        previous = merged.get(group.fields, RowGroup(fields=group.fields, rows=0))
        merged[group.fields] = RowGroup(
            fields=group.fields,
            rows=previous.rows + group.rows,
            matched=previous.matched + group.matched,
            corroborated=previous.corroborated + group.corroborated,
        )
    return tuple(sorted(merged.values(), key=lambda group: (-group.rows, group.fields)))
