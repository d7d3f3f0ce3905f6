"""The verdict on a file that somebody sent: real? ours? who of ours? which scam? what next? Nothing of it is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from matcher.match import Document, Matcher, Result, matched_groups
from ullage.records import Match, RowGroup, Statistics
from ullage.settings import Context
from ullage.verdict import Exposure, Facts, Origin, chance_matches, judge_exposure, judge_origin

NEXT_STEP = {
    "ours": "Treat as a leak of ours: open an incident, start the PIPL 57 assessment today, protect the customers listed.",
    "elsewhere": "Not ours by the numbers: protect the customers in it, watch for more; this file alone starts no clock.",
    "fabricated": "Looks generated: note who offers it, do not alarm customers.",
    "unknown": "Too little to tell: ask for a larger sample, or a second field of the same people.",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `ullage assess` says for one tenant."""

    tenant: str
    customers: int
    watchlist: int
    kinds: dict[str, int]
    matched_rows: int
    corroborated_rows: int
    expected_by_chance: float
    exposure: Exposure
    origin: Origin
    next_step: str

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def verdicts(context: Context, matcher: Matcher, document: Document) -> tuple[Statistics, list[Verdict]]:
    """Statistics of the file and a verdict a tenant, those with matches first."""
    whole = matcher.statistics(document)
    results = {result.lists.tenant: result for result in matcher.match([document])}
    made = [
        _verdict(context, whole, document, results.get(lists.tenant), lists.tenant, lists.customers) for lists in matcher.lists
    ]
    return whole, sorted(made, key=lambda v: (-v.customers, v.tenant))


def _verdict(
    context: Context, whole: Statistics, document: Document, result: Result | None, tenant: str, watchlist: int
) -> Verdict:
    found: Sequence[Match] = result.matches if result else ()
    rows = {m.row for m in found}
    together = {m.row for m in found if len(m.own_fields) >= 2}
    groups: Counter[frozenset[str]] = Counter()
    for group in matched_groups(whole, found, document.rows):
        if isinstance(group, RowGroup) and group.matched:
            groups[frozenset(group.fields)] += group.matched
    distinct = {(m.kind, m.index_tag) for m in found}
    facts = Facts(
        today=context.clock.now().date(),
        customers=len({m.subject for m in found}),
        rows=whole.rows,
        matched_rows=len(rows),
        corroborated_rows=len(together),
        groups=groups,
        watchlist=watchlist,
        circulation=context.tenant(tenant).circulation,
        candidates=whole.candidates,
        matched_kinds=Counter(kind for kind, _ in distinct),
        failures=whole.failures,
        longest_run=whole.longest_run,
        newest_date=whole.newest_date,
        brand=tenant in document.terms.brands,
        terms=tuple(t.id for t in whole.terms),
        alarm=document.terms.offers(tenant, len(document.rows)),
    )
    exposure, origin = judge_exposure(facts), judge_origin(facts)
    return Verdict(
        tenant=tenant,
        customers=facts.customers,
        watchlist=watchlist,
        kinds=dict(sorted(facts.matched_kinds.items())),
        matched_rows=len(rows),
        corroborated_rows=len(together),
        expected_by_chance=chance_matches(facts),
        exposure=exposure,
        origin=origin,
        next_step=NEXT_STEP[origin.verdict],
    )
