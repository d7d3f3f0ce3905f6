"""What is counted in a capture, and what several captures hold together.

A new count is a field of `CaptureCounts`, with the rule by which it is combined, and whatever
counts it in match: findings, sightings and the facts of a verdict have these fields by inheritance.
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
    """How a count is combined: of `copies` of one post, and of different `posts` of one seller
    (`docs/joined-posts.md`).
    """

    copies: Literal["largest", "most"]
    """What the largest copy has, or the most that any copy has."""
    posts: Literal["sum", "most"]


IN_ROWS, IN_ALL = Combination("largest", "sum"), Combination("most", "sum")
"""What is counted in rows is of one document, which a person can check; other counts may come
from any copy.
"""


class RowGroup(BaseModel):
    """How many rows have exactly this set of fields, and how many of them are of enrolled
    customers.
    """

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
    """Distinct valid candidates a kind."""
    failures: Annotated[dict[str, int], IN_ROWS] = {}
    """Candidates a kind whose checksum fails."""
    longest_run: Annotated[int, Combination("largest", "most")] = 0
    """Length of the longest arithmetic run among the numbers, sorted: a generated list shows
    here.
    """
    newest_date: Annotated[date | None, Combination("most", "most")] = None
    groups: Annotated[tuple[RowGroup, ...], IN_ROWS] = ()
    logins: Annotated[int, IN_ALL] = 0
    """Different logins at the tenant's own domains, the customers' and the staff's."""
    staff_logins: Annotated[int, IN_ALL] = 0
    """Those of them that are of staff, an administrator or a supplier, as far as the tenant says
    how to tell.
    """
    stealer_rows: Annotated[int, IN_ROWS] = 0
    """Rows in the form of a stealer log, at whatever site: an address beside a login and a
    password.
    """
    cookies: Annotated[int, IN_ALL] = 0
    """Different cookies of the tenant's own sites."""
    staff_cookies: Annotated[int, IN_ALL] = 0
    """Those of them of hosts where the tenant's people sign in."""
    live_cookies: Annotated[int, IN_ALL] = 0
    """Those that may sign somebody in and had not expired, or end with the browser's session."""
    live_staff_cookies: Annotated[int, IN_ALL] = 0
    session_cookies: Annotated[int, IN_ALL] = 0
    """Of the live ones, those that end with the browser's session: only the site knows whether
    it still takes them.
    """
    cookies_until: Annotated[date | None, Combination("most", "most")] = None
    """The day on which the last of the live ones expires; None where none has a day."""
    device_rows: Annotated[int, IN_ROWS] = 0
    """Rows with a customer that stand in files of a stealer's log."""
    own_cards: Annotated[int, IN_ROWS] = 0
    """Different valid cards of the tenant's own ranges that are not enrolled."""
    known_cards: Annotated[int, IN_ROWS] = 0
    """Different cards of the tenant's own ranges that are enrolled, at most one a row."""
    own_card_rows: Annotated[int, IN_ROWS] = 0
    """Rows with a card of the tenant's own ranges, enrolled or not."""
    rows_of_others: Annotated[int, IN_ROWS] = 0
    """Rows that name another platform, by the names that the tenant's settings give."""
    unread: Annotated[dict[str, int], IN_ALL] = {}
    """What in the capture was not read or not wholly, a reason."""

    def counted(self) -> dict[str, Any]:
        """The counts by name."""
        return {name: getattr(self, name) for name in rules()}


@cache
def rules() -> Mapping[str, Combination]:
    """The rule of every count."""
    fields = CaptureCounts.model_fields.items()
    return {
        name: next(rule for rule in field.metadata if isinstance(rule, Combination))
        for name, field in fields
    }


def counted_in_posts(posts: Sequence[CaptureCounts]) -> dict[str, Any]:
    """The counts of one or more different posts of a seller, by name: bounds from above."""
    add = {"sum": _sum, "most": _most}
    return {
        name: add[rule.posts]([getattr(post, name) for post in posts])
        for name, rule in rules().items()
    }


def counted_in_copies(
    copies: Sequence[CaptureCounts], largest: CaptureCounts, joint: CaptureCounts | None
) -> dict[str, Any]:
    """The counts of one or more copies of a post, by name; of different posts `joint` has the sums.

    `largest` is the copy that is judged, or `joint`.
    """
    found = {
        name: _most([getattr(copy, name) for copy in copies])
        for name, rule in rules().items()
        if rule.copies == "most"
    }
    summed = (
        {name: getattr(joint, name) for name in found if rules()[name].posts == "sum"}
        if joint
        else {}
    )
    return largest.counted() | found | summed


def _sum(values: Sequence[Any]) -> Any:
    if isinstance(values[0], int):
        return sum(values)
    if isinstance(values[0], tuple):
        return _grouped([group for groups in values for group in groups])
    total = Counter[str]()
    for counts in values:
        total.update(counts)
    return dict(sorted(total.items()))


def _most(values: Sequence[Any]) -> Any:
    if not isinstance(values[0], dict):
        return max((value for value in values if value is not None), default=None)
    most = Counter[str]()
    for counts in values:
        most |= Counter(counts)
    return dict(sorted(most.items()))


def _grouped(groups: Sequence[RowGroup]) -> tuple[RowGroup, ...]:
    """The groups of several posts, those of the same fields added up; the largest first."""
    found: dict[tuple[str, ...], RowGroup] = {}
    for group in groups:
        known = found.get(group.fields, RowGroup(fields=group.fields, rows=0))
        found[group.fields] = RowGroup(
            fields=group.fields,
            rows=known.rows + group.rows,
            matched=known.matched + group.matched,
            corroborated=known.corroborated + group.corroborated,
        )
    return tuple(sorted(found.values(), key=lambda group: (-group.rows, group.fields)))
